//! The verifier's own reader of segment files: written from the format's description, sharing
//! nothing with the code that writes them.

/// A frame, taken apart.
pub(crate) enum Entry<'a> {
    /// The header: where this segment claims to go on from.
    Header(Claim<'a>),
    /// A record.
    Record { sequence: u64, bytes: &'a [u8] },
    /// A signed head.
    Head {
        body: &'a [u8],
        signature: &'a [u8; 64],
    },
    /// The end of a batch.
    Commit { size: u64, link: [u8; 32] },
}

/// What a header claims.
pub(crate) struct Claim<'a> {
    pub(crate) stream: &'a str,
    pub(crate) index: u64,
    pub(crate) size: u64,
    pub(crate) batch: u64,
    pub(crate) signed_size: u64,
    pub(crate) link: [u8; 32],
    pub(crate) signed_hash: [u8; 32],
    pub(crate) peaks: Vec<[u8; 32]>,
}

/// What stands at some offset.
pub(crate) enum Found<'a> {
    /// A good frame.
    Frame {
        offset: usize,
        batch: u64,
        entry: Entry<'a>,
    },
    /// Bytes that are no frame. `next` is the good frame that follows; reading goes on there.
    Bad {
        offset: usize,
        reason: &'static str,
        next: Next,
    },
}

/// What follows bytes that are no frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// A good frame, at that offset.
    Good(usize),
    /// Nothing, to the end of the file.
    Nothing,
    /// So many false markers that the search was given up.
    Unknown,
}

/// Walks one segment.
pub(crate) struct SegmentReader<'a> {
    bytes: &'a [u8],
    index: u64,
    at: usize,
    /// How many bytes of false frames are still looked at.
    budget: usize,
}

const SYNC: &[u8] = b"\xf5SM\xfe";
const PREFIX: usize = 4 + 1 + 8 + 4;
const LONGEST: usize = 131_072;
/// The unit in which disks lose writes.
const SECTOR: usize = 512;
/// Fewer zeros prove nothing.
const SHORTEST_HOLE: usize = 8;

/// Takes fixed pieces off the front of a slice.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, back) = self.0.split_at_checked(count)?;
        self.0 = back;
        Some(front)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
}

impl<'a> SegmentReader<'a> {
    /// Checksums cover the segment's number: the one that the header claims counts here, so that a
    /// renamed file is reported as that; `named` is the file name's, for a header beyond reading.
    pub(crate) fn new(bytes: &'a [u8], named: u64) -> Self {
        let claimed = bytes
            .get(PREFIX..)
            .and_then(|rest| rest.get(..rest.len().min(LONGEST)))
            .and_then(read_claim_prefix);
        Self {
            bytes,
            index: claimed.unwrap_or(named),
            at: 0,
            budget: bytes.len().saturating_mul(4).saturating_add(1 << 20),
        }
    }

