//! The hash chain: pure functions from bytes to hashes.

use crate::crypto::{sm3, sm3_many};

/// An SM3 hash.
pub type Hash = [u8; 32];

/// What stands before the first record.
pub const GENESIS: Hash = [0; 32];

/// leaf = SM3(0x00 || record bytes).
pub fn leaf(record: &[u8]) -> Hash {
    sm3(&[&[0x00], record])
}

/// The leaves of many records.
pub fn leaves(records: &[&[u8]]) -> Vec<Hash> {
    let parts: Vec<[&[u8]; 2]> = records.iter().map(|r| [[0x00].as_slice(), r]).collect();
    let messages: Vec<&[&[u8]]> = parts.iter().map(|p| p.as_slice()).collect();
    sm3_many(&messages)
}

/// link = SM3(0x02 || "smal1" || u16 length || stream id || u64 sequence || previous || leaf).
///
/// `stream` has at most 65,535 bytes; the log allows 128.
pub fn link(stream: &str, sequence: u64, previous: &Hash, leaf: &Hash) -> Hash {
    let length = u16::try_from(stream.len()).unwrap_or(u16::MAX);
    sm3(&[
        &[0x02],
        b"smal1",
        &length.to_be_bytes(),
        stream.as_bytes(),
        &sequence.to_be_bytes(),
        previous,
        leaf,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_is_what_the_format_says() {
        let previous = [7; 32];
        let leaf_hash = leaf(b"{}");
        assert_eq!(leaf_hash, sm3(&[b"\x00{}"]));
        assert_eq!(leaves(&[b"{}", b"x"]), [leaf_hash, leaf(b"x")]);
        let mut bytes = b"\x02smal1\x00\x03abc\x00\x00\x00\x00\x00\x00\x01\x02".to_vec();
        bytes.extend_from_slice(&previous);
        bytes.extend_from_slice(&leaf_hash);
        assert_eq!(link("abc", 0x102, &previous, &leaf_hash), sm3(&[&bytes]));
    }

    #[test]
    fn every_input_matters() {
        let base = link("a", 1, &GENESIS, &GENESIS);
        assert_ne!(base, link("b", 1, &GENESIS, &GENESIS));
        assert_ne!(base, link("a", 2, &GENESIS, &GENESIS));
        assert_ne!(base, link("a", 1, &[1; 32], &GENESIS));
        assert_ne!(base, link("a", 1, &GENESIS, &[1; 32]));
    }
}
