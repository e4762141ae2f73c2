//! Limits on expressions: all counted, none by clock.

/// What an expression may cost, before and while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CelLimits {
    /// Longest source text, in bytes.
    pub bytes: usize,
    /// Most nodes in the syntax tree.
    pub nodes: usize,
    /// Greatest nesting, of the text and of the tree. Values above [`CelLimits::MAX_DEPTH`] count as that.
    pub depth: usize,
    /// Steps one evaluation may take. A step is a node visited, an element iterated, or 64 bytes handled.
    pub steps: u64,
    /// Memory one compiled regular expression may take, in bytes.
    pub regex_bytes: usize,
}

impl CelLimits {
    /// The greatest depth there can be: with it, parsing, checking and evaluating stay within 128 KiB of stack in
    /// optimised code.
    pub const MAX_DEPTH: usize = 64;

    pub(crate) fn depth(&self) -> usize {
        self.depth.min(Self::MAX_DEPTH)
    }
}

impl Default for CelLimits {
    fn default() -> Self {
        Self {
            bytes: 16 * 1024,
            nodes: 4096,
            depth: 64,
            steps: 1_000_000,
            regex_bytes: 256 * 1024,
        }
    }
}
