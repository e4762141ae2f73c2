//! Constant-time SM2 (GB/T 32918), SM3 (GB/T 32905) and SM4 (GB/T 32907), with SIMD kernels chosen at run time.
//!
//! The primitives under a family of crates for bank services, usable alone: behind RustCrypto's traits (`cipher`,
//! `digest`, `signature`), and with batch calls that fill SIMD lanes with many messages, keys or chains at once. Nothing
//! is indexed by a secret and nothing branches on one, in no backend, the portable one included.
//!
//! It is not a protocol library: key files (PKCS#8, SPKI) are read by RustCrypto's `sm2`, tokens, fields, audit records
//! and TLS are the business of the crates above. It is not a certified cryptographic module.
//!
//! ```text
//!                    Backend::active()  <- Backend::force, SM_ACCEL_BACKEND, CPUID
//!                            |
//!    call  -->  sm2 | sm3 | sm4 (keys, modes, batches)  --proof token-->  kernel
//!                                                                          portable
//!                                                                          avx2-aesni, avx2-vaes
//!                                                                          avx2-gfni, avx512-gfni
//! ```
//!
//! ```
//! use sm_accel::sm2::{SecretKey, SigningKey};
//! use sm_accel::sm4::Sm4Gcm;
//!
//! let key = SigningKey::new(SecretKey::generate()?);
//! let signature = key.sign(b"message")?;
//! key.verifying_key().verify(b"message", &signature)?;
//!
//! // A nonce is used once under one key.
//! let cipher = Sm4Gcm::new(&[7; 16]);
//! let mut text = *b"a field";
//! let tag = cipher.seal_in_place(&[1; 12], b"row 17", &mut text)?;
//! cipher.open_in_place(&[1; 12], b"row 17", &mut text, &tag)?;
//! assert_eq!(&text, b"a field");
//!
//! println!("{}", sm_accel::report()); // which kernels were used
//! # Ok::<(), sm_accel::Error>(())
//! ```
//!
//! | feature | adds |
//! |---|---|
//! | `aead` | RustCrypto's `aead` traits for GCM and CCM |
//! | `rustcrypto` | conversions from and to the key types of RustCrypto's `sm2` |
//!
//! How constant time and memory safety were checked, and what is not protected, stands in `SECURITY.md`.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod barrier;
mod cpu;
mod error;
mod report;
pub mod sm2;
pub mod sm3;
pub mod sm4;
mod taint;
#[cfg(sm_accel_taint)]
mod valgrind;

pub use cpu::{BACKEND_VARIABLE, Backend};
pub use error::Error;
pub use report::{Report, report};

/// The example of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
