//! Multiples of the base point by a secret scalar.
//!
//! 37 windows of 7 bits, each with 64 odd multiples of 2^(7i) G: 148 KiB, computed at first use (under a
//! millisecond), as the table would otherwise be a fifth of a megabyte of numbers in the source, or seconds of
//! constant evaluation in every build. All entries of a window are read whatever the digit is.

use std::sync::OnceLock;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{DefaultIsZeroes, Zeroize as _, Zeroizing};

use crate::cpu::Backend;
use crate::sm2::field::{Fe, FieldKernel, Portable};
use crate::sm2::limbs;
use crate::sm2::point::{Affine, Point};
use crate::sm2::recode::{Digit, OddDigits};
use crate::sm2::scalar::{N, Scalar};
use crate::sm2::select::{PortableSelect, Registers, Selector};
use crate::sm2::windows::Windows;
use crate::sm2::xyzz::Xyzz;

const WIDTH: usize = 7;

/// 30 2^252 - n, the one odd scalar whose last addition is of equal points.
///
/// The last window's point is D = d 2^252, for an odd d, and the sum A before it is smaller than 2^252: A - D is
/// scalar - 2D, which is odd. So if n divides it, it is -n, for lack of any other multiple that is odd and so small.
/// Then D = n + A, which leaves d = 15 alone.
const EXCEPTION: Scalar = {
    let (two_256_less_n, _) = limbs::sub(&[0; 4], &N);
    let (exception, _) = limbs::add(&two_256_less_n, &[0, 0, 0, 14 << 60]);
    Scalar::constant(exception)
};

const MINUS_EXCEPTION: Scalar = Scalar::constant(limbs::sub(&N, EXCEPTION.limbs()).0);

/// `[scalar] G`, in constant time.
pub(crate) fn mul_base(backend: Backend, scalar: &Scalar) -> Point {
    let sum = Zeroizing::new(sum(backend, scalar));
    match backend.adx() {
        Some(adx) => sum.to_point(adx),
        None => sum.to_point(Portable),
    }
}

/// x of `[scalar] G`, in constant time; `None` at infinity, which alone the time tells.
pub(crate) fn mul_base_x(backend: Backend, scalar: &Scalar) -> Option<Fe> {
    Zeroizing::new(sum(backend, scalar)).affine_x()
}

fn sum(backend: Backend, scalar: &Scalar) -> Xyzz {
    match (backend.adx(), Registers::of(backend)) {
        (Some(adx), Registers::Avx512(avx512)) => sum_in(adx, avx512, scalar),
        (None, Registers::Avx512(avx512)) => sum_in(Portable, avx512, scalar),
        (Some(adx), Registers::Avx2(avx2)) => sum_in(adx, avx2, scalar),
        (None, Registers::Avx2(avx2)) => sum_in(Portable, avx2, scalar),
        (_, Registers::General) => sum_in(Portable, PortableSelect, scalar),
    }
}

/// What is computed at first use.
struct Base {
    windows: Windows,
    /// `[EXCEPTION] G`.
    exception: Affine,
}

impl Base {
    fn new<K: FieldKernel>(k: K) -> Self {
        let windows = Windows::new(k, &Affine::GENERATOR, WIDTH, 1);
        // 30 2^252 G, as n G is infinity: twice 15 2^252 G.
        let half = windows.tables().last().and_then(|entries| entries.get(7));
        let exception = half.and_then(|half| Point::from(half.point()).double_with(k).to_affine());
        Self {
            windows,
            // There is an entry, and none is infinity.
            exception: exception.unwrap_or_default(),
        }
    }
}

#[inline(always)]
fn sum_in<K: FieldKernel, S: Selector>(k: K, selector: S, scalar: &Scalar) -> Xyzz {
    static BASE: OnceLock<Base> = OnceLock::new();
    let base = BASE.get_or_init(|| Base::new(k));
    let digits = OddDigits::new(scalar, WIDTH);
    // One window ahead, vector registers read the table while general ones add; what these do with the point waits.
    let mut chosen = (0..).zip(base.windows.tables()).map(|(i, entries)| {
        let Digit { index, negative } = digits.digit(i);
        let Affine { x, y } = selector.select(entries, index as u64).point();
        Signed { x, y, negative }
    });

    // Before window i the sum's magnitude is below 2^(7i), so it neither is infinity nor meets the window's point,
    // while both are small against n: that holds up to the last window. There the two may be opposite, which is
    // right, or equal for one scalar and its opposite.
    let mut next = chosen.next().unwrap_or_default();
    let mut point = next.point(k);
    let mut sum = Xyzz::from(point);
    next = chosen.next().unwrap_or_default();
    for after in chosen {
        point = next.point(k);
        next = after;
        sum.add_distinct(k, &point);
    }
    point = next.point(k);
    sum.add_distinct(k, &point);

    let opposite = mask(scalar.ct_eq(&MINUS_EXCEPTION));
    let exceptional = mask(scalar.ct_eq(&EXCEPTION)) | opposite;
    let Affine { x, y } = base.exception;
    let y = Fe::blend(&y, &y.neg(), opposite);
    let result = sum.blend(&Xyzz::from(Affine { x, y }), exceptional);
    next.zeroize();
    point.zeroize();
    sum.zeroize();
    result
}

/// A point, or its opposite where `negative` is all ones and not 0.
#[derive(Clone, Copy, Default)]
struct Signed {
    x: Fe,
    y: Fe,
    negative: u64,
}

impl DefaultIsZeroes for Signed {}

impl Signed {
    #[inline(always)]
    fn point<K: FieldKernel>(&self, k: K) -> Affine {
        Affine {
            x: self.x,
            y: k.negate_if(&self.y, self.negative),
        }
    }
}

/// All ones or 0.
fn mask(choice: Choice) -> u64 {
    u64::from(choice.unwrap_u8()).wrapping_neg()
}
