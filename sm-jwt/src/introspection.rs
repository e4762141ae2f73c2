//! Token introspection (RFC 7662): the issuer is asked about tokens that only it can read.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};

use crate::crypto::sm3;
use crate::error::Error;
use crate::factor::Bound;
use crate::http_client::{HttpClient, HttpSettings};
use crate::introspected::{Answer, Introspected, IntrospectedToken};
use crate::introspection_cache::{AnswerCache, TokenDigest};
use crate::introspection_config::{
    ClientAuthentication, IntrospectionConfig, IntrospectionRules, form_encode,
};
use crate::limits::Limits;
use crate::presented::Presented;
use crate::replay::ReplayOutcome;

const MEDIA_TYPES: [&str; 1] = ["application/json"];
/// How many tokens may be asked about or wait for it at a time. More are refused at once.
const MAX_FLIGHTS: usize = 1024;
/// How much longer than asking may take somebody waits for its end.
const GRACE: Duration = Duration::from_secs(1);

/// Asks an issuer whether tokens are active and what they say, for tokens that have no signature to verify (RFC 7662).
///
/// - The answer is JSON read as strictly as a token: `active` must be `true`, `iss` and `aud` the ones configured, `exp` not
///   passed, `nbf` and `iat` not in the future, and every known member of the right type. Empty strings and `null` are no
///   values.
/// - A token that is bound to a certificate or key (`cnf`) is accepted with the proof alone: see [`Presented`]. What this crate
///   cannot check is refused.
/// - Whatever fails refuses: no answer, another status than 200, a redirect, a malformed or oversized answer are
///   [`Error::Introspection`], which is transient. Failures are not remembered.
/// - Answers are remembered for seconds, by SM3 of the whole token, in bounded numbers, an active one not past its `exp`. All
///   checks are made again every time; a revoked token is accepted so much longer.
/// - At any time there is one request for a token, however many wait for it, and a bounded number of requests together. Whoever
///   sends many made-up tokens makes others wait: limit how many requests a caller may send before they come here.
///
/// The age of an answer is measured by Tokio's monotonic clock, `exp`, `nbf` and `iat` by the [`Clock`](crate::Clock).
///
/// ```no_run
/// use std::sync::Arc;
/// use sm_jwt::{ClientAuthentication, IntrospectionClient, IntrospectionConfig, Presented};
///
/// # async fn ask(tls: Arc<rustls::ClientConfig>, secret: &str, token: &str, der: &[u8]) -> Result<(), sm_jwt::Error> {
/// let authentication = ClientAuthentication::basic("core-banking", secret)?;
/// let config = IntrospectionConfig::new("https://login.bank.example/introspect", authentication)
///     .tls(tls)
///     .issuer("https://login.bank.example")
///     .audience("core-banking")
///     .require_claim("sub");
/// let client = IntrospectionClient::new(config)?; // once, and shared in an `Arc`
///
/// let token = client.introspect_with(token, &Presented::new().certificate(der)).await?;
/// assert!(token.has_scope("accounts:read"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct IntrospectionClient {
    asker: Arc<Asker>,
    rules: IntrospectionRules,
    max_token_bytes: usize,
}

/// What one token's question came to.
#[derive(Clone)]
enum Outcome {
    Active(Arc<Introspected>),
    Inactive,
    Failed(Arc<str>),
}

/// Asks, and remembers.
struct Asker {
    http: HttpClient,
    authentication: ClientAuthentication,
    limits: Limits,
    timeout: Duration,
    /// One permit a request under way.
    connections: Semaphore,
    active: AnswerCache<Arc<Introspected>>,
    inactive: AnswerCache<()>,
    flights: Mutex<Flights>,
}

/// The tokens that are being asked about.
type Flights = HashMap<TokenDigest, watch::Receiver<Option<Outcome>>>;

/// Takes a token out of the flights, also when its task ends early.
struct Flight {
    asker: Arc<Asker>,
    digest: TokenDigest,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.asker.flights().remove(&self.digest);
    }
}

impl IntrospectionClient {
    /// A client for one issuer.
    ///
    /// # Errors
    /// [`Error::Config`] for a wrong URL, a missing issuer, audience or TLS configuration, and limits beyond what their methods
    /// name.
    pub fn new(mut config: IntrospectionConfig) -> Result<Self, Error> {
        config.check()?;
        let http = HttpClient::new(HttpSettings {
            url: config.url,
            tls: config.tls,
            plain_http: config.plain_http,
            timeout: config.timeout,
            max_body: config.max_bytes,
            idle_connections: config.connections,
            media_types: &MEDIA_TYPES,
        })?;
        // Once now, so that it cannot fail later.
        config.authentication.header()?;
        let asker = Asker {
            http,
            authentication: config.authentication,
            limits: Limits::default(),
            timeout: config.timeout,
            connections: Semaphore::new(config.connections),
            active: AnswerCache::new(config.capacity, config.remember_active),
            inactive: AnswerCache::new(config.capacity, config.remember_inactive),
            flights: Mutex::default(),
        };
        Ok(Self {
            asker: Arc::new(asker),
            rules: config.rules,
            max_token_bytes: config.max_token_bytes,
        })
    }

