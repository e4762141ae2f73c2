//! CEL types: what the schema declares and the checker infers.

use std::fmt;

/// A CEL type. `Dyn` is compatible with every type and moves the check to run time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Type {
    /// Any type, decided at run time.
    Dyn,
    /// The type of `null`.
    Null,
    /// `true`, `false`.
    Bool,
    /// Signed 64-bit integer.
    Int,
    /// Unsigned 64-bit integer.
    Uint,
    /// IEEE 754 double.
    Double,
    /// Unicode text.
    String,
    /// Octets.
    Bytes,
    /// A point in time, nanosecond resolution, years 1 to 9999.
    Timestamp,
    /// A signed span of time in nanoseconds, about ±292 years.
    Duration,
    /// The type of a type.
    Type,
    /// A list of one element type.
    List(Box<Type>),
    /// A map of key and value type.
    Map(Box<Type>, Box<Type>),
}

/// Nesting allowed in a type's text form.
const MAX_TYPE_DEPTH: usize = 8;

impl Type {
    /// `list(element)`.
    pub fn list(element: Type) -> Self {
        Self::List(Box::new(element))
    }

    /// `map(key, value)`.
    pub fn map(key: Type, value: Type) -> Self {
        Self::Map(Box::new(key), Box::new(value))
    }

    /// Reads the text form: `string`, `list(string)`, `map(string, dyn)`, ….
    ///
    /// `None` when the text is not a type.
    pub fn parse(text: &str) -> Option<Self> {
        Self::parse_at(text, 0)
    }

    fn parse_at(text: &str, depth: usize) -> Option<Self> {
        if depth > MAX_TYPE_DEPTH {
            return None;
        }
        let deeper = depth.saturating_add(1);
        let text = text.trim();
        Some(match text {
            "dyn" => Self::Dyn,
            "null" => Self::Null,
            "bool" => Self::Bool,
            "int" => Self::Int,
            "uint" => Self::Uint,
            "double" => Self::Double,
            "string" => Self::String,
            "bytes" => Self::Bytes,
            "timestamp" => Self::Timestamp,
            "duration" => Self::Duration,
            "list" => Self::list(Self::Dyn),
            "map" => Self::map(Self::Dyn, Self::Dyn),
            _ => {
                let inner = text.strip_suffix(')')?;
                if let Some(element) = inner.strip_prefix("list(") {
                    Self::list(Self::parse_at(element, deeper)?)
                } else {
                    let (key, value) = inner.strip_prefix("map(")?.split_once(',')?;
                    let key = Self::parse_at(key, deeper)?;
                    // Map keys are the four key types or dyn.
                    if !key.is_key() {
                        return None;
                    }
                    Self::map(key, Self::parse_at(value, deeper)?)
                }
            }
        })
    }

    /// Whether a value of one type may stand where the other is expected.
    pub(crate) fn compatible(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            (Self::List(a), Self::List(b)) => a.compatible(b),
            (Self::Map(ak, av), Self::Map(bk, bv)) => ak.compatible(bk) && av.compatible(bv),
            (a, b) => a == b,
        }
    }

    /// The type that covers both: the type itself when they are equal, `dyn` otherwise.
    pub(crate) fn join(self, other: Self) -> Self {
        if self == other { self } else { Self::Dyn }
    }

    pub(crate) fn is_numeric(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    pub(crate) fn is_ordered(&self) -> bool {
        matches!(
            self,
            Self::Bool
                | Self::Int
                | Self::Uint
                | Self::Double
                | Self::String
                | Self::Bytes
                | Self::Timestamp
                | Self::Duration
        )
    }

    pub(crate) fn is_key(&self) -> bool {
        matches!(
            self,
            Self::Dyn | Self::Bool | Self::Int | Self::Uint | Self::String
        )
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dyn => "dyn",
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::Type => "type",
            Self::List(element) => return write!(f, "list({element})"),
            Self::Map(key, value) => return write!(f, "map({key}, {value})"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        for text in [
            "dyn",
            "string",
            "list(int)",
            "map(string, list(map(int, dyn)))",
            "timestamp",
        ] {
            assert_eq!(Type::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn bad_types_are_refused() {
        for text in [
            "",
            "strin",
            "list(",
            "list()",
            "map(string)",
            "map(double, int)",
            "String",
        ] {
            assert!(Type::parse(text).is_none(), "{text}");
        }
        let deep = format!("{}int{}", "list(".repeat(10_000), ")".repeat(10_000));
        assert!(Type::parse(&deep).is_none());
    }

    #[test]
    fn dyn_is_compatible_inside_lists() {
        assert!(Type::list(Type::Dyn).compatible(&Type::list(Type::Int)));
        assert!(!Type::list(Type::Uint).compatible(&Type::list(Type::Int)));
    }
}
