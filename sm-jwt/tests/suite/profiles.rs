//! Profiles with SHA-256 in the place of SM3: no token, key or name of one passes for the other.

use crate::support::*;
use serde_json::json;
use sm_jwt::*;

/// With the feature or without: no profile over SM3 takes the name, and no key that is marked with it serves one.
#[test]
fn the_name_of_the_other_hash_is_taken() {
    for name in [
        "SM2-SHA256",
        "sm2-sha256",
        "SHA256withSM2",
        "SM2withSHA-256",
        "SHA256",
        // JOSE has given these to others.
        "none",
        "HS256",
        "RS1",
        "PS512",
        "es256k",
        "ESP256",
        "ESB384",
        "EdDSA",
        "Ed25519",
        "Ed448",
        "ML-DSA-44",
        "SLH-DSA-SHA2-128s",
        "FN-DSA-512",
        "WalnutDSA",
        "RSA-OAEP-256",
        "dir",
        "A128KW",
        "A256GCM",
        "ECDH-ES",
        "PBES2-HS256+A128KW",
        "HPKE-0",
    ] {
        let result = Profile::default().with_alg(name);
        assert_eq!(code_of(&result), "bad_configuration", "{name}");
    }
    for name in ALGORITHM_NAMES {
        let profile = Profile::default().with_alg(name).unwrap();
        assert_eq!((profile.alg(), profile.hash()), (name, HashAlgorithm::Sm3));
    }
    let marked = with(public_jwk(&D), json!({ "alg": "SM2-SHA256", "kid": "a" }));
    let set = json!({ "keys": [marked] }).to_string();
    let result = KeySet::from_jwks(&set, &Profile::default());
    assert_eq!(code_of(&result), "bad_key");
}

#[cfg(feature = "legacy-sha256")]
mod sha256 {
    use std::sync::Arc;

    use sm2::dsa::signature::hazmat::PrehashSigner as _;

    use super::*;

    fn profile() -> Profile {
        Profile::sm2_sha256()
    }

    /// r ‖ s over e = SHA-256(Z ‖ M), Z by hand, the arithmetic by RustCrypto.
    fn sha256_signature(d: &[u8; 32], id: &[u8], message: &[u8]) -> [u8; 64] {
        use sm3::Digest as _;
        const CURVE: [&str; 4] = [
            "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFC",
            "28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93",
            "32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7",
            "BC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0",
        ];
        let jwk = public_jwk(d);
        let mut z = sha2::Sha256::new();
        z.update((id.len() as u16 * 8).to_be_bytes());
        z.update(id);
        for number in CURVE {
            let bytes: Vec<u8> = (0..32)
                .map(|at| u8::from_str_radix(&number[2 * at..2 * at + 2], 16).unwrap())
                .collect();
            z.update(bytes);
        }
        for coordinate in ["x", "y"] {
            z.update(unb64(jwk[coordinate].as_str().unwrap()));
        }
        let e = sha2::Sha256::new()
            .chain_update(z.finalize())
            .chain_update(message)
            .finalize();
        let key = sm2::dsa::SigningKey::from_slice("", d).unwrap();
        let signature: sm2::dsa::Signature = key.sign_prehash(&e).unwrap();
        signature.to_bytes().into()
    }

    fn token_of(alg: &str, signature: impl Fn(&[u8]) -> Vec<u8>) -> String {
        let header = with(header(), json!({ "alg": alg }));
        let input = format!("{}.{}", b64(header.to_string()), b64(payload().to_string()));
        let signature = signature(input.as_bytes());
        format!("{input}.{}", b64(signature))
    }

    fn sha256_token(alg: &str) -> String {
        token_of(alg, |input| {
            sha256_signature(&D, USER_ID.as_bytes(), input).to_vec()
        })
    }

    fn sm3_token(alg: &str) -> String {
        token_of(alg, |input| raw_signature(input).to_vec())
    }

    fn verifier(profile: Profile) -> Verifier {
        Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
            .issuer(ISSUER, [(kid(KID), verifying_key(), profile)])
            .audience(AUDIENCE)
            .clock(Arc::new(clock()))
            .build()
            .unwrap()
    }

