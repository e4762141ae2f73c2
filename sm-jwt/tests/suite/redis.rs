//! The store in Redis: its contract, what it asks of a server, and two processes that share one.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::redis_server::*;
use sm_jwt::*;

#[tokio::test]
async fn a_key_is_consumed_once_and_kept() {
    if !redis_is_here() {
        return;
    }
    let server = Server::start(&[]);
    let stores = [store(&server), store(&server)];
    let first = new_entry("a");
    assert_eq!(consume(&stores[0], &first).await, "fresh");
    for store in &stores {
        assert_eq!(consume(store, &first).await, "replayed");
        assert_eq!(consume(store, &new_entry("a")).await, "replayed");
    }
    assert_eq!(consume(&stores[1], &new_entry("b")).await, "fresh");
    // Another prefix is another store.
    let other = store_with(&server, options().prefix("other:"));
    assert_eq!(consume(&other, &first).await, "fresh");
    // It is kept until `keep_until` by this process's clock, and that is the tolerance later by the server's.
    let keys: Vec<String> = server.ask(&["KEYS", "other:used:*"]);
    let expires: u64 = server.ask(&["EXPIRETIME", &keys[0]]);
    assert_eq!(expires, first.keep_until() + TOLERANCE);
    // What never ends is kept for ever; what has ended may have been forgotten.
    let ends = |name: &str, until| {
        let key = ReplayKey::new("txn+jwt", "issuer", name);
        ReplayEntry::new(key, now() + 1000, until)
    };
    let forever = ends("for ever", u64::MAX);
    for (entry, expected) in [
        (&forever, "fresh"),
        (&forever, "replayed"),
        (&ends("over", now() - 100), "clock went back"),
        (&ends("over", 0), "clock went back"),
    ] {
        assert_eq!(consume(&stores[0], entry).await, expected);
    }
    let keys: Vec<String> = server.ask(&["KEYS", "test:used:*"]);
    let left: Vec<i64> = keys
        .iter()
        .map(|key| server.ask(&["TTL", key.as_str()]))
        .collect();
    assert_eq!(left.iter().filter(|ttl| **ttl == -1).count(), 1);
}

#[tokio::test]
async fn the_verifier_consumes_tokens_through_it() {
    if !redis_is_here() {
        return;
    }
    let server = Server::start(&[]);
    let key = SigningKey::generate().unwrap();
    let kid = KeyId::new("1").unwrap();
    let public = key.verifying_key().clone();
    let verifier = Verifier::builder(TokenType::Transaction, ReplayPolicy::SingleUse)
        .issuer("issuer", [(kid.clone(), public, Profile::default())])
        .audience("payments")
        .replay_store(Arc::new(store(&server)))
        .leeway(Duration::ZERO)
        .build()
        .unwrap();
    let signer = Signer::new(key, kid, Profile::default()).unwrap();
    let token = |issued_at| {
        let claims = Claims::builder()
            .issuer("issuer")
            .subject("user")
            .audience("payments")
            .issued_at(issued_at)
            .lifetime(Duration::from_secs(60));
        signer
            .sign(&claims, TokenType::Transaction, &NoExtra)
            .unwrap()
    };
    // The very first start cannot be told from a loss.
    let before = verifier.accept::<NoExtra>(&token(now())).await;
    assert!(matches!(
        before,
        Err(Error::ReplayStore(StoreError::IssuedBeforeStart))
    ));
    let started = now();
    wait_for(|| now() > started + MARGIN);
    let token = token(now());
    assert!(verifier.accept::<NoExtra>(&token).await.is_ok());
    let again = verifier.accept::<NoExtra>(&token).await;
    assert_eq!(again.unwrap_err().code(), "replayed");
}

