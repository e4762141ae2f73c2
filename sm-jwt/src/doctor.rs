//! Why a token does not verify: a tool for whoever sets a system up. Verification never comes here.
//!
//! An SM2 signature that does not verify says nothing of the reason, and half a dozen parameters can be the reason. This
//! module tries the usual ones, all at once, offline, with a key that the operator gives. It says which of them *would*
//! verify; it grants nothing, gives no claims away, and no other module of this crate calls it.

use std::fmt;

use serde::Serialize;

use crate::base64url;
use crate::compact::MAX_SIGNATURE_LEN;
use crate::crypto::{self, SIGNATURE_LEN, VerifyItem};
use crate::der;
use crate::error::Error;
use crate::hash::HashAlgorithm;
use crate::keys::VerifyingKey;
use crate::limits::Limits;
use crate::profile::{DEFAULT_USER_ID, Profile};
use crate::signature::SignatureEncoding;
use crate::token::UnverifiedToken;

/// User ids that are tried besides the profile's: the usual one, none at all (OpenSSL before 4.0 and Node unless they are
/// told), and that of the examples in GM/T 0003.2.
const USER_IDS: [&[u8]; 3] = [DEFAULT_USER_ID, b"", b"ALICE123@YAHOO.COM"];

/// Something about a token that differs from what its key is registered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// It is not a token, for a reason that no parameter mends.
    NotAToken {
        /// The stable name of the rule that it breaks.
        code: &'static str,
        /// The rule in words.
        reason: String,
    },
    /// A part is base64 with padding or of the other alphabet, where base64url without padding belongs.
    Base64 {
        /// Which part.
        part: &'static str,
    },
    /// The header's `alg` is another name.
    Algorithm {
        /// What the token says.
        token: String,
        /// What the profile says.
        profile: String,
    },
    /// The header's `crv` is another name, or one of both has none.
    Curve {
        /// What the token says.
        token: Option<String>,
        /// What the profile says.
        profile: Option<String>,
    },
    /// The claim `sm2_kid`, which the profile requires, is missing or differs from the header's `kid`.
    KidClaim,
    /// The signature holds in another form.
    Encoding {
        /// In which.
        works: SignatureForm,
    },
    /// The signature holds for another user id.
    UserId {
        /// For which, as text; bytes that are no text are escaped.
        works: String,
    },
    /// The signature holds over another hash.
    Hash {
        /// Over which.
        works: &'static str,
    },
    /// The signature holds over the message's hash alone: whoever signed left out Z, so that it binds no user id and no
    /// key. The signer must be mended: no profile takes this.
    WithoutZ,
}

/// The forms in which a signature may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SignatureForm {
    /// r ‖ s, 64 bytes.
    Raw,
    /// Canonical DER.
    Der,
    /// DER with needless zeros or long lengths: no profile takes it, the signer must be mended.
    LaxDer,
    /// The hexadecimal digits of r ‖ s: no profile takes it, the signer must be mended.
    Hex,
}

/// What was found about a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Diagnosis {
    /// Whether the signature holds under the profile as it is.
    pub holds_as_registered: bool,
    /// Whether it holds with what the findings name.
    pub holds_otherwise: bool,
    /// All that differs. Without one the token is right, or was signed by another key or changed afterwards.
    pub findings: Vec<Finding>,
}

/// Tries what could make a token verify.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Doctor {
    user_ids: Vec<Vec<u8>>,
    limits: Limits,
}

impl Doctor {
    /// Tries the usual user ids.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tries this user id as well.
    pub fn user_id(mut self, user_id: impl Into<Vec<u8>>) -> Self {
        self.user_ids.push(user_id.into());
        self
    }

    /// Other limits than those of tokens.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What is different about `token` from what `profile` says, given the public key that should have signed.
    #[must_use]
    pub fn diagnose(&self, token: &str, key: &VerifyingKey, profile: &Profile) -> Diagnosis {
        let mut findings = Vec::new();
        let text = normalised(token.trim(), &mut findings);
        let parts = match Parts::read(&text, &self.limits) {
            Ok(parts) => parts,
            Err(error) => {
                findings.push(Finding::NotAToken {
                    code: error.code(),
                    reason: error.to_string(),
                });
                return Diagnosis {
                    holds_as_registered: false,
                    holds_otherwise: false,
                    findings,
                };
            }
        };
        parts.compare_header(profile, &mut findings);
        let attempts = self.attempts(&parts, key, profile);
        let registered = attempts.iter().any(|attempt| attempt.differs() == 0);
        // Of all that works, what differs least.
        let best = attempts.iter().min_by_key(|attempt| attempt.differs());
        if let Some(attempt) = best {
            attempt.report(&mut findings);
        }
        Diagnosis {
            holds_as_registered: registered && findings.is_empty(),
            holds_otherwise: best.is_some() && !findings.is_empty(),
            findings,
        }
    }

