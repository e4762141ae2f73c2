//! A message on its way through the hash, in pieces of any length.

use crate::cpu::Backend;
use crate::sm3::compress::{compress, digest_of, finish};
use crate::sm3::rounds::{BLOCK, DIGEST, IV, State};

/// State, buffered bytes and length of one message; wiped on drop.
#[derive(Clone)]
pub(crate) struct Stream {
    pub(crate) backend: Backend,
    state: State,
    buffer: [u8; BLOCK],
    /// Bytes in the buffer, below 64.
    filled: usize,
    /// Blocks compressed so far.
    blocks: u64,
}

impl Stream {
    #[inline]
    pub(crate) fn new(backend: Backend) -> Self {
        Self::resume(backend, &IV, 0)
    }

    /// Goes on from a midstate, `blocks` blocks after the start.
    #[inline]
    pub(crate) fn resume(backend: Backend, state: &State, blocks: u64) -> Self {
        Self {
            backend,
            state: *state,
            buffer: [0; BLOCK],
            filled: 0,
            blocks,
        }
    }

    #[inline]
    pub(crate) fn update(&mut self, mut data: &[u8]) {
        if self.filled != 0 {
            let free = self.buffer.get_mut(self.filled..).unwrap_or_default();
            let taken = free.len().min(data.len());
            let (head, tail) = data.split_at(taken);
            copy_prefix(free, head);
            data = tail;
            self.filled = self.filled.wrapping_add(taken);
            if self.filled < BLOCK {
                return;
            }
            self.absorb_buffer();
        }
        let (blocks, rest) = data.as_chunks::<BLOCK>();
        if !blocks.is_empty() {
            compress(self.backend, &mut self.state, blocks);
            self.blocks = self.blocks.wrapping_add(blocks.len() as u64);
        }
        copy_prefix(&mut self.buffer, rest);
        self.filled = rest.len();
    }

    fn absorb_buffer(&mut self) {
        compress(
            self.backend,
            &mut self.state,
            core::slice::from_ref(&self.buffer),
        );
        self.blocks = self.blocks.wrapping_add(1);
        self.filled = 0;
    }

    /// The digest; the stream is used up, its buffer wiped.
    #[inline]
    pub(crate) fn finalize(&mut self) -> [u8; DIGEST] {
        let bytes = self
            .blocks
            .wrapping_mul(BLOCK as u64)
            .wrapping_add(self.filled as u64);
        finish(
            self.backend,
            &mut self.state,
            &mut self.buffer,
            self.filled,
            bytes,
        );
        digest_of(&self.state)
    }

    /// Chaining words, blocks behind them and the bytes still buffered.
    pub(crate) fn parts(&self) -> (&State, u64, &[u8]) {
        (
            &self.state,
            self.blocks,
            self.buffer.get(..self.filled).unwrap_or_default(),
        )
    }
}

impl Drop for Stream {
    #[inline]
    fn drop(&mut self) {
        self.state = [0; 8];
        self.buffer = [0; BLOCK];
        self.filled = 0;
        self.blocks = 0;
        zeroize::optimization_barrier(self);
    }
}

/// Copies `from` to the start of `to`, as far as it fits.
#[inline]
pub(crate) fn copy_prefix(to: &mut [u8], from: &[u8]) {
    if let Some(to) = to.get_mut(..from.len()) {
        to.copy_from_slice(from);
    }
}
