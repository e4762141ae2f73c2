//! Key documents: what is read, what is refused, and why it says so.

use crate::support::*;
use proptest::prelude::*;
use serde_json::json;
use sm_jwt::*;

/// A PKCS#8 P-256 key and its SPKI, made by OpenSSL: the right form, the wrong curve.
const P256_PKCS8: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgKO1YU2g2sHlbtPLq
/wIuYxvXOo5BdueOq/M68oW4w8KhRANCAARKk1MdfDPjzN6y1aHqHuAaE0So1UlW
1MHKsy40GQ177tL5U8iuYfTDRhVfteMDqWDHNadUSCE6Z/sm/BlqhiQ2
-----END PRIVATE KEY-----
";
const P256_SPKI: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAESpNTHXwz48zestWh6h7gGhNEqNVJ
VtTByrMuNBkNe+7S+VPIrmH0w0YVX7XjA6lgxzWnVEghOmf7JvwZaoYkNg==
-----END PUBLIC KEY-----
";
const P256_SEC1: &str = "-----BEGIN EC PRIVATE KEY-----
MHcCAQEEICjtWFNoNrB5W7Ty6v8CLmMb1zqOQXbnjqvzOvKFuMPCoAoGCCqGSM49
AwEHoUQDQgAESpNTHXwz48zestWh6h7gGhNEqNVJVtTByrMuNBkNe+7S+VPIrmH0
w0YVX7XjA6lgxzWnVEghOmf7JvwZaoYkNg==
-----END EC PRIVATE KEY-----
";

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut out = vec![tag];
    match body.len() {
        len @ 0..=0x7F => out.push(len as u8),
        len => out.extend([0x81, len as u8]),
    }
    [out, body].concat()
}

const SM2_OID: &[u8] = &[0x06, 0x08, 0x2A, 0x81, 0x1C, 0xCF, 0x55, 0x01, 0x82, 0x2D];
const EC_OID: &[u8] = &[0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];

fn sec1(d: &[u8], parameters: Option<&[u8]>, public: Option<&[u8]>) -> Vec<u8> {
    let parameters = parameters.map(|oid| tlv(0xA0, &[oid])).unwrap_or_default();
    let public = public
        .map(|point| tlv(0xA1, &[&tlv(3, &[&[0], point])]))
        .unwrap_or_default();
    tlv(0x30, &[&[2, 1, 1], &tlv(4, &[d]), &parameters, &public])
}

fn pkcs8(inner: &[u8]) -> Vec<u8> {
    let algorithm = tlv(0x30, &[EC_OID, SM2_OID]);
    tlv(0x30, &[&[2, 1, 0], &algorithm, &tlv(4, &[inner])])
}

#[test]
fn every_document_leads_to_the_same_key() {
    let public = verifying_key();
    let point = public.to_sec1_bytes();
    let key = signing_key();
    let again = SigningKey::from_pkcs8_der(&key.to_pkcs8_der()).unwrap();
    assert_eq!(*again.verifying_key(), public);
    assert_eq!(again.to_pkcs8_der(), key.to_pkcs8_der());
    let again = SigningKey::from_pkcs8_pem(&key.to_pkcs8_pem()).unwrap();
    assert_eq!(*again.verifying_key(), public);
    for document in [
        sec1(&D, None, None),
        sec1(&D, Some(SM2_OID), None),
        sec1(&D, None, Some(&point)),
        sec1(&D, Some(SM2_OID), Some(&point)),
    ] {
        assert_eq!(
            *SigningKey::from_sec1_der(&document)
                .unwrap()
                .verifying_key(),
            public
        );
        assert_eq!(
            *SigningKey::from_pkcs8_der(&pkcs8(&document))
                .unwrap()
                .verifying_key(),
            public
        );
    }
    // RFC 5958 version 2 with attributes and the public key outside.
    let algorithm = tlv(0x30, &[EC_OID, SM2_OID]);
    let inner = tlv(4, &[&sec1(&D, None, None)]);
    let outside = tlv(0x81, &[&[0], &point]);
    let v2 = tlv(
        0x30,
        &[&[2, 1, 1], &algorithm, &inner, &tlv(0xA0, &[]), &outside],
    );
    assert_eq!(
        *SigningKey::from_pkcs8_der(&v2).unwrap().verifying_key(),
        public
    );

    assert_eq!(
        VerifyingKey::from_spki_der(&public.to_spki_der()).unwrap(),
        public
    );
    assert_eq!(
        VerifyingKey::from_spki_pem(&public.to_spki_pem()).unwrap(),
        public
    );
    assert_eq!(VerifyingKey::from_sec1_bytes(&point).unwrap(), public);
    let compressed = [&[2 + (point[64] & 1)], &point[1..33]].concat();
    assert_eq!(VerifyingKey::from_sec1_bytes(&compressed).unwrap(), public);
    assert_eq!(
        VerifyingKey::from_jwk(&public.to_jwk(None)).unwrap(),
        public
    );
}

