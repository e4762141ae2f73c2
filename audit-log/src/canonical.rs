//! RFC 8785 canonical JSON, narrowed: the single byte encoding of a record.
//!
//! Narrowed means: numbers are integers of magnitude at most 2^53 - 1 (wider counts are decimal
//! strings), duplicate members and lone surrogates are refused, nothing is Unicode-normalised.
//! Writer and checker stand apart: the checker accepts bytes without asking the writer.

use crate::error::Error;
use std::cmp::Ordering;
use std::fmt::Write as _;
use std::str::FromStr;

/// The largest magnitude of a JSON number here, 2^53 - 1 (RFC 7493 2.2).
pub const MAX_INTEGER: i64 = 9_007_199_254_740_991;

/// How deep objects and arrays may nest.
pub const MAX_DEPTH: usize = 16;

/// A parsed canonical value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer of magnitude at most [`MAX_INTEGER`].
    Int(i64),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Value>),
    /// An object; members in canonical order when it came from [`parse`].
    Object(Vec<(String, Value)>),
}

impl Value {
    /// The member of that name, if this is an object that has it.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// A 64-bit number in a decimal string, in its only spelling.
    pub(crate) fn as_wide<T: FromStr + ToString>(&self) -> Option<T> {
        let text = self.as_str()?;
        let number: T = text.parse().ok()?;
        (number.to_string() == text).then_some(number)
    }

    /// The canonical bytes. Members are sorted; their order here does not matter.
    ///
    /// # Errors
    /// When a number is out of range, a member is given twice or nesting is too deep.
    pub fn to_canonical(&self) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        self.write(&mut out, 0)?;
        Ok(out)
    }

    fn write(&self, out: &mut Vec<u8>, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(refuse(out.len(), "nested too deep"));
        }
        let inner = depth.saturating_add(1);
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(flag) => write_bool(out, *flag),
            Self::Int(number) => write_int(out, *number)?,
            Self::String(text) => write_string(out, text),
            Self::Array(items) => {
                out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    item.write(out, inner)?;
                }
                out.push(b']');
            }
            Self::Object(members) => {
                let mut sorted: Vec<&(String, Value)> = members.iter().collect();
                sorted.sort_by(|a, b| utf16_order(&a.0, &b.0));
                out.push(b'{');
                let mut last: Option<&str> = None;
                for (name, value) in sorted {
                    if last == Some(name) {
                        return Err(refuse(out.len(), "duplicate member"));
                    }
                    if last.is_some() {
                        out.push(b',');
                    }
                    last = Some(name);
                    write_string(out, name);
                    out.push(b':');
                    value.write(out, inner)?;
                }
                out.push(b'}');
            }
        }
        Ok(())
    }
}

/// Compares member names by UTF-16 code units (RFC 8785 3.2.3).
pub(crate) fn utf16_order(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

fn refuse(offset: usize, reason: &'static str) -> Error {
    Error::Canonical { offset, reason }
}

fn write_bool(out: &mut Vec<u8>, flag: bool) {
    out.extend_from_slice(if flag { b"true" } else { b"false" });
}

fn write_int(out: &mut Vec<u8>, number: i64) -> Result<(), Error> {
    if number.unsigned_abs() > MAX_INTEGER.unsigned_abs() {
        return Err(refuse(out.len(), "number beyond 2^53 - 1"));
    }
    out.extend_from_slice(number.to_string().as_bytes());
    Ok(())
}

/// RFC 8785 3.2.2.2: the two-character escapes where they exist, `\u00xx` for the other control
/// characters, everything else as it is.
fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = rest
        .bytes()
        .position(|b| b < 0x20 || b == b'"' || b == b'\\')
    {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let mut chars = tail.chars();
        match chars.next() {
            Some('"') => out.extend_from_slice(b"\\\""),
            Some('\\') => out.extend_from_slice(b"\\\\"),
            Some('\u{8}') => out.extend_from_slice(b"\\b"),
            Some('\t') => out.extend_from_slice(b"\\t"),
            Some('\n') => out.extend_from_slice(b"\\n"),
            Some('\u{c}') => out.extend_from_slice(b"\\f"),
            Some('\r') => out.extend_from_slice(b"\\r"),
            Some(control) => {
                let mut escape = String::with_capacity(6);
                // Writing to a String cannot fail.
                let _ = write!(escape, "\\u{:04x}", u32::from(control));
                out.extend_from_slice(escape.as_bytes());
            }
            None => {}
        }
        rest = chars.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
    out.push(b'"');
}

/// Writes one object member by member, in canonical order, straight into the output.
pub(crate) struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    last: Option<String>,
}

