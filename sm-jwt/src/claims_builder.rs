//! What a new token shall say.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::base64url;
use crate::claims::{Claims, MAX_TOKEN_ID_LEN};
use crate::crypto;
use crate::error::Error;

impl Claims {
    /// Starts the claims of a new token.
    pub fn builder() -> ClaimsBuilder {
        ClaimsBuilder::default()
    }
}

/// What a new token shall say. Issuer, subject, at least one audience and an end
/// ([`lifetime`](Self::lifetime) or [`expires_at`](Self::expires_at)) are required.
///
/// It is a template: each signing takes the time anew and draws a new `jti`, unless they were set.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
pub struct ClaimsBuilder {
    issuer: String,
    subject: String,
    audience: Vec<String>,
    end: Option<End>,
    not_before: Option<u64>,
    issued_at: Option<u64>,
    token_id: Option<String>,
    tenant: Option<String>,
    roles: Vec<String>,
    ext: Map<String, Value>,
    amr: Vec<String>,
    acr: Option<String>,
    auth_time: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    After(Duration),
    At(u64),
}

impl ClaimsBuilder {
    /// `iss`. Required.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = issuer.into();
        self
    }

    /// `sub`. Required.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }

    /// Adds to `aud`. Required at least once.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience.push(audience.into());
        self
    }

    /// `exp`, counted from `iat` in whole seconds.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.end = Some(End::After(lifetime));
        self
    }

    /// `exp` itself, in seconds since 1970.
    pub fn expires_at(mut self, unix_seconds: u64) -> Self {
        self.end = Some(End::At(unix_seconds));
        self
    }

    /// `nbf`, in seconds since 1970.
    pub fn not_before(mut self, unix_seconds: u64) -> Self {
        self.not_before = Some(unix_seconds);
        self
    }

    /// `iat`, in seconds since 1970, in place of the signer's clock.
    pub fn issued_at(mut self, unix_seconds: u64) -> Self {
        self.issued_at = Some(unix_seconds);
        self
    }

    /// `jti`, in place of 128 random bits.
    pub fn token_id(mut self, token_id: impl Into<String>) -> Self {
        self.token_id = Some(token_id.into());
        self
    }

    /// `tenant_id`.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Adds to `roles`.
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.roles.push(role.into());
        self
    }

    /// Adds to `roles`.
    pub fn roles<R: Into<String>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        self.roles.extend(roles.into_iter().map(Into::into));
        self
    }

    /// Sets a member of `ext`, the extension object.
    pub fn ext(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.ext.insert(name.into(), value.into());
        self
    }

    /// Adds to `amr`, the authentication methods that were checked.
    pub fn amr<M: Into<String>>(mut self, methods: impl IntoIterator<Item = M>) -> Self {
        self.amr.extend(methods.into_iter().map(Into::into));
        self
    }

    /// `acr`, the authentication context class that was reached.
    pub fn acr(mut self, class: impl Into<String>) -> Self {
        self.acr = Some(class.into());
        self
    }

    /// `auth_time`, when the subject authenticated, in seconds since 1970.
    pub fn auth_time(mut self, unix_seconds: u64) -> Self {
        self.auth_time = Some(unix_seconds);
        self
    }

    /// The claims of one token.
    pub(crate) fn finish(&self, kid: &str, now: u64) -> Result<Claims, Error> {
        let required = |value: &String, claim| match value.as_str() {
            "" => Err(Error::MissingClaim { claim }),
            _ => Ok(value.clone()),
        };
        let iat = self.issued_at.unwrap_or(now);
        let exp = match self.end {
            Some(End::After(lifetime)) => iat.saturating_add(lifetime.as_secs()),
            Some(End::At(exp)) => exp,
            None => return Err(Error::MissingClaim { claim: "exp" }),
        };
        if exp <= iat {
            return Err(Error::Lifetime);
        }
        if self.audience.is_empty() {
            return Err(Error::MissingClaim { claim: "aud" });
        }
        let jti = match &self.token_id {
            Some(id) if id.is_empty() || id.len() > MAX_TOKEN_ID_LEN => {
                return Err(Error::ClaimType { claim: "jti" });
            }
            Some(id) => id.clone(),
            None => {
                let mut random = [0u8; 16];
                crypto::fill_random(&mut random)?;
                base64url::encode(&random)
            }
        };
        Ok(Claims {
            iss: required(&self.issuer, "iss")?,
            sub: required(&self.subject, "sub")?,
            aud: self.audience.clone(),
            exp,
            nbf: self.not_before,
            iat,
            jti,
            tenant_id: self.tenant.clone(),
            roles: self.roles.clone(),
            sm2_kid: Some(kid.to_owned()),
            ext: self.ext.clone(),
            amr: self.amr.clone(),
            acr: self.acr.clone(),
            auth_time: self.auth_time,
        })
    }
}
