use super::*;

fn own(text: &str) -> Result<RuleBook> {
    RuleBook::builtin().with(&RuleBook::parse(text)?)
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

const MPF_2027: &str = "[[mpf]]\nfrom = \"2026-10-01\"\nuntil = \"2027-10-01\"\nminimum = \"34.00\"\nmaximum = \"660.00\"\nmark = \"S\"\nsource = \"a made-up notice\"\n";

#[test]
fn the_builtin_book_reads_and_names_a_source_for_every_rule() {
    let book = RuleBook::builtin();
    let lines = book.lines();
    for kind in ["mpf", "rate", "hts_per_line", "family", "entry_type"] {
        assert!(lines.iter().any(|line| line.kind == kind), "{kind}");
    }
    assert!(lines.iter().all(|line| !line.source.is_empty() && !line.own));
    assert_eq!(book.rates.iter().map(RateRule::rate_millionths).collect::<Vec<_>>(), [Some(1250), Some(3464)]);
    assert_eq!(book.hts_per_line.iter().map(|rule| rule.maximum).collect::<Vec<_>>(), [8, 32]);
}

#[test]
fn a_lake_adds_the_year_that_was_not_known() {
    let book = own(MPF_2027).unwrap();
    let added: Vec<RuleLine> = book.lines().into_iter().filter(|line| line.own).collect();
    assert_eq!(added.len(), 1);
    assert_eq!((added[0].from, added[0].value.as_str()), (Some(day("2026-10-01")), "34.00 to 660.00"));
    assert_eq!(book.mpf.len(), RuleBook::builtin().mpf.len() + 1);
}

#[test]
fn a_later_rule_ends_an_open_one_and_nothing_else() {
    let book =
        own("[[rate]]\nfee = \"HMF\"\nfrom = \"2027-01-01\"\nrate = \"0.0013\"\nmark = \"G\"\nsource = \"made up\"\n").unwrap();
    let hmf: Vec<_> = book.rates.iter().filter(|rule| rule.fee == "HMF").map(|rule| (rule.from, rule.until)).collect();
    assert_eq!(hmf, [(day("2018-01-01"), Some(day("2027-01-01"))), (day("2027-01-01"), None)]);
    assert!(book.rates.iter().any(|rule| rule.fee == "MPF" && rule.until.is_none()));
}

#[test]
fn what_a_later_build_brings_too_is_dropped_and_a_contradiction_is_refused() {
    let with_it = RuleBook::builtin().with(&RuleBook::parse(MPF_2027).unwrap()).unwrap();
    assert_eq!(with_it.with(&RuleBook::parse(MPF_2027).unwrap()).unwrap(), with_it);
    let other = MPF_2027.replace("34.00", "35.00");
    let error = with_it.with(&RuleBook::parse(&other).unwrap()).unwrap_err();
    assert!(error.message.contains("mpf rule from 2026-10-01") && error.message.contains("other figures"), "{error}");
    let error = own(&MPF_2027.replace("2026-10-01", "2026-09-30")).unwrap_err();
    assert!(error.message.contains("overlap"), "{error}");
}

#[test]
fn malformed_rules_are_refused_by_name() {
    let rate = "[[rate]]\nfee = \"MPF\"\nfrom = \"2030-01-01\"\nrate = \"0.0040\"\nmark = \"S\"\nsource = \"x\"\n";
    let family = "[[family]]\nfamily = \"Made up\"\nprefix = \"990399\"\nmark = \"S\"\nsource = \"x\"\n";
    assert!(own(rate).is_ok() && own(family).is_ok());
    for (text, said) in [
        (rate.replace("0.0040", "1.5"), "rate rule MPF from 2030-01-01"),
        (rate.replace("0.0040", "0.1234567"), "six places"),
        (rate.replace("\"MPF\"", "\"VAT\""), "MPF or HMF"),
        (rate.replace("source = \"x\"", "source = \" \""), "name the source"),
        (rate.replace("fee", "fees"), "cannot be read"),
        (family.replace("990399", "9903"), "six digits"),
        (family.replace("mark", "until = \"2020-01-01\"\nfrom = \"2021-01-01\"\nmark"), "ends before it begins"),
        (MPF_2027.replace("34.00", "34"), "amounts such as"),
        (MPF_2027.replace("34.00", "940.00"), "above its maximum"),
        ("[[hts_per_line]]\nfrom = \"2030-01-01\"\nmaximum = 0\nmark = \"S\"\nsource = \"x\"\n".to_owned(), "at least one"),
        ("[[entry_type]]\ncode = \"1\"\nmark = \"S\"\nsource = \"x\"\n".to_owned(), "two digits"),
    ] {
        let error = own(&text).expect_err(&text);
        assert!(error.message.contains(said), "{said}: {error}");
    }
}

#[test]
fn a_phase_of_cape_opens_and_closes_as_the_lake_says() {
    let window = |phase: u8, dates: &str| {
        let text = format!("[[cape_window]]\nphase = \"{phase}\"\n{dates}\nmark = \"S\"\nsource = \"a notice made up\"\n");
        RuleBook::builtin().with(&RuleBook::parse(&text).unwrap()).unwrap()
    };
    let of = |book: &RuleBook, number| book.phases().into_iter().find(|phase| phase.number == number).unwrap();
    let day = |text: &str| text.parse::<NaiveDate>().unwrap();
    assert_eq!(RuleBook::builtin().phases(), cape_rules().phases, "nothing is added, nothing changes");
    assert_eq!(of(RuleBook::builtin(), 3).opens, None);
    let book = window(3, "from = \"2026-07-30\"");
    assert_eq!((of(&book, 3).opens, of(&book, 3).closes), (Some(day("2026-07-30")), None));
    assert!(of(&book, 3).source.contains("a notice made up"));
    let book = window(1, "from = \"2026-04-20\"\nuntil = \"2026-12-01\"");
    assert_eq!(of(&book, 1).is_open(day("2026-12-01")).unwrap_err(), "phase 1 closed on 2026-12-01");
    let unknown = "[[cape_window]]\nphase = \"9\"\nfrom = \"2026-07-30\"\nmark = \"S\"\nsource = \"x\"\n";
    assert!(RuleBook::parse(unknown).unwrap_err().message.contains("no such phase"));
}

#[test]
fn deadlines_and_closings_of_a_lake_stand_beside_those_of_the_build() {
    let text = "[[deadline]]\nkind = \"protest\"\ntitle = \"Protest\"\nwhose = \"importer\"\nfrom = \"2027-01-01\"\nterms = [{ column = \"liquidation_date\", days = 200 }]\nrolls = true\nmark = \"S\"\nsource = \"x\"\n
[[closing]]\nname = \"A day of mourning\"\nfrom = \"2026-03-04\"\nmark = \"G\"\nsource = \"x\"\n";
    let book = RuleBook::builtin().with(&RuleBook::parse(text).unwrap()).unwrap();
    let protests: Vec<_> = book.deadlines.iter().filter(|rule| rule.kind == "protest").collect();
    assert_eq!(protests.len(), 3);
    assert_eq!((protests[1].until, protests[2].until), ("2027-01-01".parse().ok(), None), "the open one ends where it begins");
    assert_eq!(book.lines().iter().filter(|line| line.own).count(), 2);
    let rolled = crate::calendar::roll("2026-03-04".parse().unwrap(), &book.closings);
    assert_eq!((rolled.date.to_string(), rolled.over), ("2026-03-05".to_owned(), vec!["A day of mourning".to_owned()]));
    let termless = text.replace("days = 200", "known = \"sometimes\"");
    assert!(RuleBook::parse(&termless).unwrap_err().message.contains("terms"));
}
