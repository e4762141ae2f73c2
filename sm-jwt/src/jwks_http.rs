//! An issuer's keys, fetched over HTTP and kept fresh.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use crate::error::Error;
use crate::freshness::Lifetimes;
use crate::future::BoxFuture;
use crate::http_client::{HttpClient, HttpSettings};
use crate::jwks::MAX_LEN;
use crate::jwks_task::{Fetcher, Shared, Task};
use crate::key_id::KeyId;
use crate::key_set::KeySet;
use crate::profile::Profile;
use crate::resolver::KeyResolver;

const MEDIA_TYPES: [&str; 2] = ["application/jwk-set+json", "application/json"];
/// How much longer than a fetch may take somebody waits for its end.
const GRACE: Duration = Duration::from_secs(1);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How an issuer's JWK set is fetched and how long it is trusted.
///
/// | time | default | meaning |
/// |---|---|---|
/// | lifetime | 5 min, within 1 and 15 min | what `Cache-Control: max-age` says; the default where it says nothing |
/// | outage tolerance | 1 h | since the last good answer was asked for; then its keys are trusted no more |
/// | cool-down | 30 s | in which unknown key identifiers set one fetch in motion, however many there are |
/// | timeout | 5 s | for a whole request |
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use sm_jwt::RemoteKeysConfig;
///
/// # fn config(tls: Arc<rustls::ClientConfig>) -> RemoteKeysConfig {
/// // The configuration names the bank's own CAs and a cryptographic provider: this crate links none.
/// RemoteKeysConfig::new("https://login.bank.example/.well-known/jwks.json")
///     .tls(tls)
///     .lifetime_limits(Duration::from_secs(60), Duration::from_secs(600))
///     .outage_tolerance(Duration::from_secs(3600))
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct RemoteKeysConfig {
    url: String,
    tls: Option<Arc<ClientConfig>>,
    plain_http: bool,
    timeout: Duration,
    max_bytes: usize,
    profile: Profile,
    profiles: HashMap<KeyId, Profile>,
    lifetimes: Lifetimes,
    tolerance: Duration,
    cool_down: Duration,
}

impl RemoteKeysConfig {
    /// The JWK set at this `https` URL, without user information or fragment. No redirect is followed.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            tls: None,
            plain_http: false,
            timeout: Duration::from_secs(5),
            max_bytes: MAX_LEN,
            profile: Profile::default(),
            profiles: HashMap::new(),
            lifetimes: Lifetimes {
                min: Duration::from_secs(60),
                default: Duration::from_secs(300),
                max: Duration::from_secs(900),
            },
            tolerance: Duration::from_secs(3600),
            cool_down: Duration::from_secs(30),
        }
    }

    /// How TLS is spoken: which CAs are trusted, with which cryptographic provider. Required for `https`. Protocols above TLS
    /// (ALPN) that it names are replaced by HTTP/1.1.
    pub fn tls(mut self, tls: Arc<ClientConfig>) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Takes an `http` URL as well. Whoever is between can then give this service keys of their own: for tests, and for a
    /// proxy on this machine.
    pub fn allow_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    /// How long a whole request may take, from looking the host up to the last byte. At most 60 s, and half of the shortest
    /// lifetime.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The longest document in bytes: 256 KiB unless less is set.
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// How the issuer's keys sign.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// How the issuer's key of this name signs, if not like the others.
    pub fn profile_of(mut self, kid: KeyId, profile: Profile) -> Self {
        self.profiles.insert(kid, profile);
        self
    }

    /// How long a set is fresh whose answer does not say so.
    pub fn lifetime(mut self, default: Duration) -> Self {
        self.lifetimes.default = default;
        self
    }

    /// The limits to what an answer may say of its lifetime. A removed key is refused after the longer one and one request's
    /// timeout at the latest, while the issuer can be reached.
    pub fn lifetime_limits(mut self, min: Duration, max: Duration) -> Self {
        self.lifetimes.min = min;
        self.lifetimes.max = max;
        self
    }

    /// How long the last set stays trusted while none can be fetched. A removed key is refused after that in any case.
    pub fn outage_tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// How often tokens with unknown key identifiers may set a fetch in motion.
    pub fn cool_down(mut self, cool_down: Duration) -> Self {
        self.cool_down = cool_down;
        self
    }

    fn task(self) -> Result<Task, Error> {
        let wrong = |why: &str| Err(Error::Config(format!("remote keys: {why}")));
        let Lifetimes { min, max, .. } = self.lifetimes;
        if !(SECOND..=DAY).contains(&min) || max < min || max > DAY {
            return wrong("a lifetime is a second to a day");
        }
        if min < self.timeout.saturating_mul(2) {
            return wrong("the shortest lifetime is at least twice the timeout");
        }
        if self.tolerance < max || self.tolerance > DAY.saturating_mul(7) {
            return wrong(
                "an outage tolerance is at least the longest lifetime and at most 7 days",
            );
        }
        if !(SECOND..=DAY).contains(&self.cool_down) {
            return wrong("a cool-down is a second to a day");
        }
        let http = HttpClient::new(HttpSettings {
            url: self.url,
            tls: self.tls,
            plain_http: self.plain_http,
            timeout: self.timeout,
            max_body: self.max_bytes.min(MAX_LEN),
            // Fetches are far apart.
            idle_connections: 0,
            media_types: &MEDIA_TYPES,
        })?;
        let fetcher = Fetcher {
            http,
            profile: self.profile,
            profiles: self.profiles,
            lifetimes: self.lifetimes,
        };
        Ok(Task::new(fetcher, self.cool_down, self.tolerance))
    }
}

