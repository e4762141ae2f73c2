//! Tokens of values: to store beside what is sealed, and to search for.

use crate::crypto::{HmacJob, HmacKey, hmac_many};
use crate::error::Error;
use crate::index::kind::IndexKind;
use crate::index::record::IndexInfo;
use crate::observe::{KeyUse, KeyUser, Operation};
use crate::record::KeyState;
use crate::resources::Resources;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use zeroize::Zeroizing;

/// Bytes of the version in a token.
const VERSION: usize = 2;
/// Seconds until every node knows a new version: a minute without a look at the registry, and clocks that differ by five.
const SETTLED_AFTER: u64 = 360;

/// One version's unwrapped key.
pub(crate) struct IndexKey {
    key: HmacKey,
    /// `idx://index-name/version`.
    uri: String,
    closed: AtomicBool,
}

impl IndexKey {
    pub(crate) fn new(key: &[u8; 32], uri: String) -> Self {
        Self {
            key: HmacKey::new(key),
            uri,
            closed: AtomicBool::new(false),
        }
    }

    /// From now on no prepared index uses this key any more.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}

/// A version that may be used, and what the registry says of it.
pub(crate) struct IndexEntry {
    pub(crate) info: IndexInfo,
    pub(crate) key: Arc<IndexKey>,
}

/// An index, ready to make and search tokens for one tenant on behalf of one user. Made by
/// [`KeyRing::prepare_index`](crate::KeyRing::prepare_index); it works for at most 60 seconds.
///
/// Store [`token`](Self::token) in a column of its own, with an ordinary database index. Search with
/// `WHERE token IN (...)` over [`search`](Self::search), then open and compare what was found.
pub struct PreparedIndex {
    pub(crate) name: String,
    pub(crate) tenant: Arc<str>,
    pub(crate) user: KeyUser,
    /// Live versions, the newest first.
    pub(crate) entries: Vec<IndexEntry>,
    pub(crate) resources: Arc<Resources>,
    pub(crate) loaded_at: u64,
}

impl PreparedIndex {
    /// The token of a value, under the newest version that every node knows: one that was made in the last six minutes is
    /// searched for, but not used yet, unless it is the only one. `None` for a value that is shorter than a prefix index's prefix: it
    /// is not found by it.
    ///
    /// # Errors
    /// [`Error::NoIndexKey`] without an active version; [`Error::Refused`], [`Error::PreparedExpired`],
    /// [`Error::IndexState`].
    pub fn token(&self, value: &str) -> Result<Option<Vec<u8>>, Error> {
        let mut tokens = self.token_many(&[value])?;
        Ok(tokens.pop().flatten())
    }

    /// The tokens of many values, in SIMD lanes. Guard and observer are asked once, for [`Operation::Index`].
    ///
    /// # Errors
    /// As [`token`](Self::token).
    pub fn token_many(&self, values: &[&str]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        self.check_fresh()?;
        let newest = self.newest()?;
        if values.is_empty() {
            return Ok(Vec::new());
        }
        let key_use = self.key_use(newest, Operation::Index, values.len());
        self.resources.watch.authorize(&key_use)?;
        let tokens = tokens(newest, values);
        self.resources.watch.report_end(&key_use, tokens.is_ok())?;
        tokens
    }

    /// The tokens to search for, one a live version, the oldest first: while an index is made anew, rows have one or the other.
    /// Ask for all in one statement, or a row that gets its new token meanwhile is missed.
    /// Empty for a value that is shorter than a prefix index's prefix.
    ///
    /// # Errors
    /// [`Error::NoIndexKey`] without a live version, and as [`token`](Self::token). Of a prefix index
    /// [`Error::Context`] for a value longer than the prefix.
    pub fn search(&self, value: &str) -> Result<Vec<Vec<u8>>, Error> {
        self.check_fresh()?;
        let mut found = Vec::with_capacity(self.entries.len());
        for entry in self.entries.iter().rev() {
            if let IndexKind::Prefix(n) = entry.info.kind {
                let value = Zeroizing::new(entry.info.normalization.apply(value));
                if value.chars().count() > usize::from(n) {
                    return Err(Error::Context {
                        what: "the value is longer than the index's prefix",
                    });
                }
            }
            let key_use = self.key_use(entry, Operation::Search, 1);
            self.resources.watch.authorize(&key_use)?;
            let tokens = tokens(entry, &[value]);
            self.resources.watch.report_end(&key_use, tokens.is_ok())?;
            found.extend(tokens?.into_iter().flatten());
        }
        match self.entries.is_empty() {
            true => Err(self.no_key()),
            false => Ok(found),
        }
    }

