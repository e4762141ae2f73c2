//! Strict JSON reading: one pass that refuses duplicate members and anything past the limits.
//!
//! [`Guard`] is carried through every nested value. serde's errors are strings, so the guard also
//! notes which rule failed and which member was being read, and [`Guard::read`] turns that into the
//! crate's error.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::error::Error;
use crate::limits::Limits;

/// What a rule of this file, or a member's reader, found wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    Duplicate,
    Depth,
    Members,
    /// A known member has the wrong type or an impossible value.
    Type(&'static str),
}

/// The limits of one document and the fault found in it.
pub(crate) struct Guard<'l> {
    limits: &'l Limits,
    members: Cell<usize>,
    fault: Cell<Option<Fault>>,
}

impl<'l> Guard<'l> {
    pub(crate) fn new(limits: &'l Limits) -> Self {
        Self {
            limits,
            members: Cell::new(0),
            fault: Cell::new(None),
        }
    }

    /// Reads the one JSON value in `bytes` with `seed`; `on_type` makes the error for a known
    /// member of the wrong type.
    pub(crate) fn read<'de, S: DeserializeSeed<'de>>(
        &self,
        bytes: &'de [u8],
        seed: S,
        what: &'static str,
        on_type: impl FnOnce(&'static str) -> Error,
    ) -> Result<S::Value, Error> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let result = seed
            .deserialize(&mut json)
            .and_then(|value| json.end().map(|()| value));
        result.map_err(|error| match self.fault.get() {
            Some(Fault::Duplicate) => Error::DuplicateMember { what },
            Some(Fault::Depth) => Error::TooDeep {
                what,
                limit: self.limits.depth(),
            },
            Some(Fault::Members) => Error::TooManyMembers {
                what,
                limit: self.limits.members(),
            },
            Some(Fault::Type(name)) => on_type(name),
            None => Error::Json {
                what,
                detail: describe(&error),
            },
        })
    }

    /// Notes `fault` unless one is noted already, and makes serde stop.
    pub(crate) fn fail<E: serde::de::Error>(&self, fault: Fault) -> E {
        if self.fault.get().is_none() {
            self.fault.set(Some(fault));
        }
        E::custom("refused")
    }

    /// Counts one member or element.
    pub(crate) fn count<E: serde::de::Error>(&self) -> Result<(), E> {
        let members = self.members.get().saturating_add(1);
        self.members.set(members);
        if members > self.limits.members() {
            return Err(self.fail(Fault::Members));
        }
        Ok(())
    }

    /// Checks that a container at `depth` (the outermost being 1) may be entered.
    pub(crate) fn enter<E: serde::de::Error>(&self, depth: usize) -> Result<(), E> {
        if depth > self.limits.depth() {
            return Err(self.fail(Fault::Depth));
        }
        Ok(())
    }

    /// The next member name of an object, counted and checked against those `seen`.
    pub(crate) fn next_name<'de, A: MapAccess<'de>>(
        &self,
        map: &mut A,
        seen: &mut Seen<'de>,
    ) -> Result<Option<Cow<'de, str>>, A::Error> {
        let Some(name) = map.next_key_seed(NameSeed)? else {
            return Ok(None);
        };
        self.count()?;
        if !seen.insert(name.clone()) {
            return Err(self.fail(Fault::Duplicate));
        }
        Ok(Some(name))
    }

    /// A reader that checks any value, nested at `depth`, and keeps nothing.
    pub(crate) fn skip(&self, depth: usize) -> SkipSeed<'_, 'l> {
        SkipSeed { guard: self, depth }
    }

    /// A reader for the string member `name`.
    pub(crate) fn string(&self, name: &'static str) -> StringSeed<'_, 'l> {
        StringSeed { guard: self, name }
    }

    /// A reader for the member `name` of the outermost object: an array of strings, or a `bare` one.
    pub(crate) fn strings(&self, name: &'static str, bare: bool) -> StringsSeed<'_, 'l> {
        StringsSeed {
            guard: self,
            name,
            bare,
            depth: 2,
        }
    }
}

