//! One session on the test device: answers, lengths, errors, and nothing left open.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use sm_sdf::{
    AlgorithmIds, Device, DeviceCode, Error, Key, Library, LibraryOptions, Mode, Session,
    TagLength, WrappedKey,
};
use support::{Fault, TestDevice, hex, unhex};

const KEY: &str = "0123456789abcdeffedcba9876543210";

fn library(device: &TestDevice) -> Library {
    Library::open(device.path()).unwrap()
}

fn session(device: &TestDevice) -> Session {
    Session::open(&Device::open(&library(device)).unwrap()).unwrap()
}

/// A key of known bytes, as the device with this seed would wrap it: ECB under a KEK that is derived openly.
fn known_key(session: &Session, seed: u32, bytes: &[u8]) -> WrappedKey {
    let mut name = *b"kek\x01\0\0\0\0";
    name[4..].copy_from_slice(&seed.to_ne_bytes());
    let digest = session.sm3(&[&name]).unwrap();
    WrappedKey::new(1, sm4_ecb(&digest[..16], bytes))
}

/// SM4 of one block or more, by RustCrypto's implementation.
fn sm4_ecb(key: &[u8], data: &[u8]) -> Vec<u8> {
    use sm4::cipher::{BlockCipherEncrypt, KeyInit};
    let cipher = sm4::Sm4::new(key.try_into().unwrap());
    let mut out = data.to_vec();
    for block in out.chunks_exact_mut(16) {
        cipher.encrypt_block(block.try_into().unwrap());
    }
    out
}

fn sealed_once(key: &Key<'_>) -> Vec<u8> {
    key.encrypt(Mode::Ecb, &unhex(KEY)).unwrap()
}

#[test]
fn known_answers() {
    let device = TestDevice::new();
    {
        let session = session(&device);
        // GB/T 32905, examples 1 and 2.
        assert_eq!(
            hex(&session.sm3(&[b"abc"]).unwrap()),
            "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
        );
        let parts: Vec<&[u8]> = vec![b"abcd"; 16];
        assert_eq!(
            hex(&session.sm3(&parts).unwrap()),
            "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"
        );
        assert_eq!(
            hex(&session.sm3(&[]).unwrap()),
            "1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b"
        );
        let key = Key::import(&session, &known_key(&session, 1, &unhex(KEY))).unwrap();
        // GB/T 32907, example 1.
        let sealed = key.encrypt(Mode::Ecb, &unhex(KEY)).unwrap();
        assert_eq!(hex(&sealed), "681edf34d206965e86b3e94f536e4246");
        assert_eq!(hex(&key.decrypt(Mode::Ecb, &sealed).unwrap()), KEY);
        // CBC of two blocks from a zero IV is two ECB steps; the MAC is the last block of it.
        let chained = key.encrypt(Mode::Cbc(&[0; 16]), &[unhex(KEY), vec![0; 16]].concat());
        let second = key.encrypt(Mode::Ecb, &sealed).unwrap();
        assert_eq!(chained.unwrap(), [sealed, second.clone()].concat());
        // And from another IV, it goes into the first block.
        let iv: [u8; 16] = std::array::from_fn(|i| i as u8);
        let plain: Vec<u8> = unhex(KEY).iter().zip(iv).map(|(p, i)| p ^ i).collect();
        assert_eq!(
            key.encrypt(Mode::Cbc(&iv), &plain).unwrap(),
            sealed_once(&key)
        );
        let opened = key.decrypt(Mode::Cbc(&iv), &sealed_once(&key)).unwrap();
        assert_eq!(*opened, plain);
        let mac = key.cbc_mac(&[unhex(KEY), vec![0; 16]].concat()).unwrap();
        assert_eq!(mac.as_slice(), second);
        // RFC 8998, A.1.
        let aad = unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let nonce: [u8; 12] = unhex("00001234567800000000abcd").try_into().unwrap();
        let plain = unhex(concat!(
            "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd",
            "eeeeeeeeeeeeeeeeffffffffffffffffeeeeeeeeeeeeeeeeaaaaaaaaaaaaaaaa"
        ));
        let (text, tag) = key.gcm_seal(&nonce, &aad, &plain).unwrap();
        assert_eq!(
            hex(&text),
            concat!(
                "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735",
                "d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d"
            )
        );
        assert_eq!(hex(&tag), "83de3541e4c2b58177e065a9bf7b62ec");
        assert_eq!(*key.gcm_open(&nonce, &aad, &text, &tag).unwrap(), plain);
        // HMAC-SM3 of GM/T 0042, D.3, with a key of 32 bytes.
        let long = unhex("0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20");
        let key = Key::import(&session, &known_key(&session, 1, &long)).unwrap();
        let message = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!(
            hex(&key.hmac_sm3(&[message, b"", message]).unwrap()),
            "ca05e144ed05d1857840d1f318a4a8669e559fc8391f414485bfdf7bb408963a"
        );
        assert!(!session.has_failed());
        let info = session.device_info().unwrap();
        // Forty bytes without an end.
        assert_eq!(info.issuer, "a device in software for tests, 40 bytes");
        assert_eq!(
            (info.name.as_str(), info.serial.as_str()),
            ("test", "2026010100100001")
        );
        assert_eq!((info.standard_version, info.buffer_size), (2, 65536));
    }
    device.assert_nothing_left();
}

