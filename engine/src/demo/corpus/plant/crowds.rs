//! How often a corpus has each product: what is unlike the rest can be planted only where there is a rest.
//! Promise: counted on the clean entries; nothing is counted unless a plan asks for it.

use std::collections::HashMap;

use super::super::{
    Corpus,
    entry::Line,
    goods::{Program, Tariff},
};

/// Rows of a product without which nothing is usual there, well above what the checks ask for, since some rows carry plants.
const RATED_MIN: u32 = 16;
const CLASSIFIED_MIN: u32 = 26;

#[derive(Clone, Debug, Default)]
pub struct Crowds {
    /// Rows of chapters 1-97 with value, by the first eight digits, country and program.
    rated: HashMap<(&'static str, &'static str, Option<Program>), u32>,
    /// The same rows by manufacturer and the first six digits.
    classified: HashMap<(usize, &'static str), u32>,
}

impl Crowds {
    pub fn of(corpus: &Corpus) -> Self {
        let mut crowds = Crowds::default();
        for index in 0..corpus.plan.entries {
            for line in &corpus.clean_entry(index).lines {
                for row in line.tariffs.iter().filter(|row| !row.is_additional() && row.value_cents > 0) {
                    *crowds.rated.entry(product(line, row)).or_default() += 1;
                    *crowds.classified.entry((line.manufacturer, &row.hts[..6])).or_default() += 1;
                }
            }
        }
        crowds
    }

    pub fn has_rate(&self, line: &Line, row: &Tariff) -> bool {
        self.rated.get(&product(line, row)).is_some_and(|count| *count >= RATED_MIN)
    }

    pub fn has_number(&self, line: &Line, row: &Tariff) -> bool {
        self.classified.get(&(line.manufacturer, &row.hts[..6])).is_some_and(|count| *count >= CLASSIFIED_MIN)
    }
}

fn product(line: &Line, row: &Tariff) -> (&'static str, &'static str, Option<Program>) {
    (&row.hts[..8], line.origin, line.program)
}
