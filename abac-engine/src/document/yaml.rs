//! YAML, the safe part: no anchors, aliases, tags, directives or second documents; every key once.

use std::collections::HashSet;

use granit_parser::{Event, Parser, ScalarStyle};

use crate::document::tree::{Entry, Fault, Kind, MAX_DEPTH, Node};
use crate::error::Span;

/// An unfinished collection.
enum Open {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        seen: HashSet<String>,
        key: Option<(String, Span)>,
    },
}

/// Reads a document. Without a tree, the last fault says why reading stopped.
pub(crate) fn read_yaml(text: &str) -> (Option<Node>, Vec<Fault>) {
    let mut reader = Reader {
        stack: Vec::new(),
        root: None,
        faults: Vec::new(),
        documents: 0,
    };
    let mut options = granit_parser::options! {
        strict_indentation: true,
        disallow_directives: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    options.set_emit_comments(false);
    for event in Parser::new_from_str_with_options(text, options) {
        let step = match event {
            Ok((event, span)) => {
                let at = |m: &granit_parser::Marker| m.byte_offset().unwrap_or(0);
                reader.event(event, Span::new(at(&span.start), at(&span.end)))
            }
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or(text.len());
                let end = at.saturating_add(1);
                Err(Fault::new(
                    format!("not valid yaml: {}", error.kind()),
                    Span::new(at, end),
                ))
            }
        };
        if let Err(fault) = step {
            reader.faults.push(fault);
            return (None, reader.faults);
        }
    }
    (reader.root, reader.faults)
}

struct Reader {
    stack: Vec<(Open, Span)>,
    root: Option<Node>,
    faults: Vec<Fault>,
    documents: usize,
}

impl Reader {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(..) => {
                self.documents = self.documents.saturating_add(1);
                if self.documents > 1 {
                    return Err(Fault::new("a second document in one file", span));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                plain(anchor, tag.is_some(), span)?;
                self.scalar(&text, style, span)
            }
            Event::SequenceStart(_, anchor, tag) => {
                plain(anchor, tag.is_some(), span)?;
                self.open(Open::List(Vec::new()), span)
            }
            Event::MappingStart(_, anchor, tag) => {
                plain(anchor, tag.is_some(), span)?;
                let map = Open::Map {
                    entries: Vec::new(),
                    seen: HashSet::new(),
                    key: None,
                };
                self.open(map, span)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some((Open::List(items), start)) => self.value(Kind::List(items), start.to(span)),
                Some((Open::Map { entries, .. }, start)) => {
                    self.value(Kind::Map(entries), start.to(span))
                }
                None => Err(Fault::new("not valid yaml", span)),
            },
            // Aliases multiply what a reader sees; a policy says what it means in place.
            _ => Err(Fault::new("yaml aliases and anchors are not allowed", span)),
        }
    }

    fn open(&mut self, open: Open, span: Span) -> Result<(), Fault> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(Fault::new(format!("nested deeper than {MAX_DEPTH}"), span));
        }
        if let Some((Open::Map { key: None, .. }, _)) = self.stack.last() {
            return Err(Fault::new("a mapping key must be text", span));
        }
        self.stack.push((open, span));
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span) -> Result<(), Fault> {
        if let Some((Open::Map { seen, key, .. }, _)) = self.stack.last_mut()
            && key.is_none()
        {
            if !seen.insert(text.to_owned()) {
                self.faults.push(Fault::new(
                    format!("duplicate key `{}`", text.escape_debug()),
                    span,
                ));
            }
            *key = Some((text.to_owned(), span));
            return Ok(());
        }
        let kind = if style == ScalarStyle::Plain {
            resolve(text)
        } else {
            Kind::String(text.to_owned())
        };
        self.value(kind, span)
    }

    fn value(&mut self, kind: Kind, span: Span) -> Result<(), Fault> {
        let value = Node { kind, span };
        match self.stack.last_mut() {
            None => self.root = Some(value),
            Some((Open::List(items), _)) => items.push(value),
            Some((Open::Map { entries, key, .. }, _)) => match key.take() {
                Some((key, span)) => entries.push(Entry { key, span, value }),
                None => return Err(Fault::new("a mapping key must be text", span)),
            },
        }
        Ok(())
    }
}

fn plain(anchor: usize, tagged: bool, span: Span) -> Result<(), Fault> {
    if anchor != 0 {
        return Err(Fault::new("yaml aliases and anchors are not allowed", span));
    }
    if tagged {
        return Err(Fault::new("yaml tags are not allowed", span));
    }
    Ok(())
}

/// The YAML 1.2 core schema for plain scalars, decimal numbers only.
fn resolve(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        _ => {}
    }
    let digits = text.trim_start_matches(['+', '-']);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Kind::String(text.to_owned());
    }
    let integer = text.parse::<i64>().map(serde_json::Number::from);
    let integer = integer.or_else(|_| text.parse::<u64>().map(serde_json::Number::from));
    let number = integer.ok().or_else(|| {
        let float = text.parse::<f64>().ok()?;
        serde_json::Number::from_f64(float)
    });
    number.map_or_else(|| Kind::String(text.to_owned()), Kind::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        let (_, faults) = read_yaml(text);
        faults
            .first()
            .map(|f| f.message.clone())
            .unwrap_or_default()
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        let (node, faults) =
            read_yaml("{a: 001, b: '1', c: yes, d: ~, e: 1.5, f: true, g: -3, h: 1.2.3}");
        assert!(faults.is_empty());
        assert_eq!(
            node.unwrap().to_json(),
            serde_json::json!({"a": 1, "b": "1", "c": "yes", "d": null, "e": 1.5, "f": true, "g": -3, "h": "1.2.3"})
        );
    }

    #[test]
    fn the_unsafe_part_is_refused() {
        assert!(fault("a: &x 1\nb: *x").contains("anchors"));
        assert!(fault("a: !!str 1").contains("tags"));
        assert!(fault("%YAML 1.2\n---\na: 1").contains("not valid yaml"));
        assert!(fault("a: 1\n---\nb: 1").contains("second document"));
        assert!(fault("a: 1\na: 2").contains("duplicate key"));
        assert!(fault("[a]: 1").contains("key must be text"));
        assert!(!fault(&"[".repeat(100_000)).is_empty());
        assert!(!fault(&"- ".repeat(100_000)).is_empty());
        assert!(fault("a: [1").contains("not valid yaml"));
    }

    #[test]
    fn spans_are_byte_offsets() {
        let text = "客户: 'x'\nb: [1, two]\n";
        let (node, _) = read_yaml(text);
        let Kind::Map(entries) = node.unwrap().kind else {
            panic!("a mapping")
        };
        assert_eq!(&text[entries[0].span.range()], "客户");
        assert_eq!(&text[entries[0].value.span.range()], "'x'");
        let Kind::List(items) = &entries[1].value.kind else {
            panic!("a list")
        };
        assert_eq!(&text[items[1].span.range()], "two");
    }
}
