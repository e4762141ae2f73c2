//! HMAC-SM3 and the key derivations over it: standards, wycheproof, and the crates `hmac`, `hkdf`, `pbkdf2`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    missing_docs
)]

use hmac::{KeyInit, Mac};
use proptest::prelude::*;
use sm_accel::sm3::{self, ExpandJob, Hmac, HmacJob, HmacKey};
use sm_accel::{Backend, Error};

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

fn oracle(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = <hmac::Hmac<::sm3::Sm3> as KeyInit>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// GM/T 0042-2015 annex D.3.
#[test]
fn known_answers() {
    let counting: Vec<u8> = (1..=37).collect();
    let abc = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".repeat(2);
    let cases: [(&[u8], &[u8], &str); 4] = [
        (
            &counting[..32],
            &abc,
            "ca05e144ed05d1857840d1f318a4a8669e559fc8391f414485bfdf7bb408963a",
        ),
        (
            &counting,
            &[0xCD; 50],
            "220bf579ded555393f0159f66c99877822a3ecf610d1552154b41d44b94db3ae",
        ),
        (
            &[0x0B; 32],
            b"Hi There",
            "c0ba18c68b90c88bc07de794bfc7d2c8d19ec31ed8773bc2b390c9604e0be11e",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "2e87f1d16862e6d964b50a5200bf2b10b764faa9680a296a2405f24bec39f882",
        ),
    ];
    for backend in backends() {
        for (key, message, tag) in cases {
            let tag = unhex(tag);
            let key = HmacKey::with_backend(backend, key);
            assert_eq!(key.mac(&[message]).as_slice(), tag);
            let (a, b) = message.split_at(message.len() / 2);
            assert_eq!(key.mac(&[a, b, b""]).as_slice(), tag);
            key.verify(&[message], &tag).unwrap();
        }
    }
    assert_eq!(format!("{:?}", HmacKey::new(b"secret")), "HmacKey { .. }");
}

#[test]
fn verification_refuses() {
    let key = HmacKey::new(b"key");
    let tag = key.mac(&[b"message"]);
    key.verify(&[b"message"], &tag[..16]).unwrap();
    Hmac::new(b"key").verify(&tag).unwrap_err();
    for i in 0..32 {
        let mut wrong = tag;
        wrong[i] ^= 1;
        assert_eq!(key.verify(&[b"message"], &wrong), Err(Error::Mac));
    }
    for len in [0, 1, 15] {
        let refused = key.verify(&[b"message"], &tag[..len]);
        assert!(matches!(refused, Err(Error::Length { got, .. }) if got == len));
    }
    let long = [&tag[..], &[0]].concat();
    assert!(key.verify(&[b"message"], &long).is_err());
}

#[test]
fn keys_and_messages_of_every_length_one_and_many() {
    let data: Vec<u8> = (0..300_u32).map(|i| (i * 7 + 1) as u8).collect();
    for backend in backends() {
        let keys: Vec<HmacKey> = (0..=140)
            .map(|len| HmacKey::with_backend(backend, &data[..len]))
            .collect();
        let parts: Vec<[&[u8]; 2]> = (0..=140)
            .map(|len| [&data[3..3 + len / 3], &data[3 + len / 3..3 + len]])
            .collect();
        for shift in [0, 50] {
            let jobs: Vec<HmacJob<'_>> = (0..=140)
                .map(|i| HmacJob {
                    key: &keys[i],
                    parts: &parts[(i + shift) % 141],
                })
                .collect();
            let macs = sm3::hmac_many_with_backend(backend, &jobs);
            for (i, mac) in macs.iter().enumerate() {
                let expected = oracle(&data[..i], &data[3..3 + (i + shift) % 141]);
                assert_eq!(*mac, expected, "{backend} {i}");
                assert_eq!(keys[i].mac(jobs[i].parts), expected);
            }
        }
        for count in 0..=67 {
            let jobs = vec![
                HmacJob {
                    key: &keys[16],
                    parts: &[&[5; 64]]
                };
                count
            ];
            let expected = oracle(&data[..16], &[5; 64]);
            assert_eq!(
                sm3::hmac_many_with_backend(backend, &jobs),
                vec![expected; count]
            );
        }
    }
}

#[test]
fn crates_compose_over_the_hasher() {
    for len in [0, 1, 63, 64, 65, 200] {
        let key = vec![9; len];
        let mut mac = <hmac::Hmac<sm3::Sm3> as KeyInit>::new_from_slice(&key).unwrap();
        mac.update(b"some ");
        mac.update(&[1; 200]);
        let mut ours = Hmac::new(&key);
        ours.update(b"some ");
        ours.update(&[1; 200]);
        assert_eq!(mac.finalize().into_bytes().as_slice(), ours.finalize());
    }
    let mut theirs = [0; 100];
    let (prk, hkdf) = hkdf::Hkdf::<sm3::Sm3>::extract(Some(b"salt"), b"input");
    hkdf.expand(b"info", &mut theirs).unwrap();
    let mut ours = [0; 100];
    let done = sm3::hkdf_expand_many(&mut [ExpandJob {
        prk: &HmacKey::new(&prk),
        info: b"info",
        out: &mut ours,
    }]);
    assert_eq!(done, [Ok(())]);
    assert_eq!(ours, theirs);
    let mut theirs = [0; 70];
    pbkdf2::pbkdf2_hmac::<sm3::Sm3>(b"password", b"salt", 5, &mut theirs);
    let mut ours = [0; 70];
    sm3::pbkdf2(b"password", b"salt", 5, &mut ours);
    assert_eq!(ours, theirs);
}

/// RFC 5869 test case 1's inputs with SM3.
#[test]
fn hkdf_known_answer() {
    let prk = HmacKey::new(&unhex("000102030405060708090a0b0c")).mac(&[&[0x0B; 22]]);
    let mut okm = [0; 42];
    let done = sm3::hkdf_expand_many(&mut [ExpandJob {
        prk: &HmacKey::new(&prk),
        info: &unhex("f0f1f2f3f4f5f6f7f8f9"),
        out: &mut okm,
    }]);
    assert_eq!(done, [Ok(())]);
    assert_eq!(
        okm.as_slice(),
        unhex(
            "c69fe91b7aaee2dd5718d72dcaee0cce93f1b8e41f792da51261b6a517e68b36ed2c595572b01dfa359b"
        )
    );
}

#[test]
fn hkdf_expands_every_length_and_refuses_more() {
    let prk = [3; 32];
    let key = HmacKey::new(&prk);
    let theirs = hkdf::Hkdf::<::sm3::Sm3>::from_prk(&prk).unwrap();
    let lengths: Vec<usize> = (0..=100).chain([8159, 8160, 8161]).collect();
    for backend in backends() {
        let mut outs: Vec<Vec<u8>> = lengths.iter().map(|len| vec![0; *len]).collect();
        let mut jobs: Vec<ExpandJob<'_>> = outs
            .iter_mut()
            .map(|out| ExpandJob {
                prk: &key,
                info: b"context",
                out,
            })
            .collect();
        let done = sm3::hkdf_expand_many_with_backend(backend, &mut jobs);
        for ((len, out), done) in lengths.iter().zip(&outs).zip(done) {
            let mut expected = vec![0; *len];
            assert_eq!(
                theirs.expand(b"context", &mut expected).is_ok(),
                done.is_ok()
            );
            assert_eq!(*out, expected, "{len}");
        }
    }
}

#[test]
fn pbkdf2_equals_the_crate() {
    for backend in backends() {
        for (len, iterations) in [(0, 3), (1, 1), (31, 2), (32, 100), (33, 1), (300, 7)] {
            let (mut ours, mut theirs) = (vec![0; len], vec![0; len]);
            sm3::pbkdf2_with_backend(backend, b"pass", b"salt", iterations, &mut ours);
            pbkdf2::pbkdf2_hmac::<::sm3::Sm3>(b"pass", b"salt", iterations, &mut theirs);
            assert_eq!(ours, theirs);
        }
    }
}

#[test]
fn wycheproof_hmac_sm3() {
    let folder = std::env::var_os("VECTORS_DIR").map_or_else(
        || concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors").into(),
        std::path::PathBuf::from,
    );
    let file = folder.join("wycheproof/hmac_sm3_test.json");
    let Ok(text) = std::fs::read_to_string(&file) else {
        assert!(
            std::env::var_os("REQUIRE_PEERS").is_none_or(|v| v != "1"),
            "{} is required",
            file.display()
        );
        println!("SKIPPED: {} is absent", file.display());
        return;
    };
    let vectors: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut cases = Vec::new();
    for group in vectors["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            let field = |name: &str| unhex(test[name].as_str().unwrap());
            let valid = test["result"] == "valid";
            cases.push((field("key"), field("msg"), field("tag"), valid));
        }
    }
    assert_eq!(vectors["numberOfTests"].as_u64(), Some(cases.len() as u64));
    for backend in backends() {
        let keys: Vec<HmacKey> = cases
            .iter()
            .map(|(key, ..)| HmacKey::with_backend(backend, key))
            .collect();
        let parts: Vec<[&[u8]; 1]> = cases.iter().map(|(_, msg, ..)| [msg.as_slice()]).collect();
        let jobs: Vec<HmacJob<'_>> = keys
            .iter()
            .zip(&parts)
            .map(|(key, parts)| HmacJob { key, parts })
            .collect();
        let macs = sm3::hmac_many_with_backend(backend, &jobs);
        for (((key, parts), (_, msg, tag, valid)), mac) in
            keys.iter().zip(&parts).zip(&cases).zip(macs)
        {
            let mut streaming = key.start();
            for piece in msg.chunks(13) {
                streaming.update(piece);
            }
            assert_eq!(key.verify(parts, tag).is_ok(), *valid);
            assert_eq!(streaming.verify(tag).is_ok(), *valid);
            assert_eq!(mac[..tag.len()] == tag[..], *valid);
        }
    }
}

proptest! {
    #[test]
    fn many_equal_rustcrypto(
        items in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..100), prop::collection::vec(any::<u8>(), 0..400)),
            0..40,
        ),
    ) {
        let expected: Vec<[u8; 32]> = items.iter().map(|(key, message)| oracle(key, message)).collect();
        for backend in Backend::available() {
            let keys: Vec<HmacKey> =
                items.iter().map(|(key, _)| HmacKey::with_backend(backend, key)).collect();
            let parts: Vec<[&[u8]; 1]> = items.iter().map(|(_, message)| [message.as_slice()]).collect();
            let jobs: Vec<HmacJob<'_>> =
                keys.iter().zip(&parts).map(|(key, parts)| HmacJob { key, parts }).collect();
            prop_assert_eq!(&sm3::hmac_many_with_backend(backend, &jobs), &expected);
        }
    }
}
