//! The backend of feature `accel`: `sm-accel`, constant-time for whatever is secret, in lanes where the CPU has
//! them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use sm_accel::sm2::{
    PreparedKey, PublicKey, SecretKey, Signature, SigningKey, TableSize, VerifyWith, VerifyingKey,
};
use sm3::digest::{FixedOutput as _, Update as _};
use zeroize::Zeroizing;

use super::curve::POINT_LEN;
use super::random::fill_random;
use crate::error::Error;
use crate::hash::HashAlgorithm;

/// Length of a raw signature, r ‖ s.
pub(crate) const SIGNATURE_LEN: usize = Signature::LEN;

/// After this many verifications a key gets tables: making them costs about as much as ten verifications.
const PREPARE_AFTER: u32 = 32;

/// SM3 over the concatenation of `parts`.
pub(crate) fn sm3(parts: &[&[u8]]) -> [u8; 32] {
    sm_accel::sm3::hash_parts(parts)
}

/// e = H(Z ‖ M).
fn digest(hash: HashAlgorithm, z: &[u8], message: &[u8]) -> [u8; 32] {
    match hash {
        HashAlgorithm::Sm3 => sm3(&[z, message]),
        HashAlgorithm::Sha256 => super::sha256::sha256(&[z, message]),
    }
}

/// SM3 over what comes in pieces.
pub(crate) struct Sm3Stream(sm_accel::sm3::Sm3);

impl Sm3Stream {
    pub(crate) fn new() -> Self {
        Self(sm_accel::sm3::Sm3::default())
    }

    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize_fixed().into()
    }
}

/// e = H(Z ‖ M) of every item, SM3 in lanes.
fn digests<'a>(
    items: impl Iterator<Item = (HashAlgorithm, &'a [u8], &'a [u8])> + Clone,
) -> Vec<[u8; 32]> {
    let parts: Vec<[&[u8]; 2]> = items.clone().map(|(_, z, message)| [z, message]).collect();
    if items.clone().any(|(hash, ..)| hash != HashAlgorithm::Sm3) {
        return items
            .zip(&parts)
            .map(|((hash, ..), [z, message])| digest(hash, z, message))
            .collect();
    }
    let messages: Vec<&[&[u8]]> = parts.iter().map(|parts| &parts[..]).collect();
    sm_accel::sm3::hash_parts_many(&messages)
}

/// An HMAC-SM3 key (GB/T 15852.2), wiped on drop.
pub(crate) struct MacKey(sm_accel::sm3::HmacKey);

impl MacKey {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(sm_accel::sm3::HmacKey::new(key))
    }

    /// HMAC-SM3 over the concatenation of `parts`.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.0.mac(parts)
    }
}

/// A public key: a point on the curve, not infinity.
#[derive(Clone)]
pub(crate) struct PublicPoint(Arc<Point>);

struct Point {
    key: VerifyingKey,
    sec1: [u8; POINT_LEN],
    used: AtomicU32,
    /// Multiples of the point (44 KiB), once the key has been used often.
    tables: OnceLock<PreparedKey>,
}

impl PublicPoint {
    /// Reads 04 ‖ x ‖ y, 02 ‖ x or 03 ‖ x; `None` unless the point is on the curve.
    pub(crate) fn from_sec1(bytes: &[u8]) -> Option<Self> {
        PublicKey::from_sec1(bytes).ok().map(Self::from_key)
    }

    fn from_key(key: PublicKey) -> Self {
        Self(Arc::new(Point {
            sec1: key.to_sec1(),
            key: VerifyingKey::new(key),
            used: AtomicU32::new(0),
            tables: OnceLock::new(),
        }))
    }

    /// The uncompressed encoding.
    pub(crate) fn sec1(&self) -> &[u8; POINT_LEN] {
        &self.0.sec1
    }

    fn verify_with(&self) -> VerifyWith<'_> {
        match self.tables() {
            Some(tables) => tables.into(),
            None => (&self.0.key).into(),
        }
    }

    /// The tables, once the key has been used often.
    fn tables(&self) -> Option<&PreparedKey> {
        let point = &*self.0;
        if let Some(tables) = point.tables.get() {
            return Some(tables);
        }
        if point.used.fetch_add(1, Ordering::Relaxed) < PREPARE_AFTER {
            return None;
        }
        Some(
            point
                .tables
                .get_or_init(|| point.key.prepare(TableSize::Medium)),
        )
    }
}

