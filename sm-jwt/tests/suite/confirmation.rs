//! `cnf`: what a token is bound to, and that all of it must match. Certificates stand for themselves: the binding is
//! over their bytes.

use crate::support::dpop::{
    CLIENT_D, METHOD, URI, bound_token, builder_with, key_confirmation, policy, proof_with, store,
    verifier,
};
use crate::support::*;
use serde_json::{Map, Value, json};
use sm_jwt::*;

const CERTIFICATE: &[u8] = b"the client's certificate in DER";
const ANOTHER: &[u8] = b"another certificate in DER";
const STRANGER_D: [u8; 32] = [0x22; 32];

const NAMES: [&str; 4] = ["x5t#S256", "x5t#SM3", "jkt", "jkt#SM3"];

/// The four members for a certificate and a key, by hand.
fn members(certificate: &[u8], d: &[u8; 32]) -> [Value; 4] {
    let key = key_confirmation(d);
    [
        json!(sha256_b64(certificate)),
        json!(sm3_b64(certificate)),
        key["jkt"].clone(),
        key["jkt#SM3"].clone(),
    ]
}

fn bound(cnf: &Value) -> String {
    // By hand: `cnf` may be `null`.
    let mut payload = payload();
    payload["cnf"] = cnf.clone();
    forge(&header(), &payload)
}

/// The outcome of a token that comes with the client's certificate and a proof by the client's key.
async fn with_both(verifier: &Verifier, token: &str) -> &'static str {
    let proof = proof_with(token, json!({}));
    let presented = Presented::new()
        .certificate(CERTIFICATE)
        .dpop(&proof, METHOD, URI);
    accepted_with(verifier, token, &presented).await
}

/// Each of the four members absent, right or wrong: all 81 tokens.
#[tokio::test]
async fn all_that_is_there_must_match() {
    let verifier = verifier();
    let right = members(CERTIFICATE, &CLIENT_D);
    let wrong = members(ANOTHER, &STRANGER_D);
    for case in 0..81usize {
        let states = [case % 3, case / 3 % 3, case / 9 % 3, case / 27];
        let mut cnf = Map::new();
        for (at, state) in states.into_iter().enumerate() {
            match state {
                1 => cnf.insert(NAMES[at].into(), right[at].clone()),
                2 => cnf.insert(NAMES[at].into(), wrong[at].clone()),
                _ => None,
            };
        }
        let expected = match states {
            [0, 0, 0, 0] => "unknown_confirmation",
            states if states.contains(&2) => "proof_mismatch",
            _ => "ok",
        };
        let token = bound(&Value::Object(cnf));
        let outcome = with_both(&verifier, &token).await;
        assert_eq!(outcome, expected, "{states:?}");
    }
}

#[test]
fn a_certificate_must_be_shown() {
    let verifier = access_verifier();
    let [sha256, sm3, ..] = members(CERTIFICATE, &CLIENT_D);
    let shown = |certificate: &'static [u8]| Presented::new().certificate(certificate);
    for cnf in [
        json!({ "x5t#S256": sha256 }),
        json!({ "x5t#SM3": sm3 }),
        json!({ "x5t#S256": sha256, "x5t#SM3": sm3 }),
    ] {
        let token = bound(&cnf);
        for (presented, expected) in [
            (shown(CERTIFICATE), "ok"),
            (shown(ANOTHER), "proof_mismatch"),
            (shown(b""), "proof_mismatch"),
            (
                shown(&CERTIFICATE[..CERTIFICATE.len() - 1]),
                "proof_mismatch",
            ),
            (Presented::new(), "proof_missing"),
            // Another kind of proof is none.
            (Presented::new().factor(CERTIFICATE), "proof_missing"),
            (Presented::new().dpop("x", METHOD, URI), "proof_missing"),
        ] {
            let outcome = outcome_with(&verifier, &token, &presented);
            assert_eq!(outcome, expected, "{cnf}");
        }
        let parsed = UnverifiedToken::parse(&token, verifier.limits()).unwrap();
        let many = verifier.verify_many::<NoExtra>([parsed]);
        assert_eq!(code_of(&many[0]), "proof_missing");
    }
    // One of the two is for another certificate: the right one is not enough.
    let [other_sha256, other_sm3, ..] = members(ANOTHER, &CLIENT_D);
    for cnf in [
        json!({ "x5t#S256": other_sha256, "x5t#SM3": sm3 }),
        json!({ "x5t#S256": sha256, "x5t#SM3": other_sm3 }),
    ] {
        for certificate in [CERTIFICATE, ANOTHER] {
            let outcome = outcome_with(&verifier, &bound(&cnf), &shown(certificate));
            assert_eq!(outcome, "proof_mismatch");
        }
    }
}