    fn signer(profile: Profile) -> Signer {
        Signer::new(signing_key(), kid(KID), profile)
            .unwrap()
            .with_clock(Arc::new(clock()))
    }

    #[test]
    fn what_is_signed_verifies() {
        let profiles = [
            profile(),
            profile().with_encoding(SignatureEncoding::Der),
            profile().with_user_id("").unwrap(),
            profile().with_crv("SM2").unwrap(),
        ];
        for signed_as in &profiles {
            let token = signer(signed_as.clone())
                .sign(&claims(), TokenType::Access, &NoExtra)
                .unwrap();
            for taken_as in &profiles {
                let outcome = outcome(&verifier(taken_as.clone()), &token);
                assert_eq!(outcome == "ok", signed_as == taken_as, "{outcome}");
            }
        }
        assert_eq!(profile().alg(), "SM2-SHA256");
        assert_eq!(profile().hash(), HashAlgorithm::Sha256);
        // A signature that shares nothing with the crate's hashing.
        assert_eq!(
            outcome(&verifier(profile()), &sha256_token("SM2-SHA256")),
            "ok"
        );
        let empty_id = profile().with_user_id("").unwrap();
        let token = token_of("SM2-SHA256", |input| {
            sha256_signature(&D, b"", input).to_vec()
        });
        assert_eq!(outcome(&verifier(empty_id), &token), "ok");
        assert_eq!(outcome(&verifier(profile()), &token), "bad_signature");
        let der = profile().with_encoding(SignatureEncoding::Der);
        let token = token_of("SM2-SHA256", |input| {
            to_der(&sha256_signature(&D, USER_ID.as_bytes(), input))
        });
        assert_eq!(outcome(&verifier(der), &token), "ok");
    }

    /// The name in the header must be the profile's, and the signature must be over the profile's hash: neither can be
    /// swapped by itself, nor both.
    #[test]
    fn hazard_swapped_hash() {
        let mismatch = "algorithm_mismatch";
        let (sm3, sha256) = ("SGD_SM3_SM2", "SM2-SHA256");
        for (profile, token, expected) in [
            (Profile::default(), sm3_token(sm3), "ok"),
            (Profile::default(), sha256_token(sm3), "bad_signature"),
            (Profile::default(), sha256_token(sha256), mismatch),
            (Profile::default(), sm3_token(sha256), mismatch),
            (profile(), sha256_token(sha256), "ok"),
            (profile(), sm3_token(sha256), "bad_signature"),
            (profile(), sm3_token(sm3), mismatch),
            (profile(), sha256_token(sm3), mismatch),
        ] {
            assert_eq!(outcome(&verifier(profile), &token), expected);
        }
        // Z and message over different hashes are neither.
        let mixed = token_of(sha256, |input| {
            use sm3::Digest as _;
            let key = sm2::dsa::SigningKey::from_slice(USER_ID, &D).unwrap();
            let e = sha2::Sha256::digest(input);
            let signature: sm2::dsa::Signature = key.sign_prehash(&e).unwrap();
            signature.to_bytes().to_vec()
        });
        assert_eq!(outcome(&verifier(profile()), &mixed), "bad_signature");
    }

    #[test]
    fn the_profile_has_one_name() {
        assert!(profile().with_alg("SM2-SHA256").is_ok());
        for name in ["SGD_SM3_SM2", "SM2", "sm2-sha256", "ES256", "none", ""] {
            let result = profile().with_alg(name);
            assert_eq!(code_of(&result), "bad_configuration", "{name}");
        }
    }

    #[test]
    fn a_key_has_one_profile() {
        // One key in both profiles is one key with two uses.
        let entry = |name: &str, profile: Profile| (kid(name), verifying_key(), profile);
        let both = [entry("a", Profile::default()), entry("b", profile())];
        assert_eq!(code_of(&KeySet::new(both)), "bad_configuration");
        // A key that is marked for one hash serves no profile of the other.
        let set = |alg: &str| {
            let jwk = with(public_jwk(&D), json!({ "alg": alg, "kid": "a" }));
            json!({ "keys": [jwk] }).to_string()
        };
        for (alg, profile, expected) in [
            ("SM2-SHA256", profile(), "ok"),
            ("SM2-SHA256", Profile::default(), "bad_key"),
            ("SGD_SM3_SM2", profile(), "bad_key"),
            ("SGD_SM3_SM2", Profile::default(), "ok"),
        ] {
            let result = KeySet::from_jwks(&set(alg), &profile);
            assert_eq!(code_of(&result), expected, "{alg}");
        }
    }

