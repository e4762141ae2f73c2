//! What the engine answers, and why.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::compile::PolicySet;
use crate::error::{EvalError, EvalErrorKind};
use crate::index::PolicyIndex;
use crate::policy::{Effect, Obligation};

/// The kind of ground a decision stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// An allow policy applied and no deny policy did.
    Permitted,
    /// A deny policy applied.
    Forbidden,
    /// No policy applied: nobody said yes.
    NotPermitted,
    /// A deny policy could not be evaluated, or an allow policy that might have granted could not, or the request
    /// itself could not be formed.
    Error,
}

/// A decision on one request. Cheap to make and to clone; texts are looked up in the policy set when asked for.
#[derive(Clone)]
#[must_use = "a decision that nobody looks at protects nothing"]
pub struct Decision {
    set: Arc<PolicySet>,
    reason: Reason,
    deciding: Vec<PolicyIndex>,
    unmet: Vec<(PolicyIndex, u16)>,
    faults: Vec<(PolicyIndex, u16, EvalError)>,
    refusal: Option<Box<str>>,
}

/// An allow policy that selected the request but whose condition was false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Unmet<'a> {
    /// The policy's id.
    pub policy: &'a str,
    /// The clause that was false, as written.
    pub clause: &'a str,
}

/// Something that went wrong while deciding.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct DecisionError<'a> {
    /// The policy whose clause erred; `None` when the request itself was refused.
    pub policy: Option<&'a str>,
    /// The clause, as written.
    pub clause: Option<&'a str>,
    /// The part of the clause that erred.
    pub part: Option<&'a str>,
    /// What happened, without attribute values.
    pub message: String,
    /// The kind of evaluation error; `None` when the request itself was refused.
    #[serde(skip)]
    pub kind: Option<EvalErrorKind>,
}

/// An obligation that the enforcing code does not know how to fulfil.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot fulfil obligation `{0}`")]
pub struct UnknownObligation(pub String);

/// What deciding found out, before it is a [`Decision`].
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) allows: Vec<PolicyIndex>,
    pub(crate) denies: Vec<PolicyIndex>,
    /// Deny policies that erred.
    pub(crate) failed: Vec<PolicyIndex>,
    pub(crate) unmet: Vec<(PolicyIndex, u16)>,
    pub(crate) faults: Vec<(PolicyIndex, u16, EvalError)>,
}

impl Decision {
    /// Deny-overrides over three values.
    pub(crate) fn combine(set: Arc<PolicySet>, found: Findings) -> Self {
        let (reason, deciding) = if !found.denies.is_empty() {
            (Reason::Forbidden, found.denies)
        } else if !found.failed.is_empty() {
            (Reason::Error, found.failed)
        } else if !found.allows.is_empty() {
            (Reason::Permitted, found.allows)
        } else if !found.faults.is_empty() {
            (Reason::Error, Vec::new())
        } else {
            (Reason::NotPermitted, Vec::new())
        };
        let unmet = match reason {
            Reason::Permitted => Vec::new(),
            _ => found.unmet,
        };
        Self {
            set,
            reason,
            deciding,
            unmet,
            faults: found.faults,
            refusal: None,
        }
    }

    /// A refusal without evaluation.
    pub(crate) fn refuse(set: Arc<PolicySet>, why: &str) -> Self {
        Self {
            set,
            reason: Reason::Error,
            deciding: Vec::new(),
            unmet: Vec::new(),
            faults: Vec::new(),
            refusal: Some(why.into()),
        }
    }

    /// Allow or deny.
    pub fn effect(&self) -> Effect {
        match self.reason {
            Reason::Permitted => Effect::Allow,
            _ => Effect::Deny,
        }
    }

