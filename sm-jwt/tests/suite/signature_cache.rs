//! A verifier that remembers signatures refuses everything that one without memory refuses. That it does remember,
//! and how much, is tested beside the code.

use std::sync::Arc;
use std::time::Duration;

use crate::support::dpop::{
    self, CLIENT_D, METHOD, URI, bound_token, key_confirmation, policy, proof_with, with_proof,
};
use crate::support::*;
use serde_json::{Value, json};
use sm_jwt::*;

const OTHER_D: [u8; 32] = [0x33; 32];

fn cached() -> VerifierBuilder {
    access_builder().cache_signatures(1000)
}

/// A token whose signature is remembered.
fn remembered(verifier: &Verifier, token: &str) {
    for _ in 0..2 {
        assert_eq!(outcome(verifier, token), "ok");
    }
}

/// CVE-2026-35039: a library's cache took one token for another, or let a token pass that had expired since.
#[tokio::test]
async fn hazard_verification_cache_collision() {
    let clock = clock();
    let verifier = cached().clock(Arc::new(clock.clone())).build().unwrap();
    let token = forge_payload(json!({ "nbf": NOW }));
    remembered(&verifier, &token);
    // Times are read anew.
    for (now, expected) in [
        (NOW + 629, "ok"),
        (NOW + 630, "expired"),
        (NOW - 31, "not_yet_valid"),
        (NOW, "ok"),
    ] {
        clock.set(now);
        assert_eq!(outcome(&verifier, &token), expected);
        assert_eq!(accepted(&verifier, &token).await, expected);
    }
    // Every other character of the token, header, payload and signature alike: none is the same token.
    let bytes = token.as_bytes();
    for at in 0..bytes.len() {
        if bytes[at] == b'.' {
            continue;
        }
        let mut changed = bytes.to_vec();
        changed[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert_ne!(outcome(&verifier, &changed), "ok", "{at}");
    }
    for extra in ["=", "A", ".", " ", "\n"] {
        assert_ne!(outcome(&verifier, &format!("{token}{extra}")), "ok");
    }
    // The same JSON in another spelling, with the signature over the first.
    let [head, body, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("not three parts");
    };
    let spaced = |part: &str| {
        let text = String::from_utf8(unb64(part)).unwrap();
        b64(text.replacen(':', ": ", 1))
    };
    for respelled in [
        format!("{}.{body}.{signature}", spaced(head)),
        format!("{head}.{}.{signature}", spaced(body)),
    ] {
        assert_eq!(outcome(&verifier, &respelled), "bad_signature");
    }
    // Another text that has the same length, the same `jti` and the same key.
    let twin = forge_payload(json!({ "nbf": NOW, "sub": "user-2" }));
    let (twin_input, _) = twin.rsplit_once('.').unwrap();
    assert_eq!(
        outcome(&verifier, &format!("{twin_input}.{signature}")),
        "bad_signature"
    );
    assert_eq!(outcome(&verifier, &token), "ok");
}

#[test]
fn a_signature_that_does_not_hold_is_not_remembered() {
    let verifier = cached().build().unwrap();
    let token = access_token();
    let (input, _) = token.rsplit_once('.').unwrap();
    let wrong = format!("{input}.{}", b64([1; 64]));
    for _ in 0..3 {
        assert_eq!(outcome(&verifier, &wrong), "bad_signature");
    }
    assert_eq!(outcome(&verifier, &token), "ok");
    assert_eq!(outcome(&verifier, &wrong), "bad_signature");
    // In a batch, beside one that holds and one that is remembered already.
    let other = forge_payload(json!({ "jti": "other" }));
    let parse = |token: &str| UnverifiedToken::parse(token, verifier.limits()).unwrap();
    for _ in 0..2 {
        let many = verifier.verify_many::<NoExtra>([
            parse(&wrong),
            parse(&token),
            parse(&other),
            parse(&wrong),
            parse(&other),
        ]);
        let codes: Vec<_> = many.iter().map(code_of).collect();
        assert_eq!(codes, ["bad_signature", "ok", "ok", "bad_signature", "ok"]);
    }
}

#[tokio::test]
async fn hazard_cached_token_of_a_replaced_key() {
    let keys = |name: &str, d: &[u8; 32], profile: Profile| {
        KeySet::new([(kid(name), key_of(d).verifying_key().clone(), profile)]).unwrap()
    };
    let shared = SharedKeySet::new(keys(KID, &D, Profile::default()));
    let verifier = Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
        .issuer_keys(ISSUER, Arc::new(shared.clone()))
        .audience(AUDIENCE)
        .clock(Arc::new(clock()))
        .cache_signatures(1000)
        .build()
        .unwrap();
    let token = access_token();
    let other_id = Profile::default()
        .with_user_id("ALICE123@YAHOO.COM")
        .unwrap();
    for (set, expected) in [
        // Another key of the same name: the token was not signed by it.
        (keys(KID, &OTHER_D, Profile::default()), "bad_signature"),
        // The same key with another user id.
        (keys(KID, &D, other_id), "bad_signature"),
        (keys("renamed", &D, Profile::default()), "unknown_key"),
        (KeySet::new([]).unwrap(), "unknown_key"),
    ] {
        shared.replace(keys(KID, &D, Profile::default()));
        remembered(&verifier, &token);
        shared.replace(set);
        assert_eq!(outcome(&verifier, &token), expected);
        assert_eq!(accepted(&verifier, &token).await, expected);
    }
}

#[tokio::test]
async fn a_remembered_token_is_revoked_and_consumed_like_any_other() {
    let revocations = Arc::new(MemoryRevocationStore::new(10, Arc::new(clock())));
    let verifier = cached()
        .revocation_store(revocations.clone())
        .build()
        .unwrap();
    let token = forge(&header(), &payload());
    for _ in 0..3 {
        assert_eq!(accepted(&verifier, &token).await, "ok");
    }
    revocations
        .revoke(Revocation::token(ISSUER, "id-1", NOW + 1000))
        .await
        .unwrap();
    assert_eq!(accepted(&verifier, &token).await, "revoked");

    let store = Arc::new(MemoryReplayStore::new(10, Arc::new(clock())));
    let once = builder(TokenType::Transaction, ReplayPolicy::SingleUse)
        .cache_signatures(1000)
        .replay_store(store)
        .build()
        .unwrap();
    let token = signer()
        .sign(&claims(), TokenType::Transaction, &NoExtra)
        .unwrap();
    assert_eq!(outcome(&once, &token), "replay_check_required");
    assert_eq!(accepted(&once, &token).await, "ok");
    assert_eq!(accepted(&once, &token).await, "replayed");
    assert_eq!(outcome(&once, &token), "replay_check_required");
}

#[tokio::test]
async fn a_remembered_token_is_as_bound_as_before() {
    let verifier = dpop::builder_with(policy(dpop::store()))
        .cache_signatures(1000)
        .build()
        .unwrap();
    let token = bound_token();
    let proof = proof_with(&token, json!({}));
    assert_eq!(with_proof(&verifier, &token, &proof).await, "ok");
    assert_eq!(
        with_proof(&verifier, &token, &proof).await,
        "dpop_proof_replayed"
    );
    assert_eq!(accepted(&verifier, &token).await, "proof_missing");
    let wrong = proof_with(&token, json!({ "htm": "GET" }));
    assert_eq!(
        with_proof(&verifier, &token, &wrong).await,
        "bad_dpop_proof"
    );
    let stranger = Presented::new().certificate(b"x").dpop("x", METHOD, URI);
    assert_eq!(
        accepted_with(&verifier, &token, &stranger).await,
        "unreadable_dpop_proof"
    );
    let proof = proof_with(&token, json!({}));
    assert_eq!(with_proof(&verifier, &token, &proof).await, "ok");

    let verifier = cached().build().unwrap();
    let token = forge_payload(json!({ "cnf": { "x5t#S256": sha256_b64("certificate") } }));
    let shown = |certificate: &'static [u8]| {
        let presented = Presented::new().certificate(certificate);
        outcome_with(&verifier, &token, &presented)
    };
    for _ in 0..2 {
        assert_eq!(shown(b"certificate"), "ok");
        assert_eq!(shown(b"another"), "proof_mismatch");
        assert_eq!(outcome(&verifier, &token), "proof_missing");
    }
}

