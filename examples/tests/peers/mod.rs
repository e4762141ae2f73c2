//! The peer that some of these tests need.

use std::process::Command;

/// Whether OpenSSL with SM2 is here; the test is skipped without it unless peers are required.
pub fn openssl_is_here() -> bool {
    let found = Command::new("openssl")
        .args(["genpkey", "-algorithm", "SM2"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        let required = std::env::var("REQUIRE_PEERS").is_ok_and(|value| value == "1");
        assert!(!required, "no openssl command with SM2");
        println!("SKIPPED: no openssl command with SM2");
    }
    found
}
