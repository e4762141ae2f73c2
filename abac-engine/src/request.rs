//! Requests: who wants to do what to which resource, in which tenant, with which attributes.

use std::time::SystemTime;

use crate::attribute::{AttributeKey, Builtin, Entity};
use crate::cel::{Timestamp, Value};
use crate::error::{RequestError, ResourceError};
use crate::resource::Resource;

const MAX_TEXT: usize = 256;
const MAX_ROLES: usize = 256;
const MAX_ATTRIBUTES: usize = 256;

/// A question to the engine. Built once, validated, then only read.
///
/// Users and roles are different things here: a user called `admin` has no role of that name.
#[derive(Clone, Debug)]
pub struct Request {
    tenant: Value,
    user: Value,
    roles: Value,
    action: Value,
    name: Value,
    time: Option<Value>,
    resource: Resource,
    attributes: Vec<(AttributeKey, Value)>,
}

impl Request {
    /// Starts a request in a tenant: the one the caller was authenticated for, never one taken from the request body.
    pub fn builder(tenant: impl AsRef<str>) -> RequestBuilder {
        RequestBuilder {
            tenant: tenant.as_ref().into(),
            user: Value::Null,
            roles: Vec::new(),
            action: Value::Null,
            resource: Err(RequestError::Missing("resource")),
            time: Ok(None),
            attributes: Vec::new(),
        }
    }

    /// The tenant.
    pub fn tenant(&self) -> &str {
        self.tenant.as_str().unwrap_or("")
    }

    /// The user's id.
    pub fn user(&self) -> &str {
        self.user.as_str().unwrap_or("")
    }

    /// The user's roles, as given.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        let roles: &[Value] = match &self.roles {
            Value::List(roles) => roles,
            _ => &[],
        };
        roles.iter().filter_map(Value::as_str)
    }

    /// The action.
    pub fn action(&self) -> &str {
        self.action.as_str().unwrap_or("")
    }

    /// The resource, as given.
    pub fn resource(&self) -> &str {
        self.name.as_str().unwrap_or("")
    }

    pub(crate) fn target(&self) -> &Resource {
        &self.resource
    }

    #[inline]
    pub(crate) fn derived(&self, builtin: Builtin) -> Option<&Value> {
        Some(match builtin {
            Builtin::UserId => &self.user,
            Builtin::UserRoles => &self.roles,
            Builtin::ResourceName => &self.name,
            Builtin::ActionName => &self.action,
            Builtin::TenantId => &self.tenant,
            Builtin::EnvTime => return self.time.as_ref(),
        })
    }

    #[inline]
    pub(crate) fn given(&self, key: &AttributeKey) -> Option<&Value> {
        let found = self.attributes.iter().find(|(known, _)| known.same(key));
        found.map(|(_, value)| value)
    }
}

/// Collects the parts of a [`Request`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RequestBuilder {
    tenant: Value,
    user: Value,
    roles: Vec<Value>,
    action: Value,
    resource: Result<(Value, Resource), RequestError>,
    time: Result<Option<Timestamp>, RequestError>,
    attributes: Vec<(AttributeKey, Value)>,
}

impl RequestBuilder {
    /// The authenticated user's id.
    pub fn user(mut self, id: impl AsRef<str>) -> Self {
        self.user = id.as_ref().into();
        self
    }

