//! `bonded doctor` on the real binary: what it answers with, on a folder, on PostgreSQL, and in a bucket under KMS keys.

use serde_json::Value;

use crate::{
    aws::private_aws::PrivateAws,
    postgres::private_postgres::PrivatePostgres,
    world::{Bucket, TENANT, World},
};

/// Exit code, and the findings. How full this machine's disk is, is left out.
fn doctor(world: &World, arguments: &[&str]) -> (i32, Vec<Value>) {
    let arguments = [&["--json", "doctor"], arguments].concat();
    let output = world.command(&arguments).env("BONDED_DOCTOR_DISK_FREE_PERCENT_MIN", "0").output().expect("the binary starts");
    let told: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().expect("it ended by itself"), told["findings"].as_array().expect("findings").clone())
}

fn verdict(findings: &[Value], probe: &str) -> Vec<(String, String)> {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let of = findings.iter().filter(|finding| finding["probe"] == probe);
    of.map(|finding| {
        (text(finding, "verdict"), format!("{} {} {}", text(finding, "object"), text(finding, "what"), text(finding, "mend")))
    })
    .collect()
}

/// Just one of the probe's findings is so bad, and it has these words.
#[track_caller]
fn told(findings: &[Value], probe: &str, bad: &str, words: &[&str]) {
    let all = verdict(findings, probe);
    let so: Vec<_> = all.iter().filter(|(verdict, _)| verdict == bad).collect();
    assert_eq!(so.len(), 1, "{all:?}");
    for word in words {
        assert!(so[0].1.contains(word), "`{word}` in {so:?}");
    }
}

#[track_caller]
fn is_well(findings: &[Value], probe: &str) {
    let all = verdict(findings, probe);
    assert!(!all.is_empty() && all.iter().all(|(verdict, _)| verdict == "ok" || verdict == "not_asked"), "{all:?}");
}

#[test]
fn monitors_read_the_exit_code_and_people_what_mends_it() {
    let world = World::new();
    let (code, findings) = doctor(&world, &[]);
    assert_eq!(code, 1, "{findings:?}");
    told(&findings, "backups", "warn", &["none was ever taken", "bonded backup"]);
    world.ok(&["backup", "--to", world.path("backup").to_str().unwrap()]);
    let (code, findings) = doctor(&world, &[]);
    assert_eq!(code, 0, "{findings:?}");
    world.ok(&["key", "disable", TENANT]);
    let shown = world.command(&["doctor"]).env("BONDED_DOCTOR_DISK_FREE_PERCENT_MIN", "0").output().expect("starts");
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert_eq!(shown.status.code(), Some(2), "{text}");
    assert!(text.starts_with("FAIL keys: ") && text.contains("mend: `bonded key enable"), "{text}");
    assert!(text.contains("1 fail, 0 warn"), "{text}");
    world.ok(&["key", "enable", TENANT]);
    // Settings that changed are told until somebody takes them as they are.
    let changed = |arguments: &[&str]| {
        let mut command = world.command(&[&["--json", "doctor"], arguments].concat());
        command.env("BONDED_DOCTOR_DISK_FREE_PERCENT_MIN", "0").env("BONDED_SERVE_QUEUED_MAX", "4711");
        command.output().expect("starts").status.code()
    };
    assert_eq!((changed(&[]), changed(&["--accept"]), changed(&[])), (Some(1), Some(0), Some(0)));
    let trail = world.ok(&["audit", "--action", "doctor"]);
    assert!(trail.contains("1 fail, 0 warn") && trail.contains("doctor.settings"), "{trail}");
    // Nothing to open: that is an answer as well.
    let (code, findings) = doctor(&World::bare(), &[]);
    assert_eq!(code, 2);
    told(&findings, "lake", "fail", &["bonded init"]);
}

