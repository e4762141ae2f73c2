//! Strict unpadded base64url (RFC 7515 section 2): no padding, no white space, zero trailing bits.

use base64ct::{Base64UrlUnpadded, Encoding};

use crate::error::Error;

/// Decodes `text`; every byte string has exactly one accepted encoding.
pub(crate) fn decode(text: &str, what: &'static str) -> Result<Vec<u8>, Error> {
    Base64UrlUnpadded::decode_vec(text).map_err(|_| Error::Base64 { what })
}

/// Decodes into a caller's buffer in constant time; `None` unless it fills the buffer exactly.
pub(crate) fn decode_exact(text: &str, out: &mut [u8]) -> Option<()> {
    let wanted = out.len();
    let got = Base64UrlUnpadded::decode(text, out).ok()?.len();
    (got == wanted).then_some(())
}

/// Encodes `bytes`.
pub(crate) fn encode(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}
