//! One test for each class of attack or mistake that token libraries have fallen to, named after it;
//! those of the signature itself are in `hazards_signature.rs`, those of the claims in
//! `hazards_claims.rs`.
//! Unless a test is about the signature, the token is signed well: the rule itself must refuse.

use std::sync::Arc;

use crate::support::*;
use serde_json::json;
use sm_jwt::*;

/// The forger's plain token passes: what the tests below refuse, they refuse for their own reason.
#[test]
fn baseline_is_accepted() {
    assert_eq!(code(&forge(&header(), &payload())), "ok");
    assert_eq!(code(&access_token()), "ok");
}

#[test]
fn hazard_alg_none() {
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        assert_eq!(
            code(&forge_header(json!({ "alg": alg }))),
            "algorithm_mismatch"
        );
    }
    // Without a signature, too.
    let unsigned = forge_header(json!({ "alg": "none" }));
    let cut = unsigned.rsplit_once('.').unwrap().0;
    assert_eq!(code(&format!("{cut}.")), "algorithm_mismatch");
    assert_eq!(code(cut), "not_compact");
    assert_eq!(
        code(&forge_header(json!({ "alg": null }))),
        "missing_header"
    );
    assert!(Profile::default().with_alg("none").is_err());
    assert!(Profile::default().with_alg("NoNe").is_err());
}

#[test]
fn hazard_alg_confusion() {
    // Names that are in use for SM2 elsewhere count only for keys registered with them.
    for alg in [
        "HS256",
        "ES256",
        "SM2",
        "SM2-SM3",
        "SM3WithSM2",
        "sgd_sm3_sm2",
        "SGD_SM3_SM2 ",
    ] {
        assert_eq!(
            code(&forge_header(json!({ "alg": alg }))),
            "algorithm_mismatch"
        );
    }
    for foreign in ["HS256", "RS256", "ES256", "EdDSA", "hs256"] {
        assert!(Profile::default().with_alg(foreign).is_err());
    }
    // Only the protected header counts: the same members in the payload change nothing.
    let token = forge(
        &with(header(), json!({ "alg": "none" })),
        &with(payload(), json!({ "alg": "SGD_SM3_SM2" })),
    );
    assert_eq!(code(&token), "algorithm_mismatch");
    assert_eq!(
        code(&forge_header(json!({ "crv": "P-256" }))),
        "curve_mismatch"
    );
    assert_eq!(
        code(&forge_header(json!({ "crv": null }))),
        "curve_mismatch"
    );
    assert_eq!(code(&forge_header(json!({ "crv": 1 }))), "bad_header");
}

#[test]
fn hazard_key_in_header() {
    // An attacker's own key, offered in every way the header knows, signs nothing here.
    let d = [7u8; 32];
    let jwk = private_jwk(&d);
    let public = json!({ "kty": "EC", "crv": "SM2", "x": jwk["x"], "y": jwk["y"] });
    let header = with(
        header(),
        json!({
            "jwk": public, "jku": "https://evil.example/keys", "x5u": "https://evil.example/cert",
            "x5c": ["MIIB"],
        }),
    );
    // Signed by the registered key it passes: the members are ignored.
    assert_eq!(code(&forge(&header, &payload())), "ok");
    // Signed by the offered key it does not.
    let attacker = SigningKey::from_jwk(&jwk.to_string()).unwrap();
    let token = Signer::new(attacker, kid(KID), Profile::default())
        .unwrap()
        .with_clock(Arc::new(clock()))
        .sign(&claims(), TokenType::Access, &NoExtra)
        .unwrap();
    let (input, signature) = token.rsplit_once('.').unwrap();
    let header = b64(header.to_string());
    let swapped = format!("{header}.{}.{signature}", input.split_once('.').unwrap().1);
    assert_eq!(code(&token), "bad_signature");
    assert_eq!(code(&swapped), "bad_signature");
}

