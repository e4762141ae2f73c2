//! Scalars as signed odd digits: no digit is zero, so every window adds a point and no window is special.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "bit positions are below 64 times the length; both are public"
)]

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::barrier::barrier;
use crate::sm2::limbs;
use crate::sm2::scalar::{N, Scalar};

/// Digits of `width` bits that cover every scalar.
pub(crate) const fn windows(width: usize) -> usize {
    256usize.div_ceil(width)
}

/// A scalar in digits d_i, odd, |d_i| < 2^width, with scalar = sum of d_i 2^(i width) modulo n.
///
/// An odd k is the sum of ±2^j over all j below a fixed length, with plus where bit j + 1 of k is set, and at the
/// top: a window of those bits is a digit. For an even k, n - k is odd, and its digits are negated; for 0 that is
/// n itself.
pub(crate) struct OddDigits {
    bits: [u64; 5],
    width: usize,
    /// All ones if the digits are those of the opposite number, else 0.
    negated: u64,
}

/// One digit: the odd number 2 `index` + 1, and its sign.
pub(crate) struct Digit {
    pub(crate) index: usize,
    /// All ones or 0.
    pub(crate) negative: u64,
}

impl OddDigits {
    /// `width` is at least 2 and at most 8.
    #[inline(always)]
    pub(crate) fn new(scalar: &Scalar, width: usize) -> Self {
        let even = (scalar.limbs()[0] & 1).ct_eq(&0);
        let (complement, _) = limbs::sub(&N, scalar.limbs());
        let k = limbs::select(scalar.limbs(), &complement, even);
        let mut bits = [
            (k[0] >> 1) | (k[1] << 63),
            (k[1] >> 1) | (k[2] << 63),
            (k[2] >> 1) | (k[3] << 63),
            k[3] >> 1,
            0,
        ];
        let top = width * windows(width) - 1;
        bits[top / 64] |= 1 << (top % 64);
        Self {
            bits,
            width,
            negated: barrier(u64::from(even.unwrap_u8()).wrapping_neg()),
        }
    }

    /// Digit `i`, below [`windows`].
    #[inline(always)]
    pub(crate) fn digit(&self, i: usize) -> Digit {
        let position = i * self.width;
        let (limb, shift) = (position / 64, position % 64);
        let mut window = self.bits[limb] >> shift;
        if shift + self.width > 64 {
            window |= self.bits[limb + 1] << (64 - shift);
        }
        // Window v stands for 2v + 1 - 2^width: from its upper half on positive.
        let half = 1u64 << (self.width - 1);
        let positive = (window >> (self.width - 1)) & 1;
        let index = (window ^ positive.wrapping_sub(1)) & (half - 1);
        Digit {
            index: index as usize,
            negative: positive.wrapping_sub(1) ^ self.negated,
        }
    }
}

impl Drop for OddDigits {
    fn drop(&mut self) {
        self.bits.zeroize();
        self.negated.zeroize();
    }
}
