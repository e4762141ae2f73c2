//! Decisions: abac-engine beside Cedar and casbin, over the same rules at growing numbers of them.
//!
//! Each rule says: in this tenant, this role may do this action to this resource, if the user's
//! tenant is the resource's. Exactly one rule of the set applies to the request. The peers' entities
//! and requests are made beforehand, as is ours; only `request and decide` makes one anew.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::hint::black_box;

use abac_engine::{Engine, Request};
use casbin::{CoreApi, DefaultModel, Enforcer, MemoryAdapter, MgmtApi};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicySet, RestrictedExpression,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use family_benches::{CpuTime, block_on, computing};

const SIZES: [usize; 3] = [10, 1_000, 10_000];

struct Rule {
    tenant: String,
    role: String,
    resource: String,
}

/// `count` rules over a few tenants and seven roles, each on a resource of its own.
fn rules(count: usize) -> Vec<Rule> {
    let tenants = (count / 5).min(10);
    (0..count)
        .map(|n| Rule {
            tenant: format!("bank-{}", n % tenants),
            role: format!("role-{}", n % 7),
            resource: format!("service-{n}:record"),
        })
        .collect()
}

/// The rule that is asked for: in the middle, so that a scan is neither lucky nor unlucky.
fn asked(rules: &[Rule]) -> &Rule {
    &rules[rules.len() / 2]
}

/// `suffix` goes behind each resource.
fn engine(rules: &[Rule], suffix: &str) -> Engine {
    let mut yaml = String::from("policies:\n");
    for (n, rule) in rules.iter().enumerate() {
        write!(
            yaml,
            "  - id: p{n}\n    tenant: {}\n    role: {}\n    resource: \"{}{suffix}\"\n    action: read\n    effect: allow\n    \
             conditions: user.tenant_id == resource.tenant_id\n",
            rule.tenant, rule.role, rule.resource
        )
        .unwrap();
    }
    Engine::builder().yaml("bench.yaml", &yaml).build().unwrap()
}

fn request(rule: &Rule, resource: &str) -> Request {
    Request::builder(rule.tenant.as_str())
        .user("u-17")
        .roles([rule.role.as_str()])
        .action("read")
        .resource(resource)
        .user_attr("tenant_id", rule.tenant.as_str())
        .resource_attr("tenant_id", rule.tenant.as_str())
        .build()
        .unwrap()
}

struct Cedar {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
    request: cedar_policy::Request,
}

impl Cedar {
    fn new(rules: &[Rule]) -> Self {
        let mut text = String::new();
        for rule in rules {
            writeln!(
                text,
                "permit(principal in Role::\"{}/{}\", action == Action::\"read\", resource == Resource::\"{}\") \
                 when {{ principal.tenant_id == resource.tenant_id }};",
                rule.tenant, rule.role, rule.resource
            )
            .unwrap();
        }
        let rule = asked(rules);
        let uid =
            |kind: &str, id: &str| -> EntityUid { format!("{kind}::\"{id}\"").parse().unwrap() };
        let attributes = || {
            let tenant = RestrictedExpression::new_string(rule.tenant.clone());
            HashMap::from([("tenant_id".to_owned(), tenant)])
        };
        let role = uid("Role", &format!("{}/{}", rule.tenant, rule.role));
        let user = uid("User", "u-17");
        let resource = uid("Resource", &rule.resource);
        let entities = [
            Entity::new_no_attrs(role.clone(), HashSet::new()),
            Entity::new(user.clone(), attributes(), HashSet::from([role])).unwrap(),
            Entity::new(resource.clone(), attributes(), HashSet::new()).unwrap(),
        ];
        let action = uid("Action", "read");
        Self {
            authorizer: Authorizer::new(),
            policies: text.parse().unwrap(),
            entities: Entities::from_entities(entities, None).unwrap(),
            request: cedar_policy::Request::new(user, action, resource, Context::empty(), None)
                .unwrap(),
        }
    }

