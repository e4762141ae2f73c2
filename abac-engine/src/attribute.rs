//! Attributes: the entity they belong to and the key that finds them without hashing at decision time.

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use rustc_hash::FxHasher;

/// What an attribute is an attribute of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Entity {
    User,
    Resource,
    Action,
    Env,
    Tenant,
}

impl Entity {
    pub(crate) const ALL: [Self; 5] = [
        Self::User,
        Self::Resource,
        Self::Action,
        Self::Env,
        Self::Tenant,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Resource => "resource",
            Self::Action => "action",
            Self::Env => "env",
            Self::Tenant => "tenant",
        }
    }
}

/// Attributes that the request derives from its own parts. Their order is their slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Builtin {
    UserId,
    UserRoles,
    ResourceName,
    ActionName,
    TenantId,
    EnvTime,
}

impl Builtin {
    pub(crate) const ALL: [(Self, Entity, &'static str); 6] = [
        (Self::UserId, Entity::User, "id"),
        (Self::UserRoles, Entity::User, "roles"),
        (Self::ResourceName, Entity::Resource, "name"),
        (Self::ActionName, Entity::Action, "name"),
        (Self::TenantId, Entity::Tenant, "id"),
        (Self::EnvTime, Entity::Env, "time"),
    ];

    /// Whether an attribute is derived, so that nobody may set it.
    pub(crate) fn is(key: &AttributeKey) -> bool {
        let mut all = Self::ALL.iter();
        all.any(|(_, entity, name)| *entity == key.entity && **name == *key.name)
    }
}

/// An attribute's name with its hash. The hash only speeds up the search: names are compared as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttributeKey {
    hash: u64,
    entity: Entity,
    name: Arc<str>,
}

impl AttributeKey {
    pub(crate) fn new(entity: Entity, name: &str) -> Self {
        let mut hasher = FxHasher::default();
        hasher.write_u8(entity as u8);
        hasher.write(name.as_bytes());
        Self {
            hash: hasher.finish(),
            entity,
            name: name.into(),
        }
    }

    #[inline]
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.hash == other.hash && self.entity == other.entity && self.name == other.name
    }
}

impl fmt::Display for AttributeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.entity.name(), self.name)
    }
}

/// An attribute name is an identifier, so that `user.name` can be written in a condition.
pub(crate) fn is_identifier(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.len() <= 128
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !["in", "true", "false", "null"].contains(&name)
}
