//! The demo as a test: every step over real sockets, all as expected.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use serde_json::Value;

#[test]
fn every_step_is_as_expected() {
    let output = Command::new(env!("CARGO_BIN_EXE_demo"))
        .arg("--json")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_str(&text).unwrap();
    let steps = report["steps"].as_array().unwrap();
    assert!(steps.len() >= 20, "{} steps", steps.len());
    assert!(steps.iter().all(|s| s["ok"] == true), "{text}");
}

#[test]
fn any_file_of_the_shape_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("few.csv");
    let bankctl = Command::new(env!("CARGO_BIN_EXE_bankctl"))
        .args(["customers", "generate", "--rows", "24", "--seed", "5"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(bankctl.status.success());
    // One bank alone, under a name that no sample has.
    let rows = std::fs::read_to_string(&file).unwrap();
    let rows = rows
        .replace("jiangnan-bank", "my-bank")
        .replace("beihai-bank", "my-bank");
    std::fs::write(&file, rows).unwrap();
    let demo = Command::new(env!("CARGO_BIN_EXE_demo"))
        .arg("--customers")
        .arg(&file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&demo.stdout).into_owned();
    assert!(demo.status.success(), "{text}");
    assert!(text.contains("expected  24 rows"), "{text}");
    assert!(text.contains("steps as expected"), "{text}");
}
