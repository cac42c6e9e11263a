//! Tests of the compiled-in editions and of recognition. The header rows are facts: CBP's default layouts.

use proptest::prelude::*;

use super::{reading::LINE_NUMBER, *};
use crate::edition::{ColumnType, Evidence};

/// Read in a real export of 2022-06-13.
pub(crate) const ES_002_DEFAULT: &str = "Entry Summary Number,Entry Type Code,Entry Summary Line Number,Review Team Number,Country of Origin Code,Country of Export Code,Manufacturer ID,Manufacturer Name,Foreign Exporter ID,Foreign Exporter Name,Line SPI Code,Line SPI,Reconciliation (FTA) Status,Reconciliation (Other) Status,Line Goods Value Amount,Line Duty Amount,Line MPF Amount,Line HMF Amount";

/// Order exact; 20 of 27 spellings exact, 7 by analogy.
pub(crate) const ES_003_DEFAULT: &str = "Entry Summary Number,Entry Type Code,Importer Number,Port of Entry Code,Entry Date,Entry Summary Date,Initial Entry Summary Create Date,Entry Summary Line Number,Review Team Number,Country of Origin Code,Country of Export Code,Manufacturer ID,Foreign Exporter ID,Line SPI Code,Standard Visa Number,Textile Category Code,Textile Category,Tariff Ordinal Number,HTS Number - Full,Line Tariff Quantity (1),Line Tariff UOM (1) Code,Line Tariff Quantity (2),Line Tariff UOM (2) Code,Line Tariff Quantity (3),Line Tariff UOM (3) Code,Line Tariff Goods Value Amount,Line Tariff Duty Amount";

/// A customised report of a third party: tariff columns, line amounts, no tariff ordinal.
const CUSTOM_31: &str = "Importer Name,Importer Number,Bond Type,Bond Number,Surety Code,Entry Type Code,Entry Summary Number,Entry Summary Line Number,Importation Date,Entry Summary Date,Reconciliation Indicator,Reconciliation Issue Code,Reconciliation (Other) Due Date,Reconciliation (Other) Status,Reconciliation (Other) Entry Summary Number,NAFTA Reconciliation Indicator,Reconciliation (FTA) Due Date,Reconciliation (FTA) Status,Reconciliation (FTA) Entry Summary Number,Review Team Number,Country of Origin Code,Line SPI Code,Manufacturer ID,HTS Number - Full,Line Tariff Quantity (1),Line Goods Value Amount,Line Duty Amount,Total Paid MPF Amount,Line MPF Amount,Line HMF Amount,Latest PSC Filed Date";

/// A broker's customised ES-003 with its own columns in between.
const CUSTOM_ES_003: &str = "Entry Summary Number,CAPE PHASE 1 ELIGIBLE,CLAIM NUMBER,CLAIM ERROR,Entry Type Code,Importer Number,Importer Name,Port of Entry Code,Entry Date,Entry Summary Date,Initial Entry Summary Create Date,Cape Phase 1 Eligible,Reconciliation Indicator,Control Status,Post Summary Correction Indicator,Liquidation Date,Liquidation Status,Final Liquidation,Protest Number,Protest Status,Entry Summary Line Number,Review Team Number,Country of Origin Code,Country of Export Code,Manufacturer ID,Foreign Exporter ID,Line SPI Code,Tariff Ordinal Number,HTS Number - Full,Line Tariff Goods Value Amount,Line Tariff Duty Amount";

/// The entry-level sheet of the same broker.
const CUSTOM_ES_001: &str = "Entry Summary Number,DIV,CAPE Phase 1 Eligible,SELF FILER,ACE ACCOUNT,ACH DETAILS IN ACE,4811 CLIENT,PSC FOR 4811,CAPE CLAIM NUMBER,FILING STATUS,CAPE ERROR DETAIL,Entry Type Code,Importer Number,Importer Name,Port of Entry Code,Entry Date,Entry Summary Date,Initial Entry Summary Create Date,Reconciliation Indicator,Control Status,Post Summary Correction Indicator,Liquidation Date,Liquidation Status,Final Liquidation Date (LIQ +180),Finally Liquidated,CAPE LIQ Deadline (LIQ + 80),Protest Number,Protest Status,Review Team Number,Country of Origin Code,Country of Export Code,Total Liquidated Duty Amount";

pub(crate) fn header(line: &str) -> Vec<String> {
    line.split(',').map(str::to_owned).collect()
}

