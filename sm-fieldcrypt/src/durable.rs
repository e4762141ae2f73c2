//! Files that are either old and whole or new and whole, never in between.

use crate::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Where a write can be cut short. Tests stop at each of them as a crash would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The temporary file exists and is empty.
    Created,
    /// Half of the bytes are in the temporary file.
    HalfWritten,
    /// All bytes are written, not yet synced.
    Written,
    /// The temporary file is synced, not yet in place.
    Synced,
    /// The new file is in place, its directory is not yet synced.
    InPlace,
}

/// How the finished temporary file takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Replaces what is there.
    Replace,
    /// Fails if something is there.
    CreateNew,
}

pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        action,
        path: path.to_path_buf(),
        source,
    }
}

/// `path` with `suffix` appended to its file name.
pub(crate) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(suffix);
    path.with_file_name(name)
}

/// Opens for writing, readable by the owner alone; what is there already is not changed.
pub(crate) fn open_private(path: &Path, create_new: bool) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true);
    if create_new {
        options.create_new(true);
    } else {
        options.create(true).truncate(false);
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

/// Reads a file of at most `limit` bytes. `None` when there is none.
///
/// # Errors
/// [`Error::Io`], also for a longer file.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io("open", path, e)),
    };
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too long from one that just fits.
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| io("read", path, e))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        let e = std::io::Error::new(std::io::ErrorKind::FileTooLarge, "file is over the limit");
        return Err(io("read", path, e));
    }
    Ok(Some(bytes))
}

fn directory_of(path: &Path) -> &Path {
    path.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn sync_directory(path: &Path) -> Result<(), Error> {
    // Windows has no way to open a directory for syncing; its renames are journalled.
    if cfg!(unix) {
        let directory = directory_of(path);
        File::open(directory)
            .and_then(|d| d.sync_all())
            .map_err(|e| io("sync directory", directory, e))?;
    }
    Ok(())
}

/// Writes `bytes` to `path` by way of `temporary`: written, synced, put in place, directory synced. `reached`
/// is asked after every step; its error stops the write there, leaving what a crash would leave.
///
/// # Errors
/// [`Error::Io`]; the old file, if any, is then still whole (after a failure to sync the directory, old or new).
pub(crate) fn write_durably(
    path: &Path,
    temporary: &Path,
    bytes: &[u8],
    placement: Placement,
    reached: &dyn Fn(Step) -> Result<(), Error>,
) -> Result<(), Error> {
    let create_new = placement == Placement::CreateNew;
    if !create_new {
        // A crash's leftover, or a link that somebody put there: never written through, never kept.
        match std::fs::remove_file(temporary) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(io("remove", temporary, e));
            }
            _ => {}
        }
    }
    let mut file = open_private(temporary, true).map_err(|e| io("create", temporary, e))?;
    reached(Step::Created)?;
    let (first, second) = bytes
        .split_at_checked(bytes.len() / 2)
        .unwrap_or((bytes, &[]));
    let written = (|| {
        file.write_all(first)
            .map_err(|e| io("write", temporary, e))?;
        reached(Step::HalfWritten)?;
        file.write_all(second)
            .map_err(|e| io("write", temporary, e))?;
        reached(Step::Written)?;
        file.sync_all().map_err(|e| io("sync", temporary, e))
    })();
    if let Err(e) = written {
        // A full disk must not also keep a stale half; a simulated crash keeps it, as a real one would.
        if matches!(e, Error::Io { .. }) {
            let _ = std::fs::remove_file(temporary);
        }
        return Err(e);
    }
    drop(file);
    reached(Step::Synced)?;
    let placed = match placement {
        Placement::Replace => std::fs::rename(temporary, path).map_err(|e| io("replace", path, e)),
        // A hard link fails if the name is taken; a rename would overwrite it.
        Placement::CreateNew => {
            std::fs::hard_link(temporary, path).map_err(|e| io("create", path, e))
        }
    };
    if create_new || placed.is_err() {
        let _ = std::fs::remove_file(temporary);
    }
    placed?;
    reached(Step::InPlace)?;
    sync_directory(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [Step; 5] = [
        Step::Created,
        Step::HalfWritten,
        Step::Written,
        Step::Synced,
        Step::InPlace,
    ];

    #[test]
    fn a_crash_at_any_step_leaves_old_or_new() {
        for crash in STEPS {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("f");
            let tmp = sibling(&path, ".tmp");
            let ok = |_: Step| Ok(());
            write_durably(&path, &tmp, b"old value", Placement::Replace, &ok).unwrap();
            let stop = |s: Step| {
                if s == crash {
                    Err(Error::RegistryConflict)
                } else {
                    Ok(())
                }
            };
            write_durably(&path, &tmp, b"new value!", Placement::Replace, &stop).unwrap_err();
            let now = read_bounded(&path, 100).unwrap().unwrap();
            let expected: &[u8] = if crash == Step::InPlace {
                b"new value!"
            } else {
                b"old value"
            };
            assert_eq!(now, expected, "{crash:?}");
            // The leftover of the crash does not stand in the way of the next write.
            write_durably(&path, &tmp, b"next", Placement::Replace, &ok).unwrap();
            assert_eq!(read_bounded(&path, 100).unwrap().unwrap(), b"next");
            assert!(!tmp.exists());
        }
    }

    #[cfg(unix)]
    #[test]
    fn hazard_leftover_temporary_is_a_link_or_readable_by_all() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let (path, victim) = (dir.path().join("f"), dir.path().join("victim"));
        let tmp = sibling(&path, ".tmp");
        let write = |bytes| write_durably(&path, &tmp, bytes, Placement::Replace, &|_| Ok(()));
        std::fs::write(&victim, b"untouched").unwrap();
        symlink(&victim, &tmp).unwrap();
        write(b"one").unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"untouched");
        assert!(!path.is_symlink());
        std::fs::write(&tmp, b"leftover").unwrap();
        std::fs::set_permissions(&tmp, PermissionsExt::from_mode(0o666)).unwrap();
        write(b"two").unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn create_new_never_overwrites() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let tmp = sibling(&path, ".tmp");
        let ok = |_: Step| Ok(());
        write_durably(&path, &tmp, b"first", Placement::CreateNew, &ok).unwrap();
        assert!(!tmp.exists());
        let e = write_durably(&path, &tmp, b"second", Placement::CreateNew, &ok).unwrap_err();
        assert!(
            matches!(
                e,
                Error::Io {
                    action: "create",
                    ..
                }
            ),
            "{e}"
        );
        assert_eq!(read_bounded(&path, 100).unwrap().unwrap(), b"first");
        assert!(!tmp.exists());
    }

    #[test]
    fn reading_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        assert!(read_bounded(&path, 4).unwrap().is_none());
        std::fs::write(&path, b"12345").unwrap();
        assert!(read_bounded(&path, 4).is_err());
        assert_eq!(read_bounded(&path, 5).unwrap().unwrap(), b"12345");
        assert!(read_bounded(dir.path(), 5).is_err());
    }
}
