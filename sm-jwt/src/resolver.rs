//! Where an issuer's keys come from.

use std::fmt;
use std::future;
use std::sync::{Arc, PoisonError, RwLock};

use crate::error::Error;
use crate::future::BoxFuture;
use crate::key_set::KeySet;

/// Gives an issuer's keys, which may change while the service runs.
///
/// # Contract
/// - [`current`](Self::current) answers at once, with no I/O, and with one whole set: keys of different times are never
///   mixed. A key that was removed is in no set from then on.
/// - A set that is too old to be trusted is an error, not a set.
/// - [`refresh`](Self::refresh) is bounded: attackers name unknown keys as often as they like.
pub trait KeyResolver: fmt::Debug + Send + Sync {
    /// The keys that are trusted now.
    ///
    /// # Errors
    /// [`Error::KeysUnavailable`] when there is no set that may be trusted.
    fn current(&self) -> Result<Arc<KeySet>, Error>;

    /// A token names `kid`, which [`current`](Self::current) does not have: looks for newer keys, if it is time for
    /// that. Afterwards `current` is asked once more. Does nothing unless implemented.
    fn refresh<'a>(&'a self, kid: &'a str) -> BoxFuture<'a, ()> {
        let _ = kid;
        Box::pin(future::ready(()))
    }
}

/// Keys that an operator replaces as a whole: from a file, a database or a key-management service. Clones share the set.
///
/// ```
/// use std::sync::Arc;
/// use sm_jwt::{KeyId, KeySet, Profile, SharedKeySet, VerifyingKey};
///
/// # fn rotate(old: VerifyingKey, new: VerifyingKey) -> Result<(), sm_jwt::Error> {
/// let name = |kid: &str| KeyId::new(kid);
/// let keys = SharedKeySet::new(KeySet::new([
///     (name("2026-01")?, old.clone(), Profile::default()),
/// ])?);
/// // First the verifiers learn the new key, then the issuer signs with it, and when the last old token has expired
/// // the old key goes.
/// keys.replace(KeySet::new([
///     (name("2026-01")?, old, Profile::default()),
///     (name("2026-07")?, new.clone(), Profile::default()),
/// ])?);
/// keys.replace(KeySet::new([(name("2026-07")?, new, Profile::default())])?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SharedKeySet(Arc<RwLock<Arc<KeySet>>>);

impl SharedKeySet {
    /// Starts with this set.
    #[must_use]
    pub fn new(keys: KeySet) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(keys))))
    }

    /// Trusts these keys, and no others, from now on. Verifications that are under way end with the set they began with.
    pub fn replace(&self, keys: KeySet) {
        // The lock holds a whole set at any time: a panic elsewhere cannot have left half of one.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    /// The set that is trusted now.
    #[must_use]
    pub fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl KeyResolver for SharedKeySet {
    fn current(&self) -> Result<Arc<KeySet>, Error> {
        Ok(self.keys())
    }
}

impl fmt::Debug for SharedKeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedKeySet").field(&self.keys()).finish()
    }
}
