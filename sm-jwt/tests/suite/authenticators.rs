//! Ways to authenticate a request, over the tower layer: tokens with their proofs, API keys, and a chain of ways.

use std::sync::Arc;

use crate::requests::*;
use crate::support::*;
use axum::Router;
use axum::body::Body;
use axum::routing::any;
use http::header::{AUTHORIZATION, HeaderName};
use http::{Method, Request, StatusCode};
use sm_jwt::*;
use tower::ServiceExt as _;

const PEPPER: &[u8] = b"0123456789abcdef";

fn prover() -> DpopProver {
    DpopProver::new(SigningKey::generate().unwrap(), Profile::default())
        .unwrap()
        .with_clock(Arc::new(clock()))
}

fn dpop_verifier(policy: impl FnOnce(DpopPolicy) -> DpopPolicy) -> Arc<Verifier> {
    let store = Arc::new(MemoryReplayStore::new(1000, Arc::new(clock())));
    let policy = policy(DpopPolicy::new(store));
    Arc::new(access_builder().dpop(policy).build().unwrap())
}

fn bound_token(prover: &DpopProver) -> String {
    let claims = claims().confirmation(Confirmation::dpop_key(prover.key()));
    signer().sign(&claims, TokenType::Access, &NoExtra).unwrap()
}

fn api_keys() -> (ApiKeyAuthenticator, String) {
    let (text, mut record) = Pepper::new(PEPPER)
        .unwrap()
        .generate("batch-1", "batch")
        .unwrap();
    record.tenant = Some("bank-a".to_owned());
    record.roles = vec!["loader".to_owned()];
    let store = Arc::new(MemoryApiKeys::new([record]).unwrap());
    let authenticator = ApiKeyAuthenticator::new(Pepper::new(PEPPER).unwrap(), store);
    (authenticator.clock(Arc::new(clock())), text.to_string())
}

#[tokio::test]
async fn dpop_tokens_pass_with_a_fresh_proof_for_this_request_alone() {
    let prover = prover();
    let token = bound_token(&prover);
    let authenticator = TokenAuthenticator::<NoExtra>::new(dpop_verifier(|policy| policy))
        .public_origin(ORIGIN)
        .unwrap();
    let app = app(authenticator);
    let call = |token: &str, proofs: &[&str]| {
        let mut call =
            Call::get("/accounts/17?page=2").header("authorization", &format!("DPoP {token}"));
        for proof in proofs {
            call = call.header("dpop", proof);
        }
        call
    };
    let proof = |method: &str, uri: &str| prover.proof(method, uri, Some(&token), None).unwrap();
    let good = proof("GET", "https://api.bank.example/accounts/17");
    assert_eq!(
        text(call(&token, &[&good]).send(&app).await).await,
        "Token user-1 true"
    );
    // The same proof again is a replay; two proofs, or none, are no proof.
    let again = call(&token, &[&good]).send(&app).await;
    assert_eq!(refusal_code(&again), "dpop_proof_replayed");
    assert_eq!(again.status(), StatusCode::UNAUTHORIZED);
    let (a, b) = (
        proof("GET", "https://api.bank.example/accounts/17"),
        proof("GET", "https://api.bank.example/accounts/17"),
    );
    assert_eq!(
        refusal_code(&call(&token, &[&a, &b]).send(&app).await),
        "malformed_credentials"
    );
    let none = call(&token, &[]).send(&app).await;
    assert_eq!(refusal_code(&none), "proof_missing");
    assert_eq!(
        challenges(&none),
        [
            r#"Bearer error="invalid_token""#,
            r#"DPoP error="invalid_dpop_proof", algs="SGD_SM3_SM2""#
        ]
    );
    // One that cannot be read is the proof's fault, not the token's.
    let unreadable = call(&token, &["a.b"]).send(&app).await;
    assert_eq!(refusal_code(&unreadable), "unreadable_dpop_proof");
    assert_eq!(challenges(&unreadable), challenges(&none));
    // For another method, place or token.
    for (method, uri) in [
        ("POST", "https://api.bank.example/accounts/17"),
        ("GET", "https://api.bank.example/accounts/18"),
        ("GET", "http://api.bank.example/accounts/17"),
        ("GET", "https://other.example/accounts/17"),
    ] {
        let wrong = proof(method, uri);
        assert_eq!(
            refusal_code(&call(&token, &[&wrong]).send(&app).await),
            "bad_dpop_proof",
            "{method} {uri}"
        );
    }
    let other = prover
        .proof(
            "GET",
            "https://api.bank.example/accounts/17",
            Some("another"),
            None,
        )
        .unwrap();
    assert_eq!(
        refusal_code(&call(&token, &[&other]).send(&app).await),
        "bad_dpop_proof"
    );
    // A bound token is no bearer token, with or without a proof beside it.
    let downgraded = Call::get("/accounts/17")
        .bearer(&token)
        .header("dpop", &a)
        .send(&app)
        .await;
    assert_eq!(refusal_code(&downgraded), "proof_missing");
    // And one that is bound to nothing does not become bound by a proof beside it.
    let loose = access_token();
    let proof = prover
        .proof(
            "GET",
            "https://api.bank.example/accounts/17",
            Some(&loose),
            None,
        )
        .unwrap();
    assert_eq!(
        refusal_code(&call(&loose, &[&proof]).send(&app).await),
        "not_bound"
    );
    assert_eq!(
        text(Call::get("/a").bearer(&loose).send(&app).await).await,
        "Token user-1 true"
    );
}

