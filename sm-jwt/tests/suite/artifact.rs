//! Signed files.

use std::io::{self, Read};
use std::sync::Arc;

use crate::support::*;
use serde_json::{Value, json};
use sm_jwt::*;

const FILE: &[u8] = b"the file's content";

fn artifact_signer() -> ArtifactSigner {
    let signer = JwsSigner::new(signing_key(), kid(KID), Profile::default()).unwrap();
    ArtifactSigner::new(signer).with_clock(Arc::new(clock()))
}

fn verifier_from(minimum: &str) -> ArtifactVerifier {
    let key = (kid(KID), verifying_key(), Profile::default());
    let keys = SharedKeySet::new(KeySet::new([key]).unwrap());
    ArtifactVerifier::new(Arc::new(keys), "gateway", minimum).unwrap()
}

fn outcome_of(result: Result<Manifest, Error>) -> String {
    match result {
        Ok(manifest) => format!("ok {}", manifest.version()),
        Err(Error::Artifact { rule }) => rule.to_owned(),
        Err(error) => error.code().to_owned(),
    }
}

fn sm3_of(content: &[u8]) -> String {
    use sm3::{Digest as _, Sm3};
    b64(Sm3::digest(content))
}

#[test]
fn a_file_is_what_its_manifest_says() {
    let signed = artifact_signer().sign("gateway", "1.4.0", FILE).unwrap();
    let manifest = verifier_from("1.4.0").verify(&signed, FILE).unwrap();
    assert_eq!(manifest.name(), "gateway");
    assert_eq!(manifest.version(), "1.4.0");
    assert_eq!(manifest.size(), FILE.len() as u64);
    assert_eq!(manifest.built(), NOW);
    // As a file has it: with a line's end.
    assert!(
        verifier_from("1.4.0")
            .verify(&format!("{signed}\n"), FILE)
            .is_ok()
    );
    // The form that is promised.
    let parts: Vec<&str> = signed.split('.').collect();
    let header: Value = serde_json::from_slice(&unb64(parts[0])).unwrap();
    assert_eq!(header["typ"], "smartifact+jws");
    let payload: Value = serde_json::from_slice(&unb64(parts[1])).unwrap();
    let expected = json!({
        "name": "gateway", "version": "1.4.0", "size": FILE.len(), "sm3": sm3_of(FILE), "built": NOW,
    });
    assert_eq!(payload, expected);
}

#[test]
fn every_changed_byte_is_found_at_every_length_around_a_piece() {
    for len in [0_usize, 1, 65_535, 65_536, 65_537, 200_000] {
        let content: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let signed = artifact_signer()
            .sign("gateway", "1.0.0", &content[..])
            .unwrap();
        let verify = |content: &[u8]| outcome_of(verifier_from("1.0.0").verify(&signed, content));
        assert_eq!(verify(&content), "ok 1.0.0");
        for at in [0, len / 2, len.saturating_sub(1)] {
            let mut other = content.clone();
            if let Some(byte) = other.get_mut(at) {
                *byte ^= 1;
                assert_eq!(verify(&other), "the file's content is another one");
            }
        }
        let longer = [&content[..], &[0]].concat();
        assert_eq!(verify(&longer), "the file is longer than its manifest says");
        if len > 0 {
            let shorter = &content[..len - 1];
            assert_eq!(
                verify(shorter),
                "the file is shorter than its manifest says"
            );
        }
    }
}

#[test]
fn names_and_versions_are_asked_for() {
    let sign = |version| artifact_signer().sign("gateway", version, FILE);
    let verify =
        |version, minimum| outcome_of(verifier_from(minimum).verify(&sign(version).unwrap(), FILE));
    const OLD: &str = "it is for a version that is too old";
    for (version, minimum, expected) in [
        ("1.4.0", "1.4.0", "ok 1.4.0"),
        ("1.10.0", "1.9.9", "ok 1.10.0"),
        ("2.0.0", "1.9.9", "ok 2.0.0"),
        ("1.4.0", "1.4.1", OLD),
        ("1.4.0-rc.1", "1.4.0", OLD),
        ("1.4.0", "1.4.0-rc.1", "ok 1.4.0"),
        ("1.4.0-rc.10", "1.4.0-rc.9", "ok 1.4.0-rc.10"),
        // What is behind `+` does not count.
        ("1.4.0+a", "1.4.0+b", "ok 1.4.0+a"),
        ("1.4.0+b", "1.4.0+a", "ok 1.4.0+b"),
    ] {
        assert_eq!(verify(version, minimum), expected, "{version} {minimum}");
    }
    for version in ["", "1", "1.4", "v1.4.0", "1.4.0.1", "01.4.0", "latest"] {
        assert_eq!(
            sign(version).unwrap_err().code(),
            "bad_configuration",
            "{version}"
        );
    }
    let other = artifact_signer()
        .sign("core-banking", "1.4.0", FILE)
        .unwrap();
    assert_eq!(
        outcome_of(verifier_from("1.0.0").verify(&other, FILE)),
        "it is for a file of another name"
    );
    assert_eq!(
        artifact_signer()
            .sign("", "1.0.0", FILE)
            .unwrap_err()
            .code(),
        "bad_configuration"
    );
}

