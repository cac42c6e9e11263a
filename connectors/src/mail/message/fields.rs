//! Header fields: split here, within limits; their meaning by mail-parser.
//! Promise: 8-bit text, encoded words and split parameters come out as text; a field that means nothing is empty, not an error.

use bytes::Bytes;
use mail_parser::{ContentType, HeaderValue, parsers::MessageStream};

use super::{Unread, look::field_name};

/// Nobody's header has more.
const FIELDS_MAX: usize = 5_000;
/// More addresses of a field are not read.
pub const ADDRESSES_MAX: usize = 50;

/// The header fields of one message, in order.
#[derive(Clone, Default)]
pub struct Fields(Vec<Field>);

#[derive(Clone)]
struct Field {
    /// In lower case.
    name: String,
    /// Behind the colon, folded as it came.
    value: Bytes,
}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values are people's words and addresses.
        f.debug_list().entries(self.0.iter().map(|field| &field.name)).finish()
    }
}

#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub name: Option<String>,
    /// In lower case.
    pub address: String,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Address")
    }
}

impl Address {
    pub fn domain(&self) -> Option<&str> {
        self.address.rsplit_once('@').map(|(_, domain)| domain).filter(|domain| !domain.is_empty())
    }
}

impl Fields {
    /// The fields at the start, and where the body begins.
    pub(super) fn split(bytes: &Bytes, header_bytes_max: usize) -> Result<(Self, usize), Unread> {
        let mut fields: Vec<(usize, usize, usize)> = Vec::new();
        let mut at = 0;
        let body = loop {
            if at > header_bytes_max {
                return Err(Unread::too_much(format!("its header fields are longer than {header_bytes_max} bytes")));
            }
            let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) else { break at };
            let looked_at = &rest[..rest.len().min(header_bytes_max + 1)];
            let line_end = memchr::memchr(b'\n', looked_at);
            let (line, next) = match line_end {
                Some(end) => (&rest[..end], at + end + 1),
                None => (looked_at, at + looked_at.len()),
            };
            let text = line.strip_suffix(b"\r").unwrap_or(line);
            if text.is_empty() {
                break next;
            }
            match (matches!(text[0], b' ' | b'\t'), field_name(text)) {
                (true, _) => {
                    if let Some(last) = fields.last_mut() {
                        last.2 = at + text.len();
                    }
                }
                (false, Some(name)) => {
                    if fields.len() == FIELDS_MAX {
                        return Err(Unread::too_much(format!("it has more than {FIELDS_MAX} header fields")));
                    }
                    let colon = memchr::memchr(b':', text).unwrap_or(name.len());
                    fields.push((at, at + colon + 1, at + text.len()));
                }
                // No blank line parts header and body.
                (false, None) => break at,
            }
            at = next;
        };
        let fields = fields.into_iter().map(|(start, value, end)| Field {
            name: String::from_utf8_lossy(bytes[start..value - 1].trim_ascii_end()).to_ascii_lowercase(),
            value: bytes.slice(value..end),
        });
        Ok((Self(fields.collect()), body))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names in lower case, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|field| field.name.as_str())
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|field| field.name == name)
    }

    /// The values of all fields with this name (in lower case), as they came.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |field| field.name == name).map(|field| field.value.as_ref())
    }

    /// The first field with this name, if it stands above what the hop before the last wrote: above the second `Received`.
    pub fn topmost(&self, name: &str) -> Option<&[u8]> {
        let hops = self.0.iter().enumerate().filter(|(_, field)| field.name == "received");
        let end = hops.map(|(at, _)| at).nth(1).unwrap_or(self.0.len());
        self.0[..end].iter().find(|field| field.name == name).map(|field| field.value.as_ref())
    }

    /// The text of the first field with this name, decoded and on one line.
    pub fn text(&self, name: &str) -> Option<String> {
        let value = terminated(self.all(name).next()?);
        match MessageStream::new(&value).parse_unstructured() {
            HeaderValue::Text(text) => Some(text.trim().to_owned()),
            _ => Some(String::new()),
        }
    }

    /// The first word of a field, in lower case: `auto-replied` of `Auto-Replied; owner="..."`.
    pub fn token(&self, name: &str) -> Option<String> {
        let value = self.all(name).next()?;
        let text = String::from_utf8_lossy(value);
        let token = text.trim().split([';', ' ', '\t', '(', '\r', '\n']).next().unwrap_or_default();
        Some(token.trim().to_ascii_lowercase())
    }

    /// Everyone named in all fields of this name; of more than [`ADDRESSES_MAX`], so many.
    pub fn addresses(&self, name: &str) -> Vec<Address> {
        let mut found = Vec::new();
        for value in self.all(name) {
            let value = terminated(value);
            let parsed = MessageStream::new(&value).parse_address();
            let Some(list) = parsed.as_address() else { continue };
            for entry in list.iter() {
                if found.len() == ADDRESSES_MAX {
                    return found;
                }
                let address = entry.address.as_deref().unwrap_or_default().trim().to_lowercase();
                found.push(Address { name: entry.name.as_deref().map(str::to_owned), address });
            }
        }
        found
    }

    /// A field with parameters: Content-Type, Content-Disposition.
    pub(super) fn structured<T>(&self, name: &str, read: impl FnOnce(&ContentType<'_>) -> T) -> Option<T> {
        let value = terminated(self.all(name).next()?);
        let parsed = MessageStream::new(&value).parse_content_type();
        parsed.as_content_type().map(read)
    }
}

/// As mail-parser wants it: with the line end that is not the field's own.
fn terminated(value: &[u8]) -> Vec<u8> {
    [value, b"\r\n"].concat()
}
