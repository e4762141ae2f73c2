//! The two backends agree: equal where the answer is determined, and each verifies what the other signs.
#![allow(clippy::unwrap_used)] // helpers of tests

use super::{accel, rustcrypto, z as z_of};
use crate::hash::HashAlgorithm;

const USER_ID: &[u8] = b"1234567812345678";

struct Both {
    ours: accel::SecretScalar,
    theirs: rustcrypto::SecretScalar,
}

impl Both {
    fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let ours = accel::SecretScalar::from_bytes(bytes);
        let theirs = rustcrypto::SecretScalar::from_bytes(bytes);
        assert_eq!(ours.is_some(), theirs.is_some());
        Some(Self {
            ours: ours?,
            theirs: theirs?,
        })
    }
}

/// d in [1, n-2] at its edges, then random ones.
fn keys() -> Vec<Both> {
    let n = *b"\xFF\xFF\xFF\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\
        \x72\x03\xDF\x6B\x21\xC6\x05\x2B\x53\xBB\xF4\x09\x39\xD5\x41\x23";
    let mut candidates = vec![[0; 32], n, [0xFF; 32]];
    for by in 1..4 {
        let mut near = n;
        near[31] -= by;
        candidates.push(near);
        let mut small = [0; 32];
        small[31] = by;
        candidates.push(small);
    }
    let taken: Vec<_> = candidates.iter().filter_map(Both::from_bytes).collect();
    // 0, n, 2^256-1 and n-1 are refused.
    assert_eq!(taken.len(), 5);
    taken
        .into_iter()
        .chain((0..11).map(|_| {
            let fresh = accel::SecretScalar::generate().unwrap().to_bytes();
            Both::from_bytes(&fresh).unwrap()
        }))
        .collect()
}

#[test]
fn keys_and_z_are_equal() {
    for key in keys() {
        let ours = key.ours.public_point().unwrap();
        let theirs = key.theirs.public_point().unwrap();
        assert_eq!(ours.sec1(), theirs.sec1());
        assert_eq!(key.ours.to_bytes(), key.theirs.to_bytes());
        for id in [USER_ID, b"", &[7; 8191], &[7; 8192]] {
            let key = sm_accel::sm2::PublicKey::from_sec1(ours.sec1()).unwrap();
            assert_eq!(z_of(HashAlgorithm::Sm3, id, theirs.sec1()), key.z(id).ok());
        }
        let mut wrong = *ours.sec1();
        wrong[64] ^= 1;
        for bytes in [
            &wrong[..],
            &ours.sec1()[..64],
            &[],
            &[0],
            &[4; 65],
            &[2; 33],
        ] {
            assert_eq!(
                accel::PublicPoint::from_sec1(bytes).is_some(),
                rustcrypto::PublicPoint::from_sec1(bytes).is_some()
            );
        }
    }
}

#[test]
fn signatures_with_the_same_entropy_are_equal_and_verify_with_both() {
    let keys = keys();
    let messages: Vec<Vec<u8>> = (0..keys.len()).map(|i| vec![i as u8; i * 13]).collect();
    let entropy: Vec<[u8; 32]> = (0..keys.len()).map(|i| [i as u8; 32]).collect();
    let points: Vec<_> = keys
        .iter()
        .map(|key| {
            let ours = key.ours.public_point().unwrap();
            let theirs = key.theirs.public_point().unwrap();
            let z = z_of(HashAlgorithm::Sm3, USER_ID, ours.sec1()).unwrap();
            (ours, theirs, z)
        })
        .collect();
    let signatures: Vec<_> = keys
        .iter()
        .enumerate()
        .map(|(i, key)| {
            let item = accel::SignItem {
                key: &key.ours,
                hash: HashAlgorithm::Sm3,
                z: &points[i].2,
                message: &messages[i],
            };
            accel::sign_with_entropy(&item, &entropy[i])
        })
        .collect();
    for (i, key) in keys.iter().enumerate() {
        let (ours, theirs, z) = &points[i];
        let item = rustcrypto::SignItem {
            key: &key.theirs,
            hash: HashAlgorithm::Sm3,
            z,
            message: &messages[i],
        };
        assert_eq!(
            rustcrypto::sign_with_entropy(&item, &entropy[i]).unwrap(),
            signatures[i]
        );
        let mut wrong = signatures[i];
        wrong[40] ^= 4;
        for (signature, holds) in [(signatures[i], true), (wrong, false), ([0; 64], false)] {
            // Often enough that the key has its tables at the end.
            for _ in 0..20 {
                let answer = accel::verify(&accel::VerifyItem {
                    key: ours,
                    hash: HashAlgorithm::Sm3,
                    z,
                    message: &messages[i],
                    signature: &signature,
                });
                assert_eq!(answer, holds);
            }
            let answer = rustcrypto::verify(&rustcrypto::VerifyItem {
                key: theirs,
                hash: HashAlgorithm::Sm3,
                z,
                message: &messages[i],
                signature: &signature,
            });
            assert_eq!(answer, holds);
        }
    }
}

#[test]
fn a_batch_answers_item_by_item() {
    let secret = accel::SecretScalar::generate().unwrap();
    let point = secret.public_point().unwrap();
    let z = z_of(HashAlgorithm::Sm3, USER_ID, point.sec1()).unwrap();
    let good = accel::sign(&accel::SignItem {
        key: &secret,
        hash: HashAlgorithm::Sm3,
        z: &z,
        message: b"m",
    })
    .unwrap();
    let mut wrong = good;
    wrong[63] ^= 1;
    let unreadable = [0xFF; 64];
    let pattern = [0, 1, 2, 0, 0, 1, 2, 2, 0];
    let items: Vec<_> = pattern
        .iter()
        .map(|which| accel::VerifyItem {
            key: &point,
            hash: HashAlgorithm::Sm3,
            z: &z,
            message: b"m",
            signature: [&good, &wrong, &unreadable][*which],
        })
        .collect();
    let expected: Vec<_> = pattern.iter().map(|which| *which == 0).collect();
    assert_eq!(accel::verify_many(&items), expected);
    assert_eq!(accel::verify_many(&[]), Vec::<bool>::new());
}

#[test]
fn sm3_is_equal_however_a_message_is_cut() {
    let message: Vec<u8> = (0..300).map(|i| i as u8).collect();
    for len in 0..message.len() {
        let (a, b) = message[..len].split_at(len / 3);
        assert_eq!(accel::sm3(&[a, b]), rustcrypto::sm3(&[&message[..len]]));
    }
}
