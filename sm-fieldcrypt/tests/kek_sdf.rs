//! The KEK in a device: made, opened again, lost and found; its blobs open nowhere else.
#![cfg(all(unix, feature = "sdf"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]

mod common;
#[path = "../../sm-sdf/tests/support/mod.rs"]
mod support;

use common::{NOW, context, user};
use sm_fieldcrypt::sm_sdf::{Library, Pool, PoolOptions};
use sm_fieldcrypt::{
    Error, FieldClass, KekProvider, KeyRing, KeyRingBuilder, ManualClock, MemoryStore,
    RandomSource, SdfKek, SdfRandom, SecretBytes,
};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use support::TestDevice;

const ALGNOTSUPPORT: u32 = 0x0100_0009;

fn pool(device: &TestDevice) -> Pool {
    let options = PoolOptions {
        attempts: 50,
        ..PoolOptions::default()
    };
    Pool::open(Library::open(device.path()).unwrap(), options).unwrap()
}

/// Devices of each kind of wrapping, and the kind.
fn devices() -> [(u8, TestDevice); 4] {
    // A device that has the calls of 2023 and does not do GCM.
    let without_gcm = TestDevice::new();
    without_gcm.refuse("SDF_AuthEnc", ALGNOTSUPPORT, u32::MAX);
    // And one that does GCM and no HMAC.
    let without_hmac = TestDevice::new();
    without_hmac.refuse("SDF_HMACInit", ALGNOTSUPPORT, u32::MAX);
    [
        (1, TestDevice::new()),
        (2, without_gcm),
        (3, TestDevice::of_2012()),
        (1, without_hmac),
    ]
}

fn create(device: &TestDevice) -> (SdfKek, Vec<u8>) {
    SdfKek::create(pool(device), "bank-a.fields", 3).unwrap()
}

/// Waits without an executor: providers need none.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn wrap(kek: &SdfKek, key: &[u8], context: &[u8]) -> Result<Vec<u8>, Error> {
    wait(kek.wrap_key(&SecretBytes::new(key.to_vec()), context))
}

fn unwrap(kek: &SdfKek, blob: &[u8], context: &[u8]) -> Result<SecretBytes, Error> {
    wait(kek.unwrap_key(blob, context))
}

#[test]
fn wraps_and_unwraps_only_with_its_context() {
    for (kind, device) in devices() {
        let (kek, _) = create(&device);
        assert_eq!(kek.id(), "kek://sdf/bank-a.fields");
        assert!(!format!("{kek:?}").contains("wrap"));
        let key = [7; 32];
        let blob = wrap(&kek, &key, b"context").unwrap();
        assert_eq!(blob[..2], [1, kind]);
        let expected = if kind == 1 {
            2 + 12 + 32 + 16
        } else {
            2 + 16 + 48 + 32
        };
        assert_eq!(blob.len(), expected, "kind {kind}");
        assert_eq!(unwrap(&kek, &blob, b"context").unwrap().expose(), key);
        assert_ne!(wrap(&kek, &key, b"context").unwrap(), blob);
        for other in [&b"contexT"[..], b"contex", b"context\0", b""] {
            let e = unwrap(&kek, &blob, other).unwrap_err();
            assert!(matches!(e, Error::KekUnwrap { .. }), "kind {kind}: {e}");
        }
        for bit in 0..blob.len() * 8 {
            let mut bad = blob.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let e = unwrap(&kek, &bad, b"context").unwrap_err();
            assert!(
                matches!(e, Error::KekUnwrap { .. }),
                "kind {kind}, bit {bit}: {e}"
            );
        }
        for n in 0..blob.len() {
            let e = unwrap(&kek, &blob[..n], b"context").unwrap_err();
            assert!(
                matches!(e, Error::KekUnwrap { .. }),
                "kind {kind}, {n} bytes: {e}"
            );
        }
        // Other lengths than a field key's, and none at all.
        for n in [1, 15, 16, 17, 1024] {
            let blob = wrap(&kek, &vec![n as u8; n], b"").unwrap();
            assert_eq!(unwrap(&kek, &blob, b"").unwrap().len(), n);
        }
        for n in [0, 1025] {
            assert!(matches!(
                wrap(&kek, &vec![1; n], b""),
                Err(Error::Kek { .. })
            ));
        }
        drop(kek);
        device.assert_nothing_left();
    }
}

