//! Opening a stream again: what is whole is kept, what a crash left is set aside, what is damaged
//! stops the log.
//!
//! A crash leaves at most one unfinished batch, at the very end: the next one is written only after
//! it was synced. So a bad frame with a frame of a *later* batch behind it was once durable, and is
//! damage. Within the last batch the disk may have kept later sectors and lost earlier ones; a lost
//! sector reads as zeros. A bad frame there, with a good one behind it, passes for a crash only if a
//! whole sector between them is all zeros; everything else is damage. The first batch of a segment
//! is its header, of known length: a longer file without it once had records, and is damaged too.
//! Damage is reported with file and offset, and nothing is changed.

use crate::chain;
use crate::checkpoint::{Checkpoint, hash_of};
use crate::crypto::sm3;
use crate::error::Error;
use crate::frame::{self, Budget, Exhausted, Frame, FrameKind};
use crate::segment::{self, StreamState};
use crate::storage::Storage;

/// The unit in which disks lose writes.
const SECTOR: usize = 512;
/// A zero run shorter than this proves nothing.
const MIN_HOLE: usize = 8;

/// How a stream was found.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) state: StreamState,
    /// The segment to go on with, and its length; `None` when there is none yet.
    pub(crate) segment: Option<(u64, u64)>,
    /// What was set aside and is not yet stated in the log.
    pub(crate) set_aside: Vec<SetAside>,
}

/// An unfinished tail, kept in a file of its own.
#[derive(Debug, Clone)]
pub(crate) struct SetAside {
    /// The file that keeps it until the log states it (then `.pending` is dropped from its name).
    pub(crate) file: String,
    pub(crate) bytes: u64,
    pub(crate) hash: chain::Hash,
}

const PENDING: &str = ".pending";

impl SetAside {
    /// Its name once the log states it.
    pub(crate) fn settled_name(&self) -> &str {
        self.file.strip_suffix(PENDING).unwrap_or(&self.file)
    }
}

/// Finds out where the stream stands; cuts an unfinished tail after keeping it aside.
pub(crate) fn recover(storage: &mut dyn Storage, stream: &str) -> Result<Recovered, Error> {
    let names = storage
        .list()
        .map_err(|error| Error::storage("list", ".", error))?;
    let mut indexes: Vec<u64> = names.iter().filter_map(|n| segment::index_of(n)).collect();
    indexes.sort_unstable();
    for pair in indexes.windows(2) {
        if let [a, b] = pair
            && a.checked_add(1) != Some(*b)
        {
            let missing = segment::name(a.saturating_add(1));
            return Err(Error::damaged(&missing, 0, "segment is missing"));
        }
    }
    let mut set_aside = Vec::new();
    for file in names.iter().filter(|name| name.ends_with(PENDING)) {
        let bytes = read(storage, file)?;
        set_aside.push(SetAside {
            file: file.clone(),
            bytes: bytes.len() as u64,
            hash: sm3(&[&bytes]),
        });
    }
    let Some((last, earlier)) = indexes.split_last() else {
        return Ok(Recovered {
            state: StreamState::genesis(),
            segment: None,
            set_aside,
        });
    };
    let file = segment::name(*last);
    let bytes = read(storage, &file)?;
    let scan = scan(&file, &bytes, stream, *last)?;
    let (state, kept) = match scan {
        Scan::Whole(state) => (state, bytes.len()),
        Scan::Torn(state, kept) => (state, kept),
        Scan::NoHeader => {
            // The crash came while this segment was being made: the one before is complete.
            let state = match earlier.last() {
                None if *last == 0 => StreamState::genesis(),
                None => return Err(Error::damaged(&file, 0, "segment has no header")),
                Some(index) => {
                    let file = segment::name(*index);
                    let bytes = read(storage, &file)?;
                    match self::scan(&file, &bytes, stream, *index)? {
                        Scan::Whole(state) => state,
                        Scan::Torn(_, at) => {
                            let reason = "unfinished batch in a segment that was left complete";
                            return Err(Error::damaged(&file, at as u64, reason));
                        }
                        Scan::NoHeader => {
                            return Err(Error::damaged(&file, 0, "segment has no header"));
                        }
                    }
                }
            };
            if bytes.len() > segment::header_batch(stream, *last, &state).len() {
                let reason = "no readable header, but more than a header was written";
                return Err(Error::damaged(&file, 0, reason));
            }
            (state, 0)
        }
    };
    if kept < bytes.len() {
        let tail = bytes.get(kept..).unwrap_or_default();
        set_aside.push(keep_aside(storage, &names, &file, kept, tail)?);
    }
    Ok(Recovered {
        state,
        segment: Some((*last, kept as u64)),
        set_aside,
    })
}

