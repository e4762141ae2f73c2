//! Chunked values of any length, a chunk at a time: neither the text nor the sealed value is ever whole in memory.

use crate::chunked::ChunkedHeader;
use crate::context::FieldContext;
use crate::error::Error;
use crate::fieldkey::KeyEntry;
use crate::observe::{Operation, Outcome};
use crate::range::etm;
use crate::resources::minutes;
use crate::seal::{PreparedKey, check_length, check_usable};
use crate::secret::SecretBytes;
use crate::session::Session;
use std::fmt;

/// Seals a long value chunk by chunk. Made by [`PreparedKey::seal_stream`]. It ends with its key's state, which this process
/// learns when a ring reads the registry again; it may go on for longer than the 60 seconds of a prepared key, as a long value
/// does, and the guard is asked once, at its start.
///
/// ```
/// # fn upload(key: &sm_fieldcrypt::PreparedKey, cell: &sm_fieldcrypt::FieldContext, track: &[u8]) -> Result<Vec<u8>, sm_fieldcrypt::Error> {
/// let mut stream = key.seal_stream(track.len() as u64, cell)?;
/// let mut sealed = stream.front().to_vec();
/// for chunk in track.chunks(stream.chunk_len()) {
///     sealed.extend(stream.seal_next(chunk)?);
/// }
/// stream.finish()?;
/// # Ok(sealed)
/// # }
/// ```
pub struct SealStream<'a> {
    parts: Parts<'a>,
}

/// Opens a long value chunk by chunk. Made by [`PreparedKey::open_stream`].
///
/// As a [`SealStream`] it may go on for longer than a prepared key. Each chunk is authentic when it is given out, and stands where it belongs. That the value is *whole* is known only
/// after [`finish`](Self::finish): what has side effects before is to be undone if that fails.
pub struct OpenStream<'a> {
    parts: Parts<'a>,
}

struct Parts<'a> {
    key: &'a PreparedKey,
    entry: &'a KeyEntry,
    session: Session,
    header: ChunkedHeader,
    aad: Vec<u8>,
    next: u64,
    /// A chunk was refused: nothing goes on behind it.
    failed: bool,
    now: u64,
}

impl PreparedKey {
    /// Starts to seal a value of `length` bytes for the place `context`. The class must be chunked.
    ///
    /// # Errors
    /// As [`seal`](Self::seal); [`Error::Policy`] for a class that is not chunked. An observer is told of one sealed value
    /// here.
    pub fn seal_stream(
        &self,
        length: u64,
        context: &FieldContext,
    ) -> Result<SealStream<'_>, Error> {
        let chunk = self.class.chunk_size().ok_or_else(|| self.not_chunked())?;
        let now = self.fresh_now()?;
        let entry = self
            .keys
            .primary(minutes(now))
            .ok_or_else(|| self.no_key())?;
        check_usable(entry, !entry.key.is_retired())?;
        let window = entry.info.sealing_window(minutes(now))?;
        check_length(length, self.class.suite())?;
        let aad = context.aad(self.class.is_row_bound(), &self.tenant)?;
        let mut key_use = self.key_use(&entry.key, Operation::Seal, 1);
        self.resources.watch.authorize(&key_use)?;
        let headers = self.draw_headers(entry, window, 1)?;
        let header = headers.first().ok_or(Error::Open)?;
        let mut nonce = [0_u8; 12];
        self.resources.random.fill(&mut nonce)?;
        let session = self.session(header, entry)?;
        let sessions = &self.resources.sessions;
        sessions.keep(header, &self.tenant, &session, now);
        key_use.usage_count = entry.key.count_uses(1);
        self.report_part(&key_use, Outcome::Succeeded)?;
        Ok(SealStream {
            parts: Parts {
                key: self,
                entry,
                session,
                header: ChunkedHeader::new(header, &nonce, chunk, length),
                aad,
                next: 0,
                failed: false,
                now,
            },
        })
    }

    /// Starts to open a chunked value that lives at the place `context`; `front` is its first
    /// [`ChunkedHeader::LEN`] bytes.
    ///
    /// # Errors
    /// As [`open`](Self::open), but that nothing is known to be authentic yet. An observer is told of one opened value with
    /// the first chunk, before its text is given out.
    pub fn open_stream(
        &self,
        front: &[u8],
        context: &FieldContext,
    ) -> Result<OpenStream<'_>, Error> {
        if !self.class.is_chunked() {
            return Err(self.not_chunked());
        }
        let now = self.fresh_now()?;
        let header = ChunkedHeader::read(front)?;
        let entry = self.admit_header(header.header(), minutes(now))?;
        let aad = context.aad(self.class.is_row_bound(), &self.tenant)?;
        self.resources
            .watch
            .authorize(&self.key_use(&entry.key, Operation::Open, 1))?;
        let session = self.session(header.header(), entry)?;
        Ok(OpenStream {
            parts: Parts {
                key: self,
                entry,
                session,
                header,
                aad,
                next: 0,
                failed: false,
                now,
            },
        })
    }

    fn not_chunked(&self) -> Error {
        Error::Policy {
            class: self.class.name().into(),
            what: "its values are not chunked",
        }
    }
}

