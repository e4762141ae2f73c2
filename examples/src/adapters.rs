//! The one place where the crates meet. A real service copies this file and changes it.
//!
//! ```text
//! request -> trace -> audited -> authenticated -> authorized -> handler
//!            (id)     (AuditLog)  (VerifiedToken)   (Decision)
//! ```
//! Each crate's layer leaves what it found in the extensions: the layer outside reads it from the
//! answer. Nothing here decides anything by itself.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use abac_engine::{AuthorizeLayer, Decision, Engine, Request as AccessRequest, RequestBuilder};
use audit_log::{
    AuditLayer, AuditLog, Details, Event, KeyUse as KeyUseKind, Kind, Outcome, Pseudonymizer, Who,
};
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, Response, StatusCode, response};
use axum::middleware::{self, Next};
use sm_fieldcrypt::{KeyUse, KeyUseObserver, KeyUser, Operation, Refused};
use sm_jwt::{AuthenticateLayer, Refusal, VerifiedToken, Verifier};
use tokio::sync::RwLock;

use crate::error::Failure;
use crate::http::{ErrorCode, refuse};
use crate::issuer::{SESSION, StaffClaims};
use crate::trace::{TraceContext, trace_requests};

/// The token of a member of staff.
pub type StaffToken = VerifiedToken<StaffClaims>;

// ---- sm-jwt -> request extensions -------------------------------------------------------------

/// Lets only requests with a valid access token through; handlers find a [`StaffToken`].
pub fn authenticated(routes: Router, verifier: Arc<Verifier>) -> Router {
    let layer = AuthenticateLayer::<StaffClaims>::new(verifier)
        .on_refusal(|refusal: &Refusal| refuse(refusal.status(), refusal.error().code()));
    routes.layer(middleware::from_fn(show_caller)).layer(layer)
}

/// Copies the caller into the answer's extensions, where the audit layer outside can see it.
async fn show_caller(request: Request, next: Next) -> Response<Body> {
    let caller = request.extensions().get::<StaffToken>().cloned();
    let mut response = next.run(request).await;
    if let Some(caller) = caller {
        response.extensions_mut().insert(caller);
    }
    response
}

// ---- sm-jwt -> abac-engine --------------------------------------------------------------------

/// Why no access request could be made of an HTTP request: refused, never guessed.
#[derive(Debug, thiserror::Error)]
pub enum NoAccessRequest {
    /// The authentication layer is missing or did not run.
    #[error("no verified caller")]
    NoCaller,
    /// The token names no tenant.
    #[error("the token names no tenant")]
    NoTenant,
    /// The method has no action.
    #[error("method without an action")]
    Method,
    /// The engine refused a part, for example the path.
    #[error(transparent)]
    Request(#[from] abac_engine::RequestError),
}

/// Decides every request by its path and method; the answer to a denial is 403.
pub fn authorized(routes: Router, engine: Engine) -> Router {
    let layer = AuthorizeLayer::new(engine, |parts: &Parts| -> Result<_, NoAccessRequest> {
        let caller = parts
            .extensions
            .get::<StaffToken>()
            .ok_or(NoAccessRequest::NoCaller)?;
        let request = access_request(caller)?
            .action(action_of(&parts.method).ok_or(NoAccessRequest::Method)?)
            .path(parts.uri.path());
        Ok(request.build()?)
    })
    .on_deny(|_: &Decision| refuse(StatusCode::FORBIDDEN, "forbidden"));
    routes.layer(layer)
}

/// The caller's half of an access request: tenant, user and roles come from verified claims only.
///
/// # Errors
/// [`NoAccessRequest::NoTenant`].
pub fn access_request(caller: &StaffToken) -> Result<RequestBuilder, NoAccessRequest> {
    let claims = caller.claims();
    let tenant = claims.tenant_id().ok_or(NoAccessRequest::NoTenant)?;
    Ok(AccessRequest::builder(tenant)
        .user(claims.subject())
        .roles(claims.roles().iter().map(String::as_str))
        .user_attr("tenant_id", tenant)
        .user_attr("branch", caller.extra().branch.as_str())
        .at(SystemTime::now()))
}

/// The action that a method stands for.
fn action_of(method: &Method) -> Option<&'static str> {
    Some(match *method {
        Method::GET | Method::HEAD => "read",
        Method::POST => "create",
        Method::PUT | Method::PATCH => "update",
        Method::DELETE => "delete",
        _ => return None,
    })
}

