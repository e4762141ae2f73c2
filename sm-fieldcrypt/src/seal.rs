//! Sealing and opening with a prepared key: synchronous, no I/O.

use crate::class::{FieldClass, Suite};
use crate::clock::Clock;
use crate::context::FieldContext;
use crate::crypto::{
    CbcJob, CtrJob, HmacJob, cbc_decrypt_many, cbc_encrypt_many, ctr_apply_many, hmac_many,
    tags_equal,
};
use crate::derive::{SessionKeys, SessionRequest, session_keys_many};
use crate::envelope::{Draft, Envelope, Header};
use crate::error::Error;
use crate::fieldkey::{FieldKey, KeyEntry, KeySet};
use crate::observe::{KeyUse, KeyUser, Operation, Outcome, Watch};
use crate::random::RandomSource;
use crate::secret::SecretBytes;
use crate::session::{SessionCache, SessionId};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use zeroize::Zeroizing;

/// Longest plaintext: the 32-bit block counter ends just under 64 GiB.
const MAX_PLAINTEXT: u64 = (u32::MAX as u64) * 16;
const MAC_LABEL: &[u8] = b"SMFC1";
/// A clock may step back by so many seconds without making what was just loaded look like from the future.
const CLOCK_STEP: u64 = 5;

/// What prepared keys share with their ring.
pub(crate) struct Resources {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn RandomSource>,
    pub(crate) watch: Watch,
    pub(crate) sessions: SessionCache,
    pub(crate) seals_per_salt: u32,
    /// Longest life of registry knowledge, in seconds.
    pub(crate) ttl: u64,
    /// Set when a value named a key that is not known: another node may have rotated.
    pub(crate) stale: AtomicBool,
}

impl Resources {
    /// Whether something loaded at `loaded_at` is at most `age` old.
    pub(crate) fn is_fresh(&self, loaded_at: u64, age: u64) -> bool {
        let now = self.clock.unix_seconds();
        now.saturating_add(CLOCK_STEP) >= loaded_at && now.saturating_sub(loaded_at) <= age
    }
}

/// The keys of one class, ready to seal and open for one tenant on behalf of one user.
///
/// Made by [`KeyRing::prepare`](crate::KeyRing::prepare), usually once a request. Sealing and opening are pure
/// computation and safe to call from async code. It works for at most 60 seconds, so that a key disabled or
/// rotated elsewhere is noticed; then every call gives [`Error::PreparedExpired`].
///
/// Opening goes parse → class policy → key, state and window → guard → tag (constant time) → decrypt → unpad →
/// observer. Up to the guard only public header fields are looked at and faults are named. From the tag on there
/// is one error, [`Error::Open`]. No other key than the named one is ever tried.
pub struct PreparedKey {
    pub(crate) class: Arc<FieldClass>,
    pub(crate) tenant: Arc<str>,
    pub(crate) user: KeyUser,
    pub(crate) keys: Arc<KeySet>,
    pub(crate) resources: Arc<Resources>,
    pub(crate) loaded_at: u64,
}

/// One result an item; the outer error is a failure of the whole batch.
type Batch<T> = Result<Vec<Result<T, Error>>, Error>;

impl PreparedKey {
    /// Seals one value for the place `context`. The result is 50 to 82 bytes longer than the plaintext.
    ///
    /// # Errors
    /// [`Error::NoKey`], [`Error::Context`], [`Error::TooLong`], [`Error::PreparedExpired`],
    /// [`Error::Refused`], [`Error::Random`], [`Error::KeyState`].
    pub fn seal(&self, plaintext: &[u8], context: &FieldContext) -> Result<Vec<u8>, Error> {
        self.seal_many(&[(plaintext, context)])?
            .pop()
            .unwrap_or(Err(Error::Open))
    }

    /// Opens one value that lives at the place `context`.
    ///
    /// # Errors
    /// [`Error::Open`] when it is not authentic here; [`Error::Envelope`], [`Error::Unsupported`],
    /// [`Error::Policy`], [`Error::UnknownKey`], [`Error::KeyState`], [`Error::Window`] for faults of its public
    /// header; [`Error::Context`], [`Error::PreparedExpired`], [`Error::Refused`].
    pub fn open(&self, envelope: &[u8], context: &FieldContext) -> Result<SecretBytes, Error> {
        self.open_many(&[(envelope, context)])?
            .pop()
            .unwrap_or(Err(Error::Open))
    }

