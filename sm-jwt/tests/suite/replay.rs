//! The replay store's contract, and what the verifier makes of a store's answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::*;
use sm_jwt::*;

/// A key of its own for every number: made from a real token, since only the verifier makes keys.
#[derive(Debug, Default)]
struct Recorder(std::sync::Mutex<Vec<ReplayEntry>>);

impl ReplayStore for Recorder {
    fn consume(&self, entry: ReplayEntry) -> ReplayFuture<'_> {
        self.0.lock().unwrap().push(entry);
        Box::pin(async { Ok(ReplayOutcome::Fresh) })
    }
}

fn single_use(store: Arc<dyn ReplayStore>, token_type: TokenType) -> Verifier {
    builder(token_type, ReplayPolicy::SingleUse)
        .replay_store(store)
        .build()
        .unwrap()
}

fn sign(claims: &ClaimsBuilder, token_type: TokenType) -> String {
    signer().sign(claims, token_type, &NoExtra).unwrap()
}

async fn entry_of(claims: &ClaimsBuilder, token_type: TokenType) -> ReplayEntry {
    let recorder = Arc::new(Recorder::default());
    let verifier = single_use(recorder.clone(), token_type);
    verifier
        .accept::<NoExtra>(&sign(claims, token_type))
        .await
        .unwrap();
    recorder.0.lock().unwrap().pop().unwrap()
}

async fn entry(id: u32, keep_until: u64) -> ReplayEntry {
    let made = entry_of(
        &claims().token_id(format!("id-{id}")),
        TokenType::Transaction,
    )
    .await;
    ReplayEntry::new(*made.key(), made.issued_at(), keep_until)
}

#[tokio::test]
async fn key_separates_kind_issuer_and_id() {
    let key = async |token_id: &str, token_type| {
        *entry_of(&claims().token_id(token_id), token_type)
            .await
            .key()
    };
    let transaction = key("a", TokenType::Transaction).await;
    assert_eq!(transaction, key("a", TokenType::Transaction).await);
    assert_ne!(transaction, key("b", TokenType::Transaction).await);
    assert_ne!(transaction, key("a", TokenType::Refresh).await);
    // SM3 over the length-prefixed parts, written out once more.
    use sm3::{Digest as _, Sm3};
    let mut expected = Sm3::new();
    for part in ["txn+jwt", ISSUER, "a"] {
        expected.update((part.len() as u64).to_be_bytes());
        expected.update(part);
    }
    assert_eq!(transaction.as_bytes()[..], expected.finalize()[..]);
    let entry = entry_of(&claims(), TokenType::Transaction).await;
    assert_eq!(entry.issued_at(), NOW);
    // exp, 30 s of leeway, 300 s of skew.
    assert_eq!(entry.keep_until(), NOW + 600 + 30 + 300);
}

#[tokio::test]
async fn memory_store_consumes_once_and_forgets_in_time() {
    let clock = clock();
    let store = MemoryReplayStore::new(10, Arc::new(clock.clone()));
    let one = entry(1, NOW + 100).await;
    assert_eq!(
        store.consume(one.clone()).await.unwrap(),
        ReplayOutcome::Fresh
    );
    assert_eq!(
        store.consume(one.clone()).await.unwrap(),
        ReplayOutcome::Replayed
    );
    clock.set(NOW + 99);
    assert_eq!(
        store.consume(one.clone()).await.unwrap(),
        ReplayOutcome::Replayed
    );
    clock.set(NOW + 100);
    let later = ReplayEntry::new(*one.key(), NOW, NOW + 500);
    assert_eq!(store.consume(later).await.unwrap(), ReplayOutcome::Fresh);
    assert_eq!(store.len(), 1);
}

