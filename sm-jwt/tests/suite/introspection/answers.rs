//! What is asked, what an answer must be, what binds a token, TLS and configurations.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::*;
use serde::Deserialize;
use tokio::time::advance;

#[tokio::test]
async fn a_token_is_asked_about() {
    let server = Server::start(says(&active()));
    let client = client(&server);
    let token = client.introspect("a+b/c= d~").await.unwrap();

    let request = server.next_request().unwrap();
    assert_eq!((&*request.method, &*request.path), ("POST", "/introspect"));
    let header = |name| request.headers[name].to_str().unwrap();
    assert_eq!(header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(header("accept"), "application/json");
    // core%20banking:s3cret%26
    assert_eq!(
        header("authorization"),
        "Basic Y29yZSUyMGJhbmtpbmc6czNjcmV0JTI2"
    );
    assert_eq!(
        String::from_utf8(request.body).unwrap(),
        "token=a%2Bb%2Fc%3D%20d%7E&token_type_hint=access_token"
    );

    assert_eq!((token.issuer(), token.audience().len()), (ISSUER, 2));
    assert_eq!(
        (token.expires_at(), token.issued_at()),
        (NOW + 600, Some(NOW - 10))
    );
    assert_eq!(
        (token.subject(), token.client_id()),
        (Some("user-1"), Some("app-1"))
    );
    assert_eq!(
        (token.username(), token.token_type()),
        (Some("mei"), Some("Bearer"))
    );
    assert_eq!((token.token_id(), token.not_before()), (Some("id-1"), None));
    assert_eq!(
        (token.tenant_id(), token.has_role("teller")),
        (Some("bank-a"), true)
    );
    assert!(token.has_scope("payments") && !token.has_scope("pay"));
    assert!(token.confirmation().is_none());
    #[derive(Deserialize)]
    struct Extra {
        branch: String,
    }
    assert_eq!(token.extra::<Extra>().unwrap().branch, "0755");
    #[derive(Deserialize, Debug)]
    struct Other {
        _branch: u32,
    }
    assert_eq!(
        token.extra::<Other>().unwrap_err().code(),
        "bad_extra_claims"
    );
    let shown = format!("{token:?} {client:?}");
    assert!(
        !shown.contains("user-1") && !shown.contains("s3cret"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_token_of_this_services_own_serves_for_asking() {
    let server = Server::start(says(&active()));
    let config = IntrospectionConfig::new(
        server.url("/introspect"),
        ClientAuthentication::bearer("mine").unwrap(),
    )
    .allow_plain_http()
    .issuer(ISSUER)
    .audience(AUDIENCE)
    .clock(Arc::new(clock()));
    let client = IntrospectionClient::new(config).unwrap();
    assert_eq!(ask(&client, TOKEN).await, "ok");
    let request = server.next_request().unwrap();
    assert_eq!(request.headers["authorization"], "Bearer mine");
}

#[tokio::test]
async fn what_an_answer_must_say() {
    let server = Server::start(says(&active()));
    let strict = config(&server)
        .require_claim("sub")
        .require_claim("jti")
        .remember(Duration::ZERO, Duration::ZERO);
    let client = IntrospectionClient::new(strict).unwrap();
    for (changes, code) in [
        (json!({}), "ok"),
        (json!({ "active": false }), "inactive_token"),
        (
            json!({ "active": false, "exp": "soon", "aud": 1 }),
            "inactive_token",
        ),
        (json!({ "active": "true" }), "introspection_failed"),
        (json!({ "active": 1 }), "introspection_failed"),
        (json!({ "active": null }), "introspection_failed"),
        (json!({ "iss": "https://other.example" }), "unknown_issuer"),
        (json!({ "iss": null }), "missing_claim"),
        (json!({ "iss": [ISSUER] }), "introspection_failed"),
        (json!({ "aud": "other" }), "wrong_audience"),
        (json!({ "aud": AUDIENCE }), "ok"),
        (json!({ "aud": null }), "missing_claim"),
        (json!({ "aud": [] }), "introspection_failed"),
        // The leeway is 30 s.
        (json!({ "exp": NOW - 29 }), "ok"),
        (json!({ "exp": NOW - 30 }), "expired"),
        (json!({ "exp": 0 }), "expired"),
        (json!({ "exp": null }), "missing_claim"),
        (json!({ "exp": "1800000000" }), "introspection_failed"),
        (json!({ "exp": 1.8e9 }), "introspection_failed"),
        (json!({ "exp": -1 }), "introspection_failed"),
        (json!({ "exp": u64::MAX }), "ok"),
        (json!({ "nbf": NOW + 30 }), "ok"),
        (json!({ "nbf": NOW + 31 }), "not_yet_valid"),
        (json!({ "iat": NOW + 31 }), "issued_in_future"),
        (
            json!({ "iat": null, "client_id": null, "scope": null }),
            "ok",
        ),
        (json!({ "sub": null }), "missing_claim"),
        (json!({ "jti": null }), "missing_claim"),
        (json!({ "sub": "" }), "introspection_failed"),
        (json!({ "sub": 17 }), "introspection_failed"),
        (json!({ "client_id": {} }), "introspection_failed"),
        (json!({ "scope": ["a"] }), "introspection_failed"),
        (json!({ "scope": " a" }), "introspection_failed"),
        (json!({ "username": 1 }), "introspection_failed"),
        (json!({ "cnf": {} }), "unknown_confirmation"),
        (json!({ "cnf": { "jwk": {} } }), "unknown_confirmation"),
        (
            json!({ "cnf": { "x5t#S256": "short" } }),
            "introspection_failed",
        ),
        (json!({ "token_type": "dpop" }), "unknown_confirmation"),
    ] {
        server.reply(says(&with(active(), changes.clone())));
        assert_eq!(ask(&client, TOKEN).await, code, "{changes}");
    }
    // A member that is `null` is not taken for one that is not there, but where that is harmless.
    server.reply(says(&json!({ "active": true, "exp": null })));
    assert_eq!(ask(&client, TOKEN).await, "introspection_failed");
}

#[tokio::test]
async fn whatever_fails_refuses_and_is_not_remembered() {
    let server = Server::start(says(&active()));
    let client = IntrospectionClient::new(config(&server).max_bytes(2048)).unwrap();
    let good = active().to_string();
    let long = with(active(), json!({ "x": "y".repeat(3000) }));
    let answers = [
        (Reply::json(""), "not a JSON object"),
        (Reply::json("null"), "not a JSON object"),
        (Reply::json("[]"), "not a JSON object"),
        (Reply::json("[true,null,null]"), "not a JSON object"),
        (Reply::json(&good[..good.len() - 1]), "not a JSON object"),
        (
            Reply::json(r#"{"active":false,"active":true}"#),
            "the same JSON member twice",
        ),
        (Reply::json("{}"), "not a JSON object"),
        (says(&long), "longer than its limit of 2048"),
        (
            Reply::json("").body(Content::Endless),
            "longer than its limit of 2048",
        ),
        (
            Reply::json("").body(Content::Breaks(good[..40].into())),
            "no answer",
        ),
        (
            Reply::json(good.clone()).header("content-type", "text/html"),
            "content type",
        ),
        (
            Reply::json(good.clone()).header("content-type", "application/token-introspection+jwt"),
            "content type",
        ),
        (
            Reply {
                status: 307,
                ..Reply::json(good.clone())
            }
            .header("location", server.url("/else")),
            "redirect (307)",
        ),
        (
            Reply {
                status: 401,
                ..Reply::json(good.clone())
            },
            "status 401",
        ),
        (
            Reply {
                status: 500,
                ..Reply::json(good.clone())
            },
            "status 500",
        ),
        (
            Reply {
                status: 201,
                ..Reply::json(good.clone())
            },
            "status 201",
        ),
    ];
    for (answer, why) in answers {
        server.reply(answer);
        for _ in 0..2 {
            let before = server.requests();
            let error = client.introspect(TOKEN).await.unwrap_err();
            assert_eq!(error.code(), "introspection_failed");
            assert!(error.is_transient());
            let text = error.to_string();
            assert!(text.contains(why), "{text}: not {why}");
            assert!(text.contains(&server.url("/introspect")), "{text}");
            for secret in ["yyy", "user-1", TOKEN, "Y29yZ"] {
                assert!(!text.contains(secret), "{text}");
            }
            assert_eq!(server.requests(), before + 1, "{why}");
        }
    }
    server.reply(says(&active()));
    assert_eq!(ask(&client, TOKEN).await, "ok");
    while let Some(request) = server.next_request() {
        assert_eq!(request.path, "/introspect", "a redirect was followed");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_gone_refuses() {
    let mut server = Server::start(says(&active()));
    let client = client(&server);
    server.stop();
    let error = client.introspect(TOKEN).await.unwrap_err();
    assert_eq!(error.code(), "introspection_failed");
    assert!(error.to_string().contains("no answer"), "{error}");
}

#[test]
fn an_endpoint_that_is_slow_refuses() {
    with_still_time(async {
        let server = Server::start(says(&active()));
        let client = client(&server);
        let half = active().to_string()[..50].into();
        for slow in [Content::Stalls(half), Content::Silent] {
            let before = server.requests();
            server.reply(says(&active()).body(slow));
            let asking = {
                let client = Arc::clone(&client);
                tokio::spawn(async move { client.introspect(TOKEN).await })
            };
            until("the request", || server.requests() == before + 1).await;
            advance(SECOND * 5 - Duration::from_millis(5)).await;
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert!(!asking.is_finished());
            advance(Duration::from_millis(10)).await;
            let error = asking.await.unwrap().unwrap_err();
            assert_eq!(error.code(), "introspection_failed");
            assert!(error.to_string().contains("within 5000 ms"), "{error}");
        }
    });
}

#[tokio::test]
async fn bound_to_a_certificate() {
    let server = Server::start(says(&active()));
    let client = client(&server);
    let cnf = json!(Confirmation::certificate(CERTIFICATE));
    assert!(cnf.get("x5t#S256").is_some() && cnf.get("x5t#SM3").is_some());
    server.reply(says(&with(active(), json!({ "cnf": cnf }))));
    let right = Presented::new().certificate(CERTIFICATE);
    let other = Presented::new().certificate(b"another");
    assert_eq!(ask_with(&client, TOKEN, &right).await, "ok");
    // Every time, also when the answer is remembered.
    assert_eq!(ask(&client, TOKEN).await, "proof_missing");
    assert_eq!(ask_with(&client, TOKEN, &other).await, "proof_mismatch");
    assert_eq!(ask_with(&client, TOKEN, &right).await, "ok");
    assert_eq!(server.requests(), 1);

    // Any one that does not match is enough.
    let mut half = cnf.clone();
    half["x5t#SM3"] = b64([0u8; 32]).into();
    server.reply(says(&with(active(), json!({ "cnf": half }))));
    assert_eq!(ask_with(&client, "half", &right).await, "proof_mismatch");
    let mut more = cnf.clone();
    more["kid"] = "a".into();
    server.reply(says(&with(active(), json!({ "cnf": more }))));
    assert_eq!(
        ask_with(&client, "more", &right).await,
        "unknown_confirmation"
    );

    let strict = IntrospectionClient::new(config(&server).require_binding()).unwrap();
    server.reply(says(&active()));
    assert_eq!(ask_with(&strict, TOKEN, &right).await, "not_bound");
    server.reply(says(&with(active(), json!({ "cnf": cnf }))));
    assert_eq!(ask_with(&strict, "bound", &right).await, "ok");
}

#[tokio::test]
async fn bound_to_a_dpop_key() {
    const URI: &str = "https://api.bank.example/pay";
    let prover = || {
        DpopProver::new(SigningKey::generate().unwrap(), Profile::default())
            .unwrap()
            .with_clock(Arc::new(clock()))
    };
    let (mine, other) = (prover(), prover());
    let cnf = json!(Confirmation::dpop_key(mine.key()));
    let answer = with(active(), json!({ "cnf": cnf, "token_type": "DPoP" }));
    let server = Server::start(says(&answer));
    let proof = |prover: &DpopProver, token| prover.proof("POST", URI, Some(token), None).unwrap();

    // Without a policy nobody can check a proof.
    let right = proof(&mine, TOKEN);
    let presented = Presented::new().dpop(&right, "POST", URI);
    assert_eq!(
        ask_with(&client(&server), TOKEN, &presented).await,
        "proof_missing"
    );

    let store = Arc::new(MemoryReplayStore::new(100, Arc::new(clock())));
    let client = IntrospectionClient::new(config(&server).dpop(DpopPolicy::new(store))).unwrap();
    assert_eq!(ask(&client, TOKEN).await, "proof_missing");
    assert_eq!(ask_with(&client, TOKEN, &presented).await, "ok");
    assert_eq!(
        ask_with(&client, TOKEN, &presented).await,
        "dpop_proof_replayed"
    );
    for (proof, code) in [
        (proof(&other, TOKEN), "proof_mismatch"),
        (proof(&mine, "another token"), "bad_dpop_proof"),
        (proof(&mine, TOKEN), "ok"),
    ] {
        let presented = Presented::new().dpop(&proof, "POST", URI);
        assert_eq!(ask_with(&client, TOKEN, &presented).await, code);
    }
    let elsewhere = proof(&mine, TOKEN);
    let presented = Presented::new().dpop(&elsewhere, "GET", URI);
    assert_eq!(ask_with(&client, TOKEN, &presented).await, "bad_dpop_proof");
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn bound_to_a_second_factor() {
    let value = [7u8; 32];
    let key = || FactorKey::new(kid("factors"), &[9u8; 32]).unwrap();
    let factor_key = key();
    let factor = Factor::new("hwk", &factor_key, &value).unwrap();
    let token = signer()
        .sign_with_factor(&claims(), TokenType::Access, &NoExtra, &factor)
        .unwrap();
    // What the issuer put into a token is what it says of it.
    let payload: Value = serde_json::from_slice(&unb64(token.split('.').nth(1).unwrap())).unwrap();
    let said = json!({ "ext": payload["ext"], "sub": payload["sub"], "jti": payload["jti"] });
    let server = Server::start(says(&with(active(), said)));
    let right = Presented::new().factor(&value);
    assert_eq!(
        ask_with(&client(&server), TOKEN, &right).await,
        "proof_mismatch",
        "no key"
    );
    let client = IntrospectionClient::new(config(&server).factor_key(key())).unwrap();
    assert_eq!(ask_with(&client, TOKEN, &right).await, "ok");
    assert_eq!(ask(&client, TOKEN).await, "proof_missing");
    let wrong = Presented::new().factor(&[8u8; 32]);
    assert_eq!(ask_with(&client, TOKEN, &wrong).await, "proof_mismatch");
}

#[tokio::test]
async fn what_is_no_token_is_not_asked_about() {
    let server = Server::start(says(&active()));
    let client = IntrospectionClient::new(config(&server).max_token_bytes(100)).unwrap();
    for (token, code) in [
        (String::new(), "malformed_token"),
        ("a\nb".to_owned(), "malformed_token"),
        ("a\0".to_owned(), "malformed_token"),
        ("\u{4e2d}".to_owned(), "malformed_token"),
        ("a".repeat(101), "too_large"),
    ] {
        assert_eq!(ask(&client, &token).await, code, "{token:?}");
    }
    assert_eq!(server.requests(), 0);
    assert_eq!(ask(&client, &"a".repeat(100)).await, "ok");
}

#[tokio::test]
async fn tls_with_a_known_ca_alone() {
    let (ca, other_ca) = (Ca::new("127.0.0.1"), Ca::new("127.0.0.1"));
    let server = Server::start_tls(says(&active()), Arc::clone(&ca.server));
    let client = |tls| {
        let config = IntrospectionConfig::new(server.url("/introspect"), authentication())
            .tls(Arc::new(tls))
            .issuer(ISSUER)
            .audience(AUDIENCE)
            .clock(Arc::new(clock()));
        IntrospectionClient::new(config).unwrap()
    };
    let good = client(ca.client());
    for i in 0..3 {
        assert_eq!(ask(&good, &format!("token-{i}")).await, "ok");
    }
    assert_eq!(server.requests(), 3);
    let error = client(other_ca.client())
        .introspect(TOKEN)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "introspection_failed");
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    assert_eq!(server.requests(), 3);
}

#[test]
fn wrong_configurations() {
    let url = "https://issuer.example/introspect";
    let tls = Arc::new(Ca::new("issuer.example").client());
    let at = |url: &str| {
        IntrospectionConfig::new(url, authentication())
            .tls(Arc::clone(&tls))
            .issuer(ISSUER)
            .audience(AUDIENCE)
    };
    let good = || at(url);
    assert!(IntrospectionClient::new(good()).is_ok());
    let bare = || IntrospectionConfig::new(url, authentication());
    let dpop = DpopPolicy::new(Arc::new(MemoryReplayStore::new(1, Arc::new(clock()))));
    let factor_key = || FactorKey::new(kid("a"), &[9u8; 32]).unwrap();
    for (wrong, why) in [
        (
            bare().issuer(ISSUER).audience(AUDIENCE),
            "TLS configuration",
        ),
        (bare().tls(Arc::clone(&tls)).audience(AUDIENCE), "an issuer"),
        (bare().tls(Arc::clone(&tls)).issuer(ISSUER), "an audience"),
        (good().audience(""), "an audience"),
        (at("http://issuer.example/"), "plain HTTP was not allowed"),
        (
            at("https://user:secret@issuer.example/"),
            "user information",
        ),
        (good().leeway(SECOND * 301), "leeway"),
        (good().remember(SECOND * 301, SECOND), "remembered"),
        (good().remember(SECOND * 300, SECOND * 61), "remembered"),
        (good().remember(SECOND, SECOND * 2), "no longer than"),
        (good().connections(0), "connections"),
        (good().connections(1025), "connections"),
        (good().max_bytes(0), "longer than nothing"),
        (good().max_bytes(256 * 1024 + 1), "256 KiB"),
        (good().timeout(Duration::ZERO), "timeout"),
        (good().timeout(SECOND * 61), "timeout"),
        (good().dpop(dpop.max_age(SECOND * 601)), "600 seconds"),
        (
            good().factor_key(factor_key()).factor_key(factor_key()),
            "two factor keys",
        ),
    ] {
        let error = IntrospectionClient::new(wrong).unwrap_err();
        assert_eq!(error.code(), "bad_configuration", "{why}");
        assert!(error.to_string().contains(why), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

/// Outside of a runtime there is an error, and no panic.
#[test]
fn without_a_runtime() {
    let server = Server::start(says(&active()));
    let client = client(&server);
    let mut context = Context::from_waker(Waker::noop());
    let outcome = pin!(client.introspect(TOKEN)).poll(&mut context);
    let Poll::Ready(Err(error)) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(error.code(), "introspection_failed");
    assert!(error.to_string().contains("Tokio runtime"), "{error}");

    // A runtime that ends while it asks leaves nothing behind.
    server.set_open(false);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = Arc::clone(&client);
        tokio::spawn(async move { client.introspect(TOKEN).await });
        until("the request", || server.requests() == 1).await;
    });
    drop(runtime);
    server.set_open(true);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    assert_eq!(runtime.block_on(ask(&client, TOKEN)), "ok");
}
