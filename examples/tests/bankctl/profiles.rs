//! `bankctl jwt` with SM2 over SHA-256.

use crate::desk::*;

#[test]
fn sm2_over_sha256_there_and_back() {
    let desk = Desk::with_keys();
    let by_hash = ["--hash", "sha256"];
    let by_name = ["--alg", "SM2-SHA256"];
    let doctor = ["jwt", "doctor", "--key", "public.jwk", "token"];
    for issued in [by_hash, by_name] {
        desk.issue(&issued);
        for verified in [by_hash, by_name] {
            let found = desk.machine(YES, &[&VERIFY[..], &verified].concat());
            assert_eq!(found["header"]["alg"], "SM2-SHA256");
            let found = desk.machine(YES, &[&doctor[..], &verified].concat());
            assert_eq!(found["holds_as_registered"], true);
        }
        assert_eq!(desk.code(NO, &VERIFY), "algorithm_mismatch");
        let found = desk.machine(NO, &doctor);
        assert_eq!(found["holds_otherwise"], true);
        let findings = found["findings"].to_string();
        assert!(
            findings.contains("SM2-SHA256") && findings.contains("\"SHA-256\""),
            "{findings}"
        );
    }
    // The other way round.
    desk.issue(&["--hash", "sm3"]);
    desk.people(YES, &VERIFY);
    let other = [&VERIFY[..], &by_hash].concat();
    assert_eq!(desk.code(NO, &other), "algorithm_mismatch");
    // A name and a hash that do not go together.
    for wrong in [
        ["--hash", "sha256", "--alg", "SGD_SM3_SM2"],
        ["--hash", "sm3", "--alg", "SM2-SHA256"],
    ] {
        let args = [&ISSUE[..], &wrong].concat();
        assert_eq!(desk.code(NO_ANSWER, &args), "bad_configuration");
        assert_eq!(desk.machine(NO_ANSWER, &args)["source"], "--alg");
    }
}
