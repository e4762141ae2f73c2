//! Values and their equality and order.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::cel::time::{Duration, Timestamp};
use crate::cel::types::Type;
use crate::error::EvalErrorKind;

/// A CEL value. Cloning is cheap: text, lists and maps are shared.
///
/// `==` is CEL's equality: numbers compare across types, NaN equals nothing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Signed integer.
    Int(i64),
    /// Unsigned integer.
    Uint(u64),
    /// IEEE 754 double.
    Double(f64),
    /// Text.
    String(Arc<str>),
    /// Octets.
    Bytes(Arc<[u8]>),
    /// A list.
    List(Arc<[Value]>),
    /// A map.
    Map(Arc<MapValue>),
    /// A point in time.
    Timestamp(Timestamp),
    /// A span of time.
    Duration(Duration),
    /// A type, by its CEL name.
    Type(&'static str),
}

/// A map key in the form that makes `1`, `1u` and `1.0` the same key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Bool(bool),
    Int(i64),
    /// Above `i64::MAX` only.
    Uint(u64),
    String(Arc<str>),
}

impl Key {
    /// The key a value may be stored under.
    fn stored(value: &Value) -> Option<Self> {
        match value {
            Value::Double(_) => None,
            other => Self::looked_up(other),
        }
    }

    /// The key a value finds: doubles find the integer they equal.
    fn looked_up(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Bool(b) => Self::Bool(*b),
            Value::Int(i) => Self::Int(*i),
            Value::Uint(u) => i64::try_from(*u).map_or(Self::Uint(*u), Self::Int),
            Value::String(s) => Self::String(s.clone()),
            Value::Double(d) => match (double_to_int(*d), double_to_uint(*d)) {
                (Some(i), _) if compare_int_double(i, *d) == Some(Ordering::Equal) => Self::Int(i),
                (_, Some(u)) if compare_uint_double(u, *d) == Some(Ordering::Equal) => {
                    Self::Uint(u)
                }
                _ => return None,
            },
            _ => return None,
        })
    }
}

/// An immutable map with keys of type bool, int, uint or string, iterated in key order.
#[derive(Clone, Debug, Default)]
pub struct MapValue {
    entries: Vec<(Key, Value, Value)>,
}

impl MapValue {
    /// Builds a map.
    ///
    /// # Errors
    /// [`EvalErrorKind::KeyType`] for a key that is not bool, int, uint or string,
    /// [`EvalErrorKind::DuplicateKey`] for equal keys.
    pub fn new(pairs: impl IntoIterator<Item = (Value, Value)>) -> Result<Self, EvalErrorKind> {
        let mut entries = Vec::new();
        for (key, value) in pairs {
            let sort = Key::stored(&key).ok_or(EvalErrorKind::KeyType)?;
            entries.push((sort, key, value));
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        let duplicate = entries.windows(2).any(|pair| match pair {
            [a, b] => a.0 == b.0,
            _ => false,
        });
        if duplicate {
            return Err(EvalErrorKind::DuplicateKey);
        }
        Ok(Self { entries })
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value under a key that equals `key`.
    pub fn get(&self, key: &Value) -> Option<&Value> {
        if let Value::String(name) = key {
            return self.field(name);
        }
        let key = Key::looked_up(key)?;
        let at = self.entries.binary_search_by(|e| e.0.cmp(&key)).ok()?;
        self.entries.get(at).map(|e| &e.2)
    }

    /// Charges for looking a key up.
    pub(crate) fn charge_lookup(
        &self,
        key: &Value,
        steps: &mut Steps,
    ) -> Result<(), EvalErrorKind> {
        charge_search(key, self.len(), steps)
    }

    /// The value under a text key.
    pub fn field(&self, name: &str) -> Option<&Value> {
        let at = self
            .entries
            .binary_search_by(|e| match &e.0 {
                Key::String(s) => (**s).cmp(name),
                // Text keys sort last.
                _ => Ordering::Less,
            })
            .ok()?;
        self.entries.get(at).map(|e| &e.2)
    }

    /// The entries, in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.entries.iter().map(|(_, key, value)| (key, value))
    }
}

/// Charges for finding a key's place among `count` ordered keys: text is compared about log2 times.
pub(crate) fn charge_search(
    key: &Value,
    count: usize,
    steps: &mut Steps,
) -> Result<(), EvalErrorKind> {
    let rounds = usize::BITS.saturating_sub(count.leading_zeros());
    let length = key.as_str().map_or(0, str::len);
    steps.charge_bytes(length.saturating_mul(rounds as usize))
}

/// The step budget of one evaluation.
#[derive(Debug)]
pub(crate) struct Steps(u64);

impl Steps {
    pub(crate) fn new(limit: u64) -> Self {
        Self(limit)
    }

    #[inline]
    pub(crate) fn charge(&mut self, steps: u64) -> Result<(), EvalErrorKind> {
        match self.0.checked_sub(steps) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => {
                self.0 = 0;
                Err(EvalErrorKind::StepLimit)
            }
        }
    }

