//! Single use and revocation in a Redis server, shared by the instances of a service.

mod failure;
mod link;
mod marker;
mod names;
mod options;
mod revoked;
mod server;
mod session;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;

pub use self::marker::LostData;
pub use self::options::{Persistence, RedisOptions};

use self::failure::Failure;
use self::link::Link;
use self::marker::Marker;
use self::session::Context;
use crate::clock::Clock;
use crate::error::{Error, StoreError};
use crate::future::BoxFuture;
use crate::replay::{ReplayEntry, ReplayFuture, ReplayOutcome, ReplayStore};
use crate::revocation::{Revocation, RevocationQuery, RevocationStore};

/// A [`ReplayStore`] and [`RevocationStore`] in a Redis server, for several instances of a service.
///
/// ```no_run
/// use std::sync::Arc;
/// use sm_jwt::{
///     KeyId, Profile, RedisOptions, RedisStore, ReplayPolicy, SystemClock, TokenType, Verifier, VerifyingKey,
/// };
///
/// # async fn set_up(key: VerifyingKey) -> Result<Verifier, Box<dyn std::error::Error>> {
/// let options = RedisOptions::new().prefix("payments:");
/// let store = RedisStore::new("redis://127.0.0.1:6379/", options, Arc::new(SystemClock))?;
/// // Now rather than at the first token; calls connect by themselves whenever they have to.
/// store.connect().await?;
/// if let Some(lost) = store.lost_data().await? {
///     eprintln!("tokens issued before second {} are refused", lost.since());
/// }
/// let store = Arc::new(store);
/// let verifier = Verifier::builder(TokenType::Transaction, ReplayPolicy::SingleUse)
///     .issuer("https://login.bank.example", [(KeyId::new("2026-01")?, key, Profile::default())])
///     .audience("payments")
///     .replay_store(store.clone())
///     .revocation_store(store)
///     .build()?;
/// # Ok(verifier)
/// # }
/// ```
///
/// # What is asked in each call
///
/// One transaction (`MULTI` … `EXEC`) sets or reads the entries and asks the server in the same moment who it is (`INFO`),
/// what its clock shows, and what the *marker* says: a hash among the entries that names the server's `run_id` and
/// replication id, and the second `since` from which on every entry is there. Where the marker is absent or names another
/// identity, entries may have been lost: the server was restarted, a replica took its place, or its data were deleted
/// or put back from a copy. Then `since` becomes the server's time plus clock tolerance, skew and one second, by a script
/// that only one client wins and that never lowers it. From then on, in every process and after any restart:
///
/// - A single-use token issued before `since` is refused with [`StoreError::IssuedBeforeStart`]: it may have been consumed.
///   So single-use tokens are refused for about that long after the server was restarted, and after the very first start.
/// - A token issued before `since` is refused by [`is_revoked`](RevocationStore::is_revoked) likewise, unless it is known
///   to be revoked, until somebody [acknowledges](Self::acknowledge) the loss: it may have been revoked. The very first
///   start cannot be told from a loss and is acknowledged in the same way.
///
/// With [`Persistence::Always`] a restart of the same server loses nothing and moves nothing, as long as the marker is
/// there. A deleted marker always moves `since`: delete it after entries were deleted or put back by hand, and when a wrong
/// clock has put `since` far into the future.
///
/// A server that would lose entries is refused with [`StoreError::WrongSetup`]: `maxmemory` with another policy than
/// `noeviction`, and with [`Persistence::Always`] whatever is not that. Eviction that happened in between moves `since`. A
/// server without memory for another entry is [`StoreError::Full`].
///
/// # Clocks
///
/// Entries expire by the server's clock, and `since` is counted on it because all clients share it. Tokens are judged by
/// this process's clock: give the one that the verifiers have. Each call checks that the two differ by
/// [`clock_tolerance`](RedisOptions::clock_tolerance) at most, else it is refused; entries are kept that much longer than
/// asked for. An entry whose end the server's clock has shown already, before it went back, is
/// [`StoreError::ClockWentBack`], and so is every question about a revocation while the clock is behind what it has shown. A
/// process remembers that only while it runs, and only what it saw: keep the server's clock from jumping.
///
/// # Time and failures
///
/// A call waits for a connection and for each answer as long as the [options](RedisOptions) say, makes one attempt to
/// connect at most, and never sends a command twice. A failed call is [`StoreError::Unavailable`]; its token may have been
/// consumed all the same, and is then refused when it is shown again. After a failed attempt to connect, calls fail at once
/// for 50 milliseconds to a second. The store recovers by itself. It needs a tokio runtime with I/O and time enabled.
///
/// # Limits
///
/// - **Fail-over is asynchronous.** What a master acknowledged just before it ended may be missing on the replica that takes
///   its place. That is why tokens from before are refused. Two masters at the same time, as long as clients reach both,
///   each accept a token once: fence the old one (`min-replicas-to-write`, or the address) before another is promoted.
/// - A change is seen by what the new server says. A replica that is promoted *and restarted* before any client asks it
///   looks like a restarted server: with [`Persistence::Always`] that is forgiven unless its marker shows that
///   there were replicas. Use `Always` for a server without replicas.
/// - A server whose memory was put back from a snapshot of its machine has the `run_id` it had: delete the marker.
/// - A server that begins to have replicas changes its replication id, and again when all of them were away for
///   `repl-backlog-ttl` seconds (an hour; 0 turns that off). Without [`Persistence::Always`] that counts as a loss.
/// - No cluster and no sentinel address: one server, 6.2 or newer, or what stands behind its name. A replica is refused.
///
/// # The server's side
///
/// `redis://` is for this machine; to another one use `rediss://`, which needs one of the TLS features of the crate `redis`
/// turned on by the application, or a tunnel and [`allow_plaintext`](RedisOptions::allow_plaintext). Names and entries are no
/// secrets, but whoever can change answers decides which tokens are accepted. A user for the store needs
/// `+info +time +multi +exec +hmget +mget +set +get +eval +hget +hset +hincrby ~prefix*`, and with [`Persistence::Always`]
/// `+config|get`. Keys are `<prefix>marker`, `<prefix>used:<name>` and `<prefix>revoked:<name>`; all but the marker expire.
pub struct RedisStore {
    link: Link,
}