#[test]
fn hazard_kid_injection() {
    for name in [
        "../../etc/passwd",
        "key-1' OR '1'='1",
        "| cat /etc/passwd",
        "https://evil.example",
        "KEY-1",
        "key-1 ",
        "%6bey-1",
    ] {
        assert_eq!(code(&forge_header(json!({ "kid": name }))), "unknown_key");
    }
    for name in [
        json!(""),
        json!("key-1\u{0}"),
        json!("a\nb"),
        json!("k".repeat(257)),
        json!(1),
        json!(["key-1"]),
    ] {
        assert_eq!(code(&forge_header(json!({ "kid": name }))), "bad_header");
    }
    assert_eq!(
        code(&forge_header(json!({ "kid": null }))),
        "missing_header"
    );
    // What a message repeats of it cannot break a log line.
    let verifier = access_verifier();
    let token = forge_header(json!({ "kid": "a\u{202e}\"b" }));
    let message = check(&verifier, &token).unwrap_err().to_string();
    assert!(!message.contains('\u{202e}'), "{message}");
    let duplicate = Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
        .issuer(
            ISSUER,
            [
                (kid("a"), verifying_key(), Profile::default()),
                (
                    kid("a"),
                    SigningKey::generate().unwrap().verifying_key().clone(),
                    Profile::default(),
                ),
            ],
        )
        .audience(AUDIENCE)
        .build();
    assert_eq!(duplicate.unwrap_err().code(), "bad_configuration");
}

#[test]
fn hazard_crit() {
    for crit in [
        json!(["b64"]),
        json!(["unknown"]),
        json!([]),
        json!(["exp", "exp"]),
        json!(["alg"]),
        json!("kid"),
        json!({}),
        json!(null),
        json!(1),
    ] {
        // `with` drops nulls, so the header is written by hand.
        let mut header = header();
        header["crit"] = crit;
        assert_eq!(code(&forge(&header, &payload())), "critical_header");
    }
}

#[test]
fn hazard_b64_false() {
    for b64 in [json!(false), json!(true), json!("false")] {
        assert_eq!(
            code(&forge_header(json!({ "b64": b64 }))),
            "unencoded_payload"
        );
    }
    // With an unencoded payload the token does not even read.
    let head = crate::support::b64(with(header(), json!({ "b64": false })).to_string());
    let text = payload().to_string();
    let token = format!("{head}.{text}.{}", crate::support::b64([1u8; 64]));
    assert_ne!(code(&token), "ok");
}

#[test]
fn hazard_dots_and_sizes() {
    let token = access_token();
    let cut = token.rsplit_once('.').unwrap().0.to_owned();
    for text in [
        String::new(),
        ".".into(),
        cut,
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{token}"),
        "....".into(),
        ".".repeat(10_000),
        "a.b.c.d.e".into(),
    ] {
        assert_eq!(code(&text), "not_compact", "{}", text.len());
    }
    assert_eq!(code(".."), "bad_json");
    assert_eq!(code(&".".repeat(20_000)), "too_large");
    assert_eq!(code(&"a".repeat(16 * 1024 + 1)), "too_large");
    let wide = json!({ "custom": "x".repeat(13 * 1024) });
    assert_eq!(code(&forge_payload(wide)), "too_large");
    assert_eq!(
        code(&forge_header(json!({ "custom": "x".repeat(3 * 1024) }))),
        "too_large"
    );
    assert_eq!(
        code(&format!(
            "{}.{}",
            forge_payload(json!({})).rsplit_once('.').unwrap().0,
            b64([1; 73])
        )),
        "too_large"
    );

    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(code(&forge_payload(json!({ "custom": nested(15) }))), "ok");
    assert_eq!(
        code(&forge_payload(json!({ "custom": nested(16) }))),
        "too_deep"
    );
    assert_eq!(
        code(&forge_payload(json!({ "ext": { "a": nested(14) } }))),
        "ok"
    );
    assert_eq!(
        code(&forge_payload(json!({ "ext": { "a": nested(15) } }))),
        "too_deep"
    );
    assert_eq!(
        code(&forge_header(json!({ "custom": nested(16) }))),
        "too_deep"
    );
    let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
    assert_eq!(code(&forge_text(&header().to_string(), &deep)), "too_deep");
    let many: Vec<u32> = (0..257).collect();
    assert_eq!(
        code(&forge_payload(json!({ "custom": many }))),
        "too_many_members"
    );
    let roles: Vec<String> = (0..257).map(|i| format!("r{i}")).collect();
    assert_eq!(
        code(&forge_payload(json!({ "roles": roles }))),
        "too_many_members"
    );
    assert_eq!(
        code(&forge_payload(json!({ "aud": roles }))),
        "too_many_members"
    );
}

