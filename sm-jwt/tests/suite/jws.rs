//! Signed payloads: every form both ways, and what is refused.

use std::sync::Arc;

use crate::support::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use sm_jwt::*;

const TYP: &str = "statement+jws";

fn jws_signer(name: &str) -> JwsSigner {
    JwsSigner::new(
        SigningKey::generate().unwrap(),
        kid(name),
        Profile::default(),
    )
    .unwrap()
    .with_type(TYP)
    .unwrap()
}

fn keys(signers: &[&JwsSigner]) -> Arc<SharedKeySet> {
    let keys = signers.iter().map(|signer| signer.key().clone());
    Arc::new(SharedKeySet::new(KeySet::from_trusted(keys).unwrap()))
}

fn jws_verifier(signers: &[&JwsSigner]) -> JwsVerifier {
    JwsVerifier::builder(keys(signers))
        .typ(TYP)
        .build()
        .unwrap()
}

/// A verifier that knows the forger's key.
fn forgers_verifier() -> JwsVerifier {
    let key = (kid(KID), verifying_key(), Profile::default());
    let keys = SharedKeySet::new(KeySet::new([key]).unwrap());
    JwsVerifier::builder(Arc::new(keys))
        .typ(TYP)
        .build()
        .unwrap()
}

fn jws_header() -> Value {
    json!({ "alg": "SGD_SM3_SM2", "typ": TYP, "kid": KID, "crv": "sm2p256v1" })
}

/// `protected` and `signature` over whatever is put behind the dot.
fn forge_parts(header: &str, signed: &[u8]) -> (String, String) {
    let protected = b64(header);
    let input = [protected.as_bytes(), b".", signed].concat();
    let signature = b64(raw_signature(&input));
    (protected, signature)
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
    result.unwrap_err().code()
}

#[test]
fn every_form_comes_back() {
    let signer = jws_signer("a");
    let verifier = jws_verifier(&[&signer]);
    for payload in [&b""[..], b"{}", b"text", b"a.b.c", &[0, 0xff, b'.', b'\n']] {
        let compact = signer.sign(payload, JwsForm::Compact).unwrap();
        let verified = verifier.verify_compact(&compact).unwrap();
        assert_eq!(verified.payload(), payload);
        let signed: Vec<_> = verified.signatures().collect();
        assert_eq!(signed.len(), 1);
        assert_eq!(signed[0].0.kid().as_str(), "a");
        assert_eq!(signed[0].1.typ(), Some(TYP));
        assert_eq!(verified.into_payload(), payload);

        for form in [JwsForm::Detached, JwsForm::DetachedUnencoded] {
            let detached = signer.sign(payload, form).unwrap();
            assert!(detached.contains(".."));
            let verified = verifier.verify_detached(&detached, payload).unwrap();
            assert!(verified.payload().is_empty());
            let mut other = payload.to_vec();
            other.push(b' ');
            assert_eq!(
                refused(verifier.verify_detached(&detached, &other)),
                "bad_signature"
            );
            // Without a payload, detached or attached is one and the same.
            if form == JwsForm::DetachedUnencoded {
                assert_eq!(
                    refused(verifier.verify_compact(&detached)),
                    "unencoded_payload"
                );
            } else if !payload.is_empty() {
                assert_eq!(refused(verifier.verify_compact(&detached)), "bad_signature");
            }
        }
        if !payload.is_empty() {
            assert_eq!(
                refused(verifier.verify_detached(&compact, payload)),
                "not_compact"
            );
        }
    }
}

