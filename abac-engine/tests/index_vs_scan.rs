//! The index against a linear scan, and the wall between tenants.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    missing_docs
)]

use std::collections::BTreeSet;

use abac_engine::{Engine, Request};
use proptest::prelude::*;
use serde_json::json;

#[derive(Clone, Debug)]
struct Policy {
    /// `None`: the platform.
    tenant: Option<&'static str>,
    resources: Vec<&'static str>,
    actions: Vec<&'static str>,
    roles: Vec<&'static str>,
    deny: bool,
    /// What its condition comes to: true, false, an error.
    outcome: u8,
}

const TENANTS: [&str; 3] = ["a", "b", "c"];
const PATTERNS: [&str; 16] = [
    "x", "x:y", "x:*", "x:**", "*:y", "*:*", "x:y:z", "x:*:z", "**", "/x", "/x/{id}", "/*", "/x/*",
    "/x/**", "/**", "/",
];
const RESOURCES: [&str; 11] = [
    "x", "y", "x:y", "x:y:z", "y:y", "/", "/x", "/y", "/x/{n}", "/x/y", "/x/y/z",
];
const ACTIONS: [&str; 2] = ["read", "write"];
const ROLES: [&str; 4] = ["r0", "r1", "r2", "r3"];
/// In tenant `a`, r0 inherits r1, r1 inherits r2; everywhere, r3 inherits r2.
const INHERITS: [(Option<&str>, &str, &str); 3] = [
    (Some("a"), "r0", "r1"),
    (Some("a"), "r1", "r2"),
    (None, "r3", "r2"),
];

fn some(of: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(of, 1..=of.len().min(3))
}

fn policy() -> impl Strategy<Value = Policy> {
    let tenant =
        prop_oneof![4 => proptest::sample::select(&TENANTS[..]).prop_map(Some), 1 => Just(None)];
    let actions = prop_oneof![3 => some(&ACTIONS), 1 => Just(vec!["*"])];
    let roles = prop_oneof![3 => some(&ROLES), 1 => Just(vec!["*"])];
    (
        tenant,
        some(&PATTERNS),
        actions,
        roles,
        any::<bool>(),
        0u8..3,
    )
        .prop_map(
            |(tenant, resources, actions, roles, deny, outcome)| Policy {
                tenant,
                resources,
                actions,
                roles,
                deny,
                outcome,
            },
        )
}

fn load(policies: &[Policy]) -> Engine {
    let records: Vec<_> = policies
        .iter()
        .enumerate()
        .map(|(i, p)| {
            let condition = ["true", "false", "user.level == 1"][usize::from(p.outcome)];
            let mut record = json!({
                "id": format!("p{i}"), "resource": p.resources, "action": p.actions, "role": p.roles,
                "effect": if p.deny { "deny" } else { "allow" }, "conditions": [condition],
            });
            match p.tenant {
                Some(tenant) => record["tenant"] = tenant.into(),
                None => record["scope"] = "platform".into(),
            }
            record
        })
        .collect();
    let roles: Vec<_> = INHERITS
        .iter()
        .map(|(tenant, role, below)| match tenant {
            Some(tenant) => json!({"tenant": tenant, "role": role, "inherits": [below]}),
            None => json!({"scope": "platform", "role": role, "inherits": [below]}),
        })
        .collect();
    let text = json!({"roles": roles, "policies": records}).to_string();
    Engine::builder().json("p", text).build().unwrap()
}

/// Independent of the engine: splits and compares.
fn matches(pattern: &str, resource: &str) -> bool {
    if pattern == "**" {
        return true;
    }
    if pattern.starts_with('/') != resource.starts_with('/') {
        return false;
    }
    let split = |text: &str| -> Vec<String> {
        let separator = if text.starts_with('/') { '/' } else { ':' };
        let parts = text
            .trim_start_matches('/')
            .split(separator)
            .filter(|s| !s.is_empty());
        parts
            .map(|s| {
                if s.starts_with('{') {
                    "{}".into()
                } else {
                    s.into()
                }
            })
            .collect()
    };
    let (pattern, resource) = (split(pattern), split(resource));
    let rest = pattern.last().is_some_and(|s| s == "**");
    let fixed = if rest {
        pattern.len() - 1
    } else {
        pattern.len()
    };
    let length = if rest {
        resource.len() >= fixed
    } else {
        resource.len() == fixed
    };
    length
        && pattern[..fixed]
            .iter()
            .zip(&resource)
            .all(|(p, r)| p == "*" || p == r)
}

