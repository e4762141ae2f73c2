//! Lengths, and the comparison of tags.

use subtle::ConstantTimeEq;

/// Length of an SM3 digest, in bytes.
pub(crate) const DIGEST: usize = 32;

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
