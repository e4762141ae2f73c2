//! One audit event: who did what, when, how it ended, and the details.

use crate::canonical::ObjectWriter;
use crate::clock::EventTime;
use crate::details::Details;
use crate::error::Error;
use crate::hex;

/// The version of the record format; it is part of what is hashed.
pub const RECORD_VERSION: i64 = 1;

/// Largest record, in canonical bytes.
pub const MAX_RECORD: usize = 64 * 1024;

const MAX_NAME: usize = 256;
const MAX_TEXT: usize = 2048;

/// Who: the second assessed field. Subjects, sessions and devices are pseudonyms
/// (see [`Pseudonymizer`](crate::Pseudonymizer)), never names or numbers in clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    kind: &'static str,
    subject: Option<String>,
    tenant: Option<String>,
    session: Option<String>,
    device: Option<String>,
    address: Option<String>,
}

impl Who {
    fn of(kind: &'static str, subject: Option<String>) -> Self {
        Self {
            kind,
            subject,
            tenant: None,
            session: None,
            device: None,
            address: None,
        }
    }

    /// An identified user, by pseudonym.
    pub fn subject(pseudonym: impl Into<String>) -> Self {
        Self::of("user", Some(pseudonym.into()))
    }

    /// A component of the system itself, by name.
    pub fn system(name: impl Into<String>) -> Self {
        Self::of("system", Some(name.into()))
    }

    /// Nobody known: an unauthenticated request.
    pub fn anonymous() -> Self {
        Self::of("anonymous", None)
    }

    /// The tenant on whose behalf.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// The session, by pseudonym.
    #[must_use]
    pub fn session(mut self, pseudonym: impl Into<String>) -> Self {
        self.session = Some(pseudonym.into());
        self
    }

    /// The device, by pseudonym.
    #[must_use]
    pub fn device(mut self, pseudonym: impl Into<String>) -> Self {
        self.device = Some(pseudonym.into());
        self
    }

    /// The client's address, as a trusted proxy states it; never a raw `X-Forwarded-For`.
    #[must_use]
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }
}

/// One use of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    key_id: String,
    operation: String,
    trace_id: String,
    usage_count: u64,
}

impl KeyUse {
    /// The key as a URI (`kms://prod/sm4/20260501`), the operation (`seal`, `open`, `sign`), the
    /// trace it belongs to, and how often the key has been used so far.
    pub fn new(
        key_id: impl Into<String>,
        operation: impl Into<String>,
        trace_id: impl Into<String>,
        usage_count: u64,
    ) -> Self {
        Self {
            key_id: key_id.into(),
            operation: operation.into(),
            trace_id: trace_id.into(),
            usage_count,
        }
    }
}

/// What an administrator changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Administration {
    /// Who may do what.
    Policy,
    /// Keys: made, rotated, disabled, destroyed.
    Key,
    /// How long records are kept.
    Retention,
    /// Anything else.
    Other,
}

impl Administration {
    fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Key => "key",
            Self::Retention => "retention",
            Self::Other => "other",
        }
    }
}

/// What kind of event: the third assessed field.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A session began.
    SessionCreate,
    /// A session was prolonged.
    SessionRefresh,
    /// A session ended.
    SessionDestroy,
    /// A login was refused.
    LoginFailure,
    /// Access was decided.
    AuthorizationDecision,
    /// A key was used.
    KeyUse(KeyUse),
    /// Something was administered.
    Administration(Administration),
    /// A kind of the application's own, for example `payment.approved`.
    Custom(String),
    /// The log itself: an unfinished tail was set aside when it was opened. Written by the log.
    Recovery,
    /// The log itself: events were lost or refused. Written by the log.
    Gap,
}

