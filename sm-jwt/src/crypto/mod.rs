//! The cryptographic backend, and the only module that names one.
//!
//! Batch-shaped: slices in, one result an item. Everything that touches a private scalar or `k` is constant-time;
//! verification works on public values and is not. With feature `accel` the work is done by `sm-accel`, else by
//! RustCrypto; both give the same answers.

#[cfg(feature = "accel")]
mod accel;
#[cfg(all(test, feature = "accel"))]
mod agreement_tests;
mod curve;
mod random;
#[cfg(any(test, not(feature = "accel")))]
#[cfg_attr(feature = "accel", allow(dead_code, unused_imports))]
mod rustcrypto;
mod sha256;

use crate::hash::HashAlgorithm;

#[cfg(feature = "accel")]
use self::accel as backend;
#[cfg(not(feature = "accel"))]
use self::rustcrypto as backend;

pub(crate) use self::curve::POINT_LEN;
pub(crate) use self::random::fill_random;
pub(crate) use self::sha256::sha256;
pub(crate) use backend::{
    MacKey, PublicPoint, SIGNATURE_LEN, SecretScalar, SignItem, Sm3Stream, VerifyItem, sign, sm3,
    verify, verify_many,
};

/// The chosen hash over the concatenation of `parts`.
pub(crate) fn digest(hash: HashAlgorithm, parts: &[&[u8]]) -> [u8; 32] {
    match hash {
        HashAlgorithm::Sm3 => sm3(parts),
        HashAlgorithm::Sha256 => sha256(parts),
    }
}

/// Z of a key for a user id, with the chosen hash; `None` for a user id of more than 8191 bytes.
pub(crate) fn z(hash: HashAlgorithm, user_id: &[u8], sec1: &[u8; POINT_LEN]) -> Option<[u8; 32]> {
    curve::z(user_id, sec1, |parts| digest(hash, parts))
}
