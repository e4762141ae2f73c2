//! The compact serialisation, read strictly. Nothing here is trusted.

use std::fmt;

use crate::claims::Claims;
use crate::compact::Compact;
use crate::error::Error;
use crate::header::Header;
use crate::limits::Limits;

/// A token that was read but not verified.
///
/// It gives away nothing but what choosing a key needs, and says so in the names.
/// [`Verifier::verify`](crate::Verifier::verify) consumes it.
pub struct UnverifiedToken {
    /// The whole token.
    pub(crate) text: String,
    /// Where in it the text ends that the signature covers, `header.payload`.
    signed: usize,
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
        let parts = Compact::parse(token, limits)?;
        Ok(Self {
            header: Header::parse(&parts.header, limits)?,
            claims: Claims::parse(&parts.payload, limits)?,
            payload: parts.payload,
            signature: parts.signature,
            text: token.to_owned(),
            signed: parts.signing_input.len(),
        })
    }

    /// The text that the signature covers.
    pub(crate) fn signing_input(&self) -> &str {
        self.text.get(..self.signed).unwrap_or_default()
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
