//! Public-key encryption (GM/T 0003.4, GB/T 32918.4), in the order C1 ‖ C3 ‖ C2.

use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use crate::cpu::Backend;
use crate::error::Error;
use crate::sm2::ciphertext::Ciphertext;
use crate::sm2::comb::mul_base;
use crate::sm2::kdf;
use crate::sm2::mul::mul;
use crate::sm2::point::{Affine, Point};
use crate::sm2::public_key::PublicKey;
use crate::sm2::random;
use crate::sm2::scalar::Scalar;
use crate::sm2::secret_key::SecretKey;
use crate::sm3;
use crate::taint;

impl PublicKey {
    /// Encrypts `plaintext` for the owner of this key: 04 ‖ x ‖ y ‖ C3 ‖ C2, 97 bytes longer than the plaintext.
    ///
    /// Meant for keys and other short texts; it must be shorter than 32 · (2^32 - 1) bytes. C3 tells a changed ciphertext, but
    /// anybody can make one: it says nothing about the sender.
    ///
    /// ```
    /// use sm_accel::sm2::SecretKey;
    ///
    /// let key = SecretKey::generate()?;
    /// let ciphertext = key.public_key().encrypt(b"a data key")?;
    /// assert_eq!(*key.decrypt(&ciphertext)?, *b"a data key");
    /// # Ok::<(), sm_accel::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Length`] for an empty plaintext, for which the standard knows no ciphertext, [`Error::TooLong`]
    /// beyond the limit, [`Error::Random`] when the operating system's generator fails.
    pub fn encrypt(&self, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        encrypt_from(self, plaintext, random::fill)
    }

    /// [`PublicKey::encrypt`] into the DER form (GM/T 0009 section 7.2).
    ///
    /// # Errors
    /// As [`PublicKey::encrypt`]; [`Error::TooLong`] already when the encoding is 4 GiB long or longer.
    pub fn encrypt_der(&self, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        Ciphertext::from_raw(&self.encrypt(plaintext)?)?.to_der()
    }
}

impl SecretKey {
    /// Decrypts 04 ‖ x ‖ y ‖ C3 ‖ C2. The plaintext is wiped on drop.
    ///
    /// # Errors
    /// [`Error::Decryption`], whatever was wrong: the form, the point, the digest. C3 is compared in constant time,
    /// and nothing of a text that fails is given out.
    pub fn decrypt(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        open(self, &Ciphertext::from_raw(ciphertext)?)
    }

    /// [`SecretKey::decrypt`] from the DER form (GM/T 0009 section 7.2).
    ///
    /// # Errors
    /// As [`SecretKey::decrypt`].
    pub fn decrypt_der(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        open(self, &Ciphertext::from_der(ciphertext)?)
    }
}

/// Steps A1 to A8; `fill` gives candidates for k.
pub(crate) fn encrypt_from(
    key: &PublicKey,
    plaintext: &[u8],
    mut fill: impl FnMut(&mut [u8]) -> Result<(), Error>,
) -> Result<Vec<u8>, Error> {
    if plaintext.is_empty() {
        return Err(Error::Length {
            what: "plaintext",
            got: 0,
            expected: "at least 1",
        });
    }
    kdf::check_len(plaintext.len())?;
    let mut candidate = Zeroizing::new([0u8; 32]);
    // A candidate is refused with a probability near 2^-32, and under a single byte of text one k in 256 gives an
    // all-zero t: a generator that fails this often is broken.
    for _ in 0..128 {
        // A1: k in [1, n-1]
        fill(&mut *candidate)?;
        let k = Scalar::from_bytes(&candidate).map(Zeroizing::new);
        let Some(k) = k.filter(|k| !taint::public(k.is_zero())) else {
            continue;
        };
        if let Some(ciphertext) = encrypt_with_k(key, plaintext, &k) {
            return Ok(ciphertext);
        }
    }
    Err(Error::Random)
}

/// Steps A2 to A8; `None` is "return to A1".
pub(crate) fn encrypt_with_k(key: &PublicKey, plaintext: &[u8], k: &Scalar) -> Option<Vec<u8>> {
    let backend = key.backend();
    // A2: C1 = [k]G; A3: the cofactor is 1, and a public key is not infinity; A4: (x2, y2) = [k]P
    let points = Zeroizing::new([mul_base(backend, k), mul(backend, key.point(), k)]);
    let affine = Zeroizing::new(Point::to_affine_many(&*points));
    let [Some(c1), Some(shared)] = affine.as_slice() else {
        return None;
    };
    let x2_y2 = coordinates(shared);
    let mut out = Vec::with_capacity(plaintext.len().checked_add(Ciphertext::OVERHEAD)?);
    out.extend_from_slice(&c1.to_sec1());
    // A7: C3 = SM3(x2 ‖ M ‖ y2)
    out.extend_from_slice(&digest(backend, &x2_y2, plaintext));
    // A5: t = KDF(x2 ‖ y2, klen), again if all zero; A6: C2 = M xor t
    let start = out.len();
    out.extend_from_slice(plaintext);
    if taint::public(kdf::xor_stream(backend, &x2_y2, out.get_mut(start..)?)) {
        // What was written is the plaintext.
        out.zeroize();
        return None;
    }
    Some(out)
}

/// Steps B1 to B7. Errors before the digest is known tell only what everybody sees in the ciphertext.
fn open(key: &SecretKey, ciphertext: &Ciphertext<'_>) -> Result<Zeroizing<Vec<u8>>, Error> {
    let backend = key.backend();
    kdf::check_len(ciphertext.c2.len()).map_err(|_| Error::Decryption)?;
    // B1: C1 is on the curve; B2: the cofactor is 1, and (x, y) is not infinity
    let c1 = PublicKey::from_coordinates_with_backend(backend, &ciphertext.x, &ciphertext.y)
        .map_err(|_| Error::Decryption)?;
    // B3: (x2, y2) = [d]C1
    let point = Zeroizing::new(mul(backend, c1.point(), key.d()));
    let shared = Zeroizing::new(point.to_affine().ok_or(Error::Decryption)?);
    let x2_y2 = coordinates(&shared);
    // B4: t = KDF(x2 ‖ y2, klen), an error if all zero; B5: M = C2 xor t
    let mut plaintext = Zeroizing::new(ciphertext.c2.to_vec());
    let zero = kdf::xor_stream(backend, &x2_y2, &mut plaintext);
    // B6: u = SM3(x2 ‖ M ‖ y2), an error if u differs from C3
    let u = Zeroizing::new(digest(backend, &x2_y2, &plaintext));
    // B7
    if taint::public(!zero & u.ct_eq(ciphertext.c3.as_slice())) {
        Ok(plaintext)
    } else {
        Err(Error::Decryption)
    }
}

/// x ‖ y.
fn coordinates(point: &Affine) -> Zeroizing<[u8; 64]> {
    let sec1 = Zeroizing::new(point.to_sec1());
    let mut out = Zeroizing::new([0u8; 64]);
    for (byte, from) in out.iter_mut().zip(sec1.iter().skip(1)) {
        *byte = *from;
    }
    out
}

/// SM3(x2 ‖ text ‖ y2).
fn digest(backend: Backend, x2_y2: &[u8; 64], text: &[u8]) -> [u8; 32] {
    let (x2, y2) = x2_y2.split_at(32);
    sm3::hash_parts_with_backend(backend, &[x2, text, y2])
}
