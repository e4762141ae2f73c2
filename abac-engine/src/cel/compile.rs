//! Checked tree to executable code: slots interned, regexes and time zones compiled.

use std::borrow::Cow;
use std::sync::Arc;

use regex::RegexBuilder;

use crate::cel::ast::{Ast, BinaryOp, ExprId, ExprKind, Literal, UnaryOp};
use crate::cel::check::{Checked, Resolved};
use crate::cel::eval::{Code, Loop, Op};
use crate::cel::functions::{Func, call};
use crate::cel::limits::CelLimits;
use crate::cel::time::Zone;
use crate::cel::value::{Steps, Value};
use crate::error::{CelError, EvalErrorKind, Span};

/// Compiles a checked tree.
pub(crate) fn compile(
    ast: &Ast,
    checked: &Checked,
    limits: &CelLimits,
) -> Result<Code, Vec<CelError>> {
    let mut compiler = Compiler {
        ast,
        checked,
        limits,
        errors: Vec::new(),
    };
    let code = compiler.expr(ast.root());
    if compiler.errors.is_empty() {
        Ok(code)
    } else {
        Err(compiler.errors)
    }
}

struct Compiler<'a> {
    ast: &'a Ast,
    checked: &'a Checked,
    limits: &'a CelLimits,
    errors: Vec<CelError>,
}

