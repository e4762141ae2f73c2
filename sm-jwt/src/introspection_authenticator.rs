//! Requests that authenticate with a token that its issuer is asked about.

use std::sync::Arc;

use http::Extensions;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;

use crate::authenticator::{Authenticated, AuthenticatedBy, Authenticator, Identity};
use crate::error::Error;
use crate::future::BoxFuture;
use crate::introspected::IntrospectedToken;
use crate::introspection::IntrospectionClient;
use crate::request_proof::ProofPlaces;

/// Takes tokens from `Authorization: Bearer` (RFC 6750) and, where a public origin is known, `Authorization: DPoP` with its
/// proof (RFC 9449), and asks their issuer about them (RFC 7662).
///
/// Leaves [`Identity`] and [`IntrospectedToken`] in the request. A token without `sub` is refused: it speaks for nobody.
///
/// Behind [`TokenAuthenticator::leave_opaque_tokens`](crate::TokenAuthenticator::leave_opaque_tokens) it gets the tokens that
/// are no JWTs.
///
/// ```
/// # fn build(
/// #     verifier: std::sync::Arc<sm_jwt::Verifier>,
/// #     client: std::sync::Arc<sm_jwt::IntrospectionClient>,
/// # ) {
/// use std::sync::Arc;
/// use sm_jwt::{AuthenticateLayer, Chain, IntrospectionAuthenticator, NoExtra, TokenAuthenticator};
/// let chain = Chain::new()
///     .then(TokenAuthenticator::<NoExtra>::new(verifier).leave_opaque_tokens())
///     .then(IntrospectionAuthenticator::new(client));
/// let layer = AuthenticateLayer::with(Arc::new(chain));
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct IntrospectionAuthenticator {
    client: Arc<IntrospectionClient>,
    proofs: ProofPlaces,
}

impl IntrospectionAuthenticator {
    /// Tokens that this client's issuer calls active.
    #[must_use]
    pub fn new(client: Arc<IntrospectionClient>) -> Self {
        Self {
            client,
            proofs: ProofPlaces::default(),
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

    async fn check(&self, request: &Parts) -> Result<Option<Authenticated>, Error> {
        let Some((scheme, token)) = self.proofs.token(request)? else {
            return Ok(None);
        };
        let proofs = self.proofs.read(request, scheme)?;
        let token = self
            .client
            .introspect_with(token, &proofs.presented())
            .await?;
        proofs.check_used(token.confirmation())?;
        let subject = token.subject().ok_or_else(|| Error::missing_claim("sub"))?;
        let identity = Identity::new(AuthenticatedBy::Introspection, subject)
            .with_issuer(Some(token.issuer()))
            .with_tenant(token.tenant_id())
            .with_roles(token.roles().iter().cloned())
            .with_scopes(token.scopes());
        Ok(Some(Authenticated::new(identity).with(token)))
    }
}

impl Authenticator for IntrospectionAuthenticator {
    fn authenticate<'a>(
        &'a self,
        request: &'a Parts,
    ) -> BoxFuture<'a, Result<Option<Authenticated>, Error>> {
        Box::pin(self.check(request))
    }

    fn clear(&self, extensions: &mut Extensions) {
        extensions.remove::<IntrospectedToken>();
    }

    fn challenges(&self, error: &Error) -> Vec<HeaderValue> {
        self.proofs.challenges(error, self.client.dpop_algorithm())
    }
}
