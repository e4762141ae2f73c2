//! SM2 keys as JSON Web Keys (RFC 7517).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use zeroize::Zeroizing;

use crate::base64url;
use crate::crypto::{POINT_LEN, sha256, sm3};
use crate::error::Error;
use crate::json::{Fault, Guard, Seen};
use crate::key_id::KeyId;
use crate::keys::{SigningKey, VerifyingKey};
use crate::limits::Limits;
use crate::profile::is_known;

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
        ParsedJwk::read(jwk)?.public_key()
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
        base64url::encode(&self.thumbprint_sm3_bytes())
    }

    /// The JWK thumbprint (RFC 7638) with SHA-256, in base64url: what `jkt` means (RFC 9449). The `crv` is spelled
    /// `SM2` whatever the key was read from.
    #[must_use]
    pub fn thumbprint_sha256(&self) -> String {
        base64url::encode(&self.thumbprint_sha256_bytes())
    }

    pub(crate) fn thumbprint_sha256_bytes(&self) -> [u8; 32] {
        sha256(&[self.canonical_jwk().as_bytes()])
    }

    pub(crate) fn thumbprint_sm3_bytes(&self) -> [u8; 32] {
        sm3(&[self.canonical_jwk().as_bytes()])
    }

    /// RFC 7638 section 3.2: the required members in lexicographic order, no white space.
    pub(crate) fn canonical_jwk(&self) -> String {
        let [x, y] = coordinates(self);
        format!(r#"{{"crv":"SM2","kty":"EC","x":"{x}","y":"{y}"}}"#)
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
        let parsed = ParsedJwk::read(jwk)?;
        parsed.check_curve()?;
        parsed.check_use("sign")?;
        let text = parsed.d.ok_or(fail("it has no `d`"))?;
        let mut d = Zeroizing::new([0u8; 32]);
        base64url::decode_exact(text, &mut *d).ok_or(fail("`d` is not 32 bytes in base64url"))?;
        Self::from_parts(&d, Some(&parsed.point()?), WHAT)
    }

    /// Writes a private JWK for signatures, its `crv` spelled `SM2`.
    ///
    /// The text is the key: keep it out of logs, and let the wrapper wipe it.
    #[must_use]
    pub fn to_jwk(&self, kid: Option<&KeyId>) -> Zeroizing<String> {
        let public = self.verifying_key().to_jwk(kid);
        let d = self.secret().to_bytes();
        // Room from the start: a text that grows leaves copies behind.
        let mut jwk = Zeroizing::new(String::with_capacity(public.len().saturating_add(64)));
        jwk.push_str(public.strip_suffix('}').unwrap_or_default());
        jwk.push_str(",\"d\":\"");
        base64url::encode_secret(&d, &mut jwk);
        jwk.push_str("\"}");
        jwk
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
pub(crate) struct ParsedJwk<'de> {
    kty: Option<&'de str>,
    crv: Option<&'de str>,
    x: Option<&'de str>,
    y: Option<&'de str>,
    d: Option<&'de str>,
    usage: Option<&'de str>,
    alg: Option<&'de str>,
    kid: Option<String>,
    key_ops: Option<Vec<String>>,
}

impl<'de> ParsedJwk<'de> {
    fn read(jwk: &'de str) -> Result<Self, Error> {
        if jwk.len() > MAX_LEN {
            return Err(Error::TooLarge {
                what: WHAT,
                limit: MAX_LEN,
            });
        }
        let limits = Limits::default();
        let guard = Guard::new(&limits);
        guard.read(jwk.as_bytes(), JwkSeed::new(&guard, 1), WHAT, |_| {
            fail("a member is not a plain string or list of strings")
        })
    }

    /// `kid`.
    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// `alg`.
    pub(crate) fn alg(&self) -> Option<&str> {
        self.alg
    }

    /// Whether it is of another kind, or for another use, than verifying SM2 signatures: such keys stand in sets beside
    /// those that matter. A private SM2 key is never one of them, whatever its use.
    pub(crate) fn is_foreign(&self) -> bool {
        let for_other_use =
            || self.usage.is_some_and(|usage| usage != "sig") || !self.allows("verify");
        self.check_curve().is_err() || (self.d.is_none() && for_other_use())
    }

    /// Whether `key_ops`, if it is there, has this operation.
    fn allows(&self, operation: &str) -> bool {
        self.key_ops
            .as_ref()
            .is_none_or(|operations| operations.iter().any(|held| held == operation))
    }

    /// The public key, if it is for verifying SM2 signatures and no private one.
    pub(crate) fn public_key(&self) -> Result<VerifyingKey, Error> {
        self.check_curve()?;
        if self.d.is_some() {
            return Err(fail("it holds a private key where a public one is wanted"));
        }
        self.check_use("verify")?;
        VerifyingKey::from_point(&self.point()?, WHAT)
    }

    fn check_curve(&self) -> Result<(), Error> {
        let wrong = |field, found: Option<&str>, expected| Error::WrongAlgorithm {
            what: WHAT,
            field,
            found: found.map_or("absent".to_owned(), |name| {
                format!("`{}`", name.escape_debug())
            }),
            expected,
        };
        if self.kty != Some("EC") {
            return Err(wrong("`kty`", self.kty, "`EC`"));
        }
        if !self.crv.is_some_and(|crv| CURVE_NAMES.contains(&crv)) {
            return Err(wrong(
                "`crv`",
                self.crv,
                "`SM2`, `sm2p256v1` or `SM2-P-256`",
            ));
        }
        Ok(())
    }

    /// One key, one use: a key that is marked for something else is refused (RFC 7517 section 4).
    fn check_use(&self, operation: &str) -> Result<(), Error> {
        if self.usage.is_some_and(|usage| usage != "sig") {
            return Err(fail("its `use` is not `sig`"));
        }
        if self.alg.is_some_and(|alg| !is_known(alg)) {
            return Err(fail("its `alg` is not a name for SM2 with SM3"));
        }
        if !self.allows(operation) {
            return Err(fail("its `key_ops` do not allow this operation"));
        }
        Ok(())
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

/// Reads a JWK that is nested at `depth`.
pub(crate) struct JwkSeed<'g, 'l> {
    guard: &'g Guard<'l>,
    depth: usize,
}

impl<'g, 'l> JwkSeed<'g, 'l> {
    pub(crate) fn new(guard: &'g Guard<'l>, depth: usize) -> Self {
        Self { guard, depth }
    }
}

impl<'de> DeserializeSeed<'de> for JwkSeed<'_, '_> {
    type Value = ParsedJwk<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for JwkSeed<'_, '_> {
    type Value = ParsedJwk<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let guard = self.guard;
        let below = self.depth.saturating_add(1);
        guard.enter(self.depth)?;
        let text = |map: &mut A, name| map.next_value_seed(PlainSeed { guard, name }).map(Some);
        let mut seen = Seen::default();
        let mut parsed = ParsedJwk::default();
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
                    let operations = guard.strings("key_ops", false).at(below);
                    parsed.key_ops = Some(map.next_value_seed(operations)?);
                }
                "kid" => parsed.kid = Some(map.next_value_seed(guard.string("kid"))?),
                _ => map.next_value_seed(guard.skip(below))?,
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
