//! SM3 (GB/T 32905-2016): one message, many messages in lanes, HMAC with kept midstates, key derivation and
//! Merkle levels.
//!
//! Time depends on lengths alone. Midstates of keys, and copies of message bytes that outlive a call's
//! registers, are wiped.

use crate::cpu::{Backend, Kernels};

#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod bmi2;
mod cohort;
mod compress;
mod hasher;
mod hmac;
mod job;
mod kdf;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod lane_rounds;
#[cfg_attr(
    not(all(target_arch = "x86_64", not(sm_accel_portable))),
    allow(dead_code, reason = "the portable backend has no lanes")
)]
mod lanes;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod lanes_avx2;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod lanes_avx512;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod lanes_avx512_pair;
mod many;
mod queue;
mod rounds;
mod stream;

pub use hasher::{Sm3, Sm3Core, hash, hash_parts, hash_parts_with_backend, hash_with_backend};
pub use hmac::{Hmac, HmacKey};
pub use kdf::{
    ExpandJob, hkdf_expand_many, hkdf_expand_many_with_backend, pbkdf2, pbkdf2_with_backend,
};
pub use many::{
    HmacJob, hash_many, hash_many_with_backend, hash_parts_many, hash_parts_many_with_backend,
    hmac_many, hmac_many_with_backend, merkle_leaves, merkle_leaves_with_backend, merkle_level,
    merkle_level_with_backend,
};

pub(crate) fn kernel_name(backend: Backend) -> &'static str {
    match backend.kernels() {
        Kernels::Portable => "portable",
        _ => "bmi2",
    }
}

pub(crate) fn lanes_kernel_name(backend: Backend) -> &'static str {
    match backend.kernels() {
        Kernels::Portable => "portable",
        Kernels::Avx512Gfni(_) => "avx512x16",
        _ => "avx2x8",
    }
}
