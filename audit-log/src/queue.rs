//! The bounded queue between producers and the writer thread.

use crate::checkpoint::SignedCheckpoint;
use crate::config::{Config, WhenFull};
use crate::error::{Error, SignError};
use crate::receipt::{Committed, Promise};
use crate::writer::Prepared;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// What waits for the writer, in order.
pub(crate) enum Item {
    Record(Prepared, Promise<Committed>),
    Checkpoint(Promise<SignedCheckpoint>),
}

/// What a log says of itself.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Status {
    /// Events that wait to be written.
    pub queued: usize,
    /// Their size in bytes.
    pub queued_bytes: usize,
    /// The last durable event's sequence; `None` while the stream is empty.
    pub durable: Option<u64>,
    /// How many events the last signed head covers.
    pub signed: u64,
    /// What happened since the log was opened without its event being taken: see
    /// [`AuditLog::state_gap`](crate::AuditLog::state_gap). Anything but 0 wants an alarm.
    pub unrecorded: u64,
    /// Batches made durable since the log was opened; events by batches is the grouping.
    pub batches: u64,
    /// Why the log stopped, if it did. It accepts nothing until it is opened again.
    pub failed: Option<Error>,
    /// Why the last head could not be signed, if it could not.
    pub signer: Option<SignError>,
    /// Whether the log was closed.
    pub closed: bool,
}

/// Events that could not be taken, and are to be stated in the log.
pub(crate) struct Gap {
    pub(crate) events: u64,
    /// Why the last of them could not.
    pub(crate) reason: String,
}

struct Inner {
    items: VecDeque<Item>,
    gap: Option<Gap>,
    status: Status,
    /// The signer failed for too long: refuse.
    unsigned: Option<SignError>,
    head: Option<SignedCheckpoint>,
    space: Vec<Waker>,
}

/// Bounded in events and in bytes.
pub(crate) struct Queue {
    records: usize,
    bytes: usize,
    when_full: WhenFull,
    inner: Mutex<Inner>,
    /// Signals the writer: something waits, or the log closes.
    work: Condvar,
    /// Signals producers: space, or no more hope for it.
    room: Condvar,
}

/// What the writer is woken with.
pub(crate) struct Work {
    pub(crate) items: Vec<Item>,
    pub(crate) gap: Option<Gap>,
    /// Nothing will come after these.
    pub(crate) last: bool,
}

impl Queue {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            records: config.queue_records,
            bytes: config.queue_bytes,
            when_full: config.when_full,
            inner: Mutex::new(Inner {
                items: VecDeque::new(),
                gap: None,
                status: Status::default(),
                unsigned: None,
                head: None,
                space: Vec::new(),
            }),
            work: Condvar::new(),
            room: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accepting(inner: &Inner) -> Result<(), Error> {
        if let Some(error) = &inner.status.failed {
            return Err(error.stopped());
        }
        if inner.status.closed {
            return Err(Error::Closed);
        }
        Ok(())
    }

    /// Whether one more event of `bytes` fits now.
    fn admit(&self, inner: &Inner, bytes: usize) -> Result<bool, Error> {
        Self::accepting(inner)?;
        if let Some(error) = &inner.unsigned {
            return Err(Error::Unsigned(error.clone()));
        }
        let status = &inner.status;
        let fits =
            status.queued < self.records && status.queued_bytes.saturating_add(bytes) <= self.bytes;
        if !fits && self.when_full == WhenFull::FailClosed {
            return Err(Error::QueueFull {
                records: status.queued,
                bytes: status.queued_bytes,
            });
        }
        Ok(fits)
    }

    fn add(&self, mut inner: MutexGuard<'_, Inner>, record: Prepared, promise: Promise<Committed>) {
        inner.status.queued = inner.status.queued.saturating_add(1);
        inner.status.queued_bytes = inner.status.queued_bytes.saturating_add(record.bytes.len());
        inner.items.push_back(Item::Record(record, promise));
        let first = inner.items.len() == 1;
        drop(inner);
        // The writer sleeps only on an empty queue.
        if first {
            self.work.notify_one();
        }
    }

    /// Adds an event; waits for space under [`WhenFull::Block`].
    pub(crate) fn push(&self, record: Prepared, promise: Promise<Committed>) -> Result<(), Error> {
        let mut inner = self.lock();
        while !self.admit(&inner, record.bytes.len())? {
            inner = self
                .room
                .wait(inner)
                .unwrap_or_else(PoisonError::into_inner);
        }
        self.add(inner, record, promise);
        Ok(())
    }

    /// Adds an event if there is space now, whatever the policy.
    pub(crate) fn try_push(
        &self,
        record: Prepared,
        promise: Promise<Committed>,
    ) -> Result<(), Error> {
        let inner = self.lock();
        if !self.admit(&inner, record.bytes.len())? {
            return Err(Error::QueueFull {
                records: inner.status.queued,
                bytes: inner.status.queued_bytes,
            });
        }
        self.add(inner, record, promise);
        Ok(())
    }

