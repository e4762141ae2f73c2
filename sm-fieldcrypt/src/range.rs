//! Parts of chunked values: a range of a long one, opened from the chunks that have it.

use crate::chunked::ChunkedHeader;
use crate::context::FieldContext;
use crate::derive::EtmKeys;
use crate::envelope::{Envelope, Header};
use crate::error::Error;
use crate::fieldkey::KeyEntry;
use crate::observe::{KeyUse, Operation, Outcome};
use crate::resources::minutes;
use crate::seal::PreparedKey;
use crate::secret::SecretBytes;
use crate::session::Session;
use std::ops::Range;

impl PreparedKey {
    /// Opens the bytes `range` of a chunked value's plaintext. Only the chunks that have them are looked at: whether the
    /// others are authentic is not said.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`Error::Range`] for a range that the value does not have.
    pub fn open_range(
        &self,
        envelope: &[u8],
        range: Range<u64>,
        context: &FieldContext,
    ) -> Result<SecretBytes, Error> {
        let parsed = Envelope::parse(envelope)?;
        self.admit_header(parsed.header(), minutes(self.fresh_now()?))?;
        let (header, _) = ChunkedHeader::parse(&parsed)?;
        let place = header.sealed_range(&range)?;
        let place = usize::try_from(place.start).ok()..usize::try_from(place.end).ok();
        let chunks = match (place.start, place.end) {
            (Some(start), Some(end)) => envelope.get(start..end),
            _ => None,
        };
        self.open_chunks(&header, range, chunks.ok_or(Error::Open)?, context)
    }

    /// Opens the bytes `range` of a plaintext from the part of a sealed value that
    /// [`header.sealed_range(range)`](ChunkedHeader::sealed_range) tells, so that a database need not give the rest.
    ///
    /// ```
    /// # use sm_fieldcrypt::{ChunkedHeader, Error, FieldContext, PreparedKey, SecretBytes};
    /// /// `part` reads bytes of the column: `SELECT substring(track FROM $1 FOR $2)`.
    /// fn points(
    ///     key: &PreparedKey,
    ///     cell: &FieldContext,
    ///     part: impl Fn(std::ops::Range<u64>) -> Vec<u8>,
    /// ) -> Result<SecretBytes, Error> {
    ///     let header = ChunkedHeader::read(&part(0..ChunkedHeader::LEN as u64))?;
    ///     let wanted = 16_000..32_000;
    ///     let chunks = part(header.sealed_range(&wanted)?);
    ///     key.open_chunks(&header, wanted, &chunks, cell)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`open_range`](Self::open_range); [`Error::Envelope`] for a part of another length.
    pub fn open_chunks(
        &self,
        header: &ChunkedHeader,
        range: Range<u64>,
        chunks: &[u8],
        context: &FieldContext,
    ) -> Result<SecretBytes, Error> {
        let now = self.fresh_now()?;
        let entry = self.admit_header(header.header(), minutes(now))?;
        let aad = context.aad(self.class.is_row_bound(), &self.tenant)?;
        let numbers = header.chunk_range(&range)?;
        let place = header.sealed_range(&range)?;
        let length = place.end.saturating_sub(place.start);
        if u64::try_from(chunks.len()) != Ok(length) {
            return Err(Error::Envelope {
                what: "not the chunks of the range",
                offset: chunks.len(),
            });
        }
        let mut key_use = self.key_use(&entry.key, Operation::Open, 1);
        self.resources.watch.authorize(&key_use)?;
        let session = self.session(header.header(), entry)?;
        let opened = header.open(etm(&session)?, &aad, numbers.start, chunks);
        if opened.is_ok() {
            let sessions = &self.resources.sessions;
            sessions.keep(header.header(), &self.tenant, &session, now);
        }
        key_use.usage_count = entry.key.count_uses(1);
        self.resources.watch.report_end(&key_use, opened.is_ok())?;
        // What stands before the range in its first chunk, and the range's length.
        let text = opened?;
        let skip = range
            .start
            .saturating_sub(numbers.start.saturating_mul(header.chunk_len()));
        let wanted = range.end.saturating_sub(range.start);
        let part = match (usize::try_from(skip), usize::try_from(wanted)) {
            (Ok(skip), Ok(wanted)) => text
                .expose()
                .get(skip..)
                .and_then(|rest| rest.get(..wanted)),
            _ => None,
        };
        Ok(SecretBytes::new(part.ok_or(Error::Open)?.to_vec()))
    }

    pub(crate) fn session(&self, header: &Header, entry: &KeyEntry) -> Result<Session, Error> {
        let wanted = [(header, &*entry.key)];
        let mut sessions = self.resources.sessions.obtain(&wanted, &self.tenant)?;
        sessions.pop().ok_or(Error::Open)
    }

    /// Reports how one more part of a value went, which was counted before.
    pub(crate) fn report_part(&self, key_use: &KeyUse<'_>, outcome: Outcome) -> Result<(), Error> {
        self.resources.watch.report(&KeyUse {
            outcome,
            ..*key_use
        })
    }
}

/// The keys of a chunked value.
pub(crate) fn etm(session: &Session) -> Result<&EtmKeys, Error> {
    session.keys.etm().ok_or(Error::Open)
}
