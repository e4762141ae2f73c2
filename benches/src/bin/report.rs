//! Prints what the last run measured as Markdown tables: ours first, then its peers with their time
//! in ours.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Groups in reading order. The first row of each is ours, and the measure of the others.
const GROUPS: &[(&str, &[&str])] = &[
    ("token sign", &["sm-jwt", "bare sm2", "jsonwebtoken ES256"]),
    (
        "token verify",
        &["sm-jwt", "bare sm2", "jsonwebtoken ES256"],
    ),
    (
        "token verify 32",
        &["sm-jwt verify_many", "bare sm2", "jsonwebtoken ES256"],
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

/// Median time of one element and half the width of its confidence interval, in nanoseconds.
#[derive(Clone, Copy)]
struct Measured {
    median: f64,
    spread: f64,
}

fn main() {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    let mut found = HashMap::new();
    collect(&PathBuf::from(target).join("criterion"), &mut found);
    println!("| flow | what | time of one | per second | its time in ours |");
    println!("|---|---|---|---|---|");
    for (group, rows) in GROUPS {
        let get = |row: &str| found.get(&((*group).to_owned(), row.to_owned())).copied();
        let Some(ours) = get(rows[0]) else {
            println!("| {group} | not measured | | | |");
            continue;
        };
        for (row, measured) in rows.iter().filter_map(|row| Some((row, get(row)?))) {
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

/// Reads every `new/` folder below: criterion keeps the last run there.
fn collect(folder: &Path, found: &mut HashMap<(String, String), Measured>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if !path.is_dir() {
            continue;
        }
        if path.ends_with("new") {
            let names = json(&path.join("benchmark.json"));
            let estimates = json(&path.join("estimates.json"));
            let median = &estimates["median"];
            let interval = &median["confidence_interval"];
            let elements = names["throughput"]["Elements"].as_f64().unwrap_or(1.0);
            let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN) / elements;
            let measured = Measured {
                median: number(&median["point_estimate"]),
                spread: (number(&interval["upper_bound"]) - number(&interval["lower_bound"])) / 2.0,
            };
            let name = |key: &str| names[key].as_str().unwrap_or_default().to_owned();
            found.insert((name("group_id"), name("function_id")), measured);
        } else {
            collect(&path, found);
        }
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        n if n < 1e3 => format!("{n:.0} ns"),
        n if n < 1e6 => format!("{:.1} µs", n / 1e3),
        n => format!("{:.2} ms", n / 1e6),
    }
}

fn ratio(ratio: f64) -> String {
    if ratio < 10.0 {
        format!("{ratio:.2}")
    } else {
        thousands(ratio)
    }
}

/// A number with three digits that matter and commas between thousands.
fn thousands(number: f64) -> String {
    let unit = 10_f64.powf((number.log10().floor() - 2.0).max(0.0));
    let digits = format!("{:.0}", (number / unit).round() * unit);
    let mut out = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
