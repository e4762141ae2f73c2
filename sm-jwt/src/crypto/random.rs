//! Random bytes.

use crate::error::Error;

/// Random bytes from the operating system.
pub(crate) fn fill_random(out: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(out).map_err(|_| Error::Random)
}