#[test]
fn json_forms_come_back_for_one_signer_and_for_several() {
    let (a, b) = (jws_signer("a"), jws_signer("b"));
    let verifier = jws_verifier(&[&a, &b]);
    for signers in [&[&a][..], &[&a, &b]] {
        for place in [
            JsonPayload::Encoded,
            JsonPayload::Unencoded,
            JsonPayload::Detached,
        ] {
            for payload in ["", "{\"a\": [1]}", "账户 4711 \"\\ \u{1f600}."] {
                let text = JwsSigner::sign_json(signers, payload.as_bytes(), place).unwrap();
                let json: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(json.get("signatures").is_some(), signers.len() > 1);
                assert_eq!(
                    json.get("payload").is_none(),
                    place == JsonPayload::Detached
                );
                let verified = match place {
                    JsonPayload::Detached => {
                        assert_eq!(refused(verifier.verify_json(&text)), "bad_jws_form");
                        let verified = verifier.verify_json_detached(&text, payload.as_bytes());
                        assert!(verifier.verify_json_detached(&text, b"other").is_err());
                        verified.unwrap()
                    }
                    _ => {
                        let detached = verifier.verify_json_detached(&text, payload.as_bytes());
                        assert_eq!(refused(detached), "bad_jws_form");
                        let verified = verifier.verify_json(&text).unwrap();
                        assert_eq!(verified.payload(), payload.as_bytes());
                        verified
                    }
                };
                assert_eq!(verified.signatures().count(), signers.len());
            }
        }
    }
    let binary = JwsSigner::sign_json(&[&a], &[0xff], JsonPayload::Unencoded);
    assert_eq!(refused(binary), "bad_configuration");
    assert_eq!(
        refused(JwsSigner::sign_json(&[], b"x", JsonPayload::Encoded)),
        "bad_configuration"
    );
}

/// What the crate signs, RustCrypto verifies over the bytes that the standards say.
#[test]
fn signed_bytes_are_those_of_the_standards() {
    use sm2::dsa::signature::Verifier as _;
    let signer = JwsSigner::new(signing_key(), kid(KID), Profile::default()).unwrap();
    let peer = sm2::dsa::SigningKey::from_slice(USER_ID, &D).unwrap();
    let holds = |input: &[u8], signature: &str| {
        let signature = sm2::dsa::Signature::from_slice(&unb64(signature)).unwrap();
        peer.verifying_key().verify(input, &signature).is_ok()
    };
    let payload = b"$.02";
    let detached = signer.sign(payload, JwsForm::DetachedUnencoded).unwrap();
    let parts: Vec<&str> = detached.split('.').collect();
    let header: Value = serde_json::from_slice(&unb64(parts[0])).unwrap();
    assert_eq!(header["b64"], json!(false));
    assert_eq!(header["crit"], json!(["b64"]));
    assert!(holds(format!("{}.$.02", parts[0]).as_bytes(), parts[2]));

    let compact = signer.sign(payload, JwsForm::Compact).unwrap();
    let (input, signature) = compact.rsplit_once('.').unwrap();
    assert!(holds(input.as_bytes(), signature));
    assert!(input.ends_with(&b64(payload)));
    let header: Value = serde_json::from_slice(&unb64(input.split('.').next().unwrap())).unwrap();
    assert!(header.get("b64").is_none() && header.get("crit").is_none());
}

