//! AVX2 and AES-NI: the S-box through `AESENCLAST` on 128 bits, linear maps by `VPSHUFB` on half bytes.

#![allow(unsafe_code)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // Indices below the arrays' lengths.

use core::arch::x86_64::*;

use super::affine::{A1, A1_INVERSE, H0, H3, Matrix, nibbles};
use super::byte_sliced::byte_sliced;
use crate::cpu::Avx2Aesni;

byte_sliced!("avx2,aes", Avx2Aesni, ymm);

/// Undoes ShiftRows beforehand: the column of each byte, moved on by its row.
const UNSHIFT: [u8; 16] = [0, 13, 10, 7, 4, 1, 14, 11, 8, 5, 2, 15, 12, 9, 6, 3];

#[inline]
#[target_feature(enable = "avx2")]
fn twice(table: [u8; 16]) -> V {
    // SAFETY: reads the 16 bytes of `table`.
    unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast())) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn halves(x: V) -> (V, V) {
    let mask = _mm256_set1_epi8(0x0f);
    (
        _mm256_and_si256(x, mask),
        _mm256_and_si256(_mm256_srli_epi64(x, 4), mask),
    )
}

#[inline]
#[target_feature(enable = "avx2")]
fn look_up(m: &'static ([u8; 16], [u8; 16]), (low, high): (V, V)) -> V {
    _mm256_xor_si256(
        _mm256_shuffle_epi8(twice(m.0), low),
        _mm256_shuffle_epi8(twice(m.1), high),
    )
}

const fn table(m: Matrix) -> ([u8; 16], [u8; 16]) {
    nibbles(m)
}
static IN_TABLE: ([u8; 16], [u8; 16]) = table(A1);
static OUT_TABLE: ([u8; 16], [u8; 16]) = table(A1_INVERSE);
static H0_TABLE: ([u8; 16], [u8; 16]) = table(H0);
static H3_TABLE: ([u8; 16], [u8; 16]) = table(H3);

#[inline]
#[target_feature(enable = "avx2")]
fn linear_in(x: V) -> V {
    look_up(&IN_TABLE, halves(x))
}

#[inline]
#[target_feature(enable = "avx2")]
fn linear_out(x: V) -> V {
    look_up(&OUT_TABLE, halves(x))
}

#[inline]
#[target_feature(enable = "avx2,aes")]
fn aes_s_box(t: V) -> V {
    let key = _mm_setzero_si128();
    let t = _mm256_shuffle_epi8(t, twice(UNSHIFT));
    let low = _mm_aesenclast_si128(_mm256_castsi256_si128(t), key);
    let high = _mm_aesenclast_si128(_mm256_extracti128_si256(t, 1), key);
    _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1)
}

#[inline]
#[target_feature(enable = "avx2,aes")]
fn substitute(t: V) -> (V, V) {
    let s = halves(aes_s_box(t));
    (look_up(&H0_TABLE, s), look_up(&H3_TABLE, s))
}
