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
        struct Keys<'a, const EACH: bool> {
            one: &'a [[u32; 4]; 32],
            each: &'a [[[u8; LANES]; 4]; 32],
        }

        #[repr(align(64))]
        struct Anchor(#[allow(dead_code)] u8);

        static NO_ONE: [[u32; 4]; 32] = [[0; 4]; 32];
        static NO_EACH: [[[u8; LANES]; 4]; 32] = [[[0; LANES]; 4]; 32];

        impl<const EACH: bool> Keys<'_, EACH> {
            #[inline]
            #[target_feature(enable = $features)]
            fn of(&self, round: usize, byte: usize) -> V {
                if EACH {
                    bytes(&self.each[round & 31][byte])
                } else {
                    dwords(self.one[round & 31][byte])
                }
            }
        }

        /// Moves the index (register, position) of each byte in 16 round by one bit. Written out, because LLVM keeps a
        /// loop over the array in memory.
        #[inline]
        #[target_feature(enable = $features)]
        fn interleave(x: [V; 16]) -> [V; 16] {
            [
                interleave_low(x[0], x[8]),
                interleave_high(x[0], x[8]),
                interleave_low(x[1], x[9]),
                interleave_high(x[1], x[9]),
                interleave_low(x[2], x[10]),
                interleave_high(x[2], x[10]),
                interleave_low(x[3], x[11]),
                interleave_high(x[3], x[11]),
                interleave_low(x[4], x[12]),
                interleave_high(x[4], x[12]),
                interleave_low(x[5], x[13]),
                interleave_high(x[5], x[13]),
                interleave_low(x[6], x[14]),
                interleave_high(x[6], x[14]),
                interleave_low(x[7], x[15]),
                interleave_high(x[7], x[15]),
            ]
        }

        /// Exchanges register and position in each 16 bytes; its own inverse.
        #[inline]
        #[target_feature(enable = $features)]
        fn transpose(x: [V; 16]) -> [V; 16] {
            interleave(interleave(interleave(interleave(x))))
        }

        /// `x ⊕= T(u ⊕ y ⊕ key)`.
        macro_rules! round {
            ($x:ident, $u:ident, $y:ident, $keys:ident, $i:expr) => {
                let i = $i;
                let (a0, c0) = substitute(xor3($u[0], $y[0], $keys.of(i, 0)));
                let (a1, c1) = substitute(xor3($u[1], $y[1], $keys.of(i, 1)));
                let d0 = xor(c0, a1);
                let (a2, c2) = substitute(xor3($u[2], $y[2], $keys.of(i, 2)));
                let d1 = xor(c1, a2);
                let (a3, c3) = substitute(xor3($u[3], $y[3], $keys.of(i, 3)));
                let d2 = xor(c2, a3);
                let d3 = xor(c3, a0);
                let all = xor(xor3(d0, d1, d2), d3);
                $x = [
                    xor3($x[0], d0, all),
                    xor3($x[1], d1, all),
                    xor3($x[2], d2, all),
                    xor3($x[3], d3, all),
                ];
            };
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn sum(a: &[V; 4], b: &[V; 4]) -> [V; 4] {
            [
                xor(a[0], b[0]),
                xor(a[1], b[1]),
                xor(a[2], b[2]),
                xor(a[3], b[3]),
            ]
        }

        /// All rounds over LANES blocks.
        macro_rules! rounds {
            ($keys:ident, $reverse:expr, $x0:ident, $x1:ident, $x2:ident, $x3:ident) => {
                for q in 0..8 {
                    let i = |k: usize| {
                        if $reverse { 31 - 4 * q - k } else { 4 * q + k }
                    };
                    let u = sum(&$x2, &$x3);
                    round!($x0, u, $x1, $keys, i(0));
                    round!($x1, u, $x0, $keys, i(1));
                    let u = sum(&$x0, &$x1);
                    round!($x2, u, $x3, $keys, i(2));
                    round!($x3, u, $x2, $keys, i(3));
                }
            };
        }

        /// Over twice as many, round by round in turn: each half works while the other waits for its results.
        macro_rules! rounds_of_two {
            ($keys:ident, $reverse:expr, $x0:ident, $x1:ident, $x2:ident, $x3:ident,
             $more:ident, $z0:ident, $z1:ident, $z2:ident, $z3:ident) => {
                for q in 0..8 {
                    let i = |k: usize| {
                        if $reverse { 31 - 4 * q - k } else { 4 * q + k }
                    };
                    let u = sum(&$x2, &$x3);
                    let v = sum(&$z2, &$z3);
                    round!($x0, u, $x1, $keys, i(0));
                    round!($z0, v, $z1, $more, i(0));
                    round!($x1, u, $x0, $keys, i(1));
                    round!($z1, v, $z0, $more, i(1));
                    let u = sum(&$x0, &$x1);
                    let v = sum(&$z0, &$z1);
                    round!($x2, u, $x3, $keys, i(2));
                    round!($z2, v, $z3, $more, i(2));
                    round!($x3, u, $x2, $keys, i(3));
                    round!($z3, v, $z2, $more, i(3));
                }
            };
        }

        #[target_feature(enable = $features)]
        fn crypt<const REVERSE: bool, const EACH: bool>(
            keys: Keys<'_, EACH>,
            blocks: &mut [[u8; 16]; LANES],
        ) {
            // The state does not fit in 16 registers. A local of wide alignment makes the compiler align the frame:
            // otherwise half of the spilled vectors would lie across cache lines.
            let anchor = Anchor(0);
            core::hint::black_box(&anchor);
            let [mut x0, mut x1, mut x2, mut x3] = load(load_blocks(blocks));
            rounds!(keys, REVERSE, x0, x1, x2, x3);
            store_blocks(&save([x0, x1, x2, x3]), blocks);
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn load(blocks: [V; 16]) -> [[V; 4]; 4] {
            let mut x = transpose(blocks);
            for x in &mut x {
                *x = linear_in(*x);
            }
            [
                [x[3], x[2], x[1], x[0]],
                [x[7], x[6], x[5], x[4]],
                [x[11], x[10], x[9], x[8]],
                [x[15], x[14], x[13], x[12]],
            ]
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn save(x: [[V; 4]; 4]) -> [V; 16] {
            let [x0, x1, x2, x3] = x;
            let mut out = [
                x3[3], x3[2], x3[1], x3[0], x2[3], x2[2], x2[1], x2[0], x1[3], x1[2], x1[1], x1[0],
                x0[3], x0[2], x0[1], x0[0],
            ];
            for x in &mut out {
                *x = linear_out(*x);
            }
            transpose(out)
        }

        /// Twice as many blocks, round by round in turn: each half works while the other waits for its results.
        #[target_feature(enable = $features)]
        fn crypt_two<const REVERSE: bool>(
            keys: Keys<'_, false>,
            a: &mut [[u8; 16]; LANES],
            b: &mut [[u8; 16]; LANES],
        ) {
            let anchor = Anchor(0);
            core::hint::black_box(&anchor);
            let [mut x0, mut x1, mut x2, mut x3] = load(load_blocks(a));
            let [mut z0, mut z1, mut z2, mut z3] = load(load_blocks(b));
            rounds_of_two!(keys, REVERSE, x0, x1, x2, x3, keys, z0, z1, z2, z3);
            store_blocks(&save([x0, x1, x2, x3]), a);
            store_blocks(&save([z0, z1, z2, z3]), b);
        }

        /// Where the block of each lane stands in its group.
        static ORDER: [u8; LANES] = {
            let mut order = [0; LANES];
            let mut at = 0;
            while at < LANES {
                order[at] = (LANES / 16 * (at % 16) + at / 16) as u8;
                at += 1;
            }
            order
        };

        #[inline]
        #[target_feature(enable = $features)]
        fn splat(byte: u8) -> V {
            dwords(u32::from_ne_bytes([byte; 4]))
        }

        /// LANES counter blocks, as `load` would give them: 12 bytes that all have in common, and a big-endian counter
        /// from `first` on, which wraps.
        #[inline]
        #[target_feature(enable = $features)]
        fn counters(common: &[V; 12], first: u32) -> [[V; 4]; 4] {
            let order = bytes(&ORDER);
            let now = first.to_be_bytes();
            let next = first.wrapping_add(256).to_be_bytes();
            // A group is shorter than 128, so a carry needs a low byte above 127.
            let carried = greater(order, splat((255 - now[3]).min(127)));
            let either =
                |i: usize| linear_in(xor(splat(now[i]), and(carried, splat(now[i] ^ next[i]))));
            let c = common;
            let counter = [
                linear_in(add(order, splat(now[3]))),
                either(2),
                either(1),
                either(0),
            ];
            [
                [c[3], c[2], c[1], c[0]],
                [c[7], c[6], c[5], c[4]],
                [c[11], c[10], c[9], c[8]],
                counter,
            ]
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn counter_mode(
            keys: Keys<'_, false>,
            common: &[V; 12],
            first: u32,
            text: &mut [[u8; 16]; LANES],
        ) {
            let anchor = Anchor(0);
            core::hint::black_box(&anchor);
            let [mut x0, mut x1, mut x2, mut x3] = counters(common, first);
            rounds!(keys, false, x0, x1, x2, x3);
            xor_blocks(&save([x0, x1, x2, x3]), text);
        }

        #[target_feature(enable = $features)]
        fn counter_mode_two(
            keys: Keys<'_, false>,
            common: &[V; 12],
            first: u32,
            a: &mut [[u8; 16]; LANES],
            b: &mut [[u8; 16]; LANES],
        ) {
            let anchor = Anchor(0);
            core::hint::black_box(&anchor);
            let [mut x0, mut x1, mut x2, mut x3] = counters(common, first);
            let [mut z0, mut z1, mut z2, mut z3] =
                counters(common, first.wrapping_add(LANES as u32));
            rounds_of_two!(keys, false, x0, x1, x2, x3, keys, z0, z1, z2, z3);
            xor_blocks(&save([x0, x1, x2, x3]), a);
            xor_blocks(&save([z0, z1, z2, z3]), b);
        }

        #[target_feature(enable = $features)]
        fn counter_mode_inner(
            round_keys: &[u32; 32],
            nonce: &[u8; 12],
            mut first: u32,
            text: &mut [[u8; 16]],
        ) {
            let mut expanded = expand(round_keys);
            let keys = Keys {
                one: &expanded,
                each: &NO_EACH,
            };
            let mut common = [splat(0); 12];
            for (to, byte) in common.iter_mut().zip(nonce) {
                *to = linear_in(splat(*byte));
            }
            let (whole, rest) = text.as_chunks_mut::<LANES>();
            let (pairs, single) = whole.as_chunks_mut::<2>();
            for [a, b] in pairs {
                counter_mode_two(keys, &common, first, a, b);
                first = first.wrapping_add(2 * LANES as u32);
            }
            for group in single {
                counter_mode(keys, &common, first, group);
                first = first.wrapping_add(LANES as u32);
            }
            if !rest.is_empty() {
                let mut group = [[0; 16]; LANES];
                group[..rest.len()].copy_from_slice(rest);
                counter_mode(keys, &common, first, &mut group);
                rest.copy_from_slice(&group[..rest.len()]);
                crate::sm4::wipe::wipe(group.as_flattened_mut());
            }
            crate::sm4::wipe::wipe(expanded.as_flattened_mut());
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn chain_group(keys: Keys<'_, false>, previous: &[u8; 16], blocks: &mut [[u8; 16]; LANES]) {
            let anchor = Anchor(0);
            core::hint::black_box(&anchor);
            let [mut x0, mut x1, mut x2, mut x3] = load(load_blocks(blocks));
            rounds!(keys, true, x0, x1, x2, x3);
            unchain(&save([x0, x1, x2, x3]), previous, blocks);
        }

        #[target_feature(enable = $features)]
        fn chain_group_two(
            keys: Keys<'_, false>,
            previous: &[u8; 16],
            a: &mut [[u8; 16]; LANES],
            b: &mut [[u8; 16]; LANES],
        ) {
            let anchor = Anchor(0);
            core::hint::black_box(&anchor);
            let [mut x0, mut x1, mut x2, mut x3] = load(load_blocks(a));
            let [mut z0, mut z1, mut z2, mut z3] = load(load_blocks(b));
            rounds_of_two!(keys, true, x0, x1, x2, x3, keys, z0, z1, z2, z3);
            unchain(&save([z0, z1, z2, z3]), &a[LANES - 1], b);
            unchain(&save([x0, x1, x2, x3]), previous, a);
        }

        /// From the end of the chain to its start: what a group needs of the one before is then still there.
        #[target_feature(enable = $features)]
        fn decrypt_chain_inner(round_keys: &[u32; 32], iv: &[u8; 16], blocks: &mut [[u8; 16]]) {
            let mut expanded = expand(round_keys);
            let keys = Keys {
                one: &expanded,
                each: &NO_EACH,
            };
            let (whole, last) = blocks.split_at_mut(blocks.len() / LANES * LANES);
            if !last.is_empty() {
                let mut group = [[0; 16]; LANES];
                group[..last.len()].copy_from_slice(last);
                chain_group(keys, whole.last().unwrap_or(iv), &mut group);
                last.copy_from_slice(&group[..last.len()]);
                crate::sm4::wipe::wipe(group.as_flattened_mut());
            }
            let (pairs, single) = whole.split_at_mut(whole.len() / (2 * LANES) * (2 * LANES));
            if let Some(group) = single.first_chunk_mut() {
                chain_group(keys, pairs.last().unwrap_or(iv), group);
            }
            for end in (0..pairs.len() / LANES).rev().step_by(2) {
                let (before, now) = pairs.split_at_mut((end - 1) * LANES);
                if let Some((a, b)) = now.split_first_chunk_mut()
                    && let Some(b) = b.first_chunk_mut()
                {
                    chain_group_two(keys, before.last().unwrap_or(iv), a, b);
                }
            }
            crate::sm4::wipe::wipe(expanded.as_flattened_mut());
        }

        /// A step at a time, with the last ciphertexts in the registers.
        #[target_feature(enable = $features)]
        fn chains_inner(
            keys: &[[[u8; LANES]; 4]; 32],
            last: &mut [[u8; 16]; LANES],
            chains: &mut [&mut [[u8; 16]]; LANES],
            steps: usize,
        ) {
            let anchor = Anchor(0);
            core::hint::black_box(&anchor);
            let keys = Keys::<true> {
                one: &NO_ONE,
                each: keys,
            };
            let mut state = load(load_blocks(last));
            for step in 0..steps {
                let plain = load(gather(chains, step));
                let mut x0 = sum(&plain[0], &state[0]);
                let mut x1 = sum(&plain[1], &state[1]);
                let mut x2 = sum(&plain[2], &state[2]);
                let mut x3 = sum(&plain[3], &state[3]);
                rounds!(keys, false, x0, x1, x2, x3);
                scatter(&save([x0, x1, x2, x3]), chains, step);
                state = [x3, x2, x1, x0];
            }
            let [x0, x1, x2, x3] = state;
            store_blocks(&save([x3, x2, x1, x0]), last);
        }

        /// As [`chains_inner`], over twice as many.
        #[target_feature(enable = $features)]
        fn chains_two_inner(
            keys: [&[[[u8; LANES]; 4]; 32]; 2],
            groups: [(&mut [[u8; 16]; LANES], &mut [&mut [[u8; 16]]; LANES]); 2],
            steps: usize,
        ) {
            let anchor = Anchor(0);
            core::hint::black_box(&anchor);
            let [keys, more] = keys.map(|keys| Keys::<true> {
                one: &NO_ONE,
                each: keys,
            });
            let [(last_a, chains_a), (last_b, chains_b)] = groups;
            let mut a = load(load_blocks(last_a));
            let mut b = load(load_blocks(last_b));
            for step in 0..steps {
                let plain = load(gather(chains_a, step));
                let mut x0 = sum(&plain[0], &a[0]);
                let mut x1 = sum(&plain[1], &a[1]);
                let mut x2 = sum(&plain[2], &a[2]);
                let mut x3 = sum(&plain[3], &a[3]);
                let plain = load(gather(chains_b, step));
                let mut z0 = sum(&plain[0], &b[0]);
                let mut z1 = sum(&plain[1], &b[1]);
                let mut z2 = sum(&plain[2], &b[2]);
                let mut z3 = sum(&plain[3], &b[3]);
                rounds_of_two!(keys, false, x0, x1, x2, x3, more, z0, z1, z2, z3);
                scatter(&save([x0, x1, x2, x3]), chains_a, step);
                scatter(&save([z0, z1, z2, z3]), chains_b, step);
                a = [x3, x2, x1, x0];
                b = [z3, z2, z1, z0];
            }
            let [x0, x1, x2, x3] = a;
            store_blocks(&save([x3, x2, x1, x0]), last_a);
            let [z0, z1, z2, z3] = b;
            store_blocks(&save([z3, z2, z1, z0]), last_b);
        }

        /// To where `load` has the bytes of the blocks that the keys are for.
        #[target_feature(enable = $features)]
        fn slice_keys_inner(keys: &[&[u32; 32]; LANES], sliced: &mut [[[u8; LANES]; 4]; 32]) {
            for (q, rounds) in sliced.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                let x = transpose(load_keys(keys, q));
                for (to, x) in rounds.as_flattened_mut().iter_mut().zip(x) {
                    store_bytes(x, to);
                }
            }
        }

        /// Every byte of the round keys four times.
        #[inline]
        #[target_feature(enable = $features)]
        fn expand(round_keys: &[u32; 32]) -> [[u32; 4]; 32] {
            let mut expanded = [[0u32; 4]; 32];
            // Scalar code for this would cost a third of 64 blocks' encryption.
            let spread = _mm_set_epi32(0x0303_0303, 0x0202_0202, 0x0101_0101, 0);
            for (to, key) in expanded.iter_mut().zip(round_keys) {
                let bytes = _mm_shuffle_epi8(_mm_cvtsi32_si128(key.cast_signed()), spread);
                // SAFETY: writes the 16 bytes of `to`.
                unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), bytes) };
            }
            expanded
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn one_key<const REVERSE: bool>(round_keys: &[u32; 32], blocks: &mut [[u8; 16]]) {
            let mut expanded = expand(round_keys);
            let keys = Keys {
                one: &expanded,
                each: &NO_EACH,
            };
            let (whole, rest) = blocks.as_chunks_mut::<LANES>();
            let (pairs, single) = whole.as_chunks_mut::<2>();
            for [a, b] in pairs {
                crypt_two::<REVERSE>(keys, a, b);
            }
            for group in single {
                crypt::<REVERSE, false>(keys, group);
            }
            if !rest.is_empty() {
                let mut group = [[0; 16]; LANES];
                group[..rest.len()].copy_from_slice(rest);
                crypt::<REVERSE, false>(keys, &mut group);
                rest.copy_from_slice(&group[..rest.len()]);
                crate::sm4::wipe::wipe(group.as_flattened_mut());
            }
            crate::sm4::wipe::wipe(expanded.as_flattened_mut());
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
            crypt::<false, true>(
                Keys {
                    one: &NO_ONE,
                    each: keys,
                },
                blocks,
            );
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

        /// CBC decryption of any number of blocks under one key.
        pub(in crate::sm4) fn decrypt_chain(
            _: $token,
            round_keys: &[u32; 32],
            iv: &[u8; 16],
            blocks: &mut [[u8; 16]],
        ) {
            // SAFETY: the token is the proof of the instructions.
            unsafe { decrypt_chain_inner(round_keys, iv, blocks) }
        }

        /// `steps` steps of CBC encryption on LANES chains, each under the key of its lane. `last` are the ciphertexts
        /// before, and behind, them. What has no block left is idle.
        pub(in crate::sm4) fn encrypt_chains(
            _: $token,
            keys: &[[[u8; LANES]; 4]; 32],
            last: &mut [[u8; 16]; LANES],
            chains: &mut [&mut [[u8; 16]]; LANES],
            steps: usize,
        ) {
            // SAFETY: the token is the proof of the instructions.
            unsafe { chains_inner(keys, last, chains, steps) }
        }

        /// [`encrypt_chains`] on two groups of lanes in turn.
        pub(in crate::sm4) fn encrypt_chains_two(
            _: $token,
            keys: [&[[[u8; LANES]; 4]; 32]; 2],
            groups: [(&mut [[u8; 16]; LANES], &mut [&mut [[u8; 16]]; LANES]); 2],
            steps: usize,
        ) {
            // SAFETY: the token is the proof of the instructions.
            unsafe { chains_two_inner(keys, groups, steps) }
        }

        /// Adds to `text` the key stream of counter blocks: `nonce`, then a big-endian counter from `first` on, which wraps.
        pub(in crate::sm4) fn add_key_stream(
            _: $token,
            round_keys: &[u32; 32],
            nonce: &[u8; 12],
            first: u32,
            text: &mut [[u8; 16]],
        ) {
            // SAFETY: the token is the proof of the instructions.
            unsafe { counter_mode_inner(round_keys, nonce, first, text) }
        }

        /// The round keys of LANES keys, byte-sliced.
        pub(in crate::sm4) fn slice_keys(
            _: $token,
            keys: &[&[u32; 32]; LANES],
            sliced: &mut [[[u8; LANES]; 4]; 32],
        ) {
            // SAFETY: the token is the proof of the instructions.
            unsafe { slice_keys_inner(keys, sliced) }
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
