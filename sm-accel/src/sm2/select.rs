//! One entry of a table by a secret index: every entry is read, and a mask keeps one.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "indices are constants below the length; table lengths are small"
)]

#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod avx2;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod avx512;

use crate::cpu::{Avx2Aesni, Avx512Gfni, Backend, Kernels};
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

#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
impl Selector for Avx512Gfni {
    #[inline(always)]
    fn select(self, entries: &[Entry], index: u64) -> Entry {
        avx512::select(self, entries, index)
    }
}

// There are no such tokens then; the code that would take them must still be typed.
#[cfg(not(all(target_arch = "x86_64", not(sm_accel_portable))))]
impl Selector for Avx2Aesni {
    fn select(self, entries: &[Entry], index: u64) -> Entry {
        PortableSelect.select(entries, index)
    }
}

#[cfg(not(all(target_arch = "x86_64", not(sm_accel_portable))))]
impl Selector for Avx512Gfni {
    fn select(self, entries: &[Entry], index: u64) -> Entry {
        PortableSelect.select(entries, index)
    }
}

/// The widest registers of a backend that tables are read with.
pub(crate) enum Registers {
    General,
    Avx2(Avx2Aesni),
    Avx512(Avx512Gfni),
}

impl Registers {
    pub(crate) fn of(backend: Backend) -> Self {
        match backend.kernels() {
            Kernels::Portable => Self::General,
            Kernels::Avx2Aesni(token) => Self::Avx2(token),
            Kernels::Avx2Vaes(token) => Self::Avx2(token.into()),
            Kernels::Avx2Gfni(token) => Self::Avx2(token.into()),
            Kernels::Avx512Gfni(token) => Self::Avx512(token),
        }
    }
}
