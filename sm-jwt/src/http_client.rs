//! An HTTP/1.1 client for one fixed URL, with limits on everything that the other side sends: what fetching keys and
//! introspecting tokens need, and no more. It follows no redirect, uses no proxy, and keeps no cookie.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::error::Error;

/// The longest URL in bytes.
const MAX_URL_LEN: usize = 2048;
/// The most bytes of a response's head.
const MAX_HEAD_LEN: usize = 32 * 1024;
/// The most header fields of a response.
const MAX_HEADERS: usize = 64;
/// The most bytes of what the layers below say of an error.
const MAX_DETAIL_LEN: usize = 300;
/// How long a connection is kept without use.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest time that may be set for a whole request.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// What a client is made from.
#[derive(Clone)]
pub(crate) struct HttpSettings {
    pub(crate) url: String,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) plain_http: bool,
    /// From the first look-up of the host to the last byte of the answer.
    pub(crate) timeout: Duration,
    /// The longest body of an answer, in bytes.
    pub(crate) max_body: usize,
    /// How many connections are kept for later requests.
    pub(crate) idle_connections: usize,
    /// The media types that are asked for and accepted.
    pub(crate) media_types: &'static [&'static str],
}

/// A client for one URL.
pub(crate) struct HttpClient {
    transport: Transport,
    uri: Uri,
    /// The URL without its query, for messages.
    place: Arc<str>,
    timeout: Duration,
    max_body: usize,
    media_types: &'static [&'static str],
    accept: HeaderValue,
}

enum Transport {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

/// An answer of status 200 with an accepted media type.
pub(crate) struct HttpAnswer {
    #[cfg(feature = "jwks-http")]
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Why there is no such answer, and where it was asked for. Nothing of a body is in it.
#[derive(Debug)]
pub(crate) struct HttpError {
    place: Arc<str>,
    fault: Fault,
}

#[derive(Debug)]
enum Fault {
    NoRuntime,
    Request,
    Transport(String),
    Timeout(Duration),
    Redirect(StatusCode),
    Status(StatusCode),
    MediaType(&'static [&'static str]),
    Encoded,
    TooLarge(usize),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        match &self.fault {
            Fault::NoRuntime => f.write_str("a request needs a Tokio runtime"),
            Fault::Request => f.write_str("the request cannot be written as HTTP"),
            Fault::Transport(detail) => write!(f, "no answer: {detail}"),
            Fault::Timeout(limit) => {
                write!(f, "no whole answer within {} ms", limit.as_millis())
            }
            Fault::Redirect(status) => write!(
                f,
                "the answer is a redirect ({}), and none is followed",
                status.as_u16()
            ),
            Fault::Status(status) => write!(f, "the answer has status {}", status.as_u16()),
            Fault::MediaType(types) => {
                write!(f, "the answer's content type is not {}", types.join(" or "))
            }
            Fault::Encoded => f.write_str("the answer has a content encoding"),
            Fault::TooLarge(limit) => {
                write!(f, "the answer is longer than its limit of {limit} bytes")
            }
        }
    }
}

