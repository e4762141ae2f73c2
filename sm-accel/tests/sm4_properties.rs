//! SM4's modes with whatever a caller may combine: places in memory, splits of a stream, backends in one batch, lengths of
//! nonces and tags, items that fail beside items that do not.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]

use cipher::{KeyIvInit, StreamCipher};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use sm_accel::sm4::{
    CbcJob, OpenJob, SealJob, Sm4, Sm4Ccm, Sm4Gcm, cbc_decrypt_many, cbc_encrypt_many,
};
use sm_accel::{Backend, Error};

type Ctr128 = ctr::Ctr128BE<sm4::Sm4>;

fn backends() -> Vec<Backend> {
    Backend::available().collect()
}

/// What CBC encryption gives, from the portable backend's single blocks.
fn cbc_expected(key: &[u8; 16], iv: &[u8; 16], blocks: &[[u8; 16]]) -> Vec<[u8; 16]> {
    let single = Sm4::with_backend(Backend::PORTABLE, key);
    let mut last = *iv;
    blocks
        .iter()
        .map(|block| {
            let mut next = [*block];
            next[0].iter_mut().zip(last).for_each(|(a, b)| *a ^= b);
            // CBC of one block after zeros is the block cipher.
            single.cbc_encrypt(&[0; 16], &mut next);
            last = next[0];
            last
        })
        .collect()
}

/// One text of a batch.
#[derive(Clone, Debug)]
struct Item {
    key: usize,
    backend: Index,
    nonce: Vec<u8>,
    aad: Vec<u8>,
    text: Vec<u8>,
    forged: Option<Index>,
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let item = (
        0usize..4,
        any::<Index>(),
        vec(any::<u8>(), 0..20),
        vec(any::<u8>(), 0..40),
        vec(any::<u8>(), 0..400),
        prop::option::weighted(0.2, any::<Index>()),
    );
    let item = item.prop_map(|(key, backend, nonce, aad, text, forged)| Item {
        key,
        backend,
        nonce,
        aad,
        text,
        forged,
    });
    vec(item, 0..40)
}

/// A batch over keys of all backends against single calls on the portable one, both ways, with forged tags and bad
/// nonces in between.
macro_rules! batch {
    ($mode:ident, $tag:literal, $items:expr) => {{
        let items: Vec<Item> = $items;
        let all = backends();
        let key = |i: usize| [i as u8 + 1; 16];
        let keys: Vec<Vec<_>> = (0..4)
            .map(|i| {
                let on = |backend| $mode::with_backend(backend, &key(i)).with_tag_length::<$tag>();
                all.iter().map(|backend| on(*backend)).collect()
            })
            .collect();
        let singles: Vec<_> = (0..4).map(|i| &keys[i][0]).collect();
        let chosen = |item: &Item| &keys[item.key][item.backend.index(all.len())];

        let mut texts: Vec<Vec<u8>> = items.iter().map(|item| item.text.clone()).collect();
        let mut jobs: Vec<_> = texts
            .iter_mut()
            .zip(&items)
            .map(|(text, item)| SealJob {
                key: chosen(item),
                nonce: &item.nonce,
                aad: &item.aad,
                text,
            })
            .collect();
        let sealed = $mode::<$tag>::seal_many(&mut jobs);
        for ((item, text), sealed) in items.iter().zip(&texts).zip(&sealed) {
            let mut expected = item.text.clone();
            let tag = singles[item.key].seal_in_place(&item.nonce, &item.aad, &mut expected);
            prop_assert_eq!(&tag, sealed);
            prop_assert_eq!(text, &expected);
        }

        let mut tags: Vec<[u8; $tag]> = sealed.iter().map(|tag| tag.unwrap_or_default()).collect();
        for (item, tag) in items.iter().zip(&mut tags) {
            if let Some(bit) = item.forged {
                let bit = bit.index(8 * $tag);
                tag[bit / 8] ^= 1 << (bit % 8);
            }
        }
        let before = texts.clone();
        let mut jobs: Vec<_> = texts
            .iter_mut()
            .zip(&items)
            .zip(&tags)
            .map(|((text, item), tag)| OpenJob {
                key: chosen(item),
                nonce: &item.nonce,
                aad: &item.aad,
                text,
                tag,
            })
            .collect();
        let opened = $mode::<$tag>::open_many(&mut jobs);
        for (i, item) in items.iter().enumerate() {
            match (&sealed[i], item.forged) {
                (Err(error), _) => prop_assert_eq!(opened[i], Err(*error)),
                (Ok(_), Some(_)) => prop_assert_eq!(opened[i], Err(Error::Decryption)),
                (Ok(_), None) => prop_assert_eq!(opened[i], Ok(())),
            }
            let expected = if opened[i].is_ok() {
                &item.text
            } else {
                &before[i]
            };
            prop_assert_eq!(&texts[i], expected);
        }
    }};
}

