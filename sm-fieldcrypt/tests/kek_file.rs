//! The sealed software KEK and its file.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]

use sm_fieldcrypt::{Error, KekProvider, SecretBytes, SoftwareKek};
use std::path::Path;

const PASS: &[u8] = b"correct horse battery staple";

#[tokio::test]
async fn a_created_kek_opens_again_and_unwraps() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kek");
    let kek = SoftwareKek::create(&path, PASS).unwrap();
    let key = SecretBytes::new(vec![9; 32]);
    let blob = kek.wrap_key(&key, b"context").await.unwrap();
    let again = SoftwareKek::open(&path, PASS).unwrap();
    assert_eq!(again.id(), kek.id());
    assert_eq!(again.unwrap_key(&blob, b"context").await.unwrap(), key);
    let messages = [b"a".to_vec(), b"b".to_vec()];
    let macs = again.integrity_macs(&messages).await.unwrap();
    assert_eq!(macs, kek.integrity_macs(&messages).await.unwrap());
    assert_ne!(macs[0], macs[1]);
    // Nothing but the file is left behind.
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn hazard_kek_file_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kek");
    SoftwareKek::create(&path, PASS).unwrap();
    let before = std::fs::read(&path).unwrap();
    let e = SoftwareKek::create(&path, PASS).unwrap_err();
    assert!(
        matches!(
            e,
            Error::Io {
                action: "create",
                ..
            }
        ),
        "{e}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn hazard_kek_file_is_readable_by_others() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kek");
    SoftwareKek::create(&path, PASS).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn hazard_wrong_passphrase_and_damage_look_alike() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kek");
    SoftwareKek::create(&path, PASS).unwrap();
    let good = std::fs::read(&path).unwrap();
    let wrong = SoftwareKek::open(&path, b"another passphrase").unwrap_err();
    // Salt, nonce, id, key and tag: one byte each.
    for at in [12, 28, 40, 48, 80] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let e = SoftwareKek::open_bytes(&bad, PASS, &path).unwrap_err();
        assert_eq!(format!("{e:?}"), format!("{wrong:?}"), "byte {at}");
    }
    // The iteration count, too, is authenticated: a legal other value does not open.
    let mut bad = good;
    bad[8..12].copy_from_slice(&600_001_u32.to_be_bytes());
    let e = SoftwareKek::open_bytes(&bad, PASS, &path).unwrap_err();
    assert!(matches!(e, Error::KekUnseal { .. }), "{e}");
}

#[test]
fn malformed_files_are_named_with_their_path() {
    let dir = tempfile::tempdir().unwrap();
    let e = SoftwareKek::open(dir.path().join("none"), PASS).unwrap_err();
    assert!(
        matches!(&e, Error::Io { .. }) && e.to_string().contains("none"),
        "{e}"
    );
    for bytes in [&b""[..], b"SMFCKEK1", &[0; 112], &[0; 113], &[7; 4096]] {
        let e = SoftwareKek::open_bytes(bytes, PASS, Path::new("my.kek")).unwrap_err();
        assert!(
            matches!(e, Error::KekFile { .. }) && e.to_string().contains("my.kek"),
            "{e}"
        );
    }
    let large = dir.path().join("large");
    std::fs::write(&large, vec![0; 5000]).unwrap();
    assert!(matches!(
        SoftwareKek::open(&large, PASS),
        Err(Error::Io { .. })
    ));
}

#[test]
fn short_passphrases_are_refused_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kek");
    assert!(matches!(
        SoftwareKek::create(&path, b"1234567"),
        Err(Error::Config { .. })
    ));
    let nowhere = dir.path().join("no/such/place");
    assert!(matches!(
        SoftwareKek::create(&nowhere, PASS),
        Err(Error::Io { .. })
    ));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
