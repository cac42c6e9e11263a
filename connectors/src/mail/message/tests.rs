use bytes::Bytes;
use mail_parser::{MessageParser, MimeHeaders};

use super::*;

#[path = "../../../../tests/it/mail/shapes.rs"]
#[allow(dead_code, unreachable_pub, reason = "the whole program is tested by the same shapes")]
mod shapes;

use shapes::{Comes, Load, Random, all};

const LIMITS: Limits = Limits {
    message_bytes_max: 64 << 20,
    header_bytes_max: 256 << 10,
    parts_max: 1000,
    depth_max: 20,
    decoded_bytes_max: 64 << 20,
};

fn load() -> Load {
    let report = |name: &str| {
        let rows: String = (0..40).map(|row| format!("XZ91000{row:04},05/04/2026,={row},\"a, b\",{}\n", row * 7)).collect();
        format!("Entry Summary Number,Entry Date,{name},Remark,Amount\n{rows}").into_bytes()
    };
    Load {
        reports: ["one", "two", "three"].map(report).to_vec(),
        packed: Vec::new(),
        locked_zip: b"PK\x03\x04\x14\0\x01\0".to_vec(),
    }
}

fn read(bytes: &[u8]) -> Result<Message, Unread> {
    super::read(Bytes::copy_from_slice(bytes), &LIMITS)
}

fn whole(part: &Part) -> Vec<u8> {
    part.content.whole(64 << 20).expect("small").to_vec()
}

#[test]
fn every_shape_gives_its_files_byte_for_byte() {
    for seed in 0..8 {
        for shape in all(&load(), &mut Random(seed)) {
            let message = match (read(&shape.bytes), &shape.comes) {
                (Ok(message), _) => message,
                (Err(unread), Comes::Quarantined("bomb")) => {
                    assert_eq!(unread.why, Why::TooMuch, "{}: {}", shape.name, unread.what);
                    continue;
                }
                (Err(unread), Comes::Quarantined(_)) => {
                    assert_eq!(unread.why, Why::Broken, "{}: {}", shape.name, unread.what);
                    continue;
                }
                (Err(unread), _) => panic!("{}, seed {seed}: {}", shape.name, unread.what),
            };
            let Comes::Members(planted) = &shape.comes else { continue };
            let found: Vec<Vec<u8>> = message.parts.iter().map(whole).collect();
            let mut rest = found.iter();
            for (at, member) in planted.iter().enumerate() {
                let there = rest.any(|bytes| bytes == member);
                let sizes: Vec<usize> = found.iter().map(Vec::len).collect();
                assert!(there, "{}, seed {seed}: file {at} ({} bytes) is not among {sizes:?}", shape.name, member.len());
            }
        }
    }
}

/// mail-parser reads the same messages another way; where both see a file, they see the same one.
#[test]
fn another_reader_finds_no_file_that_this_one_misses() {
    let mut compared = 0;
    for shape in all(&load(), &mut Random(11)) {
        let (Ok(ours), Some(theirs)) = (read(&shape.bytes), MessageParser::default().parse(&shape.bytes)) else { continue };
        let found: Vec<Vec<u8>> = ours.parts.iter().map(whole).collect();
        for part in theirs.attachments() {
            let is_file = part.attachment_name().is_some_and(|name| name.ends_with(".csv"));
            // It gives texts in Unicode and drops what it cannot read; bytes are compared where it left them alone.
            if is_file
                && std::str::from_utf8(part.contents()).is_ok()
                && !part.is_encoding_problem
                && !shape.name.contains("uuencode")
            {
                let same = found.iter().any(|bytes| {
                    bytes == part.contents()
                        || String::from_utf8_lossy(bytes).trim_end() == String::from_utf8_lossy(part.contents()).trim_end()
                });
                let is_known_to_differ = [
                    "base64 with a list's footer under it",
                    "UTF-16 in base64 under a text's label",
                    "base64 in pieces, each padded",
                    "base64 with junk in it",
                ]
                .contains(&shape.name);
                assert!(same || is_known_to_differ, "{}: {:?}", shape.name, part.attachment_name());
                compared += usize::from(same);
            }
        }
    }
    assert!(compared > 40, "only {compared} files were compared");
}

