//! Rotation of refresh tokens: each serves once, and one that comes back ends its session.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::dpop;
use crate::support::stores::*;
use crate::support::*;
use serde_json::{Value, json};
use sm_jwt::*;

const SESSION: &str = "session-1";
const LIFETIME: Duration = Duration::from_secs(3600);

fn refresh_builder(
    tokens: Arc<dyn ReplayStore>,
    revocations: Arc<dyn RevocationStore>,
) -> VerifierBuilder {
    builder(TokenType::Refresh, ReplayPolicy::SingleUse)
        .replay_store(tokens)
        .revocation_store(revocations)
}

fn rotation_of(builder: VerifierBuilder) -> RefreshRotation {
    RefreshRotation::new(Arc::new(builder.build().unwrap()), LIFETIME).unwrap()
}

/// A service that rotates refresh tokens, and one that takes access tokens of the same sessions.
struct World {
    rotation: RefreshRotation,
    access: Verifier,
    tokens: Arc<MemoryReplayStore>,
    revocations: Arc<MemoryRevocationStore>,
    clock: ManualClock,
}

fn world() -> World {
    let clock = clock();
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let tokens = Arc::new(MemoryReplayStore::new(100, shared.clone()));
    let revocations = Arc::new(MemoryRevocationStore::new(100, shared.clone()));
    let rotation =
        rotation_of(refresh_builder(tokens.clone(), revocations.clone()).clock(shared.clone()));
    let access = access_builder()
        .clock(shared)
        .revocation_store(revocations.clone())
        .build()
        .unwrap();
    World {
        rotation,
        access,
        tokens,
        revocations,
        clock,
    }
}

fn issue(token_type: TokenType, claims: &ClaimsBuilder) -> String {
    signer().sign(claims, token_type, &NoExtra).unwrap()
}

fn refresh_token(session: &str) -> String {
    issue(TokenType::Refresh, &claims().session(session))
}

async fn rotate(rotation: &RefreshRotation, token: &str) -> &'static str {
    code_of(&rotation.rotate::<NoExtra>(token, &Presented::new()).await)
}

#[tokio::test]
async fn a_chain_of_rotations_goes_on() {
    let world = world();
    let mut token = refresh_token(SESSION);
    let mut used = Vec::new();
    for _ in 0..5 {
        let taken: VerifiedToken = world
            .rotation
            .rotate(&token, &Presented::new())
            .await
            .unwrap();
        assert_eq!(taken.claims().session(), Some(SESSION));
        assert_eq!(taken.token_type(), TokenType::Refresh);
        used.push(token);
        // What the caller issues next, as the documentation shows it.
        let session = taken.claims().session().unwrap();
        token = refresh_token(session);
        let access = issue(TokenType::Access, &claims().session(session));
        assert_eq!(accepted(&world.access, &access).await, "ok");
    }
    assert_eq!(world.tokens.len(), 5);
    assert!(world.revocations.is_empty());
}

/// RFC 9700 section 4.14.2: nobody can tell who used it first, so the whole family ends.
#[tokio::test]
async fn hazard_refresh_token_reuse() {
    for reused_after in 0..3 {
        let world = world();
        let first = refresh_token(SESSION);
        let access = issue(TokenType::Access, &claims().session(SESSION));
        let other = refresh_token("session-2");
        let other_access = issue(TokenType::Access, &claims().session("session-2"));
        let mut newest = first.clone();
        for _ in 0..=reused_after {
            assert_eq!(rotate(&world.rotation, &newest).await, "ok");
            newest = refresh_token(SESSION);
        }
        assert_eq!(accepted(&world.access, &access).await, "ok");
        // The first comes back.
        assert_eq!(rotate(&world.rotation, &first).await, "refresh_reused");
        // From now on nothing of the session serves: the newest, the reused one, old access tokens, new ones.
        assert_eq!(rotate(&world.rotation, &newest).await, "revoked");
        assert_eq!(rotate(&world.rotation, &first).await, "revoked");
        assert_eq!(accepted(&world.access, &access).await, "revoked");
        world.clock.set(NOW + 5);
        let new = issue(
            TokenType::Access,
            &claims().session(SESSION).issued_at(NOW + 5),
        );
        assert_eq!(accepted(&world.access, &new).await, "revoked");
        // Other sessions of the same subject go on.
        assert_eq!(rotate(&world.rotation, &other).await, "ok");
        assert_eq!(accepted(&world.access, &other_access).await, "ok");
    }
}

