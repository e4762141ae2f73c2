//! SM4-CCM: RFC 8998, wycheproof, and equality with RustCrypto's composition on every backend.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    missing_docs
)]

mod lengths;
#[path = "vectors/mod.rs"]
mod vectors;

use ccm::Ccm;
use ccm::aead::{AeadInOut, KeyInit};
use ccm::consts::{U4, U6, U7, U8, U9, U10, U11, U12, U13, U14, U16};
use lengths::all_up_to;
use proptest::prelude::*;
use sm_accel::sm4::{OpenJob, SealJob, Sm4Ccm};
use sm_accel::{Backend, Error};
use vectors::{Case, bytes, unhex};

/// RustCrypto's ciphertext and tag.
macro_rules! oracle {
    ($nonce_size:ty, $tag_size:ty, $key:expr, $nonce:expr, $aad:expr, $text:expr) => {{
        let cipher = Ccm::<sm4::Sm4, $tag_size, $nonce_size>::new(&(*$key).into());
        let mut text = $text.to_vec();
        let nonce = $nonce.try_into().unwrap();
        let tag = cipher
            .encrypt_inout_detached(&nonce, $aad, text.as_mut_slice().into())
            .unwrap();
        (text, tag.to_vec())
    }};
}

// RFC 8998, A.2.
#[test]
fn rfc_8998_a_2() {
    let key = unhex("0123456789ABCDEFFEDCBA9876543210")
        .try_into()
        .unwrap();
    let nonce = unhex("00001234567800000000ABCD");
    let aad = unhex("FEEDFACEDEADBEEFFEEDFACEDEADBEEFABADDAD2");
    let plain = unhex(
        "AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBCCCCCCCCCCCCCCCCDDDDDDDDDDDDDDDDEEEEEEEEEEEEEEEEFFFFFFFFFFFFFFFF\
         EEEEEEEEEEEEEEEEAAAAAAAAAAAAAAAA",
    );
    let sealed = unhex(
        "48AF93501FA62ADBCD414CCE6034D895DDA1BF8F132F042098661572E7483094FD12E518CE062C98ACEE28D95DF4416B\
         ED31A2F04476C18BB40C84A74B97DC5B16842D4FA186F56AB33256971FA110F4",
    );
    for backend in Backend::available() {
        println!("backend: {backend}");
        let cipher = Sm4Ccm::with_backend(backend, &key);
        assert_eq!(cipher.backend(), backend);
        assert_eq!(cipher.seal(&nonce, &aad, &plain).unwrap(), sealed);
        assert_eq!(cipher.open(&nonce, &aad, &sealed).unwrap(), plain);
    }
}

/// What opening gives, after a check that a refusal leaves the ciphertext and that sealing gives the case.
fn run<const TAG: usize>(backend: Backend, case: &Case) -> Result<Vec<u8>, Error> {
    let key = case.key.clone().try_into().unwrap();
    let cipher = Sm4Ccm::with_backend(backend, &key).with_tag_length::<TAG>();
    let mut text = case.ciphertext.clone();
    let tag = case.tag.clone().try_into().unwrap();
    let opened = cipher.open_in_place(&case.nonce, &case.aad, &mut text, &tag);
    if opened.is_err() {
        assert_eq!(text, case.ciphertext, "case {}", case.id);
    } else {
        let sealed = cipher.seal(&case.nonce, &case.aad, &text).unwrap();
        assert_eq!(sealed, [&case.ciphertext[..], &tag].concat());
    }
    opened.map(|()| text)
}

#[test]
fn wycheproof_sm4_ccm() {
    let Some(cases) = vectors::wycheproof("sm4_ccm_test.json") else {
        return;
    };
    for backend in Backend::available() {
        println!("backend: {backend}");
        for case in &cases {
            let opened = match case.tag.len() {
                4 => run::<4>(backend, case),
                6 => run::<6>(backend, case),
                8 => run::<8>(backend, case),
                10 => run::<10>(backend, case),
                12 => run::<12>(backend, case),
                14 => run::<14>(backend, case),
                16 => run::<16>(backend, case),
                // Does not compile.
                _ => Err(Error::Decryption),
            };
            let expected = case.valid.then_some(&case.text);
            assert_eq!(opened.as_ref().ok(), expected, "case {}", case.id);
        }
    }
    println!("{} cases", cases.len());
    assert!(!cases.is_empty());
}

