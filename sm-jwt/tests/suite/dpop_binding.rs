//! What DPoP proofs do for a token: whose key it is bound to, nonces, and that a proof serves once. The rules of a
//! single proof are in `dpop.rs`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::dpop::*;
use crate::support::stores::*;
use crate::support::*;
use serde_json::{Value, json};
use sm_jwt::*;

const STRANGER_D: [u8; 32] = [0x22; 32];

/// A good proof for `token` by another key than the client's.
fn strangers_proof(token: &str, jti: &str) -> String {
    let header = with(proof_header(), json!({ "jwk": public_jwk(&STRANGER_D) }));
    let payload = with(proof_payload(token), json!({ "jti": jti }));
    forge_text_by(&STRANGER_D, &header.to_string(), &payload.to_string())
}

#[tokio::test]
async fn the_proofs_key_is_the_tokens() {
    let verifier = verifier();
    let client = key_confirmation(&CLIENT_D);
    let stranger = key_confirmation(&STRANGER_D);
    let pick = |from: &Value, name: &str| from[name].clone();
    let (jkt, sm3) = ("jkt", "jkt#SM3");
    let cases = [
        (json!({ jkt: pick(&client, jkt) }), "ok"),
        (json!({ sm3: pick(&client, sm3) }), "ok"),
        (client.clone(), "ok"),
        (json!({ jkt: pick(&stranger, jkt) }), "proof_mismatch"),
        (json!({ sm3: pick(&stranger, sm3) }), "proof_mismatch"),
        // One of two wrong.
        (
            json!({ jkt: pick(&stranger, jkt), sm3: pick(&client, sm3) }),
            "proof_mismatch",
        ),
        (
            json!({ jkt: pick(&client, jkt), sm3: pick(&stranger, sm3) }),
            "proof_mismatch",
        ),
        // A digest under the other's name.
        (json!({ jkt: pick(&client, sm3) }), "proof_mismatch"),
        (json!({ sm3: pick(&client, jkt) }), "proof_mismatch"),
    ];
    for (cnf, expected) in cases {
        let token = forge_payload(json!({ "cnf": cnf }));
        let proof = proof_with(&token, json!({}));
        let outcome = with_proof(&verifier, &token, &proof).await;
        assert_eq!(outcome, expected, "{cnf}");
    }
    // A stranger's proof is whole, but for the key.
    let token = bound_token();
    let proof = strangers_proof(&token, "s-1");
    let error = verifier
        .accept_with::<NoExtra>(&token, &presented(&proof))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::ProofMismatch { what: "DPoP key" }));
    // The issuer's key is no exception.
    let header = with(proof_header(), json!({ "jwk": public_jwk(&D) }));
    let proof = forge(&header, &proof_payload(&token));
    assert_eq!(
        with_proof(&verifier, &token, &proof).await,
        "proof_mismatch"
    );
}

#[tokio::test]
async fn without_a_proof_a_bound_token_is_refused() {
    let (verifier, token) = (verifier(), bound_token());
    let missing = "proof_missing";
    assert_eq!(accepted(&verifier, &token).await, missing);
    let certificate = Presented::new().certificate(b"certificate");
    assert_eq!(
        accepted_with(&verifier, &token, &certificate).await,
        missing
    );
    assert_eq!(outcome_with(&verifier, &token, &certificate), missing);
    assert_eq!(outcome(&verifier, &token), missing);
    let parsed = UnverifiedToken::parse(&token, verifier.limits()).unwrap();
    let many = verifier.verify_many::<NoExtra>([parsed]);
    assert_eq!(code_of(&many[0]), missing);
    // A verifier that cannot check proofs takes none for good.
    let proof = proof_with(&token, json!({}));
    assert_eq!(
        with_proof(&access_verifier(), &token, &proof).await,
        missing
    );
}

#[tokio::test]
async fn offline_a_proof_is_never_enough() {
    let recorder = Arc::new(Recorder::default());
    let verifier = builder_with(policy(recorder.clone())).build().unwrap();
    let token = bound_token();
    let proof = proof_with(&token, json!({}));
    assert_eq!(
        outcome_with(&verifier, &token, &presented(&proof)),
        "replay_check_required"
    );
    let wrong = proof_with(&token, json!({ "htm": "GET" }));
    assert_eq!(
        outcome_with(&verifier, &token, &presented(&wrong)),
        "bad_dpop_proof"
    );
    assert_eq!(recorder.len(), 0);
    assert_eq!(with_proof(&verifier, &token, &proof).await, "ok");
    assert_eq!(recorder.len(), 1);
}

