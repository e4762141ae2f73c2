//! SM3 of one message, on every backend of this CPU, against the standard and RustCrypto's `sm3`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    missing_docs
)]

use digest::block_api::CoreProxy;
use digest::{Digest, FixedOutputReset, Reset, Update};
use proptest::prelude::*;
use sm_accel::Backend;
use sm_accel::sm3::{self, Sm3};

fn backends() -> Vec<Backend> {
    let all: Vec<Backend> = Backend::available().collect();
    for backend in &all {
        println!("backend: {backend}");
    }
    all
}

fn unhex(s: &str) -> Vec<u8> {
    (0..s.len() / 2)
        .map(|i| u8::from_str_radix(&s[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

fn oracle(message: &[u8]) -> [u8; 32] {
    <::sm3::Sm3 as Digest>::digest(message).into()
}

fn bytes(len: usize, seed: u32) -> Vec<u8> {
    let mut x = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    (0..len)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            (x >> 11) as u8
        })
        .collect()
}

/// GB/T 32905-2016 annex A.
#[test]
fn known_answers() {
    let cases = [
        (
            b"abc".to_vec(),
            "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
        ),
        (
            b"abcd".repeat(16),
            "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732",
        ),
    ];
    for backend in backends() {
        for (message, digest) in &cases {
            assert_eq!(
                sm3::hash_with_backend(backend, message).as_slice(),
                unhex(digest)
            );
        }
    }
    assert_eq!(sm3::hash(b"abc").as_slice(), unhex(cases[0].1));
    assert_eq!(sm3::hash_parts(&[b"a", b"", b"bc"]), sm3::hash(b"abc"));
}

#[test]
fn every_length_at_unaligned_offsets() {
    let data = bytes(8 + 4200, 1);
    let mut lengths: Vec<usize> = (0..=300).collect();
    for multiple in (5..=65).map(|n| n * 64) {
        lengths.extend([
            multiple - 9,
            multiple - 8,
            multiple - 1,
            multiple,
            multiple + 1,
        ]);
    }
    for backend in backends() {
        for (i, len) in lengths.iter().enumerate() {
            let message = &data[i % 8..i % 8 + len];
            let expected = oracle(message);
            assert_eq!(sm3::hash_with_backend(backend, message), expected, "{len}");
            let (a, b) = message.split_at(len / 3);
            assert_eq!(
                sm3::hash_parts_with_backend(backend, &[a, b]),
                expected,
                "{len}"
            );
        }
    }
}

#[test]
fn reset_and_reuse() {
    for backend in backends() {
        let mut hasher = Sm3::with_backend(backend);
        Update::update(&mut hasher, b"to be forgotten");
        Reset::reset(&mut hasher);
        Update::update(&mut hasher, b"abc");
        assert_eq!(
            hasher.finalize_fixed_reset().as_slice(),
            oracle(b"abc").as_slice()
        );
        Update::update(&mut hasher, b"abc");
        assert_eq!(hasher.finalize().as_slice(), oracle(b"abc").as_slice());
        assert_eq!(Sm3::digest(b"x").as_slice(), oracle(b"x").as_slice());
    }
    assert_eq!(format!("{:?}", Sm3::new()), "Sm3 { .. }");
}

#[test]
fn core_and_buffer_come_apart_and_together() {
    let data = bytes(200, 3);
    for backend in backends() {
        for cut in 0..=200 {
            let mut hasher = Sm3::with_backend(backend);
            Update::update(&mut hasher, &data[..cut]);
            let (core, buffer) = hasher.decompose();
            assert_eq!(buffer.get_pos(), cut % 64);
            let mut hasher = Sm3::compose(core, buffer);
            Update::update(&mut hasher, &data[cut..]);
            assert_eq!(hasher.finalize().as_slice(), oracle(&data).as_slice());
        }
    }
}

proptest! {
    #[test]
    fn streaming_equals_one_shot(
        data in prop::collection::vec(any::<u8>(), 0..2000),
        cuts in prop::collection::vec(0_usize..2000, 0..12),
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(data.len())).collect();
        cuts.sort_unstable();
        let expected = oracle(&data);
        for backend in Backend::available() {
            let mut hasher = Sm3::with_backend(backend);
            let mut parts: Vec<&[u8]> = Vec::new();
            let mut from = 0;
            for cut in cuts.iter().copied().chain([data.len()]) {
                Update::update(&mut hasher, &data[from..cut]);
                parts.push(&data[from..cut]);
                from = cut;
            }
            let digest: [u8; 32] = hasher.finalize().into();
            prop_assert_eq!(digest, expected);
            prop_assert_eq!(sm3::hash_parts_with_backend(backend, &parts), expected);
        }
    }
}
