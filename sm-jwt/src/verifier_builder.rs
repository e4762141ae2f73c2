//! A verifier's decisions, collected.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::cache::SignatureCache;
use crate::clock::{Clock, SystemClock};
use crate::dpop::DpopPolicy;
use crate::error::Error;
use crate::factor::FactorKey;
use crate::issuer::Issuers;
use crate::key_id::KeyId;
use crate::keys::VerifyingKey;
use crate::limits::Limits;
use crate::profile::Profile;
use crate::replay::{ReplayPolicy, ReplayStore};
use crate::resolver::KeyResolver;
use crate::revocation::RevocationStore;
use crate::rules::Rules;
use crate::token_type::TokenType;
use crate::verifier::{Bindings, Counters, OnStoreFailure, Verifier};

/// The leeway unless another is set.
const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);
/// The most leeway that may be set: a larger one would be a longer lifetime in disguise.
pub(crate) const MAX_LEEWAY: Duration = Duration::from_secs(300);

impl Verifier {
    /// Starts a verifier for one type of token. Issuers and audiences must follow.
    pub fn builder(token_type: TokenType, policy: ReplayPolicy) -> VerifierBuilder {
        VerifierBuilder {
            token_type,
            policy,
            issuers: Issuers::default(),
            first_error: None,
            leeway: DEFAULT_LEEWAY,
            rules: Rules::default(),
            bindings: Bindings::default(),
            limits: Limits::default(),
            clock: Arc::new(SystemClock),
            cache: None,
            replay_store: None,
            revocation_store: None,
            failures: OnStoreFailure::default(),
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
    leeway: Duration,
    rules: Rules,
    bindings: Bindings,
    limits: Limits,
    clock: Arc<dyn Clock>,
    cache: Option<usize>,
    replay_store: Option<Arc<dyn ReplayStore>>,
    revocation_store: Option<Arc<dyn RevocationStore>>,
    failures: OnStoreFailure,
}

impl VerifierBuilder {
    /// Trusts an issuer, with its whole set of keys. An issuer is required at least once.
    ///
    /// A token's `iss` must be this name exactly, and its `kid` one of these. A name or key
    /// identifier given twice, or a public key registered twice under any name, fails
    /// [`build`](Self::build).
    pub fn issuer(
        mut self,
        issuer: impl Into<String>,
        keys: impl IntoIterator<Item = (KeyId, VerifyingKey, Profile)>,
    ) -> Self {
        let result = self.issuers.add(issuer.into(), keys);
        self.note(result);
        self
    }

    /// Trusts an issuer whose keys change while the service runs: a [`SharedKeySet`](crate::SharedKeySet), or keys that
    /// are fetched. That no other issuer has the same keys is not checked here: each speaks for its own name alone.
    pub fn issuer_keys(mut self, issuer: impl Into<String>, keys: Arc<dyn KeyResolver>) -> Self {
        let result = self.issuers.add_resolver(issuer.into(), keys);
        self.note(result);
        self
    }

    fn note(&mut self, result: Result<(), Error>) {
        if let Err(error) = result {
            self.first_error.get_or_insert(error);
        }
    }

    /// Names this service as an audience; a token must be meant for one of the names. Required at
    /// least once.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.rules.audiences.push(audience.into());
        self
    }

    /// Takes tokens about this subject alone.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.rules.subject = Some(subject.into());
        self
    }

