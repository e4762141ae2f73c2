//! How an issuer is asked about tokens.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use http::HeaderValue;
use rustls::ClientConfig;
use zeroize::Zeroizing;

use crate::clock::{Clock, SystemClock};
use crate::dpop::DpopPolicy;
use crate::error::Error;
use crate::factor::{FactorKey, FactorKeys};

/// How this service proves to the issuer who is asking (RFC 7662 section 2.1). It is a secret.
pub struct ClientAuthentication {
    /// The value of the header `Authorization`.
    header: Zeroizing<String>,
}

impl ClientAuthentication {
    /// HTTP Basic with a client's identifier and secret, each form-encoded first (RFC 6749 section 2.3.1).
    ///
    /// # Errors
    /// [`Error::Config`] when one of them is empty.
    pub fn basic(client_id: &str, secret: &str) -> Result<Self, Error> {
        if client_id.is_empty() || secret.is_empty() {
            return Err(wrong("a client's identifier or secret is empty"));
        }
        // Room from the start: a text that grows leaves copies behind.
        let room = client_id.len().saturating_add(secret.len());
        let mut pair = Zeroizing::new(String::with_capacity(
            room.saturating_mul(3).saturating_add(1),
        ));
        form_encode(client_id, &mut pair);
        pair.push(':');
        form_encode(secret, &mut pair);
        let encoded = Zeroizing::new(Base64::encode_string(pair.as_bytes()));
        Ok(Self {
            header: Zeroizing::new(format!("Basic {}", *encoded)),
        })
    }

    /// An access token of this service's own (RFC 6750).
    ///
    /// # Errors
    /// [`Error::Config`] when it is empty or holds what no token holds.
    pub fn bearer(token: &str) -> Result<Self, Error> {
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("the token for asking is no token"));
        }
        Ok(Self {
            header: Zeroizing::new(format!("Bearer {token}")),
        })
    }

    pub(crate) fn header(&self) -> Result<HeaderValue, Error> {
        let mut header = HeaderValue::from_str(&self.header)
            .map_err(|_| wrong("the authentication is no header value"))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

/// Shows nothing.
impl fmt::Debug for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuthentication")
            .finish_non_exhaustive()
    }
}

/// Appends a text as `application/x-www-form-urlencoded` writes it, escaping more than it must.
pub(crate) fn form_encode(text: &str, out: &mut String) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or('0');
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(digit(byte >> 4));
            out.push(digit(byte & 0x0F));
        }
    }
}

fn wrong(why: &str) -> Error {
    Error::Config(format!("introspection: {why}"))
}

/// Where and how an issuer is asked about tokens, and what of its answers is accepted.
///
/// An issuer, an audience and, for `https`, a TLS configuration are required.
///
/// ```
/// use std::sync::Arc;
/// use sm_jwt::{ClientAuthentication, IntrospectionConfig};
///
/// # fn config(tls: Arc<rustls::ClientConfig>, secret: &str) -> Result<IntrospectionConfig, sm_jwt::Error> {
/// let authentication = ClientAuthentication::basic("core-banking", secret)?;
/// let config = IntrospectionConfig::new("https://login.bank.example/introspect", authentication)
///     .tls(tls)
///     .issuer("https://login.bank.example")
///     .audience("core-banking");
/// # Ok(config)
/// # }
/// ```
#[must_use]
pub struct IntrospectionConfig {
    pub(crate) url: String,
    pub(crate) authentication: ClientAuthentication,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) plain_http: bool,
    pub(crate) timeout: Duration,
    pub(crate) max_bytes: usize,
    pub(crate) connections: usize,
    pub(crate) remember_active: Duration,
    pub(crate) remember_inactive: Duration,
    pub(crate) capacity: usize,
    pub(crate) max_token_bytes: usize,
    pub(crate) rules: IntrospectionRules,
    first_error: Option<Error>,
}

/// What of an answer is accepted.
pub(crate) struct IntrospectionRules {
    pub(crate) issuer: String,
    pub(crate) audiences: Vec<String>,
    pub(crate) required: Vec<String>,
    pub(crate) leeway: Duration,
    pub(crate) binding_required: bool,
    pub(crate) dpop: Option<DpopPolicy>,
    pub(crate) factor_keys: FactorKeys,
    pub(crate) clock: Arc<dyn Clock>,
}

impl IntrospectionConfig {
    /// Asks at this `https` URL, without user information or fragment, as the client that the authentication names.
    pub fn new(url: impl Into<String>, authentication: ClientAuthentication) -> Self {
        Self {
            url: url.into(),
            authentication,
            tls: None,
            plain_http: false,
            timeout: Duration::from_secs(5),
            max_bytes: 16 * 1024,
            connections: 32,
            remember_active: Duration::from_secs(30),
            remember_inactive: Duration::from_secs(5),
            capacity: 4096,
            max_token_bytes: 16 * 1024,
            rules: IntrospectionRules {
                issuer: String::new(),
                audiences: Vec::new(),
                required: Vec::new(),
                leeway: Duration::from_secs(30),
                binding_required: false,
                dpop: None,
                factor_keys: FactorKeys::default(),
                clock: Arc::new(SystemClock),
            },
            first_error: None,
        }
    }

