//! Signed heads: what the log says of itself at one moment, for everybody to check.

use crate::canonical::{self, ObjectWriter, Value};
use crate::chain::Hash;
use crate::clock::EventTime;
use crate::crypto::{PublicKey, SecretKey, Signed, sm3, verify_many};
use crate::error::{Error, SignError};
use crate::hex;
use crate::random::{OsRandomness, Randomness};
use std::ops::Deref;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Says in the signed bytes what they are, so that a signature made for something else never counts.
const TYPE: &str = "smal/checkpoint";
const VERSION: i64 = 1;
const MAX_KEY_ID: usize = 128;

/// Longest stream id, in bytes.
pub(crate) const MAX_STREAM: usize = 128;

/// The head of a stream: everything up to `size` records is fixed by `root` and `link`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which stream.
    pub stream: String,
    /// How many records the tree holds.
    pub size: u64,
    /// The Merkle root over their leaves.
    pub root: Hash,
    /// The last record's link (32 zero bytes when there is none).
    pub link: Hash,
    /// When it was signed.
    pub time: EventTime,
    /// Whose key signs.
    pub key_id: String,
    /// The previous checkpoint's hash (32 zero bytes for the first).
    pub previous: Hash,
}

impl Checkpoint {
    /// The canonical bytes: what is signed and hashed.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when a name is empty or too long.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        self.check()?;
        let mut out = Vec::with_capacity(512);
        ObjectWriter::write(&mut out, |body| {
            body.string("key_id", &self.key_id)?;
            body.string("link", &hex::encode(&self.link))?;
            body.string("prev", &hex::encode(&self.previous))?;
            body.string("root", &hex::encode(&self.root))?;
            body.wide("size", self.size)?;
            body.string("stream", &self.stream)?;
            self.time.write(body)?;
            body.string("type", TYPE)?;
            body.int("v", VERSION)
        })?;
        Ok(out)
    }

    /// Reads canonical bytes; every other spelling and every unknown member is refused.
    ///
    /// # Errors
    /// [`Error::Canonical`] or [`Error::Checkpoint`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Self::read(&canonical::parse(bytes)?)
    }

    fn read(value: &Value) -> Result<Self, Error> {
        let bad =
            |what: &str| Error::Checkpoint(format!("member `{what}` is missing or malformed"));
        let text = |name: &str| {
            value
                .get(name)
                .and_then(Value::as_str)
                .ok_or_else(|| bad(name))
        };
        let hash = |name: &str| hex::decode::<32>(text(name)?).ok_or_else(|| bad(name));
        if text("type")? != TYPE {
            return Err(Error::Checkpoint("not a checkpoint".into()));
        }
        if value.get("v") != Some(&Value::Int(VERSION)) {
            return Err(Error::Checkpoint(format!("version is not {VERSION}")));
        }
        let members = match value {
            Value::Object(members) => members.len(),
            _ => 0,
        };
        if members != 9 {
            return Err(Error::Checkpoint("unknown members".into()));
        }
        let checkpoint = Self {
            stream: text("stream")?.to_owned(),
            size: value
                .get("size")
                .and_then(Value::as_wide)
                .ok_or_else(|| bad("size"))?,
            root: hash("root")?,
            link: hash("link")?,
            time: value
                .get("time")
                .and_then(EventTime::read)
                .ok_or_else(|| bad("time"))?,
            key_id: text("key_id")?.to_owned(),
            previous: hash("prev")?,
        };
        checkpoint.check()?;
        Ok(checkpoint)
    }

    fn check(&self) -> Result<(), Error> {
        for (name, text, limit) in [
            ("stream", &self.stream, MAX_STREAM),
            ("key_id", &self.key_id, MAX_KEY_ID),
        ] {
            if text.is_empty() || text.len() > limit {
                let reason = format!("member `{name}` must have 1 to {limit} bytes");
                return Err(Error::Checkpoint(reason));
            }
        }
        self.time.check()
    }
}

