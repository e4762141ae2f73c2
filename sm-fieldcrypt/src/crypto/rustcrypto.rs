//! The backend without feature `accel`: RustCrypto. In tests it is also the second opinion on the other one.
//!
//! RustCrypto's SM4 looks its S-box up in a table and leaks through the cache to whoever shares the core.

use ::ccm::aead::consts::{U12, U16};
use aes_gcm::AesGcm;
use aes_gcm::aead::AeadInOut;
use cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit, StreamCipher};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sm3::Sm3;
use sm4::Sm4;
use zeroize::{Zeroize, Zeroizing};

use super::tag::{DIGEST, counter_block};

/// Length of an SM4 block, in bytes.
pub(crate) const BLOCK: usize = 16;

/// SM4 round keys, wiped on drop.
pub(crate) struct Sm4Key(Sm4);

impl Sm4Key {
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        Self(Sm4::new(key.into()))
    }
}

/// HMAC-SM3 key as its two midstates, wiped on drop.
pub(crate) struct HmacKey(Hmac<Sm3>);

impl HmacKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let mut block = Zeroizing::new([0_u8; 64]);
        for (to, from) in block.iter_mut().zip(key) {
            *to = *from;
        }
        // HMAC pads a short key with zeros to one block: the same midstates, and a length that cannot fail.
        Self(<Hmac<Sm3> as KeyInit>::new((&*block).into()))
    }
}

/// An HKDF-SM3 pseudorandom key (RFC 5869), held as HMAC midstates, wiped on drop.
pub(crate) struct PrkKey(Hkdf<Sm3>);

impl PrkKey {
    /// Takes 32 uniformly random bytes as the pseudorandom key itself: HKDF-Expand only.
    pub(crate) fn from_uniform(prk: &[u8; 32]) -> Option<Self> {
        Hkdf::from_prk(prk).ok().map(Self)
    }

    /// HKDF-Extract.
    pub(crate) fn extract(salt: &[u8], ikm: &[u8]) -> Self {
        let (mut prk, key) = Hkdf::<Sm3>::extract(Some(salt), ikm);
        prk.zeroize();
        Self(key)
    }
}

/// One CBC encryption or decryption, in place, over whole blocks.
pub(crate) struct CbcJob<'a> {
    pub(crate) key: &'a Sm4Key,
    pub(crate) iv: &'a [u8; BLOCK],
    pub(crate) blocks: &'a mut [[u8; BLOCK]],
}

/// SM4-CBC encryption without padding.
pub(crate) fn cbc_encrypt_many(jobs: &mut [CbcJob<'_>]) {
    for job in jobs {
        let mut mode = cbc::Encryptor::<&Sm4>::inner_iv_init(&job.key.0, job.iv.into());
        mode.encrypt_blocks(Array::cast_slice_from_core_mut(job.blocks));
    }
}

/// SM4-CBC decryption without unpadding.
pub(crate) fn cbc_decrypt_many(jobs: &mut [CbcJob<'_>]) {
    for job in jobs {
        let mut mode = cbc::Decryptor::<&Sm4>::inner_iv_init(&job.key.0, job.iv.into());
        mode.decrypt_blocks(Array::cast_slice_from_core_mut(job.blocks));
    }
}

/// One CTR pass, in place: 12-byte nonce, 32-bit big-endian block counter from 0.
pub(crate) struct CtrJob<'a> {
    pub(crate) key: &'a Sm4Key,
    pub(crate) nonce: &'a [u8; 12],
    pub(crate) text: &'a mut [u8],
}

/// SM4-CTR. `false` for a text beyond the 32-bit counter (64 GiB), which is then left as it was.
pub(crate) fn ctr_apply_many(jobs: &mut [CtrJob<'_>]) -> Vec<bool> {
    jobs.iter_mut()
        .map(|job| {
            let counter = counter_block(job.nonce, 0);
            let core = ctr::CtrCore::<&Sm4, ctr::flavors::Ctr32BE>::inner_iv_init(
                &job.key.0,
                (&counter).into(),
            );
            cipher::StreamCipherCoreWrapper::from_core(core)
                .try_apply_keystream(job.text)
                .is_ok()
        })
        .collect()
}

/// SM4-CTR from counter block nonce ‖ `first` on, which does not go beyond the counter's end.
pub(crate) fn ctr_from(key: &Sm4Key, nonce: &[u8; 12], first: u32, text: &mut [u8]) {
    let counter = counter_block(nonce, first);
    let core =
        ctr::CtrCore::<&Sm4, ctr::flavors::Ctr128BE>::inner_iv_init(&key.0, (&counter).into());
    cipher::StreamCipherCoreWrapper::from_core(core).apply_keystream(text);
}

/// An SM4-GCM key, wiped on drop.
pub(crate) struct GcmKey(AesGcm<Sm4, U12>);

impl GcmKey {
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        Self(KeyInit::new(key.into()))
    }
}

/// An SM4-CCM key, wiped on drop.
pub(crate) struct CcmKey(::ccm::Ccm<Sm4, U16, U12>);

impl CcmKey {
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        Self(KeyInit::new(key.into()))
    }
}

