//! What the values say: columns that no longer hold what they are typed as, and unknown columns that are
//! probably missing ones under another name.
//! Promise: proposals only ever pair an unknown column with an absent one, each at most once.
//! Never: nothing here binds, drops or stops anything; a person accepts.

use std::collections::HashSet;

use super::{
    Binding, Bound, ColumnProfile, Drift, DriftFinding, DriftKind, Proposal, delivered_name,
    likeness::{Likeness, Name},
};
use crate::{
    edition::{Column, ColumnType, Required},
    finding::Severity,
};

/// Below this a proposal would be a guess.
const CONFIDENCE_MIN: u8 = 55;
/// For a column that users add at will: its absence is normal, so the name has to speak louder.
const CONFIDENCE_MIN_OPTIONAL: u8 = 70;
/// Names less alike than this are not paired, whatever the values.
const LIKENESS_MIN: f64 = 0.45;
/// Most unknown columns that are looked at; a header with more is not a report with a few renames.
const ADDED_MAX: usize = 200;
/// Fewest cells that can show that a text column changed its meaning.
const CELLS_MIN: u64 = 5;

/// Adds what the values say to the drift of the header: retyped columns, and rename proposals with both witnesses.
///
/// `profiles` holds one per header position; positions without one are judged by name alone. Running it again on
/// the same drift replaces what it said before.
pub fn judge_values(drift: &mut Drift, binding: &Binding, header: &[String], profiles: &[ColumnProfile]) {
    drift.findings.retain(|finding| finding.kind != DriftKind::Retyped);
    for (position, (bound, profile)) in binding.bound.iter().zip(profiles).enumerate() {
        match bound {
            Bound::Column(column) => {
                drift.findings.extend(retyped(&delivered_name(header, position), &binding.columns[*column], profile))
            }
            Bound::Unknown(_) => raise_nameless(drift, header, position, profile),
        }
    }
    propose(drift, binding, header, Some(profiles));
}

fn retyped(name: &str, column: &Column, profile: &ColumnProfile) -> Option<DriftFinding> {
    let filled = profile.cells.saturating_sub(profile.empty);
    let found = looks_like(profile, filled);
    let expected = String::from(column.kind);
    if filled > 0 && profile.failed.saturating_mul(2) > filled {
        let severity = match column.required {
            Required::Grain => Severity::Error,
            Required::Use => Severity::Warning,
            Required::Optional => Severity::Info,
        };
        let failed = profile.failed;
        let message = format!(
            "{failed} of {filled} cells of `{name}` are not {expected} (they read as {found}) and are kept in `_rescued`"
        );
        return Some(DriftFinding::new(DriftKind::Retyped, severity, name, message).with_uses(&column.uses));
    }
    let ColumnType::Text(length) = column.kind else { return None };
    // Codes of digits alone are what text columns are for; dates and cents in them are not.
    if filled >= CELLS_MIN && matches!(found, "date" | "amount") {
        let message = format!("`{name}` is text, and all of its {filled} cells read as {found}; is it the column it was?");
        let severity = if column.required == Required::Optional { Severity::Info } else { Severity::Warning };
        return Some(DriftFinding::new(DriftKind::Retyped, severity, name, message).with_uses(&column.uses));
    }
    let longest = profile.length_max;
    length.filter(|length| longest > u32::from(*length)).map(|length| {
        let message =
            format!("`{name}` holds text of up to {longest} characters, longer than the {length} known; it is kept whole");
        DriftFinding::new(DriftKind::Retyped, Severity::Info, name, message)
    })
}

/// What all filled cells agree in being: `date`, `whole number`, `amount`, or else `text`.
fn looks_like(profile: &ColumnProfile, filled: u64) -> &'static str {
    if filled == 0 {
        "text"
    } else if profile.integers.saturating_mul(2) > filled && profile.integers.max(profile.amounts) >= filled {
        "whole number"
    } else if profile.dates >= filled && profile.integers == 0 {
        "date"
    } else if profile.amounts >= filled {
        "amount"
    } else {
        "text"
    }
}

/// A column without a name is nothing while it is empty, and a decision for someone once it holds values.
fn raise_nameless(drift: &mut Drift, header: &[String], position: usize, profile: &ColumnProfile) {
    if header.get(position).is_some_and(|name| name.trim().is_empty()) && profile.cells > profile.empty {
        let name = delivered_name(header, position);
        for finding in drift.findings.iter_mut().filter(|finding| finding.kind == DriftKind::Added && finding.column == name) {
            finding.severity = Severity::Warning;
        }
    }
}

