//! Known answers that need a chosen k, and cases that chance never gives.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

use zeroize::Zeroizing;

use crate::cpu::Backend;
use crate::error::Error;
use crate::sm2::comb::mul_base;
use crate::sm2::encrypt::{encrypt_from, encrypt_with_k};
use crate::sm2::mul::mul;
use crate::sm2::nonce::{Candidates, Drbg, Seed, SeedStart};
use crate::sm2::point::{Affine, Point};
use crate::sm2::prepared::TableSize;
use crate::sm2::public_key::PublicKey;
use crate::sm2::scalar::Scalar;
use crate::sm2::secret_key::SecretKey;
use crate::sm2::sign::{SigningKey, finish, sign_with_candidates};
use crate::sm2::signature::Signature;
use crate::sm2::verify::VerifyingKey;

const N: &str = "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123";
const D: &str = "3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8";
const K: &str = "59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21";
const SIGNATURE: &str = "
    F5A03B06 48D2C463 0EEAC513 E1BB81A1 5944DA38 27D5B741 43AC7EAC EEE720B3
    B1B6AA29 DF212FD8 763182BC 0D421CA1 BB9038FD 1F7F42D4 840B69C4 85BBC1AA";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn hex32(text: &str) -> [u8; 32] {
    hex(text).try_into().unwrap()
}

fn scalar(text: &str) -> Scalar {
    Scalar::from_bytes(&hex32(text)).unwrap()
}

fn small(value: u8) -> Scalar {
    let mut bytes = [0; 32];
    bytes[31] = value;
    Scalar::from_bytes(&bytes).unwrap()
}

fn backends() -> impl Iterator<Item = Backend> {
    Backend::available().inspect(|backend| println!("backend: {backend}"))
}

fn annex_key(backend: Backend) -> SigningKey {
    SigningKey::new(SecretKey::from_bytes_with_backend(backend, &hex32(D)).unwrap())
}

/// Hands out prepared candidates, and counts.
struct Given(Vec<[u8; 32]>, usize);

impl Given {
    fn new(candidates: &[[u8; 32]]) -> Self {
        Self(candidates.to_vec(), 0)
    }
}

impl Candidates for Given {
    fn next(&mut self) -> &[u8; 32] {
        self.1 += 1;
        &self.0[self.1 - 1]
    }
}

/// GM/T 0003.5 annex A.2: key, Z, e and the signature for the annex's k.
#[test]
fn gmt_0003_5_annex_a_signature() {
    for backend in backends() {
        let key = annex_key(backend);
        let verifying = key.verifying_key();
        assert_eq!(
            verifying.public_key().to_coordinates()[..],
            hex(
                "09F9DF31 1E5421A1 50DD7D16 1E4BC5C6 72179FAD 1833FC07 6BB08FF3 56F35020
                 CCEA490C E26775A5 2DC6EA71 8CC1AA60 0AED05FB F35E084A 6632F607 2DA9AD13"
            )[..]
        );
        assert_eq!(
            *verifying.z(),
            hex32("B2E14C5C79C6DF5B85F4FE7ED8DB7A262B9DA7E07CCB0EA9F4747B8CCDA8A4F3")
        );
        let e = verifying.digest(&[b"message", b" digest"]);
        assert_eq!(
            e,
            hex32("F0B43E94BA45ACCAACE692ED534382EB17E6AB5A19CE7B31F4486FDFC0D28640")
        );
        let signature = sign_with_candidates(
            backend,
            key.secret_key(),
            &Scalar::reduce(&e),
            &mut Given::new(&[hex32(K)]),
        );
        assert_eq!(signature.as_bytes()[..], hex(SIGNATURE)[..]);
        verifying.verify(b"message digest", &signature).unwrap();
        for size in [TableSize::Small, TableSize::Medium, TableSize::Large] {
            let prepared = verifying.prepare(size);
            prepared.verify(b"message digest", &signature).unwrap();
            assert_eq!(
                prepared.verify(b"message digesT", &signature),
                Err(Error::Signature)
            );
            assert!(prepared.memory() > 4000);
        }
        assert_eq!(
            verifying.verify(b"message digesT", &signature),
            Err(Error::Signature)
        );
    }
}

