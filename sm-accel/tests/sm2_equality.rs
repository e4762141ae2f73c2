//! SM2 beside RustCrypto's `sm2`, on every backend.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs
)]

use sm_accel::sm2::*;
use sm_accel::{Backend, Error};
use sm2::dsa::signature::Verifier as _;
use sm2::dsa::signature::hazmat::RandomizedPrehashSigner as _;
use sm2::elliptic_curve::point::AffineCoordinates as _;
use sm2::elliptic_curve::rand_core::{TryCryptoRng, TryRng};

const ID: &str = "1234567812345678";

/// Hands out one prepared value.
struct Fixed([u8; 32]);

impl TryRng for Fixed {
    type Error = std::convert::Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(0)
    }
    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(0)
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        out.copy_from_slice(&self.0);
        Ok(())
    }
}

impl TryCryptoRng for Fixed {}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

fn backends() -> impl Iterator<Item = Backend> {
    Backend::available().inspect(|backend| println!("backend: {backend}"))
}

fn theirs(key: &SigningKey, id: &str) -> sm2::dsa::SigningKey {
    sm2::dsa::SigningKey::from_slice(id, &*key.secret_key().to_bytes()).unwrap()
}

/// `count` random signatures: ours are bit for bit RustCrypto's for the same entropy, verify there, and theirs here,
/// plain, prepared and in batches; changed ones do neither.
fn cross_check(backend: Backend, count: usize, progress: bool) {
    let mut done = 0;
    while done < count {
        let secret = SecretKey::generate_with_backend(backend).unwrap();
        let key = SigningKey::new(secret);
        let peer = theirs(&key, ID);
        assert_eq!(
            peer.verifying_key().as_affine(),
            sm2::PublicKey::from_sec1_bytes(&key.verifying_key().public_key().to_sec1())
                .unwrap()
                .as_affine()
        );
        let size = [TableSize::Small, TableSize::Medium, TableSize::Large][done / 64 % 3];
        let prepared = key.verifying_key().prepare(size);
        let block = 256.min(count - done);
        let messages: Vec<Vec<u8>> = (0..block)
            .map(|i| random().repeat(5)[..i % 150].to_vec())
            .collect();
        let entropies: Vec<[u8; 32]> = (0..block).map(|_| random()).collect();
        let items: Vec<_> = messages
            .iter()
            .zip(&entropies)
            .map(|(message, entropy)| SignItem::new(&key, message).with_entropy(entropy))
            .collect();
        let signatures: Vec<Signature> = sign_many_with_backend(backend, &items)
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let mut tampered = Vec::new();
        for ((message, entropy), signature) in messages.iter().zip(&entropies).zip(&signatures) {
            let e = key.verifying_key().digest(&[message]);
            let peers: sm2::dsa::Signature = peer
                .sign_prehash_with_rng(&mut Fixed(*entropy), &e)
                .unwrap();
            assert_eq!(peers.to_bytes()[..], signature.as_bytes()[..]);
            assert_eq!(key.sign_prehash_with_entropy(&e, entropy), *signature);
            peer.verifying_key().verify(message, &peers).unwrap();
            key.verifying_key().verify(message, signature).unwrap();
            let mut bytes = signature.to_bytes();
            bytes[usize::from(entropy[0]) % 64] ^= 1 << (entropy[1] % 8);
            let wrong = Signature::from_bytes(&bytes).unwrap_or(*signature);
            if let Ok(wrong) = Signature::from_bytes(&bytes) {
                let peers = sm2::dsa::Signature::from_slice(&bytes).unwrap();
                assert!(peer.verifying_key().verify(message, &peers).is_err());
                assert_eq!(
                    key.verifying_key().verify(message, &wrong),
                    Err(Error::Signature)
                );
            }
            tampered.push(wrong);
        }
        let mut items = Vec::new();
        let mut expected = Vec::new();
        for ((message, signature), wrong) in messages.iter().zip(&signatures).zip(&tampered) {
            items.push(VerifyItem::new(key.verifying_key(), message, signature));
            items.push(VerifyItem::new(&prepared, message, signature));
            items.push(VerifyItem::new(&prepared, message, wrong));
            expected.extend([Ok(()), Ok(()), key.verifying_key().verify(message, wrong)]);
        }
        assert_eq!(verify_many_with_backend(backend, &items), expected);
        done += block;
        if progress && done % 65_536 < 256 {
            eprintln!("{backend}: {done} of {count} signatures");
        }
    }
}

#[test]
fn signatures_are_those_of_rustcrypto() {
    for backend in backends() {
        cross_check(backend, 300, false);
    }
}

