//! Compiled code and its evaluation. Recursion is bounded by the depth of the tree it was compiled from.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use regex::Regex;

use crate::cel::ast::{BinaryOp, MacroKind};
use crate::cel::env::{Attributes, Lookup};
use crate::cel::functions::{Func, Part, call, time_part};
use crate::cel::time::Zone;
use crate::cel::value::{MapValue, Steps, Value, charge_search};
use crate::error::{EvalError, EvalErrorKind, Span};

/// Executable form of an expression: names are slots, regexes and zones are compiled.
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) op: Op,
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) enum Op {
    Const(Value),
    Slot(u32),
    HasSlot(u32),
    Local(u16),
    /// A fault that unchecked compilation leaves to run time.
    Fail(EvalErrorKind),
    Select(Box<Code>, Arc<str>),
    HasField(Box<Code>, Arc<str>),
    Not(Box<Code>),
    Neg(Box<Code>),
    And(Box<[Code]>),
    Or(Box<[Code]>),
    Ternary(Box<[Code; 3]>),
    Equal(Box<[Code; 2]>, bool),
    Order(Box<[Code; 2]>, BinaryOp),
    In(Box<[Code; 2]>),
    Index(Box<[Code; 2]>),
    Arithmetic(Box<[Code; 2]>, BinaryOp),
    List(Box<[Code]>),
    Map(Box<[(Code, Code)]>),
    Call(Func, Box<[Code]>),
    /// With the memory the compiled pattern takes, in bytes.
    Matches(Box<Code>, Box<Regex>, usize),
    /// A timestamp accessor in a zone known at load.
    Zoned(Part, Box<Code>, Zone),
    Macro(Box<Loop>),
}

/// A compiled macro.
#[derive(Debug)]
pub(crate) struct Loop {
    pub(crate) kind: MacroKind,
    pub(crate) range: Code,
    pub(crate) filter: Option<Code>,
    pub(crate) body: Code,
}

/// One evaluation: attributes, macro variables, step budget.
pub(crate) struct Context<'a> {
    attributes: &'a dyn Attributes,
    locals: Vec<Value>,
    steps: Steps,
}

impl<'a> Context<'a> {
    pub(crate) fn new(attributes: &'a dyn Attributes, steps: u64) -> Self {
        Self {
            attributes,
            locals: Vec::new(),
            steps: Steps::new(steps),
        }
    }
}

type Evaluated<'a> = Result<Cow<'a, Value>, EvalError>;

impl Code {
    fn fail<T>(&self, kind: EvalErrorKind) -> Result<T, EvalError> {
        Err(EvalError {
            kind,
            span: self.span,
        })
    }

    /// Puts this node's place on a bare error.
    fn place<T>(&self, result: Result<T, EvalErrorKind>) -> Result<T, EvalError> {
        result.map_err(|kind| EvalError {
            kind,
            span: self.span,
        })
    }

    /// Evaluates to a value; attributes and constants are borrowed.
    #[inline]
    pub(crate) fn eval<'a>(&'a self, cx: &mut Context<'a>) -> Evaluated<'a> {
        self.place(cx.steps.charge(1))?;
        match &self.op {
            Op::Slot(slot) => self.slot(*slot, cx),
            Op::Const(value) => Ok(Cow::Borrowed(value)),
            Op::Local(index) => match cx.locals.get(usize::from(*index)) {
                Some(value) => Ok(Cow::Owned(value.clone())),
                None => self.fail(EvalErrorKind::UnknownName),
            },
            _ => self.eval_compound(cx),
        }
    }

    #[inline]
    fn slot<'a>(&'a self, slot: u32, cx: &Context<'a>) -> Evaluated<'a> {
        match cx.attributes.get(slot) {
            Lookup::Found(value) => Ok(Cow::Borrowed(value)),
            Lookup::Absent => self.fail(EvalErrorKind::MissingAttribute),
            Lookup::WrongType => self.fail(EvalErrorKind::AttributeType),
        }
    }

