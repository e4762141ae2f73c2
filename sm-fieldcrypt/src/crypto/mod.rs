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
#[cfg(test)]
mod wycheproof_tests;

#[cfg(feature = "accel")]
use self::accel as backend;
#[cfg(not(feature = "accel"))]
use self::rustcrypto as backend;

pub(crate) use self::tag::tags_equal;
pub(crate) use backend::{
    CbcJob, CcmKey, CtrJob, ExpandJob, GcmKey, HmacJob, HmacKey, OpenJob, PrkKey, SealJob, Sm4Key,
    cbc_decrypt_many, cbc_encrypt_many, ccm_open_many, ccm_seal_many, ctr_apply_many, ctr_from,
    gcm_open_many, gcm_seal_many, hkdf_expand_many, hmac, hmac_many, pbkdf2_sm3,
};
