//! Key streams of consecutive counter blocks, which vector kernels make from the counter itself.

use super::keys::Sm4;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
use super::{aesni, gfni_avx2, gfni_avx512, vaes};
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
use crate::cpu::Kernels;

impl Sm4 {
    /// Adds the key stream from `counter` on to `text` where a kernel does so and the text is long enough. The last four
    /// bytes of `counter` are a big-endian number that wraps without carry. Says whether it was done.
    pub(super) fn add_key_stream(&self, counter: &[u8; 16], text: &mut [[u8; 16]]) -> bool {
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        if text.len() >= SHORTEST {
            let [nonce @ .., a, b, c, d] = counter;
            let first = u32::from_be_bytes([*a, *b, *c, *d]);
            let keys = self.round_keys();
            match self.backend().kernels() {
                Kernels::Portable => return false,
                Kernels::Avx2Aesni(token) => {
                    aesni::add_key_stream(token, keys, nonce, first, text);
                }
                Kernels::Avx2Vaes(token) => vaes::add_key_stream(token, keys, nonce, first, text),
                Kernels::Avx2Gfni(token) => {
                    gfni_avx2::add_key_stream(token, keys, nonce, first, text);
                }
                Kernels::Avx512Gfni(token) if text.len() <= gfni_avx2::WIDTH => {
                    gfni_avx2::add_key_stream(token.into(), keys, nonce, first, text);
                }
                Kernels::Avx512Gfni(token) => {
                    gfni_avx512::add_key_stream(token, keys, nonce, first, text);
                }
            }
            return true;
        }
        let _ = (counter, text);
        false
    }
}

/// Fewer blocks have kernels of their own.
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
const SHORTEST: usize = 5;
