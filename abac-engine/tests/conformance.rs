//! The cases of CEL's own conformance suite that need no extension library.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    missing_docs
)]

use std::path::PathBuf;
use std::sync::Arc;

use abac_engine::cel::{Bindings, CelLimits, Env, MapValue, Program, Type, Value};
use serde_json::Value as Json;

const FILES: [&str; 15] = [
    "basic",
    "comparisons",
    "conversions",
    "fields",
    "fp_math",
    "integer_math",
    "lists",
    "logic",
    "macros",
    "namespace",
    "parse",
    "plumbing",
    "string",
    "timestamps",
    "type_deduction",
];

/// `file/section/name` of the cases that do not pass yet, each with its reason. A listed case must fail, so
/// that the list cannot rot.
const NOT_YET: &[(&str, &str)] = &[];

fn folder() -> PathBuf {
    std::env::var_os("VECTORS_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"),
        PathBuf::from,
    )
}

fn value(json: &Json) -> Value {
    let v = &json["v"];
    let text = || v.as_str().unwrap().to_owned();
    match json["t"].as_str().unwrap() {
        "null" => Value::Null,
        "bool" => Value::Bool(v.as_bool().unwrap()),
        "int" => Value::Int(text().parse().unwrap()),
        "uint" => Value::Uint(text().parse().unwrap()),
        "double" => Value::Double(text().parse().unwrap()),
        "string" => Value::from(text()),
        "bytes" => Value::Bytes(
            v.as_array()
                .unwrap()
                .iter()
                .map(|b| u8::try_from(b.as_u64().unwrap()).unwrap())
                .collect(),
        ),
        "list" => Value::list(v.as_array().unwrap().iter().map(value)),
        "map" => {
            let pairs = v.as_array().unwrap().iter();
            Value::Map(Arc::new(
                MapValue::new(pairs.map(|p| (value(&p[0]), value(&p[1])))).unwrap(),
            ))
        }
        "type" => {
            let name = text();
            let program = Program::compile(&name, &Arc::new(Env::new()), &CelLimits::default());
            program.unwrap().evaluate(&Bindings::new()).unwrap()
        }
        other => panic!("unknown value type {other}"),
    }
}

/// Equality of the suite: same type, NaN equals NaN, signs of zero count.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Double(a), Value::Double(b)) => {
            (a.is_nan() && b.is_nan()) || a.to_bits() == b.to_bits()
        }
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b))
        }
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b.iter())
                    .all(|((ak, av), (bk, bv))| same(ak, bk) && same(av, bv))
        }
        _ => a.type_name() == b.type_name() && a == b,
    }
}

fn run(case: &Json) -> Result<(), String> {
    let mut env = Env::new();
    let mut bindings = Bindings::new();
    for (name, bound) in case["bindings"].as_object().unwrap() {
        let bound = value(bound);
        let ty = match &bound {
            Value::List(_) => Type::list(Type::Dyn),
            Value::Map(_) => Type::map(Type::Dyn, Type::Dyn),
            Value::Null => Type::Null,
            Value::Bytes(_) => Type::Bytes,
            other => Type::parse(other.type_name()).unwrap_or(Type::Dyn),
        };
        env = env.variable(name, ty);
        bindings = bindings.with(name, bound);
    }
    let source = case["expr"].as_str().unwrap();
    let env = Arc::new(env);
    let limits = CelLimits::default();
    let program = if case["nocheck"] == true {
        Program::compile_unchecked(source, &env, &limits)
    } else {
        Program::compile(source, &env, &limits)
    };
    let got = program
        .map_err(|e| format!("{e:?}"))
        .and_then(|p| p.evaluate(&bindings).map_err(|e| e.to_string()));
    match (&case["expect"]["ok"], got) {
        (Json::Null, Err(_)) => Ok(()),
        (Json::Null, Ok(got)) => Err(format!("expected an error, got {got:?}")),
        (wanted, Ok(got)) if same(&value(wanted), &got) => Ok(()),
        (wanted, got) => Err(format!("expected {wanted}, got {got:?}")),
    }
}

#[test]
fn conformance() {
    let folder = folder().join("cel");
    if !folder.is_dir() {
        let why = format!("no conformance cases at {}", folder.display());
        assert!(
            std::env::var("REQUIRE_PEERS").as_deref() != Ok("1"),
            "{why}"
        );
        println!("SKIPPED: {why}");
        return;
    }
    let (mut passed, mut failures) = (0, Vec::new());
    for file in FILES {
        let text = std::fs::read_to_string(folder.join(format!("{file}.json"))).unwrap();
        for case in serde_json::from_str::<Vec<Json>>(&text).unwrap() {
            let text = |key: &str| case[key].as_str().unwrap().to_owned();
            let id = format!("{}/{}/{}", text("file"), text("section"), text("name"));
            let listed = NOT_YET.iter().any(|(known, _)| *known == id);
            match run(&case) {
                Ok(()) if listed => {
                    failures.push(format!("{id}: passes now; take it off the list"))
                }
                Ok(()) => passed += 1,
                Err(_) if listed => {}
                Err(why) => failures.push(format!("{id}: {} : {why}", case["expr"])),
            }
        }
    }
    println!("{passed} passed, {} failed", failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(passed > 400, "only {passed} cases found");
}