impl Kind {
    /// As stored in the record's `kind`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SessionCreate => "SESSION_CREATE",
            Self::SessionRefresh => "SESSION_REFRESH",
            Self::SessionDestroy => "SESSION_DESTROY",
            Self::LoginFailure => "LOGIN_FAILURE",
            Self::AuthorizationDecision => "AUTHORIZATION_DECISION",
            Self::KeyUse(_) => "KEY_USE",
            Self::Administration(_) => "ADMINISTRATION",
            Self::Custom(_) => "CUSTOM",
            Self::Recovery => "AUDIT_RECOVERY",
            Self::Gap => "AUDIT_GAP",
        }
    }
}

/// How it ended: the fourth assessed field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    status: &'static str,
    reason: Option<String>,
}

impl Outcome {
    fn of(status: &'static str, reason: Option<String>) -> Self {
        Self { status, reason }
    }

    /// It was done.
    pub fn success() -> Self {
        Self::of("success", None)
    }

    /// It was tried and did not work: a wrong password, a conflict.
    pub fn failure(reason: impl Into<String>) -> Self {
        Self::of("failure", Some(reason.into()))
    }

    /// It was not allowed.
    pub fn denied(reason: impl Into<String>) -> Self {
        Self::of("denied", Some(reason.into()))
    }

    /// The system failed.
    pub fn error(reason: impl Into<String>) -> Self {
        Self::of("error", Some(reason.into()))
    }

    /// `success`, `failure`, `denied` or `error`.
    pub fn status(&self) -> &'static str {
        self.status
    }
}

/// One audit event.
///
/// The five fields that GB/T 22239-2019 8.1.4.3 b assesses (when, who, what kind, how it ended,
/// other details) are arguments of the only constructor: an event without one of them does not
/// compile. Sizes and characters are checked by [`Event::check`], which appending calls.
///
/// ```compile_fail
/// # use audit_log::{Event, Kind, Outcome, Who};
/// // No time, no details: does not compile.
/// let event = Event::new(Who::anonymous(), Kind::LoginFailure, Outcome::success());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    when: EventTime,
    who: Who,
    kind: Kind,
    outcome: Outcome,
    details: Details,
    action: Option<String>,
    resource: Option<String>,
    trace_id: Option<String>,
    span_id: Option<String>,
}

impl Event {
    /// An event with the five assessed fields.
    pub fn new(when: EventTime, who: Who, kind: Kind, outcome: Outcome, details: Details) -> Self {
        Self {
            when,
            who,
            kind,
            outcome,
            details,
            action: None,
            resource: None,
            trace_id: None,
            span_id: None,
        }
    }

    /// What was done, for example `GET /api/v1/customers/{id}`.
    #[must_use]
    pub fn action(mut self, action: impl Into<String>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// To what, for example `customer/17`.
    #[must_use]
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resource = Some(resource.into());
        self
    }

    /// The W3C trace id: 32 lower-case hexadecimal digits, not all zero.
    #[must_use]
    pub fn trace_id(mut self, trace_id: impl Into<String>) -> Self {
        self.trace_id = Some(trace_id.into());
        self
    }

    /// The W3C span id: 16 lower-case hexadecimal digits, not all zero.
    #[must_use]
    pub fn span_id(mut self, span_id: impl Into<String>) -> Self {
        self.span_id = Some(span_id.into());
        self
    }

    /// The details, to add to.
    pub fn details_mut(&mut self) -> &mut Details {
        &mut self.details
    }

    /// The kind.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The outcome.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Whether the log would take this event.
    ///
    /// # Errors
    /// [`Error::Event`] naming the field and the rule.
    pub fn check(&self) -> Result<(), Error> {
        self.encode(&[0; 16]).map(|_| ())
    }

