//! The two forms in which an SM2 signature travels, each with exactly one encoding per value.

use crate::crypto::SIGNATURE_LEN;
use crate::der;

/// How a signature is written into the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SignatureEncoding {
    /// r ‖ s, 64 bytes, each big-endian and zero-padded to 32 (IEEE P1363, as JOSE does).
    #[default]
    Raw,
    /// `SEQUENCE { INTEGER r, INTEGER s }` in DER (GM/T 0009 section 7.3), canonical only.
    Der,
}

impl SignatureEncoding {
    /// Reads a signature into r ‖ s; `None` for any other encoding of it.
    pub(crate) fn decode(self, bytes: &[u8]) -> Option<[u8; SIGNATURE_LEN]> {
        match self {
            Self::Raw => bytes.try_into().ok(),
            Self::Der => {
                let mut outer = der::Reader::new(bytes);
                let mut inner = outer.sequence()?;
                outer.finish()?;
                let mut raw = [0u8; SIGNATURE_LEN];
                let (r, s) = raw.split_at_mut(32);
                inner.unsigned(r)?;
                inner.unsigned(s)?;
                inner.finish()?;
                Some(raw)
            }
        }
    }

    /// Writes r ‖ s in this form.
    pub(crate) fn encode(self, raw: &[u8; SIGNATURE_LEN]) -> Vec<u8> {
        match self {
            Self::Raw => raw.to_vec(),
            Self::Der => {
                let (r, s) = raw.split_at(32);
                let body = [der::unsigned(r), der::unsigned(s)].concat();
                der::tlv(der::SEQUENCE, &[&body])
            }
        }
    }
}
