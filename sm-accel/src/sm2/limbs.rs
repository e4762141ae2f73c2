//! 256-bit numbers as four 64-bit limbs, least significant first. No function branches on a value.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "128-bit sums of 64-bit limbs cannot overflow; every index is a constant below the length"
)]

use subtle::{Choice, ConditionallySelectable};

use crate::barrier::barrier;

/// Four limbs, least significant first.
pub(crate) type Limbs = [u64; 4];

/// `a + b + carry`, and the carry out.
#[inline(always)]
pub(crate) const fn adc(a: u64, b: u64, carry: u64) -> (u64, u64) {
    let (sum, c0) = a.overflowing_add(b);
    let (sum, c1) = sum.overflowing_add(carry);
    (sum, c0 as u64 | c1 as u64)
}

/// `a - b - borrow`, and the borrow out (0 or 1).
#[inline(always)]
pub(crate) const fn sbb(a: u64, b: u64, borrow: u64) -> (u64, u64) {
    let (difference, b0) = a.overflowing_sub(b);
    let (difference, b1) = difference.overflowing_sub(borrow);
    (difference, b0 as u64 | b1 as u64)
}

/// `a + b * c + carry`, low and high limb: at most 2^128 - 1.
#[inline(always)]
pub(crate) const fn mac(a: u64, b: u64, c: u64, carry: u64) -> (u64, u64) {
    let wide = a as u128 + (b as u128) * (c as u128) + carry as u128;
    (wide as u64, (wide >> 64) as u64)
}

/// `a + b`, and the carry out.
#[inline(always)]
pub(crate) const fn add(a: &Limbs, b: &Limbs) -> (Limbs, u64) {
    let (r0, c) = adc(a[0], b[0], 0);
    let (r1, c) = adc(a[1], b[1], c);
    let (r2, c) = adc(a[2], b[2], c);
    let (r3, c) = adc(a[3], b[3], c);
    ([r0, r1, r2, r3], c)
}

/// `a - b`, and the borrow out.
#[inline(always)]
pub(crate) const fn sub(a: &Limbs, b: &Limbs) -> (Limbs, u64) {
    let (r0, c) = sbb(a[0], b[0], 0);
    let (r1, c) = sbb(a[1], b[1], c);
    let (r2, c) = sbb(a[2], b[2], c);
    let (r3, c) = sbb(a[3], b[3], c);
    ([r0, r1, r2, r3], c)
}

/// Every limb of `a` masked: `mask` is 0 or all ones.
#[inline(always)]
pub(crate) const fn and(a: &Limbs, mask: u64) -> Limbs {
    [a[0] & mask, a[1] & mask, a[2] & mask, a[3] & mask]
}

/// `b` where `mask` is all ones, `a` where it is 0.
#[inline(always)]
pub(crate) const fn blend(a: &Limbs, b: &Limbs, mask: u64) -> Limbs {
    [
        a[0] ^ ((a[0] ^ b[0]) & mask),
        a[1] ^ ((a[1] ^ b[1]) & mask),
        a[2] ^ ((a[2] ^ b[2]) & mask),
        a[3] ^ ((a[3] ^ b[3]) & mask),
    ]
}

/// `a + carry * 2^256`, which is below `2 * modulus`, less the modulus if it is not below that.
#[inline(always)]
pub(crate) fn reduce_once(a: &Limbs, carry: u64, modulus: &Limbs) -> Limbs {
    let (difference, borrow) = sub(a, modulus);
    // `carry` 1 always borrows. Borrow without carry: `a` is below the modulus, take it back.
    let (_, keep) = sbb(carry, 0, borrow);
    blend(&difference, a, barrier(keep.wrapping_neg()))
}

/// `a + b` modulo `modulus`, both below it.
#[inline(always)]
pub(crate) fn add_mod(a: &Limbs, b: &Limbs, modulus: &Limbs) -> Limbs {
    let (sum, carry) = add(a, b);
    reduce_once(&sum, carry, modulus)
}

/// `a - b` modulo `modulus`, both below it.
#[inline(always)]
pub(crate) fn sub_mod(a: &Limbs, b: &Limbs, modulus: &Limbs) -> Limbs {
    let (difference, borrow) = sub(a, b);
    add(&difference, &and(modulus, barrier(borrow.wrapping_neg()))).0
}

/// `a / 2` modulo the odd `modulus`, for `a` below it.
#[inline(always)]
pub(crate) fn half_mod(a: &Limbs, modulus: &Limbs) -> Limbs {
    let ([s0, s1, s2, s3], carry) = add(a, &and(modulus, barrier((a[0] & 1).wrapping_neg())));
    [
        (s0 >> 1) | (s1 << 63),
        (s1 >> 1) | (s2 << 63),
        (s2 >> 1) | (s3 << 63),
        (s3 >> 1) | (carry << 63),
    ]
}