    /// Every combination under which the signature holds.
    fn attempts(&self, parts: &Parts, key: &VerifyingKey, profile: &Profile) -> Vec<Attempt> {
        let mut user_ids: Vec<Option<&[u8]>> = vec![Some(profile.user_id())];
        let others = USER_IDS
            .iter()
            .copied()
            .chain(self.user_ids.iter().map(Vec::as_slice));
        for id in others.map(Some).chain([None]) {
            if !user_ids.contains(&id) {
                user_ids.push(id);
            }
        }
        let mut attempts = Vec::new();
        for (form, signature) in parts.signatures() {
            for hash in [HashAlgorithm::Sm3, HashAlgorithm::Sha256] {
                for user_id in &user_ids {
                    let z = match user_id {
                        Some(id) => match crypto::z(hash, id, &key.to_sec1_bytes()) {
                            Some(z) => z.to_vec(),
                            None => continue,
                        },
                        None => Vec::new(),
                    };
                    let item = VerifyItem {
                        key: key.point(),
                        hash,
                        z: &z,
                        message: parts.signing_input.as_bytes(),
                        signature: &signature,
                    };
                    if crypto::verify(&item) {
                        attempts.push(Attempt {
                            form: (form != registered_form(profile)).then_some(form),
                            hash: (hash != profile.hash()).then_some(hash),
                            user_id: (*user_id != Some(profile.user_id()))
                                .then(|| user_id.map(<[u8]>::to_vec)),
                        });
                    }
                }
            }
        }
        attempts
    }
}

/// Parameters under which a signature holds, as far as they differ from the profile's.
struct Attempt {
    form: Option<SignatureForm>,
    hash: Option<HashAlgorithm>,
    /// `Some(None)`: without Z.
    user_id: Option<Option<Vec<u8>>>,
}

impl Attempt {
    fn differs(&self) -> usize {
        usize::from(self.form.is_some())
            .saturating_add(usize::from(self.hash.is_some()))
            .saturating_add(usize::from(self.user_id.is_some()))
    }

    fn report(&self, findings: &mut Vec<Finding>) {
        if let Some(works) = self.form {
            findings.push(Finding::Encoding { works });
        }
        if let Some(hash) = self.hash {
            let works = match hash {
                HashAlgorithm::Sm3 => "SM3",
                HashAlgorithm::Sha256 => "SHA-256",
            };
            findings.push(Finding::Hash { works });
        }
        match &self.user_id {
            None => {}
            Some(Some(id)) => findings.push(Finding::UserId {
                works: id.escape_ascii().to_string(),
            }),
            Some(None) => findings.push(Finding::WithoutZ),
        }
    }
}

fn registered_form(profile: &Profile) -> SignatureForm {
    match profile.encoding() {
        SignatureEncoding::Raw => SignatureForm::Raw,
        SignatureEncoding::Der => SignatureForm::Der,
    }
}

/// A token's parts that matter here.
struct Parts {
    signing_input: String,
    alg: String,
    crv: Option<String>,
    kid: String,
    sm2_kid: Option<String>,
    signature: Vec<u8>,
}

impl Parts {
    /// Header and payload as strictly as a verifier reads them; a signature of any length that is tried here.
    fn read(text: &str, limits: &Limits) -> Result<Self, Error> {
        let (signing_input, signature) = text.rsplit_once('.').ok_or(Error::NotCompact)?;
        // A hexadecimal signature is longer than any that a verifier takes.
        crate::compact::cap(signature.len(), 4 * MAX_SIGNATURE_LEN, "the signature")?;
        let signature = base64url::decode(signature, "the signature")?;
        let token = UnverifiedToken::parse(&format!("{signing_input}.AAAA"), limits)?;
        Ok(Self {
            signing_input: signing_input.to_owned(),
            alg: token.header.alg,
            crv: token.header.crv,
            kid: token.header.kid,
            sm2_kid: token.claims.sm2_kid,
            signature,
        })
    }

    fn compare_header(&self, profile: &Profile, findings: &mut Vec<Finding>) {
        if self.alg != profile.alg() {
            findings.push(Finding::Algorithm {
                token: self.alg.clone(),
                profile: profile.alg().to_owned(),
            });
        }
        if self.crv.as_deref() != profile.crv() {
            findings.push(Finding::Curve {
                token: self.crv.clone(),
                profile: profile.crv().map(str::to_owned),
            });
        }
        let agrees = match &self.sm2_kid {
            Some(kid) => *kid == self.kid,
            None => !profile.kid_claim_required(),
        };
        if !agrees {
            findings.push(Finding::KidClaim);
        }
    }

