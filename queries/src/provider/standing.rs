//! Which files of a table hold as they are: no other delivery holds an entry of theirs, so that nothing supersedes their rows.
//! Promise: told from the manifests' bounds alone, and only where they leave no doubt; a file that may share an entry with
//! another delivery's is contested.
//! Never: no data file is opened to decide.

use std::{collections::HashMap, sync::Arc};

use bonded_schemas::table::DELIVERY_ID;
use iceberg::spec::{DataFile, Datum, PrimitiveLiteral};

use super::{HistoryTable, files::History};
use crate::error::Result;

/// The key of current truth: the latest delivery that holds an entry holds all of it.
const ENTRY: &str = "entry_summary_number";

/// A table's newest rows in two parts.
pub(crate) struct Standing {
    /// Rows that are current truth as they lie.
    pub(crate) settled: HistoryTable,
    /// Rows of entries that several deliveries may hold; `None` when there are none.
    pub(crate) contested: Option<HistoryTable>,
}

/// `None` when nothing is settled.
pub(crate) async fn standing(history: &Arc<History>) -> Result<Option<Standing>> {
    let metadata = history.table.metadata();
    let (Some(snapshot), Some(entry), Some(delivery)) = (
        metadata.current_snapshot(),
        metadata.current_schema().field_by_name(ENTRY),
        metadata.current_schema().field_by_name(DELIVERY_ID),
    ) else {
        return Ok(None);
    };
    let files = history.data_files(snapshot).await?;
    let Some(spans) = files.iter().map(|file| Span::of(file, entry.id, delivery.id)).collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    let (settled, contested): (Vec<_>, Vec<_>) = files.into_iter().zip(settled(&spans)).partition(|(_, settled)| *settled);
    let of = |files: Vec<(Arc<DataFile>, bool)>| {
        let table = HistoryTable::current(history.clone())?;
        Ok::<_, crate::Error>(table.only(files.into_iter().map(|(file, _)| file.file_path().to_owned()).collect()))
    };
    Ok(match (settled.is_empty(), contested.is_empty()) {
        (true, _) => None,
        (false, true) => Some(Standing { settled: of(settled)?, contested: None }),
        (false, false) => Some(Standing { settled: of(settled)?, contested: Some(of(contested)?) }),
    })
}

/// The entries that a file may hold, and the delivery they all came with if it is one.
struct Span {
    low: String,
    high: String,
    delivery: Option<String>,
}

impl Span {
    /// `None` when the manifest does not bound the entries.
    fn of(file: &DataFile, entry: i32, delivery: i32) -> Option<Self> {
        let text = |bounds: &HashMap<i32, Datum>, id| match bounds.get(&id)?.literal() {
            PrimitiveLiteral::String(text) => Some(text.clone()),
            _ => None,
        };
        // A row without an entry is in no current truth; only the question that compares deliveries leaves it out.
        let whole = file.null_value_counts().get(&entry) == Some(&0);
        let of = text(file.lower_bounds(), delivery).filter(|_| whole);
        Some(Self {
            low: text(file.lower_bounds(), entry)?,
            high: text(file.upper_bounds(), entry)?,
            delivery: of.filter(|low| text(file.upper_bounds(), delivery).as_ref() == Some(low)),
        })
    }
}

/// For each span, whether all that it touches, at first or second hand, came with one delivery.
fn settled(spans: &[Span]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by(|left, right| spans[*left].low.cmp(&spans[*right].low));
    let mut told = vec![false; spans.len()];
    let mut rest = order.as_slice();
    while let Some(first) = rest.first() {
        let (mut high, mut count) = (&spans[*first].high, 1);
        while let Some(next) = rest.get(count).filter(|next| spans[**next].low <= *high) {
            high = high.max(&spans[*next].high);
            count += 1;
        }
        let (together, others) = rest.split_at(count);
        let delivery = &spans[*first].delivery;
        let one = delivery.is_some() && together.iter().all(|at| spans[*at].delivery == *delivery);
        together.iter().for_each(|at| told[*at] = one);
        rest = others;
    }
    told
}

#[cfg(test)]
mod tests;
