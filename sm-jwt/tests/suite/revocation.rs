//! Revocation of tokens, sessions and subjects: the store in memory, and what a verifier makes of a store's answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::support::stores::*;
use crate::support::*;
use serde_json::{Value, json};
use sm_jwt::*;

const SESSION: &str = "session-1";
const LATER: u64 = NOW + 10_000;

fn store() -> Arc<MemoryRevocationStore> {
    Arc::new(MemoryRevocationStore::new(100, Arc::new(clock())))
}

fn verifier(store: Arc<dyn RevocationStore>) -> Verifier {
    access_builder().revocation_store(store).build().unwrap()
}

fn in_session(changes: Value) -> String {
    forge_payload(with(json!({ "sid": SESSION }), changes))
}

#[tokio::test]
async fn tokens_sessions_and_subjects_are_revoked() {
    let token = in_session(json!({}));
    let since = |second| Revocation::subject_since(ISSUER, "user-1", second, LATER);
    let cases = [
        (Revocation::token(ISSUER, "id-1", LATER), "revoked"),
        (Revocation::session(ISSUER, SESSION, LATER), "revoked"),
        // Up to a second, this second included.
        (since(NOW + 1), "revoked"),
        (since(NOW), "revoked"),
        (since(NOW - 1), "ok"),
        (since(0), "ok"),
        (since(u64::MAX), "revoked"),
        // Another token, session and subject.
        (Revocation::token(ISSUER, "id-2", LATER), "ok"),
        (Revocation::session(ISSUER, "session-2", LATER), "ok"),
        (
            Revocation::subject_since(ISSUER, "user-2", LATER, LATER),
            "ok",
        ),
        // The same names of another issuer.
        (
            Revocation::token("https://other.example", "id-1", LATER),
            "ok",
        ),
        (
            Revocation::session("https://other.example", SESSION, LATER),
            "ok",
        ),
        (
            Revocation::subject_since("https://other.example", "user-1", LATER, LATER),
            "ok",
        ),
        // One kind of name is not another.
        (Revocation::token(ISSUER, SESSION, LATER), "ok"),
        (Revocation::session(ISSUER, "id-1", LATER), "ok"),
        (Revocation::session(ISSUER, "user-1", LATER), "ok"),
        (
            Revocation::subject_since(ISSUER, SESSION, LATER, LATER),
            "ok",
        ),
        // Lengths keep issuer and name apart.
        (Revocation::token(&format!("{ISSUER}i"), "d-1", LATER), "ok"),
    ];
    for (revocation, expected) in cases {
        let store = store();
        let verifier = verifier(store.clone());
        assert_eq!(accepted(&verifier, &token).await, "ok");
        store.revoke(revocation).await.unwrap();
        assert_eq!(
            accepted(&verifier, &token).await,
            expected,
            "{revocation:?}"
        );
        // It is not undone by being asked.
        assert_eq!(accepted(&verifier, &token).await, expected);
    }
    // A token without a session is in none, not even in one without a name.
    let store = store();
    for session in ["", SESSION, "null"] {
        let revocation = Revocation::session(ISSUER, session, LATER);
        store.revoke(revocation).await.unwrap();
    }
    assert_eq!(
        accepted(&verifier(store), &forge_payload(json!({}))).await,
        "ok"
    );
}

#[test]
fn names_are_sm3_over_length_prefixed_parts() {
    use sm3::{Digest as _, Sm3};
    let name = |kind: &str, id: &str| {
        let mut hasher = Sm3::new();
        for part in [kind, ISSUER, id] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hasher.finalize()
    };
    for (key, kind) in [
        (RevocationKey::token(ISSUER, "x"), "revoked/token"),
        (RevocationKey::session(ISSUER, "x"), "revoked/session"),
        (RevocationKey::subject(ISSUER, "x"), "revoked/subject"),
    ] {
        assert_eq!(key.as_bytes()[..], name(kind, "x")[..]);
    }
    let revocation = Revocation::subject_since(ISSUER, "x", 7, 9);
    assert_eq!(revocation.key(), &RevocationKey::subject(ISSUER, "x"));
    assert_eq!((revocation.since(), revocation.keep_until()), (Some(7), 9));
    assert_eq!(Revocation::token(ISSUER, "x", 9).since(), None);
    assert_eq!(Revocation::session(ISSUER, "x", 9).since(), None);
}

#[tokio::test]
async fn offline_nothing_that_may_be_revoked_is_verified() {
    let verifier = verifier(store());
    let token = access_token();
    let required = "revocation_check_required";
    assert_eq!(outcome(&verifier, &token), required);
    let parse = || UnverifiedToken::parse(&token, verifier.limits()).unwrap();
    let many = verifier.verify_many::<NoExtra>([parse(), parse()]);
    let codes: Vec<_> = many.iter().map(code_of).collect();
    assert_eq!(codes, [required; 2]);
    assert_eq!(accepted(&verifier, &token).await, "ok");
}

