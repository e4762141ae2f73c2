//! Columns of Apache ShardingSphere's SM4 encryptor: its own examples, `openssl`, BouncyCastle, and hazards.
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

use common::{Bench, context, hex, user};
use peers::{bouncy_castle, have_openssl, openssl};
use proptest::prelude::*;
use sm_fieldcrypt::{Error, FieldContext, SecretBytes, ShardingSphereSm4};

const KEY: &str = "0123456789abcdeffedcba9876543210";
const IV: &str = "000102030405060708090a0b0c0d0e0f";

/// Text, and what these give for it:
///
/// ```text
/// printf %s TEXT | openssl enc -sm4-cbc -K 0123456789abcdeffedcba9876543210 -iv 000102030405060708090a0b0c0d0e0f | xxd -p
/// printf %s TEXT | openssl enc -sm4-ecb -K 0123456789abcdeffedcba9876543210 | xxd -p
/// ```
const KNOWN: [(&str, &str, &str); 4] = [
    (
        "",
        "4b910651754b5553f10cfa0c8a09e9e5",
        "002a8a4efa863ccad024ac0300bb40d2",
    ),
    (
        "110101199003074610",
        "25ff5088bcc355fa36135d95e075fb4483f44154b615f0a9602505f6a4833dc1",
        "0e3dc775dca64277400259b09126fd8209704c0c68c240677c4786b69e5bf1a1",
    ),
    (
        "0123456789abcdef",
        "9d193c43fdc9ac44b40c27629ea9df0c8dce12d6419f61023c46b703dbd1bd2d",
        "e6887b77dbabb572ffa07fed7548b192002a8a4efa863ccad024ac0300bb40d2",
    ),
    (
        "广东省深圳市",
        "cf43337fdd33da01409b84f2d6fb76f8629f63487fe7c1ebf8f05bef022ee28c",
        "63525cd9345d65a3c5feac41f5ce13f14e4031f6bbcd0615f8815b6755f46879",
    ),
];

