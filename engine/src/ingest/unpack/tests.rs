use tokio::io::AsyncReadExt;

use bonded_schemas::QuarantineReason;

use super::{plan::shown, source::MemberStream, *};
use crate::settings::UnpackSettings;

fn allowance(packed: &[u8]) -> Allowance {
    Allowance::new(&UnpackSettings::default(), u64::MAX).within(packed.len() as u64)
}

fn unzipped(packed: &'static [u8], allowance: &Allowance) -> Opens<Vec<u8>> {
    let mut out = Vec::new();
    gzip::unpack(packed, allowance, &mut out).map(|()| out)
}

#[test]
fn a_file_is_known_by_its_first_bytes_alone() {
    for (bytes, packed) in [
        (pack::zip(&[("a", b"b")]), Some(Packed::Zip)),
        (pack::zip(&[]), Some(Packed::Zip)),
        (pack::gzip(None, b"b"), Some(Packed::Gzip)),
        (pack::xls(&[("a", vec![])]), Some(Packed::Compound)),
        (b"Entry Summary Number,PK\n".to_vec(), None),
        (b"PK".to_vec(), None),
        (vec![], None),
    ] {
        assert_eq!(Packed::of(&bytes[..bytes.len().min(FIRST_BYTES)]), packed);
    }
}

#[test]
fn gzip_files_one_behind_another_are_one_and_a_cut_or_bent_one_is_broken() {
    let mut packed = pack::gzip(None, b"first,");
    packed.extend(pack::gzip(None, b"second"));
    let packed: &'static [u8] = packed.leak();
    assert_eq!(unzipped(packed, &allowance(packed)).expect("whole"), b"first,second");
    let one: &'static [u8] = pack::gzip(Some("a.csv"), b"some cells, and more of them").leak();
    for length in 3..one.len() {
        let cut = unzipped(&one[..length], &allowance(one));
        assert!(matches!(cut, Err(Stop::Refused(q)) if q.reason == QuarantineReason::BrokenContainer), "cut at {length}");
    }
    let mut bent = one.to_vec();
    let last = bent.len() - 5;
    bent[last] ^= 1;
    let bent: &'static [u8] = bent.leak();
    assert!(matches!(unzipped(bent, &allowance(bent)), Err(Stop::Refused(q)) if q.reason == QuarantineReason::BrokenContainer));
}

#[test]
fn a_gzip_bomb_stops_at_the_limit() {
    let bomb: &'static [u8] = pack::gzip(None, &vec![0; 10 << 20]).leak();
    let allowance = allowance(bomb);
    let mut out = Counted(0);
    let stopped = gzip::unpack(bomb, &allowance, &mut out);
    assert!(matches!(stopped, Err(Stop::Refused(q)) if q.reason == QuarantineReason::Bomb));
    assert!(out.0 <= allowance.member_bytes, "{} bytes came out", out.0);
}

struct Counted(u64);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_gzip_file_is_named_by_its_header_or_without_its_ending() {
    for (header, file_name, name) in [
        (Some("ES-003.csv"), "attachment.bin", "ES-003.csv"),
        (None, "ES-003.csv.gz", "ES-003.csv"),
        (None, "ES-003.csv.GZ", "ES-003.csv"),
        (None, "attachment.bin", "attachment.bin#content"),
        (None, ".gz", ".gz#content"),
    ] {
        let packed = pack::gzip(header, b"x");
        assert_eq!(gzip::member_name(&mut &packed[..], file_name).expect("read"), name);
    }
}

#[test]
fn names_are_cut_and_show_no_control_characters() {
    assert_eq!(shown("a\u{1b}[31m\nb"), "a\\u{1b}[31m\\nb");
    assert_eq!(shown(&"ä".repeat(1000)).chars().count(), 256);
}

#[tokio::test]
async fn a_member_that_stops_early_does_not_look_as_if_it_had_ended() {
    let mut whole = MemberStream::start(|out| Ok(out.write_all(&vec![7; 1 << 20])?));
    let mut read = Vec::new();
    whole.read_to_end(&mut read).await.expect("it ends");
    assert_eq!(read.len(), 1 << 20);
    let mut cut = MemberStream::start(|out| {
        out.write_all(b"some")?;
        Err(Stop::broken("cut"))
    });
    cut.read_to_end(&mut Vec::new()).await.expect_err("it stops");
    assert!(matches!(cut.stop, Some(Stop::Refused(_))));
    let mut lost = MemberStream::start(|_| panic!("on purpose"));
    lost.read_to_end(&mut Vec::new()).await.expect_err("it stops");
    assert!(matches!(lost.stop, Some(Stop::Refused(_))));
}
