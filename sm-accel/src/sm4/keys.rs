//! A scheduled SM4 key, and the dispatch to the kernels.

use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
use super::{aesni, gfni_avx2, gfni_avx512, vaes};
use super::{affine, portable};
use crate::cpu::{Backend, Kernels};

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
        Self::from_standard(backend, round_keys)
    }

    /// Schedules many keys for the active backend, sixteen at a time.
    pub fn many(keys: &[[u8; 16]]) -> Vec<Self> {
        Self::many_with_backend(Backend::active(), keys)
    }

    /// Schedules many keys for `backend`, sixteen at a time.
    pub fn many_with_backend(backend: Backend, keys: &[[u8; 16]]) -> Vec<Self> {
        let mut out = Vec::with_capacity(keys.len());
        let mut round_keys = [[0; 32]; portable::LANES];
        for group in keys.chunks(portable::LANES) {
            portable::schedule(group, &mut round_keys);
            out.extend(
                round_keys
                    .iter()
                    .take(group.len())
                    .map(|keys| Self::from_standard(backend, *keys)),
            );
        }
        round_keys.zeroize();
        out
    }

    fn from_standard(backend: Backend, mut round_keys: [u32; 32]) -> Self {
        let transformed = match backend.kernels() {
            Kernels::Portable => None,
            Kernels::Avx2Aesni(_) | Kernels::Avx2Vaes(_) => Some(affine::ROUND_AES),
            Kernels::Avx2Gfni(_) | Kernels::Avx512Gfni(_) => Some(affine::ROUND_INV),
        };
        match transformed {
            None => portable::fold_constants(&mut round_keys),
            Some(constant) => affine::transform_round_keys(&mut round_keys, constant),
        }
        let scheduled = Self {
            backend,
            round_keys,
        };
        round_keys.zeroize();
        scheduled
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
            Kernels::Avx2Aesni(token) => aesni::encrypt(token, &self.round_keys, blocks),
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Vaes(token) => vaes::encrypt(token, &self.round_keys, blocks),
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Gfni(token) => gfni_avx2::encrypt(token, &self.round_keys, blocks),
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx512Gfni(token) => {
                // Few blocks: the narrower kernel wastes fewer lanes. Both take the same round keys.
                if blocks.len() <= gfni_avx2::WIDTH {
                    gfni_avx2::encrypt(token.into(), &self.round_keys, blocks);
                } else {
                    gfni_avx512::encrypt(token, &self.round_keys, blocks);
                }
            }
            _ => portable::encrypt(&self.round_keys, blocks),
        }
    }

    /// Decrypts blocks in place, each by itself.
    pub(crate) fn decrypt_blocks(&self, blocks: &mut [[u8; 16]]) {
        match self.backend.kernels() {
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Aesni(token) => aesni::decrypt(token, &self.round_keys, blocks),
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Vaes(token) => vaes::decrypt(token, &self.round_keys, blocks),
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Gfni(token) => gfni_avx2::decrypt(token, &self.round_keys, blocks),
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx512Gfni(token) => {
                if blocks.len() <= gfni_avx2::WIDTH {
                    gfni_avx2::decrypt(token.into(), &self.round_keys, blocks);
                } else {
                    gfni_avx512::decrypt(token, &self.round_keys, blocks);
                }
            }
            _ => portable::decrypt(&self.round_keys, blocks),
        }
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
