//! Social Security numbers out of sight: what SQL sees of an importer number in that form is `***-**-1234~7f`.
//! Promise: the number itself is behind the tables that SQL can name, so no function, join or sort of a question reaches it;
//! the same number shows the same everywhere in a tenant's answers, so questions that join and group by it still hold.
//! Never: no filter on such a column is answered from bounds or pages, and no bound of it is told.
//!
//! Two numbers with the same last digits are told apart by two letters of a keyed digest. Two and no more: of the hundred
//! thousand numbers that end alike some four hundred share them, so that nobody finds a number by having guesses masked.

use std::{
    collections::BTreeSet,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use bonded_schemas::{
    ColumnType, Registry, Report,
    importer_number::{is_ssn_form, masked, masked_words},
    table::RESCUED,
};
use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, MapArray, RecordBatch, StringArray, StructArray},
        datatypes::{DataType, FieldRef, Schema},
    },
    catalog::TableProvider,
    common::{Column, Result as DataFusionResult, exec_err, plan_err},
    datasource::{ViewTable, provider_as_source},
    logical_expr::{
        ColumnarValue, Expr, LogicalPlanBuilder, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility,
    },
};

use crate::error::Result;

/// Says a few letters of a number's keyed digest; the number comes as its nine digits.
pub type TellApart = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// What a session shows of importer numbers in Social Security form.
#[derive(Clone)]
pub enum ImporterNumbers {
    /// The last four digits, and what tells two numbers apart.
    Masked(TellApart),
    /// All of it: a setting allows it, or the session's answers go to nobody.
    Whole,
}

impl fmt::Debug for ImporterNumbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ImporterNumbers::Masked(_) => "Masked",
            ImporterNumbers::Whole => "Whole",
        })
    }
}

impl ImporterNumbers {
    /// The columns of a report's table that are not shown as they are: those that its edition calls personal, text columns
    /// that no edition knows (an accepted drift added them), and the cells that found no column.
    pub(super) fn hidden(&self, table: &str, schema: &Schema) -> BTreeSet<String> {
        let (ImporterNumbers::Masked(_), Some(report)) = (self, Report::ALL.into_iter().find(|report| report.table() == table))
        else {
            return BTreeSet::new();
        };
        let edition = Registry::builtin().edition(report);
        let known = |name: &str| edition.columns.iter().find(|column| column.field() == name);
        let is_hidden = |name: &str, data_type: &DataType| match known(name) {
            Some(column) => column.personal && matches!(column.kind, ColumnType::Text(_)),
            None => name == RESCUED || (!name.starts_with('_') && *data_type == DataType::Utf8),
        };
        let fields = schema.fields().iter().filter(|field| is_hidden(field.name(), field.data_type()));
        fields.map(|field| field.name().clone()).collect()
    }

    /// The table as SQL may see it. What it is made of is in no catalog.
    pub(super) fn over(&self, table: &str, provider: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>> {
        let schema = provider.schema();
        let hidden = self.hidden(table, &schema);
        let ImporterNumbers::Masked(tell_apart) = self else { return Ok(provider) };
        if hidden.is_empty() {
            return Ok(provider);
        }
        let masked = Arc::new(ScalarUDF::from(Masked::new(tell_apart.clone())));
        let columns = schema.fields().iter().map(|field| {
            let column = Expr::Column(Column::new(Some(table), field.name()));
            match hidden.contains(field.name()) {
                true => masked.call(vec![column]).alias(field.name()),
                false => column,
            }
        });
        let plan = LogicalPlanBuilder::scan(table, provider_as_source(provider), None)?.project(columns)?.build()?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }

    /// A table of the ledger: whichever of its texts holds such a number.
    pub(super) fn in_ledger(&self, rows: RecordBatch) -> Result<RecordBatch> {
        let ImporterNumbers::Masked(tell_apart) = self else { return Ok(rows) };
        let columns = rows.columns().iter().map(|column| match column.data_type() {
            DataType::Utf8 => Arc::new(texts(column.as_string(), tell_apart)) as ArrayRef,
            _ => column.clone(),
        });
        Ok(RecordBatch::try_new(rows.schema(), columns.collect())?)
    }
}

/// In no registry: SQL cannot name it, and so has no guess masked.
struct Masked {
    signature: Signature,
    tell_apart: TellApart,
}

impl Masked {
    fn new(tell_apart: TellApart) -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable), tell_apart }
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Masked")
    }
}

impl PartialEq for Masked {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.tell_apart, &other.tell_apart)
    }
}

impl Eq for Masked {}

impl Hash for Masked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.tell_apart).cast::<()>().hash(state);
    }
}

impl ScalarUDFImpl for Masked {
    fn name(&self) -> &str {
        "masked"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> DataFusionResult<FieldRef> {
        match arguments.arg_fields.first() {
            Some(field) => Ok(field.clone()),
            None => plan_err!("masked takes one argument"),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let Some(array) = arrays.first() else { return exec_err!("masked takes one argument") };
        Ok(ColumnarValue::Array(match array.data_type() {
            DataType::Utf8 => Arc::new(texts(array.as_string(), &self.tell_apart)),
            DataType::Map(..) => Arc::new(values(array.as_map(), &self.tell_apart)?),
            // A number or a date is no text of a sender's.
            _ => array.clone(),
        }))
    }
}

fn texts(texts: &StringArray, tell_apart: &TellApart) -> StringArray {
    // Rows of one importer stand together.
    let mut last: Option<(&str, String)> = None;
    let shown = texts.iter().map(|text| {
        let text = text?;
        match &last {
            Some((known, shown)) if *known == text => Some(shown.clone()),
            _ => {
                let shown = masked_words(text, |word| mark(word, tell_apart)).into_owned();
                last = Some((text, shown.clone()));
                Some(shown)
            }
        }
    });
    shown.collect()
}

/// The values of a map of texts; its keys are names of columns.
fn values(map: &MapArray, tell_apart: &TellApart) -> DataFusionResult<MapArray> {
    let DataType::Map(field, is_sorted) = map.data_type() else { return exec_err!("a map is needed") };
    let Some(held) = map.values().as_string_opt::<i32>() else { return exec_err!("a map of texts is needed") };
    let (fields, mut columns, nulls) = map.entries().clone().into_parts();
    if let Some(values) = columns.last_mut() {
        *values = Arc::new(texts(held, tell_apart));
    }
    let entries = StructArray::new(fields, columns, nulls);
    Ok(MapArray::try_new(field.clone(), map.offsets().clone(), entries, map.nulls().cloned(), *is_sorted)?)
}

/// `***-**-1234~7f` of a word that may be a person's number.
fn mark(word: &str, tell_apart: &TellApart) -> Option<String> {
    is_ssn_form(word).then(|| {
        let digits: String = word.chars().filter(char::is_ascii_digit).collect();
        format!("{}~{}", masked(word), tell_apart(&digits))
    })
}

#[cfg(test)]
mod tests;
