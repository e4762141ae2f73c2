//! Wire format v1: the only parser and the only writer of sealed values.
//!
//! | offset | length | field (big-endian) |
//! |---|---|---|
//! | 0 | 1 | magic 0xFD |
//! | 1 | 1 | version 0x01 |
//! | 2 | 1 | suite |
//! | 3 | 1 | flags: bit 0 row-bound, bit 1 32-byte tag, bit 2 chunked; others zero |
//! | 4 | 2 | field class |
//! | 6 | 4 | field key id |
//! | 10 | 4 | window start, Unix minutes |
//! | 14 | 4 | salt |
//! | 18 | 16 or 12 | IV (CBC) or nonce (others) |
//! | … | n | ciphertext |
//! | end | 16 or 32 | tag |
//!
//! Chunked values go on otherwise behind the nonce: see [`chunked`](crate::chunked).

use crate::class::Suite;
use crate::error::Error;
use base64ct::{Base64UrlUnpadded, Encoding};
use zeroize::Zeroizing;

/// Length of the header, in bytes.
pub(crate) const HEADER: usize = 18;
const MAGIC: u8 = 0xFD;
const VERSION: u8 = 0x01;
const ROW_BOUND: u8 = 1;
const LONG_TAG: u8 = 1 << 1;
const CHUNKED: u8 = 1 << 2;
const TEXT_PREFIX: &str = "smf1:";

/// The public header of an envelope. Nothing in it is trusted before the tag has been verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// The suite.
    pub suite: Suite,
    /// Whether the value is bound to its row.
    pub row_bound: bool,
    /// Whether the tag has 32 bytes instead of 16.
    pub long_tag: bool,
    /// Whether the value is sealed in chunks, each with a tag of its own.
    pub chunked: bool,
    /// Field class id.
    pub class: u16,
    /// Field key id.
    pub fek_id: u32,
    /// Start of the window whose subkey sealed the value, Unix minutes.
    pub window: u32,
    /// The sealing process's salt.
    pub salt: [u8; 4],
}

impl Header {
    fn flags(&self) -> u8 {
        let row_bound = if self.row_bound { ROW_BOUND } else { 0 };
        let long_tag = if self.long_tag { LONG_TAG } else { 0 };
        let chunked = if self.chunked { CHUNKED } else { 0 };
        row_bound | long_tag | chunked
    }

    pub(crate) fn to_bytes(self) -> [u8; HEADER] {
        let [c0, c1] = self.class.to_be_bytes();
        let [k0, k1, k2, k3] = self.fek_id.to_be_bytes();
        let [w0, w1, w2, w3] = self.window.to_be_bytes();
        let [s0, s1, s2, s3] = self.salt;
        let (suite, flags) = (self.suite.id(), self.flags());
        [
            MAGIC, VERSION, suite, flags, c0, c1, k0, k1, k2, k3, w0, w1, w2, w3, s0, s1, s2, s3,
        ]
    }

    pub(crate) fn tag_len(&self) -> usize {
        if self.long_tag { 32 } else { 16 }
    }
}

/// A sealed value taken apart, nothing of it verified. Useful for inspection: which key, which window.
///
/// ```
/// # use sm_fieldcrypt::Envelope;
/// assert!(Envelope::parse(b"110101199003074610").is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    header: Header,
    raw_header: &'a [u8; HEADER],
    iv: &'a [u8],
    ciphertext: &'a [u8],
    tag: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Takes `bytes` apart.
    ///
    /// # Errors
    /// [`Error::Envelope`] when they are not an envelope. The chunks of a chunked one are not looked at.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let fault = |what, offset| Err(Error::Envelope { what, offset });
        let Some((raw_header, body)) = bytes.split_first_chunk::<HEADER>() else {
            return fault("shorter than a header", bytes.len());
        };
        let [
            magic,
            version,
            suite,
            flags,
            c0,
            c1,
            k0,
            k1,
            k2,
            k3,
            w0,
            w1,
            w2,
            w3,
            s0,
            s1,
            s2,
            s3,
        ] = *raw_header;
        if magic != MAGIC {
            return fault("wrong magic byte", 0);
        }
        if version != VERSION {
            return fault("unknown version", 1);
        }
        let Some(suite) = Suite::of_id(suite) else {
            return fault("unknown suite", 2);
        };
        if flags & !(ROW_BOUND | LONG_TAG | CHUNKED) != 0 {
            return fault("reserved flag bits are set", 3);
        }
        if flags & CHUNKED != 0 && suite != Suite::CtrHmacSm3 {
            return fault("chunked flag on a suite that has no chunks", 3);
        }
        if flags & LONG_TAG != 0 && suite.is_aead() {
            return fault("long-tag flag on a suite that has short tags", 3);
        }
        let header = Header {
            suite,
            row_bound: flags & ROW_BOUND != 0,
            long_tag: flags & LONG_TAG != 0,
            chunked: flags & CHUNKED != 0,
            class: u16::from_be_bytes([c0, c1]),
            fek_id: u32::from_be_bytes([k0, k1, k2, k3]),
            window: u32::from_be_bytes([w0, w1, w2, w3]),
            salt: [s0, s1, s2, s3],
        };
        let Some((iv, rest)) = body.split_at_checked(suite.iv_len()) else {
            return fault("cut off in the IV or nonce", bytes.len());
        };
        if header.chunked {
            return Ok(Self {
                header,
                raw_header,
                iv,
                ciphertext: rest,
                tag: &[],
            });
        }
        let cut = rest.len().checked_sub(header.tag_len());
        let Some((ciphertext, tag)) = cut.and_then(|at| rest.split_at_checked(at)) else {
            return fault("cut off in the tag", bytes.len());
        };
        if suite == Suite::CbcHmacSm3
            && (ciphertext.is_empty() || ciphertext.as_chunks::<16>().1 != [0_u8; 0])
        {
            return fault("ciphertext is not a whole number of blocks", bytes.len());
        }
        Ok(Self {
            header,
            raw_header,
            iv,
            ciphertext,
            tag,
        })
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn raw_header(&self) -> &'a [u8; HEADER] {
        self.raw_header
    }

    /// The IV (16 bytes, CBC) or nonce (12 bytes).
    #[must_use]
    pub fn iv(&self) -> &'a [u8] {
        self.iv
    }

    /// The ciphertext; of a chunked value all that is behind the nonce.
    #[must_use]
    pub fn ciphertext(&self) -> &'a [u8] {
        self.ciphertext
    }

    /// The tag, 16 or 32 bytes; of a chunked value none: each chunk has its own.
    #[must_use]
    pub fn tag(&self) -> &'a [u8] {
        self.tag
    }
}

