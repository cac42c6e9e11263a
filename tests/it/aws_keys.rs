//! Tenants' keys at the KMS: with their policy from the first moment on, taken over where one was left, looked at by the doctor.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    aws::private_aws::PrivateAws,
    world::{Bucket, OTHER, TENANT, World},
};

/// What the stacks in `config/aws` would be named by. Each test has its own, for all share one account.
struct House {
    world: World,
    lake: String,
}

impl House {
    fn new(aws: &PrivateAws) -> Self {
        let bucket = Bucket { endpoint: aws.endpoint.clone(), name: aws.bucket("keys", false) };
        let lake = format!("acme-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
        Self { world: World::in_bucket(bucket, None), lake }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/aws/policies/tenant-key.json");
        let mut command = self.world.command(arguments);
        command
            .env("BONDED_KEYS_LAKE", &self.lake)
            .env("BONDED_KEYS_POLICY", template)
            .env("BONDED_KEYS_ACCOUNT_ID", "000000000000");
        for role in ["app", "keeper", "reader"] {
            let arn = format!("arn:aws:iam::000000000000:role/{}-{role}", self.lake);
            command.env(format!("BONDED_KEYS_{}_ROLE", role.to_uppercase()), arn);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.command(arguments).output().expect("the binary starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().expect("it ended by itself"), text(&output.stdout), text(&output.stderr))
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let (code, told, error) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {told}{error}");
        told
    }

    /// The tenants' keys, by tenant.
    fn keys(&self) -> Vec<(String, String)> {
        let told = self.ok(&["--json", "key", "list"]);
        let lines = told.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        lines.map(|line| (text(&line["tenant"]), text(&line["key_id"]))).collect()
    }

    fn key_of(&self, tenant: &str) -> String {
        self.keys().into_iter().find(|(of, _)| of == tenant).expect("listed").1
    }

    /// What the doctor tells of the keys, all in one text.
    fn told_of_keys(&self) -> String {
        let (_, told, error) = self.run(&["--json", "doctor", "--all"]);
        let examined: Value = serde_json::from_str(&told).unwrap_or_else(|_| panic!("{told}{error}"));
        let findings = examined["findings"].as_array().expect("findings");
        findings.iter().filter(|finding| finding["probe"] == "keys").map(|finding| format!("{finding}\n")).collect()
    }

    fn tags(&self, tenant: &str) -> Value {
        json!([{ "TagKey": "bonded:lake", "TagValue": self.lake }, { "TagKey": "bonded:tenant", "TagValue": tenant }])
    }

    /// As a stack would make it, or a `tenant add` that died.
    fn left(&self, aws: &PrivateAws, tenant: &str, tags: &Value) -> String {
        let description = format!("bonded key of tenant {tenant} version 1");
        let made = kms(aws, "CreateKey", &json!({ "Description": description, "Tags": tags }));
        let arn = made["KeyMetadata"]["Arn"].as_str().expect("an ARN").to_owned();
        let alias = format!("alias/bonded/{}/{tenant}", self.lake);
        kms(aws, "CreateAlias", &json!({ "AliasName": alias, "TargetKeyId": arn }));
        arn
    }
}

/// One operation of the KMS, signed by nobody.
fn kms(aws: &PrivateAws, operation: &str, body: &Value) -> Value {
    let target = format!("X-Amz-Target: TrentService.{operation}");
    let scope =
        "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=0";
    let told = aws.ask("POST", "/", &[&target, "Content-Type: application/x-amz-json-1.1", scope], &body.to_string());
    let body = told.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body).unwrap_or(Value::Null)
}

#[test]
fn a_tenants_key_has_its_policy_and_rotates_and_the_doctor_tells_when_not() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let house = House::new(aws);
    house.ok(&["init"]);
    house.ok(&["tenant", "add", TENANT]);
    let key = house.key_of(TENANT);
    let policy =
        kms(aws, "GetKeyPolicy", &json!({ "KeyId": key, "PolicyName": "default" }))["Policy"].as_str().expect("one").to_owned();
    assert!(!policy.contains("${") && policy.contains(&format!("{}-app", house.lake)), "{policy}");
    assert!(policy.contains(&format!("tenants/{TENANT}/*")), "{policy}");
    let status = kms(aws, "GetKeyRotationStatus", &json!({ "KeyId": key }));
    assert_eq!((&status["KeyRotationEnabled"], &status["RotationPeriodInDays"]), (&json!(true), &json!(365)), "{status}");
    let told = house.told_of_keys();
    assert!(!told.contains("policy") && !told.contains("rotat"), "{told}");

    // Somebody opened it further, and stopped the rotation.
    let opened = policy.replacen("\"kms:PutKeyPolicy\"", "\"kms:PutKeyPolicy\",\"kms:Decrypt\"", 1);
    assert_ne!(opened, policy);
    kms(aws, "PutKeyPolicy", &json!({ "KeyId": key, "PolicyName": "default", "Policy": opened }));
    kms(aws, "DisableKeyRotation", &json!({ "KeyId": key }));
    let told = house.told_of_keys();
    assert!(told.contains("is not what keys.policy would give it: RootUserIsNotLockedOut"), "{told}");
    assert!(told.contains("does not rotate by itself") && told.contains("enable-key-rotation"), "{told}");
    kms(aws, "PutKeyPolicy", &json!({ "KeyId": key, "PolicyName": "default", "Policy": policy }));
    kms(aws, "EnableKeyRotation", &json!({ "KeyId": key }));
    let told = house.told_of_keys();
    assert!(!told.contains("policy") && !told.contains("rotat"), "{told}");
}

#[test]
fn a_key_that_was_left_is_taken_over_and_a_foreign_one_under_the_alias_refused() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let house = House::new(aws);
    let lakes_own = house.left(aws, "bonded-lake", &house.tags("bonded-lake"));
    house.ok(&["init"]);
    let left = house.left(aws, TENANT, &house.tags(TENANT));
    house.ok(&["tenant", "add", TENANT]);
    let mut keys = house.keys();
    keys.sort();
    let mut expected = [("bonded-lake".to_owned(), lakes_own), (TENANT.to_owned(), left)];
    expected.sort();
    assert_eq!(keys, expected, "no second key was made");

    let foreign = house.left(aws, OTHER, &house.tags(TENANT));
    let (code, _, told) = house.run(&["tenant", "add", OTHER]);
    let alias = format!("alias/bonded/{}/{OTHER}", house.lake);
    assert!(code == 4 && told.contains("bonded:tenant") && told.contains(TENANT) && told.contains(&alias), "{code} {told}");
    assert!(!house.ok(&["tenant", "list"]).contains(OTHER));
    kms(aws, "TagResource", &json!({ "KeyId": foreign, "Tags": house.tags(OTHER) }));
    house.ok(&["tenant", "add", OTHER]);
    assert_eq!(house.key_of(OTHER), foreign);
}
