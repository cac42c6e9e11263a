//! An export of a trail: the events that were asked for in plain text, every other one as a digest, the checkpoints between
//! them, and the lake's signature over all lines.
//! Promise: it can be checked to the last byte by anybody with the public key, without the lake and without a key; of events
//! that were not asked for it tells their number and nothing else.
//! Never: a key, or the sealed text of an event, is in it; but of events from before there were commitments the sealed text is
//! what the chain was made of, so it is.

use std::{collections::BTreeMap, io::Write};

use bonded_connectors::audit::{
    Signed,
    chain::{self, Head, Running},
    checkpoint::chain_name,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Entry, csv, trail::Filter};
use crate::{
    error::{Error, ErrorKind, Result},
    lakehouse::{Lakehouse, Tenant},
};

/// Of the export's own form.
pub const FORMAT: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// One JSON object a line
    Jsonl,
    /// A table for spreadsheets, with the proof in its last column
    Csv,
}

/// One line of an export. Events come in the order of the chain, from the first; a checkpoint follows the event it is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    Head(HeadLine),
    Event(EventLine),
    Old(OldLine),
    Other(OtherLine),
    Checkpoint(Signed),
    End(EndLine),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadLine {
    pub bonded_audit_export: u32,
    /// `lake`, or `tenant <name>`.
    pub chain: String,
    pub exported_at: DateTime<Utc>,
    pub filter: Filter,
    pub public_key: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventLine {
    pub seq: i64,
    pub at: String,
    /// The text that was sealed and committed to, to the byte.
    pub event: String,
    pub sealed_sha256: String,
}

/// An event from before there were commitments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OldLine {
    pub seq: i64,
    pub at: String,
    pub sealed: String,
    /// Not bound to the sealed text in a way that could be checked without a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
}

/// An event that was not asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherLine {
    pub seq: i64,
    pub body: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndLine {
    pub events: i64,
    pub selected: u64,
    pub head: String,
    /// Of all lines before this one as JSON lines, in whichever form the export is.
    pub lines_sha256: String,
    /// By the key that the first line names.
    pub signature: String,
}

impl EndLine {
    /// What is signed.
    pub fn text(&self, chain: &str) -> String {
        let Self { events, selected, head, lines_sha256, .. } = self;
        format!(
            "bonded audit export {FORMAT}\nchain: {chain}\nevents: {events}\nselected: {selected}\nhead: {head}\nlines: {lines_sha256}\n"
        )
    }
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exported {
    pub chain: String,
    pub head: Head,
    pub selected: u64,
    /// Selected, and from before there were commitments.
    pub without_proof: u64,
    pub checkpoints: u64,
    pub public_key: String,
}

/// Of a tenant's trail, or the lake's own without one. The head is signed first, so that the last checkpoint is of it.
pub async fn export(
    house: &Lakehouse,
    tenant: Option<&Tenant>,
    filter: &Filter,
    form: Form,
    out: &mut (dyn Write + Send),
) -> Result<Exported> {
    let (entries, signed) = match tenant {
        Some(tenant) => {
            house.checkpoint(tenant).await?;
            (tenant.entries().await?, tenant.ledger.checkpoints().await?)
        }
        None => {
            house.checkpoint_lake().await?;
            (house.entries().await?, house.control().checkpoints().await?)
        }
    };
    let chain = chain_name(tenant.map(|tenant| tenant.scope.tenant().as_str()));
    let signer = &house.identity().await?.auditor;
    let head = HeadLine {
        bonded_audit_export: FORMAT,
        chain,
        exported_at: house.clock.now(),
        filter: filter.clone(),
        public_key: signer.public_key(),
    };
    write(head, &entries, &signed, form, &|text| signer.sign(text.as_bytes()), out)
}

/// Writes the lines; `sign` is the key that the first line names.
pub(super) fn write(
    head: HeadLine,
    entries: &[Entry],
    signed: &[Signed],
    form: Form,
    sign: &(dyn Fn(&str) -> String + Sync),
    out: &mut (dyn Write + Send),
) -> Result<Exported> {
    let (chain, filter, public_key) = (head.chain.clone(), head.filter.clone(), head.public_key.clone());
    let mut by_events: BTreeMap<i64, &Signed> = BTreeMap::new();
    for signed in signed {
        by_events.insert(signed.checked()?.head.events, signed);
    }
    let mut writer = Writer { form, out, digest: Running::default() };
    writer.begin()?;
    writer.line(&Line::Head(head))?;
    let mut told = Exported { chain, head: Head::default(), selected: 0, without_proof: 0, checkpoints: 0, public_key };
    for entry in entries {
        let row = &entry.row;
        let selected = filter.holds(entry);
        told.selected += u64::from(selected);
        let line = match (&row.commitment, selected) {
            (Some(_), true) => Line::Event(EventLine {
                seq: row.seq,
                at: row.at.clone(),
                event: entry.plain.clone(),
                sealed_sha256: chain::sha256(&row.sealed),
            }),
            (Some(commitment), false) => {
                Line::Other(OtherLine { seq: row.seq, body: chain::body(&row.at, commitment, &chain::sha256(&row.sealed)) })
            }
            (None, selected) => {
                told.without_proof += u64::from(selected);
                let event = selected.then(|| entry.plain.clone());
                Line::Old(OldLine { seq: row.seq, at: row.at.clone(), sealed: row.sealed.clone(), event })
            }
        };
        writer.line(&line)?;
        if let Some(signed) = by_events.get(&row.seq) {
            told.checkpoints += 1;
            writer.line(&Line::Checkpoint((*signed).clone()))?;
        }
        told.head = Head { events: row.seq, hash: row.hash.clone() };
    }
    let mut end = EndLine {
        events: told.head.events,
        selected: told.selected,
        head: told.head.hash.clone(),
        lines_sha256: writer.digest.clone().finish(),
        signature: String::new(),
    };
    end.signature = sign(&end.text(&told.chain));
    writer.line(&Line::End(end))?;
    Ok(told)
}

struct Writer<'a> {
    form: Form,
    out: &'a mut (dyn Write + Send),
    digest: Running,
}

impl Writer<'_> {
    fn begin(&mut self) -> Result<()> {
        match self.form {
            Form::Jsonl => Ok(()),
            Form::Csv => writeln!(self.out, "{}", csv::HEADER).map_err(unwritten),
        }
    }

    fn line(&mut self, line: &Line) -> Result<()> {
        let json = serde_json::to_string(line)?;
        self.digest.update(json.as_bytes());
        self.digest.update(b"\n");
        let text = match self.form {
            Form::Jsonl => json,
            Form::Csv => csv::record(line, &json)?,
        };
        writeln!(self.out, "{text}").map_err(unwritten)
    }
}

fn unwritten(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Setup, "the export cannot be written").with_source(error)
}
