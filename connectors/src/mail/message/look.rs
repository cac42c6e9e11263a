//! Whether bytes begin as a message does, for files that no mail carrier brought.
//! Promise: a table, an archive or a text is not taken for a message; no name is asked.

/// So many first bytes are looked at.
pub const LOOK_BYTES: usize = 16 << 10;

/// One of these says that a mail program was at work.
const CARRIED: [&[u8]; 5] = [b"received", b"mime-version", b"message-id", b"return-path", b"x-mailer"];

/// Header fields from the first line on: who it is from, a date, and one that only mails have.
pub fn is_message(first: &[u8]) -> bool {
    let first = &first[..first.len().min(LOOK_BYTES)];
    let (mut from, mut date, mut carried, mut fields) = (false, false, false, 0);
    let separator = if first.contains(&b'\n') { b'\n' } else { b'\r' };
    let mut lines = first.split(|byte| *byte == separator).peekable();
    while let Some(line) = lines.next() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let is_cut = lines.peek().is_none() && first.len() == LOOK_BYTES;
        if line.is_empty() {
            if fields == 0 {
                continue;
            }
            break;
        }
        let is_folded = fields > 0 && matches!(line[0], b' ' | b'\t');
        let is_mailbox_line = fields == 0 && (line.starts_with(b"From ") || line.starts_with(b">From "));
        if is_cut || is_folded || is_mailbox_line {
            continue;
        }
        let Some(name) = field_name(line) else {
            // What follows is no header; as much as there was must do.
            break;
        };
        fields += 1;
        let name = name.to_ascii_lowercase();
        from |= name == b"from";
        date |= name == b"date";
        carried |= CARRIED.contains(&name.as_slice());
    }
    // Some gateways put more lines on top than are looked at.
    let is_carried_far = first.len() == LOOK_BYTES && carried && fields > 3;
    (from && date && carried) || (is_carried_far && first.to_ascii_lowercase().starts_with(b"received:"))
}

/// The name of a header field, when the line is one.
pub(super) fn field_name(line: &[u8]) -> Option<&[u8]> {
    let colon = line.iter().take(128).position(|byte| *byte == b':')?;
    // Blanks before the colon are obsolete and still seen.
    let name = line[..colon].trim_ascii_end();
    let is_name = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic());
    is_name.then_some(name)
}
