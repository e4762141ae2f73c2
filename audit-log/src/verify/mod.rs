//! The offline verifier: given the files and a public key, finds any change.
//!
//! It recomputes every leaf, link and root from the stored content and never imports the code that
//! writes; only the hash functions and the checkpoint's encoding are shared.

mod reader;
mod report;
mod walk;

pub use report::{Head, Problem, ProblemKind, Report, StreamReport, TornTail};
pub use walk::RecordView;

use crate::checkpoint::{CheckpointVerifyingKey, SignedCheckpoint};
use crate::error::Error;
use std::path::Path;
use walk::Walk;

/// Verifies logs against trusted keys, and heads kept outside.
///
/// Detected: edits, insertions, deletions, reordering, swapped, copied or missing segments, forged
/// heads, and truncation up to the newest head given to [`expect_head`](Self::expect_head). Without
/// such a head, whoever owns the disk can cut the end off (or put an older copy back) unseen; the
/// report says so.
#[derive(Debug, Clone)]
pub struct Verifier {
    keys: Vec<CheckpointVerifyingKey>,
    outside: Vec<SignedCheckpoint>,
}

impl Verifier {
    /// Trusts heads signed under these keys, and no others.
    pub fn new(keys: impl IntoIterator<Item = CheckpointVerifyingKey>) -> Self {
        Self {
            keys: keys.into_iter().collect(),
            outside: Vec::new(),
        }
    }

    /// Demands that the log contains what this head, kept outside, covers.
    #[must_use]
    pub fn expect_head(mut self, head: SignedCheckpoint) -> Self {
        self.outside.push(head);
        self
    }

    /// Verifies a stream's directory, or a directory of such directories. A live log may be verified:
    /// what its writer has not finished is reported as a torn tail.
    ///
    /// # Errors
    /// When a file cannot be read, no segment is found, no key is given, or an expected head is not
    /// signed by a trusted key. What is wrong with the log itself is in the report.
    pub fn verify_dir(&self, path: impl AsRef<Path>) -> Result<Report, Error> {
        self.verify_dir_with(path, |_| {})
    }

    /// As [`verify_dir`](Self::verify_dir), showing each record of a complete batch on the way.
    ///
    /// # Errors
    /// As [`verify_dir`](Self::verify_dir).
    pub fn verify_dir_with(
        &self,
        path: impl AsRef<Path>,
        mut on_record: impl FnMut(RecordView<'_>),
    ) -> Result<Report, Error> {
        let path = path.as_ref();
        self.check()?;
        let (files, folders) = list(path)?;
        let mut report = Report::default();
        self.stream(path, "", files, &mut report, &mut on_record)?;
        for folder in folders {
            let inner = path.join(&folder);
            let (files, _) = list(&inner)?;
            self.stream(&inner, &folder, files, &mut report, &mut on_record)?;
        }
        self.finish(report, &path.display().to_string())
    }

    /// Verifies one stream's segments held in memory, given as file name and content.
    ///
    /// # Errors
    /// As [`verify_dir`](Self::verify_dir), but for reading.
    pub fn verify_segments(&self, segments: &[(&str, &[u8])]) -> Result<Report, Error> {
        self.check()?;
        let mut named: Vec<(u64, &str, &[u8])> = segments
            .iter()
            .filter_map(|(file, bytes)| number(file).map(|index| (index, *file, *bytes)))
            .collect();
        named.sort_by_key(|(index, ..)| *index);
        let mut report = Report::default();
        let mut walk = Walk::new(&self.keys);
        let last = named.len().saturating_sub(1);
        for (at, (index, file, bytes)) in named.iter().enumerate() {
            walk.segment(file, *index, bytes, at == last, &self.outside, &mut |_| {});
        }
        if let Some((_, file, _)) = named.last() {
            let (stream, problems) = walk.finish("", file);
            report.streams.push(stream);
            report.problems.extend(problems);
        }
        self.finish(report, ".")
    }

    fn check(&self) -> Result<(), Error> {
        if self.keys.is_empty() {
            return Err(Error::Config("no trusted key was given".into()));
        }
        self.outside
            .iter()
            .try_for_each(|head| head.verify(&self.keys))
    }

    fn stream(
        &self,
        path: &Path,
        folder: &str,
        files: Vec<String>,
        report: &mut Report,
        on_record: &mut dyn FnMut(RecordView<'_>),
    ) -> Result<(), Error> {
        let relative = |file: &str| {
            if folder.is_empty() {
                file.to_owned()
            } else {
                format!("{folder}/{file}")
            }
        };
        let mut segments: Vec<(u64, String)> = files
            .iter()
            .filter_map(|file| number(file).map(|index| (index, file.clone())))
            .collect();
        segments.sort();
        let Some((_, last_file)) = segments.last().cloned() else {
            return Ok(());
        };
        let mut walk = Walk::new(&self.keys);
        for (index, file) in &segments {
            let full = path.join(file);
            let bytes = std::fs::read(&full)
                .map_err(|error| Error::storage("read", &full.display().to_string(), error))?;
            let last = *file == last_file;
            walk.segment(
                &relative(file),
                *index,
                &bytes,
                last,
                &self.outside,
                on_record,
            );
        }
        let (mut stream, problems) = walk.finish(folder, &relative(&last_file));
        stream.set_aside = files
            .iter()
            .filter(|file| file.starts_with("segment-") && file.contains(".cut-"))
            .map(|file| relative(file))
            .collect();
        report.streams.push(stream);
        report.problems.extend(problems);
        Ok(())
    }

    fn finish(&self, mut report: Report, path: &str) -> Result<Report, Error> {
        if report.streams.is_empty() && self.outside.is_empty() {
            return Err(Error::Config(format!("no log segments in {path}")));
        }
        for head in &self.outside {
            let name = &head.checkpoint().stream;
            if !report.streams.iter().any(|stream| stream.stream == *name) {
                report.problems.push(Problem {
                    kind: ProblemKind::MissingStream,
                    file: path.to_owned(),
                    offset: None,
                    sequence: None,
                    detail: format!("stream `{name}` of a head kept outside is not there"),
                });
            }
        }
        Ok(report)
    }
}

/// The number in a segment's file name.
fn number(file: &str) -> Option<u64> {
    let digits = file.strip_prefix("segment-")?.strip_suffix(".smal")?;
    (digits.len() >= 10 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

/// Files and folders of a directory, sorted.
fn list(path: &Path) -> Result<(Vec<String>, Vec<String>), Error> {
    let fail = |error| Error::storage("list", &path.display().to_string(), error);
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(path).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if let Ok(name) = entry.file_name().into_string() {
            if entry.path().is_dir() {
                folders.push(name);
            } else {
                files.push(name);
            }
        }
    }
    files.sort();
    folders.sort();
    Ok((files, folders))
}