    fn check_fields(&self) -> Result<(), Error> {
        self.when.check()?;
        bounded("who.subject", self.who.subject.as_deref(), MAX_NAME)?;
        bounded("who.tenant", self.who.tenant.as_deref(), MAX_NAME)?;
        bounded("who.session", self.who.session.as_deref(), MAX_NAME)?;
        bounded("who.device", self.who.device.as_deref(), MAX_NAME)?;
        bounded("who.address", self.who.address.as_deref(), MAX_NAME)?;
        bounded("action", self.action.as_deref(), MAX_TEXT)?;
        bounded("resource", self.resource.as_deref(), MAX_TEXT)?;
        bounded("outcome.reason", self.outcome.reason.as_deref(), MAX_TEXT)?;
        for (field, id, digits) in [
            ("trace_id", &self.trace_id, 32),
            ("span_id", &self.span_id, 16),
        ] {
            if let Some(id) = id
                && !hex::is_nonzero(id, digits)
            {
                let reason = format!("must be {digits} lower-case hexadecimal digits, not all 0");
                return Err(Error::event(field, reason));
            }
        }
        match &self.kind {
            Kind::KeyUse(used) => {
                bounded("key_use.key_id", Some(&used.key_id), MAX_NAME)?;
                bounded("key_use.operation", Some(&used.operation), MAX_NAME)?;
                bounded("key_use.trace_id", Some(&used.trace_id), MAX_NAME)?;
                if !is_uri(&used.key_id) {
                    return Err(Error::event(
                        "key_use.key_id",
                        "must be a URI (scheme://...)",
                    ));
                }
            }
            Kind::Custom(name) => bounded("custom", Some(name), MAX_NAME)?,
            _ => {}
        }
        self.details.check()
    }

    /// The canonical bytes of the record.
    pub(crate) fn encode(&self, salt: &[u8; 16]) -> Result<Vec<u8>, Error> {
        self.check_fields()?;
        let mut out = Vec::with_capacity(512);
        ObjectWriter::write(&mut out, |record| {
            record.maybe("action", self.action.as_deref())?;
            if let Kind::Administration(what) = &self.kind {
                record.string("administration", what.as_str())?;
            }
            if let Kind::Custom(name) = &self.kind {
                record.string("custom", name)?;
            }
            self.details.write(record)?;
            if let Kind::KeyUse(used) = &self.kind {
                record.object("key_use", |key_use| {
                    key_use.string("key_id", &used.key_id)?;
                    key_use.string("operation", &used.operation)?;
                    key_use.string("trace_id", &used.trace_id)?;
                    key_use.wide("usage_count", used.usage_count)
                })?;
            }
            record.string("kind", self.kind.name())?;
            record.object("outcome", |outcome| {
                outcome.maybe("reason", self.outcome.reason.as_deref())?;
                outcome.string("status", self.outcome.status)
            })?;
            record.maybe("resource", self.resource.as_deref())?;
            record.string("salt", &hex::encode(salt))?;
            record.maybe("span_id", self.span_id.as_deref())?;
            self.when.write(record)?;
            record.maybe("trace_id", self.trace_id.as_deref())?;
            record.int("v", RECORD_VERSION)?;
            record.object("who", |who| {
                who.maybe("address", self.who.address.as_deref())?;
                who.maybe("device", self.who.device.as_deref())?;
                who.maybe("session", self.who.session.as_deref())?;
                who.maybe("subject", self.who.subject.as_deref())?;
                who.maybe("tenant", self.who.tenant.as_deref())?;
                who.string("type", self.who.kind)
            })
        })?;
        if out.len() > MAX_RECORD {
            let reason = format!("record has {} bytes, at most {MAX_RECORD}", out.len());
            return Err(Error::event("details", reason));
        }
        Ok(out)
    }
}

fn bounded(field: &str, value: Option<&str>, limit: usize) -> Result<(), Error> {
    match value.map(str::len) {
        Some(0) => Err(Error::event(field, "is empty")),
        Some(length) if length > limit => Err(Error::event(
            field,
            format!("{length} bytes, at most {limit}"),
        )),
        _ => Ok(()),
    }
}

/// RFC 3986 3.1: a scheme, then an authority or path that is not empty.
fn is_uri(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
            && !rest.is_empty()
            && rest.bytes().all(|b| b.is_ascii_graphic())
    })
}
