//! An export as CSV: a record for each line of it, for people and their spreadsheets, with the line itself as its last column.
//! Promise: each record has one form, made of its line, so that a changed cell is seen; no cell begins like a formula.

use super::{AuditEvent, Entry, export::Line};
use crate::error::{Error, ErrorKind, Result};

pub const HEADER: &str = "kind,seq,at,actor,role,ip,request_id,action,object,result,before,after,proof";
const COLUMNS: usize = 13;
/// Of a trail that is listed, without proof.
pub const LISTED: &str = "seq,at,actor,role,ip,request_id,action,object,result,before,after";

/// The record of one line, without an end of line.
pub fn record(line: &Line, json: &str) -> Result<String> {
    let mut cells: [String; COLUMNS] = Default::default();
    let mut fill = |seq: i64, at: &str, plain: Option<&str>| -> Result<()> {
        (cells[1], cells[2]) = (seq.to_string(), at.to_owned());
        let Some(plain) = plain else { return Ok(()) };
        let event: AuditEvent = serde_json::from_str(plain)
            .map_err(|error| Error::new(ErrorKind::Damaged, format!("event {seq} is in no known form")).with_source(error))?;
        cells[3..12].clone_from_slice(&of_event(&event));
        Ok(())
    };
    let kind = match line {
        Line::Head(_) => "export",
        Line::Event(event) => {
            fill(event.seq, &event.at, Some(&event.event))?;
            "event"
        }
        Line::Old(old) => {
            fill(old.seq, &old.at, old.event.as_deref())?;
            if old.event.is_some() { "event without proof" } else { "not selected" }
        }
        Line::Other(other) => {
            cells[1] = other.seq.to_string();
            "not selected"
        }
        Line::Checkpoint(_) => "checkpoint",
        Line::End(_) => "end",
    };
    cells[0] = kind.to_owned();
    cells[COLUMNS - 1] = json.to_owned();
    Ok(cells.iter().map(|cell| shown(cell)).collect::<Vec<_>>().join(","))
}

/// An event's record in a list without proof.
pub fn listed(entry: &Entry) -> String {
    let place = [entry.row.seq.to_string(), entry.row.at.clone()];
    place.iter().chain(&of_event(&entry.event)).map(|cell| shown(cell)).collect::<Vec<_>>().join(",")
}

fn of_event(event: &AuditEvent) -> [String; 9] {
    let AuditEvent { actor, action, object, result, before, after } = event;
    let value = |value: &Option<serde_json::Value>| value.as_ref().map(ToString::to_string).unwrap_or_default();
    [
        actor.name.clone(),
        actor.role.map(|role| role.to_string()).unwrap_or_default(),
        actor.ip.map(|ip| ip.to_string()).unwrap_or_default(),
        actor.request_id.clone().unwrap_or_default(),
        action.clone(),
        object.clone(),
        result.clone(),
        value(before),
        value(after),
    ]
}

/// The line that a record was made of: its last cell.
pub fn line_of(record: &str) -> Option<String> {
    let mut cells = vec![String::new()];
    let (mut quoted, mut chars) = (false, record.chars().peekable());
    while let Some(c) = chars.next() {
        match (quoted, c) {
            (true, '"') if chars.peek() == Some(&'"') => {
                chars.next();
                cells.last_mut()?.push('"');
            }
            (_, '"') => quoted = !quoted,
            (false, ',') => cells.push(String::new()),
            (_, c) => cells.last_mut()?.push(c),
        }
    }
    (cells.len() == COLUMNS && !quoted).then(|| cells.pop())?
}

/// Whether a text ends within a quoted cell: the record goes on in the next line.
pub fn is_open(text: &[u8]) -> bool {
    text.iter().filter(|byte| **byte == b'"').count() % 2 == 1
}

/// Quoted where it must be; what a spreadsheet would take for a formula begins with an apostrophe.
fn shown(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if formula { format!("'{cell}") } else { cell.to_owned() };
    match cell.contains(['"', ',', '\n', '\r', '\'']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    }
}
