//! Other implementations, called as commands.
#![allow(dead_code, unreachable_pub, missing_docs)]

use crate::common::{hex, require_peers};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a command, `input` to its standard input, and gives what it writes.
fn run(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Beside reading: a command that answers line by line would wait for its answers to be read.
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    output.stdout
}

/// Runs `openssl`, `input` to its standard input.
pub fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    run(Command::new("openssl").args(arguments), input)
}

/// Whether there is an `openssl` with SM4 and SM3.
pub fn have_openssl() -> bool {
    let output = Command::new("openssl")
        .args(["list", "-cipher-algorithms"])
        .output();
    let have = output.is_ok_and(|o| String::from_utf8_lossy(&o.stdout).contains("SM4-CTR"));
    if !have {
        assert!(!require_peers(), "no openssl with SM4, and REQUIRE_PEERS=1");
        println!("SKIPPED: no openssl command with SM4");
    }
    have
}

/// HKDF-SM3 by `openssl`.
pub fn openssl_hkdf(mode: &str, options: &[(&str, &[u8])], length: usize) -> Vec<u8> {
    let mut arguments: Vec<String> = ["kdf", "-binary", "-keylen"]
        .iter()
        .map(ToString::to_string)
        .collect();
    arguments.push(length.to_string());
    for option in [format!("mode:{mode}"), "digest:SM3".into()] {
        arguments.extend(["-kdfopt".into(), option]);
    }
    for (name, value) in options {
        arguments.extend(["-kdfopt".into(), format!("{name}:{}", hex(value))]);
    }
    arguments.push("HKDF".into());
    openssl(
        &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
        b"",
    )
}

/// What `BouncyCastle.java` beside this file answers to commands; `None` where it cannot run.
pub fn bouncy_castle(commands: &[String]) -> Option<Vec<String>> {
    let library = Path::new("/usr/share/java/bcprov.jar");
    let have_java = Command::new("java")
        .arg("-version")
        .output()
        .is_ok_and(|output| output.status.success());
    if !have_java || !library.exists() {
        let why = format!("no java, or no {}", library.display());
        assert!(!require_peers(), "{why}, and REQUIRE_PEERS=1");
        println!("SKIPPED: {why}");
        return None;
    }
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/BouncyCastle.java");
    let mut java = Command::new("java");
    java.arg("-cp").arg(library).arg(program);
    let answers = run(&mut java, (commands.join("\n") + "\n").as_bytes());
    let answers = String::from_utf8(answers).unwrap();
    let answers: Vec<String> = answers.lines().map(str::to_owned).collect();
    assert_eq!(answers.len(), commands.len(), "{answers:?}");
    Some(answers)
}