    fn allows(&self) -> bool {
        let response =
            self.authorizer
                .is_authorized(black_box(&self.request), &self.policies, &self.entities);
        response.decision() == Decision::Allow
    }
}

/// Cheap comparisons before the role look-up, to casbin's advantage.
const CASBIN_MODEL: &str = "
[request_definition]
r = sub, dom, res_tenant, obj, act

[policy_definition]
p = role, dom, obj, act

[role_definition]
g = _, _, _

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = r.obj == p.obj && r.act == p.act && r.dom == p.dom && r.dom == r.res_tenant && g(r.sub, p.role, r.dom)
";

fn casbin(rules: &[Rule]) -> Enforcer {
    block_on(async {
        let model = DefaultModel::from_str(CASBIN_MODEL).await.unwrap();
        let mut enforcer = Enforcer::new(model, MemoryAdapter::default())
            .await
            .unwrap();
        let policies = rules
            .iter()
            .map(|rule| {
                vec![
                    rule.role.clone(),
                    rule.tenant.clone(),
                    rule.resource.clone(),
                    "read".to_owned(),
                ]
            })
            .collect();
        assert!(enforcer.add_policies(policies).await.unwrap());
        let rule = asked(rules);
        let membership = vec!["u-17".to_owned(), rule.role.clone(), rule.tenant.clone()];
        assert!(enforcer.add_grouping_policy(membership).await.unwrap());
        enforcer
    })
}

fn decide(c: &mut Criterion<CpuTime>) {
    for size in SIZES {
        let rules = rules(size);
        let rule = asked(&rules);
        let mut group = c.benchmark_group(format!("decide {size}"));
        group.throughput(Throughput::Elements(1));

        let engine = engine(&rules, "");
        let prepared = request(rule, &rule.resource);
        assert!(engine.decide(&prepared).is_allow());
        group.bench_function("abac-engine", |b| {
            b.iter(|| engine.decide(black_box(&prepared)));
        });
        group.bench_function("abac-engine, request and decide", |b| {
            b.iter(|| engine.decide(&request(black_box(rule), &rule.resource)));
        });

        let cedar = Cedar::new(&rules);
        assert!(cedar.allows());
        group.bench_function("cedar-policy", |b| b.iter(|| cedar.allows()));

        let casbin = casbin(&rules);
        let arguments = (
            "u-17",
            rule.tenant.as_str(),
            rule.tenant.as_str(),
            rule.resource.as_str(),
            "read",
        );
        assert!(casbin.enforce(arguments).unwrap());
        group.bench_function("casbin", |b| {
            b.iter(|| casbin.enforce(black_box(arguments)).unwrap());
        });
        group.finish();
    }
}

/// Where the index helps less: patterns, and rules that all apply and must all be evaluated.
fn decide_hard(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("decide 10000, harder");
    group.throughput(Throughput::Elements(1));

    let rules = rules(10_000);
    let rule = asked(&rules);
    let patterns = engine(&rules, ":**");
    let below = request(rule, &format!("{}:field", rule.resource));
    assert!(patterns.decide(&below).is_allow());
    group.bench_function("abac-engine, 10,000 patterns", |b| {
        b.iter(|| patterns.decide(black_box(&below)));
    });

    let mut crowded = rules;
    let (tenant, role, resource) = ("bank-0", "role-0", "service-0:record");
    for rule in crowded.iter_mut().step_by(100) {
        rule.tenant = tenant.to_owned();
        rule.role = role.to_owned();
        rule.resource = resource.to_owned();
    }
    let engine = engine(&crowded, "");
    let request = request(&crowded[0], resource);
    assert_eq!(engine.decide(&request).policies().count(), 100);
    group.bench_function("abac-engine, 100 rules apply", |b| {
        b.iter(|| engine.decide(black_box(&request)));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = computing();
    targets = decide, decide_hard
}
criterion_main!(benches);
