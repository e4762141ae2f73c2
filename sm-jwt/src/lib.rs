//! SM2 tokens for services: JSON Web Tokens signed with SM2 and SM3 (GM/T 0003, GM/T 0009), read
//! strictly, verified into a type of their own, and consumed once where they must be.
//!
//! ```text
//!                issue                                    accept
//!
//!   ClaimsBuilder + custom claims             &str, from anywhere
//!            │                                    │  limits, strict base64url, strict JSON
//!            ▼                                    ▼
//!   Signer ── SigningKey              UnverifiedToken   only peeks: kid, issuer
//!            │   KeyId, Profile                   │  typ, issuer, kid, alg, crv, signature,
//!            ▼                                    ▼  audience, times, custom claims
//!      header.payload.signature           Verifier ── (single use) ── ReplayStore
//!                                                 │
//!                                                 ▼
//!                                         VerifiedToken<C>   made nowhere else
//! ```
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use sm_jwt::{
//!     Claims, KeyId, NoExtra, Profile, ReplayPolicy, Signer, SigningKey, TokenType, UnverifiedToken,
//!     VerifiedToken, Verifier,
//! };
//!
//! # fn main() -> Result<(), sm_jwt::Error> {
//! // The issuer holds the private key …
//! let signer = Signer::new(SigningKey::generate()?, KeyId::new("2026-01")?, Profile::default())?;
//! let claims = Claims::builder()
//!     .issuer("https://login.bank.example")
//!     .subject("user-17")
//!     .audience("core-banking")
//!     .tenant("branch-0755")
//!     .roles(["teller"])
//!     .lifetime(Duration::from_secs(300));
//! let token = signer.sign(&claims, TokenType::Access, &NoExtra)?;
//!
//! // … and the service knows its public key, under the same name and profile.
//! let key = (signer.kid().clone(), signer.verifying_key().clone(), signer.profile().clone());
//! let verifier = Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
//!     .issuer("https://login.bank.example", [key])
//!     .audience("core-banking")
//!     .max_lifetime(Duration::from_secs(3600))
//!     .build()?;
//!
//! let unverified = UnverifiedToken::parse(&token, verifier.limits())?;
//! let verified: VerifiedToken = verifier.verify(unverified)?;
//! assert_eq!(verified.claims().subject(), "user-17");
//! assert!(verified.claims().has_role("teller"));
//! # Ok(())
//! # }
//! ```
//!
//! Custom claims are a type: sign with `&MyClaims { .. }`, verify into `VerifiedToken<MyClaims>`. [The end of this
//! page](#uses) has a program for each use: issue, verify in axum and in tonic, rotate, revoke, sign artifacts.
//!
//! # Single use
//!
//! A token that authorises one transaction goes through [`Verifier::accept`], which consumes its
//! `jti` in a [`ReplayStore`] after every other check. The offline [`Verifier::verify`] refuses such
//! tokens. Several instances of a service need a store that they share: `RedisStore`, with the feature `redis`.
//!
//! # Bound tokens and second factors
//!
//! A token with `cnf` is accepted with the proof alone ([`Presented`]): the client certificate of the connection (RFC 8705)
//! or a DPoP proof ([`DpopPolicy`], RFC 9449). `ext.factor` binds a second secret of at least 128 bits ([`FactorKey`]).
//!
//! # Ways to authenticate a request
//!
//! With the feature `tower`, `AuthenticateLayer` asks an `Authenticator`: SM2 tokens, API keys kept as HMAC-SM3, with
//! `introspection` opaque tokens (RFC 7662), or a `Chain` of these. What was found out is `Identity`.
//!
//! # Signed payloads that are no tokens
//!
//! [`JwsSigner`] and [`JwsVerifier`] make and check compact, detached and unencoded JWS (RFC 7515, RFC 7797), and the JSON
//! serialisation with several signatures and a [`SignatureRule`] of how many must hold.
//!
//! # Keys and answers from the issuer
//!
//! With the feature `jwks-http`, `RemoteKeys` fetches an issuer's JWK set and is given to
//! [`VerifierBuilder::issuer_keys`]; with `introspection`, `IntrospectionClient` asks about tokens that only the issuer
//! can read. TLS is `rustls` without a cryptographic provider: the caller's configuration names provider and CAs.
//!
//! # When a signature does not verify
//!
//! [`doctor::Doctor`] says which of user id, encoding, hash, curve name and algorithm name would make it verify. It is a tool for
//! people; nothing here calls it.
//!
//! # What is never left to the token
//!
//! Algorithm, encoding of the signature, user id and curve name are the [`Profile`] that a key is
//! registered with. The header must agree; keys offered in it are ignored; `crit` and `b64` are
//! refused. A key speaks for one issuer, under one name, in one profile.
//!
//! # What this crate is not for
//!
//! - Other algorithms, and encrypted tokens (JWE).
//! - Deciding what a subject may do: it says who asks, in which tenant and role, and no more.
//! - A certified cryptographic module: keys are in this process's memory.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `accel` (default) | SM2 and SM3 by `sm-accel`: constant time, SIMD where the CPU has it; without it, RustCrypto |
//! | `tower` | `AuthenticateLayer`, `Authenticator`, `Refusal`: a tower layer over `http` requests; API keys |
//! | `axum` | `Verified<C>`, `Identity`: extractors; includes `tower` |
//! | `tonic` | `TokenInterceptor`, `GrpcRefusal`, `grpc_status`: gRPC; needs no `protoc`; includes `tower` |
//! | `jwks-http` | `RemoteKeys`: an issuer's JWK set, fetched over HTTP(S) and kept fresh by a Tokio task |
//! | `introspection` | `IntrospectionClient`: asks the issuer about opaque tokens (RFC 7662) over HTTP(S) |
//! | `redis` | `RedisStore`: single use and revocation for several instances of a service; needs tokio |
//! | `legacy-sha256` | `Profile::sm2_sha256`: SM2 over SHA-256 in place of SM3, for issuers that cannot do better |
//!
//! Turning one on changes nothing that already works.
//!
#![doc = include_str!("guide.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

#[cfg(feature = "tower")]
mod api_key;
mod artifact;
#[cfg(feature = "tower")]
mod authenticator;
mod base64url;
mod cache;
mod claims;
mod claims_builder;
mod clock;
mod compact;
mod confirmation;
#[cfg(feature = "tower")]
mod credentials;
mod crypto;
mod der;
pub mod doctor;
mod dpop;
mod error;
#[cfg(feature = "axum")]
mod extract;
mod factor;
#[cfg(feature = "jwks-http")]
mod freshness;
mod future;
#[cfg(feature = "tonic")]
mod grpc;
mod hash;
mod header;
#[cfg(any(feature = "jwks-http", feature = "introspection"))]
mod http_client;
#[cfg(feature = "introspection")]
mod introspected;
#[cfg(feature = "introspection")]
mod introspection;
#[cfg(all(feature = "introspection", feature = "tower"))]
mod introspection_authenticator;
#[cfg(feature = "introspection")]
mod introspection_cache;
#[cfg(feature = "introspection")]
mod introspection_config;
mod issuer;
mod json;
mod jwk;
mod jwks;
#[cfg(feature = "jwks-http")]
mod jwks_http;
#[cfg(feature = "jwks-http")]
mod jwks_task;
mod jws;
mod key_id;
mod key_set;
mod keys;
#[cfg(feature = "tower")]
mod layer;
mod limits;
mod message;
mod pem;
mod presented;
mod profile;
#[cfg(feature = "redis")]
mod redis;
mod refresh;
#[cfg(feature = "tower")]
mod refusal;
mod replay;
mod replay_memory;
#[cfg(feature = "tower")]
mod request_proof;
mod resolver;
mod revocation;
mod revocation_memory;
mod rules;
mod signature;
mod signer;
mod signing;
mod token;
#[cfg(feature = "tower")]
mod token_authenticator;
mod token_type;
mod trusted_key;
mod uri;
mod verified;
mod verifier;
mod verifier_builder;

#[cfg(feature = "redis")]
pub use self::redis::{LostData, Persistence, RedisOptions, RedisStore};
#[cfg(feature = "tower")]
pub use api_key::{ApiKeyAuthenticator, ApiKeyRecord, ApiKeyStore, MemoryApiKeys, Pepper};
pub use artifact::{ArtifactSigner, ArtifactVerifier, Manifest};
#[cfg(feature = "tower")]
pub use authenticator::{Authenticated, AuthenticatedBy, Authenticator, Chain, Identity};
pub use claims::{Claims, NoExtra};
pub use claims_builder::ClaimsBuilder;
pub use clock::{Clock, ManualClock, SystemClock};
pub use confirmation::Confirmation;
pub use dpop::{DpopNonces, DpopPolicy, DpopProver};
pub use error::{Error, StoreError};
#[cfg(feature = "axum")]
pub use extract::{NotAuthenticated, Verified};
pub use factor::{Factor, FactorKey};
pub use future::BoxFuture;
#[cfg(feature = "tonic")]
pub use grpc::{GrpcRefusal, TokenInterceptor, grpc_status};
pub use hash::HashAlgorithm;
pub use header::Header;
#[cfg(feature = "introspection")]
pub use introspected::IntrospectedToken;
#[cfg(feature = "introspection")]
pub use introspection::IntrospectionClient;
#[cfg(all(feature = "introspection", feature = "tower"))]
pub use introspection_authenticator::IntrospectionAuthenticator;
#[cfg(feature = "introspection")]
pub use introspection_config::{ClientAuthentication, IntrospectionConfig};
#[cfg(feature = "jwks-http")]
pub use jwks_http::{RemoteKeys, RemoteKeysConfig, RemoteKeysStatus};
pub use jws::{
    JsonPayload, JwsForm, JwsHeader, JwsSigner, JwsVerifier, JwsVerifierBuilder, SignatureRule,
    VerifiedPayload,
};
pub use key_id::KeyId;
pub use key_set::KeySet;
pub use keys::{SigningKey, VerifyingKey};
#[cfg(feature = "tower")]
pub use layer::{Authenticate, AuthenticateLayer};
pub use limits::Limits;
pub use presented::Presented;
pub use profile::{ALGORITHM_NAMES, DEFAULT_USER_ID, Profile};
pub use refresh::RefreshRotation;
#[cfg(feature = "tower")]
pub use refusal::{EmptyRefusal, Refusal, RefusalResponse};
pub use replay::{ReplayEntry, ReplayFuture, ReplayKey, ReplayOutcome, ReplayPolicy, ReplayStore};
pub use replay_memory::MemoryReplayStore;
#[cfg(feature = "tower")]
pub use request_proof::ClientCertificate;
pub use resolver::{KeyResolver, SharedKeySet};
pub use revocation::{Revocation, RevocationKey, RevocationQuery, RevocationStore};
pub use revocation_memory::MemoryRevocationStore;
pub use signature::SignatureEncoding;
pub use signer::Signer;
pub use signing::{AsyncExternalSigner, ExternalSigner, SignerError, SigningInput};
pub use token::UnverifiedToken;
#[cfg(feature = "tower")]
pub use token_authenticator::TokenAuthenticator;
pub use token_type::TokenType;
pub use trusted_key::TrustedKey;
pub use verified::VerifiedToken;
pub use verifier::{Unchecked, Verifier};
pub use verifier_builder::{Dangerous, VerifierBuilder};
