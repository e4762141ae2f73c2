//! API keys: long random secrets for programs, of which only an HMAC-SM3 is kept.
//!
//! A key is `smk_`, its public identifier, `_`, and 256 random bits in base64url. What is stored is
//! HMAC-SM3(pepper, "smjwt/api-key/1" ‖ identifier ‖ secret), every part behind its length: a copy of the store does not
//! let anybody in, and without the pepper cannot even be searched.

use std::collections::HashMap;
use std::fmt;
use std::future;
use std::sync::Arc;

use http::Extensions;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::authenticator::{Authenticated, AuthenticatedBy, Authenticator, Identity};
use crate::base64url;
use crate::clock::{Clock, SystemClock};
use crate::credentials::single;
use crate::crypto::{MacKey, fill_random};
use crate::error::{Error, StoreError};
use crate::future::BoxFuture;

const PREFIX: &str = "smk_";
const LABEL: &[u8] = b"smjwt/api-key/1";
/// The longest identifier in bytes.
const MAX_ID_LEN: usize = 64;
/// The fewest bytes of a pepper: 128 bits.
const MIN_PEPPER_LEN: usize = 16;

/// What is kept of an API key, and whom it stands for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyRecord {
    /// The key's public identifier.
    pub id: String,
    /// HMAC-SM3 of the key, in base64url.
    pub hash: String,
    /// Whom the key stands for.
    pub subject: String,
    /// The tenant that the subject acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The subject's roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// What the key may be used for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// The first second at which the key is no longer good, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// A key that is switched off.
    #[serde(default)]
    pub disabled: bool,
}

impl fmt::Debug for ApiKeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyRecord")
            .field("id", &self.id)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

/// Where records of API keys are: a configuration, a database.
///
/// # Contract
/// Whoever finds nothing answers `Ok(None)`; an error refuses the request and is no answer to whether the key exists.
pub trait ApiKeyStore: fmt::Debug + Send + Sync {
    /// The record of the key with this identifier.
    ///
    /// # Errors
    /// Any of [`StoreError`]; each refuses the request.
    fn find<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<ApiKeyRecord>, StoreError>>;
}

/// Records in memory, from a configuration.
#[derive(Debug, Clone, Default)]
pub struct MemoryApiKeys(HashMap<String, ApiKeyRecord>);

impl MemoryApiKeys {
    /// These records.
    ///
    /// # Errors
    /// [`Error::Config`] for two records of one identifier, and for a hash that is not 32 bytes in base64url.
    pub fn new(records: impl IntoIterator<Item = ApiKeyRecord>) -> Result<Self, Error> {
        let mut by_id = HashMap::new();
        for record in records {
            let id = record.id.clone();
            base64url::decode_exact(&record.hash, &mut [0u8; 32]).ok_or_else(|| {
                Error::Config(format!("the hash of the API key `{id}` is malformed"))
            })?;
            if by_id.insert(id.clone(), record).is_some() {
                return Err(Error::Config(format!("two API keys are named `{id}`")));
            }
        }
        Ok(Self(by_id))
    }
}

impl ApiKeyStore for MemoryApiKeys {
    fn find<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<ApiKeyRecord>, StoreError>> {
        Box::pin(future::ready(Ok(self.0.get(id).cloned())))
    }
}

/// The secret under which API keys are hashed. It is kept apart from their records, and wiped on drop.
pub struct Pepper(MacKey);

impl Pepper {
    /// Takes 16 bytes or more, random ones.
    ///
    /// # Errors
    /// [`Error::Config`] for fewer.
    pub fn new(pepper: &[u8]) -> Result<Self, Error> {
        if pepper.len() < MIN_PEPPER_LEN {
            return Err(Error::Config(format!(
                "a pepper has at least {MIN_PEPPER_LEN} bytes"
            )));
        }
        Ok(Self(MacKey::new(pepper)))
    }

    fn hash(&self, id: &str, secret: &[u8]) -> [u8; 32] {
        let length = |part: &[u8]| (part.len() as u64).to_be_bytes();
        self.0.mac(&[
            &length(LABEL),
            LABEL,
            &length(id.as_bytes()),
            id.as_bytes(),
            &length(secret),
            secret,
        ])
    }

