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
