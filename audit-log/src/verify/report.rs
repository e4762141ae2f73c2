//! What the verifier found, for people and for programs.

use serde::Serialize;
use std::fmt;

/// What kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProblemKind {
    /// Bytes in the middle of a file are no frame.
    Damaged,
    /// A segment file is missing, or the first one is not the stream's beginning.
    MissingSegment,
    /// A file's name and the number in its header differ: swapped, copied or renamed.
    WrongSegment,
    /// A file belongs to another stream.
    WrongStream,
    /// A segment does not go on where the previous one ended.
    Severed,
    /// Records are missing, repeated or out of order.
    Sequence,
    /// Batches are missing, repeated or out of order.
    Batch,
    /// A record's bytes are not in the one canonical form.
    NotCanonical,
    /// A record lacks a mandatory field, or is of an unknown version.
    Record,
    /// The recomputed link differs from the stored one: content was changed.
    Chain,
    /// The recomputed Merkle root differs from a signed one: content was changed.
    Root,
    /// A signed head is malformed, or does not name the head before it.
    Checkpoint,
    /// A head's signature does not verify, or its key is not trusted.
    Signature,
    /// The log is shorter than a head kept outside says.
    Truncated,
    /// The log differs from a head kept outside.
    Head,
    /// A stream of which a head was kept outside is not there.
    MissingStream,
}

/// One problem, located.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What kind.
    pub kind: ProblemKind,
    /// In which file (relative to the directory verified).
    pub file: String,
    /// At which byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// At which record, as near as can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// In words.
    pub detail: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(offset) = self.offset {
            write!(f, " at byte {offset}")?;
        }
        if let Some(sequence) = self.sequence {
            write!(f, ", sequence {sequence}")?;
        }
        write!(f, ": {}", self.detail)
    }
}

/// The last signed head that verified in every respect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Head {
    /// How many records it covers.
    pub size: u64,
    /// The Merkle root, hexadecimal.
    pub root: String,
    /// The last link, hexadecimal.
    pub link: String,
    /// Whose key signed it.
    pub key_id: String,
    /// When, in nanoseconds since 1970-01-01 UTC.
    pub time_unix_ns: i64,
}

/// An unfinished batch at the end: a crash, or a writer at work. Nothing in it was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TornTail {
    /// In which file.
    pub file: String,
    /// Where it starts.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
}

/// What was found of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StreamReport {
    /// The stream's id.
    pub stream: String,
    /// Its directory, relative to the directory verified.
    pub directory: String,
    /// How many segment files.
    pub segments: u64,
    /// How many records in complete batches.
    pub records: u64,
    /// How many signed heads.
    pub heads: u64,
    /// Heads whose root could not be recomputed because of damage before them.
    pub heads_unchecked: u64,
    /// The last good head.
    pub head: Option<Head>,
    /// Records after the last good head: only the chain speaks for them. Whoever owns the disk can
    /// remove these, and everything after the last head that is kept outside.
    pub unanchored: u64,
    /// Whether a head kept outside was given for this stream and compared.
    pub compared_with_outside_head: bool,
    /// An unfinished batch at the end.
    pub torn_tail: Option<TornTail>,
    /// Tails of earlier crashes, set aside in files of their own.
    pub set_aside: Vec<String>,
}

/// What the verifier found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The streams, by directory.
    pub streams: Vec<StreamReport>,
    /// The problems, in the order in which they were met.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Whether nothing is wrong. A torn tail and unanchored records are no problems.
    pub fn is_intact(&self) -> bool {
        self.problems.is_empty()
    }

    /// The problems.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many records there are in all streams.
    pub fn records(&self) -> u64 {
        self.streams
            .iter()
            .fold(0, |sum, stream| sum.saturating_add(stream.records))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for stream in &self.streams {
            writeln!(f, "stream      {}", stream.stream)?;
            writeln!(f, "  segments  {}", stream.segments)?;
            writeln!(f, "  records   {}", stream.records)?;
            writeln!(f, "  heads     {} signed", stream.heads)?;
            if stream.heads_unchecked > 0 {
                writeln!(
                    f,
                    "            {} could not be recomputed: damage before them",
                    stream.heads_unchecked
                )?;
            }
            match &stream.head {
                Some(head) => {
                    writeln!(
                        f,
                        "  last head {} records, key {}, signed at {} ns UTC",
                        head.size, head.key_id, head.time_unix_ns
                    )?;
                    writeln!(f, "            root {}", head.root)?;
                }
                None => writeln!(f, "  last head none")?,
            }
            writeln!(f, "  after it  {} records (unanchored)", stream.unanchored)?;
            writeln!(
                f,
                "  outside   {}",
                if stream.compared_with_outside_head {
                    "compared with a head kept outside"
                } else {
                    "no head kept outside was given: a cut at the end would not show"
                }
            )?;
            if let Some(tail) = &stream.torn_tail {
                writeln!(
                    f,
                    "  torn tail {} bytes at byte {} of {} (unfinished batch, not acknowledged)",
                    tail.bytes, tail.offset, tail.file
                )?;
            }
            for file in &stream.set_aside {
                writeln!(f, "  set aside {file}")?;
            }
        }
        for problem in &self.problems {
            writeln!(f, "PROBLEM     {problem}")?;
        }
        f.write_str("verdict     ")?;
        match self.problems.len() {
            0 => f.write_str("intact")?,
            1 => f.write_str("NOT INTACT: 1 problem")?,
            n => write!(f, "NOT INTACT: {n} problems")?,
        }
        if self.problems.is_empty() {
            for tail in self.streams.iter().filter_map(|s| s.torn_tail.as_ref()) {
                write!(
                    f,
                    " up to a torn tail of {} bytes in {}",
                    tail.bytes, tail.file
                )?;
            }
        }
        Ok(())
    }
}
