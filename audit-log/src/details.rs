//! The bounded map of further details, the fifth assessed field.

use crate::canonical::{MAX_INTEGER, ObjectWriter, utf16_order};
use crate::error::Error;

/// A detail's value: text, an integer or a flag. No floats: their spelling is not unique enough to
/// hash.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detail {
    /// Text of at most [`Details::MAX_TEXT`] bytes.
    Text(String),
    /// An integer of magnitude at most 2^53 - 1.
    Int(i64),
    /// A flag.
    Bool(bool),
}

macro_rules! detail_from {
    ($($from:ty => $variant:ident),*) => {$(
        impl From<$from> for Detail {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}
detail_from!(&str => Text, String => Text, i64 => Int, i32 => Int, u32 => Int, u16 => Int, u8 => Int, bool => Bool);

/// Further details of an event: at most [`Details::MAX_ENTRIES`] names, each once.
///
/// Put pseudonyms and masked values here, never personal data in clear: what is written cannot be
/// taken back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details(Vec<(String, Detail)>);

impl Details {
    /// Most entries of one event.
    pub const MAX_ENTRIES: usize = 64;
    /// Longest name, in bytes.
    pub const MAX_NAME: usize = 128;
    /// Longest text, in bytes.
    pub const MAX_TEXT: usize = 8192;

    /// No details, said explicitly.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry. A name given twice is refused when the event is appended.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Detail>) -> Self {
        self.push(name, value);
        self
    }

    /// Adds an entry in place. A name given twice is refused when the event is appended.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<Detail>) {
        self.0.push((name.into(), value.into()));
    }

    /// Adds every entry of `other`.
    pub fn extend(&mut self, other: Details) {
        self.0.extend(other.0);
    }

    /// The entries, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Detail)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.0.len() > Self::MAX_ENTRIES {
            let reason = format!("{} entries, at most {}", self.0.len(), Self::MAX_ENTRIES);
            return Err(Error::event("details", reason));
        }
        for (name, value) in &self.0 {
            if name.is_empty() || name.len() > Self::MAX_NAME {
                let reason = format!("a name must have 1 to {} bytes", Self::MAX_NAME);
                return Err(Error::event("details", reason));
            }
            let reason = match value {
                Detail::Text(text) if text.len() > Self::MAX_TEXT => {
                    format!("{} bytes, at most {}", text.len(), Self::MAX_TEXT)
                }
                Detail::Int(number) if number.unsigned_abs() > MAX_INTEGER.unsigned_abs() => {
                    "number beyond 2^53 - 1 (use a decimal string)".to_owned()
                }
                _ => continue,
            };
            return Err(Error::event(format!("details.{name}"), reason));
        }
        Ok(())
    }

    /// Writes the `details` member.
    pub(crate) fn write(&self, object: &mut ObjectWriter<'_>) -> Result<(), Error> {
        let mut sorted: Vec<&(String, Detail)> = self.0.iter().collect();
        sorted.sort_by(|a, b| utf16_order(&a.0, &b.0));
        for pair in sorted.windows(2) {
            if let [a, b] = pair
                && a.0 == b.0
            {
                return Err(Error::event(format!("details.{}", a.0), "given twice"));
            }
        }
        object.object("details", |details| {
            for (name, value) in sorted {
                match value {
                    Detail::Text(text) => details.string(name, text)?,
                    Detail::Int(number) => details.int(name, *number)?,
                    Detail::Bool(flag) => details.bool(name, *flag)?,
                }
            }
            Ok(())
        })
    }
}
