//! A tower layer (feature `tower`): each request becomes an event, durable before the answer leaves.

use crate::appender::AuditLog;
use crate::details::{Detail, Details};
use crate::error::Error;
use crate::event::{Event, Outcome};
use http::{Request, Response, StatusCode, request, response};
use std::fmt::Display;
use std::future::Future;
use std::panic::AssertUnwindSafe;
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

    fn get(&self) -> Details {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
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

/// A request that was handled and got no answer. It has its event all the same: the hook sees a
/// response head with [`status`](Self::status) and this in its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Abandoned {
    /// The request was dropped before its answer left: the client hung up, or a timeout outside ran
    /// out. What the handler had done by then stands.
    Dropped,
    /// The inner service panicked.
    Panicked,
    /// The inner service answered with an error instead of a response.
    Failed,
}

impl Abandoned {
    /// The status that stands for it: 499 for a dropped request, otherwise 500.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Dropped => StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT),
            Self::Panicked | Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn head(self) -> response::Parts {
        let (mut head, ()) = Response::new(()).into_parts();
        head.status = self.status();
        head.extensions.insert(self);
        head
    }
}

/// Records each request as an event before its answer leaves.
///
/// The hook sees the request's head as it arrived and the response's head, with its extensions: an
/// inner layer puts there who was authenticated and what was decided. If the hook refuses, the event
/// is malformed or the log cannot make it durable, the answer is replaced by 503 without a body: what
/// could not be audited is not answered. (The handler's effects stand; it ran before.)
///
/// Requests without an answer are recorded too (see [`Abandoned`]): hanging up does not evade the
/// trail. An inner service's `Err` is recorded as durably as an answer, then passed on. A request
/// that is dropped, or whose handler panics, is recorded while it is being dropped, where nothing can
/// wait: its event joins the queue if there is space.
///
/// A request of which no event could be taken, because the queue was full there, the hook refused or
/// panicked, the event was malformed or the log had stopped, is a gap: counted in
/// [`Status::unrecorded`](crate::Status::unrecorded) and stated by the log itself
/// ([`AuditLog::state_gap`]).
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
    S::Error: Send,
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
        let hook = Arc::clone(&self.layer.hook);
        // Before the inner service is called: from here on there may be something to record.
        let mut watch = Watch {
            log: self.layer.log.clone(),
            hook: Box::new(move |request, response| {
                hook(request, response).map_err(|error| Error::event("hook", error.to_string()))
            }),
            request: parts.clone(),
            details,
            answer: None,
            taken: false,
        };
        let inner = self.inner.call(Request::from_parts(parts, body));
        let durable = self.layer.durable;
        Box::pin(async move {
            let answer = inner.await.map(Response::into_parts);
            let head = match &answer {
                Ok((head, _)) => head.clone(),
                Err(_) => Abandoned::Failed.head(),
            };
            match (watch.record(head, durable).await, answer) {
                (Ok(()), Ok((head, body))) => Ok(Response::from_parts(head, body)),
                (Ok(()), Err(error)) => Err(error),
                (Err(error), _) => {
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

type Hook = dyn Fn(&request::Parts, &response::Parts) -> Result<Event, Error> + Send;

/// Sees to it that a request is recorded, whatever becomes of it.
struct Watch {
    log: AuditLog,
    hook: Box<Hook>,
    request: request::Parts,
    details: AuditDetails,
    /// The answer's head, once there is one.
    answer: Option<response::Parts>,
    /// The event is in the queue, or stated as a gap.
    taken: bool,
}

impl Watch {
    async fn record(&mut self, answer: response::Parts, durable: bool) -> Result<(), Error> {
        let answer = self.answer.insert(answer);
        // Until the log has it, a dropped request is recorded by `drop`.
        let taken = match event(&*self.hook, &self.request, answer, &self.details) {
            Ok(event) => self.log.append_async(event).await,
            Err(error) => Err(error),
        };
        self.taken = true;
        let receipt = taken.inspect_err(|error| self.log.state_gap(error))?;
        if durable {
            receipt.durable().await?;
        }
        Ok(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let answer = self.answer.take().unwrap_or_else(|| {
            if std::thread::panicking() {
                Abandoned::Panicked.head()
            } else {
                Abandoned::Dropped.head()
            }
        });
        // A panic in the hook, the clock or the salt's source would end the process here.
        let taken = std::panic::catch_unwind(AssertUnwindSafe(|| {
            event(&*self.hook, &self.request, &answer, &self.details)
                .and_then(|event| self.log.try_append(event))
        }));
        match taken {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => self.log.state_gap(error),
            Err(_) => self.log.state_gap("the audit hook panicked"),
        }
    }
}

fn event(
    hook: &Hook,
    request: &request::Parts,
    response: &response::Parts,
    details: &AuditDetails,
) -> Result<Event, Error> {
    let mut event = hook(request, response)?;
    event.details_mut().extend(details.get());
    Ok(event)
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
