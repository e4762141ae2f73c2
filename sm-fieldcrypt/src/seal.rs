//! Sealing and opening with a prepared key: synchronous, no I/O.

use crate::aead;
use crate::chunked::ChunkedHeader;
use crate::class::{FieldClass, Suite};
use crate::context::FieldContext;
use crate::derive::SessionKeys;
use crate::envelope::{Draft, Envelope, Header};
use crate::error::Error;
use crate::etm::{self, Opening};
use crate::fieldkey::{FieldKey, KeyEntry, KeySet};
use crate::observe::{KeyUse, KeyUser, Operation, Outcome};
use crate::resources::{Resources, minutes};
use crate::secret::SecretBytes;
use crate::session::Session;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The keys of one class, ready to seal and open for one tenant on behalf of one user.
///
/// Made by [`KeyRing::prepare`](crate::KeyRing::prepare), usually once a request. Sealing and
/// opening are pure computation and safe to call from async code. It works for at most 60 seconds,
/// so that a key disabled or rotated elsewhere is noticed; then every call gives
/// [`Error::PreparedExpired`].
///
/// Opening goes parse → class policy → key, state and window → guard → tag (constant time) →
/// decrypt → unpad → observer. Up to the guard only public header fields are looked at and faults
/// are named. From the tag on there is one error, [`Error::Open`]. No other key than the named one
/// is ever tried.
pub struct PreparedKey {
    pub(crate) class: Arc<FieldClass>,
    pub(crate) tenant: Arc<str>,
    pub(crate) user: KeyUser,
    pub(crate) keys: Arc<KeySet>,
    pub(crate) resources: Arc<Resources>,
    pub(crate) loaded_at: u64,
}

/// One result an item; the outer error is a failure of the whole batch.
pub(crate) type Batch<T> = Result<Vec<Result<T, Error>>, Error>;

impl PreparedKey {
    /// Seals one value for the place `context`. The result is 46 to 82 bytes longer than the
    /// plaintext: header 18, IV 12 or 16, CBC padding 1 to 16, tag 16 or 32. A chunked one is 39 bytes
    /// longer, and a tag for every chunk.
    ///
    /// # Errors
    /// [`Error::NoKey`], [`Error::KeyState`], [`Error::Context`], [`Error::TooLong`],
    /// [`Error::PreparedExpired`], [`Error::Refused`], [`Error::Random`].
    pub fn seal(&self, plaintext: &[u8], context: &FieldContext) -> Result<Vec<u8>, Error> {
        self.seal_many(&[(plaintext, context)])?
            .pop()
            .unwrap_or(Err(Error::Open))
    }

    /// Opens one value that lives at the place `context`.
    ///
    /// # Errors
    /// [`Error::Open`] when it is not authentic here; [`Error::Envelope`], [`Error::Unsupported`],
    /// [`Error::Policy`], [`Error::UnknownKey`], [`Error::KeyState`], [`Error::Window`] for faults
    /// of its public header; [`Error::Context`], [`Error::PreparedExpired`], [`Error::Refused`].
    pub fn open(&self, envelope: &[u8], context: &FieldContext) -> Result<SecretBytes, Error> {
        self.open_many(&[(envelope, context)])?
            .pop()
            .unwrap_or(Err(Error::Open))
    }

    /// Seals many values at once: guard and observer are asked once, keys are derived once.
    ///
    /// # Errors
    /// The outer error is the whole batch's (no key, expired, refused, no randomness); the inner
    /// ones are an item's own (context, length).
    pub fn seal_many(&self, items: &[(&[u8], &FieldContext)]) -> Batch<Vec<u8>> {
        self.seal_as(items, Operation::Seal)
    }

