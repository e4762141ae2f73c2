//! Verifying payloads.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use super::header::{JwsHeader, is_token_type};
use super::json::Parsed;
use crate::base64url;
use crate::compact::{MAX_SIGNATURE_LEN, cap, decode, split};
use crate::crypto::{self, SIGNATURE_LEN, VerifyItem};
use crate::error::Error;
use crate::key_id::KeyId;
use crate::key_set::KeySet;
use crate::limits::Limits;
use crate::resolver::KeyResolver;
use crate::trusted_key::TrustedKey;

/// Which of a payload's signatures must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureRule {
    /// All that are there, at least one, each by a key of its own.
    All,
    /// So many, by as many keys; the others count for nothing, whatever is wrong with them.
    AtLeast(usize),
    /// One by each of these keys; the others count for nothing, whatever is wrong with them.
    Each(Vec<KeyId>),
}

/// A payload whose signatures were checked.
pub struct VerifiedPayload {
    payload: Vec<u8>,
    signatures: Vec<(TrustedKey, JwsHeader)>,
}

impl VerifiedPayload {
    /// What was signed; empty where it travelled beside the signature.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The payload, by value.
    #[must_use]
    pub fn into_payload(self) -> Vec<u8> {
        self.payload
    }

    /// The keys whose signatures hold, each with its protected header.
    pub fn signatures(&self) -> impl Iterator<Item = (&TrustedKey, &JwsHeader)> {
        self.signatures.iter().map(|(key, header)| (key, header))
    }
}

/// Shows who signed, not what.
impl fmt::Debug for VerifiedPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedPayload")
            .field("signatures", &self.signatures)
            .finish_non_exhaustive()
    }
}

/// Checks signed payloads of one type against the keys of whoever may sign them.
pub struct JwsVerifier {
    keys: Arc<dyn KeyResolver>,
    typ: Option<String>,
    rule: SignatureRule,
    limits: Limits,
}

/// Collects a verifier's decisions. See [`JwsVerifier::builder`].
#[must_use]
#[derive(Debug)]
pub struct JwsVerifierBuilder {
    keys: Arc<dyn KeyResolver>,
    typ: Option<Option<String>>,
    rule: SignatureRule,
    limits: Limits,
}

impl JwsVerifierBuilder {
    /// Takes payloads whose header has this `typ`, without regard to case and with or without `application/`.
    pub fn typ(mut self, typ: impl Into<String>) -> Self {
        self.typ = Some(Some(typ.into()));
        self
    }

    /// Takes payloads whose header has no `typ`: then the keys alone keep one kind of document from being taken for another.
    pub fn without_typ(mut self) -> Self {
        self.typ = Some(None);
        self
    }

    /// Which signatures must hold. Without this: all.
    pub fn rule(mut self, rule: SignatureRule) -> Self {
        self.rule = rule;
        self
    }

    /// Other limits. Without this: 1 MiB for the whole and for a payload, and those of tokens for headers.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The verifier.
    ///
    /// # Errors
    /// [`Error::Config`] when the type was not decided or is one that tokens have, and for a rule that nothing fulfils or
    /// that everything does.
    pub fn build(self) -> Result<JwsVerifier, Error> {
        let wrong = |why: &str| Err(Error::Config(why.to_owned()));
        let Some(typ) = self.typ else {
            return wrong("a verifier of payloads needs to know their `typ`");
        };
        if typ
            .as_deref()
            .is_some_and(|typ| typ.is_empty() || is_token_type(typ))
        {
            return wrong("a signed payload's `typ` is not empty, and none that tokens have");
        }
        match &self.rule {
            SignatureRule::AtLeast(0) => return wrong("no signature need hold"),
            SignatureRule::Each(kids) if kids.is_empty() => {
                return wrong("no signature need hold");
            }
            _ => {}
        }
        Ok(JwsVerifier {
            keys: self.keys,
            typ,
            rule: self.rule,
            limits: self.limits,
        })
    }
}

/// A signature as it came, decoded.
struct Candidate<'a> {
    /// The protected header as it was signed.
    protected: &'a str,
    header: JwsHeader,
    signature: Vec<u8>,
}

