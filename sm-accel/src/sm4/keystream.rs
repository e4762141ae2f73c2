//! Key streams of many short texts, gathered so that the cipher's lanes are full.

use super::keys::Sm4;

/// Blocks encrypted together.
const WINDOW: usize = 256;

/// A text of more blocks fills the lanes by itself.
const SHORT: usize = 64;

/// A text and its first counter block. The last four bytes of the counter must not be about to carry beyond
/// what the mode allows: they wrap.
pub(super) struct Stream<'a> {
    pub(super) counter: [u8; 16],
    pub(super) text: &'a mut [u8],
}

/// Adds to each text its key stream.
pub(super) fn apply_many(cipher: &Sm4, streams: &mut [Stream<'_>]) {
    let mut window = [[0; 16]; WINDOW];
    let mut rest = streams;
    while let Some(first) = rest.first_mut() {
        if blocks(first.text) > SHORT {
            cipher.ctr32_xor(&mut first.counter, first.text);
            rest = rest.get_mut(1..).unwrap_or_default();
            continue;
        }
        let (count, used) = fitting(rest);
        let (run, others) = rest.split_at_mut(count);
        rest = others;
        let Some(used) = window.get_mut(..used) else {
            break;
        };
        let mut free = &mut *used;
        for stream in run.iter() {
            let (own, others) = free.split_at_mut(blocks(stream.text));
            fill_counters(stream.counter, own);
            free = others;
        }
        cipher.encrypt_blocks(used);
        let mut keys = &*used;
        for stream in run.iter_mut() {
            let (own, others) = keys.split_at(blocks(stream.text));
            add(stream.text, own.as_flattened());
            keys = others;
        }
    }
    zeroize::zeroize_bytes(window.as_flattened_mut());
}

/// How many of the first streams fit into a window, and how many blocks they have.
fn fitting(streams: &[Stream<'_>]) -> (usize, usize) {
    let (mut count, mut used) = (0_usize, 0_usize);
    for stream in streams {
        let own = blocks(stream.text);
        let more = used.saturating_add(own);
        if own > SHORT || more > WINDOW {
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
