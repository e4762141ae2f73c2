//! Requests with tokens that an issuer on loopback is asked about, over the tower layer.

use std::sync::Arc;

use crate::http_server::*;
use crate::requests::*;
use crate::support::*;
use http::StatusCode;
use serde_json::{Value, json};
use sm_jwt::*;

const TOKEN: &str = "opaque-token-1";
const CERTIFICATE: &[u8] = b"a certificate, as far as its hash goes";

fn active() -> Value {
    json!({
        "active": true, "iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 600, "sub": "user-7",
        "scope": "accounts:read payments", "tenant_id": "bank-a", "roles": ["teller"],
    })
}

fn config(server: &Server) -> IntrospectionConfig {
    let authentication = ClientAuthentication::basic("core-banking", "secret").unwrap();
    IntrospectionConfig::new(server.url("/introspect"), authentication)
        .allow_plain_http()
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .clock(Arc::new(clock()))
}

fn by_introspection(config: IntrospectionConfig) -> IntrospectionAuthenticator {
    IntrospectionAuthenticator::new(Arc::new(IntrospectionClient::new(config).unwrap()))
}

/// Says what is left of an answer in the request: identity and token.
fn app(authenticator: impl Authenticator + 'static) -> axum::Router {
    let show = |identity: Identity, request: axum::extract::Request| async move {
        let token = request.extensions().get::<IntrospectedToken>();
        format!(
            "{:?} {:?} {} {:?} {:?} {:?} {:?}",
            identity.by(),
            identity.issuer(),
            identity.subject(),
            identity.tenant(),
            identity.roles(),
            identity.scopes(),
            token.and_then(IntrospectedToken::subject),
        )
    };
    axum::Router::new()
        .route("/{*path}", axum::routing::any(show))
        .layer(AuthenticateLayer::with(Arc::new(authenticator)))
}

#[tokio::test]
async fn opaque_tokens_go_to_their_issuer_and_jwts_do_not() {
    let server = Server::start(Reply::json(active().to_string()));
    let tokens =
        TokenAuthenticator::<NoExtra>::new(Arc::new(access_verifier())).leave_opaque_tokens();
    let app = app(Chain::new()
        .then(tokens)
        .then(by_introspection(config(&server))));
    let answer = text(Call::get("/a").bearer(TOKEN).send(&app).await).await;
    assert_eq!(
        answer,
        format!(
            r#"Introspection Some("{ISSUER}") user-7 Some("bank-a") ["teller"] ["accounts:read", "payments"] Some("user-7")"#
        )
    );
    assert_eq!(server.requests(), 1);
    let answer = text(Call::get("/a").bearer(&access_token()).send(&app).await).await;
    assert!(answer.starts_with("Token ") && answer.ends_with(" None"));
    // Nor does a JWT that is not good.
    let bad = Call::get("/a").bearer("a.b.c").send(&app).await;
    assert_eq!(refusal_code(&bad), "bad_base64");
    assert_eq!(server.requests(), 1);
    let none = Call::get("/a").send(&app).await;
    assert_eq!(refusal_code(&none), "missing_credentials");
    assert_eq!(challenges(&none), ["Bearer"]);
}

