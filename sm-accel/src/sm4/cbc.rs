//! Cipher block chaining (GB/T 17964-2021, clause 7), on whole blocks: padding is the caller's.

use core::fmt;

use super::keys::Sm4;
use super::lanes::{Chains, Lanes, MOST, xor};
use super::wipe::wipe;
use crate::cpu::Backend;

impl Sm4 {
    /// Encrypts one chain in place. Each block waits for the one before; many chains belong into
    /// [`cbc_encrypt_many`].
    pub fn cbc_encrypt(&self, iv: &[u8; 16], blocks: &mut [[u8; 16]]) {
        self.encrypt_chain(iv, blocks);
    }

    /// Decrypts one chain in place, its blocks side by side.
    pub fn cbc_decrypt(&self, iv: &[u8; 16], blocks: &mut [[u8; 16]]) {
        if self.decrypt_chain(iv, blocks) {
            return;
        }
        let mut chain = *iv;
        let mut plain = [[0; 16]; MOST];
        for group in blocks.chunks_mut(MOST) {
            let (plain, _) = plain.split_at_mut(group.len());
            plain.copy_from_slice(group);
            self.decrypt_blocks(plain);
            for (block, plain) in group.iter_mut().zip(plain) {
                xor(plain, &chain);
                chain = *block;
                *block = *plain;
            }
        }
        wipe(plain.as_flattened_mut());
    }
}

/// One chain of [`cbc_encrypt_many`] or [`cbc_decrypt_many`].
pub struct CbcJob<'a> {
    /// The key.
    pub key: &'a Sm4,
    /// The initialisation vector: unpredictable, and fresh for each chain that is encrypted.
    pub iv: &'a [u8; 16],
    /// Encrypted or decrypted in place.
    pub blocks: &'a mut [[u8; 16]],
}

impl fmt::Debug for CbcJob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CbcJob").finish_non_exhaustive()
    }
}

/// [`Sm4::cbc_decrypt`] of many chains.
pub fn cbc_decrypt_many(jobs: &mut [CbcJob<'_>]) {
    for job in jobs {
        job.key.cbc_decrypt(job.iv, job.blocks);
    }
}

/// [`Sm4::cbc_encrypt`] of many chains side by side, of any keys and lengths: a lane whose chain ends takes the next,
/// the longest first.
pub fn cbc_encrypt_many(jobs: &mut [CbcJob<'_>]) {
    for backend in Backend::available() {
        let mut queue: Vec<&mut CbcJob<'_>> = jobs
            .iter_mut()
            .filter(|job| job.key.backend() == backend && !job.blocks.is_empty())
            .collect();
        if let [job] = queue.as_mut_slice() {
            job.key.cbc_encrypt(job.iv, job.blocks);
            continue;
        }
        if queue.is_empty() {
            continue;
        }
        queue.sort_by_key(|job| core::cmp::Reverse(job.blocks.len()));
        encrypt_queue(backend, queue.into_iter());
    }
}

fn encrypt_queue<'a, 'b: 'a>(
    backend: Backend,
    mut queue: impl Iterator<Item = &'a mut CbcJob<'b>>,
) {
    let mut lanes = [Lanes::new(backend), Lanes::new(backend)];
    let mut chains = [Chains::new(backend), Chains::new(backend)];
    loop {
        // So many steps until the next chain ends.
        let mut steps = [None; 2];
        for ((lanes, chains), steps) in lanes.iter_mut().zip(&mut chains).zip(&mut steps) {
            for (lane, (text, last)) in chains.texts.iter_mut().zip(&mut chains.last).enumerate() {
                if text.is_empty() {
                    let Some(job) = queue.next() else { continue };
                    lanes.set(lane, job.key);
                    *last = *job.iv;
                    *text = job.blocks;
                }
                *steps = Some(steps.map_or(text.len(), |steps: usize| steps.min(text.len())));
            }
        }
        let [lanes_a, lanes_b] = &mut lanes;
        let [chains_a, chains_b] = &mut chains;
        let steps = match steps {
            [None, None] => break,
            [Some(steps), None] => {
                lanes_a.encrypt_chains(chains_a, steps);
                steps
            }
            [None, Some(steps)] => {
                lanes_b.encrypt_chains(chains_b, steps);
                steps
            }
            [Some(a), Some(b)] => {
                let steps = a.min(b);
                lanes_a.encrypt_chains_with(chains_a, lanes_b, chains_b, steps);
                steps
            }
        };
        for text in chains.iter_mut().flat_map(|chains| &mut chains.texts) {
            if let Some((_, rest)) = core::mem::take(text).split_at_mut_checked(steps) {
                *text = rest;
            }
        }
    }
}
