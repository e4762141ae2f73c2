//! Format-preserving encryption: properties, hazards, and BouncyCastle's FF1 beside this one.
#![cfg(feature = "ff1")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    missing_docs
)]

mod common;
mod peers;

use common::{hex, kek};
use peers::{bouncy_castle, have_openssl, openssl_hkdf};
use proptest::prelude::*;
use sm_fieldcrypt::{Error, Ff1Alphabet, Ff1Key, FieldContext, OsRandom, SecretBytes};
use std::collections::HashSet;

fn key_of(byte: u8, version: u32, alphabet: Ff1Alphabet) -> Ff1Key {
    Ff1Key::new(version, SecretBytes::new(vec![byte; 32]), alphabet).unwrap()
}

fn decimal() -> Ff1Key {
    key_of(1, 1, Ff1Alphabet::radix(10).unwrap())
}

fn column() -> FieldContext {
    FieldContext::new("bank-a", "cards", "number")
}

/// Every value has one ciphertext of its own, and every ciphertext is one's.
#[test]
fn six_digits_are_permuted() {
    let key = decimal();
    let column = column();
    let values: Vec<String> = (0..1_000_000).map(|n| format!("{n:06}")).collect();
    let mut seen = vec![false; values.len()];
    let mut fixed = 0;
    for some in values.chunks(4096) {
        let items: Vec<_> = some.iter().map(|value| (value.as_str(), &column)).collect();
        for (value, encrypted) in some.iter().zip(key.encrypt_many(&items)) {
            let encrypted = encrypted.unwrap();
            assert_eq!(encrypted.len(), 6);
            let at: usize = encrypted.parse().unwrap();
            assert!(!seen[at], "{value}");
            seen[at] = true;
            fixed += usize::from(encrypted == *value);
        }
    }
    assert!(seen.iter().all(|seen| *seen));
    // One fixed point is expected of a random permutation; twenty never happen.
    assert!(fixed < 20, "{fixed}");
}

/// Values of this format, once calculated; `interop_bouncycastle_gives_the_same` holds them to BouncyCastle and openssl.
#[test]
fn what_was_encrypted_before_still_decrypts() {
    for (alphabet, context, plain, encrypted) in frozen() {
        let key = key_of(1, 1, alphabet);
        assert_eq!(key.encrypt(plain, &context).unwrap(), encrypted);
        let decrypted = key.decrypt(encrypted, &context).unwrap();
        assert_eq!(decrypted.expose_str(), Some(plain));
    }
}

fn frozen() -> [(Ff1Alphabet, FieldContext, &'static str, &'static str); 4] {
    [
        (
            Ff1Alphabet::radix(10).unwrap(),
            column(),
            "6226090102675688",
            "2800952993273682",
        ),
        (
            Ff1Alphabet::radix(10).unwrap(),
            column().row(42),
            "6226090102675688",
            "5782188639274441",
        ),
        (
            Ff1Alphabet::new("0123456789X").unwrap(),
            column(),
            "11010119900307461X",
            "38427287X77348084X",
        ),
        (
            Ff1Alphabet::radix(36).unwrap(),
            column(),
            "0123456789abcdefghijklmnopqrstuvwxyz0123456789ab",
            "9czmeu7y1jxwruhn45t0l6dnmnpduz96yab1nvfdxvxgrw97",
        ),
    ]
}

