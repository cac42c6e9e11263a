use bonded_schemas::Registry;

use super::*;
use crate::ErrorKind;

const OWN: &str = "-- Which entries are large?\n-- Finance asks; large ones are looked at twice.\n-- severity: info\n-- rule: house rule\n\
    -- needs: entry_summaries.total_goods_value_amount\n-- evidence: entry_summaries entry\n-- param: least money = 1000.00; what is large\n\
    SELECT entry_summary_number FROM entry_summaries\n";

fn own(text: &str) -> Result<Library> {
    Library::with_own([("large".to_owned(), text.to_owned())])
}

#[test]
fn every_question_has_its_header() {
    for (topic, id, sql) in files::RECONCILE.iter().chain(files::AUDIT).chain(files::HISTORY) {
        header::read(*topic, id, sql).unwrap();
    }
    for work in Work::ALL {
        assert!(!header::reads(work.sql()).is_empty(), "{}", work.name());
    }
}

#[test]
fn ids_are_the_stable_ones() {
    let ids: Vec<&str> = Library::builtin().checks().map(|(question, _)| question.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "line_value",
            "line_duty",
            "entry_value",
            "entry_duty",
            "entry_mpf_clamp",
            "missing_in_es_001",
            "missing_in_es_002",
            "missing_in_es_003",
            "duplicate_in_es_001",
            "duplicate_in_es_002",
            "duplicate_in_es_003",
            "line_mpf",
            "line_hmf",
            "tariff_ordinals",
            "tariff_count",
            "chapter_99_value",
            "chapter_99_order",
            "chapter_99_dates",
            "rate_outlier",
            "spi_with_duty",
            "duty_free_without_spi",
            "classification_changed",
            "entry_check_digit",
            "entry_type_unknown",
        ]
    );
}

#[test]
fn every_column_that_a_check_names_is_in_its_report() {
    for (question, check) in Library::builtin().checks() {
        let shared = check.work.iter().flat_map(|work| header::reads(work.sql())).collect::<Vec<_>>();
        for source in check.needs.iter().chain(&check.any).chain(&check.against).chain(&check.reads).chain(&shared) {
            let Some(column) = &source.column else { continue };
            let edition = Registry::builtin().edition(source.view.report());
            assert!(edition.columns.iter().any(|known| known.field() == *column), "{}: {column}", question.id);
        }
    }
}

#[test]
fn every_check_cites_a_rule_with_its_mark() {
    for (question, check) in Library::builtin().checks() {
        assert!(["[V]", "[S]", "[G]"].iter().any(|mark| check.rule.ends_with(mark)), "{}: {}", question.id, check.rule);
    }
}

#[test]
fn no_question_compares_through_a_narrowing_cast_or_a_float() {
    let work = Work::ALL.map(|work| (work.name(), work.sql()));
    let questions = library().iter().map(|question| (question.id.as_str(), question.sql.as_str()));
    for (id, sql) in questions.chain(work) {
        let casts = sql.to_uppercase();
        for narrow in [" AS BIGINT", " AS DOUBLE", " AS FLOAT", " AS REAL", " ROUND(", "(ROUND("] {
            assert!(!casts.contains(narrow), "{id} has {narrow}");
        }
    }
}

#[test]
fn a_users_own_check_joins_the_library_under_its_own_prefix() {
    let library = own(OWN).unwrap();
    let (question, check) = library.checks().last().unwrap();
    assert_eq!((question.id.as_str(), check.rule.as_str()), ("user.large", "house rule"));
    assert_eq!(question.params[0].default, "1000.00");
    assert_eq!(library.checks().count(), Library::builtin().checks().count() + 1);
}

#[test]
fn a_malformed_check_is_refused_with_its_name_line_and_mend() {
    for (changed, into, said) in [
        ("-- Which entries are large?", "-- Large entries", "line 1: write the question"),
        ("Finance asks; ", "", "line 2: write who asks"),
        ("severity: info", "severity: grave", "line 3: `grave` is no severity; use info, warning or error"),
        ("rule: house rule", "rules: house rule", "line 4: `rules: house rule` is no setting; known: severity, rule"),
        ("-- rule: house rule\n", "", "add `-- rule: ...`"),
        ("-- severity: info\n", "", "add `-- severity: ...`"),
        ("needs: entry_summaries.", "needs: entries.", "views: entry_summaries, entry_lines, tariff_lines"),
        ("evidence: entry_summaries entry", "evidence: entry_summaries", "is not like"),
        ("least money = 1000.00;", "least money = 1000;", ""),
        ("least money = 1000.00;", "least money = much;", "is not an amount"),
        ("least money", "least dollars", "`dollars` is no type"),
        ("least money", "Least money", "name the parameter"),
        ("-- param: ", "-- param ", "is no setting"),
    ] {
        let text = OWN.replace(changed, into);
        assert_ne!(text, OWN, "{changed}");
        if said.is_empty() {
            assert!(own(&text).is_ok());
            continue;
        }
        let error = own(&text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains("`user.large`") && error.to_string().contains(said), "{said}: {error}");
    }
    for name in ["Large", "a-b", "../x", ""] {
        assert!(Library::with_own([(name.to_owned(), OWN.to_owned())]).is_err(), "{name}");
    }
}
