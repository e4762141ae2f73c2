//! Few blocks with GFNI: eight in 256 bits, and twice eight.
//!
//! T is a, b ⋘ 8, b ⋘ 16 and c ⋘ 24 of a = G₀·inv(t), b = G₁·inv(t), c = G₃·inv(t): three instructions side by side, one
//! step of shuffles, and two of XORs.

#![allow(unsafe_code)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // Indices below the arrays' lengths.

use core::arch::x86_64::*;

use super::affine::{
    A1, A1_INVERSE, CK_IN as SCHEDULE_KEYS, G0, G1, G3, K_INV, K_INV_CONSTANT, qword,
};
use super::words::words;
use crate::cpu::Avx2Gfni;

/// What `next_prime` leaves out.
const LEFT_OUT: u8 = 0;

words!("avx2,gfni", Avx2Gfni, ymm);
super::words::chain!("avx2,gfni", Avx2Gfni);

const fn rotation(by: usize) -> [u8; 16] {
    let mut out = [0; 16];
    let mut p = 0;
    while p < 16 {
        out[p] = (p / 4 * 4 + (p + 4 - by) % 4) as u8;
        p += 1;
    }
    out
}
static ROTATIONS: [[u8; 16]; 4] = [rotation(0), rotation(1), rotation(2), rotation(3)];

#[inline]
#[target_feature(enable = "avx2,gfni")]
fn rotate(x: V, by: usize) -> V {
    shuffle(x, table(&ROTATIONS[by & 3]))
}

#[inline]
#[target_feature(enable = "avx2,gfni")]
fn linear_in(x: V) -> V {
    _mm256_gf2p8affine_epi64_epi8(x, _mm256_set1_epi64x(qword(A1)), 0)
}

#[inline]
#[target_feature(enable = "avx2,gfni")]
fn linear_out(x: V) -> V {
    _mm256_gf2p8affine_epi64_epi8(x, _mm256_set1_epi64x(qword(A1_INVERSE)), 0)
}

#[inline]
#[target_feature(enable = "avx2,gfni")]
fn next(t: V, early: V) -> V {
    let a = _mm256_gf2p8affineinv_epi64_epi8(t, _mm256_set1_epi64x(qword(G0)), 0);
    let b = _mm256_gf2p8affineinv_epi64_epi8(t, _mm256_set1_epi64x(qword(G1)), 0);
    let c = _mm256_gf2p8affineinv_epi64_epi8(t, _mm256_set1_epi64x(qword(G3)), 0);
    let soon = opaque(xor(early, a));
    let late = opaque(xor(rotate(b, 1), rotate(b, 2)));
    xor(opaque(xor(soon, rotate(c, 3))), late)
}

#[inline]
#[target_feature(enable = "avx2,gfni")]
fn next_prime(t: V, early: V) -> V {
    const CONSTANT: i32 = K_INV_CONSTANT as i32;
    let a = _mm256_gf2p8affineinv_epi64_epi8(t, _mm256_set1_epi64x(qword(K_INV[0])), CONSTANT);
    let b = _mm256_gf2p8affineinv_epi64_epi8(t, _mm256_set1_epi64x(qword(K_INV[1])), 0);
    let c = _mm256_gf2p8affineinv_epi64_epi8(t, _mm256_set1_epi64x(qword(K_INV[2])), 0);
    let d = _mm256_gf2p8affineinv_epi64_epi8(t, _mm256_set1_epi64x(qword(K_INV[3])), 0);
    let soon = opaque(xor(early, a));
    let late = opaque(xor(rotate(b, 1), rotate(c, 2)));
    xor(opaque(xor(soon, rotate(d, 3))), late)
}