#[tokio::test]
async fn full_memory_store_refuses_and_never_evicts() {
    let clock = clock();
    let store = MemoryReplayStore::new(20, Arc::new(clock.clone()));
    let mut entries = Vec::new();
    for id in 0..30 {
        entries.push(entry(id, NOW + 100 + u64::from(id)).await);
    }
    for entry in &entries[..20] {
        assert_eq!(
            store.consume(entry.clone()).await.unwrap(),
            ReplayOutcome::Fresh
        );
    }
    for entry in &entries[20..] {
        assert!(matches!(
            store.consume(entry.clone()).await,
            Err(StoreError::Full)
        ));
    }
    for entry in &entries[..20] {
        assert_eq!(
            store.consume(entry.clone()).await.unwrap(),
            ReplayOutcome::Replayed
        );
    }
    assert_eq!(store.len(), 20);
    // Five run out, wherever they are held: five find room, the sixth does not.
    clock.set(NOW + 104);
    for entry in &entries[20..25] {
        assert_eq!(
            store.consume(entry.clone()).await.unwrap(),
            ReplayOutcome::Fresh
        );
    }
    assert!(matches!(
        store.consume(entries[25].clone()).await,
        Err(StoreError::Full)
    ));
    // A store without room for anything refuses everything.
    let none = MemoryReplayStore::new(0, Arc::new(clock));
    assert!(matches!(
        none.consume(entries[29].clone()).await,
        Err(StoreError::Full)
    ));
}

#[tokio::test]
async fn clock_set_back_does_not_bring_a_token_back() {
    let clock = clock();
    let store = MemoryReplayStore::new(10, Arc::new(clock.clone()));
    let one = entry(1, NOW + 100).await;
    assert_eq!(
        store.consume(one.clone()).await.unwrap(),
        ReplayOutcome::Fresh
    );
    // Forward past its time: anything in the same shard sweeps it.
    clock.set(NOW + 1000);
    let later = ReplayEntry::new(*one.key(), NOW, NOW + 2000);
    assert_eq!(store.consume(later).await.unwrap(), ReplayOutcome::Fresh);
    // And back: a store that had forgotten the token would take it for fresh.
    clock.set(NOW);
    assert!(matches!(
        store.consume(one).await,
        Err(StoreError::ClockWentBack)
    ));
}

#[tokio::test]
async fn of_many_racing_threads_exactly_one_is_first() {
    let store = Arc::new(MemoryReplayStore::new(1000, Arc::new(clock())));
    let mut entries = Vec::new();
    for id in 0..50 {
        entries.push(entry(id, NOW + 100).await);
    }
    let fresh: Vec<AtomicUsize> = entries.iter().map(|_| AtomicUsize::new(0)).collect();
    let runtime = tokio::runtime::Handle::current();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for (entry, fresh) in entries.iter().zip(&fresh) {
                    let outcome = runtime.block_on(store.consume(entry.clone())).unwrap();
                    if outcome == ReplayOutcome::Fresh {
                        fresh.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert!(fresh.iter().all(|count| count.load(Ordering::SeqCst) == 1));
    assert_eq!(store.len(), entries.len());
}

/// Answers nothing but an error.
#[derive(Debug)]
struct Down;

impl ReplayStore for Down {
    fn consume(&self, _: ReplayEntry) -> ReplayFuture<'_> {
        Box::pin(async { Err(StoreError::Unavailable("connection refused".into())) })
    }
}

#[tokio::test]
async fn store_failure_refuses_the_token() {
    let verifier = single_use(Arc::new(Down), TokenType::Transaction);
    let error = verifier
        .accept::<NoExtra>(&sign(&claims(), TokenType::Transaction))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "replay_store_failed");
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "the store is unavailable");
    assert_eq!(source.source().unwrap().to_string(), "connection refused");
    let full = Arc::new(MemoryReplayStore::new(0, Arc::new(clock())));
    let verifier = single_use(full, TokenType::Transaction);
    let token = sign(&claims(), TokenType::Transaction);
    assert!(matches!(
        verifier.accept::<NoExtra>(&token).await,
        Err(Error::ReplayStore(StoreError::Full))
    ));
}

