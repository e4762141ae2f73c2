//! Interoperation with the OpenSSL command line: keys and signatures, both ways.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::*;
use sm_jwt::*;

/// A folder of its own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "sm-jwt-openssl-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::SeqCst)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, contents).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn openssl(args: &[&str], files: &[&Path]) -> Vec<u8> {
    // `{0}`, `{1}` … in an argument stand for the files.
    let args: Vec<String> = args
        .iter()
        .map(|arg| {
            files
                .iter()
                .enumerate()
                .fold((*arg).to_owned(), |arg, (index, file)| {
                    arg.replace(&format!("{{{index}}}"), file.to_str().unwrap())
                })
        })
        .collect();
    let output = Command::new("openssl").args(&args).output().unwrap();
    assert!(
        output.status.success(),
        "openssl {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

const ID: &str = "distid:1234567812345678";

fn der_profile() -> Profile {
    Profile::default().with_encoding(SignatureEncoding::Der)
}

fn verifier_for(key: VerifyingKey, profile: Profile) -> Verifier {
    Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
        .issuer(ISSUER, [(kid(KID), key, profile)])
        .audience(AUDIENCE)
        .clock(Arc::new(clock()))
        .build()
        .unwrap()
}

#[test]
fn openssl_signs_and_this_crate_verifies() {
    if !openssl_is_here() {
        return;
    }
    let scratch = Scratch::new();
    let key = scratch.file("key.pem", &openssl(&["genpkey", "-algorithm", "SM2"], &[]));
    let public = openssl(&["pkey", "-in", "{0}", "-pubout"], &[&key]);
    let public = VerifyingKey::from_spki_pem(std::str::from_utf8(&public).unwrap()).unwrap();
    for round in 0..5 {
        let payload = with(
            payload(),
            serde_json::json!({ "jti": format!("openssl-{round}") }),
        );
        let input = format!("{}.{}", b64(header().to_string()), b64(payload.to_string()));
        let message = scratch.file("message", input.as_bytes());
        let sign = |id: &str| {
            openssl(
                &[
                    "pkeyutl", "-sign", "-rawin", "-digest", "sm3", "-inkey", "{0}", "-in", "{1}",
                    "-pkeyopt", id,
                ],
                &[&key, &message],
            )
        };
        let der = sign(ID);
        let der_token = format!("{input}.{}", b64(&der));
        let raw_token = format!("{input}.{}", b64(to_raw(&der)));
        let der_verifier = verifier_for(public.clone(), der_profile());
        let raw_verifier = verifier_for(public.clone(), Profile::default());
        assert_eq!(outcome(&der_verifier, &der_token), "ok");
        assert_eq!(outcome(&raw_verifier, &raw_token), "ok");
        assert_eq!(outcome(&raw_verifier, &der_token), "bad_signature");
        // Another user id is another signature.
        let other = format!("{input}.{}", b64(sign("distid:someone")));
        assert_eq!(outcome(&der_verifier, &other), "bad_signature");
        let profile = der_profile().with_user_id("someone").unwrap();
        assert_eq!(
            outcome(&verifier_for(public.clone(), profile), &other),
            "ok"
        );
    }
}

/// Where it is told no user id, OpenSSL before 4.0 signs with an empty one.
#[test]
fn openssl_without_a_user_id() {
    if !openssl_is_here() {
        return;
    }
    let version = String::from_utf8(openssl(&["version"], &[])).unwrap();
    if !version.starts_with("OpenSSL 3.") {
        println!("not asked: {version} has another default");
        return;
    }
    let scratch = Scratch::new();
    let key = scratch.file("key.pem", &openssl(&["genpkey", "-algorithm", "SM2"], &[]));
    let public = openssl(&["pkey", "-in", "{0}", "-pubout"], &[&key]);
    let public = VerifyingKey::from_spki_pem(std::str::from_utf8(&public).unwrap()).unwrap();
    let input = format!(
        "{}.{}",
        b64(header().to_string()),
        b64(payload().to_string())
    );
    let message = scratch.file("message", input.as_bytes());
    let args = [
        "pkeyutl", "-sign", "-rawin", "-digest", "sm3", "-inkey", "{0}", "-in", "{1}",
    ];
    let token = format!("{input}.{}", b64(openssl(&args, &[&key, &message])));
    let nobody = der_profile().with_user_id("").unwrap();
    assert_eq!(outcome(&verifier_for(public.clone(), nobody), &token), "ok");
    assert_eq!(
        outcome(&verifier_for(public, der_profile()), &token),
        "bad_signature"
    );
}

#[test]
fn this_crate_signs_and_openssl_verifies() {
    if !openssl_is_here() {
        return;
    }
    let scratch = Scratch::new();
    let key = SigningKey::generate().unwrap();
    let public = scratch.file("public.pem", key.verifying_key().to_spki_pem().as_bytes());
    let signer = Signer::new(key, kid(KID), der_profile()).unwrap();
    for _ in 0..5 {
        let token = signer.sign(&claims(), TokenType::Access, &NoExtra).unwrap();
        let (input, signature) = token.rsplit_once('.').unwrap();
        let message = scratch.file("message", input.as_bytes());
        let signature = scratch.file("signature", &unb64(signature));
        let answer = openssl(
            &[
                "pkeyutl", "-verify", "-rawin", "-digest", "sm3", "-pubin", "-inkey", "{0}", "-in",
                "{1}", "-sigfile", "{2}", "-pkeyopt", ID,
            ],
            &[&public, &message, &signature],
        );
        assert!(String::from_utf8_lossy(&answer).contains("Verified Successfully"));
    }
}

#[test]
fn keys_of_openssl_are_read_in_every_form() {
    if !openssl_is_here() {
        return;
    }
    let scratch = Scratch::new();
    let pkcs8_pem = openssl(&["genpkey", "-algorithm", "SM2"], &[]);
    let key = scratch.file("key.pem", &pkcs8_pem);
    let read = |args: &[&str]| openssl(args, &[&key]);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();

    let reference = SigningKey::from_pkcs8_pem(&text(pkcs8_pem)).unwrap();
    let public = reference.verifying_key();
    let pkcs8 = read(&[
        "pkcs8", "-topk8", "-nocrypt", "-in", "{0}", "-outform", "DER",
    ]);
    assert_eq!(
        SigningKey::from_pkcs8_der(&pkcs8).unwrap().verifying_key(),
        public
    );
    assert_eq!(reference.to_pkcs8_der()[..], pkcs8[..]);
    let sec1_pem = text(read(&["ec", "-in", "{0}"]));
    assert_eq!(
        SigningKey::from_sec1_pem(&sec1_pem)
            .unwrap()
            .verifying_key(),
        public
    );
    let sec1 = read(&["ec", "-in", "{0}", "-outform", "DER"]);
    assert_eq!(
        SigningKey::from_sec1_der(&sec1).unwrap().verifying_key(),
        public
    );
    let spki = read(&["pkey", "-in", "{0}", "-pubout", "-outform", "DER"]);
    assert_eq!(VerifyingKey::from_spki_der(&spki).unwrap(), *public);
    assert_eq!(public.to_spki_der(), spki);
    assert_eq!(
        public.to_spki_pem(),
        text(read(&["pkey", "-in", "{0}", "-pubout"]))
    );
    let compressed = read(&[
        "ec",
        "-in",
        "{0}",
        "-pubout",
        "-conv_form",
        "compressed",
        "-outform",
        "DER",
    ]);
    assert_eq!(VerifyingKey::from_spki_der(&compressed).unwrap(), *public);

    // `ecparam -genkey` puts a block of parameters in front.
    let with_parameters = text(openssl(&["ecparam", "-name", "SM2", "-genkey"], &[]));
    assert!(with_parameters.contains("PARAMETERS"));
    assert!(
        SigningKey::from_pkcs8_pem(&with_parameters).is_ok()
            || SigningKey::from_sec1_pem(&with_parameters).is_ok()
    );
    // An encrypted key and an explicit curve are refused by name.
    let encrypted = text(read(&[
        "pkcs8", "-topk8", "-in", "{0}", "-passout", "pass:x",
    ]));
    let error = SigningKey::from_pkcs8_pem(&encrypted)
        .unwrap_err()
        .to_string();
    assert!(error.contains("encrypted"), "{error}");
    let explicit = read(&[
        "ec",
        "-in",
        "{0}",
        "-param_enc",
        "explicit",
        "-outform",
        "DER",
    ]);
    assert_eq!(
        SigningKey::from_sec1_der(&explicit).unwrap_err().code(),
        "bad_key"
    );
}

#[test]
fn openssl_reads_the_keys_of_this_crate() {
    if !openssl_is_here() {
        return;
    }
    let scratch = Scratch::new();
    let key = SigningKey::generate().unwrap();
    let pem = scratch.file("key.pem", key.to_pkcs8_pem().as_bytes());
    let public = openssl(
        &["pkey", "-in", "{0}", "-pubout", "-outform", "DER"],
        &[&pem],
    );
    assert_eq!(key.verifying_key().to_spki_der(), public);
    let checked = openssl(&["pkey", "-in", "{0}", "-check", "-noout"], &[&pem]);
    assert!(String::from_utf8_lossy(&checked).contains("valid"));
}