#[tokio::test]
async fn many_stores_agree_on_the_first_start() {
    if !redis_is_here() {
        return;
    }
    let server = Server::start(&[]);
    let before = now();
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let store = store(&server);
            tokio::spawn(async move { store.lost_data().await.unwrap().unwrap() })
        })
        .collect();
    let mut seen = Vec::new();
    for task in tasks {
        seen.push(task.await.unwrap());
    }
    assert!(seen.iter().all(|lost| *lost == seen[0]), "{seen:?}");
    assert_eq!(seen[0].losses(), 1);
    assert!((before + MARGIN..=now() + MARGIN).contains(&seen[0].since()));
    // What was issued in the second before `since` is refused, and in `since` itself it is not.
    let (store, since) = (store(&server), seen[0].since());
    let early = entry("early", since - 1);
    assert_eq!(consume(&store, &early).await, "issued before start");
    assert_eq!(consume(&store, &entry("late", since)).await, "fresh");
    // A marker that goes away takes the entries' word with it. The second must change, or `since` would be the same.
    wait_for(|| now() > since - MARGIN);
    server.tell(&["DEL", "test:marker"]);
    let late = entry("late", since);
    assert_eq!(consume(&store, &late).await, "issued before start");
    assert!(store.lost_data().await.unwrap().unwrap().since() > since);
    // `since` goes up with every loss, and what cannot be read is no answer.
    let far = now() + 5000;
    server.tell(&["HSET", "test:marker", "since", &far.to_string()]);
    server.tell(&["HSET", "test:marker", "run_id", "of another life"]);
    let lost = store.lost_data().await.unwrap().unwrap();
    assert_eq!((lost.since(), lost.losses()), (far + 1, 2));
    server.tell(&["HSET", "test:marker", "since", "soon"]);
    assert_eq!(consume(&store, &new_entry("x")).await, "unavailable");
}

