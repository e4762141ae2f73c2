//! Properties over arbitrary values.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]

mod common;

use common::{Bench, presets, user};
use proptest::prelude::*;
use sm_fieldcrypt::{Envelope, Error, FieldContext, PreparedKey, RowKey, from_text, mask, to_text};
use std::sync::OnceLock;

/// Prepared keys of every preset, for tenant `bank-a`. Their clock stands still.
fn keys() -> &'static [PreparedKey] {
    static KEYS: OnceLock<Vec<PreparedKey>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let ring = Bench::new().ring().await;
            let mut keys = Vec::new();
            for class in presets() {
                keys.push(ring.prepare(class.name(), "bank-a", &user()).await.unwrap());
            }
            keys
        })
    })
}

fn row() -> impl Strategy<Value = RowKey> {
    let component = prop_oneof![
        any::<i64>().prop_map(|v| (1_u8, v.to_be_bytes().to_vec())),
        ".{0,20}".prop_map(|v| (2, v.into_bytes())),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|v| (3, v)),
        any::<[u8; 16]>().prop_map(|v| (4, v.to_vec())),
    ];
    prop::collection::vec(component, 1..4).prop_map(|components| {
        components
            .into_iter()
            .fold(RowKey::new(), |row, (kind, value)| match kind {
                1 => row.int(i64::from_be_bytes(value.try_into().unwrap())),
                2 => row.text(std::str::from_utf8(&value).unwrap()),
                3 => row.bytes(&value),
                _ => row.uuid(value.try_into().unwrap()),
            })
    })
}

fn place() -> impl Strategy<Value = FieldContext> {
    (".{1,10}", ".{1,10}", row())
        .prop_map(|(table, column, row)| FieldContext::new("bank-a", &table, &column).row(row))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sealed_opens(
        class in 0_usize..4,
        plain in prop::collection::vec(any::<u8>(), 0..300),
        place in place(),
    ) {
        let key = &keys()[class];
        let sealed = key.seal(&plain, &place).unwrap();
        let opened = key.open(&sealed, &place).unwrap();
        prop_assert_eq!(opened.expose(), plain.as_slice());
        prop_assert!(sealed.len() >= plain.len() + 46 && sealed.len() <= plain.len() + 82);
        prop_assert_eq!(from_text(&to_text(&sealed)).unwrap(), sealed);
    }

    #[test]
    fn it_opens_nowhere_else(class in 0_usize..4, here in place(), there in place()) {
        let key = &keys()[class];
        let sealed = key.seal(b"value", &here).unwrap();
        let opened = key.open(&sealed, &there);
        prop_assert_eq!(opened.is_ok(), here == there);
    }

    #[test]
    fn a_changed_envelope_does_not_open(
        class in 0_usize..4,
        place in place(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
    ) {
        let key = &keys()[class];
        let good = key.seal(b"110101199003074610", &place).unwrap();
        let mut bad = good.clone();
        for (at, xor) in changes {
            let at = at.index(bad.len());
            bad[at] ^= xor;
        }
        prop_assume!(bad != good);
        prop_assert!(key.open(&bad, &place).is_err());
    }

    #[test]
    fn batches_equal_single_calls(
        class in 0_usize..4,
        values in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..60), place()), 0..20),
        broken in prop::collection::vec(any::<bool>(), 20),
    ) {
        let key = &keys()[class];
        let items: Vec<(&[u8], &FieldContext)> =
            values.iter().map(|(plain, place)| (plain.as_slice(), place)).collect();
        let mut sealed: Vec<Vec<u8>> =
            key.seal_many(&items).unwrap().into_iter().map(Result::unwrap).collect();
        for (value, broken) in sealed.iter_mut().zip(&broken) {
            if *broken {
                *value.last_mut().unwrap() ^= 1;
            }
        }
        let items: Vec<(&[u8], &FieldContext)> =
            sealed.iter().zip(&values).map(|(sealed, (_, place))| (sealed.as_slice(), place)).collect();
        let together = key.open_many(&items).unwrap();
        for (i, result) in together.into_iter().enumerate() {
            let alone = key.open(items[i].0, items[i].1);
            prop_assert_eq!(result.is_ok(), !broken[i]);
            match (result, alone) {
                (Ok(a), Ok(b)) => {
                    prop_assert_eq!(a.expose(), b.expose());
                    prop_assert_eq!(a.expose(), values[i].0.as_slice());
                }
                (Err(a), Err(b)) => prop_assert!(matches!((a, b), (Error::Open, Error::Open))),
                _ => prop_assert!(false, "batch and single call differ"),
            }
        }
    }

    #[test]
    fn parsing_never_panics_and_loses_nothing(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        if let Ok(envelope) = Envelope::parse(&bytes) {
            let length = 18 + envelope.iv().len() + envelope.ciphertext().len() + envelope.tag().len();
            prop_assert_eq!(length, bytes.len());
        }
    }

    #[test]
    fn text_has_one_form(text in "(smf1:)?[A-Za-z0-9_=-]{0,40}") {
        if let Ok(bytes) = from_text(&text) {
            prop_assert_eq!(to_text(&bytes), text);
        }
    }

    #[test]
    fn masks_keep_the_length_and_hide_something(value in "\\PC{0,30}") {
        for mask in [
            mask::identity_number,
            mask::bank_card,
            mask::phone,
            mask::name,
            mask::address,
            mask::email,
        ] {
            let masked = mask(&value);
            prop_assert_eq!(masked.chars().count(), value.chars().count());
            let kept = value.chars().zip(masked.chars()).all(|(a, b)| a == b || b == '*');
            prop_assert!(kept, "{} became {}", value, masked);
        }
    }

    #[test]
    fn masked_identity_numbers_show_no_birth_date(
        region in "[1-9][0-9]{5}",
        birth in "(19|20)[0-9]{6}",
        tail in "[0-9]{3}[0-9X]",
    ) {
        let masked = mask::identity_number(&format!("{region}{birth}{tail}"));
        prop_assert_eq!(&masked[3..14], "***********");
        prop_assert_eq!(&masked[14..], tail.as_str());
    }

    #[test]
    fn masked_addresses_show_nothing_below_the_city(
        city in "(北京市|广东省深圳市|西安市)",
        rest in "[海淀南山][路街区]\\PC{0,20}",
    ) {
        let masked = mask::address(&format!("{city}{rest}"));
        prop_assert_eq!(masked, format!("{city}{}", "*".repeat(rest.chars().count())));
    }

    #[test]
    fn masked_emails_show_one_character_of_the_local_part(
        local in "[a-z0-9]{1,12}([.+_-][a-z0-9]{1,4}){0,2}",
        domain in "(qq[.]com|163[.]com|[a-z]{2,9}[.]example)",
    ) {
        let masked = mask::email(&format!("{local}@{domain}"));
        let (shown, of_domain) = masked.split_once('@').unwrap();
        let kept = shown.chars().filter(|c| *c != '*').count();
        prop_assert_eq!(kept, usize::from(local.len() >= 4));
        prop_assert_eq!(of_domain == domain, !domain.ends_with(".example"));
    }
}
