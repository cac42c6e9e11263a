//! How answers are shown: aligned tables for people, JSON for programs. Errors go to standard error in the same form.
//! Never: a Social Security number in its dashed form, whichever command says it, unless `display.show_ssn` allows it. (Nine
//! bare digits are a count as often as a person, so they are masked where it is known what they are.)

use std::{borrow::Cow, io::Write};

use bonded_schemas::importer_number::{is_ssn_form, masked, masked_words};
use comfy_table::{ContentArrangement, Table, TableComponent, presets::NOTHING};
use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};

#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub json: bool,
    show_ssn: bool,
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self { json, show_ssn: false }
    }

    /// The same under a setting.
    pub fn showing_ssn(self, show_ssn: bool) -> Self {
        Self { show_ssn, ..self }
    }

    /// One object a line, or the table.
    pub fn list<T: Serialize>(&self, items: &[T], table: impl FnOnce() -> String) -> Result<()> {
        if !self.json {
            return self.line(&table());
        }
        let mut stdout = std::io::stdout().lock();
        for item in items {
            let text = serde_json::to_string(item)?;
            writeln!(stdout, "{}", self.fit_to_show(&text)).map_err(written)?;
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
        writeln!(std::io::stdout().lock(), "{}", self.fit_to_show(text)).map_err(written)
    }

    fn fit_to_show<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.show_ssn { Cow::Borrowed(text) } else { without_dashed_ssn(text) }
    }

    /// A remark that is not the answer.
    #[expect(clippy::print_stderr, reason = "the console's own voice")]
    pub fn remark(&self, text: &str) {
        eprintln!("{}", self.fit_to_show(text));
    }

    #[expect(clippy::print_stderr, reason = "the console's own voice")]
    pub fn error(&self, error: &Error) {
        if self.json {
            let body = serde_json::json!({ "error": { "kind": format!("{:?}", error.kind()).to_lowercase(), "message": error.to_string() } });
            eprintln!("{}", self.fit_to_show(&body.to_string()));
        } else {
            eprintln!("{}", self.fit_to_show(&format!("bonded: {error}")));
        }
    }
}

fn without_dashed_ssn(text: &str) -> Cow<'_, str> {
    masked_words(text, |word| (word.contains('-') && is_ssn_form(word)).then(|| masked(word).into_owned()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashed_numbers_of_persons_are_masked_in_any_text_and_json_stays_json() {
        let json = r#"{"before":"000-00-1234","size_bytes":123456789,"id":"0197b3c4-0000-7000-8000-000000000000"}"#;
        let shown = Output::new(true).fit_to_show(json);
        assert_eq!(shown, json.replace("000-00-1234", "***-**-1234"));
        assert_eq!(Output::new(true).showing_ssn(true).fit_to_show(json), json);
    }
}