/// A private key d in [1, n-2] and (1 + d)^-1, wiped on drop.
pub(crate) struct SecretScalar(SigningKey);

impl SecretScalar {
    /// Reads a big-endian scalar; `None` unless it lies in [1, n-2].
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let secret = SecretKey::from_bytes(bytes).ok()?;
        Some(Self(SigningKey::new(secret)))
    }

    /// A new key from the operating system's generator.
    pub(crate) fn generate() -> Result<Self, Error> {
        let secret = SecretKey::generate().map_err(|_| Error::Random)?;
        Ok(Self(SigningKey::new(secret)))
    }

    /// The big-endian scalar.
    pub(crate) fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.0.secret_key().to_bytes()
    }

    /// The public key [d]G.
    pub(crate) fn public_point(&self) -> Option<PublicPoint> {
        Some(PublicPoint::from_key(*self.0.secret_key().public_key()))
    }
}

/// One message to sign.
pub(crate) struct SignItem<'a> {
    pub(crate) key: &'a SecretScalar,
    pub(crate) hash: HashAlgorithm,
    /// The signer's Z.
    pub(crate) z: &'a [u8; 32],
    pub(crate) message: &'a [u8],
}

/// The SM2 signature r ‖ s (GM/T 0003.2 section 6.1).
///
/// k comes from HMAC-DRBG-SM3 over d, e and 32 fresh random bytes: a repeated or poor random value alone does not
/// repeat k.
pub(crate) fn sign(item: &SignItem<'_>) -> Result<[u8; SIGNATURE_LEN], Error> {
    let mut entropy = Zeroizing::new([0u8; 32]);
    fill_random(&mut *entropy)?;
    Ok(sign_with_entropy(item, &entropy))
}

pub(super) fn sign_with_entropy(item: &SignItem<'_>, entropy: &[u8; 32]) -> [u8; SIGNATURE_LEN] {
    // A1, A2: e = H(Z ‖ M)
    let e = digest(item.hash, item.z, item.message);
    let signature = item.key.0.sign_prehash_with_entropy(&e, entropy);
    signature.to_bytes()
}

/// One signature to check.
pub(crate) struct VerifyItem<'a> {
    pub(crate) key: &'a PublicPoint,
    pub(crate) hash: HashAlgorithm,
    /// The signer's Z; what is hashed in front of the message.
    pub(crate) z: &'a [u8],
    pub(crate) message: &'a [u8],
    /// r ‖ s.
    pub(crate) signature: &'a [u8; SIGNATURE_LEN],
}

/// Checks one SM2 signature (GM/T 0003.2 section 7.1).
pub(crate) fn verify(item: &VerifyItem<'_>) -> bool {
    let Ok(signature) = Signature::from_bytes(item.signature) else {
        return false;
    };
    let e = digest(item.hash, item.z, item.message);
    let point = &*item.key.0;
    match item.key.tables() {
        Some(tables) => tables.verify_prehash(&e, &signature).is_ok(),
        None => point.key.verify_prehash(&e, &signature).is_ok(),
    }
}

/// Checks SM2 signatures (GM/T 0003.2 section 7.1), one answer an item.
pub(crate) fn verify_many(items: &[VerifyItem<'_>]) -> Vec<bool> {
    // One by itself needs no batch.
    if let [item] = items {
        return vec![verify(item)];
    }
    // B3, B4: e = H(Z ‖ M)
    let digests = digests(items.iter().map(|item| (item.hash, item.z, item.message)));
    // B1, B2: r, s in [1, n-1]
    let signatures: Vec<_> = items
        .iter()
        .map(|item| Signature::from_bytes(item.signature).ok())
        .collect();
    let jobs: Vec<_> = items
        .iter()
        .zip(&digests)
        .zip(&signatures)
        .filter_map(|((item, e), signature)| {
            Some(sm_accel::sm2::VerifyItem::prehash(
                item.key.verify_with(),
                e,
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
