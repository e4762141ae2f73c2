//! Every way this crate can fail, in one enum.

use std::sync::Arc;

/// What went wrong, and where.
///
/// Cheap to clone: one failed sync is reported to every receipt of its batch.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field of an event is missing, too long, malformed or given twice.
    #[error("event field `{field}`: {reason}")]
    Event {
        /// The field, spelled as in the stored record.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Bytes are not in the one canonical form.
    #[error("not canonical at byte {offset}: {reason}")]
    Canonical {
        /// Where the first deviation stands.
        offset: usize,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// A setting cannot work.
    #[error("configuration: {0}")]
    Config(String),
    /// A key could not be read, or is not fit for use.
    #[error("key: {0}")]
    Key(String),
    /// The random number source failed.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The storage failed.
    #[error("{operation} {file}: {source}")]
    Storage {
        /// What was tried, for example `sync`.
        operation: &'static str,
        /// On which file.
        file: String,
        /// The operating system's answer.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// Stored bytes are damaged in a way that a crash cannot explain. Nothing was changed.
    #[error("{file} is damaged at byte {offset}: {reason}")]
    Damaged {
        /// The file.
        file: String,
        /// The first bad byte range's start.
        offset: u64,
        /// What was found there.
        reason: String,
    },
    /// The queue is full and the policy is to refuse.
    #[error("queue is full ({records} events, {bytes} bytes wait)")]
    QueueFull {
        /// Events that wait.
        records: usize,
        /// Their size.
        bytes: usize,
    },
    /// The log was closed.
    #[error("log is closed")]
    Closed,
    /// An earlier failure stopped the log; it accepts nothing until it is opened again.
    #[error("log has stopped: {0}")]
    Stopped(#[source] Arc<Error>),
    /// No head could be signed for longer than the configuration allows.
    #[error("no head signed for too long: {0}")]
    Unsigned(#[source] SignError),
    /// A checkpoint could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A checkpoint is malformed or its signature does not verify.
    #[error("checkpoint: {0}")]
    Checkpoint(String),
}

impl Error {
    /// An [`Error::Event`].
    pub(crate) fn event(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Event {
            field: field.into(),
            reason: reason.into(),
        }
    }

    /// An [`Error::Storage`].
    pub(crate) fn storage(operation: &'static str, file: &str, source: std::io::Error) -> Self {
        Self::Storage {
            operation,
            file: file.to_owned(),
            source: Arc::new(source),
        }
    }

    /// An [`Error::Damaged`].
    pub(crate) fn damaged(file: &str, offset: u64, reason: impl Into<String>) -> Self {
        Self::Damaged {
            file: file.to_owned(),
            offset,
            reason: reason.into(),
        }
    }

    /// This error as the reason why nothing more is accepted.
    pub(crate) fn stopped(&self) -> Self {
        match self {
            Self::Stopped(_) | Self::Closed => self.clone(),
            other => Self::Stopped(Arc::new(other.clone())),
        }
    }
}

/// A signer could not sign: the device is away, the key is disabled, random numbers failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("signing failed: {0}")]
pub struct SignError(String);

impl SignError {
    /// Says why; the text must hold no secret.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// The random number source failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("random number source failed: {0}")]
pub struct RandomError(String);

impl RandomError {
    /// Says why.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}
