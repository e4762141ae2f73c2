//! What prepared keys share with their ring.

use crate::clock::Clock;
use crate::observe::Watch;
use crate::random::RandomSource;
use crate::session::SessionCache;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A clock may step back by so many seconds without making what was just loaded look like from the future.
const CLOCK_STEP: u64 = 5;

/// Time, randomness, watchers and cached session keys.
pub(crate) struct Resources {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn RandomSource>,
    pub(crate) watch: Watch,
    pub(crate) sessions: SessionCache,
    pub(crate) seals_per_salt: u32,
    /// Longest life of registry knowledge, in seconds.
    pub(crate) ttl: u64,
    /// Set when a value named a key that is not known: another node may have rotated.
    pub(crate) stale: AtomicBool,
}

impl Resources {
    /// Whether something loaded at `loaded_at` is at most `age` old.
    pub(crate) fn is_fresh(&self, loaded_at: u64, age: u64) -> bool {
        let now = self.clock.unix_seconds();
        now.saturating_add(CLOCK_STEP) >= loaded_at && now.saturating_sub(loaded_at) <= age
    }
}

/// Unix seconds to Unix minutes.
pub(crate) fn minutes(seconds: u64) -> u32 {
    u32::try_from(seconds.checked_div(60).unwrap_or_default()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::minutes;

    #[test]
    fn minutes_saturate() {
        assert_eq!(minutes(119), 1);
        assert_eq!(minutes(u64::MAX), u32::MAX);
    }
}
