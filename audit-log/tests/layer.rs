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
    AuditDetails, AuditFailure, AuditLayer, AuditLog, Details, Event, Kind, Outcome, WhenFull, Who,
    outcome_of,
};
use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use common::{Fault, MemStorage, append, config, open, verify};
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
