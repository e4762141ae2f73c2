//! A second factor that is a secret of a device or hardware token, bound into a token (`ext.factor`).
//!
//! The issuer and whoever checks share a factor key. The token carries
//! h = HMAC-SM3(factor key, "smjwt/factor/1" ‖ iss ‖ sub ‖ jti ‖ m ‖ value), every part behind its length of 8 bytes: it tells
//! nothing of the value, and serves for this token alone.

use std::collections::HashMap;
use std::fmt;

use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq as _;

use crate::base64url;
use crate::crypto::MacKey;
use crate::error::Error;
use crate::key_id::KeyId;

const LABEL: &str = "smjwt/factor/1";
/// The member of `ext`.
pub(crate) const MEMBER: &str = "factor";
/// The fewest bytes of a factor key and of a factor's value: 128 bits.
const MIN_LEN: usize = 16;
/// The most bytes of a factor's value.
const MAX_VALUE_LEN: usize = 4096;

/// Methods of RFC 8176 whose values can be guessed, or never come twice the same: their digest would give them away or be
/// of no use. What was checked that way goes into `amr`.
const LOW_ENTROPY: [&str; 10] = [
    "fpt", "geo", "iris", "kba", "mca", "mfa", "retina", "user", "vbm", "wia",
];

/// What the names of others have in them, registered (`otp`, `pin`, `pwd`, `sms`, `tel`, `face`, `voice`) or not.
const LOW_ENTROPY_PARTS: [&str; 12] = [
    "otp", "pin", "pwd", "pass", "sms", "mail", "tel", "phone", "finger", "face", "voice", "code",
];

const WHAT: &str = "second factor";

/// The key that issuer and verifier share, under its name. Wiped on drop.
pub struct FactorKey {
    kid: KeyId,
    mac: MacKey,
}

impl FactorKey {
    /// Takes a key of 16 bytes or more, random ones.
    ///
    /// # Errors
    /// [`Error::Config`] for a shorter key.
    pub fn new(kid: KeyId, key: &[u8]) -> Result<Self, Error> {
        if key.len() < MIN_LEN {
            return Err(Error::Config(format!(
                "a factor key has at least {MIN_LEN} bytes"
            )));
        }
        Ok(Self {
            kid,
            mac: MacKey::new(key),
        })
    }

    /// Its name.
    #[must_use]
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    fn digest(&self, token: &Bound<'_>, method: &str, value: &[u8]) -> [u8; 32] {
        let parts = [
            LABEL.as_bytes(),
            token.issuer.as_bytes(),
            token.subject.as_bytes(),
            token.token_id.as_bytes(),
            method.as_bytes(),
            value,
        ];
        let lengths = parts.map(|part| (part.len() as u64).to_be_bytes());
        let [l0, l1, l2, l3, l4, l5] = &lengths;
        let [p0, p1, p2, p3, p4, p5] = parts;
        self.mac
            .mac(&[l0, p0, l1, p1, l2, p2, l3, p3, l4, p4, l5, p5])
    }
}

impl fmt::Debug for FactorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FactorKey").field(&self.kid).finish()
    }
}

/// A second factor to bind into a new token: [`Signer::sign_with_factor`](crate::Signer::sign_with_factor).
#[derive(Clone, Copy)]
pub struct Factor<'a> {
    method: &'a str,
    key: &'a FactorKey,
    value: &'a [u8],
}

impl<'a> Factor<'a> {
    /// The secret `value`, of 16 to 4096 bytes, that the subject's device holds; `method` names its kind, such as `hwk` or
    /// `swk` (RFC 8176).
    ///
    /// # Errors
    /// [`Error::Config`] for a shorter or longer value, a method that is no short name, and a method whose values can be
    /// guessed: one-time passwords, PINs, biometrics and the like are checked by the issuer and never travel.
    pub fn new(method: &'a str, key: &'a FactorKey, value: &'a [u8]) -> Result<Self, Error> {
        check_method(method)?;
        if !(MIN_LEN..=MAX_VALUE_LEN).contains(&value.len()) {
            return Err(Error::Config(format!(
                "a factor's value has {MIN_LEN} to {MAX_VALUE_LEN} bytes"
            )));
        }
        Ok(Self { method, key, value })
    }

    /// The member of `ext` for this token.
    pub(crate) fn member(&self, token: &Bound<'_>) -> Value {
        let digest = self.key.digest(token, self.method, self.value);
        json!({ "m": self.method, "kid": self.key.kid.as_str(), "h": base64url::encode(&digest) })
    }
}

impl fmt::Debug for Factor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Factor")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

fn check_method(method: &str) -> Result<(), Error> {
    let lower = method.to_ascii_lowercase();
    if !(1..=32).contains(&method.len()) || !method.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::Config(
            "a factor's method has 1 to 32 printable ASCII characters".to_owned(),
        ));
    }
    if LOW_ENTROPY.contains(&lower.as_str())
        || LOW_ENTROPY_PARTS.iter().any(|part| lower.contains(part))
    {
        return Err(Error::Config(format!(
            "`{lower}` is no method for a secret of 128 bits: put it into `amr`"
        )));
    }
    Ok(())
}

/// What a factor's digest is bound to.
pub(crate) struct Bound<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) token_id: &'a str,
}

/// The factor keys that a verifier knows.
#[derive(Debug, Default)]
pub(crate) struct FactorKeys(HashMap<KeyId, FactorKey>);

impl FactorKeys {
    pub(crate) fn add(&mut self, key: FactorKey) -> Result<(), Error> {
        let kid = key.kid.clone();
        match self.0.insert(kid.clone(), key) {
            None => Ok(()),
            Some(_) => Err(Error::Config(format!("two factor keys are named `{kid}`"))),
        }
    }

    /// Checks the value that came beside a token against what `ext` says, if it says anything. In constant time as to
    /// the value.
    pub(crate) fn check(
        &self,
        ext: &Map<String, Value>,
        token: &Bound<'_>,
        value: Option<&[u8]>,
    ) -> Result<(), Error> {
        let Some(member) = ext.get(MEMBER) else {
            return Ok(());
        };
        let wrong = || Error::ClaimType {
            claim: "ext.factor",
        };
        let text = |name| member.get(name).and_then(Value::as_str).ok_or_else(wrong);
        let (method, kid, digest) = (text("m")?, text("kid")?, text("h")?);
        if member.as_object().is_none_or(|members| members.len() != 3) {
            return Err(wrong());
        }
        let mut wanted = [0u8; 32];
        base64url::decode_exact(digest, &mut wanted).ok_or_else(wrong)?;
        // Whatever the issuer was told, a digest over a value that can be guessed is not taken.
        check_method(method).map_err(|_| wrong())?;
        let value = value.ok_or(Error::ProofMissing { what: WHAT })?;
        let mismatch = || Error::ProofMismatch { what: WHAT };
        let key = self.0.get(kid).ok_or_else(mismatch)?;
        if !(MIN_LEN..=MAX_VALUE_LEN).contains(&value.len()) {
            return Err(mismatch());
        }
        let digest = key.digest(token, method, value);
        bool::from(digest.ct_eq(&wanted))
            .then_some(())
            .ok_or_else(mismatch)
    }
}