#[tokio::test]
async fn replay_is_refused_until_the_token_has_expired_everywhere() {
    let clock = clock();
    let store = Arc::new(MemoryReplayStore::new(10, Arc::new(clock.clone())));
    let verifier = builder(TokenType::Transaction, ReplayPolicy::SingleUse)
        .clock(Arc::new(clock.clone()))
        .replay_store(store)
        .build()
        .unwrap();
    let token = sign(&claims(), TokenType::Transaction);
    assert!(verifier.accept::<NoExtra>(&token).await.is_ok());
    for (now, expected) in [
        (NOW, "replayed"),
        (NOW + 600, "replayed"),
        (NOW + 629, "replayed"),
        (NOW + 630, "expired"),
        (NOW + 10_000, "expired"),
        (NOW, "replayed"),
    ] {
        clock.set(now);
        assert_eq!(
            verifier.accept::<NoExtra>(&token).await.unwrap_err().code(),
            expected
        );
    }
}

#[tokio::test]
async fn hazard_replay_store_restarted() {
    let clock = clock();
    let start = |skew| {
        let store = MemoryReplayStore::new(10, Arc::new(clock.clone()))
            .refusing_earlier_tokens(Duration::from_secs(skew));
        builder(TokenType::Transaction, ReplayPolicy::SingleUse)
            .clock(Arc::new(clock.clone()))
            .leeway(Duration::ZERO)
            .replay_store(Arc::new(store))
            .build()
            .unwrap()
    };
    let issued = |at: u64| sign(&claims().issued_at(at), TokenType::Transaction);
    let token = issued(NOW);
    assert!(start(0).accept::<NoExtra>(&token).await.is_ok());
    clock.set(NOW + 1);
    let restarted = start(0);
    assert!(matches!(
        restarted.accept::<NoExtra>(&token).await,
        Err(Error::ReplayStore(StoreError::IssuedBeforeStart))
    ));
    assert!(restarted.accept::<NoExtra>(&issued(NOW + 1)).await.is_ok());
    // A part of a second counts as a whole one.
    let store = MemoryReplayStore::new(10, Arc::new(clock.clone()))
        .refusing_earlier_tokens(Duration::from_millis(1));
    let restarted = builder(TokenType::Transaction, ReplayPolicy::SingleUse)
        .clock(Arc::new(clock.clone()))
        .leeway(Duration::ZERO)
        .replay_store(Arc::new(store))
        .build()
        .unwrap();
    assert!(restarted.accept::<NoExtra>(&issued(NOW + 1)).await.is_err());
    // An issuer whose clock runs ahead is covered by the skew.
    let restarted = start(5);
    assert!(restarted.accept::<NoExtra>(&issued(NOW + 5)).await.is_err());
    clock.set(NOW + 7);
    assert!(restarted.accept::<NoExtra>(&issued(NOW + 6)).await.is_ok());
    // One that runs further ahead would not be: such a verifier is not built, for tokens or for proofs.
    let store = || {
        let store = MemoryReplayStore::new(10, Arc::new(clock.clone()));
        Arc::new(store.refusing_earlier_tokens(Duration::from_secs(5)))
    };
    let leeway = Duration::from_secs(6);
    let tokens = builder(TokenType::Transaction, ReplayPolicy::SingleUse).replay_store(store());
    assert_eq!(code_of(&tokens.leeway(leeway).build()), "bad_configuration");
    let proofs = access_builder().dpop(DpopPolicy::new(store()));
    assert_eq!(code_of(&proofs.leeway(leeway).build()), "bad_configuration");
    let proofs = access_builder().dpop(DpopPolicy::new(store()));
    assert!(proofs.leeway(Duration::from_secs(5)).build().is_ok());
}

/// An entry whose own time is over may have been there and be forgotten.
#[tokio::test]
async fn what_comes_too_late_is_not_fresh() {
    let clock = clock();
    let store = MemoryReplayStore::new(10, Arc::new(clock.clone()));
    let entry = ReplayEntry::new(ReplayKey::new("txn+jwt", ISSUER, "a"), NOW, NOW + 10);
    assert_eq!(
        store.consume(entry.clone()).await.unwrap(),
        ReplayOutcome::Fresh
    );
    for (now, outcome) in [(NOW + 9, true), (NOW + 10, false), (NOW + 100, false)] {
        clock.set(now);
        let result = store.consume(entry.clone()).await;
        assert_eq!(
            matches!(result, Ok(ReplayOutcome::Replayed)),
            outcome,
            "{now}"
        );
        assert_ne!(result.ok(), Some(ReplayOutcome::Fresh), "{now}");
    }
}
