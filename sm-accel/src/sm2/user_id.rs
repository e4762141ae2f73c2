//! Z: the digest that binds a signature to the signer's name and key (GM/T 0003.2 section 5.5).

use crate::cpu::Backend;
use crate::error::Error;
use crate::sm3;

/// The user id that GM/T 0009 section 10 fixes for signers without one of their own.
pub const DEFAULT_USER_ID: &[u8] = b"1234567812345678";

/// Longest user id in bytes: its length in bits is written as 16 bits.
pub const MAX_USER_ID_LEN: usize = 8191;

/// a ‖ b ‖ xG ‖ yG (GM/T 0003.5 section 4).
const CURVE_CONSTANTS: [u8; 128] = *b"\
\xFF\xFF\xFF\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\
\xFF\xFF\xFF\xFF\x00\x00\x00\x00\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFC\
\x28\xE9\xFA\x9E\x9D\x9F\x5E\x34\x4D\x5A\x9E\x4B\xCF\x65\x09\xA7\
\xF3\x97\x89\xF5\x15\xAB\x8F\x92\xDD\xBC\xBD\x41\x4D\x94\x0E\x93\
\x32\xC4\xAE\x2C\x1F\x19\x81\x19\x5F\x99\x04\x46\x6A\x39\xC9\x94\
\x8F\xE3\x0B\xBF\xF2\x66\x0B\xE1\x71\x5A\x45\x89\x33\x4C\x74\xC7\
\xBC\x37\x36\xA2\xF4\xF6\x77\x9C\x59\xBD\xCE\xE3\x6B\x69\x21\x53\
\xD0\xA9\x87\x7C\xC6\x2A\x47\x40\x02\xDF\x32\xE5\x21\x39\xF0\xA0";

/// Length in bits of [`DEFAULT_USER_ID`].
const DEFAULT_BITS: u16 = 128;

/// Z of the default user id; `coordinates` is x ‖ y.
pub(crate) fn default_z(backend: Backend, coordinates: &[u8; 64]) -> [u8; 32] {
    digest(backend, DEFAULT_BITS, DEFAULT_USER_ID, coordinates)
}

/// Z of `user_id`.
pub(crate) fn z(
    backend: Backend,
    user_id: &[u8],
    coordinates: &[u8; 64],
) -> Result<[u8; 32], Error> {
    let bits = user_id
        .len()
        .checked_mul(8)
        .and_then(|bits| u16::try_from(bits).ok())
        .ok_or(Error::Length {
            what: "user id",
            got: user_id.len(),
            expected: "at most 8191",
        })?;
    Ok(digest(backend, bits, user_id, coordinates))
}

/// SM3(ENTL ‖ id ‖ a ‖ b ‖ xG ‖ yG ‖ x ‖ y).
fn digest(backend: Backend, bits: u16, user_id: &[u8], coordinates: &[u8; 64]) -> [u8; 32] {
    sm3::hash_parts_with_backend(
        backend,
        &[&bits.to_be_bytes(), user_id, &CURVE_CONSTANTS, coordinates],
    )
}
