//! The judge: every loaded cell against the clean one, every lost row against the rejects.
//! Promise: a row that differs in one cell, stands at another place, or is gone without a reject that covers it is wrong.
//! Never: the parser is not asked what a clean value is; dates and amounts are read here by their own few lines.

use std::collections::{BTreeSet, HashMap};

use bonded_schemas::{ColumnType, QuarantineReason, delivery::RejectScope};

use super::{
    load::{Loaded, Row, Table},
    sheet::{Column, Place, Polluted, Sheet},
};

/// What the loader made of one polluted file.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every cell of every row.
    Right,
    /// Every cell of the rows that are there; so many are rejects at their own place, so many lie inside such a reject.
    Rejected {
        rows: usize,
        swallowed: usize,
    },
    Quarantined(QuarantineReason),
    Wrong(String),
}

pub fn judge(sheet: &Sheet, file: &Polluted, places: &[Place], loaded: &Loaded) -> Verdict {
    match loaded {
        Loaded::Quarantined(quarantine) if file.reasons.contains(&quarantine.reason) => Verdict::Quarantined(quarantine.reason),
        Loaded::Quarantined(quarantine) => {
            Verdict::Wrong(format!("quarantined as {:?}: {}", quarantine.reason, excerpt(&quarantine.message)))
        }
        Loaded::Rows(table) => rows(sheet, file, places, table).unwrap_or_else(Verdict::Wrong),
    }
}

fn rows(sheet: &Sheet, file: &Polluted, places: &[Place], table: &Table) -> Result<Verdict, String> {
    if let Some(kind) = file.must_tell
        && !table.findings.iter().any(|finding| finding.kind == kind)
    {
        return Err(format!("loaded without telling {kind:?}"));
    }
    let by_line: HashMap<u64, &Place> = places.iter().map(|place| (place.line, place)).collect();
    let mut found = BTreeSet::new();
    for row in &table.rows {
        let place = by_line.get(&row.line);
        let place = place.ok_or_else(|| format!("line {} became a row and is none: {:?}", row.line, row.cells.values()))?;
        if place.byte != row.byte {
            return Err(format!("the row of line {} is said to be at byte {}, it is at {}", row.line, row.byte, place.byte));
        }
        if !found.insert(place.row) {
            return Err(format!("line {} became two rows", row.line));
        }
        cells(sheet, file, place, row).map_err(|wrong| format!("{wrong} (told: {})", table.told.join(", ")))?;
    }
    let rejects: Vec<(u64, u64)> =
        table.rejects.iter().filter(|reject| reject.scope == RejectScope::Row).map(|reject| (reject.line, reject.byte)).collect();
    let (mut lost, mut swallowed) = (0, 0);
    for place in places.iter().filter(|place| !found.contains(&place.row)) {
        if rejects.contains(&(place.line, place.byte)) {
            if !file.touched.contains(&place.row) {
                let reason = table.rejects.iter().find(|reject| reject.line == place.line).map(|reject| reject.reason.as_str());
                return Err(format!("the clean row at line {} was rejected: {}", place.line, reason.unwrap_or_default()));
            }
            lost += 1;
        } else if covered(file, places, table, place) {
            swallowed += 1;
        } else {
            return Err(format!("the row at line {} is neither in the table nor among the rejects", place.line));
        }
    }
    Ok(if lost + swallowed == 0 { Verdict::Right } else { Verdict::Rejected { rows: lost, swallowed } })
}

/// Whether the nearest record before a lost row is the reject of a touched one, which therefore holds its bytes.
fn covered(file: &Polluted, places: &[Place], table: &Table, lost: &Place) -> bool {
    let rejects = table.rejects.iter().filter(|reject| reject.scope == RejectScope::Row).map(|reject| reject.line);
    let Some(reject) = rejects.filter(|line| *line < lost.line).max() else { return false };
    let row_between = table.rows.iter().any(|row| (reject..=lost.line).contains(&row.line));
    !row_between && places.iter().any(|place| place.line == reject && file.touched.contains(&place.row))
}

fn cells(sheet: &Sheet, file: &Polluted, place: &Place, row: &Row) -> Result<(), String> {
    let mut accounted: BTreeSet<&str> = BTreeSet::new();
    for (column, Column { name, field, kind }) in sheet.columns.iter().enumerate() {
        if file.absent.contains(&column) {
            continue;
        }
        let clean = sheet.rows[place.row][column].as_str();
        let spoilt = file.spoilt.get(&(place.row, column)).map(Vec::as_slice).unwrap_or_default();
        let wrong = |found: &str| Err(format!("line {}, `{name}`: {:?} became {:?}", place.line, excerpt(clean), excerpt(found)));
        if file.renamed.contains(&column) {
            let texts = row.rescued.values().chain(row.cells.values()).map(|text| text.trim());
            let typed = kind.map(|kind| canonical(kind, clean)).unwrap_or_default();
            let kept = clean.is_empty() || texts.into_iter().any(|text| text == clean.trim() || text == typed);
            accounted.insert(field);
            if !kept {
                return wrong("nothing, in no column");
            }
            continue;
        }
        let Some(kind) = *kind else {
            // A column that no edition has: its text is kept, byte for byte but for white space around it.
            let kept = row.rescued.get(name).map(|text| text.trim()).unwrap_or_default();
            if kept != clean.trim() && !spoilt.iter().any(|text| text.trim() == kept) {
                return wrong(kept);
            }
            continue;
        };
        accounted.insert(field);
        let canonical = canonical(kind, clean);
        match row.cells.get(field) {
            Some(text) if *text == canonical || spoilt.contains(text) => {}
            Some(text) => return wrong(text),
            None if clean.is_empty() => {}
            // A spoilt cell that fails its type is null, and its text is kept.
            None => match row.rescued.get(name) {
                Some(text) if spoilt.iter().any(|spoilt| spoilt.trim() == text.trim()) => {}
                kept => return wrong(kept.map_or("nothing", String::as_str)),
            },
        }
    }
    match row.cells.iter().find(|(field, _)| !accounted.contains(field.as_str())) {
        Some((field, text)) if file.renamed.is_empty() => {
            Err(format!("line {}: `{field}` is not in the file and became {:?}", place.line, excerpt(text)))
        }
        _ => Ok(()),
    }
}

/// The value as a table shows it. The base file is in the corpus' plainest dress, so little is needed.
fn canonical(kind: ColumnType, text: &str) -> String {
    let decimals = |places: usize| {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        format!("{whole}.{fraction:0<places$}")
    };
    match kind {
        _ if text.is_empty() => String::new(),
        ColumnType::Text(_) | ColumnType::Integer => text.to_owned(),
        ColumnType::Money => decimals(2),
        ColumnType::Quantity => decimals(4),
        ColumnType::Date => match text.split('/').collect::<Vec<_>>()[..] {
            [month, day, year] => format!("{year}-{month}-{day}"),
            _ => panic!("the corpus writes month, day and year"),
        },
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(160).collect()
}