/// Of any number of uses at the same time one passes at most, and the session ends.
#[test]
fn hazard_concurrent_refresh() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .unwrap();
    for _ in 0..20 {
        let world = Arc::new(world());
        let token = refresh_token(SESSION);
        let barrier = Arc::new(tokio::sync::Barrier::new(4));
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (world, token, barrier) = (world.clone(), token.clone(), barrier.clone());
                runtime.spawn(async move {
                    barrier.wait().await;
                    rotate(&world.rotation, &token).await
                })
            })
            .collect();
        let mut codes: Vec<_> = tasks
            .into_iter()
            .map(|task| runtime.block_on(task).unwrap())
            .collect();
        codes.sort_unstable();
        // None at all where the session had ended before the first was answered.
        let passed = codes.iter().filter(|code| **code == "ok").count();
        assert!(passed <= 1, "{codes:?}");
        let refused = codes
            .iter()
            .filter(|code| matches!(**code, "refresh_reused" | "revoked"));
        assert_eq!(refused.count() + passed, 4, "{codes:?}");
        assert!(codes.contains(&"refresh_reused"));
        let successor = refresh_token(SESSION);
        assert_eq!(
            runtime.block_on(rotate(&world.rotation, &successor)),
            "revoked"
        );
    }
}

/// Two uses that both pass every check before either is consumed: the store alone decides.
#[tokio::test]
async fn two_uses_between_check_and_consumption() {
    /// Answers only when two have asked.
    #[derive(Debug)]
    struct Gate {
        inner: MemoryRevocationStore,
        both: tokio::sync::Barrier,
        open: AtomicUsize,
    }
    impl RevocationStore for Gate {
        fn is_revoked<'a>(
            &'a self,
            query: &'a RevocationQuery,
        ) -> BoxFuture<'a, Result<bool, StoreError>> {
            Box::pin(async {
                let answer = self.inner.is_revoked(query).await;
                if self.open.fetch_add(1, Ordering::SeqCst) < 2 {
                    self.both.wait().await;
                }
                answer
            })
        }
        fn revoke(&self, revocation: Revocation) -> BoxFuture<'_, Result<(), StoreError>> {
            self.inner.revoke(revocation)
        }
    }
    let gate = Arc::new(Gate {
        inner: MemoryRevocationStore::new(10, Arc::new(clock())),
        both: tokio::sync::Barrier::new(2),
        open: AtomicUsize::new(0),
    });
    let tokens = Arc::new(MemoryReplayStore::new(10, Arc::new(clock())));
    let rotation = rotation_of(refresh_builder(tokens, gate));
    let token = refresh_token(SESSION);
    let (one, two) = tokio::join!(rotate(&rotation, &token), rotate(&rotation, &token));
    let mut codes = [one, two];
    codes.sort_unstable();
    assert_eq!(codes, ["ok", "refresh_reused"]);
    assert_eq!(rotate(&rotation, &refresh_token(SESSION)).await, "revoked");
}

#[tokio::test]
async fn what_is_no_refresh_token_is_refused_and_ends_no_session() {
    let world = world();
    let no_session = issue(TokenType::Refresh, &claims());
    for _ in 0..2 {
        let result = world
            .rotation
            .rotate::<NoExtra>(&no_session, &Presented::new())
            .await;
        assert!(matches!(
            result,
            Err(Error::MissingClaim { claim }) if claim == "sid"
        ));
    }
    let cases = [
        (
            issue(TokenType::Access, &claims().session(SESSION)),
            "type_mismatch",
        ),
        (
            issue(TokenType::Transaction, &claims().session(SESSION)),
            "type_mismatch",
        ),
        (
            issue(
                TokenType::Refresh,
                &claims().session(SESSION).issued_at(NOW - 1000),
            ),
            "expired",
        ),
        (String::new(), "not_compact"),
    ];
    for (token, expected) in cases {
        assert_eq!(rotate(&world.rotation, &token).await, expected);
    }
    // A forged reuse: the right `jti` and session, signed by nobody.
    let token = refresh_token(SESSION);
    assert_eq!(rotate(&world.rotation, &token).await, "ok");
    let (input, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{input}.{}", b64([1; 64]));
    assert_eq!(rotate(&world.rotation, &forged).await, "bad_signature");
    assert!(world.revocations.is_empty());
    assert_eq!(rotate(&world.rotation, &refresh_token(SESSION)).await, "ok");
}

#[tokio::test]
async fn a_reused_token_that_has_expired_ends_no_session() {
    let world = world();
    let token = refresh_token(SESSION);
    assert_eq!(rotate(&world.rotation, &token).await, "ok");
    // To the last second of its leeway it is a reuse.
    world.clock.set(NOW + 600 + 30);
    assert_eq!(rotate(&world.rotation, &token).await, "expired");
    assert!(world.revocations.is_empty());
    world.clock.set(NOW + 600 + 29);
    assert_eq!(rotate(&world.rotation, &token).await, "refresh_reused");
    assert_eq!(world.revocations.len(), 1);
}

#[tokio::test]
async fn logout_ends_the_session() {
    let world = world();
    let (token, access) = (
        refresh_token(SESSION),
        issue(TokenType::Access, &claims().session(SESSION)),
    );
    world.rotation.revoke(ISSUER, SESSION).await.unwrap();
    assert_eq!(rotate(&world.rotation, &token).await, "revoked");
    assert_eq!(accepted(&world.access, &access).await, "revoked");
    assert!(world.tokens.is_empty());
    // The session of that name of another issuer is another session.
    world
        .rotation
        .revoke("https://other.example", "session-2")
        .await
        .unwrap();
    assert_eq!(
        rotate(&world.rotation, &refresh_token("session-2")).await,
        "ok"
    );
}

/// Keeps what it is told to revoke.
#[derive(Debug, Default)]
struct Revoked(Mutex<Vec<Revocation>>);

impl RevocationStore for Revoked {
    fn is_revoked<'a>(&'a self, _: &'a RevocationQuery) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async { Ok(false) })
    }

    fn revoke(&self, revocation: Revocation) -> BoxFuture<'_, Result<(), StoreError>> {
        self.0.lock().unwrap().push(revocation);
        Box::pin(async { Ok(()) })
    }
}