/// RFC 8705 and RFC 9449 say SHA-256, whatever signs the token: an SM3 digest under their names is another digest,
/// and the other way round.
#[tokio::test]
async fn hazard_cross_use_of_hash_names() {
    let verifier = verifier();
    let [sha256, sm3, jkt, jkt_sm3] = members(CERTIFICATE, &CLIENT_D);
    for cnf in [
        json!({ "x5t#S256": sm3 }),
        json!({ "x5t#SM3": sha256 }),
        json!({ "x5t#S256": sm3, "x5t#SM3": sha256 }),
        json!({ "jkt": jkt_sm3 }),
        json!({ "jkt#SM3": jkt }),
        // Nor does a certificate's digest stand for a key's.
        json!({ "jkt": sha256 }),
        json!({ "x5t#S256": jkt }),
    ] {
        let outcome = with_both(&verifier, &bound(&cnf)).await;
        assert_eq!(outcome, "proof_mismatch", "{cnf}");
    }
}

/// What nobody here can check, nobody may pass over.
#[tokio::test]
async fn hazard_unknown_confirmation() {
    let verifier = verifier();
    let [sha256, _, jkt, _] = members(CERTIFICATE, &CLIENT_D);
    for name in [
        "kid", "jwk", "jwe", "jku", "x5t", "x5t#s256", "X5T#S256", "x5t#sm3", "JKT", "jkt#sm3",
        "jkt#S256", "osc", "", " jkt",
    ] {
        for cnf in [
            json!({ name: "x" }),
            json!({ name: null }),
            json!({ name: { "a": [1] } }),
            json!({ name: "x", "x5t#S256": sha256 }),
            json!({ name: "x", "x5t#S256": sha256, "jkt": jkt }),
        ] {
            let outcome = with_both(&verifier, &bound(&cnf)).await;
            assert_eq!(outcome, "unknown_confirmation", "{cnf}");
        }
    }
    assert_eq!(
        with_both(&verifier, &bound(&json!({}))).await,
        "unknown_confirmation"
    );
}

#[tokio::test]
async fn members_of_the_wrong_type_are_refused() {
    let verifier = verifier();
    for cnf in [
        json!(null),
        json!(1),
        json!("jkt"),
        json!([]),
        json!([{ "jkt": "x" }]),
        json!(true),
    ] {
        assert_eq!(with_both(&verifier, &bound(&cnf)).await, "bad_claim");
    }
    for (at, name) in NAMES.into_iter().enumerate() {
        let right = members(CERTIFICATE, &CLIENT_D)[at].clone();
        let text = right.as_str().unwrap();
        let last = text.chars().last().unwrap();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let trailing = alphabet
            .chars()
            .nth(alphabet.find(last).unwrap() | 1)
            .unwrap();
        for value in [
            json!(null),
            json!(1),
            json!([text]),
            json!({ "v": text }),
            json!(""),
            json!(format!("{text}=")),
            json!(format!("{text} ")),
            json!(format!("\n{text}")),
            json!(format!("{}{trailing}", &text[..42])),
            json!(text[..42]),
            json!(b64([0; 31])),
            json!(b64([0; 33])),
            json!(b64([0; 64])),
            json!(text.replace(|c: char| c.is_ascii_alphanumeric(), "+")),
        ] {
            let outcome = with_both(&verifier, &bound(&json!({ name: value }))).await;
            assert_eq!(outcome, "bad_claim", "{name} {value}");
        }
    }
}