/// The key's derivation by openssl, the tweak laid out here, FF1 by BouncyCastle.
#[test]
fn interop_bouncycastle_gives_the_same() {
    if !have_openssl() {
        return;
    }
    let info = [b"smfc1/ff1".as_slice(), &1_u32.to_be_bytes()].concat();
    let sm4 = openssl_hkdf(
        "EXPAND_ONLY",
        &[("hexkey", &[1; 32]), ("hexinfo", &info)],
        16,
    );
    let prefixed = |text: &str| [&(text.len() as u32).to_be_bytes(), text.as_bytes()].concat();
    let characters = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut commands = Vec::new();
    let mut ours = Vec::new();
    let mut command =
        |characters: &[u8], key: &Ff1Key, context: &FieldContext, tweak: &[u8], text: &str| {
            let numeral = |c: u8| characters.iter().position(|a| *a == c).unwrap() as u8;
            let numerals = |text: &str| hex(&text.bytes().map(numeral).collect::<Vec<u8>>());
            let (radix, sm4, tweak) = (characters.len(), hex(&sm4), hex(tweak));
            commands.push(format!("ff1 {radix} {sm4} {tweak} {}", numerals(text)));
            ours.push(numerals(&key.encrypt(text, context).unwrap()));
        };
    // Tweaks of every length modulo the block, values of every width of a half's number.
    for radix in [2_u8, 3, 7, 10, 16, 26, 32, 36] {
        let alphabet = Ff1Alphabet::radix(radix).unwrap();
        let key = key_of(1, 1, alphabet.clone());
        for length in alphabet.lengths() {
            let name = "n".repeat(1 + length % 16);
            let context = FieldContext::new("bank-a", "cards", &name);
            let tweak = [
                vec![1],
                prefixed("bank-a"),
                prefixed("cards"),
                prefixed(&name),
            ]
            .concat();
            let text: String = (0..length)
                .map(|i| char::from(characters[(i * i + length) % usize::from(radix)]))
                .collect();
            command(
                &characters[..usize::from(radix)],
                &key,
                &context,
                &tweak,
                &text,
            );
        }
    }
    let of_column = [
        vec![1],
        prefixed("bank-a"),
        prefixed("cards"),
        prefixed("number"),
    ]
    .concat();
    let of_row = [&of_column[..], &[1, 0, 0, 0, 8], &42_i64.to_be_bytes()].concat();
    for (alphabet, context, plain, _) in frozen() {
        let in_row = context == column().row(42);
        let tweak = if in_row { &of_row } else { &of_column };
        let characters: &[u8] = match alphabet.lengths().end() {
            76 => &characters[..10],
            72 => b"0123456789X",
            _ => characters,
        };
        command(characters, &key_of(1, 1, alphabet), &context, tweak, plain);
    }
    let Some(theirs) = bouncy_castle(&commands) else {
        return;
    };
    for ((command, theirs), ours) in commands.iter().zip(&theirs).zip(&ours) {
        assert_eq!(theirs, ours, "{command}");
    }
    println!("{} values by both", commands.len());
}

#[tokio::test]
async fn a_wrapped_key_opens_under_its_kek_and_version() {
    let alphabet = Ff1Alphabet::radix(10).unwrap();
    let kek_1 = kek(1);
    let (key, wrapped) = Ff1Key::create(&*kek_1, &OsRandom, 7, alphabet.clone())
        .await
        .unwrap();
    let again = Ff1Key::from_wrapped(&*kek_1, &wrapped, 7, alphabet.clone())
        .await
        .unwrap();
    assert_eq!((again.version(), again.alphabet()), (7, &alphabet));
    let encrypted = key.encrypt("123456", &column()).unwrap();
    assert_eq!(
        again.decrypt(&encrypted, &column()).unwrap().expose(),
        b"123456"
    );
    for (kek, version) in [(&kek_1, 8), (&kek(2), 7)] {
        let refused = Ff1Key::from_wrapped(&**kek, &wrapped, version, alphabet.clone()).await;
        assert!(matches!(refused, Err(Error::KekUnwrap { .. })));
    }
    let (other, _) = Ff1Key::create(&*kek_1, &OsRandom, 7, alphabet)
        .await
        .unwrap();
    assert_ne!(
        other.encrypt("1234567890123456", &column()).unwrap(),
        key.encrypt("1234567890123456", &column()).unwrap()
    );
}

#[test]
fn keys_have_32_bytes_and_show_nothing() {
    for length in [0, 16, 31, 33] {
        let alphabet = Ff1Alphabet::radix(10).unwrap();
        let key = Ff1Key::new(1, SecretBytes::new(vec![1; length]), alphabet);
        assert!(matches!(key, Err(Error::Config { .. })));
    }
    let shown = format!("{:?}", decimal());
    assert!(
        shown.contains("version: 1") && !shown.contains("cipher"),
        "{shown}"
    );
}

#[test]
fn a_batch_gives_one_result_an_item() {
    let key = decimal();
    let (here, there) = (column(), FieldContext::new("", "cards", "number"));
    let items = [
        ("123456", &here),
        ("12345", &here),
        ("123456", &there),
        ("6226090102675688", &here),
    ];
    let together = key.encrypt_many(&items);
    assert_eq!(
        together[0].as_ref().unwrap(),
        &key.encrypt("123456", &here).unwrap()
    );
    assert!(matches!(together[1], Err(Error::Ff1 { offset: 5, .. })));
    assert!(matches!(together[2], Err(Error::Context { .. })));
    let last = together[3].as_ref().unwrap();
    let back = key.decrypt_many(&[("x", &here), (last, &here)]);
    assert!(matches!(back[0], Err(Error::Ff1 { .. })));
    assert_eq!(back[1].as_ref().unwrap().expose(), b"6226090102675688");
    assert!(key.encrypt_many(&[]).is_empty());
}

