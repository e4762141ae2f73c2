//! What can go wrong, with a stable code for each kind.

use std::borrow::Cow;

use thiserror::Error as ThisError;

/// Everything this crate refuses, and why.
///
/// The messages say which rule failed and where; they never hold key material, claim values or the
/// token. [`Error::code`] gives a short stable name for metrics and logs.
///
/// An error never grants: no function of this crate returns a verified value beside an error.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    // --- the form of the token ---
    /// A part of the input is longer than its limit. Checked before any other work.
    #[error("{what} is longer than its limit of {limit} bytes")]
    TooLarge {
        /// What was too long.
        what: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// The token is not `header.payload.signature`.
    #[error("the token does not have exactly three parts separated by two dots")]
    NotCompact,
    /// A part is not unpadded base64url with zero trailing bits (RFC 7515 section 2).
    #[error("{what} is not strict unpadded base64url")]
    Base64 {
        /// Which part.
        what: &'static str,
    },
    /// A part is not a JSON object in UTF-8.
    #[error("{what} is not a JSON object: {detail}")]
    Json {
        /// Which part.
        what: &'static str,
        /// The kind of fault and its place (line and column), without any value.
        detail: String,
    },
    /// A JSON object has the same member twice, at whatever depth.
    #[error("{what} has the same JSON member twice")]
    DuplicateMember {
        /// Which part.
        what: &'static str,
    },
    /// JSON nested deeper than the limit.
    #[error("{what} is nested deeper than {limit} levels")]
    TooDeep {
        /// Which part.
        what: &'static str,
        /// The limit in levels.
        limit: usize,
    },
    /// More JSON members and elements than the limit.
    #[error("{what} has more than {limit} JSON members and elements")]
    TooManyMembers {
        /// Which part.
        what: &'static str,
        /// The limit on members and array elements together.
        limit: usize,
    },

    // --- the header ---
    /// A required header parameter is absent.
    #[error("the header has no `{name}`")]
    MissingHeader {
        /// The parameter.
        name: &'static str,
    },
    /// A header parameter has the wrong JSON type or an empty value.
    #[error("the header parameter `{name}` has the wrong type or an impossible value")]
    HeaderType {
        /// The parameter.
        name: &'static str,
    },
    /// The header names critical extensions. None is understood, so the token is refused
    /// (RFC 7515 section 4.1.11), whatever the list holds.
    #[error("the header has `crit`, and no extension is understood")]
    CriticalHeader,
    /// The header has `b64`; unencoded payloads are not for JWTs (RFC 7797 section 7).
    #[error("the header has `b64`, which a JWT must not have")]
    UnencodedPayload,
    /// The header's `alg` is not the one that the key's profile fixes.
    #[error("the header's `alg` is not the algorithm this key is registered with")]
    AlgorithmMismatch,
    /// The header's `crv` is not the one that the key's profile fixes.
    #[error("the header's `crv` is not the curve name this key is registered with")]
    CurveMismatch,
    /// The header's `typ` is not the type of token that this verifier takes.
    #[error("the header's `typ` is not `{expected}`")]
    TypeMismatch {
        /// The type this verifier was built for.
        expected: &'static str,
    },
    /// No such issuer is registered.
    #[error("the issuer is not registered")]
    UnknownIssuer,
    /// The issuer has no set of keys that may be trusted now: none could be fetched, or the last one is too old.
    #[error("no trusted keys of the issuer are at hand: {0}")]
    KeysUnavailable(String),
    /// The issuer has no key with this identifier.
    #[error("the issuer has no key `{}`", kid.escape_debug())]
    UnknownKey {
        /// The key identifier as the token names it. It is not verified.
        kid: String,
    },

    // --- the signature ---
    /// The signature does not hold. Deliberately without detail.
    #[error("the signature does not verify")]
    BadSignature,

    // --- the claims ---
    /// A required claim is absent or null.
    #[error("the claim `{claim}` is missing")]
    MissingClaim {
        /// The claim.
        claim: Cow<'static, str>,
    },
    /// A claim has the wrong JSON type or an impossible value.
    #[error("the claim `{claim}` has the wrong type or an impossible value")]
    ClaimType {
        /// The claim.
        claim: &'static str,
    },
    /// The custom claims do not have the shape that was asked for.
    #[error("the custom claims do not have the expected shape: {detail}")]
    ExtraClaims {
        /// The kind of fault and its place, without any value.
        detail: String,
    },
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` has not come yet.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iat` lies in the future.
    #[error("the token was issued in the future")]
    IssuedInFuture,
    /// Issued longer ago than `max_age`.
    #[error("the token is older than the maximum age")]
    TooOld,
    /// `exp - iat` is above `max_lifetime`, or `exp` is not after `iat`.
    #[error("the token's lifetime is empty or longer than the maximum")]
    Lifetime,
    /// None of the token's audiences is ours.
    #[error("the token is for another audience")]
    WrongAudience,
    /// The claim `sm2_kid` differs from the header's `kid`.
    #[error("the claim `sm2_kid` differs from the header's `kid`")]
    KidMismatch,

    /// `sub` is not the subject that was asked for.
    #[error("the token is about another subject")]
    WrongSubject,
    /// The subject authenticated longer ago than the maximum.
    #[error("the subject authenticated too long ago")]
    AuthenticationTooOld,
    /// `amr` or `acr` does not have what is asked for.
    #[error("the subject did not authenticate in a way that is strong enough")]
    AuthenticationTooWeak,

    // --- what the token is bound to ---
    /// A token must be bound to a certificate or key, and this one is not.
    #[error("the token is bound to nothing")]
    NotBound,
    /// `cnf` has a member that this crate does not know, so that nobody can say whether it holds.
    #[error("the token is bound by a method that is not known")]
    UnknownConfirmation,
    /// The token is bound to something, and the request proves possession of nothing like it.
    #[error("the token is bound to a {what}, and the request has none")]
    ProofMissing {
        /// What is missing: `certificate`, `DPoP proof` or `second factor`.
        what: &'static str,
    },
    /// What the request proves is not what the token is bound to.
    #[error("the token is bound to another {what}")]
    ProofMismatch {
        /// What does not match: `certificate`, `DPoP key` or `second factor`.
        what: &'static str,
    },
    /// A DPoP proof is wrong (RFC 9449 section 4.3).
    #[error("the DPoP proof is wrong: {rule}")]
    DpopProof {
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// A DPoP proof cannot be read: its form, a part's base64 or JSON, or its key.
    #[error("the DPoP proof cannot be read")]
    DpopProofForm(#[source] Box<Error>),
    /// A DPoP proof lacks a nonce of this server, or has an old one: the client is to try again with a new one.
    #[error("the DPoP proof needs a nonce of this server")]
    DpopNonce {
        /// The nonce to use.
        nonce: String,
    },
    /// The DPoP proof was used before.
    #[error("the DPoP proof was used before")]
    ProofReplayed,

    // --- single use and revocation ---
    /// A token was given to the offline [`verify`](crate::Verifier::verify) that is not verified before a `jti`, its own
    /// or its DPoP proof's, is consumed: call [`accept`](crate::Verifier::accept).
    #[error("a single-use token must go through `accept`, which consumes its `jti`")]
    ReplayCheckRequired,
    /// The `jti` was consumed before.
    #[error("the token was used before")]
    Replayed,
    /// The replay store could not say; the token is refused.
    #[error("the replay store could not record the token")]
    ReplayStore(#[source] StoreError),
    /// A verifier with a revocation store was asked offline: call [`accept`](crate::Verifier::accept).
    #[error(
        "a token that may be revoked must go through `accept`, which asks the revocation store"
    )]
    RevocationCheckRequired,
    /// The token, its session or its subject's older tokens were revoked.
    #[error("the token was revoked")]
    Revoked,
    /// The revocation store could not say; the token is refused.
    #[error("the revocation store could not answer")]
    RevocationStore(#[source] StoreError),
    /// A refresh token was used a second time: its whole session is revoked now.
    #[error("the refresh token was used before; its session is revoked")]
    RefreshReused,

    // --- signed payloads ---
    /// The JSON serialisation of a JWS has a member that is missing, of the wrong type, there too often, or in both headers.
    #[error("the JWS's `{member}` is missing, of the wrong form, or does not go with the rest")]
    JwsForm {
        /// The member.
        member: &'static str,
    },
    /// The header's `typ` is not the one that the verifier of payloads takes.
    #[error("the header's `typ` is not the type of payload that is taken")]
    PayloadType,
    /// Fewer signatures hold than the rule wants, or not those that it names.
    #[error("{hold} signatures hold, and {wanted} must")]
    NotEnoughSignatures {
        /// How many must hold.
        wanted: usize,
        /// How many hold.
        hold: usize,
    },

    /// A signed manifest does not go with its file, or with what was asked for.
    #[error("the artifact is refused: {rule}")]
    Artifact {
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// A file or stream could not be read.
    #[error("reading failed")]
    Io(#[source] std::io::Error),
    // --- introspection ---
    /// The token is empty or holds what no access token holds (RFC 6749 appendix A.12), so that nobody is asked about it.
    #[error("the token is empty or holds a character that no access token holds")]
    MalformedToken,
    /// The issuer says that the token is not active: expired, revoked, made up or not for this service.
    #[error("the issuer says that the token is not active")]
    Inactive,
    /// The issuer could not be asked about the token, or its answer is no good; the token is refused.
    #[error("the token could not be introspected: {0}")]
    Introspection(String),

    // --- what carried the token ---
    /// The request holds no credentials of a kind that is taken.
    #[error("the request has no credentials")]
    MissingCredentials,
    /// A header with credentials is given twice, or is not of its form.
    #[error("the request's credentials are not exactly one of their form")]
    MalformedCredentials,

    /// An API key is unknown, wrong, switched off or past its end. Deliberately without detail.
    #[error("the API key is not good")]
    BadApiKey,
    /// The store of API keys could not say; the request is refused.
    #[error("the store of API keys could not answer")]
    ApiKeyStore(#[source] StoreError),

    // --- keys ---
    /// A key document could not be read.
    #[error("{what}: {why}")]
    Key {
        /// The kind of document.
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A key of another curve or algorithm.
    #[error("{what}: {field} is {found}, expected {expected}")]
    WrongAlgorithm {
        /// The kind of document.
        what: &'static str,
        /// The field that tells.
        field: &'static str,
        /// What the document says.
        found: String,
        /// What SM2 needs.
        expected: &'static str,
    },

    // --- set-up and issuing ---
    /// A key identifier, profile, verifier or signer was set up wrongly.
    #[error("wrong set-up: {0}")]
    Config(String),
    /// Custom claims collide with a claim that the token itself carries.
    #[error("the custom claim `{name}` is one that the token sets itself")]
    ExtraCollides {
        /// The claim.
        name: String,
    },
    /// A bare signature was asked for over what a JWS's signature covers: it would make a token.
    #[error(
        "the message has the form of a JWS signing input, and its signature would make a token"
    )]
    TokenInput,
    /// The operating system gave no random bytes.
    #[error("the operating system's random generator failed")]
    Random,
    /// An external signer failed.
    #[error("the external signer failed")]
    Signer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An external signer gave a signature that its public key does not verify.
    #[error("the external signer gave a signature that does not verify")]
    SignerGaveWrongSignature,
}

impl Error {
    pub(crate) fn missing_claim(claim: &'static str) -> Self {
        Self::MissingClaim {
            claim: Cow::Borrowed(claim),
        }
    }

    /// A short stable name of the rule that failed, for metrics and audit records.
    ///
    /// Codes are lower-case ASCII letters, digits and underscores, and do not change between releases.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::NotCompact => "not_compact",
            Self::Base64 { .. } => "bad_base64",
            Self::Json { .. } => "bad_json",
            Self::DuplicateMember { .. } => "duplicate_member",
            Self::TooDeep { .. } => "too_deep",
            Self::TooManyMembers { .. } => "too_many_members",
            Self::MissingHeader { .. } => "missing_header",
            Self::HeaderType { .. } => "bad_header",
            Self::CriticalHeader => "critical_header",
            Self::UnencodedPayload => "unencoded_payload",
            Self::AlgorithmMismatch => "algorithm_mismatch",
            Self::CurveMismatch => "curve_mismatch",
            Self::TypeMismatch { .. } => "type_mismatch",
            Self::UnknownIssuer => "unknown_issuer",
            Self::KeysUnavailable(_) => "keys_unavailable",
            Self::UnknownKey { .. } => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::MissingClaim { .. } => "missing_claim",
            Self::ClaimType { .. } => "bad_claim",
            Self::ExtraClaims { .. } => "bad_extra_claims",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::IssuedInFuture => "issued_in_future",
            Self::TooOld => "too_old",
            Self::Lifetime => "bad_lifetime",
            Self::WrongAudience => "wrong_audience",
            Self::KidMismatch => "kid_mismatch",
            Self::WrongSubject => "wrong_subject",
            Self::AuthenticationTooOld => "authentication_too_old",
            Self::AuthenticationTooWeak => "authentication_too_weak",
            Self::NotBound => "not_bound",
            Self::UnknownConfirmation => "unknown_confirmation",
            Self::ProofMissing { .. } => "proof_missing",
            Self::ProofMismatch { .. } => "proof_mismatch",
            Self::DpopProof { .. } => "bad_dpop_proof",
            Self::DpopProofForm(_) => "unreadable_dpop_proof",
            Self::DpopNonce { .. } => "dpop_nonce_required",
            Self::ProofReplayed => "dpop_proof_replayed",
            Self::ReplayCheckRequired => "replay_check_required",
            Self::Replayed => "replayed",
            Self::ReplayStore(_) => "replay_store_failed",
            Self::RevocationCheckRequired => "revocation_check_required",
            Self::Revoked => "revoked",
            Self::RevocationStore(_) => "revocation_store_failed",
            Self::RefreshReused => "refresh_reused",
            Self::JwsForm { .. } => "bad_jws_form",
            Self::PayloadType => "payload_type_mismatch",
            Self::NotEnoughSignatures { .. } => "not_enough_signatures",
            Self::Artifact { .. } => "bad_artifact",
            Self::Io(_) => "io_failed",
            Self::MalformedToken => "malformed_token",
            Self::Inactive => "inactive_token",
            Self::Introspection(_) => "introspection_failed",
            Self::MissingCredentials => "missing_credentials",
            Self::MalformedCredentials => "malformed_credentials",
            Self::BadApiKey => "bad_api_key",
            Self::ApiKeyStore(_) => "api_key_store_failed",
            Self::Key { .. } => "bad_key",
            Self::WrongAlgorithm { .. } => "wrong_key_algorithm",
            Self::Config(_) => "bad_configuration",
            Self::ExtraCollides { .. } => "extra_claim_collides",
            Self::TokenInput => "token_signing_input",
            Self::Random => "random_failed",
            Self::Signer(_) => "signer_failed",
            Self::SignerGaveWrongSignature => "signer_gave_wrong_signature",
        }
    }

    /// Whether the same request may well succeed later, because something this side stands on failed: a store, a fetch
    /// of keys, an introspection, the random generator.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            // A single-use token of an earlier time stays refused, and a store is not set up otherwise by waiting.
            Self::ReplayStore(StoreError::IssuedBeforeStart | StoreError::WrongSetup(_))
            | Self::RevocationStore(StoreError::WrongSetup(_))
            | Self::ApiKeyStore(StoreError::WrongSetup(_)) => false,
            Self::KeysUnavailable(_)
            | Self::ReplayStore(_)
            | Self::RevocationStore(_)
            | Self::ApiKeyStore(_)
            | Self::Introspection(_)
            | Self::Signer(_)
            | Self::Random => true,
            _ => false,
        }
    }

    /// Whether this side was set up wrongly, which no client can help.
    #[cfg(feature = "tower")]
    pub(crate) fn is_wrong_setup(&self) -> bool {
        matches!(
            self,
            Self::Config(_)
                | Self::ReplayStore(StoreError::WrongSetup(_))
                | Self::RevocationStore(StoreError::WrongSetup(_))
                | Self::ApiKeyStore(StoreError::WrongSetup(_))
        )
    }
}

/// Why a store could not decide or record. Every case refuses the token.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum StoreError {
    /// The store holds as many live entries as it may. It refuses; it never evicts a live entry.
    #[error("the store is full")]
    Full,
    /// The clock went back behind a time up to which entries were already forgotten.
    #[error("the clock went back behind entries that were already forgotten")]
    ClockWentBack,
    /// The token was issued before the store began: it may have been consumed in an earlier life.
    #[error("the token was issued before the store started")]
    IssuedBeforeStart,
    /// The store's server is set up in a way that would lose entries, or its clock is wrong.
    #[error("the store must not be used as it is set up: {0}")]
    WrongSetup(String),
    /// The store cannot be reached or failed.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}
