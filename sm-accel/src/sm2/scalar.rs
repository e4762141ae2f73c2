//! Numbers modulo the group's order n, constant time throughout.
//!
//! A scalar holds the plain number: signing and recoding read its bits more often than they multiply.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "limb sums stay in 128 bits; every index is a constant below the length"
)]

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::{DefaultIsZeroes, Zeroize};

use crate::sm2::inverse::Modulus;
use crate::sm2::limbs::{self, Limbs, adc, inverse_mod_2_64, mac, r_squared};
use crate::taint;

/// n.
pub(crate) const N: Limbs = [
    0x53bb_f409_39d5_4123,
    0x7203_df6b_21c6_052b,
    0xffff_ffff_ffff_ffff,
    0xffff_fffe_ffff_ffff,
];

/// -n^-1 modulo 2^64.
const N_NEGATED_INVERSE: u64 = inverse_mod_2_64(N[0]).wrapping_neg();

/// 2^512 mod n.
const R2: Limbs = r_squared(&N);

const INVERSE: Modulus = Modulus::new(&N);

/// A number below n.
#[derive(Clone, Copy, Default)]
pub(crate) struct Scalar(Limbs);

impl Scalar {
    pub(crate) const ZERO: Self = Self([0; 4]);
    pub(crate) const ONE: Self = Self([1, 0, 0, 0]);

    /// Of a number below n.
    pub(crate) const fn constant(number: Limbs) -> Self {
        Self(number)
    }

    /// Of 32 big-endian bytes; `None` unless the number is below n. Constant time but for that answer.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let mut number = limbs::from_be_bytes(bytes);
        let (_, borrow) = limbs::sub(&number, &N);
        let scalar = taint::public(borrow.ct_eq(&1)).then_some(Self(number));
        number.zeroize();
        scalar
    }

    /// Of 32 big-endian bytes, modulo n.
    pub(crate) fn reduce(bytes: &[u8; 32]) -> Self {
        // n is above 2^255.
        Self(limbs::reduce_once(&limbs::from_be_bytes(bytes), 0, &N))
    }

    /// 32 big-endian bytes.
    pub(crate) fn to_bytes(self) -> [u8; 32] {
        limbs::to_be_bytes(&self.0)
    }

    /// The number.
    #[inline(always)]
    pub(crate) const fn limbs(&self) -> &Limbs {
        &self.0
    }

    pub(crate) fn add(&self, other: &Self) -> Self {
        Self(limbs::add_mod(&self.0, &other.0, &N))
    }

    pub(crate) fn sub(&self, other: &Self) -> Self {
        Self(limbs::sub_mod(&self.0, &other.0, &N))
    }

    #[cfg_attr(not(test), allow(dead_code, reason = "for the tests"))]
    pub(crate) fn neg(&self) -> Self {
        Self::ZERO.sub(self)
    }

    pub(crate) fn mul(&self, other: &Self) -> Self {
        Self(montgomery_mul(&montgomery_mul(&self.0, &other.0), &R2))
    }

    #[cfg_attr(not(test), allow(dead_code, reason = "for the tests"))]
    pub(crate) fn square(&self) -> Self {
        self.mul(self)
    }

    /// The inverse; zero of zero. Constant time.
    pub(crate) fn invert(&self) -> Self {
        Self(INVERSE.invert(&self.0))
    }

    /// Every scalar to its inverse, zero to zero, with one inversion for all. Constant time in the values.
    #[cfg_attr(not(test), allow(dead_code, reason = "for many keys at once"))]
    pub(crate) fn invert_many(scalars: &mut [Self]) {
        // Montgomery's trick, with one in the place of zeros.
        let mut before = Vec::with_capacity(scalars.len());
        let mut product = Self::ONE;
        for scalar in scalars.iter() {
            before.push(product);
            let factor = Self::conditional_select(scalar, &Self::ONE, scalar.is_zero());
            product = product.mul(&factor);
        }
        let mut inverse = product.invert();
        for (scalar, before) in scalars.iter_mut().zip(&before).rev() {
            let zero = scalar.is_zero();
            let factor = Self::conditional_select(scalar, &Self::ONE, zero);
            let inverted = inverse.mul(before);
            inverse = inverse.mul(&factor);
            *scalar = Self::conditional_select(&inverted, &Self::ZERO, zero);
        }
        before.zeroize();
        product.zeroize();
        inverse.zeroize();
    }

    pub(crate) fn is_zero(&self) -> Choice {
        self.ct_eq(&Self::ZERO)
    }
}

/// `a * b / 2^256` modulo n, for `a * b < n * 2^256`.
#[inline(always)]
fn montgomery_mul(a: &Limbs, b: &Limbs) -> Limbs {
    let t = limbs::mul_wide(a, b);
    let ([t1, t2, t3, t4], top) = eliminate([t[0], t[1], t[2], t[3]], t[4], 0);
    let ([t2, t3, t4, t5], top) = eliminate([t1, t2, t3, t4], t[5], top);
    let ([t3, t4, t5, t6], top) = eliminate([t2, t3, t4, t5], t[6], top);
    let (result, top) = eliminate([t3, t4, t5, t6], t[7], top);
    limbs::reduce_once(&result, top, &N)
}

/// `(t + u n) / 2^64` with the `u` that makes the lowest limb vanish; `next` is the limb above `t`, `carry`
/// what was carried into it. Gives the carry into the limb after that.
#[inline(always)]
fn eliminate(t: Limbs, next: u64, carry: u64) -> (Limbs, u64) {
    let u = t[0].wrapping_mul(N_NEGATED_INVERSE);
    let (_, c) = mac(t[0], u, N[0], 0);
    let (r0, c) = mac(t[1], u, N[1], c);
    let (r1, c) = mac(t[2], u, N[2], c);
    let (r2, c) = mac(t[3], u, N[3], c);
    let (r3, carry) = adc(next, c, carry);
    ([r0, r1, r2, r3], carry)
}

impl ConstantTimeEq for Scalar {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl ConditionallySelectable for Scalar {
    fn conditional_select(a: &Self, b: &Self, choice: Choice) -> Self {
        Self(limbs::select(&a.0, &b.0, choice))
    }
}

impl DefaultIsZeroes for Scalar {}

#[cfg(test)]
impl core::fmt::Debug for Scalar {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Scalar({:016x?})", self.0)
    }
}