    /// A new key of this identifier, for this subject: the text that its owner gets, once, and the record to keep.
    ///
    /// # Errors
    /// [`Error::Config`] for an identifier that is not 1 to 64 letters, digits and hyphens, and [`Error::Random`].
    pub fn generate(
        &self,
        id: &str,
        subject: impl Into<String>,
    ) -> Result<(Zeroizing<String>, ApiKeyRecord), Error> {
        if !is_id(id) {
            return Err(Error::Config(format!(
                "an API key's identifier has 1 to {MAX_ID_LEN} letters, digits and hyphens"
            )));
        }
        let mut secret = Zeroizing::new([0u8; 32]);
        fill_random(&mut *secret)?;
        // Room from the start: a text that grows leaves copies behind.
        let room = PREFIX.len().saturating_add(id.len()).saturating_add(64);
        let mut text = Zeroizing::new(String::with_capacity(room));
        text.push_str(PREFIX);
        text.push_str(id);
        text.push('_');
        base64url::encode_secret(&secret, &mut text);
        let record = ApiKeyRecord {
            id: id.to_owned(),
            hash: base64url::encode(&self.hash(id, &*secret)),
            subject: subject.into(),
            tenant: None,
            roles: Vec::new(),
            scopes: Vec::new(),
            expires_at: None,
            disabled: false,
        };
        Ok((text, record))
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper { .. }")
    }
}

fn is_id(id: &str) -> bool {
    (1..=MAX_ID_LEN).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Identifier and secret of a key.
fn take_apart(key: &str) -> Option<(&str, Zeroizing<[u8; 32]>)> {
    // The identifier has no `_`; the secret may.
    let (id, secret) = key.strip_prefix(PREFIX)?.split_once('_')?;
    let mut bytes = Zeroizing::new([0u8; 32]);
    base64url::decode_exact(secret, &mut *bytes)?;
    is_id(id).then_some((id, bytes))
}

/// Takes API keys from a header, `X-API-Key` unless another is named.
///
/// Leaves [`Identity`] in the request.
#[derive(Debug)]
pub struct ApiKeyAuthenticator {
    pepper: Pepper,
    store: Arc<dyn ApiKeyStore>,
    header: HeaderName,
    clock: Arc<dyn Clock>,
}

impl ApiKeyAuthenticator {
    /// Keys with a record in `store`, hashed under `pepper`.
    #[must_use]
    pub fn new(pepper: Pepper, store: Arc<dyn ApiKeyStore>) -> Self {
        Self {
            pepper,
            store,
            header: HeaderName::from_static("x-api-key"),
            clock: Arc::new(SystemClock),
        }
    }

    /// From another header.
    #[must_use]
    pub fn header(mut self, name: HeaderName) -> Self {
        self.header = name;
        self
    }

    /// Another clock than the operating system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks one key.
    ///
    /// # Errors
    /// [`Error::BadApiKey`], the same for every reason, and [`Error::ApiKeyStore`] when the store cannot say.
    pub async fn check(&self, key: &str) -> Result<ApiKeyRecord, Error> {
        let (id, secret) = take_apart(key).ok_or(Error::BadApiKey)?;
        let record = self.store.find(id).await.map_err(Error::ApiKeyStore)?;
        // Hashed whether there is a record or not: the time does not tell.
        let hash = self.pepper.hash(id, &*secret);
        let record = record.filter(|record| record.id == id);
        let mut wanted = [0u8; 32];
        let readable = record
            .as_ref()
            .is_some_and(|record| base64url::decode_exact(&record.hash, &mut wanted).is_some());
        let same = bool::from(hash.ct_eq(&wanted));
        let record = record
            .filter(|_| readable && same)
            .ok_or(Error::BadApiKey)?;
        let now = self.clock.unix_seconds();
        if record.disabled || record.expires_at.is_some_and(|end| now >= end) {
            return Err(Error::BadApiKey);
        }
        Ok(record)
    }
}

impl Authenticator for ApiKeyAuthenticator {
    fn authenticate<'a>(
        &'a self,
        request: &'a Parts,
    ) -> BoxFuture<'a, Result<Option<Authenticated>, Error>> {
        Box::pin(async move {
            let Some(key) = single(&request.headers, &self.header)? else {
                return Ok(None);
            };
            let record = self.check(key).await?;
            let identity = Identity::new(AuthenticatedBy::ApiKey, record.subject)
                .with_tenant(record.tenant)
                .with_roles(record.roles)
                .with_scopes(record.scopes);
            Ok(Some(Authenticated::new(identity)))
        })
    }

    fn clear(&self, _: &mut Extensions) {}

    fn challenges(&self, _: &Error) -> Vec<HeaderValue> {
        // A 401 has a challenge (RFC 9110 section 15.5.2). No scheme is registered for keys in a header of their own:
        // this is the name that is in use.
        HeaderValue::try_from(format!(r#"ApiKey header="{}""#, self.header))
            .into_iter()
            .collect()
    }
}
