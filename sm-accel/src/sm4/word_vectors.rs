//! Vectors of 32-bit words of 128, 256 and 512 bits under the same names, for kernels written once for all.

#![allow(unsafe_code)] // Loads, stores, and an empty piece of assembly.
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // Indices below the arrays' lengths.

/// Holds a key's 32 round keys.
pub(super) trait RoundKeys {
    /// To be written by the schedule.
    fn round_keys_mut(&mut self) -> &mut [u32; 32];
}

/// What the widths have in common, after their own names for the instructions.
macro_rules! common {
    ($features:literal, $register:ident) => {
        #[inline]
        #[target_feature(enable = $features)]
        pub(in super::super) fn xor(a: V, b: V) -> V {
            xor_all(a, b)
        }

        #[inline]
        #[target_feature(enable = $features)]
        pub(in super::super) fn shuffle(x: V, to: V) -> V {
            shuffle_bytes(x, to)
        }

        #[inline]
        #[target_feature(enable = $features)]
        pub(in super::super) fn words(x: u32) -> V {
            all_words(x.cast_signed())
        }

        #[inline]
        #[target_feature(enable = $features)]
        pub(in super::super) fn zero() -> V {
            all_words(0)
        }

        /// Hides a value from the compiler, which otherwise turns trees of XORs into longer chains.
        #[inline]
        #[target_feature(enable = $features)]
        pub(in super::super) fn opaque(mut x: V) -> V {
            // SAFETY: no instruction at all.
            unsafe {
                core::arch::asm!(
                    "/* {0} */", inout($register) x, options(pure, nomem, nostack, preserves_flags)
                )
            };
            x
        }

        /// Element i of register j goes to element j of register i, in each 128 bits; its own inverse.
        #[inline]
        #[target_feature(enable = $features)]
        pub(in super::super) fn transpose(x: [V; 4]) -> [V; 4] {
            let a = low_dwords(x[0], x[1]);
            let b = high_dwords(x[0], x[1]);
            let c = low_dwords(x[2], x[3]);
            let d = high_dwords(x[2], x[3]);
            [
                low_qwords(a, c),
                high_qwords(a, c),
                low_qwords(b, d),
                high_qwords(b, d),
            ]
        }

        /// The words `4 * q` to `4 * q + 3` of a key, or zeros.
        #[inline]
        #[target_feature(enable = $features)]
        fn four_of(keys: &[&[u32; 32]], i: usize, q: usize) -> __m128i {
            match keys.get(i) {
                Some(key) => {
                    let four = &key[4 * q..4 * q + 4];
                    // SAFETY: reads 16 bytes, the 4 words of the slice.
                    unsafe { _mm_loadu_si128(four.as_ptr().cast()) }
                }
                None => _mm_setzero_si128(),
            }
        }

        /// Adds the blocks that [`store`] would write to `text`, of at most so many; the last may be a part.
        #[inline]
        #[target_feature(enable = $features)]
        pub(in super::super) fn add_to(x: &[V], text: &mut [u8]) {
            let mut rest = text;
            for lane in 0..BLOCKS / 4 {
                for x in x {
                    let now = rest.len().min(16);
                    let (block, others) = core::mem::take(&mut rest).split_at_mut(now);
                    if let Ok(block) = block.try_into() {
                        add_block(part(*x, lane), block);
                    } else {
                        // Through memory of our own, which is wiped: a call to copy the text would spill the register to a
                        // place that is not.
                        let mut stream = [0; 16];
                        add_block(part(*x, lane), &mut stream);
                        for (byte, key) in block.iter_mut().zip(&stream) {
                            *byte ^= key;
                        }
                        crate::sm4::wipe::wipe(&mut stream);
                    }
                    if others.is_empty() {
                        return;
                    }
                    rest = others;
                }
            }
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn add_block(x: __m128i, block: &mut [u8; 16]) {
            let at = block.as_mut_ptr().cast();
            // SAFETY: reads the 16 bytes of the block.
            let sum = _mm_xor_si128(unsafe { _mm_loadu_si128(at) }, x);
            // SAFETY: writes them.
            unsafe { _mm_storeu_si128(at, sum) }
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn block(blocks: &[[u8; 16]], i: usize) -> __m128i {
            match blocks.get(i) {
                // SAFETY: reads the 16 bytes of the block.
                Some(block) => unsafe { _mm_loadu_si128(block.as_ptr().cast()) },
                None => _mm_setzero_si128(),
            }
        }
    };
}

/// Sums of three in two steps, from the left.
macro_rules! binary {
    ($features:literal) => {
        /// Whether [`sum3`] is one instruction.
        pub(in super::super) const TERNARY: bool = false;

        #[inline]
        #[target_feature(enable = $features)]
        pub(in super::super) fn sum3(a: V, b: V, c: V) -> V {
            xor_all(xor_all(a, b), c)
        }
    };
}

/// And in one.
macro_rules! ternary {
    ($features:literal, $ternary:ident) => {
        /// Whether [`sum3`] is one instruction.
        pub(in super::super) const TERNARY: bool = true;

        #[inline]
        #[target_feature(enable = $features)]
        pub(in super::super) fn sum3(a: V, b: V, c: V) -> V {
            $ternary::<0x96>(a, b, c)
        }
    };
}

/// For look-ups of half bytes, and for a chain: what the widest has no use for.
macro_rules! narrow {
    ($features:literal) => {
        /// The low and the high half of each byte.
        #[inline]
        #[target_feature(enable = $features)]
        pub(in super::super) fn halves(x: V) -> (V, V) {
            let mask = all_words(0x0f0f_0f0f);
            (and_all(x, mask), and_all(shift_right::<4>(x), mask))
        }

        /// Element i of each 128 bits, in every element of register i.
        #[inline]
        #[target_feature(enable = $features)]
        pub(in super::super) fn spread_words(x: V) -> [V; 4] {
            [
                shuffle_dwords::<0x00>(x),
                shuffle_dwords::<0x55>(x),
                shuffle_dwords::<0xaa>(x),
                shuffle_dwords::<0xff>(x),
            ]
        }
    };
}

/// Four blocks.
pub(super) mod xmm {
    use super::RoundKeys;
    use core::arch::x86_64::*;
    use core::arch::x86_64::{
        _mm_and_si128 as and_all, _mm_set1_epi32 as all_words, _mm_shuffle_epi8 as shuffle_bytes,
        _mm_shuffle_epi32 as shuffle_dwords, _mm_srli_epi64 as shift_right,
        _mm_unpackhi_epi32 as high_dwords, _mm_unpackhi_epi64 as high_qwords,
        _mm_unpacklo_epi32 as low_dwords, _mm_unpacklo_epi64 as low_qwords,
        _mm_xor_si128 as xor_all,
    };

    pub(in super::super) type V = __m128i;
    pub(in super::super) const BLOCKS: usize = 4;

    common!("avx2,aes", xmm_reg);
    narrow!("avx2,aes");
    binary!("avx2,aes");

    #[inline]
    #[target_feature(enable = "avx2,aes")]
    pub(in super::super) fn table(x: &[u8; 16]) -> V {
        // SAFETY: reads the 16 bytes.
        unsafe { _mm_loadu_si128(x.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx2,aes")]
    pub(in super::super) fn aes_round(x: V) -> V {
        _mm_aesenc_si128(x, _mm_setzero_si128())
    }

    #[inline]
    #[target_feature(enable = "avx2,aes")]
    pub(in super::super) fn aes_last(x: V, key: V) -> V {
        _mm_aesenclast_si128(x, key)
    }

    /// Up to four blocks, one a register, and zeros.
    #[inline]
    #[target_feature(enable = "avx2,aes")]
    pub(in super::super) fn load(blocks: &[[u8; 16]]) -> [V; 4] {
        [
            block(blocks, 0),
            block(blocks, 1),
            block(blocks, 2),
            block(blocks, 3),
        ]
    }

    /// As [`load`], of the words `4 * q` to `4 * q + 3` of each key.
    #[inline]
    #[target_feature(enable = "avx2,aes")]
    pub(in super::super) fn load_keys(keys: &[&[u32; 32]], q: usize) -> [V; 4] {
        [
            four_of(keys, 0, q),
            four_of(keys, 1, q),
            four_of(keys, 2, q),
            four_of(keys, 3, q),
        ]
    }

    #[inline]
    #[target_feature(enable = "avx2,aes")]
    fn part(x: V, _: usize) -> __m128i {
        x
    }

    /// `first` and the numbers that follow, which wrap: where [`transpose`] has the last words of blocks from [`load`].
    #[inline]
    #[target_feature(enable = "avx2,aes")]
    pub(in super::super) fn ascending(first: u32) -> V {
        _mm_add_epi32(words(first), _mm_setr_epi32(0, 1, 2, 3))
    }

    /// As many as there are, where [`load`] had them.
    #[inline]
    #[target_feature(enable = "avx2,aes")]
    pub(in super::super) fn store(x: [V; 4], blocks: &mut [[u8; 16]]) {
        for (to, x) in blocks.iter_mut().zip(x) {
            // SAFETY: writes the 16 bytes of a block.
            unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), x) }
        }
    }

    /// As [`store`], to the words `4 * q` to `4 * q + 3` of each key.
    #[inline]
    #[target_feature(enable = "avx2,aes")]
    pub(in super::super) fn store_keys<K: RoundKeys>(x: [V; 4], keys: &mut [K], q: usize) {
        for (to, x) in keys.iter_mut().zip(x) {
            let to = &mut to.round_keys_mut()[4 * q..4 * q + 4];
            // SAFETY: writes 16 bytes, the 4 words of the slice.
            unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), x) }
        }
    }
}

