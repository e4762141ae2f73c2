//! Why a request was refused, and what it is answered.

use std::sync::Arc;

use http::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{Response, StatusCode};

use crate::error::Error;

/// The header of a nonce for DPoP proofs (RFC 9449 section 8).
static DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Why a request was refused. It is in the extensions of the response.
#[derive(Debug, Clone)]
pub struct Refusal {
    error: Arc<Error>,
    challenges: Vec<HeaderValue>,
    nonce: Option<HeaderValue>,
}

impl Refusal {
    pub(crate) fn new(error: Error, challenges: Vec<HeaderValue>, nonce: Option<String>) -> Self {
        let is_ours = matches!(
            status_of(&error),
            StatusCode::UNAUTHORIZED | StatusCode::BAD_REQUEST
        );
        Self {
            challenges: if is_ours { challenges } else { Vec::new() },
            nonce: nonce
                .filter(|_| is_ours)
                .and_then(|nonce| HeaderValue::try_from(nonce).ok()),
            error: Arc::new(error),
        }
    }

    /// The error of the authentication.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// 503 when something failed that this service stands on, so that clients try again; 500 when it was set up wrongly; 400
    /// for credentials given twice or not of their form; 401 for all else.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        status_of(&self.error)
    }

    /// The challenges (RFC 6750 section 3, RFC 9449 section 7.1, RFC 9470): what a client can do about it, without telling
    /// an attacker which rule failed.
    #[must_use]
    pub fn challenges(&self) -> &[HeaderValue] {
        &self.challenges
    }

    /// The nonce that the next DPoP proof is to have.
    #[cfg(feature = "tonic")]
    pub(crate) fn nonce(&self) -> Option<&HeaderValue> {
        self.nonce.as_ref()
    }

    pub(crate) fn mark<B>(self, response: &mut Response<B>) {
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.remove(WWW_AUTHENTICATE);
        for challenge in &self.challenges {
            headers.append(WWW_AUTHENTICATE, challenge.clone());
        }
        if let Some(nonce) = &self.nonce {
            headers.insert(DPOP_NONCE.clone(), nonce.clone());
        }
        response.extensions_mut().insert(self);
    }
}

fn status_of(error: &Error) -> StatusCode {
    match error {
        error if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
        error if error.is_wrong_setup() => StatusCode::INTERNAL_SERVER_ERROR,
        // RFC 6750 section 3.1: what is no request of this form is no question of who asks.
        Error::MalformedCredentials => StatusCode::BAD_REQUEST,
        _ => StatusCode::UNAUTHORIZED,
    }
}

/// Builds the body of the response to a refusal.
pub trait RefusalResponse<B>: Send + Sync + 'static {
    /// The response; its status and challenges are set by the layer.
    fn response(&self, refusal: &Refusal) -> Response<B>;

    /// How the protocol in use says no. Not for implementing elsewhere: a hook shapes the body, it cannot turn a refusal into
    /// a success.
    #[doc(hidden)]
    fn mark(&self, refusal: Refusal, response: &mut Response<B>, _: sealed::Token) {
        refusal.mark(response);
    }
}

pub(crate) mod sealed {
    /// Nobody else can name it.
    #[derive(Debug)]
    pub struct Token;
}

impl<B, F> RefusalResponse<B> for F
where
    F: Fn(&Refusal) -> Response<B> + Send + Sync + 'static,
{
    fn response(&self, refusal: &Refusal) -> Response<B> {
        self(refusal)
    }
}

/// Answers refusals with an empty body.
#[derive(Debug, Clone, Copy, Default)]
pub struct EmptyRefusal;

impl<B: Default> RefusalResponse<B> for EmptyRefusal {
    fn response(&self, _: &Refusal) -> Response<B> {
        Response::default()
    }
}
