//! `ext.factor`: a second secret bound into a token, and whose it may not be.

use crate::support::*;
use serde_json::{Value, json};
use sm_jwt::*;

const KEY: [u8; 32] = [0x5A; 32];
const FACTOR_KID: &str = "factor-1";
/// What the subject's device holds.
const VALUE: &[u8] = b"a secret of the device, 256 bits";

/// The digest by RustCrypto, every part behind its length of 8 bytes.
fn digest(key: &[u8], parts: [&[u8]; 5]) -> String {
    use hmac::{KeyInit as _, Mac as _};
    let mut mac = hmac::Hmac::<sm3::Sm3>::new_from_slice(key).unwrap();
    for part in std::iter::once(&b"smjwt/factor/1"[..]).chain(parts) {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    b64(mac.finalize().into_bytes())
}

/// The digest for the forger's payload.
fn digest_for(method: &str, value: &[u8]) -> String {
    digest(
        &KEY,
        [
            ISSUER.as_bytes(),
            b"user-1",
            b"id-1",
            method.as_bytes(),
            value,
        ],
    )
}

/// A token with this second factor.
fn token(factor: Value) -> String {
    forge_payload(json!({ "ext": { "factor": factor } }))
}

fn good() -> Value {
    json!({ "m": "hwk", "kid": FACTOR_KID, "h": digest_for("hwk", VALUE) })
}

fn factor_key() -> FactorKey {
    FactorKey::new(kid(FACTOR_KID), &KEY).unwrap()
}

fn verifier() -> Verifier {
    access_builder().factor_key(factor_key()).build().unwrap()
}

fn shown(token: &str, value: &[u8]) -> &'static str {
    outcome_with(&verifier(), token, &Presented::new().factor(value))
}

#[tokio::test]
async fn the_right_value_passes_and_no_other() {
    let token = token(good());
    assert_eq!(shown(&token, VALUE), "ok");
    let presented = Presented::new().factor(VALUE);
    assert_eq!(accepted_with(&verifier(), &token, &presented).await, "ok");
    for wrong in [
        &b""[..],
        &VALUE[..31],
        &[VALUE, b"0"].concat(),
        b"another secret of sixteen bytes+",
        &[0; 32],
        &VALUE.repeat(200),
    ] {
        assert_eq!(shown(&token, wrong), "proof_mismatch");
    }
    // Without the value, alone or among others.
    let missing = "proof_missing";
    assert_eq!(outcome(&verifier(), &token), missing);
    assert_eq!(accepted(&verifier(), &token).await, missing);
    let verifier = verifier();
    let parsed = UnverifiedToken::parse(&token, verifier.limits()).unwrap();
    assert_eq!(
        code_of(&verifier.verify_many::<NoExtra>([parsed])[0]),
        missing
    );
    // Another kind of proof is none.
    let certificate = Presented::new().certificate(VALUE);
    assert_eq!(outcome_with(&verifier, &token, &certificate), missing);
    // A verifier without the key, or with another of that name, knows nothing.
    let presented = Presented::new().factor(VALUE);
    assert_eq!(
        outcome_with(&access_verifier(), &token, &presented),
        "proof_mismatch"
    );
    let other = access_builder()
        .factor_key(FactorKey::new(kid(FACTOR_KID), &[1; 32]).unwrap())
        .build()
        .unwrap();
    assert_eq!(outcome_with(&other, &token, &presented), "proof_mismatch");
    // A token that has no factor needs none.
    assert_eq!(shown(&access_token(), VALUE), "ok");
    assert_eq!(outcome(&verifier, &access_token()), "ok");
}

