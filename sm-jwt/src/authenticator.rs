//! Ways to authenticate a request, behind one trait, and a chain of them.

use std::fmt;
use std::sync::Arc;

use http::Extensions;
use http::header::HeaderValue;
use http::request::Parts;

use crate::claims::Claims;
use crate::error::Error;
use crate::future::BoxFuture;

/// One way to authenticate requests.
///
/// # Contract
/// - `Ok(None)` means that the request has no credentials of this kind, and nothing else: the next way is tried. Credentials
///   of this kind that are not good are an error, and end the chain.
/// - What a request's extensions hold of the types in [`clear`](Self::clear) was put there by nobody who may.
pub trait Authenticator: fmt::Debug + Send + Sync {
    /// Who asks, if the request has credentials of this kind.
    ///
    /// # Errors
    /// Why credentials of this kind are not good.
    fn authenticate<'a>(
        &'a self,
        request: &'a Parts,
    ) -> BoxFuture<'a, Result<Option<Authenticated>, Error>>;

    /// Takes out of a request what this way puts into it.
    fn clear(&self, extensions: &mut Extensions);

    /// The challenges of a refusal (`WWW-Authenticate`), for credentials that this way understands. `error` is why the
    /// request was refused.
    fn challenges(&self, error: &Error) -> Vec<HeaderValue>;
}

/// A request whose credentials are good.
#[derive(Debug)]
pub struct Authenticated {
    identity: Identity,
    extensions: Extensions,
}

impl Authenticated {
    /// As this identity.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            extensions: Extensions::new(),
        }
    }

    /// Puts something more into the request's extensions, besides the [`Identity`].
    #[must_use]
    pub fn with<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.extensions.insert(value);
        self
    }

    /// Who it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Into a request's extensions.
    pub(crate) fn put_into(self, extensions: &mut Extensions) {
        extensions.insert(self.identity);
        extensions.extend(self.extensions);
    }
}

/// How an identity was established.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthenticatedBy {
    /// An SM2 token.
    Token,
    /// An API key.
    ApiKey,
    /// A token that its issuer was asked about (RFC 7662).
    Introspection,
}

/// Who asks, whichever way that was found out. A layer leaves it in the request's extensions.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    by: AuthenticatedBy,
    issuer: Option<String>,
    subject: String,
    tenant: Option<String>,
    roles: Vec<String>,
    scopes: Vec<String>,
}

impl Identity {
    /// A subject, authenticated so.
    #[must_use]
    pub fn new(by: AuthenticatedBy, subject: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            by,
            issuer: None,
            subject: subject.into(),
            tenant: None,
            roles: Vec::new(),
            scopes: Vec::new(),
        }))
    }

    /// Of a token's claims.
    pub(crate) fn of_token(by: AuthenticatedBy, claims: &Claims) -> Self {
        Self::new(by, claims.subject())
            .with_issuer(Some(claims.issuer()))
            .with_tenant(claims.tenant_id())
            .with_roles(claims.roles().iter().cloned())
            .with_scopes(claims.scopes())
    }

    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        // It was just made: nobody else has it.
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            change(inner);
        }
        self
    }

    /// Under this issuer's responsibility.
    #[must_use]
    pub fn with_issuer(self, issuer: Option<impl Into<String>>) -> Self {
        self.change(|inner| inner.issuer = issuer.map(Into::into))
    }

    /// In this tenant.
    #[must_use]
    pub fn with_tenant(self, tenant: Option<impl Into<String>>) -> Self {
        self.change(|inner| inner.tenant = tenant.map(Into::into))
    }

    /// With these roles.
    #[must_use]
    pub fn with_roles<T: Into<String>>(self, roles: impl IntoIterator<Item = T>) -> Self {
        self.change(|inner| inner.roles = roles.into_iter().map(Into::into).collect())
    }

    /// With these scopes.
    #[must_use]
    pub fn with_scopes<T: Into<String>>(self, scopes: impl IntoIterator<Item = T>) -> Self {
        self.change(|inner| inner.scopes = scopes.into_iter().map(Into::into).collect())
    }

    /// How it was established.
    #[must_use]
    pub fn by(&self) -> AuthenticatedBy {
        self.0.by
    }

    /// Who vouches for it; nobody else for an API key.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.0.issuer.as_deref()
    }

    /// Whom it is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The tenant the subject acts for.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.0.tenant.as_deref()
    }

    /// The subject's roles.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        &self.0.roles
    }

    /// What the credentials may be used for.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.0.scopes
    }
}

/// Shows how it was established, not who it is.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("by", &self.0.by)
            .finish_non_exhaustive()
    }
}

/// Ways that are tried one after the other: the first for which a request has credentials decides.
///
/// ```
/// # fn build(verifier: std::sync::Arc<sm_jwt::Verifier>, keys: sm_jwt::ApiKeyAuthenticator) {
/// use std::sync::Arc;
/// use sm_jwt::{AuthenticateLayer, Chain, NoExtra, TokenAuthenticator};
/// let chain = Chain::new()
///     .then(TokenAuthenticator::<NoExtra>::new(verifier))
///     .then(keys);
/// let layer = AuthenticateLayer::with(Arc::new(chain));
/// # }
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct Chain(Vec<Arc<dyn Authenticator>>);

impl Chain {
    /// No way yet: refuses everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Then this way.
    pub fn then(self, next: impl Authenticator + 'static) -> Self {
        self.then_shared(Arc::new(next))
    }

    /// Then this way.
    pub fn then_shared(mut self, next: Arc<dyn Authenticator>) -> Self {
        self.0.push(next);
        self
    }
}

impl Authenticator for Chain {
    fn authenticate<'a>(
        &'a self,
        request: &'a Parts,
    ) -> BoxFuture<'a, Result<Option<Authenticated>, Error>> {
        Box::pin(async move {
            for way in &self.0 {
                if let Some(authenticated) = way.authenticate(request).await? {
                    return Ok(Some(authenticated));
                }
            }
            Ok(None)
        })
    }

    fn clear(&self, extensions: &mut Extensions) {
        for way in &self.0 {
            way.clear(extensions);
        }
    }

    fn challenges(&self, error: &Error) -> Vec<HeaderValue> {
        let mut challenges = Vec::new();
        for challenge in self.0.iter().flat_map(|way| way.challenges(error)) {
            if !challenges.contains(&challenge) {
                challenges.push(challenge);
            }
        }
        challenges
    }
}
