use bonded_schemas::{QuarantineReason, Report};

use super::{
    super::{
        pack::{self, X, cells_of, number, text},
        zip,
    },
    format::{Format, number as shown},
    *,
};
use crate::settings::UnpackSettings;

fn allowance() -> Allowance {
    Allowance::new(&UnpackSettings::default(), u64::MAX).within(1 << 20)
}

fn xlsx_book(packed: &[u8]) -> Opens<xlsx::Xlsx> {
    let mut bytes = packed;
    let entries = zip::entries(&mut bytes, &allowance())?;
    xlsx::Xlsx::open(&mut bytes, &entries, &allowance())
}

fn xls_book(packed: &[u8]) -> Opens<xls::Xls> {
    xls::Xls::open(&mut &packed[..], &allowance())
}

fn csv(book: &dyn Book, packed: &[u8], sheet: usize) -> Opens<String> {
    let mut out = Vec::new();
    write_csv(book, &mut &packed[..], sheet, &allowance(), &mut out)?;
    Ok(String::from_utf8(out).expect("UTF-8"))
}

/// One of each kind of cell, and what it must come out as.
fn sample() -> (Vec<Vec<X>>, &'static str) {
    let rows = vec![
        vec![text("Entry Summary Number"), text("Entry Date"), text("Duty"), text("Port"), text("Note")],
        vec![text("ABC00000018"), number("46082", 2), number("1234.5", 3), number("401", 4), text("a, \"b\" & <c>")],
        vec![],
        vec![text("ABC00000026"), number("46082.75", 5), number("-31.6", 1), X::Empty, X::Error("#N/A")],
        vec![text("ABC00000034"), X::Empty, number("31.605", 1)],
        vec![X::Bool(true), X::Empty, number("12345678901", 0), number("0.125", 0), text("Zoë\n東京")],
    ];
    let lines = concat!(
        "Entry Summary Number,Entry Date,Duty,Port,Note\n",
        "ABC00000018,2026-03-01,1234.50,0401,\"a, \"\"b\"\" & <c>\"\n",
        "\n",
        "ABC00000026,2026-03-01T18:00:00,-31.60,,#N/A\n",
        "ABC00000034,,31.605,,\n",
        "TRUE,,12345678901,0.125,\"Zoë\n東京\"\n",
    );
    (rows, lines)
}

#[test]
fn every_kind_of_cell_comes_out_as_it_is_stored() {
    let (rows, lines) = sample();
    let new = pack::xlsx(&[("Main Report", rows.clone())]);
    assert_eq!(csv(&xlsx_book(&new).expect("a workbook"), &new, 0).expect("a sheet"), lines);
    let old = pack::xls(&[("Main Report", rows)]);
    assert_eq!(csv(&xls_book(&old).expect("a workbook"), &old, 0).expect("a sheet"), lines);
}

#[test]
fn numbers_keep_fifteen_digits_and_gain_only_the_zeros_their_format_shows() {
    let money = Format::of_code("_($* #,##0.00_);_($* (#,##0.00);_($* \"-\"??_);_(@_)");
    assert_eq!(money, Format::Digits { whole: 1, decimals: 2 });
    for (stored, format, text) in [
        ("31.600000000000001", Format::General, "31.6"),
        ("0.30000000000000004", Format::General, "0.3"),
        ("31.600000000000001", money, "31.60"),
        ("100", money, "100.00"),
        ("0.005", money, "0.005"),
        ("-0.5", money, "-0.50"),
        ("1E3", Format::General, "1000"),
        ("1.5E-3", Format::General, "0.0015"),
        ("31600000001", Format::General, "31600000001"),
        ("3.1E+16", Format::General, "3.1E+16"),
        ("0", money, "0.00"),
        ("123456789.12", Format::General, "123456789.12"),
        ("7", Format::of_code("00000"), "00007"),
    ] {
        assert_eq!(shown(Some(stored), stored.parse().expect("a number"), format, false), text, "{stored}");
    }
    assert_eq!(shown(None, 0.1 + 0.2, Format::General, false), "0.3");
}

