//! The backend without feature `accel`: RustCrypto. In tests it is also the second opinion on the other one.

use crate::error::{Error, RandomError};
use crate::random::Randomness;
use hmac::{Hmac, KeyInit, Mac};
use sm2::dsa::signature::Verifier as _;
use sm2::elliptic_curve::ops::Reduce;
use sm2::elliptic_curve::point::AffineCoordinates;
use sm2::elliptic_curve::sec1::ToSec1Point;
use sm2::elliptic_curve::{Group, PrimeField};
use sm2::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, LineEnding,
};
use sm2::{FieldBytes, ProjectivePoint, Scalar};
use sm3::{Digest, Sm3};
use zeroize::{Zeroize, Zeroizing};

use super::hash::{Hash, USER_ID};

/// How often a nonce may be rejected before the generator itself is held broken: each rejection has
/// a chance of about 2^-32 (k out of range) or 2^-255 (r or s unfit).
const MAX_NONCES: usize = 64;

/// SM3 (GB/T 32905) of the concatenation of `parts`.
pub(crate) fn sm3(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sm3::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// SM3 of every message, each given as its parts.
pub(crate) fn sm3_many(messages: &[&[&[u8]]]) -> Vec<Hash> {
    messages.iter().map(|parts| sm3(parts)).collect()
}

/// An HMAC-SM3 key.
pub(crate) struct HmacKey(Zeroizing<Vec<u8>>);

impl HmacKey {
    /// Copies `key` into storage that is wiped on drop.
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(Zeroizing::new(key.to_vec()))
    }
}

/// HMAC-SM3 of every message, each given as its parts.
pub(crate) fn hmac_many(key: &HmacKey, messages: &[&[&[u8]]]) -> Vec<Hash> {
    messages
        .iter()
        .map(|parts| hmac_parts(&key.0, parts))
        .collect()
}

fn hmac_parts(key: &[u8], parts: &[&[u8]]) -> Hash {
    // RFC 2104: a key longer than a block is hashed, a shorter one padded with zeros. Done here
    // because the block-sized constructor is the one that cannot fail.
    let mut block = Zeroizing::new([0u8; 64]);
    if key.len() > block.len() {
        let hashed = Zeroizing::new(sm3(&[key]));
        block
            .iter_mut()
            .zip(hashed.iter())
            .for_each(|(b, k)| *b = *k);
    } else {
        block.iter_mut().zip(key).for_each(|(b, k)| *b = *k);
    }
    let mut mac = Hmac::<Sm3>::new((&*block).into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// HMAC_DRBG (NIST SP 800-90A) on SM3 as RFC 6979 3.2 runs it; state wiped on drop.
struct HmacDrbg {
    k: Zeroizing<Hash>,
    v: Zeroizing<Hash>,
}

impl HmacDrbg {
    fn new(seed: &[&[u8]; 3]) -> Self {
        let mut drbg = Self {
            k: Zeroizing::new([0; 32]),
            v: Zeroizing::new([1; 32]),
        };
        let [x, h, extra] = seed;
        for step in [0x00, 0x01] {
            *drbg.k = hmac_parts(&*drbg.k, &[&*drbg.v, &[step], x, h, extra]);
            *drbg.v = hmac_parts(&*drbg.k, &[&*drbg.v]);
        }
        drbg
    }

    fn next(&mut self) -> Zeroizing<Hash> {
        *self.v = hmac_parts(&*self.k, &[&*self.v]);
        let out = Zeroizing::new(*self.v);
        *self.k = hmac_parts(&*self.k, &[&*self.v, &[0x00]]);
        *self.v = hmac_parts(&*self.k, &[&*self.v]);
        out
    }
}

/// An SM2 private key, d in [1, n-2]; wiped on drop.
pub(crate) struct SecretKey {
    inner: sm2::SecretKey,
    z: Hash,
}

impl SecretKey {
    /// A fresh key.
    pub(crate) fn generate(random: &dyn Randomness) -> Result<Self, Error> {
        for _ in 0..MAX_NONCES {
            let mut bytes = Zeroizing::new([0u8; 32]);
            random.fill(&mut *bytes)?;
            if let Ok(inner) = sm2::SecretKey::from_slice(&*bytes)
                && let Ok(key) = Self::from_inner(inner)
            {
                return Ok(key);
            }
        }
        Err(RandomError::new("no usable private key among many candidates").into())
    }

    /// Reads PKCS#8 PEM.
    pub(crate) fn from_pkcs8_pem(pem: &str) -> Result<Self, Error> {
        let inner = sm2::SecretKey::from_pkcs8_pem(pem)
            .map_err(|_| Error::Key("not an SM2 private key in PKCS#8 PEM".into()))?;
        Self::from_inner(inner)
    }

    #[allow(
        clippy::arithmetic_side_effects,
        reason = "scalars are added modulo n: nothing overflows"
    )]
    fn from_inner(inner: sm2::SecretKey) -> Result<Self, Error> {
        // GM/T 0003.1 6.1: d in [1, n-2]. n-1 would make 1 + d vanish.
        let mut d: Scalar = *inner.to_nonzero_scalar();
        let unfit = bool::from((d + Scalar::ONE).is_zero());
        d.zeroize();
        if unfit {
            return Err(Error::Key("SM2 private key is n-1".into()));
        }
        let z = hash_z(USER_ID, &inner.public_key())?;
        Ok(Self { inner, z })
    }

    /// PKCS#8 PEM.
    pub(crate) fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, Error> {
        self.inner
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|_| Error::Key("cannot encode the private key".into()))
    }

    /// The public half.
    pub(crate) fn public_key(&self) -> Result<PublicKey, Error> {
        PublicKey::from_inner(self.inner.public_key())
    }

    /// Signs `message` (SM2 with SM3, user id 1234567812345678): r || s, 32 bytes each.
    ///
    /// k comes from HMAC-DRBG-SM3 over d, e and 32 fresh random bytes, so that neither a weak
    /// generator nor a repeated one gives the key away.
    pub(crate) fn sign(
        &self,
        message: &[u8],
        random: &dyn Randomness,
    ) -> Result<[u8; 64], RandomError> {
        // A1, A2: e = SM3(Z || M)
        let e = reduce(&sm3(&[&self.z, message]));
        let mut fresh = Zeroizing::new([0u8; 32]);
        random.fill(&mut *fresh)?;
        let d = Zeroizing::new(*self.inner.to_nonzero_scalar());
        let d_bytes = Zeroizing::new(<[u8; 32]>::from(self.inner.to_bytes()));
        let e_bytes: [u8; 32] = e.to_repr().into();
        let mut drbg = HmacDrbg::new(&[&*d_bytes, &e_bytes, &*fresh]);
        for _ in 0..MAX_NONCES {
            // A3: k in [1, n-1]
            let candidate = drbg.next();
            let k = Scalar::from_repr(FieldBytes::from(*candidate)).into_option();
            if let Some(k) = k.map(Zeroizing::new)
                && !bool::from(k.is_zero())
                && let Some(signature) = sign_with_nonce(&d, &e, &k)
            {
                return Ok(signature);
            }
        }
        Err(RandomError::new("no usable nonce among many candidates"))
    }
}

