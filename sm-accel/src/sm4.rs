//! SM4 (GB/T 32907-2016) and its modes.

use crate::cpu::Backend;

mod ghash;

pub(crate) use ghash::kernel_name as ghash_kernel_name;

pub(crate) fn kernel_name(backend: Backend) -> &'static str {
    backend.name()
}
