//! What both backends speak of.

/// An SM3 digest.
pub(crate) type Hash = [u8; 32];

/// The user id that GM/T 0009 fixes for signers without one of their own.
pub(crate) const USER_ID: &str = "1234567812345678";
