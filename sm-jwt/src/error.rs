//! What can go wrong, with a stable code for each kind.

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
    /// A required claim is absent.
    #[error("the claim `{claim}` is missing")]
    MissingClaim {
        /// The claim.
        claim: &'static str,
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

    // --- single use ---
    /// A single-use token was given to the offline [`verify`](crate::Verifier::verify): it is not
    /// verified before its `jti` is consumed, so call [`accept`](crate::Verifier::accept).
    #[error("a single-use token must go through `accept`, which consumes its `jti`")]
    ReplayCheckRequired,
    /// The `jti` was consumed before.
    #[error("the token was used before")]
    Replayed,
    /// The replay store could not say; the token is refused.
    #[error("the replay store could not record the token")]
    ReplayStore(#[source] ReplayStoreError),

    // --- what carried the token ---
    /// The request holds no bearer token.
    #[error("the request has no bearer token")]
    MissingCredentials,
    /// The request's `Authorization` is given twice or is not `Bearer <token>`.
    #[error("the request's authorization header is not exactly one bearer token")]
    MalformedCredentials,

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
    /// The operating system gave no random bytes.
    #[error("the operating system's random generator failed")]
    Random,
}

impl Error {
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
            Self::ReplayCheckRequired => "replay_check_required",
            Self::Replayed => "replayed",
            Self::ReplayStore(_) => "replay_store_failed",
            Self::MissingCredentials => "missing_credentials",
            Self::MalformedCredentials => "malformed_credentials",
            Self::Key { .. } => "bad_key",
            Self::WrongAlgorithm { .. } => "wrong_key_algorithm",
            Self::Config(_) => "bad_configuration",
            Self::ExtraCollides { .. } => "extra_claim_collides",
            Self::Random => "random_failed",
        }
    }
}

/// Why a replay store could not decide. Every case refuses the token.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum ReplayStoreError {
    /// The store holds as many live entries as it may. It refuses; it never evicts a live entry.
    #[error("the replay store is full")]
    Full,
    /// The clock went back behind a time up to which entries were already forgotten.
    #[error("the clock went back behind entries that were already forgotten")]
    ClockWentBack,
    /// The token was issued before the store began: it may have been consumed in an earlier life.
    #[error("the token was issued before the replay store started")]
    IssuedBeforeStart,
    /// The store cannot be reached or failed.
    #[error("the replay store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}
