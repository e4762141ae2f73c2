//! Where the registry's bytes are kept. Storage is not trusted: the bytes carry their own tags.

use crate::durable::{Placement, Step, io, open_private, read_bounded, sibling, write_durably};
use crate::error::Error;
use crate::offload::{BoxFuture, offload};
use crate::registry::MAX_REGISTRY;
use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Storage of one registry, shared by all its nodes.
///
/// # Contract
/// - `load` returns what the last successful `replace` stored, whole.
/// - `replace` is a compare-and-swap: atomic against every other writer, in this process and others, and durable
///   when it returns `Ok`. A crash at any moment leaves the old bytes or the new ones, never a part.
pub trait RegistryStore: Send + Sync {
    /// The registry's bytes, `None` when there is no registry yet.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Storage`] or [`Error::Kek`]-like failures of the storage.
    fn load<'a>(&'a self) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>>;

    /// Stores `next` if the registry's bytes are still `previous` (`None`: if there is none).
    ///
    /// # Errors
    /// [`Error::RegistryConflict`] when they are not, and nothing was changed; otherwise the storage's failure,
    /// after which either bytes may be stored.
    fn replace<'a>(
        &'a self,
        previous: Option<&'a [u8]>,
        next: &'a [u8],
    ) -> BoxFuture<'a, Result<(), Error>>;
}

/// A registry in a file: the embedded default.
///
/// Written to `<path>.tmp`, synced, renamed over `path`, directory synced; writers exclude each other by an
/// advisory lock on `<path>.lock`, which the operating system drops when a process dies. Both files are readable by
/// their owner alone. File work runs on a thread of its own, never on the caller's executor. Not for network file
/// systems whose locks or renames are not reliable.
#[derive(Debug, Clone)]
pub struct FileStore {
    path: PathBuf,
    patience: Duration,
}

impl FileStore {
    /// A store at `path`. Its directory must exist; nothing is touched yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            patience: Duration::from_secs(5),
        }
    }

    /// How long a writer waits for another one before [`Error::RegistryLocked`]. 5 s unless set.
    #[must_use]
    pub fn lock_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The registry's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self) -> Result<Option<Vec<u8>>, Error> {
        read_bounded(&self.path, u64::try_from(MAX_REGISTRY).unwrap_or(u64::MAX))
    }

    fn write(
        &self,
        previous: Option<&[u8]>,
        next: &[u8],
        reached: &dyn Fn(Step) -> Result<(), Error>,
    ) -> Result<(), Error> {
        // Held until the end of this function.
        let _lock = self.lock()?;
        if self.read()?.as_deref() != previous {
            return Err(Error::RegistryConflict);
        }
        let temporary = sibling(&self.path, ".tmp");
        write_durably(&self.path, &temporary, next, Placement::Replace, reached)
    }

    fn lock(&self) -> Result<std::fs::File, Error> {
        let path = sibling(&self.path, ".lock");
        let file = open_private(&path, false).map_err(|e| io("open", &path, e))?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(e)) => return Err(io("lock", &path, e)),
                Err(TryLockError::WouldBlock) if started.elapsed() >= self.patience => {
                    return Err(Error::RegistryLocked { path });
                }
                // Locks are held for one small write: a few milliseconds.
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    async fn offloaded<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let store = self.clone();
        offload(move || work(store)).await.unwrap_or_else(|| {
            Err(io(
                action,
                &self.path,
                std::io::Error::other("no worker thread"),
            ))
        })
    }
}

impl RegistryStore for FileStore {
    fn load<'a>(&'a self) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>> {
        Box::pin(self.offloaded("read", |store| store.read()))
    }

    fn replace<'a>(
        &'a self,
        previous: Option<&'a [u8]>,
        next: &'a [u8],
    ) -> BoxFuture<'a, Result<(), Error>> {
        let previous = previous.map(<[u8]>::to_vec);
        let next = next.to_vec();
        Box::pin(self.offloaded("write", move |store| {
            store.write(previous.as_deref(), &next, &|_| Ok(()))
        }))
    }
}

/// A registry in memory, for tests. Gone with the process, and with it the keys of everything sealed.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Option<Vec<u8>>>);

impl MemoryStore {
    /// A store that holds `bytes` already.
    #[must_use]
    pub fn with_bytes(bytes: Vec<u8>) -> Self {
        Self(Mutex::new(Some(bytes)))
    }

