//! The traits of `signature` 3.0, as RustCrypto's `sm2` has them.

use signature::hazmat::{PrehashSigner, PrehashVerifier, RandomizedPrehashSigner};
use signature::rand_core::TryCryptoRng;
use signature::{
    KeypairRef, MultipartSigner, MultipartVerifier, RandomizedMultipartSigner, RandomizedSigner,
    SignatureEncoding, Signer, Verifier,
};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::sm2::sign::SigningKey;
use crate::sm2::signature::{DerSignature, Signature};
use crate::sm2::verify::{PreparedKey, VerifyingKey};

/// The crate's error is the source.
impl From<Error> for signature::Error {
    fn from(error: Error) -> Self {
        Self::from_source(error)
    }
}

impl SignatureEncoding for Signature {
    type Repr = [u8; Signature::LEN];
}

impl SignatureEncoding for DerSignature {
    type Repr = Self;
}

impl AsRef<VerifyingKey> for SigningKey {
    fn as_ref(&self) -> &VerifyingKey {
        self.verifying_key()
    }
}

impl KeypairRef for SigningKey {
    type VerifyingKey = VerifyingKey;
}

fn prehash(bytes: &[u8]) -> Result<&[u8; 32], Error> {
    bytes.try_into().map_err(|_| Error::Length {
        what: "digest",
        got: bytes.len(),
        expected: "32",
    })
}

// Signing draws 32 random bytes from the operating system, or from the generator that is passed.
macro_rules! signers {
    ($($signature:ty),*) => {$(
        /// Draws on the operating system's generator: `sign` of this trait panics when that fails, `try_sign` does
        /// not.
        impl Signer<$signature> for SigningKey {
            fn try_sign(&self, message: &[u8]) -> signature::Result<$signature> {
                Ok(self.sign_parts(&[message])?.into())
            }
        }

        impl MultipartSigner<$signature> for SigningKey {
            fn try_multipart_sign(&self, parts: &[&[u8]]) -> signature::Result<$signature> {
                Ok(self.sign_parts(parts)?.into())
            }
        }

        impl PrehashSigner<$signature> for SigningKey {
            fn sign_prehash(&self, e: &[u8]) -> signature::Result<$signature> {
                Ok(self.sign_prehash(prehash(e)?)?.into())
            }
        }

        impl RandomizedPrehashSigner<$signature> for SigningKey {
            fn sign_prehash_with_rng<R: TryCryptoRng + ?Sized>(
                &self,
                rng: &mut R,
                e: &[u8],
            ) -> signature::Result<$signature> {
                let e = prehash(e)?;
                let mut entropy = Zeroizing::new([0u8; 32]);
                rng.try_fill_bytes(&mut *entropy)
                    .map_err(|_| Error::Random)?;
                Ok(self.sign_prehash_with_entropy(e, &entropy).into())
            }
        }

        impl RandomizedSigner<$signature> for SigningKey {
            fn try_sign_with_rng<R: TryCryptoRng + ?Sized>(
                &self,
                rng: &mut R,
                message: &[u8],
            ) -> signature::Result<$signature> {
                self.try_multipart_sign_with_rng(rng, &[message])
            }
        }

        impl RandomizedMultipartSigner<$signature> for SigningKey {
            fn try_multipart_sign_with_rng<R: TryCryptoRng + ?Sized>(
                &self,
                rng: &mut R,
                parts: &[&[u8]],
            ) -> signature::Result<$signature> {
                self.sign_prehash_with_rng(rng, &self.verifying_key().digest(parts))
            }
        }
    )*};
}
signers!(Signature, DerSignature);

macro_rules! verifiers {
    ($($key:ty),*) => {$(
        impl Verifier<Signature> for $key {
            fn verify(&self, message: &[u8], signature: &Signature) -> signature::Result<()> {
                Ok(self.verify_parts(&[message], signature)?)
            }
        }

        impl MultipartVerifier<Signature> for $key {
            fn multipart_verify(
                &self,
                parts: &[&[u8]],
                signature: &Signature,
            ) -> signature::Result<()> {
                Ok(self.verify_parts(parts, signature)?)
            }
        }

        impl PrehashVerifier<Signature> for $key {
            fn verify_prehash(&self, e: &[u8], signature: &Signature) -> signature::Result<()> {
                Ok(self.verify_prehash(prehash(e)?, signature)?)
            }
        }

        impl Verifier<DerSignature> for $key {
            fn verify(&self, message: &[u8], signature: &DerSignature) -> signature::Result<()> {
                Ok(self.verify_parts(&[message], &signature.to_signature()?)?)
            }
        }

        impl MultipartVerifier<DerSignature> for $key {
            fn multipart_verify(
                &self,
                parts: &[&[u8]],
                signature: &DerSignature,
            ) -> signature::Result<()> {
                Ok(self.verify_parts(parts, &signature.to_signature()?)?)
            }
        }

        impl PrehashVerifier<DerSignature> for $key {
            fn verify_prehash(&self, e: &[u8], signature: &DerSignature) -> signature::Result<()> {
                Ok(self.verify_prehash(prehash(e)?, &signature.to_signature()?)?)
            }
        }
    )*};
}
verifiers!(VerifyingKey, PreparedKey);