    /// The signature in every form that it reads in.
    fn signatures(&self) -> Vec<(SignatureForm, [u8; SIGNATURE_LEN])> {
        let mut found = Vec::new();
        let bytes = &self.signature[..];
        if let Some(raw) = SignatureEncoding::Raw.decode(bytes) {
            found.push((SignatureForm::Raw, raw));
        }
        match SignatureEncoding::Der.decode(bytes) {
            Some(raw) => found.push((SignatureForm::Der, raw)),
            None => found.extend(lax_der(bytes).map(|raw| (SignatureForm::LaxDer, raw))),
        }
        found.extend(hex(bytes).map(|raw| (SignatureForm::Hex, raw)));
        found
    }
}

/// Base64 with padding or of the other alphabet, as base64url.
fn normalised(token: &str, findings: &mut Vec<Finding>) -> String {
    let mut names = ["the header", "the payload", "the signature"].into_iter();
    let parts: Vec<String> = token
        .split('.')
        .map(|part| {
            let name = names.next();
            let other = part
                .trim_end_matches('=')
                .replace('+', "-")
                .replace('/', "_");
            if let (true, Some(name)) = (other != part, name) {
                findings.push(Finding::Base64 { part: name });
            }
            other
        })
        .collect();
    parts.join(".")
}

/// A SEQUENCE of two INTEGERs with needless zeros, a missing sign byte or long lengths.
fn lax_der(bytes: &[u8]) -> Option<[u8; SIGNATURE_LEN]> {
    fn value<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
        let (&[found, first], rest) = bytes.split_first_chunk::<2>()?;
        let (len, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81 => {
                let (len, rest) = rest.split_first()?;
                (usize::from(*len), rest)
            }
            0x82 => {
                let (len, rest) = rest.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*len)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(len)?;
        *bytes = rest;
        (found == tag).then_some(value)
    }
    let mut outer = bytes;
    let mut inner = value(&mut outer, der::SEQUENCE)?;
    let mut raw = [0u8; SIGNATURE_LEN];
    for half in raw.chunks_mut(32) {
        let mut number = value(&mut inner, der::INTEGER)?;
        while let [0, rest @ ..] = number {
            number = rest;
        }
        let at = half.len().checked_sub(number.len())?;
        half.get_mut(at..)?.copy_from_slice(number);
    }
    (outer.is_empty() && inner.is_empty()).then_some(raw)
}

/// 128 hexadecimal digits.
fn hex(bytes: &[u8]) -> Option<[u8; SIGNATURE_LEN]> {
    let (pairs, []) = bytes.as_chunks::<2>() else {
        return None;
    };
    let mut raw = [0u8; SIGNATURE_LEN];
    if pairs.len() != raw.len() {
        return None;
    }
    for (byte, pair) in raw.iter_mut().zip(pairs) {
        if !pair.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(raw)
}

impl fmt::Display for SignatureForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raw => "raw r ‖ s of 64 bytes",
            Self::Der => "canonical DER",
            Self::LaxDer => "DER that is not canonical, which no profile takes",
            Self::Hex => "hexadecimal digits, which no profile takes",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |name: &Option<String>| match name {
            Some(name) => format!("`{}`", name.escape_debug()),
            None => "none".to_owned(),
        };
        match self {
            Self::NotAToken { reason, .. } => write!(f, "not a token: {reason}"),
            Self::Base64 { part } => {
                write!(
                    f,
                    "{part} has padding, `+` or `/`: base64url without padding belongs there"
                )
            }
            Self::Algorithm { token, profile } => write!(
                f,
                "alg: the token says `{}`, the profile `{}`",
                token.escape_debug(),
                profile.escape_debug()
            ),
            Self::Curve { token, profile } => write!(
                f,
                "crv: the token says {}, the profile {}",
                or_none(token),
                or_none(profile)
            ),
            Self::KidClaim => {
                f.write_str("the claim `sm2_kid` is missing or is not the header's `kid`")
            }
            Self::Encoding { works } => write!(f, "encoding: the signature is {works}"),
            Self::UserId { works } => write!(f, "user id: the signature is for `{works}`"),
            Self::Hash { works } => write!(f, "hash: the signature is over {works}"),
            Self::WithoutZ => f.write_str("the signature leaves out Z, which no profile takes"),
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (self.holds_as_registered, self.holds_otherwise) {
            (true, _) => "the signature holds under this profile",
            (false, true) => "the signature would hold if these were agreed on",
            (false, false) => {
                "the signature holds under nothing that was tried: another key signed, or something was changed"
            }
        };
        f.write_str(verdict)?;
        for finding in &self.findings {
            write!(f, "\n  {finding}")?;
        }
        Ok(())
    }
}
