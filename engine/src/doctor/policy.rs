//! Who may use a key, as its policy says: nobody unnamed, and nobody of another account.

use serde_json::Value;

use super::Verdict;

/// What a policy is worth. `arn` is the key's own.
pub(super) fn judged(policy: &str, arn: &str) -> Option<(Verdict, String, &'static str)> {
    const UNREAD: &str = "look at the key's policy at AWS";
    let Ok(policy) = serde_json::from_str::<Value>(policy) else {
        return Some((Verdict::Warn, "its policy does not read".into(), UNREAD));
    };
    let account = arn.split(':').nth(4).unwrap_or_default();
    let statements = match &policy["Statement"] {
        Value::Array(statements) => statements.iter().collect(),
        one @ Value::Object(_) => vec![one],
        _ => return Some((Verdict::Warn, "its policy has no statements".into(), UNREAD)),
    };
    let allowing = statements.into_iter().filter(|statement| statement["Effect"] == "Allow");
    let mut others = std::collections::BTreeSet::new();
    for statement in allowing {
        let bound = statement["Condition"].as_object().is_some_and(|condition| !condition.is_empty());
        for who in principals(statement) {
            if who == "*" && !bound {
                let mend = "name who may use it in the key's policy, and no `*` without a condition";
                return Some((
                    Verdict::Fail,
                    "anybody at all may use it: its policy allows `*` without a condition".into(),
                    mend,
                ));
            }
            if let Some(other) = account_of(&who).filter(|other| *other != account) {
                others.insert(other.to_owned());
            }
        }
        // Whoever is not named may: the same as everybody.
        if !statement["NotPrincipal"].is_null() && !bound {
            let mend = "write Principal, not NotPrincipal, in the key's policy";
            return Some((Verdict::Fail, "everybody but a few may use it: its policy allows by NotPrincipal".into(), mend));
        }
    }
    match others.into_iter().collect::<Vec<_>>() {
        others if others.is_empty() => None,
        others => {
            let mend = "take them out of the key's policy, unless they are meant";
            Some((Verdict::Warn, format!("may be used from other accounts: {}", others.join(", ")), mend))
        }
    }
}

/// Accounts, roles and users; services of AWS itself are bound by who calls them.
fn principals(statement: &Value) -> Vec<String> {
    let texts = |value: &Value| match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    match &statement["Principal"] {
        Value::Object(by_kind) => by_kind.get("AWS").map(texts).unwrap_or_default(),
        value => texts(value),
    }
}

/// Of `arn:aws:iam::123456789012:role/x`, or of the bare number.
fn account_of(who: &str) -> Option<&str> {
    let account = if who.starts_with("arn:") { who.split(':').nth(4)? } else { who };
    (account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())).then_some(account)
}
