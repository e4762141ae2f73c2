//! Chunked values (suite 02, flag bit 2): long texts of which a range opens without the rest.
//!
//! Behind header and nonce stand u8 log2 of the chunk's length and u64 length of the plaintext, then every chunk
//! followed by its tag, HMAC-SM3("SMFC1C" ‖ header ‖ log2 ‖ length ‖ nonce ‖ u32 length(AAD) ‖ AAD ‖ u32 index ‖ chunk), and
//! nothing behind them. An empty value has one empty chunk. Chunk i is encrypted from counter block
//! i · size / 16 on. A tag binds its chunk to the value, its place in it and the value's length: chunks do not change places,
//! and none is left out unseen.

use crate::chunk_size::ChunkSize;
use crate::class::Suite;
use crate::crypto::{HmacJob, ctr_from, hmac_many, tags_equal};
use crate::derive::EtmKeys;
use crate::envelope::{Envelope, HEADER, Header};
use crate::error::Error;
use crate::secret::SecretBytes;
use std::ops::Range;
use zeroize::Zeroizing;

const MAC_LABEL: &[u8] = b"SMFC1C";
const NONCE: usize = 12;
/// Where they are described.
const CHUNKS_AT: usize = HEADER + NONCE;
/// log2 and the length.
const LAYOUT: usize = 9;

/// What stands before the chunks of a chunked value: enough to know where each chunk is. Nothing in it is trusted
/// before a chunk's tag has been verified, which covers it.
///
/// A database that gives parts of a value (`substring`) is asked for the first [`LEN`](Self::LEN) bytes, then for
/// [`sealed_range`](Self::sealed_range).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkedHeader {
    header: Header,
    nonce: [u8; NONCE],
    chunk: ChunkSize,
    length: u64,
}

impl ChunkedHeader {
    /// Length in bytes of what stands before the chunks.
    pub const LEN: usize = HEADER + NONCE + LAYOUT;

