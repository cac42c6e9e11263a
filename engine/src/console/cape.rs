//! `cape`: IEEPA duty by entry, what a phase of CAPE makes of each, the upload files, and the claim details read back.
//! Promise: a file holds one importer's entries in the template's form, and none that is there is overwritten.
//! Never: nothing is filed (19 U.S.C. 1641), and no Social Security number is shown whole unless settings allow it.

use std::{
    collections::{BTreeMap, HashMap},
    io::Write,
    path::Path,
};

use bonded_queries::cape::{CapeEntry, Claim as ClaimOf};
use bonded_schemas::{
    TenantId,
    cape::{ClaimState, NOT_IN_REPORTS, Phase, Subject, UploadFile, Verdict, cape_rules, uploads},
    entry_facts::dollars,
    importer_number::shown,
};
use serde::Serialize;

use super::{
    args::{self, CapeAction},
    open,
    output::{Output, table},
    progress::spinning,
};
use crate::{
    answers::unmasked_session,
    claims::{self, Claim},
    error::{Error, Result},
    lakehouse::Lakehouse,
    rules,
};

const SHOWN_MAX: usize = 50;

/// The whole answer.
#[derive(Debug, Serialize)]
struct Pack {
    phase: u8,
    today: chrono::NaiveDate,
    /// Why no declaration is taken on this day, if none is.
    closed: Option<String>,
    importers: Vec<Importer>,
    entries: Vec<CapeEntry>,
    files: Vec<Written>,
    /// Claims of entries that have no IEEPA number in ES-003, by entry number.
    claims_of_others: BTreeMap<String, Vec<ClaimOf>>,
    not_in_reports: &'static str,
}

/// Entries and dollars of one importer of record, by verdict.
#[derive(Debug, Default, Serialize)]
struct Importer {
    importer_number: String,
    eligible: u64,
    eligible_paid: String,
    cannot_tell: u64,
    cannot_tell_paid: String,
    excluded: u64,
    excluded_paid: String,
}

#[derive(Debug, Serialize)]
struct Written {
    file: String,
    importer_number: String,
    entries: usize,
}

pub async fn cape(house: &Lakehouse, args: &args::Cape, output: &Output) -> Result<u8> {
    if let Some(CapeAction::Read { tenant, file }) = &args.action {
        return read(house, tenant, file, output).await;
    }
    let named = args.tenant.as_ref().ok_or_else(|| Error::input("name the tenant with --tenant or BONDED_TENANT"))?;
    let phases = rules::book(&house.settings)?.phases();
    let phase = phases.iter().find(|phase| phase.number == args.phase).ok_or_else(|| {
        let known: Vec<String> = phases.iter().map(|phase| phase.number.to_string()).collect();
        Error::input(format!("CAPE has no phase {}; known: {}", args.phase, known.join(", ")))
    })?;
    let tenant = open(house, named).await?;
    let today = args.today.unwrap_or(house.clock.now().date_naive());
    let closed = phase.is_open(today).err();
    if let (Some(why), Some(_)) = (&closed, &args.out) {
        return Err(Error::input(format!("no upload file was written: {why}")));
    }
    let session = unmasked_session(house, &tenant).await?;
    let mut entries = spinning("adding up IEEPA duty", session.cape(phase, today)).await?;
    let mut claims_of_others = session.claims().await?;
    entries.iter().for_each(|entry| drop(claims_of_others.remove(&entry.entry_summary_number)));
    let show_ssn = house.settings.display.show_ssn;
    let files = match &args.out {
        Some(folder) => write(folder, phase, &entries, args.unsure, show_ssn)?,
        None => Vec::new(),
    };
    tenant.audit(house.clock.as_ref(), "cape", named.as_str(), "done").await?;
    let importers = by_importer(&entries, show_ssn);
    for entry in &mut entries {
        entry.importer_number = entry.importer_number.as_deref().map(|number| shown(number, show_ssn).into_owned());
    }
    let files = files
        .into_iter()
        .map(|file| Written {
            importer_number: shown(&file.importer_number, show_ssn).into_owned(),
            file: file.name,
            entries: file.entries,
        })
        .collect();
    let pack =
        Pack { phase: phase.number, today, closed, importers, entries, files, claims_of_others, not_in_reports: NOT_IN_REPORTS };
    output.object(&pack, || text(&pack))?;
    Ok(0)
}

