//! Changes to the registry: new field keys, and new states of old ones.

use crate::class::FieldClass;
use crate::error::Error;
use crate::observe::KeyUser;
use crate::record::{KeyInfo, KeyRecord, KeyState, SKEW_MINUTES};
use crate::registry::{Registry, wrap_context};
use crate::resources::minutes;
use crate::view::{KeyOf, View};
use std::sync::Arc;

/// Conflicts with other writers after which a change gives up.
pub(crate) const ATTEMPTS: u32 = 64;
const MINUTES_A_DAY: u32 = 1440;

/// Minutes from the making of a key to its first use when that is not at once: longer than a node may go without looking at
/// the registry (one minute), with clocks that differ, and one that begins early.
const LEAD_MINUTES: u32 = 1 + 2 * SKEW_MINUTES;

/// When and for what a new key is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rotation {
    /// At once, and the key before seals no more.
    Now,
    /// Once all nodes know it; until then the key before goes on.
    Ahead,
    /// At once, unless there is one that seals.
    IfNeeded,
}

/// Makes a new primary key.
pub(crate) async fn rotate(
    view: &View,
    class: &Arc<FieldClass>,
    tenant: Option<&str>,
    user: &KeyUser,
    rotation: Rotation,
) -> Result<KeyInfo, Error> {
    for _ in 0..ATTEMPTS {
        let base = view.reload().await?.loaded;
        let mut registry = base.registry.clone();
        let now = view.resources.clock.unix_seconds();
        let serves = |info: &KeyInfo| info.class == class.id() && info.tenant.as_deref() == tenant;
        if rotation == Rotation::IfNeeded {
            // Another node may have done it meanwhile.
            let sealing = registry
                .records
                .iter()
                .find(|r| serves(&r.info) && r.info.sealing_window(minutes(now)).is_ok());
            if let Some(record) = sealing {
                return Ok(record.info.clone());
            }
        }
        // What is made for want of a key replaces none: one node with a wrong clock would otherwise take
        // the others' key away. A key whose period is over does not seal anyway.
        for record in registry.records.iter_mut().filter(|r| serves(&r.info)) {
            if rotation == Rotation::Now && record.info.state == KeyState::Active {
                record.info.state = KeyState::DecryptOnly;
            }
        }
        let begin = match rotation {
            Rotation::Now | Rotation::IfNeeded => minutes(now),
            Rotation::Ahead => {
                let last = registry.records.iter().filter(|r| serves(&r.info));
                let last = last.filter(|r| r.info.sealing_window(minutes(now)).is_ok());
                later(class, minutes(now), last.map(|r| r.info.active_until).max())
            }
        };
        let info = new_key_info(view, &registry, class, tenant, begin)?;
        let blob = wrap_new_key(view, &registry, class, &info, user).await?;
        registry.insert(KeyRecord {
            info: info.clone(),
            blob,
        });
        match view.commit(&base, registry).await {
            Err(Error::RegistryConflict) => {}
            other => return other.map(|()| info),
        }
    }
    Err(Error::RegistryConflict)
}

/// The first minute of a key that is made ahead: the lead, in whole windows, but no later than the key before ends; at once
/// where none seals.
fn later(class: &FieldClass, now: u32, end: Option<u32>) -> u32 {
    let window = class.window_length();
    let Some(end) = end else { return now };
    let lead = now
        .saturating_add(LEAD_MINUTES)
        .div_ceil(window)
        .saturating_mul(window);
    lead.min(end)
}

fn new_key_info(
    view: &View,
    registry: &Registry,
    class: &FieldClass,
    tenant: Option<&str>,
    begin: u32,
) -> Result<KeyInfo, Error> {
    let window = class.window_length();
    let into_window = begin.checked_rem(window).unwrap_or_default();
    let active_from = begin.saturating_sub(into_window);
    let period = class.period_days().saturating_mul(MINUTES_A_DAY);
    Ok(KeyInfo {
        class: class.id(),
        fek_id: registry.next_fek_id(class.id())?,
        tenant: tenant.map(Into::into),
        state: KeyState::Active,
        kek_id: view.kek.id().into(),
        created: view.resources.clock.unix_seconds(),
        active_from,
        active_until: active_from.saturating_add(period),
        window_minutes: window,
    })
}

async fn wrap_new_key(
    view: &View,
    registry: &Registry,
    class: &FieldClass,
    info: &KeyInfo,
    user: &KeyUser,
) -> Result<Vec<u8>, Error> {
    let of = KeyOf {
        name: class.name(),
        tenant: info.tenant.as_deref(),
    };
    let context = wrap_context(&registry.id, info);
    view.wrap_new_key(of, &context, user).await
}

/// Moves a key to another state.
pub(crate) async fn change_state(
    view: &View,
    class: &FieldClass,
    fek_id: u32,
    to: KeyState,
) -> Result<(), Error> {
    for _ in 0..ATTEMPTS {
        let base = view.reload().await?.loaded;
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
        match view.commit(&base, registry).await {
            Err(Error::RegistryConflict) => {}
            other => {
                if to == KeyState::DecryptOnly && other.is_ok() {
                    view.retire(class.id(), fek_id);
                }
                return other;
            }
        }
    }
    Err(Error::RegistryConflict)
}
