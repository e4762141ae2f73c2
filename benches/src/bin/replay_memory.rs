//! How much memory `MemoryReplayStore` takes for ten million used token ids (or as many as the argument says), and how long
//! consuming them took: the resident memory that the process has more than before.

use std::fs;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use sm_jwt::{
    ManualClock, MemoryReplayStore, ReplayEntry, ReplayKey, ReplayOutcome, ReplayStore as _,
};

const NOW: u64 = 1_700_000_000;

fn main() {
    let count: usize = match std::env::args().nth(1).map(|text| text.parse()) {
        None => 10_000_000,
        Some(Ok(count)) => count,
        Some(Err(_)) => {
            eprintln!("usage: replay_memory [COUNT]");
            std::process::exit(2);
        }
    };
    let store = MemoryReplayStore::new(count, Arc::new(ManualClock::new(NOW)));
    let before = resident_bytes();
    let start = Instant::now();
    let mut highest = before;
    for number in 0..count {
        // An id as long as the ones that sm-jwt draws.
        let id = format!("{number:022}");
        let key = ReplayKey::new("at+jwt", "https://login.bank.example", &id);
        let entry = ReplayEntry::new(key, NOW, NOW + 300 + (number % 3600) as u64);
        assert!(matches!(consume(&store, entry), ReplayOutcome::Fresh));
        if number % 65_536 == 0 {
            highest = highest.max(resident_bytes());
        }
    }
    let took = start.elapsed();
    let after = resident_bytes();
    assert_eq!(store.len(), count);
    let again = ReplayKey::new(
        "at+jwt",
        "https://login.bank.example",
        &format!("{:022}", 0),
    );
    let entry = ReplayEntry::new(again, NOW, NOW + 300);
    assert!(matches!(consume(&store, entry), ReplayOutcome::Replayed));

    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let grown = after.saturating_sub(before);
    println!("entries            {count:>12}");
    println!("resident           {:>12.0} MiB", mib(grown));
    println!(
        "highest meanwhile  {:>12.0} MiB",
        mib(highest.max(after).saturating_sub(before))
    );
    println!("an entry           {:>12.1} B", grown as f64 / count as f64);
    println!(
        "one call           {:>12.0} ns, SM3 of its key and growth included",
        took.as_nanos() as f64 / count as f64
    );
}

/// The store in memory never waits.
fn consume(store: &MemoryReplayStore, entry: ReplayEntry) -> ReplayOutcome {
    let mut call = std::pin::pin!(store.consume(entry));
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome.expect("the store has room"),
        Poll::Pending => unreachable!("the store in memory never waits"),
    }
}

/// What the process has in memory, by Linux.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("VmRSS");
    let kib: u64 = line
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number");
    kib * 1024
}