/// A digest serves for one token: it is bound to issuer, subject, `jti` and method, and no two splits of one text
/// are the same.
#[test]
fn a_digest_does_not_move_to_another_token() {
    let with_factor = |changes: Value, factor: Value| {
        forge_payload(with(changes, json!({ "ext": { "factor": factor } })))
    };
    for changes in [json!({ "sub": "user-2" }), json!({ "jti": "id-2" })] {
        assert_eq!(
            shown(&with_factor(changes, good()), VALUE),
            "proof_mismatch"
        );
    }
    for factor in [
        with(good(), json!({ "m": "swk" })),
        with(good(), json!({ "m": "HWK" })),
        with(good(), json!({ "kid": "factor-2" })),
        with(good(), json!({ "h": digest_for("swk", VALUE) })),
    ] {
        assert_eq!(shown(&token(factor), VALUE), "proof_mismatch");
    }
    // sub ‖ jti is the same text.
    let split = |sub: &str, jti: &str| {
        digest(
            &KEY,
            [
                ISSUER.as_bytes(),
                sub.as_bytes(),
                jti.as_bytes(),
                b"hwk",
                VALUE,
            ],
        )
    };
    for (sub, jti, expected) in [("ab", "c", "ok"), ("a", "bc", "proof_mismatch")] {
        let factor = with(good(), json!({ "h": split("ab", "c") }));
        let token = with_factor(json!({ "sub": sub, "jti": jti }), factor);
        assert_eq!(shown(&token, VALUE), expected);
    }
    // jti ‖ m, and m ‖ value.
    let moved = digest(&KEY, [ISSUER.as_bytes(), b"user-1", b"id-", b"1hwk", VALUE]);
    assert_eq!(
        shown(&token(with(good(), json!({ "h": moved }))), VALUE),
        "proof_mismatch"
    );
    let longer = [b"k", VALUE].concat();
    let moved = with(good(), json!({ "m": "hw", "h": digest_for("hwk", VALUE) }));
    assert_eq!(shown(&token(moved), &longer), "proof_mismatch");
    // Another issuer with the same factor key.
    let other = access_builder()
        .issuer(
            "https://other.example",
            [(
                kid(KID),
                key_of(&[9; 32]).verifying_key().clone(),
                Profile::default(),
            )],
        )
        .factor_key(factor_key())
        .build()
        .unwrap();
    let payload = with(
        payload(),
        json!({ "iss": "https://other.example", "ext": { "factor": good() } }),
    );
    let token = forge_text_by(&[9; 32], &header().to_string(), &payload.to_string());
    assert_eq!(
        outcome_with(&other, &token, &Presented::new().factor(VALUE)),
        "proof_mismatch"
    );
}

/// A digest over what can be guessed would give it away to whoever has the factor key and the token: neither issued
/// nor taken, whatever its spelling.
#[test]
fn hazard_low_entropy_factor() {
    let key = factor_key();
    for method in [
        "otp",
        "pin",
        "pwd",
        "sms",
        "fpt",
        "face",
        "iris",
        "retina",
        "voice",
        "vbm",
        "kba",
        "mca",
        "mfa",
        "tel",
        "geo",
        "user",
        "wia",
        "PIN",
        "Otp",
        "pWd",
        "totp",
        "HOTP",
        "password",
        "passcode",
        "pin6",
        "fingerprint",
        "sms-otp",
        "email",
        "telephone",
    ] {
        let made = Factor::new(method, &key, VALUE);
        assert_eq!(code_of(&made), "bad_configuration", "{method}");
        // An issuer that did it all the same, with the right value.
        let factor = json!({ "m": method, "kid": FACTOR_KID, "h": digest_for(method, VALUE) });
        assert_eq!(shown(&token(factor), VALUE), "bad_claim", "{method}");
    }
    for method in ["", "a b", "h\u{fc}k", "hwk\n", &"x".repeat(33)] {
        assert_eq!(
            code_of(&Factor::new(method, &key, VALUE)),
            "bad_configuration"
        );
        let factor = json!({ "m": method, "kid": FACTOR_KID, "h": digest_for(method, VALUE) });
        assert_eq!(shown(&token(factor), VALUE), "bad_claim", "{method}");
    }
    for method in ["hwk", "swk", "pop", "sc", "x", &"x".repeat(32)] {
        assert!(Factor::new(method, &key, VALUE).is_ok());
        let factor = json!({ "m": method, "kid": FACTOR_KID, "h": digest_for(method, VALUE) });
        assert_eq!(shown(&token(factor), VALUE), "ok", "{method}");
    }
    // Nor is a value of less than 128 bits, however it is called.
    for (length, good) in [
        (0, false),
        (15, false),
        (16, true),
        (4096, true),
        (4097, false),
    ] {
        let value = vec![7; length];
        let made = Factor::new("hwk", &key, &value);
        assert_eq!(made.is_ok(), good, "{length}");
        let factor = json!({ "m": "hwk", "kid": FACTOR_KID, "h": digest_for("hwk", &value) });
        let expected = if good { "ok" } else { "proof_mismatch" };
        assert_eq!(shown(&token(factor), &value), expected, "{length}");
    }
    for (length, good) in [(0, false), (15, false), (16, true), (64, true), (200, true)] {
        let made = FactorKey::new(kid("k"), &vec![7; length]);
        let expected = if good { "ok" } else { "bad_configuration" };
        assert_eq!(code_of(&made), expected, "{length}");
    }
}

