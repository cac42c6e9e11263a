//! Which cell of the header names which column.
//! Promise: by name, alias or accepted rename, case and punctuation aside; the plainest claim wins, of equal ones the first.

use std::collections::BTreeMap;

use bonded_schemas::{Column, edition::fold};

/// Column index to header position.
pub(super) fn place(header: &[String], columns: &[Column], renames: &BTreeMap<String, String>) -> BTreeMap<usize, usize> {
    let renames: BTreeMap<String, &String> = renames.iter().map(|(from, to)| (fold(from), to)).collect();
    let mut placed: BTreeMap<usize, (u8, usize)> = BTreeMap::new();
    for (position, name) in header.iter().enumerate() {
        let folded = fold(name);
        if folded.is_empty() {
            continue;
        }
        let renamed = renames.get(&folded).and_then(|to| columns.iter().position(|column| column.name == **to));
        let named = columns.iter().position(|column| fold(&column.name) == folded);
        let alias = || columns.iter().position(|column| column.aliases.iter().any(|alias| fold(alias) == folded));
        let claim = match (renamed, named) {
            (Some(column), named) if named != Some(column) => Some((column, 2)),
            (_, Some(column)) => Some((column, u8::from(columns[column].name != *name))),
            _ => alias().map(|column| (column, 3)),
        };
        let Some((column, rank)) = claim else { continue };
        let best = placed.entry(column).or_insert((rank, position));
        if rank < best.0 {
            *best = (rank, position);
        }
    }
    placed.into_iter().map(|(column, (_, position))| (column, position)).collect()
}
