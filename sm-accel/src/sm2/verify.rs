//! Verification (GM/T 0003.2 section 7.1).
//!
//! Keys, messages and signatures are public here: the code branches on them, and reads tables at places that they
//! name.

use core::fmt;
use std::sync::Arc;

use digest::{FixedOutput as _, Update as _};

use crate::cpu::Backend;
use crate::error::Error;
use crate::sm2::mul::mul_double_vartime;
use crate::sm2::point::{Point, x_matches};
use crate::sm2::prepared::{self, Prepared, TableSize};
use crate::sm2::public_key::PublicKey;
use crate::sm2::scalar::Scalar;
use crate::sm2::signature::Signature;
use crate::sm2::user_id::{self, DEFAULT_USER_ID};
use crate::sm3;

/// A public key bound to its owner's user id: checks signatures.
///
/// Holds Z, so that a user id is hashed once. For many signatures of one key, [`VerifyingKey::prepare`] it.
#[derive(Clone)]
pub struct VerifyingKey {
    public: PublicKey,
    user_id: Arc<[u8]>,
    z: [u8; 32],
}

impl VerifyingKey {
    /// Binds `public` to the user id `1234567812345678` (GM/T 0009 section 10).
    pub fn new(public: PublicKey) -> Self {
        Self {
            z: user_id::default_z(public.backend(), &public.to_coordinates()),
            public,
            user_id: DEFAULT_USER_ID.into(),
        }
    }

    /// Binds `public` to a user id of its own.
    ///
    /// # Errors
    /// [`Error::Length`] for a user id of more than [`MAX_USER_ID_LEN`](crate::sm2::MAX_USER_ID_LEN) bytes.
    pub fn with_user_id(public: PublicKey, user_id: &[u8]) -> Result<Self, Error> {
        Ok(Self {
            z: public.z(user_id)?,
            public,
            user_id: user_id.into(),
        })
    }

    /// The public key.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The user id.
    pub fn user_id(&self) -> &[u8] {
        &self.user_id
    }

    /// Z (GM/T 0003.2 section 5.5).
    pub fn z(&self) -> &[u8; 32] {
        &self.z
    }

    /// e = SM3(Z ‖ M), the message being the concatenation of `parts` (steps A1 and A2, B3 and B4).
    pub fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hasher = sm3::Sm3::with_backend(self.public.backend());
        hasher.update(&self.z);
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize_fixed().into()
    }

    /// Checks a signature over `message`.
    ///
    /// # Errors
    /// [`Error::Signature`] when it is not this key's and user id's signature over `message`.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), Error> {
        self.verify_prehash(&self.digest(&[message]), signature)
    }

    /// Checks a signature over the concatenation of `parts`.
    ///
    /// # Errors
    /// As [`VerifyingKey::verify`].
    pub fn verify_parts(&self, parts: &[&[u8]], signature: &Signature) -> Result<(), Error> {
        self.verify_prehash(&self.digest(parts), signature)
    }

    /// Checks a signature over e = SM3(Z ‖ M), as [`VerifyingKey::digest`] computes it.
    ///
    /// # Errors
    /// As [`VerifyingKey::verify`].
    pub fn verify_prehash(&self, e: &[u8; 32], signature: &Signature) -> Result<(), Error> {
        check(e, signature, |s, t| {
            self.combine(self.public.backend(), s, t)
        })
    }

    /// [s]G + [t]P.
    pub(crate) fn combine(&self, backend: Backend, s: &Scalar, t: &Scalar) -> Point {
        mul_double_vartime(backend, s, t, self.public.point())
    }

    /// Tables for this key, made once, for checking many signatures: [`PreparedKey::memory`] says how much they
    /// take, [`TableSize`] what there is to choose from.
    pub fn prepare(&self, size: TableSize) -> PreparedKey {
        PreparedKey {
            tables: Arc::new(Prepared::new(
                self.public.backend(),
                self.public.point(),
                size,
            )),
            key: self.clone(),
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("public_key", &self.public)
            .field("user_id", &self.user_id.escape_ascii().to_string())
            .finish()
    }
}

/// Equal points and user ids.
impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.public == other.public && self.user_id == other.user_id
    }
}

impl Eq for VerifyingKey {}

impl AsRef<PublicKey> for VerifyingKey {
    fn as_ref(&self) -> &PublicKey {
        &self.public
    }
}

/// A [`VerifyingKey`] with tables of its multiples: answers the same, faster.
///
/// Clones share the tables.
#[derive(Clone)]
pub struct PreparedKey {
    key: VerifyingKey,
    tables: Arc<Prepared>,
}

impl PreparedKey {
    /// The key that the tables are for.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Memory that the tables take, in bytes.
    pub fn memory(&self) -> usize {
        self.tables.memory()
    }

    /// [`VerifyingKey::verify`].
    ///
    /// # Errors
    /// As [`VerifyingKey::verify`].
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), Error> {
        self.verify_prehash(&self.key.digest(&[message]), signature)
    }

    /// [`VerifyingKey::verify_parts`].
    ///
    /// # Errors
    /// As [`VerifyingKey::verify`].
    pub fn verify_parts(&self, parts: &[&[u8]], signature: &Signature) -> Result<(), Error> {
        self.verify_prehash(&self.key.digest(parts), signature)
    }

    /// [`VerifyingKey::verify_prehash`].
    ///
    /// # Errors
    /// As [`VerifyingKey::verify`].
    pub fn verify_prehash(&self, e: &[u8; 32], signature: &Signature) -> Result<(), Error> {
        check(e, signature, |s, t| {
            self.combine(self.key.public.backend(), s, t)
        })
    }

    /// [s]G + [t]P.
    pub(crate) fn combine(&self, backend: Backend, s: &Scalar, t: &Scalar) -> Point {
        prepared::mul_double_vartime(backend, s, t, &self.tables)
    }
}

impl fmt::Debug for PreparedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedKey")
            .field("key", &self.key)
            .field("memory", &self.memory())
            .finish()
    }
}

/// Steps B1 to B7 over the digest e; `combine` computes [s]G + [t]P.
pub(crate) fn check(
    e: &[u8; 32],
    signature: &Signature,
    combine: impl FnOnce(&Scalar, &Scalar) -> Point,
) -> Result<(), Error> {
    // B1, B2: r, s in [1, n-1], as every `Signature` is
    let (r, s) = signature.scalars().ok_or(Error::Signature)?;
    // B5: t = (r + s) mod n, not 0
    let t = r.add(&s);
    if bool::from(t.is_zero()) {
        return Err(Error::Signature);
    }
    // B6: (x1, y1) = [s]G + [t]P, which must not be infinity
    let point = combine(&s, &t);
    // B7: R = (e + x1) mod n = r, that is x1 mod n = r - e
    let v = r.sub(&Scalar::reduce(e));
    if x_matches(&point, &v) {
        Ok(())
    } else {
        Err(Error::Signature)
    }
}
