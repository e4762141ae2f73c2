//! Registered issuers, and where the keys of each come from.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::error::Error;
use crate::key_id::KeyId;
use crate::key_set::KeySet;
use crate::keys::VerifyingKey;
use crate::profile::Profile;
use crate::resolver::{KeyResolver, SharedKeySet};
use crate::trusted_key::TrustedKey;

/// Issuer name to keys.
#[derive(Default)]
pub(crate) struct Issuers {
    by_name: HashMap<String, Arc<dyn KeyResolver>>,
    /// One key, one registration: a key under two names would be one key with two uses.
    keys: HashSet<[u8; 65]>,
}

/// A key as it was chosen for a token, from one set.
pub(crate) struct Chosen {
    pub(crate) key: TrustedKey,
    /// Of the set that the key is from.
    pub(crate) generation: u64,
}

impl Issuers {
    /// An issuer whose keys stay.
    pub(crate) fn add(
        &mut self,
        name: String,
        keys: impl IntoIterator<Item = (KeyId, VerifyingKey, Profile)>,
    ) -> Result<(), Error> {
        let keys = KeySet::new(keys)?;
        if keys.is_empty() {
            return Err(Error::Config(format!("the issuer `{name}` has no key")));
        }
        for key in keys.iter() {
            if !self.keys.insert(key.key().to_sec1_bytes()) {
                return Err(Error::Config(format!(
                    "the public key of `{}` is registered twice",
                    key.kid()
                )));
            }
        }
        self.add_resolver(name, Arc::new(SharedKeySet::new(keys)))
    }

    /// An issuer whose keys come and go.
    pub(crate) fn add_resolver(
        &mut self,
        name: String,
        keys: Arc<dyn KeyResolver>,
    ) -> Result<(), Error> {
        if name.is_empty() {
            return Err(Error::Config("an issuer's name is empty".to_owned()));
        }
        if self.by_name.contains_key(&name) {
            return Err(Error::Config(format!("the issuer `{name}` is given twice")));
        }
        self.by_name.insert(name, keys);
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Where an unverified issuer's keys come from.
    pub(crate) fn resolver(&self, issuer: &str) -> Result<&dyn KeyResolver, Error> {
        self.by_name
            .get(issuer)
            .map(|keys| &**keys)
            .ok_or(Error::UnknownIssuer)
    }

    /// The key that an unverified issuer and key identifier name.
    pub(crate) fn find(&self, issuer: &str, kid: &str) -> Result<Chosen, Error> {
        let keys = self.resolver(issuer)?.current()?;
        let key = keys.get(kid).ok_or_else(|| Error::UnknownKey {
            kid: kid.to_owned(),
        })?;
        Ok(Chosen {
            key: key.clone(),
            generation: keys.generation(),
        })
    }
}
