//! Looks at a whole container and says what its members are; then each is unpacked when it is its turn.
//! Promise: nothing of an archive or of a workbook with several sheets is delivered unless all of it unpacks.

use std::{collections::BTreeMap, sync::Arc};

use bonded_connectors::mail::message::Content;
use bonded_schemas::{Mapping, QuarantineReason, Report};

use super::{
    Packed, gzip,
    limits::{Allowance, Opens, Stop},
    source::{self, MemberStream, ReadAt},
    workbook::{self, Book, xls, xlsx},
    zip,
};

/// Longer names are cut.
const NAME_CHARS_MAX: usize = 256;

/// An opened container.
pub(super) struct Opened {
    pub format: &'static str,
    pub members: Vec<Planned>,
    /// Sheets that are no report.
    pub left: Vec<String>,
}

/// One member, not yet unpacked.
pub(super) struct Planned {
    pub name: String,
    pub provenance: BTreeMap<String, String>,
    pub part: Part,
    /// Unpacked bytes, as far as known before.
    pub bytes: u64,
}

pub(super) enum Part {
    Entry(zip::Entry),
    Gzip,
    Sheet {
        book: Arc<dyn Book>,
        index: usize,
    },
    /// Of a message, which lies in memory.
    Content(Content),
}

impl Part {
    pub fn stream(&self, mut bytes: source::Landed, allowance: Allowance) -> MemberStream {
        match self {
            Part::Entry(entry) => {
                let entry = entry.clone();
                MemberStream::start(move |out| {
                    std::io::copy(&mut zip::open(&mut bytes, &entry), out)?;
                    Ok(())
                })
            }
            Part::Gzip => MemberStream::start(move |out| gzip::unpack(bytes, &allowance, out)),
            Part::Sheet { book, index } => {
                let (book, index) = (book.clone(), *index);
                MemberStream::start(move |out| workbook::write_csv(book.as_ref(), &mut bytes, index, &allowance, out))
            }
            Part::Content(content) => {
                let content = content.clone();
                MemberStream::start(move |out| {
                    content.write_to(out)?;
                    Ok(())
                })
            }
        }
    }
}

/// Looks at the whole container and says what its members are.
pub(super) fn plan(
    bytes: &mut dyn ReadAt,
    packed: Packed,
    file_name: &str,
    mappings: &BTreeMap<Report, Mapping>,
    allowance: &Allowance,
) -> Opens<Opened> {
    match packed {
        Packed::Gzip => {
            let name = shown(&gzip::member_name(bytes, file_name)?);
            let member = Planned { name, provenance: BTreeMap::new(), part: Part::Gzip, bytes: 0 };
            Ok(Opened { format: "gzip", members: vec![member], left: Vec::new() })
        }
        Packed::Zip => zipped(bytes, file_name, mappings, allowance),
        Packed::Compound => {
            let book = Arc::new(xls::Xls::open(bytes, allowance)?);
            opened_book("xls", book, bytes, file_name, mappings, allowance)
        }
        // A message is opened elsewhere: who sent it is asked first.
        Packed::Mail => Err(Stop::internal("a message was planned as an archive")),
    }
}

fn zipped(bytes: &mut dyn ReadAt, file_name: &str, mappings: &BTreeMap<Report, Mapping>, allowance: &Allowance) -> Opens<Opened> {
    let entries = zip::entries(bytes, allowance)?;
    if entries.is_empty() {
        return Err(Stop::refused(QuarantineReason::Empty, "the archive holds no file; ask for it again"));
    }
    let has = |name: &str| entries.iter().any(|entry| entry.name.eq_ignore_ascii_case(name));
    let is_document = has("[Content_Types].xml") || has("mimetype");
    if is_document && !has("xl/workbook.xml") {
        return Err(Stop::not_a_workbook());
    }
    zip::verify(bytes, &entries, allowance)?;
    if is_document {
        let book = Arc::new(xlsx::Xlsx::open(bytes, &entries, allowance)?);
        return opened_book("xlsx", book, bytes, file_name, mappings, allowance);
    }
    let member = |entry: zip::Entry| Planned {
        name: shown(&entry.name),
        provenance: BTreeMap::new(),
        bytes: entry.plain_bytes,
        part: Part::Entry(entry),
    };
    Ok(Opened { format: "zip", members: entries.into_iter().map(member).collect(), left: Vec::new() })
}

fn opened_book(
    format: &'static str,
    book: Arc<dyn Book>,
    bytes: &mut dyn ReadAt,
    file_name: &str,
    mappings: &BTreeMap<Report, Mapping>,
    allowance: &Allowance,
) -> Opens<Opened> {
    let chosen = workbook::choose(book.as_ref(), bytes, mappings)?;
    if chosen.sheets.is_empty() {
        return Err(Stop::refused(QuarantineReason::Empty, "the workbook has no sheet with data; ask for it again"));
    }
    if chosen.sheets.len() > 1 {
        // All or nothing: a sheet that breaks half-way must show before another is delivered.
        for sheet in &chosen.sheets {
            workbook::write_csv(book.as_ref(), bytes, *sheet, allowance, &mut std::io::sink())?;
        }
    }
    let member = |index: usize| {
        let sheet = book.sheets().get(index).map(String::as_str).unwrap_or_default();
        Planned {
            name: shown(&format!("{file_name}#{sheet}")),
            provenance: chosen.parameters.clone(),
            part: Part::Sheet { book: book.clone(), index },
            bytes: 0,
        }
    };
    let members = chosen.sheets.iter().map(|index| member(*index)).collect();
    Ok(Opened { format, members, left: chosen.left.iter().map(|name| shown(name)).collect() })
}

/// A name as it may be shown anywhere: control characters escaped, cut to a bearable length.
pub(super) fn shown(name: &str) -> String {
    let escaped = name.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] });
    escaped.take(NAME_CHARS_MAX).collect()
}