#[test]
fn handles_are_closed_in_order() {
    let device = TestDevice::new();
    {
        let session = session(&device);
        let (first, wrapped) = Key::generate(&session, 1, 128).unwrap();
        let again = Key::import(&session, &wrapped).unwrap();
        let block = [7; 16];
        let sealed = first.encrypt(Mode::Ecb, &block).unwrap();
        assert_eq!(again.decrypt(Mode::Ecb, &sealed).unwrap().as_slice(), block);
        assert_eq!(device.get("keys"), 2);
        drop(first);
        assert_eq!(device.get("keys"), 1);
        // A kept key is imported once and stays when its `Key` goes.
        for _ in 0..3 {
            let kept = Key::cached(&session, &wrapped).unwrap();
            assert_eq!(kept.decrypt(Mode::Ecb, &sealed).unwrap().as_slice(), block);
        }
        assert_eq!((device.get("imports"), device.get("keys")), (2, 2));
        // More than a session keeps: still used, and still let go.
        for _ in 0..20 {
            let other = Key::generate(&session, 2, 256).unwrap().1;
            Key::cached(&session, &other).unwrap();
        }
        assert_eq!(device.get("keys"), 1 + 16);
        let access = session.private_key_access(3, b"key password").unwrap();
        assert_eq!(device.get("rights"), 1);
        drop(access);
        assert_eq!(device.get("rights"), 0);
        assert!(!session.has_failed());
    }
    device.assert_nothing_left();
}

#[test]
fn a_handle_that_many_share_is_closed_by_the_last() {
    let device = TestDevice::new();
    device.set("singleton", 1);
    let library = library(&device);
    let first = Device::open(&library).unwrap();
    let second = Device::open(&Library::open(device.path()).unwrap()).unwrap();
    let on_second = Session::open(&second).unwrap();
    drop(first);
    assert_eq!(device.get("devices"), 1);
    assert_eq!(on_second.sm3(&[b"abc"]).unwrap()[0], 0x66);
    drop(second);
    assert_eq!(device.get("devices"), 1);
    drop(on_second);
    device.assert_nothing_left();
    // Opened again after that.
    let third = Device::open(&library).unwrap();
    assert!(Session::open(&third).unwrap().device_info().is_ok());
    drop(third);
    device.assert_nothing_left();
}

#[test]
fn what_the_library_lacks_is_named() {
    let e = Library::open("/nonexistent/libsdf.so").unwrap_err();
    assert!(matches!(&e, Error::Load { .. }) && e.to_string().contains("/nonexistent/libsdf.so"));
    let without = TestDevice::built_with(&["-DWITHOUT_RANDOM"]);
    let e = Library::open(without.path()).unwrap_err();
    assert!(
        matches!(
            e,
            Error::MissingSymbol {
                symbol: "SDF_GenerateRandom",
                ..
            }
        ),
        "{e}"
    );
    let old = TestDevice::of_2012();
    let library = library(&old);
    assert!(!library.has_auth_enc() && !library.has_hmac());
    {
        let session = session(&old);
        let (key, _) = Key::generate(&session, 1, 128).unwrap();
        for (call, e) in [
            ("SDF_AuthEnc", key.gcm_seal(&[0; 12], b"", b"").unwrap_err()),
            (
                "SDF_AuthDec",
                key.gcm_open(&[0; 12], b"", b"", &[0; 16]).unwrap_err(),
            ),
            ("SDF_HMACInit", key.hmac_sm3(&[]).unwrap_err()),
        ] {
            assert!(
                matches!(e, Error::NotOffered { call: c } if c == call),
                "{e}"
            );
        }
        assert_eq!(key.encrypt(Mode::Ecb, &[1; 16]).unwrap().len(), 16);
    }
    old.assert_nothing_left();
}

