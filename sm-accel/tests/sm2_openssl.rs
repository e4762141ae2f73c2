//! Interoperation with the OpenSSL command line: signatures and ciphertexts, both ways.
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

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use sm_accel::Backend;
use sm_accel::sm2::*;
use sm2::pkcs8::{DecodePrivateKey as _, EncodePublicKey as _, LineEnding};

const ID: &str = "distid:1234567812345678";

/// A folder of its own with an OpenSSL key in it, removed at the end.
struct Peer {
    folder: PathBuf,
    secret: SecretKey,
}

impl Peer {
    /// `None` without OpenSSL and SM2: the test is skipped then, unless peers are required.
    fn new(backend: Backend) -> Option<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let made = Command::new("openssl")
            .args(["genpkey", "-algorithm", "SM2"])
            .output();
        let Some(pem) = made.ok().filter(|made| made.status.success()) else {
            let required = std::env::var("REQUIRE_PEERS").is_ok_and(|value| value == "1");
            assert!(!required, "no openssl command with SM2");
            println!("SKIPPED: no openssl command with SM2");
            return None;
        };
        let folder = std::env::temp_dir().join(format!(
            "sm-accel-openssl-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::SeqCst)
        ));
        fs::create_dir_all(&folder).unwrap();
        let pem = String::from_utf8(pem.stdout).unwrap();
        let key = sm2::SecretKey::from_pkcs8_pem(&pem).unwrap();
        let public = key.public_key().to_public_key_pem(LineEnding::LF).unwrap();
        fs::write(folder.join("key"), pem).unwrap();
        fs::write(folder.join("public"), public).unwrap();
        let secret = SecretKey::from_bytes_with_backend(backend, &key.to_bytes().into()).unwrap();
        Some(Self { folder, secret })
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.folder.join(name), bytes).unwrap();
    }

    /// Output of `openssl pkeyutl`, if it says yes.
    fn pkeyutl(&self, args: &[&str]) -> Option<Vec<u8>> {
        let output = Command::new("openssl")
            .current_dir(&self.folder)
            .arg("pkeyutl")
            .args(args)
            .output()
            .unwrap();
        output.status.success().then_some(output.stdout)
    }

    fn sign(&self) -> Option<Vec<u8>> {
        self.pkeyutl(&[
            "-sign", "-rawin", "-digest", "sm3", "-inkey", "key", "-in", "message", "-pkeyopt", ID,
        ])
    }

    fn verify(&self) -> bool {
        self.pkeyutl(&[
            "-verify",
            "-rawin",
            "-digest",
            "sm3",
            "-pubin",
            "-inkey",
            "public",
            "-in",
            "message",
            "-sigfile",
            "signature",
            "-pkeyopt",
            ID,
        ])
        .is_some()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// `count` signatures each way under one key, with a wrong one now and then.
fn cross_check(backend: Backend, count: usize, progress: bool) {
    let Some(peer) = Peer::new(backend) else {
        return;
    };
    let secret = SecretKey::from_bytes_with_backend(backend, &peer.secret.to_bytes()).unwrap();
    let key = SigningKey::new(secret);
    let prepared = key.verifying_key().prepare(TableSize::Medium);
    for round in 0..count {
        let message = format!("message {round} {}", "x".repeat(round % 100));
        peer.write("message", message.as_bytes());
        let signature = key.sign(message.as_bytes()).unwrap();
        peer.write("signature", signature.to_der().as_bytes());
        assert!(peer.verify(), "OpenSSL refuses round {round}");
        let theirs = Signature::from_der(&peer.sign().expect("OpenSSL signs")).unwrap();
        key.verifying_key()
            .verify(message.as_bytes(), &theirs)
            .unwrap();
        prepared.verify(message.as_bytes(), &theirs).unwrap();
        if round % 16 == 0 {
            peer.write("message", b"another message");
            assert!(!peer.verify());
            assert!(prepared.verify(b"another message", &theirs).is_err());
        }
        if progress && round % 500 == 499 {
            eprintln!("{backend}: {} of {count} signatures each way", round + 1);
        }
    }
}

#[test]
fn signatures_cross_verify() {
    for backend in Backend::available() {
        println!("backend: {backend}");
        cross_check(backend, 4, false);
    }
}

/// `SM2_OPENSSL_COUNT=5000 cargo test --release -p sm-accel --test sm2_openssl -- --ignored --nocapture`: 5,000 each
/// way, ten thousand signatures, also without the variable.
#[test]
#[ignore = "minutes long: see the command above"]
fn ten_thousand_signatures_cross_verify() {
    let count = std::env::var("SM2_OPENSSL_COUNT").map_or(5_000, |count| {
        count.parse().expect("SM2_OPENSSL_COUNT is a number")
    });
    cross_check(Backend::active(), count, true);
}

#[test]
fn ciphertexts_open_both_ways() {
    for backend in Backend::available() {
        println!("backend: {backend}");
        let Some(peer) = Peer::new(backend) else {
            return;
        };
        for len in [1, 16, 31, 32, 33, 100, 1000] {
            let text: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            peer.write("text", &text);
            peer.write(
                "ciphertext",
                &peer.secret.public_key().encrypt_der(&text).unwrap(),
            );
            let opened = peer.pkeyutl(&["-decrypt", "-inkey", "key", "-in", "ciphertext"]);
            assert_eq!(opened.as_deref(), Some(&text[..]));
            let theirs = peer
                .pkeyutl(&["-encrypt", "-pubin", "-inkey", "public", "-in", "text"])
                .expect("OpenSSL encrypts");
            assert_eq!(**peer.secret.decrypt_der(&theirs).unwrap(), text);
        }
    }
}
