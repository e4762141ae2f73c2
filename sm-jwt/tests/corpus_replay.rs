//! Every file of the committed fuzz corpora, through the same bodies as the fuzzer, on stable Rust.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]

mod fuzz_bodies;

use std::fs;
use std::path::Path;

fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut files = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        body(&fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files > 0, "{} is empty", folder.display());
}

#[test]
fn token() {
    replay("sm_jwt_token", fuzz_bodies::parse_token);
}

#[test]
fn claims() {
    replay("sm_jwt_claims", fuzz_bodies::parse_claims);
}

#[test]
fn jwk() {
    replay("sm_jwt_jwk", fuzz_bodies::parse_jwk);
}

#[test]
fn jwks() {
    replay("sm_jwt_jwks", fuzz_bodies::parse_jwks);
}

#[test]
fn pem() {
    replay("sm_jwt_pem", fuzz_bodies::parse_pem);
}

#[test]
fn der() {
    replay("sm_jwt_der", fuzz_bodies::parse_der);
}

#[test]
fn jws() {
    replay("sm_jwt_jws", fuzz_bodies::parse_jws);
}

#[test]
fn dpop() {
    replay("sm_jwt_dpop", fuzz_bodies::parse_dpop);
}

/// The seeds are worth something: some of them are accepted.
#[test]
fn seeds_reach_the_end() {
    let seed = |path: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
        fs::read_to_string(folder.join(path)).unwrap()
    };
    use sm_jwt::{KeySet, Limits, Profile, SigningKey, UnverifiedToken, VerifyingKey};
    assert!(UnverifiedToken::parse(&seed("sm_jwt_token/valid_raw"), &Limits::default()).is_ok());
    assert!(fuzz_bodies::accepts_jws(&seed("sm_jwt_jws/compact")));
    assert!(fuzz_bodies::accepts_jws(&seed(
        "sm_jwt_jws/json_general_unencoded"
    )));
    assert!(fuzz_bodies::accepts_dpop(&seed("sm_jwt_dpop/valid")));
    assert!(SigningKey::from_jwk(&seed("sm_jwt_jwk/private")).is_ok());
    assert!(VerifyingKey::from_jwk(&seed("sm_jwt_jwk/public")).is_ok());
    assert!(SigningKey::from_pkcs8_pem(&seed("sm_jwt_pem/pkcs8")).is_ok());
    for (name, keys) in [
        ("two", 2),
        ("mixed", 1),
        ("spellings", 2),
        ("escaped_kid", 1),
    ] {
        let set = KeySet::from_jwks(&seed(&format!("sm_jwt_jwks/{name}")), &Profile::default());
        assert_eq!(set.unwrap().len(), keys, "{name}");
    }
}
