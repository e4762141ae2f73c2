//! Sessions, logins and tokens that go away, and what comes back in their place.

use crate::softhsm::{PIN, is_filled, keys_of, on_tokens, run, session_objects};
use crate::{both, field_key, reason};
use cryptoki::context::{CInitializeArgs, CInitializeFlags};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::session::UserType;
use cryptoki::types::{AuthPin, Ulong};
use sm_fieldcrypt::{KekProvider, Pkcs11Kek, Pkcs11Mechanisms, Pkcs11Token};

#[test]
fn hazard_wrong_pin_locks_the_token() {
    on_tokens(
        "loss::hazard_wrong_pin_locks_the_token",
        &[
            |place| {
                let mechanisms = Pkcs11Mechanisms::aes_key_wrap_pad();
                let token = || Pkcs11Token::Label("bank".into());
                let wrong = place.config_with(token(), "9999-wrong", "kek", mechanisms);
                let said = reason(Pkcs11Kek::open(wrong));
                assert_eq!(said, "C_Login: CKR_PIN_INCORRECT");
            },
            |place| {
                // The PIN is changed while a service runs, and its login is lost.
                let kek = place.create("kek", Pkcs11Mechanisms::aes_key_wrap_pad());
                let bystander = place.bystander();
                let session = bystander.session("bank");
                let (old, new) = (AuthPin::from(PIN), AuthPin::from("1234-changed"));
                session.set_pin(&old, &new).unwrap();
                session.logout().unwrap();
                let tries = || {
                    let info = bystander.pkcs11.get_token_info(bystander.slot("bank"));
                    info.unwrap().user_pin_count_low()
                };
                assert!(!tries());
                let said = reason(run(kek.integrity_macs(&[b"a".to_vec()])));
                assert_eq!(said, "C_Login: CKR_PIN_INCORRECT");
                assert!(tries());
                // A login that succeeds resets what the token counts; the KEK does not spend another try.
                session.login(UserType::User, Some(&new)).unwrap();
                session.logout().unwrap();
                let said = reason(run(kek.integrity_macs(&[b"a".to_vec()])));
                assert!(said.contains("is not tried again"), "{said}");
                assert!(!tries());
            },
        ],
    );
}

#[test]
fn hazard_session_is_lost_in_the_midst() {
    on_tokens(
        "loss::hazard_session_is_lost_in_the_midst",
        &[|place| {
            let initialise = || CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
            for (name, mechanisms) in both() {
                let kek = place.create(name, mechanisms);
                let blob = run(kek.wrap_key(&field_key(), b"c")).unwrap();
                let works = |when: &str| {
                    let key = run(kek.unwrap_key(&blob, b"c"));
                    assert_eq!(key.expect(when), field_key(), "{when}");
                };
                works("at first");
                place.bystander().session("bank").logout().unwrap();
                works("after somebody's logout");
                place.bystander().pkcs11.finalize().unwrap();
                works("after the module was finalised");
                let bystander = place.bystander();
                bystander.pkcs11.clone().finalize().unwrap();
                bystander.pkcs11.initialize(initialise()).unwrap();
                works("after the module was initialised anew");
            }
        }],
    );
}

#[test]
fn hazard_login_is_lost_while_a_call_runs() {
    on_tokens(
        "loss::hazard_login_is_lost_while_a_call_runs",
        &[|place| {
            for (name, mechanisms) in both() {
                let kek = place.create(name, mechanisms);
                let blob = run(kek.wrap_key(&field_key(), b"c")).unwrap();
                let message = [vec![7; 100_000]];
                let mac = run(kek.integrity_macs(&message)).unwrap();
                let mut session = place.bystander().session("bank");
                // One logout a call, sooner or later in it: a new session mends that.
                for turn in 0..40 {
                    session = std::thread::scope(|scope| {
                        let logout = scope.spawn(move || {
                            for _ in 0..turn * 10 {
                                std::thread::yield_now();
                            }
                            // It may be before the call's login.
                            let _ = session.logout();
                            session
                        });
                        assert_eq!(run(kek.unwrap_key(&blob, b"c")).unwrap(), field_key());
                        assert_eq!(run(kek.integrity_macs(&message)).unwrap(), mac);
                        logout.join().unwrap()
                    });
                }
                assert_eq!(run(kek.unwrap_key(&blob, b"c")).unwrap(), field_key());
                assert_eq!(session_objects(&place.bystander().session("bank")), 0);
            }
        }],
    );
}