fn secret(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

fn cbc() -> ShardingSphereSm4 {
    ShardingSphereSm4::cbc(&secret(KEY), IV).unwrap()
}

fn ecb() -> ShardingSphereSm4 {
    ShardingSphereSm4::ecb(&secret(KEY)).unwrap()
}

/// The values of the encryptor's own tests (`SM4EncryptAlgorithmTest`), its properties in their mixed case.
#[test]
fn shardingspheres_own_examples_open() {
    let key = secret("f201326119911788cFd30575b81059ac");
    let cbc = ShardingSphereSm4::cbc(&key, "e166c3391294E69cc4c620f594fe00d7").unwrap();
    let opened = cbc.open("dca2127b57ba8cac36a0914e0208dc11").unwrap();
    assert_eq!(opened.expose(), b"test");
    let ecb = ShardingSphereSm4::ecb(&secret("4D744E003D713D054E7E407C350E447E")).unwrap();
    let opened = ecb.open("028654f2ca4f575dee9e1faae85dadde").unwrap();
    assert_eq!(opened.expose(), b"test");
}

#[test]
fn known_answers_of_openssl_open() {
    for (text, of_cbc, of_ecb) in KNOWN {
        assert_eq!(cbc().open(of_cbc).unwrap().expose_str(), Some(text));
        assert_eq!(ecb().open(of_ecb).unwrap().expose_str(), Some(text));
        let upper = of_cbc.to_uppercase();
        assert_eq!(cbc().open(&upper).unwrap().expose_str(), Some(text));
    }
}

#[test]
fn a_batch_gives_one_result_an_item() {
    let texts: Vec<&str> = KNOWN
        .iter()
        .flat_map(|(_, of_cbc, of_ecb)| [*of_cbc, "", *of_ecb, "zz"])
        .collect();
    for legacy in [cbc(), ecb()] {
        let together = legacy.open_many(&texts);
        assert_eq!(together.len(), texts.len());
        for (text, result) in texts.iter().zip(together) {
            match (result, legacy.open(text)) {
                (Ok(a), Ok(b)) => assert_eq!(a, b),
                (Err(a), Err(b)) => assert_eq!(a.to_string(), b.to_string()),
                _ => panic!("{text}: a batch and a single call differ"),
            }
        }
    }
}

#[tokio::test]
async fn a_column_is_sealed_anew() {
    let ring = Bench::new().ring().await;
    let key = ring.prepare("identity_number", "bank-a", &user()).await;
    let key = key.unwrap();
    let sealed = cbc().reseal(KNOWN[1].1, &key, &context(1)).unwrap();
    let opened = key.open(&sealed, &context(1)).unwrap();
    assert_eq!(opened.expose(), KNOWN[1].0.as_bytes());

    let elsewhere = FieldContext::new("bank-b", "customers", "column").row(5);
    let places: Vec<FieldContext> = (0..4).map(context).chain([elsewhere]).collect();
    let texts = [KNOWN[0].2, "0g", KNOWN[3].2, KNOWN[1].1, KNOWN[2].2];
    let items: Vec<(&str, &FieldContext)> = texts.iter().copied().zip(&places).collect();
    let resealed = ecb().reseal_many(&items, &key).unwrap();
    let open = |at: usize| {
        let sealed = resealed[at].as_ref().unwrap();
        key.open(sealed, &places[at]).unwrap()
    };
    assert_eq!(open(0).expose_str(), Some(KNOWN[0].0));
    assert_eq!(open(2).expose_str(), Some(KNOWN[3].0));
    assert!(matches!(resealed[1], Err(Error::Import { offset: 1, .. })));
    assert!(matches!(resealed[3], Err(Error::ImportOpen)));
    assert!(matches!(resealed[4], Err(Error::Context { .. })));
}

#[test]
fn what_is_not_in_form_is_refused_with_its_place() {
    let value = |text: &str| cbc().open(text).unwrap_err().to_string();
    let good = KNOWN[0].1;
    for (text, message) in [
        (String::new(), "imported value: it is empty (at byte 0)"),
        (
            format!("{}g", &good[1..]),
            "imported value: it is no hexadecimal digit (at byte 31)",
        ),
        (
            format!(" {good}"),
            "imported value: it is no hexadecimal digit (at byte 0)",
        ),
        (
            format!("{good}\n"),
            "imported value: it is no hexadecimal digit (at byte 32)",
        ),
        (
            format!("{good}0"),
            "imported value: the last digit stands alone (at byte 32)",
        ),
        (
            good[2..].into(),
            "imported value: it does not end with a block of 32 digits (at byte 30)",
        ),
    ] {
        assert_eq!(value(&text), message);
    }
    for key in ["", &KEY[2..], &format!("{KEY}00"), &KEY.replace('9', "x")] {
        let fault = ShardingSphereSm4::ecb(&secret(key)).unwrap_err();
        assert!(matches!(fault, Error::Import { part: "key", .. }));
        let fault = ShardingSphereSm4::cbc(&secret(KEY), key).unwrap_err();
        assert!(matches!(fault, Error::Import { part: "iv", .. }));
        assert!(key.is_empty() || !fault.to_string().contains(key));
    }
}

#[test]
fn debug_shows_no_key() {
    let shown = format!("{:?} {:?}", cbc(), ecb());
    assert!(
        !shown.contains("0123") && !shown.contains("fedc"),
        "{shown}"
    );
    assert!(shown.contains("Ecb"));
}

/// Wrong padding of any kind, a wrong key and what is no text are one error without a source.
#[test]
fn hazard_padding_oracle_tells_faults_apart() {
    let other = ShardingSphereSm4::ecb(&secret(IV)).unwrap();
    let mut faults = vec![other.open(KNOWN[1].2).unwrap_err()];
    let good = KNOWN[1].1.as_bytes();
    for at in (0..32).chain(32..64) {
        let mut bad = good.to_vec();
        bad[at] = if bad[at] == b'0' { b'1' } else { b'0' };
        faults.extend(cbc().open(std::str::from_utf8(&bad).unwrap()).err());
    }
    assert!(faults.len() > 32);
    for fault in faults {
        assert!(matches!(fault, Error::ImportOpen));
        assert!(std::error::Error::source(&fault).is_none());
        assert_eq!(fault.to_string(), "the imported value does not decrypt");
    }
}

/// What ECB does not hide, which is why it is left: equal blocks, and blocks put into another order.
#[test]
fn hazard_imported_blocks_can_be_moved() {
    let text = KNOWN[2].2;
    let doubled = format!("{}{text}", &text[..32]);
    let opened = ecb().open(&doubled).unwrap();
    assert_eq!(
        opened.expose_str(),
        Some("0123456789abcdef0123456789abcdef")
    );
}

#[test]
fn interop_openssl_encrypts_what_is_imported() {
    if !have_openssl() {
        return;
    }
    for (text, of_cbc, of_ecb) in KNOWN {
        let encrypt = |arguments: &[&str]| hex(&openssl(arguments, text.as_bytes()));
        assert_eq!(encrypt(&["enc", "-sm4-cbc", "-K", KEY, "-iv", IV]), of_cbc);
        assert_eq!(encrypt(&["enc", "-sm4-ecb", "-K", KEY]), of_ecb);
    }
    let long: String = ('a'..='z').cycle().take(1000).collect();
    for length in [1, 15, 17, 31, 32, 33, 999] {
        let text = &long[..length];
        let encrypted = openssl(&["enc", "-sm4-ecb", "-K", KEY], text.as_bytes());
        assert_eq!(
            ecb().open(&hex(&encrypted)).unwrap().expose_str(),
            Some(text)
        );
    }
}

/// The provider that ShardingSphere uses, called as it calls it.
#[test]
fn interop_bouncycastle_encrypts_what_is_imported() {
    let texts = [
        "",
        "test",
        "0123456789abcdef",
        "广东省深圳市南山区科苑路8号",
    ];
    let modes = [
        ("SM4/CBC/PKCS5Padding", IV),
        ("SM4/CBC/PKCS7Padding", IV),
        ("SM4/ECB/PKCS5Padding", "-"),
        ("SM4/ECB/PKCS7Padding", "-"),
    ];
    let mut commands = Vec::new();
    for (mode, iv) in modes {
        for text in texts {
            let text = if text.is_empty() {
                "-".into()
            } else {
                hex(text.as_bytes())
            };
            commands.push(format!("encrypt {mode} {KEY} {iv} {text}"));
        }
    }
    let Some(answers) = bouncy_castle(&commands) else {
        return;
    };
    for ((command, answer), text) in commands.iter().zip(&answers).zip(texts.iter().cycle()) {
        let legacy = if command.contains("CBC") {
            cbc()
        } else {
            ecb()
        };
        assert_eq!(
            legacy.open(answer).unwrap().expose_str(),
            Some(*text),
            "{command}"
        );
    }
}

proptest! {
    #[test]
    fn importing_never_panics(text in "\\PC{0,80}", digits in "[0-9a-fA-F]{0,130}") {
        for legacy in [cbc(), ecb()] {
            for text in [&text, &digits] {
                match legacy.open(text) {
                    Ok(opened) => {
                        prop_assert!(opened.len() < text.len() / 2);
                        prop_assert!(opened.expose_str().is_some());
                    }
                    Err(Error::Import { offset, .. }) => prop_assert!(offset <= text.len()),
                    Err(fault) => prop_assert!(matches!(fault, Error::ImportOpen)),
                }
            }
        }
    }
}
