//! Public keys: points on the curve.

use core::fmt;

use crate::cpu::Backend;
use crate::error::Error;
use crate::sm2::point::Affine;
use crate::sm2::user_id;

/// An SM2 public key: a point on the curve, never infinity.
///
/// It encrypts ([`PublicKey::encrypt`]) and takes part in key agreement; to check signatures, bind it to its
/// owner's user id with [`VerifyingKey::new`](crate::sm2::VerifyingKey::new).
#[derive(Clone, Copy)]
pub struct PublicKey {
    point: Affine,
    backend: Backend,
}

impl PublicKey {
    /// Length of 04 ‖ x ‖ y in bytes.
    pub const LEN: usize = 65;

    /// Length of 02 ‖ x or 03 ‖ x in bytes.
    pub const COMPRESSED_LEN: usize = 33;

    /// Reads 04 ‖ x ‖ y (65 bytes), 02 ‖ x or 03 ‖ x (33 bytes), the forms of SEC 1 section 2.3.
    ///
    /// The curve has prime order and cofactor 1, so that a point on it that is not infinity is a valid key.
    ///
    /// # Errors
    /// [`Error::Key`] for every other form (infinity and the hybrid form among them), a coordinate that is not
    /// below p, and a point that is not on the curve.
    pub fn from_sec1(bytes: &[u8]) -> Result<Self, Error> {
        Self::from_sec1_with_backend(Backend::active(), bytes)
    }

    /// [`PublicKey::from_sec1`]; what the key does alone uses `backend`, a batch its own.
    ///
    /// # Errors
    /// As [`PublicKey::from_sec1`].
    pub fn from_sec1_with_backend(backend: Backend, bytes: &[u8]) -> Result<Self, Error> {
        // Only these three tags: no infinity, no hybrid or compact form.
        match (bytes.first(), bytes.len()) {
            (Some(4), Self::LEN) | (Some(2 | 3), Self::COMPRESSED_LEN) => {}
            _ => return Err(Error::Key("public key")),
        }
        let point = Affine::from_sec1(bytes).ok_or(Error::Key("public key"))?;
        Ok(Self { point, backend })
    }

    /// From x and y, 32 big-endian bytes each.
    ///
    /// # Errors
    /// [`Error::Key`] when (x, y) is not a point on the curve.
    pub fn from_coordinates(x: &[u8; 32], y: &[u8; 32]) -> Result<Self, Error> {
        Self::from_coordinates_with_backend(Backend::active(), x, y)
    }

    /// [`PublicKey::from_coordinates`]; what the key does alone uses `backend`, a batch its own.
    ///
    /// # Errors
    /// As [`PublicKey::from_coordinates`].
    pub fn from_coordinates_with_backend(
        backend: Backend,
        x: &[u8; 32],
        y: &[u8; 32],
    ) -> Result<Self, Error> {
        let mut bytes = [4u8; Self::LEN];
        for (byte, coordinate) in bytes.iter_mut().skip(1).zip(x.iter().chain(y)) {
            *byte = *coordinate;
        }
        Self::from_sec1_with_backend(backend, &bytes)
    }

    /// A point that was computed from a valid one.
    pub(crate) fn from_point(backend: Backend, point: Affine) -> Self {
        Self { point, backend }
    }

    /// 04 ‖ x ‖ y.
    pub fn to_sec1(&self) -> [u8; Self::LEN] {
        self.point.to_sec1()
    }

    /// 02 ‖ x or 03 ‖ x.
    pub fn to_sec1_compressed(&self) -> [u8; Self::COMPRESSED_LEN] {
        self.point.to_sec1_compressed()
    }

    /// x ‖ y, 32 big-endian bytes each.
    pub fn to_coordinates(&self) -> [u8; 64] {
        let mut out = [0; 64];
        for (byte, from) in out.iter_mut().zip(self.to_sec1().iter().skip(1)) {
            *byte = *from;
        }
        out
    }

    /// Z = SM3(ENTL ‖ id ‖ a ‖ b ‖ xG ‖ yG ‖ x ‖ y), GM/T 0003.2 section 5.5: what stands before the message
    /// in the digest of a signature by `user_id`.
    ///
    /// # Errors
    /// [`Error::Length`] for a user id of more than [`MAX_USER_ID_LEN`](crate::sm2::MAX_USER_ID_LEN) bytes.
    pub fn z(&self, user_id: &[u8]) -> Result<[u8; 32], Error> {
        user_id::z(self.backend, user_id, &self.to_coordinates())
    }

    /// The backend that works on this key.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    pub(crate) fn point(&self) -> &Affine {
        &self.point
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(")?;
        for byte in self.to_sec1() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

/// Equal points; the backend does not matter.
impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.to_sec1() == other.to_sec1()
    }
}

impl Eq for PublicKey {}

impl core::hash::Hash for PublicKey {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.to_sec1().hash(state);
    }
}