    pub(crate) fn seal_as(
        &self,
        items: &[(&[u8], &FieldContext)],
        operation: Operation,
    ) -> Batch<Vec<u8>> {
        let now = self.fresh_now()?;
        let entry = self
            .keys
            .primary(minutes(now))
            .ok_or_else(|| self.no_key())?;
        check_usable(entry, !entry.key.is_retired())?;
        let window = entry.info.sealing_window(minutes(now))?;
        let checked: Vec<Result<Sealable<'_>, Error>> = items
            .iter()
            .map(|(plaintext, context)| {
                let length = u64::try_from(plaintext.len()).unwrap_or(u64::MAX);
                check_length(length, self.class.suite())?;
                let aad = context.aad(self.class.is_row_bound(), &self.tenant)?;
                Ok(Sealable { plaintext, aad })
            })
            .collect();
        let (fine, faults) = split(checked);
        if fine.is_empty() {
            return Ok(merge(faults, Vec::new()));
        }
        let mut key_use = self.key_use(&entry.key, operation, fine.len());
        self.resources.watch.authorize(&key_use)?;
        key_use.usage_count = entry.key.count_uses(key_use.count);
        let sealed = self.seal_checked(entry, window, now, &fine);
        self.resources.watch.report_end(&key_use, sealed.is_ok())?;
        Ok(merge(faults, sealed?.into_iter().map(Ok).collect()))
    }

