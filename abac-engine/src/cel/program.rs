//! A compiled expression: source to program, program to value.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::cel::check::check;
use crate::cel::compile::compile;
use crate::cel::env::{Attributes, Env, Lookup, Verified};
use crate::cel::eval::{Code, Context};
use crate::cel::limits::CelLimits;
use crate::cel::parser::parse;
use crate::cel::types::Type;
use crate::cel::value::Value;
use crate::error::{CelError, EvalError};

/// A compiled CEL expression: immutable, shareable, evaluated within a step budget.
#[derive(Clone, Debug)]
pub struct Program {
    code: Arc<Code>,
    env: Arc<Env>,
    ty: Type,
    steps: u64,
}

impl Program {
    /// Parses, checks and compiles.
    ///
    /// # Errors
    /// Every fault found: syntax (then only that), unknown names, types, bad regexes, limits.
    pub fn compile(
        source: &str,
        env: &Arc<Env>,
        limits: &CelLimits,
    ) -> Result<Self, Vec<CelError>> {
        Self::build(source, env, limits, true)
    }

    /// Compiles without the type check: unknown names and ill-typed operations become run-time errors.
    ///
    /// Policies never take this way; it exists for CEL's own tests.
    ///
    /// # Errors
    /// Syntax errors, limits, bad regexes.
    pub fn compile_unchecked(
        source: &str,
        env: &Arc<Env>,
        limits: &CelLimits,
    ) -> Result<Self, Vec<CelError>> {
        Self::build(source, env, limits, false)
    }

    fn build(
        source: &str,
        env: &Arc<Env>,
        limits: &CelLimits,
        strict: bool,
    ) -> Result<Self, Vec<CelError>> {
        let ast = parse(source, limits).map_err(|e| vec![e])?;
        let checked = check(&ast, env, strict);
        let code = compile(&ast, &checked, limits);
        match (checked.errors.is_empty(), code) {
            (true, Ok(code)) => Ok(Self {
                code: Arc::new(code),
                env: env.clone(),
                ty: checked.type_of(ast.root()).clone(),
                steps: limits.steps,
            }),
            (_, code) => {
                let mut errors = checked.errors;
                errors.extend(code.err().into_iter().flatten());
                errors.sort_by_key(|e| e.span.start);
                Err(errors)
            }
        }
    }

    /// The inferred type of the result.
    pub fn result_type(&self) -> &Type {
        &self.ty
    }

    /// Evaluates with values for the declared variables.
    ///
    /// # Errors
    /// The error CEL semantics give, or the step limit.
    pub fn evaluate(&self, bindings: &Bindings) -> Result<Value, EvalError> {
        let bound = Bound {
            env: &self.env,
            bindings,
            verified: Verified::default(),
        };
        let mut context = Context::new(&bound, self.steps);
        self.code.eval(&mut context).map(|value| value.into_owned())
    }

    /// Evaluates to a bool.
    pub(crate) fn test(&self, attributes: &dyn Attributes) -> Result<bool, EvalError> {
        self.code
            .eval_bool(&mut Context::new(attributes, self.steps))
    }
}

/// Values for variables, by name.
#[derive(Clone, Debug, Default)]
pub struct Bindings(FxHashMap<String, Value>);

impl Bindings {
    /// No values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }
}

struct Bound<'a> {
    env: &'a Env,
    bindings: &'a Bindings,
    verified: Verified,
}

impl Attributes for Bound<'_> {
    fn get(&self, slot: u32) -> Lookup<'_> {
        let Some(variable) = self.env.get(slot) else {
            return Lookup::Absent;
        };
        match self.bindings.0.get(&*variable.name) {
            None => Lookup::Absent,
            Some(value) if self.verified.fits(slot, value, &variable.ty) => Lookup::Found(value),
            Some(_) => Lookup::WrongType,
        }
    }
}