#[test]
fn dates_are_told_from_numbers_by_their_format_alone() {
    for (code, format) in [
        ("General", Format::General),
        ("mm/dd/yyyy", Format::Date),
        ("[$-409]d\\-mmm\\-yy;@", Format::Date),
        ("h:mm AM/PM", Format::Date),
        ("[h]:mm", Format::General),
        ("0.00E+00", Format::General),
        ("# ?/?", Format::General),
        ("\"days: \"0", Format::General),
        ("[Red]0.0", Format::Digits { whole: 1, decimals: 1 }),
        ("@", Format::General),
    ] {
        assert_eq!(Format::of_code(code), format, "{code}");
    }
    for (value, from_1904, text) in [
        (46082.0, false, "2026-03-01"),
        (44620.0, true, "2026-03-01"),
        (1.0, false, "1900-01-01"),
        (59.0, false, "1900-02-28"),
        (60.0, false, "60"),
        (61.0, false, "1900-03-01"),
        (0.5, false, "12:00:00"),
        (46_082.999_999_999, false, "2026-03-02"),
        (-1.0, false, "-1"),
    ] {
        assert_eq!(shown(None, value, Format::Date, from_1904), text, "{value}");
    }
}

#[test]
fn the_sheets_that_read_like_reports_are_chosen_and_the_parameters_kept() {
    let header = Registry::builtin().edition(Report::Es001).columns.iter().map(|column| column.name.clone());
    let header: Vec<X> = header.map(X::Text).collect();
    let parameters = vec![
        vec![text("ES-001 Entry Summary Header Details")],
        vec![text("FOR OFFICIAL USE ONLY")],
        vec![text("Entry Summary Dates Between:"), text("03/01/2026"), text("03/31/2026")],
        vec![text("Filer Code"), text("ALL")],
        vec![text("Port of Entry Code: 0401")],
        vec![text("Entry Dates Between"), X::Error("#VALUE!")],
    ];
    let packed = pack::xlsx(&[
        ("Cover", cells_of("Dear broker")),
        ("March", vec![vec![text("a title")], header.clone()]),
        ("April", vec![header.clone()]),
        ("Empty", vec![]),
        ("Parameters", parameters),
    ]);
    let book = xlsx_book(&packed).expect("a workbook");
    let chosen = choose(&book, &mut packed.as_slice(), &BTreeMap::new()).expect("chosen");
    assert_eq!((chosen.sheets.as_slice(), chosen.left.as_slice()), (&[1, 2][..], &["Cover".to_owned()][..]));
    let told: Vec<(&str, &str)> = chosen.parameters.iter().map(|(prompt, answer)| (prompt.as_str(), answer.as_str())).collect();
    let expected = [
        ("Entry Dates Between", "#VALUE!"),
        ("Entry Summary Dates Between", "03/01/2026 | 03/31/2026"),
        ("Filer Code", "ALL"),
        ("Port of Entry Code", "0401"),
    ];
    assert_eq!(told, expected);

    // Nothing like a report: the main sheet, or else the first with anything in it, so that the receipt can say why.
    for (sheets, index) in [(["Notes", "Main Report"], 1), (["Notes", "More"], 0)] {
        let packed = pack::xlsx(&sheets.map(|name| (name, cells_of("a,b"))));
        let book = xlsx_book(&packed).expect("a workbook");
        assert_eq!(choose(&book, &mut packed.as_slice(), &BTreeMap::new()).expect("chosen").sheets, [index]);
    }
}

#[test]
fn rich_texts_escapes_and_inline_strings_come_out_whole() {
    let mut parts = pack::xlsx_parts(&[("Main Report", vec![vec![text("x"), text("y")]])]);
    let put = |parts: &mut Vec<pack::File>, name: &str, xml: &str| {
        let at = parts.iter().position(|part| part.name == name).expect("a part");
        parts[at] = pack::File::deflated(name, xml.as_bytes());
    };
    put(
        &mut parts,
        "xl/sharedStrings.xml",
        "<sst><si><r><t>Line </t></r><r><t xml:space=\"preserve\">one_x000D_</t></r><rPh><t>no</t></rPh></si><si><t>&#65;&amp;B<![CDATA[<]]></t></si></sst>",
    );
    let rows = "<worksheet><sheetData><row><c t=\"s\"><v>0</v></c><c t=\"s\"><v>1</v></c><c t=\"inlineStr\"><is><t>in_x0041_</t></is></c><c t=\"str\"><f>A1&amp;B1</f><v>both</v></c><c s=\"2\"/></row></sheetData></worksheet>";
    put(&mut parts, "xl/worksheets/sheet1.xml", rows);
    let packed = pack::zip_of(&parts);
    assert_eq!(csv(&xlsx_book(&packed).expect("a workbook"), &packed, 0).expect("a sheet"), "\"Line one\r\",A&B<,inA,both\n");
}

