//! Keys fetched over HTTP, against a real server on loopback.
//!
//! Most tests stop Tokio's time and move it themselves, so that lifetimes of minutes and hours are exact and no test
//! depends on speed; the sockets are real all the same.

mod answers;
mod rotation;

use std::sync::Arc;
use std::time::Duration;

use crate::http_server::*;
use crate::support::*;
use sm_jwt::*;
use tokio::time::advance;

const TIMEOUT: Duration = Duration::from_secs(5);
const COOL_DOWN: Duration = Duration::from_secs(30);
const LIFETIME: Duration = Duration::from_secs(60);
const TOLERANCE: Duration = Duration::from_secs(3600);

/// A key of an issuer, and tokens that it signs.
struct Key {
    name: &'static str,
    signer: Signer,
}

impl Key {
    fn new(name: &'static str) -> Self {
        let key = SigningKey::generate().unwrap();
        let signer = Signer::new(key, kid(name), Profile::default())
            .unwrap()
            .with_clock(Arc::new(clock()));
        Self { name, signer }
    }

    fn token(&self) -> String {
        self.signer
            .sign(&claims(), TokenType::Access, &NoExtra)
            .unwrap()
    }

    fn jwk(&self) -> String {
        self.signer.verifying_key().to_jwk(Some(&kid(self.name)))
    }
}

fn jwks(keys: &[&Key]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

fn reply(keys: &[&Key]) -> Reply {
    Reply::json(jwks(keys))
}

/// A lifetime of exactly a minute.
fn config(server: &Server) -> RemoteKeysConfig {
    RemoteKeysConfig::new(server.url("/keys"))
        .allow_plain_http()
        .timeout(TIMEOUT)
        .lifetime_limits(LIFETIME, LIFETIME)
        .outage_tolerance(TOLERANCE)
        .cool_down(COOL_DOWN)
}

fn verifier(keys: &RemoteKeys) -> Arc<Verifier> {
    let verifier = Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
        .issuer_keys(ISSUER, Arc::new(keys.clone()))
        .audience(AUDIENCE)
        .clock(Arc::new(clock()))
        .build();
    Arc::new(verifier.unwrap())
}

/// `ok` or the code of the refusal.
async fn accept(verifier: &Verifier, token: &str) -> &'static str {
    match verifier.accept::<NoExtra>(token).await {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

/// A token that names a key of nobody's; its signature is never looked at.
fn token_of(name: &str) -> String {
    let header = b64(with(header(), serde_json::json!({ "kid": name })).to_string());
    let payload = b64(with(payload(), serde_json::json!({ "sm2_kid": name })).to_string());
    format!("{header}.{payload}.{}", b64([1u8; 64]))
}

/// Moves time to the next fetch that is planned, and waits for its end.
async fn next_fetch(keys: &RemoteKeys) {
    let before = keys.status().fetches;
    advance(keys.status().next_fetch.unwrap() + Duration::from_millis(1)).await;
    ended(keys, before + 1).await;
}

/// Waits until so many fetches have ended.
async fn ended(keys: &RemoteKeys, fetches: u64) {
    // The next fetch is planned when one ends.
    until("a fetch ends", || {
        let status = keys.status();
        status.fetches == fetches && status.next_fetch > Some(Duration::ZERO)
    })
    .await;
}

fn message(error: &Error) -> String {
    error.to_string()
}
