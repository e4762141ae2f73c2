//! HMAC-SM3 (GB/T 15852.2, GM/T 0042) with the key's two midstates kept.

use core::fmt;

use subtle::ConstantTimeEq;

use crate::cpu::Backend;
use crate::error::Error;
use crate::sm3::compress::{compress, digest_of, finish};
use crate::sm3::hasher::hash_with_backend;
use crate::sm3::rounds::{BLOCK, DIGEST, IV, State};
use crate::sm3::stream::{Stream, copy_prefix};
use crate::taint;

/// An HMAC-SM3 key: the states after `key ^ ipad` and `key ^ opad`, wiped on drop.
///
/// A MAC of a short message costs two compressions instead of four. Not `Clone`, so that no copy of a key is
/// made unseen; the [`Hmac`] that [`HmacKey::start`] gives can be cloned, and each clone wipes itself.
pub struct HmacKey {
    backend: Backend,
    pub(crate) inner: State,
    pub(crate) outer: State,
}

impl HmacKey {
    /// Takes a key of any length. HMAC hashes keys over 64 bytes and pads shorter ones with zeros.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self::with_backend(Backend::active(), key)
    }

    /// [`HmacKey::new`] with the kernels of `backend`.
    #[must_use]
    pub fn with_backend(backend: Backend, key: &[u8]) -> Self {
        let mut block = [0_u8; BLOCK];
        if key.len() > BLOCK {
            let mut digest = hash_with_backend(backend, key);
            copy_prefix(&mut block, &digest);
            digest = [0; DIGEST];
            zeroize::optimization_barrier(&digest);
        } else {
            copy_prefix(&mut block, key);
        }
        let mut made = Self {
            backend,
            inner: IV,
            outer: IV,
        };
        for byte in &mut block {
            *byte ^= 0x36;
        }
        compress(backend, &mut made.inner, core::slice::from_ref(&block));
        for byte in &mut block {
            *byte ^= 0x36 ^ 0x5c;
        }
        compress(backend, &mut made.outer, core::slice::from_ref(&block));
        block = [0; BLOCK];
        zeroize::optimization_barrier(&block);
        made
    }

    /// HMAC-SM3 of the concatenation of `parts`: 32 bytes.
    ///
    /// Compare it with a received tag through [`HmacKey::verify`], never with `==`.
    #[must_use]
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; DIGEST] {
        let mut mac = self.start();
        for part in parts {
            mac.update(part);
        }
        mac.tag()
    }

    /// Checks a tag in constant time. A tag may be cut to its first 16 to 32 bytes.
    ///
    /// # Errors
    /// [`Error::Mac`] when it differs, [`Error::Length`] when it is under 16 or over 32 bytes long.
    pub fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> Result<(), Error> {
        check(&self.mac(parts), tag)
    }

    /// Starts a MAC over a message that comes in pieces.
    #[must_use]
    pub fn start(&self) -> Hmac {
        Hmac {
            stream: Stream::resume(self.backend, &self.inner, 1),
            outer: self.outer,
        }
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey { .. }")
    }
}

impl Drop for HmacKey {
    fn drop(&mut self) {
        self.inner = [0; 8];
        self.outer = [0; 8];
        zeroize::optimization_barrier(self);
    }
}

impl zeroize::ZeroizeOnDrop for HmacKey {}

/// A MAC in the making, from [`HmacKey::start`]. Wiped on drop.
#[derive(Clone)]
pub struct Hmac {
    stream: Stream,
    outer: State,
}

impl Hmac {
    /// Starts a MAC under a key that is not needed again.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        HmacKey::new(key).start()
    }

    /// Absorbs the next piece.
    #[inline]
    pub fn update(&mut self, data: &[u8]) {
        self.stream.update(data);
    }

    /// The tag: 32 bytes.
    #[must_use]
    pub fn finalize(mut self) -> [u8; DIGEST] {
        self.tag()
    }

    /// The tag. Nothing but dropping may follow.
    pub(crate) fn tag(&mut self) -> [u8; DIGEST] {
        let mut block = [0; BLOCK];
        let mut digest = self.stream.finalize();
        copy_prefix(&mut block, &digest);
        digest = [0; DIGEST];
        zeroize::optimization_barrier(&digest);
        let bytes = (BLOCK + DIGEST) as u64;
        finish(
            self.stream.backend,
            &mut self.outer,
            &mut block,
            DIGEST,
            bytes,
        );
        digest_of(&self.outer)
    }

    /// Checks a tag in constant time. A tag may be cut to its first 16 to 32 bytes.
    ///
    /// # Errors
    /// [`Error::Mac`] when it differs, [`Error::Length`] when it is under 16 or over 32 bytes long.
    pub fn verify(self, tag: &[u8]) -> Result<(), Error> {
        check(&self.finalize(), tag)
    }
}

impl fmt::Debug for Hmac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hmac { .. }")
    }
}

impl Drop for Hmac {
    fn drop(&mut self) {
        self.outer = [0; 8];
        zeroize::optimization_barrier(self);
    }
}

impl zeroize::ZeroizeOnDrop for Hmac {}

fn check(expected: &[u8; DIGEST], tag: &[u8]) -> Result<(), Error> {
    let prefix = match tag.len() {
        16..=DIGEST => expected.get(..tag.len()).unwrap_or_default(),
        got => {
            return Err(Error::Length {
                what: "HMAC tag",
                got,
                expected: "16 to 32",
            });
        }
    };
    if taint::public(prefix.ct_eq(tag)) {
        Ok(())
    } else {
        Err(Error::Mac)
    }
}
