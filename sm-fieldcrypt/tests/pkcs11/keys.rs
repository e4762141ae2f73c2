//! Module, token, keys and mechanisms: named, checked, made.

use crate::softhsm::{PIN, Place, keys_of, on_tokens, run};
use crate::{field_key, reason};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::types::Ulong;
use sm_fieldcrypt::{
    Error, KekProvider, Pkcs11Config, Pkcs11Kek, Pkcs11Mechanisms, Pkcs11Token, Pkcs11Wrapping,
};

#[test]
fn keys_that_are_missing_or_several_are_refused() {
    on_tokens(
        "keys::keys_that_are_missing_or_several_are_refused",
        &[|place| {
            let mechanisms = Pkcs11Mechanisms::aes_key_wrap_pad();
            let config = || place.config("bank", "kek", mechanisms);
            let said = reason(Pkcs11Kek::open(config()));
            assert_eq!(said, "wrapping key \"kek\": there is none on the token");
            place.create("kek", mechanisms);
            let said = reason(Pkcs11Kek::create(config()));
            assert_eq!(said, "there is a key \"kek\" on the token already");
            let session = place.bystander().session("bank");
            // A second key of the label: two owners of one name. An id tells them apart.
            session
                .copy_object(keys_of(&session, "kek")[0], &[Attribute::Id(vec![2])])
                .unwrap();
            let said = reason(Pkcs11Kek::open(config()));
            assert!(said.contains("there are 2 on the token"), "{said}");
            let chosen = Pkcs11Kek::open(config().key_id(&[2])).unwrap();
            assert!(run(chosen.wrap_key(&field_key(), b"")).is_ok());
            let missing = keys_of(&session, "kek.integrity")[0];
            session.destroy_object(missing).unwrap();
            let said = reason(Pkcs11Kek::open(config().key_id(&[2])));
            let expected = "integrity key \"kek.integrity\": there is none on the token";
            assert_eq!(said, expected);
            // Nothing half made: the key before goes when the one after it cannot be made.
            let broken = Pkcs11Mechanisms {
                mac_key_generation: 0x8000_0001,
                ..mechanisms
            };
            let said = reason(Pkcs11Kek::create(place.config("bank", "half", broken)));
            assert_eq!(said, "C_GenerateKey: CKR_MECHANISM_INVALID");
            assert!(keys_of(&session, "half").is_empty());
        }],
    );
}

#[test]
fn hazard_key_on_the_token_may_leave_it() {
    on_tokens(
        "keys::hazard_key_on_the_token_may_leave_it",
        &[|place| {
            let mechanisms = Pkcs11Mechanisms::aes_key_wrap_pad();
            place.create("good", mechanisms);
            let session = place.bystander().session("bank");
            let make = |label: &str, change: Attribute| {
                let mut template = vec![
                    Attribute::Token(true),
                    Attribute::Label(label.into()),
                    Attribute::Private(true),
                    Attribute::Sensitive(true),
                    Attribute::Extractable(false),
                    Attribute::Wrap(true),
                    Attribute::Unwrap(true),
                    Attribute::Encrypt(false),
                    Attribute::Decrypt(false),
                    Attribute::Sign(false),
                    Attribute::Verify(false),
                    Attribute::Derive(false),
                    Attribute::ValueLen(Ulong::new(32)),
                ];
                let kind = change.attribute_type();
                template.retain(|attribute| attribute.attribute_type() != kind);
                template.push(change);
                session
                    .generate_key(&Mechanism::AesKeyGen, &template)
                    .unwrap();
                place
                    .config("bank", label, mechanisms)
                    .integrity_label("good.integrity")
            };
            let fine = make("fine", Attribute::Verify(false));
            assert!(Pkcs11Kek::open(fine).is_ok());
            for (n, (change, expected)) in [
                (
                    Attribute::Extractable(true),
                    "CKA_EXTRACTABLE must be false",
                ),
                (Attribute::Sensitive(false), "CKA_SENSITIVE must be true"),
                (Attribute::Private(false), "CKA_PRIVATE must be true"),
                (Attribute::Wrap(false), "CKA_WRAP must be true"),
                (Attribute::Unwrap(false), "CKA_UNWRAP must be true"),
                (Attribute::Decrypt(true), "CKA_DECRYPT must be false"),
                (Attribute::Derive(true), "CKA_DERIVE must be false"),
            ]
            .into_iter()
            .enumerate()
            {
                let said = reason(Pkcs11Kek::open(make(&format!("bad-{n}"), change)));
                assert!(said.contains(expected), "{said}");
            }
            // An AES key is no integrity key, and one key does not serve for both.
            let swapped = place
                .config("bank", "good", mechanisms)
                .integrity_label("fine");
            let said = reason(Pkcs11Kek::open(swapped));
            assert!(said.contains("another key type"), "{said}");
            let twice = place
                .config("bank", "good", mechanisms)
                .integrity_label("good");
            assert!(matches!(Pkcs11Kek::open(twice), Err(Error::Config { .. })));
        }],
    );
}

