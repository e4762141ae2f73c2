//! What a decision means: tables of the semantics.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    missing_docs
)]

use abac_engine::{
    Effect, Engine, EvalErrorKind, Limits, Reason, Request, RequestBuilder, Schema, Type,
};

/// A set of policies on `doc` / `read` in tenant `t`, from (id, effect, condition).
fn engine(policies: &[(&str, &str, &str)]) -> Engine {
    let mut text = String::from(if policies.is_empty() {
        "policies: []"
    } else {
        "policies:\n"
    });
    for (id, effect, condition) in policies {
        text += &format!(
            "  - {{id: {id}, tenant: t, resource: doc, action: read, role: '*', effect: {effect}, conditions: \"{condition}\"}}\n"
        );
    }
    Engine::builder().yaml("p", text).build().unwrap()
}

fn request() -> RequestBuilder {
    Request::builder("t")
        .user("u")
        .action("read")
        .resource("doc")
}

const YES: &str = "true";
const NO: &str = "false";
/// Errs: nobody sets the attribute.
const ERR: &str = "user.branch == 'x'";

#[test]
fn deny_overrides_over_three_values() {
    use Reason::{Error, Forbidden, NotPermitted, Permitted};
    type Row<'a> = (&'a [(&'a str, &'a str)], Reason, &'a [&'a str], usize);
    let table: &[Row<'_>] = &[
        (&[], NotPermitted, &[], 0),
        (&[("allow", YES)], Permitted, &["p0"], 0),
        (&[("allow", NO)], NotPermitted, &[], 0),
        (&[("allow", ERR)], Error, &[], 1),
        (&[("deny", YES)], Forbidden, &["p0"], 0),
        (&[("deny", NO)], NotPermitted, &[], 0),
        (&[("deny", ERR)], Error, &["p0"], 1),
        (&[("allow", YES), ("deny", YES)], Forbidden, &["p1"], 0),
        (&[("deny", YES), ("allow", YES)], Forbidden, &["p0"], 0),
        (&[("allow", YES), ("deny", NO)], Permitted, &["p0"], 0),
        (&[("allow", YES), ("deny", ERR)], Error, &["p1"], 1),
        (&[("deny", ERR), ("allow", YES)], Error, &["p0"], 1),
        (&[("deny", ERR), ("deny", YES)], Forbidden, &["p1"], 1),
        (&[("allow", YES), ("allow", ERR)], Permitted, &["p0"], 1),
        (&[("allow", NO), ("allow", ERR)], Error, &[], 1),
        (
            &[("allow", YES), ("allow", YES)],
            Permitted,
            &["p0", "p1"],
            0,
        ),
    ];
    for (policies, reason, deciding, errors) in table {
        let ids: Vec<String> = (0..policies.len()).map(|i| format!("p{i}")).collect();
        let spec: Vec<_> = policies
            .iter()
            .zip(&ids)
            .map(|((e, c), id)| (id.as_str(), *e, *c))
            .collect();
        let decision = engine(&spec).decide(&request().build().unwrap());
        assert_eq!(decision.reason(), *reason, "{policies:?}");
        assert_eq!(decision.is_allow(), *reason == Permitted);
        assert_eq!(
            decision.policies().collect::<Vec<_>>(),
            *deciding,
            "{policies:?}"
        );
        assert_eq!(decision.errors().count(), *errors, "{policies:?}");
    }
}

#[test]
fn clauses_are_one_conjunction() {
    let decide = |clauses: &str, effect: &str| {
        let text = format!(
            "policies: [{{id: p, tenant: t, resource: doc, action: read, role: '*', effect: {effect}, conditions: [{clauses}]}}]"
        );
        let engine = Engine::builder().yaml("p", text).build().unwrap();
        engine.decide(&request().build().unwrap()).reason()
    };
    let err = format!("\"{ERR}\"");
    for (clauses, allow, deny) in [
        (
            "'true', 'true'".to_owned(),
            Reason::Permitted,
            Reason::Forbidden,
        ),
        (
            format!("{err}, 'false'"),
            Reason::NotPermitted,
            Reason::NotPermitted,
        ),
        (
            format!("'false', {err}"),
            Reason::NotPermitted,
            Reason::NotPermitted,
        ),
        (format!("'true', {err}"), Reason::Error, Reason::Error),
        (String::new(), Reason::Permitted, Reason::Forbidden),
    ] {
        assert_eq!(decide(&clauses, "allow"), allow, "{clauses}");
        assert_eq!(decide(&clauses, "deny"), deny, "{clauses}");
    }
}

