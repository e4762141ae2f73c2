//! The two backends agree, bit for bit.
#![allow(clippy::unwrap_used)] // helpers of tests

use super::{accel, rustcrypto};

fn bytes(len: usize, seed: u8) -> Vec<u8> {
    (0..len)
        .map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed))
        .collect()
}

fn blocks(count: usize, seed: u8) -> Vec<[u8; 16]> {
    bytes(16 * count, seed)
        .chunks(16)
        .map(|block| block.try_into().unwrap())
        .collect()
}

#[test]
fn cbc_over_chains_of_every_length_and_many_keys_is_equal() {
    let keys: Vec<[u8; 16]> = blocks(70, 5);
    let ours: Vec<_> = keys.iter().map(accel::Sm4Key::new).collect();
    let theirs: Vec<_> = keys.iter().map(rustcrypto::Sm4Key::new).collect();
    let ivs = blocks(70, 9);
    let plain: Vec<_> = (0..70).map(|n| blocks((n * 7) % 71, n as u8)).collect();
    let mut a = plain.clone();
    let mut b = plain.clone();
    for decrypt in [false, true] {
        let mut jobs: Vec<_> = a
            .iter_mut()
            .zip(&ours)
            .zip(&ivs)
            .map(|((blocks, key), iv)| accel::CbcJob { key, iv, blocks })
            .collect();
        if decrypt {
            accel::cbc_decrypt_many(&mut jobs);
        } else {
            accel::cbc_encrypt_many(&mut jobs);
        }
        let mut jobs: Vec<_> = b
            .iter_mut()
            .zip(&theirs)
            .zip(&ivs)
            .map(|((blocks, key), iv)| rustcrypto::CbcJob { key, iv, blocks })
            .collect();
        if decrypt {
            rustcrypto::cbc_decrypt_many(&mut jobs);
        } else {
            rustcrypto::cbc_encrypt_many(&mut jobs);
        }
        assert_eq!(a, b);
        assert_eq!(a == plain, decrypt);
    }
}

#[test]
fn ctr_of_every_length_is_equal() {
    let keys: Vec<[u8; 16]> = blocks(3, 5);
    let ours: Vec<_> = keys.iter().map(accel::Sm4Key::new).collect();
    let theirs: Vec<_> = keys.iter().map(rustcrypto::Sm4Key::new).collect();
    let nonces: Vec<[u8; 12]> = (0..600_usize)
        .map(|i| bytes(12, i as u8).try_into().unwrap())
        .collect();
    let mut a: Vec<_> = (0..nonces.len()).map(|len| bytes(len, 3)).collect();
    let mut b = a.clone();
    let mut jobs: Vec<_> = a
        .iter_mut()
        .enumerate()
        .map(|(i, text)| accel::CtrJob {
            key: &ours[i % 3],
            nonce: &nonces[i],
            text,
        })
        .collect();
    assert!(accel::ctr_apply_many(&mut jobs).iter().all(|done| *done));
    let mut jobs: Vec<_> = b
        .iter_mut()
        .enumerate()
        .map(|(i, text)| rustcrypto::CtrJob {
            key: &theirs[i % 3],
            nonce: &nonces[i],
            text,
        })
        .collect();
    assert!(
        rustcrypto::ctr_apply_many(&mut jobs)
            .iter()
            .all(|done| *done)
    );
    assert_eq!(a, b);
}

