//! Few blocks with GFNI.
//!
//! T is a, b ⋘ 8, b ⋘ 16 and c ⋘ 24 of a = G₀·inv(t), b = G₁·inv(t), c = G₃·inv(t): three instructions side by side, one
//! step of shuffles, and two of XORs.

#![allow(unsafe_code)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // Indices below the arrays' lengths.

use super::affine::{
    A1, A1_INVERSE, CK_IN as SCHEDULE_KEYS, G0, G1, G3, K_INV, K_INV_CONSTANT, ROUND_INV, fold,
    qword,
};

/// `next_prime` leaves out nothing.
static FOLD: [[u32; 4]; 2] = fold(ROUND_INV, 0);

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

/// To both halves of a register the words of its first or second half, their bytes j at j + `by`.
const fn of_half(half: u8, by: usize) -> [u8; 16] {
    let mut out = rotation(by);
    let mut p = 0;
    while p < 16 {
        out[p] = out[p] % 8 + 8 * half;
        p += 1;
    }
    out
}
static HALVES: [[u8; 16]; 4] = [of_half(0, 0), of_half(0, 1), of_half(0, 2), of_half(1, 3)];

macro_rules! kernel {
    ($features:literal, $token:ident, $vectors:ident) => {
        use super::*;
        use crate::cpu::$token;
        use crate::sm4::words::words;

        words!($features, $token, $vectors);

        #[inline]
        #[target_feature(enable = $features)]
        fn rotate(x: V, by: usize) -> V {
            shuffle(x, turn(&ROTATIONS[by & 3]))
        }

        /// For a shuffle that shall be one: told what it does, the compiler makes another of it, or two.
        #[inline]
        #[target_feature(enable = $features)]
        fn turn(places: &[u8; 16]) -> V {
            if TERNARY {
                opaque(table(places))
            } else {
                table(places)
            }
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn linear_in(x: V) -> V {
            affine::<0>(x, qwords(qword(A1)))
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn linear_out(x: V) -> V {
            affine::<0>(x, qwords(qword(A1_INVERSE)))
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn next(t: V, early: V) -> V {
            let a = affine_inverse::<0>(t, qwords(qword(G0)));
            let b = affine_inverse::<0>(t, qwords(qword(G1)));
            let c = affine_inverse::<0>(t, qwords(qword(G3)));
            let soon = opaque(xor(early, a));
            if TERNARY {
                return xor(opaque(sum3(soon, rotate(b, 1), rotate(c, 3))), rotate(b, 2));
            }
            let late = opaque(xor(rotate(b, 1), rotate(b, 2)));
            xor(opaque(xor(soon, rotate(c, 3))), late)
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn next_prime(t: V, early: V) -> V {
            const CONSTANT: i32 = K_INV_CONSTANT as i32;
            let a = affine_inverse::<CONSTANT>(t, qwords(qword(K_INV[0])));
            let b = affine_inverse::<0>(t, qwords(qword(K_INV[1])));
            let c = affine_inverse::<0>(t, qwords(qword(K_INV[2])));
            let d = affine_inverse::<0>(t, qwords(qword(K_INV[3])));
            let soon = opaque(xor(early, a));
            if TERNARY {
                return xor(opaque(sum3(soon, rotate(b, 1), rotate(c, 2))), rotate(d, 3));
            }
            let late = opaque(xor(rotate(b, 1), rotate(c, 2)));
            xor(opaque(xor(soon, rotate(d, 3))), late)
        }
    };
}

/// 256 bits: eight blocks, and twice eight.
pub(super) mod ymm {
    use core::arch::x86_64::{
        _mm256_gf2p8affine_epi64_epi8 as affine,
        _mm256_gf2p8affineinv_epi64_epi8 as affine_inverse, _mm256_set1_epi64x as qwords,
    };
    kernel!("avx2,gfni", Avx2Gfni, ymm);
    super::super::words::chain!("avx2,gfni", Avx2Gfni, next);
}

/// 256 bits with AVX-512's instructions: eight blocks.
pub(super) mod ymm_ternary {
    use core::arch::x86_64::{
        _mm256_gf2p8affine_epi64_epi8 as affine,
        _mm256_gf2p8affineinv_epi64_epi8 as affine_inverse, _mm256_set_epi64x,
        _mm256_set1_epi64x as qwords,
    };
    kernel!("avx512f,avx512bw,avx512vl,gfni", Avx512Gfni, ymm_ternary);

    /// As [`next`] where the halves of each 128 bits are the same: b and c are then halves of one.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,gfni")]
    fn next_of_halves(t: V, early: V) -> V {
        let matrices = _mm256_set_epi64x(qword(G3), qword(G1), qword(G3), qword(G1));
        let bc = affine_inverse::<0>(t, matrices);
        let a = affine_inverse::<0>(t, qwords(qword(G0)));
        let soon = opaque(xor(early, a));
        let b = |by: usize| shuffle(bc, turn(&HALVES[by & 3]));
        let c = shuffle(bc, turn(&HALVES[3]));
        xor(opaque(sum3(soon, b(1), c)), b(2))
    }

    /// As `counter_mode`, up to four blocks.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,gfni")]
    fn counter_mode_twice(keys: &[u32; 32], counter: u128, text: &mut [u8]) {
        let mut x = [[
            linear_in(words((counter >> 96) as u32)),
            linear_in(words((counter >> 64) as u32)),
            linear_in(words((counter >> 32) as u32)),
            linear_in(ascending_twice(counter as u32)),
        ]];
        rounds!(
            x,
            |_, i: usize| words(keys[i]),
            next_of_halves,
            |_, _: &_| ()
        );
        let [a, b, ..] = of_words(x[0]);
        add_to(&[a, b], text);
    }

    /// As [`add_key_stream`], up to four blocks.
    pub(in crate::sm4) fn add_key_stream_to_four(
        _: Avx512Gfni,
        round_keys: &[u32; 32],
        counter: u128,
        text: &mut [u8],
    ) {
        // SAFETY: the token is the proof of the instructions.
        unsafe { counter_mode_twice(round_keys, counter, text) }
    }
    super::super::words::chain!("avx512f,avx512bw,avx512vl,gfni", Avx512Gfni, next_of_halves);
}

/// 512 bits: sixteen blocks, and twice sixteen keys.
pub(super) mod zmm {
    use core::arch::x86_64::{
        _mm512_gf2p8affine_epi64_epi8 as affine,
        _mm512_gf2p8affineinv_epi64_epi8 as affine_inverse, _mm512_set1_epi64 as qwords,
    };
    kernel!("avx512f,avx512bw,gfni", Avx512Gfni, zmm);
}
