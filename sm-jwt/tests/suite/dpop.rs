//! RFC 9449 section 4.3, the rules on a proof's form, header and signature: proofs made by hand, each wrong in one
//! way. The rules on its claims are in `dpop_claims.rs`; what becomes of proofs that hold is in `dpop_binding.rs`.

use std::sync::Arc;

use crate::support::dpop::*;
use crate::support::*;
use serde_json::{Value, json};
use sm_jwt::*;

const TYPE: &str = "its `typ` is not `dpop+jwt`";
const NO_JWK: &str = "it has no `jwk`";
const NOT_A_KEY: &str = "its `jwk` is not a public SM2 key";
const CRITICAL: &str = "its header has `crit` or `b64`";
const HEADER_TYPE: &str = "a header parameter has the wrong type or is not understood";
const SIGNATURE: &str = "its signature does not verify";

/// What the tests below refuse, they refuse for their own reason.
#[tokio::test]
async fn proofs_made_by_hand_pass() {
    let (verifier, token) = (verifier(), bound_token());
    for changes in [json!({}), json!({ "extra": [1, { "a": null }] })] {
        let proof = proof_with(&token, changes.clone());
        assert_eq!(rule(&verifier, &token, &proof).await, "ok");
        let proof = proof_with_header(&token, changes);
        assert_eq!(rule(&verifier, &token, &proof).await, "ok");
    }
    // A `kid` beside the key names nothing, and neither do keys elsewhere.
    let proof = proof_with_header(
        &token,
        json!({ "kid": "x", "jku": "https://evil.example", "x5c": ["MIIB"], "crv": "P-256" }),
    );
    assert_eq!(rule(&verifier, &token, &proof).await, "ok");
}

#[tokio::test]
async fn a_proof_is_one_compact_jws() {
    let (verifier, token) = (verifier(), bound_token());
    let proof = proof_with(&token, json!({}));
    let parts: Vec<&str> = proof.split('.').collect();
    let (head, body, sign) = (parts[0], parts[1], parts[2]);
    let cases = [
        (String::new(), "not_compact"),
        ("a".into(), "not_compact"),
        (format!("{head}.{body}"), "not_compact"),
        (format!("{head}.{body}.{sign}."), "not_compact"),
        (format!(".{head}.{body}.{sign}"), "not_compact"),
        (format!("{proof}.{proof}"), "not_compact"),
        // Two proofs in one header.
        (format!("{proof},{proof}"), "not_compact"),
        // The five parts of a JWE.
        (format!("{head}.AA.AA.AA.AA"), "not_compact"),
        ("..".into(), "bad_json"),
        (format!("{head}..{sign}"), "bad_json"),
        (format!(".{body}.{sign}"), "bad_json"),
        // Not signed at all.
        (format!("{head}.{body}."), SIGNATURE),
        ("A".repeat(16 * 1024 + 1), "too_large"),
        (
            proof_with_header(&token, json!({ "x": "y".repeat(3 * 1024) })),
            "too_large",
        ),
        (
            proof_with(&token, json!({ "x": "y".repeat(13 * 1024) })),
            "too_large",
        ),
    ];
    for (proof, expected) in cases {
        assert_eq!(rule(&verifier, &token, &proof).await, expected, "{proof}");
    }
    // One spelling: no padding, no white space, no other alphabet, no trailing bits.
    for part in 0..3 {
        for tail in ["=", "==", "\n", " ", "+", "/"] {
            let mut parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            parts[part].push_str(tail);
            let proof = parts.join(".");
            assert_eq!(
                with_proof(&verifier, &token, &proof).await,
                "bad_base64",
                "{proof}"
            );
        }
    }
    let last = sign.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let value = alphabet.find(last).unwrap();
    let other = alphabet.chars().nth(value | 1).unwrap();
    let respelled = format!("{head}.{body}.{}{other}", &sign[..sign.len() - 1]);
    assert_eq!(
        with_proof(&verifier, &token, &respelled).await,
        "bad_base64"
    );
    // None of these consumed the proof.
    assert_eq!(with_proof(&verifier, &token, &proof).await, "ok");
}

