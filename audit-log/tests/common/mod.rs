//! What the integration tests share: fixed clocks, counted salts, a storage that fails on demand.
#![allow(dead_code, unreachable_pub)]

pub mod format;

use audit_log::{
    AuditLog, Clock, ClockSync, Config, Details, Event, EventTime, Kind, Outcome, RandomError,
    Randomness, Sm2CheckpointSigner, Storage, Verifier, Who,
};
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One second later at each reading.
#[derive(Default)]
pub struct StepClock(pub AtomicU64);

impl Clock for StepClock {
    fn now(&self) -> EventTime {
        let step = self.0.fetch_add(1, Ordering::SeqCst);
        EventTime::new(
            1_777_600_000_000_000_000 + step as i64 * 1_000_000_000,
            5_000_000_000 + step * 1_000_000_000,
            "6f1b7c1e-0000-4000-8000-000000000001",
            ClockSync::Synchronized,
        )
    }
}

/// Counts upwards: the same bytes each run.
#[derive(Default)]
pub struct CountedRandomness(pub AtomicU64);

impl Randomness for CountedRandomness {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        for chunk in buffer.chunks_mut(8) {
            let number = self.0.fetch_add(1, Ordering::SeqCst).to_be_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
        Ok(())
    }
}

/// Fails at one call, counted over all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The write is refused before anything is written.
    NoSpace,
    /// Half of the bytes are written, then the write fails.
    ShortWrite,
    /// Everything fails with EIO.
    Io,
}

#[derive(Default)]
pub struct Disk {
    /// What the operating system shows.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What survives loss of power.
    pub durable: BTreeMap<String, Vec<u8>>,
    pub locked: bool,
    pub calls: usize,
    pub syncs: usize,
    pub fail_at: Option<(usize, Fault)>,
    pub log: Vec<String>,
}

/// A directory in memory, which can fail and lose power.
#[derive(Clone, Default)]
pub struct MemStorage(pub Arc<Mutex<Disk>>);

impl MemStorage {
    pub fn with_files(files: BTreeMap<String, Vec<u8>>) -> Self {
        let disk = Disk {
            durable: files.clone(),
            files,
            ..Disk::default()
        };
        Self(Arc::new(Mutex::new(disk)))
    }

    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.0.lock().unwrap().files.clone()
    }

    pub fn durable(&self) -> BTreeMap<String, Vec<u8>> {
        self.0.lock().unwrap().durable.clone()
    }

    pub fn fail_at(&self, call: usize, fault: Fault) {
        self.0.lock().unwrap().fail_at = Some((call, fault));
    }

    pub fn calls(&self) -> usize {
        self.0.lock().unwrap().calls
    }

    fn enter(&self, what: &str) -> (std::sync::MutexGuard<'_, Disk>, Option<Fault>) {
        let mut disk = self.0.lock().unwrap();
        disk.calls += 1;
        disk.log.push(what.to_owned());
        let fault = disk
            .fail_at
            .filter(|(call, _)| *call == disk.calls)
            .map(|(_, fault)| fault);
        (disk, fault)
    }
}

fn error(fault: Fault) -> io::Error {
    match fault {
        Fault::NoSpace | Fault::ShortWrite => io::Error::from(io::ErrorKind::StorageFull),
        Fault::Io => io::Error::other("injected EIO"),
    }
}

fn missing() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl Drop for MemStorage {
    fn drop(&mut self) {
        // The writer's copy is the one that is dropped when the log ends.
        if let Ok(mut disk) = self.0.lock() {
            disk.locked = false;
        }
    }
}

impl Storage for MemStorage {
    fn lock(&mut self) -> io::Result<()> {
        let (_disk, fault) = self.enter("lock");
        fault.map_or(Ok(()), |f| Err(error(f)))
    }

