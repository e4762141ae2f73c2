//! Key-encryption keys (L1): the root under which field keys are wrapped and the registry is authenticated.

pub(crate) mod provider;
pub(crate) mod software;
