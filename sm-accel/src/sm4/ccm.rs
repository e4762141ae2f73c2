//! SM4-CCM (NIST SP 800-38C, RFC 3610, RFC 8998).

use core::fmt;

use zeroize::{Zeroize, Zeroizing};

use super::jobs::{OpenJob, SealJob, run_length};
use super::keys::Sm4;
use super::keystream::{Stream, add, apply_many, blocks, next_counter};
use super::lanes::MOST;
use super::side_by_side::{self, Chain};
use super::tag::{shorten, verify};
use super::wipe::wipe;
use crate::cpu::Backend;
use crate::error::Error;

/// 2^36 - 32 bytes, as in GCM: the counter then stays in its last 32 bits.
const MAX_TEXT: u64 = (1 << 36) - 32;

/// An SM4-CCM key (NIST SP 800-38C, RFC 8998), with tags of `TAG` bytes: 16, or 4, 6, … 14 by
/// [`with_tag_length`](Self::with_tag_length). Constant time in every backend, wiped on drop.
///
/// A nonce has 7 to 13 bytes and must never be used twice with one key. A nonce of n bytes leaves 15 - n bytes
/// for the length of the text: 13 bytes allow texts below 64 KiB, 12 below 16 MiB.
///
/// CCM authenticates the text, not the ciphertext, block after block: one message runs at the latency of the
/// cipher. Many messages at once run side by side: [`seal_many`](Self::seal_many).
pub struct Sm4Ccm<const TAG: usize = 16> {
    cipher: Sm4,
}

impl Sm4Ccm {
    /// Schedules `key` for the active backend; tags have 16 bytes.
    pub fn new(key: &[u8; 16]) -> Self {
        Self::with_backend(Backend::active(), key)
    }

    /// Schedules `key` for `backend`; tags have 16 bytes.
    pub fn with_backend(backend: Backend, key: &[u8; 16]) -> Self {
        Self {
            cipher: Sm4::with_backend(backend, key),
        }
    }
}

impl<const TAG: usize> Sm4Ccm<TAG> {
    /// The same key with tags of `LENGTH` bytes: 4, 6, … 16; another length does not compile. Tags of 4 bytes
    /// are guessed by one of 2^32 forgeries; below 8, count the failures.
    pub fn with_tag_length<const LENGTH: usize>(self) -> Sm4Ccm<LENGTH> {
        const {
            assert!(
                LENGTH >= 4 && LENGTH <= 16 && LENGTH.is_multiple_of(2),
                "CCM tags have 4, 6, 8, 10, 12, 14 or 16 bytes"
            );
        };
        Sm4Ccm {
            cipher: self.cipher,
        }
    }

    /// The backend that this key was scheduled for.
    pub fn backend(&self) -> Backend {
        self.cipher.backend()
    }

    /// Encrypts `text` in place and returns the tag over it and `aad`.
    ///
    /// # Errors
    /// [`Error::Length`] for a nonce of other than 7 to 13 bytes, [`Error::TooLong`] for a text that the nonce's
    /// length does not allow, or of more than 2^36 - 32 bytes; `text` is then as it was.
    pub fn seal_in_place(
        &self,
        nonce: &[u8],
        aad: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; TAG], Error> {
        let counter = first_counter(nonce, text)?;
        let mut tag = self.mac(counter, aad, text);
        let mut mask = counter;
        self.cipher.encrypt_block(&mut mask);
        add(&mut tag, &mask);
        mask.zeroize();
        self.cipher.ctr32_xor(&mut next_counter(counter), text);
        Ok(shorten(&tag))
    }

