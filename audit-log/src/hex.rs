//! Lower-case hexadecimal, the only spelling the stored form knows.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// `bytes` in lower-case hexadecimal.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            out.push(char::from(
                DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0'),
            ));
        }
    }
    out
}

/// Exactly `N` bytes from lower-case hexadecimal, or `None`.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N.checked_mul(2)? {
        return None;
    }
    let mut out = [0u8; N];
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = (nibble(*high)? << 4) | nibble(*low)?;
    }
    Some(out)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => digit.checked_sub(b'0'),
        b'a'..=b'f' => digit.checked_sub(b'a' - 10),
        _ => None,
    }
}

/// Whether `text` is lower-case hexadecimal of `digits` digits and not all zeros.
pub(crate) fn is_nonzero(text: &str, digits: usize) -> bool {
    text.len() == digits
        && text.bytes().all(|b| nibble(b).is_some())
        && text.bytes().any(|b| b != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_refusals() {
        assert_eq!(encode(&[0x00, 0x9a, 0xff]), "009aff");
        assert_eq!(decode::<3>("009aff"), Some([0x00, 0x9a, 0xff]));
        assert_eq!(decode::<3>("009aFF"), None);
        assert_eq!(decode::<3>("009af"), None);
        assert_eq!(decode::<2>("00:a"), None);
        assert!(is_nonzero("0a", 2));
        assert!(!is_nonzero("00", 2));
        assert!(!is_nonzero("0A", 2));
    }
}
