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
//! Custom claims are a type: sign with `&MyClaims { .. }`, verify into `VerifiedToken<MyClaims>`.
//!
//! # Single use
//!
//! A token that authorises one transaction goes through [`Verifier::accept`], which consumes its
//! `jti` in a [`ReplayStore`] after every other check. The offline [`Verifier::verify`] refuses such
//! tokens.
//!
//! ```
//! use std::sync::Arc;
//! use sm_jwt::{
//!     KeyId, MemoryReplayStore, NoExtra, Profile, ReplayPolicy, SystemClock, TokenType, Verifier,
//!     VerifyingKey,
//! };
//!
//! # async fn pay(key: VerifyingKey, token: &str) -> Result<(), sm_jwt::Error> {
//! let verifier = Verifier::builder(TokenType::Transaction, ReplayPolicy::SingleUse)
//!     .issuer("https://login.bank.example", [(KeyId::new("2026-01")?, key, Profile::default())])
//!     .audience("payments")
//!     .replay_store(Arc::new(MemoryReplayStore::new(1_000_000, Arc::new(SystemClock))))
//!     .build()?;
//! let once = verifier.accept::<NoExtra>(token).await?; // the second time: Error::Replayed
//! # Ok(())
//! # }
//! ```
//!
//! # In an axum or tonic service
//!
//! With the feature `tower`, `AuthenticateLayer` takes the bearer token off a request, accepts it,
//! and leaves `VerifiedToken<C>` in the request's extensions; with `axum`, handlers take `Verified<C>`
//! as an argument. A refused request gets 401 with `WWW-Authenticate` (503 when the replay store
//! failed), and the response carries the reason in its extensions for an audit layer outside.
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
//! | `tower` | `AuthenticateLayer`, `Refusal`: a tower layer over `http` requests |
//! | `axum` | `Verified<C>`: extractors; includes `tower` |
//!
//! Turning one on changes nothing that already works.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod base64url;
mod claims;
mod claims_builder;
mod clock;
mod crypto;
mod der;
mod error;
#[cfg(feature = "axum")]
mod extract;
mod header;
mod issuer;
mod json;
mod jwk;
mod key_id;
mod keys;
#[cfg(feature = "tower")]
mod layer;
mod limits;
mod pem;
mod profile;
mod replay;
mod signature;
mod signer;
mod token;
mod token_type;
mod verifier;

pub use claims::{Claims, NoExtra};
pub use claims_builder::ClaimsBuilder;
pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{Error, ReplayStoreError};
#[cfg(feature = "axum")]
pub use extract::{NotAuthenticated, Verified};
pub use header::Header;
pub use key_id::KeyId;
pub use keys::{SigningKey, VerifyingKey};
#[cfg(feature = "tower")]
pub use layer::{Authenticate, AuthenticateLayer, EmptyRefusal, Refusal, RefusalResponse};
pub use limits::Limits;
pub use profile::{DEFAULT_USER_ID, Profile};
pub use replay::{
    MemoryReplayStore, ReplayEntry, ReplayFuture, ReplayKey, ReplayOutcome, ReplayPolicy,
    ReplayStore,
};
pub use signature::SignatureEncoding;
pub use signer::Signer;
pub use token::UnverifiedToken;
pub use token_type::TokenType;
pub use verifier::{VerifiedToken, Verifier, VerifierBuilder};
