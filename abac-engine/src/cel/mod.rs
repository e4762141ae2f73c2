//! The expression language: CEL's core, checked at load and bounded at run time.
//!
//! Source passes through `lexer` -> `parser` -> `ast` -> `check` (against `env`) -> `compile` -> `eval`.
//! The language is that of the CEL specification (github.com/google/cel-spec, doc/langdef.md) without protobuf
//! messages and without extension libraries.

mod ast;
mod check;
mod compile;
mod env;
mod eval;
mod functions;
mod lexer;
mod limits;
mod parser;
mod program;
mod time;
mod types;
mod value;

pub use env::Env;
pub(crate) use env::{Attributes, Lookup, Verified};
pub(crate) use lexer::has_comment;
pub use limits::CelLimits;
pub use program::{Bindings, Program};
pub use time::{Duration, Timestamp};
pub use types::Type;
pub use value::{MapValue, Value};