/// `SM2_CROSS_COUNT=1000000 cargo test --release -p sm-accel --test sm2_equality -- --ignored --nocapture` (a million
/// without the variable), on the active backend.
#[test]
#[ignore = "minutes long: see the command above"]
fn a_million_random_signatures() {
    let count = std::env::var("SM2_CROSS_COUNT").map_or(1_000_000, |count| {
        count.parse().expect("SM2_CROSS_COUNT is a number")
    });
    cross_check(Backend::active(), count, true);
}

#[test]
fn user_ids_bind() {
    for backend in backends() {
        let bytes = random();
        let key = |id: &str| {
            let secret = SecretKey::from_bytes_with_backend(backend, &bytes).unwrap();
            SigningKey::with_user_id(secret, id.as_bytes()).unwrap()
        };
        for id in ["", "a", "ALICE123@YAHOO.COM", &"x".repeat(8191)] {
            let ours = key(id);
            let signature = ours.sign(b"m").unwrap();
            let peers = sm2::dsa::Signature::from_slice(signature.as_bytes()).unwrap();
            theirs(&ours, id)
                .verifying_key()
                .verify(b"m", &peers)
                .unwrap();
            assert!(
                key("other")
                    .verifying_key()
                    .verify(b"m", &signature)
                    .is_err()
            );
        }
        let public = *key("").verifying_key().public_key();
        assert!(matches!(
            VerifyingKey::with_user_id(public, &[0; 8192]),
            Err(Error::Length { got: 8192, .. })
        ));
    }
}

/// Lengths around every multiple of the digest and of the lanes, both ways.
#[test]
fn encryption_is_that_of_rustcrypto() {
    for backend in backends() {
        let secret = SecretKey::generate_with_backend(backend).unwrap();
        let scalar = sm2::SecretKey::from_slice(&*secret.to_bytes()).unwrap();
        let peer = sm2::pke::DecryptingKey::new(scalar);
        let near = |at: usize| at - 1..at + 2;
        let lengths = (1..70)
            .chain(near(512))
            .chain(near(1024))
            .chain(near(4096))
            .chain([20_000]);
        for len in lengths {
            let text: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
            let ours = secret.public_key().encrypt(&text).unwrap();
            assert_eq!(ours.len(), len + Ciphertext::OVERHEAD);
            assert_eq!(peer.decrypt(&ours).unwrap(), text);
            assert_eq!(**secret.decrypt(&ours).unwrap(), text);
            let der = secret.public_key().encrypt_der(&text).unwrap();
            assert_eq!(peer.decrypt_der(&der).unwrap(), text);
            let mut rng = Fixed(random());
            let theirs = peer.encrypting_key().encrypt_der(&mut rng, &text).unwrap();
            assert_eq!(**secret.decrypt_der(&theirs).unwrap(), text);
        }
    }
}

#[test]
fn empty_plaintext_is_refused() {
    let key = SecretKey::generate().unwrap();
    assert!(matches!(
        key.public_key().encrypt(b""),
        Err(Error::Length { got: 0, .. })
    ));
}

