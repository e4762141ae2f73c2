//! Prints what the last run measured as Markdown tables: ours first, then its peers with their time
//! in ours.

use family_benches::measured::{Run, duration, ratio, thousands};

/// Groups in reading order. The first row of each is ours, and the measure of the others.
const GROUPS: &[(&str, &[&str])] = &[
    ("token sign", TOKEN),
    (
        "token verify",
        &[
            "sm-jwt",
            "sm-jwt, signature cached",
            "raw SM2",
            "RustCrypto sm2",
            "jsonwebtoken ES256 (aws-lc)",
            "josekit ES256 (OpenSSL)",
        ],
    ),
    (
        "token verify 32",
        &[
            "sm-jwt verify_many",
            "raw SM2",
            "RustCrypto sm2",
            "jsonwebtoken ES256 (aws-lc)",
        ],
    ),
    ("field prepare", &["sm-fieldcrypt, cached"]),
    ("field seal 20 B", FIELD),
    ("field open 20 B", FIELD),
    ("field seal 20 B x 1000", FIELD),
    ("field open 20 B x 1000", FIELD),
    ("decide 10", DECIDE),
    ("decide 1000", DECIDE),
    ("decide 10000", DECIDE),
    (
        "decide 10000, harder",
        &[
            "abac-engine, 10,000 patterns",
            "abac-engine, 100 rules apply",
        ],
    ),
    (
        "append, one producer waiting",
        &["audit-log", "JSON line and sync_data"],
    ),
    (
        "append, 16 producers",
        &[
            "audit-log, 256 unacknowledged each",
            "audit-log, each waiting",
            "tracing-appender, not durable",
        ],
    ),
    ("audit verify", &["audit-log", "bare sm3 of the bytes"]),
];
const TOKEN: &[&str] = &[
    "sm-jwt",
    "raw SM2",
    "RustCrypto sm2",
    "jsonwebtoken ES256 (aws-lc)",
    "josekit ES256 (OpenSSL)",
];
const FIELD: &[&str] = &[
    "sm-fieldcrypt CBC",
    "sm-fieldcrypt CTR",
    "bare SM4-CBC",
    "kms-aead ChaCha20-Poly1305",
    "aes-gcm AES-256-GCM",
];
const DECIDE: &[&str] = &[
    "abac-engine",
    "abac-engine, request and decide",
    "cedar-policy",
    "casbin",
];

fn main() {
    let run = Run::last();
    println!("| flow | what | time of one | per second | its time in ours |");
    println!("|---|---|---|---|---|");
    for (group, rows) in GROUPS {
        let Some(ours) = run.get(group, rows[0]) else {
            println!("| {group} | not measured | | | |");
            continue;
        };
        for (row, measured) in rows
            .iter()
            .filter_map(|row| Some((row, run.get(group, row)?)))
        {
            println!(
                "| {group} | {row} | {} ± {:.0} % | {} | {} |",
                duration(measured.median),
                100.0 * measured.spread / measured.median,
                thousands(1e9 / measured.median),
                ratio(measured.median / ours.median),
            );
        }
    }
}
