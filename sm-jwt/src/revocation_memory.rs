//! Revocations in this process's memory.

use std::collections::HashMap;
use std::fmt;
use std::future;
use std::sync::{Arc, RwLock};

use crate::clock::Clock;
use crate::error::StoreError;
use crate::future::BoxFuture;
use crate::revocation::{Revocation, RevocationKey, RevocationQuery, RevocationStore};

/// A [`RevocationStore`] in this process's memory: bounded and expiring.
///
/// It forgets everything when the process ends, and other processes do not see it: for tests, and for a service of one
/// instance whose tokens live shortly.
pub struct MemoryRevocationStore {
    entries: RwLock<Entries>,
    capacity: usize,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct Entries {
    held: HashMap<RevocationKey, Entry>,
    /// The latest `keep_until` of an entry that was forgotten.
    forgotten_to: u64,
}

#[derive(Clone, Copy)]
struct Entry {
    /// What was issued up to this second; `u64::MAX` for everything.
    since: u64,
    keep_until: u64,
}

impl MemoryRevocationStore {
    /// A store for at most `capacity` live entries.
    #[must_use]
    pub fn new(capacity: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            entries: RwLock::default(),
            capacity,
            clock,
        }
    }

    /// How many entries are held, those included whose time is over.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.read().map_or(0, |entries| entries.held.len())
    }

    /// Whether no entry is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn ask(&self, query: &RevocationQuery) -> Result<bool, StoreError> {
        let entries = self.entries.read().map_err(|_| poisoned())?;
        // An entry whose time is over revokes as well, while it is there: what it is about has expired.
        let revoked = |key| {
            entries
                .held
                .get(key)
                .is_some_and(|entry| query.issued_at() <= entry.since)
        };
        if query.names().any(revoked) || revoked(query.subject()) {
            return Ok(true);
        }
        // A clock that was set back asks about a time for which entries are missing.
        if self.clock.unix_seconds() < entries.forgotten_to {
            return Err(StoreError::ClockWentBack);
        }
        Ok(false)
    }

    fn put(&self, revocation: &Revocation) -> Result<(), StoreError> {
        let mut entries = self.entries.write().map_err(|_| poisoned())?;
        let new = Entry {
            since: revocation.since().unwrap_or(u64::MAX),
            keep_until: revocation.keep_until(),
        };
        let Entries { held, forgotten_to } = &mut *entries;
        if let Some(entry) = held.get_mut(revocation.key()) {
            entry.since = entry.since.max(new.since);
            entry.keep_until = entry.keep_until.max(new.keep_until);
            return Ok(());
        }
        if held.len() >= self.capacity {
            let now = self.clock.unix_seconds();
            held.retain(|_, entry| {
                let live = entry.keep_until > now;
                if !live {
                    *forgotten_to = entry.keep_until.max(*forgotten_to);
                }
                live
            });
            if held.len() >= self.capacity {
                return Err(StoreError::Full);
            }
        }
        held.insert(*revocation.key(), new);
        Ok(())
    }
}

fn poisoned() -> StoreError {
    StoreError::Unavailable("the store is poisoned".into())
}

impl RevocationStore for MemoryRevocationStore {
    fn is_revoked<'a>(
        &'a self,
        query: &'a RevocationQuery,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(future::ready(self.ask(query)))
    }

    fn revoke(&self, revocation: Revocation) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(future::ready(self.put(&revocation)))
    }
}

impl fmt::Debug for MemoryRevocationStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRevocationStore")
            .field("len", &self.len())
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
