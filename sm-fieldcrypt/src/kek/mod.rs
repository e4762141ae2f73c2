//! Key-encryption keys (L1): the root under which field keys are wrapped and the registry is authenticated.

#[cfg(feature = "pkcs11")]
pub(crate) mod pkcs11;
pub(crate) mod provider;
#[cfg(feature = "sdf")]
pub(crate) mod sdf;
pub(crate) mod software;
