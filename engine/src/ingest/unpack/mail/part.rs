//! What one part of a message is: a report, something that may hold one, or what mails carry besides.
//! Promise: a file that is a table is taken even when no report is known by its header: it is then quarantined by itself.
//! Never: a body is taken for more than a report that stands in it; a logo raises no alert.

use std::collections::BTreeMap;

use bonded_connectors::mail::message::{Disposition, LOOK_BYTES, Origin, Part, WINMAIL_BROKEN};
use bonded_schemas::{Mapping, QuarantineReason, Registry, Report};

use super::super::{Packed, limits::Allowance, zip};
use crate::{
    ingest::parse::{HEAD_BYTES_MAX, HeadOutcome, find_head},
    settings::UnpackSettings,
};

/// What an OpenDocument workbook says of itself in its first file, which is not compressed.
const SPREADSHEET: &[u8] = b"application/vnd.oasis.opendocument.spreadsheet";
const MIMETYPE_WITHIN_BYTES: usize = 512;

/// What was found in a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// The header of a report stands in it.
    Report(Report),
    /// An archive or a workbook: what is in it is looked at when it is opened.
    Packed,
    /// A table of some kind, or what its sender says is one.
    Table,
    /// A program or a script: it is kept and quarantined.
    Executable,
    /// What mails carry besides, and what that is.
    Beside(String),
    /// A policy's rules leave it out.
    Unmatched,
}

impl Look {
    pub fn is_taken(&self) -> bool {
        matches!(self, Look::Report(_) | Look::Packed | Look::Table | Look::Executable)
    }

    /// What makes a mail one with a report.
    pub fn may_be_report(&self) -> bool {
        matches!(self, Look::Report(_) | Look::Packed | Look::Table)
    }

    pub fn report(&self) -> Option<Report> {
        match self {
            Look::Report(report) => Some(*report),
            _ => None,
        }
    }

    pub fn why(&self) -> String {
        match self {
            Look::Report(report) => format!("known by its header as {report}"),
            Look::Packed => "an archive or a workbook".to_owned(),
            Look::Table => "a table, or said to be one".to_owned(),
            Look::Executable => "a program or a script".to_owned(),
            Look::Beside(why) => why.clone(),
            Look::Unmatched => "no match rule of the mail policy names it".to_owned(),
        }
    }
}

fn beside(why: impl Into<String>) -> Look {
    Look::Beside(why.into())
}

pub(super) fn look(part: &Part, mappings: &BTreeMap<Report, Mapping>) -> Look {
    let head = part.content.head(HEAD_BYTES_MAX);
    let is_file = is_file(part);
    if head.is_empty() {
        // An empty report is news; an empty body is not.
        return if is_file && says_table(&part.media_type) { Look::Table } else { beside("empty") };
    }
    if is_executable(part, &head) {
        return Look::Executable;
    }
    // A report may lie in it: it is kept and quarantined by itself.
    if part.note.as_deref() == Some(WINMAIL_BROKEN) {
        return Look::Packed;
    }
    match Packed::of(&head[..head.len().min(LOOK_BYTES)]) {
        Some(Packed::Zip) => {
            return if is_other_document(part) { beside("an office document that is no workbook") } else { Look::Packed };
        }
        Some(Packed::Gzip | Packed::Compound) => return Look::Packed,
        // Forwarded messages were opened in place; this one lies in a bounce or under a text's label.
        Some(Packed::Mail) => return beside("a message that is quoted, not forwarded"),
        None => {}
    }
    if part.media_type == "text/html" && !is_file {
        return beside("the text as it is shown");
    }
    let whole = head.len() < HEAD_BYTES_MAX;
    let mapping = |report: Report| mappings.get(&report).cloned().unwrap_or_default();
    match find_head(&head, whole, Registry::builtin(), &mapping) {
        // What a reply repeats of the mail that it answers.
        HeadOutcome::Found(found) if !is_file && found.header.first().is_some_and(|name| name.starts_with('>')) => {
            beside("a text that quotes a report's header")
        }
        HeadOutcome::Found(found) => Look::Report(found.report),
        _ if !is_file => beside("a text without a report in it"),
        HeadOutcome::Quarantine(quarantine) => match quarantine.reason {
            QuarantineReason::NotCsv | QuarantineReason::Empty if !says_table(&part.media_type) => beside(kind_of(part, &head)),
            _ => Look::Table,
        },
        HeadOutcome::NeedMore if says_table(&part.media_type) => Look::Table,
        HeadOutcome::NeedMore => beside(kind_of(part, &head)),
    }
}