    /// Seals many values at once: guard and observer are asked once, keys are derived once.
    ///
    /// # Errors
    /// The outer error is the whole batch's (no key, expired, refused, no randomness); the inner ones are an
    /// item's own.
    pub fn seal_many(&self, items: &[(&[u8], &FieldContext)]) -> Batch<Vec<u8>> {
        let now = self.fresh_now()?;
        let entry = self
            .keys
            .primary(minutes(now))
            .ok_or_else(|| self.no_key())?;
        self.check_not_closed(entry)?;
        let window = entry.info.sealing_window(minutes(now))?;
        let aads: Vec<Result<Vec<u8>, Error>> = items
            .iter()
            .map(|(plaintext, context)| {
                check_length(plaintext.len())?;
                context.aad(self.class.is_row_bound(), &self.tenant)
            })
            .collect();
        let count = aads.iter().filter(|aad| aad.is_ok()).count();
        if count == 0 {
            return Ok(aads
                .into_iter()
                .map(|aad| aad.map(|_| Vec::new()))
                .collect());
        }
        let mut key_use = self.key_use(&entry.key, Operation::Seal, count);
        self.resources.watch.authorize(&key_use)?;
        let sealed = self.seal_admitted(entry, window, now, items, aads, count);
        key_use.outcome = if sealed.is_ok() {
            Outcome::Succeeded
        } else {
            Outcome::Failed
        };
        self.resources.watch.report(&key_use)?;
        sealed
    }

    fn seal_admitted(
        &self,
        entry: &KeyEntry,
        window: u32,
        now: u64,
        items: &[(&[u8], &FieldContext)],
        aads: Vec<Result<Vec<u8>, Error>>,
        count: usize,
    ) -> Batch<Vec<u8>> {
        let headers = self.draw_headers(entry, window, count)?;
        let iv_len = self.class.suite().iv_len();
        let mut ivs = vec![0_u8; count.saturating_mul(iv_len)];
        self.resources.random.fill(&mut ivs)?;

        let admitted = items.iter().zip(&aads).filter(|(_, aad)| aad.is_ok());
        let mut drafts: Vec<Draft> = headers
            .iter()
            .zip(ivs.chunks_exact(iv_len))
            .zip(admitted)
            .map(|((header, iv), ((plaintext, _), _))| Draft::new(*header, iv, plaintext))
            .collect();
        let wanted: Vec<_> = headers.iter().map(|header| (header, &*entry.key)).collect();
        let sessions = self.sessions(&wanted)?;
        for (header, session) in headers.iter().zip(&sessions) {
            if session.fresh {
                let id = self.session_id(header);
                self.resources
                    .sessions
                    .insert(id, Arc::clone(&session.keys), now);
            }
        }
        self.encrypt(&mut drafts, &sessions)?;
        let mut tags = {
            let covered: Vec<(&[u8], &[u8])> = drafts.iter().map(Draft::authenticated).collect();
            let aads = aads.iter().filter_map(|aad| aad.as_deref().ok());
            tags(&sessions, &covered, aads)?.into_iter()
        };
        let mut drafts = drafts.into_iter();
        Ok(aads
            .into_iter()
            .map(|aad| {
                aad?;
                let (Some(draft), Some(tag)) = (drafts.next(), tags.next()) else {
                    return Err(Error::Open);
                };
                Ok(draft.finish(&tag))
            })
            .collect())
    }

