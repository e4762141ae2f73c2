//! Bare signatures over messages.

use std::path::Path;
use std::process::Command;

use crate::support::*;
use proptest::prelude::*;
use sm_jwt::SignatureEncoding::{Der, Raw};
use sm_jwt::*;

/// GM/T 0003.5 annex A.2: the message and the signature for the annex's k.
const MESSAGE: &[u8] = b"message digest";
const ANNEX_A: [u8; 64] = *b"\
\xF5\xA0\x3B\x06\x48\xD2\xC4\x63\x0E\xEA\xC5\x13\xE1\xBB\x81\xA1\
\x59\x44\xDA\x38\x27\xD5\xB7\x41\x43\xAC\x7E\xAC\xEE\xE7\x20\xB3\
\xB1\xB6\xAA\x29\xDF\x21\x2F\xD8\x76\x31\x82\xBC\x0D\x42\x1C\xA1\
\xBB\x90\x38\xFD\x1F\x7F\x42\xD4\x84\x0B\x69\xC4\x85\xBB\xC1\xAA";

fn verify(
    message: &[u8],
    user_id: &[u8],
    encoding: SignatureEncoding,
    bytes: &[u8],
) -> &'static str {
    code_of(&verifying_key().verify_message(message, user_id, encoding, bytes))
}

fn as_registered(encoding: SignatureEncoding, bytes: &[u8]) -> &'static str {
    verify(MESSAGE, DEFAULT_USER_ID, encoding, bytes)
}

#[test]
fn gmt_0003_5_annex_a_known_answer() {
    assert_eq!(as_registered(Raw, &ANNEX_A), "ok");
    assert_eq!(as_registered(Der, &to_der(&ANNEX_A)), "ok");
    // Neither encoding is taken for the other.
    assert_eq!(as_registered(Der, &ANNEX_A), "bad_signature");
    assert_eq!(as_registered(Raw, &to_der(&ANNEX_A)), "bad_signature");
    // Another message, another user id, none, another key.
    assert_eq!(
        verify(b"message digesT", DEFAULT_USER_ID, Raw, &ANNEX_A),
        "bad_signature"
    );
    for user_id in [&b"1234567812345679"[..], b"", b"ALICE123@YAHOO.COM"] {
        assert_eq!(verify(MESSAGE, user_id, Raw, &ANNEX_A), "bad_signature");
    }
    let other = key_of(&[0x33; 32]);
    let result = other
        .verifying_key()
        .verify_message(MESSAGE, DEFAULT_USER_ID, Raw, &ANNEX_A);
    assert_eq!(code_of(&result), "bad_signature");
}

#[test]
fn scalars_out_of_range() {
    let (r, s) = ANNEX_A.split_at(32);
    let zero = [0; 32];
    let mut n_plus_1 = N;
    n_plus_1[31] += 1;
    let minus_r = minus(&N, r.try_into().unwrap());
    let minus_s = minus(&N, s.try_into().unwrap());
    let pairs: [(&[u8], &[u8]); 12] = [
        (&zero, s),
        (r, &zero),
        (&zero, &zero),
        (&N, s),
        (r, &N),
        (&N, &N),
        (&n_plus_1, s),
        (r, &n_plus_1),
        (&[0xFF; 32], &[0xFF; 32]),
        // r + s = n: t is zero.
        (r, &minus_r),
        (&minus_s, s),
        (s, r),
    ];
    for (r, s) in pairs {
        let raw = [r, s].concat();
        assert_eq!(as_registered(Raw, &raw), "bad_signature", "{raw:02x?}");
        assert_eq!(as_registered(Der, &to_der(&raw)), "bad_signature");
    }
}

#[test]
fn one_encoding_a_signature() {
    for other in [
        &ANNEX_A[..63],
        &[&ANNEX_A[..], &[0]].concat(),
        &[&[0], &ANNEX_A[..]].concat(),
        &[],
    ] {
        assert_eq!(as_registered(Raw, other), "bad_signature");
    }
    let der = to_der(&ANNEX_A);
    let body = &der[2..];
    let (r, s) = body.split_at(2 + usize::from(body[1]));
    let padded = |integer: &[u8]| tlv(2, &[&[0], &integer[2..]].concat());
    for other in [
        [&der[..], &[0]].concat(),
        tlv(0x30, &[body, &[0]].concat()),
        tlv(0x30, &[body, &[2, 1, 1]].concat()),
        tlv(0x30, &[&padded(r), s].concat()),
        tlv(0x30, &[r, &padded(s)].concat()),
        // Without the zero byte the numbers are negative.
        tlv(0x30, &[&tlv(2, &r[3..]), s].concat()),
        [&[0x30, 0x81, body.len() as u8], body].concat(),
        [&[0x30, 0x82, 0, body.len() as u8], body].concat(),
        [&[0x30, 0x80], body, &[0, 0]].concat(),
        tlv(0x31, body),
        der[..der.len() - 1].to_vec(),
        Vec::new(),
    ] {
        assert_eq!(as_registered(Der, &other), "bad_signature", "{other:02x?}");
    }
}

