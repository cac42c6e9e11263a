//! Tests of binding and drift.

use proptest::prelude::*;
use std::collections::HashSet;

use super::*;
use crate::{
    edition::{Column, ColumnType, Edition, Evidence, Required, fold},
    registry::{
        Registry,
        tests::{ES_002_DEFAULT, ES_003_DEFAULT, any_name, header},
    },
    report::Report,
};

fn edition(report: Report) -> &'static Edition {
    Registry::builtin().edition(report)
}

fn bind_es_003(names: &[String]) -> (Binding, Drift) {
    bind(names, edition(Report::Es003), &Mapping::default())
}

/// The default ES-003 with some names replaced.
fn es_003(replace: &[(&str, &str)]) -> Vec<String> {
    let swap = |name: String| replace.iter().find(|(from, _)| *from == name).map_or(name, |(_, to)| (*to).to_owned());
    header(ES_003_DEFAULT).into_iter().map(swap).collect()
}

fn without(gone: &str) -> Vec<String> {
    header(ES_003_DEFAULT).into_iter().filter(|name| name != gone).collect()
}

fn with(more: &[&str]) -> Vec<String> {
    header(ES_003_DEFAULT).into_iter().chain(more.iter().map(|&name| name.to_owned())).collect()
}

/// Kind, severity and column of each finding.
fn brief(drift: &Drift) -> Vec<(DriftKind, Severity, &str)> {
    drift.findings.iter().map(|finding| (finding.kind, finding.severity, finding.column.as_str())).collect()
}

fn proposals(drift: &Drift) -> Vec<(&str, &str, u8)> {
    let proposals = drift.findings.iter().filter_map(|finding| finding.proposal.as_ref());
    proposals.map(|proposal| (proposal.from.as_str(), proposal.to.as_str(), proposal.confidence)).collect()
}

fn addition(name: &str) -> Column {
    Column {
        name: name.to_owned(),
        aliases: Vec::new(),
        kind: ColumnType::Text(None),
        code: None,
        format: String::new(),
        required: Required::Optional,
        uses: Vec::new(),
        ordinal: None,
        evidence: Evidence::Inferred,
        source: "accepted by the tenant".to_owned(),
        table_name: None,
        personal: false,
    }
}

fn accepted(renames: &[(&str, &str)], additions: &[&str]) -> Mapping {
    Mapping {
        renames: renames.iter().map(|(from, to)| (fold(from), (*to).to_owned())).collect(),
        additions: additions.iter().map(|name| addition(name)).collect(),
    }
}

#[test]
fn default_layouts_have_no_drift_at_all() {
    for (report, line) in [(Report::Es002, ES_002_DEFAULT), (Report::Es003, ES_003_DEFAULT)] {
        let (binding, drift) = bind(&header(line), edition(report), &Mapping::default());
        assert_eq!(drift, Drift::default(), "{report}");
        assert_eq!(drift.severity(), None);
        for (name, bound) in header(line).iter().zip(&binding.bound) {
            let Bound::Column(column) = bound else { panic!("`{name}` is not bound") };
            assert_eq!(binding.columns[*column].name, *name);
        }
    }
}

#[test]
fn columns_that_users_add_are_known_and_not_drift() {
    let (_, drift) = bind_es_003(&with(&["Liquidation Date", "Liquidation Status", "Total Paid MPF Amount", "Importer Name"]));
    assert_eq!(drift, Drift::default());
}

#[test]
fn an_alias_binds_and_is_told() {
    let (binding, drift) = bind_es_003(&es_003(&[("HTS Number - Full", "HTS Code")]));
    assert_eq!(binding.position("HTS Number - Full"), Some(18));
    assert_eq!(brief(&drift), [(DriftKind::Renamed, Severity::Info, "HTS Code")]);
    assert!(drift.findings[0].proposal.is_none());
}

#[test]
fn case_and_punctuation_bind_and_are_told() {
    let (binding, drift) = bind_es_003(&es_003(&[("HTS Number - Full", "HTS Number-Full"), ("Entry Date", " entry_date")]));
    assert_eq!(binding.position("Entry Date"), Some(4));
    assert_eq!(
        brief(&drift),
        [(DriftKind::Recased, Severity::Info, "entry_date"), (DriftKind::Recased, Severity::Info, "HTS Number-Full")]
    );
}

