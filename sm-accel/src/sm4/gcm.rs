//! SM4-GCM (NIST SP 800-38D, RFC 8998).

use core::fmt;

use zeroize::{Zeroize, Zeroizing};

use super::ghash::{HashKey, State};
use super::jobs::{OpenJob, SealJob, run_length};
use super::keys::Sm4;
use super::keystream::{Stream, add, advance, apply_many, blocks, fill_counters};
use super::tag::{shorten, verify};
use super::wipe::wipe;
use crate::cpu::Backend;
use crate::error::Error;

/// 2^36 - 32 bytes: so many that the 32-bit counter does not come round.
const MAX_TEXT: u64 = (1 << 36) - 32;

/// 2^61 - 1 bytes: so many that their bits are counted in 64 bits.
const MAX_AAD: u64 = (1 << 61) - 1;

/// Encrypted and hashed in turn, so that the hash finds the bytes in the first cache.
const CHUNK: usize = 4096;

/// Blocks of a short message, its first counter block included: one pass of the cipher.
const SHORT: usize = 16;

/// An SM4-GCM key (NIST SP 800-38D, RFC 8998), with tags of `TAG` bytes: 16, or 12 to 15 by
/// [`with_tag_length`](Self::with_tag_length). Constant time in every backend, wiped on drop.
///
/// A nonce must never be used twice with one key: two texts under one nonce reveal their difference, and the
/// hash key with it. Random 12-byte nonces serve for 2^32 texts a key at the most.
///
/// ```
/// use sm_accel::sm4::Sm4Gcm;
/// let key = Sm4Gcm::new(&[7; 16]);
/// let mut text = *b"account 4711";
/// let tag = key.seal_in_place(&[1; 12], b"header", &mut text)?;
/// key.open_in_place(&[1; 12], b"header", &mut text, &tag)?;
/// assert_eq!(&text, b"account 4711");
/// # Ok::<(), sm_accel::Error>(())
/// ```
pub struct Sm4Gcm<const TAG: usize = 16> {
    cipher: Sm4,
    hash_key: HashKey,
}

impl Sm4Gcm {
    /// Schedules `key` for the active backend; tags have 16 bytes.
    pub fn new(key: &[u8; 16]) -> Self {
        Self::with_backend(Backend::active(), key)
    }

    /// Schedules `key` for `backend`; tags have 16 bytes.
    pub fn with_backend(backend: Backend, key: &[u8; 16]) -> Self {
        let cipher = Sm4::with_backend(backend, key);
        let mut h = [0; 16];
        cipher.encrypt_block(&mut h);
        let hash_key = HashKey::new(backend, &h);
        h.zeroize();
        Self { cipher, hash_key }
    }
}

impl<const TAG: usize> Sm4Gcm<TAG> {
    /// The same key with tags of `LENGTH` bytes, 12 to 16; another length does not compile.
    ///
    /// A key should have one tag length for its life: where a longer tag is asked for, a shorter one is then
    /// refused by its type.
    pub fn with_tag_length<const LENGTH: usize>(self) -> Sm4Gcm<LENGTH> {
        const { assert!(LENGTH >= 12 && LENGTH <= 16, "GCM tags have 12 to 16 bytes") };
        Sm4Gcm {
            cipher: self.cipher,
            hash_key: self.hash_key,
        }
    }

    /// The backend that this key was scheduled for.
    pub fn backend(&self) -> Backend {
        self.cipher.backend()
    }

    /// Encrypts `text` in place and returns the tag over it and `aad`.
    ///
    /// `nonce` has at least one byte; 12 are usual, fastest, and never collide unless they are equal.
    ///
    /// # Errors
    /// [`Error::Length`] for an empty nonce, [`Error::TooLong`] for a text of more than 2^36 - 32 bytes or `aad`
    /// of more than 2^61 - 1; `text` is then as it was.
    pub fn seal_in_place(
        &self,
        nonce: &[u8],
        aad: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; TAG], Error> {
        check(nonce, aad, text)?;
        Ok(self.seal_from(&self.first_counter(nonce), aad, text))
    }