impl HttpClient {
    /// A client for the URL of the settings.
    ///
    /// # Errors
    /// [`Error::Config`] for a URL that is not absolute, has user information or a fragment, or is not `https` where plain
    /// HTTP was not allowed; for `https` without a TLS configuration; and for limits of nothing or a timeout above a minute.
    pub(crate) fn new(settings: HttpSettings) -> Result<Self, Error> {
        let wrong = |why: String| Error::Config(format!("HTTP client: {why}"));
        let uri = check_url(&settings.url, settings.plain_http).map_err(|why| wrong(why.into()))?;
        if settings.timeout.is_zero() || settings.timeout > MAX_TIMEOUT {
            return Err(wrong("a timeout is above nothing and at most 60 s".into()));
        }
        if settings.max_body == 0 {
            return Err(wrong("an answer may be longer than nothing".into()));
        }
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(settings.timeout));
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(settings.idle_connections)
            .http1_max_buf_size(MAX_HEAD_LEN)
            .http1_max_headers(MAX_HEADERS);
        let transport = if uri.scheme_str() == Some("https") {
            let tls = settings
                .tls
                .ok_or_else(|| wrong("an https URL needs a TLS configuration".into()))?;
            // The connector leaves the scheme to the layer above it, which takes https alone.
            tcp.enforce_http(false);
            let mut connector = HttpsConnector::from((tcp, http1_alone(tls)));
            connector.enforce_https();
            Transport::Tls(builder.build(connector))
        } else {
            Transport::Plain(builder.build(tcp))
        };
        let accept = HeaderValue::from_str(&settings.media_types.join(", "))
            .map_err(|_| wrong("a media type is no header value".into()))?;
        Ok(Self {
            transport,
            place: place(&uri).into(),
            uri,
            timeout: settings.timeout,
            max_body: settings.max_body,
            media_types: settings.media_types,
            accept,
        })
    }

    /// The URL without its query.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Gets the URL.
    #[cfg(feature = "jwks-http")]
    pub(crate) async fn get(&self) -> Result<HttpAnswer, HttpError> {
        self.send(Request::get(self.uri.clone()), Bytes::new())
            .await
    }

    /// Posts a form to the URL. The authorization should be marked as sensitive.
    #[cfg(feature = "introspection")]
    pub(crate) async fn post_form(
        &self,
        authorization: &HeaderValue,
        form: String,
    ) -> Result<HttpAnswer, HttpError> {
        let request = Request::post(self.uri.clone())
            .header(http::header::AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, form.into()).await
    }

    async fn send(
        &self,
        request: http::request::Builder,
        body: Bytes,
    ) -> Result<HttpAnswer, HttpError> {
        let request = request
            .header(ACCEPT, &self.accept)
            .header(USER_AGENT, "sm-jwt")
            .body(Full::new(body));
        let sent = match request {
            Err(_) => Err(Fault::Request),
            // A timer outside a runtime would panic.
            Ok(_) if Handle::try_current().is_err() => Err(Fault::NoRuntime),
            Ok(request) => timeout(self.timeout, self.exchange(request))
                .await
                .unwrap_or(Err(Fault::Timeout(self.timeout))),
        };
        sent.map_err(|fault| HttpError {
            place: Arc::clone(&self.place),
            fault,
        })
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<HttpAnswer, Fault> {
        let sent = match &self.transport {
            Transport::Plain(client) => client.request(request).await,
            Transport::Tls(client) => client.request(request).await,
        };
        let response = sent.map_err(|error| Fault::Transport(detail(&error)))?;
        self.check_head(&response)?;
        #[cfg(feature = "jwks-http")]
        let headers = response.headers().clone();
        Ok(HttpAnswer {
            #[cfg(feature = "jwks-http")]
            headers,
            body: self.read(response.into_body()).await?,
        })
    }

    fn check_head<B>(&self, response: &Response<B>) -> Result<(), Fault> {
        let status = response.status();
        if status.is_redirection() {
            return Err(Fault::Redirect(status));
        }
        if status != StatusCode::OK {
            return Err(Fault::Status(status));
        }
        let headers = response.headers();
        // None was asked for.
        if headers.contains_key(CONTENT_ENCODING) {
            return Err(Fault::Encoded);
        }
        let mut types = headers.get_all(CONTENT_TYPE).iter();
        let accepted = match (types.next(), types.next()) {
            (Some(one), None) => is_one_of(one, self.media_types),
            _ => false,
        };
        accepted
            .then_some(())
            .ok_or(Fault::MediaType(self.media_types))
    }

    /// Reads a body piece by piece, and no further than its limit.
    async fn read(&self, mut body: Incoming) -> Result<Vec<u8>, Fault> {
        let too_large = Fault::TooLarge(self.max_body);
        // What the head announces already.
        if body.size_hint().lower() > u64::try_from(self.max_body).unwrap_or(u64::MAX) {
            return Err(too_large);
        }
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Fault::Transport(detail(&error)))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if data.len() > self.max_body.saturating_sub(read.len()) {
                return Err(too_large);
            }
            read.extend_from_slice(&data);
        }
        Ok(read)
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpClient").field(&self.place).finish()
    }
}

/// The configuration, with HTTP/1.1 as the only protocol above TLS.
fn http1_alone(tls: Arc<ClientConfig>) -> Arc<ClientConfig> {
    let http1 = vec![b"http/1.1".to_vec()];
    if tls.alpn_protocols == http1 {
        return tls;
    }
    let mut tls = (*tls).clone();
    tls.alpn_protocols = http1;
    Arc::new(tls)
}