impl Parts<'_> {
    /// Length of the next chunk's text; `None` behind the last one.
    fn next_len(&self) -> Option<usize> {
        if self.next >= self.header.chunks() {
            return None;
        }
        let start = self.next.saturating_mul(self.header.chunk_len());
        let rest = self.header.plaintext_len().saturating_sub(start);
        usize::try_from(rest.min(self.header.chunk_len())).ok()
    }

    /// Whether the next chunk has this many bytes, `beside` them what stands beside a text.
    fn check(&mut self, found: usize, beside: usize) -> Result<(), Error> {
        let fault = |what| Error::Envelope {
            what,
            offset: found,
        };
        if self.failed {
            return Err(Error::Open);
        }
        check_usable(self.entry, true)?;
        match self.next_len().map(|length| length.saturating_add(beside)) {
            None => Err(fault("more chunks than the value has")),
            Some(expected) if expected != found => Err(fault("a chunk of another length")),
            Some(_) => Ok(()),
        }
    }

    fn finish(self) -> Result<(), Error> {
        match self.next == self.header.chunks() && !self.failed {
            true => Ok(()),
            false => Err(Error::Envelope {
                what: "ended before the last chunk",
                offset: usize::try_from(self.next).unwrap_or(usize::MAX),
            }),
        }
    }
}

impl SealStream<'_> {
    /// What stands before the chunks.
    #[must_use]
    pub fn front(&self) -> [u8; ChunkedHeader::LEN] {
        self.parts.header.to_bytes()
    }

    /// Length in bytes of every chunk's text but the last one's.
    #[must_use]
    pub fn chunk_len(&self) -> usize {
        usize::try_from(self.parts.header.chunk_len()).unwrap_or(usize::MAX)
    }

    /// Seals the next chunk: [`chunk_len`](Self::chunk_len) bytes, of the last one what is left. An empty value has one
    /// empty chunk.
    ///
    /// # Errors
    /// [`Error::Envelope`] for another length or too many chunks, [`Error::KeyState`] when the key was closed meanwhile.
    pub fn seal_next(&mut self, text: &[u8]) -> Result<Vec<u8>, Error> {
        let parts = &mut self.parts;
        check_usable(parts.entry, !parts.entry.key.is_retired())?;
        parts.check(text.len(), 0)?;
        let mut sealed = Vec::with_capacity(text.len().saturating_add(32));
        let keys = etm(&parts.session)?;
        parts
            .header
            .seal(keys, &parts.aad, parts.next, text, &mut sealed)?;
        parts.next = parts.next.saturating_add(1);
        Ok(sealed)
    }

    /// Whether all chunks were sealed.
    ///
    /// # Errors
    /// [`Error::Envelope`] when some are missing: what was written does not open.
    pub fn finish(self) -> Result<(), Error> {
        self.parts.finish()
    }
}

impl OpenStream<'_> {
    /// What stands before the chunks.
    #[must_use]
    pub fn header(&self) -> &ChunkedHeader {
        &self.parts.header
    }

    /// How many bytes the next sealed chunk has, its tag included; `None` behind the last one.
    #[must_use]
    pub fn next_len(&self) -> Option<usize> {
        let tag = self.parts.header.header().tag_len();
        Some(self.parts.next_len()?.saturating_add(tag))
    }

    /// Opens the next chunk, of [`next_len`](Self::next_len) bytes.
    ///
    /// # Errors
    /// [`Error::Open`] when it is not authentic, and for all that follows it; [`Error::Envelope`] for another length or too
    /// many chunks; [`Error::KeyState`] when the key was closed meanwhile; [`Error::Refused`].
    pub fn open_next(&mut self, sealed: &[u8]) -> Result<SecretBytes, Error> {
        let parts = &mut self.parts;
        parts.check(sealed.len(), parts.header.header().tag_len())?;
        let opened = parts
            .header
            .open(etm(&parts.session)?, &parts.aad, parts.next, sealed);
        let key_use = parts.key.key_use(&parts.entry.key, Operation::Open, 1);
        match &opened {
            Ok(_) if parts.next == 0 => {
                let sessions = &parts.key.resources.sessions;
                let header = parts.header.header();
                sessions.keep(header, &parts.key.tenant, &parts.session, parts.now);
                let mut key_use = key_use;
                key_use.usage_count = parts.entry.key.count_uses(1);
                parts.key.report_part(&key_use, Outcome::Succeeded)?;
            }
            Ok(_) => {}
            Err(_) => {
                parts.failed = true;
                parts.key.report_part(&key_use, Outcome::Failed)?;
            }
        }
        let text = opened?;
        parts.next = parts.next.saturating_add(1);
        Ok(text)
    }

    /// Whether all chunks were opened.
    ///
    /// # Errors
    /// [`Error::Envelope`] when some are missing.
    pub fn finish(self) -> Result<(), Error> {
        self.parts.finish()
    }
}

impl fmt::Debug for SealStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealStream")
            .field("header", &self.parts.header)
            .field("next", &self.parts.next)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OpenStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenStream")
            .field("header", &self.parts.header)
            .field("next", &self.parts.next)
            .finish_non_exhaustive()
    }
}
