//! SM2 (GB/T 32918-2016).

#[cfg(test)]
mod arithmetic_tests;
mod comb;
mod field;
mod limbs;
mod mul;
mod point;
mod prepared;
mod recode;
mod scalar;
mod windows;

use crate::cpu::Backend;

pub(crate) fn kernel_name(backend: Backend) -> &'static str {
    backend.name()
}
