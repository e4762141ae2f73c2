//! Private keys that are elsewhere: what they sign is checked before it leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::*;
use sm_jwt::*;
use sm2::dsa::signature::hazmat::PrehashSigner as _;

/// What a device does with what it is given.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Does {
    /// Signs the message, Z and all.
    SignsMessage,
    /// Signs the digest e.
    SignsDigest,
    /// Signs with a key that is not the one it was told.
    UsesAnotherKey,
    /// Signs another message.
    SignsAnotherMessage,
    /// Flips one bit.
    Errs(usize),
    /// Gives this.
    Gives([u8; 64]),
    Fails,
}

#[derive(Debug)]
struct Device {
    does: Does,
    asked: AtomicUsize,
}

impl Device {
    fn new(does: Does) -> Arc<Self> {
        Arc::new(Self {
            does,
            asked: AtomicUsize::new(0),
        })
    }

    fn signature(&self, input: &SigningInput<'_>) -> Result<[u8; 64], SignerError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let id = std::str::from_utf8(input.user_id()).unwrap();
        let sign = |d: &[u8; 32], message: &[u8]| -> [u8; 64] {
            use sm2::dsa::signature::Signer as _;
            let key = sm2::dsa::SigningKey::from_slice(id, d).unwrap();
            let signature: sm2::dsa::Signature = key.try_sign(message).unwrap();
            signature.to_bytes().into()
        };
        Ok(match self.does {
            Does::SignsMessage => sign(&D, input.message()),
            Does::SignsDigest => {
                let key = sm2::dsa::SigningKey::from_slice(id, &D).unwrap();
                let signature: sm2::dsa::Signature = key.sign_prehash(input.digest()).unwrap();
                signature.to_bytes().into()
            }
            Does::UsesAnotherKey => sign(&[9; 32], input.message()),
            Does::SignsAnotherMessage => sign(&D, b"another message"),
            Does::Errs(bit) => {
                let mut signature = sign(&D, input.message());
                signature[bit / 8] ^= 1 << (bit % 8);
                signature
            }
            Does::Gives(signature) => signature,
            Does::Fails => return Err("the session with the device has ended".into()),
        })
    }
}

impl ExternalSigner for Device {
    fn sign(&self, input: &SigningInput<'_>) -> Result<[u8; 64], SignerError> {
        self.signature(input)
    }
}

/// The same behind a network.
#[derive(Debug)]
struct Service(Arc<Device>);

impl AsyncExternalSigner for Service {
    fn sign<'a>(
        &'a self,
        input: &'a SigningInput<'a>,
    ) -> BoxFuture<'a, Result<[u8; 64], SignerError>> {
        Box::pin(async {
            tokio::task::yield_now().await;
            self.0.signature(input)
        })
    }
}

fn key(profile: Profile) -> TrustedKey {
    TrustedKey::new(kid(KID), verifying_key(), profile).unwrap()
}

fn by_device(device: &Arc<Device>, profile: Profile) -> Signer {
    Signer::external(key(profile), device.clone()).with_clock(Arc::new(clock()))
}

fn by_service(device: &Arc<Device>, profile: Profile) -> Signer {
    Signer::external_async(key(profile), Arc::new(Service(device.clone())))
        .with_clock(Arc::new(clock()))
}

fn sign(signer: &Signer) -> Result<String, Error> {
    signer.sign(&claims(), TokenType::Access, &NoExtra)
}

async fn sign_async(signer: &Signer) -> Result<String, Error> {
    signer
        .sign_async(&claims(), TokenType::Access, &NoExtra, None)
        .await
}

fn verifier(profile: Profile) -> Verifier {
    Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
        .issuer(ISSUER, [(kid(KID), verifying_key(), profile)])
        .audience(AUDIENCE)
        .clock(Arc::new(clock()))
        .build()
        .unwrap()
}

fn profiles() -> Vec<Profile> {
    vec![
        Profile::default(),
        Profile::default().with_encoding(SignatureEncoding::Der),
        Profile::default()
            .with_user_id("ALICE123@YAHOO.COM")
            .unwrap(),
        Profile::default()
            .with_alg("SM2-SM3")
            .unwrap()
            .without_crv(),
    ]
}

#[tokio::test]
async fn what_a_device_signs_right_verifies() {
    for profile in profiles() {
        let verifier = verifier(profile.clone());
        for does in [Does::SignsMessage, Does::SignsDigest] {
            let device = Device::new(does);
            let by_device = by_device(&device, profile.clone());
            let by_service = by_service(&device, profile.clone());
            let tokens = [
                sign(&by_device).unwrap(),
                sign_async(&by_device).await.unwrap(),
                sign_async(&by_service).await.unwrap(),
            ];
            for token in tokens {
                assert_eq!(outcome(&verifier, &token), "ok", "{does:?} {profile:?}");
                let signature = unb64(token.rsplit_once('.').unwrap().1);
                let is_der = signature[0] == 0x30 && signature.len() > 64;
                let wants_der = profile.encoding() == SignatureEncoding::Der;
                assert!(is_der || !wants_der);
                assert!(wants_der || signature.len() == 64);
            }
            assert_eq!(device.asked.load(Ordering::SeqCst), 3);
        }
    }
}