/// A token of the session that was issued in the second of the revocation is taken by some verifier until its
/// lifetime, that verifier's leeway (300 seconds at most) and a clock that runs behind are over: so long the entry is
/// kept.
#[tokio::test]
async fn a_revoked_session_outlives_its_last_token() {
    let revoked = Arc::new(Revoked::default());
    let tokens = Arc::new(MemoryReplayStore::new(10, Arc::new(clock())));
    let rotation = rotation_of(refresh_builder(tokens, revoked.clone()));
    rotation.revoke(ISSUER, SESSION).await.unwrap();
    let token = refresh_token("session-2");
    assert_eq!(rotate(&rotation, &token).await, "ok");
    assert_eq!(rotate(&rotation, &token).await, "refresh_reused");
    let until = NOW + LIFETIME.as_secs() + 300 + 300;
    assert_eq!(
        *revoked.0.lock().unwrap(),
        [
            Revocation::session(ISSUER, SESSION, until),
            Revocation::session(ISSUER, "session-2", until),
        ]
    );
}

#[tokio::test]
async fn stores_that_fail_refuse() {
    let revocations = || Arc::new(MemoryRevocationStore::new(10, Arc::new(clock())));
    let tokens = || Arc::new(MemoryReplayStore::new(10, Arc::new(clock())));
    for how in Fails::ALL {
        let failing = Arc::new(Failing::new(how));
        let token = refresh_token(SESSION);
        let rotation = rotation_of(refresh_builder(failing.clone(), revocations()));
        assert_eq!(rotate(&rotation, &token).await, "replay_store_failed");
        let tokens = tokens();
        let rotation = rotation_of(refresh_builder(tokens.clone(), failing.clone()));
        assert_eq!(rotate(&rotation, &token).await, "revocation_store_failed");
        assert!(tokens.is_empty());
        let result = rotation.revoke(ISSUER, SESSION).await;
        assert_eq!(code_of(&result), "revocation_store_failed");
    }
    // The reuse is seen, and the session cannot be revoked: the token is refused, and again after that.
    #[derive(Debug)]
    struct CannotRevoke(Failing);
    impl RevocationStore for CannotRevoke {
        fn is_revoked<'a>(
            &'a self,
            _: &'a RevocationQuery,
        ) -> BoxFuture<'a, Result<bool, StoreError>> {
            Box::pin(async { Ok(false) })
        }
        fn revoke(&self, revocation: Revocation) -> BoxFuture<'_, Result<(), StoreError>> {
            self.0.revoke(revocation)
        }
    }
    for how in [Fails::Unavailable, Fails::Full] {
        let cannot = Arc::new(CannotRevoke(Failing::new(how)));
        // Not even by the choices of an operator.
        let rotation = rotation_of(
            refresh_builder(tokens(), cannot)
                .dangerous()
                .accept_when_revocation_store_fails(),
        );
        let token = refresh_token(SESSION);
        assert_eq!(rotate(&rotation, &token).await, "ok");
        for _ in 0..2 {
            assert_eq!(rotate(&rotation, &token).await, "revocation_store_failed");
        }
    }
}

