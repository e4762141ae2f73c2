//! Tokens of about 500 bytes: sm-jwt beside jsonwebtoken's and josekit's ES256, and beside the bare signature over the same
//! bytes: what a row takes more than `raw SM2` is everything but the arithmetic.

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use family_benches::{CpuTime, computing};
use josekit::jws::JwsHeader;
use josekit::jwt::{JwtPayload, JwtPayloadValidator};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use serde::{Deserialize, Serialize};
use sm_accel::sm2::{PreparedKey, SecretKey, TableSize};
use sm_jwt::{
    Claims, ClaimsBuilder, KeyId, NoExtra, Profile, ReplayPolicy, Signer, SigningKey, TokenType,
    UnverifiedToken, VerifiedToken, Verifier, VerifierBuilder,
};
use sm2::dsa::signature::{RandomizedSigner, Verifier as _};
use sm2::pkcs8::DecodePrivateKey;

const ISSUER: &str = "https://login.bank.example";
const AUDIENCE: &str = "core-banking";
const BATCH: usize = 32;

/// The same claims as sm-jwt's, for the peer.
#[derive(Serialize, Deserialize)]
struct PeerClaims {
    iss: String,
    sub: String,
    aud: Vec<String>,
    exp: u64,
    iat: u64,
    nbf: u64,
    jti: String,
    tenant_id: String,
    roles: Vec<String>,
}

struct Ours {
    signer: Signer,
    verifier: Verifier,
    claims: ClaimsBuilder,
    /// The same key by RustCrypto.
    bare: sm2::dsa::SigningKey,
    /// The same key by the arithmetic that sm-jwt stands on, with the tables that sm-jwt makes.
    raw: sm_accel::sm2::SigningKey,
    prepared: PreparedKey,
}

impl Ours {
    fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// With a verifier that remembers signatures.
    fn caching() -> Self {
        Self::with(|builder| builder.cache_signatures(1000))
    }

    fn with(change: impl FnOnce(VerifierBuilder) -> VerifierBuilder) -> Self {
        let key = SigningKey::generate().unwrap();
        let bare = sm2::SecretKey::from_pkcs8_der(&key.to_pkcs8_der()).unwrap();
        let raw = SecretKey::from_bytes(&bare.to_bytes().into()).unwrap();
        let raw = sm_accel::sm2::SigningKey::new(raw);
        let prepared = raw.verifying_key().prepare(TableSize::Medium);
        let bare = sm2::dsa::SigningKey::new("1234567812345678", &bare).unwrap();
        let signer = Signer::new(key, KeyId::new("2026-01").unwrap(), Profile::default()).unwrap();
        let known = (
            signer.kid().clone(),
            signer.verifying_key().clone(),
            signer.profile().clone(),
        );
        let verifier = Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
            .issuer(ISSUER, [known])
            .audience(AUDIENCE)
            .max_lifetime(Duration::from_secs(3600));
        let verifier = change(verifier).build().unwrap();
        let claims = Claims::builder()
            .issuer(ISSUER)
            .subject("user-17")
            .audience(AUDIENCE)
            .tenant("branch-0755")
            .roles(["teller", "auditor"])
            .lifetime(Duration::from_secs(3600));
        Self {
            signer,
            verifier,
            claims,
            bare,
            raw,
            prepared,
        }
    }

    fn sign(&self) -> String {
        self.signer
            .sign(&self.claims, TokenType::Access, &NoExtra)
            .unwrap()
    }

    fn parse(&self, token: &str) -> UnverifiedToken {
        UnverifiedToken::parse(token, self.verifier.limits()).unwrap()
    }

    fn bare_sign(&self, message: &[u8]) -> sm2::dsa::Signature {
        self.bare
            .try_sign_with_rng(&mut getrandom::SysRng, message)
            .unwrap()
    }
}

/// josekit over OpenSSL.
struct Josekit {
    signer: josekit::jws::alg::ecdsa::EcdsaJwsSigner,
    verifier: josekit::jws::alg::ecdsa::EcdsaJwsVerifier,
}

