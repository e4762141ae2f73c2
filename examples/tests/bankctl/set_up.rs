//! `bankctl init`, and what checks the files that it makes.

use crate::desk::*;

#[test]
fn what_is_in_a_set_up() {
    let desk = Desk::new();
    let made = desk.machine(YES, &["init", "run"]);
    assert_eq!(made["users"].as_array().unwrap().len(), 3);
    let again = desk.machine(NO_ANSWER, &["init", "run"]);
    assert!(
        again["source"]
            .as_str()
            .unwrap()
            .ends_with("token-signing.pem")
    );
    desk.machine(YES, &["config", "gateway", "run/gateway.toml"]);
    desk.machine(YES, &["policy", "run/policies/gateway.yaml"]);
    desk.machine(NO_ANSWER, &["policy", "run/gateway.toml"]);
    let malformed = desk.machine(NO_ANSWER, &["config", "gateway", "run/users.toml"]);
    assert!(malformed["line"].as_u64().is_some(), "{malformed}");
    let key = desk.machine(YES, &["key", "run/keys/token-signing.pem"]);
    assert_eq!(key["kind"], "private key");
    desk.machine(YES, &["customers", "generate", "c.csv", "--rows=3"]);
    assert_eq!(
        desk.machine(YES, &["customers", "check", "c.csv"])["rows"],
        3
    );
    desk.machine(NO_ANSWER, &["customers", "check", "run/users.toml"]);

    // A token of the set-up's issuer: as the banking service sees it.
    let issue = [
        "jwt",
        "issue",
        "--key",
        "run/keys/token-signing.pem",
        "--kid",
        "token-1",
        "--iss",
        "https://auth.bank.example",
        "--sub",
        "lin",
        "--aud",
        "core-banking",
        "--tenant",
        "jiangnan-bank",
        "--claims",
        r#"{"branch":"suzhou-01"}"#,
    ];
    desk.write("token", desk.people(YES, &issue));
    let token = ["token", "--config", "run/core-banking.toml", "token"];
    assert_eq!(desk.machine(YES, &token)["subject"], "lin");
    assert!(desk.people(YES, &token).contains("subject  lin"));
    let other = desk.people(YES, &with(&issue, &[("core-banking", "payments")]));
    desk.write("token", other);
    assert_eq!(desk.code(NO, &token), "wrong_audience");
    desk.write("token", "no token");
    assert_eq!(desk.code(NO_ANSWER, &token), "not_compact");
}
