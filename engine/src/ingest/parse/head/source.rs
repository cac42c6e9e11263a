//! The first bytes of a file as text, whatever they are encoded in.
//! Promise: a place in the text is told as a byte of the received file; the encoding keeps its evidence.

use super::super::{
    Encoding,
    encoding::{HighBytes, Transcoder, received_bytes, wide},
};

/// The bytes looked at, as text in UTF-8 (or in one byte a letter, which the tokeniser reads as well).
pub(super) struct Source<'a> {
    pub text: &'a [u8],
    /// Where the text starts in the received file, behind any byte order mark.
    pub start: usize,
    received: usize,
    pub encoding: Encoding,
    pub evidence: String,
}

impl<'a> Source<'a> {
    pub fn of(first: &'a [u8], whole: bool, transcoded: &'a mut Vec<u8>) -> Self {
        let received = first.len();
        if let Some(wide) = wide(first)
            && let Some(mut transcoder) = Transcoder::new(wide.encoding)
        {
            transcoder.push(&first[wide.mark_bytes..], transcoded);
            if whole {
                transcoder.finish(transcoded);
            }
            let (encoding, start, evidence) = (wide.encoding, wide.mark_bytes, wide.evidence);
            return Self { text: transcoded, start, received, encoding, evidence };
        }
        let (text, start) = match first.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) => (rest, 3),
            None => (first, 0),
        };
        let (encoding, evidence) = narrow(text, start, whole);
        Self { text, start, received, encoding, evidence }
    }

    /// Byte offset in the received file of a place in the text.
    pub fn offset(&self, place: usize) -> u64 {
        let within = if self.encoding.is_wide() { received_bytes(&self.text[..place]) } else { place as u64 };
        // A last byte without its pair counts as one unit in the text.
        (self.start as u64 + within).min(self.received as u64)
    }
}

/// UTF-8 unless the bytes looked at say otherwise; a character cut off at their end says nothing.
fn narrow(text: &[u8], start: usize, whole: bool) -> (Encoding, String) {
    let cut = if whole { 0 } else { text.iter().rev().take(3).take_while(|byte| **byte >= 0x80).count() };
    let mut high = HighBytes::default();
    high.add(&text[..text.len() - cut], start as u64);
    match high.encoding() {
        Some(encoding) => (encoding, high.evidence()),
        None if start > 0 => (Encoding::Utf8Bom, "ef bb bf".to_owned()),
        None if text.is_ascii() => (Encoding::Utf8, format!("the first {} bytes are all ASCII", text.len())),
        None => (Encoding::Utf8, format!("all bytes above 0x7f of the first {} form UTF-8; no byte order mark", text.len())),
    }
}
