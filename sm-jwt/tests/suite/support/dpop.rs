//! A DPoP client made by hand: its own JSON, RustCrypto's signature, nothing of the crate's prover.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sm_jwt::*;

use super::*;

/// The client's private key.
pub const CLIENT_D: [u8; 32] = [0x11; 32];
/// The request that proofs are for.
pub const METHOD: &str = "POST";
pub const URI: &str = "https://api.bank.example/accounts/7";
/// The leeway and the age that [`policy`] and [`verifier`] have.
pub const LEEWAY: u64 = 10;
pub const MAX_AGE: u64 = 60;

/// What no honest client asks for.
pub const IMPOSSIBLE: [&str; 18] = [
    "",
    "/a/b",
    "//api.bank.example/a/b",
    "api.bank.example/a/b",
    "ftp://api.bank.example/a/b",
    "https:///a/b",
    "https://user@api.bank.example/a/b",
    "https://api.bank.example/a/./b",
    "https://api.bank.example/c/../a/b",
    "https://api.bank.example/a/%2e%2e/b",
    "https://api.bank.example/a/%6",
    "https://api.bank.example/a/%zz",
    "https://api.bank.example/a b",
    "https://api.bank.example\\@evil.example/a/b",
    "https://api.bank.example:443:443/a/b",
    "https://api.bank.example:8443:443/a/b",
    "https://[2001:db8::1/a/b",
    "https://2001:db8::1/a/b",
];

/// RFC 7638 section 3.2 by hand.
pub fn canonical_jwk(d: &[u8; 32]) -> String {
    let jwk = private_jwk(d);
    let member = |name: &str| jwk[name].as_str().unwrap().to_owned();
    format!(
        r#"{{"crv":"SM2","kty":"EC","x":"{}","y":"{}"}}"#,
        member("x"),
        member("y")
    )
}

/// `cnf` with both thumbprints of a key.
pub fn key_confirmation(d: &[u8; 32]) -> Value {
    let jwk = canonical_jwk(d);
    json!({ "jkt": sha256_b64(&jwk), "jkt#SM3": sm3_b64(&jwk) })
}

/// An access token bound to the client's key.
pub fn bound_token() -> String {
    forge_payload(json!({ "cnf": key_confirmation(&CLIENT_D) }))
}

pub fn policy(store: Arc<dyn ReplayStore>) -> DpopPolicy {
    DpopPolicy::new(store).max_age(Duration::from_secs(MAX_AGE))
}

pub fn store() -> Arc<MemoryReplayStore> {
    Arc::new(MemoryReplayStore::new(10_000, Arc::new(clock())))
}

pub fn builder_with(policy: DpopPolicy) -> VerifierBuilder {
    access_builder()
        .leeway(Duration::from_secs(LEEWAY))
        .dpop(policy)
}

pub fn verifier() -> Verifier {
    builder_with(policy(store())).build().unwrap()
}

/// A `jti` that no other proof has.
pub fn new_id() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("proof-{}", NEXT.fetch_add(1, Ordering::SeqCst))
}

pub fn proof_header() -> Value {
    json!({ "typ": "dpop+jwt", "alg": "SGD_SM3_SM2", "jwk": public_jwk(&CLIENT_D) })
}

pub fn proof_payload(token: &str) -> Value {
    json!({
        "jti": new_id(), "htm": METHOD, "htu": URI, "iat": NOW,
        "ath": sha256_b64(token), "ath#SM3": sm3_b64(token),
    })
}

/// Signed by the client.
pub fn prove(header: &Value, payload: &Value) -> String {
    forge_text_by(&CLIENT_D, &header.to_string(), &payload.to_string())
}

/// A good proof for `token` but for these members of its header, `null` taking one away.
pub fn proof_with_header(token: &str, changes: Value) -> String {
    prove(&with(proof_header(), changes), &proof_payload(token))
}

/// A good proof for `token` but for these members of its payload, `null` taking one away.
pub fn proof_with(token: &str, changes: Value) -> String {
    prove(&proof_header(), &with(proof_payload(token), changes))
}

pub fn presented(proof: &str) -> Presented<'_> {
    Presented::new().dpop(proof, METHOD, URI)
}

/// The outcome of a token with a proof for the standard request; for a proof that cannot be read, why.
pub async fn with_proof(verifier: &Verifier, token: &str, proof: &str) -> &'static str {
    let result = verifier
        .accept_with::<NoExtra>(token, &presented(proof))
        .await;
    proof_code(&result)
}

/// The code of a refusal, or `ok`; for a proof that cannot be read, why.
pub fn proof_code<T>(result: &Result<T, Error>) -> &'static str {
    match result {
        Err(Error::DpopProofForm(why)) => why.code(),
        other => code_of(other),
    }
}

/// The rule that a proof breaks, or the code of another outcome.
pub async fn rule(verifier: &Verifier, token: &str, proof: &str) -> String {
    let result = verifier
        .accept_with::<NoExtra>(token, &presented(proof))
        .await;
    match result {
        Err(Error::DpopProof { rule }) => rule.to_owned(),
        other => proof_code(&other).to_owned(),
    }
}
