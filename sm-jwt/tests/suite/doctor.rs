//! The tool that says why a token does not verify: every cause by itself, causes together, and what it must not find.

use crate::support::*;
use serde_json::{Value, json};
use sha2::Sha256;
use sm_jwt::doctor::{Diagnosis, Doctor, Finding, SignatureForm};
use sm_jwt::*;
use sm2::dsa::signature::hazmat::PrehashSigner as _;
use sm3::{Digest as _, Sm3};

fn diagnose(token: &str) -> Diagnosis {
    Doctor::new().diagnose(token, &verifying_key(), &Profile::default())
}

/// `header.payload` with a signature of these bytes.
fn token_with(header: &Value, payload: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let input = format!("{}.{}", b64(header.to_string()), b64(payload.to_string()));
    let signature = sign(input.as_bytes());
    format!("{input}.{}", b64(signature))
}

fn signed_for(user_id: &str) -> impl Fn(&[u8]) -> Vec<u8> {
    move |input| {
        use sm2::dsa::signature::Signer as _;
        let key = sm2::dsa::SigningKey::from_slice(user_id, &D).unwrap();
        let signature: sm2::dsa::Signature = key.sign(input);
        signature.to_bytes().to_vec()
    }
}

/// A signature over this digest itself.
fn over_digest(digest: impl Fn(&[u8]) -> [u8; 32]) -> impl Fn(&[u8]) -> Vec<u8> {
    move |input| {
        let key = sm2::dsa::SigningKey::from_slice(USER_ID, &D).unwrap();
        let signature: sm2::dsa::Signature = key.sign_prehash(&digest(input)).unwrap();
        signature.to_bytes().to_vec()
    }
}

/// Z with SHA-256, written out once more.
fn z_sha256() -> [u8; 32] {
    const CURVE: &str = "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFC\
        28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93\
        32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7\
        BC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0";
    let curve: Vec<u8> = (0..CURVE.len() / 2)
        .map(|i| u8::from_str_radix(&CURVE[2 * i..2 * i + 2], 16).unwrap())
        .collect();
    let point = verifying_key().to_sec1_bytes();
    let mut hash = Sha256::new();
    hash.update(128u16.to_be_bytes());
    hash.update(USER_ID);
    hash.update(curve);
    hash.update(&point[1..]);
    hash.finalize().into()
}

fn der_of(raw: &[u8]) -> Vec<u8> {
    sm2::dsa::Signature::from_slice(raw)
        .unwrap()
        .to_der()
        .as_bytes()
        .to_vec()
}

#[test]
fn a_right_token_has_no_finding() {
    let diagnosis = diagnose(&access_token());
    assert!(diagnosis.holds_as_registered && !diagnosis.holds_otherwise);
    assert!(diagnosis.findings.is_empty());
    assert!(diagnose(&format!(" {}\n", access_token())).holds_as_registered);
}

#[test]
fn every_cause_is_found_by_itself() {
    let raw = signed_for(USER_ID);
    let sha256_with_z = over_digest(|input| {
        Sha256::new()
            .chain_update(z_sha256())
            .chain_update(input)
            .finalize()
            .into()
    });
    let lax = |input: &[u8]| {
        let der = der_of(&raw(input));
        // The same with the sequence's length in the long form.
        [&[0x30, 0x81], &der[1..]].concat()
    };
    let hex = |input: &[u8]| {
        raw(input)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect::<String>()
            .into_bytes()
    };
    let cases: Vec<(String, Finding)> = vec![
        (
            token_with(&header(), &payload(), signed_for("")),
            Finding::UserId {
                works: String::new(),
            },
        ),
        (
            token_with(&header(), &payload(), signed_for("ALICE123@YAHOO.COM")),
            Finding::UserId {
                works: "ALICE123@YAHOO.COM".to_owned(),
            },
        ),
        (
            token_with(&header(), &payload(), |input| der_of(&raw(input))),
            Finding::Encoding {
                works: SignatureForm::Der,
            },
        ),
        (
            token_with(&header(), &payload(), lax),
            Finding::Encoding {
                works: SignatureForm::LaxDer,
            },
        ),
        (
            token_with(&header(), &payload(), hex),
            Finding::Encoding {
                works: SignatureForm::Hex,
            },
        ),
        (
            token_with(&header(), &payload(), sha256_with_z),
            Finding::Hash { works: "SHA-256" },
        ),
        (
            token_with(
                &header(),
                &payload(),
                over_digest(|input| Sm3::digest(input).into()),
            ),
            Finding::WithoutZ,
        ),
        (
            token_with(
                &with(header(), json!({ "alg": "SM2-SM3" })),
                &payload(),
                &raw,
            ),
            Finding::Algorithm {
                token: "SM2-SM3".to_owned(),
                profile: "SGD_SM3_SM2".to_owned(),
            },
        ),
        (
            token_with(&with(header(), json!({ "crv": null })), &payload(), &raw),
            Finding::Curve {
                token: None,
                profile: Some("sm2p256v1".to_owned()),
            },
        ),
        (
            token_with(&with(header(), json!({ "crv": "SM2" })), &payload(), &raw),
            Finding::Curve {
                token: Some("SM2".to_owned()),
                profile: Some("sm2p256v1".to_owned()),
            },
        ),
        (
            token_with(
                &header(),
                &with(payload(), json!({ "sm2_kid": null })),
                &raw,
            ),
            Finding::KidClaim,
        ),
    ];
    for (token, finding) in cases {
        let diagnosis = diagnose(&token);
        assert_eq!(diagnosis.findings, [finding]);
        assert!(diagnosis.holds_otherwise && !diagnosis.holds_as_registered);
        // It is a hint, never a verification.
        assert_ne!(code(&token), "ok");
    }
    // The other way round: the profile wants what the token has not.
    let der = Profile::default().with_encoding(SignatureEncoding::Der);
    let diagnosis = Doctor::new().diagnose(&access_token(), &verifying_key(), &der);
    assert_eq!(
        diagnosis.findings,
        [Finding::Encoding {
            works: SignatureForm::Raw
        }]
    );
    let empty = Profile::default().with_user_id(b"").unwrap();
    let diagnosis = Doctor::new().diagnose(&access_token(), &verifying_key(), &empty);
    assert_eq!(
        diagnosis.findings,
        [Finding::UserId {
            works: USER_ID.to_owned()
        }]
    );
}

