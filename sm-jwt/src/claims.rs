//! The claims of a token (RFC 7519 section 4, and this family's own), read strictly.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::confirmation::{Confirmation, ConfirmationSeed};
use crate::error::Error;
use crate::factor::Bound;
use crate::json::{Fault, Guard, Seen};
use crate::limits::Limits;

const WHAT: &str = "the payload";

/// The longest `jti` in bytes.
pub(crate) const MAX_TOKEN_ID_LEN: usize = 256;

/// Every claim that this crate reads or sets itself.
pub(crate) const OWN_CLAIMS: [&str; 18] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "tenant_id",
    "roles",
    "sm2_kid",
    "ext",
    "amr",
    "acr",
    "auth_time",
    "client_id",
    "scope",
    "sid",
    "cnf",
];

/// The claims of a token.
///
/// `iss`, `sub`, `aud`, `exp`, `iat` and `jti` are always there. Times are whole seconds since 1970
/// (RFC 7519 NumericDate without fractions).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Claims {
    pub(crate) iss: String,
    pub(crate) sub: String,
    #[serde(serialize_with = "serialize_audience")]
    pub(crate) aud: Vec<String>,
    pub(crate) exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nbf: Option<u64>,
    pub(crate) iat: u64,
    pub(crate) jti: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tenant_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) roles: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sm2_kid: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) ext: Map<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) amr: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) acr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cnf: Option<Confirmation>,
}

impl Claims {
    /// `iss`: who issued the token.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.iss
    }

    /// `sub`: whom the token is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.sub
    }

    /// `aud`: for whom the token is meant, at least one.
    #[must_use]
    pub fn audience(&self) -> &[String] {
        &self.aud
    }

    /// `exp`: the first second at which the token is no longer valid.
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        self.exp
    }

    /// `nbf`: the first second at which the token is valid.
    #[must_use]
    pub fn not_before(&self) -> Option<u64> {
        self.nbf
    }

    /// `iat`: when the token was issued.
    #[must_use]
    pub fn issued_at(&self) -> u64 {
        self.iat
    }

    /// `jti`: the token's own identifier, unique for its issuer.
    #[must_use]
    pub fn token_id(&self) -> &str {
        &self.jti
    }

    /// `tenant_id`: the tenant the subject acts for.
    #[must_use]
    pub fn tenant_id(&self) -> Option<&str> {
        self.tenant_id.as_deref()
    }

    /// `roles`: the subject's roles, as the issuer granted them.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// Whether `role` is among the roles.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held == role)
    }

    /// `sm2_kid`: the signing key's identifier, equal to the header's `kid`.
    #[must_use]
    pub fn sm2_kid(&self) -> Option<&str> {
        self.sm2_kid.as_deref()
    }

    /// `ext`: the extension object; empty when absent.
    #[must_use]
    pub fn ext(&self) -> &Map<String, Value> {
        &self.ext
    }

    /// `amr`: the authentication methods that the issuer checked (RFC 8176).
    #[must_use]
    pub fn amr(&self) -> &[String] {
        &self.amr
    }

    /// `acr`: the authentication context class that the issuer reached.
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.acr.as_deref()
    }

    /// `auth_time`: when the subject authenticated.
    #[must_use]
    pub fn auth_time(&self) -> Option<u64> {
        self.auth_time
    }

    /// `client_id`: the client that the token was issued to (RFC 9068).
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// The words of `scope` (RFC 6749 section 3.3).
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scope.iter().flat_map(|scope| scope.split(' '))
    }

    /// Whether `scope` has this word.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|held| held == scope)
    }

    /// `sid`: the session that the token belongs to; all refresh tokens that came from one another have the same.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    /// `cnf`: what the token is bound to.
    #[must_use]
    pub fn confirmation(&self) -> Option<&Confirmation> {
        self.cnf.as_ref()
    }

    /// What a second factor's digest is bound to.
    pub(crate) fn bound(&self) -> Bound<'_> {
        Bound {
            issuer: &self.iss,
            subject: &self.sub,
            token_id: &self.jti,
        }
    }

    /// Reads a decoded payload.
    pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let parsed = ParsedClaims::read(bytes, limits, WHAT)?;
        let missing = Error::missing_claim;
        Ok(Self {
            iss: parsed.iss.ok_or(missing("iss"))?,
            sub: parsed.sub.ok_or(missing("sub"))?,
            aud: parsed.aud.ok_or(missing("aud"))?,
            exp: parsed.exp.ok_or(missing("exp"))?,
            nbf: parsed.nbf,
            iat: parsed.iat.ok_or(missing("iat"))?,
            jti: parsed.jti.ok_or(missing("jti"))?,
            tenant_id: parsed.tenant_id,
            roles: parsed.roles,
            sm2_kid: parsed.sm2_kid,
            ext: parsed.ext,
            amr: parsed.amr,
            acr: parsed.acr,
            auth_time: parsed.auth_time,
            client_id: parsed.client_id,
            scope: parsed.scope,
            sid: parsed.sid,
            cnf: parsed.cnf,
        })
    }
}

/// Whether `scope` is words of RFC 6749 section 3.3 with one space between them.
pub(crate) fn is_scope(scope: &str) -> bool {
    scope.split(' ').all(|word| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
    })
}

/// Builds `ext` in a second pass over a payload that the guard has let through: serde_json's own
/// reader knows how its numbers are represented, whichever of its features a program turns on.
fn read_ext(bytes: &[u8]) -> Result<Map<String, Value>, Error> {
    #[derive(Deserialize)]
    struct Payload {
        ext: Map<String, Value>,
    }
    serde_json::from_slice(bytes)
        .map(|payload: Payload| payload.ext)
        .map_err(|_| Error::ClaimType { claim: "ext" })
}