/// Eight blocks.
pub(super) mod ymm {
    use super::RoundKeys;
    use core::arch::x86_64::*;
    use core::arch::x86_64::{
        _mm256_and_si256 as and_all, _mm256_set1_epi32 as all_words,
        _mm256_shuffle_epi8 as shuffle_bytes, _mm256_shuffle_epi32 as shuffle_dwords,
        _mm256_srli_epi64 as shift_right, _mm256_unpackhi_epi32 as high_dwords,
        _mm256_unpackhi_epi64 as high_qwords, _mm256_unpacklo_epi32 as low_dwords,
        _mm256_unpacklo_epi64 as low_qwords, _mm256_xor_si256 as xor_all,
    };

    pub(in super::super) type V = __m256i;
    pub(in super::super) const BLOCKS: usize = 8;

    common!("avx2", ymm_reg);
    narrow!("avx2");
    binary!("avx2");

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn table(x: &[u8; 16]) -> V {
        // SAFETY: reads the 16 bytes.
        unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(x.as_ptr().cast())) }
    }

    #[inline]
    #[target_feature(enable = "avx2,vaes")]
    pub(in super::super) fn aes_round(x: V) -> V {
        _mm256_aesenc_epi128(x, _mm256_setzero_si256())
    }

    #[inline]
    #[target_feature(enable = "avx2,vaes")]
    pub(in super::super) fn aes_last(x: V, key: V) -> V {
        _mm256_aesenclast_epi128(x, key)
    }

    /// Up to eight blocks, the blocks i and i + 4 in register i, and zeros.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn load(blocks: &[[u8; 16]]) -> [V; 4] {
        let (x0, x1) = (block(blocks, 0), block(blocks, 1));
        let (x2, x3) = (block(blocks, 2), block(blocks, 3));
        [
            _mm256_set_m128i(block(blocks, 4), x0),
            _mm256_set_m128i(block(blocks, 5), x1),
            _mm256_set_m128i(block(blocks, 6), x2),
            _mm256_set_m128i(block(blocks, 7), x3),
        ]
    }

    /// As [`load`], of the words `4 * q` to `4 * q + 3` of each key.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn load_keys(keys: &[&[u32; 32]], q: usize) -> [V; 4] {
        let (x0, x1) = (four_of(keys, 0, q), four_of(keys, 1, q));
        let (x2, x3) = (four_of(keys, 2, q), four_of(keys, 3, q));
        [
            _mm256_set_m128i(four_of(keys, 4, q), x0),
            _mm256_set_m128i(four_of(keys, 5, q), x1),
            _mm256_set_m128i(four_of(keys, 6, q), x2),
            _mm256_set_m128i(four_of(keys, 7, q), x3),
        ]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn parts(x: [V; 4]) -> [__m128i; 8] {
        [
            _mm256_castsi256_si128(x[0]),
            _mm256_castsi256_si128(x[1]),
            _mm256_castsi256_si128(x[2]),
            _mm256_castsi256_si128(x[3]),
            _mm256_extracti128_si256(x[0], 1),
            _mm256_extracti128_si256(x[1], 1),
            _mm256_extracti128_si256(x[2], 1),
            _mm256_extracti128_si256(x[3], 1),
        ]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn part(x: V, half: usize) -> __m128i {
        match half {
            0 => _mm256_castsi256_si128(x),
            _ => _mm256_extracti128_si256(x, 1),
        }
    }

    /// `first` and the numbers that follow, which wrap: where [`transpose`] has the last words of blocks from [`load`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn ascending(first: u32) -> V {
        _mm256_add_epi32(words(first), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
    }

    /// As many as there are, from where [`load`] had them.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn store(x: [V; 4], blocks: &mut [[u8; 16]]) {
        for (to, x) in blocks.iter_mut().zip(parts(x)) {
            // SAFETY: writes the 16 bytes of a block.
            unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), x) }
        }
    }

    /// As [`store`], to the words `4 * q` to `4 * q + 3` of each key.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn store_keys<K: RoundKeys>(x: [V; 4], keys: &mut [K], q: usize) {
        for (to, x) in keys.iter_mut().zip(parts(x)) {
            let to = &mut to.round_keys_mut()[4 * q..4 * q + 4];
            // SAFETY: writes 16 bytes, the 4 words of the slice.
            unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), x) }
        }
    }
}

