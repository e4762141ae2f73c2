//! Tables for public keys that verify many signatures, and for the base point beside them.
//!
//! Everything here is in variable time: signatures and public keys are public.

use std::sync::OnceLock;

use crate::cpu::Backend;
use crate::sm2::field::{FieldKernel, Portable};
use crate::sm2::point::{Affine, Point};
use crate::sm2::recode::{OddDigits, windows};
use crate::sm2::scalar::Scalar;
use crate::sm2::windows::Windows;
use crate::sm2::xyzz::Xyzz;

/// How much memory a prepared key may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableSize {
    /// 8 KiB: 52 additions and 30 doublings.
    Small,
    /// 44 KiB: 43 additions and 6 doublings.
    Medium,
    /// 256 KiB: 32 additions.
    Large,
}

impl TableSize {
    /// Bits of a window, and windows that share a table.
    fn shape(self) -> (usize, usize) {
        match self {
            Self::Small => (5, 7),
            Self::Medium => (6, 2),
            Self::Large => (8, 1),
        }
    }
}

/// Multiples of a public key.
pub(crate) struct Prepared(Windows);

impl Prepared {
    /// Of a validated point.
    pub(crate) fn new(backend: Backend, point: &Affine, size: TableSize) -> Self {
        let (width, spacing) = size.shape();
        Self(match backend.adx() {
            Some(adx) => Windows::new(adx, point, width, spacing),
            None => Windows::new(Portable, point, width, spacing),
        })
    }

    /// Bytes of the tables.
    pub(crate) fn memory(&self) -> usize {
        self.0.memory()
    }
}

/// `[s] G + [t] P` for the prepared point P, in variable time: for public scalars.
pub(crate) fn mul_double_vartime(
    backend: Backend,
    s: &Scalar,
    t: &Scalar,
    key: &Prepared,
) -> Point {
    match backend.adx() {
        Some(adx) => mul_double_in(adx, s, t, key),
        None => mul_double_in(Portable, s, t, key),
    }
}

#[inline(always)]
fn mul_double_in<K: FieldKernel>(k: K, s: &Scalar, t: &Scalar, key: &Prepared) -> Point {
    let sum = key.0.add_multiple(k, Xyzz::IDENTITY, t);
    base_table(k).add_multiple(k, sum, s).to_point(k)
}

/// 256 KiB for the base point, computed at first use.
pub(crate) fn base_table<K: FieldKernel>(k: K) -> &'static Windows {
    static TABLE: OnceLock<Windows> = OnceLock::new();
    TABLE.get_or_init(|| Windows::new(k, &Affine::GENERATOR, 8, 1))
}

impl Windows {
    /// `sum + [scalar] P` for the P of the table, in variable time. `sum` must be infinity if the spacing is not 1.
    #[inline(always)]
    pub(crate) fn add_multiple<K: FieldKernel>(
        &self,
        k: K,
        mut sum: Xyzz,
        scalar: &Scalar,
    ) -> Xyzz {
        let digits = OddDigits::new(scalar, self.width());
        let count = windows(self.width());
        for offset in (0..self.spacing()).rev() {
            if offset.wrapping_add(1) < self.spacing() {
                for _ in 0..self.width() {
                    sum.double(k);
                }
            }
            for (table, i) in self.tables().zip((offset..count).step_by(self.spacing())) {
                let digit = digits.digit(i);
                let Some(entry) = table.get(digit.index) else {
                    continue;
                };
                // By a mask, although it may be told: as a branch it would be mispredicted every other time.
                let Affine { x, y } = entry.point();
                let y = k.negate_if(&y, digit.negative);
                sum.add_vartime(k, &Affine { x, y });
            }
        }
        sum
    }
}
