//! JWK sets: what is read, what is passed over, and what refuses the whole set.

use std::sync::Arc;

use crate::support::keys::*;
use crate::support::*;
use serde_json::{Value, json};
use sm_jwt::*;

fn jwk(name: &str, d: &[u8; 32]) -> Value {
    with(public_jwk(d), json!({ "kid": name }))
}

fn read(keys: Value) -> Result<KeySet, Error> {
    KeySet::from_jwks(&json!({ "keys": keys }).to_string(), &Profile::default())
}

/// The code of a refusal, or the names of the keys.
fn names(keys: Value) -> String {
    match read(keys) {
        Ok(set) => {
            let mut names: Vec<_> = set.iter().map(|key| key.kid().to_string()).collect();
            names.sort_unstable();
            names.join(",")
        }
        Err(error) => error.code().to_owned(),
    }
}

#[test]
fn a_jwk_set_is_read_and_written() {
    let keys = json!([
        jwk("b", &OTHER_D),
        with(
            jwk("a", &D),
            json!({
                "crv": "sm2p256v1", "use": "sig", "alg": "SGD_SM3_SM2", "key_ops": ["verify"],
            })
        ),
    ]);
    let set = read(keys).unwrap();
    assert_eq!((set.len(), set.is_empty()), (2, false));
    assert_eq!(set.get("a").unwrap().key(), key_of(&D).verifying_key());
    assert_eq!(
        set.get("b").unwrap().key(),
        key_of(&OTHER_D).verifying_key()
    );
    assert!(set.get("c").is_none() && set.get("").is_none() && set.get("A").is_none());
    let written: Value = serde_json::from_str(&set.to_jwks()).unwrap();
    let wanted = |name: &str, d| with(jwk(name, d), json!({ "use": "sig" }));
    assert_eq!(
        written,
        json!({ "keys": [wanted("a", &D), wanted("b", &OTHER_D)] })
    );
    // What is written reads as the same keys, and verifies what they sign.
    let again = KeySet::from_jwks(&set.to_jwks(), &Profile::default()).unwrap();
    let verifier = verifier(Arc::new(SharedKeySet::new(again)));
    assert_eq!(outcome(&verifier, &token_by(&D, "a")), "ok");
    assert_eq!(outcome(&verifier, &token_by(&OTHER_D, "b")), "ok");
    assert_eq!(
        outcome(&verifier, &token_by(&OTHER_D, "a")),
        "bad_signature"
    );
    // Names that JSON escapes come back as they were.
    let odd = "a \"b\" \\ \u{4e00}";
    let set = read(json!([jwk(odd, &D)])).unwrap();
    let again = KeySet::from_jwks(&set.to_jwks(), &Profile::default()).unwrap();
    assert!(again.get(odd).is_some());
    // Each key's profile is the registration's, by name.
    let profile_of = |name: &KeyId| match name.as_str() {
        "a" => Profile::default().with_alg("SM2-SM3").unwrap(),
        _ => Profile::default().with_encoding(SignatureEncoding::Der),
    };
    let jwks = json!({ "keys": [jwk("a", &D), jwk("b", &OTHER_D)] }).to_string();
    let set = KeySet::from_jwks_with(&jwks, profile_of).unwrap();
    assert_eq!(set.get("a").unwrap().profile().alg(), "SM2-SM3");
    let encoding = set.get("b").unwrap().profile().encoding();
    assert_eq!(encoding, SignatureEncoding::Der);
}

