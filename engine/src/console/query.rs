//! `query` and `tables`: SQL over one tenant, and what there is to ask.

use std::path::Path;

use bonded_queries::{Answer, Format as AnswerFormat};

use super::{
    args::{self, Format, Which},
    open,
    output::{Output, table, written},
    progress::spinning,
    which,
};
use crate::{
    answers::session,
    error::{Error, Result},
    lakehouse::{Lakehouse, Tenant},
};

pub async fn query(house: &Lakehouse, args: &args::Query, output: &Output) -> Result<u8> {
    let tenant = open(house, &args.tenant).await?;
    let format = format(args.format, args.output.as_deref(), output)?;
    let asking = async { Ok(session(house, &tenant).await?.query(&args.sql).await?) };
    let answer = noted(house, &tenant, "query", &args.sql, spinning("asking", asking).await).await?;
    write(answer, format, args.output.as_deref()).await
}

/// What was asked is in the trail before anything of the answer is shown; so is what was refused.
pub async fn noted(house: &Lakehouse, tenant: &Tenant, action: &str, asked: &str, answer: Result<Answer>) -> Result<Answer> {
    let result = answer.as_ref().map_or_else(|error| format!("refused: {error}"), |_| "done".to_owned());
    tenant.audit(house.clock.as_ref(), action, asked, &result).await?;
    answer
}

/// The form in which an answer is written.
pub fn format(asked: Option<Format>, file: Option<&Path>, output: &Output) -> Result<AnswerFormat> {
    let format = match (asked, output.json) {
        (Some(Format::Csv), _) => AnswerFormat::Csv,
        (Some(Format::Parquet), _) => AnswerFormat::Parquet,
        (Some(Format::Jsonl), _) | (None, true) => AnswerFormat::JsonLines,
        (Some(Format::Table), _) | (None, false) => AnswerFormat::Table,
    };
    if format == AnswerFormat::Parquet && file.is_none() && std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        return Err(Error::input("Parquet is not for a terminal; name a file with --output"));
    }
    Ok(format)
}

/// Writes an answer to a file or to standard output.
pub async fn write(answer: Answer, format: AnswerFormat, file: Option<&Path>) -> Result<u8> {
    match file {
        Some(path) => {
            let cannot = |error| Error::input(format!("cannot write {}", path.display())).with_source(error);
            let mut file = std::io::BufWriter::new(std::fs::File::create(path).map_err(cannot)?);
            answer.write(format, &mut file).await?;
            std::io::Write::flush(&mut file).map_err(cannot)?;
        }
        None => {
            let mut buffer = std::io::BufWriter::new(std::io::stdout());
            answer.write(format, &mut buffer).await?;
            std::io::Write::flush(&mut buffer).map_err(written)?;
        }
    }
    Ok(0)
}

pub async fn tables(house: &Lakehouse, args: &Which, output: &Output) -> Result<u8> {
    let mut lines = Vec::new();
    for tenant in which(house, args.tenant.as_ref()).await? {
        let tenant = open(house, &tenant).await?;
        for name in tenant.tables.names().await? {
            lines.push((tenant.scope.tenant().to_string(), tenant.tables.info(&name).await?));
        }
    }
    let objects: Vec<_> = lines.iter().map(|(tenant, info)| serde_json::json!({ "tenant": tenant, "info": info })).collect();
    output.list(&objects, || {
        table(
            ["tenant", "table", "rows", "columns", "files", "bytes", "snapshots"],
            lines.iter().map(|(tenant, t)| {
                let (rows, columns, files) = (t.rows.to_string(), t.columns.to_string(), t.data_files.to_string());
                [tenant.clone(), t.table.clone(), rows, columns, files, t.size_bytes.to_string(), t.snapshots.to_string()]
            }),
        )
    })?;
    Ok(0)
}