#[test]
fn an_unknown_column_waits_in_rescued_under_its_name() {
    let (binding, drift) = bind_es_003(&with(&["Broker Comment"]));
    assert_eq!(binding.bound[27], Bound::Unknown("Broker Comment".to_owned()));
    assert_eq!(brief(&drift), [(DriftKind::Added, Severity::Warning, "Broker Comment")]);
}

#[test]
fn what_is_missing_weighs_by_its_use() {
    let (_, drift) = bind_es_003(&without("Entry Date"));
    assert_eq!(brief(&drift), [(DriftKind::Missing, Severity::Warning, "Entry Date")]);
    assert_eq!(drift.findings[0].uses, ["fees", "deadlines", "cape", "history"]);
    assert!(drift.findings[0].message.contains("fees, deadlines, cape, history"));

    let (_, drift) = bind_es_003(&without("Textile Category"));
    assert_eq!(brief(&drift), [(DriftKind::Missing, Severity::Info, "Textile Category")]);

    let (_, drift) = bind_es_003(&without("Tariff Ordinal Number"));
    assert_eq!(brief(&drift), [(DriftKind::Missing, Severity::Error, "Tariff Ordinal Number")]);

    let entries = header(
        "Entry Summary Number,Entry Type Code,Importer Number,Entry Date,Total Goods Value Amount,Total Duty Amount,Total Paid MPF Amount,Liquidation Status",
    );
    let (_, drift) = bind(&entries, edition(Report::Es001), &Mapping::default());
    assert_eq!(brief(&drift), [(DriftKind::Missing, Severity::Warning, "Liquidation Date")]);
    assert_eq!(drift.findings[0].uses, ["deadlines", "cape"], "a missing liquidation date does not matter to tie-out");
}

#[test]
fn moved_columns_are_told_once_and_bind_all_the_same() {
    let mut names = header(ES_003_DEFAULT);
    let entry_date = names.remove(4);
    names.push(entry_date);
    let (binding, drift) = bind_es_003(&names);
    assert_eq!(binding.position("Entry Date"), Some(26));
    assert_eq!(brief(&drift), [(DriftKind::Reordered, Severity::Info, "")]);
    assert!(drift.findings[0].message.contains("`Entry Date`;"), "only the moved one is named: {}", drift.findings[0].message);
}

#[test]
fn a_subset_in_order_is_not_reordered() {
    let (_, drift) = bind_es_003(&without("Line Tariff UOM (3) Code"));
    assert!(drift.findings.iter().all(|finding| finding.kind != DriftKind::Reordered));
}

#[test]
fn a_second_column_of_the_same_name_is_rescued_under_another() {
    let (binding, drift) = bind_es_003(&with(&["Entry Date", "Note", "note", "Note"]));
    assert_eq!(binding.position("Entry Date"), Some(4));
    let unknown = ["Entry Date [2]", "Note", "note [2]", "Note [3]"].map(|name| Bound::Unknown(name.to_owned()));
    assert_eq!(binding.bound[27..], unknown);
    assert_eq!(
        brief(&drift),
        [
            (DriftKind::Duplicated, Severity::Warning, "Entry Date"),
            (DriftKind::Added, Severity::Warning, "Note"),
            (DriftKind::Duplicated, Severity::Warning, "note"),
            (DriftKind::Duplicated, Severity::Warning, "Note"),
        ]
    );
    assert_eq!(binding.ambiguous_grain(), None);
}

#[test]
fn the_name_itself_wins_over_an_alias_wherever_it_stands() {
    let names: Vec<String> = ["HTS"].iter().map(|&name| name.to_owned()).chain(header(ES_003_DEFAULT)).collect();
    let (binding, drift) = bind_es_003(&names);
    assert_eq!(binding.position("HTS Number - Full"), Some(19));
    assert_eq!(binding.bound[0], Bound::Unknown("HTS".to_owned()));
    assert_eq!(brief(&drift), [(DriftKind::Duplicated, Severity::Warning, "HTS")]);
}

#[test]
fn a_grain_column_that_stands_twice_is_ambiguous() {
    let (binding, drift) = bind_es_003(&with(&["ENTRY SUMMARY NUMBER"]));
    assert_eq!(binding.ambiguous_grain(), Some("Entry Summary Number"));
    assert_eq!(brief(&drift), [(DriftKind::Duplicated, Severity::Error, "ENTRY SUMMARY NUMBER")]);

    let (binding, _) = bind_es_003(&es_003(&[("Entry Summary Number", "Entry No"), ("Importer Number", "ESN")]));
    assert_eq!(binding.ambiguous_grain(), Some("Entry Summary Number"), "two aliases and no name");
}

