//! The registry of field keys: its bytes, and what makes them trusted.
//!
//! # Format, version 1 (big-endian)
//!
//! ```text
//! file    = "SMFCREG1" ‖ registry id 16 ‖ u64 epoch ‖ u8 length ‖ integrity KEK id ‖ u32 count ‖ record* ‖ epoch tag 32
//! record  = u8 kind (1: field key, 2: index key) ‖ u32 length ‖ body ‖ tag 32
//! body    = u8 state ‖ u8 origin (1: random, wrapped) ‖ u8 kdf (1: HKDF-SM3) ‖ u16 class ‖ u32 fek_id
//!         ‖ u8 has tenant [‖ u16 length ‖ tenant] ‖ u64 created ‖ u32 active from ‖ u32 active until
//!         ‖ u32 window minutes ‖ u8 length ‖ KEK id ‖ u16 length ‖ wrapped key
//! ```
//!
//! An index key's body is in `index/record.rs`; field keys come first. Tags are HMAC-SM3 under the KEK's integrity key, which is independent of every field key: a record's over
//! `"smfc1/record" ‖ registry id ‖ kind ‖ body`, the epoch's over `"smfc1/registry"` and every byte before it.
//! Both are verified before anything is unwrapped: device wraps may have no associated data, so a known old blob
//! could otherwise be put back. Records stand in strictly ascending order, field keys of (class, fek_id), index keys
//! of (tenant, table, column, kind, version): one encoding per registry.

use crate::crypto::tags_equal;
use crate::error::Error;
use crate::index::record::{self as index_record, IndexRecord};
use crate::kek::provider::KekProvider;
use crate::octets::{MAX_BLOB, Reader, as_usize, inside, push_long, push_short, text};
use crate::record::{KeyInfo, KeyRecord, KeyState};

const MAGIC: &[u8; 8] = b"SMFCREG1";
const RECORD_LABEL: &[u8] = b"smfc1/record";
const EPOCH_LABEL: &[u8] = b"smfc1/registry";
const WRAP_LABEL: &[u8] = b"smfc1/wrap";
const KIND_FIELD_KEY: u8 = 1;
const KIND_INDEX_KEY: u8 = 2;
const ORIGIN_WRAPPED: u8 = 1;
const KDF_HKDF_SM3: u8 = 1;
/// Longest registry that is read, in bytes.
pub(crate) const MAX_REGISTRY: usize = 64 << 20;

/// A registry whose tags have been verified, or that this process has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registry {
    pub(crate) id: [u8; 16],
    pub(crate) epoch: u64,
    pub(crate) integrity_kek: String,
    pub(crate) records: Vec<KeyRecord>,
    pub(crate) indexes: Vec<IndexRecord>,
}

/// A registry as read: well-formed, nothing verified. The only way on is [`UnverifiedRegistry::verify`].
pub(crate) struct UnverifiedRegistry<'a> {
    registry: Registry,
    /// What each tag covers, and the tag; the epoch's last.
    messages: Vec<Vec<u8>>,
    tags: Vec<&'a [u8; 32]>,
}