/// A new provider over a new load of the library, as in a new process: only the document and the device are the same.
#[test]
fn opens_again_after_a_restart() {
    for (kind, device) in devices() {
        let (kek, document) = create(&device);
        let blob = wrap(&kek, &[7; 32], b"context").unwrap();
        let messages = vec![b"one".to_vec(), b"two".to_vec(), Vec::new(), vec![9; 5000]];
        let macs = wait(kek.integrity_macs(&messages)).unwrap();
        drop(kek);
        device.assert_nothing_left();
        let again = if kind == 3 {
            TestDevice::of_2012()
        } else {
            TestDevice::new()
        };
        let kek = SdfKek::open(pool(&again), &document).unwrap();
        assert_eq!(kek.id(), "kek://sdf/bank-a.fields");
        assert_eq!(unwrap(&kek, &blob, b"context").unwrap().expose(), [7; 32]);
        assert_eq!(wait(kek.integrity_macs(&messages)).unwrap(), macs);
        // In order, all different, and each of its message alone.
        assert_eq!(
            wait(kek.integrity_macs(&messages[1..2])).unwrap(),
            macs[1..2]
        );
        for (i, mac) in macs.iter().enumerate() {
            assert!(!macs[..i].contains(mac));
        }
        assert_eq!(
            wait(kek.integrity_macs(&[])).unwrap(),
            Vec::<[u8; 32]>::new()
        );
        drop(kek);
        again.assert_nothing_left();
    }
}

/// A KEK made with the calls of 2012 goes on as it was when the device gets those of 2023; not the other way round.
#[test]
fn what_it_was_made_with_it_stays() {
    let (old, new) = (TestDevice::of_2012(), TestDevice::new());
    let (kek, document) = create(&old);
    let blob = wrap(&kek, &[7; 32], b"context").unwrap();
    let kek = SdfKek::open(pool(&new), &document).unwrap();
    assert_eq!(unwrap(&kek, &blob, b"context").unwrap().expose(), [7; 32]);
    assert_eq!(wrap(&kek, &[7; 32], b"context").unwrap()[..2], [1, 3]);
    let (_, document) = create(&new);
    let e = SdfKek::open(pool(&old), &document).unwrap_err().to_string();
    assert_eq!(
        e,
        "kek provider kek://sdf/bank-a.fields: the device library lacks SDF_HMACInit, a call of GM/T 0018-2023"
    );
    // MACs that the old one does, and a wrapping that it does not.
    let partly = TestDevice::new();
    partly.refuse("SDF_HMACInit", ALGNOTSUPPORT, u32::MAX);
    let (_, document) = create(&partly);
    let e = SdfKek::open(pool(&old), &document).unwrap_err().to_string();
    assert!(e.ends_with("the device library lacks SDF_AuthEnc"), "{e}");
}

#[test]
fn another_devices_or_another_keks_blob_does_not_open() {
    for (kind, device) in devices() {
        let (kek, document) = create(&device);
        let blob = wrap(&kek, &[7; 32], b"context").unwrap();
        // The same device, another set of working keys.
        let (other, _) = SdfKek::create(pool(&device), "other", 3).unwrap();
        assert_ne!(other.id(), kek.id());
        let e = unwrap(&other, &blob, b"context").unwrap_err();
        assert!(matches!(e, Error::KekUnwrap { .. }), "kind {kind}: {e}");
        let message = [b"registry".to_vec()];
        assert_ne!(
            wait(kek.integrity_macs(&message)).unwrap(),
            wait(other.integrity_macs(&message)).unwrap()
        );
        // The same document, another device.
        let foreign = if kind == 3 {
            TestDevice::of_2012()
        } else {
            TestDevice::new()
        };
        foreign.set("seed", 2);
        let e = SdfKek::open(pool(&foreign), &document)
            .unwrap_err()
            .to_string();
        assert_eq!(
            e,
            "kek provider kek://sdf/bank-a.fields: the working keys are damaged, or of another device or kek"
        );
        drop((kek, other));
        device.assert_nothing_left();
        foreign.assert_nothing_left();
    }
}

