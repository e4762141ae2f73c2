//! What a token, its keys and its mechanisms are named by.

use crate::error::Error;
use crate::secret::SecretBytes;
use std::path::PathBuf;

const CKK_GENERIC_SECRET: u32 = 0x10;
const CKK_AES: u32 = 0x1F;
const CKM_SHA256_HMAC: u32 = 0x251;
const CKM_GENERIC_SECRET_KEY_GEN: u32 = 0x350;
const CKM_AES_KEY_GEN: u32 = 0x1080;
const CKM_AES_CBC_PAD: u32 = 0x1085;
const CKM_AES_KEY_WRAP_PAD: u32 = 0x210A;

/// Which token of a module: exactly one must answer to the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pkcs11Token {
    /// By its label, as given when it was initialised. A replica that carries the same keys may carry the same one.
    Label(String),
    /// By its serial number.
    Serial(String),
}

impl Pkcs11Token {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Label(name) | Self::Serial(name) => name,
        }
    }
}

/// How the token wraps a field key, with the mechanism's number (`CKM_…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pkcs11Wrapping {
    /// `C_WrapKey` and `C_UnwrapKey` by a mechanism without parameter. The field key is a session object of the token
    /// for the moment, extractable; read out of it, one copy of it stays in freed memory of this process, since the
    /// binding to PKCS#11 does not wipe a buffer of its own.
    KeyWrap(u32),
    /// `C_Encrypt` and `C_Decrypt` by a mechanism with a 16-byte IV as parameter, drawn at random. No object is made,
    /// and no unwiped copy stays. A mechanism without padding takes whole blocks, and a field key has two.
    Cipher(u32),
}

/// Key types (`CKK_…`) and mechanisms (`CKM_…`) by their numbers: those of SM4 and SM3 differ from vendor to vendor.
///
/// ```
/// use sm_fieldcrypt::{Pkcs11Mechanisms, Pkcs11Wrapping};
/// // From the manual of a device; every number here is an example.
/// let mechanisms = Pkcs11Mechanisms {
///     gm: true,
///     key_type: 0x8000_0001,
///     key_generation: 0x8000_0101,
///     key_bytes: None,
///     wrapping: Pkcs11Wrapping::Cipher(0x8000_0105),
///     mac_key_type: 0x10,
///     mac_key_generation: 0x350,
///     mac: 0x8000_0206,
/// };
/// assert!(!Pkcs11Mechanisms::aes_key_wrap_pad().gm);
/// # let _ = mechanisms;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pkcs11Mechanisms {
    /// Whether these are SM4 and HMAC-SM3. Told by whoever knows the numbers; it changes nothing but what
    /// [`Pkcs11Kek::is_gm`](crate::Pkcs11Kek::is_gm) says.
    pub gm: bool,
    /// Type of the wrapping key.
    pub key_type: u32,
    /// What generates the wrapping key.
    pub key_generation: u32,
    /// Length of the wrapping key in bytes; `None` where its type has one length only and is not told it, as SM4.
    pub key_bytes: Option<u32>,
    /// What wraps.
    pub wrapping: Pkcs11Wrapping,
    /// Type of the integrity key.
    pub mac_key_type: u32,
    /// What generates the integrity key, of 32 bytes.
    pub mac_key_generation: u32,
    /// An HMAC of 32 bytes.
    pub mac: u32,
}

impl Pkcs11Mechanisms {
    /// For tokens without SM4: `CKM_AES_KEY_WRAP_PAD` with 256 bits, and HMAC-SHA256. **Not GM.**
    #[must_use]
    pub fn aes_key_wrap_pad() -> Self {
        Self {
            gm: false,
            key_type: CKK_AES,
            key_generation: CKM_AES_KEY_GEN,
            key_bytes: Some(32),
            wrapping: Pkcs11Wrapping::KeyWrap(CKM_AES_KEY_WRAP_PAD),
            mac_key_type: CKK_GENERIC_SECRET,
            mac_key_generation: CKM_GENERIC_SECRET_KEY_GEN,
            mac: CKM_SHA256_HMAC,
        }
    }

    /// For tokens without SM4 that let no key be read out or brought in, and to leave no unwiped copy in memory:
    /// `CKM_AES_CBC_PAD` with 256 bits, and HMAC-SHA256. **Not GM.**
    #[must_use]
    pub fn aes_cbc_pad() -> Self {
        Self {
            wrapping: Pkcs11Wrapping::Cipher(CKM_AES_CBC_PAD),
            ..Self::aes_key_wrap_pad()
        }
    }
}

