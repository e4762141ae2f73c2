//! SM3 (GB/T 32905-2016).

use crate::cpu::Backend;

#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod bmi2;
mod compress;
mod hasher;
mod hmac;
mod rounds;
mod stream;

pub use hasher::{Sm3, Sm3Core, hash, hash_parts, hash_parts_with_backend, hash_with_backend};
pub use hmac::{Hmac, HmacKey};

pub(crate) fn kernel_name(backend: Backend) -> &'static str {
    if backend == Backend::PORTABLE {
        "portable"
    } else {
        "bmi2"
    }
}

pub(crate) fn lanes_kernel_name(backend: Backend) -> &'static str {
    backend.name()
}