impl JwsVerifier {
    /// Starts a verifier that trusts these keys. The payloads' type must follow.
    pub fn builder(keys: Arc<dyn KeyResolver>) -> JwsVerifierBuilder {
        JwsVerifierBuilder {
            keys,
            typ: None,
            rule: SignatureRule::All,
            limits: Limits::default()
                .with_token_bytes(1 << 20)
                .with_payload_bytes(1 << 20),
        }
    }

    /// Looks for newer keys where `jws`, in any form, names one that is not known or where no keys may be trusted: the
    /// other calls ask nobody. Nothing is verified here, and what cannot be read, or has another `typ`, sets nothing in
    /// motion; how often names of unknown keys are looked up is the resolver's to bound.
    ///
    /// ```
    /// # async fn read(verifier: &sm_jwt::JwsVerifier, jws: &str) -> Result<Vec<u8>, sm_jwt::Error> {
    /// verifier.refresh_keys(jws).await;
    /// let statement = verifier.verify_json(jws)?.into_payload();
    /// # Ok(statement)
    /// # }
    /// ```
    pub async fn refresh_keys(&self, jws: &str) {
        for kid in self.kids(jws).unwrap_or_default() {
            let known = self
                .keys
                .current()
                .is_ok_and(|keys| keys.get(&kid).is_some());
            if !known {
                self.keys.refresh(&kid).await;
            }
        }
    }

    /// The keys that the signatures name, unverified.
    fn kids(&self, jws: &str) -> Result<BTreeSet<String>, Error> {
        let kid = |candidate: Candidate<'_>| candidate.header.kid().to_owned();
        if jws.trim_start().starts_with('{') {
            let parsed = Parsed::parse(jws, &self.limits)?;
            let candidates = self.candidates(&parsed)?.into_iter();
            return Ok(candidates.flatten().map(kid).collect());
        }
        let [protected, _, signature] = split(jws, &self.limits)?;
        let candidate = self.candidate(protected, signature, &HashSet::new())?;
        Ok(BTreeSet::from([kid(candidate)]))
    }

    /// Checks `header.payload.signature`.
    ///
    /// # Errors
    /// The first rule that fails; [`Error::UnencodedPayload`] for `b64` `false`, which is for detached payloads and JSON.
    pub fn verify_compact(&self, jws: &str) -> Result<VerifiedPayload, Error> {
        let [protected, payload, signature] = split(jws, &self.limits)?;
        let candidate = self.candidate(protected, signature, &HashSet::new())?;
        if !candidate.header.is_payload_encoded() {
            return Err(Error::UnencodedPayload);
        }
        let decoded = decode(payload, self.limits.payload_bytes(), "the payload")?;
        let signatures = self.check(vec![Ok(candidate)], payload.as_bytes())?;
        Ok(VerifiedPayload {
            payload: decoded,
            signatures,
        })
    }

    /// Checks `header..signature` over a payload that came beside it, encoded for the signature or not as the header
    /// says. The result's payload is empty.
    ///
    /// # Errors
    /// The first rule that fails.
    pub fn verify_detached(&self, jws: &str, payload: &[u8]) -> Result<VerifiedPayload, Error> {
        let [protected, between, signature] = split(jws, &self.limits)?;
        if !between.is_empty() {
            return Err(Error::NotCompact);
        }
        cap(payload.len(), self.limits.payload_bytes(), "the payload")?;
        let candidate = self.candidate(protected, signature, &HashSet::new())?;
        self.check_detached(vec![Ok(candidate)], payload)
    }

    /// Checks the JSON serialisation, flattened or general.
    ///
    /// # Errors
    /// The first rule that fails; [`Error::NotEnoughSignatures`] when not so many hold as the rule wants.
    pub fn verify_json(&self, jws: &str) -> Result<VerifiedPayload, Error> {
        let parsed = Parsed::parse(jws, &self.limits)?;
        let payload = parsed
            .payload
            .as_deref()
            .ok_or(Error::JwsForm { member: "payload" })?;
        let limit = self.limits.payload_bytes();
        self.decide(self.candidates(&parsed)?, |candidates, encoded| {
            let decoded = match encoded {
                true => decode(payload, limit, "the payload")?,
                false => {
                    cap(payload.len(), limit, "the payload")?;
                    payload.as_bytes().to_vec()
                }
            };
            Ok(VerifiedPayload {
                signatures: self.check(candidates, payload.as_bytes())?,
                payload: decoded,
            })
        })
    }

