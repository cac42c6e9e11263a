//! The XML of one part of a workbook: events, attributes, texts.
//! Promise: one event is bounded; a reader's own stop comes out as it was.
//! Never: no DTD and no entity but XML's own five.

use std::io::{self, BufRead, BufReader, Read};

use quick_xml::{
    Reader,
    events::{BytesRef, BytesStart, Event},
};

use super::super::super::{
    limits::{Opens, Stop},
    source::ReadAt,
    zip::{self, Entry},
};

/// A cell's text has at most 32,767 characters; nothing in a workbook needs more than this at once.
pub(super) const EVENT_BYTES_MAX: usize = 4 << 20;

/// `_x000D_` is how a character that XML cannot hold is written (ECMA-376 part 1, 22.4.2.4, ST_Xstring).
pub(super) fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("_x") {
        let escape = rest.get(at..at + 7).filter(|escape| escape.ends_with('_'));
        let code = escape.and_then(|escape| u32::from_str_radix(&escape[2..6], 16).ok());
        match code.and_then(char::from_u32) {
            Some(c) => {
                out.push_str(&rest[..at]);
                out.push(c);
                rest = &rest[at + 7..];
            }
            None => {
                out.push_str(&rest[..at + 2]);
                rest = &rest[at + 2..];
            }
        }
    }
    out.push_str(rest);
    out
}

pub(super) fn odd(what: &str) -> Stop {
    Stop::broken(format!("the workbook holds {what} that cannot be"))
}

pub(super) fn attribute(element: &BytesStart<'_>, name: &[u8]) -> Opens<Option<String>> {
    find_attribute(element, |key| key == name)
}

/// Whatever the prefix: `r:id`.
pub(super) fn local_attribute(element: &BytesStart<'_>, name: &[u8]) -> Opens<Option<String>> {
    find_attribute(element, |key| key.rsplit(|byte| *byte == b':').next() == Some(name) && key.contains(&b':'))
}

fn find_attribute(element: &BytesStart<'_>, is_wanted: impl Fn(&[u8]) -> bool) -> Opens<Option<String>> {
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|_| odd("an attribute"))?;
        if is_wanted(attribute.key.as_ref()) {
            return Ok(Some(attribute.unescape_value().map_err(|_| odd("an attribute"))?.into_owned()));
        }
    }
    Ok(None)
}

pub(super) fn push_text(out: &mut String, event: &Event<'_>) -> Opens<()> {
    match event {
        Event::Text(text) => out.push_str(&text.decode().map_err(|_| odd("a text"))?),
        Event::CData(text) => out.push_str(&text.decode().map_err(|_| odd("a text"))?),
        Event::GeneralRef(reference) => out.push(character(reference).ok_or_else(|| odd("an entity"))?),
        _ => {}
    }
    Ok(())
}

fn character(reference: &BytesRef<'_>) -> Option<char> {
    if let Ok(Some(c)) = reference.resolve_char_ref() {
        return Some(c);
    }
    let name: &[u8] = reference;
    Some(match name {
        b"lt" => '<',
        b"gt" => '>',
        b"amp" => '&',
        b"apos" => '\'',
        b"quot" => '"',
        _ => return None,
    })
}

/// The events of one part.
pub(super) struct Xml<'a> {
    reader: Reader<Bounded<BufReader<Box<dyn Read + 'a>>>>,
    buffer: Vec<u8>,
}

pub(super) fn xml<'a>(bytes: &'a mut dyn ReadAt, part: &Entry) -> Xml<'a> {
    let plain: Box<dyn Read + 'a> = Box::new(zip::open(bytes, part));
    let mut reader = Reader::from_reader(Bounded { inner: BufReader::with_capacity(64 << 10, plain), left: 0 });
    reader.config_mut().expand_empty_elements = true;
    Xml { reader, buffer: Vec::new() }
}

impl Xml<'_> {
    pub fn next(&mut self) -> Opens<Event<'_>> {
        self.buffer.clear();
        self.reader.get_mut().left = EVENT_BYTES_MAX;
        self.reader.read_event_into(&mut self.buffer).map_err(|error| match error {
            quick_xml::Error::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<Stop>()) {
                Some(Stop::Refused(quarantine)) => Stop::Refused(quarantine.clone()),
                Some(Stop::Failed(error)) => Stop::Failed(crate::error::Error::new(error.kind(), error.to_string())),
                None => odd("a part"),
            },
            _ => odd("XML"),
        })
    }
}

/// Ends reading when one event takes too many bytes.
struct Bounded<R> {
    inner: R,
    left: usize,
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(Stop::bomb(format!("one piece of the workbook has more than {EVENT_BYTES_MAX} bytes")).into());
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount);
        self.inner.consume(amount);
    }
}
