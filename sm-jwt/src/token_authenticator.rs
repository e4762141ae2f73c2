//! Requests that authenticate with an SM2 token.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use http::Extensions;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::authenticator::{Authenticated, AuthenticatedBy, Authenticator, Identity};
use crate::claims::NoExtra;
use crate::error::Error;
use crate::future::BoxFuture;
use crate::request_proof::ProofPlaces;
use crate::verified::VerifiedToken;
use crate::verifier::Verifier;

/// Takes tokens from `Authorization: Bearer` (RFC 6750) and, where a public origin is known, `Authorization: DPoP` with its
/// proof (RFC 9449).
///
/// Leaves [`Identity`] and `VerifiedToken<C>` in the request.
pub struct TokenAuthenticator<C = NoExtra> {
    verifier: Arc<Verifier>,
    proofs: ProofPlaces,
    leaves_opaque: bool,
    custom: PhantomData<fn() -> C>,
}

impl<C> TokenAuthenticator<C> {
    /// Tokens that this verifier accepts.
    #[must_use]
    pub fn new(verifier: Arc<Verifier>) -> Self {
        Self {
            verifier,
            proofs: ProofPlaces::default(),
            leaves_opaque: false,
            custom: PhantomData,
        }
    }

    /// Takes DPoP proofs for requests to this origin, such as `https://api.bank.example`: what clients see, which the
    /// request itself cannot say behind a proxy. Where a router takes off the start of the path before the layer sees it (axum's
    /// `Router::nest`), the origin has that start behind it: `https://api.bank.example/admin`. Without an origin, DPoP is no
    /// scheme of this way's.
    ///
    /// # Errors
    /// [`Error::Config`] for what is no `http` or `https` origin, with a path or without.
    pub fn public_origin(mut self, origin: &str) -> Result<Self, Error> {
        self.proofs.set_origin(origin)?;
        Ok(self)
    }

    /// Takes the value of a second factor from this header, in base64url.
    #[must_use]
    pub fn factor_header(mut self, name: HeaderName) -> Self {
        self.proofs.factor_header = Some(name);
        self
    }

    /// Leaves tokens that do not have the three parts of a JWT to the next way in the chain.
    #[must_use]
    pub fn leave_opaque_tokens(mut self) -> Self {
        self.leaves_opaque = true;
        self
    }
}

impl<C: DeserializeOwned + Send + Sync + 'static> TokenAuthenticator<C> {
    async fn check(&self, request: &Parts) -> Result<Option<Authenticated>, Error> {
        let Some((scheme, token)) = self.proofs.token(request)? else {
            return Ok(None);
        };
        if self.leaves_opaque && token.matches('.').count() != 2 {
            return Ok(None);
        }
        let proofs = self.proofs.read(request, scheme)?;
        let presented = proofs.presented();
        let verified: VerifiedToken<C> = self.verifier.accept_with(token, &presented).await?;
        let claims = verified.claims();
        proofs.check_used(claims.confirmation())?;
        let identity = Identity::of_token(AuthenticatedBy::Token, claims);
        Ok(Some(Authenticated::new(identity).with(verified)))
    }
}

impl<C: DeserializeOwned + Send + Sync + 'static> Authenticator for TokenAuthenticator<C> {
    fn authenticate<'a>(
        &'a self,
        request: &'a Parts,
    ) -> BoxFuture<'a, Result<Option<Authenticated>, Error>> {
        Box::pin(self.check(request))
    }

    fn clear(&self, extensions: &mut Extensions) {
        extensions.remove::<VerifiedToken<C>>();
    }

    fn challenges(&self, error: &Error) -> Vec<HeaderValue> {
        self.proofs
            .challenges(error, self.verifier.dpop_algorithm())
    }
}

impl<C> Clone for TokenAuthenticator<C> {
    fn clone(&self) -> Self {
        Self {
            verifier: Arc::clone(&self.verifier),
            proofs: self.proofs.clone(),
            leaves_opaque: self.leaves_opaque,
            custom: PhantomData,
        }
    }
}

impl<C> fmt::Debug for TokenAuthenticator<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenAuthenticator")
            .field("verifier", &self.verifier)
            .field("proofs", &self.proofs)
            .finish_non_exhaustive()
    }
}
