//! Table selection on 512-bit registers, where an entry is one register: an AND and OR in one instruction an entry.
//!
//! The index is taken apart: its three low bits choose within every eight entries, by masks made once, and the rest
//! chooses among the eights.
//!
//! Tables follow each other and are read in order, faster than the second-level cache gives them: while one is read,
//! the first-level cache is asked for as many entries behind it.
#![allow(
    unsafe_code,
    reason = "a function with a target feature is called with the token as proof"
)]

use core::arch::asm;
use core::arch::x86_64::{
    __m512i, _MM_HINT_T0, _mm_prefetch, _mm512_cmpeq_epi64_mask, _mm512_loadu_si512,
    _mm512_movm_epi64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_storeu_si512,
    _mm512_ternarylogic_epi64,
};

use crate::cpu::Avx512Gfni;
use crate::sm2::windows::Entry;

/// Entries that the low bits of an index choose from.
const GROUP: usize = 8;

/// Entry `index`; zeros if there is none.
#[inline(always)]
pub(crate) fn select(_: Avx512Gfni, entries: &[Entry], index: u64) -> Entry {
    // SAFETY: the token proves that the CPU has AVX-512 F and DQ.
    unsafe { select_avx512(entries, index) }
}

#[target_feature(enable = "avx512f,avx512dq")]
fn select_avx512(entries: &[Entry], index: u64) -> Entry {
    let low = lanes(index % GROUP as u64);
    let high = lanes(index / GROUP as u64);
    let masks: [__m512i; GROUP] = [
        mask(low, 0),
        mask(low, 1),
        mask(low, 2),
        mask(low, 3),
        mask(low, 4),
        mask(low, 5),
        mask(low, 6),
        mask(low, 7),
    ];
    let (groups, rest) = entries.as_chunks::<GROUP>();
    let mut selected = _mm512_setzero_si512();
    let mut at = 0;
    for group in groups {
        let of_group = choose(group, &masks, entries.len());
        selected = or_and(selected, of_group, mask(high, at));
        at = at.wrapping_add(1);
    }
    let of_rest = choose(rest, &masks, entries.len());
    selected = or_and(selected, of_rest, mask(high, at));
    let mut entry = Entry {
        x: [0; 4],
        y: [0; 4],
    };
    // SAFETY: an entry is 64 writable bytes, and the store needs no alignment.
    unsafe { _mm512_storeu_si512((&raw mut entry).cast(), selected) }
    entry
}

/// The entry whose mask is set; there are no more entries than masks. Those `ahead` of them are asked for.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn choose(entries: &[Entry], masks: &[__m512i; GROUP], ahead: usize) -> __m512i {
    let mut chosen = _mm512_setzero_si512();
    for (entry, mask) in entries.iter().zip(masks) {
        let entry = &raw const *entry;
        // A hint, which cannot fault: behind the last table the address is outside of every object.
        _mm_prefetch::<_MM_HINT_T0>(entry.wrapping_add(ahead).cast());
        // SAFETY: an entry is 64 readable bytes, and the load needs no alignment.
        let entry = unsafe { _mm512_loadu_si512(entry.cast()) };
        chosen = or_and(chosen, entry, *mask);
    }
    chosen
}

/// `a | (b & c)`.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn or_and(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    _mm512_ternarylogic_epi64::<0xf8>(a, b, c)
}

/// All ones where `wanted` is `at`, else 0.
///
/// A mask in a vector register, of which the compiler does not know that it came from a mask register: it would make
/// masked loads of the selection, and whether those touch memory that they need not read is the CPU's affair.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn mask(wanted: __m512i, at: i64) -> __m512i {
    let equal = _mm512_cmpeq_epi64_mask(wanted, _mm512_set1_epi64(at));
    unknown(_mm512_movm_epi64(equal))
}

/// `index` in every lane, where the compiler does not know that all lanes are the same number.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn lanes(index: u64) -> __m512i {
    unknown(_mm512_set1_epi64(index.cast_signed()))
}

/// `vector`, of which the compiler no longer knows anything.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn unknown(mut vector: __m512i) -> __m512i {
    // SAFETY: a comment alone is assembled; the register keeps its value.
    unsafe {
        asm!(
            "/* {vector} */",
            vector = inout(zmm_reg) vector,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    vector
}
