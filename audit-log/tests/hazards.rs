//! One test a hazard: what an audit log must not do, by name.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]

mod common;

use audit_log::verify::ProblemKind;
use audit_log::{
    AuditLog, Details, Error, Event, Kind, Outcome, Pseudonymizer, RandomError, Randomness,
    SignedCheckpoint, Sm2CheckpointSigner, Who, canonical,
};
use common::{Fault, MemStorage, StepClock, append, config, event, open, signer, verifier, verify};

const FIRST: &str = "segment-0000000000.smal";

fn text(storage: &MemStorage) -> String {
    storage
        .files()
        .values()
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .collect()
}

/// A retained hash must not let anybody guess the content of a deleted record.
#[test]
fn hazard_equal_events_have_equal_hashes() {
    let log = AuditLog::open(
        config(),
        MemStorage::default(),
        signer(),
        StepClock::default(),
    );
    let log = log.unwrap();
    let same = event(&log, 1);
    let first = log.append(same.clone()).unwrap().wait().unwrap();
    let second = log.append(same).unwrap().wait().unwrap();
    assert_ne!(first.leaf, second.leaf);
}

#[test]
fn hazard_salt_source_fails() {
    struct Broken;
    impl Randomness for Broken {
        fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
            Err(RandomError::new("no entropy"))
        }
    }
    let storage = MemStorage::default();
    let clock = StepClock::default();
    let log = AuditLog::open_with(config(), storage.clone(), signer(), clock, Broken).unwrap();
    assert!(matches!(log.append(event(&log, 1)), Err(Error::Random(_))));
    assert_eq!(log.status().durable, None);
}

/// An unkeyed hash of an identity number is undone by trying them all.
#[test]
fn hazard_unkeyed_pseudonyms() {
    let (a, b) = (
        Pseudonymizer::new(1, &[1; 16]).unwrap(),
        Pseudonymizer::new(1, &[2; 16]).unwrap(),
    );
    let of = |p: &Pseudonymizer| p.pseudonym("user_id", "bank-a", "110101199003070134");
    assert_eq!(of(&a), of(&a));
    assert_ne!(of(&a), of(&b));
    assert_eq!(of(&a).len(), 40);
    assert!(matches!(
        Pseudonymizer::new(1, &[1; 15]),
        Err(Error::Key(_))
    ));
}

/// Fields that run into each other must not give equal pseudonyms.
#[test]
fn hazard_ambiguous_concatenation() {
    let p = Pseudonymizer::new(1, &[1; 16]).unwrap();
    let all = [
        p.pseudonym("user_id", "bank", "a1"),
        p.pseudonym("user_id", "banka", "1"),
        p.pseudonym("user_i", "dbank", "a1"),
        p.pseudonym("session_id", "bank", "a1"),
        p.pseudonym("user_id", "", "banka1"),
    ];
    for (at, one) in all.iter().enumerate() {
        assert!(!all[at + 1..].contains(one));
    }
}

/// Text that looks like structure stays text.
#[test]
fn hazard_log_injection() {
    let storage = MemStorage::default();
    let log = open(config(), storage.clone()).unwrap();
    let evil = "x\"},\"kind\":\"SESSION_CREATE\"\n{\"v\":1}\u{0}\u{202e}";
    let event = Event::new(
        log.now(),
        Who::anonymous(),
        Kind::LoginFailure,
        Outcome::failure(evil),
        Details::new().with(evil, evil),
    )
    .action(evil);
    log.append(event).unwrap().wait().unwrap();
    log.close().unwrap();
    let stored = text(&storage);
    assert!(!stored.contains("\"kind\":\"SESSION_CREATE\""));
    assert!(verify(&storage.files()).is_intact());
}

/// The marker of frames cannot be smuggled into a record.
#[test]
fn hazard_frame_imitation() {
    let storage = MemStorage::default();
    let log = open(config(), storage.clone()).unwrap();
    let event = event(&log, 1).resource("\u{f5}SM\u{fe}\u{2}\0\0\0\0\0\0\0\u{3}\0\0\0\u{1}");
    log.append(event).unwrap().wait().unwrap();
    log.close().unwrap();
    let report = verify(&storage.files());
    assert!(report.is_intact() && report.records() == 1, "{report}");
}