    /// How far clocks may differ: whole seconds, 30 by default, at most 300.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Refuses tokens issued longer ago than this, whatever their `exp`. Whole seconds; a part of one is dropped.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.rules.max_age = Some(max_age.as_secs());
        self
    }

    /// Refuses tokens whose `exp - iat` is longer than this, however young. Whole seconds; a part of one is dropped.
    pub fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.rules.max_lifetime = Some(max_lifetime.as_secs());
        self
    }

    /// Refuses tokens without a claim of this name, or with `null` for it.
    pub fn require_claim(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.rules.required.insert(name.into());
        self
    }

    /// Refuses tokens without `tenant_id`.
    pub fn require_tenant(self) -> Self {
        self.require_claim("tenant_id")
    }

    /// Asks for all that RFC 9068 section 2.2 requires of an access token: `client_id`, besides what is required anyway.
    pub fn rfc9068(self) -> Self {
        self.require_claim("client_id")
    }

    /// Refuses tokens whose `amr` lacks this authentication method (RFC 8176). More than once: all are needed, such as
    /// `pwd` and `otp` for two factors.
    pub fn require_method(mut self, method: impl Into<String>) -> Self {
        self.rules.methods.push(method.into());
        self
    }

    /// Refuses tokens whose `acr` is none of these.
    pub fn require_class<A: Into<String>>(mut self, classes: impl IntoIterator<Item = A>) -> Self {
        self.rules
            .classes
            .extend(classes.into_iter().map(Into::into));
        self
    }

    /// Refuses tokens whose subject authenticated (`auth_time`) longer ago than this.
    pub fn max_authentication_age(mut self, max_age: Duration) -> Self {
        self.rules.max_authentication_age = Some(max_age.as_secs());
        self
    }

    /// Refuses tokens that are bound to nothing (`cnf`).
    pub fn require_binding(mut self) -> Self {
        self.bindings.required = true;
        self
    }

    /// Checks DPoP proofs. Without this, tokens that are bound to a DPoP key are refused.
    pub fn dpop(mut self, policy: DpopPolicy) -> Self {
        if !policy.is_sound() {
            self.note(Err(Error::Config(
                "a DPoP proof is at most 600 seconds old".to_owned(),
            )));
        }
        self.bindings.dpop = Some(policy);
        self
    }

    /// Knows a key of second factors. Without the right one, tokens with `ext.factor` are refused.
    pub fn factor_key(mut self, key: FactorKey) -> Self {
        let result = self.bindings.factor_keys.add(key);
        self.note(result);
        self
    }

    /// Takes tokens that are bound by `cnf` without a proof: for a service behind a gateway that has checked the proof,
    /// and that is reached through this gateway alone.
    pub fn confirmation_checked_elsewhere(mut self) -> Self {
        self.bindings.confirmation_checked_elsewhere = true;
        self
    }

    /// Takes tokens with `ext.factor` without the factor: for a service behind a gateway that has checked it, and that is
    /// reached through this gateway alone.
    pub fn factor_checked_elsewhere(mut self) -> Self {
        self.bindings.factor_checked_elsewhere = true;
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

    /// Remembers about so many tokens whose signature holds, at 40 to 80 bytes each, so that a token that is shown again
    /// costs a hash in place of a verification. All other checks are made every time.
    pub fn cache_signatures(mut self, tokens: usize) -> Self {
        self.cache = Some(tokens);
        self
    }

    /// Where single-use tokens are consumed. Required under [`ReplayPolicy::SingleUse`].
    pub fn replay_store(mut self, store: Arc<dyn ReplayStore>) -> Self {
        self.replay_store = Some(store);
        self
    }

    /// Who knows which tokens were revoked. Tokens then go through [`Verifier::accept`].
    pub fn revocation_store(mut self, store: Arc<dyn RevocationStore>) -> Self {
        self.revocation_store = Some(store);
        self
    }

    /// What no service should do lightly.
    pub fn dangerous(self) -> Dangerous {
        Dangerous(self)
    }

    /// The verifier.
    ///
    /// # Errors
    /// [`Error::Config`] for the first wrong registration, a missing issuer, audience or replay
    /// store, a store that no policy would use, or a leeway above 300 seconds.
    pub fn build(mut self) -> Result<Verifier, Error> {
        if let Some(error) = self.first_error {
            return Err(error);
        }
        let wrong = |why: &str| Err(Error::Config(why.to_owned()));
        if self.issuers.is_empty() {
            return wrong("a verifier needs an issuer");
        }
        let audiences = &self.rules.audiences;
        if audiences.is_empty() || audiences.iter().any(String::is_empty) {
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
        let proofs = self.bindings.dpop.as_ref().map(DpopPolicy::store);
        let stores = self.replay_store.as_deref().into_iter().chain(proofs);
        for skew in stores.filter_map(ReplayStore::skew) {
            if skew < self.leeway {
                return wrong("the leeway is longer than the skew that a replay store allows for");
            }
        }
        if self.bindings.confirmation_checked_elsewhere && self.bindings.dpop.is_some() {
            return wrong("DPoP proofs are checked elsewhere, and by a policy of this verifier");
        }
        self.rules.leeway = self.leeway.as_secs();
        Ok(Verifier {
            token_type: self.token_type,
            policy: self.policy,
            issuers: self.issuers,
            rules: self.rules,
            bindings: self.bindings,
            limits: self.limits,
            clock: self.clock,
            cache: self
                .cache
                .filter(|tokens| *tokens > 0)
                .map(SignatureCache::new),
            replay_store: self.replay_store,
            revocation_store: self.revocation_store,
            failures: self.failures,
            counters: Counters::default(),
        })
    }
}

impl fmt::Debug for VerifierBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifierBuilder")
            .field("token_type", &self.token_type)
            .field("policy", &self.policy)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// Choices that let tokens pass which could not be checked. Each pass is counted: [`Verifier::unchecked`].
#[derive(Debug)]
#[must_use]
pub struct Dangerous(VerifierBuilder);

impl Dangerous {
    /// Accepts a token whose revocation cannot be looked up because the store cannot be reached: a revoked token passes
    /// until it expires. Choose it where tokens live for minutes and standing still is worse.
    pub fn accept_when_revocation_store_fails(mut self) -> VerifierBuilder {
        self.0.failures.accept_without_revocation_check = true;
        self.0
    }

    /// Accepts a single-use token or a DPoP proof although the replay store cannot be reached: it may be used any number of
    /// times. Never for what moves money.
    pub fn accept_when_replay_store_fails(mut self) -> VerifierBuilder {
        self.0.failures.accept_without_replay_check = true;
        self.0
    }
}
