//! The schema: which attributes conditions may use, and of what type.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::attribute::{AttributeKey, Builtin, Entity, is_identifier};
use crate::cel::{Env, Type};
use crate::document::{Fault, Kind, Source, read_yaml};
use crate::error::{LoadErrors, SchemaError};

/// Attributes every schema has beside the derived ones; those a request leaves out are simply not set.
const STANDARD: [(Entity, &str, Type); 11] = [
    (Entity::User, "tenant_id", Type::String),
    (Entity::User, "department", Type::String),
    (Entity::User, "branch", Type::String),
    (Entity::User, "level", Type::Int),
    (Entity::Resource, "tenant_id", Type::String),
    (Entity::Resource, "id", Type::String),
    (Entity::Resource, "owner", Type::String),
    (Entity::Resource, "branch", Type::String),
    (Entity::Resource, "classification", Type::String),
    (Entity::Env, "ip", Type::String),
    (Entity::Env, "channel", Type::String),
];

/// Where a slot's value comes from.
#[derive(Clone, Debug)]
pub(crate) enum Attribute {
    Derived(Builtin),
    Given(AttributeKey),
}

/// The attributes that conditions are checked against at load.
///
/// Always there: `user.id`, `user.roles`, `resource.name`, `action.name`, `tenant.id` (strings, roles a list of them)
/// and `env.time` (timestamp), which the request derives; `user.tenant_id`, `user.department`, `user.branch`,
/// `user.level` (int), `resource.tenant_id`, `resource.id`, `resource.owner`, `resource.branch`,
/// `resource.classification`, `env.ip`, `env.channel`, which the caller may set.
#[derive(Clone, Debug)]
pub struct Schema {
    env: Arc<Env>,
    attributes: Vec<Attribute>,
    obligations: Option<BTreeSet<String>>,
}

impl Default for Schema {
    fn default() -> Self {
        Self::base()
    }
}

impl Schema {
    /// Starts from the standard attributes.
    pub fn builder() -> SchemaBuilder {
        SchemaBuilder {
            schema: Self::base(),
            error: None,
        }
    }

    /// Reads further attributes from YAML, on top of the standard ones:
    ///
    /// ```yaml
    /// user: {clearance: int}
    /// resource: {amount: int, tags: "list(string)"}
    /// obligations: [mask, step_up]
    /// ```
    ///
    /// # Errors
    /// Everything wrong in the text, each with its place.
    pub fn from_yaml(file: &str, text: &str) -> Result<Self, LoadErrors> {
        let source = Source::new(file, text);
        let (root, mut faults) = read_yaml(text);
        let mut schema = Self::base();
        if let Some(root) = root {
            match &root.kind {
                Kind::Map(sections) => {
                    for section in sections {
                        schema.section(&section.key, section.span, &section.value, &mut faults);
                    }
                }
                Kind::Null => {}
                _ => faults.push(Fault::new("a schema is a mapping", root.span)),
            }
        }
        LoadErrors::check(faults.into_iter().map(|f| source.error(f, None)).collect())?;
        Ok(schema)
    }

    fn base() -> Self {
        let mut schema = Self {
            env: Arc::new(Env::new()),
            attributes: Vec::new(),
            obligations: None,
        };
        for (builtin, entity, name) in Builtin::ALL {
            let ty = match builtin {
                Builtin::UserRoles => Type::list(Type::String),
                Builtin::EnvTime => Type::Timestamp,
                _ => Type::String,
            };
            schema.push(entity, name, ty, Attribute::Derived(builtin));
        }
        for (entity, name, ty) in STANDARD {
            schema.push(
                entity,
                name,
                ty,
                Attribute::Given(AttributeKey::new(entity, name)),
            );
        }
        schema
    }

    fn push(&mut self, entity: Entity, name: &str, ty: Type, attribute: Attribute) {
        Arc::make_mut(&mut self.env).declare(&format!("{}.{name}", entity.name()), ty);
        self.attributes.push(attribute);
    }

    fn declare(&mut self, entity: Entity, name: &str, ty: Type) -> Result<(), SchemaError> {
        let full = format!("{}.{name}", entity.name());
        if !is_identifier(name) {
            return Err(SchemaError::Name(full));
        }
        match self.env.slot(&full).and_then(|slot| self.env.get(slot)) {
            Some(known) if known.ty == ty => Ok(()),
            Some(_) => Err(SchemaError::Conflict(full)),
            None => {
                let key = AttributeKey::new(entity, name);
                self.push(entity, name, ty, Attribute::Given(key));
                Ok(())
            }
        }
    }

