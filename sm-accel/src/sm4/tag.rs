//! Tags of GCM and CCM: 16 bytes or their first few.

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::error::Error;
use crate::taint;

/// The first `TAG` bytes.
pub(super) fn shorten<const TAG: usize>(tag: &[u8; 16]) -> [u8; TAG] {
    let mut short = [0; TAG];
    for (to, from) in short.iter_mut().zip(tag) {
        *to = *from;
    }
    short
}

/// Whether the first `TAG` bytes of `computed` are `tag`, in constant time. Wipes `computed`: where `tag` is wrong, it
/// is the right one for a forged text.
pub(super) fn verify<const TAG: usize>(
    computed: &mut [u8; 16],
    tag: &[u8; TAG],
) -> Result<(), Error> {
    let equal = computed.get(..TAG).unwrap_or_default().ct_eq(tag);
    computed.zeroize();
    if taint::public(equal) {
        Ok(())
    } else {
        Err(Error::Decryption)
    }
}