fn without(line: &str, gone: &str) -> Vec<String> {
    header(line).into_iter().filter(|name| name != gone).collect()
}

fn recognise(line: &str) -> Recognition {
    Registry::builtin().recognise(&header(line))
}

fn missing(report: Report, columns: &[&str]) -> Recognition {
    Recognition::GrainMissing(report, columns.iter().map(|&name| name.to_owned()).collect())
}

/// The 55-column file that ACE does not export, as far as it is described: names of our own making.
fn impostor_header() -> Vec<String> {
    let mut names = header(
        "Entry Summary Number,Entry Date,Importer Number,Importer Name,Entry Summary Line Number,Country of Origin Code,HTS Number - Full,Line Goods Value,Base Duty Rate,Section 301 Rate (%),IEEPA Rate,Total Duty",
    );
    names.extend((names.len()..55).map(|place| format!("Analysis {place}")));
    names
}

#[test]
fn builtin_editions_parse_and_are_coherent() {
    let registry = Registry::builtin();
    assert_eq!(registry.editions().len(), Report::ALL.len());
    for edition in registry.editions() {
        let (mut names, mut fields) = (HashSet::new(), HashSet::new());
        for column in &edition.columns {
            for name in std::iter::once(&column.name).chain(&column.aliases) {
                assert!(names.insert(fold(name)), "{}: `{name}` twice", edition.report);
            }
            assert!(fields.insert(column.field()), "{}: field `{}` twice", edition.report, column.field());
            assert!(!column.source.is_empty(), "{}: `{}` has no source", edition.report, column.name);
            assert!(
                column.required != Required::Use || !column.uses.is_empty(),
                "{}: no use needs `{}`",
                edition.report,
                column.name
            );
            for used in &column.uses {
                assert!(["tie-out", "fees", "deadlines", "cape", "history"].contains(&used.as_str()), "no use `{used}`");
            }
        }
        let says = |words: &[&str]| words.iter().any(|word| edition.evidence.contains(word));
        assert!(says(&["Verified:", "Secondary:"]), "{} does not say how surely it is known", edition.report);
        assert!(says(&["Effective date:"]), "{} does not say what its effective date rests on", edition.report);
    }
}

#[test]
fn default_layouts_are_exact() {
    for (report, line) in [(Report::Es002, ES_002_DEFAULT), (Report::Es003, ES_003_DEFAULT)] {
        let mut columns: Vec<_> = Registry::builtin().edition(report).columns.iter().filter(|c| c.ordinal.is_some()).collect();
        columns.sort_by_key(|column| column.ordinal);
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names.join(","), line);
        assert!(columns.iter().zip(1..).all(|(column, place)| column.ordinal == Some(place)));
    }
    assert!(
        Registry::builtin().edition(Report::Es001).columns.iter().all(|column| column.ordinal.is_none()),
        "its order is not public"
    );
}

#[test]
fn seven_spellings_of_the_default_es_003_are_inferred() {
    let columns = &Registry::builtin().edition(Report::Es003).columns;
    let inferred: Vec<u16> = columns.iter().filter(|c| c.evidence == Evidence::Inferred).filter_map(|c| c.ordinal).collect();
    assert_eq!(inferred, [15, 16, 17, 22, 23, 24, 25]);
    assert!(Registry::builtin().edition(Report::Es002).columns.iter().all(|column| column.evidence == Evidence::Verified));
}

