//! Limits on what a load takes in.

use crate::cel::CelLimits;

/// Limits on policy sources and on the expressions in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Largest single source, in bytes.
    pub document_bytes: usize,
    /// Most policies in one set.
    pub policies: usize,
    /// Most entries in the index, one for each resource, action and role a policy names, and most steps from role to
    /// role when the hierarchy is closed.
    pub entries: usize,
    /// Limits on each condition.
    pub cel: CelLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes: 64 * 1024 * 1024,
            policies: 1_000_000,
            entries: 4_000_000,
            cel: CelLimits::default(),
        }
    }
}
