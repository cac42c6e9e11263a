//! What the claims of a well-signed token must say.

use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{AUDIENCE, CLIENT, ISSUER, claims, judge, judge_identity, now, trust, with};
use crate::oidc::{
    AccessTokens, Refusal, Trust,
    rules::{Identity, Verified},
};

fn taken(claims: Value) -> Verified {
    judge(&trust(), &claims).unwrap_or_else(|refusal| panic!("{refusal:?}: {claims}"))
}

fn refused(changes: Value, refusal: Refusal) {
    assert_eq!(judge(&trust(), &with(changes.clone())), Err(refusal), "{changes}");
}

const PROOF: Identity<'_> = Identity { nonce: "n-0S6_WzA2Mj", access_token: None };

/// Of an ID token that is good.
fn identity(changes: Value) -> Value {
    let mut claims = with(json!({"aud": CLIENT, "client_id": null, "nonce": PROOF.nonce, "tenant": null}));
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn cognito() -> Trust {
    let clients = vec![CLIENT.to_owned(), "machine-1".to_owned()];
    Trust { access: Some(AccessTokens::Cognito { clients }), ..trust() }
}

#[test]
fn the_skew_holds_to_the_second_on_both_sides() {
    let now = now().timestamp();
    for (changes, outcome) in [
        (json!({"exp": now - 59}), None),
        (json!({"exp": now - 60}), Some(Refusal::Expired)),
        (json!({"exp": now - 61}), Some(Refusal::Expired)),
        (json!({"nbf": now + 60}), None),
        (json!({"nbf": now + 61}), Some(Refusal::NotYet)),
        (json!({"iat": now + 60}), None),
        (json!({"iat": now + 61}), Some(Refusal::NotYet)),
        (json!({"iat": now + 61, "nbf": now - 10}), Some(Refusal::NotYet)),
        (json!({"nbf": null}), None),
        (json!({"exp": null}), Some(Refusal::Claim("exp"))),
        (json!({"iat": null}), Some(Refusal::Claim("iat"))),
    ] {
        assert_eq!(judge(&trust(), &with(changes.clone())).err(), outcome, "{changes}");
    }
}

#[test]
fn a_time_that_is_no_whole_second_of_our_age_is_refused() {
    for name in ["exp", "nbf", "iat"] {
        for value in
            [json!("1772452800"), json!(1.5), json!(-1), json!(i64::MAX), json!(u64::MAX), json!(1e300), json!([]), json!(true)]
        {
            refused(json!({ name: value }), Refusal::Claim(name));
        }
    }
    taken(with(json!({"exp": 253_402_300_799_i64})));
}

#[test]
fn the_issuer_counts_to_the_letter() {
    for issuer in [
        json!(format!("{ISSUER}/")),
        json!(ISSUER.to_uppercase()),
        json!(ISSUER.replace("https", "http")),
        json!(&ISSUER[..ISSUER.len() - 1]),
        json!(format!(" {ISSUER}")),
        json!([ISSUER]),
        json!(""),
        json!(null),
        json!(1),
    ] {
        refused(json!({ "iss": issuer }), Refusal::Issuer);
    }
}

#[test]
fn an_audience_is_a_text_or_one_of_a_list() {
    for audience in [json!(AUDIENCE), json!([AUDIENCE]), json!(["https://kettle.example", AUDIENCE])] {
        taken(with(json!({ "aud": audience })));
    }
    for audience in [
        json!("https://kettle.example"),
        json!(["https://kettle.example"]),
        json!([]),
        json!([AUDIENCE, 1]),
        json!([[AUDIENCE]]),
        json!({ AUDIENCE: true }),
        json!(format!("{AUDIENCE}/")),
        json!(AUDIENCE.to_uppercase()),
        json!(format!("{AUDIENCE} https://kettle.example")),
        json!(""),
        json!(null),
    ] {
        refused(json!({ "aud": audience }), Refusal::Audience);
    }
}

#[test]
fn an_id_token_or_a_logout_token_is_no_access_token() {
    for claim in ["nonce", "at_hash", "c_hash"] {
        refused(json!({ claim: "x" }), Refusal::Kind);
    }
    refused(json!({"token_use": "id"}), Refusal::Kind);
    refused(json!({"token_use": "refresh"}), Refusal::Kind);
    refused(json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}), Refusal::Kind);
    taken(with(json!({"token_use": "access"})));
    assert_eq!(judge(&Trust { access: None, ..trust() }, &claims()), Err(Refusal::Kind), "none are taken");
}