#[test]
fn hazard_handle_comes_to_stand_for_another_key() {
    on_tokens(
        "loss::hazard_handle_comes_to_stand_for_another_key",
        &[|place| {
            for (name, mechanisms) in both() {
                place.create(name, mechanisms);
                let other = format!("{name}-other");
                place.create(&other, mechanisms);
                let labels = [other.clone(), format!("{other}.integrity")];
                // The module counts from the beginning again, and others are the first: session and keys have the
                // numbers of theirs now, which are of the same kinds.
                let forget = || place.bystander().pkcs11.finalize().unwrap();
                let message = [b"a".to_vec()];
                let opened = || {
                    forget();
                    Pkcs11Kek::open(place.config("bank", name, mechanisms)).unwrap()
                };
                let mac = run(opened().integrity_macs(&message)).unwrap();
                for labels in [labels.clone(), [labels[1].clone(), labels[0].clone()]] {
                    let displaced = || {
                        let kek = opened();
                        forget();
                        let session = place.bystander().session("bank");
                        for label in &labels {
                            assert_eq!(keys_of(&session, label).len(), 1);
                        }
                        (kek, session)
                    };
                    let (kek, _session) = displaced();
                    assert_eq!(run(kek.integrity_macs(&message)).unwrap(), mac);
                    let (kek, _session) = displaced();
                    let blob = run(kek.wrap_key(&field_key(), b"c")).unwrap();
                    assert_eq!(run(opened().unwrap_key(&blob, b"c")).unwrap(), field_key());
                    let (kek, _session) = displaced();
                    assert_eq!(run(kek.unwrap_key(&blob, b"c")).unwrap(), field_key());
                }
            }
        }],
    );
}

#[test]
fn a_token_that_is_away_is_an_error_until_it_is_back() {
    on_tokens(
        "loss::a_token_that_is_away_is_an_error_until_it_is_back",
        &[|place| {
            let kek = place.create("kek", Pkcs11Mechanisms::aes_cbc_pad());
            let blob = run(kek.wrap_key(&field_key(), b"c")).unwrap();
            let elsewhere = place.dir.join("elsewhere");
            assert!(is_filled(&place.tokens()));
            place.bystander().pkcs11.finalize().unwrap();
            std::fs::rename(place.tokens(), &elsewhere).unwrap();
            std::fs::create_dir(place.tokens()).unwrap();
            let said = reason(run(kek.unwrap_key(&blob, b"c")));
            assert_eq!(said, "no token answers to the name");
            place.bystander().pkcs11.finalize().unwrap();
            std::fs::remove_dir_all(place.tokens()).unwrap();
            std::fs::rename(&elsewhere, place.tokens()).unwrap();
            assert_eq!(run(kek.unwrap_key(&blob, b"c")).unwrap(), field_key());
            // It comes back with another key of the name: not the KEK that this value's id stands for.
            let bystander = place.bystander();
            let session = bystander.session("bank");
            let old = keys_of(&session, "kek.integrity")[0];
            let made = session.generate_key(
                &Mechanism::GenericSecretKeyGen,
                &[
                    Attribute::Token(true),
                    Attribute::Label("kek.integrity".into()),
                    Attribute::Private(true),
                    Attribute::Sensitive(true),
                    Attribute::Extractable(false),
                    Attribute::Sign(true),
                    Attribute::Verify(false),
                    Attribute::Encrypt(false),
                    Attribute::Decrypt(false),
                    Attribute::Wrap(false),
                    Attribute::Unwrap(false),
                    Attribute::ValueLen(Ulong::new(32)),
                ],
            );
            made.unwrap();
            session.destroy_object(old).unwrap();
            bystander.pkcs11.clone().finalize().unwrap();
            let said = reason(run(kek.unwrap_key(&blob, b"c")));
            assert!(said.contains("another integrity key"), "{said}");
        }],
    );
}
