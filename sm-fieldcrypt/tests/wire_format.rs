//! The wire format against fixtures that were computed without this crate, and against the `openssl` command.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    missing_docs
)]

mod common;
mod peers;

use common::{Bench, hex, unhex, user};
use peers::{have_openssl, openssl, openssl_hkdf};
use sm_fieldcrypt::{
    Envelope, Error, FieldClass, FieldContext, OsRandom, PreparedKey, RandomSource, RowKey,
    SoftwareKek, Suite, from_text, to_text,
};
use std::sync::Arc;

/// Gives every draw what a test has set for its length: 32 the field key, 4 the salt, 16 or 12 the IV.
struct Scripted {
    fek: Vec<u8>,
    salt: Vec<u8>,
    iv: Vec<u8>,
}

impl RandomSource for Scripted {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Error> {
        match buffer.len() {
            32 => buffer.copy_from_slice(&self.fek),
            4 => buffer.copy_from_slice(&self.salt),
            n if n == self.iv.len() => buffer.copy_from_slice(&self.iv),
            _ => buffer.fill(0),
        }
        Ok(())
    }
}

async fn scripted(class: FieldClass, tenant: &str, minute: u64, random: Scripted) -> PreparedKey {
    let bench = Bench::new();
    bench.clock.set(minute * 60);
    let name = class.name().to_string();
    let ring = bench.builder().class(class).random(Arc::new(random));
    let ring = ring.create_registry().auto_rotate().build().await.unwrap();
    ring.prepare(&name, tenant, &user()).await.unwrap()
}

fn row_of(components: &serde_json::Value) -> RowKey {
    components
        .as_array()
        .unwrap()
        .iter()
        .fold(RowKey::new(), |row, component| {
            let value = component[1].as_str().unwrap();
            match component[0].as_str().unwrap() {
                "int" => row.int(value.parse().unwrap()),
                "text" => row.text(value),
                "bytes" => row.bytes(&unhex(value)),
                "uuid" => row.uuid(unhex(value).try_into().unwrap()),
                other => panic!("unknown component {other}"),
            }
        })
}

#[tokio::test]
async fn envelopes_equal_the_fixtures_computed_elsewhere() {
    let text = include_str!("fixtures/envelopes-v1.json");
    let cases: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
    assert_eq!(cases.len(), 14);
    for case in &cases {
        let string = |name: &str| case[name].as_str().unwrap();
        let suite = match case["suite"].as_u64().unwrap() {
            1 => Suite::CbcHmacSm3,
            2 => Suite::CtrHmacSm3,
            3 => Suite::Gcm,
            _ => Suite::Ccm,
        };
        let id = u16::try_from(case["class"].as_u64().unwrap()).unwrap();
        let mut class = FieldClass::new(id, "fixture", suite);
        let mut context = FieldContext::new(string("tenant"), string("table"), string("column"));
        if case["row"].is_null() {
            class = class.not_row_bound();
        } else {
            context = context.row(row_of(&case["row"]));
        }
        if case["long_tag"] == true {
            class = class.long_tag();
        }
        if let Some(log2) = case["chunk"].as_u64() {
            class = class.chunked(u8::try_from(log2).unwrap());
        }
        let random = Scripted {
            fek: unhex(string("fek")),
            salt: unhex(string("salt")),
            iv: unhex(string("iv")),
        };
        let window = case["window"].as_u64().unwrap();
        let key = scripted(class, string("tenant"), window + 3, random).await;
        let plaintext = unhex(string("plaintext"));
        assert_eq!(
            hex(&key.seal(&plaintext, &context).unwrap()),
            string("envelope")
        );
        let opened = key.open(&unhex(string("envelope")), &context).unwrap();
        assert_eq!(opened.expose(), plaintext);
    }
}

fn openssl_hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let key = format!("hexkey:{}", hex(key));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), message).unwrap();
    let path = file.path().to_str().unwrap();
    let arguments = [
        "mac", "-digest", "SM3", "-macopt", &key, "-in", path, "-binary", "HMAC",
    ];
    openssl(&arguments, b"")
}

