//! Plain Rust, for every CPU: sixteen blocks at a time as bit planes.
//!
//! A state word of 16 blocks is eight `u64` planes; bit 16·j + l of plane b is bit b of byte j (0 the least
//! significant) of block l's word. A rotation of words by 8 bits is then a rotation of planes by 16.

#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // Indices below the arrays' lengths.

use super::constants::{CK, FK, carries_constant};
use super::sbox::{SBOX_IN, SBOX_OUT, sbox};
use zeroize::Zeroize;

/// Blocks in flight.
pub(super) const LANES: usize = 16;

/// In every byte: the S-box's output constant sent through L.
const ROUND_CONSTANT: u32 = u32::from_ne_bytes([SBOX_OUT.rotate_left(2); 4]);
const INPUT_CONSTANT: u32 = u32::from_ne_bytes([SBOX_IN; 4]);

/// Folds the constants that [`sbox`] leaves out into the round keys of the standard.
pub(super) fn fold_constants(round_keys: &mut [u32; 32]) {
    for (i, key) in round_keys.iter_mut().enumerate() {
        *key ^= INPUT_CONSTANT;
        if carries_constant(i) {
            *key ^= ROUND_CONSTANT;
        }
    }
}

type Planes = [u64; 8];

/// Bytes of `x` to the low bytes of the four 16-bit groups.
#[inline(always)]
fn spread(x: u32) -> u64 {
    let x = u64::from(x);
    let x = (x | x << 16) & 0x0000_ffff_0000_ffff;
    (x | x << 8) & 0x00ff_00ff_00ff_00ff
}

#[inline(always)]
fn gather(x: u64) -> u32 {
    let x = x & 0x00ff_00ff_00ff_00ff;
    let x = (x | x >> 8) & 0x0000_ffff_0000_ffff;
    (x | x >> 16) as u32
}

/// Exchanges the index of the plane and the low three bits of the position in it; its own inverse.
#[inline(always)]
fn transpose(p: &mut Planes) {
    #[inline(always)]
    fn swap(p: &mut Planes, a: usize, b: usize, shift: u32, mask: u64) {
        let t = (p[a] >> shift ^ p[b]) & mask;
        p[b] ^= t;
        p[a] ^= t << shift;
    }
    for i in [0, 2, 4, 6] {
        swap(p, i, i | 1, 1, 0x5555_5555_5555_5555);
    }
    for i in [0, 1, 4, 5] {
        swap(p, i, i | 2, 2, 0x3333_3333_3333_3333);
    }
    for i in [0, 1, 2, 3] {
        swap(p, i, i | 4, 4, 0x0f0f_0f0f_0f0f_0f0f);
    }
}

#[inline(always)]
fn slice(words: impl Fn(usize) -> u32) -> Planes {
    let mut p = [0; 8];
    for (m, plane) in p.iter_mut().enumerate() {
        *plane = spread(words(m)) | spread(words(m | 8)) << 8;
    }
    transpose(&mut p);
    p
}

#[inline(always)]
fn unslice(mut p: Planes, mut put: impl FnMut(usize, u32)) {
    transpose(&mut p);
    for (m, plane) in p.iter().enumerate() {
        put(m, gather(*plane));
        put(m | 8, gather(*plane >> 8));
    }
}

/// The planes of one word in all lanes.
#[inline(always)]
fn broadcast(x: u32) -> Planes {
    let x = spread(x);
    core::array::from_fn(|b| ((x >> b) & 0x0001_0001_0001_0001).wrapping_mul(0xffff))
}

#[inline(always)]
fn word(block: &[u8; 16], w: usize) -> u32 {
    u32::from_be_bytes([
        block[4 * w],
        block[4 * w + 1],
        block[4 * w + 2],
        block[4 * w + 3],
    ])
}

/// The input of the round's S-boxes.
#[inline(always)]
fn mix(x1: &Planes, x2: &Planes, x3: &Planes, key: &Planes) -> Planes {
    core::array::from_fn(|b| x1[b] ^ x2[b] ^ x3[b] ^ key[b])
}

