//! The session that all calls share, made anew when it has ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::{Client, Pipeline};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::failure::Failure;
use super::session::{Answer, Context, Session};

/// How long calls fail at once after a failed attempt to connect; twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A way to the server. A call makes one attempt to connect at most, and none of its commands is sent twice.
pub(super) struct Link {
    client: Client,
    pub(super) context: Context,
    /// Held by the one call that connects.
    connecting: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    /// How many attempts to connect have failed.
    failures: u64,
    failed: Option<Failed>,
}

/// The last attempt to connect, if it failed.
struct Failed {
    why: Failure,
    pause: Duration,
    until: Instant,
}

impl Link {
    pub(super) fn new(client: Client, context: Context) -> Self {
        Self {
            client,
            context,
            connecting: tokio::sync::Mutex::default(),
            state: Mutex::default(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.state().open().is_some()
    }

    /// Runs a transaction: see [`Session::run`].
    pub(super) async fn run(&self, add: impl FnOnce(&mut Pipeline)) -> Result<Answer, Failure> {
        let session = self.session().await?;
        let result = session.run(&self.context, add).await;
        if result.as_ref().is_err_and(Failure::ends_session) {
            self.leave(&session);
        }
        result
    }

    /// The open session, or a new one.
    async fn session(&self) -> Result<Arc<Session>, Failure> {
        Handle::try_current().map_err(|_| Failure::NoRuntime)?;
        let failures = {
            let state = self.state();
            if let Some(session) = state.open() {
                return Ok(session);
            }
            if let Some(failed) = &state.failed
                && Instant::now() < failed.until
            {
                return Err(failed.why.clone());
            }
            state.failures
        };
        // One bound for all of it: the wait for another call's attempt, this one's, the checks of the server.
        timeout(
            self.context.options.connect_timeout,
            self.connect_after(failures),
        )
        .await
        .unwrap_or_else(|_| Err(self.note(Failure::TimedOut)))
    }

    async fn connect_after(&self, failures: u64) -> Result<Arc<Session>, Failure> {
        let _one_at_a_time = self.connecting.lock().await;
        {
            // Another call may have connected meanwhile, or have tried.
            let state = self.state();
            if let Some(session) = state.open() {
                return Ok(session);
            }
            if let Some(failed) = &state.failed
                && state.failures != failures
            {
                return Err(failed.why.clone());
            }
        }
        let session = Session::open(&self.client, &self.context)
            .await
            .map_err(|failure| self.note(failure))?;
        let session = Arc::new(session);
        let mut state = self.state();
        state.session = Some(Arc::clone(&session));
        state.failed = None;
        Ok(session)
    }

    /// Takes note of a failed attempt.
    fn note(&self, why: Failure) -> Failure {
        let mut state = self.state();
        let pause = match &state.failed {
            Some(failed) => failed.pause.saturating_mul(2).min(LONGEST_PAUSE),
            None => FIRST_PAUSE,
        };
        let now = Instant::now();
        state.failures = state.failures.wrapping_add(1);
        state.failed = Some(Failed {
            why: why.clone(),
            pause,
            until: now.checked_add(pause).unwrap_or(now),
        });
        why
    }

    /// Leaves a session that failed, unless another has taken its place.
    fn leave(&self, session: &Arc<Session>) {
        let mut state = self.state();
        if state
            .session
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, session))
        {
            state.session = None;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment: a panic elsewhere cannot have left half of one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn open(&self) -> Option<Arc<Session>> {
        let session = self.session.as_ref()?;
        (!session.has_ended()).then(|| Arc::clone(session))
    }
}
