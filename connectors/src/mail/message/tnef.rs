//! winmail.dat: what Outlook wraps a message's parts in (MS-OXTNEF), read for the files and the text in it.
//! Promise: a file comes out whole under its long name, or with a note that its checksum does not hold.
//! Never: a length that is written there is believed before it fits; nothing is copied on the way.

use bytes::Bytes;
use mail_parser::decoders::charsets::map::charset_decoder;

pub(super) const MAGIC: [u8; 4] = [0x78, 0x9f, 0x3e, 0x22];
/// Files in one winmail.dat beyond this are not looked for.
const FILES_MAX: usize = 1_000;
const PROPERTIES_MAX: u32 = 10_000;

const ATTACH_RENDERING: u32 = 0x0006_9002;
const ATTACH_TITLE: u32 = 0x0001_8010;
const ATTACH_DATA: u32 = 0x0006_800f;
const ATTACH_PROPERTIES: u32 = 0x0006_9005;
const CODE_PAGE: u32 = 0x0006_9007;
const MESSAGE_PROPERTIES: u32 = 0x0006_9003;
const BODY: u32 = 0x0002_800c;

const BODY_TEXT: u16 = 0x1000;
const DISPLAY_NAME: u16 = 0x3001;
const DATA: u16 = 0x3701;
const SHORT_NAME: u16 = 0x3704;
const LONG_NAME: u16 = 0x3707;
const MEDIA_TYPE: u16 = 0x370e;
/// In front of a message that is attached to the message.
const MESSAGE_OBJECT: [u8; 16] = [0x07, 0x03, 0x02, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46];

#[derive(Default)]
pub(super) struct Opened {
    /// What the message says, when it lies in here.
    pub text: Option<Bytes>,
    pub files: Vec<File>,
    /// Why it was not read to its end.
    pub note: Option<String>,
}

#[derive(Default)]
pub(super) struct File {
    pub name: Option<String>,
    pub media_type: Option<String>,
    pub bytes: Bytes,
    /// The bytes are a winmail.dat once more: a message that was attached.
    pub is_message: bool,
    pub note: Option<String>,
    pub name_rank: u8,
}

