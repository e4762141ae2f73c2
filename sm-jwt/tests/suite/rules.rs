//! What a verifier may ask of claims, and the claims that RFC 9068 and OpenID Connect add.

use std::sync::Arc;
use std::time::Duration;

use crate::support::*;
use serde_json::{Value, json};
use sm_jwt::*;

fn asks(rule: impl FnOnce(VerifierBuilder) -> VerifierBuilder) -> Verifier {
    rule(access_builder()).build().unwrap()
}

/// The claim that a verifier misses, or the outcome.
fn missing(verifier: &Verifier, token: &str) -> String {
    match check(verifier, token) {
        Err(Error::MissingClaim { claim }) => format!("no {claim}"),
        other => code_of(&other).to_owned(),
    }
}

#[test]
fn claims_may_be_required() {
    let verifier = asks(|builder| builder.require_claim("branch").require_claim("client_id"));
    for (claims, expected) in [
        (json!({ "branch": "0755", "client_id": "app" }), "ok"),
        (json!({ "branch": "0755" }), "no client_id"),
        (json!({ "client_id": "app" }), "no branch"),
        (json!({}), "no branch"),
        (json!({ "Branch": "0755", "client_id": "app" }), "no branch"),
        (
            json!({ "ext": { "branch": "0755" }, "client_id": "app" }),
            "no branch",
        ),
        // Whatever its value, it is there.
        (json!({ "branch": false, "client_id": "app" }), "ok"),
        (json!({ "branch": 0, "client_id": "app" }), "ok"),
        (json!({ "branch": "", "client_id": "app" }), "ok"),
        (json!({ "branch": {}, "client_id": "app" }), "ok"),
    ] {
        assert_eq!(missing(&verifier, &forge_payload(claims)), expected);
    }
    // `null` is nothing.
    let mut payload = with(payload(), json!({ "client_id": "app" }));
    payload["branch"] = Value::Null;
    let token = forge(&header(), &payload);
    assert_eq!(missing(&verifier, &token), "no branch");
    // Spelled with an escape, it is the same name.
    let text = with(crate::support::payload(), json!({ "client_id": "app" }))
        .to_string()
        .replacen('{', r#"{"\u0062ranch":1,"#, 1);
    let token = forge_text(&header().to_string(), &text);
    assert_eq!(missing(&verifier, &token), "ok");
    // Claims that are optional otherwise.
    for (name, value) in [
        ("nbf", json!(NOW)),
        ("tenant_id", json!("bank-a")),
        ("roles", json!(["teller"])),
        ("scope", json!("read")),
        ("sid", json!("session-1")),
        ("acr", json!("aal2")),
        ("auth_time", json!(NOW)),
    ] {
        let verifier = asks(|builder| builder.require_claim(name));
        assert_eq!(
            missing(&verifier, &access_with(json!({}))),
            format!("no {name}")
        );
        assert_eq!(
            missing(&verifier, &access_with(json!({ name: value }))),
            "ok"
        );
    }
    let verifier = asks(VerifierBuilder::require_tenant);
    assert_eq!(missing(&verifier, &access_with(json!({}))), "no tenant_id");
    // RFC 9068 section 2.2.
    let verifier = asks(VerifierBuilder::rfc9068);
    assert_eq!(missing(&verifier, &access_with(json!({}))), "no client_id");
    let token = access_with(json!({ "client_id": "app" }));
    assert_eq!(missing(&verifier, &token), "ok");
    // A required claim of the wrong type is wrong, not missing.
    assert_eq!(
        missing(&verifier, &access_with(json!({ "client_id": 1 }))),
        "bad_claim"
    );
}

fn access_with(claims: Value) -> String {
    forge_payload(claims)
}

#[test]
fn the_subject_may_be_fixed() {
    let verifier = asks(|builder| builder.subject("user-1"));
    for (subject, expected) in [
        ("user-1", "ok"),
        ("user-2", "wrong_subject"),
        ("User-1", "wrong_subject"),
        ("user-1 ", "wrong_subject"),
        ("user-10", "wrong_subject"),
        ("user", "wrong_subject"),
    ] {
        let token = forge_payload(json!({ "sub": subject }));
        assert_eq!(outcome(&verifier, &token), expected, "{subject}");
    }
}

#[test]
fn authentication_methods_may_be_required() {
    let verifier = asks(|builder| builder.require_method("pwd").require_method("otp"));
    let weak = "authentication_too_weak";
    for (amr, expected) in [
        (json!(["pwd", "otp"]), "ok"),
        (json!(["otp", "face", "pwd"]), "ok"),
        (json!(["pwd"]), weak),
        (json!(["otp"]), weak),
        (json!(["PWD", "OTP"]), weak),
        (json!(["pwd otp"]), weak),
        (json!(["mfa"]), weak),
        (json!([]), weak),
        (json!(null), weak),
        (json!("pwd otp"), "bad_claim"),
        (json!({ "pwd": 1, "otp": 1 }), "bad_claim"),
    ] {
        let token = forge_payload(json!({ "amr": amr }));
        assert_eq!(outcome(&verifier, &token), expected, "{amr}");
    }
    let verifier = asks(|builder| builder.require_class(["aal2", "aal3"]));
    for (acr, expected) in [
        (json!("aal2"), "ok"),
        (json!("aal3"), "ok"),
        (json!("aal1"), weak),
        (json!("AAL2"), weak),
        (json!("aal2 aal3"), weak),
        (json!(null), weak),
        (json!(["aal2"]), "bad_claim"),
        (json!(2), "bad_claim"),
        (json!(""), "bad_claim"),
    ] {
        let token = forge_payload(json!({ "acr": acr }));
        assert_eq!(outcome(&verifier, &token), expected, "{acr}");
    }
    // Both kinds of rule count, each by itself.
    let verifier = asks(|builder| builder.require_method("otp").require_class(["aal2"]));
    for (claims, expected) in [
        (json!({ "amr": ["otp"], "acr": "aal2" }), "ok"),
        (json!({ "amr": ["otp"], "acr": "aal1" }), weak),
        (json!({ "amr": ["otp"] }), weak),
        (json!({ "acr": "aal2" }), weak),
    ] {
        assert_eq!(outcome(&verifier, &forge_payload(claims)), expected);
    }
}

#[test]
fn authentication_may_have_to_be_recent() {
    let verifier = |leeway: u64| {
        access_builder()
            .leeway(Duration::from_secs(leeway))
            .max_authentication_age(Duration::from_secs(300))
            .build()
            .unwrap()
    };
    let old = "authentication_too_old";
    for (leeway, auth_time, expected) in [
        (10, json!(NOW), "ok"),
        (10, json!(NOW - 310), "ok"),
        (10, json!(NOW - 311), old),
        (10, json!(NOW + 10), "ok"),
        (10, json!(NOW + 11), "bad_claim"),
        (0, json!(NOW - 300), "ok"),
        (0, json!(NOW - 301), old),
        (0, json!(NOW + 1), "bad_claim"),
        (10, json!(0), old),
        (10, json!(u64::MAX), "bad_claim"),
        (10, json!(null), "missing_claim"),
        (10, json!(-1), "bad_claim"),
        (10, json!(NOW as f64), "bad_claim"),
    ] {
        let token = forge_payload(json!({ "auth_time": auth_time }));
        let outcome = outcome(&verifier(leeway), &token);
        assert_eq!(outcome, expected, "{leeway} {auth_time}");
    }
    // The clock moves, the token does not.
    let clock = clock();
    let verifier = access_builder()
        .clock(Arc::new(clock.clone()))
        .leeway(Duration::from_secs(10))
        .max_authentication_age(Duration::from_secs(300))
        .build()
        .unwrap();
    let token = forge_payload(json!({ "auth_time": NOW - 100 }));
    for (now, expected) in [(NOW + 210, "ok"), (NOW + 211, old)] {
        clock.set(now);
        assert_eq!(outcome(&verifier, &token), expected);
    }
    // Nobody asks: nothing is missed.
    assert_eq!(code(&forge_payload(json!({ "auth_time": 0 }))), "ok");
}

#[test]
fn new_claims_come_back() {
    let claims = claims()
        .client_id("app-1")
        .scope("accounts:read")
        .scope("payments:write payments:read")
        .session("session-1");
    let token = signer().sign(&claims, TokenType::Access, &NoExtra).unwrap();
    let payload: Value = serde_json::from_slice(&unb64(token.split('.').nth(1).unwrap())).unwrap();
    assert_eq!(
        payload["scope"],
        "accounts:read payments:write payments:read"
    );
    let verified = check(&access_verifier(), &token).unwrap();
    let claims = verified.claims();
    assert_eq!(claims.client_id(), Some("app-1"));
    assert_eq!(claims.session(), Some("session-1"));
    let scopes: Vec<_> = claims.scopes().collect();
    assert_eq!(scopes, ["accounts:read", "payments:write", "payments:read"]);
    for (scope, has) in [
        ("accounts:read", true),
        ("payments:read", true),
        ("accounts", false),
        ("Accounts:read", false),
        ("accounts:read payments:write", false),
        ("", false),
    ] {
        assert_eq!(claims.has_scope(scope), has, "{scope}");
    }
    assert!(claims.confirmation().is_none());
    let plain = check(&access_verifier(), &access_token()).unwrap();
    let claims = plain.claims();
    assert_eq!((claims.client_id(), claims.session()), (None, None));
    assert_eq!(claims.scopes().count(), 0);
}

/// RFC 6749 section 3.3: words of printable ASCII without quotes and backslashes, one space between them. Whoever
/// splits more liberally would grant more.
#[test]
fn hazard_new_claim_types() {
    for (claim, values) in [
        (
            "scope",
            vec![
                json!(""),
                json!(" "),
                json!(" read"),
                json!("read "),
                json!("read  write"),
                json!("read\twrite"),
                json!("read\nadmin"),
                json!("r\"ead"),
                json!("r\\ead"),
                json!("r\u{e9}ad"),
                json!("read\u{a0}write"),
                json!("read\u{7f}"),
                json!(["read", "write"]),
                json!(1),
                json!({}),
                json!(true),
            ],
        ),
        (
            "client_id",
            vec![json!(""), json!(1), json!(["app"]), json!({}), json!(false)],
        ),
        (
            "sid",
            vec![json!(""), json!(1), json!(["s"]), json!({}), json!(true)],
        ),
    ] {
        for value in values.into_iter().chain([Value::Null]) {
            // By hand: a `null` stays, and is a wrong type.
            let mut payload = payload();
            payload[claim] = value.clone();
            let error = check(&access_verifier(), &forge(&header(), &payload)).unwrap_err();
            assert!(
                matches!(error, Error::ClaimType { claim: named } if named == claim),
                "{claim} = {value}: {error}"
            );
        }
        let text = payload().to_string();
        let twice = text.replacen('{', &format!(r#"{{"{claim}":"a","{claim}":"b","#), 1);
        let token = forge_text(&header().to_string(), &twice);
        assert_eq!(code(&token), "duplicate_member", "{claim}");
    }
    for scope in ["a", "a b", "!", "a:b/c#d~", &["s"; 100].join(" ")] {
        let token = forge_payload(json!({ "scope": scope }));
        assert_eq!(code(&token), "ok", "{scope}");
    }
    // The signer writes none of these.
    let sign =
        |claims: ClaimsBuilder| code_of(&signer().sign(&claims, TokenType::Access, &NoExtra));
    for scope in [" ", "a ", "a  b", "a\"", "\u{e9}"] {
        assert_eq!(sign(claims().scope(scope)), "bad_claim", "{scope}");
    }
    assert_eq!(sign(claims().scope("a").scope("")), "bad_claim");
    assert_eq!(sign(claims().scope("")), "ok");
    assert_eq!(sign(claims().client_id("")), "bad_claim");
    assert_eq!(sign(claims().session("")), "bad_claim");
}