#[tokio::test]
async fn a_client_is_told_the_nonce_to_use() {
    let prover = prover();
    let token = bound_token(&prover);
    let nonces = Arc::new(DpopNonces::generate().unwrap());
    let verifier = dpop_verifier(|policy| policy.nonces(nonces));
    let app = app(TokenAuthenticator::<NoExtra>::new(verifier)
        .public_origin(ORIGIN)
        .unwrap());
    let call = |nonce: Option<&str>| {
        let proof = prover
            .proof("GET", "https://api.bank.example/a", Some(&token), nonce)
            .unwrap();
        Call::get("/a")
            .header("authorization", &format!("DPoP {token}"))
            .header("dpop", &proof)
    };
    let refused = call(None).send(&app).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        challenges(&refused)[1],
        r#"DPoP error="use_dpop_nonce", algs="SGD_SM3_SM2""#
    );
    let nonce = refused.headers()["dpop-nonce"].to_str().unwrap().to_owned();
    assert_eq!(
        text(call(Some(&nonce)).send(&app).await).await,
        "Token user-1 true"
    );
    assert_eq!(
        refusal_code(&call(Some("made-up")).send(&app).await),
        "dpop_nonce_required"
    );
}

#[tokio::test]
async fn certificates_come_from_the_connection_and_from_nowhere_else() {
    let certificate = b"a certificate in DER";
    let claims = claims().confirmation(Confirmation::certificate(certificate));
    let token = signer().sign(&claims, TokenType::Access, &NoExtra).unwrap();
    let app = app(TokenAuthenticator::<NoExtra>::new(Arc::new(
        access_verifier(),
    )));
    let send = async |certificate: Option<&[u8]>| {
        let mut request = Request::get("/a")
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header("x-client-cert", "a certificate in DER")
            .body(Body::empty())
            .unwrap();
        if let Some(der) = certificate {
            request
                .extensions_mut()
                .insert(ClientCertificate::new(der.to_vec()));
        }
        app.clone().oneshot(request).await.unwrap()
    };
    assert_eq!(
        text(send(Some(certificate)).await).await,
        "Token user-1 true"
    );
    assert_eq!(refusal_code(&send(None).await), "proof_missing");
    assert_eq!(
        refusal_code(&send(Some(b"another")).await),
        "proof_mismatch"
    );
}

#[tokio::test]
async fn factors_come_from_the_header_that_was_named() {
    let key = || FactorKey::new(kid("factors"), &[7; 32]).unwrap();
    let value = [9u8; 24];
    let verifier = Arc::new(access_builder().factor_key(key()).build().unwrap());
    let shared = key();
    let factor = Factor::new("hwk", &shared, &value).unwrap();
    let token = signer()
        .sign_with_factor(&claims(), TokenType::Access, &NoExtra, &factor)
        .unwrap();
    let name = HeaderName::from_static("x-factor");
    let app = app(TokenAuthenticator::<NoExtra>::new(verifier).factor_header(name));
    let call = |factor: &str| Call::get("/a").bearer(&token).header("x-factor", factor);
    assert_eq!(
        text(call(&b64(value)).send(&app).await).await,
        "Token user-1 true"
    );
    assert_eq!(
        refusal_code(&Call::get("/a").bearer(&token).send(&app).await),
        "proof_missing"
    );
    assert_eq!(
        refusal_code(&call(&b64([8u8; 24])).send(&app).await),
        "proof_mismatch"
    );
    for malformed in ["", "!", "AAA=", "A"] {
        assert_ne!(
            call(malformed).send(&app).await.status(),
            StatusCode::OK,
            "{malformed}"
        );
    }
    assert_eq!(
        refusal_code(&call("AAA=").send(&app).await),
        "malformed_credentials"
    );
    assert_eq!(
        refusal_code(&call(&b64(value)).header("x-factor", "A").send(&app).await),
        "malformed_credentials"
    );
}

