//! Key streams of consecutive counter blocks, which vector kernels make from the counter itself.

use super::keys::Sm4;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
use super::keys::most_in_words;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
use super::{aesni, gfni_avx2, gfni_avx512, vaes, words_aes, words_gfni};
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
use crate::cpu::Kernels;

impl Sm4 {
    /// Adds the key stream from `counter` on to `text` where a kernel does so and the text is long enough. The last four
    /// bytes of `counter` are a big-endian number that wraps without carry. Says whether it was done.
    pub(super) fn add_key_stream(&self, counter: &[u8; 16], text: &mut [[u8; 16]]) -> bool {
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        if text.len() > most_in_words(self.backend()) {
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

    /// The same on a text of few blocks, of which the last may be a part. `counter` is the big-endian number that the
    /// block is.
    #[inline]
    pub(super) fn add_short_key_stream(&self, counter: u128, text: &mut [u8]) -> bool {
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        {
            let keys = self.round_keys();
            let within = |group: usize| text.len() <= group.saturating_mul(16);
            match self.backend().kernels() {
                Kernels::Avx2Aesni(token) if within(words_aes::aesni::GROUP) => {
                    words_aes::aesni::add_key_stream(token, keys, counter, text);
                }
                Kernels::Avx2Vaes(token) if within(words_aes::vaes::GROUP) => {
                    words_aes::vaes::add_key_stream(token, keys, counter, text);
                }
                Kernels::Avx2Gfni(token) if within(words_gfni::ymm::GROUP) => {
                    words_gfni::ymm::add_key_stream(token, keys, counter, text);
                }
                Kernels::Avx512Gfni(token) if within(4) => {
                    words_gfni::ymm_ternary::add_key_stream_to_four(token, keys, counter, text);
                }
                Kernels::Avx512Gfni(token) if within(words_gfni::ymm_ternary::GROUP) => {
                    words_gfni::ymm_ternary::add_key_stream(token, keys, counter, text);
                }
                Kernels::Avx512Gfni(token) if within(words_gfni::zmm::GROUP) => {
                    words_gfni::zmm::add_key_stream(token, keys, counter, text);
                }
                _ => return false,
            }
            true
        }
        #[cfg(not(all(target_arch = "x86_64", not(sm_accel_portable))))]
        {
            let _ = (counter, text);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Backend;

    /// Every length of the few blocks that go without memory, and wraps within.
    #[test]
    fn short_texts_of_every_length() {
        let nonce = [0xa5_u8; 12];
        for backend in Backend::available() {
            println!("backend: {backend}");
            let key = Sm4::with_backend(backend, &[9; 16]);
            for first in [0, u32::MAX, u32::MAX - 1, u32::MAX - 6, 0x7fff_fffc] {
                let counter = |i: u32| {
                    let mut block = [0; 16];
                    block[..12].copy_from_slice(&nonce);
                    block[12..].copy_from_slice(&first.wrapping_add(i).to_be_bytes());
                    block
                };
                let mut expected: Vec<_> = (0..20).map(counter).collect();
                expected
                    .iter_mut()
                    .for_each(|block| key.encrypt_block(block));
                for length in 0..=20 * 16 {
                    let mut got = vec![0x3c; 20 * 16 + 1];
                    let mut at = counter(0);
                    key.ctr32_xor(&mut at, &mut got[..length]);
                    assert_eq!(
                        at,
                        counter(length.div_ceil(16) as u32),
                        "{backend} {length}"
                    );
                    let (got, behind) = got.split_at(length);
                    let stream = expected.as_flattened();
                    assert!(got.iter().zip(stream).all(|(got, key)| got ^ 0x3c == *key));
                    assert!(behind.iter().all(|byte| *byte == 0x3c));
                }
            }
        }
    }

    /// Every carry between the counter's bytes, and the wrap, at every place of a kernel's group.
    #[test]
    fn counters_carry_from_byte_to_byte_and_wrap_alone() {
        let nonce = [0xffu8; 12];
        for backend in Backend::available() {
            println!("backend: {backend}");
            let key = Sm4::with_backend(backend, &[7; 16]);
            for carry in [0x80u32, 0x100, 0x8000, 0x1_0000, 0x100_0000, 0x8000_0000, 0] {
                for before in (0..=130).chain([255, 256, 300]) {
                    let first = carry.wrapping_sub(before);
                    let counter = |i: u32| {
                        let mut block = [0; 16];
                        block[..12].copy_from_slice(&nonce);
                        block[12..].copy_from_slice(&first.wrapping_add(i).to_be_bytes());
                        block
                    };
                    let mut expected: Vec<_> = (0..133).map(counter).collect();
                    key.encrypt_blocks(&mut expected);
                    let mut got = vec![0; expected.as_flattened().len() + 3];
                    let mut at = counter(0);
                    key.ctr32_xor(&mut at, &mut got);
                    assert_eq!(at, counter(134), "{backend} {first:#x}");
                    assert_eq!(
                        got[..133 * 16],
                        *expected.as_flattened(),
                        "{backend} {first:#x}"
                    );
                }
            }
        }
    }
}