proptest! {
    #[test]
    fn ctr_streams_are_cut_anywhere_between_blocks(
        key in any::<[u8; 16]>(),
        counter in prop_oneof![
            any::<u128>(),
            (0u128..300).prop_map(|back| u128::MAX - back),
            (any::<u64>(), 0u64..300).prop_map(|(high, back)| u128::from(high) << 64 | u128::from(u64::MAX - back)),
            (any::<u64>(), 0u32..300).prop_map(|(high, back)| u128::from(high) << 64 | u128::from(u32::MAX - back)),
        ],
        pieces in vec(0usize..90, 0..6),
        last in 0usize..1100,
        offset in 0usize..33,
    ) {
        let length = pieces.iter().sum::<usize>() * 16 + last;
        let plain: Vec<u8> = (0..offset + length).map(|i| (i * 7) as u8).collect();
        let mut expected = plain.clone();
        Ctr128::new(&key.into(), &counter.to_be_bytes().into()).apply_keystream(&mut expected[offset..]);
        for backend in backends() {
            let cipher = Sm4::with_backend(backend, &key);
            let mut got = plain.clone();
            let mut next = counter.to_be_bytes();
            let mut rest = &mut got[offset..];
            for piece in &pieces {
                let (head, tail) = rest.split_at_mut(piece * 16);
                cipher.ctr_xor(&mut next, head);
                rest = tail;
            }
            cipher.ctr_xor(&mut next, rest);
            prop_assert_eq!(&got, &expected, "{}", backend);
            let blocks = length.div_ceil(16) as u128;
            prop_assert_eq!(u128::from_be_bytes(next), counter.wrapping_add(blocks));
        }
    }

    #[test]
    fn chains_lie_anywhere_in_memory_under_keys_of_all_backends(
        chains in vec((0u8..5, any::<Index>(), 0usize..40, 0usize..33), 0..60),
        iv in any::<[u8; 16]>(),
    ) {
        let all = backends();
        let keys: Vec<Vec<Sm4>> = (0..5)
            .map(|i| all.iter().map(|backend| Sm4::with_backend(*backend, &[i; 16])).collect())
            .collect();
        let plain: Vec<Vec<u8>> = chains
            .iter()
            .map(|(key, _, count, offset)| (0..offset + 16 * count).map(|i| (i * 11) as u8 ^ key).collect())
            .collect();
        let mut got = plain.clone();
        for round in 0..4 {
            let mut jobs: Vec<_> = got
                .iter_mut()
                .zip(&chains)
                .map(|(memory, (key, backend, _, offset))| CbcJob {
                    key: &keys[usize::from(*key)][backend.index(all.len())],
                    iv: &iv,
                    blocks: memory[*offset..].as_chunks_mut().0,
                })
                .collect();
            // Many at once, then one by one.
            match round {
                0 => cbc_encrypt_many(&mut jobs),
                1 => cbc_decrypt_many(&mut jobs),
                2 => jobs.iter_mut().for_each(|job| job.key.cbc_encrypt(job.iv, job.blocks)),
                _ => jobs.iter_mut().for_each(|job| job.key.cbc_decrypt(job.iv, job.blocks)),
            }
            for ((got, plain), (key, _, _, offset)) in got.iter().zip(&plain).zip(&chains) {
                prop_assert_eq!(&got[..*offset], &plain[..*offset]);
                let blocks = plain[*offset..].as_chunks().0;
                let expected = match round % 2 {
                    0 => cbc_expected(&[*key; 16], &iv, blocks),
                    _ => blocks.to_vec(),
                };
                prop_assert_eq!(got[*offset..].as_chunks().0, &expected[..]);
            }
        }
    }

    #[test]
    fn gcm_batches_are_what_single_calls_are(items in items()) {
        batch!(Sm4Gcm, 12, items);
    }

    #[test]
    fn ccm_batches_are_what_single_calls_are(items in items()) {
        batch!(Sm4Ccm, 8, items);
    }
}
