//! Revocations in Redis, asked through a verifier.

use std::sync::Arc;
use std::time::Duration;

use crate::redis_clock::{JUMP, forgets, jump};
use crate::redis_server::*;
use sm_jwt::*;

const ISSUER: &str = "issuer";

/// A store behind a verifier, and who issues its tokens.
struct World {
    store: Arc<RedisStore>,
    verifier: Verifier,
    signer: Signer,
}

impl World {
    fn new(store: RedisStore) -> Self {
        let key = SigningKey::generate().unwrap();
        let kid = KeyId::new("1").unwrap();
        let public = key.verifying_key().clone();
        let store = Arc::new(store);
        let verifier = Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
            .issuer(ISSUER, [(kid.clone(), public, Profile::default())])
            .audience("api")
            .leeway(Duration::from_secs(300))
            .revocation_store(store.clone())
            .build()
            .unwrap();
        Self {
            store,
            verifier,
            signer: Signer::new(key, kid, Profile::default()).unwrap(),
        }
    }

    /// Shows a token; what comes of it, in a word.
    async fn show(&self, id: &str, session: Option<&str>, subject: &str, issued_at: u64) -> String {
        let mut claims = Claims::builder()
            .issuer(ISSUER)
            .subject(subject)
            .audience("api")
            .token_id(id)
            .issued_at(issued_at)
            .lifetime(Duration::from_secs(600));
        if let Some(session) = session {
            claims = claims.session(session);
        }
        let token = self
            .signer
            .sign(&claims, TokenType::Access, &NoExtra)
            .unwrap();
        match self.verifier.accept::<NoExtra>(&token).await {
            Ok(_) => "ok".to_owned(),
            Err(Error::RevocationStore(error)) => word(&error).to_owned(),
            Err(error) => error.code().to_owned(),
        }
    }

