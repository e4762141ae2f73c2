//! The index: tenant first, then action, resource, role. It may select too much, never too little.

use rustc_hash::FxHashMap;

use crate::policy::{Names, PolicyRecord, Scope};
use crate::resource::{Pattern, PatternSegment, Resource};
use crate::roles::{RoleId, Roles};

/// Number of a policy in its set.
pub(crate) type PolicyIndex = u32;

/// All policies of a set, by what a request can select them with.
#[derive(Debug, Default)]
pub(crate) struct Index {
    tenants: FxHashMap<Box<str>, Actions>,
    platform: Actions,
}

#[derive(Debug, Default)]
struct Actions {
    named: FxHashMap<Box<str>, Resources>,
    any: Resources,
}

#[derive(Debug, Default)]
struct Resources {
    /// Without wildcards, by canonical text.
    exact: FxHashMap<Box<str>, Leaf>,
    names: Option<Box<Trie>>,
    routes: Option<Box<Trie>>,
    everything: Leaf,
}

/// Patterns with wildcards, by segment.
#[derive(Debug, Default)]
struct Trie {
    literal: FxHashMap<Box<str>, Trie>,
    any: Option<Box<Trie>>,
    /// Patterns that end here.
    end: Leaf,
    /// Patterns whose `**` starts here.
    rest: Leaf,
}

#[derive(Debug, Default)]
struct Leaf {
    any_role: Vec<PolicyIndex>,
    by_role: FxHashMap<RoleId, Vec<PolicyIndex>>,
}

impl Index {
    pub(crate) fn insert(&mut self, policy: PolicyIndex, record: &PolicyRecord, roles: &mut Roles) {
        let wanted: Option<Vec<RoleId>> = match &record.roles {
            Names::Any => None,
            Names::These(names) => Some(names.iter().map(|name| roles.intern(name)).collect()),
        };
        let actions = match &record.scope {
            Scope::Platform => &mut self.platform,
            Scope::Tenant(tenant) => self.tenants.entry(tenant.as_str().into()).or_default(),
        };
        let each = |resources: &mut Resources| {
            for pattern in &record.resources {
                resources.leaf(pattern).insert(policy, wanted.as_deref());
            }
        };
        match &record.actions {
            Names::Any => each(&mut actions.any),
            Names::These(names) => {
                for name in names {
                    each(actions.named.entry(name.as_str().into()).or_default());
                }
            }
        }
    }

    /// Adds to `out` every policy that applies to the tenant, action, resource and one of the roles; in policy
    /// order, each once.
    pub(crate) fn select(
        &self,
        tenant: &str,
        action: &str,
        resource: &Resource,
        roles: &[RoleId],
        out: &mut Vec<PolicyIndex>,
    ) {
        for actions in self.tenants.get(tenant).into_iter().chain([&self.platform]) {
            for resources in actions.named.get(action).into_iter().chain([&actions.any]) {
                resources.select(resource, roles, out);
            }
        }
        if out.len() > 1 {
            out.sort_unstable();
            out.dedup();
        }
    }
}

impl Resources {
    fn leaf(&mut self, pattern: &Pattern) -> &mut Leaf {
        match pattern {
            Pattern::Everything => &mut self.everything,
            Pattern::Exact(resource) => self.exact.entry(resource.canonical().into()).or_default(),
            Pattern::Wild {
                route,
                segments,
                rest,
            } => {
                let trie = if *route {
                    &mut self.routes
                } else {
                    &mut self.names
                };
                let mut node: &mut Trie = trie.get_or_insert_default();
                for segment in segments {
                    node = match segment {
                        PatternSegment::Literal(text) => {
                            node.literal.entry(text.as_str().into()).or_default()
                        }
                        PatternSegment::Any => node.any.get_or_insert_default(),
                    };
                }
                if *rest { &mut node.rest } else { &mut node.end }
            }
        }
    }

    fn select(&self, resource: &Resource, roles: &[RoleId], out: &mut Vec<PolicyIndex>) {
        self.everything.select(roles, out);
        if !self.exact.is_empty()
            && let Some(leaf) = self.exact.get(resource.canonical())
        {
            leaf.select(roles, out);
        }
        let trie = if resource.is_route() {
            &self.routes
        } else {
            &self.names
        };
        if let Some(trie) = trie {
            trie.select(&mut resource.segments(), roles, out);
        }
    }
}

impl Trie {
    /// Walks every branch that can match. The depth is that of the patterns, at most the segment limit; a `*` and a
    /// literal on each level could double the work, so the branches are bounded by the patterns there are.
    fn select<'r>(
        &self,
        segments: &mut (impl Iterator<Item = &'r str> + Clone),
        roles: &[RoleId],
        out: &mut Vec<PolicyIndex>,
    ) {
        self.rest.select(roles, out);
        if self.literal.is_empty() && self.any.is_none() {
            if segments.next().is_none() {
                self.end.select(roles, out);
            }
            return;
        }
        let Some(segment) = segments.next() else {
            self.end.select(roles, out);
            return;
        };
        if let Some(any) = &self.any {
            any.select(&mut segments.clone(), roles, out);
        }
        if let Some(next) = self.literal.get(segment) {
            next.select(segments, roles, out);
        }
    }
}

impl Leaf {
    fn insert(&mut self, policy: PolicyIndex, roles: Option<&[RoleId]>) {
        let Some(roles) = roles else {
            self.any_role.push(policy);
            return;
        };
        for role in roles {
            self.by_role.entry(*role).or_default().push(policy);
        }
    }

    #[inline]
    fn select(&self, roles: &[RoleId], out: &mut Vec<PolicyIndex>) {
        out.extend_from_slice(&self.any_role);
        if self.by_role.is_empty() {
            return;
        }
        for role in roles {
            if let Some(policies) = self.by_role.get(role) {
                out.extend_from_slice(policies);
            }
        }
    }
}
