//! Key streams of consecutive counter blocks, which vector kernels make from the counter itself.

use super::keys::Sm4;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
use super::keys::most_in_words;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
use super::{aesni, gfni_avx2, gfni_avx512, vaes};
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Backend;

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