#[test]
fn workbooks_that_cannot_be_are_told_as_broken_and_none_makes_it_panic() {
    let broken = [
        "<worksheet><sheetData><row><c r=\"ZZZ1\"><v>1</v></c></row></sheetData></worksheet>",
        "<worksheet><sheetData><row r=\"0\"><c><v>1</v></c></row></sheetData></worksheet>",
        "<worksheet><sheetData><row r=\"9\"><c><v>1</v></c></row><row r=\"3\"><c><v>1</v></c></row></sheetData></worksheet>",
        "<worksheet><sheetData><row><c t=\"s\"><v>99</v></c></row></sheetData></worksheet>",
        "<worksheet><sheetData><row><c><v>1</c></row></sheetData></worksheet>",
        "<worksheet><sheetData><row><c><v>&odd;</v></c></row></sheetData></worksheet>",
        "<worksheet><sheetData><row><c><v>1</v></c></row>",
    ];
    for xml in broken {
        let mut parts = pack::xlsx_parts(&[("Main Report", cells_of("a,b"))]);
        parts[0] = pack::File::deflated("xl/worksheets/sheet1.xml", xml.as_bytes());
        let packed = pack::zip_of(&parts);
        let Err(Stop::Refused(quarantine)) = csv(&xlsx_book(&packed).expect("a workbook"), &packed, 0) else { panic!("{xml}") };
        assert_eq!(quarantine.reason, QuarantineReason::BrokenContainer, "{xml}");
    }
    let old = pack::xls(&[("Main Report", sample().0)]);
    for at in 0..old.len() {
        let mut bent = old.clone();
        bent[at] ^= 0xff;
        for packed in [&bent[..], &old[..at]] {
            if let Ok(book) = xls_book(packed) {
                (0..book.sheets().len()).for_each(|sheet| drop(csv(&book, packed, sheet)));
            }
        }
    }
}

#[test]
fn a_cell_at_the_far_corner_costs_no_memory_and_too_wide_a_sheet_is_a_bomb() {
    let corner = "<worksheet><sheetData><row r=\"1048576\"><c r=\"XFD1048576\"><v>1</v></c></row></sheetData></worksheet>";
    let mut parts = pack::xlsx_parts(&[("Main Report", cells_of("a,b"))]);
    parts[0] = pack::File::deflated("xl/worksheets/sheet1.xml", corner.as_bytes());
    let packed = pack::zip_of(&parts);
    let lines = csv(&xlsx_book(&packed).expect("a workbook"), &packed, 0).expect("a sheet");
    assert_eq!(lines.len(), 1_048_575 + 16_383 + 2);

    let rows: String = (1..=1_000).map(|row| format!("<row r=\"{row}\"><c r=\"XFD{row}\"><v>1</v></c></row>")).collect();
    parts[0] = pack::File::deflated(
        "xl/worksheets/sheet1.xml",
        format!("<worksheet><sheetData>{rows}</sheetData></worksheet>").as_bytes(),
    );
    let packed = pack::zip_of(&parts);
    let book = xlsx_book(&packed).expect("a workbook");
    let small = allowance().within(1);
    let Err(Stop::Refused(quarantine)) = write_csv(&book, &mut &packed[..], 0, &small, &mut std::io::sink()) else {
        panic!("let in")
    };
    assert_eq!(quarantine.reason, QuarantineReason::Bomb);
}

#[test]
fn encrypted_workbooks_are_told_and_other_compound_files_are_not_workbooks() {
    let old = pack::xls_encrypted(&[("Main Report", cells_of("a,b"))]);
    let new = pack::compound_with("/EncryptedPackage", b"sealed");
    for packed in [old, new] {
        let Err(Stop::Refused(quarantine)) = xls_book(&packed) else { panic!("opened") };
        assert_eq!(quarantine.reason, QuarantineReason::Encrypted);
    }
    let letter = pack::compound_with("/WordDocument", b"Dear broker");
    assert!(matches!(xls_book(&letter), Err(Stop::Refused(quarantine)) if quarantine.reason == QuarantineReason::NotCsv));
}
