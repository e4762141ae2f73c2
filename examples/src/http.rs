//! What both services' HTTP sides share: refusals as JSON, and serving until told to stop.

use std::future::Future;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use tokio::net::TcpListener;

use crate::error::Failure;

/// The code of a refusal, in the answer's extensions, for the audit record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode(pub &'static str);

/// An answer `{"error": code}`: a stable word for machines and nothing that helps an attacker.
#[must_use]
pub fn refuse(status: StatusCode, code: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{{\"error\":\"{code}\"}}")));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response.extensions_mut().insert(ErrorCode(code));
    response
}

/// Opens a listening socket.
///
/// # Errors
/// The address is taken or not ours.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .await
        .map_err(|e| Failure::other(format!("listen {address}: {e}")))
}

/// Serves until `stop` resolves, then lets the requests in flight end.
///
/// # Errors
/// The server failed.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failure> {
    axum::serve(
        listener,
        app.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(stop)
    .await
    .map_err(Failure::other)
}

/// Resolves on Ctrl-C or SIGTERM.
pub async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    // Without a signal handler the process ends by the default action.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
