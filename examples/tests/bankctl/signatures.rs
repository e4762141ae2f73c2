//! `bankctl artifact` and `sm2`.

use crate::desk::*;
use crate::peers::openssl_is_here;

#[test]
fn signed_files() {
    let desk = Desk::with_keys();
    // Longer than what is read at a time.
    let mut content = vec![7u8; 200_000];
    desk.write("gateway", &content);
    let sign = [
        "artifact",
        "sign",
        "--key",
        "other.pem",
        "--kid",
        "release",
        "--name",
        "gateway",
        "--version",
        "1.4.0",
        "gateway",
    ];
    let verify = [
        "artifact",
        "verify",
        "--key",
        "other-public.pem",
        "--name",
        "gateway",
        "--min-version",
        "1.4.0",
        "--manifest",
        "gateway.jws",
        "gateway",
    ];
    let printed = desk.people(YES, &sign);
    assert_eq!(printed.trim_end().split('.').count(), 3);
    desk.people(YES, &[&sign[..], &["--out", "gateway.jws"]].concat());
    let found = desk.machine(YES, &verify);
    assert_eq!(found["manifest"]["version"], "1.4.0");
    assert_eq!(found["manifest"]["size"], 200_000);
    assert!(desk.people(YES, &verify).contains("version  1.4.0"));
    desk.people(YES, &[&verify[..], &["--kid", "release"]].concat());
    let wrong_kid = [&verify[..], &["--kid", "k2"]].concat();
    assert_eq!(desk.code(NO, &wrong_kid), "unknown_key");

    for (change, expected, says) in [
        (("1.4.0", "1.4.1"), "bad_artifact", "too old"),
        (
            ("other-public.pem", "public.jwk"),
            "bad_signature",
            "does not verify",
        ),
    ] {
        let args = with(&verify, &[change]);
        assert_eq!(desk.code(NO, &args), expected);
        let reason = desk.machine(NO, &args)["reason"].to_string();
        assert!(reason.contains(says), "{reason}");
    }
    // It is the option that is wrong, and which one is said.
    let error = desk.machine(NO_ANSWER, &with(&verify, &[("1.4.0", "latest")]));
    assert_eq!(error["source"], "--min-version");
    let reason = error["reason"].as_str().unwrap();
    assert!(reason.contains("`latest`"), "{reason}");
    let error = desk.machine(NO_ANSWER, &with(&sign, &[("1.4.0", "latest")]));
    assert_eq!(error["source"], "--version");
    let mut no_name = verify.to_vec();
    no_name[5] = "";
    desk.wrong_use(&no_name);
    let mut other_name = verify.to_vec();
    other_name[5] = "core-banking";
    assert_eq!(desk.code(NO, &other_name), "bad_artifact");

    for at in [0, 65_536, 199_999] {
        flip(&mut content, at);
        desk.write("gateway", &content);
        let answer = desk.machine(NO, &verify);
        assert_eq!(
            answer["reason"],
            "the artifact is refused: the file's content is another one"
        );
        flip(&mut content, at);
    }
    desk.write("gateway", &content[1..]);
    assert_eq!(desk.code(NO, &verify), "bad_artifact");
    desk.write("gateway", &content);
    desk.people(YES, &verify);

    let manifest = desk.text("gateway.jws");
    desk.write("gateway.jws", changed(&manifest, 2));
    assert_eq!(desk.code(NO, &verify), "bad_signature");
    // A token is not a manifest, whoever signed it.
    desk.issue(&[]);
    let token = with(
        &verify,
        &[("gateway.jws", "token"), ("other-public.pem", "public.jwk")],
    );
    assert_eq!(desk.code(NO, &token), "payload_type_mismatch");
    desk.write("gateway.jws", "nothing");
    assert_eq!(desk.code(NO_ANSWER, &verify), "not_compact");
    desk.write("gateway.jws", manifest);
    std::fs::remove_file(desk.path("gateway")).unwrap();
    desk.people(NO_ANSWER, &verify);
    desk.people(NO_ANSWER, &sign);
    std::fs::create_dir(desk.path("gateway")).unwrap();
    desk.people(NO_ANSWER, &verify);
    desk.wrong_use(&verify[..6]);
}

