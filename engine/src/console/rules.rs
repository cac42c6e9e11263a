//! `rules`: the dated rules that checks judge by, and adding one to the lake.

use bonded_schemas::{
    RuleBook,
    deadline::{DeadlineRule, Term},
    entry_facts::DateColumn,
    rules::{CapeWindowRule, ClosingRule, EntryTypeRule, FamilyRule, HtsPerLineRule, Mark, MpfRule, RateRule, RuleLine},
};
use chrono::{Datelike, NaiveDate};

use super::{
    args::{self, NewRule, RulesAction},
    output::{Output, table},
};
use crate::{
    audit::Change,
    error::{Error, Result},
    lakehouse::Lakehouse,
    rules,
};

pub async fn rules(house: &Lakehouse, action: &RulesAction, output: &Output) -> Result<u8> {
    let lines = match action {
        RulesAction::List { kind } => list(&rules::book(&house.settings)?, kind.as_deref())?,
        RulesAction::Add { rule } => {
            let new = book_of(rule, &rules::book(&house.settings)?)?;
            let kind = new.lines().first().map(|line| (line.kind, line.from, line.key.clone()));
            let lines = rules::add(&house.settings, &new)?.lines();
            let lines: Vec<RuleLine> =
                lines.into_iter().filter(|line| kind == Some((line.kind, line.from, line.key.clone()))).collect();
            let object = kind.map_or_else(String::new, |(kind, ..)| kind.to_owned());
            house.audit_change(super::actor(), "rules.add", &object, "added", Change::made(&lines)?).await?;
            lines
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
        return Err(Error::input(format!(
            "no kind of rule `{kind}`; known: mpf, rate, hts_per_line, family, entry_type, deadline, closing, cape_window"
        )));
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
fn book_of(rule: &NewRule, known: &RuleBook) -> Result<RuleBook> {
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
        NewRule::Deadline { dates, kind, after, days, months, title, whose, rolls } => {
            let before = known.deadlines.iter().rfind(|rule| rule.kind == *kind);
            let term = Term { column: date_column(after)?, days: *days, months: *months, known: None };
            let mut terms = before.map(|rule| rule.terms.clone()).unwrap_or_default();
            // Where a deadline is the earliest of several terms, the one of this column changes.
            match terms.iter_mut().find(|one| one.column == term.column) {
                Some(same) => (same.days, same.months) = (term.days, term.months),
                None => terms.push(term),
            }
            let told = |given: &Option<String>, before: Option<&String>, otherwise: &str| {
                given.clone().or_else(|| before.cloned()).unwrap_or_else(|| otherwise.to_owned())
            };
            book.deadlines.push(DeadlineRule {
                title: told(title, before.map(|rule| &rule.title), kind),
                whose: told(whose, before.map(|rule| &rule.whose), "importer"),
                kind: kind.clone(),
                from: Some(dates.from),
                until: dates.until,
                terms,
                only_if: before.and_then(|rule| rule.only_if.clone()),
                done_if: before.and_then(|rule| rule.done_if),
                stated_in: before.and_then(|rule| rule.stated_in),
                not_judged_if: before.and_then(|rule| rule.not_judged_if.clone()),
                rolls: rolls.or(before.map(|rule| rule.rolls)).unwrap_or_default(),
                mark: mark(dates),
                source: dates.source.clone(),
            });
        }
        NewRule::Closing { dates, name } => {
            if dates.until.is_some() {
                return Err(Error::input("a closing is one day: give --from and no --until"));
            }
            let (mark, source) = (mark(dates), dates.source.clone());
            book.closings.push(ClosingRule { name: name.clone(), from: dates.from, mark, source });
        }
        NewRule::CapeWindow { dates, phase } => book.cape_windows.push(CapeWindowRule {
            phase: phase.to_string(),
            from: dates.from,
            until: dates.until,
            mark: mark(dates),
            source: dates.source.clone(),
        }),
    }
    Ok(book)
}

fn date_column(name: &str) -> Result<DateColumn> {
    DateColumn::ALL.into_iter().find(|column| column.field() == name).ok_or_else(|| {
        let known = DateColumn::ALL.map(DateColumn::field).join(", ");
        Error::input(format!("no date column `{name}` to count from; known: {known}"))
    })
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
