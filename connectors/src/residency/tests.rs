//! What each form of a name says of its region, and that none of another region passes.

use proptest::prelude::*;

use super::*;

/// A part of those that AWS has, and forms of those it may have.
const REGIONS: [&str; 12] = [
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "eu-west-1",
    "eu-central-2",
    "ap-southeast-3",
    "us-gov-west-1",
    "us-iso-east-1",
    "cn-north-1",
    "mx-central-1",
    "eusc-de-east-1",
];

fn american() -> Residency {
    Residency::new(&["us-east-1".into(), "us-west-2".into()], None).expect("regions")
}

/// Addresses of AWS's services as its documentation has them, of one region.
fn endpoints(region: &str, name: &str) -> Vec<String> {
    vec![
        format!("https://kms.{region}.amazonaws.com"),
        format!("https://kms-fips.{region}.amazonaws.com/"),
        format!("https://s3.{region}.amazonaws.com/{name}"),
        format!("https://{name}.s3.{region}.amazonaws.com/us-east-1/key"),
        format!("https://s3-{region}.amazonaws.com/{name}"),
        format!("https://{name}.s3-{region}.amazonaws.com"),
        format!("https://{name}.s3-fips.dualstack.{region}.amazonaws.com"),
        format!("https://s3-fips-{region}.amazonaws.com"),
        format!("https://sqs.{region}.amazonaws.com/123456789012/us-east-1"),
        format!("https://{region}.queue.amazonaws.com/123456789012/{name}"),
        format!("https://vpce-0ab1-{name}.kms.{region}.vpce.amazonaws.com"),
        format!("https://secretsmanager.{region}.api.aws"),
        format!("https://{name}.lambda-url.{region}.on.aws"),
        format!("https://KMS.{}.AMAZONAWS.COM.", region.to_uppercase()),
        format!("https://glue.{region}.amazonaws.com.cn:443"),
        format!("postgres://role:word@{name}.cluster-cx1.{region}.rds.amazonaws.com:5432/bonded?sslmode=verify-full"),
        format!("smtps://user:word@email-smtp.{region}.amazonaws.com"),
        format!("https://{name}.auth.{region}.amazoncognito.com/oauth2/token"),
    ]
}

fn arns(region: &str, name: &str) -> Vec<String> {
    vec![
        format!("arn:aws:kms:{region}:123456789012:key/11111111-2222-3333-4444-555555555555"),
        format!("arn:aws:kms:{region}:123456789012:alias/us-east-1/{name}"),
        format!("arn:aws:sqs:{region}:123456789012:{name}"),
        format!("arn:aws:secretsmanager:{region}:123456789012:secret:us-west-2/{name}-AbCdEf"),
        format!("arn:aws-us-gov:glue:{region}:123456789012:database/{name}"),
        format!("arn:aws:rds:{region}:123456789012:cluster:{name}"),
    ]
}

proptest! {
    /// Whatever else stands in it: a name of the resource that looks like a region buys nothing.
    #[test]
    fn a_place_passes_when_its_region_is_allowed_and_only_then(at in 0..REGIONS.len(), name in "[a-z][a-z0-9]{0,12}") {
        let (region, places) = (REGIONS[at], american());
        let allowed = ["us-east-1", "us-west-2"].contains(&region);
        prop_assert_eq!(places.region("it", region).is_ok(), allowed);
        for address in endpoints(region, &name) {
            let web = address.starts_with("https://");
            let told = if web { places.endpoint("it", &address) } else { places.address("it", &address) };
            prop_assert_eq!(told.is_ok(), allowed, "{}: {:?}", address, told);
            if let Err(error) = told {
                prop_assert_eq!(error.kind(), ErrorKind::Refused);
                prop_assert!(error.to_string().contains(region) && !error.to_string().contains("word"), "{}", error);
            }
        }
        for arn in arns(region, &name) {
            prop_assert_eq!(places.arn("it", &arn).is_ok(), allowed, "{}", arn);
        }
    }

    /// A bucket, a queue or a user that is called like an allowed region does not hide where it is.
    #[test]
    fn a_name_that_looks_allowed_does_not_hide_another_region(at in 4..REGIONS.len(), inside in 0..2usize) {
        let (region, name) = (REGIONS[at], ["us-east-1", "us-west-2"][inside]);
        for address in endpoints(region, name) {
            prop_assert!(american().address("it", &address).is_err(), "{}", address);
        }
    }

    /// No text makes it fall over, and what it lets pass as an endpoint names an allowed region.
    #[test]
    fn nothing_odd_passes(text in "[a-z0-9:/.@-]{0,60}") {
        let _ = american().address("it", &text);
        let _ = american().named("it", &text);
        if american().endpoint("it", &text).is_ok() {
            prop_assert!(text.contains("us-east-1") || text.contains("us-west-2"), "{}", text);
        }
    }
}

