//! Compact JWS in every shape that test vectors for JWS know (RFC 7515 appendices A, E and F, RFC 7520, Wycheproof's
//! `json_web_signature`), signed with SM2 by the forger: unless a case is about the signature, it is a right one, and the
//! token is refused for what the case says. The JSON and the signature have
//! files of their own: `json_web_signature_json.rs`, `json_web_signature_values.rs`.

use crate::support::*;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

/// A well-signed token whose first two parts are these characters, encoded or not.
fn sign_text(header: &str, payload: &str) -> String {
    let input = format!("{header}.{payload}");
    let signature = raw_signature(input.as_bytes());
    format!("{input}.{}", b64(signature))
}

/// The text with its first character replaced.
fn modified(text: &str) -> String {
    let first = if text.starts_with('X') { "Y" } else { "X" };
    format!("{first}{}", &text[1..])
}

#[test]
fn parts() {
    let token = forge(&header(), &payload());
    let [h, p, s] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("{token}");
    };
    let other_payload = b64(with(payload(), json!({ "jti": "id-2" })).to_string());
    let other_header = b64(with(header(), json!({ "custom": 1 })).to_string());
    let other_kid = b64(with(header(), json!({ "kid": "Xey-1" })).to_string());
    let none = b64(with(header(), json!({ "alg": "none" })).to_string());
    let flattened = json!({ "payload": p, "protected": h, "signature": s });
    let general = json!({
        "payload": p,
        "signatures": [{ "protected": h, "header": { "unknown": "untrustworthy" }, "signature": s }],
    });
    let cases = [
        case("acceptsValid", &*token, "ok"),
        case(
            "rejectsModifiedSignature",
            format!("{h}.{p}.{}", modified(s)),
            "bad_signature",
        ),
        case(
            "rejectsSignatureOfAnotherToken",
            format!("{h}.{p}.{}", access_token().rsplit_once('.').unwrap().1),
            "bad_signature",
        ),
        case(
            "rejectsMissingSignature",
            format!("{h}.{p}."),
            "bad_signature",
        ),
        case(
            "rejectsMissingSignatureAndSeparator",
            format!("{h}.{p}"),
            "not_compact",
        ),
        case(
            "rejectsModifiedPayload",
            format!("{h}.{}.{s}", modified(p)),
            "bad_json",
        ),
        case(
            "rejectsModifiedPayloadThatIsStillJson",
            format!("{h}.{other_payload}.{s}"),
            "bad_signature",
        ),
        // Also what RFC 7515 appendix F sends where the payload travels elsewhere.
        case("rejectsMissingPayload", format!("{h}..{s}"), "bad_json"),
        case(
            "rejectsMissingPayloadAndSeparator",
            format!("{h}.{s}"),
            "not_compact",
        ),
        case(
            "rejectsModifiedHeader",
            format!("{}.{p}.{s}", modified(h)),
            "bad_json",
        ),
        case(
            "rejectsModifiedHeaderThatIsStillJson",
            format!("{other_header}.{p}.{s}"),
            "bad_signature",
        ),
        case(
            "rejectsModifiedKid",
            format!("{other_kid}.{p}.{s}"),
            "unknown_key",
        ),
        case("rejectsMissingHeader", format!(".{p}.{s}"), "bad_json"),
        case(
            "rejectsMissingHeaderAndSeparator",
            format!("{p}.{s}"),
            "not_compact",
        ),
        case(
            "rejectsMissingHeaderAndSignature",
            format!(".{p}."),
            "bad_json",
        ),
        case(
            "rejectsMissingHeaderSignatureAndSeparators",
            p,
            "not_compact",
        ),
        case("rejectsSeparatorsAlone", "..", "bad_json"),
        case("rejectsEmptyString", "", "not_compact"),
        case(
            "rejectsExtraEmptyComponent",
            format!("{token}."),
            "not_compact",
        ),
        case(
            "rejectsExtraEmptyComponentInFront",
            format!(".{token}"),
            "not_compact",
        ),
        case(
            "rejectsExtraComponent",
            format!("{token}.foo"),
            "not_compact",
        ),
        case(
            "rejectsPartsInAnotherOrder",
            format!("{p}.{h}.{s}"),
            "missing_header",
        ),
        case(
            "rejectsOtherSeparators",
            token.replace('.', ":"),
            "not_compact",
        ),
        case(
            "rejectsFullWidthSeparators",
            token.replace('.', "\u{FF0E}"),
            "not_compact",
        ),
        case(
            "rejectsTwoSeparatorsInARow",
            format!("{h}..{p}.{s}"),
            "not_compact",
        ),
        case("rejectsTokenInQuotes", format!("\"{token}\""), "bad_base64"),
        case("rejectsScheme", format!("Bearer {token}"), "bad_base64"),
        case("rejectsLineFeedAtEnd", format!("{token}\n"), "bad_base64"),
        case(
            "rejectsNoneAlgorithmAndMissingSignature",
            format!("{none}.{p}."),
            "algorithm_mismatch",
        ),
        case(
            "rejectsNoneAlgorithmWithSignature",
            sign_text(&none, p),
            "algorithm_mismatch",
        ),
        case(
            "rejectsValidJsonSerialization",
            general.to_string(),
            "not_compact",
        ),
        case(
            "rejectsFlattenedJsonSerialization",
            flattened.to_string(),
            "not_compact",
        ),
    ];
    check_table(&access_verifier(), &cases);
}

