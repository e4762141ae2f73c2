//! A public key with its name and the profile it signs under, ready for use.

use std::fmt;
use std::sync::Arc;

use crate::crypto;
use crate::error::Error;
use crate::key_id::KeyId;
use crate::keys::VerifyingKey;
use crate::profile::Profile;

/// A key that an issuer is trusted with: its identifier, the key, and how it signs. Z is computed once.
///
/// Clones share the contents.
#[derive(Clone)]
pub struct TrustedKey(Arc<Inner>);

struct Inner {
    kid: KeyId,
    key: VerifyingKey,
    profile: Profile,
    z: [u8; 32],
}

impl TrustedKey {
    /// Binds a key to its name and profile.
    ///
    /// # Errors
    /// [`Error::Config`] when the profile's user id cannot be used.
    pub fn new(kid: KeyId, key: VerifyingKey, profile: Profile) -> Result<Self, Error> {
        let z = crypto::z(profile.hash(), profile.user_id(), key.point().sec1())
            .ok_or_else(|| Error::Config("the profile's user id is too long".to_owned()))?;
        Ok(Self(Arc::new(Inner {
            kid,
            key,
            profile,
            z,
        })))
    }

    /// The identifier that tokens name.
    #[must_use]
    pub fn kid(&self) -> &KeyId {
        &self.0.kid
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &VerifyingKey {
        &self.0.key
    }

    /// How the key signs.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.0.profile
    }

    /// Z of the key under the profile's user id and hash.
    pub(crate) fn z(&self) -> &[u8; 32] {
        &self.0.z
    }
}

impl fmt::Debug for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedKey")
            .field("kid", self.kid())
            .field("key", self.key())
            .field("alg", &self.profile().alg())
            .finish_non_exhaustive()
    }
}