    fn list(&mut self) -> io::Result<Vec<String>> {
        let (disk, fault) = self.enter("list");
        fault.map_or(Ok(disk.files.keys().cloned().collect()), |f| Err(error(f)))
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let (mut disk, fault) = self.enter("create");
        if let Some(fault) = fault {
            return Err(error(fault));
        }
        if disk.files.contains_key(name) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        disk.files.insert(name.to_owned(), Vec::new());
        Ok(())
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        let (disk, fault) = self.enter("read");
        match fault {
            Some(fault) => Err(error(fault)),
            None => disk.files.get(name).cloned().ok_or_else(missing),
        }
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (mut disk, fault) = self.enter("append");
        let file = disk.files.get_mut(name).ok_or_else(missing)?;
        match fault {
            None => file.extend_from_slice(bytes),
            Some(Fault::ShortWrite) => {
                file.extend_from_slice(&bytes[..bytes.len() / 2]);
                return Err(error(Fault::ShortWrite));
            }
            Some(fault) => return Err(error(fault)),
        }
        Ok(())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let (mut disk, fault) = self.enter("sync");
        if let Some(fault) = fault {
            return Err(error(fault));
        }
        disk.syncs += 1;
        let bytes = disk.files.get(name).cloned().ok_or_else(missing)?;
        // Content of a file whose name is not durable yet is kept back by `sync_dir`.
        disk.durable.insert(name.to_owned(), bytes);
        Ok(())
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        let (mut disk, fault) = self.enter("sync_dir");
        if let Some(fault) = fault {
            return Err(error(fault));
        }
        let names: Vec<String> = disk.files.keys().cloned().collect();
        disk.durable.retain(|name, _| names.contains(name));
        for name in names {
            disk.durable.entry(name).or_default();
        }
        Ok(())
    }

    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()> {
        let (mut disk, fault) = self.enter("truncate");
        if let Some(fault) = fault {
            return Err(error(fault));
        }
        let file = disk.files.get_mut(name).ok_or_else(missing)?;
        file.truncate(length as usize);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let (mut disk, fault) = self.enter("rename");
        if let Some(fault) = fault {
            return Err(error(fault));
        }
        let bytes = disk.files.remove(from).ok_or_else(missing)?;
        disk.files.insert(to.to_owned(), bytes);
        if let Some(bytes) = disk.durable.get(from).cloned() {
            disk.durable.insert(to.to_owned(), bytes);
        }
        Ok(())
    }
}

/// The private key of the fixtures: d of GM/T 0003.5 annex A, a test key known to everybody.
pub const TEST_KEY: &str = include_str!("../fixtures/v1/private-key.pem");

pub fn signer() -> Sm2CheckpointSigner {
    Sm2CheckpointSigner::from_pkcs8_pem("test-key-1", TEST_KEY)
        .unwrap()
        .with_randomness(CountedRandomness::default())
}

pub fn verifier() -> Verifier {
    Verifier::new([signer().verifying_key().unwrap()])
}

/// Checkpoints only on demand and at the end, so that nothing depends on time.
pub fn config() -> Config {
    Config::new("core-banking/test").checkpoint_every(Duration::from_secs(3600))
}

pub fn open(config: Config, storage: impl Storage + 'static) -> Result<AuditLog, audit_log::Error> {
    open_at(config, storage, 0)
}

/// With clock and salts that go on from `step`.
pub fn open_at(
    config: Config,
    storage: impl Storage + 'static,
    step: u64,
) -> Result<AuditLog, audit_log::Error> {
    AuditLog::open_with(
        config,
        storage,
        signer(),
        StepClock(step.into()),
        CountedRandomness(step.into()),
    )
}

pub fn event(log: &AuditLog, number: u64) -> Event {
    Event::new(
        log.now(),
        Who::subject(format!("user-{number}")).tenant("bank-a"),
        Kind::AuthorizationDecision,
        Outcome::success(),
        Details::new().with("number", number.to_string()),
    )
    .action("GET /api/v1/customers/{id}")
}

/// Appends events one by one, each its own batch.
pub fn append(log: &AuditLog, numbers: std::ops::Range<u64>) {
    for number in numbers {
        log.append(event(log, number)).unwrap().wait().unwrap();
    }
}

/// The files as the in-memory verifier takes them.
pub fn verify(files: &BTreeMap<String, Vec<u8>>) -> audit_log::Report {
    verify_by(&verifier(), files)
}

pub fn verify_by(verifier: &Verifier, files: &BTreeMap<String, Vec<u8>>) -> audit_log::Report {
    let segments: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    verifier.verify_segments(&segments).unwrap()
}
