//! GHASH on 256-bit registers: VPCLMULQDQ, sixteen blocks between reductions.
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

use super::clmul::{FOLD, from_u128, load_block, load_words, multiply, reduce, to_words};
use crate::cpu::Avx2Vaes;

/// Blocks between two reductions.
pub(super) const GROUP: usize = 16;

/// Powers of the hash key, H^16 first, H last.
#[derive(Zeroize, ZeroizeOnDrop)]
#[repr(C, align(32))]
pub(crate) struct Key {
    powers: [[u64; 2]; GROUP],
    /// Both halves of a power added, twice, for Karatsuba's middle product.
    middles: [[u64; 2]; GROUP],
}

impl Key {
    pub(super) fn new(_: Avx2Vaes, h: u128) -> Self {
        // SAFETY: the token proves AVX2, PCLMULQDQ and VPCLMULQDQ.
        unsafe { prepare(h) }
    }
}

/// `hash` after `blocks`.
pub(super) fn update(_: Avx2Vaes, key: &Key, hash: u128, blocks: &[[u8; 16]]) -> u128 {
    // SAFETY: the token proves AVX2, PCLMULQDQ and VPCLMULQDQ.
    unsafe { absorb(key, hash, blocks) }
}

#[target_feature(enable = "avx2,pclmulqdq,vpclmulqdq")]
fn prepare(h: u128) -> Key {
    let mut key = Key {
        powers: [[0; 2]; GROUP],
        middles: [[0; 2]; GROUP],
    };
    let h1 = from_u128(h);
    let h2 = multiply(h1, h1);
    // pairs[i] = (H^(2i + 2), H^(2i + 1)).
    let mut pairs = [_mm256_set_m128i(h1, h2); GROUP / 2];
    let step = _mm256_set_m128i(h2, h2);
    pairs[1] = multiply_pairs(pairs[0], step);
    for n in [2, 4] {
        let step = _mm256_permute2x128_si256::<0x00>(pairs[n - 1], pairs[n - 1]);
        for i in 0..n {
            pairs[n + i] = multiply_pairs(pairs[i], step);
        }
    }
    for (i, pair) in pairs.iter().enumerate() {
        let at = GROUP - 2 - 2 * i;
        let middle = _mm256_xor_si256(*pair, _mm256_shuffle_epi32::<0x4e>(*pair));
        key.powers[at] = to_words(_mm256_castsi256_si128(*pair));
        key.powers[at + 1] = to_words(_mm256_extracti128_si256::<1>(*pair));
        key.middles[at] = to_words(_mm256_castsi256_si128(middle));
        key.middles[at + 1] = to_words(_mm256_extracti128_si256::<1>(middle));
    }
    pairs = [_mm256_setzero_si256(); GROUP / 2];
    zeroize::optimization_barrier(&pairs);
    key
}

#[target_feature(enable = "avx2,pclmulqdq,vpclmulqdq")]
fn absorb(key: &Key, hash: u128, blocks: &[[u8; 16]]) -> u128 {
    let mut hash = from_u128(hash);
    let (groups, rest) = blocks.as_chunks::<GROUP>();
    let powers = key.powers.as_chunks::<2>().0;
    let middles = key.middles.as_chunks::<2>().0;
    for group in groups {
        let pairs = group.as_chunks::<2>().0;
        let mut sum = Sum::zero();
        // The block that waits for the last reduction comes last.
        for i in 1..GROUP / 2 {
            sum.add(
                load_blocks(&pairs[i]),
                load_pair(&powers[i]),
                load_pair(&middles[i]),
            );
        }
        let first = _mm256_xor_si256(load_blocks(&pairs[0]), _mm256_zextsi128_si256(hash));
        sum.add(first, load_pair(&powers[0]), load_pair(&middles[0]));
        hash = sum.reduce();
    }
    if !rest.is_empty() {
        let start = GROUP - rest.len();
        let (rest_pairs, _) = rest[rest.len() % 2..].as_chunks::<2>();
        let first_pair = start.div_ceil(2);
        let mut sum = Sum::zero();
        if rest.len() % 2 == 1 {
            // A lone first block: zeros in the upper lane add nothing.
            let first = _mm_xor_si128(load_block(&rest[0]), hash);
            sum.add(
                _mm256_zextsi128_si256(first),
                _mm256_zextsi128_si256(load_words(&key.powers[start])),
                _mm256_zextsi128_si256(load_words(&key.middles[start])),
            );
            for (i, pair) in rest_pairs.iter().enumerate() {
                let at = first_pair + i;
                sum.add(
                    load_blocks(pair),
                    load_pair(&powers[at]),
                    load_pair(&middles[at]),
                );
            }
        } else {
            for (i, pair) in rest_pairs.iter().enumerate().skip(1) {
                let at = first_pair + i;
                sum.add(
                    load_blocks(pair),
                    load_pair(&powers[at]),
                    load_pair(&middles[at]),
                );
            }
            let first = _mm256_xor_si256(load_blocks(&rest_pairs[0]), _mm256_zextsi128_si256(hash));
            sum.add(
                first,
                load_pair(&powers[first_pair]),
                load_pair(&middles[first_pair]),
            );
        }
        hash = sum.reduce();
    }
    let [low, high] = to_words(hash);
    u128::from(high) << 64 | u128::from(low)
}