#[test]
fn grain_is_what_tells_rows_apart() {
    let grain = |report| {
        let columns = &Registry::builtin().edition(report).columns;
        columns.iter().filter(|column| column.required == Required::Grain).map(|column| column.name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(grain(Report::Es001), [ENTRY_NUMBER]);
    assert_eq!(grain(Report::Es002), [ENTRY_NUMBER, LINE_NUMBER]);
    assert_eq!(grain(Report::Es003), [ENTRY_NUMBER, LINE_NUMBER, TARIFF_ORDINAL]);
}

#[test]
fn types_and_personal_data_are_as_the_reference_has_them() {
    let kind = |report, name: &str| Registry::builtin().edition(report).columns.iter().find(|c| c.name == name).unwrap().kind;
    assert_eq!(kind(Report::Es003, "Line Tariff Duty Amount"), ColumnType::Money);
    assert_eq!(kind(Report::Es003, "Line Tariff Quantity (1)"), ColumnType::Quantity);
    assert_eq!(kind(Report::Es003, "Column 1 Current Primary Duty Rate"), ColumnType::Text(None));
    assert_eq!(kind(Report::Es002, "Entry Summary Line Number"), ColumnType::Integer);
    assert_eq!(kind(Report::Es001, "Liquidation Date"), ColumnType::Date);
    for report in Report::ENTRY_SUMMARIES {
        let edition = Registry::builtin().edition(report);
        let importer = edition.columns.iter().find(|column| column.name == "Importer Number").unwrap();
        assert!(importer.personal, "{}: may be a Social Security number", edition.report);
    }
}

#[test]
fn a_line_amount_is_never_taken_for_a_tariff_amount() {
    let columns = &Registry::builtin().edition(Report::Es003).columns;
    let claims = |name: &str| {
        let known = columns.iter().filter(|c| std::iter::once(&c.name).chain(&c.aliases).any(|other| fold(other) == fold(name)));
        known.map(|column| column.name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(claims("Line Duty Amount"), ["Line Duty Amount"]);
    assert_eq!(claims("Line Goods Value Amount"), ["Line Goods Value Amount"]);
}

#[test]
fn the_edition_of_a_day_is_the_latest_that_had_begun() {
    let texts: Vec<String> = [("2019-04-18", "A"), ("2030-01-01", "B")]
        .iter()
        .map(|(day, title)| edition_text("ES-002", day, title))
        .chain(["ES-001", "ES-003", "CAPE-CLAIMS"].map(|report| edition_text(report, "2019-04-18", "X")))
        .collect();
    let registry = Registry::parse(&texts.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    let title = |day: &str| registry.edition_at(Report::Es002, day.parse().unwrap()).title.as_str();
    assert_eq!([title("2018-01-01"), title("2019-04-18"), title("2029-12-31"), title("2030-01-01")], ["A", "A", "A", "B"]);
    assert_eq!(registry.edition(Report::Es002).title, "B");
}

fn edition_text(report: &str, day: &str, title: &str) -> String {
    format!(
        "report = \"{report}\"\ntitle = \"{title}\"\neffective = \"{day}\"\nevidence = \"none\"\n{}",
        column_text("Entry Summary Number", 1)
    )
}

fn column_text(name: &str, ordinal: u16) -> String {
    format!(
        "[[column]]\nname = \"{name}\"\ntype = \"text(11)\"\nrequired = \"grain\"\nevidence = \"inferred\"\nordinal = {ordinal}\n"
    )
}

#[test]
fn editions_that_contradict_themselves_are_refused() {
    let base = edition_text("ES-001", "2019-04-18", "X");
    let refused = |text: String| Registry::parse(&[&text]).unwrap_err().message;
    assert!(refused(base.clone() + &column_text("ENTRY summary-number", 2)).contains("is also a name of"));
    assert!(refused(base.clone() + &column_text("Other", 3)).contains("without gap"));
    assert!(refused(base.clone() + &column_text("###", 2)).contains("no letter or digit"));
    assert!(refused(base.replace("grain", "optional")).contains("grain"));
    assert!(refused(base.replace("text(11)", "varchar")).contains("cannot be read"));
    assert!(refused(base.clone() + "colour = \"red\"\n").contains("cannot be read"));
    assert!(refused(base).contains("no edition of ES-002"));
}

#[test]
fn default_and_customised_headers_are_known() {
    assert_eq!(recognise(ES_002_DEFAULT), Recognition::Known(Report::Es002));
    assert_eq!(recognise(ES_003_DEFAULT), Recognition::Known(Report::Es003));
    assert_eq!(recognise(CUSTOM_ES_003), Recognition::Known(Report::Es003));
    assert_eq!(recognise(CUSTOM_ES_001), Recognition::Known(Report::Es001));
    assert_eq!(recognise("Entry Summary Number,Liquidation Date"), Recognition::Known(Report::Es001));
    assert_eq!(
        recognise("Entry Summary Number,Entry Date,Total Goods Value Amount,Total Duty Amount"),
        Recognition::Known(Report::Es001)
    );
}

#[test]
fn case_spaces_punctuation_and_order_do_not_matter() {
    let spoilt: Vec<String> =
        header(ES_003_DEFAULT).iter().rev().map(|name| format!(" {} ", name.to_uppercase().replace(' ', "_"))).collect();
    assert_eq!(Registry::builtin().recognise(&spoilt), Recognition::Known(Report::Es003));
    assert_eq!(recognise("entry no,line no,tariff ordinal,hts code,duty amount"), Recognition::Known(Report::Es003));
}

#[test]
fn a_report_without_its_grain_says_which_column_lacks() {
    let registry = Registry::builtin();
    assert_eq!(registry.recognise(&without(ES_002_DEFAULT, LINE_NUMBER)), missing(Report::Es002, &[LINE_NUMBER]));
    assert_eq!(registry.recognise(&without(ES_002_DEFAULT, ENTRY_NUMBER)), missing(Report::Es002, &[ENTRY_NUMBER]));
    assert_eq!(registry.recognise(&without(ES_003_DEFAULT, TARIFF_ORDINAL)), missing(Report::Es003, &[TARIFF_ORDINAL]));
    assert_eq!(registry.recognise(&without(ES_003_DEFAULT, LINE_NUMBER)), missing(Report::Es003, &[LINE_NUMBER]));
    assert_eq!(recognise(CUSTOM_31), missing(Report::Es003, &[TARIFF_ORDINAL]));
    assert_eq!(registry.recognise(&without(CUSTOM_ES_001, ENTRY_NUMBER)), missing(Report::Es001, &[ENTRY_NUMBER]));
}

#[test]
fn lines_with_an_hts_number_and_no_ordinal_are_at_no_known_grain() {
    assert_eq!(recognise(&format!("{ES_002_DEFAULT},HTS Number - Full")), missing(Report::Es003, &[TARIFF_ORDINAL]));
    assert_eq!(recognise(&format!("{ES_002_DEFAULT},HTS")), missing(Report::Es003, &[TARIFF_ORDINAL]));
}

#[test]
fn a_brokers_own_column_of_an_everyday_name_does_not_turn_lines_away() {
    assert_eq!(recognise(&format!("{ES_002_DEFAULT},Quantity,Unit of Measure,Broker,Note")), Recognition::Known(Report::Es002));
}

#[test]
fn foreign_tables_are_unknown_and_name_the_nearest_report() {
    assert_eq!(recognise("sku,colour,price"), Recognition::Unknown(None));
    assert_eq!(recognise(""), Recognition::Unknown(None));
    assert_eq!(Registry::builtin().recognise(&[]), Recognition::Unknown(None));
    assert_eq!(recognise("Entry Number"), Recognition::Unknown(Some(Report::Es001)));
    assert_eq!(recognise("SKU,Quantity,HTS Code,Unit of Measure"), Recognition::Unknown(Some(Report::Es003)));
    let refunds =
        "Entry Summary Number,Entry Date,Refund Number,Declaration,Principal,Interest,Payee,Status Code,Issued On,Trace";
    assert_eq!(recognise(refunds), Recognition::Unknown(Some(Report::Es001)), "another report of entries is not ES-001");
}

#[test]
fn the_impostor_is_known_by_its_header() {
    let header = impostor_header();
    assert_eq!(header.len(), 55);
    let Recognition::Impostor(Report::Es003, reason) = Registry::builtin().recognise(&header) else {
        panic!("taken for a report")
    };
    assert!(reason.contains("55 columns") && reason.contains("3 rates") && reason.contains("run ES-003"), "{reason}");
}

#[test]
fn rate_columns_beside_a_tariff_ordinal_are_no_impostor() {
    assert_eq!(
        recognise(&format!("{ES_003_DEFAULT},Base Duty Rate,IEEPA Rate,Section 301 %")),
        Recognition::Known(Report::Es003)
    );
    let official = without(ES_003_DEFAULT, TARIFF_ORDINAL).into_iter().chain(["Column 1 Current Primary Duty Rate".to_owned()]);
    assert_eq!(Registry::builtin().recognise(&official.collect::<Vec<_>>()), missing(Report::Es003, &[TARIFF_ORDINAL]));
}

#[test]
fn values_betray_the_impostor_only_when_all_signs_are_there() {
    let names = header("Entry Summary Number,Entry Summary Line Number,HTS Number - Full,Duty");
    let rows = |entry: &str, duty: &str| {
        vec![header(&format!("{entry},1,3923900080,{duty}")), header(&format!("{entry},2,3923900080,{duty}")), vec![]]
    };
    let judge = |names: &[String], rows: &[Vec<String>]| Registry::builtin().recognise_values(Report::Es003, names, rows);
    let found = judge(&names, &rows("ABC-1234567-6", "7.5%"));
    assert!(matches!(&found, Some(Recognition::Impostor(Report::Es003, reason)) if !reason.contains("ABC")), "{found:?}");
    assert_eq!(judge(&names, &rows("ABC12345676", "7.5%")), None);
    assert_eq!(judge(&names, &rows("ABC-1234567-6", "7.5")), None);
    assert_eq!(judge(&names, &[rows("ABC-1234567-6", "5%"), rows("ABC12345676", "5%")].concat()), None);
    assert_eq!(judge(&names, &[]), None);
    let ordinal = header("Entry Summary Number,Entry Summary Line Number,Tariff Ordinal Number,Duty");
    assert_eq!(judge(&ordinal, &rows("ABC-1234567-6", "7.5%")), None);
    assert_eq!(Registry::builtin().recognise_values(Report::Es002, &names, &rows("ABC-1234567-6", "7.5%")), None);
}

#[test]
fn an_accepted_rename_of_a_grain_column_lets_the_file_in() {
    let mut names = header(ES_002_DEFAULT);
    names[2] = "Ln of Entry".to_owned();
    assert_eq!(Registry::builtin().recognise(&names), missing(Report::Es002, &[LINE_NUMBER]));
    let renames = BTreeMap::from([(fold("ln of entry"), LINE_NUMBER.to_owned())]);
    let mappings = BTreeMap::from([(Report::Es002, Mapping { renames, additions: Vec::new() })]);
    assert_eq!(Registry::builtin().recognise_with(&names, &mappings), Recognition::Known(Report::Es002));
    assert_eq!(Registry::builtin().recognise_with(&header(ES_003_DEFAULT), &mappings), Recognition::Known(Report::Es003));
    assert_eq!(Registry::builtin().recognise_with(&header("sku,colour"), &mappings), Recognition::Unknown(None));
}

proptest! {
    #[test]
    fn any_header_is_answered_the_same_in_any_order(names in proptest::collection::vec(any_name(), 0..40), turn in 0usize..40) {
        let mut turned = names.clone();
        if !turned.is_empty() {
            let by = turn % turned.len();
            turned.rotate_left(by);
        }
        prop_assert_eq!(Registry::builtin().recognise(&names), Registry::builtin().recognise(&turned));
    }

    #[test]
    fn a_known_report_has_all_its_grain(names in proptest::collection::vec(any_name(), 0..40)) {
        if let Recognition::Known(report) = Registry::builtin().recognise(&names) {
            let (binding, _) = crate::drift::bind(&names, Registry::builtin().edition(report), &Mapping::default());
            for column in binding.columns.iter().filter(|column| column.required == Required::Grain) {
                prop_assert!(binding.position(&column.name).is_some(), "{} of {report}", column.name);
            }
        }
    }
}

/// A CBP name or alias of some edition, spoilt or not, or any text.
pub(crate) fn any_name() -> impl Strategy<Value = String> {
    let known: Vec<String> = Registry::builtin()
        .editions()
        .iter()
        .flat_map(|edition| &edition.columns)
        .flat_map(|column| std::iter::once(column.name.clone()).chain(column.aliases.clone()))
        .collect();
    prop_oneof![
        4 => proptest::sample::select(known.clone()),
        1 => proptest::sample::select(known).prop_map(|name| name.to_uppercase().replace(' ', "_")),
        1 => "\\PC{0,12}",
        1 => proptest::sample::select(vec!["", " ", "#", "column 2", "Note", "Note [2]", "note", "Note [3]"]).prop_map(str::to_owned),
    ]
}

#[test]
fn claim_details_are_told_from_reports_that_carry_a_claim_number() {
    for line in [
        "ENTRY_NUMBER,CLAIM_NUMBER,STATUS,ERROR_DESCRIPTION",
        "Claim Number,Status,Entry Number",
        "STATUS,our note,CLAIM_NUMBER,ENTRY_NUMBER,our other note",
    ] {
        assert_eq!(recognise(line), Recognition::Known(Report::CapeClaims), "{line}");
    }
    for line in [&format!("{CUSTOM_ES_003},Status"), &format!("{ES_003_DEFAULT},Claim Number,Status"), CUSTOM_ES_001] {
        assert_ne!(recognise(line), Recognition::Known(Report::CapeClaims), "{line}");
    }
    for line in ["Entry Number,Claim Number", "Claim Number,Status,Error Description", "Entry Number,Status"] {
        assert!(!matches!(recognise(line), Recognition::Known(_)), "{line}");
    }
}

#[test]
fn an_entry_number_is_called_the_same_in_every_table() {
    for edition in Registry::builtin().editions() {
        let grain = edition.columns.iter().find(|column| column.required == Required::Grain).map(Column::field);
        assert_eq!(grain.as_deref(), Some("entry_summary_number"), "{}", edition.report);
    }
}
