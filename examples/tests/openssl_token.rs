//! A token that the `openssl` command signed passes both services over real HTTP; with one byte changed it does not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub
)]

mod peers;

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::Method;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use examples::customers::generate_customers;
use examples::demo::client::{Client, Send};
use examples::demo::services::Services;
use peers::openssl_is_here;
use serde_json::json;

fn b64(bytes: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(bytes.as_ref())
}

/// SEQUENCE { r, s } as r ‖ s, which the services' profile has.
fn to_raw(der: &[u8]) -> [u8; 64] {
    assert_eq!(der[0], 0x30);
    let mut raw = [0; 64];
    let mut rest = &der[2..];
    for number in raw.chunks_mut(32) {
        assert_eq!(rest[0], 2);
        let (contents, after) = rest[2..].split_at(usize::from(rest[1]));
        let start = contents.iter().position(|byte| *byte != 0).unwrap();
        let significant = &contents[start..];
        number[32 - significant.len()..].copy_from_slice(significant);
        rest = after;
    }
    assert!(rest.is_empty());
    raw
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_by_openssl_passes_the_gateway() {
    if !openssl_is_here() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let services = Services::start(dir.path(), &examples::setup::sample_staff())
        .await
        .unwrap();
    let customers = generate_customers(24, 5);
    services.bank.import(&customers).await.unwrap();
    let ours = customers
        .iter()
        .find(|c| c.tenant_id == "jiangnan-bank" && c.branch == "suzhou-01")
        .unwrap();

    // What the gateway's own issuer would say, in another's hand.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let tokens = &services.gateway_config.tokens;
    let header = json!({
        "alg": "SGD_SM3_SM2", "typ": "at+jwt", "kid": tokens.key_id, "crv": "sm2p256v1",
    });
    let payload = json!({
        "iss": tokens.issuer, "sub": "lin", "aud": tokens.audience, "iat": now.as_secs(),
        "exp": now.as_secs() + 300, "jti": "made-by-openssl", "tenant_id": "jiangnan-bank",
        "roles": ["manager"], "sm2_kid": tokens.key_id, "amr": ["pwd"],
        "ext": {"sid": "session-of-openssl"}, "branch": "suzhou-01",
    });
    let input = format!("{}.{}", b64(header.to_string()), b64(payload.to_string()));
    let message = dir.path().join("message");
    std::fs::write(&message, &input).unwrap();
    let sign = |user_id: &str| {
        let signed = Command::new("openssl")
            .args(["pkeyutl", "-sign", "-rawin", "-digest", "sm3", "-pkeyopt"])
            .arg(format!("distid:{user_id}"))
            .arg("-inkey")
            .arg(dir.path().join("keys/token-signing.pem"))
            .arg("-in")
            .arg(&message)
            .output()
            .unwrap();
        assert!(
            signed.status.success(),
            "{}",
            String::from_utf8_lossy(&signed.stderr)
        );
        signed.stdout
    };
    let der = sign("1234567812345678");
    let raw = to_raw(&der);
    let path = format!("/api/v1/customers/{}", ours.customer_id);
    // Behind the gateway the banking service verifies the token again.
    let ask = async |signature: &[u8]| {
        let token = format!("{input}.{}", b64(signature));
        let gateway = Client::new(services.gateway);
        let asked = gateway.send(Method::GET, &path, Send::token(&token));
        asked.await.unwrap()
    };
    let answer = ask(&raw).await;
    assert_eq!(answer.summary(), "200");
    assert_eq!(answer.text("name"), Some(ours.name.as_str()));
    for at in [0, 31, 32, 63] {
        let mut other = raw;
        other[at] ^= 1;
        assert_eq!(ask(&other).await.summary(), "401 bad_signature", "{at}");
    }
    // The same signature in DER, and one for another user id: not what the key is registered with.
    assert_eq!(ask(&der).await.summary(), "401 bad_signature");
    let other_id = to_raw(&sign("someone"));
    assert_eq!(ask(&other_id).await.summary(), "401 bad_signature");
    assert_eq!(
        ask(&raw).await.summary(),
        "200",
        "an access token is multi-use"
    );
    services.stop().await.unwrap();
}
