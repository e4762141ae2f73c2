//! Key streams of many short texts, gathered so that the cipher's lanes are full.

use super::keys::{Sm4, encrypt_each};
use super::wipe::wipe;
use zeroize::Zeroizing;

/// Blocks encrypted together.
const WINDOW: usize = 256;

/// A text of more blocks fills the lanes by itself, among others of its key.
const SHORT: usize = 64;

/// The same among texts of different keys, which go through narrower kernels.
const SHORT_AMONG_KEYS: usize = 24;

/// A short text that waits for its key stream.
pub(super) trait Waiting {
    fn cipher(&self) -> &Sm4;

    /// Blocks of key stream.
    fn blocks(&self) -> usize;

    /// The counter blocks, as many as `blocks` says; the last four bytes count, and wrap.
    fn fill(&self, counters: &mut [[u8; 16]]);

    /// Takes its whole key stream, as long as `blocks` says.
    fn take(&mut self, keys: &[[u8; 16]]);

    /// Makes its key stream itself.
    fn apply_alone(&mut self);
}

/// A text and its key stream's first counter block, whose last four bytes count, and wrap.
pub(super) struct Stream<'a> {
    pub(super) cipher: &'a Sm4,
    /// Wiped: what GCM makes from a nonce of another length than 12 bytes tells of the hash key.
    pub(super) counter: Zeroizing<[u8; 16]>,
    /// Takes the first block of the key stream, where the mode needs it for the tag.
    pub(super) mask: Option<&'a mut [u8; 16]>,
    /// The following blocks are added.
    pub(super) text: &'a mut [u8],
}

impl Waiting for Stream<'_> {
    fn cipher(&self) -> &Sm4 {
        self.cipher
    }

    fn blocks(&self) -> usize {
        blocks(self.text).saturating_add(usize::from(self.mask.is_some()))
    }

    fn fill(&self, counters: &mut [[u8; 16]]) {
        fill_counters(&self.counter, counters);
    }

    fn take(&mut self, keys: &[[u8; 16]]) {
        let mut keys = keys;
        if let (Some(mask), [first, others @ ..]) = (self.mask.take(), keys) {
            *mask = *first;
            keys = others;
        }
        add(self.text, keys.as_flattened());
    }

    fn apply_alone(&mut self) {
        if let Some(mask) = self.mask.take() {
            *mask = *self.counter;
            advance(&mut self.counter);
            self.cipher.encrypt_block(mask);
        }
        self.cipher.ctr32_xor(&mut self.counter, self.text);
    }
}

/// Adds to each text its key stream.
pub(super) fn apply_many(streams: &mut [impl Waiting]) {
    let mut window = [[0; 16]; WINDOW];
    let mut rest = streams;
    while !rest.is_empty() {
        let (count, used, one_key) = fitting(rest);
        // None fits: the first is long, and goes by itself.
        let (run, others) = rest.split_at_mut(count.max(1));
        rest = others;
        if count == 0 {
            run.iter_mut().for_each(Waiting::apply_alone);
            continue;
        }
        let used = window.get_mut(..used).unwrap_or_default();
        let mut free = &mut *used;
        for stream in run.iter() {
            let (own, others) = free.split_at_mut(stream.blocks());
            stream.fill(own);
            free = others;
        }
        match run {
            [stream, ..] if one_key => stream.cipher().encrypt_blocks(used),
            _ => encrypt_run(run, used),
        }
        let mut stream_keys = &*used;
        for stream in run.iter_mut() {
            let (own, others) = stream_keys.split_at(stream.blocks());
            stream.take(own);
            stream_keys = others;
        }
    }
    wipe(&mut window);
}

/// Encrypts the blocks of texts of one backend and any keys.
fn encrypt_run(run: &[impl Waiting], used: &mut [[u8; 16]]) {
    let Some(first) = run.first() else { return };
    let mut keys = [first.cipher(); WINDOW];
    let (keys, _) = keys.split_at_mut(used.len().min(WINDOW));
    let mut free = &mut *keys;
    for stream in run {
        let (own, others) = free.split_at_mut(stream.blocks());
        own.fill(stream.cipher());
        free = others;
    }
    encrypt_each(keys, used);
}

/// How many of the first texts go together, how many blocks they have, and whether they are of one key: if those of one
/// key fill the lanes, or nothing else follows, else all of one backend. None, if the first is too long for this.
fn fitting(streams: &[impl Waiting]) -> (usize, usize, bool) {
    let Some(first) = streams.first().map(Waiting::cipher) else {
        return (0, 0, true);
    };
    let (count, used) = leading(streams, SHORT, |other| core::ptr::eq(other, first));
    if count == streams.len() || used >= SHORT {
        return (count, used, true);
    }
    let among = |other: &Sm4| other.backend() == first.backend();
    let (more, more_used) = leading(streams, SHORT_AMONG_KEYS, among);
    if more > count {
        (more, more_used, false)
    } else {
        (count, used, true)
    }
}

/// How many of the first texts are short, fit into a window and have such keys; and how many blocks they have.
fn leading(
    streams: &[impl Waiting],
    short: usize,
    together: impl Fn(&Sm4) -> bool,
) -> (usize, usize) {
    let (mut count, mut used) = (0_usize, 0_usize);
    for stream in streams {
        let own = stream.blocks();
        let more = used.saturating_add(own);
        if own > short || more > WINDOW || !together(stream.cipher()) {
            break;
        }
        used = more;
        count = count.saturating_add(1);
    }
    (count, used)
}

/// Consecutive counter blocks from `first` on; the last four bytes count, and wrap.
pub(super) fn fill_counters(first: &[u8; 16], blocks: &mut [[u8; 16]]) {
    let value = u128::from_be_bytes(*first);
    let prefix = value & !u128::from(u32::MAX);
    #[allow(clippy::cast_possible_truncation, reason = "the last four bytes")]
    let mut next = value as u32;
    for block in blocks {
        *block = (prefix | u128::from(next)).to_be_bytes();
        next = next.wrapping_add(1);
    }
}

/// The counter block after `block`, where it is public.
pub(super) fn next_counter(mut block: [u8; 16]) -> [u8; 16] {
    advance(&mut block);
    block
}

/// To the next counter block, in place.
pub(super) fn advance(block: &mut [u8; 16]) {
    if let Some(count) = block.last_chunk_mut::<4>() {
        *count = u32::from_be_bytes(*count).wrapping_add(1).to_be_bytes();
    }
}

/// Adds `key` to `text`, of at most its length.
pub(super) fn add(text: &mut [u8], key: &[u8]) {
    for (byte, key) in text.iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// Blocks that `text` takes, the last perhaps a part.
pub(super) fn blocks(text: &[u8]) -> usize {
    text.len().div_ceil(16)
}
