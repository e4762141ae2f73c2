//! An opened device.

#![allow(unsafe_code)]

use crate::abi::Handle;
use crate::error::Error;
use crate::library::{Library, check};
use std::collections::BTreeMap;
use std::fmt;
use std::ptr::null_mut;
use std::sync::{Arc, Mutex, PoisonError};

/// How many [`Device`]s share a handle, by the library (the address of its `SDF_CloseDevice`) and the handle. Many
/// libraries have one device and give the same handle to all who open it; the first of them to go must not close it
/// for the others.
static SHARED: Mutex<BTreeMap<(usize, usize), usize>> = Mutex::new(BTreeMap::new());

/// A device (`SDF_OpenDevice`), closed when the last clone and the last of its sessions are dropped.
#[derive(Clone)]
pub struct Device(Arc<Opened>);

struct Opened {
    library: Library,
    handle: Handle,
}

// SAFETY: the handle is only a value to pass to the library, which gives it no thread of its own: sessions are opened on
// one device by all threads of a process, that is what sessions are for. `one_call_at_a_time` is there for a library that
// falls short of this.
unsafe impl Send for Opened {}
// SAFETY: as above; `Opened` has no interior state.
unsafe impl Sync for Opened {}

impl Device {
    /// Opens the library's device.
    ///
    /// # Errors
    /// [`Error::Device`] with the device's code.
    pub fn open(library: &Library) -> Result<Self, Error> {
        const CALL: &str = "SDF_OpenDevice";
        let mut handle = null_mut();
        // Held until the new handle is counted: nobody closes it meanwhile as the last one of before.
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let status = {
            let (symbols, _guard) = library.enter();
            // SAFETY: `handle` is a valid place for a handle.
            unsafe { (symbols.open_device)(&raw mut handle) }
        };
        check(CALL, status)?;
        if handle.is_null() {
            return Err(Error::NoHandle { call: CALL });
        }
        let opened = Opened {
            library: library.clone(),
            handle,
        };
        let users = shared.entry(opened.key()).or_insert(0);
        *users = users.saturating_add(1);
        Ok(Self(Arc::new(opened)))
    }

    /// Whether both are clones of one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Open while `self` lives.
    pub(crate) fn handle(&self) -> Handle {
        self.0.handle
    }

    /// The library it belongs to.
    #[must_use]
    pub fn library(&self) -> &Library {
        &self.0.library
    }
}

impl Opened {
    fn key(&self) -> (usize, usize) {
        let (symbols, _guard) = self.library.enter();
        (
            (symbols.close_device as *const ()).addr(),
            self.handle.addr(),
        )
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let key = self.key();
        // Held until the device is closed: nobody opens it meanwhile and gets the handle that is about to go.
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let others = shared.get(&key).map_or(0, |users| users.saturating_sub(1));
        if others > 0 {
            shared.insert(key, others);
            return;
        }
        shared.remove(&key);
        let (symbols, _guard) = self.library.enter();
        // SAFETY: the handle is open: `Device::open` got it, no other `Opened` shares it any more, and the sessions on
        // it are closed, for each of them holds an `Arc` of this. A refusal changes nothing that could be done here.
        let _ = unsafe { (symbols.close_device)(self.handle) };
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("library", &self.0.library)
            .finish_non_exhaustive()
    }
}
