//! The hazards of the signature itself: scalars out of range, and more than one spelling of one
//! signature. The rest are in `hazards.rs` and `hazards_claims.rs`.

use std::sync::Arc;

use crate::support::*;
use sm_jwt::*;

#[test]
fn hazard_psychic_signature() {
    let token = access_token();
    let (input, _) = token.rsplit_once('.').unwrap();
    let n = N;
    let good = raw_signature(input.as_bytes());
    let (r, s) = good.split_at(32);
    let pairs: Vec<(&[u8], &[u8])> = vec![
        (&[0; 32], &[0; 32]),
        (&[0; 32], s),
        (r, &[0; 32]),
        (&n, s),
        (r, &n),
        (&n, &n),
        (&[0xFF; 32], &[0xFF; 32]),
    ];
    for (r, s) in pairs {
        let token = format!("{input}.{}", b64([r, s].concat()));
        assert_eq!(code(&token), "bad_signature");
    }
    // r + s = n
    let minus_r = minus(&n, r.try_into().unwrap());
    let token = format!("{input}.{}", b64([r, &minus_r].concat()));
    assert_eq!(code(&token), "bad_signature");
    let token = format!("{input}.{}", b64(good));
    assert_eq!(code(&token), "ok");
}

#[test]
fn hazard_signature_malleability() {
    let token = access_token();
    let (input, signature) = token.rsplit_once('.').unwrap();
    let raw = unb64(signature);
    // Any other length of the raw form.
    for other in [
        &raw[..63],
        &[&raw[..], &[0]].concat(),
        &[&[0], &raw[..]].concat(),
        &[][..],
    ] {
        assert_eq!(code(&format!("{input}.{}", b64(other))), "bad_signature");
    }
    // Every other base64url spelling of the same bytes.
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (body, last) = signature.split_at(signature.len() - 1);
    let value = alphabet
        .iter()
        .position(|c| *c == last.as_bytes()[0])
        .unwrap();
    for low in 1..16 {
        let other = alphabet[value | low] as char;
        assert_eq!(code(&format!("{input}.{body}{other}")), "bad_base64");
    }
    for tail in ["=", "==", "\n", " ", "+", "/"] {
        assert_eq!(code(&format!("{token}{tail}")), "bad_base64");
    }
    // The raw form where the profile says raw, DER where it says DER: never the other.
    let der = to_der(&raw);
    assert_eq!(code(&format!("{input}.{}", b64(&der))), "bad_signature");
}

#[test]
fn hazard_non_canonical_der() {
    let profile = Profile::default().with_encoding(SignatureEncoding::Der);
    let verifier = Verifier::builder(TokenType::Access, ReplayPolicy::MultiUse)
        .issuer(ISSUER, [(kid(KID), verifying_key(), profile)])
        .audience(AUDIENCE)
        .clock(Arc::new(clock()))
        .build()
        .unwrap();
    let token = access_token();
    let (input, signature) = token.rsplit_once('.').unwrap();
    let raw = unb64(signature);
    let der = to_der(&raw);
    let with_signature = |bytes: &[u8]| format!("{input}.{}", b64(bytes));
    assert_eq!(outcome(&verifier, &with_signature(&der)), "ok");
    assert_eq!(outcome(&verifier, &token), "bad_signature");

    let body = &der[2..];
    let r_len = usize::from(body[1]);
    let (r, s) = body.split_at(2 + r_len);
    let padded = |integer: &[u8]| tlv(2, &[&[0], &integer[2..]].concat());
    let cases: Vec<Vec<u8>> = vec![
        // A byte left over, outside and inside.
        [&der[..], &[0]].concat(),
        tlv(0x30, &[body, &[0]].concat()),
        // A third integer.
        tlv(0x30, &[body, &[2, 1, 1]].concat()),
        // Zero-padded integers.
        tlv(0x30, &[&padded(r), s].concat()),
        tlv(0x30, &[r, &padded(s)].concat()),
        // Long and indefinite forms of the length.
        [&[0x30, 0x81, body.len() as u8], body].concat(),
        [&[0x30, 0x82, 0, body.len() as u8], body].concat(),
        [&[0x30, 0x80], body, &[0, 0]].concat(),
        // Another tag, cut short, nothing.
        tlv(0x31, body),
        der[..der.len() - 1].to_vec(),
        Vec::new(),
        tlv(0x30, &[]),
        // An integer of no bytes; zero; negative.
        tlv(0x30, &[&[2, 0], s].concat()),
        tlv(0x30, &[&[2, 1, 0], s].concat()),
        tlv(0x30, &[&[2, 1, 0xFF], s].concat()),
    ];
    for case in cases {
        let outcome = outcome(&verifier, &with_signature(&case));
        assert!(
            matches!(outcome, "bad_signature" | "too_large"),
            "{case:02x?}: {outcome}"
        );
    }
}
