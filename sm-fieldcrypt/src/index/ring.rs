//! Indexes of a key ring: prepared, made anew, taken out of use.

use crate::context::valid_tenant;
use crate::error::Error;
use crate::index::definition::BlindIndex;
use crate::index::prepared::{IndexEntry, IndexKey, PreparedIndex};
use crate::index::record::{IndexInfo, IndexRecord};
use crate::keyring::KeyRing;
use crate::observe::{KeyUser, Operation};
use crate::record::KeyState;
use crate::rotation::ATTEMPTS;
use crate::view::{IndexKeyId, KeyOf, Snapshot, View, key_bytes};
use std::sync::Arc;

impl KeyRing {
    /// Makes an index ready for a tenant, on behalf of a user. As [`prepare`](Self::prepare) it does I/O only when that is
    /// due; with [`auto_rotate`](crate::KeyRingBuilder::auto_rotate) it makes the first version.
    ///
    /// # Errors
    /// [`Error::UnknownIndex`], [`Error::Context`] for an impossible tenant, [`Error::Refused`], [`Error::NoIndexKey`] when
    /// the tenant has no version at all, and every error of storage, KEK and registry.
    pub async fn prepare_index(
        &self,
        name: &str,
        tenant: &str,
        user: &KeyUser,
    ) -> Result<PreparedIndex, Error> {
        let index = self.index(name)?;
        valid_tenant(tenant)?;
        let view = self.view();
        let uri = format!("idx://{name}");
        let key_use = user.key_use(&uri, name, Some(tenant), Operation::Prepare);
        view.resources.watch.authorize(&key_use)?;
        let prepared = self.prepare_authorized_index(&index, tenant, user).await;
        view.resources
            .watch
            .report_end(&key_use, prepared.is_ok())?;
        prepared
    }

    async fn prepare_authorized_index(
        &self,
        index: &BlindIndex,
        tenant: &str,
        user: &KeyUser,
    ) -> Result<PreparedIndex, Error> {
        let view = self.view();
        let mut snapshot = view.fresh().await?;
        if self.makes_keys() && versions(&snapshot, index, tenant).next().is_none() {
            self.rotate_known_index(index, tenant, user, true).await?;
            snapshot = view.snapshot();
        }
        let mut any = false;
        let mut entries = Vec::new();
        for record in versions(&snapshot, index, tenant) {
            any = true;
            if record.info.state.may_open() {
                entries.push(IndexEntry {
                    info: record.info.clone(),
                    key: view.index_key(&snapshot, index, record, user).await?,
                });
            }
        }
        if !any {
            return Err(Error::NoIndexKey {
                index: index.name().into(),
                tenant: tenant.into(),
            });
        }
        entries.reverse();
        Ok(PreparedIndex {
            name: index.name().into(),
            tenant: tenant.into(),
            user: user.clone(),
            entries,
            resources: Arc::clone(&view.resources),
            loaded_at: snapshot.at,
        })
    }

    /// Makes a new version of a tenant's index, the first one too. It is searched for at once, and used for new tokens six
    /// minutes later, when every node searches for it; those of the versions before are still searched for. Then make the stored
    /// tokens anew ([`PreparedIndex::is_current`]), and destroy the version before.
    ///
    /// # Errors
    /// [`Error::UnknownIndex`], [`Error::Context`], [`Error::Refused`], and every error of storage, KEK and registry.
    pub async fn rotate_index(
        &self,
        name: &str,
        tenant: &str,
        user: &KeyUser,
    ) -> Result<IndexInfo, Error> {
        let index = self.index(name)?;
        valid_tenant(tenant)?;
        self.rotate_known_index(&index, tenant, user, false).await
    }

    async fn rotate_known_index(
        &self,
        index: &BlindIndex,
        tenant: &str,
        user: &KeyUser,
        only_first: bool,
    ) -> Result<IndexInfo, Error> {
        let watch = &self.view().resources.watch;
        let uri = format!("idx://{}", index.name());
        let key_use = user.key_use(&uri, index.name(), Some(tenant), Operation::Rotate);
        watch.authorize(&key_use)?;
        // What cannot be recorded is not begun.
        watch.report(&key_use)?;
        let result = new_version(self.view(), index, tenant, user, only_first).await;
        let _ = watch.report_end(&key_use, result.is_ok());
        result
    }

    /// Changes the state of a version, as [`change_state`](Self::change_state) does a field key's: decrypt-only ones are
    /// searched for (an index that was prepared before goes on making tokens with them for its minute), disabled ones are not, destroyed ones are gone for good. Rows whose tokens are of such a version are no
    /// longer found.
    ///
    /// # Errors
    /// [`Error::UnknownIndex`], [`Error::IndexState`] for another change or an unknown version, [`Error::Refused`], and
    /// every error of storage, KEK and registry.
    pub async fn change_index_state(
        &self,
        name: &str,
        tenant: &str,
        version: u16,
        to: KeyState,
        user: &KeyUser,
    ) -> Result<(), Error> {
        let index = self.index(name)?;
        let watch = &self.view().resources.watch;
        let uri = format!("idx://{name}/{version}");
        let key_use = user.key_use(&uri, name, Some(tenant), Operation::ChangeState);
        watch.authorize(&key_use)?;
        watch.report(&key_use)?;
        let result = change(self.view(), &index, tenant, version, to).await;
        let _ = watch.report_end(&key_use, result.is_ok());
        result
    }