    fn draw_headers(
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

    fn encrypt(&self, drafts: &mut [Draft], sessions: &[Session]) -> Result<(), Error> {
        let texts = drafts.iter_mut().map(Draft::iv_and_text).zip(sessions);
        let whole = match self.class.suite() {
            Suite::CbcHmacSm3 => {
                let mut jobs: Vec<CbcJob<'_>> = texts
                    .filter_map(|((iv, text), session)| {
                        let (blocks, []) = text.as_chunks_mut::<16>() else {
                            return None;
                        };
                        Some(CbcJob {
                            key: &session.keys.enc,
                            iv: iv.try_into().ok()?,
                            blocks,
                        })
                    })
                    .collect();
                cbc_encrypt_many(&mut jobs);
                jobs.len() == sessions.len()
            }
            Suite::CtrHmacSm3 => {
                let mut jobs: Vec<CtrJob<'_>> = texts
                    .filter_map(|((iv, text), session)| {
                        Some(CtrJob {
                            key: &session.keys.enc,
                            nonce: iv.try_into().ok()?,
                            text,
                        })
                    })
                    .collect();
                let done = ctr_apply_many(&mut jobs);
                done.len() == sessions.len() && done.iter().all(|done| *done)
            }
        };
        // Never hand out a draft that was not encrypted.
        if whole { Ok(()) } else { Err(Error::Open) }
    }

    /// Opens many values at once, possibly from many windows and keys. The guard is asked once for each field
    /// key that the batch names.
    ///
    /// # Errors
    /// The outer error is the whole batch's (expired, refused); the inner ones are an item's own.
    pub fn open_many(&self, items: &[(&[u8], &FieldContext)]) -> Batch<SecretBytes> {
        let now = self.fresh_now()?;
        let admitted: Vec<Result<Admitted<'_>, Error>> = items
            .iter()
            .map(|(bytes, context)| self.admit(bytes, context, minutes(now)))
            .collect();
        let mut uses: Vec<(u32, KeyUse<'_>)> = Vec::new();
        for item in admitted.iter().flatten() {
            let fek_id = item.entry.info.fek_id;
            match uses.iter_mut().find(|(id, _)| *id == fek_id) {
                Some((_, key_use)) => key_use.count = key_use.count.saturating_add(1),
                None => {
                    let key_use = self.key_use(&item.entry.key, Operation::Open, 0);
                    uses.push((
                        fek_id,
                        KeyUse {
                            count: 1,
                            ..key_use
                        },
                    ));
                }
            }
        }
        for (fek_id, key_use) in &mut uses {
            // Made without counting: the whole group is counted at once.
            if let Some(entry) = self.keys.get(*fek_id) {
                key_use.usage_count = entry.key.count_uses(key_use.count);
            }
            self.resources.watch.authorize(key_use)?;
        }
        let opened = self.open_admitted(admitted, now)?;
        for (fek_id, key_use) in &uses {
            let of_key = opened.iter().filter(|(id, _)| *id == Some(*fek_id));
            let failed = of_key.filter(|(_, result)| result.is_err()).count();
            let failed = u64::try_from(failed).unwrap_or(u64::MAX);
            let succeeded = key_use.count.saturating_sub(failed);
            for (count, outcome) in [(failed, Outcome::Failed), (succeeded, Outcome::Succeeded)] {
                if count > 0 {
                    self.resources.watch.report(&KeyUse {
                        count,
                        outcome,
                        ..*key_use
                    })?;
                }
            }
        }
        Ok(opened.into_iter().map(|(_, result)| result).collect())
    }

    /// Everything that can be refused by looking at public fields, before a key is used.
    fn admit<'a>(
        &'a self,
        bytes: &'a [u8],
        context: &FieldContext,
        now_minutes: u32,
    ) -> Result<Admitted<'a>, Error> {
        let envelope = Envelope::parse(bytes)?;
        let header = *envelope.header();
        let class = &self.class;
        let policy = |what| Error::Policy {
            class: class.name().into(),
            what,
        };
        if header.class != class.id() {
            return Err(policy("it is sealed for another class"));
        }
        if header.suite != class.suite() {
            return Err(policy("it is sealed with another suite"));
        }
        if header.row_bound != class.is_row_bound() {
            return Err(policy("its row-bound flag differs"));
        }
        if header.long_tag != class.has_long_tag() {
            return Err(policy("its tag length differs"));
        }
        let Some(entry) = self.keys.get(header.fek_id) else {
            self.resources.stale.store(true, Ordering::Release);
            return Err(Error::UnknownKey {
                class: header.class,
                fek_id: header.fek_id,
            });
        };
        self.check_not_closed(entry)?;
        entry.info.check_window(header.window, now_minutes)?;
        let aad = context.aad(class.is_row_bound(), &self.tenant)?;
        Ok(Admitted {
            envelope,
            entry,
            aad,
        })
    }

