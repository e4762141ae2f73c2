//! Audit: audit-log beside a JSON line with one sync each (durable, not tamper-evident) and beside
//! tracing-appender (neither). Then the offline verifier beside the bare hash of the same bytes.
//!
//! An event counts once it is durable; for tracing-appender, once it was handed to the kernel.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use audit_log::{
    AuditLog, CheckpointVerifyingKey, Config, Details, Event, FsStorage, Kind, Outcome,
    Sm2CheckpointSigner, SystemClock, Verifier, Who,
};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use family_benches::{CpuTime, computing, folder, waiting};
use serde::Serialize;
use sm3::{Digest, Sm3};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder};

const PRODUCERS: usize = 16;
const PER_PRODUCER: usize = 2048;
const UNACKNOWLEDGED: usize = 256;
/// Events of one measurement where each waits for the disk.
const WAITING: usize = 32;
const VERIFIED: usize = 50_000;

fn open(directory: &Path) -> (AuditLog, CheckpointVerifyingKey) {
    let signer = Sm2CheckpointSigner::generate("audit-2026").unwrap();
    let key = signer.verifying_key().unwrap();
    let storage = FsStorage::open(directory).unwrap();
    let log = AuditLog::open(
        Config::new("core-banking/host-1"),
        storage,
        signer,
        SystemClock::new(),
    )
    .unwrap();
    (log, key)
}

fn event(log: &AuditLog, n: usize) -> Event {
    Event::new(
        log.now(),
        Who::subject("0000000743a1c5d2e8f09b7a6c5d4e3f2a1b0c9d")
            .tenant("bank-a")
            .session("00000007aa11bb22cc33dd44ee55ff6677889900")
            .address("192.0.2.7"),
        Kind::AuthorizationDecision,
        Outcome::success(),
        Details::new()
            .with("policy", "teller-reads-profile")
            .with("rows", i64::try_from(n).unwrap()),
    )
    .action("GET /api/v1/customers/{id}")
    .resource("customer/17")
    .trace_id("4bf92f3577b34da6a3ce929d0e0e4736")
}

/// The same facts for the peers, which know no salt, sequence or hash.
#[derive(Serialize)]
struct Line<'a> {
    time_unix_nano: u128,
    subject: &'a str,
    tenant: &'a str,
    session: &'a str,
    address: &'a str,
    kind: &'a str,
    outcome: &'a str,
    policy: &'a str,
    rows: usize,
    action: &'a str,
    resource: &'a str,
    trace_id: &'a str,
}

fn line(n: usize) -> Vec<u8> {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    let mut bytes = serde_json::to_vec(&Line {
        time_unix_nano: now.as_nanos(),
        subject: "0000000743a1c5d2e8f09b7a6c5d4e3f2a1b0c9d",
        tenant: "bank-a",
        session: "00000007aa11bb22cc33dd44ee55ff6677889900",
        address: "192.0.2.7",
        kind: "AUTHORIZATION_DECISION",
        outcome: "success",
        policy: "teller-reads-profile",
        rows: n,
        action: "GET /api/v1/customers/{id}",
        resource: "customer/17",
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736",
    })
    .unwrap();
    bytes.push(b'\n');
    bytes
}

/// Each of `producers` threads appends `each` events, with at most `window` of them unacknowledged.
fn produce(log: &AuditLog, producers: usize, each: usize, window: usize) {
    thread::scope(|scope| {
        for _ in 0..producers {
            scope.spawn(|| {
                let mut receipts = VecDeque::with_capacity(window);
                for n in 0..each {
                    if receipts.len() == window {
                        wait(receipts.pop_front());
                    }
                    receipts.push_back(log.append(event(log, n)).unwrap());
                }
                receipts.into_iter().for_each(|receipt| wait(Some(receipt)));
            });
        }
    });
}

fn wait(receipt: Option<audit_log::Receipt>) {
    receipt.unwrap().wait().unwrap();
}

/// Time of `iterations` calls.
fn time(iterations: u64, mut call: impl FnMut()) -> Duration {
    let start = Instant::now();
    (0..iterations).for_each(|_| call());
    start.elapsed()
}

