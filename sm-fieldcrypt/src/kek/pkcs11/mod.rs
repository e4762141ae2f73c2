//! A KEK on a PKCS#11 token.
//!
//! # Wrapped key, version 1 (big-endian)
//!
//! ```text
//! blob = u8 version 1 ‖ u8 kind (1: key wrap, 2: cipher) ‖ body ‖ tag 32
//! body = what C_WrapKey gives, or 16-byte IV ‖ what C_Encrypt gives
//! tag  = HMAC(integrity key, "SMFCP1" ‖ version ‖ kind ‖ u32 length(context) ‖ context ‖ body)
//! ```
//!
//! Wrapping mechanisms have no associated data, so the tag is what binds the context. It is made again by the token
//! and compared here, in constant time, before anything is unwrapped.

mod config;
mod connection;
mod fault;
mod keys;

pub use self::config::{Pkcs11Config, Pkcs11Mechanisms, Pkcs11Token, Pkcs11Wrapping};

use self::connection::{Connection, Link};
use self::fault::Fault;
use crate::crypto::tags_equal;
use crate::error::Error;
use crate::kek::provider::KekProvider;
use crate::offload::{BoxFuture, offload};
use crate::secret::SecretBytes;
use std::fmt;
use std::sync::Arc;

const VERSION: u8 = 1;
/// What MACs for other ends than the registry's begin with.
const LABEL: &[u8] = b"SMFCP1";

/// A key-encryption key in a device that speaks PKCS#11.
///
/// Two keys of the token make it: one wraps, the other authenticates the registry and the wrapped keys.
/// [`Pkcs11Kek::create`] makes both, [`Pkcs11Kek::open`] finds them; a key that is not sensitive, or extractable, or
/// allowed to do anything but its work, is refused, and so are two keys of one name. Whether a key has ever been outside
/// (`CKA_NEVER_EXTRACTABLE`) is not asked: one that came back from the device's own backup has.
///
/// Its id is `kek://pkcs11/<token>/<key label>/<fingerprint>`: the token as it was configured, by label or serial
/// number, and 8 bytes of a MAC under the integrity key, so that another key of the same name has another id.
///
/// # Not GM unless the token is
/// [`Pkcs11Mechanisms`] names the mechanisms. Those for AES and SHA-256 serve tokens without SM4, for development and
/// tests; the registry's MACs are then HMAC-SHA256. [`Pkcs11Kek::is_gm`] tells.
///
/// # Field keys in memory
/// The KEK is not in this process, unless the token is software, as SoftHSM is. A field key always will be: it works
/// here. It comes through a buffer that is wiped; see [`Pkcs11Wrapping`] for the one that is not. What the vendor's
/// module keeps in this process is the vendor's matter. On the token a field key is at most a session object, destroyed before the call ends, or with the
/// session when the call fails.
///
/// # Sessions
/// One session, one call at a time, each on a thread of its own. When session, login or token is lost, a call is
/// made again in a new session, twice at most within half a second; it then fails with [`Error::Kek`], and the next
/// call tries anew. A PIN that the token has refused is not tried again by this value, so that retries do not lock
/// the token. A module that does not return from a call holds up all the others.
///
/// A login is the whole process's: while another part of it is logged in to the same token, any PIN passes here.
/// Modules are initialised when they are not, and never finalised or unloaded. Whoever else finalises one while this
/// value is in use takes every session away, and should not: numbers of old sessions come to stand for new ones.
///
/// ```no_run
/// use sm_fieldcrypt::{Pkcs11Config, Pkcs11Kek, Pkcs11Mechanisms, Pkcs11Token, SecretBytes};
/// # fn main() -> Result<(), sm_fieldcrypt::Error> {
/// # let pin = Vec::new();
/// let config = Pkcs11Config::new(
///     "/usr/lib/softhsm/libsofthsm2.so",
///     Pkcs11Token::Label("fields".into()),
///     SecretBytes::new(pin),
///     "kek-2026",
///     Pkcs11Mechanisms::aes_cbc_pad(),
/// );
/// let kek = Pkcs11Kek::open(config)?; // on a blocking thread
/// # let _ = kek;
/// # Ok(())
/// # }
/// ```
pub struct Pkcs11Kek {
    id: String,
    link: Arc<Link>,
}

impl Pkcs11Kek {
    /// Makes a wrapping key and an integrity key on the token: sensitive, not extractable, each for its own use. Never
    /// replaces: a key of either name is an error. Blocks; in async code call it from a blocking thread.
    ///
    /// # Errors
    /// [`Error::Config`], and [`Error::Kek`] with the call that failed and its `CKR_…` name.
    pub fn create(config: Pkcs11Config) -> Result<Self, Error> {
        let link = Link::load(config)?;
        link.create_keys()?;
        Self::over(link)
    }

