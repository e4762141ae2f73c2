//! When: nanoseconds UTC, a monotonic reading, the boot it belongs to, and whether the clock was
//! synchronised.

use crate::canonical::{ObjectWriter, Value};
use crate::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Whether the operating system's clock followed a time source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClockSync {
    /// The system says that its clock is synchronised.
    Synchronized,
    /// The system says that it is not.
    Unsynchronized,
    /// The system does not say.
    Unknown,
}

impl ClockSync {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Synchronized => "synchronized",
            Self::Unsynchronized => "unsynchronized",
            Self::Unknown => "unknown",
        }
    }
}

/// One reading of the clock: GB/T 22239-2019 8.1.4.3 b, "date and time of the event".
///
/// The monotonic reading orders events of one boot even where the wall clock was set back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTime {
    unix_ns: i64,
    mono_ns: u64,
    boot_id: Arc<str>,
    sync: ClockSync,
}

impl EventTime {
    /// Longest boot id, in bytes.
    pub const MAX_BOOT_ID: usize = 64;

    /// A reading: nanoseconds since 1970-01-01 UTC, nanoseconds since boot, the boot's id.
    pub fn new(unix_ns: i64, mono_ns: u64, boot_id: impl Into<Arc<str>>, sync: ClockSync) -> Self {
        Self {
            unix_ns,
            mono_ns,
            boot_id: boot_id.into(),
            sync,
        }
    }

    /// Nanoseconds since 1970-01-01 UTC.
    pub fn unix_ns(&self) -> i64 {
        self.unix_ns
    }

    /// Nanoseconds since boot.
    pub fn mono_ns(&self) -> u64 {
        self.mono_ns
    }

    /// Which boot the monotonic reading belongs to.
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// Whether the clock was synchronised.
    pub fn sync(&self) -> ClockSync {
        self.sync
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.boot_id.is_empty() || self.boot_id.len() > Self::MAX_BOOT_ID {
            return Err(Error::event(
                "time.boot_id",
                format!("must have 1 to {} bytes", Self::MAX_BOOT_ID),
            ));
        }
        Ok(())
    }

    /// Reads a `time` member back; `None` when it is not exactly of that form.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let Value::Object(members) = value else {
            return None;
        };
        let [(n1, boot_id), (n2, mono), (n3, sync), (n4, unix)] = members.as_slice() else {
            return None;
        };
        if [n1, n2, n3, n4] != ["boot_id", "mono_ns", "sync", "unix_ns"] {
            return None;
        }
        let sync = match sync.as_str()? {
            "synchronized" => ClockSync::Synchronized,
            "unsynchronized" => ClockSync::Unsynchronized,
            "unknown" => ClockSync::Unknown,
            _ => return None,
        };
        let time = Self::new(unix.as_wide()?, mono.as_wide()?, boot_id.as_str()?, sync);
        time.check().is_ok().then_some(time)
    }

    /// Writes the `time` member.
    pub(crate) fn write(&self, object: &mut ObjectWriter<'_>) -> Result<(), Error> {
        object.object("time", |time| {
            time.string("boot_id", &self.boot_id)?;
            time.wide("mono_ns", self.mono_ns)?;
            time.string("sync", self.sync.as_str())?;
            time.wide("unix_ns", self.unix_ns)
        })
    }
}

/// Tells the time.
pub trait Clock: Send + Sync {
    /// One reading.
    fn now(&self) -> EventTime;
}

impl<T: Clock + ?Sized> Clock for Arc<T> {
    fn now(&self) -> EventTime {
        (**self).now()
    }
}

/// The operating system's clock.
///
/// On Linux the boot id is `/proc/sys/kernel/random/boot_id`, the monotonic base is `/proc/uptime`,
/// and the synchronisation state is what systemd-timesyncd states under `/run/systemd/timesync`
/// (looked at no more than every ten seconds). Where one of these is absent, the boot id is
/// `unknown`, the base is the process's start, the state is [`ClockSync::Unknown`].
#[derive(Debug)]
pub struct SystemClock {
    boot_id: Arc<str>,
    start: Instant,
    uptime_at_start: Duration,
    sync: Mutex<(Instant, ClockSync)>,
}

impl SystemClock {
    const SYNC_AGE: Duration = Duration::from_secs(10);

    /// Reads what does not change until the next boot.
    pub fn new() -> Self {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .ok()
            .map(|id| id.trim().to_owned())
            .filter(|id| !id.is_empty() && id.len() <= EventTime::MAX_BOOT_ID)
            .unwrap_or_else(|| "unknown".to_owned());
        let uptime_at_start = std::fs::read_to_string("/proc/uptime")
            .ok()
            .and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok())
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .unwrap_or_default();
        let start = Instant::now();
        Self {
            boot_id: boot_id.into(),
            start,
            uptime_at_start,
            sync: Mutex::new((start, read_sync())),
        }
    }

    fn sync(&self, now: Instant) -> ClockSync {
        let mut cached = self.sync.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(cached.0) >= Self::SYNC_AGE {
            *cached = (now, read_sync());
        }
        cached.1
    }
}

fn read_sync() -> ClockSync {
    let folder = std::path::Path::new("/run/systemd/timesync");
    if folder.join("synchronized").exists() {
        ClockSync::Synchronized
    } else if folder.exists() {
        ClockSync::Unsynchronized
    } else {
        ClockSync::Unknown
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> EventTime {
        let now = Instant::now();
        let unix_ns = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos())
                .map_or(i64::MIN, |nanos| nanos.saturating_neg()),
        };
        let mono = self
            .uptime_at_start
            .saturating_add(now.saturating_duration_since(self.start));
        EventTime {
            unix_ns,
            mono_ns: u64::try_from(mono.as_nanos()).unwrap_or(u64::MAX),
            boot_id: Arc::clone(&self.boot_id),
            sync: self.sync(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_clock_reads_forward() {
        let clock = SystemClock::new();
        let (first, second) = (clock.now(), clock.now());
        assert!(second.mono_ns() >= first.mono_ns());
        assert_eq!(first.boot_id(), second.boot_id());
        assert!(first.unix_ns() > 1_700_000_000_000_000_000);
        first.check().unwrap();
    }

    #[test]
    fn boot_id_is_bounded() {
        assert!(
            EventTime::new(0, 0, "", ClockSync::Unknown)
                .check()
                .is_err()
        );
        assert!(
            EventTime::new(0, 0, "x".repeat(65), ClockSync::Unknown)
                .check()
                .is_err()
        );
    }
}
