//! What the fuzzer and the corpus replay run: each takes any bytes, must not panic, and asserts what
//! holds for all of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs,
    unreachable_pub,
    dead_code
)]

use audit_log::{
    AuditLog, Checkpoint, CheckpointSigner, CheckpointVerifyingKey, Clock, ClockSync, Config,
    Error, EventTime, SignError, SignedCheckpoint, Storage, Verifier, canonical,
};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const STREAM: &str = "core-banking/test";
const FIRST: &str = "segment-0000000000.smal";
const PUBLIC_KEY: &str = include_str!("../fixtures/v1/public-key.pem");

fn key() -> CheckpointVerifyingKey {
    CheckpointVerifyingKey::from_spki_pem("test-key-1", PUBLIC_KEY).unwrap()
}

/// Whatever is accepted has one spelling.
pub fn canonical(data: &[u8]) {
    match canonical::parse(data) {
        Ok(value) => assert_eq!(value.to_canonical().unwrap(), data),
        Err(Error::Canonical { offset, .. }) => assert!(offset <= data.len()),
        Err(other) => panic!("{other}"),
    }
}

/// Checkpoints, signed and bare: read means written the same.
pub fn checkpoint(data: &[u8]) {
    if let Ok(head) = SignedCheckpoint::parse(data) {
        assert_eq!(head.to_bytes().unwrap(), data);
        let _ = head.verify(&[key()]);
    }
    if let Ok(head) = Checkpoint::parse(data) {
        assert_eq!(head.to_bytes().unwrap(), data);
    }
}

/// The verifier reads anything and never calls more records good than there is room for.
pub fn verify(data: &[u8]) {
    // The first byte says where to cut the rest into two segments.
    let (cut, data) = data
        .split_first()
        .map_or((0, data), |(c, d)| (usize::from(*c), d));
    let cut = data.len() * cut / 255;
    let verifier = Verifier::new([key()]);
    let whole = verifier.verify_segments(&[(FIRST, data)]).unwrap();
    assert!(whole.streams.len() == 1);
    let two = [
        (FIRST, &data[..cut]),
        ("segment-0000000001.smal", &data[cut..]),
    ];
    let two = verifier.verify_segments(&two).unwrap();
    let _ = two.to_string();
    if whole.is_intact() {
        // Intact files are what the log itself would open, unchanged but for a torn tail.
        let tail = whole.streams[0].torn_tail.as_ref();
        let kept = tail.map_or(data.len(), |tail| tail.offset as usize);
        let disk = Disk::with(data);
        match open(&disk) {
            Ok(log) => drop(log),
            // Intact, but of another stream.
            Err(Error::Config(_)) => return,
            Err(other) => panic!("{other}"),
        }
        assert!(disk.file(FIRST).starts_with(&data[..kept]));
        let aside = disk.0.lock().unwrap().keys().any(|n| n.contains(".cut-"));
        assert_eq!(aside, kept < data.len());
    }
}

/// Recovery reads anything: it opens, refuses, or sets a tail aside; it never loses a byte.
pub fn recover(data: &[u8]) {
    let disk = Disk::with(data);
    match open(&disk) {
        Ok(log) => {
            log.close().unwrap();
            let now = disk.0.lock().unwrap().clone();
            let aside = now.iter().find(|(name, _)| name.contains(".cut-"));
            let aside = aside.map_or(&[][..], |(_, bytes)| bytes);
            assert!(data.ends_with(aside));
            let kept = &data[..data.len() - aside.len()];
            assert!(now[FIRST].starts_with(kept));
            // What it left opens again, with nothing to set aside.
            let again = Disk(Arc::new(Mutex::new(now.clone())));
            open(&again).unwrap().close().unwrap();
            assert_eq!(again.0.lock().unwrap().len(), now.len());
        }
        Err(Error::Damaged { .. } | Error::Config(_)) => assert_eq!(disk.file(FIRST), data),
        Err(other) => panic!("{other}"),
    }
}

fn open(disk: &Disk) -> Result<AuditLog, Error> {
    let config = Config::new(STREAM).checkpoint_every(Duration::from_secs(3600));
    AuditLog::open(config, disk.clone(), NoSigner, Noon)
}

struct Noon;

impl Clock for Noon {
    fn now(&self) -> EventTime {
        EventTime::new(0, 0, "boot", ClockSync::Unknown)
    }
}

/// Fast; its heads are not verified here.
struct NoSigner;

impl CheckpointSigner for NoSigner {
    fn key_id(&self) -> &str {
        "fuzz"
    }
    fn sign(&self, _: &[u8]) -> Result<[u8; 64], SignError> {
        Ok([1; 64])
    }
}

#[derive(Clone)]
struct Disk(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Disk {
    fn with(bytes: &[u8]) -> Self {
        let files = BTreeMap::from([(FIRST.to_owned(), bytes.to_vec())]);
        Self(Arc::new(Mutex::new(files)))
    }

    fn file(&self, name: &str) -> Vec<u8> {
        self.0.lock().unwrap()[name].clone()
    }
}

impl Storage for Disk {
    fn lock(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn list(&mut self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().keys().cloned().collect())
    }
    fn create(&mut self, name: &str) -> io::Result<()> {
        self.0.lock().unwrap().insert(name.to_owned(), Vec::new());
        Ok(())
    }
    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        Ok(self.file(name))
    }
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        files.get_mut(name).unwrap().extend_from_slice(bytes);
        Ok(())
    }
    fn sync(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn sync_dir(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        files.get_mut(name).unwrap().truncate(length as usize);
        Ok(())
    }
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        let bytes = files.remove(from).unwrap();
        files.insert(to.to_owned(), bytes);
        Ok(())
    }
}
