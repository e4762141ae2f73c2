//! Timestamps, durations, civil dates and time zones.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;

/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z in seconds of the Unix epoch.
const MIN_SECONDS: i64 = -62_135_596_800;
const MAX_SECONDS: i64 = 253_402_300_799;
const NANOS: i128 = 1_000_000_000;

/// A point in time: nanosecond resolution, years 1 to 9999, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds: i64,
    nanos: u32,
}

/// A signed span of time in nanoseconds, about ±292 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    nanos: i64,
}

impl Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z; `None` outside the years 1 to 9999.
    pub fn from_unix(seconds: i64, nanos: u32) -> Option<Self> {
        let fits = (MIN_SECONDS..=MAX_SECONDS).contains(&seconds) && nanos < 1_000_000_000;
        fits.then_some(Self { seconds, nanos })
    }

    /// A system time; `None` outside the years 1 to 9999.
    pub fn from_system(time: SystemTime) -> Option<Self> {
        let nanos = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i128::try_from(after.as_nanos()).ok()?,
            Err(before) => i128::try_from(before.duration().as_nanos())
                .ok()?
                .checked_neg()?,
        };
        Self::from_nanos(nanos)
    }

    fn from_nanos(nanos: i128) -> Option<Self> {
        let seconds = i64::try_from(nanos.div_euclid(NANOS)).ok()?;
        Self::from_unix(seconds, u32::try_from(nanos.rem_euclid(NANOS)).ok()?)
    }

    fn as_nanos(self) -> i128 {
        i128::from(self.seconds)
            .saturating_mul(NANOS)
            .saturating_add(i128::from(self.nanos))
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub fn unix_seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds within the second.
    pub fn subsecond_nanos(self) -> u32 {
        self.nanos
    }

    /// Reads RFC 3339 (`2026-01-31T08:00:00.5+08:00`); `None` when it is not, or out of range.
    pub fn parse(text: &str) -> Option<Self> {
        // date "T" time; strict upper case, as in the profile CEL names.
        let (date, time) = text.split_once('T')?;
        let (year, month, day) = match date.split('-').collect::<Vec<_>>().as_slice() {
            [y, m, d] => (digits(y, 4)?, digits(m, 2)?, digits(d, 2)?),
            _ => return None,
        };
        let (clock, offset) = if let Some(clock) = time.strip_suffix('Z') {
            (clock, 0)
        } else {
            let at = time.rfind(['+', '-'])?;
            let (clock, zone) = time.split_at_checked(at)?;
            (clock, fixed_offset(zone)?)
        };
        let (clock, nanos) = match clock.split_once('.') {
            Some((clock, fraction)) => (clock, fraction_nanos(fraction)?),
            None => (clock, 0),
        };
        let (hour, minute, second) = match clock.split(':').collect::<Vec<_>>().as_slice() {
            [h, m, s] => (digits(h, 2)?, digits(m, 2)?, digits(s, 2)?),
            _ => return None,
        };
        if hour > 23 || minute > 59 || second > 59 || !valid_date(year, month, day) {
            return None;
        }
        let seconds = days_from_civil(year, month, day)
            .checked_mul(86_400)?
            .checked_add(hour.checked_mul(3600)?)?
            .checked_add(minute.checked_mul(60)?)?
            .checked_add(second)?
            .checked_sub(offset)?;
        Self::from_unix(seconds, nanos)
    }

    pub(crate) fn checked_add(self, by: Duration) -> Option<Self> {
        Self::from_nanos(self.as_nanos().checked_add(i128::from(by.nanos))?)
    }

    pub(crate) fn checked_sub(self, by: Duration) -> Option<Self> {
        Self::from_nanos(self.as_nanos().checked_sub(i128::from(by.nanos))?)
    }

    pub(crate) fn since(self, other: Self) -> Option<Duration> {
        let nanos = self.as_nanos().checked_sub(other.as_nanos())?;
        Some(Duration {
            nanos: i64::try_from(nanos).ok()?,
        })
    }

    /// The wall clock in a zone.
    pub(crate) fn civil(self, zone: &Zone) -> Civil {
        let offset = match zone {
            Zone::Fixed(seconds) => *seconds,
            Zone::Named(tz) => jiff::Timestamp::from_second(self.seconds)
                .map(|t| i64::from(tz.to_offset(t).seconds()))
                .unwrap_or(0),
        };
        let local = self.seconds.saturating_add(offset);
        let days = local.div_euclid(86_400);
        let clock = local.rem_euclid(86_400);
        let (year, month, day) = civil_from_days(days);
        Civil {
            year,
            month,
            day,
            // 1970-01-01 was a Thursday.
            weekday: days.saturating_add(4).rem_euclid(7),
            day_of_year: days.saturating_sub(days_from_civil(year, 1, 1)),
            hour: clock.div_euclid(3600),
            minute: clock.div_euclid(60).rem_euclid(60),
            second: clock.rem_euclid(60),
            millisecond: i64::from(self.nanos).div_euclid(1_000_000),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.civil(&Zone::Fixed(0));
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            c.year, c.month, c.day, c.hour, c.minute, c.second
        )?;
        write_fraction(f, self.nanos)?;
        f.write_str("Z")
    }
}

