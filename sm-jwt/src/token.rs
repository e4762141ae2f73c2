//! The compact serialisation, read strictly. Nothing here is trusted.

use std::fmt;

use crate::base64url;
use crate::claims::Claims;
use crate::error::Error;
use crate::header::Header;
use crate::limits::Limits;

/// The longest signature in bytes: r and s as DER take at most 72.
const MAX_SIGNATURE_LEN: usize = 72;

/// A token that was read but not verified.
///
/// It gives away nothing but what choosing a key needs, and says so in the names.
/// [`Verifier::verify`](crate::Verifier::verify) consumes it.
pub struct UnverifiedToken {
    /// The text that the signature covers, `header.payload`.
    pub(crate) signing_input: String,
    pub(crate) header: Header,
    pub(crate) payload: Vec<u8>,
    pub(crate) claims: Claims,
    pub(crate) signature: Vec<u8>,
}

impl UnverifiedToken {
    /// Reads a compact JWS (RFC 7515 section 7.1).
    ///
    /// In this order: the length, the two dots, the length of each part, strict unpadded base64url
    /// with zero trailing bits, then header and payload as JSON objects with their depth, their
    /// number of members and duplicate members at every depth checked, and known members of the
    /// right type only.
    ///
    /// # Errors
    /// The first rule that fails. See [`Error::code`].
    pub fn parse(token: &str, limits: &Limits) -> Result<Self, Error> {
        cap(token.len(), limits.token_bytes(), "the token")?;
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Error::NotCompact);
        };
        let signing_input = token
            .get(..header.len().saturating_add(1).saturating_add(payload.len()))
            .ok_or(Error::NotCompact)?;

        let header = decode(header, limits.header_bytes(), "the header")?;
        let payload = decode(payload, limits.payload_bytes(), "the payload")?;
        let signature = decode(signature, MAX_SIGNATURE_LEN, "the signature")?;

        Ok(Self {
            signing_input: signing_input.to_owned(),
            header: Header::parse(&header, limits)?,
            claims: Claims::parse(&payload, limits)?,
            payload,
            signature,
        })
    }

    /// The header's `kid`, unverified: good for choosing a key, and for nothing else.
    #[must_use]
    pub fn unverified_kid(&self) -> &str {
        self.header.kid()
    }

    /// The payload's `iss`, unverified: good for choosing an issuer's keys, and for nothing else.
    #[must_use]
    pub fn unverified_issuer(&self) -> &str {
        self.claims.issuer()
    }
}

/// Shows nothing of the token: whoever holds it can use it.
impl fmt::Debug for UnverifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedToken").finish_non_exhaustive()
    }
}

fn cap(len: usize, limit: usize, what: &'static str) -> Result<(), Error> {
    if len > limit {
        return Err(Error::TooLarge { what, limit });
    }
    Ok(())
}

fn decode(text: &str, limit: usize, what: &'static str) -> Result<Vec<u8>, Error> {
    // Before the allocation, rounded down; the second check is exact.
    cap((text.len() / 4).saturating_mul(3), limit, what)?;
    let bytes = base64url::decode(text, what)?;
    cap(bytes.len(), limit, what)?;
    Ok(bytes)
}
