//! Signing (GM/T 0003.2 section 6.1).

use core::fmt;

use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::cpu::Backend;
use crate::error::Error;
use crate::sm2::comb::mul_base_x;
use crate::sm2::nonce::{Candidates, Drbg, Seed, SeedStart};
use crate::sm2::random;
use crate::sm2::scalar::Scalar;
use crate::sm2::secret_key::SecretKey;
use crate::sm2::signature::Signature;
use crate::sm2::verify::VerifyingKey;
use crate::taint;

/// A private key bound to its owner's user id: makes signatures.
///
/// # Security
/// Everything that touches d or k is constant time. k comes from HMAC-DRBG-SM3 over d, e and 32 fresh random
/// bytes: a repeated message alone does not repeat k, nor does a broken generator alone.
///
/// ```
/// use sm_accel::sm2::{SecretKey, SigningKey};
///
/// let key = SigningKey::new(SecretKey::generate()?);
/// let signature = key.sign(b"message")?;
/// key.verifying_key().verify(b"message", &signature)?;
/// # Ok::<(), sm_accel::Error>(())
/// ```
pub struct SigningKey {
    secret: SecretKey,
    seed_start: SeedStart,
    verifying: VerifyingKey,
}

impl SigningKey {
    /// Binds `secret` to the user id `1234567812345678` (GM/T 0009 section 10).
    pub fn new(secret: SecretKey) -> Self {
        let verifying = VerifyingKey::new(*secret.public_key());
        Self::of(secret, verifying)
    }

    /// Binds `secret` to a user id of its own.
    ///
    /// # Errors
    /// [`Error::Length`] for a user id of more than [`MAX_USER_ID_LEN`](crate::sm2::MAX_USER_ID_LEN) bytes.
    pub fn with_user_id(secret: SecretKey, user_id: &[u8]) -> Result<Self, Error> {
        let verifying = VerifyingKey::with_user_id(*secret.public_key(), user_id)?;
        Ok(Self::of(secret, verifying))
    }

    fn of(secret: SecretKey, verifying: VerifyingKey) -> Self {
        let seed_start = SeedStart::new(secret.backend(), &secret.to_bytes());
        Self {
            secret,
            seed_start,
            verifying,
        }
    }

    /// The public half, with the user id.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// The private key.
    pub fn secret_key(&self) -> &SecretKey {
        &self.secret
    }

    /// Signs `message`.
    ///
    /// # Errors
    /// [`Error::Random`] when the operating system's generator fails.
    pub fn sign(&self, message: &[u8]) -> Result<Signature, Error> {
        self.sign_parts(&[message])
    }

    /// Signs the concatenation of `parts`.
    ///
    /// # Errors
    /// As [`SigningKey::sign`].
    pub fn sign_parts(&self, parts: &[&[u8]]) -> Result<Signature, Error> {
        // A1, A2: e = SM3(Z ‖ M)
        self.sign_prehash(&self.verifying.digest(parts))
    }

    /// Signs e = SM3(Z ‖ M), as [`VerifyingKey::digest`] computes it.
    ///
    /// # Errors
    /// As [`SigningKey::sign`].
    pub fn sign_prehash(&self, e: &[u8; 32]) -> Result<Signature, Error> {
        let mut entropy = Zeroizing::new([0u8; 32]);
        random::fill(&mut *entropy)?;
        Ok(self.sign_prehash_with_entropy(e, &entropy))
    }

    /// Signs e = SM3(Z ‖ M) with the caller's random bytes: the same key, e and entropy give the same signature.
    ///
    /// k is the first output in [1, n-1] of HMAC_DRBG-SM3 seeded as RFC 6979 sections 3.2 and 3.6 say with
    /// d ‖ (e mod n) ‖ `entropy`, 32 big-endian bytes each; when the standard says to choose k again, the next.
    ///
    /// # Security
    /// `entropy` should be 32 fresh random bytes, which harden the signer against faults and measurements. If they
    /// repeat, signatures are deterministic as those of RFC 6979, and d stays safe.
    pub fn sign_prehash_with_entropy(&self, e: &[u8; 32], entropy: &[u8; 32]) -> Signature {
        let e = Scalar::reduce(e);
        let backend = self.secret.backend();
        let seed = self.seed(&e, entropy);
        let mut drbg = Drbg::new(backend, &self.seed_start, &seed);
        sign_with_candidates(backend, &self.secret, &e, &mut drbg)
    }

    /// What k's generator is seeded with.
    pub(crate) fn seed<'a>(&self, e: &Scalar, entropy: &'a [u8; 32]) -> Seed<'a> {
        Seed {
            d: Box::new(self.secret.to_bytes()),
            e: e.to_bytes(),
            entropy,
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("verifying_key", &self.verifying)
            .finish_non_exhaustive()
    }
}

impl ZeroizeOnDrop for SigningKey {}

/// Steps A3 to A7. Every way back to A3 has a probability near 2^-256.
pub(crate) fn sign_with_candidates(
    backend: Backend,
    secret: &SecretKey,
    e: &Scalar,
    candidates: &mut impl Candidates,
) -> Signature {
    loop {
        let k = next_nonce(candidates);
        // A4: (x1, y1) = [k]G, infinity for no k in [1, n-1]
        let Some(x1) = mul_base_x(backend, &k) else {
            continue;
        };
        let x1 = Scalar::reduce(&x1.to_bytes());
        if let Some(signature) = finish(secret, e, &k, &x1) {
            return signature;
        }
    }
}

/// A3: k in [1, n-1]. One candidate in 2^32 is refused, and what is refused is used nowhere: the branch tells nothing
/// of the k that is taken.
pub(crate) fn next_nonce(candidates: &mut impl Candidates) -> Zeroizing<Scalar> {
    loop {
        if let Some(k) = Scalar::from_bytes(candidates.next()).map(Zeroizing::new)
            && !taint::public(k.is_zero())
        {
            return k;
        }
    }
}

/// Steps A5 to A7 for x1 modulo n; `None` is "return to A3".
pub(crate) fn finish(secret: &SecretKey, e: &Scalar, k: &Scalar, x1: &Scalar) -> Option<Signature> {
    // A5: r = (e + x1) mod n; again if r = 0 or r + k = n
    let r = e.add(x1);
    let r_plus_k = Zeroizing::new(r.add(k));
    // A6: s = (1 + d)^-1 (k - r d) = (1 + d)^-1 (k + r) - r; again if s = 0
    let s = secret.inverse().mul(&r_plus_k).sub(&r);
    // One branch, not taken but for a k that is thrown away.
    if taint::public(r.is_zero() | r_plus_k.is_zero() | s.is_zero()) {
        return None;
    }
    // A7
    Some(Signature::from_scalars(&r, &s))
}
