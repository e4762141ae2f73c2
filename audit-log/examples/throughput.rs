//! Durable events a second on this machine's disk: 16 producers with up to 256 unacknowledged events
//! each, and one producer that waits for each.
//!
//! `cargo run --release -p audit-log --example throughput [directory] [events]`
#![allow(clippy::print_stdout, clippy::arithmetic_side_effects)]

use audit_log::{
    AuditLog, Config, Details, Event, FsStorage, Kind, Outcome, Receipt, Sm2CheckpointSigner,
    SystemClock, Verifier, Who,
};
use std::collections::VecDeque;
use std::error::Error;
use std::time::Instant;

const PRODUCERS: u64 = 16;
const UNACKNOWLEDGED: usize = 256;

fn event(log: &AuditLog) -> Event {
    Event::new(
        log.now(),
        Who::subject("00000007432dcbe370419bbb0f7968ddeb8f43e9").tenant("bank-a"),
        Kind::AuthorizationDecision,
        Outcome::success(),
        Details::new().with("policy", "p-17"),
    )
    .action("GET /api/v1/customers/{id}")
    .resource("customer/17")
}

fn produce(log: &AuditLog, events: u64, unacknowledged: usize) -> Result<(), audit_log::Error> {
    let mut waiting: VecDeque<Receipt> = VecDeque::new();
    for _ in 0..events {
        if waiting.len() >= unacknowledged
            && let Some(oldest) = waiting.pop_front()
        {
            oldest.wait()?;
        }
        waiting.push_back(log.append(event(log))?);
    }
    waiting
        .iter()
        .try_for_each(|receipt| receipt.wait().map(|_| ()))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or_else(
        || std::env::temp_dir().join("audit-log-throughput"),
        Into::into,
    );
    let events: u64 = arguments.next().map_or(Ok(400_000), |text| text.parse())?;
    let folder = folder.join(std::process::id().to_string());
    let signer = Sm2CheckpointSigner::generate("bench")?;
    let key = signer.verifying_key()?;
    let log = AuditLog::open(
        Config::new("bench"),
        FsStorage::open(&folder)?,
        signer,
        SystemClock::new(),
    )?;

    let start = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..PRODUCERS)
            .map(|_| scope.spawn(|| produce(&log, events / PRODUCERS, UNACKNOWLEDGED)))
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or(Err(audit_log::Error::Closed)))
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let batches = log.status().batches;
    let total = events / PRODUCERS * PRODUCERS;
    println!(
        "{PRODUCERS} producers, {UNACKNOWLEDGED} unacknowledged each: {:.0} durable events/s, {} a batch",
        total as f64 / seconds,
        total / batches.max(1)
    );

    let start = Instant::now();
    produce(&log, 500, 1)?;
    println!(
        "one waiting producer: {:.0} durable events/s",
        500.0 / start.elapsed().as_secs_f64()
    );
    log.close()?;

    let start = Instant::now();
    let report = Verifier::new([key]).verify_dir(&folder)?;
    println!(
        "verification: {:.0} events/s, intact: {}",
        report.records() as f64 / start.elapsed().as_secs_f64(),
        report.is_intact()
    );
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
