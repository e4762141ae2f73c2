//! Blocks under different keys side by side.

use super::keys::Sm4;
use super::portable;
use super::wipe::wipe;
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
use super::{aesni, gfni_avx2, gfni_avx512, vaes};
use crate::cpu::{Backend, Kernels};

/// The most lanes that any backend has.
pub(super) const MOST: usize = 64;

#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
type Sliced<const N: usize> = Box<[[[u8; N]; 4]; 32]>;

enum Keys {
    /// Whole round keys of each lane.
    Words(Box<[[u32; 32]; portable::LANES]>),
    /// One vector of bytes a round and byte position.
    #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
    Bytes32(Sliced<32>),
    #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
    Bytes64(Sliced<64>),
}

/// The keys that stand in the lanes; wiped on drop.
pub(super) struct Lanes<'a> {
    backend: Backend,
    keys: Keys,
    /// Whose key stands in each lane, or is to.
    holders: [Option<&'a Sm4>; MOST],
    /// The lanes whose keys were not yet put there.
    #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
    changed: u64,
}

/// So many keys cost more one by one than those of all lanes do by transposition.
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
const FEW: u32 = 3;

impl<'a> Lanes<'a> {
    pub(super) fn width(backend: Backend) -> usize {
        match backend.kernels() {
            Kernels::Portable => portable::LANES,
            Kernels::Avx2Aesni(_) | Kernels::Avx2Vaes(_) | Kernels::Avx2Gfni(_) => 32,
            Kernels::Avx512Gfni(_) => 64,
        }
    }

