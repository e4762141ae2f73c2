//! A session: one user of a device, one thread at a time.

#![allow(unsafe_code)]

use crate::abi::{DeviceInfoC, Handle, Status};
use crate::buffer::{Output, length, pointer};
use crate::device::Device;
use crate::error::Error;
use crate::info::DeviceInfo;
use crate::library::check;
use crate::symbols::Symbols;
use crate::wrapped::WrappedKey;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ptr::null_mut;

/// Keys that a session keeps imported.
const CACHED_KEYS: usize = 16;

/// A session on a device (`SDF_OpenSession`), closed on drop.
///
/// The session carries the state of calculations in several steps (`SDF_HashInit`, `Update`, `Final`), so two threads
/// must not use one at once: it can be sent to another thread, not shared with it (`Send`, not `Sync`).
pub struct Session {
    device: Device,
    handle: Handle,
    /// Keys that live as long as the session; see [`Key::cached`](crate::Key::cached).
    cached: RefCell<Vec<(WrappedKey, Handle)>>,
    failed: Cell<bool>,
}

// SAFETY: a session handle belongs to a process, not to a thread; the standard asks only that a session is not used by two
// threads at once, and without `Sync` no two threads have a reference to it.
unsafe impl Send for Session {}

impl Session {
    /// Opens a session on a device, which stays open as long as the session.
    ///
    /// # Errors
    /// [`Error::Device`] with the device's code.
    pub fn open(device: &Device) -> Result<Self, Error> {
        const CALL: &str = "SDF_OpenSession";
        let mut handle = null_mut();
        let status = {
            let (symbols, _guard) = device.library().enter();
            // SAFETY: the device is open while `device` lives; `handle` is a valid place for a handle.
            unsafe { (symbols.open_session)(device.handle(), &raw mut handle) }
        };
        check(CALL, status)?;
        if handle.is_null() {
            return Err(Error::NoHandle { call: CALL });
        }
        Ok(Self {
            device: device.clone(),
            handle,
            cached: RefCell::default(),
            failed: Cell::new(false),
        })
    }

    /// What the device says of itself.
    ///
    /// # Errors
    /// [`Error::Device`] with the device's code.
    pub fn device_info(&self) -> Result<DeviceInfo, Error> {
        let mut info = DeviceInfoC::zeroed();
        self.call("SDF_GetDeviceInfo", |symbols, session| {
            // SAFETY: the session is open; `info` is a valid place for a `DEVICEINFO`, whose layout is tested.
            unsafe { (symbols.get_device_info)(session, &raw mut info) }
        })?;
        Ok(DeviceInfo::from(&info))
    }

    /// Random bytes of the device.
    ///
    /// # Errors
    /// [`Error::Device`] with the device's code; [`Error::RandomIsZero`] when 16 bytes or more came out as zeros. Then
    /// `bytes` must not be used.
    pub fn random(&self, bytes: &mut [u8]) -> Result<(), Error> {
        const CALL: &str = "SDF_GenerateRandom";
        let mut output = Output::new(bytes.len())?;
        let room = length("random bytes", bytes.len())?;
        let (to, _) = output.pointers();
        self.call(CALL, |symbols, session| {
            // SAFETY: the session is open; `to` has room for `room` bytes.
            unsafe { (symbols.generate_random)(session, room, to) }
        })?;
        let drawn = self.noting(output.whole(CALL))?;
        if bytes.len() >= 16 && drawn.iter().all(|b| *b == 0) {
            return self.noting(Err(Error::RandomIsZero));
        }
        bytes.copy_from_slice(&drawn);
        Ok(())
    }

