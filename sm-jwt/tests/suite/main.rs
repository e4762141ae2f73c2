//! All integration tests but the replay of the corpora, in one program: it is linked once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub
)]

// What the tests stand on.
#[path = "../fuzz_bodies/mod.rs"]
mod fuzz_bodies;
#[cfg(any(feature = "introspection", feature = "jwks-http"))]
mod http_server;
mod peers;
#[cfg(feature = "redis")]
mod redis_server;
#[cfg(feature = "axum")]
mod requests;
mod support;

mod artifact;
#[cfg(feature = "axum")]
mod authenticators;
mod confirmation;
mod doctor;
mod dpop;
mod dpop_binding;
mod dpop_claims;
mod external_signer;
mod factor;
#[cfg(feature = "tonic")]
mod grpc;
mod hazards;
mod hazards_claims;
mod hazards_signature;
mod interoperation;
#[cfg(feature = "introspection")]
mod introspection;
#[cfg(all(feature = "axum", feature = "introspection"))]
mod introspection_authenticator;
mod json_web_signature;
mod json_web_signature_json;
mod json_web_signature_values;
#[cfg(feature = "jwks-http")]
mod jwks_http;
mod jws;
mod key_resolvers;
mod key_sets;
mod keys;
#[cfg(feature = "axum")]
mod layer;
mod message;
mod openssl;
mod profiles;
mod properties;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod redis_clock;
#[cfg(feature = "redis")]
mod redis_failures;
#[cfg(feature = "redis")]
mod redis_revocation;
mod refresh;
mod replay;
mod replay_model;
mod revocation;
mod rules;
mod signature_cache;
mod verification;
