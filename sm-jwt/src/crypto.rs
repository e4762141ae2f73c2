//! The cryptographic backend, and the only file that names one.
//!
//! Batch-shaped: slices in, one result an item, so that a many-lane backend can slot in below.
//! Everything that touches a private scalar or `k` is constant-time; verification works on public
//! values and is not.

// The operators here work on scalars modulo n, which cannot overflow.
#![allow(clippy::arithmetic_side_effects)]

use hmac::{Hmac, KeyInit as _, Mac as _};
use sm2::elliptic_curve::Group as _;
use sm2::elliptic_curve::ff::PrimeField as _;
use sm2::elliptic_curve::ops::{MulByGeneratorVartime as _, Reduce as _};
use sm2::elliptic_curve::point::{AffineCoordinates as _, BatchNormalize as _};
use sm2::elliptic_curve::sec1::{FromSec1Point as _, ToSec1Point as _};
use sm2::{AffinePoint, FieldBytes, ProjectivePoint, Scalar};
use sm3::{Digest as _, Sm3};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::Error;

/// Length of a raw signature, r ‖ s.
pub(crate) const SIGNATURE_LEN: usize = 64;
/// Length of an uncompressed point, 04 ‖ x ‖ y.
pub(crate) const POINT_LEN: usize = 65;

/// The curve constants that Z hashes, a ‖ b ‖ xG ‖ yG (GM/T 0003.5 section 4).
const CURVE_CONSTANTS: [u8; 128] = *b"\
\xFF\xFF\xFF\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\
\xFF\xFF\xFF\xFF\x00\x00\x00\x00\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFC\
\x28\xE9\xFA\x9E\x9D\x9F\x5E\x34\x4D\x5A\x9E\x4B\xCF\x65\x09\xA7\
\xF3\x97\x89\xF5\x15\xAB\x8F\x92\xDD\xBC\xBD\x41\x4D\x94\x0E\x93\
\x32\xC4\xAE\x2C\x1F\x19\x81\x19\x5F\x99\x04\x46\x6A\x39\xC9\x94\
\x8F\xE3\x0B\xBF\xF2\x66\x0B\xE1\x71\x5A\x45\x89\x33\x4C\x74\xC7\
\xBC\x37\x36\xA2\xF4\xF6\x77\x9C\x59\xBD\xCE\xE3\x6B\x69\x21\x53\
\xD0\xA9\x87\x7C\xC6\x2A\x47\x40\x02\xDF\x32\xE5\x21\x39\xF0\xA0";

