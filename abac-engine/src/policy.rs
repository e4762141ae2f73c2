//! Policy documents: from the tree to records, with every fault and its place.

use std::collections::HashSet;

use serde::{Serialize, Serializer};

use crate::document::{Entry, Fault, Kind, Node};
use crate::error::{ResourceError, Span};
use crate::resource::Pattern;
use crate::roles::Inheritance;

/// What a policy, or a decision, says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Permit.
    Allow,
    /// Refuse.
    Deny,
}

/// What whoever enforces a decision must also do: mask fields, ask for a second factor, ….
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obligation {
    name: String,
    args: serde_json::Value,
}

impl Obligation {
    /// The obligation's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its arguments as written in the policy; null when there are none.
    pub fn args(&self) -> &serde_json::Value {
        &self.args
    }

    /// The arguments as texts: the elements of a list that are text, or a single text.
    pub fn strings(&self) -> impl Iterator<Item = &str> {
        let list = self.args.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter()
            .chain([&self.args])
            .filter_map(|arg| arg.as_str())
    }
}

impl Serialize for Obligation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut out = serializer.serialize_struct("Obligation", 2)?;
        out.serialize_field("name", &self.name)?;
        out.serialize_field("args", &self.args)?;
        out.end()
    }
}

/// Whom a policy speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Tenant(String),
    /// Every tenant, by explicit words.
    Platform,
}

/// A list in which `*` stands for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    Any,
    These(Vec<String>),
}

/// A piece of text and its place.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// One policy as written.
#[derive(Clone, Debug)]
pub(crate) struct PolicyRecord {
    pub(crate) id: Text,
    pub(crate) scope: Scope,
    pub(crate) resources: Vec<Pattern>,
    pub(crate) actions: Names,
    pub(crate) roles: Names,
    pub(crate) effect: Effect,
    pub(crate) conditions: Vec<Text>,
    pub(crate) obligations: Vec<(Obligation, Span)>,
}

impl PolicyRecord {
    /// How often the index names the policy: once for each resource, action and role.
    pub(crate) fn entries(&self) -> usize {
        let count = |names: &Names| match names {
            Names::Any => 1,
            Names::These(names) => names.len(),
        };
        let pairs = self.resources.len().saturating_mul(count(&self.actions));
        pairs.saturating_mul(count(&self.roles))
    }
}

/// One document as written.
#[derive(Debug, Default)]
pub(crate) struct PolicyDocument {
    pub(crate) version: Option<Text>,
    pub(crate) roles: Vec<(Inheritance, Span)>,
    pub(crate) policies: Vec<PolicyRecord>,
}

/// A fault and the policy it is in.
pub(crate) type Located = (Fault, Option<String>);

/// Reads a document's tree. Faults do not stop the reading: what could be read is returned beside them.
pub(crate) fn read_document(root: &Node, faults: &mut Vec<Located>) -> PolicyDocument {
    let mut reader = Reader {
        faults,
        policy: None,
    };
    let mut document = PolicyDocument::default();
    let Kind::Map(entries) = &root.kind else {
        let found = root.describe();
        reader.fault(
            format!("a policy document is a mapping with `policies`, not {found}"),
            root.span,
        );
        return document;
    };
    for entry in entries {
        match entry.key.as_str() {
            "version" => document.version = reader.text(&entry.value, "`version`"),
            "roles" => {
                for node in reader.list(&entry.value, "`roles`") {
                    document.roles.extend(reader.role(node));
                }
            }
            "policies" => {
                for node in reader.list(&entry.value, "`policies`") {
                    document.policies.extend(reader.policy(node));
                    reader.policy = None;
                }
            }
            _ => reader.unknown(entry, "version, roles, policies"),
        }
    }
    if !entries
        .iter()
        .any(|e| e.key == "policies" || e.key == "roles")
    {
        reader.fault("a policy document has `policies`", root.span);
    }
    document
}

struct Reader<'f> {
    faults: &'f mut Vec<Located>,
    policy: Option<String>,
}

/// What `list_of` found wrong with `*`.
const STAR: &str = "`*` stands alone";

