//! Numbers modulo the group order n, and the length of a pair of them.

use sm2::elliptic_curve::ff::PrimeField as _;
use sm2::elliptic_curve::ops::Reduce as _;
use sm2::{FieldBytes, Scalar};

/// Length of a raw signature, r ‖ s.
pub(crate) const SIGNATURE_LEN: usize = 64;

/// A public scalar in [1, n-1].
pub(super) fn scalar_in_range(bytes: &[u8]) -> Option<Scalar> {
    let repr = FieldBytes::try_from(bytes).ok()?;
    let scalar = Option::<Scalar>::from(Scalar::from_repr(repr))?;
    (!bool::from(scalar.is_zero())).then_some(scalar)
}

/// A hash modulo n.
pub(super) fn reduce(hash: &[u8; 32]) -> Scalar {
    Scalar::reduce(&FieldBytes::from(*hash))
}
