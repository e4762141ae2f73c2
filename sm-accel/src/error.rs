//! What can go wrong.

/// Why a call failed. Messages carry no secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No backend has this name.
    #[error("no backend has this name; `Backend::NAMES` lists them")]
    UnknownBackend,
    /// The CPU lacks an instruction that the backend needs.
    #[error("this CPU cannot run the backend `{0}`")]
    BackendNotOnThisCpu(&'static str),
    /// A key, nonce, tag or buffer has a length that the algorithm does not take.
    #[error("{what} is {got} bytes long, expected {expected}")]
    Length {
        /// Which input.
        what: &'static str,
        /// Its length in bytes.
        got: usize,
        /// What is taken.
        expected: &'static str,
    },
    /// A message is longer than the mode allows under one nonce.
    #[error("message is too long for {0}")]
    TooLong(&'static str),
    /// Decryption failed; what exactly is not told, because an attacker would learn from it.
    #[error("decryption failed")]
    Decryption,
    /// A private key outside [1, n-2], or a public key that is not a point on the curve.
    #[error("not an SM2 {0}")]
    Key(&'static str),
    /// A signature is malformed or does not verify.
    #[error("signature does not verify")]
    Signature,
    /// A message authentication code does not verify.
    #[error("message authentication code does not verify")]
    Mac,
    /// The operating system's generator failed, or gave nothing usable.
    #[error("random generator failed")]
    Random,
}
