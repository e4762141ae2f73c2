//! Source text to tokens, one at a time. Works on bytes and never slices inside a character.

use crate::error::{CelError, Span};

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tok {
    /// Magnitude; the sign is the parser's.
    Int(u64),
    Uint(u64),
    Double(f64),
    String(String),
    Bytes(Vec<u8>),
    Ident(String),
    /// A back-quoted field name.
    Quoted(String),
    /// An operator or punctuation.
    Sym(&'static str),
    End,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) tok: Tok,
    pub(crate) span: Span,
}

/// Longest first, so that `<=` is not read as `<`.
const SYMBOLS: [&str; 27] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "+", "-", "*", "/", "%", "!", "(", ")", "[", "]",
    "{", "}", ",", ".", "?", ":", "=", "&", "|",
];

/// Whether a text that can be read as tokens holds a comment.
pub(crate) fn has_comment(source: &str) -> bool {
    let mut lexer = Lexer::new(source);
    let mut end = 0;
    while let Ok(token) = lexer.next_token() {
        let gap = source.get(end..token.span.start as usize).unwrap_or("");
        if gap.contains("//") {
            return true;
        }
        if token.tok == Tok::End {
            return false;
        }
        end = token.span.end as usize;
    }
    false
}

pub(crate) struct Lexer<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Lexer<'s> {
    pub(crate) fn new(source: &'s str) -> Self {
        Self { source, at: 0 }
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.source
            .as_bytes()
            .get(self.at.checked_add(ahead)?)
            .copied()
    }

    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or("")
    }

    fn advance(&mut self, by: usize) {
        self.at = self.at.saturating_add(by);
    }

    /// Takes bytes while `keep` holds; only ever called with ASCII classes.
    fn take_while(&mut self, keep: impl Fn(u8) -> bool) -> &'s str {
        let start = self.at;
        while self.byte(0).is_some_and(&keep) {
            self.advance(1);
        }
        self.source.get(start..self.at).unwrap_or("")
    }

    fn error<T>(&self, start: usize, message: impl Into<String>) -> Result<T, CelError> {
        let end = self.at.max(start.saturating_add(1)).min(self.source.len());
        Err(CelError::new(message, Span::new(start, end)))
    }

    fn skip_space(&mut self) {
        loop {
            self.take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0c));
            if !self.rest().starts_with("//") {
                return;
            }
            let line = self.rest().find(['\n', '\r']).unwrap_or(self.rest().len());
            self.advance(line);
        }
    }

    /// The next token; [`Tok::End`] at the end, again and again.
    pub(crate) fn next_token(&mut self) -> Result<Token, CelError> {
        self.skip_space();
        let start = self.at;
        let tok = self.lex(start)?;
        Ok(Token {
            tok,
            span: Span::new(start, self.at),
        })
    }

    fn lex(&mut self, start: usize) -> Result<Tok, CelError> {
        let Some(first) = self.byte(0) else {
            return Ok(Tok::End);
        };
        let digit_next = self.byte(1).is_some_and(|b| b.is_ascii_digit());
        if first.is_ascii_digit() || (first == b'.' && digit_next) {
            return self.number(start);
        }
        if let Some((prefix, raw, bytes)) = self.string_prefix() {
            self.advance(prefix);
            return self.string(start, raw, bytes);
        }
        if first.is_ascii_alphabetic() || first == b'_' {
            let word = self.take_while(|b| b.is_ascii_alphanumeric() || b == b'_');
            return Ok(Tok::Ident(word.to_owned()));
        }
        if first == b'`' {
            self.advance(1);
            let name = self.take_while(|b| {
                b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'/' | b' ')
            });
            if self.byte(0) != Some(b'`') || name.is_empty() {
                return self.error(start, "malformed quoted field name");
            }
            self.advance(1);
            return Ok(Tok::Quoted(name.to_owned()));
        }
        for symbol in SYMBOLS {
            if self.rest().starts_with(symbol) {
                self.advance(symbol.len());
                return match symbol {
                    "=" => self.error(start, "unexpected `=`; equality is `==`"),
                    "&" => self.error(start, "unexpected `&`; conjunction is `&&`"),
                    "|" => self.error(start, "unexpected `|`; disjunction is `||`"),
                    _ => Ok(Tok::Sym(symbol)),
                };
            }
        }
        let bad = self.rest().chars().next().unwrap_or('\0');
        self.advance(bad.len_utf8());
        self.error(
            start,
            format!("unexpected character `{}`", bad.escape_debug()),
        )
    }

    fn number(&mut self, start: usize) -> Result<Tok, CelError> {
        let is_digit = |b: u8| b.is_ascii_digit();
        if self.byte(0) == Some(b'0') && matches!(self.byte(1), Some(b'x' | b'X')) {
            self.advance(2);
            let digits = self.take_while(|b| b.is_ascii_hexdigit());
            let value = u64::from_str_radix(digits, 16);
            return self.integer(start, value.ok());
        }
        let digits = self.take_while(is_digit);
        let mut float = false;
        if self.byte(0) == Some(b'.') && self.byte(1).is_some_and(is_digit) {
            float = true;
            self.advance(1);
            self.take_while(is_digit);
        }
        if matches!(self.byte(0), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.byte(1), Some(b'+' | b'-')));
            if self.byte(sign.saturating_add(1)).is_some_and(is_digit) {
                float = true;
                self.advance(sign.saturating_add(1));
                self.take_while(is_digit);
            }
        }
        if !float {
            let value = digits.parse::<u64>();
            return self.integer(start, value.ok());
        }
        self.number_end(start)?;
        let text = self.source.get(start..self.at).unwrap_or("");
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Tok::Double(value)),
            _ => self.error(start, "floating-point literal out of range"),
        }
    }

    fn integer(&mut self, start: usize, value: Option<u64>) -> Result<Tok, CelError> {
        let unsigned = matches!(self.byte(0), Some(b'u' | b'U'));
        if unsigned {
            self.advance(1);
        }
        self.number_end(start)?;
        match value {
            Some(value) if unsigned => Ok(Tok::Uint(value)),
            Some(value) => Ok(Tok::Int(value)),
            None => self.error(start, "malformed or out of range integer literal"),
        }
    }

    /// A number runs up to a non-identifier character: `1abc` is one mistake, not two tokens.
    fn number_end(&mut self, start: usize) -> Result<(), CelError> {
        if self
            .byte(0)
            .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        {
            self.take_while(|b| b.is_ascii_alphanumeric() || b == b'_');
            return self.error(start, "malformed number");
        }
        Ok(())
    }

    /// `(prefix length, raw, bytes)` when a string literal starts here. The grammar has `r`, `b` and `br`.
    fn string_prefix(&self) -> Option<(usize, bool, bool)> {
        let quote = |b: Option<u8>| matches!(b, Some(b'"' | b'\''));
        match (self.byte(0)?, self.byte(1)) {
            (b'"' | b'\'', _) => Some((0, false, false)),
            (b'r' | b'R', next) if quote(next) => Some((1, true, false)),
            (b'b' | b'B', next) if quote(next) => Some((1, false, true)),
            (b'b' | b'B', Some(b'r' | b'R')) if quote(self.byte(2)) => Some((2, true, true)),
            _ => None,
        }
    }

    fn string(&mut self, start: usize, raw: bool, bytes: bool) -> Result<Tok, CelError> {
        let quote = if self.byte(0) == Some(b'"') {
            '"'
        } else {
            '\''
        };
        let triple: String = std::iter::repeat_n(quote, 3).collect();
        let triple_quoted = self.rest().starts_with(&triple);
        self.advance(if triple_quoted { 3 } else { 1 });
        let mut out = Vec::new();
        loop {
            if triple_quoted && self.rest().starts_with(&triple) {
                self.advance(3);
                break;
            }
            let Some(c) = self.rest().chars().next() else {
                return self.error(start, "unterminated string literal");
            };
            match c {
                _ if c == quote && !triple_quoted => {
                    self.advance(1);
                    break;
                }
                '\n' | '\r' if !triple_quoted => {
                    return self.error(start, "line break in a string literal");
                }
                '\\' if !raw => self.escape(bytes, &mut out)?,
                _ => {
                    self.advance(c.len_utf8());
                    push_char(c, &mut out);
                }
            }
        }
        if bytes {
            return Ok(Tok::Bytes(out));
        }
        match String::from_utf8(out) {
            Ok(text) => Ok(Tok::String(text)),
            Err(_) => self.error(start, "string literal is not utf-8"),
        }
    }

    fn escape(&mut self, bytes: bool, out: &mut Vec<u8>) -> Result<(), CelError> {
        let start = self.at;
        self.advance(1);
        let Some(c) = self.byte(0) else {
            return self.error(start, "unterminated escape sequence");
        };
        let simple = match c {
            b'a' => Some(0x07),
            b'b' => Some(0x08),
            b'f' => Some(0x0c),
            b'n' => Some(b'\n'),
            b'r' => Some(b'\r'),
            b't' => Some(b'\t'),
            b'v' => Some(0x0b),
            b'\\' | b'?' | b'"' | b'\'' | b'`' => Some(c),
            _ => None,
        };
        if let Some(byte) = simple {
            self.advance(1);
            out.push(byte);
            return Ok(());
        }
        let (skip, digits, radix) = match c {
            b'x' | b'X' => (1, 2, 16),
            b'u' if !bytes => (1, 4, 16),
            b'U' if !bytes => (1, 8, 16),
            b'0'..=b'3' => (0, 3, 8),
            _ => return self.error(start, "unknown escape sequence"),
        };
        self.advance(skip);
        let end = self.at.saturating_add(digits);
        let text = self.source.get(self.at..end).unwrap_or("");
        let code = if text.bytes().all(|b| b.is_ascii_hexdigit()) {
            u32::from_str_radix(text, radix).ok()
        } else {
            None
        };
        let Some(code) = code else {
            return self.error(start, "malformed escape sequence");
        };
        self.advance(digits);
        // In bytes, \x and octal are octets; in strings they are code points.
        if bytes {
            match u8::try_from(code) {
                Ok(byte) => out.push(byte),
                Err(_) => return self.error(start, "escape sequence is not an octet"),
            }
        } else {
            match char::from_u32(code) {
                Some(c) => push_char(c, out),
                None => return self.error(start, "escape sequence is not a code point"),
            }
        }
        Ok(())
    }
}

