//! Where a message ends that was sent by DATA, and the dots that were put before lines to hide others.
//! Promise: CR LF dot CR LF ends a message, the CR LF of the DATA command counting as the first, and nothing else does.
//! Never: a bare LF or CR is taken for the end of a line: what another server reads as two messages stays one here.
//!
//! Our own, because smtp-proto 0.2.5 also ends at CR LF dot CR CR LF, and does not end at a message without a line.

/// Where in a line the last byte was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    LineStart,
    /// After a dot at the start of a line.
    Dot,
    /// After a dot and a CR at the start of a line.
    DotCr,
    Within {
        after_cr: bool,
    },
}

#[derive(Debug, Default)]
pub(super) struct EndOfData {
    at: At,
}

impl EndOfData {
    /// Appends the message's own bytes; answers how many bytes were looked at, and whether the end was among them.
    pub fn take(&mut self, input: &[u8], message: &mut Vec<u8>) -> (usize, bool) {
        let mut used = 0;
        while let Some(&byte) = input.get(used) {
            match (self.at, byte) {
                (At::LineStart, b'.') => {
                    self.at = At::Dot;
                    used += 1;
                }
                (At::Dot, b'\r') => {
                    self.at = At::DotCr;
                    used += 1;
                }
                // A dot before anything else was put there on the way.
                (At::LineStart | At::Dot, _) => self.at = At::Within { after_cr: false },
                (At::DotCr, b'\n') => {
                    self.at = At::LineStart;
                    return (used + 1, true);
                }
                (At::DotCr, _) => {
                    message.push(b'\r');
                    self.at = At::Within { after_cr: true };
                }
                (At::Within { after_cr }, _) => {
                    let rest = &input[used..];
                    let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
                    let line = &rest[..length];
                    message.extend_from_slice(line);
                    used += length;
                    self.at = match line {
                        [b'\n'] if after_cr => At::LineStart,
                        [.., b'\r', b'\n'] => At::LineStart,
                        [.., last] => At::Within { after_cr: *last == b'\r' },
                        [] => self.at,
                    };
                }
            }
        }
        (used, false)
    }
}
