//! Primitives: sm-accel beside RustCrypto, libsm, gm-sm2 and OpenSSL, and aws-lc-rs's P-256, AES and SHA-256 for
//! context, from 16 bytes to 64 KiB.
//!
//! `SM_ACCEL_BACKEND` chooses sm-accel's kernels; which ones ran is printed first.

use std::hint::black_box;
use std::time::Duration;

use aes_gcm::aead::consts::U12;
use aes_gcm::{AeadInOut, AesGcm};
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyInit, KeyIvInit, StreamCipher};
use criterion::measurement::Measurement;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use family_benches::{CpuTime, computing};
use hmac::{Hmac, Mac};
use libsm::sm4::cipher_mode::{CipherMode, Sm4CipherMode};
use openssl::symm::{Cipher, Crypter, Mode};
use sm_accel::sm2::TableSize;
use sm_accel::sm4::{CbcJob, CtrJob, Sm4, Sm4Gcm};
use sm2::dsa::signature::{RandomizedSigner, Verifier};
use sm3::Digest;

const KEY: [u8; 16] = [0x42; 16];
const IV: [u8; 16] = [0x24; 16];
const SIZES: [usize; 5] = [16, 256, 4096, 16_384, 65_536];
/// Rows of a column, for the batch calls.
const COLUMN: usize = 256;

fn group<'a>(
    c: &'a mut Criterion<CpuTime>,
    name: &str,
    bytes: usize,
) -> BenchmarkGroup<'a, CpuTime> {
    let mut group = c.benchmark_group(name);
    group
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500));
    if bytes > 0 {
        group.throughput(Throughput::Bytes(bytes as u64));
    }
    group
}

fn openssl<M: Measurement>(
    group: &mut BenchmarkGroup<'_, M>,
    cipher: Cipher,
    mode: Mode,
    size: usize,
) {
    let input = vec![0; size];
    let mut output = vec![0; size + 16];
    let mut crypter = Crypter::new(cipher, mode, &KEY, Some(&IV)).unwrap();
    crypter.pad(false);
    group.bench_function("OpenSSL", |b| {
        b.iter(|| crypter.update(black_box(&input), &mut output).unwrap())
    });
}

fn libsm<M: Measurement>(
    group: &mut BenchmarkGroup<'_, M>,
    mode: CipherMode,
    iv: &'static [u8],
    size: usize,
) {
    let cipher = Sm4CipherMode::new(&KEY, mode).unwrap();
    let input = vec![0; size];
    group.bench_function("libsm", |b| {
        b.iter(|| cipher.encrypt(&[], black_box(&input), iv).unwrap())
    });
}

fn ctr(c: &mut Criterion<CpuTime>) {
    println!("{}", sm_accel::report());
    let ours = Sm4::new(&KEY);
    for size in SIZES {
        let mut group = group(c, &format!("sm4 ctr {size} B"), size);
        let mut text = vec![0; size];
        let nonce = [7; 12];
        group.bench_function("sm-accel", |b| {
            b.iter(|| ours.ctr(black_box(&nonce), &mut text).unwrap())
        });
        let mut theirs = ctr::Ctr128BE::<sm4::Sm4>::new(&KEY.into(), &IV.into());
        group.bench_function("RustCrypto", |b| {
            b.iter(|| theirs.apply_keystream(black_box(&mut text)))
        });
        openssl(&mut group, Cipher::sm4_ctr(), Mode::Encrypt, size);
        libsm(&mut group, CipherMode::Ctr, &IV, size);
        let key = aws_lc_rs::cipher::UnboundCipherKey::new(&aws_lc_rs::cipher::AES_128, &KEY);
        let key = aws_lc_rs::cipher::EncryptingKey::ctr(key.unwrap()).unwrap();
        group.bench_function("aws-lc-rs AES-128", |b| {
            b.iter(|| key.encrypt(black_box(&mut text)).unwrap())
        });
        group.finish();
    }
}