/// Sum of unreduced products in both lanes: low, middle (Karatsuba's, with low and high still in it) and high.
struct Sum {
    low: __m256i,
    middle: __m256i,
    high: __m256i,
}

impl Sum {
    #[target_feature(enable = "avx2,pclmulqdq,vpclmulqdq")]
    #[inline]
    fn zero() -> Self {
        Self {
            low: _mm256_setzero_si256(),
            middle: _mm256_setzero_si256(),
            high: _mm256_setzero_si256(),
        }
    }

    #[target_feature(enable = "avx2,pclmulqdq,vpclmulqdq")]
    #[inline]
    fn add(&mut self, x: __m256i, h: __m256i, middle: __m256i) {
        let both = _mm256_xor_si256(x, _mm256_shuffle_epi32::<0x4e>(x));
        self.low = _mm256_xor_si256(self.low, _mm256_clmulepi64_epi128::<0x00>(x, h));
        self.high = _mm256_xor_si256(self.high, _mm256_clmulepi64_epi128::<0x11>(x, h));
        self.middle = _mm256_xor_si256(self.middle, _mm256_clmulepi64_epi128::<0x00>(both, middle));
    }

    /// Adds the lanes and reduces.
    #[target_feature(enable = "avx2,pclmulqdq,vpclmulqdq")]
    #[inline]
    fn reduce(self) -> __m128i {
        let middle = _mm256_xor_si256(self.middle, _mm256_xor_si256(self.low, self.high));
        reduce(fold(self.low), fold(middle), fold(self.high))
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn fold(x: __m256i) -> __m128i {
    _mm_xor_si128(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x))
}

/// A reduced product in each lane.
#[target_feature(enable = "avx2,pclmulqdq,vpclmulqdq")]
#[inline]
fn multiply_pairs(a: __m256i, b: __m256i) -> __m256i {
    let low = _mm256_clmulepi64_epi128::<0x00>(a, b);
    let high = _mm256_clmulepi64_epi128::<0x11>(a, b);
    let middle = _mm256_xor_si256(
        _mm256_clmulepi64_epi128::<0x01>(a, b),
        _mm256_clmulepi64_epi128::<0x10>(a, b),
    );
    // As `clmul::reduce`, in both lanes.
    let fold = _mm256_set1_epi64x(FOLD);
    let step = _mm256_clmulepi64_epi128::<0x00>(low, fold);
    let low = _mm256_shuffle_epi32::<0x4e>(low);
    let middle = _mm256_xor_si256(middle, _mm256_xor_si256(low, step));
    let step = _mm256_clmulepi64_epi128::<0x00>(middle, fold);
    let middle = _mm256_shuffle_epi32::<0x4e>(middle);
    _mm256_xor_si256(high, _mm256_xor_si256(middle, step))
}

/// Two blocks, each with its bytes reversed.
#[target_feature(enable = "avx2")]
#[inline]
fn load_blocks(blocks: &[[u8; 16]; 2]) -> __m256i {
    let reverse =
        _mm256_broadcastsi128_si256(_mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f));
    // SAFETY: `blocks` is 32 readable bytes; the load needs no alignment.
    let bytes = unsafe { _mm256_loadu_si256(blocks.as_ptr().cast()) };
    _mm256_shuffle_epi8(bytes, reverse)
}

#[target_feature(enable = "avx2")]
#[inline]
fn load_pair(words: &[[u64; 2]; 2]) -> __m256i {
    // SAFETY: `words` is 32 readable bytes; the load needs no alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}
