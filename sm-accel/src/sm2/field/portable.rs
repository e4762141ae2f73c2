//! Field multiplication in plain Rust, on 128-bit products.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "wrapping is by `adc`/`sbb`; every index is a constant below the length"
)]

use crate::sm2::limbs::{Limbs, adc, add, mul_wide, reduce_once, sbb, square_wide};

use crate::sm2::field::modulus::P;

/// `a * b / 2^256` modulo p.
#[inline(always)]
pub(crate) fn mul(a: &Limbs, b: &Limbs) -> Limbs {
    reduce(mul_wide(a, b))
}

/// `a^2 / 2^256` modulo p.
#[inline(always)]
pub(crate) fn square(a: &Limbs) -> Limbs {
    reduce(square_wide(a))
}

/// `t / 2^256` modulo p, for `t < p * 2^256`.
#[inline(always)]
fn reduce(t: [u64; 8]) -> Limbs {
    let low = shift_limb(shift_limb(shift_limb(shift_limb([t[0], t[1], t[2], t[3]]))));
    let (sum, carry) = add(&low, &[t[4], t[5], t[6], t[7]]);
    reduce_once(&sum, carry, &P)
}

/// `(t + u p) / 2^64` with `u = t mod 2^64`: p is -1 modulo 2^64, so the lowest limb vanishes.
///
/// `u p + u = u (2^256 - 2^224 - 2^96 + 2^64)`: shifts alone. The result is below 2^256 as `u p` is at most
/// `(2^64 - 1)(2^256 - 1)`, so the carries and borrows out of the top limb cancel.
#[inline(always)]
const fn shift_limb(t: Limbs) -> Limbs {
    let u = t[0];
    let (low, high) = (u << 32, u >> 32);
    let (r0, c) = adc(t[1], u, 0);
    let (r1, c) = adc(t[2], 0, c);
    let (r2, c) = adc(t[3], 0, c);
    let r3 = u.wrapping_add(c);
    let (r0, b) = sbb(r0, low, 0);
    let (r1, b) = sbb(r1, high, b);
    let (r2, b) = sbb(r2, low, b);
    let (r3, _) = sbb(r3, high, b);
    [r0, r1, r2, r3]
}