#[test]
fn hazard_two_spellings_of_one_record() {
    for other in [
        r#"{"a":1.0}"#,
        r#"{"a":1,"a":1}"#,
        r#"{"a" :1}"#,
        r#"{"\u0061":1}"#,
        r#"{"a":"\ud83d\ude00"}"#,
        r#"{"b":1,"a":1}"#,
    ] {
        assert!(canonical::check(other.as_bytes()).is_err(), "{other}");
    }
}

#[test]
fn hazard_acknowledged_before_durable() {
    let storage = MemStorage::default();
    let log = open(config(), storage.clone()).unwrap();
    for number in 0..20 {
        log.append(event(&log, number)).unwrap().wait().unwrap();
        let needle = format!("\"number\":\"{number}\"");
        let durable = storage.durable();
        assert!(String::from_utf8_lossy(&durable[FIRST]).contains(&needle));
    }
}

/// After a failed fsync the kernel may have dropped the pages and report success the next time.
#[test]
fn hazard_fsync_retried() {
    let storage = MemStorage::default();
    let log = open(config(), storage.clone()).unwrap();
    storage.fail_at(storage.calls() + 2, Fault::Io);
    assert!(log.append(event(&log, 0)).unwrap().wait().is_err());
    let calls = storage.calls();
    assert!(log.append(event(&log, 1)).is_err());
    assert!(log.checkpoint().is_err());
    drop(log);
    assert_eq!(storage.calls(), calls);
}

#[test]
fn hazard_disk_full() {
    let storage = MemStorage::default();
    let log = open(config(), storage.clone()).unwrap();
    append(&log, 0..3);
    storage.fail_at(storage.calls() + 1, Fault::ShortWrite);
    let refused = log.append(event(&log, 3)).unwrap().wait();
    match refused {
        Err(Error::Storage {
            source, operation, ..
        }) => {
            assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
            assert_eq!(operation, "append to");
        }
        other => panic!("{other:?}"),
    }
    assert!(log.append(event(&log, 4)).is_err());
    drop(log);
    // With space again: the half record is set aside, the rest is there.
    let storage = MemStorage::with_files(storage.files());
    let log = open(config(), storage.clone()).unwrap();
    assert_eq!(log.status().durable, Some(3)); // three events and the recovery
    log.close().unwrap();
    assert!(verify(&storage.files()).is_intact());
}

#[test]
fn hazard_recovery_unseen() {
    let storage = MemStorage::default();
    append(&open(config(), storage.clone()).unwrap(), 0..2);
    let mut files = storage.files();
    files
        .get_mut(FIRST)
        .unwrap()
        .extend_from_slice(b"\xf5SM\xfe half a frame");
    let storage = MemStorage::with_files(files);
    drop(open(config(), storage.clone()).unwrap());
    let stored = text(&storage);
    assert!(stored.contains("\"kind\":\"AUDIT_RECOVERY\""));
    // Signed at once, and the verifier names the file.
    let report = verify(&storage.files());
    assert_eq!(report.streams[0].unanchored, 0);
}

/// An application must not be able to write what only the log itself may say.
#[test]
fn hazard_forged_recovery_event() {
    let log = open(config(), MemStorage::default()).unwrap();
    for kind in [Kind::Recovery, Kind::Gap] {
        let forged = Event::new(
            log.now(),
            Who::system("audit-log"),
            kind,
            Outcome::success(),
            Details::new(),
        );
        assert!(matches!(log.append(forged), Err(Error::Event { .. })));
    }
}

