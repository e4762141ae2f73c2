//! Sets that are fetched, replaced and kept: rotation under load, outages, floods of unknown names.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use tokio::time::{Instant, advance};

#[test]
fn keys_are_fetched_and_kept_fresh() {
    with_still_time(async {
        let old = Key::new("old");
        let server = Server::start(reply(&[&old]));
        let keys = RemoteKeys::connect(config(&server)).await.unwrap();
        let verifier = verifier(&keys);
        assert_eq!(accept(&verifier, &old.token()).await, "ok");
        assert_eq!(server.requests(), 1);
        let request = server.next_request().unwrap();
        assert_eq!((&*request.method, &*request.path), ("GET", "/keys"));
        assert_eq!(
            request.headers["accept"],
            "application/jwk-set+json, application/json"
        );
        assert!(request.headers.get("authorization").is_none());

        let status = keys.status();
        assert_eq!((status.keys, status.fetches, status.failures), (1, 1, 0));
        assert_eq!(status.last_success, Some(Duration::ZERO));
        assert_eq!(status.trusted_for, TOLERANCE);
        assert_eq!(status.last_error, None);

        // Ahead of the end of the lifetime, and not before five eighths of it.
        for round in 2..6 {
            let next = keys.status().next_fetch.unwrap();
            assert!(
                next >= LIFETIME * 5 / 8 && next <= LIFETIME * 6 / 8,
                "{next:?}"
            );
            advance(next - Duration::from_millis(2)).await;
            for _ in 0..100 {
                assert_eq!(accept(&verifier, &old.token()).await, "ok");
            }
            assert_eq!(server.requests(), round - 1);
            next_fetch(&keys).await;
            assert_eq!(server.requests(), round);
        }
    });
}

#[test]
fn the_answer_states_its_lifetime_within_limits() {
    with_still_time(async {
        let key = Key::new("a");
        let server = Server::start(reply(&[&key]));
        let config = config(&server)
            .lifetime(Duration::from_secs(300))
            .lifetime_limits(Duration::from_secs(100), Duration::from_secs(1000));
        let keys = RemoteKeys::connect(config).await.unwrap();
        let mut expected = 300;
        for (cache_control, lifetime) in [
            ("max-age=800", 800),
            ("max-age=1", 100),
            ("no-store", 100),
            ("max-age=31536000", 1000),
            ("private", 300),
        ] {
            let next = keys.status().next_fetch.unwrap().as_secs();
            assert!(
                (expected * 5 / 8..=expected * 6 / 8).contains(&next),
                "{expected}: {next}"
            );
            server.reply(reply(&[&key]).header("cache-control", cache_control));
            next_fetch(&keys).await;
            expected = lifetime;
        }
        let next = keys.status().next_fetch.unwrap().as_secs();
        assert!((187..=225).contains(&next), "{next}");
    });
}

