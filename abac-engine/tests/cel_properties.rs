//! Properties of the expression language, and its differences from the crate `cel`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    missing_docs
)]

mod fuzz_bodies;

use std::sync::Arc;

use abac_engine::cel::{Bindings, CelLimits, Env, Program, Type, Value};
use proptest::prelude::*;

/// Text that looks like CEL often enough to get past the lexer.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(
            &[
                "s",
                "i",
                "l",
                "m",
                "a.b",
                "unset",
                "x",
                "1",
                "-1",
                "0",
                "2u",
                "1.5",
                "'a'",
                "b'\\xff'",
                "r'\\'",
                "true",
                "null",
                "(",
                ")",
                "[",
                "]",
                "{",
                "}",
                ",",
                ":",
                "?",
                ".",
                "+",
                "-",
                "*",
                "/",
                "%",
                "!",
                "&&",
                "||",
                "==",
                "!=",
                "<",
                ">=",
                " in ",
                "has(",
                ".all(x, ",
                ".exists(x, ",
                ".map(x, ",
                ".filter(x, ",
                ".size()",
                "size(",
                "int(",
                "string(",
                "timestamp('2026-01-01T00:00:00Z')",
                ".getHours('Asia/Shanghai')",
                "duration('1h')",
                ".matches('a+')",
                ".startsWith(",
                "type(",
                "dyn(",
                "//",
                "\n",
                "'",
                "\"\"\"",
                "客",
            ][..]
        )
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Well-formed integer, boolean and string expressions that both implementations speak.
fn int() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (-9i64..10).prop_map(|i| format!("({i})")),
        Just("i".to_owned()),
        Just("9223372036854775807".to_owned())
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (
                inner.clone(),
                proptest::sample::select(&["+", "-", "*", "/", "%"][..]),
                inner.clone()
            )
                .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a} < {b} ? {c} : {a})")),
            inner.clone().prop_map(|a| format!("size([{a}, 1])")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("[{a}, {b}][0]")),
        ]
    })
}

fn boolean() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        Just("s".to_owned()),
        Just("'teller'".to_owned()),
        Just("''".to_owned())
    ];
    let leaf = prop_oneof![
        any::<bool>().prop_map(|b| b.to_string()),
        (
            int(),
            proptest::sample::select(&["==", "!=", "<", "<=", ">", ">="][..]),
            int()
        )
            .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
        (
            text.clone(),
            proptest::sample::select(&["startsWith", "endsWith", "contains"][..]),
            text.clone()
        )
            .prop_map(|(a, f, b)| format!("{a}.{f}({b})")),
        (text, Just("l")).prop_map(|(a, l)| format!("({a} in {l})")),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            inner
                .clone()
                .prop_map(|a| format!("l.all(x, x != 'z' || {a})")),
            inner.prop_map(|a| format!("[1, 2].exists(x, x > 1 && {a})")),
        ]
    })
}

fn ours(source: &str) -> Result<Value, String> {
    let env = Env::new()
        .variable("s", Type::String)
        .variable("i", Type::Int)
        .variable("l", Type::list(Type::String));
    let bindings = Bindings::new()
        .with("s", "teller")
        .with("i", 7i64)
        .with("l", ["teller", "auditor"]);
    let program = Program::compile(source, &Arc::new(env), &CelLimits::default())
        .map_err(|e| format!("{e:?}"))?;
    program.evaluate(&bindings).map_err(|e| e.to_string())
}

fn theirs(source: &str) -> Option<Result<cel::Value, String>> {
    let program = cel::Program::compile(source).ok()?;
    let mut context = cel::Context::default();
    context.add_variable("s", "teller").unwrap();
    context.add_variable("i", 7i64).unwrap();
    context
        .add_variable("l", vec!["teller", "auditor"])
        .unwrap();
    Some(program.execute(&context).map_err(|e| e.to_string()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn soup_never_panics(source in soup()) {
        fuzz_bodies::cel(source.as_bytes());
    }

    #[test]
    fn conjunction_and_disjunction_commute(a in boolean(), b in boolean()) {
        for op in ["&&", "||"] {
            let (one, other) = (ours(&format!("{a} {op} {b}")), ours(&format!("{b} {op} {a}")));
            prop_assert_eq!(one.ok(), other.ok());
        }
    }

    #[test]
    fn integers_agree_with_the_crate_cel(source in int()) {
        if let Some(theirs) = theirs(&source) {
            match (ours(&source), theirs) {
                (Ok(Value::Int(a)), Ok(cel::Value::Int(b))) => prop_assert_eq!(a, b, "{}", source),
                (Err(_), Err(_)) => {}
                (ours, theirs) => prop_assert!(false, "{source}: {ours:?} {theirs:?}"),
            }
        }
    }

    #[test]
    fn booleans_agree_with_the_crate_cel(source in boolean()) {
        if let Some(theirs) = theirs(&source) {
            match (ours(&source), theirs) {
                (Ok(Value::Bool(a)), Ok(cel::Value::Bool(b))) => prop_assert_eq!(a, b, "{}", source),
                // Where the other gives up on an error in one operand, the specification lets a decisive operand win.
                (_, Err(_)) => {}
                (ours, theirs) => prop_assert!(false, "{source}: {ours:?} {theirs:?}"),
            }
        }
    }
}
