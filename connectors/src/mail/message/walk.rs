//! The walk through a message: header fields, boundaries, what lies in what.
//! Promise: every part that a standard reader finds is found, also behind a wrong boundary or a missing end.
//! Never: a limit is looked at after it was passed.

use bytes::Bytes;
use mail_parser::ContentType;

use super::{
    Coding, Content, Disposition, Fields, Limits, Message, Origin, Part, Unread, WINMAIL_BROKEN, Why, inline,
    look::{LOOK_BYTES, is_message},
    tnef,
};

/// Further notes are left out.
const NOTES_MAX: usize = 20;
/// No file system keeps a longer name; RFC 6838 allows 127 characters for a type and for a subtype.
const NAME_CHARS_MAX: usize = 1_000;
const MEDIA_TYPE_CHARS_MAX: usize = 255;
/// Lines in which a boundary that the header does not name is looked for.
const GUESS_LINES_MAX: usize = 2_000;
/// Of what was looked at as a message already: it is not looked at again.
const NO_MESSAGE: &str = "said to be a message and is none";
/// RFC 2046 allows 70.
const BOUNDARY_BYTES_MAX: usize = 1_000;

pub(super) fn walk(bytes: Bytes, limits: &Limits) -> Result<Message, Unread> {
    if bytes.len() > limits.message_bytes_max {
        let what = format!("it has {} bytes, and {} are the limit for a message", bytes.len(), limits.message_bytes_max);
        return Err(Unread::too_much(what));
    }
    let mut walk = Walk { limits, parts: Vec::new(), opened: 0, decoded_left: limits.decoded_bytes_max, notes: Vec::new() };
    let bytes = walk.with_line_feeds(bytes);
    let header_start = above_header(&bytes);
    let bytes = bytes.slice(header_start..);
    let (fields, body) = Fields::split(&bytes, limits.header_bytes_max)?;
    if fields.is_empty() {
        return Err(Unread { why: Why::Broken, what: "it has no header fields".to_owned() });
    }
    let (media_type, report_type) = fields
        .structured("content-type", |content| {
            (media_type(content), content.attribute("report-type").map(str::to_ascii_lowercase))
        })
        .unwrap_or_else(|| ("text/plain".to_owned(), None));
    walk.entity(&fields, bytes.slice(body..), &Place::default())?;
    let body_start = header_start + body;
    Ok(Message { fields, header_start, body_start, media_type, report_type, parts: walk.parts, notes: walk.notes })
}

struct Walk<'l> {
    limits: &'l Limits,
    parts: Vec<Part>,
    opened: usize,
    decoded_left: usize,
    notes: Vec<String>,
}

/// Where in the message the walk is.
#[derive(Clone, Default)]
struct Place {
    path: String,
    depth: usize,
    /// Subtype of the multipart that holds it.
    within: Option<String>,
    in_report: bool,
    forwarded: bool,
}

impl Place {
    fn inner(&self, number: usize) -> Self {
        let path = if self.path.is_empty() { number.to_string() } else { format!("{}.{number}", self.path) };
        Self { path, depth: self.depth + 1, ..self.clone() }
    }

    fn shown(&self) -> &str {
        if self.path.is_empty() { "1" } else { &self.path }
    }
}

/// What a part's own header says of it.
struct Said {
    media_type: Option<String>,
    name: Option<String>,
    disposition: Disposition,
    boundary: Option<Vec<u8>>,
    coding: Option<String>,
    has_content_id: bool,
}

impl Said {
    fn of(fields: &Fields) -> Self {
        let content = fields.structured("content-type", |content| {
            let boundary = content.attribute("boundary").map(|text| text.trim_end().as_bytes().to_vec());
            (media_type(content), named(content, "name"), boundary)
        });
        let (media_type, name, boundary) = match content {
            Some((media_type, name, boundary)) => (Some(media_type), name, boundary),
            None => (None, None, None),
        };
        let disposition = fields.structured("content-disposition", |content| {
            let disposition = match content.ctype().to_ascii_lowercase().as_str() {
                "attachment" => Disposition::Attachment,
                "inline" => Disposition::Inline,
                _ => Disposition::Unsaid,
            };
            (disposition, named(content, "filename").or_else(|| named(content, "name")))
        });
        let (disposition, file_name) = disposition.unwrap_or((Disposition::Unsaid, None));
        Self {
            media_type,
            name: file_name.or(name),
            disposition,
            boundary: boundary.filter(|bytes| !bytes.is_empty() && bytes.len() <= BOUNDARY_BYTES_MAX),
            coding: fields.token("content-transfer-encoding"),
            has_content_id: fields.has("content-id"),
        }
    }
}

