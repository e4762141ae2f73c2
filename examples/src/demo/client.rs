//! A small HTTP client for the demo: real requests over real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::error::Failure;

const TIME_LIMIT: Duration = Duration::from_secs(30);
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Sends requests to one service.
#[derive(Debug, Clone)]
pub struct Client {
    origin: String,
    http: HyperClient<HttpConnector, Body>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Body; null where it is not JSON.
    pub json: Value,
    /// The trace that the service put the request under.
    pub trace_id: String,
}

impl Answer {
    /// `status`, or `status code` for a refusal.
    #[must_use]
    pub fn summary(&self) -> String {
        match self.json.get("error").and_then(Value::as_str) {
            Some(code) => format!("{} {code}", self.status.as_u16()),
            None => self.status.as_u16().to_string(),
        }
    }

    /// A string member of the body.
    #[must_use]
    pub fn text(&self, member: &str) -> Option<&str> {
        self.json.get(member)?.as_str()
    }
}

/// What a request carries.
#[derive(Debug, Clone, Copy, Default)]
pub struct Send<'a> {
    /// Bearer token.
    pub token: Option<&'a str>,
    /// Further headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// JSON body.
    pub body: Option<&'a Value>,
}

impl<'a> Send<'a> {
    /// With a bearer token.
    #[must_use]
    pub fn token(token: &'a str) -> Self {
        Self {
            token: Some(token),
            ..Self::default()
        }
    }

    /// With a JSON body.
    #[must_use]
    pub fn body(self, body: &'a Value) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }

    /// With further headers.
    #[must_use]
    pub fn headers(self, headers: &'a [(&'a str, &'a str)]) -> Self {
        Self { headers, ..self }
    }
}

impl Client {
    /// A client of the service at an address.
    #[must_use]
    pub fn new(service: SocketAddr) -> Self {
        Self {
            origin: format!("http://{service}"),
            http: HyperClient::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Sends one request.
    ///
    /// # Errors
    /// There was no answer in time, or not one of this service.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        what: Send<'_>,
    ) -> Result<Answer, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.origin));
        if let Some(token) = what.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        for (name, value) in what.headers {
            request = request.header(*name, *value);
        }
        let body = match what.body {
            Some(json) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(json.to_string())
            }
            None => Body::empty(),
        };
        let request = request.body(body).map_err(Failure::other)?;
        let exchange = async {
            let response = self.http.request(request).await.map_err(Failure::other)?;
            let (parts, body) = response.into_parts();
            let bytes = Limited::new(body, MAX_ANSWER_BYTES)
                .collect()
                .await
                .map_err(Failure::other)?;
            let trace_id = parts
                .headers
                .get(crate::trace::TRACEPARENT)
                .and_then(|t| t.to_str().ok()?.split('-').nth(1))
                .unwrap_or_default()
                .to_owned();
            let json = serde_json::from_slice(&bytes.to_bytes()).unwrap_or(Value::Null);
            Ok(Answer {
                status: parts.status,
                json,
                trace_id,
            })
        };
        tokio::time::timeout(TIME_LIMIT, exchange)
            .await
            .map_err(Failure::other)?
    }
}