/// An envelope as it grows: header and IV written, plaintext still in the ciphertext's place.
/// Wiped if it is dropped before it is finished.
pub(crate) struct Draft {
    bytes: Zeroizing<Vec<u8>>,
    header: Header,
}

impl Draft {
    /// Header ‖ IV ‖ plaintext (padded for CBC), with room for the tag. `iv` has the suite's length.
    pub(crate) fn new(header: Header, iv: &[u8], plaintext: &[u8]) -> Self {
        let capacity = [HEADER, iv.len(), plaintext.len(), 16, header.tag_len()]
            .iter()
            .fold(0_usize, |sum, part| sum.saturating_add(*part));
        let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
        bytes.extend_from_slice(&header.to_bytes());
        bytes.extend_from_slice(iv);
        bytes.extend_from_slice(plaintext);
        if header.suite == Suite::CbcHmacSm3 {
            // PKCS#7: 1 to 16 bytes, each the number of them. A remainder of a division by 16 is below 16.
            let remainder = plaintext.as_chunks::<16>().1.len();
            let padding = 16_usize.saturating_sub(remainder);
            let byte = u8::try_from(padding).unwrap_or(16);
            bytes.extend(std::iter::repeat_n(byte, padding));
        }
        Self { bytes, header }
    }

    /// The IV, and the text to encrypt in place.
    pub(crate) fn iv_and_text(&mut self) -> (&[u8], &mut [u8]) {
        let iv_len = self.header.suite.iv_len();
        let body = self.bytes.get_mut(HEADER..).unwrap_or_default();
        let (iv, text) = body.split_at_mut_checked(iv_len).unwrap_or_default();
        (iv, text)
    }

    /// Header, IV and ciphertext: what the tag covers, besides the AAD.
    pub(crate) fn parts(&self) -> (&[u8], &[u8], &[u8]) {
        let (header, body) = self.bytes.split_at_checked(HEADER).unwrap_or_default();
        let (iv, text) = body
            .split_at_checked(self.header.suite.iv_len())
            .unwrap_or_default();
        (header, iv, text)
    }

    /// Appends the tag, cut to the header's length.
    pub(crate) fn finish(mut self, tag: &[u8; 32]) -> Vec<u8> {
        let tag = tag.get(..self.header.tag_len()).unwrap_or(tag);
        self.bytes.extend_from_slice(tag);
        std::mem::take(&mut *self.bytes)
    }
}

/// The text form of an envelope: `smf1:` and unpadded base64url.
///
/// ```
/// let text = sm_fieldcrypt::to_text(&[0xFD, 0x01]);
/// assert_eq!(text, "smf1:_QE");
/// assert_eq!(sm_fieldcrypt::from_text(&text).unwrap(), [0xFD, 0x01]);
/// ```
#[must_use]
pub fn to_text(envelope: &[u8]) -> String {
    format!(
        "{TEXT_PREFIX}{}",
        Base64UrlUnpadded::encode_string(envelope)
    )
}