    /// Decrypts `text` in place if `tag` is right for it and `aad`. The tag is compared first, in constant time;
    /// nothing is decrypted before.
    ///
    /// # Errors
    /// [`Error::Decryption`] if the tag is wrong, otherwise as [`seal_in_place`](Self::seal_in_place). After any
    /// error `text` is still the ciphertext.
    pub fn open_in_place(
        &self,
        nonce: &[u8],
        aad: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG],
    ) -> Result<(), Error> {
        check(nonce, aad, text)?;
        self.open_from(&self.first_counter(nonce), aad, text, tag)
    }

    /// The ciphertext of `text` with the tag behind it.
    ///
    /// # Errors
    /// As [`seal_in_place`](Self::seal_in_place).
    pub fn seal(&self, nonce: &[u8], aad: &[u8], text: &[u8]) -> Result<Vec<u8>, Error> {
        check(nonce, aad, text)?;
        let mut sealed = Vec::with_capacity(text.len().saturating_add(TAG));
        sealed.extend_from_slice(text);
        let tag = self.seal_in_place(nonce, aad, &mut sealed)?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// The text of a ciphertext with the tag behind it.
    ///
    /// # Errors
    /// As [`open_in_place`](Self::open_in_place); [`Error::Decryption`] also for less than a tag.
    pub fn open(&self, nonce: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let (text, tag) = sealed.split_last_chunk().ok_or(Error::Decryption)?;
        let mut text = text.to_vec();
        self.open_in_place(nonce, aad, &mut text, tag)?;
        Ok(text)
    }

    /// [`seal_in_place`](Self::seal_in_place) for every job, one result each. Short texts are encrypted side by
    /// side, under one key or many.
    #[must_use = "one result an item: an item that failed was not worked on"]
    pub fn seal_many(jobs: &mut [SealJob<'_, Self>]) -> Vec<Result<[u8; TAG], Error>> {
        let mut results = Vec::with_capacity(jobs.len());
        let mut rest = jobs;
        while !rest.is_empty() {
            let (run, others) = rest.split_at_mut(run_length(rest, |job| &job.key.cipher));
            rest = others;
            let mut masks = vec![[0; 16]; run.len()];
            let mut streams = Vec::with_capacity(run.len());
            for (job, mask) in run.iter_mut().zip(&mut masks) {
                if check(job.nonce, job.aad, job.text).is_ok() {
                    streams.push(Stream {
                        cipher: &job.key.cipher,
                        counter: job.key.first_counter(job.nonce),
                        mask: Some(mask),
                        text: &mut *job.text,
                    });
                }
            }
            apply_many(&mut streams);
            drop(streams);
            for (job, mask) in run.iter().zip(&masks) {
                results.push(
                    check(job.nonce, job.aad, job.text)
                        .map(|()| shorten(&job.key.tag(job.aad, job.text, mask))),
                );
            }
            wipe(&mut masks);
        }
        results
    }

    /// [`open_in_place`](Self::open_in_place) for every job, one result each; one wrong tag does not touch the
    /// others.
    #[must_use = "one result an item: an item that failed was not worked on"]
    pub fn open_many(jobs: &mut [OpenJob<'_, Self, TAG>]) -> Vec<Result<(), Error>> {
        let mut results = Vec::with_capacity(jobs.len());
        let mut rest = jobs;
        while !rest.is_empty() {
            let (run, others) = rest.split_at_mut(run_length(rest, |job| &job.key.cipher));
            rest = others;
            let mut counters = vec![[0; 16]; run.len()];
            let mut masks = counters.clone();
            let mut streams = Vec::with_capacity(run.len());
            for ((job, counter), mask) in run.iter().zip(&mut counters).zip(&mut masks) {
                if check(job.nonce, job.aad, job.text).is_ok() {
                    *counter = *job.key.first_counter(job.nonce);
                    streams.push(Stream {
                        cipher: &job.key.cipher,
                        counter: Zeroizing::new(*counter),
                        mask: Some(mask),
                        text: &mut [],
                    });
                }
            }
            apply_many(&mut streams);
            let mut streams = Vec::with_capacity(run.len());
            for ((job, counter), mask) in run.iter_mut().zip(&counters).zip(&masks) {
                let opened = check(job.nonce, job.aad, job.text)
                    .and_then(|()| verify(&mut job.key.tag(job.aad, job.text, mask), job.tag));
                if opened.is_ok() {
                    let mut counter = Zeroizing::new(*counter);
                    advance(&mut counter);
                    streams.push(Stream {
                        cipher: &job.key.cipher,
                        counter,
                        mask: None,
                        text: &mut *job.text,
                    });
                }
                results.push(opened);
            }
            apply_many(&mut streams);
            wipe(&mut masks);
            wipe(&mut counters);
        }
        results
    }

    /// J0 (SP 800-38D, 7.1, step 2): of a nonce that has not 12 bytes it tells of the hash key.
    fn first_counter(&self, nonce: &[u8]) -> Zeroizing<[u8; 16]> {
        if let Ok(nonce) = <&[u8; 12]>::try_from(nonce) {
            let mut block = [0; 16];
            let (head, tail) = block.split_at_mut(12);
            head.copy_from_slice(nonce);
            tail.copy_from_slice(&1_u32.to_be_bytes());
            return Zeroizing::new(block);
        }
        let mut state = State::default();
        self.hash_key.update_padded(&mut state, nonce);
        self.hash_key.update(&mut state, &[lengths(0, nonce.len())]);
        Zeroizing::new(state.value())
    }

    fn seal_from(&self, j0: &[u8; 16], aad: &[u8], text: &mut [u8]) -> [u8; TAG] {
        let mut mask = [0; 16];
        let tag = if blocks(text) < SHORT {
            let mut stream = [[0; 16]; SHORT];
            self.short_stream(j0, text.len(), &mut mask, &mut stream);
            add(text, stream.as_flattened());
            wipe(&mut stream);
            self.tag(aad, text, &mask)
        } else {
            mask = *j0;
            self.cipher.encrypt_block(&mut mask);
            let mut counter = Zeroizing::new(*j0);
            advance(&mut counter);
            let mut state = State::default();
            self.hash_key.update_padded(&mut state, aad);
            for chunk in text.chunks_mut(CHUNK) {
                self.cipher.ctr32_xor(&mut counter, chunk);
                self.hash_key.update_padded(&mut state, chunk);
            }
            self.finish(state, aad, text, &mask)
        };
        mask.zeroize();
        shorten(&tag)
    }

    fn open_from(
        &self,
        j0: &[u8; 16],
        aad: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG],
    ) -> Result<(), Error> {
        let mut mask = [0; 16];
        let verified;
        if blocks(text) < SHORT {
            let mut stream = [[0; 16]; SHORT];
            self.short_stream(j0, text.len(), &mut mask, &mut stream);
            verified = verify(&mut self.tag(aad, text, &mask), tag);
            if verified.is_ok() {
                add(text, stream.as_flattened());
            }
            wipe(&mut stream);
        } else {
            mask = *j0;
            self.cipher.encrypt_block(&mut mask);
            verified = verify(&mut self.tag(aad, text, &mask), tag);
            if verified.is_ok() {
                let mut counter = Zeroizing::new(*j0);
                advance(&mut counter);
                self.cipher.ctr32_xor(&mut counter, text);
            }
        }
        mask.zeroize();
        verified
    }

    /// The encryption of J0 into `mask`, and the key stream of a short text into `stream`, in one pass of the cipher.
    /// Both are the caller's, who wipes them.
    fn short_stream(
        &self,
        j0: &[u8; 16],
        length: usize,
        mask: &mut [u8; 16],
        stream: &mut [[u8; 16]; SHORT],
    ) {
        let used = length.div_ceil(16).saturating_add(1);
        if let Some(used) = stream.get_mut(..used) {
            fill_counters(j0, used);
            self.cipher.encrypt_blocks(used);
        }
        if let Some(first) = stream.first() {
            *mask = *first;
        }
        stream.rotate_left(1);
    }

    /// The full tag of a ciphertext.
    fn tag(&self, aad: &[u8], text: &[u8], mask: &[u8; 16]) -> [u8; 16] {
        let mut state = State::default();
        let mut gathered = [[0; 16]; SHORT];
        let used = blocks(aad).saturating_add(blocks(text)).saturating_add(1);
        // A short message is hashed with one reduction.
        if let Some(gathered) = gathered.get_mut(..used) {
            let (head, tail) = gathered.split_at_mut(blocks(aad));
            copy(head.as_flattened_mut(), aad);
            copy(tail.as_flattened_mut(), text);
            if let Some(last) = tail.last_mut() {
                *last = lengths(aad.len(), text.len());
            }
            self.hash_key.update(&mut state, gathered);
            return masked(&state, mask);
        }
        self.hash_key.update_padded(&mut state, aad);
        self.hash_key.update_padded(&mut state, text);
        self.finish(state, aad, text, mask)
    }

    fn finish(&self, mut state: State, aad: &[u8], text: &[u8], mask: &[u8; 16]) -> [u8; 16] {
        self.hash_key
            .update(&mut state, &[lengths(aad.len(), text.len())]);
        masked(&state, mask)
    }
}

impl<const TAG: usize> fmt::Debug for Sm4Gcm<TAG> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sm4Gcm")
            .field("backend", &self.backend())
            .finish_non_exhaustive()
    }
}