#[tokio::test]
async fn header_and_payload_are_objects() {
    let (verifier, token) = (verifier(), bound_token());
    let (header, payload) = (
        proof_header().to_string(),
        proof_payload(&token).to_string(),
    );
    for text in ["[]", "\"x\"", "1", "null", "true", "", " ", "{", "{}{}"] {
        let proof = forge_text_by(&CLIENT_D, text, &payload);
        assert_eq!(with_proof(&verifier, &token, &proof).await, "bad_json");
        let proof = forge_text_by(&CLIENT_D, &header, text);
        assert_eq!(with_proof(&verifier, &token, &proof).await, "bad_json");
    }
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    for (levels, expected) in [(15, "ok"), (16, "too_deep")] {
        let changes = json!({ "x": nested(levels) });
        let proof = proof_with_header(&token, changes.clone());
        assert_eq!(with_proof(&verifier, &token, &proof).await, expected);
        let proof = proof_with(&token, changes);
        assert_eq!(with_proof(&verifier, &token, &proof).await, expected);
    }
    let many: Vec<u32> = (0..257).collect();
    let proof = proof_with(&token, json!({ "x": many }));
    assert_eq!(
        with_proof(&verifier, &token, &proof).await,
        "too_many_members"
    );
}

#[tokio::test]
async fn typ_is_dpop_jwt() {
    let (verifier, token) = (verifier(), bound_token());
    for (typ, expected) in [
        (json!(null), TYPE),
        (json!(""), TYPE),
        (json!("JWT"), TYPE),
        (json!("at+jwt"), TYPE),
        (json!("txn+jwt"), TYPE),
        (json!("dpop"), TYPE),
        (json!("dpop+jwt "), TYPE),
        (json!("DPOP+JWT"), TYPE),
        (json!("application/dpop+jwt"), TYPE),
        (json!(1), HEADER_TYPE),
        (json!(["dpop+jwt"]), HEADER_TYPE),
    ] {
        let proof = proof_with_header(&token, json!({ "typ": typ }));
        assert_eq!(rule(&verifier, &token, &proof).await, expected, "{typ}");
    }
    let mut header = proof_header();
    header["typ"] = Value::Null;
    let proof = prove(&header, &proof_payload(&token));
    assert_eq!(rule(&verifier, &token, &proof).await, HEADER_TYPE);
}

#[tokio::test]
async fn alg_is_the_policys() {
    let (verifier, token) = (verifier(), bound_token());
    for alg in [
        "none",
        "",
        "HS256",
        "ES256",
        "SM2",
        "SM2-SM3",
        "SM2-SHA256",
        "sgd_sm3_sm2",
        "SGD_SM3_SM2 ",
    ] {
        let proof = proof_with_header(&token, json!({ "alg": alg }));
        assert_eq!(
            rule(&verifier, &token, &proof).await,
            "its `alg` is another one"
        );
        // Nor without a signature.
        let cut = proof.rsplit_once('.').unwrap().0;
        assert_eq!(
            rule(&verifier, &token, &format!("{cut}.")).await,
            "its `alg` is another one"
        );
    }
    let proof = proof_with_header(&token, json!({ "alg": null }));
    assert_eq!(rule(&verifier, &token, &proof).await, "it has no `alg`");
    let proof = proof_with_header(&token, json!({ "alg": 1 }));
    assert_eq!(rule(&verifier, &token, &proof).await, HEADER_TYPE);
    // Under another policy it is that policy's name, and the default's no more.
    let other = Profile::default().with_alg("SM2-SM3").unwrap();
    let verifier = builder_with(policy(store()).profile(other))
        .build()
        .unwrap();
    let proof = proof_with_header(&token, json!({ "alg": "SM2-SM3" }));
    assert_eq!(rule(&verifier, &token, &proof).await, "ok");
    let proof = proof_with(&token, json!({}));
    assert_eq!(
        rule(&verifier, &token, &proof).await,
        "its `alg` is another one"
    );
}