fn read(storage: &mut dyn Storage, file: &str) -> Result<Vec<u8>, Error> {
    storage
        .read(file)
        .map_err(|error| Error::storage("read", file, error))
}

/// Copies the tail into a file of its own, makes that durable, and only then cuts.
fn keep_aside(
    storage: &mut dyn Storage,
    names: &[String],
    file: &str,
    at: usize,
    tail: &[u8],
) -> Result<SetAside, Error> {
    let mut attempt = 0u32;
    let aside = loop {
        let settled = format!("{file}.cut-{at}-{attempt}");
        let pending = format!("{settled}{PENDING}");
        if !names.contains(&settled) && !names.contains(&pending) {
            break pending;
        }
        attempt = attempt.saturating_add(1);
    };
    let on = |operation, name: &str, result: std::io::Result<()>| {
        result.map_err(|error| Error::storage(operation, name, error))
    };
    on("create", &aside, storage.create(&aside))?;
    on("append to", &aside, storage.append(&aside, tail))?;
    on("sync", &aside, storage.sync(&aside))?;
    on("sync directory of", &aside, storage.sync_dir())?;
    on("cut", file, storage.truncate(file, at as u64))?;
    on("sync", file, storage.sync(file))?;
    Ok(SetAside {
        file: aside,
        bytes: tail.len() as u64,
        hash: sm3(&[tail]),
    })
}

#[derive(Debug, PartialEq)]
enum Scan {
    /// Ends with a commit frame.
    Whole(StreamState),
    /// Ends with an unfinished batch, which starts at that offset.
    Torn(StreamState, usize),
    /// Not even the header's batch is complete.
    NoHeader,
}

/// Reads one segment. Chain, tree and commit frames must agree; signatures are the verifier's task.
fn scan(file: &str, bytes: &[u8], stream: &str, index: u64) -> Result<Scan, Error> {
    let mut committed: Option<(StreamState, usize)> = None;
    let mut batch: Option<StreamState> = None;
    let mut at = 0;
    while at < bytes.len() {
        let frame = match frame::read(bytes, index, at) {
            Ok(frame) => frame,
            Err(reason) => {
                let kept = committed.as_ref().map_or(0, |(_, end)| *end);
                let last = committed.as_ref().map(|(state, _)| state.batch);
                judge_tail(file, bytes, index, kept, at, last, reason)?;
                break;
            }
        };
        let damaged = |reason: &str| Error::damaged(file, at as u64, reason);
        let mut state = match (batch.take(), &committed) {
            (Some(state), _) => state,
            (None, Some((state, _))) => {
                let mut state = state.clone();
                state.batch = state.batch.saturating_add(1);
                state
            }
            (None, None) => {
                let (found, number, mut state) = (frame.kind == FrameKind::Header)
                    .then(|| segment::decode_header(frame.payload))
                    .flatten()
                    .ok_or_else(|| damaged("not a segment header of format 1"))?;
                if found != stream {
                    let reason = format!("{file} belongs to stream `{found}`, not `{stream}`");
                    return Err(Error::Config(reason));
                }
                if number != index {
                    return Err(damaged("header states another segment number"));
                }
                if index == 0 && state != StreamState::genesis() {
                    return Err(damaged("the first segment does not begin at the beginning"));
                }
                state.batch = state.batch.saturating_add(1);
                state
            }
        };
        if frame.batch != state.batch {
            return Err(damaged("frame belongs to another batch"));
        }
        match frame.kind {
            FrameKind::Header if at == 0 => {}
            FrameKind::Header => return Err(damaged("header in the middle of a segment")),
            FrameKind::Record => apply_record(&mut state, stream, &frame).map_err(damaged)?,
            FrameKind::Checkpoint => {
                apply_checkpoint(&mut state, stream, &frame).map_err(damaged)?
            }
            FrameKind::Commit if frame.payload == state.commit_payload() => {
                committed = Some((state, frame.end));
                at = frame.end;
                continue;
            }
            FrameKind::Commit => return Err(damaged("commit does not match the chain")),
        }
        batch = Some(state);
        at = frame.end;
    }
    Ok(match committed {
        Some((state, end)) if end == bytes.len() => Scan::Whole(state),
        Some((state, end)) => Scan::Torn(state, end),
        None if bytes.len() <= segment::MAX_HEADER_BATCH => Scan::NoHeader,
        None => return Err(Error::damaged(file, 0, "segment has no readable header")),
    })
}

