//! Masking of opened values for display.
//!
//! JR/T 0171-2020 asks for personal financial information to be shown masked (annex A, informative). What stays
//! readable here (that text was not at hand; the positions are this crate's own):
//!
//! | kind | readable | example |
//! |---|---|---|
//! | identity number (GB 11643) | first 3, last 4; of 15 digits last 3 | `110***********4610` |
//! | bank card | first 6 (issuer), last 4; under 16 digits fewer of the first | `622848*********1234` |
//! | phone | first 3, last 4 | `138****5678` |
//! | name | see [`name`] | `张*三` |
//! | address | province and city, see [`address`] | `广东省深圳市********` |
//! | e-mail | first character, and a public provider's domain, see [`email`] | `z*******@qq.com` |
//!
//! One `*` stands for every hidden character, so the length stays visible. A value that is not what it should be,
//! in length or in characters, is hidden wholly: a mask must not show what it does not understand. Nothing here
//! panics on any text. A mask is for showing; it is not encryption, and masked values are still personal data.

mod address;
mod email;
mod stars;

pub use address::address;
pub use email::email;

use stars::{STAR, hide, keep};

/// Masks a resident identity number: 18 characters (17 digits, then a digit or `X`), or the 15 digits of the first
/// generation. Region's first three digits and the last four characters stay, of 15 digits the last three: the
/// birth date never does.
///
/// ```
/// use sm_fieldcrypt::mask;
/// assert_eq!(mask::identity_number("110101199003074610"), "110***********4610");
/// assert_eq!(mask::identity_number("A1234567"), "********");
/// ```
#[must_use]
pub fn identity_number(value: &str) -> String {
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    match value.len() {
        // Without a check digit the fourth from the end is the day of birth's.
        15 if digits(value) => keep(value, 3, 3),
        18 if value.split_at_checked(17).is_some_and(|(body, check)| {
            digits(body) && (digits(check) || check.eq_ignore_ascii_case("x"))
        }) =>
        {
            keep(value, 3, 4)
        }
        _ => hide(value),
    }
}

/// Masks a bank card number of 12 to 19 digits. Spaces and hyphens between digit groups stay where they are. At
/// least six digits are hidden: the check digit alone would give two or three away.
///
/// ```
/// use sm_fieldcrypt::mask;
/// assert_eq!(mask::bank_card("6228480402564890018"), "622848*********0018");
/// assert_eq!(mask::bank_card("6228 4804 0256 4890 018"), "6228 48** **** ***0 018");
/// ```
#[must_use]
pub fn bank_card(value: &str) -> String {
    let first = digits_of(value).saturating_sub(10).min(6);
    digits_only(value, 12..=19, first, 4)
}

/// Masks a phone number: a mobile number of 11 digits, also with the country code `+86`. Anything else (a landline
/// number, a foreign one) is hidden wholly.
///
/// ```
/// use sm_fieldcrypt::mask;
/// assert_eq!(mask::phone("13812345678"), "138****5678");
/// assert_eq!(mask::phone("+8613812345678"), "+86138****5678");
/// assert_eq!(mask::phone("0106552"), "*******");
/// ```
#[must_use]
pub fn phone(value: &str) -> String {
    // A landline number with its area code can have 11 digits as well, but begins with 0.
    let is_mobile = |number: &str| {
        digits_of(number) == 11 && number.chars().find(char::is_ascii_digit) == Some('1')
    };
    match value.strip_prefix("+86") {
        Some(number) if is_mobile(number) => {
            format!("+86{}", digits_only(number, 11..=11, 3, 4))
        }
        None if is_mobile(value) => digits_only(value, 11..=11, 3, 4),
        _ => hide(value),
    }
}

/// Masks a person's name, counted in characters (Unicode scalar values), not bytes.
///
/// One character: hidden. Two: the first is hidden (`*三`). Three or more: the first and the last stay
/// (`张*三`, `欧**明`). A name with a middle dot (`·`, `•`, `‧`, `.`) or a space between its parts keeps only the
/// first character of the first part and the marks (`阿********·****`), because its last part may be a family name.
///
/// ```
/// use sm_fieldcrypt::mask;
/// assert_eq!(mask::name("张小三"), "张*三");
/// assert_eq!(mask::name("张三"), "*三");
/// assert_eq!(mask::name("阿凡提·买买提"), "阿**·***");
/// ```
#[must_use]
pub fn name(value: &str) -> String {
    let is_mark = |c: char| matches!(c, '·' | '•' | '‧' | '.' | ' ');
    let count = value.chars().count();
    if value.chars().any(is_mark) {
        let mask = |(i, c): (usize, char)| if i == 0 || is_mark(c) { c } else { STAR };
        return value.chars().enumerate().map(mask).collect();
    }
    match count {
        0 | 1 => hide(value),
        2 => keep(value, 0, 1),
        _ => keep(value, 1, 1),
    }
}