/// While many verify: a removed key is refused after its lifetime and one request's timeout at the latest, a new one is
/// known at once, and a key that stays is never refused.
#[test]
fn rotation_under_load() {
    with_still_time(async {
        let (gone, stays, new) = (Key::new("gone"), Key::new("stays"), Key::new("new"));
        let server = Server::start(reply(&[&gone, &stays]));
        let keys = RemoteKeys::connect(config(&server)).await.unwrap();
        let verifier = verifier(&keys);
        let stop = Arc::new(AtomicBool::new(false));
        let accepted = Arc::new(AtomicUsize::new(0));
        let load: Vec<_> = (0..32)
            .map(|_| {
                let (verifier, token) = (Arc::clone(&verifier), stays.token());
                let (stop, accepted) = (Arc::clone(&stop), Arc::clone(&accepted));
                tokio::spawn(async move {
                    while !stop.load(Ordering::SeqCst) {
                        assert_eq!(accept(&verifier, &token).await, "ok");
                        accepted.fetch_add(1, Ordering::SeqCst);
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        advance(Duration::from_secs(10)).await;
        let doomed = gone.token();
        assert_eq!(accept(&verifier, &doomed).await, "ok");

        // Removed. Nobody is told, so it is accepted until the next fetch, and then never.
        server.reply(reply(&[&stays]));
        let removed = Instant::now();
        let bound = LIFETIME + TIMEOUT;
        loop {
            let fetches = keys.status().fetches;
            let due = keys.status().next_fetch.unwrap() <= Duration::from_secs(1);
            advance(Duration::from_secs(1)).await;
            if due {
                ended(&keys, fetches + 1).await;
                break;
            }
            assert!(removed.elapsed() < bound);
            assert_eq!(accept(&verifier, &doomed).await, "ok");
        }
        assert!(removed.elapsed() <= bound, "{:?}", removed.elapsed());
        assert_eq!(server.requests(), 2);
        assert_eq!(accept(&verifier, &doomed).await, "unknown_key");
        advance(COOL_DOWN).await;

        // New: its first token is accepted, with no time passing at all.
        let before = server.requests();
        server.reply(reply(&[&stays, &new]));
        let published = Instant::now();
        assert_eq!(accept(&verifier, &new.token()).await, "ok");
        assert_eq!(published.elapsed(), Duration::ZERO);
        assert_eq!(server.requests(), before + 1);
        assert_eq!(accept(&verifier, &doomed).await, "unknown_key");

        stop.store(true, Ordering::SeqCst);
        for task in load {
            task.await.unwrap();
        }
        assert!(accepted.load(Ordering::SeqCst) >= 32);
    });
}

/// Several threads, real time: sets are never mixed, whatever the threads do when.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rotation_under_load_on_several_threads() {
    let (gone, stays, new) = (Key::new("gone"), Key::new("stays"), Key::new("new"));
    let server = Server::start(reply(&[&gone, &stays]));
    let config = config(&server).cool_down(Duration::from_secs(1));
    let keys = RemoteKeys::connect(config).await.unwrap();
    let verifier = verifier(&keys);
    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..8)
        .map(|_| {
            let verifier = Arc::clone(&verifier);
            let [gone, stays, new] = [&gone, &stays, &new].map(Key::token);
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                let mut rounds = 0;
                let mut replaced = false;
                while !stop.load(Ordering::SeqCst) || !replaced {
                    assert_eq!(accept(&verifier, &stays).await, "ok");
                    if accept(&verifier, &new).await == "ok" {
                        replaced = true;
                    }
                    match accept(&verifier, &gone).await {
                        "ok" => assert!(!replaced, "an old key beside a new one"),
                        // It is refused since the set was replaced, so that the new one is there.
                        code => {
                            assert_eq!(code, "unknown_key");
                            assert_eq!(accept(&verifier, &new).await, "ok");
                            replaced = true;
                        }
                    }
                    rounds += 1;
                    tokio::task::yield_now().await;
                }
                rounds
            })
        })
        .collect();
    until("a fetch for the new key", || server.requests() >= 2).await;
    assert_eq!(accept(&verifier, &gone.token()).await, "ok");
    server.reply(reply(&[&stays, &new]));
    until("the new key", || {
        keys.current().is_ok_and(|keys| keys.get("new").is_some())
    })
    .await;
    stop.store(true, Ordering::SeqCst);
    for task in load {
        assert!(task.await.unwrap() > 0);
    }
}

#[test]
fn an_outage_keeps_the_set_for_exactly_the_tolerance() {
    with_still_time(async {
        let key = Key::new("a");
        let mut server = Server::start(reply(&[&key]));
        let start = Instant::now();
        let keys = RemoteKeys::connect(config(&server)).await.unwrap();
        let verifier = verifier(&keys);
        let token = key.token();
        server.stop();

        let mut failures = 0;
        while start.elapsed() + Duration::from_secs(61) < TOLERANCE {
            next_fetch(&keys).await;
            failures += 1;
            let status = keys.status();
            assert_eq!(
                (status.failures, status.failures_in_a_row),
                (failures, failures as u32)
            );
            assert!(status.last_error.unwrap().contains("no answer"), "refused");
            assert_eq!(accept(&verifier, &token).await, "ok");
            // 1 s, 2 s, 4 s and so on up to 60 s, less up to half.
            let most = Duration::from_secs((1 << (failures - 1).min(6)).min(60));
            let next = status.next_fetch.unwrap();
            assert!(
                next <= most && next >= most / 2 - Duration::from_millis(1),
                "{next:?}"
            );
        }
        assert!(failures > 50, "{failures}");

        // To the last millisecond, and not a millisecond longer.
        advance(TOLERANCE - start.elapsed() - Duration::from_millis(1)).await;
        assert_eq!(accept(&verifier, &token).await, "ok");
        assert_eq!(keys.status().trusted_for, Duration::from_millis(1));
        advance(Duration::from_millis(1)).await;
        let error = verifier.accept::<NoExtra>(&token).await.unwrap_err();
        assert_eq!(error.code(), "keys_unavailable");
        assert!(error.is_transient());
        assert!(message(&error).contains("too old"), "{error}");
        assert_eq!(keys.status().trusted_for, Duration::ZERO);
    });
}

#[test]
fn service_goes_on_after_an_outage() {
    with_still_time(async {
        let key = Key::new("a");
        let server = Server::start(reply(&[&key]));
        let keys = RemoteKeys::connect(config(&server)).await.unwrap();
        let verifier = verifier(&keys);
        let token = key.token();
        server.reply(Reply::status(503));
        next_fetch(&keys).await;
        // A long time at once: one attempt, and it fails.
        advance(TOLERANCE).await;
        ended(&keys, 3).await;
        assert_eq!(accept(&verifier, &token).await, "keys_unavailable");
        let fetches = keys.status().fetches;
        assert_eq!(fetches, 4, "a token had it tried again");

        // Back: a token need not wait for the next attempt that is planned.
        server.reply(reply(&[&key]));
        advance(Duration::from_millis(100)).await;
        assert_eq!(
            accept(&verifier, &token).await,
            "keys_unavailable",
            "in the cool-down"
        );
        next_fetch(&keys).await;
        assert_eq!(accept(&verifier, &token).await, "ok");
        let status = keys.status();
        assert_eq!((status.failures, status.failures_in_a_row), (3, 0));
        assert!(status.last_error.unwrap().contains("status 503"));
        assert_eq!(status.trusted_for, TOLERANCE);
    });
}

#[test]
fn a_flood_of_unknown_names_makes_one_fetch_a_cool_down() {
    with_still_time(async {
        let key = Key::new("a");
        let server = Server::start(reply(&[&key]).header("cache-control", "max-age=3600"));
        let config = config(&server).lifetime_limits(LIFETIME, Duration::from_secs(3600));
        let keys = RemoteKeys::connect(config).await.unwrap();
        let verifier = verifier(&keys);
        assert_eq!(server.requests(), 1);
        for round in 0..3 {
            // All of them are there while the fetch is under way, and again when it has ended.
            server.set_open(false);
            let flood: Vec<_> = (0..10_000)
                .map(|i| {
                    let verifier = Arc::clone(&verifier);
                    let token = token_of(&format!("unknown-{round}-{i}"));
                    tokio::spawn(async move { accept(&verifier, &token).await })
                })
                .collect();
            until("the fetch", || server.requests() == round + 2).await;
            server.set_open(true);
            for task in flood {
                assert_eq!(task.await.unwrap(), "unknown_key");
            }
            for i in 0..1000 {
                let token = token_of(&format!("later-{round}-{i}"));
                assert_eq!(accept(&verifier, &token).await, "unknown_key");
            }
            assert_eq!(accept(&verifier, &key.token()).await, "ok");
            advance(COOL_DOWN - Duration::from_millis(1)).await;
            assert_eq!(accept(&verifier, &token_of("last")).await, "unknown_key");
            assert_eq!(server.requests(), round + 2);
            advance(Duration::from_millis(1)).await;
        }
        assert_eq!(keys.status().fetches, 4);
    });
}

#[test]
fn the_first_uses_share_one_fetch() {
    with_still_time(async {
        let key = Key::new("a");
        let server = Server::start(reply(&[&key]));
        server.set_open(false);
        let keys = RemoteKeys::lazy(config(&server)).unwrap();
        let verifier = verifier(&keys);
        advance(Duration::from_secs(100)).await;
        assert_eq!(
            (server.requests(), keys.status().fetches),
            (0, 0),
            "nobody asked"
        );
        let uses: Vec<_> = (0..100)
            .map(|_| {
                let (verifier, token) = (Arc::clone(&verifier), key.token());
                tokio::spawn(async move { accept(&verifier, &token).await })
            })
            .collect();
        until("the fetch", || server.requests() == 1).await;
        assert!(uses.iter().all(|task| !task.is_finished()));
        server.set_open(true);
        for task in uses {
            assert_eq!(task.await.unwrap(), "ok");
        }
        assert_eq!((server.requests(), keys.status().fetches), (1, 1));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_first_uses_share_one_fetch_on_several_threads() {
    let key = Key::new("a");
    let server = Server::start(reply(&[&key]));
    server.set_open(false);
    let keys = RemoteKeys::lazy(config(&server)).unwrap();
    let verifier = verifier(&keys);
    let uses: Vec<_> = (0..100)
        .map(|_| {
            let (verifier, token) = (Arc::clone(&verifier), key.token());
            tokio::spawn(async move { accept(&verifier, &token).await })
        })
        .collect();
    until("the fetch", || server.requests() == 1).await;
    server.set_open(true);
    for task in uses {
        assert_eq!(task.await.unwrap(), "ok");
    }
    assert_eq!(server.requests(), 1);
}

/// Also who never waits gets the keys in the end.
#[tokio::test]
async fn offline_verification_has_the_keys_fetched() {
    let key = Key::new("a");
    let server = Server::start(reply(&[&key]));
    let keys = RemoteKeys::lazy(config(&server)).unwrap();
    let verifier = verifier(&keys);
    assert_eq!(outcome(&verifier, &key.token()), "keys_unavailable");
    until("the keys", || outcome(&verifier, &key.token()) == "ok").await;
    assert_eq!(server.requests(), 1);
}
