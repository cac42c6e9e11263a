//! `report`: one report of the library over one tenant, in any format, or the list of them.

use bonded_queries::Question;

use super::{
    args, open,
    output::{Output, table},
    progress::spinning,
    query::{format, noted, write},
};
use crate::{
    answers::session,
    checks::library,
    error::{Error, Result},
    lakehouse::Lakehouse,
    settings::Settings,
};

pub fn list(settings: &Settings, output: &Output) -> Result<u8> {
    let library = library(settings)?;
    let all: Vec<&Question> = library.reports().collect();
    output.list(&all, || {
        table(
            ["report", "question", "parameters"],
            all.iter().map(|question| {
                let params: Vec<String> = question.params.iter().map(|p| format!("{}={}", p.name, p.default)).collect();
                [question.id.clone(), question.question.clone(), params.join(" ")]
            }),
        )
    })?;
    Ok(0)
}

pub async fn report(house: &Lakehouse, args: &args::Report, output: &Output) -> Result<u8> {
    let (Some(tenant), Some(name)) = (&args.tenant, &args.name) else {
        return Err(Error::input("a report is of one tenant; add --tenant NAME"));
    };
    let tenant = open(house, tenant).await?;
    let format = format(args.format, args.output.as_deref(), output)?;
    let session = session(house, &tenant).await?;
    let library = library(&house.settings)?;
    let asking = async { Ok(session.report(&library, name, &args.params).await?) };
    let answer = noted(house, &tenant, "report", name, spinning("asking", asking).await).await?;
    write(answer, format, args.output.as_deref()).await
}
