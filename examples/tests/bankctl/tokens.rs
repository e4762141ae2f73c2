//! `bankctl jwt`.

use serde_json::{Value, json};

use crate::desk::*;

#[test]
fn tokens_are_issued_verified_and_shown() {
    let desk = Desk::with_keys();
    let claims = r#"{"branch":"suzhou-01","limits":{"fen":[1,2]}}"#;
    desk.issue(&[
        "--tenant",
        "jiangnan-bank",
        "--role",
        "teller",
        "--claims",
        claims,
    ]);
    let verified = desk.machine(YES, &VERIFY);
    let payload = &verified["payload"];
    assert_eq!(payload["sub"], "lin");
    assert_eq!(payload["roles"], json!(["teller"]));
    assert_eq!(payload["limits"], json!({"fen": [1, 2]}));
    assert_eq!(
        payload["exp"].as_u64().unwrap() - payload["iat"].as_u64().unwrap(),
        300
    );
    assert_eq!(verified["header"]["typ"], "at+jwt");
    assert!(desk.people(YES, &VERIFY).contains("subject   lin"));

    // The private half of the key will do, a set of keys, and the name that was agreed on.
    desk.people(YES, &with(&VERIFY, &[("public.jwk", "key.jwk")]));
    let set = format!("{{\"keys\":[{}]}}", desk.text("public.jwk"));
    desk.write("set.json", set);
    let with_set = with(&VERIFY, &[("--key", "--jwks"), ("public.jwk", "set.json")]);
    desk.people(YES, &with_set);
    let named = |kid| [&VERIFY[..], &["--kid", kid]].concat();
    desk.people(YES, &named("k1"));
    assert_eq!(desk.code(NO, &named("k2")), "unknown_key");

    for (changes, expected) in [
        (("core-banking", "payments"), "wrong_audience"),
        ((ISSUER, "https://else.example"), "unknown_issuer"),
        (("public.jwk", "other-public.pem"), "bad_signature"),
    ] {
        assert_eq!(desk.code(NO, &with(&VERIFY, &[changes])), expected);
    }
    for (options, expected) in [
        (&["--typ", "txn+jwt"][..], "type_mismatch"),
        (&["--alg", "SM2SM3"], "algorithm_mismatch"),
        (&["--no-crv"], "curve_mismatch"),
        (&["--id", "someone"], "bad_signature"),
        (&["--encoding", "der"], "bad_signature"),
        (&["--at", "1000"], "issued_in_future"),
        (&["--at", "9000000000"], "expired"),
    ] {
        let code = desk.code(NO, &[&VERIFY[..], options].concat());
        assert_eq!(code, expected, "{options:?}");
    }
    let token = desk.text("token");
    desk.write("token", changed(&token, 2));
    assert_eq!(desk.code(NO, &VERIFY), "bad_signature");

    // Shown all the same, and said not to be verified.
    let shown = desk.people(YES, &["jwt", "decode", "token"]);
    assert!(shown.starts_with("NOT VERIFIED") && shown.contains("\"branch\": \"suzhou-01\""));
    let shown = desk.machine(YES, &["jwt", "decode", "token"]);
    assert_eq!(shown["verified"], false);
    assert_eq!(shown["header"]["kid"], "k1");
    assert_eq!(shown["payload"]["sub"], "lin");
    assert_eq!(shown["unreadable"], Value::Null);
}

#[test]
fn single_use_tokens_say_that_it_is_not_checked() {
    let desk = Desk::with_keys();
    desk.issue(&["--typ", "txn+jwt", "--lifetime", "90s"]);
    let args = [&VERIFY[..], &["--typ", "txn+jwt"]].concat();
    assert_eq!(desk.machine(YES, &args)["single_use_not_checked"], true);
    assert!(desk.people(YES, &args).contains("single use  not checked"));
    assert_eq!(desk.code(NO, &VERIFY), "type_mismatch");
}

