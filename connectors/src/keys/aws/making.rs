//! How a tenant's key is made at AWS: under which policy, and how often it rotates by itself.
//! The policy is a file with placeholders (`config/aws/policies/tenant-key.json` is one), filled for each tenant.
//! Promise: it is sent whole or not at all: a placeholder without a value, one that nobody knows, a member named twice are
//! refused at start, and so is a policy that would leave nobody who may mend it.
//! Never: a value breaks out of the text that it is put into; AWS's own variables (`${aws:...}`) are touched.

use std::{collections::BTreeMap, ops::RangeInclusive};

use bonded_schemas::TenantId;
use serde_json::Value;

use crate::{
    error::{Error, ErrorKind, Result},
    oidc::strict,
};

/// What the service takes, in bytes.
pub const POLICY_BYTES_MAX: usize = 32_768;
/// Days from one rotation to the next, as the service takes them.
pub const ROTATION_DAYS: RangeInclusive<u32> = 90..=2560;
/// The service's own, when none is named.
pub const ROTATION_DAYS_DEFAULT: u32 = 365;

/// What a policy's placeholders stand for, beside lake and tenant. What is absent may not be asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    pub region: String,
    /// Twelve digits.
    pub account: Option<String>,
    /// Of the application itself.
    pub app_role: Option<String>,
    /// Of who looks after keys.
    pub keeper_role: Option<String>,
    /// Of another engine, which reads one tenant's tables.
    pub reader_role: Option<String>,
}

/// A policy with its placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyTemplate {
    document: Value,
    values: BTreeMap<&'static str, String>,
}

/// How keys are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Making {
    /// AWS's own when absent, which leaves everything to IAM.
    pub policy: Option<PolicyTemplate>,
    pub rotation_days: u32,
}

impl Default for Making {
    fn default() -> Self {
        Self { policy: None, rotation_days: ROTATION_DAYS_DEFAULT }
    }
}

impl PolicyTemplate {
    /// `lake` is what aliases and tags name it by.
    ///
    /// # Errors
    /// `Setup`, naming what is wrong and what mends it.
    pub fn read(text: &[u8], lake: &str, named: &Named) -> Result<Self> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(wrong(format!("is longer than the {POLICY_BYTES_MAX} bytes that the key service takes")));
        }
        let document = strict::object(text).map(Value::Object);
        let document = document.ok_or_else(|| wrong("is no JSON object, or names something twice"))?;
        let template = Self { document, values: values(lake, named)? };
        // The lake's own name is as good as any tenant's to see whether all is filled.
        let filled = template.document_for(&TenantId::lake())?;
        check(&filled)?;
        Ok(template)
    }

    /// The policy of this tenant's key.
    pub fn filled(&self, tenant: &TenantId) -> Result<String> {
        let text = self.document_for(tenant)?.to_string();
        match text.len() {
            0..=POLICY_BYTES_MAX => Ok(text),
            _ => Err(wrong(format!("is longer than {POLICY_BYTES_MAX} bytes when it is filled"))),
        }
    }

    fn document_for(&self, tenant: &TenantId) -> Result<Value> {
        let mut values = self.values.clone();
        values.insert("Tenant", tenant.to_string());
        filled(&self.document, &values)
    }
}

fn wrong(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Setup, format!("the policy that keys.policy names {what}"))
}

/// The setting behind each placeholder.
const SETTINGS: [(&str, &str); 4] = [
    ("AWS::AccountId", "keys.account_id"),
    ("AppRoleArn", "keys.app_role"),
    ("KeeperRoleArn", "keys.keeper_role"),
    ("TenantRoleArn", "keys.reader_role"),
];

