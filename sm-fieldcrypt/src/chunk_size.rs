//! How long the chunks of a value are.

/// The binary logarithm of a chunk's length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkSize(pub(crate) u8);

impl ChunkSize {
    /// 1 KiB to 1 MiB.
    pub(crate) fn is_valid(self) -> bool {
        (10..=20).contains(&self.0)
    }

    /// In bytes; 1 MiB at most, whatever is asked for.
    pub(crate) fn bytes(self) -> u64 {
        1 << self.0.min(20)
    }

    /// How many chunks a value of `length` bytes has: an empty one has an empty chunk.
    pub(crate) fn count(self, length: u64) -> u64 {
        length.div_ceil(self.bytes()).max(1)
    }

    /// Blocks of the cipher in a whole chunk.
    pub(crate) fn blocks(self) -> u64 {
        self.bytes() >> 4
    }
}

#[cfg(test)]
mod tests {
    use super::ChunkSize;

    #[test]
    fn counts_and_sizes() {
        let chunk = ChunkSize(10);
        assert_eq!((chunk.bytes(), chunk.blocks()), (1024, 64));
        for (length, count) in [(0, 1), (1, 1), (1024, 1), (1025, 2), (4096, 4)] {
            assert_eq!(chunk.count(length), count);
        }
        for (log2, valid) in [
            (0, false),
            (9, false),
            (10, true),
            (20, true),
            (21, false),
            (255, false),
        ] {
            assert_eq!(ChunkSize(log2).is_valid(), valid);
        }
    }
}
