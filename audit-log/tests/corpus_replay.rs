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

use std::path::Path;

/// Each seed as it is, and in `MUTANTS` changed forms: what a fuzzer would try first, the same each run.
const MUTANTS: u64 = 60;

fn mutant(seed: &[u8], number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed.len() as u64;
    let mut next = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below.max(1)
    };
    let mut out = seed.to_vec();
    for _ in 0..=next(3) {
        if out.is_empty() {
            out.push(0);
        }
        let at = next(out.len());
        match next(6) {
            0 => out[at] ^= 1 << next(8),
            1 => out.truncate(at),
            2 => out[at] = [0, 0xff, 0x7f, b'"'][next(4)],
            3 => {
                let end = (at + next(700)).min(out.len());
                out[at..end].fill(0);
            }
            4 => {
                let end = (at + next(300)).min(out.len());
                let piece = out[at..end].to_vec();
                let to = next(out.len());
                out.splice(to..to, piece);
            }
            _ => {
                let end = (at + next(300)).min(out.len());
                out.drain(at..end);
            }
        }
    }
    out
}

fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let seed = std::fs::read(path).unwrap();
        body(&seed);
        (0..MUTANTS).for_each(|number| body(&mutant(&seed, number)));
        files += 1;
    }
    assert!(files > 0, "{} is empty", folder.display());
}

#[test]
fn canonical() {
    replay("audit_log_canonical", fuzz_bodies::canonical);
}

#[test]
fn checkpoint() {
    replay("audit_log_checkpoint", fuzz_bodies::checkpoint);
}

#[test]
fn verify() {
    replay("audit_log_verify", fuzz_bodies::verify);
}

#[test]
fn recover() {
    replay("audit_log_recover", fuzz_bodies::recover);
}

/// The seeds are worth something: some of them are accepted.
#[test]
fn seeds_reach_the_end() {
    let seed = |path: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
        std::fs::read(folder.join(path)).unwrap()
    };
    assert!(audit_log::canonical::check(&seed("audit_log_canonical/record")).is_ok());
    assert!(audit_log::SignedCheckpoint::parse(&seed("audit_log_checkpoint/signed")).is_ok());
    let segment = seed("audit_log_recover/whole");
    let pem = include_str!("fixtures/v1/public-key.pem");
    let key = audit_log::CheckpointVerifyingKey::from_spki_pem("test-key-1", pem).unwrap();
    let report = audit_log::Verifier::new([key])
        .verify_segments(&[("segment-0000000000.smal", &segment)])
        .unwrap();
    assert!(report.is_intact() && report.records() > 0);
}
