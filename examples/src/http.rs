//! What both services' HTTP sides share: refusals as JSON, and serving until told to stop.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderValue, Response, StatusCode, header};
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::time::{Sleep, sleep};
use tower::ServiceExt as _;

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

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub struct TimeLimits {
    /// For a request's head, and again for its body; a connection without a request waits as long.
    pub request: Duration,
    /// After the word to stop: what is open then is left behind.
    pub stopping: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(10),
            stopping: Duration::from_secs(12),
        }
    }
}

/// No file descriptor is free, or the like: others may end meanwhile.
const PAUSE_AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(50);

/// Serves until `stop` resolves, then lets the requests in flight end. No client can hold a
/// connection, or the end, by being slow.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    limits: TimeLimits,
    stop: impl Future<Output = ()>,
) {
    let mut stop = std::pin::pin!(stop);
    let open = GracefulShutdown::new();
    loop {
        let (stream, peer) = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(_) => {
                    sleep(PAUSE_AFTER_FAILED_ACCEPT).await;
                    continue;
                }
            },
        };
        let app = app.clone();
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(|body| Body::new(InTime::new(body, limits.request)));
            request.extensions_mut().insert(ConnectInfo(peer));
            app.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.request)
            .serve_connection(TokioIo::new(stream), service);
        let connection = open.watch(connection);
        // A connection that ends in an error is the client's matter: its requests are recorded.
        tokio::spawn(async move { drop(connection.await) });
    }
    drop(listener);
    // Left behind are clients that do not read their answer; their requests have ended.
    let _ = tokio::time::timeout(limits.stopping, open.shutdown()).await;
}

/// A request's body that fails when it has not ended in time.
struct InTime {
    body: Incoming,
    late: Pin<Box<Sleep>>,
}

impl InTime {
    fn new(body: Incoming, limit: Duration) -> Self {
        Self {
            body,
            late: Box::pin(sleep(limit)),
        }
    }
}

impl HttpBody for InTime {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.late.as_mut().poll(context).is_ready() {
            let late = io::Error::new(io::ErrorKind::TimedOut, "the body did not end in time");
            return Poll::Ready(Some(Err(late.into())));
        }
        Pin::new(&mut self.body)
            .poll_frame(context)
            .map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
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

#[cfg(test)]
mod tests {
    use axum::routing::post;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn slow_clients_hold_neither_a_connection_nor_the_end() {
        let limits = TimeLimits {
            request: Duration::from_millis(50),
            stopping: Duration::from_secs(60),
        };
        let listener = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/", post(async |body: String| body));
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, app, limits, async {
            let _ = stopped.await;
        }));
        for (sent, answered) in [
            ("", ""),
            ("POST / HT", ""),
            (
                "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n1",
                "HTTP/1.1 400",
            ),
        ] {
            let mut slow = TcpStream::connect(address).await.unwrap();
            slow.write_all(sent.as_bytes()).await.unwrap();
            let mut answer = String::new();
            slow.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with(answered), "{sent}: {answer}");
        }
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"POST / HT").await.unwrap();
        stop.send(()).unwrap();
        server.await.unwrap();
    }
}
