//! Registered issuers and their keys, each with its profile.

use std::collections::{HashMap, HashSet};

use crate::error::Error;
use crate::key_id::KeyId;
use crate::keys::VerifyingKey;
use crate::profile::Profile;

/// A key as it was registered, ready for use: its Z is computed once.
#[derive(Clone)]
pub(crate) struct RegisteredKey {
    pub(crate) key: VerifyingKey,
    pub(crate) profile: Profile,
    pub(crate) z: [u8; 32],
}

impl RegisteredKey {
    pub(crate) fn new(key: VerifyingKey, profile: Profile) -> Result<Self, Error> {
        let z = key
            .point()
            .z(profile.user_id())
            .ok_or_else(|| Error::Config("the profile's user id is too long".to_owned()))?;
        Ok(Self { key, profile, z })
    }
}

/// Issuer name to key identifier to key.
#[derive(Default)]
pub(crate) struct Issuers {
    by_name: HashMap<String, HashMap<KeyId, RegisteredKey>>,
    /// One key, one registration: a key under two names would be one key with two uses.
    keys: HashSet<VerifyingKey>,
}

impl Issuers {
    pub(crate) fn add(
        &mut self,
        name: String,
        keys: impl IntoIterator<Item = (KeyId, VerifyingKey, Profile)>,
    ) -> Result<(), Error> {
        if name.is_empty() {
            return Err(Error::Config("an issuer's name is empty".to_owned()));
        }
        if self.by_name.contains_key(&name) {
            return Err(Error::Config(format!("the issuer `{name}` is given twice")));
        }
        let mut by_kid = HashMap::new();
        for (kid, key, profile) in keys {
            if !self.keys.insert(key.clone()) {
                return Err(Error::Config(format!(
                    "the public key of `{kid}` is registered twice"
                )));
            }
            let registered = RegisteredKey::new(key, profile)?;
            if by_kid.insert(kid.clone(), registered).is_some() {
                return Err(Error::Config(format!(
                    "the issuer `{name}` has two keys named `{kid}`"
                )));
            }
        }
        if by_kid.is_empty() {
            return Err(Error::Config(format!("the issuer `{name}` has no key")));
        }
        self.by_name.insert(name, by_kid);
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The key that an unverified issuer and key identifier name.
    pub(crate) fn find(&self, issuer: &str, kid: &str) -> Result<&RegisteredKey, Error> {
        self.by_name
            .get(issuer)
            .ok_or(Error::UnknownIssuer)?
            .get(kid)
            .ok_or_else(|| Error::UnknownKey {
                kid: kid.to_owned(),
            })
    }
}
