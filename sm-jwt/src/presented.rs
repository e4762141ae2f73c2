//! What a request proves beside showing a token.

use std::fmt;

/// What came with a token: proofs that whoever shows it is whom it is bound to. Everything here is unverified.
///
/// ```
/// # async fn check(verifier: &sm_jwt::Verifier, token: &str, certificate_der: &[u8]) -> Result<(), sm_jwt::Error> {
/// use sm_jwt::{NoExtra, Presented};
/// let presented = Presented::new().certificate(certificate_der);
/// verifier.accept_with::<NoExtra>(token, &presented).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Default)]
#[must_use]
pub struct Presented<'a> {
    pub(crate) certificate: Option<&'a [u8]>,
    pub(crate) factor: Option<&'a [u8]>,
    pub(crate) dpop: Option<DpopRequest<'a>>,
}

/// A DPoP proof and the request that it must be for.
#[derive(Clone, Copy)]
pub(crate) struct DpopRequest<'a> {
    pub(crate) proof: &'a str,
    pub(crate) method: &'a str,
    pub(crate) uri: &'a str,
}

impl<'a> Presented<'a> {
    /// Nothing: the token came alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// The client certificate of the connection, in DER, whose key the TLS handshake has proved (RFC 8705).
    pub fn certificate(mut self, der: &'a [u8]) -> Self {
        self.certificate = Some(der);
        self
    }

    /// The value of a second factor (`ext.factor`).
    pub fn factor(mut self, value: &'a [u8]) -> Self {
        self.factor = Some(value);
        self
    }

    /// A DPoP proof (RFC 9449), the request's method, and its URI as the client knows it: scheme, host and path, as they
    /// were before any proxy. Query and fragment do not count.
    pub fn dpop(mut self, proof: &'a str, method: &'a str, uri: &'a str) -> Self {
        self.dpop = Some(DpopRequest { proof, method, uri });
        self
    }
}

/// Shows what kinds of proof there are.
impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented")
            .field("certificate", &self.certificate.is_some())
            .field("factor", &self.factor.is_some())
            .field("dpop", &self.dpop.is_some())
            .finish()
    }
}
