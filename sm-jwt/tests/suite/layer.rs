//! The tower layer and the axum extractors, over real requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::*;
use axum::body::{Body, to_bytes};
use axum::routing::get;
use axum::{Extension, Router};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use sm_jwt::*;
use tower::ServiceExt as _;

const INVALID: &str = r#"Bearer error="invalid_token""#;

fn app(verifier: Verifier) -> Router {
    Router::new()
        .route(
            "/",
            get(|token: Verified| async move { token.claims().subject().to_owned() }),
        )
        .layer(AuthenticateLayer::<NoExtra>::new(Arc::new(verifier)))
}

fn request(authorization: &[&str]) -> Request<Body> {
    let mut request = Request::get("/");
    for value in authorization {
        request = request.header(AUTHORIZATION, *value);
    }
    request.body(Body::empty()).unwrap()
}

async fn call(app: &Router, authorization: &[&str]) -> Response<Body> {
    app.clone().oneshot(request(authorization)).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(to_bytes(response.into_body(), 1000).await.unwrap().to_vec()).unwrap()
}

fn challenge(response: &Response<Body>) -> Option<&str> {
    response
        .headers()
        .get(WWW_AUTHENTICATE)
        .map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_good_token_reaches_the_handler() {
    let app = app(access_verifier());
    let token = access_token();
    for authorization in [
        format!("Bearer {token}"),
        format!("bearer {token}"),
        format!("BEARER   {token}"),
    ] {
        let response = call(&app, &[&authorization]).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.extensions().get::<Refusal>().is_none());
        assert_eq!(text(response).await, "user-1");
    }
}