#[tokio::test]
async fn jwk_is_one_public_key_on_the_curve() {
    let (verifier, token) = (verifier(), bound_token());
    let jwk = public_jwk(&CLIENT_D);
    let (x, y) = (jwk["x"].as_str().unwrap(), jwk["y"].as_str().unwrap());
    let changed = |changes: Value| with(jwk.clone(), changes);
    let off_curve = {
        let mut y = unb64(y);
        y[31] ^= 1;
        b64(y)
    };
    let (x_plus_p, small_y) = x_above_the_field();
    let cases = [
        (json!(null), NO_JWK),
        (json!({}), NOT_A_KEY),
        (private_jwk(&CLIENT_D), NOT_A_KEY),
        // Whatever `d` is, it does not belong here.
        (changed(json!({ "d": "" })), NOT_A_KEY),
        (changed(json!({ "x": null })), NOT_A_KEY),
        (changed(json!({ "y": null })), NOT_A_KEY),
        (changed(json!({ "y": off_curve })), NOT_A_KEY),
        (changed(json!({ "x": y, "y": x })), NOT_A_KEY),
        (
            changed(json!({ "x": b64([0; 32]), "y": b64([0; 32]) })),
            NOT_A_KEY,
        ),
        (changed(json!({ "x": x_plus_p, "y": small_y })), NOT_A_KEY),
        (changed(json!({ "x": b64(&unb64(x)[1..]) })), NOT_A_KEY),
        (
            changed(json!({ "x": b64([&[0], &unb64(x)[..]].concat()) })),
            NOT_A_KEY,
        ),
        (changed(json!({ "x": format!("{x}=") })), NOT_A_KEY),
        (changed(json!({ "kty": "oct" })), NOT_A_KEY),
        (changed(json!({ "kty": null })), NOT_A_KEY),
        (changed(json!({ "crv": "P-256" })), NOT_A_KEY),
        (changed(json!({ "crv": null })), NOT_A_KEY),
        (changed(json!({ "use": "enc" })), NOT_A_KEY),
        (changed(json!({ "key_ops": ["sign"] })), NOT_A_KEY),
        (
            changed(json!({ "alg": "ES256" })),
            "its `jwk` is for another `alg`",
        ),
        (
            changed(json!({ "alg": "SM2-SM3" })),
            "its `jwk` is for another `alg`",
        ),
        (json!("key"), HEADER_TYPE),
        (json!([jwk]), HEADER_TYPE),
        (json!(1), HEADER_TYPE),
        (changed(json!({ "x": 1 })), HEADER_TYPE),
        (changed(json!({ "kty": ["EC"] })), HEADER_TYPE),
    ];
    for (jwk, expected) in cases {
        let proof = proof_with_header(&token, json!({ "jwk": jwk }));
        assert_eq!(rule(&verifier, &token, &proof).await, expected, "{jwk}");
    }
    for taken in [
        changed(json!({ "crv": "sm2p256v1" })),
        changed(json!({ "crv": "SM2-P-256" })),
        changed(json!({ "use": "sig", "key_ops": ["verify"], "kid": "k", "alg": "SGD_SM3_SM2" })),
        changed(json!({ "extra": { "a": 1 } })),
    ] {
        let proof = proof_with_header(&token, json!({ "jwk": taken }));
        assert_eq!(rule(&verifier, &token, &proof).await, "ok", "{taken}");
    }
}

/// A point's `x` plus the field's prime, which is the same number to a careless reader, and its `y`.
fn x_above_the_field() -> (String, String) {
    use sm2::elliptic_curve::sec1::ToSec1Point as _;
    let (x, point) = (1..=u8::MAX)
        .find_map(|x| {
            let mut sec1 = [0; 33];
            (sec1[0], sec1[32]) = (2, x);
            Some((x, sm2::PublicKey::from_sec1_bytes(&sec1).ok()?))
        })
        .unwrap();
    let mut x_plus_p = [0xFF; 32];
    x_plus_p[3] = 0xFE;
    x_plus_p[20..24].fill(0);
    // ... FFFFFFFF FFFFFFFF + x
    let (mut carry, mut at) = (u16::from(x), 31);
    while carry > 0 {
        let sum = u16::from(x_plus_p[at]) + carry;
        x_plus_p[at] = sum as u8;
        carry = sum >> 8;
        at -= 1;
    }
    (
        b64(x_plus_p),
        b64(&point.to_sec1_point(false).as_bytes()[33..]),
    )
}