    /// Decrypts `text` in place if `tag` is right for it and `aad`; tags are compared in constant time.
    ///
    /// CCM's tag is one over the text, so `text` holds it until the tag is compared, and is the ciphertext again
    /// before an error is returned: nothing unauthenticated is handed out.
    ///
    /// # Errors
    /// [`Error::Decryption`] if the tag is wrong, otherwise as [`seal_in_place`](Self::seal_in_place). After any
    /// error `text` is the ciphertext.
    pub fn open_in_place(
        &self,
        nonce: &[u8],
        aad: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG],
    ) -> Result<(), Error> {
        let counter = first_counter(nonce, text)?;
        self.cipher.ctr32_xor(&mut next_counter(counter), text);
        let mut mac = self.mac(counter, aad, text);
        let mut mask = counter;
        self.cipher.encrypt_block(&mut mask);
        add(&mut mac, &mask);
        let verified = verify(&mut mac, tag);
        if verified.is_err() {
            self.cipher.ctr32_xor(&mut next_counter(counter), text);
        }
        mask.zeroize();
        verified
    }

    fn mac(&self, counter: [u8; 16], aad: &[u8], text: &[u8]) -> [u8; 16] {
        let mut message = Message::new::<TAG>(&self.cipher, counter, aad, text);
        let mut block = [0; 16];
        while message.next(&mut block) {
            self.cipher.encrypt_block(&mut block);
            message.take(&block);
        }
        message.mac
    }

    /// The ciphertext of `text` with the tag behind it.
    ///
    /// # Errors
    /// As [`seal_in_place`](Self::seal_in_place).
    pub fn seal(&self, nonce: &[u8], aad: &[u8], text: &[u8]) -> Result<Vec<u8>, Error> {
        first_counter(nonce, text)?;
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

    /// [`seal_in_place`](Self::seal_in_place) for every job, one result each. Messages run side by side, under one
    /// key or many.
    #[must_use = "one result an item: an item that failed was not worked on"]
    pub fn seal_many(jobs: &mut [SealJob<'_, Self>]) -> Vec<Result<[u8; TAG], Error>> {
        let mut results = Vec::with_capacity(jobs.len());
        let mut rest = jobs;
        while !rest.is_empty() {
            let (run, others) = rest.split_at_mut(run_length(rest, |job| &job.key.cipher));
            rest = others;
            let counters: Vec<_> = run
                .iter()
                .map(|job| first_counter(job.nonce, job.text))
                .collect();
            let mut messages: Vec<_> = run
                .iter()
                .zip(&counters)
                .filter_map(|(job, counter)| {
                    let counter = (*counter).ok()?;
                    Some(Message::new::<TAG>(
                        &job.key.cipher,
                        counter,
                        job.aad,
                        job.text,
                    ))
                })
                .collect();
            run_macs(&mut messages);
            let mut tags: Vec<_> = messages.iter().map(|message| message.mac).collect();
            drop(messages);
            let mut masks = vec![[0; 16]; tags.len()];
            let mut free = masks.iter_mut();
            let mut streams: Vec<_> = run
                .iter_mut()
                .zip(&counters)
                .filter_map(|(job, counter)| {
                    Some(Stream {
                        cipher: &job.key.cipher,
                        counter: Zeroizing::new((*counter).ok()?),
                        mask: free.next(),
                        text: &mut *job.text,
                    })
                })
                .collect();
            apply_many(&mut streams);
            add(tags.as_flattened_mut(), masks.as_flattened());
            let mut tags = tags.iter();
            for counter in counters {
                results.push(counter.and_then(|_| {
                    let tag = tags.next().ok_or(Error::Decryption)?;
                    Ok(shorten(tag))
                }));
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
            let counters: Vec<_> = run
                .iter()
                .map(|job| first_counter(job.nonce, job.text))
                .collect();
            let mut masks = vec![[0; 16]; run.len()];
            let mut free = masks.iter_mut();
            let mut streams: Vec<_> = run
                .iter_mut()
                .zip(&counters)
                .filter_map(|(job, counter)| {
                    Some(Stream {
                        cipher: &job.key.cipher,
                        counter: Zeroizing::new((*counter).ok()?),
                        mask: free.next(),
                        text: &mut *job.text,
                    })
                })
                .collect();
            apply_many(&mut streams);
            drop(streams);
            let mut messages: Vec<_> = run
                .iter()
                .zip(&counters)
                .filter_map(|(job, counter)| {
                    let counter = (*counter).ok()?;
                    Some(Message::new::<TAG>(
                        &job.key.cipher,
                        counter,
                        job.aad,
                        job.text,
                    ))
                })
                .collect();
            run_macs(&mut messages);
            let mut tags: Vec<_> = messages.iter().map(|message| message.mac).collect();
            drop(messages);
            add(tags.as_flattened_mut(), masks.as_flattened());
            let mut computed = tags.iter_mut();
            for (job, counter) in run.iter_mut().zip(counters) {
                results.push(counter.and_then(|counter| {
                    let tag = computed.next().ok_or(Error::Decryption)?;
                    verify(tag, job.tag).inspect_err(|_| {
                        let mut counter = next_counter(counter);
                        job.key.cipher.ctr32_xor(&mut counter, job.text);
                    })
                }));
            }
            wipe(&mut tags);
            wipe(&mut masks);
        }
        results
    }
}

impl<const TAG: usize> fmt::Debug for Sm4Ccm<TAG> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sm4Ccm")
            .field("backend", &self.backend())
            .finish_non_exhaustive()
    }
}