    /// Counts an event that was not taken, for the writer to state.
    pub(crate) fn state_gap(&self, reason: String) {
        let mut inner = self.lock();
        inner.status.unrecorded = inner.status.unrecorded.saturating_add(1);
        let events = inner.gap.take().map_or(0, |gap| gap.events);
        inner.gap = Some(Gap {
            events: events.saturating_add(1),
            reason,
        });
        drop(inner);
        self.work.notify_one();
    }

    /// Adds the event in `pending` (and takes it) as soon as there is space.
    pub(crate) fn poll_push(
        &self,
        pending: &mut Option<(Prepared, Promise<Committed>)>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let mut inner = self.lock();
        let bytes = pending.as_ref().map_or(0, |(record, _)| record.bytes.len());
        match self.admit(&inner, bytes) {
            Err(error) => Poll::Ready(Err(error)),
            Ok(true) => {
                if let Some((record, promise)) = pending.take() {
                    self.add(inner, record, promise);
                }
                Poll::Ready(Ok(()))
            }
            Ok(false) => {
                if !inner
                    .space
                    .iter()
                    .any(|waker| waker.will_wake(context.waker()))
                {
                    inner.space.push(context.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    /// Asks for a head over everything added so far.
    pub(crate) fn push_checkpoint(&self, promise: Promise<SignedCheckpoint>) -> Result<(), Error> {
        let mut inner = self.lock();
        Self::accepting(&inner)?;
        inner.items.push_back(Item::Checkpoint(promise));
        drop(inner);
        self.work.notify_one();
        Ok(())
    }

    /// Takes no more; what waits is still written.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.status.closed = true;
        self.release(inner);
        self.work.notify_one();
    }

    /// Takes no more and answers everything that waits with the failure.
    pub(crate) fn fail(&self, error: &Error) {
        let mut inner = self.lock();
        if inner.status.failed.is_none() {
            inner.status.failed = Some(error.clone());
        }
        inner.status.queued = 0;
        inner.status.queued_bytes = 0;
        let items = std::mem::take(&mut inner.items);
        self.release(inner);
        for item in items {
            match item {
                Item::Record(_, promise) => promise.keep(Err(error.stopped())),
                Item::Checkpoint(promise) => promise.keep(Err(error.stopped())),
            }
        }
    }

    /// Wakes every producer that waits for space.
    fn release(&self, mut inner: MutexGuard<'_, Inner>) {
        let wakers = std::mem::take(&mut inner.space);
        drop(inner);
        self.room.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// For the writer: what there is to do, at most `limit` items; returns with nothing at
    /// `deadline`.
    pub(crate) fn take(&self, limit: usize, deadline: Option<Instant>) -> Work {
        let mut inner = self.lock();
        while inner.items.is_empty() && inner.gap.is_none() && !inner.status.closed {
            let now = Instant::now();
            inner = match deadline {
                None => self
                    .work
                    .wait(inner)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(deadline) if deadline <= now => break,
                Some(deadline) => {
                    self.work
                        .wait_timeout(inner, deadline.saturating_duration_since(now))
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
        let count = inner.items.len().min(limit);
        let items: Vec<Item> = inner.items.drain(..count).collect();
        for item in &items {
            if let Item::Record(record, _) = item {
                inner.status.queued = inner.status.queued.saturating_sub(1);
                inner.status.queued_bytes =
                    inner.status.queued_bytes.saturating_sub(record.bytes.len());
            }
        }
        let last = inner.status.closed && inner.items.is_empty();
        let gap = inner.gap.take();
        self.release(inner);
        Work { items, gap, last }
    }

    /// A batch is durable.
    pub(crate) fn committed(&self, size: u64, batches: u64) {
        let mut inner = self.lock();
        inner.status.durable = size.checked_sub(1);
        inner.status.batches = inner.status.batches.saturating_add(batches);
    }

    /// A head was signed.
    pub(crate) fn signed(&self, head: SignedCheckpoint) {
        let mut inner = self.lock();
        inner.status.signed = head.checkpoint().size;
        inner.status.signer = None;
        inner.unsigned = None;
        inner.head = Some(head);
    }

    /// A head could not be signed; `refuse` when that has lasted too long.
    pub(crate) fn not_signed(&self, error: SignError, refuse: bool) {
        let mut inner = self.lock();
        if refuse {
            inner.unsigned = Some(error.clone());
        }
        inner.status.signer = Some(error);
        self.release(inner);
    }

    /// How many events the stream held when it was opened, and how many of them are signed.
    pub(crate) fn opened(&self, size: u64, signed: u64) {
        let mut inner = self.lock();
        inner.status.durable = size.checked_sub(1);
        inner.status.signed = signed;
    }

    pub(crate) fn status(&self) -> Status {
        self.lock().status.clone()
    }

    pub(crate) fn head(&self) -> Option<SignedCheckpoint> {
        self.lock().head.clone()
    }
}