fn cbc(c: &mut Criterion<CpuTime>) {
    let ours = Sm4::new(&KEY);
    for size in SIZES {
        let mut blocks = vec![[0_u8; 16]; size / 16];
        let mut encrypt = group(c, &format!("sm4 cbc encrypt {size} B"), size);
        encrypt.bench_function("sm-accel", |b| {
            b.iter(|| ours.cbc_encrypt(black_box(&IV), &mut blocks))
        });
        let mut theirs = cbc::Encryptor::<sm4::Sm4>::new(&KEY.into(), &IV.into());
        encrypt.bench_function("RustCrypto", |b| {
            b.iter(|| {
                theirs.encrypt_blocks(cbc::cipher::Array::cast_slice_from_core_mut(black_box(
                    &mut blocks,
                )))
            })
        });
        openssl(&mut encrypt, Cipher::sm4_cbc(), Mode::Encrypt, size);
        libsm(&mut encrypt, CipherMode::Cbc, &IV, size);
        encrypt.finish();

        let mut decrypt = group(c, &format!("sm4 cbc decrypt {size} B"), size);
        decrypt.bench_function("sm-accel", |b| {
            b.iter(|| ours.cbc_decrypt(black_box(&IV), &mut blocks))
        });
        let mut theirs = cbc::Decryptor::<sm4::Sm4>::new(&KEY.into(), &IV.into());
        decrypt.bench_function("RustCrypto", |b| {
            b.iter(|| {
                theirs.decrypt_blocks(cbc::cipher::Array::cast_slice_from_core_mut(black_box(
                    &mut blocks,
                )))
            })
        });
        openssl(&mut decrypt, Cipher::sm4_cbc(), Mode::Decrypt, size);
        decrypt.finish();
    }
}

fn gcm(c: &mut Criterion<CpuTime>) {
    let ours = Sm4Gcm::new(&KEY);
    let theirs = AesGcm::<sm4::Sm4, U12>::new(&KEY.into());
    let context = aws_lc_rs::aead::UnboundKey::new(&aws_lc_rs::aead::AES_128_GCM, &KEY).unwrap();
    let context = aws_lc_rs::aead::LessSafeKey::new(context);
    for size in SIZES {
        let mut group = group(c, &format!("sm4 gcm {size} B"), size);
        let nonce = [7_u8; 12];
        let mut text = vec![0; size];
        group.bench_function("sm-accel", |b| {
            b.iter(|| {
                ours.seal_in_place(black_box(&nonce), b"", &mut text)
                    .unwrap()
            })
        });
        group.bench_function("RustCrypto", |b| {
            b.iter(|| {
                theirs
                    .encrypt_inout_detached(
                        black_box(&nonce.into()),
                        b"",
                        text.as_mut_slice().into(),
                    )
                    .unwrap()
            })
        });
        // It takes nonces of 16 bytes alone.
        libsm(&mut group, CipherMode::Gcm, &IV, size);
        group.bench_function("aws-lc-rs AES-128-GCM", |b| {
            b.iter(|| {
                let nonce = aws_lc_rs::aead::Nonce::assume_unique_for_key(black_box(nonce));
                context
                    .seal_in_place_separate_tag(nonce, aws_lc_rs::aead::Aad::empty(), &mut text)
                    .unwrap()
            })
        });
        group.finish();
    }
}

