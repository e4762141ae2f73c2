//! AVX2 and GFNI: inversion and linear map are one instruction.

#![allow(unsafe_code)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // Indices below the arrays' lengths.

use core::arch::x86_64::*;

use super::affine::{A1, A1_INVERSE, G0, G3, qword};
use super::byte_sliced::byte_sliced;
use crate::cpu::Avx2Gfni;

/// Blocks in flight.
pub(super) const WIDTH: usize = LANES;

byte_sliced!("avx2,gfni", Avx2Gfni, ymm);

#[inline]
#[target_feature(enable = "avx2,gfni")]
fn linear_in(x: V) -> V {
    _mm256_gf2p8affine_epi64_epi8(x, qwords(qword(A1)), 0)
}

#[inline]
#[target_feature(enable = "avx2,gfni")]
fn linear_out(x: V) -> V {
    _mm256_gf2p8affine_epi64_epi8(x, qwords(qword(A1_INVERSE)), 0)
}

#[inline]
#[target_feature(enable = "avx2,gfni")]
fn substitute(t: V) -> (V, V) {
    (
        _mm256_gf2p8affineinv_epi64_epi8(t, qwords(qword(G0)), 0),
        _mm256_gf2p8affineinv_epi64_epi8(t, qwords(qword(G3)), 0),
    )
}
