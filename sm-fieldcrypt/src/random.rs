//! Where IVs, nonces, salts and field keys come from.

use crate::error::Error;

/// A cryptographically strong random generator.
///
/// The default, [`OsRandom`], asks the operating system. A deployment that must draw from a device implements
/// this over it. Contract: every call fills the whole buffer with fresh, unpredictable bytes or fails; a
/// repeated nonce under CTR reveals plaintext.
pub trait RandomSource: Send + Sync {
    /// Fills `buffer`.
    ///
    /// # Errors
    /// [`Error::Random`] when it cannot; the buffer is then unspecified and must not be used.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Error>;
}

/// The operating system's generator.
#[derive(Debug, Default, Clone, Copy)]
pub struct OsRandom;

impl RandomSource for OsRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Error> {
        getrandom::fill(buffer).map_err(|e| Error::Random {
            reason: e.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{OsRandom, RandomSource};

    #[test]
    fn two_draws_differ() {
        let (mut a, mut b) = ([0_u8; 32], [0_u8; 32]);
        OsRandom.fill(&mut a).unwrap();
        OsRandom.fill(&mut b).unwrap();
        assert_ne!(a, b);
    }
}
