//! Small inputs that would cost much: each meets a limit, or costs no more than it looks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    missing_docs
)]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use abac_engine::cel::{Bindings, CelLimits, Env, Program};
use abac_engine::{Engine, EvalErrorKind, LoadErrors, Request, Schema, Type, Value};

/// Linear work takes a small part of this in unoptimised code, quadratic work a multiple.
const SOON: Duration = Duration::from_secs(2);

fn load(text: impl Into<String>) -> Result<Engine, LoadErrors> {
    Engine::builder().yaml("p", text).build()
}

fn names(prefix: &str, count: usize) -> String {
    let all: Vec<_> = (0..count).map(|i| format!("{prefix}{i}")).collect();
    format!("[{}]", all.join(","))
}

fn message(loaded: Result<Engine, LoadErrors>) -> String {
    loaded.unwrap_err().iter().next().unwrap().message.clone()
}

/// A policy stands in the index once per resource, action and role: three short lists make billions.
#[test]
fn hazard_lists_multiply_in_the_index() {
    let text = format!(
        "policies: [{{id: p, tenant: t, resource: {}, action: {}, role: {}, effect: allow}}]",
        names("r", 300),
        names("a", 300),
        names("x", 300)
    );
    assert!(message(load(text)).contains("index entries"));
}

/// Comparing each name of a list with all before it takes hours for a list of a million.
#[test]
fn hazard_long_lists_load_in_linear_time() {
    let text = format!(
        "policies: [{{id: p, tenant: t, resource: a, action: a, role: {}, effect: allow}}]",
        names("x", 50_000)
    );
    let started = Instant::now();
    assert!(load(text).is_ok());
    assert!(started.elapsed() < SOON);
}

/// The closure of a chain of roles is quadratic in its length.
#[test]
fn hazard_role_chains_multiply() {
    let mut text = "roles:\n".to_owned();
    for i in 0..5_000 {
        writeln!(text, "  - {{role: r{i}, tenant: t, inherits: r{}}}", i + 1).unwrap();
    }
    assert!(message(load(text)).contains("role hierarchy"));
}

/// A bounded repetition is a few bytes of pattern and thousands of states.
#[test]
fn hazard_regex_repetitions_are_charged() {
    let env = Arc::new(Env::new().variable("x", Type::String));
    let limits = CelLimits::default();
    let program = Program::compile("x.matches('[ab]*a[ab]{3000}c')", &env, &limits).unwrap();
    let outcome = program.evaluate(&Bindings::new().with("x", "ab".repeat(15_000)));
    assert_eq!(outcome.unwrap_err().kind, EvalErrorKind::StepLimit);
    assert!(program.evaluate(&Bindings::new().with("x", "ab")).is_ok());
}

/// Looking a long text up in a map compares it, key by key.
#[test]
fn hazard_long_keys_are_charged() {
    let env = Arc::new(
        Env::new()
            .variable("x", Type::String)
            .variable("many", Type::list(Type::Int)),
    );
    let bindings = Bindings::new()
        .with("x", "x".repeat(1_000_000))
        .with("many", (0..1_000).collect::<Vec<i64>>());
    for source in [
        "many.all(i, x in {x: 1})",
        "many.all(i, {x: 1} == {x: 1})",
        "many.all(i, {x: 1}[x] == 1)",
        "many.all(i, size({x: 1, x + 'y': 2}) == 2)",
    ] {
        let program = Program::compile(source, &env, &CelLimits::default()).unwrap();
        let outcome = program.evaluate(&bindings);
        assert_eq!(
            outcome.unwrap_err().kind,
            EvalErrorKind::StepLimit,
            "{source}"
        );
    }
}

/// The declared type of an attribute is verified once for a decision, not at every mention.
#[test]
fn hazard_large_attributes_are_verified_once() {
    let schema = Schema::builder()
        .resource("lines", Type::map(Type::String, Type::Int))
        .build()
        .unwrap();
    let text = "policies: [{id: p, tenant: t, resource: r, action: a, role: '*', effect: allow,
        conditions: 'resource.lines.all(k, resource.lines[k] > 0)'}]";
    let engine = Engine::builder().schema(schema).yaml("p", text).build();
    let engine = engine.unwrap();
    let decide = |count: usize, last: serde_json::Value| {
        let mut lines: serde_json::Map<_, _> =
            (0..count).map(|i| (i.to_string(), 1.into())).collect();
        lines.insert("z".into(), last);
        let request = Request::builder("t")
            .user("u")
            .action("a")
            .resource("r")
            .resource_attr("lines", Value::from(serde_json::Value::Object(lines)))
            .build();
        engine.decide(&request.unwrap()).is_allow()
    };
    let started = Instant::now();
    assert!(decide(40_000, 1.into()));
    assert!(started.elapsed() < SOON);
    assert!(!decide(10, 0.into()));
    assert!(!decide(10, "1".into()));
}

/// Finding line and column must not read the whole line again for every fault on it.
#[test]
fn hazard_many_faults_on_one_line() {
    let text = format!("{{\"policies\": [{}1]}}", "1,".repeat(100_000));
    let started = Instant::now();
    let errors = Engine::builder().json("p", text).build().unwrap_err();
    assert!(started.elapsed() < SOON);
    let columns: Vec<_> = errors.iter().map(|e| e.column).take(3).collect();
    assert_eq!((errors.len(), columns), (100_001, vec![15, 17, 19]));
}
