//! A tower layer (feature `tower`): each request becomes an event, durable before the answer leaves.

use crate::appender::AuditLog;
use crate::details::{Detail, Details};
use crate::error::Error;
use crate::event::{Event, Outcome};
use http::{Request, Response, StatusCode, request, response};
use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Collects further details while a request is handled. The layer puts one into the request's
/// extensions; what a handler adds is part of the request's event.
///
/// A name that the layer's own hook also sets makes the event malformed, and so the request fail.
#[derive(Debug, Clone, Default)]
pub struct AuditDetails(Arc<Mutex<Details>>);

impl AuditDetails {
    /// Adds an entry.
    pub fn insert(&self, name: impl Into<String>, value: impl Into<Detail>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(name, value);
    }

    fn take(&self) -> Details {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(feature = "axum")]
impl<S: Sync> axum_core::extract::FromRequestParts<S> for AuditDetails {
    type Rejection = StatusCode;

    /// # Errors
    /// 500 when no [`AuditLayer`] stands before the handler: what it adds would be lost.
    async fn from_request_parts(
        parts: &mut request::Parts,
        _state: &S,
    ) -> Result<Self, Self::Rejection> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// What an HTTP status says of the outcome: below 400 success, 401 and 403 denied, other 4xx
/// failure, 5xx error.
pub fn outcome_of(status: StatusCode) -> Outcome {
    let reason = format!("status {}", status.as_u16());
    match status.as_u16() {
        ..400 => Outcome::success(),
        401 | 403 => Outcome::denied(reason),
        400..500 => Outcome::failure(reason),
        _ => Outcome::error(reason),
    }
}

/// Records each request as an event before its answer leaves.
///
/// The hook sees the request's head as it arrived and the response's head, with its extensions: an
/// inner layer puts there who was authenticated and what was decided. If the hook refuses, the event
/// is malformed or the log cannot make it durable, the answer is replaced by 503 without a body: what
/// could not be audited is not answered. (The handler's effects stand; it ran before.)
///
/// An inner service's `Err` passes through unrecorded: layers that turn errors into responses belong
/// inside.
pub struct AuditLayer<H> {
    log: AuditLog,
    hook: Arc<H>,
    durable: bool,
}

impl<H> AuditLayer<H> {
    /// With `hook(&request_parts, &response_parts) -> Result<Event, E>`.
    pub fn new<E>(log: AuditLog, hook: H) -> Self
    where
        H: Fn(&request::Parts, &response::Parts) -> Result<Event, E>,
        E: Display,
    {
        Self {
            log,
            hook: Arc::new(hook),
            durable: true,
        }
    }

    /// Whether the answer waits until the event is durable. Default: yes. Without, the event is in
    /// the queue when the answer leaves, and a crash can lose it.
    #[must_use]
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }
}

impl<H> Clone for AuditLayer<H> {
    fn clone(&self) -> Self {
        Self {
            log: self.log.clone(),
            hook: Arc::clone(&self.hook),
            durable: self.durable,
        }
    }
}

impl<S, H> Layer<S> for AuditLayer<H> {
    type Service = AuditService<S, H>;

    fn layer(&self, inner: S) -> Self::Service {
        AuditService {
            inner,
            layer: self.clone(),
        }
    }
}

impl<H> std::fmt::Debug for AuditLayer<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditLayer")
            .field("log", &self.log)
            .field("durable", &self.durable)
            .finish_non_exhaustive()
    }
}

/// The service that [`AuditLayer`] makes.
#[derive(Debug)]
pub struct AuditService<S, H> {
    inner: S,
    layer: AuditLayer<H>,
}

impl<S: Clone, H> Clone for AuditService<S, H> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            layer: self.layer.clone(),
        }
    }
}

impl<S, H, E, ReqBody, ResBody> Service<Request<ReqBody>> for AuditService<S, H>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    S::Future: Send + 'static,
    H: Fn(&request::Parts, &response::Parts) -> Result<Event, E> + Send + Sync + 'static,
    E: Display,
    ResBody: Default + Send + 'static,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let details = AuditDetails::default();
        request.extensions_mut().insert(details.clone());
        let (parts, body) = request.into_parts();
        let seen = parts.clone();
        let inner = self.inner.call(Request::from_parts(parts, body));
        let layer = self.layer.clone();
        Box::pin(async move {
            let (parts, body) = inner.await?.into_parts();
            match record(&layer, &seen, &parts, details.take()).await {
                Ok(()) => Ok(Response::from_parts(parts, body)),
                Err(error) => {
                    let mut refusal = Response::new(ResBody::default());
                    *refusal.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                    // For the layers outside, which may log it; the client sees the status alone.
                    refusal.extensions_mut().insert(AuditFailure(error));
                    Ok(refusal)
                }
            }
        })
    }
}

/// Why the answer was replaced; in the extensions of the 503.
#[derive(Debug, Clone)]
pub struct AuditFailure(Error);

impl AuditFailure {
    /// The cause.
    pub fn error(&self) -> &Error {
        &self.0
    }
}

async fn record<H, E>(
    layer: &AuditLayer<H>,
    request: &request::Parts,
    response: &response::Parts,
    details: Details,
) -> Result<(), Error>
where
    H: Fn(&request::Parts, &response::Parts) -> Result<Event, E>,
    E: Display,
{
    let event = (layer.hook)(request, response);
    let mut event = event.map_err(|error| Error::event("hook", error.to_string()))?;
    event.details_mut().extend(details);
    let receipt = layer.log.append_async(event).await?;
    if layer.durable {
        receipt.durable().await?;
    }
    Ok(())
}