    fn seal_checked(
        &self,
        entry: &KeyEntry,
        window: u32,
        now: u64,
        items: &[Sealable<'_>],
    ) -> Result<Vec<Vec<u8>>, Error> {
        let resources = &self.resources;
        let suite = self.class.suite();
        let headers = self.draw_headers(entry, window, items.len())?;
        let mut ivs = vec![0_u8; items.len().saturating_mul(suite.iv_len())];
        resources.random.fill(&mut ivs)?;
        let wanted: Vec<_> = headers.iter().map(|header| (header, &*entry.key)).collect();
        let sessions = resources.sessions.obtain(&wanted, &self.tenant)?;
        for (header, session) in headers.iter().zip(&sessions) {
            resources.sessions.keep(header, &self.tenant, session, now);
        }

        if let Some(chunk) = self.class.chunk_size() {
            let values = headers.iter().zip(&sessions).zip(ivs.as_chunks::<12>().0);
            let values = values.zip(items).map(|(((header, session), nonce), item)| {
                let keys = session.keys.etm().ok_or(Error::Open)?;
                let length = u64::try_from(item.plaintext.len()).unwrap_or(u64::MAX);
                let value = ChunkedHeader::new(header, nonce, chunk, length);
                let capacity = usize::try_from(value.sealed_len()).unwrap_or_default();
                let mut sealed = Vec::with_capacity(capacity);
                sealed.extend_from_slice(&value.to_bytes());
                value.seal(keys, &item.aad, 0, item.plaintext, &mut sealed)?;
                Ok(sealed)
            });
            return values.collect();
        }
        let mut drafts: Vec<Draft> = headers
            .iter()
            .zip(ivs.chunks_exact(suite.iv_len()))
            .zip(items)
            .map(|((header, iv), item)| Draft::new(*header, iv, item.plaintext))
            .collect();
        let keys: Vec<&SessionKeys> = sessions.iter().map(|session| &*session.keys).collect();
        let aads: Vec<&[u8]> = items.iter().map(|item| item.aad.as_slice()).collect();
        let tags = seal_drafts(suite, &mut drafts, &keys, &aads)?;
        // Nothing is handed out without its tag.
        if tags.len() != items.len() {
            return Err(Error::Open);
        }
        Ok(drafts
            .into_iter()
            .zip(&tags)
            .map(|(draft, tag)| draft.finish(tag))
            .collect())
    }

    /// One header a value; they differ in their salt when its budget ends within the batch.
    pub(crate) fn draw_headers(
        &self,
        entry: &KeyEntry,
        window: u32,
        count: usize,
    ) -> Result<Vec<Header>, Error> {
        let resources = &self.resources;
        let mut headers = Vec::with_capacity(count);
        while headers.len() < count {
            let missing = count.saturating_sub(headers.len());
            let wanted = u32::try_from(missing).unwrap_or(u32::MAX);
            let (salt, granted) =
                entry
                    .key
                    .reserve(wanted, resources.seals_per_salt, &*resources.random)?;
            let header = Header {
                suite: self.class.suite(),
                row_bound: self.class.is_row_bound(),
                long_tag: self.class.has_long_tag(),
                chunked: self.class.is_chunked(),
                class: self.class.id(),
                fek_id: entry.info.fek_id,
                window,
                salt,
            };
            let granted = usize::try_from(granted).unwrap_or(usize::MAX);
            headers.extend(std::iter::repeat_n(header, granted));
        }
        Ok(headers)
    }

    /// Opens many values at once, possibly from many windows and keys. The guard is asked once for
    /// each field key that the batch names.
    ///
    /// # Errors
    /// The outer error is the whole batch's (expired, refused); the inner ones are an item's own.
    pub fn open_many(&self, items: &[(&[u8], &FieldContext)]) -> Batch<SecretBytes> {
        self.open_as(items, Operation::Open)
    }

    pub(crate) fn open_as(
        &self,
        items: &[(&[u8], &FieldContext)],
        operation: Operation,
    ) -> Batch<SecretBytes> {
        let now = self.fresh_now()?;
        let admitted: Vec<Result<Admitted<'_>, Error>> = items
            .iter()
            .map(|(bytes, context)| self.admit(bytes, context, minutes(now)))
            .collect();
        let (fine, faults) = split(admitted);
        let mut uses: Vec<(&FieldKey, KeyUse<'_>)> = Vec::new();
        for item in &fine {
            let key = &*item.entry.key;
            match uses.iter_mut().find(|(other, _)| std::ptr::eq(*other, key)) {
                Some((_, key_use)) => key_use.count = key_use.count.saturating_add(1),
                None => uses.push((key, self.key_use(key, operation, 1))),
            }
        }
        for (_, key_use) in &uses {
            self.resources.watch.authorize(key_use)?;
        }
        let opened = self.open_admitted(&fine, now)?;
        for (key, mut key_use) in uses {
            key_use.usage_count = key.count_uses(key_use.count);
            let of_key = fine
                .iter()
                .zip(&opened)
                .filter(|(i, _)| std::ptr::eq(&*i.entry.key, key));
            let failed = of_key.filter(|(_, result)| result.is_err()).count();
            let failed = u64::try_from(failed).unwrap_or(u64::MAX);
            let succeeded = key_use.count.saturating_sub(failed);
            for (count, outcome) in [(failed, Outcome::Failed), (succeeded, Outcome::Succeeded)] {
                if count > 0 {
                    self.resources.watch.report(&KeyUse {
                        count,
                        outcome,
                        ..key_use
                    })?;
                }
            }
        }
        Ok(merge(faults, opened))
    }

    /// Everything that can be refused by looking at public fields, before a key is used.
    fn admit<'a>(
        &'a self,
        bytes: &'a [u8],
        context: &FieldContext,
        now_minutes: u32,
    ) -> Result<Admitted<'a>, Error> {
        let envelope = Envelope::parse(bytes)?;
        let entry = self.admit_header(envelope.header(), now_minutes)?;
        let chunks = match self.class.is_chunked() {
            true => Some(ChunkedHeader::parse(&envelope)?),
            false => None,
        };
        let aad = context.aad(self.class.is_row_bound(), &self.tenant)?;
        Ok(Admitted {
            envelope,
            chunks,
            entry,
            aad,
        })
    }

