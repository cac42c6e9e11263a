//! What a check of stored things found wrong: the object, the place in it, and what is not as it was written.
//! Never: no cell value, no key; names are those that lie in the clear anyway.

use std::fmt;

/// Something stored that is not what was written there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Path in the lake, or a table of the control store.
    pub object: String,
    /// Where in the object, as far as it can be told: a row, a column, a page.
    pub place: Option<String>,
    pub what: String,
}

impl Flaw {
    pub fn new(object: impl Into<String>, what: impl Into<String>) -> Self {
        Self { object: object.into(), place: None, what: what.into() }
    }

    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{} ({place}): {}", self.object, self.what),
            None => write!(f, "{}: {}", self.object, self.what),
        }
    }
}