/// hash = SM3(0x03 || canonical bytes), what the next checkpoint names as its previous one.
pub(crate) fn hash_of(body: &[u8]) -> Hash {
    sm3(&[&[0x03], body])
}

/// A checkpoint and its signature.
///
/// Keep one outside (a witness file on another volume, another party): whoever owns the disk can
/// only remove what is newer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    signature: [u8; 64],
}

impl SignedCheckpoint {
    /// Puts the two together; nothing is verified.
    pub fn new(checkpoint: Checkpoint, signature: [u8; 64]) -> Self {
        Self {
            checkpoint,
            signature,
        }
    }

    /// What is signed.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// r || s, 32 bytes each, big-endian.
    pub fn signature(&self) -> &[u8; 64] {
        &self.signature
    }

    /// One line of canonical JSON: `{"checkpoint":{...},"signature":"<128 hex digits>"}`.
    ///
    /// # Errors
    /// As [`Checkpoint::to_bytes`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut out = b"{\"checkpoint\":".to_vec();
        out.extend_from_slice(&self.checkpoint.to_bytes()?);
        out.extend_from_slice(b",\"signature\":\"");
        out.extend_from_slice(hex::encode(&self.signature).as_bytes());
        out.extend_from_slice(b"\"}");
        Ok(out)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) writes; nothing is verified.
    ///
    /// # Errors
    /// [`Error::Canonical`] or [`Error::Checkpoint`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let value = canonical::parse(bytes)?;
        let Value::Object(members) = &value else {
            return Err(Error::Checkpoint("not an object".into()));
        };
        let [(first, body), (second, signature)] = members.as_slice() else {
            return Err(Error::Checkpoint("not a signed checkpoint".into()));
        };
        let signature = signature.as_str().and_then(hex::decode::<64>);
        match (first.as_str(), second.as_str(), signature) {
            ("checkpoint", "signature", Some(signature)) => Ok(Self {
                checkpoint: Checkpoint::read(body)?,
                signature,
            }),
            _ => Err(Error::Checkpoint("not a signed checkpoint".into())),
        }
    }

    /// Checks the signature under the key of the same id among `keys`.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when the key is not trusted or the signature is not good.
    pub fn verify(&self, keys: &[CheckpointVerifyingKey]) -> Result<(), Error> {
        let body = self.checkpoint.to_bytes()?;
        verify_signature(keys, &self.checkpoint.key_id, &body, &self.signature)
    }
}

/// Checks one signature over a checkpoint's bytes as they are stored.
pub(crate) fn verify_signature(
    keys: &[CheckpointVerifyingKey],
    key_id: &str,
    body: &[u8],
    signature: &[u8; 64],
) -> Result<(), Error> {
    let mut known = keys.iter().filter(|key| key.key_id == key_id).peekable();
    if known.peek().is_none() {
        return Err(Error::Checkpoint(format!("key `{key_id}` is not trusted")));
    }
    let items: Vec<Signed<'_>> = known
        .map(|key| Signed {
            key: &key.key,
            message: body,
            signature,
        })
        .collect();
    if verify_many(&items).contains(&true) {
        Ok(())
    } else {
        let reason = format!("signature does not verify under key `{key_id}`");
        Err(Error::Checkpoint(reason))
    }
}

/// Signs heads: software, a KMS, an HSM.
///
/// # Contract
/// `sign` makes an SM2 signature (GM/T 0003.2, SM3, user id `1234567812345678`) over the message as
/// given, r || s of 32 bytes each; it hashes the message itself. It is called on the log's own
/// thread, about once per checkpoint interval, and may block.
pub trait CheckpointSigner: Send + Sync {
    /// The id under which verifiers know the public key; 1 to 128 bytes, always the same.
    fn key_id(&self) -> &str;

    /// Signs `message`.
    ///
    /// # Errors
    /// When the key cannot be used now. Records stay durable; the head is signed later.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError>;
}

impl<T: CheckpointSigner + ?Sized> CheckpointSigner for Arc<T> {
    fn key_id(&self) -> &str {
        (**self).key_id()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        (**self).sign(message)
    }
}

