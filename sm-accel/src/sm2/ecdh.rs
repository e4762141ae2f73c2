//! Key agreement: plain Diffie-Hellman on the curve, as TLS 1.3 uses it (RFC 8998, group curveSM2).

use core::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

use crate::error::Error;
use crate::sm2::mul::mul;
use crate::sm2::public_key::PublicKey;
use crate::sm2::secret_key::SecretKey;

/// What two sides share: the x coordinate of `[d]P`, 32 big-endian bytes, wiped on drop.
///
/// Not uniform: derive keys from it, as the key schedule of TLS does.
pub struct SharedSecret(Box<[u8; 32]>);

impl SharedSecret {
    /// The bytes, for a key derivation.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for SharedSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for SharedSecret {}

impl ConstantTimeEq for SharedSecret {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.as_slice().ct_eq(other.0.as_slice())
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSecret").finish_non_exhaustive()
    }
}

impl SecretKey {
    /// The x coordinate of `[d]P`, P being the other side's public key; constant time.
    ///
    /// The curve's cofactor is 1 and a [`PublicKey`] is never infinity, so that no small-subgroup check is left to
    /// do. It authenticates nobody: that is the protocol's task.
    ///
    /// # Errors
    /// [`Error::Key`] if the result is infinity, which no valid pair of keys gives.
    pub fn diffie_hellman(&self, peer: &PublicKey) -> Result<SharedSecret, Error> {
        let point = Zeroizing::new(mul(self.backend(), peer.point(), self.d()));
        let affine = point.to_affine().map(Zeroizing::new);
        let shared = affine.ok_or(Error::Key("public key"))?;
        Ok(SharedSecret(Box::new(shared.x.to_bytes())))
    }
}
