//! Counter mode (GB/T 17964-2021, clause 9).

use core::fmt;

use super::keys::Sm4;
use super::keystream::{Waiting, add, apply_many, blocks, fill_counters};
use super::lanes::MOST;
use super::wipe::wipe;
use crate::error::Error;

/// The longest text under one nonce with a 32-bit counter: 2^32 blocks.
const LONGEST: u64 = 1 << 36;

impl Sm4 {
    /// Encrypts or decrypts `text` in place with the key stream from `counter` on, a 128-bit big-endian number that
    /// wraps. `counter` is left at the next unused block; a partial last block uses up its counter.
    ///
    /// A counter block must never be used twice under one key.
    pub fn ctr_xor(&self, counter: &mut [u8; 16], text: &mut [u8]) {
        let mut rest = text;
        while !rest.is_empty() {
            let next = u128::from_be_bytes(*counter);
            // So many blocks leave the upper 96 bits as they are.
            let blocks = usize::try_from((1u64 << 32).saturating_sub(u64::from(next as u32)));
            let bytes = blocks
                .unwrap_or(usize::MAX)
                .saturating_mul(16)
                .min(rest.len());
            let (now, later) = rest.split_at_mut(bytes);
            self.ctr32_xor(counter, now);
            *counter = next
                .wrapping_add(now.len().div_ceil(16) as u128)
                .to_be_bytes();
            rest = later;
        }
    }

    /// Encrypts or decrypts `text` in place with 96-bit `nonce` and a 32-bit counter from 0.
    ///
    /// # Errors
    /// [`Error::TooLong`] for more than 2^36 bytes; `text` is untouched then.
    pub fn ctr(&self, nonce: &[u8; 12], text: &mut [u8]) -> Result<(), Error> {
        within_limit(text)?;
        if !self.add_short_key_stream(first_number(nonce), text) {
            self.ctr32_xor(&mut first_block(nonce), text);
        }
        Ok(())
    }

    /// Adds the key stream of consecutive counter blocks to `buf`. The last four bytes of `counter` are a
    /// big-endian 32-bit number that wraps without carry; it is left at the next unused block, and a partial last
    /// block uses up its counter.
    pub(crate) fn ctr32_xor(&self, counter: &mut [u8; 16], buf: &mut [u8]) {
        if self.add_short_key_stream(u128::from_be_bytes(*counter), buf) {
            forward(counter, buf.len().div_ceil(16));
            return;
        }
        let (blocks, _) = buf.as_chunks_mut::<16>();
        let rest = if self.add_key_stream(counter, blocks) {
            forward(counter, blocks.len());
            buf.as_chunks_mut::<16>().1
        } else {
            buf
        };
        if rest.is_empty() {
            return;
        }
        let mut stream = [[0u8; 16]; MOST];
        for chunk in rest.chunks_mut(16 * MOST) {
            let (used, _) = stream.split_at_mut(chunk.len().div_ceil(16));
            used.fill_with(|| next32(counter));
            self.encrypt_blocks(used);
            for (byte, key) in chunk.iter_mut().zip(used.as_flattened()) {
                *byte ^= key;
            }
            wipe(used.as_flattened_mut());
        }
    }
}

/// This counter block; `counter` goes to the next.
fn next32(counter: &mut [u8; 16]) -> [u8; 16] {
    let block = *counter;
    forward(counter, 1);
    block
}

/// `counter` goes so many blocks on.
fn forward(counter: &mut [u8; 16], blocks: usize) {
    let [.., a, b, c, d] = counter;
    [*a, *b, *c, *d] = u32::from_be_bytes([*a, *b, *c, *d])
        .wrapping_add(blocks as u32)
        .to_be_bytes();
}

fn first_block(nonce: &[u8; 12]) -> [u8; 16] {
    let mut block = [0; 16];
    for (to, from) in block.iter_mut().zip(nonce) {
        *to = *from;
    }
    block
}

/// The number that [`first_block`] is. A block written in two parts and read whole would be read only when all before it
/// is done, and no text would overlap with the next.
fn first_number(nonce: &[u8; 12]) -> u128 {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *nonce;
    let upper = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    let lower = u32::from_be_bytes([i, j, k, l]);
    u128::from(upper) << 64 | u128::from(lower) << 32
}

fn within_limit(text: &[u8]) -> Result<(), Error> {
    if u64::try_from(text.len()).is_ok_and(|length| length <= LONGEST) {
        Ok(())
    } else {
        Err(Error::TooLong("SM4-CTR"))
    }
}

/// One text of [`ctr_many`].
pub struct CtrJob<'a> {
    /// The key.
    pub key: &'a Sm4,
    /// The first 12 bytes of the counter block; the last 4 count from 0. Never twice under one key.
    pub nonce: &'a [u8; 12],
    /// Encrypted or decrypted in place.
    pub text: &'a mut [u8],
}

impl fmt::Debug for CtrJob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CtrJob").finish_non_exhaustive()
    }
}

impl Waiting for CtrJob<'_> {
    fn cipher(&self) -> &Sm4 {
        self.key
    }

    fn blocks(&self) -> usize {
        blocks(self.text)
    }

    fn fill(&self, counters: &mut [[u8; 16]]) {
        fill_counters(&first_block(self.nonce), counters);
    }

    fn take(&mut self, keys: &[[u8; 16]]) {
        add(self.text, keys.as_flattened());
    }

    fn apply_alone(&mut self) {
        // The result was given before: a text that is too long stays as it is.
        let _ = self.key.ctr(self.nonce, self.text);
    }
}

/// [`Sm4::ctr`] over many texts of any keys and lengths: blocks of short texts share the lanes. One result a job.
#[must_use = "one result an item: an item that failed was not worked on"]
pub fn ctr_many(jobs: &mut [CtrJob<'_>]) -> Vec<Result<(), Error>> {
    let results = jobs.iter().map(|job| within_limit(job.text)).collect();
    apply_many(jobs);
    results
}
