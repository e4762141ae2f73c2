//! Multiples of points that have no table.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "small public counts; digits index arrays of their own range"
)]

use subtle::{ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroize;

use crate::cpu::Backend;
use crate::sm2::field::{Fe, FieldKernel, Portable};
use crate::sm2::point::{Affine, Point};
use crate::sm2::prepared::base_table;
use crate::sm2::recode::{Digit, OddDigits, windows};
use crate::sm2::scalar::Scalar;
use crate::sm2::xyzz::Xyzz;

/// Bits of a window for a secret scalar.
const WIDTH: usize = 5;

/// Odd multiples up to 2^WIDTH.
const MULTIPLES: usize = 1 << (WIDTH - 1);

/// `[scalar] point`, in constant time.
pub(crate) fn mul(backend: Backend, point: &Affine, scalar: &Scalar) -> Point {
    match backend.adx() {
        Some(adx) => mul_in(adx, point, scalar),
        None => mul_in(Portable, point, scalar),
    }
}

#[inline(always)]
fn mul_in<K: FieldKernel>(k: K, point: &Affine, scalar: &Scalar) -> Point {
    let multiples = odd_multiples::<K, MULTIPLES>(k, point);
    let digits = OddDigits::new(scalar, WIDTH);

    // All digits above make an odd number A, so 32 A is above any digit in magnitude: no addition meets infinity or
    // equal points until 32 A passes n, which is at the last window alone: that addition is complete.
    let top = windows(WIDTH) - 1;
    let mut sum = select(&multiples, &digits.digit(top));
    for i in (0..top).rev() {
        for _ in 0..WIDTH {
            sum.double_in_place(k);
        }
        let mut addend = select(&multiples, &digits.digit(i));
        sum = match i {
            0 => sum.add_complete(k, &addend),
            _ => sum.add_distinct(k, &addend),
        };
        addend.zeroize();
    }
    sum
}

/// P, 3P, 5P, ...
#[inline(always)]
fn odd_multiples<K: FieldKernel, const COUNT: usize>(k: K, point: &Affine) -> [Point; COUNT] {
    let mut multiples = [Point::from(*point); COUNT];
    let twice = multiples[0].double_with(k);
    for i in 1..COUNT {
        // 2P and (2i - 1)P differ, and neither is infinity.
        multiples[i] = twice.add_distinct(k, &multiples[i - 1]);
    }
    multiples
}

/// The point of a digit, read from all entries.
#[inline(always)]
fn select(points: &[Point; MULTIPLES], digit: &Digit) -> Point {
    let mut point = Point::IDENTITY;
    for (j, entry) in (0u64..).zip(points) {
        point.conditional_assign(entry, j.ct_eq(&(digit.index as u64)));
    }
    point.y = Fe::blend(&point.y, &point.y.neg(), digit.negative);
    point
}

/// `[s] G + [t] point`, in variable time: for public scalars.
pub(crate) fn mul_double_vartime(
    backend: Backend,
    s: &Scalar,
    t: &Scalar,
    point: &Affine,
) -> Point {
    match backend.adx() {
        Some(adx) => mul_double_in(adx, s, t, point),
        None => mul_double_in(Portable, s, t, point),
    }
}

#[inline(always)]
fn mul_double_in<K: FieldKernel>(k: K, s: &Scalar, t: &Scalar, point: &Affine) -> Point {
    let multiples = odd_multiples::<K, MULTIPLES>(k, point);
    let mut sum = Point::IDENTITY;
    let naf = wnaf(t);
    for digit in naf.iter().rev().skip_while(|digit| **digit == 0) {
        sum.double_in_place(k);
        if *digit != 0 {
            let multiple = &multiples[usize::from(digit.unsigned_abs()) / 2];
            sum = match *digit > 0 {
                true => sum.add_vartime(k, multiple),
                false => sum.add_vartime(k, &multiple.neg()),
            };
        }
    }
    base_table(k)
        .add_multiple(k, Xyzz::from_point(k, &sum), s)
        .to_point(k)
}

/// Width-(WIDTH + 1) non-adjacent form: digits zero, or odd and below 2^WIDTH in magnitude. Variable time.
fn wnaf(scalar: &Scalar) -> [i8; 257] {
    let mut digits = [0; 257];
    let limbs = scalar.limbs();
    let mut carry = 0;
    let mut position = 0;
    while position < 257 {
        let bit = |at: usize| match limbs.get(at / 64) {
            Some(limb) => (limb >> (at % 64)) & 1,
            None => 0,
        };
        if bit(position) == carry {
            position += 1;
            continue;
        }
        let mut window = carry;
        for i in 0..=WIDTH {
            window += bit(position + i) << i;
        }
        carry = window >> WIDTH;
        digits[position] = (window as i64 - ((carry as i64) << (WIDTH + 1))) as i8;
        position += WIDTH + 1;
    }
    digits
}