#[test]
fn cognito_s_access_tokens_go_by_client_and_use() {
    let like = |changes: Value| {
        let mut claims = with(json!({"aud": null, "token_use": "access", "username": "owner", "scope": "openid"}));
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    };
    let trust = cognito();
    assert_eq!(judge(&trust, &like(json!({}))).expect("good").client.as_deref(), Some(CLIENT));
    for (changes, refusal) in [
        (json!({"token_use": "id"}), Refusal::Kind),
        (json!({"token_use": ["access"]}), Refusal::Kind),
        (json!({"token_use": "Access"}), Refusal::Kind),
        (json!({"client_id": "of-another-app"}), Refusal::Audience),
        (json!({"client_id": [CLIENT]}), Refusal::Audience),
        (json!({"aud": AUDIENCE}), Refusal::Audience),
    ] {
        assert_eq!(judge(&trust, &like(changes.clone())), Err(refusal), "{changes}");
    }
    // A standard provider's token says nothing of its use, and Cognito's nothing of its audience.
    assert_eq!(judge(&trust, &with(json!({"aud": null}))), Err(Refusal::Kind));
    assert_eq!(judge(&super::trust(), &like(json!({}))), Err(Refusal::Audience));
    let machine = judge(&trust, &like(json!({"client_id": "machine-1", "sub": "machine-1"}))).expect("good");
    assert!(machine.is_machine());
}

#[test]
fn the_tenant_is_one_claim_that_reads_as_a_tenant_s_name() {
    for tenant in [
        json!(null),
        json!(""),
        json!("Fictional-Lantern"),
        json!("fictional lantern"),
        json!("../fictional-kettle"),
        json!("a"),
        json!(["fictional-lantern"]),
        json!({"id": "fictional-lantern"}),
        json!(7),
        json!("bonded-lake"),
        json!("x".repeat(41)),
    ] {
        refused(json!({ "tenant": tenant }), Refusal::Tenant);
    }
    let trust = Trust { tenant_claim: "custom:tenant".into(), ..trust() };
    assert_eq!(judge(&trust, &claims()), Err(Refusal::Tenant), "another claim is not asked");
    let verified = judge(&trust, &with(json!({"custom:tenant": "fictional-kettle"}))).expect("good");
    assert_eq!(verified.tenant, Some("fictional-kettle".parse().unwrap()));
}

#[test]
fn an_e_mail_address_is_told_only_where_the_provider_verified_it() {
    let told = |changes: Value| taken(with(changes)).email;
    let address = "owner@nordwind.example";
    for verified in [json!(true), json!("true")] {
        assert_eq!(told(json!({"email": address, "email_verified": verified})).as_deref(), Some(address));
    }
    for verified in [json!(false), json!("false"), json!("TRUE"), json!(1), json!(null), json!(["true"])] {
        assert_eq!(told(json!({"email": address, "email_verified": verified})), None, "{verified}");
    }
    for email in [
        json!(""),
        json!("owner"),
        json!("@nordwind.example"),
        json!("owner@"),
        json!("a@b@c"),
        json!("a b@c"),
        json!("a@b\n"),
        json!([address]),
        json!(1),
    ] {
        assert_eq!(told(json!({"email": email, "email_verified": true})), None, "{email}");
    }
    assert_eq!(told(json!({"email": format!("{}@nordwind.example", "x".repeat(255)), "email_verified": true})), None);
}

#[test]
fn a_second_factor_is_one_that_the_settings_count() {
    let shown = |changes: Value| taken(with(changes)).second_factor;
    for amr in [json!(["mfa"]), json!(["pwd", "otp"]), json!(["otp", "pwd"])] {
        assert!(shown(json!({ "amr": amr })), "{amr}");
    }
    for amr in
        [json!(null), json!([]), json!(["pwd"]), json!("mfa"), json!(["MFA"]), json!(["pwd", 1, "otp"]), json!({"mfa": true})]
    {
        assert!(!shown(json!({ "amr": amr })), "{amr}");
    }
    let none = Trust { second_factors: Vec::new(), ..trust() };
    assert!(!judge(&none, &with(json!({"amr": ["mfa"]}))).expect("good").second_factor);
    // What a pool asks of every person it does not ask of a machine.
    let pool = Trust { mfa_by_pool: true, ..trust() };
    assert!(judge(&pool, &claims()).expect("good").second_factor);
    let machine = judge(&pool, &with(json!({"sub": CLIENT, "amr": ["mfa"]}))).expect("good");
    assert!(machine.is_machine() && !machine.second_factor);
    let machine = judge(&pool, &with(json!({"sub": CLIENT, "client_id": null, "azp": CLIENT}))).expect("good");
    assert!(machine.is_machine() && !machine.second_factor);
}

