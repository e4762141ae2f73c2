//! Cipher block chaining (GB/T 17964-2021, clause 7), on whole blocks: padding is the caller's.

use super::keys::Sm4;
use super::lanes::{Lanes, MOST};
use super::wipe::wipe;
use crate::cpu::Backend;

#[inline]
fn xor(block: &mut [u8; 16], other: &[u8; 16]) {
    *block = (u128::from_ne_bytes(*block) ^ u128::from_ne_bytes(*other)).to_ne_bytes();
}

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
#[derive(Debug)]
pub struct CbcJob<'a> {
    /// The key.
    pub key: &'a Sm4,
    /// The initialisation vector: unpredictable, and fresh for each chain that is encrypted.
    pub iv: &'a [u8; 16],
    /// Encrypted or decrypted in place.
    pub blocks: &'a mut [[u8; 16]],
}

/// [`Sm4::cbc_decrypt`] of many chains.
pub fn cbc_decrypt_many(jobs: &mut [CbcJob<'_>]) {
    for job in jobs {
        job.key.cbc_decrypt(job.iv, job.blocks);
    }
}

/// A chain under way in a lane.
struct Chain<'a> {
    last: [u8; 16],
    rest: core::slice::IterMut<'a, [u8; 16]>,
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
    let width = Lanes::width(backend);
    let mut lanes = Lanes::new(backend);
    let mut chains: Vec<Option<Chain<'_>>> = Vec::new();
    chains.resize_with(width, || None);
    let mut staged = vec![[0u8; 16]; width];
    loop {
        let mut busy = 0usize;
        for (i, (chain, staged)) in chains.iter_mut().zip(&mut staged).enumerate() {
            if chain.as_ref().is_none_or(|chain| chain.rest.len() == 0) {
                *chain = queue.next().map(|job| {
                    lanes.set(i, job.key);
                    Chain {
                        last: *job.iv,
                        rest: job.blocks.iter_mut(),
                    }
                });
            }
            let next = chain
                .as_ref()
                .and_then(|chain| Some((chain.rest.as_slice().first()?, chain.last)));
            if let Some((block, last)) = next {
                *staged = *block;
                xor(staged, &last);
                busy = i.saturating_add(1);
            }
        }
        if busy == 0 {
            break;
        }
        let (used, _) = staged.split_at_mut(busy);
        lanes.encrypt(used);
        for (chain, out) in chains.iter_mut().zip(used) {
            let Some(chain) = chain else { continue };
            if let Some(block) = chain.rest.next() {
                *block = *out;
                chain.last = *out;
            }
        }
    }
    wipe(staged.as_flattened_mut());
}
