//! What of `[aws]` is refused before anybody is asked.

use super::{Reach, Service};
use crate::error::ErrorKind;

fn reach(region: &str, endpoint: Option<&str>) -> Reach {
    Reach { region: region.into(), endpoint: endpoint.map(Into::into), ..Reach::default() }
}

#[test]
fn a_region_has_the_form_of_one() {
    for region in ["us-east-1", "eu-central-1", "us-gov-west-1"] {
        reach(region, None).check().unwrap();
    }
    for region in ["", "useast1", "us-east-1/../x", "US-EAST-1", "us-east-1.evil.example"] {
        assert_eq!(reach(region, None).check().unwrap_err().kind(), ErrorKind::Setup, "{region}");
    }
}

#[test]
fn an_endpoint_is_encrypted_or_on_this_machine() {
    for endpoint in
        ["https://kms.eu-central-1.amazonaws.com", "http://127.0.0.1:4566", "http://localhost:4566", "http://[::1]:4566"]
    {
        reach("eu-central-1", Some(endpoint)).check().unwrap();
    }
    for endpoint in [
        "http://kms.example",
        "http://10.0.0.1:4566",
        "kms.example",
        "ftp://127.0.0.1",
        "https://who:password@kms.example",
        "http://127.0.0.1.example",
    ] {
        let refused = reach("eu-central-1", Some(endpoint)).check().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Setup, "{endpoint}");
        assert!(!refused.to_string().contains("password@"), "{refused}");
    }
}

#[test]
fn a_service_may_have_an_endpoint_of_its_own() {
    let mut set = reach("eu-central-1", Some("http://127.0.0.1:1"));
    set.s3_endpoint = Some("http://127.0.0.1:2".into());
    assert_eq!(set.endpoint(Service::Kms), Some("http://127.0.0.1:1"));
    assert_eq!(set.endpoint(Service::S3), Some("http://127.0.0.1:2"));
    assert_eq!(reach("eu-central-1", None).endpoint(Service::S3), None);
}