#[test]
fn a_factor_that_does_not_read_is_refused() {
    let h = digest_for("hwk", VALUE);
    // With a value and without: a wrong member is never taken for none.
    for factor in [
        json!(null),
        json!(1),
        json!("x"),
        json!([]),
        json!(["hwk", FACTOR_KID, h]),
        json!({}),
        with(good(), json!({ "m": null })),
        with(good(), json!({ "kid": null })),
        with(good(), json!({ "h": null })),
        with(good(), json!({ "m": 1 })),
        with(good(), json!({ "m": ["hwk"] })),
        with(good(), json!({ "kid": 1 })),
        with(good(), json!({ "h": 1 })),
        with(good(), json!({ "h": "" })),
        with(good(), json!({ "h": h[..42] })),
        with(good(), json!({ "h": format!("{h}=") })),
        with(good(), json!({ "h": format!("{h}A") })),
        with(good(), json!({ "h": b64([0; 31]) })),
        with(good(), json!({ "h": b64([0; 33]) })),
        with(good(), json!({ "extra": 1 })),
        with(good(), json!({ "M": "hwk" })),
    ] {
        // By hand: a `null` stays.
        let mut payload = payload();
        payload["ext"] = json!({ "factor": factor });
        let token = forge(&header(), &payload);
        assert_eq!(shown(&token, VALUE), "bad_claim", "{factor}");
        assert_eq!(outcome(&verifier(), &token), "bad_claim", "{factor}");
        assert_eq!(code(&token), "bad_claim", "{factor}");
    }
    let text = payload().to_string();
    let factor = good().to_string();
    for members in [
        format!(r#""ext":{{"factor":{factor},"factor":{factor}}}"#),
        format!(
            r#""ext":{{"factor":{}}}"#,
            factor.replacen('{', r#"{"m":"swk","#, 1)
        ),
    ] {
        let text = text.replacen('{', &format!("{{{members},"), 1);
        let token = forge_text(&header().to_string(), &text);
        assert_eq!(shown(&token, VALUE), "duplicate_member");
    }
}

#[test]
fn two_keys_and_a_gateway() {
    // During a change of keys both serve; two of one name are a mistake.
    let verifier = access_builder()
        .factor_key(factor_key())
        .factor_key(FactorKey::new(kid("factor-2"), &[1; 16]).unwrap())
        .build()
        .unwrap();
    let parts = [
        ISSUER.as_bytes(),
        &b"user-1"[..],
        b"id-1",
        &b"hwk"[..],
        VALUE,
    ];
    let next = json!({ "m": "hwk", "kid": "factor-2", "h": digest(&[1; 16], parts) });
    let presented = Presented::new().factor(VALUE);
    for factor in [good(), next] {
        assert_eq!(outcome_with(&verifier, &token(factor), &presented), "ok");
    }
    let twice = access_builder()
        .factor_key(factor_key())
        .factor_key(factor_key())
        .build();
    assert_eq!(code_of(&twice), "bad_configuration");
    // Behind a gateway that has checked it, and only as far as the factor goes.
    let behind = access_builder().factor_checked_elsewhere().build().unwrap();
    assert_eq!(outcome(&behind, &token(good())), "ok");
    assert_eq!(outcome(&behind, &token(json!({ "m": "pin" }))), "ok");
    let bound = forge_payload(json!({
        "ext": { "factor": good() }, "cnf": { "x5t#S256": sha256_b64("certificate") },
    }));
    assert_eq!(outcome(&behind, &bound), "proof_missing");
}

#[tokio::test]
async fn what_the_signer_binds_is_the_known_answer() {
    let key = factor_key();
    let factor = Factor::new("hwk", &key, VALUE).unwrap();
    let claims = claims().token_id("id-9").ext("branch", "0755");
    let signed = signer()
        .sign_with_factor(&claims, TokenType::Access, &NoExtra, &factor)
        .unwrap();
    let waited = signer()
        .sign_async(&claims, TokenType::Access, &NoExtra, Some(&factor))
        .await
        .unwrap();
    let h = digest(&KEY, [ISSUER.as_bytes(), b"user-1", b"id-9", b"hwk", VALUE]);
    for token in [signed, waited] {
        let payload: Value =
            serde_json::from_slice(&unb64(token.split('.').nth(1).unwrap())).unwrap();
        assert_eq!(
            payload["ext"],
            json!({ "branch": "0755", "factor": { "m": "hwk", "kid": FACTOR_KID, "h": h } })
        );
        assert_eq!(shown(&token, VALUE), "ok");
        assert_eq!(shown(&token, &[1; 32]), "proof_mismatch");
    }
    // With a `jti` drawn at random, too.
    let claims = crate::support::claims();
    let token = signer()
        .sign_with_factor(&claims, TokenType::Access, &NoExtra, &factor)
        .unwrap();
    assert_eq!(shown(&token, VALUE), "ok");
    // Nobody writes the member by hand.
    for value in [json!(null), json!({}), good()] {
        let claims = crate::support::claims().ext("factor", value);
        let signed = signer().sign(&claims, TokenType::Access, &NoExtra);
        assert_eq!(code_of(&signed), "extra_claim_collides");
        let signed = signer().sign_with_factor(&claims, TokenType::Access, &NoExtra, &factor);
        assert_eq!(code_of(&signed), "extra_claim_collides");
    }
    // Nothing of key or value is shown.
    assert_eq!(key.kid().as_str(), FACTOR_KID);
    assert_eq!(format!("{key:?}"), r#"FactorKey("factor-1")"#);
    assert_eq!(format!("{factor:?}"), r#"Factor { method: "hwk", .. }"#);
}