    /// Whether the request may go ahead, provided its obligations are fulfilled.
    pub fn is_allow(&self) -> bool {
        self.effect() == Effect::Allow
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The ids of the policies that decided, in load order; none for [`Reason::NotPermitted`].
    pub fn policies(&self) -> impl Iterator<Item = &str> {
        self.deciding
            .iter()
            .filter_map(|index| self.set.policy(*index))
            .map(|policy| &*policy.id)
    }

    /// For a denial: the allow policies that would have granted, each with the clause that was false.
    pub fn unmet(&self) -> impl Iterator<Item = Unmet<'_>> {
        self.unmet.iter().filter_map(|(index, clause)| {
            Some(Unmet {
                policy: &self.set.policy(*index)?.id,
                clause: &self.set.clause(*index, *clause)?.text,
            })
        })
    }

    /// The obligations of all deciding policies.
    pub fn obligations(&self) -> impl Iterator<Item = &Obligation> {
        self.deciding
            .iter()
            .filter_map(|index| self.set.policy(*index))
            .flat_map(|policy| policy.obligations.iter())
    }

    /// The texts that all obligations of one name list together: for `mask`, every field to be masked.
    pub fn strings(&self, obligation: &str) -> BTreeSet<&str> {
        self.obligations()
            .filter(|o| o.name() == obligation)
            .flat_map(Obligation::strings)
            .collect()
    }

    /// Checks that every obligation is one the caller fulfils. Whoever enforces a decision must refuse otherwise.
    ///
    /// # Errors
    /// The first obligation that is not in `known`.
    pub fn check_obligations(&self, known: &[&str]) -> Result<(), UnknownObligation> {
        match self.obligations().find(|o| !known.contains(&o.name())) {
            None => Ok(()),
            Some(unknown) => Err(UnknownObligation(unknown.name().to_owned())),
        }
    }

    /// Everything that went wrong, also when the decision did not depend on it.
    pub fn errors(&self) -> impl Iterator<Item = DecisionError<'_>> {
        let refusal = self.refusal.iter().map(|why| DecisionError {
            policy: None,
            clause: None,
            part: None,
            message: why.to_string(),
            kind: None,
        });
        let faults = self.faults.iter().map(|(index, clause, error)| {
            let clause = self.set.clause(*index, *clause);
            let part = clause.map(|c| c.part(error)).filter(|p| !p.is_empty());
            DecisionError {
                policy: self.set.policy(*index).map(|p| &*p.id),
                clause: clause.map(|c| &*c.text),
                part,
                message: match part {
                    Some(part) => format!("{} in `{part}`", error.kind),
                    None => error.kind.to_string(),
                },
                kind: Some(error.kind),
            }
        });
        refusal.chain(faults)
    }

    /// The version of the policy set that decided.
    pub fn version(&self) -> &str {
        &self.set.version
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            Reason::Permitted => "allow: permitted",
            Reason::Forbidden => "deny: forbidden",
            Reason::NotPermitted => "deny: not permitted",
            Reason::Error => "deny: error",
        })?;
        for (i, policy) in self.policies().enumerate() {
            write!(f, "{}{policy}", if i == 0 { " by " } else { ", " })?;
        }
        for unmet in self.unmet() {
            write!(f, "; {}: `{}` is false", unmet.policy, unmet.clause)?;
        }
        for error in self.errors() {
            match error.policy {
                Some(policy) => write!(f, "; {policy}: {}", error.message)?,
                None => write!(f, "; {}", error.message)?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decision({self})")
    }
}

impl Serialize for Decision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Decision", 7)?;
        out.serialize_field("effect", &self.effect())?;
        out.serialize_field("reason", &self.reason)?;
        out.serialize_field("policies", &self.policies().collect::<Vec<_>>())?;
        out.serialize_field("unmet", &self.unmet().collect::<Vec<_>>())?;
        out.serialize_field("obligations", &self.obligations().collect::<Vec<_>>())?;
        out.serialize_field("errors", &self.errors().collect::<Vec<_>>())?;
        out.serialize_field("version", self.version())?;
        out.end()
    }
}
