//! The public and the private half of an SM2 key.

// The operators here work on scalars modulo n, which cannot overflow.
#![allow(clippy::arithmetic_side_effects)]

use sm2::elliptic_curve::Group as _;
use sm2::elliptic_curve::ff::PrimeField as _;
use sm2::elliptic_curve::sec1::{FromSec1Point as _, ToSec1Point as _};
use sm2::{AffinePoint, FieldBytes, ProjectivePoint, Scalar};
use zeroize::{Zeroize as _, Zeroizing};

use crate::crypto::curve::POINT_LEN;
use crate::crypto::random::fill_random;
use crate::error::Error;

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