#[test]
fn a_denial_says_which_clause_was_false() {
    let engine = engine(&[
        ("a", "allow", "user.id == 'x'"),
        ("b", "allow", "'r' in user.roles"),
    ]);
    let decision = engine.decide(&request().build().unwrap());
    let unmet: Vec<_> = decision.unmet().map(|u| (u.policy, u.clause)).collect();
    assert_eq!(unmet, [("a", "user.id == 'x'"), ("b", "'r' in user.roles")]);
    assert_eq!(
        decision.to_string(),
        "deny: not permitted; a: `user.id == 'x'` is false; b: `'r' in user.roles` is false"
    );
}

#[test]
fn errors_name_policy_clause_and_part() {
    let engine = engine(&[("a", "allow", "user.branch == 'x'")]);
    let decision = engine.decide(&request().build().unwrap());
    let error = decision.errors().next().unwrap();
    assert_eq!(
        (error.policy, error.part, error.kind),
        (
            Some("a"),
            Some("user.branch"),
            Some(EvalErrorKind::MissingAttribute)
        )
    );
}

#[test]
fn an_attribute_of_the_wrong_type_is_an_error_even_for_inequality() {
    let engine = engine(&[("a", "allow", "user.level != 3")]);
    let with = |level: abac_engine::Value| {
        let request = request().user_attr("level", level).build().unwrap();
        engine.decide(&request).reason()
    };
    assert_eq!(with(4i64.into()), Reason::Permitted);
    assert_eq!(with(3i64.into()), Reason::NotPermitted);
    assert_eq!(with("3".into()), Reason::Error);
    assert_eq!(with(3u64.into()), Reason::Error);
}

#[test]
fn roles_are_inherited_within_the_tenant_for_allow_and_deny() {
    let engine = Engine::builder()
        .yaml(
            "p",
            "
roles:
  - {role: manager, tenant: a, inherits: [teller]}
  - {role: auditor, scope: platform, inherits: [viewer]}
policies:
  - {id: a-teller, tenant: a, resource: doc, action: read, role: teller, effect: allow}
  - {id: b-teller, tenant: b, resource: doc, action: read, role: teller, effect: allow}
  - {id: view, scope: platform, resource: doc, action: view, role: viewer, effect: allow}
  - {id: no-tellers, scope: platform, resource: vault, action: open, role: teller, effect: deny}
  - {id: vault, tenant: a, resource: vault, action: open, role: '*', effect: allow}
",
        )
        .build()
        .unwrap();
    let decide = |tenant: &str, role: &str, action: &str, resource: &str| {
        let request = Request::builder(tenant)
            .user("u")
            .roles([role])
            .action(action)
            .resource(resource);
        engine.decide(&request.build().unwrap()).reason()
    };
    assert_eq!(decide("a", "manager", "read", "doc"), Reason::Permitted);
    assert_eq!(decide("b", "manager", "read", "doc"), Reason::NotPermitted);
    assert_eq!(decide("b", "teller", "read", "doc"), Reason::Permitted);
    assert_eq!(decide("b", "auditor", "view", "doc"), Reason::Permitted);
    assert_eq!(decide("a", "manager", "open", "vault"), Reason::Forbidden);
    assert_eq!(decide("a", "clerk", "open", "vault"), Reason::Permitted);
    assert_eq!(decide("c", "teller", "read", "doc"), Reason::NotPermitted);
}

