//! What the fuzz target of FF1 asserts; apart from the others because FF1 is a feature of its own.
#![allow(dead_code, unreachable_pub, missing_docs)]

use sm_fieldcrypt::{Error, Ff1Alphabet, Ff1Key, FieldContext, SecretBytes};

/// A value is refused in words, or encrypts to one of the same length and alphabet, and back.
///
/// The first line is the alphabet, or of one character a radix; what follows is the value.
pub fn encrypt_value(data: &[u8]) {
    let Some((first, value)) = std::str::from_utf8(data)
        .ok()
        .and_then(|text| text.split_once('\n'))
    else {
        return;
    };
    let alphabet = match first.as_bytes() {
        [radix] => Ff1Alphabet::radix(*radix),
        _ => Ff1Alphabet::new(first),
    };
    let alphabet = match alphabet {
        Ok(alphabet) => alphabet,
        Err(fault) => return assert!(matches!(fault, Error::Config { .. })),
    };
    let (shortest, longest) = alphabet.lengths().into_inner();
    assert!(shortest >= 4 && longest <= 254 && shortest < longest);
    let key = Ff1Key::new(1, SecretBytes::new(vec![7; 32]), alphabet.clone()).unwrap();
    let place = FieldContext::new("bank-a", "cards", "number");
    match key.encrypt(value, &place) {
        Ok(encrypted) => {
            assert!(alphabet.lengths().contains(&value.len()));
            assert_eq!(encrypted.len(), value.len());
            let decrypted = key.decrypt(&encrypted, &place).unwrap();
            assert_eq!(decrypted.expose_str(), Some(value));
        }
        Err(Error::Ff1 { offset, .. }) => assert!(offset <= value.len()),
        Err(fault) => panic!("{fault}"),
    }
}
