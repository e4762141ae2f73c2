//! One message: rounds in general registers with BMI1 and BMI2 (`andn`, `rorx`), and the message expansion beside
//! them in vector registers, twelve rounds ahead.
//!
//! What bounds it is the chain from E to the next E, seven operations of one cycle: `and`, two additions that
//! put GG together, the addition of SS1, a rotation and two XORs of P0. (E to SS1 to E is six.) The additions are
//! written so that the newest word comes last, which is why the rounds are in assembly: LLVM associates sums anew.
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

/// One round on the words at byte `$at` of the ring: D becomes the new A, H the new E, B and F are rotated. `$ff`
/// adds FF(A, B, C) to D, `$gg` adds GG(E, F, G) to H, without touching `{x}` and `{y}`.
macro_rules! round {
    ($ring:ident, $j:expr, ($($ff:literal)*), ($($gg:literal)*),
     $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
        // SAFETY: reads two words of the ring, at multiples of 4 below 64 and 64 further; writes nothing but
        // its registers and flags; no stack. The caller's features have the instructions.
        unsafe {
            asm!(
                "add {h:e}, dword ptr [{ring} + {at}]",
                "rorx {x:e}, {a:e}, 20",
                "lea {y:e}, [{x:r} + {t}]",
                "add {d:e}, dword ptr [{ring} + {at} + 64]",
                "add {y:e}, {e:e}",
                $($gg,)*
                "rol {y:e}, 7",
                $($ff,)*
                "add {h:e}, {y:e}",
                "xor {x:e}, {y:e}",
                "rorx {y:e}, {h:e}, 23",
                "add {d:e}, {x:e}",
                "rorx {x:e}, {h:e}, 15",
                "rol {b:e}, 9",
                "xor {h:e}, {y:e}",
                "rol {f:e}, 19",
                "xor {h:e}, {x:e}",
                ring = in(reg) $ring,
                at = const ($j % 16) * 4,
                t = const T[$j].cast_signed(),
                a = in(reg) $a,
                b = inout(reg) $b,
                c = in(reg) $c,
                d = inout(reg) $d,
                e = in(reg) $e,
                f = inout(reg) $f,
                g = in(reg) $g,
                h = inout(reg) $h,
                x = out(reg) _,
                y = out(reg) _,
                z = out(reg) _,
                u = out(reg) _,
                options(pure, readonly, nostack),
            );
        }
    };
}

/// Rounds 0 to 15: FF and GG are sums modulo 2.
macro_rules! early {
    ($ring:ident, $j:expr, $($word:ident)*) => {
        round!($ring, $j,
            ("mov {u:e}, {b:e}" "xor {u:e}, {c:e}" "xor {u:e}, {a:e}" "add {d:e}, {u:e}"),
            ("mov {z:e}, {f:e}" "xor {z:e}, {g:e}" "xor {z:e}, {e:e}" "add {h:e}, {z:e}"),
            $($word)*)
    };
}

/// Rounds 16 to 63: FF = (A & (B ^ C)) + (B & C) and GG = (E & F) + (~E & G); both sums are of disjoint bits.
macro_rules! late {
    ($ring:ident, $j:expr, $($word:ident)*) => {
        round!($ring, $j,
            ("mov {u:e}, {b:e}" "xor {u:e}, {c:e}" "andn {z:e}, {u:e}, {b:e}" "and {u:e}, {a:e}"
             "add {d:e}, {z:e}" "add {d:e}, {u:e}"),
            ("andn {z:e}, {e:e}, {g:e}" "mov {u:e}, {e:e}" "and {u:e}, {f:e}" "add {h:e}, {z:e}" "add {h:e}, {u:e}"),
            $($word)*)
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
fn compress_blocks(state: &mut State, blocks: &[[u8; BLOCK]]) {
    let swap = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    let mut ring = Ring([_mm_setzero_si128(); 4], [_mm_setzero_si128(); 4]);
    for block in blocks {
        let mut w = [_mm_setzero_si128(); 4];
        let (quarters, _) = block.as_chunks::<16>();
        for (w, quarter) in w.iter_mut().zip(quarters) {
            // SAFETY: 16 bytes.
            *w = _mm_shuffle_epi8(unsafe { _mm_loadu_si128(quarter.as_ptr().cast()) }, swap);
        }
        for (i, w) in w.iter().enumerate() {
            store(&mut ring.0[i], *w);
        }
        for i in 0..3 {
            store(&mut ring.1[i], _mm_xor_si128(w[i], w[i + 1]));
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
        // Four rounds, and words 16 to 19 after the first of them.
        macro_rules! four {
            ($round:ident, $j:expr) => {
                let i = $j / 4 % 4;
                let words = &raw const ring;
                $round!(words, $j, a b c d e f g h);
                $round!(words, $j + 1, d a b c h e f g);
                $round!(words, $j + 2, c d a b g h e f);
                $round!(words, $j + 3, b c d a f g h e);
                if $j < 52 {
                    let new = expand(w[i], w[(i + 1) & 3], w[(i + 2) & 3], w[(i + 3) & 3]);
                    store(&mut ring.0[i], new);
                    store(&mut ring.1[(i + 3) & 3], _mm_xor_si128(w[(i + 3) & 3], new));
                    #[allow(unused_assignments, reason = "the last words are not expanded again")]
                    {
                        w[i] = new;
                    }
                }
            };
        }
        four!(early, 0);
        four!(early, 4);
        four!(early, 8);
        four!(early, 12);
        four!(late, 16);
        four!(late, 20);
        four!(late, 24);
        four!(late, 28);
        four!(late, 32);
        four!(late, 36);
        four!(late, 40);
        four!(late, 44);
        four!(late, 48);
        four!(late, 52);
        four!(late, 56);
        four!(late, 60);
        for (s, x) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *s ^= x;
        }
    }
    // The words may come from a key.
    ring = Ring([_mm_setzero_si128(); 4], [_mm_setzero_si128(); 4]);
    zeroize::optimization_barrier(&ring);
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
