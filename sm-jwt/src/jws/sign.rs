//! Signing payloads.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::header::{JwsHeader, is_token_type};
use crate::base64url;
use crate::error::Error;
use crate::json::describe;
use crate::key_id::KeyId;
use crate::keys::SigningKey;
use crate::profile::Profile;
use crate::signing::{AsyncExternalSigner, ExternalSigner, Signing};
use crate::trusted_key::TrustedKey;

/// The compact forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JwsForm {
    /// `header.payload.signature` (RFC 7515 section 7.1).
    Compact,
    /// `header..signature`: the payload travels beside it (RFC 7515 appendix F).
    Detached,
    /// `header..signature` over the payload's own bytes, which travel beside it: `b64` is `false`, and `crit` names it
    /// (RFC 7797). Nothing as large as the payload is copied or encoded.
    DetachedUnencoded,
}

/// Where the payload of the JSON form is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonPayload {
    /// In it, as base64url.
    Encoded,
    /// In it, as text: it must be UTF-8. `b64` is `false` (RFC 7797).
    Unencoded,
    /// Beside it.
    Detached,
}

/// Signs payloads with one key under one profile.
///
/// ```
/// use std::sync::Arc;
/// use sm_jwt::{JwsForm, JwsSigner, JwsVerifier, KeyId, KeySet, Profile, SharedKeySet, SigningKey};
///
/// # fn main() -> Result<(), sm_jwt::Error> {
/// let signer = JwsSigner::new(SigningKey::generate()?, KeyId::new("statements")?, Profile::default())?
///     .with_type("statement+jws")?;
/// let document = b"any bytes";
/// let signature = signer.sign(document, JwsForm::DetachedUnencoded)?;
///
/// let keys = KeySet::from_trusted([signer.key().clone()])?;
/// let verifier = JwsVerifier::builder(Arc::new(SharedKeySet::new(keys)))
///     .typ("statement+jws")
///     .build()?;
/// verifier.verify_detached(&signature, document)?;
/// # Ok(())
/// # }
/// ```
pub struct JwsSigner {
    signing: Signing,
    typ: Option<String>,
    cty: Option<String>,
}

impl JwsSigner {
    /// A signer with a key of this process.
    ///
    /// # Errors
    /// [`Error::Config`] when the profile's user id cannot be used.
    pub fn new(key: SigningKey, kid: KeyId, profile: Profile) -> Result<Self, Error> {
        Ok(Self::with(Signing::local(key, kid, profile)?))
    }

    /// A signer whose private key is in a device.
    #[must_use]
    pub fn external(key: TrustedKey, signer: Arc<dyn ExternalSigner>) -> Self {
        Self::with(Signing::external(key, signer))
    }

    /// A signer whose private key is with a service that has to be waited for.
    #[must_use]
    pub fn external_async(key: TrustedKey, signer: Arc<dyn AsyncExternalSigner>) -> Self {
        Self::with(Signing::external_async(key, signer))
    }

    fn with(signing: Signing) -> Self {
        Self {
            signing,
            typ: None,
            cty: None,
        }
    }

    /// Says in `typ` what the whole is.
    ///
    /// # Errors
    /// [`Error::Config`] for an empty `typ` and for one that tokens have.
    pub fn with_type(self, typ: impl Into<String>) -> Result<Self, Error> {
        let typ = typ.into();
        if typ.is_empty() || is_token_type(&typ) {
            return Err(Error::Config(
                "a signed payload's `typ` is not empty, and none that tokens have".to_owned(),
            ));
        }
        Ok(self.typed(typ))
    }

    /// With a `typ` that is right.
    pub(crate) fn typed(mut self, typ: impl Into<String>) -> Self {
        self.typ = Some(typ.into());
        self
    }

    /// Says in `cty` what the payload is.
    #[must_use]
    pub fn with_content_type(mut self, cty: impl Into<String>) -> Self {
        self.cty = Some(cty.into());
        self
    }

    /// What verifiers trust.
    #[must_use]
    pub fn key(&self) -> &TrustedKey {
        self.signing.key()
    }

    /// Signs a payload.
    ///
    /// # Errors
    /// [`Error::Random`] or [`Error::Signer`].
    pub fn sign(&self, payload: &[u8], form: JwsForm) -> Result<String, Error> {
        let draft = self.draft(payload, form != JwsForm::DetachedUnencoded)?;
        let signature = self.signing.sign(&draft.input)?;
        Ok(draft.compact(form, &signature))
    }

