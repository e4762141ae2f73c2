//! Tables of the odd multiples of a point, window by window.
#![allow(clippy::arithmetic_side_effects, reason = "small public counts")]

use crate::sm2::field::{Fe, FieldKernel};
use crate::sm2::point::{Affine, Point};
use crate::sm2::recode::windows;

/// An affine point, x then y, in Montgomery form: one cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Entry {
    pub(crate) x: [u64; 4],
    pub(crate) y: [u64; 4],
}

impl Entry {
    #[inline(always)]
    pub(crate) fn point(&self) -> Affine {
        Affine {
            x: Fe::from_montgomery(self.x),
            y: Fe::from_montgomery(self.y),
        }
    }
}

/// The points (2j + 1) 2^(i width spacing) P for j below 2^(width - 1), for every i that has a window.
///
/// With a spacing of 1 every window has its own points, and a multiple of P needs no doublings.
pub(crate) struct Windows {
    width: usize,
    spacing: usize,
    entries: Box<[Entry]>,
}

impl Windows {
    #[inline(never)]
    pub(crate) fn new<K: FieldKernel>(k: K, point: &Affine, width: usize, spacing: usize) -> Self {
        let tables = windows(width).div_ceil(spacing);
        let mut points = Vec::with_capacity(tables << (width - 1));
        let mut base = Point::from(*point);
        for _ in 0..tables {
            let twice = base.double_with(k);
            let mut odd = base;
            for _ in 0..1 << (width - 1) {
                points.push(odd);
                odd = odd.add_vartime(k, &twice);
            }
            for _ in 0..width * spacing {
                base = base.double_with(k);
            }
        }
        let entries = Point::to_affine_many(&points)
            .into_iter()
            .map(|affine| {
                // n is a prime and divides neither 2j + 1 nor a power of two: no multiple is infinity.
                let affine = affine.unwrap_or_default();
                Entry {
                    x: *affine.x.montgomery(),
                    y: *affine.y.montgomery(),
                }
            })
            .collect();
        Self {
            width,
            spacing,
            entries,
        }
    }

    /// Bytes of the table.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.entries)
    }

    #[inline(always)]
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    #[inline(always)]
    pub(crate) fn spacing(&self) -> usize {
        self.spacing
    }

    /// The points of every table, in order.
    #[inline(always)]
    pub(crate) fn tables(&self) -> core::slice::ChunksExact<'_, Entry> {
        self.entries.chunks_exact(1 << (self.width - 1))
    }
}
