//! Single use: the store in which a token's `jti` is consumed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fmt;
use std::future::{self, Future};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::clock::Clock;
use crate::crypto::sm3;
use crate::error::ReplayStoreError;

/// Whether a token may be accepted more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayPolicy {
    /// As often as it is shown until it expires: access tokens.
    MultiUse,
    /// Once: transaction tokens, refresh tokens. [`Verifier::verify`](crate::Verifier::verify)
    /// refuses them; [`Verifier::accept`](crate::Verifier::accept) consumes the `jti`.
    SingleUse,
}

/// What names a token in a store: SM3 of the length-prefixed kind, issuer and `jti`.
///
/// The lengths keep `("a", "bc")` and `("ab", "c")` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplayKey([u8; 32]);

impl ReplayKey {
    pub(crate) fn new(kind: &str, issuer: &str, token_id: &str) -> Self {
        let prefix = |text: &str| (text.len() as u64).to_be_bytes();
        Self(sm3(&[
            &prefix(kind),
            kind.as_bytes(),
            &prefix(issuer),
            issuer.as_bytes(),
            &prefix(token_id),
            token_id.as_bytes(),
        ]))
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// One token to consume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayEntry {
    key: ReplayKey,
    issued_at: u64,
    keep_until: u64,
}

impl ReplayEntry {
    /// An entry. The verifier makes them; a store's own tests may too.
    #[must_use]
    pub fn new(key: ReplayKey, issued_at: u64, keep_until: u64) -> Self {
        Self {
            key,
            issued_at,
            keep_until,
        }
    }

    /// The token's name in the store.
    #[must_use]
    pub fn key(&self) -> &ReplayKey {
        &self.key
    }

    /// The token's `iat`, in seconds since 1970.
    #[must_use]
    pub fn issued_at(&self) -> u64 {
        self.issued_at
    }

    /// The first second at which the entry may be forgotten: `exp` plus leeway plus skew.
    #[must_use]
    pub fn keep_until(&self) -> u64 {
        self.keep_until
    }
}

/// What a store answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum ReplayOutcome {
    /// The key was not there before, and is now.
    Fresh,
    /// The key was there already.
    Replayed,
}

/// A boxed future, so that stores can be trait objects.
pub type ReplayFuture<'a> =
    Pin<Box<dyn Future<Output = Result<ReplayOutcome, ReplayStoreError>> + Send + 'a>>;

/// Where single-use tokens are consumed.
///
/// # Contract
/// - `consume` is one set-if-absent step: of any number of calls with the same key, from any number
///   of processes that share the store, exactly one is answered [`ReplayOutcome::Fresh`].
/// - The key is kept until `keep_until` at least. A store without room answers
///   [`ReplayStoreError::Full`]; it never drops a live key.
/// - When in doubt it answers an error. Every error refuses the token.
/// - A dropped future may have consumed the token or not; it never leads to two `Fresh`.
pub trait ReplayStore: fmt::Debug + Send + Sync {
    /// Sets the entry's key if it is absent.
    fn consume(&self, entry: ReplayEntry) -> ReplayFuture<'_>;
}

const SHARDS: usize = 16;

/// A [`ReplayStore`] in this process's memory: bounded, expiring, sharded.
///
/// It forgets everything when the process ends, so that a token consumed just before could be used
/// again just after; [`refusing_earlier_tokens`](Self::refusing_earlier_tokens) closes that gap. Other
/// processes do not see it: several instances of a service need a shared store.
pub struct MemoryReplayStore {
    shards: [Mutex<Shard>; SHARDS],
    len: AtomicUsize,
    capacity: usize,
    /// Tokens issued before this second are refused.
    since: u64,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct Shard {
    /// Key to `keep_until`.
    live: HashMap<ReplayKey, u64>,
    /// The same entries, earliest `keep_until` first.
    by_time: BinaryHeap<Reverse<(u64, ReplayKey)>>,
    /// Entries with `keep_until` up to here may have been forgotten.
    forgotten_to: u64,
}

impl MemoryReplayStore {
    /// A store for at most `capacity` live entries. An entry takes some 100 to 200 bytes.
    #[must_use]
    pub fn new(capacity: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            shards: Default::default(),
            len: AtomicUsize::new(0),
            capacity,
            since: 0,
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

    fn try_consume(&self, entry: &ReplayEntry) -> Result<ReplayOutcome, ReplayStoreError> {
        if entry.issued_at < self.since {
            return Err(ReplayStoreError::IssuedBeforeStart);
        }
        let now = self.clock.unix_seconds();
        if let Some(outcome) = self.try_insert(entry, now)? {
            return Ok(outcome);
        }
        // Full: other shards may hold entries whose time is over.
        for shard in &self.shards {
            self.sweep(&mut *lock(shard)?, now);
        }
        self.try_insert(entry, now)?.ok_or(ReplayStoreError::Full)
    }

    /// `None` when there is no room.
    fn try_insert(
        &self,
        entry: &ReplayEntry,
        now: u64,
    ) -> Result<Option<ReplayOutcome>, ReplayStoreError> {
        // The key is a hash: its first byte spreads evenly.
        let [first, ..] = entry.key.0;
        let index = usize::from(first) % SHARDS;
        let shard = self.shards.get(index).ok_or(ReplayStoreError::Full)?;
        let mut shard = lock(shard)?;
        self.sweep(&mut shard, now);
        if entry.keep_until <= shard.forgotten_to {
            // Only a clock that was set back leads here: the entry may have been there.
            return Err(ReplayStoreError::ClockWentBack);
        }
        if shard.live.contains_key(&entry.key) {
            return Ok(Some(ReplayOutcome::Replayed));
        }
        let room = self
            .len
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |len| {
                (len < self.capacity).then(|| len.saturating_add(1))
            });
        if room.is_err() {
            return Ok(None);
        }
        shard.live.insert(entry.key, entry.keep_until);
        shard.by_time.push(Reverse((entry.keep_until, entry.key)));
        Ok(Some(ReplayOutcome::Fresh))
    }

    /// Forgets the entries whose time is over.
    fn sweep(&self, shard: &mut Shard, now: u64) {
        shard.forgotten_to = shard.forgotten_to.max(now);
        while let Some(Reverse((keep_until, key))) = shard.by_time.peek().copied() {
            if keep_until > now {
                break;
            }
            shard.by_time.pop();
            shard.live.remove(&key);
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> Result<MutexGuard<'_, Shard>, ReplayStoreError> {
    // A poisoned shard may have lost an entry in mid-update: refuse rather than guess.
    shard
        .lock()
        .map_err(|_| ReplayStoreError::Unavailable("a shard is poisoned".into()))
}

impl ReplayStore for MemoryReplayStore {
    fn consume(&self, entry: ReplayEntry) -> ReplayFuture<'_> {
        Box::pin(future::ready(self.try_consume(&entry)))
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
