//! What each fuzz target does with its bytes. Used by the fuzzer and, over the committed corpora, by
//! `corpus_replay.rs` on stable Rust. Only the crate's public surface is used.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]

use std::sync::{Arc, LazyLock};

use sm_jwt::{
    KeyId, Limits, ManualClock, NoExtra, Profile, ReplayPolicy, SignatureEncoding, SigningKey,
    TokenType, UnverifiedToken, Verifier, VerifyingKey,
};

/// The public key of GM/T 0003.5 annex A; the corpus holds tokens that its private key signed.
const PUBLIC_JWK: &str = r#"{"kty":"EC","crv":"SM2","x":"CfnfMR5UIaFQ3X0WHkvFxnIXn60YM_wHa7CP81bzUCA","y":"zOpJDOJndaUtxupxjMGqYArtBfvzXghKZjL2By2prRM"}"#;

static VERIFIERS: LazyLock<[Verifier; 2]> = LazyLock::new(|| {
    [SignatureEncoding::Raw, SignatureEncoding::Der].map(|encoding| {
        let key = VerifyingKey::from_jwk(PUBLIC_JWK).unwrap();
        let profile = Profile::default().with_encoding(encoding);
        Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
            .issuer(
                "https://issuer.example",
                [(KeyId::new("key-1").unwrap(), key, profile)],
            )
            .audience("core-banking")
            .clock(Arc::new(ManualClock::new(1_700_000_000)))
            .build()
            .unwrap()
    })
});

fn check_code(code: &str) {
    assert!(
        !code.is_empty()
            && code
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    );
}

/// A token: reading and verifying never panic, a token that reads has exactly one spelling, and a
/// verified one is what it says.
pub fn parse_token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Err(error) = UnverifiedToken::parse(text, &Limits::default()) {
        check_code(error.code());
        return;
    }
    let parts: Vec<&str> = text.split('.').collect();
    assert_eq!(parts.len(), 3);
    for index in 0..3 {
        for other in respellings(parts[index]) {
            let mut changed = parts.clone();
            changed[index] = &other;
            let changed = changed.join(".");
            assert!(UnverifiedToken::parse(&changed, &Limits::default()).is_err());
        }
    }
    for verifier in VERIFIERS.iter() {
        let parsed = UnverifiedToken::parse(text, &Limits::default()).unwrap();
        let (kid, issuer) = (
            parsed.unverified_kid().to_owned(),
            parsed.unverified_issuer().to_owned(),
        );
        match verifier.verify::<NoExtra>(parsed) {
            Ok(token) => {
                let claims = token.claims();
                assert_eq!(
                    (token.kid(), claims.issuer()),
                    (kid.as_str(), issuer.as_str())
                );
                assert_eq!(
                    (kid.as_str(), issuer.as_str()),
                    ("key-1", "https://issuer.example")
                );
                assert_eq!(claims.sm2_kid(), Some("key-1"));
                assert!(claims.audience().iter().any(|aud| aud == "core-banking"));
                assert!(claims.expires_at() > claims.issued_at() && !claims.token_id().is_empty());
                assert_eq!(token.header().alg(), "SGD_SM3_SM2");
            }
            Err(error) => {
                check_code(error.code());
                assert!(!error.to_string().is_empty());
            }
        }
    }
}

/// A header and a payload, split at the first zero byte, as the JSON texts of a token: reaches the
/// JSON readers without the fuzzer having to learn base64url.
pub fn parse_claims(data: &[u8]) {
    let (header, payload) = match data.iter().position(|byte| *byte == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (HEADER.as_bytes(), data),
    };
    let token = format!(
        "{}.{}.{}",
        base64url(header),
        base64url(payload),
        base64url(&[1; 64])
    );
    parse_token(token.as_bytes());
}

const HEADER: &str = r#"{"alg":"SGD_SM3_SM2","typ":"at+jwt","kid":"key-1","crv":"sm2p256v1"}"#;

fn base64url(bytes: &[u8]) -> String {
    bytes
        .chunks(3)
        .flat_map(|chunk| {
            let bits = chunk
                .iter()
                .fold(0u32, |bits, byte| (bits << 8) | u32::from(*byte))
                << (8 * (3 - chunk.len()));
            (0..=chunk.len())
                .map(move |i| char::from(ALPHABET[(bits >> (18 - 6 * i)) as usize & 63]))
        })
        .collect()
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Other spellings of the same bytes in lax base64url: padding, white space, trailing bits.
fn respellings(part: &str) -> Vec<String> {
    let mut out = vec![format!("{part}="), format!("{part}\n"), format!(" {part}")];
    let unused_bits = match part.len() % 4 {
        2 => 15,
        3 => 3,
        _ => 0,
    };
    if let Some(last) = part.bytes().last() {
        let value = ALPHABET.iter().position(|c| *c == last).unwrap();
        for low in 1..=unused_bits {
            let other = char::from(ALPHABET[value | low]);
            out.push(format!("{}{other}", &part[..part.len() - 1]));
        }
    }
    out
}

fn check_private(key: &SigningKey) {
    let again = SigningKey::from_pkcs8_der(&key.to_pkcs8_der()).unwrap();
    assert_eq!(again.verifying_key(), key.verifying_key());
    let again = SigningKey::from_pkcs8_pem(&key.to_pkcs8_pem()).unwrap();
    assert_eq!(again.to_pkcs8_der(), key.to_pkcs8_der());
    check_public(key.verifying_key());
}

fn check_public(key: &VerifyingKey) {
    assert_eq!(
        VerifyingKey::from_spki_der(&key.to_spki_der()).unwrap(),
        *key
    );
    assert_eq!(
        VerifyingKey::from_spki_pem(&key.to_spki_pem()).unwrap(),
        *key
    );
    assert_eq!(
        VerifyingKey::from_sec1_bytes(&key.to_sec1_bytes()).unwrap(),
        *key
    );
    assert_eq!(VerifyingKey::from_jwk(&key.to_jwk(None)).unwrap(), *key);
}

/// A JWK, private or public: what is read comes back through every other form.
pub fn parse_jwk(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match VerifyingKey::from_jwk(text) {
        Ok(key) => check_public(&key),
        Err(error) => check_code(error.code()),
    }
    match SigningKey::from_jwk(text) {
        Ok(key) => check_private(&key),
        Err(error) => check_code(error.code()),
    }
}

/// A PEM file, taken for each kind of key.
pub fn parse_pem(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for key in [
        SigningKey::from_pkcs8_pem(text),
        SigningKey::from_sec1_pem(text),
    ] {
        match key {
            Ok(key) => check_private(&key),
            Err(error) => check_code(error.code()),
        }
    }
    match VerifyingKey::from_spki_pem(text) {
        Ok(key) => check_public(&key),
        Err(error) => check_code(error.code()),
    }
}

/// A DER document or point, taken for each kind of key. A public key with its point uncompressed has
/// one spelling only.
pub fn parse_der(data: &[u8]) {
    for key in [
        SigningKey::from_pkcs8_der(data),
        SigningKey::from_sec1_der(data),
    ] {
        match key {
            Ok(key) => check_private(&key),
            Err(error) => check_code(error.code()),
        }
    }
    if let Ok(key) = VerifyingKey::from_spki_der(data) {
        check_public(&key);
        let compressed = data.len() < key.to_spki_der().len();
        assert!(compressed || key.to_spki_der() == data);
    }
    if let Ok(key) = VerifyingKey::from_sec1_bytes(data) {
        check_public(&key);
        assert!(data.len() == 33 || key.to_sec1_bytes() == data);
    }
}