    fn open_admitted(
        &self,
        admitted: Vec<Result<Admitted<'_>, Error>>,
        now: u64,
    ) -> Result<Vec<Opened>, Error> {
        let fine: Vec<&Admitted<'_>> = admitted.iter().flatten().collect();
        let wanted: Vec<_> = fine
            .iter()
            .map(|item| (item.envelope.header(), &*item.entry.key))
            .collect();
        let sessions = self.sessions(&wanted)?;
        let heads: Vec<Vec<u8>> = fine
            .iter()
            .map(|item| [item.envelope.raw_header().as_slice(), item.envelope.iv()].concat())
            .collect();
        let covered: Vec<(&[u8], &[u8])> = heads
            .iter()
            .zip(&fine)
            .map(|(head, item)| (head.as_slice(), item.envelope.ciphertext()))
            .collect();
        let tags = tags(
            &sessions,
            &covered,
            fine.iter().map(|item| item.aad.as_slice()),
        )?;
        let authentic: Vec<bool> = fine
            .iter()
            .zip(&tags)
            .map(|(item, tag)| {
                let tag = tag.get(..item.envelope.header().tag_len()).unwrap_or(tag);
                tags_equal(tag, item.envelope.tag())
            })
            .collect();

        // Only now: values that are not authentic never fill the cache, and are never decrypted.
        let mut texts: Vec<Option<Zeroizing<Vec<u8>>>> = Vec::with_capacity(fine.len());
        for ((item, session), authentic) in fine.iter().zip(&sessions).zip(&authentic) {
            if *authentic && session.fresh {
                let id = self.session_id(item.envelope.header());
                self.resources
                    .sessions
                    .insert(id, Arc::clone(&session.keys), now);
            }
            texts.push(authentic.then(|| Zeroizing::new(item.envelope.ciphertext().to_vec())));
        }
        self.decrypt(&fine, &sessions, &mut texts);

        let mut texts = texts.into_iter();
        Ok(admitted
            .into_iter()
            .map(|item| {
                let item = match item {
                    Ok(item) => item,
                    Err(e) => return (None, Err(e)),
                };
                let text = texts.next().flatten().ok_or(Error::Open);
                let result = text.and_then(|text| unpad(self.class.suite(), text));
                (Some(item.entry.info.fek_id), result)
            })
            .collect())
    }