#[test]
fn tokens_are_told_apart() {
    on_tokens(
        "keys::tokens_are_told_apart",
        &[
            |place| {
                let mechanisms = Pkcs11Mechanisms::aes_cbc_pad();
                let by = |token| place.config_with(token, PIN, "kek", mechanisms);
                let bystander = place.bystander();
                let info = bystander.pkcs11.get_token_info(bystander.slot("bank"));
                let serial = info.unwrap().serial_number().to_owned();
                let kek = Pkcs11Kek::create(by(Pkcs11Token::Serial(serial.clone()))).unwrap();
                let expected = format!("kek://pkcs11/{serial}/kek/");
                assert!(kek.id().starts_with(&expected), "{}", kek.id());
                let same = Pkcs11Kek::open(by(Pkcs11Token::Label("bank".into()))).unwrap();
                let fingerprint = |kek: &Pkcs11Kek| kek.id()[kek.id().len() - 16..].to_owned();
                assert_eq!(fingerprint(&kek), fingerprint(&same));
                let said = reason(Pkcs11Kek::open(by(Pkcs11Token::Label("ban".into()))));
                assert_eq!(said, "no token answers to the name");
                place.init_token("bank");
            },
            |place| {
                let mechanisms = Pkcs11Mechanisms::aes_cbc_pad();
                let said = reason(Pkcs11Kek::open(place.config("bank", "kek", mechanisms)));
                assert_eq!(said, "two tokens answer to the name");
            },
        ],
    );
}

#[test]
fn a_vendors_numbers_are_used_as_given() {
    on_tokens(
        "keys::a_vendors_numbers_are_used_as_given",
        &[|place| {
            // Stand-ins for SM4 and HMAC-SM3, which SoftHSM has not: AES-CBC without padding and HMAC-SHA256.
            let vendor = Pkcs11Mechanisms {
                gm: true,
                key_type: 0x1F,
                key_generation: 0x1080,
                key_bytes: Some(16),
                wrapping: Pkcs11Wrapping::Cipher(0x1082),
                mac_key_type: 0x10,
                mac_key_generation: 0x350,
                mac: 0x251,
            };
            let kek = place.create("vendor", vendor);
            assert!(kek.is_gm());
            let one = run(kek.wrap_key(&field_key(), b"c")).unwrap();
            let two = run(kek.wrap_key(&field_key(), b"c")).unwrap();
            assert_eq!((one.len(), &one[..2]), (2 + 16 + 32 + 32, &[1, 2][..]));
            assert_ne!(one, two);
            assert_eq!(run(kek.unwrap_key(&one, b"c")).unwrap(), field_key());
            let with = |change: fn(&mut Pkcs11Mechanisms)| -> Pkcs11Config {
                let mut mechanisms = vendor;
                change(&mut mechanisms);
                place.config("bank", "vendor", mechanisms)
            };
            let said = reason(Pkcs11Kek::open(with(|m| m.mac = 0x8000_0002)));
            assert_eq!(said, "C_SignInit: CKR_MECHANISM_INVALID");
            let said = reason(Pkcs11Kek::open(with(|m| m.key_type = 0x8000_0003)));
            assert!(said.contains("another key type"), "{said}");
            let said = reason(Pkcs11Kek::open(with(|m| m.mac = 0x7777)));
            assert_eq!(said, "unknown mechanism 0x7777");
            let kek = Pkcs11Kek::open(with(|m| m.wrapping = Pkcs11Wrapping::Cipher(0x8000_0004)));
            let kek = kek.unwrap();
            let said = reason(run(kek.wrap_key(&field_key(), b"c")));
            assert_eq!(said, "C_EncryptInit: CKR_MECHANISM_INVALID");
            // The session went with the failure; the next call has another one.
            assert_eq!(run(kek.integrity_macs(&[b"a".to_vec()])).unwrap().len(), 1);
        }],
    );
}

#[test]
fn a_module_that_is_not_there_is_named() {
    let place = Place {
        dir: std::env::temp_dir(),
        module: "/nowhere/module.so".into(),
    };
    let config = place.config("bank", "kek", Pkcs11Mechanisms::aes_key_wrap_pad());
    let said = reason(Pkcs11Kek::open(config));
    assert!(said.contains("/nowhere/module.so does not load"), "{said}");
}
