//! Where random bytes come from: salts and signature nonces.

use crate::error::RandomError;
use std::sync::Arc;

/// A source of unpredictable bytes.
///
/// Implementations must fill the whole buffer or fail; a failure is passed on, never papered over.
pub trait Randomness: Send + Sync {
    /// Fills `buffer`.
    ///
    /// # Errors
    /// When the source cannot deliver.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError>;
}

impl<T: Randomness + ?Sized> Randomness for Arc<T> {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        (**self).fill(buffer)
    }
}

/// The operating system's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsRandomness;

impl Randomness for OsRandomness {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        getrandom::fill(buffer).map_err(|error| RandomError::new(error.to_string()))
    }
}
