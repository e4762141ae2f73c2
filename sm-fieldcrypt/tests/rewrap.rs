//! Values that are moved: to the primary key, and to another row.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]

mod common;

use common::{Bench, context, user};
use sm_fieldcrypt::{
    Envelope, Error, FieldClass, KeyState, KeyUse, KeyUseGuard, Operation, Refused, Rewrapped,
    Suite,
};
use std::sync::{Arc, Mutex};

fn key_id(envelope: &[u8]) -> u32 {
    Envelope::parse(envelope).unwrap().header().fek_id
}

fn moved(result: Result<Rewrapped, Error>) -> Vec<u8> {
    match result.unwrap() {
        Rewrapped::Moved(value) => value,
        Rewrapped::Current => panic!("not moved"),
    }
}

#[tokio::test]
async fn values_of_every_suite_move_to_the_primary_key_and_the_old_one_can_go() {
    for class in [
        FieldClass::new(20, "a", Suite::CbcHmacSm3),
        FieldClass::new(20, "a", Suite::CtrHmacSm3).chunked(10),
        FieldClass::new(20, "a", Suite::Gcm),
    ] {
        let ring = Bench::new().ring_with(vec![class]).await;
        let old = ring.prepare("a", "bank-a", &user()).await.unwrap();
        let text = vec![7; 3000];
        let sealed = old.seal(&text, &context(1)).unwrap();
        assert_eq!(
            old.rewrap(&sealed, &context(1)).unwrap(),
            Rewrapped::Current
        );
        ring.rotate("a", None, &user()).await.unwrap();
        let key = ring.prepare("a", "bank-a", &user()).await.unwrap();
        // Readable throughout: before, and after.
        assert_eq!(key.open(&sealed, &context(1)).unwrap().expose(), text);
        let new = moved(key.rewrap(&sealed, &context(1)));
        assert_eq!((key_id(&sealed), key_id(&new)), (1, 2));
        assert_eq!(key.rewrap(&new, &context(1)).unwrap(), Rewrapped::Current);
        ring.change_state("a", 1, KeyState::Disabled, &user())
            .await
            .unwrap();
        let key = ring.prepare("a", "bank-a", &user()).await.unwrap();
        assert_eq!(key.open(&new, &context(1)).unwrap().expose(), text);
        assert!(key.open(&sealed, &context(1)).is_err());
    }
}

#[tokio::test]
async fn a_batch_moves_what_can_be_moved() {
    let bench = Bench::new();
    let ring = bench.ring().await;
    let old = ring.prepare("track", "bank-a", &user()).await.unwrap();
    let (a, b) = (
        old.seal(b"a", &context(1)).unwrap(),
        old.seal(b"b", &context(2)).unwrap(),
    );
    ring.rotate("track", None, &user()).await.unwrap();
    let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
    let new = key.seal(b"c", &context(3)).unwrap();
    let places: Vec<_> = (0..6).map(context).collect();
    let items: [(&[u8], _); 6] = [
        (&a, &places[1]),
        (&new, &places[3]),
        // At another row's place it is not moved, however old.
        (&b, &places[1]),
        (b"not sealed", &places[4]),
        (&b, &places[2]),
        (&[], &places[5]),
    ];
    let mut results = key.rewrap_many(&items).unwrap().into_iter();
    let mut next = || results.next().unwrap();
    let value = moved(next());
    assert_eq!(key.open(&value, &context(1)).unwrap().expose(), b"a");
    assert_eq!(next().unwrap(), Rewrapped::Current);
    assert!(matches!(next(), Err(Error::Open)));
    assert!(matches!(next(), Err(Error::Envelope { .. })));
    let value = moved(next());
    assert_eq!(key.open(&value, &context(2)).unwrap().expose(), b"b");
    assert!(matches!(next(), Err(Error::Envelope { .. })));
    assert!(results.next().is_none());
    assert!(key.rewrap_many(&[]).unwrap().is_empty());
}

#[tokio::test]
async fn a_value_is_bound_to_another_row_on_purpose() {
    let ring = Bench::new().ring().await;
    let key = ring.prepare("bank_card", "bank-a", &user()).await.unwrap();
    let sealed = key.seal(b"6228480402564890018", &context(1)).unwrap();
    let there = key.rebind(&sealed, &context(1), &context(2)).unwrap();
    let opened = key.open(&there, &context(2)).unwrap();
    assert_eq!(opened.expose(), b"6228480402564890018");
    assert!(key.open(&there, &context(1)).is_err());
    key.open(&sealed, &context(1)).unwrap();
    // Only from where it is.
    assert!(matches!(
        key.rebind(&sealed, &context(2), &context(3)),
        Err(Error::Open)
    ));
}

/// Lets one operation through, and remembers what was asked.
struct Only(Operation, Mutex<Vec<(Operation, String, u64)>>);

impl KeyUseGuard for Only {
    fn authorize(&self, key_use: &KeyUse<'_>) -> Result<(), Refused> {
        use Operation::{Open, Rewrap, Seal};
        if !matches!(key_use.operation, Seal | Open | Rewrap) {
            return Ok(());
        }
        let asked = (key_use.operation, key_use.key_id.to_string(), key_use.count);
        self.1.lock().unwrap().push(asked);
        match key_use.operation == self.0 {
            true => Ok(()),
            false => Err(Refused::new("not for this job")),
        }
    }
}