#[test]
fn hazard_limits_come_first() {
    // With limits this tight nothing of the token is looked at.
    let limits = Limits::default().with_token_bytes(10);
    let error = UnverifiedToken::parse("not a token at all", &limits).unwrap_err();
    assert_eq!(error.code(), "too_large");
}

#[test]
fn hazard_cross_use_of_types() {
    for (typ, expected) in [
        ("at+jwt", "ok"),
        ("AT+JWT", "ok"),
        ("application/at+jwt", "ok"),
        ("refresh+jwt", "type_mismatch"),
        ("txn+jwt", "type_mismatch"),
        ("dpop+jwt", "type_mismatch"),
        ("JWT", "type_mismatch"),
        ("", "type_mismatch"),
        ("at+jwt ", "type_mismatch"),
        ("application/", "type_mismatch"),
        ("application/application/at+jwt", "type_mismatch"),
    ] {
        assert_eq!(
            code(&forge_header(json!({ "typ": typ }))),
            expected,
            "{typ}"
        );
    }
    assert_eq!(
        code(&forge_header(json!({ "typ": null }))),
        "missing_header"
    );
    assert_eq!(code(&forge_header(json!({ "typ": 1 }))), "bad_header");
    // And the other way round: every type passes its own verifier only.
    let types = [
        TokenType::Access,
        TokenType::Refresh,
        TokenType::Transaction,
    ];
    for signed in types {
        let token = signer().sign(&claims(), signed, &NoExtra).unwrap();
        for wanted in types {
            let verifier = builder(wanted, ReplayPolicy::MultiUse).build().unwrap();
            let expected = if signed == wanted {
                "ok"
            } else {
                "type_mismatch"
            };
            assert_eq!(outcome(&verifier, &token), expected);
        }
    }
}

#[test]
fn hazard_one_key_one_use() {
    let with_keys = |keys: Vec<(KeyId, VerifyingKey, Profile)>,
                     more: Vec<(KeyId, VerifyingKey, Profile)>| {
        let mut builder = Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
            .issuer(ISSUER, keys)
            .audience(AUDIENCE);
        if !more.is_empty() {
            builder = builder.issuer("https://other.example", more);
        }
        builder.build().map(|_| ())
    };
    let key = || (kid("a"), verifying_key(), Profile::default());
    let same_key = (kid("b"), verifying_key(), Profile::default());
    let other_key = |name: &str| {
        let key = SigningKey::generate().unwrap();
        (kid(name), key.verifying_key().clone(), Profile::default())
    };
    assert!(with_keys(vec![key(), other_key("b")], vec![]).is_ok());
    assert!(with_keys(vec![key()], vec![other_key("a")]).is_ok());
    assert!(with_keys(vec![key(), same_key.clone()], vec![]).is_err());
    assert!(with_keys(vec![key()], vec![same_key]).is_err());
    assert!(with_keys(vec![], vec![]).is_err());
    // A key marked for encryption is not taken for signatures.
    let mut jwk = private_jwk(&D);
    jwk["use"] = json!("enc");
    assert_eq!(
        SigningKey::from_jwk(&jwk.to_string()).unwrap_err().code(),
        "bad_key"
    );
}

#[test]
fn hazard_issuer_mix_up() {
    // Two issuers with a key of the same name: each key speaks for its own issuer only.
    let other = SigningKey::generate().unwrap();
    let verifier = access_builder()
        .issuer(
            "https://other.example",
            [(kid(KID), other.verifying_key().clone(), Profile::default())],
        )
        .build()
        .unwrap();
    let other = Signer::new(other, kid(KID), Profile::default())
        .unwrap()
        .with_clock(Arc::new(clock()));
    let sign = |signer: &Signer, issuer: &str| {
        signer
            .sign(&claims().issuer(issuer), TokenType::Access, &NoExtra)
            .unwrap()
    };
    assert_eq!(outcome(&verifier, &sign(&signer(), ISSUER)), "ok");
    assert_eq!(
        outcome(&verifier, &sign(&other, "https://other.example")),
        "ok"
    );
    assert_eq!(outcome(&verifier, &sign(&other, ISSUER)), "bad_signature");
    assert_eq!(
        outcome(&verifier, &sign(&signer(), "https://other.example")),
        "bad_signature"
    );
    for stranger in [
        "https://third.example",
        "https://issuer.example/",
        "HTTPS://issuer.example",
    ] {
        assert_eq!(
            outcome(&verifier, &sign(&signer(), stranger)),
            "unknown_issuer"
        );
    }
}

