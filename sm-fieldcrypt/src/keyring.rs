//! The key ring: from KEK and registry to prepared keys, and the administration of field keys.

use crate::class::FieldClass;
use crate::clock::{Clock, SystemClock};
use crate::context::valid_tenant;
use crate::error::Error;
use crate::fieldkey::{FieldKey, KeyEntry, KeySet};
use crate::kek::provider::KekProvider;
use crate::observe::{
    KeyUse, KeyUseGuard, KeyUseObserver, KeyUser, ObserverMode, Operation, Outcome, Watch,
};
use crate::random::{OsRandom, RandomSource};
use crate::record::{KeyInfo, KeyRecord, KeyState};
use crate::registry::{Registry, UnverifiedRegistry, wrap_context};
use crate::seal::{PreparedKey, Resources, minutes};
use crate::secret::SecretBytes;
use crate::session::SessionCache;
use crate::store::{EpochAnchor, RegistryStore};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Longest life of registry knowledge, in seconds.
const TTL: u64 = 60;
/// From this age on, `prepare` reads the registry again.
const REFRESH_AGE: u64 = 30;
/// Session keys are forgotten after so many seconds.
const SESSION_LIFE: u64 = 600;
const SESSIONS: usize = 4096;
/// Conflicts with other writers after which a change gives up.
const ATTEMPTS: u32 = 64;
const MINUTES_A_DAY: u32 = 1440;

/// Key sets by class id and, for classes with a key per tenant, tenant.
type KeySets = HashMap<(u16, Option<String>), Arc<KeySet>>;

/// A registry as loaded, with the key sets made from it so far.
struct Loaded {
    bytes: Vec<u8>,
    registry: Registry,
    sets: Mutex<KeySets>,
}

#[derive(Clone)]
struct Snapshot {
    loaded: Arc<Loaded>,
    at: u64,
}

struct Inner {
    kek: Arc<dyn KekProvider>,
    store: Arc<dyn RegistryStore>,
    anchor: Option<Arc<dyn EpochAnchor>>,
    classes: HashMap<String, Arc<FieldClass>>,
    resources: Arc<Resources>,
    auto_rotate: bool,
    snapshot: RwLock<Snapshot>,
    field_keys: Mutex<HashMap<(u16, u32), Arc<FieldKey>>>,
}

/// The field keys of a service. Cheap to clone; share one per process.
///
/// It holds what it knows of the registry for at most 60 seconds. When storage is unreachable for longer,
/// [`prepare`](Self::prepare) fails: an old key is not used on hope. A registry older than one it has seen is
/// refused.
#[derive(Clone)]
pub struct KeyRing {
    inner: Arc<Inner>,
}

/// Collects what a [`KeyRing`] is made of.
#[must_use]
pub struct KeyRingBuilder {
    kek: Arc<dyn KekProvider>,
    store: Arc<dyn RegistryStore>,
    anchor: Option<Arc<dyn EpochAnchor>>,
    classes: Vec<FieldClass>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn RandomSource>,
    watch: Watch,
    create_registry: bool,
    auto_rotate: bool,
    seals_per_salt: u32,
}

impl KeyRingBuilder {
    /// Adds a field class.
    pub fn class(mut self, class: FieldClass) -> Self {
        self.classes.push(class);
        self
    }

    /// The clock; the operating system's unless set.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The random generator; the operating system's unless set. A predictable one breaks everything.
    pub fn random(mut self, random: Arc<dyn RandomSource>) -> Self {
        self.random = random;
        self
    }

    /// Who decides on key use. Without one, whoever holds the ring may use every key.
    pub fn guard(mut self, guard: Arc<dyn KeyUseGuard>) -> Self {
        self.watch.guard = Some(guard);
        self
    }

    /// Who is told of key use, and what its refusal means.
    pub fn observer(mut self, observer: Arc<dyn KeyUseObserver>, mode: ObserverMode) -> Self {
        self.watch.observer = Some((observer, mode));
        self
    }

    /// Where the highest epoch is remembered across restarts.
    pub fn epoch_anchor(mut self, anchor: Arc<dyn EpochAnchor>) -> Self {
        self.anchor = Some(anchor);
        self
    }

    /// Makes an empty registry when storage has none. Without it, a missing registry (a wrong path, a lost disk) is
    /// an error, so that nobody starts afresh by mistake.
    pub fn create_registry(mut self) -> Self {
        self.create_registry = true;
        self
    }

