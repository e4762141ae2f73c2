//! Other implementations of SM2, each a child process that answers commands line by line.
//!
//! ```text
//! version                                                  ok TEXT
//! generate                                                 ok PRIVATE PUBLIC
//! private PRIVATE                                          ok POINT       its public key
//! public PUBLIC                                            ok POINT
//! sign HASH FORM USER-ID PRIVATE MESSAGE                   ok SIGNATURE
//! verify HASH FORM USER-ID PUBLIC MESSAGE SIGNATURE        ok yes, ok no
//! sign-digest PRIVATE E                                    ok SIGNATURE   raw, of peers that can
//! ```
//!
//! Whatever goes wrong is `error TEXT`. HASH is `sm3` or `sha256`, FORM is `raw` or `der`, all else is hexadecimal; `-`
//! stands for no bytes. A key is a PEM document, or a bare scalar and an uncompressed point.
#![allow(dead_code, unreachable_pub)]

mod exchange;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use sm_jwt::*;

pub use exchange::*;

use crate::support::b64;

/// How long a peer may take for its first answer; an answer takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// What keys look like to a peer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    Pem,
    Bare,
}

/// A peer that is running. It ends when its input does, with the tests.
pub struct Peer {
    pub name: &'static str,
    pub keys: Keys,
    line: Mutex<Line>,
}

struct Line {
    commands: ChildStdin,
    answers: Receiver<String>,
}

/// Started by the first test that asks for it; `Err` says why it is absent.
pub type Shared = LazyLock<Result<Peer, String>>;

/// The peer, or `None` where it is absent: the test is skipped then, unless peers are required.
pub fn present(shared: &'static Shared) -> Option<&'static Peer> {
    match &**shared {
        Ok(peer) => Some(peer),
        Err(why) => {
            let required = std::env::var("REQUIRE_PEERS").is_ok_and(|value| value == "1");
            assert!(!required, "{why}");
            println!("SKIPPED: {why}");
            None
        }
    }
}

/// Where `.ci/peers` puts packages.
pub fn folder() -> PathBuf {
    match std::env::var_os("PEERS_DIR") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers"),
    }
}

/// A script of this folder.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/suite/peers")
        .join(name)
}

