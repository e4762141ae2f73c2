//! Who uses which key for what: asked before ([`KeyUseGuard`]) and told after ([`KeyUseObserver`]).

use crate::error::Error;
use std::sync::Arc;

/// On whose behalf keys are used. Goes into every [`KeyUse`], never into a sealed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUser {
    principal: String,
    trace_id: Option<String>,
}

impl KeyUser {
    /// A principal, e.g. `user:42` or `service:statements`.
    #[must_use]
    pub fn new(principal: impl Into<String>) -> Self {
        Self {
            principal: principal.into(),
            trace_id: None,
        }
    }

    /// Adds the trace id of the request.
    #[must_use]
    pub fn trace(mut self, trace_id: impl Into<String>) -> Self {
        self.trace_id = Some(trace_id.into());
        self
    }

    /// A use by this user, about to happen once.
    pub(crate) fn key_use<'a>(
        &'a self,
        key_id: &'a str,
        class: &'a str,
        tenant: Option<&'a str>,
        operation: Operation,
    ) -> KeyUse<'a> {
        let trace_id = self.trace_id.as_deref();
        KeyUse {
            tenant,
            trace_id,
            ..KeyUse::new(&self.principal, key_id, class, operation)
        }
    }

    /// The principal.
    #[must_use]
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// The trace id.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        self.trace_id.as_deref()
    }
}

/// What a key is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// The keys of a class are made ready for a user.
    Prepare,
    /// Values are sealed.
    Seal,
    /// Values are opened.
    Open,
    /// Values are moved to the primary key, or bound to another row: opened and sealed again, and the plaintext is given to
    /// nobody. Asked and told of the key that opens and of the one that seals.
    Rewrap,
    /// Tokens of a blind index are made, to be stored.
    Index,
    /// A token of a blind index is made, to be searched for.
    Search,
    /// A KEK wraps a new key.
    WrapKey,
    /// A KEK unwraps a key.
    UnwrapKey,
    /// A new primary field key is made.
    Rotate,
    /// A field key changes its state.
    ChangeState,
}

impl Operation {
    /// Its name in snake case, e.g. for an audit record.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Seal => "seal",
            Self::Open => "open",
            Self::Rewrap => "rewrap",
            Self::Index => "index",
            Self::Search => "search",
            Self::WrapKey => "wrap_key",
            Self::UnwrapKey => "unwrap_key",
            Self::Rotate => "rotate",
            Self::ChangeState => "change_state",
        }
    }
}

/// How far a use has come when it is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// About to happen: what a guard sees, and an observer before an administrative change is committed.
    Attempted,
    /// Done; its result has not been handed out yet.
    Succeeded,
    /// Tried and failed.
    Failed,
}

impl Outcome {
    /// Its name in snake case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Attempted => "attempted",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// One use of one key, possibly over many values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyUse<'a> {
    /// On whose behalf.
    pub principal: &'a str,
    /// URI of the key: `fek://class-name/7` for a field key, `fek://class-name` for the class as a whole, `idx://name/2` and
    /// `idx://name` of a blind index, the provider's id for a KEK.
    pub key_id: &'a str,
    /// Name of the field class or of the index.
    pub class: &'a str,
    /// Tenant whose data it is; `None` for keys that serve all tenants.
    pub tenant: Option<&'a str>,
    /// What for.
    pub operation: Operation,
    /// How far it has come.
    pub outcome: Outcome,
    /// Trace id of the request.
    pub trace_id: Option<&'a str>,
    /// Number of values in this use; 1 for administrative operations.
    pub count: u64,
    /// How often this process has used the key before this use, in values; 0 where it is not counted.
    pub usage_count: u64,
}

impl<'a> KeyUse<'a> {
    /// A use of the key `key_id` of `class` about to happen, once, without tenant and trace; set the other
    /// fields as needed. For tests of guards and observers.
    #[must_use]
    pub fn new(principal: &'a str, key_id: &'a str, class: &'a str, operation: Operation) -> Self {
        Self {
            principal,
            key_id,
            class,
            tenant: None,
            operation,
            outcome: Outcome::Attempted,
            trace_id: None,
            count: 1,
            usage_count: 0,
        }
    }
}

/// A refusal by a guard or an observer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    reason: String,
}

impl Refused {
    /// A refusal with its reason, which the caller gets to see: no secrets.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

/// Decides whether a key may be used, before it is. Called in line with every use: it must be quick and must
/// not block.
pub trait KeyUseGuard: Send + Sync {
    /// # Errors
    /// [`Refused`]: the key is not used.
    fn authorize(&self, key_use: &KeyUse<'_>) -> Result<(), Refused>;
}

/// Is told of every use. Called in line: hand the event to a bounded queue and return.
pub trait KeyUseObserver: Send + Sync {
    /// # Errors
    /// [`Refused`]: in [`ObserverMode::FailClosed`] the result of the use (ciphertext, plaintext) is then not
    /// handed out; in [`ObserverMode::BestEffort`] nothing follows from it.
    fn observe(&self, key_use: &KeyUse<'_>) -> Result<(), Refused>;
}

/// What an observer's refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObserverMode {
    /// No event, no result: what cannot be recorded does not happen.
    FailClosed,
    /// Events may be lost.
    BestEffort,
}

/// The ring's guard and observer.
#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) guard: Option<Arc<dyn KeyUseGuard>>,
    pub(crate) observer: Option<(Arc<dyn KeyUseObserver>, ObserverMode)>,
}

impl Watch {
    /// Asks the guard.
    pub(crate) fn authorize(&self, key_use: &KeyUse<'_>) -> Result<(), Error> {
        self.guard
            .as_ref()
            .map_or(Ok(()), |guard| guard.authorize(key_use))
            .map_err(|refused| Error::Refused {
                by: "guard",
                reason: refused.reason,
            })
    }

    /// Tells the observer.
    pub(crate) fn report(&self, key_use: &KeyUse<'_>) -> Result<(), Error> {
        let Some((observer, mode)) = &self.observer else {
            return Ok(());
        };
        match (observer.observe(key_use), mode) {
            (Err(refused), ObserverMode::FailClosed) => Err(Error::Refused {
                by: "observer",
                reason: refused.reason,
            }),
            _ => Ok(()),
        }
    }

    /// Tells the observer how a use ended.
    pub(crate) fn report_end(&self, key_use: &KeyUse<'_>, succeeded: bool) -> Result<(), Error> {
        let outcome = if succeeded {
            Outcome::Succeeded
        } else {
            Outcome::Failed
        };
        self.report(&KeyUse {
            outcome,
            ..*key_use
        })
    }
}
