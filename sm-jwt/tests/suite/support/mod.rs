//! A fixed world for the tests: one issuer, one key, one clock, and a forger who holds the key and
//! signs whatever bytes a test wants with RustCrypto's own SM2, sharing no code with the crate.
#![allow(dead_code, unreachable_pub)]

pub mod dpop;
pub mod keys;
pub mod stores;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Value, json};
use sm_jwt::*;
use sm2::dsa::signature::Signer as _;

pub const NOW: u64 = 1_700_000_000;
pub const ISSUER: &str = "https://issuer.example";
pub const AUDIENCE: &str = "core-banking";
pub const KID: &str = "key-1";
pub const USER_ID: &str = "1234567812345678";
/// The private scalar of GM/T 0003.5 annex A.
pub const D: [u8; 32] = [
    0x39, 0x45, 0x20, 0x8F, 0x7B, 0x21, 0x44, 0xB1, 0x3F, 0x36, 0xE3, 0x8A, 0xC6, 0xD3, 0x9F, 0x95,
    0x88, 0x93, 0x93, 0x69, 0x28, 0x60, 0xB5, 0x1A, 0x42, 0xFB, 0x81, 0xEF, 0x4D, 0xF7, 0xC5, 0xB8,
];

/// n, the order of the curve's group.
pub const N: [u8; 32] = [
    0xFF, 0xFF, 0xFF, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
    0x72, 0x03, 0xDF, 0x6B, 0x21, 0xC6, 0x05, 0x2B, 0x53, 0xBB, 0xF4, 0x09, 0x39, 0xD5, 0x41, 0x23,
];

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(bytes.as_ref())
}

pub fn unb64(text: &str) -> Vec<u8> {
    Base64UrlUnpadded::decode_vec(text).unwrap()
}

pub fn kid(name: &str) -> KeyId {
    KeyId::new(name).unwrap()
}

/// A private JWK for `d`, its point computed by RustCrypto.
pub fn private_jwk(d: &[u8; 32]) -> Value {
    let secret = sm2::SecretKey::from_slice(d).unwrap();
    let point = secret.public_key().to_sec1_bytes();
    json!({
        "kty": "EC", "crv": "SM2", "x": b64(&point[1..33]), "y": b64(&point[33..]), "d": b64(d),
    })
}

pub fn signing_key() -> SigningKey {
    SigningKey::from_jwk(&private_jwk(&D).to_string()).unwrap()
}

pub fn verifying_key() -> VerifyingKey {
    signing_key().verifying_key().clone()
}

pub fn clock() -> ManualClock {
    ManualClock::new(NOW)
}

pub fn builder(token_type: TokenType, policy: ReplayPolicy) -> VerifierBuilder {
    Verifier::builder(token_type, policy)
        .issuer(ISSUER, [(kid(KID), verifying_key(), Profile::default())])
        .audience(AUDIENCE)
        .clock(Arc::new(clock()))
}

pub fn access_builder() -> VerifierBuilder {
    builder(TokenType::Access, ReplayPolicy::MultiUse)
}

pub fn access_verifier() -> Verifier {
    access_builder().build().unwrap()
}

pub fn signer() -> Signer {
    Signer::new(signing_key(), kid(KID), Profile::default())
        .unwrap()
        .with_clock(Arc::new(clock()))
}

pub fn claims() -> ClaimsBuilder {
    Claims::builder()
        .issuer(ISSUER)
        .subject("user-1")
        .audience(AUDIENCE)
        .tenant("bank-a")
        .roles(["teller"])
        .lifetime(Duration::from_secs(600))
}

pub fn access_token() -> String {
    signer()
        .sign(&claims(), TokenType::Access, &NoExtra)
        .unwrap()
}

/// A header that the default profile accepts.
pub fn header() -> Value {
    json!({ "alg": "SGD_SM3_SM2", "typ": "at+jwt", "kid": KID, "crv": "sm2p256v1" })
}

/// A payload that [`access_verifier`] accepts.
pub fn payload() -> Value {
    json!({
        "iss": ISSUER, "sub": "user-1", "aud": AUDIENCE, "iat": NOW, "exp": NOW + 600,
        "jti": "id-1", "sm2_kid": KID,
    })
}

/// `base` with members replaced, or removed where `null`.
pub fn with(mut base: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            base.as_object_mut().unwrap().remove(name);
        } else {
            base[name] = value.clone();
        }
    }
    base
}

/// r ‖ s over `message` by RustCrypto.
pub fn raw_signature(message: &[u8]) -> [u8; 64] {
    raw_signature_by(&D, message)
}

/// The same by another private key.
pub fn raw_signature_by(d: &[u8; 32], message: &[u8]) -> [u8; 64] {
    let key = sm2::dsa::SigningKey::from_slice(USER_ID, d).unwrap();
    let signature: sm2::dsa::Signature = key.try_sign(message).unwrap();
    signature.to_bytes().into()
}

/// a - b of two big-endian numbers, modulo 2^256.
pub fn minus(a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
    let mut difference = [0; 32];
    let mut borrow = false;
    for index in (0..32).rev() {
        let (byte, first) = a[index].overflowing_sub(b[index]);
        let (byte, second) = byte.overflowing_sub(u8::from(borrow));
        difference[index] = byte;
        borrow = first || second;
    }
    difference
}

/// A value of DER with a short length, or with the long form of one byte that it then needs.
pub fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
    let len = u8::try_from(contents.len()).unwrap();
    match len {
        0..=0x7F => [&[tag, len], contents].concat(),
        _ => [&[tag, 0x81, len], contents].concat(),
    }
}

/// The INTEGER of an unsigned big-endian number.
pub fn integer(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|byte| *byte != 0);
    let significant = start.map_or(&[0][..], |start| &number[start..]);
    match significant[0] {
        0x80.. => tlv(2, &[&[0], significant].concat()),
        _ => tlv(2, significant),
    }
}

