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

use std::future::Future;
use std::sync::{Arc, LazyLock};

use sm_jwt::{
    DpopPolicy, Error, JwsVerifier, KeyId, KeySet, Limits, ManualClock, MemoryReplayStore, NoExtra,
    Presented, Profile, ReplayPolicy, SharedKeySet, SignatureEncoding, SignatureRule, SigningKey,
    TokenType, UnverifiedToken, VerifiedPayload, VerifiedToken, Verifier, VerifyingKey,
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

/// A JWK set: its keys are good ones, and it is the same when it is written and read again.
pub fn parse_jwks(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let set = match KeySet::from_jwks(text, &Profile::default()) {
        Ok(set) => set,
        Err(error) => {
            check_code(error.code());
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let again = KeySet::from_jwks(&set.to_jwks(), &Profile::default()).unwrap();
    assert_eq!(again.len(), set.len());
    for key in set.iter() {
        assert_eq!(again.get(key.kid().as_str()).unwrap().key(), key.key());
        check_public(key.key());
    }
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

static JWS_VERIFIERS: LazyLock<[JwsVerifier; 2]> = LazyLock::new(|| {
    [SignatureRule::All, SignatureRule::AtLeast(1)].map(|rule| {
        let key = VerifyingKey::from_jwk(PUBLIC_JWK).unwrap();
        let kid = KeyId::new("key-1").unwrap();
        let keys = KeySet::new([(kid, key, Profile::default())]).unwrap();
        JwsVerifier::builder(Arc::new(SharedKeySet::new(keys)))
            .typ("statement+jws")
            .rule(rule)
            .build()
            .unwrap()
    })
});

fn check_payload(result: Result<VerifiedPayload, Error>) {
    match result {
        Ok(verified) => {
            let (key, header) = verified.signatures().next().unwrap();
            assert_eq!((key.kid().as_str(), header.kid()), ("key-1", "key-1"));
            assert_eq!(header.alg(), "SGD_SM3_SM2");
        }
        Err(error) => {
            check_code(error.code());
            assert!(!error.to_string().is_empty());
        }
    }
}

/// Whether this is a signed payload in the JSON serialisation, or a compact one.
pub fn accepts_jws(text: &str) -> bool {
    JWS_VERIFIERS
        .iter()
        .any(|verifier| verifier.verify_json(text).is_ok() || verifier.verify_compact(text).is_ok())
}

/// A signed payload, taken for every form. With a zero byte in it: the JSON texts of a protected header and of an
/// unprotected one.
pub fn parse_jws(data: &[u8]) {
    if let Some(at) = data.iter().position(|byte| *byte == 0) {
        let (protected, header) = (&data[..at], &data[at + 1..]);
        let header = String::from_utf8_lossy(header);
        let text = format!(
            r#"{{"payload":"eA","protected":"{}","header":{header},"signature":"{}"}}"#,
            base64url(protected),
            base64url(&[1; 64])
        );
        for verifier in JWS_VERIFIERS.iter() {
            assert!(verifier.verify_json(&text).is_err());
        }
        return;
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for verifier in JWS_VERIFIERS.iter() {
        check_payload(verifier.verify_json(text));
        check_payload(verifier.verify_json_detached(text, b"payload"));
        check_payload(verifier.verify_compact(text));
        check_payload(verifier.verify_detached(text, b"payload"));
    }
}

/// An access token of the fixed key, bound to the key of the proofs in the corpus.
pub const DPOP_TOKEN: &str = include_str!("dpop_token.txt");

/// The one poll of a future that never waits.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("a memory store waits for nothing"),
    }
}

fn dpop_verifier() -> Verifier {
    let clock = Arc::new(ManualClock::new(1_700_000_000));
    let store = Arc::new(MemoryReplayStore::new(10, clock.clone()));
    let key = VerifyingKey::from_jwk(PUBLIC_JWK).unwrap();
    Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
        .issuer(
            "https://issuer.example",
            [(KeyId::new("key-1").unwrap(), key, Profile::default())],
        )
        .audience("core-banking")
        .dpop(DpopPolicy::new(store))
        .clock(clock)
        .build()
        .unwrap()
}

/// Whether this is a proof that goes with the token.
pub fn accepts_dpop(proof: &str) -> bool {
    let presented = Presented::new().dpop(proof, "GET", "https://api.bank.example/a");
    let token = DPOP_TOKEN.trim_end();
    ready(dpop_verifier().accept_with::<NoExtra>(token, &presented)).is_ok()
}

/// A DPoP proof; with a zero byte in it, its header and payload as JSON texts.
pub fn parse_dpop(data: &[u8]) {
    let proof = match data.iter().position(|byte| *byte == 0) {
        Some(at) => format!(
            "{}.{}.{}",
            base64url(&data[..at]),
            base64url(&data[at + 1..]),
            base64url(&[1; 64])
        ),
        None => String::from_utf8_lossy(data).into_owned(),
    };
    let verifier = dpop_verifier();
    let presented = Presented::new().dpop(&proof, "GET", "https://api.bank.example/a");
    let result: Result<VerifiedToken, Error> =
        ready(verifier.accept_with(DPOP_TOKEN.trim_end(), &presented));
    match result {
        Ok(_) => {
            // What passed once is consumed.
            let again = ready(verifier.accept_with::<NoExtra>(DPOP_TOKEN.trim_end(), &presented));
            assert_eq!(again.unwrap_err().code(), "dpop_proof_replayed");
        }
        Err(error) => check_code(error.code()),
    }
}
