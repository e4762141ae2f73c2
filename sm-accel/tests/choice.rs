//! The choice of a backend by the API and by the environment. Alone in its process: the choice is the process's.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::process::Command;

use sm_accel::sm4::Sm4;
use sm_accel::{BACKEND_VARIABLE, Backend, report};

/// What a process says that starts with the variable set to `value`.
fn with_variable(value: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "says_what_is_in_use", "--nocapture"])
        .env(BACKEND_VARIABLE, value)
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn says_what_is_in_use() {
    println!("in use: {} / {}", Sm4::new(&[0; 16]).backend(), report());
}

#[test]
fn the_environment_names_a_backend() {
    for backend in Backend::available() {
        let said = with_variable(backend.name());
        let expected = format!("in use: {backend} / sm-accel backend {backend}:");
        assert!(said.contains(&expected), "{said}");
        assert!(!said.contains(BACKEND_VARIABLE), "{said}");
    }
    let fastest = Backend::available().last().unwrap();
    assert!(with_variable("").contains(&format!("in use: {fastest} /")));
    // What the CPU does not have is no reason to guess, and the report says that it was asked for.
    let absent = Backend::NAMES
        .into_iter()
        .filter(|name| Backend::by_name(name).is_err());
    for name in absent.chain(["avx3", " portable", "PORTABLE"]) {
        let said = with_variable(name);
        assert!(said.contains("in use: portable /"), "{said}");
        assert!(said.contains(BACKEND_VARIABLE), "{said}");
    }
}

#[test]
fn force_changes_what_is_made_from_then_on() {
    let before = Backend::active();
    let made_before = Sm4::new(&[1; 16]);
    for backend in Backend::available() {
        Backend::force(Some(backend));
        assert_eq!(Backend::active(), backend);
        assert_eq!(Sm4::new(&[1; 16]).backend(), backend);
        assert_eq!(report().backend, backend);
    }
    Backend::force(None);
    assert_eq!(Backend::active(), before);
    assert_eq!(made_before.backend(), before);
}
