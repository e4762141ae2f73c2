//! Bad input of every kind: a place, a reason, exit code 2 (1 where the answer is no), and good files left whole.
#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use examples::config::CoreBankingConfig;
use sm_fieldcrypt::{FieldContext, FileStore, KeyRing, KeyUser, SoftwareKek};
use tempfile::TempDir;

const BANKCTL: &str = env!("CARGO_BIN_EXE_bankctl");

/// A set-up made by `bankctl init`.
struct SetUp(TempDir);

impl SetUp {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = Command::new(BANKCTL)
            .arg("init")
            .arg(dir.path())
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn edit(&self, name: &str, change: impl FnOnce(String) -> String) {
        let path = self.path(name);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, change(text)).unwrap();
    }
}

/// Asserts exit code 2 and an error of one line that begins with the program's name and says what
/// is expected.
#[track_caller]
fn refused(output: &Output, expected: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.contains(": error: ") && !error.contains("panicked"),
        "{error}"
    );
    for text in expected {
        assert!(error.contains(text), "`{text}` is not in: {error}");
    }
}

/// Asserts exit code 1: the input was read, and the answer is no.
#[track_caller]
fn answered_no(output: &Output, expected: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.starts_with("bankctl: no: ") && error.contains(expected),
        "{error}"
    );
}

