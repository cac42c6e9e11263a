//! The lists compiled in, and what they say of codes that real files hold.

use super::*;
use crate::Registry;

#[test]
fn the_rules_compiled_in_parse_and_each_list_names_its_source() {
    let rules = parse_codes(include_str!("../../../rules/codes.toml")).unwrap();
    assert_eq!(rules.len(), Code::ALL.len());
    for rule in &rules {
        assert!(!rule.source.is_empty(), "{:?}", rule.code);
        assert!(rule.known.iter().all(|list| !list.source.is_empty() && !list.codes.is_empty()), "{:?}", rule.code);
    }
}

#[test]
fn iso_assigns_249_country_codes_and_namibia_is_one() {
    let rule = code_rule(Code::Country);
    assert_eq!(rule.known[0].codes.len(), 249);
    for code in ["NA", "NC", "CN", "HK", "US", "ZW", "AD", "XO", "GZ", "MULTI"] {
        assert!(rule.knows(code), "{code}");
    }
    for code in ["", "N", "ZZ", "UK", "cn", "CHN", "ÑA", "\u{1}\u{1}", "00", "AA"] {
        assert!(!rule.knows(code), "{code}");
    }
}

#[test]
fn entry_types_of_the_form_7501_instructions_are_known() {
    let rule = code_rule(Code::EntryType);
    for code in ["01", "02", "03", "06", "07", "09", "11", "12", "21", "23", "31", "38", "47", "52", "63", "86"] {
        assert!(rule.knows(code), "{code}");
    }
    for code in ["1", "00", "10", "13", "39", "99", "0A", "001"] {
        assert!(!rule.knows(code), "{code}");
    }
}

#[test]
fn a_kind_without_a_list_knows_every_code() {
    assert!(code_rule(Code::Port).knows("0000") && code_rule(Code::Identifier).knows("anything"));
}

#[test]
fn headings_exist_only_where_the_tariff_has_them() {
    let rule = code_rule(Code::Hts);
    for digits in ["04061000", "0101210010", "0910110000", "07142000"] {
        assert!(rule.has_heading(digits), "{digits}");
    }
    for digits in ["09903012", "0392390008", "0107000000", "10061000", "00011000", "04", "x4061000"] {
        assert!(!rule.has_heading(digits), "{digits}");
    }
}

#[test]
fn rules_that_lack_a_kind_or_name_a_code_twice_are_refused() {
    let whole = include_str!("../../../rules/codes.toml");
    let (before, _) = whole.split_once("[[rule]]\ncode = \"surety\"").unwrap();
    assert_eq!(parse_codes(before).unwrap_err().to_string(), "code rules need one rule of Surety");
    let twice = whole.replace("codes = [\"GZ\", ", "codes = [\"CN\", ");
    assert!(parse_codes(&twice).unwrap_err().to_string().contains("names `CN` twice"));
    let falling = whole.replace("lengths = [8, 10]", "lengths = [10, 8]");
    assert!(parse_codes(&falling).unwrap_err().to_string().contains("rising"));
}

#[test]
fn every_code_that_an_edition_names_fits_the_column_that_names_it() {
    for edition in Registry::builtin().editions() {
        assert!(edition.columns.iter().any(|column| column.code == Some(Code::EntryNumber)), "{}", edition.report);
        for column in &edition.columns {
            let Some(code) = column.code else { continue };
            let crate::ColumnType::Text(length) = column.kind else { panic!("`{}` is a code and no text", column.name) };
            let longest = code_rule(code).lengths.last().map(|length| u16::from(*length));
            assert!(longest.is_none() || length == longest, "`{}`: {length:?} and {longest:?}", column.name);
        }
    }
}
