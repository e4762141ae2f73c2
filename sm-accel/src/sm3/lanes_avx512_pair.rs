//! Thirty-two messages, sixteen in turn with the other sixteen. The rounds of sixteen are one chain: where an operation on
//! vectors takes two cycles, as on Zen 5, a round takes 13.5, and half of what could execute meanwhile is not there.
//!
//! 16 vectors of state are in registers. 32 of words and the states before the block are not: they are written and read
//! as volatile, so that the compiler makes no copies of its own, which could not be wiped.
#![allow(
    unsafe_code,
    reason = "volatile loads and stores, and the call that the token proves"
)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "constant indices into fixed arrays; offsets stay below the length that was checked"
)]

use core::arch::x86_64::_mm512_setzero_si512;
use core::ptr;

use crate::cpu::Avx512Gfni;
use crate::sm3::lanes::{LaneKernel, LaneStates, common_blocks};
use crate::sm3::lanes_avx512::{
    Vector, add, choose, majority, p0, p1, quarter, rotl7, rotl9, rotl12, rotl15, rotl19, splat,
    xor, xor3,
};
use crate::sm3::rounds::{BLOCK, DIGEST, T};

/// Proof of [`Avx512Gfni`], for twice its lanes.
#[derive(Clone, Copy)]
pub(crate) struct Pair(pub(crate) Avx512Gfni);

impl LaneKernel<32> for Pair {
    // Sixteen or fewer are faster by themselves.
    #[inline]
    fn absorb(self, states: &mut LaneStates<32>, inputs: &[&[u8]; 32], used: usize) -> usize {
        if let (true, Some(inputs)) = (used <= 16, inputs.first_chunk()) {
            let mut first = first_set(states);
            let blocks = self.0.absorb(&mut first, inputs, used);
            set_first(states, &first);
            return blocks;
        }
        let blocks = common_blocks(inputs);
        // SAFETY: the token proves AVX-512 F and BW; every input has as many blocks.
        unsafe { absorb(states, inputs, blocks) };
        blocks
    }

    #[inline]
    fn absorb_digests(self, states: &mut LaneStates<32>, digests: &LaneStates<32>, used: usize) {
        if used <= 16 {
            let mut first = first_set(states);
            self.0.absorb_digests(&mut first, &first_set(digests), used);
            set_first(states, &first);
            return;
        }
        // SAFETY: the token proves AVX-512 F and BW.
        unsafe { absorb_digests(states, digests) }
    }
}

fn first_set(states: &LaneStates<32>) -> LaneStates<16> {
    let mut first = LaneStates::new();
    for (to, from) in first.0.iter_mut().zip(&states.0) {
        to.copy_from_slice(&from[..16]);
    }
    first
}

fn set_first(states: &mut LaneStates<32>, first: &LaneStates<16>) {
    for (to, from) in states.0.iter_mut().zip(&first.0) {
        to[..16].copy_from_slice(from);
    }
}

/// Sixteen words of each set.
struct Words([[Vector; 16]; 2]);

