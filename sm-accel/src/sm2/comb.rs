//! Multiples of the base point by a secret scalar.
//!
//! 37 windows of 7 bits, each with 64 odd multiples of 2^(7i) G: 148 KiB, computed at first use (under a
//! millisecond), as the table would otherwise be a fifth of a megabyte of numbers in the source, or seconds of
//! constant evaluation in every build. All entries of a window are read whatever the digit is.

use std::sync::OnceLock;

use subtle::ConditionallySelectable;
use zeroize::Zeroize as _;

use crate::cpu::Backend;
use crate::sm2::field::{Fe, FieldKernel, Portable};
use crate::sm2::point::{Affine, Point};
use crate::sm2::recode::OddDigits;
use crate::sm2::scalar::Scalar;
use crate::sm2::select::{PortableSelect, Selector, avx2};
use crate::sm2::windows::Windows;
use crate::sm2::xyzz::Xyzz;

const WIDTH: usize = 7;

/// `[scalar] G`, in constant time.
pub(crate) fn mul_base(backend: Backend, scalar: &Scalar) -> Point {
    match (backend.adx(), avx2(backend)) {
        (Some(adx), Some(avx2)) => mul_base_in(adx, avx2, scalar),
        (_, Some(avx2)) => mul_base_in(Portable, avx2, scalar),
        _ => mul_base_in(Portable, PortableSelect, scalar),
    }
}

#[inline(always)]
fn mul_base_in<K: FieldKernel, S: Selector>(k: K, selector: S, scalar: &Scalar) -> Point {
    static TABLE: OnceLock<Windows> = OnceLock::new();
    let table = TABLE.get_or_init(|| Windows::new(k, &Affine::GENERATOR, WIDTH, 1));
    let digits = OddDigits::new(scalar, WIDTH);

    // Before window i the sum's magnitude is below 2^(7i), so it neither is infinity nor meets the window's point
    // or its opposite, while both are small against n: that holds up to the last window, whose addition is
    // complete.
    let mut sum = Xyzz::IDENTITY;
    let mut all = Point::IDENTITY;
    let mut point = Affine::default();
    let last = table.tables().len().wrapping_sub(1);
    for (i, entries) in table.tables().enumerate() {
        let digit = digits.digit(i);
        point = selector.select(entries, digit.index as u64).point();
        point.y = Fe::conditional_select(&point.y, &point.y.neg(), digit.negative);
        match i {
            0 => sum = Xyzz::from(point),
            _ if i == last => all = sum.to_point(k).add_affine_complete(k, &point),
            _ => sum = sum.add_distinct(k, &point),
        }
    }
    let result = Point::conditional_select(&all, &all.neg(), digits.negated());
    point.zeroize();
    sum.zeroize();
    all.zeroize();
    result
}