/// Eight blocks, with AVX-512's sums of three.
pub(super) mod ymm_ternary {
    use core::arch::x86_64::*;

    pub(in super::super) use super::ymm::{
        BLOCKS, V, add_to, ascending, load, load_keys, opaque, shuffle, spread_words, store,
        store_keys, table, transpose, words, xor, zero,
    };

    ternary!("avx512f,avx512vl", _mm256_ternarylogic_epi32);

    /// Four numbers from `first` on, which wrap, two in each 128 bits, twice.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn ascending_twice(first: u32) -> V {
        _mm256_add_epi32(words(first), _mm256_setr_epi32(0, 1, 0, 1, 2, 3, 2, 3))
    }
}

/// Sixteen blocks.
pub(super) mod zmm {
    use super::RoundKeys;
    use core::arch::x86_64::*;
    use core::arch::x86_64::{
        _mm512_set1_epi32 as all_words, _mm512_shuffle_epi8 as shuffle_bytes,
        _mm512_unpackhi_epi32 as high_dwords, _mm512_unpackhi_epi64 as high_qwords,
        _mm512_unpacklo_epi32 as low_dwords, _mm512_unpacklo_epi64 as low_qwords,
        _mm512_xor_si512 as xor_all,
    };

    pub(in super::super) type V = __m512i;
    pub(in super::super) const BLOCKS: usize = 16;