#[test]
fn an_endpoint_that_does_not_say_where_it_is_is_refused() {
    for address in [
        "https://s3.amazonaws.com",
        "https://queue.amazonaws.com/123456789012/inbox",
        "https://sts.amazonaws.com",
        "https://objects.nordwind.example",
        "https://us-east-1.amazonaws.com.nordwind.example",
        "https://10.1.2.3:9000",
        "https://notamazonaws.com",
    ] {
        let error = american().endpoint("aws.s3_endpoint", address).expect_err(address);
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains("aws.s3_endpoint"), "{error}");
    }
    // What is no service of AWS need not say it.
    for address in ["postgres://role:word@10.1.2.3/bonded", "smtps://mail.nordwind.example", "https://idp.nordwind.example/realm"]
    {
        american().address("store.postgres", address).expect(address);
    }
}

#[test]
fn this_machine_stands_for_aws_only_where_the_setting_says_so() {
    let allowed = ["us-east-1".to_owned()];
    for here in ["http://127.0.0.1:4566", "http://localhost:4566", "http://[::1]:4566", "http://127.9.9.9"] {
        assert!(american().endpoint("aws.kms_endpoint", here).is_err(), "{here}");
        let emulated = Residency::new(&allowed, Some("http://127.0.0.1:1")).expect("sound");
        emulated.endpoint("aws.kms_endpoint", here).expect(here);
        assert!(emulated.endpoint("aws.kms_endpoint", "https://kms.eu-west-1.amazonaws.com").is_err());
    }
    let elsewhere = Residency::new(&allowed, Some("https://kms.us-east-1.amazonaws.com")).expect("sound");
    assert!(elsewhere.endpoint("aws.kms_endpoint", "http://127.0.0.1:4566").is_err());
    assert!(american().endpoint("it", "http://127.0.0.1.nordwind.example").is_err());
}

fn named(hosts: &[&str]) -> Result<Residency> {
    american().with_hosts(&hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>())
}

#[test]
fn a_store_outside_of_aws_passes_where_its_host_is_named_exactly() {
    let places = named(&["s3.acme.example", "xn--bcher-kva.example", "minio"]).unwrap();
    for address in [
        "https://s3.acme.example",
        "https://s3.acme.example/",
        "https://s3.acme.example:9000",
        "https://s3.acme.example:443/",
        "https://xn--bcher-kva.example",
        "https://minio:9000",
        // AWS's own go on by their regions.
        "https://s3.us-east-1.amazonaws.com",
    ] {
        places.store("aws.s3_endpoint", address).expect(address);
    }
    for address in [
        // What stands before, behind or around the name.
        "https://s3.acme.example.nordwind.example",
        "https://evil-s3.acme.example",
        "https://other.s3.acme.example",
        "https://acme.example",
        "https://s3.acme.example.",
        "https://s3.acme.example..",
        "https://s3-acme.example",
        "https://s3.acme.examples",
        "https://S3.acme.example",
        // The name where no host is.
        "https://nordwind.example/s3.acme.example",
        "https://nordwind.example?s3.acme.example",
        "https://nordwind.example#s3.acme.example",
        "https://s3.acme.example@nordwind.example",
        "https://who:word@s3.acme.example",
        "https://who@s3.acme.example",
        "https://@s3.acme.example",
        "https://s3.acme.example\\@nordwind.example",
        "https://s3.acme.example\t.nordwind.example",
        "https://s3.acme.example%2enordwind.example",
        "https://s3.acme.example%00.nordwind.example",
        " https://s3.acme.example",
        "https:///s3.acme.example",
        "https:s3.acme.example",
        "https://s3.acme.example/bucket",
        "https://s3.acme.example//",
        "https://s3.acme.example?x",
        // Ports that are none.
        "https://s3.acme.example:",
        "https://s3.acme.example:0",
        "https://s3.acme.example:00443",
        "https://s3.acme.example:+443",
        "https://s3.acme.example:65536",
        "https://s3.acme.example:443:443",
        "https://s3.acme.example:443@nordwind.example",
        // Not encrypted, or not the web's.
        "http://s3.acme.example",
        "HTTPS://s3.acme.example",
        "s3://s3.acme.example",
        "s3.acme.example",
        // Addresses, however they are written.
        "https://10.1.2.3:9000",
        "https://[2001:db8::1]:9000",
        "https://[::ffff:10.1.2.3]",
        "https://167838211",
        // Other letters that are, or look like, those of the name.
        "https://b\u{fc}cher.example",
        "https://B\u{dc}CHER.example",
        "https://s3.acm\u{435}.example",
        "https://\u{ff53}3.acme.example",
        "https://s3.acme\u{3002}example",
        "https://s3.acme\u{2024}example",
        "https://s3.ac\u{ad}me.example",
        "https://xn--s3-acme.example",
        "",
    ] {
        assert!(places.store("aws.s3_endpoint", address).is_err(), "{address}");
        assert!(american().store("aws.s3_endpoint", address).is_err(), "{address}");
    }
    // It buys nothing where keys and secrets are asked for, nor a word in a refusal.
    let error = places.endpoint("aws.kms_endpoint", "https://s3.acme.example").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    let error = places.store("aws.s3_endpoint", "https://who:word@nordwind.example").unwrap_err();
    assert!(error.to_string().contains("aws.hosts_allowed") && !error.to_string().contains("word@"), "{error}");
    // A region of AWS that is not allowed stays so, and is not told to be named.
    let error = places.store("aws.s3_endpoint", "https://s3.eu-west-1.amazonaws.com").unwrap_err();
    assert!(!error.to_string().contains("hosts_allowed"), "{error}");
}

