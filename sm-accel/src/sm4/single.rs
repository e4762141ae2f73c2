//! One block, or two to four, with AES-NI: short latency instead of many lanes.
//!
//! Byte j of a state word stands at position 4j of its own register. `AESENC` then does most of L: in column j its
//! MixColumns gives mⱼ = 2sⱼ ⊕ 3sⱼ₊₁ ⊕ sⱼ₊₂ ⊕ sⱼ₊₃ from the bytes s of the S-box in one register and nⱼ = 2(sⱼ ⊕ sⱼ₊₁) in another,
//! if the bytes go in at the right places, and what [`affine`](super::affine) calls a round is H₁·mⱼ ⊕ D·nⱼ with
//! D = (H₀ ⊕ H₁·2)·2⁻¹. So nothing moves between the linear maps and the next S-box but XORs: on the way are one shuffle to
//! place the bytes, `AESENC`, the split into halves, one look-up and two XORs.

#![allow(unsafe_code)]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // Indices below the arrays' lengths.

use core::arch::x86_64::*;

use super::affine::{
    A1, A1_INVERSE, CK_IN, F, FK_BYTES, G1, H0, IN, K_AES, K_AES_CONSTANT, Matrix, apply, inverse,
    nibbles, product, sum,
};
use super::constants::carries_constant;
use crate::cpu::Avx2Aesni;

type V = __m128i;
type Halves = ([u8; 16], [u8; 16]);

/// Multiplication by 2 in the AES field.
const DOUBLE: Matrix = [0x80, 0x81, 0x02, 0x84, 0x88, 0x10, 0x20, 0x40];
const H1: Matrix = product(G1, inverse(F));
const D: Matrix = product(sum(H0, product(H1, DOUBLE)), inverse(DOUBLE));

/// What both AES instructions add so that the S-box's 0x63 is left in m, as in the kernels without GFNI, and not in n:
/// one key for both, because a second would not fit in the registers. (0x63 takes it from both.)
const AES_KEY: u8 = apply(product(inverse(sum(H1, D)), D), 0x63);

static IN_TABLE: Halves = nibbles(A1);
static OUT_TABLE: Halves = nibbles(A1_INVERSE);
static M_TABLE: Halves = nibbles(H1);
static N_TABLE: Halves = nibbles(D);

/// The shuffle before an AES instruction which puts byte `rows[r]` + j into row r of column j behind its ShiftRows;
/// 0x80 gives the S-box of zero.
const fn place(rows: [u8; 4]) -> [u8; 16] {
    let mut out = [0x80; 16];
    let mut q = 0;
    while q < 16 {
        // ShiftRows takes position 5p to p, and 13 is the inverse of 5.
        let p = 13 * q % 16;
        let row = rows[p % 4];
        if row < 4 {
            out[q] = 4 * ((row + (p / 4) as u8) % 4);
        }
        q += 1;
    }
    out
}
static PLACE_M: [u8; 16] = place([0, 1, 2, 3]);
static PLACE_N: [u8; 16] = place([0, 1, 1, 0x80]);

/// The shuffle that takes word w of a block apart: its byte of significance j goes to position 4j.
const fn apart(w: u8) -> [u8; 16] {
    let mut out = [0x80; 16];
    let mut j = 0;
    while j < 4 {
        out[4 * j] = 4 * w + 3 - j as u8;
        j += 1;
    }
    out
}
static APART: [[u8; 16]; 4] = [apart(0), apart(1), apart(2), apart(3)];

/// And puts it back, as word w of a block, with zeros elsewhere.
const fn together(w: usize) -> [u8; 16] {
    let mut out = [0x80; 16];
    let mut j = 0;
    while j < 4 {
        out[4 * w + 3 - j] = 4 * j as u8;
        j += 1;
    }
    out
}
static TOGETHER: [[u8; 16]; 4] = [together(0), together(1), together(2), together(3)];

#[inline]
#[target_feature(enable = "avx2,aes")]
fn load(bytes: &[u8; 16]) -> V {
    // SAFETY: reads the 16 bytes.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2,aes")]
fn store(x: V) -> [u8; 16] {
    let mut bytes = [0; 16];
    // SAFETY: writes the 16 bytes.
    unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), x) };
    bytes
}

#[inline]
#[target_feature(enable = "avx2,aes")]
fn low(table: &Halves, x: V) -> V {
    _mm_shuffle_epi8(load(&table.0), _mm_and_si128(x, _mm_set1_epi8(0x0f)))
}

#[inline]
#[target_feature(enable = "avx2,aes")]
fn high(table: &Halves, x: V) -> V {
    let x = _mm_and_si128(_mm_srli_epi64(x, 4), _mm_set1_epi8(0x0f));
    _mm_shuffle_epi8(load(&table.1), x)
}