#[test]
fn bare_signatures() {
    let desk = Desk::with_keys();
    desk.write("message", "message digest");
    for encoding in ["raw", "der"] {
        let options = ["--encoding", encoding, "--in", "message"];
        let sign = [&["sm2", "sign", "--key", "key.jwk"], &options[..]].concat();
        let signature = desk.people(YES, &sign).trim_end().to_owned();
        let verify = [
            &[
                "sm2",
                "verify",
                "--key",
                "public.jwk",
                "--signature",
                &signature,
            ],
            &options[..],
        ]
        .concat();
        desk.people(YES, &verify);
        assert_eq!(desk.machine(YES, &verify)["file"], "message");
        let upper = signature.to_uppercase();
        desk.people(YES, &with(&verify, &[(&signature, &upper)]));
        let other_id = [&verify[..], &["--id", "someone"]].concat();
        assert_eq!(desk.code(NO, &other_id), "bad_signature");
        let other_form = if encoding == "raw" { "der" } else { "raw" };
        let args = with(&verify, &[(encoding, other_form)]);
        assert_eq!(desk.code(NO, &args), "bad_signature");
        let args = with(&verify, &[("public.jwk", "other-public.pem")]);
        assert_eq!(desk.code(NO, &args), "bad_signature");
        let longer = signature.clone() + "00";
        assert_eq!(
            desk.code(NO, &with(&verify, &[(&signature, &longer)])),
            "bad_signature"
        );
        for malformed in ["zz", "0", "0x"] {
            let args = with(&verify, &[(&signature, malformed)]);
            assert_eq!(desk.code(NO_ANSWER, &args), "bad_input", "{malformed}");
        }
        desk.write("message", "message digesT");
        assert_eq!(desk.code(NO, &verify), "bad_signature");
        desk.write("message", "message digest");
        desk.people(NO_ANSWER, &with(&verify, &[("message", "no-such-file")]));
        desk.people(NO_ANSWER, &with(&sign, &[("key.jwk", "public.jwk")]));
        desk.wrong_use(&verify[..6]);
        // With these a token could be made.
        desk.issue(&[]);
        let token = desk.text("token");
        let (input, _) = token.rsplit_once('.').unwrap();
        desk.write("input", input);
        let args = with(&sign, &[("message", "input")]);
        assert_eq!(desk.code(NO_ANSWER, &args), "token_signing_input");
    }
}

#[test]
fn bare_signatures_with_openssl_both_ways() {
    if !openssl_is_here() {
        return;
    }
    let desk = Desk::with_keys();
    desk.write("message", "message digest");
    let openssl = |args: &[&str]| desk.run("openssl", args);
    for id in ["1234567812345678", "ALICE123@YAHOO.COM"] {
        let distid = format!("distid:{id}");
        let sign = [
            "pkeyutl",
            "-sign",
            "-rawin",
            "-digest",
            "sm3",
            "-inkey",
            "other.pem",
            "-in",
            "message",
            "-pkeyopt",
            &distid,
        ];
        let signed = openssl(&sign);
        assert!(signed.status.success());
        let signature: String = signed.stdout.iter().map(|b| format!("{b:02x}")).collect();
        let verify = [
            "sm2",
            "verify",
            "--key",
            "other-public.pem",
            "--encoding",
            "der",
            "--in",
            "message",
            "--id",
            id,
            "--signature",
            &signature,
        ];
        desk.people(YES, &verify);
        desk.people(NO, &with(&verify, &[(id, "someone")]));

        let ours = desk.people(
            YES,
            &[
                "sm2",
                "sign",
                "--key",
                "other.pem",
                "--encoding",
                "der",
                "--in",
                "message",
                "--id",
                id,
            ],
        );
        let bytes: Vec<u8> = ours
            .trim_end()
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        desk.write("signature", bytes);
        let accepts = |distid: &str| {
            let args = [
                "pkeyutl",
                "-verify",
                "-rawin",
                "-digest",
                "sm3",
                "-pubin",
                "-inkey",
                "other-public.pem",
                "-in",
                "message",
                "-sigfile",
                "signature",
                "-pkeyopt",
                distid,
            ];
            openssl(&args).status.success()
        };
        assert!(accepts(&distid));
        assert!(!accepts("distid:someone"));
    }
    // Keys, both ways: OpenSSL reads what is written here, and the other way round.
    let made = openssl(&["genpkey", "-algorithm", "SM2", "-out", "theirs.pem"]);
    assert!(made.status.success());
    desk.people(
        YES,
        &[
            "jwk",
            "convert",
            "theirs.pem",
            "--to=sec1",
            "--out",
            "sec1.pem",
        ],
    );
    let public = |file: &str| {
        let read = openssl(&["pkey", "-in", file, "-pubout"]);
        assert!(read.status.success(), "{file}");
        String::from_utf8(read.stdout).unwrap()
    };
    assert_eq!(public("sec1.pem"), public("theirs.pem"));
    let spki = desk.people(YES, &["jwk", "convert", "theirs.pem", "--to=spki"]);
    assert_eq!(spki, public("theirs.pem"));
}
