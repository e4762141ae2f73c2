//! GHASH on 512-bit registers: VPCLMULQDQ, thirty-two blocks between reductions.
//!
//! Products are the schoolbook's four: here shuffles compete with multiplications for the same port, and one
//! ternary instruction adds two products, so Karatsuba would gain nothing.
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

use super::clmul::{FOLD, from_u128, multiply, reduce, to_words};
use crate::cpu::Avx512Gfni;

/// Blocks between two reductions.
pub(super) const GROUP: usize = 32;

/// Powers of the hash key, H^32 first, H last.
#[derive(Zeroize, ZeroizeOnDrop)]
#[repr(C, align(64))]
pub(crate) struct Key {
    powers: [[u64; 2]; GROUP],
}

impl Key {
    pub(super) fn new(_: Avx512Gfni, h: u128) -> Self {
        // SAFETY: the token proves AVX-512 F, BW, DQ and VL, AVX2, PCLMULQDQ and VPCLMULQDQ.
        unsafe { prepare(h) }
    }
}

/// `hash` after `blocks`.
pub(super) fn update(_: Avx512Gfni, key: &Key, hash: u128, blocks: &[[u8; 16]]) -> u128 {
    // SAFETY: the token proves AVX-512 F, BW, DQ and VL, AVX2, PCLMULQDQ and VPCLMULQDQ.
    unsafe { absorb(key, hash, blocks) }
}

#[target_feature(enable = "avx2,pclmulqdq,vpclmulqdq,avx512f,avx512bw,avx512dq,avx512vl")]
fn prepare(h: u128) -> Key {
    let mut key = Key {
        powers: [[0; 2]; GROUP],
    };
    let h1 = from_u128(h);
    let h2 = multiply(h1, h1);
    let h3 = multiply(h2, h1);
    let h4 = multiply(h2, h2);
    // fours[i] = (H^(4i + 4), H^(4i + 3), H^(4i + 2), H^(4i + 1)), the highest power in the lowest lane.
    let first = _mm512_inserti64x4::<1>(
        _mm512_zextsi256_si512(_mm256_set_m128i(h3, h4)),
        _mm256_set_m128i(h1, h2),
    );
    let mut fours = [first; GROUP / 4];
    for n in [1, 2, 4] {
        let step = _mm512_shuffle_i64x2::<0x00>(fours[n - 1], fours[n - 1]);
        for i in 0..n {
            fours[n + i] = multiply_fours(fours[i], step);
        }
    }
    for (four, powers) in fours.iter().rev().zip(key.powers.as_chunks_mut::<4>().0) {
        powers[0] = to_words(_mm512_castsi512_si128(*four));
        powers[1] = to_words(_mm512_extracti64x2_epi64::<1>(*four));
        powers[2] = to_words(_mm512_extracti64x2_epi64::<2>(*four));
        powers[3] = to_words(_mm512_extracti64x2_epi64::<3>(*four));
    }
    fours = [_mm512_setzero_si512(); GROUP / 4];
    zeroize::optimization_barrier(&fours);
    key
}

#[target_feature(enable = "avx2,pclmulqdq,vpclmulqdq,avx512f,avx512bw,avx512dq,avx512vl")]
fn absorb(key: &Key, hash: u128, blocks: &[[u8; 16]]) -> u128 {
    let mut hash = from_u128(hash);
    let powers = key.powers.as_chunks::<4>().0;
    let (groups, rest) = blocks.as_chunks::<GROUP>();
    for group in groups {
        let fours = group.as_chunks::<4>().0;
        let mut sum = Sum::zero();
        // The block that waits for the last reduction comes last.
        for i in 1..GROUP / 4 {
            sum.add(load_blocks(&fours[i]), load_four(&powers[i]));
        }
        let first = _mm512_xor_si512(load_blocks(&fours[0]), _mm512_zextsi128_si512(hash));
        sum.add(first, load_four(&powers[0]));
        hash = sum.reduce();
    }
    if !rest.is_empty() {
        // The first one to four blocks, so that whole fours are left; lanes of zeros add nothing.
        let lead = (rest.len() - 1) % 4 + 1;
        let (head, tail) = rest.split_at(lead);
        let start = GROUP - rest.len();
        let mut sum = Sum::zero();
        let tail_powers = key.powers[start + lead..].as_chunks::<4>().0;
        for (four, powers) in tail.as_chunks::<4>().0.iter().zip(tail_powers) {
            sum.add(load_blocks(four), load_four(powers));
        }
        let first = _mm512_xor_si512(load_lead(head), _mm512_zextsi128_si512(hash));
        sum.add(first, load_lead_powers(&key.powers[start..start + lead]));
        hash = sum.reduce();
    }
    let [low, high] = to_words(hash);
    u128::from(high) << 64 | u128::from(low)
}

