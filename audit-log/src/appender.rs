//! The log as a service holds it: many producers, one writer thread, group commit.

use crate::chain;
use crate::checkpoint::{CheckpointSigner, SignedCheckpoint};
use crate::clock::{Clock, EventTime};
use crate::config::Config;
use crate::details::Details;
use crate::error::{Error, SignError};
use crate::event::{Event, Kind, Outcome, Who};
use crate::hex;
use crate::queue::{Gap, Item, Queue, Status, Work};
use crate::random::{OsRandomness, Randomness};
use crate::receipt::{self, Committed, Promise, Receipt};
use crate::recovery;
use crate::storage::Storage;
use crate::writer::{Batch, Prepared, Writer};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// An open audit log. Clones share it.
///
/// [`append`](Self::append) returns at once with a [`Receipt`]; one thread takes whatever waits,
/// writes it as one batch, syncs, and only then keeps the receipts' promises. After a failed write
/// or sync nothing is tried again: every later append fails, and opening the log anew tells what is
/// on disk.
///
/// Call [`close`](Self::close) at the end. Dropping the last clone does the same as well as it can,
/// and blocks while it does.
#[derive(Clone)]
pub struct AuditLog {
    handle: Arc<Handle>,
}

struct Handle {
    stream: Arc<str>,
    queue: Arc<Queue>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Randomness>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl AuditLog {
    /// Opens a stream, or begins it, with the operating system's random numbers.
    ///
    /// An unfinished batch at the end (a crash) is set aside in a file of its own and stated in the
    /// log by a signed event before anything else is accepted.
    ///
    /// # Errors
    /// [`Error::Config`] for bad settings or another stream's directory, [`Error::Storage`] when
    /// the storage fails or is in use, [`Error::Damaged`] when stored bytes are damaged in a way that
    /// no crash explains (nothing is changed then), [`Error::Sign`] when a recovery cannot be signed.
    pub fn open(
        config: Config,
        storage: impl Storage + 'static,
        signer: impl CheckpointSigner + 'static,
        clock: impl Clock + 'static,
    ) -> Result<Self, Error> {
        Self::open_with(config, storage, signer, clock, OsRandomness)
    }

    /// As [`open`](Self::open), with salts from `random`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(
        config: Config,
        storage: impl Storage + 'static,
        signer: impl CheckpointSigner + 'static,
        clock: impl Clock + 'static,
        random: impl Randomness + 'static,
    ) -> Result<Self, Error> {
        config.check()?;
        let stream: Arc<str> = config.stream.as_str().into();
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let random: Arc<dyn Randomness> = Arc::new(random);
        let mut storage: Box<dyn Storage> = Box::new(storage);
        storage
            .lock()
            .map_err(|error| Error::storage("lock", ".", error))?;
        let recovered = recovery::recover(&mut *storage, &stream)?;
        let mut writer = Writer::start(
            Arc::clone(&stream),
            storage,
            Box::new(signer),
            Arc::clone(&clock),
            config.segment_bytes,
            &recovered,
        )?;
        let queue = Arc::new(Queue::new(&config));
        for aside in &recovered.set_aside {
            let details = Details::new()
                .with("bytes", aside.bytes.to_string())
                .with("file", aside.settled_name())
                .with("sm3", hex::encode(&aside.hash));
            let event = Event::new(
                clock.now(),
                Who::system("audit-log"),
                Kind::Recovery,
                Outcome::success(),
                details,
            );
            let batch = writer.commit(&[prepare(&event, &*random)?], true)?;
            if let Some(head) = batch.head {
                queue.signed(head?);
            }
            writer.settle(aside)?;
        }
        queue.opened(writer.size(), writer.signed_size());
        let thread = {
            let (stream, queue) = (Arc::clone(&stream), Arc::clone(&queue));
            let (clock, random) = (Arc::clone(&clock), Arc::clone(&random));
            std::thread::Builder::new()
                .name("audit-log".into())
                .spawn(move || run(&stream, &queue, writer, &config, &*clock, &*random))
                .map_err(|error| Error::storage("start the writer of", ".", error))?
        };
        Ok(Self {
            handle: Arc::new(Handle {
                stream,
                queue,
                clock,
                random,
                thread: Mutex::new(Some(thread)),
            }),
        })
    }

    /// Hands an event to the log. Returns at once unless the queue is full and the policy is
    /// [`WhenFull::Block`](crate::WhenFull::Block): then it blocks this thread until the disk has
    /// caught up. On a thread of an asynchronous runtime that stops every other task there; use
    /// [`append_async`](Self::append_async), and [`Receipt::durable`] in place of [`Receipt::wait`].
    ///
    /// # Errors
    /// [`Error::Event`] for a malformed event, [`Error::QueueFull`], [`Error::Closed`],
    /// [`Error::Stopped`], [`Error::Unsigned`], [`Error::Random`] when there is no salt.
    pub fn append(&self, event: Event) -> Result<Receipt, Error> {
        let prepared = self.prepare(&event)?;
        let (promise, receipt) = receipt::pair();
        self.handle.queue.push(prepared, promise)?;
        Ok(receipt)
    }