impl Peer {
    /// Starts a peer that needs `file`, and asks it for its version.
    pub fn start(
        name: &'static str,
        keys: Keys,
        file: &Path,
        command: &mut Command,
    ) -> Result<Self, String> {
        if !file.exists() {
            return Err(format!("no {name}: {} is absent", file.display()));
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("no {name}: {error}"))?;
        let commands = child.stdin.take().ok_or("no pipe")?;
        let output = child.stdout.take().ok_or("no pipe")?;
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(output).lines();
            for line in lines.map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
            let _ = child.wait();
        });
        let line = Mutex::new(Line { commands, answers });
        let peer = Self { name, keys, line };
        println!("{name}: {}", peer.ask(&["version"])?);
        Ok(peer)
    }

    /// One command and its answer; the peer's words where it is an error.
    pub fn ask(&self, words: &[&str]) -> Result<String, String> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let gone =
            |error: &dyn std::fmt::Display| format!("{} does not answer: {error}", self.name);
        writeln!(line.commands, "{}", words.join(" ")).map_err(|error| gone(&error))?;
        let answer = line
            .answers
            .recv_timeout(PATIENCE)
            .map_err(|error| gone(&error))?;
        match answer.split_once(' ') {
            Some(("ok", value)) => Ok(value.to_owned()),
            _ => Err(answer),
        }
    }

    fn told(&self, words: &[&str]) -> String {
        self.ask(words)
            .unwrap_or_else(|error| panic!("{} {}: {error}", self.name, words[0]))
    }

    /// A new pair of keys as the peer writes them.
    pub fn generate(&self) -> (String, String) {
        let pair = self.told(&["generate"]);
        let (private, public) = pair.split_once(' ').unwrap();
        (private.to_owned(), public.to_owned())
    }

    /// The public point of a private key, as the peer computes it.
    pub fn point_of_private(&self, key: &str) -> [u8; 65] {
        unhex(&self.told(&["private", key])).try_into().unwrap()
    }

    /// The point of a public key, as the peer reads it.
    pub fn point_of_public(&self, key: &str) -> [u8; 65] {
        unhex(&self.told(&["public", key])).try_into().unwrap()
    }

    pub fn sign(&self, profile: &Profile, key: &str, message: &[u8]) -> Vec<u8> {
        let [hash, form, user_id] = words(profile);
        unhex(&self.told(&["sign", &hash, &form, &user_id, key, &hex(message)]))
    }

    /// r ‖ s over e itself.
    pub fn sign_digest(&self, key: &str, digest: &[u8; 32]) -> [u8; 64] {
        unhex(&self.told(&["sign-digest", key, &hex(digest)]))
            .try_into()
            .unwrap()
    }

    pub fn verifies(&self, profile: &Profile, key: &str, message: &[u8], signature: &[u8]) -> bool {
        let [hash, form, user_id] = words(profile);
        let (message, signature) = (hex(message), hex(signature));
        match &*self.told(&["verify", &hash, &form, &user_id, key, &message, &signature]) {
            "yes" => true,
            "no" => false,
            other => panic!("{} verify: {other}", self.name),
        }
    }

    /// Whether the peer says no to a signature, or calls it an error.
    pub fn refuses(&self, profile: &Profile, key: &str, message: &[u8], signature: &[u8]) -> bool {
        let [hash, form, user_id] = words(profile);
        let (message, signature) = (hex(message), hex(signature));
        let answer = self.ask(&["verify", &hash, &form, &user_id, key, &message, &signature]);
        answer.as_deref() != Ok("yes")
    }

    /// A key of this crate, as the peer reads it.
    pub fn private_word(&self, key: &SigningKey) -> String {
        match self.keys {
            Keys::Pem => hex(key.to_pkcs8_pem().as_bytes()),
            Keys::Bare => {
                let jwk: serde_json::Value = serde_json::from_str(&key.to_jwk(None)).unwrap();
                hex(&crate::support::unb64(jwk["d"].as_str().unwrap()))
            }
        }
    }

    /// A key of this crate, as the peer reads it.
    pub fn public_word(&self, key: &VerifyingKey) -> String {
        match self.keys {
            Keys::Pem => hex(key.to_spki_pem().as_bytes()),
            Keys::Bare => hex(&key.to_sec1_bytes()),
        }
    }

    /// This crate's reading of a key of the peer.
    pub fn read_private(&self, word: &str) -> SigningKey {
        let bytes = unhex(word);
        match self.keys {
            Keys::Pem => SigningKey::from_pkcs8_pem(std::str::from_utf8(&bytes).unwrap()).unwrap(),
            Keys::Bare => {
                let point = self.point_of_private(word);
                let jwk = json!({
                    "kty": "EC", "crv": "SM2", "d": b64(bytes), "x": b64(&point[1..33]),
                    "y": b64(&point[33..]),
                });
                SigningKey::from_jwk(&jwk.to_string()).unwrap()
            }
        }
    }

    /// This crate's reading of a key of the peer.
    pub fn read_public(&self, word: &str) -> VerifyingKey {
        let bytes = unhex(word);
        match self.keys {
            Keys::Pem => VerifyingKey::from_spki_pem(std::str::from_utf8(&bytes).unwrap()).unwrap(),
            Keys::Bare => VerifyingKey::from_sec1_bytes(&bytes).unwrap(),
        }
    }
}

/// HASH FORM USER-ID.
fn words(profile: &Profile) -> [String; 3] {
    let hash = match profile.hash() {
        HashAlgorithm::Sm3 => "sm3",
        _ => "sha256",
    };
    let form = match profile.encoding() {
        SignatureEncoding::Raw => "raw",
        _ => "der",
    };
    [hash.to_owned(), form.to_owned(), hex(profile.user_id())]
}

pub fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".to_owned();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
