//! The tower layer and the axum extractor, over a real router.
#![cfg(feature = "axum")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    missing_docs
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use abac_engine::{AuthorizeLayer, Decided, Decision, Engine, Reason, Request};
use axum::Router;
use axum::body::Body;
use axum::extract::MatchedPath;
use axum::http::request::Parts;
use axum::http::{Request as HttpRequest, Response, StatusCode};
use axum::routing::get;
use http_body_util::BodyExt;
use tower::ServiceExt;

const POLICIES: &str = "
policies:
  - {id: read, tenant: a, resource: '/orders/{id}', action: GET, role: teller, effect: allow, obligations: {mask: [card]}}
  - {id: odd, tenant: a, resource: /odd, action: GET, role: teller, effect: allow, obligations: [dance]}
";

fn engine() -> Engine {
    Engine::builder().yaml("p", POLICIES).build().unwrap()
}

/// Takes the role from a header: a stand-in for what an outer layer verified.
fn to_request(parts: &Parts) -> Result<Request, String> {
    let role = parts.headers.get("role").ok_or("not authenticated")?;
    let template = parts.extensions.get::<MatchedPath>().ok_or("no route")?;
    Request::builder("a")
        .user("u")
        .roles([role.to_str().map_err(|e| e.to_string())?])
        .action(parts.method.as_str())
        .resource(template.as_str())
        .build()
        .map_err(|e| e.to_string())
}

fn app(calls: Arc<AtomicUsize>) -> Router {
    let handler = move |Decided(decision): Decided| async move {
        calls.fetch_add(1, Ordering::SeqCst);
        decision
            .strings("mask")
            .into_iter()
            .collect::<Vec<_>>()
            .join(",")
    };
    Router::new()
        .route("/orders/{order_id}", get(handler.clone()))
        .route("/odd", get(handler))
}

async fn send(
    app: Router,
    path: &str,
    role: Option<&str>,
) -> (StatusCode, String, Option<Decision>) {
    let mut request = HttpRequest::get(path);
    if let Some(role) = role {
        request = request.header("role", role);
    }
    let response = app
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let decision = response.extensions().get::<Decision>().cloned();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap(), decision)
}

#[tokio::test]
async fn allow_reaches_the_handler_with_its_decision() {
    let calls = Arc::new(AtomicUsize::new(0));
    let app = app(calls.clone()).layer(AuthorizeLayer::new(engine(), to_request));
    let (status, body, decision) = send(app, "/orders/7", Some("teller")).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "card"));
    assert_eq!(decision.unwrap().policies().collect::<Vec<_>>(), ["read"]);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn deny_and_errors_never_reach_the_handler() {
    let calls = Arc::new(AtomicUsize::new(0));
    let app = app(calls.clone()).layer(AuthorizeLayer::new(engine(), to_request));
    for (role, reason) in [
        (Some("clerk"), Reason::NotPermitted),
        (None, Reason::Error),
        (Some(""), Reason::Error),
    ] {
        let (status, body, decision) = send(app.clone(), "/orders/7", role).await;
        assert_eq!((status, body.as_str()), (StatusCode::FORBIDDEN, ""));
        assert_eq!(decision.unwrap().reason(), reason);
    }
    let (_, _, decision) = send(app, "/orders/7", None).await;
    assert_eq!(
        decision.unwrap().errors().next().unwrap().message,
        "not authenticated"
    );
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn refusals_can_be_built_by_the_service() {
    let refuse = |decision: &Decision| {
        let status = match decision.reason() {
            Reason::Error => StatusCode::UNAUTHORIZED,
            _ => StatusCode::NOT_FOUND,
        };
        Response::builder()
            .status(status)
            .body(Body::from("no"))
            .unwrap()
    };
    let app = app(Arc::default()).layer(AuthorizeLayer::new(engine(), to_request).on_deny(refuse));
    let (status, body, decision) = send(app.clone(), "/orders/7", Some("clerk")).await;
    assert_eq!((status, body.as_str()), (StatusCode::NOT_FOUND, "no"));
    assert!(!decision.unwrap().is_allow());
    assert_eq!(
        send(app, "/orders/7", None).await.0,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn obligations_nobody_fulfils_are_refused() {
    let layer = AuthorizeLayer::new(engine(), to_request).fulfils(&["mask"]);
    let app = app(Arc::default()).layer(layer);
    assert_eq!(
        send(app.clone(), "/orders/7", Some("teller")).await.0,
        StatusCode::OK
    );
    let (status, _, decision) = send(app, "/odd", Some("teller")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(
        decision.unwrap().errors().next().unwrap().message,
        "cannot fulfil obligation `dance`"
    );
}

#[tokio::test]
async fn the_extractor_is_closed_without_the_layer() {
    let calls = Arc::new(AtomicUsize::new(0));
    let (status, _, decision) = send(app(calls.clone()), "/orders/7", Some("teller")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(decision.is_none());
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

/// Of two layers the inner one refuses: an audit layer outside must not be told that the request was allowed.
#[tokio::test]
async fn hazard_an_inner_refusal_is_not_covered_by_an_outer_allow() {
    let inner = AuthorizeLayer::new(engine(), |_: &Parts| Err::<Request, _>("inner"));
    let app = app(Arc::default())
        .layer(inner)
        .layer(AuthorizeLayer::new(engine(), to_request));
    let (status, _, decision) = send(app, "/orders/7", Some("teller")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(decision.unwrap().reason(), Reason::Error);
}