    /// Lets [`KeyRing::prepare`] make the first key of a class (and tenant), and a new one when the primary's
    /// period is over. Without it, both are done by [`KeyRing::rotate`] alone.
    pub fn auto_rotate(mut self) -> Self {
        self.auto_rotate = true;
        self
    }

    /// How many values this process seals with one field key before it draws a new salt: 2^32 - 1 unless set.
    pub fn seals_per_salt(mut self, values: u32) -> Self {
        self.seals_per_salt = values;
        self
    }

    /// Loads and verifies the registry.
    ///
    /// # Errors
    /// [`Error::Config`] for impossible or clashing classes, [`Error::RegistryMissing`], and every error of storage,
    /// KEK and registry.
    pub async fn build(self) -> Result<KeyRing, Error> {
        let config = |what: String| Err(Error::Config { what });
        if self.kek.id().is_empty() || self.kek.id().len() > 255 {
            return config("the kek id needs 1 to 255 bytes".into());
        }
        if self.classes.is_empty() {
            return config("the ring has no field class".into());
        }
        if self.seals_per_salt == 0 {
            return config("seals_per_salt needs at least 1".into());
        }
        let mut ids = HashSet::new();
        let mut classes = HashMap::new();
        for class in self.classes {
            class.validate()?;
            if !ids.insert(class.id()) {
                return config(format!("two field classes have id {}", class.id()));
            }
            if let Some(other) = classes.insert(class.name().to_string(), Arc::new(class)) {
                return config(format!("two field classes are named {:?}", other.name()));
            }
        }
        let (kek, store, anchor) = (&*self.kek, &*self.store, self.anchor.as_deref());
        let now = self.clock.unix_seconds();
        let loaded = match load(kek, store, anchor, 0).await {
            Err(Error::RegistryMissing) if self.create_registry => {
                let mut id = [0_u8; 16];
                self.random.fill(&mut id)?;
                let registry = Registry::new(id, kek);
                match store.replace(None, &registry.encode(kek).await?).await {
                    // Lost the race to another node: its registry is ours.
                    Ok(()) | Err(Error::RegistryConflict) => load(kek, store, anchor, 0).await?,
                    Err(e) => return Err(e),
                }
            }
            other => other?,
        };
        let resources = Resources {
            clock: self.clock,
            random: self.random,
            watch: self.watch,
            sessions: SessionCache::new(SESSIONS),
            seals_per_salt: self.seals_per_salt,
            ttl: TTL,
            stale: AtomicBool::new(false),
        };
        Ok(KeyRing {
            inner: Arc::new(Inner {
                kek: self.kek,
                store: self.store,
                anchor: self.anchor,
                classes,
                resources: Arc::new(resources),
                auto_rotate: self.auto_rotate,
                snapshot: RwLock::new(Snapshot {
                    loaded: Arc::new(loaded),
                    at: now,
                }),
                field_keys: Mutex::default(),
            }),
        })
    }
}

impl KeyRing {
    /// Starts a ring over a KEK and a registry's storage.
    pub fn builder(kek: Arc<dyn KekProvider>, store: Arc<dyn RegistryStore>) -> KeyRingBuilder {
        KeyRingBuilder {
            kek,
            store,
            anchor: None,
            classes: Vec::new(),
            clock: Arc::new(SystemClock),
            random: Arc::new(OsRandom),
            watch: Watch::default(),
            create_registry: false,
            auto_rotate: false,
            seals_per_salt: u32::MAX,
        }
    }

    /// Makes the keys of a class ready for a tenant, on behalf of a user. Asks the guard first. Does I/O only when
    /// what the ring knows is older than 30 seconds or a key has not been unwrapped yet; call it once a request.
    ///
    /// # Errors
    /// [`Error::UnknownClass`], [`Error::Context`] for an impossible tenant, [`Error::Refused`], [`Error::NoKey`]
    /// when the class (and tenant) has no key at all, and every error of storage, KEK and registry.
    pub async fn prepare(
        &self,
        class: &str,
        tenant: &str,
        user: &KeyUser,
    ) -> Result<PreparedKey, Error> {
        let class = self.class(class)?;
        valid_tenant(tenant)?;
        let uri = format!("fek://{}", class.name());
        let key_use = self.key_use(&uri, &class, Some(tenant), Operation::Prepare, user);
        self.inner.resources.watch.authorize(&key_use)?;
        let prepared = self.prepare_authorized(&class, tenant, user).await;
        self.report(&key_use, prepared.is_ok())?;
        prepared
    }