/// Well signed, but not by this crate.
#[test]
fn manifests_are_read_strictly() {
    let good = json!({
        "name": "gateway", "version": "1.4.0", "size": FILE.len(), "sm3": sm3_of(FILE), "built": NOW,
    });
    let header =
        json!({ "alg": "SGD_SM3_SM2", "typ": "smartifact+jws", "kid": KID, "crv": "sm2p256v1" });
    let verify = |header: &Value, payload: &str| {
        let signed = forge_text(&header.to_string(), payload);
        outcome_of(verifier_from("1.0.0").verify(&signed, FILE))
    };
    let of = |changes: Value| verify(&header, &with(good.clone(), changes).to_string());
    assert_eq!(of(json!({})), "ok 1.4.0");
    assert_eq!(of(json!({ "more": 1 })), "bad_json");
    for name in ["name", "version", "size", "sm3", "built"] {
        assert_eq!(of(json!({ name: null })), "bad_json", "{name}");
        assert_eq!(of(json!({ name: [] })), "bad_json", "{name}");
    }
    assert_eq!(of(json!({ "size": -1 })), "bad_json");
    assert_eq!(of(json!({ "size": 18.0 })), "bad_json");
    assert_eq!(of(json!({ "version": "1.4" })), "bad_json");
    assert_eq!(of(json!({ "sm3": "AAAA" })), "its `sm3` is not 32 bytes");
    assert_eq!(
        of(json!({ "sm3": b64([0u8; 32]) })),
        "the file's content is another one"
    );
    let twice = good.to_string().replacen('{', "{\"size\":1,", 1);
    assert_eq!(verify(&header, &twice), "duplicate_member");
    for typ in ["at+jwt", "statement+jws"] {
        let header = with(header.clone(), json!({ "typ": typ }));
        assert_eq!(verify(&header, &good.to_string()), "payload_type_mismatch");
    }
    let signed = artifact_signer().sign("gateway", "1.4.0", FILE).unwrap();
    for cut in [0, 10, signed.len() - 1] {
        assert!(verifier_from("1.0.0").verify(&signed[..cut], FILE).is_err());
    }
}

#[test]
fn a_content_that_cannot_be_read_is_an_error() {
    struct Broken(usize);
    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            match self.0 {
                1 => Err(io::ErrorKind::Interrupted.into()),
                2 => {
                    buffer[0] = b'x';
                    Ok(1)
                }
                _ => Err(io::ErrorKind::ConnectionReset.into()),
            }
        }
    }
    assert_eq!(
        artifact_signer()
            .sign("gateway", "1.0.0", Broken(0))
            .unwrap_err()
            .code(),
        "io_failed"
    );
    let signed = artifact_signer()
        .sign("gateway", "1.0.0", &b"xyz"[..])
        .unwrap();
    assert_eq!(
        outcome_of(verifier_from("1.0.0").verify(&signed, Broken(0))),
        "io_failed"
    );
    let missing = std::path::Path::new("/no/such/file");
    assert_eq!(
        outcome_of(verifier_from("1.0.0").verify_file(&signed, missing)),
        "io_failed"
    );
}

/// The right values in the right order are no manifest: it has names.
#[test]
fn a_manifest_is_an_object() {
    let signer = JwsSigner::new(signing_key(), kid(KID), Profile::default())
        .unwrap()
        .with_type("smartifact+jws")
        .unwrap();
    let verify = |manifest: Value| {
        let signed = signer
            .sign(manifest.to_string().as_bytes(), JwsForm::Compact)
            .unwrap();
        outcome_of(verifier_from("1.0.0").verify(&signed, FILE))
    };
    let values = json!(["gateway", "1.4.0", FILE.len(), sm3_of(FILE), NOW]);
    assert_eq!(verify(values), "its manifest is no JSON object");
    let named = json!({
        "name": "gateway", "version": "1.4.0", "size": FILE.len(), "sm3": sm3_of(FILE), "built": NOW,
    });
    assert_eq!(verify(named), "ok 1.4.0");
}

#[test]
fn this_very_program_is_checked() {
    let program = std::env::current_exe().unwrap();
    let signed = artifact_signer()
        .sign("gateway", "1.0.0", std::fs::File::open(&program).unwrap())
        .unwrap();
    let verifier = verifier_from("1.0.0");
    assert_eq!(outcome_of(verifier.verify_executable(&signed)), "ok 1.0.0");
    assert_eq!(
        outcome_of(verifier.verify_file(&signed, &program)),
        "ok 1.0.0"
    );
    let other = artifact_signer().sign("gateway", "1.0.0", FILE).unwrap();
    assert_eq!(
        outcome_of(verifier.verify_executable(&other)),
        "the file is longer than its manifest says"
    );
}
