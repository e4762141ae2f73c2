//! Signing (GM/T 0003.2 section 6.1), and where `k` comes from.

// The operators here work on scalars modulo n, which cannot overflow.
#![allow(clippy::arithmetic_side_effects)]

use sm2::elliptic_curve::Group as _;
use sm2::elliptic_curve::ff::PrimeField as _;
use sm2::elliptic_curve::ops::Reduce as _;
use sm2::elliptic_curve::point::AffineCoordinates as _;
use sm2::{FieldBytes, ProjectivePoint, Scalar};
use zeroize::{Zeroize as _, Zeroizing};

use super::hash::{digest, hmac_sm3};
use super::keys::SecretScalar;
use super::scalar::{SIGNATURE_LEN, reduce};
use crate::crypto::random::fill_random;
use crate::error::Error;
use crate::hash::HashAlgorithm;

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
/// k comes from HMAC-DRBG-SM3 (RFC 6979 section 3.6's form) over d, e and 32 fresh random bytes: a
/// repeated or poor random value alone does not repeat k.
pub(crate) fn sign(item: &SignItem<'_>) -> Result<[u8; SIGNATURE_LEN], Error> {
    let mut entropy = Zeroizing::new([0u8; 32]);
    fill_random(&mut *entropy)?;
    sign_with_entropy(item, &entropy)
}

pub(crate) fn sign_with_entropy(
    item: &SignItem<'_>,
    entropy: &[u8; 32],
) -> Result<[u8; SIGNATURE_LEN], Error> {
    // A1, A2: e = H(Z ‖ M)
    let e = reduce(&digest(item.hash, &[item.z, item.message]));
    let mut drbg = HmacDrbg::new(&item.key.to_bytes(), &e.to_repr().into(), entropy);
    // Every way back to A3 has a probability near 2^-256, rejection of k near 2^-32.
    for _ in 0..64 {
        // A3: k in [1, n-1]
        let mut candidate = FieldBytes::from(*drbg.next());
        let k = Option::<Scalar>::from(Scalar::from_repr(candidate)).map(Zeroizing::new);
        candidate.as_mut_slice().zeroize();
        let Some(k) = k.filter(|k| !bool::from(k.is_zero())) else {
            continue;
        };
        if let Some(signature) = sign_with_k(item.key, &e, &k) {
            return Ok(signature);
        }
    }
    Err(Error::Random)
}

/// Steps A4 to A7; `None` is "return to A3".
pub(super) fn sign_with_k(
    key: &SecretScalar,
    e: &Scalar,
    k: &Scalar,
) -> Option<[u8; SIGNATURE_LEN]> {
    // A4: (x1, y1) = [k]G
    let x1 = ProjectivePoint::mul_by_generator(k).to_affine().x();
    // A5: r = (e + x1) mod n; again if r = 0 or r + k = n
    let r = *e + Scalar::reduce(&x1);
    let r_plus_k = Zeroizing::new(r + *k);
    if bool::from(r.is_zero() | r_plus_k.is_zero()) {
        return None;
    }
    // A6: s = (1 + d)^-1 (k - r d) = (1 + d)^-1 (k + r) - r; again if s = 0
    let s = *key.0.inverse * *r_plus_k - r;
    if bool::from(s.is_zero()) {
        return None;
    }
    // A7
    let mut out = [0u8; SIGNATURE_LEN];
    let (left, right) = out.split_at_mut(32);
    left.copy_from_slice(&r.to_repr());
    right.copy_from_slice(&s.to_repr());
    Some(out)
}

/// HMAC_DRBG on SM3 (NIST SP 800-90A section 10.1.2), seeded as RFC 6979 section 3.2 does.
pub(super) struct HmacDrbg {
    k: Zeroizing<[u8; 32]>,
    v: Zeroizing<[u8; 32]>,
    used: bool,
}

impl HmacDrbg {
    pub(super) fn new(d: &[u8; 32], e: &[u8; 32], entropy: &[u8; 32]) -> Self {
        let mut k = Zeroizing::new([0u8; 32]);
        let mut v = Zeroizing::new([1u8; 32]);
        for round in [0u8, 1] {
            k = hmac_sm3(&*k, &[&*v, &[round], d, e, entropy]);
            v = hmac_sm3(&*k, &[&*v]);
        }
        Self { k, v, used: false }
    }

    /// The next 32 bytes; they stay in the generator and are wiped with it.
    pub(super) fn next(&mut self) -> &[u8; 32] {
        if self.used {
            self.k = hmac_sm3(&*self.k, &[&*self.v, &[0]]);
            self.v = hmac_sm3(&*self.k, &[&*self.v]);
        }
        self.used = true;
        self.v = hmac_sm3(&*self.k, &[&*self.v]);
        &self.v
    }
}
