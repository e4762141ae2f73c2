//! Where answers and files go: names that are not UTF-8, targets that must stay, pipes that nobody reads.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::desk::*;

const SIGN: [&str; 10] = [
    "artifact",
    "sign",
    "--key",
    "other.pem",
    "--kid=release",
    "--name=gateway",
    "--version=1.4.0",
    "gateway",
    "--out",
    "out",
];

fn bankctl(desk: &Desk) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bankctl"));
    command.current_dir(desk.path("")).stdin(Stdio::null());
    command
}

/// Names in a folder.
fn names(desk: &Desk) -> Vec<OsString> {
    let mut names: Vec<_> = std::fs::read_dir(desk.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    names
}

#[test]
fn paths_that_are_not_utf8_are_told() {
    let desk = Desk::with_keys();
    desk.write("gateway", "content");
    let name = |start: &str| OsString::from_vec([start.as_bytes(), b"\xff"].concat());
    let yes = |args: &[&OsStr]| -> Value {
        let output = bankctl(&desk).arg("--json").args(args).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(YES), "{args:?}: {error}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let run = |words: &str, path: &str, rest: &str| {
        let path = name(path);
        let words = words.split(' ').map(OsStr::new);
        let rest = rest.split_whitespace().map(OsStr::new);
        let args: Vec<_> = words.chain([path.as_os_str()]).chain(rest).collect();
        yes(&args)
    };
    let found = run("jwk generate --format=pkcs8 --out", "key", "");
    assert_eq!(found["file"], "key\u{fffd}");
    let found = run("jwk generate --out key2 --public-out", "public", "");
    assert_eq!(found["public_file"], "public\u{fffd}");
    let found = run("jwk convert other.pem --to=jwk --out", "key3", "");
    assert_eq!(found["out"], "key3\u{fffd}");
    for command in ["key", "jwk thumbprint"] {
        assert_eq!(run(command, "key", "")["file"], "key\u{fffd}");
    }
    run("jwk convert", "key", "--to=spki");
    let sign = "artifact sign --key other.pem --kid r --name n --version 1.0.0";
    let out = format!("{sign} gateway --out");
    assert_eq!(run(&out, "jws", "")["out"], "jws\u{fffd}");
    std::fs::copy(desk.path("gateway"), desk.path("").join(name("g"))).unwrap();
    assert_eq!(run(sign, "g", "--out jws")["file"], "g\u{fffd}");
    let verify = "artifact verify --key other-public.pem --name n --min-version 1.0.0 --manifest";
    let found = run(verify, "jws", "gateway");
    assert_eq!(found["manifest"]["version"], "1.0.0");
    assert_eq!(run(&format!("{verify} jws"), "g", "")["file"], "g\u{fffd}");
    let found = run("sm2 sign --key other.pem --encoding=raw --in", "g", "");
    let signature = found["signature"].as_str().unwrap();
    let verify = "sm2 verify --key other.pem --encoding=raw --in";
    run(verify, "g", &format!("--signature {signature}"));
    run("customers generate", "c", "--rows=3");
    assert_eq!(run("customers check", "c", "")["file"], "c\u{fffd}");
    assert_eq!(run("init", "set-up", "")["dir"], "set-up\u{fffd}");
    let setup = desk.path("").join(name("set-up"));
    for (command, file) in [
        ("policy", "policies/gateway.yaml"),
        ("config gateway", "gateway.toml"),
    ] {
        let path = setup.join(file);
        let words = command.split(' ').map(OsStr::new);
        let args: Vec<_> = words.chain([path.as_os_str()]).collect();
        let found = yes(&args);
        assert!(found["file"].as_str().unwrap().contains('\u{fffd}'));
    }
}

#[test]
fn a_signed_manifest_replaces_manifests_alone() {
    let desk = Desk::with_keys();
    desk.write("gateway", "content");
    desk.write("notes", "no manifest");
    desk.write("out", "");
    std::fs::create_dir(desk.path("folder")).unwrap();
    symlink("other.pem", desk.path("link")).unwrap();
    symlink("nothing", desk.path("dangling")).unwrap();
    std::fs::hard_link(desk.path("other.pem"), desk.path("hard")).unwrap();
    let made = Command::new("mkfifo").arg(desk.path("pipe")).status();
    assert!(made.unwrap().success());
    let (key, names_before) = (desk.text("other.pem"), names(&desk));
    for (out, says) in [
        ("other.pem", "is the private key itself"),
        ("./other.pem", "is the private key itself"),
        ("link", "is the private key itself"),
        ("hard", "is the private key itself"),
        ("gateway", "is the file to be signed itself"),
        ("notes", "holds no signed manifest"),
        ("out", "holds no signed manifest"),
        ("key.jwk", "holds no signed manifest"),
        ("folder", "not a regular file"),
        ("pipe", "not a regular file"),
        ("dangling", "not a regular file"),
        ("/dev/null", "not a regular file"),
        ("/dev/stdout", "not a regular file"),
    ] {
        let mut args = SIGN;
        args[9] = out;
        assert_eq!(desk.code(NO_ANSWER, &args), "bad_input", "{out}");
        let reason = desk.machine(NO_ANSWER, &args)["reason"].to_string();
        assert!(reason.contains(says), "{out}: {reason}");
    }
    assert_eq!(names(&desk), names_before);
    assert_eq!(desk.text("other.pem"), key);
    assert_eq!(desk.text("gateway"), "content");
    assert_eq!(desk.text("notes"), "no manifest");

    std::fs::remove_file(desk.path("out")).unwrap();
    desk.people(YES, &SIGN);
    let first = desk.text("out");
    desk.people(YES, &with(&SIGN, &[("--version=1.4.0", "--version=1.5.0")]));
    assert_ne!(desk.text("out"), first, "an older manifest is replaced");
}

#[test]
fn customers_replace_regular_files_alone() {
    let desk = Desk::new();
    symlink("/dev/null", desk.path("link")).unwrap();
    for out in ["link", "/dev/null", "."] {
        let args = ["customers", "generate", out, "--rows=3"];
        assert_eq!(desk.code(NO_ANSWER, &args), "bad_input", "{out}");
    }
    assert!(desk.path("link").is_symlink());
    desk.write("c.csv", "old");
    desk.people(YES, &["customers", "generate", "c.csv", "--rows=3"]);
    desk.people(YES, &["customers", "check", "c.csv"]);
}

#[test]
fn a_key_pair_comes_as_a_whole_or_not_at_all() {
    let desk = Desk::new();
    desk.write("taken", "taken");
    std::fs::create_dir(desk.path("folder")).unwrap();
    symlink("nowhere", desk.path("dangling")).unwrap();
    let before = names(&desk);
    for (out, public_out) in [
        ("x", "x"),
        ("x", "./x"),
        ("x", "folder/../x"),
        ("x", "taken"),
        ("x", "folder"),
        ("x", "dangling"),
        ("x", "no-folder/public"),
        ("x", "taken/public"),
        // No file can be made there, whoever asks.
        ("x", "/proc/public"),
        ("/proc/x", "public"),
        ("no-folder/x", "public"),
        ("taken", "public"),
    ] {
        let args = ["jwk", "generate", "--out", out, "--public-out", public_out];
        desk.people(NO_ANSWER, &args);
        assert_eq!(names(&desk), before, "{args:?}");
    }
    assert_eq!(desk.text("taken"), "taken");
    assert_eq!(std::fs::read_dir(desk.path("folder")).unwrap().count(), 0);
}

#[test]
fn nothing_is_lost_in_silence() {
    let desk = Desk::with_keys();
    desk.write("message", "message digest");
    let sign = &SIGN[..8];
    let sm2 = [
        "sm2",
        "sign",
        "--key=key.jwk",
        "--encoding=raw",
        "--in=message",
    ];
    desk.write("gateway", "content");
    desk.issue(&[]);
    let convert = ["jwk", "convert", "key.jwk", "--to=spki"];
    let exit = |args: &[&str], json: bool| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = bankctl(&desk);
        command.args(json.then_some("--json")).args(args);
        command.stdout(writer).stderr(Stdio::piped());
        let output = command.output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code() == Some(YES), error.is_empty());
        output.status.code().unwrap()
    };
    for json in [false, true] {
        // What they print is what they were run for.
        for args in [sign, &sm2, &ISSUE, &[&convert[..], &["--public"]].concat()] {
            assert_eq!(exit(args, json), NO_ANSWER, "{args:?}");
        }
        // These did what they were run for, and their exit codes tell.
        assert_eq!(exit(&SIGN, json), YES);
        assert_eq!(exit(&VERIFY, json), YES);
        let other = with(&VERIFY, &[("core-banking", "payments")]);
        assert_eq!(exit(&other, json), NO);
    }
    assert_eq!(exit(&["init", "run"], false), NO_ANSWER, "the passwords");
}