/// Steps A4 to A7 of GM/T 0003.2 6.1; `None` means "return to A3".
#[allow(
    clippy::arithmetic_side_effects,
    reason = "scalars are computed modulo n: nothing overflows"
)]
fn sign_with_nonce(d: &Scalar, e: &Scalar, k: &Scalar) -> Option<[u8; 64]> {
    // A4: (x1, y1) = [k]G
    let point = ProjectivePoint::mul_by_generator(k).to_affine();
    // A5: r = (e + x1) mod n; again if r = 0 or r + k = n
    let r = *e + Scalar::reduce(&point.x());
    let r_plus_k = Zeroizing::new(r + *k);
    if bool::from(r.is_zero()) || bool::from(r_plus_k.is_zero()) {
        return None;
    }
    // A6: s = ((1 + d)^-1 (k - r d)) mod n; again if s = 0
    let inverse = Zeroizing::new((*d + Scalar::ONE).invert().into_option()?);
    let difference = Zeroizing::new(*k - r * *d);
    let s = *inverse * *difference;
    if bool::from(s.is_zero()) {
        return None;
    }
    // A7: (r, s)
    let mut out = [0u8; 64];
    let (left, right) = out.split_at_mut(32);
    left.copy_from_slice(&r.to_repr());
    right.copy_from_slice(&s.to_repr());
    Some(out)
}

fn reduce(hash: &Hash) -> Scalar {
    <Scalar as Reduce<FieldBytes>>::reduce(&FieldBytes::from(*hash))
}

