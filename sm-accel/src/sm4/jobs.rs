//! What a batch of sealing or opening takes.

use core::fmt;

/// One text to seal in a batch, in place. `K` is [`Sm4Gcm`](super::Sm4Gcm) or [`Sm4Ccm`](super::Sm4Ccm).
pub struct SealJob<'a, K> {
    /// The key. Jobs of one key, side by side in a batch, share the cipher's lanes.
    pub key: &'a K,
    /// The nonce, never used before with this key.
    pub nonce: &'a [u8],
    /// Data that is authenticated and not encrypted.
    pub aad: &'a [u8],
    /// The text, replaced by the ciphertext.
    pub text: &'a mut [u8],
}

/// One ciphertext to open in a batch, in place.
pub struct OpenJob<'a, K, const TAG: usize = 16> {
    /// The key. Jobs of one key, side by side in a batch, share the cipher's lanes.
    pub key: &'a K,
    /// The nonce that the text was sealed with.
    pub nonce: &'a [u8],
    /// The data that was authenticated with it.
    pub aad: &'a [u8],
    /// The ciphertext, replaced by the text when the tag is right.
    pub text: &'a mut [u8],
    /// The tag.
    pub tag: &'a [u8; TAG],
}

impl<K> fmt::Debug for SealJob<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealJob").finish_non_exhaustive()
    }
}

impl<K, const TAG: usize> fmt::Debug for OpenJob<'_, K, TAG> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenJob").finish_non_exhaustive()
    }
}

/// Jobs whose lanes are filled together.
pub(super) const RUN: usize = 64;

/// How many of the first jobs have the same key, up to [`RUN`].
pub(super) fn same_key<J, K>(jobs: &[J], key: impl Fn(&J) -> &K) -> usize {
    let Some(first) = jobs.first() else {
        return 0;
    };
    jobs.iter()
        .take(RUN)
        .take_while(|job| core::ptr::eq(key(job), key(first)))
        .count()
}
