//! The dictionary of one text column.

use arrow::{array::AsArray, compute::cast};
use proptest::prelude::*;

use super::*;

fn word_of(text: &str) -> Option<u128> {
    word(text.as_bytes(), 0, text.len())
}

/// As the rows append: by the word where it is known, else by the text.
fn gathered(cells: &[Option<&str>], sound: impl Fn(&str) -> bool) -> (Texts, usize) {
    let mut texts = Texts::with_capacity(cells.len());
    let mut looks = 0;
    for (row, cell) in cells.iter().enumerate() {
        match cell {
            None => texts.append_nulls(1),
            Some(text) if word_of(text).is_some_and(|word| texts.append_known(row, word)) => {}
            Some(text) => {
                looks += 1;
                texts.append(text, sound(text));
            }
        }
    }
    (texts, looks)
}

fn shown(texts: &mut Texts) -> Vec<Option<String>> {
    let plain = cast(&texts.finish(), &DataType::Utf8).unwrap();
    plain.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

#[test]
fn a_word_is_the_text_whatever_stands_behind_it() {
    assert_eq!(word(b"01,KG,0123456789abcdef", 0, 2), word(b"01", 0, 2));
    assert_eq!(word(b"0123456789abcdef", 0, 16), word(b"0123456789abcdef,", 0, 16));
    assert_ne!(word_of("1"), word_of("10"));
    assert_eq!((word_of(""), word_of("0123456789abcdefg")), (Some(EMPTY_WORD), None));
}

#[test]
fn what_was_found_sound_is_not_looked_at_again_and_what_was_not_is() {
    let cells = ["CN", "CN", "XX", "XX", "a text of more than sixteen bytes", "CN"].map(Some);
    let (mut texts, looks) = gathered(&cells, |text| text != "XX");
    assert_eq!(looks, 4);
    let array = texts.finish();
    let array = array.as_dictionary::<Int32Type>();
    assert_eq!(array.values().len(), 3);
    assert_eq!(array.keys().values().to_vec(), [0, 0, 1, 1, 2, 0]);
    // And the next batch begins with nothing.
    assert!(!texts.append_known(0, word_of("CN").unwrap()));
}

#[test]
fn a_text_with_nul_is_not_the_shorter_one() {
    let mut texts = Texts::with_capacity(2);
    texts.append("a", true);
    texts.append("a\0", true);
    assert_eq!(shown(&mut texts), [Some("a".to_owned()), Some("a\0".to_owned())]);
}

proptest! {
    #[test]
    fn the_cells_come_back_as_they_went_in(cells in prop::collection::vec(prop::option::of("[a-c ]{0,3}|[0-9]{14,19}|é{7,9}"), 0..2_000)) {
        let cells: Vec<Option<&str>> = cells.iter().map(Option::as_deref).collect();
        let (mut texts, _) = gathered(&cells, |text| text.len() % 2 == 0);
        prop_assert_eq!(shown(&mut texts), cells.iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>());
    }
}