#[test]
fn vendors_ids_and_vendors_prototypes() {
    let device = TestDevice::built_with(&["-DSM4_BASE=0x2000u", "-DTAG_BY_VALUE"]);
    {
        let session = session(&device);
        let e = Key::generate(&session, 1, 128).unwrap_err();
        assert_eq!(e.device_code(), Some(DeviceCode::AlgorithmNotSupported));
        assert!(e.is_unsupported());
    }
    let options = LibraryOptions {
        algorithms: AlgorithmIds {
            key_wrap: 0x2002,
            ..AlgorithmIds::with_sm4_base(0x2000)
        },
        tag_length: TagLength::ByValue,
        one_call_at_a_time: true,
    };
    let library = Library::open_with(device.path(), options).unwrap();
    {
        let session = Session::open(&Device::open(&library).unwrap()).unwrap();
        let (key, wrapped) = Key::generate(&session, 1, 128).unwrap();
        // IV, key, padding.
        assert_eq!(wrapped.bytes().len(), 48);
        let again = Key::import(&session, &wrapped).unwrap();
        let (text, tag) = key.gcm_seal(&[9; 12], b"", b"text").unwrap();
        assert_eq!(
            again
                .gcm_open(&[9; 12], b"", &text, &tag)
                .unwrap()
                .as_slice(),
            b"text"
        );
        let mut bad = wrapped.bytes().to_vec();
        bad[47] ^= 1;
        let e = Key::import(&session, &WrappedKey::new(1, bad)).unwrap_err();
        assert_eq!(e.device_code(), Some(DeviceCode::Key));
    }
    device.assert_nothing_left();
}

/// Every call that can be refused, with every code of the standard and a vendor's.
#[test]
fn errors_name_call_and_code() {
    let device = TestDevice::new();
    let library = library(&device);
    type Work = fn(&Session, &WrappedKey) -> Result<(), Error>;
    let calls: [(&str, Work); 17] = [
        ("SDF_GetDeviceInfo", |s, _| s.device_info().map(drop)),
        ("SDF_GenerateRandom", |s, _| s.random(&mut [0; 16])),
        ("SDF_GetPrivateKeyAccessRight", |s, _| {
            s.private_key_access(1, b"key password").map(drop)
        }),
        ("SDF_GenerateKeyWithKEK", |s, _| {
            Key::generate(s, 1, 128).map(drop)
        }),
        ("SDF_ImportKeyWithKEK", |s, w| Key::import(s, w).map(drop)),
        ("SDF_Encrypt", |s, w| {
            Key::import(s, w)?.encrypt(Mode::Ecb, &[0; 16]).map(drop)
        }),
        ("SDF_Decrypt", |s, w| {
            Key::import(s, w)?.decrypt(Mode::Ecb, &[0; 16]).map(drop)
        }),
        ("SDF_CalculateMAC", |s, w| {
            Key::import(s, w)?.cbc_mac(&[0; 16]).map(drop)
        }),
        ("SDF_HashInit", |s, _| s.sm3(&[b"x"]).map(drop)),
        ("SDF_HashUpdate", |s, _| s.sm3(&[b"x"]).map(drop)),
        ("SDF_HashFinal", |s, _| s.sm3(&[b"x"]).map(drop)),
        ("SDF_HMACInit", |s, w| {
            Key::import(s, w)?.hmac_sm3(&[b"x"]).map(drop)
        }),
        ("SDF_HMACUpdate", |s, w| {
            Key::import(s, w)?.hmac_sm3(&[b"x"]).map(drop)
        }),
        ("SDF_HMACFinal", |s, w| {
            Key::import(s, w)?.hmac_sm3(&[b"x"]).map(drop)
        }),
        ("SDF_AuthEnc", |s, w| {
            Key::import(s, w)?.gcm_seal(&[0; 12], b"", b"x").map(drop)
        }),
        ("SDF_AuthDec", |s, w| {
            Key::import(s, w)?
                .gcm_open(&[0; 12], b"", b"x", &[0; 16])
                .map(drop)
        }),
        ("SDF_OpenSession", |s, _| {
            Session::open(s.device()).map(drop)
        }),
    ];
    {
        let handle = Device::open(&library).unwrap();
        let wrapped = {
            let session = Session::open(&handle).unwrap();
            Key::generate(&session, 1, 128).unwrap().1
        };
        for (name, work) in calls {
            for code in (0x0100_0001..=0x0100_001F).chain([0x0101_0203, 1, u32::MAX]) {
                let session = Session::open(&handle).unwrap();
                device.refuse(name, code, 1);
                let e = work(&session, &wrapped).unwrap_err();
                device.well();
                assert!(
                    matches!(e, Error::Device { call, code: c } if call == name && c.code() == code),
                    "{name} {code:x}: {e}"
                );
                assert_eq!(session.has_failed(), name != "SDF_OpenSession", "{name}");
            }
        }
        device.refuse("SDF_OpenDevice", 0x0100_0005, 1);
        let e = Device::open(&library).unwrap_err();
        assert_eq!(e.device_code(), Some(DeviceCode::OpenDevice));
    }
    device.assert_nothing_left();
}

