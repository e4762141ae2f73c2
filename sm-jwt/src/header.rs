//! The protected header: what is read from it, and what is refused outright.

use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use crate::error::Error;
use crate::json::{Guard, Seen};
use crate::key_id::KeyId;
use crate::limits::Limits;

const WHAT: &str = "the header";

/// A token's protected header.
///
/// Only `alg`, `typ`, `kid` and `crv` are kept. `jwk`, `jku`, `x5u` and `x5c` are never looked at:
/// keys come from registration alone. `crit` and `b64` are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Header {
    pub(crate) alg: String,
    pub(crate) typ: String,
    pub(crate) kid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) crv: Option<String>,
}

impl Header {
    /// The algorithm name.
    #[must_use]
    pub fn alg(&self) -> &str {
        &self.alg
    }

    /// The token type as the header spells it.
    #[must_use]
    pub fn typ(&self) -> &str {
        &self.typ
    }

    /// The key identifier.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The curve name, when the header declares one.
    #[must_use]
    pub fn crv(&self) -> Option<&str> {
        self.crv.as_deref()
    }

    /// Reads a decoded header.
    pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let guard = Guard::new(limits);
        let parsed = guard.read(bytes, HeaderSeed(&guard), WHAT, |name| Error::HeaderType {
            name,
        })?;
        // Extensions first: a header that must be understood and is not says nothing else reliable.
        if parsed.crit {
            return Err(Error::CriticalHeader);
        }
        if parsed.b64 {
            return Err(Error::UnencodedPayload);
        }
        let required = |value: Option<String>, name| value.ok_or(Error::MissingHeader { name });
        let header = Self {
            alg: required(parsed.alg, "alg")?,
            typ: required(parsed.typ, "typ")?,
            kid: required(parsed.kid, "kid")?,
            crv: parsed.crv,
        };
        if !KeyId::is_acceptable(&header.kid) {
            return Err(Error::HeaderType { name: "kid" });
        }
        Ok(header)
    }
}

#[derive(Default)]
struct Parsed {
    alg: Option<String>,
    typ: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    crit: bool,
    b64: bool,
}

struct HeaderSeed<'g, 'l>(&'g Guard<'l>);

impl<'de> DeserializeSeed<'de> for HeaderSeed<'_, '_> {
    type Value = Parsed;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Parsed, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for HeaderSeed<'_, '_> {
    type Value = Parsed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parsed, A::Error> {
        let guard = self.0;
        guard.enter(1)?;
        let mut seen = Seen::default();
        let mut parsed = Parsed::default();
        while let Some(name) = guard.next_name(&mut map, &mut seen)? {
            match &*name {
                "alg" => parsed.alg = Some(map.next_value_seed(guard.string("alg"))?),
                "typ" => parsed.typ = Some(map.next_value_seed(guard.string("typ"))?),
                "kid" => parsed.kid = Some(map.next_value_seed(guard.string("kid"))?),
                "crv" => parsed.crv = Some(map.next_value_seed(guard.string("crv"))?),
                "crit" => {
                    map.next_value_seed(guard.skip(2))?;
                    parsed.crit = true;
                }
                "b64" => {
                    map.next_value_seed(guard.skip(2))?;
                    parsed.b64 = true;
                }
                _ => map.next_value_seed(guard.skip(2))?,
            }
        }
        Ok(parsed)
    }
}