/// What RustCrypto writes is read here, and the other way round.
#[test]
fn differential_documents() {
    use sm2::pkcs8::{
        DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
    };
    let theirs = sm2::SecretKey::from_slice(&D).unwrap();
    let ours = signing_key();
    assert_eq!(
        theirs.to_pkcs8_der().unwrap().as_bytes(),
        &ours.to_pkcs8_der()[..]
    );
    assert_eq!(
        sm2::SecretKey::from_pkcs8_pem(&ours.to_pkcs8_pem()).unwrap(),
        theirs
    );
    let their_public = theirs.public_key().to_public_key_der().unwrap();
    assert_eq!(their_public.as_bytes(), ours.verifying_key().to_spki_der());
    let pem = ours.verifying_key().to_spki_pem();
    assert_eq!(
        sm2::PublicKey::from_public_key_pem(&pem).unwrap(),
        theirs.public_key()
    );
    let sec1 = theirs.to_sec1_der().unwrap();
    assert_eq!(
        SigningKey::from_sec1_der(&sec1).unwrap().verifying_key(),
        ours.verifying_key()
    );
}

#[test]
fn another_curve_is_named_in_the_error() {
    for error in [
        SigningKey::from_pkcs8_pem(P256_PKCS8).unwrap_err(),
        SigningKey::from_sec1_pem(P256_SEC1).unwrap_err(),
        VerifyingKey::from_spki_pem(P256_SPKI).unwrap_err(),
    ] {
        assert_eq!(error.code(), "wrong_key_algorithm");
        let message = error.to_string();
        assert!(message.contains("1.2.840.10045.3.1.7"), "{message}");
        assert!(message.contains("1.2.156.10197.1.301"), "{message}");
    }
    // RSA's algorithm identifier.
    let rsa = tlv(
        0x06,
        &[&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01]],
    );
    let spki = tlv(0x30, &[&tlv(0x30, &[&rsa, &[5, 0]]), &tlv(3, &[&[0, 1]])]);
    let message = VerifyingKey::from_spki_der(&spki).unwrap_err().to_string();
    assert!(message.contains("1.2.840.113549.1.1.1"), "{message}");
}

#[test]
fn scalar_out_of_range_is_refused_in_every_document() {
    let n: [u8; 32] = {
        let mut n = [0xFF; 32];
        n[3] = 0xFE;
        n[16..].copy_from_slice(&unb64("cgPfayHGBStTu_QJOdVBIw"));
        n
    };
    let mut n_minus_1 = n;
    n_minus_1[31] -= 1;
    let mut n_minus_2 = n;
    n_minus_2[31] -= 2;
    for d in [[0; 32], n_minus_1, n, [0xFF; 32]] {
        let document = sec1(&d, None, None);
        assert_eq!(
            SigningKey::from_sec1_der(&document).unwrap_err().code(),
            "bad_key"
        );
        assert_eq!(
            SigningKey::from_pkcs8_der(&pkcs8(&document))
                .unwrap_err()
                .code(),
            "bad_key"
        );
        let mut jwk = private_jwk(&D);
        jwk["d"] = json!(b64(d));
        let message = SigningKey::from_jwk(&jwk.to_string())
            .unwrap_err()
            .to_string();
        assert!(message.contains("[1, n-2]"), "{message}");
    }
    assert!(SigningKey::from_sec1_der(&sec1(&n_minus_2, None, None)).is_ok());
    // Other lengths.
    for d in [&D[1..], &[&[0], &D[..]].concat(), &[1][..], &[][..]] {
        assert!(SigningKey::from_sec1_der(&sec1(d, None, None)).is_err());
    }
}

#[test]
fn public_half_must_match() {
    let other = SigningKey::generate()
        .unwrap()
        .verifying_key()
        .to_sec1_bytes();
    let document = sec1(&D, None, Some(&other));
    for error in [
        SigningKey::from_sec1_der(&document).unwrap_err(),
        SigningKey::from_pkcs8_der(&pkcs8(&document)).unwrap_err(),
        SigningKey::from_jwk(
            &with(
                private_jwk(&D),
                json!({ "x": b64(&other[1..33]), "y": b64(&other[33..]) }),
            )
            .to_string(),
        )
        .unwrap_err(),
    ] {
        assert!(
            error.to_string().contains("not the private key's"),
            "{error}"
        );
    }
}

