//! The tower layer: every answer has its event, durable first; no event, no answer.
#![cfg(feature = "axum")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]

mod common;

use audit_log::{
    Abandoned, AuditDetails, AuditFailure, AuditLayer, AuditLog, Details, Event, Kind, Outcome,
    WhenFull, Who, outcome_of,
};
use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use common::{Fault, MemStorage, append, config, event, open, verify};
use http::{Request, StatusCode, request, response};
use tower::ServiceExt as _;

/// What an inner layer found out, as an adapter would pass it.
#[derive(Clone)]
struct Authenticated(&'static str);

fn hook(
    log: &AuditLog,
) -> impl Fn(&request::Parts, &response::Parts) -> Result<Event, String> + Clone + use<> {
    let log = log.clone();
    move |request, response| {
        if request.uri.path() == "/hook-refuses" {
            return Err("nobody to blame".into());
        }
        let who = match response.extensions.get::<Authenticated>() {
            Some(Authenticated(subject)) => Who::subject(*subject),
            None => Who::anonymous(),
        };
        Ok(Event::new(
            log.now(),
            who,
            Kind::AuthorizationDecision,
            outcome_of(response.status),
            Details::new().with("status", response.status.as_u16()),
        )
        .action(format!("{} {}", request.method, request.uri.path())))
    }
}

fn app(log: &AuditLog) -> Router {
    Router::new()
        .route(
            "/ok",
            get(|details: AuditDetails| async move {
                details.insert("rows", 3);
                let mut response: Response = "the answer".into_response();
                response.extensions_mut().insert(Authenticated("user-1"));
                response
            }),
        )
        .route("/denied", get(|| async { StatusCode::FORBIDDEN }))
        .route("/hook-refuses", get(|| async { "never seen" }))
        .route(
            "/clash",
            get(|details: AuditDetails| async move { details.insert("status", 1) }),
        )
        .layer(AuditLayer::new(log.clone(), hook(log)))
}

async fn call(app: &Router, path: &str) -> (StatusCode, String, Option<String>) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let failure = response
        .extensions()
        .get::<AuditFailure>()
        .map(|failure| failure.error().to_string());
    let body = axum::body::to_bytes(response.into_body(), 1024)
        .await
        .unwrap();
    (status, String::from_utf8_lossy(&body).into_owned(), failure)
}

