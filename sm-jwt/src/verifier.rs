//! From an unverified token to a verified one; there is no other way to make a [`VerifiedToken`].

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::de::DeserializeOwned;

use crate::cache::{CacheKey, SignatureCache};
use crate::claims::Claims;
use crate::clock::Clock;
use crate::crypto::{self, SIGNATURE_LEN, VerifyItem};
use crate::dpop::{DpopPolicy, Proof};
use crate::error::{Error, StoreError};
use crate::factor::FactorKeys;
use crate::issuer::{Chosen, Issuers};
use crate::json;
use crate::limits::Limits;
use crate::presented::Presented;
use crate::replay::{ReplayEntry, ReplayKey, ReplayOutcome, ReplayPolicy, ReplayStore, STORE_SKEW};
use crate::revocation::{RevocationQuery, RevocationStore};
use crate::rules::Rules;
use crate::token::UnverifiedToken;
use crate::token_type::TokenType;
use crate::verified::VerifiedToken;

/// Checks tokens of one type against registered issuers and keys.
///
/// Build it once with [`Verifier::builder`] and share it in an [`Arc`].
pub struct Verifier {
    pub(crate) token_type: TokenType,
    pub(crate) policy: ReplayPolicy,
    pub(crate) issuers: Issuers,
    pub(crate) rules: Rules,
    pub(crate) bindings: Bindings,
    pub(crate) limits: Limits,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cache: Option<SignatureCache>,
    pub(crate) replay_store: Option<Arc<dyn ReplayStore>>,
    pub(crate) revocation_store: Option<Arc<dyn RevocationStore>>,
    pub(crate) failures: OnStoreFailure,
    pub(crate) counters: Counters,
}

/// What a verifier does about tokens that are bound to something.
#[derive(Debug, Default)]
pub(crate) struct Bindings {
    /// A token must be bound.
    pub(crate) required: bool,
    /// `cnf` was checked before, by whoever this service stands behind.
    pub(crate) confirmation_checked_elsewhere: bool,
    /// `ext.factor` was checked before, by whoever this service stands behind.
    pub(crate) factor_checked_elsewhere: bool,
    pub(crate) dpop: Option<DpopPolicy>,
    pub(crate) factor_keys: FactorKeys,
}

/// Whether a token passes when a store cannot be reached. Never, unless an operator chose otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OnStoreFailure {
    pub(crate) accept_without_replay_check: bool,
    pub(crate) accept_without_revocation_check: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    without_replay_check: AtomicU64,
    without_revocation_check: AtomicU64,
}

/// How often a verifier has let a token pass although a store failed: see
/// [`VerifierBuilder::dangerous`](crate::VerifierBuilder::dangerous).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unchecked {
    /// Tokens and proofs whose `jti` no store has recorded: they may have been used before, or again.
    pub replay: u64,
    /// Tokens that may have been revoked.
    pub revocation: u64,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("token_type", &self.token_type)
            .field("policy", &self.policy)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// A token that passed every check but those that ask a store.
pub(crate) struct Checked<C> {
    pub(crate) token: VerifiedToken<C>,
    /// The request's DPoP proof, whose `jti` is not consumed yet.
    proof: Option<Proof>,
}

/// What is known of a token's signature before it is checked.
#[derive(Default)]
struct Known {
    key: Option<CacheKey>,
    /// It held before.
    holds: bool,
}

fn verify_item<'a>(
    token: &'a UnverifiedToken,
    chosen: &'a Chosen,
    signature: &'a [u8; SIGNATURE_LEN],
) -> VerifyItem<'a> {
    VerifyItem {
        key: chosen.key.key().point(),
        hash: chosen.key.profile().hash(),
        z: chosen.key.z(),
        message: token.signing_input().as_bytes(),
        signature,
    }
}

impl Verifier {
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

    /// How often a token passed although a store failed.
    #[must_use]
    pub fn unchecked(&self) -> Unchecked {
        Unchecked {
            replay: self.counters.without_replay_check.load(Ordering::Relaxed),
            revocation: self
                .counters
                .without_revocation_check
                .load(Ordering::Relaxed),
        }
    }

    /// The nonce for the header `DPoP-Nonce` of a response, if DPoP proofs need one (RFC 9449 section 8).
    #[must_use]
    pub fn dpop_nonce(&self) -> Option<String> {
        self.bindings
            .dpop
            .as_ref()?
            .nonce(self.clock.unix_seconds())
    }

