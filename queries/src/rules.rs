//! Dated rules as tables, so that SQL can judge by them.
//! Promise: `meta.rules_*` hold the rules of the session's book, each with its source; no other.

use std::sync::Arc;

use bonded_schemas::{
    deadline::DeadlineRule,
    rules::{Mark, MpfRule, RateRule, RuleBook},
};
use chrono::{Datelike, NaiveDate};
use datafusion::arrow::{
    array::{ArrayRef, Date32Array, Decimal128Array, Int32Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};

use crate::error::{Error, Result};

/// Each has `from_date` (first day; null: not known), `until_date` (first that is no longer covered; null while open),
/// `mark` (V verified, S secondary, G general knowledge), `source`, and between them what the rule says:
/// `rules_mpf` has `minimum` and `maximum` (US dollars), `rules_rates` `fee` and `rate`, `rules_hts_per_line` `maximum`,
/// `rules_families` `family` and `prefix` (six digits), `rules_entry_types` `code`, `rules_deadlines` `kind`, `title`, `whose` and
/// `terms`, `rules_closings` `name` (a day of its own: `from_date`), `rules_cape_windows` `phase`.
pub(crate) fn tables(book: &RuleBook) -> Result<Vec<(String, RecordBatch)>> {
    Ok(vec![
        ("rules_mpf".to_owned(), mpf(book)?),
        ("rules_rates".to_owned(), rates(book)?),
        ("rules_hts_per_line".to_owned(), hts_per_line(book)?),
        ("rules_families".to_owned(), families(book)?),
        ("rules_entry_types".to_owned(), entry_types(book)?),
        ("rules_deadlines".to_owned(), deadlines(book)?),
        ("rules_closings".to_owned(), closings(book)?),
        ("rules_cape_windows".to_owned(), cape_windows(book)?),
    ])
}

fn mpf(book: &RuleBook) -> Result<RecordBatch> {
    let rules = &book.mpf;
    let money = |cents: fn(&MpfRule) -> i64| decimals(rules.iter().map(cents), 18, 2);
    let says = vec![("minimum", money(MpfRule::minimum_cents)?), ("maximum", money(MpfRule::maximum_cents)?)];
    table(rules.iter().map(|rule| (Some(rule.from), rule.until, rule.mark, rule.source.as_str())), says)
}

fn rates(book: &RuleBook) -> Result<RecordBatch> {
    let rules = &book.rates;
    let millionths = |rule: &RateRule| {
        rule.rate_millionths()
            .ok_or_else(|| Error::input(format!("the {} rate from {} is no rate; mend the rules", rule.fee, rule.from)))
    };
    let rates = rules.iter().map(millionths).collect::<Result<Vec<_>>>()?;
    let says = vec![("fee", texts(rules.iter().map(|rule| rule.fee.as_str()))), ("rate", decimals(rates, 9, 6)?)];
    table(rules.iter().map(|rule| (Some(rule.from), rule.until, rule.mark, rule.source.as_str())), says)
}

fn hts_per_line(book: &RuleBook) -> Result<RecordBatch> {
    let rules = &book.hts_per_line;
    let maximum: ArrayRef = Arc::new(Int32Array::from_iter_values(rules.iter().map(|rule| i32::from(rule.maximum))));
    table(rules.iter().map(|rule| (Some(rule.from), rule.until, rule.mark, rule.source.as_str())), vec![("maximum", maximum)])
}

fn families(book: &RuleBook) -> Result<RecordBatch> {
    let rules = &book.families;
    let says = vec![
        ("family", texts(rules.iter().map(|rule| rule.family.as_str()))),
        ("prefix", texts(rules.iter().map(|rule| rule.prefix.as_str()))),
    ];
    table(rules.iter().map(|rule| (rule.from, rule.until, rule.mark, rule.source.as_str())), says)
}

fn entry_types(book: &RuleBook) -> Result<RecordBatch> {
    let rules = &book.entry_types;
    let says = vec![("code", texts(rules.iter().map(|rule| rule.code.as_str())))];
    table(rules.iter().map(|rule| (rule.from, rule.until, rule.mark, rule.source.as_str())), says)
}

fn deadlines(book: &RuleBook) -> Result<RecordBatch> {
    let rules = &book.deadlines;
    let terms: Vec<String> = rules.iter().map(DeadlineRule::says).collect();
    let says = vec![
        ("kind", texts(rules.iter().map(|rule| rule.kind.as_str()))),
        ("title", texts(rules.iter().map(|rule| rule.title.as_str()))),
        ("whose", texts(rules.iter().map(|rule| rule.whose.as_str()))),
        ("terms", texts(terms.iter().map(String::as_str))),
    ];
    table(rules.iter().map(|rule| (rule.from, rule.until, rule.mark, rule.source.as_str())), says)
}

fn closings(book: &RuleBook) -> Result<RecordBatch> {
    let rules = &book.closings;
    let says = vec![("name", texts(rules.iter().map(|rule| rule.name.as_str())))];
    table(rules.iter().map(|rule| (Some(rule.from), rule.from.succ_opt(), rule.mark, rule.source.as_str())), says)
}

fn cape_windows(book: &RuleBook) -> Result<RecordBatch> {
    let rules = &book.cape_windows;
    let says = vec![("phase", texts(rules.iter().map(|rule| rule.phase.as_str())))];
    table(rules.iter().map(|rule| (Some(rule.from), rule.until, rule.mark, rule.source.as_str())), says)
}

fn table<'a>(
    when: impl Iterator<Item = (Option<NaiveDate>, Option<NaiveDate>, Mark, &'a str)>,
    says: Vec<(&str, ArrayRef)>,
) -> Result<RecordBatch> {
    let when: Vec<_> = when.collect();
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("from_date", Arc::new(Date32Array::from_iter(when.iter().map(|(from, ..)| from.map(days))))),
        ("until_date", Arc::new(Date32Array::from_iter(when.iter().map(|(_, until, ..)| until.map(days))))),
    ];
    columns.extend(says);
    columns.push(("mark", texts(when.iter().map(|(_, _, mark, _)| mark.letter()))));
    columns.push(("source", texts(when.iter().map(|(_, _, _, source)| *source))));
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, values)| Field::new(*name, values.data_type().clone(), *values.data_type() == DataType::Date32))
        .collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, values)| values).collect())?)
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn decimals(values: impl IntoIterator<Item = i64>, precision: u8, scale: i8) -> Result<ArrayRef> {
    let values = Decimal128Array::from_iter_values(values.into_iter().map(i128::from));
    Ok(Arc::new(values.with_precision_and_scale(precision, scale)?))
}

fn days(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - NaiveDate::default().num_days_from_ce()
}
