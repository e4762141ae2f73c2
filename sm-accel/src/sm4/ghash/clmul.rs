//! GHASH on 128-bit registers: PCLMULQDQ, eight blocks between reductions.
#![allow(
    unsafe_code,
    reason = "a kernel: loads, and the call into its target features"
)]
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a kernel: indices into arrays of fixed size, below constants"
)]

use core::arch::x86_64::*;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::cpu::Avx2Aesni;

/// Blocks between two reductions.
pub(super) const GROUP: usize = 8;

/// x^127 + x^126 + x^121, for [`reduce`].
pub(super) const FOLD: i64 = 0xc200_0000_0000_0000_u64.cast_signed();

/// Powers of the hash key, H^8 first, H last.
#[derive(Zeroize, ZeroizeOnDrop)]
#[repr(C, align(16))]
pub(crate) struct Key {
    powers: [[u64; 2]; GROUP],
    /// Both halves of a power added, for Karatsuba's middle product.
    middles: [u64; GROUP],
}

impl Key {
    pub(super) fn new(_: Avx2Aesni, h: u128) -> Self {
        // SAFETY: the token proves AVX2 and PCLMULQDQ.
        unsafe { prepare(h) }
    }
}

/// `hash` after `blocks`.
pub(super) fn update(_: Avx2Aesni, key: &Key, hash: u128, blocks: &[[u8; 16]]) -> u128 {
    // SAFETY: the token proves AVX2 and PCLMULQDQ.
    unsafe { absorb(key, hash, blocks) }
}

#[target_feature(enable = "avx2,pclmulqdq")]
fn prepare(h: u128) -> Key {
    let mut powers = [from_u128(h); GROUP];
    // powers[i] = H^(i + 1): from H^(n + 1) and H^n, independent products.
    powers[1] = multiply(powers[0], powers[0]);
    powers[2] = multiply(powers[1], powers[0]);
    powers[3] = multiply(powers[1], powers[1]);
    for i in 0..4 {
        powers[i + 4] = multiply(powers[3], powers[i]);
    }
    let mut key = Key {
        powers: [[0; 2]; GROUP],
        middles: [0; GROUP],
    };
    for (i, power) in powers.iter().enumerate() {
        let [low, high] = to_words(*power);
        key.powers[GROUP - 1 - i] = [low, high];
        key.middles[GROUP - 1 - i] = low ^ high;
    }
    powers = [_mm_setzero_si128(); GROUP];
    zeroize::optimization_barrier(&powers);
    key
}

#[target_feature(enable = "avx2,pclmulqdq")]
fn absorb(key: &Key, hash: u128, blocks: &[[u8; 16]]) -> u128 {
    let mut hash = from_u128(hash);
    let (groups, rest) = blocks.as_chunks::<GROUP>();
    for group in groups {
        let mut sum = Sum::zero();
        // The block that waits for the last reduction comes last.
        for (i, block) in group.iter().enumerate().skip(1) {
            sum.add(load_block(block), &key.powers[i], key.middles[i]);
        }
        let first = _mm_xor_si128(load_block(&group[0]), hash);
        sum.add(first, &key.powers[0], key.middles[0]);
        hash = sum.reduce();
    }
    if let [first, others @ ..] = rest {
        let start = GROUP - rest.len();
        let mut sum = Sum::zero();
        for (i, block) in others.iter().enumerate() {
            let at = start + 1 + i;
            sum.add(load_block(block), &key.powers[at], key.middles[at]);
        }
        let first = _mm_xor_si128(load_block(first), hash);
        sum.add(first, &key.powers[start], key.middles[start]);
        hash = sum.reduce();
    }
    let [low, high] = to_words(hash);
    u128::from(high) << 64 | u128::from(low)
}

/// Sum of unreduced products: low, middle (Karatsuba's, with low and high still in it) and high halves.
struct Sum {
    low: __m128i,
    middle: __m128i,
    high: __m128i,
}

impl Sum {
    #[target_feature(enable = "avx2,pclmulqdq")]
    #[inline]
    fn zero() -> Self {
        Self {
            low: _mm_setzero_si128(),
            middle: _mm_setzero_si128(),
            high: _mm_setzero_si128(),
        }
    }

    #[target_feature(enable = "avx2,pclmulqdq")]
    #[inline]
    fn add(&mut self, x: __m128i, power: &[u64; 2], middle: u64) {
        let h = load_words(power);
        let both = _mm_xor_si128(x, _mm_shuffle_epi32::<0x4e>(x));
        let middle = _mm_cvtsi64_si128(middle.cast_signed());
        self.low = _mm_xor_si128(self.low, _mm_clmulepi64_si128::<0x00>(x, h));
        self.high = _mm_xor_si128(self.high, _mm_clmulepi64_si128::<0x11>(x, h));
        self.middle = _mm_xor_si128(self.middle, _mm_clmulepi64_si128::<0x00>(both, middle));
    }

    #[target_feature(enable = "avx2,pclmulqdq")]
    #[inline]
    fn reduce(self) -> __m128i {
        let middle = _mm_xor_si128(self.middle, _mm_xor_si128(self.low, self.high));
        reduce(self.low, middle, self.high)
    }
}

/// low + middle·x^64 + high·x^128, over x^128, modulo x^128 + x^127 + x^126 + x^121 + 1.
#[target_feature(enable = "avx2,pclmulqdq")]
#[inline]
pub(super) fn reduce(low: __m128i, middle: __m128i, high: __m128i) -> __m128i {
    let fold = _mm_cvtsi64_si128(FOLD);
    let step = _mm_clmulepi64_si128::<0x00>(low, fold);
    let middle = _mm_xor_si128(middle, _mm_xor_si128(_mm_shuffle_epi32::<0x4e>(low), step));
    let step = _mm_clmulepi64_si128::<0x00>(middle, fold);
    _mm_xor_si128(high, _mm_xor_si128(_mm_shuffle_epi32::<0x4e>(middle), step))
}

/// One reduced product.
#[target_feature(enable = "avx2,pclmulqdq")]
#[inline]
pub(super) fn multiply(a: __m128i, b: __m128i) -> __m128i {
    let middle = _mm_xor_si128(
        _mm_clmulepi64_si128::<0x01>(a, b),
        _mm_clmulepi64_si128::<0x10>(a, b),
    );
    reduce(
        _mm_clmulepi64_si128::<0x00>(a, b),
        middle,
        _mm_clmulepi64_si128::<0x11>(a, b),
    )
}

/// A block, its bytes reversed: GHASH's bit order becomes the multiplier's.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn load_block(block: &[u8; 16]) -> __m128i {
    let reverse = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
    // SAFETY: `block` is 16 readable bytes; the load needs no alignment.
    let bytes = unsafe { _mm_loadu_si128(block.as_ptr().cast()) };
    _mm_shuffle_epi8(bytes, reverse)
}

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn load_words(words: &[u64; 2]) -> __m128i {
    // SAFETY: `words` is 16 readable bytes; the load needs no alignment.
    unsafe { _mm_loadu_si128(words.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn from_u128(value: u128) -> __m128i {
    #[allow(clippy::cast_possible_truncation, reason = "halves are meant")]
    _mm_set_epi64x((value >> 64) as i64, value as i64)
}

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn to_words(value: __m128i) -> [u64; 2] {
    [
        _mm_cvtsi128_si64(value).cast_unsigned(),
        _mm_extract_epi64::<1>(value).cast_unsigned(),
    ]
}