/// A device that answers with lengths that cannot be, writes too far, or gives no handle.
#[test]
fn hostile_answers_are_refused() {
    let device = TestDevice::new();
    type Work = fn(&Session, &WrappedKey) -> Result<usize, Error>;
    // The call, what it answers rightly, and whether less is an answer too.
    let calls: [(&str, &str, u32, bool, Work); 8] = [
        (
            "SDF_GenerateKeyWithKEK",
            "SDF_GenerateKeyWithKEK",
            512,
            true,
            |s, _| Ok(Key::generate(s, 1, 128)?.1.bytes().len()),
        ),
        ("SDF_Encrypt", "SDF_Encrypt", 32, false, |s, w| {
            Ok(Key::import(s, w)?.encrypt(Mode::Ecb, &[0; 32])?.len())
        }),
        ("SDF_Decrypt", "SDF_Decrypt", 32, false, |s, w| {
            Ok(Key::import(s, w)?.decrypt(Mode::Ecb, &[0; 32])?.len())
        }),
        ("SDF_CalculateMAC", "SDF_CalculateMAC", 16, false, |s, w| {
            Ok(Key::import(s, w)?.cbc_mac(&[0; 32])?.len())
        }),
        ("SDF_HashFinal", "SDF_HashFinal", 32, false, |s, _| {
            Ok(s.sm3(&[b"x"])?.len())
        }),
        ("SDF_HMACFinal", "SDF_HMACFinal", 32, false, |s, w| {
            Ok(Key::import(s, w)?.hmac_sm3(&[b"x"])?.len())
        }),
        ("SDF_AuthEnc", "SDF_AuthEnc", 5, false, |s, w| {
            Ok(Key::import(s, w)?
                .gcm_seal(&[0; 12], b"a", b"12345")?
                .0
                .len())
        }),
        ("SDF_AuthEnc", "SDF_AuthEnc tag", 16, false, |s, w| {
            Ok(Key::import(s, w)?
                .gcm_seal(&[0; 12], b"a", b"12345")?
                .1
                .len())
        }),
    ];
    {
        let handle = Device::open(&library(&device)).unwrap();
        let session = || Session::open(&handle).unwrap();
        let wrapped = Key::generate(&session(), 1, 128).unwrap().1;
        for (call, what, room, less_is_an_answer, work) in calls {
            for length in [0, 1, room - 1, room, room + 1, 0x7FFF_FFFF, u32::MAX] {
                device.fault(
                    what,
                    Fault {
                        length: Some(length),
                        ..Fault::default()
                    },
                );
                let session = session();
                let got = work(&session, &wrapped);
                let right = length == room || (less_is_an_answer && length > 0 && length < room);
                match got {
                    Ok(n) => assert!(right && n as u32 == length, "{what} {length}"),
                    Err(Error::AnswerLength { call: c, .. }) => {
                        assert!(!right && c == call, "{what} {length}");
                        assert!(session.has_failed());
                    }
                    Err(e) => panic!("{what} {length}: {e}"),
                }
            }
            if !less_is_an_answer {
                for overrun in [1, 64] {
                    device.fault(
                        what,
                        Fault {
                            overrun,
                            ..Fault::default()
                        },
                    );
                    let session = session();
                    let e = work(&session, &wrapped).unwrap_err();
                    assert!(
                        matches!(e, Error::Overrun { call: c } if c == call),
                        "{what}: {e}"
                    );
                }
            }
        }
        device.fault(
            "SDF_GenerateRandom",
            Fault {
                overrun: 1,
                ..Fault::default()
            },
        );
        let e = session().random(&mut [0; 7]).unwrap_err();
        assert!(matches!(e, Error::Overrun { .. }), "{e}");
        for (call, work) in [
            ("SDF_GenerateKeyWithKEK", calls[0].4),
            ("SDF_ImportKeyWithKEK", calls[1].4),
        ] {
            let session = session();
            device.fault(
                call,
                Fault {
                    no_handle: true,
                    ..Fault::default()
                },
            );
            let e = work(&session, &wrapped).unwrap_err();
            assert!(matches!(e, Error::NoHandle { call: c } if c == call), "{e}");
            device.well();
        }
        device.fault(
            "SDF_OpenSession",
            Fault {
                no_handle: true,
                ..Fault::default()
            },
        );
        assert!(matches!(
            Session::open(&handle),
            Err(Error::NoHandle { .. })
        ));
        device.well();
    }
    device.assert_nothing_left();
}

