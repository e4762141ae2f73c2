//! A scheduled SM4 key, and the dispatch to the kernels.

use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::portable;
use crate::cpu::Backend;

/// An SM4 key with its round keys, ready for use; constant time in every backend, wiped on drop.
///
/// ```
/// use sm_accel::sm4::Sm4;
/// let key = Sm4::new(&[7; 16]);
/// println!("{key:?} on {}", key.backend());
/// ```
#[derive(Clone)]
pub struct Sm4 {
    backend: Backend,
    /// In the form that the backend's kernels take.
    round_keys: [u32; 32],
}

impl Sm4 {
    /// Schedules `key` for the active backend.
    pub fn new(key: &[u8; 16]) -> Self {
        Self::with_backend(Backend::active(), key)
    }

    /// Schedules `key` for `backend`.
    pub fn with_backend(backend: Backend, key: &[u8; 16]) -> Self {
        let mut round_keys = [[0; 32]];
        portable::schedule(core::slice::from_ref(key), &mut round_keys);
        let [round_keys] = round_keys;
        Self {
            backend,
            round_keys,
        }
    }

    /// The backend that this key was scheduled for.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Encrypts one block in place.
    pub(crate) fn encrypt_block(&self, block: &mut [u8; 16]) {
        portable::encrypt(&self.round_keys, core::slice::from_mut(block));
    }

    /// Encrypts blocks in place, each by itself.
    pub(crate) fn encrypt_blocks(&self, blocks: &mut [[u8; 16]]) {
        portable::encrypt(&self.round_keys, blocks);
    }

    /// Decrypts blocks in place, each by itself.
    pub(crate) fn decrypt_blocks(&self, blocks: &mut [[u8; 16]]) {
        portable::decrypt(&self.round_keys, blocks);
    }

    /// Adds the key stream of consecutive counter blocks to `buf`. The last four bytes of `counter` are a
    /// big-endian 32-bit number that wraps without carry; it is left at the next unused block, and a partial last
    /// block uses up its counter.
    pub(crate) fn ctr32_xor(&self, counter: &mut [u8; 16], buf: &mut [u8]) {
        let [nonce @ .., a, b, c, d] = *counter;
        let mut next = u32::from_be_bytes([a, b, c, d]);
        let mut stream = [[0u8; 16]; portable::LANES];
        for chunk in buf.chunks_mut(16 * portable::LANES) {
            let count = chunk.len().div_ceil(16);
            for block in stream.iter_mut().take(count) {
                let (head, tail) = block.split_at_mut(12);
                head.copy_from_slice(&nonce);
                tail.copy_from_slice(&next.to_be_bytes());
                next = next.wrapping_add(1);
            }
            if let Some(used) = stream.get_mut(..count) {
                self.encrypt_blocks(used);
            }
            for (byte, key) in chunk.iter_mut().zip(stream.as_flattened()) {
                *byte ^= key;
            }
        }
        stream.zeroize();
        let [.., a, b, c, d] = counter;
        [*a, *b, *c, *d] = next.to_be_bytes();
    }
}

impl fmt::Debug for Sm4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sm4")
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

impl Drop for Sm4 {
    fn drop(&mut self) {
        self.round_keys.zeroize();
    }
}

impl ZeroizeOnDrop for Sm4 {}

#[cfg(test)]
mod tests {
    use super::*;

    // GB/T 32907-2016, annex A.1.
    #[test]
    fn annex_a_example_1() {
        let key = [
            0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54,
            0x32, 0x10,
        ];
        let expected = [
            0x68, 0x1e, 0xdf, 0x34, 0xd2, 0x06, 0x96, 0x5e, 0x86, 0xb3, 0xe9, 0x4f, 0x53, 0x6e,
            0x42, 0x46,
        ];
        for backend in Backend::available() {
            println!("backend: {backend}");
            let cipher = Sm4::with_backend(backend, &key);
            let mut block = key;
            cipher.encrypt_block(&mut block);
            assert_eq!(block, expected);
            cipher.decrypt_blocks(core::slice::from_mut(&mut block));
            assert_eq!(block, key);
        }
    }
}