#[test]
fn hazard_point_off_the_curve() {
    let point = verifying_key().to_sec1_bytes();
    let mut off = point;
    off[64] ^= 1;
    let p_minus_nothing = {
        // x = p is not a field element.
        let mut bytes = [0xFF; 65];
        bytes[0] = 4;
        bytes[4] = 0xFE;
        bytes[25..29].fill(0);
        bytes
    };
    let hybrid = [&[6 + (point[64] & 1)], &point[1..]].concat();
    let cases: Vec<Vec<u8>> = vec![
        off.to_vec(),
        p_minus_nothing.to_vec(),
        [&[4][..], &[0; 64]].concat(),
        vec![0],
        vec![],
        point[1..].to_vec(),
        point[..64].to_vec(),
        [&point[..], &[0]].concat(),
        hybrid,
        [&[5], &point[1..33]].concat(),
    ];
    for case in cases {
        assert_eq!(
            VerifyingKey::from_sec1_bytes(&case).unwrap_err().code(),
            "bad_key",
            "{case:02x?}"
        );
    }
    let jwk = json!({ "kty": "EC", "crv": "SM2", "x": b64(&off[1..33]), "y": b64(&off[33..]) });
    assert_eq!(
        VerifyingKey::from_jwk(&jwk.to_string()).unwrap_err().code(),
        "bad_key"
    );
}

#[test]
fn documents_are_read_to_the_last_byte() {
    let key = signing_key();
    let (private, public) = (key.to_pkcs8_der(), key.verifying_key().to_spki_der());
    for cut in 0..private.len() {
        assert!(SigningKey::from_pkcs8_der(&private[..cut]).is_err());
    }
    for cut in 0..public.len() {
        assert!(VerifyingKey::from_spki_der(&public[..cut]).is_err());
    }
    assert!(SigningKey::from_pkcs8_der(&[&private[..], &[0]].concat()).is_err());
    assert!(VerifyingKey::from_spki_der(&[&public[..], &[0]].concat()).is_err());
    assert!(SigningKey::from_pkcs8_der(&public).is_err());
    assert!(VerifyingKey::from_spki_der(&private).is_err());
    // A bit string that is not whole bytes; a length in its long form.
    let mut bits = public.clone();
    let at = bits.len() - 66;
    assert_eq!(bits[at], 0);
    bits[at] = 1;
    assert!(VerifyingKey::from_spki_der(&bits).is_err());
    let long = [&[0x30, 0x81], &public[1..]].concat();
    assert!(VerifyingKey::from_spki_der(&long).is_err());
}

