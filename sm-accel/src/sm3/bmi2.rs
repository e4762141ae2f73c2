//! One message: rounds in general registers with BMI1 and BMI2 (`andn`, `rorx`), and the message expansion beside
//! them in vector registers, twelve rounds ahead.
//!
//! What bounds it is the chain from E to the next E, six operations of one cycle: the addition of SS1, a rotation, the
//! addition of TT2, a rotation and two XORs of P0. (A to SS1 to E to A is twelve in two rounds.) GG would make it seven,
//! so that is begun in the round before, with what is there of E. No chain has a cycle to spare, and of six that can
//! execute, the wrong one first costs one: the instructions are in the order that was fastest of some thousands on Zen 5.
#![allow(
    unsafe_code,
    reason = "assembly of registers and two words of memory, vector loads and stores, and the call that the token proves"
)]
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::many_single_char_names,
    reason = "constant indices, masked, into arrays of 4, 16 and 64 words; the names of the standard"
)]

use core::arch::asm;
use core::arch::x86_64::{
    __m128i, _mm_alignr_epi8, _mm_loadu_si128, _mm_or_si128, _mm_set_epi8, _mm_setzero_si128,
    _mm_shuffle_epi8, _mm_shuffle_epi32, _mm_slli_epi32, _mm_slli_si128, _mm_srli_epi32,
    _mm_srli_epi64, _mm_srli_si128, _mm_store_si128, _mm_xor_si128,
};

use crate::cpu::Avx2Aesni;
use crate::sm3::rounds::{BLOCK, State, T};

pub(crate) fn compress(_proof: Avx2Aesni, state: &mut State, blocks: &[[u8; BLOCK]]) {
    // SAFETY: the token proves AVX2, BMI1 and BMI2.
    unsafe { compress_blocks(state, blocks) }
}

/// Sixteen words of the schedule on their way to the rounds, four at a time in turn: W_j, then W_j ^ W_{j+4}.
#[repr(C, align(32))]
struct Ring([__m128i; 4], [__m128i; 4]);

/// One round on the words at byte `$at` of the ring: D becomes the new A, H the new E, B and F are rotated, and `{gg}`,
/// which holds GG(E, F, G), goes on with that of the next round.
macro_rules! round {
    ($ring:ident, $j:expr, $gg:ident, ($($instruction:literal)*),
     $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
        // SAFETY: reads two words of the ring, at multiples of 4 below 64 and 64 further; writes nothing but
        // its registers and flags; no stack. The caller's features have the instructions.
        unsafe {
            asm!(
                $($instruction,)*
                ring = in(reg) $ring,
                at = const ($j % 16) * 4,
                t = const T[$j].cast_signed(),
                a = in(reg) $a,
                b = inout(reg) $b,
                c = in(reg) $c,
                d = inout(reg) $d,
                e = in(reg) $e,
                f = inout(reg) $f,
                h = inout(reg) $h,
                gg = inout(reg) $gg,
                x = out(reg) _,
                y = out(reg) _,
                u = out(reg) _,
                options(pure, readonly, nostack),
            );
        }
    };
}

/// Rounds 0 to 14: FF and GG are sums modulo 2.
macro_rules! early {
    ($ring:ident, $j:expr, $gg:ident, $($word:ident)*) => {
        round!($ring, $j, $gg, (
            "add {h:e}, dword ptr [{ring} + {at}]" "rorx {x:e}, {a:e}, 20" "lea {y:e}, [{x:r} + {t}]"
            "add {d:e}, dword ptr [{ring} + {at} + 64]" "add {y:e}, {e:e}" "add {h:e}, {gg:e}"
            "rol {y:e}, 7" "mov {u:e}, {b:e}" "xor {u:e}, {c:e}" "xor {u:e}, {a:e}" "add {d:e}, {u:e}"
            "add {h:e}, {y:e}" "rol {f:e}, 19" "xor {x:e}, {y:e}" "mov {gg:e}, {f:e}" "xor {gg:e}, {e:e}"
            "rorx {y:e}, {h:e}, 23" "add {d:e}, {x:e}" "rorx {x:e}, {h:e}, 15" "rol {b:e}, 9"
            "xor {x:e}, {y:e}" "xor {h:e}, {x:e}" "xor {gg:e}, {h:e}"
        ), $($word)*)
    };
}

/// Round 15: FF as before it, the next GG as behind it.
macro_rules! turn {
    ($ring:ident, $j:expr, $gg:ident, $($word:ident)*) => {
        round!($ring, $j, $gg, (
            "add {h:e}, dword ptr [{ring} + {at}]" "rorx {x:e}, {a:e}, 20" "lea {y:e}, [{x:r} + {t}]"
            "add {d:e}, dword ptr [{ring} + {at} + 64]" "add {y:e}, {e:e}" "add {h:e}, {gg:e}"
            "rol {y:e}, 7" "mov {u:e}, {b:e}" "xor {u:e}, {c:e}" "xor {u:e}, {a:e}" "add {d:e}, {u:e}"
            "add {h:e}, {y:e}" "rol {f:e}, 19" "xor {x:e}, {y:e}" "mov {gg:e}, {f:e}" "xor {gg:e}, {e:e}"
            "rorx {y:e}, {h:e}, 23" "add {d:e}, {x:e}" "rorx {x:e}, {h:e}, 15" "rol {b:e}, 9"
            "andn {u:e}, {h:e}, {gg:e}" "xor {x:e}, {y:e}" "and {gg:e}, {x:e}" "xor {u:e}, {e:e}"
            "xor {h:e}, {x:e}" "xor {gg:e}, {u:e}"
        ), $($word)*)
    };
}

