//! Wycheproof's cases of SM4-GCM and SM4-CCM, with 12-byte nonces and 16-byte tags: the others cannot be said here.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)] // helpers of tests

use std::path::PathBuf;

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).unwrap() as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

struct Case {
    id: u64,
    key: [u8; 16],
    nonce: [u8; 12],
    aad: Vec<u8>,
    text: Vec<u8>,
    ciphertext: Vec<u8>,
    tag: [u8; 16],
    valid: bool,
}

fn cases(file: &str) -> Vec<Case> {
    let dir = std::env::var_os("VECTORS_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors")),
        PathBuf::from,
    );
    let path = dir.join("wycheproof").join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        let required = std::env::var_os("REQUIRE_PEERS").is_some_and(|v| v == "1");
        assert!(
            !required,
            "{} is missing and REQUIRE_PEERS=1",
            path.display()
        );
        println!("SKIPPED: {} is not there", path.display());
        return Vec::new();
    };
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let groups = file["testGroups"].as_array().unwrap().iter();
    let tests = groups.flat_map(|group| group["tests"].as_array().unwrap());
    let cases: Vec<Case> = tests
        .filter_map(|test| {
            let hex = |name: &str| unhex(test[name].as_str().unwrap());
            Some(Case {
                id: test["tcId"].as_u64().unwrap(),
                key: hex("key").try_into().ok()?,
                nonce: hex("iv").try_into().ok()?,
                aad: hex("aad"),
                text: hex("msg"),
                ciphertext: hex("ct"),
                tag: hex("tag").try_into().ok()?,
                valid: test["result"] == "valid",
            })
        })
        .collect();
    assert!(cases.len() > 30, "{}", cases.len());
    assert!(cases.iter().any(|case| case.valid) && cases.iter().any(|case| !case.valid));
    cases
}

macro_rules! check {
    ($backend:path, $key:ident, $seal:ident, $open:ident, $file:literal) => {{
        use $backend as backend;
        for case in cases($file) {
            let key = backend::$key::new(&case.key);
            let mut text = case.ciphertext.clone();
            let opened = backend::$open(&mut [backend::OpenJob {
                key: &key,
                nonce: &case.nonce,
                aad: &case.aad,
                text: &mut text,
                tag: &case.tag,
            }]);
            assert_eq!(opened, [case.valid], "{}", case.id);
            if case.valid {
                assert_eq!(text, case.text, "{}", case.id);
            }
            let mut text = case.text.clone();
            let sealed = backend::$seal(&mut [backend::SealJob {
                key: &key,
                nonce: &case.nonce,
                aad: &case.aad,
                text: &mut text,
            }]);
            let equal = text == case.ciphertext && sealed == [Some(case.tag)];
            assert_eq!(equal, case.valid, "{}", case.id);
        }
    }};
}

#[test]
fn wycheproof_sm4_gcm() {
    check!(
        super::backend,
        GcmKey,
        gcm_seal_many,
        gcm_open_many,
        "sm4_gcm_test.json"
    );
    check!(
        super::rustcrypto,
        GcmKey,
        gcm_seal_many,
        gcm_open_many,
        "sm4_gcm_test.json"
    );
}

#[test]
fn wycheproof_sm4_ccm() {
    check!(
        super::backend,
        CcmKey,
        ccm_seal_many,
        ccm_open_many,
        "sm4_ccm_test.json"
    );
    check!(
        super::rustcrypto,
        CcmKey,
        ccm_seal_many,
        ccm_open_many,
        "sm4_ccm_test.json"
    );
}