/// The counter block A0 (RFC 3610, 2.3), after a check of the lengths.
fn first_counter(nonce: &[u8], text: &[u8]) -> Result<[u8; 16], Error> {
    check_lengths(nonce.len(), u64::try_from(text.len()).unwrap_or(u64::MAX))?;
    let mut block = [0; 16];
    let [flags, rest @ ..] = &mut block;
    // L - 1, where L = 15 - n bytes count.
    *flags = u8::try_from(14_usize.saturating_sub(nonce.len())).unwrap_or_default();
    for (to, from) in rest.iter_mut().zip(nonce) {
        *to = *from;
    }
    Ok(block)
}

/// What a message must not exceed.
#[cfg(feature = "aead")]
pub(super) fn check(nonce: &[u8], _aad: &[u8], text: &[u8]) -> Result<(), Error> {
    check_lengths(nonce.len(), u64::try_from(text.len()).unwrap_or(u64::MAX))
}

fn check_lengths(nonce: usize, text: u64) -> Result<(), Error> {
    if !(7..=13).contains(&nonce) {
        return Err(Error::Length {
            what: "nonce",
            got: nonce,
            expected: "7 to 13",
        });
    }
    let allowed = match nonce {
        13 => 0xffff,
        12 => 0xff_ffff,
        11 => 0xffff_ffff,
        _ => MAX_TEXT,
    };
    if text > allowed {
        return Err(Error::TooLong("SM4-CCM with a nonce of this length"));
    }
    Ok(())
}

/// What the MAC reads: B0, the length of `aad` and `aad`, `text`, the two filled up with zeros.
struct Message<'a> {
    cipher: &'a Sm4,
    /// The CBC-MAC so far, over `done` blocks.
    mac: [u8; 16],
    done: usize,
    first: [u8; 16],
    header: [u8; 10],
    header_length: usize,
    aad: &'a [u8],
    text: &'a [u8],
}

impl Drop for Message<'_> {
    fn drop(&mut self) {
        self.mac.zeroize();
    }
}

impl<'a> Chain<'a> for Message<'a> {
    fn key(&self) -> &'a Sm4 {
        self.cipher
    }

    fn next(&mut self, block: &mut [u8; 16]) -> bool {
        let more = self.is_under_way();
        if more {
            *block = self.mac;
            self.add_block(self.done, block);
        }
        more
    }

    fn take(&mut self, block: &[u8; 16]) {
        self.mac = *block;
        self.done = self.done.saturating_add(1);
    }
}

impl<'a> Message<'a> {
    /// From the counter block A0, whose flags and nonce B0 shares.
    fn new<const TAG: usize>(
        cipher: &'a Sm4,
        counter: [u8; 16],
        aad: &'a [u8],
        text: &'a [u8],
    ) -> Self {
        let length = |length| u64::try_from(length).unwrap_or(u64::MAX);
        // B0 = flags, nonce, length of the text; it fits its bytes, which A0 has as zeros.
        let tag = u128::from(length(TAG.saturating_sub(2)) / 2) << 3;
        let flags = tag | u128::from(!aad.is_empty()) << 6;
        let first = u128::from_be_bytes(counter) | flags << 120 | u128::from(length(text.len()));
        // SP 800-38C, A.2.2.
        let (header, header_length) = match length(aad.len()) {
            0 => (0, 0),
            short @ 1..=0xfeff => (u128::from(short) << 64, 2),
            middle @ 0xff00..=0xffff_ffff => (0xfffe << 64 | u128::from(middle) << 32, 6),
            long => (0xffff << 64 | u128::from(long), 10),
        };
        let mut bytes = [0; 10];
        if let Some(header) = header.to_be_bytes().last_chunk() {
            bytes = *header;
        }
        Self {
            cipher,
            mac: [0; 16],
            done: 0,
            first: first.to_be_bytes(),
            header: bytes,
            header_length,
            aad,
            text,
        }
    }