#[test]
fn a_damaged_document_opens_no_kek() {
    for device in [TestDevice::new(), TestDevice::of_2012()] {
        let (_, document) = create(&device);
        let pool = pool(&device);
        for at in 0..document.len() {
            for flip in [1, 0x80] {
                let mut bad = document.clone();
                bad[at] ^= flip;
                let e = SdfKek::open(pool.clone(), &bad).unwrap_err();
                assert!(
                    matches!(e, Error::Kek { .. } | Error::Config { .. }),
                    "{at}: {e}"
                );
            }
        }
        for n in 0..document.len() {
            let e = SdfKek::open(pool.clone(), &document[..n]).unwrap_err();
            assert!(matches!(e, Error::Config { .. }), "{n}: {e}");
        }
        drop(pool);
        device.assert_nothing_left();
    }
}

#[test]
fn what_cannot_be_made_is_refused_clearly() {
    let device = TestDevice::of_2012();
    device.refuse("SDF_CalculateMAC", ALGNOTSUPPORT, u32::MAX);
    let e = SdfKek::create(pool(&device), "x", 3)
        .unwrap_err()
        .to_string();
    assert_eq!(
        e,
        "kek provider kek://sdf/x: the device has neither SDF_HMACInit for SM3 nor SDF_CalculateMAC for SM4"
    );
    device.well();
    let e = SdfKek::create(pool(&device), "x", 99)
        .unwrap_err()
        .to_string();
    assert_eq!(
        e,
        "kek provider kek://sdf/x: SDF_GenerateKeyWithKEK: SDR_KEYNOTEXIST (0x01000008), there is no such key"
    );
    for label in ["", "X", "a/b", &"x".repeat(65)] {
        let e = SdfKek::create(pool(&device), label, 3).unwrap_err();
        assert!(matches!(e, Error::Config { .. }), "{e}");
    }
    device.assert_nothing_left();
}

type Macs<'a> = dyn Fn(&[u8], &[&[u8]]) -> Vec<u8> + 'a;