/// Rounds 16 to 62: FF = (A & (B ^ C)) + (B & C), a sum of disjoint bits; the next GG of the new E = TT2 ^ R, with
/// R = TT2 <<< 9 ^ TT2 <<< 17 and M = E ^ F: (F ^ (~TT2 & M)) ^ (R & M).
macro_rules! late {
    ($ring:ident, $j:expr, $gg:ident, $($word:ident)*) => {
        round!($ring, $j, $gg, (
            "add {h:e}, dword ptr [{ring} + {at}]" "rorx {x:e}, {a:e}, 20" "add {h:e}, {gg:e}"
            "lea {y:e}, [{x:r} + {t}]" "add {d:e}, dword ptr [{ring} + {at} + 64]" "mov {u:e}, {b:e}"
            "xor {u:e}, {c:e}" "add {y:e}, {e:e}" "andn {gg:e}, {u:e}, {b:e}" "rol {f:e}, 19" "rol {y:e}, 7"
            "rol {b:e}, 9" "add {d:e}, {gg:e}" "mov {gg:e}, {f:e}" "and {u:e}, {a:e}" "add {h:e}, {y:e}"
            "add {d:e}, {u:e}" "xor {x:e}, {y:e}" "rorx {y:e}, {h:e}, 23" "add {d:e}, {x:e}"
            "rorx {x:e}, {h:e}, 15" "xor {gg:e}, {e:e}" "andn {u:e}, {h:e}, {gg:e}" "xor {x:e}, {y:e}"
            "and {gg:e}, {x:e}" "xor {u:e}, {e:e}" "xor {h:e}, {x:e}" "xor {gg:e}, {u:e}"
        ), $($word)*)
    };
}

/// Round 63: no GG is wanted behind it.
macro_rules! last {
    ($ring:ident, $j:expr, $gg:ident, $($word:ident)*) => {
        round!($ring, $j, $gg, (
            "add {h:e}, dword ptr [{ring} + {at}]" "rorx {x:e}, {a:e}, 20" "add {h:e}, {gg:e}"
            "lea {y:e}, [{x:r} + {t}]" "add {d:e}, dword ptr [{ring} + {at} + 64]" "mov {u:e}, {b:e}"
            "xor {u:e}, {c:e}" "add {y:e}, {e:e}" "andn {gg:e}, {u:e}, {b:e}" "rol {f:e}, 19" "rol {y:e}, 7"
            "rol {b:e}, 9" "add {d:e}, {gg:e}" "and {u:e}, {a:e}" "add {h:e}, {y:e}"
            "add {d:e}, {u:e}" "xor {x:e}, {y:e}" "rorx {y:e}, {h:e}, 23" "add {d:e}, {x:e}"
            "rorx {x:e}, {h:e}, 15" "xor {x:e}, {y:e}" "xor {h:e}, {x:e}"
        ), $($word)*)
    };
}

/// The state before the block, added modulo 2 to that behind it. In assembly, for LLVM makes a vector of the words and words
/// of that vector, which is ten cycles on the way from block to block.
macro_rules! add_state {
    ($state:ident, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
        // SAFETY: reads and writes the eight words of the state that is borrowed; no stack.
        unsafe {
            asm!(
                "xor {a:e}, dword ptr [{state}]",
                "xor {b:e}, dword ptr [{state} + 4]",
                "xor {c:e}, dword ptr [{state} + 8]",
                "xor {d:e}, dword ptr [{state} + 12]",
                "xor {e:e}, dword ptr [{state} + 16]",
                "xor {f:e}, dword ptr [{state} + 20]",
                "xor {g:e}, dword ptr [{state} + 24]",
                "xor {h:e}, dword ptr [{state} + 28]",
                "mov dword ptr [{state}], {a:e}",
                "mov dword ptr [{state} + 4], {b:e}",
                "mov dword ptr [{state} + 8], {c:e}",
                "mov dword ptr [{state} + 12], {d:e}",
                "mov dword ptr [{state} + 16], {e:e}",
                "mov dword ptr [{state} + 20], {f:e}",
                "mov dword ptr [{state} + 24], {g:e}",
                "mov dword ptr [{state} + 28], {h:e}",
                state = in(reg) &raw mut *$state,
                a = inout(reg) $a,
                b = inout(reg) $b,
                c = inout(reg) $c,
                d = inout(reg) $d,
                e = inout(reg) $e,
                f = inout(reg) $f,
                g = inout(reg) $g,
                h = inout(reg) $h,
                options(nostack),
            );
        }
    };
}

