//! SM3 of many messages: every count around the lanes, unequal lengths, parts, Merkle levels.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    missing_docs
)]

use digest::Digest;
use proptest::prelude::*;
use sm_accel::Backend;
use sm_accel::sm3;

fn backends() -> Vec<Backend> {
    let all: Vec<Backend> = Backend::available().collect();
    for backend in &all {
        println!("backend: {backend}");
    }
    all
}

fn oracle(message: &[u8]) -> [u8; 32] {
    <::sm3::Sm3 as Digest>::digest(message).into()
}

struct Random(u32);

impl Random {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as usize
    }
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 9) as u8).collect()
    }
}

fn check(backend: Backend, messages: &[&[u8]]) {
    let expected: Vec<[u8; 32]> = messages.iter().map(|message| oracle(message)).collect();
    assert_eq!(
        sm3::hash_many_with_backend(backend, messages),
        expected,
        "{backend}"
    );
}

#[test]
fn every_count_of_unequal_lengths() {
    let mut random = Random(7);
    let data = random.bytes(5000);
    for backend in backends() {
        for count in 0..=4 * 16 + 3 {
            let messages: Vec<&[u8]> = (0..count)
                .map(|_| {
                    let from = random.next() % 70;
                    let len = match random.next() % 8 {
                        0 => random.next() % 4900,
                        1 => (random.next() % 8) * 64,
                        _ => random.next() % 200,
                    };
                    &data[from..from + len]
                })
                .collect();
            check(backend, &messages);
        }
    }
}

#[test]
fn every_length_in_every_lane() {
    let data = Random(9).bytes(400);
    for backend in backends() {
        // 0, 1, 2 ... 330 wander through the lanes, unaligned.
        let messages: Vec<&[u8]> = (0..=330).map(|len| &data[len % 7..len % 7 + len]).collect();
        check(backend, &messages);
        for len in 0..=192 {
            check(backend, &vec![&data[1..1 + len]; 17]);
        }
    }
}

#[test]
fn a_long_message_at_the_end_is_begun_first() {
    let data = Random(11).bytes(60_000);
    for backend in backends() {
        let mut messages: Vec<&[u8]> = (0..100).map(|i| &data[i..i * 2]).collect();
        messages.push(&data);
        messages.push(&data[3..40_000]);
        check(backend, &messages);
    }
}

/// RFC 9162 section 2.1.1, word for word.
fn naive_root(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [one] => *one,
        many => {
            let k = many.len().next_power_of_two() / 2;
            let (left, right) = (naive_root(&many[..k]), naive_root(&many[k..]));
            oracle(&[&[1][..], &left, &right].concat())
        }
    }
}

#[test]
fn merkle_levels_lead_to_the_root() {
    let mut random = Random(13);
    for backend in backends() {
        for count in 1..=67 {
            let data: Vec<Vec<u8>> = (0..count)
                .map(|_| {
                    let len = random.next() % 100;
                    random.bytes(len)
                })
                .collect();
            let slices: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
            let leaves = sm3::merkle_leaves_with_backend(backend, &slices);
            let naive: Vec<[u8; 32]> = data
                .iter()
                .map(|data| oracle(&[&[0][..], data].concat()))
                .collect();
            assert_eq!(leaves, naive);
            let mut level = leaves.clone();
            while level.len() > 1 {
                level = sm3::merkle_level_with_backend(backend, &level);
            }
            assert_eq!(level, [naive_root(&leaves)], "{count}");
        }
        assert!(sm3::merkle_level_with_backend(backend, &[]).is_empty());
    }
}

proptest! {
    #[test]
    fn parts_equal_their_concatenation(
        messages in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..150), 0..5),
            0..40,
        ),
    ) {
        let parts: Vec<Vec<&[u8]>> = messages
            .iter()
            .map(|parts| parts.iter().map(Vec::as_slice).collect())
            .collect();
        let slices: Vec<&[&[u8]]> = parts.iter().map(Vec::as_slice).collect();
        let expected: Vec<[u8; 32]> = messages.iter().map(|parts| oracle(&parts.concat())).collect();
        for backend in Backend::available() {
            prop_assert_eq!(&sm3::hash_parts_many_with_backend(backend, &slices), &expected);
        }
    }
}
