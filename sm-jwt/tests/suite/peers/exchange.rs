//! What is exchanged with every peer: keys, tokens and what was tampered with, in both directions.

use std::fmt;
use std::sync::Arc;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use sm_jwt::*;

use super::Peer;
use crate::support::*;

/// Far more than it takes for a signature with a number below 2^248, of which there is one among 128.
const TRIES: usize = 10_000;

/// Random claims, the same ones in every run: who, and a text of any characters.
fn random_claims(count: usize) -> Vec<(String, String)> {
    let mut runner = TestRunner::deterministic();
    let claims = (".{1,30}", ".{0,150}");
    (0..count)
        .map(|_| claims.new_tree(&mut runner).unwrap().current())
        .collect()
}

pub fn verifier_for(key: &VerifyingKey, profile: &Profile) -> Verifier {
    Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
        .issuer(ISSUER, [(kid(KID), key.clone(), profile.clone())])
        .audience(AUDIENCE)
        .clock(Arc::new(clock()))
        .build()
        .unwrap()
}

fn signer_with(key: SigningKey, profile: &Profile) -> Signer {
    Signer::new(key, kid(KID), profile.clone())
        .unwrap()
        .with_clock(Arc::new(clock()))
}

/// A header as the profile wants it.
fn header_for(profile: &Profile) -> Value {
    with(
        header(),
        json!({ "alg": profile.alg(), "crv": profile.crv() }),
    )
}

fn signing_input(profile: &Profile, payload: &str) -> String {
    format!("{}.{}", b64(header_for(profile).to_string()), b64(payload))
}

/// The same bytes with one bit flipped.
fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let index = bit / 8 % bytes.len();
    bytes[index] ^= 1 << (bit % 8);
    bytes
}

fn raw_of(profile: &Profile, signature: &[u8]) -> [u8; 64] {
    match profile.encoding() {
        SignatureEncoding::Raw => signature.try_into().unwrap(),
        _ => to_raw(signature),
    }
}

/// The same key under everything that the profile does not say.
fn other_profiles(profile: &Profile) -> Vec<Profile> {
    let other_form = match profile.encoding() {
        SignatureEncoding::Raw => SignatureEncoding::Der,
        _ => SignatureEncoding::Raw,
    };
    let other_id = |id: &str| profile.clone().with_user_id(id).unwrap();
    let others = [
        profile.clone().with_encoding(other_form),
        other_id("someone else"),
        other_id(""),
        other_id(USER_ID),
    ];
    others
        .into_iter()
        .filter(|other| other != profile)
        .collect()
}

/// Tokens with random claims, each way.
pub fn exchange(peer: &Peer, profile: &Profile, rounds: usize) {
    peer_signs(peer, profile, rounds);
    this_crate_signs(peer, profile, rounds);
}

fn peer_signs(peer: &Peer, profile: &Profile, rounds: usize) {
    let (private, public) = peer.generate();
    let key = peer.read_public(&public);
    assert_eq!(*peer.read_private(&private).verifying_key(), key);
    let verifier = verifier_for(&key, profile);
    let others: Vec<_> = other_profiles(profile)
        .iter()
        .map(|other| verifier_for(&key, other))
        .collect();
    let mut tokens = Vec::new();
    for (round, (subject, note)) in random_claims(rounds).into_iter().enumerate() {
        let payload_with = |id: String| {
            let changes = json!({ "sub": subject, "jti": id, "ext": { "note": note } });
            with(payload(), changes).to_string()
        };
        let input = signing_input(profile, &payload_with(format!("id-{round}")));
        let signature = peer.sign(profile, &private, input.as_bytes());
        let token = |input: &str, signature: &[u8]| format!("{input}.{}", b64(signature));
        let good = token(&input, &signature);
        assert_eq!(outcome(&verifier, &good), "ok", "{} {input}", peer.name);
        for other in &others {
            assert_eq!(outcome(other, &good), "bad_signature", "{}", peer.name);
        }
        // Another payload; any bit of the first signature and one of each other.
        let forged = signing_input(profile, &payload_with(format!("id-{}", round + rounds)));
        assert_eq!(
            outcome(&verifier, &token(&forged, &signature)),
            "bad_signature"
        );
        let bits = match round {
            0 => 0..signature.len() * 8,
            _ => round..round + 1,
        };
        for bit in bits {
            let tampered = token(&input, &flipped(&signature, bit));
            assert_eq!(outcome(&verifier, &tampered), "bad_signature", "bit {bit}");
        }
        tokens.push(good);
    }
    let parsed = tokens
        .iter()
        .map(|token| UnverifiedToken::parse(token, verifier.limits()).unwrap());
    let verified = verifier.verify_many::<NoExtra>(parsed);
    assert!(verified.len() == rounds && verified.iter().all(Result::is_ok));
}