impl Josekit {
    fn new() -> Self {
        let key = josekit::jws::ES256.generate_key_pair().unwrap();
        Self {
            signer: josekit::jws::ES256
                .signer_from_pem(key.to_pem_private_key())
                .unwrap(),
            verifier: josekit::jws::ES256
                .verifier_from_pem(key.to_pem_public_key())
                .unwrap(),
        }
    }

    fn sign(&self) -> String {
        let mut id = [0_u8; 16];
        getrandom::fill(&mut id).unwrap();
        let mut header = JwsHeader::new();
        header.set_token_type("JWT");
        header.set_key_id("2026-01");
        let now = SystemTime::now();
        let mut payload = JwtPayload::new();
        payload.set_issuer(ISSUER);
        payload.set_subject("user-17");
        payload.set_audience(vec![AUDIENCE]);
        payload.set_expires_at(&(now + Duration::from_secs(3600)));
        payload.set_issued_at(&now);
        payload.set_not_before(&now);
        payload.set_jwt_id(format!("{:032x}", u128::from_be_bytes(id)));
        payload
            .set_claim("tenant_id", Some("branch-0755".into()))
            .unwrap();
        payload
            .set_claim("roles", Some(serde_json::json!(["teller", "auditor"])))
            .unwrap();
        josekit::jwt::encode_with_signer(&payload, &header, &self.signer).unwrap()
    }

    fn verify(&self, token: &str) -> JwtPayload {
        let (payload, _) = josekit::jwt::decode_with_verifier(token, &self.verifier).unwrap();
        // A validator holds one time: a service makes one for each token.
        let mut validator = JwtPayloadValidator::new();
        validator.set_issuer(ISSUER);
        validator.set_audience(AUDIENCE);
        validator.set_base_time(SystemTime::now());
        validator.validate(&payload).unwrap();
        payload
    }
}

struct Peer {
    header: Header,
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
}

impl Peer {
    fn new() -> Self {
        let mut scalar = [0_u8; 32];
        getrandom::fill(&mut scalar).unwrap();
        let key = p256::SecretKey::from_slice(&scalar).unwrap();
        let public = key.public_key().to_public_key_pem(LineEnding::LF).unwrap();
        let private = key.to_pkcs8_pem(LineEnding::LF).unwrap();
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.validate_nbf = true;
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("2026-01".to_owned());
        Self {
            header,
            signing: EncodingKey::from_ec_pem(private.as_bytes()).unwrap(),
            verifying: DecodingKey::from_ec_pem(public.as_bytes()).unwrap(),
            validation,
        }
    }

    /// Draws a token id and reads the clock, as sm-jwt does.
    fn sign(&self) -> String {
        let mut id = [0_u8; 16];
        getrandom::fill(&mut id).unwrap();
        let now = jsonwebtoken::get_current_timestamp();
        let claims = PeerClaims {
            iss: ISSUER.to_owned(),
            sub: "user-17".to_owned(),
            aud: vec![AUDIENCE.to_owned()],
            exp: now + 3600,
            iat: now,
            nbf: now,
            jti: format!("{:032x}", u128::from_be_bytes(id)),
            tenant_id: "branch-0755".to_owned(),
            roles: vec!["teller".to_owned(), "auditor".to_owned()],
        };
        jsonwebtoken::encode(&self.header, &claims, &self.signing).unwrap()
    }

    fn verify(&self, token: &str) -> PeerClaims {
        jsonwebtoken::decode(token, &self.verifying, &self.validation)
            .unwrap()
            .claims
    }
}

fn sign(c: &mut Criterion<CpuTime>) {
    let ours = Ours::new();
    let peer = Peer::new();
    let josekit = Josekit::new();
    let token = ours.sign();
    let (message, _) = token.rsplit_once('.').unwrap();

    let mut group = c.benchmark_group("token sign");
    group.throughput(Throughput::Elements(1));
    group.bench_function("sm-jwt", |b| b.iter(|| ours.sign()));
    group.bench_function("raw SM2", |b| {
        b.iter(|| ours.raw.sign(black_box(message.as_bytes())).unwrap());
    });
    group.bench_function("RustCrypto sm2", |b| {
        b.iter(|| ours.bare_sign(black_box(message.as_bytes())));
    });
    group.bench_function("jsonwebtoken ES256 (aws-lc)", |b| b.iter(|| peer.sign()));
    group.bench_function("josekit ES256 (OpenSSL)", |b| b.iter(|| josekit.sign()));
    group.finish();
}