    /// The key that a header names, if the header is one of this class and the key may open.
    pub(crate) fn admit_header(
        &self,
        header: &Header,
        now_minutes: u32,
    ) -> Result<&KeyEntry, Error> {
        let class = &self.class;
        let policy = |what| {
            Err(Error::Policy {
                class: class.name().into(),
                what,
            })
        };
        if header.class != class.id() {
            return policy("it is sealed for another class");
        }
        if header.suite != class.suite() {
            return policy("it is sealed with another suite");
        }
        if header.row_bound != class.is_row_bound() {
            return policy("its row-bound flag differs");
        }
        if header.long_tag != class.has_long_tag() {
            return policy("its tag length differs");
        }
        if header.chunked != class.is_chunked() {
            return policy("its chunked flag differs");
        }
        let Some(entry) = self.keys.get(header.fek_id) else {
            self.resources.stale.store(true, Ordering::Release);
            return Err(Error::UnknownKey {
                class: header.class,
                fek_id: header.fek_id,
            });
        };
        check_usable(entry, true)?;
        entry.info.check_window(header.window, now_minutes)?;
        Ok(entry)
    }

    fn open_admitted(
        &self,
        items: &[Admitted<'_>],
        now: u64,
    ) -> Result<Vec<Result<SecretBytes, Error>>, Error> {
        let suite = self.class.suite();
        let cache = &self.resources.sessions;
        let wanted: Vec<_> = items
            .iter()
            .map(|item| (item.envelope.header(), &*item.entry.key))
            .collect();
        let sessions = cache.obtain(&wanted, &self.tenant)?;
        let opened = match self.class.is_chunked() {
            true => items
                .iter()
                .zip(&sessions)
                .map(|(item, session)| item.open_chunked(session))
                .collect(),
            false => open_texts(suite, items, &sessions)?,
        };
        for ((item, session), opened) in items.iter().zip(&sessions).zip(&opened) {
            // What is not authentic is not remembered.
            if opened.is_ok() {
                cache.keep(item.envelope.header(), &self.tenant, session, now);
            }
        }
        Ok(opened)
    }

    pub(crate) fn key_use<'a>(
        &'a self,
        key: &'a FieldKey,
        operation: Operation,
        count: usize,
    ) -> KeyUse<'a> {
        KeyUse {
            count: u64::try_from(count).unwrap_or(u64::MAX),
            usage_count: key.uses(),
            ..self
                .user
                .key_use(&key.uri, self.class.name(), Some(&self.tenant), operation)
        }
    }

    pub(crate) fn fresh_now(&self) -> Result<u64, Error> {
        if self.resources.is_fresh(self.loaded_at, self.resources.ttl) {
            Ok(self.resources.clock.unix_seconds())
        } else {
            Err(Error::PreparedExpired)
        }
    }

    pub(crate) fn no_key(&self) -> Error {
        let tenant = self.class.is_per_tenant().then(|| self.tenant.to_string());
        Error::NoKey {
            class: self.class.name().into(),
            tenant,
        }
    }
}

impl fmt::Debug for PreparedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedKey")
            .field("class", &self.class.name())
            .field("tenant", &self.tenant)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// A value whose length and context are in order.
struct Sealable<'a> {
    plaintext: &'a [u8],
    aad: Vec<u8>,
}

/// An envelope that passed every check of its public fields.
struct Admitted<'a> {
    envelope: Envelope<'a>,
    /// The parts of a chunked value, and its chunks.
    chunks: Option<(ChunkedHeader, &'a [u8])>,
    entry: &'a KeyEntry,
    aad: Vec<u8>,
}

impl Admitted<'_> {
    fn open_chunked(&self, session: &Session) -> Result<SecretBytes, Error> {
        let (Some((value, chunks)), Some(keys)) = (&self.chunks, session.keys.etm()) else {
            return Err(Error::Open);
        };
        value.open(keys, &self.aad, 0, chunks)
    }
}