    pub(super) fn new(backend: Backend) -> Self {
        let keys = match backend.kernels() {
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx2Aesni(_) | Kernels::Avx2Vaes(_) | Kernels::Avx2Gfni(_) => {
                Keys::Bytes32(Box::new([[[0; 32]; 4]; 32]))
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Kernels::Avx512Gfni(_) => Keys::Bytes64(Box::new([[[0; 64]; 4]; 32])),
            _ => Keys::Words(Box::new([[0; 32]; portable::LANES])),
        };
        Self {
            backend,
            keys,
            holders: [None; MOST],
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            changed: 0,
        }
    }

    /// Puts `key`, which must be of the same backend, into `lane`.
    pub(super) fn set(&mut self, lane: usize, key: &'a Sm4) {
        debug_assert_eq!(key.backend(), self.backend);
        let Some(holder) = self.holders.get_mut(lane) else {
            return;
        };
        if holder.is_some_and(|holder| core::ptr::eq(holder, key)) {
            return;
        }
        *holder = Some(key);
        match &mut self.keys {
            Keys::Words(words) => {
                if let Some(words) = words.get_mut(lane) {
                    *words = *key.round_keys();
                }
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            _ => self.changed |= 1 << (lane % MOST),
        }
    }

    /// Puts the keys that changed into their lanes.
    #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
    fn settle(&mut self) {
        let changed = core::mem::take(&mut self.changed);
        if changed == 0 {
            return;
        }
        let holders = &self.holders;
        match (&mut self.keys, self.backend.kernels()) {
            (Keys::Bytes32(keys), _) if changed.count_ones() < FEW => put(keys, changed, holders),
            (Keys::Bytes64(keys), _) if changed.count_ones() < FEW => put(keys, changed, holders),
            (Keys::Bytes32(keys), Kernels::Avx2Aesni(token)) => {
                aesni::slice_keys(token, &round_keys(holders), keys);
            }
            (Keys::Bytes32(keys), Kernels::Avx2Vaes(token)) => {
                vaes::slice_keys(token, &round_keys(holders), keys);
            }
            (Keys::Bytes32(keys), Kernels::Avx2Gfni(token)) => {
                gfni_avx2::slice_keys(token, &round_keys(holders), keys);
            }
            (Keys::Bytes64(keys), Kernels::Avx512Gfni(token)) => {
                gfni_avx512::slice_keys(token, &round_keys(holders), keys);
            }
            _ => unreachable!("the keys are made for the backend"),
        }
    }

    #[cfg(not(all(target_arch = "x86_64", not(sm_accel_portable))))]
    fn settle(&mut self) {}

    /// Encrypts block i under the key of lane i; no more blocks than lanes.
    pub(super) fn encrypt(&mut self, blocks: &mut [[u8; 16]]) {
        self.settle();
        match (&self.keys, self.backend.kernels()) {
            (Keys::Words(words), _) => {
                let mut keys = [&[0; 32]; portable::LANES];
                for (key, words) in keys.iter_mut().zip(words.iter()) {
                    *key = words;
                }
                portable::encrypt_each(&keys, blocks);
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            (Keys::Bytes32(keys), Kernels::Avx2Aesni(token)) => {
                padded(blocks, |all| aesni::encrypt_each(token, keys, all));
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            (Keys::Bytes32(keys), Kernels::Avx2Vaes(token)) => {
                padded(blocks, |all| vaes::encrypt_each(token, keys, all));
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            (Keys::Bytes32(keys), Kernels::Avx2Gfni(token)) => {
                padded(blocks, |all| gfni_avx2::encrypt_each(token, keys, all));
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            (Keys::Bytes64(keys), Kernels::Avx512Gfni(token)) => {
                padded(blocks, |all| gfni_avx512::encrypt_each(token, keys, all));
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            _ => unreachable!("the keys are made for the backend"),
        }
    }

    /// `steps` steps of CBC encryption, chain i under the key of lane i.
    pub(super) fn encrypt_chains(&mut self, chains: &mut Chains<'_>, steps: usize) {
        self.settle();
        match (&self.keys, self.backend.kernels()) {
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            (Keys::Bytes32(keys), Kernels::Avx2Aesni(token)) => {
                let (last, texts) = chains.arrays();
                aesni::encrypt_chains(token, keys, last, texts, steps);
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            (Keys::Bytes32(keys), Kernels::Avx2Vaes(token)) => {
                let (last, texts) = chains.arrays();
                vaes::encrypt_chains(token, keys, last, texts, steps);
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            (Keys::Bytes32(keys), Kernels::Avx2Gfni(token)) => {
                let (last, texts) = chains.arrays();
                gfni_avx2::encrypt_chains(token, keys, last, texts, steps);
            }
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            (Keys::Bytes64(keys), Kernels::Avx512Gfni(token)) => {
                let (last, texts) = chains.arrays();
                gfni_avx512::encrypt_chains(token, keys, last, texts, steps);
            }
            _ => {
                for step in 0..steps {
                    for (text, last) in chains.texts.iter().zip(&mut chains.last) {
                        if let Some(block) = text.get(step) {
                            xor(last, block);
                        }
                    }
                    self.encrypt(&mut chains.last);
                    for (text, last) in chains.texts.iter_mut().zip(&chains.last) {
                        if let Some(block) = text.get_mut(step) {
                            *block = *last;
                        }
                    }
                }
            }
        }
    }

    /// The same with as many chains more, in the lanes of `more`, a group of lanes working while the other waits.
    pub(super) fn encrypt_chains_with<'b>(
        &mut self,
        chains: &mut Chains<'b>,
        more: &mut Self,
        more_chains: &mut Chains<'b>,
        steps: usize,
    ) {
        self.settle();
        more.settle();
        #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
        match (&self.keys, &more.keys, self.backend.kernels()) {
            (Keys::Bytes32(keys), Keys::Bytes32(more), Kernels::Avx2Aesni(token)) => {
                let groups = [chains.arrays(), more_chains.arrays()];
                return aesni::encrypt_chains_two(token, [keys, more], groups, steps);
            }
            (Keys::Bytes32(keys), Keys::Bytes32(more), Kernels::Avx2Vaes(token)) => {
                let groups = [chains.arrays(), more_chains.arrays()];
                return vaes::encrypt_chains_two(token, [keys, more], groups, steps);
            }
            (Keys::Bytes32(keys), Keys::Bytes32(more), Kernels::Avx2Gfni(token)) => {
                let groups = [chains.arrays(), more_chains.arrays()];
                return gfni_avx2::encrypt_chains_two(token, [keys, more], groups, steps);
            }
            (Keys::Bytes64(keys), Keys::Bytes64(more), Kernels::Avx512Gfni(token)) => {
                let groups = [chains.arrays(), more_chains.arrays()];
                return gfni_avx512::encrypt_chains_two(token, [keys, more], groups, steps);
            }
            _ => {}
        }
        self.encrypt_chains(chains, steps);
        more.encrypt_chains(more_chains, steps);
    }
}

/// A chain for each lane: what is left of its text, nothing where a lane is idle, and the ciphertext before.
pub(super) struct Chains<'a> {
    pub(super) last: Vec<[u8; 16]>,
    pub(super) texts: Vec<&'a mut [[u8; 16]]>,
}

impl<'a> Chains<'a> {
    /// All idle.
    pub(super) fn new(backend: Backend) -> Self {
        let width = Lanes::width(backend);
        let mut texts: Vec<&mut [[u8; 16]]> = Vec::new();
        texts.resize_with(width, Default::default);
        Self {
            last: vec![[0; 16]; width],
            texts,
        }
    }

    #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
    fn arrays<const N: usize>(&mut self) -> (&mut [[u8; 16]; N], &mut [&'a mut [[u8; 16]]; N]) {
        match (self.last.first_chunk_mut(), self.texts.first_chunk_mut()) {
            (Some(last), Some(texts)) => (last, texts),
            _ => unreachable!("as many chains as lanes"),
        }
    }
}

/// `block ⊕= other`.
#[inline]
pub(super) fn xor(block: &mut [u8; 16], other: &[u8; 16]) {
    *block = (u128::from_ne_bytes(*block) ^ u128::from_ne_bytes(*other)).to_ne_bytes();
}

/// Bytes of the round keys of the lanes `changed` to where the kernels, which load N/16 blocks into a register, have a
/// lane's block.
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
fn put<const N: usize>(
    sliced: &mut [[[u8; N]; 4]; 32],
    changed: u64,
    holders: &[Option<&Sm4>; MOST],
) {
    let group = const { N / 16 };
    for (lane, holder) in holders.iter().enumerate() {
        let Some(key) = holder.filter(|_| changed >> lane & 1 == 1) else {
            continue;
        };
        #[allow(clippy::arithmetic_side_effects)] // Below N for every lane below N.
        let position = 16 * (lane % group) + lane / group;
        let bytes = key
            .round_keys()
            .iter()
            .flat_map(|round_key| round_key.to_le_bytes());
        for (to, from) in sliced.as_flattened_mut().iter_mut().zip(bytes) {
            if let Some(to) = to.get_mut(position) {
                *to = from;
            }
        }
    }
}

/// Each lane's round keys, zeros where nobody's key stands.
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
fn round_keys<'a, const N: usize>(holders: &[Option<&'a Sm4>; MOST]) -> [&'a [u32; 32]; N] {
    static NONE: [u32; 32] = [0; 32];
    let mut keys = [&NONE; N];
    for (to, holder) in keys.iter_mut().zip(holders) {
        if let Some(key) = holder {
            *to = key.round_keys();
        }
    }
    keys
}

/// Runs a kernel that takes all lanes on as many blocks as there are.
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
fn padded<const N: usize>(blocks: &mut [[u8; 16]], kernel: impl FnOnce(&mut [[u8; 16]; N])) {
    if let Ok(all) = <&mut [[u8; 16]; N]>::try_from(&mut *blocks) {
        kernel(all);
        return;
    }
    let mut all = [[0; 16]; N];
    for (to, from) in all.iter_mut().zip(blocks.iter()) {
        *to = *from;
    }
    kernel(&mut all);
    for (to, from) in blocks.iter_mut().zip(&all) {
        *to = *from;
    }
    wipe(all.as_flattened_mut());
}

impl Drop for Lanes<'_> {
    fn drop(&mut self) {
        match &mut self.keys {
            Keys::Words(words) => wipe(words.as_flattened_mut()),
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Keys::Bytes32(sliced) => wipe(sliced.as_flattened_mut().as_flattened_mut()),
            #[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
            Keys::Bytes64(sliced) => wipe(sliced.as_flattened_mut().as_flattened_mut()),
        }
    }
}
