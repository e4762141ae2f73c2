//! Bodies of the fuzz targets, over the public interface; also run on the corpora by `corpus_replay`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs,
    dead_code,
    unreachable_pub
)]

use std::sync::Arc;

use abac_engine::cel::{Bindings, CelLimits, Env, Program, Type};
use abac_engine::{Engine, LoadErrors, Request};

/// CEL source: never panics; what the checker accepts evaluates within its budget, to the type it inferred, and the
/// same way twice; what it accepts, the unchecked compiler accepts.
pub fn cel(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else {
        return;
    };
    let env = Arc::new(
        Env::new()
            .variable("s", Type::String)
            .variable("i", Type::Int)
            .variable("l", Type::list(Type::String))
            .variable("m", Type::map(Type::String, Type::Dyn))
            .variable("a.b", Type::Bool)
            .variable("unset", Type::Dyn),
    );
    let bindings = Bindings::new()
        .with("s", "客户")
        .with("i", i64::MIN)
        .with("l", ["a", ""])
        .with("a.b", true);
    let mut limits = CelLimits::default();
    limits.steps = 20_000;
    let checked = Program::compile(source, &env, &limits);
    let unchecked = Program::compile_unchecked(source, &env, &limits);
    match checked {
        Ok(program) => {
            let first = program.evaluate(&bindings);
            let again = program.evaluate(&bindings);
            match (&first, &again) {
                (Ok(a), Ok(b)) => assert_eq!(format!("{a:?}"), format!("{b:?}")),
                _ => assert_eq!(first.as_ref().err(), again.as_ref().err()),
            }
            if let (Ok(value), Some(name)) = (&first, scalar(program.result_type())) {
                assert_eq!(value.type_name(), name, "{source}");
            }
            assert!(unchecked.is_ok());
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            for error in errors {
                assert!(
                    source.get(error.span.range()).is_some(),
                    "{source}: {error:?}"
                );
            }
        }
    }
    if let Ok(program) = unchecked {
        let _ = program.evaluate(&bindings);
    }
}

fn scalar(ty: &Type) -> Option<&'static str> {
    Some(match ty {
        Type::Bool => "bool",
        Type::Int => "int",
        Type::Uint => "uint",
        Type::Double => "double",
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::List(_) => "list",
        Type::Map(..) => "map",
        _ => return None,
    })
}

fn check(text: &str, loaded: Result<Engine, LoadErrors>) {
    match loaded {
        Ok(engine) => {
            let request = Request::builder("t")
                .user("u")
                .roles(["r"])
                .action("read")
                .resource("a:b");
            let decision = engine.decide(&request.build().unwrap());
            assert!(!decision.is_allow() || decision.policies().count() > 0);
            assert!(serde_json::to_string(&decision).is_ok());
        }
        Err(errors) => {
            assert!(!errors.is_empty() && !errors.to_string().is_empty());
            for error in &errors {
                assert!(error.line <= text.lines().count() + 1);
            }
        }
    }
}

/// A policy document in YAML.
pub fn policy_yaml(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        check(text, Engine::builder().yaml("fuzz", text).build());
    }
}

/// A policy document in JSON. What loads as JSON is valid JSON.
pub fn policy_json(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let loaded = Engine::builder().json("fuzz", text).build();
        if loaded.is_ok() {
            assert!(serde_json::from_str::<serde_json::Value>(text).is_ok());
        }
        check(text, loaded);
    }
}

/// First line: a pattern; the rest: a resource or path. A raw path never holds what was to be refused, and a pattern
/// without wildcards matches exactly its own resource.
pub fn resource(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (pattern, resource) = text.split_once('\n').unwrap_or((text, text));
    let base = || Request::builder("t").user("u").action("x");
    let document = serde_json::json!({"policies": [{"id": "p", "tenant": "t", "resource": pattern, "action": "x", "role": "*", "effect": "allow"}]});
    let engine = Engine::builder().json("fuzz", document.to_string()).build();
    if let (Ok(engine), Ok(request)) = (&engine, base().resource(resource).build()) {
        let allowed = engine.decide(&request).is_allow();
        if pattern == resource {
            assert!(allowed);
        } else if !pattern.contains(['*', '{']) {
            assert!(!allowed);
        }
        if pattern != "**" && allowed {
            assert_eq!(pattern.starts_with('/'), resource.starts_with('/'));
        }
    }
    if let Ok(request) = base().path(resource).build() {
        let raw = request.resource();
        assert!(
            raw.starts_with('/')
                && !raw.contains("//")
                && !raw.contains(['?', '#', '\\', ';', '*', '{'])
        );
        assert!(
            raw.split('/')
                .all(|segment| segment != "." && segment != "..")
        );
    }
}