impl Duration {
    /// A duration of whole nanoseconds.
    pub fn from_nanos(nanos: i64) -> Self {
        Self { nanos }
    }

    /// The length in nanoseconds.
    pub fn as_nanos(self) -> i64 {
        self.nanos
    }

    /// Reads `1h30m`, `-1.5s`, `250ms`, …; units h, m, s, ms, us, ns. `None` when it is not, or out of range.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Some(Self { nanos: 0 });
        }
        let mut total: i128 = 0;
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (number, tail) = rest.split_at_checked(number)?;
            let unit = tail
                .find(|c: char| c.is_ascii_digit() || c == '.')
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at_checked(unit)?;
            let scale: i128 = match unit {
                "h" => NANOS.checked_mul(3600)?,
                "m" => NANOS.checked_mul(60)?,
                "s" => NANOS,
                "ms" => 1_000_000,
                "us" | "µs" | "μs" => 1_000,
                "ns" => 1,
                _ => return None,
            };
            let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
            if (whole.is_empty() && fraction.is_empty()) || whole.len() > 19 || fraction.len() > 18
            {
                return None;
            }
            let mut part: i128 = if whole.is_empty() {
                0
            } else {
                whole.parse().ok()?
            };
            part = part.checked_mul(scale)?;
            if !fraction.is_empty() {
                let digits: i128 = fraction.parse().ok()?;
                let power = 10i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
                part = part.checked_add(digits.checked_mul(scale)?.checked_div(power)?)?;
            }
            total = total.checked_add(part)?;
            rest = tail;
        }
        let total = if negative {
            total.checked_neg()?
        } else {
            total
        };
        Some(Self {
            nanos: i64::try_from(total).ok()?,
        })
    }

    pub(crate) fn checked_add(self, other: Self) -> Option<Self> {
        Some(Self {
            nanos: self.nanos.checked_add(other.nanos)?,
        })
    }

    pub(crate) fn checked_sub(self, other: Self) -> Option<Self> {
        Some(Self {
            nanos: self.nanos.checked_sub(other.nanos)?,
        })
    }

    pub(crate) fn checked_neg(self) -> Option<Self> {
        Some(Self {
            nanos: self.nanos.checked_neg()?,
        })
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.nanos.unsigned_abs();
        if self.nanos < 0 {
            f.write_str("-")?;
        }
        write!(f, "{}", magnitude.div_euclid(1_000_000_000))?;
        let rest = u32::try_from(magnitude.rem_euclid(1_000_000_000)).unwrap_or(0);
        write_fraction(f, rest)?;
        f.write_str("s")
    }
}

/// `.5`, `.000000001`, or nothing; no trailing zeros.
fn write_fraction(f: &mut fmt::Formatter<'_>, nanos: u32) -> fmt::Result {
    if nanos == 0 {
        return Ok(());
    }
    let digits = format!("{nanos:09}");
    write!(f, ".{}", digits.trim_end_matches('0'))
}

/// A broken-down wall clock. Month and day count from 1, weekday and day of year from 0 (Sunday, January 1).
pub(crate) struct Civil {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
    pub(crate) weekday: i64,
    pub(crate) day_of_year: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
    pub(crate) millisecond: i64,
}

/// A time zone: a fixed offset or a name of the IANA database built into the program.
#[derive(Clone, Debug)]
pub(crate) enum Zone {
    Fixed(i64),
    Named(TimeZone),
}

impl Zone {
    /// `UTC`, `+08:00`, `-09:30`, `08:00` or an IANA name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text == "UTC" || text == "Z" {
            return Some(Self::Fixed(0));
        }
        if let Some(offset) = fixed_offset(text) {
            return Some(Self::Fixed(offset));
        }
        if text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return TimeZone::get(text).ok().map(Self::Named);
        }
        None
    }
}

