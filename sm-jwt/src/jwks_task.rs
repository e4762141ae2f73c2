//! The task that fetches an issuer's JWK set, and what it shares with those who read the set.
//!
//! One task does all fetches of one source, so that there is never more than one at a time. All times are Tokio's monotonic
//! clock: setting the machine's clock back does not make an old set young.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use crate::crypto::sm3;
use crate::freshness::{Lifetimes, refresh_after, retry_after};
use crate::http_client::HttpClient;
use crate::key_id::KeyId;
use crate::key_set::KeySet;
use crate::profile::Profile;

/// The shortest time from the end of a fetch to the next one that is planned.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

/// Fetches and reads the set.
#[derive(Debug)]
pub(crate) struct Fetcher {
    pub(crate) http: HttpClient,
    pub(crate) profile: Profile,
    pub(crate) profiles: HashMap<KeyId, Profile>,
    pub(crate) lifetimes: Lifetimes,
}

/// A set as it was fetched.
pub(crate) struct Fetched {
    keys: Arc<KeySet>,
    /// SM3 of the document.
    digest: [u8; 32],
    lifetime: Duration,
}

impl Fetcher {
    /// Fetches the set; `held` is the one that is trusted now. Else what went wrong, and where.
    pub(crate) async fn fetch(&self, held: Option<&Trusted>) -> Result<Fetched, String> {
        let answer = self.http.get().await.map_err(|error| error.to_string())?;
        let wrong = |why: &str| format!("{}: {why}", self.http.place());
        let digest = sm3(&[&answer.body]);
        let keys = match held {
            // The same document is the same set: what was remembered of its signatures stays true.
            Some(held) if held.digest == digest => Arc::clone(&held.keys),
            _ => {
                let text = std::str::from_utf8(&answer.body)
                    .map_err(|_| wrong("the JWK set is not UTF-8"))?;
                let profile = |kid: &KeyId| self.profiles.get(kid).unwrap_or(&self.profile).clone();
                let keys = KeySet::from_jwks_with(text, profile);
                Arc::new(keys.map_err(|error| wrong(&error.to_string()))?)
            }
        };
        Ok(Fetched {
            keys,
            digest,
            lifetime: self.lifetimes.of(&answer.headers),
        })
    }
}

/// A set that was fetched, and until when it is trusted.
#[derive(Debug, Clone)]
pub(crate) struct Trusted {
    pub(crate) keys: Arc<KeySet>,
    digest: [u8; 32],
    /// When it was asked for: the other side cannot have said it earlier.
    pub(crate) since: Instant,
    pub(crate) until: Instant,
}

/// What the task is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activity {
    Idle,
    /// Somebody has asked for a fetch, and the task has not begun it.
    Wanted,
    Fetching,
}

/// What is known now.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) trusted: Option<Trusted>,
    activity: Activity,
    /// Until when nobody can ask for a fetch.
    cooling_until: Option<Instant>,
    pub(crate) next: Option<Instant>,
    pub(crate) fetches: u64,
    pub(crate) failures: u64,
    pub(crate) failures_in_a_row: u32,
    pub(crate) last_error: Option<String>,
}

/// What the task and its readers share.
#[derive(Debug)]
pub(crate) struct Shared {
    state: RwLock<State>,
    wake: Notify,
    /// Changes at the end of each fetch, while the state is locked for writing.
    ended: watch::Receiver<()>,
    cool_down: Duration,
    tolerance: Duration,
}

/// The task's own end of [`Shared`]. Whoever waits learns from its end that no fetch will end any more.
pub(crate) struct Task {
    shared: Arc<Shared>,
    fetcher: Fetcher,
    ended: watch::Sender<()>,
}

