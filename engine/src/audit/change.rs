//! What a change changed: the fields that differ, before and after, fit to be kept.
//! Promise: what is the same on both sides is left out; what is named like a secret and what has the form of a Social Security
//! number is masked, at any depth, whoever made the value.

use std::borrow::Cow;

use bonded_schemas::importer_number::masked_text;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::Result;

/// In the place of a secret.
const HIDDEN: &str = "(hidden)";
/// A field whose name has one of these words in it holds a secret.
const SECRET_WORDS: [&str; 9] =
    ["password", "passphrase", "passwd", "secret", "token", "credential", "authorization", "private", "recovery"];
/// Or is one of these.
const SECRET_NAMES: [&str; 7] = ["key", "code", "otp", "totp", "pin", "cookie", "salt"];
const DEPTH_MAX: usize = 16;

/// Before and after, as far as they differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    before: Option<Value>,
    after: Option<Value>,
}

impl Change {
    /// Objects are compared field by field, all else as a whole.
    pub fn between<T: Serialize + ?Sized, U: Serialize + ?Sized>(before: &T, after: &U) -> Result<Self> {
        let (before, after) = (serde_json::to_value(before)?, serde_json::to_value(after)?);
        let (before, after) = differing(before, after, 0);
        Ok(Self { before, after })
    }

    /// Something new.
    pub fn made<T: Serialize + ?Sized>(after: &T) -> Result<Self> {
        Self::between(&Value::Null, after)
    }

    pub(super) fn into_parts(self) -> (Option<Value>, Option<Value>) {
        (self.before, self.after)
    }
}

fn differing(before: Value, after: Value, depth: usize) -> (Option<Value>, Option<Value>) {
    match (before, after) {
        (before, after) if before == after => (None, None),
        (Value::Object(mut before), Value::Object(after)) if depth < DEPTH_MAX => {
            let (mut was, mut is) = (Map::new(), Map::new());
            for (name, after) in after {
                let (old, new) = differing(before.remove(&name).unwrap_or_default(), after, depth + 1);
                was.extend(old.map(|old| (name.clone(), old)));
                is.extend(new.map(|new| (name, new)));
            }
            was.extend(before.into_iter().filter(|(_, value)| !value.is_null()));
            let some = |map: Map<String, Value>| (!map.is_empty()).then_some(Value::Object(map));
            (some(was), some(is))
        }
        (before, after) => {
            let some = |value: Value| (!value.is_null()).then_some(value);
            (some(before), some(after))
        }
    }
}

/// Masks in place.
pub(super) fn mask(value: &mut Value) {
    match value {
        Value::String(text) => *text = masked(text).into_owned(),
        Value::Array(values) => values.iter_mut().for_each(mask),
        Value::Object(fields) => {
            let named = std::mem::take(fields);
            for (name, mut value) in named {
                match is_secret(&name) && !value.is_null() {
                    true => value = HIDDEN.into(),
                    false => mask(&mut value),
                }
                fields.insert(masked(&name).into_owned(), value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A text with every number in Social Security form masked.
pub(super) fn masked(text: &str) -> Cow<'_, str> {
    masked_text(text)
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    SECRET_WORDS.iter().any(|word| name.contains(word)) || SECRET_NAMES.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parts(before: Value, after: Value) -> (Option<Value>, Option<Value>) {
        Change::between(&before, &after).expect("JSON").into_parts()
    }

    #[test]
    fn only_what_differs_is_told() {
        let (before, after) = parts(
            json!({"state": "open", "notes": [], "same": {"a": 1, "b": 2}, "gone": 5}),
            json!({"state": "explained", "notes": ["x"], "same": {"a": 1, "b": 3}, "new": true}),
        );
        assert_eq!(before, Some(json!({"state": "open", "notes": [], "same": {"b": 2}, "gone": 5})));
        assert_eq!(after, Some(json!({"state": "explained", "notes": ["x"], "same": {"b": 3}, "new": true})));
        assert_eq!(parts(json!({"a": 1}), json!({"a": 1})), (None, None));
        assert_eq!(parts(Value::Null, json!("made")), (None, Some(json!("made"))));
    }

    #[test]
    fn secrets_and_social_security_numbers_are_masked_at_any_depth() {
        let mut value = json!({
            "smtp_password": "hunter2", "Access-Token": ["t"], "code": 123456, "key_id": "k1", "public_key": "p",
            "inner": [{"importer": "000-12-3456"}, {"note": "of 000123456, and 00-1234567AA"}], "000-12-3456": 1, "secret": null
        });
        mask(&mut value);
        assert_eq!(
            value,
            json!({
                "smtp_password": HIDDEN, "Access-Token": HIDDEN, "code": HIDDEN, "key_id": "k1", "public_key": "p",
                "inner": [{"importer": "***-**-3456"}, {"note": "of ***-**-3456, and 00-1234567AA"}], "***-**-3456": 1,
                "secret": null
            })
        );
    }
}
