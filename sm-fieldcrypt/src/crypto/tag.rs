//! Lengths, counter blocks, and the comparison of tags.

use subtle::ConstantTimeEq;

/// Length of an SM3 digest, in bytes.
pub(crate) const DIGEST: usize = 32;

/// Nonce, then a big-endian counter.
pub(crate) fn counter_block(nonce: &[u8; 12], first: u32) -> [u8; 16] {
    let mut block = [0_u8; 16];
    for (to, from) in block
        .iter_mut()
        .zip(nonce.iter().chain(&first.to_be_bytes()))
    {
        *to = *from;
    }
    block
}

/// Compares tags in constant time; different lengths are unequal.
pub(crate) fn tags_equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_other_lengths_are_unequal() {
        assert!(tags_equal(b"abc", b"abc"));
        assert!(!tags_equal(b"abc", b"abd"));
        assert!(!tags_equal(b"abc", b"ab"));
    }
}
