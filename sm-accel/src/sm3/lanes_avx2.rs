//! Eight messages in 256-bit registers.
#![allow(
    unsafe_code,
    reason = "vector loads and stores, and the call that the token proves"
)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "constant indices into fixed arrays; offsets stay below the length that was checked"
)]

use core::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_and_si256, _mm256_castsi128_si256,
    _mm256_inserti128_si256, _mm256_load_si256, _mm256_or_si256, _mm256_set1_epi32,
    _mm256_setr_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_slli_epi32,
    _mm256_srli_epi32, _mm256_store_si256, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64,
    _mm256_unpacklo_epi32, _mm256_unpacklo_epi64, _mm256_xor_si256,
};

use crate::cpu::Avx2Aesni;
use crate::sm3::lane_rounds::lane_rounds;
use crate::sm3::lanes::{LaneKernel, LaneStates, common_blocks};
use crate::sm3::rounds::{BLOCK, DIGEST, T};

type Vector = __m256i;

impl LaneKernel<8> for Avx2Aesni {
    #[inline]
    fn absorb(self, states: &mut LaneStates<8>, inputs: &[&[u8]; 8], _used: usize) -> usize {
        // SAFETY: the token proves AVX2.
        unsafe { absorb(states, inputs) }
    }

    #[inline]
    fn absorb_digests(self, states: &mut LaneStates<8>, digests: &LaneStates<8>, _used: usize) {
        // SAFETY: the token proves AVX2.
        unsafe { absorb_digests(states, digests) }
    }
}

#[target_feature(enable = "avx2")]
fn absorb(states: &mut LaneStates<8>, inputs: &[&[u8]; 8]) -> usize {
    let blocks = common_blocks(inputs);
    let mut state = load_states(states);
    let mut w = [_mm256_setzero_si256(); 16];
    for block in 0..blocks {
        // SAFETY: every input has `blocks` whole blocks.
        unsafe { load(&mut w, inputs, block * BLOCK) };
        lane_rounds!(&mut state, &mut w);
    }
    store_states(&state, states);
    // The words may come from a key.
    w = [_mm256_setzero_si256(); 16];
    zeroize::optimization_barrier(&w);
    blocks
}

#[target_feature(enable = "avx2")]
fn absorb_digests(states: &mut LaneStates<8>, digests: &LaneStates<8>) {
    let mut state = load_states(states);
    let mut w = [_mm256_setzero_si256(); 16];
    for (word, digest) in w.iter_mut().zip(load_states(digests)) {
        *word = digest;
    }
    w[8] = splat(0x8000_0000);
    w[15] = splat(((BLOCK + DIGEST) * 8) as u32);
    lane_rounds!(&mut state, &mut w);
    store_states(&state, states);
    w = [_mm256_setzero_si256(); 16];
    zeroize::optimization_barrier(&w);
}

#[target_feature(enable = "avx2")]
#[inline]
fn load_states(states: &LaneStates<8>) -> [Vector; 8] {
    let mut vectors = [_mm256_setzero_si256(); 8];
    for (vector, words) in vectors.iter_mut().zip(&states.0) {
        // SAFETY: eight words, aligned to 32 bytes: `LaneStates` is aligned to 64 and rows are 32 long.
        *vector = unsafe { _mm256_load_si256(words.as_ptr().cast()) };
    }
    vectors
}

#[target_feature(enable = "avx2")]
#[inline]
fn store_states(vectors: &[Vector; 8], states: &mut LaneStates<8>) {
    for (vector, words) in vectors.iter().zip(&mut states.0) {
        // SAFETY: as at the load.
        unsafe { _mm256_store_si256(words.as_mut_ptr().cast(), *vector) };
    }
}

/// Words 0 to 15 of the block at `offset` of every input: quarters of two messages side by side, bytes swapped,
/// then 4x4 transposes within the halves.
///
/// # Safety
/// Every input has at least `offset + 64` bytes.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn load(w: &mut [Vector; 16], inputs: &[&[u8]; 8], offset: usize) {
    let swap = _mm256_setr_epi8(
        3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8,
        15, 14, 13, 12,
    );
    for quarter in 0..4 {
        let row = |i: usize| {
            let at = offset + 16 * quarter;
            // SAFETY: 16 bytes at `offset + 16 * quarter`, below `offset + 64`, which the input has.
            let (low, high): (__m128i, __m128i) = unsafe {
                (
                    _mm_loadu_si128(inputs[i].as_ptr().add(at).cast()),
                    _mm_loadu_si128(inputs[i + 4].as_ptr().add(at).cast()),
                )
            };
            let both = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(low), high);
            _mm256_shuffle_epi8(both, swap)
        };
        let (r0, r1, r2, r3) = (row(0), row(1), row(2), row(3));
        let (x0, x1) = (_mm256_unpacklo_epi32(r0, r1), _mm256_unpackhi_epi32(r0, r1));
        let (y0, y1) = (_mm256_unpacklo_epi32(r2, r3), _mm256_unpackhi_epi32(r2, r3));
        w[4 * quarter] = _mm256_unpacklo_epi64(x0, y0);
        w[4 * quarter + 1] = _mm256_unpackhi_epi64(x0, y0);
        w[4 * quarter + 2] = _mm256_unpacklo_epi64(x1, y1);
        w[4 * quarter + 3] = _mm256_unpackhi_epi64(x1, y1);
    }
}

macro_rules! operations {
    ($($name:ident($($arg:ident),*) = $value:expr;)*) => {$(
        #[target_feature(enable = "avx2")]
        #[inline]
        fn $name($($arg: Vector),*) -> Vector {
            $value
        }
    )*};
}

#[target_feature(enable = "avx2")]
#[inline]
fn rotl<const LEFT: i32, const RIGHT: i32>(x: Vector) -> Vector {
    const { assert!(LEFT + RIGHT == 32) };
    _mm256_or_si256(_mm256_slli_epi32::<LEFT>(x), _mm256_srli_epi32::<RIGHT>(x))
}

#[target_feature(enable = "avx2")]
#[inline]
fn splat(word: u32) -> Vector {
    _mm256_set1_epi32(word.cast_signed())
}

operations! {
    add(x, y) = _mm256_add_epi32(x, y);
    xor(x, y) = _mm256_xor_si256(x, y);
    xor3(x, y, z) = xor(xor(x, y), z);

    majority(x, y, z) = xor(y, _mm256_and_si256(xor(x, y), xor(y, z)));
    choose(x, y, z) = xor(z, _mm256_and_si256(x, xor(y, z)));
    rotl7(x) = rotl::<7, 25>(x);
    rotl9(x) = rotl::<9, 23>(x);
    rotl12(x) = rotl::<12, 20>(x);
    rotl15(x) = rotl::<15, 17>(x);
    rotl19(x) = rotl::<19, 13>(x);
    // A rotation by whole bytes is one shuffle: rotations by 17 and 23 come from those by 9 and 15.
    rotl8(x) = _mm256_shuffle_epi8(x, _mm256_setr_epi8(
        3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10,
        15, 12, 13, 14,
    ));
    p0(x) = { let r = rotl9(x); xor3(x, r, rotl8(r)) };
    p1(x) = { let r = rotl15(x); xor3(x, r, rotl8(r)) };
}
