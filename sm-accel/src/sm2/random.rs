//! Random bytes.

use crate::error::Error;

/// Fills `out` from the operating system's generator.
pub(crate) fn fill(out: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(out).map_err(|_| Error::Random)
}