    /// Gets the right to use the private key at `index`, given back when the result is dropped.
    ///
    /// # Errors
    /// [`Error::Argument`] for a password under the standard's 8 bytes; [`Error::Device`] with the device's code.
    pub fn private_key_access(
        &self,
        index: u32,
        password: &[u8],
    ) -> Result<PrivateKeyAccess<'_>, Error> {
        if password.len() < 8 {
            return Err(Error::Argument {
                what: "the private key's password",
                got: password.len(),
                expected: "at least 8",
            });
        }
        let password_length = length("the private key's password", password.len())?;
        self.call("SDF_GetPrivateKeyAccessRight", |symbols, session| {
            // SAFETY: the session is open; the password is `password_length` bytes long and only read.
            unsafe {
                (symbols.get_private_key_access_right)(
                    session,
                    index,
                    pointer(password),
                    password_length,
                )
            }
        })?;
        Ok(PrivateKeyAccess {
            session: self,
            index,
        })
    }

    /// SM3 of the parts, one after the other.
    ///
    /// # Errors
    /// [`Error::Device`] with the device's code.
    pub fn sm3(&self, parts: &[&[u8]]) -> Result<[u8; 32], Error> {
        const FINAL: &str = "SDF_HashFinal";
        let algorithm = self.device.library().options().algorithms.sm3;
        self.call("SDF_HashInit", |symbols, session| {
            // SAFETY: the session is open; without a user id no public key is read.
            unsafe { (symbols.hash_init)(session, algorithm, null_mut(), null_mut(), 0) }
        })?;
        for part in parts.iter().filter(|p| !p.is_empty()) {
            let part_length = self.noting(length("a part of the message", part.len()))?;
            self.call("SDF_HashUpdate", |symbols, session| {
                // SAFETY: the session is open; the part is `part_length` bytes long and only read.
                unsafe { (symbols.hash_update)(session, pointer(part), part_length) }
            })?;
        }
        let mut output = Output::new(32)?;
        let (to, to_length) = output.pointers();
        self.call(FINAL, |symbols, session| {
            // SAFETY: the session is open; `to` has the room that `to_length` says, both are valid.
            unsafe { (symbols.hash_final)(session, to, to_length) }
        })?;
        self.noting(output.array(FINAL))
    }

    /// Whether a call on it has failed. What it holds then is uncertain, a half-done calculation for instance: a pool
    /// does not lend it out again.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.get()
    }

    /// Whether it has imported keys that it keeps.
    pub(crate) fn has_cached_keys(&self) -> bool {
        !self.cached.borrow().is_empty()
    }

    /// The handle of a kept key.
    pub(crate) fn kept(&self, wrapped: &WrappedKey) -> Option<Handle> {
        let cached = self.cached.borrow();
        cached
            .iter()
            .find_map(|(known, handle)| (known == wrapped).then_some(*handle))
    }

    /// Keeps a key, not null, until the session is closed. `false` when it has no place left.
    pub(crate) fn keep(&self, wrapped: &WrappedKey, key: Handle) -> bool {
        let mut cached = self.cached.borrow_mut();
        if cached.len() >= CACHED_KEYS {
            return false;
        }
        cached.push((wrapped.clone(), key));
        true
    }

    /// The device it is on.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Makes one call into the library, with this session's handle, which is open, and remembers a failure.
    pub(crate) fn call(
        &self,
        name: &'static str,
        work: impl FnOnce(&Symbols, Handle) -> Status,
    ) -> Result<(), Error> {
        let status = {
            let (symbols, _guard) = self.device.library().enter();
            work(symbols, self.handle)
        };
        self.noting(check(name, status))
    }

    /// Remembers a failure.
    pub(crate) fn noting<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if result.is_err() {
            self.failed.set(true);
        }
        result
    }

    /// Destroys a key. A refusal changes nothing that could be done: the session takes its keys with it.
    pub(crate) fn destroy(&self, key: Handle) {
        let _ = self.call("SDF_DestroyKey", |symbols, session| {
            // SAFETY: session and key are open; the one caller of this owns the key and is about to go.
            unsafe { (symbols.destroy_key)(session, key) }
        });
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A `Key` borrows the session, so none is left that could use these.
        for (_, key) in self.cached.take() {
            self.destroy(key);
        }
        let (symbols, _guard) = self.device.library().enter();
        // SAFETY: the session is open, its keys are destroyed, and nothing refers to it any more. Its device is open:
        // `device` is dropped after this.
        let _ = unsafe { (symbols.close_session)(self.handle) };
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("library", self.device.library())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

/// The right to use a private key of the device, given back on drop.
#[derive(Debug)]
pub struct PrivateKeyAccess<'s> {
    session: &'s Session,
    index: u32,
}

impl Drop for PrivateKeyAccess<'_> {
    fn drop(&mut self) {
        let _ = self
            .session
            .call("SDF_ReleasePrivateKeyAccessRight", |symbols, session| {
                // SAFETY: the session is open.
                unsafe { (symbols.release_private_key_access_right)(session, self.index) }
            });
    }
}