impl Words {
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn new() -> Self {
        Self([[_mm512_setzero_si512(); 16]; 2])
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn get(&self, set: usize, i: usize) -> Vector {
        // SAFETY: a vector that is borrowed.
        unsafe { ptr::read_volatile(&raw const self.0[set][i & 15]) }
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn put(&mut self, set: usize, i: usize, word: Vector) {
        // SAFETY: a vector that is borrowed.
        unsafe { ptr::write_volatile(&raw mut self.0[set][i & 15], word) }
    }

    /// Word i + 16, into the place of word i.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn expand(&mut self, set: usize, i: usize) -> Vector {
        let x = xor3(
            self.get(set, i),
            self.get(set, i + 7),
            rotl15(self.get(set, i + 13)),
        );
        let x = xor3(p1(x), rotl7(self.get(set, i + 3)), self.get(set, i + 10));
        self.put(set, i, x);
        x
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn wipe(&mut self) {
        self.0 = [[_mm512_setzero_si512(); 16]; 2];
        zeroize::optimization_barrier(&self.0);
    }
}

/// # Safety
/// Every input has at least `blocks` whole blocks.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn absorb(states: &mut LaneStates<32>, inputs: &[&[u8]; 32], blocks: usize) {
    let mut words = Words::new();
    for block in 0..blocks {
        let (sets, _) = inputs.as_chunks::<16>();
        for (set, inputs) in sets.iter().enumerate() {
            for q in 0..4 {
                // SAFETY: every input has `blocks` whole blocks.
                let four = unsafe { quarter(inputs, block * BLOCK, q) };
                for (i, word) in four.into_iter().enumerate() {
                    words.put(set, 4 * q + i, word);
                }
            }
        }
        rounds(states, &mut words);
    }
    words.wipe();
}

#[target_feature(enable = "avx512f,avx512bw")]
fn absorb_digests(states: &mut LaneStates<32>, digests: &LaneStates<32>) {
    let mut words = Words::new();
    for set in 0..2 {
        for i in 0..8 {
            words.put(set, i, word(digests, set, i));
        }
        words.put(set, 8, splat(0x8000_0000));
        words.put(set, 15, splat(((BLOCK + DIGEST) * 8) as u32));
    }
    rounds(states, &mut words);
    words.wipe();
}

/// Word `i` of the states of a set.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn word(states: &LaneStates<32>, set: usize, i: usize) -> Vector {
    let (sets, _) = states.0[i].as_chunks::<16>();
    // SAFETY: sixteen words, aligned to 64 bytes: `LaneStates` is, and its rows are 128 long.
    unsafe { ptr::read_volatile((&raw const sets[set]).cast()) }
}

/// `x` added to word `i`, modulo 2.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn add_word(states: &mut LaneStates<32>, set: usize, i: usize, x: Vector) {
    let sum = xor(word(states, set, i), x);
    let (sets, _) = states.0[i].as_chunks_mut::<16>();
    // SAFETY: as at the load.
    unsafe { ptr::write_volatile((&raw mut sets[set]).cast(), sum) }
}

#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn rounds(states: &mut LaneStates<32>, words: &mut Words) {
    macro_rules! load {
        ($($name:ident $i:literal)*) => {
            $(let mut $name = [word(states, 0, $i), word(states, 1, $i)];)*
        };
    }
    load!(a 0 b 1 c 2 d 3 e 4 f 5 g 6 h 7);

    macro_rules! round {
        (@ $set:literal, $t:expr, $i:expr, $later:ident, $ff:ident, $gg:ident,
         $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {{
            let w0 = words.get($set, $i);
            let mixed = xor(w0, words.$later($set, $i + 4));
            let a12 = rotl12($a[$set]);
            let ss1 = rotl7(add(add(a12, splat(T[$t])), $e[$set]));
            let ss2 = xor(ss1, a12);
            let ff = $ff($a[$set], $b[$set], $c[$set]);
            let gg = $gg($e[$set], $f[$set], $g[$set]);
            $d[$set] = add(add(add($d[$set], mixed), ff), ss2);
            $h[$set] = p0(add(add(add($h[$set], w0), gg), ss1));
            $b[$set] = rotl9($b[$set]);
            $f[$set] = rotl19($f[$set]);
        }};
        ($($rest:tt)*) => {
            round!(@ 0, $($rest)*);
            round!(@ 1, $($rest)*);
        };
    }
    macro_rules! four {
        ($t:expr, $i:expr, $later:ident, $ff:ident, $gg:ident) => {
            round!($t, $i, $later, $ff, $gg, a b c d e f g h);
            round!($t + 1, $i + 1, $later, $ff, $gg, d a b c h e f g);
            round!($t + 2, $i + 2, $later, $ff, $gg, c d a b g h e f);
            round!($t + 3, $i + 3, $later, $ff, $gg, b c d a f g h e);
        };
    }
    four!(0, 0, get, xor3, xor3);
    four!(4, 4, get, xor3, xor3);
    four!(8, 8, get, xor3, xor3);
    four!(12, 12, expand, xor3, xor3);
    let mut t = 16;
    while t < 64 {
        four!(t, 0, expand, majority, choose);
        four!(t + 4, 4, expand, majority, choose);
        four!(t + 8, 8, expand, majority, choose);
        four!(t + 12, 12, expand, majority, choose);
        t += 16;
    }
    macro_rules! add {
        ($($name:ident $i:literal)*) => {$(
            add_word(states, 0, $i, $name[0]);
            add_word(states, 1, $i, $name[1]);
        )*};
    }
    add!(a 0 b 1 c 2 d 3 e 4 f 5 g 6 h 7);
}
