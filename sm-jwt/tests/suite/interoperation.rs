//! Interoperation with independent implementations of SM2, both ways. `.ci/peers` installs them. The OpenSSL command line
//! has a file of its own.

use std::path::Path;
use std::process::Command;

use crate::peers::*;
use sm_jwt::*;

static BOUNCY_CASTLE: Shared = Shared::new(|| {
    let jar = Path::new("/usr/share/java/bcprov.jar");
    let mut java = Command::new("java");
    java.arg("-cp").arg(jar).arg(script("BouncyCastle.java"));
    Peer::start("BouncyCastle", Keys::Pem, jar, &mut java)
});

static SM_CRYPTO: Shared = Shared::new(|| {
    let package = folder().join("node_modules/sm-crypto");
    let mut node = Command::new("node");
    node.arg(script("sm-crypto.cjs")).arg(folder());
    Peer::start("sm-crypto", Keys::Bare, &package, &mut node)
});

static TONGSUO: Shared = Shared::new(|| {
    let package = folder().join("python/tongsuopy");
    Peer::start("tongsuopy", Keys::Pem, &package, &mut python("tongsuo.py"))
});

static BOTAN: Shared = Shared::new(|| {
    let module = Path::new("/usr/lib/python3/dist-packages/botan2.py");
    Peer::start("Botan", Keys::Bare, module, &mut python("botan.py"))
});

static GMSSL: Shared = Shared::new(|| {
    let package = folder().join("python/gmssl");
    let mut python = python("gmssl_python.py");
    Peer::start("gmssl", Keys::Bare, &package, &mut python)
});

fn python(name: &str) -> Command {
    let mut python = Command::new("python3");
    // No byte code among the sources.
    python.arg("-B").arg(script(name)).arg(folder());
    python
}

fn raw() -> Profile {
    Profile::default()
}

fn der() -> Profile {
    Profile::default().with_encoding(SignatureEncoding::Der)
}

fn identified(profile: Profile, user_id: &str) -> Profile {
    profile.with_user_id(user_id).unwrap()
}

#[test]
fn bouncy_castle_raw() {
    let Some(peer) = present(&BOUNCY_CASTLE) else {
        return;
    };
    exchange(peer, &raw(), 60);
    short_numbers(peer, &raw(), true);
    extreme_messages(peer, &raw());
    forger_agrees(peer, &raw());
    peer_is_a_device(peer, &raw(), false);
    malformed_signatures(peer, &raw(), &[]);
}

#[test]
fn bouncy_castle_der() {
    let Some(peer) = present(&BOUNCY_CASTLE) else {
        return;
    };
    exchange(peer, &der(), 60);
    short_numbers(peer, &der(), true);
    every_length(peer, &der());
    forger_agrees(peer, &der());
    malformed_signatures(peer, &der(), &[]);
}

#[test]
fn bouncy_castle_keys_and_user_ids() {
    let Some(peer) = present(&BOUNCY_CASTLE) else {
        return;
    };
    keys_both_ways(peer, 20);
    extreme_keys(peer, &raw());
    extreme_keys(peer, &der());
    exchange(peer, &identified(raw(), ""), 10);
    exchange(peer, &identified(der(), ""), 10);
    exchange(peer, &identified(raw(), "ALICE123@YAHOO.COM"), 10);
    exchange(peer, &identified(der(), "\u{94F6}\u{884C}"), 10);
    // The longest that there is: its length in bits is hashed as 16 bits.
    exchange(peer, &identified(der(), &"i".repeat(8191)), 3);
}

