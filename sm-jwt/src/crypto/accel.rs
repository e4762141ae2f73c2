//! The backend of feature `accel`: `sm-accel`, constant-time for whatever is secret, in lanes where the CPU has
//! them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use sm_accel::sm2::{
    PreparedKey, PublicKey, SecretKey, Signature, SigningKey, TableSize, VerifyWith, VerifyingKey,
};
use zeroize::Zeroizing;

use super::random::fill_random;
use crate::error::Error;

/// Length of an uncompressed point, 04 ‖ x ‖ y.
pub(crate) const POINT_LEN: usize = PublicKey::LEN;
/// Length of a raw signature, r ‖ s.
pub(crate) const SIGNATURE_LEN: usize = Signature::LEN;

/// After this many verifications a key gets tables: making them costs about as much as ten verifications.
const PREPARE_AFTER: u32 = 32;

/// SM3 over the concatenation of `parts`.
pub(crate) fn sm3(parts: &[&[u8]]) -> [u8; 32] {
    sm_accel::sm3::hash_parts(parts)
}

/// e = SM3(Z ‖ M) of every item, in lanes.
fn digests<'a>(items: impl Iterator<Item = (&'a [u8; 32], &'a [u8])>) -> Vec<[u8; 32]> {
    let parts: Vec<[&[u8]; 2]> = items.map(|(z, message)| [&z[..], message]).collect();
    let messages: Vec<&[&[u8]]> = parts.iter().map(|parts| &parts[..]).collect();
    sm_accel::sm3::hash_parts_many(&messages)
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

    /// Z = SM3(ENTL ‖ id ‖ a ‖ b ‖ xG ‖ yG ‖ xA ‖ yA), GM/T 0003.2 section 5.5.
    ///
    /// `None` when the user id is longer than its 16-bit length in bits can say.
    pub(crate) fn z(&self, user_id: &[u8]) -> Option<[u8; 32]> {
        self.0.key.public_key().z(user_id).ok()
    }

    fn verify_with(&self) -> VerifyWith<'_> {
        let point = &*self.0;
        if let Some(tables) = point.tables.get() {
            return tables.into();
        }
        if point.used.fetch_add(1, Ordering::Relaxed) < PREPARE_AFTER {
            return (&point.key).into();
        }
        point
            .tables
            .get_or_init(|| point.key.prepare(TableSize::Medium))
            .into()
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
    /// The signer's Z.
    pub(crate) z: &'a [u8; 32],
    pub(crate) message: &'a [u8],
}

/// SM2 signatures r ‖ s (GM/T 0003.2 section 6.1), one result an item, with one inversion for all nonce points.
///
/// k comes from HMAC-DRBG-SM3 over d, e and 32 fresh random bytes: a repeated or poor random value alone does not
/// repeat k.
pub(crate) fn sign_many(items: &[SignItem<'_>]) -> Vec<Result<[u8; SIGNATURE_LEN], Error>> {
    let mut entropy = Zeroizing::new(vec![[0u8; 32]; items.len()]);
    for entropy in entropy.iter_mut() {
        if fill_random(entropy).is_err() {
            return items.iter().map(|_| Err(Error::Random)).collect();
        }
    }
    sign_many_with_entropy(items, &entropy)
}

pub(super) fn sign_many_with_entropy(
    items: &[SignItem<'_>],
    entropy: &[[u8; 32]],
) -> Vec<Result<[u8; SIGNATURE_LEN], Error>> {
    // A1, A2: e = SM3(Z ‖ M)
    let digests = digests(items.iter().map(|item| (item.z, item.message)));
    let items: Vec<_> = items
        .iter()
        .zip(&digests)
        .zip(entropy)
        .map(|((item, e), entropy)| {
            sm_accel::sm2::SignItem::prehash(&item.key.0, e).with_entropy(entropy)
        })
        .collect();
    sm_accel::sm2::sign_many(&items)
        .into_iter()
        .map(|signature| signature.map(|s| s.to_bytes()).map_err(|_| Error::Random))
        .collect()
}

/// One signature to check.
pub(crate) struct VerifyItem<'a> {
    pub(crate) key: &'a PublicPoint,
    /// The signer's Z.
    pub(crate) z: &'a [u8; 32],
    pub(crate) message: &'a [u8],
    /// r ‖ s.
    pub(crate) signature: &'a [u8; SIGNATURE_LEN],
}

/// Checks SM2 signatures (GM/T 0003.2 section 7.1), one answer an item.
pub(crate) fn verify_many(items: &[VerifyItem<'_>]) -> Vec<bool> {
    // B3, B4: e = SM3(Z ‖ M)
    let digests = digests(items.iter().map(|item| (item.z, item.message)));
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
