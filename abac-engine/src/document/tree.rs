//! The tree both formats are read into, and the way from a place in it to a place in the file.

use std::cell::Cell;

use crate::error::{LoadError, Span};

/// Deepest nesting a document may have. Policies need five levels.
pub(crate) const MAX_DEPTH: usize = 32;

/// Characters of a line shown on each side of a fault.
const WINDOW: usize = 100;

/// A value in a document.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    String(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) span: Span,
    pub(crate) value: Node,
}

/// A fault and its place in the file.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) span: Span,
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>, span: Span) -> Self {
        Self {
            message: message.into(),
            span,
        }
    }
}

impl Node {
    /// What the node is, for messages.
    pub(crate) fn describe(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "a boolean",
            Kind::Number(_) => "a number",
            Kind::String(_) => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(s) => Some(s),
            _ => None,
        }
    }

    /// The same data without places. Recursion is bounded by [`MAX_DEPTH`].
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.kind {
            Kind::Null => Json::Null,
            Kind::Bool(b) => Json::Bool(*b),
            Kind::Number(n) => Json::Number(n.clone()),
            Kind::String(s) => Json::String(s.clone()),
            Kind::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Kind::Map(entries) => Json::Object(
                entries
                    .iter()
                    .map(|e| (e.key.clone(), e.value.to_json()))
                    .collect(),
            ),
        }
    }
}

/// A source text with its name and line starts.
pub(crate) struct Source<'t> {
    file: &'t str,
    text: &'t str,
    lines: Vec<usize>,
    /// A place whose column is known: byte offset, and characters before it on its line.
    known: Cell<(usize, usize)>,
}

impl<'t> Source<'t> {
    pub(crate) fn new(file: &'t str, text: &'t str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at.saturating_add(1));
        Self {
            file,
            text,
            lines: std::iter::once(0).chain(breaks).collect(),
            known: Cell::new((0, 0)),
        }
    }

    /// A load error at a place, with the line around it.
    pub(crate) fn error(&self, fault: Fault, policy: Option<&str>) -> LoadError {
        let start = (fault.span.start as usize).min(self.text.len());
        let line = self.lines.partition_point(|at| *at <= start).max(1);
        let from = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let end = self.lines.get(line).copied().unwrap_or(self.text.len());
        let before = self.column(from, start);
        let marked = self.text.get(start..end.min(fault.span.end as usize));
        let marked = marked.unwrap_or("").trim_end_matches(['\r', '\n']);
        let width = marked.chars().take(WINDOW.saturating_mul(2)).count();
        // Faults on one long line must not each read the whole of it.
        let ahead = self.text.get(from..start).unwrap_or("").char_indices();
        let left = ahead
            .rev()
            .take(WINDOW)
            .last()
            .map_or(start, |(at, _)| from.saturating_add(at));
        let shown = self.text.get(left..end).unwrap_or("");
        let skip = before.saturating_sub(WINDOW);
        LoadError {
            file: self.file.to_owned(),
            line,
            column: before.saturating_add(1),
            message: fault.message,
            excerpt: shown
                .chars()
                .take_while(|c| !matches!(c, '\r' | '\n'))
                .take(WINDOW.saturating_mul(2))
                .collect(),
            indent: before.saturating_sub(skip),
            width,
            policy: policy.map(str::to_owned),
        }
    }

    /// Characters between the start of a line and a place on it, counted on from the last place where that helps.
    fn column(&self, from: usize, start: usize) -> usize {
        let (at, count) = match self.known.get() {
            (at, count) if (from..=start).contains(&at) => (at, count),
            _ => (from, 0),
        };
        let between = self.text.get(at..start).unwrap_or("").chars().count();
        let column = count.saturating_add(between);
        self.known.set((start, column));
        column
    }

    /// What stands at a place.
    pub(crate) fn written(&self, span: Span) -> &'t str {
        self.text.get(span.range()).unwrap_or("")
    }

    /// Where in the file a part of a scalar's decoded text stands.
    ///
    /// Quotes, escapes and block indentation lie between the two: they are aligned by skipping what only the
    /// written form has. Where that fails the whole scalar is the answer.
    pub(crate) fn locate(&self, scalar: Span, decoded: &str, part: Span) -> Span {
        let raw = self.written(scalar);
        let base = scalar.start as usize;
        let mut written = raw.char_indices().peekable();
        if raw.starts_with(['|', '>']) {
            // The header of a block scalar is not content.
            while written.next_if(|(_, c)| *c != '\n').is_some() {}
            written.next();
        }
        let (mut start, mut end) = (None, base);
        for (at, c) in decoded.char_indices() {
            while written
                .next_if(|(_, w)| *w != c && (w.is_whitespace() || matches!(w, '"' | '\'' | '\\')))
                .is_some()
            {}
            // A line break folded to a space.
            let matches = |w: char| w == c || (c == ' ' && w == '\n');
            let Some((offset, w)) = written.next_if(|(_, w)| matches(*w)) else {
                return scalar;
            };
            let offset = base.saturating_add(offset);
            if at >= part.start as usize {
                start.get_or_insert(offset);
                if at >= part.end as usize {
                    break;
                }
                end = offset.saturating_add(w.len_utf8());
            }
        }
        match start {
            Some(start) => Span::new(start, end.max(start)),
            // The part is the end of the text.
            None => Span::new((scalar.end as usize).saturating_sub(1), scalar.end as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_around_the_fault() {
        let text = format!("{}客户{}", "a".repeat(5_000), "b".repeat(5_000));
        let error = Source::new("f", &text).error(Fault::new("x", Span::new(5_000, 5_006)), None);
        assert_eq!(
            (error.line, error.column, error.indent, error.width),
            (1, 5_001, 100, 2)
        );
        assert_eq!(error.excerpt.chars().count(), 200);
    }

    #[test]
    fn parts_of_scalars_are_found_through_the_written_form() {
        for (text, decoded) in [
            ("user.x == 1", "user.x == 1"),
            ("\"user.x == \\\"a\\\"\"", "user.x == \"a\""),
            ("'user.x == ''a'''", "user.x == 'a'"),
            ("|\n    a &&\n    user.x == 1\n", "a &&\nuser.x == 1\n"),
            (">-\n    a &&\n    user.x == 1\n", "a && user.x == 1"),
        ] {
            let at = decoded.find("user.x").unwrap();
            let span = Source::new("f", text).locate(
                Span::new(0, text.len()),
                decoded,
                Span::new(at, at + 6),
            );
            assert_eq!(&text[span.range()], "user.x", "{text}");
        }
    }
}
