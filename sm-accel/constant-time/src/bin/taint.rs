//! Runs everything that touches a secret under Valgrind's Memcheck, with secrets marked as undefined memory.
//!
//! Memcheck follows undefined bits through registers and memory and reports every conditional jump and every address
//! that depends on one: exactly the leaks that constant-time code must not have.
//!
//! ```text
//! valgrind --error-exitcode=99 taint BACKEND...   every case on these backends
//! valgrind taint planted                          leaks that must be reported
//! ```
//!
//! Exit code 0: no leak, and every result is that of a run without secrets. 1: a leak, or a planted one unseen.

use std::hint::black_box;
use std::process::ExitCode;

use sm_accel::sm2::{PublicKey, SecretKey, SignItem, SigningKey, sign_many_with_backend};
use sm_accel::sm3::{self, ExpandJob, HmacJob, HmacKey};
use sm_accel::sm4::{
    CbcJob, CtrJob, OpenJob, SealJob, Sm4, Sm4Ccm, Sm4Gcm, cbc_decrypt_many, cbc_encrypt_many,
    ctr_many,
};
use sm_accel::{Backend, Report};

#[path = "../../../src/valgrind.rs"]
mod valgrind;

use valgrind::{count_errors, make_public_in_place, make_secret, running};

fn main() -> ExitCode {
    if !cfg!(sm_accel_taint) {
        eprintln!(
            "built without `--cfg sm_accel_taint`: the library would not say what becomes public"
        );
        return ExitCode::from(2);
    }
    if !running() {
        eprintln!("not under Valgrind: nothing would be checked");
        return ExitCode::from(2);
    }
    let names: Vec<String> = std::env::args().skip(1).collect();
    let mut good = !names.is_empty();
    for name in &names {
        good &= match name.as_str() {
            "planted" => planted(),
            name => match Backend::by_name(name) {
                Ok(backend) => all(backend),
                Err(error) => {
                    println!("backend {name}: {error}");
                    false
                }
            },
        };
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs one case, and tells how many reports it gave.
fn reports(case: impl FnOnce()) -> u64 {
    let before = count_errors();
    case();
    count_errors() - before
}

/// Leaks of both kinds, written on purpose: a check that does not see them sees nothing.
fn planted() -> bool {
    let table: Vec<u8> = (0..=255).collect();
    let mut key = [0x5a_u8; 16];
    make_secret(&mut key);
    let lookup = reports(|| {
        black_box(table[usize::from(black_box(key[3]))]);
    });
    let branch = reports(|| {
        if black_box(key[7]) & 1 == 1 {
            black_box(&table);
        }
    });
    let comparison = reports(|| {
        black_box(black_box(key) == [0x5b; 16]);
        if black_box(key) == [0x5b; 16] {
            black_box(&table);
        }
    });
    // What the library calculates must carry the secret on: a cipher that lost it would look clean.
    let mut through = vec![];
    for backend in Backend::available() {
        let mut block = [[1_u8; 16]];
        Sm4::with_backend(backend, &key).cbc_encrypt(&[0; 16], &mut block);
        through.push(reports(|| {
            black_box(table[usize::from(black_box(block[0][0]))]);
        }));
        let digest = sm3::hash_with_backend(backend, &key);
        through.push(reports(|| {
            black_box(table[usize::from(black_box(digest[31]))]);
        }));
        let mut d = [0x11; 32];
        make_secret(&mut d);
        let secret = SecretKey::from_bytes_with_backend(backend, &d).expect("a key");
        let point = *secret.public_key();
        through.push(reports(|| {
            black_box(table[usize::from(black_box(point.to_sec1()[40]))]);
        }));
    }
    println!(
        "planted: lookup {lookup}, branch {branch}, comparison {comparison}, outputs {through:?} reports"
    );
    lookup > 0 && branch > 0 && comparison > 0 && through.iter().all(|count| *count > 0)
}

/// Bytes that differ everywhere.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(2).wrapping_add(1);
    (0..length)
        .map(|_| {
            x = x
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (x >> 56) as u8
        })
        .collect()
}

fn bytes<const N: usize>(seed: u64) -> [u8; N] {
    noise(seed, N).try_into().expect("that length")
}

fn blocks(seed: u64, count: usize) -> Vec<[u8; 16]> {
    noise(seed, 16 * count).as_chunks().0.to_vec()
}

/// What a case hands around: whether secrets are marked in this run.
#[derive(Clone, Copy)]
struct Run {
    backend: Backend,
    secrets: bool,
}

impl Run {
    fn secret<T: ?Sized>(self, value: &mut T) {
        if self.secrets {
            make_secret(value);
        }
    }

    fn key<const N: usize>(self, seed: u64) -> [u8; N] {
        let mut key = bytes(seed);
        self.secret(&mut key);
        key
    }

    fn text(self, seed: u64, length: usize) -> Vec<u8> {
        let mut text = noise(seed, length);
        self.secret(text.as_mut_slice());
        text
    }

    fn blocks(self, seed: u64, count: usize) -> Vec<[u8; 16]> {
        let mut text = blocks(seed, count);
        self.secret(text.as_mut_slice());
        text
    }

    fn sm4(self) -> Sm4 {
        Sm4::with_backend(self.backend, &self.key(1))
    }

    /// A private key, whose public half is made public.
    fn sm2(self, seed: u64) -> SecretKey {
        let secret =
            SecretKey::from_bytes_with_backend(self.backend, &self.key(seed)).expect("a key");
        make_public_in_place(secret.public_key());
        secret
    }
}

type Case = (&'static str, fn(Run) -> Vec<u8>);

/// Every case gives its output, to compare a run with secrets with one without.
const CASES: &[Case] = &[
    ("sm4 key schedule, one block", |run| {
        let mut out = run.blocks(2, 1);
        run.sm4().cbc_encrypt(&[0; 16], &mut out);
        out.concat()
    }),
    ("sm4 key schedules, many", |run| {
        let mut keys = blocks(3, 37);
        run.secret(keys.as_mut_slice());
        let mut out = vec![];
        for key in Sm4::many_with_backend(run.backend, &keys) {
            let mut block = [[0; 16]];
            key.cbc_encrypt(&[0; 16], &mut block);
            out.extend_from_slice(&block[0]);
        }
        out
    }),
    ("sm4 ctr, lengths 0 to 2100", |run| {
        let key = run.sm4();
        let mut out = vec![];
        for length in [
            0, 1, 15, 16, 17, 32, 63, 64, 128, 255, 511, 512, 513, 1024, 1500, 2100,
        ] {
            let mut text = run.text(4, length);
            key.ctr(&bytes(5), &mut text).expect("short");
            key.ctr_xor(&mut bytes(6), &mut text);
            out.extend(text);
        }
        out
    }),
    ("sm4 ctr, many texts", |run| {
        let keys: Vec<Sm4> = (0..5)
            .map(|i| Sm4::with_backend(run.backend, &run.key(7 + i)))
            .collect();
        let mut texts: Vec<Vec<u8>> = (0..41).map(|i| run.text(i, i as usize * 7)).collect();
        let nonce = bytes(8);
        let mut jobs: Vec<CtrJob<'_>> = texts
            .iter_mut()
            .enumerate()
            .map(|(i, text)| CtrJob {
                key: &keys[i % 5],
                nonce: &nonce,
                text,
            })
            .collect();
        assert!(ctr_many(&mut jobs).iter().all(Result::is_ok));
        texts.concat()
    }),
    ("sm4 cbc both ways, 0 to 130 blocks", |run| {
        let key = run.sm4();
        let mut out = vec![];
        for count in [0, 1, 2, 3, 7, 8, 16, 31, 32, 33, 64, 65, 130] {
            let mut text = run.blocks(9, count);
            key.cbc_encrypt(&bytes(10), &mut text);
            out.extend(text.concat());
            key.cbc_decrypt(&bytes(11), &mut text);
            out.extend(text.concat());
        }
        out
    }),
    ("sm4 cbc, many chains", |run| {
        let keys: Vec<Sm4> = (0..5)
            .map(|i| Sm4::with_backend(run.backend, &run.key(12 + i)))
            .collect();
        let mut texts: Vec<Vec<[u8; 16]>> =
            (0..70).map(|i| run.blocks(i, i as usize % 9)).collect();
        let iv = bytes(13);
        for direction in [cbc_encrypt_many, cbc_decrypt_many] {
            let mut jobs: Vec<CbcJob<'_>> = texts
                .iter_mut()
                .enumerate()
                .map(|(i, blocks)| CbcJob {
                    key: &keys[i % 5],
                    iv: &iv,
                    blocks,
                })
                .collect();
            direction(&mut jobs);
        }
        texts.concat().concat()
    }),
    ("sm4 gcm: seal, open, refuse", |run| {
        let key = Sm4Gcm::with_backend(run.backend, &run.key(60));
        let mut out = vec![];
        for length in [0, 1, 15, 16, 17, 64, 100, 512, 513, 700] {
            let text = run.text(61, length);
            let aad = run.text(62, length % 40);
            let mut sealed = key.seal(&bytes::<12>(63), &aad, &text).expect("short");
            out.extend_from_slice(&sealed);
            // The key, the text and the additional data stay secret; what is sent is not.
            make_public_in_place(sealed.as_slice());
            out.extend(key.open(&bytes::<12>(63), &aad, &sealed).expect("its own"));
            *sealed.last_mut().expect("a tag") ^= 1;
            assert!(key.open(&bytes::<12>(63), &aad, &sealed).is_err());
        }
        out
    }),
    ("sm4 gcm, many texts", |run| {
        let keys: Vec<Sm4Gcm> = (0..3)
            .map(|i| Sm4Gcm::with_backend(run.backend, &run.key(64 + i)))
            .collect();
        let mut texts: Vec<Vec<u8>> = (0..29).map(|i| run.text(i, i as usize * 5)).collect();
        let aad = run.text(67, 20);
        let nonces: Vec<[u8; 12]> = (0..29).map(|i| bytes(100 + i)).collect();
        let mut jobs: Vec<SealJob<'_, Sm4Gcm>> = texts
            .iter_mut()
            .enumerate()
            .map(|(i, text)| SealJob {
                key: &keys[i / 10],
                nonce: &nonces[i],
                aad: &aad,
                text,
            })
            .collect();
        let made = Sm4Gcm::seal_many(&mut jobs);
        let mut tags: Vec<[u8; 16]> = made.into_iter().map(|tag| tag.expect("short")).collect();
        make_public_in_place(tags.as_slice());
        let mut out = texts.concat();
        tags[5][3] ^= 1;
        let mut jobs: Vec<OpenJob<'_, Sm4Gcm>> = texts
            .iter_mut()
            .enumerate()
            .map(|(i, text)| OpenJob {
                key: &keys[i / 10],
                nonce: &nonces[i],
                aad: &aad,
                text,
                tag: &tags[i],
            })
            .collect();
        let opened = Sm4Gcm::open_many(&mut jobs);
        assert!(
            opened
                .iter()
                .enumerate()
                .all(|(i, result)| result.is_ok() == (i != 5))
        );
        out.extend(texts.concat());
        out
    }),
    ("sm4 gcm: nonces of other lengths, long texts", |run| {
        // What such a nonce becomes tells of the hash key, so the counters are secret.
        let key = Sm4Gcm::with_backend(run.backend, &run.key(68));
        let mut out = vec![];
        for nonce in [1, 8, 13, 16, 17, 40] {
            for length in [0, 1, 100, 239, 240, 513, 2100, 4200] {
                let (text, aad) = (run.text(69, length), run.text(70, length % 40));
                let nonce = vec![0x5a; nonce];
                let mut sealed = key.seal(&nonce, &aad, &text).expect("short");
                out.extend_from_slice(&sealed);
                make_public_in_place(sealed.as_slice());
                out.extend(key.open(&nonce, &aad, &sealed).expect("its own"));
                *sealed.last_mut().expect("a tag") ^= 1;
                assert!(key.open(&nonce, &aad, &sealed).is_err());
            }
        }
        out
    }),
    ("sm4 gcm: nonces of other lengths, many texts", |run| {
        let keys: Vec<Sm4Gcm> = (0..3)
            .map(|i| Sm4Gcm::with_backend(run.backend, &run.key(71 + i)))
            .collect();
        let mut texts: Vec<Vec<u8>> = (0..40).map(|i| run.text(i, i as usize * 37)).collect();
        let aad = run.text(74, 20);
        let nonces: Vec<Vec<u8>> = (0..40).map(|i| vec![0x33; 1 + i % 20]).collect();
        let mut jobs: Vec<SealJob<'_, Sm4Gcm>> = texts
            .iter_mut()
            .enumerate()
            .map(|(i, text)| SealJob {
                key: &keys[i / 14],
                nonce: &nonces[i],
                aad: &aad,
                text,
            })
            .collect();
        let made = Sm4Gcm::seal_many(&mut jobs);
        let mut out: Vec<u8> = made
            .into_iter()
            .flat_map(|tag| tag.expect("short"))
            .collect();
        out.extend(texts.concat());
        out
    }),
    (
        "sm4 ccm: long associated data, shortest and longest nonce",
        |run| {
            let key = Sm4Ccm::with_backend(run.backend, &run.key(75));
            let mut out = vec![];
            for nonce in [7, 13] {
                let (text, aad) = (run.text(76, 700), run.text(77, 66_000));
                let sealed = key.seal(&vec![9; nonce], &aad, &text).expect("short");
                out.extend_from_slice(&sealed);
                make_public_in_place(sealed.as_slice());
                out.extend(key.open(&vec![9; nonce], &aad, &sealed).expect("its own"));
            }
            out
        },
    ),
    ("sm4 ccm: seal, open, refuse", |run| {
        let key = Sm4Ccm::with_backend(run.backend, &run.key(60));
        let mut out = vec![];
        for length in [0, 1, 15, 16, 17, 64, 100, 512, 513, 700] {
            let text = run.text(61, length);
            let aad = run.text(62, length % 40);
            let mut sealed = key.seal(&bytes::<12>(63), &aad, &text).expect("short");
            out.extend_from_slice(&sealed);
            // The key, the text and the additional data stay secret; what is sent is not.
            make_public_in_place(sealed.as_slice());
            out.extend(key.open(&bytes::<12>(63), &aad, &sealed).expect("its own"));
            *sealed.last_mut().expect("a tag") ^= 1;
            assert!(key.open(&bytes::<12>(63), &aad, &sealed).is_err());
        }
        out
    }),
    ("sm4 ccm, many texts", |run| {
        let keys: Vec<Sm4Ccm> = (0..3)
            .map(|i| Sm4Ccm::with_backend(run.backend, &run.key(64 + i)))
            .collect();
        let mut texts: Vec<Vec<u8>> = (0..29).map(|i| run.text(i, i as usize * 5)).collect();
        let aad = run.text(67, 20);
        let nonces: Vec<[u8; 12]> = (0..29).map(|i| bytes(100 + i)).collect();
        let mut jobs: Vec<SealJob<'_, Sm4Ccm>> = texts
            .iter_mut()
            .enumerate()
            .map(|(i, text)| SealJob {
                key: &keys[i / 10],
                nonce: &nonces[i],
                aad: &aad,
                text,
            })
            .collect();
        let made = Sm4Ccm::seal_many(&mut jobs);
        let mut tags: Vec<[u8; 16]> = made.into_iter().map(|tag| tag.expect("short")).collect();
        make_public_in_place(tags.as_slice());
        let mut out = texts.concat();
        tags[5][3] ^= 1;
        let mut jobs: Vec<OpenJob<'_, Sm4Ccm>> = texts
            .iter_mut()
            .enumerate()
            .map(|(i, text)| OpenJob {
                key: &keys[i / 10],
                nonce: &nonces[i],
                aad: &aad,
                text,
                tag: &tags[i],
            })
            .collect();
        let opened = Sm4Ccm::open_many(&mut jobs);
        assert!(
            opened
                .iter()
                .enumerate()
                .all(|(i, result)| result.is_ok() == (i != 5))
        );
        out.extend(texts.concat());
        out
    }),
    ("sm3, lengths 0 to 300", |run| {
        let mut out = vec![];
        for length in [0, 1, 31, 32, 55, 56, 63, 64, 65, 119, 120, 128, 300] {
            let text = run.text(14, length);
            out.extend(sm3::hash_with_backend(run.backend, &text));
        }
        out
    }),
    ("sm3, many messages in lanes", |run| {
        let texts: Vec<Vec<u8>> = (0..45).map(|i| run.text(i, i as usize * 5)).collect();
        let messages: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        sm3::hash_many_with_backend(run.backend, &messages).concat()
    }),
    ("hmac-sm3: keys of 1 to 100 bytes, verify", |run| {
        let mut out = vec![];
        for length in [1, 16, 32, 64, 65, 100] {
            let key = HmacKey::with_backend(run.backend, &run.text(15, length));
            let text = run.text(16, 77);
            let mut tag = key.mac(&[&text]);
            out.extend(tag);
            make_public_in_place(&tag);
            assert!(key.verify(&[&text], &tag).is_ok());
            tag[0] ^= 1;
            assert!(key.verify(&[&text], &tag).is_err());
        }
        out
    }),
    ("hmac-sm3, many in lanes", |run| {
        let keys: Vec<HmacKey> = (0..21)
            .map(|i| HmacKey::with_backend(run.backend, &run.text(i, 32)))
            .collect();
        let text = run.text(17, 64);
        let parts = [text.as_slice()];
        let jobs: Vec<HmacJob<'_>> = keys
            .iter()
            .map(|key| HmacJob { key, parts: &parts })
            .collect();
        sm3::hmac_many_with_backend(run.backend, &jobs).concat()
    }),
    ("hkdf expand", |run| {
        let prk = HmacKey::with_backend(run.backend, &run.text(18, 32));
        let mut outs: Vec<Vec<u8>> = (0..11).map(|i| vec![0; 9 * i]).collect();
        let mut jobs: Vec<ExpandJob<'_>> = outs
            .iter_mut()
            .map(|out| ExpandJob {
                prk: &prk,
                info: b"info",
                out,
            })
            .collect();
        let made = sm3::hkdf_expand_many_with_backend(run.backend, &mut jobs);
        assert!(made.iter().all(Result::is_ok));
        outs.concat()
    }),
    ("pbkdf2", |run| {
        let mut out = vec![0; 50];
        sm3::pbkdf2_with_backend(run.backend, &run.text(19, 20), b"salt", 5, &mut out);
        out
    }),
    ("sm2 public key [d]G, (1 + d)^-1", |run| {
        run.sm2(20).public_key().to_sec1().to_vec()
    }),
    ("sm2 sign", |run| {
        let key = SigningKey::new(run.sm2(21));
        let mut out = vec![];
        for i in 0..3 {
            let entropy = run.key(22 + i);
            out.extend(
                key.sign_prehash_with_entropy(&bytes(25), &entropy)
                    .to_bytes(),
            );
        }
        out
    }),
    ("sm2 sign, the system's random bytes", |run| {
        let key = SigningKey::new(run.sm2(26));
        let signature = key.sign(b"message").expect("random bytes");
        make_public_in_place(&signature);
        key.verifying_key()
            .verify(b"message", &signature)
            .expect("valid");
        vec![]
    }),
    ("sm2 sign, a batch", |run| {
        let keys: Vec<SigningKey> = (0..3).map(|i| SigningKey::new(run.sm2(27 + i))).collect();
        let entropy: Vec<[u8; 32]> = (0..19).map(|i| run.key(30 + i)).collect();
        let items: Vec<SignItem<'_>> = entropy
            .iter()
            .enumerate()
            .map(|(i, entropy)| SignItem::new(&keys[i % 3], b"message").with_entropy(entropy))
            .collect();
        let signatures = sign_many_with_backend(run.backend, &items);
        signatures
            .into_iter()
            .flat_map(|made| made.expect("a signature").to_bytes())
            .collect()
    }),
    ("sm2 key agreement [d]P", |run| {
        let peer = SecretKey::from_bytes_with_backend(run.backend, &bytes(50)).expect("a key");
        make_public_in_place(peer.public_key());
        let shared = run
            .sm2(51)
            .diffie_hellman(peer.public_key())
            .expect("shared");
        shared.as_bytes().to_vec()
    }),
    ("sm2 new key", |run| {
        let made = SecretKey::generate_with_backend(run.backend).expect("random bytes");
        make_public_in_place(made.public_key());
        assert!(
            PublicKey::from_sec1_with_backend(run.backend, &made.public_key().to_sec1()).is_ok()
        );
        vec![]
    }),
    ("sm2 encrypt and decrypt", |run| {
        let key = run.sm2(52);
        let mut out = vec![];
        for length in [1, 32, 100] {
            let text = run.text(53, length);
            // Under one byte of text one k in 256 is thrown away.
            let mut ciphertext = key.public_key().encrypt(&text).expect("random bytes");
            make_public_in_place(ciphertext.as_slice());
            out.extend_from_slice(&key.decrypt(&ciphertext).expect("its own"));
            *ciphertext.last_mut().expect("not empty") ^= 1;
            assert!(key.decrypt(&ciphertext).is_err());
        }
        out
    }),
];

fn all(backend: Backend) -> bool {
    println!("backend: {backend}");
    println!("{}", Report::of(backend));
    let mut good = true;
    for (name, case) in CASES {
        // First without secrets: the expected result, and lazily made tables of public points.
        let expected = case(Run {
            backend,
            secrets: false,
        });
        let mut got = vec![];
        let count = reports(|| {
            got = case(Run {
                backend,
                secrets: true,
            })
        });
        make_public_in_place(got.as_slice());
        make_public_in_place(expected.as_slice());
        let verdict = match (count, got == expected) {
            (0, true) => "no report".to_owned(),
            (0, false) => "WRONG RESULT".to_owned(),
            (count, _) => format!("{count} REPORTS"),
        };
        good &= count == 0 && got == expected;
        println!("  {name}: {verdict}");
    }
    good
}
