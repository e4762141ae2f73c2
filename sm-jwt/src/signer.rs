//! Issuing tokens.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use serde_json::Value;

use crate::base64url;
use crate::claims::{Claims, OWN_CLAIMS};
use crate::claims_builder::ClaimsBuilder;
use crate::clock::{Clock, SystemClock};
use crate::compact;
use crate::error::Error;
use crate::factor::Factor;
use crate::header::Header;
use crate::json::{self, Guard};
use crate::key_id::KeyId;
use crate::keys::{SigningKey, VerifyingKey};
use crate::limits::Limits;
use crate::profile::Profile;
use crate::signing::{AsyncExternalSigner, ExternalSigner, Signing, signing_input_under};
use crate::token_type::TokenType;
use crate::trusted_key::TrustedKey;

/// Signs tokens with one key under one profile.
pub struct Signer {
    signing: Signing,
    /// The encoded headers, which are the same for every token of a type.
    headers: [OnceLock<String>; TokenType::COUNT],
    limits: Limits,
    clock: Arc<dyn Clock>,
}

impl Signer {
    /// A signer with a key of this process. Z is computed here, once.
    ///
    /// # Errors
    /// [`Error::Config`] when the profile's user id cannot be used.
    pub fn new(key: SigningKey, kid: KeyId, profile: Profile) -> Result<Self, Error> {
        Ok(Self::with(Signing::local(key, kid, profile)?))
    }

    /// A signer whose private key is in a device. `key` is the public half, with the name and profile that tokens have.
    #[must_use]
    pub fn external(key: TrustedKey, signer: Arc<dyn ExternalSigner>) -> Self {
        Self::with(Signing::external(key, signer))
    }

    /// A signer whose private key is with a service that has to be waited for: its tokens come from the `async` methods.
    #[must_use]
    pub fn external_async(key: TrustedKey, signer: Arc<dyn AsyncExternalSigner>) -> Self {
        Self::with(Signing::external_async(key, signer))
    }

    fn with(signing: Signing) -> Self {
        Self {
            signing,
            headers: Default::default(),
            limits: Limits::default(),
            clock: Arc::new(SystemClock),
        }
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
        self.headers = Default::default();
        self
    }

    /// What verifiers trust: the public key with its name and profile.
    #[must_use]
    pub fn key(&self) -> &TrustedKey {
        self.signing.key()
    }

    /// The key identifier that the tokens name.
    #[must_use]
    pub fn kid(&self) -> &KeyId {
        self.key().kid()
    }

    /// What verifiers register for this signer.
    #[must_use]
    pub fn verifying_key(&self) -> &VerifyingKey {
        self.key().key()
    }

    /// What verifiers register for this signer.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        self.key().profile()
    }

    /// Issues one token: `iat` from the clock and a new random `jti`, unless the claims set them.
    ///
    /// `extra` serialises to a JSON object whose members stand beside the claims, or to nothing
    /// ([`NoExtra`](crate::NoExtra)).
    ///
    /// # Errors
    /// [`Error::MissingClaim`], [`Error::Lifetime`] and the like for incomplete claims,
    /// [`Error::ExtraCollides`] when a custom claim has the name of one that the token sets itself,
    /// [`Error::Random`] when the random generator fails, [`Error::Signer`] when an external signer does, and the errors of
    /// [`UnverifiedToken::parse`](crate::UnverifiedToken::parse): a token that its own verifiers would not read is never issued.
    pub fn sign(
        &self,
        claims: &ClaimsBuilder,
        token_type: TokenType,
        extra: &(impl Serialize + ?Sized),
    ) -> Result<String, Error> {
        self.check(
            self.signing
                .finish(self.input(claims, token_type, extra, None)?)?,
        )
    }

    /// [`sign`](Self::sign) with a second factor bound in (`ext.factor`): the token serves whoever can show the factor's
    /// value beside it.
    ///
    /// # Errors
    /// As [`sign`](Self::sign).
    pub fn sign_with_factor(
        &self,
        claims: &ClaimsBuilder,
        token_type: TokenType,
        extra: &(impl Serialize + ?Sized),
        factor: &Factor<'_>,
    ) -> Result<String, Error> {
        let input = self.input(claims, token_type, extra, Some(factor))?;
        self.check(self.signing.finish(input)?)
    }

    /// [`sign`](Self::sign), or with a factor [`sign_with_factor`](Self::sign_with_factor), by any signer.
    ///
    /// # Errors
    /// As [`sign`](Self::sign).
    pub async fn sign_async(
        &self,
        claims: &ClaimsBuilder,
        token_type: TokenType,
        extra: &(impl Serialize + ?Sized),
        factor: Option<&Factor<'_>>,
    ) -> Result<String, Error> {
        let input = self.input(claims, token_type, extra, factor)?;
        self.check(self.signing.finish_async(input).await?)
    }

    /// The text to sign, which the limits of its verifiers let through.
    fn input(
        &self,
        claims: &ClaimsBuilder,
        token_type: TokenType,
        extra: &(impl Serialize + ?Sized),
        factor: Option<&Factor<'_>>,
    ) -> Result<String, Error> {
        let now = self.clock.unix_seconds();
        let claims = claims.finish(self.kid().as_str(), now, factor)?;
        let header = self.header(token_type)?;
        let payload = payload(&claims, extra)?;
        compact::cap(payload.len(), self.limits.payload_bytes(), "the payload")?;
        // The claims were checked one by one: this is for how much there is of them, and how deep.
        let guard = Guard::new(&self.limits);
        guard.read(&payload, guard.skip(1), "the payload", |claim| {
            Error::ClaimType { claim }
        })?;
        Ok(signing_input_under(&header, &payload))
    }

    /// The header of tokens of a type, encoded.
    fn header(&self, token_type: TokenType) -> Result<Cow<'_, str>, Error> {
        let cell = self.headers.get(token_type.index());
        if let Some(text) = cell.and_then(OnceLock::get) {
            return Ok(Cow::Borrowed(text));
        }
        let header = Header {
            alg: self.profile().alg().to_owned(),
            typ: token_type.as_str().to_owned(),
            kid: self.kid().as_str().to_owned(),
            crv: self.profile().crv().map(str::to_owned),
        };
        let json = to_json(&header, "the header")?;
        compact::cap(json.len(), self.limits.header_bytes(), "the header")?;
        Header::parse(&json, &self.limits)?;
        let text = base64url::encode(&json);
        Ok(match cell {
            Some(cell) => Cow::Borrowed(cell.get_or_init(|| text)),
            None => Cow::Owned(text),
        })
    }

    fn check(&self, token: String) -> Result<String, Error> {
        compact::cap(token.len(), self.limits.token_bytes(), "the token")?;
        Ok(token)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.signing).finish()
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
    // Room for what most tokens say.
    let mut json = Vec::with_capacity(512);
    match serde_json::to_writer(&mut json, value) {
        Ok(()) => Ok(json),
        Err(error) => Err(Error::Json {
            what,
            detail: json::describe(&error),
        }),
    }
}
