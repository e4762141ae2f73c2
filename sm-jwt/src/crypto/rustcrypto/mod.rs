//! The backend without feature `accel`: RustCrypto. In tests it is also the second opinion on the other one.

mod hash;
mod keys;
mod scalar;
mod sign;
#[cfg(test)]
mod tests;
mod verify;

pub(crate) use self::hash::sm3;
pub(crate) use self::keys::{POINT_LEN, PublicPoint, SecretScalar};
pub(crate) use self::scalar::SIGNATURE_LEN;
#[cfg(all(test, feature = "accel"))]
pub(crate) use self::sign::sign_with_entropy;
pub(crate) use self::sign::{SignItem, sign_many};
pub(crate) use self::verify::{VerifyItem, verify_many};
