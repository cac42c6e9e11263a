//! `cape`: IEEPA duty by entry, what a phase of CAPE makes of each, the upload files, and the claim details read back.
//! Promise: a file holds one importer's entries in the template's form, and none that is there is overwritten.
//! Never: nothing is filed (19 U.S.C. 1641), and no Social Security number is shown whole unless settings allow it.

use std::{
    collections::{BTreeMap, HashMap},
    io::Write,
    path::Path,
};

use bonded_schemas::{
    TenantId,
    cape::{Subject, UploadFile, Verdict, cape_rules},
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
    refund::{self, Pack},
};

const SHOWN_MAX: usize = 50;

/// The pack, and the files that were written of it.
#[derive(Debug, Serialize)]
struct Told {
    #[serde(flatten)]
    pack: Pack,
    files: Vec<Written>,
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
    let tenant = open(house, named).await?;
    let today = args.today.unwrap_or(house.clock.now().date_naive());
    let mut pack = spinning("adding up IEEPA duty", refund::pack(house, &tenant, args.phase, today)).await?;
    let show_ssn = house.settings.display.show_ssn;
    let files = match &args.out {
        Some(folder) => write(folder, pack.files(args.unsure, show_ssn)?)?,
        None => Vec::new(),
    };
    tenant.audit(house.clock.as_ref(), "cape", named.as_str(), "done").await?;
    pack.mask(show_ssn);
    let files = files
        .into_iter()
        .map(|file| Written {
            importer_number: shown(&file.importer_number, show_ssn).into_owned(),
            file: file.name,
            entries: file.entries,
        })
        .collect();
    let told = Told { pack, files };
    output.object(&told, || text(&told))?;
    Ok(0)
}

/// All files or none: nothing is written when one of them is there already.
fn write(folder: &Path, files: Vec<UploadFile>) -> Result<Vec<UploadFile>> {
    let cannot = |path: &Path| {
        let message = format!("cannot write {}", path.display());
        move |error: std::io::Error| Error::input(message).with_source(error)
    };
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

fn text(told: &Told) -> String {
    let pack = &told.pack;
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
    if !told.files.is_empty() {
        let files = told.files.iter().map(|f| [f.file.clone(), f.importer_number.clone(), f.entries.to_string()]);
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
