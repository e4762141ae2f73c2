//! From and to the key and signature types of RustCrypto's `sm2`, under feature `rustcrypto`.
//!
//! All are `TryFrom`: the two crates check by themselves, and RustCrypto takes the private key n-1, for which the
//! standard has no signature.

use ::sm2 as rustcrypto;
use zeroize::Zeroize as _;

use crate::error::Error;
use crate::sm2::public_key::PublicKey;
use crate::sm2::secret_key::SecretKey;
use crate::sm2::sign::SigningKey;
use crate::sm2::signature::Signature;
use crate::sm2::verify::VerifyingKey;

const PRIVATE: Error = Error::Key("private key");
const PUBLIC: Error = Error::Key("public key");

impl TryFrom<&rustcrypto::SecretKey> for SecretKey {
    type Error = Error;

    fn try_from(key: &rustcrypto::SecretKey) -> Result<Self, Error> {
        let mut bytes: [u8; 32] = key.to_bytes().into();
        let read = Self::from_bytes(&bytes);
        bytes.zeroize();
        read
    }
}

impl TryFrom<&SecretKey> for rustcrypto::SecretKey {
    type Error = Error;

    fn try_from(key: &SecretKey) -> Result<Self, Error> {
        Self::from_slice(&*key.to_bytes()).map_err(|_| PRIVATE)
    }
}

impl TryFrom<&rustcrypto::PublicKey> for PublicKey {
    type Error = Error;

    fn try_from(key: &rustcrypto::PublicKey) -> Result<Self, Error> {
        Self::from_sec1(&key.to_sec1_bytes())
    }
}

impl TryFrom<&PublicKey> for rustcrypto::PublicKey {
    type Error = Error;

    fn try_from(key: &PublicKey) -> Result<Self, Error> {
        Self::from_sec1_bytes(&key.to_sec1()).map_err(|_| PUBLIC)
    }
}

impl TryFrom<&rustcrypto::dsa::Signature> for Signature {
    type Error = Error;

    fn try_from(signature: &rustcrypto::dsa::Signature) -> Result<Self, Error> {
        Self::from_bytes(&signature.to_bytes().into())
    }
}

impl TryFrom<&Signature> for rustcrypto::dsa::Signature {
    type Error = Error;

    fn try_from(signature: &Signature) -> Result<Self, Error> {
        Self::from_slice(signature.as_bytes()).map_err(|_| Error::Signature)
    }
}

/// The user id comes along.
impl TryFrom<&rustcrypto::dsa::VerifyingKey> for VerifyingKey {
    type Error = Error;

    fn try_from(key: &rustcrypto::dsa::VerifyingKey) -> Result<Self, Error> {
        let public = PublicKey::from_sec1(&key.to_sec1_bytes())?;
        Self::with_user_id(public, key.distid().as_bytes())
    }
}

/// [`Error::Key`] for a user id that is not UTF-8: RustCrypto takes no other.
impl TryFrom<&VerifyingKey> for rustcrypto::dsa::VerifyingKey {
    type Error = Error;

    fn try_from(key: &VerifyingKey) -> Result<Self, Error> {
        Self::from_sec1_bytes(user_id(key)?, &key.public_key().to_sec1()).map_err(|_| PUBLIC)
    }
}

/// The user id comes along.
impl TryFrom<&rustcrypto::dsa::SigningKey> for SigningKey {
    type Error = Error;

    fn try_from(key: &rustcrypto::dsa::SigningKey) -> Result<Self, Error> {
        let mut bytes: [u8; 32] = key.to_bytes().into();
        let secret = SecretKey::from_bytes(&bytes);
        bytes.zeroize();
        Self::with_user_id(secret?, key.distid().as_bytes())
    }
}

/// [`Error::Key`] for a user id that is not UTF-8. RustCrypto's signing key does not wipe itself.
impl TryFrom<&SigningKey> for rustcrypto::dsa::SigningKey {
    type Error = Error;

    fn try_from(key: &SigningKey) -> Result<Self, Error> {
        let bytes = key.secret_key().to_bytes();
        Self::from_slice(user_id(key.verifying_key())?, &*bytes).map_err(|_| PRIVATE)
    }
}

fn user_id(key: &VerifyingKey) -> Result<&str, Error> {
    core::str::from_utf8(key.user_id())
        .map_err(|_| Error::Key("user id of RustCrypto: it is not UTF-8"))
}