    /// The `alg` that DPoP proofs have, if they are checked.
    #[cfg(feature = "tower")]
    pub(crate) fn dpop_algorithm(&self) -> Option<&str> {
        Some(self.bindings.dpop.as_ref()?.algorithm())
    }

    /// Checks a multi-use token offline: no waiting, no I/O.
    ///
    /// # Errors
    /// The first rule that fails; [`Error::ReplayCheckRequired`] under [`ReplayPolicy::SingleUse`],
    /// because such a token is not verified before its `jti` is consumed, and
    /// [`Error::RevocationCheckRequired`] with a revocation store.
    pub fn verify<C: DeserializeOwned>(
        &self,
        token: UnverifiedToken,
    ) -> Result<VerifiedToken<C>, Error> {
        self.verify_with(token, &Presented::new())
    }

    /// Checks a multi-use token offline, together with what the request proves.
    ///
    /// # Errors
    /// As [`verify`](Self::verify); [`Error::ReplayCheckRequired`] also for a token that is bound to a DPoP key, because a
    /// proof is not checked before its `jti` is consumed.
    pub fn verify_with<C: DeserializeOwned>(
        &self,
        token: UnverifiedToken,
        presented: &Presented<'_>,
    ) -> Result<VerifiedToken<C>, Error> {
        self.require_offline()?;
        let checked = self.check_one(token, presented)?;
        match checked.proof {
            None => Ok(checked.token),
            Some(_) => Err(Error::ReplayCheckRequired),
        }
    }

    /// Checks several tokens offline, one result an item in the same order. Hashing and the arithmetic of the signatures
    /// are shared among them, as far as the CPU has lanes for it; without AVX-512 that is little.
    ///
    /// # Errors
    /// Each item's own, as [`verify`](Self::verify).
    pub fn verify_many<C: DeserializeOwned>(
        &self,
        tokens: impl IntoIterator<Item = UnverifiedToken>,
    ) -> Vec<Result<VerifiedToken<C>, Error>> {
        let tokens: Vec<_> = tokens.into_iter().collect();
        if self.require_offline().is_err() {
            return tokens
                .iter()
                .map(|_| Err(self.require_offline().err().unwrap_or(Error::BadSignature)))
                .collect();
        }
        self.check_many(tokens, &Presented::new())
            .into_iter()
            .map(|checked| checked.map(|checked| checked.token))
            .collect()
    }

    /// Reads and checks a token that came alone; see [`accept_with`](Self::accept_with).
    ///
    /// # Errors
    /// As [`accept_with`](Self::accept_with).
    pub async fn accept<C: DeserializeOwned>(
        &self,
        token: &str,
    ) -> Result<VerifiedToken<C>, Error> {
        self.accept_with(token, &Presented::new()).await
    }

    /// Reads and checks a token with what the request proves, asks for the issuer's newer keys where its key is not known
    /// and the issuer's [`KeyResolver`](crate::KeyResolver) has a way to get them, asks the revocation store, and
    /// under [`ReplayPolicy::SingleUse`] consumes the token's `jti`, last of all. Dropping the future half-way may have
    /// consumed it: the token is then lost, never accepted twice.
    ///
    /// # Errors
    /// The first rule that fails; [`Error::Replayed`] for a token and [`Error::ProofReplayed`] for a DPoP proof that was consumed
    /// before, [`Error::Revoked`], and [`Error::ReplayStore`] or [`Error::RevocationStore`] when a store cannot say.
    pub async fn accept_with<C: DeserializeOwned>(
        &self,
        token: &str,
        presented: &Presented<'_>,
    ) -> Result<VerifiedToken<C>, Error> {
        let checked = self.check_online(token, presented).await?;
        if self.policy == ReplayPolicy::SingleUse {
            self.consume(&checked.claims_entry(self)).await?;
        }
        Ok(checked.token)
    }

    /// Everything but the consumption of the token's own `jti`.
    pub(crate) async fn check_online<C: DeserializeOwned>(
        &self,
        token: &str,
        presented: &Presented<'_>,
    ) -> Result<Checked<C>, Error> {
        let unverified = UnverifiedToken::parse(token, &self.limits)?;
        self.refresh_keys_for(&unverified).await?;
        let checked = self.check_one(unverified, presented)?;
        self.check_revocation(checked.token.claims()).await?;
        if let Some(proof) = &checked.proof
            && let Some(dpop) = &self.bindings.dpop
        {
            let outcome = dpop.store().consume(proof.entry.clone()).await;
            self.fresh(outcome).map_err(|error| match error {
                Error::Replayed => Error::ProofReplayed,
                other => other,
            })?;
        }
        Ok(checked)
    }

