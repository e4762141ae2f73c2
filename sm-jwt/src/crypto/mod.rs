//! The cryptographic backend, and the only module that names one.
//!
//! Batch-shaped: slices in, one result an item, so that a many-lane backend can slot in below.
//! Everything that touches a private scalar or `k` is constant-time; verification works on public
//! values and is not.

mod hash;
mod keys;
mod random;
mod scalar;
mod sign;
#[cfg(test)]
mod tests;
mod verify;

pub(crate) use self::hash::sm3;
pub(crate) use self::keys::{POINT_LEN, PublicPoint, SecretScalar};
pub(crate) use self::random::fill_random;
pub(crate) use self::scalar::SIGNATURE_LEN;
pub(crate) use self::sign::{SignItem, sign_many};
pub(crate) use self::verify::{VerifyItem, verify_many};
