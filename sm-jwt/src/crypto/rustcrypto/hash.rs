//! SM3 and HMAC-SM3.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sm3::{Digest as _, Sm3};
use zeroize::{Zeroize as _, Zeroizing};

/// SM3 over the concatenation of `parts`.
pub(crate) fn sm3(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sm3::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// HMAC-SM3 (GB/T 15852.2) over the concatenation of `parts`.
pub(super) fn hmac_sm3(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    // A key of any length is accepted by HMAC, so the fallback is never taken; it would only make
    // the DRBG's output differ, never panic.
    let mut mac = Hmac::<Sm3>::new_from_slice(key)
        .unwrap_or_else(|_| Hmac::<Sm3>::new(&sm3::digest::Key::<Hmac<Sm3>>::default()));
    for part in parts {
        mac.update(part);
    }
    let mut tag = mac.finalize().into_bytes();
    let mut out = Zeroizing::new([0u8; 32]);
    out.copy_from_slice(&tag);
    tag.as_mut_slice().zeroize();
    out
}
