//! What an expression may name: declared variables, each with a slot.

use std::cell::RefCell;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::cel::types::Type;
use crate::cel::value::Value;

/// A declared variable. Names may be dotted: `user.id` is one variable.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) name: Arc<str>,
    pub(crate) ty: Type,
}

/// The declarations an expression is checked against. Slots number them in order.
#[derive(Clone, Debug, Default)]
pub struct Env {
    variables: Vec<Variable>,
    by_name: FxHashMap<Arc<str>, u32>,
}

impl Env {
    /// An environment without variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares a variable; a later declaration of the same name replaces the earlier one's type.
    #[must_use]
    pub fn variable(mut self, name: &str, ty: Type) -> Self {
        self.declare(name, ty);
        self
    }

    /// Declares a variable and returns its slot.
    pub(crate) fn declare(&mut self, name: &str, ty: Type) -> u32 {
        if let Some(slot) = self.slot(name) {
            if let Some(variable) = self.variables.get_mut(slot as usize) {
                variable.ty = ty;
            }
            return slot;
        }
        let slot = u32::try_from(self.variables.len()).unwrap_or(u32::MAX);
        let name: Arc<str> = name.into();
        self.variables.push(Variable {
            name: name.clone(),
            ty,
        });
        self.by_name.insert(name, slot);
        slot
    }

    pub(crate) fn slot(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Variable> {
        self.variables.get(slot as usize)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Variable> {
        self.variables.iter()
    }

    /// Whether some variable's name continues `prefix` with a dot.
    pub(crate) fn is_prefix(&self, prefix: &str) -> bool {
        self.members(prefix).next().is_some()
    }

    /// What follows `prefix.` in the names of the variables.
    pub(crate) fn members<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.variables
            .iter()
            .filter_map(move |v| v.name.strip_prefix(prefix)?.strip_prefix('.'))
    }
}

/// Where variables get their values from, by slot.
pub(crate) trait Attributes {
    fn get(&self, slot: u32) -> Lookup<'_>;
}

/// Which slots proved to hold their declared types: lists and maps are walked once, not at every mention.
#[derive(Default)]
pub(crate) struct Verified(RefCell<Vec<(u32, bool)>>);

impl Verified {
    pub(crate) fn fits(&self, slot: u32, value: &Value, ty: &Type) -> bool {
        if !matches!(value, Value::List(_) | Value::Map(_)) {
            return value.is_a(ty);
        }
        let known = self.0.borrow().iter().find(|(s, _)| *s == slot).copied();
        known.map_or_else(
            || {
                let fits = value.is_a(ty);
                self.0.borrow_mut().push((slot, fits));
                fits
            },
            |(_, fits)| fits,
        )
    }
}

/// What a slot holds.
pub(crate) enum Lookup<'a> {
    Found(&'a Value),
    Absent,
    /// There is a value, but not of the declared type.
    WrongType,
}
