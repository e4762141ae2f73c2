//! Forwards a request to the service behind, with clean headers and a time limit.

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri, header};
use http_body_util::{LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::adapters::StaffToken;
use crate::config::GatewayConfig;
use crate::http::refuse;
use crate::trace::{TRACEPARENT, TraceContext};

/// The verified tenant, for the service behind. From outside it is never taken.
pub const TENANT: &str = "x-tenant-id";

/// Headers that end at this hop (RFC 9110 section 7.6.1), whatever `Connection` lists.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Headers by which a caller could speak for the gateway.
const SPOKEN_BY_THE_GATEWAY: [&str; 7] = [
    TENANT,
    TRACEPARENT,
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
];

/// The service behind.
#[derive(Debug, Clone)]
pub struct Upstream {
    origin: String,
    timeout: Duration,
    max_body_bytes: usize,
    client: Client<HttpConnector, Body>,
}

impl Upstream {
    /// A pooled client of the configured service.
    #[must_use]
    pub fn new(config: &GatewayConfig) -> Self {
        Self {
            origin: config.upstream.clone(),
            timeout: config.upstream_timeout,
            max_body_bytes: config.max_body_bytes,
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }
}

/// Passes one request on and its answer back.
pub(super) async fn forward(
    State(upstream): State<Upstream>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Extension(caller): Extension<StaffToken>,
    Extension(trace): Extension<TraceContext>,
    request: Request,
) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
    let Ok(uri) = format!("{}{path}", upstream.origin).parse::<Uri>() else {
        return refuse(StatusCode::BAD_REQUEST, "malformed_uri");
    };
    let declared = parts
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|l| l.to_str().ok());
    if declared
        .and_then(|l| l.parse::<usize>().ok())
        .is_some_and(|l| l > upstream.max_body_bytes)
    {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large");
    }
    strip(&mut parts.headers, &SPOKEN_BY_THE_GATEWAY);
    strip_hop_by_hop(&mut parts.headers);
    parts.headers.remove(header::HOST);
    let tenant = caller
        .claims()
        .tenant_id()
        .and_then(|t| HeaderValue::from_str(t).ok());
    let (Some(tenant), Some(trace)) = (tenant, trace.header()) else {
        return refuse(StatusCode::FORBIDDEN, "no_tenant");
    };
    parts.headers.insert(TENANT, tenant);
    parts.headers.insert(TRACEPARENT, trace);
    if let Ok(peer) = HeaderValue::from_str(&peer.ip().to_string()) {
        parts.headers.insert("x-forwarded-for", peer);
    }
    let mut onward = Request::new(Body::new(Limited::new(body, upstream.max_body_bytes)));
    *onward.method_mut() = parts.method;
    *onward.uri_mut() = uri;
    *onward.headers_mut() = parts.headers;
    match tokio::time::timeout(upstream.timeout, upstream.client.request(onward)).await {
        Err(_) => refuse(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout"),
        Ok(Err(e)) if caused_by::<LengthLimitError>(&e) => {
            refuse(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large")
        }
        Ok(Err(_)) => refuse(StatusCode::BAD_GATEWAY, "upstream_unreachable"),
        Ok(Ok(response)) => {
            let mut response = response.map(Body::new);
            strip_hop_by_hop(response.headers_mut());
            response
        }
    }
}

fn strip(headers: &mut HeaderMap, names: &[&str]) {
    for name in names {
        headers.remove(*name);
    }
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in listed {
        headers.remove(name);
    }
    strip(headers, &HOP_BY_HOP);
}

fn caused_by<E: StdError + 'static>(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(e) = cause {
        if e.is::<E>() {
            return true;
        }
        cause = e.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_by_hop_headers_end_here() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, x-secret-hop"),
            ("x-secret-hop", "1"),
            ("te", "trailers"),
            ("accept", "application/json"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        strip_hop_by_hop(&mut headers);
        assert_eq!(
            headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["accept"]
        );
    }
}