/// SM3 over the concatenation of `parts`.
pub(crate) fn sm3(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sm3::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// HMAC-SM3 (GB/T 15852.2) over the concatenation of `parts`.
fn hmac_sm3(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    // A key of any length is accepted by HMAC, so the fallback is never taken; it would only make
    // the DRBG's output differ, never panic.
    let mut mac = Hmac::<Sm3>::new_from_slice(key)
        .unwrap_or_else(|_| Hmac::<Sm3>::new(&sm3::digest::Key::<Hmac<Sm3>>::default()));
    for part in parts {
        mac.update(part);
    }
    let mut tag = mac.finalize().into_bytes();
    let mut out = Zeroizing::new([0u8; 32]);
    out.copy_from_slice(&tag);
    tag.as_mut_slice().zeroize();
    out
}

/// Random bytes from the operating system.
pub(crate) fn fill_random(out: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(out).map_err(|_| Error::Random)
}

/// A public key: a point on the curve, not infinity.
#[derive(Clone)]
pub(crate) struct PublicPoint {
    point: ProjectivePoint,
    sec1: [u8; POINT_LEN],
}

impl PublicPoint {
    /// Reads 04 ‖ x ‖ y, 02 ‖ x or 03 ‖ x; `None` unless the point is on the curve.
    pub(crate) fn from_sec1(bytes: &[u8]) -> Option<Self> {
        // Only these three tags: no infinity, no hybrid or compact form.
        match (bytes.first()?, bytes.len()) {
            (4, POINT_LEN) | (2 | 3, 33) => {}
            _ => return None,
        }
        let affine = AffinePoint::from_sec1_bytes(bytes).ok()?;
        Self::from_affine(affine)
    }

    fn from_affine(affine: AffinePoint) -> Option<Self> {
        let point = ProjectivePoint::from(affine);
        if bool::from(point.is_identity()) {
            return None;
        }
        let sec1 = affine.to_sec1_point(false).as_bytes().try_into().ok()?;
        Some(Self { point, sec1 })
    }

    /// The uncompressed encoding.
    pub(crate) fn sec1(&self) -> &[u8; POINT_LEN] {
        &self.sec1
    }

    /// Z = SM3(ENTL ‖ id ‖ a ‖ b ‖ xG ‖ yG ‖ xA ‖ yA), GM/T 0003.2 section 5.5.
    ///
    /// `None` when the user id is longer than its 16-bit length in bits can say.
    pub(crate) fn z(&self, user_id: &[u8]) -> Option<[u8; 32]> {
        let entl = u16::try_from(user_id.len().checked_mul(8)?).ok()?;
        let (_, coordinates) = self.sec1.split_first()?;
        Some(sm3(&[
            &entl.to_be_bytes(),
            user_id,
            &CURVE_CONSTANTS,
            coordinates,
        ]))
    }
}

/// A private key d in [1, n-2], boxed so that moves leave no copies behind, wiped on drop.
pub(crate) struct SecretScalar(Box<Secrets>);

struct Secrets {
    d: Zeroizing<Scalar>,
    /// (1 + d)^-1, as secret as d.
    inverse: Zeroizing<Scalar>,
}

impl SecretScalar {
    /// Reads a big-endian scalar; `None` unless it lies in [1, n-2].
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let mut repr = FieldBytes::from(*bytes);
        let d = Option::<Scalar>::from(Scalar::from_repr(repr)).map(Zeroizing::new);
        repr.as_mut_slice().zeroize();
        let d = d?;
        // d = n-1 has no (1 + d)^-1: then the standard's signature does not exist.
        let inverse = Option::<Scalar>::from((*d + Scalar::ONE).invert()).map(Zeroizing::new)?;
        if bool::from(d.is_zero()) {
            return None;
        }
        Some(Self(Box::new(Secrets { d, inverse })))
    }

    /// A new key from the operating system's generator.
    pub(crate) fn generate() -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        // Each try fails with a probability near 2^-32; a generator that fails this often is broken.
        for _ in 0..16 {
            fill_random(&mut *bytes)?;
            if let Some(secret) = Self::from_bytes(&bytes) {
                return Ok(secret);
            }
        }
        Err(Error::Random)
    }

    /// The big-endian scalar.
    pub(crate) fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        let mut repr = self.0.d.to_repr();
        let mut out = Zeroizing::new([0u8; 32]);
        out.copy_from_slice(&repr);
        repr.as_mut_slice().zeroize();
        out
    }

    /// The public key [d]G. `None` cannot happen for d in [1, n-2].
    pub(crate) fn public_point(&self) -> Option<PublicPoint> {
        PublicPoint::from_affine(ProjectivePoint::mul_by_generator(&self.0.d).to_affine())
    }
}

/// One message to sign.
pub(crate) struct SignItem<'a> {
    pub(crate) key: &'a SecretScalar,
    /// The signer's Z.
    pub(crate) z: &'a [u8; 32],
    pub(crate) message: &'a [u8],
}