#[test]
fn hazard_same_value_looks_the_same_in_another_place_or_under_another_key() {
    let value = "6226090102675688";
    let places = [
        column(),
        FieldContext::new("bank-b", "cards", "number"),
        FieldContext::new("bank-a", "card", "snumber"),
        FieldContext::new("bank-a", "cards", "number2"),
        column().row(1),
        column().row(2),
        column().row("1"),
    ];
    let ten = || Ff1Alphabet::radix(10).unwrap();
    let keys = [
        key_of(1, 1, ten()),
        key_of(2, 1, ten()),
        key_of(1, 2, ten()),
    ];
    let encrypted: HashSet<String> = keys
        .iter()
        .flat_map(|key| {
            places
                .iter()
                .map(|place| key.encrypt(value, place).unwrap())
        })
        .collect();
    assert_eq!(encrypted.len(), keys.len() * places.len());
}

#[test]
fn hazard_no_place_no_tweak() {
    let long = "x".repeat(1025);
    for (tenant, table, name) in [
        ("", "t", "c"),
        ("t", "", "c"),
        ("t", "t", ""),
        ("t", &long, "c"),
    ] {
        let context = FieldContext::new(tenant, table, name);
        let refused = decimal().encrypt("123456", &context);
        assert!(matches!(refused, Err(Error::Context { .. })));
    }
}

#[test]
fn hazard_few_values_can_be_listed() {
    for (radix, short) in [(2_u8, 19), (10, 5), (36, 3)] {
        let key = key_of(1, 1, Ff1Alphabet::radix(radix).unwrap());
        assert_eq!(*key.alphabet().lengths().start(), short + 1);
        let refused = key.encrypt(&"0".repeat(short), &column());
        assert!(matches!(refused, Err(Error::Ff1 { .. })));
        key.encrypt(&"0".repeat(short + 1), &column()).unwrap();
    }
}

/// A value has one spelling: what is nearly of the alphabet is refused, not folded.
#[test]
fn hazard_two_spellings_of_a_value() {
    let key = key_of(1, 1, Ff1Alphabet::radix(16).unwrap());
    for text in ["ABCDEF", " abcdef", "abcdef\n", "0xabcdef", "ａｂｃｄｅｆ"] {
        let refused = key.encrypt(text, &column());
        assert!(matches!(refused, Err(Error::Ff1 { .. })), "{text}");
        assert!(!refused.unwrap_err().to_string().contains("abcdef"));
    }
}

fn alphabet_and_value() -> impl Strategy<Value = (Ff1Alphabet, String)> {
    let all: Vec<char> = ('0'..='9').chain('a'..='z').chain('A'..='Z').collect();
    (2..=62_usize, Just(all).prop_shuffle()).prop_flat_map(|(radix, all)| {
        let characters: Vec<char> = all[..radix].to_vec();
        let alphabet = Ff1Alphabet::new(&characters.iter().collect::<String>()).unwrap();
        let character = prop::sample::select(characters);
        let text = prop::collection::vec(character, alphabet.lengths());
        (Just(alphabet), text.prop_map(String::from_iter))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encrypted_decrypts(
        (alphabet, value) in alphabet_and_value(),
        (table, name) in (".{1,10}", ".{1,30}"),
        version: u32,
        byte: u8,
    ) {
        let key = key_of(byte, version, alphabet.clone());
        let context = FieldContext::new("bank-a", &table, &name);
        let encrypted = key.encrypt(&value, &context).unwrap();
        prop_assert_eq!(encrypted.len(), value.len());
        let decrypted = key.decrypt(&encrypted, &context).unwrap();
        prop_assert_eq!(decrypted.expose_str(), Some(value.as_str()));
        // A permutation also the other way round.
        let decrypted = key.decrypt(&value, &context).unwrap();
        prop_assert_eq!(key.encrypt(decrypted.expose_str().unwrap(), &context).unwrap(), value);
    }

    #[test]
    fn any_text_is_refused_or_encrypted(text in "\\PC{0,90}") {
        match decimal().encrypt(&text, &column()) {
            Ok(encrypted) => prop_assert!(encrypted.bytes().all(|c| c.is_ascii_digit())),
            Err(Error::Ff1 { offset, .. }) => prop_assert!(offset <= text.len()),
            Err(fault) => prop_assert!(false, "{fault}"),
        }
    }
}
