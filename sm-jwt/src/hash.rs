//! Which hash a signature is over.

/// The hash under an SM2 signature, for Z and for the message alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum HashAlgorithm {
    /// SM3 (GB/T 32905), as the standard says.
    #[default]
    Sm3,
    /// SHA-256 in its place, as BouncyCastle's `SHA256withSM2` has it. Only for issuers that cannot do better: no profile
    /// has it without feature `legacy-sha256`.
    Sha256,
}