    /// Evaluates to a bool; a value of another type is an error.
    pub(crate) fn eval_bool<'a>(&'a self, cx: &mut Context<'a>) -> Result<bool, EvalError> {
        match &self.op {
            Op::And(items) => self.junction(items, false, cx),
            Op::Or(items) => self.junction(items, true, cx),
            Op::Equal(pair, wanted) => {
                let [left, right] = &**pair;
                self.place(cx.steps.charge(1))?;
                let (left, right) = (left.eval(cx)?, right.eval(cx)?);
                let equal = self.place(left.equals(&right, &mut cx.steps))?;
                Ok(equal == *wanted)
            }
            Op::Order(pair, op) => self.order(pair, *op, cx),
            Op::In(pair) => self.contains(pair, cx),
            Op::Not(inner) => {
                self.place(cx.steps.charge(1))?;
                Ok(!inner.eval_bool(cx)?)
            }
            Op::HasSlot(slot) => {
                self.place(cx.steps.charge(1))?;
                Ok(!matches!(cx.attributes.get(*slot), Lookup::Absent))
            }
            Op::HasField(operand, field) => self.has_field(operand, field, cx),
            Op::Matches(text, regex, size) => self.matches(text, regex, *size, cx),
            Op::Macro(code) => match code.kind {
                MacroKind::All | MacroKind::Exists | MacroKind::ExistsOne => {
                    self.quantify(code, cx)
                }
                MacroKind::Map | MacroKind::Filter => self.fail(EvalErrorKind::NoSuchOverload),
            },
            _ => match *self.eval(cx)? {
                Value::Bool(b) => Ok(b),
                _ => self.fail(EvalErrorKind::NoSuchOverload),
            },
        }
    }

    fn eval_compound<'a>(&'a self, cx: &mut Context<'a>) -> Evaluated<'a> {
        match &self.op {
            Op::Fail(kind) => self.fail(*kind),
            Op::Select(operand, field) => self.select(operand, field, cx),
            Op::Index(pair) => self.index(pair, cx),
            Op::Ternary(parts) => {
                let [condition, then, otherwise] = &**parts;
                if condition.eval_bool(cx)? {
                    then.eval(cx)
                } else {
                    otherwise.eval(cx)
                }
            }
            Op::Neg(inner) => self.negate(inner, cx).map(Cow::Owned),
            Op::Arithmetic(pair, op) => self.arithmetic(pair, *op, cx).map(Cow::Owned),
            Op::List(items) => {
                let mut out = Vec::with_capacity(items.len());
                for item in items {
                    out.push(item.eval(cx)?.into_owned());
                }
                Ok(Cow::Owned(Value::List(out.into())))
            }
            Op::Map(entries) => self.map(entries, cx).map(Cow::Owned),
            Op::Call(func, args) => self.call(*func, args, cx).map(Cow::Owned),
            Op::Zoned(part, operand, zone) => {
                let value = operand.eval(cx)?;
                self.place(time_part(*part, &value, zone)).map(Cow::Owned)
            }
            Op::Macro(code) if matches!(code.kind, MacroKind::Map | MacroKind::Filter) => {
                self.collect(code, cx).map(Cow::Owned)
            }
            _ => self.eval_bool(cx).map(|b| Cow::Owned(Value::Bool(b))),
        }
    }

    /// `&&` (`decisive` false) and `||` (true): a decisive operand wins over errors on either side.
    fn junction<'a>(
        &'a self,
        items: &'a [Code],
        decisive: bool,
        cx: &mut Context<'a>,
    ) -> Result<bool, EvalError> {
        let mut error = None;
        for item in items {
            match item.eval_bool(cx) {
                Ok(value) if value == decisive => return Ok(decisive),
                Ok(_) => {}
                Err(e) => absorb(e, &mut error)?,
            }
        }
        error.map_or(Ok(!decisive), Err)
    }

    fn order<'a>(
        &'a self,
        pair: &'a [Code; 2],
        op: BinaryOp,
        cx: &mut Context<'a>,
    ) -> Result<bool, EvalError> {
        let [left, right] = pair;
        self.place(cx.steps.charge(1))?;
        let (left, right) = (left.eval(cx)?, right.eval(cx)?);
        let order = self.place(left.order(&right, &mut cx.steps))?;
        Ok(match op {
            BinaryOp::Lt => order == Some(Ordering::Less),
            BinaryOp::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            BinaryOp::Gt => order == Some(Ordering::Greater),
            _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        })
    }

    fn contains<'a>(
        &'a self,
        pair: &'a [Code; 2],
        cx: &mut Context<'a>,
    ) -> Result<bool, EvalError> {
        let [needle, haystack] = pair;
        self.place(cx.steps.charge(1))?;
        let needle = needle.eval(cx)?;
        match &*haystack.eval(cx)? {
            Value::List(items) => {
                for item in items.iter() {
                    self.place(cx.steps.charge(1))?;
                    if self.place(item.equals(&needle, &mut cx.steps))? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Value::Map(map) => {
                self.place(map.charge_lookup(&needle, &mut cx.steps))?;
                Ok(map.get(&needle).is_some())
            }
            _ => self.fail(EvalErrorKind::NoSuchOverload),
        }
    }

    fn has_field<'a>(
        &'a self,
        operand: &'a Code,
        field: &str,
        cx: &mut Context<'a>,
    ) -> Result<bool, EvalError> {
        match &*operand.eval(cx)? {
            Value::Map(map) => Ok(map.field(field).is_some()),
            _ => self.fail(EvalErrorKind::NoSuchOverload),
        }
    }

    fn matches<'a>(
        &'a self,
        text: &'a Code,
        regex: &Regex,
        size: usize,
        cx: &mut Context<'a>,
    ) -> Result<bool, EvalError> {
        let Value::String(text) = &*text.eval(cx)? else {
            return self.fail(EvalErrorKind::NoSuchOverload);
        };
        // Time is at most proportional to text times states; a state takes some 32 bytes.
        let work = text.len().saturating_mul(size.div_euclid(32).max(1));
        self.place(cx.steps.charge_bytes(work))?;
        Ok(regex.is_match(text))
    }

    fn select<'a>(&'a self, operand: &'a Code, field: &str, cx: &mut Context<'a>) -> Evaluated<'a> {
        let found = match operand.eval(cx)? {
            Cow::Borrowed(Value::Map(map)) => map.field(field).map(Cow::Borrowed),
            Cow::Owned(Value::Map(map)) => map.field(field).map(|v| Cow::Owned(v.clone())),
            _ => return self.fail(EvalErrorKind::NoSuchOverload),
        };
        found.map_or_else(|| self.fail(EvalErrorKind::NoSuchKey), Ok)
    }

    fn index<'a>(&'a self, pair: &'a [Code; 2], cx: &mut Context<'a>) -> Evaluated<'a> {
        let [operand, key] = pair;
        let operand = operand.eval(cx)?;
        let key = key.eval(cx)?;
        if let Value::Map(map) = &*operand {
            self.place(map.charge_lookup(&key, &mut cx.steps))?;
        }
        let found = match operand {
            Cow::Borrowed(value) => self.element(value, &key).map(Cow::Borrowed),
            Cow::Owned(value) => self.element(&value, &key).cloned().map(Cow::Owned),
        };
        self.place(found)
    }

    fn element<'v>(&self, operand: &'v Value, key: &Value) -> Result<&'v Value, EvalErrorKind> {
        match operand {
            Value::List(items) => {
                let index = match key {
                    Value::Int(i) => usize::try_from(*i).ok(),
                    Value::Uint(u) => usize::try_from(*u).ok(),
                    // A double that is a whole number indexes like it.
                    Value::Double(d) if d.fract() == 0.0 && *d >= 0.0 && *d < 4e15 => {
                        Some(*d as usize)
                    }
                    _ => return Err(EvalErrorKind::NoSuchOverload),
                };
                index
                    .and_then(|i| items.get(i))
                    .ok_or(EvalErrorKind::IndexOutOfRange)
            }
            Value::Map(map) => map.get(key).ok_or(match key {
                Value::Bool(_)
                | Value::Int(_)
                | Value::Uint(_)
                | Value::Double(_)
                | Value::String(_) => EvalErrorKind::NoSuchKey,
                _ => EvalErrorKind::KeyType,
            }),
            _ => Err(EvalErrorKind::NoSuchOverload),
        }
    }

    fn map<'a>(
        &'a self,
        entries: &'a [(Code, Code)],
        cx: &mut Context<'a>,
    ) -> Result<Value, EvalError> {
        let mut pairs = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let key = key.eval(cx)?.into_owned();
            pairs.push((key, value.eval(cx)?.into_owned()));
        }
        // Keys are compared with each other to be put in order.
        for (key, _) in &pairs {
            self.place(charge_search(key, entries.len(), &mut cx.steps))?;
        }
        self.place(MapValue::new(pairs))
            .map(|map| Value::Map(Arc::new(map)))
    }

    fn call<'a>(
        &'a self,
        func: Func,
        args: &'a [Code],
        cx: &mut Context<'a>,
    ) -> Result<Value, EvalError> {
        let mut values = Vec::with_capacity(args.len());
        for arg in args {
            values.push(arg.eval(cx)?);
        }
        self.place(call(func, &values, &mut cx.steps))
    }

    fn negate<'a>(&'a self, inner: &'a Code, cx: &mut Context<'a>) -> Result<Value, EvalError> {
        let negated = match &*inner.eval(cx)? {
            Value::Int(i) => i.checked_neg().map(Value::Int),
            Value::Double(d) => Some(Value::Double(-d)),
            Value::Duration(d) => d.checked_neg().map(Value::Duration),
            _ => return self.fail(EvalErrorKind::NoSuchOverload),
        };
        self.place(negated.ok_or(EvalErrorKind::Overflow))
    }

    fn arithmetic<'a>(
        &'a self,
        pair: &'a [Code; 2],
        op: BinaryOp,
        cx: &mut Context<'a>,
    ) -> Result<Value, EvalError> {
        let [left, right] = pair;
        let (left, right) = (left.eval(cx)?, right.eval(cx)?);
        let result = match (&*left, &*right) {
            (Value::Int(a), Value::Int(b)) => int_arithmetic(op, *a, *b).map(Value::Int),
            (Value::Uint(a), Value::Uint(b)) => uint_arithmetic(op, *a, *b).map(Value::Uint),
            (Value::Double(a), Value::Double(b)) => {
                double_arithmetic(op, *a, *b).map(Value::Double)
            }
            (a, b) => join(op, a, b, &mut cx.steps),
        };
        self.place(result)
    }

    /// The elements a macro runs over: list items or map keys.
    fn elements<'a>(&'a self, code: &'a Loop, cx: &mut Context<'a>) -> Result<Elements, EvalError> {
        match &*code.range.eval(cx)? {
            Value::List(items) => Ok(Elements(items.clone(), 0)),
            Value::Map(map) => {
                self.place(cx.steps.charge_items(map.len()))?;
                let keys: Arc<[Value]> = map.iter().map(|(key, _)| key.clone()).collect();
                Ok(Elements(keys, 0))
            }
            _ => self.fail(EvalErrorKind::NoSuchOverload),
        }
    }

    /// `all`, `exists`, `exists_one`.
    fn quantify<'a>(&'a self, code: &'a Loop, cx: &mut Context<'a>) -> Result<bool, EvalError> {
        let mut error = None;
        let mut count = 0u64;
        let elements = self.elements(code, cx)?;
        for element in elements {
            self.place(cx.steps.charge(1))?;
            cx.locals.push(element);
            let outcome = code.body.eval_bool(cx);
            cx.locals.pop();
            match (code.kind, outcome) {
                (MacroKind::All, Ok(false)) => return Ok(false),
                (MacroKind::Exists, Ok(true)) => return Ok(true),
                (MacroKind::ExistsOne, Ok(true)) => count = count.saturating_add(1),
                // exists_one does not absorb: every element must be known.
                (MacroKind::ExistsOne, Err(e)) => return Err(e),
                (_, Ok(_)) => {}
                (_, Err(e)) => absorb(e, &mut error)?,
            }
        }
        match (error, code.kind) {
            (Some(e), _) => Err(e),
            (None, MacroKind::All) => Ok(true),
            (None, MacroKind::Exists) => Ok(false),
            (None, _) => Ok(count == 1),
        }
    }

    /// `map` and `filter`.
    fn collect<'a>(&'a self, code: &'a Loop, cx: &mut Context<'a>) -> Result<Value, EvalError> {
        let mut out = Vec::new();
        let elements = self.elements(code, cx)?;
        for element in elements {
            self.place(cx.steps.charge(1))?;
            cx.locals.push(element);
            let kept = Self::one(code, cx);
            let element = cx.locals.pop();
            match (kept?, code.kind, element) {
                (Some(value), MacroKind::Map, _) => out.push(value),
                (Some(_), _, Some(element)) => out.push(element),
                _ => {}
            }
        }
        Ok(Value::List(out.into()))
    }

    /// One round of `map` or `filter`: the mapped value (anything, for `filter`) when the element is kept.
    fn one<'a>(code: &'a Loop, cx: &mut Context<'a>) -> Result<Option<Value>, EvalError> {
        if let Some(filter) = &code.filter
            && !filter.eval_bool(cx)?
        {
            return Ok(None);
        }
        if code.kind == MacroKind::Filter {
            return Ok(code.body.eval_bool(cx)?.then_some(Value::Null));
        }
        Ok(Some(code.body.eval(cx)?.into_owned()))
    }
}