fn is_separator(c: char) -> bool {
    c == ' ' || c == '-'
}

fn digits_of(value: &str) -> usize {
    value.chars().filter(char::is_ascii_digit).count()
}

/// Keeps the first and last digits of a number written in digits and separators, if it has as many as it should.
fn digits_only(
    value: &str,
    lengths: std::ops::RangeInclusive<usize>,
    first: usize,
    last: usize,
) -> String {
    let strange = value
        .chars()
        .any(|c| !c.is_ascii_digit() && !is_separator(c));
    let digits = digits_of(value);
    if strange || !lengths.contains(&digits) {
        return hide(value);
    }
    let hidden = first..digits.saturating_sub(last);
    let mut seen = 0_usize;
    value
        .chars()
        .map(|c| {
            if is_separator(c) {
                return c;
            }
            let at = seen;
            seen = seen.saturating_add(1);
            if hidden.contains(&at) { STAR } else { c }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_numbers_of_both_generations() {
        assert_eq!(identity_number("11010119900307461X"), "110***********461X");
        assert_eq!(identity_number("11010119900307461x"), "110***********461x");
        assert_eq!(identity_number("110101900307461"), "110*********461");
    }

    #[test]
    fn anything_else_is_hidden_wholly() {
        for bad in [
            "",
            "1",
            "1101011990030746",
            "1101011990030746100",
            "11010119900307461Y",
        ] {
            assert_eq!(identity_number(bad), "*".repeat(bad.len()), "{bad}");
        }
        assert_eq!(identity_number("１１０１０１"), "******");
        assert_eq!(identity_number("身份证号身份"), "******");
        for bad in [
            "",
            "62284",
            "62284804025",
            "62284804025648900181",
            "6228a80402564890018",
        ] {
            assert_eq!(bank_card(bad), "*".repeat(bad.len()), "{bad}");
        }
        for bad in [
            "",
            "1381234567",
            "138123456789",
            "+85213812345678",
            "13812345abc",
            "+8612",
        ] {
            assert_eq!(phone(bad), "*".repeat(bad.len()), "{bad}");
        }
        // The birth date in a 17-digit prefix with a multi-byte check character: same length in bytes is no way in.
        assert_eq!(identity_number("1101011990030746é"), "*".repeat(17));
    }

    #[test]
    fn cards_and_phones_keep_their_groups() {
        assert_eq!(bank_card("6228-4804-0256-4890"), "6228-48**-****-4890");
        assert_eq!(phone("138 1234 5678"), "138 **** 5678");
        assert_eq!(phone("+86 138 1234 5678"), "+86 138 **** 5678");
    }

    /// 15 digits: region 6, birth date 6, sequence 3, no check digit.
    #[test]
    fn hazard_first_generation_number_shows_the_day_of_birth() {
        let days: std::collections::HashSet<_> = (1..=9)
            .map(|day| identity_number(&format!("1101019003{day:02}461")))
            .collect();
        assert_eq!(days.len(), 1);
    }

    #[test]
    fn hazard_short_card_numbers_can_be_guessed_from_their_mask() {
        for (value, masked) in [
            ("622848040256", "62******0256"),
            ("6228480402564", "622******2564"),
            ("622848040256489", "62284******6489"),
            ("6228480402564890", "622848******4890"),
        ] {
            assert_eq!(bank_card(value), masked);
        }
    }

    #[test]
    fn hazard_landline_number_taken_for_a_mobile_one() {
        for value in ["01012345678", "010-12345678", "+8601012345678"] {
            assert_eq!(phone(value), "*".repeat(value.len()));
        }
    }

    #[test]
    fn names_are_counted_in_characters() {
        for (value, masked) in [
            ("", ""),
            ("张", "*"),
            ("张三", "*三"),
            ("张小三", "张*三"),
            ("欧阳小明", "欧**明"),
            ("买买提·艾力", "买**·**"),
            ("John Smith", "J*** *****"),
            ("𠮷野家", "𠮷*家"),
        ] {
            assert_eq!(name(value), masked);
        }
    }
}