impl Compiler<'_> {
    fn boxed(&mut self, id: ExprId) -> Box<Code> {
        Box::new(self.expr(id))
    }

    fn pair(&mut self, a: ExprId, b: ExprId) -> Box<[Code; 2]> {
        Box::new([self.expr(a), self.expr(b)])
    }

    fn all(&mut self, ids: &[ExprId]) -> Box<[Code]> {
        ids.iter().map(|id| self.expr(*id)).collect()
    }

    fn expr(&mut self, id: ExprId) -> Code {
        let ast = self.ast;
        let Some(node) = ast.get(id) else {
            return Code {
                op: Op::Fail(EvalErrorKind::UnknownName),
                span: Span::default(),
            };
        };
        Code {
            op: self.op(id, &node.kind),
            span: node.span,
        }
    }

    fn op(&mut self, id: ExprId, kind: &ExprKind) -> Op {
        let resolved = self.checked.resolved(id).clone();
        match kind {
            ExprKind::Literal(literal) => Op::Const(constant(literal)),
            ExprKind::Ident { .. } => name(&resolved),
            ExprKind::Select {
                operand,
                field,
                test,
            } => match (resolved, test) {
                (Resolved::Slot(slot), true) => Op::HasSlot(slot),
                (Resolved::Plain, true) => {
                    Op::HasField(self.boxed(*operand), field.as_str().into())
                }
                (Resolved::Plain, false) => Op::Select(self.boxed(*operand), field.as_str().into()),
                (resolved, _) => name(&resolved),
            },
            ExprKind::Unary { op, operand } => {
                let operand = self.boxed(*operand);
                match op {
                    UnaryOp::Not => Op::Not(operand),
                    UnaryOp::Neg => Op::Neg(operand),
                }
            }
            ExprKind::Binary { op, left, right } => {
                let pair = self.pair(*left, *right);
                match op {
                    BinaryOp::Eq => Op::Equal(pair, true),
                    BinaryOp::Ne => Op::Equal(pair, false),
                    BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => {
                        Op::Order(pair, *op)
                    }
                    BinaryOp::In => Op::In(pair),
                    BinaryOp::Index => Op::Index(pair),
                    _ => Op::Arithmetic(pair, *op),
                }
            }
            ExprKind::And(items) => Op::And(self.all(items)),
            ExprKind::Or(items) => Op::Or(self.all(items)),
            ExprKind::Ternary {
                condition,
                then,
                otherwise,
            } => Op::Ternary(Box::new([
                self.expr(*condition),
                self.expr(*then),
                self.expr(*otherwise),
            ])),
            ExprKind::List(items) => self.list(items),
            ExprKind::Map(entries) => Op::Map(
                entries
                    .iter()
                    .map(|(k, v)| (self.expr(*k), self.expr(*v)))
                    .collect(),
            ),
            ExprKind::Call { target, args, .. } => {
                let all: Vec<ExprId> = target.iter().chain(args).copied().collect();
                match resolved {
                    Resolved::Function(func) => self.call(func, &all),
                    _ => Op::Fail(EvalErrorKind::UnknownFunction),
                }
            }
            ExprKind::Macro {
                kind,
                range,
                filter,
                body,
                ..
            } => Op::Macro(Box::new(Loop {
                kind: *kind,
                range: self.expr(*range),
                filter: filter.map(|f| self.expr(f)),
                body: self.expr(*body),
            })),
        }
    }

    /// A list of constants is a constant: `x in ['a', 'b']` builds nothing at run time.
    fn list(&mut self, items: &[ExprId]) -> Op {
        let items = self.all(items);
        let constants: Option<Arc<[Value]>> = items
            .iter()
            .map(|item| match &item.op {
                Op::Const(value) => Some(value.clone()),
                _ => None,
            })
            .collect();
        constants.map_or(Op::List(items), |values| Op::Const(Value::List(values)))
    }

    fn call(&mut self, func: Func, args: &[ExprId]) -> Op {
        match (func, args) {
            (Func::Matches, [text, pattern]) => self.matches(*text, *pattern),
            (Func::Part(part), [time, zone]) => match self.text(*zone) {
                Some(zone_name) => match Zone::parse(zone_name) {
                    Some(zone) => Op::Zoned(part, self.boxed(*time), zone),
                    None => {
                        let message = format!("unknown time zone `{}`", zone_name.escape_debug());
                        self.errors
                            .push(CelError::new(message, self.ast.span(*zone)));
                        Op::Fail(EvalErrorKind::TimeZone)
                    }
                },
                None => Op::Call(func, self.all(args)),
            },
            // timestamp('…') and duration('…') of a literal are constants, and their faults load errors.
            (Func::ToTimestamp | Func::ToDuration, [only]) if self.text(*only).is_some() => {
                let arg = Value::from(self.text(*only).unwrap_or_default());
                let args = [Cow::Owned(arg)];
                let mut steps = Steps::new(self.limits.steps);
                match call(func, &args, &mut steps) {
                    Ok(value) => Op::Const(value),
                    Err(kind) => {
                        let what = if func == Func::ToDuration {
                            "duration"
                        } else {
                            "timestamp"
                        };
                        let message = format!("not a valid {what}");
                        self.errors
                            .push(CelError::new(message, self.ast.span(*only)));
                        Op::Fail(kind)
                    }
                }
            }
            _ => Op::Call(func, self.all(args)),
        }
    }

    fn matches(&mut self, text: ExprId, pattern: ExprId) -> Op {
        let span = self.ast.span(pattern);
        let Some(source) = self.text(pattern) else {
            let message =
                "the pattern of `matches` must be a string literal, so that it is compiled at load";
            self.errors.push(CelError::new(message, span));
            return Op::Fail(EvalErrorKind::NoSuchOverload);
        };
        let limit = self.limits.regex_bytes;
        // The first power of two that is enough is the pattern's size: repetitions make it anything but its length.
        let mut size = limit.min(1024);
        let regex = loop {
            let regex = RegexBuilder::new(source)
                .size_limit(size)
                .dfa_size_limit(limit)
                .nest_limit(64)
                .build();
            match regex {
                Err(regex::Error::CompiledTooBig(_)) if size < limit => {
                    size = size.saturating_mul(2).min(limit);
                }
                other => break other,
            }
        };
        match regex {
            Ok(regex) => Op::Matches(self.boxed(text), Box::new(regex), size),
            Err(error) => {
                let reason = match error {
                    regex::Error::CompiledTooBig(limit) => {
                        format!("it compiles to more than {limit} bytes")
                    }
                    other => other
                        .to_string()
                        .lines()
                        .last()
                        .map(|l| l.trim_start_matches("error: ").to_owned())
                        .unwrap_or_default(),
                };
                let message = format!("bad regular expression: {reason}");
                self.errors.push(CelError::new(message, span));
                Op::Fail(EvalErrorKind::NoSuchOverload)
            }
        }
    }

    fn text(&self, id: ExprId) -> Option<&str> {
        match &self.ast.get(id)?.kind {
            ExprKind::Literal(Literal::String(text)) => Some(text),
            _ => None,
        }
    }
}

fn name(resolved: &Resolved) -> Op {
    match resolved {
        Resolved::Slot(slot) => Op::Slot(*slot),
        Resolved::Local(index) => Op::Local(*index),
        Resolved::Type(name) => Op::Const(Value::Type(name)),
        _ => Op::Fail(EvalErrorKind::UnknownName),
    }
}

fn constant(literal: &Literal) -> Value {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(b) => Value::Bool(*b),
        Literal::Int(i) => Value::Int(*i),
        Literal::Uint(u) => Value::Uint(*u),
        Literal::Double(d) => Value::Double(*d),
        Literal::String(s) => Value::from(s.as_str()),
        Literal::Bytes(b) => Value::Bytes(b.as_slice().into()),
    }
}
