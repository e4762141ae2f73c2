//! What is to be hashed.

use crate::sm3::rounds::State;

/// One message: the concatenation of `parts` behind a midstate.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    /// State to start from.
    pub(crate) start: &'a State,
    /// Blocks behind that state.
    pub(crate) blocks: u64,
    pub(crate) parts: &'a [&'a [u8]],
    /// HMAC: the digest is hashed again from this state, one block after the IV.
    pub(crate) outer: Option<&'a State>,
}

#[cfg_attr(
    not(all(target_arch = "x86_64", not(sm_accel_portable))),
    allow(dead_code, reason = "the portable backend has no lanes")
)]
impl Job<'_> {
    /// Bytes of the parts.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        let lengths = self.parts.iter().map(|part| part.len());
        lengths.fold(0, usize::saturating_add)
    }
}
