//! E-mail addresses as the desk knows people by them.
//! Promise: two spellings that differ in case or in white space around them are one address.

use std::fmt;

use super::Denied;

/// Folded: trimmed, lower-case, ASCII, one `@`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(String);

/// RFC 5321's longest path.
const BYTES_MAX: usize = 254;
const LOCAL_BYTES_MAX: usize = 64;

impl Email {
    /// # Errors
    /// `Input` for what is no address, without repeating it.
    pub fn parse(text: &str) -> Result<Self, Denied> {
        let wrong = || Denied::Input("this is no e-mail address: write name@example.com".into());
        let text = text.trim();
        if text.len() > BYTES_MAX {
            return Err(wrong());
        }
        let folded = text.to_ascii_lowercase();
        let (local, domain) = folded.split_once('@').ok_or_else(wrong)?;
        let in_local = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
        let in_label = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let local_is_fine = !local.is_empty()
            && local.len() <= LOCAL_BYTES_MAX
            && local.chars().all(in_local)
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..");
        let domain_is_fine = domain.split('.').all(|label| {
            (1..=63).contains(&label.len()) && label.chars().all(in_label) && !label.starts_with('-') && !label.ends_with('-')
        });
        if local_is_fine && domain_is_fine && domain.contains('.') { Ok(Self(folded)) } else { Err(wrong()) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
