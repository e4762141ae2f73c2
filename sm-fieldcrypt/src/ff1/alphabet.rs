//! Characters and the numerals that they stand for.

use super::numbers::power;
use crate::error::Error;
use std::ops::RangeInclusive;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

/// What an FF1 value is written in: a value and what it encrypts to have the same length, in the same characters.
///
/// ```
/// use sm_fieldcrypt::Ff1Alphabet;
/// assert_eq!(Ff1Alphabet::radix(10)?.lengths(), 6..=76);
/// assert_eq!(Ff1Alphabet::new("0123456789X")?.lengths(), 6..=72);
/// # Ok::<(), sm_fieldcrypt::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ff1Alphabet {
    characters: Vec<u8>,
    radix: u8,
    shortest: usize,
    longest: usize,
}

/// NIST SP 800-38G revision 1: below this many values, FF1 is no encryption.
const LEAST_VALUES: u128 = 1_000_000;

const DIGITS_AND_LETTERS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

fn config(what: &str) -> Error {
    Error::Config {
        what: format!("ff1: {what}"),
    }
}

impl Ff1Alphabet {
    /// The first `radix` of `0` to `9`, `a` to `z` (lower case): 10 for decimal numbers, 16, 36.
    ///
    /// # Errors
    /// [`Error::Config`] for a radix that is not 2 to 36.
    pub fn radix(radix: u8) -> Result<Self, Error> {
        let characters = DIGITS_AND_LETTERS.get(..usize::from(radix));
        let characters = characters.filter(|_| radix >= 2);
        let characters = characters.ok_or_else(|| config("the radix must be 2 to 36"))?;
        Ok(Self::of(characters.to_vec(), radix))
    }

    /// ASCII digits and letters, each once, in the order of their numerals. The order is part of the encryption.
    ///
    /// # Errors
    /// [`Error::Config`] for another character, one that occurs twice, or fewer than two.
    pub fn new(characters: &str) -> Result<Self, Error> {
        if !characters.bytes().all(|c| c.is_ascii_alphanumeric()) {
            return Err(config("an alphabet has ASCII digits and letters only"));
        }
        let characters = characters.as_bytes().to_vec();
        let mut sorted = characters.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() != characters.len() {
            return Err(config("a character occurs twice in the alphabet"));
        }
        let radix = u8::try_from(characters.len()).unwrap_or_default();
        if radix < 2 {
            return Err(config("an alphabet has at least two characters"));
        }
        Ok(Self::of(characters, radix))
    }

    fn of(characters: Vec<u8>, radix: u8) -> Self {
        let enough = |n: &usize| power(radix, *n).is_some_and(|values| values >= LEAST_VALUES);
        let half = (1..=127).take_while(|n| power(radix, *n).is_some());
        Self {
            characters,
            radix,
            shortest: (2..=127).find(enough).unwrap_or(127),
            longest: half.last().unwrap_or_default() << 1,
        }
    }

    /// How long a value may be: at least so long that there are a million values, at most so long that half of it is a
    /// number of 127 bits.
    #[must_use]
    pub fn lengths(&self) -> RangeInclusive<usize> {
        self.shortest..=self.longest
    }

    pub(super) fn base(&self) -> u8 {
        self.radix
    }

    /// The numerals of a text. Every character is compared with the whole alphabet.
    pub(super) fn numerals(&self, text: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let fault = |what, offset| Err(Error::Ff1 { what, offset });
        // Longer in bytes than in characters is a text with others than of the alphabet.
        if text.len() < self.shortest {
            return fault("it is too short", text.len());
        }
        if text.len() > self.longest {
            return fault("it is too long", text.len());
        }
        let mut all = Choice::from(1);
        let mut numerals = Zeroizing::new(Vec::with_capacity(text.len()));
        for byte in text.bytes() {
            let (numeral, is_one) = self.numeral(byte);
            all &= is_one;
            numerals.push(numeral);
        }
        if !bool::from(all) {
            let strange = |byte| !bool::from(self.numeral(byte).1);
            let offset = text.bytes().position(strange).unwrap_or_default();
            return fault("a character is not of the alphabet", offset);
        }
        Ok(numerals)
    }

    /// What a character stands for, and whether it does.
    fn numeral(&self, byte: u8) -> (u8, Choice) {
        let mut numeral = 0;
        let mut is_one = Choice::from(0);
        for (value, character) in (0_u8..).zip(&self.characters) {
            let is_this = character.ct_eq(&byte);
            numeral.conditional_assign(&value, is_this);
            is_one |= is_this;
        }
        (numeral, is_one)
    }

    /// The text of numerals below the radix. Of every numeral the whole alphabet is looked at.
    pub(super) fn text(&self, numerals: &[u8]) -> Vec<u8> {
        let character = |numeral: &u8| {
            let mut character = 0;
            for (value, c) in (0_u8..).zip(&self.characters) {
                character.conditional_assign(c, value.ct_eq(numeral));
            }
            character
        };
        numerals.iter().map(character).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_hold_a_million_values_and_halves_of_127_bits() {
        for (radix, lengths) in [
            (2, 20..=254),
            (3, 13..=160),
            (10, 6..=76),
            (16, 5..=62),
            (36, 4..=48),
        ] {
            assert_eq!(Ff1Alphabet::radix(radix).unwrap().lengths(), lengths);
        }
        let all: String = ('0'..='9').chain('a'..='z').chain('A'..='Z').collect();
        assert_eq!(Ff1Alphabet::new(&all).unwrap().lengths(), 4..=42);
    }

    #[test]
    fn alphabets_are_checked() {
        for radix in [0, 1, 37, 255] {
            assert!(matches!(
                Ff1Alphabet::radix(radix),
                Err(Error::Config { .. })
            ));
        }
        for bad in ["", "0", "00", "0120", "01-", "01é", "０１２", "01 "] {
            assert!(
                matches!(Ff1Alphabet::new(bad), Err(Error::Config { .. })),
                "{bad}"
            );
        }
        let decimal = Ff1Alphabet::radix(10).unwrap();
        assert_eq!(Ff1Alphabet::new("0123456789").unwrap(), decimal);
        assert_ne!(Ff1Alphabet::new("9876543210").unwrap(), decimal);
    }

    #[test]
    fn texts_are_numerals_and_back() {
        let alphabet = Ff1Alphabet::new("Zz9876543210").unwrap();
        let numerals = alphabet.numerals("Zz90012").unwrap();
        assert_eq!(numerals.as_slice(), [0, 1, 2, 11, 11, 10, 9]);
        assert_eq!(alphabet.text(&numerals), b"Zz90012");
    }

    #[test]
    fn what_is_not_of_the_alphabet_is_named_by_its_place() {
        let decimal = Ff1Alphabet::radix(10).unwrap();
        let long = "1".repeat(77);
        for (text, message) in [
            ("12345", "value for ff1: it is too short (at byte 5)"),
            ("", "value for ff1: it is too short (at byte 0)"),
            (&long, "value for ff1: it is too long (at byte 77)"),
            (
                "123456x",
                "value for ff1: a character is not of the alphabet (at byte 6)",
            ),
            (
                "1é34567",
                "value for ff1: a character is not of the alphabet (at byte 1)",
            ),
            (
                "１２３４５６",
                "value for ff1: a character is not of the alphabet (at byte 0)",
            ),
        ] {
            assert_eq!(decimal.numerals(text).unwrap_err().to_string(), message);
        }
        let hexadecimal = Ff1Alphabet::radix(16).unwrap();
        assert!(hexadecimal.numerals("00aAff").is_err());
    }
}
