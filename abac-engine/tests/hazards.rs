//! A test per hazard known from other engines.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    missing_docs
)]

use abac_engine::cel::{Bindings, CelLimits, Env, MapValue, Program};
use abac_engine::{Engine, Reason, Request, RequestError, ResourceError, Value};

fn engine(resource: &str) -> Engine {
    let text = format!(
        "policies: [{{id: p, tenant: t, resource: '{resource}', action: GET, role: '*', effect: allow}}]"
    );
    Engine::builder().yaml("p", text).build().unwrap()
}

fn path(raw: &str) -> Result<Request, RequestError> {
    Request::builder("t")
        .user("u")
        .action("GET")
        .path(raw)
        .build()
}

fn allowed(pattern: &str, raw: &str) -> bool {
    path(raw).is_ok_and(|request| engine(pattern).decide(&request).is_allow())
}

fn named(pattern: &str, resource: &str) -> bool {
    let request = Request::builder("t")
        .user("u")
        .action("GET")
        .resource(resource)
        .build();
    request.is_ok_and(|request| engine(pattern).decide(&request).is_allow())
}

/// CVE-2026-26205: `//` slipped past a prefix rule.
#[test]
fn hazard_double_slash() {
    for raw in ["//admin", "/api//admin", "/api/", "///"] {
        assert_eq!(
            path(raw).unwrap_err(),
            RequestError::Resource(ResourceError::EmptySegment),
            "{raw}"
        );
    }
    assert!(allowed("/api/admin", "/api/admin"));
}

/// CVE-2026-33186: a path without its leading slash matched other rules than with it.
#[test]
fn hazard_missing_leading_slash() {
    assert_eq!(
        path("admin").unwrap_err(),
        RequestError::Resource(ResourceError::NotAbsolute)
    );
    assert!(path("api/admin").is_err());
    assert!(!named("/admin", "admin"));
    assert!(!named("admin", "/admin"));
    assert!(!named("/**", "admin"));
    assert!(
        Request::builder("t")
            .user("u")
            .action("GET")
            .resource("api/admin")
            .build()
            .is_err()
    );
}

/// CVE-2026-49473: the query string was matched as part of the path.
#[test]
fn hazard_query_string_in_path() {
    for raw in ["/public?x=/admin", "/public#frag", "/admin?"] {
        assert_eq!(
            path(raw).unwrap_err(),
            RequestError::Resource(ResourceError::QueryString),
            "{raw}"
        );
    }
    assert!(path("/public%3Fx").is_err());
}

#[test]
fn hazard_dot_segments() {
    for raw in ["/a/../admin", "/./admin", "/a/..", "/..", "/."] {
        assert_eq!(
            path(raw).unwrap_err(),
            RequestError::Resource(ResourceError::DotSegment),
            "{raw}"
        );
    }
    assert!(allowed("/a/..b", "/a/..b"));
}

#[test]
fn hazard_encoded_separators_and_dots() {
    for raw in [
        "/a%2fb",
        "/a%2Fb",
        "/%2e%2e/b",
        "/a/%2E",
        "/a%5cb",
        "/a%00",
        "/a%252fb",
        "/a%3bx",
        "/a%0a",
    ] {
        assert_eq!(
            path(raw).unwrap_err(),
            RequestError::Resource(ResourceError::ForbiddenEncoding),
            "{raw}"
        );
    }
    for raw in ["/a%", "/a%2", "/a%zz", "/a%+1"] {
        assert_eq!(
            path(raw).unwrap_err(),
            RequestError::Resource(ResourceError::StrayPercent),
            "{raw}"
        );
    }
    for raw in [
        "/a\\b",
        "/a;jsessionid=1",
        "/a b",
        "/a\u{200b}",
        "/a\u{202e}b",
    ] {
        assert_eq!(
            path(raw).unwrap_err(),
            RequestError::Resource(ResourceError::ForbiddenCharacter),
            "{raw}"
        );
    }
}

