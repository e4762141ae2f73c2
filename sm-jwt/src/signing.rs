//! Who makes signatures: a key in this process, or a device or service that holds one.

use std::fmt;
use std::sync::Arc;

use crate::base64url;
use crate::crypto::{self, SIGNATURE_LEN, SignItem, VerifyItem};
use crate::error::Error;
use crate::future::BoxFuture;
use crate::hash::HashAlgorithm;
use crate::key_id::KeyId;
use crate::keys::SigningKey;
use crate::profile::Profile;
use crate::trusted_key::TrustedKey;

/// Why an external signer failed.
pub type SignerError = Box<dyn std::error::Error + Send + Sync>;

/// What an external signer is to sign. It takes what it works on: the message, or the digest e.
pub struct SigningInput<'a> {
    key: &'a TrustedKey,
    message: &'a [u8],
    digest: [u8; 32],
}

impl<'a> SigningInput<'a> {
    fn new(key: &'a TrustedKey, message: &'a [u8]) -> Self {
        Self {
            digest: crypto::digest(key.profile().hash(), &[key.z(), message]),
            key,
            message,
        }
    }

    /// The message, for signers that hash it themselves, with [`user_id`](Self::user_id).
    #[must_use]
    pub fn message(&self) -> &[u8] {
        self.message
    }

    /// e = H(Z ‖ M), 32 bytes: what most devices sign.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The user id that goes into Z.
    #[must_use]
    pub fn user_id(&self) -> &[u8] {
        self.key.profile().user_id()
    }

    /// The hash.
    #[must_use]
    pub fn hash(&self) -> HashAlgorithm {
        self.key.profile().hash()
    }

    /// The key's name.
    #[must_use]
    pub fn kid(&self) -> &KeyId {
        self.key.kid()
    }
}

impl fmt::Debug for SigningInput<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningInput")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// A device that signs, such as an HSM behind PKCS#11 or GM/T 0018.
///
/// What it gives is verified with the public key before anything leaves: a device that was told the wrong key, or that
/// fails in arithmetic, gives an error and no token.
///
/// For tests of one's own: a [`SigningKey`] is no signer for this trait, as its `sign_message` refuses what makes tokens. Sign
/// [`SigningInput::message`] with another SM2 implementation, such as the crate `sm2`, or use [`Signer::new`](crate::Signer::new).
pub trait ExternalSigner: fmt::Debug + Send + Sync {
    /// The signature r ‖ s, 64 bytes, each big-endian and zero-padded to 32.
    ///
    /// # Errors
    /// Whatever went wrong; it becomes the source of [`Error::Signer`].
    fn sign(&self, input: &SigningInput<'_>) -> Result<[u8; SIGNATURE_LEN], SignerError>;
}

/// A service that signs, such as a key-management service over the network. As [`ExternalSigner`], with waiting.
pub trait AsyncExternalSigner: fmt::Debug + Send + Sync {
    /// The signature r ‖ s.
    ///
    /// # Errors
    /// Whatever went wrong; it becomes the source of [`Error::Signer`].
    fn sign<'a>(
        &'a self,
        input: &'a SigningInput<'a>,
    ) -> BoxFuture<'a, Result<[u8; SIGNATURE_LEN], SignerError>>;
}

/// A public key with its name and profile, and who signs for it.
pub(crate) struct Signing {
    key: TrustedKey,
    source: Source,
}

enum Source {
    Local(SigningKey),
    External(Arc<dyn ExternalSigner>),
    Async(Arc<dyn AsyncExternalSigner>),
}

impl Signing {
    pub(crate) fn local(key: SigningKey, kid: KeyId, profile: Profile) -> Result<Self, Error> {
        Ok(Self {
            key: TrustedKey::new(kid, key.verifying_key().clone(), profile)?,
            source: Source::Local(key),
        })
    }

    pub(crate) fn external(key: TrustedKey, signer: Arc<dyn ExternalSigner>) -> Self {
        Self {
            key,
            source: Source::External(signer),
        }
    }

    pub(crate) fn external_async(key: TrustedKey, signer: Arc<dyn AsyncExternalSigner>) -> Self {
        Self {
            key,
            source: Source::Async(signer),
        }
    }

    pub(crate) fn key(&self) -> &TrustedKey {
        &self.key
    }

    /// The signature over `message` in the profile's encoding.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.source {
            Source::Local(key) => {
                let item = SignItem {
                    key: key.secret(),
                    hash: self.key.profile().hash(),
                    z: self.key.z(),
                    message,
                };
                let raw = crypto::sign(&item)?;
                Ok(self.encode(&raw))
            }
            Source::External(signer) => {
                let raw = signer
                    .sign(&SigningInput::new(&self.key, message))
                    .map_err(Error::Signer)?;
                self.check(message, &raw)
            }
            Source::Async(_) => Err(Error::Config(
                "this signer has to be waited for: call the async method".to_owned(),
            )),
        }
    }

    /// [`sign`](Self::sign), which also waits for a signer that has to be waited for.
    pub(crate) async fn sign_async(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let Source::Async(signer) = &self.source else {
            return self.sign(message);
        };
        let input = SigningInput::new(&self.key, message);
        let raw = signer.sign(&input).await.map_err(Error::Signer)?;
        self.check(message, &raw)
    }

    fn check(&self, message: &[u8], raw: &[u8; SIGNATURE_LEN]) -> Result<Vec<u8>, Error> {
        let item = VerifyItem {
            key: self.key.key().point(),
            hash: self.key.profile().hash(),
            z: self.key.z(),
            message,
            signature: raw,
        };
        match crypto::verify(&item) {
            true => Ok(self.encode(raw)),
            false => Err(Error::SignerGaveWrongSignature),
        }
    }

    fn encode(&self, raw: &[u8; SIGNATURE_LEN]) -> Vec<u8> {
        self.key.profile().encoding().encode(raw)
    }

    /// `input` with its signature behind a dot: a compact JWS.
    pub(crate) fn finish(&self, mut input: String) -> Result<String, Error> {
        let signature = self.sign(input.as_bytes())?;
        push_signature(&mut input, &signature);
        Ok(input)
    }

    /// [`finish`](Self::finish), which also waits.
    pub(crate) async fn finish_async(&self, mut input: String) -> Result<String, Error> {
        let signature = self.sign_async(input.as_bytes()).await?;
        push_signature(&mut input, &signature);
        Ok(input)
    }
}

fn push_signature(input: &mut String, signature: &[u8]) {
    input.push('.');
    base64url::encode_into(signature, input);
}

/// The text that a compact JWS's signature covers.
pub(crate) fn signing_input(header: &[u8], payload: &[u8]) -> String {
    signing_input_under(&base64url::encode(header), payload)
}

/// [`signing_input`] under a header that is encoded already.
pub(crate) fn signing_input_under(header: &str, payload: &[u8]) -> String {
    let payload_len = base64url::encoded_len(payload.len());
    // Room for a signature as well.
    let room = header.len().saturating_add(payload_len).saturating_add(128);
    let mut input = String::with_capacity(room);
    input.push_str(header);
    input.push('.');
    base64url::encode_into(payload, &mut input);
    input
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source {
            Source::Local(_) => "this process",
            Source::External(_) | Source::Async(_) => "external",
        };
        f.debug_struct("Signing")
            .field("key", &self.key)
            .field("source", &source)
            .finish()
    }
}
