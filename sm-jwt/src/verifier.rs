//! From an unverified token to a verified one; there is no other way to make a [`VerifiedToken`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::claims::{Claims, NoExtra};
use crate::clock::{Clock, SystemClock};
use crate::crypto::{self, SIGNATURE_LEN, VerifyItem};
use crate::error::Error;
use crate::header::Header;
use crate::issuer::{Issuers, RegisteredKey};
use crate::json;
use crate::key_id::KeyId;
use crate::keys::VerifyingKey;
use crate::limits::Limits;
use crate::profile::Profile;
use crate::replay::{ReplayEntry, ReplayKey, ReplayOutcome, ReplayPolicy, ReplayStore};
use crate::token::UnverifiedToken;
use crate::token_type::TokenType;

/// The leeway unless another is set.
const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);
/// The most leeway that may be set: a larger one would be a longer lifetime in disguise.
const MAX_LEEWAY: Duration = Duration::from_secs(300);
/// How much longer than needed a consumed `jti` is kept, for clocks that differ between instances.
const STORE_SKEW: u64 = 300;

/// A token whose signature and claims were checked.
///
/// `C` holds the custom claims, read by serde from the whole payload. Cloning is cheap: the contents
/// are shared.
pub struct VerifiedToken<C = NoExtra>(Arc<Inner<C>>);

struct Inner<C> {
    header: Header,
    claims: Claims,
    extra: C,
    token_type: TokenType,
}

impl<C> VerifiedToken<C> {
    /// The registered claims.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.0.claims
    }

    /// The custom claims.
    #[must_use]
    pub fn extra(&self) -> &C {
        &self.0.extra
    }

    /// The protected header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.0.header
    }

    /// The identifier of the key that signed.
    #[must_use]
    pub fn kid(&self) -> &str {
        self.0.header.kid()
    }

    /// What the token is for.
    #[must_use]
    pub fn token_type(&self) -> TokenType {
        self.0.token_type
    }
}

impl<C> Clone for VerifiedToken<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Shows which token it is, not what it says.
impl<C> fmt::Debug for VerifiedToken<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken")
            .field("typ", &self.0.token_type.as_str())
            .field("kid", &self.kid())
            .field("jti", &self.claims().token_id())
            .finish_non_exhaustive()
    }
}

/// Checks tokens of one type against registered issuers and keys.
///
/// Build it once with [`Verifier::builder`] and share it in an [`Arc`].
pub struct Verifier {
    token_type: TokenType,
    policy: ReplayPolicy,
    issuers: Issuers,
    audiences: Vec<String>,
    leeway: u64,
    max_age: Option<u64>,
    max_lifetime: Option<u64>,
    require_tenant: bool,
    limits: Limits,
    clock: Arc<dyn Clock>,
    replay_store: Option<Arc<dyn ReplayStore>>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("token_type", &self.token_type)
            .field("policy", &self.policy)
            .field("audiences", &self.audiences)
            .finish_non_exhaustive()
    }
}

impl Verifier {
    /// Starts a verifier for one type of token. Issuers and audiences must follow.
    pub fn builder(token_type: TokenType, policy: ReplayPolicy) -> VerifierBuilder {
        VerifierBuilder {
            token_type,
            policy,
            issuers: Issuers::default(),
            first_error: None,
            audiences: Vec::new(),
            leeway: DEFAULT_LEEWAY,
            max_age: None,
            max_lifetime: None,
            require_tenant: false,
            limits: Limits::default(),
            clock: Arc::new(SystemClock),
            replay_store: None,
        }
    }

    /// The type of token that this verifier takes.
    #[must_use]
    pub fn token_type(&self) -> TokenType {
        self.token_type
    }

    /// Whether a token may be accepted more than once.
    #[must_use]
    pub fn policy(&self) -> ReplayPolicy {
        self.policy
    }

    /// The limits on untrusted tokens, for [`UnverifiedToken::parse`].
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Checks a multi-use token offline: no waiting, no I/O.
    ///
    /// # Errors
    /// The first rule that fails; [`Error::ReplayCheckRequired`] under [`ReplayPolicy::SingleUse`],
    /// because such a token is not verified before its `jti` is consumed.
    pub fn verify<C: DeserializeOwned>(
        &self,
        token: UnverifiedToken,
    ) -> Result<VerifiedToken<C>, Error> {
        self.require_multi_use()?;
        self.check_one(token)
    }

    /// Checks several tokens offline, one result an item in the same order. The signature
    /// arithmetic is shared among them.
    ///
    /// # Errors
    /// Each item's own, as [`verify`](Self::verify).
    pub fn verify_many<C: DeserializeOwned>(
        &self,
        tokens: impl IntoIterator<Item = UnverifiedToken>,
    ) -> Vec<Result<VerifiedToken<C>, Error>> {
        let tokens: Vec<_> = tokens.into_iter().collect();
        match self.require_multi_use() {
            Ok(()) => self.check_many(tokens),
            Err(_) => tokens
                .iter()
                .map(|_| Err(Error::ReplayCheckRequired))
                .collect(),
        }
    }

