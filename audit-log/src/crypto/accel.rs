//! The backend of feature `accel`: `sm-accel`, constant-time for whatever is secret, in lanes where the CPU has
//! them. PKCS#8 and SubjectPublicKeyInfo stay RustCrypto's.

use sm_accel::sm2::{Signature, SigningKey, VerifyItem, VerifyingKey};
use sm_accel::sm3::HmacJob;
use sm2::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, LineEnding,
};
use zeroize::{Zeroize, Zeroizing};

use super::hash::{Hash, USER_ID};
use crate::error::{Error, RandomError};
use crate::random::Randomness;

/// How many candidates for a private key may fall out of range, one in 2^32 each, before the generator is held
/// broken.
const MAX_CANDIDATES: usize = 64;

/// SM3 (GB/T 32905) of the concatenation of `parts`.
pub(crate) fn sm3(parts: &[&[u8]]) -> Hash {
    sm_accel::sm3::hash_parts(parts)
}

/// SM3 of every message, each given as its parts.
pub(crate) fn sm3_many(messages: &[&[&[u8]]]) -> Vec<Hash> {
    sm_accel::sm3::hash_parts_many(messages)
}

/// An HMAC-SM3 key as its midstates, wiped on drop.
pub(crate) struct HmacKey(sm_accel::sm3::HmacKey);

impl HmacKey {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(sm_accel::sm3::HmacKey::new(key))
    }
}

/// HMAC-SM3 of every message, each given as its parts.
pub(crate) fn hmac_many(key: &HmacKey, messages: &[&[&[u8]]]) -> Vec<Hash> {
    let jobs: Vec<_> = messages
        .iter()
        .map(|parts| HmacJob { key: &key.0, parts })
        .collect();
    sm_accel::sm3::hmac_many(&jobs)
}

/// An SM2 private key, d in [1, n-2]; wiped on drop.
pub(crate) struct SecretKey(SigningKey);

impl SecretKey {
    /// A fresh key.
    pub(crate) fn generate(random: &dyn Randomness) -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        for _ in 0..MAX_CANDIDATES {
            random.fill(&mut *bytes)?;
            if let Ok(secret) = sm_accel::sm2::SecretKey::from_bytes(&bytes) {
                return Ok(Self(SigningKey::new(secret)));
            }
        }
        Err(RandomError::new("no usable private key among many candidates").into())
    }

    /// Reads PKCS#8 PEM.
    pub(crate) fn from_pkcs8_pem(pem: &str) -> Result<Self, Error> {
        let inner = sm2::SecretKey::from_pkcs8_pem(pem)
            .map_err(|_| Error::Key("not an SM2 private key in PKCS#8 PEM".into()))?;
        let mut repr = inner.to_bytes();
        let bytes = Zeroizing::new(<[u8; 32]>::from(repr));
        repr.as_mut_slice().zeroize();
        // GM/T 0003.1 6.1: d in [1, n-2]; what PKCS#8 reads is in [1, n-1].
        let secret = sm_accel::sm2::SecretKey::from_bytes(&bytes)
            .map_err(|_| Error::Key("SM2 private key is n-1".into()))?;
        Ok(Self(SigningKey::new(secret)))
    }

    /// PKCS#8 PEM.
    pub(crate) fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, Error> {
        let encode = |_| Error::Key("cannot encode the private key".into());
        sm2::SecretKey::from_slice(&*self.0.secret_key().to_bytes())
            .map_err(|_| Error::Key("cannot encode the private key".into()))?
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(encode)
    }

    /// The public half.
    pub(crate) fn public_key(&self) -> Result<PublicKey, Error> {
        Ok(PublicKey(self.0.verifying_key().clone()))
    }

    /// Signs `message` (SM2 with SM3, user id 1234567812345678): r || s, 32 bytes each.
    ///
    /// k comes from HMAC-DRBG-SM3 over d, e and 32 fresh random bytes, so that neither a weak
    /// generator nor a repeated one gives the key away.
    pub(crate) fn sign(
        &self,
        message: &[u8],
        random: &dyn Randomness,
    ) -> Result<[u8; 64], RandomError> {
        let e = self.0.verifying_key().digest(&[message]);
        let mut fresh = Zeroizing::new([0u8; 32]);
        random.fill(&mut *fresh)?;
        Ok(self.0.sign_prehash_with_entropy(&e, &fresh).to_bytes())
    }
}

/// An SM2 public key: on the curve, not the point at infinity.
#[derive(Clone)]
pub(crate) struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads SubjectPublicKeyInfo PEM.
    pub(crate) fn from_spki_pem(pem: &str) -> Result<Self, Error> {
        let inner = sm2::PublicKey::from_public_key_pem(pem)
            .map_err(|_| Error::Key("not an SM2 public key in SubjectPublicKeyInfo PEM".into()))?;
        let key = sm_accel::sm2::PublicKey::from_sec1(&inner.to_sec1_bytes())
            .map_err(|_| Error::Key("not usable as an SM2 verifying key".into()))?;
        VerifyingKey::with_user_id(key, USER_ID.as_bytes())
            .map(Self)
            .map_err(|_| Error::Key("user id is too long".into()))
    }

    /// SubjectPublicKeyInfo PEM.
    pub(crate) fn to_spki_pem(&self) -> Result<String, Error> {
        let encode = || Error::Key("cannot encode the public key".into());
        sm2::PublicKey::from_sec1_bytes(&self.0.public_key().to_sec1())
            .map_err(|_| encode())?
            .to_public_key_pem(LineEnding::LF)
            .map_err(|_| encode())
    }
}

/// One signature to check.
pub(crate) struct Signed<'a> {
    /// Whose signature it is said to be.
    pub(crate) key: &'a PublicKey,
    /// Over what.
    pub(crate) message: &'a [u8],
    /// r || s.
    pub(crate) signature: &'a [u8; 64],
}

/// Verifies each signature (GM/T 0003.2 7.1, B1 to B7): r and s in [1, n-1], r + s mod n not 0.
pub(crate) fn verify_many(items: &[Signed<'_>]) -> Vec<bool> {
    let signatures: Vec<_> = items
        .iter()
        .map(|item| Signature::from_bytes(item.signature).ok())
        .collect();
    let jobs: Vec<_> = items
        .iter()
        .zip(&signatures)
        .filter_map(|(item, signature)| {
            Some(VerifyItem::new(
                &item.key.0,
                item.message,
                signature.as_ref()?,
            ))
        })
        .collect();
    let mut results = sm_accel::sm2::verify_many(&jobs).into_iter();
    signatures
        .iter()
        .map(|signature| signature.is_some() && matches!(results.next(), Some(Ok(()))))
        .collect()
}