/// Sum of unreduced products in each lane: low, middle and high.
struct Sum {
    low: __m512i,
    middle: __m512i,
    high: __m512i,
}

impl Sum {
    #[target_feature(enable = "avx512f,vpclmulqdq")]
    #[inline]
    fn zero() -> Self {
        Self {
            low: _mm512_setzero_si512(),
            middle: _mm512_setzero_si512(),
            high: _mm512_setzero_si512(),
        }
    }

    #[target_feature(enable = "avx512f,vpclmulqdq")]
    #[inline]
    fn add(&mut self, x: __m512i, h: __m512i) {
        self.low = _mm512_xor_si512(self.low, _mm512_clmulepi64_epi128::<0x00>(x, h));
        self.high = _mm512_xor_si512(self.high, _mm512_clmulepi64_epi128::<0x11>(x, h));
        self.middle = xor3(
            self.middle,
            _mm512_clmulepi64_epi128::<0x01>(x, h),
            _mm512_clmulepi64_epi128::<0x10>(x, h),
        );
    }

    /// Adds the lanes and reduces.
    #[target_feature(enable = "avx2,pclmulqdq,vpclmulqdq,avx512f,avx512bw,avx512dq,avx512vl")]
    #[inline]
    fn reduce(self) -> __m128i {
        reduce(fold(self.low), fold(self.middle), fold(self.high))
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn xor3(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    _mm512_ternarylogic_epi64::<0x96>(a, b, c)
}

#[target_feature(enable = "avx2,avx512f")]
#[inline]
fn fold(x: __m512i) -> __m128i {
    let pair = _mm256_xor_si256(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64::<1>(x));
    _mm_xor_si128(
        _mm256_castsi256_si128(pair),
        _mm256_extracti128_si256::<1>(pair),
    )
}

/// A reduced product in each lane.
#[target_feature(enable = "avx512f,avx512bw,vpclmulqdq")]
#[inline]
fn multiply_fours(a: __m512i, b: __m512i) -> __m512i {
    let mut sum = Sum::zero();
    sum.add(a, b);
    // As `clmul::reduce`, in each lane.
    let fold = _mm512_set1_epi64(FOLD);
    let step = _mm512_clmulepi64_epi128::<0x00>(sum.low, fold);
    let low = _mm512_shuffle_epi32::<0x4e>(sum.low);
    let middle = xor3(sum.middle, low, step);
    let step = _mm512_clmulepi64_epi128::<0x00>(middle, fold);
    let middle = _mm512_shuffle_epi32::<0x4e>(middle);
    xor3(sum.high, middle, step)
}

/// Reverses the bytes of each block.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn reverse(bytes: __m512i) -> __m512i {
    let order = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
    _mm512_shuffle_epi8(bytes, _mm512_broadcast_i32x4(order))
}

#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn load_blocks(blocks: &[[u8; 16]; 4]) -> __m512i {
    // SAFETY: `blocks` is 64 readable bytes; the load needs no alignment.
    reverse(unsafe { _mm512_loadu_si512(blocks.as_ptr().cast()) })
}

/// One to four blocks in the low lanes, zeros above.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn load_lead(blocks: &[[u8; 16]]) -> __m512i {
    let mask = lanes(blocks.len());
    // SAFETY: the mask selects two words a block, all inside `blocks`; others are not read.
    reverse(unsafe { _mm512_maskz_loadu_epi64(mask, blocks.as_ptr().cast()) })
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load_lead_powers(powers: &[[u64; 2]]) -> __m512i {
    // SAFETY: the mask selects two words a power, all inside `powers`; others are not read.
    unsafe { _mm512_maskz_loadu_epi64(lanes(powers.len()), powers.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load_four(powers: &[[u64; 2]; 4]) -> __m512i {
    // SAFETY: `powers` is 64 readable bytes; the load needs no alignment.
    unsafe { _mm512_loadu_si512(powers.as_ptr().cast()) }
}

/// Mask of the two words of each of the first `count` lanes, of at most four.
fn lanes(count: usize) -> u8 {
    debug_assert!(count <= 4);
    ((1_u32 << (2 * count.min(4))) - 1) as u8
}