impl Task {
    /// A task that has fetched nothing.
    pub(crate) fn new(fetcher: Fetcher, cool_down: Duration, tolerance: Duration) -> Self {
        let (sender, receiver) = watch::channel(());
        let state = State {
            trusted: None,
            activity: Activity::Idle,
            cooling_until: None,
            next: None,
            fetches: 0,
            failures: 0,
            failures_in_a_row: 0,
            last_error: None,
        };
        let shared = Shared {
            state: RwLock::new(state),
            wake: Notify::new(),
            ended: receiver,
            cool_down,
            tolerance,
        };
        Self {
            shared: Arc::new(shared),
            fetcher,
            ended: sender,
        }
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Fetches when it is time or somebody asks, without end. Before the first fetch it waits to be asked.
    pub(crate) async fn run(self) {
        loop {
            self.wait().await;
            self.fetch().await;
        }
    }

    async fn wait(&self) {
        let next = self.shared.read().next;
        loop {
            let wanted = self.shared.wake.notified();
            let due = match next {
                Some(at) => timeout_at(at, wanted).await.is_err(),
                None => {
                    wanted.await;
                    false
                }
            };
            // A fetch that came when it was due may have served whoever woke the task.
            if due || self.shared.read().activity == Activity::Wanted {
                return;
            }
        }
    }

    /// Fetches once.
    pub(crate) async fn fetch(&self) {
        let held = {
            let mut state = self.shared.write();
            state.activity = Activity::Fetching;
            state.fetches = state.fetches.saturating_add(1);
            state.trusted.clone()
        };
        let since = Instant::now();
        let fetched = self.fetcher.fetch(held.as_ref()).await;
        let now = Instant::now();
        let mut state = self.shared.write();
        match fetched {
            Ok(fetched) => {
                let due = later(since, refresh_after(fetched.lifetime));
                state.next = Some(due.max(later(now, SHORTEST_PAUSE)));
                state.failures_in_a_row = 0;
                // The whole set at once: a key that it lacks is gone.
                state.trusted = Some(Trusted {
                    keys: fetched.keys,
                    digest: fetched.digest,
                    since,
                    until: later(since, self.shared.tolerance),
                });
            }
            Err(why) => {
                state.failures = state.failures.saturating_add(1);
                state.failures_in_a_row = state.failures_in_a_row.saturating_add(1);
                state.next = Some(later(now, retry_after(state.failures_in_a_row)));
                state.last_error = Some(why);
            }
        }
        state.activity = Activity::Idle;
        self.ended.send_replace(());
    }
}

impl Shared {
    // Every write of the state is whole when its lock is released, and nothing in between can panic.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The set that is trusted now; else why there is none.
    pub(crate) fn trusted(&self) -> Result<Arc<KeySet>, String> {
        let state = self.read();
        match &state.trusted {
            Some(trusted) if Instant::now() < trusted.until => {
                return Ok(Arc::clone(&trusted.keys));
            }
            _ => {}
        }
        let what = match &state.trusted {
            Some(_) => "the last set is too old",
            None => "none was fetched yet",
        };
        Err(match &state.last_error {
            Some(why) => format!("{what}; {why}"),
            None => what.to_owned(),
        })
    }

    /// Asks for a fetch, unless one was asked for lately. Gives what to wait for, if a fetch is on its way: it changes when
    /// the fetch ends.
    ///
    /// Of any number of callers, one sets a fetch in motion in a cool-down.
    pub(crate) fn ask(&self) -> Option<watch::Receiver<()>> {
        let now = Instant::now();
        {
            let state = self.read();
            if state.activity != Activity::Idle {
                return Some(self.next_end());
            }
            if state.is_cooling(now) {
                return None;
            }
        }
        let mut state = self.write();
        if state.activity == Activity::Idle {
            if state.is_cooling(now) {
                return None;
            }
            state.activity = Activity::Wanted;
            state.cooling_until = Some(later(now, self.cool_down));
            self.wake.notify_one();
        }
        Some(self.next_end())
    }

    /// Changes when the next fetch ends. For whoever holds the state's lock.
    fn next_end(&self) -> watch::Receiver<()> {
        let mut ended = self.ended.clone();
        ended.mark_unchanged();
        ended
    }
}

impl State {
    fn is_cooling(&self, now: Instant) -> bool {
        self.cooling_until.is_some_and(|until| now < until)
    }
}

/// All durations here are days at most.
fn later(at: Instant, by: Duration) -> Instant {
    at.checked_add(by).unwrap_or(at)
}