    /// Asks about a token that came alone; see [`introspect_with`](Self::introspect_with).
    ///
    /// # Errors
    /// As [`introspect_with`](Self::introspect_with).
    pub async fn introspect(&self, token: &str) -> Result<IntrospectedToken, Error> {
        self.introspect_with(token, &Presented::new()).await
    }

    /// Asks about a token, unless the answer is remembered, and checks the answer together with what the request proves. The
    /// `jti` of a DPoP proof is consumed, last of all.
    ///
    /// # Errors
    /// [`Error::TooLarge`] and [`Error::MalformedToken`] for what is not asked about; [`Error::Introspection`] when there is no
    /// good answer; [`Error::Inactive`]; else the first rule that fails, as for a token that is verified.
    pub async fn introspect_with(
        &self,
        token: &str,
        presented: &Presented<'_>,
    ) -> Result<IntrospectedToken, Error> {
        if token.len() > self.max_token_bytes {
            return Err(Error::TooLarge {
                what: "the token",
                limit: self.max_token_bytes,
            });
        }
        if token.is_empty() || !token.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(Error::MalformedToken);
        }
        let answer = match self.outcome(token).await {
            Outcome::Active(answer) => answer,
            Outcome::Inactive => return Err(Error::Inactive),
            Outcome::Failed(why) => return Err(Error::Introspection(why.to_string())),
        };
        self.rules.check(&answer, token, presented).await?;
        Ok(IntrospectedToken::new(answer))
    }

    /// The nonce for the header `DPoP-Nonce` of a response, if DPoP proofs need one (RFC 9449 section 8).
    #[must_use]
    pub fn dpop_nonce(&self) -> Option<String> {
        self.rules.dpop.as_ref()?.nonce(self.now())
    }

    /// The `alg` that DPoP proofs have, if they are checked.
    #[cfg(feature = "tower")]
    pub(crate) fn dpop_algorithm(&self) -> Option<&str> {
        Some(self.rules.dpop.as_ref()?.algorithm())
    }

    /// What is remembered of a token, or what the issuer says now.
    async fn outcome(&self, token: &str) -> Outcome {
        let asker = &self.asker;
        let digest = sm3(&[token.as_bytes()]);
        if let Some(outcome) = asker.remembered(&digest, self.now()) {
            return outcome;
        }
        let Ok(runtime) = Handle::try_current() else {
            return Outcome::failed("asking needs a Tokio runtime");
        };
        let mut flight = {
            let mut flights = asker.flights();
            // It may have ended just now.
            if let Some(outcome) = asker.remembered(&digest, self.now()) {
                return outcome;
            }
            match flights.get(&digest) {
                Some(flight) => flight.clone(),
                None if flights.len() >= MAX_FLIGHTS => {
                    return Outcome::failed("too many tokens are being asked about");
                }
                None => {
                    let (sender, receiver) = watch::channel(None);
                    flights.insert(digest, receiver.clone());
                    let flight = Flight {
                        asker: Arc::clone(asker),
                        digest,
                    };
                    // A task of its own: it goes on for the others when whoever was first gives up.
                    runtime.spawn(fly(flight, token.to_owned(), sender));
                    receiver
                }
            }
        };
        // The task's own timeout ends it first, unless its runtime stands still or has ended.
        let patience = asker.timeout.saturating_add(GRACE);
        match timeout(patience, flight.wait_for(Option::is_some)).await {
            Ok(Ok(outcome)) => outcome.clone().unwrap_or(Outcome::Inactive),
            _ => Outcome::failed("the task that was asking has ended"),
        }
    }

    fn now(&self) -> u64 {
        self.rules.clock.unix_seconds()
    }
}

/// Asks about a token on behalf of all who wait for it.
async fn fly(flight: Flight, token: String, sender: watch::Sender<Option<Outcome>>) {
    let since = Instant::now();
    let outcome = flight.asker.ask(&token).await;
    flight.asker.remember(flight.digest, &outcome, since);
    drop(flight);
    sender.send_replace(Some(outcome));
}

impl Outcome {
    fn failed(why: &str) -> Self {
        Self::Failed(why.into())
    }
}

impl Asker {
    fn flights(&self) -> MutexGuard<'_, Flights> {
        // Entries are inserted and removed whole.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was found lately. `now` is in seconds since 1970.
    fn remembered(&self, digest: &TokenDigest, now: u64) -> Option<Outcome> {
        let moment = Instant::now();
        if let Some(answer) = self.active.get(digest, moment) {
            // The issuer's own clock is to say what is to become of a token at its end; it may have said so already.
            if answer.claims.exp.is_none_or(|exp| now < exp) {
                return Some(Outcome::Active(answer));
            }
        }
        self.inactive
            .get(digest, moment)
            .map(|()| Outcome::Inactive)
    }

