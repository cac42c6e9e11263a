//! Where DATA ends, against the rule read backwards, in any pieces.

use proptest::prelude::*;

use super::super::end_of_data::EndOfData;

/// All of it through the reader in pieces of these lengths: the message, and what was left when it ended.
fn read(sent: &[u8], pieces: &[usize]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut end = EndOfData::default();
    let mut message = Vec::new();
    let mut lengths = pieces.iter().copied().cycle();
    let mut from = 0;
    while from < sent.len() {
        let length = lengths.next().unwrap_or(1).max(1).min(sent.len() - from);
        let (used, ended) = end.take(&sent[from..from + length], &mut message);
        if ended {
            return Some((message, sent[from + used..].to_vec()));
        }
        assert_eq!(used, length, "all is looked at");
        from += length;
    }
    None
}

/// The rule by itself: cut at the first CR LF dot CR LF, counting the one before the first byte, then take one dot from
/// each line that begins with one.
fn by_the_rule(sent: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let whole = [b"\r\n", sent].concat();
    let at = whole.windows(5).position(|bytes| bytes == b"\r\n.\r\n")?;
    let (lines, rest) = (&whole[..at + 2], &whole[at + 5..]);
    let mut message = Vec::new();
    for (index, byte) in lines.iter().enumerate() {
        let is_stuffed = *byte == b'.' && index >= 2 && &lines[index - 2..index] == b"\r\n";
        if !is_stuffed {
            message.push(*byte);
        }
    }
    Some((message[2..].to_vec(), rest.to_vec()))
}

#[test]
fn nothing_but_cr_lf_dot_cr_lf_ends_a_message() {
    let body = "a\n.\nb\r.\rc\n.\r\nd\r\n.\ne\r\n.\rf\r\n.\r\r\ng\r.\r\nh\r\n";
    let sent = format!("{body}.\r\nNOOP\r\n");
    let (message, rest) = read(sent.as_bytes(), &[sent.len()]).expect("it ends");
    assert_eq!(rest, b"NOOP\r\n");
    // The dots that began a line by CR LF are gone, as they were not the message's own; all else is as it came.
    assert_eq!(String::from_utf8(message).unwrap(), "a\n.\nb\r.\rc\n.\r\nd\r\n\ne\r\n\rf\r\n\r\r\ng\r.\r\nh\r\n");
}

#[test]
fn an_empty_message_ends_and_stuffed_dots_are_taken_away() {
    assert_eq!(read(b".\r\nQUIT\r\n", &[1]), Some((Vec::new(), b"QUIT\r\n".to_vec())));
    assert_eq!(read(b"..\r\n...a\r\n.b\r\n.\r\n", &[3]), Some((b".\r\n..a\r\nb\r\n".to_vec(), Vec::new())));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn any_bytes_in_any_pieces_end_where_the_rule_says(
        sent in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(b'a')], 0..40),
        pieces in proptest::collection::vec(1_usize..8, 1..6),
    ) {
        prop_assert_eq!(read(&sent, &pieces), by_the_rule(&sent));
    }
}
