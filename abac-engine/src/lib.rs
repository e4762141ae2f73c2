//! Decides who may do what, in which tenant: roles (RBAC) and attributes (ABAC) in one engine, embedded in the service.
//!
//! Policies are records in YAML or JSON. Everything expensive happens when they are loaded; a decision is then a pure
//! function of policy set and request, takes well under a microsecond, and does not slow down as policies grow in number.
//!
//! ```text
//!  policies (YAML, JSON)                         request: tenant, user, roles, action, resource, attributes
//!        | read: every fault, with its place            |
//!        v                                              v
//!     records -> check against schema -> index: tenant -> action -> resource -> role
//!                compile conditions             | selected policies
//!                                               v
//!                                    evaluate conditions (CEL): true | false | error
//!                                               v
//!                         deny-overrides -> Decision: effect, why, policies, obligations, errors
//! ```
//!
//! ```
//! use abac_engine::{Engine, Reason, Request};
//!
//! let engine = Engine::builder()
//!     .yaml("policies.yaml", r#"
//! roles:
//!   - {role: manager, tenant: bank-a, inherits: [teller]}
//! policies:
//!   - id: teller-reads-customers
//!     tenant: bank-a
//!     resource: customer:profile
//!     action: read
//!     role: teller
//!     effect: allow
//!     conditions:
//!       - user.tenant_id == resource.tenant_id
//!     obligations:
//!       mask: [id_number, card]
//!   - id: nobody-at-night
//!     tenant: bank-a
//!     resource: customer:**
//!     action: "*"
//!     role: "*"
//!     effect: deny
//!     conditions: env.time.getHours('Asia/Shanghai') < 6
//! "#)
//!     .build()?;
//!
//! let request = Request::builder("bank-a")
//!     .user("u-17")
//!     .roles(["manager"])
//!     .action("read")
//!     .resource("customer:profile")
//!     .at(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_767_250_800)) // 15:00 in Shanghai
//!     .user_attr("tenant_id", "bank-a")
//!     .resource_attr("tenant_id", "bank-a")
//!     .build()?;
//! let decision = engine.decide(&request);
//! assert!(decision.is_allow());
//! assert!(decision.strings("mask").contains("card"));
//!
//! // Without the time, the deny policy cannot be evaluated. An error never grants.
//! let request = Request::builder("bank-a")
//!     .user("u-17").roles(["manager"]).action("read").resource("customer:profile")
//!     .user_attr("tenant_id", "bank-a").resource_attr("tenant_id", "bank-a")
//!     .build()?;
//! let decision = engine.decide(&request);
//! assert_eq!(decision.reason(), Reason::Error);
//! assert!(decision.errors().any(|e| e.message == "attribute is not set in the request in `env.time`"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a decision stands on
//! - **The tenant is the outer key of the index, not a condition.** A policy of tenant A is never looked at for a request
//!   in tenant B. A policy for every tenant says `scope: platform`; `tenant: "*"` does not load.
//! - **Default deny, deny overrides.** Every selected policy is evaluated, so that obligations and errors are complete.
//! - **Three values.** A condition is true, false or an error. A deny policy whose condition errs denies; an allow policy
//!   whose condition errs does not grant; both are reported. The conditions of one policy are one conjunction with the
//!   meaning of CEL's `&&`: a clause that is false decides, whatever the others do.
//! - **Roles** are inherited per tenant, without cycles: `manager` inherits `teller` means that policies for `teller`,
//!   allowing or denying, also speak of managers. `user.roles` in a condition holds the roles as the request gave them.
//!   A user and a role of the same name have nothing to do with each other.
//! - **Obligations** are those of all policies that decided. Code that enforces a decision refuses what it cannot fulfil:
//!   [`Decision::check_obligations`].
//!
//! # Policy documents
//! | field | meaning |
//! |---|---|
//! | `id` | unique in the whole set |
//! | `tenant`, or `scope: platform` | whom it speaks for |
//! | `resource` | a name (`payment:refund:create`) or route (`/api/v1/orders/{id}`), or a list. `*` is one whole segment, a final `**` any number of segments, none included; `**` alone is everything |
//! | `action` | text or list; `"*"` is any |
//! | `role` | text or list; `"*"` is any authenticated user. Never optional |
//! | `effect` | `allow` or `deny` |
//! | `conditions` | a CEL expression or a list of them, all of which must hold |
//! | `obligations` | a mapping of names to arguments, or a list |
//! | `description` | free text |
//!
//! Beside `policies` a document may have `roles` (records of `role`, `tenant` or `scope: platform`, `inherits`) and
//! `version`. Unknown fields, duplicate keys and ids, YAML anchors, tags and aliases, an ill-typed or non-boolean
//! condition, an unknown attribute or function, a comment in a folded condition do not load; all faults of all files are reported at once ([`LoadErrors`]).
//! Conditions see the attributes that the [`Schema`] declares.
//!
//! # Resources and paths
//! Compared segment by segment and byte for byte, without case folding. A path parameter (`{id}`) equals any other
//! parameter and no literal. Give [`RequestBuilder::resource`] the router's own template where there is one. A raw path
//! goes to [`RequestBuilder::path`], which decodes it once and refuses what servers disagree on: empty segments (`//`, a
//! trailing slash), `.` and `..`, encoded slashes, dots, percent signs and control characters, backslashes, `;`, query
//! strings, text that is not UTF-8, and paths that do not start with a slash.
//!
//! # What it is not for
//! It does not authenticate, does not fetch attributes, and does not enforce: it answers. It sees what the request says;
//! a tenant or role taken from an unverified token makes every answer worthless. The set's fingerprint
//! ([`Engine::version`]) tells two sets apart and proves nothing about where they came from.
//!
//! # Features
//! | feature | adds |
//! |---|---|
//! | `tower` | `AuthorizeLayer`: decides each HTTP request before the inner service |
//! | `axum` | `tower`, and the extractor `Decided` |
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod attribute;
pub mod cel;
mod compile;
mod decide;
mod decision;
mod document;
mod engine;
mod error;
#[cfg(feature = "axum")]
mod extract;
mod index;
#[cfg(feature = "tower")]
mod layer;
mod limits;
mod policy;
mod request;
mod resource;
mod roles;
mod schema;

pub use cel::{Timestamp, Type, Value};
pub use decision::{Decision, DecisionError, Reason, UnknownObligation, Unmet};
pub use engine::{Engine, EngineBuilder};
pub use error::{
    CelError, EvalError, EvalErrorKind, LoadError, LoadErrors, RequestError, ResourceError,
    SchemaError, Span,
};
#[cfg(feature = "axum")]
pub use extract::Decided;
#[cfg(feature = "tower")]
pub use layer::{Authorize, AuthorizeLayer, EmptyRefusal, Refuse};
pub use limits::Limits;
pub use policy::{Effect, Obligation};
pub use request::{Request, RequestBuilder};
pub use schema::{Schema, SchemaBuilder};
