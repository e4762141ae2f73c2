//! Few blocks with AES-NI or VAES.
//!
//! Each word is a column of the AES state. `AESENC` then does most of L: its MixColumns gives
//! mⱼ = 2sⱼ ⊕ 3sⱼ₊₁ ⊕ sⱼ₊₂ ⊕ sⱼ₊₃ from the bytes s of the S-box, and what [`affine`](super::affine) calls a round is
//! H₁·mⱼ ⊕ D·(sⱼ ⊕ sⱼ₊₁) with D = H₀ ⊕ H₁·2.

#![allow(unsafe_code)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // Indices below the arrays' lengths.

use super::affine::{
    A1, A1_INVERSE, CK_AES as SCHEDULE_KEYS, F, G1, H0, K_AES, K_AES_CONSTANT, Matrix, ROUND_AES,
    fold, inverse, nibbles, product, sum,
};

/// `next_prime` leaves out [`K_AES_CONSTANT`].
static FOLD: [[u32; 4]; 2] = fold(ROUND_AES, K_AES_CONSTANT);

type Halves = ([u8; 16], [u8; 16]);

/// Multiplication by 2 in the AES field.
const DOUBLE: Matrix = [0x80, 0x81, 0x02, 0x84, 0x88, 0x10, 0x20, 0x40];
const H1: Matrix = product(G1, inverse(F));
const D: Matrix = sum(H0, product(H1, DOUBLE));

static IN_TABLE: Halves = nibbles(A1);
static OUT_TABLE: Halves = nibbles(A1_INVERSE);
static M_TABLE: Halves = nibbles(H1);
static D_TABLE: Halves = nibbles(D);
static K_TABLES: [Halves; 4] = [
    nibbles(K_AES[0]),
    nibbles(K_AES[1]),
    nibbles(K_AES[2]),
    nibbles(K_AES[3]),
];

/// The shuffle before an AES instruction which undoes its ShiftRows and moves byte j + `by` of each word to byte j.
const fn place(by: usize) -> [u8; 16] {
    let mut out = [0; 16];
    let mut p = 0;
    while p < 16 {
        let (column, row) = (p / 4, p % 4);
        // ShiftRows takes this row's byte from so many columns on.
        out[4 * ((column + row) % 4) + row] = (4 * column + (row + by) % 4) as u8;
        p += 1;
    }
    out
}
static PLACE: [u8; 16] = place(0);
static PLACE_NEXT: [u8; 16] = place(1);

/// The shuffle that moves byte j of each word to byte j + `by`.
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

macro_rules! kernel {
    ($features:literal, $token:ident, $vectors:ident) => {
        use super::*;
        use crate::cpu::$token;
        use crate::sm4::words::words;

        words!($features, $token, $vectors);

        #[inline]
        #[target_feature(enable = $features)]
        fn look_up(tables: &'static Halves, (low, high): (V, V)) -> V {
            xor(
                shuffle(table(&tables.0), low),
                shuffle(table(&tables.1), high),
            )
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn linear_in(x: V) -> V {
            look_up(&IN_TABLE, halves(x))
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn linear_out(x: V) -> V {
            look_up(&OUT_TABLE, halves(x))
        }

        /// The last XOR of all waits for the longest way alone.
        #[inline]
        #[target_feature(enable = $features)]
        fn next(t: V, early: V) -> V {
            let placed = shuffle(t, table(&PLACE));
            let m = halves(aes_round(placed));
            let s = aes_last(placed, words(0));
            let d = halves(xor(s, aes_last(shuffle(t, table(&PLACE_NEXT)), words(0))));
            let soon = opaque(xor(early, shuffle(table(&M_TABLE.0), m.0)));
            let soon = opaque(xor(soon, shuffle(table(&D_TABLE.0), d.0)));
            let soon = opaque(xor(soon, shuffle(table(&M_TABLE.1), m.1)));
            xor(soon, shuffle(table(&D_TABLE.1), d.1))
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn next_prime(t: V, early: V) -> V {
            let s = halves(aes_last(shuffle(t, table(&PLACE)), words(0)));
            let k1 = shuffle(look_up(&K_TABLES[1], s), table(&ROTATIONS[1]));
            let k2 = shuffle(look_up(&K_TABLES[2], s), table(&ROTATIONS[2]));
            let k3 = shuffle(look_up(&K_TABLES[3], s), table(&ROTATIONS[3]));
            let soon = opaque(xor(early, look_up(&K_TABLES[0], s)));
            xor(opaque(xor(soon, k1)), opaque(xor(k2, k3)))
        }
    };
}

/// 128 bits: four blocks, and twice four.
pub(super) mod aesni {
    kernel!("avx2,aes", Avx2Aesni, xmm);
    super::super::words::chain!("avx2,aes", Avx2Aesni, next);
}

/// 256 bits: eight blocks, and twice eight.
pub(super) mod vaes {
    kernel!("avx2,aes,vaes", Avx2Vaes, ymm);
}
