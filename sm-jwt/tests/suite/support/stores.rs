//! Stores that do what a test needs of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use sm_jwt::*;

/// How a store fails.
#[derive(Debug, Clone, Copy)]
pub enum Fails {
    Unavailable,
    Full,
    ClockWentBack,
    IssuedBeforeStart,
}

impl Fails {
    pub const ALL: [Self; 4] = [
        Self::Unavailable,
        Self::Full,
        Self::ClockWentBack,
        Self::IssuedBeforeStart,
    ];

    fn error(self) -> StoreError {
        match self {
            Self::Unavailable => StoreError::Unavailable("connection refused".into()),
            Self::Full => StoreError::Full,
            Self::ClockWentBack => StoreError::ClockWentBack,
            Self::IssuedBeforeStart => StoreError::IssuedBeforeStart,
        }
    }
}

/// Answers nothing but an error, and counts how often it is asked.
#[derive(Debug)]
pub struct Failing {
    pub how: Fails,
    pub asked: AtomicUsize,
}

impl Failing {
    pub fn new(how: Fails) -> Self {
        Self {
            how,
            asked: AtomicUsize::new(0),
        }
    }

    fn fail(&self) -> StoreError {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.how.error()
    }
}

impl ReplayStore for Failing {
    fn consume(&self, _: ReplayEntry) -> ReplayFuture<'_> {
        let error = self.fail();
        Box::pin(async { Err(error) })
    }
}

impl RevocationStore for Failing {
    fn is_revoked<'a>(&'a self, _: &'a RevocationQuery) -> BoxFuture<'a, Result<bool, StoreError>> {
        let error = self.fail();
        Box::pin(async { Err(error) })
    }

    fn revoke(&self, _: Revocation) -> BoxFuture<'_, Result<(), StoreError>> {
        let error = self.fail();
        Box::pin(async { Err(error) })
    }
}

/// Takes every entry for fresh, and keeps them for the test to see.
#[derive(Debug, Default)]
pub struct Recorder(pub Mutex<Vec<ReplayEntry>>);

impl Recorder {
    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub fn last(&self) -> ReplayEntry {
        self.0.lock().unwrap().last().unwrap().clone()
    }
}

impl ReplayStore for Recorder {
    fn consume(&self, entry: ReplayEntry) -> ReplayFuture<'_> {
        self.0.lock().unwrap().push(entry);
        Box::pin(async { Ok(ReplayOutcome::Fresh) })
    }
}
