//! Every file of the committed fuzz corpora, through the same bodies as the fuzzer, on stable Rust.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]

mod fuzz_bodies;

use std::fs;
use std::path::Path;

fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut files = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        body(&fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files > 0, "{} is empty", folder.display());
}

#[test]
fn sm2_signature() {
    replay("sm_accel_sm2_signature", fuzz_bodies::sm2_signature);
}

#[test]
fn sm2_ciphertext() {
    replay("sm_accel_sm2_ciphertext", fuzz_bodies::sm2_ciphertext);
}

#[test]
fn sm2_public_key() {
    replay("sm_accel_sm2_public_key", fuzz_bodies::sm2_public_key);
}

#[test]
fn sm3_differential() {
    replay("sm_accel_sm3", fuzz_bodies::sm3_differential);
}

#[test]
fn sm3_lanes() {
    replay("sm_accel_sm3_lanes", fuzz_bodies::sm3_lanes);
}

#[test]
fn sm4_modes() {
    replay("sm_accel_sm4_modes", fuzz_bodies::sm4_modes);
}

#[test]
fn sm4_aead() {
    replay("sm_accel_sm4_aead", fuzz_bodies::sm4_aead);
}

/// The seeds are worth something: some of them are accepted.
#[test]
fn seeds_reach_the_end() {
    use sm_accel::sm2::{Ciphertext, PublicKey, Signature};
    let seed = |path: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
        fs::read(folder.join(path)).unwrap()
    };
    assert!(Signature::from_der(&seed("sm_accel_sm2_signature/annex_a_der")).is_ok());
    assert!(Ciphertext::from_raw(&seed("sm_accel_sm2_ciphertext/annex_c_raw")).is_ok());
    assert!(Ciphertext::from_der(&seed("sm_accel_sm2_ciphertext/annex_c_der")).is_ok());
    assert!(PublicKey::from_sec1(&seed("sm_accel_sm2_public_key/compressed")).is_ok());
    let (gcm, ccm) = (
        seed("sm_accel_sm4_aead/rfc_8998_gcm"),
        seed("sm_accel_sm4_aead/rfc_8998_ccm"),
    );
    let key = gcm.first_chunk().unwrap();
    let opened = sm_accel::sm4::Sm4Gcm::<16>::new(key).open(&gcm[16..28], &gcm[29..49], &gcm[49..]);
    assert!(opened.is_ok());
    let opened = sm_accel::sm4::Sm4Ccm::<16>::new(key).open(&ccm[16..28], &ccm[29..49], &ccm[49..]);
    assert!(opened.is_ok());
}
