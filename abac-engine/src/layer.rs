//! The tower layer: each request is decided before the inner service sees it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use crate::decision::Decision;
use crate::engine::Engine;
use crate::request::Request;

/// Decides every request before the inner service.
///
/// `to_request` turns the head of the HTTP request into a [`Request`]: it takes tenant, user and roles from what an outer
/// layer authenticated, and the resource from the router's matched template or the raw path. When it fails, the request
/// is denied with [`Reason::Error`](crate::Reason::Error); nothing but an allow decision ever reaches the inner service.
///
/// On allow the [`Decision`] is put into the request extensions (for handlers, see `Decided`) and into the response
/// extensions; on deny the response is 403 with an empty body, or what [`AuthorizeLayer::on_deny`] builds, and carries the
/// [`Decision`] in its extensions too, so that an outer audit layer sees every outcome.
///
/// One layer decides a route: within another one its decision takes the place of the outer one's, obligations included.
///
/// The layer does not fulfil obligations: handlers must, and refuse those they do not know
/// ([`Decision::check_obligations`]). [`AuthorizeLayer::fulfils`] makes the layer refuse them first.
#[derive(Clone)]
pub struct AuthorizeLayer<F, R = EmptyRefusal> {
    engine: Engine,
    to_request: F,
    refusal: R,
    fulfils: Option<&'static [&'static str]>,
}

/// Builds the default refusal: 403, empty body.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmptyRefusal;

/// Builds the response to a denied request. Implemented by closures `Fn(&Decision) -> Response<B>`.
///
/// The reasons in a decision are for logs: tell clients no more than they must know.
pub trait Refuse<B> {
    /// The response.
    fn refuse(&self, decision: &Decision) -> Response<B>;
}

impl<B: Default> Refuse<B> for EmptyRefusal {
    fn refuse(&self, _: &Decision) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() = StatusCode::FORBIDDEN;
        response
    }
}

impl<B, F: Fn(&Decision) -> Response<B>> Refuse<B> for F {
    fn refuse(&self, decision: &Decision) -> Response<B> {
        self(decision)
    }
}

impl<F> AuthorizeLayer<F> {
    /// A layer that decides with `engine` on what `to_request` makes of each HTTP request.
    pub fn new<E>(engine: Engine, to_request: F) -> Self
    where
        F: Fn(&Parts) -> Result<Request, E> + Clone,
        E: fmt::Display,
    {
        Self {
            engine,
            to_request,
            refusal: EmptyRefusal,
            fulfils: None,
        }
    }
}

impl<F, R> AuthorizeLayer<F, R> {
    /// Builds refusals with `refusal` instead of the empty 403. Whatever it returns, the request stays refused.
    pub fn on_deny<N>(self, refusal: N) -> AuthorizeLayer<F, N> {
        AuthorizeLayer {
            engine: self.engine,
            to_request: self.to_request,
            refusal,
            fulfils: self.fulfils,
        }
    }

    /// Names the obligations that the handlers behind this layer fulfil. An allow decision with any other is refused.
    #[must_use]
    pub fn fulfils(mut self, obligations: &'static [&'static str]) -> Self {
        self.fulfils = Some(obligations);
        self
    }
}

impl<F, R> fmt::Debug for AuthorizeLayer<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizeLayer")
            .field("engine", &self.engine)
            .field("fulfils", &self.fulfils)
            .finish_non_exhaustive()
    }
}

impl<S, F: Clone, R: Clone> Layer<S> for AuthorizeLayer<F, R> {
    type Service = Authorize<S, F, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Authorize {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service [`AuthorizeLayer`] makes.
#[derive(Clone)]
pub struct Authorize<S, F, R = EmptyRefusal> {
    inner: S,
    layer: AuthorizeLayer<F, R>,
}

impl<S: fmt::Debug, F, R> fmt::Debug for Authorize<S, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorize")
            .field("inner", &self.inner)
            .field("layer", &self.layer)
            .finish()
    }
}

impl<F, R> AuthorizeLayer<F, R> {
    fn decide<E: fmt::Display>(&self, parts: &Parts) -> Decision
    where
        F: Fn(&Parts) -> Result<Request, E>,
    {
        let decision = match (self.to_request)(parts) {
            Ok(request) => self.engine.decide(&request),
            Err(error) => return self.engine.refuse(error.to_string()),
        };
        match self.fulfils.map(|known| decision.check_obligations(known)) {
            Some(Err(unknown)) if decision.is_allow() => self.engine.refuse(unknown.to_string()),
            _ => decision,
        }
    }
}

impl<S, F, R, E, B, ResBody> Service<http::Request<B>> for Authorize<S, F, R>
where
    S: Service<http::Request<B>, Response = Response<ResBody>>,
    S::Future: Send + 'static,
    F: Fn(&Parts) -> Result<Request, E>,
    E: fmt::Display,
    R: Refuse<ResBody>,
    ResBody: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        // Whatever a client or an inner mistake left there is not our decision.
        parts.extensions.remove::<Decision>();
        let decision = self.layer.decide(&parts);
        if !decision.is_allow() {
            let mut response = self.layer.refusal.refuse(&decision);
            response.extensions_mut().insert(decision);
            return Box::pin(std::future::ready(Ok(response)));
        }
        parts.extensions.insert(decision.clone());
        let answer = self.inner.call(http::Request::from_parts(parts, body));
        Box::pin(async move {
            let mut response = answer.await?;
            // A layer further in may have refused: its decision is the one that stands.
            let inner = response.extensions().get::<Decision>();
            if inner.is_none_or(Decision::is_allow) {
                response.extensions_mut().insert(decision);
            }
            Ok(response)
        })
    }
}
