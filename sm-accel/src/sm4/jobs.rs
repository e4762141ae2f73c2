//! What a batch of sealing or opening takes.

use core::fmt;

use super::keys::Sm4;

/// One text to seal in a batch, in place. `K` is [`Sm4Gcm`](super::Sm4Gcm) or [`Sm4Ccm`](super::Sm4Ccm).
pub struct SealJob<'a, K> {
    /// The key. Many jobs of one key go fastest side by side.
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
    /// The key. Many jobs of one key go fastest side by side.
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

/// The most jobs of a run.
pub(super) const RUN: usize = 256;

/// From so many on, jobs of one key go by themselves: the kernels then need no keys by lane.
const ENOUGH: usize = 16;

/// How many of the first jobs are worked on together: many of one key, or any of one backend.
pub(super) fn run_length<J>(jobs: &[J], cipher: impl Fn(&J) -> &Sm4) -> usize {
    let Some(first) = jobs.first().map(&cipher) else {
        return 0;
    };
    let leading = |together: &dyn Fn(&Sm4) -> bool| {
        jobs.iter()
            .take(RUN)
            .take_while(|job| together(cipher(job)))
            .count()
    };
    let same = leading(&|other| core::ptr::eq(other, first));
    if same >= ENOUGH {
        return same;
    }
    leading(&|other| other.backend() == first.backend())
}
