//! GHASH (NIST SP 800-38D, 6.4), the hash under GCM.
//!
//! Blocks are turned byte by byte, which turns GHASH's reflected bit order into the multiplier's, and the hash
//! key is multiplied by x once, so that a product needs no shift: GHASH as POLYVAL (RFC 8452, appendix A).
//! Several blocks are multiplied by descending powers of the key and reduced together.

#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod clmul;
mod portable;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod vclmul256;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod vclmul512;

use zeroize::{Zeroize, ZeroizeOnDrop};

#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
use crate::cpu::{Avx2Aesni, Avx2Vaes, Avx512Gfni};
use crate::cpu::{Backend, Kernels};

/// Name of the GHASH kernel of `backend`.
pub(crate) fn kernel_name(backend: Backend) -> &'static str {
    match backend.kernels() {
        Kernels::Portable => "integer multiplication, 4 blocks",
        Kernels::Avx2Aesni(_) => "pclmulqdq, 8 blocks",
        Kernels::Avx2Vaes(_) | Kernels::Avx2Gfni(_) => "vpclmulqdq 256-bit, 16 blocks",
        Kernels::Avx512Gfni(_) => "vpclmulqdq 512-bit, 32 blocks",
    }
}

/// A hash key with its powers: up to 800 bytes, wiped on drop.
pub(crate) struct HashKey(Powers);

#[allow(
    clippy::large_enum_variant,
    reason = "a key lives long, and stays off the heap"
)]
enum Powers {
    Portable(portable::Key),
    #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
    Clmul(Avx2Aesni, clmul::Key),
    #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
    Vclmul256(Avx2Vaes, vclmul256::Key),
    #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
    Vclmul512(Avx512Gfni, vclmul512::Key),
}

/// A hash under way. It reveals the hash key when the blocks are known, so it is wiped.
#[derive(Zeroize, ZeroizeOnDrop, Default)]
pub(crate) struct State(u128);

