//! JSON, strictly RFC 8259: every key once, no surrogate halves, bounded depth.

use std::collections::HashSet;

use crate::document::tree::{Entry, Fault, Kind, MAX_DEPTH, Node};
use crate::error::Span;

/// Reads a document. Without a tree, the last fault says why reading stopped.
pub(crate) fn read_json(text: &str) -> (Option<Node>, Vec<Fault>) {
    let mut reader = Reader {
        text,
        at: 0,
        faults: Vec::new(),
    };
    let root = reader.value(0).and_then(|root| {
        reader.space();
        if reader.at < text.len() {
            return Err(reader.fault("text after the document"));
        }
        Ok(root)
    });
    match root {
        Ok(root) => (Some(root), reader.faults),
        Err(fault) => {
            reader.faults.push(fault);
            (None, reader.faults)
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn advance(&mut self, by: usize) {
        self.at = self.at.saturating_add(by);
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.advance(1);
        }
    }

    fn fault(&self, what: &str) -> Fault {
        Fault::new(
            format!("not valid json: {what}"),
            Span::new(self.at, self.at.saturating_add(1)),
        )
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        if found {
            self.advance(1);
        }
        found
    }

    fn value(&mut self, depth: usize) -> Result<Node, Fault> {
        if depth > MAX_DEPTH {
            return Err(self.fault("nested too deeply"));
        }
        self.space();
        let start = self.at;
        let deeper = depth.saturating_add(1);
        let kind = match self.peek() {
            Some(b'{') => self.object(deeper)?,
            Some(b'[') => self.array(deeper)?,
            Some(b'"') => Kind::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Node {
            kind,
            span: Span::new(start, self.at),
        })
    }

    fn object(&mut self, depth: usize) -> Result<Kind, Fault> {
        self.advance(1);
        let mut entries = Vec::new();
        let mut seen = HashSet::new();
        if self.eat(b'}') {
            return Ok(Kind::Map(entries));
        }
        loop {
            self.space();
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.fault("expected a key"));
            }
            let key = self.string()?;
            let span = Span::new(start, self.at);
            if !seen.insert(key.clone()) {
                let message = format!("duplicate key `{}`", key.escape_debug());
                self.faults.push(Fault::new(message, span));
            }
            if !self.eat(b':') {
                return Err(self.fault("expected `:`"));
            }
            let value = self.value(depth)?;
            entries.push(Entry { key, span, value });
            if self.eat(b'}') {
                return Ok(Kind::Map(entries));
            }
            if !self.eat(b',') {
                return Err(self.fault("expected `,` or `}`"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Kind, Fault> {
        self.advance(1);
        let mut items = Vec::new();
        if self.eat(b']') {
            return Ok(Kind::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            if self.eat(b']') {
                return Ok(Kind::List(items));
            }
            if !self.eat(b',') {
                return Err(self.fault("expected `,` or `]`"));
            }
        }
    }

    /// Finds the end of the literal, then leaves its escapes to `serde_json`.
    fn string(&mut self) -> Result<String, Fault> {
        let start = self.at;
        self.advance(1);
        loop {
            match self.peek() {
                Some(b'"') => break self.advance(1),
                Some(b'\\') => self.advance(2),
                Some(_) => self.advance(1),
                None => return Err(self.fault("unterminated string")),
            }
        }
        let literal = self.text.get(start..self.at).unwrap_or("");
        serde_json::from_str(literal).map_err(|_| {
            Fault::new(
                "not valid json: malformed string",
                Span::new(start, self.at),
            )
        })
    }

    fn number(&mut self) -> Result<Kind, Fault> {
        let start = self.at;
        while matches!(
            self.peek(),
            Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
        ) {
            self.advance(1);
        }
        let literal = self.text.get(start..self.at).unwrap_or("");
        serde_json::from_str(literal)
            .map(Kind::Number)
            .map_err(|_| {
                Fault::new(
                    "not valid json: malformed number",
                    Span::new(start, self.at),
                )
            })
    }

    fn word(&mut self) -> Result<Kind, Fault> {
        let rest = self.text.get(self.at..).unwrap_or("");
        for (word, kind) in [
            ("null", Kind::Null),
            ("true", Kind::Bool(true)),
            ("false", Kind::Bool(false)),
        ] {
            if rest.starts_with(word) {
                self.advance(word.len());
                return Ok(kind);
            }
        }
        Err(self.fault(if rest.is_empty() {
            "unexpected end"
        } else {
            "unexpected character"
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_serde_json() {
        for text in [
            "{}",
            "[]",
            "null",
            "[1, -2.5e3, \"a\\u00e9\\n\", true]",
            "{\"a\": {\"b\": [{}]}}",
            "",
            "[1,]",
            "{\"a\" 1}",
            "01",
            "\"\\x\"",
            "\"\\ud800\"",
            "nul",
            "{a: 1}",
            "[1] 2",
            "\"a",
            "-",
            "\"a\nb\"",
            "truex",
        ] {
            let (node, faults) = read_json(text);
            match serde_json::from_str::<serde_json::Value>(text) {
                Ok(expected) => assert_eq!(node.unwrap().to_json(), expected, "{text}"),
                Err(_) => assert!(node.is_none() && !faults.is_empty(), "{text}"),
            }
        }
    }

    #[test]
    fn duplicate_keys_and_depth() {
        let (node, faults) = read_json("{\"a\": 1, \"a\": 2}");
        assert!(node.is_some() && faults.len() == 1);
        assert!(read_json(&"[".repeat(1_000_000)).0.is_none());
    }
}
