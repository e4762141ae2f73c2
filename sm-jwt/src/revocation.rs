//! Revocation: single tokens, sessions, and all that a subject was given before a moment.

use std::fmt;

use crate::claims::Claims;
use crate::error::StoreError;
use crate::future::BoxFuture;
use crate::replay::name;

/// What names a token, a session or a subject in a store: SM3 over its kind, its issuer and its own name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RevocationKey([u8; 32]);

impl RevocationKey {
    /// The token of this `jti`.
    #[must_use]
    pub fn token(issuer: &str, token_id: &str) -> Self {
        Self(name("revoked/token", issuer, token_id))
    }

    /// The session of this `sid`.
    #[must_use]
    pub fn session(issuer: &str, session: &str) -> Self {
        Self(name("revoked/session", issuer, session))
    }

    /// The subject of this `sub`.
    #[must_use]
    pub fn subject(issuer: &str, subject: &str) -> Self {
        Self(name("revoked/subject", issuer, subject))
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Something to revoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    key: RevocationKey,
    since: Option<u64>,
    keep_until: u64,
}

impl Revocation {
    /// One token. `keep_until` is when it has expired for every verifier, leeway included, in seconds since 1970.
    #[must_use]
    pub fn token(issuer: &str, token_id: &str, keep_until: u64) -> Self {
        Self {
            key: RevocationKey::token(issuer, token_id),
            since: None,
            keep_until,
        }
    }

    /// A session: all tokens with this `sid`. `keep_until` is when the last of them has expired.
    #[must_use]
    pub fn session(issuer: &str, session: &str, keep_until: u64) -> Self {
        Self {
            key: RevocationKey::session(issuer, session),
            since: None,
            keep_until,
        }
    }

    /// All that a subject was issued up to the second `since`, this second included: after a changed password or a lost
    /// device. `keep_until` is when the last of them has expired.
    #[must_use]
    pub fn subject_since(issuer: &str, subject: &str, since: u64, keep_until: u64) -> Self {
        Self {
            key: RevocationKey::subject(issuer, subject),
            since: Some(since),
            keep_until,
        }
    }

    /// What is revoked.
    #[must_use]
    pub fn key(&self) -> &RevocationKey {
        &self.key
    }

    /// Only what was issued up to this second, in seconds since 1970; else all.
    #[must_use]
    pub fn since(&self) -> Option<u64> {
        self.since
    }

    /// The first second at which the entry may be forgotten.
    #[must_use]
    pub fn keep_until(&self) -> u64 {
        self.keep_until
    }
}

/// What a store is asked about a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevocationQuery {
    token: RevocationKey,
    session: Option<RevocationKey>,
    subject: RevocationKey,
    issued_at: u64,
}

impl RevocationQuery {
    pub(crate) fn of(claims: &Claims) -> Self {
        let issuer = claims.issuer();
        Self {
            token: RevocationKey::token(issuer, claims.token_id()),
            session: claims
                .session()
                .map(|session| RevocationKey::session(issuer, session)),
            subject: RevocationKey::subject(issuer, claims.subject()),
            issued_at: claims.issued_at(),
        }
    }

    /// The token, and its session if it has one: revoked if either is.
    pub fn names(&self) -> impl Iterator<Item = &RevocationKey> {
        std::iter::once(&self.token).chain(&self.session)
    }

    /// The subject: revoked if its tokens are up to a second at or after [`issued_at`](Self::issued_at).
    #[must_use]
    pub fn subject(&self) -> &RevocationKey {
        &self.subject
    }

    /// The token's `iat`, in seconds since 1970.
    #[must_use]
    pub fn issued_at(&self) -> u64 {
        self.issued_at
    }
}

/// What has been revoked.
///
/// # Contract
/// - After [`revoke`](Self::revoke) has answered `Ok`, [`is_revoked`](Self::is_revoked) says so to every process that shares
///   the store, until the entry's `keep_until` at least. A later [`Revocation::subject_since`] never takes an earlier one
///   back: the latest second counts, and the latest `keep_until`.
/// - A store without room answers [`StoreError::Full`]; it never drops a live entry.
/// - When in doubt it answers an error.
pub trait RevocationStore: fmt::Debug + Send + Sync {
    /// Whether the token, its session or its subject's older tokens were revoked.
    ///
    /// # Errors
    /// Any of [`StoreError`]; each refuses the token.
    fn is_revoked<'a>(
        &'a self,
        query: &'a RevocationQuery,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Revokes.
    ///
    /// # Errors
    /// Any of [`StoreError`]: whether the entry is there is not known then.
    fn revoke(&self, revocation: Revocation) -> BoxFuture<'_, Result<(), StoreError>>;
}