/// Iterates over shared elements without copying the list.
struct Elements(Arc<[Value]>, usize);

impl Iterator for Elements {
    type Item = Value;
    fn next(&mut self) -> Option<Value> {
        let item = self.0.get(self.1)?.clone();
        self.1 = self.1.saturating_add(1);
        Some(item)
    }
}

/// Keeps the first error for later; a spent budget ends everything at once.
fn absorb(error: EvalError, kept: &mut Option<EvalError>) -> Result<(), EvalError> {
    if error.kind == EvalErrorKind::StepLimit {
        return Err(error);
    }
    kept.get_or_insert(error);
    Ok(())
}

fn int_arithmetic(op: BinaryOp, a: i64, b: i64) -> Result<i64, EvalErrorKind> {
    let zero = b == 0 && matches!(op, BinaryOp::Div | BinaryOp::Rem);
    if zero {
        return Err(EvalErrorKind::DivisionByZero);
    }
    match op {
        BinaryOp::Add => a.checked_add(b),
        BinaryOp::Sub => a.checked_sub(b),
        BinaryOp::Mul => a.checked_mul(b),
        BinaryOp::Div => a.checked_div(b),
        BinaryOp::Rem => a.checked_rem(b),
        _ => return Err(EvalErrorKind::NoSuchOverload),
    }
    .ok_or(EvalErrorKind::Overflow)
}