#[test]
fn hazard_crit_and_b64_in_signed_payloads() {
    let verifier = forgers_verifier();
    let payload = b"text";
    let check = |changes: Value, unencoded: bool| {
        // `with` drops nulls: those are written by hand.
        let mut header = jws_header();
        for (name, value) in changes.as_object().unwrap() {
            header[name] = value.clone();
        }
        let signed = if unencoded {
            payload.to_vec()
        } else {
            b64(payload).into_bytes()
        };
        let (protected, signature) = forge_parts(&header.to_string(), &signed);
        match verifier.verify_detached(&format!("{protected}..{signature}"), payload) {
            Ok(_) => "ok",
            Err(error) => error.code(),
        }
    };
    for (changes, unencoded, expected) in [
        (json!({}), false, "ok"),
        (json!({ "b64": false, "crit": ["b64"] }), true, "ok"),
        (json!({ "b64": true, "crit": ["b64"] }), false, "ok"),
        // RFC 7797 section 6: named in `crit`, always.
        (json!({ "b64": false }), true, "unencoded_payload"),
        (json!({ "b64": true }), false, "unencoded_payload"),
        (json!({ "crit": ["b64"] }), false, "critical_header"),
        (json!({ "crit": [] }), false, "critical_header"),
        (json!({ "b64": false, "crit": [] }), true, "critical_header"),
        (
            json!({ "b64": false, "crit": ["b64", "b64"] }),
            true,
            "critical_header",
        ),
        (
            json!({ "b64": false, "crit": ["b64", "exp"] }),
            true,
            "critical_header",
        ),
        (
            json!({ "b64": false, "crit": ["exp"], "exp": 1 }),
            true,
            "critical_header",
        ),
        (json!({ "crit": ["alg"] }), false, "critical_header"),
        (json!({ "crit": ["kid"] }), false, "critical_header"),
        (
            json!({ "crit": "b64", "b64": false }),
            true,
            "critical_header",
        ),
        (json!({ "crit": null }), false, "critical_header"),
        (json!({ "crit": [1] }), false, "critical_header"),
        (
            json!({ "b64": "false", "crit": ["b64"] }),
            true,
            "bad_header",
        ),
        (json!({ "b64": 0, "crit": ["b64"] }), true, "bad_header"),
        (json!({ "b64": null, "crit": ["b64"] }), true, "bad_header"),
        // The flag decides what is signed.
        (
            json!({ "b64": false, "crit": ["b64"] }),
            false,
            "bad_signature",
        ),
        (
            json!({ "b64": true, "crit": ["b64"] }),
            true,
            "bad_signature",
        ),
    ] {
        assert_eq!(check(changes.clone(), unencoded), expected, "{changes}");
    }
}

#[test]
fn hazard_payloads_and_tokens_are_never_taken_for_one_another() {
    // A token, well signed by a key that payloads are trusted with.
    let token = access_token();
    assert_eq!(
        refused(forgers_verifier().verify_compact(&token)),
        "payload_type_mismatch"
    );
    for typ in [
        "at+jwt",
        "AT+JWT",
        "application/txn+jwt",
        "JWT",
        "dpop+jwt",
        "x+jwt",
        "application/jwt",
        "application/JWT; charset=utf-8",
        " jwt ",
        "at+jwt;x=1",
        "",
    ] {
        let builder = JwsVerifier::builder(keys(&[])).typ(typ);
        assert_eq!(refused(builder.build()), "bad_configuration", "{typ}");
        let signer = JwsSigner::new(signing_key(), kid(KID), Profile::default()).unwrap();
        assert_eq!(refused(signer.with_type(typ)), "bad_configuration", "{typ}");
    }
    assert_eq!(
        refused(JwsVerifier::builder(keys(&[])).build()),
        "bad_configuration"
    );
    // A payload that looks like claims, for the token's verifier.
    let signer = JwsSigner::new(signing_key(), kid(KID), Profile::default())
        .unwrap()
        .with_type(TYP)
        .unwrap();
    let jws = signer
        .sign(payload().to_string().as_bytes(), JwsForm::Compact)
        .unwrap();
    assert_eq!(code(&jws), "type_mismatch");
    let untyped = JwsSigner::new(signing_key(), kid(KID), Profile::default()).unwrap();
    let jws = untyped
        .sign(payload().to_string().as_bytes(), JwsForm::Compact)
        .unwrap();
    assert_eq!(code(&jws), "missing_header");

    let check = |typ: Value| {
        let header = with(jws_header(), json!({ "typ": typ }));
        let (protected, signature) = forge_parts(&header.to_string(), b"eA");
        match forgers_verifier().verify_compact(&format!("{protected}.eA.{signature}")) {
            Ok(_) => "ok",
            Err(error) => error.code(),
        }
    };
    assert_eq!(check(json!("STATEMENT+jws")), "ok");
    assert_eq!(check(json!("application/statement+jws")), "ok");
    assert_eq!(
        check(json!("application/a/statement+jws")),
        "payload_type_mismatch"
    );
    assert_eq!(check(json!("other+jws")), "payload_type_mismatch");
    assert_eq!(check(json!(null)), "payload_type_mismatch");
    assert_eq!(check(json!(1)), "bad_header");
    // Without a type: only what has none.
    let key = (kid(KID), verifying_key(), Profile::default());
    let keys = Arc::new(SharedKeySet::new(KeySet::new([key]).unwrap()));
    let verifier = JwsVerifier::builder(keys).without_typ().build().unwrap();
    let jws = untyped.sign(b"x", JwsForm::Compact).unwrap();
    assert!(verifier.verify_compact(&jws).is_ok());
    let jws = signer.sign(b"x", JwsForm::Compact).unwrap();
    assert_eq!(
        refused(verifier.verify_compact(&jws)),
        "payload_type_mismatch"
    );
}

