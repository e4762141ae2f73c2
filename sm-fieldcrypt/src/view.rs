//! What this process knows of the registry: verified, never older than it has been, and not for long.

use crate::class::FieldClass;
use crate::error::Error;
use crate::fieldkey::{FieldKey, KeyEntry, KeySet};
use crate::index::{IndexInfo, IndexKey, IndexKind};
use crate::kek::provider::KekProvider;
use crate::observe::{KeyUser, Operation};
use crate::record::{KeyRecord, KeyState};
use crate::registry::{Registry, UnverifiedRegistry, wrap_context};
use crate::resources::Resources;
use crate::secret::SecretBytes;
use crate::store::{EpochAnchor, RegistryStore};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use zeroize::Zeroizing;

/// From this age on, in seconds, the registry is read again when it is needed.
const REFRESH_AGE: u64 = 30;
/// Session keys are forgotten after so many seconds.
const SESSION_LIFE: u64 = 600;

/// Key sets by class id and, for classes with a key per tenant, tenant.
type KeySets = HashMap<(u16, Option<String>), Arc<KeySet>>;

/// A registry as loaded, with the key sets made from it so far.
pub(crate) struct Loaded {
    bytes: Vec<u8>,
    pub(crate) registry: Registry,
    sets: Mutex<KeySets>,
}

/// The registry as known, and since when.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(crate) loaded: Arc<Loaded>,
    /// When it was last known to be the registry, Unix seconds.
    pub(crate) at: u64,
}

/// The registry, its KEK, and the field keys unwrapped so far.
pub(crate) struct View {
    pub(crate) kek: Arc<dyn KekProvider>,
    store: Arc<dyn RegistryStore>,
    anchor: Option<Arc<dyn EpochAnchor>>,
    pub(crate) resources: Arc<Resources>,
    snapshot: RwLock<Snapshot>,
    field_keys: Mutex<HashMap<(u16, u32), Arc<FieldKey>>>,
    index_keys: Mutex<HashMap<IndexKeyId, Arc<IndexKey>>>,
}

/// Which version of which index.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct IndexKeyId {
    tenant: String,
    table: String,
    column: String,
    kind: IndexKind,
    version: u16,
}

impl IndexKeyId {
    pub(crate) fn of(info: &IndexInfo) -> Self {
        Self {
            tenant: info.tenant.clone(),
            table: info.table.clone(),
            column: info.column.clone(),
            kind: info.kind,
            version: info.version,
        }
    }
}

