//! Claims, times, profiles and custom claims, through signer and verifier.

use std::sync::Arc;
use std::time::Duration;

use crate::support::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sm_jwt::*;

#[test]
fn every_claim_comes_back() {
    let claims = Claims::builder()
        .issuer(ISSUER)
        .subject("user-1")
        .audience(AUDIENCE)
        .audience("second")
        .tenant("bank-a")
        .role("teller")
        .roles(["auditor", "clerk"])
        .lifetime(Duration::from_secs(60))
        .not_before(NOW - 5)
        .ext("branch", "0755")
        .ext("limits", json!({ "daily": 5000 }))
        .amr(["pwd", "otp"])
        .acr("aal2")
        .auth_time(NOW - 30)
        .token_id("id-7");
    let token = signer().sign(&claims, TokenType::Access, &NoExtra).unwrap();
    let verified = check(&access_verifier(), &token).unwrap();
    let claims = verified.claims();
    assert_eq!(claims.issuer(), ISSUER);
    assert_eq!(claims.subject(), "user-1");
    assert_eq!(claims.audience(), [AUDIENCE, "second"]);
    assert_eq!(claims.tenant_id(), Some("bank-a"));
    assert_eq!(claims.roles(), ["teller", "auditor", "clerk"]);
    assert!(claims.has_role("clerk") && !claims.has_role("Clerk"));
    assert_eq!((claims.issued_at(), claims.expires_at()), (NOW, NOW + 60));
    assert_eq!(claims.not_before(), Some(NOW - 5));
    assert_eq!(claims.token_id(), "id-7");
    assert_eq!(claims.sm2_kid(), Some(KID));
    assert_eq!(claims.ext()["limits"]["daily"], 5000);
    assert_eq!(claims.amr(), ["pwd", "otp"]);
    assert_eq!(claims.acr(), Some("aal2"));
    assert_eq!(claims.auth_time(), Some(NOW - 30));
    assert_eq!(verified.kid(), KID);
    assert_eq!(verified.token_type(), TokenType::Access);
    assert_eq!(verified.header().alg(), "SGD_SM3_SM2");
    assert_eq!(verified.header().typ(), "at+jwt");
    assert_eq!(verified.header().crv(), Some("sm2p256v1"));
    // What the claims serialise to is what was signed.
    let payload: serde_json::Value =
        serde_json::from_slice(&unb64(token.split('.').nth(1).unwrap())).unwrap();
    assert_eq!(serde_json::to_value(claims).unwrap(), payload);
}

#[test]
fn default_jti_is_128_fresh_bits() {
    let (signer, verifier) = (signer(), access_verifier());
    let template = claims();
    let id = || {
        let token = signer.sign(&template, TokenType::Access, &NoExtra).unwrap();
        check(&verifier, &token)
            .unwrap()
            .claims()
            .token_id()
            .to_owned()
    };
    let (one, two) = (id(), id());
    assert_ne!(one, two);
    assert_eq!(unb64(&one).len(), 16);
}

#[test]
fn times_at_their_edges() {
    let clock = ManualClock::new(NOW);
    let verifier = access_builder()
        .clock(Arc::new(clock.clone()))
        .leeway(Duration::from_secs(10))
        .max_age(Duration::from_secs(300))
        .build()
        .unwrap();
    let at = |now: u64, token: &str| {
        clock.set(now);
        outcome(&verifier, token)
    };
    // exp is the first second that is too late, iat and nbf the first that is not too early.
    let token = forge_payload(json!({ "iat": NOW, "exp": NOW + 100, "nbf": NOW + 20 }));
    assert_eq!(at(NOW + 9, &token), "not_yet_valid");
    assert_eq!(at(NOW + 10, &token), "ok");
    assert_eq!(at(NOW + 109, &token), "ok");
    assert_eq!(at(NOW + 110, &token), "expired");
    let token = forge_payload(json!({ "iat": NOW, "exp": NOW + 1000 }));
    assert_eq!(at(NOW - 11, &token), "issued_in_future");
    assert_eq!(at(NOW - 10, &token), "ok");
    assert_eq!(at(NOW + 310, &token), "ok");
    assert_eq!(at(NOW + 311, &token), "too_old");
    // A clock before 1970, as SystemClock reports it, accepts nothing.
    assert_eq!(at(0, &token), "issued_in_future");
    assert_eq!(at(u64::MAX, &token), "expired");
}