#[test]
fn headers_must_agree_with_the_profile() {
    let check = |changes: Value| {
        let header = with(jws_header(), changes);
        let (protected, signature) = forge_parts(&header.to_string(), b"eA");
        match forgers_verifier().verify_compact(&format!("{protected}.eA.{signature}")) {
            Ok(_) => "ok",
            Err(error) => error.code(),
        }
    };
    for (changes, expected) in [
        (json!({}), "ok"),
        (json!({ "cty": "text/plain", "x": [1] }), "ok"),
        (
            json!({ "jwk": { "kty": "EC" }, "jku": "https://evil.example" }),
            "ok",
        ),
        (json!({ "alg": "none" }), "algorithm_mismatch"),
        (json!({ "alg": "SM2" }), "algorithm_mismatch"),
        (json!({ "alg": null }), "missing_header"),
        (json!({ "alg": 1 }), "bad_header"),
        (json!({ "crv": null }), "curve_mismatch"),
        (json!({ "crv": "P-256" }), "curve_mismatch"),
        (json!({ "kid": null }), "missing_header"),
        (json!({ "kid": "" }), "bad_header"),
        (json!({ "kid": "a\u{0}" }), "bad_header"),
        (json!({ "kid": "other" }), "unknown_key"),
        (json!({ "cty": 1 }), "bad_header"),
    ] {
        assert_eq!(check(changes.clone()), expected, "{changes}");
    }
}

