//! The key derivation of SM2 (GM/T 0003.4 section 5.4.3) on SM3.

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroize as _;

use crate::cpu::Backend;
use crate::error::Error;
use crate::sm3;

/// Bytes that one digest gives.
const DIGEST: usize = 32;

/// Digests made in one go.
const LANES: usize = 16;

/// The output in bytes is shorter (GB/T 32918.4, 5.4.3): the counter has 32 bits and starts at 1.
const MAX_LEN: u64 = (u32::MAX as u64) * (DIGEST as u64);

/// Whether the counter lasts for `len` bytes.
pub(crate) fn check_len(len: usize) -> Result<(), Error> {
    match u64::try_from(len) {
        Ok(0..MAX_LEN) => Ok(()),
        _ => Err(Error::TooLong("SM2 encryption")),
    }
}

/// XORs t = KDF(`seed`, klen) onto `text`, klen being its length, for which [`check_len`] must hold; tells whether t
/// is all zero.
pub(crate) fn xor_stream(backend: Backend, seed: &[u8; 64], text: &mut [u8]) -> Choice {
    let mut seen = 0u8;
    let mut counter = 0u32;
    let mut inputs = [[0u8; 68]; LANES];
    for input in &mut inputs {
        if let Some(prefix) = input.first_chunk_mut() {
            *prefix = *seed;
        }
    }
    for chunk in text.chunks_mut(DIGEST * LANES) {
        let count = chunk.len().div_ceil(DIGEST);
        for input in inputs.iter_mut().take(count) {
            counter = counter.wrapping_add(1);
            if let Some(last) = input.last_chunk_mut() {
                *last = counter.to_be_bytes();
            }
        }
        let messages = inputs.each_ref().map(|input| input.as_slice());
        let messages = messages.get(..count).unwrap_or_default();
        let mut stream = sm3::hash_many_with_backend(backend, messages);
        for (bytes, key) in chunk.chunks_mut(DIGEST).zip(&stream) {
            for (byte, key) in bytes.iter_mut().zip(key) {
                *byte ^= key;
                seen |= key;
            }
        }
        stream.zeroize();
    }
    inputs.zeroize();
    seen.ct_eq(&0)
}
