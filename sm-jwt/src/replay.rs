//! Single use: the store in which a token's `jti` is consumed.

use std::fmt;
use std::time::Duration;

use crate::crypto::sm3;
use crate::error::StoreError;
use crate::future::BoxFuture;

/// How much longer than needed, in seconds, an entry is kept in a store, for clocks that differ between instances.
pub(crate) const STORE_SKEW: u64 = 300;

/// Whether a token may be accepted more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayPolicy {
    /// As often as it is shown until it expires: access tokens.
    MultiUse,
    /// Once: transaction tokens, refresh tokens. [`Verifier::verify`](crate::Verifier::verify)
    /// refuses them; [`Verifier::accept`](crate::Verifier::accept) consumes the `jti`.
    SingleUse,
}

/// What names a token in a store: SM3 of the length-prefixed kind, issuer and `jti`.
///
/// The lengths keep `("a", "bc")` and `("ab", "c")` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplayKey([u8; 32]);

impl ReplayKey {
    /// Of a kind, such as a token's `typ`, an issuer and a `jti`.
    #[must_use]
    pub fn new(kind: &str, issuer: &str, token_id: &str) -> Self {
        Self(name(kind, issuer, token_id))
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// SM3 of three texts, each behind its length of 8 bytes.
pub(crate) fn name(kind: &str, issuer: &str, id: &str) -> [u8; 32] {
    let prefix = |text: &str| (text.len() as u64).to_be_bytes();
    sm3(&[
        &prefix(kind),
        kind.as_bytes(),
        &prefix(issuer),
        issuer.as_bytes(),
        &prefix(id),
        id.as_bytes(),
    ])
}

/// One token to consume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayEntry {
    key: ReplayKey,
    issued_at: u64,
    keep_until: u64,
}

impl ReplayEntry {
    /// An entry. The verifier makes them; a store's own tests may too.
    #[must_use]
    pub fn new(key: ReplayKey, issued_at: u64, keep_until: u64) -> Self {
        Self {
            key,
            issued_at,
            keep_until,
        }
    }

    /// The token's name in the store.
    #[must_use]
    pub fn key(&self) -> &ReplayKey {
        &self.key
    }

    /// The token's `iat`, in seconds since 1970.
    #[must_use]
    pub fn issued_at(&self) -> u64 {
        self.issued_at
    }

    /// The first second at which the entry may be forgotten: `exp` plus leeway plus skew.
    #[must_use]
    pub fn keep_until(&self) -> u64 {
        self.keep_until
    }
}

/// What a store answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum ReplayOutcome {
    /// The key was not there before, and is now.
    Fresh,
    /// The key was there already.
    Replayed,
}

/// What [`ReplayStore::consume`] answers with.
pub type ReplayFuture<'a> = BoxFuture<'a, Result<ReplayOutcome, StoreError>>;

/// Where single-use tokens are consumed.
///
/// # Contract
/// - `consume` is one set-if-absent step: of any number of calls with the same key, from any number
///   of processes that share the store, exactly one is answered [`ReplayOutcome::Fresh`].
/// - The key is kept until `keep_until` at least. A store without room answers
///   [`StoreError::Full`]; it never drops a live key.
/// - When in doubt it answers an error. Every error refuses the token.
/// - A dropped future may have consumed the token or not; it never leads to two `Fresh`.
pub trait ReplayStore: fmt::Debug + Send + Sync {
    /// Sets the entry's key if it is absent.
    ///
    /// # Errors
    /// Any of [`StoreError`]; each refuses the token.
    fn consume(&self, entry: ReplayEntry) -> ReplayFuture<'_>;

    /// How far ahead an issuer's clock may be, for a store that refuses tokens of before its start or a loss; `None` for one
    /// that never does. A verifier whose leeway is longer would take a token that such a store takes twice: it is not built.
    fn skew(&self) -> Option<Duration> {
        None
    }
}
