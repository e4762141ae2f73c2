//! Framing of segment files: marker, kind, batch, length, payload, CRC-32.
//!
//! ```text
//! f5 53 4d fe | kind u8 | batch u64 | length u32 | payload | crc u32        (big-endian)
//! ```
//!
//! The marker's first and last byte never occur in UTF-8, so a record cannot imitate it. The CRC
//! also covers the segment's index and the frame's offset: a frame copied to another place is bad.
//! The CRC finds accidents; tampering is found by the chain and the signed heads.

/// Starts every frame.
pub(crate) const MARKER: [u8; 4] = [0xf5, b'S', b'M', 0xfe];

/// Bytes before the payload.
pub(crate) const HEAD: usize = 17;

/// Bytes around the payload.
pub(crate) const OVERHEAD: usize = HEAD + 4;

/// Largest payload.
pub(crate) const MAX_PAYLOAD: usize = 128 * 1024;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// The segment's header; always first.
    Header,
    /// A record: sequence (u64), canonical bytes.
    Record,
    /// A signed head: canonical bytes, signature (64).
    Checkpoint,
    /// The end of a batch: next sequence (u64), last link (32).
    Commit,
}

impl FrameKind {
    fn code(self) -> u8 {
        match self {
            Self::Header => 1,
            Self::Record => 2,
            Self::Checkpoint => 3,
            Self::Commit => 4,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Header, Self::Record, Self::Checkpoint, Self::Commit]
            .into_iter()
            .find(|kind| kind.code() == code)
    }
}

fn checksum(segment: u64, offset: u64, head: &[u8], parts: &[&[u8]]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&segment.to_be_bytes());
    crc.update(&offset.to_be_bytes());
    crc.update(head);
    for part in parts {
        crc.update(part);
    }
    crc.finalize()
}

/// Appends a frame to `out`, which will be written at `base` of segment `segment`.
pub(crate) fn push(
    out: &mut Vec<u8>,
    segment: u64,
    base: u64,
    kind: FrameKind,
    batch: u64,
    parts: &[&[u8]],
) {
    let offset = base.saturating_add(out.len() as u64);
    let length = parts
        .iter()
        .fold(0usize, |sum, part| sum.saturating_add(part.len()));
    let start = out.len();
    out.extend_from_slice(&MARKER);
    out.push(kind.code());
    out.extend_from_slice(&batch.to_be_bytes());
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    let crc = checksum(segment, offset, out.get(start..).unwrap_or_default(), parts);
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(&crc.to_be_bytes());
}

/// A frame that was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: FrameKind,
    pub(crate) batch: u64,
    pub(crate) payload: &'a [u8],
    /// Where the next frame starts.
    pub(crate) end: usize,
}

/// The frame at `at`, or why there is none.
pub(crate) fn read(bytes: &[u8], segment: u64, at: usize) -> Result<Frame<'_>, &'static str> {
    let rest = bytes.get(at..).unwrap_or_default();
    let (head, tail) = rest.split_at_checked(HEAD).ok_or("frame is cut short")?;
    let (marker, fields) = head.split_at_checked(4).ok_or("frame is cut short")?;
    if marker != MARKER {
        return Err("no frame marker");
    }
    let (kind, fields) = fields.split_first().ok_or("frame is cut short")?;
    let (batch, length) = fields
        .split_first_chunk::<8>()
        .ok_or("frame is cut short")?;
    let length = length.first_chunk::<4>().ok_or("frame is cut short")?;
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if length > MAX_PAYLOAD {
        return Err("frame length is out of range");
    }
    let (payload, crc) = tail.split_at_checked(length).ok_or("frame is cut short")?;
    let crc = crc.first_chunk::<4>().ok_or("frame is cut short")?;
    if checksum(segment, at as u64, head, &[payload]) != u32::from_be_bytes(*crc) {
        return Err("frame checksum does not match");
    }
    Ok(Frame {
        kind: FrameKind::from_code(*kind).ok_or("frame kind is unknown")?,
        batch: u64::from_be_bytes(*batch),
        payload,
        end: at.saturating_add(OVERHEAD).saturating_add(length),
    })
}

/// Bounds the search for good frames in one file: markers that start none cost what they claim as
/// their length, and a file of nothing but such markers would cost its size times the longest frame.
#[derive(Debug)]
pub(crate) struct Budget(usize);

/// So many markers start no frame that no crash explains them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exhausted;

impl Budget {
    /// For a file of that length: a few passes over it.
    pub(crate) fn new(length: usize) -> Self {
        Self(length.saturating_mul(4).saturating_add(1 << 20))
    }

    /// The first good frame at or after `from`, with its offset.
    pub(crate) fn find<'a>(
        &mut self,
        bytes: &'a [u8],
        segment: u64,
        from: usize,
    ) -> Result<Option<(usize, Frame<'a>)>, Exhausted> {
        let rest = bytes.get(from..).unwrap_or_default();
        for (index, window) in rest.windows(MARKER.len()).enumerate() {
            if window != MARKER {
                continue;
            }
            let at = from.saturating_add(index);
            if let Ok(frame) = read(bytes, segment, at) {
                return Ok(Some((at, frame)));
            }
            self.0 = self.0.checked_sub(claimed(bytes, at)).ok_or(Exhausted)?;
        }
        Ok(None)
    }
}

/// What reading the marker at `at` cost: the length that its frame claims, if it can be one.
fn claimed(bytes: &[u8], at: usize) -> usize {
    bytes
        .get(at..)
        .and_then(|rest| rest.get(HEAD.saturating_sub(4)..HEAD))
        .and_then(|length| length.first_chunk::<4>())
        .and_then(|length| usize::try_from(u32::from_be_bytes(*length)).ok())
        .filter(|length| *length <= MAX_PAYLOAD)
        .map_or(HEAD, |length| length.saturating_add(OVERHEAD))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_every_bit_flip() {
        let mut bytes = vec![0xaa; 5];
        push(&mut bytes, 3, 0, FrameKind::Record, 9, &[b"head", b"body"]);
        let frame = read(&bytes, 3, 5).unwrap();
        assert_eq!((frame.kind, frame.batch), (FrameKind::Record, 9));
        assert_eq!(
            (frame.payload, frame.end),
            (b"headbody".as_slice(), bytes.len())
        );
        let found = Budget::new(bytes.len()).find(&bytes, 3, 0);
        assert_eq!(found.unwrap().unwrap().0, 5);
        // Another segment, another place: bad.
        assert!(read(&bytes, 4, 5).is_err());
        assert!(read(&bytes[5..], 3, 0).is_err());
        for bit in 5 * 8..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&flipped, 3, 5).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length], 3, 5).is_err());
        }
    }
}