fn push_char(c: char, out: &mut Vec<u8>) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(source: &str) -> Result<Tok, CelError> {
        Lexer::new(source).next_token().map(|t| t.tok)
    }

    #[test]
    fn numbers() {
        assert_eq!(one("0x1F").unwrap(), Tok::Int(31));
        assert_eq!(one("42u").unwrap(), Tok::Uint(42));
        assert_eq!(one(".5").unwrap(), Tok::Double(0.5));
        assert_eq!(one("1e+3").unwrap(), Tok::Double(1000.0));
        for bad in ["0x", "1abc", "18446744073709551616", "1e999", "1.5u"] {
            assert!(one(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn strings_and_escapes() {
        assert_eq!(
            one(r#""\x41\102\u0043\U00000044""#).unwrap(),
            Tok::String("ABCD".into())
        );
        assert_eq!(one(r"r'\n'").unwrap(), Tok::String("\\n".into()));
        assert_eq!(
            one(r"b'\xff\377é'").unwrap(),
            Tok::Bytes(vec![255, 255, 0xc3, 0xa9])
        );
        assert_eq!(one("'''a'b\n'''").unwrap(), Tok::String("a'b\n".into()));
        for bad in [
            "'a",
            "'a\nb'",
            r"'\q'",
            r"'\ud800'",
            r"'\U00110000'",
            r"b'\u0041'",
            r"'\x4'",
            r"'\400'",
            "'''a''",
        ] {
            assert!(one(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn comments_and_spans() {
        let mut lexer = Lexer::new("// 注释\n  客");
        let error = lexer.next_token().unwrap_err();
        assert_eq!(error.span.range(), 12..15);
    }
}