#[test]
fn rules_say_how_many_must_hold() {
    let (a, b, c) = (jws_signer("a"), jws_signer("b"), jws_signer("c"));
    let stranger = jws_signer("stranger");
    let text = JwsSigner::sign_json(&[&a, &b, &stranger], b"x", JsonPayload::Encoded).unwrap();
    let check = |rule: SignatureRule, text: &str| {
        let verifier = JwsVerifier::builder(keys(&[&a, &b, &c]))
            .typ(TYP)
            .rule(rule);
        verifier.build().unwrap().verify_json(text)
    };
    let count = |rule, text: &str| check(rule, text).map(|verified| verified.signatures().count());
    // A signature of nobody counts for nothing, but where all must hold.
    assert_eq!(refused(check(SignatureRule::All, &text)), "unknown_key");
    assert_eq!(count(SignatureRule::AtLeast(1), &text).unwrap(), 2);
    assert_eq!(count(SignatureRule::AtLeast(2), &text).unwrap(), 2);
    assert_eq!(
        refused(check(SignatureRule::AtLeast(3), &text)),
        "not_enough_signatures"
    );
    let each = |names: &[&str]| SignatureRule::Each(names.iter().map(|name| kid(name)).collect());
    assert_eq!(count(each(&["a", "b"]), &text).unwrap(), 2);
    assert_eq!(
        refused(check(each(&["a", "c"]), &text)),
        "not_enough_signatures"
    );
    for rule in [SignatureRule::AtLeast(0), SignatureRule::Each(Vec::new())] {
        let builder = JwsVerifier::builder(keys(&[&a])).typ(TYP).rule(rule);
        assert_eq!(refused(builder.build()), "bad_configuration");
    }

    let json: Value = serde_json::from_str(&text).unwrap();
    let signatures = json["signatures"].as_array().unwrap().clone();
    let of =
        |list: Vec<&Value>| json!({ "payload": json["payload"], "signatures": list }).to_string();
    // One key twice is one signer.
    let twice = of(vec![&signatures[0], &signatures[0]]);
    assert_eq!(refused(check(SignatureRule::All, &twice)), "bad_jws_form");
    assert_eq!(count(SignatureRule::AtLeast(1), &twice).unwrap(), 1);
    assert_eq!(
        refused(check(SignatureRule::AtLeast(2), &twice)),
        "not_enough_signatures"
    );
    // What does not even read spoils nothing where not all must hold: in front, behind, of whatever kind.
    let unencoded = JwsSigner::sign_json(&[&stranger], b"x", JsonPayload::Unencoded).unwrap();
    let unencoded: Value = serde_json::from_str(&unencoded).unwrap();
    let other_kind =
        json!({ "protected": unencoded["protected"], "signature": unencoded["signature"] });
    for junk in [
        json!({}),
        json!({ "protected": "!", "signature": "AA" }),
        json!({ "protected": b64("{}"), "signature": "AA" }),
        json!({ "protected": signatures[0]["protected"], "signature": "AA" }),
        json!({ "protected": signatures[0]["protected"] }),
        json!({ "protected": signatures[0]["protected"], "signature": signatures[1]["signature"] }),
        other_kind,
    ] {
        for list in [
            vec![&junk, &signatures[0], &signatures[1]],
            vec![&signatures[0], &signatures[1], &junk],
        ] {
            let text = of(list);
            assert_eq!(
                count(SignatureRule::AtLeast(2), &text).unwrap(),
                2,
                "{junk}"
            );
            assert!(check(SignatureRule::All, &text).is_err(), "{junk}");
        }
    }
    // Both kinds by trusted keys: neither kind alone suffices.
    let unencoded = JwsSigner::sign_json(&[&c], b"eA", JsonPayload::Unencoded).unwrap();
    let unencoded: Value = serde_json::from_str(&unencoded).unwrap();
    let encoded = JwsSigner::sign_json(&[&a], b"x", JsonPayload::Encoded).unwrap();
    let encoded: Value = serde_json::from_str(&encoded).unwrap();
    assert_eq!(encoded["payload"], "eA");
    let strip =
        |value: &Value| json!({ "protected": value["protected"], "signature": value["signature"] });
    let mixed =
        json!({ "payload": "eA", "signatures": [strip(&encoded), strip(&unencoded)] }).to_string();
    assert_eq!(refused(check(SignatureRule::All, &mixed)), "bad_jws_form");
    assert_eq!(
        refused(check(SignatureRule::AtLeast(2), &mixed)),
        "not_enough_signatures"
    );
    assert_eq!(
        check(SignatureRule::AtLeast(1), &mixed).unwrap().payload(),
        b"x"
    );
    assert_eq!(check(each(&["c"]), &mixed).unwrap().payload(), b"eA");
}