fn this_crate_signs(peer: &Peer, profile: &Profile, rounds: usize) {
    let key = SigningKey::generate().unwrap();
    let public = peer.public_word(key.verifying_key());
    let signer = signer_with(key, profile);
    for (round, (subject, note)) in random_claims(rounds).into_iter().enumerate() {
        let claims = claims().subject(subject).ext("note", note);
        let token = signer.sign(&claims, TokenType::Access, &NoExtra).unwrap();
        let (input, signature) = token.rsplit_once('.').unwrap();
        let signature = unb64(signature);
        let verifies =
            |message: &[u8], signature: &[u8]| peer.verifies(profile, &public, message, signature);
        assert!(
            verifies(input.as_bytes(), &signature),
            "{} {token}",
            peer.name
        );
        // Any bit but the highest of a byte, so that the message is still text.
        let bit = round * 56 + round % 7;
        let tampered = flipped(input.as_bytes(), bit);
        assert!(!verifies(&tampered, &signature), "{} {bit}", peer.name);
        let tampered = flipped(&signature, round * 37);
        assert!(
            peer.refuses(profile, &public, input.as_bytes(), &tampered),
            "{} {round}",
            peer.name
        );
    }
}

/// Signatures whose r or s begins with a zero byte: shorter in DER, padded in r ‖ s.
pub fn short_numbers(peer: &Peer, profile: &Profile, peer_is_fast: bool) {
    let key = SigningKey::generate().unwrap();
    let public = peer.public_word(key.verifying_key());
    let private = peer.private_word(&key);
    let verifier = verifier_for(key.verifying_key(), profile);
    let signer = signer_with(key, profile);
    let from_here = || {
        let token = signer.sign(&claims(), TokenType::Access, &NoExtra).unwrap();
        let (input, signature) = token.rsplit_once('.').unwrap();
        (input.to_owned(), unb64(signature))
    };
    let from_peer = || {
        let input = signing_input(profile, &payload().to_string());
        let signature = peer.sign(profile, &private, input.as_bytes());
        (input, signature)
    };
    let short = |make: &dyn Fn() -> (String, Vec<u8>), start: usize| {
        (0..TRIES)
            .map(|_| make())
            .find(|(_, signature)| raw_of(profile, signature)[start] == 0)
            .unwrap()
    };
    for start in [0, 32] {
        let (input, signature) = short(&from_here, start);
        assert!(
            peer.verifies(profile, &public, input.as_bytes(), &signature),
            "{} {signature:02x?}",
            peer.name
        );
        if peer_is_fast {
            let (input, signature) = short(&from_peer, start);
            let token = format!("{input}.{}", b64(&signature));
            assert_eq!(outcome(&verifier, &token), "ok", "{} {token}", peer.name);
        }
    }
}

/// Keys of this crate at the peer, and keys of the peer here, are the same points.
pub fn keys_both_ways(peer: &Peer, count: usize) {
    for _ in 0..count {
        let key = SigningKey::generate().unwrap();
        key_is_read(peer, &key);
        let (private, public) = peer.generate();
        let read = peer.read_private(&private);
        let point = read.verifying_key().to_sec1_bytes();
        assert_eq!(point, peer.point_of_private(&private));
        assert_eq!(*read.verifying_key(), peer.read_public(&public));
    }
}

fn key_is_read(peer: &Peer, key: &SigningKey) {
    let point = key.verifying_key().to_sec1_bytes();
    let private = peer.private_word(key);
    assert_eq!(peer.point_of_private(&private), point, "{}", peer.name);
    let public = peer.public_word(key.verifying_key());
    assert_eq!(peer.point_of_public(&public), point, "{}", peer.name);
}

/// The least and the largest private key, and those with zero bytes in front of the scalar, of x and of y.
pub fn extreme_keys(peer: &Peer, profile: &Profile) {
    let number = |n: u32| {
        let mut bytes = [0; 32];
        bytes[28..].copy_from_slice(&n.to_be_bytes());
        bytes
    };
    let key = |d: [u8; 32]| SigningKey::from_jwk(&private_jwk(&d).to_string()).unwrap();
    let with_zero_at = |index: usize| {
        (1..)
            .map(|n| key(number(n)))
            .find(|key| key.verifying_key().to_sec1_bytes()[index] == 0)
            .unwrap()
    };
    let keys = [
        key(number(1)),
        key(minus(&N, &number(2))),
        key([&[0; 2], &D[2..]].concat().try_into().unwrap()),
        with_zero_at(1),
        with_zero_at(33),
    ];
    for key in keys {
        key_is_read(peer, &key);
        let private = peer.private_word(&key);
        let public = peer.public_word(key.verifying_key());
        let verifier = verifier_for(key.verifying_key(), profile);
        let input = signing_input(profile, &payload().to_string());
        let signature = peer.sign(profile, &private, input.as_bytes());
        let token = format!("{input}.{}", b64(&signature));
        assert_eq!(outcome(&verifier, &token), "ok", "{} {token}", peer.name);
        let token = signer_with(key, profile)
            .sign(&claims(), TokenType::Access, &NoExtra)
            .unwrap();
        let (input, signature) = token.rsplit_once('.').unwrap();
        let signature = unb64(signature);
        assert!(peer.verifies(profile, &public, input.as_bytes(), &signature));
    }
}

