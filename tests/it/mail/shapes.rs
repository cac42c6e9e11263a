//! Mails in the shapes that mail programs give them, and in those that break readers; each is built around given reports.
//! Promise: every shape says what must come out of it, byte for byte; the same seed makes the same mails.
//! Never: a mail of anyone's is in here; the shapes are those of the RFCs' examples and of known programs, rebuilt.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// What is planted.
pub struct Load {
    /// Reports as CSV, at least three.
    pub reports: Vec<Vec<u8>>,
    /// Name and bytes of containers that hold reports.
    pub packed: Vec<(&'static str, Vec<u8>)>,
    pub locked_zip: Vec<u8>,
}

/// One mail.
pub struct Shape {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub comes: Comes,
}

/// What must come of it.
pub enum Comes {
    /// These parts and no others, in order.
    Members(Vec<Vec<u8>>),
    /// No report; the class by its name.
    Class(&'static str),
    /// One part that is taken to be quarantined, and the class.
    Harm(&'static str),
    /// The mail as a whole, for this reason.
    Quarantined(&'static str),
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

type Bytes = Vec<u8>;

fn join(parts: &[&[u8]]) -> Bytes {
    parts.concat()
}

pub fn head(subject: &str) -> String {
    format!(
        "Received: from relay.nordwind.example (relay.nordwind.example [192.0.2.7])\r\n\tby mx.bonded.example with ESMTPS id 4711;\r\n\t\
         Mon, 04 May 2026 06:00:03 +0000\r\nDate: Mon, 04 May 2026 02:00:00 -0400\r\nFrom: \"ACE Reports\" <reports@nordwind.example>\r\n\
         To: in-0000@mail.bonded.example\r\nMessage-ID: <4711@nordwind.example>\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
    )
}

/// base64 in lines of so many characters.
pub fn base64_of(bytes: &[u8], line: usize) -> String {
    let text = STANDARD.encode(bytes);
    text.as_bytes().chunks(line).map(|line| String::from_utf8_lossy(line).into_owned() + "\r\n").collect()
}

/// Quoted-printable; line ends are encoded, too, so that every byte comes back.
pub fn quoted(bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut column = 0;
    for byte in bytes {
        let plain = matches!(byte, b'!'..=b'<' | b'>'..=b'~' | b' ');
        let text = if plain { char::from(*byte).to_string() } else { format!("={byte:02X}") };
        if column + text.len() > 72 {
            out.push_str("=\r\n");
            column = 0;
        }
        column += text.len();
        out.push_str(&text);
    }
    out
}

pub fn uuencoded(name: &str, bytes: &[u8]) -> String {
    let six = |bits: u8| char::from(if bits == 0 { b'`' } else { bits + b' ' });
    let mut out = format!("begin 644 {name}\r\n");
    for line in bytes.chunks(45) {
        out.push(six(line.len() as u8));
        for three in line.chunks(3) {
            let at = |place: usize| u32::from(three.get(place).copied().unwrap_or(0));
            let bits = at(0) << 16 | at(1) << 8 | at(2);
            for place in [18, 12, 6, 0] {
                out.push(six((bits >> place & 63) as u8));
            }
        }
        out.push_str("\r\n");
    }
    out + "`\r\nend\r\n"
}

pub fn yencoded(name: &str, bytes: &[u8]) -> Bytes {
    let mut out = format!("=ybegin line=128 size={} name={name}\r\n", bytes.len()).into_bytes();
    for line in bytes.chunks(128) {
        for byte in line {
            let byte = byte.wrapping_add(42);
            match byte {
                0 | b'\n' | b'\r' | b'=' => out.extend([b'=', byte.wrapping_add(64)]),
                byte => out.push(byte),
            }
        }
        out.extend(b"\r\n");
    }
    out.extend(format!("=yend size={}\r\n", bytes.len()).into_bytes());
    out
}

/// One entity: header lines, blank line, body.
pub fn entity(header: &str, body: &[u8]) -> Bytes {
    join(&[header.as_bytes(), b"\r\n", body])
}

pub fn multipart(subtype: &str, boundary: &str, parts: &[Bytes]) -> Bytes {
    entity(&format!("Content-Type: multipart/{subtype}; boundary=\"{boundary}\"\r\n"), &enclosed(boundary, parts))
}

pub fn enclosed(boundary: &str, parts: &[Bytes]) -> Bytes {
    let mut out = Vec::new();
    for part in parts {
        out.extend(format!("--{boundary}\r\n").into_bytes());
        out.extend(part);
        out.extend(b"\r\n");
    }
    out.extend(format!("--{boundary}--\r\n").into_bytes());
    out
}

pub fn text(words: &str) -> Bytes {
    entity("Content-Type: text/plain; charset=utf-8\r\n", words.as_bytes())
}

pub fn html(words: &str) -> Bytes {
    entity("Content-Type: text/html; charset=utf-8\r\n", format!("<html><body>{words}</body></html>").as_bytes())
}

/// A CSV file as base64, as most programs attach it.
pub fn attached(name: &str, bytes: &[u8]) -> Bytes {
    let header = format!(
        "Content-Type: text/csv; name=\"{name}\"\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n\
         Content-Transfer-Encoding: base64\r\n"
    );
    entity(&header, base64_of(bytes, 76).as_bytes())
}

fn logo() -> Bytes {
    let header = "Content-Type: image/png; name=\"image001.png\"\r\nContent-ID: <image001@nordwind.example>\r\n\
                  Content-Disposition: inline; filename=\"image001.png\"\r\nContent-Transfer-Encoding: base64\r\n";
    entity(header, base64_of(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR and so on", 76).as_bytes())
}

fn mail(body: &[u8]) -> Bytes {
    join(&[head("Weekly lines").as_bytes(), body])
}

fn about(subject: &str, body: &[u8]) -> Bytes {
    join(&[head(subject).as_bytes(), body])
}

/// What stands behind one MAPI property: type, number, value in the way of variable lengths.
fn property(kind: u16, id: u16, value: &[u8]) -> Bytes {
    let mut out =
        join(&[&kind.to_le_bytes(), &id.to_le_bytes(), &1_u32.to_le_bytes(), &(value.len() as u32).to_le_bytes(), value]);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

fn attribute(level: u8, id: u32, data: &[u8]) -> Bytes {
    let sum = data.iter().fold(0_u16, |sum, byte| sum.wrapping_add(u16::from(*byte)));
    join(&[&[level], &id.to_le_bytes(), &(data.len() as u32).to_le_bytes(), data, &sum.to_le_bytes()])
}

/// A file in a winmail.dat: short name, long name (wide), bytes.
pub fn tnef_file(short: &str, long: &str, bytes: &[u8]) -> Bytes {
    let wide: Bytes = long.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    // A number and a number with a name of its own stand in front, as Outlook has them.
    let number = join(&[&3_u16.to_le_bytes(), &0x0e20_u16.to_le_bytes(), &7_u32.to_le_bytes()]);
    let named = join(&[
        &3_u16.to_le_bytes(),
        &0x8001_u16.to_le_bytes(),
        &[9; 16],
        &1_u32.to_le_bytes(),
        &6_u32.to_le_bytes(),
        b"a\0b\0\0\0\0\0",
        &1_u32.to_le_bytes(),
    ]);
    let properties = join(&[&3_u32.to_le_bytes(), &number, &named, &property(0x1f, 0x3707, &wide)]);
    join(&[
        &attribute(2, 0x0006_9002, &[0; 14]),
        &attribute(2, 0x0001_8010, &[short.as_bytes(), b"\0"].concat()),
        &attribute(2, 0x0006_800f, bytes),
        &attribute(2, 0x0006_9005, &properties),
    ])
}

pub fn tnef(files: &[Bytes]) -> Bytes {
    let start =
        join(&[&0x223e_9f78_u32.to_le_bytes(), &1_u16.to_le_bytes(), &attribute(1, 0x0008_9006, &0x10000_u32.to_le_bytes())]);
    let page = attribute(1, 0x0006_9007, &[&1252_u32.to_le_bytes()[..], &[0; 4]].concat());
    join(&[&start, &page, &files.concat()])
}

/// A message that is attached to the message, inside winmail.dat.
fn tnef_message(inner: &[u8]) -> Bytes {
    let object = join(&[&[7, 3, 2, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46], inner]);
    let properties = join(&[&1_u32.to_le_bytes(), &property(0x0d, 0x3701, &object)]);
    join(&[&attribute(2, 0x0006_9002, &[0; 14]), &attribute(2, 0x0006_9005, &properties)])
}

fn winmail(bytes: &[u8], media_type: &str) -> Bytes {
    let header = format!(
        "Content-Type: {media_type}; name=\"winmail.dat\"\r\nContent-Disposition: attachment; filename=\"winmail.dat\"\r\n\
         Content-Transfer-Encoding: base64\r\n"
    );
    entity(&header, base64_of(bytes, 76).as_bytes())
}

fn with_crlf(bytes: &[u8]) -> Bytes {
    String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()
}

/// All shapes around this load.
pub fn all(load: &Load, random: &mut Random) -> Vec<Shape> {
    let mut shapes = Vec::new();
    plain_programs(load, random, &mut shapes);
    forwards(load, random, &mut shapes);
    names(load, &mut shapes);
    encodings(load, random, &mut shapes);
    in_texts(load, &mut shapes);
    outlook(load, &mut shapes);
    containers(load, &mut shapes);
    malformed(load, random, &mut shapes);
    without_report(&mut shapes);
    hostile(load, &mut shapes);
    shapes
}

struct Adding<'a>(&'a mut Vec<Shape>);

impl Adding<'_> {
    fn members(&mut self, name: &'static str, bytes: Bytes, members: &[&[u8]]) {
        let members = members.iter().map(|bytes| bytes.to_vec()).collect();
        self.0.push(Shape { name, bytes, comes: Comes::Members(members) });
    }

    fn other(&mut self, name: &'static str, bytes: Bytes, comes: Comes) {
        self.0.push(Shape { name, bytes, comes });
    }
}

fn boundary(random: &mut Random) -> String {
    let styles = ["----=_NextPart_000_{}", "Apple-Mail=_{}", "000000000000{}", "=_alternative {}_=", "_av-{}", "b'{}?(x):y,z=./"];
    styles[random.below(styles.len())].replace("{}", &format!("{:016X}", random.next()))
}

fn plain_programs(load: &Load, random: &mut Random, shapes: &mut Vec<Shape>) {
    let mut add = Adding(shapes);
    let [one, two, three] = [&load.reports[0], &load.reports[1], &load.reports[2]];
    let b = boundary(random);
    add.members(
        "one file beside a text",
        mail(&multipart("mixed", &b, &[text("See the file."), attached("ES-003.csv", one)])),
        &[one],
    );
    let parts = [text("Three."), attached("a.csv", one), attached("b.csv", two), attached("c.csv", three)];
    add.members("three reports in one mail", mail(&multipart("mixed", &b, &parts)), &[one, two, three]);
    let twice = [attached("a.csv", one), attached("a (1).csv", one)];
    add.members("the same report twice", mail(&multipart("mixed", &b, &twice)), &[one, one]);
    let header = "Content-Type: text/csv; name=\"ES-003.csv\"\r\nContent-Transfer-Encoding: base64\r\n";
    add.members("the whole mail is the file", mail(&entity(header, base64_of(one, 76).as_bytes())), &[one]);

    let (outer, middle, inner) = (boundary(random) + "0", boundary(random) + "1", boundary(random) + "2");
    let shown = multipart("alternative", &inner, &[text("Hello."), html("Hello. <img src=\"cid:image001@nordwind.example\">")]);
    let related = multipart("related", &middle, &[shown, logo()]);
    add.members(
        "Outlook: mixed, related, alternative",
        mail(&multipart("mixed", &outer, &[related, attached("r.csv", one)])),
        &[one],
    );
    let rich = multipart("mixed", &inner, &[html("Before."), attached("r.csv", one), html("After.")]);
    add.members(
        "Apple Mail: the file inside the alternative",
        mail(&multipart("alternative", &outer, &[text("Before."), rich])),
        &[one],
    );
    let gmail = entity(
        "Content-Type: text/csv; charset=\"US-ASCII\"; name=\"r.csv\"\r\nContent-Disposition: attachment; filename=\"r.csv\"\r\n\
         Content-Transfer-Encoding: base64\r\nContent-ID: <f_lx0>\r\nX-Attachment-Id: f_lx0\r\n",
        base64_of(one, 76).as_bytes(),
    );
    let words = "---------- Forwarded message ---------\r\nFrom: ACE <reports@nordwind.example>\r\nDate: Mon, May 4\r\nSubject: lines\r\n";
    let shown = multipart("alternative", &inner, &[text(words), html("Forwarded")]);
    add.members(
        "Gmail: a forward with an attachment id",
        about("Fwd: lines", &multipart("mixed", &outer, &[shown, gmail])),
        &[one],
    );
    let notes = entity(
        "Content-Type: application/octet-stream; name=\"=?utf-8?B?cmVwb3J0LmNzdg==?=\"\r\nContent-Disposition: attachment;\r\n \
         filename=\"=?utf-8?B?cmVwb3J0LmNzdg==?=\"\r\nContent-Transfer-Encoding: base64\r\n",
        base64_of(one, 72).as_bytes(),
    );
    let lotus = multipart(
        "mixed",
        "=_mixed 0045A1B2C1258AAA_=",
        &[multipart("alternative", "=_alternative 0045A1B3C1258AAA_=", &[text("Hi"), html("Hi")]), notes],
    );
    add.members("Lotus Notes: boundaries with blanks and signs", mail(&lotus), &[one]);
    let footer =
        text("_______________________________________________\r\nreports mailing list\r\nreports@lists.nordwind.example\r\n");
    let listed = multipart("mixed", &outer, &[text("Lines."), attached("r.csv", one), footer]);
    add.members(
        "a mailing list's footer as a part",
        join(&[b"List-Id: <reports.lists.nordwind.example>\r\nPrecedence: list\r\n", &mail(&listed)]),
        &[one],
    );
    let signature = entity(
        "Content-Type: application/pkcs7-signature; name=\"smime.p7s\"\r\nContent-Disposition: attachment; filename=\"smime.p7s\"\r\n\
         Content-Transfer-Encoding: base64\r\n",
        base64_of(b"\x30\x82\x01\x02 not a signature", 76).as_bytes(),
    );
    let content = multipart("mixed", &inner, &[text("Signed."), attached("r.csv", one)]);
    add.members("a signed mail", mail(&multipart("signed", &outer, &[content, signature])), &[one]);
}

fn forwards(load: &Load, random: &mut Random, shapes: &mut Vec<Shape>) {
    let mut add = Adding(shapes);
    let [one, two] = [&load.reports[0], &load.reports[1]];
    let (outer, inner) = (boundary(random) + "o", boundary(random) + "i");
    let original = mail(&multipart("mixed", &inner, &[text("Original."), attached("r.csv", one)]));
    let rfc822 = |bytes: &[u8]| {
        entity("Content-Type: message/rfc822\r\nContent-Disposition: attachment; filename=\"lines.eml\"\r\n", bytes)
    };
    let forward = |part: Bytes, outer: &str| about("FW: lines", &multipart("mixed", outer, &[text("See below."), part]));
    let once = forward(rfc822(&original), &outer);
    add.members("forwarded as a message", once.clone(), &[one]);
    let twice = forward(rfc822(&once), &(outer.clone() + "2"));
    let thrice = forward(rfc822(&twice), &(outer.clone() + "3"));
    add.members("forwarded three times over", thrice, &[one]);
    let packed =
        entity("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n", base64_of(&original, 76).as_bytes());
    add.members("forwarded in base64", forward(packed, &outer), &[one]);
    let packed =
        entity("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable\r\n", quoted(&original).as_bytes());
    add.members("forwarded in quoted-printable", forward(packed, &outer), &[one]);
    let file = entity(
        "Content-Type: application/octet-stream; name=\"lines.eml\"\r\nContent-Disposition: attachment; filename=\"lines.eml\"\r\n\
         Content-Transfer-Encoding: base64\r\n",
        base64_of(&original, 76).as_bytes(),
    );
    add.members("a message as a file of no type", forward(file, &outer), &[one]);
    let other = mail(&multipart("mixed", &(inner.clone() + "x"), &[attached("s.csv", two)]));
    let digest = [entity("", &original), entity("", &other)];
    add.members("a digest, whose parts are messages unsaid", about("Digest", &multipart("digest", &outer, &digest)), &[one, two]);
    add.members(
        "the whole mail is a forwarded message",
        about("FW", &entity("Content-Type: message/rfc822\r\n", &original)),
        &[one],
    );
}

fn names(load: &Load, shapes: &mut Vec<Shape>) {
    let mut add = Adding(shapes);
    let one = &load.reports[0];
    let mut named = |shape: &'static str, header: &[u8]| {
        let part = join(&[header, b"Content-Transfer-Encoding: base64\r\n\r\n", base64_of(one, 76).as_bytes()]);
        add.members(shape, mail(&multipart("mixed", "names", &[text("One."), part])), &[one]);
    };
    named("a name in pieces (RFC 2231)", b"Content-Type: text/csv\r\nContent-Disposition: attachment;\r\n filename*0=\"Entry Summary \";\r\n filename*1=\"Line Tariff Details\";\r\n filename*2=\".csv\"\r\n");
    named("a name in pieces with a charset", b"Content-Type: text/csv\r\nContent-Disposition: attachment;\r\n filename*0*=utf-8''Zusammen%C3%BC;\r\n filename*1*=bersicht%2Ecsv\r\n");
    named(
        "a name with a charset",
        b"Content-Type: text/csv\r\nContent-Disposition: attachment; filename*=iso-8859-1'de'Eing%E4nge.csv\r\n",
    );
    named(
        "a name in encoded words (RFC 2047)",
        b"Content-Type: text/csv;\r\n name=\"=?iso-8859-1?Q?Eing=E4nge=2Ecsv?=\"\r\nContent-Disposition: attachment\r\n",
    );
    named("a name in UTF-8 as it is", "Content-Type: text/csv; name=\"Eingänge für Mai.csv\"\r\nContent-Disposition: attachment; filename=\"Eingänge für Mai.csv\"\r\n".as_bytes());
    named("a name in Latin-1 as it is", b"Content-Type: text/csv; name=\"Eing\xe4nge.csv\"\r\n");
    named("a name in the type alone", b"Content-Type: application/octet-stream; name=ES-003.csv\r\n");
    named(
        "a name with blanks and no quotes",
        b"Content-Type: text/csv\r\nContent-Disposition: attachment; filename=Line Tariff Details.csv\r\n",
    );
    named(
        "a name that is a path",
        b"Content-Type: text/csv\r\nContent-Disposition: attachment; filename=\"../../etc/../C:\\\\reports\\\\a.csv\"\r\n",
    );
    named(
        "a name that says something else",
        b"Content-Type: image/png; name=\"logo.png\"\r\nContent-Disposition: attachment; filename=\"logo.png\"\r\n",
    );
    named("no name, no type, said to be attached", b"Content-Disposition: attachment\r\n");
    named("said to be a workbook", b"Content-Type: application/vnd.ms-excel; name=\"report.xls\"\r\nContent-Disposition: attachment; filename=\"report.xls\"\r\n");
    named(
        "inline, with a name",
        b"Content-Type: text/plain; name=\"r.txt\"\r\nContent-Disposition: inline; filename=\"r.txt\"\r\n",
    );
    named("header fields in capitals", b"CONTENT-TYPE: TEXT/CSV; NAME=\"R.CSV\"\r\nCONTENT-DISPOSITION: ATTACHMENT\r\n");
    named(
        "header fields folded with tabs, and comments",
        b"Content-Type:\r\n\ttext/csv;\r\n\t name=\r\n\t\"r.csv\" (a comment)\r\nContent-Disposition: attachment (as asked)\r\n",
    );
    named(
        "two type fields",
        b"Content-Type: text/csv; name=\"r.csv\"\r\nContent-Type: text/html\r\nContent-Disposition: attachment\r\n",
    );
}

fn encodings(load: &Load, random: &mut Random, shapes: &mut Vec<Shape>) {
    let mut add = Adding(shapes);
    let [one, two] = [&load.reports[0], &load.reports[1]];
    let lines = with_crlf(one);
    let mut coded = |shape: &'static str, coding: &str, body: &[u8], member: &[u8]| {
        let header = format!("Content-Type: text/csv; name=\"r.csv\"\r\nContent-Disposition: attachment\r\n{coding}");
        add.members(shape, mail(&multipart("mixed", "codes", &[text("One."), entity(&header, body)])), &[member]);
    };
    let base64 = "Content-Transfer-Encoding: base64\r\n";
    let whole = STANDARD.encode(one);
    coded("7bit", "Content-Transfer-Encoding: 7bit\r\n", &lines, &lines);
    coded("8bit with a comment behind it", "Content-Transfer-Encoding: 8BIT (as it is)\r\n", one, one);
    coded("no encoding said", "", one, one);
    coded("an encoding that nobody knows", "Content-Transfer-Encoding: x-whatever\r\n", one, one);
    coded("quoted-printable, line ends and all", "Content-Transfer-Encoding: quoted-printable\r\n", quoted(one).as_bytes(), one);
    let by_line: String =
        lines.split_inclusive(|byte| *byte == b'\n').map(|line| quoted(&line[..line.len() - 2]) + " \t\r\n").collect();
    let by_line_ends: Bytes = by_line.replace(" =20 \t\r\n", "=20\r\n").into_bytes();
    coded(
        "quoted-printable by lines, with blanks at their ends",
        "Content-Transfer-Encoding: Quoted-Printable\r\n",
        &by_line_ends,
        &lines,
    );
    coded(
        "quoted-printable in small letters",
        "Content-Transfer-Encoding: quoted-printable\r\n",
        lower_hex(&quoted(one)).as_bytes(),
        one,
    );
    coded("base64 in one line", base64, whole.as_bytes(), one);
    coded("base64 in lines of a random length", base64, base64_of(one, 1 + random.below(120)).as_bytes(), one);
    coded("base64 with blanks and blank lines", base64, base64_of(one, 60).replace("\r\n", "  \r\n \r\n").as_bytes(), one);
    let junk = base64_of(one, 76).replacen("\r\n", "\r\n!\u{1}#", 3);
    coded("base64 with junk in it", base64, junk.as_bytes(), one);
    coded("base64 without padding", base64, whole.trim_end_matches('=').as_bytes(), one);
    let pieces: String = one.chunks(1000).map(|piece| STANDARD.encode(piece) + "\r\n").collect();
    coded("base64 in pieces, each padded", base64, pieces.as_bytes(), one);
    coded("said to be base64 and is not", base64, one, one);
    let footer = base64_of(one, 76) + "\r\n_______________\r\nreports mailing list\r\nhttps://lists.nordwind.example/\r\n";
    coded("base64 with a list's footer under it", base64, footer.as_bytes(), one);
    let wide: Bytes =
        [0xff, 0xfe].into_iter().chain(String::from_utf8_lossy(two).encode_utf16().flat_map(u16::to_le_bytes)).collect();
    coded("UTF-16 in base64 under a text's label", base64, base64_of(&wide, 76).as_bytes(), &wide);
    let uu = uuencoded("r.csv", one);
    coded("uuencode as an encoding", "Content-Transfer-Encoding: x-uuencode\r\n", uu.as_bytes(), one);
}

fn lower_hex(text: &str) -> String {
    let mut out = String::new();
    let mut after = 0;
    for c in text.chars() {
        out.push(if after > 0 { c.to_ascii_lowercase() } else { c });
        after = if c == '=' { 2 } else { after.max(1) - 1 };
    }
    out
}

fn in_texts(load: &Load, shapes: &mut Vec<Shape>) {
    let mut add = Adding(shapes);
    let [one, two] = [&load.reports[0], &load.reports[1]];
    let inline = |bytes: &[u8]| mail(&entity("Content-Type: text/plain; charset=us-ascii\r\n", bytes));
    add.members("the table is the text", inline(one), &[one]);
    add.members("the table is the text, and no type is said", mail(&entity("", one)), &[one]);
    let coded = entity(
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n",
        quoted(one).as_bytes(),
    );
    add.members("the table is the text, quoted-printable", mail(&coded), &[one]);
    let both = multipart(
        "alternative",
        "alternative",
        &[entity("Content-Type: text/plain\r\n", one), html("<table><tr><td>1</td></tr></table>")],
    );
    add.members("the table is the text, HTML beside it", mail(&both), &[one]);
    let file = uuencoded("ES-003.csv", one);
    add.members("uuencode in a text", inline(format!("Here it is:\r\n\r\n{file}\r\n-- \r\nreports\r\n").as_bytes()), &[one]);
    let files = format!("Two.\r\n{}\r\nand\r\n\r\n{}", uuencoded("a.csv", one), uuencoded("b b.csv", two));
    add.members("two files in a text", inline(files.as_bytes()), &[one, two]);
    let stripped: String = file.lines().map(|line| line.trim_end_matches('`').to_owned() + "\r\n").collect();
    add.members(
        "uuencode whose trailing signs were lost",
        inline(stripped.replacen("\r\n\r\nend", "\r\n`\r\nend", 1).as_bytes()),
        &[one],
    );
    let base64 = format!("begin-base64 644 r.csv\r\n{}====\r\n", base64_of(one, 60));
    add.members("uuencode's other form", inline(base64.as_bytes()), &[one]);
    add.members("yEnc in a text", inline(&join(&[b"As on the news:\r\n", &yencoded("r.csv", one)])), &[one]);
}

fn outlook(load: &Load, shapes: &mut Vec<Shape>) {
    let mut add = Adding(shapes);
    let [one, two, three] = [&load.reports[0], &load.reports[1], &load.reports[2]];
    let packed = |bytes: &[u8], kind: &str| mail(&multipart("mixed", "tnef", &[text("See the file."), winmail(bytes, kind)]));
    let single = tnef(&[tnef_file("ES003~1.CSV", "Entry Summary Line Tariff Details.csv", one)]);
    add.members("winmail.dat", packed(&single, "application/ms-tnef"), &[one]);
    add.members("winmail.dat as a file of no type", packed(&single, "application/octet-stream"), &[one]);
    add.members("winmail.dat is the whole mail", mail(&winmail(&single, "application/ms-tnef")), &[one]);
    let files = [tnef_file("A.CSV", "Eingänge.csv", one), tnef_file("B.CSV", "", two), tnef_file("C.CSV", "c.csv", three)];
    add.members("winmail.dat with three files", packed(&tnef(&files), "application/ms-tnef"), &[one, two, three]);
    let nested = tnef(&[tnef_message(&tnef(&[tnef_file("A.CSV", "a.csv", one)])), tnef_file("B.CSV", "b.csv", two)]);
    add.members("winmail.dat with a message attached", packed(&nested, "application/ms-tnef"), &[one, two]);
    let mut cut = tnef(&[tnef_file("A.CSV", "a.csv", one), tnef_file("B.CSV", "b.csv", two)]);
    cut.truncate(cut.len() - two.len() - 200);
    add.members("winmail.dat that was cut behind its first file", packed(&cut, "application/ms-tnef"), &[one]);
}

fn containers(load: &Load, shapes: &mut Vec<Shape>) {
    let mut add = Adding(shapes);
    for (name, bytes) in &load.packed {
        let part = entity(
            &format!("Content-Type: application/octet-stream; name=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n"),
            base64_of(bytes, 76).as_bytes(),
        );
        add.members("a container attached", mail(&multipart("mixed", "packed", &[text("Packed."), part])), &[bytes]);
    }
}

fn malformed(load: &Load, random: &mut Random, shapes: &mut Vec<Shape>) {
    let mut add = Adding(shapes);
    let [one, two] = [&load.reports[0], &load.reports[1]];
    let b = boundary(random);
    let parts = [text("One."), attached("r.csv", one)];
    let whole = mail(&multipart("mixed", &b, &parts));
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let without_end = lossy(&whole).replace(&format!("\r\n--{b}--\r\n"), "");
    add.members("a multipart without its end", without_end.into_bytes(), &[one]);
    let header = format!("Content-Type: multipart/mixed; boundary=\"{b}\"");
    let changed = |to: &str| lossy(&whole).replace(&header, to).into_bytes();
    add.members(
        "a boundary that the header does not name",
        changed("Content-Type: multipart/mixed; boundary=\"something-else\""),
        &[one],
    );
    add.members("a multipart without a boundary", changed("Content-Type: multipart/mixed"), &[one]);
    let padded = lossy(&whole).replace(&format!("--{b}\r\n"), &format!("--{b}  \t\r\n")).into_bytes();
    add.members("delimiters with blanks behind them", padded, &[one]);
    let behind = join(&[&whole, format!("--{b}\r\n").as_bytes(), &attached("late.csv", two), b"\r\n"]);
    add.members("a part behind the end", behind, &[one, two]);
    let around = entity(
        &format!("{header}\r\n"),
        &join(&[b"This is a multi-part message in MIME format.\r\n\r\n", &enclosed(&b, &parts), b"\r\nand the end\r\n"]),
    );
    add.members("words before and behind the parts", mail(&around), &[one]);
    add.members("line feeds alone", lossy(&whole).replace("\r\n", "\n").into_bytes(), &[one]);
    add.members("carriage returns alone", lossy(&whole).replace("\r\n", "\r").into_bytes(), &[one]);
    let mixed: String = lossy(&whole)
        .split("\r\n")
        .enumerate()
        .map(|(at, line)| format!("{line}{}", if at % 3 == 0 { "\n" } else { "\r\n" }))
        .collect();
    add.members("line ends of both kinds", mixed.into_bytes(), &[one]);
    add.members(
        "a mailbox line in front",
        join(&[b"From reports@nordwind.example Mon May  4 06:00:03 2026\r\n", &whole]),
        &[one],
    );
    add.members("blank lines in front", join(&[b"\r\n\r\n", &whole]), &[one]);
    let (outer, inner) = ("abc", "abcd");
    let nested = multipart("mixed", outer, &[multipart("alternative", inner, &[text("a"), html("a")]), attached("r.csv", one)]);
    add.members("one boundary begins as the other", mail(&nested), &[one]);
    let nested = multipart("mixed", inner, &[multipart("alternative", outer, &[text("a"), html("a")]), attached("r.csv", one)]);
    add.members("one boundary begins as the other, the long one outside", mail(&nested), &[one]);
    let same =
        multipart("mixed", "same", &[multipart("mixed", "same", &[text("a"), attached("r.csv", one)]), attached("s.csv", two)]);
    add.members("the same boundary inside and outside", mail(&same), &[one, two]);
    let unclosed = entity(
        "Content-Type: multipart/alternative; boundary=\"inner\"\r\n",
        b"--inner\r\n\r\nHello\r\n--inner\r\nContent-Type: text/html\r\n\r\n<p>Hello",
    );
    add.members("an inner multipart without its end", mail(&multipart("mixed", &b, &[unclosed, attached("r.csv", one)])), &[one]);
    add.members(
        "zeros among the words",
        join(&[
            head("a\0b\0").as_bytes(),
            b"X-Zero: \0\0\r\n",
            &multipart("mixed", &b, &[text("\0\0\0"), attached("r.csv", one)]),
        ]),
        &[one],
    );
    add.members("Latin-1 in the header", join(&[b"X-Sender: M\xfcller \xff\xfe\r\nComments: \xe4\xf6\xfc\r\n", &whole]), &[one]);
    add.members("a header line of 100 KiB", join(&[format!("X-Long: {}\r\n", "a".repeat(100 << 10)).as_bytes(), &whole]), &[one]);
    add.members(
        "a text line of a MiB",
        mail(&multipart("mixed", &b, &[text(&"word ".repeat(200 << 10)), attached("r.csv", one)])),
        &[one],
    );
    let hops: String = (0..200)
        .map(|hop| {
            format!(
                "Received: from h{hop}.nordwind.example by h{}.nordwind.example; Mon, 04 May 2026 06:00:03 +0000\r\n",
                hop + 1
            )
        })
        .collect();
    add.members("two hundred hops", join(&[hops.as_bytes(), &whole]), &[one]);
    let colonless = lossy(&whole).replacen("MIME-Version: 1.0\r\n", "MIME-Version : 1.0\r\nX-Empty:\r\n", 1);
    add.members("blanks before a colon and an empty field", colonless.into_bytes(), &[one]);
    let headless = join(&[format!("--{b}\r\n\r\nno header here\r\n").as_bytes(), &enclosed(&b, &[attached("r.csv", one)])]);
    add.members("a part without a header", mail(&entity(&format!("{header}\r\n"), &headless)), &[one]);
    let external = entity(
        "Content-Type: message/external-body; access-type=URL; URL=\"https://nordwind.example/r.csv\"\r\n",
        b"Content-Type: text/csv\r\n\r\n",
    );
    add.members("a part that lies elsewhere", mail(&multipart("mixed", &b, &[external, attached("r.csv", one)])), &[one]);
    let quote = [
        text("> Entry Summary Number,Entry Date\r\n> begin 644 nothing\r\nbegin with the end\r\nbegin 9999 x\r\n"),
        attached("r.csv", one),
    ];
    add.members("words that look like a file's beginning", mail(&multipart("mixed", &b, &quote)), &[one]);
}

fn without_report(shapes: &mut Vec<Shape>) {
    let mut add = Adding(shapes);
    let status = entity("Content-Type: message/delivery-status\r\n", b"Reporting-MTA: dns; mx.nordwind.example\r\n\r\nFinal-Recipient: rfc822; a@nordwind.example\r\nAction: failed\r\nStatus: 5.1.1\r\n");
    let returned = entity("Content-Type: message/rfc822\r\n", &about("lost", b"\r\nHello\r\n"));
    let dsn = join(&[
        b"Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.nordwind.example\r\nDate: Mon, 04 May 2026 06:00:03 +0000\r\nMIME-Version: 1.0\r\nSubject: Undelivered Mail Returned to Sender\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"dsn\"\r\n\r\n",
        &enclosed("dsn", &[text("I'm sorry to have to inform you..."), status, returned]),
    ]);
    add.other("a delivery status", dsn, Comes::Class("bounce"));
    let qmail = b"Return-Path: <>\r\nReceived: (qmail 4711 invoked for bounce); 4 May 2026 06:00:03 -0000\r\nDate: 4 May 2026 06:00:03 -0000\r\nFrom: MAILER-DAEMON@nordwind.example\r\nSubject: failure notice\r\n\r\nHi. This is the qmail-send program.\r\n";
    add.other("a bounce in plain words", qmail.to_vec(), Comes::Class("bounce"));
    let extra = |fields: &str, subject: &str, words: &str| join(&[fields.as_bytes(), &about(subject, &text(words))]);
    add.other(
        "a vacation reply",
        extra("Auto-Submitted: auto-replied (vacation)\r\n", "Re: lines", "I am away until Monday."),
        Comes::Class("auto_reply"),
    );
    add.other(
        "Exchange's out of office",
        extra("X-Auto-Response-Suppress: All\r\n", "Automatic reply: lines", "Away."),
        Comes::Class("auto_reply"),
    );
    let receipt = entity(
        "Content-Type: multipart/report; report-type=disposition-notification; boundary=\"mdn\"\r\n",
        &enclosed(
            "mdn",
            &[
                text("Your message was displayed."),
                entity(
                    "Content-Type: message/disposition-notification\r\n",
                    b"Disposition: manual-action/MDN-sent-manually; displayed\r\n",
                ),
            ],
        ),
    );
    add.other("a receipt of reading", about("Read: lines", &receipt), Comes::Class("auto_reply"));
    add.other(
        "a password that expires",
        extra("", "ACE Portal: your password will expire", "Your ACE Secure Data Portal password will expire in 7 days."),
        Comes::Class("portal_notice"),
    );
    add.other(
        "an outage of the portal",
        extra("Precedence: bulk\r\n", "CSMS # 4711 - ACE Reports outage", "ACE Reports are unavailable since 04:00."),
        Comes::Class("portal_notice"),
    );
    let link = html("Your report is ready: <a href=\"https://portal.kettle.example/x?y=1\">https://ace.cbp.gov/reports</a>");
    add.other(
        "a link that leads elsewhere",
        about("ACE report", &multipart("alternative", "link", &[text("Your report is ready."), link])),
        Comes::Class("phishing_suspect"),
    );
    add.other("nothing in it", about("", b"\r\n"), Comes::Class("other"));
    add.other(
        "a newsletter",
        extra(
            "List-Id: <news.nordwind.example>\r\nList-Unsubscribe: <mailto:off@nordwind.example>\r\n",
            "News of May",
            "Much is new.",
        ),
        Comes::Class("other"),
    );
    let invite = entity(
        "Content-Type: text/calendar; method=REQUEST; name=\"invite.ics\"\r\n",
        b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n",
    );
    add.other("an invitation", about("Meeting", &multipart("mixed", "ics", &[text("Come."), invite])), Comes::Class("other"));
    let pdf = entity(
        "Content-Type: application/pdf; name=\"statement.pdf\"\r\nContent-Transfer-Encoding: base64\r\n",
        base64_of(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3 and so on", 76).as_bytes(),
    );
    add.other("a PDF", about("Statement", &multipart("mixed", "pdf", &[text("Attached."), pdf, logo()])), Comes::Class("other"));
}

fn hostile(load: &Load, shapes: &mut Vec<Shape>) {
    let mut add = Adding(shapes);
    let program = entity(
        "Content-Type: application/octet-stream; name=\"report.csv.exe\"\r\nContent-Transfer-Encoding: base64\r\n",
        base64_of(b"MZ\x90\0\x03\0\0\0 and so on", 76).as_bytes(),
    );
    add.other(
        "a program",
        about("Report", &multipart("mixed", "exe", &[text("Open it."), program])),
        Comes::Harm("phishing_suspect"),
    );
    let locked = entity(
        "Content-Type: application/zip; name=\"report.zip\"\r\nContent-Transfer-Encoding: base64\r\n",
        base64_of(&load.locked_zip, 76).as_bytes(),
    );
    add.other(
        "an archive behind a password",
        about("Report", &multipart("mixed", "zip", &[text("The password is 1234."), locked])),
        Comes::Harm("report"),
    );
    let many: Vec<Bytes> = (0..10_000).map(|_| entity("", b"x")).collect();
    add.other("ten thousand parts", mail(&multipart("mixed", "many", &many)), Comes::Quarantined("bomb"));
    let deep = (0..200).fold(text("at last"), |inner, depth| multipart("mixed", &format!("deep{depth}"), &[inner]));
    add.other("two hundred multiparts in each other", mail(&deep), Comes::Quarantined("bomb"));
    let letters = (0..60)
        .fold(about("at last", b"\r\nhello\r\n"), |inner, _| about("FW", &entity("Content-Type: message/rfc822\r\n", &inner)));
    add.other("sixty messages in each other", letters, Comes::Quarantined("bomb"));
    let endless: Bytes = (0..40_000).flat_map(|at| format!("X-Field-{at}: value\r\n").into_bytes()).collect();
    add.other("header fields without end", join(&[head("x").as_bytes(), &endless]), Comes::Quarantined("bomb"));
    let short: Bytes = b"a:\r\n".repeat(6_000);
    add.other("thousands of short fields", join(&[head("x").as_bytes(), &short, b"\r\n"]), Comes::Quarantined("bomb"));
    add.other(
        "a field without end",
        join(&[head("x").as_bytes(), b"X-Long: ", &vec![b'a'; 1 << 20]]),
        Comes::Quarantined("bomb"),
    );
    add.other("no message at all", b"\x01\x02\x03 nothing of the kind".to_vec(), Comes::Quarantined("broken_container"));
    add.other("not a byte", Vec::new(), Comes::Quarantined("broken_container"));
    let cheap: Bytes = b"begin-base64 644 x\r\n".repeat(20_000);
    add.other("thousands of beginnings", mail(&text(&String::from_utf8_lossy(&cheap))), Comes::Class("other"));
}