fn apply_record(
    state: &mut StreamState,
    stream: &str,
    frame: &Frame<'_>,
) -> Result<(), &'static str> {
    let (sequence, record) = frame
        .payload
        .split_first_chunk::<8>()
        .ok_or("record frame is too short")?;
    let sequence = u64::from_be_bytes(*sequence);
    if sequence != state.tree.size() {
        return Err("record is out of sequence");
    }
    let leaf = chain::leaf(record);
    state.link = chain::link(stream, sequence, &state.link, &leaf);
    state.tree.push(leaf);
    Ok(())
}

fn apply_checkpoint(
    state: &mut StreamState,
    stream: &str,
    frame: &Frame<'_>,
) -> Result<(), &'static str> {
    let (body, _) = frame
        .payload
        .split_last_chunk::<64>()
        .ok_or("checkpoint frame is too short")?;
    let head = Checkpoint::parse(body).map_err(|_| "checkpoint cannot be read")?;
    let agrees = head.stream == stream
        && head.size == state.tree.size()
        && head.root == state.tree.root()
        && head.link == state.link
        && head.previous == state.signed_hash;
    if !agrees {
        return Err("checkpoint does not match the chain");
    }
    state.signed_size = head.size;
    state.signed_hash = hash_of(body);
    Ok(())
}

/// Crash or damage? The frame at `bad` cannot be read; the last complete batch ends at `kept`.
fn judge_tail(
    file: &str,
    bytes: &[u8],
    index: u64,
    kept: usize,
    bad: usize,
    last_batch: Option<u64>,
    reason: &str,
) -> Result<(), Error> {
    let mut budget = Budget::new(bytes.len());
    let mut find = |from: usize| {
        budget.find(bytes, index, from).map_err(|Exhausted| {
            let reason = format!("{reason}, and too many markers behind it start no frame");
            Error::damaged(file, bad as u64, reason)
        })
    };
    let mut bad = bad;
    let mut from = bad.saturating_add(1);
    while let Some((at, frame)) = find(from)? {
        let same_batch = last_batch.is_none_or(|last| last.checked_add(1) == Some(frame.batch));
        if !same_batch || !has_hole(bytes, kept, bad, at) {
            let reason = format!("{reason}, but a good frame follows at byte {at}");
            return Err(Error::damaged(file, bad as u64, reason));
        }
        // On to the next bad frame of the tail, if there is one.
        let mut good = frame;
        while let Ok(next) = frame::read(bytes, index, good.end) {
            if next.batch != good.batch {
                let reason = format!("{reason}, but a later batch follows at byte {}", good.end);
                return Err(Error::damaged(file, bad as u64, reason));
            }
            good = next;
        }
        bad = good.end;
        from = bad;
    }
    Ok(())
}

/// Whether some sector in `bytes[bad..good]` is all zeros. What stood before `kept` was durable, so a
/// sector that reaches over it counts from there; a sector that the good frame shares was not lost.
fn has_hole(bytes: &[u8], kept: usize, bad: usize, good: usize) -> bool {
    (bad / SECTOR..good / SECTOR).any(|sector| {
        let start = sector.saturating_mul(SECTOR).max(kept);
        let end = sector.saturating_add(1).saturating_mul(SECTOR);
        bytes
            .get(start..end)
            .is_some_and(|part| part.len() >= MIN_HOLE && part.iter().all(|byte| *byte == 0))
    })
}