/// SM2 signatures r ‖ s (GM/T 0003.2 section 6.1), one result an item.
///
/// k comes from HMAC-DRBG-SM3 (RFC 6979 section 3.6's form) over d, e and 32 fresh random bytes: a
/// repeated or poor random value alone does not repeat k.
pub(crate) fn sign_many(items: &[SignItem<'_>]) -> Vec<Result<[u8; SIGNATURE_LEN], Error>> {
    items
        .iter()
        .map(|item| {
            let mut entropy = Zeroizing::new([0u8; 32]);
            fill_random(&mut *entropy)?;
            sign_with_entropy(item, &entropy)
        })
        .collect()
}

fn sign_with_entropy(
    item: &SignItem<'_>,
    entropy: &[u8; 32],
) -> Result<[u8; SIGNATURE_LEN], Error> {
    // A1, A2: e = SM3(Z ‖ M)
    let e = reduce(&sm3(&[item.z, item.message]));
    let mut drbg = HmacDrbg::new(&item.key.to_bytes(), &e.to_repr().into(), entropy);
    // Every way back to A3 has a probability near 2^-256, rejection of k near 2^-32.
    for _ in 0..64 {
        // A3: k in [1, n-1]
        let mut candidate = FieldBytes::from(*drbg.next());
        let k = Option::<Scalar>::from(Scalar::from_repr(candidate)).map(Zeroizing::new);
        candidate.as_mut_slice().zeroize();
        let Some(k) = k.filter(|k| !bool::from(k.is_zero())) else {
            continue;
        };
        if let Some(signature) = sign_with_k(item.key, &e, &k) {
            return Ok(signature);
        }
    }
    Err(Error::Random)
}

/// Steps A4 to A7; `None` is "return to A3".
fn sign_with_k(key: &SecretScalar, e: &Scalar, k: &Scalar) -> Option<[u8; SIGNATURE_LEN]> {
    // A4: (x1, y1) = [k]G
    let x1 = ProjectivePoint::mul_by_generator(k).to_affine().x();
    // A5: r = (e + x1) mod n; again if r = 0 or r + k = n
    let r = *e + Scalar::reduce(&x1);
    let r_plus_k = Zeroizing::new(r + *k);
    if bool::from(r.is_zero() | r_plus_k.is_zero()) {
        return None;
    }
    // A6: s = (1 + d)^-1 (k - r d) = (1 + d)^-1 (k + r) - r; again if s = 0
    let s = *key.0.inverse * *r_plus_k - r;
    if bool::from(s.is_zero()) {
        return None;
    }
    // A7
    let mut out = [0u8; SIGNATURE_LEN];
    let (left, right) = out.split_at_mut(32);
    left.copy_from_slice(&r.to_repr());
    right.copy_from_slice(&s.to_repr());
    Some(out)
}

/// HMAC_DRBG on SM3 (NIST SP 800-90A section 10.1.2), seeded as RFC 6979 section 3.2 does.
struct HmacDrbg {
    k: Zeroizing<[u8; 32]>,
    v: Zeroizing<[u8; 32]>,
    used: bool,
}

impl HmacDrbg {
    fn new(d: &[u8; 32], e: &[u8; 32], entropy: &[u8; 32]) -> Self {
        let mut k = Zeroizing::new([0u8; 32]);
        let mut v = Zeroizing::new([1u8; 32]);
        for round in [0u8, 1] {
            k = hmac_sm3(&*k, &[&*v, &[round], d, e, entropy]);
            v = hmac_sm3(&*k, &[&*v]);
        }
        Self { k, v, used: false }
    }

    /// The next 32 bytes; they stay in the generator and are wiped with it.
    fn next(&mut self) -> &[u8; 32] {
        if self.used {
            self.k = hmac_sm3(&*self.k, &[&*self.v, &[0]]);
            self.v = hmac_sm3(&*self.k, &[&*self.v]);
        }
        self.used = true;
        self.v = hmac_sm3(&*self.k, &[&*self.v]);
        &self.v
    }
}

/// One signature to check.
pub(crate) struct VerifyItem<'a> {
    pub(crate) key: &'a PublicPoint,
    /// The signer's Z.
    pub(crate) z: &'a [u8; 32],
    pub(crate) message: &'a [u8],
    /// r ‖ s.
    pub(crate) signature: &'a [u8; SIGNATURE_LEN],
}

