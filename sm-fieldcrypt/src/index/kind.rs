//! What an index finds, and what it makes of values.

/// What an index finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IndexKind {
    /// Rows by a whole value.
    Equality,
    /// Rows by a whole value that occurs once.
    Unique,
    /// Rows by so many first characters.
    Prefix(u16),
}

impl IndexKind {
    pub(crate) const fn id(self) -> u8 {
        match self {
            Self::Equality => 1,
            Self::Unique => 2,
            Self::Prefix(_) => 3,
        }
    }

    pub(crate) const fn prefix_len(self) -> u16 {
        match self {
            Self::Equality | Self::Unique => 0,
            Self::Prefix(n) => n,
        }
    }

    pub(crate) const fn from_id(id: u8, prefix: u16) -> Option<Self> {
        match (id, prefix) {
            (1, 0) => Some(Self::Equality),
            (2, 0) => Some(Self::Unique),
            (3, 1..) => Some(Self::Prefix(prefix)),
            _ => None,
        }
    }

    /// Its name, e.g. `equality`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equality => "equality",
            Self::Unique => "unique",
            Self::Prefix(_) => "prefix",
        }
    }
}

/// What is made of a value before it is hashed, so that what means the same is found as the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Normalization {
    /// Nothing: equal are equal bytes.
    Exact,
    /// White space around it goes, and letters become upper case: a check digit `x` is `X`.
    IdentityNumber,
    /// Spaces and hyphens go: `6228 4804-0256` is `622848040256`.
    Digits,
    /// White space around it goes, and letters become lower case (Unicode), for e-mail addresses.
    Lowercase,
}

impl Normalization {
    pub(crate) const fn id(self) -> u8 {
        match self {
            Self::Exact => 1,
            Self::IdentityNumber => 2,
            Self::Digits => 3,
            Self::Lowercase => 4,
        }
    }

    pub(crate) const fn from_id(id: u8) -> Option<Self> {
        Some(match id {
            1 => Self::Exact,
            2 => Self::IdentityNumber,
            3 => Self::Digits,
            4 => Self::Lowercase,
            _ => return None,
        })
    }

    pub(crate) fn apply(self, value: &str) -> String {
        match self {
            Self::Exact => value.to_owned(),
            Self::IdentityNumber => value.trim().to_ascii_uppercase(),
            Self::Digits => value.chars().filter(|c| !matches!(c, ' ' | '-')).collect(),
            Self::Lowercase => value.trim().to_lowercase(),
        }
    }
}