#[tokio::test]
async fn nothing_is_critical() {
    let (verifier, token) = (verifier(), bound_token());
    for (name, values) in [
        (
            "crit",
            vec![json!([]), json!(["b64"]), json!(["exp"]), json!("b64")],
        ),
        ("b64", vec![json!(false), json!(true), json!("false")]),
    ] {
        for value in values.into_iter().chain([Value::Null]) {
            // By hand: a `null` stays.
            let mut header = proof_header();
            header[name] = value;
            let proof = prove(&header, &proof_payload(&token));
            assert_eq!(rule(&verifier, &token, &proof).await, CRITICAL, "{header}");
        }
    }
}

#[tokio::test]
async fn the_key_in_the_proof_signed_it() {
    let (verifier, token) = (verifier(), bound_token());
    let (header, payload) = (proof_header().to_string(), proof_payload(&token));
    // By the issuer's key and by a stranger's.
    for d in [D, [9; 32]] {
        let proof = forge_text_by(&d, &header, &payload.to_string());
        assert_eq!(rule(&verifier, &token, &proof).await, SIGNATURE);
    }
    let input = format!("{}.{}", b64(&header), b64(payload.to_string()));
    let good = raw_signature_by(&CLIENT_D, input.as_bytes());
    let (r, s) = good.split_at(32);
    let zero = [0; 32];
    let mut flipped = good;
    flipped[63] ^= 1;
    for signature in [
        flipped.to_vec(),
        [&zero, s].concat(),
        [r, &zero].concat(),
        [&zero[..], &zero].concat(),
        [0xFF; 64].to_vec(),
        [s, r].concat(),
        good[..63].to_vec(),
        [&good[..], &[0]].concat(),
        to_der(&good),
    ] {
        let proof = format!("{input}.{}", b64(signature));
        assert_eq!(rule(&verifier, &token, &proof).await, SIGNATURE);
    }
    // Another payload under the same signature.
    let other = with(payload.clone(), json!({ "htm": "GET" }));
    let moved = format!("{}.{}.{}", b64(&header), b64(other.to_string()), b64(good));
    assert_eq!(rule(&verifier, &token, &moved).await, SIGNATURE);
    let proof = format!("{input}.{}", b64(good));
    assert_eq!(rule(&verifier, &token, &proof).await, "ok");
    // Where the policy says DER, DER alone; another user id is another signature.
    let der = Profile::default().with_encoding(SignatureEncoding::Der);
    let verifier = builder_with(policy(store()).profile(der)).build().unwrap();
    assert_eq!(rule(&verifier, &token, &proof).await, SIGNATURE);
    let proof = format!("{input}.{}", b64(to_der(&good)));
    assert_eq!(rule(&verifier, &token, &proof).await, "ok");
    let no_id = Profile::default().with_user_id("").unwrap();
    let verifier = builder_with(policy(store()).profile(no_id))
        .build()
        .unwrap();
    let proof = proof_with(&token, json!({}));
    assert_eq!(rule(&verifier, &token, &proof).await, SIGNATURE);
}

