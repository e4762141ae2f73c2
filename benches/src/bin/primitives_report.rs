//! Prints what the last run of `primitives` measured as Markdown tables: ratios beside their targets, then every size.

use family_benches::measured::{Run, duration, ratio};

const OURS: &str = "sm-accel";
/// The measure of the targets.
const BASE: &str = "RustCrypto";

/// The backend that the targets of SM4 and of SM3 in lanes are for.
const WIDEST: &str = "avx512-gfni";

/// What is measured, our group and row, the peers' group, and the least ratio wanted to RustCrypto.
struct Target {
    what: &'static str,
    group: &'static str,
    row: &'static str,
    peers: &'static str,
    /// None for a row that is there for context.
    least: Option<f64>,
    /// It stands on the instructions of [`WIDEST`].
    wide: bool,
}

const fn target(what: &'static str, group: &'static str, least: f64) -> Target {
    Target {
        what,
        group,
        row: OURS,
        peers: group,
        least: Some(least),
        wide: true,
    }
}

const fn narrow(what: &'static str, group: &'static str, least: f64) -> Target {
    Target {
        wide: false,
        ..target(what, group, least)
    }
}

const TARGETS: &[Target] = &[
    target("SM4-CTR, 4 KiB", "sm4 ctr 4096 B", 42.0),
    target("SM4-CTR, 16 KiB", "sm4 ctr 16384 B", 42.0),
    target("SM4-CBC decrypt, 4 KiB", "sm4 cbc decrypt 4096 B", 42.0),
    target("SM4-CBC decrypt, 16 KiB", "sm4 cbc decrypt 16384 B", 42.0),
    target("SM4-GCM, 4 KiB", "sm4 gcm 4096 B", 37.0),
    target("SM4-GCM, 16 KiB", "sm4 gcm 16384 B", 37.0),
    target(
        "SM4-CBC encrypt, 256 chains of 256 B",
        "sm4 cbc encrypt, 256 chains of 256 B",
        30.0,
    ),
    target(
        "SM4-CBC encrypt, one chain, 16 KiB",
        "sm4 cbc encrypt 16384 B",
        1.8,
    ),
    Target {
        row: "sm-accel, one at a time",
        ..target("SM4-CTR, 32 B, key cached", "sm4 ctr 32 B x 256", 3.0)
    },
    target("SM4-CTR, 32 B, a column", "sm4 ctr 32 B x 256", 16.0),
    target("SM4 key schedule, one", "sm4 key schedule", 1.2),
    target("SM4 key schedule, 256", "sm4 key schedule x 256", 20.0),
    narrow("SM3, one stream, 16 KiB", "sm3 16384 B", 1.2),
    target("SM3, 256 messages of 4 KiB", "sm3 4096 B x 256", 9.5),
    Target {
        least: None,
        ..target("SM3, 256 messages of 32 B", "sm3 32 B x 256", 0.0)
    },
    target("HMAC-SM3, 64 B, a column", "hmac-sm3 64 B x 256", 8.0),
    narrow("SM2 sign", "sm2 sign", 8.0),
    Target {
        peers: "sm2 sign",
        ..target("SM2 sign, batch", "sm2 sign x 256", 25.0)
    },
    narrow("SM2 verify, unprepared", "sm2 verify", 5.0),
    Target {
        row: "sm-accel, Small table",
        ..narrow("SM2 verify, prepared, 8 KiB", "sm2 verify", 12.0)
    },
    Target {
        row: "sm-accel, Medium table",
        ..narrow("SM2 verify, prepared, 44 KiB", "sm2 verify", 18.0)
    },
    Target {
        row: "sm-accel, Large table",
        ..narrow("SM2 verify, prepared, 256 KiB", "sm2 verify", 18.0)
    },
    Target {
        peers: "sm2 verify",
        ..target(
            "SM2 verify, batch, prepared",
            "sm2 verify x 256, Large table",
            50.0,
        )
    },
];

const PEERS: [&str; 3] = ["OpenSSL", "libsm", "gm-sm2"];
/// Another algorithm of the same kind, for context.
const CONTEXT: [&str; 4] = [
    "aws-lc-rs P-256",
    "aws-lc-rs AES-128",
    "aws-lc-rs AES-128-GCM",
    "aws-lc-rs SHA-256",
];

const SIZES: [usize; 5] = [16, 256, 4096, 16_384, 65_536];
const BY_SIZE: [&str; 5] = [
    "sm4 ctr",
    "sm4 cbc encrypt",
    "sm4 cbc decrypt",
    "sm4 gcm",
    "sm3",
];

fn main() {
    let run = Run::last();
    let backend = sm_accel::Backend::active().name();
    println!("Ratios: the row's time divided by ours, so above 1 means that ours is faster.\n");
    println!("| operation | ours | RustCrypto | target | | OpenSSL | libsm | gm-sm2 | context |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for target in TARGETS {
        let Some(ours) = run.get(target.group, target.row) else {
            println!("| {} | not measured | | | | | | | |", target.what);
            continue;
        };
        let times = |row: &str| Some(run.get(target.peers, row)?.median / ours.median);
        let cell = |row: &str| times(row).map(ratio).unwrap_or_default();
        let base = times(BASE);
        let met = match (base, target.least) {
            (Some(times), Some(least)) if times >= least => "met",
            (Some(_), Some(_)) if target.wide && backend != WIDEST => "other CPU",
            (Some(_), Some(_)) => "missed",
            _ => "",
        };
        println!(
            "| {} | {} ± {:.0} % | {} | {} | {met} | {} | {} |",
            target.what,
            duration(ours.median),
            100.0 * ours.spread / ours.median,
            cell(BASE),
            target
                .least
                .map(|least| least.to_string())
                .unwrap_or_default(),
            PEERS.map(cell).join(" | "),
            CONTEXT.map(cell).concat(),
        );
    }

    println!("\nMB/s (10^6 bytes).\n");
    println!("| operation | size | sm-accel | RustCrypto | ratio | OpenSSL | libsm | aws-lc-rs |");
    println!("|---|---|---|---|---|---|---|---|");
    for operation in BY_SIZE {
        for size in SIZES {
            let group = format!("{operation} {size} B");
            let speed = |row: &str| Some(size as f64 * 1e3 / run.get(&group, row)?.median);
            let cell = |row: &str| speed(row).map(|x| format!("{x:.0}")).unwrap_or_default();
            let times = match (speed(OURS), speed(BASE)) {
                (Some(ours), Some(base)) => ratio(ours / base),
                _ => String::new(),
            };
            println!(
                "| {operation} | {size} B | {} | {} | {times} | {} | {} | {} |",
                cell(OURS),
                cell(BASE),
                cell("OpenSSL"),
                cell("libsm"),
                CONTEXT.map(cell).concat(),
            );
        }
    }
}