/// Checks SM2 signatures (GM/T 0003.2 section 7.1), one answer an item.
pub(crate) fn verify_many(items: &[VerifyItem<'_>]) -> Vec<bool> {
    // Steps B1 to B6 leave a projective point an item; one shared inversion makes them affine.
    let (expected, points): (Vec<Option<Scalar>>, Vec<ProjectivePoint>) =
        items.iter().map(verify_to_point).unzip();
    let affine = match points.as_slice() {
        [point] => vec![point.to_affine()],
        points => ProjectivePoint::batch_normalize(points),
    };
    expected
        .iter()
        .zip(&affine)
        .map(|(expected, point)| match expected {
            // B7: R = (e + x1) mod n, that is x1 mod n = r - e
            Some(expected) => bool::from(Scalar::reduce(&point.x()).ct_eq(expected)),
            None => false,
        })
        .collect()
}

/// B1 to B6: r - e and [s]G + [t]P, or no expectation when a step already fails.
fn verify_to_point(item: &VerifyItem<'_>) -> (Option<Scalar>, ProjectivePoint) {
    let refused = (None, ProjectivePoint::IDENTITY);
    // B1, B2: r, s in [1, n-1]
    let (r, s) = item.signature.split_at(32);
    let (Some(r), Some(s)) = (scalar_in_range(r), scalar_in_range(s)) else {
        return refused;
    };
    // B3, B4: e = SM3(Z ‖ M)
    let e = reduce(&sm3(&[item.z, item.message]));
    // B5: t = (r + s) mod n, not 0
    let t = r + s;
    if bool::from(t.is_zero()) {
        return refused;
    }
    // B6: [s]G + [t]P, which must not be infinity
    let point = ProjectivePoint::mul_by_generator_and_mul_add_vartime(&s, &t, &item.key.point);
    if bool::from(point.is_identity()) {
        return refused;
    }
    (Some(r - e), point)
}

fn scalar_in_range(bytes: &[u8]) -> Option<Scalar> {
    let repr = FieldBytes::try_from(bytes).ok()?;
    let scalar = Option::<Scalar>::from(Scalar::from_repr(repr))?;
    (!bool::from(scalar.is_zero())).then_some(scalar)
}

fn reduce(hash: &[u8; 32]) -> Scalar {
    Scalar::reduce(&FieldBytes::from(*hash))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const USER_ID: &[u8] = b"1234567812345678";
    const N: &str = "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123";

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    fn hex32(text: &str) -> [u8; 32] {
        hex(text).try_into().unwrap()
    }

    const ANNEX_A_D: &str = "3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8";
    const ANNEX_A_K: &str = "59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21";
    const ANNEX_A_SIGNATURE: &str = "
        F5A03B06 48D2C463 0EEAC513 E1BB81A1 5944DA38 27D5B741 43AC7EAC EEE720B3
        B1B6AA29 DF212FD8 763182BC 0D421CA1 BB9038FD 1F7F42D4 840B69C4 85BBC1AA";

    struct AnnexA {
        secret: SecretScalar,
        public: PublicPoint,
        z: [u8; 32],
        e: Scalar,
        signature: [u8; 64],
    }

    const MESSAGE: &[u8] = b"message digest";

    fn annex_a() -> AnnexA {
        let secret = SecretScalar::from_bytes(&hex32(ANNEX_A_D)).unwrap();
        let public = secret.public_point().unwrap();
        let z = public.z(USER_ID).unwrap();
        let e = reduce(&sm3(&[&z, MESSAGE]));
        let signature = hex(ANNEX_A_SIGNATURE).try_into().unwrap();
        AnnexA {
            secret,
            public,
            z,
            e,
            signature,
        }
    }

    impl AnnexA {
        fn verifies(&self, r: &[u8; 32], s: &[u8; 32]) -> bool {
            let signature = [*r, *s].concat().try_into().unwrap();
            verify_many(&[VerifyItem {
                key: &self.public,
                z: &self.z,
                message: MESSAGE,
                signature: &signature,
            }]) == [true]
        }

        fn r_s(&self) -> ([u8; 32], [u8; 32]) {
            let (r, s) = self.signature.split_at(32);
            (r.try_into().unwrap(), s.try_into().unwrap())
        }
    }

    /// GM/T 0003.5 annex A.2: public key, Z, e, and the signature for the annex's k.
    #[test]
    fn gmt_0003_5_annex_a_known_answer() {
        let annex = annex_a();
        assert_eq!(
            annex.public.sec1()[1..],
            hex(
                "09F9DF31 1E5421A1 50DD7D16 1E4BC5C6 72179FAD 1833FC07 6BB08FF3 56F35020
                 CCEA490C E26775A5 2DC6EA71 8CC1AA60 0AED05FB F35E084A 6632F607 2DA9AD13"
            )[..]
        );
        assert_eq!(
            annex.z,
            hex32("B2E14C5C79C6DF5B85F4FE7ED8DB7A262B9DA7E07CCB0EA9F4747B8CCDA8A4F3")
        );
        assert_eq!(
            sm3(&[&annex.z, MESSAGE]),
            hex32("F0B43E94BA45ACCAACE692ED534382EB17E6AB5A19CE7B31F4486FDFC0D28640")
        );
        let k = scalar_in_range(&hex(ANNEX_A_K)).unwrap();
        let signature = sign_with_k(&annex.secret, &annex.e, &k).unwrap();
        assert_eq!(signature, annex.signature);
        let (r, s) = annex.r_s();
        assert!(annex.verifies(&r, &s));
    }

    /// GB/T 32905-2016 annex A.
    #[test]
    fn gbt_32905_known_answers() {
        assert_eq!(
            sm3(&[b"abc"]),
            hex32("66C7F0F462EEEDD9D1F2D46BDC10E4E24167C4875CF2F7A2297DA02B8F4BA8E0")
        );
        let message = b"abcd".repeat(16);
        let expected = hex32("DEBE9FF92275B8A138604889C18E5A4D6FDB70E5387E5765293DCBA39C0C5732");
        for at in 0..=message.len() {
            assert_eq!(sm3(&[&message[..at], &message[at..]]), expected);
        }
    }

    #[test]
    fn private_scalar_is_in_1_to_n_minus_2() {
        let n = hex32(N);
        let n_minus = |by: u8| {
            let mut bytes = n;
            bytes[31] -= by;
            bytes
        };
        let small = |value: u8| {
            let mut bytes = [0; 32];
            bytes[31] = value;
            bytes
        };
        for refused in [small(0), n_minus(1), n, [0xFF; 32]] {
            assert!(SecretScalar::from_bytes(&refused).is_none());
        }
        for taken in [small(1), n_minus(2)] {
            let secret = SecretScalar::from_bytes(&taken).unwrap();
            assert_eq!(*secret.to_bytes(), taken);
            // The extremes sign, too.
            let public = secret.public_point().unwrap();
            let z = public.z(b"").unwrap();
            let signature = sign_many(&[SignItem {
                key: &secret,
                z: &z,
                message: b"m",
            }])
            .remove(0)
            .unwrap();
            let item = VerifyItem {
                key: &public,
                z: &z,
                message: b"m",
                signature: &signature,
            };
            assert_eq!(verify_many(&[item]), [true]);
        }
    }

    /// B1, B2 and B5: r, s in [1, n-1] and r + s not 0 modulo n.
    #[test]
    fn signature_scalars_out_of_range_are_refused() {
        let annex = annex_a();
        let (r, s) = annex.r_s();
        let n = hex32(N);
        let mut n_plus_1 = n;
        n_plus_1[31] += 1;
        for bad in [[0; 32], n, n_plus_1, [0xFF; 32]] {
            assert!(!annex.verifies(&bad, &s));
            assert!(!annex.verifies(&r, &bad));
            assert!(!annex.verifies(&bad, &bad));
        }
        let minus_r: [u8; 32] = (-scalar_in_range(&r).unwrap()).to_repr().into();
        assert!(!annex.verifies(&r, &minus_r));
    }

    /// With r = e and s = -r d / (1 + d), [s]G + [t]P is infinity; an x of 0 would satisfy B7.
    #[test]
    fn point_at_infinity_is_refused() {
        let annex = annex_a();
        let r = annex.e;
        let s = -(r * *annex.secret.0.d) * *annex.secret.0.inverse;
        assert!(!annex.verifies(&r.to_repr().into(), &s.to_repr().into()));
    }

    #[test]
    fn every_bit_of_a_signature_counts() {
        let annex = annex_a();
        let mut signatures = Vec::new();
        for bit in 0..512 {
            let mut signature = annex.signature;
            signature[bit / 8] ^= 1 << (bit % 8);
            signatures.push(signature);
        }
        let items: Vec<_> = signatures
            .iter()
            .map(|signature| VerifyItem {
                key: &annex.public,
                z: &annex.z,
                message: MESSAGE,
                signature,
            })
            .collect();
        assert!(verify_many(&items).iter().all(|holds| !holds));
    }

    /// A batch answers each item as a batch of one does, whatever stands beside it.
    #[test]
    fn batch_answers_item_by_item() {
        let annex = annex_a();
        let mut wrong = annex.signature;
        wrong[63] ^= 1;
        let unreadable = [0xFF; 64];
        let pattern = [0, 1, 2, 0, 0, 1, 2, 2, 0];
        let items: Vec<_> = pattern
            .iter()
            .map(|which| VerifyItem {
                key: &annex.public,
                z: &annex.z,
                message: MESSAGE,
                signature: [&annex.signature, &wrong, &unreadable][*which],
            })
            .collect();
        let expected: Vec<_> = pattern.iter().map(|which| *which == 0).collect();
        assert_eq!(verify_many(&items), expected);
        assert_eq!(verify_many(&[]), Vec::<bool>::new());
    }

    /// The same d, e and random bytes give the same k, r and s as the RustCrypto signer, whose k
    /// generator is an implementation of its own.
    #[test]
    fn differential_k_derivation() {
        use sm2::dsa::signature::hazmat::RandomizedPrehashSigner as _;
        use sm2::elliptic_curve::rand_core::{TryCryptoRng, TryRng};

        struct Fixed([u8; 32]);
        impl TryRng for Fixed {
            type Error = std::convert::Infallible;
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
        impl TryCryptoRng for Fixed {}

        for round in 0..32u8 {
            let secret = SecretScalar::generate().unwrap();
            let z = secret.public_point().unwrap().z(USER_ID).unwrap();
            let message = vec![round; usize::from(round) * 7];
            let entropy = [round.wrapping_mul(37); 32];
            let item = SignItem {
                key: &secret,
                z: &z,
                message: &message,
            };
            let ours = sign_with_entropy(&item, &entropy).unwrap();
            let theirs: sm2::dsa::Signature =
                sm2::dsa::SigningKey::from_slice("1234567812345678", &*secret.to_bytes())
                    .unwrap()
                    .sign_prehash_with_rng(&mut Fixed(entropy), &sm3(&[&z, &message]))
                    .unwrap();
            assert_eq!(ours[..], theirs.to_bytes()[..]);
        }
    }

    #[test]
    fn drbg_does_not_repeat() {
        let mut drbg = HmacDrbg::new(&[1; 32], &[2; 32], &[3; 32]);
        let first = *drbg.next();
        let second = *drbg.next();
        assert_ne!(first, second);
        assert_ne!(first, *HmacDrbg::new(&[1; 32], &[2; 32], &[4; 32]).next());
        assert_ne!(first, *HmacDrbg::new(&[1; 32], &[5; 32], &[3; 32]).next());
    }

    #[test]
    fn signatures_of_one_message_differ() {
        let annex = annex_a();
        let items = [0, 1].map(|_| SignItem {
            key: &annex.secret,
            z: &annex.z,
            message: MESSAGE,
        });
        let signatures = sign_many(&items);
        assert_ne!(
            signatures[0].as_ref().unwrap(),
            signatures[1].as_ref().unwrap()
        );
    }

    #[test]
    fn user_id_is_at_most_8191_bytes() {
        let public = annex_a().public;
        assert!(public.z(&[0; 8191]).is_some());
        assert!(public.z(&[0; 8192]).is_none());
        assert_ne!(public.z(b""), public.z(USER_ID));
    }

    /// Wycheproof's HMAC-SM3 vectors; tags may be truncated.
    #[test]
    fn wycheproof_hmac_sm3() {
        let dir = std::env::var_os("VECTORS_DIR").map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors")),
            PathBuf::from,
        );
        let path = dir.join("wycheproof/hmac_sm3_test.json");
        let Ok(text) = std::fs::read(&path) else {
            let required = std::env::var("REQUIRE_PEERS").is_ok_and(|value| value == "1");
            assert!(!required, "{} is absent", path.display());
            println!("SKIPPED: {} is absent", path.display());
            return;
        };
        let vectors: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let mut seen = 0;
        for group in vectors["testGroups"].as_array().unwrap() {
            let tag_len = group["tagSize"].as_u64().unwrap() as usize / 8;
            for test in group["tests"].as_array().unwrap() {
                let field = |name: &str| hex(test[name].as_str().unwrap());
                let (key, message, tag) = (field("key"), field("msg"), field("tag"));
                let computed = hmac_sm3(&key, &[&message]);
                let valid = test["result"] == "valid";
                assert_eq!(computed[..tag_len] == tag[..], valid, "{}", test["tcId"]);
                seen += 1;
            }
        }
        assert_eq!(seen, vectors["numberOfTests"].as_u64().unwrap());
    }
}
