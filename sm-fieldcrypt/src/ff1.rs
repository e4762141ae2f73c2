//! Format-preserving encryption: FF1 of NIST SP 800-38G, with SM4.

mod alphabet;
mod feistel;
mod numbers;

pub use alphabet::Ff1Alphabet;

use crate::context::FieldContext;
use crate::crypto::{ExpandJob, PrkKey, Sm4Key, hkdf_expand_many};
use crate::error::Error;
use crate::kek::provider::KekProvider;
use crate::random::RandomSource;
use crate::secret::SecretBytes;
use feistel::{Direction, Value, apply_many};
use std::fmt;
use zeroize::Zeroizing;

const LABEL: &[u8] = b"smfc1/ff1";

/// Encrypts values so that length and characters stay what they are: a card number becomes another sixteen digits, for a
/// column whose form cannot be changed. Where it can, [`seal`](crate::PreparedKey::seal) instead.
///
/// **This is weaker than sealing, by its nature.**
/// - It is deterministic: in one column, equal values have equal ciphertexts, so frequencies show, and whoever may have
///   values encrypted can try values out. With a row in the context they differ by row, and can no longer be searched.
/// - It is not authenticated: every text of the alphabet decrypts to some value. A change, another key and another column
///   are not noticed.
/// - Where values are few it is no protection: fewer than a million of a length are refused, a million is still few.
/// - FF1 is no mode of the Chinese standards (GB/T 17964): SM4 in it is no compliant use of SM4.
///
/// A ciphertext has no room for the name of its key. The key has a version; keep in the column's configuration, or in a
/// column beside it, which version a value was encrypted with. Key-use guards and observers are not asked: the key belongs
/// to no ring.
///
/// # What is constant-time
/// Value, key and all that is calculated from them go through no table, no branch and no division that depends on them:
/// characters are compared with the whole alphabet, numbers are reduced and taken apart bit by bit under masks. Time
/// depends on the value's length, the alphabet and the context. Two things are taken from below: SM4 itself, in constant
/// time with feature `accel` only, and the multiplication of 64-bit words, which is so on processors in common use. The
/// place of a character that is refused is told, and no secret then.
///
/// ```
/// use sm_fieldcrypt::{FieldContext, Ff1Alphabet, Ff1Key, SecretBytes};
/// let key = SecretBytes::new(vec![7; 32]); // Ff1Key::create makes one, wrapped by a KEK
/// let key = Ff1Key::new(1, key, Ff1Alphabet::radix(10)?)?;
/// let column = FieldContext::new("bank-a", "cards", "number");
/// let encrypted = key.encrypt("6226090102675688", &column)?;
/// assert_eq!(encrypted.len(), 16);
/// assert_eq!(key.decrypt(&encrypted, &column)?.expose_str(), Some("6226090102675688"));
/// # Ok::<(), sm_fieldcrypt::Error>(())
/// ```
///
/// Of an identity number, encrypt the first 17 digits and calculate the check character anew.
pub struct Ff1Key {
    cipher: Sm4Key,
    version: u32,
    alphabet: Ff1Alphabet,
}

impl Ff1Key {
    /// A key from 32 random bytes, which serve nothing else. What is used of them is bound to the version.
    ///
    /// # Errors
    /// [`Error::Config`] for other than 32 bytes.
    pub fn new(version: u32, key: SecretBytes, alphabet: Ff1Alphabet) -> Result<Self, Error> {
        let wrong = || Error::Config {
            what: "ff1: a key has 32 bytes".into(),
        };
        let prk: &[u8; 32] = key.expose().try_into().map_err(|_| wrong())?;
        let prk = PrkKey::from_uniform(prk).ok_or_else(wrong)?;
        let mut sm4 = Zeroizing::new([0_u8; 16]);
        let expanded = hkdf_expand_many(&mut [ExpandJob {
            key: &prk,
            info: &label(version),
            out: sm4.as_mut_slice(),
        }]);
        if expanded != [true] {
            return Err(wrong());
        }
        Ok(Self {
            cipher: Sm4Key::new(&sm4),
            version,
            alphabet,
        })
    }

