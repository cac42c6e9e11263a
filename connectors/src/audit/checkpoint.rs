//! Checkpoints: how far a chain had come at a time, signed by a key that signs trails only.
//! Promise: a checkpoint has one text, and its signature holds for that text and one key; a chain that was written anew, or
//! that lost its tail, does not fit the checkpoints that were made of it.
//! Never: a checkpoint tells what an event was.

use std::str::FromStr;

use chrono::{DateTime, Utc};

use super::chain::{Head, is_hash};
use crate::{
    error::{Error, ErrorKind, Result},
    seal::{SigningKey, signing},
};

const TITLE: &str = "bonded audit checkpoint 1";
/// The lake's own chain, in the place of a tenant's name.
const LAKE: &str = "lake";

/// What a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// `lake`, or `tenant <name>`.
    pub chain: String,
    pub head: Head,
    pub at: DateTime<Utc>,
    /// Where the lake's own chain stood then; in its own checkpoints none.
    pub anchor: Option<Head>,
}

/// A checkpoint as it is kept and sent.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    pub text: String,
    /// Ed25519, base64.
    pub public_key: String,
    pub signature: String,
}

/// The name of the lake's own chain, or of a tenant's.
pub fn chain_name(tenant: Option<&str>) -> String {
    tenant.map_or_else(|| LAKE.to_owned(), |tenant| format!("tenant {tenant}"))
}

impl Checkpoint {
    pub fn text(&self) -> String {
        let Self { chain, head, at, anchor } = self;
        let lake = anchor.as_ref().map_or_else(|| "-".to_owned(), |lake| format!("{} {}", lake.events, lake.hash));
        let (events, hash, at) = (head.events, &head.hash, at.to_rfc3339());
        format!("{TITLE}\nchain: {chain}\nevents: {events}\nhead: {hash}\nlake: {lake}\nat: {at}\n")
    }

    pub fn signed(&self, key: &SigningKey) -> Signed {
        let text = self.text();
        let signature = key.sign(text.as_bytes());
        Signed { text, public_key: key.public_key(), signature }
    }
}

impl FromStr for Checkpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        read(text)
            .filter(|read| read.text() == text)
            .ok_or_else(|| Error::new(ErrorKind::Damaged, "this is no checkpoint of a trail"))
    }
}

fn read(text: &str) -> Option<Checkpoint> {
    let mut lines = text.lines();
    if lines.next()? != TITLE {
        return None;
    }
    let chain = lines.next()?.strip_prefix("chain: ")?.to_owned();
    let events = lines.next()?.strip_prefix("events: ")?.parse().ok()?;
    let hash = lines.next()?.strip_prefix("head: ")?.to_owned();
    let anchor = match lines.next()?.strip_prefix("lake: ")? {
        "-" => None,
        told => Some(told.parse().ok()?),
    };
    let at = DateTime::parse_from_rfc3339(lines.next()?.strip_prefix("at: ")?).ok()?.to_utc();
    (events > 0 && is_hash(&hash)).then_some(Checkpoint { chain, head: Head { events, hash }, at, anchor })
}

/// `1234 <hash>`, as `bonded audit head` prints it.
impl FromStr for Head {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong =
            || Error::new(ErrorKind::Input, "a head is the number of events and 64 hex digits, as `bonded audit head` prints it");
        let (events, hash) = text.trim().split_once([' ', ':']).ok_or_else(wrong)?;
        let (events, hash) = (events.parse().map_err(|_| wrong())?, hash.trim().to_owned());
        match events > 0 && is_hash(&hash) {
            true => Ok(Self { events, hash }),
            false => Err(wrong()),
        }
    }
}

impl Signed {
    /// What it says, when the signature holds.
    ///
    /// # Errors
    /// `Damaged` when it is no checkpoint, `Refused` when it is not signed by the key that it names.
    pub fn checked(&self) -> Result<Checkpoint> {
        let says = self.text.parse()?;
        signing::verify(&self.public_key, self.text.as_bytes(), &self.signature)?;
        Ok(says)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::LakeSecret;

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            chain: chain_name(Some("acme-imports")),
            head: Head { events: 12, hash: "ab".repeat(32) },
            at: DateTime::from_timestamp(1_770_000_000, 5_000).expect("an instant"),
            anchor: Some(Head { events: 3, hash: "cd".repeat(32) }),
        }
    }

    #[test]
    fn a_checkpoint_reads_back_from_its_text_and_from_no_other() {
        for made in [checkpoint(), Checkpoint { anchor: None, chain: chain_name(None), ..checkpoint() }] {
            let text = made.text();
            assert_eq!(text.parse::<Checkpoint>().expect("reads"), made);
            for other in [
                text.replace('\n', "\r\n"),
                format!("{text}\n"),
                text.replace("events: 12", "events: 012"),
                text.replace("12", "0"),
            ] {
                assert!(other.parse::<Checkpoint>().is_err(), "{other}");
            }
        }
    }

    #[test]
    fn a_signature_holds_for_one_text_and_one_key() {
        let (key, other) = (LakeSecret::generate().audit_key(), LakeSecret::generate().audit_key());
        let signed = checkpoint().signed(&key);
        assert_eq!(signed.checked().expect("holds"), checkpoint());
        let moved = Signed { text: signed.text.replace("events: 12", "events: 13"), ..signed.clone() };
        assert_eq!(moved.checked().expect_err("altered").kind(), ErrorKind::Refused);
        let foreign = Signed { public_key: other.public_key(), ..signed };
        assert_eq!(foreign.checked().expect_err("another key").kind(), ErrorKind::Refused);
    }

    #[test]
    fn the_audit_key_is_not_the_one_that_signs_proofs() {
        let secret = LakeSecret::generate();
        assert_ne!(secret.audit_key().public_key(), secret.derive().1.public_key());
        assert_eq!(secret.audit_key().public_key(), secret.audit_key().public_key());
    }
}
