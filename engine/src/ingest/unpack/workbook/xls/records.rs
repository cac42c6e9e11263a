//! BIFF8 records, the records that continue them, and the texts in them (MS-XLS 2.1.4, 2.5.293, 2.5.240).
//! Promise: nothing is read past a record's end; a text may go on in the next record at any character.

use super::{super::super::limits::Opens, odd};

const CONTINUE: u16 = 0x003c;
const WIDE: u8 = 1;
const EXTENDED: u8 = 4;
const RICH: u8 = 8;

pub(super) struct Record<'a> {
    pub kind: u16,
    pub body: &'a [u8],
}

impl<'a> Record<'a> {
    pub fn from(&self, offset: usize) -> Opens<&'a [u8]> {
        self.body.get(offset..).ok_or_else(|| odd("record"))
    }

    fn array<const N: usize>(&self, offset: usize) -> Opens<[u8; N]> {
        let bytes = self.from(offset)?.get(..N).ok_or_else(|| odd("record"))?;
        bytes.try_into().map_err(|_| odd("record"))
    }

    pub fn u8(&self, offset: usize) -> Opens<u8> {
        self.array(offset).map(u8::from_le_bytes)
    }

    pub fn u16(&self, offset: usize) -> Opens<u16> {
        self.array(offset).map(u16::from_le_bytes)
    }

    pub fn u32(&self, offset: usize) -> Opens<u32> {
        self.array(offset).map(u32::from_le_bytes)
    }

    pub fn f64(&self, offset: usize) -> Opens<f64> {
        self.array(offset).map(f64::from_le_bytes)
    }
}

pub(super) struct Records<'a> {
    stream: &'a [u8],
    at: usize,
}

impl<'a> Records<'a> {
    pub fn new(stream: &'a [u8], at: usize) -> Self {
        Self { stream, at }
    }

    /// None at the very end of the stream.
    pub fn next(&mut self) -> Opens<Option<Record<'a>>> {
        let Some(rest) = self.stream.get(self.at..).filter(|rest| !rest.is_empty()) else { return Ok(None) };
        let [k0, k1, l0, l1, rest @ ..] = rest else { return Err(odd("record")) };
        let length = usize::from(u16::from_le_bytes([*l0, *l1]));
        let body = rest.get(..length).ok_or_else(|| odd("record"))?;
        self.at += 4 + length;
        Ok(Some(Record { kind: u16::from_le_bytes([*k0, *k1]), body }))
    }

    /// The bodies of the records that go on with the last one.
    pub fn continued(&mut self) -> Opens<Vec<&'a [u8]>> {
        let mut bodies = Vec::new();
        loop {
            let before = self.at;
            match self.next()? {
                Some(record) if record.kind == CONTINUE => bodies.push(record.body),
                _ => {
                    self.at = before;
                    return Ok(bodies);
                }
            }
        }
    }
}

/// A record's body with those that continue it.
pub(super) struct Segments<'a> {
    now: &'a [u8],
    then: std::vec::IntoIter<&'a [u8]>,
}

impl<'a> Segments<'a> {
    pub fn new(first: &'a [u8], then: Vec<&'a [u8]>) -> Self {
        Self { now: first, then: then.into_iter() }
    }

    /// Steps into the next segment; the text's own bytes are at its start.
    fn step(&mut self) -> Opens<()> {
        self.now = self.then.next().ok_or_else(|| odd("text"))?;
        Ok(())
    }

    fn byte(&mut self) -> Opens<u8> {
        while self.now.is_empty() {
            self.step()?;
        }
        let (first, rest) = self.now.split_first().ok_or_else(|| odd("text"))?;
        self.now = rest;
        Ok(*first)
    }

    fn u16(&mut self) -> Opens<u16> {
        Ok(u16::from_le_bytes([self.byte()?, self.byte()?]))
    }

    fn u32(&mut self) -> Opens<u32> {
        Ok(u32::from(self.u16()?) | u32::from(self.u16()?) << 16)
    }

    fn skip(&mut self, mut length: usize) -> Opens<()> {
        while length > self.now.len() {
            length -= self.now.len();
            self.step()?;
        }
        self.now = &self.now[length..];
        Ok(())
    }

    /// So many UTF-16 units. Where they go on in another record, a byte says anew how wide they are.
    fn units(&mut self, mut count: usize, mut is_wide: bool) -> Opens<Vec<u16>> {
        let mut units = Vec::with_capacity(count.min(self.now.len()));
        loop {
            let width = if is_wide { 2 } else { 1 };
            let here = count.min(self.now.len() / width);
            let (taken, rest) = self.now.split_at(here * width);
            match is_wide {
                true => units.extend(taken.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]))),
                false => units.extend(taken.iter().map(|byte| u16::from(*byte))),
            }
            self.now = rest;
            count -= here;
            if count == 0 {
                return Ok(units);
            }
            if !self.now.is_empty() {
                return Err(odd("text"));
            }
            self.step()?;
            is_wide = self.byte()? & WIDE != 0;
        }
    }
}

/// A text with a length of two bytes, with or without formatting runs and reading aids.
pub(super) fn text(segments: &mut Segments<'_>) -> Opens<String> {
    let count = segments.u16()?;
    // A formula's empty text may end here.
    if count == 0 && segments.now.is_empty() {
        return Ok(String::new());
    }
    let flags = segments.byte()?;
    let runs = if flags & RICH != 0 { segments.u16()? } else { 0 };
    let aids = if flags & EXTENDED != 0 { segments.u32()? } else { 0 };
    let units = segments.units(count.into(), flags & WIDE != 0)?;
    segments.skip(usize::from(runs) * 4)?;
    segments.skip(aids as usize)?;
    Ok(String::from_utf16_lossy(&units))
}

/// A text with a length of one byte: a sheet's name.
pub(super) fn short_text(body: &[u8]) -> Opens<String> {
    let (count, rest) = body.split_first().ok_or_else(|| odd("name"))?;
    let (flags, rest) = rest.split_first().ok_or_else(|| odd("name"))?;
    let mut segments = Segments::new(rest, Vec::new());
    let units = segments.units(usize::from(*count), flags & WIDE != 0)?;
    Ok(String::from_utf16_lossy(&units))
}
