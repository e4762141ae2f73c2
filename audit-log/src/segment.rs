//! Segment files: their names, their header, and the state of a stream between two batches.
//!
//! ```text
//! segment-0000000000.smal = header commit | record* checkpoint? commit | record* commit | ...
//!                           '--batch 1--'   '--------batch 2---------'   '--batch 3---'
//! ```
//!
//! A batch is what one sync makes durable; it ends with a commit frame. Batch n + 1 is written only
//! after batch n was synced. The header holds all that is needed to go on from it: the previous
//! link, the tree's peaks, the last checkpoint's hash.

use crate::chain::{GENESIS, Hash};
use crate::checkpoint::MAX_STREAM;
use crate::frame::{self, FrameKind};
use crate::merkle::Frontier;

/// The format's name and version: the first bytes of the header.
const FORMAT: &[u8; 5] = b"smal1";

/// Largest header batch: a header with a full-length stream id and 64 peaks, and its commit.
pub(crate) const MAX_HEADER_BATCH: usize =
    2 * frame::OVERHEAD + (5 + 2 + MAX_STREAM + 6 * 8 + 2 * 32 + 1 + 64 * 32) + COMMIT_PAYLOAD;

const COMMIT_PAYLOAD: usize = 40;

/// The file name of segment `index`.
pub(crate) fn name(index: u64) -> String {
    format!("segment-{index:010}.smal")
}

/// The index that a file name states, if it is a segment's.
pub(crate) fn index_of(file: &str) -> Option<u64> {
    let digits = file.strip_prefix("segment-")?.strip_suffix(".smal")?;
    let index: u64 = digits.parse().ok()?;
    (name(index) == file).then_some(index)
}

/// Where a stream stands after a complete batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamState {
    /// The last batch's number; 0 before the first.
    pub(crate) batch: u64,
    /// The last record's link.
    pub(crate) link: Hash,
    /// The tree over all leaves; its size is the next sequence.
    pub(crate) tree: Frontier,
    /// The last checkpoint's tree size.
    pub(crate) signed_size: u64,
    /// The last checkpoint's hash.
    pub(crate) signed_hash: Hash,
}

impl StreamState {
    /// Before the first batch.
    pub(crate) fn genesis() -> Self {
        Self {
            batch: 0,
            link: GENESIS,
            tree: Frontier::new(),
            signed_size: 0,
            signed_hash: GENESIS,
        }
    }

    /// The payload of a commit frame.
    pub(crate) fn commit_payload(&self) -> [u8; COMMIT_PAYLOAD] {
        let mut out = [0; COMMIT_PAYLOAD];
        let (size, link) = out.split_at_mut(8);
        size.copy_from_slice(&self.tree.size().to_be_bytes());
        link.copy_from_slice(&self.link);
        out
    }

    /// Writes the first batch of segment `index`: header and commit.
    pub(crate) fn start_segment(&mut self, stream: &str, index: u64, out: &mut Vec<u8>) {
        let header = encode_header(stream, index, self);
        self.batch = self.batch.saturating_add(1);
        frame::push(out, index, 0, FrameKind::Header, self.batch, &[&header]);
        let commit = self.commit_payload();
        frame::push(out, index, 0, FrameKind::Commit, self.batch, &[&commit]);
    }
}

/// The first batch of segment `index`, which goes on from `state`.
pub(crate) fn header_batch(stream: &str, index: u64, state: &StreamState) -> Vec<u8> {
    let mut out = Vec::new();
    state.clone().start_segment(stream, index, &mut out);
    out
}

fn encode_header(stream: &str, index: u64, state: &StreamState) -> Vec<u8> {
    let mut out = FORMAT.to_vec();
    out.extend_from_slice(
        &u16::try_from(stream.len())
            .unwrap_or(u16::MAX)
            .to_be_bytes(),
    );
    out.extend_from_slice(stream.as_bytes());
    for number in [index, state.tree.size(), state.batch, state.signed_size] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.extend_from_slice(&state.link);
    out.extend_from_slice(&state.signed_hash);
    let peaks = state.tree.peaks();
    out.push(u8::try_from(peaks.len()).unwrap_or(u8::MAX));
    for peak in peaks {
        out.extend_from_slice(peak);
    }
    out
}

/// A header's stream id, segment index, and the state that it goes on from.
pub(crate) fn decode_header(payload: &[u8]) -> Option<(&str, u64, StreamState)> {
    let rest = payload.strip_prefix(FORMAT)?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (stream, mut rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let stream = std::str::from_utf8(stream).ok()?;
    let mut numbers = [0u64; 4];
    for number in &mut numbers {
        let (bytes, tail) = rest.split_first_chunk::<8>()?;
        *number = u64::from_be_bytes(*bytes);
        rest = tail;
    }
    let [index, size, batch, signed_size] = numbers;
    let (link, rest) = rest.split_first_chunk::<32>()?;
    let (signed_hash, rest) = rest.split_first_chunk::<32>()?;
    let (count, rest) = rest.split_first()?;
    let (peaks, remainder) = rest.as_chunks::<32>();
    if !remainder.is_empty() || peaks.len() != usize::from(*count) {
        return None;
    }
    let state = StreamState {
        batch,
        link: *link,
        tree: Frontier::from_peaks(size, peaks.to_vec())?,
        signed_size,
        signed_hash: *signed_hash,
    };
    Some((stream, index, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(name(7), "segment-0000000007.smal");
        assert_eq!(index_of(&name(u64::MAX)), Some(u64::MAX));
        for other in [
            "segment-7.smal",
            "segment-0000000007.smal.cut",
            "lock",
            "segment-+000000007.smal",
        ] {
            assert_eq!(index_of(other), None, "{other}");
        }
    }

    #[test]
    fn header_round_trip_and_bound() {
        let mut state = StreamState::genesis();
        for i in 0..7u8 {
            state.tree.push([i; 32]);
        }
        (state.batch, state.signed_size, state.link) = (4, 6, [9; 32]);
        let bytes = encode_header("stream", 3, &state);
        assert_eq!(decode_header(&bytes), Some(("stream", 3, state.clone())));
        for cut in 0..bytes.len() {
            assert_eq!(decode_header(&bytes[..cut]), None);
        }
        state.tree = Frontier::from_peaks(u64::MAX, vec![[0; 32]; 64]).unwrap();
        let mut out = Vec::new();
        state.start_segment(&"x".repeat(MAX_STREAM), u64::MAX, &mut out);
        assert!(out.len() <= MAX_HEADER_BATCH);
    }
}