/// Reads the text form. Strict: one text for every envelope, no padding, no white space, no stray bits. The
/// bytes are not parsed any further.
///
/// # Errors
/// [`Error::Envelope`] for anything else.
pub fn from_text(text: &str) -> Result<Vec<u8>, Error> {
    let encoded = text.strip_prefix(TEXT_PREFIX).ok_or(Error::Envelope {
        what: "text form without \"smf1:\"",
        offset: 0,
    })?;
    Base64UrlUnpadded::decode_vec(encoded).map_err(|_| Error::Envelope {
        what: "text form is not strict base64url",
        offset: TEXT_PREFIX.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(suite: Suite) -> Header {
        Header {
            suite,
            row_bound: true,
            long_tag: false,
            chunked: false,
            class: 0x0102,
            fek_id: 0x0304_0506,
            window: 0x0708_090A,
            salt: [0x0B, 0x0C, 0x0D, 0x0E],
        }
    }

    #[test]
    fn header_bytes_are_the_table() {
        let bytes = header(Suite::CbcHmacSm3).to_bytes();
        assert_eq!(
            bytes,
            [0xFD, 1, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
        );
        let both = Header {
            long_tag: true,
            ..header(Suite::CtrHmacSm3)
        };
        assert_eq!(both.to_bytes()[2..4], [2, 3]);
    }

    #[test]
    fn parse_takes_apart_what_draft_put_together() {
        let suites = [
            (Suite::CbcHmacSm3, &[false, true][..]),
            (Suite::CtrHmacSm3, &[false, true]),
            (Suite::Gcm, &[false]),
            (Suite::Ccm, &[false]),
        ];
        for (suite, tags) in suites {
            for &long_tag in tags {
                for n in [0_usize, 1, 15, 16, 17, 48] {
                    let header = Header {
                        long_tag,
                        ..header(suite)
                    };
                    let iv = vec![7; suite.iv_len()];
                    let text: Vec<u8> = (0..n).map(|i| i as u8).collect();
                    let bytes = Draft::new(header, &iv, &text).finish(&[9; 32]);
                    let envelope = Envelope::parse(&bytes).unwrap();
                    assert_eq!(*envelope.header(), header);
                    assert_eq!(envelope.raw_header()[..], header.to_bytes());
                    assert_eq!(envelope.iv(), iv);
                    assert_eq!(envelope.tag(), vec![9; header.tag_len()]);
                    assert_eq!(envelope.ciphertext()[..n], text);
                    let padding = match suite {
                        Suite::CbcHmacSm3 => 16 - n % 16,
                        _ => 0,
                    };
                    assert_eq!(envelope.ciphertext().len(), n + padding);
                    assert!(
                        envelope.ciphertext()[n..]
                            .iter()
                            .all(|b| usize::from(*b) == padding)
                    );
                }
            }
        }
    }

    #[test]
    fn header_faults_are_named_with_their_place() {
        let good = Draft::new(header(Suite::CbcHmacSm3), &[0; 16], b"x").finish(&[0; 32]);
        let with = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            Envelope::parse(&bytes).unwrap_err().to_string()
        };
        assert_eq!(with(0, 0xFC), "envelope: wrong magic byte (at byte 0)");
        assert_eq!(with(1, 2), "envelope: unknown version (at byte 1)");
        assert_eq!(with(2, 0), "envelope: unknown suite (at byte 2)");
        assert_eq!(with(2, 5), "envelope: unknown suite (at byte 2)");
        assert_eq!(
            with(3, 8),
            "envelope: reserved flag bits are set (at byte 3)"
        );
        assert!(with(3, 4).contains("chunked flag on a suite"));
        let ctr = Draft::new(header(Suite::CtrHmacSm3), &[0; 12], b"x").finish(&[0; 32]);
        let mut chunked = ctr.clone();
        chunked[3] |= 4;
        let parsed = Envelope::parse(&chunked).unwrap();
        assert!(parsed.header().chunked && parsed.tag().is_empty());
        for suite in [3, 4] {
            let mut long = ctr.clone();
            (long[2], long[3]) = (suite, 2);
            let fault = Envelope::parse(&long).unwrap_err().to_string();
            assert!(fault.contains("long-tag flag on a suite"), "{fault}");
        }
        for n in 0..HEADER + 12 + 16 {
            assert!(Envelope::parse(&ctr[..n]).is_err());
        }
        assert!(
            Envelope::parse(&good[..good.len() - 1])
                .unwrap_err()
                .to_string()
                .contains("blocks")
        );
        assert!(Envelope::parse(&good[..HEADER + 16 + 16]).is_err());
    }

    #[test]
    fn text_form_is_strict() {
        let text = to_text(&[0xFD, 1, 2, 3]);
        assert_eq!(from_text(&text).unwrap(), [0xFD, 1, 2, 3]);
        for bad in [
            "",
            "smf1",
            "smf2:AA",
            "SMF1:AA",
            "smf1:AA==",
            "smf1:A",
            "smf1:AB",
            "smf1: AA",
            "smf1:AA\n",
            "smf1:+/8",
            "smf1:é",
        ] {
            assert!(from_text(bad).is_err(), "{bad:?}");
        }
    }
}
