//! Binding a header to an edition by name, and every way in which the two differ.
//! Promise: each header cell gets one place; the strongest claim on a column wins, and of equal claims the first.
//! Never: nothing depends on a cell's position but its turn among equals and the report of reordering.

use std::collections::{HashMap, HashSet};

use super::{Binding, Bound, Drift, DriftFinding, DriftKind, Mapping, delivered_name, judge};
use crate::{
    edition::{Column, Edition, Required, fold},
    finding::Severity,
};

/// How well a header cell's name stands for a column; the smaller the stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    Identical,
    /// The same name but for case, spaces or punctuation.
    Folded,
    /// A rename that the tenant accepted.
    Accepted,
    Alias,
}

impl Strength {
    /// Two cells that both carry a column's name contest it, however they are spelled.
    fn class(self) -> u8 {
        match self {
            Strength::Identical | Strength::Folded => 0,
            Strength::Accepted => 1,
            Strength::Alias => 2,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Claim {
    column: usize,
    strength: Strength,
}

/// Binds a header and tells how it differs from the edition. Never fails: what is not known is kept under its own name.
///
/// Renames and additions of the mapping bind without a finding, since someone has decided on them.
pub fn bind(header: &[String], edition: &Edition, mapping: &Mapping) -> (Binding, Drift) {
    let columns = all_columns(edition, mapping);
    let claims = claims(header, &columns, mapping);
    let winners = winners(&claims, columns.len());
    let contested = contested(&claims, &winners);
    let bound = places(header, &columns, &claims, &winners);
    let binding = Binding { columns, bound, contested };

    let mut drift = Drift::default();
    drift.findings.extend(differences(header, &binding, &claims));
    drift.findings.extend(missing(&binding, &winners, edition.columns.len()));
    drift.findings.extend(reordered(header, &binding));
    judge::propose(&mut drift, &binding, header, None);
    (binding, drift)
}

/// The edition's columns, then the additions that do not clash with them: the edition may have gained the column since.
fn all_columns(edition: &Edition, mapping: &Mapping) -> Vec<Column> {
    let mut columns = edition.columns.clone();
    let mut names: HashSet<String> =
        columns.iter().flat_map(|column| std::iter::once(&column.name).chain(&column.aliases)).map(|name| fold(name)).collect();
    let mut fields: HashSet<String> = columns.iter().map(Column::field).collect();
    for addition in &mapping.additions {
        let (name, field) = (fold(&addition.name), addition.field());
        if !name.is_empty() && !names.contains(&name) && !fields.contains(&field) {
            names.insert(name);
            fields.insert(field);
            columns.push(addition.clone());
        }
    }
    columns
}

/// Which column each header cell claims, if any. A blank cell claims nothing.
fn claims(header: &[String], columns: &[Column], mapping: &Mapping) -> Vec<Option<Claim>> {
    let mut known: HashMap<String, Claim> = HashMap::new();
    for (column, named) in columns.iter().enumerate() {
        known.insert(fold(&named.name), Claim { column, strength: Strength::Folded });
    }
    for (column, named) in columns.iter().enumerate() {
        for alias in &named.aliases {
            known.entry(fold(alias)).or_insert(Claim { column, strength: Strength::Alias });
        }
    }
    let by_name: HashMap<&str, usize> = columns.iter().enumerate().map(|(place, column)| (column.name.as_str(), place)).collect();
    let accepted: HashMap<String, usize> =
        mapping.renames.iter().filter_map(|(from, to)| Some((fold(from), *by_name.get(to.as_str())?))).collect();

    let claim = |name: &String| {
        let folded = fold(name);
        if folded.is_empty() {
            return None;
        }
        let found = match accepted.get(&folded) {
            Some(&column) if fold(&columns[column].name) != folded => Some(Claim { column, strength: Strength::Accepted }),
            _ => known.get(&folded).copied(),
        };
        found.map(
            |claim| if columns[claim.column].name == *name { Claim { strength: Strength::Identical, ..claim } } else { claim },
        )
    };
    header.iter().map(claim).collect()
}

/// The header position that each column is bound to.
fn winners(claims: &[Option<Claim>], columns: usize) -> Vec<Option<usize>> {
    let mut winners: Vec<Option<(Strength, usize)>> = vec![None; columns];
    for (position, claim) in claims.iter().enumerate() {
        if let Some(Claim { column, strength }) = *claim
            && winners[column].is_none_or(|(best, _)| strength < best)
        {
            winners[column] = Some((strength, position));
        }
    }
    winners.into_iter().map(|winner| winner.map(|(_, position)| position)).collect()
}

/// Columns that more than one cell claims in the same way as the winner.
fn contested(claims: &[Option<Claim>], winners: &[Option<usize>]) -> Vec<usize> {
    let mut equals = vec![0_usize; winners.len()];
    for claim in claims.iter().flatten() {
        let winner = winners[claim.column].and_then(|position| claims[position]);
        equals[claim.column] += usize::from(winner.is_some_and(|winner| winner.strength.class() == claim.strength.class()));
    }
    (0..winners.len()).filter(|column| equals[*column] > 1).collect()
}

/// Where each cell goes; names in `_rescued` are made unique with ` [2]`, ` [3]` and so on.
fn places(header: &[String], columns: &[Column], claims: &[Option<Claim>], winners: &[Option<usize>]) -> Vec<Bound> {
    // Cells that fail their type are kept in `_rescued` too, under their column's or header's name.
    let mut taken: HashSet<String> = columns.iter().map(|column| column.name.clone()).collect();
    let mut times: HashMap<String, usize> = HashMap::new();
    let is_bound = |position: usize| claims[position].filter(|claim| winners[claim.column] == Some(position));
    for position in (0..header.len()).filter(|position| is_bound(*position).is_some()) {
        let name = delivered_name(header, position);
        times.insert(same_name_key(&name), 1);
        taken.insert(name);
    }
    (0..header.len())
        .map(|position| match is_bound(position) {
            Some(claim) => Bound::Column(claim.column),
            None => {
                let name = delivered_name(header, position);
                let count = times.entry(same_name_key(&name)).or_default();
                Bound::Unknown(unique(name, count, &mut taken))
            }
        })
        .collect()
}

fn unique(name: String, count: &mut usize, taken: &mut HashSet<String>) -> String {
    loop {
        *count += 1;
        let candidate = if *count == 1 { name.clone() } else { format!("{name} [{count}]") };
        if taken.insert(candidate.clone()) {
            return candidate;
        }
    }
}

/// Names alike but for case, spaces and punctuation count as one; a name of punctuation alone stands for itself.
fn same_name_key(name: &str) -> String {
    let folded = fold(name);
    if folded.is_empty() { name.to_owned() } else { folded }
}

/// Added, renamed, recased and duplicated, in file order.
fn differences(header: &[String], binding: &Binding, claims: &[Option<Claim>]) -> Vec<DriftFinding> {
    let mut seen = HashSet::new();
    let mut findings = Vec::new();
    for (position, bound) in binding.bound.iter().enumerate() {
        let name = delivered_name(header, position);
        let first = seen.insert(same_name_key(&name));
        findings.extend(match (bound, claims[position]) {
            (Bound::Column(column), Some(claim)) => spelled_otherwise(&name, &binding.columns[*column], claim.strength),
            (Bound::Unknown(rescued), Some(claim)) => Some(contender(&name, rescued, claim.column, binding)),
            (Bound::Unknown(rescued), None) if !first => {
                let message =
                    format!("`{name}` stands in the header more than once; this one is kept in `_rescued` as `{rescued}`");
                Some(DriftFinding::new(DriftKind::Duplicated, Severity::Warning, name, message))
            }
            (Bound::Unknown(rescued), None) => Some(added(header, position, name, rescued)),
            (Bound::Column(_), None) => None,
        });
    }
    findings
}

fn spelled_otherwise(name: &str, column: &Column, strength: Strength) -> Option<DriftFinding> {
    let (kind, message) = match strength {
        Strength::Identical | Strength::Accepted => return None,
        Strength::Folded => (DriftKind::Recased, format!("`{name}` is `{}` but for case, spaces or punctuation", column.name)),
        Strength::Alias => (DriftKind::Renamed, format!("`{name}` is a known other name of `{}`", column.name)),
    };
    Some(DriftFinding::new(kind, Severity::Info, name, message))
}

/// A cell that claimed a column which another cell got.
fn contender(name: &str, rescued: &str, column: usize, binding: &Binding) -> DriftFinding {
    let (is_contested, column) = (binding.contested.contains(&column), &binding.columns[column]);
    let severity = if is_contested && column.required == Required::Grain { Severity::Error } else { Severity::Warning };
    let message = format!("`{name}` is a second `{}`; it is kept in `_rescued` as `{rescued}`", column.name);
    DriftFinding::new(DriftKind::Duplicated, severity, name, message).with_uses(&column.uses)
}

fn added(header: &[String], position: usize, name: String, rescued: &str) -> DriftFinding {
    if header[position].trim().is_empty() {
        // Most often a delimiter at the end of each line; judged again when the values have been seen.
        let message = format!("{name} has no name; its cells, if any, are kept in `_rescued` as `{rescued}`");
        return DriftFinding::new(DriftKind::Added, Severity::Info, name, message);
    }
    let message = format!("`{name}` is not a column of this report as we know it; it is kept in `_rescued` until it is accepted");
    DriftFinding::new(DriftKind::Added, Severity::Warning, name, message)
}

/// What the edition expects and the header lacks. A column that users add at will is not missed.
fn missing(binding: &Binding, winners: &[Option<usize>], edition_columns: usize) -> Vec<DriftFinding> {
    let absent = binding.columns.iter().zip(winners).take(edition_columns).filter(|(_, winner)| winner.is_none());
    absent
        .filter_map(|(column, _)| {
            let name = &column.name;
            let (severity, message) = match column.required {
                Required::Grain => (
                    Severity::Error,
                    format!("`{name}` is missing and rows cannot be told apart without it: add it in the report's query panel"),
                ),
                Required::Use => (
                    Severity::Warning,
                    format!(
                        "`{name}` is missing, which {} cannot do without: add it in the report's query panel",
                        column.uses.join(", ")
                    ),
                ),
                Required::Optional if column.ordinal.is_some() => {
                    (Severity::Info, format!("`{name}` of the default layout is missing; nothing asks for it"))
                }
                Required::Optional => return None,
            };
            Some(DriftFinding::new(DriftKind::Missing, severity, name, message).with_uses(&column.uses))
        })
        .collect()
}

/// One finding for the whole file: the fewest default columns whose moving would restore CBP's order.
fn reordered(header: &[String], binding: &Binding) -> Option<DriftFinding> {
    let ordinal = |(position, bound): (usize, &Bound)| match bound {
        Bound::Column(column) => binding.columns[*column].ordinal.map(|ordinal| (position, ordinal)),
        Bound::Unknown(_) => None,
    };
    let placed: Vec<(usize, u16)> = binding.bound.iter().enumerate().filter_map(ordinal).collect();
    let kept = longest_rising(&placed);
    let moved: Vec<String> = placed
        .iter()
        .filter(|(position, _)| !kept.contains(position))
        .map(|(position, _)| format!("`{}`", delivered_name(header, *position)))
        .collect();
    (!moved.is_empty()).then(|| {
        let message =
            format!("not where CBP's default layout has them: {}; columns bind by name, so nothing is lost", moved.join(", "));
        DriftFinding::new(DriftKind::Reordered, Severity::Info, "", message)
    })
}

/// Positions of a longest run of rising ordinals. Quadratic, over default columns only (at most 27).
fn longest_rising(placed: &[(usize, u16)]) -> HashSet<usize> {
    let mut runs: Vec<Vec<usize>> = Vec::with_capacity(placed.len());
    for (here, (_, ordinal)) in placed.iter().enumerate() {
        let before = (0..here).filter(|earlier| placed[*earlier].1 < *ordinal).max_by_key(|earlier| runs[*earlier].len());
        let mut run = before.map(|earlier| runs[earlier].clone()).unwrap_or_default();
        run.push(here);
        runs.push(run);
    }
    let longest = runs.into_iter().max_by_key(Vec::len).unwrap_or_default();
    longest.into_iter().map(|place| placed[place].0).collect()
}