impl RedisStore {
    /// A store in the server at `url` (`redis://[user:password@]host[:port]/[database]`, `rediss://…`, `unix://…`). Does not
    /// connect. `clock` is the one that the verifiers have.
    ///
    /// # Errors
    /// [`Error::Config`] for a URL that cannot be used, plaintext to another machine, or options out of their bounds.
    pub fn new(url: &str, options: RedisOptions, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let client = options.client(url)?;
        Ok(Self {
            link: Link::new(client, Context::new(options, clock)),
        })
    }

    /// Connects and checks the server, if that has not been done. Every call does so by itself.
    ///
    /// # Errors
    /// [`StoreError::WrongSetup`] for a server that would lose entries, else [`StoreError::Unavailable`].
    pub async fn connect(&self) -> Result<(), StoreError> {
        self.link.run(|_| {}).await?;
        Ok(())
    }

    /// Whether a connection is open now; if not, the next call opens one.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.link.is_open()
    }

    /// What was lost, as long as nobody has acknowledged it: for a health check. The very first start shows as a loss too.
    ///
    /// # Errors
    /// [`StoreError::WrongSetup`] and [`StoreError::Unavailable`].
    pub async fn lost_data(&self) -> Result<Option<LostData>, StoreError> {
        Ok(self.link.run(|_| {}).await?.marker.lost())
    }

    /// Acknowledges a loss: the revocations have been entered again, or there were none. Tokens that were issued before it
    /// pass [`is_revoked`](RevocationStore::is_revoked) again, for every process; single-use tokens stay refused.
    ///
    /// Answers whether that was the latest loss. If not, nothing is acknowledged.
    ///
    /// # Errors
    /// [`StoreError::WrongSetup`] and [`StoreError::Unavailable`].
    pub async fn acknowledge(&self, lost: &LostData) -> Result<bool, StoreError> {
        let key = self.link.context.names.marker();
        let add = |pipeline: &mut _| Marker::acknowledge(pipeline, key, lost);
        let mut answer = self.link.run(add).await?;
        let done: u64 = server::next(&mut answer.values)?;
        Ok(done == 1 && answer.marker.since == lost.since())
    }

    async fn try_consume(&self, entry: &ReplayEntry) -> Result<ReplayOutcome, StoreError> {
        let context = &self.link.context;
        let key = context.names.used(entry.key());
        let expiry = revoked::expiry(entry.keep_until(), context.options.tolerance());
        let mut answer = self
            .link
            .run(|pipeline| {
                pipeline.cmd("SET").arg(key).arg(1).arg("NX");
                if let Some(second) = expiry {
                    pipeline.arg("EXAT").arg(second);
                }
            })
            .await?;
        if entry.issued_at() < answer.marker.since {
            return Err(StoreError::IssuedBeforeStart);
        }
        if expiry.is_some_and(|second| second <= answer.latest) {
            // Only a clock that was set back leads here: the entry may have been there.
            return Err(StoreError::ClockWentBack);
        }
        match answer.values.next() {
            Some(Value::Okay) => Ok(ReplayOutcome::Fresh),
            Some(Value::Nil) => Ok(ReplayOutcome::Replayed),
            _ => Err(Failure::Answer("SET says neither yes nor no").into()),
        }
    }

    async fn ask(&self, query: &RevocationQuery) -> Result<bool, StoreError> {
        let names = &self.link.context.names;
        let keys: Vec<_> = query
            .names()
            .chain([query.subject()])
            .map(|key| names.revoked(key))
            .collect();
        let mut answer = self
            .link
            .run(|pipeline| {
                pipeline.cmd("MGET").arg(&keys);
            })
            .await?;
        let entries: Vec<Option<String>> = server::next(&mut answer.values)?;
        if entries.len() != keys.len() {
            return Err(Failure::Answer("MGET says too much or too little").into());
        }
        for entry in entries.iter().flatten() {
            if revoked::revokes(entry, query.issued_at())? {
                return Ok(true);
            }
        }
        // It was ahead, and may have let the server forget a revocation whose time is not over.
        let tolerance = self.link.context.options.tolerance();
        if answer.latest > answer.seconds.saturating_add(tolerance) {
            return Err(StoreError::ClockWentBack);
        }
        match answer.marker.lost() {
            Some(lost) if query.issued_at() < lost.since() => Err(StoreError::IssuedBeforeStart),
            _ => Ok(false),
        }
    }

    async fn put(&self, revocation: &Revocation) -> Result<(), StoreError> {
        let context = &self.link.context;
        let key = context.names.revoked(revocation.key());
        let expiry = revoked::expiry(revocation.keep_until(), context.options.tolerance());
        let mut answer = self
            .link
            .run(|pipeline| revoked::revoke(pipeline, &key, revocation.since(), expiry))
            .await?;
        let _done: u64 = server::next(&mut answer.values)?;
        Ok(())
    }
}

impl ReplayStore for RedisStore {
    fn consume(&self, entry: ReplayEntry) -> ReplayFuture<'_> {
        Box::pin(async move { self.try_consume(&entry).await })
    }

    fn skew(&self) -> Option<Duration> {
        Some(self.link.context.options.skew)
    }
}

impl RevocationStore for RedisStore {
    fn is_revoked<'a>(
        &'a self,
        query: &'a RevocationQuery,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.ask(query))
    }

    fn revoke(&self, revocation: Revocation) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.put(&revocation).await })
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        f.debug_struct("RedisStore")
            .field("options", &self.link.context.options)
            .finish_non_exhaustive()
    }
}
