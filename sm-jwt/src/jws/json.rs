//! The JSON serialisation (RFC 7515 section 7.2), taken apart strictly.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::Error;
use crate::json::{Fault, Guard, Seen};
use crate::limits::Limits;

const WHAT: &str = "the JWS";

/// The most signatures over one payload.
const MAX_SIGNATURES: usize = 16;

/// A payload, if it is there, and its signatures, not decoded yet.
pub(super) struct Parsed {
    pub(super) payload: Option<String>,
    pub(super) signatures: Vec<Signature>,
}

#[derive(Default)]
pub(super) struct Signature {
    pub(super) protected: Option<String>,
    pub(super) signature: Option<String>,
    /// Names of the members of the unprotected header. They say nothing here, and must not be those of the protected
    /// one.
    pub(super) unprotected: HashSet<String>,
}

impl Parsed {
    /// Reads the flattened or the general form; a mixture of both is refused.
    pub(super) fn parse(text: &str, limits: &Limits) -> Result<Self, Error> {
        crate::compact::cap(text.len(), limits.token_bytes(), WHAT)?;
        let guard = Guard::new(limits);
        let whole = guard.read(text.as_bytes(), WholeSeed(&guard), WHAT, |name| {
            Error::JwsForm { member: name }
        })?;
        let signatures = match (whole.signatures, whole.flattened) {
            (Some(_), Some(_)) => {
                return Err(Error::JwsForm {
                    member: "signatures",
                });
            }
            (Some(signatures), None) => signatures,
            (None, Some(one)) => vec![one],
            (None, None) => Vec::new(),
        };
        if signatures.is_empty() {
            return Err(Error::JwsForm {
                member: "signatures",
            });
        }
        Ok(Self {
            payload: whole.payload,
            signatures,
        })
    }
}

#[derive(Default)]
struct Whole {
    payload: Option<String>,
    signatures: Option<Vec<Signature>>,
    flattened: Option<Signature>,
}

/// One member of a signature; whether it was one.
fn read_member<'de, A: MapAccess<'de>>(
    guard: &Guard<'_>,
    name: &str,
    depth: usize,
    map: &mut A,
    into: &mut Signature,
) -> Result<bool, A::Error> {
    match name {
        "protected" => into.protected = Some(map.next_value_seed(guard.string("protected"))?),
        "signature" => into.signature = Some(map.next_value_seed(guard.string("signature"))?),
        "header" => into.unprotected = map.next_value_seed(NamesSeed { guard, depth })?,
        _ => return Ok(false),
    }
    Ok(true)
}

struct WholeSeed<'g, 'l>(&'g Guard<'l>);

impl<'de> DeserializeSeed<'de> for WholeSeed<'_, '_> {
    type Value = Whole;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Whole, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for WholeSeed<'_, '_> {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Whole, A::Error> {
        let guard = self.0;
        guard.enter(1)?;
        let mut seen = Seen::default();
        let mut whole = Whole::default();
        let mut flattened = Signature::default();
        let mut is_flattened = false;
        while let Some(name) = guard.next_name(&mut map, &mut seen)? {
            match &*name {
                "payload" => whole.payload = Some(map.next_value_seed(guard.string("payload"))?),
                "signatures" => whole.signatures = Some(map.next_value_seed(ListSeed(guard))?),
                name => match read_member(guard, name, 2, &mut map, &mut flattened)? {
                    true => is_flattened = true,
                    false => map.next_value_seed(guard.skip(2))?,
                },
            }
        }
        whole.flattened = is_flattened.then_some(flattened);
        Ok(whole)
    }
}

struct ListSeed<'g, 'l>(&'g Guard<'l>);

impl<'de> DeserializeSeed<'de> for ListSeed<'_, '_> {
    type Value = Vec<Signature>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let guard = self.0;
        deserializer
            .deserialize_seq(self)
            .map_err(|_| guard.fail(Fault::Type("signatures")))
    }
}

impl<'de> Visitor<'de> for ListSeed<'_, '_> {
    type Value = Vec<Signature>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of signatures")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let guard = self.0;
        guard.enter(2)?;
        let mut signatures = Vec::new();
        while let Some(signature) = seq.next_element_seed(SignatureSeed(guard))? {
            guard.count()?;
            if signatures.len() == MAX_SIGNATURES {
                return Err(guard.fail(Fault::Type("signatures")));
            }
            signatures.push(signature);
        }
        Ok(signatures)
    }
}

struct SignatureSeed<'g, 'l>(&'g Guard<'l>);

impl<'de> DeserializeSeed<'de> for SignatureSeed<'_, '_> {
    type Value = Signature;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Signature, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for SignatureSeed<'_, '_> {
    type Value = Signature;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a signature")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Signature, A::Error> {
        let guard = self.0;
        guard.enter(3)?;
        let mut seen = Seen::default();
        let mut signature = Signature::default();
        while let Some(name) = guard.next_name(&mut map, &mut seen)? {
            if !read_member(guard, &name, 4, &mut map, &mut signature)? {
                map.next_value_seed(guard.skip(4))?;
            }
        }
        Ok(signature)
    }
}

/// The names of an object's members; their values are checked and not kept.
struct NamesSeed<'g, 'l> {
    guard: &'g Guard<'l>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for NamesSeed<'_, '_> {
    type Value = HashSet<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let guard = self.guard;
        deserializer
            .deserialize_map(self)
            .map_err(|_| guard.fail(Fault::Type("header")))
    }
}

impl<'de> Visitor<'de> for NamesSeed<'_, '_> {
    type Value = HashSet<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let below = self.depth.saturating_add(1);
        self.guard.enter(self.depth)?;
        let mut seen = Seen::default();
        let mut names = HashSet::new();
        while let Some(name) = self.guard.next_name(&mut map, &mut seen)? {
            map.next_value_seed(self.guard.skip(below))?;
            names.insert(Cow::into_owned(name));
        }
        Ok(names)
    }
}
