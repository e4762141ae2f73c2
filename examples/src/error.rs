//! Bad input, told with its place and its reason, and the file helpers that report it.

use std::fmt;
use std::io::{Read, Write};
use std::path::Path;

/// Exit code of the services and the demo for bad input (malformed, or refused by a check). `bankctl` has exit codes of its
/// own: whether the answer is no is another matter than what went wrong.
pub const EXIT_BAD_INPUT: u8 = 2;
/// Exit code of the services and the demo when something else went wrong: a service failed, a step differed.
pub const EXIT_FAILURE: u8 = 1;

/// Input that cannot be used: where, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", Place(source_name, *line))]
pub struct BadInput {
    /// A file, a setting or an argument.
    pub source_name: String,
    /// Line in the file, from 1; 0 where there is none.
    pub line: u64,
    /// What is wrong, without secret or personal values.
    pub reason: String,
    /// A stable name for what is wrong, where there is one.
    pub code: Option<&'static str>,
}

struct Place<'a>(&'a str, u64);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            ("", _) => Ok(()),
            (name, 0) => write!(f, "{name}: "),
            (name, line) => write!(f, "{name}:{line}: "),
        }
    }
}

impl BadInput {
    /// An error about a whole source.
    pub fn new(source_name: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self {
            source_name: source_name.into(),
            line: 0,
            reason: reason.to_string(),
            code: None,
        }
    }

    /// An error at a line of a source.
    pub fn at(source_name: impl Into<String>, line: u64, reason: impl fmt::Display) -> Self {
        Self {
            source_name: source_name.into(),
            line,
            reason: reason.to_string(),
            code: None,
        }
    }

    /// An error about a file.
    pub fn file(path: &Path, reason: impl fmt::Display) -> Self {
        Self::new(path.display().to_string(), reason)
    }

    /// With a stable name for what is wrong.
    #[must_use]
    pub fn coded(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }
}

/// Why a binary ends with something else than 0.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The input is at fault: exit code 2.
    #[error(transparent)]
    Input(#[from] BadInput),
    /// Anything else: exit code 1.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// A failure that is not the input's fault.
    pub fn other(reason: impl fmt::Display) -> Self {
        Self::Other(reason.to_string())
    }
}

/// Ends a service or the demo: prints the error on standard error and picks the exit code.
pub fn exit_code(name: &str, result: Result<(), Failure>) -> std::process::ExitCode {
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{name}: error: {failure}");
            match failure {
                Failure::Input(_) => EXIT_BAD_INPUT.into(),
                Failure::Other(_) => EXIT_FAILURE.into(),
            }
        }
    }
}

/// Reads a file of at most `max` bytes.
///
/// # Errors
/// [`BadInput`] that names the file.
pub fn read_input(path: &Path, max: u64) -> Result<Vec<u8>, BadInput> {
    let file = std::fs::File::open(path).map_err(|e| BadInput::file(path, e))?;
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| BadInput::file(path, e))?;
    if bytes.len() as u64 > max {
        return Err(BadInput::file(
            path,
            format_args!("larger than {max} bytes"),
        ));
    }
    Ok(bytes)
}

/// [`read_input`] as UTF-8 text.
///
/// # Errors
/// [`BadInput`] that names the file and the line of the first byte that is not UTF-8.
pub fn read_text(path: &Path, max: u64) -> Result<String, BadInput> {
    String::from_utf8(read_input(path, max)?).map_err(|e| {
        let good = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|&&b| b == b'\n').count() as u64;
        BadInput::at(path.display().to_string(), line, "not UTF-8")
    })
}

/// How an output file may come to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// An existing file is replaced as a whole.
    Yes,
    /// An existing file is an error: keys are never overwritten.
    No,
}

/// Whether a name is free for [`Replace::No`], which asks again when it writes.
///
/// # Errors
/// [`BadInput`] that names the file.
pub fn must_be_new(path: &Path) -> Result<(), BadInput> {
    // What a name links to does not count: a name is taken by a link that leads nowhere.
    match path.symlink_metadata() {
        Ok(_) => Err(BadInput::file(path, NEVER_OVERWRITTEN)),
        Err(_) => Ok(()),
    }
}

const NEVER_OVERWRITTEN: &str = "the file exists, and is never overwritten";

/// Writes a file as a whole or not at all: a temporary file beside it, synced, then moved.
///
/// `secret` makes it readable for its owner only.
///
/// # Errors
/// [`BadInput`] that names the file; a file that stood there before is still whole.
pub fn write_output(
    path: &Path,
    bytes: &[u8],
    replace: Replace,
    secret: bool,
) -> Result<(), BadInput> {
    let named = |e: &dyn fmt::Display| BadInput::file(path, e);
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(BadInput::file(path, "not a file name"));
    };
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    let temporary = dir.join(format!(
        ".{}.{}.tmp",
        name.to_string_lossy(),
        std::process::id()
    ));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(if secret { 0o600 } else { 0o644 });
    }
    let write = || -> std::io::Result<()> {
        let mut file = options.open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        match replace {
            Replace::Yes => std::fs::rename(&temporary, path)?,
            // A hard link fails where the name is taken, so two writers cannot both win.
            Replace::No => std::fs::hard_link(&temporary, path)?,
        }
        std::fs::File::open(dir)?.sync_all()
    };
    let written = write();
    let removed = std::fs::remove_file(&temporary);
    if let (Err(error), Replace::No) = (&written, replace)
        && error.kind() == std::io::ErrorKind::AlreadyExists
    {
        must_be_new(path)?;
    }
    written.map_err(|e| named(&e))?;
    match removed {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(named(&e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_file_survives_a_failed_write() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        write_output(&path, b"first", Replace::No, true).unwrap();
        let refused = write_output(&path, b"second", Replace::No, true).unwrap_err();
        assert!(refused.to_string().contains("key.pem"), "{refused}");
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        write_output(&path, b"third", Replace::Yes, true).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"third");
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            1,
            "no temporary is left"
        );
    }

    #[test]
    fn text_errors_name_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        std::fs::write(&path, b"a\nb\n\xff").unwrap();
        assert!(
            read_text(&path, 100)
                .unwrap_err()
                .to_string()
                .ends_with("a.toml:3: not UTF-8")
        );
        assert!(
            read_text(&path, 3)
                .unwrap_err()
                .to_string()
                .contains("larger than 3 bytes")
        );
    }
}