/// `x ⊕ L(s)`, with L(s) = s ⊕ (s ⋘ 24) ⊕ ((s ⊕ (s ⋘ 8) ⊕ (s ⋘ 16)) ⋘ 2).
#[inline(always)]
fn add_l(x: &mut Planes, s: &Planes) {
    for b in 0..8 {
        let sum = s[b] ^ s[b].rotate_left(16) ^ s[b].rotate_left(32);
        x[b] ^= s[b] ^ s[b].rotate_left(48);
        // Bits 6 and 7 leave their byte for the next one.
        x[(b + 2) & 7] ^= if b < 6 { sum } else { sum.rotate_left(16) };
    }
}

/// `x ⊕ L'(s)`, with L'(s) = s ⊕ (s ⋘ 13) ⊕ (s ⋘ 23).
#[inline(always)]
fn add_l_prime(x: &mut Planes, s: &Planes) {
    for b in 0..8 {
        x[b] ^= s[b];
        x[(b + 5) & 7] ^= s[b].rotate_left(if b < 3 { 16 } else { 32 });
        x[(b + 7) & 7] ^= s[b].rotate_left(if b < 1 { 32 } else { 48 });
    }
}

#[inline(always)]
fn rounds(blocks: &mut [[u8; 16]], key: impl Fn(usize) -> Planes) {
    let blank = [0; 16];
    let mut x: [Planes; 4] =
        core::array::from_fn(|w| slice(|l| word(blocks.get(l).unwrap_or(&blank), w)));
    for i in 0..8 {
        for w in 0..4 {
            let t = mix(
                &x[(w + 1) & 3],
                &x[(w + 2) & 3],
                &x[(w + 3) & 3],
                &key(4 * i + w),
            );
            let s = sbox(t);
            add_l(&mut x[w], &s);
        }
    }
    for (w, planes) in x.iter().enumerate() {
        unslice(*planes, |l, value| {
            if let Some(block) = blocks.get_mut(l) {
                block[12 - 4 * w..16 - 4 * w].copy_from_slice(&value.to_be_bytes());
            }
        });
    }
}

/// Encrypts any number of blocks under one key (folded constants).
pub(super) fn encrypt(round_keys: &[u32; 32], blocks: &mut [[u8; 16]]) {
    for group in blocks.chunks_mut(LANES) {
        rounds(group, |i| broadcast(round_keys[i]));
    }
}

/// Decrypts any number of blocks under one key (folded constants).
pub(super) fn decrypt(round_keys: &[u32; 32], blocks: &mut [[u8; 16]]) {
    for group in blocks.chunks_mut(LANES) {
        rounds(group, |i| broadcast(round_keys[31 - i]));
    }
}

/// Encrypts up to [`LANES`] blocks, each under the key beside it.
pub(super) fn encrypt_each(keys: &[&[u32; 32]], blocks: &mut [[u8; 16]]) {
    rounds(blocks, |i| slice(|l| keys.get(l).map_or(0, |key| key[i])));
}

/// The key schedule (7.3) of up to [`LANES`] keys: round keys as the standard has them.
pub(super) fn schedule(keys: &[[u8; 16]], out: &mut [[u32; 32]]) {
    let blank = [0; 16];
    let mut k: [Planes; 4] =
        core::array::from_fn(|w| slice(|l| word(keys.get(l).unwrap_or(&blank), w) ^ FK[w]));
    for i in 0..32 {
        let w = i & 3;
        let constant = broadcast(CK[i] ^ INPUT_CONSTANT);
        let t = mix(&k[(w + 1) & 3], &k[(w + 2) & 3], &k[(w + 3) & 3], &constant);
        let mut s = sbox(t);
        let out_constant = broadcast(u32::from_ne_bytes([SBOX_OUT; 4]));
        for b in 0..8 {
            s[b] ^= out_constant[b];
        }
        add_l_prime(&mut k[w], &s);
        unslice(k[w], |l, value| {
            if let Some(out) = out.get_mut(l) {
                out[i] = value;
            }
        });
    }
    k.zeroize();
}
