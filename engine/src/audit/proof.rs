//! Checking an export, anywhere: no lake, no key, no network; only the export, the lake's public key and heads kept elsewhere.
//! Promise: a changed, missing, doubled or reordered event, a changed word anywhere in the file, and a tail that was cut off are
//! found; what cannot be told from the file alone is said so (whose key it is, whether heads were given).
//! Never: more than one record is held in memory, however long the export is.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, Read},
};

use bonded_connectors::{
    audit::chain::{self, Head, Running},
    seal::signing,
};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    AuditEvent, csv,
    export::{FORMAT, Form, Line},
    heads::ANCHORED,
};
use crate::error::{Error, ErrorKind, Result};

/// Longest record: an event has two values of some size, and stands twice in CSV.
const RECORD_BYTES_MAX: u64 = 16 << 20;

/// What the reader knows from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Of the lake, when it signed; more than one when its identity was made anew.
    pub public_keys: Vec<String>,
    pub heads: Vec<Head>,
}

/// What the export proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub chain: String,
    pub exported_at: DateTime<Utc>,
    pub head: Head,
    /// Events in plain text.
    pub selected: u64,
    /// Of these, from before there were commitments: their place in the chain is proven, their words are not.
    pub without_proof: u64,
    pub checkpoints: u64,
    /// Heads from elsewhere that the export was held against.
    pub heads_held_against: usize,
    /// Who signed. `false` beside it means that nobody said whose key that is.
    pub public_keys: BTreeSet<String>,
    pub keys_are_known: bool,
    /// Where the lake's own trail stood, as the checkpoints say.
    #[serde(skip)]
    pub anchors: Vec<(DateTime<Utc>, Head)>,
    /// Of a lake's trail: the heads of tenants' trails that it is an anchor of, by tenant.
    #[serde(skip)]
    pub anchored: BTreeMap<String, Vec<(DateTime<Utc>, Head)>>,
}

impl Verdict {
    /// Of the heads that another export tells of, those that this one must have: not what came after it was made.
    pub fn must_have(&self, told: &[(DateTime<Utc>, Head)]) -> Vec<Head> {
        let is_older = |(at, head): &&(DateTime<Utc>, Head)| *at <= self.exported_at || head.events <= self.head.events;
        told.iter().filter(is_older).map(|(_, head)| head.clone()).collect()
    }
}

/// # Errors
/// `Damaged` names the line and what is wrong there; `Input` when it is no export.
pub fn verify(mut export: impl BufRead, known: &Known) -> Result<Verdict> {
    let form = match export.fill_buf().map_err(unreadable)?.first() {
        Some(b'{') => Form::Jsonl,
        Some(b'k') => Form::Csv,
        _ => return Err(Error::input("this is no export of an audit trail: `bonded audit export` makes one")),
    };
    let mut records = Records { export, form, number: 0 };
    if form == Form::Csv && records.next()?.as_deref() != Some(csv::HEADER) {
        return Err(records.wrong("has another header"));
    }
    let mut check = Check::new(known);
    while let Some(record) = records.next()? {
        let told = match form {
            Form::Jsonl => check.json(&record),
            Form::Csv => {
                let json = csv::line_of(&record).ok_or_else(|| records.wrong("is no record of an export"))?;
                check.json(&json).and_then(|line| match csv::record(&line, &json) {
                    Ok(expected) if expected == record => Ok(line),
                    _ => Err("is not what its proof tells".into()),
                })
            }
        };
        told.map_err(|what| records.wrong(&what))?;
    }
    check.finish().map_err(|what| records.wrong(&what))
}

/// Reads line by line, or record by record.
struct Records<R> {
    export: R,
    form: Form,
    number: u64,
}

impl<R: BufRead> Records<R> {
    fn next(&mut self) -> Result<Option<String>> {
        let mut record = Vec::new();
        self.number += 1;
        loop {
            let left = RECORD_BYTES_MAX.saturating_sub(record.len() as u64);
            let read = (&mut self.export).take(left).read_until(b'\n', &mut record).map_err(unreadable)?;
            match (read, record.last()) {
                (0, None) => return Ok(None),
                (0, Some(_)) => return Err(self.wrong("is cut off, or too long")),
                (_, Some(b'\n')) if self.form == Form::Jsonl || !csv::is_open(&record) => break,
                _ => {}
            }
        }
        record.pop();
        String::from_utf8(record).map(Some).map_err(|_| self.wrong("is no text"))
    }

    fn wrong(&self, what: &str) -> Error {
        Error::new(ErrorKind::Damaged, format!("the export is not as it was written: line {} {what}", self.number))
    }
}

fn unreadable(error: std::io::Error) -> Error {
    Error::input("the export cannot be read").with_source(error)
}

struct Check<'a> {
    known: &'a Known,
    /// By number of events.
    heads: BTreeMap<i64, BTreeSet<&'a str>>,
    digest: Running,
    verdict: Option<Verdict>,
    export_key: String,
    ended: bool,
}

type Told<T> = std::result::Result<T, String>;

impl<'a> Check<'a> {
    fn new(known: &'a Known) -> Self {
        let mut heads: BTreeMap<i64, BTreeSet<&str>> = BTreeMap::new();
        for head in &known.heads {
            heads.entry(head.events).or_default().insert(&head.hash);
        }
        Self { known, heads, digest: Running::default(), verdict: None, export_key: String::new(), ended: false }
    }