#[test]
fn tokens_that_cannot_be_made_or_read() {
    let desk = Desk::with_keys();
    let issue = |options: &[&str]| desk.code(NO_ANSWER, &[&ISSUE[..], options].concat());
    assert_eq!(issue(&["--claims", "[]"]), "bad_json");
    assert_eq!(
        issue(&["--claims", r#"{"sub":"mei"}"#]),
        "extra_claim_collides"
    );
    assert_eq!(issue(&["--claims", "@no-such-file"]), "bad_input");
    assert_eq!(issue(&["--lifetime", "0"]), "bad_lifetime");
    assert_eq!(issue(&["--alg", "ES256"]), "bad_configuration");
    let public = with(&ISSUE, &[("key.jwk", "public.jwk")]);
    assert_eq!(desk.code(NO_ANSWER, &public), "bad_input");
    desk.write("claims.json", "{\"a\":1,\n\"b\"}");
    let args = [&ISSUE[..], &["--claims", "@claims.json"]].concat();
    assert_eq!(desk.machine(NO_ANSWER, &args)["line"], 2);
    desk.wrong_use(&ISSUE[..10]);
    desk.wrong_use(&[&ISSUE[..], &["--lifetime", "soon"]].concat());

    desk.issue(&[]);
    let token = desk.text("token");
    let (header, rest) = token.split_once('.').unwrap();
    for (text, verified, decoded) in [
        ("no token at all".to_owned(), "not_compact", "not_compact"),
        (format!("{header}=.{rest}"), "bad_base64", "bad_base64"),
        (format!("e30x.{rest}"), "bad_json", "bad_json"),
        (format!("{token}.AAAA"), "not_compact", "not_compact"),
        ("A".repeat(20_000) + ".e30.AAAA", "too_large", "bad_json"),
    ] {
        desk.write("token", text);
        assert_eq!(desk.code(NO_ANSWER, &VERIFY), verified);
        assert_eq!(desk.code(NO_ANSWER, &["jwt", "decode", "token"]), decoded);
    }
    // Decoded, with the reason why no verifier would read it.
    desk.write("token", format!("e30.{rest}"));
    assert_eq!(desk.code(NO_ANSWER, &VERIFY), "missing_header");
    let shown = desk.machine(YES, &["jwt", "decode", "token"]);
    assert_eq!(shown["unreadable"], "missing_header");
    // `{"a":1,"a":2}`: of the two only one is shown, and this is said.
    desk.write("token", format!("eyJhIjoxLCJhIjoyfQ.{rest}"));
    let shown = desk.people(YES, &["jwt", "decode", "token"]);
    assert!(shown.contains("refuse to read it: the header has the same JSON member twice"));
    desk.wrong_use(&VERIFY[..6]);
    let both = [&VERIFY[..], &["--jwks", "set.json"]].concat();
    desk.wrong_use(&both);
}

#[test]
fn the_doctor_says_what_would_make_it_verify() {
    let desk = Desk::with_keys();
    let doctor = ["jwt", "doctor", "--key", "public.jwk", "token"];
    desk.issue(&[]);
    let found = desk.machine(YES, &doctor);
    assert_eq!(found["holds_as_registered"], true);
    for (options, code, finding, says) in [
        (&["--id", ""][..], "bad_signature", "user_id", "for ``"),
        (
            &["--encoding", "der"],
            "bad_signature",
            "encoding",
            "canonical DER",
        ),
        (
            &["--alg", "SM2-SM3"],
            "algorithm_mismatch",
            "algorithm",
            "`SM2-SM3`",
        ),
        (&["--crv", "SM2"], "curve_mismatch", "curve", "`SM2`"),
    ] {
        desk.issue(options);
        assert_eq!(desk.code(NO, &VERIFY), code, "{options:?}");
        assert_eq!(desk.code(NO, &doctor), code, "{options:?}");
        let found = desk.machine(NO, &doctor);
        assert_eq!(found["holds_otherwise"], true, "{found}");
        assert_eq!(found["findings"][0]["finding"], finding, "{found}");
        let told = desk.people(NO, &doctor);
        assert!(
            told.contains(says) && told.contains("no verification"),
            "{told}"
        );
        // As it says, so it is.
        desk.people(YES, &[&VERIFY[..], options].concat());
    }
    // A user id that nobody would guess is tried when it is named.
    desk.issue(&["--id", "branch 7"]);
    assert_eq!(desk.machine(NO, &doctor)["holds_otherwise"], false);
    let tried = desk.machine(NO, &[&doctor[..], &["--try-id", "branch 7"]].concat());
    assert_eq!(tried["findings"][0]["works"], "branch 7");
    let other = with(&doctor, &[("public.jwk", "other-public.pem")]);
    assert_eq!(desk.machine(NO, &other)["findings"], json!([]));
    desk.write("token", "no token");
    assert_eq!(desk.code(NO_ANSWER, &doctor), "not_compact");
}
