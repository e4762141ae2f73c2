//! Single-use tokens consumed in this process's memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::clock::Clock;
use crate::error::StoreError;
use crate::replay::{ReplayEntry, ReplayFuture, ReplayOutcome, ReplayStore};

/// So many that a sweep of one is short: a fraction of a millisecond with ten million entries.
const SHARDS: usize = 256;

/// Seconds between two sweeps of a shard.
const SWEEP_EVERY: u64 = 60;

/// A [`ReplayStore`] in this process's memory: bounded, expiring, sharded.
///
/// It forgets everything when the process ends, so that a token consumed just before could be used
/// again just after; [`refusing_earlier_tokens`](Self::refusing_earlier_tokens) closes that gap. Other
/// processes do not see it: several instances of a service need a shared store.
///
/// Of a key it keeps 128 bits of SM3: two tokens whose bits are the same would take one for a replay of the other, which
/// refuses, and is not to be expected before 2^64 tokens.
pub struct MemoryReplayStore {
    shards: Box<[Mutex<Shard>]>,
    len: AtomicUsize,
    capacity: usize,
    /// The store's first second; times are kept as what has passed since.
    start: u64,
    /// Tokens issued before this second are refused.
    since: u64,
    /// How far `since` lay ahead of the start.
    skew: Option<Duration>,
    /// The second from which on a full store looks for room in all shards again.
    next_full_sweep: AtomicU64,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct Shard {
    /// Key to `keep_until`, in seconds since the store's start; the largest stands for ever.
    live: HashMap<[u8; 16], u32>,
    next_sweep: u64,
    /// Entries with `keep_until` up to here may have been forgotten.
    forgotten_to: u64,
}

impl MemoryReplayStore {
    /// A store for at most `capacity` live entries. An entry takes 24 to 48 bytes.
    ///
    /// By itself it takes a token again that a store before it took: see
    /// [`refusing_earlier_tokens`](Self::refusing_earlier_tokens). Whoever may show many tokens or proofs can fill it; DPoP
    /// proofs, of which each client makes its own, are best kept in a store apart.
    #[must_use]
    pub fn new(capacity: usize, clock: Arc<dyn Clock>) -> Self {
        let start = clock.unix_seconds();
        let mut shards = Vec::with_capacity(SHARDS);
        // An end before the start cannot be counted: it is as good as forgotten.
        shards.resize_with(SHARDS, || {
            Mutex::new(Shard {
                forgotten_to: start,
                ..Shard::default()
            })
        });
        Self {
            shards: shards.into_boxed_slice(),
            len: AtomicUsize::new(0),
            capacity,
            start,
            since: 0,
            skew: None,
            next_full_sweep: AtomicU64::new(0),
            clock,
        }
    }

    /// Refuses every token issued before now plus `skew`: one that was consumed before a restart
    /// made this store forget it stays refused. `skew` is how far the issuers' clocks may run ahead;
    /// single-use tokens are refused that long after a start. Times have whole seconds: a token of
    /// the very second of the start may have been consumed before it, so let `skew` be one second at
    /// least unless something else covers that.
    #[must_use]
    pub fn refusing_earlier_tokens(mut self, skew: Duration) -> Self {
        let now = self.clock.unix_seconds();
        // Rounded up: a part of a second must not let an earlier token in.
        let skew = skew
            .as_secs()
            .saturating_add(u64::from(skew.subsec_nanos() > 0));
        self.since = now.saturating_add(skew);
        self.skew = Some(Duration::from_secs(skew));
        self
    }

    /// How many entries are held, those not yet swept included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether no entry is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn try_consume(&self, entry: &ReplayEntry) -> Result<ReplayOutcome, StoreError> {
        if entry.issued_at() < self.since {
            return Err(StoreError::IssuedBeforeStart);
        }
        let now = self.clock.unix_seconds();
        if let Some(outcome) = self.try_insert(entry, now)? {
            return Ok(outcome);
        }
        // Full: other shards may hold entries whose time is over. Looked for once a second, not at every refusal: whoever
        // fills the store would make each call cost a walk through all of it.
        let due = self
            .next_full_sweep
            .fetch_max(now.saturating_add(1), Ordering::Relaxed)
            <= now;
        if !due {
            return Err(StoreError::Full);
        }
        for shard in &self.shards {
            self.sweep(&mut *lock(shard)?, now);
        }
        self.try_insert(entry, now)?.ok_or(StoreError::Full)
    }

    /// `None` when there is no room.
    fn try_insert(
        &self,
        entry: &ReplayEntry,
        now: u64,
    ) -> Result<Option<ReplayOutcome>, StoreError> {
        // The key is a hash: its bytes spread evenly. The first chooses the shard, the last sixteen are kept.
        let bytes = entry.key().as_bytes();
        let [first, ..] = *bytes;
        let key = *bytes.last_chunk().unwrap_or(&[0; 16]);
        let shard = self
            .shards
            .get(usize::from(first))
            .ok_or(StoreError::Full)?;
        let mut shard = lock(shard)?;
        if now >= shard.next_sweep {
            self.sweep(&mut shard, now);
        }
        if entry.keep_until() <= shard.forgotten_to.max(now) {
            // A clock that was set back, or a caller who was too slow: the entry may have been there.
            return Err(StoreError::ClockWentBack);
        }
        let until = entry.keep_until().saturating_sub(self.start);
        let until = u32::try_from(until).unwrap_or(u32::MAX);
        match shard.live.entry(key) {
            Entry::Occupied(mut held) if self.is_over(*held.get(), now) => {
                held.insert(until);
                Ok(Some(ReplayOutcome::Fresh))
            }
            Entry::Occupied(_) => Ok(Some(ReplayOutcome::Replayed)),
            Entry::Vacant(place) => {
                let room = self
                    .len
                    .try_update(Ordering::Relaxed, Ordering::Relaxed, |len| {
                        (len < self.capacity).then(|| len.saturating_add(1))
                    });
                if room.is_err() {
                    return Ok(None);
                }
                place.insert(until);
                Ok(Some(ReplayOutcome::Fresh))
            }
        }
    }

    /// Whether an entry may be forgotten.
    fn is_over(&self, until: u32, now: u64) -> bool {
        until != u32::MAX && u64::from(until) <= now.saturating_sub(self.start)
    }

    /// Forgets the entries whose time is over.
    fn sweep(&self, shard: &mut Shard, now: u64) {
        let before = shard.live.len();
        shard.live.retain(|_, until| !self.is_over(*until, now));
        let gone = before.saturating_sub(shard.live.len());
        self.len.fetch_sub(gone, Ordering::Relaxed);
        // Room for twice what is there is given back.
        if shard.live.capacity() / 4 > shard.live.len() {
            shard.live.shrink_to_fit();
        }
        shard.forgotten_to = shard.forgotten_to.max(now);
        shard.next_sweep = now.saturating_add(SWEEP_EVERY);
    }
}

fn lock(shard: &Mutex<Shard>) -> Result<MutexGuard<'_, Shard>, StoreError> {
    // A poisoned shard may have lost an entry in mid-update: refuse rather than guess.
    shard
        .lock()
        .map_err(|_| StoreError::Unavailable("a shard is poisoned".into()))
}

impl ReplayStore for MemoryReplayStore {
    fn consume(&self, entry: ReplayEntry) -> ReplayFuture<'_> {
        Box::pin(future::ready(self.try_consume(&entry)))
    }

    fn skew(&self) -> Option<Duration> {
        self.skew
    }
}

impl fmt::Debug for MemoryReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReplayStore")
            .field("len", &self.len())
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