/// Z = SM3(ENTL || ID || a || b || xG || yG || xA || yA), GM/T 0003.2 5.5.
fn hash_z(user_id: &str, key: &sm2::PublicKey) -> Result<Hash, Error> {
    // The recommended curve, GM/T 0003.5 (a, b, xG, yG).
    const CURVE: [&str; 4] = [
        "fffffffeffffffffffffffffffffffffffffffff00000000fffffffffffffffc",
        "28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93",
        "32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7",
        "bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0",
    ];
    let bits = user_id
        .len()
        .checked_mul(8)
        .and_then(|bits| u16::try_from(bits).ok())
        .ok_or_else(|| Error::Key("user id is too long".into()))?;
    let mut hasher = Sm3::new();
    hasher.update(bits.to_be_bytes());
    hasher.update(user_id);
    for constant in CURVE {
        let bytes: [u8; 32] = crate::hex::decode(constant)
            .ok_or_else(|| Error::Key("curve constant is malformed".into()))?;
        hasher.update(bytes);
    }
    // SEC1 uncompressed: 04 || x || y
    let point = key.to_sec1_point(false);
    hasher.update(point.as_bytes().get(1..).unwrap_or_default());
    Ok(hasher.finalize().into())
}

/// An SM2 public key: on the curve, not the point at infinity.
#[derive(Clone)]
pub(crate) struct PublicKey(sm2::dsa::VerifyingKey);

impl PublicKey {
    /// Reads SubjectPublicKeyInfo PEM.
    pub(crate) fn from_spki_pem(pem: &str) -> Result<Self, Error> {
        let inner = sm2::PublicKey::from_public_key_pem(pem)
            .map_err(|_| Error::Key("not an SM2 public key in SubjectPublicKeyInfo PEM".into()))?;
        Self::from_inner(inner)
    }

    fn from_inner(inner: sm2::PublicKey) -> Result<Self, Error> {
        sm2::dsa::VerifyingKey::new(USER_ID, inner)
            .map(Self)
            .map_err(|_| Error::Key("not usable as an SM2 verifying key".into()))
    }

    /// SubjectPublicKeyInfo PEM.
    pub(crate) fn to_spki_pem(&self) -> Result<String, Error> {
        sm2::PublicKey::from(&self.0)
            .to_public_key_pem(LineEnding::LF)
            .map_err(|_| Error::Key("cannot encode the public key".into()))
    }
}

/// One signature to check.
pub(crate) struct Signed<'a> {
    /// Whose signature it is said to be.
    pub(crate) key: &'a PublicKey,
    /// Over what.
    pub(crate) message: &'a [u8],
    /// r || s.
    pub(crate) signature: &'a [u8; 64],
}

