//! The Merkle tree of RFC 9162 2.1 on SM3, kept as its compact range.

use crate::chain::Hash;
use crate::crypto::sm3;

/// node = SM3(0x01 || left || right).
pub fn node(left: &Hash, right: &Hash) -> Hash {
    sm3(&[&[0x01], left, right])
}

/// The tree's right edge: the roots of the perfect subtrees that cover it, largest first.
///
/// Adding a leaf costs one hash on average, memory is one hash per bit of the size. The peaks after
/// `n` leaves are all that is needed to go on from there, and the starting point of later proofs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree of `size` leaves from its peaks, largest first; `None` when their number is wrong.
    pub fn from_peaks(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (usize::try_from(size.count_ones()) == Ok(peaks.len())).then_some(Self { size, peaks })
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The perfect subtrees' roots, largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Adds a leaf hash. A tree of 2^64 - 1 leaves is full and stays as it is.
    pub fn push(&mut self, leaf: Hash) {
        let Some(size) = self.size.checked_add(1) else {
            return;
        };
        let mut hash = leaf;
        // Each trailing one bit of the old size is a perfect subtree that the new one completes.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size = size;
    }

    /// The root; of the empty tree SM3 of nothing (RFC 9162 2.1.1).
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else {
            return sm3(&[]);
        };
        peaks.fold(*last, |right, left| node(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9162 2.1.1, word for word.
    fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => sm3(&[]),
            [one] => *one,
            many => {
                let mut k = 1;
                while k * 2 < many.len() {
                    k *= 2;
                }
                node(&naive(&many[..k]), &naive(&many[k..]))
            }
        }
    }

    #[test]
    fn equals_the_recursive_definition() {
        let leaves: Vec<Hash> = (0..=130u8).map(|i| sm3(&[&[i]])).collect();
        let mut tree = Frontier::new();
        for size in 0..=130usize {
            assert_eq!(tree.root(), naive(&leaves[..size]), "size {size}");
            assert_eq!(tree.size(), size as u64);
            let again = Frontier::from_peaks(tree.size(), tree.peaks().to_vec()).unwrap();
            assert_eq!(again, tree);
            tree.push(leaves[size]);
        }
    }

    #[test]
    fn from_peaks_wants_the_right_number() {
        assert!(Frontier::from_peaks(3, vec![[0; 32]]).is_none());
        assert!(Frontier::from_peaks(0, vec![]).is_some());
        let mut full = Frontier::from_peaks(u64::MAX, vec![[0; 32]; 64]).unwrap();
        full.push([1; 32]);
        assert_eq!(full.size(), u64::MAX);
    }
}
