//! What a new token shall say.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::base64url;
use crate::claims::{Claims, MAX_TOKEN_ID_LEN, is_scope};
use crate::confirmation::Confirmation;
use crate::crypto;
use crate::error::Error;
use crate::factor::{self, Factor};

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
    client_id: Option<String>,
    scope: String,
    session: Option<String>,
    confirmation: Option<Confirmation>,
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

    /// `client_id`, the client that the token is issued to.
    pub fn client_id(mut self, client: impl Into<String>) -> Self {
        self.client_id = Some(client.into());
        self
    }

    /// Adds a word, or words with a space between them, to `scope`.
    pub fn scope(mut self, scope: &str) -> Self {
        if !self.scope.is_empty() {
            self.scope.push(' ');
        }
        self.scope.push_str(scope);
        self
    }

    /// `sid`, the session that the token belongs to.
    pub fn session(mut self, session: impl Into<String>) -> Self {
        self.session = Some(session.into());
        self
    }

    /// `cnf`, what the token is bound to. One that is empty, or was read with a member that this crate does not know, is
    /// not signed.
    pub fn confirmation(mut self, confirmation: Confirmation) -> Self {
        self.confirmation = Some(confirmation);
        self
    }

    /// Refuses the empty texts that [`Claims::parse`] refuses.
    fn check_texts(&self) -> Result<(), Error> {
        let is_empty = |text: &Option<String>| text.as_ref().is_some_and(String::is_empty);
        let has_empty = |texts: &[String]| texts.iter().any(String::is_empty);
        let wrong = [
            ("aud", has_empty(&self.audience)),
            ("roles", has_empty(&self.roles)),
            ("amr", has_empty(&self.amr)),
            ("tenant_id", is_empty(&self.tenant)),
            ("acr", is_empty(&self.acr)),
            ("client_id", is_empty(&self.client_id)),
            ("sid", is_empty(&self.session)),
        ];
        match wrong.into_iter().find(|(_, wrong)| *wrong) {
            Some((claim, _)) => Err(Error::ClaimType { claim }),
            None => Ok(()),
        }
    }

    /// The claims of one token: [`Claims::parse`] takes what they serialise to, limits aside.
    pub(crate) fn finish(
        &self,
        kid: &str,
        now: u64,
        factor: Option<&Factor<'_>>,
    ) -> Result<Claims, Error> {
        let required = |value: &String, claim| match value.as_str() {
            "" => Err(Error::missing_claim(claim)),
            _ => Ok(value.clone()),
        };
        let iat = self.issued_at.unwrap_or(now);
        let exp = match self.end {
            Some(End::After(lifetime)) => iat.saturating_add(lifetime.as_secs()),
            Some(End::At(exp)) => exp,
            None => return Err(Error::missing_claim("exp")),
        };
        if exp <= iat {
            return Err(Error::Lifetime);
        }
        if self.audience.is_empty() {
            return Err(Error::missing_claim("aud"));
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
        if self.ext.contains_key(factor::MEMBER) {
            return Err(Error::ExtraCollides {
                name: "ext.factor".to_owned(),
            });
        }
        // A member that is not known here would be lost, and the token bound to less than was read.
        if self
            .confirmation
            .as_ref()
            .is_some_and(Confirmation::is_unknown)
        {
            return Err(Error::UnknownConfirmation);
        }
        if !self.scope.is_empty() && !is_scope(&self.scope) {
            return Err(Error::ClaimType { claim: "scope" });
        }
        self.check_texts()?;
        let mut claims = Claims {
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
            client_id: self.client_id.clone(),
            scope: (!self.scope.is_empty()).then(|| self.scope.clone()),
            sid: self.session.clone(),
            cnf: self.confirmation.clone(),
        };
        if let Some(factor) = factor {
            let member = factor.member(&claims.bound());
            claims.ext.insert(factor::MEMBER.to_owned(), member);
        }
        Ok(claims)
    }
}
