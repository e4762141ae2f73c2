//! Introspection against a real server on loopback.
//!
//! Where answers grow old, Tokio's time stands still and the test moves it; the sockets are real all the same.

mod answers;
mod memory;

use std::sync::Arc;
use std::time::Duration;

use crate::http_server::*;
use crate::support::*;
use serde_json::{Value, json};
use sm_jwt::*;

const SECOND: Duration = Duration::from_secs(1);
const TOKEN: &str = "opaque-token-1";
const CERTIFICATE: &[u8] = b"a certificate, as far as its hash goes";

fn authentication() -> ClientAuthentication {
    ClientAuthentication::basic("core banking", "s3cret&").unwrap()
}

fn config(server: &Server) -> IntrospectionConfig {
    IntrospectionConfig::new(server.url("/introspect"), authentication())
        .allow_plain_http()
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .clock(Arc::new(clock()))
}

fn client(server: &Server) -> Arc<IntrospectionClient> {
    Arc::new(IntrospectionClient::new(config(server)).unwrap())
}

/// What the issuer says of an active token.
fn active() -> Value {
    json!({
        "active": true, "iss": ISSUER, "aud": [AUDIENCE, "other"], "exp": NOW + 600, "iat": NOW - 10,
        "sub": "user-1", "client_id": "app-1", "username": "mei", "token_type": "Bearer",
        "scope": "accounts:read payments", "jti": "id-1", "tenant_id": "bank-a", "roles": ["teller"],
        "branch": "0755",
    })
}

fn says(answer: &Value) -> Reply {
    Reply::json(answer.to_string())
}

async fn ask(client: &IntrospectionClient, token: &str) -> &'static str {
    ask_with(client, token, &Presented::new()).await
}

async fn ask_with(
    client: &IntrospectionClient,
    token: &str,
    presented: &Presented<'_>,
) -> &'static str {
    match client.introspect_with(token, presented).await {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}
