//! Private keys.

use core::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

use crate::cpu::Backend;
use crate::error::Error;
use crate::sm2::comb::mul_base;
use crate::sm2::public_key::PublicKey;
use crate::sm2::random;
use crate::sm2::scalar::Scalar;
use crate::taint;

/// What must not be seen: boxed, so that moving the key leaves no copies behind, and wiped on drop.
struct Secrets {
    d: Scalar,
    /// (1 + d)^-1, as secret as d: signing needs it every time.
    inverse: Scalar,
}

impl Drop for Secrets {
    fn drop(&mut self) {
        self.d.zeroize();
        self.inverse.zeroize();
    }
}

impl ZeroizeOnDrop for Secrets {}

/// An SM2 private key, d in [1, n-2] (GM/T 0003.1 section 6.1).
///
/// The number lies on the heap and is wiped on drop, and so is (1 + d)^-1, which is computed once. There is no
/// `Clone`: share a key behind an `Arc`. `Debug` shows the public key alone.
pub struct SecretKey {
    secrets: Box<Secrets>,
    public: PublicKey,
}

impl SecretKey {
    /// Reads d, 32 big-endian bytes. Wiping `bytes` is the caller's task.
    ///
    /// # Errors
    /// [`Error::Key`] when d is outside [1, n-2]: for n-1 there is no (1 + d)^-1.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, Error> {
        Self::from_bytes_with_backend(Backend::active(), bytes)
    }

    /// [`SecretKey::from_bytes`]; what the key does alone uses `backend`, a batch its own.
    ///
    /// # Errors
    /// As [`SecretKey::from_bytes`].
    pub fn from_bytes_with_backend(backend: Backend, bytes: &[u8; 32]) -> Result<Self, Error> {
        let refused = Error::Key("private key");
        let d = Zeroizing::new(Scalar::from_bytes(bytes).ok_or(refused)?);
        let one_plus_d = Zeroizing::new(Scalar::ONE.add(&d));
        // Whether a key is usable at all is no secret of a usable one.
        if taint::public(d.is_zero() | one_plus_d.is_zero()) {
            return Err(refused);
        }
        let inverse = Zeroizing::new(one_plus_d.invert());
        let point = Zeroizing::new(mul_base(backend, &d));
        let point = point.to_affine().ok_or(refused)?;
        Ok(Self {
            secrets: Box::new(Secrets {
                d: *d,
                inverse: *inverse,
            }),
            public: PublicKey::from_point(backend, point),
        })
    }

    /// A new key from the operating system's generator.
    ///
    /// # Errors
    /// [`Error::Random`] when the generator fails.
    pub fn generate() -> Result<Self, Error> {
        Self::generate_with_backend(Backend::active())
    }

    /// [`SecretKey::generate`]; what the key does alone uses `backend`, a batch its own.
    ///
    /// # Errors
    /// As [`SecretKey::generate`].
    pub fn generate_with_backend(backend: Backend) -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        // Each try fails with a probability near 2^-32; a generator that fails this often is broken.
        for _ in 0..16 {
            random::fill(&mut *bytes)?;
            if let Ok(key) = Self::from_bytes_with_backend(backend, &bytes) {
                return Ok(key);
            }
        }
        Err(Error::Random)
    }

    /// d, 32 big-endian bytes.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secrets.d.to_bytes())
    }

    /// The public key `[d]G`.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The backend that works on this key.
    pub fn backend(&self) -> Backend {
        self.public.backend()
    }

    pub(crate) fn d(&self) -> &Scalar {
        &self.secrets.d
    }

    /// (1 + d)^-1.
    pub(crate) fn inverse(&self) -> &Scalar {
        &self.secrets.inverse
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey")
            .field("public_key", &self.public)
            .finish_non_exhaustive()
    }
}

impl ConstantTimeEq for SecretKey {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.to_bytes()
            .as_slice()
            .ct_eq(other.to_bytes().as_slice())
    }
}

impl ZeroizeOnDrop for SecretKey {}