fn uint_arithmetic(op: BinaryOp, a: u64, b: u64) -> Result<u64, EvalErrorKind> {
    let zero = b == 0 && matches!(op, BinaryOp::Div | BinaryOp::Rem);
    if zero {
        return Err(EvalErrorKind::DivisionByZero);
    }
    match op {
        BinaryOp::Add => a.checked_add(b),
        BinaryOp::Sub => a.checked_sub(b),
        BinaryOp::Mul => a.checked_mul(b),
        BinaryOp::Div => a.checked_div(b),
        BinaryOp::Rem => a.checked_rem(b),
        _ => return Err(EvalErrorKind::NoSuchOverload),
    }
    .ok_or(EvalErrorKind::Overflow)
}

fn double_arithmetic(op: BinaryOp, a: f64, b: f64) -> Result<f64, EvalErrorKind> {
    Ok(match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        _ => return Err(EvalErrorKind::NoSuchOverload),
    })
}

/// Concatenation and arithmetic on time. What is copied is charged, so that growth stays within the budget.
fn join(op: BinaryOp, a: &Value, b: &Value, steps: &mut Steps) -> Result<Value, EvalErrorKind> {
    use Value::{Bytes, Duration, List, String, Timestamp};
    let time = EvalErrorKind::TimeRange;
    Ok(match (op, a, b) {
        (BinaryOp::Add, String(a), String(b)) => {
            steps.charge_bytes(a.len().saturating_add(b.len()))?;
            Value::from([&**a, &**b].concat())
        }
        (BinaryOp::Add, Bytes(a), Bytes(b)) => {
            steps.charge_bytes(a.len().saturating_add(b.len()))?;
            Bytes([&**a, &**b].concat().into())
        }
        (BinaryOp::Add, List(a), List(b)) => {
            steps.charge_items(a.len().saturating_add(b.len()))?;
            Value::list(a.iter().chain(b.iter()).cloned())
        }
        (BinaryOp::Add, Timestamp(t), Duration(d)) | (BinaryOp::Add, Duration(d), Timestamp(t)) => {
            Timestamp(t.checked_add(*d).ok_or(time)?)
        }
        (BinaryOp::Sub, Timestamp(t), Duration(d)) => Timestamp(t.checked_sub(*d).ok_or(time)?),
        (BinaryOp::Sub, Timestamp(a), Timestamp(b)) => Duration(a.since(*b).ok_or(time)?),
        (BinaryOp::Add, Duration(a), Duration(b)) => Duration(a.checked_add(*b).ok_or(time)?),
        (BinaryOp::Sub, Duration(a), Duration(b)) => Duration(a.checked_sub(*b).ok_or(time)?),
        _ => return Err(EvalErrorKind::NoSuchOverload),
    })
}
