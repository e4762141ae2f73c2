//! Fields: sm-fieldcrypt beside AEADs with another cipher, and beside bare SM4-CBC, which detects no
//! tampering and binds nothing to its place.

use std::hint::black_box;
use std::sync::Arc;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, InnerIvInit};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use family_benches::{CpuTime, block_on, computing, ready};
use kms_aead::ring_encryption::RingAeadEncryption;
use kms_aead::{AeadEncryption, CipherText, DataEncryptionKey};
use secret_vault_value::SecretValue;
use sm_fieldcrypt::{
    FieldClass, FieldContext, KeyRing, KeyUser, MemoryStore, PreparedKey, SecretBytes, SoftwareKek,
};
use sm4::Sm4;

const PLAINTEXT: &[u8; 20] = b"6222021234567890 123";
const ROWS: usize = 1000;
/// Class name and suite; the names are those of the crate's own classes.
const CLASSES: [(&str, &str); 2] = [("bank_card", "CBC"), ("device_serial", "CTR")];

fn user() -> KeyUser {
    KeyUser::new("user:42").trace("4bf92f3577b34da6a3ce929d0e0e4736")
}

fn ring() -> KeyRing {
    let kek = SoftwareKek::from_key_bytes(SecretBytes::new(vec![7; 32])).unwrap();
    let ring = KeyRing::builder(Arc::new(kek), Arc::new(MemoryStore::default()))
        .class(FieldClass::bank_card())
        .class(FieldClass::device_serial())
        .create_registry()
        .auto_rotate()
        .build();
    block_on(ring).unwrap()
}

/// Prepared for each measurement anew: a prepared key works for 60 seconds.
fn prepare(ring: &KeyRing, class: &str) -> PreparedKey {
    block_on(ring.prepare(class, "bank-a", &user())).unwrap()
}

fn places() -> Vec<FieldContext> {
    let column = FieldContext::new("bank-a", "customers", "card");
    (0..ROWS as i64).map(|row| column.at(row)).collect()
}

/// What an AEAD peer authenticates in place of a `FieldContext`.
fn associated(row: usize) -> String {
    format!("bank-a/customers/card/{row}")
}

/// SM4-CBC with PKCS#7 under a key schedule made once and a random IV, and no more.
struct BareCbc(Sm4);

impl BareCbc {
    fn new() -> Self {
        Self(<Sm4 as cbc::cipher::KeyInit>::new(&[7; 16].into()))
    }

    fn seal(&self, plaintext: &[u8], iv: &[u8; 16]) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + plaintext.len() + 16);
        out.extend_from_slice(iv);
        out.extend_from_slice(plaintext);
        out.resize(16 + (plaintext.len() / 16 + 1) * 16, 0);
        cbc::Encryptor::<&Sm4>::inner_iv_init(&self.0, iv.into())
            .encrypt_padded::<Pkcs7>(&mut out[16..], plaintext.len())
            .unwrap();
        out
    }

    fn open(&self, sealed: &[u8]) -> Vec<u8> {
        let (iv, text) = sealed.split_first_chunk::<16>().unwrap();
        let mut out = text.to_vec();
        let length = cbc::Decryptor::<&Sm4>::inner_iv_init(&self.0, iv.into())
            .decrypt_padded::<Pkcs7>(&mut out)
            .unwrap()
            .len();
        out.truncate(length);
        out
    }
}

/// AES-256-GCM on AES instructions, key schedule made once, random nonce in front.
struct Gcm(Aes256Gcm);

impl Gcm {
    fn new() -> Self {
        Self(Aes256Gcm::new(&[7; 32].into()))
    }

    fn seal(&self, plaintext: &[u8], aad: &str, nonce: &[u8; 12]) -> Vec<u8> {
        let payload = Payload {
            msg: plaintext,
            aad: aad.as_bytes(),
        };
        let mut out = nonce.to_vec();
        out.extend(self.0.encrypt(&Nonce::from(*nonce), payload).unwrap());
        out
    }

