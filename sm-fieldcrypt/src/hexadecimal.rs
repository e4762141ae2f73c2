//! Hexadecimal text that may be a key's: read without tables or branches on its digits.

use subtle::{Choice, ConditionallySelectable, ConstantTimeLess};
use zeroize::Zeroizing;

/// What is wrong with a text, and at which byte.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) what: &'static str,
    pub(crate) offset: usize,
}

/// The bytes that pairs of digits stand for, upper or lower case. Nothing else may be in the text.
pub(crate) fn decode(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let (pairs, rest) = text.as_chunks::<2>();
    let mut bytes = Zeroizing::new(Vec::with_capacity(pairs.len()));
    let mut all = Choice::from(1);
    for [high, low] in pairs {
        let (high, is_high) = digit(*high);
        let (low, is_low) = digit(*low);
        all &= is_high & is_low;
        bytes.push(high << 4 | low);
    }
    let strange = |c: &u8| !bool::from(digit(*c).1);
    if !bool::from(all) || rest.iter().any(strange) {
        return Err(Fault {
            what: "it is no hexadecimal digit",
            offset: text.iter().position(strange).unwrap_or_default(),
        });
    }
    if !rest.is_empty() {
        return Err(Fault {
            what: "the last digit stands alone",
            offset: text.len().saturating_sub(1),
        });
    }
    Ok(bytes)
}

/// A digit's value, and whether it is one.
fn digit(c: u8) -> (u8, Choice) {
    let decimal = c.wrapping_sub(b'0');
    let letter = (c | 0x20).wrapping_sub(b'a');
    let (is_decimal, is_letter) = (decimal.ct_lt(&10), letter.ct_lt(&6));
    let value = u8::conditional_select(&letter.wrapping_add(10), &decimal, is_decimal);
    (value & 0x0F, is_decimal | is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_a_digit_or_not_as_the_standard_library_says() {
        for c in 0..=u8::MAX {
            let (value, is_digit) = digit(c);
            let expected = char::from(c).to_digit(16);
            assert_eq!(bool::from(is_digit), expected.is_some(), "{c}");
            assert!(expected.is_none_or(|v| v == u32::from(value)), "{c}");
        }
    }

    #[test]
    fn the_first_fault_is_named() {
        assert_eq!(decode(b"00fFa9").unwrap().as_slice(), [0, 0xFF, 0xA9]);
        assert_eq!(decode(b"").unwrap().as_slice(), b"");
        for (text, offset) in [
            ("0g", 1),
            ("00 0x", 2),
            ("000", 2),
            ("00z", 2),
            ("é", 0),
            ("0x00", 1),
        ] {
            let Err(fault) = decode(text.as_bytes()) else {
                panic!("{text}");
            };
            assert_eq!(fault.offset, offset, "{text}");
        }
    }
}