/// Whatever a verifier with memory is shown, in whatever order, it says what one without says.
#[test]
fn memory_changes_no_answer() {
    let tokens = [
        access_token(),
        forge_payload(json!({ "aud": "other" })),
        forge_payload(json!({ "exp": NOW - 100, "iat": NOW - 200 })),
        forge_payload(json!({ "sm2_kid": "other" })),
        forge_payload(json!({ "sub": "user-2" })),
        forge_payload(json!({ "cnf": key_confirmation(&CLIENT_D) })),
        forge_header(json!({ "typ": "txn+jwt" })),
        forge_header(json!({ "kid": "other" })),
        forge_header(json!({ "alg": "SM2" })),
        forge_header(json!({ "crv": null })),
        format!(
            "{}.{}",
            access_token().rsplit_once('.').unwrap().0,
            b64([7; 64])
        ),
    ];
    let strict = |builder: VerifierBuilder| {
        builder
            .max_age(Duration::from_secs(60))
            .subject("user-1")
            .build()
            .unwrap()
    };
    // Of every size, the smallest first: entries then push each other out all the time.
    for capacity in [0, 1, 2, 32, 10_000] {
        let plain = strict(access_builder());
        let memory = strict(access_builder().cache_signatures(capacity));
        let mut seed = 1usize;
        for _ in 0..200 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let token = &tokens[(seed >> 33) % tokens.len()];
            assert_eq!(outcome(&memory, token), outcome(&plain, token));
        }
    }
}

/// Threads that share the memory agree, too.
#[test]
fn memory_is_shared_by_threads() {
    let verifier = cached().build().unwrap();
    let tokens: Vec<(String, &str)> = (0..20)
        .map(|id| {
            let good = forge_payload(json!({ "jti": format!("id-{id}") }));
            match id % 2 {
                0 => (good, "ok"),
                _ => (
                    format!("{}.{}", good.rsplit_once('.').unwrap().0, b64([7; 64])),
                    "bad_signature",
                ),
            }
        })
        .collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    for (token, expected) in &tokens {
                        assert_eq!(outcome(&verifier, token), *expected);
                    }
                }
            });
        }
    });
}

#[test]
fn custom_claims_are_read_on_every_hit() {
    let verifier = cached().build().unwrap();
    let token = forge_payload(json!({ "branch": "0755" }));
    let parse = || UnverifiedToken::parse(&token, verifier.limits()).unwrap();
    remembered(&verifier, &token);
    let verified: VerifiedToken<Value> = verifier.verify(parse()).unwrap();
    assert_eq!(verified.extra()["branch"], "0755");
    #[derive(Debug, serde::Deserialize)]
    struct Other {
        #[allow(dead_code)]
        branch: u64,
    }
    let result = verifier.verify::<Other>(parse());
    assert_eq!(code_of(&result), "bad_extra_claims");
}