/// Something that was attached, not something to be read in the mail or to make it look good.
fn is_file(part: &Part) -> bool {
    let is_picture = part.has_content_id && part.disposition != Disposition::Attachment && part.media_type.starts_with("image/");
    !is_picture
        && (part.name.is_some() || part.disposition == Disposition::Attachment || part.origin != Origin::Mime || !part.is_body())
        && !matches!(
            part.media_type.as_str(),
            "message/delivery-status" | "message/disposition-notification" | "text/rfc822-headers"
        )
}

/// What programs write over a table that they attach. Whoever writes it and attaches something else hears of it.
fn says_table(media_type: &str) -> bool {
    matches!(
        media_type,
        "text/csv"
            | "application/csv"
            | "application/x-csv"
            | "text/x-csv"
            | "text/comma-separated-values"
            | "text/x-comma-separated-values"
            | "text/tab-separated-values"
            | "application/vnd.ms-excel"
            | "application/excel"
            | "application/x-excel"
            | "application/x-msexcel"
            | "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    )
}

/// By the first bytes, or by what a double click would do with the name.
fn is_executable(part: &Part, head: &[u8]) -> bool {
    const MAGIC: [&[u8]; 8] = [
        b"MZ",
        b"\x7fELF",
        b"\xfe\xed\xfa\xce",
        b"\xfe\xed\xfa\xcf",
        b"\xcf\xfa\xed\xfe",
        b"\xca\xfe\xba\xbe",
        b"#!/",
        b"L\0\0\0\x01\x14\x02\0",
    ];
    const ENDINGS: [&str; 26] = [
        "exe", "com", "scr", "pif", "bat", "cmd", "js", "jse", "vbs", "vbe", "wsf", "wsh", "hta", "lnk", "jar", "msi", "ps1",
        "cpl", "dll", "iso", "img", "vhd", "one", "reg", "chm", "apk",
    ];
    let is_program = MAGIC.iter().any(|magic| head.starts_with(magic))
        // A table's first name may be `MZ`, but no table has zeros behind it.
        && (!head.starts_with(b"MZ") || head.iter().take(1024).any(|byte| *byte == 0));
    let ending =
        part.name.as_deref().and_then(|name| name.trim_end_matches(['.', ' ']).rsplit_once('.')).map(|(_, ending)| ending);
    is_program || ending.is_some_and(|ending| ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending)))
}

/// A letter or a presentation, which is a zip, too. Workbooks of other programs are opened: their quarantine says what to ask for.
fn is_other_document(part: &Part) -> bool {
    let allowance = Allowance::new(&UnpackSettings::default(), u64::MAX);
    // As much as is decoded anyway when it is delivered.
    let Some(bytes) = part.content.whole(part.content.encoded_bytes()) else { return false };
    let Ok(entries) = zip::entries(&mut &bytes[..], &allowance) else { return false };
    let has = |name: &str| entries.iter().any(|entry| entry.name.eq_ignore_ascii_case(name));
    let is_spreadsheet =
        bytes[..bytes.len().min(MIMETYPE_WITHIN_BYTES)].windows(SPREADSHEET.len()).any(|part| part == SPREADSHEET)
            || part.name.as_deref().is_some_and(|name| name.to_ascii_lowercase().ends_with(".ods"));
    let is_workbook = has("xl/workbook.xml") || has("xl/workbook.bin") || (has("mimetype") && is_spreadsheet);
    (has("[Content_Types].xml") || has("mimetype")) && !is_workbook
}

fn kind_of(part: &Part, head: &[u8]) -> String {
    let kinds: [(&[u8], &str); 8] = [
        (b"%PDF-", "a PDF"),
        (b"\x89PNG", "a picture"),
        (b"\xff\xd8\xff", "a picture"),
        (b"GIF8", "a picture"),
        (b"BEGIN:VCALENDAR", "a calendar entry"),
        (b"BEGIN:VCARD", "a visiting card"),
        (b"<", "a document of marks (HTML, XML)"),
        (b"-----BEGIN PGP", "a signature or an encrypted text"),
    ];
    if let Some((_, kind)) = kinds.iter().find(|(magic, _)| head.starts_with(magic)) {
        return (*kind).to_owned();
    }
    match part.media_type.as_str() {
        "application/pkcs7-signature" | "application/x-pkcs7-signature" | "application/pgp-signature" => "a signature",
        "application/pkcs7-mime" | "application/x-pkcs7-mime" | "application/pgp-encrypted" => "signed or encrypted as a whole",
        "message/delivery-status" => "what a mail server says of a delivery",
        "message/partial" => "a piece of a message that was sent in several",
        kind if kind.starts_with("image/") => "a picture",
        kind if kind.starts_with("text/") => "a text without a table in it",
        _ => "no table, no archive, no workbook",
    }
    .to_owned()
}
