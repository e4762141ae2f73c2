//! Answers of a short time, by SM3 of the whole token.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// SM3 of a whole token.
pub(crate) type TokenDigest = [u8; 32];

/// Bounded in count and in time. What was found lately, and what was found before that: when the younger half is full or as
/// old as entries may be, it becomes the older one, whose entries go.
pub(crate) struct AnswerCache<V> {
    halves: Mutex<Halves<V>>,
    /// Entries of a half.
    half: usize,
    lifetime: Duration,
}

struct Halves<V> {
    young: HashMap<TokenDigest, (V, Instant)>,
    old: HashMap<TokenDigest, (V, Instant)>,
    /// When the younger half was begun.
    begun: Option<Instant>,
}

impl<V: Clone> AnswerCache<V> {
    /// For at most `capacity` entries; a lifetime of nothing keeps none.
    pub(crate) fn new(capacity: usize, lifetime: Duration) -> Self {
        let halves = Halves {
            young: HashMap::new(),
            old: HashMap::new(),
            begun: None,
        };
        Self {
            halves: Mutex::new(halves),
            half: capacity / 2,
            lifetime,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Halves<V>> {
        // An entry is whole or not there: a panic elsewhere cannot have left half of one.
        self.halves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An entry whose time is not over.
    pub(crate) fn get(&self, token: &TokenDigest, now: Instant) -> Option<V> {
        let halves = self.lock();
        let (value, since) = halves.young.get(token).or_else(|| halves.old.get(token))?;
        let age = now.saturating_duration_since(*since);
        (age < self.lifetime).then(|| value.clone())
    }

    /// Keeps what was asked for at `since`.
    pub(crate) fn put(&self, token: TokenDigest, value: V, since: Instant) {
        if self.half == 0 || self.lifetime.is_zero() {
            return;
        }
        let mut halves = self.lock();
        let begun = *halves.begun.get_or_insert(since);
        let is_over = since.saturating_duration_since(begun) >= self.lifetime;
        if is_over || halves.young.len() >= self.half {
            halves.old = std::mem::take(&mut halves.young);
            halves.begun = Some(since);
        }
        halves.young.insert(token, (value, since));
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let halves = self.lock();
        halves.young.len() + halves.old.len()
    }
}

impl<V> fmt::Debug for AnswerCache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerCache")
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn digest(number: u32) -> TokenDigest {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&number.to_be_bytes());
        digest
    }

    #[test]
    fn entries_are_over_in_time() {
        let cache = AnswerCache::new(100, SECOND * 10);
        let start = Instant::now();
        assert_eq!(cache.get(&digest(1), start), None);
        cache.put(digest(1), 'a', start);
        assert_eq!(cache.get(&digest(1), start + SECOND * 9), Some('a'));
        assert_eq!(cache.get(&digest(1), start + SECOND * 10), None);
        assert_eq!(cache.get(&digest(2), start), None);
        // The newer answer counts, also when an older one is in the other half.
        cache.put(digest(1), 'b', start + SECOND * 12);
        assert_eq!(cache.get(&digest(1), start + SECOND * 12), Some('b'));
    }

    #[test]
    fn entries_are_bounded_in_number() {
        let cache = AnswerCache::new(100, SECOND * 10);
        let start = Instant::now();
        for number in 0..10_000 {
            cache.put(digest(number), number, start);
            assert!(cache.len() <= 100);
        }
        for number in 9_950..10_000 {
            assert_eq!(cache.get(&digest(number), start), Some(number));
        }
        // And those whose time is over go.
        cache.put(digest(0), 0, start + SECOND * 10);
        cache.put(digest(1), 1, start + SECOND * 20);
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn none_are_kept_where_none_should_be() {
        let start = Instant::now();
        for cache in [
            AnswerCache::new(0, SECOND),
            AnswerCache::new(10, Duration::ZERO),
        ] {
            cache.put(digest(1), 1, start);
            assert_eq!((cache.len(), cache.get(&digest(1), start)), (0, None));
        }
    }
}
