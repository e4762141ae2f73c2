//! Many producers, bounded queues, every runtime, failing signers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]

mod common;

use audit_log::{
    AuditLog, CheckpointSigner, Error, FsStorage, Receipt, SignError, Sm2CheckpointSigner, WhenFull,
};
use common::{MemStorage, append, config, event, open, signer, verifier, verify};
use std::collections::HashMap;
use std::future::Future as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[test]
fn many_producers_one_chain() {
    const PRODUCERS: u64 = 16;
    const EACH: u64 = 500;
    let folder = tempfile::tempdir().unwrap();
    let log = open(
        config()
            .segment_bytes(256 * 1024)
            .queue(64, WhenFull::Block),
        FsStorage::open(folder.path()).unwrap(),
    )
    .unwrap();
    let mut receipts: HashMap<u64, (u64, [u8; 32])> = HashMap::new();
    let results: Vec<Vec<(u64, Receipt)>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let log = log.clone();
                scope.spawn(move || {
                    (0..EACH)
                        .map(|i| {
                            let number = producer * EACH + i;
                            (number, log.append(event(&log, number)).unwrap())
                        })
                        .collect()
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    for produced in results {
        let mut last = None;
        for (number, receipt) in produced {
            let committed = receipt.wait().unwrap();
            // One producer's events keep their order.
            assert!(last < Some(committed.sequence));
            last = Some(committed.sequence);
            receipts.insert(committed.sequence, (number, committed.leaf));
        }
    }
    assert_eq!(receipts.len() as u64, PRODUCERS * EACH);
    let status = log.status();
    assert_eq!(status.durable, Some(PRODUCERS * EACH - 1));
    assert!(status.batches < PRODUCERS * EACH, "no grouping at all");
    assert_eq!(status.queued, 0);
    log.close().unwrap();
    let mut seen = 0;
    let report = verifier()
        .verify_dir_with(folder.path(), |record| {
            let (number, leaf) = receipts[&record.sequence];
            assert_eq!(audit_log::chain::leaf(record.bytes), leaf);
            let needle = format!("\"number\":\"{number}\"");
            assert!(String::from_utf8_lossy(record.bytes).contains(&needle));
            seen += 1;
        })
        .unwrap();
    assert!(report.is_intact(), "{report}");
    assert_eq!(seen, PRODUCERS * EACH);
}

#[test]
fn a_full_queue_refuses_or_waits() {
    let storage = MemStorage::default();
    let log = open(config().queue(4, WhenFull::FailClosed), storage.clone()).unwrap();
    let held = storage.0.lock().unwrap();
    let mut receipts = vec![log.append(event(&log, 0)).unwrap()];
    while log.status().queued > 0 {
        std::thread::yield_now();
    }
    receipts.extend((1..5).map(|number| log.append(event(&log, number)).unwrap()));
    assert_eq!(log.status().queued, 4);
    assert!(matches!(
        log.append(event(&log, 5)),
        Err(Error::QueueFull { records: 4, .. })
    ));
    drop(held);
    receipts.iter().for_each(|receipt| {
        receipt.wait().unwrap();
    });
    append(&log, 5..6);

    // The same under Block: the sixth waits, and is taken as soon as there is space.
    let storage = MemStorage::default();
    let log = open(config().queue(4, WhenFull::Block), storage.clone()).unwrap();
    let held = storage.0.lock().unwrap();
    let taken = log.append(event(&log, 0)).unwrap();
    while log.status().queued > 0 {
        std::thread::yield_now();
    }
    let waiting: Vec<Receipt> = (1..5)
        .map(|n| log.append(event(&log, n)).unwrap())
        .collect();
    let arrived = Arc::new(AtomicBool::new(false));
    let sixth = std::thread::spawn({
        let (log, arrived) = (log.clone(), Arc::clone(&arrived));
        move || {
            let receipt = log.append(event(&log, 5)).unwrap();
            arrived.store(true, Ordering::SeqCst);
            receipt.wait().unwrap().sequence
        }
    });
    assert!(!arrived.load(Ordering::SeqCst));
    drop(held);
    assert_eq!(sixth.join().unwrap(), 5);
    assert!(taken.wait().is_ok() && waiting.iter().all(|r| r.wait().is_ok()));
}

#[test]
fn the_queue_is_bounded_in_bytes_too() {
    let storage = MemStorage::default();
    let log = open(
        config()
            .queue(10_000, WhenFull::FailClosed)
            .queue_bytes(audit_log::MAX_RECORD),
        storage.clone(),
    )
    .unwrap();
    let held = storage.0.lock().unwrap();
    let mut refused = false;
    for number in 0..2_000 {
        if let Err(Error::QueueFull { bytes, .. }) = log.append(event(&log, number)) {
            assert!(bytes <= audit_log::MAX_RECORD);
            refused = true;
            break;
        }
    }
    drop(held);
    assert!(refused);
}

#[tokio::test]
async fn receipts_are_futures() {
    let storage = MemStorage::default();
    let log = open(config().queue(2, WhenFull::Block), storage.clone()).unwrap();
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            let log = log.clone();
            tokio::spawn(async move {
                let receipt = log.append_async(event(&log, number)).await.unwrap();
                receipt.durable().await.unwrap().sequence
            })
        })
        .collect();
    let mut sequences = Vec::new();
    for task in tasks {
        sequences.push(task.await.unwrap());
    }
    sequences.sort_unstable();
    assert_eq!(sequences, (0..40).collect::<Vec<_>>());
    log.close().unwrap();
    assert!(verify(&storage.files()).is_intact());
}

