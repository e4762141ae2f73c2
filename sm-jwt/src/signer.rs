//! Issuing tokens.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::base64url;
use crate::claims::{Claims, OWN_CLAIMS};
use crate::claims_builder::ClaimsBuilder;
use crate::clock::{Clock, SystemClock};
use crate::crypto::{self, SignItem};
use crate::error::Error;
use crate::header::Header;
use crate::issuer::RegisteredKey;
use crate::json;
use crate::key_id::KeyId;
use crate::keys::{SigningKey, VerifyingKey};
use crate::limits::Limits;
use crate::profile::Profile;
use crate::token::UnverifiedToken;
use crate::token_type::TokenType;

/// Signs tokens with one key under one profile.
pub struct Signer {
    key: SigningKey,
    kid: KeyId,
    registered: RegisteredKey,
    limits: Limits,
    clock: Arc<dyn Clock>,
}

impl Signer {
    /// A signer. Z is computed here, once.
    ///
    /// # Errors
    /// [`Error::Config`] when the profile's user id cannot be used.
    pub fn new(key: SigningKey, kid: KeyId, profile: Profile) -> Result<Self, Error> {
        let registered = RegisteredKey::new(key.verifying_key().clone(), profile)?;
        Ok(Self {
            key,
            kid,
            registered,
            limits: Limits::default(),
            clock: Arc::new(SystemClock),
        })
    }

    /// Another clock than the operating system's.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The limits that the verifiers of these tokens keep, when they are not the default.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The key identifier that the tokens name.
    #[must_use]
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// What verifiers register for this signer.
    #[must_use]
    pub fn verifying_key(&self) -> &VerifyingKey {
        self.key.verifying_key()
    }

    /// What verifiers register for this signer.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.registered.profile
    }

    /// Issues one token: `iat` from the clock and a new random `jti`, unless the claims set them.
    ///
    /// `extra` serialises to a JSON object whose members stand beside the claims, or to nothing
    /// ([`NoExtra`](crate::NoExtra)).
    ///
    /// # Errors
    /// [`Error::MissingClaim`], [`Error::Lifetime`] and the like for incomplete claims,
    /// [`Error::ExtraCollides`] when a custom claim has the name of one that the token sets itself,
    /// [`Error::Random`] when the random generator fails, and the errors of
    /// [`UnverifiedToken::parse`]: a token that its own verifiers would not read is never issued.
    pub fn sign(
        &self,
        claims: &ClaimsBuilder,
        token_type: TokenType,
        extra: &(impl Serialize + ?Sized),
    ) -> Result<String, Error> {
        let claims = claims.finish(self.kid.as_str(), self.clock.unix_seconds())?;
        let profile = &self.registered.profile;
        let header = Header {
            alg: profile.alg().to_owned(),
            typ: token_type.as_str().to_owned(),
            kid: self.kid.as_str().to_owned(),
            crv: profile.crv().map(str::to_owned),
        };
        let mut token = base64url::encode(&to_json(&header, "the header")?);
        token.push('.');
        token.push_str(&base64url::encode(&payload(&claims, extra)?));

        let item = SignItem {
            key: self.key.secret(),
            z: &self.registered.z,
            message: token.as_bytes(),
        };
        let raw = crypto::sign_many(&[item]).pop().ok_or(Error::Random)??;
        token.push('.');
        token.push_str(&base64url::encode(&profile.encoding().encode(&raw)));

        UnverifiedToken::parse(&token, &self.limits)?;
        Ok(token)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("kid", &self.kid)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

fn payload(claims: &Claims, extra: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, Error> {
    let wrong = |detail: &str| Error::ExtraClaims {
        detail: detail.to_owned(),
    };
    let extra = match serde_json::to_value(extra) {
        Ok(Value::Null) => return to_json(claims, "the payload"),
        Ok(Value::Object(extra)) => extra,
        Ok(_) => return Err(wrong("they do not serialise to a JSON object")),
        Err(_) => return Err(wrong("they do not serialise")),
    };
    if let Some(name) = extra
        .keys()
        .find(|name| OWN_CLAIMS.contains(&name.as_str()))
    {
        return Err(Error::ExtraCollides { name: name.clone() });
    }
    let Ok(Value::Object(mut members)) = serde_json::to_value(claims) else {
        return Err(wrong("the claims do not serialise"));
    };
    members.extend(extra);
    to_json(&members, "the payload")
}

fn to_json(value: &impl Serialize, what: &'static str) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error::Json {
        what,
        detail: json::describe(&error),
    })
}
