//! Random bytes.

use crate::error::Error;
use crate::taint;

/// Fills `out` from the operating system's generator.
pub(crate) fn fill(out: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(out).map_err(|_| Error::Random)?;
    taint::secret(out);
    Ok(())
}
