//! Quoting told from small samples.

use proptest::prelude::*;

use super::*;

fn told(sample: &str, names: usize) -> (u8, Option<u8>) {
    let found = quoting(sample.as_bytes(), true, b',', DOUBLE, names);
    (found.quote, found.escape)
}

#[test]
fn quoting_is_double_and_doubled_unless_the_rows_say_otherwise() {
    for sample in [
        "",
        "a,b\nc,d\n",
        "\"a\",b\n",
        "\"a \"\"b\"\", c\",d\n",
        "\"C:\\path\\\",b\n\"D:\\\",\"e\"\n",
        "a\\,b\n",
        "\"never,closed\n",
    ] {
        assert_eq!(told(sample, 2), (DOUBLE, None), "{sample}");
    }
}

#[test]
fn a_backslash_that_makes_broken_rows_whole_is_an_escape() {
    assert_eq!(told("\"12\\\" pipe, steel\",b\n\"c\",d\n", 2), (DOUBLE, Some(b'\\')));
    assert_eq!(told("\"12\\\" pipe\",b\n", 2), (DOUBLE, Some(b'\\')));
    assert_eq!(told("\"a\\\\\",\"b \\\"c\\\"\"\n", 2), (DOUBLE, Some(b'\\')));
    let words = quoting(b"\"12\\\" pipe\",b\n", true, b',', DOUBLE, 2).evidence;
    assert_eq!(words, "double, behind a backslash inside (1 cells quoted in 1 rows of the head; none reads wrong so)");
}

#[test]
fn a_column_of_single_quotes_is_quoted_by_them() {
    assert_eq!(told("1,'a, b'\n2,'c'\n3,\n", 2), (SINGLE, None));
    assert_eq!(told("1,'it\\'s, a'\n2,'c'\n", 2), (SINGLE, Some(b'\\')));
    let words = quoting(b"1,'a, b'\n2,'c'\n", true, b',', DOUBLE, 2).evidence;
    assert_eq!(words, "single, doubled inside (2 cells quoted in 2 rows of the head; none reads wrong so)");
}

#[test]
fn apostrophes_are_no_quotes() {
    for sample in [
        "'0012,a\n'0013,b\n",
        "'0012,'a\n'0013,'b\n",
        "1,'tis\n2,'twas'\n",
        "'x',1\ny,2\n",
        "it's,'a\n",
        "\"a\",'b'\n\"c\",'d'\n",
    ] {
        assert_eq!(told(sample, 2), (DOUBLE, None), "{sample}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sample_makes_the_judge_panic(sample in "[\"'\\\\,;\n\rab]{0,60}", whole in any::<bool>(), names in 0usize..4) {
        let found = quoting(sample.as_bytes(), whole, b',', DOUBLE, names);
        prop_assert!(found.quote == DOUBLE || found.quote == SINGLE);
    }
}