fn media_type(content: &ContentType<'_>) -> String {
    let subtype = content.subtype().unwrap_or("plain");
    format!("{}/{}", content.ctype(), subtype).to_ascii_lowercase()
}

/// Whether something was cut off.
fn cut(text: &mut String, chars_max: usize) -> bool {
    let end = text.char_indices().nth(chars_max).map(|(at, _)| at);
    end.inspect(|end| text.truncate(*end)).is_some()
}

fn named(content: &ContentType<'_>, attribute: &str) -> Option<String> {
    let name = content.attribute(attribute)?.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

impl Walk<'_> {
    /// Its words are the sender's, and rules are matched against them: no longer than honest ones are.
    fn keep(&mut self, mut part: Part) {
        cut(&mut part.media_type, MEDIA_TYPE_CHARS_MAX);
        if part.name.as_mut().is_some_and(|name| cut(name, NAME_CHARS_MAX)) {
            self.note("a file name that is too long; its beginning was kept");
        }
        self.parts.push(part);
    }

    fn note(&mut self, text: &str) {
        if self.notes.len() < NOTES_MAX && !self.notes.iter().any(|note| note == text) {
            self.notes.push(text.to_owned());
        }
    }

    /// Some old machines end lines with a carriage return alone.
    fn with_line_feeds(&mut self, bytes: Bytes) -> Bytes {
        if memchr::memchr(b'\n', &bytes).is_some() || memchr::memchr(b'\r', &bytes).is_none() {
            return bytes;
        }
        self.note("its lines end in carriage returns alone; read as line feeds");
        let mut changed = bytes.to_vec();
        changed.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'\n');
        changed.into()
    }

    /// One more of anything, within the limits.
    fn open(&mut self, place: &Place) -> Result<(), Unread> {
        self.opened += 1;
        if self.opened > self.limits.parts_max {
            return Err(Unread::too_much(format!("it has more than {} parts", self.limits.parts_max)));
        }
        if place.depth > self.limits.depth_max {
            return Err(Unread::too_much(format!("its parts lie deeper in each other than {}", self.limits.depth_max)));
        }
        Ok(())
    }

    fn decoded(&mut self, content: &Content) -> Result<Bytes, Unread> {
        if content.coding == Coding::Plain {
            return Ok(content.bytes.clone());
        }
        let bytes = content.whole(self.decoded_left).ok_or_else(|| self.decodes_to_too_much())?;
        self.decoded_left -= bytes.len();
        Ok(bytes)
    }

    fn decodes_to_too_much(&self) -> Unread {
        Unread::too_much(format!("what lies in it decodes to more than {} bytes", self.limits.decoded_bytes_max))
    }

    fn entity(&mut self, fields: &Fields, body: Bytes, place: &Place) -> Result<(), Unread> {
        self.open(place)?;
        let said = Said::of(fields);
        let is_digest = place.within.as_deref() == Some("digest");
        let kind = said.media_type.clone().unwrap_or_else(|| if is_digest { "message/rfc822" } else { "text/plain" }.to_owned());
        if let Some(subtype) = kind.strip_prefix("multipart/") {
            match self.segments(&said, &body)? {
                Some(segments) => return self.multipart(subtype, segments, &body, place),
                None => self.note("a multipart without a boundary in it; read as one part"),
            }
        }
        let (coding, note) = Coding::of(said.coding.as_deref(), &body);
        let content = Content { bytes: body, coding };
        if matches!(kind.as_str(), "message/rfc822" | "message/global" | "message/news") && !place.in_report {
            return self.message(&content, &said, place);
        }
        self.leaf(&kind, said, content, note, place)
    }

    fn multipart(
        &mut self,
        subtype: &str,
        segments: Vec<std::ops::Range<usize>>,
        body: &Bytes,
        place: &Place,
    ) -> Result<(), Unread> {
        for (at, segment) in segments.into_iter().enumerate() {
            let bytes = body.slice(segment);
            let (fields, start) = Fields::split(&bytes, self.limits.header_bytes_max)?;
            let mut inner = place.inner(at + 1);
            inner.within = Some(subtype.to_owned());
            inner.in_report |= subtype == "report";
            self.entity(&fields, bytes.slice(start..), &inner)?;
        }
        Ok(())
    }

    /// A message in the message: forwarded, or in a digest.
    fn message(&mut self, content: &Content, said: &Said, place: &Place) -> Result<(), Unread> {
        let bytes = self.decoded(content)?;
        let bytes = bytes.slice(above_header(&bytes)..);
        let (fields, start) = Fields::split(&bytes, self.limits.header_bytes_max)?;
        if fields.is_empty() {
            let name = said.name.clone();
            let said = Said { media_type: None, name, boundary: None, coding: None, ..*said };
            return self.leaf("application/octet-stream", said, Content::plain(bytes), Some(NO_MESSAGE), place);
        }
        let mut inner = place.inner(1);
        (inner.within, inner.forwarded) = (None, true);
        self.entity(&fields, bytes.slice(start..), &inner)
    }

    fn leaf(
        &mut self,
        kind: &str,
        said: Said,
        content: Content,
        note: Option<&'static str>,
        place: &Place,
    ) -> Result<(), Unread> {
        let head = content.head(LOOK_BYTES);
        let mut note = note;
        if head.starts_with(&tnef::MAGIC) {
            let bytes = self.decoded(&content)?;
            // What nothing comes out of is a part itself.
            match self.winmail(&bytes, place)? {
                None => return Ok(()),
                Some(told) => note = Some(told),
            }
        }
        // Some programs attach a message as a file of no type.
        let may_be_message = !kind.starts_with("text/") && kind != "message/delivery-status" && !place.in_report;
        if may_be_message && note != Some(NO_MESSAGE) && is_message(&head) {
            return self.message(&content, &said, place);
        }
        let mut part = Part {
            name: said.name,
            media_type: kind.to_owned(),
            disposition: said.disposition,
            place: place.shown().to_owned(),
            depth: place.depth,
            origin: Origin::Mime,
            within: place.within.clone(),
            forwarded: place.forwarded,
            has_content_id: said.has_content_id,
            note: note.map(str::to_owned),
            content,
        };
        // One transfer encoding that never became a standard names the same as a text with a file in it.
        let is_uuencoded = matches!(said.coding.as_deref(), Some("x-uuencode" | "uuencode" | "x-uue" | "uue"));
        let is_text = kind == "text/plain" || is_uuencoded;
        let files = if is_text { self.files_within(&part.content)? } else { Vec::new() };
        if is_uuencoded && let [file] = files.as_slice() {
            part.content = Content::plain(file.bytes.clone());
            self.keep(part);
            return Ok(());
        }
        let beside = part.clone();
        self.keep(part);
        for (at, file) in files.into_iter().enumerate() {
            let inner = place.inner(at + 1);
            self.open(&inner)?;
            self.keep(Part {
                name: Some(file.name),
                media_type: "application/octet-stream".to_owned(),
                disposition: Disposition::Attachment,
                place: inner.path,
                depth: inner.depth,
                origin: file.origin,
                note: file.note,
                has_content_id: false,
                content: Content::plain(file.bytes),
                ..beside.clone()
            });
        }
        Ok(())
    }

    fn files_within(&mut self, content: &Content) -> Result<Vec<inline::Found>, Unread> {
        if content.coding == Coding::Plain && !inline::may_hold(&content.bytes) {
            return Ok(Vec::new());
        }
        let left = self.decoded_left;
        let text = self.decoded(content)?;
        let files = inline::files(&text, self.decoded_left).map_err(|inline::TooMuch| self.decodes_to_too_much())?;
        if files.is_empty() {
            // It was looked at and is not kept.
            self.decoded_left = left;
        }
        self.decoded_left -= files.iter().map(|file| file.bytes.len()).sum::<usize>();
        Ok(files)
    }

    /// What is wrong with it, when nothing comes out.
    fn winmail(&mut self, bytes: &Bytes, place: &Place) -> Result<Option<&'static str>, Unread> {
        let Some(opened) = tnef::open(bytes) else { return Ok(Some(WINMAIL_BROKEN)) };
        if let Some(note) = &opened.note {
            self.note(&format!("winmail.dat: {note}"));
        }
        if opened.text.is_none() && opened.files.is_empty() {
            return Ok(Some(if opened.note.is_some() { WINMAIL_BROKEN } else { "a winmail.dat without a file or a text in it" }));
        }
        let text = opened.text.map(|bytes| tnef::File { bytes, media_type: Some("text/plain".into()), ..tnef::File::default() });
        for (at, file) in text.into_iter().chain(opened.files).enumerate() {
            let inner = place.inner(at + 1);
            self.open(&inner)?;
            let mut note = file.note;
            if file.is_message {
                match self.winmail(&file.bytes, &Place { forwarded: true, ..inner.clone() })? {
                    None => continue,
                    told => note = note.or(told.map(str::to_owned)),
                }
            }
            if is_message(&file.bytes) {
                let said = Said {
                    media_type: None,
                    name: file.name,
                    disposition: Disposition::Attachment,
                    boundary: None,
                    coding: None,
                    has_content_id: false,
                };
                self.message(&Content::plain(file.bytes), &said, &inner)?;
                continue;
            }
            let is_text = file.name.is_none() && file.media_type.as_deref() == Some("text/plain");
            self.keep(Part {
                name: file.name,
                media_type: file.media_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
                disposition: if is_text { Disposition::Inline } else { Disposition::Attachment },
                place: inner.path,
                depth: inner.depth,
                origin: if is_text { Origin::Mime } else { Origin::Tnef },
                within: None,
                forwarded: place.forwarded,
                has_content_id: false,
                note,
                content: Content::plain(file.bytes),
            });
        }
        Ok(None)
    }

    /// Where the parts of a multipart lie; none when its boundary, named or guessed, does not stand in it.
    fn segments(&mut self, said: &Said, body: &[u8]) -> Result<Option<Vec<std::ops::Range<usize>>>, Unread> {
        if let Some(boundary) = &said.boundary {
            let found = self.split(boundary, body)?;
            if !found.is_empty() {
                return Ok(Some(found));
            }
        }
        let Some(boundary) = guessed(body) else { return Ok(None) };
        let found = self.split(&boundary, body)?;
        if found.is_empty() {
            return Ok(None);
        }
        self.note("a multipart whose boundary is not the one that its header names; found by its parts");
        Ok(Some(found))
    }

    fn split(&mut self, boundary: &[u8], body: &[u8]) -> Result<Vec<std::ops::Range<usize>>, Unread> {
        let mut found = Vec::new();
        let mut open: Option<usize> = None;
        let mut at = 0;
        while at < body.len() {
            let rest = &body[at..];
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let next = (at + end + 1).min(body.len());
            if let Some(closes) = delimiter(&rest[..end], boundary) {
                if let Some(start) = open.take() {
                    found.push(start..before_line_end(body, start, at));
                }
                if found.len() + self.opened > self.limits.parts_max {
                    return Err(Unread::too_much(format!("it has more than {} parts", self.limits.parts_max)));
                }
                // Parts behind the end are no longer of it, and some programs put them there.
                open = (!closes).then_some(next);
            }
            at = next;
        }
        if let Some(start) = open {
            self.note("a multipart without its end; it may have been cut");
            found.push(start..body.len());
        }
        Ok(found)
    }
}

