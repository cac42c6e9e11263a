//! The chain: each event's hash takes in the one before it, its number, its time, its sealed text and a commitment to its plain one.
//! Promise: a changed, removed or reordered event breaks every later hash; the commitment lets a plain event be proven in an
//! export without the tenant's key.
//! Never: the commitment tells anything of the event: the plain text begins with a salt of 128 random bits.
//!
//! Events written before there were commitments are chained by their sealed text alone: an export carries that text, so
//! that the chain holds, and says that the plain event beside it is not provable.

use ring::digest::{Context, SHA256, digest};

use crate::{
    error::{Error, ErrorKind, Result},
    seal::cipher,
};

/// Before the commitment in the stored text.
const BOUND: &str = "2.";
const SALT_BYTES: usize = 16;
const HEX_CHARS: usize = 64;

/// One event as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    pub seq: i64,
    pub at: String,
    /// Digest of the salted plain event; none of events from before there were commitments.
    pub commitment: Option<String>,
    /// Base64 of the event, sealed.
    pub sealed: String,
    pub hash: String,
}

impl AuditRow {
    /// # Errors
    /// `Damaged` when the stored text is in no form that was ever written.
    pub fn of(seq: i64, at: String, stored: &str, hash: String) -> Result<Self> {
        let (commitment, sealed) = parts(stored)
            .ok_or_else(|| Error::new(ErrorKind::Damaged, format!("the audit trail's event {seq} is in no known form")))?;
        let (commitment, sealed) = (commitment.map(str::to_owned), sealed.to_owned());
        Ok(Self { seq, at, commitment, sealed, hash })
    }

    /// As it lies in the store.
    pub fn stored(&self) -> String {
        match &self.commitment {
            Some(commitment) => bound(commitment, &self.sealed),
            None => self.sealed.clone(),
        }
    }

    /// What its hash must be after this one.
    pub fn expected_hash(&self, before: &str) -> String {
        match &self.commitment {
            Some(commitment) => link(before, self.seq, &body(&self.at, commitment, &sha256(&self.sealed))),
            None => old_link(before, self.seq, &self.at, &self.sealed),
        }
    }
}

/// What the text of an event begins with, so that its digest tells nothing to who guesses.
pub fn salt() -> String {
    cipher::hex(&cipher::random_key()[..SALT_BYTES])
}

/// Binds a plain event, salt and all.
pub fn commitment(plain: &str) -> String {
    sha256(&format!("bonded-audit-event-2\n{plain}"))
}

/// The stored text of a sealed event and its commitment.
pub fn bound(commitment: &str, sealed: &str) -> String {
    format!("{BOUND}{commitment}.{sealed}")
}

/// Commitment and sealed text of a stored one.
fn parts(stored: &str) -> Option<(Option<&str>, &str)> {
    // No base64 has a point in it.
    let Some(rest) = stored.strip_prefix(BOUND) else { return Some((None, stored)) };
    let (commitment, sealed) = rest.split_once('.')?;
    is_hash(commitment).then_some((Some(commitment), sealed))
}

/// All of one event but its place in the chain. An export can hold this alone, and tells nothing of the event then.
pub fn body(at: &str, commitment: &str, sealed_sha256: &str) -> String {
    sha256(&format!("bonded-audit-body-2\n{at}\n{commitment}\n{sealed_sha256}"))
}

/// The hash of the event with this body after the one before it.
pub fn link(before: &str, seq: i64, body: &str) -> String {
    sha256(&format!("bonded-audit-link-2\n{before}\n{seq}\n{body}"))
}

/// The same for events without a commitment.
pub fn old_link(before: &str, seq: i64, at: &str, sealed: &str) -> String {
    sha256(&format!("{before}\n{seq}\n{at}\n{sealed}"))
}

/// The hash of a stored event after the one before it.
pub fn stored_link(before: &str, seq: i64, at: &str, stored: &str) -> Result<String> {
    Ok(AuditRow::of(seq, at.to_owned(), stored, String::new())?.expected_hash(before))
}

pub fn sha256(text: &str) -> String {
    cipher::hex(digest(&SHA256, text.as_bytes()).as_ref())
}

/// The same of bytes that come one after the other.
#[derive(Clone)]
pub struct Running(Context);

impl Default for Running {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Running {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> String {
        cipher::hex(self.0.finish().as_ref())
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Running(..)")
    }
}

/// Whether it is 64 lower-case hex digits.
pub fn is_hash(text: &str) -> bool {
    text.len() == HEX_CHARS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Where a chain stands: how many events, and the hash of the last; nothing yet is 0 and an empty hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Head {
    pub events: i64,
    pub hash: String,
}

impl Head {
    /// The rows must follow it without a gap.
    ///
    /// # Errors
    /// `Damaged` names the first event that does not.
    pub fn followed_by(&self, rows: &[AuditRow]) -> Result<Head> {
        let mut head = self.clone();
        for row in rows {
            let expected = head.events + 1;
            if row.seq != expected || row.hash != row.expected_hash(&head.hash) {
                return Err(Error::new(ErrorKind::Damaged, format!("the audit trail is broken at event {expected}")));
            }
            head = Head { events: row.seq, hash: row.hash.clone() };
        }
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_before_commitments_keeps_its_hash() {
        // Computed with sha256sum over "\n1\n2026-01-01T00:00:00+00:00\nc2VhbGVk".
        let hash = stored_link("", 1, "2026-01-01T00:00:00+00:00", "c2VhbGVk").expect("a form");
        assert_eq!(hash, "24b847852196c97184b358f50150238cb088c457162f80d8831f1d2ad67c7fc7");
    }

    #[test]
    fn every_part_of_a_bound_event_is_in_its_hash() {
        let stored = bound(&commitment("{\"salt\":\"a\"}"), "c2VhbGVk");
        let row = AuditRow::of(7, "then".into(), &stored, String::new()).expect("a form");
        assert_eq!(row.stored(), stored);
        let hash = row.expected_hash("before");
        let others = [
            AuditRow { seq: 8, ..row.clone() }.expected_hash("before"),
            AuditRow { at: "now".into(), ..row.clone() }.expected_hash("before"),
            AuditRow { sealed: "b3RoZXI=".into(), ..row.clone() }.expected_hash("before"),
            AuditRow { commitment: Some(commitment("other")), ..row.clone() }.expected_hash("before"),
            AuditRow { commitment: None, ..row.clone() }.expected_hash("before"),
            row.expected_hash("other"),
        ];
        assert!(!others.contains(&hash));
    }

    #[test]
    fn a_commitment_of_another_form_is_damage() {
        for stored in ["2.", "2.abc.def", "2.c2VhbGVk"] {
            assert_eq!(AuditRow::of(1, String::new(), stored, String::new()).expect_err(stored).kind(), ErrorKind::Damaged);
        }
    }

    #[test]
    fn two_salts_are_not_alike() {
        assert_ne!(salt(), salt());
        assert_eq!(salt().len(), 2 * SALT_BYTES);
    }
}
