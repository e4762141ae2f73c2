//! Length-prefixed fields of the registry: written, and read without going past the end.

use crate::error::Error;

/// Longest wrapped key, in bytes.
pub(crate) const MAX_BLOB: usize = 4096;

/// A text of at most 255 bytes behind its length.
pub(crate) fn push_short(out: &mut Vec<u8>, value: &str) -> Result<(), Error> {
    let length = u8::try_from(value.len()).map_err(|_| Error::Config {
        what: "a kek id is longer than 255 bytes".into(),
    })?;
    out.push(length);
    out.extend_from_slice(value.as_bytes());
    Ok(())
}

/// At most 65,535 bytes behind their length.
pub(crate) fn push_long(out: &mut Vec<u8>, value: &[u8]) -> Result<(), Error> {
    let length = u16::try_from(value.len()).map_err(|_| Error::RegistryFull {
        what: "a record's field is too long",
    })?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
    Ok(())
}

pub(crate) fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(Into::into)
}

pub(crate) fn as_usize(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A cursor that cannot read past the end.
pub(crate) struct Reader<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn fault(&self, what: &'static str) -> Error {
        Error::Registry {
            what,
            offset: self.at,
        }
    }

    pub(crate) fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], Error> {
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| self.fault(what))?;
        self.at = self.at.saturating_add(length);
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<&'a [u8; N], Error> {
        let at = self.at;
        self.take(N, what)?
            .try_into()
            .map_err(|_| Error::Registry { what, offset: at })
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, Error> {
        self.array(what).map(|bytes| u32::from_be_bytes(*bytes))
    }

    pub(crate) fn short_text(&mut self, what: &'static str) -> Result<String, Error> {
        let [length] = *self.array(what)?;
        let bytes = self.take(usize::from(length), what)?;
        text(bytes).ok_or_else(|| self.fault(what))
    }

    pub(crate) fn long(&mut self, what: &'static str) -> Result<&'a [u8], Error> {
        let length = u16::from_be_bytes(*self.array(what)?);
        self.take(usize::from(length), what)
    }
}

/// The fault of a part at `offset`, told from the whole's start.
pub(crate) fn inside(error: Error, offset: usize) -> Error {
    match error {
        Error::Registry {
            what,
            offset: inside,
        } => Error::Registry {
            what,
            offset: offset.saturating_add(inside),
        },
        other => other,
    }
}
