//! The key ring: where a service gets its prepared keys, and where field keys are administered.

use crate::class::FieldClass;
use crate::clock::{Clock, SystemClock};
use crate::context::valid_tenant;
use crate::error::Error;
use crate::fieldkey::KeySet;
use crate::index::BlindIndex;
use crate::kek::provider::KekProvider;
use crate::observe::{KeyUseGuard, KeyUseObserver, KeyUser, ObserverMode, Operation, Watch};
use crate::random::{OsRandom, RandomSource};
use crate::record::{KeyInfo, KeyState};
use crate::resources::{Resources, minutes};
use crate::rotation::{self, Rotation};
use crate::seal::PreparedKey;
use crate::session::SessionCache;
use crate::store::{EpochAnchor, RegistryStore};
use crate::view::{Snapshot, View};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Longest life of registry knowledge, in seconds.
const TTL: u64 = 60;
const SESSIONS: usize = 4096;

struct Inner {
    classes: HashMap<String, Arc<FieldClass>>,
    indexes: HashMap<String, Arc<BlindIndex>>,
    auto_rotate: bool,
    view: View,
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
    indexes: Vec<BlindIndex>,
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

    /// Adds a blind index.
    pub fn index(mut self, index: BlindIndex) -> Self {
        self.indexes.push(index);
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
    /// period is over; the guard is asked for [`Operation::Rotate`] on behalf of the same user. When that fails
    /// (refused, storage away) and there are older keys, values under them still open. Older keys stay active in the
    /// registry, their period over. Without this, keys are made by [`KeyRing::rotate`] alone.
    ///
    /// With classes that have a key per tenant, every new tenant name makes a key: take tenants from verified claims
    /// only.
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
        let mut indexes: HashMap<String, Arc<BlindIndex>> = HashMap::new();
        for index in self.indexes {
            index.validate()?;
            let place = |index: &BlindIndex| {
                (
                    index.table().to_owned(),
                    index.column().to_owned(),
                    index.kind(),
                )
            };
            if let Some(other) = indexes.values().find(|other| place(other) == place(&index)) {
                return config(format!(
                    "{:?} and {:?} are one index",
                    other.name(),
                    index.name()
                ));
            }
            if let Some(other) = indexes.insert(index.name().to_owned(), Arc::new(index)) {
                return config(format!("two indexes are named {:?}", other.name()));
            }
        }
        let resources = Resources {
            clock: self.clock,
            random: self.random,
            watch: self.watch,
            sessions: SessionCache::new(SESSIONS),
            seals_per_salt: self.seals_per_salt,
            ttl: TTL,
            stale: AtomicBool::new(false),
        };
        let resources = Arc::new(resources);
        let view = View::open(
            self.kek,
            self.store,
            self.anchor,
            resources,
            self.create_registry,
        )
        .await?;
        let inner = Inner {
            classes,
            indexes,
            auto_rotate: self.auto_rotate,
            view,
        };
        Ok(KeyRing {
            inner: Arc::new(inner),
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
            indexes: Vec::new(),
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
        let key_use = user.key_use(&uri, class.name(), Some(tenant), Operation::Prepare);
        self.inner.view.resources.watch.authorize(&key_use)?;
        let prepared = self.prepare_authorized(&class, tenant, user).await;
        self.inner
            .view
            .resources
            .watch
            .report_end(&key_use, prepared.is_ok())?;
        prepared
    }

    async fn prepare_authorized(
        &self,
        class: &Arc<FieldClass>,
        tenant: &str,
        user: &KeyUser,
    ) -> Result<PreparedKey, Error> {
        let mut snapshot = self.inner.view.fresh().await?;
        let mut keys = self
            .inner
            .view
            .key_set(&snapshot.loaded, class, tenant, user)
            .await?;
        let now = minutes(self.inner.view.resources.clock.unix_seconds());
        let sealable = |keys: &Option<Arc<KeySet>>| {
            keys.as_ref()
                .is_some_and(|keys| keys.primary(now).is_some())
        };
        if self.inner.auto_rotate && !sealable(&keys) {
            let of = class.is_per_tenant().then_some(tenant);
            match self.rotate_class(class, of, user, Rotation::IfNeeded).await {
                Ok(_) => {
                    snapshot = self.inner.view.snapshot();
                    keys = self
                        .inner
                        .view
                        .key_set(&snapshot.loaded, class, tenant, user)
                        .await?;
                }
                // Old values still open; sealing will say that there is no key for it.
                Err(_) if keys.is_some() => {}
                Err(e) => return Err(e),
            }
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
            resources: Arc::clone(&self.inner.view.resources),
            loaded_at: snapshot.at,
        })
    }

    /// Makes a new primary field key for a class, the first one too; the one before opens only from now on, but for
    /// keys prepared earlier, which go on as they were until they expire. `tenant` is given for classes with a key
    /// per tenant, and only for them.
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
        self.rotate_named(class, tenant, user, Rotation::Now).await
    }

    /// Makes the next primary field key and lets the one before go on until every node knows the new one: about a quarter
    /// of an hour and a window, which its [`active_from`](KeyInfo::active_from) tells. So no node meets a value that it cannot
    /// open. The key before stays active in the registry; nothing is sealed under it once the new one has begun. Where
    /// no key seals, the new one begins at once.
    ///
    /// For a rotation by the calendar. [`rotate`](Self::rotate) is for when a key must not be used any more.
    ///
    /// # Errors
    /// As [`rotate`](Self::rotate).
    pub async fn rotate_ahead(
        &self,
        class: &str,
        tenant: Option<&str>,
        user: &KeyUser,
    ) -> Result<KeyInfo, Error> {
        self.rotate_named(class, tenant, user, Rotation::Ahead)
            .await
    }