#[test]
fn keys_of_other_kinds_are_passed_over() {
    let foreign = [
        json!({ "kty": "RSA", "n": "AQ", "e": "AQAB", "kid": "r", "alg": "RS256", "use": "sig" }),
        json!({ "kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ", "kid": "p", "alg": "ES256" }),
        json!({ "kty": "OKP", "crv": "Ed25519", "x": "AQ", "kid": "e" }),
        json!({ "kty": "oct", "k": "AQ", "kid": "o" }),
        json!({ "kty": "unheard-of" }),
        json!({ "kty": "sm2", "crv": "SM2" }),
        json!({}),
        // SM2, for another use.
        with(jwk("enc", &THIRD_D), json!({ "use": "enc" })),
        with(jwk("kex", &THIRD_D), json!({ "key_ops": ["deriveBits"] })),
        with(
            jwk("none", &THIRD_D),
            json!({ "use": "sig", "key_ops": [] }),
        ),
        // Nameless keys of other kinds do no harm.
        json!({ "kty": "RSA", "n": "AQ", "e": "AQAB" }),
        json!({ "kty": "RSA", "n": "AQ", "e": "AQAB" }),
    ];
    for key in &foreign {
        assert_eq!(names(json!([key])), "", "{key}");
        assert_eq!(names(json!([key, jwk("a", &D)])), "a", "{key}");
    }
    let mut all = foreign.to_vec();
    all.insert(4, jwk("a", &D));
    all.push(jwk("b", &OTHER_D));
    assert_eq!(names(Value::from(all)), "a,b");
    assert_eq!(names(json!([])), "");
    let set = KeySet::from_jwks(
        &json!({ "keys": [jwk("a", &D)], "extra": { "a": [1] } }).to_string(),
        &Profile::default(),
    );
    assert_eq!(set.unwrap().len(), 1);
}

#[test]
fn a_wrong_sm2_key_refuses_the_whole_set() {
    let good = || jwk("good", &OTHER_D);
    let changed = |changes: Value| with(jwk("a", &D), changes);
    let (x, y) = (public_jwk(&D)["x"].clone(), public_jwk(&D)["y"].clone());
    for (wrong, expected) in [
        // A private key is out in the world.
        (with(private_jwk(&D), json!({ "kid": "a" })), "bad_key"),
        (changed(json!({ "d": "" })), "bad_key"),
        // Whatever it says it is for.
        (changed(json!({ "d": b64(D), "use": "enc" })), "bad_key"),
        (
            changed(json!({ "d": b64(D), "key_ops": ["sign"] })),
            "bad_key",
        ),
        (changed(json!({ "kid": null })), "bad_key"),
        (changed(json!({ "kid": "" })), "bad_key"),
        (changed(json!({ "kid": "a\u{0}" })), "bad_key"),
        (changed(json!({ "kid": "k".repeat(257) })), "bad_key"),
        (changed(json!({ "x": y, "y": x })), "bad_key"),
        (changed(json!({ "x": null })), "bad_key"),
        (changed(json!({ "y": b64([0; 31]) })), "bad_key"),
        (changed(json!({ "alg": "ES256" })), "bad_key"),
        (changed(json!({ "alg": "SM2-SM3" })), "bad_key"),
        (changed(json!({ "alg": "SM2-SHA256" })), "bad_key"),
        (changed(json!({ "alg": "none" })), "bad_key"),
        (changed(json!({ "key_ops": ["verify", 1] })), "bad_key"),
        (changed(json!({ "key_ops": "verify" })), "bad_key"),
        (changed(json!({ "x": 1 })), "bad_key"),
        (changed(json!({ "kid": 1 })), "bad_key"),
        // One key under two names.
        (jwk("other", &OTHER_D), "bad_configuration"),
    ] {
        for keys in [
            json!([wrong, good()]),
            json!([good(), wrong]),
            json!([{ "kty": "RSA" }, good(), wrong, { "kty": "oct" }]),
        ] {
            assert_eq!(names(keys), expected, "{wrong}");
        }
    }
}