/// The product, eight limbs.
#[inline(always)]
pub(crate) const fn mul_wide(a: &Limbs, b: &Limbs) -> [u64; 8] {
    let (t0, c) = mac(0, a[0], b[0], 0);
    let (t1, c) = mac(0, a[0], b[1], c);
    let (t2, c) = mac(0, a[0], b[2], c);
    let (t3, t4) = mac(0, a[0], b[3], c);

    let (t1, c) = mac(t1, a[1], b[0], 0);
    let (t2, c) = mac(t2, a[1], b[1], c);
    let (t3, c) = mac(t3, a[1], b[2], c);
    let (t4, t5) = mac(t4, a[1], b[3], c);

    let (t2, c) = mac(t2, a[2], b[0], 0);
    let (t3, c) = mac(t3, a[2], b[1], c);
    let (t4, c) = mac(t4, a[2], b[2], c);
    let (t5, t6) = mac(t5, a[2], b[3], c);

    let (t3, c) = mac(t3, a[3], b[0], 0);
    let (t4, c) = mac(t4, a[3], b[1], c);
    let (t5, c) = mac(t5, a[3], b[2], c);
    let (t6, t7) = mac(t6, a[3], b[3], c);
    [t0, t1, t2, t3, t4, t5, t6, t7]
}

/// The square, eight limbs.
#[inline(always)]
pub(crate) const fn square_wide(a: &Limbs) -> [u64; 8] {
    // Products of different limbs once, doubled, and the squares on the diagonal.
    let (t1, c) = mac(0, a[0], a[1], 0);
    let (t2, c) = mac(0, a[0], a[2], c);
    let (t3, t4) = mac(0, a[0], a[3], c);
    let (t3, c) = mac(t3, a[1], a[2], 0);
    let (t4, t5) = mac(t4, a[1], a[3], c);
    let (t5, t6) = mac(t5, a[2], a[3], 0);

    let t7 = t6 >> 63;
    let t6 = (t6 << 1) | (t5 >> 63);
    let t5 = (t5 << 1) | (t4 >> 63);
    let t4 = (t4 << 1) | (t3 >> 63);
    let t3 = (t3 << 1) | (t2 >> 63);
    let t2 = (t2 << 1) | (t1 >> 63);
    let t1 = t1 << 1;

    let (t0, c) = mac(0, a[0], a[0], 0);
    let (t1, c) = adc(t1, c, 0);
    let (l, h) = mac(0, a[1], a[1], 0);
    let (t2, c) = adc(t2, l, c);
    let (t3, c) = adc(t3, h, c);
    let (l, h) = mac(0, a[2], a[2], 0);
    let (t4, c) = adc(t4, l, c);
    let (t5, c) = adc(t5, h, c);
    let (l, h) = mac(0, a[3], a[3], 0);
    let (t6, c) = adc(t6, l, c);
    let (t7, _) = adc(t7, h, c);
    [t0, t1, t2, t3, t4, t5, t6, t7]
}

/// Big-endian bytes to limbs.
pub(crate) fn from_be_bytes(bytes: &[u8; 32]) -> Limbs {
    let mut limbs = [0; 4];
    let (words, _) = bytes.as_chunks::<8>();
    for (limb, word) in limbs.iter_mut().rev().zip(words) {
        *limb = u64::from_be_bytes(*word);
    }
    limbs
}

/// Limbs to big-endian bytes.
pub(crate) fn to_be_bytes(limbs: &Limbs) -> [u8; 32] {
    let mut bytes = [0; 32];
    let (words, _) = bytes.as_chunks_mut::<8>();
    for (word, limb) in words.iter_mut().zip(limbs.iter().rev()) {
        *word = limb.to_be_bytes();
    }
    bytes
}

/// `b` if `choice`, else `a`.
#[inline(always)]
pub(crate) fn select(a: &Limbs, b: &Limbs, choice: Choice) -> Limbs {
    [
        u64::conditional_select(&a[0], &b[0], choice),
        u64::conditional_select(&a[1], &b[1], choice),
        u64::conditional_select(&a[2], &b[2], choice),
        u64::conditional_select(&a[3], &b[3], choice),
    ]
}

/// `a^-1` modulo 2^64, for odd `a`: Newton's iteration doubles the right bits each time.
pub(crate) const fn inverse_mod_2_64(a: u64) -> u64 {
    let mut x = a; // right to 3 bits
    let mut i = 0;
    while i < 5 {
        x = x.wrapping_mul(2u64.wrapping_sub(a.wrapping_mul(x)));
        i += 1;
    }
    x
}

/// `x 2^256` modulo `modulus`, whose top bit is set, for the `x` below it of a constant: variable time.
pub(crate) const fn times_r(x: &Limbs, modulus: &Limbs) -> Limbs {
    let mut x = *x;
    let mut i = 0;
    while i < 256 {
        let (double, carry) = add(&x, &x);
        let (reduced, borrow) = sub(&double, modulus);
        x = if carry == 1 || borrow == 0 {
            reduced
        } else {
            double
        };
        i += 1;
    }
    x
}

/// `2^512` modulo `modulus`, whose top bit is set.
pub(crate) const fn r_squared(modulus: &Limbs) -> Limbs {
    times_r(&sub(&[0; 4], modulus).0, modulus)
}