    /// Reads the first [`LEN`](Self::LEN) bytes of a chunked value; what follows is not looked at.
    ///
    /// # Errors
    /// [`Error::Envelope`] for anything else.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let front = bytes.get(..Self::LEN).unwrap_or(bytes);
        let envelope = Envelope::parse(front)?;
        if !envelope.header().chunked {
            return Err(Error::Envelope {
                what: "not a chunked value",
                offset: 3,
            });
        }
        Self::of(&envelope).map(|(header, _)| header)
    }

    /// A chunked value's parts, and its chunks, whose length is the one that the value says.
    pub(crate) fn parse<'a>(envelope: &Envelope<'a>) -> Result<(Self, &'a [u8]), Error> {
        let (header, chunks) = Self::of(envelope)?;
        let all = header.sealed_chunks(&(0..header.chunks()));
        let expected = all.end.saturating_sub(all.start);
        match u64::try_from(chunks.len()).unwrap_or(u64::MAX) {
            found if found == expected => Ok((header, chunks)),
            found => Err(Error::Envelope {
                what: match found < expected {
                    true => "cut off in the chunks",
                    false => "bytes behind the last chunk",
                },
                offset: Self::LEN.saturating_add(chunks.len()),
            }),
        }
    }

    fn of<'a>(envelope: &Envelope<'a>) -> Result<(Self, &'a [u8]), Error> {
        let fault = |what, offset| Err(Error::Envelope { what, offset });
        let body = envelope.ciphertext();
        let Some((&[log2, ref length @ ..], chunks)) = body.split_first_chunk::<LAYOUT>() else {
            return fault(
                "cut off before the chunks",
                CHUNKS_AT.saturating_add(body.len()),
            );
        };
        let chunk = ChunkSize(log2);
        if !chunk.is_valid() {
            return fault("chunks of an impossible length", CHUNKS_AT);
        }
        let length = u64::from_be_bytes(*length);
        if length > Suite::CtrHmacSm3.max_plaintext() {
            return fault("an impossible length", CHUNKS_AT.saturating_add(1));
        }
        let Ok(nonce) = envelope.iv().try_into() else {
            return fault("cut off in the IV or nonce", HEADER);
        };
        let header = Self {
            header: *envelope.header(),
            nonce,
            chunk,
            length,
        };
        Ok((header, chunks))
    }

    /// For a new value of `length` bytes, which the caller has found to be possible.
    pub(crate) fn new(header: &Header, nonce: &[u8; NONCE], chunk: ChunkSize, length: u64) -> Self {
        Self {
            header: *header,
            nonce: *nonce,
            chunk,
            length,
        }
    }

    /// The public header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Length of the plaintext in bytes.
    #[must_use]
    pub fn plaintext_len(&self) -> u64 {
        self.length
    }

    /// Length in bytes of every chunk but the last one.
    #[must_use]
    pub fn chunk_len(&self) -> u64 {
        self.chunk.bytes()
    }

    /// Length of the sealed value in bytes.
    #[must_use]
    pub fn sealed_len(&self) -> u64 {
        self.sealed_chunks(&(0..self.chunks())).end
    }

    /// Which bytes of the sealed value have the chunks of these bytes of the plaintext. An empty range takes the one
    /// chunk that it lies in: what is opened is authentic, also if it is nothing.
    ///
    /// # Errors
    /// [`Error::Range`] for a range that ends before it starts or beyond the plaintext.
    pub fn sealed_range(&self, range: &Range<u64>) -> Result<Range<u64>, Error> {
        Ok(self.sealed_chunks(&self.chunk_range(range)?))
    }

    /// Which chunks have these bytes.
    pub(crate) fn chunk_range(&self, range: &Range<u64>) -> Result<Range<u64>, Error> {
        if range.start > range.end || range.end > self.length {
            return Err(Error::Range {
                start: range.start,
                end: range.end,
                length: self.length,
            });
        }
        let last = self.chunks().saturating_sub(1);
        let first = range
            .start
            .checked_div(self.chunk.bytes())
            .unwrap_or(0)
            .min(last);
        let end = range.end.div_ceil(self.chunk.bytes());
        Ok(first..end.max(first.saturating_add(1)))
    }

    pub(crate) fn chunks(&self) -> u64 {
        self.chunk.count(self.length)
    }

    /// Where whole chunks are in the sealed value.
    fn sealed_chunks(&self, chunks: &Range<u64>) -> Range<u64> {
        let tag = u64::try_from(self.header.tag_len()).unwrap_or(u64::MAX);
        let front = u64::try_from(Self::LEN).unwrap_or(u64::MAX);
        // All below 2^38.
        let at = |chunk: u64| {
            let tags = chunk.saturating_mul(tag);
            let text = chunk.saturating_mul(self.chunk.bytes()).min(self.length);
            front.saturating_add(text).saturating_add(tags)
        };
        at(chunks.start)..at(chunks.end)
    }

    /// The bytes before the chunks.
    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0_u8; Self::LEN];
        let parts = self.header.to_bytes().into_iter().chain(self.nonce);
        let layout = [self.chunk.0].into_iter().chain(self.length.to_be_bytes());
        for (to, from) in bytes.iter_mut().zip(parts.chain(layout)) {
            *to = from;
        }
        bytes
    }

    /// The tags of neighbouring chunks.
    fn tags<'a>(
        &self,
        keys: &EtmKeys,
        aad: &[u8],
        first: u64,
        chunks: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Vec<[u8; 32]>, Error> {
        let header = self.header.to_bytes();
        let front = self.to_bytes();
        let (_, layout) = front.split_at_checked(CHUNKS_AT).unwrap_or_default();
        let too_long = |_| Error::Context {
            what: "it is too long",
        };
        let aad_len = u32::try_from(aad.len()).map_err(too_long)?.to_be_bytes();
        let indexed: Vec<([u8; 4], &[u8])> = (first..)
            .zip(chunks)
            // At most 2^26 chunks.
            .map(|(index, chunk)| {
                (
                    u32::try_from(index).unwrap_or(u32::MAX).to_be_bytes(),
                    chunk,
                )
            })
            .collect();
        let parts: Vec<[&[u8]; 8]> = indexed
            .iter()
            .map(|(index, chunk)| {
                [
                    MAC_LABEL,
                    &header,
                    layout,
                    &self.nonce,
                    &aad_len,
                    aad,
                    index,
                    chunk,
                ]
            })
            .collect();
        let jobs: Vec<HmacJob<'_>> = parts
            .iter()
            .map(|parts| HmacJob {
                key: &keys.mac,
                parts,
            })
            .collect();
        Ok(hmac_many(&jobs))
    }

    /// The counter block that chunk `index` starts with.
    fn first_block(&self, index: u64) -> u32 {
        u32::try_from(index.saturating_mul(self.chunk.blocks())).unwrap_or(u32::MAX)
    }

    /// Seals neighbouring chunks from chunk `first` on; `text` is whole chunks, or ends with the value.
    ///
    /// # Errors
    /// [`Error::Context`] for an AAD over 4 GiB.
    pub(crate) fn seal(
        &self,
        keys: &EtmKeys,
        aad: &[u8],
        first: u64,
        text: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let mut text = Zeroizing::new(text.to_vec());
        ctr_from(&keys.enc, &self.nonce, self.first_block(first), &mut text);
        let chunks = self.cut(&text);
        let tags = self.tags(keys, aad, first, chunks.iter().copied())?;
        for (chunk, tag) in chunks.iter().zip(&tags) {
            out.extend_from_slice(chunk);
            out.extend_from_slice(tag.get(..self.header.tag_len()).unwrap_or(tag));
        }
        Ok(())
    }

    /// Into chunks: an empty text is one.
    fn cut<'a>(&self, text: &'a [u8]) -> Vec<&'a [u8]> {
        let size = usize::try_from(self.chunk.bytes()).unwrap_or(usize::MAX);
        match text.is_empty() {
            true => vec![text],
            false => text.chunks(size).collect(),
        }
    }

    /// Opens neighbouring chunks from chunk `first` on. All tags are verified before anything is decrypted.
    ///
    /// # Errors
    /// [`Error::Open`] when they are not authentic.
    pub(crate) fn open(
        &self,
        keys: &EtmKeys,
        aad: &[u8],
        first: u64,
        sealed: &[u8],
    ) -> Result<SecretBytes, Error> {
        let tag_len = self.header.tag_len();
        let size = usize::try_from(self.chunk.bytes()).unwrap_or(usize::MAX);
        let pairs: Vec<(&[u8], &[u8])> = sealed
            .chunks(size.saturating_add(tag_len))
            .map(|chunk| {
                let cut = chunk.len().checked_sub(tag_len).ok_or(Error::Open)?;
                chunk.split_at_checked(cut).ok_or(Error::Open)
            })
            .collect::<Result<_, _>>()?;
        let tags = self.tags(keys, aad, first, pairs.iter().map(|(chunk, _)| *chunk))?;
        let authentic = pairs
            .iter()
            .zip(&tags)
            .fold(true, |so_far, ((_, found), tag)| {
                tags_equal(tag.get(..tag_len).unwrap_or(tag), found) & so_far
            });
        if !authentic || pairs.is_empty() {
            return Err(Error::Open);
        }
        let mut text = Zeroizing::new(Vec::with_capacity(sealed.len()));
        for (chunk, _) in &pairs {
            text.extend_from_slice(chunk);
        }
        ctr_from(&keys.enc, &self.nonce, self.first_block(first), &mut text);
        Ok(SecretBytes::new(std::mem::take(&mut *text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{HmacKey, Sm4Key};

    fn header(log2: u8, length: u64, long_tag: bool) -> ChunkedHeader {
        let header = Header {
            suite: Suite::CtrHmacSm3,
            row_bound: true,
            long_tag,
            chunked: true,
            class: 4,
            fek_id: 5,
            window: 6,
            salt: [7; 4],
        };
        ChunkedHeader::new(&header, &[9; 12], ChunkSize(log2), length)
    }

    #[test]
    fn places_are_those_of_the_layout() {
        let value = header(10, 2500, false);
        assert_eq!(value.chunks(), 3);
        assert_eq!(value.sealed_len(), 39 + 2500 + 3 * 16);
        let range = |range: Range<u64>| value.sealed_range(&range).unwrap();
        assert_eq!(range(0..1), 39..39 + 1040);
        assert_eq!(range(0..1024), 39..39 + 1040);
        assert_eq!(range(1023..1025), 39..39 + 2080);
        assert_eq!(range(2048..2500), 39 + 2080..value.sealed_len());
        assert_eq!(range(2500..2500), 39 + 2080..value.sealed_len());
        assert_eq!(range(1024..1024), 39 + 1040..39 + 2080);
        assert_eq!(range(0..2500), 39..value.sealed_len());
        for (start, end) in [(0, 2501), (2501, 2501), (5, 4), (u64::MAX - 1, u64::MAX)] {
            let bad = Range { start, end };
            assert!(
                matches!(value.sealed_range(&bad), Err(Error::Range { .. })),
                "{bad:?}"
            );
        }
        let empty = header(20, 0, true);
        assert_eq!((empty.chunks(), empty.sealed_len()), (1, 39 + 32));
        assert_eq!(empty.sealed_range(&(0..0)).unwrap(), 39..39 + 32);
        // The end of a whole last chunk lies in it.
        let full = header(10, 2048, false);
        assert_eq!(
            full.sealed_range(&(2048..2048)).unwrap(),
            39 + 1040..39 + 2080
        );
    }

    #[test]
    fn parts_opened_alone_are_those_of_the_whole() {
        let keys = EtmKeys {
            enc: Sm4Key::new(&[1; 16]),
            mac: HmacKey::new(&[2; 32]),
        };
        let text: Vec<u8> = (0..2500_u32).map(|i| (i * 7) as u8).collect();
        let value = header(10, 2500, false);
        let mut whole = Vec::new();
        value.seal(&keys, b"aad", 0, &text, &mut whole).unwrap();
        // Chunk by chunk it is the same.
        let mut parts = Vec::new();
        for (index, chunk) in (0..).zip(text.chunks(1024)) {
            value.seal(&keys, b"aad", index, chunk, &mut parts).unwrap();
        }
        assert_eq!(whole, parts);
        for (first, range) in [(0, 0..1040), (1, 1040..2080), (2, 2080..whole.len())] {
            let opened = value.open(&keys, b"aad", first, &whole[range]).unwrap();
            let start = first as usize * 1024;
            assert_eq!(opened.expose(), &text[start..(start + 1024).min(2500)]);
        }
        // Elsewhere they do not open.
        assert!(value.open(&keys, b"aad", 0, &whole[1040..2080]).is_err());
        assert!(value.open(&keys, b"aae", 0, &whole[..1040]).is_err());
        assert!(value.open(&keys, b"aad", 0, &[]).is_err());
        assert!(value.open(&keys, b"aad", 0, &whole[..15]).is_err());
        assert!(
            header(10, 2501, false)
                .open(&keys, b"aad", 0, &whole[..1040])
                .is_err()
        );
    }
}
