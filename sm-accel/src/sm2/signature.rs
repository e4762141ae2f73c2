//! SM2 signatures: a pair of numbers, as 64 bytes and as DER.

use core::fmt;

use crate::error::Error;
use crate::sm2::der::{Reader, Sink, write_sequence, write_unsigned};
use crate::sm2::scalar::Scalar;

/// An SM2 signature (r, s), both in [1, n-1].
///
/// Only the range is checked here (steps B1 and B2 of GM/T 0003.2 section 7.1); what the signature says is
/// known after [`verify`](crate::sm2::VerifyingKey::verify) alone. Each value has one encoding as 64 bytes and one
/// as DER.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature([u8; Signature::LEN]);

impl Signature {
    /// Length of r ‖ s in bytes.
    pub const LEN: usize = 64;

    /// Reads r ‖ s, 32 big-endian bytes each.
    ///
    /// # Errors
    /// [`Error::Signature`] when r or s is outside [1, n-1].
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Result<Self, Error> {
        let signature = Self(*bytes);
        // B1, B2: r, s in [1, n-1]
        let (r, s) = signature.halves();
        if in_range(r) && in_range(s) {
            Ok(signature)
        } else {
            Err(Error::Signature)
        }
    }

    /// Reads r ‖ s from a slice of 64 bytes.
    ///
    /// # Errors
    /// [`Error::Signature`] for any other length, and when r or s is outside [1, n-1].
    pub fn from_slice(bytes: &[u8]) -> Result<Self, Error> {
        Self::from_bytes(bytes.try_into().map_err(|_| Error::Signature)?)
    }

    /// Reads `SEQUENCE { r INTEGER, s INTEGER }` (GM/T 0009 section 7.3) in DER.
    ///
    /// # Errors
    /// [`Error::Signature`] for anything but the one DER encoding of a pair of numbers in [1, n-1]: a padded or
    /// negative integer, a length in more bytes than needed, bytes after the end.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        fn read(der: &[u8]) -> Option<[u8; Signature::LEN]> {
            let mut reader = Reader::sequence(der)?;
            let (r, s) = (reader.unsigned()?, reader.unsigned()?);
            reader.end()?;
            Some(join(&r, &s))
        }
        Self::from_bytes(&read(der).ok_or(Error::Signature)?)
    }

    /// r ‖ s.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        self.0
    }

    /// r ‖ s.
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The DER form (GM/T 0009 section 7.3).
    pub fn to_der(&self) -> DerSignature {
        let (r, s) = self.halves();
        let mut out = DerSignature {
            bytes: [0; DerSignature::MAX_LEN],
            len: 0,
        };
        // Two integers of at most 33 bytes never outgrow the buffer.
        let written = write_sequence(&mut out, |out| {
            write_unsigned(out, r)?;
            write_unsigned(out, s)
        });
        debug_assert!(written.is_some());
        out
    }

    /// r and s.
    fn halves(&self) -> (&[u8; 32], &[u8; 32]) {
        match self.0.as_chunks() {
            ([r, s], _) => (r, s),
            _ => (&[0; 32], &[0; 32]),
        }
    }

    /// r and s modulo n.
    pub(crate) fn scalars(&self) -> Option<(Scalar, Scalar)> {
        let (r, s) = self.halves();
        Some((Scalar::from_bytes(r)?, Scalar::from_bytes(s)?))
    }

    /// From scalars that the signer made: neither is 0.
    pub(crate) fn from_scalars(r: &Scalar, s: &Scalar) -> Self {
        Self(join(&r.to_bytes(), &s.to_bytes()))
    }
}

fn join(r: &[u8; 32], s: &[u8; 32]) -> [u8; Signature::LEN] {
    let mut bytes = [0; Signature::LEN];
    let (left, right) = bytes.split_at_mut(32);
    left.copy_from_slice(r);
    right.copy_from_slice(s);
    bytes
}

/// A signature's number: public, so branches are fine.
fn in_range(bytes: &[u8; 32]) -> bool {
    Scalar::from_bytes(bytes).is_some_and(|scalar| !bool::from(scalar.is_zero()))
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(")?;
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

impl AsRef<[u8]> for Signature {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Signature {
    type Error = Error;

    fn try_from(bytes: &[u8]) -> Result<Self, Error> {
        Self::from_slice(bytes)
    }
}

impl TryFrom<[u8; 64]> for Signature {
    type Error = Error;

    fn try_from(bytes: [u8; 64]) -> Result<Self, Error> {
        Self::from_bytes(&bytes)
    }
}

impl From<Signature> for [u8; 64] {
    fn from(signature: Signature) -> Self {
        signature.0
    }
}

/// An SM2 signature as `SEQUENCE { r INTEGER, s INTEGER }` in DER, at most [`DerSignature::MAX_LEN`] bytes.
///
/// The bytes are in `as_ref`. Reading checks what [`Signature::from_der`] checks.
#[derive(Clone, Copy)]
pub struct DerSignature {
    bytes: [u8; Self::MAX_LEN],
    len: usize,
}

impl DerSignature {
    /// Longest encoding in bytes.
    pub const MAX_LEN: usize = 72;

    /// The encoding.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The pair of numbers.
    ///
    /// # Errors
    /// None: a value of this type was checked when it was made.
    pub fn to_signature(&self) -> Result<Signature, Error> {
        Signature::from_der(self.as_bytes())
    }

    /// Its length in bytes.
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.len
    }
}

impl Sink for DerSignature {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            room.copy_from_slice(bytes);
            self.len = end;
        }
    }
}

impl fmt::Debug for DerSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DerSignature(")?;
        for byte in self.as_bytes() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

impl PartialEq for DerSignature {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for DerSignature {}

impl AsRef<[u8]> for DerSignature {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl From<Signature> for DerSignature {
    fn from(signature: Signature) -> Self {
        signature.to_der()
    }
}

impl TryFrom<&[u8]> for DerSignature {
    type Error = Error;

    fn try_from(der: &[u8]) -> Result<Self, Error> {
        Signature::from_der(der).map(Self::from)
    }
}

impl TryFrom<DerSignature> for Signature {
    type Error = Error;

    fn try_from(der: DerSignature) -> Result<Self, Error> {
        Self::from_der(der.as_bytes())
    }
}
