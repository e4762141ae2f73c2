//! One field key's record: its state, its period, and what may be done with it when.

use crate::error::Error;

/// Clocks of nodes may differ by this much, in minutes.
pub(crate) const SKEW_MINUTES: u32 = 5;

/// State of a field key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyState {
    /// Made, not in use yet: neither seals nor opens.
    PreActive,
    /// Seals and opens.
    Active,
    /// Opens only: a newer key seals.
    DecryptOnly,
    /// Does neither; can be taken into use again.
    Disabled,
    /// Its wrapped bytes are gone from the registry, for good. What was sealed under it stays readable as long as a
    /// backup of the registry and the KEK exist.
    Destroyed,
}

impl KeyState {
    pub(crate) const fn id(self) -> u8 {
        match self {
            Self::PreActive => 1,
            Self::Active => 2,
            Self::DecryptOnly => 3,
            Self::Disabled => 4,
            Self::Destroyed => 5,
        }
    }

    pub(crate) const fn from_id(id: u8) -> Option<Self> {
        Some(match id {
            1 => Self::PreActive,
            2 => Self::Active,
            3 => Self::DecryptOnly,
            4 => Self::Disabled,
            5 => Self::Destroyed,
            _ => return None,
        })
    }

    /// Its name, e.g. `decrypt-only`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreActive => "pre-active",
            Self::Active => "active",
            Self::DecryptOnly => "decrypt-only",
            Self::Disabled => "disabled",
            Self::Destroyed => "destroyed",
        }
    }

    pub(crate) const fn may_open(self) -> bool {
        matches!(self, Self::Active | Self::DecryptOnly)
    }

    /// Whether an administrator may move a key from this state to `to`. New primaries come from rotation alone,
    /// so nothing leads back to active.
    pub(crate) const fn may_become(self, to: Self) -> bool {
        matches!(
            (self, to),
            (
                Self::PreActive | Self::Active | Self::DecryptOnly,
                Self::Disabled
            ) | (Self::Active | Self::Disabled, Self::DecryptOnly)
                | (
                    Self::PreActive | Self::DecryptOnly | Self::Disabled,
                    Self::Destroyed
                )
        )
    }
}

/// What the registry says of a field key, without its wrapped bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyInfo {
    /// Field class id.
    pub class: u16,
    /// Field key id, unique within the class.
    pub fek_id: u32,
    /// The tenant it serves; `None` when it serves all.
    pub tenant: Option<String>,
    /// Its state.
    pub state: KeyState,
    /// The KEK it is wrapped under.
    pub kek_id: String,
    /// When it was made, Unix seconds.
    pub created: u64,
    /// First minute in which it seals, Unix minutes.
    pub active_from: u32,
    /// First minute in which it no longer seals, Unix minutes.
    pub active_until: u32,
    /// Length of its windows, in minutes. Fixed for its life.
    pub window_minutes: u32,
}

/// A record of the registry: [`KeyInfo`] and the wrapped key. Empty `blob`: destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyRecord {
    pub(crate) info: KeyInfo,
    pub(crate) blob: Vec<u8>,
}

impl KeyInfo {
    /// The window in which a value is sealed at `now`.
    pub(crate) fn sealing_window(&self, now_minutes: u32) -> Result<u32, Error> {
        let fault = |what| Error::KeyState {
            class: self.class,
            fek_id: self.fek_id,
            state: self.state.as_str(),
            what,
        };
        if self.state != KeyState::Active {
            return Err(fault("it does not seal"));
        }
        if now_minutes >= self.active_until {
            return Err(fault("its period is over: rotate it"));
        }
        if self.active_from > now_minutes.saturating_add(SKEW_MINUTES) {
            return Err(fault("its period has not begun"));
        }
        let into = now_minutes
            .checked_rem(self.window_minutes)
            .unwrap_or_default();
        // A node whose clock is slightly behind the rotating node's uses the first window.
        Ok(now_minutes.saturating_sub(into).max(self.active_from))
    }