/// Whether the line is a delimiter, and then whether it is the last.
fn delimiter(line: &[u8], boundary: &[u8]) -> Option<bool> {
    let rest = line.strip_prefix(b"--")?.strip_prefix(boundary)?;
    let (closes, rest) = match rest.strip_prefix(b"--") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    rest.trim_ascii().is_empty().then_some(closes)
}

/// The line end in front of a delimiter belongs to the delimiter.
fn before_line_end(body: &[u8], start: usize, end: usize) -> usize {
    match &body[start..end] {
        [.., b'\r', b'\n'] => end - 2,
        [.., b'\n'] => end - 1,
        _ => end,
    }
}

/// The first line that looks like a delimiter and has a part's header under it.
fn guessed(body: &[u8]) -> Option<Vec<u8>> {
    let mut lines = body.split(|byte| *byte == b'\n').take(GUESS_LINES_MAX).map(<[u8]>::trim_ascii_end).peekable();
    while let Some(line) = lines.next() {
        let starts_part = || {
            let under = lines.peek()?;
            under.get(..8).filter(|word| word.eq_ignore_ascii_case(b"content-"))
        };
        if let Some(boundary) = line.strip_prefix(b"--")
            && (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len())
            && { starts_part }().is_some()
        {
            return Some(boundary.to_vec());
        }
    }
    None
}

/// Where the header begins: blank lines and a line of the mailbox format in front of it are a store's.
fn above_header(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        if rest.starts_with(b"\r\n") {
            at += 2;
        } else if rest.starts_with(b"\n") {
            at += 1;
        } else if rest.starts_with(b"From ") || rest.starts_with(b">From ") {
            match memchr::memchr(b'\n', rest) {
                Some(end) => at += end + 1,
                None => break,
            }
        } else {
            break;
        }
    }
    at
}