    /// A new key, and the same one wrapped by a KEK, to be kept with its version.
    ///
    /// # Errors
    /// [`Error::Random`] and [`Error::Kek`] when generator or KEK fail.
    pub async fn create(
        kek: &dyn KekProvider,
        random: &dyn RandomSource,
        version: u32,
        alphabet: Ff1Alphabet,
    ) -> Result<(Self, Vec<u8>), Error> {
        let mut key = Zeroizing::new(vec![0_u8; 32]);
        random.fill(&mut key)?;
        let key = SecretBytes::new(std::mem::take(&mut *key));
        let wrapped = kek.wrap_key(&key, &label(version)).await?;
        Ok((Self::new(version, key, alphabet)?, wrapped))
    }

    /// The key that [`create`](Self::create) wrapped under this version.
    ///
    /// # Errors
    /// [`Error::KekUnwrap`] for a blob of another KEK or version, [`Error::Kek`] when the KEK fails.
    pub async fn from_wrapped(
        kek: &dyn KekProvider,
        wrapped: &[u8],
        version: u32,
        alphabet: Ff1Alphabet,
    ) -> Result<Self, Error> {
        let key = kek.unwrap_key(wrapped, &label(version)).await?;
        Self::new(version, key, alphabet)
    }

    /// The key's version.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// What values are written in.
    #[must_use]
    pub fn alphabet(&self) -> &Ff1Alphabet {
        &self.alphabet
    }

    /// Encrypts a value of the column `context`, or of one row of it.
    ///
    /// # Errors
    /// [`Error::Ff1`] for a value that is too short, too long or not of the alphabet, [`Error::Context`] for a context
    /// that cannot be.
    pub fn encrypt(&self, value: &str, context: &FieldContext) -> Result<String, Error> {
        self.encrypt_many(&[(value, context)])
            .pop()
            .unwrap_or(Err(Error::Open))
    }

    /// Decrypts a value of the column `context`, or of one row of it. There is no way to tell whether it was encrypted
    /// there, with this key, or at all.
    ///
    /// # Errors
    /// As [`encrypt`](Self::encrypt).
    pub fn decrypt(&self, value: &str, context: &FieldContext) -> Result<SecretBytes, Error> {
        self.decrypt_many(&[(value, context)])
            .pop()
            .unwrap_or(Err(Error::Open))
    }

    /// Encrypts many values side by side; one result an item.
    #[must_use]
    pub fn encrypt_many(&self, items: &[(&str, &FieldContext)]) -> Vec<Result<String, Error>> {
        let encrypted = self.apply(Direction::Encrypt, items).into_iter();
        let text = |bytes| String::from_utf8(bytes).map_err(|_| Error::Open);
        encrypted.map(|bytes| text(bytes?)).collect()
    }

    /// Decrypts many values side by side; one result an item.
    #[must_use]
    pub fn decrypt_many(&self, items: &[(&str, &FieldContext)]) -> Vec<Result<SecretBytes, Error>> {
        let decrypted = self.apply(Direction::Decrypt, items).into_iter();
        decrypted.map(|bytes| bytes.map(SecretBytes::new)).collect()
    }

    fn apply(
        &self,
        direction: Direction,
        items: &[(&str, &FieldContext)],
    ) -> Vec<Result<Vec<u8>, Error>> {
        type Item = (Zeroizing<Vec<u8>>, Vec<u8>);
        let mut parsed: Vec<Result<Item, Error>> = items
            .iter()
            .map(|(text, context)| Ok((self.alphabet.numerals(text)?, context.tweak()?)))
            .collect();
        let values = parsed.iter_mut().flatten().map(|(numerals, tweak)| Value {
            numerals,
            radix: self.alphabet.base(),
            tweak,
        });
        let mut values: Vec<Value<'_>> = values.collect();
        let mut done = apply_many(&self.cipher, direction, &mut values).into_iter();
        // Lengths have been checked: nothing is left as it was, and what is would not be handed out.
        let mut text = |(numerals, _): Item| match done.next() {
            Some(true) => Ok(self.alphabet.text(&numerals)),
            _ => Err(Error::Open),
        };
        parsed.into_iter().map(|item| text(item?)).collect()
    }
}

impl fmt::Debug for Ff1Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ff1Key")
            .field("version", &self.version)
            .field("alphabet", &self.alphabet)
            .finish_non_exhaustive()
    }
}

/// Names the key in its derivation and where it is wrapped: "smfc1/ff1" ‖ u32 version.
fn label(version: u32) -> Vec<u8> {
    [LABEL, &version.to_be_bytes()].concat()
}
