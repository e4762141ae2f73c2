//! RFC 9449 section 4.3, the rules on a proof's claims: made by hand, each wrong in one way. The rules on its form,
//! header and signature are in `dpop.rs`.

use std::time::Duration;

use crate::support::dpop::*;
use crate::support::*;
use serde_json::{Value, json};
use sm_jwt::*;

const CLAIM_TYPE: &str = "a claim has the wrong type or an impossible value";
const METHOD_RULE: &str = "its `htm` is not the request's method";
const TARGET: &str = "its `htu` is not the request's URI";
const FUTURE: &str = "its `iat` lies in the future";
const OLD: &str = "it is too old";
const OTHER_TOKEN: &str = "its `ath` is another token's";

#[tokio::test]
async fn htm_is_the_requests_method() {
    let (verifier, token) = (verifier(), bound_token());
    for (htm, expected) in [
        (json!(null), "it has no `htm`"),
        (json!(""), METHOD_RULE),
        (json!("GET"), METHOD_RULE),
        (json!("post"), METHOD_RULE),
        (json!("POST "), METHOD_RULE),
        (json!("*"), METHOD_RULE),
        (json!(1), CLAIM_TYPE),
        (json!(["POST"]), CLAIM_TYPE),
    ] {
        let proof = proof_with(&token, json!({ "htm": htm }));
        assert_eq!(rule(&verifier, &token, &proof).await, expected, "{htm}");
    }
}

/// Spellings of one target.
const SAME: [&[&str]; 5] = [
    &[
        "https://api.bank.example/a/b",
        "HTTPS://API.BANK.EXAMPLE/a/b",
        "https://api.bank.example:443/a/b",
        "https://api.bank.example:/a/b",
        "https://api.bank.example/a/b?amount=1",
        "https://api.bank.example/a/b#top",
        "https://api.bank.example/a/b?u=https://x/../y#z",
        "https://api.bank.example/%61/b",
    ],
    &["https://h", "https://h/", "https://h?q", "https://h#f"],
    &["http://h:80/~u", "http://h/%7Eu", "http://h/%7eu"],
    &["https://h/%2f", "https://h/%2F"],
    &["https://[2001:DB8::1]/", "https://[2001:db8::1]:443"],
];

/// Targets that are another one each.
const OTHERS: [&str; 13] = [
    "http://api.bank.example/a/b",
    "https://api.bank.example:8443/a/b",
    "https://api.bank.example/a/b/",
    "https://api.bank.example/a//b",
    "https://api.bank.example/A/b",
    "https://api.bank.example/a%2Fb",
    "https://api.bank.example/",
    "https://api.bank.example./a/b",
    "https://api.bank.example.evil.example/a/b",
    "https://evil.example/a/b",
    "https://evil.example/?https://api.bank.example/a/b",
    "https://[2001:db8::1]/a/b",
    "https://[2001:db8::1]:8443/a/b",
];

#[tokio::test]
async fn htu_is_the_requests_uri() {
    let (verifier, token) = (verifier(), bound_token());
    let at = async |proof: &str, uri: &str| {
        let presented = Presented::new().dpop(proof, METHOD, uri);
        let result = verifier.accept_with::<NoExtra>(&token, &presented).await;
        match result {
            Err(Error::DpopProof { rule }) => rule.to_owned(),
            other => proof_code(&other).to_owned(),
        }
    };
    let for_uri = |uri: &str| proof_with(&token, json!({ "htu": uri }));
    // Both ways: the proof's spelling and the request's are each put into the normal form.
    for spellings in SAME {
        for htu in spellings {
            for uri in spellings {
                assert_eq!(at(&for_uri(htu), uri).await, "ok", "{htu} {uri}");
            }
        }
    }
    let all: Vec<&str> = SAME.iter().map(|same| same[0]).chain(OTHERS).collect();
    for (i, htu) in all.iter().enumerate() {
        for (j, uri) in all.iter().enumerate() {
            if i != j {
                assert_eq!(at(&for_uri(htu), uri).await, TARGET, "{htu} {uri}");
            }
        }
    }
    for uri in IMPOSSIBLE {
        assert_eq!(at(&for_uri(uri), SAME[0][0]).await, TARGET, "{uri}");
        // Two impossible targets are not the same one.
        let own = "the request's own URI has no normal form";
        assert_eq!(at(&for_uri(uri), uri).await, own, "{uri}");
    }
    for (htu, expected) in [
        (json!(null), "it has no `htu`"),
        (json!(1), CLAIM_TYPE),
        (json!([URI]), CLAIM_TYPE),
    ] {
        let proof = proof_with(&token, json!({ "htu": htu }));
        assert_eq!(at(&proof, URI).await, expected);
    }
}

