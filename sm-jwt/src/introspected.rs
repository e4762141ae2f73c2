//! An introspection answer, read strictly, and a token that the issuer has vouched for.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::claims::ParsedClaims;
use crate::confirmation::Confirmation;
use crate::error::Error;
use crate::json::{self, Guard};
use crate::limits::Limits;

const WHAT: &str = "the introspection answer";

/// What the issuer says of a token (RFC 7662 section 2.2).
pub(crate) enum Answer {
    Inactive,
    Active(Box<Introspected>),
}

/// The members of an answer about an active token. They are of the right type; whether they are what this service asks for
/// is not checked.
pub(crate) struct Introspected {
    pub(crate) claims: ParsedClaims,
    pub(crate) username: Option<String>,
    pub(crate) token_type: Option<String>,
    /// The whole answer.
    payload: Vec<u8>,
}

/// The members that are no claims.
#[derive(Deserialize)]
struct Own {
    active: bool,
    username: Option<String>,
    token_type: Option<String>,
}

impl Answer {
    /// Reads an answer: one JSON object, no member twice at any depth, within the limits, `active` a boolean, and for an active
    /// token all known members of the right type.
    pub(crate) fn read(payload: Vec<u8>, limits: &Limits) -> Result<Self, Error> {
        let guard = Guard::new(limits);
        guard.read(&payload, guard.skip(1), WHAT, |claim| Error::ClaimType {
            claim,
        })?;
        let own: Own = serde_json::from_slice(&payload).map_err(|error| Error::Json {
            what: WHAT,
            detail: json::describe(&error),
        })?;
        if !own.active {
            return Ok(Self::Inactive);
        }
        Ok(Self::Active(Box::new(Introspected {
            claims: ParsedClaims::read(&payload, limits, WHAT)?,
            username: own.username,
            token_type: own.token_type,
            payload,
        })))
    }
}

impl Introspected {
    /// The first of these names that is no member, or a member that is `null`.
    pub(crate) fn first_missing<'n>(&self, names: &'n [String]) -> Option<&'n String> {
        if names.is_empty() {
            return None;
        }
        // It was read before: this cannot fail.
        let members: Map<String, Value> = serde_json::from_slice(&self.payload).unwrap_or_default();
        names
            .iter()
            .find(|name| members.get(*name).is_none_or(Value::is_null))
    }
}

/// A token that its issuer says is active, and whose claims were checked. [`IntrospectionClient`](crate::IntrospectionClient)
/// alone makes it. Clones share the contents.
///
/// `iss`, `aud` and `exp` are always there. Times are whole seconds since 1970.
#[derive(Clone)]
pub struct IntrospectedToken(Arc<Introspected>);

impl IntrospectedToken {
    /// For the client, at the end of its checks.
    pub(crate) fn new(answer: Arc<Introspected>) -> Self {
        Self(answer)
    }

    /// `iss`: who issued the token.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.0.claims.iss.as_deref().unwrap_or_default()
    }

    /// `aud`: for whom the token is meant, at least one.
    #[must_use]
    pub fn audience(&self) -> &[String] {
        self.0.claims.aud.as_deref().unwrap_or_default()
    }

    /// `exp`: the first second at which the token is no longer valid.
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        self.0.claims.exp.unwrap_or_default()
    }

    /// `nbf`: the first second at which the token is valid.
    #[must_use]
    pub fn not_before(&self) -> Option<u64> {
        self.0.claims.nbf
    }

    /// `iat`: when the token was issued.
    #[must_use]
    pub fn issued_at(&self) -> Option<u64> {
        self.0.claims.iat
    }

    /// `sub`: whom the token is about. A token that a client was given for itself may have none.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.0.claims.sub.as_deref()
    }

    /// `client_id`: the client that the token was issued to.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.0.claims.client_id.as_deref()
    }

    /// `username`: how people call the subject. Not for decisions: it is neither unique nor lasting.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.0.username.as_deref()
    }

    /// `token_type`, such as `Bearer` or `DPoP`.
    #[must_use]
    pub fn token_type(&self) -> Option<&str> {
        self.0.token_type.as_deref()
    }

    /// `jti`: the token's own identifier.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.0.claims.jti.as_deref()
    }

    /// The words of `scope` (RFC 6749 section 3.3).
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.0
            .claims
            .scope
            .iter()
            .flat_map(|scope| scope.split(' '))
    }

    /// Whether `scope` has this word.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|held| held == scope)
    }

    /// `tenant_id`: the tenant the subject acts for.
    #[must_use]
    pub fn tenant_id(&self) -> Option<&str> {
        self.0.claims.tenant_id.as_deref()
    }

    /// `roles`: the subject's roles, as the issuer granted them.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        &self.0.claims.roles
    }

    /// Whether `role` is among the roles.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles().iter().any(|held| held == role)
    }

    /// `amr`: the authentication methods that the issuer checked (RFC 8176).
    #[must_use]
    pub fn amr(&self) -> &[String] {
        &self.0.claims.amr
    }

    /// `acr`: the authentication context class that the issuer reached (RFC 9470 section 6.2).
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.0.claims.acr.as_deref()
    }

    /// `auth_time`: when the subject authenticated.
    #[must_use]
    pub fn auth_time(&self) -> Option<u64> {
        self.0.claims.auth_time
    }

    /// `sid`: the session that the token belongs to.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.0.claims.sid.as_deref()
    }

    /// `cnf`: what the token is bound to.
    #[must_use]
    pub fn confirmation(&self) -> Option<&Confirmation> {
        self.0.claims.cnf.as_ref()
    }

    /// The answer's other members, read by serde from the whole answer.
    ///
    /// # Errors
    /// [`Error::ExtraClaims`] when the answer does not have this shape.
    pub fn extra<C: DeserializeOwned>(&self) -> Result<C, Error> {
        serde_json::from_slice(&self.0.payload).map_err(|error| Error::ExtraClaims {
            detail: json::describe(&error),
        })
    }
}

