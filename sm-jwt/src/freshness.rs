//! How long a fetched document is fresh, and when it is fetched again.

use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL};

use crate::crypto::fill_random;

/// The wait after the first of several failures; it doubles with each.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest wait between failures.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// What is made of a lifetime that the other side states, or does not state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetimes {
    pub(crate) min: Duration,
    /// When nothing is stated.
    pub(crate) default: Duration,
    pub(crate) max: Duration,
}

impl Lifetimes {
    /// The lifetime of an answer with these headers: `max-age` of `Cache-Control` less `Age` (RFC 9111 section 4.2), and nothing
    /// for `no-store` and `no-cache`, brought within the limits. `Expires` is not read: it needs clocks that agree.
    pub(crate) fn of(&self, headers: &HeaderMap) -> Duration {
        let stated = max_age(headers).map(|seconds| {
            let age = headers
                .get(AGE)
                .and_then(|age| seconds_in(age.to_str().ok()?));
            Duration::from_secs(seconds.saturating_sub(age.unwrap_or_default()))
        });
        // Not `clamp`, which panics where the limits cross.
        stated.unwrap_or(self.default).min(self.max).max(self.min)
    }
}

/// The least of the stated ages, in seconds. One that cannot be read is none at all: nothing stays fresh by mistake.
fn max_age(headers: &HeaderMap) -> Option<u64> {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or("no-cache").split(','))
        .filter_map(|directive| {
            let directive = directive.trim().to_ascii_lowercase();
            let (name, value) = directive
                .split_once('=')
                .unwrap_or((directive.as_str(), ""));
            match name {
                "no-store" | "no-cache" => Some(0),
                "max-age" => Some(seconds_in(value.trim_matches('"')).unwrap_or_default()),
                _ => None,
            }
        })
        .min()
}

/// Digits alone; more than fit are as many as fit.
fn seconds_in(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// When to fetch again: five to six eighths of the lifetime after the last time, at random, so that services that were
/// started together do not ask together.
pub(crate) fn refresh_after(lifetime: Duration) -> Duration {
    let quarter = fraction(lifetime, 1, 4);
    lifetime
        .saturating_sub(quarter)
        .saturating_sub(random_part(fraction(quarter, 1, 2)))
}

/// When to try again after so many failures in a row: 1 s, 2 s, 4 s and so on up to 60 s, of which up to half is taken off
/// at random.
pub(crate) fn retry_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(10);
    let whole = FIRST_RETRY
        .saturating_mul(1 << doublings)
        .min(LONGEST_RETRY);
    whole.saturating_sub(random_part(fraction(whole, 1, 2)))
}

/// A random part of a duration. Without random bytes it is nothing: only the spreading is lost.
fn random_part(of: Duration) -> Duration {
    let mut bytes = [0u8; 2];
    match fill_random(&mut bytes) {
        Ok(()) => fraction(of, u16::from_be_bytes(bytes).into(), 1 << 16),
        Err(_) => Duration::ZERO,
    }
}

fn fraction(of: Duration, numerator: u32, denominator: u32) -> Duration {
    of.saturating_mul(numerator)
        .checked_div(denominator)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const LIMITS: Lifetimes = Lifetimes {
        min: Duration::from_secs(60),
        default: Duration::from_secs(300),
        max: Duration::from_secs(900),
    };

    fn seconds(headers: &[(&'static str, &'static str)]) -> u64 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        LIMITS.of(&map).as_secs()
    }

    #[test]
    fn lifetimes_are_stated_or_not() {
        assert_eq!(seconds(&[]), 300);
        assert_eq!(
            seconds(&[("expires", "Thu, 01 Dec 2099 16:00:00 GMT")]),
            300
        );
        assert_eq!(seconds(&[("cache-control", "public")]), 300);
        assert_eq!(seconds(&[("cache-control", "s-maxage=100")]), 300);
        assert_eq!(seconds(&[("cache-control", "max-age=120")]), 120);
        assert_eq!(
            seconds(&[("cache-control", "public, Max-Age=\"120\"")]),
            120
        );
        assert_eq!(
            seconds(&[("cache-control", "max-age=120"), ("age", "50")]),
            70
        );
    }

    #[test]
    fn lifetimes_stay_within_their_limits() {
        for (value, lifetime) in [
            ("max-age=0", 60),
            ("max-age=59", 60),
            ("max-age=901", 900),
            ("max-age=99999999999999999999999999", 900),
            ("max-age=600, max-age=120", 120),
            ("max-age=600, no-store", 60),
            ("no-cache=\"a\", max-age=600", 60),
            ("max-age=-1", 60),
            ("max-age=1e9", 60),
            ("max-age", 60),
            ("max-age=", 60),
        ] {
            assert_eq!(seconds(&[("cache-control", value)]), lifetime, "{value}");
        }
        let two = [
            ("cache-control", "max-age=600"),
            ("cache-control", "max-age=90"),
        ];
        assert_eq!(seconds(&two), 90);
        assert_eq!(
            seconds(&[("cache-control", "max-age=120"), ("age", "500")]),
            60
        );
        assert_eq!(
            seconds(&[("cache-control", "max-age=120"), ("age", "-5")]),
            120
        );
    }

    #[test]
    fn refreshes_come_ahead_and_are_spread() {
        let lifetime = Duration::from_secs(800);
        let times: Vec<_> = (0..200).map(|_| refresh_after(lifetime)).collect();
        for time in &times {
            assert!((500..=600).contains(&time.as_secs()), "{time:?}");
        }
        assert!(times.iter().max() > times.iter().min());
    }

    #[test]
    fn retries_come_ever_later_within_limits() {
        for (failures, most) in [(0, 1), (1, 1), (2, 2), (3, 4), (7, 60), (u32::MAX, 60)] {
            for _ in 0..50 {
                let wait = retry_after(failures);
                let most = Duration::from_secs(most);
                assert!(wait <= most && wait >= most / 2, "{failures}: {wait:?}");
            }
        }
    }
}