#[test]
fn json_that_is_no_jws_is_refused() {
    let verifier = forgers_verifier();
    let (protected, signature) = forge_parts(&jws_header().to_string(), b"eA");
    let good = json!({ "payload": "eA", "protected": protected, "signature": signature });
    assert!(verifier.verify_json(&good.to_string()).is_ok());
    let one = json!({ "protected": protected, "signature": signature });
    for (text, expected) in [
        (String::new(), "bad_json"),
        ("[]".into(), "bad_json"),
        ("{}".into(), "bad_jws_form"),
        (format!("{good}{{}}"), "bad_json"),
        (
            with(good.clone(), json!({ "payload": null })).to_string(),
            "bad_jws_form",
        ),
        (
            with(good.clone(), json!({ "payload": 1 })).to_string(),
            "bad_jws_form",
        ),
        (
            with(good.clone(), json!({ "payload": "eB" })).to_string(),
            "bad_base64",
        ),
        (
            with(good.clone(), json!({ "payload": "eA==" })).to_string(),
            "bad_base64",
        ),
        (
            with(good.clone(), json!({ "payload": "eQ" })).to_string(),
            "bad_signature",
        ),
        (
            with(good.clone(), json!({ "protected": null })).to_string(),
            "bad_jws_form",
        ),
        (
            with(good.clone(), json!({ "signature": null })).to_string(),
            "bad_jws_form",
        ),
        (
            with(good.clone(), json!({ "signature": "" })).to_string(),
            "bad_signature",
        ),
        (
            with(good.clone(), json!({ "signatures": [one] })).to_string(),
            "bad_jws_form",
        ),
        (
            json!({ "payload": "eA", "signatures": [] }).to_string(),
            "bad_jws_form",
        ),
        (
            json!({ "payload": "eA", "signatures": {} }).to_string(),
            "bad_jws_form",
        ),
        (
            json!({ "payload": "eA", "signatures": [1] }).to_string(),
            "bad_jws_form",
        ),
        (
            json!({ "payload": "eA", "signatures": vec![one.clone(); 17] }).to_string(),
            "bad_jws_form",
        ),
        (
            good.to_string().replacen('{', "{\"payload\":\"eA\",", 1),
            "duplicate_member",
        ),
        (
            json!({ "payload": "eA", "signatures": [one] })
                .to_string()
                .replace("\"protected\"", "\"signature\":\"\",\"protected\""),
            "duplicate_member",
        ),
        // The unprotected header says nothing, and must not say what the protected one says.
        (
            with(good.clone(), json!({ "header": { "alg": "none" } })).to_string(),
            "bad_jws_form",
        ),
        (
            with(good.clone(), json!({ "header": { "kid": KID } })).to_string(),
            "bad_jws_form",
        ),
        (
            with(good.clone(), json!({ "header": { "crit": ["x"] } })).to_string(),
            "bad_jws_form",
        ),
        (
            with(good.clone(), json!({ "header": { "b64": false } })).to_string(),
            "bad_jws_form",
        ),
        (
            with(good.clone(), json!({ "header": 1 })).to_string(),
            "bad_jws_form",
        ),
        (
            with(good.clone(), json!({ "header": { "x": 1 }, "more": {} })).to_string(),
            "ok",
        ),
        (
            with(good.clone(), json!({ "more": "x".repeat(2 << 20) })).to_string(),
            "too_large",
        ),
    ] {
        let code = match verifier.verify_json(&text) {
            Ok(_) => "ok",
            Err(error) => error.code(),
        };
        assert_eq!(code, expected, "{}", &text[..text.len().min(200)]);
    }
    // An algorithm in the unprotected header alone.
    let (protected, signature) = forge_parts(
        &with(jws_header(), json!({ "alg": null })).to_string(),
        b"eA",
    );
    let text = json!({ "payload": "eA", "protected": protected, "signature": signature, "header": { "alg": "SGD_SM3_SM2" } });
    assert_eq!(
        refused(verifier.verify_json(&text.to_string())),
        "missing_header"
    );
}