#[test]
fn names_come_out_as_people_read_them() {
    let mut named = std::collections::BTreeMap::new();
    for shape in all(&load(), &mut Random(1)) {
        let Ok(message) = read(&shape.bytes) else { continue };
        named.insert(shape.name, message.parts.iter().filter_map(|part| part.name.clone()).collect::<Vec<_>>());
    }
    for (shape, name) in [
        ("a name in pieces (RFC 2231)", "Entry Summary Line Tariff Details.csv"),
        ("a name in pieces with a charset", "Zusammenübersicht.csv"),
        ("a name with a charset", "Eingänge.csv"),
        ("a name in encoded words (RFC 2047)", "Eingänge.csv"),
        ("a name in UTF-8 as it is", "Eingänge für Mai.csv"),
        ("a name in the type alone", "ES-003.csv"),
        ("winmail.dat", "Entry Summary Line Tariff Details.csv"),
        ("uuencode in a text", "ES-003.csv"),
        ("yEnc in a text", "r.csv"),
    ] {
        assert_eq!(named[shape], [name], "{shape}");
    }
    assert_eq!(named["winmail.dat with three files"], ["Eingänge.csv", "B.CSV", "c.csv"]);
    assert_eq!(named["two files in a text"], ["a.csv", "b b.csv"]);
}

#[test]
fn what_a_sender_calls_a_part_is_kept_to_a_bounded_length() {
    let part = |name: &str, kind: &str| {
        let mail = format!(
            "From: a@nordwind.example\r\nContent-Type: application/{kind}\r\n\
             Content-Disposition: attachment; filename=\"{name}\"\r\n\r\na,b\r\n"
        );
        let message = read(mail.as_bytes()).expect("a message");
        (message.parts[0].clone(), message.notes)
    };
    let (kept, notes) = part(&"ü".repeat(50_000), &"x".repeat(50_000));
    assert_eq!(kept.name.as_deref().map(|name| name.chars().count()), Some(1_000));
    assert_eq!(kept.media_type.chars().count(), 255);
    assert!(notes.iter().any(|note| note.contains("file name that is too long")), "{notes:?}");
    let (kept, notes) = part(&"ü".repeat(1_000), "csv");
    assert_eq!((kept.name.map(|name| name.chars().count()), notes), (Some(1_000), Vec::new()));
}

#[test]
fn places_depths_and_origins_say_where_a_part_lay() {
    let shapes = all(&load(), &mut Random(3));
    let parts = |name: &str| {
        let shape = shapes.iter().find(|shape| shape.name == name).expect("a shape");
        let message = read(&shape.bytes).expect("read");
        message.parts.iter().map(|part| (part.place.clone(), part.depth, part.origin, part.forwarded)).collect::<Vec<_>>()
    };
    let placed = |place: &str, depth, origin, forwarded| (place.to_owned(), depth, origin, forwarded);
    assert_eq!(parts("one file beside a text"), [placed("1", 1, Origin::Mime, false), placed("2", 1, Origin::Mime, false)]);
    let forwarded =
        [placed("1", 1, Origin::Mime, false), placed("2.1.1", 3, Origin::Mime, true), placed("2.1.2", 3, Origin::Mime, true)];
    assert_eq!(parts("forwarded as a message"), forwarded);
    assert_eq!(parts("winmail.dat"), [placed("1", 1, Origin::Mime, false), placed("2.1", 2, Origin::Tnef, false)]);
    assert_eq!(
        parts("two files in a text").iter().map(|part| part.2).collect::<Vec<_>>(),
        [Origin::Mime, Origin::Uuencode, Origin::Uuencode]
    );
}