/// Every length to beyond four times the widest pass of 64 blocks, then around the boundaries of wider ones.
fn lengths() -> impl Iterator<Item = usize> {
    all_up_to(4200, 300).chain([1, 4].into_iter().flat_map(|i| {
        [
            i * 1024 - 17,
            i * 1024 - 16,
            i * 1024 - 1,
            i * 1024,
            i * 1024 + 1,
            i * 1024 + 16,
            i * 1024 + 17,
        ]
    }))
}

#[test]
fn every_length_unaligned() {
    let key = bytes(1, 16).try_into().unwrap();
    let nonce = bytes(2, 12);
    let source = bytes(3, 8192);
    let ciphers: Vec<_> = Backend::available()
        .map(|backend| Sm4Ccm::with_backend(backend, &key))
        .collect();
    for length in lengths() {
        let offset = length % 33;
        let aad = &source[..(length * 7) % 300];
        let plain = &source[offset..offset + length];
        let (expected, expected_tag) = oracle!(U12, U16, &key, &nonce[..], aad, plain);
        for cipher in &ciphers {
            let mut buffer = vec![0; length + 64];
            let text = &mut buffer[offset..offset + length];
            text.copy_from_slice(plain);
            let tag = cipher.seal_in_place(&nonce, aad, text).unwrap();
            assert_eq!(text, expected, "{:?}, {length}", cipher.backend());
            assert_eq!(tag, expected_tag[..], "{:?}, {length}", cipher.backend());
            let mut wrong = tag;
            wrong[length % 16] ^= 1;
            assert_eq!(
                cipher.open_in_place(&nonce, aad, text, &wrong),
                Err(Error::Decryption)
            );
            assert_eq!(text, expected, "nothing is released");
            cipher.open_in_place(&nonce, aad, text, &tag).unwrap();
            assert_eq!(text, plain);
            assert!(
                buffer[..offset]
                    .iter()
                    .chain(&buffer[offset + length..])
                    .all(|b| *b == 0)
            );
        }
    }
}

#[test]
fn nonces_of_other_lengths_and_shorter_tags() {
    let key = bytes(4, 16).try_into().unwrap();
    let (aad, text) = (bytes(5, 21), bytes(6, 300));
    for backend in Backend::available() {
        let cipher = Sm4Ccm::with_backend(backend, &key);
        macro_rules! nonce {
            ($($size:ty: $length:literal),*) => {$(
                let nonce = bytes(7, $length);
                let (expected, tag) = oracle!($size, U16, &key, &nonce[..], &aad, text);
                assert_eq!(cipher.seal(&nonce, &aad, &text).unwrap(), [expected, tag].concat());
            )*};
        }
        nonce!(U7: 7, U8: 8, U9: 9, U10: 10, U11: 11, U12: 12, U13: 13);
        for length in [0, 6, 14] {
            let nonce = vec![1; length];
            assert!(matches!(
                cipher.seal(&nonce, &aad, &text),
                Err(Error::Length { .. })
            ));
            assert!(matches!(
                cipher.open(&nonce, &aad, &text),
                Err(Error::Length { .. })
            ));
        }
        assert_eq!(
            cipher.open(&[1; 12], &aad, &[0; 15]),
            Err(Error::Decryption)
        );
        // A nonce of 13 bytes leaves two for the length.
        let mut long = vec![0; 0x1_0000];
        let refused = cipher.seal_in_place(&[1; 13], &aad, &mut long);
        assert!(matches!(refused, Err(Error::TooLong(_))));
        assert!(long.iter().all(|byte| *byte == 0));
        long.pop();
        let (expected, tag) = oracle!(U13, U16, &key, &[1; 13][..], &aad, long);
        assert_eq!(
            cipher.seal(&[1; 13], &aad, &long).unwrap(),
            [expected, tag].concat()
        );
        // Associated data whose length takes two or six bytes.
        for length in [0xfeff, 0xff00, 0x1_0001] {
            let aad = bytes(9, length);
            let (expected, tag) = oracle!(U12, U16, &key, &[1; 12][..], &aad, text);
            assert_eq!(
                cipher.seal(&[1; 12], &aad, &text).unwrap(),
                [expected, tag].concat()
            );
        }

        macro_rules! tag {
            ($($size:ty: $length:literal),*) => {$(
                let short = Sm4Ccm::with_backend(backend, &key).with_tag_length::<$length>();
                let nonce = bytes(8, 12);
                let (expected, tag) = oracle!(U12, $size, &key, &nonce[..], &aad, text);
                let sealed = short.seal(&nonce, &aad, &text).unwrap();
                assert_eq!(sealed, [expected, tag].concat());
                assert_eq!(short.open(&nonce, &aad, &sealed).unwrap(), text);
                assert_eq!(cipher.open(&nonce, &aad, &sealed), Err(Error::Decryption));
            )*};
        }
        tag!(U4: 4, U6: 6, U8: 8, U10: 10, U12: 12, U14: 14);
    }
}