/// Pairs unknown columns with absent ones, best first. Replaces the proposals that the drift holds.
pub(super) fn propose(drift: &mut Drift, binding: &Binding, header: &[String], profiles: Option<&[ColumnProfile]>) {
    drift.findings.retain(|finding| finding.proposal.is_none());
    let bound: HashSet<usize> =
        binding.bound.iter().filter_map(|bound| if let Bound::Column(column) = bound { Some(*column) } else { None }).collect();
    let absent: Vec<&Column> =
        (0..binding.columns.len()).filter(|column| !bound.contains(column)).map(|column| &binding.columns[column]).collect();
    let added: HashSet<&str> =
        drift.findings.iter().filter(|finding| finding.kind == DriftKind::Added).map(|finding| finding.column.as_str()).collect();
    let is_candidate = |position: &usize| {
        // The first of duplicates is the one that `Added` speaks of, and it is kept under its own name.
        let name = delivered_name(header, *position);
        let own_name = matches!(&binding.bound[*position], Bound::Unknown(rescued) if *rescued == name);
        own_name && !header[*position].trim().is_empty() && added.contains(name.as_str())
    };
    let candidates: Vec<usize> = (0..binding.bound.len().min(header.len())).filter(is_candidate).take(ADDED_MAX).collect();

    if candidates.is_empty() || absent.is_empty() {
        return;
    }
    let likeness = Likeness::new(&binding.columns);
    let absent: Vec<(&Column, Vec<Name>)> = absent.into_iter().map(|column| (column, Name::all_of(column))).collect();
    let mut pairs = Vec::new();
    for position in candidates {
        let name = Name::new(&delivered_name(header, position));
        for (column, names) in &absent {
            let profile = profiles.and_then(|profiles| profiles.get(position));
            let confidence = confidence(likeness.to_column(&name, names), column, profile);
            let is_expected = column.ordinal.is_some() || column.required != Required::Optional;
            if confidence >= if is_expected { CONFIDENCE_MIN } else { CONFIDENCE_MIN_OPTIONAL } {
                pairs.push((confidence, is_expected, position, *column));
            }
        }
    }
    pairs.sort_by_key(|(confidence, is_expected, position, _)| (std::cmp::Reverse((*confidence, *is_expected)), *position));

    let (mut positions, mut columns) = (HashSet::new(), HashSet::new());
    let mut findings = Vec::new();
    for (confidence, _, position, column) in pairs {
        if !positions.contains(&position) && !columns.contains(column.name.as_str()) {
            positions.insert(position);
            columns.insert(column.name.as_str());
            findings.push(proposal(delivered_name(header, position), column, confidence));
        }
    }
    drift.findings.extend(findings);
}

fn proposal(from: String, column: &Column, confidence: u8) -> DriftFinding {
    let to = column.name.clone();
    let severity = if column.required == Required::Optional { Severity::Info } else { Severity::Warning };
    let message =
        format!("`{from}` is probably `{to}` under another name ({confidence} of 100): accept it, or leave it as unknown");
    let finding = DriftFinding::new(DriftKind::Renamed, severity, from.clone(), message).with_uses(&column.uses);
    DriftFinding { proposal: Some(Proposal { from, to, confidence }), ..finding }
}

/// 0 to 100. Values that cannot be the column's count heavily against it; text that fits says little for it.
fn confidence(likeness: f64, column: &Column, profile: Option<&ColumnProfile>) -> u8 {
    if likeness < LIKENESS_MIN {
        return 0;
    }
    let filled = profile.map_or(0, |profile| profile.cells.saturating_sub(profile.empty));
    let score = match profile.filter(|_| filled > 0) {
        None => 0.9 * likeness,
        Some(profile) => match (column.kind, fitting(column.kind, profile, filled)) {
            (_, share) if share < 0.5 => likeness * share,
            (ColumnType::Text(_), _) => 0.95 * likeness,
            (_, share) => 0.7 * likeness + 0.3 * share,
        },
    };
    // Between 0 and 100 by the bounds of its parts, so the cast loses nothing but the fraction.
    (score * 100.0).round().clamp(0.0, 100.0) as u8
}

/// Share of the filled cells, 0 to 1, that could be of the type.
fn fitting(kind: ColumnType, profile: &ColumnProfile, filled: u64) -> f64 {
    let fit = match kind {
        ColumnType::Integer => profile.integers,
        ColumnType::Money | ColumnType::Quantity => profile.amounts.saturating_add(profile.integers).min(filled),
        ColumnType::Date => profile.dates,
        ColumnType::Text(length) => {
            let too_long = length.is_some_and(|length| profile.length_max > u32::from(length).saturating_mul(2));
            let other = matches!(looks_like(profile, filled), "date" | "amount");
            if too_long || other { 0 } else { filled }
        }
    };
    (fit as f64 / filled as f64).min(1.0)
}