#[tokio::test]
async fn hazard_duplicate_members_in_a_proof() {
    let (verifier, token) = (verifier(), bound_token());
    let (header, payload) = (
        proof_header().to_string(),
        proof_payload(&token).to_string(),
    );
    let inject = |text: &str, members: &str| text.replacen('{', &format!("{{{members},"), 1);
    let private = private_jwk(&CLIENT_D);
    for members in [
        r#""typ":"dpop+jwt""#.to_owned(),
        r#""alg":"none""#.to_owned(),
        format!(r#""jwk":{private}"#),
        format!(r#""\u006awk":{private}"#),
        r#""x":{"a":1,"a":1}"#.to_owned(),
    ] {
        let proof = forge_text_by(&CLIENT_D, &inject(&header, &members), &payload);
        assert_eq!(
            with_proof(&verifier, &token, &proof).await,
            "duplicate_member",
            "{members}"
        );
    }
    // Inside the key.
    let inside = header.replacen(r#""jwk":{"#, r#""jwk":{"crv":"P-256","#, 1);
    assert_ne!(inside, header);
    let proof = forge_text_by(&CLIENT_D, &inside, &payload);
    assert_eq!(
        with_proof(&verifier, &token, &proof).await,
        "duplicate_member"
    );
    for members in [
        r#""htm":"GET""#,
        r#""htu":"https://evil.example/""#,
        r#""jti":"again""#,
        r#""iat":0"#,
        r#""ath":"""#,
        r#""a\u0074h":"""#,
        r#""nonce":"a","nonce":"b""#,
        r#""x":[{"a":1,"a":1}]"#,
    ] {
        let proof = forge_text_by(&CLIENT_D, &header, &inject(&payload, members));
        assert_eq!(
            with_proof(&verifier, &token, &proof).await,
            "duplicate_member",
            "{members}"
        );
    }
}

/// A proof is no access token, and an access token no proof, though one key signed both.
#[tokio::test]
async fn hazard_cross_use_of_proofs_and_tokens() {
    let (verifier, token) = (verifier(), bound_token());
    assert_eq!(rule(&verifier, &token, &token).await, TYPE);
    let both = with(payload(), proof_payload(&token));
    let header = with(header(), proof_header());
    // Signed by the issuer, with every member that a token and a proof need, and with the client's `typ`.
    let proof = forge(&header, &both);
    assert_eq!(accepted(&verifier, &proof).await, "type_mismatch");
    assert_eq!(rule(&verifier, &token, &proof).await, SIGNATURE);
}

#[tokio::test]
async fn what_the_prover_makes_is_what_the_standard_says() {
    let client = || key_of(&CLIENT_D);
    let prover = DpopProver::new(client(), Profile::default())
        .unwrap()
        .with_clock(Arc::new(clock()));
    assert_eq!(prover.key(), client().verifying_key());
    let token = bound_token();
    let proof = prover
        .proof("POST", "HTTPS://H:443/%7ea?b#c", Some(&token), Some("n-1"))
        .unwrap();
    let [head, body, signature] = proof.split('.').collect::<Vec<_>>()[..] else {
        panic!("not three parts");
    };
    let read = |part: &str| serde_json::from_slice::<Value>(&unb64(part)).unwrap();
    let jwk: Value = serde_json::from_str(&canonical_jwk(&CLIENT_D)).unwrap();
    assert_eq!(
        read(head),
        json!({ "typ": "dpop+jwt", "alg": "SGD_SM3_SM2", "jwk": jwk })
    );
    let claims = read(body);
    let id = claims["jti"].as_str().unwrap();
    assert_eq!(unb64(id).len(), 16);
    assert_eq!(
        claims,
        json!({
            "jti": id, "htm": "POST", "htu": "https://h/~a", "iat": NOW, "nonce": "n-1",
            "ath": sha256_b64(&token), "ath#SM3": sm3_b64(&token),
        })
    );
    // RustCrypto takes the signature.
    use sm2::dsa::signature::Verifier as _;
    let key = sm2::dsa::SigningKey::from_slice(USER_ID, &CLIENT_D).unwrap();
    let signature = sm2::dsa::Signature::from_slice(&unb64(signature)).unwrap();
    let input = format!("{head}.{body}");
    key.verifying_key()
        .verify(input.as_bytes(), &signature)
        .unwrap();
    // Without token and nonce there is neither; each proof has a `jti` of its own.
    let proof = prover.proof("GET", "https://h/", None, None).unwrap();
    let claims = read(proof.split('.').nth(1).unwrap());
    assert_ne!(claims["jti"], json!(id));
    assert_eq!(claims.as_object().unwrap().len(), 4);
    assert!(claims.get("ath").is_none() && claims.get("nonce").is_none());
    for uri in IMPOSSIBLE {
        let error = prover.proof("GET", uri, None, None).unwrap_err();
        assert_eq!(error.code(), "bad_configuration", "{uri}");
    }
    // And a verifier takes what it makes.
    let proof = prover.proof(METHOD, URI, Some(&token), None).unwrap();
    assert_eq!(with_proof(&verifier(), &token, &proof).await, "ok");
    let shown = format!("{prover:?}");
    assert!(
        !shown.contains("1111") && !shown.contains("EREREREREREREREREREREREREREREREREREREREREQ")
    );
}
