//! `checks`: the library of questions, one line a question with its kind, or one in full.

use bonded_queries::{
    Question,
    library::{Source, Topic},
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
    let questions = || library.questions().iter();
    let Some(id) = &args.id else {
        let all: Vec<&Question> = questions().collect();
        output.list(&all, || {
            table(
                ["question", "kind", "severity", "asks", "parameters"],
                questions().map(|question| {
                    let severity = question.check.as_ref().map(|check| check.severity.to_string()).unwrap_or_default();
                    [question.id.clone(), kind(question).to_owned(), severity, question.question.clone(), params(question)]
                }),
            )
        })?;
        return Ok(0);
    };
    let found = questions().find(|question| question.id == *id);
    let question = found.ok_or_else(|| Error::input(format!("no question `{id}`; `bonded checks` lists them")))?;
    let body = serde_json::json!({ "check": question, "sql": question.sql });
    output.object(&body, || text(question))?;
    Ok(0)
}

/// The word for the commands that ask it.
fn kind(question: &Question) -> &'static str {
    match question.topic {
        Topic::Reconcile => "check",
        Topic::Audit => "report",
        other => other.as_str(),
    }
}

fn params(question: &Question) -> String {
    let params: Vec<String> = question.params.iter().map(|param| format!("{}={}", param.name, param.default)).collect();
    params.join(" ")
}

fn text(question: &Question) -> String {
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
    line("kind", kind(question).to_owned());
    if let Some(check) = &question.check {
        line("severity", check.severity.to_string());
        line("rule", check.rule.clone());
        line("needs", list(&check.needs, ", "));
        line("any of", list(&check.any, ", "));
        line("against", list(&check.against, " or "));
    }
    for param in &question.params {
        line("parameter", format!("{} = {}: {}", param.name, param.default, param.meaning));
    }
    format!("{out}\n{}", question.sql.trim_end())
}