#[tokio::test]
async fn servers_that_would_lose_entries_are_refused() {
    if !redis_is_here() {
        return;
    }
    let connect = async |server: &Server, options: RedisOptions| match store_with(server, options)
        .connect()
        .await
    {
        Ok(()) => "ok".to_owned(),
        Err(StoreError::WrongSetup(why)) => why,
        Err(other) => panic!("{other:?}"),
    };
    let evicting = Server::start(&["--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru"]);
    let why = connect(&evicting, options()).await;
    assert!(why.contains("maxmemory-policy"), "{why}");
    let set = |server: &Server, name: &str, value: &str| {
        server.tell(&["CONFIG", "SET", name, value]);
    };
    set(&evicting, "maxmemory-policy", "noeviction");
    assert_eq!(connect(&evicting, options()).await, "ok");
    // Later, too.
    let store = store(&evicting);
    assert_eq!(consume(&store, &new_entry("a")).await, "fresh");
    set(&evicting, "maxmemory-policy", "allkeys-random");
    assert_eq!(consume(&store, &new_entry("b")).await, "wrong set-up");
    set(&evicting, "maxmemory-policy", "noeviction");
    until_consume_is(&store, "c", "fresh").await;

    let always = || options().persistence(Persistence::Always);
    let why = connect(&evicting, always()).await;
    assert!(why.contains("appendonly"), "{why}");
    let durable = Server::start(&["--appendonly", "yes", "--appendfsync", "everysec"]);
    assert_eq!(connect(&durable, options()).await, "ok");
    assert!(connect(&durable, always()).await.contains("appendfsync"));
    set(&durable, "appendfsync", "always");
    assert_eq!(connect(&durable, always()).await, "ok");
    set(&durable, "no-appendfsync-on-rewrite", "yes");
    assert!(connect(&durable, always()).await.contains("rewrite"));
    set(&durable, "no-appendfsync-on-rewrite", "no");
    let store = store_with(&durable, always());
    assert_eq!(consume(&store, &new_entry("a")).await, "fresh");
    set(&durable, "appendfsync", "everysec");
    assert_eq!(consume(&store, &new_entry("b")).await, "wrong set-up");

    let cluster = Server::start(&["--cluster-enabled", "yes"]);
    assert!(connect(&cluster, options()).await.contains("cluster"));
    cluster.tell(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    wait_for(|| {
        cluster
            .ask::<String>(&["CLUSTER", "INFO"])
            .contains("cluster_state:ok")
    });
    assert!(connect(&cluster, options()).await.contains("cluster"));
    // A clock that is wrong, on whichever side.
    for off in [now() - 60, now() + 60] {
        let clock = Arc::new(ManualClock::new(off));
        let store = RedisStore::new(&durable.url(), options(), clock).unwrap();
        assert_eq!(consume(&store, &new_entry("c")).await, "wrong set-up");
    }
}

#[tokio::test]
async fn a_server_without_memory_is_full() {
    if !redis_is_here() {
        return;
    }
    let server = Server::start(&[]);
    let store = store(&server);
    assert_eq!(consume(&store, &new_entry("a")).await, "fresh");
    server.tell(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(consume(&store, &new_entry("b")).await, "full");
    let revocation = Revocation::token("issuer", "id", now() + 60);
    assert_eq!(word(&store.revoke(revocation).await.unwrap_err()), "full");
    server.tell(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(consume(&store, &new_entry("b")).await, "fresh");
    assert_eq!(consume(&store, &new_entry("a")).await, "replayed");
}

#[tokio::test]
async fn keys_that_were_evicted_are_noticed() {
    if !redis_is_here() {
        return;
    }
    let server = Server::start(&[]);
    let store = store(&server);
    let since = store.lost_data().await.unwrap().unwrap().since();
    let used = entry("a", since);
    assert_eq!(consume(&store, &used).await, "fresh");
    wait_for(|| now() > since - MARGIN);
    // Between two calls of the store, somebody lets the server throw keys away and sets it right again.
    server.tell(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]);
    server.tell(&["CONFIG", "SET", "maxmemory", "1"]);
    wait_for(|| {
        server.tell(&["CONFIG", "SET", "maxmemory", "1"]);
        server.info("evicted_keys") != "0"
    });
    server.tell(&["CONFIG", "SET", "maxmemory", "0"]);
    server.tell(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    assert_eq!(server.ask::<u64>(&["EXISTS", "test:marker"]), 1);
    assert_eq!(consume(&store, &used).await, "issued before start");
    assert_eq!(consume(&store, &new_entry("a2")).await, "fresh");
}

/// The rights that the documentation names are enough, and what the server does not tell is taken on trust.
#[tokio::test]
async fn a_user_with_few_rights_is_enough() {
    if !redis_is_here() {
        return;
    }
    let server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let rights = "+info +time +multi +exec +hmget +mget +set +get +eval +hget +hset +hincrby";
    let mut words = vec!["ACL", "SETUSER", "few", "on", ">secret", "~test:*", "-@all"];
    words.extend(rights.split(' '));
    server.tell(&words);
    let url = format!("redis://few:secret@127.0.0.1:{}/", server.port);
    for persistence in [Persistence::NotAssumed, Persistence::Always] {
        let options = options().persistence(persistence);
        let store = RedisStore::new(&url, options, Arc::new(SystemClock)).unwrap();
        store.connect().await.unwrap();
        let name = format!("{persistence:?}");
        assert_eq!(consume(&store, &new_entry(&name)).await, "fresh");
        let revocation = Revocation::token("issuer", &name, now() + 60);
        store.revoke(revocation).await.unwrap();
        if let Some(lost) = store.lost_data().await.unwrap() {
            assert!(store.acknowledge(&lost).await.unwrap());
        }
        assert!(!format!("{store:?}").contains("secret"));
    }
    server.tell(&["ACL", "SETUSER", "few", ">other", "<secret"]);
    let store = RedisStore::new(&url, options(), Arc::new(SystemClock)).unwrap();
    let refused = store.connect().await.unwrap_err();
    assert!(!format!("{refused:?}").contains("secret"));
    assert_eq!(word(&refused), "unavailable");
}

#[test]
fn without_a_runtime_calls_fail_and_do_not_panic() {
    let store = RedisStore::new("redis://127.0.0.1:1/", options(), Arc::new(SystemClock)).unwrap();
    let mut call = store.consume(new_entry("a"));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match call.as_mut().poll(&mut context) {
        std::task::Poll::Ready(Err(error)) => assert_eq!(word(&error), "unavailable"),
        other => panic!("{other:?}"),
    }
}

/// Calls that are dropped half-way consume or do not; what they consumed nobody gets.
#[tokio::test]
async fn dropped_calls_never_lead_to_two() {
    if !redis_is_here() {
        return;
    }
    let server = Server::start(&[]);
    let stores = [store(&server), store(&server)];
    for store in &stores {
        store.connect().await.unwrap();
    }
    let mut lost = 0;
    for round in 0..300u64 {
        let entry = new_entry(&round.to_string());
        let call = stores[0].consume(entry.clone());
        let wait = Duration::from_micros(round * 2);
        let dropped = match tokio::time::timeout(wait, call).await {
            Ok(outcome) => usize::from(outcome.unwrap() == ReplayOutcome::Fresh),
            Err(_) => 0,
        };
        let mut fresh = dropped;
        for store in &stores {
            fresh += usize::from(consume(store, &entry).await == "fresh");
        }
        assert!(fresh <= 1, "{round}");
        lost += usize::from(fresh == 0);
    }
    println!("{lost} of 300 were consumed by calls that were dropped");
}

const RACERS: &str = "SM_JWT_REDIS_RACE";
const TOKENS: usize = 10_000;

/// Two processes show the same 10,000 tokens to one server.
#[test]
fn two_processes_accept_each_token_once() {
    if !redis_is_here() {
        return;
    }
    let server = Server::start(&[]);
    let issued_at = (now() + 1000).to_string();
    let mut racers: Vec<_> = (0..2)
        .map(|number| {
            Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "redis::a_racer",
                    "--nocapture",
                    "--test-threads=1",
                ])
                .env(RACERS, format!("{} {issued_at} {number}", server.url()))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut lines: Vec<_> = racers
        .iter_mut()
        .map(|racer| BufReader::new(racer.stdout.take().unwrap()).lines())
        .collect();
    // Both are connected before either starts.
    for lines in &mut lines {
        assert!(lines.any(|line| line.unwrap().ends_with("ready")));
    }
    for racer in &mut racers {
        racer.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }
    let mut accepted: HashMap<usize, usize> = HashMap::new();
    let mut shares = Vec::new();
    for lines in &mut lines {
        let mut share = 0;
        for line in lines {
            if let Some(number) = line.unwrap().strip_prefix("accepted ") {
                *accepted.entry(number.parse().unwrap()).or_default() += 1;
                share += 1;
            }
        }
        shares.push(share);
    }
    for mut racer in racers {
        assert!(racer.wait().unwrap().success());
    }
    println!("accepted: {shares:?}");
    assert!(accepted.values().all(|times| *times == 1));
    assert_eq!(accepted.len(), TOKENS);
    // It was a race: neither had them all.
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
}

/// One of the two processes; does nothing when it runs as an ordinary test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_racer() {
    let Ok(task) = std::env::var(RACERS) else {
        return;
    };
    let [url, issued_at, number] = task.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{task}");
    };
    let issued_at: u64 = issued_at.parse().unwrap();
    let store = RedisStore::new(url, options(), Arc::new(SystemClock)).unwrap();
    store.connect().await.unwrap();
    println!("ready");
    std::io::stdin()
        .lock()
        .read_line(&mut String::new())
        .unwrap();
    // Both in the same order, with 64 calls at a time; one begins a little further on.
    let offset = 32 * number.parse::<usize>().unwrap();
    let next = Arc::new(AtomicUsize::new(0));
    let (store, start) = (Arc::new(store), Instant::now());
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (store, next) = (Arc::clone(&store), Arc::clone(&next));
            tokio::spawn(async move {
                let mut accepted = Vec::new();
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    if turn >= TOKENS {
                        return accepted;
                    }
                    let token = (turn + offset) % TOKENS;
                    let entry = entry(&token.to_string(), issued_at);
                    match consume(&store, &entry).await {
                        "fresh" => accepted.push(token),
                        "replayed" => {}
                        other => panic!("{other}"),
                    }
                }
            })
        })
        .collect();
    let mut out = String::new();
    for task in tasks {
        for token in task.await.unwrap() {
            out.push_str(&format!("accepted {token}\n"));
        }
    }
    println!("{out}{:?}", start.elapsed());
}
