//! Verification (GM/T 0003.2 section 7.1), many signatures at once.

// The operators here work on scalars modulo n, which cannot overflow.
#![allow(clippy::arithmetic_side_effects)]

use sm2::elliptic_curve::Group as _;
use sm2::elliptic_curve::ops::{MulByGeneratorVartime as _, Reduce as _};
use sm2::elliptic_curve::point::{AffineCoordinates as _, BatchNormalize as _};
use sm2::{ProjectivePoint, Scalar};
use subtle::ConstantTimeEq as _;

use super::hash::digest;
use super::keys::PublicPoint;
use super::scalar::{SIGNATURE_LEN, reduce, scalar_in_range};
use crate::hash::HashAlgorithm;

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
    matches!(verify_many(std::slice::from_ref(item))[..], [true])
}

/// Checks SM2 signatures (GM/T 0003.2 section 7.1), one answer an item.
pub(crate) fn verify_many(items: &[VerifyItem<'_>]) -> Vec<bool> {
    // Steps B1 to B6 leave a projective point an item; one shared inversion makes them affine.
    let (expected, points): (Vec<Option<Scalar>>, Vec<ProjectivePoint>) =
        items.iter().map(verify_to_point).unzip();
    let affine = match points.as_slice() {
        [point] => vec![point.to_affine()],
        points => ProjectivePoint::batch_normalize(points),
    };
    expected
        .iter()
        .zip(&affine)
        .map(|(expected, point)| match expected {
            // B7: R = (e + x1) mod n, that is x1 mod n = r - e
            Some(expected) => bool::from(Scalar::reduce(&point.x()).ct_eq(expected)),
            None => false,
        })
        .collect()
}

/// B1 to B6: r - e and [s]G + [t]P, or no expectation when a step already fails.
fn verify_to_point(item: &VerifyItem<'_>) -> (Option<Scalar>, ProjectivePoint) {
    let refused = (None, ProjectivePoint::IDENTITY);
    // B1, B2: r, s in [1, n-1]
    let (r, s) = item.signature.split_at(32);
    let (Some(r), Some(s)) = (scalar_in_range(r), scalar_in_range(s)) else {
        return refused;
    };
    // B3, B4: e = H(Z ‖ M)
    let e = reduce(&digest(item.hash, &[item.z, item.message]));
    // B5: t = (r + s) mod n, not 0
    let t = r + s;
    if bool::from(t.is_zero()) {
        return refused;
    }
    // B6: [s]G + [t]P, which must not be infinity
    let point = ProjectivePoint::mul_by_generator_and_mul_add_vartime(&s, &t, &item.key.point);
    if bool::from(point.is_identity()) {
        return refused;
    }
    (Some(r - e), point)
}