#[test]
fn max_lifetime_is_exact() {
    let verifier = access_builder()
        .max_lifetime(Duration::from_secs(600))
        .build()
        .unwrap();
    assert_eq!(
        outcome(&verifier, &forge_payload(json!({ "exp": NOW + 600 }))),
        "ok"
    );
    assert_eq!(
        outcome(&verifier, &forge_payload(json!({ "exp": NOW + 601 }))),
        "bad_lifetime"
    );
}

#[test]
fn audience_must_be_ours() {
    for (aud, expected) in [
        (json!(AUDIENCE), "ok"),
        (json!([AUDIENCE]), "ok"),
        (json!(["other", AUDIENCE]), "ok"),
        (json!("other"), "wrong_audience"),
        (json!(["a", "b"]), "wrong_audience"),
        (json!("core-banking "), "wrong_audience"),
        (json!("CORE-BANKING"), "wrong_audience"),
        (json!("core"), "wrong_audience"),
    ] {
        assert_eq!(code(&forge_payload(json!({ "aud": aud }))), expected);
    }
    let two = access_builder().audience("second").build().unwrap();
    assert_eq!(
        outcome(&two, &forge_payload(json!({ "aud": "second" }))),
        "ok"
    );
}

#[test]
fn tenant_may_be_required() {
    let verifier = access_builder().require_tenant().build().unwrap();
    assert_eq!(
        outcome(&verifier, &forge_payload(json!({}))),
        "missing_claim"
    );
    assert_eq!(
        outcome(&verifier, &forge_payload(json!({ "tenant_id": "a" }))),
        "ok"
    );
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Branch {
    branch: String,
    teller_no: u32,
}

#[test]
fn custom_claims_are_typed() {
    let extra = Branch {
        branch: "0755".into(),
        teller_no: 7,
    };
    let token = signer().sign(&claims(), TokenType::Access, &extra).unwrap();
    let verifier = access_verifier();
    let parse = || UnverifiedToken::parse(&token, verifier.limits()).unwrap();
    let verified: VerifiedToken<Branch> = verifier.verify(parse()).unwrap();
    assert_eq!(*verified.extra(), extra);
    assert_eq!(verified.claims().tenant_id(), Some("bank-a"));
    // Asked for in another shape, the token is refused.
    #[derive(Debug, Deserialize)]
    struct Other {
        #[allow(dead_code)]
        branch: u64,
    }
    assert_eq!(
        verifier.verify::<Other>(parse()).unwrap_err().code(),
        "bad_extra_claims"
    );
    assert_eq!(
        verifier
            .verify::<Branch>(UnverifiedToken::parse(&access_token(), verifier.limits()).unwrap())
            .unwrap_err()
            .code(),
        "bad_extra_claims"
    );
    // Nothing of the value is in the message.
    let message = verifier.verify::<Other>(parse()).unwrap_err().to_string();
    assert!(!message.contains("0755"), "{message}");
}

#[test]
fn custom_claims_never_replace_the_tokens_own() {
    let sign = |extra: serde_json::Value| {
        signer()
            .sign(&claims(), TokenType::Access, &extra)
            .map_err(|error| error.code())
    };
    for name in [
        "iss",
        "sub",
        "aud",
        "exp",
        "nbf",
        "iat",
        "jti",
        "tenant_id",
        "roles",
        "sm2_kid",
        "ext",
        "amr",
        "acr",
        "auth_time",
        "client_id",
        "scope",
        "sid",
        "cnf",
    ] {
        assert_eq!(
            sign(json!({ name: "x" })),
            Err("extra_claim_collides"),
            "{name}"
        );
    }
    assert_eq!(sign(json!([1])), Err("bad_extra_claims"));
    assert_eq!(sign(json!("x")), Err("bad_extra_claims"));
    assert!(sign(json!({})).is_ok());
    assert!(sign(json!({ "department": "17" })).is_ok());
}

#[test]
fn signer_refuses_incomplete_claims() {
    let sign = |claims: &ClaimsBuilder| {
        signer()
            .sign(claims, TokenType::Access, &NoExtra)
            .map_err(|error| error.to_string())
    };
    let base = || {
        Claims::builder()
            .issuer(ISSUER)
            .subject("u")
            .audience("a")
            .lifetime(Duration::from_secs(1))
    };
    assert!(sign(&base()).is_ok());
    assert!(sign(&base().issuer("")).unwrap_err().contains("iss"));
    assert!(sign(&base().subject("")).unwrap_err().contains("sub"));
    assert!(sign(&base().token_id("")).unwrap_err().contains("jti"));
    assert!(sign(&base().audience("")).unwrap_err().contains("aud"));
    assert!(sign(&base().tenant("")).unwrap_err().contains("tenant_id"));
    assert!(sign(&base().role("")).unwrap_err().contains("roles"));
    assert!(
        sign(&base().lifetime(Duration::ZERO))
            .unwrap_err()
            .contains("lifetime")
    );
    assert!(
        sign(&base().expires_at(NOW))
            .unwrap_err()
            .contains("lifetime")
    );
    let no_end = Claims::builder().issuer(ISSUER).subject("u").audience("a");
    assert!(sign(&no_end).unwrap_err().contains("exp"));
    let no_audience = Claims::builder()
        .issuer(ISSUER)
        .subject("u")
        .lifetime(Duration::from_secs(1));
    assert!(sign(&no_audience).unwrap_err().contains("aud"));
    // Nothing that the verifiers' limits refuse is issued.
    let long = base().ext("note", "x".repeat(20_000));
    assert!(sign(&long).unwrap_err().contains("limit"));
}

#[test]
fn profiles_are_never_guessed() {
    let profiles = [
        Profile::default(),
        Profile::default().with_alg("SM2-SM3").unwrap(),
        Profile::default().with_encoding(SignatureEncoding::Der),
        Profile::default().with_user_id("").unwrap(),
        Profile::default()
            .with_user_id("ALICE123@YAHOO.COM")
            .unwrap(),
        Profile::default().with_crv("SM2").unwrap(),
        Profile::default().without_crv(),
    ];
    let verifiers: Vec<Verifier> = profiles
        .iter()
        .map(|profile| {
            Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
                .issuer(ISSUER, [(kid(KID), verifying_key(), profile.clone())])
                .audience(AUDIENCE)
                .clock(Arc::new(clock()))
                .build()
                .unwrap()
        })
        .collect();
    for (signed_as, profile) in profiles.iter().enumerate() {
        let token = Signer::new(signing_key(), kid(KID), profile.clone())
            .unwrap()
            .with_clock(Arc::new(clock()))
            .sign(&claims(), TokenType::Access, &NoExtra)
            .unwrap();
        for (registered_as, verifier) in verifiers.iter().enumerate() {
            let outcome = outcome(verifier, &token);
            assert_eq!(
                outcome == "ok",
                signed_as == registered_as,
                "{signed_as} {registered_as}: {outcome}"
            );
        }
    }
}

#[test]
fn kid_claim_may_be_optional() {
    let verifier = Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
        .issuer(
            ISSUER,
            [(
                kid(KID),
                verifying_key(),
                Profile::default().with_optional_kid_claim(),
            )],
        )
        .audience(AUDIENCE)
        .clock(Arc::new(clock()))
        .build()
        .unwrap();
    assert_eq!(
        outcome(&verifier, &forge_payload(json!({ "sm2_kid": null }))),
        "ok"
    );
    assert_eq!(
        outcome(&verifier, &forge_payload(json!({ "sm2_kid": "x" }))),
        "kid_mismatch"
    );
}

#[test]
fn batch_verification_keeps_order_and_errors() {
    let verifier = access_verifier();
    let good = access_token();
    let mut tampered = good.clone();
    let at = good.find('.').unwrap() + 12;
    let old = good.as_bytes()[at];
    tampered.replace_range(at..=at, if old == b'A' { "B" } else { "A" });
    let (input, _) = good.rsplit_once('.').unwrap();
    let tokens = [
        good.clone(),
        forge_payload(json!({ "exp": NOW - 100, "iat": NOW - 200 })),
        format!("{input}.{}", b64([1u8; 64])),
        forge_header(json!({ "kid": "other" })),
        forge_header(json!({ "typ": "txn+jwt" })),
        forge_payload(json!({ "aud": "other" })),
        good,
    ];
    let parsed = tokens
        .iter()
        .map(|token| UnverifiedToken::parse(token, verifier.limits()).unwrap());
    let outcomes: Vec<_> = verifier
        .verify_many::<NoExtra>(parsed)
        .iter()
        .map(|result| result.as_ref().map_or_else(Error::code, |_| "ok"))
        .collect();
    assert_eq!(
        outcomes,
        [
            "ok",
            "expired",
            "bad_signature",
            "unknown_key",
            "type_mismatch",
            "wrong_audience",
            "ok"
        ]
    );
    let alone: Vec<_> = tokens
        .iter()
        .map(|token| outcome(&verifier, token))
        .collect();
    assert_eq!(outcomes, alone);
    assert!(verifier.verify_many::<NoExtra>([]).is_empty());
    assert_ne!(outcome(&verifier, &tampered), "ok");
}

#[test]
fn required_decisions_cannot_be_skipped() {
    let new = |policy| Verifier::builder(TokenType::Transaction, policy);
    let keys = || [(kid(KID), verifying_key(), Profile::default())];
    let store = || Arc::new(MemoryReplayStore::new(1, Arc::new(clock())));
    let why = |builder: VerifierBuilder| builder.build().unwrap_err().to_string();
    use ReplayPolicy::{MultiUse, SingleUse};
    assert!(why(new(MultiUse).audience("a")).contains("issuer"));
    assert!(why(new(MultiUse).issuer(ISSUER, keys())).contains("audience"));
    assert!(why(new(MultiUse).issuer(ISSUER, keys()).audience("")).contains("audience"));
    assert!(why(new(MultiUse).issuer("", keys()).audience("a")).contains("empty"));
    assert!(why(new(MultiUse).issuer(ISSUER, []).audience("a")).contains("no key"));
    let ready = |policy| new(policy).issuer(ISSUER, keys()).audience("a");
    assert!(why(ready(SingleUse)).contains("replay store"));
    assert!(why(ready(MultiUse).replay_store(store())).contains("never use"));
    assert!(why(ready(MultiUse).leeway(Duration::from_secs(301))).contains("leeway"));
    assert!(why(ready(MultiUse).issuer(ISSUER, keys())).contains("twice"));
    assert!(ready(MultiUse).build().is_ok());
    assert!(ready(SingleUse).replay_store(store()).build().is_ok());
}

#[test]
fn verified_tokens_are_shareable() {
    fn assert_shareable<T: Clone + Send + Sync + 'static>() {}
    // Also when the custom claims themselves are not Clone.
    assert_shareable::<VerifiedToken<Branch>>();
    fn assert_send<T: Send>(_: T) {}
    let verifier = access_verifier();
    assert_send(verifier.accept::<Branch>("x"));
}

/// One of every kind.
fn every_error() -> Vec<Error> {
    let what = "a part";
    let source = || StoreError::Unavailable("connection refused".into());
    vec![
        Error::TooLarge { what, limit: 1 },
        Error::NotCompact,
        Error::Base64 { what },
        Error::Json {
            what,
            detail: "syntax error".into(),
        },
        Error::DuplicateMember { what },
        Error::TooDeep { what, limit: 1 },
        Error::TooManyMembers { what, limit: 1 },
        Error::MissingHeader { name: "alg" },
        Error::HeaderType { name: "alg" },
        Error::CriticalHeader,
        Error::UnencodedPayload,
        Error::AlgorithmMismatch,
        Error::CurveMismatch,
        Error::TypeMismatch { expected: "at+jwt" },
        Error::UnknownIssuer,
        Error::KeysUnavailable("too old".into()),
        Error::UnknownKey { kid: "k".into() },
        Error::BadSignature,
        Error::MissingClaim {
            claim: "sub".into(),
        },
        Error::ClaimType { claim: "sub" },
        Error::ExtraClaims {
            detail: "wrong type".into(),
        },
        Error::Expired,
        Error::NotYetValid,
        Error::IssuedInFuture,
        Error::TooOld,
        Error::Lifetime,
        Error::WrongAudience,
        Error::KidMismatch,
        Error::WrongSubject,
        Error::AuthenticationTooOld,
        Error::AuthenticationTooWeak,
        Error::NotBound,
        Error::UnknownConfirmation,
        Error::ProofMissing { what },
        Error::ProofMismatch { what },
        Error::DpopProof { rule: "it is late" },
        Error::DpopProofForm(Box::new(Error::NotCompact)),
        Error::DpopNonce {
            nonce: "n".to_owned(),
        },
        Error::ProofReplayed,
        Error::ReplayCheckRequired,
        Error::Replayed,
        Error::ReplayStore(source()),
        Error::RevocationCheckRequired,
        Error::Revoked,
        Error::RevocationStore(source()),
        Error::RefreshReused,
        Error::JwsForm { member: "payload" },
        Error::PayloadType,
        Error::NotEnoughSignatures { wanted: 2, hold: 1 },
        Error::Artifact {
            rule: "it is another",
        },
        Error::Io(std::io::Error::other("x")),
        Error::MalformedToken,
        Error::Inactive,
        Error::Introspection("x".to_owned()),
        Error::BadApiKey,
        Error::ApiKeyStore(source()),
        Error::TokenInput,
        Error::MissingCredentials,
        Error::MalformedCredentials,
        Error::Key { what, why: "short" },
        Error::WrongAlgorithm {
            what,
            field: "kty",
            found: "RSA".into(),
            expected: "EC",
        },
        Error::Config("no issuer".into()),
        Error::ExtraCollides { name: "sub".into() },
        Error::Random,
        Error::Signer("no session".into()),
        Error::SignerGaveWrongSignature,
    ]
}

#[test]
fn error_codes_are_distinct_and_stable_in_form() {
    let errors = every_error();
    let codes: std::collections::HashSet<_> = errors.iter().map(Error::code).collect();
    assert_eq!(codes.len(), errors.len());
    for code in codes {
        assert!(
            code.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'),
            "{code}"
        );
    }
    for error in errors {
        let message = error.to_string();
        assert!(
            !message.is_empty() && !message.starts_with(|first: char| first.is_uppercase()),
            "{message}"
        );
        // What this side stands on, and nothing that the token is to blame for.
        let transient = matches!(
            error.code(),
            "keys_unavailable"
                | "replay_store_failed"
                | "revocation_store_failed"
                | "api_key_store_failed"
                | "introspection_failed"
                | "signer_failed"
                | "random_failed"
        );
        assert_eq!(error.is_transient(), transient, "{message}");
    }
}