fn columns(c: &mut Criterion<CpuTime>) {
    let keys: Vec<[u8; 16]> = (0..COLUMN).map(|i| [i as u8; 16]).collect();
    let ours = Sm4::many(&keys);
    let theirs: Vec<_> = keys.iter().map(|key| sm4::Sm4::new(key.into())).collect();

    let mut schedule = group(c, "sm4 key schedule", 0);
    schedule.bench_function("sm-accel", |b| b.iter(|| Sm4::new(black_box(&KEY))));
    schedule.bench_function("RustCrypto", |b| {
        b.iter(|| sm4::Sm4::new(black_box(&KEY.into())))
    });
    schedule.finish();
    let mut schedule = group(c, "sm4 key schedule x 256", 0);
    schedule.bench_function("sm-accel", |b| b.iter(|| Sm4::many(black_box(&keys))));
    schedule.bench_function("RustCrypto", |b| {
        b.iter(|| -> Vec<_> {
            black_box(&keys)
                .iter()
                .map(|key| sm4::Sm4::new(key.into()))
                .collect()
        })
    });
    schedule.finish();

    let mut short = group(c, "sm4 ctr 32 B x 256", COLUMN * 32);
    let nonces: Vec<[u8; 12]> = (0..COLUMN).map(|i| [i as u8; 12]).collect();
    let mut texts = vec![[0_u8; 32]; COLUMN];
    short.bench_function("sm-accel", |b| {
        b.iter(|| {
            let mut jobs: Vec<_> = texts
                .iter_mut()
                .zip(&nonces)
                .map(|(text, nonce)| CtrJob {
                    key: &ours[0],
                    nonce,
                    text,
                })
                .collect();
            sm_accel::sm4::ctr_many(&mut jobs)
        })
    });
    short.bench_function("sm-accel, one at a time", |b| {
        b.iter(|| {
            for (text, nonce) in texts.iter_mut().zip(&nonces) {
                ours[0].ctr(nonce, text).unwrap();
            }
        })
    });
    short.bench_function("RustCrypto", |b| {
        b.iter(|| {
            for (text, nonce) in texts.iter_mut().zip(&nonces) {
                let mut counter = [0; 16];
                counter[..12].copy_from_slice(nonce);
                let core = ctr::CtrCore::<&sm4::Sm4, ctr::flavors::Ctr32BE>::inner_iv_init(
                    &theirs[0],
                    (&counter).into(),
                );
                cbc::cipher::StreamCipherCoreWrapper::from_core(core).apply_keystream(text);
            }
        })
    });
    short.finish();

    let mut chains = group(c, "sm4 cbc encrypt, 256 chains of 256 B", COLUMN * 256);
    let mut texts = vec![[[0_u8; 16]; 16]; COLUMN];
    chains.bench_function("sm-accel", |b| {
        b.iter(|| {
            let mut jobs: Vec<_> = texts
                .iter_mut()
                .zip(&ours)
                .map(|(blocks, key)| CbcJob {
                    key,
                    iv: &IV,
                    blocks,
                })
                .collect();
            sm_accel::sm4::cbc_encrypt_many(&mut jobs);
        })
    });
    chains.bench_function("RustCrypto", |b| {
        b.iter(|| {
            for (blocks, key) in texts.iter_mut().zip(&theirs) {
                cbc::Encryptor::<&sm4::Sm4>::inner_iv_init(key, (&IV).into())
                    .encrypt_blocks(cbc::cipher::Array::cast_slice_from_core_mut(blocks));
            }
        })
    });
    chains.finish();
}