#[tokio::test]
async fn api_keys_open_what_their_record_says() {
    let (keys, text_of_key) = api_keys();
    let app = app(keys);
    let call = |key: &str| Call::get("/a").header("x-api-key", key);
    assert_eq!(
        text(call(&text_of_key).send(&app).await).await,
        "ApiKey batch false"
    );
    let none = Call::get("/a").send(&app).await;
    assert_eq!(
        (refusal_code(&none), none.status()),
        ("missing_credentials", StatusCode::UNAUTHORIZED)
    );
    assert_eq!(challenges(&none), [r#"ApiKey header="x-api-key""#]);
    let mut swapped = text_of_key.clone();
    let last = if swapped.pop() == Some('A') { 'E' } else { 'A' };
    swapped.push(last);
    for wrong in [
        "",
        "smk_",
        "smk_batch-1",
        "smk_batch-1_",
        "smk_batch-1_AAAA",
        &swapped,
        &text_of_key.replace("batch-1", "batch-2"),
        &text_of_key.replace("smk_", ""),
        &format!("{text_of_key}A"),
        &format!("{text_of_key}="),
        &format!("{text_of_key} "),
        &text_of_key.to_uppercase(),
        &format!("smk_{}_{}", "a".repeat(65), "A".repeat(43)),
    ] {
        let refused = call(wrong).send(&app).await;
        assert_eq!(refusal_code(&refused), "bad_api_key", "{wrong}");
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(
        refusal_code(
            &call(&text_of_key)
                .header("x-api-key", &text_of_key)
                .send(&app)
                .await
        ),
        "malformed_credentials"
    );
    let shown = format!("{:?} {:?}", api_keys().0, Pepper::new(PEPPER).unwrap());
    assert!(!shown.contains("0123456789"), "{shown}");
}

#[tokio::test]
async fn api_keys_end_and_are_switched_off_and_need_their_pepper() {
    let pepper = Pepper::new(PEPPER).unwrap();
    let (text_of_key, record) = pepper.generate("k", "batch").unwrap();
    let check = async |record: ApiKeyRecord, pepper: &[u8], time: u64| {
        let store = Arc::new(MemoryApiKeys::new([record]).unwrap());
        let authenticator = ApiKeyAuthenticator::new(Pepper::new(pepper).unwrap(), store);
        let authenticator = authenticator.clock(Arc::new(ManualClock::new(time)));
        match authenticator.check(&text_of_key).await {
            Ok(record) => record.subject,
            Err(error) => error.code().to_owned(),
        }
    };
    let with = |change: fn(&mut ApiKeyRecord)| {
        let mut record = record.clone();
        change(&mut record);
        record
    };
    assert_eq!(check(record.clone(), PEPPER, NOW).await, "batch");
    assert_eq!(
        check(with(|r| r.disabled = true), PEPPER, NOW).await,
        "bad_api_key"
    );
    assert_eq!(
        check(with(|r| r.expires_at = Some(NOW + 1)), PEPPER, NOW).await,
        "batch"
    );
    assert_eq!(
        check(with(|r| r.expires_at = Some(NOW)), PEPPER, NOW).await,
        "bad_api_key"
    );
    assert_eq!(
        check(record.clone(), b"another pepper, 16+", NOW).await,
        "bad_api_key"
    );
    // A hash serves its own identifier alone.
    assert_eq!(
        check(with(|r| r.id = "other".into()), PEPPER, NOW).await,
        "bad_api_key"
    );
    // The form that is promised, by RustCrypto.
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let secret = unb64(text_of_key.rsplit_once("smk_k_").unwrap().1);
    let mut mac = Hmac::<sm3::Sm3>::new_from_slice(PEPPER).unwrap();
    for part in [&b"smjwt/api-key/1"[..], b"k", &secret] {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    assert_eq!(record.hash, b64(mac.finalize().into_bytes()));
    // Set-up that cannot be right.
    assert_eq!(
        MemoryApiKeys::new([record.clone(), record.clone()])
            .unwrap_err()
            .code(),
        "bad_configuration"
    );
    assert_eq!(
        MemoryApiKeys::new([with(|r| r.hash = "AAAA".into())])
            .unwrap_err()
            .code(),
        "bad_configuration"
    );
    assert_eq!(
        Pepper::new(&[1; 15]).unwrap_err().code(),
        "bad_configuration"
    );
    for id in ["", "a_b", "a b", "\u{e4}", &"a".repeat(65)] {
        assert!(pepper.generate(id, "x").is_err(), "{id}");
    }
    let json = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<ApiKeyRecord>(&json).unwrap(), record);
    assert!(
        serde_json::from_str::<ApiKeyRecord>(&json.replace("\"id\"", "\"x\":1,\"id\"")).is_err()
    );
}

#[tokio::test]
async fn a_chain_is_decided_by_the_first_way_that_has_credentials() {
    let (keys, key) = api_keys();
    let tokens = TokenAuthenticator::<NoExtra>::new(Arc::new(access_verifier()));
    let app = app(Chain::new().then(tokens).then(keys));
    assert_eq!(
        text(Call::get("/a").bearer(&access_token()).send(&app).await).await,
        "Token user-1 true"
    );
    assert_eq!(
        text(Call::get("/a").header("x-api-key", &key).send(&app).await).await,
        "ApiKey batch false"
    );
    // Bad credentials are never made good by others beside them.
    let both = Call::get("/a")
        .bearer("x.y.z")
        .header("x-api-key", &key)
        .send(&app)
        .await;
    assert_eq!(refusal_code(&both), "bad_base64");
    // Nor is what nearly is a bearer token.
    for nearly in ["Bearer\tx.y.z", "Bearer,x", "bearer"] {
        let response = Call::get("/a")
            .header("authorization", nearly)
            .header("x-api-key", &key)
            .send(&app)
            .await;
        assert_eq!(refusal_code(&response), "malformed_credentials", "{nearly}");
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    }
    // A wrong key says nothing of a token that nobody sent.
    let wrong =
        Call::get("/a").header("x-api-key", &key.replace(|c: char| c.is_ascii_digit(), "0"));
    let wrong = wrong.send(&app).await;
    assert_eq!(refusal_code(&wrong), "bad_api_key");
    let both = ["Bearer", r#"ApiKey header="x-api-key""#];
    assert_eq!(challenges(&wrong), both);
    let none = Call::get("/a")
        .header("authorization", "Basic eA==")
        .send(&app)
        .await;
    assert_eq!(refusal_code(&none), "missing_credentials");
    assert_eq!(challenges(&none), both);
    let empty = self::app(Chain::new());
    assert_eq!(
        refusal_code(&Call::get("/a").bearer(&access_token()).send(&empty).await),
        "missing_credentials"
    );
}

/// A way that takes whatever the first leaves.
#[derive(Debug)]
struct Opaque;

impl Authenticator for Opaque {
    fn authenticate<'a>(
        &'a self,
        request: &'a http::request::Parts,
    ) -> BoxFuture<'a, Result<Option<Authenticated>, Error>> {
        let has = request.headers.contains_key(AUTHORIZATION);
        Box::pin(async move {
            let identity =
                Identity::new(AuthenticatedBy::Introspection, "opaque").with_scopes(["read"]);
            Ok(has.then(|| Authenticated::new(identity).with(17_u32)))
        })
    }

    fn clear(&self, extensions: &mut http::Extensions) {
        extensions.remove::<u32>();
    }

    fn challenges(&self, _: &Error) -> Vec<http::HeaderValue> {
        vec![http::HeaderValue::from_static("Bearer")]
    }
}

#[tokio::test]
async fn opaque_tokens_are_left_to_the_next_way() {
    let tokens = || TokenAuthenticator::<NoExtra>::new(Arc::new(access_verifier()));
    let app = app(Chain::new()
        .then(tokens().leave_opaque_tokens())
        .then(Opaque));
    assert_eq!(
        text(Call::get("/a").bearer("opaque").send(&app).await).await,
        "Introspection opaque false"
    );
    assert_eq!(
        refusal_code(&Call::get("/a").bearer("a.b.c").send(&app).await),
        "bad_base64"
    );
    assert_eq!(
        text(Call::get("/a").bearer(&access_token()).send(&app).await).await,
        "Token user-1 true"
    );
    // The same challenge is not said twice.
    assert_eq!(challenges(&Call::get("/a").send(&app).await), ["Bearer"]);
    let alone = self::app(tokens());
    assert_eq!(
        refusal_code(&Call::get("/a").bearer("opaque").send(&alone).await),
        "not_compact"
    );
}

#[tokio::test]
async fn what_stands_in_a_requests_extensions_already_counts_for_nothing() {
    let app = Router::new()
        .route(
            "/",
            any(
                |identity: Option<Identity>, extra: Option<axum::Extension<u32>>| async move {
                    format!("{} {}", identity.is_some(), extra.is_some())
                },
            ),
        )
        .layer(AuthenticateLayer::with(Arc::new(Chain::new().then(Opaque))));
    let forged = || {
        let mut request = Request::builder()
            .method(Method::GET)
            .uri("/")
            .body(Body::empty())
            .unwrap();
        request
            .extensions_mut()
            .insert(Identity::new(AuthenticatedBy::Token, "root"));
        request.extensions_mut().insert(3_u32);
        request
    };
    let response = app.clone().oneshot(forged()).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let mut good = forged();
    good.headers_mut()
        .insert(AUTHORIZATION, "Bearer x".parse().unwrap());
    assert_eq!(text(app.oneshot(good).await.unwrap()).await, "true true");
}

#[tokio::test]
async fn a_client_is_told_to_authenticate_better() {
    let verifier = access_builder().require_method("otp").build().unwrap();
    let app = app(TokenAuthenticator::<NoExtra>::new(Arc::new(verifier)));
    let refused = Call::get("/a").bearer(&access_token()).send(&app).await;
    assert_eq!(refusal_code(&refused), "authentication_too_weak");
    assert_eq!(
        challenges(&refused),
        [r#"Bearer error="insufficient_user_authentication""#]
    );
    let claims = claims().amr(["pwd", "otp"]);
    let token = signer().sign(&claims, TokenType::Access, &NoExtra).unwrap();
    assert_eq!(
        text(Call::get("/a").bearer(&token).send(&app).await).await,
        "Token user-1 true"
    );
}

#[tokio::test]
async fn proofs_are_taken_where_an_origin_is_known() {
    let tokens = || TokenAuthenticator::<NoExtra>::new(dpop_verifier(|policy| policy));
    for origin in [
        "",
        "api.bank.example",
        "https://u@h",
        "ftp://h",
        "https://h/a/../b",
        "https://h/?",
        "https://h/path",
    ] {
        let result = tokens().public_origin(origin).map(|_| ());
        let is_one = ["https://h/?", "https://h/path"].contains(&origin);
        assert_eq!(result.is_ok(), is_one, "{origin}");
    }
    let prover = prover();
    let token = bound_token(&prover);
    let proof = prover
        .proof("GET", "https://h/a", Some(&token), None)
        .unwrap();
    let call = Call::get("/a")
        .header("authorization", &format!("DPoP {token}"))
        .header("dpop", &proof);
    // Without an origin it is no scheme that is taken, whatever the client sends.
    let response = call.send(&app(tokens())).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(refusal_code(&response), "missing_credentials");
    assert_eq!(challenges(&response), ["Bearer"]);

    // A router that takes off the start of the path.
    let behind = tokens().public_origin("https://h/admin").unwrap();
    let nested = axum::Router::new().nest("/admin", app(behind));
    for (uri, expected) in [("https://h/admin/a", 200), ("https://h/a", 401)] {
        let proof = prover.proof("GET", uri, Some(&token), None).unwrap();
        let call = Call::get("/admin/a")
            .header("authorization", &format!("DPoP {token}"))
            .header("dpop", &proof);
        assert_eq!(call.send(&nested).await.status(), expected, "{uri}");
    }
    // A path of the client's choice is no fault of the server's.
    let proof = prover
        .proof("GET", "https://h/a", Some(&token), None)
        .unwrap();
    let strange = Call::get("/a/%2e%2e/b")
        .header("authorization", &format!("DPoP {token}"))
        .header("dpop", &proof)
        .send(&app(tokens().public_origin("https://h").unwrap()))
        .await;
    assert_eq!(refusal_code(&strange), "bad_dpop_proof");
}