#[tokio::test]
async fn hazard_dpop_proof_replay() {
    let (verifier, token) = (verifier(), bound_token());
    let proof = proof_with(&token, json!({}));
    assert_eq!(with_proof(&verifier, &token, &proof).await, "ok");
    for _ in 0..2 {
        assert_eq!(
            with_proof(&verifier, &token, &proof).await,
            "dpop_proof_replayed"
        );
    }
    // The token itself serves again, with another proof.
    let next = proof_with(&token, json!({ "jti": "a" }));
    assert_eq!(with_proof(&verifier, &token, &next).await, "ok");
    // The same `jti` once more is a replay whatever else changed.
    for changes in [
        json!({ "jti": "a", "iat": NOW - 1 }),
        json!({ "jti": "a", "ath": null }),
        json!({ "jti": "a", "extra": 1 }),
    ] {
        let proof = proof_with(&token, changes);
        assert_eq!(
            with_proof(&verifier, &token, &proof).await,
            "dpop_proof_replayed"
        );
    }
    let elsewhere = proof_with(&token, json!({ "jti": "a", "htu": "https://h/" }));
    let presented = Presented::new().dpop(&elsewhere, METHOD, "https://h/");
    assert_eq!(
        accepted_with(&verifier, &token, &presented).await,
        "dpop_proof_replayed"
    );
    // Another client may happen upon the same `jti`.
    let theirs = forge_payload(json!({ "cnf": key_confirmation(&STRANGER_D) }));
    let proof = strangers_proof(&theirs, "a");
    assert_eq!(with_proof(&verifier, &theirs, &proof).await, "ok");
    assert_eq!(
        with_proof(&verifier, &theirs, &proof).await,
        "dpop_proof_replayed"
    );
}

/// What is refused costs no proof: the client can use it again when the fault is mended.
#[tokio::test]
async fn a_proof_is_consumed_after_every_other_check() {
    let recorder = Arc::new(Recorder::default());
    let revocations = Arc::new(MemoryRevocationStore::new(10, Arc::new(clock())));
    let nonces = Arc::new(DpopNonces::generate().unwrap());
    let verifier = builder_with(policy(recorder.clone()).nonces(nonces.clone()))
        .revocation_store(revocations.clone())
        .build()
        .unwrap();
    let token = bound_token();
    let good = json!({ "nonce": nonces.at(NOW) });
    for changes in [
        json!({ "htm": "GET" }),
        json!({ "htu": "https://h/" }),
        json!({ "iat": NOW - 1000 }),
        json!({ "ath": "x" }),
        json!({ "nonce": "x" }),
    ] {
        let proof = proof_with(&token, with(good.clone(), changes));
        assert_ne!(with_proof(&verifier, &token, &proof).await, "ok");
    }
    let bound = |changes: Value| {
        forge_payload(with(json!({ "cnf": key_confirmation(&CLIENT_D) }), changes))
    };
    for token in [
        bound(json!({ "aud": "other" })),
        bound(json!({ "exp": NOW - 100, "iat": NOW - 200 })),
        forge_payload(json!({ "cnf": key_confirmation(&STRANGER_D) })),
    ] {
        let proof = proof_with(&token, good.clone());
        assert_ne!(with_proof(&verifier, &token, &proof).await, "ok");
    }
    let revoked = bound(json!({ "jti": "revoked" }));
    revocations
        .revoke(Revocation::token(ISSUER, "revoked", NOW + 1000))
        .await
        .unwrap();
    let proof = proof_with(&revoked, good.clone());
    assert_eq!(with_proof(&verifier, &revoked, &proof).await, "revoked");
    assert_eq!(recorder.len(), 0);
    let proof = proof_with(&token, with(good, json!({ "iat": NOW - 5, "jti": "p" })));
    assert_eq!(with_proof(&verifier, &token, &proof).await, "ok");
    // RFC 7638's thumbprint stands where a token's issuer does. Kept for as long as the proof could pass, and for
    // clocks of other instances that run behind.
    let entry = recorder.last();
    let thumbprint = sm3_b64(canonical_jwk(&CLIENT_D));
    assert_eq!(entry.key(), &ReplayKey::new("dpop+jwt", &thumbprint, "p"));
    assert_eq!(entry.issued_at(), NOW - 5);
    assert_eq!(entry.keep_until(), NOW - 5 + MAX_AGE + LEEWAY + 1 + 300);
}

