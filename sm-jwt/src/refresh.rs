//! Rotation of refresh tokens: each serves once, and one that comes back ends its session.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::presented::Presented;
use crate::replay::{ReplayPolicy, STORE_SKEW};
use crate::revocation::{Revocation, RevocationStore};
use crate::token_type::TokenType;
use crate::verified::VerifiedToken;
use crate::verifier::Verifier;
use crate::verifier_builder::MAX_LEEWAY;

/// Takes refresh tokens (RFC 9700 section 4.14.2).
///
/// All tokens that come from one login have one `sid`. A refresh token is consumed when it is used, and its successor is
/// issued with the same `sid`. One that is used again was stolen, or its thief used it first: nobody can tell, so the
/// session is revoked, with all its refresh and access tokens.
///
/// ```
/// # async fn renew(rotation: &sm_jwt::RefreshRotation, issuer: &sm_jwt::Signer, token: &str)
/// #     -> Result<String, sm_jwt::Error> {
/// use std::time::Duration;
/// use sm_jwt::{Claims, NoExtra, Presented, TokenType, VerifiedToken};
/// let old: VerifiedToken = rotation.rotate(token, &Presented::new()).await?;
/// let next = Claims::builder()
///     .issuer(old.claims().issuer())
///     .subject(old.claims().subject())
///     .audience("auth")
///     .session(old.claims().session().unwrap_or_default())
///     .lifetime(Duration::from_secs(8 * 3600));
/// issuer.sign(&next, TokenType::Refresh, &NoExtra)
/// # }
/// ```
pub struct RefreshRotation {
    verifier: Arc<Verifier>,
    revocations: Arc<dyn RevocationStore>,
    /// In seconds.
    session_lifetime: u64,
    /// Seconds from a revocation until no verifier, whatever its leeway and its clock, takes a token of the session.
    session_end: u64,
}

impl RefreshRotation {
    /// Takes what `verifier` accepts. It must be for single-use refresh tokens and have a revocation store, of which
    /// sessions are revoked. `session_lifetime` is the longest lifetime of any token of a session: so long after it was
    /// revoked, and ten minutes more for leeway and clocks that differ, the session stays revoked.
    ///
    /// # Errors
    /// [`Error::Config`] for a verifier of other tokens, without a revocation store, or one that accepts tokens although its
    /// replay store fails: reuse would go unseen.
    pub fn new(verifier: Arc<Verifier>, session_lifetime: Duration) -> Result<Self, Error> {
        let wrong = |why: &str| Err(Error::Config(why.to_owned()));
        if verifier.token_type() != TokenType::Refresh
            || verifier.policy() != ReplayPolicy::SingleUse
        {
            return wrong("rotation needs a verifier for single-use refresh tokens");
        }
        if verifier.failures.accept_without_replay_check {
            return wrong("rotation needs a verifier that refuses when its replay store fails");
        }
        let Some(revocations) = verifier.revocation_store.clone() else {
            return wrong("rotation needs a verifier with a revocation store");
        };
        Ok(Self {
            verifier,
            revocations,
            session_lifetime: session_lifetime.as_secs(),
            session_end: session_lifetime
                .saturating_add(MAX_LEEWAY)
                .as_secs()
                .saturating_add(STORE_SKEW),
        })
    }

    /// Consumes a refresh token. Its successor is the caller's to issue, with the same `sid`.
    ///
    /// # Errors
    /// [`Error::Lifetime`] for a token that lives longer than a session. [`Error::RefreshReused`] for one that was used before: its session is revoked then. [`Error::Revoked`] for one
    /// whose session was; [`Error::MissingClaim`] without `sid`; else as [`Verifier::accept_with`]. When the session cannot
    /// be revoked the error is [`Error::RevocationStore`], and the reused token is refused all the same.
    pub async fn rotate<C: DeserializeOwned>(
        &self,
        token: &str,
        presented: &Presented<'_>,
    ) -> Result<VerifiedToken<C>, Error> {
        let checked = self.verifier.check_online(token, presented).await?;
        let claims = checked.token.claims();
        let session = claims
            .session()
            .ok_or_else(|| Error::missing_claim("sid"))?;
        // Its session's revocation would be forgotten before it ends.
        if claims.expires_at().saturating_sub(claims.issued_at()) > self.session_lifetime {
            return Err(Error::Lifetime);
        }
        match self
            .verifier
            .consume(&checked.claims_entry(&self.verifier))
            .await
        {
            Ok(()) => {
                // Whoever revoked meanwhile counts on no successor.
                self.verifier
                    .check_revocation(checked.token.claims())
                    .await?;
                Ok(checked.token)
            }
            Err(Error::Replayed) => {
                self.revoke(claims.issuer(), session).await?;
                Err(Error::RefreshReused)
            }
            Err(error) => Err(error),
        }
    }

    /// Revokes a session, for example at logout.
    ///
    /// # Errors
    /// [`Error::RevocationStore`].
    pub async fn revoke(&self, issuer: &str, session: &str) -> Result<(), Error> {
        let until = self
            .verifier
            .clock
            .unix_seconds()
            .saturating_add(self.session_end);
        self.revocations
            .revoke(Revocation::session(issuer, session, until))
            .await
            .map_err(Error::RevocationStore)
    }
}

impl fmt::Debug for RefreshRotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshRotation")
            .field("verifier", &self.verifier)
            .finish_non_exhaustive()
    }
}
