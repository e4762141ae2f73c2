//! The protected header of a signed payload.

use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::Error;
use crate::json::{Fault, Guard, Seen};
use crate::key_id::KeyId;
use crate::limits::Limits;
use crate::token_type::TokenType;

const WHAT: &str = "the header";

/// A signed payload's protected header.
///
/// Keys that a header offers (`jwk`, `jku`, `x5u`, `x5c`) are never looked at. Of the extensions that `crit` may name `b64`
/// alone is understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JwsHeader {
    pub(crate) alg: String,
    pub(crate) kid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) typ: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cty: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) crv: Option<String>,
    /// `false` for an unencoded payload (RFC 7797); then `crit` names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) b64: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) crit: Vec<String>,
}

impl JwsHeader {
    /// The algorithm name.
    #[must_use]
    pub fn alg(&self) -> &str {
        &self.alg
    }

    /// The key identifier.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// What the whole is.
    #[must_use]
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// What the payload is.
    #[must_use]
    pub fn cty(&self) -> Option<&str> {
        self.cty.as_deref()
    }

    /// The curve name, when the header declares one.
    #[must_use]
    pub fn crv(&self) -> Option<&str> {
        self.crv.as_deref()
    }

    /// Whether the payload is signed as base64url, as it is unless `b64` says otherwise.
    #[must_use]
    pub fn is_payload_encoded(&self) -> bool {
        self.b64 != Some(false)
    }

    /// Reads a decoded protected header; what it is named is given to `named`.
    pub(crate) fn parse(
        bytes: &[u8],
        limits: &Limits,
        named: &mut dyn FnMut(&str),
    ) -> Result<Self, Error> {
        let guard = Guard::new(limits);
        let seed = HeaderSeed {
            guard: &guard,
            named,
        };
        let parsed = guard.read(bytes, seed, WHAT, |name| match name {
            "crit" => Error::CriticalHeader,
            name => Error::HeaderType { name },
        })?;
        let required = |value: Option<String>, name| value.ok_or(Error::MissingHeader { name });
        let header = Self {
            alg: required(parsed.alg, "alg")?,
            kid: required(parsed.kid, "kid")?,
            typ: parsed.typ,
            cty: parsed.cty,
            crv: parsed.crv,
            b64: parsed.b64,
            crit: parsed.crit.unwrap_or_default(),
        };
        if !KeyId::is_acceptable(&header.kid) {
            return Err(Error::HeaderType { name: "kid" });
        }
        // RFC 7515 section 4.1.11: not empty, nothing twice, nothing that is not there; and nothing but `b64`, which in
        // turn must be named (RFC 7797 section 6).
        match (header.b64, header.crit.as_slice(), parsed.has_crit) {
            (None, [], false) => Ok(header),
            (Some(_), [one], true) if one == "b64" => Ok(header),
            (Some(_), [], false) => Err(Error::UnencodedPayload),
            _ => Err(Error::CriticalHeader),
        }
    }
}

/// Whether `typ` is one that tokens have: those go through the verifier for tokens.
pub(crate) fn is_token_type(typ: &str) -> bool {
    // As readers of media types take it: without parameters and without `application/` (RFC 7515 section 4.1.9).
    let bare = typ.split(';').next().unwrap_or_default().trim();
    let lower = bare.to_ascii_lowercase();
    let lower = lower.strip_prefix("application/").unwrap_or(&lower);
    let types = [
        TokenType::Access,
        TokenType::Refresh,
        TokenType::Transaction,
    ];
    lower == "jwt" || lower.ends_with("+jwt") || types.iter().any(|known| known.matches(bare))
}

#[derive(Default)]
struct Parsed {
    alg: Option<String>,
    kid: Option<String>,
    typ: Option<String>,
    cty: Option<String>,
    crv: Option<String>,
    b64: Option<bool>,
    crit: Option<Vec<String>>,
    has_crit: bool,
}

struct HeaderSeed<'g, 'l, 'n> {
    guard: &'g Guard<'l>,
    named: &'n mut dyn FnMut(&str),
}

impl<'de> DeserializeSeed<'de> for HeaderSeed<'_, '_, '_> {
    type Value = Parsed;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Parsed, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for HeaderSeed<'_, '_, '_> {
    type Value = Parsed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parsed, A::Error> {
        let guard = self.guard;
        guard.enter(1)?;
        let text = |map: &mut A, name| map.next_value_seed(guard.string(name)).map(Some);
        let mut seen = Seen::default();
        let mut parsed = Parsed::default();
        while let Some(name) = guard.next_name(&mut map, &mut seen)? {
            (self.named)(&name);
            match &*name {
                "alg" => parsed.alg = text(&mut map, "alg")?,
                "kid" => parsed.kid = text(&mut map, "kid")?,
                "typ" => parsed.typ = text(&mut map, "typ")?,
                "cty" => parsed.cty = text(&mut map, "cty")?,
                "crv" => parsed.crv = text(&mut map, "crv")?,
                "b64" => parsed.b64 = Some(map.next_value_seed(FlagSeed(guard))?),
                "crit" => {
                    parsed.has_crit = true;
                    parsed.crit = Some(map.next_value_seed(NamesSeed(guard))?);
                }
                _ => map.next_value_seed(guard.skip(2))?,
            }
        }
        Ok(parsed)
    }
}

/// `b64`: a JSON boolean.
struct FlagSeed<'g, 'l>(&'g Guard<'l>);

impl<'de> DeserializeSeed<'de> for FlagSeed<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        let guard = self.0;
        deserializer
            .deserialize_bool(self)
            .map_err(|_| guard.fail(Fault::Type("b64")))
    }
}

impl Visitor<'_> for FlagSeed<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a boolean")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<bool, E> {
        Ok(flag)
    }
}

/// `crit`: an array of strings.
struct NamesSeed<'g, 'l>(&'g Guard<'l>);

impl<'de> DeserializeSeed<'de> for NamesSeed<'_, '_> {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let guard = self.0;
        deserializer
            .deserialize_seq(self)
            .map_err(|_| guard.fail(Fault::Type("crit")))
    }
}

impl<'de> Visitor<'de> for NamesSeed<'_, '_> {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of names")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        self.0.enter(2)?;
        let mut names = Vec::new();
        while let Some(name) = seq.next_element_seed(self.0.string("crit"))? {
            self.0.count()?;
            names.push(name);
        }
        Ok(names)
    }
}
