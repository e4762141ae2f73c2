//! A whole set of trusted keys, which never changes: what is new is another set.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;
use crate::key_id::KeyId;
use crate::keys::VerifyingKey;
use crate::profile::Profile;
use crate::trusted_key::TrustedKey;

/// The keys of one issuer at one time.
///
/// A key stands in it once, under one name. There is no way to add or remove a key: rotation replaces the whole set
/// ([`SharedKeySet`](crate::SharedKeySet)), so that a removed key cannot linger.
pub struct KeySet {
    by_kid: HashMap<KeyId, TrustedKey>,
    /// No two sets of this process have the same.
    generation: u64,
}

impl KeySet {
    /// A set of these keys. It may be empty: then no token of the issuer verifies.
    ///
    /// # Errors
    /// [`Error::Config`] for two keys of one name, one key under two names, or a profile whose user id cannot be used.
    pub fn new(
        keys: impl IntoIterator<Item = (KeyId, VerifyingKey, Profile)>,
    ) -> Result<Self, Error> {
        let keys: Result<Vec<_>, Error> = keys
            .into_iter()
            .map(|(kid, key, profile)| TrustedKey::new(kid, key, profile))
            .collect();
        Self::from_trusted(keys?)
    }

    /// A set of these keys.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_trusted(keys: impl IntoIterator<Item = TrustedKey>) -> Result<Self, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut by_kid = HashMap::new();
        let mut seen = HashSet::new();
        for key in keys {
            let kid = key.kid().clone();
            if !seen.insert(key.key().to_sec1_bytes()) {
                return Err(Error::Config(format!(
                    "the public key of `{kid}` is registered twice"
                )));
            }
            if by_kid.insert(kid.clone(), key).is_some() {
                return Err(Error::Config(format!("two keys are named `{kid}`")));
            }
        }
        Ok(Self {
            by_kid,
            generation: NEXT.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// The key of that name.
    #[must_use]
    pub fn get(&self, kid: &str) -> Option<&TrustedKey> {
        self.by_kid.get(kid)
    }

    /// All keys, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &TrustedKey> {
        self.by_kid.values()
    }

    /// How many keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_kid.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_kid.is_empty()
    }

    /// Tells this set from every other of the process.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
