//! Sets of keys, and tokens that each of them signed.

use std::sync::Arc;

use serde_json::json;
use sm_jwt::*;

use super::*;

pub const OTHER_D: [u8; 32] = [0x33; 32];
pub const THIRD_D: [u8; 32] = [0x44; 32];

pub fn set(keys: &[(&str, [u8; 32])]) -> KeySet {
    KeySet::new(keys.iter().map(|(name, d)| {
        (
            kid(name),
            key_of(d).verifying_key().clone(),
            Profile::default(),
        )
    }))
    .unwrap()
}

/// A verifier whose one issuer's keys come from there.
pub fn verifier(keys: Arc<dyn KeyResolver>) -> Verifier {
    Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
        .issuer_keys(ISSUER, keys)
        .audience(AUDIENCE)
        .clock(Arc::new(clock()))
        .build()
        .unwrap()
}

/// A good token by the key of `d` under `name`.
pub fn token_by(d: &[u8; 32], name: &str) -> String {
    let header = with(header(), json!({ "kid": name }));
    let payload = with(payload(), json!({ "sm2_kid": name }));
    forge_text_by(d, &header.to_string(), &payload.to_string())
}
