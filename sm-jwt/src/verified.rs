//! A token that was verified.

use std::fmt;
use std::sync::Arc;

use crate::claims::{Claims, NoExtra};
use crate::header::Header;
use crate::token_type::TokenType;

/// A token whose signature and claims were checked. [`Verifier`](crate::Verifier) alone makes it.
///
/// `C` holds the custom claims, read by serde from the whole payload: it must not deny unknown fields, as the registered claims
/// stand beside its own. Cloning is cheap: the contents
/// are shared.
pub struct VerifiedToken<C = NoExtra>(Arc<Inner<C>>);

struct Inner<C> {
    header: Header,
    claims: Claims,
    extra: C,
    token_type: TokenType,
}

impl<C> VerifiedToken<C> {
    /// For the verifier, at the end of its checks.
    pub(crate) fn new(header: Header, claims: Claims, extra: C, token_type: TokenType) -> Self {
        Self(Arc::new(Inner {
            header,
            claims,
            extra,
            token_type,
        }))
    }

    /// The registered claims.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.0.claims
    }

    /// The custom claims.
    #[must_use]
    pub fn extra(&self) -> &C {
        &self.0.extra
    }

    /// The protected header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.0.header
    }

    /// The identifier of the key that signed.
    #[must_use]
    pub fn kid(&self) -> &str {
        self.0.header.kid()
    }

    /// What the token is for.
    #[must_use]
    pub fn token_type(&self) -> TokenType {
        self.0.token_type
    }
}

impl<C> Clone for VerifiedToken<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Shows which token it is, not what it says.
impl<C> fmt::Debug for VerifiedToken<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken")
            .field("typ", &self.0.token_type.as_str())
            .field("kid", &self.kid())
            .field("jti", &self.claims().token_id())
            .finish_non_exhaustive()
    }
}