/// All files or none: nothing is written when one of them is there already.
fn write(folder: &Path, phase: &Phase, entries: &[CapeEntry], unsure: bool, show_ssn: bool) -> Result<Vec<UploadFile>> {
    let cannot = |path: &Path| {
        let message = format!("cannot write {}", path.display());
        move |error: std::io::Error| Error::input(message).with_source(error)
    };
    // What CAPE took already it would refuse as a duplicate.
    let is_free = |entry: &CapeEntry| match entry.claim_state() {
        None | Some(ClaimState::Failed) => true,
        Some(ClaimState::Unknown) => unsure,
        Some(ClaimState::Taken) => false,
    };
    let is_judged = |entry: &CapeEntry| entry.verdict == Verdict::Eligible || (unsure && entry.verdict == Verdict::CannotTell);
    let taken = |entry: &&CapeEntry| is_judged(entry) && is_free(entry);
    // Without an importer an entry belongs to no declaration, whatever else is known of it.
    let chosen =
        entries.iter().filter(taken).filter_map(|e| Some((e.importer_number.as_deref()?, e.entry_summary_number.as_str())));
    let files = uploads(phase.number, chosen, show_ssn);
    if let Some(there) = files.iter().map(|file| folder.join(&file.name)).find(|path| path.exists()) {
        return Err(Error::input(format!("{} is there already: name another folder, nothing was written", there.display())));
    }
    std::fs::create_dir_all(folder).map_err(cannot(folder))?;
    for file in &files {
        let path = folder.join(&file.name);
        let mut made = std::fs::File::create_new(&path).map_err(cannot(&path))?;
        made.write_all(file.text.as_bytes()).and_then(|()| made.sync_all()).map_err(cannot(&path))?;
    }
    Ok(files)
}

fn by_importer(entries: &[CapeEntry], show_ssn: bool) -> Vec<Importer> {
    let mut sums: BTreeMap<&str, [(u64, i128); 3]> = BTreeMap::new();
    for entry in entries {
        let sums = sums.entry(entry.importer_number.as_deref().unwrap_or_default()).or_default();
        let (count, paid) = &mut sums[entry.verdict as usize];
        *count += 1;
        *paid += entry.paid_cents;
    }
    let importer = |(number, [eligible, cannot_tell, excluded]): (&str, [(u64, i128); 3])| Importer {
        importer_number: shown(number, show_ssn).into_owned(),
        eligible: eligible.0,
        eligible_paid: dollars(eligible.1),
        cannot_tell: cannot_tell.0,
        cannot_tell_paid: dollars(cannot_tell.1),
        excluded: excluded.0,
        excluded_paid: dollars(excluded.1),
    };
    sums.into_iter().map(importer).collect()
}

fn text(pack: &Pack) -> String {
    let mut out = format!("CAPE phase {} on {}\n", pack.phase, pack.today);
    if let Some(why) = &pack.closed {
        out.push_str(&format!("{why}\n"));
    }
    out.push('\n');
    let importers = pack.importers.iter().map(|i| {
        let number = if i.importer_number.is_empty() { "(unknown)".to_owned() } else { i.importer_number.clone() };
        let counts = [i.eligible, i.cannot_tell, i.excluded].map(|count| count.to_string());
        let [eligible, cannot_tell, excluded] = counts;
        [number, eligible, i.eligible_paid.clone(), cannot_tell, i.cannot_tell_paid.clone(), excluded, i.excluded_paid.clone()]
    });
    out.push_str(&table(["importer", "eligible", "paid", "cannot tell", "paid", "excluded", "paid"], importers));
    let mut reasons: BTreeMap<(Verdict, Subject), (u64, &str)> = BTreeMap::new();
    for reason in pack.entries.iter().flat_map(|entry| &entry.reasons) {
        reasons.entry((reason.verdict, reason.subject)).or_insert((0, reason.text.as_str())).0 += 1;
    }
    let reasons = reasons
        .into_iter()
        .map(|((verdict, _), (count, text))| [verdict.as_str().to_owned(), count.to_string(), text.to_owned()]);
    out.push_str("\n\n");
    out.push_str(&table(["verdict", "entries", "why (of the first)"], reasons));
    let claims = claimed(pack);
    if !claims.is_empty() {
        let rows = claims.into_iter().map(|((status, why), (count, paid))| [status, count.to_string(), dollars(paid), why]);
        out.push_str("\n\n");
        out.push_str(&table(["claim status", "entries", "paid", "why"], rows));
    }
    if !pack.files.is_empty() {
        let files = pack.files.iter().map(|f| [f.file.clone(), f.importer_number.clone(), f.entries.to_string()]);
        out.push_str("\n\n");
        out.push_str(&table(["file", "importer", "entries"], files));
    }
    out.push_str(&format!("\n\n{}", pack.not_in_reports));
    out
}