#[test]
fn standard_error_that_cannot_be_written() {
    let desk = Desk::with_keys();
    desk.issue(&[]);
    let other = with(&VERIFY, &[("core-banking", "payments")]);
    let no_file = ["key", "no-such-file"];
    for (exit, args) in [(NO, &other[..]), (NO_ANSWER, &no_file)] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command = bankctl(&desk);
        command.arg("--json").args(args).stderr(full);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(exit));
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["exit_code"], exit);
    }
}

#[test]
fn names_do_not_steer_the_terminal() {
    let desk = Desk::with_keys();
    let name = "c\u{1b}[2J\u{202e}\u{2028}\u{61c}\u{e0041}.csv";
    let told = desk.people(YES, &["customers", "generate", name, "--rows=3"]);
    let escaped = "c\\u{1b}[2J\\u{202e}\\u{2028}\\u{61c}\\u{e0041}.csv";
    assert_eq!(told, format!("3 customers written to {escaped}\n"));
    // A key's name may hold them: its JWK stays what it is.
    let kid = "k\u{202e}\u{e0041}";
    let args = ["jwk", "convert", "key.jwk", "--to=jwk", "--public"];
    let printed = desk.people(YES, &[&args[..], &["--kid", kid]].concat());
    assert!(printed.contains("k\\u202e\\udb40\\udc41"), "{printed}");
    let read: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(read["kid"], kid);
}
