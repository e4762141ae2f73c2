//! The store in Redis through outages: servers killed, stopped, restarted, demoted and replaced by their replicas. Nothing
//! is accepted twice in any of them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::redis_server::*;
use sm_jwt::*;

/// A token, and how often it was accepted.
struct Token {
    entry: ReplayEntry,
    accepted: AtomicUsize,
}

/// Tokens that are issued and shown all the time, each of them again and again.
#[derive(Default)]
struct Traffic {
    tokens: Mutex<Vec<Arc<Token>>>,
    accepted: AtomicUsize,
    errors: AtomicUsize,
    stop: AtomicBool,
}

impl Traffic {
    /// A token of this second, or one that was issued before.
    fn pick(&self, random: u64) -> Arc<Token> {
        let mut tokens = self.tokens.lock().unwrap();
        let place = usize::try_from(random / 4).unwrap() % (tokens.len() + 1);
        if let Some(token) = tokens.get(place)
            && !random.is_multiple_of(4)
        {
            return Arc::clone(token);
        }
        let token = Arc::new(Token {
            entry: entry(&format!("traffic-{}", tokens.len()), now()),
            accepted: AtomicUsize::new(0),
        });
        tokens.push(Arc::clone(&token));
        token
    }

    async fn show(&self, store: &RedisStore, mut random: u64) {
        while !self.stop.load(Ordering::Relaxed) {
            // Knuth's MMIX.
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let token = self.pick(random >> 33);
            match consume(store, &token.entry).await {
                "fresh" => {
                    token.accepted.fetch_add(1, Ordering::Relaxed);
                    self.accepted.fetch_add(1, Ordering::Relaxed);
                }
                "replayed" | "issued before start" => {}
                "unavailable" => {
                    self.errors.fetch_add(1, Ordering::Relaxed);
                }
                other => panic!("{other}"),
            }
            // So much traffic that kills hit calls in mid-flight, and not more than can be asked about afterwards.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn until(&self, counter: &AtomicUsize, reaches: usize) {
        let start = Instant::now();
        while counter.load(Ordering::Relaxed) < reaches {
            assert!(start.elapsed() < DEADLINE, "waited too long");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Shows a token from before the kill once more.
async fn sweep(store: &RedisStore, token: &Token, since: u64, keeps: bool) {
    let answer = consume(store, &token.entry).await;
    if answer == "fresh" {
        token.accepted.fetch_add(1, Ordering::Relaxed);
    }
    if token.entry.issued_at() < since {
        assert_eq!(answer, "issued before start");
    } else {
        // One whose call failed may be fresh; that none is so twice is checked in the end.
        assert!(keeps && ["fresh", "replayed"].contains(&answer), "{answer}");
    }
}

/// Kills the server twice amid traffic. `keeps`: nothing is lost, and nothing refused.
async fn killed_amid_traffic(args: &[&str], options: RedisOptions, keeps: bool) {
    if !redis_is_here() {
        return;
    }
    let mut server = Server::start(args);
    let traffic = Arc::new(Traffic::default());
    let stores: Vec<_> = (0..3)
        .map(|_| Arc::new(store_with(&server, options.clone())))
        .collect();
    let callers: Vec<_> = (0..9u64)
        .map(|caller| {
            let (traffic, store) = (
                Arc::clone(&traffic),
                Arc::clone(&stores[caller as usize % 3]),
            );
            tokio::spawn(async move { traffic.show(&store, caller).await })
        })
        .collect();
    let accepted = &traffic.accepted;
    traffic.until(accepted, 200).await;
    for round in 0..2 {
        // A snapshot of the middle: after the kill it brings back some tokens and not others, and an old marker.
        if args.contains(&"--save") {
            server.tell(&["SAVE"]);
        }
        let mark = accepted.load(Ordering::Relaxed);
        traffic.until(accepted, mark + 200).await;
        let unused: Vec<_> = (0..10)
            .map(|number| entry(&format!("unused-{round}-{number}"), now()))
            .collect();
        let before = traffic.tokens.lock().unwrap().clone();
        let since = stores[0].lost_data().await.unwrap().unwrap().since();

        server.kill();
        let errors = traffic.errors.load(Ordering::Relaxed);
        traffic.until(&traffic.errors, errors + 20).await;
        server.restart();
        let mark = accepted.load(Ordering::Relaxed);
        traffic.until(accepted, mark + 200).await;

        let lost = stores[1].lost_data().await.unwrap().unwrap();
        assert_eq!(lost.since() == since, keeps, "{since} {lost:?}");
        // Every token from before, whatever the traffic did with it meanwhile.
        let before: Arc<[_]> = before.into();
        let sweeps: Vec<_> = (0..16)
            .map(|first| {
                let (before, store) = (Arc::clone(&before), Arc::clone(&stores[2]));
                let since = lost.since();
                tokio::spawn(async move {
                    for token in before.iter().skip(first).step_by(16) {
                        sweep(&store, token, since, keeps).await;
                    }
                })
            })
            .collect();
        for sweep in sweeps {
            sweep.await.unwrap();
        }
        for entry in &unused {
            let expected = if keeps {
                ["fresh", "replayed"]
            } else {
                ["issued before start"; 2]
            };
            for expected in expected {
                assert_eq!(consume(&stores[0], entry).await, expected);
            }
        }
    }
    traffic.stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    let tokens = traffic.tokens.lock().unwrap();
    for token in tokens.iter() {
        let times = token.accepted.load(Ordering::Relaxed);
        assert!(times <= 1, "accepted {times} times: {:?}", token.entry);
    }
    println!(
        "{} tokens, {} accepted, {} errors",
        tokens.len(),
        accepted.load(Ordering::Relaxed),
        traffic.errors.load(Ordering::Relaxed)
    );
}

#[tokio::test]
async fn killed_without_persistence() {
    killed_amid_traffic(&[], options(), false).await;
}

#[tokio::test]
async fn killed_with_snapshots() {
    killed_amid_traffic(&["--save", "3600 1"], options(), false).await;
}

#[tokio::test]
async fn killed_with_a_log_synced_every_second() {
    let args = ["--appendonly", "yes", "--appendfsync", "everysec"];
    killed_amid_traffic(&args, options(), false).await;
}

/// The log keeps everything, but nobody said that it may be counted on.
#[tokio::test]
async fn killed_with_a_log_always_synced_and_not_assumed() {
    let args = ["--appendonly", "yes", "--appendfsync", "always"];
    killed_amid_traffic(&args, options(), false).await;
}

#[tokio::test]
async fn killed_with_a_log_always_synced() {
    let args = ["--appendonly", "yes", "--appendfsync", "always"];
    let options = options().persistence(Persistence::Always);
    killed_amid_traffic(&args, options, true).await;
}

/// A second loss is none that was acknowledged, however soon it comes.
#[tokio::test]
async fn a_second_loss_is_no_acknowledged_one() {
    if !redis_is_here() {
        return;
    }
    let server = Server::start(&[]);
    let store = store(&server);
    let mut since = 0;
    for losses in 1..=3 {
        let lost = store.lost_data().await.unwrap().unwrap();
        assert_eq!(lost.losses(), losses);
        assert!(lost.since() > since);
        since = lost.since();
        assert!(store.acknowledge(&lost).await.unwrap());
        assert_eq!(store.lost_data().await.unwrap(), None);
        server.tell(&["HSET", "test:marker", "run_id", "of another life"]);
    }
}

/// A log that is counted on and gone all the same.
#[tokio::test]
async fn a_lost_log_is_noticed() {
    if !redis_is_here() {
        return;
    }
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let always = options().persistence(Persistence::Always);
    let store = store_with(&server, always);
    let since = store.lost_data().await.unwrap().unwrap().since();
    let used = entry("a", since);
    assert_eq!(consume(&store, &used).await, "fresh");
    wait_for(|| now() > since - MARGIN);
    server.kill();
    server.remove("appendonlydir");
    server.restart();
    until_consume_is(&store, "b", "fresh").await;
    assert_eq!(consume(&store, &used).await, "issued before start");

    // While the log is off nothing is counted on, also not once it is on again.
    let since = store.lost_data().await.unwrap().unwrap().since();
    let used = entry("c", since);
    assert_eq!(consume(&store, &used).await, "fresh");
    wait_for(|| now() > since - MARGIN);
    server.kill();
    server.set_args(&["--appendonly", "no"]);
    server.restart();
    // An older state from somewhere, its marker included.
    server.tell(&["HSET", "test:marker", "run_id", "of another life"]);
    server.tell(&["HSET", "test:marker", "replication_id", "x", "evicted", "0"]);
    server.tell(&["HSET", "test:marker", "since", &since.to_string()]);
    until_consume_is(&store, "d", "wrong set-up").await;
    server.tell(&["CONFIG", "SET", "appendfsync", "always"]);
    server.tell(&["CONFIG", "SET", "appendonly", "yes"]);
    until_consume_is(&store, "e", "fresh").await;
    assert_eq!(consume(&store, &used).await, "issued before start");
}

#[tokio::test]
async fn a_server_that_is_down_is_unavailable_until_it_is_back() {
    if !redis_is_here() {
        return;
    }
    let mut server = Server::start(&[]);
    let store = Arc::new(store(&server));
    assert_eq!(consume(&store, &new_entry("a")).await, "fresh");
    server.kill();
    // Many callers at once; `consume` bounds the time of each.
    let calls: Vec<_> = (0..200)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { consume(&store, &new_entry(&number.to_string())).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), "unavailable");
    }
    server.restart();
    until_consume_is(&store, "b", "fresh").await;
}

#[tokio::test]
async fn a_server_that_hangs_is_unavailable_until_it_goes_on() {
    if !redis_is_here() {
        return;
    }
    let server = Server::start(&[]);
    let timeout = Duration::from_millis(200);
    let options = options().connect_timeout(timeout).response_timeout(timeout);
    let store = Arc::new(store_with(&server, options));
    assert_eq!(consume(&store, &new_entry("a")).await, "fresh");
    server.signal("-STOP");
    // Its kernel still takes connections, which then hang too.
    for round in 0..3 {
        let calls: Vec<_> = (0..50)
            .map(|number| {
                let store = Arc::clone(&store);
                let entry = new_entry(&format!("{round}-{number}"));
                tokio::spawn(async move { consume(&store, &entry).await })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap(), "unavailable");
        }
        assert!(!store.is_connected());
    }
    server.signal("-CONT");
    until_consume_is(&store, "b", "fresh").await;
    // What was sent while it hung may have been consumed since; it is not to be had twice.
    for round in 0..3 {
        for number in 0..50 {
            let entry = new_entry(&format!("{round}-{number}"));
            let first = consume(&store, &entry).await;
            assert!(["fresh", "replayed"].contains(&first), "{first}");
            assert_eq!(consume(&store, &entry).await, "replayed");
        }
    }
}

/// A connection that ends while nothing is asked costs no call.
#[tokio::test]
async fn an_idle_connection_that_ended_is_made_anew() {
    if !redis_is_here() {
        return;
    }
    let server = Server::start(&[]);
    let store = store(&server);
    for round in 0..5 {
        let entry = new_entry(&round.to_string());
        assert_eq!(consume(&store, &entry).await, "fresh");
        server.tell(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        // The end is noticed when this task waits.
        let start = Instant::now();
        while store.is_connected() {
            assert!(start.elapsed() < DEADLINE);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(consume(&store, &entry).await, "replayed");
    }
}

#[tokio::test]
async fn a_replica_is_refused() {
    if !redis_is_here() {
        return;
    }
    let (master, replica) = (Server::start(&[]), Server::start(&[]));
    let store = store(&replica);
    assert_eq!(consume(&store, &new_entry("a")).await, "fresh");
    replica.follow(&master);
    // Demoted under an open connection, and at a new one.
    for number in 0..3 {
        let entry = new_entry(&format!("b-{number}"));
        assert_eq!(consume(&store, &entry).await, "unavailable");
        // Behind the same name there may be another server by now.
        assert!(!store.is_connected());
    }
    let revocation = Revocation::token("issuer", "id", now() + 60);
    let refused = store.revoke(revocation).await.unwrap_err();
    assert_eq!(word(&refused), "unavailable");
    // One that takes writes is refused too.
    replica.tell(&["CONFIG", "SET", "replica-read-only", "no"]);
    let new = self::store(&replica);
    let refused = new.connect().await.unwrap_err();
    assert!(format!("{refused:?}").contains("Replica"), "{refused:?}");
    assert_eq!(master.ask::<u64>(&["DBSIZE"]), 0);
}

/// The replica takes the master's place at the same port; its last entries may be missing.
async fn fail_over(args: &[&str], options: RedisOptions, restarted: bool) {
    if !redis_is_here() {
        return;
    }
    let mut master = Server::start(args);
    let mut replica = Server::start(args);
    // There was a replica before the store, and there is one after: that changes nothing that the marker names.
    replica.follow(&master);
    replica.tell(&["REPLICAOF", "NO", "ONE"]);
    wait_for(|| master.info("connected_slaves") == "0");
    let store = store_with(&master, options);
    let since = store.lost_data().await.unwrap().unwrap().since();
    replica.follow(&master);
    let copied = entry("copied", since);
    assert_eq!(consume(&store, &copied).await, "fresh");
    wait_for(|| replica.info("slave_repl_offset") == master.info("master_repl_offset"));
    assert_eq!(replica.ask::<u64>(&["DBSIZE"]), 2);
    // From here on nothing reaches the replica.
    replica.signal("-STOP");
    let missing = entry("missing", since);
    assert_eq!(consume(&store, &missing).await, "fresh");
    wait_for(|| now() > since - MARGIN);
    master.kill();
    replica.signal("-CONT");
    // What the master had sent may still be in the replica's socket: the entry is taken away, as if it had not been.
    wait_for(|| replica.info("master_link_status") == "down");
    replica.tell(&["REPLICAOF", "NO", "ONE"]);
    let keys: Vec<String> = replica.ask(&["KEYS", "test:used:*"]);
    let mut words = vec!["DEL"];
    words.extend(keys.iter().map(String::as_str));
    replica.tell(&words);
    if restarted {
        replica.kill();
        replica.restart();
    }
    replica.tell(&["CONFIG", "SET", "port", &master.port.to_string()]);

    until_consume_is(&store, "new", "fresh").await;
    for used in [&copied, &missing] {
        assert_eq!(consume(&store, used).await, "issued before start");
    }
    assert!(store.lost_data().await.unwrap().unwrap().since() > since);
}

#[tokio::test]
async fn a_promoted_replica_refuses_earlier_tokens() {
    fail_over(&[], options(), false).await;
}

/// A log that is always synced says nothing about another server's.
#[tokio::test]
async fn a_promoted_replica_with_a_log_refuses_earlier_tokens() {
    let args = ["--appendonly", "yes", "--appendfsync", "always"];
    for restarted in [false, true] {
        let options = options().persistence(Persistence::Always);
        fail_over(&args, options, restarted).await;
    }
}

/// A server that begins to have replicas has all it had, which only one that is counted on is believed.
#[tokio::test]
async fn a_first_replica_is_no_loss_where_nothing_is_lost() {
    if !redis_is_here() {
        return;
    }
    let args = ["--appendonly", "yes", "--appendfsync", "always"];
    let (server, replica) = (Server::start(&args), Server::start(&[]));
    let always = options().persistence(Persistence::Always);
    let counted_on = store_with(&server, always.prefix("test:always:"));
    let plain = store(&server);
    let since = async |store: &RedisStore| store.lost_data().await.unwrap().unwrap().since();
    let before = [since(&counted_on).await, since(&plain).await];
    let used = entry("a", before[0].max(before[1]));
    for store in [&counted_on, &plain] {
        assert_eq!(consume(store, &used).await, "fresh");
    }
    wait_for(|| now() > used.issued_at() - MARGIN);
    replica.follow(&server);
    assert_eq!(consume(&counted_on, &used).await, "replayed");
    assert_eq!(since(&counted_on).await, before[0]);
    assert_eq!(consume(&plain, &used).await, "issued before start");
}

/// Demoted and promoted again, a server has the `run_id` it had, and another's data.
#[tokio::test]
async fn a_server_that_was_a_replica_meanwhile_refuses_earlier_tokens() {
    if !redis_is_here() {
        return;
    }
    let (server, other) = (Server::start(&[]), Server::start(&[]));
    other.follow(&server);
    let store = store(&server);
    let since = store.lost_data().await.unwrap().unwrap().since();
    wait_for(|| other.ask::<u64>(&["DBSIZE"]) == 1);
    // The other one goes its own way, with a copy of the marker.
    other.tell(&["REPLICAOF", "NO", "ONE"]);
    let used = entry("a", since);
    assert_eq!(consume(&store, &used).await, "fresh");
    wait_for(|| now() > since - MARGIN);
    let run_id = server.info("run_id");
    server.follow(&other);
    server.tell(&["REPLICAOF", "NO", "ONE"]);
    // The entry is gone, and the marker still names this server's life.
    assert_eq!(server.ask::<u64>(&["DBSIZE"]), 1);
    assert_eq!(
        server.ask::<String>(&["HGET", "test:marker", "run_id"]),
        run_id
    );
    until_consume_is(&store, "b", "fresh").await;
    assert_eq!(consume(&store, &used).await, "issued before start");
}