impl HashKey {
    /// From the block H, the encryption of zeros.
    pub(crate) fn new(backend: Backend, h: &[u8; 16]) -> Self {
        let h = times_x(u128::from_be_bytes(*h));
        Self(match backend.kernels() {
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx512Gfni(token) => Powers::Vclmul512(token, vclmul512::Key::new(token, h)),
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Gfni(token) => {
                Powers::Vclmul256(token.into(), vclmul256::Key::new(token.into(), h))
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Vaes(token) => Powers::Vclmul256(token, vclmul256::Key::new(token, h)),
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Aesni(token) => Powers::Clmul(token, clmul::Key::new(token, h)),
            _ => Powers::Portable(portable::Key::new(h)),
        })
    }

    /// Hashes whole blocks.
    pub(crate) fn update(&self, state: &mut State, blocks: &[[u8; 16]]) {
        state.0 = match &self.0 {
            Powers::Portable(key) => portable::update(key, state.0, blocks),
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Powers::Clmul(token, key) => clmul::update(*token, key, state.0, blocks),
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Powers::Vclmul256(token, key) => vclmul256::update(*token, key, state.0, blocks),
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Powers::Vclmul512(token, key) => vclmul512::update(*token, key, state.0, blocks),
        };
    }

    /// Hashes `bytes`, the last block filled up with zeros.
    pub(crate) fn update_padded(&self, state: &mut State, bytes: &[u8]) {
        let (blocks, rest) = bytes.as_chunks::<16>();
        if !blocks.is_empty() {
            self.update(state, blocks);
        }
        if !rest.is_empty() {
            let mut last = [0; 16];
            for (to, from) in last.iter_mut().zip(rest) {
                *to = *from;
            }
            self.update(state, &[last]);
        }
    }
}

impl State {
    /// The hash of the blocks so far.
    pub(crate) fn value(&self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

/// x·h in POLYVAL's field.
fn times_x(h: u128) -> u128 {
    let carry = 0_u128.wrapping_sub(h >> 127);
    (h << 1) ^ (carry & 0xc200_0000_0000_0000_0000_0000_0000_0001)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GHASH bit by bit, as SP 800-38D, algorithm 1 has it.
    fn reference(h: [u8; 16], blocks: &[[u8; 16]]) -> [u8; 16] {
        let h = u128::from_be_bytes(h);
        let mut hash = 0;
        for block in blocks {
            let x = hash ^ u128::from_be_bytes(*block);
            let (mut z, mut v) = (0, h);
            for bit in (0..128).rev() {
                if x >> bit & 1 == 1 {
                    z ^= v;
                }
                v = v >> 1 ^ if v & 1 == 1 { 0xe1 << 120 } else { 0 };
            }
            hash = z;
        }
        hash.to_be_bytes()
    }

    /// Random enough, the same in every run.
    struct Xorshift(u64);

    impl Xorshift {
        fn block(&mut self) -> [u8; 16] {
            let mut word = || {
                self.0 ^= self.0 << 13;
                self.0 ^= self.0 >> 7;
                self.0 ^= self.0 << 17;
                u128::from(self.0)
            };
            (word() << 64 | word()).to_be_bytes()
        }
    }

    fn hash(key: &HashKey, parts: &[&[[u8; 16]]]) -> [u8; 16] {
        let mut state = State::default();
        for part in parts {
            key.update(&mut state, part);
        }
        state.value()
    }

    #[test]
    fn every_kernel_equals_the_bitwise_reference() {
        let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
        // Four times the widest group, and beyond.
        let blocks: Vec<_> = (0..140).map(|_| random.block()).collect();
        let mut keys: Vec<_> = (0..3).map(|_| random.block()).collect();
        keys.extend([
            [0; 16],
            [0xff; 16],
            1_u128.to_be_bytes(),
            (1_u128 << 127).to_be_bytes(),
        ]);
        for h in keys {
            let expected: Vec<_> = (0..=blocks.len())
                .map(|n| {
                    if n % 7 == 0 || n < 70 {
                        Some(reference(h, &blocks[..n]))
                    } else {
                        None
                    }
                })
                .collect();
            for backend in Backend::available() {
                println!("backend: {backend}");
                let key = HashKey::new(backend, &h);
                for (n, expected) in expected.iter().enumerate() {
                    let whole = hash(&key, &[&blocks[..n]]);
                    if let Some(expected) = expected {
                        assert_eq!(whole, *expected, "{backend}, {n} blocks");
                    }
                    // In two parts, the second starting anywhere.
                    let at = n * 5 / 11;
                    assert_eq!(
                        hash(&key, &[&blocks[..at], &blocks[at..n]]),
                        whole,
                        "{backend}, {n}"
                    );
                }
            }
        }
    }

    #[test]
    fn unaligned_bytes_and_padding() {
        let mut random = Xorshift(42);
        let bytes: Vec<u8> = (0..80).flat_map(|_| random.block()).collect();
        let h = random.block();
        for backend in Backend::available() {
            let key = HashKey::new(backend, &h);
            for offset in 0..64 {
                for len in [0, 1, 15, 16, 17, 63, 64, 65, 511, 512, 513, 1024, 1100] {
                    let part = &bytes[offset..offset + len];
                    let mut padded = part.to_vec();
                    padded.resize(len.next_multiple_of(16), 0);
                    let mut state = State::default();
                    key.update_padded(&mut state, part);
                    assert_eq!(
                        state.value(),
                        reference(h, padded.as_chunks().0),
                        "{backend}, offset {offset}, length {len}"
                    );
                }
            }
        }
    }

    /// All bits set, and single bits, meet every carry of the portable multiplication.
    #[test]
    fn dense_and_sparse_operands() {
        for backend in Backend::available() {
            for bit in 0..128 {
                let sparse = (1_u128 << bit).to_be_bytes();
                let ramp = (u128::MAX << bit).to_be_bytes();
                for h in [sparse, ramp] {
                    let key = HashKey::new(backend, &h);
                    for blocks in [[[0xff; 16]; 5], [sparse; 5], [ramp; 5]] {
                        assert_eq!(
                            hash(&key, &[&blocks]),
                            reference(h, &blocks),
                            "{backend}, bit {bit}"
                        );
                    }
                }
            }
        }
    }
}