// ---- everything -> audit-log ------------------------------------------------------------------

/// The audit stream of a service and the pseudonyms of the people in it.
#[derive(Clone)]
pub struct Audit {
    log: AuditLog,
    pseudonyms: Arc<Pseudonymizer>,
    /// Read-locked by every request until it is recorded.
    in_flight: Arc<RwLock<()>>,
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").finish_non_exhaustive()
    }
}

/// Left by a handler in the answer's extensions when the request was about a session.
#[derive(Debug, Clone)]
pub struct SessionNote {
    /// Tenant that was named; none when there is no such tenant. What stands in a name's place may
    /// be anything, a number or a password, and is not written.
    pub tenant: Option<String>,
    /// User that was named.
    pub user: String,
    /// The new session; none when the login failed.
    pub session: Option<String>,
}

impl Audit {
    /// An adapter over an open stream.
    #[must_use]
    pub fn new(log: AuditLog, pseudonyms: Pseudonymizer) -> Self {
        Self {
            log,
            pseudonyms: Arc::new(pseudonyms),
            in_flight: Arc::default(),
        }
    }

    /// The stream.
    #[must_use]
    pub fn log(&self) -> &AuditLog {
        &self.log
    }

    /// Records every request before its answer leaves, under one trace id, whether a route takes it
    /// or none, and whether or not the client waits for the answer. A request whose record does not
    /// become durable is answered with 503; behind a log that has stopped no request is handled.
    pub fn audited(&self, routes: Router) -> Router {
        // A fallback of its own: the default one would lose the layers on the next `merge`.
        let routes = routes.fallback(async || refuse(StatusCode::NOT_FOUND, "no_such_route"));
        let audit = self.clone();
        let layer = AuditLayer::new(
            self.log.clone(),
            move |request: &Parts, response: &response::Parts| -> Result<Event, fmt::Error> {
                Ok(audit.request_event(request, response))
            },
        );
        routes
            .layer(layer)
            .layer(middleware::from_fn(trace_requests))
            .layer(middleware::from_fn_with_state(self.clone(), to_its_end))
    }

    /// Waits for the requests in flight, then ends the stream with a signed head.
    ///
    /// # Errors
    /// The last records did not become durable.
    pub async fn close(&self) -> Result<(), Failure> {
        let all_recorded = self.in_flight.write().await;
        let log = self.log.clone();
        tokio::task::spawn_blocking(move || log.close())
            .await
            .map_err(Failure::other)?
            .map_err(Failure::other)?;
        drop(all_recorded);
        Ok(())
    }

    /// The key user that stands in key-use records: a pseudonym, and the trace of the request.
    #[must_use]
    pub fn key_user(&self, caller: &StaffToken, trace: &TraceContext) -> KeyUser {
        let claims = caller.claims();
        let tenant = claims.tenant_id().unwrap_or_default();
        KeyUser::new(
            self.pseudonyms
                .pseudonym("user_id", tenant, claims.subject()),
        )
        .trace(trace.trace_id())
    }

