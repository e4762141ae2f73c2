//! Walks one stream, segment by segment, and recomputes everything.

use crate::canonical::{self, Value};
use crate::chain::{self, GENESIS, Hash};
use crate::checkpoint::{
    Checkpoint, CheckpointVerifyingKey, SignedCheckpoint, hash_of, verify_signature,
};
use crate::hex;
use crate::merkle::Frontier;
use crate::verify::reader::{Claim, Entry, Found, Next, SegmentReader};
use crate::verify::report::{Head, Problem, ProblemKind, StreamReport, TornTail};

/// A record as it stands in the log.
#[derive(Debug, Clone, Copy)]
pub struct RecordView<'a> {
    /// The stream.
    pub stream: &'a str,
    /// Its sequence.
    pub sequence: u64,
    /// Its canonical JSON.
    pub bytes: &'a [u8],
    /// The file that holds it.
    pub file: &'a str,
    /// Where its frame starts.
    pub offset: u64,
}

/// What is known at one point of the stream. After damage the link is unknown until the next commit
/// states it, the tree until the next segment's header does.
#[derive(Clone)]
struct Known {
    sequence: u64,
    batch: u64,
    link: Option<Hash>,
    tree: Option<Frontier>,
    signed_size: u64,
    signed_hash: Option<Hash>,
    heads: u64,
    heads_unchecked: u64,
    head: Option<Head>,
    /// Heads kept outside that are still to be met, smallest first.
    outside: Vec<SignedCheckpoint>,
    /// Problems of the batch that is being read.
    problems: Vec<Problem>,
}

