//! Sessions lent out, and opened anew when they are lost.

use crate::code::DeviceCode;
use crate::device::Device;
use crate::error::Error;
use crate::library::Library;
use crate::session::Session;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Settings of a [`Pool`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolOptions {
    /// Sessions open at most; at least one. Keep it below what the device allows, shared with all its other users.
    pub sessions: usize,
    /// How long [`Pool::run`] waits for a session when all are in use.
    pub wait: Duration,
    /// How often [`Pool::run`] does its work at most while session or device get lost; at least once.
    pub attempts: u32,
    /// The vendor's codes that say that a session or the device is gone, beside those of
    /// [`DeviceCode::is_loss`](crate::DeviceCode::is_loss).
    pub lost: Vec<u32>,
}

impl Default for PoolOptions {
    /// 8 sessions, 5 seconds, 3 attempts, no codes.
    fn default() -> Self {
        Self {
            sessions: 8,
            wait: Duration::from_secs(5),
            attempts: 3,
            lost: Vec::new(),
        }
    }
}

/// What a [`Pool`] is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStatus {
    /// Sessions that are open and free.
    pub idle: usize,
    /// Sessions that are in use, or being opened.
    pub in_use: usize,
    /// How often sessions were found lost.
    pub losses: u64,
    /// How often the device was opened anew.
    pub reopened: u64,
}

/// A device and a bounded number of sessions on it. Cheap to clone.
///
/// A session is lent to one thread at a time. When the device says that a session is gone, the work is done once more in a
/// new session; when that is gone too, or none can be had, the device itself is opened anew. Sessions opened before a loss
/// are not lent out again.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    library: Library,
    options: PoolOptions,
    state: Mutex<State>,
    freed: Condvar,
    /// `None` after the device was lost, until somebody opens it anew.
    device: Mutex<Option<Device>>,
}

#[derive(Default)]
struct State {
    idle: Vec<Session>,
    in_use: usize,
    /// Grows with every loss; all idle sessions are of the latest.
    epoch: u64,
    reopened: u64,
}

impl Pool {
    /// Opens the library's device; sessions are opened as they are needed.
    ///
    /// # Errors
    /// [`Error::Device`] with the device's code, [`Error::Argument`] for a pool of no sessions.
    pub fn open(library: Library, options: PoolOptions) -> Result<Self, Error> {
        if options.sessions == 0 {
            return Err(Error::Argument {
                what: "the pool's number of sessions",
                got: 0,
                expected: "at least 1",
            });
        }
        let device = Device::open(&library)?;
        Ok(Self(Arc::new(Shared {
            library,
            options,
            state: Mutex::default(),
            freed: Condvar::new(),
            device: Mutex::new(Some(device)),
        })))
    }

    /// Does `work` in a session. Blocks while all are in use and while the device works: in async code call it from a
    /// blocking thread.
    ///
    /// `work` may be done more than once, each time from its beginning in a new session: nothing it did before a loss may
    /// matter. It must not call `run` on the same pool, or a full pool waits for itself.
    ///
    /// # Errors
    /// [`Error::PoolExhausted`] when no session becomes free in time; what `work` or opening a session failed with.
    pub fn run<T>(&self, work: impl Fn(&Session) -> Result<T, Error>) -> Result<T, Error> {
        let mut attempt: u32 = 1;
        loop {
            let lent = self.lend()?;
            let failure = match work(&lent.session) {
                Ok(value) => {
                    lent.give_back();
                    return Ok(value);
                }
                Err(failure) => failure,
            };
            let lost = self.means_loss(&failure) || lent.has_lost_keys(&failure);
            if !lost {
                lent.give_back();
                return Err(failure);
            }
            // Again with a new session first, with a new device when that was no good either.
            lent.lose(attempt > 1);
            if attempt >= self.0.options.attempts {
                return Err(failure);
            }
            attempt = attempt.saturating_add(1);
        }
    }