#[test]
fn causes_together_are_found_together() {
    let header = with(header(), json!({ "alg": "SM2", "crv": null }));
    let token = token_with(&header, &payload(), |input| der_of(&signed_for("")(input)));
    let padded: Vec<String> = token.split('.').map(|part| format!("{part}==")).collect();
    let diagnosis = diagnose(&padded.join("."));
    assert!(diagnosis.holds_otherwise);
    let text = diagnosis.to_string();
    for part in ["padding", "alg:", "crv:", "encoding:", "user id:"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(diagnosis.findings.len(), 7);
    let json = serde_json::to_value(&diagnosis).unwrap();
    assert_eq!(json["findings"][3]["finding"], "algorithm");
    // An id of the operator's own.
    let token = token_with(&crate::support::header(), &payload(), signed_for("bank-a"));
    assert!(!diagnose(&token).holds_otherwise);
    let diagnosis =
        Doctor::new()
            .user_id("bank-a")
            .diagnose(&token, &verifying_key(), &Profile::default());
    assert_eq!(
        diagnosis.findings,
        [Finding::UserId {
            works: "bank-a".to_owned()
        }]
    );
}

#[test]
fn nothing_is_found_where_nothing_would_help() {
    let other = SigningKey::generate().unwrap();
    let diagnosis =
        Doctor::new().diagnose(&access_token(), other.verifying_key(), &Profile::default());
    assert!(
        !diagnosis.holds_as_registered
            && !diagnosis.holds_otherwise
            && diagnosis.findings.is_empty()
    );
    // One bit of the payload.
    let token = access_token();
    let changed = with(payload(), json!({ "sub": "user-2" }));
    let parts: Vec<&str> = token.split('.').collect();
    let changed = format!("{}.{}.{}", parts[0], b64(changed.to_string()), parts[2]);
    assert!(!diagnose(&changed).holds_otherwise);
    for (text, code) in [
        ("", "not_compact"),
        ("no token", "not_compact"),
        ("a.b", "bad_base64"),
        ("a.AAAA", "not_compact"),
        ("!.!.!", "bad_base64"),
        ("e30.e30.AA", "missing_header"),
    ] {
        let diagnosis = diagnose(text);
        assert!(!diagnosis.holds_as_registered && !diagnosis.holds_otherwise);
        match &diagnosis.findings[..] {
            [Finding::NotAToken { code: found, .. }] => assert_eq!(*found, code, "{text}"),
            findings => panic!("{text}: {findings:?}"),
        }
    }
    // Signatures of no form, r or s out of range.
    for signature in [
        vec![],
        vec![0; 64],
        vec![0xff; 64],
        vec![0x30],
        vec![0x30, 0x80, 0, 0],
        vec![b'0'; 128],
        vec![1; 200],
    ] {
        let token = token_with(&header(), &payload(), |_| signature.clone());
        assert!(!diagnose(&token).holds_otherwise, "{}", signature.len());
    }
    let huge = format!("{}.{}", access_token(), "A".repeat(1 << 20));
    assert!(!diagnose(&huge).holds_otherwise);
}
