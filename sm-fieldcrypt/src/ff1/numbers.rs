//! Numbers below a public modulus of at most 2^127: no branch, no division and no table that depends on one.

use subtle::{Choice, ConditionallySelectable};

/// The largest modulus: twice a number below it, and one more, fits.
pub(super) const MAX_MODULUS: u128 = 1 << 127;

/// `radix^exponent`, if that is at most [`MAX_MODULUS`].
pub(super) fn power(radix: u8, exponent: usize) -> Option<u128> {
    let exponent = u32::try_from(exponent).ok()?;
    u128::from(radix)
        .checked_pow(exponent)
        .filter(|power| *power <= MAX_MODULUS)
}

/// A number below twice the modulus, modulo it.
fn reduce_once(number: u128, modulus: u128) -> u128 {
    let (difference, below) = number.overflowing_sub(modulus);
    u128::conditional_select(&difference, &number, Choice::from(u8::from(below)))
}

/// A big-endian number of any length modulo the modulus, bit by bit.
pub(super) fn reduce(bytes: &[u8], modulus: u128) -> u128 {
    let mut rest = 0_u128;
    for byte in bytes {
        for bit in (0..8).rev() {
            rest = reduce_once(rest << 1 | u128::from(byte >> bit & 1), modulus);
        }
    }
    rest
}

/// `a + b` modulo the modulus, both below it.
pub(super) fn add(a: u128, b: u128, modulus: u128) -> u128 {
    reduce_once(a.wrapping_add(b), modulus)
}

/// `a - b` modulo the modulus, both below it.
pub(super) fn subtract(a: u128, b: u128, modulus: u128) -> u128 {
    reduce_once(a.wrapping_add(modulus).wrapping_sub(b), modulus)
}

/// NUM of NIST SP 800-38G: the number that numerals stand for, the most significant first.
pub(super) fn number_of(numerals: &[u8], radix: u8) -> u128 {
    numerals.iter().fold(0, |number, numeral| {
        number
            .wrapping_mul(u128::from(radix))
            .wrapping_add(u128::from(*numeral))
    })
}

/// STR of NIST SP 800-38G: writes the numerals of a number below `radix^numerals.len()`.
///
/// A numeral is found bit by bit, by trying to subtract its place value times 32, 16 and so on.
pub(super) fn numerals_of(number: u128, radix: u8, numerals: &mut [u8]) {
    let mut rest = number;
    let places = (0..numerals.len()).rev();
    for (numeral, place) in numerals.iter_mut().zip(places) {
        // Below the modulus, or the number would not be.
        let place_value = power(radix, place).unwrap_or(MAX_MODULUS);
        *numeral = 0;
        for bit in (0..6_u8).rev().filter(|bit| 1 << bit < radix) {
            let (difference, below) = rest.overflowing_sub(place_value << bit);
            let fits = !Choice::from(u8::from(below));
            rest.conditional_assign(&difference, fits);
            *numeral |= fits.unwrap_u8() << bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn powers_end_at_the_largest_modulus() {
        assert_eq!(power(2, 127), Some(MAX_MODULUS));
        assert_eq!(power(2, 128), None);
        assert_eq!(power(10, 38), Some(10_u128.pow(38)));
        assert_eq!(power(10, 39), None);
        assert_eq!(power(62, 0), Some(1));
        assert_eq!(power(62, 22), None);
    }

    #[test]
    fn numerals_at_the_edges() {
        for (radix, length) in [(2, 127), (10, 38), (36, 24), (62, 21), (32, 25), (33, 25)] {
            let largest = vec![radix - 1; length];
            let number = number_of(&largest, radix);
            assert_eq!(number, power(radix, length).unwrap() - 1);
            let mut numerals = vec![0xFF; length];
            numerals_of(number, radix, &mut numerals);
            assert_eq!(numerals, largest);
            numerals_of(0, radix, &mut numerals);
            assert_eq!(numerals, vec![0; length]);
        }
    }

    proptest! {
        #[test]
        fn arithmetic_is_that_of_the_standard_library(
            radix in 2_u8..=62,
            length in 1_usize..=127,
            a: u128,
            b: u128,
        ) {
            let Some(modulus) = power(radix, length) else {
                return Ok(());
            };
            let (a, b) = (a % modulus, b % modulus);
            prop_assert_eq!(add(a, b, modulus), (a + b) % modulus);
            prop_assert_eq!(subtract(a, b, modulus), (a + modulus - b) % modulus);
            prop_assert_eq!(add(subtract(a, b, modulus), b, modulus), a);
            let mut numerals = vec![0; length];
            numerals_of(a, radix, &mut numerals);
            prop_assert!(numerals.iter().all(|numeral| *numeral < radix));
            prop_assert_eq!(number_of(&numerals, radix), a);
        }

        #[test]
        fn long_numbers_reduce(high: u128, low: u32, modulus in 2..=MAX_MODULUS) {
            prop_assert_eq!(reduce(&high.to_be_bytes(), modulus), high % modulus);
            // 160 bits, the longest that occur: schoolbook, 32 bits at a time, below 2^96.
            let modulus = modulus >> 31 | 2;
            let bytes = [&high.to_be_bytes()[..], &low.to_be_bytes()].concat();
            let rest = ((high % modulus) << 32 | u128::from(low)) % modulus;
            prop_assert_eq!(reduce(&bytes, modulus), rest);
        }
    }
}
