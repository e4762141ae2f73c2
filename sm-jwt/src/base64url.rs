//! Strict unpadded base64url (RFC 7515 section 2): no padding, no white space, zero trailing bits.

use base64ct::{Base64UrlUnpadded, Encoding};
use zeroize::Zeroizing;

use crate::error::Error;

/// Marks a byte that is not of the alphabet; real values are below 64.
const NONE: u8 = 0xFF;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The value of each byte.
const VALUES: [u8; 256] = values();

// Evaluated by the compiler: an index out of bounds or an overflow would not build.
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
const fn values() -> [u8; 256] {
    let mut values = [NONE; 256];
    let mut value = 0;
    while value < 64 {
        values[ALPHABET[value as usize] as usize] = value;
        value += 1;
    }
    values
}

/// Decodes public text by table; every byte string has exactly one accepted encoding.
///
/// Not for secrets: the table is indexed by the text. [`decode_exact`] is constant-time.
pub(crate) fn decode(text: &str, what: &'static str) -> Result<Vec<u8>, Error> {
    decode_public(text.as_bytes()).ok_or(Error::Base64 { what })
}

fn decode_public(text: &[u8]) -> Option<Vec<u8>> {
    let value = |byte: u8| VALUES.get(usize::from(byte)).copied().unwrap_or(NONE);
    let (chunks, rest) = text.as_chunks::<4>();
    let len = chunks.len().saturating_mul(3);
    let mut out = Vec::with_capacity(len.saturating_add(2));
    out.resize(len, 0);
    // Marks of bytes outside the alphabet gather here; there is one branch at the end.
    let mut seen = 0;
    for (chunk, bytes) in chunks.iter().zip(out.as_chunks_mut::<3>().0) {
        let [a, b, c, d] = chunk.map(value);
        seen |= a | b | c | d;
        *bytes = [a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d];
    }
    match *rest {
        [] => {}
        [a, b] => {
            let [a, b] = [a, b].map(value);
            // The low four bits of b say nothing: they must be zero.
            seen |= a | b | if b & 0x0F == 0 { 0 } else { NONE };
            out.push(a << 2 | b >> 4);
        }
        [a, b, c] => {
            let [a, b, c] = [a, b, c].map(value);
            seen |= a | b | c | if c & 0x03 == 0 { 0 } else { NONE };
            out.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2]);
        }
        _ => return None,
    }
    (seen < 64).then_some(out)
}

/// Decodes into a caller's buffer in constant time; `None` unless it fills the buffer exactly.
pub(crate) fn decode_exact(text: &str, out: &mut [u8]) -> Option<()> {
    let wanted = out.len();
    let got = Base64UrlUnpadded::decode(text, out).ok()?.len();
    (got == wanted).then_some(())
}

/// Encodes public bytes by table.
///
/// Not for secrets: the table is indexed by them. [`encode_secret`] is constant-time.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(encoded_len(bytes.len()));
    encode_into(bytes, &mut out);
    out
}

/// The length of `len` bytes, encoded.
pub(crate) fn encoded_len(len: usize) -> usize {
    len.saturating_mul(4).div_ceil(3)
}

/// [`encode`] behind what is there.
pub(crate) fn encode_into(bytes: &[u8], out: &mut String) {
    let digit = |value: u8| {
        ALPHABET
            .get(usize::from(value & 63))
            .copied()
            .unwrap_or(b'A')
    };
    let (chunks, rest) = bytes.as_chunks::<3>();
    let mut text = std::mem::take(out).into_bytes();
    let start = text.len();
    text.resize(start.saturating_add(chunks.len().saturating_mul(4)), 0);
    let digits = text.get_mut(start..).unwrap_or_default();
    for ([a, b, c], digits) in chunks.iter().zip(digits.as_chunks_mut::<4>().0) {
        *digits = [a >> 2, a << 4 | b >> 4, b << 2 | c >> 6, *c].map(digit);
    }
    match *rest {
        [a] => text.extend([a >> 2, a << 4].map(digit)),
        [a, b] => text.extend([a >> 2, a << 4 | b >> 4, b << 2].map(digit)),
        _ => {}
    }
    // It is: what was a string, and letters behind it.
    *out = String::from_utf8(text).unwrap_or_default();
}

/// Decodes a secret of any length in constant time; `None` unless it is strict base64url.
#[cfg(feature = "tower")]
pub(crate) fn decode_secret(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0u8; text.len()]);
    let len = Base64UrlUnpadded::decode(text, &mut bytes).ok()?.len();
    bytes.truncate(len);
    Some(bytes)
}

/// Appends a short secret, in constant time and through no other memory than what is wiped.
pub(crate) fn encode_secret(bytes: &[u8; 32], out: &mut String) {
    let mut buffer = Zeroizing::new([0u8; 43]);
    if let Ok(text) = Base64UrlUnpadded::encode(bytes, &mut *buffer) {
        out.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 4648 section 10, without padding.
    #[test]
    fn rfc_4648_known_answers() {
        for (plain, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(decode_public(text.as_bytes()).unwrap(), plain.as_bytes());
            assert_eq!(encode(plain.as_bytes()), text);
        }
        assert_eq!(decode_public(b"-_-_").unwrap(), [0xFB, 0xFF, 0xBF]);
    }

    #[test]
    fn every_other_spelling_is_refused() {
        for text in [
            "Z",
            "Zg==",
            "Zg=",
            "Zh",
            "Zm9",
            "Zm8=",
            "Zm9v ",
            " Zm9v",
            "Zm\n9v",
            "+/+/",
            "Zm9vZ",
            "Zm9\u{fc}",
            "====",
            "\0\0\0\0",
        ] {
            assert_eq!(decode_public(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        /// Against the constant-time decoder, on text that is nearly right and on any bytes.
        #[test]
        fn differential_decoder(nearly in "[A-Za-z0-9_-]{0,40}", any in any::<String>()) {
            for text in [nearly, any] {
                let theirs = Base64UrlUnpadded::decode_vec(&text).ok();
                prop_assert_eq!(decode_public(text.as_bytes()), theirs);
            }
        }

        /// Against the constant-time encoder.
        #[test]
        fn differential_encoder(bytes in any::<Vec<u8>>()) {
            let text = encode(&bytes);
            prop_assert_eq!(text.len(), encoded_len(bytes.len()));
            prop_assert_eq!(text, Base64UrlUnpadded::encode_string(&bytes));
        }

        #[test]
        fn round_trip(bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(decode_public(encode(&bytes).as_bytes()), Some(bytes));
        }
    }
}
