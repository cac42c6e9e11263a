//! `rules`: the dated rules that checks judge by, and adding one to the lake.

use bonded_schemas::{
    RuleBook,
    rules::{EntryTypeRule, FamilyRule, HtsPerLineRule, Mark, MpfRule, RateRule, RuleLine},
};
use chrono::{Datelike, NaiveDate};

use super::{
    args::{self, NewRule, RulesAction},
    output::{Output, table},
};
use crate::{
    error::{Error, Result},
    lakehouse::Lakehouse,
    rules,
};

pub fn rules(house: &Lakehouse, action: &RulesAction, output: &Output) -> Result<u8> {
    let lines = match action {
        RulesAction::List { kind } => list(&rules::book(&house.settings)?, kind.as_deref())?,
        RulesAction::Add { rule } => {
            let new = book_of(rule);
            let kind = new.lines().first().map(|line| (line.kind, line.from, line.key.clone()));
            let lines = rules::add(&house.settings, &new)?.lines();
            lines.into_iter().filter(|line| kind == Some((line.kind, line.from, line.key.clone()))).collect()
        }
    };
    output.list(&lines, || text(&lines))?;
    Ok(0)
}

fn list(book: &RuleBook, kind: Option<&str>) -> Result<Vec<RuleLine>> {
    let lines = book.lines();
    let Some(kind) = kind else { return Ok(lines) };
    let kind = kind.replace('-', "_");
    if !lines.iter().any(|line| line.kind == kind) {
        return Err(Error::input(format!("no kind of rule `{kind}`; known: mpf, rate, hts_per_line, family, entry_type")));
    }
    Ok(lines.into_iter().filter(|line| line.kind == kind).collect())
}

fn text(lines: &[RuleLine]) -> String {
    let day = |day: Option<NaiveDate>| day.map_or("-".to_owned(), |day| day.to_string());
    table(
        ["kind", "of", "from", "until", "value", "mark", "where", "source"],
        lines.iter().map(|line| {
            let place = if line.own { "this lake" } else { "built in" };
            [
                line.kind.to_owned(),
                if line.key.is_empty() { "-".to_owned() } else { line.key.clone() },
                day(line.from),
                day(line.until),
                line.value.clone(),
                line.mark.letter().to_owned(),
                place.to_owned(),
                line.source.clone(),
            ]
        }),
    )
}

/// The rule as typed; it is checked when it is added.
fn book_of(rule: &NewRule) -> RuleBook {
    let mut book = RuleBook::default();
    match rule {
        NewRule::Mpf { dates, minimum, maximum } => book.mpf.push(MpfRule {
            from: dates.from,
            // The bounds change each fiscal year: a rule without an end would judge years whose bounds are not known.
            until: dates.until.or_else(|| next_fiscal_year(dates.from)),
            minimum: minimum.clone(),
            maximum: maximum.clone(),
            mark: mark(dates),
            source: dates.source.clone(),
        }),
        NewRule::Rate { dates, fee, rate } => book.rates.push(RateRule {
            fee: fee.to_ascii_uppercase(),
            from: dates.from,
            until: dates.until,
            rate: rate.clone(),
            mark: mark(dates),
            source: dates.source.clone(),
        }),
        NewRule::HtsPerLine { dates, maximum } => book.hts_per_line.push(HtsPerLineRule {
            from: dates.from,
            until: dates.until,
            maximum: *maximum,
            mark: mark(dates),
            source: dates.source.clone(),
        }),
        NewRule::Family { dates, name, prefix } => book.families.push(FamilyRule {
            family: name.clone(),
            prefix: prefix.clone(),
            from: Some(dates.from),
            until: dates.until,
            mark: mark(dates),
            source: dates.source.clone(),
        }),
        NewRule::EntryType { dates, code } => book.entry_types.push(EntryTypeRule {
            code: code.clone(),
            from: Some(dates.from),
            until: dates.until,
            mark: mark(dates),
            source: dates.source.clone(),
        }),
    }
    book
}

fn mark(dates: &args::Dates) -> Mark {
    match dates.mark {
        args::Mark::V => Mark::Verified,
        args::Mark::S => Mark::Secondary,
        args::Mark::G => Mark::General,
    }
}

/// The first 1 October after a day.
fn next_fiscal_year(day: NaiveDate) -> Option<NaiveDate> {
    let october = NaiveDate::from_ymd_opt(day.year(), 10, 1)?;
    if day < october { Some(october) } else { NaiveDate::from_ymd_opt(day.year() + 1, 10, 1) }
}