/// Shows where the keys come from and how long they are trusted.
impl fmt::Debug for RemoteKeysConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeysConfig")
            .field("lifetimes", &self.lifetimes)
            .field("tolerance", &self.tolerance)
            .field("cool_down", &self.cool_down)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// An issuer's keys, fetched as a JWK set (RFC 7517 section 5) over HTTP and kept fresh by a Tokio task.
///
/// - The set is fetched again when five to six eighths of its lifetime are over, so that no verification waits for it.
/// - It is replaced as a whole. A document that is malformed, too large or of another type, holds one key identifier twice or a
///   private key, replaces nothing: it is a failed fetch.
/// - After a failure it is tried again, after 1 s, 2 s, 4 s and so on up to 60 s, less a random part. Meanwhile the last set
///   stays trusted, until the outage tolerance is over.
/// - A token that names an unknown key makes [`Verifier::accept`](crate::Verifier::accept) ask for a fetch: at once, unless
///   the last fetch that was asked for is younger than the cool-down. All who ask at a time wait for the same fetch.
///   Whoever sends tokens with made-up names can use that fetch up: then a new key is known when the cool-down is over or
///   the set's lifetime is, so issuers do well to publish a key some minutes before they sign with it.
///
/// Clones share the keys. The task ends with the last of them.
///
/// # Time
/// Ages are measured by Tokio's monotonic clock: setting the machine's clock changes nothing. That clock may stand still
/// while the machine is suspended.
///
/// ```no_run
/// use std::sync::Arc;
/// use sm_jwt::{RemoteKeys, RemoteKeysConfig, ReplayPolicy, TokenType, Verifier};
///
/// # async fn verifier(tls: Arc<rustls::ClientConfig>) -> Result<Verifier, sm_jwt::Error> {
/// let config = RemoteKeysConfig::new("https://login.bank.example/.well-known/jwks.json").tls(tls);
/// let keys = RemoteKeys::connect(config).await?;
/// let verifier = Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
///     .issuer_keys("https://login.bank.example", Arc::new(keys.clone()))
///     .audience("core-banking")
///     .build()?;
/// // For a health check:
/// let status = keys.status();
/// println!("{} keys, {} of {} fetches failed", status.keys, status.failures, status.fetches);
/// # Ok(verifier)
/// # }
/// ```
#[derive(Clone)]
pub struct RemoteKeys(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    task: AbortHandle,
    /// The longest wait for a fetch.
    patience: Duration,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl RemoteKeys {
    /// Fetches the keys, and keeps them fresh from then on.
    ///
    /// # Errors
    /// [`Error::Config`] for a wrong configuration and outside of a Tokio runtime with time and I/O;
    /// [`Error::KeysUnavailable`] when the keys cannot be fetched: then nothing goes on in the background.
    pub async fn connect(config: RemoteKeysConfig) -> Result<Self, Error> {
        let timeout = config.timeout;
        let task = config.task()?;
        let runtime = runtime()?;
        task.fetch().await;
        task.shared().trusted().map_err(Error::KeysUnavailable)?;
        Ok(Self::spawn(task, timeout, &runtime))
    }

    /// Fetches nothing until keys are asked for. Until a fetch succeeds every token of the issuer is refused with
    /// [`Error::KeysUnavailable`].
    ///
    /// # Errors
    /// [`Error::Config`] for a wrong configuration and outside of a Tokio runtime with time and I/O.
    pub fn lazy(config: RemoteKeysConfig) -> Result<Self, Error> {
        let timeout = config.timeout;
        let task = config.task()?;
        Ok(Self::spawn(task, timeout, &runtime()?))
    }

    fn spawn(task: Task, timeout: Duration, runtime: &Handle) -> Self {
        let shared = task.shared();
        Self(Arc::new(Inner {
            shared,
            task: runtime.spawn(task.run()).abort_handle(),
            patience: timeout.saturating_add(GRACE),
        }))
    }

    /// How fetching goes: for metrics and health checks.
    #[must_use]
    pub fn status(&self) -> RemoteKeysStatus {
        let state = self.0.shared.read();
        let now = Instant::now();
        let trusted = state.trusted.as_ref();
        let trusted_for = trusted.map(|trusted| trusted.until.saturating_duration_since(now));
        RemoteKeysStatus {
            keys: trusted.map_or(0, |trusted| trusted.keys.len()),
            last_success: trusted.map(|trusted| now.saturating_duration_since(trusted.since)),
            trusted_for: trusted_for.unwrap_or_default(),
            next_fetch: state.next.map(|next| next.saturating_duration_since(now)),
            fetches: state.fetches,
            failures: state.failures,
            failures_in_a_row: state.failures_in_a_row,
            last_error: state.last_error.clone(),
        }
    }
}

fn runtime() -> Result<Handle, Error> {
    Handle::try_current()
        .map_err(|_| Error::Config("remote keys: they need a Tokio runtime".to_owned()))
}

impl KeyResolver for RemoteKeys {
    fn current(&self) -> Result<Arc<KeySet>, Error> {
        let shared = &self.0.shared;
        shared.trusted().map_err(|why| {
            // Also for those who never wait.
            let _ = shared.ask();
            Error::KeysUnavailable(why)
        })
    }

    /// Waits for the fetch that is on its way, or sets one in motion and waits for that; returns at once in the cool-down. The
    /// wait is a second longer than the timeout at most. Outside of a Tokio runtime nothing is waited for.
    fn refresh<'a>(&'a self, kid: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let shared = &self.0.shared;
            // It may have come since the caller looked.
            if shared.trusted().is_ok_and(|keys| keys.get(kid).is_some()) {
                return;
            }
            let Some(mut ended) = shared.ask() else {
                return;
            };
            if Handle::try_current().is_ok() {
                // Whatever comes of it, the caller looks again.
                let _ = timeout(self.0.patience, ended.changed()).await;
            }
        })
    }
}

impl fmt::Debug for RemoteKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RemoteKeys").field(&self.status()).finish()
    }
}

/// How fetching an issuer's keys goes, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteKeysStatus {
    /// How many keys the last good set has, whether it is still trusted or not.
    pub keys: usize,
    /// How long ago the last good set was asked for.
    pub last_success: Option<Duration>,
    /// How long that set stays trusted if no other comes. Nothing: tokens are refused.
    pub trusted_for: Duration,
    /// When the next fetch is planned; it may be asked for earlier.
    pub next_fetch: Option<Duration>,
    /// How many fetches were begun.
    pub fetches: u64,
    /// How many of them failed.
    pub failures: u64,
    /// How many failed since the last one that did not.
    pub failures_in_a_row: u32,
    /// Why the last one failed that did, even if one has succeeded since.
    pub last_error: Option<String>,
}