/// Texts that a token's JSON may also be, the smallest and the largest among them, signed by the peer.
pub fn extreme_messages(peer: &Peer, profile: &Profile) {
    let (private, public) = peer.generate();
    let verifier = verifier_for(&peer.read_public(&public), profile);
    let sign = |header: &str, payload: &str| {
        let input = format!("{}.{}", b64(header), b64(payload));
        let signature = peer.sign(profile, &private, input.as_bytes());
        assert!(peer.verifies(profile, &public, input.as_bytes(), &signature));
        format!("{input}.{}", b64(signature))
    };
    let header = header_for(profile);
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap();
    let ext = |value: Value| with(payload(), json!({ "ext": value })).to_string();
    let cases = [
        (header.to_string(), payload().to_string(), "ok"),
        (pretty(&header), pretty(&payload()), "ok"),
        (
            format!("\r\n\t {header} \n"),
            format!(" {}\t\r\n", payload()),
            "ok",
        ),
        (header.to_string(), ext(json!({})), "ok"),
        (
            header.to_string(),
            ext(json!({ "\u{0}": "\u{10FFFF}" })),
            "ok",
        ),
        (header.to_string(), ext(json!({ "n": u64::MAX })), "ok"),
        (
            header.to_string(),
            ext(json!({ "fill": "\u{4E2D}".repeat(3850) })),
            "ok",
        ),
        (header.to_string(), "{}".to_owned(), "missing_claim"),
        ("{}".to_owned(), "{}".to_owned(), "missing_header"),
        (header.to_string(), String::new(), "bad_json"),
        (String::new(), String::new(), "bad_json"),
    ];
    for (header, payload, expected) in cases {
        let token = sign(&header, &payload);
        assert_eq!(outcome(&verifier, &token), expected, "{}", peer.name);
    }
}

/// Messages of every length modulo SM3's block, each way.
pub fn every_length(peer: &Peer, profile: &Profile) {
    let key = SigningKey::generate().unwrap();
    let (private, public) = (
        peer.private_word(&key),
        peer.public_word(key.verifying_key()),
    );
    let verifier = verifier_for(key.verifying_key(), profile);
    let signer = signer_with(key, profile);
    for fill in 0..64 {
        let fill = "x".repeat(fill);
        let filled = with(payload(), json!({ "ext": { "fill": fill } })).to_string();
        let input = signing_input(profile, &filled);
        let signature = peer.sign(profile, &private, input.as_bytes());
        let token = format!("{input}.{}", b64(&signature));
        assert_eq!(outcome(&verifier, &token), "ok", "{} {token}", peer.name);
        let token = signer
            .sign(&claims().ext("fill", fill), TokenType::Access, &NoExtra)
            .unwrap();
        let (input, signature) = token.rsplit_once('.').unwrap();
        let signature = unb64(signature);
        assert!(peer.verifies(profile, &public, input.as_bytes(), &signature));
    }
}

/// The tests' own forger is no relative of the crate; peers say that it signs as they do.
pub fn forger_agrees(peer: &Peer, profile: &Profile) {
    let public = peer.public_word(&verifying_key());
    for message in ["", "{}", "e30.e30", &"m".repeat(5000)] {
        let raw = raw_signature(message.as_bytes());
        let signature = match profile.encoding() {
            SignatureEncoding::Raw => raw.to_vec(),
            _ => to_der(&raw),
        };
        assert!(peer.verifies(profile, &public, message.as_bytes(), &signature));
    }
}

/// A peer in the part of a device that holds the private key.
struct Device {
    peer: &'static Peer,
    key: String,
    profile: Profile,
    /// Whether it is given e, or the message.
    takes_digest: bool,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Device").field(&self.peer.name).finish()
    }
}