#[test]
fn pem_faults_are_told_apart() {
    let key = signing_key();
    let pem = key.to_pkcs8_pem();
    let public = key.verifying_key().to_spki_pem();
    let why = |pem: &str| SigningKey::from_pkcs8_pem(pem).unwrap_err().to_string();
    assert!(why("").contains("no PEM block"));
    assert!(why("hello").contains("no PEM block"));
    assert!(why(&public).contains("another label"));
    assert!(
        why(&pem.replace("END PRIVATE", "END PUBLIC")).contains("another label than it begins")
    );
    assert!(why(pem.split("-----END").next().unwrap()).contains("no end line"));
    assert!(why(&[&**pem, &**pem].concat()).contains("more than one key"));
    assert!(why(&pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")).contains("encrypted"));
    assert!(why(&pem.replacen('\n', "\nProc-Type: 4,ENCRYPTED\n", 1)).contains("headers"));
    assert!(why(&pem.replacen("\nM", "\n!", 1)).contains("base64"));
    assert_eq!(
        SigningKey::from_pkcs8_pem(&"x".repeat(20_000))
            .unwrap_err()
            .code(),
        "too_large"
    );
    // Windows line ends, text around the block, and a block of parameters before it.
    let crlf = pem.replace('\n', "\r\n");
    let framed = format!("key of the test bank\n\n{}\nend\n", *pem);
    let parameters =
        "-----BEGIN SM2 PARAMETERS-----\nBggqgRzPVQGCLQ==\n-----END SM2 PARAMETERS-----\n";
    let with_parameters = format!("{parameters}{}", *pem);
    for accepted in [crlf, framed, with_parameters] {
        assert_eq!(
            SigningKey::from_pkcs8_pem(&accepted)
                .unwrap()
                .verifying_key(),
            key.verifying_key()
        );
    }
}

#[test]
fn jwk_is_strict() {
    let key = private_jwk(&D);
    let public = with(key.clone(), json!({ "d": null }));
    let code = |jwk: &serde_json::Value| {
        VerifyingKey::from_jwk(&jwk.to_string()).map_or_else(|error| error.code(), |_| "ok")
    };
    assert_eq!(code(&public), "ok");
    for crv in ["SM2", "sm2p256v1", "SM2-P-256"] {
        assert_eq!(code(&with(public.clone(), json!({ "crv": crv }))), "ok");
        assert!(
            SigningKey::from_jwk(&with(key.clone(), json!({ "crv": crv })).to_string()).is_ok()
        );
    }
    for (changes, expected) in [
        (json!({ "crv": "P-256" }), "wrong_key_algorithm"),
        (json!({ "crv": "sm2" }), "wrong_key_algorithm"),
        (json!({ "crv": null }), "wrong_key_algorithm"),
        (json!({ "kty": "RSA" }), "wrong_key_algorithm"),
        (json!({ "kty": null }), "wrong_key_algorithm"),
        (json!({ "kty": 1 }), "bad_key"),
        (json!({ "x": null }), "bad_key"),
        (json!({ "y": 1 }), "bad_key"),
        (json!({ "x": b64(&D[1..]) }), "bad_key"),
        (json!({ "use": "enc" }), "bad_key"),
        (json!({ "use": "sig" }), "ok"),
        (json!({ "alg": "ES256" }), "bad_key"),
        (json!({ "alg": "none" }), "bad_key"),
        (json!({ "alg": 1 }), "bad_key"),
        (json!({ "key_ops": ["verify"] }), "ok"),
        (json!({ "key_ops": ["sign"] }), "bad_key"),
        (json!({ "key_ops": "verify" }), "bad_key"),
        (json!({ "key_ops": [] }), "bad_key"),
        (json!({ "d": b64(D) }), "bad_key"),
        (json!({ "kid": "k", "alg": "SM2", "x5c": ["x"] }), "ok"),
    ] {
        assert_eq!(
            code(&with(public.clone(), changes.clone())),
            expected,
            "{changes}"
        );
    }
    let text = public.to_string();
    for (text, expected) in [
        (text.replacen('{', r#"{"kty":"EC","#, 1), "duplicate_member"),
        (text.replacen("\"EC\"", "\"E\\u0043\"", 1), "bad_key"),
        (format!("[{text}]"), "bad_json"),
        (format!("{text}x"), "bad_json"),
        (String::new(), "bad_json"),
        (" ".repeat(20_000), "too_large"),
    ] {
        assert_eq!(
            VerifyingKey::from_jwk(&text).unwrap_err().code(),
            expected,
            "{text}"
        );
    }
    let message = SigningKey::from_jwk(&public.to_string())
        .unwrap_err()
        .to_string();
    assert!(message.contains("no `d`"), "{message}");
    // Padding, white space and trailing bits in a coordinate.
    let x = public["x"].as_str().unwrap();
    for other in [format!("{x}="), format!(" {x}"), format!("{x}\n")] {
        assert_ne!(code(&with(public.clone(), json!({ "x": other }))), "ok");
    }
}

#[test]
fn written_jwk_and_thumbprint_spell_the_curve_one_way() {
    let key = private_jwk(&D);
    let read = |crv: &str| {
        let jwk = with(key.clone(), json!({ "d": null, "crv": crv }));
        VerifyingKey::from_jwk(&jwk.to_string()).unwrap()
    };
    let thumbprint = verifying_key().thumbprint_sm3();
    for crv in ["SM2", "sm2p256v1", "SM2-P-256"] {
        assert_eq!(read(crv).thumbprint_sm3(), thumbprint);
    }
    use sm3::{Digest as _, Sm3};
    let canonical = format!(
        r#"{{"crv":"SM2","kty":"EC","x":{},"y":{}}}"#,
        key["x"], key["y"]
    );
    assert_eq!(unb64(&thumbprint)[..], Sm3::digest(canonical)[..]);
    let written: serde_json::Value =
        serde_json::from_str(&verifying_key().to_jwk(Some(&kid("k")))).unwrap();
    assert_eq!(
        written,
        json!({ "kty": "EC", "crv": "SM2", "x": key["x"], "y": key["y"], "use": "sig", "kid": "k" })
    );
}

#[test]
fn written_private_jwk_reads_as_the_same_key() {
    let read = |jwk: &str| SigningKey::from_jwk(jwk).unwrap();
    let key = signing_key();
    let jwk = key.to_jwk(None);
    let members: serde_json::Value = serde_json::from_str(&jwk).unwrap();
    let mut expected = private_jwk(&D);
    expected["use"] = "sig".into();
    assert_eq!(members, expected);
    assert_eq!(read(&jwk).verifying_key(), key.verifying_key());
    assert_eq!(*read(&jwk).to_jwk(None), *jwk);
    // It is the private key, and never read where a public one is wanted.
    assert_eq!(VerifyingKey::from_jwk(&jwk).unwrap_err().code(), "bad_key");
    // A name that JSON escapes.
    let name = kid("a \"b\" \\ \u{4e00}");
    let jwk = key.to_jwk(Some(&name));
    let members: serde_json::Value = serde_json::from_str(&jwk).unwrap();
    assert_eq!(members["kid"], name.as_str());
    assert_eq!(read(&jwk).verifying_key(), key.verifying_key());
    // Scalars with zeros in front keep their length.
    let mut small = [0; 32];
    small[31] = 1;
    let jwk = key_of(&small).to_jwk(None);
    let members: serde_json::Value = serde_json::from_str(&jwk).unwrap();
    assert_eq!(unb64(members["d"].as_str().unwrap()), small);
    for _ in 0..20 {
        let key = SigningKey::generate().unwrap();
        assert_eq!(read(&key.to_jwk(None)).verifying_key(), key.verifying_key());
    }
}

/// RFC 7638 by hand, with both hashes.
#[test]
fn thumbprints_are_over_the_canonical_key() {
    for d in [D, [9; 32]] {
        let canonical = dpop::canonical_jwk(&d);
        for crv in ["SM2", "sm2p256v1", "SM2-P-256"] {
            let jwk = with(
                public_jwk(&d),
                serde_json::json!({ "crv": crv, "kid": "k", "use": "sig" }),
            );
            let key = VerifyingKey::from_jwk(&jwk.to_string()).unwrap();
            assert_eq!(key.thumbprint_sha256(), sha256_b64(&canonical));
            assert_eq!(key.thumbprint_sm3(), sm3_b64(&canonical));
            assert_ne!(key.thumbprint_sha256(), key.thumbprint_sm3());
        }
    }
}

#[test]
fn key_identifiers_are_bounded() {
    assert!(KeyId::new("").is_err());
    assert!(KeyId::new("k".repeat(257)).is_err());
    assert!(KeyId::new("a\tb").is_err());
    assert_eq!(KeyId::new("k".repeat(256)).unwrap().as_str().len(), 256);
}

#[test]
fn profile_names_are_checked() {
    for alg in ["", " ", "a b", "ümlaut"] {
        assert!(Profile::default().with_alg(alg).is_err());
        assert!(Profile::default().with_crv(alg).is_err());
    }
    assert!(Profile::default().with_user_id(vec![0; 8192]).is_err());
    assert!(Profile::default().with_user_id(vec![0; 8191]).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_scalar_round_trips(d in any::<[u8; 32]>()) {
        let Ok(key) = SigningKey::from_sec1_der(&sec1(&d, None, None)) else {
            return Ok(());
        };
        let again = SigningKey::from_pkcs8_pem(&key.to_pkcs8_pem()).unwrap();
        prop_assert_eq!(again.to_pkcs8_der(), key.to_pkcs8_der());
        let point = sm2::SecretKey::from_slice(&d).unwrap().public_key().to_sec1_bytes();
        prop_assert_eq!(&key.verifying_key().to_sec1_bytes()[..], &point[..]);
        let public = VerifyingKey::from_jwk(&key.verifying_key().to_jwk(None)).unwrap();
        prop_assert_eq!(&public, key.verifying_key());
    }

    /// A document with any one byte changed is refused or means a key that is written back the same
    /// way; it never reads as the old key under two spellings.
    #[test]
    fn one_document_a_key(at in 0usize..91, to in any::<u8>()) {
        let der = verifying_key().to_spki_der();
        let mut other = der.clone();
        other[at] = to;
        if let Ok(key) = VerifyingKey::from_spki_der(&other) {
            prop_assert_eq!(key.to_spki_der(), other);
        }
    }
}
