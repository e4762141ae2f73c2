//! What the ring asks of a key-encryption key.

use crate::error::Error;
use crate::offload::BoxFuture;
use crate::secret::SecretBytes;

/// A key-encryption key (KEK) that never leaves its holder: bytes are wrapped, unwrapped and authenticated *by*
/// it, and there is no way to ask for the key itself. [`SoftwareKek`](crate::SoftwareKek), a PKCS#11 token (feature
/// `pkcs11`), a GM/T 0018 device (feature `sdf`) and your own KMS implement it.
///
/// # Contract
/// - `wrap_key`/`unwrap_key` authenticate `context`: a blob unwraps only with the context it was wrapped with.
/// - `integrity_macs` uses a key independent of the wrapping key and of every field key.
/// - Device calls that block belong on a blocking thread inside the returned future.
pub trait KekProvider: Send + Sync {
    /// Stable public name of this KEK, at most 255 bytes, e.g. `kek://software/0123456789abcdef`. It is written
    /// into the registry, so a provider with another key must have another id.
    fn id(&self) -> &str;

    /// Wraps a field key. The blob is at most 4096 bytes.
    ///
    /// # Errors
    /// [`Error::Kek`] or [`Error::Random`] when the provider fails.
    fn wrap_key<'a>(
        &'a self,
        key: &'a SecretBytes,
        context: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, Error>>;

    /// Unwraps a field key.
    ///
    /// # Errors
    /// [`Error::KekUnwrap`] when blob or context are not authentic (one error for both), [`Error::Kek`] when
    /// the provider fails.
    fn unwrap_key<'a>(
        &'a self,
        blob: &'a [u8],
        context: &'a [u8],
    ) -> BoxFuture<'a, Result<SecretBytes, Error>>;

    /// A MAC of 32 bytes of every message under the integrity key, in order: HMAC-SM3, unless the provider says that it is not
    /// GM, or for a device that lacks it one as strong over messages of any length.
    ///
    /// # Errors
    /// [`Error::Kek`] when the provider fails.
    fn integrity_macs<'a>(
        &'a self,
        messages: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Vec<[u8; 32]>, Error>>;
}
