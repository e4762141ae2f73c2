//! Wycheproof's AEAD cases, and bytes to test with.

use std::path::PathBuf;

use serde_json::Value;

pub(crate) struct Case {
    pub(crate) id: u64,
    pub(crate) key: Vec<u8>,
    pub(crate) nonce: Vec<u8>,
    pub(crate) aad: Vec<u8>,
    pub(crate) text: Vec<u8>,
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) tag: Vec<u8>,
    pub(crate) valid: bool,
}

/// All cases of a file; `None`, with a printed word, where there are no vectors.
pub(crate) fn wycheproof(file: &str) -> Option<Vec<Case>> {
    let folder = std::env::var_os("VECTORS_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"),
        PathBuf::from,
    );
    let path = folder.join("wycheproof").join(file);
    let Ok(json) = std::fs::read_to_string(&path) else {
        assert!(
            std::env::var("REQUIRE_PEERS").as_deref() != Ok("1"),
            "no {file}"
        );
        println!("SKIPPED: no {file} in VECTORS_DIR");
        return None;
    };
    let json: Value = serde_json::from_str(&json).unwrap();
    let cases = json["testGroups"].as_array().unwrap().iter();
    let cases = cases.flat_map(|group| group["tests"].as_array().unwrap());
    Some(
        cases
            .map(|case| {
                let field = |name: &str| unhex(case[name].as_str().unwrap());
                Case {
                    id: case["tcId"].as_u64().unwrap(),
                    key: field("key"),
                    nonce: field("iv"),
                    aad: field("aad"),
                    text: field("msg"),
                    ciphertext: field("ct"),
                    tag: field("tag"),
                    valid: case["result"] == "valid",
                }
            })
            .collect(),
    )
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text
        .chars()
        .map(|c| c.to_digit(16).unwrap() as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// Random enough, the same in every run.
pub(crate) fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}
