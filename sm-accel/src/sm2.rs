//! SM2 (GB/T 32918-2016).

use crate::cpu::Backend;

pub(crate) fn kernel_name(backend: Backend) -> &'static str {
    backend.name()
}