    /// Checks the JSON serialisation over a payload that came beside it. The result's payload is empty.
    ///
    /// # Errors
    /// As [`verify_json`](Self::verify_json).
    pub fn verify_json_detached(
        &self,
        jws: &str,
        payload: &[u8],
    ) -> Result<VerifiedPayload, Error> {
        let parsed = Parsed::parse(jws, &self.limits)?;
        if parsed.payload.is_some() {
            return Err(Error::JwsForm { member: "payload" });
        }
        cap(payload.len(), self.limits.payload_bytes(), "the payload")?;
        self.check_detached(self.candidates(&parsed)?, payload)
    }

    fn check_detached(
        &self,
        candidates: Vec<Result<Candidate<'_>, Error>>,
        payload: &[u8],
    ) -> Result<VerifiedPayload, Error> {
        self.decide(candidates, |candidates, encoded| {
            let signatures = match encoded {
                true => self.check(candidates, base64url::encode(payload).as_bytes())?,
                false => self.check(candidates, payload)?,
            };
            Ok(VerifiedPayload {
                payload: Vec::new(),
                signatures,
            })
        })
    }

    /// `b64` is the same for all signatures that count (RFC 7797 section 3): where all must hold, for all; elsewhere those
    /// of one kind are checked, then those of the other, so that a signature that counts for nothing cannot spoil the
    /// rest. `check` is told whether the payload is signed in base64url.
    fn decide(
        &self,
        candidates: Vec<Result<Candidate<'_>, Error>>,
        check: impl Fn(Vec<Result<Candidate<'_>, Error>>, bool) -> Result<VerifiedPayload, Error>,
    ) -> Result<VerifiedPayload, Error> {
        let is_encoded = |candidate: &Result<Candidate<'_>, Error>| match candidate {
            Ok(candidate) => candidate.header.is_payload_encoded(),
            Err(_) => true,
        };
        let (encoded, unencoded): (Vec<_>, Vec<_>) = candidates.into_iter().partition(is_encoded);
        match (encoded.is_empty(), unencoded.is_empty()) {
            (_, true) => check(encoded, true),
            (true, false) => check(unencoded, false),
            (false, false) if self.rule == SignatureRule::All => {
                Err(Error::JwsForm { member: "b64" })
            }
            (false, false) => check(encoded, true).or_else(|_| check(unencoded, false)),
        }
    }

