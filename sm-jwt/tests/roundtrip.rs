//! Issue here, verify here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]

use std::sync::Arc;
use std::time::Duration;

use sm_jwt::*;

#[test]
fn sign_then_verify() {
    let clock = ManualClock::new(1_700_000_000);
    let key = SigningKey::generate().unwrap();
    let kid = KeyId::new("k1").unwrap();
    let verifying = key.verifying_key().clone();
    let signer = Signer::new(key, kid.clone(), Profile::default())
        .unwrap()
        .with_clock(Arc::new(clock.clone()));
    let verifier = Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
        .issuer("https://a", [(kid, verifying, Profile::default())])
        .audience("svc")
        .clock(Arc::new(clock))
        .build()
        .unwrap();
    let claims = Claims::builder()
        .issuer("https://a")
        .subject("u")
        .audience("svc")
        .lifetime(Duration::from_secs(60));
    let token = signer.sign(&claims, TokenType::Access, &NoExtra).unwrap();
    let verified: VerifiedToken = verifier
        .verify(UnverifiedToken::parse(&token, &Limits::default()).unwrap())
        .unwrap();
    assert_eq!(verified.claims().subject(), "u");
}
