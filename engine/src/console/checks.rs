//! `checks`: what `reconcile` asks, one line a check, or one check in full.

use bonded_queries::{
    Question,
    library::{Check, Source},
};

use super::{
    args,
    output::{Output, table},
};
use crate::{
    checks::library,
    error::{Error, Result},
    settings::Settings,
};

pub fn checks(settings: &Settings, args: &args::Checks, output: &Output) -> Result<u8> {
    let library = library(settings)?;
    let Some(id) = &args.id else {
        let all: Vec<&Question> = library.checks().map(|(question, _)| question).collect();
        output.list(&all, || {
            table(
                ["check", "severity", "question", "parameters"],
                library.checks().map(|(question, check)| {
                    [question.id.clone(), check.severity.to_string(), question.question.clone(), params(question)]
                }),
            )
        })?;
        return Ok(0);
    };
    let found = library.checks().find(|(question, _)| question.id == *id);
    let (question, check) = found.ok_or_else(|| Error::input(format!("no check `{id}`; `bonded checks` lists them")))?;
    let body = serde_json::json!({ "check": question, "sql": question.sql });
    output.object(&body, || text(question, check))?;
    Ok(0)
}

fn params(question: &Question) -> String {
    let params: Vec<String> = question.params.iter().map(|param| format!("{}={}", param.name, param.default)).collect();
    params.join(" ")
}

fn text(question: &Question, check: &Check) -> String {
    let named = |source: &Source| match &source.column {
        Some(column) => format!("{} of {}", column, source.view.report()),
        None => source.view.report().to_string(),
    };
    let list = |sources: &[Source], word: &str| sources.iter().map(named).collect::<Vec<_>>().join(word);
    let mut out = format!("{}: {}\n{}\n", question.id, question.question, question.who_asks);
    let mut line = |what: &str, text: String| {
        if !text.is_empty() {
            out.push_str(&format!("{what:<11} {text}\n"));
        }
    };
    line("severity", check.severity.to_string());
    line("rule", check.rule.clone());
    line("needs", list(&check.needs, ", "));
    line("any of", list(&check.any, ", "));
    line("against", list(&check.against, " or "));
    for param in &question.params {
        line("parameter", format!("{} = {}: {}", param.name, param.default, param.meaning));
    }
    format!("{out}\n{}", question.sql.trim_end())
}