#[tokio::test]
async fn each_answer_is_durable_first() {
    let storage = MemStorage::default();
    let log = open(config(), storage.clone()).unwrap();
    let app = app(&log);
    assert_eq!(
        call(&app, "/ok").await,
        (StatusCode::OK, "the answer".into(), None)
    );
    assert_eq!(log.status().durable, Some(0));
    assert_eq!(call(&app, "/denied").await.0, StatusCode::FORBIDDEN);
    assert_eq!(call(&app, "/nowhere").await.0, StatusCode::NOT_FOUND);
    assert_eq!(log.status().durable, Some(2));
    let text = storage
        .durable()
        .values()
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .collect::<String>();
    for expected in [
        r#""action":"GET /ok","details":{"rows":3,"status":200}"#,
        r#""outcome":{"status":"success"}"#,
        r#""subject":"user-1""#,
        r#""outcome":{"reason":"status 403","status":"denied"}"#,
        r#""outcome":{"reason":"status 404","status":"failure"}"#,
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    log.close().unwrap();
    assert!(verify(&storage.files()).is_intact());
}

#[tokio::test]
async fn what_cannot_be_audited_is_not_answered() {
    let storage = MemStorage::default();
    let log = open(config(), storage.clone()).unwrap();
    let app = app(&log);
    let (status, body, failure) = call(&app, "/hook-refuses").await;
    assert_eq!(
        (status, body.as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "")
    );
    assert!(failure.unwrap().contains("nobody to blame"));
    // A detail that hook and handler both set.
    let (status, _, failure) = call(&app, "/clash").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(failure.unwrap().contains("details.status"));
    // Both were handled; the log says that it has no event of them, and why.
    assert_eq!(log.status().unrecorded, 2);
    log.checkpoint().unwrap();
    let stored = text(&storage);
    assert!(stored.contains(r#""kind":"AUDIT_GAP""#), "{stored}");
    assert!(stored.contains("details.status"), "{stored}");
    // A disk that fails, now and ever after.
    storage.fail_at(storage.calls() + 2, Fault::Io);
    for _ in 0..2 {
        let (status, body, failure) = call(&app, "/ok").await;
        assert_eq!(
            (status, body.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "")
        );
        assert!(failure.is_some());
    }
}

#[tokio::test]
async fn without_waiting_the_answer_leaves_at_once() {
    let storage = MemStorage::default();
    let log = open(config().queue(2, WhenFull::FailClosed), storage.clone()).unwrap();
    let service = tower::service_fn(|_: Request<()>| async {
        Ok::<_, std::convert::Infallible>(http::Response::new(String::from("x")))
    });
    let layer = AuditLayer::new(log.clone(), hook(&log)).durable(false);
    let service = tower::ServiceBuilder::new().layer(layer).service(service);
    let held = storage.0.lock().unwrap();
    let first = service.clone().oneshot(Request::new(()));
    let response = futures_now(first);
    assert_eq!(response.unwrap().unwrap().body(), "x");
    assert_eq!(log.status().durable, None);
    drop(held);
    append(&log, 5..6);
    assert_eq!(log.status().durable, Some(1));
}

fn text(storage: &MemStorage) -> String {
    let files = storage.files();
    let texts = files.values().map(|bytes| String::from_utf8_lossy(bytes));
    texts.collect()
}

/// Writes down how a request ended.
fn endings(
    log: &AuditLog,
) -> impl Fn(&request::Parts, &response::Parts) -> Result<Event, String> + Clone + use<> {
    let hook = hook(log);
    move |request, response| {
        if request.uri.path() == "/hook-panics" {
            panic!("as tested");
        }
        let mut event = hook(request, response)?;
        if let Some(ending) = response.extensions.get::<Abandoned>() {
            assert_eq!(response.status, ending.status());
            event.details_mut().push("ending", format!("{ending:?}"));
        }
        Ok(event)
    }
}

type Handled = Result<http::Response<String>, &'static str>;

/// A handler that answers, never answers, fails or panics, after it has had its effect.
async fn handle(request: Request<()>) -> Handled {
    if let Some(details) = request.extensions().get::<AuditDetails>() {
        details.insert("effect", "money moved");
    }
    match request.uri().path() {
        "/never" => std::future::pending().await,
        "/fails" => Err("no upstream"),
        "/panics" => panic!("as tested"),
        _ => Ok(http::Response::new("x".into())),
    }
}

fn to(path: &str) -> Request<()> {
    Request::get(path).body(()).unwrap()
}

#[test]
fn a_client_that_hangs_up_is_recorded() {
    let storage = MemStorage::default();
    let log = open(config(), storage.clone()).unwrap();
    let service = tower::ServiceBuilder::new()
        .layer(AuditLayer::new(log.clone(), endings(&log)))
        .service(tower::service_fn(handle));
    assert!(futures_now(service.clone().oneshot(to("/never"))).is_none());
    // Not even polled once.
    let mut unpolled = service;
    drop(tower::Service::call(&mut unpolled, to("/unpolled")));
    log.checkpoint().unwrap();
    assert_eq!(log.status().durable, Some(1));
    let stored = text(&storage);
    for expected in [
        r#""action":"GET /never","details":{"effect":"money moved","ending":"Dropped","status":499}"#,
        r#""action":"GET /unpolled","details":{"ending":"Dropped","status":499}"#,
    ] {
        assert!(stored.contains(expected), "{expected} in {stored}");
    }
    log.close().unwrap();
    assert!(verify(&storage.files()).is_intact());
}

#[tokio::test]
async fn panics_and_errors_are_recorded() {
    let storage = MemStorage::default();
    let log = open(config(), storage.clone()).unwrap();
    let service = tower::ServiceBuilder::new()
        .layer(AuditLayer::new(log.clone(), endings(&log)))
        .service(tower::service_fn(handle));
    let failed = service.clone().oneshot(to("/fails")).await;
    assert_eq!(failed.unwrap_err(), "no upstream");
    assert_eq!(
        log.status().durable,
        Some(0),
        "durable before it is passed on"
    );
    let panicking = tokio::spawn(service.clone().oneshot(to("/panics")));
    assert!(panicking.await.unwrap_err().is_panic());
    log.checkpoint().unwrap();
    let stored = text(&storage);
    for expected in [
        r#""action":"GET /fails","details":{"effect":"money moved","ending":"Failed","status":500}"#,
        r#""action":"GET /panics","details":{"effect":"money moved","ending":"Panicked","status":500}"#,
    ] {
        assert!(stored.contains(expected), "{expected} in {stored}");
    }
    // A hook that panics, in a request that is answered and in one that panics itself.
    let hook = tokio::spawn(service.clone().oneshot(to("/hook-panics")));
    assert!(hook.await.unwrap_err().is_panic());
    assert_eq!(log.status().unrecorded, 1);
    // An error that cannot be recorded is not passed on either.
    storage.fail_at(storage.calls() + 1, Fault::Io);
    assert!(log.append(event(&log, 1)).unwrap().wait().is_err());
    let refused = service.oneshot(to("/fails")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(log.status().unrecorded, 2);
}

/// Hanging up while the queue is full, before the answer or while its event waits for space, blocks
/// nothing and is stated as a gap.
#[test]
fn a_full_queue_does_not_hide_who_hung_up() {
    let storage = MemStorage::default();
    let log = open(config().queue(1, WhenFull::Block), storage.clone()).unwrap();
    let service = tower::ServiceBuilder::new()
        .layer(AuditLayer::new(log.clone(), endings(&log)))
        .service(tower::service_fn(handle));
    let held = storage.0.lock().unwrap();
    let first = log.append(event(&log, 0)).unwrap();
    while log.status().queued > 0 {
        std::thread::yield_now();
    }
    let second = log.append(event(&log, 1)).unwrap();
    assert!(futures_now(service.clone().oneshot(to("/never"))).is_none());
    assert!(futures_now(service.oneshot(to("/answered"))).is_none());
    assert_eq!(log.status().unrecorded, 2);
    drop(held);
    assert!(first.wait().is_ok() && second.wait().is_ok());
    log.close().unwrap();
    let stored = text(&storage);
    assert!(
        stored.contains(r#""details":{"events":"2"},"kind":"AUDIT_GAP""#),
        "{stored}"
    );
    assert!(stored.contains("queue is full"), "{stored}");
    assert!(verify(&storage.files()).is_intact());
}

/// Hanging up while the event's sync is awaited: it is in the queue already, once.
#[test]
fn a_request_is_recorded_once() {
    let storage = MemStorage::default();
    let log = open(config(), storage.clone()).unwrap();
    let service = tower::ServiceBuilder::new()
        .layer(AuditLayer::new(log.clone(), endings(&log)))
        .service(tower::service_fn(handle));
    let held = storage.0.lock().unwrap();
    assert!(futures_now(service.oneshot(to("/answered"))).is_none());
    drop(held);
    log.close().unwrap();
    assert_eq!(log.status().durable, Some(0));
    assert!(text(&storage).contains(r#""details":{"effect":"money moved","status":200}"#));
}

/// Polls once: the future must be ready without anything else happening.
fn futures_now<F: std::future::Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn the_extractor_needs_the_layer() {
    let bare: Router = Router::new().route("/", get(|_: AuditDetails| async {}));
    assert_eq!(call(&bare, "/").await.0, StatusCode::INTERNAL_SERVER_ERROR);
}

#[test]
fn outcomes_of_statuses() {
    for (status, expected) in [
        (200, "success"),
        (304, "success"),
        (400, "failure"),
        (401, "denied"),
        (403, "denied"),
        (404, "failure"),
        (429, "failure"),
        (500, "error"),
        (503, "error"),
    ] {
        let outcome: Outcome = outcome_of(StatusCode::from_u16(status).unwrap());
        assert_eq!(outcome.status(), expected, "{status}");
    }
}
