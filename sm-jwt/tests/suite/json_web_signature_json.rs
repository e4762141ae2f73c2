//! The JSON of a compact JWS in every spelling: which of them are the same token, and which are none. All are signed
//! with SM2 by the forger, so that nothing but the spelling is in question.

use crate::support::*;
use serde_json::Value;

/// A well-signed token whose header and payload are these bytes.
fn sign(header: &[u8], payload: &[u8]) -> String {
    let input = format!("{}.{}", b64(header), b64(payload));
    let signature = raw_signature(input.as_bytes());
    format!("{input}.{}", b64(signature))
}

fn with_header(text: impl AsRef<[u8]>) -> String {
    sign(text.as_ref(), payload().to_string().as_bytes())
}

fn with_payload(text: impl AsRef<[u8]>) -> String {
    sign(header().to_string().as_bytes(), text.as_ref())
}

/// The text of an object with `more` behind its members.
fn and(object: &Value, more: &str) -> String {
    let text = object.to_string();
    format!("{},{more}}}", &text[..text.len() - 1])
}

/// The text of an object with `from` in it replaced.
fn respelt(object: &Value, from: &str, to: &str) -> String {
    let text = object.to_string();
    assert!(text.contains(from), "{text}");
    text.replacen(from, to, 1)
}

#[test]
fn other_spellings_of_the_same_token() {
    let (h, p) = (header(), payload());
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap();
    // serde_json writes members by their names; these are in other orders.
    let reversed = |object: &Value| {
        let members = object.as_object().unwrap().iter().rev();
        let members: Vec<_> = members
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        format!("{{{}}}", members.join(","))
    };
    // As in RFC 7515 appendix A.1: a line end and a space between members.
    let lines = |object: &Value| object.to_string().replace(",\"", ",\r\n \"");
    let spaced = |object: &Value| {
        let text = object.to_string();
        text.replace("\":", "\" : ")
            .replace(",\"", " , \"")
            .replace('{', "{ ")
            .replace('}', " }")
    };
    let escaped = |text: &str| -> String {
        text.chars()
            .map(|c| format!("\\u{:04x}", u32::from(c)))
            .collect()
    };
    let kid = format!("\"{KID}\"");
    let cases = [
        case("as the crate writes it", with_header(h.to_string()), "ok"),
        case(
            "Figure A.1: line ends",
            sign(lines(&h).as_bytes(), lines(&p).as_bytes()),
            "ok",
        ),
        case("ValidSpacesInJsonHeader", with_header(spaced(&h)), "ok"),
        case(
            "valid spaces in the payload",
            with_payload(spaced(&p)),
            "ok",
        ),
        case(
            "ValidWhiteSpaceInJsonHeader",
            with_header(h.to_string().replace(',', ",\n\t")),
            "ok",
        ),
        case(
            "indented",
            sign(pretty(&h).as_bytes(), pretty(&p).as_bytes()),
            "ok",
        ),
        case(
            "white space around",
            with_header(format!("\t\r\n {h} \n\n")),
            "ok",
        ),
        case("header in another order", with_header(reversed(&h)), "ok"),
        case("payload in another order", with_payload(reversed(&p)), "ok"),
        case(
            "alg last",
            with_header(r#"{"kid":"key-1","crv":"sm2p256v1","typ":"at+jwt","alg":"SGD_SM3_SM2"}"#),
            "ok",
        ),
        case(
            "a letter of a name escaped",
            with_header(respelt(&h, "\"alg\"", r#""\u0061lg""#)),
            "ok",
        ),
        case(
            "a whole name escaped",
            with_header(respelt(&h, "\"kid\"", &format!("\"{}\"", escaped("kid")))),
            "ok",
        ),
        case(
            "hexadecimal in upper case",
            with_header(respelt(&h, "\"kid\"", r#""\u006B\u0069d""#)),
            "ok",
        ),
        case(
            "a whole value escaped",
            with_header(respelt(&h, &kid, &format!("\"{}\"", escaped(KID)))),
            "ok",
        ),
        case(
            "alg's value escaped",
            with_header(respelt(&h, "SGD_", r"\u0053GD\u005F")),
            "ok",
        ),
        case(
            "a solidus escaped",
            with_header(respelt(&h, "at+jwt", r"application\/at+jwt")),
            "ok",
        ),
        case(
            "a claim's name escaped",
            with_payload(respelt(&p, "\"iss\"", r#""\u0069ss""#)),
            "ok",
        ),
        case(
            "slashes of a claim escaped",
            with_payload(respelt(&p, "https://", r"https:\/\/")),
            "ok",
        ),
        case(
            "a surrogate pair",
            with_payload(and(&p, r#""custom":"\ud83d\ude00""#)),
            "ok",
        ),
        case(
            "a character of four bytes",
            with_payload(and(&p, r#""😀":"😀""#)),
            "ok",
        ),
        case(
            "every short escape",
            with_payload(and(&p, r#""\b\f\n\r\t\"\\\/":1"#)),
            "ok",
        ),
        case(
            "a zero character escaped",
            with_payload(and(&p, r#""a\u0000b":1"#)),
            "ok",
        ),
        case("an empty name", with_header(and(&h, r#""":1"#)), "ok"),
        // Not the same names, so not the same member twice.
        case(
            "a name in upper case beside it",
            with_header(and(&h, r#""ALG":"none""#)),
            "ok",
        ),
        case(
            "a name with a space beside it",
            with_header(and(&h, r#""alg ":"none""#)),
            "ok",
        ),
        case(
            "a name with a zero beside it",
            with_header(and(&h, r#""alg\u0000":"none""#)),
            "ok",
        ),
        case(
            "composed and decomposed",
            with_payload(and(&p, "\"\u{E9}\":1,\"e\u{301}\":2")),
            "ok",
        ),
        case(
            "the same name in objects that are not the same",
            with_payload(and(&p, r#""a":{"x":1,"y":{"x":1}},"b":[{"x":1},{"x":1}]"#)),
            "ok",
        ),
        case(
            "numbers of every kind",
            with_payload(and(&p, r#""n":[0,-0,1e3,1E-3,-1.5e+2,1e308]"#)),
            "ok",
        ),
        case(
            "literals",
            with_payload(and(&p, r#""n":[true,false,null,{},[],""]"#)),
            "ok",
        ),
    ];
    check_table(&access_verifier(), &cases);
}

#[test]
fn members_given_twice() {
    let (h, p) = (header(), payload());
    let mut cases = vec![case("valid", forge(&h, &p), "ok")];
    for (what, more) in [
        ("alg, the same", r#""alg":"SGD_SM3_SM2""#),
        ("alg, another", r#""alg":"none""#),
        ("alg, first letter escaped", r#""\u0061lg":"none""#),
        ("alg, last letter escaped", r#""al\u0067":"SGD_SM3_SM2""#),
        ("alg, wholly escaped", r#""\u0061\u006C\u0067":1"#),
        ("kid, null", r#""kid":null"#),
        ("kid, escaped", r#""k\u0069d":"key-2""#),
        ("typ, escaped", r#""t\u0079p":"at+jwt""#),
        ("crv, an object", r#""crv":{}"#),
        ("a name of no meaning", r#""x":1,"x":1"#),
        ("a name of no meaning, escaped", r#""x":1,"\u0078":1"#),
        ("é as itself and escaped", "\"\u{E9}\":1,\"\\u00e9\":1"),
        (
            "a pair of surrogates and itself",
            "\"\u{1F600}\":1,\"\\ud83d\\ude00\":1",
        ),
        ("a solidus as itself and escaped", r#""a/b":1,"a\/b":1"#),
        ("a tab by two escapes", r#""a\tb":1,"a\u0009b":1"#),
        ("the empty name", r#""":1,"":1"#),
        ("in an object", r#""x":{"y":1,"y":1}"#),
        ("in an object, escaped", r#""x":{"y":1,"\u0079":1}"#),
        ("in an array's object", r#""x":[[{"y":1,"z":2,"y":1}]]"#),
        ("in the offered key", r#""jwk":{"kty":"EC","kty":"oct"}"#),
    ] {
        let header = and(&h, more);
        cases.push(case(
            format!("header: {what}"),
            with_header(header),
            "duplicate_member",
        ));
    }
    let key = "A".repeat(43);
    for (what, more) in [
        ("iss, the same", format!(r#""iss":"{ISSUER}""#)),
        (
            "iss, escaped",
            r#""\u0069ss":"https://other.example""#.to_owned(),
        ),
        ("exp", r#""exp":9999999999"#.to_owned()),
        ("exp, escaped", r#""e\u0078p":9999999999"#.to_owned()),
        ("aud", r#""aud":["other"]"#.to_owned()),
        ("jti, escaped", r#""jt\u0069":"id-2""#.to_owned()),
        ("in ext", r#""ext":{"a":1,"\u0061":1}"#.to_owned()),
        (
            "in cnf",
            format!(r#""cnf":{{"jkt":"{key}","jk\u0074":"{key}"}}"#),
        ),
        (
            "in a claim of no meaning",
            r#""x":{"y":[{"z":1,"z":1}]}"#.to_owned(),
        ),
    ] {
        let payload = and(&p, &more);
        cases.push(case(
            format!("payload: {what}"),
            with_payload(payload),
            "duplicate_member",
        ));
    }
    check_table(&access_verifier(), &cases);
}

#[test]
fn what_is_no_json_object() {
    let (h, p) = (header().to_string(), payload().to_string());
    let mut cases = vec![case("valid", sign(h.as_bytes(), p.as_bytes()), "ok")];
    type Sign = fn(&[u8]) -> String;
    let parts: [(&str, &str, Sign); 2] = [
        ("header", &h, |text| with_header(text)),
        ("payload", &p, |text| with_payload(text)),
    ];
    for (part, text, sign) in parts {
        let open = &text[..text.len() - 1];
        let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let with_bytes =
            |bytes: &[u8]| [open.as_bytes(), b",\"custom\":\"", bytes, b"\"}"].concat();
        let name_of_bytes = |bytes: &[u8]| [open.as_bytes(), b",\"", bytes, b"\":1}"].concat();
        let texts: Vec<(&str, Vec<u8>)> = vec![
            ("nothing", Vec::new()),
            ("a space", b" ".to_vec()),
            ("null", b"null".to_vec()),
            ("true", b"true".to_vec()),
            ("a number", b"1".to_vec()),
            ("a string", b"\"alg\"".to_vec()),
            ("a string of the object", serde_json::to_vec(text).unwrap()),
            ("an array", b"[]".to_vec()),
            ("an array of the object", format!("[{text}]").into_bytes()),
            ("no opening brace", text.as_bytes()[1..].to_vec()),
            ("no closing brace", open.as_bytes().to_vec()),
            ("another closing brace", format!("{text}}}").into_bytes()),
            ("the object twice", format!("{text}{text}").into_bytes()),
            ("a word behind it", format!("{text} x").into_bytes()),
            ("a zero byte behind it", format!("{text}\0").into_bytes()),
            ("a zero byte in front", format!("\0{text}").into_bytes()),
            ("a byte order mark", format!("\u{FEFF}{text}").into_bytes()),
            (
                "a no-break space in front",
                format!("\u{A0}{text}").into_bytes(),
            ),
            (
                "a vertical tab in front",
                format!("\u{B}{text}").into_bytes(),
            ),
            ("UTF-16", utf16),
            ("a comma at the end", format!("{open},}}").into_bytes()),
            ("two commas", format!("{open},,\"a\":1}}").into_bytes()),
            ("a comma in front", text.replacen('{', "{,", 1).into_bytes()),
            ("no commas", text.replace(",\"", "\"").into_bytes()),
            ("semicolons", text.replace("\":", "\";").into_bytes()),
            ("single quotes", text.replace('"', "'").into_bytes()),
            ("a comment", format!("{open}/* */}}").into_bytes()),
            (
                "a comment to the end of the line",
                format!("{open}//\n}}").into_bytes(),
            ),
            (
                "a name without quotes",
                format!("{open},a:1}}").into_bytes(),
            ),
            ("a number for a name", format!("{open},1:1}}").into_bytes()),
            ("null for a name", format!("{open},null:1}}").into_bytes()),
            (
                "a name without a value",
                format!("{open},\"a\"}}").into_bytes(),
            ),
            ("no value", format!("{open},\"a\":}}").into_bytes()),
            ("NaN", format!("{open},\"a\":NaN}}").into_bytes()),
            ("Infinity", format!("{open},\"a\":Infinity}}").into_bytes()),
            (
                "undefined",
                format!("{open},\"a\":undefined}}").into_bytes(),
            ),
            ("TRUE", format!("{open},\"a\":TRUE}}").into_bytes()),
            (
                "a number with a plus",
                format!("{open},\"a\":+1}}").into_bytes(),
            ),
            (
                "a number with a zero in front",
                format!("{open},\"a\":01}}").into_bytes(),
            ),
            (
                "a hexadecimal number",
                format!("{open},\"a\":0x1}}").into_bytes(),
            ),
            (
                "a number without digits before the point",
                format!("{open},\"a\":.5}}").into_bytes(),
            ),
            (
                "a number without digits behind the point",
                format!("{open},\"a\":1.}}").into_bytes(),
            ),
            (
                "a number without an exponent",
                format!("{open},\"a\":1e}}").into_bytes(),
            ),
            (
                "a number out of range",
                format!("{open},\"a\":1e999}}").into_bytes(),
            ),
            ("a lone minus", format!("{open},\"a\":-}}").into_bytes()),
            (
                "a value of two tokens",
                format!("{open},\"a\":1 2}}").into_bytes(),
            ),
            (
                "a string without an end",
                format!("{open},\"a\":\"}}").into_bytes(),
            ),
            (
                "an array without an end",
                format!("{open},\"a\":[}}").into_bytes(),
            ),
            ("a line feed in a string", with_bytes(b"a\nb")),
            ("a zero byte in a string", with_bytes(b"a\0b")),
            ("an escape that is none", with_bytes(br"\x41")),
            ("an escape of a quote", with_bytes(br"\'")),
            ("an escape of three digits", with_bytes(br"\u041")),
            ("an escape with a sign", with_bytes(br"\u+041")),
            ("an escape in upper case", with_bytes(br"\U0041")),
            ("a lone high surrogate", with_bytes(br"\ud83d")),
            ("a lone low surrogate", with_bytes(br"\ude00")),
            (
                "surrogates in the wrong order",
                with_bytes(br"\ude00\ud83d"),
            ),
            ("a high surrogate and a letter", with_bytes(br"\ud83da")),
            ("a lone surrogate in a name", name_of_bytes(br"\ud83d")),
            ("UTF-8 cut short", with_bytes(b"\xC3")),
            ("UTF-8 without a beginning", with_bytes(b"\xA9")),
            ("UTF-8 that is too long", with_bytes(b"\xC0\x80")),
            ("UTF-8 of a surrogate", with_bytes(b"\xED\xA0\xBD")),
            ("UTF-8 beyond Unicode", with_bytes(b"\xF4\x90\x80\x80")),
            ("Latin-1", with_bytes(b"\xE9")),
            (
                "UTF-8 that is too long, in a name",
                name_of_bytes(b"\xC0\x80"),
            ),
            ("a name that only Latin-1 spells", name_of_bytes(b"al\xE7")),
        ];
        for (what, text) in texts {
            cases.push(case(format!("{part}: {what}"), sign(&text), "bad_json"));
        }
    }
    // In a member that is known, the member is named.
    let kid = |bytes: &[u8]| {
        let (before, after) = h.split_once(KID).unwrap();
        with_header([before.as_bytes(), bytes, after.as_bytes()].concat())
    };
    cases.push(case(
        "kid of a lone surrogate",
        kid(br"\ud83d"),
        "bad_header",
    ));
    cases.push(case("kid of no UTF-8", kid(b"key-\xFF"), "bad_header"));
    cases.push(case("kid with a line feed", kid(b"key\n1"), "bad_header"));
    check_table(&access_verifier(), &cases);
}