    fn request_event(&self, request: &Parts, response: &response::Parts) -> Event {
        let found = &response.extensions;
        let session_note = found.get::<SessionNote>();
        let (who, kind) = match (session_note, found.get::<StaffToken>()) {
            (Some(note), _) => {
                let kind = if note.session.is_some() {
                    Kind::SessionCreate
                } else {
                    Kind::LoginFailure
                };
                (
                    self.who(note.tenant.as_deref(), &note.user, note.session.as_deref()),
                    kind,
                )
            }
            (None, Some(token)) => {
                let claims = token.claims();
                let session = claims.ext().get(SESSION).and_then(|s| s.as_str());
                (
                    self.who(claims.tenant_id(), claims.subject(), session),
                    Kind::AuthorizationDecision,
                )
            }
            (None, None) => (Who::anonymous(), Kind::AuthorizationDecision),
        };
        let who = match request.extensions.get::<ConnectInfo<SocketAddr>>() {
            Some(ConnectInfo(peer)) => who.address(peer.ip().to_string()),
            None => who,
        };
        let code = found
            .get::<ErrorCode>()
            .map(|c| c.0)
            .or_else(|| found.get::<Refusal>().map(|r| r.error().code()));
        let mut details = Details::new().with("status", i64::from(response.status.as_u16()));
        if let Some(decision) = found.get::<Decision>() {
            details = details
                .with("policy_version", decision.version())
                .with("decision", format!("{:?}", decision.reason()))
                .with(
                    "policies",
                    decision.policies().collect::<Vec<_>>().join(","),
                );
            let unmet: Vec<String> = decision
                .unmet()
                .map(|u| format!("{}: {}", u.policy, u.clause))
                .collect();
            if !unmet.is_empty() {
                details = details.with("unmet", clip(&unmet.join("; "), 512));
            }
        }
        let denied = found.get::<Decision>().is_some_and(|d| !d.is_allow());
        let outcome = outcome_of(response.status, denied, code);
        let mut event = Event::new(self.log.now(), who, kind, outcome, details)
            .action(clip(request.method.as_str(), 32));
        // `CONNECT host:port` has no path.
        if !request.uri.path().is_empty() {
            event = event.resource(clip(request.uri.path(), 256));
        }
        if let Some(trace) = found
            .get::<TraceContext>()
            .or_else(|| request.extensions.get())
        {
            event = event.trace_id(trace.trace_id()).span_id(trace.span_id());
        }
        event
    }

    fn who(&self, tenant: Option<&str>, user: &str, session: Option<&str>) -> Who {
        let of = |field, value| {
            self.pseudonyms
                .pseudonym(field, tenant.unwrap_or_default(), value)
        };
        let mut who = Who::subject(of("user_id", user));
        if let Some(tenant) = tenant {
            who = who.tenant(clip(tenant, 64));
        }
        if let Some(session) = session {
            who = who.session(of("session_id", session));
        }
        who
    }
}

/// Handles a request to its end on a task of its own: a client that goes away ends its connection,
/// and with it everything that runs there, between an effect and its record.
async fn to_its_end(State(audit): State<Audit>, request: Request, next: Next) -> Response<Body> {
    let log = audit.log.status();
    if log.closed || log.failed.is_some() {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "audit_stopped");
    }
    let in_flight = Arc::clone(&audit.in_flight).read_owned().await;
    let handled = tokio::spawn(async move {
        let response = next.run(request).await;
        drop(in_flight);
        response
    });
    handled
        .await
        .unwrap_or_else(|_| refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal"))
}

fn outcome_of(status: StatusCode, denied: bool, code: Option<&'static str>) -> Outcome {
    let code = code.unwrap_or("unspecified");
    match status.as_u16() {
        _ if denied => Outcome::denied(code),
        100..=399 => Outcome::success(),
        401 | 403 => Outcome::denied(code),
        400..=499 => Outcome::failure(code),
        _ => Outcome::error(code),
    }
}