    /// Polls until a token that nobody revoked is accepted.
    async fn until_it_answers(&self) {
        let start = std::time::Instant::now();
        while self.show("x", None, "x", now() + 100).await != "ok" {
            assert!(start.elapsed() < DEADLINE);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn revoke(&self, revocation: Revocation) {
        self.store.revoke(revocation).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_revoked_is_refused_everywhere() {
    if !redis_is_here() {
        return;
    }
    let server = Server::start(&[]);
    let world = World::new(store(&server));
    let other = World::new(store(&server));
    let (at, until) = (now() + 100, now() + 1000);
    for world in [&world, &other] {
        assert_eq!(world.show("t1", Some("s1"), "u1", at).await, "ok");
    }
    world.revoke(Revocation::token(ISSUER, "t1", until)).await;
    world.revoke(Revocation::session(ISSUER, "s2", until)).await;
    world
        .revoke(Revocation::subject_since(ISSUER, "u3", at, until))
        .await;
    // The connections end; what was revoked does not.
    server.tell(&["CLIENT", "KILL", "TYPE", "normal"]);
    for world in [&world, &other] {
        world.until_it_answers().await;
        for (id, session, subject, issued_at, expected) in [
            ("t1", Some("s1"), "u1", at, "revoked"),
            ("t1", None, "u1", at + 50, "revoked"),
            ("t2", Some("s2"), "u1", at, "revoked"),
            ("t2", Some("s1"), "u1", at, "ok"),
            ("t2", None, "u3", at, "revoked"),
            ("t2", None, "u3", at - 1, "revoked"),
            ("t2", None, "u3", at + 1, "ok"),
            // A name of one kind is no name of another.
            ("s2", Some("u3"), "t1", at, "ok"),
        ] {
            assert_eq!(
                world.show(id, session, subject, issued_at).await,
                expected,
                "{id} {session:?} {subject}"
            );
        }
    }
}

#[tokio::test]
async fn a_later_revocation_takes_nothing_back() {
    if !redis_is_here() {
        return;
    }
    let server = Server::start(&[]);
    let world = World::new(store(&server));
    let (at, until) = (now() + 100, now() + 1000);
    let since = |second, until| Revocation::subject_since(ISSUER, "u", second, until);
    let stored = || {
        let keys: Vec<String> = server.ask(&["KEYS", "test:revoked:*"]);
        assert_eq!(keys.len(), 1);
        let expires: i64 = server.ask(&["EXPIRETIME", &keys[0]]);
        (server.ask::<String>(&["GET", &keys[0]]), expires)
    };
    // Kept until the tolerance later by the server's clock.
    let end = until + TOLERANCE;
    let as_int = |second: u64| i64::try_from(second).unwrap();
    for (revocation, value, expires) in [
        (since(at, until), format!("{at} {end}"), as_int(end)),
        (since(at - 50, until), format!("{at} {end}"), as_int(end)),
        (since(at, until - 500), format!("{at} {end}"), as_int(end)),
        (since(at + 1, 1), format!("{} {end}", at + 1), as_int(end)),
        (
            since(0, until + 1),
            format!("{} {}", at + 1, end + 1),
            as_int(end + 1),
        ),
        (
            since(u64::MAX, 1),
            format!("* {}", end + 1),
            as_int(end + 1),
        ),
        (since(at, until), format!("* {}", end + 1), as_int(end + 1)),
        (since(at, u64::MAX), "* *".to_owned(), -1),
        (since(at, until), "* *".to_owned(), -1),
    ] {
        world.revoke(revocation).await;
        assert_eq!(stored(), (value, expires));
    }
    assert_eq!(world.show("t", None, "u", now() + 299).await, "revoked");
    // An entry that cannot be read is no answer.
    let keys: Vec<String> = server.ask(&["KEYS", "test:revoked:*"]);
    server.tell(&["SET", &keys[0], "rubbish"]);
    assert_eq!(world.show("t", None, "u", at).await, "unavailable");
    assert!(world.store.revoke(since(at, until)).await.is_err());
}

#[tokio::test]
async fn lost_revocations_refuse_earlier_tokens_until_they_are_acknowledged() {
    if !redis_is_here() {
        return;
    }
    let mut server = Server::start(&[]);
    let world = World::new(store(&server));
    // The very first start is told like a loss.
    let first = world.store.lost_data().await.unwrap().unwrap();
    assert_eq!(first.losses(), 1);
    let old = first.since() - 1;
    assert_eq!(world.show("t", None, "u", old).await, "issued before start");
    assert_eq!(world.show("t", None, "u", old + 1).await, "ok");
    assert!(world.store.acknowledge(&first).await.unwrap());
    assert_eq!(world.store.lost_data().await.unwrap(), None);
    assert_eq!(world.show("t", None, "u", old).await, "ok");
    // A single-use token from before stays refused.
    let early = entry("early", old);
    assert_eq!(consume(&world.store, &early).await, "issued before start");

    let until = now() + 1000;
    world.revoke(Revocation::token(ISSUER, "t", until)).await;
    assert_eq!(world.show("t", None, "u", old).await, "revoked");
    wait_for(|| now() > first.since() - MARGIN);
    server.kill();
    assert_eq!(world.show("t", None, "u", old).await, "unavailable");
    server.restart();
    world.until_it_answers().await;
    // The revocation is lost, and the token is refused all the same.
    assert_eq!(world.show("t", None, "u", old).await, "issued before start");
    let second = world.store.lost_data().await.unwrap().unwrap();
    assert!(second.since() > first.since());
    // What is revoked is said to be, loss or not.
    world.revoke(Revocation::token(ISSUER, "t2", until)).await;
    assert_eq!(world.show("t2", None, "u", old).await, "revoked");
    // An acknowledgement is of one loss.
    assert!(!world.store.acknowledge(&first).await.unwrap());
    assert_eq!(world.show("t", None, "u", old).await, "issued before start");
    world.revoke(Revocation::token(ISSUER, "t", until)).await;
    assert!(world.store.acknowledge(&second).await.unwrap());
    assert_eq!(world.show("t", None, "u", old).await, "revoked");
    assert_eq!(world.show("t3", None, "u", old).await, "ok");
    // Other stores hear of it.
    let other = World::new(store(&server));
    assert_eq!(other.show("t3", None, "u", old).await, "ok");
}

#[tokio::test]
async fn a_log_that_is_counted_on_keeps_revocations() {
    if !redis_is_here() {
        return;
    }
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let options = options().persistence(Persistence::Always);
    let world = World::new(store_with(&server, options));
    let lost = world.store.lost_data().await.unwrap().unwrap();
    assert!(world.store.acknowledge(&lost).await.unwrap());
    let (at, until) = (now(), now() + 1000);
    world.revoke(Revocation::session(ISSUER, "s", until)).await;
    server.kill();
    server.restart();
    world.until_it_answers().await;
    assert_eq!(world.show("t", Some("s"), "u", at).await, "revoked");
    assert_eq!(world.show("t", None, "u", at).await, "ok");
    assert_eq!(world.store.lost_data().await.unwrap(), None);
}

/// A clock that jumped ahead and came back: what it has let the server forget is not taken for what was never revoked.
#[tokio::test]
async fn what_was_forgotten_in_a_jump_of_the_clock_is_not_accepted() {
    if !redis_is_here() {
        return;
    }
    let server = Server::start_with_clock();
    let world = World::new(store(&server));
    let (at, until) = (now() + 100, now() + 1000);
    world.revoke(Revocation::token(ISSUER, "t1", until)).await;
    assert_eq!(world.show("t1", None, "u1", at).await, "revoked");
    assert_eq!(world.show("t2", None, "u1", at).await, "ok");
    jump(&server, JUMP);
    assert_eq!(world.show("t1", None, "u1", at).await, "wrong set-up");
    forgets(&server, "test:revoked:*");
    jump(&server, 0);
    let start = std::time::Instant::now();
    while world.show("t1", None, "u1", at).await == "wrong set-up" {
        assert!(start.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for id in ["t1", "t2"] {
        assert_eq!(world.show(id, None, "u1", at).await, "clock went back");
    }
}
