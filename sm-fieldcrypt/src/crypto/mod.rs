//! The only module that names a cryptographic backend.
//!
//! Everything is batch-shaped: slices of jobs in, one result an item. A single call is the batch of one. Buffers are
//! whole blocks by type (`[u8; 16]`), so nothing here can fail on a length. With feature `accel` the work is done by
//! `sm-accel`, in constant time and in lanes, else by RustCrypto; both give the same answers.

#[cfg(feature = "accel")]
mod accel;
#[cfg(all(test, feature = "accel"))]
mod agreement_tests;
#[cfg(any(test, not(feature = "accel")))]
#[cfg_attr(feature = "accel", allow(dead_code))]
mod rustcrypto;
mod tag;

#[cfg(feature = "accel")]
use self::accel as backend;
#[cfg(not(feature = "accel"))]
use self::rustcrypto as backend;

pub(crate) use self::tag::tags_equal;
pub(crate) use backend::{
    CbcJob, CtrJob, ExpandJob, HmacJob, HmacKey, PrkKey, Sm4Key, cbc_decrypt_many,
    cbc_encrypt_many, ctr_apply_many, hkdf_expand_many, hmac, hmac_many, pbkdf2_sm3,
};