#[test]
fn algorithms() {
    let alg = |alg: Value| {
        let mut header = header();
        header["alg"] = alg;
        forge(&header, &payload())
    };
    let mut cases = vec![
        case("valid", alg(json!("SGD_SM3_SM2")), "ok"),
        case(
            "absent",
            forge_header(json!({ "alg": null })),
            "missing_header",
        ),
        case(
            "absent but for another case of its name",
            forge_header(json!({ "alg": null, "ALG": "SGD_SM3_SM2" })),
            "missing_header",
        ),
        case(
            "in the payload alone",
            forge(
                &with(header(), json!({ "alg": null })),
                &with(payload(), json!({ "alg": "SGD_SM3_SM2" })),
            ),
            "missing_header",
        ),
    ];
    for name in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        "HS256",
        "HS384",
        "HS512",
        "RS256",
        "PS256",
        "ES256",
        "ES384",
        "ES512",
        "ES256K",
        "EdDSA",
        "SM2",
        "SM2-SM3",
        "SM2SM3",
        "SM3WithSM2",
        "GmSM2",
        "SM2-SHA256",
        "sgd_sm3_sm2",
        "SGD-SM3-SM2",
        "SGD_SM3",
        "SGD_SM3_SM2 ",
        " SGD_SM3_SM2",
        "SGD_SM3_SM2\0",
        "SGD_SM3_SM2\u{200B}",
        "\u{FEFF}SGD_SM3_SM2",
        "\u{FF33}GD_SM3_SM2",
        "1.2.156.10197.1.501",
    ] {
        cases.push(case(
            format!("{name:?}"),
            alg(json!(name)),
            "algorithm_mismatch",
        ));
    }
    for value in [
        json!(null),
        json!(1),
        json!(true),
        json!(["SGD_SM3_SM2"]),
        json!({ "SGD_SM3_SM2": "SGD_SM3_SM2" }),
    ] {
        cases.push(case(value.to_string(), alg(value), "bad_header"));
    }
    // A key for HMAC made of what everyone knows (Wycheproof's rejectsSymmetryConfusionAttacks).
    let key = verifying_key();
    let documents = [
        ("PEM", key.to_spki_pem().into_bytes()),
        ("DER", key.to_spki_der()),
        ("point", key.to_sec1_bytes().to_vec()),
        ("x", key.to_sec1_bytes()[1..33].to_vec()),
        ("JWK", key.to_jwk(None).into_bytes()),
        ("nothing", Vec::new()),
    ];
    for (document, bytes) in documents {
        let mac = |alg: &str| {
            let header = with(header(), json!({ "alg": alg })).to_string();
            let input = format!("{}.{}", b64(header), b64(payload().to_string()));
            let mut mac = Hmac::<Sha256>::new_from_slice(&bytes).unwrap();
            mac.update(input.as_bytes());
            format!("{input}.{}", b64(mac.finalize().into_bytes()))
        };
        let what = format!("HMAC keyed with {document}");
        cases.push(case(&*what, mac("HS256"), "algorithm_mismatch"));
        cases.push(case(
            format!("{what}, under the right name"),
            mac("SGD_SM3_SM2"),
            "bad_signature",
        ));
    }
    check_table(&access_verifier(), &cases);
}

