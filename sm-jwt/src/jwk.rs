//! SM2 keys as JSON Web Keys (RFC 7517).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use zeroize::Zeroizing;

use crate::base64url;
use crate::crypto::{POINT_LEN, sm3};
use crate::error::Error;
use crate::json::{Fault, Guard, Seen};
use crate::key_id::KeyId;
use crate::keys::{SigningKey, VerifyingKey};
use crate::limits::Limits;
use crate::profile::is_foreign;

const WHAT: &str = "JWK";

/// The longest JWK in bytes.
const MAX_LEN: usize = 16 * 1024;

/// The spellings of the curve that are read; all mean the same curve. `SM2` is written.
const CURVE_NAMES: [&str; 3] = ["SM2", "sm2p256v1", "SM2-P-256"];

impl VerifyingKey {
    /// Reads a public JWK: `kty` `EC`, `crv` `SM2`, `sm2p256v1` or `SM2-P-256`, `x` and `y` of 32
    /// bytes each. A private one is refused: it does not belong where public keys are read.
    ///
    /// `use`, when present, must be `sig`; `key_ops`, when present, must hold `verify`; `alg`, when
    /// present, must not name another algorithm.
    ///
    /// # Errors
    /// [`Error::WrongAlgorithm`] for another key type or curve, [`Error::Key`] for a malformed key
    /// or a point off the curve, and the errors of strict JSON.
    pub fn from_jwk(jwk: &str) -> Result<Self, Error> {
        let parsed = Parsed::read(jwk)?;
        if parsed.d.is_some() {
            return Err(fail("it holds a private key where a public one is wanted"));
        }
        parsed.check_use("verify")?;
        Self::from_point(&parsed.point()?, WHAT)
    }

    /// Writes a public JWK for signatures, its `crv` spelled `SM2`.
    #[must_use]
    pub fn to_jwk(&self, kid: Option<&KeyId>) -> String {
        let [x, y] = coordinates(self);
        let mut jwk = serde_json::json!({
            "kty": "EC", "crv": "SM2", "x": x, "y": y, "use": "sig",
        });
        if let (Some(kid), Some(members)) = (kid, jwk.as_object_mut()) {
            members.insert("kid".to_owned(), kid.as_str().into());
        }
        jwk.to_string()
    }

    /// The JWK thumbprint (RFC 7638) with SM3 as its hash, in base64url; the `crv` is spelled `SM2`
    /// whatever the key was read from. It differs from the SHA-256 thumbprint that other
    /// specifications' `jkt` means.
    #[must_use]
    pub fn thumbprint_sm3(&self) -> String {
        let [x, y] = coordinates(self);
        // RFC 7638 section 3.2: the required members in lexicographic order, no white space.
        let canonical = format!(r#"{{"crv":"SM2","kty":"EC","x":"{x}","y":"{y}"}}"#);
        base64url::encode(&sm3(&[canonical.as_bytes()]))
    }
}

impl SigningKey {
    /// Reads a private JWK: as [`VerifyingKey::from_jwk`], with `d` of 32 bytes. `x` and `y` must be
    /// the private key's. `key_ops`, when present, must hold `sign`.
    ///
    /// # Errors
    /// As [`VerifyingKey::from_jwk`], and [`Error::Key`] when `d` is not in [1, n-2] or does not
    /// match `x` and `y`.
    pub fn from_jwk(jwk: &str) -> Result<Self, Error> {
        let parsed = Parsed::read(jwk)?;
        parsed.check_use("sign")?;
        let text = parsed.d.ok_or(fail("it has no `d`"))?;
        let mut d = Zeroizing::new([0u8; 32]);
        base64url::decode_exact(text, &mut *d).ok_or(fail("`d` is not 32 bytes in base64url"))?;
        Self::from_parts(&d, Some(&parsed.point()?), WHAT)
    }
}

fn coordinates(key: &VerifyingKey) -> [String; 2] {
    let sec1 = key.to_sec1_bytes();
    let (x, y) = sec1
        .get(1..)
        .and_then(|both| both.split_at_checked(32))
        .unwrap_or_default();
    [base64url::encode(x), base64url::encode(y)]
}

fn fail(why: &'static str) -> Error {
    Error::Key { what: WHAT, why }
}

/// The members that matter, borrowed from the text so that no copy of `d` is left behind.
#[derive(Default)]
struct Parsed<'de> {
    kty: Option<&'de str>,
    crv: Option<&'de str>,
    x: Option<&'de str>,
    y: Option<&'de str>,
    d: Option<&'de str>,
    usage: Option<&'de str>,
    alg: Option<&'de str>,
    key_ops: Option<Vec<String>>,
}