/// The first `most` bytes of a text, cut at a character.
fn clip(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

// ---- sm-fieldcrypt -> audit-log ---------------------------------------------------------------

/// Records key use. In fail-closed mode a record that cannot be taken keeps plaintext in.
///
/// The record is queued here and becomes durable no later than the request's own record, which
/// follows it in the same stream and is waited for before the answer leaves.
impl KeyUseObserver for Audit {
    fn observe(&self, key_use: &KeyUse<'_>) -> Result<(), Refused> {
        let outcome = match (key_use.operation, key_use.outcome) {
            // Preparing releases nothing; the use that follows is recorded.
            (Operation::Prepare, _) | (_, sm_fieldcrypt::Outcome::Attempted) => return Ok(()),
            (_, sm_fieldcrypt::Outcome::Failed) => Outcome::failure("key_use_failed"),
            (_, _) => Outcome::success(),
        };
        let who = Who::subject(key_use.principal);
        let who = match key_use.tenant {
            Some(tenant) => who.tenant(tenant),
            None => who,
        };
        let operation = operation_name(key_use.operation);
        // A use that no request asked for is a trace of its own.
        let trace = match key_use.trace_id {
            Some(trace) => trace.to_owned(),
            None => {
                let own = TraceContext::begin().map_err(|e| Refused::new(e.to_string()))?;
                own.trace_id().to_owned()
            }
        };
        let kind = Kind::KeyUse(KeyUseKind::new(
            key_use.key_id,
            operation,
            trace.as_str(),
            key_use.usage_count,
        ));
        let details = Details::new()
            .with("class", key_use.class)
            .with("count", i64::try_from(key_use.count).unwrap_or(i64::MAX));
        let event = Event::new(self.log.now(), who, kind, outcome, details)
            .action(operation)
            .trace_id(trace);
        self.log
            .append(event)
            .map(drop)
            .map_err(|e| Refused::new(e.to_string()))
    }
}

fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Prepare => "prepare",
        Operation::Seal => "seal",
        Operation::Open => "open",
        Operation::Rewrap => "rewrap",
        Operation::Index => "index",
        Operation::Search => "search",
        Operation::WrapKey => "wrap_key",
        Operation::UnwrapKey => "unwrap_key",
        Operation::Rotate => "rotate",
        Operation::ChangeState => "change_state",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_follow_status_and_decision() {
        let of = |status: u16, denied| {
            let status = StatusCode::from_u16(status).unwrap();
            format!("{:?}", outcome_of(status, denied, Some("code")))
        };
        assert_eq!(of(200, false), format!("{:?}", Outcome::success()));
        assert_eq!(of(401, false), format!("{:?}", Outcome::denied("code")));
        assert_eq!(
            of(404, true),
            format!("{:?}", Outcome::denied("code")),
            "hidden denial"
        );
        assert_eq!(of(404, false), format!("{:?}", Outcome::failure("code")));
        assert_eq!(of(502, false), format!("{:?}", Outcome::error("code")));
    }

    #[tokio::test]
    async fn behind_a_log_that_has_stopped_nothing_is_handled() {
        let dir = tempfile::tempdir().unwrap();
        let log = AuditLog::open(
            audit_log::Config::new("s"),
            audit_log::FsStorage::open(dir.path()).unwrap(),
            audit_log::Sm2CheckpointSigner::generate("k").unwrap(),
            audit_log::SystemClock::new(),
        )
        .unwrap();
        let audit = Audit::new(log, Pseudonymizer::new(1, &[7; 16]).unwrap());
        let handled = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let counter = Arc::clone(&handled);
        let count = move || {
            counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            async {}
        };
        let routes = audit.audited(Router::new().route("/", axum::routing::post(count)));
        let post = || {
            let request = Request::post("/").body(Body::empty()).unwrap();
            tower::ServiceExt::oneshot(routes.clone(), request)
        };
        assert_eq!(post().await.unwrap().status(), StatusCode::OK);
        audit.close().await.unwrap();
        let refused = post().await.unwrap();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(handled.load(std::sync::atomic::Ordering::Relaxed), 1);
    }

    #[test]
    fn clipping_keeps_characters_whole() {
        assert_eq!(clip("张三丰", 4), "张");
        assert_eq!(clip("abc", 8), "abc");
    }
}