/// Every bit of tag, data, text and nonce counts, and a refusal leaves the ciphertext.
#[test]
fn every_flipped_bit_is_refused() {
    for backend in Backend::available() {
        let cipher = Sm4Ccm::with_backend(backend, &[9; 16]);
        for length in [1, 40, 260] {
            let (nonce, aad, plain) = (bytes(1, 12), bytes(2, 19), bytes(3, length));
            let mut sealed = plain.clone();
            let tag = cipher.seal_in_place(&nonce, &aad, &mut sealed).unwrap();
            let refused = |nonce: &[u8], aad: &[u8], sealed: &[u8], tag: &[u8; 16]| {
                let mut text = sealed.to_vec();
                let result = cipher.open_in_place(nonce, aad, &mut text, tag);
                assert_eq!(result, Err(Error::Decryption));
                assert_eq!(text, sealed);
            };
            let flip = |bytes: &[u8], bit: usize| {
                let mut flipped = bytes.to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                flipped
            };
            (0..128).for_each(|bit| {
                refused(&nonce, &aad, &sealed, &flip(&tag, bit).try_into().unwrap())
            });
            (0..aad.len() * 8).for_each(|bit| refused(&nonce, &flip(&aad, bit), &sealed, &tag));
            (0..length * 8).for_each(|bit| refused(&nonce, &aad, &flip(&sealed, bit), &tag));
            (0..96).for_each(|bit| refused(&flip(&nonce, bit), &aad, &sealed, &tag));
            refused(&nonce, &aad, &sealed[..length - 1], &tag);
            refused(&nonce, &aad[..18], &sealed, &tag);
        }
    }
}