#[tokio::test]
async fn a_store_that_fails_refuses_the_token() {
    let token = access_token();
    for how in Fails::ALL {
        let failing = Arc::new(Failing::new(how));
        let verifier = verifier(failing.clone());
        let error = verifier.accept::<NoExtra>(&token).await.unwrap_err();
        assert_eq!(error.code(), "revocation_store_failed", "{how:?}");
        assert!(error.is_transient());
        assert_eq!(failing.asked.load(Ordering::SeqCst), 1);
        // What an operator may choose is that a store out of reach is passed over; one that says no is not.
        let open = access_builder()
            .revocation_store(failing.clone())
            .dangerous()
            .accept_when_revocation_store_fails()
            .build()
            .unwrap();
        let passes = matches!(how, Fails::Unavailable);
        let outcome = accepted(&open, &token).await;
        assert_eq!(outcome == "ok", passes, "{how:?}: {outcome}");
        assert_eq!(open.unchecked().revocation, u64::from(passes));
        assert_eq!(open.unchecked().replay, 0);
        // Offline it stays refused.
        let parsed = UnverifiedToken::parse(&token, open.limits()).unwrap();
        let result = open.verify::<NoExtra>(parsed);
        assert_eq!(code_of(&result), "revocation_check_required");
        // A token that fails by itself never gets that far.
        let asked = failing.asked.load(Ordering::SeqCst);
        let expired = forge_payload(json!({ "exp": NOW - 100, "iat": NOW - 200 }));
        assert_eq!(accepted(&open, &expired).await, "expired");
        assert_eq!(failing.asked.load(Ordering::SeqCst), asked);
    }
}

#[tokio::test]
async fn what_is_dangerous_is_counted_and_covers_no_other_store() {
    let revocations = Arc::new(Failing::new(Fails::Unavailable));
    let tokens = Arc::new(Failing::new(Fails::Unavailable));
    let build = |builder: fn(VerifierBuilder) -> VerifierBuilder| {
        builder(
            crate::support::builder(TokenType::Transaction, ReplayPolicy::SingleUse)
                .revocation_store(revocations.clone())
                .replay_store(tokens.clone()),
        )
        .build()
        .unwrap()
    };
    let token = signer()
        .sign(&claims(), TokenType::Transaction, &NoExtra)
        .unwrap();
    let counts = |verifier: &Verifier| {
        let unchecked = verifier.unchecked();
        (unchecked.revocation, unchecked.replay)
    };
    let strict = build(|builder| builder);
    assert_eq!(accepted(&strict, &token).await, "revocation_store_failed");
    assert_eq!(counts(&strict), (0, 0));
    let one = build(|builder| builder.dangerous().accept_when_revocation_store_fails());
    assert_eq!(accepted(&one, &token).await, "replay_store_failed");
    assert_eq!(counts(&one), (1, 0));
    let other = build(|builder| builder.dangerous().accept_when_replay_store_fails());
    assert_eq!(accepted(&other, &token).await, "revocation_store_failed");
    assert_eq!(counts(&other), (0, 0));
    let both = build(|builder| {
        builder
            .dangerous()
            .accept_when_revocation_store_fails()
            .dangerous()
            .accept_when_replay_store_fails()
    });
    for times in 1..=3 {
        assert_eq!(accepted(&both, &token).await, "ok");
        assert_eq!(counts(&both), (times, times));
    }
}

#[tokio::test]
async fn a_revoked_token_is_not_consumed() {
    let (tokens, revocations) = (Arc::new(Recorder::default()), store());
    let verifier = builder(TokenType::Transaction, ReplayPolicy::SingleUse)
        .replay_store(tokens.clone())
        .revocation_store(revocations.clone())
        .build()
        .unwrap();
    let token = signer()
        .sign(&claims().token_id("id-1"), TokenType::Transaction, &NoExtra)
        .unwrap();
    revocations
        .revoke(Revocation::token(ISSUER, "id-1", LATER))
        .await
        .unwrap();
    assert_eq!(accepted(&verifier, &token).await, "revoked");
    assert_eq!(tokens.len(), 0);
}

/// Asks a store about a token of this `iat`, as the verifier does.
async fn asks(store: &Arc<MemoryRevocationStore>, changes: Value) -> &'static str {
    accepted(&verifier(store.clone()), &in_session(changes)).await
}