/// A job that moves values needs no right to read or write them.
#[tokio::test]
async fn hazard_job_that_moves_values_may_read_them() {
    let bench = Bench::new();
    let first = bench.ring().await;
    let key = first.prepare("track", "bank-a", &user()).await.unwrap();
    let sealed = key.seal(b"x", &context(1)).unwrap();
    first.rotate("track", None, &user()).await.unwrap();

    let guard = Arc::new(Only(Operation::Rewrap, Mutex::default()));
    let job = bench.ready().guard(guard.clone()).build().await.unwrap();
    let key = job.prepare("track", "bank-a", &user()).await.unwrap();
    assert!(matches!(
        key.open(&sealed, &context(1)),
        Err(Error::Refused { .. })
    ));
    assert!(matches!(
        key.seal(b"y", &context(1)),
        Err(Error::Refused { .. })
    ));
    guard.1.lock().unwrap().clear();
    moved(key.rewrap(&sealed, &context(1)));
    let asked = guard.1.lock().unwrap().clone();
    let rewrap = |id: &str| (Operation::Rewrap, format!("fek://track/{id}"), 1);
    assert_eq!(asked, [rewrap("1"), rewrap("2")]);

    // And who may read and write may not move.
    let guard = Arc::new(Only(Operation::Open, Mutex::default()));
    let reader = bench.ready().guard(guard).build().await.unwrap();
    let key = reader.prepare("track", "bank-a", &user()).await.unwrap();
    key.open(&sealed, &context(1)).unwrap();
    assert!(matches!(
        key.rewrap(&sealed, &context(1)),
        Err(Error::Refused { .. })
    ));
    let rebound = key.rebind(&sealed, &context(1), &context(2));
    assert!(matches!(rebound, Err(Error::Refused { .. })));
}

/// The next key is known to all before it seals.
#[tokio::test]
async fn a_key_made_ahead_begins_when_every_node_knows_it() {
    let bench = Bench::new();
    let (here, there) = (bench.ring().await, bench.ring().await);
    let seals_under = async |ring: &sm_fieldcrypt::KeyRing| {
        let key = ring.prepare("track", "bank-a", &user()).await.unwrap();
        key_id(&key.seal(b"x", &context(1)).unwrap())
    };
    assert_eq!(seals_under(&here).await, 1);
    assert_eq!(seals_under(&there).await, 1);
    let info = here.rotate_ahead("track", None, &user()).await.unwrap();
    // 11 minutes, and on to the next window of 15.
    let minute = u32::try_from(common::NOW / 60).unwrap();
    assert_eq!((info.fek_id, info.active_from), (2, minute + 15));
    assert_eq!(here.keys()[0].state, KeyState::Active);
    for minutes in 0..30_u32 {
        let (a, b) = (seals_under(&here).await, seals_under(&there).await);
        assert_eq!(a, b, "after {minutes} minutes");
        let expected = if minutes < 15 { 1 } else { 2 };
        assert_eq!(a, expected, "after {minutes} minutes");
        bench.clock.advance(60);
    }
    // Where no key seals, at once.
    let info = here.rotate_ahead("bank_card", None, &user()).await.unwrap();
    assert!(info.active_from <= minute + 30);
    let key = here.prepare("bank_card", "bank-a", &user()).await.unwrap();
    assert_eq!(key_id(&key.seal(b"x", &context(1)).unwrap()), 1);
}

/// Whatever the clocks say, up to the skew: what one node seals the other opens.
#[tokio::test]
async fn hazard_key_made_ahead_is_met_by_a_slower_clock() {
    for difference in [1_u64, 60, 290, 300] {
        let (ahead, behind) = (Bench::new(), Bench::new());
        ahead.clock.advance(difference);
        let store = ahead.store.clone();
        let ring = |bench: &Bench| {
            let builder = sm_fieldcrypt::KeyRing::builder(bench.kek.clone(), store.clone())
                .clock(bench.clock.clone())
                .class(FieldClass::track())
                .create_registry()
                .auto_rotate();
            builder.build()
        };
        let (fast, slow) = (ring(&ahead).await.unwrap(), ring(&behind).await.unwrap());
        fast.prepare("track", "bank-a", &user()).await.unwrap();
        slow.refresh().await.unwrap();
        slow.rotate_ahead("track", None, &user()).await.unwrap();
        let mut keys = std::collections::BTreeSet::new();
        for step in 0..60_u32 {
            let a = fast.prepare("track", "bank-a", &user()).await.unwrap();
            let b = slow.prepare("track", "bank-a", &user()).await.unwrap();
            for (from, to) in [(&a, &b), (&b, &a)] {
                let sealed = from.seal(b"x", &context(1)).unwrap();
                keys.insert(key_id(&sealed));
                let opened = to.open(&sealed, &context(1));
                assert!(opened.is_ok(), "{difference} s, step {step}: {opened:?}");
            }
            ahead.clock.advance(30);
            behind.clock.advance(30);
        }
        assert_eq!(keys.len(), 2);
    }
}