#[test]
fn arguments_are_checked_before_they_reach_the_device() {
    let device = TestDevice::new();
    {
        let session = session(&device);
        let (key, _) = Key::generate(&session, 1, 128).unwrap();
        for n in [0, 1, 15, 17] {
            let data = vec![0; n];
            for e in [
                key.encrypt(Mode::Ecb, &data).unwrap_err(),
                key.decrypt(Mode::Cbc(&[0; 16]), &data).unwrap_err(),
                key.cbc_mac(&data).unwrap_err(),
            ] {
                assert!(matches!(e, Error::Argument { got, .. } if got == n), "{e}");
            }
        }
        assert!(matches!(
            session.private_key_access(1, b"1234567"),
            Err(Error::Argument { got: 7, .. })
        ));
        assert!(!session.has_failed());
        // A wrong password is the device's to refuse.
        let e = session
            .private_key_access(1, b"wrong password")
            .unwrap_err();
        assert_eq!(e.device_code(), Some(DeviceCode::PrivateKeyRight));
        let e = Key::generate(&session, 99, 128).unwrap_err();
        assert_eq!(e.device_code(), Some(DeviceCode::NoSuchKey));
    }
    device.assert_nothing_left();
}

#[test]
fn random_bytes_are_drawn_and_zeros_are_not_taken_for_them() {
    let device = TestDevice::new();
    {
        let session = session(&device);
        let (mut a, mut b) = ([0; 300], [0; 300]);
        session.random(&mut a).unwrap();
        session.random(&mut b).unwrap();
        assert_ne!(a, b);
        session.random(&mut []).unwrap();
        device.set("zero_random", 1);
        assert!(matches!(session.random(&mut a), Err(Error::RandomIsZero)));
        // A short zero may be chance.
        session.random(&mut [0; 1]).unwrap();
    }
    device.assert_nothing_left();
}

/// Some libraries write the chaining value back into the IV. The caller's stays as it is.
#[test]
fn an_edited_iv_is_not_the_callers() {
    let device = TestDevice::new();
    device.set("edits_iv", 1);
    {
        let session = session(&device);
        let (key, _) = Key::generate(&session, 1, 128).unwrap();
        let iv = [3; 16];
        let first = key.encrypt(Mode::Cbc(&iv), &[1; 32]).unwrap();
        assert_eq!(iv, [3; 16]);
        assert_eq!(key.encrypt(Mode::Cbc(&iv), &[1; 32]).unwrap(), first);
        assert_eq!(
            key.cbc_mac(&[1; 32]).unwrap(),
            key.cbc_mac(&[1; 32]).unwrap()
        );
    }
    device.assert_nothing_left();
}