#[test]
fn an_alias_beside_the_name_of_a_grain_column_stops_nothing() {
    let (binding, drift) = bind_es_003(&with(&["Line"]));
    assert_eq!(binding.ambiguous_grain(), None);
    assert_eq!(brief(&drift), [(DriftKind::Duplicated, Severity::Warning, "Line")]);
}

#[test]
fn blank_names_get_their_number() {
    let (binding, drift) = bind_es_003(&with(&["", "  ", "column 28"]));
    let unknown = ["column 28", "column 29", "column 28 [2]"].map(|name| Bound::Unknown(name.to_owned()));
    assert_eq!(binding.bound[27..], unknown);
    assert_eq!(
        brief(&drift)[..2],
        [(DriftKind::Added, Severity::Info, "column 28"), (DriftKind::Added, Severity::Info, "column 29")]
    );
}

#[test]
fn a_blank_name_over_values_is_raised_to_a_warning() {
    let names = with(&["", ""]);
    let (binding, mut drift) = bind_es_003(&names);
    let mut profiles = vec![ColumnProfile { cells: 9, empty: 9, ..Default::default() }; names.len()];
    profiles[28].empty = 8;
    judge_values(&mut drift, &binding, &names, &profiles);
    assert_eq!(
        brief(&drift),
        [(DriftKind::Added, Severity::Info, "column 28"), (DriftKind::Added, Severity::Warning, "column 29")]
    );
}

#[test]
fn accepted_renames_and_additions_bind_without_a_word() {
    let names = es_003(&[("Line Tariff Duty Amount", "Zoll"), ("Textile Category", "Cost Center")]);
    let mapping = accepted(&[("ZOLL", "Line Tariff Duty Amount"), ("gone", "No Such Column")], &["Cost Center"]);
    let (binding, drift) = bind(&names, edition(Report::Es003), &mapping);
    assert_eq!(binding.position("Line Tariff Duty Amount"), Some(26));
    assert_eq!(binding.position("Cost Center"), Some(16));
    assert_eq!(brief(&drift), [(DriftKind::Missing, Severity::Info, "Textile Category")]);
}

#[test]
fn a_rename_may_point_at_an_addition_and_an_absent_addition_is_not_missed() {
    let mapping = accepted(&[("Kostenstelle", "Cost Center")], &["Cost Center", "Plant"]);
    let (binding, drift) = bind(&with(&["Kostenstelle"]), edition(Report::Es003), &mapping);
    assert_eq!(binding.position("Cost Center"), Some(27));
    assert_eq!(drift, Drift::default());
}

#[test]
fn a_decision_of_the_tenant_outranks_our_aliases_but_not_the_name() {
    let mapping = accepted(&[("Broker", "Importer Name")], &[]);
    let (binding, drift) = bind(&with(&["Broker"]), edition(Report::Es003), &mapping);
    assert_eq!((binding.position("Importer Name"), binding.position("Filer Name")), (Some(27), None));
    assert_eq!(drift, Drift::default());
    let (binding, drift) = bind(&with(&["Broker", "Importer Name"]), edition(Report::Es003), &mapping);
    assert_eq!(binding.position("Importer Name"), Some(28));
    assert_eq!(brief(&drift), [(DriftKind::Duplicated, Severity::Warning, "Broker")]);
}

#[test]
fn an_addition_that_the_edition_has_gained_gives_way() {
    let mapping = accepted(&[], &["ENTRY DATE", "hts", "Plant", "plant", "##", "Entry-Date"]);
    let (binding, drift) = bind(&header(ES_003_DEFAULT), edition(Report::Es003), &mapping);
    let added: Vec<&str> =
        binding.columns[edition(Report::Es003).columns.len()..].iter().map(|column| column.name.as_str()).collect();
    assert_eq!(added, ["Plant"]);
    assert_eq!(drift, Drift::default());
}

#[test]
fn an_unknown_name_is_proposed_for_the_missing_column_it_resembles() {
    let names = es_003(&[("Line Tariff Duty Amount", "Line Tariff Duty Amt USD"), ("Standard Visa Number", "Std Visa Number")]);
    let (_, drift) = bind_es_003(&names);
    let found = proposals(&drift);
    assert_eq!(
        found.iter().map(|(from, to, _)| (*from, *to)).collect::<Vec<_>>(),
        [("Line Tariff Duty Amt USD", "Line Tariff Duty Amount"), ("Std Visa Number", "Standard Visa Number"),]
    );
    let kinds: Vec<DriftKind> = drift.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(
        kinds,
        [DriftKind::Added, DriftKind::Added, DriftKind::Missing, DriftKind::Missing, DriftKind::Renamed, DriftKind::Renamed]
    );
    assert_eq!(drift.findings[4].severity, Severity::Warning);
    assert_eq!(drift.findings[5].severity, Severity::Info);
}

