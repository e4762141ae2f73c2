//! SM2 keys and their documents: PKCS#8, SPKI and SEC1, as DER and PEM.

use std::fmt;

use zeroize::Zeroizing;

use crate::base64url;
use crate::crypto::{PublicPoint, SecretScalar, sm3};
use crate::der::{self, Reader};
use crate::error::Error;
use crate::pem;

/// 1.2.840.10045.2.1, id-ecPublicKey.
const OID_EC_PUBLIC_KEY: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
/// 1.2.156.10197.1.301, the curve sm2p256v1 (GM/T 0006).
const OID_SM2: &[u8] = &[0x2A, 0x81, 0x1C, 0xCF, 0x55, 0x01, 0x82, 0x2D];

const PKCS8: &str = "PKCS#8 private key";
const SEC1: &str = "SEC1 private key";
const SPKI: &str = "SPKI public key";
const POINT: &str = "SEC1 public key";

/// An SM2 private key, d in [1, n-2], wiped on drop.
///
/// It has no `Clone`: share it through an [`Arc`](std::sync::Arc) or the [`Signer`](crate::Signer)
/// that owns it.
pub struct SigningKey {
    secret: SecretScalar,
    public: VerifyingKey,
}

impl SigningKey {
    /// A new key from the operating system's random generator.
    ///
    /// # Errors
    /// [`Error::Random`] when the generator fails.
    pub fn generate() -> Result<Self, Error> {
        Self::from_secret(SecretScalar::generate()?, "generated key")
    }

