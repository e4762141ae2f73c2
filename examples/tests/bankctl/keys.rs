//! `bankctl jwk` and `key`.

use serde_json::Value;

use crate::desk::*;

#[test]
fn keys_from_form_to_form_keep_their_thumbprint() {
    let desk = Desk::new();
    let made = desk.machine(YES, &["jwk", "generate", "--out", "a.jwk", "--kid", "k1"]);
    let thumbprint = made["thumbprint_sm3"].as_str().unwrap().to_owned();
    assert_eq!(made["jwk"]["kid"], "k1");
    assert!(made["jwk"].get("d").is_none());
    assert!(is_private_to_its_owner(&desk.path("a.jwk")));
    let private: Value = serde_json::from_str(&desk.text("a.jwk")).unwrap();
    let secret = private["d"].as_str().unwrap();

    let steps = [
        ("a.jwk", "pkcs8", "b.pem", "BEGIN PRIVATE KEY"),
        ("b.pem", "sec1", "c.pem", "BEGIN EC PRIVATE KEY"),
        ("c.pem", "jwk", "d.jwk", "\"d\":"),
        ("d.jwk", "sec1", "e.pem", "BEGIN EC PRIVATE KEY"),
        ("e.pem", "pkcs8", "f.pem", "BEGIN PRIVATE KEY"),
        ("f.pem", "spki", "g.pem", "BEGIN PUBLIC KEY"),
        ("g.pem", "jwk", "h.jwk", "\"crv\":\"SM2\""),
        ("h.jwk", "spki", "i.pem", "BEGIN PUBLIC KEY"),
    ];
    for (from, to, out, expected) in steps {
        let told = desk.people(YES, &["jwk", "convert", from, "--to", to, "--out", out]);
        assert!(!told.contains(secret), "{told}");
        let text = desk.text(out);
        assert!(
            text.contains(expected) && text.ends_with('\n'),
            "{out}: {text}"
        );
        let private = expected != "BEGIN PUBLIC KEY" && !expected.contains("crv");
        assert_eq!(is_private_to_its_owner(&desk.path(out)), private, "{out}");
        let found = desk.machine(YES, &["jwk", "thumbprint", out]);
        assert_eq!(found["sm3"], thumbprint, "{out}");
        assert_eq!(
            found["kind"],
            if private { "private key" } else { "public key" }
        );
    }
    assert_eq!(desk.text("b.pem"), desk.text("f.pem"));
    assert_eq!(desk.text("g.pem"), desk.text("i.pem"));
    // The curve's other spellings are the same key.
    let other = desk.text("h.jwk").replace("\"SM2\"", "\"sm2p256v1\"");
    desk.write("other.jwk", other);
    let found = desk.machine(YES, &["jwk", "thumbprint", "other.jwk"]);
    assert_eq!(found["sm3"], thumbprint);
    let printed = desk.people(YES, &["jwk", "thumbprint", "other.jwk"]);
    assert!(printed.contains(&thumbprint), "{printed}");
    // The public half of a private key is printed; the private one never is.
    let public = desk.people(YES, &["jwk", "convert", "a.jwk", "--to=jwk", "--public"]);
    assert!(
        serde_json::from_str::<Value>(&public)
            .unwrap()
            .get("d")
            .is_none()
    );
    for to in ["jwk", "pkcs8", "sec1"] {
        let args = ["jwk", "convert", "a.jwk", "--to", to];
        assert_eq!(desk.code(NO_ANSWER, &args), "bad_input", "{to}");
        assert!(!desk.machine(NO_ANSWER, &args).to_string().contains(secret));
    }
    assert!(!desk.people(YES, &["key", "a.jwk"]).contains(secret));
    assert_eq!(desk.machine(YES, &["key", "c.pem"])["kind"], "private key");
}

#[test]
fn keys_that_cannot_be_had() {
    let desk = Desk::with_keys();
    let before = desk.text("key.jwk");
    let told = |args: &[&str]| {
        let error = desk.machine(NO_ANSWER, args);
        let part = |name: &str| error[name].as_str().unwrap().to_owned();
        (part("source"), part("reason"))
    };
    let (file, reason) = told(&["jwk", "generate", "--out", "key.jwk"]);
    assert_eq!(file, "key.jwk");
    assert!(reason.contains("never overwritten"), "{reason}");
    let public = ["jwk", "generate", "--out", "x", "--public-out", "key.jwk"];
    assert_eq!(told(&public), (file, reason));
    assert!(
        !desk.path("x").exists(),
        "no private key without its public half"
    );
    desk.people(
        NO_ANSWER,
        &[
            "jwk",
            "convert",
            "other.pem",
            "--to=jwk",
            "--out",
            "key.jwk",
        ],
    );
    assert_eq!(before, desk.text("key.jwk"), "never overwritten");
    for to in ["pkcs8", "sec1"] {
        let args = ["jwk", "convert", "public.jwk", "--out", "x", "--to", to];
        assert_eq!(desk.code(NO_ANSWER, &args), "bad_input");
    }
    assert!(!desk.path("x").exists());
    desk.write("broken.jwk", "{\n\"kty\": \"EC\",\n}");
    let error = desk.machine(NO_ANSWER, &["jwk", "thumbprint", "broken.jwk"]);
    assert_eq!(error["code"], "bad_json");
    assert_eq!(error["source"], "broken.jwk");
    assert!(
        error["reason"].as_str().unwrap().contains("line 3"),
        "{error}"
    );
    desk.write(
        "p256.jwk",
        r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
    );
    let code = desk.code(NO_ANSWER, &["jwk", "thumbprint", "p256.jwk"]);
    assert_eq!(code, "wrong_key_algorithm");
    // A set is no key, and it is said where a set goes.
    let set = format!("{{\"keys\":[{}]}}", desk.text("public.jwk"));
    desk.write("set.json", set);
    desk.issue(&[]);
    for args in [
        with(&VERIFY, &[("public.jwk", "set.json")]),
        vec!["jwt", "doctor", "--key", "set.json", "token"],
        vec!["jwk", "thumbprint", "set.json"],
    ] {
        assert_eq!(desk.code(NO_ANSWER, &args), "jwk_set", "{args:?}");
        let (file, reason) = told(&args);
        assert_eq!(file, "set.json", "{args:?}");
        assert!(reason.contains("`--jwks`"), "{reason}");
    }
    desk.write("large.pem", vec![b'\n'; (1 << 20) + 1]);
    desk.people(NO_ANSWER, &["jwk", "thumbprint", "large.pem"]);
    desk.people(NO_ANSWER, &["jwk", "thumbprint", "no-such-file"]);
    desk.wrong_use(&["jwk", "convert", "key.jwk", "--to", "pdf"]);
    desk.wrong_use(&["jwk", "generate"]);
}
