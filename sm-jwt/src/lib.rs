//! SM2 JWS tokens: strict parsing, typed verification, replay and key handling
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