impl View {
    /// Loads the registry; makes an empty one if there is none and `create` says so.
    pub(crate) async fn open(
        kek: Arc<dyn KekProvider>,
        store: Arc<dyn RegistryStore>,
        anchor: Option<Arc<dyn EpochAnchor>>,
        resources: Arc<Resources>,
        create: bool,
    ) -> Result<Self, Error> {
        let now = resources.clock.unix_seconds();
        let loaded = match load(&*kek, &*store, anchor.as_deref(), None).await {
            Err(Error::RegistryMissing) if create => {
                let mut id = [0_u8; 16];
                resources.random.fill(&mut id)?;
                let registry = Registry::new(id, &*kek);
                match store.replace(None, &registry.encode(&*kek).await?).await {
                    // A conflict: another node has just made one, and it is ours as well.
                    Ok(()) | Err(Error::RegistryConflict) => {}
                    Err(e) => return Err(e),
                }
                load(&*kek, &*store, anchor.as_deref(), None).await?
            }
            other => other?,
        };
        let snapshot = RwLock::new(Snapshot { loaded, at: now });
        Ok(Self {
            kek,
            store,
            anchor,
            resources,
            snapshot,
            field_keys: Mutex::default(),
            index_keys: Mutex::default(),
        })
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.snapshot
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The registry as known, read again when that is due.
    pub(crate) async fn fresh(&self) -> Result<Snapshot, Error> {
        let held = self.snapshot();
        let resources = &self.resources;
        // A value under an unknown key asks for another look, at most once a second.
        let asked =
            resources.stale.load(Ordering::Acquire) && resources.clock.unix_seconds() > held.at;
        if !asked && resources.is_fresh(held.at, REFRESH_AGE) {
            return Ok(held);
        }
        match self.reload().await {
            // Storage or KEK is away: what is known holds until its time is over, then the ring fails closed.
            Err(
                Error::Io { .. }
                | Error::Storage { .. }
                | Error::RegistryLocked { .. }
                | Error::Kek { .. },
            ) if resources.is_fresh(held.at, resources.ttl) => Ok(held),
            other => other,
        }
    }

    /// Reads the registry again.
    pub(crate) async fn reload(&self) -> Result<Snapshot, Error> {
        let held = self.snapshot().loaded;
        let now = self.resources.clock.unix_seconds();
        self.resources.stale.store(false, Ordering::Release);
        let loaded = load(
            &*self.kek,
            &*self.store,
            self.anchor.as_deref(),
            Some(&held),
        )
        .await?;
        self.install(loaded, now)
    }

    /// Makes `loaded` what the ring knows, unless it has come to know something newer meanwhile. What it has come
    /// to know may also be another registry of the same epoch, which `load` could not see.
    fn install(&self, loaded: Arc<Loaded>, now: u64) -> Result<Snapshot, Error> {
        let snapshot = {
            let mut held = self
                .snapshot
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            let (epoch, known) = (loaded.registry.epoch, &held.loaded);
            if epoch == known.registry.epoch && loaded.bytes != known.bytes {
                return Err(Error::RegistryForked { epoch });
            }
            if epoch >= known.registry.epoch {
                *held = Snapshot { loaded, at: now };
            }
            held.clone()
        };
        let mut keys = self
            .field_keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // What is known now, under the lock: an install that was slow closes no key of a later one.
        let known = self.snapshot().loaded;
        let records = known.registry.records.iter();
        let usable: HashSet<(u16, u32)> = records
            .filter(|r| r.info.state.may_open())
            .map(|r| (r.info.class, r.info.fek_id))
            .collect();
        keys.retain(|id, key| {
            let keep = usable.contains(id);
            if !keep {
                key.close();
            }
            keep
        });
        drop(keys);
        self.close_index_keys();
        self.resources.sessions.retain(|id, born| {
            usable.contains(&(id.class, id.fek_id)) && now.saturating_sub(born) <= SESSION_LIFE
        });
        Ok(snapshot)
    }

    /// Lets go of the keys of index versions that may not be used any more.
    fn close_index_keys(&self) {
        let mut keys = self
            .index_keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let usable: HashSet<IndexKeyId> = usable_indexes(&self.snapshot());
        keys.retain(|id, key| {
            let keep = usable.contains(id);
            if !keep {
                key.close();
            }
            keep
        });
    }

    pub(crate) fn held_index_key(&self, id: &IndexKeyId) -> Option<Arc<IndexKey>> {
        let keys = self
            .index_keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        keys.get(id).cloned()
    }

    /// Keeps a key that was unwrapped, unless the registry has changed meanwhile so that it may not be used; the key to go
    /// on with.
    pub(crate) fn hold_index_key(&self, id: IndexKeyId, key: Arc<IndexKey>) -> Arc<IndexKey> {
        let mut keys = self
            .index_keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !usable_indexes(&self.snapshot()).contains(&id) {
            key.close();
            return key;
        }
        Arc::clone(keys.entry(id).or_insert(key))
    }

    /// Lets no key that was prepared before seal under this field key any more.
    pub(crate) fn retire(&self, class: u16, fek_id: u32) {
        let keys = self
            .field_keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = keys.get(&(class, fek_id)) {
            key.retire();
        }
    }

    /// Stores `registry` as the successor of `base` and makes it what the ring knows.
    pub(crate) async fn commit(
        &self,
        base: &Arc<Loaded>,
        mut registry: Registry,
    ) -> Result<(), Error> {
        registry.epoch = registry.epoch.checked_add(1).ok_or(Error::RegistryFull {
            what: "epochs are used up",
        })?;
        let bytes = registry.encode(&*self.kek).await?;
        self.store.replace(Some(&base.bytes), &bytes).await?;
        let epoch = registry.epoch;
        let now = self.resources.clock.unix_seconds();
        self.install(
            Arc::new(Loaded {
                bytes,
                registry,
                sets: Mutex::default(),
            }),
            now,
        )?;
        match self.anchor.as_deref() {
            Some(anchor) => anchor.raise(epoch).await,
            None => Ok(()),
        }
    }

    /// The usable keys of a class (and tenant), unwrapped. `None` when there are no records for it at all.
    pub(crate) async fn key_set(
        &self,
        loaded: &Arc<Loaded>,
        class: &FieldClass,
        tenant: &str,
        user: &KeyUser,
    ) -> Result<Option<Arc<KeySet>>, Error> {
        let tenant = class.is_per_tenant().then(|| tenant.to_string());
        let set_id = (class.id(), tenant);
        let held = loaded
            .sets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&set_id)
            .cloned();
        if held.is_some() {
            return Ok(held);
        }
        let of_class = |r: &&KeyRecord| r.info.class == class.id() && r.info.tenant == set_id.1;
        let records: Vec<&KeyRecord> = loaded.registry.records.iter().filter(of_class).collect();
        if records.is_empty() {
            return Ok(None);
        }
        let mut entries = Vec::new();
        for record in records.into_iter().filter(|r| r.info.state.may_open()) {
            let key = self
                .field_key(&loaded.registry, class, record, user)
                .await?;
            entries.push(KeyEntry {
                info: record.info.clone(),
                key,
            });
        }
        let set = Arc::new(KeySet::new(entries));
        let mut sets = loaded.sets.lock().unwrap_or_else(PoisonError::into_inner);
        sets.insert(set_id, Arc::clone(&set));
        Ok(Some(set))
    }

