//! The replay store in memory against a simple model, with a clock that runs forward and back.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use sm_jwt::*;

const START: u64 = 1_700_000_000;

#[derive(Debug, Clone)]
enum Step {
    /// Shows the token of this number.
    Consume(usize),
    /// Moves the clock, forward or back.
    Move(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..12usize).prop_map(Step::Consume),
        // Within a sweep's interval, past it, and past every token's end.
        1 => (-5..5i64).prop_map(Step::Move),
        1 => (-90..90i64).prop_map(Step::Move),
        1 => (-500..500i64).prop_map(Step::Move),
    ];
    prop::collection::vec(step, 1..80)
}

/// The store is ready at once: nothing here has to be waited for.
fn consume(store: &MemoryReplayStore, entry: ReplayEntry) -> Result<ReplayOutcome, StoreError> {
    let future = pin!(store.consume(entry));
    match Future::poll(future, &mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("the store in memory waits"),
    }
}

fn entry(id: usize, keep_until: u64) -> ReplayEntry {
    let key = ReplayKey::new("txn+jwt", "https://issuer.example", &format!("id-{id}"));
    ReplayEntry::new(key, START - 1000, keep_until)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn never_twice_fresh_never_too_full(
        capacity in 0..8usize,
        ends in prop::collection::vec(-150..500i64, 12),
        steps in steps(),
    ) {
        let clock = ManualClock::new(START);
        let store = MemoryReplayStore::new(capacity, Arc::new(clock.clone()));
        // A token's end is its own: it does not change from one showing to the next.
        let ends: Vec<u64> = ends.iter().map(|end| START.saturating_add_signed(*end)).collect();
        let (mut now, mut latest) = (START, START);
        // The model: what was answered `Fresh`, and until when that must be remembered.
        let mut fresh: HashMap<usize, u64> = HashMap::new();
        for step in steps {
            match step {
                Step::Move(by) => {
                    now = now.saturating_add_signed(by);
                    latest = latest.max(now);
                    clock.set(now);
                }
                Step::Consume(id) => {
                    let end = ends[id];
                    let live = fresh.values().filter(|end| **end > now).count();
                    let known = fresh.contains_key(&id);
                    match consume(&store, entry(id, end)) {
                        Ok(ReplayOutcome::Fresh) => {
                            prop_assert!(!known || now >= end, "{id} is fresh twice");
                            fresh.insert(id, end);
                        }
                        Ok(ReplayOutcome::Replayed) => prop_assert!(known, "{id} was never there"),
                        // Full, and not of what is over.
                        Err(StoreError::Full) => {
                            prop_assert!(live >= capacity, "{live} of {capacity} is not full");
                        }
                        // In doubt, and only then: the clock has been past the token's end.
                        Err(StoreError::ClockWentBack) => prop_assert!(end <= latest),
                        Err(other) => prop_assert!(false, "{other}"),
                    }
                    prop_assert!(store.len() <= capacity);
                }
            }
        }
    }

    /// With a clock that only runs forward the store is exactly a map: `Fresh` once, `Replayed` until the end, `Full`
    /// where the map has no room.
    #[test]
    fn with_an_honest_clock_it_is_a_map(
        capacity in 0..8usize,
        lives in prop::collection::vec(1..400u64, 12),
        steps in steps(),
    ) {
        let clock = ManualClock::new(START);
        let store = MemoryReplayStore::new(capacity, Arc::new(clock.clone()));
        let mut now = START;
        let mut model: HashMap<usize, u64> = HashMap::new();
        for step in steps {
            match step {
                Step::Move(by) => {
                    now += by.unsigned_abs();
                    clock.set(now);
                }
                Step::Consume(id) => {
                    model.retain(|_, end| *end > now);
                    // Each showing is of a token with an end of its own, later than now.
                    let end = now + lives[id];
                    let expected = match (model.contains_key(&id), model.len() < capacity) {
                        (true, _) => "replayed",
                        (false, true) => "fresh",
                        (false, false) => "full",
                    };
                    let outcome = match consume(&store, entry(id, end)) {
                        Ok(ReplayOutcome::Fresh) => "fresh",
                        Ok(ReplayOutcome::Replayed) => "replayed",
                        Err(StoreError::Full) => "full",
                        Err(_) => "another error",
                    };
                    prop_assert_eq!(outcome, expected);
                    if outcome == "fresh" {
                        model.insert(id, end);
                    }
                }
            }
        }
    }
}

/// A clock that is set back behind the store's own start, which no sweep has seen.
#[test]
fn clock_behind_the_stores_start() {
    let clock = ManualClock::new(START);
    let store = MemoryReplayStore::new(10, Arc::new(clock.clone()));
    clock.set(START - 500);
    for end in [START - 100, START - 1, START] {
        let outcomes = [0, 1].map(|_| consume(&store, entry(1, end)));
        let fresh = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Ok(ReplayOutcome::Fresh)))
            .count();
        assert!(fresh <= 1, "{end}: {outcomes:?}");
    }
    // What ends after the start can be kept.
    let later = entry(2, START + 1);
    assert_eq!(
        consume(&store, later.clone()).unwrap(),
        ReplayOutcome::Fresh
    );
    clock.set(START);
    assert_eq!(consume(&store, later).unwrap(), ReplayOutcome::Replayed);
}

/// Ends beyond what the store counts are kept for ever.
#[test]
fn ends_beyond_a_century() {
    let clock = ManualClock::new(START);
    let store = MemoryReplayStore::new(10, Arc::new(clock.clone()));
    let far = START + u64::from(u32::MAX);
    for (id, end) in [far - 1, far, far + 1, u64::MAX].into_iter().enumerate() {
        let entry = entry(id, end);
        assert_eq!(
            consume(&store, entry.clone()).unwrap(),
            ReplayOutcome::Fresh
        );
        clock.set((end - 1).min(u64::MAX - 1));
        assert_eq!(consume(&store, entry).unwrap(), ReplayOutcome::Replayed);
        clock.set(START);
    }
    assert_eq!(store.len(), 4);
}

/// Threads that fill the last places together never get one too many.
#[test]
fn racing_threads_never_overfill() {
    const CAPACITY: usize = 100;
    let clock = Arc::new(ManualClock::new(START));
    let store = MemoryReplayStore::new(CAPACITY, clock);
    let (fresh, full) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (store, fresh, full) = (&store, &fresh, &full);
            scope.spawn(move || {
                for id in 0..50 {
                    match consume(store, entry(thread * 1000 + id, START + 100)) {
                        Ok(ReplayOutcome::Fresh) => fresh.fetch_add(1, Ordering::SeqCst),
                        Err(StoreError::Full) => full.fetch_add(1, Ordering::SeqCst),
                        other => panic!("{other:?}"),
                    };
                    assert!(store.len() <= CAPACITY);
                }
            });
        }
    });
    let counts = (fresh.into_inner(), full.into_inner(), store.len());
    assert_eq!(counts, (CAPACITY, 300, CAPACITY));
}

/// Names that a careless concatenation would take for one another.
#[test]
fn names_are_apart() {
    let names = [
        ("a", "bc", "d"),
        ("ab", "c", "d"),
        ("a", "b", "cd"),
        ("", "abc", "d"),
        ("abcd", "", ""),
        ("", "", "abcd"),
        ("a\0", "bc", "d"),
    ];
    let keys: HashSet<_> = names
        .iter()
        .map(|(kind, issuer, id)| ReplayKey::new(kind, issuer, id))
        .collect();
    assert_eq!(keys.len(), names.len());
}