    fn section(
        &mut self,
        name: &str,
        span: crate::error::Span,
        value: &crate::document::Node,
        faults: &mut Vec<Fault>,
    ) {
        if name == "obligations" {
            let Kind::List(items) = &value.kind else {
                faults.push(Fault::new("`obligations` is a list of names", value.span));
                return;
            };
            let known = self.obligations.get_or_insert_default();
            for item in items {
                match item.as_str() {
                    Some(name) => {
                        known.insert(name.to_owned());
                    }
                    None => faults.push(Fault::new("an obligation name is text", item.span)),
                }
            }
            return;
        }
        let Some(entity) = Entity::ALL.into_iter().find(|e| e.name() == name) else {
            let message = format!(
                "unknown section `{}`; there are user, resource, action, env, tenant and obligations",
                name.escape_debug()
            );
            faults.push(Fault::new(message, span));
            return;
        };
        let Kind::Map(entries) = &value.kind else {
            faults.push(Fault::new(
                "expected a mapping of attribute names to types",
                value.span,
            ));
            return;
        };
        for entry in entries {
            let Some(ty) = entry.value.as_str().and_then(Type::parse) else {
                faults.push(Fault::new(
                    "not a type; types are bool, int, uint, double, string, bytes, timestamp, duration, dyn, list(T), map(K, V)",
                    entry.value.span,
                ));
                continue;
            };
            if let Err(error) = self.declare(entity, &entry.key, ty) {
                faults.push(Fault::new(error.to_string(), entry.span));
            }
        }
    }

    pub(crate) fn env(&self) -> &Arc<Env> {
        &self.env
    }

    pub(crate) fn attribute(&self, slot: u32) -> Option<&Attribute> {
        self.attributes.get(slot as usize)
    }

    /// Whether policies may name this obligation. Without a declared list any name goes.
    pub(crate) fn allows_obligation(&self, name: &str) -> bool {
        self.obligations
            .as_ref()
            .is_none_or(|known| known.contains(name))
    }
}

/// Declares further attributes in code.
#[derive(Clone, Debug)]
pub struct SchemaBuilder {
    schema: Schema,
    error: Option<SchemaError>,
}

impl SchemaBuilder {
    fn declare(mut self, entity: Entity, name: &str, ty: Type) -> Self {
        if let Err(error) = self.schema.declare(entity, name, ty) {
            self.error.get_or_insert(error);
        }
        self
    }

    /// Declares `user.<name>`.
    #[must_use]
    pub fn user(self, name: &str, ty: Type) -> Self {
        self.declare(Entity::User, name, ty)
    }

    /// Declares `resource.<name>`.
    #[must_use]
    pub fn resource(self, name: &str, ty: Type) -> Self {
        self.declare(Entity::Resource, name, ty)
    }

    /// Declares `action.<name>`.
    #[must_use]
    pub fn action(self, name: &str, ty: Type) -> Self {
        self.declare(Entity::Action, name, ty)
    }

    /// Declares `env.<name>`.
    #[must_use]
    pub fn env(self, name: &str, ty: Type) -> Self {
        self.declare(Entity::Env, name, ty)
    }

    /// Declares `tenant.<name>`.
    #[must_use]
    pub fn tenant(self, name: &str, ty: Type) -> Self {
        self.declare(Entity::Tenant, name, ty)
    }

    /// Declares an obligation. Once one is declared, a policy that names another does not load.
    #[must_use]
    pub fn obligation(mut self, name: &str) -> Self {
        self.schema
            .obligations
            .get_or_insert_default()
            .insert(name.to_owned());
        self
    }

    /// The schema.
    ///
    /// # Errors
    /// The first declaration that was not a name or contradicted another.
    pub fn build(self) -> Result<Schema, SchemaError> {
        match self.error {
            None => Ok(self.schema),
            Some(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builder_refuses_conflicts_and_bad_names() {
        assert!(Schema::builder().user("level", Type::Int).build().is_ok());
        assert_eq!(
            Schema::builder()
                .user("level", Type::String)
                .build()
                .unwrap_err(),
            SchemaError::Conflict("user.level".into())
        );
        for bad in ["", "a.b", "1a", "in", "客"] {
            assert!(
                Schema::builder().user(bad, Type::Int).build().is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn yaml_reports_every_fault() {
        let text = "user: {clearance: int, id: int, b: strin}\nusr: {}\nobligations: mask\n";
        let errors = Schema::from_yaml("s.yaml", text).unwrap_err();
        let lines: Vec<_> = errors.iter().map(|e| (e.line, e.column)).collect();
        assert_eq!(lines, [(1, 24), (1, 36), (2, 1), (3, 14)]);
        assert!(Schema::from_yaml("s", "user: {clearance: int}\nobligations: [mask]").is_ok());
    }
}
