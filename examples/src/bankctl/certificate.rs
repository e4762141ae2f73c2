//! Certificates of the command line: one file, PEM or DER. A token is bound to the bytes; nothing in them is trusted.

use std::path::Path;

use der::asn1::{AnyRef, BitStringRef};
use der::{Decode as _, Document, Reader, SliceReader, Tag, Tagged as _};

use super::input::MAX_INPUT_BYTES;
use crate::error::{BadInput, read_input};

const BEGIN: &[u8] = b"-----BEGIN ";

/// Reads the one certificate of a file, as DER.
pub(super) fn load(path: &Path) -> Result<Vec<u8>, BadInput> {
    read(&read_input(path, MAX_INPUT_BYTES)?)
        .map_err(|reason| BadInput::file(path, reason).coded("bad_certificate"))
}

fn read(bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    let blocks = bytes.windows(BEGIN.len()).filter(|at| *at == BEGIN).count();
    // DER begins with the tag of a SEQUENCE, which is the digit 0 in text.
    let der = match (bytes, blocks) {
        (_, 0) | ([0x30, ..], _) => bytes.to_vec(),
        (_, 1) => from_pem(bytes)?,
        _ => return Err("more than one PEM block: which certificate is meant cannot be known"),
    };
    match has_form(&der) {
        Ok(()) => Ok(der),
        Err(_) => Err("no certificate, in PEM or DER"),
    }
}

fn from_pem(bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8")?;
    match Document::from_pem(text) {
        Ok(("CERTIFICATE", document)) => Ok(document.to_vec()),
        Ok(_) => Err("a PEM block with another label than CERTIFICATE"),
        Err(_) => Err("the PEM block cannot be read"),
    }
}

/// What is signed, the algorithm and the signature (RFC 5280 section 4.1), and nothing behind them.
fn has_form(bytes: &[u8]) -> der::Result<()> {
    let mut reader = SliceReader::new(bytes)?;
    reader.sequence(|inside| {
        for _ in 0..2 {
            AnyRef::decode(inside)?.tag().assert_eq(Tag::Sequence)?;
        }
        BitStringRef::decode(inside).map(|_| ())
    })?;
    reader.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DER: [u8; 10] = [0x30, 8, 0x30, 0, 0x30, 0, 0x03, 2, 0, 7];

    #[test]
    fn one_certificate_in_either_form() {
        let pem = "-----BEGIN CERTIFICATE-----\nMAgwADAAAwIABw==\n-----END CERTIFICATE-----\n";
        assert_eq!(read(&DER), Ok(DER.to_vec()));
        assert_eq!(read(pem.as_bytes()), Ok(DER.to_vec()));
        let described = format!("Subject: CN=teller\n{pem}");
        assert_eq!(read(described.as_bytes()), Ok(DER.to_vec()));
        let other = pem.replace("CERTIFICATE", "PUBLIC KEY");
        for text in [
            &pem.repeat(2),
            &other,
            &pem[..40],
            &pem.replace('M', "!"),
            "",
            "0",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        for len in 0..DER.len() {
            assert!(read(&DER[..len]).is_err(), "{len}");
        }
        assert!(
            read(&[&DER[..], &[0]].concat()).is_err(),
            "a byte behind it"
        );
    }
}
