//! A scheduled SM4 key, and the dispatch to the kernels.

use core::fmt;

use zeroize::ZeroizeOnDrop;

use super::portable;
use super::wipe::wipe;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
use super::word_vectors::RoundKeys;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
use super::{aesni, gfni_avx2, gfni_avx512, vaes, words_aes, words_gfni};
use crate::cpu::Backend;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
use crate::cpu::Kernels;

/// Blocks under keys of their own that are encrypted together; no kernel takes more.
const TOGETHER: usize = 16;

/// An SM4 key with its round keys, ready for use; constant time in every backend, wiped on drop.
///
/// ```
/// use sm_accel::sm4::Sm4;
/// let key = Sm4::new(&[7; 16]);
/// println!("{key:?} on {}", key.backend());
/// ```
#[derive(Clone)]
#[repr(align(16))] // No store of four round keys lies across cache lines.
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
        let mut scheduled = Self {
            backend,
            round_keys: [0; 32],
        };
        schedule(
            core::slice::from_ref(key),
            core::slice::from_mut(&mut scheduled),
        );
        scheduled
    }

    /// Schedules many keys for the active backend, many at a time.
    pub fn many(keys: &[[u8; 16]]) -> Vec<Self> {
        Self::many_with_backend(Backend::active(), keys)
    }

    /// Schedules many keys for `backend`, many at a time.
    pub fn many_with_backend(backend: Backend, keys: &[[u8; 16]]) -> Vec<Self> {
        let mut out = Vec::with_capacity(keys.len());
        out.resize_with(keys.len(), || Self {
            backend,
            round_keys: [0; 32],
        });
        let most = most_scheduled(backend);
        for (keys, out) in keys.chunks(most).zip(out.chunks_mut(most)) {
            schedule(keys, out);
        }
        out
    }

    /// The backend that this key was scheduled for.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// In the form that the backend's kernels take.
    pub(super) fn round_keys(&self) -> &[u32; 32] {
        &self.round_keys
    }

    /// Encrypts one block in place.
    pub(crate) fn encrypt_block(&self, block: &mut [u8; 16]) {
        self.encrypt_blocks(core::slice::from_mut(block));
    }

    /// Encrypts blocks in place, each by itself.
    pub(crate) fn encrypt_blocks(&self, blocks: &mut [[u8; 16]]) {
        match self.backend.kernels() {
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Aesni(token) if blocks.len() <= words_aes::aesni::MOST => {
                words_aes::aesni::encrypt(token, &self.round_keys, blocks);
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Vaes(token) if blocks.len() <= words_aes::vaes::MOST => {
                words_aes::vaes::encrypt(token, &self.round_keys, blocks);
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Gfni(token) if blocks.len() <= words_gfni::ymm::MOST => {
                words_gfni::ymm::encrypt(token, &self.round_keys, blocks);
            }
            // As soon done as by the wider one.
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx512Gfni(token) if blocks.len() <= words_gfni::ymm_ternary::GROUP => {
                words_gfni::ymm_ternary::encrypt(token, &self.round_keys, blocks);
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx512Gfni(token) if blocks.len() <= words_gfni::zmm::GROUP => {
                words_gfni::zmm::encrypt(token, &self.round_keys, blocks);
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Aesni(token) => aesni::encrypt(token, &self.round_keys, blocks),
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Vaes(token) => vaes::encrypt(token, &self.round_keys, blocks),
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Gfni(token) => gfni_avx2::encrypt(token, &self.round_keys, blocks),
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx512Gfni(token) if blocks.len() <= gfni_avx2::WIDTH => {
                // The narrower kernel wastes fewer lanes. Both take the same round keys.
                gfni_avx2::encrypt(token.into(), &self.round_keys, blocks);
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx512Gfni(token) => gfni_avx512::encrypt(token, &self.round_keys, blocks),
            _ => portable::encrypt(&self.round_keys, blocks),
        }
    }

    /// CBC encryption of one chain.
    pub(super) fn encrypt_chain(&self, iv: &[u8; 16], blocks: &mut [[u8; 16]]) {
        match self.backend.kernels() {
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Aesni(token) => {
                words_aes::aesni::cbc_encrypt(token, &self.round_keys, iv, blocks)
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Vaes(token) => {
                words_aes::aesni::cbc_encrypt(token.into(), &self.round_keys, iv, blocks);
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Gfni(token) => {
                words_gfni::ymm::cbc_encrypt(token, &self.round_keys, iv, blocks)
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx512Gfni(token) => {
                words_gfni::ymm_ternary::cbc_encrypt(token, &self.round_keys, iv, blocks);
            }
            _ => {
                let mut last = *iv;
                for block in blocks {
                    for (byte, last) in block.iter_mut().zip(last) {
                        *byte ^= last;
                    }
                    self.encrypt_block(block);
                    last = *block;
                }
            }
        }
    }

    /// Decrypts blocks in place, each by itself.
    pub(crate) fn decrypt_blocks(&self, blocks: &mut [[u8; 16]]) {
        match self.backend.kernels() {
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Aesni(token) if blocks.len() <= words_aes::aesni::MOST => {
                words_aes::aesni::decrypt(token, &self.round_keys, blocks);
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Vaes(token) if blocks.len() <= words_aes::vaes::MOST => {
                words_aes::vaes::decrypt(token, &self.round_keys, blocks);
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Gfni(token) if blocks.len() <= words_gfni::ymm::MOST => {
                words_gfni::ymm::decrypt(token, &self.round_keys, blocks);
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx512Gfni(token) if blocks.len() <= words_gfni::ymm_ternary::GROUP => {
                words_gfni::ymm_ternary::decrypt(token, &self.round_keys, blocks);
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx512Gfni(token) if blocks.len() <= words_gfni::zmm::GROUP => {
                words_gfni::zmm::decrypt(token, &self.round_keys, blocks);
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Aesni(token) => aesni::decrypt(token, &self.round_keys, blocks),
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Vaes(token) => vaes::decrypt(token, &self.round_keys, blocks),
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Gfni(token) => gfni_avx2::decrypt(token, &self.round_keys, blocks),
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx512Gfni(token) if blocks.len() <= gfni_avx2::WIDTH => {
                // The narrower kernel wastes fewer lanes. Both take the same round keys.
                gfni_avx2::decrypt(token.into(), &self.round_keys, blocks);
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx512Gfni(token) => gfni_avx512::decrypt(token, &self.round_keys, blocks),
            _ => portable::decrypt(&self.round_keys, blocks),
        }
    }
}

/// Encrypts block i under key i, of which there are as many, all of one backend.
pub(super) fn encrypt_each(keys: &[&Sm4], blocks: &mut [[u8; 16]]) {
    debug_assert_eq!(keys.len(), blocks.len());
    let Some(first) = keys.first() else { return };
    debug_assert!(keys.iter().all(|key| key.backend == first.backend));
    let most = most_in_words(first.backend);
    for (keys, blocks) in keys.chunks(most).zip(blocks.chunks_mut(most)) {
        let mut round_keys = [&first.round_keys; TOGETHER];
        for (to, key) in round_keys.iter_mut().zip(keys) {
            *to = &key.round_keys;
        }
        let (round_keys, _) = round_keys.split_at(keys.len().min(TOGETHER));
        match first.backend.kernels() {
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Aesni(token) => words_aes::aesni::encrypt_each(token, round_keys, blocks),
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Vaes(token) => words_aes::vaes::encrypt_each(token, round_keys, blocks),
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Gfni(token) => words_gfni::ymm::encrypt_each(token, round_keys, blocks),
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx512Gfni(token) if blocks.len() <= words_gfni::ymm_ternary::GROUP => {
                words_gfni::ymm_ternary::encrypt_each(token, round_keys, blocks);
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx512Gfni(token) => words_gfni::zmm::encrypt_each(token, round_keys, blocks),
            _ => portable::encrypt_each(round_keys, blocks),
        }
    }
}

/// Blocks of a pass of [`encrypt_each`]: more under one key have kernels of their own.
pub(super) fn most_in_words(backend: Backend) -> usize {
    match backend.kernels() {
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        Kernels::Avx2Aesni(_) => words_aes::aesni::MOST,
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        Kernels::Avx2Vaes(_) => words_aes::vaes::MOST,
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        Kernels::Avx2Gfni(_) => words_gfni::ymm::MOST,
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        Kernels::Avx512Gfni(_) => words_gfni::zmm::GROUP,
        _ => portable::LANES,
    }
}

/// Keys of a pass of [`schedule`].
fn most_scheduled(backend: Backend) -> usize {
    match backend.kernels() {
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        Kernels::Avx2Aesni(_) => words_aes::aesni::MOST,
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        Kernels::Avx2Vaes(_) => words_aes::vaes::MOST,
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        Kernels::Avx2Gfni(_) => words_gfni::ymm::MOST,
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        Kernels::Avx512Gfni(_) => words_gfni::zmm::MOST,
        _ => portable::LANES,
    }
}

/// The schedules of keys, no more than [`most_scheduled`] says, into as many of one backend.
fn schedule(keys: &[[u8; 16]], out: &mut [Sm4]) {
    let Some(first) = out.first() else { return };
    match first.backend.kernels() {
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        Kernels::Avx2Aesni(token) => {
            words_aes::aesni::schedule(token, keys, out);
        }
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        Kernels::Avx2Vaes(token) => {
            words_aes::vaes::schedule(token, keys, out);
        }
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        Kernels::Avx2Gfni(token) => words_gfni::ymm::schedule(token, keys, out),
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        Kernels::Avx512Gfni(token) if keys.len() <= words_gfni::ymm_ternary::GROUP => {
            words_gfni::ymm_ternary::schedule(token, keys, out);
        }
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        Kernels::Avx512Gfni(token) => {
            words_gfni::zmm::schedule(token, keys, out);
        }
        _ => {
            let mut round_keys = [[0; 32]; portable::LANES];
            portable::schedule(keys, &mut round_keys);
            for (out, round_keys) in out.iter_mut().zip(&mut round_keys) {
                portable::fold_constants(round_keys);
                out.round_keys = *round_keys;
            }
            wipe(round_keys.as_flattened_mut());
        }
    }
}

#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
impl RoundKeys for Sm4 {
    fn round_keys_mut(&mut self) -> &mut [u32; 32] {
        &mut self.round_keys
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
        wipe(&mut self.round_keys);
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