/// Verifies each signature (GM/T 0003.2 7.1, B1 to B7): r and s in [1, n-1], r + s mod n not 0.
pub(crate) fn verify_many(items: &[Signed<'_>]) -> Vec<bool> {
    items
        .iter()
        .map(|item| {
            sm2::dsa::Signature::from_slice(item.signature)
                .is_ok_and(|signature| item.key.0.verify(item.message, &signature).is_ok())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;
    use sm2::dsa::signature::hazmat::RandomizedPrehashSigner;
    use std::sync::Mutex;

    /// Hands out one prepared buffer.
    struct Prepared(Mutex<Vec<u8>>);

    impl Randomness for Prepared {
        fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
            let mut bytes = self.0.lock().unwrap();
            if bytes.len() < buffer.len() {
                return Err(RandomError::new("used up"));
            }
            let rest = bytes.split_off(buffer.len());
            buffer.copy_from_slice(&bytes);
            *bytes = rest;
            Ok(())
        }
    }

    fn annex_a_key() -> SecretKey {
        let d: [u8; 32] =
            hex::decode("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8")
                .unwrap();
        SecretKey::from_inner(sm2::SecretKey::from_slice(&d).unwrap()).unwrap()
    }

    #[test]
    fn gb_t_32905_annex_a() {
        assert_eq!(
            hex::encode(&sm3(&[b"abc"])),
            "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
        );
        let long = b"abcd".repeat(16);
        let expected = "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732";
        // However it is cut into parts, and in a batch.
        for cut in [0, 1, 17, 63, 64] {
            let (left, right) = long.split_at(cut);
            assert_eq!(hex::encode(&sm3(&[left, right])), expected);
        }
        let batch = sm3_many(&[&[b"abc"], &[&long]]);
        assert_eq!(batch[0], sm3(&[b"abc"]));
        assert_eq!(hex::encode(&batch[1]), expected);
    }

    #[test]
    fn gm_t_0003_5_annex_a_signs_and_verifies() {
        let key = annex_a_key();
        let e = reduce(&sm3(&[&key.z, b"message digest"]));
        // The standard's e, before any use of it.
        assert_eq!(
            hex::encode(&e.to_repr()),
            "f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640"
        );
        let k: [u8; 32] =
            hex::decode("59276e27d506861a16680f3ad9c02dccef3cc1fa3cdbe4ce6d54b80deac1bc21")
                .unwrap();
        let k = Scalar::from_repr(FieldBytes::from(k))
            .into_option()
            .unwrap();
        let signature = sign_with_nonce(&key.inner.to_nonzero_scalar(), &e, &k).unwrap();
        assert_eq!(
            hex::encode(&signature),
            "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3\
             b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
        );
        let public = key.public_key().unwrap();
        let mut wrong = signature;
        wrong[63] ^= 1;
        let item = |message, signature| Signed {
            key: &public,
            message,
            signature,
        };
        assert_eq!(
            verify_many(&[
                item(b"message digest", &signature),
                item(b"message digesT", &signature),
                item(b"message digest", &wrong),
                item(b"message digest", &[0; 64]),
                item(b"message digest", &[0xff; 64]),
            ]),
            [true, false, false, false, false]
        );
    }

    /// Our loop around A3-A7 and RustCrypto's single shot agree bit for bit.
    #[test]
    fn nonce_generation_equals_rustcrypto() {
        struct Fixed([u8; 32]);
        impl sm2::elliptic_curve::rand_core::TryRng for Fixed {
            type Error = core::convert::Infallible;
            fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
                Ok(0)
            }
            fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
                Ok(0)
            }
            fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
                out.copy_from_slice(&self.0);
                Ok(())
            }
        }
        impl sm2::elliptic_curve::rand_core::TryCryptoRng for Fixed {}

        let key = annex_a_key();
        for i in 0..8u8 {
            let message = [i; 40];
            let fresh = [i.wrapping_mul(37); 32];
            let ours = key
                .sign(&message, &Prepared(Mutex::new(fresh.to_vec())))
                .unwrap();
            let theirs: sm2::dsa::Signature = sm2::dsa::SigningKey::new(USER_ID, &key.inner)
                .unwrap()
                .sign_prehash_with_rng(&mut Fixed(fresh), &sm3(&[&key.z, &message]))
                .unwrap();
            assert_eq!(ours.as_slice(), theirs.to_bytes().as_slice());
        }
    }

    #[test]
    fn random_failure_is_an_error() {
        let empty = Prepared(Mutex::new(Vec::new()));
        assert!(annex_a_key().sign(b"m", &empty).is_err());
        assert!(matches!(SecretKey::generate(&empty), Err(Error::Random(_))));
    }

    #[test]
    fn private_key_n_minus_1_is_refused() {
        let d: [u8; 32] =
            hex::decode("fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54122")
                .unwrap();
        let refused = SecretKey::from_inner(sm2::SecretKey::from_slice(&d).unwrap());
        assert!(matches!(refused, Err(Error::Key(_))));
    }

    #[test]
    fn hmac_sm3_known_answer() {
        // `openssl mac -digest SM3 -macopt key:key HMAC`, OpenSSL 3.0.
        let expected = "45315fc76632ca32b64c3748e96bd424ea97f91f9433cd2a1ea56cde89952b88";
        let key = HmacKey::new(b"key");
        for mac in hmac_many(
            &key,
            &[
                &[b"The quick brown fox ", b"jumps"],
                &[b"The quick brown fox jumps"],
            ],
        ) {
            assert_eq!(hex::encode(&mac), expected);
        }
    }

    #[test]
    fn wycheproof_hmac_sm3() {
        let folder = std::env::var_os("VECTORS_DIR").map_or_else(
            || {
                std::path::PathBuf::from(concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/../../shared/vectors"
                ))
            },
            Into::into,
        );
        let file = folder.join("wycheproof/hmac_sm3_test.json");
        let Ok(text) = std::fs::read_to_string(&file) else {
            assert!(
                std::env::var_os("REQUIRE_PEERS").is_none_or(|v| v != "1"),
                "{} is required",
                file.display()
            );
            println!("SKIPPED: {} is absent", file.display());
            return;
        };
        let vectors: serde_json::Value = serde_json::from_str(&text).unwrap();
        let bytes = |value: &serde_json::Value| {
            let text = value.as_str().unwrap();
            (0..text.len() / 2)
                .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
                .collect::<Vec<u8>>()
        };
        let (mut run, mut valid) = (0, 0);
        for group in vectors["testGroups"].as_array().unwrap() {
            for test in group["tests"].as_array().unwrap() {
                let key = HmacKey::new(&bytes(&test["key"]));
                let tag = bytes(&test["tag"]);
                let mac = hmac_many(&key, &[&[&bytes(&test["msg"])]]);
                let expected = test["result"] == "valid";
                assert_eq!(
                    mac[0][..tag.len()] == tag[..],
                    expected,
                    "tcId {}",
                    test["tcId"]
                );
                run += 1;
                valid += i32::from(expected);
            }
        }
        assert_eq!(run, vectors["numberOfTests"].as_i64().unwrap() as i32);
        assert!(valid > 0 && valid < run);
    }
}
