//! `bankctl audit`: an audit stream, verified offline.

use std::path::{Path, PathBuf};

use clap::Args;

use super::input::MAX_INPUT_BYTES;
use super::output::{Answer, plain};
use crate::error::{BadInput, Failure, read_text};

#[derive(Debug, Args)]
pub(super) struct Audit {
    /// Folder of the stream.
    dir: PathBuf,
    /// A trusted key: `ID=FILE` with a public key (SPKI PEM).
    #[arg(long = "key", value_name = "ID=FILE", required = true)]
    keys: Vec<String>,
}

impl Audit {
    pub(super) fn run(&self) -> Result<Answer, Failure> {
        let dir = &self.dir;
        let mut trusted = Vec::new();
        for key in &self.keys {
            let (id, file) = key
                .split_once('=')
                .ok_or_else(|| BadInput::new("--key", format_args!("`{key}` is not ID=FILE")))?;
            let pem = read_text(Path::new(file), MAX_INPUT_BYTES)?;
            let key = audit_log::CheckpointVerifyingKey::from_spki_pem(id, &pem)
                .map_err(|e| BadInput::new(file, e))?;
            trusted.push(key);
        }
        let report = audit_log::Verifier::new(trusted)
            .verify_dir(dir)
            .map_err(|e| BadInput::file(dir, e))?;
        let found = Answer::yes(&report, plain(&report.to_string()))?;
        match report.problems().len() {
            0 if report.is_intact() => Ok(found),
            n => {
                let reason = BadInput::file(dir, format_args!("not intact: {n} problems"));
                Ok(found.but_no("not_intact", reason))
            }
        }
    }
}
