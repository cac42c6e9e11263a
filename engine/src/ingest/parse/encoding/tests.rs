//! Encodings told by their bytes, and UTF-16 cut at every place.

use proptest::prelude::*;

use super::*;

fn transcode(chunks: &[&[u8]], big_endian: bool) -> (Vec<u8>, u64) {
    let encoding = if big_endian { Encoding::Utf16Be } else { Encoding::Utf16Le };
    let mut transcoder = Transcoder::new(encoding).unwrap();
    let mut out = Vec::new();
    chunks.iter().for_each(|chunk| transcoder.push(chunk, &mut out));
    transcoder.finish(&mut out);
    (out, transcoder.replaced)
}

fn sixteen(text: &str, big_endian: bool) -> Vec<u8> {
    text.encode_utf16().flat_map(|unit| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

#[test]
fn a_byte_order_mark_tells_utf_16_and_its_order() {
    for (bytes, encoding) in [(b"\xff\xfea\0", Encoding::Utf16Le), (b"\xfe\xff\0a", Encoding::Utf16Be)] {
        let wide = wide(bytes).unwrap();
        assert_eq!((wide.encoding, wide.mark_bytes), (encoding, 2));
        assert!(wide.evidence.starts_with("byte order mark f"), "{}", wide.evidence);
    }
}

#[test]
fn without_a_mark_the_nul_bytes_tell_and_a_stray_one_does_not() {
    let text = "Entry Summary Number,Entry Summary Line Number,Empfänger";
    assert_eq!(wide(&sixteen(text, false)).unwrap().encoding, Encoding::Utf16Le);
    let back = wide(&sixteen(text, true)).unwrap();
    assert_eq!((back.encoding, back.mark_bytes), (Encoding::Utf16Be, 0));
    assert_eq!(back.evidence, "no byte order mark; the first byte of 56 of the first 56 byte pairs is NUL");
    for bytes in [&b"Entry\0Summary\0Number,a,b,c,d,e"[..], b"", b"\0", b"a\0b\0", &[0; 200], text.as_bytes()] {
        assert_eq!(wide(bytes), None, "{bytes:?}");
    }
}

#[test]
fn lone_surrogates_and_an_odd_last_byte_become_replacements_and_are_counted() {
    let pair = "🧾".encode_utf16().collect::<Vec<u16>>();
    let (high, low) = (pair[0], pair[1]);
    let check = |units: &[u16], odd: &[u8], expected: &str, count: u64| {
        let bytes: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).chain(odd.iter().copied()).collect();
        let (text, replaced) = transcode(&[&bytes], false);
        assert_eq!((String::from_utf8(text).unwrap().as_str(), replaced), (expected, count), "{units:x?}");
    };
    check(&[high, low], &[], "🧾", 0);
    check(&[0x61, high, 0x62], &[], "a\u{fffd}b", 1);
    check(&[low, 0x62], &[], "\u{fffd}b", 1);
    check(&[high, high, low], &[], "\u{fffd}🧾", 1);
    check(&[0x61, high], &[], "a\u{fffd}", 1);
    check(&[0x61], &[0x62], "a\u{fffd}", 1);
    check(&[high], &[0x62], "\u{fffd}\u{fffd}", 2);
}

#[test]
fn the_text_leads_back_to_the_received_bytes() {
    for text in ["", "abc", "Empfänger €", "a🧾b\u{fffd}"] {
        assert_eq!(received_bytes(text.as_bytes()), sixteen(text, false).len() as u64, "{text}");
    }
}

#[test]
fn bytes_of_0x80_to_0x9f_part_windows_1252_from_iso_8859_1() {
    let told = |bytes: &[u8]| {
        let mut high = HighBytes::default();
        high.add(bytes, 100);
        high.encoding().map(|encoding| (encoding, high.evidence()))
    };
    assert_eq!(told("plain, and Empfänger".as_bytes()), None);
    let (encoding, evidence) = told(b"Caf\xe9 \xe4").unwrap();
    assert_eq!(encoding, Encoding::Iso8859_1);
    assert_eq!(
        evidence,
        "bytes above 0x7f that are not UTF-8: 2, first at byte 103; none of 0x80 to 0x9f, so windows-1252 reads the same"
    );
    let (encoding, evidence) = told(b"\x80 5 \x96 \x81 \xe4").unwrap();
    assert_eq!(encoding, Encoding::Windows1252);
    assert_eq!(
        evidence,
        "bytes above 0x7f that are not UTF-8: 4, first at byte 100; 3 of 0x80 to 0x9f, which are control characters in iso-8859-1; \
         1 to which windows-1252 gives no letter"
    );
}

/// Units of which surrogates are frequent.
fn units() -> impl Strategy<Value = Vec<u16>> {
    let unit = prop_oneof![4 => 0x20u16..0x7f, 1 => 0xd800u16..0xe000, 1 => any::<u16>()];
    prop::collection::vec(unit, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_way_to_cut_utf_16_changes_its_text(units in units(), big_endian in any::<bool>(), odd in any::<bool>(), cut in 0usize..130) {
        let mut bytes: Vec<u8> =
            units.iter().flat_map(|unit| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect();
        let expected = String::from_utf16_lossy(&units);
        if odd {
            bytes.push(b'x');
        }
        let (text, replaced) = transcode(&[&bytes], big_endian);
        let cut = cut.min(bytes.len());
        prop_assert_eq!((text.clone(), replaced), transcode(&[&bytes[..cut], &bytes[cut..]], big_endian));
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!((text.clone(), replaced), transcode(&single, big_endian));
        prop_assert_eq!(String::from_utf8(text).unwrap(), if odd { expected + "\u{fffd}" } else { expected });
    }

    #[test]
    fn no_bytes_make_detection_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = wide(&bytes);
        let mut high = HighBytes::default();
        high.add(&bytes, u64::from(u32::MAX));
        prop_assert_eq!(high.count == 0, std::str::from_utf8(&bytes).is_ok());
        let _ = transcode(&[&bytes], true);
    }
}