    /// The stored bytes.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Overwrites the stored bytes without any check, as somebody with access to the storage could.
    pub fn overwrite(&self, bytes: Option<Vec<u8>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
    }
}

impl RegistryStore for MemoryStore {
    fn load<'a>(&'a self) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>> {
        Box::pin(async move { Ok(self.bytes()) })
    }

    fn replace<'a>(
        &'a self,
        previous: Option<&'a [u8]>,
        next: &'a [u8],
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if held.as_deref() != previous {
                return Err(Error::RegistryConflict);
            }
            *held = Some(next.to_vec());
            Ok(())
        })
    }
}

/// Remembers, outside the registry's storage, the highest epoch ever seen: in a device's counter, in an audit
/// stream. Without one, a node notices a roll-back only against what it has seen since it started.
pub trait EpochAnchor: Send + Sync {
    /// The highest epoch raised so far, 0 at first.
    ///
    /// # Errors
    /// Any; the registry is then not used.
    fn highest<'a>(&'a self) -> BoxFuture<'a, Result<u64, Error>>;

    /// Raises it. Must be persisted when the future ends; a lower epoch than before must change nothing.
    ///
    /// # Errors
    /// Any; the caller sees it, the registry's change stands.
    fn raise<'a>(&'a self, epoch: u64) -> BoxFuture<'a, Result<(), Error>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn file_store_compares_and_swaps() {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::new(dir.path().join("reg"));
        assert_eq!(store.load().await.unwrap(), None);
        store.replace(None, b"one").await.unwrap();
        let conflict = |r: Result<(), Error>| matches!(r, Err(Error::RegistryConflict));
        assert!(conflict(store.replace(None, b"two").await));
        assert!(conflict(store.replace(Some(b"zero"), b"two").await));
        store.replace(Some(b"one"), b"two").await.unwrap();
        assert_eq!(store.load().await.unwrap().unwrap(), b"two");
    }

    #[test]
    fn a_crash_at_any_step_leaves_a_whole_registry() {
        use Step::{Created, HalfWritten, InPlace, Synced, Written};
        for crash in [Created, HalfWritten, Written, Synced, InPlace] {
            let dir = tempfile::tempdir().unwrap();
            let store = FileStore::new(dir.path().join("reg"));
            store.write(None, b"the old one", &|_| Ok(())).unwrap();
            let stop = |s: Step| {
                if s == crash {
                    Err(Error::RegistryMissing)
                } else {
                    Ok(())
                }
            };
            store
                .write(Some(b"the old one"), b"the new one!", &stop)
                .unwrap_err();
            let found = store.read().unwrap().unwrap();
            assert!(
                found == b"the old one" || found == b"the new one!",
                "{crash:?}"
            );
            // Neither the leftover nor the lock stands in the way after the crash.
            store.write(Some(&found), b"after", &|_| Ok(())).unwrap();
            assert_eq!(store.read().unwrap().unwrap(), b"after");
        }
    }

    #[test]
    fn a_held_lock_is_named_after_the_patience() {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::new(dir.path().join("reg")).lock_patience(Duration::ZERO);
        let held = store.lock().unwrap();
        let e = store.write(None, b"x", &|_| Ok(())).unwrap_err();
        assert!(matches!(e, Error::RegistryLocked { .. }), "{e}");
        drop(held);
        store.write(None, b"x", &|_| Ok(())).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn files_are_private_and_the_directory_is_named_when_missing() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::new(dir.path().join("reg"));
        store.write(None, b"x", &|_| Ok(())).unwrap();
        for name in ["reg", "reg.lock"] {
            let mode = std::fs::metadata(dir.path().join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let lost = FileStore::new(dir.path().join("nowhere/reg"));
        let e = lost.write(None, b"x", &|_| Ok(())).unwrap_err();
        assert!(e.to_string().contains("nowhere"), "{e}");
    }

    #[tokio::test]
    async fn memory_store_compares_and_swaps() {
        let store = MemoryStore::default();
        store.replace(None, b"one").await.unwrap();
        assert!(store.replace(None, b"two").await.is_err());
        store.overwrite(Some(b"x".to_vec()));
        assert_eq!(store.load().await.unwrap().unwrap(), b"x");
    }
}