#[test]
fn hazard_b64_false_past_the_limits() {
    let signer = jws_signer("a");
    let limits = Limits::default()
        .with_token_bytes(2000)
        .with_payload_bytes(100);
    let verifier = JwsVerifier::builder(keys(&[&signer]))
        .typ(TYP)
        .limits(limits)
        .build()
        .unwrap();
    let text = "x".repeat(101);
    let fits = &text.as_bytes()[..100];
    for form in [JwsForm::Detached, JwsForm::DetachedUnencoded] {
        let jws = signer.sign(text.as_bytes(), form).unwrap();
        assert_eq!(
            refused(verifier.verify_detached(&jws, text.as_bytes())),
            "too_large"
        );
        let jws = signer.sign(fits, form).unwrap();
        assert!(verifier.verify_detached(&jws, fits).is_ok());
    }
    let compact =
        |payload| verifier.verify_compact(&signer.sign(payload, JwsForm::Compact).unwrap());
    assert_eq!(refused(compact(text.as_bytes())), "too_large");
    assert!(compact(fits).is_ok());
    for place in [JsonPayload::Encoded, JsonPayload::Unencoded] {
        let json = |payload| {
            verifier.verify_json(&JwsSigner::sign_json(&[&signer], payload, place).unwrap())
        };
        assert_eq!(refused(json(text.as_bytes())), "too_large");
        assert!(json(fits).is_ok());
    }
    assert_eq!(
        refused(verifier.verify_compact(&"a".repeat(2001))),
        "too_large"
    );
    assert_eq!(
        refused(verifier.verify_json(&"a".repeat(2001))),
        "too_large"
    );
    assert_eq!(refused(verifier.verify_compact("a.b")), "not_compact");
    assert_eq!(refused(verifier.verify_compact("a.b.c.d")), "not_compact");
    assert_eq!(
        refused(verifier.verify_detached("a.b.c", b"")),
        "not_compact"
    );
}

#[tokio::test]
async fn signers_that_have_to_be_waited_for() {
    #[derive(Debug)]
    struct Remote(SigningKeyBytes);
    #[derive(Debug)]
    struct SigningKeyBytes;
    impl AsyncExternalSigner for Remote {
        fn sign<'a>(
            &'a self,
            input: &'a SigningInput<'a>,
        ) -> BoxFuture<'a, Result<[u8; 64], SignerError>> {
            let _ = &self.0;
            Box::pin(async move {
                tokio::task::yield_now().await;
                assert_eq!(input.user_id(), USER_ID.as_bytes());
                Ok(raw_signature(input.message()))
            })
        }
    }
    let key = TrustedKey::new(kid(KID), verifying_key(), Profile::default()).unwrap();
    let signer = JwsSigner::external_async(key, Arc::new(Remote(SigningKeyBytes)))
        .with_type(TYP)
        .unwrap();
    assert_eq!(
        refused(signer.sign(b"x", JwsForm::Compact)),
        "bad_configuration"
    );
    let jws = signer.sign_async(b"x", JwsForm::Compact).await.unwrap();
    assert!(forgers_verifier().verify_compact(&jws).is_ok());
    let json = JwsSigner::sign_json_async(&[&signer], b"x", JsonPayload::Encoded)
        .await
        .unwrap();
    assert!(forgers_verifier().verify_json(&json).is_ok());
}

proptest! {
    #[test]
    fn any_payload_comes_back_and_any_change_is_refused(payload in any::<Vec<u8>>(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let signer = JwsSigner::new(signing_key(), kid(KID), Profile::default()).unwrap().with_type(TYP).unwrap();
        let verifier = forgers_verifier();
        let compact = signer.sign(&payload, JwsForm::Compact).unwrap();
        let back = verifier.verify_compact(&compact).unwrap();
        prop_assert_eq!(back.payload(), &payload[..]);
        let mut changed = compact.clone().into_bytes();
        let at = at.index(changed.len());
        changed[at] ^= 1 << bit;
        if let Ok(text) = String::from_utf8(changed) {
            prop_assert!(verifier.verify_compact(&text).is_err());
        }
        for form in [JwsForm::Detached, JwsForm::DetachedUnencoded] {
            let jws = signer.sign(&payload, form).unwrap();
            prop_assert!(verifier.verify_detached(&jws, &payload).is_ok());
        }
    }
}