fn stands_for(tenant: &str, role: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::from([role.to_owned()]);
    loop {
        let more: Vec<_> = INHERITS
            .iter()
            .filter(|(t, r, b)| {
                t.is_none_or(|t| t == tenant) && all.contains(*r) && !all.contains(*b)
            })
            .map(|(_, _, b)| (*b).to_owned())
            .collect();
        if more.is_empty() {
            return all;
        }
        all.extend(more);
    }
}

fn request() -> impl Strategy<Value = (&'static str, Vec<&'static str>, &'static str, &'static str)>
{
    (
        proptest::sample::select(&TENANTS[..]),
        proptest::sample::subsequence(&ROLES[..], 0..=4),
        proptest::sample::select(&ACTIONS[..]),
        proptest::sample::select(&RESOURCES[..]),
    )
}

fn ask(
    engine: &Engine,
    (tenant, roles, action, resource): &(&str, Vec<&str>, &str, &str),
) -> abac_engine::Decision {
    let request = Request::builder(tenant)
        .user("u")
        .roles(roles)
        .action(action)
        .resource(resource);
    engine.decide(&request.build().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn index_equals_linear_scan(policies in prop::collection::vec(policy(), 0..24), asked in prop::collection::vec(request(), 1..12)) {
        let engine = load(&policies);
        for question in &asked {
            let (tenant, roles, action, resource) = question;
            let held: BTreeSet<String> = roles.iter().flat_map(|r| stands_for(tenant, r)).collect();
            let applies = |p: &Policy| {
                p.tenant.is_none_or(|t| t == *tenant)
                    && p.resources.iter().any(|pattern| matches(pattern, resource))
                    && p.actions.iter().any(|a| *a == "*" || a == action)
                    && p.roles.iter().any(|r| *r == "*" || held.contains(*r))
            };
            let chosen = |deny: bool, outcome: u8| -> Vec<String> {
                let numbered = policies.iter().enumerate();
                let hits = numbered.filter(|(_, p)| p.deny == deny && p.outcome == outcome && applies(p));
                hits.map(|(i, _)| format!("p{i}")).collect()
            };
            let (denies, failed, allows) = (chosen(true, 0), chosen(true, 2), chosen(false, 0));
            let expected = if !denies.is_empty() { denies } else if !failed.is_empty() { failed } else { allows.clone() };
            let granted = chosen(true, 0).is_empty() && chosen(true, 2).is_empty() && !allows.is_empty();
            let decision = ask(&engine, question);
            prop_assert_eq!(decision.policies().map(str::to_owned).collect::<Vec<_>>(), expected);
            prop_assert_eq!(decision.is_allow(), granted);
            prop_assert_eq!(decision.errors().count(), chosen(true, 2).len() + chosen(false, 2).len());
        }
    }

    /// No request of one tenant is touched by another tenant's policies: taking them away changes nothing.
    #[test]
    fn tenants_never_meet(policies in prop::collection::vec(policy(), 0..24), question in request()) {
        // Ids must survive the taking away, so foreign policies move to a tenant nobody asks in.
        let moved: Vec<Policy> = policies
            .iter()
            .map(|p| match p.tenant {
                Some(tenant) if tenant != question.0 => Policy { tenant: Some("nobody"), ..p.clone() },
                _ => p.clone(),
            })
            .collect();
        let (all, own) = (ask(&load(&policies), &question), ask(&load(&moved), &question));
        prop_assert_eq!(all.to_string(), own.to_string());
        for id in all.policies().chain(all.unmet().map(|u| u.policy)) {
            let tenant = policies[id[1..].parse::<usize>().unwrap()].tenant;
            prop_assert!(tenant.is_none_or(|t| t == question.0));
        }
    }

    #[test]
    fn adding_a_deny_never_grants(policies in prop::collection::vec(policy(), 0..24), extra in policy(), question in request()) {
        let before = ask(&load(&policies), &question).is_allow();
        let mut more = policies;
        more.push(Policy { deny: true, ..extra });
        prop_assert!(before || !ask(&load(&more), &question).is_allow());
    }

    #[test]
    fn an_error_never_grants(policies in prop::collection::vec(policy(), 1..24), victim in any::<prop::sample::Index>(), question in request()) {
        let mut broken = policies.clone();
        let victim = victim.index(policies.len());
        broken[victim].outcome = 2;
        // The victim erring instead of being false can only take away; instead of being true too, for an allow.
        if ask(&load(&broken), &question).is_allow() {
            let mut harmless = policies;
            harmless[victim].outcome = 1;
            prop_assert!(ask(&load(&harmless), &question).is_allow());
        }
    }
}