impl<'de> Parsed<'de> {
    fn read(jwk: &'de str) -> Result<Self, Error> {
        if jwk.len() > MAX_LEN {
            return Err(Error::TooLarge {
                what: WHAT,
                limit: MAX_LEN,
            });
        }
        let limits = Limits::default();
        let guard = Guard::new(&limits);
        let parsed = guard.read(jwk.as_bytes(), JwkSeed(&guard), WHAT, |_| {
            fail("a member is not a plain string or list of strings")
        })?;
        let wrong = |field, found: Option<&str>, expected| Error::WrongAlgorithm {
            what: WHAT,
            field,
            found: found.map_or("absent".to_owned(), |name| {
                format!("`{}`", name.escape_debug())
            }),
            expected,
        };
        if parsed.kty != Some("EC") {
            return Err(wrong("`kty`", parsed.kty, "`EC`"));
        }
        if !parsed.crv.is_some_and(|crv| CURVE_NAMES.contains(&crv)) {
            return Err(wrong(
                "`crv`",
                parsed.crv,
                "`SM2`, `sm2p256v1` or `SM2-P-256`",
            ));
        }
        Ok(parsed)
    }

    /// One key, one use: a key that is marked for something else is refused (RFC 7517 section 4).
    fn check_use(&self, operation: &str) -> Result<(), Error> {
        if self.usage.is_some_and(|usage| usage != "sig") {
            return Err(fail("its `use` is not `sig`"));
        }
        if self.alg.is_some_and(is_foreign) {
            return Err(fail("its `alg` is not a name for SM2 with SM3"));
        }
        match &self.key_ops {
            Some(operations) if !operations.iter().any(|held| held == operation) => {
                Err(fail("its `key_ops` do not allow this operation"))
            }
            _ => Ok(()),
        }
    }

    /// 04 ‖ x ‖ y.
    fn point(&self) -> Result<[u8; POINT_LEN], Error> {
        let mut sec1 = [4u8; POINT_LEN];
        let (x, y) = sec1
            .get_mut(1..)
            .and_then(|both| both.split_at_mut_checked(32))
            .unwrap_or_default();
        for (text, out) in [(self.x, x), (self.y, y)] {
            text.and_then(|text| base64url::decode_exact(text, out))
                .ok_or(fail("`x` and `y` must each be 32 bytes in base64url"))?;
        }
        Ok(sec1)
    }
}

struct JwkSeed<'g, 'l>(&'g Guard<'l>);

impl<'de> DeserializeSeed<'de> for JwkSeed<'_, '_> {
    type Value = Parsed<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for JwkSeed<'_, '_> {
    type Value = Parsed<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let guard = self.0;
        guard.enter(1)?;
        let text = |map: &mut A, name| map.next_value_seed(PlainSeed { guard, name }).map(Some);
        let mut seen = Seen::default();
        let mut parsed = Parsed::default();
        while let Some(name) = guard.next_name(&mut map, &mut seen)? {
            match &*name {
                "kty" => parsed.kty = text(&mut map, "kty")?,
                "crv" => parsed.crv = text(&mut map, "crv")?,
                "x" => parsed.x = text(&mut map, "x")?,
                "y" => parsed.y = text(&mut map, "y")?,
                "d" => parsed.d = text(&mut map, "d")?,
                "use" => parsed.usage = text(&mut map, "use")?,
                "alg" => parsed.alg = text(&mut map, "alg")?,
                "key_ops" => {
                    parsed.key_ops = Some(map.next_value_seed(guard.strings("key_ops", false))?)
                }
                _ => map.next_value_seed(guard.skip(2))?,
            }
        }
        Ok(parsed)
    }
}

/// A string without escapes, borrowed. None of these members ever needs an escape, and unescaping
/// `d` would leave a copy of the secret in a buffer that is not wiped.
struct PlainSeed<'g, 'l> {
    guard: &'g Guard<'l>,
    name: &'static str,
}

impl<'de> DeserializeSeed<'de> for PlainSeed<'_, '_> {
    type Value = &'de str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'de str, D::Error> {
        let (guard, name) = (self.guard, self.name);
        deserializer
            .deserialize_str(self)
            .map_err(|_| guard.fail(Fault::Type(name)))
    }
}

impl<'de> Visitor<'de> for PlainSeed<'_, '_> {
    type Value = &'de str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string without escapes")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<&'de str, E> {
        Ok(text)
    }
}