    /// What the ring knows of every version of every index, ordered by tenant, table, column, kind and version.
    #[must_use]
    pub fn indexes(&self) -> Vec<IndexInfo> {
        let snapshot = self.view().snapshot();
        let records = snapshot.loaded.registry.indexes.iter();
        records.map(|record| record.info.clone()).collect()
    }
}

/// A tenant's versions of an index, the oldest first.
fn versions<'a>(
    snapshot: &'a Snapshot,
    index: &'a BlindIndex,
    tenant: &'a str,
) -> impl Iterator<Item = &'a IndexRecord> {
    let records = snapshot.loaded.registry.indexes.iter();
    records.filter(move |record| record.info.is_of(index, tenant))
}

async fn new_version(
    view: &View,
    index: &BlindIndex,
    tenant: &str,
    user: &KeyUser,
    only_first: bool,
) -> Result<IndexInfo, Error> {
    for _ in 0..ATTEMPTS {
        let base = view.reload().await?;
        let newest = versions(&base, index, tenant).last();
        if only_first && let Some(record) = newest {
            // Another node has made it meanwhile.
            return Ok(record.info.clone());
        }
        let version = newest.map_or(0, |record| record.info.version);
        let mut registry = base.loaded.registry.clone();
        for record in &mut registry.indexes {
            if record.info.is_of(index, tenant) && record.info.state == KeyState::Active {
                record.info.state = KeyState::DecryptOnly;
            }
        }
        let info = IndexInfo {
            tenant: tenant.into(),
            table: index.table().into(),
            column: index.column().into(),
            kind: index.kind(),
            version: version.checked_add(1).ok_or(Error::RegistryFull {
                what: "versions of the index are used up",
            })?,
            normalization: index.normalization(),
            tag_len: index.tag_len(),
            state: KeyState::Active,
            kek_id: view.kek.id().into(),
            created: view.resources.clock.unix_seconds(),
        };
        let context = info.wrap_context(&registry.id)?;
        let blob = view.wrap_new_key(of(index, &info), &context, user).await?;
        let record = IndexRecord {
            info: info.clone(),
            blob,
        };
        let at = registry
            .indexes
            .partition_point(|other| other.key() < record.key());
        registry.indexes.insert(at, record);
        match view.commit(&base.loaded, registry).await {
            Err(Error::RegistryConflict) => {}
            other => return other.map(|()| info),
        }
    }
    Err(Error::RegistryConflict)
}

fn of<'a>(index: &'a BlindIndex, info: &'a IndexInfo) -> KeyOf<'a> {
    KeyOf {
        name: index.name(),
        tenant: Some(&info.tenant),
    }
}

async fn change(
    view: &View,
    index: &BlindIndex,
    tenant: &str,
    version: u16,
    to: KeyState,
) -> Result<(), Error> {
    let fault = |what| Error::IndexState {
        index: index.name().into(),
        version,
        what,
    };
    for _ in 0..ATTEMPTS {
        let base = view.reload().await?;
        let mut registry = base.loaded.registry.clone();
        let record = registry
            .indexes
            .iter_mut()
            .find(|record| record.info.is_of(index, tenant) && record.info.version == version)
            .ok_or_else(|| fault("no such version"))?;
        if !record.info.state.may_become(to) {
            return Err(fault("no such change of state"));
        }
        record.info.state = to;
        if to == KeyState::Destroyed {
            record.blob = Vec::new();
        }
        match view.commit(&base.loaded, registry).await {
            Err(Error::RegistryConflict) => {}
            other => return other,
        }
    }
    Err(Error::RegistryConflict)
}

impl View {
    /// A version's key, unwrapped once.
    async fn index_key(
        &self,
        snapshot: &Snapshot,
        index: &BlindIndex,
        record: &IndexRecord,
        user: &KeyUser,
    ) -> Result<Arc<IndexKey>, Error> {
        let id = IndexKeyId::of(&record.info);
        if let Some(key) = self.held_index_key(&id) {
            return Ok(key);
        }
        let info = &record.info;
        let context = info.wrap_context(&snapshot.loaded.registry.id)?;
        let unwrapped = self
            .unwrap_key(of(index, info), &info.kek_id, &record.blob, &context, user)
            .await?;
        let bytes = key_bytes(&unwrapped, self.kek.id())?;
        let uri = format!("idx://{}/{}", index.name(), record.info.version);
        Ok(self.hold_index_key(id, Arc::new(IndexKey::new(bytes, uri))))
    }
}
