//! Multi-tenant RBAC and ABAC decisions with CEL conditions, fail-closed and explainable
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

pub mod cel;
mod error;

pub use error::{CelError, EvalError, EvalErrorKind, LoadError, LoadErrors, ResourceError, RequestError, SchemaError, Span};