#[tokio::test]
async fn iat_is_neither_ahead_nor_old() {
    let (verifier, token) = (verifier(), bound_token());
    for (iat, expected) in [
        (json!(NOW), "ok"),
        (json!(NOW + LEEWAY), "ok"),
        (json!(NOW + LEEWAY + 1), FUTURE),
        (json!(u64::MAX), FUTURE),
        (json!(NOW - MAX_AGE - LEEWAY), "ok"),
        (json!(NOW - MAX_AGE - LEEWAY - 1), OLD),
        (json!(0), OLD),
        (json!(null), "it has no `iat`"),
        (json!("1700000000"), CLAIM_TYPE),
        (json!(NOW as f64), CLAIM_TYPE),
        (json!(-1), CLAIM_TYPE),
        (json!([NOW]), CLAIM_TYPE),
        (json!(true), CLAIM_TYPE),
    ] {
        let proof = proof_with(&token, json!({ "iat": iat }));
        assert_eq!(rule(&verifier, &token, &proof).await, expected, "{iat}");
    }
    // As text, because a JSON value cannot hold all of them.
    for date in ["1.7e9", "1e400", "18446744073709551616", "-0", "01"] {
        let payload = proof_payload(&token)
            .to_string()
            .replace(&NOW.to_string(), date);
        let proof = forge_text_by(&CLIENT_D, &proof_header().to_string(), &payload);
        let outcome = with_proof(&verifier, &token, &proof).await;
        assert!(
            matches!(outcome, "bad_dpop_proof" | "bad_json"),
            "{date}: {outcome}"
        );
    }
    // Without leeway, and with no age at all, the borders are the second itself.
    let strict = |max_age| {
        access_builder()
            .leeway(Duration::ZERO)
            .dpop(DpopPolicy::new(store()).max_age(Duration::from_secs(max_age)))
            .build()
            .unwrap()
    };
    for (max_age, iat, expected) in [
        (0, NOW, "ok"),
        (0, NOW + 1, FUTURE),
        (0, NOW - 1, OLD),
        (600, NOW - 600, "ok"),
        (600, NOW - 601, OLD),
    ] {
        let proof = proof_with(&token, json!({ "iat": iat }));
        let outcome = rule(&strict(max_age), &token, &proof).await;
        assert_eq!(outcome, expected, "{max_age} {iat}");
    }
    // The default is a minute, ten are the most.
    let default = builder_with(DpopPolicy::new(store())).build().unwrap();
    for (iat, expected) in [(NOW - 60 - LEEWAY, "ok"), (NOW - 61 - LEEWAY, OLD)] {
        let proof = proof_with(&token, json!({ "iat": iat }));
        assert_eq!(rule(&default, &token, &proof).await, expected);
    }
    let too_long = DpopPolicy::new(store()).max_age(Duration::from_secs(601));
    let error = builder_with(too_long).build().unwrap_err();
    assert_eq!(error.code(), "bad_configuration");
}

