//! Bytes that must not leak: redacted in `Debug`, wiped on drop, never cloned by accident.

use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Secret bytes of any length: an opened field, a key on its way to or from a KEK provider, a passphrase.
///
/// Wiped on drop. No `Clone`, no `Serialize`; `Debug` shows neither content nor length. Comparing two of
/// them takes the same time whatever they hold (their lengths are compared first and are not hidden).
///
/// ```
/// use sm_fieldcrypt::SecretBytes;
/// let secret = SecretBytes::new(b"110101199003074610".to_vec());
/// assert_eq!(format!("{secret:?}"), "SecretBytes(..)");
/// assert_eq!(secret.expose_str(), Some("110101199003074610"));
/// ```
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes over `bytes`. The vector must not have been grown after the secret was written into it, or an
    /// old allocation may still hold a copy.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes. Copies made from here on are the caller's to wipe.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text, if they are UTF-8.
    #[must_use]
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares in constant time for equal lengths.
    #[must_use]
    pub fn ct_eq(&self, other: &[u8]) -> bool {
        self.0.as_slice().ct_eq(other).into()
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl PartialEq for SecretBytes {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(&other.0)
    }
}

impl Eq for SecretBytes {}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::SecretBytes;

    #[test]
    fn compares_and_hides() {
        let a = SecretBytes::new(vec![1, 2, 3]);
        assert_eq!(a, SecretBytes::from(vec![1, 2, 3]));
        assert_ne!(a, SecretBytes::new(vec![1, 2, 4]));
        assert_ne!(a, SecretBytes::new(vec![1, 2]));
        assert_eq!((a.len(), a.is_empty()), (3, false));
        assert!(!format!("{a:?}").contains('3'));
        assert_eq!(SecretBytes::new(vec![0xFF]).expose_str(), None);
    }
}