#[test]
fn hazard_encoded_letters_are_the_letters() {
    // A deny rule on /admin must not be passed by writing the path another way.
    assert!(allowed("/admin", "/%61dmin"));
    assert!(allowed("/客户", "/%E5%AE%A2%E6%88%B7"));
}

#[test]
fn hazard_non_utf8_path() {
    assert_eq!(
        path("/%ff").unwrap_err(),
        RequestError::Resource(ResourceError::NotUtf8)
    );
    assert_eq!(
        path("/%C0%AF").unwrap_err(),
        RequestError::Resource(ResourceError::NotUtf8)
    );
}

#[test]
fn hazard_multibyte_paths_do_not_panic() {
    for raw in ["/客", "/客/户", "/é", "/🐱/*", "/\u{301}", "/a客b"] {
        for pattern in ["/*", "/客/*", "/**", "/客/**", "/客/户"] {
            let _ = allowed(pattern, raw);
        }
    }
    assert!(allowed("/客/*", "/客/户"));
    assert!(!allowed("/客/*", "/客户"));
}

#[test]
fn hazard_star_stays_within_its_segment() {
    assert!(allowed("/a/*", "/a/b"));
    assert!(!allowed("/a/*", "/a/b/c"));
    assert!(!allowed("/a/*", "/a"));
    assert!(!allowed("/*/c", "/a/b/c"));
    assert!(named("a:*:c", "a:b:c"));
    assert!(!named("a:*", "a:b:c"));
    assert!(allowed("/a/**", "/a/b/c"));
    assert!(allowed("/a/**", "/a"));
    assert!(!allowed("/a/**", "/ab"));
    // A request is never a pattern.
    assert!(path("/a/*").is_err());
    assert!(
        Request::builder("t")
            .user("u")
            .action("GET")
            .resource("a:**")
            .build()
            .is_err()
    );
}

#[test]
fn hazard_no_case_folding() {
    assert!(!allowed("/admin", "/Admin"));
    assert!(!allowed("/admin", "/ADMIN"));
    let request = Request::builder("t")
        .user("u")
        .action("get")
        .path("/admin")
        .build()
        .unwrap();
    assert!(!engine("/admin").decide(&request).is_allow());
}

#[test]
fn hazard_path_parameters_are_no_literals() {
    assert!(named("/orders/{id}", "/orders/{order_id}"));
    assert!(!named("/orders/{id}", "/orders/export"));
    assert!(!allowed("/orders/{id}", "/orders/42"));
    assert!(!allowed("/orders/{id}", "/orders/{id}"));
    assert!(!named("/files/{*rest}", "/files/{rest}"));
}

#[test]
fn hazard_user_and_role_names_do_not_collide() {
    let text =
        "policies: [{id: p, tenant: t, resource: doc, action: GET, role: admin, effect: allow}]";
    let engine = Engine::builder().yaml("p", text).build().unwrap();
    let request = |user: &str, roles: &[&str]| {
        Request::builder("t")
            .user(user)
            .roles(roles)
            .action("GET")
            .resource("doc")
            .build()
            .unwrap()
    };
    assert!(!engine.decide(&request("admin", &[])).is_allow());
    assert!(engine.decide(&request("u", &["admin"])).is_allow());
    assert!(!engine.decide(&request("u", &["*"])).is_allow());
    assert!(!engine.decide(&request("u", &["Admin"])).is_allow());
}

/// CVE-2026-55866, CVE-2026-46668: decisions cached under too little of the request. There is no cache here; equal
/// questions from different tenants, users and attributes still get their own answers.
#[test]
fn hazard_decisions_depend_on_the_whole_request() {
    let text = "policies: [{id: p, tenant: t, resource: doc, action: GET, role: r, effect: allow, conditions: \"user.id == 'u' && user.level == 1\"}]";
    let engine = Engine::builder().yaml("p", text).build().unwrap();
    let ask = |tenant: &str, user: &str, role: &str, action: &str, level: i64| {
        let request = Request::builder(tenant)
            .user(user)
            .roles([role])
            .action(action)
            .resource("doc");
        engine
            .decide(&request.user_attr("level", level).build().unwrap())
            .is_allow()
    };
    assert!(ask("t", "u", "r", "GET", 1));
    assert!(!ask("s", "u", "r", "GET", 1));
    assert!(!ask("t", "v", "r", "GET", 1));
    assert!(!ask("t", "u", "s", "GET", 1));
    assert!(!ask("t", "u", "r", "PUT", 1));
    assert!(!ask("t", "u", "r", "GET", 2));
    assert!(ask("t", "u", "r", "GET", 1));
}

