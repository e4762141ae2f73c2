//! An unwrapped field key (L2) in memory, and how much it has been used.

use crate::crypto::PrkKey;
use crate::error::Error;
use crate::random::RandomSource;
use crate::record::{KeyInfo, KeyState, SKEW_MINUTES};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A field key, held as the midstates of its HKDF: the 32 bytes themselves are gone once it is made.
pub(crate) struct FieldKey {
    pub(crate) prk: PrkKey,
    /// `fek://class-name/id`.
    pub(crate) uri: String,
    salt: SaltBudget,
    uses: AtomicU64,
    closed: AtomicBool,
    retired: AtomicBool,
}

impl FieldKey {
    pub(crate) fn new(
        key: &[u8; 32],
        uri: String,
        random: &dyn RandomSource,
    ) -> Result<Self, Error> {
        let failed = || Error::Config {
            what: "a field key has the wrong length".into(),
        };
        Ok(Self {
            prk: PrkKey::from_uniform(key).ok_or_else(failed)?,
            uri,
            salt: SaltBudget::new(random)?,
            uses: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            retired: AtomicBool::new(false),
        })
    }

    /// A salt, and how many of the `wanted` values may be sealed under it.
    pub(crate) fn reserve(
        &self,
        wanted: u32,
        budget: u32,
        random: &dyn RandomSource,
    ) -> Result<([u8; 4], u32), Error> {
        self.salt.reserve(wanted, budget, random)
    }

    /// How many uses have been counted so far.
    pub(crate) fn uses(&self) -> u64 {
        self.uses.load(Ordering::Relaxed)
    }

    /// Counts `n` more uses; how many there were before.
    pub(crate) fn count_uses(&self, n: u64) -> u64 {
        self.uses.fetch_add(n, Ordering::Relaxed)
    }

    /// From now on no prepared key uses this one any more.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// From now on no prepared key seals with this one any more.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }
}

/// The salt this process seals under, and how many values it has sealed so: 32 bits each, in one word. Random
/// nonces are good for 2^32 values a key; then a new salt makes new keys, and no node has to ask another.
struct SaltBudget(AtomicU64);

impl SaltBudget {
    fn new(random: &dyn RandomSource) -> Result<Self, Error> {
        Ok(Self(AtomicU64::new(pack(draw(random)?, 0))))
    }

    fn reserve(
        &self,
        wanted: u32,
        budget: u32,
        random: &dyn RandomSource,
    ) -> Result<([u8; 4], u32), Error> {
        let mut held = self.0.load(Ordering::Acquire);
        loop {
            let (salt, sealed) = unpack(held);
            let (salt, sealed) = if sealed >= budget {
                (draw(random)?, 0)
            } else {
                (salt, sealed)
            };
            let granted = wanted.min(budget.saturating_sub(sealed));
            let next = pack(salt, sealed.saturating_add(granted));
            match self
                .0
                .compare_exchange_weak(held, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Ok((salt, granted)),
                Err(now) => held = now,
            }
        }
    }
}

fn draw(random: &dyn RandomSource) -> Result<[u8; 4], Error> {
    let mut salt = [0_u8; 4];
    random.fill(&mut salt)?;
    Ok(salt)
}

fn pack(salt: [u8; 4], sealed: u32) -> u64 {
    u64::from(u32::from_be_bytes(salt)) << 32 | u64::from(sealed)
}

fn unpack(word: u64) -> ([u8; 4], u32) {
    let [s0, s1, s2, s3, n0, n1, n2, n3] = word.to_be_bytes();
    ([s0, s1, s2, s3], u32::from_be_bytes([n0, n1, n2, n3]))
}

/// A usable field key and what the registry says of it.
pub(crate) struct KeyEntry {
    pub(crate) info: KeyInfo,
    pub(crate) key: Arc<FieldKey>,
}

/// The keys of one class (and tenant) that may open, ordered by id.
pub(crate) struct KeySet(Vec<KeyEntry>);

impl KeySet {
    pub(crate) fn new(mut entries: Vec<KeyEntry>) -> Self {
        entries.sort_by_key(|entry| entry.info.fek_id);
        Self(entries)
    }

    pub(crate) fn get(&self, fek_id: u32) -> Option<&KeyEntry> {
        let at = self
            .0
            .binary_search_by_key(&fek_id, |entry| entry.info.fek_id)
            .ok()?;
        self.0.get(at)
    }

    /// The key that seals at `now`: the active one whose period began last.
    pub(crate) fn primary(&self, now_minutes: u32) -> Option<&KeyEntry> {
        self.0
            .iter()
            .filter(|entry| {
                entry.info.state == KeyState::Active
                    && entry.info.active_from <= now_minutes.saturating_add(SKEW_MINUTES)
                    && now_minutes < entry.info.active_until
            })
            // One that has begun, by this clock: the skew serves a node that is behind the one that has just made the first key.
            .max_by_key(|entry| {
                let info = &entry.info;
                (
                    info.active_from <= now_minutes,
                    info.active_from,
                    info.fek_id,
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::OsRandom;

    /// Counts up, so that every salt is another one.
    struct Counting(AtomicU64);

    impl RandomSource for Counting {
        fn fill(&self, buffer: &mut [u8]) -> Result<(), Error> {
            let n = self.0.fetch_add(1, Ordering::SeqCst).to_be_bytes();
            buffer.copy_from_slice(&n[8 - buffer.len()..]);
            Ok(())
        }
    }

    #[test]
    fn a_salt_is_redrawn_when_its_budget_is_used_up() {
        let random = Counting(AtomicU64::new(1));
        let budget = SaltBudget::new(&random).unwrap();
        let salt = |n: u8| [0, 0, 0, n];
        assert_eq!(budget.reserve(2, 3, &random).unwrap(), (salt(1), 2));
        assert_eq!(budget.reserve(2, 3, &random).unwrap(), (salt(1), 1));
        assert_eq!(budget.reserve(5, 3, &random).unwrap(), (salt(2), 3));
        assert_eq!(budget.reserve(1, 3, &random).unwrap(), (salt(3), 1));
    }

    #[test]
    fn the_full_budget_ends_at_the_last_count() {
        let random = Counting(AtomicU64::new(1));
        let budget = SaltBudget::new(&random).unwrap();
        assert_eq!(
            budget.reserve(u32::MAX, u32::MAX, &random).unwrap(),
            ([0, 0, 0, 1], u32::MAX)
        );
        assert_eq!(
            budget.reserve(1, u32::MAX, &random).unwrap(),
            ([0, 0, 0, 2], 1)
        );
    }

    #[test]
    fn threads_never_share_more_than_the_budget() {
        let random = Counting(AtomicU64::new(1));
        let budget = SaltBudget::new(&random).unwrap();
        let granted: Vec<([u8; 4], u32)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..500)
                            .map(|_| budget.reserve(1, 7, &random).unwrap())
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            threads
                .into_iter()
                .flat_map(|t| t.join().unwrap())
                .collect()
        });
        let mut sums = std::collections::HashMap::new();
        for (salt, n) in granted {
            *sums.entry(salt).or_insert(0) += n;
        }
        assert_eq!(sums.values().sum::<u32>(), 2000);
        assert!(sums.values().all(|n| *n <= 7));
    }

    #[test]
    fn a_closed_key_stays_closed_and_uses_are_counted() {
        let key = FieldKey::new(&[1; 32], "fek://x/1".into(), &OsRandom).unwrap();
        assert!(!key.is_closed());
        key.close();
        assert!(key.is_closed());
        assert_eq!(key.count_uses(3), 0);
        assert_eq!(key.count_uses(1), 3);
    }
}
