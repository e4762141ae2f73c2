//! `cnf`: what a token is bound to, beyond whoever holds it (RFC 7800).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use subtle::ConstantTimeEq as _;

use crate::base64url;
use crate::crypto::{sha256, sm3};
use crate::error::Error;
use crate::json::{Fault, Guard, Seen};
use crate::keys::VerifyingKey;

/// What a token is bound to. All that stands in it must match.
///
/// The members that other specifications define stay what they are there, on SHA-256; the forms on SM3 have names of their
/// own.
///
/// | member | over | hash |
/// |---|---|---|
/// | `x5t#S256` (RFC 8705) | the client certificate of mutual TLS, in DER | SHA-256 |
/// | `x5t#SM3` | the same | SM3 |
/// | `jkt` (RFC 9449) | the thumbprint of the key that signs DPoP proofs | SHA-256 |
/// | `jkt#SM3` | the same | SM3 |
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Confirmation {
    certificate_sha256: Option<[u8; 32]>,
    certificate_sm3: Option<[u8; 32]>,
    key_sha256: Option<[u8; 32]>,
    key_sm3: Option<[u8; 32]>,
    /// A member that this crate cannot check.
    unknown: bool,
}

const X5T_S256: &str = "x5t#S256";
const X5T_SM3: &str = "x5t#SM3";
const JKT: &str = "jkt";
const JKT_SM3: &str = "jkt#SM3";

impl Confirmation {
    /// Binds to a client certificate, given in DER, by both hashes.
    #[must_use]
    pub fn certificate(der: &[u8]) -> Self {
        Self {
            certificate_sha256: Some(sha256(&[der])),
            certificate_sm3: Some(sm3(&[der])),
            ..Self::default()
        }
    }

    /// Binds to a key that signs DPoP proofs, by both hashes.
    #[must_use]
    pub fn dpop_key(key: &VerifyingKey) -> Self {
        Self {
            key_sha256: Some(key.thumbprint_sha256_bytes()),
            key_sm3: Some(key.thumbprint_sm3_bytes()),
            ..Self::default()
        }
    }

    /// Binds to what `other` binds to as well. Two different certificates, or two keys, are more than a token can name: such a
    /// confirmation is not signed.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let mut conflict = false;
        let mut both = |mine: Option<[u8; 32]>, others: Option<[u8; 32]>| {
            conflict |= matches!((mine, others), (Some(mine), Some(others)) if mine != others);
            mine.or(others)
        };
        Self {
            certificate_sha256: both(self.certificate_sha256, other.certificate_sha256),
            certificate_sm3: both(self.certificate_sm3, other.certificate_sm3),
            key_sha256: both(self.key_sha256, other.key_sha256),
            key_sm3: both(self.key_sm3, other.key_sm3),
            unknown: self.unknown | other.unknown | conflict,
        }
    }

    /// Whether it names a client certificate.
    #[must_use]
    pub fn binds_certificate(&self) -> bool {
        self.certificate_sha256.is_some() || self.certificate_sm3.is_some()
    }

    /// Whether it names a key for DPoP proofs.
    #[must_use]
    pub fn binds_dpop_key(&self) -> bool {
        self.key_sha256.is_some() || self.key_sm3.is_some()
    }

    /// Whether it has a member that is checked nowhere, or none at all.
    pub(crate) fn is_unknown(&self) -> bool {
        self.unknown || self.is_empty()
    }

    /// Whether it has no member at all.
    pub(crate) fn is_empty(&self) -> bool {
        !(self.unknown || self.binds_certificate() || self.binds_dpop_key())
    }

    /// Whether `der` is the certificate that it names, if it names one.
    pub(crate) fn check_certificate(&self, der: Option<&[u8]>) -> Result<(), Error> {
        const WHAT: &str = "certificate";
        if !self.binds_certificate() {
            return Ok(());
        }
        let der = der.ok_or(Error::ProofMissing { what: WHAT })?;
        let holds = same(&self.certificate_sha256, || sha256(&[der]))
            & same(&self.certificate_sm3, || sm3(&[der]));
        holds
            .then_some(())
            .ok_or(Error::ProofMismatch { what: WHAT })
    }

    /// Whether `key` is the key that it names, if it names one.
    pub(crate) fn check_dpop_key(&self, key: &VerifyingKey) -> Result<(), Error> {
        let holds = same(&self.key_sha256, || key.thumbprint_sha256_bytes())
            & same(&self.key_sm3, || key.thumbprint_sm3_bytes());
        holds
            .then_some(())
            .ok_or(Error::ProofMismatch { what: "DPoP key" })
    }
}

/// Whether a digest is the one that is wanted, if one is.
fn same(wanted: &Option<[u8; 32]>, digest: impl FnOnce() -> [u8; 32]) -> bool {
    wanted
        .as_ref()
        .is_none_or(|wanted| bool::from(wanted.ct_eq(&digest())))
}

impl Serialize for Confirmation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, digest) in [
            (X5T_S256, &self.certificate_sha256),
            (X5T_SM3, &self.certificate_sm3),
            (JKT, &self.key_sha256),
            (JKT_SM3, &self.key_sm3),
        ] {
            if let Some(digest) = digest {
                map.serialize_entry(name, &base64url::encode(digest))?;
            }
        }
        map.end()
    }
}

/// Shows what kinds of binding there are.
impl fmt::Debug for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirmation")
            .field("certificate", &self.binds_certificate())
            .field("dpop_key", &self.binds_dpop_key())
            .field("unknown", &self.unknown)
            .finish()
    }
}

/// Reads the member `cnf` of a payload.
pub(crate) struct ConfirmationSeed<'g, 'l>(pub(crate) &'g Guard<'l>);

impl<'de> DeserializeSeed<'de> for ConfirmationSeed<'_, '_> {
    type Value = Confirmation;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let guard = self.0;
        deserializer
            .deserialize_map(self)
            .map_err(|_| guard.fail(Fault::Type("cnf")))
    }
}

impl<'de> Visitor<'de> for ConfirmationSeed<'_, '_> {
    type Value = Confirmation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let guard = self.0;
        guard.enter(2)?;
        let digest = |map: &mut A| {
            let text = map.next_value_seed(guard.string("cnf"))?;
            let mut digest = [0u8; 32];
            base64url::decode_exact(&text, &mut digest)
                .ok_or_else(|| guard.fail(Fault::Type("cnf")))?;
            Ok(Some(digest))
        };
        let mut seen = Seen::default();
        let mut cnf = Confirmation::default();
        while let Some(name) = guard.next_name(&mut map, &mut seen)? {
            match &*name {
                X5T_S256 => cnf.certificate_sha256 = digest(&mut map)?,
                X5T_SM3 => cnf.certificate_sm3 = digest(&mut map)?,
                JKT => cnf.key_sha256 = digest(&mut map)?,
                JKT_SM3 => cnf.key_sm3 = digest(&mut map)?,
                _ => {
                    map.next_value_seed(guard.skip(3))?;
                    cnf.unknown = true;
                }
            }
        }
        Ok(cnf)
    }
}
