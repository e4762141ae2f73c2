//! SM3, HMAC-SM3 and SM2: the only module that names a cryptographic backend.
//!
//! Batch-shaped: the `_many` functions take slices and answer item by item; a single call is the batch of one. With
//! feature `accel` the work is done by `sm-accel`, else by RustCrypto; both give the same answers.

#[cfg(feature = "accel")]
mod accel;
#[cfg(all(test, feature = "accel"))]
mod agreement_tests;
mod hash;
#[cfg(any(test, not(feature = "accel")))]
#[cfg_attr(feature = "accel", allow(dead_code))]
mod rustcrypto;

#[cfg(feature = "accel")]
use self::accel as backend;
#[cfg(not(feature = "accel"))]
use self::rustcrypto as backend;

pub(crate) use backend::{
    HmacKey, PublicKey, SecretKey, Signed, hmac_many, sm3, sm3_many, verify_many,
};