fn seal_drafts(
    suite: Suite,
    drafts: &mut [Draft],
    keys: &[&SessionKeys],
    aads: &[&[u8]],
) -> Result<Vec<[u8; 32]>, Error> {
    match suite {
        Suite::CbcHmacSm3 | Suite::CtrHmacSm3 => {
            etm::seal_drafts(suite, drafts, &all_of(keys, SessionKeys::etm)?, aads)
        }
        Suite::Gcm => aead::seal_drafts(drafts, &all_of(keys, SessionKeys::gcm)?, aads),
        Suite::Ccm => aead::seal_drafts(drafts, &all_of(keys, SessionKeys::ccm)?, aads),
    }
}

/// The keys of one suite: a class has no other.
fn all_of<'a, K>(
    keys: &[&'a SessionKeys],
    of_suite: impl Fn(&'a SessionKeys) -> Option<&'a K>,
) -> Result<Vec<&'a K>, Error> {
    keys.iter()
        .map(|keys| of_suite(keys).ok_or(Error::Open))
        .collect()
}

fn open_texts(suite: Suite, items: &[Admitted<'_>], sessions: &[Session]) -> Batch<SecretBytes> {
    let keys: Vec<&SessionKeys> = sessions.iter().map(|session| &*session.keys).collect();
    match suite {
        Suite::CbcHmacSm3 | Suite::CtrHmacSm3 => {
            etm::open_texts(suite, &openings(items, &all_of(&keys, SessionKeys::etm)?))
        }
        Suite::Gcm => aead::open_texts(&openings(items, &all_of(&keys, SessionKeys::gcm)?)),
        Suite::Ccm => aead::open_texts(&openings(items, &all_of(&keys, SessionKeys::ccm)?)),
    }
}

fn openings<'a, K>(items: &'a [Admitted<'_>], keys: &[&'a K]) -> Vec<Opening<'a, K>> {
    let items = items.iter().zip(keys);
    items
        .map(|(item, &keys)| Opening {
            keys,
            envelope: &item.envelope,
            aad: &item.aad,
        })
        .collect()
}

/// The items that are in order, and for every item its fault if it has one.
pub(crate) fn split<T>(items: Vec<Result<T, Error>>) -> (Vec<T>, Vec<Option<Error>>) {
    let mut fine = Vec::with_capacity(items.len());
    let mut faults = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Ok(item) => {
                fine.push(item);
                faults.push(None);
            }
            Err(fault) => faults.push(Some(fault)),
        }
    }
    (fine, faults)
}

/// Faults and results back in the items' order.
pub(crate) fn merge<T>(
    faults: Vec<Option<Error>>,
    results: Vec<Result<T, Error>>,
) -> Vec<Result<T, Error>> {
    let mut results = results.into_iter();
    faults
        .into_iter()
        .map(|fault| match fault {
            Some(fault) => Err(fault),
            None => results.next().unwrap_or(Err(Error::Open)),
        })
        .collect()
}

/// Refuses a key that was closed, or may not do what it is to do, since it was prepared.
pub(crate) fn check_usable(entry: &KeyEntry, may: bool) -> Result<(), Error> {
    if entry.key.is_closed() || !may {
        return Err(Error::KeyState {
            class: entry.info.class,
            fek_id: entry.info.fek_id,
            state: "no longer usable",
            what: "its state was changed after the key was prepared",
        });
    }
    Ok(())
}

pub(crate) fn check_length(length: u64, suite: Suite) -> Result<(), Error> {
    let limit = suite.max_plaintext();
    if length > limit {
        return Err(Error::TooLong { length, limit });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_ends_with_the_block_counter() {
        for (suite, limit) in [
            (Suite::CbcHmacSm3, (64 << 30) - 16),
            (Suite::CtrHmacSm3, (64 << 30) - 16),
            // NIST SP 800-38D: 2^39 - 256 bits.
            (Suite::Gcm, (1 << 36) - 32),
            (Suite::Ccm, (1 << 24) - 1),
        ] {
            assert_eq!(suite.max_plaintext(), limit);
            check_length(limit, suite).unwrap();
            let fault = check_length(limit + 1, suite);
            assert!(matches!(fault, Err(Error::TooLong { .. })));
        }
    }
}
