//! What each fuzz target does with its bytes. Used by the fuzzer and, over the committed corpora, by
//! `corpus_replay.rs` on stable Rust. Only the crate's public surface is used.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]

use std::sync::LazyLock;

use sm_accel::sm2::{
    Ciphertext, PublicKey, SecretKey, Signature, SigningKey, VerifyItem, verify_many,
};
use sm_accel::{Backend, Error};

/// The key of GM/T 0003.5 annex A, once a backend.
static KEYS: LazyLock<Vec<SigningKey>> = LazyLock::new(|| {
    let d = "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8";
    let mut bytes = [0; 32];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&d[2 * i..2 * i + 2], 16).unwrap();
    }
    Backend::available()
        .map(|backend| {
            SigningKey::new(SecretKey::from_bytes_with_backend(backend, &bytes).unwrap())
        })
        .collect()
});

/// A signature in DER or as 64 bytes: what reads has one spelling, and all ways to verify agree on it.
pub fn sm2_signature(data: &[u8]) {
    let read = match Signature::from_der(data) {
        Ok(signature) => {
            assert_eq!(signature.to_der().as_bytes(), data);
            assert_eq!(Signature::from_bytes(&signature.to_bytes()), Ok(signature));
            signature
        }
        Err(error) => {
            assert_eq!(error, Error::Signature);
            match Signature::from_slice(data) {
                Ok(signature) => {
                    assert_eq!(signature.as_bytes()[..], *data);
                    let der = signature.to_der();
                    assert_eq!(Signature::from_der(der.as_bytes()), Ok(signature));
                    signature
                }
                Err(_) => return,
            }
        }
    };
    let message = b"message digest";
    let verdicts: Vec<bool> = KEYS
        .iter()
        .map(|key| {
            let single = key.verifying_key().verify(message, &read);
            let item = VerifyItem::new(key.verifying_key(), message, &read);
            assert_eq!(verify_many(&[item, item]), [single, single]);
            single.is_ok()
        })
        .collect();
    assert!(verdicts.windows(2).all(|pair| pair[0] == pair[1]));
}

/// A ciphertext, raw or in DER: what reads has one spelling in each form, and every backend says the same of it.
pub fn sm2_ciphertext(data: &[u8]) {
    let parsed = match (Ciphertext::from_der(data), Ciphertext::from_raw(data)) {
        (Ok(parsed), other) => {
            assert!(other.is_err());
            assert_eq!(parsed.to_der().unwrap(), data);
            parsed
        }
        (_, Ok(parsed)) => {
            assert_eq!(parsed.to_raw(), data);
            parsed
        }
        (Err(der), Err(raw)) => {
            assert_eq!((der, raw), (Error::Decryption, Error::Decryption));
            assert!(KEYS[0].secret_key().decrypt(data).is_err());
            assert!(KEYS[0].secret_key().decrypt_der(data).is_err());
            return;
        }
    };
    let (raw, der) = (parsed.to_raw(), parsed.to_der().unwrap());
    assert_eq!(Ciphertext::from_raw(&raw), Ok(parsed));
    assert_eq!(Ciphertext::from_der(&der), Ok(parsed));
    let opened: Vec<_> = KEYS
        .iter()
        .map(|key| {
            let opened = key.secret_key().decrypt(&raw).map(|text| text.to_vec());
            let again = key.secret_key().decrypt_der(&der).map(|text| text.to_vec());
            assert_eq!(opened, again);
            opened
        })
        .collect();
    assert!(opened.windows(2).all(|pair| pair[0] == pair[1]));
    match &opened[0] {
        Ok(text) => assert_eq!(text.len() + Ciphertext::OVERHEAD, raw.len()),
        Err(error) => assert_eq!(*error, Error::Decryption),
    }
}