#[inline]
#[target_feature(enable = "avx2,aes")]
fn linear(table: &Halves, x: V) -> V {
    _mm_xor_si128(low(table, x), high(table, x))
}

/// A word with its bytes apart.
#[inline]
#[target_feature(enable = "avx2,aes")]
fn widen(word: u32) -> V {
    _mm_cvtepu8_epi32(_mm_cvtsi32_si128(word.cast_signed()))
}

#[inline]
#[target_feature(enable = "avx2,aes")]
fn words_of(block: &[u8; 16]) -> [V; 4] {
    let x = linear(&IN_TABLE, load(block));
    [
        _mm_shuffle_epi8(x, load(&APART[0])),
        _mm_shuffle_epi8(x, load(&APART[1])),
        _mm_shuffle_epi8(x, load(&APART[2])),
        _mm_shuffle_epi8(x, load(&APART[3])),
    ]
}

/// The block that ends with these state words: in reverse order.
#[inline]
#[target_feature(enable = "avx2,aes")]
fn block_of(x: &[V; 4]) -> [u8; 16] {
    let a = _mm_shuffle_epi8(x[3], load(&TOGETHER[0]));
    let b = _mm_shuffle_epi8(x[2], load(&TOGETHER[1]));
    let c = _mm_shuffle_epi8(x[1], load(&TOGETHER[2]));
    let d = _mm_shuffle_epi8(x[0], load(&TOGETHER[3]));
    let x = _mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d));
    store(linear(&OUT_TABLE, x))
}

/// Hides a value from the compiler, which otherwise turns trees of XORs into longer chains.
#[inline]
#[target_feature(enable = "avx2,aes")]
fn opaque(mut x: V) -> V {
    // SAFETY: no instruction at all.
    unsafe {
        core::arch::asm!("/* {0} */", inout(xmm_reg) x, options(pure, nomem, nostack, preserves_flags))
    };
    x
}

/// T(t) but for the round constant, in two parts: the second comes later, and then a single XOR is left to do.
#[inline]
#[target_feature(enable = "avx2,aes")]
fn transform(t: V, aes_key: V) -> (V, V) {
    let m = _mm_aesenc_si128(_mm_shuffle_epi8(t, load(&PLACE_M)), aes_key);
    let n = _mm_aesenc_si128(_mm_shuffle_epi8(t, load(&PLACE_N)), aes_key);
    (
        opaque(_mm_xor_si128(low(&M_TABLE, m), low(&N_TABLE, n))),
        opaque(_mm_xor_si128(high(&M_TABLE, m), high(&N_TABLE, n))),
    )
}

/// Round keys, and whether a round leaves out the constant of the kernels with GFNI.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a> {
    pub(super) words: &'a [u32; 32],
    pub(super) for_gfni: bool,
}

