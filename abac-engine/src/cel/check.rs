//! The type checker: resolves names, picks functions, infers a type for every node.

use crate::cel::ast::{Ast, BinaryOp, ExprId, ExprKind, Literal, MacroKind, UnaryOp};
use crate::cel::env::Env;
use crate::cel::functions::{Func, Kind, OVERLOADS, Overload, type_constant};
use crate::cel::types::Type;
use crate::error::{CelError, Span};

/// What a name, selection or call turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Resolved {
    /// Literals, operators and everything else that needs no resolving.
    Plain,
    /// A declared variable.
    Slot(u32),
    /// A macro variable, by depth from the outermost.
    Local(u16),
    /// A type name.
    Type(&'static str),
    Function(Func),
    /// Nothing: an error when checking, a run-time error otherwise.
    Unknown,
}

/// The outcome of checking.
pub(crate) struct Checked {
    resolved: Vec<Resolved>,
    types: Vec<Type>,
    pub(crate) errors: Vec<CelError>,
}

impl Checked {
    pub(crate) fn resolved(&self, id: ExprId) -> &Resolved {
        self.resolved.get(id.0 as usize).unwrap_or(&Resolved::Plain)
    }

    pub(crate) fn type_of(&self, id: ExprId) -> &Type {
        self.types.get(id.0 as usize).unwrap_or(&Type::Dyn)
    }
}

/// Checks a tree. With `strict` off, faults are left to run time (CEL's unchecked mode).
pub(crate) fn check(ast: &Ast, env: &Env, strict: bool) -> Checked {
    let mut checker = Checker {
        ast,
        env,
        strict,
        locals: Vec::new(),
        out: Checked {
            resolved: vec![Resolved::Plain; ast.len()],
            types: vec![Type::Dyn; ast.len()],
            errors: Vec::new(),
        },
    };
    checker.expr(ast.root());
    checker.out
}

struct Checker<'a> {
    ast: &'a Ast,
    env: &'a Env,
    strict: bool,
    locals: Vec<(&'a str, Type)>,
    out: Checked,
}

impl<'a> Checker<'a> {
    fn error(&mut self, message: impl Into<String>, span: Span) {
        if self.strict {
            self.out.errors.push(CelError::new(message, span));
        }
    }

    fn resolve(&mut self, id: ExprId, resolved: Resolved) {
        if let Some(slot) = self.out.resolved.get_mut(id.0 as usize) {
            *slot = resolved;
        }
    }

    /// Checks a node and those below; recursion is bounded by the parser's depth limit.
    fn expr(&mut self, id: ExprId) -> Type {
        let ast = self.ast;
        let Some(node) = ast.get(id) else {
            return Type::Dyn;
        };
        let span = node.span;
        let ty = match &node.kind {
            ExprKind::Literal(literal) => literal_type(literal),
            ExprKind::Ident { name, absolute } => self.ident(id, name, *absolute, span),
            ExprKind::Select {
                operand,
                field,
                test,
            } => self.select(id, *operand, field, *test, span),
            ExprKind::Unary { op, operand } => {
                let ty = self.expr(*operand);
                self.unary(*op, ty, span)
            }
            ExprKind::Binary { op, left, right } => {
                let (l, r) = (self.expr(*left), self.expr(*right));
                self.binary(*op, l, r, span)
            }
            ExprKind::And(items) | ExprKind::Or(items) => {
                for item in items {
                    self.boolean(*item, "an operand of `&&` or `||`");
                }
                Type::Bool
            }
            ExprKind::Ternary {
                condition,
                then,
                otherwise,
            } => {
                self.boolean(*condition, "the condition of `?:`");
                let (then, otherwise) = (self.expr(*then), self.expr(*otherwise));
                if !then.compatible(&otherwise) {
                    self.error(
                        format!(
                            "the branches of `?:` have different types: {then} and {otherwise}"
                        ),
                        span,
                    );
                }
                then.join(otherwise)
            }
            ExprKind::List(items) => {
                let types: Vec<_> = items.iter().map(|item| self.expr(*item)).collect();
                Type::list(types.into_iter().reduce(Type::join).unwrap_or(Type::Dyn))
            }
            ExprKind::Map(entries) => self.map(entries),
            ExprKind::Call {
                target,
                name,
                name_span,
                args,
            } => self.call(id, *target, name, *name_span, args),
            ExprKind::Macro {
                kind,
                range,
                variable,
                filter,
                body,
            } => self.comprehension(*kind, *range, variable, *filter, *body),
        };
        if let Some(slot) = self.out.types.get_mut(id.0 as usize) {
            *slot = ty.clone();
        }
        ty
    }

