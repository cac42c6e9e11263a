//! How answers are shown: aligned tables for people, JSON for programs. Errors go to standard error in the same form.

use std::io::Write;

use comfy_table::{ContentArrangement, Table, TableComponent, presets::NOTHING};
use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};

#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub json: bool,
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// One object a line, or the table.
    pub fn list<T: Serialize>(&self, items: &[T], table: impl FnOnce() -> String) -> Result<()> {
        if !self.json {
            return self.line(&table());
        }
        let mut stdout = std::io::stdout().lock();
        for item in items {
            let text = serde_json::to_string(item)?;
            writeln!(stdout, "{text}").map_err(written)?;
        }
        Ok(())
    }

    /// One object, or the text.
    pub fn object<T: Serialize>(&self, item: &T, text: impl FnOnce() -> String) -> Result<()> {
        if self.json { self.line(&serde_json::to_string(item)?) } else { self.line(&text()) }
    }

    /// Text for people; nothing when JSON is asked for.
    pub fn say(&self, text: &str) -> Result<()> {
        if self.json { Ok(()) } else { self.line(text) }
    }

    fn line(&self, text: &str) -> Result<()> {
        writeln!(std::io::stdout().lock(), "{text}").map_err(written)
    }

    /// A remark that is not the answer.
    #[expect(clippy::print_stderr, reason = "the console's own voice")]
    pub fn remark(&self, text: &str) {
        eprintln!("{text}");
    }

    #[expect(clippy::print_stderr, reason = "the console's own voice")]
    pub fn error(&self, error: &Error) {
        if self.json {
            let body = serde_json::json!({ "error": { "kind": format!("{:?}", error.kind()).to_lowercase(), "message": error.to_string() } });
            eprintln!("{body}");
        } else {
            eprintln!("bonded: {error}");
        }
    }
}

pub fn written(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Setup, "cannot write the answer").with_source(error)
}

/// A table with a header row; an empty one says so.
pub fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table
        .load_preset(NOTHING)
        .set_style(TableComponent::HeaderLines, '─')
        .set_style(TableComponent::MiddleHeaderIntersections, '─');
    table.set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    let mut empty = true;
    for row in rows {
        table.add_row(row);
        empty = false;
    }
    if empty { "(none)".into() } else { table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n") }
}
