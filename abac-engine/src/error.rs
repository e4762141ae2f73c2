//! Every error of the crate: what went wrong and where, without attribute values.

use std::fmt;

/// A half-open range of byte offsets in a source text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// A span of two byte offsets; offsets past `u32::MAX` saturate (sources are limited well below that).
    pub fn new(start: usize, end: usize) -> Self {
        Self {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            end: u32::try_from(end).unwrap_or(u32::MAX),
        }
    }

    /// The smallest span that covers both.
    pub fn to(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }

    /// The offsets as a range, for slicing.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A fault found in a CEL expression before it ever runs: syntax, an unknown name, a type, a limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CelError {
    /// What is wrong.
    pub message: String,
    /// Where in the expression.
    pub span: Span,
}

impl CelError {
    /// An error at a place.
    pub fn new(message: impl Into<String>, span: Span) -> Self {
        Self {
            message: message.into(),
            span,
        }
    }
}

/// Why an evaluation ended without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum EvalErrorKind {
    /// The request carries no value for an attribute the expression needs.
    #[error("attribute is not set in the request")]
    MissingAttribute,
    /// The request carries a value of another type than the schema declares.
    #[error("attribute does not have the type its schema declares")]
    AttributeType,
    /// A name that nothing declares (only in expressions compiled without checking).
    #[error("unknown name")]
    UnknownName,
    /// A function that does not exist (only in expressions compiled without checking).
    #[error("unknown function")]
    UnknownFunction,
    /// A map has no such key.
    #[error("no such key")]
    NoSuchKey,
    /// A list index outside the list.
    #[error("index out of range")]
    IndexOutOfRange,
    /// An operator or function met operand types it has no meaning for.
    #[error("no such overload")]
    NoSuchOverload,
    /// Integer overflow.
    #[error("integer overflow")]
    Overflow,
    /// Integer division by zero.
    #[error("division by zero")]
    DivisionByZero,
    /// A conversion the value does not admit.
    #[error("value cannot be converted")]
    Conversion,
    /// A timestamp or duration outside its range.
    #[error("timestamp or duration out of range")]
    TimeRange,
    /// Not a time zone name or offset.
    #[error("unknown time zone")]
    TimeZone,
    /// The same key twice in a map literal.
    #[error("duplicate map key")]
    DuplicateKey,
    /// A value that cannot be a map key.
    #[error("not a valid map key type")]
    KeyType,
    /// The step budget ran out. Never absorbed by `&&`, `||` or a macro.
    #[error("evaluation step limit exceeded")]
    StepLimit,
}

/// An evaluation error and the part of the expression that raised it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct EvalError {
    /// Why.
    pub kind: EvalErrorKind,
    /// Where in the expression.
    pub span: Span,
}

/// One fault in a policy document or schema, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// The name the source was loaded under.
    pub file: String,
    /// 1-based line; 0 when the fault has no line (an unreadable file).
    pub line: usize,
    /// 1-based column, counted in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// The source line, or the part of a long one around the fault; empty when there is none.
    pub excerpt: String,
    /// How many characters of the excerpt stand before the fault.
    pub indent: usize,
    /// How many characters of the excerpt the fault covers.
    pub width: usize,
    /// The policy the fault is in, when known.
    pub policy: Option<String>,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.message)?;
        if self.line == 0 {
            return write!(f, "  --> {}", self.file);
        }
        let gutter = self.line.to_string().len();
        writeln!(
            f,
            "{:gutter$}--> {}:{}:{}",
            "", self.file, self.line, self.column
        )?;
        writeln!(f, "{:gutter$} |", "")?;
        writeln!(f, "{} | {}", self.line, self.excerpt)?;
        write!(f, "{:gutter$} | ", "")?;
        // Tabs stay tabs so that the caret lines up in any terminal; wide characters take two cells.
        for c in self.excerpt.chars().take(self.indent) {
            f.write_str(match c {
                '\t' => "\t",
                c if is_wide(c) => "  ",
                _ => " ",
            })?;
        }
        let marked = self.excerpt.chars().skip(self.indent).take(self.width);
        let cells: usize = marked.map(|c| if is_wide(c) { 2 } else { 1 }).sum();
        for _ in 0..cells.max(1) {
            f.write_str("^")?;
        }
        if let Some(policy) = &self.policy {
            write!(f, "\n{:gutter$} = in policy `{policy}`", "")?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}

