//! Requests over the tower layer, in memory, and what came of them.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::any;
use http::header::WWW_AUTHENTICATE;
use http::{Request, Response, StatusCode};
use sm_jwt::*;
use tower::ServiceExt as _;

pub const ORIGIN: &str = "https://api.bank.example";

/// Answers with how and as whom the caller was authenticated.
pub fn app(authenticator: impl Authenticator + 'static) -> Router {
    Router::new()
        .route(
            "/{*path}",
            any(|identity: Identity, token: Option<Verified>| async move {
                format!(
                    "{:?} {} {}",
                    identity.by(),
                    identity.subject(),
                    token.is_some()
                )
            }),
        )
        .layer(AuthenticateLayer::with(Arc::new(authenticator)))
}

pub struct Call {
    pub request: http::request::Builder,
}

impl Call {
    pub fn get(path: &str) -> Self {
        Self {
            request: Request::get(path),
        }
    }

    pub fn header(mut self, name: impl AsRef<str>, value: &str) -> Self {
        self.request = self.request.header(name.as_ref(), value);
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub async fn send(self, app: &Router) -> Response<Body> {
        app.clone()
            .oneshot(self.request.body(Body::empty()).unwrap())
            .await
            .unwrap()
    }
}

pub async fn text(response: Response<Body>) -> String {
    assert_eq!(
        response.status(),
        StatusCode::OK,
        "{:?}",
        response.extensions().get::<Refusal>()
    );
    String::from_utf8(to_bytes(response.into_body(), 1000).await.unwrap().to_vec()).unwrap()
}

pub fn refusal_code(response: &Response<Body>) -> &'static str {
    response
        .extensions()
        .get::<Refusal>()
        .unwrap()
        .error()
        .code()
}

pub fn challenges(response: &Response<Body>) -> Vec<&str> {
    let values = response.headers().get_all(WWW_AUTHENTICATE).iter();
    values.map(|value| value.to_str().unwrap()).collect()
}