#[test]
fn values_strengthen_or_kill_a_proposal() {
    let names = es_003(&[("Entry Date", "Date of the Entry")]);
    let (binding, drift) = bind_es_003(&names);
    let by_name = proposals(&drift);
    assert_eq!(by_name.len(), 1, "{by_name:?}");
    let judged = |profile: ColumnProfile| {
        let mut profiles = vec![ColumnProfile::default(); names.len()];
        profiles[4] = profile;
        let mut drift = drift.clone();
        judge_values(&mut drift, &binding, &names, &profiles);
        proposals(&drift).first().map(|(_, to, confidence)| ((*to).to_owned(), *confidence))
    };
    let dates = judged(ColumnProfile { cells: 100, empty: 2, dates: 98, length_max: 10, ..Default::default() }).unwrap();
    assert_eq!(dates.0, "Entry Date");
    assert!(dates.1 > by_name[0].2, "{dates:?} against {by_name:?}");
    assert_eq!(judged(ColumnProfile { cells: 100, empty: 2, length_max: 30, ..Default::default() }), None, "words are no dates");
}

#[test]
fn unlike_names_are_not_proposed() {
    for stranger in ["Kostenstelle", "CAPE PHASE 1 ELIGIBLE", "CLAIM ERROR", "Comment", "PO Number"] {
        let (_, drift) = bind_es_003(&es_003(&[("Line Tariff Duty Amount", stranger)]));
        assert_eq!(proposals(&drift), [], "{stranger}");
    }
}

#[test]
fn each_unknown_column_is_proposed_for_one_missing_column_at_most() {
    let names = es_003(&[
        ("Line Tariff Quantity (2)", "Tariff Quantity (2)"),
        ("Line Tariff Quantity (3)", "Tariff Quantity (3)"),
        ("Line Tariff UOM (2) Code", "Tariff UOM (2)"),
        ("Line Tariff UOM (3) Code", "Tariff UOM (3)"),
    ]);
    let (_, drift) = bind_es_003(&names);
    let pairs: HashSet<(&str, &str)> = proposals(&drift).into_iter().map(|(from, to, _)| (from, to)).collect();
    let expected = HashSet::from([
        ("Tariff Quantity (2)", "Line Tariff Quantity (2)"),
        ("Tariff Quantity (3)", "Line Tariff Quantity (3)"),
        ("Tariff UOM (2)", "Line Tariff UOM (2) Code"),
        ("Tariff UOM (3)", "Line Tariff UOM (3) Code"),
    ]);
    assert_eq!(pairs, expected);
}

#[test]
fn nothing_is_proposed_for_a_column_that_is_there() {
    let (_, drift) = bind_es_003(&with(&["Line Tariff Duty Amt USD"]));
    assert_eq!(proposals(&drift), []);
}

#[test]
fn a_column_whose_cells_mostly_fail_is_retyped() {
    let names = header(ES_003_DEFAULT);
    let judged = |position: usize, profile: ColumnProfile| {
        let (binding, mut drift) = bind_es_003(&names);
        let mut profiles = vec![ColumnProfile::default(); names.len()];
        profiles[position] = profile;
        judge_values(&mut drift, &binding, &names, &profiles);
        let once = drift.clone();
        judge_values(&mut drift, &binding, &names, &profiles);
        assert_eq!(drift, once, "judging twice says nothing new");
        drift
    };
    let dates = judged(26, ColumnProfile { cells: 10, failed: 10, dates: 10, ..Default::default() });
    assert_eq!(brief(&dates), [(DriftKind::Retyped, Severity::Warning, "Line Tariff Duty Amount")]);
    assert!(dates.findings[0].message.contains("10 of 10") && dates.findings[0].message.contains("read as date"));
    assert_eq!(dates.findings[0].uses, ["tie-out", "cape"]);

    assert_eq!(
        judged(26, ColumnProfile { cells: 10, failed: 5, amounts: 5, ..Default::default() }),
        Drift::default(),
        "half is not most"
    );
    let ordinal = judged(17, ColumnProfile { cells: 10, failed: 9, ..Default::default() });
    assert_eq!(ordinal.severity(), Some(Severity::Error), "rows cannot be told apart");
    let text = judged(3, ColumnProfile { cells: 10, dates: 10, length_max: 4, ..Default::default() });
    assert_eq!(brief(&text), [(DriftKind::Retyped, Severity::Info, "Port of Entry Code")]);
    assert_eq!(
        judged(3, ColumnProfile { cells: 10, integers: 10, amounts: 10, dates: 10, length_max: 4, ..Default::default() }),
        Drift::default()
    );
    // Half of a team's codes are digits, and digits read as amounts, too: such cells were once counted twice.
    let teams = ColumnProfile { cells: 10, integers: 5, amounts: 5, length_max: 3, ..Default::default() };
    assert_eq!(judged(8, teams), Drift::default());
    let long = judged(0, ColumnProfile { cells: 10, length_max: 13, ..Default::default() });
    assert_eq!(brief(&long), [(DriftKind::Retyped, Severity::Info, "Entry Summary Number")]);
}