/// Refuses until told otherwise.
struct Moody(Sm2CheckpointSigner, Arc<AtomicBool>);

impl CheckpointSigner for Moody {
    fn key_id(&self) -> &str {
        self.0.key_id()
    }
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        if self.1.load(Ordering::SeqCst) {
            self.0.sign(message)
        } else {
            Err(SignError::new("device is away"))
        }
    }
}

fn moody(storage: &MemStorage, max_unsigned: Duration) -> (AuditLog, Arc<AtomicBool>) {
    let works = Arc::new(AtomicBool::new(false));
    let log = AuditLog::open(
        config()
            .checkpoint_every(Duration::from_millis(2))
            .max_unsigned(max_unsigned),
        storage.clone(),
        Moody(signer(), Arc::clone(&works)),
        common::StepClock::default(),
    )
    .unwrap();
    (log, works)
}

#[test]
fn a_signer_that_is_away_does_not_stop_events_at_once() {
    let storage = MemStorage::default();
    let (log, works) = moody(&storage, Duration::from_secs(3600));
    append(&log, 0..3);
    assert!(matches!(log.checkpoint(), Err(Error::Sign(_))));
    append(&log, 3..5);
    assert!(log.status().signer.is_some());
    assert_eq!(log.status().signed, 0);
    works.store(true, Ordering::SeqCst);
    assert_eq!(log.checkpoint().unwrap().checkpoint().size, 5);
    assert!(log.status().signer.is_none());
    log.close().unwrap();
    assert!(verify(&storage.files()).is_intact());
}