#[test]
fn a_batch_equals_single_calls() {
    for backend in Backend::available() {
        println!("backend: {backend}");
        let keys: Vec<_> = (0..3_u8)
            .map(|i| Sm4Ccm::with_backend(backend, &[i; 16]))
            .collect();
        // Runs of one key longer than a batch's lanes, changes of key, short, long and refused texts.
        let items: Vec<_> = (0..300_usize)
            .map(|i| {
                let nonce = bytes(i as u64, if i % 41 == 7 { 6 } else { 7 + i % 7 });
                let key = if i < 200 { &keys[0] } else { &keys[i % 3] };
                (
                    key,
                    nonce,
                    bytes(i as u64 + 1, i % 50),
                    bytes(i as u64 + 2, i * i % 1300),
                )
            })
            .collect();
        let mut sealed: Vec<_> = items.iter().map(|(.., text)| text.clone()).collect();
        let mut jobs: Vec<_> = items
            .iter()
            .zip(&mut sealed)
            .map(|((key, nonce, aad, _), text)| SealJob {
                key: *key,
                nonce,
                aad,
                text,
            })
            .collect();
        let tags = Sm4Ccm::seal_many(&mut jobs);
        assert_eq!(tags.len(), items.len());
        for (((key, nonce, aad, text), sealed), tag) in items.iter().zip(&sealed).zip(&tags) {
            let mut expected = text.clone();
            assert_eq!(key.seal_in_place(nonce, aad, &mut expected), *tag);
            assert_eq!(*sealed, expected);
        }
        let mut tags: Vec<_> = tags.into_iter().map(Result::unwrap_or_default).collect();
        for tag in tags.iter_mut().step_by(5) {
            tag[3] ^= 0x40;
        }
        let mut opened = sealed.clone();
        let mut jobs: Vec<_> = items
            .iter()
            .zip(&mut opened)
            .zip(&tags)
            .map(|(((key, nonce, aad, _), text), tag)| OpenJob {
                key: *key,
                nonce,
                aad,
                text,
                tag,
            })
            .collect();
        let results = Sm4Ccm::open_many(&mut jobs);
        assert_eq!(results.len(), items.len());
        for (i, (result, (_, nonce, _, text))) in results.into_iter().zip(&items).enumerate() {
            if nonce.len() == 6 {
                assert!(matches!(result, Err(Error::Length { .. })));
                assert_eq!(opened[i], sealed[i]);
            } else if i % 5 == 0 {
                assert_eq!(result, Err(Error::Decryption));
                assert_eq!(opened[i], sealed[i]);
            } else {
                assert_eq!(result, Ok(()));
                assert_eq!(opened[i], *text);
            }
        }
    }
    assert!(Sm4Ccm::<16>::seal_many(&mut []).is_empty());
    assert!(Sm4Ccm::<16>::open_many(&mut []).is_empty());
}

#[test]
fn debug_tells_no_key() {
    let text = format!("{:?}", Sm4Ccm::with_backend(Backend::PORTABLE, &[7; 16]));
    assert_eq!(text, "Sm4Ccm { backend: Backend(portable), .. }");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(64), ..ProptestConfig::default() })]
    #[test]
    fn equals_rustcrypto(
        key: [u8; 16],
        nonce: [u8; 12],
        aad in proptest::collection::vec(any::<u8>(), 0..700),
        text in proptest::collection::vec(any::<u8>(), 0..1500),
    ) {
        let (mut expected, tag) = oracle!(U12, U16, &key, &nonce[..], &aad, text);
        expected.extend(tag);
        for backend in Backend::available() {
            let cipher = Sm4Ccm::with_backend(backend, &key);
            prop_assert_eq!(&cipher.seal(&nonce, &aad, &text).unwrap(), &expected);
            prop_assert_eq!(&cipher.open(&nonce, &aad, &expected).unwrap(), &text);
        }
    }
}

#[cfg(feature = "aead")]
#[test]
fn aead_traits_give_the_same() {
    use aead::inout::InOutBuf;
    use aead::{Aead, Payload};
    let key = [5; 16];
    let own = Sm4Ccm::new(&key);
    let cipher = <Sm4Ccm as aead::KeyInit>::new(&key.into());
    let (nonce, aad, text) = ([6; 12], bytes(1, 30), bytes(2, 500));
    let payload = Payload {
        msg: &text,
        aad: &aad,
    };
    let sealed = cipher.encrypt(&nonce.into(), payload).unwrap();
    assert_eq!(sealed, own.seal(&nonce, &aad, &text).unwrap());
    let payload = Payload {
        msg: &sealed,
        aad: &aad,
    };
    assert_eq!(cipher.decrypt(&nonce.into(), payload).unwrap(), text);
    let payload = Payload {
        msg: &sealed,
        aad: &aad[1..],
    };
    assert!(cipher.decrypt(&nonce.into(), payload).is_err());
    // Out of place.
    let mut out = vec![0; text.len()];
    let buffer = InOutBuf::new(&text, &mut out).unwrap();
    let tag = cipher
        .encrypt_inout_detached(&nonce.into(), &aad, buffer)
        .unwrap();
    assert_eq!([out.as_slice(), tag.as_slice()].concat(), sealed);
    let mut back = vec![0; text.len()];
    let buffer = InOutBuf::new(&out, &mut back).unwrap();
    cipher
        .decrypt_inout_detached(&nonce.into(), &aad, buffer, &tag)
        .unwrap();
    assert_eq!(back, text);
}