#[test]
fn file_wide_findings_name_no_column() {
    let found = [
        DriftFinding::preamble(3),
        DriftFinding::encoding("windows-1252", 0),
        DriftFinding::encoding("UTF-16", 2),
        DriftFinding::delimiter(';'),
    ];
    assert!(found.iter().all(|finding| finding.column.is_empty()));
    assert_eq!(found.map(|finding| finding.severity), [Severity::Info, Severity::Info, Severity::Warning, Severity::Info]);
}

#[test]
fn header_fingerprints_differ_when_headers_do() {
    let text = |names: &[&str]| fingerprint_text(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
    assert_eq!(text(&["a", "b"]), "1:a\n1:b\n");
    assert_ne!(text(&["a", "b"]), text(&["b", "a"]));
    assert_ne!(text(&["a\n1:b"]), text(&["a", "b"]));
    assert_ne!(text(&["A"]), text(&["a"]));
}

proptest! {
    #[test]
    fn every_header_cell_is_bound_or_rescued_exactly_once(
        names in proptest::collection::vec(any_name(), 0..60),
        renames in proptest::collection::btree_map(any_name(), any_name(), 0..4),
        additions in proptest::collection::vec(any_name(), 0..4),
        report in proptest::sample::select(Report::ALL.to_vec()),
    ) {
        let mapping = Mapping { renames, additions: additions.iter().map(|name| addition(name)).collect() };
        let (binding, mut drift) = bind(&names, edition(report), &mapping);
        prop_assert_eq!(binding.bound.len(), names.len());
        let (mut columns, mut rescued) = (HashSet::new(), HashSet::new());
        for bound in &binding.bound {
            match bound {
                Bound::Column(column) => {
                    prop_assert!(*column < binding.columns.len());
                    prop_assert!(columns.insert(*column), "one column, two cells");
                }
                Bound::Unknown(name) => {
                    prop_assert!(!name.is_empty());
                    prop_assert!(binding.columns.iter().all(|column| column.name != *name), "`{}` hides a column", name);
                    prop_assert!(rescued.insert(name.clone()), "`{}` twice in `_rescued`", name);
                }
            }
        }
        // A rescued cell is always told of.
        let told = drift.findings.iter().filter(|f| matches!(f.kind, DriftKind::Added | DriftKind::Duplicated)).count();
        prop_assert_eq!(told, rescued.len());
        let fields: HashSet<String> = binding.columns.iter().map(Column::field).collect();
        prop_assert_eq!(fields.len(), binding.columns.len(), "two columns of one name in tables");

        let profiles: Vec<ColumnProfile> = names.iter().map(|name| ColumnProfile { cells: name.len() as u64, failed: 1, ..Default::default() }).collect();
        judge_values(&mut drift, &binding, &names, &profiles);
        for (from, to, confidence) in proposals(&drift) {
            prop_assert!(confidence <= 100);
            prop_assert!(binding.position(to).is_none(), "`{}` is there", to);
            prop_assert!(rescued.contains(from));
        }
    }

    #[test]
    fn shuffling_a_header_changes_no_binding(turn in 0usize..27) {
        let mut names = header(ES_003_DEFAULT);
        names.rotate_left(turn);
        let (binding, drift) = bind_es_003(&names);
        for name in &names {
            prop_assert_eq!(binding.position(name).map(|position| &names[position]), Some(name));
        }
        prop_assert!(drift.severity() <= Some(Severity::Info));
    }
}