    #[test]
    fn an_external_signer_is_told_the_hash() {
        #[derive(Debug)]
        struct Device;
        impl ExternalSigner for Device {
            fn sign(&self, input: &SigningInput<'_>) -> Result<[u8; 64], SignerError> {
                Ok(match input.hash() {
                    HashAlgorithm::Sha256 => {
                        let key = sm2::dsa::SigningKey::from_slice("", &D).unwrap();
                        let signature: sm2::dsa::Signature =
                            key.sign_prehash(input.digest()).unwrap();
                        let by_hand = sha256_signature(&D, input.user_id(), input.message());
                        assert_eq!(signature.to_bytes()[..], by_hand[..]);
                        by_hand
                    }
                    // What it would do if it did not look.
                    _ => raw_signature(input.message()),
                })
            }
        }
        for profile in [profile(), profile().with_encoding(SignatureEncoding::Der)] {
            let key = TrustedKey::new(kid(KID), verifying_key(), profile.clone()).unwrap();
            let token = Signer::external(key, Arc::new(Device))
                .with_clock(Arc::new(clock()))
                .sign(&claims(), TokenType::Access, &NoExtra)
                .unwrap();
            assert_eq!(outcome(&verifier(profile), &token), "ok");
        }
        #[derive(Debug)]
        struct DoesNotLook;
        impl ExternalSigner for DoesNotLook {
            fn sign(&self, input: &SigningInput<'_>) -> Result<[u8; 64], SignerError> {
                Ok(raw_signature(input.message()))
            }
        }
        let key = TrustedKey::new(kid(KID), verifying_key(), profile()).unwrap();
        let result = Signer::external(key, Arc::new(DoesNotLook)).sign(
            &claims(),
            TokenType::Access,
            &NoExtra,
        );
        assert_eq!(code_of(&result), "signer_gave_wrong_signature");
    }

    #[tokio::test]
    async fn proofs_are_over_the_policys_hash() {
        use crate::support::dpop::{CLIENT_D, bound_token, builder_with, policy, rule, store};
        let build = |profile| {
            builder_with(policy(store()).profile(profile))
                .build()
                .unwrap()
        };
        let (sha256, sm3) = (build(profile()), build(Profile::default()));
        let token = bound_token();
        let prove = |alg: &str, over_sha256: bool| {
            let header = with(crate::support::dpop::proof_header(), json!({ "alg": alg }));
            let payload = crate::support::dpop::proof_payload(&token);
            let input = format!("{}.{}", b64(header.to_string()), b64(payload.to_string()));
            let signature = match over_sha256 {
                true => sha256_signature(&CLIENT_D, USER_ID.as_bytes(), input.as_bytes()),
                false => raw_signature_by(&CLIENT_D, input.as_bytes()),
            };
            format!("{input}.{}", b64(signature))
        };
        let (alg, signature) = ("its `alg` is another one", "its signature does not verify");
        for (verifier, name, over_sha256, expected) in [
            (&sha256, "SM2-SHA256", true, "ok"),
            (&sha256, "SM2-SHA256", false, signature),
            (&sha256, "SGD_SM3_SM2", true, alg),
            (&sm3, "SGD_SM3_SM2", false, "ok"),
            (&sm3, "SGD_SM3_SM2", true, signature),
            (&sm3, "SM2-SHA256", true, alg),
        ] {
            let proof = prove(name, over_sha256);
            assert_eq!(rule(verifier, &token, &proof).await, expected);
        }
        // And the crate's own prover.
        let prover = DpopProver::new(key_of(&CLIENT_D), profile())
            .unwrap()
            .with_clock(Arc::new(clock()));
        let proof = prover
            .proof(
                crate::support::dpop::METHOD,
                crate::support::dpop::URI,
                Some(&token),
                None,
            )
            .unwrap();
        assert_eq!(rule(&sha256, &token, &proof).await, "ok");
        assert_eq!(rule(&sm3, &token, &proof).await, alg);
    }
}
