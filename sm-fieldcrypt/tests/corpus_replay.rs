//! Replays the committed fuzz corpora on stable Rust.
//!
//! After a change of format the seeds are made anew, from the workspace's root:
//! `SEEDS_DIR=$PWD/fuzz/corpus cargo test -p sm-fieldcrypt --test corpus_replay seeds_can_be_made_anew`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    missing_docs
)]

mod fuzz_bodies;
#[cfg(feature = "ff1")]
#[path = "fuzz_bodies/ff1.rs"]
mod fuzz_bodies_ff1;

use std::path::{Path, PathBuf};

type Body = fn(&[u8]);

const TARGETS: &[(&str, Body)] = &[
    ("sm_fieldcrypt_envelope", fuzz_bodies::open_envelope),
    ("sm_fieldcrypt_text", fuzz_bodies::read_text),
    ("sm_fieldcrypt_registry", fuzz_bodies::load_registry),
    ("sm_fieldcrypt_kek_file", fuzz_bodies::parse_kek_file),
    ("sm_fieldcrypt_mask", fuzz_bodies::mask_text),
    ("sm_fieldcrypt_import", fuzz_bodies::import_value),
    #[cfg(feature = "ff1")]
    ("sm_fieldcrypt_ff1", fuzz_bodies_ff1::encrypt_value),
];

fn corpus(target: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus")).join(target)
}

fn replay(folder: &Path, body: Body) {
    let mut ran = 0;
    for entry in std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        body(&std::fs::read(entry.unwrap().path()).unwrap());
        ran += 1;
    }
    assert!(ran >= 5, "{} holds {ran} files", folder.display());
}

#[test]
fn replay_envelope() {
    replay(
        &corpus("sm_fieldcrypt_envelope"),
        fuzz_bodies::open_envelope,
    );
}

#[test]
fn replay_text() {
    replay(&corpus("sm_fieldcrypt_text"), fuzz_bodies::read_text);
}

#[test]
fn replay_registry() {
    replay(
        &corpus("sm_fieldcrypt_registry"),
        fuzz_bodies::load_registry,
    );
}

#[test]
fn replay_kek_file() {
    replay(
        &corpus("sm_fieldcrypt_kek_file"),
        fuzz_bodies::parse_kek_file,
    );
}

#[test]
fn replay_mask() {
    replay(&corpus("sm_fieldcrypt_mask"), fuzz_bodies::mask_text);
}

#[test]
fn replay_import() {
    replay(&corpus("sm_fieldcrypt_import"), fuzz_bodies::import_value);
}

#[cfg(feature = "ff1")]
#[test]
fn replay_ff1() {
    replay(&corpus("sm_fieldcrypt_ff1"), fuzz_bodies_ff1::encrypt_value);
}

/// A few thousand fixed mutations of the seeds, for machines without a fuzzer.
#[test]
fn mutated_seeds_hold() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    for &(target, body) in TARGETS {
        for entry in std::fs::read_dir(corpus(target)).unwrap() {
            let seed = std::fs::read(entry.unwrap().path()).unwrap();
            for _ in 0..150 {
                let mut data = seed.clone();
                for _ in 0..=next(3) {
                    match next(4) {
                        0 if !data.is_empty() => {
                            let at = next(data.len());
                            data[at] = [0, 1, 0x7F, 0x80, 0xFF][next(5)];
                        }
                        1 if !data.is_empty() => {
                            let at = next(data.len());
                            data[at] ^= 1 << next(8);
                        }
                        2 => data.insert(next(data.len() + 1), next(256) as u8),
                        _ => data.truncate(next(data.len() + 1)),
                    }
                }
                body(&data);
            }
        }
    }
}

/// The corpus reaches past the tags: its good seeds do open.
#[test]
fn the_good_seeds_are_good() {
    let read = |path: &str| std::fs::read(corpus(path)).unwrap();
    for (i, (key, place)) in fuzz_bodies::keys().iter().enumerate() {
        let seed = read(&format!("sm_fieldcrypt_envelope/good-class-{}", i + 1));
        assert_eq!(
            key.open(&seed, place).unwrap().expose(),
            b"110101199003074610"
        );
    }
    assert_eq!(
        read("sm_fieldcrypt_registry/good-0"),
        fuzz_bodies::glass_registry(0)
    );
    assert_eq!(
        read("sm_fieldcrypt_registry/good-2"),
        fuzz_bodies::glass_registry(2)
    );
}

/// The generator of the seeds runs, and what it makes goes through the bodies. It writes to a scratch folder
/// unless `SEEDS_DIR` says where.
#[test]
fn seeds_can_be_made_anew() {
    let scratch = tempfile::tempdir().unwrap();
    let wanted = std::env::var_os("SEEDS_DIR");
    let folder = wanted.map_or_else(|| scratch.path().to_path_buf(), PathBuf::from);
    write_seeds(&folder);
    for &(target, body) in TARGETS {
        replay(&folder.join(target), body);
    }
}