    fn boolean(&mut self, id: ExprId, what: &str) {
        let ty = self.expr(id);
        if !ty.compatible(&Type::Bool) {
            self.error(format!("{what} is {ty}, not bool"), self.ast.span(id));
        }
    }

    fn ident(&mut self, id: ExprId, name: &str, absolute: bool, span: Span) -> Type {
        if !absolute && let Some((index, ty)) = self.local(name) {
            self.resolve(id, Resolved::Local(index));
            return ty;
        }
        if let Some(ty) = self.variable(id, name) {
            return ty;
        }
        if let Some(constant) = type_constant(name) {
            self.resolve(id, Resolved::Type(constant));
            return Type::Type;
        }
        self.resolve(id, Resolved::Unknown);
        if self.env.is_prefix(name) {
            self.error(
                format!("`{name}` is not a value by itself; select one of its attributes, like `{name}.{}`", self.env.members(name).next().unwrap_or("id")),
                span,
            );
        } else {
            let known = self.env.iter().filter_map(|v| v.name.split('.').next());
            let hint = suggestion(name, known);
            self.error(format!("unknown name `{name}`{hint}"), span);
        }
        Type::Dyn
    }

    fn local(&self, name: &str) -> Option<(u16, Type)> {
        let index = self.locals.iter().rposition(|(local, _)| *local == name)?;
        let (_, ty) = self.locals.get(index)?;
        Some((u16::try_from(index).ok()?, ty.clone()))
    }

    fn variable(&mut self, id: ExprId, name: &str) -> Option<Type> {
        let slot = self.env.slot(name)?;
        self.resolve(id, Resolved::Slot(slot));
        self.env.get(slot).map(|v| v.ty.clone())
    }

    /// The dotted name that a chain of selections spells, unless it starts at a macro variable.
    fn path(&self, mut operand: ExprId, field: &str) -> Option<String> {
        let mut parts = vec![field];
        loop {
            match &self.ast.get(operand)?.kind {
                ExprKind::Select {
                    operand: inner,
                    field,
                    test: false,
                } => {
                    parts.push(field);
                    operand = *inner;
                }
                ExprKind::Ident { name, absolute } => {
                    if !absolute && self.local(name).is_some() {
                        return None;
                    }
                    parts.push(name);
                    parts.reverse();
                    return Some(parts.join("."));
                }
                _ => return None,
            }
        }
    }

    fn select(&mut self, id: ExprId, operand: ExprId, field: &str, test: bool, span: Span) -> Type {
        // The longest declared name wins: `a.b.c` is one variable if there is one of that name.
        if let Some(path) = self.path(operand, field) {
            if let Some(ty) = self.variable(id, &path) {
                return if test { Type::Bool } else { ty };
            }
            if let Some(constant) = type_constant(&path).filter(|_| !test) {
                self.resolve(id, Resolved::Type(constant));
                return Type::Type;
            }
            let entity = path
                .strip_suffix(field)
                .and_then(|p| p.strip_suffix('.'))
                .unwrap_or("");
            if self.env.slot(entity).is_none()
                && self.env.is_prefix(entity)
                && !self.env.is_prefix(&path)
            {
                let hint = suggestion(field, self.env.members(entity));
                self.error(format!("unknown attribute `{path}`{hint}"), span);
                self.resolve(id, Resolved::Unknown);
                return if test { Type::Bool } else { Type::Dyn };
            }
        }
        let ty = match self.expr(operand) {
            Type::Map(key, value) => {
                if !key.compatible(&Type::String) {
                    self.error(format!("a map with {key} keys has no fields"), span);
                }
                *value
            }
            Type::Dyn => Type::Dyn,
            other => {
                self.error(
                    format!("a value of type {other} has no field `{field}`"),
                    span,
                );
                Type::Dyn
            }
        };
        if test { Type::Bool } else { ty }
    }