    /// What it is doing now.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        let state = self.0.lock();
        PoolStatus {
            idle: state.idle.len(),
            in_use: state.in_use,
            losses: state.epoch,
            reopened: state.reopened,
        }
    }

    /// The library.
    #[must_use]
    pub fn library(&self) -> &Library {
        &self.0.library
    }

    fn lend(&self) -> Result<Lent<'_>, Error> {
        let shared = &*self.0;
        let start = Instant::now();
        let mut state = shared.lock();
        let slot = loop {
            if let Some(session) = state.idle.pop() {
                let slot = Slot::take(shared, &mut state);
                return Ok(Lent { session, slot });
            }
            if state.in_use < shared.options.sessions {
                break Slot::take(shared, &mut state);
            }
            let waited = start.elapsed();
            let Some(left) = shared.options.wait.checked_sub(waited) else {
                return Err(Error::PoolExhausted {
                    sessions: shared.options.sessions,
                    waited,
                });
            };
            state = shared
                .freed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        };
        drop(state);
        let session = self.open_session()?;
        Ok(Lent { session, slot })
    }

    fn open_session(&self) -> Result<Session, Error> {
        let device = self.0.device()?;
        match Session::open(&device) {
            Err(failure) if self.means_loss(&failure) => {
                self.0.forget(&device);
                drop(device);
                Session::open(&self.0.device()?)
            }
            other => other,
        }
    }

    fn means_loss(&self, failure: &Error) -> bool {
        failure
            .device_code()
            .is_some_and(|code| code.is_loss() || self.0.options.lost.contains(&code.code()))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The device, opened anew if it was lost. One thread opens it, the others wait.
    fn device(&self) -> Result<Device, Error> {
        let mut device = self.device.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = &*device {
            return Ok(device.clone());
        }
        let opened = device.insert(Device::open(&self.library)?).clone();
        let mut state = self.lock();
        state.reopened = state.reopened.saturating_add(1);
        Ok(opened)
    }

    /// Lets go of a device that was lost, unless another thread has done so already. It is closed when the last session
    /// on it is.
    fn forget(&self, lost: &Device) {
        let mut device = self.device.lock().unwrap_or_else(PoisonError::into_inner);
        if device.as_ref().is_some_and(|d| d.is(lost)) {
            *device = None;
        }
    }
}

/// The right to have one session, given back on drop.
struct Slot<'p> {
    shared: &'p Shared,
    epoch: u64,
}

impl<'p> Slot<'p> {
    fn take(shared: &'p Shared, state: &mut State) -> Self {
        state.in_use = state.in_use.saturating_add(1);
        Self {
            shared,
            epoch: state.epoch,
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.in_use = state.in_use.saturating_sub(1);
        drop(state);
        self.shared.freed.notify_one();
    }
}

/// A session in use. Dropped by a panic of the work, it is closed first and its slot is free then.
struct Lent<'p> {
    session: Session,
    slot: Slot<'p>,
}

impl Lent<'_> {
    /// Whether a key that this session imported earlier is gone, though the session is not.
    fn has_lost_keys(&self, failure: &Error) -> bool {
        self.session.has_cached_keys()
            && matches!(
                failure.device_code(),
                Some(DeviceCode::NoSuchKey | DeviceCode::Key)
            )
    }

    /// Back among the idle ones, or closed if something went wrong in it.
    fn give_back(self) {
        let Self { session, slot } = self;
        if session.has_failed() {
            return;
        }
        let mut state = slot.shared.lock();
        if state.epoch == slot.epoch {
            state.idle.push(session);
        }
    }

    /// Closes it and, if nobody has done so since it was opened, all that are idle.
    fn lose(self, device_too: bool) {
        let Self { session, slot } = self;
        let mut state = slot.shared.lock();
        let idle = if state.epoch == slot.epoch {
            state.epoch = state.epoch.saturating_add(1);
            std::mem::take(&mut state.idle)
        } else {
            Vec::new()
        };
        drop(state);
        if device_too {
            slot.shared.forget(session.device());
        }
        drop((session, idle));
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("library", &self.0.library)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
