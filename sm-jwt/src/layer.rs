//! A tower layer that authenticates requests.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use serde::de::DeserializeOwned;
use tower_layer::Layer;
use tower_service::Service;

use crate::authenticator::{Authenticator, Identity};
use crate::claims::NoExtra;
use crate::error::Error;
use crate::refusal::{EmptyRefusal, Refusal, RefusalResponse, sealed};
use crate::token_authenticator::TokenAuthenticator;
use crate::verifier::Verifier;

/// Lets a request through only if an [`Authenticator`] knows who asks: by default with a token that
/// [`Verifier::accept`] accepts.
///
/// The service behind finds [`Identity`], and for tokens `VerifiedToken<C>`, in the request's extensions; whatever was there
/// of these types before is removed first. Every other request is answered at once, with the status and the
/// `WWW-Authenticate` header of [`Refusal`], and with the [`Refusal`] itself in the *response's* extensions, so that an
/// audit layer outside this one sees why.
pub struct AuthenticateLayer<C = NoExtra, R = EmptyRefusal> {
    authenticator: Arc<dyn Authenticator>,
    respond: Arc<R>,
    custom: std::marker::PhantomData<fn() -> C>,
}

impl<C: DeserializeOwned + Send + Sync + 'static> AuthenticateLayer<C> {
    /// A layer for bearer tokens that answers refusals with an empty body. For DPoP and second factors give
    /// [`with`](AuthenticateLayer::with) a [`TokenAuthenticator`].
    #[must_use]
    pub fn new(verifier: Arc<Verifier>) -> Self {
        Self::of(Arc::new(TokenAuthenticator::<C>::new(verifier)))
    }
}

impl AuthenticateLayer {
    /// A layer for any way to authenticate, such as a [`Chain`](crate::Chain).
    #[must_use]
    pub fn with(authenticator: Arc<dyn Authenticator>) -> Self {
        Self::of(authenticator)
    }
}

impl<C> AuthenticateLayer<C> {
    fn of(authenticator: Arc<dyn Authenticator>) -> Self {
        Self {
            authenticator,
            respond: Arc::new(EmptyRefusal),
            custom: std::marker::PhantomData,
        }
    }
}

impl<C, R> AuthenticateLayer<C, R> {
    /// Builds the response to a refusal otherwise: `hook` is a closure
    /// `Fn(&Refusal) -> Response<B>` or a type of its own.
    ///
    /// Status and `WWW-Authenticate` are set afterwards all the same: a hook shapes the body, it
    /// cannot turn a refusal into a success.
    #[must_use]
    pub fn on_refusal<H>(self, hook: H) -> AuthenticateLayer<C, H> {
        AuthenticateLayer {
            authenticator: self.authenticator,
            respond: Arc::new(hook),
            custom: std::marker::PhantomData,
        }
    }
}

impl<C, R> Clone for AuthenticateLayer<C, R> {
    fn clone(&self) -> Self {
        Self {
            authenticator: Arc::clone(&self.authenticator),
            respond: Arc::clone(&self.respond),
            custom: std::marker::PhantomData,
        }
    }
}

impl<C, R> fmt::Debug for AuthenticateLayer<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticateLayer")
            .field("authenticator", &self.authenticator)
            .finish_non_exhaustive()
    }
}

impl<S, C, R> Layer<S> for AuthenticateLayer<C, R> {
    type Service = Authenticate<S, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Authenticate {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service that [`AuthenticateLayer`] makes.
#[derive(Debug)]
pub struct Authenticate<S, C = NoExtra, R = EmptyRefusal> {
    inner: S,
    layer: AuthenticateLayer<C, R>,
}

impl<S: Clone, C, R> Clone for Authenticate<S, C, R> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            layer: self.layer.clone(),
        }
    }
}

impl<S, C, R, ReqBody, ResBody> Service<Request<ReqBody>> for Authenticate<S, C, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send,
    C: 'static,
    R: RefusalResponse<ResBody>,
    ReqBody: Send + 'static,
    ResBody: 'static,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        // The instance that was polled ready is the one to call; its clone waits for the next poll.
        let fresh = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, fresh);
        let layer = self.layer.clone();
        Box::pin(async move {
            let authenticator = &*layer.authenticator;
            let (mut parts, body) = request.into_parts();
            parts.extensions.remove::<Identity>();
            authenticator.clear(&mut parts.extensions);
            let refused = match authenticator.authenticate(&parts).await {
                Ok(Some(authenticated)) => {
                    authenticated.put_into(&mut parts.extensions);
                    return inner.call(Request::from_parts(parts, body)).await;
                }
                Ok(None) => Error::MissingCredentials,
                Err(error) => error,
            };
            let challenges = authenticator.challenges(&refused);
            let nonce = match refused {
                // Of the way that refused: another one in a chain has nonces of its own.
                Error::DpopNonce { ref nonce } => Some(nonce.clone()),
                _ => None,
            };
            let refusal = Refusal::new(refused, challenges, nonce);
            let mut response = layer.respond.response(&refusal);
            layer.respond.mark(refusal, &mut response, sealed::Token);
            Ok(response)
        })
    }
}
