//! The classes of pollution, at the levels of the method: file, table, row and column.
//! Source: Vitagliano, Hameed, Jiang, Reisener, Wu, Naumann: "Pollock: A Data Loading Benchmark" (PVLDB 16, 2023), its
//! list of pollutions; those marked `+` are ours, from what ACE reports meet on their way. The generator is our own.

mod column;
mod file;
mod row;
mod table;

use super::sheet::{Polluted, Sheet};

/// One kind of pollution, at every position that makes sense.
pub struct Class {
    pub level: &'static str,
    pub name: &'static str,
    /// Not in the paper.
    pub ours: bool,
    pub files: Vec<Polluted>,
    /// The clean table, when it is not the common one.
    pub base: Option<Sheet>,
}

impl Class {
    fn new(level: &'static str, name: &'static str, files: Vec<Polluted>) -> Self {
        Self { level, name, ours: false, files, base: None }
    }

    fn ours(mut self) -> Self {
        self.ours = true;
        self
    }
}

pub fn all(sheet: &Sheet) -> Vec<Class> {
    let mut classes = file::classes(sheet);
    classes.extend(table::classes(sheet));
    classes.extend(row::classes(sheet));
    classes.extend(column::classes(sheet));
    classes
}