    /// How TLS is spoken: which CAs are trusted, with which cryptographic provider. Required for `https`. Protocols above TLS
    /// (ALPN) that it names are replaced by HTTP/1.1.
    pub fn tls(mut self, tls: Arc<ClientConfig>) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Takes an `http` URL as well. Whoever is between then reads tokens and secret, and answers as it likes: for tests, and for
    /// a proxy on this machine.
    pub fn allow_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    /// How long asking about a token may take, the wait for a connection included: 5 s unless set, at most 60 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The longest answer in bytes: 16 KiB unless set, at most 256 KiB.
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// The longest token in bytes: 16 KiB unless set.
    pub fn max_token_bytes(mut self, max_token_bytes: usize) -> Self {
        self.max_token_bytes = max_token_bytes;
        self
    }

    /// How many tokens are asked about at a time: 32 unless set, at most 1024. Others wait, within the timeout.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// How long an answer is remembered: 30 s for active tokens and 5 s for inactive ones unless set, at most 300 s and 60 s,
    /// and not longer for inactive than for active ones. A token that is revoked is accepted so much longer. Nothing: every
    /// token is asked about every time.
    pub fn remember(mut self, active: Duration, inactive: Duration) -> Self {
        self.remember_active = active;
        self.remember_inactive = inactive;
        self
    }

    /// How many answers are remembered, of active and of inactive tokens each: 4096 unless set. An answer takes about
    /// twice its length.
    pub fn remembered(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// The issuer: an answer's `iss` must be this name exactly. Required.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.rules.issuer = issuer.into();
        self
    }

    /// Names this service as an audience; a token must be meant for one of the names. Required at least once.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.rules.audiences.push(audience.into());
        self
    }

    /// Refuses tokens whose answer lacks this member, such as `sub` or `jti`, or has `null` for it.
    pub fn require_claim(mut self, name: impl Into<String>) -> Self {
        self.rules.required.push(name.into());
        self
    }

    /// How far clocks may differ: whole seconds, 30 by default, at most 300.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.rules.leeway = leeway;
        self
    }

    /// Refuses tokens that are bound to nothing (`cnf`).
    pub fn require_binding(mut self) -> Self {
        self.rules.binding_required = true;
        self
    }

    /// Checks DPoP proofs. Without this, tokens that are bound to a DPoP key are refused.
    pub fn dpop(mut self, policy: DpopPolicy) -> Self {
        if !policy.is_sound() {
            self.note(wrong("a DPoP proof is at most 600 seconds old"));
        }
        self.rules.dpop = Some(policy);
        self
    }

    /// Knows a key of second factors. Without the right one, tokens with `ext.factor` are refused.
    pub fn factor_key(mut self, key: FactorKey) -> Self {
        if let Err(error) = self.rules.factor_keys.add(key) {
            self.note(error);
        }
        self
    }

    /// Another clock than the operating system's, for `exp`, `nbf`, `iat` and DPoP proofs.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.rules.clock = clock;
        self
    }

    fn note(&mut self, error: Error) {
        self.first_error.get_or_insert(error);
    }

    /// Whether the decisions fit together; the URL aside, which the HTTP client checks.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        const MAX_BYTES: usize = 256 * 1024;
        if let Some(error) = self.first_error.take() {
            return Err(error);
        }
        let seconds = Duration::from_secs;
        let rules = &self.rules;
        let why = if rules.issuer.is_empty() {
            "an issuer is needed"
        } else if rules.audiences.is_empty() || rules.audiences.iter().any(String::is_empty) {
            "an audience with a name is needed"
        } else if rules.leeway > seconds(300) {
            "a leeway is at most 300 seconds"
        } else if self.remember_active > seconds(300) || self.remember_inactive > seconds(60) {
            "answers are remembered for at most 300 and 60 seconds"
        } else if self.remember_inactive > self.remember_active {
            "inactive tokens are remembered no longer than active ones"
        } else if !(1..=1024).contains(&self.connections) {
            "there are 1 to 1024 connections"
        } else if self.max_bytes > MAX_BYTES || self.max_token_bytes > MAX_BYTES {
            "answers and tokens have at most 256 KiB"
        } else {
            return Ok(());
        };
        Err(wrong(why))
    }
}

/// Shows where is asked, and for whom.
impl fmt::Debug for IntrospectionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionConfig")
            .field("issuer", &self.rules.issuer)
            .field("audiences", &self.rules.audiences)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let mut out = String::new();
        form_encode("aZ09-._ +&=%/~*\u{e9}", &mut out);
        assert_eq!(out, "aZ09-._%20%2B%26%3D%25%2F%7E%2A%C3%A9");
    }

    #[test]
    fn authentications() {
        let basic = ClientAuthentication::basic("a:b", "c d").unwrap();
        // a%3Ab:c%20d
        assert_eq!(*basic.header, "Basic YSUzQWI6YyUyMGQ=");
        assert!(basic.header().unwrap().is_sensitive());
        assert_eq!(format!("{basic:?}"), "ClientAuthentication { .. }");
        assert_eq!(
            *ClientAuthentication::bearer("abc").unwrap().header,
            "Bearer abc"
        );
        for wrong in [
            ClientAuthentication::basic("", "a"),
            ClientAuthentication::basic("a", ""),
            ClientAuthentication::bearer(""),
            ClientAuthentication::bearer("a b"),
            ClientAuthentication::bearer("a\r\nx: y"),
        ] {
            assert_eq!(wrong.unwrap_err().code(), "bad_configuration");
        }
    }
}
