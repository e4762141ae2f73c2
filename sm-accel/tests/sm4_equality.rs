//! SM4 and its modes against RustCrypto's `sm4`, on every backend of this CPU.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    missing_docs
)]

mod lengths;

use cipher::{
    Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit,
    KeyInit, KeyIvInit, StreamCipher,
};
use lengths::all_up_to;
use proptest::prelude::*;
use sm_accel::sm4::{CbcJob, CtrJob, Sm4, cbc_decrypt_many, cbc_encrypt_many, ctr_many};
use sm_accel::{Backend, Error};

fn backends() -> Vec<Backend> {
    Backend::available()
        .inspect(|backend| println!("backend: {backend}"))
        .collect()
}

/// Bytes that differ everywhere.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(2).wrapping_add(1);
    (0..length)
        .map(|_| {
            x = x
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (x >> 56) as u8
        })
        .collect()
}

fn array<const N: usize>(seed: u64) -> [u8; N] {
    noise(seed, N).try_into().unwrap()
}

fn blocks(seed: u64, count: usize) -> Vec<[u8; 16]> {
    noise(seed, 16 * count).as_chunks().0.to_vec()
}

fn oracle(key: &[u8; 16]) -> sm4::Sm4 {
    sm4::Sm4::new(key.into())
}

fn oracle_encrypt(cipher: &sm4::Sm4, block: &mut [u8; 16]) {
    let mut array = Array(*block);
    cipher.encrypt_block(&mut array);
    *block = array.0;
}

fn oracle_ctr32(key: &[u8; 16], counter: &[u8; 16], text: &mut [u8]) {
    ctr::Ctr32BE::<sm4::Sm4>::new(key.into(), counter.into()).apply_keystream(text);
}

fn oracle_cbc(key: &[u8; 16], iv: &[u8; 16], text: &mut [[u8; 16]]) {
    let cipher = oracle(key);
    let mut last = *iv;
    for block in text {
        block.iter_mut().zip(last).for_each(|(a, b)| *a ^= b);
        oracle_encrypt(&cipher, block);
        last = *block;
    }
}

const EXAMPLE: [u8; 16] = [
    0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10,
];

// GB/T 32907-2016, annex A.2: a million encryptions of the same block, on the fastest backend and the oracle's
// equality for the others.
#[test]
fn annex_a_example_2() {
    let backend = Backend::available().last().unwrap();
    println!("backend: {backend}");
    let cipher = Sm4::with_backend(backend, &EXAMPLE);
    let mut block = Array(EXAMPLE);
    for _ in 0..1_000_000 {
        cipher.encrypt_block(&mut block);
    }
    assert_eq!(
        block.0,
        [
            0x59, 0x52, 0x98, 0xc7, 0xc6, 0xfd, 0x27, 0x1f, 0x04, 0x02, 0xf8, 0x04, 0xc3, 0x3d,
            0x3f, 0x66
        ]
    );
}

#[test]
fn every_block_count_both_ways_in_place_and_out_of_place() {
    for backend in backends() {
        for count in all_up_to(300, 160).chain([320, 511, 512, 513]) {
            let key = array(count as u64);
            let ours = Sm4::with_backend(backend, &key);
            let theirs = oracle(&key);
            let plain: Vec<_> = blocks(!(count as u64), count)
                .into_iter()
                .map(Array)
                .collect();
            let mut expected = plain.clone();
            theirs.encrypt_blocks(&mut expected);

            let mut got = plain.clone();
            ours.encrypt_blocks(&mut got);
            assert_eq!(got, expected, "{backend} {count}");
            ours.decrypt_blocks(&mut got);
            assert_eq!(got, plain, "{backend} {count}");

            ours.encrypt_blocks_b2b(&plain, &mut got).unwrap();
            assert_eq!(got, expected, "{backend} {count}");
            let mut back = vec![Array([0; 16]); count];
            ours.decrypt_blocks_b2b(&got, &mut back).unwrap();
            assert_eq!(back, plain, "{backend} {count}");
        }
    }
}

