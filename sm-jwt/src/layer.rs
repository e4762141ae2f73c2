//! A tower layer that authenticates requests by bearer token (RFC 6750).

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use tower_layer::Layer;
use tower_service::Service;

use crate::claims::NoExtra;
use crate::error::Error;
use crate::verifier::{VerifiedToken, Verifier};

/// Lets a request through only with a token that [`Verifier::accept`] accepts.
///
/// The service behind finds `VerifiedToken<C>` in the request's extensions; whatever was there of
/// that type before is removed first. Every other request is answered at once, with the status and
/// the `WWW-Authenticate` header of [`Refusal`], and with the [`Refusal`] itself in the *response's*
/// extensions, so that an audit layer outside this one sees why.
pub struct AuthenticateLayer<C = NoExtra, R = EmptyRefusal> {
    verifier: Arc<Verifier>,
    respond: Arc<R>,
    custom: PhantomData<fn() -> C>,
}

impl<C> AuthenticateLayer<C> {
    /// A layer that answers refusals with an empty body.
    #[must_use]
    pub fn new(verifier: Arc<Verifier>) -> Self {
        Self {
            verifier,
            respond: Arc::new(EmptyRefusal),
            custom: PhantomData,
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
            verifier: self.verifier,
            respond: Arc::new(hook),
            custom: PhantomData,
        }
    }
}

impl<C, R> Clone for AuthenticateLayer<C, R> {
    fn clone(&self) -> Self {
        Self {
            verifier: Arc::clone(&self.verifier),
            respond: Arc::clone(&self.respond),
            custom: PhantomData,
        }
    }
}

impl<C, R> fmt::Debug for AuthenticateLayer<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticateLayer")
            .field("verifier", &self.verifier)
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
    C: DeserializeOwned + Send + Sync + 'static,
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

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        // The instance that was polled ready is the one to call; its clone waits for the next poll.
        let fresh = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, fresh);
        let layer = self.layer.clone();
        Box::pin(async move {
            request.extensions_mut().remove::<VerifiedToken<C>>();
            let accepted = match bearer_token(request.headers()) {
                Ok(token) => layer.verifier.accept::<C>(token).await,
                Err(error) => Err(error),
            };
            match accepted {
                Ok(token) => {
                    request.extensions_mut().insert(token);
                    inner.call(request).await
                }
                Err(error) => {
                    let refusal = Refusal(Arc::new(error));
                    let mut response = layer.respond.response(&refusal);
                    refusal.mark(&mut response);
                    Ok(response)
                }
            }
        })
    }
}

/// The one bearer token of a request: exactly one `Authorization` header, `Bearer`, one space or
/// more, and a token without white space (RFC 6750 section 2.1; the scheme in any case, RFC 9110
/// section 11.1).
fn bearer_token(headers: &HeaderMap) -> Result<&str, Error> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Error::MissingCredentials)?;
    if values.next().is_some() {
        return Err(Error::MalformedCredentials);
    }
    let value = value.to_str().map_err(|_| Error::MalformedCredentials)?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(Error::MissingCredentials);
    }
    let token = token.trim_start_matches(' ');
    if token.is_empty() || token.contains([' ', '\t', ',']) {
        return Err(Error::MalformedCredentials);
    }
    Ok(token)
}

/// Why a request was refused. It is in the extensions of the response.
#[derive(Debug, Clone)]
pub struct Refusal(Arc<Error>);

impl Refusal {
    /// The error of the verification.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.0
    }

    /// 503 when the replay store failed, so that clients try again; 401 for all else.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match *self.0 {
            Error::ReplayStore(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    /// The challenge (RFC 6750 section 3): `Bearer` alone when there was no token, else
    /// `Bearer error="invalid_token"`, without telling an attacker which rule failed.
    #[must_use]
    pub fn challenge(&self) -> Option<HeaderValue> {
        let challenge = match *self.0 {
            Error::ReplayStore(_) => return None,
            Error::MissingCredentials => "Bearer",
            _ => r#"Bearer error="invalid_token""#,
        };
        Some(HeaderValue::from_static(challenge))
    }

    fn mark<B>(self, response: &mut Response<B>) {
        *response.status_mut() = self.status();
        match self.challenge() {
            Some(challenge) => response.headers_mut().insert(WWW_AUTHENTICATE, challenge),
            None => response.headers_mut().remove(WWW_AUTHENTICATE),
        };
        response.extensions_mut().insert(self);
    }
}

/// Builds the body of the response to a refusal.
pub trait RefusalResponse<B>: Send + Sync + 'static {
    /// The response; its status and challenge are set by the layer.
    fn response(&self, refusal: &Refusal) -> Response<B>;
}

impl<B, F> RefusalResponse<B> for F
where
    F: Fn(&Refusal) -> Response<B> + Send + Sync + 'static,
{
    fn response(&self, refusal: &Refusal) -> Response<B> {
        self(refusal)
    }
}

/// Answers refusals with an empty body.
#[derive(Debug, Clone, Copy, Default)]
pub struct EmptyRefusal;

impl<B: Default> RefusalResponse<B> for EmptyRefusal {
    fn response(&self, _: &Refusal) -> Response<B> {
        Response::default()
    }
}
