//! The upload file: one column, one importer, at most so many entries, nothing twice.
//! Promise: what stands in a file is in the form that CBP's template asks for; the same entries make the same files.
//! Never: no importer number in Social Security form in a file name, and none at all in a file.

use std::collections::{BTreeMap, BTreeSet};

use super::cape_rules;
use crate::{entry_number::LENGTH, importer_number::shown};

/// A file to be written and uploaded as one declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadFile {
    pub name: String,
    pub importer_number: String,
    pub entries: usize,
    pub text: String,
}

/// Files for the entries of each importer, `(importer number, entry number)` in any order.
///
/// Dashes go, letters become capitals, what comes twice comes once. Whoever asks has seen to it that each is an entry number.
pub fn uploads<'a>(phase: u8, entries: impl IntoIterator<Item = (&'a str, &'a str)>, show_ssn: bool) -> Vec<UploadFile> {
    let mut importers: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (importer, entry) in entries {
        let number: String = entry.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
        debug_assert_eq!(number.len(), LENGTH);
        importers.entry(importer.trim()).or_default().insert(number);
    }
    let rule = &cape_rules().upload;
    let mut files = Vec::new();
    for (position, (importer, numbers)) in importers.into_iter().enumerate() {
        let numbers: Vec<String> = numbers.into_iter().collect();
        let parts = numbers.chunks(rule.entries_max);
        let of = parts.len();
        for (part, numbers) in parts.enumerate() {
            let lines = std::iter::once(rule.header.as_str()).chain(numbers.iter().map(String::as_str));
            files.push(UploadFile {
                // Numbered, for two masked numbers may look alike.
                name: format!(
                    "cape-phase-{phase}_importer-{}_{}_part-{}-of-{of}.csv",
                    position + 1,
                    file_safe(importer, show_ssn),
                    part + 1
                ),
                importer_number: importer.to_owned(),
                entries: numbers.len(),
                text: lines.map(|line| format!("{line}\r\n")).collect(),
            });
        }
    }
    files
}

/// `***-**-1234` as `xxx-xx-1234`; anything but letters, digits and dashes becomes a dash.
fn file_safe(importer: &str, show_ssn: bool) -> String {
    shown(importer, show_ssn)
        .chars()
        .map(|c| match c {
            '*' => 'x',
            c if c.is_ascii_alphanumeric() => c,
            _ => '-',
        })
        .take(32)
        .collect()
}
