//! Format v1, frozen: the committed log is read by today's verifier, and today's writer makes the same
//! bytes.
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
    Administration, AuditLog, Details, Event, FsStorage, KeyUse, Kind, Outcome, Pseudonymizer,
    SignedCheckpoint, Who,
};
use common::{MemStorage, append, config, event, open, open_at, signer, verifier, verify};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1")
}

/// One event of each kind.
fn kinds(log: &AuditLog) -> Vec<Event> {
    let names = Pseudonymizer::new(7, &[0x42; 32]).unwrap();
    let user = names.pseudonym("user_id", "bank-a", "zhang.san");
    let device = names.pseudonym("device", "bank-a", "SN-0001");
    let session = names.pseudonym("session_id", "bank-a", "s-1");
    let who = || {
        Who::subject(&user)
            .tenant("bank-a")
            .session(&session)
            .device(&device)
            .address("192.0.2.7")
    };
    let new = |who, kind, outcome| Event::new(log.now(), who, kind, outcome, Details::new());
    vec![
        new(
            Who::anonymous().address("192.0.2.9"),
            Kind::LoginFailure,
            Outcome::failure("wrong password"),
        ),
        new(who(), Kind::SessionCreate, Outcome::success()),
        new(who(), Kind::SessionRefresh, Outcome::success()),
        new(
            who(),
            Kind::AuthorizationDecision,
            Outcome::denied("tenant mismatch"),
        )
        .action("GET /api/v1/customers/{id}")
        .resource("customer/17")
        .trace_id("4bf92f3577b34da6a3ce929d0e0e4736")
        .span_id("00f067aa0ba902b7"),
        new(
            Who::system("core-banking"),
            Kind::KeyUse(KeyUse::new(
                "kms://prod/sm4/20260501",
                "open",
                "trace-1",
                u64::MAX,
            )),
            Outcome::success(),
        ),
        new(
            who(),
            Kind::Administration(Administration::Policy),
            Outcome::error("store is away"),
        ),
        Event::new(
            log.now(),
            who(),
            Kind::Custom("payment.approved".into()),
            Outcome::success(),
            // Sorted by UTF-16 units, every escape, the largest integers.
            Details::new()
                .with("\u{fb33}", true)
                .with(
                    "\u{1f600}",
                    "\u{1f600} \"quoted\" \\ \u{8}\t\n\u{c}\r\u{1} \u{7f}",
                )
                .with("金额", 9_007_199_254_740_991_i64)
                .with("a", -9_007_199_254_740_991_i64)
                .with("empty", ""),
        ),
        new(who(), Kind::SessionDestroy, Outcome::success()),
    ]
}

/// The fixture: every kind, batches of one and of three, three segments, a recovery, heads on
/// demand, at a full segment and at the end.
fn write() -> (
    BTreeMap<String, Vec<u8>>,
    SignedCheckpoint,
    SignedCheckpoint,
) {
    let storage = MemStorage::default();
    let settings = || config().segment_bytes(4500).batch_records(3);
    let log = open(settings(), storage.clone()).unwrap();
    for event in kinds(&log) {
        log.append(event).unwrap().wait().unwrap();
    }
    let middle = log.checkpoint().unwrap();
    // Held while the first of seven is being written, the other six make two batches of three.
    let held = storage.0.lock().unwrap();
    let mut receipts = vec![log.append(event(&log, 8)).unwrap()];
    while log.status().queued > 0 {
        std::thread::yield_now();
    }
    receipts.extend((9..15).map(|number| log.append(event(&log, number)).unwrap()));
    drop(held);
    for receipt in receipts {
        receipt.wait().unwrap();
    }
    // A crash in the middle of a write.
    let mut files = storage.files();
    let (_, last) = files.iter_mut().next_back().unwrap();
    last.extend_from_slice(b"\xf5SM\xfe\x02\x00\x00\x00\x00\x00\x00\x00\x0funfinished");
    drop(log);
    let storage = MemStorage::with_files(files);
    let log = open_at(settings(), storage.clone(), 1000).unwrap();
    append(&log, 16..20);
    let last = log.close().unwrap().unwrap();
    (storage.files(), middle, last)
}