    /// Reads a PKCS#8 `PrivateKeyInfo` or `OneAsymmetricKey` (RFC 5958) in DER, not encrypted.
    ///
    /// # Errors
    /// [`Error::WrongAlgorithm`] for another algorithm or curve, [`Error::Key`] for a malformed
    /// document, a scalar outside [1, n-2], or a public key inside that is not the private one's.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, Error> {
        let malformed = || Error::Key {
            what: PKCS8,
            why: "it is not a DER PrivateKeyInfo",
        };
        let mut outer = Reader::new(der);
        let mut info = outer.sequence().ok_or_else(malformed)?;
        outer.finish().ok_or_else(malformed)?;
        let version = info.value(der::INTEGER).ok_or_else(malformed)?;
        read_algorithm(&mut info, PKCS8)?;
        let inner = info.value(der::OCTET_STRING).ok_or_else(malformed)?;
        // Attributes say nothing that matters here.
        info.optional(der::CONTEXT_0).ok_or_else(malformed)?;
        let public = info
            .optional(der::CONTEXT_1_PRIMITIVE)
            .ok_or_else(malformed)?;
        info.finish().ok_or_else(malformed)?;
        match (version, public) {
            ([0], None) | ([1], Some(_)) => {}
            _ => return Err(malformed()),
        }
        let key = Self::read_sec1(inner, PKCS8)?;
        if let Some(public) = public {
            key.check_public(der::whole_bytes(public).ok_or_else(malformed)?, PKCS8)?;
        }
        Ok(key)
    }

    /// Reads a `PRIVATE KEY` block.
    ///
    /// # Errors
    /// As [`from_pkcs8_der`](Self::from_pkcs8_der), and [`Error::Key`] for malformed PEM, more than
    /// one key or an encrypted one.
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, Error> {
        Self::from_pkcs8_der(&pem::decode(pem, &["PRIVATE KEY"], PKCS8)?)
    }

    /// Reads a SEC1 `ECPrivateKey` (RFC 5915) in DER. The curve, where it is named, must be SM2.
    ///
    /// # Errors
    /// As [`from_pkcs8_der`](Self::from_pkcs8_der).
    pub fn from_sec1_der(der: &[u8]) -> Result<Self, Error> {
        Self::read_sec1(der, SEC1)
    }

    /// Reads an `EC PRIVATE KEY` block, or `SM2 PRIVATE KEY` as OpenSSL 3 labels it; a block of
    /// parameters before it is passed over.
    ///
    /// # Errors
    /// As [`from_pkcs8_pem`](Self::from_pkcs8_pem).
    pub fn from_sec1_pem(pem: &str) -> Result<Self, Error> {
        let der = pem::decode(pem, &["EC PRIVATE KEY", "SM2 PRIVATE KEY"], SEC1)?;
        Self::from_sec1_der(&der)
    }

    /// Writes a PKCS#8 `PrivateKeyInfo` with the public key inside, as OpenSSL does.
    ///
    /// The bytes are the key: keep them out of logs, and let the wrapper wipe them.
    #[must_use]
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        // The algorithm beside it names the curve.
        let sec1 = self.sec1(&[]);
        let octets = Zeroizing::new(der::tlv(der::OCTET_STRING, &[&sec1]));
        Zeroizing::new(der::tlv(
            der::SEQUENCE,
            &[&der::tlv(der::INTEGER, &[&[0]]), &algorithm(), &octets],
        ))
    }

    /// Writes a SEC1 `ECPrivateKey` (RFC 5915) with the curve's name and the public key inside.
    ///
    /// The bytes are the key, as those of [`to_pkcs8_der`](Self::to_pkcs8_der) are.
    #[must_use]
    pub fn to_sec1_der(&self) -> Zeroizing<Vec<u8>> {
        let curve = der::tlv(der::OBJECT_IDENTIFIER, &[OID_SM2]);
        self.sec1(&der::tlv(der::CONTEXT_0, &[&curve]))
    }

    /// Writes an `EC PRIVATE KEY` block.
    #[must_use]
    pub fn to_sec1_pem(&self) -> Zeroizing<String> {
        pem::encode("EC PRIVATE KEY", &self.to_sec1_der())
    }

    fn sec1(&self, parameters: &[u8]) -> Zeroizing<Vec<u8>> {
        let d = self.secret.to_bytes();
        let public = der::tlv(der::BIT_STRING, &[&[0], self.public.point.sec1()]);
        let d = Zeroizing::new(der::tlv(der::OCTET_STRING, &[&*d]));
        Zeroizing::new(der::tlv(
            der::SEQUENCE,
            &[
                &der::tlv(der::INTEGER, &[&[1]]),
                &d,
                parameters,
                &der::tlv(der::CONTEXT_1, &[&public]),
            ],
        ))
    }

    /// Writes a `PRIVATE KEY` block.
    #[must_use]
    pub fn to_pkcs8_pem(&self) -> Zeroizing<String> {
        pem::encode("PRIVATE KEY", &self.to_pkcs8_der())
    }

    /// The public half.
    #[must_use]
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    pub(crate) fn secret(&self) -> &SecretScalar {
        &self.secret
    }

    /// Takes a big-endian scalar, and the public key that the document names beside it.
    pub(crate) fn from_parts(
        d: &[u8; 32],
        public: Option<&[u8]>,
        what: &'static str,
    ) -> Result<Self, Error> {
        let secret = SecretScalar::from_bytes(d).ok_or(Error::Key {
            what,
            why: "the private scalar is not in [1, n-2]",
        })?;
        let key = Self::from_secret(secret, what)?;
        if let Some(public) = public {
            key.check_public(public, what)?;
        }
        Ok(key)
    }

    fn from_secret(secret: SecretScalar, what: &'static str) -> Result<Self, Error> {
        let point = secret.public_point().ok_or(Error::Key {
            what,
            why: "the private scalar has no public key",
        })?;
        Ok(Self {
            secret,
            public: VerifyingKey { point },
        })
    }

    fn check_public(&self, sec1: &[u8], what: &'static str) -> Result<(), Error> {
        match PublicPoint::from_sec1(sec1) {
            Some(point) if point.sec1() == self.public.point.sec1() => Ok(()),
            _ => Err(Error::Key {
                what,
                why: "the public key inside is not the private key's",
            }),
        }
    }

    fn read_sec1(der: &[u8], what: &'static str) -> Result<Self, Error> {
        let malformed = || Error::Key {
            what,
            why: "it is not a DER ECPrivateKey with a scalar of 32 bytes",
        };
        let mut outer = Reader::new(der);
        let mut key = outer.sequence().ok_or_else(malformed)?;
        outer.finish().ok_or_else(malformed)?;
        if key.value(der::INTEGER) != Some(&[1]) {
            return Err(malformed());
        }
        let d: &[u8; 32] = key
            .value(der::OCTET_STRING)
            .and_then(|d| d.try_into().ok())
            .ok_or_else(malformed)?;
        if let Some(parameters) = key.optional(der::CONTEXT_0).ok_or_else(malformed)? {
            let mut parameters = Reader::new(parameters);
            read_oid(&mut parameters, OID_SM2, "the curve", SM2_NAME, what)?;
            parameters.finish().ok_or_else(malformed)?;
        }
        let public = match key.optional(der::CONTEXT_1).ok_or_else(malformed)? {
            Some(public) => {
                let mut public = Reader::new(public);
                let bytes = public.bit_string().ok_or_else(malformed)?;
                public.finish().ok_or_else(malformed)?;
                Some(bytes)
            }
            None => None,
        };
        key.finish().ok_or_else(malformed)?;
        Self::from_parts(d, public, what)
    }
}

/// Shows the public key only.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// An SM2 public key: a point on the curve, not infinity.
#[derive(Clone)]
pub struct VerifyingKey {
    point: PublicPoint,
}

