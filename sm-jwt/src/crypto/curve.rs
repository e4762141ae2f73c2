//! The curve's constants, and Z over them.

/// Length of an uncompressed point, 04 ‖ x ‖ y.
pub(crate) const POINT_LEN: usize = 65;

/// a ‖ b ‖ xG ‖ yG (GM/T 0003.5 section 4).
const CONSTANTS: [u8; 128] = *b"\
\xFF\xFF\xFF\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\
\xFF\xFF\xFF\xFF\x00\x00\x00\x00\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFC\
\x28\xE9\xFA\x9E\x9D\x9F\x5E\x34\x4D\x5A\x9E\x4B\xCF\x65\x09\xA7\
\xF3\x97\x89\xF5\x15\xAB\x8F\x92\xDD\xBC\xBD\x41\x4D\x94\x0E\x93\
\x32\xC4\xAE\x2C\x1F\x19\x81\x19\x5F\x99\x04\x46\x6A\x39\xC9\x94\
\x8F\xE3\x0B\xBF\xF2\x66\x0B\xE1\x71\x5A\x45\x89\x33\x4C\x74\xC7\
\xBC\x37\x36\xA2\xF4\xF6\x77\x9C\x59\xBD\xCE\xE3\x6B\x69\x21\x53\
\xD0\xA9\x87\x7C\xC6\x2A\x47\x40\x02\xDF\x32\xE5\x21\x39\xF0\xA0";

/// Z = H(ENTL ‖ id ‖ a ‖ b ‖ xG ‖ yG ‖ xA ‖ yA), GM/T 0003.2 section 5.5, with the hash H over a concatenation.
///
/// `None` when the user id is longer than its 16-bit length in bits can say.
pub(crate) fn z(
    user_id: &[u8],
    sec1: &[u8; POINT_LEN],
    hash: impl Fn(&[&[u8]]) -> [u8; 32],
) -> Option<[u8; 32]> {
    let entl = u16::try_from(user_id.len().checked_mul(8)?).ok()?;
    let (_, coordinates) = sec1.split_first()?;
    Some(hash(&[
        &entl.to_be_bytes(),
        user_id,
        &CONSTANTS,
        coordinates,
    ]))
}
