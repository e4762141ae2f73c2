//! A sealed value with the type of what is in it.

use crate::context::FieldContext;
use crate::envelope::{Envelope, from_text, to_text};
use crate::error::Error;
use crate::seal::PreparedKey;
use crate::secret::SecretBytes;
use std::fmt;
use std::marker::PhantomData;
use zeroize::Zeroizing;

/// What can be sealed as a field: its bytes, and back.
///
/// # Contract
/// `from_bytes(to_bytes(x))` is `x`. The bytes are part of what is stored: never change them for a type.
pub trait FieldValue: Sized {
    /// The bytes to seal.
    fn to_bytes(&self) -> Zeroizing<Vec<u8>>;

    /// The value of bytes that were opened.
    ///
    /// # Errors
    /// [`Error::FieldValue`] for bytes that are no such value.
    fn from_bytes(bytes: SecretBytes) -> Result<Self, Error>;
}

/// A sealed value of type `T`: a field of a struct that a row is read into. It holds the envelope and nothing else; sealing
/// and opening are explicit calls, with a key and the place. With feature `serde` it is text (`smf1:...`) in formats for
/// people and bytes in others, with feature `sqlx` a `BLOB` or `BYTEA`.
///
/// ```
/// use sm_fieldcrypt::{Encrypted, FieldContext, PreparedKey};
///
/// struct Customer {
///     id: i64,
///     id_no: Encrypted<String>,
/// }
///
/// fn id_no(customer: &Customer, key: &PreparedKey) -> Result<String, sm_fieldcrypt::Error> {
///     let cell = FieldContext::new("bank-a", "customers", "id_no").row(customer.id);
///     customer.id_no.open(key, &cell)
/// }
/// ```
pub struct Encrypted<T> {
    envelope: Vec<u8>,
    /// Nothing of type `T` is inside: sending and sharing do not depend on it.
    value: PhantomData<fn() -> T>,
}

impl<T> Encrypted<T> {
    /// Takes an envelope as it was stored. Its tag is not verified: that is for [`open`](Self::open).
    ///
    /// # Errors
    /// [`Error::Envelope`] for anything else, plaintext for instance.
    pub fn from_envelope(envelope: Vec<u8>) -> Result<Self, Error> {
        Envelope::parse(&envelope)?;
        Ok(Self {
            envelope,
            value: PhantomData,
        })
    }

    /// The envelope.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.envelope
    }

    /// The envelope.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.envelope
    }

    /// The envelope's text form.
    #[must_use]
    pub fn to_text(&self) -> String {
        to_text(&self.envelope)
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// [`Error::Envelope`] for anything else.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        Self::from_envelope(from_text(text)?)
    }
}

impl<T: FieldValue> Encrypted<T> {
    /// Seals a value for the place `context`.
    ///
    /// # Errors
    /// As [`PreparedKey::seal`].
    pub fn seal(value: &T, key: &PreparedKey, context: &FieldContext) -> Result<Self, Error> {
        Ok(Self {
            envelope: key.seal(&value.to_bytes(), context)?,
            value: PhantomData,
        })
    }

    /// Opens the value, which lives at the place `context`.
    ///
    /// # Errors
    /// As [`PreparedKey::open`]; [`Error::FieldValue`] when what was sealed is no `T`.
    pub fn open(&self, key: &PreparedKey, context: &FieldContext) -> Result<T, Error> {
        T::from_bytes(key.open(&self.envelope, context)?)
    }
}

impl<T> Clone for Encrypted<T> {
    fn clone(&self) -> Self {
        Self {
            envelope: self.envelope.clone(),
            value: PhantomData,
        }
    }
}

/// Equal envelopes: two seals of one value are not.
impl<T> PartialEq for Encrypted<T> {
    fn eq(&self, other: &Self) -> bool {
        self.envelope == other.envelope
    }
}

impl<T> Eq for Encrypted<T> {}

impl<T> fmt::Debug for Encrypted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Encrypted")
            .field(&format_args!("{} bytes", self.envelope.len()))
            .finish()
    }
}

impl FieldValue for String {
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.as_bytes().to_vec())
    }

    fn from_bytes(bytes: SecretBytes) -> Result<Self, Error> {
        let text = bytes.expose_str();
        text.map(Into::into)
            .ok_or(Error::FieldValue { what: "not UTF-8" })
    }
}

impl FieldValue for Vec<u8> {
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.clone())
    }

    fn from_bytes(bytes: SecretBytes) -> Result<Self, Error> {
        Ok(bytes.expose().to_vec())
    }
}

/// Stays secret after it was opened.
impl FieldValue for SecretBytes {
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.expose().to_vec())
    }

    fn from_bytes(bytes: SecretBytes) -> Result<Self, Error> {
        Ok(bytes)
    }
}

/// Eight bytes, big-endian, whatever the value: the length tells nothing.
impl FieldValue for i64 {
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.to_be_bytes().to_vec())
    }

    fn from_bytes(bytes: SecretBytes) -> Result<Self, Error> {
        let bytes = bytes.expose().try_into();
        bytes
            .map(i64::from_be_bytes)
            .map_err(|_| Error::FieldValue {
                what: "not 8 bytes",
            })
    }
}

#[cfg(feature = "serde")]
mod with_serde {
    use super::Encrypted;
    use serde::de::{Error, Visitor};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::fmt;
    use std::marker::PhantomData;

    impl<T> Serialize for Encrypted<T> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match serializer.is_human_readable() {
                true => serializer.serialize_str(&self.to_text()),
                false => serializer.serialize_bytes(self.as_bytes()),
            }
        }
    }

    struct Reads<T>(PhantomData<fn() -> T>);

    impl<T> Visitor<'_> for Reads<T> {
        type Value = Encrypted<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a sealed value")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            Encrypted::from_text(text).map_err(E::custom)
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
            Encrypted::from_envelope(bytes.to_vec()).map_err(E::custom)
        }

        fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Self::Value, E> {
            Encrypted::from_envelope(bytes).map_err(E::custom)
        }
    }

    impl<'de, T> Deserialize<'de> for Encrypted<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let reads = Reads(PhantomData);
            match deserializer.is_human_readable() {
                true => deserializer.deserialize_str(reads),
                false => deserializer.deserialize_byte_buf(reads),
            }
        }
    }
}

#[cfg(feature = "sqlx")]
mod with_sqlx {
    use super::Encrypted;
    use sqlx::encode::IsNull;
    use sqlx::error::BoxDynError;
    use sqlx::{Database, Decode, Encode, Type};

    impl<T, DB: Database> Type<DB> for Encrypted<T>
    where
        Vec<u8>: Type<DB>,
    {
        fn type_info() -> DB::TypeInfo {
            <Vec<u8> as Type<DB>>::type_info()
        }

        fn compatible(ty: &DB::TypeInfo) -> bool {
            <Vec<u8> as Type<DB>>::compatible(ty)
        }
    }

    impl<'q, T, DB: Database> Encode<'q, DB> for Encrypted<T>
    where
        Vec<u8>: Encode<'q, DB>,
    {
        fn encode_by_ref(
            &self,
            buffer: &mut <DB as Database>::ArgumentBuffer,
        ) -> Result<IsNull, BoxDynError> {
            self.envelope.encode_by_ref(buffer)
        }
    }

    impl<'r, T, DB: Database> Decode<'r, DB> for Encrypted<T>
    where
        Vec<u8>: Decode<'r, DB>,
    {
        fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
            Ok(Self::from_envelope(Vec::<u8>::decode(value)?)?)
        }
    }
}