    /// As [`append`](Self::append), waiting for space without blocking the thread. Runs on every
    /// runtime. Dropped before it resolves, the event was not taken.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub async fn append_async(&self, event: Event) -> Result<Receipt, Error> {
        let prepared = self.prepare(&event)?;
        let (promise, receipt) = receipt::pair();
        let mut pending = Some((prepared, promise));
        std::future::poll_fn(|context| self.handle.queue.poll_push(&mut pending, context)).await?;
        Ok(receipt)
    }

    /// As [`append`](Self::append), but never waits: a full queue is [`Error::QueueFull`] under every
    /// policy. For places that cannot wait, such as `drop`.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn try_append(&self, event: Event) -> Result<Receipt, Error> {
        let prepared = self.prepare(&event)?;
        let (promise, receipt) = receipt::pair();
        self.handle.queue.try_push(prepared, promise)?;
        Ok(receipt)
    }

    /// Says that something happened whose event the log did not take, and why. Never waits.
    ///
    /// It is counted in [`Status::unrecorded`], and the log states the count and the last reason in
    /// an event of its own (`AUDIT_GAP`) with the next batch. A log that has stopped or is closed
    /// states nothing any more: there the count is all that is left.
    pub fn state_gap(&self, reason: impl std::fmt::Display) {
        self.handle.queue.state_gap(reason.to_string());
    }

    fn prepare(&self, event: &Event) -> Result<Prepared, Error> {
        if matches!(event.kind(), Kind::Recovery | Kind::Gap) {
            return Err(Error::event("kind", "is written by the log alone"));
        }
        prepare(event, &*self.handle.random)
    }

    /// Signs a head over everything appended so far, and makes it durable with them.
    ///
    /// # Errors
    /// [`Error::Sign`] when the signer refuses; [`Error::Closed`], [`Error::Stopped`] and storage
    /// errors as for events.
    pub fn checkpoint(&self) -> Result<SignedCheckpoint, Error> {
        self.begin_checkpoint()?.wait()
    }

    /// As [`checkpoint`](Self::checkpoint), without waiting for it.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Stopped`].
    pub fn begin_checkpoint(&self) -> Result<Receipt<SignedCheckpoint>, Error> {
        let (promise, receipt) = receipt::pair();
        self.handle.queue.push_checkpoint(promise)?;
        Ok(receipt)
    }

    /// Writes what waits, signs a last head and stops. Blocks until that is done. Later appends fail
    /// with [`Error::Closed`]; closing again answers the same.
    ///
    /// Returns the last head signed since the log was opened, if there was one.
    ///
    /// # Errors
    /// Why the log stopped before, or why the last head could not be signed.
    pub fn close(&self) -> Result<Option<SignedCheckpoint>, Error> {
        self.handle.finish();
        let status = self.status();
        if let Some(error) = status.failed {
            return Err(error);
        }
        match status.signer {
            Some(error) => Err(error.into()),
            None => Ok(self.handle.queue.head()),
        }
    }

    /// How the log stands: queue depth, last durable sequence, failures.
    pub fn status(&self) -> Status {
        self.handle.queue.status()
    }

    /// The last head signed since the log was opened.
    pub fn head(&self) -> Option<SignedCheckpoint> {
        self.handle.queue.head()
    }

    /// The stream's id.
    pub fn stream(&self) -> &str {
        &self.handle.stream
    }

    /// A reading of the log's clock, for [`Event::new`].
    pub fn now(&self) -> EventTime {
        self.handle.clock.now()
    }
}

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditLog")
            .field("stream", &self.handle.stream)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl Handle {
    fn finish(&self) {
        self.queue.close();
        // Held while the writer ends, so that whoever closes at the same time waits for it too.
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        match thread.take() {
            // The last clone was dropped by a waker or a signer on the writer's own thread.
            Some(writer) if writer.thread().id() == std::thread::current().id() => {}
            // A panic in a signer or storage was already turned into a failed log.
            Some(writer) => drop(writer.join()),
            None => {}
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.finish();
    }
}

fn prepare(event: &Event, random: &dyn Randomness) -> Result<Prepared, Error> {
    let mut salt = [0u8; 16];
    random.fill(&mut salt)?;
    let bytes = event.encode(&salt)?;
    let leaf = chain::leaf(&bytes);
    Ok(Prepared { bytes, leaf })
}

fn panicked() -> Error {
    let source = std::io::Error::other("the writer thread panicked");
    Error::storage("write", ".", source)
}

/// A panic in a signer, clock or storage is a failed write like any other.
fn commit(writer: &mut Writer, records: &[Prepared], sign: bool) -> Result<Batch, Error> {
    catch_unwind(AssertUnwindSafe(|| writer.commit(records, sign)))
        .unwrap_or_else(|_| Err(panicked()))
}

/// Fails the log if the writer thread ends by a panic elsewhere (in a waker).
struct PanicGuard<'a>(&'a Queue);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(&panicked());
        }
    }
}

