//! Table selection on 256-bit registers: a compare, two loads and four logical operations an entry.
#![allow(
    unsafe_code,
    reason = "a function with a target feature is called with the token as proof"
)]

use core::arch::x86_64::{
    __m256i, _mm256_add_epi64, _mm256_and_si256, _mm256_cmpeq_epi64, _mm256_loadu_si256,
    _mm256_or_si256, _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_storeu_si256,
};

use crate::cpu::Avx2Aesni;
use crate::sm2::windows::Entry;

/// Entry `index`; zeros if there is none.
#[inline(always)]
pub(crate) fn select(_: Avx2Aesni, entries: &[Entry], index: u64) -> Entry {
    // SAFETY: the token proves that the CPU has AVX2.
    unsafe { select_avx2(entries, index) }
}

#[target_feature(enable = "avx2")]
fn select_avx2(entries: &[Entry], index: u64) -> Entry {
    let wanted = _mm256_set1_epi64x(index.cast_signed());
    let one = _mm256_set1_epi64x(1);
    let mut at = _mm256_setzero_si256();
    let mut x = _mm256_setzero_si256();
    let mut y = _mm256_setzero_si256();
    for entry in entries {
        let mask = _mm256_cmpeq_epi64(at, wanted);
        x = _mm256_or_si256(x, _mm256_and_si256(mask, load(&entry.x)));
        y = _mm256_or_si256(y, _mm256_and_si256(mask, load(&entry.y)));
        at = _mm256_add_epi64(at, one);
    }
    let mut selected = Entry {
        x: [0; 4],
        y: [0; 4],
    };
    store(&mut selected.x, x);
    store(&mut selected.y, y);
    selected
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(limbs: &[u64; 4]) -> __m256i {
    // SAFETY: the array is 32 readable bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(limbs.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(limbs: &mut [u64; 4], value: __m256i) {
    // SAFETY: the array is 32 writable bytes, and the store needs no alignment.
    unsafe { _mm256_storeu_si256(limbs.as_mut_ptr().cast(), value) }
}