    fn json(&mut self, json: &str) -> Told<Line> {
        if self.ended {
            return Err("comes after the end".into());
        }
        let line: Line = serde_json::from_str(json).map_err(|_| "is in no known form".to_owned())?;
        // One form a line, so that nothing can be said twice in it or between the words.
        if serde_json::to_string(&line).ok().as_deref() != Some(json) {
            return Err("is not in the form that is written".into());
        }
        match &line {
            Line::End(end) => self.end(end)?,
            other => {
                self.digest.update(json.as_bytes());
                self.digest.update(b"\n");
                self.one(other)?;
            }
        }
        Ok(line)
    }

    fn one(&mut self, line: &Line) -> Told<()> {
        if let Line::Head(head) = line {
            if self.verdict.is_some() || head.bonded_audit_export != FORMAT {
                return Err("begins another export, or one of a form that this program does not read".into());
            }
            self.export_key = head.public_key.clone();
            self.key(&head.public_key)?;
            self.verdict = Some(Verdict {
                chain: head.chain.clone(),
                exported_at: head.exported_at,
                head: Head::default(),
                selected: 0,
                without_proof: 0,
                checkpoints: 0,
                heads_held_against: self.known.heads.len(),
                public_keys: BTreeSet::from([head.public_key.clone()]),
                keys_are_known: !self.known.public_keys.is_empty(),
                anchors: Vec::new(),
                anchored: BTreeMap::new(),
            });
            return Ok(());
        }
        let Some(verdict) = &mut self.verdict else { return Err("comes before the export's own line".into()) };
        let before = verdict.head.hash.clone();
        let (seq, hash) = match line {
            Line::Event(event) => {
                verdict.selected += 1;
                let body = chain::body(&event.at, &chain::commitment(&event.event), &event.sealed_sha256);
                anchored(verdict, &event.at, &event.event)?;
                (event.seq, chain::link(&before, event.seq, &body))
            }
            Line::Old(old) => {
                verdict.selected += u64::from(old.event.is_some());
                verdict.without_proof += u64::from(old.event.is_some());
                (old.seq, chain::old_link(&before, old.seq, &old.at, &old.sealed))
            }
            Line::Other(other) => (other.seq, chain::link(&before, other.seq, &other.body)),
            Line::Checkpoint(signed) => {
                let says = signed.checked().map_err(|error| format!("is a checkpoint that does not hold: {error}"))?;
                if says.chain != verdict.chain || says.head != verdict.head {
                    return Err("is a checkpoint of another chain: events before it were changed, removed or added".into());
                }
                verdict.checkpoints += 1;
                verdict.anchors.extend(says.anchor.map(|lake| (says.at, lake)));
                verdict.public_keys.insert(signed.public_key.clone());
                return self.key(&signed.public_key);
            }
            Line::Head(_) | Line::End(_) => return Err("stands where it cannot stand".into()),
        };
        if seq != verdict.head.events + 1 {
            return Err(format!(
                "is event {seq} where event {} should be: events are missing, doubled or out of order",
                verdict.head.events + 1
            ));
        }
        verdict.head = Head { events: seq, hash };
        match self.heads.get(&seq) {
            Some(expected) if expected.iter().any(|expected| *expected != verdict.head.hash) => {
                Err(format!("does not lead to the head of event {seq} that is known from elsewhere"))
            }
            _ => Ok(()),
        }
    }

    fn key(&self, public_key: &str) -> Told<()> {
        match self.known.public_keys.is_empty() || self.known.public_keys.iter().any(|known| known.trim() == public_key) {
            true => Ok(()),
            false => Err(format!("is signed by {public_key}, which is none of the public keys given")),
        }
    }

    fn end(&mut self, end: &super::export::EndLine) -> Told<()> {
        let Some(verdict) = &self.verdict else { return Err("ends an export that did not begin".into()) };
        self.ended = true;
        let counted = (verdict.head.events, verdict.selected, verdict.head.hash.as_str());
        if counted != (end.events, end.selected, end.head.as_str()) {
            return Err("tells of other events than those before it".into());
        }
        if end.lines_sha256 != std::mem::take(&mut self.digest).finish() {
            return Err("is the end of other lines than those before it".into());
        }
        signing::verify(&self.export_key, end.text(&verdict.chain).as_bytes(), &end.signature)
            .map_err(|_| "is not signed by the key that the export names".to_owned())?;
        // A signature has one text, too.
        if end.signature.trim() != end.signature || self.export_key.trim() != self.export_key {
            return Err("is not in the form that is written".into());
        }
        Ok(())
    }

    fn finish(self) -> Told<Verdict> {
        let Some(verdict) = self.verdict.filter(|_| self.ended) else { return Err("should be the end, and is missing".into()) };
        match self.heads.last_key_value() {
            Some((events, _)) if *events > verdict.head.events => Err(format!(
                "is the end, after {} events, of a trail that is known from elsewhere to have had {events}: its tail was cut off",
                verdict.head.events
            )),
            _ => Ok(verdict),
        }
    }
}

/// Notes an event that anchors a tenant's checkpoint.
fn anchored(verdict: &mut Verdict, at: &str, plain: &str) -> Told<()> {
    let event: AuditEvent = serde_json::from_str(plain).map_err(|_| "is an event in no known form".to_owned())?;
    if let Some((tenant, head)) = anchor(&event) {
        let at = super::meta::time(at).map_err(|error| error.to_string())?;
        verdict.anchored.entry(tenant).or_default().push((at, head));
    }
    Ok(())
}

/// The tenant and the head that an event of the lake's trail is an anchor of.
pub(crate) fn anchor(event: &AuditEvent) -> Option<(String, Head)> {
    let after = event.after.as_ref().filter(|_| event.action == ANCHORED)?;
    let head = Head { events: after.get("events")?.as_i64()?, hash: after.get("head")?.as_str()?.to_owned() };
    Some((event.object.clone(), head))
}
