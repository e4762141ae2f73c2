//! The cryptographic backend, and the only module that names one.
//!
//! Batch-shaped: slices in, one result an item. Everything that touches a private scalar or `k` is constant-time;
//! verification works on public values and is not. With feature `accel` the work is done by `sm-accel`, else by
//! RustCrypto; both give the same answers.

#[cfg(feature = "accel")]
mod accel;
#[cfg(all(test, feature = "accel"))]
mod agreement_tests;
mod random;
#[cfg(any(test, not(feature = "accel")))]
#[cfg_attr(feature = "accel", allow(dead_code, unused_imports))]
mod rustcrypto;

#[cfg(feature = "accel")]
use self::accel as backend;
#[cfg(not(feature = "accel"))]
use self::rustcrypto as backend;

pub(crate) use self::random::fill_random;
pub(crate) use backend::{
    POINT_LEN, PublicPoint, SIGNATURE_LEN, SecretScalar, SignItem, VerifyItem, sign_many, sm3,
    verify_many,
};