#[test]
fn hazard_duplicate_kid_in_a_set() {
    // At every two positions, whether the other key is of use or not.
    for first in 0..5 {
        for second in first + 1..5 {
            for foreign in [false, true] {
                let keys: Vec<Value> = (0..5u8)
                    .map(|at| {
                        let name = match usize::from(at) {
                            at if at == first || at == second => "twice".to_owned(),
                            at => format!("key-{at}"),
                        };
                        let key = jwk(&name, &[at + 1; 32]);
                        match foreign && usize::from(at) == second {
                            true => with(key, json!({ "kty": "RSA" })),
                            false => key,
                        }
                    })
                    .collect();
                assert_eq!(names(Value::from(keys)), "bad_key", "{first} {second}");
            }
        }
    }
    // Spelled another way, it is the same name.
    let text = format!(
        r#"{{"keys":[{},{}]}}"#,
        jwk("a", &D),
        jwk("b", &OTHER_D)
            .to_string()
            .replace(r#""b""#, r#""\u0061""#)
    );
    let error = KeySet::from_jwks(&text, &Profile::default()).unwrap_err();
    assert_eq!(error.code(), "bad_key");
    // Two of one name, and one under two, in sets that are made by hand.
    let entry = |name: &str, d: &[u8; 32]| {
        (
            kid(name),
            key_of(d).verifying_key().clone(),
            Profile::default(),
        )
    };
    for keys in [
        [entry("a", &D), entry("a", &OTHER_D)],
        [entry("a", &D), entry("a", &D)],
        [entry("a", &D), entry("b", &D)],
    ] {
        assert_eq!(code_of(&KeySet::new(keys)), "bad_configuration");
    }
}

#[test]
fn hazard_duplicate_members_in_a_set() {
    let key = jwk("a", &D).to_string();
    for text in [
        format!(r#"{{"keys":[{key}],"keys":[]}}"#),
        format!(r#"{{"keys":[],"\u006beys":[{key}]}}"#),
        format!(r#"{{"keys":[{}]}}"#, key.replacen('{', r#"{"kid":"b","#, 1)),
        format!(
            r#"{{"keys":[{}]}}"#,
            key.replacen('{', r#"{"x5c":[{"a":1,"a":1}],"#, 1)
        ),
        format!(r#"{{"keys":[{key}],"x":{{"a":1,"a":1}}}}"#),
        // Also in a key that is passed over.
        format!(r#"{{"keys":[{key},{{"kty":"RSA","n":"A","n":"B"}}]}}"#),
    ] {
        let error = KeySet::from_jwks(&text, &Profile::default()).unwrap_err();
        assert_eq!(error.code(), "duplicate_member", "{text}");
    }
}

#[test]
fn a_jwk_set_has_limits() {
    let code = |text: &str| code_of(&KeySet::from_jwks(text, &Profile::default()));
    for (text, expected) in [
        ("", "bad_json"),
        ("[]", "bad_json"),
        ("null", "bad_json"),
        ("{", "bad_json"),
        ("{}{}", "bad_json"),
        ("{}", "bad_key"),
        (r#"{"KEYS":[]}"#, "bad_key"),
        (r#"{"keys":null}"#, "bad_key"),
        (r#"{"keys":{}}"#, "bad_key"),
        (r#"{"keys":"x"}"#, "bad_key"),
        (r#"{"keys":[1]}"#, "bad_key"),
        (r#"{"keys":[[]]}"#, "bad_key"),
        (r#"{"keys":[null]}"#, "bad_key"),
    ] {
        assert_eq!(code(text), expected, "{text}");
    }
    // 256 KiB, to the byte.
    let filled = |length: usize| {
        let rest = length - r#"{"keys":[],"x":""}"#.len();
        format!(r#"{{"keys":[],"x":"{}"}}"#, "y".repeat(rest))
    };
    assert_eq!(filled(256 * 1024).len(), 256 * 1024);
    assert_eq!(code(&filled(256 * 1024)), "ok");
    assert_eq!(code(&filled(256 * 1024 + 1)), "too_large");
    // 256 keys, those of other kinds included.
    let many = |count: usize| format!(r#"{{"keys":[{}]}}"#, vec!["{}"; count].join(","));
    assert_eq!(code(&many(256)), "ok");
    assert_eq!(code(&many(257)), "bad_key");
    // 8192 members and elements together: `keys`, `x` and what is in it.
    let elements = |count: usize| format!(r#"{{"keys":[],"x":[{}]}}"#, vec!["1"; count].join(","));
    assert_eq!(code(&elements(8190)), "ok");
    assert_eq!(code(&elements(8191)), "too_many_members");
    let nested = |levels: usize| {
        format!(
            r#"{{"keys":[{{"x":{}1{}}}]}}"#,
            "[".repeat(levels),
            "]".repeat(levels)
        )
    };
    assert_eq!(code(&nested(13)), "bad_key");
    assert_eq!(code(&nested(14)), "bad_key");
    let nested = |levels: usize| nested(levels).replace("\"x\"", "\"x5c\"");
    assert_eq!(code(&nested(13)), "ok");
    assert_eq!(code(&nested(14)), "too_deep");
    assert_eq!(code(&nested(5000)), "too_deep");
}