#[test]
fn hazard_wildcard_tenants() {
    for tenant in ["*", "**", "t", "platform", ""] {
        let request = Request::builder(tenant)
            .user("u")
            .action("GET")
            .resource("doc")
            .build();
        let text = "policies: [{id: p, tenant: other, resource: '**', action: '*', role: '*', effect: allow}]";
        let engine = Engine::builder().yaml("p", text).build().unwrap();
        assert!(
            !request.is_ok_and(|request| engine.decide(&request).is_allow()),
            "{tenant}"
        );
    }
}

#[test]
fn hazard_erring_deny_denies() {
    let text = "policies:
  - {id: a, tenant: t, resource: doc, action: GET, role: '*', effect: allow}
  - {id: d, tenant: t, resource: doc, action: GET, role: '*', effect: deny, conditions: 'user.level / 0 > 1'}";
    let engine = Engine::builder().yaml("p", text).build().unwrap();
    let request = Request::builder("t")
        .user("u")
        .action("GET")
        .resource("doc")
        .user_attr("level", 1i64);
    let decision = engine.decide(&request.build().unwrap());
    assert_eq!(decision.reason(), Reason::Error);
    assert_eq!(decision.errors().count(), 1);
}

/// A folded scalar makes one line of several: a comment on the first hides the clauses after it.
#[test]
fn hazard_comment_in_a_folded_condition() {
    let load = |condition: &str| {
        let text = format!(
            "policies:\n  - id: p\n    tenant: t\n    resource: r\n    action: a\n    role: '*'\n    effect: allow\n    conditions: {condition}\n"
        );
        Engine::builder().yaml("p", text).build()
    };
    for folded in [
        ">\n      user.level > 3 // seniors\n      && user.tenant_id == resource.tenant_id",
        ">-\n      user.level > 3 // seniors\n      && user.tenant_id == resource.tenant_id",
        "user.level > 3 // seniors\n      && user.tenant_id == resource.tenant_id",
        "\"user.level > 3 // seniors\n      && user.tenant_id == resource.tenant_id\"",
    ] {
        let error = load(folded).unwrap_err().to_string();
        assert!(error.contains("comment"), "{error}");
    }
    for fine in [
        "|\n      user.level > 3 // seniors\n      && user.tenant_id == resource.tenant_id",
        "user.level > 3 // seniors",
        ">\n      user.id != 'http://x'\n      && user.level > 3",
    ] {
        assert!(load(fine).is_ok(), "{fine}");
    }
}

/// No number is above or below NaN: a limit in a deny policy must not be passed with it.
#[test]
fn hazard_nan_attributes() {
    let nan = f64::NAN;
    let inner = MapValue::new([("x".into(), Value::Double(nan))]).unwrap();
    for value in [
        Value::Double(nan),
        Value::from([1.0, nan]),
        Value::Map(std::sync::Arc::new(inner)),
    ] {
        let request = Request::builder("t")
            .user("u")
            .action("a")
            .resource("r")
            .resource_attr("amount", value)
            .build();
        assert_eq!(
            request.unwrap_err(),
            RequestError::NotANumber("resource.amount".into())
        );
    }
}