    /// [`sign`](Self::sign) by any signer.
    ///
    /// # Errors
    /// As [`sign`](Self::sign).
    pub async fn sign_async(&self, payload: &[u8], form: JwsForm) -> Result<String, Error> {
        let draft = self.draft(payload, form != JwsForm::DetachedUnencoded)?;
        let signature = self.signing.sign_async(&draft.input).await?;
        Ok(draft.compact(form, &signature))
    }

    /// Signs a payload with every signer, in the JSON serialisation (RFC 7515 section 7.2): flattened for one signer,
    /// general for several.
    ///
    /// # Errors
    /// [`Error::Config`] without a signer, or for an unencoded payload that is not UTF-8; else as [`sign`](Self::sign).
    pub fn sign_json(
        signers: &[&Self],
        payload: &[u8],
        place: JsonPayload,
    ) -> Result<String, Error> {
        let mut signatures = Vec::with_capacity(signers.len());
        for signer in signers {
            let draft = signer.draft(payload, place != JsonPayload::Unencoded)?;
            let signature = signer.signing.sign(&draft.input)?;
            signatures.push(draft.member(&signature));
        }
        to_json(signatures, payload, place)
    }

    /// [`sign_json`](Self::sign_json) by any signers, one after the other.
    ///
    /// # Errors
    /// As [`sign_json`](Self::sign_json).
    pub async fn sign_json_async(
        signers: &[&Self],
        payload: &[u8],
        place: JsonPayload,
    ) -> Result<String, Error> {
        let mut signatures = Vec::with_capacity(signers.len());
        for signer in signers {
            let draft = signer.draft(payload, place != JsonPayload::Unencoded)?;
            let signature = signer.signing.sign_async(&draft.input).await?;
            signatures.push(draft.member(&signature));
        }
        to_json(signatures, payload, place)
    }

    fn draft(&self, payload: &[u8], encoded: bool) -> Result<Draft, Error> {
        let profile = self.key().profile();
        let header = JwsHeader {
            alg: profile.alg().to_owned(),
            kid: self.key().kid().as_str().to_owned(),
            typ: self.typ.clone(),
            cty: self.cty.clone(),
            crv: profile.crv().map(str::to_owned),
            b64: (!encoded).then_some(false),
            crit: match encoded {
                true => Vec::new(),
                false => vec!["b64".to_owned()],
            },
        };
        let header = serde_json::to_vec(&header).map_err(|error| Error::Json {
            what: "the header",
            detail: describe(&error),
        })?;
        let header = base64url::encode(&header);
        let mut input = Vec::with_capacity(header.len().saturating_add(payload.len()));
        input.extend_from_slice(header.as_bytes());
        input.push(b'.');
        match encoded {
            true => input.extend_from_slice(base64url::encode(payload).as_bytes()),
            false => input.extend_from_slice(payload),
        }
        Ok(Draft { header, input })
    }
}

/// A header, and what the signature is over.
struct Draft {
    header: String,
    input: Vec<u8>,
}

impl Draft {
    fn compact(self, form: JwsForm, signature: &[u8]) -> String {
        let signature = base64url::encode(signature);
        match form {
            // Encoded, so that it is text.
            JwsForm::Compact => {
                let mut text = String::from_utf8(self.input).unwrap_or_default();
                text.push('.');
                text.push_str(&signature);
                text
            }
            JwsForm::Detached | JwsForm::DetachedUnencoded => {
                format!("{}..{signature}", self.header)
            }
        }
    }

    fn member(self, signature: &[u8]) -> Map<String, Value> {
        let mut member = Map::new();
        member.insert("protected".to_owned(), self.header.into());
        member.insert("signature".to_owned(), base64url::encode(signature).into());
        member
    }
}

fn to_json(
    mut signatures: Vec<Map<String, Value>>,
    payload: &[u8],
    place: JsonPayload,
) -> Result<String, Error> {
    let payload = match place {
        JsonPayload::Encoded => Some(base64url::encode(payload)),
        JsonPayload::Unencoded => Some(
            std::str::from_utf8(payload)
                .map_err(|_| Error::Config("an unencoded payload in JSON is UTF-8".to_owned()))?
                .to_owned(),
        ),
        JsonPayload::Detached => None,
    };
    let mut whole = match signatures.len() {
        0 => return Err(Error::Config("nobody signs".to_owned())),
        1 => signatures.pop().unwrap_or_default(),
        _ => {
            let mut whole = Map::new();
            whole.insert("signatures".to_owned(), json!(signatures));
            whole
        }
    };
    if let Some(payload) = payload {
        whole.insert("payload".to_owned(), payload.into());
    }
    Ok(Value::Object(whole).to_string())
}

impl fmt::Debug for JwsSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwsSigner")
            .field("signing", &self.signing)
            .field("typ", &self.typ)
            .finish_non_exhaustive()
    }
}