/// Every flipped bit, every cut, every byte more: one error.
#[test]
fn changed_ciphertexts_fail_alike() {
    for backend in backends() {
        let key = SecretKey::generate_with_backend(backend).unwrap();
        let raw = key.public_key().encrypt(b"key").unwrap();
        let der = Ciphertext::from_raw(&raw).unwrap().to_der().unwrap();
        assert_eq!(Ciphertext::from_der(&der).unwrap().to_raw(), raw);
        type Decrypt<'a> = &'a dyn Fn(&[u8]) -> Option<Error>;
        let forms: [(&[u8], Decrypt<'_>); 2] = [
            (&raw, &|bytes| key.decrypt(bytes).err()),
            (&der, &|bytes| key.decrypt_der(bytes).err()),
        ];
        for (good, decrypt) in forms {
            assert_eq!(decrypt(good), None);
            for bit in 0..good.len() * 8 {
                let mut bad = good.to_vec();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(decrypt(&bad), Some(Error::Decryption), "bit {bit}");
            }
            for len in 0..good.len() {
                assert_eq!(decrypt(&good[..len]), Some(Error::Decryption));
            }
            let longer = [good, &[0]].concat();
            assert_eq!(decrypt(&longer), Some(Error::Decryption));
        }
        // Compressed C1 is another spelling, and refused.
        let compressed = PublicKey::from_sec1(&raw[..65])
            .unwrap()
            .to_sec1_compressed();
        let other = [&compressed[..], &raw[65..]].concat();
        assert_eq!(key.decrypt(&other).err(), Some(Error::Decryption));
        // Another key opens nothing.
        let stranger = SecretKey::generate_with_backend(backend).unwrap();
        assert_eq!(stranger.decrypt(&raw).err(), Some(Error::Decryption));
    }
}

#[test]
fn public_keys_have_three_forms() {
    for backend in backends() {
        let key = SecretKey::generate_with_backend(backend).unwrap();
        let public = *key.public_key();
        let read = |bytes: &[u8]| PublicKey::from_sec1_with_backend(backend, bytes);
        let (long, short) = (public.to_sec1(), public.to_sec1_compressed());
        assert_eq!(read(&long), Ok(public));
        assert_eq!(read(&short), Ok(public));
        let mut opposite = short;
        opposite[0] ^= 1;
        assert_ne!(read(&opposite), Ok(public));
        let refused = Err(Error::Key("public key"));
        for tag in 0..=255u8 {
            let mut bytes = long;
            bytes[0] = tag;
            assert_eq!(read(&bytes).is_ok(), tag == 4);
            let mut bytes = short;
            bytes[0] = tag;
            assert_eq!(read(&bytes).is_ok(), tag == 2 || tag == 3);
        }
        for cut in [0, 1, 2, 32, 34, 64] {
            assert_eq!(read(&long[..cut]), refused);
        }
        assert_eq!(read(&[0]), refused);
        assert_eq!(read(&[0; 33]), refused);
        assert_eq!(read(&[&long[..], &[0]].concat()), refused);
        let mut off = long;
        off[64] ^= 1;
        assert_eq!(read(&off), refused);
        // A coordinate of p or more is another spelling.
        let mut large = [0xff; 65];
        large[0] = 4;
        assert_eq!(read(&large), refused);
    }
}

#[test]
fn diffie_hellman_is_that_of_rustcrypto() {
    for backend in backends() {
        for _ in 0..8 {
            let [a, b] = [0; 2].map(|_| SecretKey::generate_with_backend(backend).unwrap());
            let ours = a.diffie_hellman(b.public_key()).unwrap();
            assert_eq!(
                ours.as_bytes(),
                b.diffie_hellman(a.public_key()).unwrap().as_bytes()
            );
            let scalar = sm2::SecretKey::from_slice(&*a.to_bytes()).unwrap();
            let peer = sm2::PublicKey::from_sec1_bytes(&b.public_key().to_sec1()).unwrap();
            let theirs =
                sm2::ProjectivePoint::from(*peer.as_affine()) * scalar.to_nonzero_scalar().as_ref();
            assert_eq!(ours.as_bytes()[..], theirs.to_affine().x()[..]);
        }
    }
}

#[test]
fn signature_der_is_that_of_rustcrypto_and_strict() {
    let key = SigningKey::new(SecretKey::generate().unwrap());
    for _ in 0..50 {
        let signature = key.sign(b"m").unwrap();
        let der = signature.to_der();
        let theirs = sm2::dsa::Signature::from_slice(signature.as_bytes()).unwrap();
        assert_eq!(der.as_bytes(), theirs.to_der().as_bytes());
        assert_eq!(Signature::from_der(der.as_bytes()), Ok(signature));
        for len in 0..der.len() {
            assert_eq!(
                Signature::from_der(&der.as_bytes()[..len]),
                Err(Error::Signature)
            );
        }
        let longer = [der.as_bytes(), &[0]].concat();
        assert_eq!(Signature::from_der(&longer), Err(Error::Signature));
    }
    let mut one = [0; 64];
    (one[31], one[63]) = (1, 1);
    let small = Signature::from_bytes(&one).unwrap();
    assert_eq!(small.to_der().as_bytes(), [0x30, 6, 2, 1, 1, 2, 1, 1]);
    // r = 0, s = 0, negative, padded, r = n.
    for wrong in [
        &[0x30, 6, 2, 1, 0, 2, 1, 1][..],
        &[0x30, 6, 2, 1, 1, 2, 1, 0],
        &[0x30, 6, 2, 1, 0x81, 2, 1, 1],
        &[0x30, 7, 2, 2, 0, 1, 2, 1, 1],
        &[0x30, 0x81, 6, 2, 1, 1, 2, 1, 1],
    ] {
        assert_eq!(Signature::from_der(wrong), Err(Error::Signature));
    }
    let zero = [0; 64];
    assert!(Signature::from_bytes(&zero).is_err() && Signature::from_bytes(&[0xff; 64]).is_err());
    assert!(Signature::from_slice(&one[1..]).is_err() && Signature::from_slice(&[]).is_err());
}

#[test]
fn batches_answer_item_by_item() {
    for backend in backends() {
        assert!(sign_many_with_backend(backend, &[]).is_empty());
        assert!(verify_many_with_backend(backend, &[]).is_empty());
        let keys =
            [0; 3].map(|_| SigningKey::new(SecretKey::generate_with_backend(backend).unwrap()));
        for count in [1, 2, 7, 63, 64, 65, 130] {
            let messages: Vec<Vec<u8>> = (0..count).map(|i| vec![i as u8; i * 3 % 200]).collect();
            let items: Vec<_> = messages
                .iter()
                .enumerate()
                .map(|(i, message)| SignItem::new(&keys[i % 3], message))
                .collect();
            let signed = sign_many_with_backend(backend, &items);
            let signatures: Vec<Signature> = signed.into_iter().map(Result::unwrap).collect();
            // Every second one under the wrong key.
            let items: Vec<_> = messages
                .iter()
                .zip(&signatures)
                .enumerate()
                .map(|(i, (message, signature))| {
                    VerifyItem::new(keys[(i + i % 2) % 3].verifying_key(), message, signature)
                })
                .collect();
            let verdicts = verify_many_with_backend(backend, &items);
            for (i, verdict) in verdicts.iter().enumerate() {
                assert_eq!(verdict.is_ok(), i % 2 == 0);
            }
        }
    }
}

#[test]
fn traits_of_signature_work_over_keys() {
    use signature::{SignatureEncoding as _, Signer as _, Verifier};
    let key = SigningKey::new(SecretKey::generate().unwrap());
    let signature: Signature = key.try_sign(b"m").unwrap();
    let der: DerSignature = key.try_sign(b"m").unwrap();
    let public: VerifyingKey = signature::Keypair::verifying_key(&key);
    Verifier::verify(&public, b"m", &signature).unwrap();
    Verifier::verify(&public, b"m", &der).unwrap();
    assert!(Verifier::verify(&public, b"n", &der).is_err());
    assert_eq!(signature.to_vec().len(), 64);
    assert_eq!(DerSignature::try_from(der.as_ref()).unwrap(), der);
    assert_eq!(key.verifying_key(), &key.as_ref().clone());
}

#[test]
fn debug_shows_no_secrets() {
    let secret = SecretKey::from_bytes(&[0x5a; 32]).unwrap();
    let shared = secret.diffie_hellman(secret.public_key()).unwrap();
    let shown = format!("{secret:?} {shared:?}");
    assert!(!shown.contains("5a5a5a") && !shown.contains("90, 90"));
    let key = SigningKey::new(secret);
    assert!(!format!("{key:?}").contains("5a5a5a"));
}

#[cfg(feature = "rustcrypto")]
#[test]
fn keys_convert_both_ways() {
    let secret = SecretKey::generate().unwrap();
    let theirs = sm2::SecretKey::try_from(&secret).unwrap();
    let back = SecretKey::try_from(&theirs).unwrap();
    assert_eq!(*secret.to_bytes(), *back.to_bytes());
    let public = sm2::PublicKey::try_from(secret.public_key()).unwrap();
    assert_eq!(PublicKey::try_from(&public), Ok(*secret.public_key()));
    let key = SigningKey::with_user_id(secret, b"alice").unwrap();
    let signer = sm2::dsa::SigningKey::try_from(&key).unwrap();
    assert_eq!(
        SigningKey::try_from(&signer).unwrap().verifying_key(),
        key.verifying_key()
    );
    let verifier = sm2::dsa::VerifyingKey::try_from(key.verifying_key()).unwrap();
    let signature = key.sign(b"m").unwrap();
    let converted = sm2::dsa::Signature::try_from(&signature).unwrap();
    verifier.verify(b"m", &converted).unwrap();
    assert_eq!(Signature::try_from(&converted), Ok(signature));
    assert_eq!(
        &VerifyingKey::try_from(&verifier).unwrap(),
        key.verifying_key()
    );
    // n - 1 is a key there, and none here.
    let n_minus_1 = "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54122";
    let bytes: Vec<u8> = (0..32)
        .map(|i| u8::from_str_radix(&n_minus_1[2 * i..2 * i + 2], 16).unwrap())
        .collect();
    let odd = sm2::SecretKey::from_slice(&bytes).unwrap();
    assert!(SecretKey::try_from(&odd).is_err());
}