#[tokio::test]
async fn interop_openssl_opens_what_is_sealed_here() {
    if !have_openssl() {
        return;
    }
    let plaintext = "身份证 110101199003074610".as_bytes();
    for class in [
        FieldClass::identity_number(),
        FieldClass::track().long_tag(),
    ] {
        let mut drawn = [0_u8; 52];
        OsRandom.fill(&mut drawn).unwrap();
        let fek = drawn[..32].to_vec();
        let random = Scripted {
            fek: fek.clone(),
            salt: drawn[32..36].to_vec(),
            iv: drawn[36..36
                + if class.suite() == Suite::CbcHmacSm3 {
                    16
                } else {
                    12
                }]
                .to_vec(),
        };
        let key = scripted(class.clone(), "bank-a", 29_453_777, random).await;
        let place = FieldContext::new("bank-a", "customers", "id_no").row(-7_i64);
        let sealed = key.seal(plaintext, &place).unwrap();
        let envelope = Envelope::parse(&sealed).unwrap();
        let header = envelope.header();

        // HKDF-Expand-SM3 of the field key.
        let suite = if class.suite() == Suite::CbcHmacSm3 {
            1_u8
        } else {
            2
        };
        let mut info = b"smfc1/l3".to_vec();
        info.push(suite);
        info.extend(header.class.to_be_bytes());
        info.extend(header.fek_id.to_be_bytes());
        info.extend(header.window.to_be_bytes());
        info.extend(header.salt);
        info.extend([0, 6]);
        info.extend(b"bank-a");
        let keys = openssl_hkdf("EXPAND_ONLY", &[("hexkey", &fek), ("hexinfo", &info)], 48);

        // HMAC-SM3 over label, header, IV, AAD and ciphertext.
        let mut aad = vec![1, 0, 0, 0, 6];
        aad.extend(b"bank-a\0\0\0\x09customers\0\0\0\x05id_no");
        aad.extend([1, 0, 0, 0, 8]);
        aad.extend((-7_i64).to_be_bytes());
        let mut covered = b"SMFC1".to_vec();
        covered.extend(&sealed[..18]);
        covered.extend(envelope.iv());
        covered.extend(u32::try_from(aad.len()).unwrap().to_be_bytes());
        covered.extend(&aad);
        covered.extend(envelope.ciphertext());
        let tag = openssl_hmac(&keys[16..], &covered);
        assert_eq!(envelope.tag(), &tag[..envelope.tag().len()]);

        // SM4.
        let mut iv = envelope.iv().to_vec();
        iv.resize(16, 0);
        let mode = if suite == 1 { "-sm4-cbc" } else { "-sm4-ctr" };
        let arguments = ["enc", "-d", mode, "-K", &hex(&keys[..16]), "-iv", &hex(&iv)];
        assert_eq!(openssl(&arguments, envelope.ciphertext()), plaintext);
    }
}

#[test]
fn interop_openssl_opens_the_sealed_kek_file() {
    if !have_openssl() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kek");
    let kek = SoftwareKek::create(&path, b"correct horse").unwrap();
    let file = std::fs::read(&path).unwrap();
    assert_eq!(file.len(), 112);
    let iterations = u32::from_be_bytes(file[8..12].try_into().unwrap());
    let iterations = format!("iter:{iterations}");
    let salt = format!("hexsalt:{}", hex(&file[12..28]));
    let stretched = openssl(
        &[
            "kdf",
            "-binary",
            "-keylen",
            "32",
            "-kdfopt",
            "digest:SM3",
            "-kdfopt",
            "pass:correct horse",
            "-kdfopt",
            &salt,
            "-kdfopt",
            &iterations,
            "PBKDF2",
        ],
        b"",
    );
    let expand = |key: &[u8], info: &[u8], length| {
        openssl_hkdf("EXPAND_ONLY", &[("hexkey", key), ("hexinfo", info)], length)
    };
    let mac = expand(&stretched, b"smfc1/kek/file/mac", 32);
    assert_eq!(openssl_hmac(&mac, &file[..80]), &file[80..]);
    let enc = expand(&stretched, b"smfc1/kek/file/enc", 16);
    let iv = format!("{}00000000", hex(&file[28..40]));
    let key = openssl(
        &["enc", "-d", "-sm4-ctr", "-K", &hex(&enc), "-iv", &iv],
        &file[48..80],
    );
    let root = openssl_hkdf(
        "EXTRACT_ONLY",
        &[("hexkey", &key), ("hexsalt", b"smfc1/kek")],
        32,
    );
    let id = expand(&root, b"smfc1/kek/id", 8);
    assert_eq!(id, &file[40..48]);
    use sm_fieldcrypt::KekProvider;
    assert_eq!(kek.id(), format!("kek://software/{}", hex(&id)));
}

#[tokio::test]
async fn the_text_form_carries_an_envelope_through_text_columns() {
    let key = Bench::new()
        .ring()
        .await
        .prepare("track", "bank-a", &user())
        .await
        .unwrap();
    let place = common::context(1);
    let text = to_text(&key.seal(b"116.3,39.9", &place).unwrap());
    assert!(text.starts_with("smf1:_QEC") && text.is_ascii());
    let opened = key.open(&from_text(&text).unwrap(), &place).unwrap();
    assert_eq!(opened.expose_str(), Some("116.3,39.9"));
}