fn values(lake: &str, named: &Named) -> Result<BTreeMap<&'static str, String>> {
    let partition = match named.region.as_str() {
        region if region.starts_with("us-gov-") => "aws-us-gov",
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("eusc-") => "aws-eusc",
        _ => "aws",
    };
    if let Some(account) = named.account.as_deref().filter(|account| !is_account(account)) {
        let message = format!("keys.account_id `{}` is not twelve digits", account.escape_default());
        return Err(Error::new(ErrorKind::Setup, message));
    }
    for (setting, role) in
        [("keys.app_role", &named.app_role), ("keys.keeper_role", &named.keeper_role), ("keys.reader_role", &named.reader_role)]
    {
        let Some(role) = role else { continue };
        let account = role_account(role, partition).ok_or_else(|| {
            let role = role.escape_default();
            Error::new(ErrorKind::Setup, format!("{setting} `{role}` is not like arn:{partition}:iam::111122223333:role/name"))
        })?;
        if named.account.as_deref().is_some_and(|own| own != account) {
            let message = format!("{setting} is a role of account {account}, which is not keys.account_id");
            return Err(Error::new(ErrorKind::Setup, message));
        }
    }
    let mut values = BTreeMap::from([
        ("AWS::Partition", partition.to_owned()),
        ("AWS::Region", named.region.clone()),
        ("Lake", lake.to_owned()),
    ]);
    let set = [&named.account, &named.app_role, &named.keeper_role, &named.reader_role];
    for ((placeholder, _), value) in SETTINGS.iter().zip(set) {
        if let Some(value) = value {
            values.insert(placeholder, value.clone());
        }
    }
    Ok(values)
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The account of `arn:aws:iam::111122223333:role/path/name`. A pattern is no role.
fn role_account<'a>(arn: &'a str, partition: &str) -> Option<&'a str> {
    let rest = arn.strip_prefix("arn:")?.strip_prefix(partition)?.strip_prefix(":iam::")?;
    let (account, name) = rest.split_once(":role/")?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-/".contains(&byte);
    let is_name = (1..=512).contains(&name.len()) && name.bytes().all(fits) && !name.ends_with('/');
    (is_account(account) && is_name).then_some(account)
}

fn filled(value: &Value, values: &BTreeMap<&'static str, String>) -> Result<Value> {
    Ok(match value {
        Value::String(text) => Value::String(filled_text(text, values)?),
        Value::Array(items) => Value::Array(items.iter().map(|item| filled(item, values)).collect::<Result<_>>()?),
        Value::Object(members) => {
            let mut made = serde_json::Map::new();
            for (name, value) in members {
                let name = filled_text(name, values)?;
                if made.insert(name, filled(value, values)?).is_some() {
                    return Err(wrong("names something twice when it is filled"));
                }
            }
            Value::Object(made)
        }
        value => value.clone(),
    })
}

/// What a value holds is not looked through again, so none makes a placeholder.
fn filled_text(text: &str, values: &BTreeMap<&'static str, String>) -> Result<String> {
    let (mut made, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, behind)) = rest.split_once("${") {
        made.push_str(before);
        let (name, after) = behind
            .split_once('}')
            .ok_or_else(|| wrong(format!("has a placeholder without an end: `{}`", text.escape_default())))?;
        match values.get(name) {
            Some(value) => made.push_str(value),
            // AWS fills these in itself, at each request.
            None if name.starts_with("aws:") => made.extend(["${", name, "}"]),
            None => {
                let mend = match SETTINGS.iter().find(|(placeholder, _)| *placeholder == name) {
                    Some((_, setting)) => format!("set {setting}"),
                    None => "nobody knows what it stands for".to_owned(),
                };
                return Err(wrong(format!("asks for ${{{}}}: {mend}", name.escape_default())));
            }
        }
        rest = after;
    }
    made.push_str(rest);
    Ok(made)
}

/// The form that the service asks for, and that somebody who is named may mend the policy later. The service's own look at
/// that is at who makes the key, who is the application, and the application shall not.
fn check(policy: &Value) -> Result<()> {
    if policy["Version"] != "2012-10-17" {
        return Err(wrong("is not of Version 2012-10-17"));
    }
    let statements = policy["Statement"].as_array().filter(|all| !all.is_empty());
    let statements = statements.ok_or_else(|| wrong("has no list of statements"))?;
    let mut is_mendable = false;
    for statement in statements {
        let name =
            statement["Sid"].as_str().filter(|sid| !sid.is_empty()).ok_or_else(|| wrong("has a statement without a Sid"))?;
        if !matches!(statement["Effect"].as_str(), Some("Allow" | "Deny")) {
            return Err(wrong(format!("neither allows nor denies in {name}")));
        }
        is_mendable |=
            statement["Effect"] == "Allow" && names_somebody(&statement["Principal"]) && lets_mend(&statement["Action"]);
    }
    match is_mendable {
        true => Ok(()),
        false => Err(wrong("lets nobody who is named use kms:PutKeyPolicy, so that it could never be mended")),
    }
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn names_somebody(principal: &Value) -> bool {
    texts(&principal["AWS"]).iter().any(|who| *who != "*")
}

fn lets_mend(action: &Value) -> bool {
    texts(action).iter().any(|action| matches!(*action, "kms:PutKeyPolicy" | "kms:Put*" | "kms:*" | "*"))
}

#[cfg(test)]
pub(super) mod tests;
