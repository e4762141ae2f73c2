//! What a token is for, told by its header's `typ`.

use std::fmt;

/// The kinds of token, each with a `typ` of its own (RFC 8725 section 3.11), so that one kind is
/// never taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenType {
    /// `at+jwt`: an access token (RFC 9068), normally multi-use.
    Access,
    /// `refresh+jwt`: exchanged for a new access token, single-use.
    Refresh,
    /// `txn+jwt`: authorises one transaction, single-use.
    Transaction,
}

impl TokenType {
    /// How many types there are.
    pub(crate) const COUNT: usize = 3;

    /// The value of `typ`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Refresh => "refresh+jwt",
            Self::Transaction => "txn+jwt",
        }
    }

    /// The place of this type's entry in a table of all types.
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Access => 0,
            Self::Refresh => 1,
            Self::Transaction => 2,
        }
    }

    /// Whether a header's `typ` names this type: a media type, so without regard to case and with
    /// or without `application/` (RFC 7515 section 4.1.9).
    pub(crate) fn matches(self, typ: &str) -> bool {
        let prefix = "application/";
        let short = match typ.get(..prefix.len()) {
            Some(start) if start.eq_ignore_ascii_case(prefix) => {
                typ.get(prefix.len()..).unwrap_or_default()
            }
            _ => typ,
        };
        short.eq_ignore_ascii_case(self.as_str())
    }
}

impl fmt::Display for TokenType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