    async fn rotate_named(
        &self,
        class: &str,
        tenant: Option<&str>,
        user: &KeyUser,
        rotation: Rotation,
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
        self.rotate_class(&class, tenant, user, rotation).await
    }

    async fn rotate_class(
        &self,
        class: &Arc<FieldClass>,
        tenant: Option<&str>,
        user: &KeyUser,
        rotation: Rotation,
    ) -> Result<KeyInfo, Error> {
        let uri = format!("fek://{}", class.name());
        let key_use = user.key_use(&uri, class.name(), tenant, Operation::Rotate);
        self.inner.view.resources.watch.authorize(&key_use)?;
        // What cannot be recorded is not begun.
        self.inner.view.resources.watch.report(&key_use)?;
        let result = rotation::rotate(&self.inner.view, class, tenant, user, rotation).await;
        // The change stands whatever the observer says now; it has had its chance to refuse.
        let _ = self
            .inner
            .view
            .resources
            .watch
            .report_end(&key_use, result.is_ok());
        result
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
        // The guard decides by the key's tenant, which never changes: a key that another node has made since
        // must not pass as one that serves all.
        let found = |snapshot: &Snapshot| {
            let registry = &snapshot.loaded.registry;
            let record = registry.record(class.id(), fek_id);
            record.map(|r| r.info.tenant.clone())
        };
        let tenant = match found(&self.inner.view.snapshot()) {
            Some(tenant) => tenant,
            None => found(&self.inner.view.reload().await?).ok_or(Error::UnknownKey {
                class: class.id(),
                fek_id,
            })?,
        };
        let key_use = user.key_use(
            &uri,
            class.name(),
            tenant.as_deref(),
            Operation::ChangeState,
        );
        self.inner.view.resources.watch.authorize(&key_use)?;
        self.inner.view.resources.watch.report(&key_use)?;
        let result = rotation::change_state(&self.inner.view, &class, fek_id, to).await;
        let _ = self
            .inner
            .view
            .resources
            .watch
            .report_end(&key_use, result.is_ok());
        result
    }

    /// Reads the registry again, now. `prepare` does so by itself when it is time.
    ///
    /// # Errors
    /// Every error of storage, KEK and registry.
    pub async fn refresh(&self) -> Result<(), Error> {
        self.inner.view.reload().await.map(|_| ())
    }

    /// What the ring knows of every field key, ordered by class and id.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyInfo> {
        self.inner
            .view
            .snapshot()
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
        self.inner.view.snapshot().loaded.registry.epoch
    }

    pub(crate) fn view(&self) -> &View {
        &self.inner.view
    }

    /// Whether keys that are missing are made when they are asked for.
    pub(crate) fn makes_keys(&self) -> bool {
        self.inner.auto_rotate
    }

    pub(crate) fn index(&self, name: &str) -> Result<Arc<BlindIndex>, Error> {
        let index = self.inner.indexes.get(name).cloned();
        index.ok_or_else(|| Error::UnknownIndex { name: name.into() })
    }

    fn class(&self, name: &str) -> Result<Arc<FieldClass>, Error> {
        let class = self.inner.classes.get(name).cloned();
        class.ok_or_else(|| Error::UnknownClass { name: name.into() })
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("kek", &self.inner.view.kek.id())
            .field("epoch", &self.epoch())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::context::FieldContext;
    use crate::kek::software::SoftwareKek;
    use crate::secret::SecretBytes;
    use crate::store::MemoryStore;

    async fn ring(clock: &Arc<ManualClock>) -> KeyRing {
        let kek = SoftwareKek::from_key_bytes(SecretBytes::new(vec![1; 32])).unwrap();
        KeyRing::builder(Arc::new(kek), Arc::new(MemoryStore::default()))
            .class(FieldClass::track())
            .clock(Arc::<ManualClock>::clone(clock))
            .create_registry()
            .auto_rotate()
            .build()
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn hazard_forged_headers_push_keys_out_of_the_cache() {
        let ring = ring(&Arc::new(ManualClock::new(1_767_225_600))).await;
        let place = FieldContext::new("t", "a", "b").row(1_i64);
        let key = ring
            .prepare("track", "t", &KeyUser::new("u"))
            .await
            .unwrap();
        let mut value = key.seal(b"x", &place).unwrap();
        let sessions = &ring.inner.view.resources.sessions;
        assert_eq!(sessions.len(), 1);
        for salt in 0..100_u32 {
            value[14..18].copy_from_slice(&salt.to_be_bytes());
            assert!(key.open(&value, &place).is_err());
        }
        assert_eq!(sessions.len(), 1);
    }

    #[tokio::test]
    async fn session_keys_are_forgotten_with_time_and_with_their_field_key() {
        let clock = Arc::new(ManualClock::new(1_767_225_600));
        let ring = ring(&clock).await;
        let user = KeyUser::new("u");
        let place = FieldContext::new("t", "a", "b").row(1_i64);
        let sessions = &ring.inner.view.resources.sessions;
        let key = ring.prepare("track", "t", &user).await.unwrap();
        key.seal(b"x", &place).unwrap();
        clock.advance(SESSION_KEPT);
        ring.refresh().await.unwrap();
        assert_eq!(sessions.len(), 1);
        clock.advance(1);
        ring.refresh().await.unwrap();
        assert_eq!(sessions.len(), 0);
        let key = ring.prepare("track", "t", &user).await.unwrap();
        key.seal(b"x", &place).unwrap();
        ring.change_state("track", 1, KeyState::Disabled, &user)
            .await
            .unwrap();
        assert_eq!(sessions.len(), 0);
    }

    /// As `view.rs` has it.
    const SESSION_KEPT: u64 = 600;
}