#[inline]
#[target_feature(enable = "avx2,aes")]
fn rounds<const N: usize, const REVERSE: bool>(keys: Keys<'_>, x: &mut [[V; 4]; N]) {
    let aes_key = opaque(_mm_set1_epi8(
        if keys.for_gfni { 0x63 } else { AES_KEY }.cast_signed(),
    ));
    let key = |i: usize| widen(keys.words[if REVERSE { 31 - i } else { i } & 31]);
    let mut t = [_mm_setzero_si128(); N];
    for (t, x) in t.iter_mut().zip(x.iter()) {
        *t = _mm_xor_si128(_mm_xor_si128(x[1], x[2]), _mm_xor_si128(x[3], key(0)));
    }
    for q in 0..8 {
        for w in 0..4 {
            // The last turn makes an input that nobody takes.
            let next = key((4 * q + w + 1) & 31);
            for (x, t) in x.iter_mut().zip(t.iter_mut()) {
                let (soon, late) = transform(*t, aes_key);
                let others = _mm_xor_si128(_mm_xor_si128(x[(w + 2) & 3], x[(w + 3) & 3]), next);
                let before = opaque(_mm_xor_si128(x[w], others));
                *t = _mm_xor_si128(opaque(_mm_xor_si128(before, soon)), late);
                x[w] = _mm_xor_si128(_mm_xor_si128(x[w], soon), late);
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,aes")]
fn group<const N: usize, const REVERSE: bool>(keys: Keys<'_>, blocks: &mut [[u8; 16]; N]) {
    let mut x = [[_mm_setzero_si128(); 4]; N];
    for (x, block) in x.iter_mut().zip(blocks.iter()) {
        *x = words_of(block);
    }
    rounds::<N, REVERSE>(keys, &mut x);
    for (x, block) in x.iter().zip(blocks) {
        *block = block_of(x);
    }
}

#[target_feature(enable = "avx2,aes")]
fn crypt<const REVERSE: bool>(keys: Keys<'_>, blocks: &mut [[u8; 16]]) {
    let (pairs, rest) = blocks.as_chunks_mut::<2>();
    for pair in pairs {
        group::<2, REVERSE>(keys, pair);
    }
    let (rest, _) = rest.as_chunks_mut::<1>();
    for one in rest {
        group::<1, REVERSE>(keys, one);
    }
}

/// Each block is added to the last state in the transformed basis, so the way in and out is beside the chain.
#[target_feature(enable = "avx2,aes")]
fn chain(keys: Keys<'_>, iv: &[u8; 16], blocks: &mut [[u8; 16]]) {
    let [x0, x1, x2, x3] = words_of(iv);
    let mut last = [x3, x2, x1, x0];
    for block in blocks {
        let plain = words_of(block);
        let mut x = [[
            _mm_xor_si128(plain[0], last[3]),
            _mm_xor_si128(plain[1], last[2]),
            _mm_xor_si128(plain[2], last[1]),
            _mm_xor_si128(plain[3], last[0]),
        ]];
        rounds::<1, false>(keys, &mut x);
        [last] = x;
        *block = block_of(&last);
    }
}

/// Encrypts blocks two by two.
pub(super) fn encrypt(_: Avx2Aesni, keys: Keys<'_>, blocks: &mut [[u8; 16]]) {
    // SAFETY: the token is the proof of the instructions.
    unsafe { crypt::<false>(keys, blocks) }
}

/// Decrypts blocks two by two.
pub(super) fn decrypt(_: Avx2Aesni, keys: Keys<'_>, blocks: &mut [[u8; 16]]) {
    // SAFETY: the token is the proof of the instructions.
    unsafe { crypt::<true>(keys, blocks) }
}

/// CBC encryption of one chain.
pub(super) fn cbc_encrypt(_: Avx2Aesni, keys: Keys<'_>, iv: &[u8; 16], blocks: &mut [[u8; 16]]) {
    // SAFETY: the token is the proof of the instructions.
    unsafe { chain(keys, iv, blocks) }
}

static K_TABLES: [Halves; 4] = [
    nibbles(K_AES[0]),
    nibbles(K_AES[1]),
    nibbles(K_AES[2]),
    nibbles(K_AES[3]),
];
static PLACE_K: [[u8; 16]; 4] = [
    place([0, 0x80, 0x80, 0x80]),
    place([3, 0x80, 0x80, 0x80]),
    place([2, 0x80, 0x80, 0x80]),
    place([1, 0x80, 0x80, 0x80]),
];
#[target_feature(enable = "avx2,aes")]
fn schedule_inner(key: &[u8; 16], constant: u8, out: &mut [u32; 32]) {
    let mut k = words_of(&store(_mm_xor_si128(load(key), load(&FK_BYTES))));
    for q in 0..8 {
        for w in 0..4 {
            let i = 4 * q + w;
            let early = _mm_xor_si128(
                _mm_xor_si128(k[(w + 1) & 3], k[(w + 2) & 3]),
                widen(CK_IN[i]),
            );
            let t = _mm_xor_si128(early, k[(w + 3) & 3]);
            let zero = _mm_setzero_si128();
            let a = _mm_aesenclast_si128(
                _mm_shuffle_epi8(t, load(&PLACE_K[0])),
                _mm_set1_epi8(K_AES_CONSTANT.cast_signed()),
            );
            let b = _mm_aesenclast_si128(_mm_shuffle_epi8(t, load(&PLACE_K[1])), zero);
            let c = _mm_aesenclast_si128(_mm_shuffle_epi8(t, load(&PLACE_K[2])), zero);
            let d = _mm_aesenclast_si128(_mm_shuffle_epi8(t, load(&PLACE_K[3])), zero);
            let ab = _mm_xor_si128(low(&K_TABLES[0], a), low(&K_TABLES[1], b));
            let cd = _mm_xor_si128(low(&K_TABLES[2], c), low(&K_TABLES[3], d));
            let early = _mm_xor_si128(k[w], _mm_xor_si128(ab, cd));
            let ab = _mm_xor_si128(high(&K_TABLES[0], a), high(&K_TABLES[1], b));
            let cd = _mm_xor_si128(high(&K_TABLES[2], c), high(&K_TABLES[3], d));
            k[w] = _mm_xor_si128(early, _mm_xor_si128(ab, cd));
            let carried = if carries_constant(i) { constant } else { 0 };
            let word = _mm_cvtsi128_si32(_mm_shuffle_epi8(k[w], _mm_cvtsi32_si128(0x0c08_0400)));
            out[i] = word.cast_unsigned() ^ u32::from_ne_bytes([IN ^ carried; 4]);
        }
    }
}

/// The key schedule of one key, for kernels that leave out `constant` in a round.
pub(super) fn schedule(_: Avx2Aesni, key: &[u8; 16], constant: u8, out: &mut [u32; 32]) {
    // SAFETY: the token is the proof of the instructions.
    unsafe { schedule_inner(key, constant, out) }
}
