//! Load errors: all of them, each with its place.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    missing_docs
)]

use abac_engine::{Engine, Limits, LoadErrors, Schema};

fn yaml(text: &str) -> LoadErrors {
    Engine::builder().yaml("p.yaml", text).build().unwrap_err()
}

const POLICY: &str = "id: p, tenant: t, resource: doc, action: read, role: '*', effect: allow";

/// The messages for one policy with fields appended or replaced.
fn policy(fields: &str) -> String {
    let kept = POLICY.split(", ").filter(|field| {
        let name = field.split(':').next().unwrap();
        !fields.starts_with(&format!("{name}:"))
            && !fields.contains(&format!(", {name}:"))
            && fields != format!("-{name}")
    });
    let mut all: Vec<_> = kept.collect();
    if !fields.starts_with('-') {
        all.push(fields);
    }
    match Engine::builder()
        .yaml("p", format!("policies: [{{{}}}]", all.join(", ")))
        .build()
    {
        Ok(_) => String::new(),
        Err(errors) => errors
            .iter()
            .map(|e| e.message.clone())
            .collect::<Vec<_>>()
            .join("; "),
    }
}

#[test]
fn every_fault_of_a_file_is_reported_with_its_place() {
    let text = "\
version: 1
policies:
  - id: a
    tenant: '*'
    resource: /a//b
    action: read
    role: teller
    effect: permit
  - id: b
    tenant: t
    resource: doc
    action: read
    role: teller
    effect: allow
    colour: red
    conditions:
      - user.tenent_id == resource.tenant_id
      - >-
        user.id == 'x' &&
        user.level + 1
  - id: b
    tenant: t
    resource: doc
    action: read
    effect: allow
";
    let errors = yaml(text);
    let seen: Vec<_> = errors
        .iter()
        .map(|e| (e.line, e.column, e.message.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            (1, 10, "`version` is text, not a number; put it in quotes"),
            (
                4,
                13,
                "`tenant` names one tenant; a policy for every tenant says `scope: platform`"
            ),
            (5, 15, "resource has an empty segment"),
            (8, 13, "`effect` is `allow` or `deny`"),
            (
                15,
                5,
                "unknown field `colour`; the fields are id, tenant, scope, resource, action, role, effect, conditions, obligations, description"
            ),
            (
                17,
                9,
                "unknown attribute `user.tenent_id`; did you mean `tenant_id`?"
            ),
            (20, 9, "an operand of `&&` or `||` is int, not bool"),
            (21, 5, "missing `role`"),
        ]
    );
    assert_eq!(errors.iter().nth(5).unwrap().policy.as_deref(), Some("b"));
    let shown = errors.to_string();
    assert!(shown.contains(
        "  --> p.yaml:17:9\n   |\n17 |       - user.tenent_id == resource.tenant_id\n   |         ^^^^^^^^^^^^^^\n   = in policy `b`"
    ), "{shown}");
    assert!(shown.ends_with("8 errors in the policy sources"));
}

#[test]
fn faulty_policies_are_refused() {
    for (fields, message) in [
        ("-id", "missing `id`"),
        ("-tenant", "missing `tenant`"),
        ("-role", "missing `role`"),
        ("-action", "missing `action`"),
        ("-resource", "missing `resource`"),
        ("-effect", "missing `effect`"),
        ("tenant: '*'", "scope: platform"),
        ("tenant: 'a*'", "scope: platform"),
        ("tenant: ''", "1 to 256 bytes"),
        ("tenant: 7", "put it in quotes"),
        ("scope: platform", "exclude each other"),
        ("resource: '*'", "write `**`"),
        ("resource: 'a*'", "whole segment"),
        ("resource: '/a/**/b'", "whole segment"),
        ("resource: 'api/v1'", "starts with a slash"),
        ("resource: '/a/../b'", "dot segment"),
        ("resource: '/a/%2e'", "percent"),
        ("resource: '/a?b'", "query"),
        ("resource: []", "empty list"),
        ("action: 'r*'", "stands alone"),
        ("action: ['*', read]", "stands alone"),
        ("role: [a, a]", "twice"),
        ("role: null", "not null"),
        ("effect: Allow", "`allow` or `deny`"),
        ("effect: true", "`allow` or `deny`"),
        ("conditions: true", "CEL expression in text"),
        ("conditions: ['']", "the expression ends"),
        ("conditions: ['user']", "not a value by itself"),
        (
            "conditions: ['user.id']",
            "a condition is a bool, this is string",
        ),
        (
            "conditions: ['user.id == 1']",
            "does not take string and int",
        ),
        (
            "conditions: ['usr.id == user.id']",
            "unknown name `usr`; did you mean `user`?",
        ),
        (
            "conditions: ['user.id.startWith(user.id)']",
            "did you mean `startsWith`?",
        ),
        ("conditions: ['size(1) == 1']", "no overload"),
        ("conditions: ['user.id.matches(user.id)']", "literal"),
        (
            "conditions: [\"user.id.matches('(')\"]",
            "bad regular expression",
        ),
        (
            "conditions: [\"user.id.matches('(((a{1,100}){1,100}){1,100})')\"]",
            "compiles to more than",
        ),
        (
            "conditions: [\"env.time.getHours('Mars') == 1\"]",
            "unknown time zone",
        ),
        (
            "conditions: [\"env.time > timestamp('2026-02-30T00:00:00Z')\"]",
            "not a valid timestamp",
        ),
        (
            "conditions: [user.id == 'x' user.id]",
            "expected an operator or the end, found `user`",
        ),
        ("obligations: 7", "an obligation is a name"),
        ("obligations: ['']", "has a name"),
        ("description: [a]", "`description` is text"),
    ] {
        let got = policy(fields);
        assert!(got.contains(message), "{fields}: {got}");
    }
    assert_eq!(policy("description: fine"), "");
    assert_eq!(policy("conditions: ['dyn(user.id) == 1']"), "");
}