/// What the page over `kek/sdf.rs` and its modules says, worked out without them. The test device derives its KEKs
/// openly, so the working keys can be unwrapped here.
#[test]
fn the_formats_are_as_they_are_described() {
    use cbc::cipher::{
        BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, KeyInit, KeyIvInit,
    };
    use hmac::Mac;
    use sm3::Digest;
    let hmac = |key: &[u8], parts: &[&[u8]]| -> Vec<u8> {
        let mut mac = <hmac::Hmac<sm3::Sm3> as KeyInit>::new_from_slice(key).unwrap();
        parts.iter().for_each(|p| mac.update(p));
        mac.finalize().into_bytes().to_vec()
    };
    let block = |key: &[u8], data: [u8; 16]| -> [u8; 16] {
        let mut block = data.into();
        sm4::Sm4::new(key.try_into().unwrap()).encrypt_block(&mut block);
        block.into()
    };
    let cbc_mac_of_digest = |key: &[u8], parts: &[&[u8]]| -> Vec<u8> {
        let mut hash = sm3::Sm3::new();
        hash.update(parts[0]);
        hash.update((parts[1..].iter().map(|p| p.len()).sum::<usize>() as u64).to_be_bytes());
        parts[1..].iter().for_each(|p| hash.update(p));
        let digest = hash.finalize();
        let half = |counter: &[u8; 16]| {
            let text = [counter.as_slice(), &digest].concat();
            text.chunks(16).fold([0; 16], |chain: [u8; 16], part| {
                block(key, std::array::from_fn(|i| chain[i] ^ part[i]))
            })
        };
        [half(b"smfc1/sdf/mac/01"), half(b"smfc1/sdf/mac/02")].concat()
    };
    let kek = sm3::Sm3::digest([&b"kek\x03"[..], &1_u32.to_ne_bytes()].concat());
    for (kind, device) in devices() {
        let (provider, document) = create(&device);
        let mac: &Macs<'_> = match document[9] {
            1 => &hmac,
            2 => &cbc_mac_of_digest,
            other => panic!("{other}"),
        };
        assert_eq!(
            document[..9],
            [&b"SMFCSDF1"[..], &[if kind == 1 { 1 } else { 2 }]].concat()
        );
        assert_eq!(document[10..15], [0, 0, 0, 3, 13]);
        assert_eq!(&document[15..28], b"bank-a.fields");
        let (body, tag) = document.split_at(document.len() - 32);
        let mut rest = &body[28..];
        let keys: [Vec<u8>; 3] = std::array::from_fn(|_| {
            let (wrapped, after) = rest[2..].split_at(usize::from(rest[1]));
            rest = after;
            let mut key = wrapped.to_vec();
            for part in key.chunks_exact_mut(16) {
                sm4::Sm4::new(kek[..16].try_into().unwrap())
                    .decrypt_block(part.try_into().unwrap());
            }
            key
        });
        assert!(rest.is_empty());
        assert_eq!(mac(&keys[2], &[b"smfc1/sdf/keys/1", body]), tag);
        let macs = wait(provider.integrity_macs(&[b"message".to_vec()])).unwrap();
        assert_eq!(mac(&keys[2], &[b"smfc1/sdf/reg/01", b"message"]), macs[0]);
        let blob = wrap(&provider, &[7; 32], b"context").unwrap();
        if kind == 1 {
            // GCM's text is CTR from 2; its tag is the device's to check.
            let iv = [&blob[2..14], &[0, 0, 0, 2]].concat();
            let mut text = blob[14..46].to_vec();
            let mut ctr = <ctr::Ctr32BE<sm4::Sm4> as KeyIvInit>::new_from_slices(&keys[0], &iv);
            ctr::cipher::StreamCipher::apply_keystream(ctr.as_mut().unwrap(), &mut text);
            assert_eq!(text, [7; 32]);
        } else {
            let (body, tag) = blob.split_at(blob.len() - 32);
            let length = 7_u64.to_be_bytes();
            let parts: [&[u8]; 5] = [
                b"smfc1/sdf/wrap/1",
                &body[..2],
                &length,
                b"context",
                &body[2..],
            ];
            assert_eq!(mac(&keys[1], &parts), tag);
            let mut text = body[18..].to_vec();
            let cbc =
                <cbc::Decryptor<sm4::Sm4> as KeyIvInit>::new_from_slices(&keys[0], &body[2..18]);
            let mut cbc = cbc.unwrap();
            for part in text.chunks_exact_mut(16) {
                cbc.decrypt_block(part.try_into().unwrap());
            }
            assert_eq!(text, [[7; 32].as_slice(), &[16; 16]].concat());
        }
    }
}

fn ring(kek: SdfKek, store: &Arc<MemoryStore>) -> KeyRingBuilder {
    KeyRing::builder(Arc::new(kek), store.clone())
        .clock(Arc::new(ManualClock::new(NOW)))
        .class(FieldClass::identity_number())
}

/// The whole life of a ring on a device: made, restarted, rotated, with losses in between.
#[tokio::test]
async fn a_ring_on_a_device() {
    for (kind, device) in devices() {
        let store = Arc::new(MemoryStore::default());
        let (kek, document) = create(&device);
        let first = ring(kek, &store)
            .random(Arc::new(SdfRandom::new(pool(&device))))
            .create_registry()
            .auto_rotate()
            .build()
            .await
            .unwrap();
        let key = first
            .prepare("identity_number", "bank-a", &user())
            .await
            .unwrap();
        let old = key.seal(b"110101199003074610", &context(1)).unwrap();
        drop((key, first));

        let kek = SdfKek::open(pool(&device), &document).unwrap();
        let second = ring(kek, &store).build().await.unwrap();
        let key = second
            .prepare("identity_number", "bank-a", &user())
            .await
            .unwrap();
        assert_eq!(
            key.open(&old, &context(1)).unwrap().expose_str(),
            Some("110101199003074610")
        );

        device.lose_sessions();
        let info = second
            .rotate("identity_number", None, &user())
            .await
            .unwrap();
        assert_eq!(
            (info.fek_id, info.kek_id.as_str()),
            (2, "kek://sdf/bank-a.fields")
        );
        device.lose_device();
        second.refresh().await.unwrap();
        let key = second
            .prepare("identity_number", "bank-a", &user())
            .await
            .unwrap();
        let new = key.seal(b"220202198002028888", &context(2)).unwrap();
        assert_ne!(old[6..10], new[6..10]);
        drop((key, second));

        let kek = SdfKek::open(pool(&device), &document).unwrap();
        let third = ring(kek, &store).build().await.unwrap();
        let key = third
            .prepare("identity_number", "bank-a", &user())
            .await
            .unwrap();
        for (sealed, row, plain) in [
            (&old, 1, "110101199003074610"),
            (&new, 2, "220202198002028888"),
        ] {
            let opened = key.open(sealed, &context(row)).unwrap();
            assert_eq!(opened.expose_str(), Some(plain), "kind {kind}");
        }
        drop((key, third));

        // Another set of working keys does not even read the registry.
        let (other, _) = SdfKek::create(pool(&device), "other", 3).unwrap();
        assert!(ring(other, &store).build().await.is_err());
        device.assert_nothing_left();
    }
}