#[test]
fn headers() {
    let attacker = private_jwk(&[7; 32]);
    let offered = json!({ "kty": "EC", "crv": "SM2", "x": attacker["x"], "y": attacker["y"] });
    let by_attacker = |changes: Value| {
        let header = with(header(), changes).to_string();
        let input = format!("{}.{}", b64(header), b64(payload().to_string()));
        let key = sm2::dsa::SigningKey::from_slice(USER_ID, &[7; 32]).unwrap();
        let signature: sm2::dsa::Signature =
            sm2::dsa::signature::Signer::try_sign(&key, input.as_bytes()).unwrap();
        format!("{input}.{}", b64(signature.to_bytes()))
    };
    let null = |name: &str| {
        let mut header = header();
        header[name] = Value::Null;
        forge(&header, &payload())
    };
    let undefined = "http://example.invalid/UNDEFINED";
    let cases = [
        case("valid", forge_header(json!({})), "ok"),
        case(
            "kid absent",
            forge_header(json!({ "kid": null })),
            "missing_header",
        ),
        case("kid null", null("kid"), "bad_header"),
        case(
            "kid empty",
            forge_header(json!({ "kid": "" })),
            "bad_header",
        ),
        case(
            "kid in upper case",
            forge_header(json!({ "kid": "KEY-1" })),
            "unknown_key",
        ),
        case(
            "kid of nobody",
            forge_header(json!({ "kid": "key-2" })),
            "unknown_key",
        ),
        case(
            "kid absent but for the payload's",
            forge(
                &with(header(), json!({ "kid": null })),
                &with(payload(), json!({ "kid": KID })),
            ),
            "missing_header",
        ),
        case(
            "kid absent, key offered",
            forge_header(json!({ "kid": null, "jwk": offered })),
            "missing_header",
        ),
        case(
            "typ absent",
            forge_header(json!({ "typ": null })),
            "missing_header",
        ),
        case("typ null", null("typ"), "bad_header"),
        case(
            "typ JWT",
            forge_header(json!({ "typ": "JWT" })),
            "type_mismatch",
        ),
        case(
            "typ JOSE",
            forge_header(json!({ "typ": "JOSE" })),
            "type_mismatch",
        ),
        case(
            "typ with parameters",
            forge_header(json!({ "typ": "at+jwt;v=1" })),
            "type_mismatch",
        ),
        case(
            "cty is no typ",
            forge_header(json!({ "typ": null, "cty": "at+jwt" })),
            "missing_header",
        ),
        case(
            "cty beside typ",
            forge_header(json!({ "cty": "JWT" })),
            "ok",
        ),
        case(
            "crv absent",
            forge_header(json!({ "crv": null })),
            "curve_mismatch",
        ),
        case("crv null", null("crv"), "bad_header"),
        case(
            "crv by another name",
            forge_header(json!({ "crv": "SM2" })),
            "curve_mismatch",
        ),
        case(
            "crv P-256",
            forge_header(json!({ "crv": "P-256" })),
            "curve_mismatch",
        ),
        // RFC 7515 appendix E, signed all the same.
        case(
            "crit undefined",
            forge_header(json!({ "alg": "none", "crit": [undefined], undefined: true })),
            "critical_header",
        ),
        case(
            "crit undefined, under the right name",
            forge_header(json!({ "crit": [undefined], undefined: true })),
            "critical_header",
        ),
        case(
            "crit b64",
            forge_header(json!({ "crit": ["b64"], "b64": false })),
            "critical_header",
        ),
        case(
            "b64 false",
            forge_header(json!({ "b64": false })),
            "unencoded_payload",
        ),
        case(
            "b64 true",
            forge_header(json!({ "b64": true })),
            "unencoded_payload",
        ),
        case(
            "rejectsAttackerProvidedEmbeddedJwk",
            by_attacker(json!({ "jwk": offered })),
            "bad_signature",
        ),
        case(
            "rejectsAttackerProvidedEmbeddedJwkWithOurKid",
            by_attacker(json!({ "jwk": with(offered.clone(), json!({ "kid": KID })) })),
            "bad_signature",
        ),
        case(
            "rejectsAttackerProvidedUrls",
            by_attacker(
                json!({ "jku": "https://evil.example/k", "x5u": "https://evil.example/c" }),
            ),
            "bad_signature",
        ),
        case(
            "rejectsAttackerProvidedCertificate",
            by_attacker(json!({ "x5c": ["MIIB"], "x5t#S256": "AA", "x5t": "AA" })),
            "bad_signature",
        ),
        case(
            "ignoresEmbeddedJwk",
            forge_header(json!({ "jwk": offered })),
            "ok",
        ),
        case(
            "ignoresMembersOfOthers",
            forge_header(json!({ "zip": "DEF", "nonce": "n", "custom": { "a": [1, 2.5, null] } })),
            "ok",
        ),
    ];
    check_table(&access_verifier(), &cases);
}