    /// Whether a value that claims to be sealed in `window` may be opened at `now`.
    pub(crate) fn check_window(&self, window: u32, now_minutes: u32) -> Result<(), Error> {
        let fault = |what| {
            Err(Error::Window {
                fek_id: self.fek_id,
                window,
                what,
            })
        };
        if window.checked_rem(self.window_minutes) != Some(0) {
            return fault("not a multiple of the key's window length");
        }
        if window < self.active_from.saturating_sub(SKEW_MINUTES)
            || window >= self.active_until.saturating_add(SKEW_MINUTES)
        {
            return fault("outside the key's period");
        }
        if window > now_minutes.saturating_add(SKEW_MINUTES) {
            return fault("in the future");
        }
        Ok(())
    }

    /// Checks an administrative change of state.
    pub(crate) fn check_change(&self, to: KeyState) -> Result<(), Error> {
        if self.state.may_become(to) {
            return Ok(());
        }
        Err(Error::KeyState {
            class: self.class,
            fek_id: self.fek_id,
            state: self.state.as_str(),
            what: "no such change of state",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> KeyInfo {
        KeyInfo {
            class: 1,
            fek_id: 1,
            tenant: None,
            state: KeyState::Active,
            kek_id: "k".into(),
            created: 0,
            active_from: 1500,
            active_until: 3000,
            window_minutes: 15,
        }
    }

    #[test]
    fn sealing_takes_the_window_from_the_clock() {
        assert_eq!(info().sealing_window(1500).unwrap(), 1500);
        assert_eq!(info().sealing_window(1514).unwrap(), 1500);
        assert_eq!(info().sealing_window(1515).unwrap(), 1515);
        assert_eq!(info().sealing_window(2999).unwrap(), 2985);
        assert!(info().sealing_window(3000).is_err());
        // Within the skew before the period: the first window.
        assert_eq!(info().sealing_window(1495).unwrap(), 1500);
        assert!(info().sealing_window(1494).is_err());
        for state in [
            KeyState::PreActive,
            KeyState::DecryptOnly,
            KeyState::Disabled,
        ] {
            assert!(KeyInfo { state, ..info() }.sealing_window(1500).is_err());
        }
    }

    #[test]
    fn opening_wants_a_possible_window() {
        let what = |window, now| info().check_window(window, now).unwrap_err().to_string();
        for (window, now) in [
            (1500, 1500),
            (1500, 9999),
            (2985, 2985),
            (1515, 1510),
            (3000, 4000),
        ] {
            info().check_window(window, now).unwrap();
        }
        assert!(what(1501, 9999).contains("multiple"));
        assert!(what(1485, 9999).contains("outside"));
        assert!(what(3015, 9999).contains("outside"));
        assert!(what(1515, 1509).contains("future"));
        let edge = KeyInfo {
            window_minutes: 1,
            ..info()
        };
        edge.check_window(1495, 9999).unwrap();
        edge.check_window(3004, 9999).unwrap();
        assert!(edge.check_window(1494, 9999).is_err());
        assert!(edge.check_window(3005, 9999).is_err());
        assert!(
            KeyInfo {
                window_minutes: 0,
                ..info()
            }
            .check_window(1500, 1500)
            .is_err()
        );
    }

    #[test]
    fn states_go_one_way() {
        use KeyState::{Active, DecryptOnly, Destroyed, Disabled, PreActive};
        let all = [PreActive, Active, DecryptOnly, Disabled, Destroyed];
        let allowed: Vec<_> = all
            .iter()
            .flat_map(|from| all.iter().map(move |to| (*from, *to)))
            .filter(|(from, to)| {
                KeyInfo {
                    state: *from,
                    ..info()
                }
                .check_change(*to)
                .is_ok()
            })
            .collect();
        assert_eq!(
            allowed,
            [
                (PreActive, Disabled),
                (PreActive, Destroyed),
                (Active, DecryptOnly),
                (Active, Disabled),
                (DecryptOnly, Disabled),
                (DecryptOnly, Destroyed),
                (Disabled, DecryptOnly),
                (Disabled, Destroyed),
            ]
        );
        for state in all {
            assert_eq!(KeyState::from_id(state.id()), Some(state));
        }
        assert_eq!(KeyState::from_id(0), None);
        assert_eq!(KeyState::from_id(6), None);
    }
}
