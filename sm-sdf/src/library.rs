//! A loaded library and its settings.

use crate::abi::Status;
use crate::code::DeviceCode;
use crate::error::Error;
use crate::options::LibraryOptions;
use crate::symbols::{Symbols, load};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A device library of GM/T 0018, loaded into this process until it ends. Cheap to clone.
#[derive(Clone)]
pub struct Library(Arc<Loaded>);

struct Loaded {
    path: PathBuf,
    symbols: Symbols,
    options: LibraryOptions,
    one_at_a_time: Mutex<()>,
}

impl Library {
    /// Loads the library at `path`, with the standard's algorithm ids.
    ///
    /// Loading runs the library's code in this process, with all its rights, and every call trusts it to keep to the
    /// standard's prototypes. The path is part of the program: take it from the deployment, never from a request, and
    /// have file and folders writable by its administrator alone.
    ///
    /// # Errors
    /// [`Error::Load`], [`Error::MissingSymbol`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path, LibraryOptions::default())
    }

    /// Loads the library at `path` with a vendor's settings.
    ///
    /// # Errors
    /// As [`Library::open`].
    pub fn open_with(path: impl AsRef<Path>, options: LibraryOptions) -> Result<Self, Error> {
        let path = path.as_ref();
        Ok(Self(Arc::new(Loaded {
            path: path.into(),
            symbols: load(path)?,
            options,
            one_at_a_time: Mutex::new(()),
        })))
    }

    /// Its settings.
    #[must_use]
    pub fn options(&self) -> &LibraryOptions {
        &self.0.options
    }

    /// Whether it has `SDF_AuthEnc` and `SDF_AuthDec`, of the 2023 edition.
    #[must_use]
    pub fn has_auth_enc(&self) -> bool {
        let symbols = &self.0.symbols;
        symbols.auth_enc.is_some() && symbols.auth_dec_by_pointer.is_some()
    }

    /// Whether it has `SDF_HMACInit`, `SDF_HMACUpdate` and `SDF_HMACFinal`, of the 2023 edition.
    #[must_use]
    pub fn has_hmac(&self) -> bool {
        let symbols = &self.0.symbols;
        symbols.hmac_init.is_some() && symbols.hmac_update.is_some() && symbols.hmac_final.is_some()
    }

    /// Its functions, for one call. Where calls must not overlap, the guard keeps others out.
    pub(crate) fn enter(&self) -> (&Symbols, Option<MutexGuard<'_, ()>>) {
        let guard = self.0.options.one_call_at_a_time.then(|| {
            self.0
                .one_at_a_time
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        });
        (&self.0.symbols, guard)
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library")
            .field("path", &self.0.path)
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}

/// What a call returned, as a result.
pub(crate) fn check(call: &'static str, status: Status) -> Result<(), Error> {
    match status {
        0 => Ok(()),
        code => Err(Error::Device {
            call,
            code: DeviceCode::from_code(code.cast_unsigned()),
        }),
    }
}