/// What lies in it; none when it is no winmail.dat.
pub(super) fn open(bytes: &Bytes) -> Option<Opened> {
    let mut cursor = Cursor { bytes, at: 0 };
    (cursor.take(4)? == MAGIC).then_some(())?;
    cursor.take(2)?;
    let mut opened = Opened::default();
    let mut code_page = 1252;
    while cursor.at < bytes.len() {
        let Some(attribute) = cursor.attribute() else {
            opened.note = Some("cut or damaged behind its last whole attribute".to_owned());
            break;
        };
        let Attribute { id, range, holds } = attribute;
        let data = bytes.slice(range);
        match id {
            CODE_PAGE => code_page = data.get(..4).and_then(|four| four.try_into().ok()).map_or(1252, u32::from_le_bytes),
            BODY => opened.text = Some(trimmed(data)),
            MESSAGE_PROPERTIES => {
                for (id, kind, value) in properties(&data) {
                    if id == BODY_TEXT && opened.text.is_none() {
                        opened.text = text(&value, kind, code_page).map(Bytes::from);
                    }
                }
            }
            ATTACH_RENDERING => {
                if opened.files.len() == FILES_MAX {
                    opened.note = Some(format!("only its first {FILES_MAX} files were looked at"));
                    break;
                }
                opened.files.push(File::default());
            }
            ATTACH_TITLE | ATTACH_DATA | ATTACH_PROPERTIES => {
                if opened.files.is_empty() {
                    opened.files.push(File::default());
                }
                if let Some(file) = opened.files.last_mut() {
                    file.learn(id, data, code_page);
                    if !holds {
                        file.note = Some("its checksum in winmail.dat does not hold".to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    opened.files.retain(|file| !file.bytes.is_empty() || file.name.is_some());
    Some(opened)
}

impl File {
    fn learn(&mut self, id: u32, data: Bytes, code_page: u32) {
        match id {
            ATTACH_TITLE => self.rename(1, Some(decoded(&trimmed(data), code_page))),
            ATTACH_DATA => self.bytes = data,
            _ => {
                for (id, kind, value) in properties(&data) {
                    match id {
                        LONG_NAME => self.rename(4, text(&value, kind, code_page)),
                        SHORT_NAME => self.rename(2, text(&value, kind, code_page)),
                        DISPLAY_NAME => self.rename(3, text(&value, kind, code_page)),
                        MEDIA_TYPE => self.media_type = text(&value, kind, code_page).map(|text| text.to_ascii_lowercase()),
                        DATA if kind == OBJECT && value.starts_with(&MESSAGE_OBJECT) => {
                            self.bytes = value.slice(MESSAGE_OBJECT.len()..);
                            self.is_message = true;
                        }
                        // The same as attAttachData where both are there.
                        DATA if self.bytes.is_empty() && kind == BINARY => self.bytes = value,
                        _ => {}
                    }
                }
            }
        }
    }

    /// The longest name holds, whichever comes first.
    fn rename(&mut self, rank: u8, name: Option<String>) {
        if let Some(name) = name.filter(|name| !name.is_empty())
            && rank > self.name_rank
        {
            (self.name, self.name_rank) = (Some(name), rank);
        }
    }
}

struct Attribute {
    id: u32,
    range: std::ops::Range<usize>,
    /// Its checksum is right.
    holds: bool,
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn attribute(&mut self) -> Option<Attribute> {
        self.take(1)?;
        let id = self.u32()?;
        let length = usize::try_from(self.u32()?).ok()?;
        let start = self.at;
        let data = self.take(length)?;
        let sum = data.iter().fold(0_u16, |sum, byte| sum.wrapping_add(u16::from(*byte)));
        let told = self.u16()?;
        Some(Attribute { id, range: start..start + length, holds: sum == told })
    }

    /// A value, padded to four bytes.
    fn padded(&mut self) -> Option<std::ops::Range<usize>> {
        let length = usize::try_from(self.u32()?).ok()?;
        let start = self.at;
        self.take(length)?;
        self.at = self.at.saturating_add((4 - length % 4) % 4);
        Some(start..start + length)
    }
}

const TEXT: u16 = 0x1e;
const WIDE_TEXT: u16 = 0x1f;
const OBJECT: u16 = 0x0d;
const BINARY: u16 = 0x102;
const MANY: u16 = 0x1000;

/// The values of variable length in a list of MAPI properties, as far as it is whole: number, type, value.
fn properties(bytes: &Bytes) -> Vec<(u16, u16, Bytes)> {
    let mut found = Vec::new();
    let mut cursor = Cursor { bytes, at: 0 };
    let count = cursor.u32().unwrap_or(0).min(PROPERTIES_MAX);
    for _ in 0..count {
        if property(&mut cursor, bytes, &mut found).is_none() {
            break;
        }
    }
    found
}

fn property(cursor: &mut Cursor<'_>, bytes: &Bytes, found: &mut Vec<(u16, u16, Bytes)>) -> Option<()> {
    let (kind, id) = (cursor.u16()?, cursor.u16()?);
    if id >= 0x8000 {
        // A property with a name of its own: whose it is, and its number or its name.
        cursor.take(16)?;
        match cursor.u32()? {
            0 => {
                cursor.take(4)?;
            }
            _ => {
                cursor.padded()?;
            }
        }
    }
    let single = kind & !MANY;
    let values = match single {
        TEXT | WIDE_TEXT | OBJECT | BINARY => cursor.u32()?,
        _ if kind & MANY != 0 => cursor.u32()?,
        _ => 1,
    };
    for _ in 0..values {
        match single {
            TEXT | WIDE_TEXT | OBJECT | BINARY => {
                let range = cursor.padded()?;
                if found.len() < PROPERTIES_MAX as usize {
                    found.push((id, single, bytes.slice(range)));
                }
            }
            // Short ones are padded.
            0x02 | 0x03 | 0x04 | 0x0a | 0x0b => {
                cursor.take(4)?;
            }
            0x05 | 0x06 | 0x07 | 0x14 | 0x40 => {
                cursor.take(8)?;
            }
            0x48 => {
                cursor.take(16)?;
            }
            _ => return None,
        }
    }
    Some(())
}

fn text(value: &Bytes, kind: u16, code_page: u32) -> Option<String> {
    match kind {
        WIDE_TEXT => {
            let units = value.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
            Some(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>())
        }
        TEXT => Some(decoded(value, code_page)),
        _ => None,
    }
    .map(|text| text.trim_end_matches('\0').to_owned())
}

fn decoded(bytes: &[u8], code_page: u32) -> String {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    let names = [format!("windows-{code_page}"), format!("cp{code_page}"), code_page.to_string()];
    match names.iter().find_map(|name| charset_decoder(name.as_bytes())) {
        Some(decode) => decode(bytes),
        None => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn trimmed(bytes: Bytes) -> Bytes {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    bytes.slice(..end)
}
