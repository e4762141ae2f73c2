//! The kernel of all vector backends: LANES blocks at a time, one register for each of the sixteen byte positions.
//!
//! A rotation of words by bytes is then a renaming of registers. [`affine`](super::affine) has the algebra.
//!
//! The macro makes the same functions for each instruction set, because `#[target_feature]` cannot be generic.
//! The file that calls it gives what differs: `linear_in` and `linear_out`, into the basis and out of it, and
//! `substitute`, which takes the S-boxes' input to the pair (G₀·inv, G₃·inv).

macro_rules! byte_sliced {
    ($features:literal, $token:ty, $vectors:ident) => {
        use crate::sm4::vectors::$vectors::*;

        /// Round keys of one key, every byte four times, or of LANES keys, byte-sliced.
        #[derive(Clone, Copy)]
        enum Keys<'a> {
            One(&'a [[u32; 4]; 32]),
            Each(&'a [[[u8; LANES]; 4]; 32]),
        }

        impl Keys<'_> {
            #[inline]
            #[target_feature(enable = $features)]
            fn of(&self, round: usize, byte: usize) -> V {
                match self {
                    Self::One(keys) => dwords(keys[round][byte]),
                    Self::Each(keys) => bytes(&keys[round][byte]),
                }
            }
        }

        /// Exchanges register and position in each 16 bytes; its own inverse. Each step moves the index
        /// (register, position) round by one bit.
        #[inline]
        #[target_feature(enable = $features)]
        fn transpose(mut x: [V; 16]) -> [V; 16] {
            for _ in 0..4 {
                let mut y = x;
                for i in 0..8 {
                    y[2 * i] = interleave_low(x[i], x[i + 8]);
                    y[2 * i + 1] = interleave_high(x[i], x[i + 8]);
                }
                x = y;
            }
            x
        }

        /// `x ⊕= T(u ⊕ y ⊕ key)`.
        #[inline]
        #[target_feature(enable = $features)]
        fn round(x: &mut [V; 4], u: &[V; 4], y: &[V; 4], keys: Keys<'_>, i: usize) {
            let mut d: [V; 4] = *u;
            let mut first = d[0];
            for j in 0..4 {
                let (a, c) = substitute(xor3(u[j], y[j], keys.of(i, j)));
                // d[j] = c[j] ^ a[j + 1]
                if j == 0 {
                    first = a;
                } else {
                    d[j - 1] = xor(d[j - 1], a);
                }
                d[j] = c;
            }
            d[3] = xor(d[3], first);
            let all = xor(xor3(d[0], d[1], d[2]), d[3]);
            for j in 0..4 {
                x[j] = xor3(x[j], d[j], all);
            }
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn crypt<const REVERSE: bool>(keys: Keys<'_>, blocks: &mut [[u8; 16]; LANES]) {
            let raw = transpose(load_blocks(blocks));
            let at = |w: usize, j: usize| linear_in(raw[4 * w + 3 - j]);
            let mut x0 = [at(0, 0), at(0, 1), at(0, 2), at(0, 3)];
            let mut x1 = [at(1, 0), at(1, 1), at(1, 2), at(1, 3)];
            let mut x2 = [at(2, 0), at(2, 1), at(2, 2), at(2, 3)];
            let mut x3 = [at(3, 0), at(3, 1), at(3, 2), at(3, 3)];
            for q in 0..8 {
                let i = |k: usize| if REVERSE { 31 - 4 * q - k } else { 4 * q + k };
                let u = core::array::from_fn(|j| xor(x2[j], x3[j]));
                round(&mut x0, &u, &x1, keys, i(0));
                round(&mut x1, &u, &x0, keys, i(1));
                let u = core::array::from_fn(|j| xor(x0[j], x1[j]));
                round(&mut x2, &u, &x3, keys, i(2));
                round(&mut x3, &u, &x2, keys, i(3));
            }
            let words = [x3, x2, x1, x0];
            let out = core::array::from_fn(|p| linear_out(words[p / 4][3 - p % 4]));
            store_blocks(&transpose(out), blocks);
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn one_key<const REVERSE: bool>(round_keys: &[u32; 32], blocks: &mut [[u8; 16]]) {
            let mut expanded = round_keys.map(|key| {
                key.to_le_bytes()
                    .map(|byte| u32::from(byte).wrapping_mul(0x0101_0101))
            });
            let (whole, rest) = blocks.as_chunks_mut::<LANES>();
            for group in whole {
                crypt::<REVERSE>(Keys::One(&expanded), group);
            }
            if !rest.is_empty() {
                let mut group = [[0; 16]; LANES];
                group[..rest.len()].copy_from_slice(rest);
                crypt::<REVERSE>(Keys::One(&expanded), &mut group);
                rest.copy_from_slice(&group[..rest.len()]);
                zeroize::Zeroize::zeroize(&mut group);
            }
            zeroize::Zeroize::zeroize(&mut expanded);
        }

        #[target_feature(enable = $features)]
        fn encrypt_inner(round_keys: &[u32; 32], blocks: &mut [[u8; 16]]) {
            one_key::<false>(round_keys, blocks);
        }

        #[target_feature(enable = $features)]
        fn decrypt_inner(round_keys: &[u32; 32], blocks: &mut [[u8; 16]]) {
            one_key::<true>(round_keys, blocks);
        }

        #[target_feature(enable = $features)]
        fn each_inner(keys: &[[[u8; LANES]; 4]; 32], blocks: &mut [[u8; 16]; LANES]) {
            crypt::<false>(Keys::Each(keys), blocks);
        }

        /// Encrypts any number of blocks under one key.
        pub(in crate::sm4) fn encrypt(_: $token, round_keys: &[u32; 32], blocks: &mut [[u8; 16]]) {
            // SAFETY: the token is the proof of the instructions.
            unsafe { encrypt_inner(round_keys, blocks) }
        }

        /// Decrypts any number of blocks under one key.
        pub(in crate::sm4) fn decrypt(_: $token, round_keys: &[u32; 32], blocks: &mut [[u8; 16]]) {
            // SAFETY: the token is the proof of the instructions.
            unsafe { decrypt_inner(round_keys, blocks) }
        }

        /// Encrypts LANES blocks, each under the key of its lane.
        pub(in crate::sm4) fn encrypt_each(
            _: $token,
            keys: &[[[u8; LANES]; 4]; 32],
            blocks: &mut [[u8; 16]; LANES],
        ) {
            // SAFETY: the token is the proof of the instructions.
            unsafe { each_inner(keys, blocks) }
        }
    };
}
pub(super) use byte_sliced;
