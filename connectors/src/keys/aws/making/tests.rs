//! What of a policy is sent, and what is refused before anything is.

use bonded_schemas::TenantId;
use serde_json::{Value, json};

use super::{Named, POLICY_BYTES_MAX, PolicyTemplate};
use crate::error::{ErrorKind, Result};

pub(crate) const TEMPLATE: &str = include_str!("../../../../../config/aws/policies/tenant-key.json");

pub(crate) fn named() -> Named {
    let role = |name: &str| Some(format!("arn:aws:iam::111122223333:role/{name}"));
    Named {
        region: "us-east-1".into(),
        account: Some("111122223333".into()),
        app_role: role("acme-app"),
        keeper_role: role("keepers/acme-keeper"),
        reader_role: role("acme-reader"),
    }
}

fn acme() -> TenantId {
    "acme-toys".parse().unwrap()
}

fn mendable(more: &Value) -> String {
    let mend =
        json!({ "Sid": "Mend", "Effect": "Allow", "Principal": { "AWS": "${KeeperRoleArn}" }, "Action": "kms:PutKeyPolicy" });
    json!({ "Version": "2012-10-17", "Statement": [mend, more] }).to_string()
}

fn read(text: &str) -> Result<PolicyTemplate> {
    PolicyTemplate::read(text.as_bytes(), "acme", &named())
}

#[track_caller]
fn refused(text: &str, says: &str) {
    let error = read(text).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Setup);
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn the_policy_in_config_is_filled_whole_for_each_tenant() {
    let template = read(TEMPLATE).unwrap();
    let policy = template.filled(&acme()).unwrap();
    assert!(!policy.contains("${"), "{policy}");
    for part in [
        "arn:aws:iam::111122223333:root",
        "role/acme-app",
        "role/keepers/acme-keeper",
        "role/acme-reader",
        "s3.us-east-1.amazonaws.com",
        "arn:aws:s3:::acme-lake-111122223333-us-east-1/lake/tenants/acme-toys/*",
    ] {
        assert!(policy.contains(part), "{part} is not in {policy}");
    }
    let other = template.filled(&"globex-tools".parse().unwrap()).unwrap();
    assert!(other.contains("globex-tools") && !other.contains("acme-toys"));
}

#[test]
fn every_placeholder_needs_its_setting_and_the_refusal_names_it() {
    for (without, setting) in [
        (Named { account: None, ..named() }, "keys.account_id"),
        (Named { app_role: None, ..named() }, "keys.app_role"),
        (Named { keeper_role: None, ..named() }, "keys.keeper_role"),
        (Named { reader_role: None, ..named() }, "keys.reader_role"),
    ] {
        let error = PolicyTemplate::read(TEMPLATE.as_bytes(), "acme", &without).expect_err("refused");
        assert!(error.to_string().contains(setting), "{error}");
    }
}

#[test]
fn what_nobody_fills_is_refused_wherever_it_stands() {
    let statement = |action: &str| json!({ "Sid": "More", "Effect": "Deny", "Principal": "*", "Action": action });
    refused(&mendable(&statement("${Actions}")), "${Actions}");
    refused(&mendable(&statement("kms:${")), "without an end");
    refused(&mendable(&statement("${AppRoleArn")), "without an end");
    refused(&mendable(&statement("${tenant}")), "${tenant}");
    refused(&mendable(&statement("${ Tenant}")), "nobody knows");
    let named_by = json!({ "Sid": "More", "Effect": "Deny", "Principal": "*", "Condition": { "Null": { "${Tag}": "true" } } });
    refused(&mendable(&named_by), "${Tag}");
    // AWS's own stays for AWS.
    let own = mendable(&statement("${aws:PrincipalTag/tenant}"));
    assert!(read(&own).unwrap().filled(&acme()).unwrap().contains("${aws:PrincipalTag/tenant}"));
}

#[test]
fn a_policy_is_of_the_form_that_the_service_asks_for_and_can_be_mended() {
    refused("[]", "no JSON object");
    refused("{", "no JSON object");
    refused(r#"{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}"#, "twice");
    refused(r#"{"Version":"2008-10-17","Statement":[]}"#, "2012-10-17");
    refused(r#"{"Version":"2012-10-17","Statement":[]}"#, "no list of statements");
    refused(&mendable(&json!({ "Effect": "Deny", "Principal": "*", "Action": "kms:*" })), "Sid");
    refused(
        &mendable(&json!({ "Sid": "More", "Effect": "allow", "Principal": "*", "Action": "kms:*" })),
        "neither allows nor denies",
    );
    let nobody = |principal: Value, effect: &str, action: &str| {
        let statement = json!({ "Sid": "One", "Effect": effect, "Principal": principal, "Action": action });
        json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
    };
    let keeper = || json!({ "AWS": "${KeeperRoleArn}" });
    refused(&nobody(json!("*"), "Allow", "kms:*"), "never be mended");
    refused(&nobody(json!({ "AWS": "*" }), "Allow", "kms:*"), "never be mended");
    refused(&nobody(keeper(), "Deny", "kms:*"), "never be mended");
    refused(&nobody(keeper(), "Allow", "kms:Decrypt"), "never be mended");
    read(&nobody(keeper(), "Allow", "kms:*")).unwrap();
    refused(&format!("{}{}", mendable(&json!({})), " ".repeat(POLICY_BYTES_MAX)), "longer than");
}

#[test]
fn roles_and_the_account_have_their_forms_and_belong_together() {
    for role in [
        "acme-app",
        "arn:aws:iam::111122223333:user/acme",
        "arn:aws:iam::111122223333:role/",
        "arn:aws:iam::111122223333:role/*",
        "arn:aws:iam::1111:role/acme-app",
        "arn:aws-cn:iam::111122223333:role/acme-app",
        "arn:aws:iam::111122223333:role/acme\"app",
        "arn:aws:iam::111122223333:role/${aws:username}",
    ] {
        let odd = Named { app_role: Some(role.into()), ..named() };
        let error = PolicyTemplate::read(TEMPLATE.as_bytes(), "acme", &odd).expect_err("refused");
        assert!(error.to_string().contains("keys.app_role"), "{role}: {error}");
    }
    let other = Named { app_role: Some("arn:aws:iam::999988887777:role/acme-app".into()), ..named() };
    let error = PolicyTemplate::read(TEMPLATE.as_bytes(), "acme", &other).expect_err("refused");
    assert!(error.to_string().contains("999988887777"), "{error}");
    for account in ["", "1234", "11112222333x", "1111222233334"] {
        let odd = Named { account: Some(account.into()), ..named() };
        let error = PolicyTemplate::read(TEMPLATE.as_bytes(), "acme", &odd).expect_err("refused");
        assert!(error.to_string().contains("keys.account_id"), "{account}: {error}");
    }
}

#[test]
fn another_partition_is_told_by_its_region() {
    let role = |name: &str| Some(format!("arn:aws-us-gov:iam::111122223333:role/{name}"));
    let gov = Named {
        region: "us-gov-west-1".into(),
        app_role: role("acme-app"),
        keeper_role: role("acme-keeper"),
        reader_role: role("acme-reader"),
        ..named()
    };
    let policy = PolicyTemplate::read(TEMPLATE.as_bytes(), "acme", &gov).unwrap().filled(&acme()).unwrap();
    assert!(policy.contains("arn:aws-us-gov:s3:::acme-lake-111122223333-us-gov-west-1"), "{policy}");
}
