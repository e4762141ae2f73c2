//! Dispatch of the compression function of one message, and the padding of section 5.2.

use crate::cpu::Backend;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
use crate::cpu::Kernels;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
use crate::sm3::bmi2;
use crate::sm3::rounds::{self, BLOCK, DIGEST, State};

/// Absorbs whole blocks.
#[inline]
pub(crate) fn compress(backend: Backend, state: &mut State, blocks: &[[u8; BLOCK]]) {
    match backend.kernels() {
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        Kernels::Avx2Aesni(token) => bmi2::compress(token, state, blocks),
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        Kernels::Avx2Vaes(token) => bmi2::compress(token.into(), state, blocks),
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        Kernels::Avx2Gfni(token) => bmi2::compress(token.into(), state, blocks),
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        Kernels::Avx512Gfni(token) => bmi2::compress(token.into(), state, blocks),
        _ => portable(state, blocks),
    }
}

fn portable(state: &mut State, blocks: &[[u8; BLOCK]]) {
    rounds::compress_blocks(state, blocks);
}

/// Absorbs the last bytes (the first `filled` of `block`, fewer than 64) and the padding: a one bit, zeros, and
/// the message's length in bits, modulo 2^64. Leaves `block` wiped.
#[inline]
pub(crate) fn finish(
    backend: Backend,
    state: &mut State,
    block: &mut [u8; BLOCK],
    filled: usize,
    message_bytes: u64,
) {
    if let Some((first, rest)) = block.get_mut(filled..).and_then(<[u8]>::split_first_mut) {
        *first = 0x80;
        rest.fill(0);
    }
    if filled >= BLOCK - 8 {
        compress(backend, state, core::slice::from_ref(block));
        *block = [0; BLOCK];
    }
    if let Some(length) = block.last_chunk_mut::<8>() {
        *length = message_bytes.wrapping_mul(8).to_be_bytes();
    }
    compress(backend, state, core::slice::from_ref(block));
    *block = [0; BLOCK];
    zeroize::optimization_barrier(block);
}

/// Writes the padding behind the first `filled` bytes (fewer than 64) of `buffer`, for a message of
/// `message_bytes` bytes; where it ends, 64 or 128. `buffer` is as long as that.
#[inline]
pub(crate) fn pad(buffer: &mut [u8], filled: usize, message_bytes: u64) -> usize {
    let end = if filled >= BLOCK - 8 {
        2 * BLOCK
    } else {
        BLOCK
    };
    let tail = buffer.get_mut(filled..end).unwrap_or_default();
    tail.fill(0);
    if let Some(first) = tail.first_mut() {
        *first = 0x80;
    }
    if let Some(length) = tail.last_chunk_mut::<8>() {
        *length = message_bytes.wrapping_mul(8).to_be_bytes();
    }
    end
}

/// The digest of a finished state.
#[inline]
pub(crate) fn digest_of(state: &State) -> [u8; DIGEST] {
    let mut out = [0; DIGEST];
    let (words, _) = out.as_chunks_mut::<4>();
    for (bytes, word) in words.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    out
}
