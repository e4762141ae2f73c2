//! The backend without feature `accel`: RustCrypto. In tests it is also the second opinion on the other one.

mod hash;
mod keys;
mod scalar;
mod sign;
#[cfg(test)]
mod tests;
mod verify;

pub(crate) use self::hash::{MacKey, Sm3Stream, sm3};
pub(crate) use self::keys::{PublicPoint, SecretScalar};
pub(crate) use self::scalar::SIGNATURE_LEN;
#[cfg(all(test, feature = "accel"))]
pub(crate) use self::sign::sign_with_entropy;
pub(crate) use self::sign::{SignItem, sign};
pub(crate) use self::verify::{VerifyItem, verify, verify_many};