/// East Asian wide ranges that matter for a caret; not a full width table.
fn is_wide(c: char) -> bool {
    matches!(c as u32, 0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE6F | 0xFF00..=0xFF60 | 0x1F300..=0x1FAFF | 0x20000..=0x3FFFD)
}

/// All the faults of one load; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadErrors(Vec<LoadError>);

impl LoadErrors {
    /// Wraps the errors of a load, or says that there were none.
    pub(crate) fn check(errors: Vec<LoadError>) -> Result<(), Self> {
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Self(errors))
        }
    }

    /// The errors, in source order within each file.
    pub fn iter(&self) -> std::slice::Iter<'_, LoadError> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none: never, for a value this crate returned.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a LoadErrors {
    type Item = &'a LoadError;
    type IntoIter = std::slice::Iter<'a, LoadError>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for LoadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.0 {
            writeln!(f, "{error}\n")?;
        }
        let count = self.0.len();
        write!(
            f,
            "{count} error{} in the policy sources",
            if count == 1 { "" } else { "s" }
        )
    }
}

impl std::error::Error for LoadErrors {}

/// Why a resource name, route or path was refused before any matching.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceError {
    /// Nothing there.
    #[error("resource is empty")]
    Empty,
    /// Longer than the limit (4096 bytes).
    #[error("resource is longer than 4096 bytes")]
    TooLong,
    /// More segments than the limit (64).
    #[error("resource has more than 64 segments")]
    TooDeep,
    /// `//`, `::`, a trailing slash or colon.
    #[error("resource has an empty segment")]
    EmptySegment,
    /// `.` or `..` as a segment, plain or percent-encoded.
    #[error("resource has a dot segment")]
    DotSegment,
    /// A percent-encoding that would decode to a separator, dot, percent sign or control character.
    #[error("resource has an encoded separator, dot, percent sign or control character")]
    ForbiddenEncoding,
    /// A percent sign without two hexadecimal digits, or a percent sign where none is allowed.
    #[error("resource has a stray percent sign")]
    StrayPercent,
    /// The decoded path is not UTF-8.
    #[error("resource is not utf-8")]
    NotUtf8,
    /// A query string or fragment is not part of a resource.
    #[error("resource carries a query string or fragment")]
    QueryString,
    /// A character that has no place in a resource: backslash, `;`, `*`, white space, control characters.
    #[error("resource has a forbidden character")]
    ForbiddenCharacter,
    /// A path that does not start with `/`.
    #[error("path does not start with a slash")]
    NotAbsolute,
    /// A wildcard that is not a whole segment, or `**` before the last one.
    #[error("a wildcard must be a whole segment, and `**` the last one")]
    Wildcard,
}

/// Why a request could not be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A mandatory part is missing or empty.
    #[error("request has no {0}")]
    Missing(&'static str),
    /// A part holds a control character or is longer than 256 bytes.
    #[error("request {0} is malformed")]
    Malformed(&'static str),
    /// The resource was refused.
    #[error(transparent)]
    Resource(#[from] ResourceError),
    /// An attribute was set twice, or one that the request derives itself (`user.id`, `tenant.id`, …).
    #[error("attribute `{0}` is set twice or reserved")]
    Attribute(String),
    /// An attribute is NaN or holds one.
    #[error("attribute `{0}` is not a number")]
    NotANumber(String),
    /// The time is outside the years 1 to 9999.
    #[error("request time is outside the years 1 to 9999")]
    Time,
    /// More roles or attributes than the limit (256 of each).
    #[error("request has more than 256 {0}")]
    TooMany(&'static str),
}

/// Why a schema could not be built in code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// Not an identifier.
    #[error("`{0}` is not a valid attribute name")]
    Name(String),
    /// Declared twice with different types.
    #[error("attribute `{0}` is already declared with another type")]
    Conflict(String),
}