    /// Newer keys, where the token names one that is not known. What is of no use to this verifier anyway sets nothing
    /// in motion.
    async fn refresh_keys_for(&self, token: &UnverifiedToken) -> Result<(), Error> {
        if !self.token_type.matches(&token.header.typ) {
            return Ok(());
        }
        let (issuer, kid) = (token.claims.issuer(), token.header.kid());
        match self.issuers.find(issuer, kid) {
            Err(Error::UnknownKey { .. } | Error::KeysUnavailable(_)) => {
                self.issuers.resolver(issuer)?.refresh(kid).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(crate) async fn check_revocation(&self, claims: &Claims) -> Result<(), Error> {
        let Some(store) = &self.revocation_store else {
            return Ok(());
        };
        match store.is_revoked(&RevocationQuery::of(claims)).await {
            Ok(false) => Ok(()),
            Ok(true) => Err(Error::Revoked),
            Err(StoreError::Unavailable(_)) if self.failures.accept_without_revocation_check => {
                self.counters
                    .without_revocation_check
                    .fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(Error::RevocationStore(error)),
        }
    }

    /// Consumes a `jti` of a token.
    pub(crate) async fn consume(&self, entry: &ReplayEntry) -> Result<(), Error> {
        let store = self
            .replay_store
            .as_ref()
            .ok_or(Error::ReplayCheckRequired)?;
        self.fresh(store.consume(entry.clone()).await)
    }

    fn fresh(&self, outcome: Result<ReplayOutcome, StoreError>) -> Result<(), Error> {
        match outcome {
            Ok(ReplayOutcome::Fresh) => Ok(()),
            Ok(ReplayOutcome::Replayed) => Err(Error::Replayed),
            Err(StoreError::Unavailable(_)) if self.failures.accept_without_replay_check => {
                self.counters
                    .without_replay_check
                    .fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(Error::ReplayStore(error)),
        }
    }

    /// Whether all checks can be made without asking a store.
    pub(crate) fn require_offline(&self) -> Result<(), Error> {
        match self.policy {
            ReplayPolicy::SingleUse => Err(Error::ReplayCheckRequired),
            ReplayPolicy::MultiUse if self.revocation_store.is_some() => {
                Err(Error::RevocationCheckRequired)
            }
            ReplayPolicy::MultiUse => Ok(()),
        }
    }

    /// Everything that asks no store.
    fn check_one<C: DeserializeOwned>(
        &self,
        token: UnverifiedToken,
        presented: &Presented<'_>,
    ) -> Result<Checked<C>, Error> {
        let (chosen, signature) = self.choose_key(&token)?;
        let known = self.known(&token, &chosen);
        let holds = known.holds || crypto::verify(&verify_item(&token, &chosen, &signature));
        if !holds {
            return Err(Error::BadSignature);
        }
        self.remember(&known);
        self.finish(token, &chosen, presented)
    }

    /// [`check_one`](Self::check_one) for many tokens, whose signatures are checked together.
    fn check_many<C: DeserializeOwned>(
        &self,
        tokens: Vec<UnverifiedToken>,
        presented: &Presented<'_>,
    ) -> Vec<Result<Checked<C>, Error>> {
        let chosen: Vec<_> = tokens.iter().map(|token| self.choose_key(token)).collect();
        let held: Vec<_> = self.check_signatures(&tokens, &chosen);
        tokens
            .into_iter()
            .zip(chosen)
            .zip(held)
            .map(|((token, chosen), holds)| {
                let (chosen, _) = chosen?;
                match holds {
                    true => self.finish(token, &chosen, presented),
                    false => Err(Error::BadSignature),
                }
            })
            .collect()
    }

    /// Whether the signature of each token that has a key holds.
    fn check_signatures(
        &self,
        tokens: &[UnverifiedToken],
        chosen: &[Result<(Chosen, [u8; SIGNATURE_LEN]), Error>],
    ) -> Vec<bool> {
        let mut held = vec![false; tokens.len()];
        let mut items = Vec::with_capacity(tokens.len());
        let mut waiting = Vec::with_capacity(tokens.len());
        for ((token, chosen), place) in tokens.iter().zip(chosen).zip(held.iter_mut()) {
            let Ok((chosen, signature)) = chosen else {
                continue;
            };
            let known = self.known(token, chosen);
            if known.holds {
                *place = true;
                continue;
            }
            items.push(verify_item(token, chosen, signature));
            waiting.push((place, known));
        }
        // One answer for each item, in the same order.
        for ((place, known), holds) in waiting.into_iter().zip(crypto::verify_many(&items)) {
            *place = holds;
            if holds {
                self.remember(&known);
            }
        }
        held
    }

    /// What the memory for signatures says of a token.
    fn known(&self, token: &UnverifiedToken, chosen: &Chosen) -> Known {
        let Some(cache) = &self.cache else {
            return Known::default();
        };
        let key = CacheKey::new(chosen.generation, chosen.key.kid().as_str(), &token.text);
        Known {
            holds: cache.holds(&key),
            key: Some(key),
        }
    }

    /// A token's signature holds.
    fn remember(&self, known: &Known) {
        if let (Some(cache), Some(key), false) = (&self.cache, &known.key, known.holds) {
            cache.remember(key);
        }
    }

    /// The registered key that the token names, once the header agrees with its profile.
    fn choose_key(&self, token: &UnverifiedToken) -> Result<(Chosen, [u8; SIGNATURE_LEN]), Error> {
        let header = &token.header;
        if !self.token_type.matches(&header.typ) {
            return Err(Error::TypeMismatch {
                expected: self.token_type.as_str(),
            });
        }
        let chosen = self.issuers.find(token.claims.issuer(), header.kid())?;
        let profile = chosen.key.profile();
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
        Ok((chosen, signature))
    }

    /// The checks after the signature: from here on the claims are the issuer's words.
    fn finish<C: DeserializeOwned>(
        &self,
        token: UnverifiedToken,
        chosen: &Chosen,
        presented: &Presented<'_>,
    ) -> Result<Checked<C>, Error> {
        let claims = &token.claims;
        match claims.sm2_kid() {
            Some(kid) if kid == token.header.kid() => {}
            Some(_) => return Err(Error::KidMismatch),
            None if chosen.key.profile().kid_claim_required() => {
                return Err(Error::missing_claim("sm2_kid"));
            }
            None => {}
        }
        // One reading for all the rules: they see the same moment.
        let now = self.clock.unix_seconds();
        self.rules.check(claims, &token.payload, now)?;
        let proof = self.check_bindings(&token, presented, now)?;
        let extra = serde_json::from_slice(&token.payload).map_err(|error| Error::ExtraClaims {
            detail: json::describe(&error),
        })?;
        Ok(Checked {
            token: VerifiedToken::new(token.header, token.claims, extra, self.token_type),
            proof,
        })
    }

    fn check_bindings(
        &self,
        token: &UnverifiedToken,
        presented: &Presented<'_>,
        now: u64,
    ) -> Result<Option<Proof>, Error> {
        let (claims, bindings) = (&token.claims, &self.bindings);
        if !bindings.factor_checked_elsewhere {
            bindings
                .factor_keys
                .check(&claims.ext, &claims.bound(), presented.factor)?;
        }
        let Some(cnf) = &claims.cnf else {
            return match bindings.required {
                true => Err(Error::NotBound),
                false => Ok(None),
            };
        };
        if bindings.confirmation_checked_elsewhere {
            // An empty `cnf` binds to nothing, whoever looked at it.
            return match bindings.required && cnf.is_empty() {
                true => Err(Error::NotBound),
                false => Ok(None),
            };
        }
        if cnf.is_unknown() {
            return Err(Error::UnknownConfirmation);
        }
        cnf.check_certificate(presented.certificate)?;
        if !cnf.binds_dpop_key() {
            return Ok(None);
        }
        const WHAT: &str = "DPoP proof";
        let missing = Error::ProofMissing { what: WHAT };
        let (Some(policy), Some(request)) = (&bindings.dpop, &presented.dpop) else {
            return Err(missing);
        };
        let proof = policy.check(request, &token.text, now, self.rules.leeway)?;
        cnf.check_dpop_key(&proof.key)?;
        Ok(Some(proof))
    }
}

impl<C> Checked<C> {
    /// The entry of the token's `jti`.
    pub(crate) fn claims_entry(&self, verifier: &Verifier) -> ReplayEntry {
        let claims = self.token.claims();
        let key = ReplayKey::new(verifier.token_type.as_str(), &claims.iss, &claims.jti);
        let keep_until = claims
            .exp
            .saturating_add(verifier.rules.leeway)
            .saturating_add(STORE_SKEW);
        ReplayEntry::new(key, claims.iat, keep_until)
    }
}