impl VerifyingKey {
    /// Reads a `SubjectPublicKeyInfo` (RFC 5480) in DER.
    ///
    /// # Errors
    /// [`Error::WrongAlgorithm`] for another algorithm or curve, [`Error::Key`] for a malformed
    /// document or a point that is not on the curve.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, Error> {
        let malformed = || Error::Key {
            what: SPKI,
            why: "it is not a DER SubjectPublicKeyInfo",
        };
        let mut outer = Reader::new(der);
        let mut info = outer.sequence().ok_or_else(malformed)?;
        outer.finish().ok_or_else(malformed)?;
        read_algorithm(&mut info, SPKI)?;
        let point = info.bit_string().ok_or_else(malformed)?;
        info.finish().ok_or_else(malformed)?;
        Self::from_point(point, SPKI)
    }

    /// Reads a `PUBLIC KEY` block.
    ///
    /// # Errors
    /// As [`from_spki_der`](Self::from_spki_der), and [`Error::Key`] for malformed PEM.
    pub fn from_spki_pem(pem: &str) -> Result<Self, Error> {
        Self::from_spki_der(&pem::decode(pem, &["PUBLIC KEY"], SPKI)?)
    }

    /// Reads a point: 65 bytes 04 ‖ x ‖ y, or 33 bytes 02 ‖ x or 03 ‖ x.
    ///
    /// # Errors
    /// [`Error::Key`] for any other form and for a point that is not on the curve.
    pub fn from_sec1_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Self::from_point(bytes, POINT)
    }

    /// Writes a `SubjectPublicKeyInfo` with the uncompressed point.
    #[must_use]
    pub fn to_spki_der(&self) -> Vec<u8> {
        let point = der::tlv(der::BIT_STRING, &[&[0], self.point.sec1()]);
        der::tlv(der::SEQUENCE, &[&algorithm(), &point])
    }

    /// Writes a `PUBLIC KEY` block.
    #[must_use]
    pub fn to_spki_pem(&self) -> String {
        pem::encode("PUBLIC KEY", &self.to_spki_der()).to_string()
    }

    /// The uncompressed point, 04 ‖ x ‖ y.
    #[must_use]
    pub fn to_sec1_bytes(&self) -> [u8; 65] {
        *self.point.sec1()
    }

    pub(crate) fn point(&self) -> &PublicPoint {
        &self.point
    }

    pub(crate) fn from_point(bytes: &[u8], what: &'static str) -> Result<Self, Error> {
        let point = PublicPoint::from_sec1(bytes).ok_or(Error::Key {
            what,
            why: "the public key is not a point on the SM2 curve",
        })?;
        Ok(Self { point })
    }
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.point.sec1() == other.point.sec1()
    }
}

impl Eq for VerifyingKey {}

impl std::hash::Hash for VerifyingKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.point.sec1().hash(state);
    }
}

/// Shows a short fingerprint: the first 12 characters of base64url(SM3(point)).
impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fingerprint = base64url::encode(&sm3(&[self.point.sec1()]));
        let short = fingerprint.get(..12).unwrap_or_default();
        f.debug_tuple("VerifyingKey").field(&short).finish()
    }
}

const SM2_NAME: &str = "1.2.156.10197.1.301 (sm2p256v1)";

/// `SEQUENCE { id-ecPublicKey, sm2p256v1 }`.
fn algorithm() -> Vec<u8> {
    der::tlv(
        der::SEQUENCE,
        &[
            &der::tlv(der::OBJECT_IDENTIFIER, &[OID_EC_PUBLIC_KEY]),
            &der::tlv(der::OBJECT_IDENTIFIER, &[OID_SM2]),
        ],
    )
}

fn read_algorithm(info: &mut Reader<'_>, what: &'static str) -> Result<(), Error> {
    let malformed = || Error::Key {
        what,
        why: "it has no algorithm identifier with a named curve",
    };
    let mut algorithm = info.sequence().ok_or_else(malformed)?;
    read_oid(
        &mut algorithm,
        OID_EC_PUBLIC_KEY,
        "the algorithm",
        "1.2.840.10045.2.1 (id-ecPublicKey)",
        what,
    )?;
    read_oid(&mut algorithm, OID_SM2, "the curve", SM2_NAME, what)?;
    algorithm.finish().ok_or_else(malformed)
}

fn read_oid(
    reader: &mut Reader<'_>,
    wanted: &[u8],
    field: &'static str,
    expected: &'static str,
    what: &'static str,
) -> Result<(), Error> {
    let found = reader.value(der::OBJECT_IDENTIFIER).ok_or(Error::Key {
        what,
        why: "it names no algorithm or curve by an object identifier",
    })?;
    if found != wanted {
        return Err(Error::WrongAlgorithm {
            what,
            field,
            found: der::dotted(found),
            expected,
        });
    }
    Ok(())
}
