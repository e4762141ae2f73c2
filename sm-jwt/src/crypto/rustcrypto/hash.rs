//! SM3 and HMAC-SM3.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sm3::{Digest as _, Sm3};
use zeroize::{Zeroize as _, Zeroizing};

use crate::hash::HashAlgorithm;

/// SM3 over the concatenation of `parts`.
pub(crate) fn sm3(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sm3::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// SM3 over what comes in pieces.
pub(crate) struct Sm3Stream(Sm3);

impl Sm3Stream {
    pub(crate) fn new() -> Self {
        Self(Sm3::new())
    }

    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// The chosen hash over the concatenation of `parts`.
pub(super) fn digest(hash: HashAlgorithm, parts: &[&[u8]]) -> [u8; 32] {
    match hash {
        HashAlgorithm::Sm3 => sm3(parts),
        HashAlgorithm::Sha256 => crate::crypto::sha256::sha256(parts),
    }
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

/// An HMAC-SM3 key, wiped on drop.
pub(crate) struct MacKey(Zeroizing<Vec<u8>>);

impl MacKey {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(Zeroizing::new(key.to_vec()))
    }

    /// HMAC-SM3 over the concatenation of `parts`.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        *hmac_sm3(&self.0, parts)
    }
}