    fn unary(&mut self, op: UnaryOp, ty: Type, span: Span) -> Type {
        let (fine, symbol) = match op {
            UnaryOp::Not => (ty.compatible(&Type::Bool), "!"),
            UnaryOp::Neg => (
                matches!(ty, Type::Int | Type::Double | Type::Duration | Type::Dyn),
                "-",
            ),
        };
        if !fine {
            self.error(format!("operator `{symbol}` does not take {ty}"), span);
        }
        if op == UnaryOp::Not { Type::Bool } else { ty }
    }

    fn binary(&mut self, op: BinaryOp, l: Type, r: Type, span: Span) -> Type {
        let result = match op {
            BinaryOp::Eq | BinaryOp::Ne => l.compatible(&r).then_some(Type::Bool),
            BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => {
                let ordered = |t: &Type| *t == Type::Dyn || t.is_ordered();
                let meet = l.compatible(&r) || (l.is_numeric() && r.is_numeric());
                (meet && ordered(&l) && ordered(&r)).then_some(Type::Bool)
            }
            BinaryOp::In => match &r {
                Type::List(element) => l.compatible(element).then_some(Type::Bool),
                Type::Map(key, _) => l.compatible(key).then_some(Type::Bool),
                Type::Dyn => Some(Type::Bool),
                _ => None,
            },
            BinaryOp::Index => match &l {
                Type::List(element) => {
                    // A whole uint or double indexes too, but only when its type is dyn.
                    r.compatible(&Type::Int).then(|| (**element).clone())
                }
                Type::Map(key, value) => r.compatible(key).then(|| (**value).clone()),
                Type::Dyn => Some(Type::Dyn),
                _ => None,
            },
            _ => arithmetic(op, &l, &r),
        };
        result.unwrap_or_else(|| {
            self.error(
                format!("operator `{}` does not take {l} and {r}", op.symbol()),
                span,
            );
            match op {
                BinaryOp::Add
                | BinaryOp::Sub
                | BinaryOp::Mul
                | BinaryOp::Div
                | BinaryOp::Rem
                | BinaryOp::Index => Type::Dyn,
                _ => Type::Bool,
            }
        })
    }

    fn map(&mut self, entries: &[(ExprId, ExprId)]) -> Type {
        let mut both: Option<(Type, Type)> = None;
        for (key, value) in entries {
            let (k, v) = (self.expr(*key), self.expr(*value));
            if !k.is_key() {
                self.error(format!("{k} cannot be a map key"), self.ast.span(*key));
            }
            both = Some(match both {
                None => (k, v),
                Some((keys, values)) => (keys.join(k), values.join(v)),
            });
        }
        let (keys, values) = both.unwrap_or((Type::Dyn, Type::Dyn));
        Type::map(keys, values)
    }

    fn call(
        &mut self,
        id: ExprId,
        target: Option<ExprId>,
        name: &str,
        name_span: Span,
        args: &[ExprId],
    ) -> Type {
        self.resolve(id, Resolved::Unknown);
        let method = target.is_some();
        let named: Vec<&'static Overload> = OVERLOADS
            .iter()
            .filter(|o| o.name == name && o.method == method)
            .collect();
        if named.is_empty() {
            self.unknown_function(name, name_span, method);
        }
        let types: Vec<Type> = target
            .iter()
            .chain(args)
            .map(|arg| self.expr(*arg))
            .collect();
        let mut matching = named
            .iter()
            .filter(|o| o.params.len() == types.len())
            .filter(|o| o.params.iter().zip(&types).all(|(p, t)| p.accepts(t)));
        let Some(first) = matching.next() else {
            if !named.is_empty() {
                let given = types.iter().map(Type::to_string).collect::<Vec<_>>();
                self.error(
                    format!("no overload of `{name}` takes ({})", given.join(", ")),
                    name_span,
                );
            }
            // Unchecked, the arguments may still fit at run time.
            if let Some(any) = named.iter().find(|o| o.params.len() == types.len()) {
                self.resolve(id, Resolved::Function(any.func));
            }
            return Type::Dyn;
        };
        let same = matching.all(|o| o.result == first.result);
        self.resolve(id, Resolved::Function(first.func));
        if same && first.result != Kind::Any {
            first.result.to_type()
        } else {
            Type::Dyn
        }
    }