fn bankctl(args: &[&str], path: &Path) -> Output {
    Command::new(BANKCTL)
        .args(args)
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn bankctl_with_input(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(BANKCTL)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The child may have refused before it read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn malformed_configuration() {
    let set_up = SetUp::new();
    for (service, binary, file) in [
        ("gateway", env!("CARGO_BIN_EXE_gateway"), "gateway.toml"),
        (
            "core-banking",
            env!("CARGO_BIN_EXE_core-banking"),
            "core-banking.toml",
        ),
    ] {
        let good = bankctl(&["config", service], &set_up.path(file));
        assert!(good.status.success());
        set_up.edit(file, |t| {
            t.replacen("[tokens]", "[tokens]\nlifetime = 3", 1)
        });
        let place = format!("{file}:");
        let checked = bankctl(&["config", service], &set_up.path(file));
        refused(&checked, &[&place, "unknown field `lifetime`"]);
        let started = Command::new(binary)
            .arg("--config")
            .arg(set_up.path(file))
            .output()
            .unwrap();
        refused(&started, &[&place, "unknown field `lifetime`"]);
    }
}

#[test]
fn a_url_whose_feature_is_off() {
    let set_up = SetUp::new();
    set_up.edit("core-banking.toml", |t| {
        t.replace("sqlite:data/core-banking.db", "postgres://db")
    });
    refused(
        &bankctl(
            &["config", "core-banking"],
            &set_up.path("core-banking.toml"),
        ),
        &[
            "core-banking.toml:",
            "needs the feature `postgres`, which this build does not have",
        ],
    );
}

#[test]
fn malformed_customer_file() {
    let set_up = SetUp::new();
    let file = set_up.path("customers.csv");
    let rows = bankctl(&["customers", "generate", "--rows", "5"], &file);
    assert!(rows.status.success());
    set_up.edit("customers.csv", |t| t.replacen("C000003", "C 000003", 1));
    let expected = ["customers.csv:4: column `customer_id`: must be 1 to 32 ASCII"];
    refused(&bankctl(&["customers", "check"], &file), &expected);
    let demo = Command::new(env!("CARGO_BIN_EXE_demo"))
        .arg("--customers")
        .arg(&file)
        .output()
        .unwrap();
    refused(&demo, &expected);
}

#[test]
fn malformed_policy() {
    let set_up = SetUp::new();
    set_up.edit("policies/core-banking.yaml", |t| {
        t.replacen(
            "user.tenant_id == resource.tenant_id",
            "user.tenantid == resource.tenant_id",
            1,
        )
    });
    let path = set_up.path("policies/core-banking.yaml");
    refused(
        &bankctl(&["policy"], &path),
        &["core-banking.yaml:", "tenantid", "^"],
    );
}

#[test]
fn malformed_key() {
    let set_up = SetUp::new();
    let path = set_up.path("keys/token-signing.pem");
    assert!(bankctl(&["key"], &path).status.success());
    set_up.edit("keys/token-signing.pem", |t| t.replacen('M', "!", 1));
    refused(&bankctl(&["key"], &path), &["token-signing.pem: "]);
    let config = set_up.path("gateway.toml");
    let gateway = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .arg("--config")
        .arg(config)
        .output();
    refused(&gateway.unwrap(), &["token-signing.pem: "]);
}

#[test]
fn a_key_is_never_overwritten() {
    let set_up = SetUp::new();
    let before = std::fs::read(set_up.path("keys/token-signing.pem")).unwrap();
    refused(
        &bankctl(&["init"], set_up.0.path()),
        &["token-signing.pem: ", "exists"],
    );
    assert!(before == std::fs::read(set_up.path("keys/token-signing.pem")).unwrap());
}

#[test]
fn malformed_token() {
    let set_up = SetUp::new();
    let config = set_up.path("core-banking.toml");
    let args = ["token", "--config", config.to_str().unwrap()];
    refused(
        &bankctl_with_input(&args, "no token at all"),
        &["standard input: "],
    );
    refused(
        &bankctl_with_input(&args, "e30.e30.AAAA"),
        &["standard input: "],
    );
}

#[test]
fn malformed_ciphertext() {
    let set_up = SetUp::new();
    let config = set_up.path("core-banking.toml");
    let args = [
        "field",
        "--config",
        config.to_str().unwrap(),
        "--class=identity_number",
        "--tenant=jiangnan-bank",
        "--column=id_number",
        "--row=C000001",
    ];
    refused(
        &bankctl_with_input(&args, "hello"),
        &["standard input: ", "smf1:"],
    );
    refused(
        &bankctl_with_input(&args, "smf1:AAAA"),
        &["standard input: "],
    );
}

/// A value that is opened in its own cell alone.
#[tokio::test]
async fn a_ciphertext_of_another_cell() {
    let set_up = SetUp::new();
    let config = CoreBankingConfig::load(&set_up.path("core-banking.toml")).unwrap();
    let passphrase = config.kek_passphrase.load().unwrap();
    let kek = SoftwareKek::open(&config.kek, passphrase.expose()).unwrap();
    let store = FileStore::new(&config.field_keys);
    let mut ring = KeyRing::builder(Arc::new(kek), Arc::new(store));
    for class in examples::core_banking::fields::classes() {
        ring = ring.class(class);
    }
    let ring = ring.build().await.unwrap();
    let tenant = "jiangnan-bank";
    let user = KeyUser::new("test");
    ring.rotate("identity_number", None, &user).await.unwrap();
    let key = ring.prepare("identity_number", tenant, &user).await;
    let cell = FieldContext::new(tenant, "customers", "id_number").row("C000001");
    let sealed = key.unwrap().seal(b"992511199001011234", &cell).unwrap();
    let text = sm_fieldcrypt::to_text(&sealed);
    drop(ring);

    let path = set_up.path("core-banking.toml");
    let open = |row: &str, text: &str| {
        let row = format!("--row={row}");
        let args = [
            "field",
            "--config",
            path.to_str().unwrap(),
            "--class=identity_number",
            "--tenant=jiangnan-bank",
            "--column=id_number",
            &row,
        ];
        bankctl_with_input(&args, text)
    };
    let opened = open("C000001", &text);
    assert_eq!(opened.status.code(), Some(0));
    assert_eq!(opened.stdout, b"992511199001011234\n");
    answered_no(&open("C000002", &text), "does not open");
    let mut changed = sealed.clone();
    *changed.last_mut().unwrap() ^= 1;
    let changed = open("C000001", &sm_fieldcrypt::to_text(&changed));
    answered_no(&changed, "does not open");
    assert!(changed.stdout.is_empty());
}

#[test]
fn malformed_and_edited_audit_files() {
    let set_up = SetUp::new();
    let work = set_up.path("demo");
    std::fs::create_dir(&work).unwrap();
    let demo = Command::new(env!("CARGO_BIN_EXE_demo"))
        .arg("--dir")
        .arg(&work)
        .output()
        .unwrap();
    assert!(demo.status.success());
    let key = format!(
        "gateway-audit-1={}",
        work.join("keys/gateway-audit.pub.pem").display()
    );
    let stream = work.join("audit/gateway");
    let args = ["audit", "--key", &key];
    assert!(bankctl(&args, &stream).status.success());

    let segment = std::fs::read_dir(&stream)
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "smal"))
        .unwrap();
    let good = std::fs::read(&segment).unwrap();
    let mut edited = good.clone();
    let middle = edited.len() / 2;
    edited[middle] ^= 1;
    std::fs::write(&segment, &edited).unwrap();
    answered_no(&bankctl(&args, &stream), "not intact");
    std::fs::write(&segment, b"this is no segment").unwrap();
    answered_no(&bankctl(&args, &stream), "not intact");
    // The service refuses to write behind damage, and says where.
    std::fs::write(&segment, &edited).unwrap();
    let gateway = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .arg("--config")
        .arg(work.join("gateway.toml"))
        .output()
        .unwrap();
    refused(&gateway, &["audit/gateway", ".smal"]);

    let missing = Command::new(BANKCTL)
        .args(["audit", "--key", "no-file"])
        .arg(&stream)
        .output()
        .unwrap();
    refused(&missing, &["`no-file` is not ID=FILE"]);
}