/// r ‖ s as SEQUENCE { r, s }.
pub fn to_der(raw: &[u8]) -> Vec<u8> {
    let (r, s) = raw.split_at(32);
    tlv(0x30, &[integer(r), integer(s)].concat())
}

/// SEQUENCE { r, s } as r ‖ s.
pub fn to_raw(der: &[u8]) -> [u8; 64] {
    let mut raw = [0; 64];
    let mut rest = &der[2..];
    for number in raw.chunks_mut(32) {
        let (contents, after) = rest[2..].split_at(usize::from(rest[1]));
        let start = contents.iter().position(|byte| *byte != 0);
        let significant = &contents[start.unwrap_or(contents.len())..];
        number[32 - significant.len()..].copy_from_slice(significant);
        rest = after;
    }
    raw
}

/// A well-signed token of exactly these header and payload texts.
pub fn forge_text(header: &str, payload: &str) -> String {
    forge_text_by(&D, header, payload)
}

/// The same by another private key.
pub fn forge_text_by(d: &[u8; 32], header: &str, payload: &str) -> String {
    let input = format!("{}.{}", b64(header), b64(payload));
    let signature = raw_signature_by(d, input.as_bytes());
    format!("{input}.{}", b64(signature))
}

pub fn forge(header: &Value, payload: &Value) -> String {
    forge_text(&header.to_string(), &payload.to_string())
}

pub fn forge_header(changes: Value) -> String {
    forge(&with(header(), changes), &payload())
}

pub fn forge_payload(changes: Value) -> String {
    forge(&header(), &with(payload(), changes))
}

/// A public JWK for `d`.
pub fn public_jwk(d: &[u8; 32]) -> Value {
    with(private_jwk(d), json!({ "d": null }))
}

/// The key of `d` as the crate reads it.
pub fn key_of(d: &[u8; 32]) -> SigningKey {
    SigningKey::from_jwk(&private_jwk(d).to_string()).unwrap()
}

/// SHA-256 in base64url, by RustCrypto.
pub fn sha256_b64(bytes: impl AsRef<[u8]>) -> String {
    use sm3::Digest as _;
    b64(sha2::Sha256::digest(bytes.as_ref()))
}

/// SM3 in base64url, by RustCrypto.
pub fn sm3_b64(bytes: impl AsRef<[u8]>) -> String {
    use sm3::Digest as _;
    b64(sm3::Sm3::digest(bytes.as_ref()))
}

/// The code of a refusal, or `ok`.
pub fn code_of<T>(result: &Result<T, Error>) -> &'static str {
    result.as_ref().map_or_else(Error::code, |_| "ok")
}

/// Parses and verifies with what a request proves; the error's code.
pub fn outcome_with(verifier: &Verifier, token: &str, presented: &Presented<'_>) -> &'static str {
    let result = UnverifiedToken::parse(token, verifier.limits())
        .and_then(|token| verifier.verify_with::<NoExtra>(token, presented));
    code_of(&result)
}

/// Accepts a token that came alone; the error's code.
pub async fn accepted(verifier: &Verifier, token: &str) -> &'static str {
    accepted_with(verifier, token, &Presented::new()).await
}

/// Accepts a token with what a request proves; the error's code.
pub async fn accepted_with(
    verifier: &Verifier,
    token: &str,
    presented: &Presented<'_>,
) -> &'static str {
    code_of(&verifier.accept_with::<NoExtra>(token, presented).await)
}

/// Parses and verifies.
pub fn check(verifier: &Verifier, token: &str) -> Result<VerifiedToken, Error> {
    verifier.verify(UnverifiedToken::parse(token, verifier.limits())?)
}

/// The code of the refusal, or `ok`.
pub fn code(token: &str) -> &'static str {
    outcome(&access_verifier(), token)
}

pub fn outcome(verifier: &Verifier, token: &str) -> &'static str {
    match check(verifier, token) {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

/// A line of a table: what it is about, the token, and the code of its refusal, or `ok`.
pub struct Case {
    comment: String,
    token: String,
    expected: &'static str,
}

pub fn case(comment: impl Into<String>, token: impl Into<String>, expected: &'static str) -> Case {
    Case {
        comment: comment.into(),
        token: token.into(),
        expected,
    }
}

/// Checks every case, alone and all of them as one batch, and shows those that come out otherwise.
pub fn check_table(verifier: &Verifier, cases: &[Case]) {
    let parsed = |case: &Case| UnverifiedToken::parse(&case.token, verifier.limits());
    let together = cases.iter().filter_map(|case| parsed(case).ok());
    let mut together = verifier.verify_many::<NoExtra>(together).into_iter();
    let mut wrong = Vec::new();
    let mut comments = std::collections::HashSet::new();
    for case in cases {
        assert!(comments.insert(&case.comment), "twice: {}", case.comment);
        let alone = outcome(verifier, &case.token);
        let in_batch = match parsed(case).and_then(|_| together.next().unwrap()) {
            Ok(_) => "ok",
            Err(error) => error.code(),
        };
        if alone != case.expected || in_batch != case.expected {
            wrong.push(format!(
                "{}: {alone}, in a batch {in_batch}, expected {}",
                case.comment, case.expected
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether OpenSSL with SM2 is here; the test is skipped without it unless peers are required.
pub fn openssl_is_here() -> bool {
    let found = Command::new("openssl")
        .args(["genpkey", "-algorithm", "SM2"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        let required = std::env::var("REQUIRE_PEERS").is_ok_and(|value| value == "1");
        assert!(!required, "no openssl command with SM2");
        println!("SKIPPED: no openssl command with SM2");
    }
    found
}