/// What the log says of events that it did not take.
fn gap_event(gap: Gap, when: EventTime) -> Event {
    const LONGEST: usize = 1024;
    let Gap { events, mut reason } = gap;
    let mut end = reason.len().min(LONGEST);
    while !reason.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    reason.truncate(end);
    if reason.is_empty() {
        reason.push_str("unknown");
    }
    let details = Details::new().with("events", events.to_string());
    Event::new(
        when,
        Who::system("audit-log"),
        Kind::Gap,
        Outcome::error(reason),
        details,
    )
}

/// The writer thread.
fn run(
    stream: &Arc<str>,
    queue: &Queue,
    mut writer: Writer,
    config: &Config,
    clock: &dyn Clock,
    random: &dyn Randomness,
) {
    let _guard = PanicGuard(queue);
    // Since when there are durable events that no head covers, and when to try to sign next.
    let mut unsigned_since = (writer.size() > writer.signed_size()).then(Instant::now);
    let mut next_try = unsigned_since;
    loop {
        let Work { items, gap, last } = queue.take(config.batch_records, next_try);
        let (mut records, mut promises, mut heads) = (Vec::new(), Vec::new(), Vec::new());
        for item in items {
            match item {
                Item::Record(record, promise) => {
                    records.push(record);
                    promises.push(promise);
                }
                Item::Checkpoint(promise) => heads.push(promise),
            }
        }
        // Behind the batch's other records, so that those keep their promises' places.
        let stated = gap
            .map(|gap| prepare(&gap_event(gap, clock.now()), random))
            .transpose()
            .map(|gap| records.extend(gap));
        let size = writer.size().saturating_add(records.len() as u64);
        let unsigned = size.saturating_sub(writer.signed_size());
        let due = next_try.is_some_and(|at| at <= Instant::now())
            || unsigned >= config.checkpoint_records
            || last;
        let sign = !heads.is_empty() || (due && (unsigned > 0 || (last && !writer.has_head())));
        if records.is_empty() && !sign && stated.is_ok() {
            if last {
                return;
            }
            next_try = None;
            continue;
        }
        let batch = match stated.and_then(|()| commit(&mut writer, &records, sign)) {
            Ok(batch) => batch,
            Err(error) => {
                // First the state, then the answers: who learns of the failure finds the log stopped.
                queue.fail(&error);
                for promise in promises {
                    promise.keep(Err(error.clone()));
                }
                for promise in heads {
                    promise.keep(Err(error.clone()));
                }
                return;
            }
        };
        queue.committed(writer.size(), 1);
        if !records.is_empty() && unsigned_since.is_none() {
            unsigned_since = Some(Instant::now());
            next_try = unsigned_since.and_then(|at| at.checked_add(config.checkpoint_every));
        }
        match batch.head {
            Some(Ok(head)) => {
                (unsigned_since, next_try) = (None, None);
                queue.signed(head.clone());
                for promise in heads {
                    promise.keep(Ok(head.clone()));
                }
            }
            Some(Err(error)) => {
                let since = unsigned_since.map(|at| at.elapsed()).unwrap_or_default();
                next_try = Instant::now().checked_add(config.checkpoint_every);
                refuse_heads(queue, error, since, config.max_unsigned, heads);
            }
            None => {}
        }
        acknowledge(stream, batch.first, &records, promises);
        if last {
            return;
        }
    }
}

fn acknowledge(
    stream: &Arc<str>,
    first: u64,
    records: &[Prepared],
    promises: Vec<Promise<Committed>>,
) {
    for (sequence, (record, promise)) in (first..).zip(records.iter().zip(promises)) {
        promise.keep(Ok(Committed {
            stream: Arc::clone(stream),
            sequence,
            leaf: record.leaf,
        }));
    }
}

fn refuse_heads(
    queue: &Queue,
    error: SignError,
    unsigned_for: Duration,
    limit: Duration,
    heads: Vec<Promise<SignedCheckpoint>>,
) {
    queue.not_signed(error.clone(), unsigned_for > limit);
    for promise in heads {
        promise.keep(Err(error.clone().into()));
    }
}