#[tokio::test]
async fn ath_is_the_tokens() {
    let (verifier, token) = (verifier(), bound_token());
    let other = forge_payload(json!({ "cnf": key_confirmation(&CLIENT_D), "jti": "other" }));
    let (sha256, sm3) = (sha256_b64(&token), sm3_b64(&token));
    let (wrong_sha256, wrong_sm3) = (sha256_b64(&other), sm3_b64(&other));
    let (none, missing) = (json!(null), "it has no `ath`");
    let cases = [
        (json!(sha256), none.clone(), "ok"),
        (none.clone(), json!(sm3), "ok"),
        (json!(sha256), json!(sm3), "ok"),
        (none.clone(), none.clone(), missing),
        (json!(wrong_sha256), none.clone(), OTHER_TOKEN),
        (none.clone(), json!(wrong_sm3), OTHER_TOKEN),
        (json!(wrong_sha256), json!(wrong_sm3), OTHER_TOKEN),
        // All that are there must match.
        (json!(wrong_sha256), json!(sm3), OTHER_TOKEN),
        (json!(sha256), json!(wrong_sm3), OTHER_TOKEN),
        (json!(sha256), json!(""), OTHER_TOKEN),
        (json!(""), json!(sm3), OTHER_TOKEN),
        (json!(sha256), json!(1), CLAIM_TYPE),
        (json!([sha256]), none.clone(), CLAIM_TYPE),
        (json!(format!("{sha256}=")), none.clone(), OTHER_TOKEN),
        (json!(sha256[..42]), none.clone(), OTHER_TOKEN),
        (json!(b64(&sha256)), none, OTHER_TOKEN),
    ];
    for (ath, ath_sm3, expected) in cases {
        let proof = proof_with(&token, json!({ "ath": ath, "ath#SM3": ath_sm3 }));
        assert_eq!(
            rule(&verifier, &token, &proof).await,
            expected,
            "{ath} {ath_sm3}"
        );
    }
    // A `null` is not absence.
    let mut payload = proof_payload(&token);
    payload["ath#SM3"] = Value::Null;
    let proof = prove(&proof_header(), &payload);
    assert_eq!(rule(&verifier, &token, &proof).await, CLAIM_TYPE);
}

/// The member that RFC 9449 names stays on SHA-256, and SM3 has a name of its own: no digest serves under the
/// other's name.
#[tokio::test]
async fn hazard_cross_use_of_ath_hashes() {
    let (verifier, token) = (verifier(), bound_token());
    for changes in [
        json!({ "ath": sm3_b64(&token), "ath#SM3": null }),
        json!({ "ath": null, "ath#SM3": sha256_b64(&token) }),
        json!({ "ath": sm3_b64(&token), "ath#SM3": sha256_b64(&token) }),
    ] {
        let proof = proof_with(&token, changes.clone());
        assert_eq!(
            rule(&verifier, &token, &proof).await,
            OTHER_TOKEN,
            "{changes}"
        );
    }
    // Names that only look alike are no `ath`.
    for name in ["ATH", "ath#sm3", "ath#SHA256", "ath#S256"] {
        let proof = proof_with(
            &token,
            json!({ "ath": null, "ath#SM3": null, name: sha256_b64(&token) }),
        );
        assert_eq!(rule(&verifier, &token, &proof).await, "it has no `ath`");
    }
}

#[tokio::test]
async fn jti_is_there_and_bounded() {
    let (verifier, token) = (verifier(), bound_token());
    let length = "its `jti` is empty or too long";
    for (jti, expected) in [
        (json!(null), "it has no `jti`"),
        (json!(""), length),
        (json!("x".repeat(256)), "ok"),
        (json!("x".repeat(257)), length),
        // In bytes.
        (json!("\u{4e00}".repeat(86)), length),
        (json!(1), CLAIM_TYPE),
        (json!(["id"]), CLAIM_TYPE),
    ] {
        let proof = proof_with(&token, json!({ "jti": jti }));
        assert_eq!(rule(&verifier, &token, &proof).await, expected, "{jti}");
    }
}