/// One text to seal in place. `nonce` has 12 bytes.
pub(crate) struct SealJob<'a, K> {
    pub(crate) key: &'a K,
    pub(crate) nonce: &'a [u8],
    pub(crate) aad: &'a [u8],
    pub(crate) text: &'a mut [u8],
}

/// One ciphertext to open in place. `nonce` has 12 bytes.
pub(crate) struct OpenJob<'a, K> {
    pub(crate) key: &'a K,
    pub(crate) nonce: &'a [u8],
    pub(crate) aad: &'a [u8],
    pub(crate) text: &'a mut [u8],
    pub(crate) tag: &'a [u8; 16],
}

fn seal_each<K>(
    jobs: &mut [SealJob<'_, K>],
    cipher: impl Fn(&K) -> &dyn Detached,
) -> Vec<Option<[u8; 16]>> {
    jobs.iter_mut()
        .map(|job| cipher(job.key).seal(job.nonce, job.aad, job.text))
        .collect()
}

fn open_each<K>(jobs: &mut [OpenJob<'_, K>], cipher: impl Fn(&K) -> &dyn Detached) -> Vec<bool> {
    jobs.iter_mut()
        .map(|job| cipher(job.key).open(job.nonce, job.aad, job.text, job.tag))
        .collect()
}

/// What GCM and CCM have in common here.
trait Detached {
    fn seal(&self, nonce: &[u8], aad: &[u8], text: &mut [u8]) -> Option<[u8; 16]>;
    fn open(&self, nonce: &[u8], aad: &[u8], text: &mut [u8], tag: &[u8; 16]) -> bool;
}

impl<A: AeadInOut<NonceSize = U12, TagSize = U16>> Detached for A {
    fn seal(&self, nonce: &[u8], aad: &[u8], text: &mut [u8]) -> Option<[u8; 16]> {
        let nonce: &[u8; 12] = nonce.try_into().ok()?;
        let tag = self
            .encrypt_inout_detached(nonce.into(), aad, text.into())
            .ok()?;
        Some(tag.into())
    }

    fn open(&self, nonce: &[u8], aad: &[u8], text: &mut [u8], tag: &[u8; 16]) -> bool {
        let Ok(nonce) = <&[u8; 12]>::try_from(nonce) else {
            return false;
        };
        self.decrypt_inout_detached(nonce.into(), aad, text.into(), tag.into())
            .is_ok()
    }
}

/// SM4-GCM: the tags; `None` for a text that is too long, which is then left as it was.
pub(crate) fn gcm_seal_many(jobs: &mut [SealJob<'_, GcmKey>]) -> Vec<Option<[u8; 16]>> {
    seal_each(jobs, |key| &key.0)
}

/// SM4-GCM: `false` for what is not authentic.
pub(crate) fn gcm_open_many(jobs: &mut [OpenJob<'_, GcmKey>]) -> Vec<bool> {
    open_each(jobs, |key| &key.0)
}

/// SM4-CCM, as [`gcm_seal_many`].
pub(crate) fn ccm_seal_many(jobs: &mut [SealJob<'_, CcmKey>]) -> Vec<Option<[u8; 16]>> {
    seal_each(jobs, |key| &key.0)
}

/// SM4-CCM, as [`gcm_open_many`].
pub(crate) fn ccm_open_many(jobs: &mut [OpenJob<'_, CcmKey>]) -> Vec<bool> {
    open_each(jobs, |key| &key.0)
}

/// One HMAC-SM3 over the concatenation of `parts`.
pub(crate) struct HmacJob<'a> {
    pub(crate) key: &'a HmacKey,
    pub(crate) parts: &'a [&'a [u8]],
}

/// HMAC-SM3 (GB/T 15852.2, GM/T 0042).
pub(crate) fn hmac_many(jobs: &[HmacJob<'_>]) -> Vec<[u8; DIGEST]> {
    jobs.iter()
        .map(|job| {
            let mut mac = job.key.0.clone();
            for part in job.parts {
                mac.update(part);
            }
            mac.finalize().into_bytes().into()
        })
        .collect()
}

/// One HMAC-SM3.
pub(crate) fn hmac(key: &HmacKey, parts: &[&[u8]]) -> [u8; DIGEST] {
    hmac_many(&[HmacJob { key, parts }])
        .pop()
        .unwrap_or_default()
}

/// One HKDF-Expand-SM3.
pub(crate) struct ExpandJob<'a> {
    pub(crate) key: &'a PrkKey,
    pub(crate) info: &'a [u8],
    pub(crate) out: &'a mut [u8],
}

/// HKDF-Expand-SM3 (RFC 5869 section 2.3). `false` for an output over 255 digests, which stays as it was.
pub(crate) fn hkdf_expand_many(jobs: &mut [ExpandJob<'_>]) -> Vec<bool> {
    jobs.iter_mut()
        .map(|job| job.key.0.expand(job.info, job.out).is_ok())
        .collect()
}

/// PBKDF2-HMAC-SM3, 32 bytes (GM/T 0091).
pub(crate) fn pbkdf2_sm3(passphrase: &[u8], salt: &[u8], iterations: u32) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0_u8; 32]);
    pbkdf2::pbkdf2_hmac::<Sm3>(passphrase, salt, iterations, out.as_mut_slice());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::tag::tags_equal;
    use cipher::{BlockCipherDecrypt, BlockCipherEncrypt};
    use sm3::Digest;

    fn unhex(s: &str) -> Vec<u8> {
        let s: String = s.split_whitespace().collect();
        (0..s.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&s[i..i + 2], 16).unwrap())
            .collect()
    }

    /// HMAC under a key of any length, as the standards' examples need it.
    fn hmac_any(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let key = HmacKey(<Hmac<Sm3> as KeyInit>::new_from_slice(key).unwrap());
        hmac(&key, parts)
    }

    // GB/T 32905-2016 annex A.
    #[test]
    fn sm3_known_answers() {
        assert_eq!(
            Sm3::digest(b"abc").as_slice(),
            unhex("66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0")
        );
        assert_eq!(
            Sm3::digest(b"abcd".repeat(16)).as_slice(),
            unhex("debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732")
        );
    }

    // GB/T 32907-2016 annex A, example 1.
    #[test]
    fn sm4_known_answer() {
        let key: [u8; 16] = unhex("0123456789abcdeffedcba9876543210")
            .try_into()
            .unwrap();
        let sm4 = Sm4Key::new(&key);
        let mut block = Array(key);
        sm4.0.encrypt_block(&mut block);
        assert_eq!(block.as_slice(), unhex("681edf34d206965e86b3e94f536e4246"));
        sm4.0.decrypt_block(&mut block);
        assert_eq!(block.as_slice(), key);
    }

    // GB/T 32907-2016 annex A, example 2: one million rounds.
    #[test]
    fn sm4_known_answer_of_a_million_rounds() {
        let key: [u8; 16] = unhex("0123456789abcdeffedcba9876543210")
            .try_into()
            .unwrap();
        let sm4 = Sm4Key::new(&key);
        let mut block = Array(key);
        for _ in 0..1_000_000 {
            sm4.0.encrypt_block(&mut block);
        }
        assert_eq!(block.as_slice(), unhex("595298c7c6fd271f0402f804c33d3f66"));
    }

    // GM/T 0042-2015 annex D.3.
    #[test]
    fn hmac_sm3_known_answers() {
        let counting: Vec<u8> = (1..=37).collect();
        let abc = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".repeat(2);
        let cases: [(&[u8], &[u8], &str); 4] = [
            (
                &counting[..32],
                &abc,
                "ca05e144ed05d1857840d1f318a4a8669e559fc8391f414485bfdf7bb408963a",
            ),
            (
                &counting,
                &[0xCD; 50],
                "220bf579ded555393f0159f66c99877822a3ecf610d1552154b41d44b94db3ae",
            ),
            (
                &[0x0B; 32],
                b"Hi There",
                "c0ba18c68b90c88bc07de794bfc7d2c8d19ec31ed8773bc2b390c9604e0be11e",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "2e87f1d16862e6d964b50a5200bf2b10b764faa9680a296a2405f24bec39f882",
            ),
        ];
        for (key, message, tag) in cases {
            assert_eq!(hmac_any(key, &[message]).as_slice(), unhex(tag));
            let (a, b) = message.split_at(message.len() / 2);
            assert_eq!(hmac_any(key, &[a, b, b""]).as_slice(), unhex(tag));
        }
        let key: [u8; 32] = counting[..32].try_into().unwrap();
        assert_eq!(
            hmac(&HmacKey::new(&key), &[&abc]).as_slice(),
            unhex(cases[0].2)
        );
    }

    // RFC 5869 test case 1's inputs with SM3.
    #[test]
    fn hkdf_sm3_known_answer() {
        let key = PrkKey::extract(&unhex("000102030405060708090a0b0c"), &[0x0B; 22]);
        let mut okm = [0_u8; 42];
        let info = unhex("f0f1f2f3f4f5f6f7f8f9");
        let done = hkdf_expand_many(&mut [ExpandJob {
            key: &key,
            info: &info,
            out: &mut okm,
        }]);
        assert_eq!(done, [true]);
        assert_eq!(
            okm.as_slice(),
            unhex(
                "c69fe91b7aaee2dd5718d72dcaee0cce93f1b8e41f792da51261b6a517e68b36ed2c595572b01dfa359b"
            )
        );
        let mut long = vec![0_u8; 255 * 32 + 1];
        let done = hkdf_expand_many(&mut [ExpandJob {
            key: &key,
            info: &info,
            out: &mut long,
        }]);
        assert_eq!(done, [false]);
        assert!(long.iter().all(|b| *b == 0));
    }

    #[test]
    fn cbc_and_ctr_batches_equal_single_calls() {
        let keys = [Sm4Key::new(&[1; 16]), Sm4Key::new(&[2; 16])];
        for n in 0..40_usize {
            let mut one: Vec<[u8; 16]> = (0..n).map(|i| [i as u8; 16]).collect();
            let mut two = one.clone();
            let iv = [9_u8; 16];
            cbc_encrypt_many(&mut [
                CbcJob {
                    key: &keys[0],
                    iv: &iv,
                    blocks: &mut one,
                },
                CbcJob {
                    key: &keys[1],
                    iv: &iv,
                    blocks: &mut two,
                },
            ]);
            assert_eq!(one == two, n == 0);
            cbc_decrypt_many(&mut [CbcJob {
                key: &keys[0],
                iv: &iv,
                blocks: &mut one,
            }]);
            cbc_decrypt_many(&mut [CbcJob {
                key: &keys[1],
                iv: &iv,
                blocks: &mut two,
            }]);
            assert_eq!(one, two);
        }
    }

    #[test]
    fn ctr_is_the_encrypted_counter_from_zero() {
        let key = Sm4Key::new(&[7; 16]);
        let nonce = [5_u8; 12];
        let mut text = vec![0_u8; 40];
        assert_eq!(
            ctr_apply_many(&mut [CtrJob {
                key: &key,
                nonce: &nonce,
                text: &mut text
            }]),
            [true]
        );
        for (i, chunk) in text.chunks(16).enumerate() {
            let mut block = [5_u8; 16];
            block[12..].copy_from_slice(&(i as u32).to_be_bytes());
            let mut block = Array(block);
            key.0.encrypt_block(&mut block);
            assert_eq!(chunk, &block[..chunk.len()]);
        }
    }

    #[test]
    fn wycheproof_hmac_sm3() {
        let dir = std::env::var_os("VECTORS_DIR").map_or_else(
            || {
                std::path::PathBuf::from(concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/../../shared/vectors"
                ))
            },
            std::path::PathBuf::from,
        );
        let path = dir.join("wycheproof/hmac_sm3_test.json");
        let Ok(text) = std::fs::read_to_string(&path) else {
            assert!(
                std::env::var_os("REQUIRE_PEERS").is_none_or(|v| v != "1"),
                "{} is missing and REQUIRE_PEERS=1",
                path.display()
            );
            println!("SKIPPED: {} is not there", path.display());
            return;
        };
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut ran = 0;
        for group in file["testGroups"].as_array().unwrap() {
            let tag_len = usize::try_from(group["tagSize"].as_u64().unwrap() / 8).unwrap();
            for test in group["tests"].as_array().unwrap() {
                let hex = |name: &str| unhex(test[name].as_str().unwrap());
                let tag = hmac_any(&hex("key"), &[&hex("msg")]);
                let valid = tags_equal(&tag[..tag_len], &hex("tag"));
                assert_eq!(valid, test["result"] == "valid", "tcId {}", test["tcId"]);
                ran += 1;
            }
        }
        assert_eq!(Some(ran), file["numberOfTests"].as_u64());
    }
}
