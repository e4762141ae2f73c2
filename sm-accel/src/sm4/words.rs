//! A kernel of short latency: few blocks, one word of a block in each 32-bit element of a register.
//!
//! A round waits for the one before, so its time is the way from one S-box input t to the next. With the words
//! x₀ ... x₃ before a round and k the next round's key, let d = x₂ ⊕ x₃ ⊕ k. Then t' = (d ⊕ x₀) ⊕ T(t), where all but T(t)
//! is known early, and the new word is t' ⊕ d. The key schedule has the same form. [`affine`](super::affine) has the
//! algebra of the transformed basis.
//!
//! d has the word of the round before, which came two sums after t: where a sum takes two cycles (Zen 5), T(t) waits for
//! it. Where three make one sum, d is therefore t ⊕ f with f = x₁ ⊕ k₀ ⊕ k, of older words and this round's own key k₀.
//!
//! The file that calls the macro gives what differs: `linear_in` and `linear_out`, into the basis and out of it, and
//! `next` and `next_prime`, which add T and the key schedule's T' to what is known early; `SCHEDULE_KEYS` and `FOLD`,
//! which make up for the constants that `next_prime` and the kernels leave out.

macro_rules! words {
    ($features:literal, $token:ty, $vectors:ident) => {
        use crate::sm4::word_vectors::RoundKeys;
        use crate::sm4::word_vectors::$vectors::*;

        /// Blocks of a group.
        #[allow(dead_code, reason = "not asked of every width")]
        pub(in crate::sm4) const GROUP: usize = BLOCKS;

        /// The most blocks of a pass: two groups in turn, where one would wait for its results.
        #[allow(dead_code, reason = "not asked of every width")]
        pub(in crate::sm4) const MOST: usize = 2 * BLOCKS;

        /// Reverses the bytes of each word.
        static REVERSED: [u8; 16] = [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12];

        /// All rounds on the groups `x`, each four words, with `key(group, round)`; `done` is called behind every
        /// fourth.
        macro_rules! rounds {
            ($x:ident, $key:expr, $next:ident, $done:expr) => {
                let key = $key;
                // x₁ last: in a chain it is the latest.
                let mut t = $x.map(|x| opaque(xor(x[2], x[3])));
                for (g, (t, x)) in t.iter_mut().zip(&$x).enumerate() {
                    *t = opaque(sum3(key(g, 0), *t, x[1]));
                }
                for q in 0..8 {
                    for w in 0..4 {
                        // The last turn makes an input that nobody takes.
                        for (g, (t, x)) in t.iter_mut().zip($x.iter_mut()).enumerate() {
                            let i = 4 * q + w;
                            let next_key = key(g, (i + 1) & 31);
                            if TERNARY {
                                let f = opaque(sum3(key(g, i), next_key, x[(w + 1) & 3]));
                                let now = opaque($next(*t, opaque(sum3(f, x[w], *t))));
                                x[w] = sum3(f, *t, now);
                                *t = now;
                            } else {
                                let d = opaque(xor(xor(x[(w + 2) & 3], next_key), x[(w + 3) & 3]));
                                *t = opaque($next(*t, opaque(xor(d, x[w]))));
                                x[w] = xor(*t, d);
                            }
                        }
                    }
                    $done(q, &$x);
                }
            };
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn load_words(blocks: &[[u8; 16]]) -> [V; 4] {
            let reversed = table(&REVERSED);
            transpose(load(blocks).map(|x| linear_in(shuffle(x, reversed))))
        }

        /// The blocks that end with these words: in reverse order.
        #[inline]
        #[target_feature(enable = $features)]
        fn of_words([x0, x1, x2, x3]: [V; 4]) -> [V; 4] {
            let reversed = table(&REVERSED);
            transpose([x3, x2, x1, x0]).map(|x| linear_out(shuffle(x, reversed)))
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn store_words(x: [V; 4], blocks: &mut [[u8; 16]]) {
            store(of_words(x), blocks);
        }

        /// Counter and text do not go through memory: a vector read from what was written in parts waits for all that
        /// was begun before, and so texts of some blocks would not overlap.
        #[target_feature(enable = $features)]
        fn counter_mode(keys: &[u32; 32], counter: u128, text: &mut [u8]) {
            let mut x = [[
                linear_in(words((counter >> 96) as u32)),
                linear_in(words((counter >> 64) as u32)),
                linear_in(words((counter >> 32) as u32)),
                linear_in(ascending(counter as u32)),
            ]];
            rounds!(x, |_, i: usize| words(keys[i]), next, |_, _: &_| ());
            add_to(&of_words(x[0]), text);
        }

        /// Up to MOST blocks.
        #[target_feature(enable = $features)]
        fn crypt<const REVERSE: bool>(keys: &[u32; 32], blocks: &mut [[u8; 16]]) {
            let key = |_, i: usize| words(keys[if REVERSE { 31 - i } else { i }]);
            if blocks.len() <= BLOCKS {
                let mut x = [load_words(blocks)];
                rounds!(x, key, next, |_, _: &_| ());
                store_words(x[0], blocks);
            } else {
                let (a, b) = blocks.split_at_mut(BLOCKS);
                let mut x = [load_words(a), load_words(b)];
                rounds!(x, key, next, |_, _: &_| ());
                store_words(x[0], a);
                store_words(x[1], b);
            }
        }

        /// The round keys of up to BLOCKS blocks, round by round; zeros for blocks that are missing.
        #[inline]
        #[target_feature(enable = $features)]
        fn gather(keys: &[&[u32; 32]], out: &mut [V; 32]) {
            for (q, out) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                *out = transpose(load_keys(keys, q));
            }
        }

        /// Up to MOST blocks, block i under key i.
        #[target_feature(enable = $features)]
        fn crypt_each(keys: &[&[u32; 32]], blocks: &mut [[u8; 16]]) {
            let mut gathered = [[zero(); 32]; 2];
            if blocks.len() <= BLOCKS {
                gather(keys, &mut gathered[0]);
                let mut x = [load_words(blocks)];
                rounds!(x, |_, i: usize| gathered[0][i], next, |_, _: &_| ());
                store_words(x[0], blocks);
            } else {
                let (keys_a, keys_b) = keys.split_at(BLOCKS);
                gather(keys_a, &mut gathered[0]);
                gather(keys_b, &mut gathered[1]);
                let (a, b) = blocks.split_at_mut(BLOCKS);
                let mut x = [load_words(a), load_words(b)];
                rounds!(x, |g: usize, i: usize| gathered[g][i], next, |_, _: &_| ());
                store_words(x[0], a);
                store_words(x[1], b);
            }
            gathered = [[zero(); 32]; 2];
            zeroize::optimization_barrier(&gathered);
        }

        /// The schedules of up to MOST keys.
        #[target_feature(enable = $features)]
        fn schedule_inner<K: RoundKeys>(keys: &[[u8; 16]], out: &mut [K]) {
            let folded = |q: usize, x: &[V; 4]| {
                let fold = &FOLD[q & 1];
                transpose([
                    xor(x[0], words(fold[0])),
                    xor(x[1], words(fold[1])),
                    xor(x[2], words(fold[2])),
                    xor(x[3], words(fold[3])),
                ])
            };
            let key = |_, i: usize| words(SCHEDULE_KEYS[i]);
            let fk = table(&crate::sm4::affine::FK_BYTES);
            let reversed = table(&REVERSED);
            let load = |keys: &[[u8; 16]]| {
                transpose(load(keys).map(|x| linear_in(shuffle(xor(x, fk), reversed))))
            };
            if keys.len() <= BLOCKS {
                let mut x = [load(keys)];
                rounds!(x, key, next_prime, |q, x: &[[V; 4]; 1]| store_keys(
                    folded(q, &x[0]),
                    out,
                    q
                ));
            } else {
                let (a, b) = keys.split_at(BLOCKS);
                let (out_a, out_b) = out.split_at_mut(BLOCKS);
                let mut x = [load(a), load(b)];
                rounds!(x, key, next_prime, |q, x: &[[V; 4]; 2]| {
                    store_keys(folded(q, &x[0]), out_a, q);
                    store_keys(folded(q, &x[1]), out_b, q);
                });
            }
        }

        /// Encrypts up to MOST blocks under one key.
        pub(in crate::sm4) fn encrypt(_: $token, round_keys: &[u32; 32], blocks: &mut [[u8; 16]]) {
            // SAFETY: the token is the proof of the instructions.
            unsafe { crypt::<false>(round_keys, blocks) }
        }

        /// Decrypts up to MOST blocks under one key.
        pub(in crate::sm4) fn decrypt(_: $token, round_keys: &[u32; 32], blocks: &mut [[u8; 16]]) {
            // SAFETY: the token is the proof of the instructions.
            unsafe { crypt::<true>(round_keys, blocks) }
        }

        /// Adds to `text`, of up to GROUP blocks, of which the last may be a part, the key stream from a counter block
        /// on, whose last four bytes count, and wrap.
        pub(in crate::sm4) fn add_key_stream(
            _: $token,
            round_keys: &[u32; 32],
            counter: u128,
            text: &mut [u8],
        ) {
            // SAFETY: the token is the proof of the instructions.
            unsafe { counter_mode(round_keys, counter, text) }
        }

        /// Encrypts up to MOST blocks, block i under key i, of which there are as many.
        pub(in crate::sm4) fn encrypt_each(
            _: $token,
            keys: &[&[u32; 32]],
            blocks: &mut [[u8; 16]],
        ) {
            // SAFETY: the token is the proof of the instructions.
            unsafe { crypt_each(keys, blocks) }
        }

        /// The schedules of up to MOST keys.
        pub(in crate::sm4) fn schedule<K: RoundKeys>(_: $token, keys: &[[u8; 16]], out: &mut [K]) {
            // SAFETY: the token is the proof of the instructions.
            unsafe { schedule_inner(keys, out) }
        }
    };
}
pub(super) use words;

/// Behind [`words`], for the one width that serves a chain.
macro_rules! chain {
    ($features:literal, $token:ty, $next:ident) => {
        /// The words of one block, each in every element of a register.
        #[inline]
        #[target_feature(enable = $features)]
        fn spread(block: &[u8; 16]) -> [V; 4] {
            let [x, ..] = load(core::slice::from_ref(block));
            spread_words(linear_in(shuffle(x, table(&REVERSED))))
        }

        /// Each block is added to the last state in the transformed basis, so the way in and out is beside the chain.
        #[target_feature(enable = $features)]
        fn chain(keys: &[u32; 32], iv: &[u8; 16], blocks: &mut [[u8; 16]]) {
            let [x0, x1, x2, x3] = spread(iv);
            let mut x = [[x3, x2, x1, x0]];
            for block in blocks {
                let plain = spread(block);
                x = x.map(|x| {
                    [
                        xor(plain[0], x[3]),
                        xor(plain[1], x[2]),
                        xor(plain[2], x[1]),
                        xor(plain[3], x[0]),
                    ]
                });
                rounds!(x, |_, i: usize| words(keys[i]), $next, |_, _: &_| ());
                store_words(x[0], core::slice::from_mut(block));
            }
        }

        /// CBC encryption of one chain.
        pub(in crate::sm4) fn cbc_encrypt(
            _: $token,
            round_keys: &[u32; 32],
            iv: &[u8; 16],
            blocks: &mut [[u8; 16]],
        ) {
            // SAFETY: the token is the proof of the instructions.
            unsafe { chain(round_keys, iv, blocks) }
        }
    };
}
pub(super) use chain;