#[test]
fn a_message_is_known_by_its_header_and_a_table_is_none() {
    let mail = shapes::head("x");
    assert!(is_message(mail.as_bytes()));
    assert!(is_message(mail.replace("\r\n", "\n").as_bytes()) && is_message(mail.replace("\r\n", "\r").as_bytes()));
    assert!(is_message(format!("From a@nordwind.example Mon May 4\r\n{mail}").as_bytes()));
    let hops = "Received: from a.nordwind.example by b.nordwind.example; Mon, 04 May 2026 06:00:03 +0000\r\n".repeat(300);
    assert!(is_message(format!("{hops}{mail}").as_bytes()), "more hops than are looked at");
    for table in [
        "Entry Summary Number,Entry Date\nXZ910000017,01/31/2026\n",
        "Report: ES-003\nDate: 2026-05-04\nFrom: 2026-01-01\nTo: 2026-05-01\n\nEntry Summary Number,Entry Date\n",
        "From: Nordwind\nDate: today\n",
        "Received,From,Date\n1,2,3\n",
        "",
        "\n\n\n",
        "PK\u{3}\u{4}",
    ] {
        assert!(!is_message(table.as_bytes()), "{table}");
    }
}

#[test]
fn each_limit_holds() {
    let shapes = all(&load(), &mut Random(5));
    let three = &shapes.iter().find(|shape| shape.name == "three reports in one mail").expect("a shape").bytes;
    let read = |limits: &Limits| super::read(Bytes::copy_from_slice(three), limits).map(|message| message.parts.len());
    assert_eq!(read(&LIMITS), Ok(4));
    assert_eq!(read(&Limits { parts_max: 5, ..LIMITS }), Ok(4));
    for limits in [
        Limits { parts_max: 4, ..LIMITS },
        Limits { depth_max: 0, ..LIMITS },
        Limits { header_bytes_max: 100, ..LIMITS },
        Limits { message_bytes_max: three.len() - 1, ..LIMITS },
    ] {
        assert_eq!(read(&limits).expect_err("too much").why, Why::TooMuch, "{limits:?}");
    }
    let packed = &shapes.iter().find(|shape| shape.name == "forwarded in base64").expect("a shape").bytes;
    let limits = Limits { decoded_bytes_max: 1000, ..LIMITS };
    assert_eq!(super::read(Bytes::copy_from_slice(packed), &limits).expect_err("too much").why, Why::TooMuch);
}

#[test]
fn nothing_that_is_done_to_a_message_makes_the_reader_panic() {
    let mut random = Random(2026);
    let shapes = all(&load(), &mut Random(7));
    let small: Vec<&[u8]> = shapes.iter().map(|shape| shape.bytes.as_slice()).filter(|bytes| bytes.len() < 64 << 10).collect();
    let words: [&[u8]; 12] = [
        b"\r\n\r\n",
        b"--",
        b"\r\n--",
        b"=",
        b":",
        b"\0",
        b"\r",
        b"begin 644 x\r\n",
        b"\xff\xff\xff\xff",
        b"Content-Type: multipart/mixed; boundary=x\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Type: message/rfc822\r\n\r\n",
    ];
    for _ in 0..4_000 {
        let mut bytes = small[random.below(small.len())].to_vec();
        for _ in 0..1 + random.below(6) {
            let at = random.below(bytes.len() + 1);
            let end = bytes.len().min(at + random.below(200));
            match random.below(5) {
                0 => drop(bytes.splice(at..at, words[random.below(words.len())].iter().copied())),
                1 => drop(bytes.drain(at..end)),
                2 => {
                    let again = bytes[at..end].to_vec();
                    let to = random.below(bytes.len() + 1);
                    bytes.splice(to..to, again);
                }
                3 if at < bytes.len() => bytes[at] = random.next() as u8,
                _ => bytes.truncate(at.max(1)),
            }
        }
        if let Ok(message) = read(&bytes) {
            for part in &message.parts {
                assert!(whole(part).len() <= part.content.encoded_bytes());
                assert!(!part.place.is_empty() && part.depth <= LIMITS.depth_max);
            }
            let _ = (message.fields.text("subject"), message.fields.addresses("from"), message.fields.token("precedence"));
        }
    }
}