fn verify(c: &mut Criterion<CpuTime>) {
    let ours = Ours::new();
    let cached = Ours::caching();
    let peer = Peer::new();
    let josekit = Josekit::new();
    let josekit_token = josekit.sign();
    let token = ours.sign();
    let (message, _) = token.rsplit_once('.').unwrap();
    let signature = ours.bare_sign(message.as_bytes());
    let key = ours.bare.verifying_key();
    let peer_token = peer.sign();

    let mut group = c.benchmark_group("token verify");
    group.throughput(Throughput::Elements(1));
    group.bench_function("sm-jwt", |b| {
        b.iter(|| -> VerifiedToken {
            let unverified = ours.parse(black_box(&token));
            ours.verifier.verify(unverified).unwrap()
        });
    });
    group.bench_function("raw SM2", |b| {
        let raw = sm_accel::sm2::Signature::from_slice(&signature.to_bytes()).unwrap();
        b.iter(|| {
            ours.prepared
                .verify(black_box(message.as_bytes()), &raw)
                .unwrap()
        });
    });
    group.bench_function("sm-jwt, signature cached", |b| {
        let token = cached.sign();
        b.iter(|| -> VerifiedToken {
            let unverified = cached.parse(black_box(&token));
            cached.verifier.verify(unverified).unwrap()
        });
    });
    group.bench_function("RustCrypto sm2", |b| {
        b.iter(|| {
            key.verify(black_box(message.as_bytes()), &signature)
                .unwrap()
        });
    });
    group.bench_function("jsonwebtoken ES256 (aws-lc)", |b| {
        b.iter(|| peer.verify(black_box(&peer_token)));
    });
    group.bench_function("josekit ES256 (OpenSSL)", |b| {
        b.iter(|| josekit.verify(black_box(&josekit_token)));
    });
    group.finish();
}

fn verify_many(c: &mut Criterion<CpuTime>) {
    let ours = Ours::new();
    let peer = Peer::new();
    let tokens: Vec<String> = (0..BATCH).map(|_| ours.sign()).collect();
    let peer_tokens: Vec<String> = (0..BATCH).map(|_| peer.sign()).collect();
    let bare: Vec<(&[u8], sm2::dsa::Signature)> = tokens
        .iter()
        .map(|token| token.rsplit_once('.').unwrap().0.as_bytes())
        .map(|message| (message, ours.bare_sign(message)))
        .collect();
    let key = ours.bare.verifying_key();

    let mut group = c.benchmark_group("token verify 32");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("sm-jwt verify_many", |b| {
        b.iter(|| {
            let unverified = tokens.iter().map(|token| ours.parse(token));
            let verified = ours.verifier.verify_many::<NoExtra>(unverified);
            assert!(verified.iter().all(Result::is_ok));
            verified
        });
    });
    group.bench_function("raw SM2", |b| {
        let raw: Vec<_> = bare
            .iter()
            .map(|(message, signature)| {
                let bytes = signature.to_bytes();
                let raw = sm_accel::sm2::Signature::from_slice(&bytes).unwrap();
                (*message, raw)
            })
            .collect();
        b.iter(|| {
            for (message, signature) in black_box(&raw) {
                ours.prepared.verify(message, signature).unwrap();
            }
        });
    });
    group.bench_function("RustCrypto sm2", |b| {
        b.iter(|| {
            for (message, signature) in black_box(&bare) {
                key.verify(message, signature).unwrap();
            }
        });
    });
    group.bench_function("jsonwebtoken ES256 (aws-lc)", |b| {
        b.iter(|| {
            let verified = peer_tokens.iter().map(|token| peer.verify(token));
            verified.collect::<Vec<_>>()
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = computing();
    targets = sign, verify, verify_many
}
criterion_main!(benches);