/// A token that its own verifiers would refuse never leaves, and neither does a faulty signature, from which a
/// private key may be computed.
#[tokio::test]
async fn what_a_device_signs_wrong_never_leaves() {
    let n_minus_1 = {
        let mut n = [0xFF; 32];
        n[3] = 0xFE;
        n[16..].copy_from_slice(&[
            0x72, 0x03, 0xDF, 0x6B, 0x21, 0xC6, 0x05, 0x2B, 0x53, 0xBB, 0xF4, 0x09, 0x39, 0xD5,
            0x41, 0x22,
        ]);
        n
    };
    // r + s = n, without regard to the key.
    let mut sum_is_n = [0; 64];
    sum_is_n[31] = 1;
    sum_is_n[32..].copy_from_slice(&n_minus_1);
    let mut wrong = vec![
        Does::UsesAnotherKey,
        Does::SignsAnotherMessage,
        Does::Gives([0; 64]),
        Does::Gives([0xFF; 64]),
        Does::Gives([1; 64]),
        Does::Gives(sum_is_n),
    ];
    wrong.extend([0, 7, 255, 256, 300, 511].map(Does::Errs));
    for profile in profiles() {
        for does in &wrong {
            let device = Device::new(*does);
            let by_device = by_device(&device, profile.clone());
            let by_service = by_service(&device, profile.clone());
            for result in [
                sign(&by_device),
                sign_async(&by_device).await,
                sign_async(&by_service).await,
            ] {
                assert_eq!(code_of(&result), "signer_gave_wrong_signature", "{does:?}");
            }
        }
    }
    // The right signature for the same key under another user id.
    let other_id = Profile::default().with_user_id("").unwrap();
    #[derive(Debug)]
    struct IgnoresId;
    impl ExternalSigner for IgnoresId {
        fn sign(&self, input: &SigningInput<'_>) -> Result<[u8; 64], SignerError> {
            Ok(raw_signature(input.message()))
        }
    }
    let signer = Signer::external(key(other_id), Arc::new(IgnoresId));
    assert_eq!(code_of(&sign(&signer)), "signer_gave_wrong_signature");
    let signer = Signer::external(key(Profile::default()), Arc::new(IgnoresId));
    assert_eq!(code_of(&sign(&signer)), "ok");
}

#[tokio::test]
async fn a_device_that_fails_is_an_error() {
    let device = Device::new(Does::Fails);
    for error in [
        sign(&by_device(&device, Profile::default())).unwrap_err(),
        sign_async(&by_device(&device, Profile::default()))
            .await
            .unwrap_err(),
        sign_async(&by_service(&device, Profile::default()))
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.code(), "signer_failed");
        assert!(error.is_transient());
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), "the session with the device has ended");
    }
}

#[tokio::test]
async fn who_has_to_be_waited_for_is_not_asked_without() {
    let device = Device::new(Does::SignsMessage);
    let signer = by_service(&device, Profile::default());
    assert_eq!(code_of(&sign(&signer)), "bad_configuration");
    assert_eq!(device.asked.load(Ordering::SeqCst), 0);
    assert!(sign_async(&signer).await.is_ok());
    // A key of this process signs either way.
    let token = sign_async(&crate::support::signer()).await.unwrap();
    assert_eq!(outcome(&verifier(Profile::default()), &token), "ok");
    // Claims that are incomplete cost no signature.
    let claims = claims().token_id("");
    for result in [
        by_device(&device, Profile::default()).sign(&claims, TokenType::Access, &NoExtra),
        signer
            .sign_async(&claims, TokenType::Access, &NoExtra, None)
            .await,
    ] {
        assert_eq!(code_of(&result), "bad_claim");
    }
    assert_eq!(device.asked.load(Ordering::SeqCst), 1);
}

/// What the device is told: the text of the JWS, e over Z and that text, and under which name and id.
#[test]
fn the_device_is_told_all_it_needs() {
    use sm3::{Digest as _, Sm3};
    #[derive(Debug)]
    struct Looks;
    impl ExternalSigner for Looks {
        fn sign(&self, input: &SigningInput<'_>) -> Result<[u8; 64], SignerError> {
            assert_eq!(input.kid().as_str(), KID);
            assert_eq!(input.user_id(), USER_ID.as_bytes());
            assert_eq!(input.hash(), HashAlgorithm::Sm3);
            // Z of GM/T 0003.5 annex A, whose key this is.
            let z = [
                0xB2, 0xE1, 0x4C, 0x5C, 0x79, 0xC6, 0xDF, 0x5B, 0x85, 0xF4, 0xFE, 0x7E, 0xD8, 0xDB,
                0x7A, 0x26, 0x2B, 0x9D, 0xA7, 0xE0, 0x7C, 0xCB, 0x0E, 0xA9, 0xF4, 0x74, 0x7B, 0x8C,
                0xCD, 0xA8, 0xA4, 0xF3,
            ];
            let digest = Sm3::new()
                .chain_update(z)
                .chain_update(input.message())
                .finalize();
            assert_eq!(input.digest()[..], digest[..]);
            // Nothing of the claims is shown by accident.
            let shown = format!("{input:?}");
            assert!(shown.contains(KID) && !shown.contains("user-1"), "{shown}");
            Ok(raw_signature(input.message()))
        }
    }
    let signer =
        Signer::external(key(Profile::default()), Arc::new(Looks)).with_clock(Arc::new(clock()));
    let token = sign(&signer).unwrap();
    assert_eq!(code(&token), "ok");
    assert_eq!(signer.key().key(), &verifying_key());
    assert!(format!("{signer:?}").contains("external"));
}

/// Tokens that are made while waiting can be made on any thread.
#[test]
fn signing_may_be_waited_for_anywhere() {
    fn assert_send<T: Send>(_: T) {}
    let signer = by_service(&Device::new(Does::SignsMessage), Profile::default());
    let claims = claims();
    assert_send(signer.sign_async(&claims, TokenType::Access, &NoExtra, None));
}