    /// Reads and checks a token and, under [`ReplayPolicy::SingleUse`], consumes its `jti` last of
    /// all. Dropping the future half-way may have consumed it: the token is then lost, never
    /// accepted twice.
    ///
    /// # Errors
    /// The first rule that fails; [`Error::Replayed`] for a token that was consumed before, and
    /// [`Error::ReplayStore`] when the store cannot say.
    pub async fn accept<C: DeserializeOwned>(
        &self,
        token: &str,
    ) -> Result<VerifiedToken<C>, Error> {
        let verified = self.check_one(UnverifiedToken::parse(token, &self.limits)?)?;
        if self.policy == ReplayPolicy::SingleUse {
            let entry = self.replay_entry(verified.claims());
            let store = self
                .replay_store
                .as_ref()
                .ok_or(Error::ReplayCheckRequired)?;
            match store.consume(entry).await {
                Ok(ReplayOutcome::Fresh) => {}
                Ok(ReplayOutcome::Replayed) => return Err(Error::Replayed),
                Err(error) => return Err(Error::ReplayStore(error)),
            }
        }
        Ok(verified)
    }

    fn require_multi_use(&self) -> Result<(), Error> {
        match self.policy {
            ReplayPolicy::MultiUse => Ok(()),
            ReplayPolicy::SingleUse => Err(Error::ReplayCheckRequired),
        }
    }

    fn replay_entry(&self, claims: &Claims) -> ReplayEntry {
        let key = ReplayKey::new(self.token_type.as_str(), &claims.iss, &claims.jti);
        let keep_until = claims
            .exp
            .saturating_add(self.leeway)
            .saturating_add(STORE_SKEW);
        ReplayEntry::new(key, claims.iat, keep_until)
    }

    /// Everything but the replay check; the batch of one.
    fn check_one<C: DeserializeOwned>(
        &self,
        token: UnverifiedToken,
    ) -> Result<VerifiedToken<C>, Error> {
        self.check_many(vec![token])
            .pop()
            .unwrap_or(Err(Error::BadSignature))
    }

    fn check_many<C: DeserializeOwned>(
        &self,
        tokens: Vec<UnverifiedToken>,
    ) -> Vec<Result<VerifiedToken<C>, Error>> {
        let chosen: Vec<_> = tokens.iter().map(|token| self.choose_key(token)).collect();
        let items: Vec<_> = tokens
            .iter()
            .zip(&chosen)
            .filter_map(|(token, chosen)| {
                let (registered, signature) = chosen.as_ref().ok()?;
                Some(VerifyItem {
                    key: registered.key.point(),
                    z: &registered.z,
                    message: token.signing_input.as_bytes(),
                    signature,
                })
            })
            .collect();
        let mut holds = crypto::verify_many(&items).into_iter();
        let chosen: Vec<_> = chosen
            .into_iter()
            .map(|chosen| {
                let (registered, _) = chosen?;
                // One answer for each item that reached the arithmetic, in the same order.
                match holds.next() {
                    Some(true) => Ok(registered),
                    _ => Err(Error::BadSignature),
                }
            })
            .collect();
        tokens
            .into_iter()
            .zip(chosen)
            .map(|(token, registered)| self.finish(token, registered?))
            .collect()
    }

    /// The registered key that the token names, once the header agrees with its profile.
    fn choose_key(
        &self,
        token: &UnverifiedToken,
    ) -> Result<(&RegisteredKey, [u8; SIGNATURE_LEN]), Error> {
        let header = &token.header;
        if !self.token_type.matches(&header.typ) {
            return Err(Error::TypeMismatch {
                expected: self.token_type.as_str(),
            });
        }
        let registered = self.issuers.find(token.claims.issuer(), header.kid())?;
        let profile = &registered.profile;
        if header.alg != profile.alg() {
            return Err(Error::AlgorithmMismatch);
        }
        if header.crv() != profile.crv() {
            return Err(Error::CurveMismatch);
        }
        let signature = profile
            .encoding()
            .decode(&token.signature)
            .ok_or(Error::BadSignature)?;
        Ok((registered, signature))
    }

    /// The checks after the signature: from here on the claims are the issuer's words.
    fn finish<C: DeserializeOwned>(
        &self,
        token: UnverifiedToken,
        registered: &RegisteredKey,
    ) -> Result<VerifiedToken<C>, Error> {
        let claims = &token.claims;
        match claims.sm2_kid() {
            Some(kid) if kid == token.header.kid() => {}
            Some(_) => return Err(Error::KidMismatch),
            None if registered.profile.kid_claim_required() => {
                return Err(Error::MissingClaim { claim: "sm2_kid" });
            }
            None => {}
        }
        if !claims.aud.iter().any(|aud| self.audiences.contains(aud)) {
            return Err(Error::WrongAudience);
        }
        if self.require_tenant && claims.tenant_id.is_none() {
            return Err(Error::MissingClaim { claim: "tenant_id" });
        }
        self.check_times(claims)?;
        let extra = serde_json::from_slice(&token.payload).map_err(|error| Error::ExtraClaims {
            detail: json::describe(&error),
        })?;
        Ok(VerifiedToken(Arc::new(Inner {
            header: token.header,
            claims: token.claims,
            extra,
            token_type: self.token_type,
        })))
    }