fn write_seeds(folder: &Path) {
    let write = |target: &str, name: &str, bytes: &[u8]| {
        std::fs::create_dir_all(folder.join(target)).unwrap();
        std::fs::write(folder.join(target).join(name), bytes).unwrap();
    };
    let mut good = Vec::new();
    for (i, (key, place)) in fuzz_bodies::keys().iter().enumerate() {
        good = key.seal(b"110101199003074610", place).unwrap();
        let with = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good.clone();
            change(&mut bytes);
            write(
                "sm_fieldcrypt_envelope",
                &format!("{name}-class-{}", i + 1),
                &bytes,
            );
        };
        with("good", &|_| {});
        with("cut", &|b| b.truncate(30));
        with("tag", &|b| *b.last_mut().unwrap() ^= 1);
        with("window", &|b| b[13] ^= 1);
    }
    write("sm_fieldcrypt_envelope", "empty", b"");
    let mut chunked = good.clone();
    chunked[3] |= 4;
    write("sm_fieldcrypt_envelope", "chunked", &chunked);
    for suite in [0_u8, 3, 4, 9] {
        let mut other = good.clone();
        other[2] = suite;
        write("sm_fieldcrypt_envelope", &format!("suite-{suite}"), &other);
    }

    let texts = [
        "smf1:",
        "smf1:_QE",
        "smf1:_QF",
        "smf1:AA==",
        "smf1:+/8",
        "SMF1:AA",
        "",
        "smf1:é",
    ];
    for (i, text) in texts.iter().enumerate() {
        write("sm_fieldcrypt_text", &format!("{i}"), text.as_bytes());
    }
    write(
        "sm_fieldcrypt_text",
        "good",
        sm_fieldcrypt::to_text(&good).as_bytes(),
    );

    for rotations in 0..3 {
        let bytes = fuzz_bodies::glass_registry(rotations);
        write(
            "sm_fieldcrypt_registry",
            &format!("good-{rotations}"),
            &bytes,
        );
        write(
            "sm_fieldcrypt_registry",
            &format!("cut-{rotations}"),
            &bytes[..bytes.len() - 33],
        );
        write(
            "sm_fieldcrypt_registry",
            &format!("longer-{rotations}"),
            &[&bytes[..], &[0]].concat(),
        );
    }
    let mut disordered = fuzz_bodies::glass_registry(1);
    disordered[35] ^= 7;
    write("sm_fieldcrypt_registry", "disordered", &disordered);
    write("sm_fieldcrypt_registry", "empty", b"");

    let dir = tempfile::tempdir().unwrap();
    sm_fieldcrypt::SoftwareKek::create(dir.path().join("k"), b"correct horse").unwrap();
    let file = std::fs::read(dir.path().join("k")).unwrap();
    write("sm_fieldcrypt_kek_file", "sealed", &file);
    write("sm_fieldcrypt_kek_file", "cut", &file[..111]);
    write(
        "sm_fieldcrypt_kek_file",
        "longer",
        &[&file[..], &[0]].concat(),
    );
    write(
        "sm_fieldcrypt_kek_file",
        "magic",
        &[b"SMFCKEK2", &file[8..]].concat(),
    );
    write("sm_fieldcrypt_kek_file", "empty", b"");
    write(
        "sm_fieldcrypt_kek_file",
        "text",
        b"-----BEGIN PRIVATE KEY-----",
    );

    let values = [
        "110101199003074610",
        "11010119900307461X",
        "110101900307461",
        "6228480402564890018",
        "6228 4804 0256 4890 018",
        "13812345678",
        "+8613812345678",
        "张三",
        "欧阳小明",
        "阿凡提·买买提",
        "𠮷野家",
        "",
        "北京市海淀区中关村大街27号",
        "广东省深圳市南山区科苑路8号",
        "北京市场街3号",
        "湖北省恩施土家族苗族自治州恩施市",
        "zhang.san@qq.com",
        "a@zhangsan.cn",
        "\"zhang@san\"@qq.com",
        "zhangsan@",
    ];
    for (i, value) in values.iter().enumerate() {
        write("sm_fieldcrypt_mask", &format!("{i}"), value.as_bytes());
    }
    // Ciphertexts under the key and IV of the body; tests/shardingsphere.rs says how they were made.
    let imports = [
        ("cbc-empty", "4b910651754b5553f10cfa0c8a09e9e5"),
        (
            "cbc-id",
            "25ff5088bcc355fa36135d95e075fb4483f44154b615f0a9602505f6a4833dc1",
        ),
        ("ecb-empty", "002a8a4efa863ccad024ac0300bb40d2"),
        (
            "ecb-id",
            "0e3dc775dca64277400259b09126fd8209704c0c68c240677c4786b69e5bf1a1",
        ),
        (
            "ecb-block",
            "E6887B77DBABB572FFA07FED7548B192002A8A4EFA863CCAD024AC0300BB40D2",
        ),
        ("half-a-block", "e6887b77dbabb572"),
        ("odd", "002a8a4efa863ccad024ac0300bb40d"),
        ("no-digit", "002a8a4efa863ccad024ac0300bb40g2"),
        ("base64", "DyytBVpVZkwsoi1ce6nCmA=="),
        ("empty", ""),
    ];
    for (name, text) in imports {
        write("sm_fieldcrypt_import", name, text.as_bytes());
    }
    let encrypted = [
        "0123456789\n6226090102675688",
        "0123456789\n12345",
        "0123456789\n622609010267568x",
        "0123456789X\n11010119900307461X",
        "\n\n123456",
        "\u{24}\n0123456789abcdefghi",
        "\u{2}\n01010101010101010101",
        "\u{25}\n0000",
        "00\n0000",
        "01-\n0000",
        "zyxwvutsrqponmlkjihgfedcba9876543210ZYXWVUTSRQPONMLKJIHGFEDCBA\nSm4Ff1",
    ];
    for (i, text) in encrypted.iter().enumerate() {
        write("sm_fieldcrypt_ff1", &format!("{i}"), text.as_bytes());
    }
}
