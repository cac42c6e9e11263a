//! Test vectors, and what must not be.

use chrono::DateTime;

use super::{
    password::{Hasher, Password},
    token::{OwnToken, Secret, same},
    totp::TotpSecret,
};
use crate::ErrorKind;

#[test]
fn codes_are_those_of_rfc_6238() {
    // Appendix B: the ASCII secret 12345678901234567890, SHA-1; of its eight digits the last six.
    let secret = TotpSecret::from_base32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
    for (seconds, code) in [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ] {
        let at = DateTime::from_timestamp(seconds, 0).unwrap();
        assert_eq!(secret.code_at(at).unwrap(), code);
        assert_eq!(secret.step_of(code, at, 0), Some(u64::try_from(seconds).unwrap() / 30));
    }
}

#[test]
fn a_code_is_good_one_step_either_way_and_never_at_or_before_the_last_accepted() {
    let secret = TotpSecret::generate();
    let at = |seconds: i64| DateTime::from_timestamp(1_780_000_000 + seconds, 0).unwrap();
    let code = secret.code_at(at(0)).unwrap();
    let step = 1_780_000_000 / 30;
    for (seconds, accepted, expected) in
        [(0, 0, true), (30, 0, true), (-30, 0, true), (90, 0, false), (-90, 0, false), (0, step, false), (0, step - 1, true)]
    {
        assert_eq!(secret.step_of(&code, at(seconds), accepted).is_some(), expected, "{seconds} s, {accepted}");
    }
    assert!(secret.step_of(&format!(" {} {} ", &code[..3], &code[3..]), at(0), 0).is_some(), "as apps show it");
    for junk in ["", "12345", "1234567", "abcdef", "１２３４５６", "+12345"] {
        assert_eq!(secret.step_of(junk, at(0), 0), None, "{junk}");
    }
    let again = TotpSecret::from_base32(&secret.to_base32()).unwrap();
    assert_eq!(again.code_at(at(0)).unwrap(), code);
    assert_eq!(TotpSecret::from_base32("GEZDGNBV").unwrap_err().kind(), ErrorKind::Damaged);
    assert!(!format!("{secret:?}").contains(secret.to_base32().as_str()));
}

#[tokio::test]
async fn a_hash_verifies_its_password_only_and_every_check_is_one_run() {
    let hasher = Hasher::new(4, 2, 8);
    let password = Password::new("a fair wind from the north");
    let hash = hasher.hash(&password).await.unwrap();
    assert!(hash.starts_with("$2b$04$") && hash != hasher.hash(&password).await.unwrap(), "each with a salt of its own");
    assert_eq!(hasher.runs(), 2);
    assert!(hasher.verify(&password, Some(&hash)).await.unwrap());
    assert!(!hasher.verify(&Password::new("a fair wind from the north!"), Some(&hash)).await.unwrap());
    assert!(!hasher.verify(&password, None).await.unwrap());
    assert!(!hasher.verify(&Password::new("x".repeat(73)), Some(&hash)).await.unwrap());
    assert_eq!(hasher.runs(), 6, "also for nobody, and for what is too long");
    assert_eq!(hasher.verify(&password, Some("$2b$12$junk")).await.unwrap_err().kind(), ErrorKind::Damaged);
    assert_eq!(hasher.hash(&Password::new("x".repeat(73))).await.unwrap_err().kind(), ErrorKind::Input);
    // bcrypt repeats its key with a zero byte between, so these two are one to it.
    let (twice, once) = (Password::new("windy\0windy"), Password::new("windy"));
    let hash = hasher.hash(&once).await.unwrap();
    assert!(bcrypt::verify("windy\0windy", &hash).unwrap());
    assert!(!hasher.verify(&twice, Some(&hash)).await.unwrap());
}

#[tokio::test]
async fn a_new_hash_costs_two_to_the_twelfth_rounds() {
    let hasher = Hasher::new(super::password::COST_MIN, 1, 8);
    let hash = hasher.hash(&Password::new("a fair wind from the north")).await.unwrap();
    assert!(hash.starts_with("$2b$12$"), "{hash}");
    assert!(hasher.verify(&Password::new("a fair wind from the north"), Some(&hash)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_may_wait_are_sent_away_and_those_who_wait_are_served() {
    let hasher = std::sync::Arc::new(Hasher::new(10, 1, 3));
    let password = Password::new("a fair wind from the north");
    let runs = (0..20).map(|_| {
        let (hasher, password) = (hasher.clone(), password.clone());
        tokio::spawn(async move { hasher.verify(&password, None).await })
    });
    let answers: Vec<_> = futures::future::join_all(runs).await.into_iter().map(|joined| joined.unwrap()).collect();
    let served = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!((4..20).contains(&served), "{served} served");
    for answer in answers {
        assert!(answer.map_or_else(|error| error.kind() == ErrorKind::Retry, |same| !same));
    }
    assert!(!hasher.verify(&password, None).await.unwrap(), "room again");
}

#[test]
fn own_tokens_read_back_and_nothing_else_does() {
    let token = OwnToken::new(&"acme-imports".parse().unwrap());
    let text = token.text();
    assert_eq!(OwnToken::parse(text.reveal()), Some(token.clone()));
    assert_eq!(token.secret.digest().len(), 64);
    assert_ne!(token.secret.digest(), token.secret.reveal());
    let junk = text.reveal().replace("bonded_", "other_");
    for junk in [
        junk.as_str(),
        "",
        "bonded",
        "bonded_acme-imports_1_2",
        &text.reveal().replace("acme", "ACME"),
        &text.reveal().replace('_', "-"),
    ] {
        assert_eq!(OwnToken::parse(junk), None, "{junk}");
    }
    assert!(!format!("{token:?} {text:?}").contains(token.secret.reveal()));
}

#[test]
fn codes_are_six_digits_and_spread_evenly() {
    let mut first = [0_u32; 10];
    for _ in 0..20_000 {
        let code = Secret::code();
        assert!(code.reveal().len() == 6 && code.reveal().bytes().all(|byte| byte.is_ascii_digit()));
        first[usize::from(code.reveal().as_bytes()[0] - b'0')] += 1;
    }
    // 2,000 each; ten standard deviations (42) beyond is no chance.
    assert!(first.iter().all(|count| (1_580..2_420).contains(count)), "{first:?}");
    let recovery = Secret::recovery_code();
    assert_eq!((recovery.reveal().len(), recovery.reveal().matches('-').count()), (19, 3));
    assert!(same("a", "a") && !same("a", "b") && !same("a", "aa"));
}
