//! A folder in which commands are run, and what their answers must have.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub const YES: i32 = 0;
pub const NO: i32 = 1;
pub const NO_ANSWER: i32 = 2;

pub const ISSUER: &str = "https://login.bank.example";

/// A folder in which commands are run.
pub struct Desk(TempDir);

impl Desk {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn run(&self, program: &str, args: &[&str]) -> Output {
        Command::new(program)
            .current_dir(self.0.path())
            .args(args)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Standard output of a command that must end with this exit code, for people; its JSON has the same exit code.
    #[track_caller]
    pub fn people(&self, exit: i32, args: &[&str]) -> String {
        let output = self.run(env!("CARGO_BIN_EXE_bankctl"), args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(exit), "{args:?}: {error}");
        let prefix = match exit {
            YES => "",
            NO => "bankctl: no: ",
            _ => "bankctl: error: ",
        };
        assert!(error.starts_with(prefix), "{args:?}: {error}");
        assert_eq!(error.is_empty(), exit == YES, "{args:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The one JSON document of a command.
    #[track_caller]
    pub fn machine(&self, exit: i32, args: &[&str]) -> Value {
        let args = [args, &["--json"]].concat();
        let output = self.run(env!("CARGO_BIN_EXE_bankctl"), &args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(exit), "{args:?}: {error}");
        let document: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
        assert_eq!(document["exit_code"], exit, "{document}");
        assert_eq!(document["ok"], exit == YES, "{document}");
        document
    }

    /// The stable name of why the answer is not yes; both forms of the output agree on the exit code.
    #[track_caller]
    pub fn code(&self, exit: i32, args: &[&str]) -> String {
        assert_ne!(exit, YES);
        self.people(exit, args);
        let document = self.machine(exit, args);
        assert!(document["reason"].as_str().is_some_and(|r| !r.is_empty()));
        document["code"].as_str().unwrap().to_owned()
    }

    /// clap refuses the arguments.
    #[track_caller]
    pub fn wrong_use(&self, args: &[&str]) {
        let output = self.run(env!("CARGO_BIN_EXE_bankctl"), args);
        assert_eq!(output.status.code(), Some(NO_ANSWER), "{args:?}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("try '--help'"), "{error}");
        assert_eq!(self.machine(NO_ANSWER, args)["code"], "usage");
    }

    /// Two keys, private and public: `key.jwk` with `public.jwk`, `other.pem` with `other-public.pem`.
    pub fn with_keys() -> Self {
        let desk = Self::new();
        let jwk = ["jwk", "generate", "--out", "key.jwk", "--kid", "k1"];
        desk.people(YES, &[&jwk[..], &["--public-out", "public.jwk"]].concat());
        let pem = ["jwk", "generate", "--out", "other.pem", "--format=pkcs8"];
        desk.people(
            YES,
            &[&pem[..], &["--public-out", "other-public.pem"]].concat(),
        );
        desk
    }

    /// A token in `token`.
    pub fn issue(&self, options: &[&str]) {
        let args = [&ISSUE[..], options].concat();
        let token = self.people(YES, &args);
        self.write("token", token);
    }
}

pub const ISSUE: [&str; 12] = [
    "jwt",
    "issue",
    "--key",
    "key.jwk",
    "--kid",
    "k1",
    "--iss",
    ISSUER,
    "--sub",
    "lin",
    "--aud",
    "core-banking",
];

pub const VERIFY: [&str; 9] = [
    "jwt",
    "verify",
    "--iss",
    ISSUER,
    "--aud",
    "core-banking",
    "--key",
    "public.jwk",
    "token",
];

/// Arguments with some of them replaced.
pub fn with<'a>(args: &[&'a str], changes: &[(&str, &'a str)]) -> Vec<&'a str> {
    let change = |arg: &&'a str| {
        let found = changes.iter().find(|(old, _)| old == arg);
        found.map_or(*arg, |(_, new)| *new)
    };
    args.iter().map(change).collect()
}

pub fn flip(bytes: &mut [u8], at: usize) {
    bytes[at] ^= 1;
}

/// The compact JWS with one character of a part changed.
pub fn changed(token: &str, part: usize) -> String {
    let mut parts: Vec<String> = token.trim_end().split('.').map(str::to_owned).collect();
    let other = if parts[part].starts_with('A') {
        "B"
    } else {
        "A"
    };
    parts[part].replace_range(..1, other);
    parts.join(".")
}

pub fn is_private_to_its_owner(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777 == 0o600
}