#[test]
fn hazard_duplicate_members_in_cnf() {
    let right = members(CERTIFICATE, &CLIENT_D);
    let text = payload().to_string();
    let inject = |members: &str| text.replacen('{', &format!("{{{members},"), 1);
    let [one, two] = [&right[0], &members(ANOTHER, &CLIENT_D)[0]];
    for members in [
        format!(r#""cnf":{{"x5t#S256":{one},"x5t#S256":{two}}}"#),
        format!(r#""cnf":{{"x5t#S256":{one},"x5t#S256":{one}}}"#),
        format!(r#""cnf":{{"x5t#S256":{one},"\u00785t#S256":{two}}}"#),
        format!(r#""cnf":{{"x5t#S256":{one}}},"cnf":{{"x5t#S256":{two}}}"#),
        r#""cnf":{"x":{"a":1,"a":1}}"#.to_owned(),
    ] {
        let token = forge_text(&header().to_string(), &inject(&members));
        assert_eq!(code(&token), "duplicate_member", "{members}");
    }
    let deep = format!(r#""cnf":{{"x":{}1{}}}"#, "[".repeat(15), "]".repeat(15));
    let token = forge_text(&header().to_string(), &inject(&deep));
    assert_eq!(code(&token), "too_deep");
}

#[tokio::test]
async fn a_binding_may_be_required() {
    let required = builder_with(policy(store()))
        .require_binding()
        .build()
        .unwrap();
    let [sha256, ..] = members(CERTIFICATE, &CLIENT_D);
    let unbound = access_token();
    assert_eq!(with_both(&verifier(), &unbound).await, "ok");
    assert_eq!(with_both(&required, &unbound).await, "not_bound");
    assert_eq!(outcome(&required, &unbound), "not_bound");
    let token = bound(&json!({ "x5t#S256": sha256 }));
    assert_eq!(with_both(&required, &token).await, "ok");
    assert_eq!(with_both(&required, &bound_token()).await, "ok");
    // A second factor is no binding of the token, and an empty `cnf` neither.
    assert_eq!(
        with_both(&required, &bound(&json!({}))).await,
        "unknown_confirmation"
    );
}

#[tokio::test]
async fn a_gateway_may_have_checked_the_binding() {
    // Here or there, not both: the policy would never be asked.
    let both = builder_with(policy(store())).confirmation_checked_elsewhere();
    assert_eq!(code_of(&both.build()), "bad_configuration");
    let behind = || access_builder().confirmation_checked_elsewhere();
    let [sha256, ..] = members(ANOTHER, &CLIENT_D);
    let tokens = [
        (access_token(), "ok", "not_bound"),
        (bound_token(), "ok", "ok"),
        (bound(&json!({ "x5t#S256": sha256 })), "ok", "ok"),
        (bound(&json!({ "kid": "x" })), "ok", "ok"),
        // Bound to nothing, whoever checked it.
        (bound(&json!({})), "ok", "not_bound"),
        // What does not read is refused here, too.
        (bound(&json!(null)), "bad_claim", "bad_claim"),
        (bound(&json!({ "jkt": 1 })), "bad_claim", "bad_claim"),
    ];
    for (token, free, required) in tokens {
        let verifier = behind().build().unwrap();
        assert_eq!(accepted(&verifier, &token).await, free);
        assert_eq!(outcome(&verifier, &token), free);
        let verifier = behind().require_binding().build().unwrap();
        assert_eq!(accepted(&verifier, &token).await, required);
    }
    // It is for the binding alone: everything else is checked, the second factor included.
    let verifier = behind().build().unwrap();
    let factor = json!({ "factor": { "m": "hwk", "kid": "f", "h": b64([0; 32]) } });
    let token = forge_payload(json!({ "cnf": key_confirmation(&CLIENT_D), "ext": factor }));
    assert_eq!(outcome(&verifier, &token), "proof_missing");
    let token = forge_payload(json!({ "cnf": key_confirmation(&CLIENT_D), "exp": 1, "iat": 0 }));
    assert_eq!(outcome(&verifier, &token), "expired");
}

#[tokio::test]
async fn what_is_issued_says_both_hashes() {
    let key = key_of(&CLIENT_D).verifying_key().clone();
    let [sha256, sm3, jkt, jkt_sm3] = members(CERTIFICATE, &CLIENT_D);
    let both = Confirmation::certificate(CERTIFICATE).and(Confirmation::dpop_key(&key));
    let cases = [
        (
            Confirmation::certificate(CERTIFICATE),
            json!({ "x5t#S256": sha256, "x5t#SM3": sm3 }),
            (true, false),
        ),
        (
            Confirmation::dpop_key(&key),
            json!({ "jkt": jkt, "jkt#SM3": jkt_sm3 }),
            (false, true),
        ),
        (
            both,
            json!({ "x5t#S256": sha256, "x5t#SM3": sm3, "jkt": jkt, "jkt#SM3": jkt_sm3 }),
            (true, true),
        ),
    ];
    let verifier = verifier();
    for (confirmation, expected, kinds) in cases {
        assert_eq!(serde_json::to_value(&confirmation).unwrap(), expected);
        let kinds_of = |confirmation: &Confirmation| {
            (
                confirmation.binds_certificate(),
                confirmation.binds_dpop_key(),
            )
        };
        assert_eq!(kinds_of(&confirmation), kinds);
        let claims = claims().confirmation(confirmation.clone());
        let token = signer().sign(&claims, TokenType::Access, &NoExtra).unwrap();
        let payload: Value =
            serde_json::from_slice(&unb64(token.split('.').nth(1).unwrap())).unwrap();
        assert_eq!(payload["cnf"], expected);
        assert_eq!(with_both(&verifier, &token).await, "ok");
        let proof = proof_with(&token, json!({}));
        let presented = Presented::new()
            .certificate(CERTIFICATE)
            .dpop(&proof, METHOD, URI);
        let verified: VerifiedToken = verifier.accept_with(&token, &presented).await.unwrap();
        assert_eq!(verified.claims().confirmation(), Some(&confirmation));
    }
    // What is shown of it is of what kind it is.
    let shown = format!("{:?}", Confirmation::certificate(CERTIFICATE));
    assert_eq!(
        shown,
        "Confirmation { certificate: true, dpop_key: false, unknown: false }"
    );
    let presented = Presented::new().certificate(CERTIFICATE).factor(b"secret");
    let shown = format!("{presented:?}");
    assert_eq!(
        shown,
        "Presented { certificate: true, factor: true, dpop: false }"
    );
}

/// A binding that was read but is not understood cannot be passed on: a token that was made from it would be bound
/// to less.
#[test]
fn nothing_is_issued_that_says_less_than_it_was_given() {
    let verifier = access_builder()
        .confirmation_checked_elsewhere()
        .build()
        .unwrap();
    let [sha256, ..] = members(CERTIFICATE, &CLIENT_D);
    for cnf in [
        json!({ "kid": "x", "x5t#S256": sha256 }),
        json!({ "kid": "x" }),
        json!({}),
    ] {
        let read = check(&verifier, &bound(&cnf)).unwrap();
        let confirmation = read.claims().confirmation().unwrap().clone();
        for confirmation in [
            confirmation.clone(),
            confirmation.clone().and(Confirmation::default()),
        ] {
            let claims = claims().confirmation(confirmation);
            let signed = signer().sign(&claims, TokenType::Access, &NoExtra);
            assert_eq!(code_of(&signed), "unknown_confirmation", "{cnf}");
        }
    }
    let with_certificate = Confirmation::default().and(Confirmation::certificate(CERTIFICATE));
    let twice = with_certificate
        .clone()
        .and(Confirmation::certificate(CERTIFICATE));
    for (confirmation, expected) in [
        (with_certificate.clone(), "ok"),
        (twice, "ok"),
        // One of them would be lost.
        (
            with_certificate.and(Confirmation::certificate(b"another certificate")),
            "unknown_confirmation",
        ),
    ] {
        let claims = claims().confirmation(confirmation);
        let signed = signer().sign(&claims, TokenType::Access, &NoExtra);
        assert_eq!(code_of(&signed), expected);
    }
}
