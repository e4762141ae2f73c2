//! The hazards of what a payload says: types, times, and members given twice. All tokens here are
//! signed well.

use std::sync::Arc;
use std::time::Duration;

use crate::support::*;
use serde_json::{Value, json};
use sm_jwt::*;

#[test]
fn hazard_claim_type_confusion() {
    let wrong: [(&str, Vec<Value>); 14] = [
        (
            "iss",
            vec![json!(1), json!([ISSUER]), json!({}), json!(true), json!("")],
        ),
        (
            "sub",
            vec![json!(1), json!(["user-1"]), json!({}), json!("")],
        ),
        (
            "aud",
            vec![
                json!(1),
                json!([]),
                json!([1]),
                json!([AUDIENCE, 1]),
                json!({}),
                json!(""),
                json!([AUDIENCE, ""]),
                json!([[AUDIENCE]]),
            ],
        ),
        (
            "exp",
            vec![json!("1700000600"), json!([NOW + 600]), json!(true)],
        ),
        ("nbf", vec![json!("1700000000"), json!({})]),
        ("iat", vec![json!("1700000000"), json!(false)]),
        (
            "jti",
            vec![json!(1), json!(["id"]), json!(""), json!("x".repeat(257))],
        ),
        ("tenant_id", vec![json!(1), json!(["bank-a"]), json!("")]),
        (
            "roles",
            vec![
                json!("admin"),
                json!([1]),
                json!([["admin"]]),
                json!({"0": "admin"}),
                json!([""]),
            ],
        ),
        ("sm2_kid", vec![json!(1), json!([KID])]),
        ("ext", vec![json!(1), json!([]), json!("x")]),
        ("amr", vec![json!("pwd"), json!([1])]),
        ("acr", vec![json!(2), json!([])]),
        ("auth_time", vec![json!("1"), json!(1.5)]),
    ];
    for (claim, values) in wrong {
        for value in values {
            let token = forge_payload(json!({ claim: value }));
            let error = check(&access_verifier(), &token).unwrap_err();
            assert!(
                matches!(error, Error::ClaimType { claim: named } if named == claim),
                "{claim} = {value}: {error}"
            );
        }
    }
    // null is a wrong type too, not absence.
    for claim in [
        "iss",
        "sub",
        "aud",
        "exp",
        "nbf",
        "iat",
        "jti",
        "tenant_id",
        "roles",
        "ext",
    ] {
        let mut payload = payload();
        payload[claim] = Value::Null;
        assert_eq!(code(&forge(&header(), &payload)), "bad_claim", "{claim}");
    }
    // The payload must be an object.
    for text in [
        "[]", "\"x\"", "1", "null", "true", "", " ", "{", "{}{}", "{},",
    ] {
        assert_eq!(
            code(&forge_text(&header().to_string(), text)),
            "bad_json",
            "{text}"
        );
    }
    for claim in ["iss", "sub", "aud", "exp", "iat", "jti", "sm2_kid"] {
        assert_eq!(
            code(&forge_payload(json!({ claim: null }))),
            "missing_claim",
            "{claim}"
        );
    }
}

#[test]
fn hazard_numeric_date() {
    // As text, because a JSON value cannot hold all of them.
    for date in [
        "1700000600.0",
        "1700000600.5",
        "1.7e9",
        "17e8",
        "-1",
        "-0",
        "1e400",
        "18446744073709551616",
        "99999999999999999999999999",
        "0x10",
        "01",
        "+1",
        "NaN",
        "Infinity",
    ] {
        let text = payload()
            .to_string()
            .replace(&(NOW + 600).to_string(), date);
        let outcome = code(&forge_text(&header().to_string(), &text));
        assert!(
            matches!(outcome, "bad_claim" | "bad_json"),
            "{date}: {outcome}"
        );
    }
    // The largest integer neither overflows nor wraps.
    let forever = forge_payload(json!({ "exp": u64::MAX }));
    assert_eq!(code(&forever), "ok");
    let capped = access_builder()
        .max_lifetime(Duration::from_secs(3600))
        .build()
        .unwrap();
    assert_eq!(outcome(&capped, &forever), "bad_lifetime");
    assert_eq!(
        code(&forge_payload(json!({ "iat": u64::MAX, "exp": u64::MAX }))),
        "issued_in_future"
    );
    assert_eq!(
        code(&forge_payload(json!({ "nbf": u64::MAX }))),
        "not_yet_valid"
    );
    assert_eq!(
        code(&forge_payload(json!({ "exp": 0, "iat": 0 }))),
        "expired"
    );
    assert_eq!(
        code(&forge_payload(json!({ "exp": NOW + 5, "iat": NOW + 10 }))),
        "bad_lifetime"
    );
    assert_eq!(
        code(&forge_payload(json!({ "exp": NOW + 5, "iat": NOW + 5 }))),
        "bad_lifetime"
    );
}

#[test]
fn hazard_one_clock_reading() {
    /// Counts how often it is read.
    #[derive(Debug, Default)]
    struct Counting(std::sync::atomic::AtomicU64);
    impl Clock for Counting {
        fn unix_seconds(&self) -> u64 {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            NOW
        }
    }
    let clock = Arc::new(Counting::default());
    let verifier = access_builder()
        .clock(clock.clone())
        .max_age(Duration::from_secs(60))
        .max_lifetime(Duration::from_secs(600))
        .build()
        .unwrap();
    assert_eq!(
        outcome(&verifier, &forge_payload(json!({ "nbf": NOW }))),
        "ok"
    );
    assert_eq!(clock.0.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[test]
fn hazard_duplicate_members() {
    let header_text = header().to_string();
    let payload_text = payload().to_string();
    let inject = |text: &str, members: &str| text.replacen('{', &format!("{{{members},"), 1);
    for members in [
        r#""alg":"none""#,
        r#""kid":"other""#,
        r#""x":{"a":1,"a":2}"#,
        r#""x":[{"y":[{"a":1,"b":2,"a":1}]}]"#,
        r#""x":1,"x":1"#,
        // The same name, spelled with an escape.
        r#""\u0061lg":"none""#,
    ] {
        let token = forge_text(&inject(&header_text, members), &payload_text);
        assert_eq!(code(&token), "duplicate_member", "{members}");
    }
    for members in [
        r#""sub":"admin""#,
        r#""aud":"other""#,
        r#""\u0073ub":"admin""#,
        r#""ext":{"a":1,"a":2}"#,
        r#""ext":{"a":{"b":[{"c":1,"c":2}]}}"#,
        r#""custom":1,"custom":2"#,
        r#""custom":{"a":1,"a":2}"#,
    ] {
        let token = forge_text(&header_text, &inject(&payload_text, members));
        assert_eq!(code(&token), "duplicate_member", "{members}");
    }
    // Far apart, past the point where names are hashed.
    let many: Vec<String> = (0..60).map(|i| format!(r#""m{i}":{i}"#)).collect();
    let unique = inject(&payload_text, &many.join(","));
    assert_eq!(code(&forge_text(&header_text, &unique)), "ok");
    for twice in ["m0", "m23", "m24", "m25", "m59"] {
        let text = inject(&unique, &format!(r#""{twice}":0"#));
        assert_eq!(
            code(&forge_text(&header_text, &text)),
            "duplicate_member",
            "{twice}"
        );
    }
}