/// A public key: what reads has the spelling it was read from, and the other form gives the same key.
pub fn sm2_public_key(data: &[u8]) {
    let results: Vec<_> = Backend::available()
        .map(|backend| PublicKey::from_sec1_with_backend(backend, data))
        .collect();
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    let Ok(key) = results[0] else {
        assert_eq!(results[0], Err(Error::Key("public key")));
        return;
    };
    let (long, short) = (key.to_sec1(), key.to_sec1_compressed());
    assert!(data == long || data == short);
    assert_eq!(PublicKey::from_sec1(&long), Ok(key));
    assert_eq!(PublicKey::from_sec1(&short), Ok(key));
    let secret = KEYS[0].secret_key();
    assert!(secret.diffie_hellman(&key).is_ok());
}

/// SM3 of the bytes is RustCrypto's on every backend, in one piece and in two, and keyed.
pub fn sm3_differential(data: &[u8]) {
    use sm3::Digest as _;
    let expected: [u8; 32] = sm3::Sm3::digest(data).into();
    let at = data
        .first()
        .map_or(0, |first| usize::from(*first) % data.len());
    for backend in Backend::available() {
        assert_eq!(sm_accel::sm3::hash_with_backend(backend, data), expected);
        let parts = [&data[..at], &data[at..]];
        assert_eq!(
            sm_accel::sm3::hash_parts_with_backend(backend, &parts),
            expected
        );
    }
}