    fn frame_at(&self, at: usize) -> Result<(usize, u64, Entry<'a>), &'static str> {
        const SHORT: &str = "frame is cut short";
        let mut cursor = Cursor(self.bytes.get(at..).ok_or(SHORT)?);
        let head = cursor.take(PREFIX).ok_or(SHORT)?;
        let mut fields = Cursor(head);
        if fields.take(4) != Some(SYNC) {
            return Err("no frame marker");
        }
        let [kind] = fields.array::<1>().ok_or(SHORT)?;
        let batch = fields.u64().ok_or(SHORT)?;
        let length = fields.array().map(u32::from_be_bytes).ok_or(SHORT)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > LONGEST {
            return Err("frame length is out of range");
        }
        let payload = cursor.take(length).ok_or(SHORT)?;
        let stored = cursor.array().map(u32::from_be_bytes).ok_or(SHORT)?;
        let mut place = self.index.to_be_bytes().to_vec();
        place.extend_from_slice(&(at as u64).to_be_bytes());
        let mut crc = crc32fast::Hasher::new();
        for part in [&place, head, payload] {
            crc.update(part);
        }
        if crc.finalize() != stored {
            return Err("frame checksum does not match");
        }
        let entry = read_entry(kind, payload).ok_or("frame's content is malformed")?;
        let end = self.bytes.len().saturating_sub(cursor.0.len());
        Ok((end, batch, entry))
    }

    /// The next good frame after `at`. A false marker costs what its frame claims as its length.
    fn resume(&mut self, at: usize) -> Next {
        let mut from = at.saturating_add(1);
        loop {
            let rest = self.bytes.get(from..).unwrap_or_default();
            let Some(skip) = rest.windows(SYNC.len()).position(|window| window == SYNC) else {
                return Next::Nothing;
            };
            let candidate = from.saturating_add(skip);
            if self.frame_at(candidate).is_ok() {
                return Next::Good(candidate);
            }
            let mut cursor = Cursor(rest.get(skip..).unwrap_or_default());
            let length = cursor
                .take(PREFIX.saturating_sub(4))
                .and_then(|_| cursor.array().map(u32::from_be_bytes))
                .and_then(|length| usize::try_from(length).ok())
                .filter(|length| *length <= LONGEST)
                .unwrap_or(0);
            let Some(left) = self.budget.checked_sub(length.saturating_add(PREFIX)) else {
                return Next::Unknown;
            };
            self.budget = left;
            from = candidate.saturating_add(1);
        }
    }

    /// Whether everything from the bad frame at `bad` on can be what a crash left of the batch of
    /// that number, which starts at `start`: all good frames behind it are of the same batch, and
    /// before each run of them a whole sector reads as zeros (a lost write).
    pub(crate) fn unfinished(&mut self, start: usize, bad: usize, batch: Option<u64>) -> bool {
        let mut bad = bad;
        loop {
            let mut at = match self.resume(bad) {
                Next::Nothing => return true,
                Next::Unknown => return false,
                Next::Good(at) => at,
            };
            if !self.lost_sector(start, bad, at) {
                return false;
            }
            while let Ok((end, found, _)) = self.frame_at(at) {
                if Some(found) != batch {
                    return false;
                }
                at = end;
            }
            bad = at;
        }
    }

    /// Whether a sector in `bytes[bad..good]` is all zeros. What stands before `start` was durable.
    fn lost_sector(&self, start: usize, bad: usize, good: usize) -> bool {
        let mut from = bad.saturating_sub(bad % SECTOR);
        while let Some(end) = from.checked_add(SECTOR).filter(|end| *end <= good) {
            let part = self.bytes.get(from.max(start)..end).unwrap_or_default();
            if part.len() >= SHORTEST_HOLE && part.iter().all(|byte| *byte == 0) {
                return true;
            }
            from = end;
        }
        false
    }
}

impl<'a> Iterator for SegmentReader<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        let offset = self.at;
        if offset >= self.bytes.len() {
            return None;
        }
        Some(match self.frame_at(offset) {
            Ok((end, batch, entry)) => {
                self.at = end;
                Found::Frame {
                    offset,
                    batch,
                    entry,
                }
            }
            Err(reason) => {
                let next = self.resume(offset);
                self.at = match next {
                    Next::Good(at) => at,
                    Next::Nothing | Next::Unknown => self.bytes.len(),
                };
                Found::Bad {
                    offset,
                    reason,
                    next,
                }
            }
        })
    }
}

fn read_entry(kind: u8, payload: &[u8]) -> Option<Entry<'_>> {
    let mut cursor = Cursor(payload);
    match kind {
        1 => read_claim(payload).map(Entry::Header),
        2 => Some(Entry::Record {
            sequence: cursor.u64()?,
            bytes: cursor.0,
        }),
        3 => {
            let body = cursor.take(payload.len().checked_sub(64)?)?;
            let signature = cursor.0.try_into().ok()?;
            Some(Entry::Head { body, signature })
        }
        4 => {
            let (size, link) = (cursor.u64()?, cursor.array()?);
            cursor.0.is_empty().then_some(Entry::Commit { size, link })
        }
        _ => None,
    }
}

fn read_claim_start<'a>(cursor: &mut Cursor<'a>) -> Option<(&'a str, u64)> {
    if cursor.take(5)? != b"smal1" {
        return None;
    }
    let length = cursor.array().map(u16::from_be_bytes)?;
    let stream = std::str::from_utf8(cursor.take(usize::from(length))?).ok()?;
    Some((stream, cursor.u64()?))
}

fn read_claim_prefix(payload: &[u8]) -> Option<u64> {
    read_claim_start(&mut Cursor(payload)).map(|(_, index)| index)
}

fn read_claim(payload: &[u8]) -> Option<Claim<'_>> {
    let mut cursor = Cursor(payload);
    let (stream, index) = read_claim_start(&mut cursor)?;
    let (size, batch, signed_size) = (cursor.u64()?, cursor.u64()?, cursor.u64()?);
    let (link, signed_hash) = (cursor.array()?, cursor.array()?);
    let [count] = cursor.array::<1>()?;
    let mut peaks = Vec::new();
    for _ in 0..count {
        peaks.push(cursor.array()?);
    }
    cursor.0.is_empty().then_some(Claim {
        stream,
        index,
        size,
        batch,
        signed_size,
        link,
        signed_hash,
        peaks,
    })
}