macro_rules! rotl {
    ($x:expr, $left:literal) => {{
        let x = $x;
        _mm_or_si128(
            _mm_slli_epi32::<$left>(x),
            _mm_srli_epi32::<{ 32 - $left }>(x),
        )
    }};
}

#[target_feature(enable = "avx2,bmi1,bmi2")]
#[allow(unused_assignments, reason = "GG of the last round is scratch")]
fn compress_blocks(state: &mut State, blocks: &[[u8; BLOCK]]) {
    let Some(mut block) = blocks.first() else {
        return;
    };
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    let mut w = [0, 1, 2, 3].map(|i| quarter(block, i));
    let mut ring = Ring(w, [_mm_setzero_si128(); 4]);
    for i in 0..3 {
        store(&mut ring.1[i], _mm_xor_si128(w[i], w[i + 1]));
    }
    for n in 1..=blocks.len() {
        // The next; behind the last that one again, for nothing.
        block = blocks.get(n).unwrap_or(block);
        let mut gg = e ^ f ^ g;
        // Four rounds, and words 16 to 19 after the first of them; instead of words 64 to 79, those of the next block, so
        // that none waits for its memory.
        macro_rules! four {
            ($r0:ident, $r3:ident, $j:expr) => {
                let i = $j / 4 % 4;
                let words = &raw const ring;
                $r0!(words, $j, gg, a b c d e f g h);
                $r0!(words, $j + 1, gg, d a b c h e f g);
                $r0!(words, $j + 2, gg, c d a b g h e f);
                $r3!(words, $j + 3, gg, b c d a f g h e);
                if $j < 52 {
                    w[i] = expand(w[i], w[(i + 1) & 3], w[(i + 2) & 3], w[(i + 3) & 3]);
                    store(&mut ring.1[(i + 3) & 3], _mm_xor_si128(w[(i + 3) & 3], w[i]));
                }
                if $j >= 48 {
                    w[i] = quarter(block, i);
                }
                if $j >= 52 {
                    store(&mut ring.1[(i + 3) & 3], _mm_xor_si128(w[(i + 3) & 3], w[i]));
                }
                store(&mut ring.0[i], w[i]);
            };
        }
        four!(early, early, 0);
        four!(early, early, 4);
        four!(early, early, 8);
        four!(early, turn, 12);
        four!(late, late, 16);
        four!(late, late, 20);
        four!(late, late, 24);
        four!(late, late, 28);
        four!(late, late, 32);
        four!(late, late, 36);
        four!(late, late, 40);
        four!(late, late, 44);
        four!(late, late, 48);
        four!(late, late, 52);
        four!(late, late, 56);
        four!(late, last, 60);
        add_state!(state, a b c d e f g h);
    }
    // The words may come from a key.
    ring = Ring([_mm_setzero_si128(); 4], [_mm_setzero_si128(); 4]);
    zeroize::optimization_barrier(&ring);
}

/// Words 4i to 4i + 3 of a block.
#[target_feature(enable = "avx2")]
#[inline]
fn quarter(block: &[u8; BLOCK], i: usize) -> __m128i {
    let swap = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    let (quarters, _) = block.as_chunks::<16>();
    // SAFETY: 16 bytes.
    _mm_shuffle_epi8(
        unsafe { _mm_loadu_si128(quarters[i].as_ptr().cast()) },
        swap,
    )
}

/// W_{j+16} to W_{j+19} of section 5.3.2 from the sixteen words before them. The last of the four needs the first:
/// as P1 is linear, what it adds comes in afterwards.
#[target_feature(enable = "avx2")]
#[inline]
fn expand(w0: __m128i, w4: __m128i, w8: __m128i, w12: __m128i) -> __m128i {
    let w3 = _mm_alignr_epi8::<12>(w4, w0);
    let w7 = _mm_alignr_epi8::<12>(w8, w4);
    let w10 = _mm_alignr_epi8::<8>(w12, w8);
    let w13 = _mm_srli_si128::<4>(w12);
    let rest = _mm_xor_si128(w10, rotl!(w3, 7));
    let x = _mm_xor_si128(_mm_xor_si128(w0, w7), rotl!(w13, 15));
    let p1 = _mm_xor_si128(_mm_xor_si128(x, rotl!(x, 15)), rotl!(x, 23));
    let four = _mm_xor_si128(p1, rest);
    // P1(W <<< 15) = W <<< 15 ^ W <<< 30 ^ W <<< 6, with W twice in 64 bits: there a shift is a rotation.
    let twice = _mm_shuffle_epi32::<0>(four);
    let late = _mm_xor_si128(
        _mm_xor_si128(_mm_srli_epi64::<17>(twice), _mm_srli_epi64::<2>(twice)),
        _mm_srli_epi64::<26>(twice),
    );
    _mm_xor_si128(four, _mm_slli_si128::<12>(late))
}

#[target_feature(enable = "avx2")]
#[inline]
fn store(place: &mut __m128i, value: __m128i) {
    // SAFETY: a place for a vector, aligned as such.
    unsafe { _mm_store_si128(place, value) }
}
