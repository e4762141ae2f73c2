//! `bankctl jwt` with the crate's own claims: sessions, scopes, and tokens that are bound to a certificate or key.

use serde_json::json;
use sm_jwt::{DpopProver, Profile, SigningKey};

use crate::desk::*;

const TELLER: &str = include_str!("data/teller.pem");
const OTHER: &str = include_str!("data/other.pem");

#[test]
fn the_crates_own_claims() {
    let desk = Desk::with_keys();
    let options = "--typ refresh+jwt --sid s-1 --client-id branch-app --scope accounts:read --scope payments:write \
                   --amr pwd --amr otp --acr urn:bank:2 --auth-time 1000 --nbf 2000 --jti t-1";
    desk.issue(&options.split_whitespace().collect::<Vec<_>>());
    let refresh = [&VERIFY[..], &["--typ", "refresh+jwt"]].concat();
    let verified = desk.machine(YES, &refresh);
    let payload = &verified["payload"];
    for (claim, expected) in [
        ("sid", json!("s-1")),
        ("client_id", json!("branch-app")),
        ("scope", json!("accounts:read payments:write")),
        ("amr", json!(["pwd", "otp"])),
        ("acr", json!("urn:bank:2")),
        ("auth_time", json!(1000)),
        ("nbf", json!(2000)),
        ("jti", json!("t-1")),
    ] {
        assert_eq!(payload[claim], expected, "{claim}");
    }
    assert_eq!(verified["single_use_not_checked"], true);
    assert_eq!(
        verified["bound_to"],
        json!({"certificate": false, "dpop_key": false})
    );
    // Without the options there are no such claims.
    desk.issue(&[]);
    let payload = &desk.machine(YES, &VERIFY)["payload"];
    for claim in [
        "sid",
        "client_id",
        "scope",
        "amr",
        "acr",
        "auth_time",
        "nbf",
        "cnf",
    ] {
        assert!(payload.get(claim).is_none(), "{claim}");
    }
    desk.issue(&["--nbf", "9000000000"]);
    assert_eq!(desk.code(NO, &VERIFY), "not_yet_valid");
    let issue = |options: &[&str]| desk.code(NO_ANSWER, &[&ISSUE[..], options].concat());
    assert_eq!(issue(&["--scope", "a\"b"]), "bad_claim");
    assert_eq!(issue(&["--sid", ""]), "bad_claim");
    desk.wrong_use(&[&ISSUE[..], &["--scope", ""]].concat());
    desk.wrong_use(&[&ISSUE[..], &["--nbf", "soon"]].concat());
}

#[test]
fn tokens_bound_to_a_certificate() {
    let desk = Desk::with_keys();
    desk.write("teller.pem", TELLER);
    desk.write("other.crt", OTHER);
    let der: String = TELLER.lines().filter(|line| !line.contains('-')).collect();
    use base64ct::{Base64, Encoding as _};
    desk.write("teller.der", Base64::decode_vec(&der).unwrap());
    let verify = |file| [&VERIFY[..], &["--certificate", file]].concat();

    for form in ["teller.pem", "teller.der"] {
        desk.issue(&["--bind-certificate", form]);
        assert_eq!(desk.code(NO, &VERIFY), "proof_missing", "{form}");
        assert_eq!(desk.code(NO, &verify("other.crt")), "proof_mismatch");
        for shown in ["teller.pem", "teller.der"] {
            let found = desk.machine(YES, &verify(shown));
            let bound_to = json!({"certificate": true, "dpop_key": false});
            assert_eq!(found["bound_to"], bound_to, "{form} {shown}");
        }
        let told = desk.people(YES, &verify("teller.pem"));
        assert!(told.contains("certificate  bound to it"), "{told}");
    }
    // A token that is bound to nothing verifies, and it is said that nobody looked.
    desk.issue(&[]);
    let told = desk.people(YES, &verify("other.crt"));
    assert!(told.contains("certificate  not looked at"), "{told}");

    desk.write("two.pem", format!("{TELLER}{OTHER}"));
    for file in ["two.pem", "other-public.pem", "key.jwk"] {
        let code = desk.code(NO_ANSWER, &verify(file));
        assert_eq!(code, "bad_certificate", "{file}");
        let issue = [&ISSUE[..], &["--bind-certificate", file]].concat();
        assert_eq!(desk.machine(NO_ANSWER, &issue)["source"], file);
    }
    desk.people(NO_ANSWER, &verify("no-such-file"));
}

#[test]
fn tokens_bound_to_a_key() {
    const URI: &str = "https://api.bank.example/payments";
    let desk = Desk::with_keys();
    desk.write("teller.pem", TELLER);
    let key = SigningKey::from_pkcs8_pem(&desk.text("other.pem")).unwrap();
    let prover = DpopProver::new(key, Profile::default()).unwrap();
    let proof = |method: &str, uri: &str| {
        let token = desk.text("token");
        let proof = prover.proof(method, uri, Some(token.trim_end()), None);
        desk.write("proof", proof.unwrap());
    };
    let request = ["--dpop", "proof", "--method", "POST", "--uri", URI];
    let verify = [&VERIFY[..], &request].concat();

    desk.issue(&["--bind-key", "other-public.pem"]);
    assert_eq!(desk.code(NO, &VERIFY), "proof_missing");
    proof("POST", URI);
    let found = desk.machine(YES, &verify);
    assert_eq!(found["bound_to"]["dpop_key"], true);
    assert_eq!(found["proof_single_use_not_checked"], true);
    let told = desk.people(YES, &verify);
    assert!(told.contains("proof     not checked"), "{told}");
    for (method, uri) in [("POST", "https://api.bank.example/customers"), ("GET", URI)] {
        proof(method, uri);
        assert_eq!(desk.code(NO, &verify), "bad_dpop_proof");
        assert_eq!(desk.machine(NO, &verify)["source"], "proof");
    }
    // Of another key, and of another token.
    proof("POST", URI);
    desk.issue(&["--bind-key", "public.jwk"]);
    assert_eq!(desk.code(NO, &verify), "bad_dpop_proof");
    proof("POST", URI);
    assert_eq!(desk.code(NO, &verify), "proof_mismatch");
    // Bound to both: both are asked for.
    desk.issue(&[
        "--bind-key",
        "other.pem",
        "--bind-certificate",
        "teller.pem",
    ]);
    proof("POST", URI);
    assert_eq!(desk.code(NO, &verify), "proof_missing");
    desk.people(
        YES,
        &[&verify[..], &["--certificate", "teller.pem"]].concat(),
    );

    desk.issue(&["--bind-key", "other.pem"]);
    proof("POST", URI);
    let relative = with(&verify, &[(URI, "/payments")]);
    assert_eq!(desk.machine(NO_ANSWER, &relative)["source"], "--uri");
    // A proof that is none is malformed, as a token would be.
    desk.write("proof", "no proof");
    let found = desk.machine(NO_ANSWER, &verify);
    assert_eq!(found["source"], "proof");
    let reason = found["reason"].as_str().unwrap();
    assert!(reason.contains("three parts"), "{reason}");
    for missing in [&request[..2], &request[..4], &request[2..]] {
        desk.wrong_use(&[&VERIFY[..], missing].concat());
    }
}
