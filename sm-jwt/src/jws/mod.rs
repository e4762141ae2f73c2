//! Signed payloads of any kind (RFC 7515): compact, detached, unencoded (RFC 7797), and JSON with several signatures.
//!
//! For what is no JWT: documents, messages, requests. Tokens go through [`Verifier`](crate::Verifier), which takes none of
//! these forms; and here a `typ` that belongs to tokens is refused, so that neither is taken for the other.

mod header;
mod json;
mod sign;
mod verify;

pub use header::JwsHeader;
pub use sign::{JsonPayload, JwsForm, JwsSigner};
pub use verify::{JwsVerifier, JwsVerifierBuilder, SignatureRule, VerifiedPayload};