/// Whoever may have messages signed may not have tokens made.
#[test]
fn a_token_is_never_signed() {
    let token = access_token();
    let (input, _) = token.rsplit_once('.').unwrap();
    let sign = |message: &[u8]| code_of(&signing_key().sign_message(message, DEFAULT_USER_ID, Raw));
    assert_eq!(sign(input.as_bytes()), "token_signing_input");
    assert_eq!(sign(token.as_bytes()), "token_signing_input");
    let (header, _) = input.split_once('.').unwrap();
    assert_eq!(
        sign(format!("{header}.payload of RFC 7797").as_bytes()),
        "token_signing_input"
    );
    // With no user id that a profile could have, either.
    let result = signing_key().sign_message(input.as_bytes(), b"", Der);
    assert_eq!(code_of(&result), "token_signing_input");
    assert_eq!(sign(b"a statement of account. with a dot"), "ok");
    // What was signed elsewhere is verified all the same.
    let signature = raw_signature(input.as_bytes());
    assert_eq!(
        verify(input.as_bytes(), DEFAULT_USER_ID, Raw, &signature),
        "ok"
    );
}

#[test]
fn user_ids_have_a_limit() {
    let longest = vec![b'i'; 8191];
    let signature = signing_key().sign_message(MESSAGE, &longest, Raw).unwrap();
    assert_eq!(verify(MESSAGE, &longest, Raw, &signature), "ok");
    let longer = vec![b'i'; 8192];
    assert_eq!(
        code_of(&signing_key().sign_message(MESSAGE, &longer, Raw)),
        "bad_configuration"
    );
    assert_eq!(
        verify(MESSAGE, &longer, Raw, &signature),
        "bad_configuration"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Signed here and verified by RustCrypto, and the other way round.
    #[test]
    fn differential_with_rustcrypto(message in prop::collection::vec(any::<u8>(), 0..300)) {
        use sm2::dsa::signature::Verifier as _;
        let key = sm2::dsa::SigningKey::from_slice(USER_ID, &D).unwrap();
        prop_assert_eq!(verify(&message, DEFAULT_USER_ID, Raw, &raw_signature(&message)), "ok");
        if let Ok(signature) = signing_key().sign_message(&message, DEFAULT_USER_ID, Raw) {
            let signature = sm2::dsa::Signature::from_slice(&signature).unwrap();
            prop_assert!(key.verifying_key().verify(&message, &signature).is_ok());
        }
    }

    /// One bit anywhere in message or signature.
    #[test]
    fn every_changed_bit_is_found(at in 0usize..64, bit in 0u8..8) {
        let mut signature = ANNEX_A;
        signature[at] ^= 1 << bit;
        prop_assert_eq!(as_registered(Raw, &signature), "bad_signature");
        let mut message = MESSAGE.to_vec();
        message[at % MESSAGE.len()] ^= 1 << bit;
        prop_assert_eq!(verify(&message, DEFAULT_USER_ID, Raw, &ANNEX_A), "bad_signature");
    }
}

/// What it wrote on standard output, and whether it ended well.
fn openssl(dir: &Path, args: &[&str]) -> (bool, Vec<u8>) {
    let output = Command::new("openssl")
        .current_dir(dir)
        .args(args)
        .output()
        .unwrap();
    (output.status.success(), output.stdout)
}

#[test]
fn openssl_both_ways() {
    if !openssl_is_here() {
        return;
    }
    let dir = std::env::temp_dir().join(format!("sm-jwt-message-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.join(name), bytes).unwrap();
    let key = signing_key();
    write("key.pem", key.to_pkcs8_pem().as_bytes());
    write("sec1.pem", key.to_sec1_pem().as_bytes());
    write("public.pem", key.verifying_key().to_spki_pem().as_bytes());
    write("message", MESSAGE);
    for id in ["1234567812345678", "ALICE123@YAHOO.COM"] {
        let distid = format!("distid:{id}");
        let (ok, der) = openssl(
            &dir,
            &[
                "pkeyutl", "-sign", "-rawin", "-digest", "sm3", "-inkey", "key.pem", "-in",
                "message", "-pkeyopt", &distid,
            ],
        );
        assert!(ok);
        assert_eq!(verify(MESSAGE, id.as_bytes(), Der, &der), "ok");
        assert_eq!(verify(MESSAGE, id.as_bytes(), Raw, &to_raw(&der)), "ok");
        assert_eq!(verify(MESSAGE, b"someone", Der, &der), "bad_signature");

        let ours = key.sign_message(MESSAGE, id.as_bytes(), Der).unwrap();
        write("signature", &ours);
        let accepts = |distid: &str| {
            let args = [
                "pkeyutl",
                "-verify",
                "-rawin",
                "-digest",
                "sm3",
                "-pubin",
                "-inkey",
                "public.pem",
                "-in",
                "message",
                "-sigfile",
                "signature",
                "-pkeyopt",
                distid,
            ];
            openssl(&dir, &args).0
        };
        assert!(accepts(&distid));
        assert!(!accepts("distid:someone"));
    }
    // The SEC1 form that this crate writes is one that OpenSSL reads.
    let (ok, public) = openssl(
        &dir,
        &["pkey", "-in", "sec1.pem", "-pubout", "-outform", "DER"],
    );
    assert!(ok);
    assert_eq!(public, key.verifying_key().to_spki_der());
    let _ = std::fs::remove_dir_all(&dir);
}

#[test]
fn sec1_round_trip() {
    let key = signing_key();
    let read = SigningKey::from_sec1_der(&key.to_sec1_der()).unwrap();
    assert_eq!(read.verifying_key(), key.verifying_key());
    let read = SigningKey::from_sec1_pem(&key.to_sec1_pem()).unwrap();
    assert_eq!(read.to_pkcs8_der()[..], key.to_pkcs8_der()[..]);
}
