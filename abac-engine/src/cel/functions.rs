//! The standard functions: their signatures for the checker and their code for the evaluator.

use std::borrow::Cow;
use std::sync::Arc;

use crate::cel::time::{Civil, Duration, Timestamp, Zone};
use crate::cel::types::Type;
use crate::cel::value::{Steps, Value, double_to_int, double_to_uint};
use crate::error::EvalErrorKind;

/// A function of the standard library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Func {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    /// Compiled apart: its pattern is a literal.
    Matches,
    ToBool,
    ToBytes,
    ToDouble,
    ToDuration,
    ToInt,
    ToString,
    ToTimestamp,
    ToUint,
    TypeOf,
    Dyn,
    Part(Part),
}

/// A part of a timestamp's wall clock, or of a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    FullYear,
    Month,
    Date,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

/// A parameter's type class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Any,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    List,
    Map,
    Type,
}

impl Kind {
    pub(crate) fn accepts(self, ty: &Type) -> bool {
        match (self, ty) {
            (Self::Any, _) | (_, Type::Dyn) => true,
            (Self::List, Type::List(_)) | (Self::Map, Type::Map(..)) => true,
            (kind, ty) => kind.to_type() == *ty,
        }
    }

    pub(crate) fn to_type(self) -> Type {
        match self {
            Self::Any => Type::Dyn,
            Self::Bool => Type::Bool,
            Self::Int => Type::Int,
            Self::Uint => Type::Uint,
            Self::Double => Type::Double,
            Self::String => Type::String,
            Self::Bytes => Type::Bytes,
            Self::Timestamp => Type::Timestamp,
            Self::Duration => Type::Duration,
            Self::List => Type::list(Type::Dyn),
            Self::Map => Type::map(Type::Dyn, Type::Dyn),
            Self::Type => Type::Type,
        }
    }
}

/// One overload: name, whether called as a method, parameters (receiver first), result.
pub(crate) struct Overload {
    pub(crate) name: &'static str,
    pub(crate) method: bool,
    pub(crate) params: &'static [Kind],
    pub(crate) result: Kind,
    pub(crate) func: Func,
}

const fn function(
    name: &'static str,
    params: &'static [Kind],
    result: Kind,
    func: Func,
) -> Overload {
    Overload {
        name,
        method: false,
        params,
        result,
        func,
    }
}

const fn method(name: &'static str, params: &'static [Kind], result: Kind, func: Func) -> Overload {
    Overload {
        name,
        method: true,
        params,
        result,
        func,
    }
}

const fn part(name: &'static str, params: &'static [Kind], part: Part) -> Overload {
    method(name, params, Kind::Int, Func::Part(part))
}

const TIME: &[Kind] = &[Kind::Timestamp];
const ZONED: &[Kind] = &[Kind::Timestamp, Kind::String];
const SPAN: &[Kind] = &[Kind::Duration];
const TEXTS: &[Kind] = &[Kind::String, Kind::String];