#[test]
fn a_signer_that_stays_away_stops_events() {
    let storage = MemStorage::default();
    let (log, works) = moody(&storage, Duration::ZERO);
    append(&log, 0..1);
    let refused = loop {
        match log.append(event(&log, 1)) {
            Ok(receipt) => {
                receipt.wait().unwrap();
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::Unsigned(_)));
    // It recovers by itself once the signer does.
    works.store(true, Ordering::SeqCst);
    while log.append(event(&log, 2)).is_err() {
        std::thread::yield_now();
    }
    log.close().unwrap();
    assert!(verify(&storage.files()).is_intact());
}

#[test]
fn close_reports_an_unsigned_end() {
    let storage = MemStorage::default();
    let (log, _) = moody(&storage, Duration::from_secs(3600));
    append(&log, 0..2);
    assert!(matches!(log.close(), Err(Error::Sign(_))));
    // The events are durable all the same, and the next opening signs them.
    let log = open(config(), MemStorage::with_files(storage.durable())).unwrap();
    assert_eq!(log.status().durable, Some(1));
    assert_eq!(log.close().unwrap().unwrap().checkpoint().size, 2);
}

#[test]
fn heads_are_signed_by_interval_and_by_count() {
    let storage = MemStorage::default();
    let log = open(config().checkpoint_records(5), storage.clone()).unwrap();
    append(&log, 0..12);
    assert_eq!(log.status().signed, 10);
    drop(log);

    let storage = MemStorage::default();
    let log = open(config().checkpoint_every(Duration::from_millis(1)), storage).unwrap();
    append(&log, 0..1);
    // No further event: the timer alone has to do it.
    while log.status().signed < 1 {
        std::thread::yield_now();
    }
    assert_eq!(log.head().unwrap().checkpoint().size, 1);
}

#[test]
fn dropping_the_log_writes_what_waits() {
    let storage = MemStorage::default();
    let log = open(config(), storage.clone()).unwrap();
    let receipts: Vec<Receipt> = (0..50)
        .map(|n| log.append(event(&log, n)).unwrap())
        .collect();
    drop(log);
    assert!(receipts.iter().all(|receipt| receipt.wait().is_ok()));
    let report = verify(&storage.files());
    assert_eq!((report.records(), report.streams[0].unanchored), (50, 0));
}

/// Whoever closes second waits as well: after it, everything is on disk and the last head is known.
#[test]
fn closing_twice_at_once_waits_twice() {
    let storage = MemStorage::default();
    let log = open(config(), storage.clone()).unwrap();
    let held = storage.0.lock().unwrap();
    let receipt = log.append(event(&log, 0)).unwrap();
    let closers: Vec<_> = (0..3)
        .map(|_| {
            let (log, receipt) = (log.clone(), receipt.durable());
            std::thread::spawn(move || {
                let head = log.close().unwrap();
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                let answered = std::pin::pin!(receipt).poll(&mut context).is_ready();
                (head.map(|head| head.checkpoint().size), answered)
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(50));
    drop(held);
    for closer in closers {
        assert_eq!(closer.join().unwrap(), (Some(1), true));
    }
    assert!(matches!(log.append(event(&log, 1)), Err(Error::Closed)));
    assert!(matches!(log.try_append(event(&log, 1)), Err(Error::Closed)));
}

/// The last clone may be dropped by a waker on the writer's own thread, which cannot wait for itself.
#[test]
fn the_writer_may_drop_the_last_clone() {
    struct Owner(std::sync::Mutex<Option<AuditLog>>, Arc<AtomicBool>);
    impl std::task::Wake for Owner {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
            self.1.store(true, Ordering::SeqCst);
        }
    }
    let storage = MemStorage::default();
    let log = open(config(), storage.clone()).unwrap();
    let held = storage.0.lock().unwrap();
    let receipt = log.append(event(&log, 0)).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let owner = Arc::new(Owner(std::sync::Mutex::new(Some(log)), Arc::clone(&done)));
    let waker = owner.into();
    let mut durable = std::pin::pin!(receipt.durable());
    let mut context = std::task::Context::from_waker(&waker);
    assert!(durable.as_mut().poll(&mut context).is_pending());
    drop(held);
    while !done.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    assert!(receipt.wait().is_ok());
    // The writer goes on to sign the last head and ends.
    while storage.0.lock().unwrap().locked || verify(&storage.files()).streams[0].unanchored > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_gap_is_stated_in_the_log() {
    let storage = MemStorage::default();
    let log = open(config().queue(1, WhenFull::Block), storage.clone()).unwrap();
    let held = storage.0.lock().unwrap();
    let first = log.append(event(&log, 0)).unwrap();
    while log.status().queued > 0 {
        std::thread::yield_now();
    }
    let second = log.append(event(&log, 1)).unwrap();
    for _ in 0..3 {
        match log.try_append(event(&log, 2)) {
            Err(error @ Error::QueueFull { records: 1, .. }) => log.state_gap(error),
            other => panic!("{other:?}"),
        }
    }
    log.state_gap("很".repeat(1000));
    log.state_gap("");
    log.state_gap("很".repeat(1000));
    assert_eq!(log.status().unrecorded, 6);
    drop(held);
    assert_eq!(first.wait().unwrap().sequence, 0);
    assert_eq!(second.wait().unwrap().sequence, 1);
    log.close().unwrap();
    let files = storage.files();
    let stored: String = files.values().map(|b| String::from_utf8_lossy(b)).collect();
    assert!(
        stored.contains(r#""details":{"events":"6"},"kind":"AUDIT_GAP","outcome":{"reason":"很很"#),
        "{stored}"
    );
    let report = verify(&files);
    assert!(report.is_intact() && report.records() == 3, "{report}");
    // Closed: it is counted, and nothing else can be done.
    log.state_gap("late");
    assert_eq!(log.status().unrecorded, 7);
}

/// A signer that panics takes the writer down; nobody waits for ever.
#[test]
fn a_panic_in_the_signer_fails_the_log() {
    struct Panics;
    impl CheckpointSigner for Panics {
        fn key_id(&self) -> &str {
            "p"
        }
        fn sign(&self, _: &[u8]) -> Result<[u8; 64], SignError> {
            panic!("as tested")
        }
    }
    let storage = MemStorage::default();
    let log = AuditLog::open(config(), storage, Panics, common::StepClock::default()).unwrap();
    append(&log, 0..1);
    // Who learns of it finds the log stopped already.
    assert!(matches!(log.checkpoint(), Err(Error::Storage { .. })));
    assert!(log.status().failed.is_some());
    let refused = loop {
        match log.append(event(&log, 1)) {
            Ok(receipt) => assert!(receipt.wait().is_err()),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::Stopped(_)), "{refused}");
    assert!(log.close().is_err());
    // The same in a salt for what the log itself states.
    struct Once(AtomicBool);
    impl audit_log::Randomness for Once {
        fn fill(&self, _: &mut [u8]) -> Result<(), audit_log::RandomError> {
            assert!(!self.0.swap(true, Ordering::SeqCst), "as tested");
            Ok(())
        }
    }
    let (storage, clock) = (MemStorage::default(), common::StepClock::default());
    let salts = Once(AtomicBool::new(false));
    let log = AuditLog::open_with(config(), storage, signer(), clock, salts).unwrap();
    append(&log, 0..1);
    log.state_gap("x");
    while log.status().failed.is_none() {
        std::thread::yield_now();
    }
}

#[test]
fn an_empty_log_has_a_head_too() {
    let storage = MemStorage::default();
    let log = open(config(), storage.clone()).unwrap();
    let head = log.close().unwrap().unwrap();
    assert_eq!(head.checkpoint().size, 0);
    assert_eq!(log.close().unwrap(), Some(head));
    assert!(verify(&storage.files()).is_intact());
}

#[test]
fn bad_settings_are_refused() {
    use audit_log::Config;
    for bad in [
        Config::new(""),
        Config::new("x".repeat(129)),
        Config::new("a\nb"),
        config().queue(0, WhenFull::Block),
        config().queue_bytes(10),
        config().segment_bytes(10),
        config().batch_records(0),
        config().checkpoint_every(Duration::ZERO),
        config().checkpoint_records(0),
    ] {
        let refused = open(bad, MemStorage::default());
        assert!(matches!(refused, Err(Error::Config(_))));
    }
}
