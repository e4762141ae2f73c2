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

impl Stream<'_> {
    fn blocks(&self) -> usize {
        blocks(self.text).saturating_add(usize::from(self.mask.is_some()))
    }

    /// Takes its whole key stream.
    fn take_all(&mut self, keys: &[[u8; 16]]) {
        let mut keys = keys;
        if let (Some(mask), [first, others @ ..]) = (self.mask.take(), keys) {
            *mask = *first;
            keys = others;
        }
        add(self.text, keys.as_flattened());
    }

    /// A text that fills the lanes by itself.
    fn apply(&mut self) {
        if let Some(mask) = self.mask.take() {
            *mask = *self.counter;
            *self.counter = next_counter(*self.counter);
            self.cipher.encrypt_block(mask);
        }
        self.cipher.ctr32_xor(&mut self.counter, self.text);
    }
}

/// Adds to each text its key stream. All keys have one backend.
pub(super) fn apply_many<'a>(streams: &mut [Stream<'a>]) {
    let Some(cipher) = streams.first().map(|stream| stream.cipher) else {
        return;
    };
    let one_key = streams
        .iter()
        .all(|stream| core::ptr::eq(stream.cipher, cipher));
    let short = if one_key { SHORT } else { SHORT_AMONG_KEYS };
    let mut window = [[0; 16]; WINDOW];
    let mut keys = [cipher; WINDOW];
    let mut rest = streams;
    while let Some(first) = rest.first_mut() {
        if first.blocks() > short {
            first.apply();
            rest = rest.get_mut(1..).unwrap_or_default();
            continue;
        }
        let (count, used) = fitting(rest, short);
        let (run, others) = rest.split_at_mut(count);
        rest = others;
        let (Some(used), Some(keys)) = (window.get_mut(..used), keys.get_mut(..used)) else {
            break;
        };
        let (mut free, mut free_keys) = (&mut *used, &mut *keys);
        for stream in run.iter() {
            let (own, others) = free.split_at_mut(stream.blocks());
            fill_counters(*stream.counter, own);
            free = others;
            if !one_key {
                let (own, others) = free_keys.split_at_mut(own.len());
                own.fill(stream.cipher);
                free_keys = others;
            }
        }
        if one_key {
            cipher.encrypt_blocks(used);
        } else {
            encrypt_each(keys, used);
        }
        let mut stream_keys = &*used;
        for stream in run.iter_mut() {
            let (own, others) = stream_keys.split_at(stream.blocks());
            stream.take_all(own);
            stream_keys = others;
        }
    }
    wipe(&mut window);
}

/// How many of the first streams fit into a window, and how many blocks they have.
fn fitting(streams: &[Stream<'_>], short: usize) -> (usize, usize) {
    let (mut count, mut used) = (0_usize, 0_usize);
    for stream in streams {
        let own = stream.blocks();
        let more = used.saturating_add(own);
        if own > short || more > WINDOW {
            break;
        }
        used = more;
        count = count.saturating_add(1);
    }
    (count, used)
}

/// Consecutive counter blocks from `first` on; the last four bytes count, and wrap.
pub(super) fn fill_counters(first: [u8; 16], blocks: &mut [[u8; 16]]) {
    let value = u128::from_be_bytes(first);
    let prefix = value & !u128::from(u32::MAX);
    #[allow(clippy::cast_possible_truncation, reason = "the last four bytes")]
    let mut next = value as u32;
    for block in blocks {
        *block = (prefix | u128::from(next)).to_be_bytes();
        next = next.wrapping_add(1);
    }
}

/// The counter block after `block`.
pub(super) fn next_counter(block: [u8; 16]) -> [u8; 16] {
    let mut pair = [[0; 16]; 2];
    fill_counters(block, &mut pair);
    let [_, next] = pair;
    next
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