    async fn field_key(
        &self,
        registry: &Registry,
        class: &FieldClass,
        record: &KeyRecord,
        user: &KeyUser,
    ) -> Result<Arc<FieldKey>, Error> {
        let id = (record.info.class, record.info.fek_id);
        let lock = || {
            self.field_keys
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(key) = lock().get(&id) {
            return Ok(Arc::clone(key));
        }
        let of = KeyOf {
            name: class.name(),
            tenant: record.info.tenant.as_deref(),
        };
        let context = wrap_context(&registry.id, &record.info);
        let unwrapped = self
            .unwrap_key(of, &record.info.kek_id, &record.blob, &context, user)
            .await?;
        let bytes = key_bytes(&unwrapped, self.kek.id())?;
        let uri = format!("fek://{}/{}", class.name(), record.info.fek_id);
        let key = Arc::new(FieldKey::new(bytes, uri, &*self.resources.random)?);
        let mut keys = lock();
        // The registry may have changed while the KEK was at work, and the change met no key here to close.
        let state = self
            .snapshot()
            .loaded
            .registry
            .record(id.0, id.1)
            .map(|r| r.info.state);
        if state != Some(KeyState::Active) {
            key.retire();
        }
        if !state.is_some_and(KeyState::may_open) {
            key.close();
            return Ok(key);
        }
        // Two users may unwrap at once; all go on with the first one's.
        Ok(Arc::clone(keys.entry(id).or_insert(key)))
    }
}

/// Whose key it is, for guard and observer: the name of a class or an index, and the tenant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyOf<'a> {
    pub(crate) name: &'a str,
    pub(crate) tenant: Option<&'a str>,
}