    /// Finds both keys on the token and checks what they may do. Blocks, as [`Pkcs11Kek::create`] does.
    ///
    /// # Errors
    /// [`Error::Config`], and [`Error::Kek`] when the module does not load, no token or more than one answers to the
    /// name, the PIN is refused, or a key is missing, ambiguous or not what it must be.
    pub fn open(config: Pkcs11Config) -> Result<Self, Error> {
        Self::over(Link::load(config)?)
    }

    fn over(link: Link) -> Result<Self, Error> {
        let fingerprint = u64::from_be_bytes(link.fingerprint()?);
        Ok(Self {
            id: format!("{}/{fingerprint:016x}", link.config().public_name()),
            link: Arc::new(link),
        })
    }

    /// Whether the configured mechanisms are SM4 and HMAC-SM3, as told in [`Pkcs11Mechanisms::gm`].
    #[must_use]
    pub fn is_gm(&self) -> bool {
        self.link.config().mechanisms.gm
    }

    async fn on_a_thread<T: Send + 'static>(
        &self,
        work: impl Fn(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Error> {
        let link = Arc::clone(&self.link);
        let done = offload(move || link.call(work)).await;
        match done {
            Some(Err(Error::Kek { reason, .. })) => Err(self.failed(reason)),
            Some(Err(Error::KekUnwrap { .. })) => Err(Error::KekUnwrap {
                provider: self.id.clone(),
            }),
            Some(done) => done,
            None => Err(self.failed("the thread of the call was lost".into())),
        }
    }

    fn failed(&self, reason: String) -> Error {
        Error::Kek {
            provider: self.id.clone(),
            reason,
        }
    }
}

fn kind(wrapping: Pkcs11Wrapping) -> u8 {
    match wrapping {
        Pkcs11Wrapping::KeyWrap(_) => 1,
        Pkcs11Wrapping::Cipher(_) => 2,
    }
}

/// What a wrapped key's tag is over. `head` is version and kind.
fn tagged(head: [u8; 2], context: &[u8], body: &[u8]) -> Result<Vec<u8>, Fault> {
    let length = u32::try_from(context.len())
        .map_err(|_| Fault::Other("the wrapping context is too long".into()))?;
    Ok([LABEL, &head, &length.to_be_bytes(), context, body].concat())
}

fn wrap(
    connection: &Connection,
    head: [u8; 2],
    key: &SecretBytes,
    context: &[u8],
) -> Result<Vec<u8>, Fault> {
    let body = connection.wrap(key)?;
    let tag = connection.mac(&tagged(head, context, &body)?)?;
    Ok([head.as_slice(), &body, &tag].concat())
}

/// `None` when blob and context are not authentic, which is no fault of the session.
fn unwrap(
    connection: &Connection,
    head: [u8; 2],
    blob: &[u8],
    context: &[u8],
) -> Result<Option<SecretBytes>, Fault> {
    let parts = blob
        .split_last_chunk::<32>()
        .and_then(|(rest, tag)| Some((rest.strip_prefix(&head)?, tag)));
    let Some((body, tag)) = parts else {
        return Ok(None);
    };
    if !tags_equal(&connection.mac(&tagged(head, context, body)?)?, tag) {
        return Ok(None);
    }
    connection.unwrap(body).map(Some)
}

impl KekProvider for Pkcs11Kek {
    fn id(&self) -> &str {
        &self.id
    }

    fn wrap_key<'a>(
        &'a self,
        key: &'a SecretBytes,
        context: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, Error>> {
        let head = [VERSION, kind(self.link.config().mechanisms.wrapping)];
        let key = SecretBytes::new(key.expose().to_vec());
        let context = context.to_vec();
        Box::pin(self.on_a_thread(move |connection| wrap(connection, head, &key, &context)))
    }

    fn unwrap_key<'a>(
        &'a self,
        blob: &'a [u8],
        context: &'a [u8],
    ) -> BoxFuture<'a, Result<SecretBytes, Error>> {
        let head = [VERSION, kind(self.link.config().mechanisms.wrapping)];
        let (blob, context) = (blob.to_vec(), context.to_vec());
        Box::pin(async move {
            self.on_a_thread(move |connection| unwrap(connection, head, &blob, &context))
                .await?
                .ok_or_else(|| Error::KekUnwrap {
                    provider: self.id.clone(),
                })
        })
    }

    fn integrity_macs<'a>(
        &'a self,
        messages: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Vec<[u8; 32]>, Error>> {
        let messages = messages.to_vec();
        Box::pin(async move {
            // The key is the same as for wrapped keys: nobody gets a tag for one of those here.
            if messages.iter().any(|message| message.starts_with(LABEL)) {
                return Err(self.failed("a message looks like a wrapped key".into()));
            }
            self.on_a_thread(move |connection| messages.iter().map(|m| connection.mac(m)).collect())
                .await
        })
    }
}

impl fmt::Debug for Pkcs11Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Kek")
            .field("id", &self.id)
            .field("gm", &self.is_gm())
            .finish_non_exhaustive()
    }
}
