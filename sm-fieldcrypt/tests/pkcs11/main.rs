//! A KEK on a PKCS#11 token, against SoftHSM.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::print_stderr,
    missing_docs
)]

#[path = "../common/mod.rs"]
mod common;
mod keys;
mod loss;
mod softhsm;

use common::user;
use cryptoki::mechanism::Mechanism;
use sm_fieldcrypt::{Error, FieldContext, KekProvider, Pkcs11Kek, Pkcs11Mechanisms, SecretBytes};
use softhsm::{PIN, Place, keys_of, on_tokens, run, session_objects};

fn both() -> [(&'static str, Pkcs11Mechanisms); 2] {
    [
        ("wrap", Pkcs11Mechanisms::aes_key_wrap_pad()),
        ("cipher", Pkcs11Mechanisms::aes_cbc_pad()),
    ]
}

fn field_key() -> SecretBytes {
    SecretBytes::new((0..32).collect())
}

fn cell() -> FieldContext {
    FieldContext::new("bank-a", "customers", "id_no").row(42_i64)
}

/// The reason of a provider's failure, which never carries the PIN.
#[track_caller]
fn reason<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    let error = result.unwrap_err();
    assert!(!format!("{error} {error:?}").contains(PIN));
    match error {
        Error::Kek { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(result: Result<SecretBytes, Error>, what: &str) {
    let error = result.expect_err(what);
    assert!(
        matches!(error, Error::KekUnwrap { .. }),
        "{what}: {error:?}"
    );
}

#[test]
fn values_open_after_a_restart_and_after_a_rotation() {
    fn seal(place: &Place) {
        for (name, mechanisms) in both() {
            let kek = place.create(name, mechanisms);
            assert!(kek.id().starts_with(&format!("kek://pkcs11/bank/{name}/")));
            assert!(!kek.is_gm());
            place.write(&format!("{name}.id"), kek.id().as_bytes());
            run(async {
                let blob = kek.wrap_key(&field_key(), b"context").await.unwrap();
                place.write(&format!("{name}.blob"), &blob);
                let builder = place.ring(kek, &format!("{name}.registry"));
                let ring = builder
                    .create_registry()
                    .auto_rotate()
                    .build()
                    .await
                    .unwrap();
                for n in 0..2 {
                    let key = ring
                        .prepare("identity_number", "bank-a", &user())
                        .await
                        .unwrap();
                    let sealed = key.seal(b"110101199003074610", &cell()).unwrap();
                    place.write(&format!("{name}.{n}"), &sealed);
                    ring.rotate("identity_number", None, &user()).await.unwrap();
                }
            });
        }
    }
    fn open(place: &Place) {
        for (name, mechanisms) in both() {
            let kek = Pkcs11Kek::open(place.config("bank", name, mechanisms)).unwrap();
            assert_eq!(kek.id().as_bytes(), place.read(&format!("{name}.id")));
            run(async {
                let blob = place.read(&format!("{name}.blob"));
                assert_eq!(
                    kek.unwrap_key(&blob, b"context").await.unwrap(),
                    field_key()
                );
                let builder = place.ring(kek, &format!("{name}.registry"));
                let ring = builder.build().await.unwrap();
                assert_eq!(ring.keys().len(), 3);
                let key = ring
                    .prepare("identity_number", "bank-a", &user())
                    .await
                    .unwrap();
                for n in 0..2 {
                    let sealed = place.read(&format!("{name}.{n}"));
                    let opened = key.open(&sealed, &cell()).unwrap();
                    assert_eq!(opened.expose_str(), Some("110101199003074610"));
                }
            });
        }
    }
    on_tokens(
        "values_open_after_a_restart_and_after_a_rotation",
        &[seal, open],
    );
}

#[test]
fn a_second_kek_is_another_kek() {
    on_tokens(
        "a_second_kek_is_another_kek",
        &[|place| {
            let mechanisms = Pkcs11Mechanisms::aes_cbc_pad();
            let first = place.create("kek-2026", mechanisms);
            let second = place.create("kek-2027", mechanisms);
            assert_ne!(first.id(), second.id());
            run(async {
                // Whoever holds blob and context moves a field key to the next KEK.
                let old = first.wrap_key(&field_key(), b"context").await.unwrap();
                let key = first.unwrap_key(&old, b"context").await.unwrap();
                let new = second.wrap_key(&key, b"context").await.unwrap();
                assert_eq!(
                    second.unwrap_key(&new, b"context").await.unwrap(),
                    field_key()
                );
                refused(second.unwrap_key(&old, b"context").await, "the old one's");
                refused(first.unwrap_key(&new, b"context").await, "the new one's");
                // A ring does not: its registry stays with the KEK that it was made under.
                let ring = place
                    .ring(first, "registry")
                    .create_registry()
                    .build()
                    .await;
                assert_eq!(ring.unwrap().epoch(), 1);
                let error = place.ring(second, "registry").build().await.unwrap_err();
                assert!(matches!(error, Error::RegistryKek { .. }), "{error}");
            });
        }],
    );
}

#[test]
fn hazard_wrapped_key_is_altered_or_moved() {
    on_tokens(
        "hazard_wrapped_key_is_altered_or_moved",
        &[|place| {
            for (name, mechanisms) in both() {
                let kek = place.create(name, mechanisms);
                let other = Pkcs11Kek::create(place.config("other", name, mechanisms)).unwrap();
                run(async {
                    let good = kek.wrap_key(&field_key(), b"context").await.unwrap();
                    for at in 0..good.len() {
                        let mut bad = good.clone();
                        bad[at] ^= 1 << (at % 8);
                        refused(
                            kek.unwrap_key(&bad, b"context").await,
                            &format!("byte {at}"),
                        );
                    }
                    for length in 0..good.len() {
                        let cut = kek.unwrap_key(&good[..length], b"context").await;
                        refused(cut, &format!("cut to {length}"));
                    }
                    for context in [&b"contexT"[..], b"", b"context\0", b"contex"] {
                        refused(kek.unwrap_key(&good, context).await, "another context");
                    }
                    refused(other.unwrap_key(&good, b"context").await, "another token");
                    // No byte moves from context to wrapped key.
                    let mut shifted = good.clone();
                    shifted.insert(2, b't');
                    refused(kek.unwrap_key(&shifted, b"contex").await, "shifted");
                    assert_eq!(
                        kek.unwrap_key(&good, b"context").await.unwrap(),
                        field_key()
                    );
                });
            }
            // Nothing is left behind, whatever failed.
            let session = place.bystander().session("bank");
            assert_eq!(session_objects(&session), 0);
        }],
    );
}

#[test]
fn tags_are_the_ones_that_the_format_says() {
    on_tokens(
        "tags_are_the_ones_that_the_format_says",
        &[|place| {
            let kek = place.create("kek", Pkcs11Mechanisms::aes_key_wrap_pad());
            let session = place.bystander().session("bank");
            let key = keys_of(&session, "kek.integrity")[0];
            let hmac = |message: &[u8]| session.sign(&Mechanism::Sha256Hmac, key, message).unwrap();
            run(async {
                let messages: Vec<Vec<u8>> = [0, 1, 31, 16 << 10, (16 << 10) + 1, 100_000]
                    .map(|length| vec![7; length])
                    .into();
                let macs = kek.integrity_macs(&messages).await.unwrap();
                assert_eq!(macs.len(), messages.len());
                for (mac, message) in macs.iter().zip(&messages) {
                    assert_eq!(mac.as_slice(), hmac(message), "{} bytes", message.len());
                }
                assert!(kek.integrity_macs(&[]).await.unwrap().is_empty());
                let blob = kek.wrap_key(&field_key(), b"context").await.unwrap();
                let (body, tag) = blob.split_last_chunk::<32>().unwrap();
                assert_eq!(&body[..2], [1, 1]);
                let message = [
                    b"SMFCP1",
                    &body[..2],
                    &7_u32.to_be_bytes(),
                    b"context",
                    &body[2..],
                ]
                .concat();
                assert_eq!(tag.as_slice(), hmac(&message));
                // And such a tag is not to be had otherwise.
                let asked = reason(kek.integrity_macs(&[message]).await);
                assert_eq!(asked, "a message looks like a wrapped key");
            });
            let id = kek.id().rsplit_once('/').unwrap().1;
            assert_eq!(id, common::hex(&hmac(b"SMFCP1/id")[..8]));
        }],
    );
}

#[test]
fn many_callers_share_one_token() {
    on_tokens(
        "many_callers_share_one_token",
        &[|place| {
            let mechanisms = Pkcs11Mechanisms::aes_key_wrap_pad();
            let kek = std::sync::Arc::new(place.create("kek", mechanisms));
            run(async {
                let tasks: Vec<_> = (0..16_u8)
                    .map(|n| {
                        let kek = kek.clone();
                        tokio::spawn(async move {
                            let key = SecretBytes::new(vec![n; 32]);
                            let blob = kek.wrap_key(&key, &[n]).await.unwrap();
                            refused(kek.unwrap_key(&blob, &[n, n]).await, "another context");
                            kek.unwrap_key(&blob, &[n]).await.unwrap() == key
                        })
                    })
                    .collect();
                for task in tasks {
                    assert!(task.await.unwrap());
                }
            });
            let session = place.bystander().session("bank");
            assert_eq!(session_objects(&session), 0);
        }],
    );
}