/// Both hash Z with SHA-256 as well: Z over SM3 would give another e, and no signature here would hold.
#[cfg(feature = "legacy-sha256")]
#[test]
fn sha256_in_the_place_of_sm3() {
    let raw = Profile::sm2_sha256();
    let der = raw.clone().with_encoding(SignatureEncoding::Der);
    for shared in [&BOUNCY_CASTLE, &BOTAN] {
        let Some(peer) = present(shared) else {
            continue;
        };
        exchange(peer, &raw, 60);
        exchange(peer, &der, 60);
        exchange(peer, &identified(raw.clone(), ""), 10);
        exchange(peer, &identified(der.clone(), "ALICE123@YAHOO.COM"), 10);
        short_numbers(peer, &der, true);
        extreme_keys(peer, &raw);
        peer_is_a_device(peer, &der, false);
    }
}

#[test]
fn sm_crypto() {
    let Some(peer) = present(&SM_CRYPTO) else {
        return;
    };
    keys_both_ways(peer, 3);
    exchange(peer, &raw(), 50);
    exchange(peer, &der(), 10);
    exchange(peer, &identified(raw(), ""), 5);
    exchange(peer, &identified(der(), "\u{94F6}\u{884C}"), 5);
    short_numbers(peer, &raw(), false);
    short_numbers(peer, &der(), false);
    extreme_keys(peer, &raw());
    extreme_messages(peer, &raw());
    forger_agrees(peer, &der());
    peer_is_a_device(peer, &raw(), false);
    peer_is_a_device(peer, &raw(), true);
    malformed_signatures(peer, &raw(), &[]);
    malformed_signatures(peer, &der(), &[]);
}

#[test]
fn tongsuo() {
    let Some(peer) = present(&TONGSUO) else {
        return;
    };
    keys_both_ways(peer, 20);
    exchange(peer, &der(), 200);
    short_numbers(peer, &der(), true);
    every_length(peer, &der());
    extreme_keys(peer, &der());
    extreme_messages(peer, &der());
    forger_agrees(peer, &der());
    peer_is_a_device(peer, &der(), false);
    malformed_signatures(peer, &der(), &[]);
}

#[test]
fn botan() {
    let Some(peer) = present(&BOTAN) else {
        return;
    };
    keys_both_ways(peer, 20);
    for profile in [raw(), der()] {
        exchange(peer, &profile, 100);
        exchange(peer, &identified(profile.clone(), ""), 10);
        exchange(peer, &identified(profile.clone(), "ALICE123@YAHOO.COM"), 10);
        short_numbers(peer, &profile, true);
        every_length(peer, &profile);
        extreme_keys(peer, &profile);
        extreme_messages(peer, &profile);
        forger_agrees(peer, &profile);
        peer_is_a_device(peer, &profile, false);
        malformed_signatures(peer, &profile, &[]);
    }
    // Botan 2 writes 1.2.156.10197.1.301.1 (SM2 signatures) where GM/T 0009 has id-ecPublicKey: refused by name.
    let pair = peer.ask(&["generate-pem"]).unwrap();
    let (private, public) = pair.split_once(' ').unwrap();
    let text = |word: &str| String::from_utf8(unhex(word)).unwrap();
    let errors = [
        SigningKey::from_pkcs8_pem(&text(private)).unwrap_err(),
        VerifyingKey::from_spki_pem(&text(public)).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.code(), "wrong_key_algorithm");
        let message = error.to_string();
        assert!(message.contains("1.2.156.10197.1.301.1"), "{message}");
    }
}

#[test]
fn gmssl() {
    let Some(peer) = present(&GMSSL) else {
        return;
    };
    // The package makes no keys: the script draws the scalar.
    keys_both_ways(peer, 3);
    exchange(peer, &raw(), 50);
    exchange(peer, &der(), 10);
    exchange(peer, &identified(raw(), ""), 5);
    short_numbers(peer, &raw(), false);
    short_numbers(peer, &der(), false);
    extreme_keys(peer, &raw());
    forger_agrees(peer, &raw());
    peer_is_a_device(peer, &raw(), true);
    // It reads the first 64 bytes, whatever follows.
    malformed_signatures(peer, &raw(), &["a byte more"]);
    malformed_signatures(peer, &der(), &["r padded", "s padded", "a third number"]);
}
