//! The compact serialisation of JWS (RFC 7515 section 7.1), taken apart strictly.

use crate::base64url;
use crate::error::Error;
use crate::limits::Limits;

/// The longest signature in bytes: r and s as DER take at most 72.
pub(crate) const MAX_SIGNATURE_LEN: usize = 72;

/// The parts of a compact JWS, decoded.
pub(crate) struct Compact<'a> {
    /// The text that the signature covers, `header.payload`.
    pub(crate) signing_input: &'a str,
    pub(crate) header: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

/// `header.payload.signature`, not decoded yet.
pub(crate) fn split<'a>(text: &'a str, limits: &Limits) -> Result<[&'a str; 3], Error> {
    cap(text.len(), limits.token_bytes(), "the token")?;
    let mut parts = text.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(header), Some(payload), Some(signature), None) => Ok([header, payload, signature]),
        _ => Err(Error::NotCompact),
    }
}

impl<'a> Compact<'a> {
    /// In this order: the length, the two dots, the length of each part, strict unpadded base64url with zero trailing
    /// bits.
    pub(crate) fn parse(text: &'a str, limits: &Limits) -> Result<Self, Error> {
        let [header, payload, signature] = split(text, limits)?;
        let signed = header.len().saturating_add(1).saturating_add(payload.len());
        Ok(Self {
            signing_input: text.get(..signed).ok_or(Error::NotCompact)?,
            header: decode(header, limits.header_bytes(), "the header")?,
            payload: decode(payload, limits.payload_bytes(), "the payload")?,
            signature: decode(signature, MAX_SIGNATURE_LEN, "the signature")?,
        })
    }
}

/// Refuses what is longer than `limit` bytes.
pub(crate) fn cap(len: usize, limit: usize, what: &'static str) -> Result<(), Error> {
    if len > limit {
        return Err(Error::TooLarge { what, limit });
    }
    Ok(())
}

/// Strict base64url of at most `limit` bytes.
pub(crate) fn decode(text: &str, limit: usize, what: &'static str) -> Result<Vec<u8>, Error> {
    // Before the allocation, rounded down; the second check is exact.
    cap((text.len() / 4).saturating_mul(3), limit, what)?;
    let bytes = base64url::decode(text, what)?;
    cap(bytes.len(), limit, what)?;
    Ok(bytes)
}
