//! JWK sets (RFC 7517 section 5).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::Error;
use crate::json::{Fault, Guard, Seen};
use crate::jwk::{JwkSeed, ParsedJwk};
use crate::key_id::KeyId;
use crate::key_set::KeySet;
use crate::limits::Limits;
use crate::profile::Profile;
use crate::trusted_key::TrustedKey;

const WHAT: &str = "JWK set";

/// The longest JWK set in bytes.
pub(crate) const MAX_LEN: usize = 256 * 1024;
/// The most keys in a set, those of other kinds included.
const MAX_KEYS: usize = 256;
/// The most members and elements together.
const MAX_MEMBERS: usize = 8 * 1024;

impl KeySet {
    /// Reads a JWK set; its keys sign under `profile`.
    ///
    /// Keys of other kinds and for other uses are passed over, as the standard wants; a set may end up empty. Every SM2
    /// key for signatures must be right: with a `kid`, unique in the set among all its keys, on the curve, public,
    /// and with the profile's `alg` if it has one.
    ///
    /// # Errors
    /// [`Error::TooLarge`] above 256 KiB, the errors of strict JSON, [`Error::Key`] and the like for a wrong SM2 key, and
    /// [`Error::Config`] for one key under two names.
    pub fn from_jwks(jwks: &str, profile: &Profile) -> Result<Self, Error> {
        Self::from_jwks_with(jwks, |_| profile.clone())
    }

    /// Reads a JWK set; `profile` says how the key of each name signs.
    ///
    /// # Errors
    /// As [`from_jwks`](Self::from_jwks).
    pub fn from_jwks_with(jwks: &str, profile: impl Fn(&KeyId) -> Profile) -> Result<Self, Error> {
        let mut names = std::collections::HashSet::new();
        let mut trusted = Vec::new();
        let keys = read(jwks)?;
        for key in &keys {
            if key.kid().is_some_and(|kid| !names.insert(kid)) {
                return Err(fail("two keys have one `kid`"));
            }
            if key.is_foreign() {
                continue;
            }
            let kid = key.kid().ok_or(fail("an SM2 key has no `kid`"))?;
            let kid = KeyId::new(kid)
                .map_err(|_| fail("a `kid` is empty, too long or holds a control character"))?;
            let profile = profile(&kid);
            if key.alg().is_some_and(|alg| alg != profile.alg()) {
                return Err(fail("a key's `alg` is not its profile's"));
            }
            trusted.push(TrustedKey::new(kid, key.public_key()?, profile)?);
        }
        Self::from_trusted(trusted)
    }

    /// Writes the public keys as a JWK set, by name.
    #[must_use]
    pub fn to_jwks(&self) -> String {
        let mut keys: Vec<_> = self.iter().collect();
        keys.sort_unstable_by_key(|key| key.kid());
        let mut out = String::from("{\"keys\":[");
        for (i, key) in keys.into_iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            out.push_str(&key.key().to_jwk(Some(key.kid())));
        }
        out.push_str("]}");
        out
    }
}

fn fail(why: &'static str) -> Error {
    Error::Key { what: WHAT, why }
}

fn read(jwks: &str) -> Result<Vec<ParsedJwk<'_>>, Error> {
    if jwks.len() > MAX_LEN {
        return Err(Error::TooLarge {
            what: WHAT,
            limit: MAX_LEN,
        });
    }
    let limits = Limits::default().with_members(MAX_MEMBERS);
    let guard = Guard::new(&limits);
    guard
        .read(jwks.as_bytes(), SetSeed(&guard), WHAT, |_| {
            fail("a member has the wrong type, or there are too many keys")
        })?
        .ok_or(fail("it has no `keys`"))
}

struct SetSeed<'g, 'l>(&'g Guard<'l>);

impl<'de> DeserializeSeed<'de> for SetSeed<'_, '_> {
    type Value = Option<Vec<ParsedJwk<'de>>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for SetSeed<'_, '_> {
    type Value = Option<Vec<ParsedJwk<'de>>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let guard = self.0;
        guard.enter(1)?;
        let mut seen = Seen::default();
        let mut keys = None;
        while let Some(name) = guard.next_name(&mut map, &mut seen)? {
            match &*name {
                "keys" => keys = Some(map.next_value_seed(KeysSeed(guard))?),
                _ => map.next_value_seed(guard.skip(2))?,
            }
        }
        Ok(keys)
    }
}

struct KeysSeed<'g, 'l>(&'g Guard<'l>);

impl<'de> DeserializeSeed<'de> for KeysSeed<'_, '_> {
    type Value = Vec<ParsedJwk<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let guard = self.0;
        deserializer
            .deserialize_seq(self)
            .map_err(|_| guard.fail(Fault::Type("keys")))
    }
}

impl<'de> Visitor<'de> for KeysSeed<'_, '_> {
    type Value = Vec<ParsedJwk<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of keys")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let guard = self.0;
        guard.enter(2)?;
        let mut keys = Vec::new();
        while let Some(key) = seq.next_element_seed(JwkSeed::new(guard, 3))? {
            guard.count()?;
            if keys.len() == MAX_KEYS {
                return Err(guard.fail(Fault::Type("keys")));
            }
            keys.push(key);
        }
        Ok(keys)
    }
}