fn one_producer(c: &mut Criterion) {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"));
    let mut group = c.benchmark_group("append, one producer waiting");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(WAITING as u64));

    let (log, _) = open(&folder.path().join("audit"));
    group.bench_function("audit-log", |b| {
        b.iter_custom(|iterations| time(iterations, || produce(&log, 1, WAITING, 1)));
    });
    log.close().unwrap();

    let mut file = File::create(folder.path().join("lines")).unwrap();
    group.bench_function("JSON line and sync_data", |b| {
        b.iter_custom(|iterations| {
            time(iterations, || {
                for n in 0..WAITING {
                    file.write_all(&line(n)).unwrap();
                    file.sync_data().unwrap();
                }
            })
        });
    });
    group.finish();
}

/// Hands lines to the kernel and counts them.
struct Counted {
    file: File,
    lines: Arc<AtomicU64>,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        if bytes[..written].ends_with(b"\n") {
            self.lines.fetch_add(1, Ordering::Release);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// All lines of all producers, until the last of them was written.
fn trace(appender: &NonBlocking, lines: &AtomicU64, each: usize) {
    let end = lines.load(Ordering::Acquire) + (PRODUCERS * each) as u64;
    thread::scope(|scope| {
        for _ in 0..PRODUCERS {
            let mut appender = appender.clone();
            scope.spawn(move || (0..each).for_each(|n| appender.write_all(&line(n)).unwrap()));
        }
    });
    while lines.load(Ordering::Acquire) < end {
        thread::yield_now();
    }
}

fn many_producers(c: &mut Criterion) {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"));
    let mut group = c.benchmark_group("append, 16 producers");
    group.sampling_mode(SamplingMode::Flat);

    let (log, _) = open(&folder.path().join("audit"));
    group.throughput(Throughput::Elements((PRODUCERS * PER_PRODUCER) as u64));
    group.bench_function("audit-log, 256 unacknowledged each", |b| {
        b.iter_custom(|iterations| {
            time(iterations, || {
                produce(&log, PRODUCERS, PER_PRODUCER, UNACKNOWLEDGED);
            })
        });
    });
    group.throughput(Throughput::Elements((PRODUCERS * WAITING) as u64));
    group.bench_function("audit-log, each waiting", |b| {
        b.iter_custom(|iterations| time(iterations, || produce(&log, PRODUCERS, WAITING, 1)));
    });
    log.close().unwrap();

    let path = folder.path().join("traced");
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    let lines = Arc::new(AtomicU64::new(0));
    let writer = Counted {
        file,
        lines: Arc::clone(&lines),
    };
    let (appender, _guard) = NonBlockingBuilder::default().lossy(false).finish(writer);
    group.throughput(Throughput::Elements((PRODUCERS * PER_PRODUCER) as u64));
    group.bench_function("tracing-appender, not durable", |b| {
        b.iter_custom(|iterations| time(iterations, || trace(&appender, &lines, PER_PRODUCER)));
    });
    group.finish();
}

fn verify(c: &mut Criterion<CpuTime>) {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"));
    let directory = folder.path().join("audit");
    let (log, key) = open(&directory);
    produce(&log, 1, VERIFIED, 4096);
    let head = log.close().unwrap().unwrap();
    drop(log);
    let verifier = Verifier::new([key]).expect_head(head);
    let report = verifier.verify_dir(&directory).unwrap();
    assert!(report.is_intact(), "{report}");
    let bytes: Vec<u8> = std::fs::read_dir(&directory)
        .unwrap()
        .flat_map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    println!(
        "verifying {} records of {} bytes on average",
        report.records(),
        bytes.len() as u64 / report.records()
    );

    let mut group = c.benchmark_group("audit verify");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(report.records()));
    group.bench_function("audit-log", |b| {
        b.iter(|| {
            let report = verifier.verify_dir(&directory).unwrap();
            assert!(report.is_intact());
        });
    });
    group.bench_function("bare sm3 of the bytes", |b| {
        b.iter(|| Sm3::digest(&bytes));
    });
    group.finish();
}

criterion_group! {
    name = appending;
    config = waiting();
    targets = one_producer, many_producers
}
criterion_group! {
    name = verifying;
    config = computing();
    targets = verify
}
criterion_main!(appending, verifying);