/// Shows which token it is, not what is said of it.
impl fmt::Debug for IntrospectedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectedToken")
            .field("jti", &self.token_id())
            .field("exp", &self.expires_at())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Answer, Error> {
        Answer::read(text.as_bytes().to_vec(), &Limits::default())
    }

    #[test]
    fn what_an_answer_is() {
        assert!(matches!(
            read(r#"{"active":false}"#).unwrap(),
            Answer::Inactive
        ));
        // Nothing is taken from what is said beside that.
        let beside = r#"{"active":false,"exp":"soon","sub":""}"#;
        assert!(matches!(read(beside).unwrap(), Answer::Inactive));
        let active = r#"{"active":true,"exp":1,"username":"mei","token_type":null,"x":{"y":[]}}"#;
        let Answer::Active(answer) = read(active).unwrap() else {
            panic!("inactive");
        };
        assert_eq!(answer.claims.exp, Some(1));
        assert_eq!(answer.username.as_deref(), Some("mei"));
        let names = ["x", "exp", "token_type", "y"].map(str::to_owned);
        assert_eq!(answer.first_missing(&names), Some(&names[2]));
        assert_eq!(answer.first_missing(&names[..2]), None);
    }

    #[test]
    fn what_no_answer_is() {
        for (text, code) in [
            ("", "bad_json"),
            ("null", "bad_json"),
            ("true", "bad_json"),
            ("[]", "bad_json"),
            (r#"[true,null,null]"#, "bad_json"),
            (r#"{"active":tru"#, "bad_json"),
            (r#"{"active":true}{"#, "bad_json"),
            ("{}", "bad_json"),
            (r#"{"active":null}"#, "bad_json"),
            (r#"{"active":1}"#, "bad_json"),
            (r#"{"active":"true"}"#, "bad_json"),
            (r#"{"Active":true}"#, "bad_json"),
            (r#"{"active":true,"username":1}"#, "bad_json"),
            (r#"{"active":false,"active":true}"#, "duplicate_member"),
            (r#"{"active":true,"x":{"y":1,"y":1}}"#, "duplicate_member"),
            (r#"{"active":true,"exp":"1"}"#, "bad_claim"),
            (r#"{"active":true,"exp":1.5}"#, "bad_claim"),
            (r#"{"active":true,"exp":-1}"#, "bad_claim"),
            (r#"{"active":true,"aud":[]}"#, "bad_claim"),
            (r#"{"active":true,"aud":[1]}"#, "bad_claim"),
            (r#"{"active":true,"sub":""}"#, "bad_claim"),
            (r#"{"active":true,"scope":"a  b"}"#, "bad_claim"),
            (r#"{"active":true,"cnf":"x"}"#, "bad_claim"),
        ] {
            match read(text) {
                Err(error) => assert_eq!(error.code(), code, "{text}"),
                Ok(_) => panic!("{text}"),
            }
        }
        let deep = format!(
            r#"{{"active":true,"x":{}{}}}"#,
            "[".repeat(20),
            "]".repeat(20)
        );
        assert!(matches!(read(&deep), Err(Error::TooDeep { .. })));
        let many = format!(r#"{{"active":true,"x":[{}0]}}"#, "0,".repeat(300));
        assert!(matches!(read(&many), Err(Error::TooManyMembers { .. })));
    }
}