    /// The user's roles, added to those given before.
    pub fn roles<R: AsRef<str>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        self.roles
            .extend(roles.into_iter().map(|r| r.as_ref().into()));
        self
    }

    /// What the user wants to do: `read`, `GET`, …. Compared byte for byte.
    pub fn action(mut self, action: impl AsRef<str>) -> Self {
        self.action = action.as_ref().into();
        self
    }

    /// A resource name (`customer:profile`) or the router's own template (`/api/v1/orders/{id}`).
    pub fn resource(mut self, resource: impl AsRef<str>) -> Self {
        self.resource = named(resource.as_ref(), Resource::parse);
        self
    }

    /// A raw path as the client sent it, without query string. Only where the router has no template: see the crate's
    /// front page for what is refused.
    pub fn path(mut self, path: impl AsRef<str>) -> Self {
        self.resource = named(path.as_ref(), Resource::parse_path);
        self
    }

    /// The time of the request, for conditions on `env.time`.
    pub fn at(mut self, time: SystemTime) -> Self {
        self.time = Timestamp::from_system(time)
            .map(Some)
            .ok_or(RequestError::Time);
        self
    }

    /// Sets `user.<name>`.
    pub fn user_attr(self, name: impl AsRef<str>, value: impl Into<Value>) -> Self {
        self.attr(Entity::User, name.as_ref(), value.into())
    }

    /// Sets `resource.<name>`.
    pub fn resource_attr(self, name: impl AsRef<str>, value: impl Into<Value>) -> Self {
        self.attr(Entity::Resource, name.as_ref(), value.into())
    }

    /// Sets `action.<name>`.
    pub fn action_attr(self, name: impl AsRef<str>, value: impl Into<Value>) -> Self {
        self.attr(Entity::Action, name.as_ref(), value.into())
    }

    /// Sets `env.<name>`.
    pub fn env_attr(self, name: impl AsRef<str>, value: impl Into<Value>) -> Self {
        self.attr(Entity::Env, name.as_ref(), value.into())
    }

    /// Sets `tenant.<name>`.
    pub fn tenant_attr(self, name: impl AsRef<str>, value: impl Into<Value>) -> Self {
        self.attr(Entity::Tenant, name.as_ref(), value.into())
    }

    fn attr(mut self, entity: Entity, name: &str, value: Value) -> Self {
        self.attributes
            .push((AttributeKey::new(entity, name), value));
        self
    }

    /// Checks everything and makes the request.
    ///
    /// # Errors
    /// A missing or malformed part, a refused resource, an attribute set twice or reserved.
    pub fn build(self) -> Result<Request, RequestError> {
        check_text("tenant", &self.tenant)?;
        check_text("user", &self.user)?;
        check_text("action", &self.action)?;
        for role in &self.roles {
            check_text("role", role)?;
        }
        if self.roles.len() > MAX_ROLES {
            return Err(RequestError::TooMany("roles"));
        }
        if self.attributes.len() > MAX_ATTRIBUTES {
            return Err(RequestError::TooMany("attributes"));
        }
        let (name, resource) = self.resource?;
        for (number, (key, value)) in self.attributes.iter().enumerate() {
            // Every comparison with NaN is false, so that a limit in a deny policy would not hold.
            if value.has_nan() {
                return Err(RequestError::NotANumber(key.to_string()));
            }
            let mut before = self.attributes.iter().take(number);
            if before.any(|(known, _)| known.same(key)) || Builtin::is(key) {
                return Err(RequestError::Attribute(key.to_string()));
            }
        }
        Ok(Request {
            tenant: self.tenant,
            user: self.user,
            roles: Value::List(self.roles.into()),
            action: self.action,
            name,
            time: self.time?.map(Value::Timestamp),
            resource,
            attributes: self.attributes,
        })
    }
}

fn named(
    text: &str,
    parse: impl Fn(&str) -> Result<Resource, ResourceError>,
) -> Result<(Value, Resource), RequestError> {
    let resource = parse(text)?;
    Ok((text.into(), resource))
}

fn check_text(what: &'static str, text: &Value) -> Result<(), RequestError> {
    let text = text.as_str().unwrap_or("");
    if text.is_empty() {
        return Err(RequestError::Missing(what));
    }
    if text.len() > MAX_TEXT || text.chars().any(char::is_control) {
        return Err(RequestError::Malformed(what));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> RequestBuilder {
        Request::builder("t")
            .user("u")
            .action("read")
            .resource("a:b")
    }

    #[test]
    fn every_part_is_checked() {
        assert!(whole().build().is_ok());
        assert_eq!(
            Request::builder("").build().unwrap_err(),
            RequestError::Missing("tenant")
        );
        assert_eq!(
            Request::builder("t")
                .user("u")
                .action("read")
                .build()
                .unwrap_err(),
            RequestError::Missing("resource")
        );
        assert_eq!(
            whole().user("a\0b").build().unwrap_err(),
            RequestError::Malformed("user")
        );
        assert_eq!(
            whole().roles([""]).build().unwrap_err(),
            RequestError::Missing("role")
        );
        assert_eq!(
            whole().user_attr("id", "x").build().unwrap_err(),
            RequestError::Attribute("user.id".into())
        );
        assert_eq!(
            whole()
                .env_attr("ip", "x")
                .env_attr("ip", "y")
                .build()
                .unwrap_err(),
            RequestError::Attribute("env.ip".into())
        );
        assert_eq!(
            whole().roles(vec!["r"; 257]).build().unwrap_err(),
            RequestError::TooMany("roles")
        );
    }
}
