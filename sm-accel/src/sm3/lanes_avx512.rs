//! Sixteen messages in 512-bit registers: rotations and ternary logic are single instructions, and states and
//! words stay in registers.
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
    __m128i, __m512i, _mm_loadu_si128, _mm_setr_epi8, _mm512_add_epi32, _mm512_broadcast_i32x4,
    _mm512_castsi128_si512, _mm512_inserti32x4, _mm512_load_si512, _mm512_rol_epi32,
    _mm512_set1_epi32, _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_store_si512,
    _mm512_ternarylogic_epi32, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32,
    _mm512_unpacklo_epi64, _mm512_xor_si512,
};

use crate::cpu::Avx512Gfni;
use crate::sm3::lane_rounds::lane_rounds;
use crate::sm3::lanes::{LaneKernel, LaneStates, common_blocks};
use crate::sm3::rounds::{BLOCK, DIGEST, T};

pub(super) type Vector = __m512i;

impl LaneKernel<16> for Avx512Gfni {
    #[inline]
    fn absorb(self, states: &mut LaneStates<16>, inputs: &[&[u8]; 16], _used: usize) -> usize {
        // SAFETY: the token proves AVX-512 F and BW.
        unsafe { absorb(states, inputs) }
    }

    #[inline]
    fn absorb_digests(self, states: &mut LaneStates<16>, digests: &LaneStates<16>, _used: usize) {
        // SAFETY: the token proves AVX-512 F and BW.
        unsafe { absorb_digests(states, digests) }
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn absorb(states: &mut LaneStates<16>, inputs: &[&[u8]; 16]) -> usize {
    let blocks = common_blocks(inputs);
    let mut state = load_states(states);
    let mut w = [_mm512_setzero_si512(); 16];
    for block in 0..blocks {
        // SAFETY: every input has `blocks` whole blocks.
        unsafe { load(&mut w, inputs, block * BLOCK) };
        lane_rounds!(&mut state, &mut w);
    }
    store_states(&state, states);
    // The words may come from a key; they were in memory only if the compiler spilled them.
    w = [_mm512_setzero_si512(); 16];
    zeroize::optimization_barrier(&w);
    blocks
}

#[target_feature(enable = "avx512f,avx512bw")]
fn absorb_digests(states: &mut LaneStates<16>, digests: &LaneStates<16>) {
    let mut state = load_states(states);
    let mut w = [_mm512_setzero_si512(); 16];
    for (word, digest) in w.iter_mut().zip(load_states(digests)) {
        *word = digest;
    }
    w[8] = splat(0x8000_0000);
    w[15] = splat(((BLOCK + DIGEST) * 8) as u32);
    lane_rounds!(&mut state, &mut w);
    store_states(&state, states);
    w = [_mm512_setzero_si512(); 16];
    zeroize::optimization_barrier(&w);
}

#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn load_states(states: &LaneStates<16>) -> [Vector; 8] {
    let mut vectors = [_mm512_setzero_si512(); 8];
    for (vector, words) in vectors.iter_mut().zip(&states.0) {
        // SAFETY: sixteen words, aligned to 64 bytes: `LaneStates` is, and its rows are 64 long.
        *vector = unsafe { _mm512_load_si512(words.as_ptr().cast()) };
    }
    vectors
}

#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn store_states(vectors: &[Vector; 8], states: &mut LaneStates<16>) {
    for (vector, words) in vectors.iter().zip(&mut states.0) {
        // SAFETY: as at the load.
        unsafe { _mm512_store_si512(words.as_mut_ptr().cast(), *vector) };
    }
}

/// Words 0 to 15 of the block at `offset` of every input: quarters of four messages side by side, bytes swapped,
/// then 4x4 transposes within the quarters.
///
/// # Safety
/// Every input has at least `offset + 64` bytes.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn load(w: &mut [Vector; 16], inputs: &[&[u8]; 16], offset: usize) {
    for q in 0..4 {
        // SAFETY: as the caller's.
        let four = unsafe { quarter(inputs, offset, q) };
        w[4 * q..4 * q + 4].copy_from_slice(&four);
    }
}

/// Words 4q to 4q + 3 of it.
///
/// # Safety
/// Every input has at least `offset + 64` bytes, and `q` is below 4.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
pub(super) unsafe fn quarter(inputs: &[&[u8]; 16], offset: usize, q: usize) -> [Vector; 4] {
    let swap = _mm512_broadcast_i32x4(_mm_setr_epi8(
        3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12,
    ));
    let row = |i: usize| {
        let part = |lane: usize| -> __m128i {
            // SAFETY: 16 bytes at `offset + 16 * q`, below `offset + 64`, which the input has.
            unsafe { _mm_loadu_si128(inputs[lane].as_ptr().add(offset + 16 * q).cast()) }
        };
        let all = _mm512_castsi128_si512(part(i));
        let all = _mm512_inserti32x4::<1>(all, part(i + 4));
        let all = _mm512_inserti32x4::<2>(all, part(i + 8));
        let all = _mm512_inserti32x4::<3>(all, part(i + 12));
        _mm512_shuffle_epi8(all, swap)
    };
    let (r0, r1, r2, r3) = (row(0), row(1), row(2), row(3));
    let (x0, x1) = (_mm512_unpacklo_epi32(r0, r1), _mm512_unpackhi_epi32(r0, r1));
    let (y0, y1) = (_mm512_unpacklo_epi32(r2, r3), _mm512_unpackhi_epi32(r2, r3));
    [
        _mm512_unpacklo_epi64(x0, y0),
        _mm512_unpackhi_epi64(x0, y0),
        _mm512_unpacklo_epi64(x1, y1),
        _mm512_unpackhi_epi64(x1, y1),
    ]
}

macro_rules! operations {
    ($($name:ident($($arg:ident),*) = $value:expr;)*) => {$(
        #[target_feature(enable = "avx512f,avx512bw")]
        #[inline]
        pub(super) fn $name($($arg: Vector),*) -> Vector {
            $value
        }
    )*};
}

#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
pub(super) fn splat(word: u32) -> Vector {
    _mm512_set1_epi32(word.cast_signed())
}

operations! {
    add(x, y) = _mm512_add_epi32(x, y);
    xor(x, y) = _mm512_xor_si512(x, y);
    // Truth tables: bit 4x + 2y + z of the constant is the result.
    xor3(x, y, z) = _mm512_ternarylogic_epi32::<0x96>(x, y, z);
    majority(x, y, z) = _mm512_ternarylogic_epi32::<0xE8>(x, y, z);
    choose(x, y, z) = _mm512_ternarylogic_epi32::<0xCA>(x, y, z);
    rotl7(x) = _mm512_rol_epi32::<7>(x);
    rotl9(x) = _mm512_rol_epi32::<9>(x);
    rotl12(x) = _mm512_rol_epi32::<12>(x);
    rotl15(x) = _mm512_rol_epi32::<15>(x);
    rotl19(x) = _mm512_rol_epi32::<19>(x);
    p0(x) = xor3(x, _mm512_rol_epi32::<9>(x), _mm512_rol_epi32::<17>(x));
    p1(x) = xor3(x, _mm512_rol_epi32::<15>(x), _mm512_rol_epi32::<23>(x));
}
