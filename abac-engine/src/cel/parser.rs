//! Tokens to tree: a Pratt parser whose recursion is counted.

use crate::cel::ast::{Ast, BinaryOp, ExprId, ExprKind, Literal, MacroKind, UnaryOp};
use crate::cel::lexer::{Lexer, Tok, Token};
use crate::cel::limits::CelLimits;
use crate::error::{CelError, Span};

/// Words the language keeps for itself: never variables, but allowed as field and method names.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Binding powers, weakest first.
const TERNARY: u8 = 1;
const OR: u8 = 2;
const AND: u8 = 3;
const RELATION: u8 = 4;
const SUM: u8 = 5;
const PRODUCT: u8 = 6;

/// Parses one expression.
pub(crate) fn parse(source: &str, limits: &CelLimits) -> Result<Ast, CelError> {
    if source.len() > limits.bytes {
        return Err(CelError::new(
            format!("expression is longer than {} bytes", limits.bytes),
            Span::new(0, 0),
        ));
    }
    let mut lexer = Lexer::new(source);
    let next = lexer.next_token()?;
    let mut parser = Parser {
        lexer,
        next,
        last: Span::default(),
        ast: Ast::new(),
        depth: 0,
        max_depth: limits.depth(),
        max_nodes: limits.nodes,
    };
    let root = parser.expr(TERNARY)?;
    if parser.next.tok != Tok::End {
        return parser.unexpected("an operator or the end");
    }
    parser.ast.set_root(root);
    Ok(parser.ast)
}

struct Parser<'s> {
    lexer: Lexer<'s>,
    next: Token,
    /// Span of the token taken last.
    last: Span,
    ast: Ast,
    depth: usize,
    max_depth: usize,
    max_nodes: usize,
}