/// Wrote the fixture once, and does nothing unless the environment variable
/// `AUDIT_LOG_WRITE_FIXTURE` is set. Format v1 never changes: to add a format, add a folder.
#[test]
fn a_new_fixture_folder_is_written_when_asked() {
    if std::env::var_os("AUDIT_LOG_WRITE_FIXTURE").is_none() {
        return;
    }
    let stream = folder().join("stream");
    assert!(!stream.exists(), "format v1 is frozen");
    std::fs::create_dir_all(&stream).unwrap();
    let (files, middle, last) = write();
    for (name, bytes) in files {
        std::fs::write(stream.join(name), bytes).unwrap();
    }
    std::fs::write(
        folder().join("head-middle.json"),
        middle.to_bytes().unwrap(),
    )
    .unwrap();
    std::fs::write(folder().join("head-last.json"), last.to_bytes().unwrap()).unwrap();
    let mut lines = String::new();
    let report = verifier()
        .verify_dir_with(&stream, |record| {
            let text = std::str::from_utf8(record.bytes).unwrap();
            lines.push_str(&format!("{} {text}\n", record.sequence));
        })
        .unwrap();
    std::fs::write(folder().join("records.txt"), lines).unwrap();
    let report = serde_json::to_string_pretty(&report).unwrap();
    std::fs::write(folder().join("report.json"), report + "\n").unwrap();
}

fn committed() -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(folder().join("stream"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect()
}

fn head(name: &str) -> SignedCheckpoint {
    SignedCheckpoint::parse(&std::fs::read(folder().join(name)).unwrap()).unwrap()
}

#[test]
fn v1_is_still_written_byte_for_byte() {
    let (files, middle, last) = write();
    let expected = committed();
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>()
    );
    for (name, bytes) in files {
        assert!(bytes == expected[&name], "{name} differs");
    }
    assert_eq!(middle, head("head-middle.json"));
    assert_eq!(last, head("head-last.json"));
}

#[test]
fn v1_is_still_verified() {
    let pem = std::fs::read_to_string(folder().join("public-key.pem")).unwrap();
    let key = audit_log::CheckpointVerifyingKey::from_spki_pem("test-key-1", &pem).unwrap();
    assert_eq!(key.to_spki_pem().unwrap(), pem);
    let mut lines = String::new();
    let report = audit_log::Verifier::new([key])
        .verify_dir_with(folder().join("stream"), |record| {
            let text = std::str::from_utf8(record.bytes).unwrap();
            lines.push_str(&format!("{} {text}\n", record.sequence));
        })
        .unwrap();
    assert!(report.is_intact(), "{report}");
    let expected: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder().join("report.json")).unwrap()).unwrap();
    assert_eq!(serde_json::to_value(&report).unwrap(), expected);
    let expected = std::fs::read_to_string(folder().join("records.txt")).unwrap();
    assert_eq!(lines, expected);
    for name in ["head-middle.json", "head-last.json"] {
        let report = verifier()
            .expect_head(head(name))
            .verify_dir(folder().join("stream"))
            .unwrap();
        assert!(report.is_intact(), "{report}");
    }
}

#[test]
fn v1_is_still_appended_to() {
    let copy = tempfile::tempdir().unwrap();
    for (name, bytes) in committed() {
        std::fs::write(copy.path().join(name), bytes).unwrap();
    }
    let log = open(config(), FsStorage::open(copy.path()).unwrap()).unwrap();
    append(&log, 20..23);
    log.close().unwrap();
    let report = verifier()
        .expect_head(head("head-last.json"))
        .verify_dir(copy.path())
        .unwrap();
    assert!(report.is_intact(), "{report}");
    assert_eq!(report.records(), 23);
}

#[test]
fn v1_tampered_is_refused() {
    let files = committed();
    let names: Vec<&String> = files.keys().filter(|n| n.ends_with(".smal")).collect();
    assert!(names.len() >= 3);
    for name in &names[..names.len() - 1] {
        for part in 1..8 {
            let mut changed = files.clone();
            let bytes = changed.get_mut(*name).unwrap();
            let at = bytes.len() * part / 8;
            bytes[at] ^= 0x10;
            assert!(!verify(&changed).is_intact(), "{name} byte {at}");
        }
        let mut removed = files.clone();
        removed.remove(*name);
        assert!(!verify(&removed).is_intact());
    }
    // A head signed by the right key but altered.
    let mut forged = head("head-last.json").checkpoint().clone();
    forged.size += 1;
    let forged = SignedCheckpoint::new(forged, *head("head-last.json").signature());
    assert!(forged.verify(&[signer().verifying_key().unwrap()]).is_err());
    assert!(
        verifier()
            .expect_head(forged)
            .verify_dir(folder().join("stream"))
            .is_err()
    );
}