    /// Whether a stored token is one of the version that [`token`](Self::token) uses: what is not is to be made anew before the
    /// version before can go.
    ///
    /// # Errors
    /// [`Error::NoIndexKey`] without an active version.
    pub fn is_current(&self, token: &[u8]) -> Result<bool, Error> {
        let newest = &self.newest()?.info;
        let length = usize::from(newest.tag_len).saturating_add(VERSION);
        Ok(token.len() == length && token.starts_with(&newest.version.to_be_bytes()))
    }

    /// The versions that are searched for, the newest first.
    pub fn versions(&self) -> impl Iterator<Item = &IndexInfo> {
        self.entries.iter().map(|entry| &entry.info)
    }

    /// The version to make tokens under: the newest, once every node searches for it; before, the one it replaces.
    fn newest(&self) -> Result<&IndexEntry, Error> {
        let now = self.resources.clock.unix_seconds();
        let is_active = |entry: &&IndexEntry| entry.info.state == KeyState::Active;
        let from_newest = self.entries.iter().skip_while(|entry| !is_active(entry));
        let is_settled =
            |entry: &&IndexEntry| now.saturating_sub(entry.info.created) >= SETTLED_AFTER;
        from_newest
            .clone()
            .find(is_settled)
            // None is that old: the oldest is the one that most nodes know.
            .or_else(|| from_newest.last())
            .ok_or_else(|| self.no_key())
    }

    fn no_key(&self) -> Error {
        Error::NoIndexKey {
            index: self.name.clone(),
            tenant: self.tenant.to_string(),
        }
    }

    fn check_fresh(&self) -> Result<(), Error> {
        if !self.resources.is_fresh(self.loaded_at, self.resources.ttl) {
            return Err(Error::PreparedExpired);
        }
        let mut entries = self.entries.iter();
        match entries.find(|entry| entry.key.closed.load(Ordering::Acquire)) {
            Some(entry) => Err(Error::IndexState {
                index: self.name.clone(),
                version: entry.info.version,
                what: "its state was changed after the index was prepared",
            }),
            None => Ok(()),
        }
    }

    fn key_use<'a>(
        &'a self,
        entry: &'a IndexEntry,
        operation: Operation,
        count: usize,
    ) -> KeyUse<'a> {
        KeyUse {
            count: u64::try_from(count).unwrap_or(u64::MAX),
            ..self
                .user
                .key_use(&entry.key.uri, &self.name, Some(&self.tenant), operation)
        }
    }
}

/// The tokens of values under one version.
fn tokens(entry: &IndexEntry, values: &[&str]) -> Result<Vec<Option<Vec<u8>>>, Error> {
    let info = &entry.info;
    let normalised: Vec<Option<Zeroizing<String>>> =
        values.iter().map(|value| comparable(info, value)).collect();
    let kind = info.kind.as_str();
    let kind_len = length(kind)?;
    let prefix = info.kind.prefix_len().to_be_bytes();
    let lengths: Vec<[u8; 4]> = normalised
        .iter()
        .flatten()
        .map(|value| length(value))
        .collect::<Result<_, _>>()?;
    let parts: Vec<[&[u8]; 5]> = normalised
        .iter()
        .flatten()
        .zip(&lengths)
        .map(|(value, length)| {
            [
                &kind_len[..],
                kind.as_bytes(),
                &prefix,
                length,
                value.as_bytes(),
            ]
        })
        .collect();
    let jobs: Vec<HmacJob<'_>> = parts
        .iter()
        .map(|parts| HmacJob {
            key: &entry.key.key,
            parts,
        })
        .collect();
    let mut tags = hmac_many(&jobs).into_iter();
    let token = |tag: [u8; 32]| {
        let tag = tag.get(..usize::from(info.tag_len)).unwrap_or(&tag);
        [&info.version.to_be_bytes()[..], tag].concat()
    };
    Ok(normalised
        .iter()
        .map(|value| value.as_ref().and_then(|_| tags.next()).map(token))
        .collect())
}

/// What is hashed of a value; `None` if it is shorter than the prefix.
fn comparable(info: &IndexInfo, value: &str) -> Option<Zeroizing<String>> {
    let value = Zeroizing::new(info.normalization.apply(value));
    match info.kind {
        IndexKind::Equality | IndexKind::Unique => Some(value),
        IndexKind::Prefix(n) => {
            let prefix: String = value.chars().take(usize::from(n)).collect();
            let prefix = Zeroizing::new(prefix);
            (prefix.chars().count() == usize::from(n)).then_some(prefix)
        }
    }
}

fn length(value: &str) -> Result<[u8; 4], Error> {
    let too_long = |_| Error::TooLong {
        length: u64::try_from(value.len()).unwrap_or(u64::MAX),
        limit: u64::from(u32::MAX),
    };
    Ok(u32::try_from(value.len()).map_err(too_long)?.to_be_bytes())
}

impl fmt::Debug for PreparedIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedIndex")
            .field("name", &self.name)
            .field("tenant", &self.tenant)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}