fn sm3(c: &mut Criterion<CpuTime>) {
    for size in SIZES {
        let mut group = group(c, &format!("sm3 {size} B"), size);
        let text = vec![0; size];
        group.bench_function("sm-accel", |b| {
            b.iter(|| sm_accel::sm3::hash(black_box(&text)))
        });
        group.bench_function("RustCrypto", |b| {
            b.iter(|| sm3::Sm3::digest(black_box(&text)))
        });
        let digest = openssl::hash::MessageDigest::sm3();
        group.bench_function("OpenSSL", |b| {
            b.iter(|| openssl::hash::hash(digest, black_box(&text)).unwrap())
        });
        group.bench_function("libsm", |b| {
            b.iter(|| libsm::sm3::hash::Sm3Hash::new(black_box(&text)).get_hash())
        });
        group.bench_function("aws-lc-rs SHA-256", |b| {
            b.iter(|| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, black_box(&text)))
        });
        group.finish();
    }
    for size in [32, 4096] {
        let mut group = group(c, &format!("sm3 {size} B x 256"), COLUMN * size);
        let texts = vec![vec![0_u8; size]; COLUMN];
        let messages: Vec<_> = texts.iter().map(Vec::as_slice).collect();
        group.bench_function("sm-accel", |b| {
            b.iter(|| sm_accel::sm3::hash_many(black_box(&messages)))
        });
        group.bench_function("RustCrypto", |b| {
            b.iter(|| -> Vec<[u8; 32]> {
                black_box(&messages)
                    .iter()
                    .map(|m| sm3::Sm3::digest(m).into())
                    .collect()
            })
        });
        group.finish();
    }
    let mut group = group(c, "hmac-sm3 64 B x 256", COLUMN * 64);
    let texts = vec![[0_u8; 64]; COLUMN];
    let parts: Vec<[&[u8]; 1]> = texts.iter().map(|text| [text.as_slice()]).collect();
    let ours = sm_accel::sm3::HmacKey::new(&KEY);
    let jobs: Vec<_> = parts
        .iter()
        .map(|parts| sm_accel::sm3::HmacJob { key: &ours, parts })
        .collect();
    group.bench_function("sm-accel", |b| {
        b.iter(|| sm_accel::sm3::hmac_many(black_box(&jobs)))
    });
    let theirs = Hmac::<sm3::Sm3>::new_from_slice(&KEY).unwrap();
    group.bench_function("RustCrypto", |b| {
        b.iter(|| -> Vec<[u8; 32]> {
            texts
                .iter()
                .map(|text| {
                    theirs
                        .clone()
                        .chain_update(text)
                        .finalize()
                        .into_bytes()
                        .into()
                })
                .collect()
        })
    });
    group.finish();
}