    fn decrypt(
        &self,
        items: &[&Admitted<'_>],
        sessions: &[Session],
        texts: &mut [Option<Zeroizing<Vec<u8>>>],
    ) {
        let work =
            texts
                .iter_mut()
                .zip(items)
                .zip(sessions)
                .filter_map(|((text, item), session)| {
                    Some((text.as_mut()?, item.envelope.iv(), &session.keys.enc))
                });
        match self.class.suite() {
            Suite::CbcHmacSm3 => {
                let mut jobs: Vec<CbcJob<'_>> = work
                    .filter_map(|(text, iv, key)| {
                        // The parser admits whole blocks only.
                        let (blocks, _) = text.as_chunks_mut::<16>();
                        Some(CbcJob {
                            key,
                            iv: iv.try_into().ok()?,
                            blocks,
                        })
                    })
                    .collect();
                cbc_decrypt_many(&mut jobs);
            }
            Suite::CtrHmacSm3 => {
                let mut jobs: Vec<CtrJob<'_>> = work
                    .filter_map(|(text, iv, key)| {
                        Some(CtrJob {
                            key,
                            nonce: iv.try_into().ok()?,
                            text,
                        })
                    })
                    .collect();
                ctr_apply_many(&mut jobs);
            }
        }
    }

    /// Session keys for every header, each derived once.
    fn sessions(&self, wanted: &[(&Header, &FieldKey)]) -> Result<Vec<Session>, Error> {
        let mut slots: HashMap<SessionId, usize> = HashMap::new();
        let mut sessions: Vec<Option<Session>> = Vec::new();
        let mut missing: Vec<SessionRequest<'_>> = Vec::new();
        let mut slot_of = Vec::with_capacity(wanted.len());
        for (header, key) in wanted {
            let slot = *slots
                .entry(self.session_id(header))
                .or_insert_with_key(|id| {
                    let held = self.resources.sessions.get(id);
                    if held.is_none() {
                        missing.push(SessionRequest {
                            fek: &key.prk,
                            header,
                            tenant: &self.tenant,
                        });
                    }
                    sessions.push(held.map(|keys| Session { keys, fresh: false }));
                    sessions.len().saturating_sub(1)
                });
            slot_of.push(slot);
        }
        let holes = sessions.iter_mut().filter(|session| session.is_none());
        for (hole, keys) in holes.zip(session_keys_many(&missing)) {
            let keys = Arc::new(keys.ok_or(Error::Context {
                what: "the tenant is too long",
            })?);
            *hole = Some(Session { keys, fresh: true });
        }
        let of = |slot: &usize| sessions.get(*slot).cloned().flatten().ok_or(Error::Open);
        slot_of.iter().map(of).collect()
    }

    fn session_id(&self, header: &Header) -> SessionId {
        SessionId {
            class: header.class,
            fek_id: header.fek_id,
            window: header.window,
            salt: header.salt,
            tenant: Arc::clone(&self.tenant),
        }
    }

    fn key_use<'a>(&'a self, key: &'a FieldKey, operation: Operation, count: usize) -> KeyUse<'a> {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        KeyUse {
            principal: self.user.principal(),
            key_id: &key.uri,
            class: self.class.name(),
            tenant: Some(&self.tenant),
            operation,
            outcome: Outcome::Attempted,
            trace_id: self.user.trace_id(),
            count,
            usage_count: key.count_uses(count),
        }
    }

    fn fresh_now(&self) -> Result<u64, Error> {
        if self.resources.is_fresh(self.loaded_at, self.resources.ttl) {
            Ok(self.resources.clock.unix_seconds())
        } else {
            Err(Error::PreparedExpired)
        }
    }

    fn check_not_closed(&self, entry: &KeyEntry) -> Result<(), Error> {
        if entry.key.is_closed() {
            return Err(Error::KeyState {
                class: entry.info.class,
                fek_id: entry.info.fek_id,
                state: "no longer usable",
                what: "its state was changed: prepare again",
            });
        }
        Ok(())
    }

    fn no_key(&self) -> Error {
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

/// An envelope that passed every check of its public fields.
struct Admitted<'a> {
    envelope: Envelope<'a>,
    entry: &'a KeyEntry,
    aad: Vec<u8>,
}

/// A result, and the field key it was opened with, if it came that far.
type Opened = (Option<u32>, Result<SecretBytes, Error>);

#[derive(Clone)]
struct Session {
    keys: Arc<SessionKeys>,
    /// Derived just now, not from the cache.
    fresh: bool,
}

/// HMAC-SM3("SMFC1" ‖ header ‖ IV ‖ u32 length(AAD) ‖ AAD ‖ ciphertext) for every item.
fn tags<'a>(
    sessions: &[Session],
    covered: &[(&[u8], &[u8])],
    aads: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<[u8; 32]>, Error> {
    let with_lengths: Vec<([u8; 4], &[u8])> = aads
        .map(|aad| {
            let length =
                u32::try_from(aad.len()).map_err(|_| Error::Context { what: "too long" })?;
            Ok((length.to_be_bytes(), aad))
        })
        .collect::<Result<_, Error>>()?;
    let parts: Vec<[&[u8]; 5]> = covered
        .iter()
        .zip(&with_lengths)
        .map(|((head, text), (length, aad))| [MAC_LABEL, head, length, aad, text])
        .collect();
    let jobs: Vec<HmacJob<'_>> = sessions
        .iter()
        .zip(&parts)
        .map(|(session, parts)| HmacJob {
            key: &session.keys.mac,
            parts,
        })
        .collect();
    Ok(hmac_many(&jobs))
}

/// Takes PKCS#7 padding off (CBC). Runs only on authentic text; a fault is the same error as a bad tag.
fn unpad(suite: Suite, mut text: Zeroizing<Vec<u8>>) -> Result<SecretBytes, Error> {
    if suite == Suite::CbcHmacSm3 {
        let padding = *text.last().ok_or(Error::Open)?;
        let cut = text
            .len()
            .checked_sub(usize::from(padding))
            .ok_or(Error::Open)?;
        let tail = text.get(cut..).ok_or(Error::Open)?;
        if !(1..=16).contains(&padding) || tail.iter().any(|byte| *byte != padding) {
            return Err(Error::Open);
        }
        text.truncate(cut);
    }
    Ok(SecretBytes::new(std::mem::take(&mut *text)))
}

fn check_length(length: usize) -> Result<(), Error> {
    let length = u64::try_from(length).unwrap_or(u64::MAX);
    if length > MAX_PLAINTEXT {
        return Err(Error::TooLong {
            length,
            limit: MAX_PLAINTEXT,
        });
    }
    Ok(())
}

/// Unix seconds to Unix minutes.
pub(crate) fn minutes(seconds: u64) -> u32 {
    u32::try_from(seconds.checked_div(60).unwrap_or_default()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_ends_with_the_block_counter() {
        let limit = usize::try_from(MAX_PLAINTEXT).unwrap();
        check_length(limit).unwrap();
        assert!(matches!(
            check_length(limit + 1),
            Err(Error::TooLong { .. })
        ));
        assert_eq!(MAX_PLAINTEXT, (64 << 30) - 16);
    }

    #[test]
    fn unpadding_wants_exact_padding() {
        let cbc = |bytes: &[u8]| unpad(Suite::CbcHmacSm3, Zeroizing::new(bytes.to_vec()));
        assert_eq!(cbc(&[7, 7, 2, 2]).unwrap().expose(), [7, 7]);
        assert_eq!(cbc(&[16; 16]).unwrap().expose(), b"");
        for bad in [&[][..], &[0], &[2], &[1, 2], &[3, 3, 2, 3], &[17; 17]] {
            assert!(matches!(cbc(bad), Err(Error::Open)), "{bad:?}");
        }
    }

    #[test]
    fn minutes_saturate() {
        assert_eq!(minutes(119), 1);
        assert_eq!(minutes(u64::MAX), u32::MAX);
    }
}
