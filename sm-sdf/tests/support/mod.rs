//! A device in software, built by the C compiler that Rust links with, and a hold on it for tests.
//!
//! Every `TestDevice` is a copy of its own: counters, faults and identity are not shared.
#![allow(dead_code, unreachable_pub, unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Builds made by this process, by their flags.
static BUILT: Mutex<BTreeMap<Vec<String>, PathBuf>> = Mutex::new(BTreeMap::new());

/// What is wrong with a call.
#[derive(Clone, Copy, Default)]
pub struct Fault {
    /// Refused with this code.
    pub code: u32,
    /// So many times.
    pub times: u32,
    /// Answered with this length.
    pub length: Option<u32>,
    /// Bytes written past the answer.
    pub overrun: u32,
    /// Answered without a handle.
    pub no_handle: bool,
}

pub struct TestDevice {
    folder: tempfile::TempDir,
    control: libloading::Library,
}

impl TestDevice {
    /// A device with the calls of the 2023 edition.
    pub fn new() -> Self {
        Self::built_with(&[])
    }

    /// A device without the calls of the 2023 edition.
    pub fn of_2012() -> Self {
        Self::built_with(&["-DEDITION_2012"])
    }

    pub fn built_with(flags: &[&str]) -> Self {
        let built = build(flags);
        let folder = tempfile::tempdir().unwrap();
        // Another file: the loader would take the same one for the library that it has already.
        let path = folder.path().join("libdevice.so");
        std::fs::copy(built, &path).unwrap();
        // SAFETY: the library is the one built from `device.c`.
        let control = unsafe { libloading::Library::new(&path) }.unwrap();
        Self { folder, control }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("libdevice.so")
    }

    pub fn set(&self, name: &str, value: u32) {
        type Set = unsafe extern "C" fn(*const std::ffi::c_char, u32);
        let name = std::ffi::CString::new(name).unwrap();
        // SAFETY: the prototype in `device.c`; the name ends with a NUL and is only read.
        unsafe { self.control.get::<Set>(b"test_set\0").unwrap()(name.as_ptr(), value) }
    }

    pub fn get(&self, name: &str) -> u32 {
        type Get = unsafe extern "C" fn(*const std::ffi::c_char) -> u32;
        let name = std::ffi::CString::new(name).unwrap();
        // SAFETY: as above.
        unsafe { self.control.get::<Get>(b"test_get\0").unwrap()(name.as_ptr()) }
    }

    pub fn lose_device(&self) {
        self.lose(1);
    }

    pub fn lose_sessions(&self) {
        self.lose(2);
    }

    pub fn lose_keys(&self) {
        self.lose(3);
    }

    fn lose(&self, what: u32) {
        type Lose = unsafe extern "C" fn(u32);
        // SAFETY: as above.
        unsafe { self.control.get::<Lose>(b"test_lose\0").unwrap()(what) }
    }

    /// Makes one call misbehave, and no other.
    pub fn fault(&self, call: &str, fault: Fault) {
        type Set = unsafe extern "C" fn(*const std::ffi::c_char, u32, u32, i32, u32, u32, i32);
        let call = std::ffi::CString::new(call).unwrap();
        // SAFETY: as above.
        unsafe {
            self.control.get::<Set>(b"test_fault\0").unwrap()(
                call.as_ptr(),
                fault.code,
                fault.times,
                fault.length.is_some().into(),
                fault.length.unwrap_or(0),
                fault.overrun,
                fault.no_handle.into(),
            );
        }
    }

    /// Refuses a call so many times.
    pub fn refuse(&self, call: &str, code: u32, times: u32) {
        self.fault(
            call,
            Fault {
                code,
                times,
                ..Fault::default()
            },
        );
    }

    pub fn well(&self) {
        self.fault("", Fault::default());
    }

    /// Everything that was opened is closed, and nothing was used that was not open.
    pub fn assert_nothing_left(&self) {
        for name in [
            "devices", "sessions", "keys", "rights", "misuse", "overlaps",
        ] {
            assert_eq!(self.get(name), 0, "{name}");
        }
    }
}

fn build(flags: &[&str]) -> PathBuf {
    let key: Vec<String> = flags.iter().map(|f| (*f).to_owned()).collect();
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = built.get(&key) {
        return path.clone();
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sm-sdf/tests/device/device.c");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(folder).unwrap();
    let path = folder.join(format!("device-{}-{}.so", std::process::id(), built.len()));
    let status = Command::new("cc")
        .args([
            "-std=gnu11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wno-unused-function",
            "-O2",
            "-fPIC",
            "-shared",
            "-pthread",
        ])
        .args(flags)
        .arg("-o")
        .arg(&path)
        .arg(&source)
        .status()
        .expect("a C compiler, `cc`, builds the test device");
    assert!(status.success(), "{}", source.display());
    built.insert(key, path.clone());
    path
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}