#[tokio::test]
async fn what_the_issuer_does_not_vouch_for_is_refused() {
    let answer = |change: Value| Reply::json(with(active(), change).to_string());
    for (reply, code, status) in [
        (Reply::json(r#"{"active":false}"#), "inactive_token", 401),
        (answer(json!({ "aud": "another" })), "wrong_audience", 401),
        (answer(json!({ "exp": NOW - 600 })), "expired", 401),
        (answer(json!({ "sub": "" })), "introspection_failed", 503),
        (Reply::status(500), "introspection_failed", 503),
    ] {
        let server = Server::start(reply);
        let response = Call::get("/a")
            .bearer(TOKEN)
            .send(&app(by_introspection(config(&server))))
            .await;
        assert_eq!(
            (refusal_code(&response), response.status().as_u16()),
            (code, status)
        );
    }
    // It speaks for nobody.
    let mut nobody = active();
    nobody.as_object_mut().unwrap().remove("sub");
    let server = Server::start(Reply::json(nobody.to_string()));
    let response = Call::get("/a")
        .bearer(TOKEN)
        .send(&app(by_introspection(config(&server))))
        .await;
    assert_eq!(refusal_code(&response), "missing_claim");
    assert_eq!(challenges(&response), [r#"Bearer error="invalid_token""#]);
}

#[tokio::test]
async fn bound_tokens_need_their_proof() {
    let prover = DpopProver::new(SigningKey::generate().unwrap(), Profile::default())
        .unwrap()
        .with_clock(Arc::new(clock()));
    let cnf = json!({ "cnf": Confirmation::dpop_key(prover.key()) });
    let server = Server::start(Reply::json(with(active(), cnf).to_string()));
    let store = Arc::new(MemoryReplayStore::new(1000, Arc::new(clock())));
    let ways = by_introspection(config(&server).dpop(DpopPolicy::new(store)))
        .public_origin(ORIGIN)
        .unwrap();
    let app = app(ways);
    let proof = |path: &str| {
        prover
            .proof("GET", &format!("{ORIGIN}{path}"), Some(TOKEN), None)
            .unwrap()
    };
    let call = |scheme: &str, proof: &str| {
        Call::get("/a")
            .header("authorization", &format!("{scheme} {TOKEN}"))
            .header("dpop", proof)
    };
    let good = proof("/a");
    assert_eq!(
        call("DPoP", &good).send(&app).await.status(),
        StatusCode::OK
    );
    let again = call("DPoP", &good).send(&app).await;
    assert_eq!(refusal_code(&again), "dpop_proof_replayed");
    let elsewhere = call("DPoP", &proof("/b")).send(&app).await;
    assert_eq!(refusal_code(&elsewhere), "bad_dpop_proof");
    assert_eq!(
        challenges(&elsewhere),
        [
            r#"Bearer error="invalid_token""#,
            r#"DPoP error="invalid_dpop_proof", algs="SGD_SM3_SM2""#
        ]
    );
    // As a bearer token its proof is not looked at.
    let bearer = call("Bearer", &proof("/a")).send(&app).await;
    assert_eq!(refusal_code(&bearer), "proof_missing");
    let alone = Call::get("/a")
        .header("authorization", &format!("DPoP {TOKEN}"))
        .send(&app)
        .await;
    assert_eq!(refusal_code(&alone), "proof_missing");
}

/// Two ways with nonces of their own: a client is told the one that its token's way takes.
#[tokio::test]
async fn in_a_chain_the_nonce_is_of_the_way_that_refused() {
    let prover = DpopProver::new(SigningKey::generate().unwrap(), Profile::default())
        .unwrap()
        .with_clock(Arc::new(clock()));
    let cnf = json!({ "cnf": Confirmation::dpop_key(prover.key()) });
    let server = Server::start(Reply::json(with(active(), cnf).to_string()));
    let policy = |key: u8| {
        let store = Arc::new(MemoryReplayStore::new(1000, Arc::new(clock())));
        let nonces = DpopNonces::new(&[key; 16], std::time::Duration::from_secs(60)).unwrap();
        DpopPolicy::new(store).nonces(Arc::new(nonces))
    };
    let verifier = access_builder().dpop(policy(1)).build().unwrap();
    let tokens = TokenAuthenticator::<NoExtra>::new(Arc::new(verifier))
        .leave_opaque_tokens()
        .public_origin(ORIGIN)
        .unwrap();
    let opaque = by_introspection(config(&server).dpop(policy(2)))
        .public_origin(ORIGIN)
        .unwrap();
    let app = app(Chain::new().then(tokens).then(opaque));
    let send = async |nonce: Option<&str>| {
        let proof = prover
            .proof("GET", &format!("{ORIGIN}/a"), Some(TOKEN), nonce)
            .unwrap();
        Call::get("/a")
            .header("authorization", &format!("DPoP {TOKEN}"))
            .header("dpop", &proof)
            .send(&app)
            .await
    };
    let refused = send(None).await;
    assert_eq!(refusal_code(&refused), "dpop_nonce_required");
    let nonce = refused.headers()["dpop-nonce"].to_str().unwrap();
    assert_eq!(send(Some(nonce)).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_proof_beside_a_token_that_is_not_bound_counts_for_nothing() {
    let prover = DpopProver::new(SigningKey::generate().unwrap(), Profile::default())
        .unwrap()
        .with_clock(Arc::new(clock()));
    let server = Server::start(Reply::json(active().to_string()));
    let store = Arc::new(MemoryReplayStore::new(1000, Arc::new(clock())));
    let ways = by_introspection(config(&server).dpop(DpopPolicy::new(store)))
        .public_origin(ORIGIN)
        .unwrap();
    let proof = prover
        .proof("GET", &format!("{ORIGIN}/a"), Some(TOKEN), None)
        .unwrap();
    let response = Call::get("/a")
        .header("authorization", &format!("DPoP {TOKEN}"))
        .header("dpop", &proof)
        .send(&app(ways))
        .await;
    assert_eq!(refusal_code(&response), "not_bound");
}

#[tokio::test]
async fn certificates_bind_introspected_tokens_too() {
    let cnf = json!({ "cnf": Confirmation::certificate(CERTIFICATE) });
    let server = Server::start(Reply::json(with(active(), cnf).to_string()));
    let app = app(by_introspection(config(&server)));
    for (certificate, code) in [
        (None, "proof_missing"),
        (Some(&b"another"[..]), "proof_mismatch"),
        (Some(CERTIFICATE), "ok"),
    ] {
        let mut call = Call::get("/a").bearer(TOKEN);
        if let Some(der) = certificate {
            call.request = call.request.extension(ClientCertificate::new(der));
        }
        let response = call.send(&app).await;
        let refusal = response.extensions().get::<Refusal>();
        assert_eq!(refusal.map_or("ok", |refusal| refusal.error().code()), code);
    }
}
