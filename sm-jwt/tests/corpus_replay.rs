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
fn pem() {
    replay("sm_jwt_pem", fuzz_bodies::parse_pem);
}

#[test]
fn der() {
    replay("sm_jwt_der", fuzz_bodies::parse_der);
}

/// The seeds are worth something: some of them are accepted.
#[test]
fn seeds_reach_the_end() {
    let seed = |path: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
        fs::read_to_string(folder.join(path)).unwrap()
    };
    use sm_jwt::{Limits, SigningKey, UnverifiedToken, VerifyingKey};
    assert!(UnverifiedToken::parse(&seed("sm_jwt_token/valid_raw"), &Limits::default()).is_ok());
    assert!(SigningKey::from_jwk(&seed("sm_jwt_jwk/private")).is_ok());
    assert!(VerifyingKey::from_jwk(&seed("sm_jwt_jwk/public")).is_ok());
    assert!(SigningKey::from_pkcs8_pem(&seed("sm_jwt_pem/pkcs8")).is_ok());
}