#[test]
fn obligations_of_all_deciding_policies_add_up() {
    let engine = Engine::builder()
        .yaml("p", "
policies:
  - {id: full, tenant: t, resource: doc, action: read, role: boss, effect: allow}
  - id: masked
    tenant: t
    resource: doc
    action: read
    role: '*'
    effect: allow
    obligations: {mask: [card, phone], step_up: {method: usb-key}}
  - {id: also, tenant: t, resource: doc, action: read, role: '*', effect: allow, obligations: [watermark, {mask: id_number}]}
  - {id: unmet, tenant: t, resource: doc, action: read, role: '*', effect: allow, conditions: 'false', obligations: [never]}
")
        .build()
        .unwrap();
    let decision = engine.decide(&request().roles(["boss"]).build().unwrap());
    assert_eq!(
        decision.strings("mask").into_iter().collect::<Vec<_>>(),
        ["card", "id_number", "phone"]
    );
    let step_up = decision
        .obligations()
        .find(|o| o.name() == "step_up")
        .unwrap();
    assert_eq!(step_up.args()["method"], "usb-key");
    assert!(
        decision
            .check_obligations(&["mask", "step_up", "watermark"])
            .is_ok()
    );
    assert_eq!(
        decision.check_obligations(&["mask"]).unwrap_err().0,
        "step_up"
    );
}

#[test]
fn a_decision_serialises() {
    let engine = engine(&[("a", "allow", YES), ("d", "deny", ERR)]);
    let json = serde_json::to_value(engine.decide(&request().build().unwrap())).unwrap();
    assert_eq!(json["effect"], "deny");
    assert_eq!(json["reason"], "error");
    assert_eq!(json["policies"], serde_json::json!(["d"]));
    assert_eq!(json["errors"][0]["part"], "user.branch");
    assert_eq!(json["version"], engine.version());
    assert_eq!(
        engine.decide(&request().build().unwrap()).effect(),
        Effect::Deny
    );
}

#[test]
fn versions_come_from_builder_document_or_sources() {
    let text = |v: &str| format!("{v}\npolicies: []\n");
    let version = |t: String| {
        Engine::builder()
            .yaml("p", t)
            .build()
            .unwrap()
            .version()
            .to_owned()
    };
    assert_eq!(version(text("version: '7'")), "7");
    assert_ne!(version(text("")), version(text("# other")));
    assert_eq!(version(text("")), version(text("")));
    let named = Engine::builder()
        .yaml("p", text("version: '7'"))
        .version("8")
        .build()
        .unwrap();
    assert_eq!(named.version(), "8");
    assert!(named.is_empty());
}

#[test]
fn the_step_budget_ends_a_condition_as_an_error_that_nothing_absorbs() {
    let mut limits = Limits::default();
    limits.cel.steps = 1_000;
    let schema = Schema::builder()
        .user("tags", Type::list(Type::String))
        .build()
        .unwrap();
    let slow = "user.tags.exists(a, user.tags.exists(b, a + b == 'never')) || true";
    for (effect, deciding) in [("allow", 0), ("deny", 1)] {
        let text = format!(
            "policies: [{{id: p, tenant: t, resource: doc, action: read, role: '*', effect: {effect}, conditions: \"{slow}\"}}]"
        );
        let engine = Engine::builder()
            .schema(schema.clone())
            .limits(limits)
            .yaml("p", text)
            .build()
            .unwrap();
        let request = request().user_attr("tags", vec!["x"; 200]).build().unwrap();
        let decision = engine.decide(&request);
        assert_eq!(decision.reason(), Reason::Error);
        assert_eq!(decision.policies().count(), deciding);
        assert_eq!(
            decision.errors().next().unwrap().kind,
            Some(EvalErrorKind::StepLimit)
        );
    }
}

#[test]
fn time_conditions_know_zones() {
    let engine = engine(&[(
        "office",
        "allow",
        "env.time.getHours('Asia/Shanghai') >= 9 && env.time.getHours('Asia/Shanghai') < 18 && env.time.getDayOfWeek('Asia/Shanghai') in [1, 2, 3, 4, 5]",
    )]);
    let at = |seconds| {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        engine
            .decide(&request().at(time).build().unwrap())
            .is_allow()
    };
    // Thursday 2026-01-01, 09:00 and 08:59:59 in Shanghai; Saturday the 3rd, noon.
    assert!(at(1_767_229_200));
    assert!(!at(1_767_229_199));
    assert!(!at(1_767_412_800));
}

#[test]
fn json_and_yaml_say_the_same() {
    let json = r#"{"policies": [{"id": "p", "tenant": "t", "resource": ["doc", "doc:**"], "action": "read",
        "role": ["r", "s"], "effect": "allow", "conditions": ["user.id == \"u\""], "obligations": [{"mask": ["a"]}]}]}"#;
    for engine in [
        Engine::builder().json("p.json", json).build().unwrap(),
        Engine::builder().yaml("p.yaml", json).build().unwrap(),
    ] {
        let decision = engine.decide(&request().roles(["s"]).build().unwrap());
        assert!(decision.is_allow());
        assert!(decision.strings("mask").contains("a"));
    }
}