impl ExternalSigner for Device {
    fn sign(&self, input: &SigningInput<'_>) -> Result<[u8; 64], SignerError> {
        assert_eq!(input.user_id(), self.profile.user_id());
        if self.takes_digest {
            return Ok(self.peer.sign_digest(&self.key, input.digest()));
        }
        let signature = self.peer.sign(&self.profile, &self.key, input.message());
        Ok(raw_of(&self.profile, &signature))
    }
}

/// Tokens of this crate whose signatures the peer makes, from the message or from e.
pub fn peer_is_a_device(peer: &'static Peer, profile: &Profile, takes_digest: bool) {
    let (private, public) = peer.generate();
    let key = peer.read_public(&public);
    let device = |key: &str| {
        Arc::new(Device {
            peer,
            key: key.to_owned(),
            profile: profile.clone(),
            takes_digest,
        })
    };
    let trusted = TrustedKey::new(kid(KID), key.clone(), profile.clone()).unwrap();
    let sign = |device| {
        Signer::external(trusted.clone(), device)
            .with_clock(Arc::new(clock()))
            .sign(&claims(), TokenType::Access, &NoExtra)
    };
    let token = sign(device(&private)).unwrap();
    assert_eq!(outcome(&verifier_for(&key, profile), &token), "ok");
    // A device with another key in it gives no token.
    let (other, _) = peer.generate();
    let error = sign(device(&other)).unwrap_err();
    assert_eq!(error.code(), "signer_gave_wrong_signature");
}

/// Signatures that nobody should take: numbers out of range, and spellings that are not the one. All of them are refused
/// here, and by the peer but for those that `lax` names.
pub fn malformed_signatures(peer: &Peer, profile: &Profile, lax: &[&str]) {
    let key = SigningKey::generate().unwrap();
    let public = peer.public_word(key.verifying_key());
    let verifier = verifier_for(key.verifying_key(), profile);
    let token = signer_with(key, profile)
        .sign(&claims(), TokenType::Access, &NoExtra)
        .unwrap();
    let (input, good) = token.rsplit_once('.').unwrap();
    let good = unb64(good);
    let mut taken = Vec::new();
    for (what, signature) in malformed(profile, &good) {
        let token = format!("{input}.{}", b64(&signature));
        let outcome = outcome(&verifier, &token);
        assert!(
            matches!(outcome, "bad_signature" | "too_large"),
            "{what}: {outcome}"
        );
        if !peer.refuses(profile, &public, input.as_bytes(), &signature) {
            taken.push(what);
        }
    }
    assert_eq!(taken, lax, "{}", peer.name);
    assert!(peer.verifies(profile, &public, input.as_bytes(), &good));
}

fn malformed(profile: &Profile, good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let raw = raw_of(profile, good);
    let (r, s): ([u8; 32], [u8; 32]) =
        (raw[..32].try_into().unwrap(), raw[32..].try_into().unwrap());
    let zero = [0; 32];
    let pair = |r: &[u8; 32], s: &[u8; 32]| {
        let raw = [&r[..], &s[..]].concat();
        match profile.encoding() {
            SignatureEncoding::Raw => raw,
            _ => to_der(&raw),
        }
    };
    let mut cases = vec![
        ("r = 0", pair(&zero, &s)),
        ("s = 0", pair(&r, &zero)),
        ("r = s = 0", pair(&zero, &zero)),
        ("r = n", pair(&N, &s)),
        ("s = n", pair(&r, &N)),
        ("r = s = n", pair(&N, &N)),
        ("r + s = n", pair(&r, &minus(&N, &r))),
        ("s = -s", pair(&r, &minus(&N, &s))),
        ("s and r", pair(&s, &r)),
        ("nothing", Vec::new()),
        ("a byte more", [good, &[0]].concat()),
        ("a byte less", good[..good.len() - 1].to_vec()),
    ];
    match profile.encoding() {
        SignatureEncoding::Raw => cases.extend([
            ("a zero in front", [&[0], good].concat()),
            ("DER", to_der(good)),
        ]),
        _ => {
            let body = &good[2..];
            let (r, s) = body.split_at(2 + usize::from(body[1]));
            let padded = |integer: &[u8]| tlv(2, &[&[0], &integer[2..]].concat());
            let sequence = |parts: &[&[u8]]| tlv(0x30, &parts.concat());
            cases.extend([
                ("r ‖ s", raw.to_vec()),
                ("r padded", sequence(&[&padded(r), s])),
                ("s padded", sequence(&[r, &padded(s)])),
                ("a byte more inside", sequence(&[r, s, &[0]])),
                ("a third number", sequence(&[r, s, &[2, 1, 1]])),
                (
                    "a length in long form",
                    [&[0x30, 0x81, good[1]], body].concat(),
                ),
                ("indefinite length", [&[0x30, 0x80], body, &[0, 0]].concat()),
            ]);
        }
    }
    cases
}
