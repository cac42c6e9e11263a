//! The fuzz targets on stable: mutations of good files, seeded, for as long as `BONDED_FUZZ_SECONDS` says (2 each).
//! Promise: `BONDED_FUZZ_SEED` with the seed that was printed gives the same bytes in the same order.
//! Never: this replaces no coverage-guided run; `fuzz/README.md` says which of those there were.

use std::time::{Duration, Instant};

use crate::containers::pack::{cells_of, gzip, xls, xlsx, zip};
use crate::mail::shapes;
use crate::pollock::sheet::{Dress, Polluted, Sheet, Transcoding};

mod fuzzed {
    pub use bonded::ingest::parse;
}

#[path = "../../fuzz/src/entry.rs"]
mod entry;
#[path = "../../fuzz/src/sealed.rs"]
mod sealed;
#[path = "../../fuzz/src/unpack.rs"]
mod unpack;

/// What a mutation puts in, beside random bytes.
const WORDS: [&[u8]; 22] = [
    b"\"",
    b"'",
    b",",
    b";",
    b"\t",
    b"|",
    b"\r",
    b"\n",
    b"\r\n",
    b"\\\"",
    b"\"\"",
    b"\",\"",
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"=\"",
    b"9999999999999999999999",
    b"1.5E+10",
    b"-",
    b"(1)",
    b"02/30/2025",
    b"Total",
];
const MUTATIONS_MAX: u64 = 8;

/// SplitMix64, so that a seed means the same bytes for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.next() % MUTATIONS_MAX {
            let at = self.below(bytes.len() + 1);
            let end = bytes.len().min(at + 1 + self.below(64));
            match self.below(6) {
                0 | 1 => drop(bytes.splice(at..at, WORDS[self.below(WORDS.len())].iter().copied())),
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let again = bytes[at..end].to_vec();
                    let to = self.below(bytes.len() + 1);
                    bytes.splice(to..to, again);
                }
                4 if at < bytes.len() => bytes[at] = self.next() as u8,
                4 => bytes.push(self.next() as u8),
                _ => bytes.truncate(at.max(1)),
            }
        }
    }
}

fn run(target: &str, seeds: &[Vec<u8>], each: impl Fn(&[u8])) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seconds = number("BONDED_FUZZ_SECONDS").unwrap_or(2);
    let seed = number("BONDED_FUZZ_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("{target}: BONDED_FUZZ_SEED={seed}");
    let (mut random, mut executions, started) = (Random(seed), 0_u64, Instant::now());
    seeds.iter().for_each(|seed| each(seed));
    while started.elapsed() < Duration::from_secs(seconds) {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        random.mutate(&mut bytes);
        each(&bytes);
        executions += 1;
    }
    println!("{target}: {executions} executions in {:?}", started.elapsed());
    assert!(executions > 0);
}

/// A small report in many dresses.
fn files() -> Vec<Vec<u8>> {
    let mut sheet = Sheet::new();
    sheet.rows.truncate(3);
    let mut dresses = vec![Dress::default(), Dress::quoting_all(), Dress::by("\t"), Dress::by(";"), Dress::by("|")];
    dresses.push(Dress { quote: b'\'', escape: b'\'', quote_all: true, ..Dress::default() });
    dresses.push(Dress { escape: b'\\', escapes_itself: true, ..Dress::default() });
    dresses.push(Dress { line_end: b"\r".into(), ..Dress::default() });
    let mut files: Vec<Vec<u8>> = dresses.iter().map(|dress| sheet.dressed(dress).bytes().0).collect();
    let utf_16 = |big_endian| Transcoding::Utf16 { big_endian, mark: true };
    for encoding in [Transcoding::Utf8Mark, Transcoding::Windows1252, utf_16(false), utf_16(true)] {
        files.push(Polluted { encoding, ..sheet.plain() }.bytes().0);
    }
    files
}

#[test]
fn detection_decides_on_any_bytes() {
    run("detection", &files(), entry::detection);
}

#[test]
fn rows_are_the_same_for_every_way_to_cut_any_bytes() {
    let mut seeds = files();
    // Bodies alone: the target puts a header of its own above them.
    seeds.push(b"ABC12345676,1,1,04/02/2025,CN,5,\"1,234.50\",(0.5),\"a\nb\"\n,,,,,,,,\nTotal,,,,,,1,1,\n".to_vec());
    run("rows", &seeds, entry::rows);
}

#[test]
fn typed_cells_read_the_same_once_they_are_printed() {
    let seeds = [
        &b"1234.56\n$1,234.56\n(12.3)\n12-\n-0\n+5\n.5\n1.\n99999999999999.9999\n123456789012345678"[..],
        b"01/31/2026\n2026-01-31\n1/2/26\n46053\n46053.5\n01/31/2026 12:00:00 AM\n31.01.2026\n2026-01-31T07:15:00Z",
        b"1\n007\n2147483647\n2147483648\n\xc2\xa05\n=\"0401\"\n1.5E+10\nABC-1234567-6\nABC12345676\n\xe2\x80\x93",
    ];
    run("typed", &seeds.map(<[u8]>::to_vec), entry::typed);
}

#[test]
fn sealed_bytes_open_as_what_was_sealed_or_not_at_all() {
    let vault = sealed::Vault::new();
    let stream = [&100_u64.to_le_bytes()[..], b"AGS1\0\0\x10\0", &[0; 128]].concat();
    run("sealed", &[vault.object.clone(), vault.document.clone(), stream], |bytes| vault.open(bytes));
}

#[test]
fn containers_of_any_bytes_end_in_a_receipt() {
    let mut sheet = Sheet::new();
    sheet.rows.truncate(2);
    let plain = sheet.plain().bytes().0;
    let cells = cells_of(&String::from_utf8(plain.clone()).expect("text"));
    let book = [("Main Report", cells)];
    let packed = zip(&[("a.csv", &plain), ("b/c.csv", b"Name,Colour\nlamp,red\n")]);
    let seeds = [gzip(Some("a.csv"), &plain), zip(&[("inner.zip", &packed)]), packed, xlsx(&book), xls(&book)];
    let dock = unpack::Dock::new();
    run("unpack", &seeds, |bytes| dock.deliver(bytes));
}

#[test]
fn mails_of_any_bytes_end_in_a_receipt() {
    let mut sheet = Sheet::new();
    sheet.rows.truncate(2);
    let plain = sheet.plain().bytes().0;
    let load = shapes::Load {
        reports: vec![plain.clone(), [plain.as_slice(), b"\n"].concat(), [plain.as_slice(), b"\r\n"].concat()],
        packed: vec![("a.zip", zip(&[("a.csv", &plain)]))],
        locked_zip: b"PK\x03\x04\x14\0\x01\0".to_vec(),
    };
    let all = shapes::all(&load, &mut shapes::Random(1));
    // All of them go through the line in `tests/it/mail.rs`; here some are bent.
    let small = all.into_iter().map(|shape| shape.bytes).filter(|bytes| bytes.len() < 16 << 10);
    let seeds: Vec<Vec<u8>> = small.step_by(8).collect();
    let dock = unpack::Dock::new();
    run("mail", &seeds, |bytes| dock.deliver_mail(bytes));
}