/// Which of the keys on the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyName {
    pub(super) label: String,
    pub(super) id: Option<Vec<u8>>,
}

/// Module, token, PIN, keys and mechanisms of a [`Pkcs11Kek`](crate::Pkcs11Kek).
#[derive(Debug)]
#[must_use]
pub struct Pkcs11Config {
    pub(super) module: PathBuf,
    pub(super) token: Pkcs11Token,
    pub(super) pin: SecretBytes,
    pub(super) wrapping: KeyName,
    pub(super) integrity: KeyName,
    pub(super) mechanisms: Pkcs11Mechanisms,
}

impl Pkcs11Config {
    /// The vendor's module (a shared library), a token, the PIN of its user, and the label of the wrapping key. The
    /// integrity key's label is the same with `.integrity` behind it, unless set.
    pub fn new(
        module: impl Into<PathBuf>,
        token: Pkcs11Token,
        pin: SecretBytes,
        key_label: &str,
        mechanisms: Pkcs11Mechanisms,
    ) -> Self {
        let name = |label: String| KeyName { label, id: None };
        Self {
            module: module.into(),
            token,
            pin,
            wrapping: name(key_label.into()),
            integrity: name(format!("{key_label}.integrity")),
            mechanisms,
        }
    }

    /// Label of the integrity key.
    pub fn integrity_label(mut self, label: &str) -> Self {
        self.integrity.label = label.into();
        self
    }

    /// `CKA_ID` that the wrapping key must carry besides its label.
    pub fn key_id(mut self, id: &[u8]) -> Self {
        self.wrapping.id = Some(id.to_vec());
        self
    }

    /// `CKA_ID` that the integrity key must carry besides its label.
    pub fn integrity_key_id(mut self, id: &[u8]) -> Self {
        self.integrity.id = Some(id.to_vec());
        self
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        let fault = if self.token.name().is_empty() {
            "a pkcs11 token needs a label or serial number"
        } else if self.pin.is_empty() {
            "a pkcs11 token needs a pin"
        } else if self.wrapping.label.is_empty() || self.integrity.label.is_empty() {
            "a pkcs11 key needs a label"
        } else if self.wrapping == self.integrity {
            "the pkcs11 integrity key must be another one than the wrapping key"
        } else if self.public_name().len() > MAX_PUBLIC_NAME {
            "the labels of a pkcs11 token and key are too long for a kek id"
        } else {
            return Ok(());
        };
        Err(Error::Config { what: fault.into() })
    }

    /// `kek://pkcs11/<token>/<key label>`.
    pub(super) fn public_name(&self) -> String {
        let token = percent_encoded(self.token.name());
        let label = percent_encoded(&self.wrapping.label);
        format!("kek://pkcs11/{token}/{label}")
    }
}

/// A kek id has at most 255 bytes, of which a slash and 16 digits come behind this name.
const MAX_PUBLIC_NAME: usize = 255 - 17;

fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Pkcs11Config, Pkcs11Mechanisms, Pkcs11Token};
    use crate::secret::SecretBytes;

    fn config(token: &str, pin: &str, label: &str) -> Pkcs11Config {
        Pkcs11Config::new(
            "module.so",
            Pkcs11Token::Label(token.into()),
            SecretBytes::new(pin.into()),
            label,
            Pkcs11Mechanisms::aes_key_wrap_pad(),
        )
    }

    #[test]
    fn names_are_one_to_one() {
        assert_eq!(
            config("bank a", "1", "fields/2026").public_name(),
            "kek://pkcs11/bank%20a/fields%2F2026"
        );
        assert_ne!(
            config("a/b", "1", "c").public_name(),
            config("a", "1", "b/c").public_name()
        );
    }

    #[test]
    fn impossible_configurations_are_refused() {
        assert!(config("t", "1", "k").validate().is_ok());
        for bad in [
            config("", "1", "k"),
            config("t", "", "k"),
            config("t", "1", ""),
            config("t", "1", &"k".repeat(250)),
            config("t", "1", "k").integrity_label(""),
            config("t", "1", "k").integrity_label("k"),
            config("t", "1", "k")
                .integrity_label("k")
                .key_id(b"1")
                .integrity_key_id(b"1"),
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
        // One label for both is fine when their ids tell them apart.
        let apart = config("t", "1", "k").integrity_label("k");
        assert!(apart.key_id(b"1").integrity_key_id(b"2").validate().is_ok());
    }

    #[test]
    fn the_pin_is_not_shown() {
        assert!(!format!("{:?}", config("t", "987654", "k")).contains("987654"));
    }
}