/// RFC 7519 section 4.1.3: one audience may be a bare string, and most readers expect that.
fn serialize_audience<S: serde::Serializer>(
    aud: &[String],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match aud {
        [one] => serializer.serialize_str(one),
        many => many.serialize(serializer),
    }
}

/// The custom claims of a token that has none. It accepts any payload and keeps nothing of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoExtra;

impl<'de> Deserialize<'de> for NoExtra {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_ignored_any(IgnoredAny)?;
        Ok(Self)
    }
}

impl Serialize for NoExtra {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

/// The claims of a JSON object, each of the right type where it is there.
#[derive(Default)]
pub(crate) struct ParsedClaims {
    pub(crate) iss: Option<String>,
    pub(crate) sub: Option<String>,
    pub(crate) aud: Option<Vec<String>>,
    pub(crate) exp: Option<u64>,
    pub(crate) nbf: Option<u64>,
    pub(crate) iat: Option<u64>,
    pub(crate) jti: Option<String>,
    pub(crate) tenant_id: Option<String>,
    pub(crate) roles: Vec<String>,
    pub(crate) sm2_kid: Option<String>,
    has_ext: bool,
    pub(crate) ext: Map<String, Value>,
    pub(crate) amr: Vec<String>,
    pub(crate) acr: Option<String>,
    pub(crate) auth_time: Option<u64>,
    pub(crate) client_id: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) sid: Option<String>,
    pub(crate) cnf: Option<Confirmation>,
}

impl ParsedClaims {
    /// Reads an object strictly.
    pub(crate) fn read(bytes: &[u8], limits: &Limits, what: &'static str) -> Result<Self, Error> {
        let guard = Guard::new(limits);
        let mut parsed = guard.read(bytes, ClaimsSeed(&guard), what, |claim| Error::ClaimType {
            claim,
        })?;
        if parsed.has_ext {
            parsed.ext = read_ext(bytes)?;
        }
        Ok(parsed)
    }
}

struct ClaimsSeed<'g, 'l>(&'g Guard<'l>);

impl<'de> DeserializeSeed<'de> for ClaimsSeed<'_, '_> {
    type Value = ParsedClaims;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ClaimsSeed<'_, '_> {
    type Value = ParsedClaims;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let guard = self.0;
        guard.enter(1)?;
        let text = |map: &mut A, name| {
            let text = map.next_value_seed(guard.string(name))?;
            // An empty issuer, subject, tenant or identifier is a mistake that must not pass.
            if text.is_empty() {
                return Err(guard.fail(Fault::Type(name)));
            }
            Ok(Some(text))
        };
        let date = |map: &mut A, name| map.next_value_seed(DateSeed { guard, name }).map(Some);
        let list = |map: &mut A, name, bare| map.next_value_seed(guard.strings(name, bare));

        let mut seen = Seen::default();
        let mut claims = ParsedClaims::default();
        while let Some(name) = guard.next_name(&mut map, &mut seen)? {
            match &*name {
                "iss" => claims.iss = text(&mut map, "iss")?,
                "sub" => claims.sub = text(&mut map, "sub")?,
                "aud" => {
                    let aud = list(&mut map, "aud", true)?;
                    if aud.is_empty() {
                        return Err(guard.fail(Fault::Type("aud")));
                    }
                    claims.aud = Some(aud);
                }
                "exp" => claims.exp = date(&mut map, "exp")?,
                "nbf" => claims.nbf = date(&mut map, "nbf")?,
                "iat" => claims.iat = date(&mut map, "iat")?,
                "jti" => {
                    claims.jti = text(&mut map, "jti")?;
                    if claims
                        .jti
                        .as_ref()
                        .is_some_and(|id| id.len() > MAX_TOKEN_ID_LEN)
                    {
                        return Err(guard.fail(Fault::Type("jti")));
                    }
                }
                "tenant_id" => claims.tenant_id = text(&mut map, "tenant_id")?,
                "roles" => claims.roles = list(&mut map, "roles", false)?,
                "sm2_kid" => claims.sm2_kid = text(&mut map, "sm2_kid")?,
                "ext" => {
                    map.next_value_seed(guard.skip(2))?;
                    claims.has_ext = true;
                }
                "amr" => claims.amr = list(&mut map, "amr", false)?,
                "acr" => claims.acr = text(&mut map, "acr")?,
                "auth_time" => claims.auth_time = date(&mut map, "auth_time")?,
                "client_id" => claims.client_id = text(&mut map, "client_id")?,
                "scope" => {
                    claims.scope = text(&mut map, "scope")?;
                    if claims.scope.as_ref().is_some_and(|scope| !is_scope(scope)) {
                        return Err(guard.fail(Fault::Type("scope")));
                    }
                }
                "sid" => claims.sid = text(&mut map, "sid")?,
                "cnf" => claims.cnf = Some(map.next_value_seed(ConfirmationSeed(guard))?),
                _ => map.next_value_seed(guard.skip(2))?,
            }
        }
        Ok(claims)
    }
}

/// A NumericDate: a non-negative JSON integer; a fraction, an exponent or a sign is refused.
pub(crate) struct DateSeed<'g, 'l> {
    pub(crate) guard: &'g Guard<'l>,
    pub(crate) name: &'static str,
}

impl<'de> DeserializeSeed<'de> for DateSeed<'_, '_> {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        let (guard, name) = (self.guard, self.name);
        deserializer
            .deserialize_u64(self)
            .map_err(|_| guard.fail(Fault::Type(name)))
    }
}

impl Visitor<'_> for DateSeed<'_, '_> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a non-negative integer")
    }

    fn visit_u64<E>(self, seconds: u64) -> Result<u64, E> {
        Ok(seconds)
    }
}