/// Walks one stream.
pub(crate) struct Walk<'a> {
    keys: &'a [CheckpointVerifyingKey],
    stream: Option<String>,
    next_index: u64,
    known: Known,
    problems: Vec<Problem>,
    segments: u64,
    torn: Option<TornTail>,
    outside_given: bool,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(keys: &'a [CheckpointVerifyingKey]) -> Self {
        Self {
            keys,
            stream: None,
            next_index: 0,
            known: Known {
                sequence: 0,
                batch: 0,
                link: Some(GENESIS),
                tree: Some(Frontier::new()),
                signed_size: 0,
                signed_hash: Some(GENESIS),
                heads: 0,
                heads_unchecked: 0,
                head: None,
                outside: Vec::new(),
                problems: Vec::new(),
            },
            problems: Vec::new(),
            segments: 0,
            torn: None,
            outside_given: false,
        }
    }

    /// One segment file; `last` when no other follows.
    pub(crate) fn segment(
        &mut self,
        file: &str,
        named: u64,
        bytes: &[u8],
        last: bool,
        outside: &[SignedCheckpoint],
        on_record: &mut dyn FnMut(RecordView<'_>),
    ) {
        self.segments = self.segments.saturating_add(1);
        if named != self.next_index {
            let detail = format!("segment {} is missing", self.next_index);
            self.problem(ProblemKind::MissingSegment, file, None, detail);
            self.lose_track();
        }
        self.next_index = named.saturating_add(1);
        // State before the batch that is being read, and where that batch starts.
        let mut before = self.known.clone();
        let mut start = 0usize;
        let mut records: Vec<(u64, usize, &[u8])> = Vec::new();
        let (mut reading, mut damaged) = (false, false);
        let mut reader = SegmentReader::new(bytes, named);
        while let Some(found) = reader.next() {
            let (offset, batch, entry) = match found {
                Found::Frame {
                    offset,
                    batch,
                    entry,
                } => (offset, batch, entry),
                Found::Bad {
                    offset,
                    reason,
                    next,
                } => {
                    let crash = match next {
                        Next::Nothing => last,
                        Next::Unknown => false,
                        // Behind damage, nothing passes for a crash.
                        Next::Good(_) => {
                            let batch = before.batch.checked_add(1);
                            last && !damaged && reader.unfinished(start, offset, batch)
                        }
                    };
                    if crash {
                        reading = true;
                        break;
                    }
                    damaged = true;
                    let reason = match next {
                        Next::Unknown => format!("{reason}, nor at too many markers behind it"),
                        Next::Good(_) | Next::Nothing => reason.to_owned(),
                    };
                    self.note(ProblemKind::Damaged, file, offset, reason);
                    self.lose_track();
                    continue;
                }
            };
            if !reading {
                reading = true;
                start = offset;
                before = self.known.clone();
                if let Entry::Header(claim) = &entry {
                    self.header(file, named, offset, claim, outside);
                    before = self.known.clone();
                }
                self.batch(file, offset, batch);
            } else if batch != self.known.batch {
                self.batch(file, offset, batch);
            }
            match entry {
                Entry::Header(_) if offset == 0 => {}
                Entry::Header(_) => {
                    let detail = "header in the middle of a segment".to_owned();
                    self.note(ProblemKind::Severed, file, offset, detail);
                }
                Entry::Record { sequence, bytes } => {
                    self.record(file, offset, sequence, bytes);
                    records.push((sequence, offset, bytes));
                }
                Entry::Head { body, signature } => self.head(file, offset, body, signature),
                Entry::Commit { size, link } => {
                    self.commit(file, offset, size, link, before.sequence);
                    let stream = self.stream.as_deref().unwrap_or_default();
                    for (sequence, offset, bytes) in records.drain(..) {
                        on_record(RecordView {
                            stream,
                            sequence,
                            bytes,
                            file,
                            offset: offset as u64,
                        });
                    }
                    self.problems.append(&mut self.known.problems);
                    before = self.known.clone();
                    start = bytes_after(bytes, offset);
                    reading = false;
                }
            }
        }
        if reading || start < bytes.len() {
            if last {
                // What was signed outside is not looked for in a batch that does not count.
                let mut noted = std::mem::replace(&mut self.known, before).problems;
                noted.drain(..self.known.problems.len().min(noted.len()));
                noted.retain(|problem| problem.kind != ProblemKind::Head);
                self.problems.append(&mut self.known.problems);
                self.problems.append(&mut noted);
                if start == 0 && bytes.len() > self.header_batch() {
                    let detail = "no readable header, but more than a header was written";
                    self.problem(ProblemKind::Damaged, file, Some(0), detail.to_owned());
                }
                self.torn = Some(TornTail {
                    file: file.to_owned(),
                    offset: start as u64,
                    bytes: bytes.len().saturating_sub(start) as u64,
                });
            } else {
                let detail = "the segment ends in the middle of a batch".to_owned();
                self.note(ProblemKind::Damaged, file, start, detail);
                self.problems.append(&mut self.known.problems);
                self.lose_track();
            }
        }
        if bytes.is_empty() && !last {
            let detail = "the segment is empty".to_owned();
            self.problem(ProblemKind::Damaged, file, Some(0), detail);
            self.lose_track();
        }
    }

    /// What is found wrong with a file or the stream as a whole.
    fn problem(&mut self, kind: ProblemKind, file: &str, offset: Option<usize>, detail: String) {
        self.problems.push(Problem {
            kind,
            file: file.to_owned(),
            offset: offset.map(|at| at as u64),
            sequence: None,
            detail,
        });
    }

    /// What is found wrong in the batch that is being read.
    fn note(&mut self, kind: ProblemKind, file: &str, offset: usize, detail: String) {
        let sequence = Some(self.known.sequence);
        self.known.problems.push(Problem {
            kind,
            file: file.to_owned(),
            offset: Some(offset as u64),
            sequence,
            detail,
        });
    }

    /// The length of the batch that begins a segment here: two frames of 21 bytes and a payload.
    fn header_batch(&self) -> usize {
        const FIXED: usize = 21 + (5 + 2 + 4 * 8 + 2 * 32 + 1) + 21 + 40;
        let peaks = usize::try_from(self.known.sequence.count_ones()).unwrap_or(usize::MAX);
        FIXED
            .saturating_add(self.stream.as_ref().map_or(0, String::len))
            .saturating_add(peaks.saturating_mul(size_of::<Hash>()))
    }

    fn lose_track(&mut self) {
        self.known.link = None;
        self.known.tree = None;
    }

    fn header(
        &mut self,
        file: &str,
        named: u64,
        offset: usize,
        claim: &Claim<'_>,
        outside: &[SignedCheckpoint],
    ) {
        if claim.index != named {
            let detail = format!("its header says that it is segment {}", claim.index);
            self.note(ProblemKind::WrongSegment, file, offset, detail);
        }
        match &self.stream {
            None => {
                self.stream = Some(claim.stream.to_owned());
                self.known.outside = outside
                    .iter()
                    .filter(|head| head.checkpoint().stream == claim.stream)
                    .cloned()
                    .collect();
                self.known
                    .outside
                    .sort_by_key(|head| head.checkpoint().size);
                self.outside_given = !self.known.outside.is_empty();
                self.compare_outside(file);
            }
            Some(stream) if stream != claim.stream => {
                let detail = format!("it belongs to stream `{}`", claim.stream);
                self.note(ProblemKind::WrongStream, file, offset, detail);
            }
            Some(_) => {}
        }
        let tree = Frontier::from_peaks(claim.size, claim.peaks.clone());
        let known = &self.known;
        let goes_on = known.sequence == claim.size
            && known.batch == claim.batch
            && known.link.is_none_or(|link| link == claim.link)
            && known.signed_size == claim.signed_size
            && known
                .signed_hash
                .is_none_or(|hash| hash == claim.signed_hash)
            && tree.is_some()
            && (known.tree.is_none() || known.tree == tree);
        let lost = known.link.is_none();
        if tree.is_none() || !(goes_on || lost) {
            let detail = format!(
                "its header goes on from record {} of another chain",
                claim.size
            );
            self.note(ProblemKind::Severed, file, offset, detail);
        } else if known.sequence > claim.size {
            let detail = format!("its header goes back to record {}", claim.size);
            self.note(ProblemKind::Severed, file, offset, detail);
        }
        // Go on from what it claims: the next signed head shows whether that was true.
        self.known.sequence = claim.size;
        self.known.batch = claim.batch;
        self.known.link = Some(claim.link);
        self.known.tree = tree;
        self.known.signed_size = claim.signed_size;
        self.known.signed_hash = Some(claim.signed_hash);
    }

    fn batch(&mut self, file: &str, offset: usize, batch: u64) {
        if self.known.batch.checked_add(1) != Some(batch) {
            let detail = format!("batch {batch} after batch {}", self.known.batch);
            // Damage just before explains a gap.
            if self.known.link.is_some() {
                self.note(ProblemKind::Batch, file, offset, detail);
                self.lose_track();
            }
        }
        self.known.batch = batch;
    }

    fn record(&mut self, file: &str, offset: usize, sequence: u64, bytes: &[u8]) {
        if sequence != self.known.sequence {
            if self.known.link.is_some() || sequence < self.known.sequence {
                let expected = self.known.sequence;
                let detail = format!("record {sequence} stands where {expected} is due");
                self.note(ProblemKind::Sequence, file, offset, detail);
            }
            self.lose_track();
            self.known.sequence = sequence;
        }
        match canonical::parse(bytes) {
            Err(error) => self.note(ProblemKind::NotCanonical, file, offset, error.to_string()),
            Ok(record) => {
                if let Some(detail) = lacks(&record) {
                    self.note(ProblemKind::Record, file, offset, detail);
                }
            }
        }
        let leaf = chain::leaf(bytes);
        let stream = self.stream.as_deref().unwrap_or_default();
        if let Some(link) = &mut self.known.link {
            *link = chain::link(stream, sequence, link, &leaf);
        }
        if let Some(tree) = &mut self.known.tree {
            tree.push(leaf);
        }
        self.known.sequence = sequence.saturating_add(1);
        self.compare_outside(file);
    }

    /// Compares heads kept outside that end here.
    fn compare_outside(&mut self, file: &str) {
        let size = self.known.sequence;
        while let Some(head) = self.known.outside.first()
            && head.checkpoint().size <= size
        {
            let head = self.known.outside.remove(0);
            let covered = head.checkpoint().size;
            let detail = match &self.known.tree {
                Some(tree) if covered == size && tree.root() == head.checkpoint().root => continue,
                Some(_) if covered == size => "differ from the head kept outside",
                _ => "cannot be compared with the head kept outside: damage before it",
            };
            self.known.problems.push(Problem {
                kind: ProblemKind::Head,
                file: file.to_owned(),
                offset: None,
                sequence: covered.checked_sub(1),
                detail: format!("the first {covered} records {detail}"),
            });
        }
    }

    fn head(&mut self, file: &str, offset: usize, body: &[u8], signature: &[u8; 64]) {
        self.known.heads = self.known.heads.saturating_add(1);
        let head = match Checkpoint::parse(body) {
            Ok(head) => head,
            Err(error) => {
                self.note(ProblemKind::Checkpoint, file, offset, error.to_string());
                self.known.signed_hash = None;
                return;
            }
        };
        let noted = self.known.problems.len();
        if let Err(error) = verify_signature(self.keys, &head.key_id, body, signature) {
            self.note(ProblemKind::Signature, file, offset, error.to_string());
        }
        if self.stream.as_deref() != Some(head.stream.as_str()) {
            let detail = format!("the head is of stream `{}`", head.stream);
            self.note(ProblemKind::WrongStream, file, offset, detail);
        }
        if self
            .known
            .signed_hash
            .is_some_and(|hash| hash != head.previous)
        {
            let detail = "the head does not name the head before it".to_owned();
            self.note(ProblemKind::Checkpoint, file, offset, detail);
        }
        if head.size != self.known.sequence {
            let detail = format!("the head covers {} records, not those before it", head.size);
            self.note(ProblemKind::Checkpoint, file, offset, detail);
        }
        match &self.known.tree {
            Some(tree) if tree.root() != head.root => {
                let detail = format!(
                    "content of records {} to {} differs from what was signed",
                    self.known.signed_size,
                    head.size.saturating_sub(1)
                );
                self.note(ProblemKind::Root, file, offset, detail);
                self.known.tree = None;
            }
            Some(_) if self.known.link.is_some_and(|link| link != head.link) => {
                let detail = "the head's link differs from the chain".to_owned();
                self.note(ProblemKind::Chain, file, offset, detail);
            }
            Some(_) => {}
            None => self.known.heads_unchecked = self.known.heads_unchecked.saturating_add(1),
        }
        if self.known.tree.is_some() && self.known.problems.len() == noted {
            self.known.head = Some(Head {
                size: head.size,
                root: hex::encode(&head.root),
                link: hex::encode(&head.link),
                key_id: head.key_id.clone(),
                time_unix_ns: head.time.unix_ns(),
            });
        }
        self.known.signed_size = head.size;
        self.known.signed_hash = Some(hash_of(body));
    }

    fn commit(&mut self, file: &str, offset: usize, size: u64, link: Hash, first: u64) {
        let known = &self.known;
        if size != known.sequence {
            let detail = format!("the batch ends with {size} records, not {}", known.sequence);
            if known.link.is_some() {
                self.note(ProblemKind::Sequence, file, offset, detail);
            }
            self.known.sequence = size;
            self.known.tree = None;
        } else if known.link.is_some_and(|ours| ours != link) {
            let detail = format!(
                "content of records {first} to {} differs from what was written",
                size.saturating_sub(1)
            );
            self.note(ProblemKind::Chain, file, offset, detail);
            self.known.tree = None;
        }
        self.known.link = Some(link);
    }

    /// The end of the stream.
    pub(crate) fn finish(
        mut self,
        directory: &str,
        last_file: &str,
    ) -> (StreamReport, Vec<Problem>) {
        let size = self.known.sequence;
        if self.stream.is_none() {
            let detail = "no segment header can be read".to_owned();
            self.problem(ProblemKind::Damaged, last_file, Some(0), detail);
        }
        for head in std::mem::take(&mut self.known.outside) {
            let due = head.checkpoint().size;
            let (kind, detail) = if due > size {
                (
                    ProblemKind::Truncated,
                    format!("the log has {size} records, the head kept outside covers {due}"),
                )
            } else {
                (
                    ProblemKind::Head,
                    format!("the log cannot be compared with the head over {due} records: damage"),
                )
            };
            self.problem(kind, last_file, None, detail);
        }
        let signed = self.known.head.as_ref().map_or(0, |head| head.size);
        let report = StreamReport {
            stream: self.stream.unwrap_or_default(),
            directory: directory.to_owned(),
            segments: self.segments,
            records: size,
            heads: self.known.heads,
            heads_unchecked: self.known.heads_unchecked,
            head: self.known.head,
            unanchored: size.saturating_sub(signed),
            compared_with_outside_head: self.outside_given,
            torn_tail: self.torn,
            set_aside: Vec::new(),
        };
        (report, self.problems)
    }
}

/// Where the commit frame at `offset` ends: its length is fixed.
fn bytes_after(bytes: &[u8], offset: usize) -> usize {
    offset.saturating_add(17 + 40 + 4).min(bytes.len())
}

/// What a record lacks of the five assessed fields and the format's own.
fn lacks(record: &Value) -> Option<String> {
    if record.get("v") != Some(&Value::Int(1)) {
        return Some("record is not of version 1".to_owned());
    }
    let text = |outer: &str, inner: &str| {
        record
            .get(outer)
            .and_then(|value| value.get(inner))
            .and_then(Value::as_str)
            .is_some()
    };
    for (field, present) in [
        ("time.unix_ns", text("time", "unix_ns")),
        ("who.type", text("who", "type")),
        ("kind", record.get("kind").and_then(Value::as_str).is_some()),
        ("outcome.status", text("outcome", "status")),
        (
            "details",
            matches!(record.get("details"), Some(Value::Object(_))),
        ),
        ("salt", record.get("salt").and_then(Value::as_str).is_some()),
    ] {
        if !present {
            return Some(format!("record lacks `{field}`"));
        }
    }
    None
}