#[test]
fn what_begins_like_a_message_and_has_no_fields_is_looked_at_once() {
    for body in [
        "\rFrom: a@b\rDate: x\rMessage-ID: y\r",
        "From x\rFrom: a\rDate: x\rMessage-ID: y\r",
        ">From x\rFrom: a\rDate: x\rMessage-ID: y\r",
    ] {
        for kind in ["application/octet-stream", "message/rfc822"] {
            let mail = format!("From: a@nordwind.example\r\nContent-Type: {kind}; name=a.eml\r\n\r\n{body}");
            let message = read(mail.as_bytes()).expect("a message");
            let [part] = message.parts.as_slice() else { panic!("{} parts", message.parts.len()) };
            assert_eq!(part.note.as_deref(), Some("said to be a message and is none"), "{body:?} {kind}");
            assert_eq!(whole(part), body.as_bytes());
        }
    }
}

#[test]
fn files_in_a_text_stay_within_what_may_be_decoded() {
    let limits = Limits { decoded_bytes_max: 10_000, ..LIMITS };
    let read = |text: &str| {
        let mail = format!("From: a@nordwind.example\r\nContent-Type: text/plain\r\n\r\n{text}");
        super::read(Bytes::from(mail), &limits)
    };
    // Lines that say 63 bytes and carry none.
    let hollow = format!("begin 644 x\n{}end\n", "_\n".repeat(10_000));
    let message = read(&hollow).expect("a message");
    let file = message.parts.last().expect("a file");
    assert_eq!((file.name.as_deref(), whole(file).len()), (Some("x"), 0));
    assert!(file.note.is_some(), "that it lacks what it says is told");

    let line = format!("M{}\n", "#".repeat(60));
    let uuencoded = format!("begin 644 x\n{}end\n", line.repeat(300));
    let base64 = format!("begin-base64 644 x\n{}====\n", format!("{}\n", "QUJD".repeat(15)).repeat(300));
    let yenc = format!("=ybegin line=128 size=1 name=x\n{}=yend size=1\n", format!("{}\n", "k".repeat(100)).repeat(300));
    for text in [uuencoded, base64, yenc] {
        assert_eq!(read(&text).map(|_| ()).expect_err("too much").why, Why::TooMuch, "{}", &text[..20]);
    }
    // It stops where the limit is, not at the end that would make a file of it.
    let endless = format!("begin 644 x\n{}", line.repeat(300));
    assert_eq!(read(&endless).map(|_| ()).expect_err("too much").why, Why::TooMuch);
    let two = format!("begin 644 x\n{}end\n", line.repeat(120)).repeat(2);
    assert_eq!(read(&two).map(|_| ()).expect_err("too much").why, Why::TooMuch, "files are counted together");
    assert_eq!(read(&two[..two.len() / 2]).expect("one fits").parts.len(), 2);
}

#[test]
fn a_winmail_dat_of_which_nothing_comes_out_is_a_part() {
    for (bytes, broken) in
        [(&b"\x78\x9f\x3e\x22"[..], true), (b"\x78\x9f\x3e\x22\x01\x00\x02\x0f\x80", true), (b"\x78\x9f\x3e\x22\x01\x00", false)]
    {
        let head = b"From: a@nordwind.example\r\nContent-Type: application/ms-tnef; name=winmail.dat\r\n\r\n";
        let message = read(&[head, bytes].concat()).expect("a message");
        let [part] = message.parts.as_slice() else { panic!("{} parts", message.parts.len()) };
        assert_eq!(part.note.as_deref() == Some(WINMAIL_BROKEN), broken, "{:?}", part.note);
        assert!(part.note.is_some() && part.name.as_deref() == Some("winmail.dat"));
        assert_eq!(whole(part), bytes);
    }
}
