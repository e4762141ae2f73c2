//! From policy records to a compiled, indexed, immutable set.

use rustc_hash::FxHashMap;

use crate::cel::{Program, Type, has_comment};
use crate::document::{Fault, Source, read_json, read_yaml};
use crate::error::{EvalError, LoadError, LoadErrors, Span};
use crate::index::{Index, PolicyIndex};
use crate::limits::Limits;
use crate::policy::{
    Effect, Located, Obligation, PolicyDocument, PolicyRecord, Text, read_document,
};
use crate::roles::{HierarchyError, Inheritance, RoleId, Roles};
use crate::schema::Schema;

/// A document's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Yaml,
    Json,
}

/// One source text.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) file: String,
    pub(crate) format: Format,
    pub(crate) text: String,
}

/// A policy ready to be evaluated.
#[derive(Debug)]
pub(crate) struct CompiledPolicy {
    pub(crate) id: Box<str>,
    pub(crate) effect: Effect,
    pub(crate) clauses: Box<[Clause]>,
    pub(crate) obligations: Box<[Obligation]>,
}

/// One condition of a policy.
#[derive(Debug)]
pub(crate) struct Clause {
    pub(crate) text: Box<str>,
    pub(crate) program: Program,
}

/// Everything decisions are made from.
#[derive(Debug)]
pub(crate) struct PolicySet {
    policies: Vec<CompiledPolicy>,
    pub(crate) index: Index,
    pub(crate) roles: Roles,
    pub(crate) schema: Schema,
    pub(crate) version: Box<str>,
}

impl PolicySet {
    pub(crate) fn policy(&self, index: PolicyIndex) -> Option<&CompiledPolicy> {
        self.policies.get(index as usize)
    }

    pub(crate) fn len(&self) -> usize {
        self.policies.len()
    }

    pub(crate) fn clause(&self, policy: PolicyIndex, clause: u16) -> Option<&Clause> {
        self.policy(policy)?.clauses.get(usize::from(clause))
    }

    /// The roles a request's role names stand for.
    pub(crate) fn effective_roles<'n>(
        &self,
        tenant: &str,
        names: impl Iterator<Item = &'n str>,
    ) -> Vec<RoleId> {
        let mut out = Vec::with_capacity(8);
        self.roles.effective(tenant, names, &mut out);
        out
    }
}

impl Clause {
    /// The part of the clause an evaluation error is about.
    pub(crate) fn part(&self, error: &EvalError) -> &str {
        self.text.get(error.span.range()).unwrap_or("")
    }
}

/// Reads, checks and compiles all sources.
///
/// # Errors
/// All faults of all sources.
pub(crate) fn compile(
    inputs: &[Input],
    schema: Schema,
    version: Option<String>,
    limits: &Limits,
    mut errors: Vec<LoadError>,
) -> Result<PolicySet, LoadErrors> {
    let mut loader = Loader {
        schema: &schema,
        limits,
        roles: Vec::new(),
        ids: FxHashMap::default(),
        version: None,
        loaded: Vec::new(),
        entries: 0,
    };
    for input in inputs {
        let source = Source::new(&input.file, &input.text);
        let mut faults = Vec::new();
        loader.load(input, &source, &mut faults);
        faults.sort_by_key(|(fault, _)| fault.span.start);
        let located = faults.into_iter();
        errors.extend(located.map(|(fault, policy)| source.error(fault, policy.as_deref())));
    }
    let Loader {
        roles: edges,
        version: written,
        loaded,
        ..
    } = loader;
    let mut roles = Roles::new(&edges, limits.entries).unwrap_or_else(|error| {
        errors.push(whole_set(match error {
            HierarchyError::Cycle(role, Some(tenant)) => {
                format!("role `{role}` of tenant `{tenant}` inherits itself")
            }
            HierarchyError::Cycle(role, None) => format!("platform role `{role}` inherits itself"),
            HierarchyError::TooLarge => {
                format!(
                    "closing the role hierarchy takes more than {} steps",
                    limits.entries
                )
            }
        }));
        Roles::default()
    });
    if loaded.len() > limits.policies {
        errors.push(whole_set(format!("more than {} policies", limits.policies)));
    }
    LoadErrors::check(errors)?;
    let mut index = Index::default();
    let mut policies = Vec::with_capacity(loaded.len());
    for (number, (record, compiled)) in loaded.into_iter().enumerate() {
        let number = PolicyIndex::try_from(number).unwrap_or(PolicyIndex::MAX);
        index.insert(number, &record, &mut roles);
        policies.push(compiled);
    }
    let version = version
        .or(written)
        .unwrap_or_else(|| fingerprint(inputs))
        .into_boxed_str();
    Ok(PolicySet {
        policies,
        index,
        roles,
        schema,
        version,
    })
}

/// A fault of the set as a whole.
fn whole_set(message: String) -> LoadError {
    LoadError {
        file: "policy set".into(),
        line: 0,
        column: 0,
        message,
        excerpt: String::new(),
        indent: 0,
        width: 0,
        policy: None,
    }
}

struct Loader<'a> {
    schema: &'a Schema,
    limits: &'a Limits,
    roles: Vec<Inheritance>,
    /// Where each id was first seen.
    ids: FxHashMap<String, String>,
    version: Option<String>,
    loaded: Vec<(PolicyRecord, CompiledPolicy)>,
    /// Entries the index will have.
    entries: usize,
}