#[tokio::test]
async fn a_later_revocation_takes_no_earlier_one_back() {
    let store = store();
    let since =
        |second, keep_until| Revocation::subject_since(ISSUER, "user-1", second, keep_until);
    for (second, keep_until) in [(NOW, NOW + 50), (NOW - 500, NOW + 10), (NOW - 900, LATER)] {
        store.revoke(since(second, keep_until)).await.unwrap();
        assert_eq!(asks(&store, json!({})).await, "revoked");
    }
    assert_eq!(store.len(), 1);
    assert_eq!(asks(&store, json!({ "iat": NOW + 1 })).await, "ok");
    store.revoke(since(NOW + 1, NOW)).await.unwrap();
    assert_eq!(asks(&store, json!({ "iat": NOW + 1 })).await, "revoked");
    // The same session again, for a shorter time.
    let session = |keep_until| Revocation::session(ISSUER, SESSION, keep_until);
    let clock = clock();
    let store = Arc::new(MemoryRevocationStore::new(1, Arc::new(clock.clone())));
    store.revoke(session(NOW + 100)).await.unwrap();
    store.revoke(session(NOW + 10)).await.unwrap();
    clock.set(NOW + 99);
    let other = Revocation::token(ISSUER, "other", LATER);
    assert!(matches!(store.revoke(other).await, Err(StoreError::Full)));
    assert_eq!(asks(&store, json!({})).await, "revoked");
}

#[tokio::test]
async fn a_full_store_refuses_and_never_evicts() {
    let clock = clock();
    let store = Arc::new(MemoryRevocationStore::new(3, Arc::new(clock.clone())));
    let token = |id: u64| Revocation::token(ISSUER, &format!("id-{id}"), NOW + 100 + id);
    for id in 1..=3 {
        store.revoke(token(id)).await.unwrap();
    }
    for id in 4..=10 {
        assert!(matches!(
            store.revoke(token(id)).await,
            Err(StoreError::Full)
        ));
    }
    // What is there can be renewed all the same.
    store.revoke(token(2)).await.unwrap();
    assert_eq!(store.len(), 3);
    for id in 1..=3 {
        let changes = json!({ "jti": format!("id-{id}") });
        assert_eq!(asks(&store, changes).await, "revoked");
    }
    // The first second at which an entry may go.
    clock.set(NOW + 100);
    assert!(store.revoke(token(4)).await.is_err());
    clock.set(NOW + 101);
    store.revoke(token(4)).await.unwrap();
    assert_eq!(store.len(), 3);
    for (id, expected) in [(1, "ok"), (2, "revoked"), (3, "revoked"), (4, "revoked")] {
        let changes = json!({ "jti": format!("id-{id}") });
        assert_eq!(asks(&store, changes).await, expected, "{id}");
    }
    let none = MemoryRevocationStore::new(0, Arc::new(clock));
    assert!(matches!(none.revoke(token(1)).await, Err(StoreError::Full)));
    assert!(none.is_empty());
}

/// Forgotten entries come back to nobody's mind when the clock is set back: the store says that it does not know.
#[tokio::test]
async fn clock_set_back_does_not_bring_a_token_back() {
    let clock = clock();
    let store = Arc::new(MemoryRevocationStore::new(1, Arc::new(clock.clone())));
    let verifier = verifier(store.clone());
    let token = in_session(json!({}));
    store
        .revoke(Revocation::session(ISSUER, SESSION, NOW + 100))
        .await
        .unwrap();
    clock.set(NOW + 100);
    store
        .revoke(Revocation::session(ISSUER, "other", LATER))
        .await
        .unwrap();
    // Its time is over: this token has expired, says whoever gave it.
    assert_eq!(accepted(&verifier, &token).await, "ok");
    clock.set(NOW + 99);
    let error = verifier.accept::<NoExtra>(&token).await.unwrap_err();
    assert!(matches!(
        error,
        Error::RevocationStore(StoreError::ClockWentBack)
    ));
    clock.set(NOW + 100);
    assert_eq!(accepted(&verifier, &token).await, "ok");
}

#[tokio::test]
async fn threads_see_what_others_revoke() {
    let store = Arc::new(MemoryRevocationStore::new(1000, Arc::new(clock())));
    let runtime = tokio::runtime::Handle::current();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, runtime) = (store.clone(), runtime.clone());
            scope.spawn(move || {
                for id in 0..50 {
                    let id = format!("id-{thread}-{id}");
                    runtime
                        .block_on(store.revoke(Revocation::token(ISSUER, &id, LATER)))
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(store.len(), 200);
    assert_eq!(asks(&store, json!({ "jti": "id-3-49" })).await, "revoked");
    let shown = format!("{store:?}");
    assert_eq!(
        shown,
        "MemoryRevocationStore { len: 200, capacity: 1000, .. }"
    );
}
