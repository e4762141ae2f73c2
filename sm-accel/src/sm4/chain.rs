//! CBC decryption where vector kernels take the chain apart themselves.

use super::keys::Sm4;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
use super::keys::most_in_words;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
use super::{aesni, gfni_avx2, gfni_avx512, vaes};
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
use crate::cpu::Kernels;

impl Sm4 {
    /// Decrypts the chain where a kernel does so and the chain is long enough. Says whether it was done.
    pub(super) fn decrypt_chain(&self, iv: &[u8; 16], blocks: &mut [[u8; 16]]) -> bool {
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        if blocks.len() > most_in_words(self.backend()) {
            let keys = self.round_keys();
            match self.backend().kernels() {
                Kernels::Portable => return false,
                Kernels::Avx2Aesni(token) => aesni::decrypt_chain(token, keys, iv, blocks),
                Kernels::Avx2Vaes(token) => vaes::decrypt_chain(token, keys, iv, blocks),
                Kernels::Avx2Gfni(token) => gfni_avx2::decrypt_chain(token, keys, iv, blocks),
                Kernels::Avx512Gfni(token) if blocks.len() <= gfni_avx2::WIDTH => {
                    gfni_avx2::decrypt_chain(token.into(), keys, iv, blocks);
                }
                Kernels::Avx512Gfni(token) => gfni_avx512::decrypt_chain(token, keys, iv, blocks),
            }
            return true;
        }
        let _ = (iv, blocks);
        false
    }
}
