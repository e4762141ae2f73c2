//! The decision itself: a pure function of a policy set and a request.

use std::sync::Arc;

use crate::cel::{Attributes, Lookup, Value, Verified};
use crate::compile::{CompiledPolicy, PolicySet};
use crate::decision::{Decision, Findings};
use crate::error::{EvalError, EvalErrorKind};
use crate::policy::Effect;
use crate::request::Request;
use crate::schema::{Attribute, Schema};

/// A request seen through the schema: slots to values.
struct Bound<'a> {
    schema: &'a Schema,
    request: &'a Request,
    verified: Verified,
}

impl Attributes for Bound<'_> {
    #[inline]
    fn get(&self, slot: u32) -> Lookup<'_> {
        let key = match self.schema.attribute(slot) {
            None => return Lookup::Absent,
            // Derived attributes have their types by construction.
            Some(Attribute::Derived(builtin)) => {
                return match self.request.derived(*builtin) {
                    Some(value) => Lookup::Found(value),
                    None => Lookup::Absent,
                };
            }
            Some(Attribute::Given(key)) => key,
        };
        let Some(value) = self.request.given(key) else {
            return Lookup::Absent;
        };
        // An attribute of the wrong type must not slip through `!=` or a mixed comparison.
        match self.schema.env().get(slot) {
            Some(variable) if self.verified.fits(slot, value, &variable.ty) => Lookup::Found(value),
            _ => Lookup::WrongType,
        }
    }
}

/// What a policy's conditions come to.
enum Outcome {
    Holds,
    /// The first clause that is false.
    Fails(u16),
    /// The first clause that erred, no clause being false.
    Errs(u16, EvalError),
}

/// Decides. Every selected policy is evaluated, so that obligations and errors are complete.
pub(crate) fn decide(set: &Arc<PolicySet>, request: &Request) -> Decision {
    let tenant = request.tenant();
    let roles = set.effective_roles(tenant, request.roles());
    let mut selected = Vec::with_capacity(8);
    let target = request.target();
    set.index
        .select(tenant, request.action(), target, &roles, &mut selected);
    let bound = Bound {
        schema: &set.schema,
        request,
        verified: Verified::default(),
    };
    let mut found = Findings::default();
    for index in selected {
        let Some(policy) = set.policy(index) else {
            continue;
        };
        match (evaluate(policy, &bound), policy.effect) {
            (Outcome::Holds, Effect::Allow) => found.allows.push(index),
            (Outcome::Holds, Effect::Deny) => found.denies.push(index),
            (Outcome::Fails(clause), Effect::Allow) => found.unmet.push((index, clause)),
            (Outcome::Fails(_), Effect::Deny) => {}
            (Outcome::Errs(clause, error), effect) => {
                found.faults.push((index, clause, error));
                if effect == Effect::Deny {
                    found.failed.push(index);
                }
            }
        }
    }
    Decision::combine(set.clone(), found)
}

/// Conditions are one conjunction, with the meaning of CEL's `&&`: a false clause decides whatever the others do.
fn evaluate(policy: &CompiledPolicy, bound: &Bound<'_>) -> Outcome {
    let mut erred: Option<(u16, EvalError)> = None;
    for (number, clause) in (0u16..).zip(policy.clauses.iter()) {
        match clause.program.test(bound) {
            Ok(true) => {}
            Ok(false) => return Outcome::Fails(number),
            // A spent budget is final: the clauses after it are not run.
            Err(error) if error.kind == EvalErrorKind::StepLimit => {
                return Outcome::Errs(number, error);
            }
            Err(error) => {
                erred.get_or_insert((number, error));
            }
        }
    }
    match erred {
        Some((number, error)) => Outcome::Errs(number, error),
        None => Outcome::Holds,
    }
}

const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<PolicySet>();
    shared::<Decision>();
    shared::<Value>();
};