    async fn prepare_authorized(
        &self,
        class: &Arc<FieldClass>,
        tenant: &str,
        user: &KeyUser,
    ) -> Result<PreparedKey, Error> {
        let mut snapshot = self.fresh_snapshot().await?;
        let mut keys = self.key_set(&snapshot.loaded, class, tenant, user).await?;
        let now = minutes(self.inner.resources.clock.unix_seconds());
        let sealable = |keys: &Option<Arc<KeySet>>| {
            keys.as_ref()
                .is_some_and(|keys| keys.primary(now).is_some())
        };
        if self.inner.auto_rotate && !sealable(&keys) {
            let of = class.is_per_tenant().then_some(tenant);
            self.rotate_class(class, of, user, true).await?;
            snapshot = self.snapshot();
            keys = self.key_set(&snapshot.loaded, class, tenant, user).await?;
        }
        let keys = keys.ok_or_else(|| Error::NoKey {
            class: class.name().into(),
            tenant: class.is_per_tenant().then(|| tenant.to_string()),
        })?;
        Ok(PreparedKey {
            class: Arc::clone(class),
            tenant: tenant.into(),
            user: user.clone(),
            keys,
            resources: Arc::clone(&self.inner.resources),
            loaded_at: snapshot.at,
        })
    }

    /// Makes a new primary field key for a class, the first one too; the one before opens only from now on. `tenant`
    /// is given for classes with a key per tenant, and only for them.
    ///
    /// Other nodes notice within 60 seconds, or when they meet a value under the new key: its opening fails there with
    /// [`Error::UnknownKey`] until the next `prepare`.
    ///
    /// # Errors
    /// [`Error::UnknownClass`], [`Error::Context`], [`Error::Refused`], and every error of storage, KEK and
    /// registry. The registry is then as before, or, after a failure of storage, possibly already changed.
    pub async fn rotate(
        &self,
        class: &str,
        tenant: Option<&str>,
        user: &KeyUser,
    ) -> Result<KeyInfo, Error> {
        let class = self.class(class)?;
        match tenant {
            Some(tenant) => valid_tenant(tenant)?,
            None if class.is_per_tenant() => {
                return Err(Error::Context {
                    what: "the class has a key per tenant: name one",
                });
            }
            None => {}
        }
        if tenant.is_some() && !class.is_per_tenant() {
            return Err(Error::Context {
                what: "the class has one key for all tenants",
            });
        }
        self.rotate_class(&class, tenant, user, false).await
    }

    async fn rotate_class(
        &self,
        class: &Arc<FieldClass>,
        tenant: Option<&str>,
        user: &KeyUser,
        only_if_needed: bool,
    ) -> Result<KeyInfo, Error> {
        let uri = format!("fek://{}", class.name());
        let key_use = self.key_use(&uri, class, tenant, Operation::Rotate, user);
        self.inner.resources.watch.authorize(&key_use)?;
        // What cannot be recorded is not begun.
        self.inner.resources.watch.report(&key_use)?;
        let result = self
            .rotate_authorized(class, tenant, user, only_if_needed)
            .await;
        // The change stands whatever the observer says now; it has had its chance to refuse.
        let _ = self.report(&key_use, result.is_ok());
        result
    }

    async fn rotate_authorized(
        &self,
        class: &Arc<FieldClass>,
        tenant: Option<&str>,
        user: &KeyUser,
        only_if_needed: bool,
    ) -> Result<KeyInfo, Error> {
        for _ in 0..ATTEMPTS {
            let base = self.reload().await?.loaded;
            let mut registry = base.registry.clone();
            let now = self.inner.resources.clock.unix_seconds();
            let serves =
                |info: &KeyInfo| info.class == class.id() && info.tenant.as_deref() == tenant;
            if only_if_needed {
                // Another node may have done it meanwhile.
                let sealing = registry
                    .records
                    .iter()
                    .find(|r| serves(&r.info) && r.info.sealing_window(minutes(now)).is_ok());
                if let Some(record) = sealing {
                    return Ok(record.info.clone());
                }
            }
            for record in registry.records.iter_mut().filter(|r| serves(&r.info)) {
                if record.info.state == KeyState::Active {
                    record.info.state = KeyState::DecryptOnly;
                }
            }
            let info = self.new_key_info(&registry, class, tenant, now)?;
            let blob = self.wrap_new_key(&registry, class, &info, user).await?;
            registry.insert(KeyRecord {
                info: info.clone(),
                blob,
            });
            match self.commit(&base, registry).await {
                Err(Error::RegistryConflict) => {}
                other => return other.map(|()| info),
            }
        }
        Err(Error::RegistryConflict)
    }

