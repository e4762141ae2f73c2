//! A fixed world for the tests: one issuer, one key, one clock, and a forger who holds the key and
//! signs whatever bytes a test wants with RustCrypto's own SM2, sharing no code with the crate.
#![allow(dead_code, unreachable_pub)]

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
    let key = sm2::dsa::SigningKey::from_slice(USER_ID, &D).unwrap();
    let signature: sm2::dsa::Signature = key.try_sign(message).unwrap();
    signature.to_bytes().into()
}

/// A well-signed token of exactly these header and payload texts.
pub fn forge_text(header: &str, payload: &str) -> String {
    let input = format!("{}.{}", b64(header), b64(payload));
    let signature = raw_signature(input.as_bytes());
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

/// Parses and verifies; the error's code.
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