    fn is_under_way(&self) -> bool {
        self.done < self.blocks()
    }

    fn aad_blocks(&self) -> usize {
        self.header_length
            .saturating_add(self.aad.len())
            .div_ceil(16)
    }

    fn blocks(&self) -> usize {
        self.aad_blocks()
            .saturating_add(blocks(self.text))
            .saturating_add(1)
    }

    /// Adds block `index` to `state`.
    fn add_block(&self, index: usize, state: &mut [u8; 16]) {
        let aad_blocks = self.aad_blocks();
        match index {
            0 => add(state, &self.first),
            1 if aad_blocks > 0 => {
                let (head, tail) = state.split_at_mut(self.header_length);
                add(head, &self.header);
                add(tail, self.aad);
            }
            _ if index <= aad_blocks => {
                let start = index
                    .saturating_sub(1)
                    .saturating_mul(16)
                    .saturating_sub(self.header_length);
                add(state, self.aad.get(start..).unwrap_or_default());
            }
            _ => {
                let start = index
                    .saturating_sub(aad_blocks)
                    .saturating_sub(1)
                    .saturating_mul(16);
                add(state, self.text.get(start..).unwrap_or_default());
            }
        }
    }
}

/// Runs all CBC-MACs to their ends; all keys have one backend.
fn run_macs(messages: &mut [Message<'_>]) {
    let Some(cipher) = messages.first().map(|message| message.cipher) else {
        return;
    };
    if !messages
        .iter()
        .all(|message| core::ptr::eq(message.cipher, cipher))
    {
        side_by_side::run(messages);
        return;
    }
    // Under one key the lanes may be used by whoever is left.
    let mut blocks = [[0; 16]; MOST];
    for group in messages.chunks_mut(MOST) {
        loop {
            let mut busy = 0_usize;
            for message in group.iter_mut() {
                if let Some(block) = blocks.get_mut(busy)
                    && message.next(block)
                {
                    busy = busy.saturating_add(1);
                }
            }
            let Some(used) = blocks.get_mut(..busy).filter(|used| !used.is_empty()) else {
                break;
            };
            cipher.encrypt_blocks(used);
            let mut done = used.iter();
            for message in group.iter_mut().filter(|message| message.is_under_way()) {
                if let Some(block) = done.next() {
                    message.take(block);
                }
            }
        }
    }
    wipe(&mut blocks);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_by_the_length_of_the_nonce() {
        for (nonce, most) in [
            (13, 0xffff),
            (12, 0xff_ffff),
            (11, 0xffff_ffff),
            (10, MAX_TEXT),
            (7, MAX_TEXT),
        ] {
            assert_eq!(check_lengths(nonce, most), Ok(()));
            assert!(matches!(
                check_lengths(nonce, most + 1),
                Err(Error::TooLong(_))
            ));
        }
        for nonce in [0, 6, 14, 16] {
            assert!(matches!(check_lengths(nonce, 0), Err(Error::Length { .. })));
        }
    }

    /// SP 800-38C, A.2.2: all three forms of the length of associated data, without the data.
    #[test]
    fn forms_of_the_aad_length() {
        let cipher = Sm4::with_backend(Backend::PORTABLE, &[0; 16]);
        let aad = vec![0; 0x1_0000];
        let header = |length: usize| {
            let message = Message::new::<16>(&cipher, [0; 16], &aad[..length], &[]);
            message.header[..message.header_length].to_vec()
        };
        assert_eq!(header(0), []);
        assert_eq!(header(1), [0, 1]);
        assert_eq!(header(0xfeff), [0xfe, 0xff]);
        assert_eq!(header(0xff00), [0xff, 0xfe, 0, 0, 0xff, 0]);
        assert_eq!(header(0x1_0000), [0xff, 0xfe, 0, 1, 0, 0]);
    }
}