impl Parser<'_> {
    fn bump(&mut self) -> Result<Tok, CelError> {
        let next = self.lexer.next_token()?;
        let token = std::mem::replace(&mut self.next, next);
        self.last = token.span;
        Ok(token.tok)
    }

    fn at(&self, symbol: &str) -> bool {
        matches!(self.next.tok, Tok::Sym(s) if s == symbol)
    }

    fn eat(&mut self, symbol: &str) -> Result<bool, CelError> {
        let found = self.at(symbol);
        if found {
            self.bump()?;
        }
        Ok(found)
    }

    fn expect(&mut self, symbol: &str) -> Result<(), CelError> {
        if self.eat(symbol)? {
            Ok(())
        } else {
            self.unexpected(&format!("`{symbol}`"))
        }
    }

    fn unexpected<T>(&self, wanted: &str) -> Result<T, CelError> {
        let found = match &self.next.tok {
            Tok::End => "the expression ends".to_owned(),
            Tok::Sym(s) => format!("found `{s}`"),
            Tok::Ident(name) => format!("found `{name}`"),
            Tok::Quoted(_) => "found a quoted name".to_owned(),
            _ => "found a literal".to_owned(),
        };
        Err(CelError::new(
            format!("expected {wanted}, {found}"),
            self.next.span,
        ))
    }

    fn push(&mut self, kind: ExprKind, span: Span) -> Result<ExprId, CelError> {
        if self.ast.len() >= self.max_nodes {
            return Err(CelError::new(
                format!("expression has more than {} nodes", self.max_nodes),
                span,
            ));
        }
        let (id, height) = self.ast.push(kind, span);
        if usize::from(height) > self.max_depth {
            return Err(self.too_deep(span));
        }
        Ok(id)
    }

    fn too_deep(&self, span: Span) -> CelError {
        CelError::new(
            format!("expression nests deeper than {}", self.max_depth),
            span,
        )
    }

    fn infix(&self) -> Option<(u8, Option<BinaryOp>)> {
        Some(match &self.next.tok {
            Tok::Sym(s) => match *s {
                "?" => (TERNARY, None),
                "||" => (OR, None),
                "&&" => (AND, None),
                "==" => (RELATION, Some(BinaryOp::Eq)),
                "!=" => (RELATION, Some(BinaryOp::Ne)),
                "<" => (RELATION, Some(BinaryOp::Lt)),
                "<=" => (RELATION, Some(BinaryOp::Le)),
                ">" => (RELATION, Some(BinaryOp::Gt)),
                ">=" => (RELATION, Some(BinaryOp::Ge)),
                "+" => (SUM, Some(BinaryOp::Add)),
                "-" => (SUM, Some(BinaryOp::Sub)),
                "*" => (PRODUCT, Some(BinaryOp::Mul)),
                "/" => (PRODUCT, Some(BinaryOp::Div)),
                "%" => (PRODUCT, Some(BinaryOp::Rem)),
                _ => return None,
            },
            Tok::Ident(name) if name == "in" => (RELATION, Some(BinaryOp::In)),
            _ => return None,
        })
    }

    /// An expression whose operators bind at least as tightly as `floor`.
    fn expr(&mut self, floor: u8) -> Result<ExprId, CelError> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > self.max_depth {
            return Err(self.too_deep(self.next.span));
        }
        let mut left = self.unary()?;
        while let Some((power, op)) = self.infix() {
            if power < floor {
                break;
            }
            left = match (power, op) {
                (_, Some(op)) => {
                    self.bump()?;
                    let right = self.expr(power.saturating_add(1))?;
                    let span = self.ast.span(left).to(self.ast.span(right));
                    self.push(ExprKind::Binary { op, left, right }, span)?
                }
                (TERNARY, None) => self.ternary(left)?,
                _ => self.chain(left, power)?,
            };
        }
        self.depth = self.depth.saturating_sub(1);
        Ok(left)
    }

    fn ternary(&mut self, condition: ExprId) -> Result<ExprId, CelError> {
        self.bump()?;
        // The grammar: ConditionalOr "?" ConditionalOr ":" Expr.
        let then = self.expr(OR)?;
        self.expect(":")?;
        let otherwise = self.expr(TERNARY)?;
        let span = self.ast.span(condition).to(self.ast.span(otherwise));
        let kind = ExprKind::Ternary {
            condition,
            then,
            otherwise,
        };
        self.push(kind, span)
    }

    fn chain(&mut self, first: ExprId, power: u8) -> Result<ExprId, CelError> {
        let symbol = if power == OR { "||" } else { "&&" };
        let mut items = vec![first];
        let mut span = self.ast.span(first);
        while self.eat(symbol)? {
            let item = self.expr(power.saturating_add(1))?;
            span = span.to(self.ast.span(item));
            items.push(item);
        }
        let kind = if power == OR {
            ExprKind::Or(items)
        } else {
            ExprKind::And(items)
        };
        self.push(kind, span)
    }

    fn unary(&mut self) -> Result<ExprId, CelError> {
        let (symbol, op) = if self.at("!") {
            ("!", UnaryOp::Not)
        } else if self.at("-") {
            ("-", UnaryOp::Neg)
        } else {
            return self.member();
        };
        let mut places = Vec::new();
        while self.at(symbol) {
            self.bump()?;
            places.push(self.last);
            if places.len() > self.max_depth {
                return Err(self.too_deep(self.last));
            }
        }
        // A minus sign belongs to the number that follows it, or -9223372036854775808 could not be written.
        let sign = places.last().copied().unwrap_or_default();
        let number = matches!(self.next.tok, Tok::Int(_) | Tok::Double(_));
        let mut id = if op == UnaryOp::Neg && number {
            places.pop();
            let literal = self.number(true)?;
            let literal = self.push(ExprKind::Literal(literal), sign.to(self.last))?;
            self.postfix(literal)?
        } else {
            self.member()?
        };
        while let Some(place) = places.pop() {
            let span = place.to(self.ast.span(id));
            id = self.push(ExprKind::Unary { op, operand: id }, span)?;
        }
        Ok(id)
    }

    fn number(&mut self, negative: bool) -> Result<Literal, CelError> {
        let span = self.next.span;
        let range = || CelError::new("integer literal out of range", span);
        Ok(match self.bump()? {
            Tok::Int(magnitude) if negative => {
                Literal::Int(0i64.checked_sub_unsigned(magnitude).ok_or_else(range)?)
            }
            Tok::Int(magnitude) => Literal::Int(i64::try_from(magnitude).map_err(|_| range())?),
            Tok::Double(value) if negative => Literal::Double(-value),
            Tok::Double(value) => Literal::Double(value),
            _ => return Err(range()),
        })
    }

    fn member(&mut self) -> Result<ExprId, CelError> {
        let start = self.next.span;
        let kind = match &self.next.tok {
            Tok::Int(_) | Tok::Double(_) => ExprKind::Literal(self.number(false)?),
            Tok::Uint(value) => {
                let value = *value;
                self.bump()?;
                ExprKind::Literal(Literal::Uint(value))
            }
            Tok::String(_) | Tok::Bytes(_) => match self.bump()? {
                Tok::String(text) => ExprKind::Literal(Literal::String(text)),
                Tok::Bytes(bytes) => ExprKind::Literal(Literal::Bytes(bytes)),
                _ => return self.unexpected("a literal"),
            },
            Tok::Sym("(") => {
                self.bump()?;
                let inner = self.expr(TERNARY)?;
                self.expect(")")?;
                return self.postfix(inner);
            }
            Tok::Sym("[") => {
                self.bump()?;
                ExprKind::List(self.items("]")?)
            }
            Tok::Sym("{") => {
                self.bump()?;
                self.map()?
            }
            Tok::Sym(".") => {
                self.bump()?;
                self.ident(true)?
            }
            Tok::Ident(_) => self.ident(false)?,
            _ => return self.unexpected("an expression"),
        };
        let id = self.push(kind, start.to(self.last))?;
        self.postfix(id)
    }

    fn ident(&mut self, absolute: bool) -> Result<ExprKind, CelError> {
        if !matches!(self.next.tok, Tok::Ident(_)) {
            return self.unexpected("a name");
        }
        let span = self.next.span;
        let Tok::Ident(name) = self.bump()? else {
            return self.unexpected("a name");
        };
        let literal = match name.as_str() {
            "true" => Literal::Bool(true),
            "false" => Literal::Bool(false),
            "null" => Literal::Null,
            "in" => return Err(CelError::new("`in` needs a left operand", span)),
            word if RESERVED.contains(&word) => {
                return Err(CelError::new(format!("`{word}` is a reserved word"), span));
            }
            _ if self.at("(") => {
                self.bump()?;
                let args = self.items(")")?;
                return self.call(None, name, span, args);
            }
            _ => return Ok(ExprKind::Ident { name, absolute }),
        };
        if absolute {
            return Err(CelError::new("a literal has no leading dot", span));
        }
        Ok(ExprKind::Literal(literal))
    }

    /// `.field`, `.method(…)` and `[index]`, as many as follow.
    fn postfix(&mut self, mut left: ExprId) -> Result<ExprId, CelError> {
        loop {
            let kind = if self.eat(".")? {
                let name_span = self.next.span;
                let name = match self.bump()? {
                    Tok::Ident(word) if ["true", "false", "null", "in"].contains(&&*word) => {
                        return Err(CelError::new(
                            format!("`{word}` is a keyword; write ['{word}']"),
                            name_span,
                        ));
                    }
                    Tok::Ident(name) => name,
                    Tok::Quoted(name) if !self.at("(") => name,
                    _ => return Err(CelError::new("expected a field name", name_span)),
                };
                if self.eat("(")? {
                    let args = self.items(")")?;
                    self.call(Some(left), name, name_span, args)?
                } else {
                    ExprKind::Select {
                        operand: left,
                        field: name,
                        test: false,
                    }
                }
            } else if self.eat("[")? {
                let right = self.expr(TERNARY)?;
                self.expect("]")?;
                ExprKind::Binary {
                    op: BinaryOp::Index,
                    left,
                    right,
                }
            } else if self.at("{") {
                return Err(CelError::new(
                    "message construction is not supported",
                    self.next.span,
                ));
            } else {
                return Ok(left);
            };
            let span = self.ast.span(left).to(self.last);
            left = self.push(kind, span)?;
        }
    }

    /// Comma-separated expressions up to and with the closing symbol; a trailing comma only in lists.
    fn items(&mut self, close: &str) -> Result<Vec<ExprId>, CelError> {
        let mut items = Vec::new();
        while !self.at(close) {
            items.push(self.expr(TERNARY)?);
            if !self.eat(",")? {
                break;
            }
            if close == ")" && self.at(")") {
                return self.unexpected("an argument");
            }
        }
        self.expect(close)?;
        Ok(items)
    }

    fn map(&mut self) -> Result<ExprKind, CelError> {
        let mut entries = Vec::new();
        while !self.at("}") {
            let key = self.expr(TERNARY)?;
            self.expect(":")?;
            entries.push((key, self.expr(TERNARY)?));
            if !self.eat(",")? {
                break;
            }
        }
        self.expect("}")?;
        Ok(ExprKind::Map(entries))
    }

    /// A call, or the macro that its name and shape make it.
    fn call(
        &mut self,
        target: Option<ExprId>,
        name: String,
        name_span: Span,
        args: Vec<ExprId>,
    ) -> Result<ExprKind, CelError> {
        match (target, name.as_str(), args.as_slice()) {
            (None, "has", [arg]) => self.has(*arg),
            (Some(range), "all", [v, body]) => {
                self.comprehension(MacroKind::All, range, *v, None, *body)
            }
            (Some(range), "exists", [v, body]) => {
                self.comprehension(MacroKind::Exists, range, *v, None, *body)
            }
            (Some(range), "exists_one" | "existsOne", [v, body]) => {
                self.comprehension(MacroKind::ExistsOne, range, *v, None, *body)
            }
            (Some(range), "filter", [v, body]) => {
                self.comprehension(MacroKind::Filter, range, *v, None, *body)
            }
            (Some(range), "map", [v, body]) => {
                self.comprehension(MacroKind::Map, range, *v, None, *body)
            }
            (Some(range), "map", [v, filter, body]) => {
                self.comprehension(MacroKind::Map, range, *v, Some(*filter), *body)
            }
            _ => Ok(ExprKind::Call {
                target,
                name,
                name_span,
                args,
            }),
        }
    }

    fn has(&mut self, arg: ExprId) -> Result<ExprKind, CelError> {
        match self.ast.get(arg).map(|e| &e.kind) {
            Some(ExprKind::Select {
                operand,
                field,
                test: false,
            }) => Ok(ExprKind::Select {
                operand: *operand,
                field: field.clone(),
                test: true,
            }),
            _ => Err(CelError::new(
                "has() takes a field selection, like has(user.branch)",
                self.ast.span(arg),
            )),
        }
    }

    fn comprehension(
        &mut self,
        kind: MacroKind,
        range: ExprId,
        variable: ExprId,
        filter: Option<ExprId>,
        body: ExprId,
    ) -> Result<ExprKind, CelError> {
        match self.ast.get(variable).map(|e| &e.kind) {
            Some(ExprKind::Ident {
                name,
                absolute: false,
            }) => Ok(ExprKind::Macro {
                kind,
                range,
                variable: name.clone(),
                filter,
                body,
            }),
            _ => Err(CelError::new(
                "the first argument of a macro must be a simple name",
                self.ast.span(variable),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(source: &str) -> String {
        parse(source, &CelLimits::default()).unwrap_err().message
    }

    #[test]
    fn grammar_corners() {
        for good in [
            "a.b.c",
            ".a.b",
            "a[1].b",
            "-1.0",
            "!!a",
            "- 5",
            "a ? b : c ? d : e",
            "[1, 2,]",
            "{'a': 1,}",
            "a in b",
            "x.`y-z`",
            "f()",
            "a.for",
            "has(a.b)",
            "[1].map(x, x > 0, x)",
            "a - -1",
            "a -1",
        ] {
            assert!(parse(good, &CelLimits::default()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a b",
            "a +",
            "(a",
            "f(1,)",
            "a..b",
            "for",
            "a.true",
            "has(a)",
            "has(a[0])",
            "[1].all(1, x)",
            "[1].all(a.b, x)",
            "M{}",
            "-!a",
            "!-a",
            "a ? b",
            "a = b",
            "9223372036854775808",
            "[,]",
            "`a`",
        ] {
            assert!(parse(bad, &CelLimits::default()).is_err(), "{bad}");
        }
    }

    #[test]
    fn limits_are_kept() {
        let limits = CelLimits::default();
        for deep in [
            "(", "[", "{1:", "!", "-", "a[", "f(", "a?b:", "1+(", "[[", "a.b(",
        ] {
            assert!(fails(&deep.repeat(3_000)).contains("deeper"), "{deep}");
        }
        assert!(fails(&"a.".repeat(3_000)).contains("deeper"));
        assert!(fails(&format!("[{}]", "1,".repeat(5_000))).contains("nodes"));
        assert!(fails(&" ".repeat(limits.bytes + 1)).contains("bytes"));
        // Long chains are flat.
        assert!(parse(&format!("a{}", "&&a".repeat(1_000)), &limits).is_ok());
    }
}