impl View {
    /// Draws 32 bytes and has the KEK wrap them.
    pub(crate) async fn wrap_new_key(
        &self,
        of: KeyOf<'_>,
        context: &[u8],
        user: &KeyUser,
    ) -> Result<Vec<u8>, Error> {
        let kek = &self.kek;
        let key_use = user.key_use(kek.id(), of.name, of.tenant, Operation::WrapKey);
        self.resources.watch.authorize(&key_use)?;
        let mut key = Zeroizing::new(vec![0_u8; 32]);
        self.resources.random.fill(&mut key)?;
        let key = SecretBytes::new(std::mem::take(&mut *key));
        let blob = kek.wrap_key(&key, context).await;
        self.resources.watch.report_end(&key_use, blob.is_ok())?;
        match blob {
            Ok(blob) if blob.is_empty() => Err(Error::Kek {
                provider: kek.id().into(),
                reason: "it returned an empty wrapped key".into(),
            }),
            other => other,
        }
    }

    /// Has the KEK unwrap a key that was wrapped under it.
    pub(crate) async fn unwrap_key(
        &self,
        of: KeyOf<'_>,
        kek_id: &str,
        blob: &[u8],
        context: &[u8],
        user: &KeyUser,
    ) -> Result<SecretBytes, Error> {
        let kek = &self.kek;
        if kek_id != kek.id() {
            return Err(Error::RegistryKek {
                found: kek_id.into(),
                provider: kek.id().into(),
            });
        }
        let key_use = user.key_use(kek.id(), of.name, of.tenant, Operation::UnwrapKey);
        self.resources.watch.authorize(&key_use)?;
        let unwrapped = kek.unwrap_key(blob, context).await;
        self.resources
            .watch
            .report_end(&key_use, unwrapped.is_ok())?;
        unwrapped
    }
}

/// The 32 bytes that every key has.
pub(crate) fn key_bytes<'a>(key: &'a SecretBytes, kek_id: &str) -> Result<&'a [u8; 32], Error> {
    key.expose().try_into().map_err(|_| Error::Kek {
        provider: kek_id.into(),
        reason: "it unwrapped a key that does not have 32 bytes".into(),
    })
}

fn usable_indexes(snapshot: &Snapshot) -> HashSet<IndexKeyId> {
    let records = snapshot.loaded.registry.indexes.iter();
    records
        .filter(|record| record.info.state.may_open())
        .map(|record| IndexKeyId::of(&record.info))
        .collect()
}

/// Reads, parses and verifies the registry, and holds its epoch against what is known: `held` (this process) and
/// the anchor. Bytes that have been verified before are not verified again.
async fn load(
    kek: &dyn KekProvider,
    store: &dyn RegistryStore,
    anchor: Option<&dyn EpochAnchor>,
    held: Option<&Arc<Loaded>>,
) -> Result<Arc<Loaded>, Error> {
    let anchored = match anchor {
        Some(anchor) => anchor.highest().await?,
        None => 0,
    };
    let seen = held.map_or(0, |held| held.registry.epoch).max(anchored);
    let Some(bytes) = store.load().await? else {
        return Err(match seen {
            0 => Error::RegistryMissing,
            _ => Error::RegistryRolledBack { seen, found: 0 },
        });
    };
    let loaded = match held {
        Some(held) if held.bytes == bytes => Arc::clone(held),
        _ => {
            let registry = UnverifiedRegistry::parse(&bytes)?.verify(kek).await?;
            Arc::new(Loaded {
                bytes,
                registry,
                sets: Mutex::default(),
            })
        }
    };
    let found = loaded.registry.epoch;
    if found < seen {
        return Err(Error::RegistryRolledBack { seen, found });
    }
    if let Some(held) = held.filter(|held| !Arc::ptr_eq(held, &loaded)) {
        if held.registry.epoch == found {
            return Err(Error::RegistryForked { epoch: found });
        }
        if held.registry.id != loaded.registry.id {
            return Err(Error::RegistryIntegrity {
                what: "the registry's identity".into(),
            });
        }
    }
    if let Some(anchor) = anchor.filter(|_| found > anchored) {
        anchor.raise(found).await?;
    }
    Ok(loaded)
}
