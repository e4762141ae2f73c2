//! SM4 (GB/T 32907-2016) and its modes.

mod constants;
mod keys;
mod portable;
mod sbox;

pub use keys::Sm4;

use crate::cpu::Backend;

mod ghash;

pub(crate) use ghash::kernel_name as ghash_kernel_name;

pub(crate) fn kernel_name(backend: Backend) -> &'static str {
    backend.name()
}