#[test]
fn hazard_kid_claim_mismatch() {
    assert_eq!(
        code(&forge_payload(json!({ "sm2_kid": "key-2" }))),
        "kid_mismatch"
    );
    assert_eq!(
        code(&forge_payload(json!({ "sm2_kid": null }))),
        "missing_claim"
    );
}

#[test]
fn hazard_jwe_taken_for_jws() {
    // Five parts never read as a JWS, whatever their header says.
    let header = b64(with(header(), json!({ "enc": "SM4-GCM" })).to_string());
    assert_eq!(code(&format!("{header}.AA.AA.AA.AA")), "not_compact");
}

#[test]
fn hazard_unverified_token_shows_nothing() {
    let token = UnverifiedToken::parse(&access_token(), &Limits::default()).unwrap();
    assert_eq!(format!("{token:?}"), "UnverifiedToken { .. }");
    assert_eq!(token.unverified_kid(), KID);
    assert_eq!(token.unverified_issuer(), ISSUER);
    // Nor do keys show more than a fingerprint of their public half.
    let shown = format!("{:?} {:?}", signing_key(), signer()).to_lowercase();
    let fingerprint = format!("{:?}", verifying_key()).to_lowercase();
    assert!(
        fingerprint.len() < 32 && shown.contains(&fingerprint),
        "{shown}"
    );
    let d: String = D.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(
        !shown.contains(&d[..8]) && !shown.contains(&b64(D)[..8].to_lowercase()),
        "{shown}"
    );
    let verified = format!("{:?}", check(&access_verifier(), &access_token()).unwrap());
    assert!(!verified.contains("user-1"), "{verified}");
}

#[tokio::test]
async fn hazard_replay() {
    let store = Arc::new(MemoryReplayStore::new(100, Arc::new(clock())));
    let verifier = builder(TokenType::Transaction, ReplayPolicy::SingleUse)
        .replay_store(store.clone())
        .build()
        .unwrap();
    let token = signer()
        .sign(&claims(), TokenType::Transaction, &NoExtra)
        .unwrap();
    // Offline verification never vouches for a single-use token, alone or among others.
    assert_eq!(outcome(&verifier, &token), "replay_check_required");
    let parsed = UnverifiedToken::parse(&token, verifier.limits()).unwrap();
    let many = verifier.verify_many::<NoExtra>([parsed]);
    assert!(matches!(many[..], [Err(Error::ReplayCheckRequired)]));

    // A token that fails another check is not consumed: replay comes last.
    let mut tampered = token.clone();
    tampered.replace_range(
        token.len() - 8..token.len() - 7,
        if token.as_bytes()[token.len() - 8] == b'A' {
            "B"
        } else {
            "A"
        },
    );
    assert_eq!(
        verifier
            .accept::<NoExtra>(&tampered)
            .await
            .unwrap_err()
            .code(),
        "bad_signature"
    );
    let elsewhere = signer()
        .sign(
            &claims().audience("x").token_id("same"),
            TokenType::Transaction,
            &NoExtra,
        )
        .unwrap();
    assert!(store.is_empty());
    assert!(verifier.accept::<NoExtra>(&token).await.is_ok());
    assert_eq!(
        verifier.accept::<NoExtra>(&token).await.unwrap_err().code(),
        "replayed"
    );
    // The same jti again is a replay even in another token.
    assert!(verifier.accept::<NoExtra>(&elsewhere).await.is_ok());
    let again = signer()
        .sign(
            &claims().subject("other").token_id("same"),
            TokenType::Transaction,
            &NoExtra,
        )
        .unwrap();
    assert_eq!(
        verifier.accept::<NoExtra>(&again).await.unwrap_err().code(),
        "replayed"
    );
    // A multi-use token may be shown again and again.
    let access = access_verifier();
    let token = access_token();
    for _ in 0..3 {
        assert!(access.accept::<NoExtra>(&token).await.is_ok());
    }
}
