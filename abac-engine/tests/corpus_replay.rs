//! Replays every fuzz corpus on stable Rust.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    missing_docs
)]

mod fuzz_bodies;

use std::path::Path;

fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
    {
        body(&std::fs::read(entry.unwrap().path()).unwrap());
        seen += 1;
    }
    assert!(seen > 0, "{} is empty", folder.display());
}

#[test]
fn cel() {
    replay("abac_engine_cel", fuzz_bodies::cel);
}

#[test]
fn policy_yaml() {
    replay("abac_engine_policy_yaml", fuzz_bodies::policy_yaml);
}

#[test]
fn policy_json() {
    replay("abac_engine_policy_json", fuzz_bodies::policy_json);
}

#[test]
fn resource() {
    replay("abac_engine_resource", fuzz_bodies::resource);
}