    fn new_key_info(
        &self,
        registry: &Registry,
        class: &FieldClass,
        tenant: Option<&str>,
        now: u64,
    ) -> Result<KeyInfo, Error> {
        let window = class.window_length();
        let into_window = minutes(now).checked_rem(window).unwrap_or_default();
        let active_from = minutes(now).saturating_sub(into_window);
        let period = class.period_days().saturating_mul(MINUTES_A_DAY);
        Ok(KeyInfo {
            class: class.id(),
            fek_id: registry.next_fek_id(class.id())?,
            tenant: tenant.map(Into::into),
            state: KeyState::Active,
            kek_id: self.inner.kek.id().into(),
            created: now,
            active_from,
            active_until: active_from.saturating_add(period),
            window_minutes: window,
        })
    }

    async fn wrap_new_key(
        &self,
        registry: &Registry,
        class: &FieldClass,
        info: &KeyInfo,
        user: &KeyUser,
    ) -> Result<Vec<u8>, Error> {
        let kek = &self.inner.kek;
        let tenant = info.tenant.as_deref();
        let key_use = self.key_use(kek.id(), class, tenant, Operation::WrapKey, user);
        self.inner.resources.watch.authorize(&key_use)?;
        let mut key = zeroize::Zeroizing::new(vec![0_u8; 32]);
        self.inner.resources.random.fill(&mut key)?;
        let key = SecretBytes::new(std::mem::take(&mut *key));
        let blob = kek.wrap_key(&key, &wrap_context(&registry.id, info)).await;
        self.report(&key_use, blob.is_ok())?;
        match blob {
            Ok(blob) if blob.is_empty() => Err(Error::Kek {
                provider: kek.id().into(),
                reason: "it returned an empty wrapped key".into(),
            }),
            other => other,
        }
    }

    /// Changes the state of a field key. Legal changes: active → decrypt-only, disabled; decrypt-only → disabled,
    /// destroyed; disabled → decrypt-only, destroyed; pre-active → disabled, destroyed. This ring acts on it at once,
    /// prepared keys included; other nodes within 60 seconds.
    ///
    /// Destroying removes the wrapped key from the registry for good. It shreds what was sealed under it only when
    /// the registry's backups are gone as well (or the KEK is destroyed), and caches have expired.
    ///
    /// # Errors
    /// [`Error::UnknownKey`], [`Error::KeyState`] for any other change, [`Error::Refused`], and every error of
    /// storage, KEK and registry.
    pub async fn change_state(
        &self,
        class: &str,
        fek_id: u32,
        to: KeyState,
        user: &KeyUser,
    ) -> Result<(), Error> {
        let class = self.class(class)?;
        let uri = format!("fek://{}/{fek_id}", class.name());
        let tenant = self
            .keys()
            .into_iter()
            .find(|k| k.class == class.id() && k.fek_id == fek_id);
        let tenant = tenant.and_then(|k| k.tenant);
        let key_use = self.key_use(
            &uri,
            &class,
            tenant.as_deref(),
            Operation::ChangeState,
            user,
        );
        self.inner.resources.watch.authorize(&key_use)?;
        self.inner.resources.watch.report(&key_use)?;
        let result = self.change_state_authorized(&class, fek_id, to).await;
        let _ = self.report(&key_use, result.is_ok());
        result
    }