/// A field to be masked that YAML does not read as text would be left open.
#[test]
fn hazard_obligations_lose_no_argument() {
    let load = |args: &str| {
        let text = format!(
            "policies: [{{id: p, tenant: t, resource: r, action: a, role: '*', effect: allow, obligations: {{mask: {args}}}}}]"
        );
        Engine::builder().yaml("p", text).build()
    };
    for odd in ["[card, null]", "[card, 1]", "[true, card]"] {
        assert!(load(odd).is_err(), "{odd}");
    }
    for fine in ["[card, '1']", "[1, 2]", "card", "{fields: [card]}"] {
        assert!(load(fine).is_ok(), "{fine}");
    }
}

/// A deny policy in a file whose extension is in capitals was passed over.
#[test]
fn hazard_files_are_not_skipped_for_their_case() {
    let dir = std::env::temp_dir().join(format!("abac-engine-case-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("a.yaml"), "policies: []").unwrap();
    std::fs::write(
        dir.join("B.YAML"),
        "policies: [{id: d, tenant: t, resource: '**', action: '*', role: '*', effect: deny}]",
    )
    .unwrap();
    let loaded = Engine::load_dir(&dir);
    std::fs::remove_dir_all(&dir).unwrap();
    assert_eq!(loaded.unwrap().len(), 1);
}

/// A deeply nested expression ended the process of another CEL implementation.
#[test]
fn hazard_deep_expressions_do_not_exhaust_the_stack() {
    let check = || {
        let limits = CelLimits::default();
        let env = std::sync::Arc::new(Env::new());
        for (open, close) in [
            ("(", ")"),
            ("[", "]"),
            ("{1:", "}"),
            ("-", ""),
            ("!", ""),
            ("true?", ""),
            ("f(", ")"),
            ("[1].map(x,", ")"),
        ] {
            for depth in [limits.depth / 2, limits.depth - 2, limits.depth, 100_000] {
                let source = format!("{}1{}", open.repeat(depth), close.repeat(depth));
                if let Ok(program) = Program::compile_unchecked(&source, &env, &limits) {
                    let _ = program.evaluate(&Bindings::new());
                }
            }
        }
        let all_at_once = format!(
            "{}1{}",
            "[1].map(x, ".repeat(limits.depth - 2),
            ")".repeat(limits.depth - 2)
        );
        let program = Program::compile(&all_at_once, &env, &limits).unwrap();
        assert!(program.evaluate(&Bindings::new()).is_ok());
    };
    // Unoptimised code takes several times the stack.
    let stack = if cfg!(debug_assertions) { 1024 } else { 128 } * 1024;
    std::thread::Builder::new()
        .stack_size(stack)
        .spawn(check)
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn hazard_growing_values_are_charged() {
    let limits = CelLimits::default();
    let env = std::sync::Arc::new(Env::new());
    let doubling = format!(
        "{}'0123456789abcdef'{}",
        "[".repeat(25),
        "].map(x, x + x)[0]".repeat(25)
    );
    let lists = format!(
        "{}[1, 2]{}",
        "[".repeat(25),
        "].map(x, x + x)[0]".repeat(25)
    );
    for source in [doubling, lists] {
        let outcome = Program::compile_unchecked(&source, &env, &limits)
            .map(|p| p.evaluate(&Bindings::new()));
        assert!(!matches!(outcome, Ok(Ok(_))));
    }
}

#[test]
fn hazard_regexes_are_linear() {
    let env = std::sync::Arc::new(Env::new().variable("x", abac_engine::Type::String));
    let program = Program::compile("x.matches('^(a+)+$')", &env, &CelLimits::default()).unwrap();
    let text = format!("{}b", "a".repeat(100_000));
    assert!(program.evaluate(&Bindings::new().with("x", text)).is_ok());
}

#[test]
fn hazard_yaml_bombs() {
    let bomb = "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\npolicies: *c";
    assert!(Engine::builder().yaml("p", bomb).build().is_err());
    assert!(
        Engine::builder()
            .yaml("p", "[".repeat(1_000_000))
            .build()
            .is_err()
    );
    assert!(
        Engine::builder()
            .yaml("p", "{a: ".repeat(100_000))
            .build()
            .is_err()
    );
    assert!(
        Engine::builder()
            .json("p", "[".repeat(1_000_000))
            .build()
            .is_err()
    );
}
