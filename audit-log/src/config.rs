//! Settings of a log.

use crate::checkpoint::MAX_STREAM;
use crate::error::Error;
use crate::event::MAX_RECORD;
use std::time::Duration;

/// What `append` does when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// Wait for space. No event is refused; producers slow down to the disk's pace.
    Block,
    /// Refuse at once with [`Error::QueueFull`]; the caller must not go on with what it was to audit.
    FailClosed,
}

/// Settings of a log; the defaults suit a service with its log on a local disk.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) stream: String,
    pub(crate) queue_records: usize,
    pub(crate) queue_bytes: usize,
    pub(crate) when_full: WhenFull,
    pub(crate) segment_bytes: u64,
    pub(crate) batch_records: usize,
    pub(crate) checkpoint_every: Duration,
    pub(crate) checkpoint_records: u64,
    pub(crate) max_unsigned: Duration,
}

impl Config {
    /// For the stream of that id: one writer's sequence of events, named for ever. 1 to 128
    /// bytes; convention: `service/host`.
    pub fn new(stream: impl Into<String>) -> Self {
        Self {
            stream: stream.into(),
            queue_records: 16_384,
            queue_bytes: 64 << 20,
            when_full: WhenFull::Block,
            segment_bytes: 64 << 20,
            batch_records: 4_096,
            checkpoint_every: Duration::from_secs(1),
            checkpoint_records: 100_000,
            max_unsigned: Duration::from_secs(60),
        }
    }

    /// How many events may wait, and what happens to one more. Default: 16,384, block.
    #[must_use]
    pub fn queue(mut self, records: usize, when_full: WhenFull) -> Self {
        self.queue_records = records;
        self.when_full = when_full;
        self
    }

    /// How many bytes of events may wait. Default: 64 MiB.
    #[must_use]
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// When a segment file is left for the next. Default: 64 MiB. A batch is never split, so a file
    /// can be longer by one batch.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// How many events one sync may cover at most. Default: 4,096.
    #[must_use]
    pub fn batch_records(mut self, records: usize) -> Self {
        self.batch_records = records;
        self
    }

    /// How old an unsigned event may become before a head is signed. Default: 1 s. This is the
    /// window that the disk's owner can remove unseen once heads are kept outside.
    #[must_use]
    pub fn checkpoint_every(mut self, interval: Duration) -> Self {
        self.checkpoint_every = interval;
        self
    }

    /// How many unsigned events there may be before a head is signed. Default: 100,000.
    #[must_use]
    pub fn checkpoint_records(mut self, records: u64) -> Self {
        self.checkpoint_records = records;
        self
    }

    /// How long the signer may fail before events are refused with [`Error::Unsigned`].
    /// Default: 60 s.
    #[must_use]
    pub fn max_unsigned(mut self, limit: Duration) -> Self {
        self.max_unsigned = limit;
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |reason: &str| Err(Error::Config(reason.to_owned()));
        if self.stream.is_empty() || self.stream.len() > MAX_STREAM {
            return Err(Error::Config(format!(
                "a stream id must have 1 to {MAX_STREAM} bytes"
            )));
        }
        if self.stream.chars().any(char::is_control) {
            return refuse("a stream id must not contain control characters");
        }
        if self.queue_records == 0 || self.batch_records == 0 || self.checkpoint_records == 0 {
            return refuse("queue, batch and checkpoint sizes must be at least 1");
        }
        if self.queue_bytes < MAX_RECORD {
            return Err(Error::Config(format!(
                "the queue must hold at least one record of {MAX_RECORD} bytes"
            )));
        }
        if self.segment_bytes < 4096 {
            return refuse("a segment must have at least 4096 bytes");
        }
        if self.checkpoint_every.is_zero() {
            return refuse("the checkpoint interval must not be zero");
        }
        Ok(())
    }
}
