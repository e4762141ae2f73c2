//! Where a command writes: what it may replace, and files that come together or not at all.

use std::fs::{Metadata, symlink_metadata};
use std::path::{Path, PathBuf};

use super::compact::Unverified;
use super::input::MAX_INPUT_BYTES;
use crate::error::{BadInput, Replace, must_be_new, read_text, write_output};

/// Refuses a target that is there and is not a regular file: a device, a pipe, a folder, a link to something else.
pub(super) fn refuse_other_than_file(target: &Path) -> Result<(), BadInput> {
    match there(target)? {
        Some(found) if !found.is_file() => Err(BadInput::file(
            target,
            "is there and is not a regular file: it is not replaced",
        )),
        _ => Ok(()),
    }
}

/// Refuses a target that is one of the files the command reads, or that is there and holds no compact JWS.
pub(super) fn refuse_other_than_jws(target: &Path, read: &[(&str, &Path)]) -> Result<(), BadInput> {
    for (what, path) in read {
        if is_same_file(target, path) {
            let reason = format_args!("is {what} itself: it is not replaced");
            return Err(BadInput::file(target, reason));
        }
    }
    refuse_other_than_file(target)?;
    if there(target)?.is_none() {
        return Ok(());
    }
    let name = target.display().to_string();
    let old = read_text(target, MAX_INPUT_BYTES)
        .and_then(|text| Unverified::read(&name, text.trim_end()));
    old.map(drop).map_err(|_| {
        let reason = "is there and holds no signed manifest: it is not replaced";
        BadInput::file(target, reason)
    })
}

/// Writes a private key and, where it is wanted, its public half: both or neither, and nothing is replaced.
pub(super) fn write_pair(
    private: (&Path, &[u8]),
    public: Option<(&Path, &[u8])>,
) -> Result<(), BadInput> {
    let (private_path, private_text) = private;
    must_be_new(private_path)?;
    let Some((public_path, public_text)) = public else {
        return write_output(private_path, private_text, Replace::No, true);
    };
    must_be_new(public_path)?;
    if place(private_path) == place(public_path) {
        let reason = "the private key and its public half need a file each";
        return Err(BadInput::file(public_path, reason));
    }
    // The public half first: should the second not come to be, no secret has to be taken back.
    write_output(public_path, public_text, Replace::No, false)?;
    write_output(private_path, private_text, Replace::No, true).map_err(|mut error| {
        if let Err(left) = std::fs::remove_file(public_path) {
            error.reason += &format!("; {} is left behind: {left}", public_path.display());
        }
        error
    })
}

/// What stands there; a link is what it is, not what it leads to.
fn there(path: &Path) -> Result<Option<Metadata>, BadInput> {
    match symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(BadInput::file(path, error)),
    }
}

/// The folder as it is, and the name in it.
fn place(path: &Path) -> Option<PathBuf> {
    let folder = match path.parent()? {
        here if here.as_os_str().is_empty() => Path::new("."),
        folder => folder,
    };
    Some(folder.canonicalize().ok()?.join(path.file_name()?))
}

/// By device and inode: a file may have several names.
#[cfg(unix)]
fn is_same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |path| {
        std::fs::metadata(path)
            .map(|found| (found.dev(), found.ino()))
            .ok()
    };
    identity(a).is_some_and(|a| Some(a) == identity(b))
}

#[cfg(not(unix))]
fn is_same_file(a: &Path, b: &Path) -> bool {
    a.canonicalize()
        .is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}