impl<'a> UnverifiedRegistry<'a> {
    /// Takes the bytes apart.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader { bytes, at: 0 };
        if bytes.len() > MAX_REGISTRY {
            return Err(reader.fault("longer than 64 MiB"));
        }
        if reader.array::<8>("cut off in the magic")? != MAGIC {
            return Err(Error::Registry {
                what: "wrong magic or version",
                offset: 0,
            });
        }
        let id = *reader.array::<16>("cut off in the registry id")?;
        let epoch = u64::from_be_bytes(*reader.array("cut off in the epoch")?);
        let integrity_kek = reader.short_text("cut off or not UTF-8 in the kek id")?;
        let count = reader.u32("cut off in the record count")?;
        let mut registry = Registry {
            id,
            epoch,
            integrity_kek,
            records: Vec::new(),
            indexes: Vec::new(),
        };
        let mut messages = Vec::new();
        let mut tags = Vec::new();
        for _ in 0..count {
            let start = reader.at;
            let [kind] = *reader.array("cut off in a record")?;
            let fault = |what| {
                Err(Error::Registry {
                    what,
                    offset: start,
                })
            };
            let length = reader.u32("cut off in a record")?;
            let body = reader.take(as_usize(length), "cut off in a record")?;
            let body_at = reader.at.saturating_sub(body.len());
            let tag = reader.array("cut off in a record's tag")?;
            let ascending = match kind {
                KIND_FIELD_KEY => {
                    let record = parse_body(body, body_at)?;
                    let key = |r: &KeyRecord| (r.info.class, r.info.fek_id);
                    let last = registry.records.last();
                    let ascending = registry.indexes.is_empty()
                        && last.is_none_or(|last| key(last) < key(&record));
                    registry.records.push(record);
                    ascending
                }
                KIND_INDEX_KEY => {
                    let record = index_record::parse_body(body, body_at)?;
                    let last = registry.indexes.last();
                    let ascending = last.is_none_or(|last| last.key() < record.key());
                    registry.indexes.push(record);
                    ascending
                }
                _ => return fault("unknown record kind"),
            };
            if !ascending {
                return fault("records are not in ascending order");
            }
            messages.push(record_message(&registry.id, kind, body));
            tags.push(tag);
        }
        let covered = bytes.get(..reader.at).unwrap_or_default();
        let tag = reader.array("cut off in the epoch tag")?;
        if reader.at != bytes.len() {
            return Err(reader.fault("bytes after the end"));
        }
        messages.push([EPOCH_LABEL, covered].concat());
        tags.push(tag);
        Ok(Self {
            registry,
            messages,
            tags,
        })
    }

    /// Verifies every tag under the provider's integrity key.
    pub(crate) async fn verify(self, kek: &dyn KekProvider) -> Result<Registry, Error> {
        if self.registry.integrity_kek != kek.id() {
            return Err(Error::RegistryKek {
                found: self.registry.integrity_kek,
                provider: kek.id().into(),
            });
        }
        let macs = integrity_macs(kek, &self.messages).await?;
        for (i, (mac, tag)) in macs.iter().zip(&self.tags).enumerate() {
            if !tags_equal(mac, *tag) {
                let registry = &self.registry;
                let index = i.checked_sub(registry.records.len());
                let what = match (registry.records.get(i), index) {
                    (Some(r), _) => format!(
                        "the record of field key {} of class {}",
                        r.info.fek_id, r.info.class
                    ),
                    (None, Some(i)) if let Some(r) = registry.indexes.get(i) => {
                        format!("the record of {}", r.info)
                    }
                    _ => "the epoch tag over all records".into(),
                };
                return Err(Error::RegistryIntegrity { what });
            }
        }
        Ok(self.registry)
    }
}

impl Registry {
    pub(crate) fn new(id: [u8; 16], kek: &dyn KekProvider) -> Self {
        Self {
            id,
            epoch: 1,
            integrity_kek: kek.id().into(),
            records: Vec::new(),
            indexes: Vec::new(),
        }
    }

    /// A field key's record.
    pub(crate) fn record(&self, class: u16, fek_id: u32) -> Option<&KeyRecord> {
        let key = |r: &KeyRecord| (r.info.class, r.info.fek_id);
        let at = self.records.binary_search_by_key(&(class, fek_id), key);
        self.records.get(at.ok()?)
    }

    /// The next free field key id of a class. Destroyed keys keep theirs.
    pub(crate) fn next_fek_id(&self, class: u16) -> Result<u32, Error> {
        let highest = self
            .records
            .iter()
            .filter(|r| r.info.class == class)
            .map(|r| r.info.fek_id)
            .max();
        highest
            .unwrap_or(0)
            .checked_add(1)
            .ok_or(Error::RegistryFull {
                what: "field key ids of the class are used up",
            })
    }

    pub(crate) fn insert(&mut self, record: KeyRecord) {
        let key = |r: &KeyRecord| (r.info.class, r.info.fek_id);
        let at = self.records.partition_point(|r| key(r) < key(&record));
        self.records.insert(at, record);
    }

    /// The registry's bytes, tags included.
    pub(crate) async fn encode(&self, kek: &dyn KekProvider) -> Result<Vec<u8>, Error> {
        let too_long = |what| Error::RegistryFull { what };
        let fields = self
            .records
            .iter()
            .map(|r| Ok((KIND_FIELD_KEY, encode_body(r)?)));
        let indexes = self.indexes.iter();
        let indexes = indexes.map(|r| Ok((KIND_INDEX_KEY, index_record::encode_body(r)?)));
        let bodies: Vec<(u8, Vec<u8>)> = fields.chain(indexes).collect::<Result<_, Error>>()?;
        let messages: Vec<_> = bodies
            .iter()
            .map(|(kind, body)| record_message(&self.id, *kind, body))
            .collect();
        let tags = integrity_macs(kek, &messages).await?;

        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.id);
        bytes.extend_from_slice(&self.epoch.to_be_bytes());
        push_short(&mut bytes, &self.integrity_kek)?;
        let count = u32::try_from(bodies.len()).map_err(|_| too_long("too many records"))?;
        bytes.extend_from_slice(&count.to_be_bytes());
        for ((kind, body), tag) in bodies.iter().zip(&tags) {
            bytes.push(*kind);
            let length = u32::try_from(body.len()).map_err(|_| too_long("a record is too long"))?;
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(body);
            bytes.extend_from_slice(tag);
        }
        let tag = integrity_macs(kek, &[[EPOCH_LABEL, &bytes].concat()]).await?;
        bytes.extend(tag.into_iter().flatten());
        if bytes.len() > MAX_REGISTRY {
            return Err(too_long("it would be longer than 64 MiB"));
        }
        Ok(bytes)
    }
}

