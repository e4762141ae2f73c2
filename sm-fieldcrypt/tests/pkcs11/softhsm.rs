//! Tokens of SoftHSM in a folder of their own, and tests whose steps each run in a process of its own.
//!
//! The module reads `SOFTHSM2_CONF` once, and login and sessions are a whole process's: tests that share one would
//! meet each other's.
#![allow(dead_code, unreachable_pub)]

use crate::common::require_peers;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use sm_fieldcrypt::{
    FieldClass, FileStore, KeyRing, KeyRingBuilder, Pkcs11Config, Pkcs11Kek, Pkcs11Mechanisms,
    Pkcs11Token, SecretBytes,
};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

pub const PIN: &str = "4711-user";
const SO_PIN: &str = "0815-officer";
const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];
const STEP: &str = "SM_FIELDCRYPT_STEP";

/// Runs the steps of `test` one after another, each in a new process, over the same tokens: two named `bank`
/// (unless `tokens` says otherwise) and `other`.
pub fn on_tokens(test: &str, steps: &[fn(&Place)]) {
    if let Ok(step) = std::env::var(STEP) {
        let conf = PathBuf::from(std::env::var_os("SOFTHSM2_CONF").unwrap());
        let dir = conf.parent().unwrap().to_owned();
        let module = module().unwrap();
        return steps[step.parse::<usize>().unwrap()](&Place { dir, module });
    }
    let Some(module) = module() else {
        assert!(!require_peers(), "SoftHSM is not installed (softhsm2)");
        eprintln!("SKIPPED: SoftHSM is not installed (softhsm2)");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("softhsm2.conf");
    let place = Place {
        dir: dir.path().to_owned(),
        module,
    };
    std::fs::create_dir(place.tokens()).unwrap();
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
        place.tokens().display()
    );
    std::fs::write(&conf, text).unwrap();
    for token in ["bank", "other"] {
        place.init_token(token);
    }
    for step in 0..steps.len() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env("SOFTHSM2_CONF", &conf)
            .env(STEP, step.to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("1 passed"),
            "step {step} of {test}:\n{text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

fn module() -> Option<PathBuf> {
    let named = std::env::var_os("SOFTHSM2_MODULE").map(PathBuf::from);
    named
        .into_iter()
        .chain(MODULES.map(PathBuf::from))
        .find(|path| path.exists())
}

/// Waits for a future on a runtime of its own.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build();
    runtime.unwrap().block_on(future)
}

/// Where the tokens are.
pub struct Place {
    pub dir: PathBuf,
    pub module: PathBuf,
}

impl Place {
    pub fn tokens(&self) -> PathBuf {
        self.dir.join("tokens")
    }

    pub fn init_token(&self, label: &str) {
        let output = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", label])
            .args(["--so-pin", SO_PIN, "--pin", PIN])
            .arg("--module")
            .arg(&self.module)
            .env("SOFTHSM2_CONF", self.dir.join("softhsm2.conf"))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    pub fn config(&self, token: &str, key: &str, mechanisms: Pkcs11Mechanisms) -> Pkcs11Config {
        self.config_with(Pkcs11Token::Label(token.into()), PIN, key, mechanisms)
    }

    pub fn config_with(
        &self,
        token: Pkcs11Token,
        pin: &str,
        key: &str,
        mechanisms: Pkcs11Mechanisms,
    ) -> Pkcs11Config {
        let pin = SecretBytes::new(pin.as_bytes().to_vec());
        Pkcs11Config::new(&self.module, token, pin, key, mechanisms)
    }

    /// A new KEK on token `bank`.
    pub fn create(&self, key: &str, mechanisms: Pkcs11Mechanisms) -> Pkcs11Kek {
        Pkcs11Kek::create(self.config("bank", key, mechanisms)).unwrap()
    }

    /// A ring over a registry file of that name.
    pub fn ring(&self, kek: Pkcs11Kek, registry: &str) -> KeyRingBuilder {
        let store = FileStore::new(self.dir.join(registry));
        KeyRing::builder(Arc::new(kek), Arc::new(store)).class(FieldClass::identity_number())
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.dir.join(name), bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.dir.join(name)).unwrap()
    }

    /// Somebody else in the same process who uses the module.
    pub fn bystander(&self) -> Bystander {
        let pkcs11 = Pkcs11::new(&self.module).unwrap();
        // Whoever comes first initialises.
        let _ = pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
        Bystander { pkcs11 }
    }
}

pub struct Bystander {
    pub pkcs11: Pkcs11,
}

impl Bystander {
    pub fn slot(&self, label: &str) -> Slot {
        let slots = self.pkcs11.get_slots_with_initialized_token().unwrap();
        slots
            .into_iter()
            .find(|slot| self.pkcs11.get_token_info(*slot).unwrap().label() == label)
            .unwrap()
    }

    /// A session with a token, logged in.
    pub fn session(&self, label: &str) -> Session {
        let session = self.pkcs11.open_rw_session(self.slot(label)).unwrap();
        // The process may be logged in already.
        let _ = session.login(UserType::User, Some(&AuthPin::from(PIN)));
        session
    }
}

/// Secret keys of a label.
pub fn keys_of(session: &Session, label: &str) -> Vec<ObjectHandle> {
    session
        .find_objects(&[
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::Label(label.into()),
        ])
        .unwrap()
}

/// Objects that are not kept on the token: what a call has left behind.
pub fn session_objects(session: &Session) -> usize {
    session
        .find_objects(&[Attribute::Token(false)])
        .unwrap()
        .len()
}

/// Whether `path` is a folder that has something in it.
pub fn is_filled(path: &Path) -> bool {
    std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
}