/// GB/T 32918.5 annex C: "encryption standard" under the annex's k.
#[test]
fn gbt_32918_5_annex_c_encryption() {
    for backend in backends() {
        let key = annex_key(backend);
        let ciphertext = encrypt_with_k(
            key.verifying_key().public_key(),
            b"encryption standard",
            &scalar(K),
        )
        .unwrap();
        assert_eq!(
            ciphertext,
            hex("04
                 04EBFC71 8E8D1798 62043226 8E77FEB6 415E2EDE 0E073C0F 4F640ECD 2E149A73
                 E858F9D8 1E5430A5 7B36DAAB 8F950A3C 64E6EE6A 63094D99 283AFF76 7E124DF0
                 59983C18 F809E262 923C53AE C295D303 83B54E39 D609D160 AFCB1908 D0BD8766
                 21886CA9 89CA9C7D 58087307 CA93092D 651EFA")
        );
        assert_eq!(
            **key.secret_key().decrypt(&ciphertext).unwrap(),
            *b"encryption standard"
        );
    }
}

/// Outside [1, n-1], r = 0, r + k = n and s = 0: the standard says to choose k again, and the last candidate serves.
#[test]
fn unusable_nonces_lead_back_to_a3() {
    for backend in backends() {
        let key = annex_key(backend);
        let secret = key.secret_key();
        let k = scalar(K);
        let x1 = Scalar::reduce(&mul_base(backend, &k).to_affine().unwrap().x.to_bytes());
        let good = small(7);
        let outside = [[0; 32], hex32(N), [0xff; 32]];

        // r = e + x1 = 0; r + k = 0; and s = 0, that is (1 + d)^-1 (k + r) = r, k = r d, e = k / d - x1.
        let r_zero = x1.neg();
        let r_plus_k_zero = k.neg().sub(&x1);
        let s_zero = k.mul(&secret.d().invert()).sub(&x1);
        for e in [r_zero, r_plus_k_zero, s_zero] {
            assert!(finish(secret, &e, &k, &x1).is_none());
            let mut given = Given::new(&[
                outside[0],
                hex32(K),
                outside[1],
                outside[2],
                good.to_bytes(),
            ]);
            let signature = sign_with_candidates(backend, secret, &e, &mut given);
            assert_eq!(given.1, 5);
            let alone =
                sign_with_candidates(backend, secret, &e, &mut Given::new(&[good.to_bytes()]));
            assert_eq!(signature, alone);
            key.verifying_key()
                .verify_prehash(&e.to_bytes(), &signature)
                .unwrap();
        }
        // s = 0 needs k = r d: it is reached only if r is neither 0 nor -k.
        let r = s_zero.add(&x1);
        assert!(!bool::from(r.is_zero()) && !bool::from(r.add(&k).is_zero()));
    }
}

/// The extreme private keys sign, with extreme k.
#[test]
fn extreme_scalars() {
    for backend in backends() {
        let n_minus = |by: u8| small(by).neg().to_bytes();
        for refused in [[0; 32], n_minus(1), hex32(N), [0xff; 32]] {
            assert!(matches!(
                SecretKey::from_bytes_with_backend(backend, &refused),
                Err(Error::Key(_))
            ));
        }
        for d in [small(1).to_bytes(), small(2).to_bytes(), n_minus(2)] {
            let key = SigningKey::new(SecretKey::from_bytes_with_backend(backend, &d).unwrap());
            let prepared = key.verifying_key().prepare(TableSize::Small);
            for k in [small(1), small(2), small(1).neg(), small(2).neg()] {
                for e in [Scalar::ZERO, Scalar::ONE, Scalar::ONE.neg()] {
                    let x1 =
                        Scalar::reduce(&mul_base(backend, &k).to_affine().unwrap().x.to_bytes());
                    let signature = finish(key.secret_key(), &e, &k, &x1).unwrap();
                    let e = e.to_bytes();
                    key.verifying_key().verify_prehash(&e, &signature).unwrap();
                    prepared.verify_prehash(&e, &signature).unwrap();
                }
            }
        }
    }
}

/// What both kinds of key say of a signature over e.
fn verdicts(key: &VerifyingKey, e: &[u8; 32], signature: &Signature) -> Result<(), Error> {
    let plain = key.verify_prehash(e, signature);
    for size in [TableSize::Small, TableSize::Medium, TableSize::Large] {
        let prepared = key.prepare(size);
        assert_eq!(prepared.verify_prehash(e, signature), plain);
    }
    plain
}

/// [s]G + [t]P where the two halves are equal (a doubling inside the addition), opposite (infinity), or related.
#[test]
fn exceptional_additions_in_verification() {
    for backend in backends() {
        for d in [small(1), small(2), scalar(D), small(2).neg()] {
            let key = SecretKey::from_bytes_with_backend(backend, &d.to_bytes()).unwrap();
            let key = VerifyingKey::new(*key.public_key());
            for t in [small(1), small(5), scalar(K), small(1).neg()] {
                // s = d t: both halves are the same point; the sum is [2 d t]G.
                let s = d.mul(&t);
                let r = t.sub(&s);
                if !bool::from(r.is_zero()) {
                    let sum = mul_base(backend, &s.add(&s)).to_affine().unwrap();
                    let e = r.sub(&Scalar::reduce(&sum.x.to_bytes()));
                    let signature = Signature::from_scalars(&r, &s);
                    assert_eq!(verdicts(&key, &e.to_bytes(), &signature), Ok(()));
                }
                // s = -d t: infinity. With r = e an x1 of 0 would satisfy B7.
                let s = s.neg();
                let r = t.sub(&s);
                if !bool::from(r.is_zero()) {
                    let signature = Signature::from_scalars(&r, &s);
                    assert_eq!(
                        verdicts(&key, &r.to_bytes(), &signature),
                        Err(Error::Signature)
                    );
                }
            }
        }
    }
}

/// r + s = n, so t = 0.
#[test]
fn t_zero_is_refused() {
    for backend in backends() {
        let key = annex_key(backend);
        let r = scalar(K);
        let s = r.neg();
        // Were t = 0 let through, the point would be [s]G, and this e would satisfy B7.
        let x = mul_base(backend, &s).to_affine().unwrap().x.to_bytes();
        let e = r.sub(&Scalar::reduce(&x)).to_bytes();
        assert_eq!(
            verdicts(key.verifying_key(), &e, &Signature::from_scalars(&r, &s)),
            Err(Error::Signature)
        );
    }
}

/// A point R with x1 in [n, p), which chance gives once in 2^128: P = t^-1 (R - [s]G), and e such that r = e + x1.
#[test]
fn x1_beyond_n_is_accepted() {
    let n = hex32(N);
    let mut found = 0;
    for step in 0..8u8 {
        let mut x = n;
        // n ends in 0x23: no carry.
        x[31] += step;
        let mut sec1 = [2u8; 33];
        sec1[1..].copy_from_slice(&x);
        let Some(point) = Affine::from_sec1(&sec1) else {
            continue;
        };
        found += 1;
        for backend in backends() {
            for (s, t) in [(small(3), small(11)), (scalar(K), scalar(D))] {
                let difference = Point::from(point).add(&mul_base(backend, &s).neg());
                let public = mul(backend, &difference.to_affine().unwrap(), &t.invert());
                let public = PublicKey::from_point(backend, public.to_affine().unwrap());
                let key = VerifyingKey::new(public);
                let r = t.sub(&s);
                let e = r.sub(&small(step)).to_bytes();
                let signature = Signature::from_scalars(&r, &s);
                assert_eq!(verdicts(&key, &e, &signature), Ok(()));
                let other = Scalar::reduce(&e).add(&Scalar::ONE).to_bytes();
                assert_eq!(verdicts(&key, &other, &signature), Err(Error::Signature));
            }
        }
    }
    assert!(found > 0);
}

/// A single byte of text meets t = 0 under one k in 256: encryption chooses again, decryption refuses.
#[test]
fn all_zero_key_stream() {
    let backend = Backend::active();
    let key = annex_key(backend);
    let public = key.verifying_key().public_key();
    let bad = (1..=u8::MAX)
        .chain(1..=u8::MAX)
        .enumerate()
        .map(|(i, low)| {
            let mut bytes = [0; 32];
            bytes[30] = u8::from(i >= 255);
            bytes[31] = low;
            Scalar::from_bytes(&bytes).unwrap()
        })
        .find(|k| encrypt_with_k(public, b"x", k).is_none())
        .expect("one k in 256 has an all-zero t");
    let mut candidates = [bad.to_bytes(), hex32(K)].into_iter();
    let ciphertext = encrypt_from(public, b"x", |out| {
        out.copy_from_slice(&candidates.next().unwrap());
        Ok(())
    })
    .unwrap();
    assert_eq!(Some(ciphertext), encrypt_with_k(public, b"x", &scalar(K)));

    // What an encryptor that does not check would send: C2 is the plaintext.
    let c1 = mul_base(backend, &bad).to_affine().unwrap();
    let shared = mul(backend, public.point(), &bad).to_affine().unwrap();
    let c3 = crate::sm3::hash_parts(&[&shared.x.to_bytes(), b"x", &shared.y.to_bytes()]);
    let forged = [&c1.to_sec1()[..], &c3, b"x"].concat();
    assert_eq!(
        key.secret_key().decrypt(&forged).err(),
        Some(Error::Decryption)
    );
}

#[test]
fn a_failing_generator_is_an_error() {
    let public = *annex_key(Backend::active()).verifying_key().public_key();
    assert_eq!(
        encrypt_from(&public, b"x", |_| Err(Error::Random)),
        Err(Error::Random)
    );
    // One that gives nothing usable does not hang.
    assert_eq!(encrypt_from(&public, b"x", |_| Ok(())), Err(Error::Random));
}

#[test]
fn the_generator_of_k_does_not_repeat() {
    let seed = |d, e, entropy| Seed {
        d: Box::new(Zeroizing::new([d; 32])),
        e: [e; 32],
        entropy,
    };
    let alone =
        |backend, seed: &Seed<'_>| Drbg::new(backend, &SeedStart::new(backend, &seed.d), seed);
    let (three, four) = ([3; 32], [4; 32]);
    for backend in backends() {
        let mut drbg = alone(backend, &seed(1, 2, &three));
        let (first, second) = (*drbg.next(), *drbg.next());
        assert_ne!(first, second);
        let others = [seed(4, 2, &three), seed(1, 4, &three), seed(1, 2, &four)];
        for other in &others {
            assert_ne!(first, *alone(backend, other).next());
        }
        // Side by side, whatever the count, each gives what it gives alone.
        let seeds: Vec<_> = (0..40).map(|i| seed(i, i ^ 2, &three)).collect();
        for count in [0, 1, 2, 8, 9, 40] {
            let many = Drbg::many(backend, &seeds[..count]);
            assert_eq!(many.len(), count);
            for (mut drbg, seed) in many.into_iter().zip(&seeds) {
                let mut alone = alone(backend, seed);
                for _ in 0..3 {
                    assert_eq!(drbg.next(), alone.next());
                }
            }
        }
    }
}