    /// Each signature by itself: where not all must hold, one that does not even read counts for nothing.
    fn candidates<'a>(
        &self,
        parsed: &'a Parsed,
    ) -> Result<Vec<Result<Candidate<'a>, Error>>, Error> {
        let mut candidates = Vec::with_capacity(parsed.signatures.len());
        for one in &parsed.signatures {
            let candidate = match (&one.protected, &one.signature) {
                (Some(protected), Some(signature)) => {
                    self.candidate(protected, signature, &one.unprotected)
                }
                (None, _) => Err(Error::JwsForm {
                    member: "protected",
                }),
                (_, None) => Err(Error::JwsForm {
                    member: "signature",
                }),
            };
            match (candidate, &self.rule) {
                (Err(error), SignatureRule::All) => return Err(error),
                (candidate, _) => candidates.push(candidate),
            }
        }
        Ok(candidates)
    }

    fn candidate<'a>(
        &self,
        protected: &'a str,
        signature: &str,
        unprotected: &HashSet<String>,
    ) -> Result<Candidate<'a>, Error> {
        let bytes = decode(protected, self.limits.header_bytes(), "the header")?;
        let mut twice = false;
        let header = JwsHeader::parse(&bytes, &self.limits, &mut |name| {
            twice |= unprotected.contains(name);
        })?;
        // RFC 7515 section 7.2.1: the two headers have no name in common. What must be understood is protected.
        if twice || unprotected.contains("crit") || unprotected.contains("b64") {
            return Err(Error::JwsForm { member: "header" });
        }
        let matches = match (&self.typ, header.typ()) {
            (None, None) => true,
            (Some(wanted), Some(typ)) => short_type(typ).eq_ignore_ascii_case(short_type(wanted)),
            _ => false,
        };
        if !matches {
            return Err(Error::PayloadType);
        }
        Ok(Candidate {
            protected,
            header,
            signature: decode(signature, MAX_SIGNATURE_LEN, "the signature")?,
        })
    }

    /// The keys whose signatures over `protected.payload` hold, if the rule is fulfilled.
    fn check(
        &self,
        candidates: Vec<Result<Candidate<'_>, Error>>,
        payload: &[u8],
    ) -> Result<Vec<(TrustedKey, JwsHeader)>, Error> {
        let keys = self.keys.current()?;
        let mut first_error = None;
        let mut ready = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            match candidate.and_then(|candidate| Ready::new(candidate, &keys, payload)) {
                Ok(one) => ready.push(one),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        let items: Vec<_> = ready.iter().map(Ready::item).collect();
        let held = crypto::verify_many(&items);
        let mut seen = HashSet::new();
        let mut good = Vec::with_capacity(ready.len());
        for (one, holds) in ready.into_iter().zip(held) {
            if !holds {
                first_error.get_or_insert(Error::BadSignature);
            } else if seen.insert(one.key.kid().clone()) {
                good.push((one.key, one.header));
            } else {
                // One key twice is one signer.
                first_error.get_or_insert(Error::JwsForm {
                    member: "signatures",
                });
            }
        }
        let wanted = match &self.rule {
            SignatureRule::All => match first_error {
                None => return Ok(good),
                Some(error) => return Err(error),
            },
            SignatureRule::AtLeast(wanted) => {
                if good.len() >= *wanted {
                    return Ok(good);
                }
                *wanted
            }
            SignatureRule::Each(kids) => {
                if kids.iter().all(|kid| seen.contains(kid)) {
                    return Ok(good);
                }
                kids.len()
            }
        };
        Err(Error::NotEnoughSignatures {
            wanted,
            hold: good.len(),
        })
    }
}

/// A signature with its key, whose profile its header agrees with.
struct Ready {
    key: TrustedKey,
    header: JwsHeader,
    input: Vec<u8>,
    signature: [u8; SIGNATURE_LEN],
}

impl Ready {
    fn new(candidate: Candidate<'_>, keys: &KeySet, payload: &[u8]) -> Result<Self, Error> {
        let header = candidate.header;
        let key = keys.get(header.kid()).ok_or_else(|| Error::UnknownKey {
            kid: header.kid().to_owned(),
        })?;
        let profile = key.profile();
        if header.alg() != profile.alg() {
            return Err(Error::AlgorithmMismatch);
        }
        if header.crv() != profile.crv() {
            return Err(Error::CurveMismatch);
        }
        let signature = profile
            .encoding()
            .decode(&candidate.signature)
            .ok_or(Error::BadSignature)?;
        Ok(Self {
            key: key.clone(),
            header,
            input: [candidate.protected.as_bytes(), b".", payload].concat(),
            signature,
        })
    }

    fn item(&self) -> VerifyItem<'_> {
        VerifyItem {
            key: self.key.key().point(),
            hash: self.key.profile().hash(),
            z: self.key.z(),
            message: &self.input,
            signature: &self.signature,
        }
    }
}

/// A media type without `application/`, where nothing else is left out (RFC 7515 section 4.1.9).
fn short_type(typ: &str) -> &str {
    let prefix = "application/";
    match typ.get(..prefix.len()) {
        Some(start) if start.eq_ignore_ascii_case(prefix) => {
            let rest = typ.get(prefix.len()..).unwrap_or_default();
            if rest.contains('/') { typ } else { rest }
        }
        _ => typ,
    }
}

impl fmt::Debug for JwsVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwsVerifier")
            .field("typ", &self.typ)
            .field("rule", &self.rule)
            .finish_non_exhaustive()
    }
}