/// Eight threads wrap and unwrap while sessions and device are lost, now and then as the work goes on. Every key comes back
/// right.
#[test]
fn losses_in_the_midst() {
    /// Wraps and unwraps between two losses.
    const BETWEEN: usize = 40;
    for (_, device) in [(1, TestDevice::new()), (3, TestDevice::of_2012())] {
        let (kek, _) = create(&device);
        let (worked, done) = (AtomicUsize::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..8_u8)
                .map(|thread| {
                    let (kek, worked) = (&kek, &worked);
                    scope.spawn(move || {
                        for round in 0..30 {
                            let context = [thread, round];
                            let blob = wrap(kek, &[thread; 32], &context).unwrap();
                            let key = unwrap(kek, &blob, &context).unwrap();
                            assert_eq!(key.expose(), [thread; 32]);
                            worked.fetch_add(2, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            let (device, worked, done) = (&device, &worked, &done);
            scope.spawn(move || {
                let (mut next, mut whole) = (BETWEEN, false);
                while !done.load(Ordering::Relaxed) {
                    if worked.load(Ordering::Relaxed) < next {
                        std::thread::yield_now();
                        continue;
                    }
                    match whole {
                        false => device.lose_sessions(),
                        true => device.lose_device(),
                    }
                    (next, whole) = (worked.load(Ordering::Relaxed) + BETWEEN, !whole);
                }
            });
            let ended: Vec<_> = workers.into_iter().map(|w| w.join()).collect();
            done.store(true, Ordering::Relaxed);
            assert!(ended.iter().all(Result::is_ok));
        });
        assert!(
            device.get("opened_devices") > 2,
            "the device was never lost"
        );
        drop(kek);
        device.assert_nothing_left();
    }
}

#[test]
fn a_device_that_is_away_is_an_error_and_no_verdict() {
    let device = TestDevice::new();
    let (kek, _) = create(&device);
    let blob = wrap(&kek, &[7; 32], b"context").unwrap();
    device.lose_device();
    device.refuse("SDF_OpenDevice", 0x0100_0005, u32::MAX);
    let e = unwrap(&kek, &blob, b"context").unwrap_err();
    assert!(matches!(e, Error::Kek { .. }), "{e}");
    assert!(
        e.to_string()
            .contains("SDF_OpenDevice: SDR_OPENDEVICE (0x01000005)"),
        "{e}"
    );
    device.well();
    assert_eq!(unwrap(&kek, &blob, b"context").unwrap().expose(), [7; 32]);
    // A code that nobody knows is not taken for a wrong tag.
    device.refuse("SDF_AuthDec", 0x0101_0203, 1);
    let e = unwrap(&kek, &blob, b"context").unwrap_err();
    assert!(
        matches!(e, Error::Kek { .. }) && e.to_string().contains("0x01010203"),
        "{e}"
    );
    drop(kek);
    device.assert_nothing_left();
}

#[test]
fn random_bytes_of_a_device() {
    let device = TestDevice::new();
    let random = SdfRandom::new(pool(&device));
    let (mut a, mut b) = ([0; 32], [0; 32]);
    random.fill(&mut a).unwrap();
    random.fill(&mut b).unwrap();
    assert_ne!(a, b);
    device.set("zero_random", 1);
    let e = random.fill(&mut a).unwrap_err();
    assert!(matches!(e, Error::Random { .. }), "{e}");
    drop(random);
    device.assert_nothing_left();
}