/// Entries and what they paid, by status and error of their latest claim.
fn claimed(pack: &Pack) -> BTreeMap<(String, String), (u64, i128)> {
    let mut sums: BTreeMap<(String, String), (u64, i128)> = BTreeMap::new();
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    let ours = pack.entries.iter().map(|entry| (entry.claims.first(), entry.paid_cents));
    let others = pack.claims_of_others.values().map(|claims| (claims.first(), 0));
    for (claim, paid) in ours.chain(others) {
        let Some(claim) = claim else { continue };
        let (count, sum) = sums.entry((text(&claim.status), text(&claim.error_description))).or_default();
        (*count, *sum) = (*count + 1, *sum + paid);
    }
    sums
}

/// A claim beside what our tables say of its entry.
#[derive(Debug, Serialize)]
struct Joined {
    #[serde(flatten)]
    claim: Claim,
    /// Whether ES-003 has an IEEPA number on the entry.
    known: bool,
    paid: Option<String>,
}

async fn read(house: &Lakehouse, named: &TenantId, file: &Path, output: &Output) -> Result<u8> {
    let tenant = open(house, named).await?;
    let claims = claims::read(file, house.settings.query.rows_max).await?;
    let session = unmasked_session(house, &tenant).await?;
    let today = house.clock.now().date_naive();
    // What was paid is the same in every phase.
    let phase = cape_rules().phases.first().ok_or_else(|| Error::setup("the CAPE rules have no phase"))?;
    let entries = spinning("looking up entries", session.cape(phase, today)).await?;
    let paid: HashMap<&str, &str> =
        entries.iter().map(|entry| (entry.entry_summary_number.as_str(), entry.paid.as_str())).collect();
    tenant.audit(house.clock.as_ref(), "cape.read", named.as_str(), "done").await?;
    let joined: Vec<Joined> = claims
        .into_iter()
        .map(|claim| {
            let paid = paid.get(claim.entry_number.as_str()).map(|paid| (*paid).to_owned());
            Joined { known: paid.is_some(), paid, claim }
        })
        .collect();
    output.list(&joined, || claims_text(&joined))?;
    Ok(0)
}

fn claims_text(joined: &[Joined]) -> String {
    let rows = joined.iter().take(SHOWN_MAX).map(|j| {
        let c = &j.claim;
        let paid = j.paid.clone().unwrap_or("(not ours)".into());
        [c.entry_number.clone(), c.claim_number.clone(), c.status.clone(), paid, c.error_description.clone()]
    });
    let mut out = table(["entry", "claim", "status", "paid", "why"], rows);
    if joined.len() > SHOWN_MAX {
        out.push_str(&format!("\n({} more with --json)", joined.len() - SHOWN_MAX));
    }
    let mut statuses: BTreeMap<&str, u64> = BTreeMap::new();
    for j in joined {
        *statuses.entry(j.claim.status.as_str()).or_default() += 1;
    }
    out.push_str("\n\n");
    out.push_str(&table(
        ["status", "entries"],
        statuses.into_iter().map(|(status, count)| [status.to_owned(), count.to_string()]),
    ));
    out
}
