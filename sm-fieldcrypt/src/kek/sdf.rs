//! A KEK in a cryptographic device of GM/T 0018 (SDF). Feature `sdf`.
//!
//! The device's own KEK, in a numbered slot, wraps two or three working keys of 128 bits that the device makes; they come
//! back into it as handles. One wraps field keys, one authenticates what is wrapped (where the device has no
//! `SDF_AuthEnc`), one authenticates the registry. None of them is ever outside the device unwrapped. The field keys are:
//! this process makes and uses them.
//!
//! # Wrapped field key, version 1
//!
//! | length | field |
//! |---|---|
//! | 1 | version, 1 |
//! | 1 | kind: 1 SM4-GCM, 2 SM4-CBC and HMAC-SM3, 3 SM4-CBC and CBC-MAC over SM3 |
//! | 12 or 16 | nonce or IV, drawn by the device |
//! | n | ciphertext |
//! | 16 or 32 | tag |
//!
//! The tag covers a label, version, kind and context besides. A KEK makes and takes one kind, the one in its working keys.

mod mechanism;
mod working_keys;

use self::mechanism::{Label, Mac, Wrapping, cbc_decrypt, cbc_encrypt};
use self::working_keys::{WorkingKeys, label_is_good};
use crate::crypto::tags_equal;
use crate::error::Error;
use crate::kek::provider::KekProvider;
use crate::offload::{BoxFuture, offload};
use crate::random::RandomSource;
use crate::secret::SecretBytes;
use sm_sdf::{DeviceCode, Key, Pool, Session, WrappedKey};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const KEY_BITS: u32 = 128;
/// Longest key that is wrapped: its blob stays far below what the registry takes.
const MAX_KEY: usize = 1024;

const DOCUMENT_LABEL: &Label = b"smfc1/sdf/keys/1";
const REGISTRY_LABEL: &Label = b"smfc1/sdf/reg/01";
const WRAP_LABEL: &Label = b"smfc1/sdf/wrap/1";

/// A key-encryption key in a device: wrapping, unwrapping and authenticating are done there, by handle.
///
/// Made once by [`SdfKek::create`], which gives a document with the wrapped working keys to be kept with the configuration;
/// opened by [`SdfKek::open`] with that document. Its id is `kek://sdf/` and the label. A new set of working keys is a new
/// KEK and needs a new label.
///
/// Lost sessions and a lost device are the pool's business: calls go on when the device is back. Every call on a
/// provider runs on a thread of its own, so that waiting for the device blocks no executor.
///
/// What it uses depends on the device's edition and stays as it was when the working keys were made: SM4-GCM where there is
/// `SDF_AuthEnc`, else SM4-CBC with a MAC under another key; HMAC-SM3 where there is `SDF_HMACInit`, else CBC-MAC over an
/// SM3 digest. A device with neither MAC is refused.
pub struct SdfKek(Arc<Inner>);

struct Inner {
    id: String,
    pool: Pool,
    keys: WorkingKeys,
}

impl SdfKek {
    /// Makes working keys in the pool's device, wrapped under its KEK at `kek_index`, and the document to keep. It is no
    /// secret: it is of use only with the device. Without it, what it wrapped is lost. Blocks.
    ///
    /// # Errors
    /// [`Error::Config`] for a label other than 1 to 64 of `a`-`z`, `0`-`9`, `.`, `_`, `-`; [`Error::Kek`] when the device
    /// fails or lacks what is needed.
    pub fn create(pool: Pool, label: &str, kek_index: u32) -> Result<(Self, Vec<u8>), Error> {
        if !label_is_good(label) {
            return Err(Error::Config {
                what: format!("{label:?} cannot be the label of an sdf kek"),
            });
        }
        let id = id_of(label);
        let keys = pool
            .run(|session| make_keys(session, label, kek_index))
            .map_err(|e| failed(&id, e))?
            .map_err(|reason| failed(&id, reason))?;
        let mut document = keys
            .authenticated()
            .ok_or_else(|| failed(&id, "the device's wrapped keys are too long"))?;
        let tag = pool
            .run(|session| document_tag(session, &keys, &document))
            .map_err(|e| failed(&id, e))?;
        document.extend_from_slice(&tag);
        // As after a restart: what cannot be opened is not handed out.
        Ok((Self::open(pool, &document)?, document))
    }

    /// Opens the KEK of a document that [`SdfKek::create`] made with this device. Blocks.
    ///
    /// # Errors
    /// [`Error::Config`] for a malformed document; [`Error::Kek`] for one that is damaged or of another device or KEK, and
    /// when the device fails or lacks what the document asks for.
    pub fn open(pool: Pool, document: &[u8]) -> Result<Self, Error> {
        let (keys, authenticated, tag) =
            WorkingKeys::parse(document).map_err(|what| Error::Config {
                what: format!("not the working keys of an sdf kek: {what}"),
            })?;
        let id = id_of(&keys.label);
        let right = pool
            .run(|session| document_tag(session, &keys, authenticated))
            .map_err(|e| failed(&id, e))?;
        if !tags_equal(&right, &tag) {
            return Err(failed(
                &id,
                "the working keys are damaged, or of another device or kek",
            ));
        }
        if keys.wrapping == Wrapping::Gcm && !pool.library().has_auth_enc() {
            return Err(failed(&id, "the device library lacks SDF_AuthEnc"));
        }
        Ok(Self(Arc::new(Inner { id, pool, keys })))
    }
}

