//! Byte vectors of 256 and of 512 bits under the same names, for kernels written once for both.

#![allow(unsafe_code)] // Loads and stores.
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // Indices below the arrays' lengths.

/// 32 lanes of bytes.
pub(super) mod ymm {
    use core::arch::x86_64::*;

    pub(in super::super) type V = __m256i;
    pub(in super::super) const LANES: usize = 32;

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn and(a: V, b: V) -> V {
        _mm256_and_si256(a, b)
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn add(a: V, b: V) -> V {
        _mm256_add_epi8(a, b)
    }
    /// All ones in the bytes where `a`, read as signed, is greater.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn greater(a: V, b: V) -> V {
        _mm256_cmpgt_epi8(a, b)
    }
    /// `blocks ⊕= x`, in the order of `load_blocks`.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn xor_blocks(x: &[V; 16], blocks: &mut [[u8; 16]; LANES]) {
        for i in 0..16 {
            let at = blocks[2 * i..2 * i + 2].as_mut_ptr();
            // SAFETY: i < 16, so 2 of the 32 blocks are read and written.
            unsafe { _mm256_storeu_si256(at.cast(), xor(x[i], _mm256_loadu_si256(at.cast()))) }
        }
    }
    /// `blocks = x ⊕` the blocks before them, of which the first is `previous`; in the order of `load_blocks`. From the
    /// last on, so that each is still there when the next needs it.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn unchain(
        x: &[V; 16],
        previous: &[u8; 16],
        blocks: &mut [[u8; 16]; LANES],
    ) {
        for i in (1..16).rev() {
            let before = blocks[2 * i - 1..2 * i + 1].as_ptr();
            // SAFETY: reads 2 blocks: the slice.
            let before = unsafe { _mm256_loadu_si256(before.cast()) };
            let at = blocks[2 * i..2 * i + 2].as_mut_ptr();
            // SAFETY: writes 2 blocks: the slice.
            unsafe { _mm256_storeu_si256(at.cast(), xor(x[i], before)) }
        }
        let before = [*previous, blocks[0]];
        // SAFETY: reads the 2 blocks of the array.
        let before = unsafe { _mm256_loadu_si256(before.as_ptr().cast()) };
        // SAFETY: writes the first 2 of the blocks.
        unsafe { _mm256_storeu_si256(blocks.as_mut_ptr().cast(), xor(x[0], before)) }
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn zero() -> V {
        _mm256_setzero_si256()
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn xor(a: V, b: V) -> V {
        _mm256_xor_si256(a, b)
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn xor3(a: V, b: V, c: V) -> V {
        _mm256_xor_si256(_mm256_xor_si256(a, b), c)
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn qwords(x: i64) -> V {
        _mm256_set1_epi64x(x)
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn dwords(x: u32) -> V {
        _mm256_set1_epi32(x.cast_signed())
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn store_bytes(x: V, to: &mut [u8; LANES]) {
        // SAFETY: writes the 32 bytes of `to`.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), x) }
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn bytes(x: &[u8; LANES]) -> V {
        // SAFETY: reads the 32 bytes of `x`.
        unsafe { _mm256_loadu_si256(x.as_ptr().cast()) }
    }
    /// Register i holds the blocks 2i and 2i + 1: any order will do, if `store_blocks` has the same.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn load_blocks(blocks: &[[u8; 16]; LANES]) -> [V; 16] {
        let mut x = [zero(); 16];
        for (i, x) in x.iter_mut().enumerate() {
            // SAFETY: i < 16, so the load reads 2 of the 32 blocks.
            *x = unsafe { _mm256_loadu_si256(blocks[2 * i..2 * i + 2].as_ptr().cast()) };
        }
        x
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn store_blocks(x: &[V; 16], blocks: &mut [[u8; 16]; LANES]) {
        for (i, x) in x.iter().enumerate() {
            // SAFETY: i < 16, so the store writes 2 of the 32 blocks.
            unsafe { _mm256_storeu_si256(blocks[2 * i..2 * i + 2].as_mut_ptr().cast(), *x) }
        }
    }
    /// The words `4 * q` to `4 * q + 3` of each lane's round keys; in the order of `load_blocks`.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn load_keys(keys: &[&[u32; 32]; LANES], q: usize) -> [V; 16] {
        let four = |lane: usize| {
            let four = &keys[lane][4 * q..4 * q + 4];
            // SAFETY: reads 16 bytes, the 4 words of the slice.
            unsafe { _mm_loadu_si128(four.as_ptr().cast()) }
        };
        let mut x = [zero(); 16];
        for (i, x) in x.iter_mut().enumerate() {
            *x = _mm256_set_m128i(four(2 * i + 1), four(2 * i));
        }
        x
    }
    /// Block `step` of each chain, zeros where a chain has none; in the order of `load_blocks`.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn gather(chains: &[&mut [[u8; 16]]; LANES], step: usize) -> [V; 16] {
        let block = |lane: usize| match chains[lane].get(step) {
            // SAFETY: reads the 16 bytes of the block.
            Some(block) => unsafe { _mm_loadu_si128(block.as_ptr().cast()) },
            None => _mm_setzero_si128(),
        };
        let mut x = [zero(); 16];
        for (i, x) in x.iter_mut().enumerate() {
            *x = _mm256_set_m128i(block(2 * i + 1), block(2 * i));
        }
        x
    }
    /// Writes block `step` of the chains that have one.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn scatter(
        x: &[V; 16],
        chains: &mut [&mut [[u8; 16]]; LANES],
        step: usize,
    ) {
        let mut put = |lane: usize, value: __m128i| {
            if let Some(block) = chains[lane].get_mut(step) {
                // SAFETY: writes the 16 bytes of the block.
                unsafe { _mm_storeu_si128(block.as_mut_ptr().cast(), value) }
            }
        };
        for (i, x) in x.iter().enumerate() {
            put(2 * i, _mm256_castsi256_si128(*x));
            put(2 * i + 1, _mm256_extracti128_si256(*x, 1));
        }
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn interleave_low(a: V, b: V) -> V {
        _mm256_unpacklo_epi8(a, b)
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn interleave_high(a: V, b: V) -> V {
        _mm256_unpackhi_epi8(a, b)
    }
}

/// 64 lanes of bytes.
pub(super) mod zmm {
    use core::arch::x86_64::*;

    pub(in super::super) type V = __m512i;
    pub(in super::super) const LANES: usize = 64;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn and(a: V, b: V) -> V {
        _mm512_and_si512(a, b)
    }
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn add(a: V, b: V) -> V {
        _mm512_add_epi8(a, b)
    }
    /// All ones in the bytes where `a`, read as signed, is greater.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn greater(a: V, b: V) -> V {
        _mm512_movm_epi8(_mm512_cmpgt_epi8_mask(a, b))
    }
    /// `blocks ⊕= x`, in the order of `load_blocks`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn xor_blocks(x: &[V; 16], blocks: &mut [[u8; 16]; LANES]) {
        for i in 0..16 {
            let at = blocks[4 * i..4 * i + 4].as_mut_ptr();
            // SAFETY: i < 16, so 4 of the 64 blocks are read and written.
            unsafe { _mm512_storeu_si512(at.cast(), xor(x[i], _mm512_loadu_si512(at.cast()))) }
        }
    }
    /// `blocks = x ⊕` the blocks before them, of which the first is `previous`; in the order of `load_blocks`. From the
    /// last on, so that each is still there when the next needs it.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn unchain(
        x: &[V; 16],
        previous: &[u8; 16],
        blocks: &mut [[u8; 16]; LANES],
    ) {
        for i in (1..16).rev() {
            let before = blocks[4 * i - 1..4 * i + 3].as_ptr();
            // SAFETY: reads 4 blocks: the slice.
            let before = unsafe { _mm512_loadu_si512(before.cast()) };
            let at = blocks[4 * i..4 * i + 4].as_mut_ptr();
            // SAFETY: writes 4 blocks: the slice.
            unsafe { _mm512_storeu_si512(at.cast(), xor(x[i], before)) }
        }
        let before = [*previous, blocks[0], blocks[1], blocks[2]];
        // SAFETY: reads the 4 blocks of the array.
        let before = unsafe { _mm512_loadu_si512(before.as_ptr().cast()) };
        // SAFETY: writes the first 4 of the blocks.
        unsafe { _mm512_storeu_si512(blocks.as_mut_ptr().cast(), xor(x[0], before)) }
    }
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn xor(a: V, b: V) -> V {
        _mm512_xor_si512(a, b)
    }
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn xor3(a: V, b: V, c: V) -> V {
        _mm512_ternarylogic_epi64(a, b, c, 0x96)
    }
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn qwords(x: i64) -> V {
        _mm512_set1_epi64(x)
    }
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn dwords(x: u32) -> V {
        _mm512_set1_epi32(x.cast_signed())
    }
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn store_bytes(x: V, to: &mut [u8; LANES]) {
        // SAFETY: writes the 64 bytes of `to`.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), x) }
    }
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn bytes(x: &[u8; LANES]) -> V {
        // SAFETY: reads the 64 bytes of `x`.
        unsafe { _mm512_loadu_si512(x.as_ptr().cast()) }
    }
    /// Register i holds the blocks 4i to 4i + 3: any order will do, if `store_blocks` has the same.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn load_blocks(blocks: &[[u8; 16]; LANES]) -> [V; 16] {
        let mut x = [_mm512_setzero_si512(); 16];
        for (i, x) in x.iter_mut().enumerate() {
            // SAFETY: i < 16, so the load reads 4 of the 64 blocks.
            *x = unsafe { _mm512_loadu_si512(blocks[4 * i..4 * i + 4].as_ptr().cast()) };
        }
        x
    }
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn store_blocks(x: &[V; 16], blocks: &mut [[u8; 16]; LANES]) {
        for i in 0..16 {
            // SAFETY: i < 16, so the store writes 4 of the 64 blocks.
            unsafe { _mm512_storeu_si512(blocks[4 * i..4 * i + 4].as_mut_ptr().cast(), x[i]) }
        }
    }
    /// The words `4 * q` to `4 * q + 3` of each lane's round keys; in the order of `load_blocks`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn load_keys(keys: &[&[u32; 32]; LANES], q: usize) -> [V; 16] {
        let four = |lane: usize| {
            let four = &keys[lane][4 * q..4 * q + 4];
            // SAFETY: reads 16 bytes, the 4 words of the slice.
            unsafe { _mm_loadu_si128(four.as_ptr().cast()) }
        };
        let mut x = [_mm512_setzero_si512(); 16];
        for (i, x) in x.iter_mut().enumerate() {
            let low = _mm512_castsi128_si512(four(4 * i));
            let low = _mm512_inserti32x4(low, four(4 * i + 1), 1);
            let all = _mm512_inserti32x4(low, four(4 * i + 2), 2);
            *x = _mm512_inserti32x4(all, four(4 * i + 3), 3);
        }
        x
    }
    /// Block `step` of each chain, zeros where a chain has none; in the order of `load_blocks`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn gather(chains: &[&mut [[u8; 16]]; LANES], step: usize) -> [V; 16] {
        let block = |lane: usize| match chains[lane].get(step) {
            // SAFETY: reads the 16 bytes of the block.
            Some(block) => unsafe { _mm_loadu_si128(block.as_ptr().cast()) },
            None => _mm_setzero_si128(),
        };
        let mut x = [_mm512_setzero_si512(); 16];
        for (i, x) in x.iter_mut().enumerate() {
            let low = _mm512_castsi128_si512(block(4 * i));
            let low = _mm512_inserti32x4(low, block(4 * i + 1), 1);
            let all = _mm512_inserti32x4(low, block(4 * i + 2), 2);
            *x = _mm512_inserti32x4(all, block(4 * i + 3), 3);
        }
        x
    }
    /// Writes block `step` of the chains that have one.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn scatter(
        x: &[V; 16],
        chains: &mut [&mut [[u8; 16]]; LANES],
        step: usize,
    ) {
        let mut put = |lane: usize, value: __m128i| {
            if let Some(block) = chains[lane].get_mut(step) {
                // SAFETY: writes the 16 bytes of the block.
                unsafe { _mm_storeu_si128(block.as_mut_ptr().cast(), value) }
            }
        };
        for (i, x) in x.iter().enumerate() {
            put(4 * i, _mm512_castsi512_si128(*x));
            put(4 * i + 1, _mm512_extracti32x4_epi32(*x, 1));
            put(4 * i + 2, _mm512_extracti32x4_epi32(*x, 2));
            put(4 * i + 3, _mm512_extracti32x4_epi32(*x, 3));
        }
    }
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn interleave_low(a: V, b: V) -> V {
        _mm512_unpacklo_epi8(a, b)
    }
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn interleave_high(a: V, b: V) -> V {
        _mm512_unpackhi_epi8(a, b)
    }
}