/// Until the very last second at which a proof could pass, it is known.
#[tokio::test]
async fn a_used_proof_never_passes_again() {
    let clock = clock();
    let store = Arc::new(MemoryReplayStore::new(10, Arc::new(clock.clone())));
    let verifier = builder_with(policy(store))
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    let token = bound_token();
    let proof = proof_with(&token, json!({}));
    let end = NOW + MAX_AGE + LEEWAY;
    for (now, expected) in [
        (NOW, "ok"),
        (NOW + MAX_AGE, "dpop_proof_replayed"),
        (end, "dpop_proof_replayed"),
        (end + 1, "bad_dpop_proof"),
        // The clock is set back.
        (NOW, "dpop_proof_replayed"),
        (end + 400, "bad_dpop_proof"),
        (end, "dpop_proof_replayed"),
    ] {
        clock.set(now);
        assert_eq!(
            with_proof(&verifier, &token, &proof).await,
            expected,
            "{now}"
        );
    }
}

#[tokio::test]
async fn single_use_tokens_need_a_fresh_proof_as_well() {
    let (proofs, tokens) = (Arc::new(Recorder::default()), store());
    let verifier = builder(TokenType::Transaction, ReplayPolicy::SingleUse)
        .dpop(policy(proofs.clone()))
        .replay_store(tokens.clone())
        .build()
        .unwrap();
    let token = forge(
        &with(header(), json!({ "typ": "txn+jwt" })),
        &with(payload(), json!({ "cnf": key_confirmation(&CLIENT_D) })),
    );
    assert_eq!(accepted(&verifier, &token).await, "proof_missing");
    let wrong = proof_with(&token, json!({ "htm": "GET" }));
    assert_eq!(
        with_proof(&verifier, &token, &wrong).await,
        "bad_dpop_proof"
    );
    assert!(tokens.is_empty() && proofs.len() == 0);
    let proof = proof_with(&token, json!({}));
    assert_eq!(with_proof(&verifier, &token, &proof).await, "ok");
    assert_eq!((tokens.len(), proofs.len()), (1, 1));
    let proof = proof_with(&token, json!({}));
    assert_eq!(with_proof(&verifier, &token, &proof).await, "replayed");
    // In one store the two kinds of `jti` do not meet: the token and its proof may have the same.
    let store = store();
    let verifier = builder(TokenType::Transaction, ReplayPolicy::SingleUse)
        .dpop(policy(store.clone()))
        .replay_store(store.clone())
        .build()
        .unwrap();
    let proof = proof_with(&token, json!({ "jti": "id-1" }));
    assert_eq!(with_proof(&verifier, &token, &proof).await, "ok");
    assert_eq!(store.len(), 2);
}

#[tokio::test]
async fn a_store_that_fails_refuses_the_proof() {
    let token = bound_token();
    for how in Fails::ALL {
        let failing = Arc::new(Failing::new(how));
        let verifier = builder_with(policy(failing.clone())).build().unwrap();
        let proof = proof_with(&token, json!({}));
        let outcome = with_proof(&verifier, &token, &proof).await;
        assert_eq!(outcome, "replay_store_failed", "{how:?}");
        assert_eq!(failing.asked.load(Ordering::SeqCst), 1);
        assert_eq!(verifier.unchecked().replay, 0);
        // What an operator may choose is that a store out of reach is passed over; one that says no is not.
        let verifier = builder_with(policy(failing))
            .dangerous()
            .accept_when_replay_store_fails()
            .build()
            .unwrap();
        let passes = matches!(how, Fails::Unavailable);
        let outcome = with_proof(&verifier, &token, &proof).await;
        assert_eq!(outcome == "ok", passes, "{how:?}: {outcome}");
        assert_eq!(verifier.unchecked().replay, u64::from(passes));
        assert_eq!(verifier.unchecked().revocation, 0);
    }
}

#[tokio::test]
async fn a_proof_for_a_token_that_is_bound_to_nothing_says_nothing() {
    let recorder = Arc::new(Recorder::default());
    let verifier = builder_with(policy(recorder.clone())).build().unwrap();
    let token = access_token();
    // Even a wrong one: there is no key to compare it with.
    assert_eq!(with_proof(&verifier, &token, "x").await, "ok");
    assert_eq!(recorder.len(), 0);
    let strict = builder_with(policy(recorder))
        .require_binding()
        .build()
        .unwrap();
    let proof = proof_with(&token, json!({}));
    assert_eq!(with_proof(&strict, &token, &proof).await, "not_bound");
}

