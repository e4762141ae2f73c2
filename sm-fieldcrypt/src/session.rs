//! Session keys (L3), derived once and kept for a while.

use crate::derive::{SessionKeys, SessionRequest, session_keys_many};
use crate::envelope::Header;
use crate::error::Error;
use crate::fieldkey::FieldKey;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

/// What a session key belongs to. The suite is not in it: a class has only one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SessionId {
    pub(crate) class: u16,
    pub(crate) fek_id: u32,
    pub(crate) window: u32,
    pub(crate) salt: [u8; 4],
    pub(crate) tenant: Arc<str>,
}

impl SessionId {
    fn new(header: &Header, tenant: &Arc<str>) -> Self {
        Self {
            class: header.class,
            fek_id: header.fek_id,
            window: header.window,
            salt: header.salt,
            tenant: Arc::clone(tenant),
        }
    }
}

/// The keys of a session, and where they come from.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) keys: Arc<SessionKeys>,
    /// Derived just now, not from the cache.
    fresh: bool,
}

struct Held {
    keys: Arc<SessionKeys>,
    born: u64,
}

#[derive(Default)]
struct Inner {
    held: HashMap<SessionId, Held>,
    order: VecDeque<SessionId>,
}

/// A bounded cache: the oldest goes first. Keys are wiped when the last user lets go of them.
pub(crate) struct SessionCache {
    capacity: usize,
    inner: RwLock<Inner>,
}

impl SessionCache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            inner: RwLock::default(),
        }
    }

    /// Session keys for every header, each derived at most once. What is derived is not kept yet.
    pub(crate) fn obtain(
        &self,
        wanted: &[(&Header, &FieldKey)],
        tenant: &Arc<str>,
    ) -> Result<Vec<Session>, Error> {
        let mut slots: HashMap<SessionId, usize> = HashMap::new();
        let mut sessions: Vec<Option<Session>> = Vec::new();
        let mut missing: Vec<SessionRequest<'_>> = Vec::new();
        let mut slot_of = Vec::with_capacity(wanted.len());
        for (header, key) in wanted {
            let slot = *slots
                .entry(SessionId::new(header, tenant))
                .or_insert_with_key(|id| {
                    let held = self.get(id);
                    if held.is_none() {
                        missing.push(SessionRequest {
                            fek: &key.prk,
                            header,
                            tenant,
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

    /// Keeps a session that has proven good: sealed under, or opened with. A forged header never gets here, so it
    /// cannot push others out.
    pub(crate) fn keep(&self, header: &Header, tenant: &Arc<str>, session: &Session, now: u64) {
        if session.fresh {
            self.insert(
                SessionId::new(header, tenant),
                Arc::clone(&session.keys),
                now,
            );
        }
    }

    fn get(&self, id: &SessionId) -> Option<Arc<SessionKeys>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.held.get(id).map(|held| Arc::clone(&held.keys))
    }

    fn insert(&self, id: SessionId, keys: Arc<SessionKeys>, now: u64) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if inner
            .held
            .insert(id.clone(), Held { keys, born: now })
            .is_none()
        {
            inner.order.push_back(id);
        }
        while inner.order.len() > self.capacity {
            let Some(oldest) = inner.order.pop_front() else {
                break;
            };
            inner.held.remove(&oldest);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.inner
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .held
            .len()
    }

    /// Keeps what `keep` says, by id and birth.
    pub(crate) fn retain(&self, keep: impl Fn(&SessionId, u64) -> bool) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let Inner { held, order } = &mut *inner;
        held.retain(|id, held| keep(id, held.born));
        order.retain(|id| held.contains_key(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{HmacKey, Sm4Key};
    use crate::derive::EtmKeys;

    fn id(window: u32) -> SessionId {
        SessionId {
            class: 1,
            fek_id: 1,
            window,
            salt: [0; 4],
            tenant: "t".into(),
        }
    }

    fn keys() -> Arc<SessionKeys> {
        Arc::new(SessionKeys::Etm(EtmKeys {
            enc: Sm4Key::new(&[0; 16]),
            mac: HmacKey::new(&[0; 32]),
        }))
    }

    #[test]
    fn the_oldest_goes_first_and_the_bound_holds() {
        let cache = SessionCache::new(2);
        for window in [1, 2, 1, 3] {
            cache.insert(id(window), keys(), 0);
        }
        let held: Vec<bool> = (1..=3).map(|w| cache.get(&id(w)).is_some()).collect();
        assert_eq!(held, [false, true, true]);
    }

    #[test]
    fn retain_forgets_for_good() {
        let cache = SessionCache::new(9);
        cache.insert(id(1), keys(), 10);
        cache.insert(id(2), keys(), 20);
        cache.retain(|_, born| born > 10);
        assert!(cache.get(&id(1)).is_none());
        assert!(cache.get(&id(2)).is_some());
        let inner = cache.inner.read().unwrap();
        assert_eq!((inner.held.len(), inner.order.len()), (1, 1));
    }
}
