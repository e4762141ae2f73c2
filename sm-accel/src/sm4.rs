//! SM4 (GB/T 32907-2016) and its modes.

use crate::cpu::Backend;

pub(crate) fn kernel_name(backend: Backend) -> &'static str {
    backend.name()
}

pub(crate) fn ghash_kernel_name(backend: Backend) -> &'static str {
    backend.name()
}
