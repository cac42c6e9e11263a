//! The demo: two fictional importers, their reports with planted discrepancies, and what Bonded makes of them.
//! Promise: the same seed makes the same files, and the tie-out is held against what was planted.

use bonded_queries::CheckResult;
use bonded_schemas::{Channel, Report};
use chrono::TimeZone;

use crate::{
    error::{Error, ErrorKind, Result},
    ingest::{Ingested, Source, ingest},
    lakehouse::{Lakehouse, Tenant},
};

pub mod corpus;

use corpus::{Corpus, Expected, ExtraColumn, Layout, Plan};

/// The two tenants, plainly fictional.
pub const TENANTS: [&str; 2] = ["fictional-lantern", "fictional-kettle"];

/// Of each kind of discrepancy, in each tenant's reports.
const PLANTED_EACH: usize = 2;

/// What the demo delivers for the tenant at `index`.
pub fn corpus(index: usize, entries: u32, seed: u64) -> Result<Corpus> {
    let mut plan = Plan::new(seed.wrapping_add(index as u64), entries).planting(PLANTED_EACH);
    if index == 1 {
        plan.importer = "Fictional Kettle Works LLC".into();
        plan.importer_number = "00-7654321AA".into();
        plan.filer_code = "QY7".into();
        // What CBP may do any day: a column nobody announced, and one under an older name.
        let drifted = Layout {
            renamed: vec![("Country of Origin Code".into(), "Country of Origin".into())],
            extra: vec![ExtraColumn::last("Special Program Fee", ["1.25", "", "3.50"])],
            ..Layout::default()
        };
        plan.layouts.insert(Report::Es003, drifted);
    }
    Corpus::new(plan).map_err(|error| Error::input(error.to_string()))
}

/// Delivers the three reports of a corpus, pulled on one day.
pub async fn deliver(house: &Lakehouse, tenant: &Tenant, corpus: &Corpus) -> Result<Vec<Ingested>> {
    let as_of = corpus
        .plan()
        .report_date()
        .and_hms_opt(6, 0, 0)
        .map(|time| chrono::Utc.from_utc_datetime(&time))
        .ok_or_else(|| Error::new(ErrorKind::Internal, "the corpus has no report date"))?;
    // No report is of a time to come.
    let as_of = as_of.min(house.clock.now());
    let mut done = Vec::with_capacity(Report::ENTRY_SUMMARIES.len());
    for report in Report::ENTRY_SUMMARIES {
        let mut bytes = Vec::new();
        corpus
            .write(report, &mut bytes)
            .map_err(|error| Error::new(ErrorKind::Internal, "the corpus cannot be written").with_source(error))?;
        let file_name = Corpus::file_name(report).to_owned();
        let mut bytes = std::io::Cursor::new(bytes);
        let source =
            Source { file_name, bytes: &mut bytes, channel: Channel::Console, as_of: Some(as_of), envelope: None, poa: None };
        done.push(ingest(house, tenant, source).await?);
    }
    Ok(done)
}

/// The tie-out held against what was planted: what it missed, and what it named without cause.
pub fn compare(corpus: &Corpus, results: &[CheckResult]) -> (Vec<Expected>, Vec<Expected>) {
    let found: Vec<Expected> = results
        .iter()
        .flat_map(|result| result.findings())
        .map(|finding| {
            let (expected, actual) = (finding.expected.clone(), finding.actual.clone());
            Expected::found(&finding.check, &finding.entry_summary_number, finding.entry_summary_line_number, expected, actual)
        })
        .collect();
    let planted = corpus.expected_findings();
    let missed = planted.iter().filter(|expected| !found.contains(expected)).cloned().collect();
    let unplanted = found.iter().filter(|finding| !planted.contains(finding)).cloned().collect();
    (missed, unplanted)
}