fn checked_key_id(key_id: impl Into<String>) -> Result<String, Error> {
    let key_id = key_id.into();
    if key_id.is_empty() || key_id.len() > MAX_KEY_ID {
        let reason = format!("a key id must have 1 to {MAX_KEY_ID} bytes");
        return Err(Error::Key(reason));
    }
    Ok(key_id)
}

/// A private key in PEM, wiped on drop; shows nothing in `Debug`.
pub struct SecretPem(Zeroizing<String>);

impl Deref for SecretPem {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Signs with an SM2 key in this process's memory, wiped on drop.
///
/// A key in software proves nothing against whoever can read this process's memory or backups;
/// where the assessment asks for it, use a device through [`CheckpointSigner`].
pub struct Sm2CheckpointSigner {
    key_id: String,
    key: SecretKey,
    random: Box<dyn Randomness>,
}

impl Sm2CheckpointSigner {
    /// A fresh key.
    ///
    /// # Errors
    /// [`Error::Random`] when the operating system's generator fails, [`Error::Key`] for a bad id.
    pub fn generate(key_id: impl Into<String>) -> Result<Self, Error> {
        Ok(Self {
            key_id: checked_key_id(key_id)?,
            key: SecretKey::generate(&OsRandomness)?,
            random: Box::new(OsRandomness),
        })
    }

    /// A key from PKCS#8 PEM (`BEGIN PRIVATE KEY`), as `openssl genpkey -algorithm SM2` writes it.
    ///
    /// # Errors
    /// [`Error::Key`] when it is not an SM2 key or d is not in [1, n-2].
    pub fn from_pkcs8_pem(key_id: impl Into<String>, pem: &str) -> Result<Self, Error> {
        Ok(Self {
            key_id: checked_key_id(key_id)?,
            key: SecretKey::from_pkcs8_pem(pem)?,
            random: Box::new(OsRandomness),
        })
    }

    /// Takes signature nonces' fresh bytes from `random` instead of the operating system.
    #[must_use]
    pub fn with_randomness(mut self, random: impl Randomness + 'static) -> Self {
        self.random = Box::new(random);
        self
    }

    /// The private key in PKCS#8 PEM.
    ///
    /// # Errors
    /// [`Error::Key`] when it cannot be encoded.
    pub fn to_pkcs8_pem(&self) -> Result<SecretPem, Error> {
        self.key.to_pkcs8_pem().map(SecretPem)
    }

    /// The public half, under the same id.
    ///
    /// # Errors
    /// [`Error::Key`] when it cannot be derived.
    pub fn verifying_key(&self) -> Result<CheckpointVerifyingKey, Error> {
        Ok(CheckpointVerifyingKey {
            key_id: self.key_id.clone(),
            key: self.key.public_key()?,
        })
    }
}

impl CheckpointSigner for Sm2CheckpointSigner {
    fn key_id(&self) -> &str {
        &self.key_id
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        self.key
            .sign(message, &*self.random)
            .map_err(|error| SignError::new(error.to_string()))
    }
}

/// A public key that heads are checked against.
#[derive(Clone)]
pub struct CheckpointVerifyingKey {
    key_id: String,
    key: PublicKey,
}

impl CheckpointVerifyingKey {
    /// From SubjectPublicKeyInfo PEM (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    /// [`Error::Key`] when it is not an SM2 public key on the curve.
    pub fn from_spki_pem(key_id: impl Into<String>, pem: &str) -> Result<Self, Error> {
        Ok(Self {
            key_id: checked_key_id(key_id)?,
            key: PublicKey::from_spki_pem(pem)?,
        })
    }

    /// SubjectPublicKeyInfo PEM.
    ///
    /// # Errors
    /// [`Error::Key`] when it cannot be encoded.
    pub fn to_spki_pem(&self) -> Result<String, Error> {
        self.key.to_spki_pem()
    }

    /// The id that checkpoints name.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }
}

impl std::fmt::Debug for CheckpointVerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckpointVerifyingKey")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}