#[test]
fn ctr_at_every_length_and_offset() {
    for backend in backends() {
        for length in all_up_to(4400, 1100).chain([4096, 4111, 8192]) {
            let key = array(length as u64);
            let ours = Sm4::with_backend(backend, &key);
            let offset = length % 17;
            let memory = noise(3, offset + length);
            let nonce: [u8; 12] = array(5);
            let mut counter = [0; 16];
            counter[..12].copy_from_slice(&nonce);

            let mut expected = memory.clone();
            oracle_ctr32(&key, &counter, &mut expected[offset..]);
            let mut got = memory.clone();
            ours.ctr(&nonce, &mut got[offset..]).unwrap();
            assert_eq!(got, expected, "{backend} {length}");

            let mut composed = memory.clone();
            ctr::Ctr32BE::<&Sm4>::inner(&ours, &counter).apply_keystream(&mut composed[offset..]);
            assert_eq!(composed, expected, "{backend} {length}");
        }
    }
}

/// `Ctr32BE` over a borrowed key.
trait Inner<'a> {
    fn inner(key: &'a Sm4, counter: &[u8; 16]) -> Self;
}
impl<'a> Inner<'a> for ctr::Ctr32BE<&'a Sm4> {
    fn inner(key: &'a Sm4, counter: &[u8; 16]) -> Self {
        use cipher::StreamCipherCoreWrapper;
        let core = ctr::CtrCore::inner_iv_init(key, counter.into());
        StreamCipherCoreWrapper::from_core(core)
    }
}

#[test]
fn the_128_bit_counter_carries_and_wraps() {
    for backend in backends() {
        let key = array(1);
        let ours = Sm4::with_backend(backend, &key);
        for start in [
            0,
            u128::from(u32::MAX) - 2,
            u128::from(u64::MAX) - 40,
            u128::MAX - 33,
            u128::MAX,
        ] {
            let mut expected = noise(2, 16 * 70 + 5);
            let mut got = expected.clone();
            ctr::Ctr128BE::<sm4::Sm4>::new(&key.into(), &start.to_be_bytes().into())
                .apply_keystream(&mut expected);
            let mut counter = start.to_be_bytes();
            // In two parts: the counter stands at the next unused block between them.
            let (a, b) = got.split_at_mut(16 * 30);
            ours.ctr_xor(&mut counter, a);
            ours.ctr_xor(&mut counter, b);
            assert_eq!(got, expected, "{backend} {start}");
            assert_eq!(u128::from_be_bytes(counter), start.wrapping_add(71));
        }
    }
}

#[test]
fn cbc_at_every_block_count() {
    for backend in backends() {
        for count in all_up_to(300, 130).chain([512, 513]) {
            let key = array(count as u64 + 7);
            let iv = array(count as u64 + 8);
            let ours = Sm4::with_backend(backend, &key);
            let plain = blocks(9, count);
            let mut expected = plain.clone();
            oracle_cbc(&key, &iv, &mut expected);
            let mut got = plain.clone();
            ours.cbc_encrypt(&iv, &mut got);
            assert_eq!(got, expected, "{backend} {count}");
            ours.cbc_decrypt(&iv, &mut got);
            assert_eq!(got, plain, "{backend} {count}");

            // The `cbc` crate over the same key.
            let mut arrays: Vec<_> = plain.iter().copied().map(Array).collect();
            cbc::Encryptor::<&Sm4>::inner_iv_init(&ours, &iv.into()).encrypt_blocks(&mut arrays);
            assert!(arrays.iter().zip(&expected).all(|(a, b)| a.0 == *b));
            cbc::Decryptor::<&Sm4>::inner_iv_init(&ours, &iv.into()).decrypt_blocks(&mut arrays);
            assert!(arrays.iter().zip(&plain).all(|(a, b)| a.0 == *b));
        }
    }
}