    fn check_times(&self, claims: &Claims) -> Result<(), Error> {
        // One reading for all the rules: they see the same moment.
        let now = self.clock.unix_seconds();
        let leeway = self.leeway;
        if now >= claims.exp.saturating_add(leeway) {
            return Err(Error::Expired);
        }
        let latest_start = now.saturating_add(leeway);
        if claims.nbf.is_some_and(|nbf| nbf > latest_start) {
            return Err(Error::NotYetValid);
        }
        if claims.iat > latest_start {
            return Err(Error::IssuedInFuture);
        }
        if let Some(max_age) = self.max_age {
            let age = now.saturating_sub(claims.iat);
            if age > max_age.saturating_add(leeway) {
                return Err(Error::TooOld);
            }
        }
        match claims.exp.checked_sub(claims.iat) {
            None | Some(0) => Err(Error::Lifetime),
            Some(lifetime) if self.max_lifetime.is_some_and(|max| lifetime > max) => {
                Err(Error::Lifetime)
            }
            Some(_) => Ok(()),
        }
    }
}

/// Collects a verifier's decisions. See [`Verifier::builder`].
#[must_use]
pub struct VerifierBuilder {
    token_type: TokenType,
    policy: ReplayPolicy,
    issuers: Issuers,
    first_error: Option<Error>,
    audiences: Vec<String>,
    leeway: Duration,
    max_age: Option<Duration>,
    max_lifetime: Option<Duration>,
    require_tenant: bool,
    limits: Limits,
    clock: Arc<dyn Clock>,
    replay_store: Option<Arc<dyn ReplayStore>>,
}

impl VerifierBuilder {
    /// Trusts an issuer, with its whole set of keys. Required at least once.
    ///
    /// A token's `iss` must be this name exactly, and its `kid` one of these. A name or key
    /// identifier given twice, or a public key registered twice under any name, fails
    /// [`build`](Self::build).
    pub fn issuer(
        mut self,
        issuer: impl Into<String>,
        keys: impl IntoIterator<Item = (KeyId, VerifyingKey, Profile)>,
    ) -> Self {
        if let Err(error) = self.issuers.add(issuer.into(), keys) {
            self.first_error.get_or_insert(error);
        }
        self
    }

    /// Names this service as an audience; a token must be meant for one of the names. Required at
    /// least once.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// How far clocks may differ: whole seconds, 30 by default, at most 300.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Refuses tokens issued longer ago than this, whatever their `exp`.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Refuses tokens whose `exp - iat` is longer than this, however young.
    pub fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.max_lifetime = Some(max_lifetime);
        self
    }

    /// Refuses tokens without `tenant_id`.
    pub fn require_tenant(mut self) -> Self {
        self.require_tenant = true;
        self
    }

    /// Other limits on untrusted tokens.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Another clock than the operating system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Where single-use tokens are consumed. Required under [`ReplayPolicy::SingleUse`].
    pub fn replay_store(mut self, store: Arc<dyn ReplayStore>) -> Self {
        self.replay_store = Some(store);
        self
    }

    /// The verifier.
    ///
    /// # Errors
    /// [`Error::Config`] for the first wrong registration, a missing issuer, audience or replay
    /// store, a store that no policy would use, or a leeway above 300 seconds.
    pub fn build(self) -> Result<Verifier, Error> {
        if let Some(error) = self.first_error {
            return Err(error);
        }
        let wrong = |why: &str| Err(Error::Config(why.to_owned()));
        if self.issuers.is_empty() {
            return wrong("a verifier needs an issuer");
        }
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return wrong("a verifier needs an audience with a name");
        }
        if self.leeway > MAX_LEEWAY {
            return wrong("a leeway is at most 300 seconds");
        }
        match (self.policy, &self.replay_store) {
            (ReplayPolicy::SingleUse, None) => {
                return wrong("single-use tokens need a replay store");
            }
            (ReplayPolicy::MultiUse, Some(_)) => {
                return wrong("a replay store is given, but multi-use tokens never use it");
            }
            _ => {}
        }
        Ok(Verifier {
            token_type: self.token_type,
            policy: self.policy,
            issuers: self.issuers,
            audiences: self.audiences,
            leeway: self.leeway.as_secs(),
            max_age: self.max_age.map(|age| age.as_secs()),
            max_lifetime: self.max_lifetime.map(|lifetime| lifetime.as_secs()),
            require_tenant: self.require_tenant,
            limits: self.limits,
            clock: self.clock,
            replay_store: self.replay_store,
        })
    }
}

impl fmt::Debug for VerifierBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifierBuilder")
            .field("token_type", &self.token_type)
            .field("policy", &self.policy)
            .field("audiences", &self.audiences)
            .finish_non_exhaustive()
    }
}