/// The right JSON in a wrong base64url: what is signed is the text as it stands, so that nothing else is wrong with it.
#[test]
fn base64() {
    let mut cases = Vec::new();
    // Texts of every length modulo three, so that each kind of end occurs; JSON may end in spaces.
    for fill in 0..3 {
        let spaces = " ".repeat(fill);
        // The bytes make characters in which the two alphabets differ.
        let odd = json!({ "custom": "\u{3FF}\u{7FF}~~~???>>>" });
        let h = b64(format!("{}{spaces}", with(header(), odd.clone())));
        let p = b64(format!("{}{spaces}", with(payload(), odd)));
        let good = sign_text(&h, &p);
        let s = good.rsplit_once('.').unwrap().1;
        cases.push(case(format!("valid, {fill} spaces"), &*good, "ok"));
        for (part, text) in [("header", &*h), ("payload", &*p), ("signature", s)] {
            for (what, wrong) in misspelt(text) {
                let token = match part {
                    "header" => sign_text(&wrong, &p),
                    "payload" => sign_text(&h, &wrong),
                    _ => format!("{h}.{p}.{wrong}"),
                };
                cases.push(case(
                    format!("{what} in {part}, {fill} spaces"),
                    token,
                    "bad_base64",
                ));
            }
        }
        let swapped = |text: &str| text.replace('-', "+").replace('_', "/");
        assert!(h != swapped(&h) && p != swapped(&p));
        let token = sign_text(&swapped(&h), &p);
        cases.push(case(
            format!("header in base64, {fill}"),
            token,
            "bad_base64",
        ));
        let token = sign_text(&h, &swapped(&p));
        cases.push(case(
            format!("payload in base64, {fill}"),
            token,
            "bad_base64",
        ));
    }
    // The signature's text at its extremes is a text like any other.
    let input = format!(
        "{}.{}",
        b64(header().to_string()),
        b64(payload().to_string())
    );
    for (what, byte) in [("A", 0), ("_", 0xFF)] {
        let token = format!("{input}.{}", b64([byte; 64]));
        cases.push(case(
            format!("signature of {what} alone"),
            token,
            "bad_signature",
        ));
    }
    check_table(&access_verifier(), &cases);
}

/// Other spellings of the same bytes, and characters that are of no alphabet.
fn misspelt(text: &str) -> Vec<(&'static str, String)> {
    let (start, end) = text.split_at(8);
    let mut wrong = vec![
        ("spaces in front", format!("    {text}")),
        ("spaces at the end", format!("{text}    ")),
        ("a space inside", format!("{start} {end}")),
        ("a line feed inside", format!("{start}\n{end}")),
        ("a line end inside", format!("{start}\r\n{end}")),
        ("a tab inside", format!("{start}\t{end}")),
        ("a question mark in front", format!("?{text}")),
        ("a question mark inside", format!("{start}?{end}")),
        ("a question mark at the end", format!("{text}?")),
        (
            "question marks in the place of characters",
            format!("????{}", &text[4..]),
        ),
        ("number signs at the end", format!("{text}####")),
        ("a zero byte inside", format!("{start}\0{end}")),
        ("a zero byte at the end", format!("{text}\0")),
        ("percent-encoding", format!("{start}%41{end}")),
        ("a full-width letter", format!("{start}\u{FF21}{end}")),
        ("a letter beyond ASCII", format!("{start}\u{E9}{end}")),
        ("a plus inside", format!("{}+{end}", &start[1..])),
        ("a slash inside", format!("{}/{end}", &start[1..])),
        ("a comma inside", format!("{}, {end}", &start[2..])),
        ("an equals sign", format!("{text}=")),
        ("two equals signs", format!("{text}==")),
        ("an equals sign in front", format!("={text}")),
        ("an equals sign inside", format!("{start}={end}")),
    ];
    // One character more than whole bytes have.
    let alone = "A".repeat((5 - text.len() % 4) % 4);
    if !alone.is_empty() {
        wrong.push(("a character left over", format!("{text}{alone}")));
    }
    // Bits that belong to no byte.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (body, last) = text.split_at(text.len() - 1);
    let value = alphabet.find(last).unwrap();
    let unused: &[usize] = match text.len() % 4 {
        2 => &[1, 2, 4, 8],
        3 => &[1, 2],
        _ => &[],
    };
    for bit in unused {
        let names = [
            "",
            "bit 0 set",
            "bit 1 set",
            "",
            "bit 2 set",
            "",
            "",
            "",
            "bit 3 set",
        ];
        let other = &alphabet[value | bit..][..1];
        wrong.push((names[*bit], format!("{body}{other}")));
    }
    wrong
}