/// A URL that may be asked, or what is wrong with it. The URL itself stays out of the message: it may hold a password.
fn check_url(url: &str, plain_http: bool) -> Result<Uri, &'static str> {
    if url.len() > MAX_URL_LEN {
        return Err("the URL is longer than 2048 bytes");
    }
    if url.contains('#') {
        return Err("the URL has a fragment");
    }
    let uri: Uri = url.parse().map_err(|_| "the URL is malformed")?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err("the URL is not absolute");
    };
    match scheme {
        "https" => {}
        "http" if plain_http => {}
        "http" => return Err("the URL is http, and plain HTTP was not allowed"),
        _ => return Err("the URL is not https"),
    }
    if authority.as_str().contains('@') {
        return Err("the URL has user information");
    }
    let port = authority
        .as_str()
        .strip_prefix(authority.host())
        .unwrap_or(":");
    if authority.host().is_empty() || !(port.is_empty() || authority.port_u16() > Some(0)) {
        return Err("the URL's host or port is malformed");
    }
    Ok(uri)
}

/// A URL without its query, which may hold secrets.
fn place(uri: &Uri) -> String {
    format!(
        "{}://{}{}",
        uri.scheme_str().unwrap_or_default(),
        uri.authority().map(|at| at.as_str()).unwrap_or_default(),
        uri.path()
    )
}

/// Whether a `Content-Type`, its parameters aside, is one of these.
fn is_one_of(value: &HeaderValue, types: &[&str]) -> bool {
    let Ok(text) = value.to_str() else {
        return false;
    };
    let essence = text.split(';').next().unwrap_or_default().trim();
    types.iter().any(|one| essence.eq_ignore_ascii_case(one))
}

/// What an error and its causes say, in one line. The layers below speak of connections, certificates and framing, never of
/// a body's contents.
fn detail(error: &dyn StdError) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let line = error.to_string();
        if !text.contains(&line) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&line);
        }
        next = error.source();
    }
    text.truncate(text.floor_char_boundary(MAX_DETAIL_LEN));
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for url in [
            "https://issuer.example",
            "https://issuer.example/keys?tenant=a",
            "https://[2001:db8::1]:8443/keys",
            "HTTPS://issuer.example:443/",
        ] {
            assert!(check_url(url, false).is_ok(), "{url}");
        }
        assert!(check_url("http://127.0.0.1:8080/keys", true).is_ok());
        let long = format!("https://issuer.example/{}", "a".repeat(MAX_URL_LEN));
        for (url, why) in [
            ("http://issuer.example/", "plain HTTP"),
            ("https://user@issuer.example/", "user information"),
            ("https://user:secret@issuer.example/", "user information"),
            ("https://issuer.example/#a", "fragment"),
            ("https://issuer.example:0/", "port"),
            ("https://issuer.example:99999/", "port"),
            ("https://issuer.example:/", "port"),
            ("/keys", "absolute"),
            ("issuer.example", "absolute"),
            ("", "malformed"),
            ("https://", "malformed"),
            ("https://:443/", "malformed"),
            ("https://a b/", "malformed"),
            ("ftp://issuer.example/", "not https"),
            (&long, "longer"),
        ] {
            let error = check_url(url, false).unwrap_err();
            assert!(error.contains(why), "{url}: {error}");
            assert!(!error.contains("secret"));
        }
    }

    #[test]
    fn a_place_has_no_query() {
        let uri = check_url("https://issuer.example:8443/keys?key=secret", false).unwrap();
        assert_eq!(place(&uri), "https://issuer.example:8443/keys");
    }

    #[test]
    fn media_types() {
        let is_json = |text| is_one_of(&HeaderValue::from_static(text), &["application/json"]);
        assert!(is_json("application/json"));
        assert!(is_json("Application/JSON ; charset=utf-8"));
        for other in [
            "",
            "text/html",
            "application/jsonx",
            "application/json, text/html",
            "application/jwk-set+json",
        ] {
            assert!(!is_json(other), "{other}");
        }
    }

    #[test]
    fn settings_without_limits_are_refused() {
        let settings = HttpSettings {
            url: "http://issuer.example/".to_owned(),
            tls: None,
            plain_http: true,
            timeout: Duration::from_secs(5),
            max_body: 10,
            idle_connections: 0,
            media_types: &["application/json"],
        };
        assert!(HttpClient::new(settings.clone()).is_ok());
        for wrong in [
            HttpSettings {
                timeout: Duration::ZERO,
                ..settings.clone()
            },
            HttpSettings {
                timeout: Duration::from_secs(61),
                ..settings.clone()
            },
            HttpSettings {
                max_body: 0,
                ..settings.clone()
            },
            HttpSettings {
                url: "https://issuer.example/".to_owned(),
                ..settings
            },
        ] {
            assert_eq!(
                HttpClient::new(wrong).unwrap_err().code(),
                "bad_configuration"
            );
        }
    }
}
