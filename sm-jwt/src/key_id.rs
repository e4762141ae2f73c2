//! Key identifiers: opaque map keys, never paths, queries or anything else.

use std::fmt;
use std::sync::Arc;

use crate::error::Error;

/// The longest key identifier in bytes.
const MAX_LEN: usize = 256;

/// A key identifier (`kid`, RFC 7515 section 4.1.4), 1 to 256 bytes.
///
/// It is compared byte by byte and used for nothing but looking a key up among registered ones.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Arc<str>);

impl KeyId {
    /// Takes an identifier.
    ///
    /// # Errors
    /// [`Error::Config`] when it is empty, longer than 256 bytes or holds a control character.
    pub fn new(id: impl Into<String>) -> Result<Self, Error> {
        let id = id.into();
        if !Self::is_acceptable(&id) {
            return Err(Error::Config(format!(
                "a key identifier needs 1 to {MAX_LEN} bytes without control characters, this one has {} bytes",
                id.len()
            )));
        }
        Ok(Self(id.into()))
    }

    pub(crate) fn is_acceptable(id: &str) -> bool {
        (1..=MAX_LEN).contains(&id.len()) && !id.chars().any(char::is_control)
    }

    /// The identifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for KeyId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