#[test]
fn a_host_that_is_allowed_is_a_plain_name_and_neither_aws_nor_this_machine() {
    for odd in [
        "",
        "*",
        "*.acme.example",
        ".acme.example",
        "s3.acme.example.",
        "s3..example",
        "S3.acme.example",
        "https://s3.acme.example",
        "s3.acme.example:9000",
        "s3.acme.example/bucket",
        "who@s3.acme.example",
        "-s3.example",
        "s3_acme.example",
        "b\u{fc}cher.example",
        "10.1.2.3",
        "0x7f.1",
        "127.0x1",
        "[::1]",
        "::1",
        "localhost",
        "s3.localhost",
        "s3.amazonaws.com",
        "s3.eu-west-1.amazonaws.com",
        "amazonaws.com",
        "x.api.aws",
        &"a".repeat(64),
        &"a.".repeat(130),
    ] {
        let error = named(&[odd]).expect_err(odd);
        assert_eq!(error.kind(), ErrorKind::Setup, "{odd}");
        assert!(error.to_string().contains("aws.hosts_allowed"), "{error}");
    }
}

#[test]
fn the_host_with_the_buckets_name_in_front_must_be_named_as_well() {
    let places = named(&["s3.acme.example", "lakes.s3.acme.example"]).unwrap();
    let at = Some("https://s3.acme.example:9000");
    places.bucket("a bucket", at, "lakes", false).unwrap();
    places.bucket("a bucket", at, "others", true).unwrap();
    let error = places.bucket("a bucket", at, "others", false).unwrap_err();
    assert!(error.to_string().contains("others.s3.acme.example"), "{error}");
    // At AWS and at an emulator it goes by the endpoint.
    places.bucket("a bucket", None, "others", false).unwrap();
    places.bucket("a bucket", Some("http://127.0.0.1:9000"), "others", false).unwrap();
}

#[test]
fn what_a_store_outside_of_aws_calls_its_place_says_nothing_unless_it_is_a_region() {
    let places = named(&["s3.acme.example"]).unwrap();
    let at = Some("https://s3.acme.example");
    for place in ["default", "garage", "", "us-east-1"] {
        places.bucket_region("a bucket", at, place).expect(place);
    }
    assert!(places.bucket_region("a bucket", at, "eu-west-1").is_err());
    for elsewhere in [None, Some("https://s3.us-east-1.amazonaws.com"), Some("http://127.0.0.1:9000")] {
        assert!(places.bucket_region("a bucket", elsewhere, "default").is_err(), "{elsewhere:?}");
    }
}

#[test]
fn arns_without_a_region_and_what_is_no_arn_do_not_pass_for_a_key() {
    american().arn("a bucket", "arn:aws:s3:::bonded-lake").expect("goes by its bucket");
    american().named("a key", "alias/bonded/lake/fictional-lantern").expect("names no region");
    for arn in ["arn:aws:kms::123456789012:key/1", "arn:aws:iam::123456789012:role/x", "arn:aws:kms:us-east-1", "arn:", "key", ""]
    {
        assert!(american().arn("a key", arn).is_err(), "{arn}");
    }
}

#[test]
fn allowed_regions_are_regions_and_there_is_one() {
    for odd in [vec![], vec!["useast1".to_owned()], vec!["us-east-1".to_owned(), "*".to_owned()], vec![String::new()]] {
        assert_eq!(Residency::new(&odd, None).expect_err("odd").kind(), ErrorKind::Setup);
    }
    for text in ["us-east-01", "us-east-1a", "us-east", "us--1", "a-east-1", "us-east-1-2", "us-everywhere-1", "US-EAST-1"] {
        assert!(!is_region(text), "{text}");
    }
    for region in REGIONS {
        assert!(is_region(region), "{region}");
    }
}