/// Cuts the bytes into texts: a length, then so many bytes, again and again.
fn texts(mut data: &[u8]) -> Vec<&[u8]> {
    let mut texts = Vec::new();
    while let Some((length, rest)) = data.split_first() {
        let (text, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        texts.push(text);
        data = rest;
    }
    texts
}

/// Many messages of unequal lengths in lanes, hashed and keyed, are what RustCrypto makes of each.
pub fn sm3_lanes(data: &[u8]) {
    use hmac::{KeyInit as _, Mac as _};
    use sm_accel::sm3::{HmacJob, HmacKey, hash_many_with_backend, hmac_many};
    use sm3::Digest as _;
    let (key, data) = data.split_at(data.len().min(8));
    let texts = texts(data);
    let expected: Vec<[u8; 32]> = texts.iter().map(|m| sm3::Sm3::digest(m).into()).collect();
    let theirs = hmac::Hmac::<sm3::Sm3>::new_from_slice(key).unwrap();
    let tags: Vec<[u8; 32]> = texts
        .iter()
        .map(|m| {
            theirs
                .clone()
                .chain_update(m)
                .finalize()
                .into_bytes()
                .into()
        })
        .collect();
    for backend in Backend::available() {
        assert_eq!(hash_many_with_backend(backend, &texts), expected);
        let ours = HmacKey::with_backend(backend, key);
        let parts: Vec<[&[u8]; 2]> = texts
            .iter()
            .map(|m| m.split_at(m.len() / 3).into())
            .collect();
        let jobs: Vec<_> = parts
            .iter()
            .map(|parts| HmacJob { key: &ours, parts })
            .collect();
        assert_eq!(hmac_many(&jobs), tags);
    }
}

/// CTR and CBC of many texts under three keys are what RustCrypto makes of each, and come back.
pub fn sm4_modes(data: &[u8]) {
    use cipher::{Array, BlockModeEncrypt as _, KeyIvInit as _, StreamCipher as _};
    use sm_accel::sm4::{CbcJob, CtrJob, Sm4, cbc_decrypt_many, cbc_encrypt_many, ctr_many};
    let Some((iv, data)) = data.split_first_chunk::<16>() else {
        return;
    };
    let nonce: &[u8; 12] = iv.first_chunk().unwrap();
    let keys = [*iv, [iv[15]; 16], [0; 16]];
    let which = |i: usize| i * usize::from(iv[14]) % 3;
    let texts = texts(data);
    let mut counter = [0; 16];
    counter[..12].copy_from_slice(nonce);
    let streamed: Vec<Vec<u8>> = texts
        .iter()
        .enumerate()
        .map(|(i, text)| {
            let mut text = text.to_vec();
            ctr::Ctr32BE::<sm4::Sm4>::new(&keys[which(i)].into(), &counter.into())
                .apply_keystream(&mut text);
            text
        })
        .collect();
    let blocks: Vec<Vec<[u8; 16]>> = texts.iter().map(|t| t.as_chunks().0.to_vec()).collect();
    let chained: Vec<Vec<[u8; 16]>> = blocks
        .iter()
        .enumerate()
        .map(|(i, blocks)| {
            let mut blocks = blocks.clone();
            cbc::Encryptor::<sm4::Sm4>::new(&keys[which(i)].into(), iv.into())
                .encrypt_blocks(Array::cast_slice_from_core_mut(&mut blocks));
            blocks
        })
        .collect();
    for backend in Backend::available() {
        let ours = Sm4::many_with_backend(backend, &keys);
        let mut got: Vec<Vec<u8>> = texts.iter().map(|text| text.to_vec()).collect();
        let mut jobs: Vec<_> = got
            .iter_mut()
            .enumerate()
            .map(|(i, text)| CtrJob {
                key: &ours[which(i)],
                nonce,
                text,
            })
            .collect();
        assert!(ctr_many(&mut jobs).iter().all(Result::is_ok));
        assert_eq!(got, streamed);
        for (i, text) in got.iter_mut().enumerate() {
            ours[which(i)].ctr(nonce, text).unwrap();
            assert_eq!(text, texts[i]);
        }

        let mut got = blocks.clone();
        for decrypt in [false, true] {
            let mut jobs: Vec<_> = got
                .iter_mut()
                .enumerate()
                .map(|(i, blocks)| CbcJob {
                    key: &ours[which(i)],
                    iv,
                    blocks,
                })
                .collect();
            if decrypt {
                cbc_decrypt_many(&mut jobs);
                assert_eq!(got, blocks);
            } else {
                cbc_encrypt_many(&mut jobs);
                assert_eq!(got, chained);
            }
        }
    }
}

/// What GCM and CCM open and refuse is what RustCrypto's `aes-gcm` and `ccm` over `sm4` do, and so is what they seal.
pub fn sm4_aead(data: &[u8]) {
    use aead::{Aead as _, KeyInit as _, Payload};
    use cipher::consts::{U12, U16};
    use sm_accel::sm4::{Sm4Ccm, Sm4Gcm};
    let Some((key, rest)) = data.split_first_chunk::<16>() else {
        return;
    };
    let Some((nonce, rest)) = rest.split_first_chunk::<12>() else {
        return;
    };
    let Some((aad, sealed)) = rest.split_first() else {
        return;
    };
    let (aad, sealed) = sealed.split_at(sealed.len().min(usize::from(*aad)));
    let gcm = aes_gcm::AesGcm::<sm4::Sm4, U12>::new(key.into());
    let ccm = ccm::Ccm::<sm4::Sm4, U16, U12>::new(key.into());
    let open = Payload { msg: sealed, aad };
    let opened = [
        gcm.decrypt(nonce.into(), open).ok(),
        ccm.decrypt(nonce.into(), Payload { msg: sealed, aad }).ok(),
    ];
    let resealed = [
        gcm.encrypt(nonce.into(), Payload { msg: sealed, aad })
            .unwrap(),
        ccm.encrypt(nonce.into(), Payload { msg: sealed, aad })
            .unwrap(),
    ];
    for backend in Backend::available() {
        let gcm: Sm4Gcm = Sm4Gcm::with_backend(backend, key);
        let ccm: Sm4Ccm = Sm4Ccm::with_backend(backend, key);
        assert_eq!(gcm.open(nonce, aad, sealed).ok(), opened[0]);
        assert_eq!(ccm.open(nonce, aad, sealed).ok(), opened[1]);
        assert_eq!(gcm.seal(nonce, aad, sealed).as_ref(), Ok(&resealed[0]));
        assert_eq!(ccm.seal(nonce, aad, sealed).as_ref(), Ok(&resealed[1]));
        assert_eq!(gcm.open(nonce, aad, &resealed[0]).as_deref(), Ok(sealed));
        assert_eq!(ccm.open(nonce, aad, &resealed[1]).as_deref(), Ok(sealed));
    }
}
