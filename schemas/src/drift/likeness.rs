//! How alike two column names are, from 0 to 1: shared words, rare ones first, and spelling.
//! Promise: symmetric enough to rank by, 1 for the same words in the same order, and bounded in time by `LENGTH_MAX`.
//! Never: it decides nothing; a person does.

use std::collections::HashMap;

use crate::edition::Column;

/// Longer names are not compared: no CBP name comes near it.
const LENGTH_MAX: usize = 120;

/// A name taken apart once, to be compared many times. Without words if it is too long to compare.
#[derive(Debug)]
pub struct Name {
    words: Vec<String>,
    joined: Vec<char>,
}

impl Name {
    pub fn new(name: &str) -> Self {
        let words = if name.len() <= LENGTH_MAX { words(name) } else { Vec::new() };
        Self { joined: words.concat().chars().collect(), words }
    }

    /// The column's own name, then its aliases.
    pub fn all_of(column: &Column) -> Vec<Self> {
        std::iter::once(&column.name).chain(&column.aliases).map(|name| Self::new(name)).collect()
    }
}

/// How much each word of an edition tells: `Line` stands in a third of the names and tells little, `HTS` tells all.
#[derive(Debug)]
pub struct Likeness {
    weights: HashMap<String, f64>,
}

impl Likeness {
    pub fn new(columns: &[Column]) -> Self {
        let mut counts: HashMap<String, u32> = HashMap::new();
        for column in columns {
            let mut words = words(&column.name);
            words.sort_unstable();
            words.dedup();
            for word in words {
                *counts.entry(word).or_default() += 1;
            }
        }
        Self { weights: counts.into_iter().map(|(word, count)| (word, 1.0 / f64::from(count).sqrt())).collect() }
    }

    /// Likeness of a header name to a column's names, CBP's own first: an alias counts a little less.
    pub fn to_column(&self, name: &Name, column: &[Name]) -> f64 {
        let scores =
            column.iter().enumerate().map(|(place, known)| if place == 0 { 1.0 } else { 0.95 } * self.between(name, known));
        scores.fold(0.0, f64::max)
    }

    pub fn between(&self, left: &Name, right: &Name) -> f64 {
        if left.words.is_empty() || right.words.is_empty() {
            return 0.0;
        }
        let spelling = spelling(&left.joined, &right.joined);
        (0.65 * self.shared(&left.words, &right.words) + 0.35 * spelling).max(0.9 * spelling)
    }

    /// Weight of the words in common over the weight of all; words that differ by a letter count in part.
    fn shared(&self, left: &[String], right: &[String]) -> f64 {
        let weight = |word: &String| self.weights.get(word).copied().unwrap_or(1.0);
        let mut free: Vec<&String> = right.iter().collect();
        let mut common = 0.0;
        for word in left {
            let scored = free.iter().enumerate().map(|(place, other)| (place, word_spelling(word, other)));
            if let Some((place, alike)) = scored.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, alike)| *alike >= 0.7) {
                common += alike * (weight(word) + weight(free.remove(place)));
            }
        }
        common / left.iter().chain(right).map(weight).sum::<f64>()
    }
}

/// Lower-case words, split at punctuation, at `camelCase` and before digits, with the usual abbreviations
/// written out and the small words left out.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before: Option<char> = None;
    for c in name.chars() {
        if c.is_alphanumeric() {
            let opens = match before {
                Some(last) if last.is_alphanumeric() => {
                    (last.is_lowercase() && c.is_uppercase()) || last.is_numeric() != c.is_numeric()
                }
                _ => true,
            };
            if opens {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.extend(c.to_lowercase());
            }
        }
        before = Some(c);
    }
    words.retain(|word| !matches!(word.as_str(), "of" | "the" | "and" | "for"));
    for word in &mut words {
        if let Some(long) = written_out(word) {
            *word = long.to_owned();
        }
    }
    words
}

fn written_out(word: &str) -> Option<&'static str> {
    Some(match word {
        "no" | "num" | "nbr" | "nr" => "number",
        "amt" => "amount",
        "qty" => "quantity",
        "dt" => "date",
        "cd" => "code",
        "ind" | "flag" => "indicator",
        "ctry" | "cntry" => "country",
        "liq" => "liquidation",
        "recon" => "reconciliation",
        "mfr" | "mfg" | "manuf" => "manufacturer",
        "val" => "value",
        "imp" => "importer",
        "desc" => "description",
        "tot" => "total",
        "ord" => "ordinal",
        "es" => "entry",
        _ => return None,
    })
}

fn word_spelling(left: &str, right: &str) -> f64 {
    // Half of a word's letters too many or too few can never reach the bar.
    match (left == right, left.len().abs_diff(right.len()) * 2 > left.len().max(right.len())) {
        (true, _) => 1.0,
        (_, true) => 0.0,
        _ => spelling(&left.chars().collect::<Vec<_>>(), &right.chars().collect::<Vec<_>>()),
    }
}

/// 1 for the same text, 0 for none in common: edits (insert, delete, replace, swap of neighbours) over the longer length.
fn spelling(left: &[char], right: &[char]) -> f64 {
    let longer = left.len().max(right.len());
    if longer == 0 {
        return 1.0;
    }
    let mut rows = [vec![0; right.len() + 1], (0..=right.len()).collect::<Vec<usize>>(), vec![0; right.len() + 1]];
    for i in 1..=left.len() {
        let [two_before, before, here] = &mut rows;
        here[0] = i;
        for j in 1..=right.len() {
            let replaced = before[j - 1] + usize::from(left[i - 1] != right[j - 1]);
            here[j] = replaced.min(before[j] + 1).min(here[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                here[j] = here[j].min(two_before[j - 2] + 1);
            }
        }
        rows.rotate_left(1);
    }
    1.0 - rows[1][right.len()] as f64 / longer as f64
}
