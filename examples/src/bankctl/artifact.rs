//! `bankctl artifact`: signed files.

use std::fs::File;
use std::io::{IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use sm_jwt::{ArtifactSigner, ArtifactVerifier, JwsSigner, Manifest, SharedKeySet};

use super::compact::Unverified;
use super::input::{bad, bad_file, path_text, read_argument, refused};
use super::keys::{TrustArgs, key_id, load_private};
use super::output::{Answer, aligned};
use super::profile::ProfileArgs;
use super::target::refuse_other_than_jws;
use crate::error::{BadInput, Failure, Replace, write_output};

#[derive(Debug, Subcommand)]
pub(super) enum Artifact {
    /// Sign a manifest for a file and print it, to be kept beside the file.
    Sign(Sign),
    /// Verify a file against its signed manifest.
    Verify(Verify),
}

#[derive(Debug, Args)]
pub(super) struct Sign {
    /// The private key (PEM or JWK); it should serve nothing else.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The key's name.
    #[arg(long)]
    kid: String,
    /// What the file is.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    name: String,
    /// Its semantic version, such as 1.4.0.
    #[arg(long)]
    version: String,
    /// Where to write the manifest instead of standard output; an older one is replaced as a whole, and nothing else is.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The file.
    file: PathBuf,
    // Last: its heading would stand over what comes behind it.
    #[command(flatten)]
    profile: ProfileArgs,
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    trust: TrustArgs,
    /// What the file must be.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    name: String,
    /// The oldest version that is still good.
    #[arg(long, value_name = "VERSION")]
    min_version: String,
    /// The signed manifest; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// The file.
    file: PathBuf,
    // Last: its heading would stand over what comes behind it.
    #[command(flatten)]
    profile: ProfileArgs,
}

impl Artifact {
    /// Without progress on standard error where the answer is for machines.
    pub(super) fn run(&self, machine: bool) -> Result<Answer, Failure> {
        let shown = !machine && std::io::stderr().is_terminal();
        match self {
            Self::Sign(sign) => sign.run(shown),
            Self::Verify(verify) => verify.run(shown),
        }
    }
}

impl Sign {
    fn run(&self, shown: bool) -> Result<Answer, Failure> {
        let profile = self.profile.profile()?;
        let signer = JwsSigner::new(load_private(&self.key)?, key_id(&self.kid)?, profile)
            .map_err(|e| bad_file(&self.key, &e))?;
        if let Some(out) = &self.out {
            let read = [
                ("the private key", self.key.as_path()),
                ("the file to be signed", &self.file),
            ];
            refuse_other_than_jws(out, &read)?;
        }
        let content = Content::open(&self.file, shown)?;
        let signed = ArtifactSigner::new(signer)
            .sign(&self.name, &self.version, content.reader)
            .map_err(|e| match e {
                sm_jwt::Error::Io(io) => BadInput::file(&self.file, io),
                e @ sm_jwt::Error::Config(_) => bad("--version", &e),
                e => bad_file(&self.file, &e),
            })?;
        let mut machine = json!({
            "file": path_text(&self.file), "name": self.name, "version": self.version,
            "out": self.out.as_deref().map(path_text),
        });
        match &self.out {
            Some(out) => {
                let people = format!(
                    "{}: signed as {} {}, manifest in {}",
                    self.file.display(),
                    self.name,
                    self.version,
                    out.display()
                );
                let told = Answer::yes(machine, people)?;
                write_output(out, format!("{signed}\n").as_bytes(), Replace::Yes, false)?;
                Ok(told)
            }
            None => {
                machine["manifest"] = json!(signed);
                Ok(Answer::yes(machine, signed)?.product())
            }
        }
    }
}

impl Verify {
    fn run(&self, shown: bool) -> Result<Answer, Failure> {
        let profile = self.profile.profile()?;
        let (name, signed) = read_argument(&self.manifest)?;
        let signed = signed.trim_end();
        let parts = Unverified::read(&name, signed)?;
        let keys = self.trust.keys(&profile, parts.kid(&name)?)?;
        let keys = Arc::new(SharedKeySet::new(keys));
        let verifier = ArtifactVerifier::new(keys, &self.name, &self.min_version)
            .map_err(|e| bad("--min-version", &e))?;
        let content = Content::open(&self.file, shown)?;
        match verifier.verify(signed, content.reader) {
            Ok(manifest) => told(&self.file, &manifest),
            Err(sm_jwt::Error::Io(io)) => Err(BadInput::file(&self.file, io).into()),
            Err(error) => refused(&self.file.display().to_string(), &error),
        }
    }
}

fn told(file: &Path, manifest: &Manifest) -> Result<Answer, Failure> {
    let rows = aligned(&[
        ("name", manifest.name().to_owned()),
        ("version", manifest.version()),
        ("size", format!("{} bytes", manifest.size())),
        ("built", format!("{} (Unix)", manifest.built())),
    ]);
    let people = format!("{}: is what its manifest says\n{rows}", file.display());
    Answer::yes(
        json!({"file": path_text(file), "manifest": manifest}),
        people,
    )
}

/// A file that is read in pieces, with its progress shown.
struct Content {
    reader: Box<dyn Read>,
}

impl Content {
    /// Opens a regular file: a device or pipe may never end.
    fn open(path: &Path, shown: bool) -> Result<Self, BadInput> {
        let named = |e: std::io::Error| BadInput::file(path, e);
        if !std::fs::metadata(path).map_err(named)?.is_file() {
            return Err(BadInput::file(path, "not a regular file"));
        }
        let file = File::open(path).map_err(named)?;
        let len = file.metadata().map_err(named)?.len();
        if !shown {
            return Ok(Self {
                reader: Box::new(file),
            });
        }
        let bar = ProgressBar::new(len).with_message(path.display().to_string());
        if let Ok(style) = ProgressStyle::with_template(
            "{wide_msg} {bar:30} {bytes:>11} of {total_bytes:>11} {eta:>4}",
        ) {
            bar.set_style(style);
        }
        Ok(Self {
            reader: Box::new(Cleared(bar.wrap_read(file), bar)),
        })
    }
}

/// Takes its bar away at the end, so that the answer stands alone.
struct Cleared<R>(R, ProgressBar);

impl<R: Read> Read for Cleared<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R> Drop for Cleared<R> {
    fn drop(&mut self) {
        self.1.finish_and_clear();
    }
}