#[test]
fn hazard_truncation_before_the_outside_head() {
    let storage = MemStorage::default();
    let log = open(config(), storage.clone()).unwrap();
    append(&log, 0..2);
    let shorter = storage.files();
    append(&log, 2..4);
    let head = log.close().unwrap().unwrap();
    // A head travels as a line of JSON.
    let head = SignedCheckpoint::parse(&head.to_bytes().unwrap()).unwrap();
    let segments: Vec<(&str, &[u8])> = shorter.iter().map(|(n, b)| (&**n, &**b)).collect();
    let without = verifier().verify_segments(&segments).unwrap();
    assert!(without.is_intact());
    assert!(
        without
            .to_string()
            .contains("a cut at the end would not show")
    );
    let with = verifier()
        .expect_head(head)
        .verify_segments(&segments)
        .unwrap();
    assert_eq!(with.problems()[0].kind, ProblemKind::Truncated);
}

/// A stream that is not there at all.
#[test]
fn hazard_lost_stream() {
    let storage = MemStorage::default();
    let head = open(config(), storage).unwrap().close().unwrap().unwrap();
    let report = verifier().expect_head(head).verify_segments(&[]).unwrap();
    assert_eq!(report.problems()[0].kind, ProblemKind::MissingStream);
}

/// Signatures for other purposes under the same key never count as heads.
#[test]
fn hazard_signature_cross_use() {
    use audit_log::CheckpointSigner as _;
    let storage = MemStorage::default();
    let log = open(config(), storage).unwrap();
    let head = log.close().unwrap().unwrap();
    let other = signer().sign(b"{\"type\":\"token\"}").unwrap();
    let forged = SignedCheckpoint::new(head.checkpoint().clone(), other);
    assert!(forged.verify(&[signer().verifying_key().unwrap()]).is_err());
    let body = head.checkpoint().to_bytes().unwrap();
    assert!(
        String::from_utf8(body)
            .unwrap()
            .contains(r#""type":"smal/checkpoint""#)
    );
}

#[test]
fn hazard_nonce_reuse() {
    use audit_log::CheckpointSigner as _;
    let signer = Sm2CheckpointSigner::generate("k").unwrap();
    let (a, b) = (signer.sign(b"m").unwrap(), signer.sign(b"m").unwrap());
    assert_ne!(a[..32], b[..32], "fresh bytes enter every nonce");
    // With a generator stuck at one value, different messages still get different nonces.
    struct Stuck;
    impl Randomness for Stuck {
        fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
            buffer.fill(7);
            Ok(())
        }
    }
    let stuck = signer.with_randomness(Stuck);
    let (a, b) = (stuck.sign(b"m1").unwrap(), stuck.sign(b"m2").unwrap());
    assert_ne!(a[..32], b[..32]);
}

#[test]
fn hazard_secrets_in_debug_output() {
    let log = open(config(), MemStorage::default()).unwrap();
    let shown = format!("{log:?} {:?}", signer().verifying_key().unwrap());
    assert!(!shown.to_lowercase().contains("3945208f"));
    // Neither the signer, its PEM nor the pseudonymizer implements Debug, Display or Clone: see
    // the types. An error names the key's id and never its bytes.
    let Err(error) = Sm2CheckpointSigner::from_pkcs8_pem("k", "-----BEGIN 3945208F-----") else {
        panic!("not a key");
    };
    assert!(!error.to_string().contains("3945208F"));
}

#[test]
fn hazard_oversized_input() {
    let log = open(config(), MemStorage::default()).unwrap();
    let base = || event(&log, 1);
    let long = "x".repeat(100_000);
    let mut many = base();
    for number in 0..64 {
        many.details_mut().push(format!("n{number}"), 1);
    }
    let mut big = base();
    for number in 0..10 {
        big.details_mut()
            .push(format!("n{number}"), "x".repeat(8000));
    }
    let mut wide = base();
    wide.details_mut().push("n", i64::MAX);
    for (event, field) in [
        (base().action(long.as_str()), "action"),
        (base().resource(long.as_str()), "resource"),
        (base().trace_id("ABC"), "trace_id"),
        (base().span_id("0000000000000000"), "span_id"),
        (base().action(""), "action"),
        (many, "details"),
        (big, "details"),
        (wide, "details.n"),
    ] {
        match log.append(event) {
            Err(Error::Event { field: found, .. }) => assert_eq!(found, field),
            other => panic!("{field}: {other:?}"),
        }
    }
}