#[test]
fn many_keys_are_scheduled_like_one() {
    for backend in backends() {
        for count in (0..=70).chain([131]) {
            let keys = blocks(count as u64, count);
            let many = Sm4::many_with_backend(backend, &keys);
            assert_eq!(many.len(), count);
            for (cipher, key) in many.iter().zip(&keys) {
                let mut got = Array(EXAMPLE);
                cipher.encrypt_block(&mut got);
                let mut expected = EXAMPLE;
                oracle_encrypt(&oracle(key), &mut expected);
                assert_eq!(got.0, expected, "{backend} {count}");
            }
        }
    }
}

#[test]
fn nothing_to_do_is_fine_and_contents_stay_out_of_debug() {
    cbc_encrypt_many(&mut []);
    cbc_decrypt_many(&mut []);
    assert!(ctr_many(&mut []).is_empty());
    let text = format!("{:?}", Sm4::new(&EXAMPLE));
    assert!(text.starts_with("Sm4 { backend: Backend("), "{text}");
    assert!(!text.contains("round"), "{text}");
    assert_ne!(Error::TooLong("SM4-CTR").to_string(), "");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(48), ..ProptestConfig::default() })]

    // Chains and texts of all lengths under few or many keys, keys of all backends in one call.
    #[test]
    fn many_chains_and_texts(
        shapes in prop::collection::vec((0u64..12, 0usize..20, any::<prop::sample::Index>()), 0..150),
        long in 0usize..300,
        seed in any::<u64>(),
    ) {
        let all: Vec<_> = Backend::available().collect();
        let keys: Vec<[u8; 16]> = (0..12).map(|i| array(seed ^ i)).collect();
        let ciphers: Vec<Vec<Sm4>> = keys
            .iter()
            .map(|key| all.iter().map(|backend| Sm4::with_backend(*backend, key)).collect())
            .collect();
        let ivs: Vec<[u8; 16]> = (0..shapes.len() as u64).map(|i| array(!seed ^ i)).collect();
        let plain: Vec<_> = shapes
            .iter()
            .enumerate()
            .map(|(i, shape)| blocks(seed ^ i as u64, if i == 3 { long } else { shape.1 }))
            .collect();
        for single in [true, false] {
            let cipher = |i: usize| {
                let row = &ciphers[shapes[i].0 as usize];
                if single { row.last().unwrap() } else { &row[shapes[i].2.index(row.len())] }
            };
            let mut got = plain.clone();
            let mut jobs: Vec<_> = got
                .iter_mut()
                .enumerate()
                .map(|(i, blocks)| CbcJob { key: cipher(i), iv: &ivs[i], blocks })
                .collect();
            cbc_encrypt_many(&mut jobs);
            for (i, got) in got.iter().enumerate() {
                let mut expected = plain[i].clone();
                oracle_cbc(&keys[shapes[i].0 as usize], &ivs[i], &mut expected);
                prop_assert_eq!(got, &expected);
            }
            let mut jobs: Vec<_> = got
                .iter_mut()
                .enumerate()
                .map(|(i, blocks)| CbcJob { key: cipher(i), iv: &ivs[i], blocks })
                .collect();
            cbc_decrypt_many(&mut jobs);
            prop_assert_eq!(&got, &plain);

            // Texts that end within a block.
            let nonces: Vec<[u8; 12]> = ivs.iter().map(|iv| iv[..12].try_into().unwrap()).collect();
            let mut texts: Vec<Vec<u8>> = plain
                .iter()
                .enumerate()
                .map(|(i, blocks)| {
                    let bytes = blocks.as_flattened();
                    bytes[..bytes.len().saturating_sub(i % 16)].to_vec()
                })
                .collect();
            let before = texts.clone();
            let mut jobs: Vec<_> = texts
                .iter_mut()
                .enumerate()
                .map(|(i, text)| CtrJob { key: cipher(i), nonce: &nonces[i], text })
                .collect();
            prop_assert!(ctr_many(&mut jobs).iter().all(Result::is_ok));
            for (i, got) in texts.iter().enumerate() {
                let mut expected = before[i].clone();
                let mut counter = [0; 16];
                counter[..12].copy_from_slice(&nonces[i]);
                oracle_ctr32(&keys[shapes[i].0 as usize], &counter, &mut expected);
                prop_assert_eq!(got, &expected);
            }
        }
    }
}