fn sm2(c: &mut Criterion<CpuTime>) {
    const MESSAGE: &[u8] = b"a message of thirty-two bytes ..";
    let ours = sm_accel::sm2::SigningKey::new(sm_accel::sm2::SecretKey::generate().unwrap());
    let secret = sm2::SecretKey::from_slice(&*ours.secret_key().to_bytes()).unwrap();
    let theirs = sm2::dsa::SigningKey::new("1234567812345678", &secret).unwrap();
    let signature = ours.sign(MESSAGE).unwrap();
    let their_signature = sm2::dsa::Signature::from_slice(signature.as_bytes()).unwrap();
    let batch: Vec<_> = (0..COLUMN)
        .map(|_| sm_accel::sm2::SignItem::new(&ours, MESSAGE))
        .collect();

    let libsm = libsm::sm2::signature::SigCtx::new();
    let (libsm_public, libsm_secret) = libsm.new_keypair().unwrap();
    let libsm_signature = libsm.sign(MESSAGE, &libsm_secret, &libsm_public).unwrap();
    let (gm_public, gm_secret) = gm_sm2::key::gen_keypair().unwrap();
    let gm_signature = gm_secret.sign(None, MESSAGE).unwrap();
    let openssl = openssl_sm2();
    let mut signer =
        openssl::sign::Signer::new(openssl::hash::MessageDigest::sm3(), &openssl).unwrap();
    let openssl_signature = signer.sign_oneshot_to_vec(MESSAGE).unwrap();
    let random = aws_lc_rs::rand::SystemRandom::new();
    let p256 = aws_lc_rs::signature::EcdsaKeyPair::generate(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
    )
    .unwrap();
    let p256_signature = p256.sign(&random, MESSAGE).unwrap();

    let mut sign = group(c, "sm2 sign", 0);
    sign.bench_function("sm-accel", |b| {
        b.iter(|| ours.sign(black_box(MESSAGE)).unwrap())
    });
    sign.bench_function("RustCrypto", |b| {
        b.iter(|| -> sm2::dsa::Signature {
            theirs.sign_with_rng(
                &mut getrandom::rand_core::UnwrapErr(getrandom::SysRng),
                black_box(MESSAGE),
            )
        })
    });
    sign.bench_function("OpenSSL", |b| {
        b.iter(|| {
            openssl::sign::Signer::new(openssl::hash::MessageDigest::sm3(), &openssl)
                .unwrap()
                .sign_oneshot_to_vec(black_box(MESSAGE))
                .unwrap()
        })
    });
    sign.bench_function("gm-sm2", |b| {
        b.iter(|| gm_secret.sign(None, black_box(MESSAGE)).unwrap())
    });
    sign.bench_function("libsm", |b| {
        b.iter(|| {
            libsm
                .sign(black_box(MESSAGE), &libsm_secret, &libsm_public)
                .unwrap()
        })
    });
    sign.bench_function("aws-lc-rs P-256", |b| {
        b.iter(|| p256.sign(&random, black_box(MESSAGE)).unwrap())
    });
    sign.finish();
    let mut sign = group(c, "sm2 sign x 256", 0);
    sign.throughput(Throughput::Elements(COLUMN as u64));
    sign.bench_function("sm-accel", |b| {
        b.iter(|| sm_accel::sm2::sign_many(black_box(&batch)))
    });
    sign.finish();

    let key = ours.verifying_key();
    let prepared = [TableSize::Small, TableSize::Medium, TableSize::Large]
        .map(|size| (size, key.prepare(size)));
    let mut verify = group(c, "sm2 verify", 0);
    verify.bench_function("sm-accel", |b| {
        b.iter(|| key.verify(black_box(MESSAGE), &signature).unwrap())
    });
    for (size, prepared) in &prepared {
        verify.bench_function(format!("sm-accel, {size:?} table"), |b| {
            b.iter(|| prepared.verify(black_box(MESSAGE), &signature).unwrap())
        });
    }
    let their_key = theirs.verifying_key();
    verify.bench_function("RustCrypto", |b| {
        b.iter(|| {
            their_key
                .verify(black_box(MESSAGE), &their_signature)
                .unwrap()
        })
    });
    verify.bench_function("OpenSSL", |b| {
        b.iter(|| {
            openssl::sign::Verifier::new(openssl::hash::MessageDigest::sm3(), &openssl)
                .unwrap()
                .verify_oneshot(&openssl_signature, black_box(MESSAGE))
                .unwrap()
        })
    });
    verify.bench_function("gm-sm2", |b| {
        b.iter(|| {
            gm_public
                .verify(None, black_box(MESSAGE), &gm_signature)
                .unwrap()
        })
    });
    verify.bench_function("libsm", |b| {
        b.iter(|| {
            libsm
                .verify(black_box(MESSAGE), &libsm_public, &libsm_signature)
                .unwrap()
        })
    });
    let p256_public = aws_lc_rs::signature::UnparsedPublicKey::new(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED,
        aws_lc_rs::signature::KeyPair::public_key(&p256)
            .as_ref()
            .to_vec(),
    );
    verify.bench_function("aws-lc-rs P-256", |b| {
        b.iter(|| {
            p256_public
                .verify(black_box(MESSAGE), p256_signature.as_ref())
                .unwrap()
        })
    });
    verify.finish();
    let mut verify = group(c, "sm2 verify x 256, Large table", 0);
    verify.throughput(Throughput::Elements(COLUMN as u64));
    let items: Vec<_> = (0..COLUMN)
        .map(|_| sm_accel::sm2::VerifyItem::new(&prepared[2].1, MESSAGE, &signature))
        .collect();
    verify.bench_function("sm-accel", |b| {
        b.iter(|| sm_accel::sm2::verify_many(black_box(&items)))
    });
    verify.finish();
}

/// A fresh SM2 key in OpenSSL.
fn openssl_sm2() -> openssl::pkey::PKey<openssl::pkey::Private> {
    let group = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::SM2).unwrap();
    let key = openssl::ec::EcKey::generate(&group).unwrap();
    let pem = openssl::pkey::PKey::from_ec_key(key)
        .unwrap()
        .private_key_to_pem_pkcs8()
        .unwrap();
    openssl::pkey::PKey::private_key_from_pem(&pem).unwrap()
}

use cbc::cipher::InnerIvInit;

criterion_group! {
    name = benches;
    config = computing();
    targets = ctr, cbc, gcm, columns, sm3, sm2
}
criterion_main!(benches);
