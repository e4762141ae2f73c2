//! One entry of a table by a secret index: every entry is read, and a mask keeps one.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "indices are constants below the length; table lengths are small"
)]

#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod avx2;

use crate::cpu::{Avx2Aesni, Backend, Kernels};
use crate::sm2::windows::Entry;

/// How tables are read.
pub(crate) trait Selector: Copy {
    /// Entry `index`; zeros if there is none.
    fn select(self, entries: &[Entry], index: u64) -> Entry;
}

/// Plain Rust.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PortableSelect;

impl Selector for PortableSelect {
    #[inline(never)]
    fn select(self, entries: &[Entry], index: u64) -> Entry {
        let mut selected = [0u64; 8];
        for (j, entry) in (0u64..).zip(entries) {
            // Both are small: the difference less one is negative only if they are equal. The barrier keeps the
            // compiler from knowing that the mask has two values and branching on them.
            let equal = ((j ^ index).wrapping_sub(1) >> 63) & 1;
            let mask = core::hint::black_box(equal).wrapping_neg();
            for i in 0..4 {
                selected[i] |= entry.x[i] & mask;
                selected[i + 4] |= entry.y[i] & mask;
            }
        }
        let [x0, x1, x2, x3, y0, y1, y2, y3] = selected;
        Entry {
            x: [x0, x1, x2, x3],
            y: [y0, y1, y2, y3],
        }
    }
}

#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
impl Selector for Avx2Aesni {
    #[inline(always)]
    fn select(self, entries: &[Entry], index: u64) -> Entry {
        avx2::select(self, entries, index)
    }
}

// There is no such token then; the code that would take it must still be typed.
#[cfg(not(all(target_arch = "x86_64", not(sm_accel_portable))))]
impl Selector for Avx2Aesni {
    fn select(self, entries: &[Entry], index: u64) -> Entry {
        PortableSelect.select(entries, index)
    }
}

/// Proof of AVX2 from a backend that has it.
pub(crate) fn avx2(backend: Backend) -> Option<Avx2Aesni> {
    match backend.kernels() {
        Kernels::Portable => None,
        Kernels::Avx2Aesni(token) => Some(token),
        Kernels::Avx2Vaes(token) => Some(token.into()),
        Kernels::Avx2Gfni(token) => Some(token.into()),
        Kernels::Avx512Gfni(token) => Some(token.into()),
    }
}
