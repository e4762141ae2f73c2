//! Where segments live: a small directory-like trait, and the file system behind it.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// One stream's directory.
///
/// # Contract
/// Names are plain file names made by this crate. After `sync` returns `Ok`, every byte appended to
/// that file before must survive loss of power; after `sync_dir`, so must creations and renames.
/// After a failed `sync` nothing may be assumed of the unsynced bytes: the log never calls it again
/// for them. No call is made concurrently.
pub trait Storage: Send {
    /// Takes the directory for this process alone until the value is dropped.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when another holds it.
    fn lock(&mut self) -> io::Result<()>;

    /// The names of all files, in any order.
    ///
    /// # Errors
    /// When the directory cannot be read.
    fn list(&mut self) -> io::Result<Vec<String>>;

    /// Makes an empty file.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when the name is taken; anything else the system says.
    fn create(&mut self, name: &str) -> io::Result<()>;

    /// The whole content of a file.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&mut self, name: &str) -> io::Result<Vec<u8>>;

    /// Adds bytes at the end; all of them or an error (after which any prefix may be there).
    ///
    /// # Errors
    /// When the bytes cannot be written.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Makes the file's content durable.
    ///
    /// # Errors
    /// When that cannot be promised.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Makes creations and renames durable.
    ///
    /// # Errors
    /// When that cannot be promised.
    fn sync_dir(&mut self) -> io::Result<()>;

    /// Cuts the file to `length` bytes.
    ///
    /// # Errors
    /// When it cannot be cut.
    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()>;

    /// Renames a file; an existing target is replaced in one step.
    ///
    /// # Errors
    /// When it cannot be renamed.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
}

impl<T: Storage + ?Sized> Storage for Box<T> {
    fn lock(&mut self) -> io::Result<()> {
        (**self).lock()
    }
    fn list(&mut self) -> io::Result<Vec<String>> {
        (**self).list()
    }
    fn create(&mut self, name: &str) -> io::Result<()> {
        (**self).create(name)
    }
    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        (**self).read(name)
    }
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        (**self).append(name, bytes)
    }
    fn sync(&mut self, name: &str) -> io::Result<()> {
        (**self).sync(name)
    }
    fn sync_dir(&mut self) -> io::Result<()> {
        (**self).sync_dir()
    }
    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()> {
        (**self).truncate(name, length)
    }
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        (**self).rename(from, to)
    }
}

/// The name of the lock file.
pub(crate) const LOCK_FILE: &str = "lock";

/// A directory of the file system: `fdatasync` for content, `fsync` on the directory for names, an
/// exclusive lock on a file named `lock`. Files are made readable by their owner alone (Unix).
///
/// Every sync also checks that the name still leads to the file written: a segment deleted or
/// replaced under the running process fails the log instead of swallowing events. The lock ends with
/// the process, however that ends; its file stays, and must: every write and sync checks that it is
/// still there, so that two processes never write one log because somebody removed it.
#[derive(Debug)]
pub struct FsStorage {
    directory: PathBuf,
    open: HashMap<String, File>,
    lock: Option<File>,
}

impl FsStorage {
    /// Opens `directory`, making it (and its parents) if it is not there.
    ///
    /// # Errors
    /// When it cannot be made, or is not a directory.
    pub fn open(directory: impl AsRef<Path>) -> io::Result<Self> {
        let directory = directory.as_ref().to_path_buf();
        // Each new folder is a name in the one above it, and lost with that name.
        let new: Vec<&Path> = directory
            .ancestors()
            .filter(|path| !path.as_os_str().is_empty())
            .take_while(|path| !path.is_dir())
            .collect();
        std::fs::create_dir_all(&directory)?;
        for folder in new {
            let above = folder.parent().filter(|path| !path.as_os_str().is_empty());
            File::open(above.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Ok(Self {
            directory,
            open: HashMap::new(),
            lock: None,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Without the lock file, another process could take the log.
    fn still_locked(&self) -> io::Result<()> {
        match &self.lock {
            Some(lock) => still_there(lock, &self.path(LOCK_FILE)),
            None => Ok(()),
        }
    }

    /// The file, opened once for appending.
    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        if !self.open.contains_key(name) {
            let file = options().append(true).read(true).open(self.path(name))?;
            // One segment is written at a time; others were synced when they were left.
            self.open.clear();
            self.open.insert(name.to_owned(), file);
        }
        self.open
            .get_mut(name)
            .ok_or_else(|| io::Error::other("file is not open"))
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

impl Storage for FsStorage {
    fn lock(&mut self) -> io::Result<()> {
        let file = options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.path(LOCK_FILE))?;
        file.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => {
                io::Error::new(io::ErrorKind::WouldBlock, "another process writes this log")
            }
            std::fs::TryLockError::Error(error) => error,
        })?;
        // Removed between the two steps: what was locked is not what the next process would find.
        still_there(&file, &self.path(LOCK_FILE))?;
        self.lock = Some(file);
        Ok(())
    }

    fn list(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        options()
            .create_new(true)
            .append(true)
            .open(self.path(name))
            .map(|_| ())
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path(name))?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.still_locked()?;
        self.file(name)?.write_all(bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let path = self.path(name);
        let file = self.file(name)?;
        file.sync_data()?;
        still_there(file, &path)?;
        self.still_locked()
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()> {
        self.still_locked()?;
        let file = self.file(name)?;
        file.set_len(length)?;
        // A shorter length is metadata that fdatasync need not write.
        file.sync_all()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.open.remove(from);
        self.open.remove(to);
        std::fs::rename(self.path(from), self.path(to))
    }
}

#[cfg(unix)]
fn still_there(file: &File, path: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let (ours, named) = (file.metadata()?, std::fs::symlink_metadata(path)?);
    if (ours.dev(), ours.ino()) != (named.dev(), named.ino()) {
        return Err(io::Error::other(
            "file was replaced under the running process",
        ));
    }
    Ok(())
}

#[cfg(not(unix))]
fn still_there(_: &File, path: &Path) -> io::Result<()> {
    std::fs::symlink_metadata(path).map(|_| ())
}