#[tokio::test]
async fn nonces_are_this_servers_and_new() {
    const PERIOD: u64 = 300;
    let key = [7u8; 16];
    let period = Duration::from_secs(PERIOD);
    let nonces = Arc::new(DpopNonces::new(&key, period).unwrap());
    let foreign = DpopNonces::new(&[8u8; 16], period).unwrap();
    let other_period = DpopNonces::new(&key, Duration::from_secs(600)).unwrap();
    let verifier = builder_with(policy(store()).nonces(nonces.clone()))
        .build()
        .unwrap();
    let token = bound_token();
    let required = "dpop_nonce_required";
    let now = nonces.at(NOW);
    let cases = [
        (json!(now), "ok"),
        (json!(nonces.at(NOW - PERIOD)), "ok"),
        (json!(nonces.at(NOW - 2 * PERIOD)), required),
        (json!(nonces.at(NOW + PERIOD)), required),
        (json!(nonces.at(0)), required),
        (json!(foreign.at(NOW)), required),
        (json!(other_period.at(NOW)), required),
        (json!(null), required),
        (json!(""), required),
        (json!(now[..21]), required),
        (json!(format!("{now}=")), required),
        (json!(format!(" {now}")), required),
        (json!(1), "bad_dpop_proof"),
        (json!([now]), "bad_dpop_proof"),
    ];
    for (nonce, expected) in cases {
        let proof = proof_with(&token, json!({ "nonce": nonce }));
        let outcome = with_proof(&verifier, &token, &proof).await;
        assert_eq!(outcome, expected, "{nonce}");
    }
    // A verifier says which one it wants.
    assert_eq!(verifier.dpop_nonce(), Some(now.clone()));
    assert_eq!(access_verifier().dpop_nonce(), None);
    assert_eq!(crate::support::dpop::verifier().dpop_nonce(), None);
    // A nonce lives for the rest of its period and the whole of the next one, to the second.
    let old = forge_payload(json!({
        "cnf": key_confirmation(&CLIENT_D), "iat": NOW - 1000, "exp": NOW + 1000,
    }));
    let start = NOW - NOW % PERIOD;
    let clock = ManualClock::new(start - 1);
    let store = Arc::new(MemoryReplayStore::new(100, Arc::new(clock.clone())));
    let later = builder_with(policy(store).nonces(nonces.clone()))
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    for (at, expected) in [
        (start - 1, required),
        (start, "ok"),
        (start + PERIOD - 1, "ok"),
        (start + PERIOD, "ok"),
        (start + 2 * PERIOD - 1, "ok"),
        (start + 2 * PERIOD, required),
    ] {
        clock.set(at);
        let proof = proof_with(&old, json!({ "nonce": now, "iat": at }));
        let outcome = with_proof(&later, &old, &proof).await;
        assert_eq!(outcome, expected, "{at}");
    }
    // A wrong nonce is told only of a proof that is right in all else.
    let proof = proof_with(&token, json!({ "htm": "GET", "nonce": null }));
    assert_eq!(
        with_proof(&verifier, &token, &proof).await,
        "bad_dpop_proof"
    );
    // Who asks for no nonce takes a proof with one.
    let proof = proof_with(&token, json!({ "nonce": "whatever" }));
    assert_eq!(
        with_proof(&crate::support::dpop::verifier(), &token, &proof).await,
        "ok"
    );
}

/// HMAC-SM3 over the period, by RustCrypto.
#[test]
fn nonce_known_answer() {
    use hmac::{KeyInit as _, Mac as _};
    let key = [7u8; 32];
    let nonces = DpopNonces::new(&key, Duration::from_secs(300)).unwrap();
    let mut mac = hmac::Hmac::<sm3::Sm3>::new_from_slice(&key).unwrap();
    mac.update(b"smjwt/dpop-nonce/1");
    mac.update(&(NOW / 300).to_be_bytes());
    assert_eq!(nonces.at(NOW), b64(&mac.finalize().into_bytes()[..16]));
    for (key, seconds, good) in [
        (16, 1, true),
        (16, 86_400, true),
        (15, 300, false),
        (0, 300, false),
        (16, 0, false),
        (16, 86_401, false),
    ] {
        let made = DpopNonces::new(&vec![1; key], Duration::from_secs(seconds));
        let code = code_of(&made);
        assert_eq!(code == "ok", good, "{key} {seconds}");
        assert!(good || code == "bad_configuration");
    }
    // Two processes that share no key share no nonce; neither shows its key.
    let (one, two) = (
        DpopNonces::generate().unwrap(),
        DpopNonces::generate().unwrap(),
    );
    assert_ne!(one.at(NOW), two.at(NOW));
    assert_eq!(format!("{nonces:?}"), "DpopNonces { seconds: 300, .. }");
}