    common!("avx512f,avx512bw", zmm_reg);
    ternary!("avx512f,avx512bw", _mm512_ternarylogic_epi32);

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn table(x: &[u8; 16]) -> V {
        // SAFETY: reads the 16 bytes.
        _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(x.as_ptr().cast()) })
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn four(x: [__m128i; 4]) -> V {
        let all = _mm512_castsi128_si512(x[0]);
        let all = _mm512_inserti32x4::<1>(all, x[1]);
        let all = _mm512_inserti32x4::<2>(all, x[2]);
        _mm512_inserti32x4::<3>(all, x[3])
    }

    /// Up to sixteen blocks, the blocks i, i + 4, i + 8 and i + 12 in register i, and zeros. Written out, because a
    /// closure for the array's `map` is called through memory.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn load(blocks: &[[u8; 16]]) -> [V; 4] {
        let four_from = |i: usize| {
            four([
                block(blocks, i),
                block(blocks, i + 4),
                block(blocks, i + 8),
                block(blocks, i + 12),
            ])
        };
        [four_from(0), four_from(1), four_from(2), four_from(3)]
    }

    /// As [`load`], of the words `4 * q` to `4 * q + 3` of each key.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn load_keys(keys: &[&[u32; 32]], q: usize) -> [V; 4] {
        let four_from = |i: usize| {
            four([
                four_of(keys, i, q),
                four_of(keys, i + 4, q),
                four_of(keys, i + 8, q),
                four_of(keys, i + 12, q),
            ])
        };
        [four_from(0), four_from(1), four_from(2), four_from(3)]
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn part(x: V, quarter: usize) -> __m128i {
        match quarter {
            0 => _mm512_castsi512_si128(x),
            1 => _mm512_extracti32x4_epi32::<1>(x),
            2 => _mm512_extracti32x4_epi32::<2>(x),
            _ => _mm512_extracti32x4_epi32::<3>(x),
        }
    }

    /// `first` and the numbers that follow, which wrap: where [`transpose`] has the last words of blocks from [`load`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn ascending(first: u32) -> V {
        let numbers = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        _mm512_add_epi32(words(first), numbers)
    }

    /// As many as there are, from where [`load`] had them.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn store(x: [V; 4], blocks: &mut [[u8; 16]]) {
        for quarter in 0..4 {
            for (i, x) in x.iter().enumerate() {
                let Some(to) = blocks.get_mut(4 * quarter + i) else {
                    return;
                };
                // SAFETY: writes the 16 bytes of a block.
                unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), part(*x, quarter)) }
            }
        }
    }

    /// As [`store`], to the words `4 * q` to `4 * q + 3` of each key.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn store_keys<K: RoundKeys>(x: [V; 4], keys: &mut [K], q: usize) {
        for quarter in 0..4 {
            for (i, x) in x.iter().enumerate() {
                let Some(to) = keys.get_mut(4 * quarter + i) else {
                    return;
                };
                let to = &mut to.round_keys_mut()[4 * q..4 * q + 4];
                // SAFETY: writes 16 bytes, the 4 words of the slice.
                unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), part(*x, quarter)) }
            }
        }
    }
}
