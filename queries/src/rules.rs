//! Dated rules as tables, so that SQL can judge by them.
//! Promise: `meta.rules_mpf` holds the rules that are compiled in, each with its source; no other.

use std::sync::Arc;

use bonded_schemas::rules::{Mark, MpfRule, mpf_rules};
use chrono::{Datelike, NaiveDate};
use datafusion::arrow::{
    array::{ArrayRef, Date32Array, Decimal128Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};

use crate::error::Result;

pub(crate) const MPF_TABLE: &str = "rules_mpf";

/// `from_date` (first entry date), `until_date` (first that is no longer covered; null while open),
/// `minimum` and `maximum` (US dollars), `mark` (V verified, S secondary, G general knowledge), `source`.
pub(crate) fn mpf() -> Result<RecordBatch> {
    table(mpf_rules())
}

fn table(rules: &[MpfRule]) -> Result<RecordBatch> {
    let money = |cents: fn(&MpfRule) -> i64| -> Result<ArrayRef> {
        let values = Decimal128Array::from_iter_values(rules.iter().map(|rule| i128::from(cents(rule))));
        Ok(Arc::new(values.with_precision_and_scale(18, 2)?))
    };
    let schema = Schema::new(vec![
        Field::new("from_date", DataType::Date32, false),
        Field::new("until_date", DataType::Date32, true),
        Field::new("minimum", DataType::Decimal128(18, 2), false),
        Field::new("maximum", DataType::Decimal128(18, 2), false),
        Field::new("mark", DataType::Utf8, false),
        Field::new("source", DataType::Utf8, false),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Date32Array::from_iter_values(rules.iter().map(|rule| days(rule.from)))),
        Arc::new(Date32Array::from_iter(rules.iter().map(|rule| rule.until.map(days)))),
        money(MpfRule::minimum_cents)?,
        money(MpfRule::maximum_cents)?,
        Arc::new(StringArray::from_iter_values(rules.iter().map(|rule| letter(rule.mark)))),
        Arc::new(StringArray::from_iter_values(rules.iter().map(|rule| rule.source.as_str()))),
    ];
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}

fn days(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - NaiveDate::default().num_days_from_ce()
}

fn letter(mark: Mark) -> &'static str {
    match mark {
        Mark::Verified => "V",
        Mark::Secondary => "S",
        Mark::General => "G",
    }
}