    fn unknown_function(&mut self, name: &str, span: Span, method: bool) {
        let other = OVERLOADS.iter().any(|o| o.name == name);
        let hint = match (other, method) {
            (true, true) => format!("; write {name}(x)"),
            (true, false) => format!("; write x.{name}()"),
            (false, _) => suggestion(name, OVERLOADS.iter().map(|o| o.name)),
        };
        let kind = if method { "method" } else { "function" };
        self.error(format!("unknown {kind} `{name}`{hint}"), span);
    }

    fn comprehension(
        &mut self,
        kind: MacroKind,
        range: ExprId,
        variable: &'a str,
        filter: Option<ExprId>,
        body: ExprId,
    ) -> Type {
        let element = match self.expr(range) {
            Type::List(element) => *element,
            Type::Map(key, _) => *key,
            Type::Dyn => Type::Dyn,
            other => {
                self.error(
                    format!("a macro iterates over a list or a map, not {other}"),
                    self.ast.span(range),
                );
                Type::Dyn
            }
        };
        self.locals.push((variable, element.clone()));
        if let Some(filter) = filter {
            self.boolean(filter, "the filter of `map`");
        }
        let result = if kind == MacroKind::Map {
            Type::list(self.expr(body))
        } else {
            self.boolean(body, "the predicate of a macro");
            match kind {
                MacroKind::Filter => Type::list(element),
                _ => Type::Bool,
            }
        };
        self.locals.pop();
        result
    }
}

fn literal_type(literal: &Literal) -> Type {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
        Literal::Bytes(_) => Type::Bytes,
    }
}

fn arithmetic(op: BinaryOp, l: &Type, r: &Type) -> Option<Type> {
    use Type::{Bytes, Double, Duration, Dyn, Int, List, String, Timestamp, Uint};
    Some(match (op, l, r) {
        (_, Dyn, Dyn) => Dyn,
        (_, Int, Int) => Int,
        (_, Uint, Uint) => Uint,
        (BinaryOp::Rem, Double, _) | (BinaryOp::Rem, _, Double) => return None,
        (_, Double, Double) => Double,
        (BinaryOp::Add, String, String) => String,
        (BinaryOp::Add, Bytes, Bytes) => Bytes,
        (BinaryOp::Add, List(a), List(b)) if a.compatible(b) => {
            Type::list((**a).clone().join((**b).clone()))
        }
        (BinaryOp::Add | BinaryOp::Sub, Duration, Duration) => Duration,
        (BinaryOp::Add, Timestamp, Duration) | (BinaryOp::Add, Duration, Timestamp) => Timestamp,
        (BinaryOp::Sub, Timestamp, Timestamp) => Duration,
        (BinaryOp::Sub, Timestamp, Duration) => Timestamp,
        // With one side dyn, the other decides unless time makes it ambiguous.
        (_, Dyn, Int | Uint | Double) => r.clone(),
        (_, Int | Uint | Double, Dyn) => l.clone(),
        (BinaryOp::Add, Dyn, String | Bytes | List(_)) => r.clone(),
        (BinaryOp::Add, String | Bytes | List(_), Dyn) => l.clone(),
        (BinaryOp::Add | BinaryOp::Sub, Dyn, Timestamp | Duration)
        | (BinaryOp::Add | BinaryOp::Sub, Timestamp | Duration, Dyn) => Dyn,
        _ => return None,
    })
}

/// `; did you mean …?` when a known name is close.
fn suggestion<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> String {
    known
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(d, _)| *d <= 2.max(name.len().min(24).div_euclid(4)))
        .min()
        .map(|(_, best)| format!("; did you mean `{best}`?"))
        .unwrap_or_default()
}

/// Levenshtein distance, for names of sane length.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i.saturating_add(1);
        let mut next = vec![left];
        for (cb, above) in b.iter().zip(row.iter().skip(1)) {
            let cost = diagonal.saturating_add(usize::from(ca != *cb));
            left = cost
                .min(left.saturating_add(1))
                .min(above.saturating_add(1));
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levenshtein() {
        assert_eq!(distance("tenent_id", "tenant_id"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
