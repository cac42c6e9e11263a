use super::*;

fn told(spans: &[(&str, &str, Option<&str>)]) -> Vec<bool> {
    let span = |&(low, high, delivery): &(&str, &str, Option<&str>)| Span {
        low: low.into(),
        high: high.into(),
        delivery: delivery.map(str::to_owned),
    };
    settled(&spans.iter().map(span).collect::<Vec<_>>())
}

#[test]
fn deliveries_of_other_entries_are_settled_whatever_their_order() {
    assert_eq!(told(&[("C", "D", Some("2")), ("A", "B", Some("1")), ("E", "E", Some("3"))]), [true, true, true]);
}

#[test]
fn files_of_one_delivery_may_touch() {
    assert_eq!(told(&[("A", "M", Some("1")), ("B", "Z", Some("1"))]), [true, true]);
}

#[test]
fn deliveries_that_touch_are_contested_at_first_and_at_second_hand() {
    assert_eq!(
        told(&[("A", "C", Some("1")), ("C", "F", Some("2")), ("E", "G", Some("1")), ("H", "I", Some("1"))]),
        [false, false, false, true]
    );
    // One wide file touches all, also those that touch each other not.
    assert_eq!(told(&[("A", "Z", Some("1")), ("B", "C", Some("1")), ("Y", "Y", Some("2"))]), [false, false, false]);
}

#[test]
fn a_file_of_several_deliveries_is_contested_even_alone() {
    assert_eq!(told(&[("A", "B", None), ("C", "D", Some("1"))]), [false, true]);
}