    /// Charges for handling this many bytes.
    #[inline]
    pub(crate) fn charge_bytes(&mut self, bytes: usize) -> Result<(), EvalErrorKind> {
        self.charge((bytes as u64).div_euclid(64))
    }

    /// Charges for this many elements.
    pub(crate) fn charge_items(&mut self, items: usize) -> Result<(), EvalErrorKind> {
        self.charge(items as u64)
    }
}

impl Value {
    /// A list.
    pub fn list(items: impl IntoIterator<Item = Value>) -> Self {
        Self::List(items.into_iter().collect())
    }

    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(s) => Some(s),
            _ => None,
        }
    }

    /// The CEL name of the value's type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Type(_) => "type",
        }
    }

    /// Whether the value belongs to a declared type, elements included.
    #[inline]
    pub(crate) fn is_a(&self, ty: &Type) -> bool {
        match (self, ty) {
            (_, Type::Dyn)
            | (Self::Null, Type::Null)
            | (Self::Bool(_), Type::Bool)
            | (Self::Int(_), Type::Int)
            | (Self::Uint(_), Type::Uint)
            | (Self::Double(_), Type::Double)
            | (Self::String(_), Type::String)
            | (Self::Bytes(_), Type::Bytes)
            | (Self::Timestamp(_), Type::Timestamp)
            | (Self::Duration(_), Type::Duration)
            | (Self::Type(_), Type::Type) => true,
            (Self::List(items), Type::List(element)) => {
                matches!(**element, Type::Dyn) || items.iter().all(|item| item.is_a(element))
            }
            (Self::Map(map), Type::Map(key, value)) => {
                map.iter().all(|(k, v)| k.is_a(key) && v.is_a(value))
            }
            _ => false,
        }
    }

    /// Whether the value is NaN or holds one.
    pub(crate) fn has_nan(&self) -> bool {
        match self {
            Self::Double(d) => d.is_nan(),
            Self::List(items) => items.iter().any(Self::has_nan),
            Self::Map(map) => map.iter().any(|(_, value)| value.has_nan()),
            _ => false,
        }
    }

    /// CEL equality, charged.
    pub(crate) fn equals(&self, other: &Self, steps: &mut Steps) -> Result<bool, EvalErrorKind> {
        Ok(match (self, other) {
            (Self::String(a), Self::String(b)) => {
                steps.charge_bytes(a.len().min(b.len()))?;
                a == b
            }
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Null, Self::Null) => true,
            (Self::Bytes(a), Self::Bytes(b)) => {
                steps.charge_bytes(a.len().min(b.len()))?;
                a == b
            }
            (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::Type(a), Self::Type(b)) => a == b,
            (Self::List(a), Self::List(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (x, y) in a.iter().zip(b.iter()) {
                    steps.charge(1)?;
                    if !x.equals(y, steps)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::Map(a), Self::Map(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for ((ka, _, va), (kb, _, vb)) in a.entries.iter().zip(&b.entries) {
                    steps.charge(1)?;
                    if let (Key::String(a), Key::String(b)) = (ka, kb) {
                        steps.charge_bytes(a.len().min(b.len()))?;
                    }
                    if ka != kb || !va.equals(vb, steps)? {
                        return Ok(false);
                    }
                }
                true
            }
            _ => compare_numbers(self, other) == Some(Ordering::Equal),
        })
    }

    /// CEL order. `Err` for types without one, `Ok(None)` for NaN.
    pub(crate) fn order(
        &self,
        other: &Self,
        steps: &mut Steps,
    ) -> Result<Option<Ordering>, EvalErrorKind> {
        Ok(match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::String(a), Self::String(b)) => {
                steps.charge_bytes(a.len().min(b.len()))?;
                Some(a.cmp(b))
            }
            (Self::Bytes(a), Self::Bytes(b)) => {
                steps.charge_bytes(a.len().min(b.len()))?;
                Some(a.cmp(b))
            }
            (Self::Timestamp(a), Self::Timestamp(b)) => Some(a.cmp(b)),
            (Self::Duration(a), Self::Duration(b)) => Some(a.cmp(b)),
            (
                Self::Int(_) | Self::Uint(_) | Self::Double(_),
                Self::Int(_) | Self::Uint(_) | Self::Double(_),
            ) => compare_numbers(self, other),
            _ => return Err(EvalErrorKind::NoSuchOverload),
        })
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.equals(other, &mut Steps::new(u64::MAX)) == Ok(true)
    }
}

/// Exact order of two numbers of any numeric types; `None` for NaN and non-numbers.
fn compare_numbers(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Uint(a), Value::Uint(b)) => Some(a.cmp(b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Uint(a), Value::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Int(a), Value::Double(b)) => compare_int_double(*a, *b),
        (Value::Double(a), Value::Int(b)) => compare_int_double(*b, *a).map(Ordering::reverse),
        (Value::Uint(a), Value::Double(b)) => compare_uint_double(*a, *b),
        (Value::Double(a), Value::Uint(b)) => compare_uint_double(*b, *a).map(Ordering::reverse),
        _ => None,
    }
}

