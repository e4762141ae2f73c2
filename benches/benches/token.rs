//! Tokens: sm-jwt beside jsonwebtoken's ES256 and beside the bare SM2 operation on the same bytes.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use family_benches::{CpuTime, computing};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use serde::{Deserialize, Serialize};
use sm_jwt::{
    Claims, ClaimsBuilder, KeyId, NoExtra, Profile, ReplayPolicy, Signer, SigningKey, TokenType,
    UnverifiedToken, VerifiedToken, Verifier,
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
    bare: sm2::dsa::SigningKey,
}

impl Ours {
    fn new() -> Self {
        let key = SigningKey::generate().unwrap();
        let bare = sm2::SecretKey::from_pkcs8_der(&key.to_pkcs8_der()).unwrap();
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
            .max_lifetime(Duration::from_secs(3600))
            .build()
            .unwrap();
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
    let token = ours.sign();
    let (message, _) = token.rsplit_once('.').unwrap();

    let mut group = c.benchmark_group("token sign");
    group.throughput(Throughput::Elements(1));
    group.bench_function("sm-jwt", |b| b.iter(|| ours.sign()));
    group.bench_function("bare sm2", |b| {
        b.iter(|| ours.bare_sign(black_box(message.as_bytes())));
    });
    group.bench_function("jsonwebtoken ES256", |b| b.iter(|| peer.sign()));
    group.finish();
}

fn verify(c: &mut Criterion<CpuTime>) {
    let ours = Ours::new();
    let peer = Peer::new();
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
    group.bench_function("bare sm2", |b| {
        b.iter(|| {
            key.verify(black_box(message.as_bytes()), &signature)
                .unwrap()
        });
    });
    group.bench_function("jsonwebtoken ES256", |b| {
        b.iter(|| peer.verify(black_box(&peer_token)));
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
    group.bench_function("bare sm2", |b| {
        b.iter(|| {
            for (message, signature) in black_box(&bare) {
                key.verify(message, signature).unwrap();
            }
        });
    });
    group.bench_function("jsonwebtoken ES256", |b| {
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