/// A serde_json error without the value that it may quote: its kind and its place.
pub(crate) fn describe(error: &serde_json::Error) -> String {
    let kind = match error.classify() {
        serde_json::error::Category::Io => "read failure",
        serde_json::error::Category::Syntax => "syntax error",
        serde_json::error::Category::Data => "wrong type or missing member",
        serde_json::error::Category::Eof => "ends too early",
    };
    format!("{kind} at line {} column {}", error.line(), error.column())
}

/// Member names of one object. Few are compared one by one, many are hashed.
#[derive(Default)]
pub(crate) struct Seen<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Seen<'de> {
    /// False if the name was there already.
    fn insert(&mut self, name: Cow<'de, str>) -> bool {
        if !self.many.is_empty() {
            return self.many.insert(name);
        }
        if self.few.contains(&name) {
            return false;
        }
        if self.few.is_empty() {
            // A token's object has about a dozen members: room for them at once, not doubling by doubling.
            self.few.reserve(16);
        }
        self.few.push(name);
        if self.few.len() > 24 {
            self.many.extend(self.few.drain(..));
        }
        true
    }
}

struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for NameSeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// Reads a string; anything else is [`Fault::Type`] of `name`.
pub(crate) struct StringSeed<'g, 'l> {
    guard: &'g Guard<'l>,
    name: &'static str,
}

impl<'de> DeserializeSeed<'de> for StringSeed<'_, '_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        let (guard, name) = (self.guard, self.name);
        // Also a syntax error inside the string ends here; the member is named all the same.
        deserializer
            .deserialize_str(self)
            .map_err(|_| guard.fail(Fault::Type(name)))
    }
}

impl Visitor<'_> for StringSeed<'_, '_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_string<E>(self, text: String) -> Result<String, E> {
        Ok(text)
    }
}

/// Reads an array of non-empty strings or, where `bare` allows it, one string by itself; anything
/// else is [`Fault::Type`] of `name`.
pub(crate) struct StringsSeed<'g, 'l> {
    guard: &'g Guard<'l>,
    name: &'static str,
    bare: bool,
    depth: usize,
}

impl StringsSeed<'_, '_> {
    /// In an object that is nested itself.
    pub(crate) fn at(mut self, depth: usize) -> Self {
        self.depth = depth;
        self
    }
}

impl<'de> DeserializeSeed<'de> for StringsSeed<'_, '_> {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let (guard, name) = (self.guard, self.name);
        deserializer
            .deserialize_any(self)
            .map_err(|_| guard.fail(Fault::Type(name)))
    }
}

impl<'de> Visitor<'de> for StringsSeed<'_, '_> {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of strings")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        if !self.bare || text.is_empty() {
            return Err(E::custom("not an array of strings"));
        }
        Ok(vec![text.to_owned()])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        self.guard.enter(self.depth)?;
        let mut list = Vec::new();
        while let Some(text) = seq.next_element_seed(self.guard.string(self.name))? {
            self.guard.count()?;
            if text.is_empty() {
                return Err(A::Error::custom("an empty string"));
            }
            list.push(text);
        }
        Ok(list)
    }
}

/// Checks a value under the guard without keeping it.
pub(crate) struct SkipSeed<'g, 'l> {
    guard: &'g Guard<'l>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for SkipSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for SkipSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let below = self.depth.saturating_add(1);
        self.guard.enter(self.depth)?;
        while seq.next_element_seed(self.guard.skip(below))?.is_some() {
            self.guard.count()?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let below = self.depth.saturating_add(1);
        self.guard.enter(self.depth)?;
        let mut seen = Seen::default();
        while self.guard.next_name(&mut map, &mut seen)?.is_some() {
            map.next_value_seed(self.guard.skip(below))?;
        }
        Ok(())
    }
}