/// As the specification has it: the integer is taken to the nearest double when the double is within range.
fn compare_int_double(int: i64, double: f64) -> Option<Ordering> {
    if double < i64::MIN as f64 {
        return Some(Ordering::Greater);
    }
    if double > i64::MAX as f64 {
        return Some(Ordering::Less);
    }
    (int as f64).partial_cmp(&double)
}

fn compare_uint_double(uint: u64, double: f64) -> Option<Ordering> {
    if double < 0.0 {
        return Some(Ordering::Greater);
    }
    if double > u64::MAX as f64 {
        return Some(Ordering::Less);
    }
    (uint as f64).partial_cmp(&double)
}

/// Truncation toward zero; `None` outside the open range of int, where rounding would decide.
pub(crate) fn double_to_int(double: f64) -> Option<i64> {
    // -2^63 and 2^63, both excluded as the conformance suite wants.
    (double > -9_223_372_036_854_775_808.0 && double < 9_223_372_036_854_775_808.0)
        .then_some(double as i64)
}

/// Truncation; `None` outside the range of uint.
pub(crate) fn double_to_uint(double: f64) -> Option<u64> {
    (0.0..18_446_744_073_709_551_616.0)
        .contains(&double)
        .then_some(double as u64)
}

macro_rules! from {
    ($($source:ty => $value:ident => $make:expr;)*) => {
        $(impl From<$source> for Value {
            fn from($value: $source) -> Self {
                $make
            }
        })*
    };
}

from! {
    bool => v => Self::Bool(v);
    i64 => v => Self::Int(v);
    i32 => v => Self::Int(v.into());
    u64 => v => Self::Uint(v);
    u32 => v => Self::Uint(v.into());
    f64 => v => Self::Double(v);
    &str => v => Self::String(v.into());
    String => v => Self::String(v.into());
    &String => v => Self::String(v.as_str().into());
    Arc<str> => v => Self::String(v);
    Timestamp => v => Self::Timestamp(v);
    Duration => v => Self::Duration(v);
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::list(items.into_iter().map(Into::into))
    }
}

impl<T: Into<Value>, const N: usize> From<[T; N]> for Value {
    fn from(items: [T; N]) -> Self {
        Self::list(items.into_iter().map(Into::into))
    }
}

/// Objects become maps, numbers int where they fit, else uint, else double.
impl From<&serde_json::Value> for Value {
    fn from(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::Null,
            Json::Bool(b) => Self::Bool(*b),
            Json::Number(n) => match (n.as_i64(), n.as_u64()) {
                (Some(i), _) => Self::Int(i),
                (None, Some(u)) => Self::Uint(u),
                (None, None) => Self::Double(n.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(s) => Self::String(s.as_str().into()),
            Json::Array(items) => Self::list(items.iter().map(Self::from)),
            // Keys of a JSON object are distinct text: building cannot fail.
            Json::Object(fields) => {
                let pairs = fields.iter().map(|(k, v)| (k.as_str().into(), v.into()));
                Self::Map(Arc::new(MapValue::new(pairs).unwrap_or_default()))
            }
        }
    }
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        Self::from(&json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_one_line() {
        assert_eq!(Value::Int(1), Value::Uint(1));
        assert_eq!(Value::Double(1.0), Value::Uint(1));
        assert_ne!(Value::Double(f64::NAN), Value::Double(f64::NAN));
        assert_ne!(Value::Int(-1), Value::Uint(u64::MAX));
        assert_ne!(Value::from("1"), Value::Int(1));
    }

    #[test]
    fn map_keys_meet_across_number_types() {
        let map =
            MapValue::new([(Value::Uint(1), "one".into()), ("k".into(), Value::Null)]).unwrap();
        assert_eq!(map.get(&Value::Int(1)), Some(&"one".into()));
        assert_eq!(map.get(&Value::Double(1.0)), Some(&"one".into()));
        assert_eq!(map.get(&Value::Double(1.5)), None);
        assert_eq!(map.field("k"), Some(&Value::Null));
        assert_eq!(
            MapValue::new([(Value::Uint(1), Value::Null), (Value::Int(1), Value::Null)])
                .unwrap_err(),
            EvalErrorKind::DuplicateKey
        );
        assert_eq!(
            MapValue::new([(Value::Null, Value::Null)]).unwrap_err(),
            EvalErrorKind::KeyType
        );
    }

    #[test]
    fn declared_types_are_deep() {
        assert!(Value::from(["a"]).is_a(&Type::list(Type::String)));
        assert!(!Value::from([1i64]).is_a(&Type::list(Type::String)));
    }
}
