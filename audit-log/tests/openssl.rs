//! A head signed here is good for OpenSSL, and the other way round.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    missing_docs
)]

mod common;

use audit_log::{
    CheckpointSigner as _, CheckpointVerifyingKey, SignedCheckpoint, Sm2CheckpointSigner,
};
use common::{MemStorage, append, config, open, signer};
use std::path::Path;
use std::process::{Command, Output};

fn openssl(folder: &Path, arguments: &[&str]) -> Option<Output> {
    Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output()
        .ok()
}

/// Whether there is an OpenSSL with SM2; says so, or insists on it.
fn available() -> bool {
    let list = openssl(Path::new("."), &["list", "-public-key-algorithms"]);
    let found = list.is_some_and(|out| String::from_utf8_lossy(&out.stdout).contains("SM2"));
    if !found {
        let required = std::env::var_os("REQUIRE_PEERS").is_some_and(|value| value == "1");
        assert!(!required, "openssl with SM2 is required");
        println!("SKIPPED: no openssl with SM2");
    }
    found
}

const SM2: [&str; 4] = ["-rawin", "-digest", "sm3", "-pkeyopt"];
const ID: &str = "distid:1234567812345678";

/// DER of a positive integer given in 32 bytes.
fn der_integer(bytes: &[u8]) -> Vec<u8> {
    let mut trimmed: Vec<u8> = bytes.iter().copied().skip_while(|b| *b == 0).collect();
    if trimmed[0] >= 0x80 {
        trimmed.insert(0, 0);
    }
    [&[0x02, trimmed.len() as u8], trimmed.as_slice()].concat()
}

fn to_der(signature: &[u8; 64]) -> Vec<u8> {
    let body = [der_integer(&signature[..32]), der_integer(&signature[32..])].concat();
    [&[0x30, body.len() as u8], body.as_slice()].concat()
}

fn from_der(der: &[u8]) -> [u8; 64] {
    let mut out = [0; 64];
    let mut at = 2;
    for half in 0..2 {
        let length = der[at + 1] as usize;
        let number: Vec<u8> = der[at + 2..at + 2 + length]
            .iter()
            .copied()
            .skip_while(|b| *b == 0)
            .collect();
        out[32 * half + 32 - number.len()..32 * half + 32].copy_from_slice(&number);
        at += 2 + length;
    }
    out
}

#[test]
fn openssl_verifies_our_head() {
    if !available() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let log = open(config(), MemStorage::default()).unwrap();
    append(&log, 0..3);
    let head = log.close().unwrap().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write(
        "key.pem",
        signer()
            .verifying_key()
            .unwrap()
            .to_spki_pem()
            .unwrap()
            .as_bytes(),
    );
    write("head", &head.checkpoint().to_bytes().unwrap());
    write("good", &to_der(head.signature()));
    let mut wrong = *head.signature();
    wrong[40] ^= 1;
    write("bad", &to_der(&wrong));
    for (signature, good) in [("good", true), ("bad", false)] {
        let mut arguments = vec!["pkeyutl", "-verify", "-pubin", "-inkey", "key.pem"];
        arguments.extend(["-in", "head", "-sigfile", signature]);
        arguments.extend(SM2);
        arguments.push(ID);
        let out = openssl(folder.path(), &arguments).unwrap();
        assert_eq!(out.status.success(), good, "{out:?}");
    }
}

#[test]
fn we_take_openssls_keys_and_signatures() {
    if !available() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let out = openssl(folder.path(), arguments).unwrap();
        assert!(out.status.success(), "{out:?}");
    };
    run(&["genpkey", "-algorithm", "SM2", "-out", "private.pem"]);
    run(&[
        "pkey",
        "-in",
        "private.pem",
        "-pubout",
        "-out",
        "public.pem",
    ]);
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let ours = Sm2CheckpointSigner::from_pkcs8_pem("theirs", &read("private.pem")).unwrap();
    let key = CheckpointVerifyingKey::from_spki_pem("theirs", &read("public.pem")).unwrap();
    assert_eq!(
        ours.verifying_key().unwrap().to_spki_pem().unwrap(),
        key.to_spki_pem().unwrap()
    );
    // Our export of their key is one OpenSSL reads.
    let pem = ours.to_pkcs8_pem().unwrap();
    std::fs::write(folder.path().join("again.pem"), pem.as_bytes()).unwrap();
    run(&[
        "pkey",
        "-in",
        "again.pem",
        "-pubout",
        "-out",
        "again-public.pem",
    ]);
    assert_eq!(read("again-public.pem"), read("public.pem"));

    let log = open(config(), MemStorage::default()).unwrap();
    let mut head = log.close().unwrap().unwrap().checkpoint().clone();
    head.key_id = "theirs".into();
    std::fs::write(folder.path().join("head"), head.to_bytes().unwrap()).unwrap();
    let mut arguments = vec!["pkeyutl", "-sign", "-inkey", "private.pem", "-in", "head"];
    arguments.extend(["-out", "signature"]);
    arguments.extend(SM2);
    arguments.push(ID);
    run(&arguments);
    let der = std::fs::read(folder.path().join("signature")).unwrap();
    let signed = SignedCheckpoint::new(head.clone(), from_der(&der));
    signed.verify(std::slice::from_ref(&key)).unwrap();
    let ours = SignedCheckpoint::new(head.clone(), ours.sign(&head.to_bytes().unwrap()).unwrap());
    ours.verify(&[key]).unwrap();
}
