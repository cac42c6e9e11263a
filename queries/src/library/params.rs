//! Parameters of a question: declared in its header with a type and a default, written `$name` in its SQL.
//! Promise: a value is checked against its type and becomes a literal; it can never become SQL.

use std::{collections::BTreeMap, ops::ControlFlow};

use datafusion::sql::{
    parser::Statement,
    sqlparser::{
        ast::{Expr, Value, visit_expressions_mut},
        dialect::GenericDialect,
        parser::Parser,
    },
};
use serde::Serialize;

use super::Question;
use crate::error::{Error, Result};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Param {
    pub name: String,
    pub kind: Kind,
    pub default: String,
    pub meaning: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// US dollars, two places.
    Money,
    /// At most six places.
    Decimal,
    Integer,
    /// ISO date.
    Date,
    Text,
}

/// Parameter name -> its literal.
pub(crate) type Values = BTreeMap<String, Expr>;

impl Param {
    /// `rows_min integer = 10; rows that a group needs`
    pub(super) fn read(text: &str) -> std::result::Result<Self, String> {
        let form = || format!("`{text}` is not like `rows_min integer = 10; what it means`");
        let (declared, meaning) = text.split_once(';').ok_or_else(form)?;
        let (typed, default) = declared.split_once('=').ok_or_else(form)?;
        let (name, kind) = typed.trim().split_once(' ').ok_or_else(form)?;
        let kind = match kind.trim() {
            "money" => Kind::Money,
            "decimal" => Kind::Decimal,
            "integer" => Kind::Integer,
            "date" => Kind::Date,
            "text" => Kind::Text,
            other => return Err(format!("`{other}` is no type; use money, decimal, integer, date or text")),
        };
        let well_named = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !well_named {
            return Err(format!("name the parameter `{name}` in a-z, 0-9 and _"));
        }
        let param = Self { name: name.to_owned(), kind, default: default.trim().to_owned(), meaning: meaning.trim().to_owned() };
        param.literal(&param.default)?;
        Ok(param)
    }

    fn literal(&self, value: &str) -> std::result::Result<Expr, String> {
        let wrong = |like: &str| Err(format!("parameter {}: `{value}` is not {like}", self.name));
        let sql_type = match self.kind {
            Kind::Money if is_decimal(value, 2) => "DECIMAL(18, 2)",
            Kind::Money => return wrong("an amount such as 25.00"),
            Kind::Decimal if is_decimal(value, 6) => "DECIMAL(18, 6)",
            Kind::Decimal => return wrong("a number such as 0.005, of at most six places"),
            Kind::Integer if value.len() <= 18 && value.parse::<i64>().is_ok() => "BIGINT",
            Kind::Integer => return wrong("a whole number"),
            Kind::Date if value.parse::<chrono::NaiveDate>().is_ok() => "DATE",
            Kind::Date => return wrong("a date such as 2026-01-31"),
            Kind::Text => "VARCHAR",
        };
        let quoted = value.replace('\'', "''");
        let parsed = Parser::new(&GenericDialect {}).try_with_sql(&format!("CAST('{quoted}' AS {sql_type})"));
        parsed
            .and_then(|mut parser| parser.parse_expr())
            .map_err(|_| format!("parameter {}: `{value}` cannot be read", self.name))
    }
}

fn is_decimal(text: &str, places_max: usize) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, places) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str, max: usize| (1..=max).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    all_digits(whole, 12) && all_digits(places, places_max)
}

impl Question {
    /// The question's parameters: given values (`name` or `check.name`) over defaults.
    pub(crate) fn values(&self, given: &[(String, String)]) -> Result<Values> {
        let mut values = Values::new();
        for param in &self.params {
            let own_name = format!("{}.{}", self.id, param.name);
            let of_this = given.iter().rev().find(|(name, _)| *name == own_name);
            let value = of_this.or_else(|| given.iter().rev().find(|(name, _)| *name == param.name));
            let value = value.map_or(&param.default, |(_, value)| value);
            values.insert(param.name.clone(), param.literal(value).map_err(Error::input)?);
        }
        Ok(values)
    }

    /// Whether a given name is one of the question's parameters.
    fn takes(&self, name: &str) -> bool {
        let bare = name.strip_prefix(&self.id).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name);
        self.params.iter().any(|param| param.name == bare)
    }
}

/// Refuses names that none of the questions takes.
pub(crate) fn refuse_unknown<'a>(
    given: &[(String, String)],
    questions: impl Iterator<Item = &'a Question> + Clone,
) -> Result<()> {
    let Some((unknown, _)) = given.iter().find(|(name, _)| !questions.clone().any(|question| question.takes(name))) else {
        return Ok(());
    };
    let mut known: Vec<String> = questions.flat_map(|q| q.params.iter().map(move |p| format!("{}.{}", q.id, p.name))).collect();
    known.sort();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Err(Error::input(format!("no parameter `{unknown}` in what is asked; known: {known}")))
}

/// Puts literals in the place of `$name`.
pub(crate) fn bind(statement: &mut Statement, values: &Values) -> Result<()> {
    let Statement::Statement(statement) = statement else { return Ok(()) };
    let bound = visit_expressions_mut(statement.as_mut(), |expression| {
        let Expr::Value(value) = &*expression else { return ControlFlow::Continue(()) };
        let Value::Placeholder(name) = &value.value else { return ControlFlow::Continue(()) };
        match values.get(name.trim_start_matches('$')) {
            Some(literal) => {
                *expression = literal.clone();
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(name.clone()),
        }
    });
    match bound {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(name) => {
            Err(Error::input(format!("`{name}` is no parameter here; declare it in the header as `-- param: ...`")))
        }
    }
}

#[cfg(test)]
mod tests;