/// What a wrapped field key is bound to, besides its KEK.
pub(crate) fn wrap_context(registry: &[u8; 16], info: &KeyInfo) -> Vec<u8> {
    [
        WRAP_LABEL,
        registry,
        &info.class.to_be_bytes(),
        &info.fek_id.to_be_bytes(),
        &[u8::from(info.tenant.is_some())],
        info.tenant.as_deref().unwrap_or_default().as_bytes(),
    ]
    .concat()
}

async fn integrity_macs(
    kek: &dyn KekProvider,
    messages: &[Vec<u8>],
) -> Result<Vec<[u8; 32]>, Error> {
    let macs = kek.integrity_macs(messages).await?;
    if macs.len() != messages.len() {
        return Err(Error::Kek {
            provider: kek.id().into(),
            reason: "it did not return one mac a message".into(),
        });
    }
    Ok(macs)
}

fn record_message(registry: &[u8; 16], kind: u8, body: &[u8]) -> Vec<u8> {
    [RECORD_LABEL, registry, &[kind], body].concat()
}

fn encode_body(record: &KeyRecord) -> Result<Vec<u8>, Error> {
    let info = &record.info;
    let mut out = vec![info.state.id(), ORIGIN_WRAPPED, KDF_HKDF_SM3];
    out.extend_from_slice(&info.class.to_be_bytes());
    out.extend_from_slice(&info.fek_id.to_be_bytes());
    match &info.tenant {
        None => out.push(0),
        Some(tenant) => {
            out.push(1);
            push_long(&mut out, tenant.as_bytes())?;
        }
    }
    out.extend_from_slice(&info.created.to_be_bytes());
    out.extend_from_slice(&info.active_from.to_be_bytes());
    out.extend_from_slice(&info.active_until.to_be_bytes());
    out.extend_from_slice(&info.window_minutes.to_be_bytes());
    push_short(&mut out, &info.kek_id)?;
    if record.blob.len() > MAX_BLOB {
        return Err(Error::Kek {
            provider: info.kek_id.clone(),
            reason: "its wrapped key is longer than 4096 bytes".into(),
        });
    }
    push_long(&mut out, &record.blob)?;
    Ok(out)
}

fn parse_body(body: &[u8], offset: usize) -> Result<KeyRecord, Error> {
    let short = "cut off in a record's body";
    let mut reader = Reader { bytes: body, at: 0 };
    let parsed = (|| {
        let [state, origin, kdf] = *reader.array(short)?;
        let fault = |what| Err(Error::Registry { what, offset: 0 });
        let Some(state) = KeyState::from_id(state) else {
            return fault("unknown key state");
        };
        if origin != ORIGIN_WRAPPED {
            return fault("unknown key origin");
        }
        if kdf != KDF_HKDF_SM3 {
            return fault("unknown kdf");
        }
        let class = u16::from_be_bytes(*reader.array(short)?);
        let fek_id = reader.u32(short)?;
        let tenant = match reader.array(short)? {
            [0] => None,
            [1] => {
                Some(text(reader.long(short)?).ok_or_else(|| reader.fault("tenant is not UTF-8"))?)
            }
            _ => return Err(reader.fault("tenant mark is neither 0 nor 1")),
        };
        let created = u64::from_be_bytes(*reader.array(short)?);
        let active_from = reader.u32(short)?;
        let active_until = reader.u32(short)?;
        let window_minutes = reader.u32(short)?;
        let kek_id = reader.short_text("cut off or not UTF-8 in a kek id")?;
        let blob = reader.long(short)?.to_vec();
        if reader.at != body.len() {
            return Err(reader.fault("bytes after a record's end"));
        }
        if class == 0 || fek_id == 0 || !(1..=1440).contains(&window_minutes) {
            return fault("class, key id or window length is out of range");
        }
        if active_from >= active_until || active_from.checked_rem(window_minutes) != Some(0) {
            return fault("the key's period is impossible");
        }
        if blob.len() > MAX_BLOB || blob.is_empty() != (state == KeyState::Destroyed) {
            return fault("wrapped key does not fit the key's state");
        }
        let info = KeyInfo {
            class,
            fek_id,
            tenant,
            state,
            kek_id,
            created,
            active_from,
            active_until,
            window_minutes,
        };
        Ok(KeyRecord { info, blob })
    })();
    parsed.map_err(|e| inside(e, offset))
}