#[test]
fn on_postgresql_role_policies_tables_and_clock_are_looked_at() {
    let Some(cluster) = PrivatePostgres::start() else { return };
    let world = World::on_postgres(&cluster);
    let (_, findings) = doctor(&world, &[]);
    for probe in ["lake", "store", "clocks", "catalog", "queue", "trails"] {
        is_well(&findings, probe);
    }
    assert!(verdict(&findings, "store")[0].1.contains("PostgreSQL"), "{findings:?}");
    assert!(verdict(&findings, "clocks")[0].1.contains("within 5 seconds"), "{findings:?}");
    for (breaks, mends, words) in [
        ("ALTER ROLE bonded_app BYPASSRLS", "ALTER ROLE bonded_app NOBYPASSRLS", ["policies do not bind", "NOBYPASSRLS"]),
        (
            "ALTER TABLE \"bonded_fictional-lantern\".alerts DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE \"bonded_fictional-lantern\".alerts ENABLE ROW LEVEL SECURITY",
            ["alerts has no row-level security", "bonded init"],
        ),
    ] {
        cluster.sql(breaks);
        let (code, findings) = doctor(&world, &[]);
        assert_eq!(code, 2);
        told(&findings, "lake", "fail", &words);
        cluster.sql(mends);
        is_well(&doctor(&world, &[]).1, "lake");
    }
}

/// One call of the emulator's key service.
fn kms(aws: &PrivateAws, operation: &str, body: Value) {
    let target = format!("X-Amz-Target: TrentService.{operation}");
    let scope =
        "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=0";
    aws.ask("POST", "/", &[&target, "Content-Type: application/x-amz-json-1.1", scope], &body.to_string());
}

#[test]
fn in_a_bucket_its_set_up_and_the_keys_policies_are_looked_at() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let world = |name: &str| World::in_bucket(Bucket { endpoint: aws.endpoint.clone(), name: name.into() }, None);
    let name = aws.bucket("doctor", true);
    let house = world(&name).peopled();
    let put = |query: &str, body: &str| aws.ask("PUT", &format!("/{name}?{query}"), &["Content-Type: application/xml"], body);
    let rule = |inner: &str| {
        format!(
            "<LifecycleConfiguration><Rule><ID>a</ID><Filter></Filter><Status>Enabled</Status>{inner}</Rule></LifecycleConfiguration>"
        )
    };
    let tidy = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>";
    let (_, findings) = doctor(&house, &[]);
    told(&findings, "bucket", "warn", &["lifecycle", "AbortIncompleteMultipartUpload"]);
    put("lifecycle", &rule(tidy));
    let (_, findings) = doctor(&house, &[]);
    for probe in ["lake", "keys", "bucket", "catalog"] {
        is_well(&findings, probe);
    }
    put("lifecycle", &rule(&format!("<Expiration><Days>30</Days></Expiration>{tidy}")));
    let (code, findings) = doctor(&house, &[]);
    assert_eq!(code, 2);
    told(&findings, "bucket", "fail", &["lifecycle", "deletes objects"]);
    put("lifecycle", &rule(tidy));
    aws.ask("DELETE", &format!("/{name}?publicAccessBlock"), &[], "");
    told(&doctor(&house, &[]).1, "bucket", "fail", &["publicAccessBlock", "strangers", "block all public access"]);

    let key = house.json(&["key", "list"])[0]["key_id"].as_str().expect("an ARN").to_owned();
    let policy = serde_json::json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*" }] });
    kms(aws, "PutKeyPolicy", serde_json::json!({ "KeyId": key, "PolicyName": "default", "Policy": policy.to_string() }));
    told(&doctor(&house, &[]).1, "keys", "fail", &["policy of the ", "anybody"]);

    // One that keeps no versions.
    let plain = aws.bucket("doctor", false);
    let house = world(&plain).peopled();
    told(&doctor(&house, &[]).1, "bucket", "fail", &["versioning", "enable versioning"]);
}

#[test]
fn a_bucket_in_a_region_that_is_not_allowed_is_refused_at_the_start() {
    let Some(aws) = PrivateAws::localstack() else { return };
    let name = format!("elsewhere-{}", uuid::Uuid::new_v4().simple());
    let place = "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
        <LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>";
    let scope =
        "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=0";
    aws.ask("PUT", &format!("/{name}"), &[scope], place);
    let world = World::in_bucket(Bucket { endpoint: aws.endpoint.clone(), name: name.clone() }, None);
    let run = world.run(&["init"]);
    assert_eq!(run.code, 4, "{}", run.stderr);
    assert!(
        run.stderr.contains(&name) && run.stderr.contains("eu-west-1") && run.stderr.contains("aws.regions_allowed"),
        "{}",
        run.stderr
    );
    let other = world.command(&["init"]).env("BONDED_AWS_REGION", "eu-west-1").output().expect("starts");
    assert!(String::from_utf8_lossy(&other.stderr).contains("aws.region"), "{:?}", other.stderr);
}