    fn remember(&self, digest: TokenDigest, outcome: &Outcome, since: Instant) {
        match outcome {
            Outcome::Active(answer) => self.active.put(digest, Arc::clone(answer), since),
            Outcome::Inactive => self.inactive.put(digest, (), since),
            Outcome::Failed(_) => {}
        }
    }

    async fn ask(&self, token: &str) -> Outcome {
        match timeout(self.timeout, self.post(token)).await {
            Ok(Ok(Answer::Active(answer))) => Outcome::Active(Arc::new(*answer)),
            Ok(Ok(Answer::Inactive)) => Outcome::Inactive,
            Ok(Err(why)) => Outcome::failed(&why),
            Err(_) => Outcome::failed(&format!(
                "{}: no whole answer within {} ms",
                self.http.place(),
                self.timeout.as_millis()
            )),
        }
    }

    async fn post(&self, token: &str) -> Result<Answer, String> {
        let wrong = |error: Error| format!("{}: {error}", self.http.place());
        let _permit = self
            .connections
            .acquire()
            .await
            .map_err(|error| error.to_string())?;
        let mut form = String::from("token=");
        form_encode(token, &mut form);
        form.push_str("&token_type_hint=access_token");
        let authorization = self.authentication.header().map_err(wrong)?;
        let answer = self
            .http
            .post_form(&authorization, form)
            .await
            .map_err(|error| error.to_string())?;
        Answer::read(answer.body, &self.limits).map_err(wrong)
    }
}

impl IntrospectionRules {
    /// The checks of a token's claims, on an answer.
    async fn check(
        &self,
        answer: &Introspected,
        token: &str,
        presented: &Presented<'_>,
    ) -> Result<(), Error> {
        let claims = &answer.claims;
        let missing = |claim| Error::missing_claim(claim);
        // One reading for all the rules: they see the same moment.
        let now = self.clock.unix_seconds();
        let leeway = self.leeway.as_secs();
        if *claims.iss.as_ref().ok_or_else(|| missing("iss"))? != self.issuer {
            return Err(Error::UnknownIssuer);
        }
        let audience = claims.aud.as_ref().ok_or_else(|| missing("aud"))?;
        if !audience.iter().any(|aud| self.audiences.contains(aud)) {
            return Err(Error::WrongAudience);
        }
        if let Some(claim) = answer.first_missing(&self.required) {
            return Err(Error::MissingClaim {
                claim: claim.clone().into(),
            });
        }
        let exp = claims.exp.ok_or_else(|| missing("exp"))?;
        if now >= exp.saturating_add(leeway) {
            return Err(Error::Expired);
        }
        let latest_start = now.saturating_add(leeway);
        if claims.nbf.is_some_and(|nbf| nbf > latest_start) {
            return Err(Error::NotYetValid);
        }
        if claims.iat.is_some_and(|iat| iat > latest_start) {
            return Err(Error::IssuedInFuture);
        }
        self.check_factor(answer, presented)?;
        self.check_binding(answer, token, presented, now).await
    }

    fn check_factor(&self, answer: &Introspected, presented: &Presented<'_>) -> Result<(), Error> {
        let claims = &answer.claims;
        let bound = Bound {
            issuer: &self.issuer,
            subject: claims.sub.as_deref().unwrap_or_default(),
            token_id: claims.jti.as_deref().unwrap_or_default(),
        };
        self.factor_keys
            .check(&claims.ext, &bound, presented.factor)
    }

    async fn check_binding(
        &self,
        answer: &Introspected,
        token: &str,
        presented: &Presented<'_>,
        now: u64,
    ) -> Result<(), Error> {
        let is_dpop = answer
            .token_type
            .as_ref()
            .is_some_and(|name| name.eq_ignore_ascii_case("DPoP"));
        let Some(cnf) = &answer.claims.cnf else {
            // Bound to a key that the answer does not name.
            return match (is_dpop, self.binding_required) {
                (true, _) => Err(Error::UnknownConfirmation),
                (false, true) => Err(Error::NotBound),
                (false, false) => Ok(()),
            };
        };
        if cnf.is_unknown() || (is_dpop && !cnf.binds_dpop_key()) {
            return Err(Error::UnknownConfirmation);
        }
        cnf.check_certificate(presented.certificate)?;
        if !cnf.binds_dpop_key() {
            return Ok(());
        }
        let (Some(policy), Some(request)) = (&self.dpop, &presented.dpop) else {
            return Err(Error::ProofMissing { what: "DPoP proof" });
        };
        let proof = policy.check(request, token, now, self.leeway.as_secs())?;
        cnf.check_dpop_key(&proof.key)?;
        match policy.store().consume(proof.entry).await {
            Ok(ReplayOutcome::Fresh) => Ok(()),
            Ok(ReplayOutcome::Replayed) => Err(Error::ProofReplayed),
            Err(error) => Err(Error::ReplayStore(error)),
        }
    }
}

/// Shows where is asked.
impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Asker").field(&self.http).finish()
    }
}

impl fmt::Debug for IntrospectionRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionRules")
            .field("issuer", &self.issuer)
            .field("audiences", &self.audiences)
            .finish_non_exhaustive()
    }
}