    fn open(&self, sealed: &[u8], aad: &str) -> Vec<u8> {
        let (nonce, msg) = sealed.split_first_chunk::<12>().unwrap();
        let payload = Payload {
            msg,
            aad: aad.as_bytes(),
        };
        self.0.decrypt(&Nonce::from(*nonce), payload).unwrap()
    }
}

/// kms-aead with a data key at hand. What it would do with a KMS for that key is a network call,
/// and not measured.
struct KmsAead {
    aead: RingAeadEncryption,
    key: DataEncryptionKey,
}

impl KmsAead {
    fn new() -> Self {
        let aead = RingAeadEncryption::new().unwrap();
        let key = aead.generate_data_encryption_key().unwrap();
        Self { aead, key }
    }

    fn seal(&self, plaintext: &SecretValue, aad: &String) -> CipherText {
        ready(self.aead.encrypt_value(aad, plaintext, &self.key)).unwrap()
    }

    fn open(&self, sealed: &CipherText, aad: &String) -> SecretValue {
        ready(self.aead.decrypt_value(aad, sealed, &self.key)).unwrap()
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

fn prepare_cached(c: &mut Criterion<CpuTime>) {
    let ring = ring();
    let user = user();
    prepare(&ring, "bank_card");
    let mut group = c.benchmark_group("field prepare");
    group.throughput(Throughput::Elements(1));
    group.bench_function("sm-fieldcrypt, cached", |b| {
        b.iter(|| ready(ring.prepare("bank_card", "bank-a", &user)).unwrap());
    });
    group.finish();
}

fn single(c: &mut Criterion<CpuTime>) {
    let ring = ring();
    let place = &places()[42];
    let aad = associated(42);
    let (bare, gcm, kms) = (BareCbc::new(), Gcm::new(), KmsAead::new());
    let secret = SecretValue::new(PLAINTEXT.to_vec());

    let mut group = c.benchmark_group("field seal 20 B");
    group.throughput(Throughput::Elements(1));
    for (class, suite) in CLASSES {
        let key = prepare(&ring, class);
        group.bench_function(format!("sm-fieldcrypt {suite}"), |b| {
            b.iter(|| key.seal(black_box(PLAINTEXT), place).unwrap());
        });
    }
    group.bench_function("bare SM4-CBC", |b| {
        b.iter(|| bare.seal(black_box(PLAINTEXT), &random()));
    });
    group.bench_function("kms-aead ChaCha20-Poly1305", |b| {
        b.iter(|| kms.seal(black_box(&secret), &aad));
    });
    group.bench_function("aes-gcm AES-256-GCM", |b| {
        b.iter(|| gcm.seal(black_box(PLAINTEXT), &aad, &random()));
    });
    group.finish();

    let mut group = c.benchmark_group("field open 20 B");
    group.throughput(Throughput::Elements(1));
    for (class, suite) in CLASSES {
        let key = prepare(&ring, class);
        let sealed = key.seal(PLAINTEXT, place).unwrap();
        group.bench_function(format!("sm-fieldcrypt {suite}"), |b| {
            b.iter(|| key.open(black_box(&sealed), place).unwrap());
        });
    }
    let sealed = bare.seal(PLAINTEXT, &random());
    group.bench_function("bare SM4-CBC", |b| b.iter(|| bare.open(black_box(&sealed))));
    let sealed = kms.seal(&secret, &aad);
    group.bench_function("kms-aead ChaCha20-Poly1305", |b| {
        b.iter(|| kms.open(black_box(&sealed), &aad));
    });
    let sealed = gcm.seal(PLAINTEXT, &aad, &random());
    group.bench_function("aes-gcm AES-256-GCM", |b| {
        b.iter(|| gcm.open(black_box(&sealed), &aad));
    });
    group.finish();
}

fn batch(c: &mut Criterion<CpuTime>) {
    let ring = ring();
    let places = places();
    let aads: Vec<String> = (0..ROWS).map(associated).collect();
    let (bare, gcm, kms) = (BareCbc::new(), Gcm::new(), KmsAead::new());
    let secret = SecretValue::new(PLAINTEXT.to_vec());
    let items: Vec<(&[u8], &FieldContext)> = places
        .iter()
        .map(|place| (PLAINTEXT.as_slice(), place))
        .collect();
    // The peers have no batches: a loop, with the random bytes drawn at once where they may be.
    let ivs = || {
        let mut ivs = vec![0_u8; ROWS * 16];
        getrandom::fill(&mut ivs).unwrap();
        ivs
    };
    let bare_seal = || -> Vec<Vec<u8>> {
        let ivs = ivs();
        let ivs = ivs.as_chunks::<16>().0;
        ivs.iter().map(|iv| bare.seal(PLAINTEXT, iv)).collect()
    };
    let gcm_seal = || -> Vec<Vec<u8>> {
        let nonces = ivs();
        let nonces = nonces.as_chunks::<12>().0;
        let rows = nonces.iter().zip(&aads);
        rows.map(|(nonce, aad)| gcm.seal(PLAINTEXT, aad, nonce))
            .collect()
    };
    let kms_seal =
        || -> Vec<CipherText> { aads.iter().map(|aad| kms.seal(&secret, aad)).collect() };

    let mut group = c.benchmark_group("field seal 20 B x 1000");
    group.throughput(Throughput::Elements(ROWS as u64));
    for (class, suite) in CLASSES {
        let key = prepare(&ring, class);
        group.bench_function(format!("sm-fieldcrypt {suite}"), |b| {
            b.iter(|| {
                let sealed = key.seal_many(black_box(&items)).unwrap();
                assert!(sealed.iter().all(Result::is_ok));
                sealed
            });
        });
    }
    group.bench_function("bare SM4-CBC", |b| b.iter(bare_seal));
    group.bench_function("kms-aead ChaCha20-Poly1305", |b| b.iter(kms_seal));
    group.bench_function("aes-gcm AES-256-GCM", |b| b.iter(gcm_seal));
    group.finish();

    let mut group = c.benchmark_group("field open 20 B x 1000");
    group.throughput(Throughput::Elements(ROWS as u64));
    for (class, suite) in CLASSES {
        let key = prepare(&ring, class);
        let sealed: Vec<Vec<u8>> = key
            .seal_many(&items)
            .unwrap()
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let items: Vec<(&[u8], &FieldContext)> =
            sealed.iter().map(Vec::as_slice).zip(&places).collect();
        group.bench_function(format!("sm-fieldcrypt {suite}"), |b| {
            b.iter(|| {
                let opened = key.open_many(black_box(&items)).unwrap();
                assert!(opened.iter().all(Result::is_ok));
                opened
            });
        });
    }
    let sealed = bare_seal();
    group.bench_function("bare SM4-CBC", |b| {
        b.iter(|| -> Vec<Vec<u8>> { sealed.iter().map(|sealed| bare.open(sealed)).collect() });
    });
    let sealed = kms_seal();
    group.bench_function("kms-aead ChaCha20-Poly1305", |b| {
        b.iter(|| -> Vec<SecretValue> {
            let rows = sealed.iter().zip(&aads);
            rows.map(|(sealed, aad)| kms.open(sealed, aad)).collect()
        });
    });
    let sealed = gcm_seal();
    group.bench_function("aes-gcm AES-256-GCM", |b| {
        b.iter(|| -> Vec<Vec<u8>> {
            let rows = sealed.iter().zip(&aads);
            rows.map(|(sealed, aad)| gcm.open(sealed, aad)).collect()
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = computing();
    targets = prepare_cached, single, batch
}
criterion_main!(benches);
