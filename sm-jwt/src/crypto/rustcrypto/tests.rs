//! Known answers, edge scalars, and a second opinion on `k`.

use std::path::PathBuf;

use sm2::Scalar;
use sm2::elliptic_curve::ff::PrimeField as _;

use super::hash::{hmac_sm3, sm3};
use super::keys::{PublicPoint, SecretScalar};
use super::scalar::{reduce, scalar_in_range};
use super::sign::{HmacDrbg, SignItem, sign, sign_with_entropy, sign_with_k};
use super::verify::{VerifyItem, verify_many};
use crate::crypto::z as z_of;
use crate::hash::HashAlgorithm;

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
    let z = z_of(HashAlgorithm::Sm3, USER_ID, public.sec1()).unwrap();
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
            hash: HashAlgorithm::Sm3,
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
        let z = z_of(HashAlgorithm::Sm3, b"", public.sec1()).unwrap();
        let signature = sign(&SignItem {
            key: &secret,
            hash: HashAlgorithm::Sm3,
            z: &z,
            message: b"m",
        })
        .unwrap();
        let item = VerifyItem {
            key: &public,
            hash: HashAlgorithm::Sm3,
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
            hash: HashAlgorithm::Sm3,
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
            hash: HashAlgorithm::Sm3,
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
        let z = z_of(
            HashAlgorithm::Sm3,
            USER_ID,
            secret.public_point().unwrap().sec1(),
        )
        .unwrap();
        let message = vec![round; usize::from(round) * 7];
        let entropy = [round.wrapping_mul(37); 32];
        let item = SignItem {
            key: &secret,
            hash: HashAlgorithm::Sm3,
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
    let item = SignItem {
        key: &annex.secret,
        hash: HashAlgorithm::Sm3,
        z: &annex.z,
        message: MESSAGE,
    };
    assert_ne!(sign(&item).unwrap(), sign(&item).unwrap());
}

#[test]
fn user_id_is_at_most_8191_bytes() {
    let public = annex_a().public;
    assert!(z_of(HashAlgorithm::Sm3, &[0; 8191], public.sec1()).is_some());
    assert!(z_of(HashAlgorithm::Sm3, &[0; 8192], public.sec1()).is_none());
    assert_ne!(
        z_of(HashAlgorithm::Sm3, b"", public.sec1()),
        z_of(HashAlgorithm::Sm3, USER_ID, public.sec1())
    );
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
