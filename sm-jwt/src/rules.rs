//! What a verifier asks of claims, once the signature holds.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::claims::Claims;
use crate::error::Error;

/// The rules, each a no-op unless it was set, but audience and times, which every token must pass.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    pub(crate) audiences: Vec<String>,
    pub(crate) subject: Option<String>,
    pub(crate) leeway: u64,
    pub(crate) max_age: Option<u64>,
    pub(crate) max_lifetime: Option<u64>,
    pub(crate) max_authentication_age: Option<u64>,
    pub(crate) required: BTreeSet<Cow<'static, str>>,
    /// All of them, in `amr`.
    pub(crate) methods: Vec<String>,
    /// One of them, in `acr`.
    pub(crate) classes: Vec<String>,
}

impl Rules {
    /// Checks claims at a moment in seconds since 1970. `payload` is what they were read from.
    pub(crate) fn check(&self, claims: &Claims, payload: &[u8], now: u64) -> Result<(), Error> {
        if !claims.aud.iter().any(|aud| self.audiences.contains(aud)) {
            return Err(Error::WrongAudience);
        }
        if self.subject.as_ref().is_some_and(|sub| *sub != claims.sub) {
            return Err(Error::WrongSubject);
        }
        self.check_required(payload)?;
        self.check_times(claims, now)?;
        self.check_authentication(claims, now)
    }

    /// A claim that is `null` is as good as absent.
    fn check_required(&self, payload: &[u8]) -> Result<(), Error> {
        if self.required.is_empty() {
            return Ok(());
        }
        // The payload was read strictly before: this cannot fail.
        let members: Map<String, Value> = serde_json::from_slice(payload).unwrap_or_default();
        let missing = self
            .required
            .iter()
            .find(|name| members.get(&***name).is_none_or(Value::is_null));
        match missing {
            Some(claim) => Err(Error::MissingClaim {
                claim: claim.clone(),
            }),
            None => Ok(()),
        }
    }

    fn check_times(&self, claims: &Claims, now: u64) -> Result<(), Error> {
        let leeway = self.leeway;
        if now >= claims.exp.saturating_add(leeway) {
            return Err(Error::Expired);
        }
        let latest_start = now.saturating_add(leeway);
        if claims.nbf.is_some_and(|nbf| nbf > latest_start) {
            return Err(Error::NotYetValid);
        }
        if claims.iat > latest_start {
            return Err(Error::IssuedInFuture);
        }
        if let Some(max_age) = self.max_age {
            let age = now.saturating_sub(claims.iat);
            if age > max_age.saturating_add(leeway) {
                return Err(Error::TooOld);
            }
        }
        match claims.exp.checked_sub(claims.iat) {
            None | Some(0) => Err(Error::Lifetime),
            Some(lifetime) if self.max_lifetime.is_some_and(|max| lifetime > max) => {
                Err(Error::Lifetime)
            }
            Some(_) => Ok(()),
        }
    }

    fn check_authentication(&self, claims: &Claims, now: u64) -> Result<(), Error> {
        if !self
            .methods
            .iter()
            .all(|method| claims.amr.contains(method))
        {
            return Err(Error::AuthenticationTooWeak);
        }
        let has_class = claims
            .acr
            .as_ref()
            .is_some_and(|class| self.classes.contains(class));
        if !self.classes.is_empty() && !has_class {
            return Err(Error::AuthenticationTooWeak);
        }
        let Some(max_age) = self.max_authentication_age else {
            return Ok(());
        };
        let at = claims
            .auth_time
            .ok_or_else(|| Error::missing_claim("auth_time"))?;
        if at > now.saturating_add(self.leeway) {
            return Err(Error::ClaimType { claim: "auth_time" });
        }
        if now.saturating_sub(at) > max_age.saturating_add(self.leeway) {
            return Err(Error::AuthenticationTooOld);
        }
        Ok(())
    }
}
