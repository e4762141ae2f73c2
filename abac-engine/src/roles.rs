//! Roles and who inherits whom: per tenant, without cycles, closed at load.

use rustc_hash::{FxHashMap, FxHashSet};

/// A role name, interned for one policy set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RoleId(u32);

/// The role hierarchy of a policy set, closed: for every role the roles it stands for, itself first.
#[derive(Debug, Default)]
pub(crate) struct Roles {
    ids: FxHashMap<Box<str>, RoleId>,
    platform: FxHashMap<RoleId, Box<[RoleId]>>,
    tenants: FxHashMap<Box<str>, FxHashMap<RoleId, Box<[RoleId]>>>,
}

/// Why a hierarchy cannot be closed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HierarchyError {
    /// The role that inherits itself, and the tenant it does so in (`None`: the platform).
    Cycle(String, Option<String>),
    /// It takes more steps than the limit.
    TooLarge,
}

/// `role` inherits from each of `inherits`; `tenant` is `None` for the platform.
#[derive(Debug, Clone)]
pub(crate) struct Inheritance {
    pub(crate) tenant: Option<String>,
    pub(crate) role: String,
    pub(crate) inherits: Vec<String>,
}

type Edges = FxHashMap<RoleId, Vec<RoleId>>;

impl Roles {
    /// Closes the hierarchy. Platform edges hold in every tenant, beside the tenant's own.
    pub(crate) fn new(edges: &[Inheritance], limit: usize) -> Result<Self, HierarchyError> {
        let mut left = limit;
        let mut roles = Self::default();
        let mut platform = Edges::default();
        let mut tenants: FxHashMap<&str, Edges> = FxHashMap::default();
        for edge in edges {
            let role = roles.intern(&edge.role);
            let below: Vec<_> = edge.inherits.iter().map(|r| roles.intern(r)).collect();
            let graph = match &edge.tenant {
                None => &mut platform,
                Some(tenant) => tenants.entry(tenant).or_default(),
            };
            graph.entry(role).or_default().extend(below);
        }
        roles.platform = roles.close(&platform, None, &mut left)?;
        for (tenant, mut graph) in tenants {
            for (role, below) in &platform {
                graph.entry(*role).or_default().extend(below);
            }
            let closed = roles.close(&graph, Some(tenant), &mut left)?;
            roles.tenants.insert(tenant.into(), closed);
        }
        Ok(roles)
    }

    /// The id of a role name, new if need be.
    pub(crate) fn intern(&mut self, name: &str) -> RoleId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = RoleId(u32::try_from(self.ids.len()).unwrap_or(u32::MAX));
        self.ids.insert(name.into(), id);
        id
    }

    fn close(
        &self,
        graph: &Edges,
        tenant: Option<&str>,
        left: &mut usize,
    ) -> Result<FxHashMap<RoleId, Box<[RoleId]>>, HierarchyError> {
        let mut closed = FxHashMap::default();
        for role in graph.keys() {
            // Iterative: a long chain of roles must not be a deep stack.
            let mut reached = vec![*role];
            let mut seen = FxHashSet::default();
            let mut next = 0;
            while let Some(current) = reached.get(next).copied() {
                next = next.saturating_add(1);
                for below in graph.get(&current).into_iter().flatten() {
                    *left = left.checked_sub(1).ok_or(HierarchyError::TooLarge)?;
                    if below == role {
                        let tenant = tenant.map(str::to_owned);
                        return Err(HierarchyError::Cycle(self.name(*role), tenant));
                    }
                    if seen.insert(*below) {
                        reached.push(*below);
                    }
                }
            }
            closed.insert(*role, reached.into_boxed_slice());
        }
        Ok(closed)
    }

    fn name(&self, role: RoleId) -> String {
        let found = self.ids.iter().find(|(_, id)| **id == role);
        found.map(|(name, _)| name.to_string()).unwrap_or_default()
    }

    /// Adds to `out` every role a named role stands for in a tenant. Names no policy knows stand for nothing.
    pub(crate) fn effective<'n>(
        &self,
        tenant: &str,
        names: impl Iterator<Item = &'n str>,
        out: &mut Vec<RoleId>,
    ) {
        let own = self.tenants.get(tenant).unwrap_or(&self.platform);
        for name in names {
            let Some(id) = self.ids.get(name) else {
                continue;
            };
            match own.get(id) {
                None => out.push(*id),
                Some(all) => out.extend_from_slice(all),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(tenant: Option<&str>, role: &str, inherits: &[&str]) -> Inheritance {
        Inheritance {
            tenant: tenant.map(Into::into),
            role: role.into(),
            inherits: inherits.iter().map(|r| (*r).to_owned()).collect(),
        }
    }

    fn effective(roles: &Roles, tenant: &str, name: &str) -> Vec<String> {
        let mut out = Vec::new();
        roles.effective(tenant, [name].into_iter(), &mut out);
        out.into_iter().map(|id| roles.name(id)).collect()
    }

    #[test]
    fn closure_is_per_tenant_over_the_platform() {
        let edges = [
            edge(None, "auditor", &["viewer"]),
            edge(Some("a"), "manager", &["teller"]),
            edge(Some("a"), "teller", &["auditor"]),
        ];
        let roles = Roles::new(&edges, 100).unwrap();
        assert_eq!(
            effective(&roles, "a", "manager"),
            ["manager", "teller", "auditor", "viewer"]
        );
        assert_eq!(effective(&roles, "b", "manager"), ["manager"]);
        assert_eq!(effective(&roles, "b", "auditor"), ["auditor", "viewer"]);
        assert!(effective(&roles, "a", "nobody").is_empty());
    }

    #[test]
    fn cycles_are_refused_also_across_scopes() {
        let own = Roles::new(&[edge(Some("a"), "x", &["x"])], 100).unwrap_err();
        assert_eq!(own, HierarchyError::Cycle("x".into(), Some("a".into())));
        assert!(
            Roles::new(
                &[edge(None, "x", &["y"]), edge(Some("a"), "y", &["x"])],
                100
            )
            .is_err()
        );
        assert!(
            Roles::new(
                &[edge(Some("b"), "x", &["y"]), edge(Some("a"), "y", &["x"])],
                100
            )
            .is_ok()
        );
    }
}
