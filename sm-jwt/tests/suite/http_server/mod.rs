//! A real HTTP server on loopback that answers as a test tells it, and a runtime whose time stands still.
//!
//! The server has a thread and a runtime of its own, so that a test can stop the client's time and the server goes on.
#![allow(dead_code, unreachable_pub)]

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response};
use axum::serve::Listener;
use hyper::body::Frame;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the server answers.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Content,
}

#[derive(Clone)]
pub enum Content {
    /// With its length in the head.
    Whole(Vec<u8>),
    /// In chunks, without a length.
    Chunks(Vec<Vec<u8>>),
    /// Chunks without end.
    Endless,
    /// A part, and then nothing more on an open connection.
    Stalls(Vec<u8>),
    /// A part, and then the connection breaks.
    Breaks(Vec<u8>),
    /// Nothing at all, not even a head.
    Silent,
}

impl Reply {
    pub fn json(text: impl Into<String>) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", "application/json".to_owned())],
            body: Content::Whole(text.into().into_bytes()),
        }
    }

    pub fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::json("{}")
        }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(held, _)| *held != name);
        self.add_header(name, value)
    }

    pub fn add_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn without_header(mut self, name: &str) -> Self {
        self.headers.retain(|(held, _)| *held != name);
        self
    }

    pub fn body(mut self, body: Content) -> Self {
        self.body = body;
        self
    }
}

/// A request as it arrived.
#[derive(Clone)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

struct Script {
    reply: Mutex<Reply>,
    seen: Mutex<VecDeque<Seen>>,
    requests: AtomicUsize,
    /// Requests wait while it is closed.
    open: watch::Sender<bool>,
}

pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    script: Arc<Script>,
    /// Kept for a server that takes over.
    listener: Option<std::net::TcpListener>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(reply: Reply) -> Self {
        Self::spawn(loopback(), reply, None)
    }

    pub fn start_tls(reply: Reply, tls: Arc<rustls::ServerConfig>) -> Self {
        Self::spawn(loopback(), reply, Some(tls))
    }

    /// Ends this server, and lets another one answer at its address.
    pub fn replace_tls(mut self, reply: Reply, tls: Arc<rustls::ServerConfig>) -> Self {
        // Another handle of the same socket: the port is never free in between.
        let listener = self.listener.take().unwrap();
        self.stop();
        Self::spawn(listener, reply, Some(tls))
    }

    fn spawn(
        listener: std::net::TcpListener,
        reply: Reply,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> Self {
        let held = listener.try_clone().unwrap();
        let script = Arc::new(Script {
            reply: Mutex::new(reply),
            seen: Mutex::default(),
            requests: AtomicUsize::new(0),
            open: watch::Sender::new(true),
        });
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let app = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&script));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                let serving = async {
                    match tls {
                        None => axum::serve(listener, app).await.unwrap(),
                        Some(tls) => {
                            let acceptor = TlsAcceptor::from(tls);
                            let listener = TlsListener { listener, acceptor };
                            axum::serve(listener, app).await.unwrap();
                        }
                    }
                };
                tokio::select! {
                    () = serving => {}
                    _ = stopped => {}
                }
            });
            // Open connections end with the runtime.
        });
        Self {
            address,
            scheme,
            script,
            listener: Some(held),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// What is answered from now on.
    pub fn reply(&self, reply: Reply) {
        *self.script.reply.lock().unwrap() = reply;
    }

    /// How many requests arrived.
    pub fn requests(&self) -> usize {
        self.script.requests.load(Ordering::SeqCst)
    }

    /// The oldest request that was not taken yet.
    pub fn next_request(&self) -> Option<Seen> {
        self.script.seen.lock().unwrap().pop_front()
    }

    /// Lets requests wait from now on, or lets them go.
    pub fn set_open(&self, open: bool) {
        self.script.open.send_replace(open);
    }

    /// Ends the server and its connections: its port refuses from now on.
    pub fn stop(&mut self) {
        self.listener = None;
        let _ = self.stop.take().unwrap().send(());
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.stop.is_some() {
            self.stop();
        }
    }
}

fn loopback() -> std::net::TcpListener {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

async fn answer(State(script): State<Arc<Script>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    script.seen.lock().unwrap().push_back(Seen {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        headers: head.headers,
        body: body.to_vec(),
    });
    script.requests.fetch_add(1, Ordering::SeqCst);
    let mut open = script.open.subscribe();
    open.wait_for(|open| *open).await.unwrap();
    let reply = script.reply.lock().unwrap().clone();
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    let body = match reply.body {
        Content::Whole(bytes) => Body::from(bytes),
        Content::Chunks(chunks) => Pieces::body(chunks, After::End),
        Content::Endless => Pieces::body(vec![], After::More),
        Content::Stalls(start) => Pieces::body(vec![start], After::Nothing),
        Content::Breaks(start) => Pieces::body(vec![start], After::Break),
        Content::Silent => std::future::pending().await,
    };
    response.body(body).unwrap()
}

/// A body in pieces, without a length.
struct Pieces {
    pieces: VecDeque<Vec<u8>>,
    after: After,
}

enum After {
    End,
    More,
    Nothing,
    Break,
}

impl Pieces {
    fn body(pieces: Vec<Vec<u8>>, after: After) -> Body {
        let pieces = pieces.into();
        Body::new(Self { pieces, after })
    }
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(piece) = self.pieces.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(piece.into()))));
        }
        match self.after {
            After::End => Poll::Ready(None),
            After::More => Poll::Ready(Some(Ok(Frame::data(vec![b' '; 1024].into())))),
            After::Break => Poll::Ready(Some(Err(io::Error::other("broken")))),
            After::Nothing => Poll::Pending,
        }
    }
}

struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, address) = self.listener.accept().await.unwrap();
            // A client that does not like the certificate is no client.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A CA of its own, and a server's certificate for `name`.
pub struct Ca {
    pub server: Arc<rustls::ServerConfig>,
    certificate: rustls::pki_types::CertificateDer<'static>,
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

impl Ca {
    pub fn new(name: &str) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        // Two CAs of one name would be told apart by their keys alone.
        static CAS: AtomicUsize = AtomicUsize::new(0);
        let number = CAS.fetch_add(1, Ordering::SeqCst);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, format!("ca {number}"));
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = rcgen::CertifiedIssuer::self_signed(params, key).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(vec![name.to_owned()])
            .unwrap()
            .signed_by(&key, &ca)
            .unwrap();
        let server = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf.der().clone()],
                rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
        Self {
            server: Arc::new(server),
            certificate: ca.der().clone(),
        }
    }

    /// A client's configuration that trusts this CA alone.
    pub fn client(&self) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

/// Runs a test whose Tokio time moves only when the test says so, by [`tokio::time::advance`], while its sockets work.
///
/// Paused time by itself would jump ahead whenever all tasks wait, also for a socket. It does not while a blocking task
/// runs, so one runs as long as the test does.
pub fn with_still_time<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        // The receiver fails when the sender is dropped, also by a test that fails.
        let blocking = tokio::task::spawn_blocking(move || ended.recv());
        test.await;
        drop(end);
        let _ = blocking.await.unwrap();
    });
}

/// Waits, in real time, until something holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        tokio::task::yield_now().await;
        thread::sleep(Duration::from_micros(200));
    }
}