impl Reader<'_> {
    fn fault(&mut self, message: impl Into<String>, span: Span) {
        let fault = Fault::new(message, span);
        self.faults.push((fault, self.policy.clone()));
    }

    fn unknown(&mut self, entry: &Entry, known: &str) {
        let key = entry.key.escape_debug();
        self.fault(
            format!("unknown field `{key}`; the fields are {known}"),
            entry.span,
        );
    }

    fn list<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.kind {
            Kind::List(items) => items,
            _ => {
                self.fault(
                    format!("{what} is a list, not {}", node.describe()),
                    node.span,
                );
                &[]
            }
        }
    }

    /// Text that is not empty and holds no control characters.
    fn text(&mut self, node: &Node, what: &str) -> Option<Text> {
        let Some(text) = node.as_str() else {
            let quote = match node.kind {
                Kind::Bool(_) | Kind::Number(_) => "; put it in quotes",
                _ => "",
            };
            self.fault(
                format!("{what} is text, not {}{quote}", node.describe()),
                node.span,
            );
            return None;
        };
        if text.is_empty() || text.len() > 256 || text.chars().any(char::is_control) {
            let message = format!("{what} is 1 to 256 bytes of text without control characters");
            self.fault(message, node.span);
            return None;
        }
        Some(Text {
            text: text.to_owned(),
            span: node.span,
        })
    }

    /// One text or a list of them, none twice.
    fn texts(&mut self, node: &Node, what: &str) -> Option<Vec<Text>> {
        let Kind::List(items) = &node.kind else {
            return self.text(node, what).map(|text| vec![text]);
        };
        if items.is_empty() {
            self.fault(
                format!("{what} is an empty list, which would match nothing"),
                node.span,
            );
            return None;
        }
        let mut out: Vec<Text> = Vec::with_capacity(items.len());
        let mut seen = HashSet::new();
        let mut whole = true;
        for item in items {
            match self.text(item, what) {
                Some(text) if !seen.insert(text.text.clone()) => {
                    self.fault(format!("{what} lists `{}` twice", text.text), text.span);
                    whole = false;
                }
                Some(text) => out.push(text),
                None => whole = false,
            }
        }
        whole.then_some(out)
    }

    fn names(&mut self, node: &Node, what: &str) -> Option<Names> {
        let texts = self.texts(node, what)?;
        if let [only] = texts.as_slice()
            && only.text == "*"
        {
            return Some(Names::Any);
        }
        let mut whole = true;
        for text in &texts {
            if text.text.contains('*') {
                let message = format!("{what} has no patterns: {STAR} for anything");
                self.fault(message, text.span);
                whole = false;
            }
        }
        whole.then(|| Names::These(texts.into_iter().map(|t| t.text).collect()))
    }

    fn scope(&mut self, tenant: Option<&Node>, scope: Option<&Node>, at: Span) -> Option<Scope> {
        match (tenant, scope) {
            (Some(_), Some(scope)) => {
                self.fault("`tenant` and `scope` exclude each other", scope.span);
                None
            }
            (None, None) => {
                self.fault(
                    "missing `tenant` (or `scope: platform` for every tenant)",
                    at,
                );
                None
            }
            (None, Some(scope)) if scope.as_str() == Some("platform") => Some(Scope::Platform),
            (None, Some(scope)) => {
                self.fault("the only `scope` is `platform`", scope.span);
                None
            }
            (Some(tenant), None) => {
                let tenant = self.text(tenant, "`tenant`")?;
                if tenant.text.contains('*') {
                    let message = "`tenant` names one tenant; a policy for every tenant says `scope: platform`";
                    self.fault(message, tenant.span);
                    return None;
                }
                Some(Scope::Tenant(tenant.text))
            }
        }
    }

    fn role(&mut self, node: &Node) -> Option<(Inheritance, Span)> {
        let Kind::Map(entries) = &node.kind else {
            self.fault(
                "a role is a mapping with `role`, `tenant` and `inherits`",
                node.span,
            );
            return None;
        };
        let (mut role, mut inherits, mut tenant, mut scope) = (None, None, None, None);
        for entry in entries {
            match entry.key.as_str() {
                "role" => role = self.text(&entry.value, "`role`"),
                "inherits" => inherits = self.names(&entry.value, "`inherits`"),
                "tenant" => tenant = Some(&entry.value),
                "scope" => scope = Some(&entry.value),
                _ => self.unknown(entry, "role, tenant, scope, inherits"),
            }
        }
        self.require(entries, node.span, &["role", "inherits"]);
        let scope = self.scope(tenant, scope, head(node))?;
        let (role, inherits) = (role?, inherits?);
        let Names::These(inherits) = inherits else {
            self.fault("a role inherits named roles, not `*`", node.span);
            return None;
        };
        if role.text.contains('*') {
            self.fault("a role name has no wildcard", role.span);
            return None;
        }
        let tenant = match scope {
            Scope::Tenant(tenant) => Some(tenant),
            Scope::Platform => None,
        };
        let inheritance = Inheritance {
            tenant,
            role: role.text,
            inherits,
        };
        Some((inheritance, role.span))
    }

    fn require(&mut self, entries: &[Entry], span: Span, fields: &[&str]) {
        for field in fields {
            if !entries.iter().any(|e| e.key == *field) {
                let at = entries.first().map_or(span, |e| e.span);
                self.fault(format!("missing `{field}`"), at);
            }
        }
    }

    fn policy(&mut self, node: &Node) -> Option<PolicyRecord> {
        let Kind::Map(entries) = &node.kind else {
            let message = format!("a policy is a mapping, not {}", node.describe());
            self.fault(message, node.span);
            return None;
        };
        let field = |name: &str| entries.iter().find(|e| e.key == name).map(|e| &e.value);
        let id = field("id").and_then(|node| self.text(node, "`id`"));
        self.policy = id.as_ref().map(|id| id.text.clone());
        self.require(
            entries,
            node.span,
            &["id", "resource", "action", "role", "effect"],
        );
        let mut out = (None, None, None, None);
        let (mut conditions, mut obligations) = (Some(Vec::new()), Some(Vec::new()));
        for entry in entries {
            let value = &entry.value;
            match entry.key.as_str() {
                "id" | "tenant" | "scope" => {}
                "description" => {
                    if value.as_str().is_none() {
                        self.fault("`description` is text", value.span);
                    }
                }
                "resource" => out.0 = self.resources(value),
                "action" => out.1 = self.names(value, "`action`"),
                "role" => out.2 = self.names(value, "`role`"),
                "effect" => out.3 = self.effect(value),
                "conditions" => conditions = self.conditions(value),
                "obligations" => obligations = self.obligations(value),
                _ => self.unknown(
                    entry,
                    "id, tenant, scope, resource, action, role, effect, conditions, obligations, description",
                ),
            }
        }
        let scope = self.scope(field("tenant"), field("scope"), head(node));
        Some(PolicyRecord {
            id: id?,
            scope: scope?,
            resources: out.0?,
            actions: out.1?,
            roles: out.2?,
            effect: out.3?,
            conditions: conditions?,
            obligations: obligations?,
        })
    }

    fn resources(&mut self, node: &Node) -> Option<Vec<Pattern>> {
        let texts = self.texts(node, "`resource`")?;
        let mut out = Vec::with_capacity(texts.len());
        for text in &texts {
            match Pattern::parse(&text.text) {
                Ok(pattern) => out.push(pattern),
                Err(ResourceError::Wildcard) if text.text == "*" => self.fault(
                    "`*` is one segment; write `**` for every resource",
                    text.span,
                ),
                Err(ResourceError::NotAbsolute) => {
                    self.fault(
                        "a route starts with a slash, and a name has none",
                        text.span,
                    );
                }
                Err(error) => self.fault(error.to_string(), text.span),
            }
        }
        (out.len() == texts.len()).then_some(out)
    }

    fn effect(&mut self, node: &Node) -> Option<Effect> {
        match node.as_str() {
            Some("allow") => Some(Effect::Allow),
            Some("deny") => Some(Effect::Deny),
            _ => {
                self.fault("`effect` is `allow` or `deny`", node.span);
                None
            }
        }
    }

    fn conditions(&mut self, node: &Node) -> Option<Vec<Text>> {
        let items = match &node.kind {
            Kind::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            match item.as_str() {
                Some(text) => out.push(Text {
                    text: text.to_owned(),
                    span: item.span,
                }),
                None => {
                    let message = format!(
                        "a condition is a CEL expression in text, not {}",
                        item.describe()
                    );
                    self.fault(message, item.span);
                }
            }
        }
        (out.len() == items.len()).then_some(out)
    }

    /// Whether a list of texts holds nothing else: whoever reads the texts would not see a `null` or `1` among them.
    fn same_kind(&mut self, node: &Node) -> bool {
        let Kind::List(items) = &node.kind else {
            return true;
        };
        let odd = items.iter().find(|item| item.as_str().is_none());
        match odd {
            Some(odd) if items.iter().any(|item| item.as_str().is_some()) => {
                let what = odd.describe();
                self.fault(format!("{what} among texts; put it in quotes"), odd.span);
                false
            }
            _ => true,
        }
    }

    /// `{name: args, …}`, or a list of `name`, `{name: args}`.
    fn obligations(&mut self, node: &Node) -> Option<Vec<(Obligation, Span)>> {
        let items = match &node.kind {
            Kind::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut out = Vec::new();
        let mut whole = true;
        for item in items {
            match &item.kind {
                Kind::String(name) => {
                    let name = name.clone();
                    let args = serde_json::Value::Null;
                    out.push((Obligation { name, args }, item.span));
                }
                Kind::Map(entries) => {
                    for entry in entries {
                        whole &= self.same_kind(&entry.value);
                        let (name, args) = (entry.key.clone(), entry.value.to_json());
                        out.push((Obligation { name, args }, entry.span));
                    }
                }
                _ => {
                    let message = format!(
                        "an obligation is a name or `name: arguments`, not {}",
                        item.describe()
                    );
                    self.fault(message, item.span);
                    whole = false;
                }
            }
        }
        for (obligation, span) in &out {
            if obligation.name.is_empty() || obligation.name.chars().any(char::is_control) {
                self.fault("an obligation has a name", *span);
                whole = false;
            }
        }
        whole.then_some(out)
    }
}

/// Where to point when something is missing from a mapping: its first key.
fn head(node: &Node) -> Span {
    match &node.kind {
        Kind::Map(entries) => entries.first().map_or(node.span, |e| e.span),
        _ => node.span,
    }
}
