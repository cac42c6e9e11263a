//! Who may use a key, as its policy says: nobody unnamed, and nobody of another account. And whether that is the policy that the
//! settings would give it: the order of statements and of what a list holds says nothing, and a list of one is what it holds.

use std::collections::{BTreeMap, BTreeSet};

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
    let mut others = BTreeSet::new();
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

/// The statements (by their Sid) in which a policy is another than the one meant; none when it is the same.
pub(super) fn differing(meant: &str, found: &str) -> Vec<String> {
    let (Some(meant), Some(found)) = (plain_statements(meant), plain_statements(found)) else {
        return vec!["a form that does not read".into()];
    };
    let names = |some: &BTreeMap<String, Vec<Value>>| some.keys().cloned().collect::<BTreeSet<_>>();
    let all = names(&meant).union(&names(&found)).cloned().collect::<Vec<_>>();
    all.into_iter().filter(|name| meant.get(name) != found.get(name)).collect()
}

/// Sid (empty where there is none) to its statements, each in one form of all that say the same.
fn plain_statements(policy: &str) -> Option<BTreeMap<String, Vec<Value>>> {
    let policy: Value = serde_json::from_str(policy).ok()?;
    let statements = match &policy["Statement"] {
        Value::Array(statements) => statements.clone(),
        one @ Value::Object(_) => vec![one.clone()],
        _ => return None,
    };
    let mut by_name = BTreeMap::<String, Vec<Value>>::new();
    for statement in statements {
        let name = statement["Sid"].as_str().unwrap_or("without a name").to_owned();
        by_name.entry(name).or_default().push(plain(&statement));
    }
    by_name.values_mut().for_each(|same| same.sort_by_key(Value::to_string));
    Some(by_name)
}

fn plain(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(plain).collect();
            items.sort_by_key(Value::to_string);
            items.dedup();
            if let [one] = items.as_slice() { one.clone() } else { Value::Array(items) }
        }
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        // In a condition `true` and `"true"` are one.
        Value::Bool(yes) => Value::String(yes.to_string()),
        value => value.clone(),
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