/// A refresh token that is bound to a client's key needs that client's proof, and a proof that was used before does
/// not make a reuse of the token: it is refused by itself.
#[tokio::test]
async fn a_bound_refresh_token_needs_its_proof() {
    let proofs = Arc::new(MemoryReplayStore::new(100, Arc::new(clock())));
    let tokens = Arc::new(MemoryReplayStore::new(100, Arc::new(clock())));
    let revocations = Arc::new(MemoryRevocationStore::new(10, Arc::new(clock())));
    let rotation = rotation_of(
        refresh_builder(tokens.clone(), revocations.clone()).dpop(dpop::policy(proofs)),
    );
    let token = forge(
        &with(header(), json!({ "typ": "refresh+jwt" })),
        &with(
            payload(),
            json!({ "sid": SESSION, "cnf": dpop::key_confirmation(&dpop::CLIENT_D) }),
        ),
    );
    let rotate_with = async |changes: Value| {
        let proof = dpop::proof_with(&token, changes);
        let presented = dpop::presented(&proof);
        code_of(&rotation.rotate::<NoExtra>(&token, &presented).await)
    };
    assert_eq!(rotate(&rotation, &token).await, "proof_missing");
    assert_eq!(rotate_with(json!({ "htm": "GET" })).await, "bad_dpop_proof");
    assert!(tokens.is_empty());
    assert_eq!(rotate_with(json!({ "jti": "p" })).await, "ok");
    assert_eq!(
        rotate_with(json!({ "jti": "p" })).await,
        "dpop_proof_replayed"
    );
    // A thief has the token and no key: no session ends by that.
    assert_eq!(rotate(&rotation, &token).await, "proof_missing");
    assert!(revocations.is_empty());
    assert_eq!(rotate_with(json!({})).await, "refresh_reused");
    assert_eq!(revocations.len(), 1);
}

/// Its session's revocation would be forgotten before the token ends.
#[tokio::test]
async fn a_token_lives_no_longer_than_its_session() {
    let world = world();
    for (lifetime, expected) in [
        (LIFETIME, "ok"),
        (LIFETIME + Duration::from_secs(1), "bad_lifetime"),
    ] {
        let token = issue(
            TokenType::Refresh,
            &claims().session(SESSION).lifetime(lifetime),
        );
        let held = world.tokens.len();
        assert_eq!(rotate(&world.rotation, &token).await, expected);
        assert_eq!(world.tokens.len() - held, usize::from(expected == "ok"));
    }
}

/// Revoked after the first look and before the token is consumed: nobody counts on a successor.
#[tokio::test]
async fn a_revocation_between_look_and_consumption_counts() {
    #[derive(Debug)]
    struct Second(MemoryRevocationStore);
    impl RevocationStore for Second {
        fn is_revoked<'a>(
            &'a self,
            query: &'a RevocationQuery,
        ) -> BoxFuture<'a, Result<bool, StoreError>> {
            Box::pin(async move {
                let answer = self.0.is_revoked(query).await;
                let until = NOW + 10_000;
                let all = Revocation::subject_since(ISSUER, "user-1", NOW + 1, until);
                self.0.revoke(all).await?;
                answer
            })
        }
        fn revoke(&self, revocation: Revocation) -> BoxFuture<'_, Result<(), StoreError>> {
            self.0.revoke(revocation)
        }
    }
    let store = Second(MemoryRevocationStore::new(10, Arc::new(clock())));
    let tokens = Arc::new(MemoryReplayStore::new(10, Arc::new(clock())));
    let rotation = rotation_of(refresh_builder(tokens.clone(), Arc::new(store)));
    let token = refresh_token(SESSION);
    assert_eq!(rotate(&rotation, &token).await, "revoked");
    // It is consumed all the same.
    assert_eq!(tokens.len(), 1);
}

#[test]
fn rotation_needs_the_right_verifier() {
    let tokens = || Arc::new(MemoryReplayStore::new(1, Arc::new(clock())));
    let revocations = || Arc::new(MemoryRevocationStore::new(1, Arc::new(clock())));
    use ReplayPolicy::{MultiUse, SingleUse};
    let new = |builder: VerifierBuilder| {
        code_of(&RefreshRotation::new(
            Arc::new(builder.build().unwrap()),
            LIFETIME,
        ))
    };
    let wrong = "bad_configuration";
    assert_eq!(
        new(builder(TokenType::Refresh, SingleUse).replay_store(tokens())),
        wrong
    );
    assert_eq!(
        new(builder(TokenType::Refresh, MultiUse).revocation_store(revocations())),
        wrong
    );
    for other in [TokenType::Access, TokenType::Transaction] {
        let verifier = builder(other, SingleUse)
            .replay_store(tokens())
            .revocation_store(revocations());
        assert_eq!(new(verifier), wrong);
    }
    // Reuse would go unseen.
    let unseen = refresh_builder(tokens(), revocations())
        .dangerous()
        .accept_when_replay_store_fails();
    assert_eq!(new(unseen), wrong);
    assert_eq!(new(refresh_builder(tokens(), revocations())), "ok");
}