#[test]
fn names_are_short_texts_without_control_characters() {
    for name in ["sub", "jti", "client_id"] {
        for value in [json!(""), json!(1), json!(["a"]), json!("a\nb"), json!("a\u{0}"), json!("x".repeat(256))] {
            refused(json!({ name: value }), Refusal::Claim(name));
        }
    }
    refused(json!({"sub": null}), Refusal::Claim("sub"));
    assert_eq!(taken(with(json!({"jti": null}))).token_id, None);
}

#[test]
fn an_id_token_is_for_us_alone_and_of_this_sign_in() {
    let verified = judge_identity(&trust(), &identity(json!({})), PROOF).expect("good");
    assert_eq!((verified.subject.as_str(), verified.tenant), ("248289761001", None));
    for (changes, refusal) in [
        (json!({"nonce": "another"}), Refusal::Nonce),
        (json!({"nonce": null}), Refusal::Nonce),
        (json!({"nonce": [PROOF.nonce]}), Refusal::Nonce),
        (json!({"aud": AUDIENCE}), Refusal::Audience),
        (json!({"aud": [CLIENT, "another"]}), Refusal::Audience),
        (json!({"aud": []}), Refusal::Audience),
        (json!({"azp": "another"}), Refusal::Audience),
        (json!({"token_use": "access"}), Refusal::Kind),
        (json!({"events": {}}), Refusal::Kind),
        (json!({"iss": format!("{ISSUER}/")}), Refusal::Issuer),
        (json!({"exp": now().timestamp() - 60}), Refusal::Expired),
        (json!({"tenant": "../x"}), Refusal::Tenant),
        (json!({"at_hash": "x"}), Refusal::Claim("at_hash")),
    ] {
        assert_eq!(judge_identity(&trust(), &identity(changes.clone()), PROOF), Err(refusal), "{changes}");
    }
    for changes in
        [json!({"aud": [CLIENT]}), json!({"azp": CLIENT}), json!({"token_use": "id"}), json!({"tenant": "fictional-kettle"})]
    {
        judge_identity(&trust(), &identity(changes.clone()), PROOF).unwrap_or_else(|refusal| panic!("{refusal:?}: {changes}"));
    }
    let nobody = Trust { client: None, ..trust() };
    assert_eq!(judge_identity(&nobody, &identity(json!({})), PROOF), Err(Refusal::Kind));
}

/// The example of OpenID Connect Core, appendix A.3 (RS256).
#[test]
fn an_access_token_that_came_along_must_be_the_one_the_id_token_names() {
    let proof = Identity { access_token: Some("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"), ..PROOF };
    assert!(judge_identity(&trust(), &identity(json!({"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"})), proof).is_ok());
    for at_hash in [json!("77QmUPtjPfzWtF2AnpK9RR"), json!(""), json!(1)] {
        let refusal = judge_identity(&trust(), &identity(json!({ "at_hash": at_hash })), proof);
        assert_eq!(refusal, Err(Refusal::Claim("at_hash")));
    }
    assert!(judge_identity(&trust(), &identity(json!({})), proof).is_ok(), "at_hash may be absent in the code flow");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Against the same rule in plain numbers.
    #[test]
    fn time_is_judged_by_our_clock_and_the_skew(
        exp in -400..400_i64, nbf in prop::option::of(-400..400_i64), iat in -400..400_i64, skew in 0..=300_u64,
    ) {
        let at = now().timestamp();
        let trust = Trust { skew: std::time::Duration::from_secs(skew), ..trust() };
        let claims = with(json!({"exp": at + exp, "nbf": nbf.map(|nbf| at + nbf), "iat": at + iat}));
        let skew = i64::try_from(skew).unwrap();
        let good = -skew < exp && iat <= skew && nbf.is_none_or(|nbf| nbf <= skew);
        let judged = judge(&trust, &claims);
        prop_assert_eq!(judged.is_ok(), good, "{:?}", judged);
        if let Ok(verified) = judged {
            prop_assert_eq!(verified.expires_at, now() + TimeDelta::seconds(exp));
        }
    }

    /// No claim of any shape is worse than a refusal, and none of them makes a token of another tenant, person or issuer.
    #[test]
    fn a_claim_of_any_shape_neither_breaks_nor_bends(name in "[a-z_:]{1,12}", text in "\\PC{0,40}", number in any::<i64>()) {
        for value in [json!(text), json!(number), json!([text, number]), json!({ text.clone(): number }), json!(null), json!(true)] {
            let mut claims = claims();
            claims[&name] = value;
            let judged = judge(&trust(), &claims);
            let own = ["iss", "aud", "sub", "exp", "nbf", "iat", "jti", "azp", "amr", "email", "tenant"].contains(&name.as_str());
            if let (Ok(verified), false) = (judged, own) {
                prop_assert_eq!(verified, judge(&trust(), &super::claims()).unwrap());
            }
        }
    }
}