/// Working keys for the best that the device does; or the reason why it does too little.
fn make_keys(
    session: &Session,
    label: &str,
    kek_index: u32,
) -> Result<Result<WorkingKeys, &'static str>, sm_sdf::Error> {
    let library = session.device().library();
    let (wrap, wrap_key) = Key::generate(session, kek_index, KEY_BITS)?;
    let (integrity, integrity_key) = Key::generate(session, kek_index, KEY_BITS)?;
    let Some(mac) = Mac::of(library, session, &integrity)? else {
        return Ok(Err(
            "the device has neither SDF_HMACInit for SM3 nor SDF_CalculateMAC for SM4",
        ));
    };
    let wrapping = Wrapping::of(library, &wrap)?;
    let mac_key = match wrapping {
        Wrapping::Gcm => None,
        Wrapping::CbcThenMac => Some(Key::generate(session, kek_index, KEY_BITS)?.1),
    };
    let others = [Some(&integrity_key), mac_key.as_ref()];
    if others.contains(&Some(&wrap_key)) || mac_key.as_ref() == Some(&integrity_key) {
        return Ok(Err("the device made the same key twice"));
    }
    Ok(Ok(WorkingKeys {
        wrapping,
        mac,
        label: label.into(),
        wrap_key,
        mac_key,
        integrity_key,
    }))
}

fn document_tag(
    session: &Session,
    keys: &WorkingKeys,
    authenticated: &[u8],
) -> Result<[u8; 32], sm_sdf::Error> {
    let key = Key::cached(session, &keys.integrity_key)?;
    keys.mac
        .compute(session, &key, DOCUMENT_LABEL, &[authenticated])
}

impl Inner {
    /// Version and kind of this KEK's blobs.
    fn head(&self) -> [u8; 2] {
        let kind = match (self.keys.wrapping, self.keys.mac) {
            (Wrapping::Gcm, _) => 1,
            (Wrapping::CbcThenMac, Mac::Hmac) => 2,
            (Wrapping::CbcThenMac, Mac::CbcMacOfDigest) => 3,
        };
        [VERSION, kind]
    }