#[test]
fn documents_of_other_shapes_are_refused() {
    for text in [
        "",
        "[]",
        "policies: {}",
        "policy: []",
        "policies: [1]",
        "policies: []\npolicies: []",
        "roles: [{role: a, inherits: [b]}]",
        "roles: [{role: a, tenant: t, inherits: [a]}]",
        "roles: [{role: a, tenant: t, inherits: '*'}]",
        "x",
        "\u{0}",
        "policies: [",
        "a: *b",
    ] {
        assert!(Engine::builder().yaml("p", text).build().is_err(), "{text}");
    }
    for text in [
        "",
        "[]",
        "{\"policies\": [], \"policies\": []}",
        "{",
        "{\"policies\": [null]}",
    ] {
        assert!(Engine::builder().json("p", text).build().is_err(), "{text}");
    }
}

#[test]
fn faults_across_sources_are_found() {
    let one = format!("policies: [{{{POLICY}}}]");
    let errors = Engine::builder()
        .yaml("a", &*one)
        .yaml("b", &*one)
        .build()
        .unwrap_err();
    assert_eq!(errors.len(), 1);
    let error = errors.iter().next().unwrap();
    assert_eq!(
        (error.file.as_str(), error.message.as_str()),
        ("b", "duplicate policy id `p`, first in a")
    );

    let cycle = |a: &str, b: &str| format!("roles: [{{role: {a}, tenant: t, inherits: [{b}]}}]");
    let errors = Engine::builder()
        .yaml("a", cycle("x", "y"))
        .yaml("b", cycle("y", "x"))
        .build()
        .unwrap_err();
    assert!(errors.to_string().contains("inherits itself"));

    let errors = Engine::builder()
        .yaml("a", "version: a\npolicies: []")
        .yaml("b", "version: b\npolicies: []")
        .build();
    assert!(
        errors
            .unwrap_err()
            .to_string()
            .contains("another source says version `a`")
    );
}

#[test]
fn limits_are_kept() {
    let mut limits = Limits::default();
    limits.document_bytes = 10;
    let errors = Engine::builder()
        .limits(limits)
        .yaml("p", "policies: []")
        .build()
        .unwrap_err();
    assert!(errors.to_string().contains("larger than 10 bytes"));
    let mut limits = Limits::default();
    limits.policies = 0;
    let text = format!("policies: [{{{POLICY}}}]");
    assert!(
        Engine::builder()
            .limits(limits)
            .yaml("p", text)
            .build()
            .is_err()
    );
}

#[test]
fn declared_obligations_are_the_only_ones() {
    let text = format!("policies: [{{{POLICY}, obligations: [msak]}}]");
    let schema = Schema::builder().obligation("mask").build().unwrap();
    let errors = Engine::builder()
        .schema(schema)
        .yaml("p", &*text)
        .build()
        .unwrap_err();
    assert!(errors.to_string().contains("no obligation `msak`"));
    assert!(Engine::builder().yaml("p", text).build().is_ok());
}

#[test]
fn files_and_folders() {
    let folder = std::env::temp_dir().join(format!("abac-engine-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    assert!(
        Engine::load_dir(&folder)
            .unwrap_err()
            .to_string()
            .contains("no .yaml")
    );
    std::fs::write(folder.join("a.yaml"), format!("policies: [{{{POLICY}}}]")).unwrap();
    std::fs::write(folder.join("b.json"), "{\"policies\": []}").unwrap();
    std::fs::write(folder.join("c.txt"), "not a policy").unwrap();
    assert_eq!(Engine::load_dir(&folder).unwrap().len(), 1);
    assert_eq!(Engine::load_file(folder.join("a.yaml")).unwrap().len(), 1);
    let missing = Engine::load_file(folder.join("none.yaml")).unwrap_err();
    assert!(missing.to_string().contains("cannot be read"));
    std::fs::write(folder.join("d.yaml"), [0xff, 0xfe]).unwrap();
    assert!(Engine::load_dir(&folder).is_err());
    std::fs::remove_dir_all(&folder).unwrap();
}
