//! The public and the private half of an SM2 key.

// The operators here work on scalars modulo n, which cannot overflow.
#![allow(clippy::arithmetic_side_effects)]

use sm2::elliptic_curve::Group as _;
use sm2::elliptic_curve::ff::PrimeField as _;
use sm2::elliptic_curve::sec1::{FromSec1Point as _, ToSec1Point as _};
use sm2::{AffinePoint, FieldBytes, ProjectivePoint, Scalar};
use zeroize::{Zeroize as _, Zeroizing};

use super::hash::sm3;
use crate::crypto::random::fill_random;
use crate::error::Error;

/// Length of an uncompressed point, 04 ‖ x ‖ y.
pub(crate) const POINT_LEN: usize = 65;

/// The curve constants that Z hashes, a ‖ b ‖ xG ‖ yG (GM/T 0003.5 section 4).
const CURVE_CONSTANTS: [u8; 128] = *b"\
\xFF\xFF\xFF\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\
\xFF\xFF\xFF\xFF\x00\x00\x00\x00\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFC\
\x28\xE9\xFA\x9E\x9D\x9F\x5E\x34\x4D\x5A\x9E\x4B\xCF\x65\x09\xA7\
\xF3\x97\x89\xF5\x15\xAB\x8F\x92\xDD\xBC\xBD\x41\x4D\x94\x0E\x93\
\x32\xC4\xAE\x2C\x1F\x19\x81\x19\x5F\x99\x04\x46\x6A\x39\xC9\x94\
\x8F\xE3\x0B\xBF\xF2\x66\x0B\xE1\x71\x5A\x45\x89\x33\x4C\x74\xC7\
\xBC\x37\x36\xA2\xF4\xF6\x77\x9C\x59\xBD\xCE\xE3\x6B\x69\x21\x53\
\xD0\xA9\x87\x7C\xC6\x2A\x47\x40\x02\xDF\x32\xE5\x21\x39\xF0\xA0";

/// A public key: a point on the curve, not infinity.
#[derive(Clone)]
pub(crate) struct PublicPoint {
    pub(super) point: ProjectivePoint,
    sec1: [u8; POINT_LEN],
}

impl PublicPoint {
    /// Reads 04 ‖ x ‖ y, 02 ‖ x or 03 ‖ x; `None` unless the point is on the curve.
    pub(crate) fn from_sec1(bytes: &[u8]) -> Option<Self> {
        // Only these three tags: no infinity, no hybrid or compact form.
        match (bytes.first()?, bytes.len()) {
            (4, POINT_LEN) | (2 | 3, 33) => {}
            _ => return None,
        }
        let affine = AffinePoint::from_sec1_bytes(bytes).ok()?;
        Self::from_affine(affine)
    }

    fn from_affine(affine: AffinePoint) -> Option<Self> {
        let point = ProjectivePoint::from(affine);
        if bool::from(point.is_identity()) {
            return None;
        }
        let sec1 = affine.to_sec1_point(false).as_bytes().try_into().ok()?;
        Some(Self { point, sec1 })
    }

    /// The uncompressed encoding.
    pub(crate) fn sec1(&self) -> &[u8; POINT_LEN] {
        &self.sec1
    }

    /// Z = SM3(ENTL ‖ id ‖ a ‖ b ‖ xG ‖ yG ‖ xA ‖ yA), GM/T 0003.2 section 5.5.
    ///
    /// `None` when the user id is longer than its 16-bit length in bits can say.
    pub(crate) fn z(&self, user_id: &[u8]) -> Option<[u8; 32]> {
        let entl = u16::try_from(user_id.len().checked_mul(8)?).ok()?;
        let (_, coordinates) = self.sec1.split_first()?;
        Some(sm3(&[
            &entl.to_be_bytes(),
            user_id,
            &CURVE_CONSTANTS,
            coordinates,
        ]))
    }
}

/// A private key d in [1, n-2], boxed so that moves leave no copies behind, wiped on drop.
pub(crate) struct SecretScalar(pub(super) Box<Secrets>);

pub(super) struct Secrets {
    pub(super) d: Zeroizing<Scalar>,
    /// (1 + d)^-1, as secret as d.
    pub(super) inverse: Zeroizing<Scalar>,
}

impl SecretScalar {
    /// Reads a big-endian scalar; `None` unless it lies in [1, n-2].
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let mut repr = FieldBytes::from(*bytes);
        let d = Option::<Scalar>::from(Scalar::from_repr(repr)).map(Zeroizing::new);
        repr.as_mut_slice().zeroize();
        let d = d?;
        // d = n-1 has no (1 + d)^-1: then the standard's signature does not exist.
        let inverse = Option::<Scalar>::from((*d + Scalar::ONE).invert()).map(Zeroizing::new)?;
        if bool::from(d.is_zero()) {
            return None;
        }
        Some(Self(Box::new(Secrets { d, inverse })))
    }

    /// A new key from the operating system's generator.
    pub(crate) fn generate() -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        // Each try fails with a probability near 2^-32; a generator that fails this often is broken.
        for _ in 0..16 {
            fill_random(&mut *bytes)?;
            if let Some(secret) = Self::from_bytes(&bytes) {
                return Ok(secret);
            }
        }
        Err(Error::Random)
    }

    /// The big-endian scalar.
    pub(crate) fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        let mut repr = self.0.d.to_repr();
        let mut out = Zeroizing::new([0u8; 32]);
        out.copy_from_slice(&repr);
        repr.as_mut_slice().zeroize();
        out
    }

    /// The public key [d]G. `None` cannot happen for d in [1, n-2].
    pub(crate) fn public_point(&self) -> Option<PublicPoint> {
        PublicPoint::from_affine(ProjectivePoint::mul_by_generator(&self.0.d).to_affine())
    }
}