/// `[+-]hh:mm` in seconds.
fn fixed_offset(text: &str) -> Option<i64> {
    let (sign, clock) = match text.strip_prefix('-') {
        Some(clock) => (-1, clock),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (hours, minutes) = clock.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    hours
        .checked_mul(3600)?
        .checked_add(minutes.checked_mul(60)?)?
        .checked_mul(sign)
}

/// Exactly `count` ASCII digits.
fn digits(text: &str, count: usize) -> Option<i64> {
    (text.len() == count && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

fn fraction_nanos(text: &str) -> Option<u32> {
    if text.is_empty() || text.len() > 9 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("{text:0<9}").parse().ok()
}

fn valid_date(year: i64, month: i64, day: i64) -> bool {
    let leap = year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    (1..=days).contains(&day)
}

/// Days since 1970-01-01 of a proleptic Gregorian date. Years are within ±10,000 here: nothing overflows.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 {
        year.saturating_sub(1)
    } else {
        year
    };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let shifted = month.saturating_add(9).rem_euclid(12);
    let doy = shifted
        .saturating_mul(153)
        .saturating_add(2)
        .div_euclid(5)
        .saturating_add(day)
        .saturating_sub(1);
    let doe = yoe
        .saturating_mul(365)
        .saturating_add(yoe.div_euclid(4))
        .saturating_sub(yoe.div_euclid(100))
        .saturating_add(doy);
    era.saturating_mul(146_097)
        .saturating_add(doe)
        .saturating_sub(719_468)
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days.saturating_add(719_468);
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = doe
        .saturating_sub(doe.div_euclid(1460))
        .saturating_add(doe.div_euclid(36_524))
        .saturating_sub(doe.div_euclid(146_096))
        .div_euclid(365);
    let doy = doe.saturating_sub(
        yoe.saturating_mul(365)
            .saturating_add(yoe.div_euclid(4))
            .saturating_sub(yoe.div_euclid(100)),
    );
    let mp = doy.saturating_mul(5).saturating_add(2).div_euclid(153);
    let day = doy
        .saturating_sub(mp.saturating_mul(153).saturating_add(2).div_euclid(5))
        .saturating_add(1);
    let month = if mp < 10 {
        mp.saturating_add(3)
    } else {
        mp.saturating_sub(9)
    };
    let year = yoe
        .saturating_add(era.saturating_mul(400))
        .saturating_add(i64::from(month <= 2));
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_round_trip() {
        for text in [
            "0001-01-01T00:00:00Z",
            "1969-12-31T23:59:59.5Z",
            "2024-02-29T12:00:00.000000001Z",
            "9999-12-31T23:59:59.999999999Z",
        ] {
            assert_eq!(Timestamp::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            Timestamp::parse("2026-01-31T08:00:00+08:00")
                .unwrap()
                .to_string(),
            "2026-01-31T00:00:00Z"
        );
    }

    #[test]
    fn bad_timestamps_are_refused() {
        for text in [
            "",
            "2024-02-30T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-01-01",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:60Z",
            "2024-01-01t00:00:00Z",
            "2024-01-01T00:00:00",
            "0000-12-31T00:00:00Z",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00+8:00",
            "10000-01-01T00:00:00Z",
            "客T客Z",
            "0001-01-01T00:00:00+00:01",
            "2024-1-01T00:00:00Z",
        ] {
            assert!(Timestamp::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn civil_dates_round_trip() {
        for days in (-719_162..2_932_897).step_by(97) {
            let (y, m, d) = civil_from_days(days);
            assert!(valid_date(y, m, d));
            assert_eq!(days_from_civil(y, m, d), days);
        }
    }

    #[test]
    fn durations() {
        assert_eq!(Duration::parse("1h30m").unwrap().to_string(), "5400s");
        assert_eq!(Duration::parse("-1.5s").unwrap().to_string(), "-1.5s");
        assert_eq!(Duration::parse("1ms2us3ns").unwrap().as_nanos(), 1_002_003);
        for bad in [
            "",
            "-",
            "1",
            "1x",
            "s",
            ".s",
            "1 s",
            "300000000000s",
            "1.s.",
            "99999999999999999999s",
        ] {
            assert!(Duration::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn zones() {
        let t = Timestamp::parse("2026-01-31T20:30:00Z").unwrap();
        assert_eq!(t.civil(&Zone::parse("Asia/Shanghai").unwrap()).hour, 4);
        assert_eq!(t.civil(&Zone::parse("Asia/Shanghai").unwrap()).month, 2);
        assert_eq!(t.civil(&Zone::parse("-09:30").unwrap()).hour, 11);
        for bad in ["", "Mars/Olympus", "+25:00", "08", "../etc/passwd"] {
            assert!(Zone::parse(bad).is_none(), "{bad}");
        }
    }
}