    async fn change_state_authorized(
        &self,
        class: &FieldClass,
        fek_id: u32,
        to: KeyState,
    ) -> Result<(), Error> {
        for _ in 0..ATTEMPTS {
            let base = self.reload().await?.loaded;
            let mut registry = base.registry.clone();
            let record = registry
                .records
                .iter_mut()
                .find(|r| r.info.class == class.id() && r.info.fek_id == fek_id)
                .ok_or(Error::UnknownKey {
                    class: class.id(),
                    fek_id,
                })?;
            record.info.check_change(to)?;
            record.info.state = to;
            if to == KeyState::Destroyed {
                record.blob = Vec::new();
            }
            match self.commit(&base, registry).await {
                Err(Error::RegistryConflict) => {}
                other => return other,
            }
        }
        Err(Error::RegistryConflict)
    }

    /// Reads the registry again, now. `prepare` does so by itself when it is time.
    ///
    /// # Errors
    /// Every error of storage, KEK and registry.
    pub async fn refresh(&self) -> Result<(), Error> {
        self.reload().await.map(|_| ())
    }

    /// What the ring knows of every field key, ordered by class and id.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyInfo> {
        self.snapshot()
            .loaded
            .registry
            .records
            .iter()
            .map(|r| r.info.clone())
            .collect()
    }

    /// The registry's epoch: it grows by one with every change.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.snapshot().loaded.registry.epoch
    }

    fn class(&self, name: &str) -> Result<Arc<FieldClass>, Error> {
        let class = self.inner.classes.get(name).cloned();
        class.ok_or_else(|| Error::UnknownClass { name: name.into() })
    }

    fn snapshot(&self) -> Snapshot {
        self.inner
            .snapshot
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn fresh_snapshot(&self) -> Result<Snapshot, Error> {
        let held = self.snapshot();
        let resources = &self.inner.resources;
        let now = resources.clock.unix_seconds();
        // A value under an unknown key asks for another look, at most once a second.
        let asked = resources.stale.load(Ordering::Acquire) && now > held.at;
        if !asked && resources.is_fresh(held.at, REFRESH_AGE) {
            return Ok(held);
        }
        match self.reload().await {
            Ok(snapshot) => Ok(snapshot),
            // Storage is away: what is known holds until its time is over, then the ring fails closed.
            Err(Error::Io { .. } | Error::RegistryLocked { .. })
                if resources.is_fresh(held.at, TTL) =>
            {
                Ok(held)
            }
            Err(e) => Err(e),
        }
    }

    async fn reload(&self) -> Result<Snapshot, Error> {
        let inner = &self.inner;
        let held = self.snapshot();
        let now = inner.resources.clock.unix_seconds();
        inner.resources.stale.store(false, Ordering::Release);
        let floor = held.loaded.registry.epoch;
        let anchor = inner.anchor.as_deref();
        if anchor.is_none() {
            let bytes = inner.store.load().await?;
            if bytes.as_ref() == Some(&held.loaded.bytes) {
                return Ok(self.install(Arc::clone(&held.loaded), now));
            }
        }
        let loaded = load(&*inner.kek, &*inner.store, anchor, floor).await?;
        if loaded.registry.epoch == floor && loaded.bytes != held.loaded.bytes {
            return Err(Error::RegistryForked { epoch: floor });
        }
        if loaded.registry.id != held.loaded.registry.id {
            return Err(Error::RegistryIntegrity {
                what: "the registry's identity".into(),
            });
        }
        if loaded.bytes == held.loaded.bytes {
            return Ok(self.install(Arc::clone(&held.loaded), now));
        }
        Ok(self.install(Arc::new(loaded), now))
    }

    /// Makes `loaded` what the ring knows, unless it has come to know something newer meanwhile.
    fn install(&self, loaded: Arc<Loaded>, now: u64) -> Snapshot {
        let inner = &self.inner;
        let snapshot = {
            let mut held = inner
                .snapshot
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            if loaded.registry.epoch >= held.loaded.registry.epoch {
                *held = Snapshot { loaded, at: now };
            }
            held.clone()
        };
        let usable: HashSet<(u16, u32)> = snapshot
            .loaded
            .registry
            .records
            .iter()
            .filter(|r| r.info.state.may_open())
            .map(|r| (r.info.class, r.info.fek_id))
            .collect();
        let mut keys = inner
            .field_keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        keys.retain(|id, key| {
            let keep = usable.contains(id);
            if !keep {
                key.close();
            }
            keep
        });
        drop(keys);
        inner.resources.sessions.retain(|id, born| {
            usable.contains(&(id.class, id.fek_id)) && now.saturating_sub(born) <= SESSION_LIFE
        });
        snapshot
    }

    /// Stores `registry` as the successor of `base` and makes it what the ring knows.
    async fn commit(&self, base: &Arc<Loaded>, mut registry: Registry) -> Result<(), Error> {
        let inner = &self.inner;
        registry.epoch = registry.epoch.checked_add(1).ok_or(Error::RegistryFull {
            what: "epochs are used up",
        })?;
        let bytes = registry.encode(&*inner.kek).await?;
        inner.store.replace(Some(&base.bytes), &bytes).await?;
        let epoch = registry.epoch;
        let now = inner.resources.clock.unix_seconds();
        self.install(
            Arc::new(Loaded {
                bytes,
                registry,
                sets: Mutex::default(),
            }),
            now,
        );
        match inner.anchor.as_deref() {
            Some(anchor) => anchor.raise(epoch).await,
            None => Ok(()),
        }
    }

    /// The usable keys of a class (and tenant), unwrapped. `None` when there are no records for it at all.
    async fn key_set(
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
            self.inner
                .field_keys
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(key) = lock().get(&id) {
            return Ok(Arc::clone(key));
        }
        let kek = &self.inner.kek;
        if record.info.kek_id != kek.id() {
            return Err(Error::RegistryKek {
                found: record.info.kek_id.clone(),
                provider: kek.id().into(),
            });
        }
        let tenant = record.info.tenant.as_deref();
        let key_use = self.key_use(kek.id(), class, tenant, Operation::UnwrapKey, user);
        self.inner.resources.watch.authorize(&key_use)?;
        let context = wrap_context(&registry.id, &record.info);
        let unwrapped = kek.unwrap_key(&record.blob, &context).await;
        self.report(&key_use, unwrapped.is_ok())?;
        let unwrapped = unwrapped?;
        let bytes: &[u8; 32] = unwrapped.expose().try_into().map_err(|_| Error::Kek {
            provider: kek.id().into(),
            reason: "it unwrapped a key that does not have 32 bytes".into(),
        })?;
        let uri = format!("fek://{}/{}", class.name(), record.info.fek_id);
        let key = Arc::new(FieldKey::new(bytes, uri, &*self.inner.resources.random)?);
        // Two users may unwrap at once; all go on with the first one's.
        Ok(Arc::clone(lock().entry(id).or_insert(key)))
    }

    fn key_use<'a>(
        &self,
        key_id: &'a str,
        class: &'a FieldClass,
        tenant: Option<&'a str>,
        operation: Operation,
        user: &'a KeyUser,
    ) -> KeyUse<'a> {
        let mut key_use = KeyUse::new(user.principal(), key_id, class.name(), operation);
        key_use.tenant = tenant;
        key_use.trace_id = user.trace_id();
        key_use
    }

    fn report(&self, key_use: &KeyUse<'_>, succeeded: bool) -> Result<(), Error> {
        let outcome = if succeeded {
            Outcome::Succeeded
        } else {
            Outcome::Failed
        };
        self.inner.resources.watch.report(&KeyUse {
            outcome,
            ..*key_use
        })
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("kek", &self.inner.kek.id())
            .field("epoch", &self.epoch())
            .finish_non_exhaustive()
    }
}

/// Reads, parses and verifies the registry, and holds its epoch against what is known: `floor` (this process) and
/// the anchor.
async fn load(
    kek: &dyn KekProvider,
    store: &dyn RegistryStore,
    anchor: Option<&dyn EpochAnchor>,
    floor: u64,
) -> Result<Loaded, Error> {
    let anchored = match anchor {
        Some(anchor) => anchor.highest().await?,
        None => 0,
    };
    let seen = floor.max(anchored);
    let Some(bytes) = store.load().await? else {
        return Err(match seen {
            0 => Error::RegistryMissing,
            _ => Error::RegistryRolledBack { seen, found: 0 },
        });
    };
    let registry = UnverifiedRegistry::parse(&bytes)?.verify(kek).await?;
    if registry.epoch < seen {
        return Err(Error::RegistryRolledBack {
            seen,
            found: registry.epoch,
        });
    }
    if let Some(anchor) = anchor.filter(|_| registry.epoch > anchored) {
        anchor.raise(registry.epoch).await?;
    }
    Ok(Loaded {
        bytes,
        registry,
        sets: Mutex::default(),
    })
}
