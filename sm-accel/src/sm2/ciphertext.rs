//! The two forms of an SM2 ciphertext: C1 ‖ C3 ‖ C2 and ASN.1 DER.

use crate::error::Error;
use crate::sm2::der::{Reader, write_octets, write_sequence, write_unsigned};

/// A ciphertext taken apart: point C1 = (x, y), digest C3, masked text C2.
///
/// Reading checks the form alone; whether (x, y) is a point is seen in decryption. Each ciphertext has one raw and
/// one DER encoding, so that this type also turns one into the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ciphertext<'a> {
    pub(crate) x: [u8; 32],
    pub(crate) y: [u8; 32],
    pub(crate) c3: [u8; 32],
    pub(crate) c2: &'a [u8],
}

impl<'a> Ciphertext<'a> {
    /// What a raw ciphertext is longer than its plaintext, in bytes: 04 ‖ x ‖ y ‖ C3.
    pub const OVERHEAD: usize = 97;

    /// Reads 04 ‖ x ‖ y ‖ C3 ‖ C2 (GM/T 0003.4-2012 section 6.1, C1 uncompressed).
    ///
    /// # Errors
    /// [`Error::Decryption`] for another form of the point and for fewer than 98 bytes.
    pub fn from_raw(raw: &'a [u8]) -> Result<Self, Error> {
        fn read(raw: &[u8]) -> Option<Ciphertext<'_>> {
            let (tag, rest) = raw.split_first()?;
            let (x, rest) = rest.split_first_chunk()?;
            let (y, rest) = rest.split_first_chunk()?;
            let (c3, c2) = rest.split_first_chunk()?;
            (*tag == 4 && !c2.is_empty()).then_some(Ciphertext {
                x: *x,
                y: *y,
                c3: *c3,
                c2,
            })
        }
        read(raw).ok_or(Error::Decryption)
    }

    /// Reads `SEQUENCE { x INTEGER, y INTEGER, hash OCTET STRING, cipherText OCTET STRING }` (GM/T 0009
    /// section 7.2) in DER.
    ///
    /// # Errors
    /// [`Error::Decryption`] for anything but the one DER encoding of numbers below 2^256, 32 bytes of hash and at
    /// least one byte of text.
    pub fn from_der(der: &'a [u8]) -> Result<Self, Error> {
        fn read(der: &[u8]) -> Option<Ciphertext<'_>> {
            let mut reader = Reader::sequence(der)?;
            let (x, y) = (reader.unsigned()?, reader.unsigned()?);
            let c3 = reader.octets()?.try_into().ok()?;
            let c2 = reader.octets()?;
            reader.end()?;
            (!c2.is_empty()).then_some(Ciphertext { x, y, c3, c2 })
        }
        read(der).ok_or(Error::Decryption)
    }

    /// 04 ‖ x ‖ y ‖ C3 ‖ C2.
    pub fn to_raw(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.c2.len().saturating_add(Self::OVERHEAD));
        out.push(4);
        out.extend_from_slice(&self.x);
        out.extend_from_slice(&self.y);
        out.extend_from_slice(&self.c3);
        out.extend_from_slice(self.c2);
        out
    }

    /// The DER form.
    ///
    /// # Errors
    /// [`Error::TooLong`] when a length does not fit into 32 bits.
    pub fn to_der(&self) -> Result<Vec<u8>, Error> {
        let mut out = Vec::with_capacity(self.c2.len().saturating_add(128));
        write_sequence(&mut out, |out| {
            write_unsigned(out, &self.x)?;
            write_unsigned(out, &self.y)?;
            write_octets(out, &self.c3)?;
            write_octets(out, self.c2)
        })
        .ok_or(Error::TooLong("an SM2 ciphertext in DER"))?;
        Ok(out)
    }
}