/// Every overload of the standard library.
pub(crate) static OVERLOADS: &[Overload] = &[
    function("size", &[Kind::String], Kind::Int, Func::Size),
    function("size", &[Kind::Bytes], Kind::Int, Func::Size),
    function("size", &[Kind::List], Kind::Int, Func::Size),
    function("size", &[Kind::Map], Kind::Int, Func::Size),
    method("size", &[Kind::String], Kind::Int, Func::Size),
    method("size", &[Kind::Bytes], Kind::Int, Func::Size),
    method("size", &[Kind::List], Kind::Int, Func::Size),
    method("size", &[Kind::Map], Kind::Int, Func::Size),
    method("contains", TEXTS, Kind::Bool, Func::Contains),
    method("startsWith", TEXTS, Kind::Bool, Func::StartsWith),
    method("endsWith", TEXTS, Kind::Bool, Func::EndsWith),
    method("matches", TEXTS, Kind::Bool, Func::Matches),
    function("matches", TEXTS, Kind::Bool, Func::Matches),
    function("bool", &[Kind::Bool], Kind::Bool, Func::ToBool),
    function("bool", &[Kind::String], Kind::Bool, Func::ToBool),
    function("bytes", &[Kind::Bytes], Kind::Bytes, Func::ToBytes),
    function("bytes", &[Kind::String], Kind::Bytes, Func::ToBytes),
    function("double", &[Kind::Double], Kind::Double, Func::ToDouble),
    function("double", &[Kind::Int], Kind::Double, Func::ToDouble),
    function("double", &[Kind::Uint], Kind::Double, Func::ToDouble),
    function("double", &[Kind::String], Kind::Double, Func::ToDouble),
    function(
        "duration",
        &[Kind::Duration],
        Kind::Duration,
        Func::ToDuration,
    ),
    function(
        "duration",
        &[Kind::String],
        Kind::Duration,
        Func::ToDuration,
    ),
    function("int", &[Kind::Int], Kind::Int, Func::ToInt),
    function("int", &[Kind::Uint], Kind::Int, Func::ToInt),
    function("int", &[Kind::Double], Kind::Int, Func::ToInt),
    function("int", &[Kind::String], Kind::Int, Func::ToInt),
    function("int", &[Kind::Timestamp], Kind::Int, Func::ToInt),
    function("uint", &[Kind::Uint], Kind::Uint, Func::ToUint),
    function("uint", &[Kind::Int], Kind::Uint, Func::ToUint),
    function("uint", &[Kind::Double], Kind::Uint, Func::ToUint),
    function("uint", &[Kind::String], Kind::Uint, Func::ToUint),
    function("string", &[Kind::String], Kind::String, Func::ToString),
    function("string", &[Kind::Bool], Kind::String, Func::ToString),
    function("string", &[Kind::Int], Kind::String, Func::ToString),
    function("string", &[Kind::Uint], Kind::String, Func::ToString),
    function("string", &[Kind::Double], Kind::String, Func::ToString),
    function("string", &[Kind::Bytes], Kind::String, Func::ToString),
    function("string", &[Kind::Timestamp], Kind::String, Func::ToString),
    function("string", &[Kind::Duration], Kind::String, Func::ToString),
    function(
        "timestamp",
        &[Kind::Timestamp],
        Kind::Timestamp,
        Func::ToTimestamp,
    ),
    function(
        "timestamp",
        &[Kind::String],
        Kind::Timestamp,
        Func::ToTimestamp,
    ),
    function(
        "timestamp",
        &[Kind::Int],
        Kind::Timestamp,
        Func::ToTimestamp,
    ),
    function("type", &[Kind::Any], Kind::Type, Func::TypeOf),
    function("dyn", &[Kind::Any], Kind::Any, Func::Dyn),
    part("getFullYear", TIME, Part::FullYear),
    part("getFullYear", ZONED, Part::FullYear),
    part("getMonth", TIME, Part::Month),
    part("getMonth", ZONED, Part::Month),
    part("getDate", TIME, Part::Date),
    part("getDate", ZONED, Part::Date),
    part("getDayOfMonth", TIME, Part::DayOfMonth),
    part("getDayOfMonth", ZONED, Part::DayOfMonth),
    part("getDayOfWeek", TIME, Part::DayOfWeek),
    part("getDayOfWeek", ZONED, Part::DayOfWeek),
    part("getDayOfYear", TIME, Part::DayOfYear),
    part("getDayOfYear", ZONED, Part::DayOfYear),
    part("getHours", TIME, Part::Hours),
    part("getHours", ZONED, Part::Hours),
    part("getHours", SPAN, Part::Hours),
    part("getMinutes", TIME, Part::Minutes),
    part("getMinutes", ZONED, Part::Minutes),
    part("getMinutes", SPAN, Part::Minutes),
    part("getSeconds", TIME, Part::Seconds),
    part("getSeconds", ZONED, Part::Seconds),
    part("getSeconds", SPAN, Part::Seconds),
    part("getMilliseconds", TIME, Part::Milliseconds),
    part("getMilliseconds", ZONED, Part::Milliseconds),
    part("getMilliseconds", SPAN, Part::Milliseconds),
];

/// The type a bare type name denotes, as a value.
pub(crate) fn type_constant(name: &str) -> Option<&'static str> {
    [
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "null_type",
        "type",
        "google.protobuf.Timestamp",
        "google.protobuf.Duration",
    ]
    .into_iter()
    .find(|known| *known == name)
}

