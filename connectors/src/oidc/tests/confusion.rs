//! Forged, mangled and mistaken tokens. Each test forges with care, so that only the one rule it names can refuse.

use std::sync::LazyLock;

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256, RsaEncoding,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{FOREIGN, HEADER, KEY, b64, claims, set, signed, take, take_by, with};
use crate::oidc::{Refusal, TOKEN_BYTES_MAX, jwt::Compact};

fn header(changes: Value) -> String {
    let mut header: Value = serde_json::from_str(HEADER).unwrap();
    for (name, value) in changes.as_object().unwrap() {
        header[name] = value.clone();
    }
    header.to_string()
}

fn good() -> String {
    let token = signed(&claims());
    assert!(take(&token).is_ok(), "what the forgeries are made of is good");
    token
}

fn parts(token: &str) -> [String; 3] {
    let parts: Vec<_> = token.split('.').map(str::to_owned).collect();
    parts.try_into().unwrap()
}

fn unsigned(header: &str) -> String {
    format!("{}.{}", b64(header.as_bytes()), b64(claims().to_string().as_bytes()))
}

#[test]
fn no_algorithm_is_refused_in_every_casing() {
    good();
    let casings = (0..16_u32).map(|bits| {
        let letters = "none".chars().enumerate();
        letters.map(|(at, c)| if bits >> at & 1 == 1 { c.to_ascii_uppercase() } else { c }).collect::<String>()
    });
    for algorithm in casings.chain(["".into(), " none".into(), "none ".into(), "rs256".into(), "RS256 ".into(), "RS256\0".into()])
    {
        let header = header(json!({ "alg": algorithm }));
        for token in [format!("{}.", unsigned(&header)), KEY.sign(&header, &claims().to_string())] {
            assert_eq!(take(&token), Err(Refusal::Algorithm), "{algorithm:?}");
        }
    }
    for algorithm in [json!(null), json!(["RS256"]), json!({"RS256": 1}), json!(256), json!(true)] {
        let token = KEY.sign(&header(json!({ "alg": algorithm })), &claims().to_string());
        assert_eq!(take(&token), Err(Refusal::Algorithm), "{algorithm}");
    }
    assert_eq!(take(&KEY.sign(r#"{"kid":"k1"}"#, &claims().to_string())), Err(Refusal::Algorithm));
}

#[test]
fn the_public_key_is_no_secret_for_hmac_in_any_spelling() {
    let pkcs1 = KEY.0.public_key().as_ref().to_vec();
    let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(KEY.0.public_key()).expect("DER").as_ref().to_vec();
    let pem = |label: &str, der: &[u8]| {
        let text = STANDARD.encode(der);
        let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n")).into_bytes()
    };
    let spki_pem = pem("PUBLIC KEY", &spki);
    let secrets = [
        spki_pem.trim_ascii_end().to_vec(),
        spki_pem,
        pem("RSA PUBLIC KEY", &pkcs1),
        spki,
        pkcs1,
        KEY.modulus(),
        b64(&KEY.modulus()).into_bytes(),
        KEY.jwk("k1").to_string().into_bytes(),
    ];
    for secret in &secrets {
        for (algorithm, hash) in [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)] {
            let forged = |header: &str| {
                let message = unsigned(header);
                let tag = hmac::sign(&hmac::Key::new(hash, secret), message.as_bytes());
                format!("{message}.{}", b64(tag.as_ref()))
            };
            assert_eq!(take(&forged(&header(json!({ "alg": algorithm })))), Err(Refusal::Algorithm));
            assert_eq!(take(&forged(HEADER)), Err(Refusal::Signature), "said to be RS256");
        }
    }
}

#[test]
fn other_algorithms_are_refused_though_the_right_key_signed() {
    let ways: [(&str, &'static dyn RsaEncoding); 3] =
        [("RS384", &RSA_PKCS1_SHA384), ("RS512", &RSA_PKCS1_SHA512), ("PS256", &RSA_PSS_SHA256)];
    for (algorithm, how) in ways {
        for (said, refusal) in [(algorithm, Refusal::Algorithm), ("RS256", Refusal::Signature)] {
            let message = unsigned(&header(json!({ "alg": said })));
            let token = format!("{message}.{}", b64(&KEY.signature(how, &message)));
            assert_eq!(take(&token), Err(refusal), "{algorithm} said to be {said}");
        }
    }
    let curve = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    for (said, refusal) in [("ES256", Refusal::Algorithm), ("RS256", Refusal::Signature)] {
        let message = unsigned(&header(json!({ "alg": said })));
        let signature = curve.sign(&SystemRandom::new(), message.as_bytes()).expect("signed");
        assert_eq!(take(&format!("{message}.{}", b64(signature.as_ref()))), Err(refusal), "ES256 said to be {said}");
    }
}

#[test]
fn a_key_is_taken_by_its_name_from_the_provider_s_set_and_from_nowhere_else() {
    good();
    let payload = claims().to_string();
    for name in ["k2", "K1", "k1 ", "../k1", "k1\u{0}", "k1' OR '1'='1", "/dev/null"] {
        assert_eq!(take(&KEY.sign(&header(json!({ "kid": name })), &payload)), Err(Refusal::UnknownKey), "{name:?}");
    }
    let long = "k".repeat(257);
    for name in [json!(""), json!(1), json!(["k1"]), json!({"kid": "k1"}), json!(null), json!(long)] {
        assert_eq!(take(&KEY.sign(&header(json!({ "kid": name })), &payload)), Err(Refusal::KeyName), "{name}");
    }
    assert_eq!(take(&KEY.sign(r#"{"alg":"RS256"}"#, &payload)), Err(Refusal::KeyName));
    // The one key there is must not stand in for a name that is not there, nor another key for the one named.
    assert_eq!(take(&FOREIGN.sign(HEADER, &payload)), Err(Refusal::Signature));
    let both = set(&[KEY.jwk("k1"), FOREIGN.jwk("k2")]);
    assert!(take_by(&both, &FOREIGN.sign(&header(json!({"kid": "k2"})), &payload)).is_ok());
    assert_eq!(take_by(&both, &FOREIGN.sign(HEADER, &payload)), Err(Refusal::Signature));
}

#[test]
fn two_keys_of_one_name_are_none() {
    for keys in [[KEY.jwk("k1"), FOREIGN.jwk("k1")], [FOREIGN.jwk("k1"), KEY.jwk("k1")]] {
        assert_eq!(take_by(&set(&keys), &good()), Err(Refusal::UnknownKey));
    }
    // A third does not bring the name back.
    assert_eq!(take_by(&set(&[FOREIGN.jwk("k1"), FOREIGN.jwk("k1"), KEY.jwk("k1")]), &good()), Err(Refusal::UnknownKey));
}

#[test]
fn keys_that_cannot_sign_for_us_are_left_out() {
    let jwk = |changes: Value| {
        let mut key = KEY.jwk("k1");
        for (name, value) in changes.as_object().unwrap() {
            key[name] = value.clone();
        }
        key
    };
    let refused = |key: Value| assert_eq!(take_by(&set(std::slice::from_ref(&key)), &good()), Err(Refusal::UnknownKey), "{key}");
    assert!(take_by(&set(&[jwk(json!({"key_ops": ["verify"]}))]), &good()).is_ok());
    let mut padded = vec![0];
    padded.extend(KEY.modulus());
    assert!(take_by(&set(&[jwk(json!({"n": b64(&padded)}))]), &good()).is_ok(), "a leading zero is no other number");
    for changes in [
        json!({"use": "enc"}),
        json!({"alg": "RS384"}),
        json!({"alg": "PS256"}),
        json!({"alg": "HS256"}),
        json!({"alg": 256}),
        json!({"kty": "oct", "k": b64(&KEY.modulus())}),
        json!({"kty": "rsa"}),
        json!({"key_ops": ["sign"]}),
        json!({"key_ops": "verify"}),
        json!({"kid": ""}),
        json!({"kid": 1}),
        json!({"e": "AQ"}),
        json!({"e": "Aw"}),
        json!({"e": "AQAA"}),
        json!({"e": "AgAAAAE"}),
        json!({"e": ""}),
        json!({"e": b64(&[1; 9])}),
        json!({"n": ""}),
        json!({"n": "AA"}),
        json!({"n": "not base64!"}),
    ] {
        refused(jwk(changes));
    }
    // One bit less than 2048, one more than 8192, and an even number.
    let bits = |bits: usize| {
        let mut modulus = vec![0xff; bits.div_ceil(8)];
        modulus[0] = 0xff >> (modulus.len() * 8 - bits);
        modulus
    };
    let even = [&KEY.modulus()[..255], &[0x02]].concat();
    for modulus in [bits(1024), bits(2047), bits(8193), even] {
        refused(jwk(json!({ "n": b64(&modulus) })));
    }
    for modulus in [bits(2048), bits(8192)] {
        let set = set(&[jwk(json!({ "n": b64(&modulus) }))]);
        assert!(set.names("k1"), "within the limits");
    }
}

#[test]
fn a_set_that_is_not_one_is_told_from_one_without_keys() {
    use crate::oidc::keys::KeySet;
    assert!(KeySet::read(br#"{"keys":[]}"#).is_ok());
    let many = json!({ "keys": vec![json!({}); 101] }).to_string();
    for bytes in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "<html>", many.as_str()] {
        assert!(KeySet::read(bytes.as_bytes()).is_err(), "{bytes:.40}");
    }
}

#[test]
fn a_token_that_brings_a_key_or_a_place_for_one_is_refused() {
    let foreign = FOREIGN.jwk("k1");
    let payload = claims().to_string();
    for (name, value) in [
        ("jku", json!("https://idp.lantern.example/realm/keys")),
        ("jku", json!("http://169.254.169.254/latest/meta-data")),
        ("jwk", foreign),
        ("x5u", json!("https://kettle.example/chain.pem")),
        ("x5c", json!([STANDARD.encode(FOREIGN.0.public_key().as_ref())])),
    ] {
        // Signed by the key it brings, and by the provider's own.
        let header = header(json!({ name: value }));
        for signer in [&FOREIGN, &KEY] {
            assert_eq!(take(&signer.sign(&header, &payload)), Err(Refusal::Header(name)));
        }
    }
    // A thumbprint names a key and brings none; it is not looked at.
    assert!(take(&KEY.sign(&header(json!({"x5t": "abc"})), &payload)).is_ok());
}

#[test]
fn critical_extensions_and_wrapped_tokens_are_refused() {
    let payload = claims().to_string();
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!(["b64"])),
        ("b64", json!(false)),
        ("enc", json!("A256GCM")),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
        ("epk", json!({})),
    ] {
        assert_eq!(take(&KEY.sign(&header(json!({ name: value })), &payload)), Err(Refusal::Header(name)));
    }
    let five = format!("{}.a.b.c.d", b64(br#"{"alg":"RSA-OAEP","enc":"A256GCM","kid":"k1"}"#));
    assert_eq!(take(&five), Err(Refusal::Form));
    assert_eq!(take(&format!("{}.QQ.QQ", b64(br#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#))), Err(Refusal::Algorithm));
    // A token as the payload of a token.
    assert_eq!(take(&KEY.sign(HEADER, &good())), Err(Refusal::Form));
}

#[test]
fn a_token_of_another_kind_is_refused_by_what_it_calls_itself() {
    for kind in ["at+jwt", "AT+JWT", "application/at+jwt", "JWT", "jwt"] {
        assert!(take(&KEY.sign(&header(json!({ "typ": kind })), &claims().to_string())).is_ok(), "{kind}");
    }
    for kind in [json!("logout+jwt"), json!("dpop+jwt"), json!("JWE"), json!("secevent+jwt"), json!(""), json!(1), json!(null)] {
        let token = KEY.sign(&header(json!({ "typ": kind })), &claims().to_string());
        assert_eq!(take(&token), Err(Refusal::Kind), "{kind}");
    }
}

#[test]
fn a_signature_that_is_stripped_doubled_or_of_another_token_is_refused() {
    let [header, payload, signature] = parts(&good());
    let other = signed(&with(json!({"sub": "somebody-else"})));
    let [_, other_payload, other_signature] = parts(&other);
    for (token, refusal) in [
        (format!("{header}.{payload}."), Refusal::Signature),
        (format!("{header}.{payload}"), Refusal::Form),
        (format!("{header}.{payload}.{signature}.{signature}"), Refusal::Form),
        (format!("{header}.{payload}.{signature}."), Refusal::Form),
        (format!(".{header}.{payload}.{signature}"), Refusal::Form),
        (format!("{header}..{signature}"), Refusal::Form),
        (format!(".{payload}.{signature}"), Refusal::Form),
        ("..".into(), Refusal::Form),
        ("".into(), Refusal::Form),
        (format!("{header}.{payload}.{other_signature}"), Refusal::Signature),
        (format!("{header}.{other_payload}.{signature}"), Refusal::Signature),
        (format!("{header}.{payload}.{}", b64(&[0; 256])), Refusal::Signature),
        (format!("{header}.{payload}.{}", b64(&[0xff; 256])), Refusal::Signature),
        (format!("{header}.{payload}.AA"), Refusal::Signature),
        (format!("{header}.{payload}.{signature}{signature}"), Refusal::Signature),
    ] {
        assert_eq!(take(&token), Err(refusal), "{token}");
    }
    // The JSON forms of RFC 7515, with one signature and with two.
    let one = json!({"protected": header, "payload": payload, "signature": signature});
    let two = json!({"payload": payload, "signatures": [{"protected": header, "signature": signature}, {"protected": header, "signature": other_signature}]});
    for token in [one.to_string(), two.to_string(), format!("[{one}]")] {
        assert!(take(&token).is_err());
    }
}

#[test]
fn only_the_one_spelling_of_base64url_is_read() {
    let token = good();
    let [header, payload, signature] = parts(&token);
    let spellings = [
        format!(" {token}"),
        format!("{token} "),
        format!("{token}\n"),
        format!("\u{feff}{token}"),
        format!("Bearer {token}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}=.{signature}"),
        format!("{header}.{payload}.{signature}="),
        format!("{header}.{payload}.{signature}=="),
        format!("{header}.\n{payload}.{signature}"),
        format!("{header} .{payload}.{signature}"),
        format!("{header}.{payload}.{signature}%20"),
        token.replace('.', "%2E"),
        token.replace('.', "。"),
    ];
    for spelling in spellings {
        assert!(matches!(take(&spelling), Err(Refusal::Form | Refusal::Signature)), "{spelling}");
    }
    // Signed as it stands, so that only the spelling is wrong: padding, the other alphabet, unused bits that are set.
    let plain = claims().to_string();
    let claims_of = |ending: &str| format!("{}{ending}", plain.trim_end_matches('}'));
    let uneven = (0..3).map(|blanks| claims_of(&format!("{}}}", " ".repeat(blanks)))).find(|text| text.len() % 3 == 1).unwrap();
    let even = b64(uneven.as_bytes());
    let last = char::from(even.as_bytes()[even.len() - 1] + 1);
    for payload in [format!("{even}=="), format!("{}{last}", &even[..even.len() - 1]), format!("{even} ")] {
        let message = format!("{header}.{payload}");
        let token = format!("{message}.{}", b64(&KEY.signature(&RSA_PKCS1_SHA256, &message)));
        assert_eq!(take(&token), Err(Refusal::Form), "{payload}");
    }
    let message = format!("{header}.{even}");
    assert!(take(&format!("{message}.{}", b64(&KEY.signature(&RSA_PKCS1_SHA256, &message)))).is_ok(), "the right spelling");
}

#[test]
fn json_that_two_readers_could_read_differently_is_refused() {
    let payload = claims().to_string();
    let inside = payload.trim_start_matches('{').trim_end_matches('}');
    for text in [
        format!(r#"{{"sub":"somebody-else",{inside}}}"#),
        format!(r#"{{{inside},"sub":"somebody-else"}}"#),
        format!(r#"{{{inside},"s\u0075b":"somebody-else"}}"#),
        format!(r#"{{{inside},"address":{{"a":1,"a":2}}}}"#),
        format!(r#"{{{inside},"list":[{{"a":1,"a":2}}]}}"#),
        format!("{payload}{payload}"),
        format!("{payload}}}"),
        format!("[{payload}]"),
        "null".into(),
        "\"text\"".into(),
        "{".into(),
        format!("\u{feff}{payload}"),
        format!(r#"{{{inside},"deep":{}{}}}"#, "[".repeat(2000), "]".repeat(2000)),
        format!(r#"{{{inside},}}"#),
        format!(r#"{{{inside},"nan":NaN}}"#),
        format!(r#"{{{inside},"half":"\ud800"}}"#),
    ] {
        assert_eq!(take(&KEY.sign(HEADER, &text)), Err(Refusal::Form), "{text:.80}");
    }
    for header in [
        r#"{"alg":"none","alg":"RS256","kid":"k1"}"#,
        r#"{"alg":"RS256","alg":"none","kid":"k1"}"#,
        r#"{"alg":"RS256","kid":"k2","kid":"k1"}"#,
        r#"{"alg":"RS256","kid":"k1","kid":"k1"}"#,
        r#"{"alg":"RS256","kid":"k1","al\u0067":"none"}"#,
        r#"{"alg":"RS256","kid":"k1"} {}"#,
        r#"["RS256"]"#,
        "RS256",
    ] {
        assert_eq!(take(&KEY.sign(header, &payload)), Err(Refusal::Form), "{header}");
    }
    let bytes = format!("{}.{}", b64(HEADER.as_bytes()), b64(b"{\"iss\":\"\xff\"}"));
    let token = format!("{bytes}.{}", b64(&KEY.signature(&RSA_PKCS1_SHA256, &bytes)));
    assert_eq!(take(&token), Err(Refusal::Form), "no UTF-8");
}

#[test]
fn a_huge_token_is_refused_unread_and_one_just_below_is_read() {
    let filled = |bytes: usize| signed(&with(json!({ "filling": "x".repeat(bytes) })));
    let longest = (0..9000).step_by(3).map(|less| filled(12_000 - less)).find(|token| token.len() <= TOKEN_BYTES_MAX).unwrap();
    assert!(longest.len() > TOKEN_BYTES_MAX - 8 && take(&longest).is_ok());
    assert_eq!(take(&filled(12_000)), Err(Refusal::TooLong));
    assert_eq!(take(&"a".repeat(TOKEN_BYTES_MAX + 1)), Err(Refusal::TooLong));
    assert_eq!(take(&".".repeat(TOKEN_BYTES_MAX)), Err(Refusal::Form));
}

#[test]
fn a_refusal_tells_nothing_of_the_token() {
    let token = signed(&with(json!({"iss": "https://hush.example"})));
    let error = crate::Error::from(take(&token).expect_err("another issuer"));
    assert_eq!(error.kind(), crate::ErrorKind::Refused);
    assert!(!format!("{error:?}").contains("hush"));
}

/// Signed once, since signing takes the most of a case.
static GOOD: LazyLock<String> = LazyLock::new(good);

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every character counts, that of the signature's last unused bits as well.
    #[test]
    fn any_changed_character_is_refused(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.=-]") {
        let mut token = GOOD.clone();
        let at = at.index(token.len());
        prop_assume!(token[at..=at] != to);
        token.replace_range(at..=at, &to);
        prop_assert!(take(&token).is_err());
    }

    #[test]
    fn any_flipped_bit_of_payload_or_signature_is_refused(part in 1..3_usize, at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut parts = parts(&GOOD);
        let mut bytes = crate::oidc::strict::base64url(&parts[part]).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        parts[part] = b64(&bytes);
        prop_assert_eq!(take(&parts.join(".")), Err(Refusal::Signature));
    }

    #[test]
    fn a_cut_or_lengthened_token_is_refused(at in any::<prop::sample::Index>(), more in "[A-Za-z0-9_.-]{1,8}") {
        let token = &*GOOD;
        let at = at.index(token.len());
        prop_assert!(take(&token[..at]).is_err());
        for mangled in [format!("{token}{more}"), format!("{more}{token}")] {
            prop_assert!(take(&mangled).is_err());
        }
    }

    #[test]
    fn whatever_is_sent_is_answered(text in "\\PC{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(take(&text).is_err());
        prop_assert!(take(&String::from_utf8_lossy(&bytes)).is_err());
        for header in [b64(&bytes), b64(text.as_bytes()), b64(HEADER.as_bytes())] {
            let token = [header, b64(&bytes), b64(text.as_bytes())].join(".");
            prop_assert!(take(&token).is_err());
        }
    }

    /// Only RS256 opens the door, however the other members of the header stand.
    #[test]
    fn no_header_but_one_of_rs256_is_read(algorithm in "[A-Za-z0-9]{0,8}", more in "[a-z]{1,6}", value in "\\PC{0,20}") {
        prop_assume!(algorithm != "RS256");
        let header = json!({ more: value, "kid": "k1", "alg": algorithm }).to_string();
        let token = [b64(header.as_bytes()), b64(b"{}"), b64(b"signature")].join(".");
        prop_assert_eq!(Compact::read(&token).err(), Some(Refusal::Algorithm));
    }
}
