//! Events go in, receipts come back, the verifier finds the log whole.
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
    AuditLog, Config, Details, Error, Event, FsStorage, Kind, Outcome, SystemClock, WhenFull, Who,
};
use common::{MemStorage, append, config, event, open, signer, verifier, verify};

#[test]
fn a_log_on_disk_end_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit");
    let log = AuditLog::open(
        Config::new("svc/a"),
        FsStorage::open(&path).unwrap(),
        signer(),
        SystemClock::new(),
    )
    .unwrap();
    for number in 0..10 {
        let committed = log.append(event(&log, number)).unwrap().wait().unwrap();
        assert_eq!(committed.sequence, number);
        assert_eq!(committed.stream(), "svc/a");
    }
    // A live log verifies as well.
    let live = verifier().verify_dir(&path).unwrap();
    assert!(live.is_intact(), "{live}");
    assert_eq!(live.records(), 10);
    let head = log.close().unwrap().unwrap();
    assert_eq!(head.checkpoint().size, 10);
    assert!(matches!(log.append(event(&log, 11)), Err(Error::Closed)));

    let mut seen = Vec::new();
    let report = verifier()
        .expect_head(head.clone())
        .verify_dir_with(folder.path(), |record| {
            seen.push((record.sequence, audit_log::chain::leaf(record.bytes)));
        })
        .unwrap();
    assert!(report.is_intact(), "{report}");
    assert_eq!(seen.len(), 10);
    assert_eq!(report.streams[0].unanchored, 0);
    assert_eq!(report.streams[0].directory, "audit");
    assert!(report.to_string().contains("verdict     intact"));

    // Opened again it goes on where it was.
    let log = AuditLog::open(
        Config::new("svc/a"),
        FsStorage::open(&path).unwrap(),
        signer(),
        SystemClock::new(),
    )
    .unwrap();
    assert_eq!(log.status().durable, Some(9));
    assert_eq!(
        log.append(event(&log, 10))
            .unwrap()
            .wait()
            .unwrap()
            .sequence,
        10
    );
    drop(log);
    let report = verifier().expect_head(head).verify_dir(&path).unwrap();
    assert!(report.is_intact(), "{report}");
    assert_eq!(report.records(), 11);
}

#[test]
fn segments_rotate_and_stay_linked() {
    let storage = MemStorage::default();
    let log = open(config().segment_bytes(4096), storage.clone()).unwrap();
    append(&log, 0..60);
    log.close().unwrap();
    let report = verify(&storage.files());
    assert!(report.is_intact(), "{report}");
    assert!(report.streams[0].segments > 4);
    assert_eq!(report.records(), 60);
    assert_eq!(report.streams[0].unanchored, 0);
    let log = open(config().segment_bytes(4096), storage.clone()).unwrap();
    append(&log, 60..70);
    log.close().unwrap();
    assert_eq!(verify(&storage.files()).records(), 70);
}
#[test]
fn an_event_is_checked_before_it_is_queued() {
    let log = open(config(), MemStorage::default()).unwrap();
    let twice = Details::new().with("a", 1).with("a", 2);
    let event = Event::new(
        log.now(),
        Who::anonymous(),
        Kind::LoginFailure,
        Outcome::failure("x"),
        twice,
    );
    match log.append(event) {
        Err(Error::Event { field, .. }) => assert_eq!(field, "details.a"),
        other => panic!("{other:?}"),
    }
    let _ = WhenFull::Block;
}