impl<'a> ObjectWriter<'a> {
    /// Writes an object whose members `fill` adds in canonical order.
    pub(crate) fn write(
        out: &'a mut Vec<u8>,
        fill: impl FnOnce(&mut ObjectWriter<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        out.push(b'{');
        let mut writer = ObjectWriter { out, last: None };
        fill(&mut writer)?;
        writer.out.push(b'}');
        Ok(())
    }

    fn name(&mut self, name: &str) -> Result<(), Error> {
        if let Some(last) = &self.last {
            match utf16_order(last, name) {
                Ordering::Less => self.out.push(b','),
                Ordering::Equal => return Err(refuse(self.out.len(), "duplicate member")),
                Ordering::Greater => return Err(refuse(self.out.len(), "members out of order")),
            }
        }
        write_string(self.out, name);
        self.out.push(b':');
        match &mut self.last {
            Some(last) => {
                last.clear();
                last.push_str(name);
            }
            None => self.last = Some(name.to_owned()),
        }
        Ok(())
    }

    /// A string member.
    pub(crate) fn string(&mut self, name: &str, value: &str) -> Result<(), Error> {
        self.name(name)?;
        write_string(self.out, value);
        Ok(())
    }

    /// A string member, left out when there is no value.
    pub(crate) fn maybe(&mut self, name: &str, value: Option<&str>) -> Result<(), Error> {
        match value {
            Some(value) => self.string(name, value),
            None => Ok(()),
        }
    }

    /// A number member.
    pub(crate) fn int(&mut self, name: &str, value: i64) -> Result<(), Error> {
        self.name(name)?;
        write_int(self.out, value)
    }

    /// A member of 64 bits, as a decimal string.
    pub(crate) fn wide(&mut self, name: &str, value: impl ToString) -> Result<(), Error> {
        self.string(name, &value.to_string())
    }

    /// A boolean member.
    pub(crate) fn bool(&mut self, name: &str, value: bool) -> Result<(), Error> {
        self.name(name)?;
        write_bool(self.out, value);
        Ok(())
    }

    /// An object member.
    pub(crate) fn object(
        &mut self,
        name: &str,
        fill: impl FnOnce(&mut ObjectWriter<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.name(name)?;
        ObjectWriter::write(self.out, fill)
    }
}

/// Accepts exactly the bytes that are the canonical form of some value.
///
/// # Errors
/// [`Error::Canonical`] with the offset of the first deviation.
pub fn check(bytes: &[u8]) -> Result<(), Error> {
    parse(bytes).map(|_| ())
}

/// Reads canonical bytes; everything else is refused.
///
/// # Errors
/// [`Error::Canonical`] with the offset of the first deviation.
pub fn parse(bytes: &[u8]) -> Result<Value, Error> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| refuse(error.valid_up_to(), "not UTF-8 (or a lone surrogate)"))?;
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(0)?;
    if parser.at != text.len() {
        return Err(refuse(parser.at, "bytes after the value"));
    }
    Ok(value)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn advance(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    fn expect(&mut self, byte: u8, reason: &'static str) -> Result<(), Error> {
        if self.peek() != Some(byte) {
            return Err(refuse(self.at, reason));
        }
        self.advance(1);
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        if depth > MAX_DEPTH {
            return Err(refuse(self.at, "nested too deep"));
        }
        let inner = depth.saturating_add(1);
        match self.peek() {
            Some(b'{') => self.object(inner),
            Some(b'[') => self.array(inner),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.int().map(Value::Int),
            _ => {
                for (word, value) in [
                    ("true", Value::Bool(true)),
                    ("false", Value::Bool(false)),
                    ("null", Value::Null),
                ] {
                    if self.rest().starts_with(word) {
                        self.advance(word.len());
                        return Ok(value);
                    }
                }
                Err(refuse(self.at, "expected a value"))
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Error> {
        self.advance(1);
        let mut members: Vec<(String, Value)> = Vec::new();
        if self.peek() == Some(b'}') {
            self.advance(1);
            return Ok(Value::Object(members));
        }
        loop {
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(refuse(start, "expected a member name"));
            }
            let name = self.string()?;
            if let Some((last, _)) = members.last() {
                match utf16_order(last, &name) {
                    Ordering::Less => {}
                    Ordering::Equal => return Err(refuse(start, "duplicate member")),
                    Ordering::Greater => return Err(refuse(start, "members out of order")),
                }
            }
            self.expect(b':', "expected a colon")?;
            let value = self.value(depth)?;
            members.push((name, value));
            match self.peek() {
                Some(b',') => self.advance(1),
                Some(b'}') => {
                    self.advance(1);
                    return Ok(Value::Object(members));
                }
                _ => return Err(refuse(self.at, "expected a comma or the end of the object")),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Error> {
        self.advance(1);
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.advance(1);
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            match self.peek() {
                Some(b',') => self.advance(1),
                Some(b']') => {
                    self.advance(1);
                    return Ok(Value::Array(items));
                }
                _ => return Err(refuse(self.at, "expected a comma or the end of the array")),
            }
        }
    }

    fn int(&mut self) -> Result<i64, Error> {
        let start = self.at;
        let digits = self
            .rest()
            .bytes()
            .take_while(|b| b.is_ascii_digit() || *b == b'-')
            .count();
        self.advance(digits);
        let text = self.text.get(start..self.at).unwrap_or_default();
        if matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return Err(refuse(self.at, "number is not an integer"));
        }
        let number: i64 = text
            .parse()
            .map_err(|_| refuse(start, "malformed number"))?;
        if number.unsigned_abs() > MAX_INTEGER.unsigned_abs() {
            return Err(refuse(start, "number beyond 2^53 - 1"));
        }
        // One spelling a number: this also refuses leading zeros and -0.
        if number.to_string() != text {
            return Err(refuse(start, "number is not in its shortest form"));
        }
        Ok(number)
    }

    fn string(&mut self) -> Result<String, Error> {
        self.advance(1);
        let mut out = String::new();
        loop {
            let plain = self
                .rest()
                .bytes()
                .take_while(|b| *b >= 0x20 && *b != b'"' && *b != b'\\')
                .count();
            let end = self.at.saturating_add(plain);
            out.push_str(self.text.get(self.at..end).unwrap_or_default());
            self.at = end;
            match self.peek() {
                Some(b'"') => {
                    self.advance(1);
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return Err(refuse(self.at, "bare control character")),
                None => return Err(refuse(self.at, "string does not end")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        let start = self.at;
        self.advance(1);
        let letter = self.peek();
        self.advance(1);
        Ok(match letter {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'b') => '\u{8}',
            Some(b't') => '\t',
            Some(b'n') => '\n',
            Some(b'f') => '\u{c}',
            Some(b'r') => '\r',
            Some(b'u') => return self.unicode_escape(start),
            _ => return Err(refuse(start, "escape is not canonical")),
        })
    }

    fn unicode_escape(&mut self, start: usize) -> Result<char, Error> {
        let end = self.at.saturating_add(4);
        let digits = self
            .text
            .get(self.at..end)
            .ok_or_else(|| refuse(start, "escape is cut short"))?;
        let [high, low] = crate::hex::decode::<2>(digits)
            .ok_or_else(|| refuse(start, "escape is not lower-case hexadecimal"))?;
        self.at = end;
        let unit = u16::from_be_bytes([high, low]);
        match (char::from_u32(u32::from(unit)), unit) {
            (None, _) => Err(refuse(start, "surrogate escape")),
            (Some(_), 0x08 | 0x09 | 0x0a | 0x0c | 0x0d) => {
                Err(refuse(start, "escape has a shorter form"))
            }
            (Some(control), 0x00..=0x1f) => Ok(control),
            _ => Err(refuse(start, "needless escape")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(value: &Value) -> String {
        String::from_utf8(value.to_canonical().unwrap()).unwrap()
    }

    #[test]
    fn rfc8785_section_3_2_3_sorting() {
        let names = [
            "\u{20ac}",
            "\r",
            "\u{fb33}",
            "1",
            "\u{1f600}",
            "\u{80}",
            "\u{f6}",
        ];
        let object = Value::Object(names.iter().map(|n| ((*n).into(), Value::Null)).collect());
        let sorted = "{\"\\r\":null,\"1\":null,\"\u{80}\":null,\"\u{f6}\":null,\"\u{20ac}\":null,\
                      \"\u{1f600}\":null,\"\u{fb33}\":null}";
        assert_eq!(canonical(&object), sorted);
        check(sorted.as_bytes()).unwrap();
    }

    #[test]
    fn rfc8785_section_3_2_2_2_strings() {
        let text = Value::String("\u{20ac}$\u{f}\nA'B\"\\\\\"/".into());
        let expected = "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"";
        assert_eq!(canonical(&text), expected);
        assert_eq!(parse(expected.as_bytes()).unwrap(), text);
    }

    #[test]
    fn checker_refuses_every_other_spelling() {
        for (text, reason) in [
            (r#"{"b":1,"a":2}"#, "members out of order"),
            (r#"{"a":1,"a":2}"#, "duplicate member"),
            (r#"{"a":1,"\u0061":2}"#, "needless escape"),
            (r#"{ "a":1}"#, "expected a member name"),
            (r#"{"a":1} "#, "bytes after the value"),
            (r#"{"a":1,}"#, "expected a member name"),
            ("1.0", "number is not an integer"),
            ("1e3", "number is not an integer"),
            ("-0", "number is not in its shortest form"),
            ("01", "number is not in its shortest form"),
            ("--1", "malformed number"),
            ("1-1", "malformed number"),
            ("9007199254740992", "number beyond 2^53 - 1"),
            ("99999999999999999999", "malformed number"),
            (r#""\ud800""#, "surrogate escape"),
            (r#""\u000A""#, "escape is not lower-case hexadecimal"),
            (r#""\u000a""#, "escape has a shorter form"),
            (r#""\/""#, "escape is not canonical"),
            (r#""\u00"#, "escape is cut short"),
            ("\"\u{1}\"", "bare control character"),
            ("\"a", "string does not end"),
            ("", "expected a value"),
            ("nul", "expected a value"),
            ("[1 ]", "expected a comma or the end of the array"),
        ] {
            match check(text.as_bytes()) {
                Err(Error::Canonical { reason: found, .. }) => assert_eq!(found, reason, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        // A lone surrogate in raw bytes (WTF-8) is not UTF-8.
        assert!(check(b"\"\xed\xa0\x80\"").is_err());
    }

    #[test]
    fn limits() {
        assert!(Value::Int(MAX_INTEGER).to_canonical().is_ok());
        assert!(Value::Int(-MAX_INTEGER).to_canonical().is_ok());
        assert!(Value::Int(MAX_INTEGER + 1).to_canonical().is_err());
        assert!(Value::Int(i64::MIN).to_canonical().is_err());
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(check(nested(MAX_DEPTH + 1).as_bytes()).is_ok());
        assert!(check(nested(MAX_DEPTH + 2).as_bytes()).is_err());
        assert!(check(nested(100_000).as_bytes()).is_err());
        let twice = Value::Object(vec![("a".into(), Value::Null), ("a".into(), Value::Null)]);
        assert!(twice.to_canonical().is_err());
    }

    #[test]
    fn object_writer_insists_on_order() {
        let mut out = Vec::new();
        let swapped = ObjectWriter::write(&mut out, |o| {
            o.int("b", 1)?;
            o.int("a", 1)
        });
        assert!(swapped.is_err());
        let mut out = Vec::new();
        ObjectWriter::write(&mut out, |o| {
            o.bool("a", true)?;
            o.object("b", |o| o.wide("n", u64::MAX))?;
            o.maybe("c", None)
        })
        .unwrap();
        assert_eq!(out, br#"{"a":true,"b":{"n":"18446744073709551615"}}"#);
    }
}