impl Loader<'_> {
    fn load(&mut self, input: &Input, source: &Source<'_>, faults: &mut Vec<Located>) {
        if input.text.len() > self.limits.document_bytes {
            let message = format!("source is larger than {} bytes", self.limits.document_bytes);
            faults.push((Fault::new(message, Span::default()), None));
            return;
        }
        let (root, found) = match input.format {
            Format::Yaml => read_yaml(&input.text),
            Format::Json => read_json(&input.text),
        };
        faults.extend(found.into_iter().map(|fault| (fault, None)));
        let Some(root) = root else {
            if faults.is_empty() {
                faults.push((Fault::new("the document is empty", Span::default()), None));
            }
            return;
        };
        let document = read_document(&root, faults);
        self.take(document, input, source, faults);
    }

    fn take(
        &mut self,
        document: PolicyDocument,
        input: &Input,
        source: &Source<'_>,
        faults: &mut Vec<Located>,
    ) {
        if let Some(version) = document.version {
            match &self.version {
                Some(known) if *known != version.text => {
                    let message = format!("another source says version `{known}`");
                    faults.push((Fault::new(message, version.span), None));
                }
                _ => self.version = Some(version.text),
            }
        }
        for (inheritance, span) in document.roles {
            // A role that names itself has a place; longer cycles are found over the whole set.
            if inheritance.inherits.contains(&inheritance.role) {
                let message = format!("role `{}` inherits itself", inheritance.role);
                faults.push((Fault::new(message, span), None));
            } else {
                self.roles.push(inheritance);
            }
        }
        for record in document.policies {
            if let Some(first) = self.ids.get(&record.id.text) {
                let message = format!("duplicate policy id `{}`, first in {first}", record.id.text);
                faults.push((
                    Fault::new(message, record.id.span),
                    Some(record.id.text.clone()),
                ));
                continue;
            }
            self.ids.insert(record.id.text.clone(), input.file.clone());
            let (before, most) = (self.entries, self.limits.entries);
            self.entries = before.saturating_add(record.entries());
            if self.entries > most {
                // Said once, of the policy that goes over.
                if before <= most {
                    let message =
                        format!("resources, actions and roles make more than {most} index entries");
                    let id = record.id.text.clone();
                    faults.push((Fault::new(message, record.id.span), Some(id)));
                }
                continue;
            }
            if let Some(compiled) = self.policy(&record, source, faults) {
                self.loaded.push((record, compiled));
            }
        }
    }

    fn policy(
        &self,
        record: &PolicyRecord,
        source: &Source<'_>,
        faults: &mut Vec<Located>,
    ) -> Option<CompiledPolicy> {
        let id = &record.id.text;
        let before = faults.len();
        let mut clauses = Vec::with_capacity(record.conditions.len());
        for condition in &record.conditions {
            match self.clause(condition, source) {
                Ok(clause) => clauses.push(clause),
                Err(found) => faults.extend(found.into_iter().map(|f| (f, Some(id.clone())))),
            }
        }
        if clauses.len() > usize::from(u16::MAX) {
            let message = format!("more than {} conditions", u16::MAX);
            faults.push((Fault::new(message, record.id.span), Some(id.clone())));
        }
        for (obligation, span) in &record.obligations {
            if !self.schema.allows_obligation(obligation.name()) {
                let message = format!(
                    "the schema declares no obligation `{}`",
                    obligation.name().escape_debug()
                );
                faults.push((Fault::new(message, *span), Some(id.clone())));
            }
        }
        (faults.len() == before).then(|| CompiledPolicy {
            id: id.as_str().into(),
            effect: record.effect,
            clauses: clauses.into(),
            obligations: record.obligations.iter().map(|(o, _)| o.clone()).collect(),
        })
    }

    fn clause(&self, condition: &Text, source: &Source<'_>) -> Result<Clause, Vec<Fault>> {
        let text = &condition.text;
        // Where a line break becomes a space, a comment takes the lines after it along.
        let written = source.written(condition.span).trim();
        let lines = |text: &str| text.trim().lines().count();
        if !written.starts_with('|') && lines(written) > lines(text) && has_comment(text) {
            let message = "a comment in a condition of several lines needs a literal block, `|`: \
                           folded, it hides what follows";
            return Err(vec![Fault::new(message, condition.span)]);
        }
        let located = |span: Span| source.locate(condition.span, text, span);
        let program =
            Program::compile(text, self.schema.env(), &self.limits.cel).map_err(|errors| {
                let faults = errors.into_iter();
                faults
                    .map(|e| Fault::new(e.message, located(e.span)))
                    .collect::<Vec<_>>()
            })?;
        if !matches!(program.result_type(), Type::Bool | Type::Dyn) {
            let message = format!("a condition is a bool, this is {}", program.result_type());
            return Err(vec![Fault::new(message, located(Span::new(0, text.len())))]);
        }
        Ok(Clause {
            text: text.as_str().into(),
            program,
        })
    }
}

/// FNV-1a, 128 bit, over all sources: tells two loads apart, proves nothing.
fn fingerprint(inputs: &[Input]) -> String {
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013B;
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for input in inputs {
        for byte in input.text.bytes().chain([0]) {
            hash = (hash ^ u128::from(byte)).wrapping_mul(PRIME);
        }
    }
    format!("fnv:{hash:032x}")
}
