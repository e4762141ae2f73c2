//! SM2 (GB/T 32918-2016, GM/T 0003-2012): signatures, key agreement and public-key encryption.

#[cfg(test)]
mod arithmetic_tests;
mod batch;
mod ciphertext;
mod comb;
mod der;
mod ecdh;
mod encrypt;
mod field;
mod inverse;
mod kdf;
mod limbs;
mod mul;
mod nonce;
mod point;
mod prepared;
#[cfg(test)]
mod protocol_tests;
mod public_key;
mod random;
mod recode;
#[cfg(feature = "rustcrypto")]
mod rustcrypto;
mod scalar;
mod secret_key;
mod select;
mod sign;
mod signature;
mod signature_traits;
mod user_id;
mod verify;
mod windows;
mod xyzz;

use crate::cpu::Backend;

pub use batch::{
    SignItem, VerifyItem, VerifyWith, sign_many, sign_many_with_backend, verify_many,
    verify_many_with_backend,
};
pub use ciphertext::Ciphertext;
pub use ecdh::SharedSecret;
pub use prepared::TableSize;
pub use public_key::PublicKey;
pub use secret_key::SecretKey;
pub use sign::SigningKey;
pub use signature::{DerSignature, Signature};
pub use user_id::{DEFAULT_USER_ID, MAX_USER_ID_LEN};
pub use verify::{PreparedKey, VerifyingKey};

pub(crate) fn kernel_name(backend: Backend) -> &'static str {
    field::kernel_name(backend)
}
