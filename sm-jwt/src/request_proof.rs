//! What a request proves beside its token, taken from where it may stand and from nowhere else.

use std::fmt;
use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use zeroize::Zeroizing;

use crate::base64url;
use crate::confirmation::Confirmation;
use crate::credentials::{Scheme, single, token};
use crate::error::Error;
use crate::presented::Presented;
use crate::uri::normal_target;

/// The header of a DPoP proof (RFC 9449 section 4.1).
static DPOP: HeaderName = HeaderName::from_static("dpop");

/// The client certificate of a connection, in DER. Whoever ends TLS puts it into the requests' extensions, and only there:
/// a header with a certificate can be sent by anybody.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate(Arc<[u8]>);

impl ClientCertificate {
    /// A certificate whose private key the handshake has proved.
    #[must_use]
    pub fn new(der: impl Into<Arc<[u8]>>) -> Self {
        Self(der.into())
    }

    /// The certificate in DER.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientCertificate")
            .field(&self.0.len())
            .finish()
    }
}

/// Where in a request proofs stand.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProofPlaces {
    /// Scheme, host and port that clients see, and what the path has before the one that the request shows here.
    origin: Option<String>,
    pub(crate) factor_header: Option<HeaderName>,
}

impl ProofPlaces {
    /// Proofs are for requests to this origin, and below this path of it.
    pub(crate) fn set_origin(&mut self, origin: &str) -> Result<(), Error> {
        let normal = normal_target(origin).ok_or_else(|| {
            Error::Config("a public origin is scheme, host, port and perhaps a path".to_owned())
        })?;
        // The request's own path begins with a slash.
        self.origin = Some(normal.trim_end_matches('/').to_owned());
        Ok(())
    }

    /// The token of a request, if it comes under a scheme that is taken: DPoP is, where the origin is known that proofs are
    /// for.
    pub(crate) fn token<'a>(&self, request: &'a Parts) -> Result<Option<(Scheme, &'a str)>, Error> {
        let token = token(&request.headers)?;
        Ok(token.filter(|(scheme, _)| *scheme == Scheme::Bearer || self.origin.is_some()))
    }

    /// What a request with a token of this scheme proves.
    pub(crate) fn read<'a>(
        &self,
        request: &'a Parts,
        scheme: Scheme,
    ) -> Result<RequestProofs<'a>, Error> {
        let dpop = match (scheme, &self.origin) {
            (Scheme::Dpop, Some(origin)) => {
                let proof = single(&request.headers, &DPOP)?
                    .ok_or(Error::ProofMissing { what: "DPoP proof" })?;
                Some((proof, format!("{origin}{}", request.uri.path())))
            }
            _ => None,
        };
        Ok(RequestProofs {
            certificate: request.extensions.get(),
            factor: self.factor(request)?,
            method: request.method.as_str(),
            dpop,
        })
    }

    fn factor(&self, request: &Parts) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let Some(name) = &self.factor_header else {
            return Ok(None);
        };
        let Some(text) = single(&request.headers, name)? else {
            return Ok(None);
        };
        // In constant time: it is a secret.
        base64url::decode_secret(text)
            .map(Some)
            .ok_or(Error::MalformedCredentials)
    }

    /// The challenges of a refusal: RFC 6750 section 3, RFC 9449 section 7.1, RFC 9470. `dpop_algorithm` is that of the proofs,
    /// if any are checked.
    pub(crate) fn challenges(
        &self,
        error: &Error,
        dpop_algorithm: Option<&str>,
    ) -> Vec<HeaderValue> {
        let value = |text: &str| HeaderValue::from_str(text).ok();
        let mut challenges = Vec::new();
        // Which rule failed is not told, but where the client can do something about it.
        let bearer = match error {
            // None, or credentials of another kind.
            Error::MissingCredentials | Error::BadApiKey => "Bearer",
            Error::MalformedCredentials => r#"Bearer error="invalid_request""#,
            Error::AuthenticationTooOld | Error::AuthenticationTooWeak => {
                r#"Bearer error="insufficient_user_authentication""#
            }
            _ => r#"Bearer error="invalid_token""#,
        };
        challenges.extend(value(bearer));
        if let (Some(alg), Some(_)) = (dpop_algorithm, &self.origin) {
            let error = match error {
                Error::DpopNonce { .. } => r#"error="use_dpop_nonce", "#,
                Error::DpopProof { .. }
                | Error::DpopProofForm(_)
                | Error::ProofReplayed
                | Error::ProofMissing { what: "DPoP proof" }
                | Error::ProofMismatch { what: "DPoP key" } => r#"error="invalid_dpop_proof", "#,
                _ => "",
            };
            challenges.extend(value(&format!(r#"DPoP {error}algs="{alg}""#)));
        }
        challenges
    }
}

/// What one request proves.
pub(crate) struct RequestProofs<'a> {
    certificate: Option<&'a ClientCertificate>,
    factor: Option<Zeroizing<Vec<u8>>>,
    method: &'a str,
    /// The proof, and what it is to be for.
    dpop: Option<(&'a str, String)>,
}

impl RequestProofs<'_> {
    pub(crate) fn presented(&self) -> Presented<'_> {
        let mut presented = Presented::new();
        if let Some(certificate) = self.certificate {
            presented = presented.certificate(certificate.as_der());
        }
        if let Some(factor) = &self.factor {
            presented = presented.factor(factor);
        }
        if let Some((proof, target)) = &self.dpop {
            presented = presented.dpop(proof, self.method, target);
        }
        presented
    }

    /// Refuses a proof beside a token that is not bound to its key: it proves nothing about whoever holds the token.
    pub(crate) fn check_used(&self, confirmation: Option<&Confirmation>) -> Result<(), Error> {
        match self.dpop {
            Some(_) if !confirmation.is_some_and(Confirmation::binds_dpop_key) => {
                Err(Error::NotBound)
            }
            _ => Ok(()),
        }
    }
}
