//! SM3 (GB/T 32905-2016).

use crate::cpu::Backend;

pub(crate) fn kernel_name(backend: Backend) -> &'static str {
    backend.name()
}

pub(crate) fn lanes_kernel_name(backend: Backend) -> &'static str {
    backend.name()
}