#[tokio::test]
async fn everything_else_is_401_with_a_challenge() {
    let app = app(access_verifier());
    let token = access_token();
    let good = format!("Bearer {token}");
    let expired = format!(
        "Bearer {}",
        forge_payload(serde_json::json!({ "exp": 10, "iat": 5 }))
    );
    let cases: Vec<(Vec<&str>, &str, &str)> = vec![
        (vec![], "Bearer", "missing_credentials"),
        (vec!["Basic dXNlcjpwdw=="], "Bearer", "missing_credentials"),
        (vec![&token], "Bearer", "missing_credentials"),
        (vec![""], "Bearer", "missing_credentials"),
        (vec!["Bearer"], INVALID, "malformed_credentials"),
        (vec!["Bearer "], INVALID, "malformed_credentials"),
        (vec!["Bearer a b"], INVALID, "malformed_credentials"),
        (vec!["Bearer\tx.y.z"], INVALID, "malformed_credentials"),
        (vec!["Bearer,x"], INVALID, "malformed_credentials"),
        (vec!["dpop=x"], INVALID, "malformed_credentials"),
        (vec!["Bearers x"], "Bearer", "missing_credentials"),
        (vec!["Bearer a,Bearer b"], INVALID, "malformed_credentials"),
        (vec!["Bearer \u{e9}"], INVALID, "malformed_credentials"),
        (vec![&good, &good], INVALID, "malformed_credentials"),
        (
            vec![&good, "Basic dXNlcjpwdw=="],
            INVALID,
            "malformed_credentials",
        ),
        (vec!["Bearer x.y.z"], INVALID, "bad_base64"),
        (vec![&expired], INVALID, "expired"),
    ];
    for (authorization, expected, code) in cases {
        let response = call(&app, &authorization).await;
        // RFC 6750 section 3.1.
        let (status, expected) = match code {
            "malformed_credentials" => {
                (StatusCode::BAD_REQUEST, r#"Bearer error="invalid_request""#)
            }
            _ => (StatusCode::UNAUTHORIZED, expected),
        };
        assert_eq!(response.status(), status, "{authorization:?}");
        assert_eq!(challenge(&response), Some(expected), "{authorization:?}");
        // The client learns nothing more; an outer layer does.
        let refusal = response.extensions().get::<Refusal>().unwrap();
        assert_eq!(refusal.error().code(), code, "{authorization:?}");
        assert_eq!(text(response).await, "");
    }
}

#[tokio::test]
async fn single_use_tokens_pass_once() {
    let store = Arc::new(MemoryReplayStore::new(10, Arc::new(clock())));
    let verifier = builder(TokenType::Transaction, ReplayPolicy::SingleUse)
        .replay_store(store)
        .build()
        .unwrap();
    let app = app(verifier);
    let token = signer()
        .sign(&claims(), TokenType::Transaction, &NoExtra)
        .unwrap();
    let authorization = format!("Bearer {token}");
    assert_eq!(call(&app, &[&authorization]).await.status(), StatusCode::OK);
    let again = call(&app, &[&authorization]).await;
    assert_eq!(again.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        again.extensions().get::<Refusal>().unwrap().error().code(),
        "replayed"
    );
}

#[tokio::test]
async fn a_store_that_fails_closes_the_door_with_503() {
    let store = Arc::new(MemoryReplayStore::new(0, Arc::new(clock())));
    let verifier = builder(TokenType::Transaction, ReplayPolicy::SingleUse)
        .replay_store(store)
        .build()
        .unwrap();
    let token = signer()
        .sign(&claims(), TokenType::Transaction, &NoExtra)
        .unwrap();
    let response = call(&app(verifier), &[&format!("Bearer {token}")]).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(challenge(&response), None);
    assert_eq!(
        response
            .extensions()
            .get::<Refusal>()
            .unwrap()
            .error()
            .code(),
        "replay_store_failed"
    );
}

#[tokio::test]
async fn a_hook_shapes_the_body_and_nothing_else() {
    let layer = AuthenticateLayer::<NoExtra>::new(Arc::new(access_verifier())).on_refusal(
        |refusal: &Refusal| {
            // A hook that tries to let the request through.
            Response::builder()
                .status(StatusCode::OK)
                .header("x-refused", refusal.error().code())
                .body(Body::from("please log in"))
                .unwrap()
        },
    );
    let app = Router::new()
        .route("/", get(|| async { "inside" }))
        .layer(layer);
    let response = call(&app, &[]).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(challenge(&response), Some("Bearer"));
    assert_eq!(response.headers()["x-refused"], "missing_credentials");
    assert_eq!(text(response).await, "please log in");
}

#[tokio::test]
async fn refused_requests_never_reach_the_service() {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    let service = tower::service_fn(move |_: Request<Body>| {
        seen.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, std::convert::Infallible>(Response::new(Body::empty())) }
    });
    let service = tower::ServiceBuilder::new()
        .layer(AuthenticateLayer::<NoExtra>::new(Arc::new(
            access_verifier(),
        )))
        .service(service);
    for authorization in [&[][..], &["Bearer x"]] {
        let response = service
            .clone()
            .oneshot(request(authorization))
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    let good = format!("Bearer {}", access_token());
    service.oneshot(request(&[&good])).await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[derive(Debug, Serialize, Deserialize)]
struct Branch {
    branch: String,
}

#[tokio::test]
async fn typed_claims_travel_to_the_handler() {
    let app = Router::new()
        .route(
            "/",
            get(
                |Verified(token): Verified<Branch>,
                 Extension(same): Extension<VerifiedToken<Branch>>| async move {
                    assert_eq!(token.claims(), same.claims());
                    token.extra().branch.clone()
                },
            ),
        )
        .layer(AuthenticateLayer::<Branch>::new(
            Arc::new(access_verifier()),
        ));
    let extra = Branch {
        branch: "0755".into(),
    };
    let token = signer().sign(&claims(), TokenType::Access, &extra).unwrap();
    let response = call(&app, &[&format!("Bearer {token}")]).await;
    assert_eq!(text(response).await, "0755");
    // Without the custom claims the token is not good enough here.
    let response = call(&app, &[&format!("Bearer {}", access_token())]).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn extractors_without_a_layer() {
    let app = Router::new()
        .route("/", get(|_: Verified| async { "inside" }))
        .route(
            "/open",
            get(|token: Option<Verified>| async move { token.is_some().to_string() }),
        );
    let response = call(&app, &["Bearer x"]).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(challenge(&response), Some("Bearer"));
    let open = Request::get("/open").body(Body::empty()).unwrap();
    assert_eq!(text(app.oneshot(open).await.unwrap()).await, "false");
}