    fn wrap(&self, key: &[u8], context: &[u8]) -> Result<Vec<u8>, Error> {
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(failed(&self.id, "a key of this length is not wrapped"));
        }
        let wrapped = self.pool.run(|session| match &self.keys.mac_key {
            None => self.gcm_wrap(session, key, context),
            Some(mac_key) => self.cbc_wrap(session, mac_key, key, context),
        });
        wrapped.map_err(|e| failed(&self.id, e))
    }

    /// `None` when the blob is not authentic in its context.
    fn unwrap(&self, blob: &[u8], context: &[u8]) -> Result<SecretBytes, Error> {
        let refused = || Error::KekUnwrap {
            provider: self.id.clone(),
        };
        let (head, rest) = blob.split_first_chunk::<2>().ok_or_else(refused)?;
        if *head != self.head() || rest.len() > MAX_KEY.saturating_mul(2) {
            return Err(refused());
        }
        let unwrapped = self.pool.run(|session| match &self.keys.mac_key {
            None => self.gcm_unwrap(session, rest, context),
            Some(mac_key) => self.cbc_unwrap(session, mac_key, rest, context),
        });
        let mut key = unwrapped
            .map_err(|e| failed(&self.id, e))?
            .ok_or_else(refused)?;
        Ok(SecretBytes::new(std::mem::take(&mut *key)))
    }

    fn gcm_wrap(
        &self,
        session: &Session,
        key: &[u8],
        context: &[u8],
    ) -> Result<Vec<u8>, sm_sdf::Error> {
        let wrap = Key::cached(session, &self.keys.wrap_key)?;
        let mut nonce = [0; 12];
        session.random(&mut nonce)?;
        let (text, tag) = wrap.gcm_seal(&nonce, &self.gcm_data(context), key)?;
        Ok([&self.head()[..], &nonce, &text, &tag].concat())
    }

    fn gcm_unwrap(
        &self,
        session: &Session,
        rest: &[u8],
        context: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, sm_sdf::Error> {
        let Some((nonce, rest)) = rest.split_first_chunk::<12>() else {
            return Ok(None);
        };
        let Some((text, tag)) = rest.split_last_chunk::<16>() else {
            return Ok(None);
        };
        let wrap = Key::cached(session, &self.keys.wrap_key)?;
        match wrap.gcm_open(nonce, &self.gcm_data(context), text, tag) {
            Ok(key) => Ok(Some(key)),
            // The standard has no code for a wrong tag; these are what devices take for it.
            Err(sm_sdf::Error::Device {
                code:
                    DeviceCode::Mac
                    | DeviceCode::Verify
                    | DeviceCode::SymmetricOperation
                    | DeviceCode::EncryptedData,
                ..
            }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Of known length but for the context, which comes last.
    fn gcm_data(&self, context: &[u8]) -> Vec<u8> {
        [&WRAP_LABEL[..], &self.head(), context].concat()
    }

    fn cbc_wrap(
        &self,
        session: &Session,
        mac_key: &WrappedKey,
        key: &[u8],
        context: &[u8],
    ) -> Result<Vec<u8>, sm_sdf::Error> {
        let wrap = Key::cached(session, &self.keys.wrap_key)?;
        let mut iv = [0; 16];
        session.random(&mut iv)?;
        let text = cbc_encrypt(&wrap, &iv, key)?;
        let tag = self.cbc_tag(session, mac_key, context, &iv, &text)?;
        Ok([&self.head()[..], &iv, &text, &tag].concat())
    }

    fn cbc_unwrap(
        &self,
        session: &Session,
        mac_key: &WrappedKey,
        rest: &[u8],
        context: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, sm_sdf::Error> {
        let Some((iv, rest)) = rest.split_first_chunk::<16>() else {
            return Ok(None);
        };
        let Some((text, tag)) = rest.split_last_chunk::<32>() else {
            return Ok(None);
        };
        if text.is_empty() || !text.len().is_multiple_of(16) {
            return Ok(None);
        }
        let right = self.cbc_tag(session, mac_key, context, iv, text)?;
        if !tags_equal(&right, tag) {
            return Ok(None);
        }
        let wrap = Key::cached(session, &self.keys.wrap_key)?;
        cbc_decrypt(&wrap, iv, text)
    }

    fn cbc_tag(
        &self,
        session: &Session,
        mac_key: &WrappedKey,
        context: &[u8],
        iv: &[u8; 16],
        text: &[u8],
    ) -> Result<[u8; 32], sm_sdf::Error> {
        let key = Key::cached(session, mac_key)?;
        let length = u64::try_from(context.len())
            .unwrap_or(u64::MAX)
            .to_be_bytes();
        let parts: [&[u8]; 5] = [&self.head(), &length, context, iv, text];
        self.keys.mac.compute(session, &key, WRAP_LABEL, &parts)
    }

    fn registry_macs(&self, messages: &[Vec<u8>]) -> Result<Vec<[u8; 32]>, Error> {
        let macs = self.pool.run(|session| {
            let key = Key::cached(session, &self.keys.integrity_key)?;
            let mac = |message: &Vec<u8>| {
                let parts: [&[u8]; 1] = [message];
                self.keys.mac.compute(session, &key, REGISTRY_LABEL, &parts)
            };
            messages.iter().map(mac).collect()
        });
        macs.map_err(|e| failed(&self.id, e))
    }
}

impl KekProvider for SdfKek {
    fn id(&self) -> &str {
        &self.0.id
    }

    fn wrap_key<'a>(
        &'a self,
        key: &'a SecretBytes,
        context: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, Error>> {
        Box::pin(async move {
            let (inner, context) = (Arc::clone(&self.0), context.to_vec());
            let key = SecretBytes::new(key.expose().to_vec());
            on_a_thread(&self.0.id, move || inner.wrap(key.expose(), &context)).await
        })
    }

    fn unwrap_key<'a>(
        &'a self,
        blob: &'a [u8],
        context: &'a [u8],
    ) -> BoxFuture<'a, Result<SecretBytes, Error>> {
        Box::pin(async move {
            let (inner, blob, context) = (Arc::clone(&self.0), blob.to_vec(), context.to_vec());
            on_a_thread(&self.0.id, move || inner.unwrap(&blob, &context)).await
        })
    }

    fn integrity_macs<'a>(
        &'a self,
        messages: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Vec<[u8; 32]>, Error>> {
        Box::pin(async move {
            let (inner, messages) = (Arc::clone(&self.0), messages.to_vec());
            on_a_thread(&self.0.id, move || inner.registry_macs(&messages)).await
        })
    }
}

/// Device calls block.
async fn on_a_thread<T: Send + 'static>(
    id: &str,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    offload(work)
        .await
        .unwrap_or_else(|| Err(failed(id, "its thread ended without an answer")))
}

impl fmt::Debug for SdfKek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SdfKek")
            .field("id", &self.0.id)
            .finish_non_exhaustive()
    }
}

/// Random bytes of a device, for rings that must not draw from the operating system. Blocks for a device call a draw.
#[derive(Debug, Clone)]
pub struct SdfRandom(Pool);

impl SdfRandom {
    /// Draws from the pool's device.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self(pool)
    }
}

impl RandomSource for SdfRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Error> {
        let drawn = self.0.run(|session| {
            let mut bytes = Zeroizing::new(vec![0; buffer.len()]);
            session.random(&mut bytes)?;
            Ok(bytes)
        });
        let drawn = drawn.map_err(|e| Error::Random {
            reason: e.to_string(),
        })?;
        buffer.copy_from_slice(&drawn);
        Ok(())
    }
}

fn id_of(label: &str) -> String {
    format!("kek://sdf/{label}")
}

fn failed(id: &str, reason: impl fmt::Display) -> Error {
    Error::Kek {
        provider: id.into(),
        reason: reason.to_string(),
    }
}