/// What a message must not exceed.
pub(super) fn check(nonce: &[u8], aad: &[u8], text: &[u8]) -> Result<(), Error> {
    check_lengths(wide(nonce.len()), wide(aad.len()), wide(text.len()))
}

fn check_lengths(nonce: u64, aad: u64, text: u64) -> Result<(), Error> {
    if nonce == 0 {
        return Err(Error::Length {
            what: "nonce",
            got: 0,
            expected: "at least 1",
        });
    }
    if nonce > MAX_AAD || aad > MAX_AAD {
        return Err(Error::TooLong("SM4-GCM's nonce or associated data"));
    }
    if text > MAX_TEXT {
        return Err(Error::TooLong("SM4-GCM"));
    }
    Ok(())
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Both lengths in bits, as the last block; lengths are checked before.
fn lengths(aad: usize, text: usize) -> [u8; 16] {
    let bits = |length| u128::from(wide(length).wrapping_mul(8));
    (bits(aad) << 64 | bits(text)).to_be_bytes()
}

fn copy(to: &mut [u8], from: &[u8]) {
    if let Some(to) = to.get_mut(..from.len()) {
        to.copy_from_slice(from);
    }
}

fn masked(state: &State, mask: &[u8; 16]) -> [u8; 16] {
    let mut tag = state.value();
    add(&mut tag, mask);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_the_standard() {
        assert_eq!(check_lengths(12, MAX_AAD, MAX_TEXT), Ok(()));
        assert_eq!(
            check_lengths(12, 0, MAX_TEXT + 1),
            Err(Error::TooLong("SM4-GCM"))
        );
        assert!(check_lengths(12, MAX_AAD + 1, 0).is_err());
        assert!(check_lengths(MAX_AAD + 1, 0, 0).is_err());
        assert!(check_lengths(0, 0, 0).is_err());
        assert!(check_lengths(u64::MAX, u64::MAX, u64::MAX).is_err());
    }

    /// The counter comes round from 2^32 - 1 to 0 and leaves the other 96 bits alone, wherever it does.
    #[test]
    fn counter_wraps_in_its_32_bits() {
        for backend in Backend::available() {
            println!("backend: {backend}");
            let key = Sm4Gcm::with_backend(backend, &[3; 16]);
            for before in [0_u32, 1, 2, 7, 15, 16, 31, 40, 63, 64, 200, 255, 256, 300] {
                let mut j0 = [0xff; 16];
                j0[12..].copy_from_slice(&(u32::MAX - before).to_be_bytes());
                for length in [0, 1, 16, 100, 239, 240, 241, 1500, 4096, 5000] {
                    let mut expected: Vec<u8> = (0..length).map(|i| i as u8).collect();
                    let mut text = expected.clone();
                    let tag = key.seal_from(&j0, b"aad", &mut text);
                    for (i, chunk) in expected.chunks_mut(16).enumerate() {
                        let mut block = j0;
                        let count = (u32::MAX - before).wrapping_add(i as u32 + 1);
                        block[12..].copy_from_slice(&count.to_be_bytes());
                        key.cipher.encrypt_block(&mut block);
                        add(chunk, &block);
                    }
                    assert_eq!(text, expected, "{backend}, {before} before, {length} bytes");
                    assert_eq!(key.open_from(&j0, b"aad", &mut text, &tag), Ok(()));
                    assert!(text.iter().enumerate().all(|(i, byte)| *byte == i as u8));
                }
            }
        }
    }
}