/// Applies a function to its arguments, the receiver first.
pub(crate) fn call(
    func: Func,
    args: &[Cow<'_, Value>],
    steps: &mut Steps,
) -> Result<Value, EvalErrorKind> {
    match args {
        [only] => unary(func, only, steps),
        [first, second] => binary(func, first, second, steps),
        _ => Err(EvalErrorKind::NoSuchOverload),
    }
}

fn unary(func: Func, arg: &Value, steps: &mut Steps) -> Result<Value, EvalErrorKind> {
    Ok(match (func, arg) {
        (Func::Dyn, v) => v.clone(),
        (Func::TypeOf, v) => Value::Type(v.type_name()),
        (Func::Size, v) => Value::Int(size(v, steps)?),
        (Func::ToBool, v @ Value::Bool(_))
        | (Func::ToBytes, v @ Value::Bytes(_))
        | (Func::ToDouble, v @ Value::Double(_))
        | (Func::ToDuration, v @ Value::Duration(_))
        | (Func::ToInt, v @ Value::Int(_))
        | (Func::ToUint, v @ Value::Uint(_))
        | (Func::ToString, v @ Value::String(_))
        | (Func::ToTimestamp, v @ Value::Timestamp(_)) => v.clone(),
        (Func::ToBool, Value::String(s)) => match &**s {
            "1" | "t" | "true" | "TRUE" | "True" => Value::Bool(true),
            "0" | "f" | "false" | "FALSE" | "False" => Value::Bool(false),
            _ => return Err(EvalErrorKind::Conversion),
        },
        (Func::ToBytes, Value::String(s)) => {
            steps.charge_bytes(s.len())?;
            Value::Bytes(s.as_bytes().into())
        }
        (Func::ToDouble, Value::Int(i)) => Value::Double(*i as f64),
        (Func::ToDouble, Value::Uint(u)) => Value::Double(*u as f64),
        (Func::ToDouble, Value::String(s)) => {
            steps.charge_bytes(s.len())?;
            Value::Double(s.parse().map_err(|_| EvalErrorKind::Conversion)?)
        }
        (Func::ToDuration, Value::String(s)) => {
            steps.charge_bytes(s.len())?;
            Value::Duration(Duration::parse(s).ok_or(EvalErrorKind::Conversion)?)
        }
        (Func::ToInt, v) => Value::Int(to_int(v, steps)?),
        (Func::ToUint, v) => Value::Uint(to_uint(v, steps)?),
        (Func::ToString, v) => to_string(v, steps)?,
        (Func::ToTimestamp, Value::String(s)) => {
            steps.charge_bytes(s.len())?;
            Value::Timestamp(Timestamp::parse(s).ok_or(EvalErrorKind::Conversion)?)
        }
        (Func::ToTimestamp, Value::Int(i)) => {
            Value::Timestamp(Timestamp::from_unix(*i, 0).ok_or(EvalErrorKind::TimeRange)?)
        }
        (Func::Part(part), v) => time_part(part, v, &Zone::Fixed(0))?,
        _ => return Err(EvalErrorKind::NoSuchOverload),
    })
}

fn binary(func: Func, a: &Value, b: &Value, steps: &mut Steps) -> Result<Value, EvalErrorKind> {
    let (Value::String(text), Value::String(other)) = (a, b) else {
        return match (func, a, b) {
            (Func::Part(part), time @ Value::Timestamp(_), Value::String(zone)) => time_part(
                part,
                time,
                &Zone::parse(zone).ok_or(EvalErrorKind::TimeZone)?,
            ),
            _ => Err(EvalErrorKind::NoSuchOverload),
        };
    };
    Ok(Value::Bool(match func {
        Func::Contains => {
            steps.charge_bytes(text.len().saturating_add(other.len()))?;
            text.contains(&**other)
        }
        Func::StartsWith => {
            steps.charge_bytes(other.len())?;
            text.starts_with(&**other)
        }
        Func::EndsWith => {
            steps.charge_bytes(other.len())?;
            text.ends_with(&**other)
        }
        _ => return Err(EvalErrorKind::NoSuchOverload),
    }))
}

fn size(value: &Value, steps: &mut Steps) -> Result<i64, EvalErrorKind> {
    let size = match value {
        // Code points, as the specification has it.
        Value::String(s) => {
            steps.charge_bytes(s.len())?;
            s.chars().count()
        }
        Value::Bytes(b) => b.len(),
        Value::List(l) => l.len(),
        Value::Map(m) => m.len(),
        _ => return Err(EvalErrorKind::NoSuchOverload),
    };
    i64::try_from(size).map_err(|_| EvalErrorKind::Overflow)
}

fn to_int(value: &Value, steps: &mut Steps) -> Result<i64, EvalErrorKind> {
    match value {
        Value::Uint(u) => i64::try_from(*u).map_err(|_| EvalErrorKind::Overflow),
        Value::Double(d) => double_to_int(*d).ok_or(EvalErrorKind::Overflow),
        Value::String(s) => {
            steps.charge_bytes(s.len())?;
            s.parse().map_err(|_| EvalErrorKind::Conversion)
        }
        Value::Timestamp(t) => Ok(t.unix_seconds()),
        _ => Err(EvalErrorKind::NoSuchOverload),
    }
}

fn to_uint(value: &Value, steps: &mut Steps) -> Result<u64, EvalErrorKind> {
    match value {
        Value::Int(i) => u64::try_from(*i).map_err(|_| EvalErrorKind::Overflow),
        Value::Double(d) => double_to_uint(*d).ok_or(EvalErrorKind::Overflow),
        Value::String(s) => {
            steps.charge_bytes(s.len())?;
            s.parse().map_err(|_| EvalErrorKind::Conversion)
        }
        _ => Err(EvalErrorKind::NoSuchOverload),
    }
}

fn to_string(value: &Value, steps: &mut Steps) -> Result<Value, EvalErrorKind> {
    Ok(Value::from(match value {
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Uint(u) => u.to_string(),
        Value::Double(d) => double_text(*d),
        Value::Bytes(b) => {
            steps.charge_bytes(b.len())?;
            let text = std::str::from_utf8(b).map_err(|_| EvalErrorKind::Conversion)?;
            return Ok(Value::String(Arc::from(text)));
        }
        Value::Timestamp(t) => t.to_string(),
        Value::Duration(d) => d.to_string(),
        _ => return Err(EvalErrorKind::NoSuchOverload),
    }))
}

/// The shortest text that reads back, in exponent form below 1e-4 and from 1e21 on.
fn double_text(d: f64) -> String {
    if d.is_nan() {
        return "NaN".into();
    }
    if d.is_infinite() {
        return if d > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let magnitude = d.abs();
    if magnitude != 0.0 && !(1e-4..1e21).contains(&magnitude) {
        let text = format!("{d:e}");
        return match text.split_once('e') {
            Some((mantissa, exponent)) => {
                let (sign, digits) = match exponent.strip_prefix('-') {
                    Some(digits) => ('-', digits),
                    None => ('+', exponent),
                };
                format!("{mantissa}e{sign}{digits:0>2}")
            }
            None => text,
        };
    }
    d.to_string()
}

/// A part of a timestamp in a zone, or of a duration.
pub(crate) fn time_part(part: Part, value: &Value, zone: &Zone) -> Result<Value, EvalErrorKind> {
    Ok(Value::Int(match value {
        Value::Timestamp(t) => civil_part(part, &t.civil(zone)),
        Value::Duration(d) => {
            let nanos = d.as_nanos();
            let per = match part {
                Part::Hours => 3_600_000_000_000,
                Part::Minutes => 60_000_000_000,
                Part::Seconds => 1_000_000_000,
                // The milliseconds within the second, not the whole duration in milliseconds.
                Part::Milliseconds => {
                    return Ok(Value::Int(
                        nanos.wrapping_rem(1_000_000_000).wrapping_div(1_000_000),
                    ));
                }
                _ => return Err(EvalErrorKind::NoSuchOverload),
            };
            nanos.checked_div(per).ok_or(EvalErrorKind::Overflow)?
        }
        _ => return Err(EvalErrorKind::NoSuchOverload),
    }))
}

fn civil_part(part: Part, civil: &Civil) -> i64 {
    match part {
        Part::FullYear => civil.year,
        // Months and days of month count from 0, dates from 1.
        Part::Month => civil.month.saturating_sub(1),
        Part::DayOfMonth => civil.day.saturating_sub(1),
        Part::Date => civil.day,
        Part::DayOfWeek => civil.weekday,
        Part::DayOfYear => civil.day_of_year,
        Part::Hours => civil.hour,
        Part::Minutes => civil.minute,
        Part::Seconds => civil.second,
        Part::Milliseconds => civil.millisecond,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_as_text() {
        for (d, text) in [
            (123.456, "123.456"),
            (-4500.0, "-4500"),
            (0.0, "0"),
            (1e-7, "1e-07"),
            (1e99, "1e+99"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(double_text(d), text);
        }
    }
}
