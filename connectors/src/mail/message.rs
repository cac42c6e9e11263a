//! A received message as a flat list of its parts: nested multiparts, forwarded messages, winmail.dat, files in plain text.
//! Promise: a part comes out byte for byte as its encoding says; what is broken is read as far as it is whole, and noted.
//! Never: no panic and no unbounded memory, whatever was sent; a part is decoded when it is asked for, not before.
//!
//! The walk is our own, since every limit must be held before something is reserved; what header fields mean is
//! mail-parser's to say (RFC 2047, 2231, charsets, addresses).

use bytes::Bytes;

mod coding;
mod fields;
mod inline;
mod look;
mod tnef;
mod walk;

#[cfg(test)]
mod tests;

pub use coding::{Coding, Content};
pub use fields::{ADDRESSES_MAX, Address, Fields};
pub use look::{LOOK_BYTES, is_message};

/// The note of a winmail.dat that does not open, or breaks off before anything comes out.
pub const WINMAIL_BROKEN: &str = "a winmail.dat that cannot be read; ask for the file without Outlook's rich text";

/// How far a message is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of the whole message, which lies in memory while it is read.
    pub message_bytes_max: usize,
    /// Of one block of header fields.
    pub header_bytes_max: usize,
    /// Parts of every sort, those that only hold others included.
    pub parts_max: usize,
    /// How deep parts may lie in each other.
    pub depth_max: usize,
    /// What may be decoded into memory besides, for what lies in what is encoded.
    pub decoded_bytes_max: usize,
}

/// Why a message is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    pub why: Why,
    /// Names what was found; nothing of the message's own text.
    pub what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It wants more than the limits allow.
    TooMuch,
    /// It is no message.
    Broken,
}

impl Unread {
    fn too_much(what: impl Into<String>) -> Self {
        Self { why: Why::TooMuch, what: what.into() }
    }
}

/// What was found in a message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Of the message itself, not of what it forwards.
    pub fields: Fields,
    /// Bytes above the header: blank lines, and a line of the mailbox format.
    pub header_start: usize,
    /// Where what the fields stand in ends.
    pub body_start: usize,
    /// `multipart/report; report-type=delivery-status`, say: type, subtype and report type of the whole, in lower case.
    pub media_type: String,
    pub report_type: Option<String>,
    /// In the order in which they stand.
    pub parts: Vec<Part>,
    /// What was not as the standards want it and was read in spite of that. At most a few.
    pub notes: Vec<String>,
}

/// One part that holds no others.
#[derive(Clone, Debug)]
pub struct Part {
    /// As the sender named it.
    pub name: Option<String>,
    /// `text/csv`, in lower case, as the sender says; `application/octet-stream` where nothing was said of a file.
    pub media_type: String,
    pub disposition: Disposition,
    /// `1.2`: second part of the first. A file out of another part has that part's place and a number of its own.
    pub place: String,
    /// Parts that it lies in.
    pub depth: usize,
    pub origin: Origin,
    /// Lies in a multipart/alternative, related, report...: the subtype of what holds it.
    pub within: Option<String>,
    /// The message that it came in is one that this one forwards.
    pub forwarded: bool,
    /// Referred to by other parts, as logos are.
    pub has_content_id: bool,
    /// What is wrong with it, if something is.
    pub note: Option<String>,
    pub content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    Attachment,
    Inline,
    Unsaid,
}

/// How a part lay in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Mime,
    /// In a winmail.dat.
    Tnef,
    /// Between `begin` and `end` in a text.
    Uuencode,
    /// Between `=ybegin` and `=yend` in a text.
    Yenc,
}

impl Origin {
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Mime => "mime",
            Origin::Tnef => "winmail.dat",
            Origin::Uuencode => "uuencode",
            Origin::Yenc => "yenc",
        }
    }
}

impl Part {
    /// Text that a reader is shown, not a file that was attached to it.
    pub fn is_body(&self) -> bool {
        self.media_type.starts_with("text/")
            && self.name.is_none()
            && self.disposition != Disposition::Attachment
            && self.origin == Origin::Mime
    }
}

/// Reads a whole message.
///
/// # Errors
/// [`Unread`] when it is none, or wants more than the limits allow.
pub fn read(bytes: Bytes, limits: &Limits) -> Result<Message, Unread> {
    walk::walk(bytes, limits)
}