#[test]
fn macs_and_derived_keys_are_equal() {
    let key: [u8; 32] = bytes(32, 1).try_into().unwrap();
    let ours = accel::HmacKey::new(&key);
    let theirs = rustcrypto::HmacKey::new(&key);
    for len in 0..200 {
        let message = bytes(len, 7);
        let (left, right) = message.split_at(len / 2);
        let expected = rustcrypto::hmac(&theirs, &[&message]);
        assert_eq!(accel::hmac(&ours, &[left, right]), expected);
        let jobs = [[left, right], [&message[..], b""]];
        let jobs = jobs
            .each_ref()
            .map(|parts| accel::HmacJob { key: &ours, parts });
        assert_eq!(accel::hmac_many(&jobs), [expected; 2]);
    }
    for (salt, ikm) in [
        (&b""[..], &b""[..]),
        (b"salt", b"ikm"),
        (&[1; 100], &[2; 100]),
    ] {
        let pairs = [
            (
                accel::PrkKey::extract(salt, ikm),
                rustcrypto::PrkKey::extract(salt, ikm),
            ),
            (
                accel::PrkKey::from_uniform(&key).unwrap(),
                rustcrypto::PrkKey::from_uniform(&key).unwrap(),
            ),
        ];
        for (ours, theirs) in &pairs {
            let lengths = [0, 1, 31, 32, 33, 64, 100, 8160, 8161];
            let mut a: Vec<_> = lengths.iter().map(|len| vec![0; *len]).collect();
            let mut b = a.clone();
            let mut jobs: Vec<_> = a
                .iter_mut()
                .map(|out| accel::ExpandJob {
                    key: ours,
                    info: b"info",
                    out,
                })
                .collect();
            let done = accel::hkdf_expand_many(&mut jobs);
            let mut jobs: Vec<_> = b
                .iter_mut()
                .map(|out| rustcrypto::ExpandJob {
                    key: theirs,
                    info: b"info",
                    out,
                })
                .collect();
            assert_eq!(done, rustcrypto::hkdf_expand_many(&mut jobs));
            assert_eq!(a, b);
        }
    }
    for iterations in [1, 2, 7] {
        assert_eq!(
            accel::pbkdf2_sm3(b"passphrase", b"sixteen bytes!!!", iterations),
            rustcrypto::pbkdf2_sm3(b"passphrase", b"sixteen bytes!!!", iterations)
        );
    }
}

#[test]
fn ctr_from_any_block_on_is_equal_and_goes_on() {
    let (ours, theirs) = (
        accel::Sm4Key::new(&[3; 16]),
        rustcrypto::Sm4Key::new(&[3; 16]),
    );
    let nonce = [4; 12];
    let plain = bytes(5000, 1);
    let mut whole = plain.clone();
    accel::ctr_from(&ours, &nonce, 7, &mut whole);
    let mut other = plain.clone();
    rustcrypto::ctr_from(&theirs, &nonce, 7, &mut other);
    assert_eq!(whole, other);
    let (mut a, mut b) = (plain[..1024].to_vec(), plain[1024..].to_vec());
    accel::ctr_from(&ours, &nonce, 7, &mut a);
    accel::ctr_from(&ours, &nonce, 7 + 64, &mut b);
    assert_eq!([a, b].concat(), whole);
    // Up to the counter's end.
    let (mut a, mut b) = ([0_u8; 16], [0_u8; 16]);
    accel::ctr_from(&ours, &nonce, u32::MAX, &mut a);
    rustcrypto::ctr_from(&theirs, &nonce, u32::MAX, &mut b);
    assert_eq!(a, b);
}

#[test]
fn gcm_and_ccm_of_every_length_are_equal() {
    macro_rules! equal {
        ($key:ident, $seal:ident, $open:ident) => {
            let (ours, theirs) = (accel::$key::new(&[3; 16]), rustcrypto::$key::new(&[3; 16]));
            for length in 0..100 {
                let (plain, aad) = (bytes(length, 1), bytes(length * 3 % 70, 2));
                let (mut a, mut b) = (plain.clone(), plain.clone());
                let nonce = &[length as u8; 12];
                let tag = accel::$seal(&mut [accel::SealJob {
                    key: &ours,
                    nonce,
                    aad: &aad,
                    text: &mut a,
                }]);
                let other = rustcrypto::$seal(&mut [rustcrypto::SealJob {
                    key: &theirs,
                    nonce,
                    aad: &aad,
                    text: &mut b,
                }]);
                assert_eq!((&a, &tag), (&b, &other));
                let tag = &tag[0].unwrap();
                let opened = accel::$open(&mut [accel::OpenJob {
                    key: &ours,
                    nonce,
                    aad: &aad,
                    text: &mut b,
                    tag,
                }]);
                assert_eq!((opened, b), (vec![true], plain));
            }
        };
    }
    equal!(GcmKey, gcm_seal_many, gcm_open_many);
    equal!(CcmKey, ccm_seal_many, ccm_open_many);
}
