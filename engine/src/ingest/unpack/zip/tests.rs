use std::io::Read;

use super::*;
use crate::{
    ingest::unpack::pack::{File, zip, zip_of},
    settings::UnpackSettings,
};

fn allowance(packed: &[u8]) -> Allowance {
    Allowance::new(&UnpackSettings::default(), u64::MAX).within(packed.len() as u64)
}

fn refused(packed: &[u8]) -> QuarantineReason {
    let allowance = allowance(packed);
    let mut bytes = packed;
    let stop = match entries(&mut bytes, &allowance) {
        Ok(found) => verify(&mut bytes, &found, &allowance).expect_err("it is not whole"),
        Err(stop) => stop,
    };
    match stop {
        Stop::Refused(quarantine) => quarantine.reason,
        Stop::Failed(error) => panic!("{error}"),
    }
}

#[test]
fn what_was_packed_comes_out_in_order_without_folders() {
    let long = vec![b'x'; 300_000];
    let mut files = vec![File::deflated("a.csv", &long), File::stored("dir/", b""), File::stored("dir/b.csv", b"b")];
    files.push(File::deflated("empty", b""));
    let packed = zip_of(&files);
    let mut bytes = packed.as_slice();
    let found = entries(&mut bytes, &allowance(&packed)).expect("an archive");
    assert_eq!(found.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["a.csv", "dir/b.csv", "empty"]);
    assert_eq!(verify(&mut bytes, &found, &allowance(&packed)).expect("whole"), 300_001);
    let mut plain = Vec::new();
    open(bytes, &found[0]).read_to_end(&mut plain).expect("it unpacks");
    assert!(plain == long);
}

#[test]
fn names_are_utf_8_or_the_ibm_pcs_characters() {
    let mut old = File::stored("M.csv", b"1");
    let packed = zip_of(&[File::stored("März.csv", b"1"), old.clone()]);
    let mut bytes = packed.as_slice();
    let found = entries(&mut bytes, &allowance(&packed)).expect("an archive");
    assert_eq!(found[0].name, "März.csv");
    // 0x84 is ä in code page 437, and no UTF-8.
    old.name = "M?.csv".into();
    let mut packed = zip_of(&[old]);
    packed.iter_mut().filter(|byte| **byte == b'?').for_each(|byte| *byte = 0x84);
    let mut bytes = packed.as_slice();
    assert_eq!(entries(&mut bytes, &allowance(&packed)).expect("an archive")[0].name, "Mä.csv");
}

#[test]
fn every_cut_of_an_archive_is_told_as_broken() {
    let packed = zip(&[("a.csv", b"some,cells\n1,2\n"), ("b.csv", b"more")]);
    for length in 4..packed.len() {
        assert_eq!(refused(&packed[..length]), QuarantineReason::BrokenContainer, "cut at {length}");
    }
}

#[test]
fn no_changed_byte_makes_it_panic_and_none_in_the_data_goes_unseen() {
    let packed = zip(&[("a.csv", b"some,cells\n1,2\n"), ("b.csv", b"more of them")]);
    for at in 0..packed.len() {
        for flip in [1, 0x80, 0xff] {
            let mut bent = packed.clone();
            bent[at] ^= flip;
            let allowance = allowance(&bent);
            let mut bytes = bent.as_slice();
            let Ok(found) = entries(&mut bytes, &allowance) else { continue };
            if verify(&mut bytes, &found, &allowance).is_ok() {
                for (entry, plain) in found.iter().zip([&b"some,cells\n1,2\n"[..], b"more of them"]) {
                    let mut unpacked = Vec::new();
                    open(bytes, entry).read_to_end(&mut unpacked).expect("it was found whole");
                    assert_eq!(unpacked, plain, "byte {at}");
                }
            }
        }
    }
}

#[test]
fn bombs_are_refused_whether_they_lie_about_their_size_or_not() {
    let zeros = vec![0; 10 << 20];
    let honest = zip(&[("zeros", &zeros)]);
    assert!(honest.len() < 20_000, "{} bytes", honest.len());
    assert_eq!(refused(&honest), QuarantineReason::Bomb);
    let mut lying = File::deflated("zeros", &zeros);
    lying.plain_bytes = 100;
    assert_eq!(refused(&zip_of(&[lying])), QuarantineReason::Bomb);
    let few = zip(&[("zeros", &zeros[..1 << 20])]);
    let mut bytes = few.as_slice();
    assert!(entries(&mut bytes, &allowance(&few)).is_ok(), "a small file may pack as well as it likes");
}

#[test]
fn files_that_share_their_bytes_are_refused() {
    let first = File::deflated("a", b"the same bytes twice");
    let second = File { shares: Some(0), ..first.clone() };
    assert_eq!(refused(&zip_of(&[first, second])), QuarantineReason::Bomb);
}

#[test]
fn more_files_than_allowed_are_refused_before_they_are_read() {
    let files: Vec<File> = (0..1001).map(|n| File::stored(&format!("{n}"), b"x")).collect();
    assert_eq!(refused(&zip_of(&files)), QuarantineReason::Bomb);
}

#[test]
fn encryption_and_methods_that_are_not_read_are_told_by_name() {
    let file = File::deflated("a", b"cells");
    for (flags, method) in [(1, 8), (0x41, 8), (0x2001, 8), (1, 99)] {
        assert_eq!(refused(&zip_of(&[File { flags, method, ..file.clone() }])), QuarantineReason::Encrypted);
    }
    let packed = zip_of(&[File { method: 14, ..file }]);
    let Err(Stop::Refused(quarantine)) = entries(&mut packed.as_slice(), &allowance(&packed)) else { panic!("lzma was read") };
    assert_eq!(quarantine.reason, QuarantineReason::BrokenContainer);
    assert!(quarantine.message.contains("lzma"), "{}", quarantine.message);
}

#[test]
fn an_archive_in_zip64_form_is_read() {
    let mut packed = zip(&[("a.csv", b"some,cells\n")]);
    let end = packed.split_off(packed.len() - 22);
    let (length, start) =
        (u32::from_le_bytes(end[12..16].try_into().unwrap()), u32::from_le_bytes(end[16..20].try_into().unwrap()));
    let record_offset = packed.len() as u64;
    packed.extend(b"PK\x06\x06");
    packed.extend(44_u64.to_le_bytes());
    packed.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for field in [1, 1, u64::from(length), u64::from(start)] {
        packed.extend(field.to_le_bytes());
    }
    packed.extend(b"PK\x06\x07\0\0\0\0");
    packed.extend(record_offset.to_le_bytes());
    packed.extend([1, 0, 0, 0]);
    packed.extend(b"PK\x05\x06\0\0\0\0");
    packed.extend([0xff; 12]);
    packed.extend([0, 0]);
    let mut bytes = packed.as_slice();
    let found = entries(&mut bytes, &allowance(&packed)).expect("an archive");
    assert_eq!(verify(&mut bytes, &found, &allowance(&packed)).expect("whole"), 11);
}
