//! A KEK in software: for development, tests and small installations. Not for the level-3 profile, which wants
//! the KEK in a certified device.
//!
//! # Sealed file, version 1 (big-endian, exactly 112 bytes)
//!
//! | offset | length | field |
//! |---|---|---|
//! | 0 | 8 | `SMFCKEK1` |
//! | 8 | 4 | PBKDF2 iterations, 600,000 to 10,000,000 |
//! | 12 | 16 | PBKDF2 salt |
//! | 28 | 12 | SM4-CTR nonce |
//! | 40 | 8 | KEK id |
//! | 48 | 32 | encrypted KEK |
//! | 80 | 32 | HMAC-SM3 over bytes 0 to 80 |
//!
//! PBKDF2-HMAC-SM3(passphrase, salt, iterations) gives 32 bytes, of which HKDF-Expand-SM3 makes the encryption
//! key (info `smfc1/kek/file/enc`) and the MAC key (`smfc1/kek/file/mac`). The tag covers every parameter.

use crate::crypto::{
    CtrJob, ExpandJob, HmacKey, PrkKey, Sm4Key, ctr_apply_many, hkdf_expand_many, hmac, hmac_many,
    pbkdf2_sm3, tags_equal,
};
use crate::durable::{Placement, io, read_bounded, sibling, write_durably};
use crate::error::Error;
use crate::kek::provider::KekProvider;
use crate::offload::BoxFuture;
use crate::random::{OsRandom, RandomSource};
use crate::secret::SecretBytes;
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"SMFCKEK1";
const FILE_LEN: usize = 112;
const MIN_ITERATIONS: u32 = 600_000;
const MAX_ITERATIONS: u32 = 10_000_000;
const MIN_PASSPHRASE: usize = 8;

const WRAP_LABEL: &[u8] = b"SMFCW1";
const WRAP_OVERHEAD: usize = 1 + 12 + 32;

/// A key-encryption key held in this process's memory.
///
/// Made by [`SoftwareKek::create`] and [`SoftwareKek::open`] from a file sealed with a passphrase, or by
/// [`SoftwareKek::from_key_bytes`] from 32 bytes that come from elsewhere. Only expansions of the key are held,
/// one each for wrapping, its MAC and registry integrity; they are wiped on drop.
pub struct SoftwareKek {
    id: String,
    wrap: Sm4Key,
    wrap_mac: HmacKey,
    integrity: HmacKey,
}

impl SoftwareKek {
    /// Makes a new random KEK and seals it into a new file, readable by its owner alone. Never overwrites: an
    /// existing file is an error. Blocks for 600,000 rounds of PBKDF2 and two syncs; in async code call it from
    /// a blocking thread.
    ///
    /// # Errors
    /// [`Error::Config`] for a passphrase under 8 bytes, [`Error::Random`], [`Error::Io`].
    pub fn create(path: impl AsRef<Path>, passphrase: &[u8]) -> Result<Self, Error> {
        let path = path.as_ref();
        if passphrase.len() < MIN_PASSPHRASE {
            return Err(Error::Config {
                what: format!("a kek passphrase needs at least {MIN_PASSPHRASE} bytes"),
            });
        }
        if path.exists() {
            let e = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
            return Err(io("create", path, e));
        }
        let mut key = Zeroizing::new([0_u8; 32]);
        OsRandom.fill(key.as_mut_slice())?;
        let (kek, id) = Self::from_key(&key)?;
        let mut salt = [0_u8; 16];
        let mut nonce = [0_u8; 12];
        OsRandom.fill(&mut salt)?;
        OsRandom.fill(&mut nonce)?;
        let bytes = seal_file(&key, &id, passphrase, MIN_ITERATIONS, &salt, &nonce)?;
        // A name of its own: two creators must not share a temporary file.
        let mut tag = [0_u8; 8];
        OsRandom.fill(&mut tag)?;
        let temporary = sibling(path, &format!(".{}.tmp", hex(&tag)));
        write_durably(path, &temporary, &bytes, Placement::CreateNew, &|_| Ok(()))?;
        Ok(kek)
    }

    /// Opens a sealed file. Blocks as [`SoftwareKek::create`] does.
    ///
    /// # Errors
    /// [`Error::Io`] (also when there is no such file), [`Error::KekFile`] for a malformed file or parameters
    /// out of bounds (found before any work is spent on them), [`Error::KekUnseal`] for a wrong passphrase or a
    /// damaged file.
    pub fn open(path: impl AsRef<Path>, passphrase: &[u8]) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes = read_bounded(path, 4096)?.ok_or_else(|| {
            io(
                "open",
                path,
                std::io::Error::from(std::io::ErrorKind::NotFound),
            )
        })?;
        Self::open_bytes(&bytes, passphrase, path)
    }

    /// Opens the bytes of a sealed file that the caller has read itself, e.g. from a secret store.
    ///
    /// # Errors
    /// As [`SoftwareKek::open`], with `path` only named in them.
    pub fn open_bytes(bytes: &[u8], passphrase: &[u8], path: &Path) -> Result<Self, Error> {
        let file = SealedFile::parse(bytes).map_err(|what| Error::KekFile {
            path: path.into(),
            what,
        })?;
        let keys = FileKeys::derive(passphrase, file.salt, file.iterations)?;
        if !tags_equal(&hmac(&keys.mac, &[file.authenticated]), file.tag) {
            return Err(Error::KekUnseal { path: path.into() });
        }
        let mut key = Zeroizing::new(*file.sealed_key);
        keys.apply(file.nonce, &mut key);
        let (kek, id) = Self::from_key(&key)?;
        if id != *file.id {
            return Err(Error::KekFile {
                path: path.into(),
                what: "kek id does not fit its key",
            });
        }
        Ok(kek)
    }

    /// Takes 32 uniformly random bytes as the KEK. Development and demonstration grade: whoever hands the key
    /// over has had it in the clear.
    ///
    /// # Errors
    /// [`Error::Config`] unless there are exactly 32 bytes.
    pub fn from_key_bytes(key: SecretBytes) -> Result<Self, Error> {
        let bytes: &[u8; 32] = key.expose().try_into().map_err(|_| Error::Config {
            what: format!(
                "a software kek needs exactly 32 key bytes, not {}",
                key.len()
            ),
        })?;
        Ok(Self::from_key(bytes)?.0)
    }

    fn from_key(key: &[u8; 32]) -> Result<(Self, [u8; 8]), Error> {
        let root = PrkKey::extract(b"smfc1/kek", key);
        let mut wrap = Zeroizing::new([0_u8; 16]);
        let mut wrap_mac = Zeroizing::new([0_u8; 32]);
        let mut integrity = Zeroizing::new([0_u8; 32]);
        let mut id = [0_u8; 8];
        expand(&root, b"smfc1/kek/wrap-enc", wrap.as_mut_slice())?;
        expand(&root, b"smfc1/kek/wrap-mac", wrap_mac.as_mut_slice())?;
        expand(&root, b"smfc1/kek/integrity", integrity.as_mut_slice())?;
        expand(&root, b"smfc1/kek/id", &mut id)?;
        let kek = Self {
            id: format!("kek://software/{}", hex(&id)),
            wrap: Sm4Key::new(&wrap),
            wrap_mac: HmacKey::new(&wrap_mac),
            integrity: HmacKey::new(&integrity),
        };
        Ok((kek, id))
    }

    // Blob: u8 version 1 ‖ 12-byte nonce ‖ SM4-CTR(key) ‖ HMAC-SM3("SMFCW1" ‖ version ‖ u32 length ‖ context ‖
    // nonce ‖ ciphertext). Encrypt-then-MAC with the context as associated data.
    fn wrap_bytes(&self, key: &SecretBytes, context: &[u8]) -> Result<Vec<u8>, Error> {
        let mut nonce = [0_u8; 12];
        OsRandom.fill(&mut nonce)?;
        let mut blob = Vec::with_capacity(key.len().saturating_add(WRAP_OVERHEAD));
        blob.push(1);
        blob.extend_from_slice(&nonce);
        let mut text = Zeroizing::new(key.expose().to_vec());
        let mut jobs = [CtrJob {
            key: &self.wrap,
            nonce: &nonce,
            text: &mut text,
        }];
        if ctr_apply_many(&mut jobs) != [true] {
            return Err(self.failed("the key is too long to wrap"));
        }
        blob.extend_from_slice(&text);
        let tag = self.wrap_tag(&blob, context)?;
        blob.extend_from_slice(&tag);
        Ok(blob)
    }

    fn unwrap_bytes(&self, blob: &[u8], context: &[u8]) -> Result<SecretBytes, Error> {
        let refused = || Error::KekUnwrap {
            provider: self.id.clone(),
        };
        let (body, tag) = blob.split_last_chunk::<32>().ok_or_else(refused)?;
        let (head, sealed) = body.split_first_chunk::<13>().ok_or_else(refused)?;
        let (version, nonce) = head.split_first().ok_or_else(refused)?;
        let nonce: &[u8; 12] = nonce.try_into().map_err(|_| refused())?;
        if !tags_equal(&self.wrap_tag(body, context)?, tag) || *version != 1 {
            return Err(refused());
        }
        let mut text = sealed.to_vec();
        let mut jobs = [CtrJob {
            key: &self.wrap,
            nonce,
            text: &mut text,
        }];
        if ctr_apply_many(&mut jobs) != [true] {
            return Err(refused());
        }
        Ok(SecretBytes::new(text))
    }

    fn wrap_tag(&self, body: &[u8], context: &[u8]) -> Result<[u8; 32], Error> {
        let length = u32::try_from(context.len())
            .map_err(|_| self.failed("the wrapping context is too long"))?;
        Ok(hmac(
            &self.wrap_mac,
            &[WRAP_LABEL, &length.to_be_bytes(), context, body],
        ))
    }

    fn failed(&self, reason: &str) -> Error {
        Error::Kek {
            provider: self.id.clone(),
            reason: reason.into(),
        }
    }
}

impl KekProvider for SoftwareKek {
    fn id(&self) -> &str {
        &self.id
    }

    fn wrap_key<'a>(
        &'a self,
        key: &'a SecretBytes,
        context: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, Error>> {
        Box::pin(async move { self.wrap_bytes(key, context) })
    }

    fn unwrap_key<'a>(
        &'a self,
        blob: &'a [u8],
        context: &'a [u8],
    ) -> BoxFuture<'a, Result<SecretBytes, Error>> {
        Box::pin(async move { self.unwrap_bytes(blob, context) })
    }

    fn integrity_macs<'a>(
        &'a self,
        messages: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Vec<[u8; 32]>, Error>> {
        Box::pin(async move {
            let parts: Vec<[&[u8]; 1]> = messages.iter().map(|m| [m.as_slice()]).collect();
            let jobs: Vec<_> = parts
                .iter()
                .map(|parts| crate::crypto::HmacJob {
                    key: &self.integrity,
                    parts,
                })
                .collect();
            Ok(hmac_many(&jobs))
        })
    }
}

impl fmt::Debug for SoftwareKek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareKek")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The keys that a passphrase gives for one file.
struct FileKeys {
    enc: Sm4Key,
    mac: HmacKey,
}

impl FileKeys {
    fn derive(passphrase: &[u8], salt: &[u8; 16], iterations: u32) -> Result<Self, Error> {
        let stretched = pbkdf2_sm3(passphrase, salt, iterations);
        let root = PrkKey::from_uniform(&stretched).ok_or_else(derivation_failed)?;
        let mut enc = Zeroizing::new([0_u8; 16]);
        let mut mac = Zeroizing::new([0_u8; 32]);
        expand(&root, b"smfc1/kek/file/enc", enc.as_mut_slice())?;
        expand(&root, b"smfc1/kek/file/mac", mac.as_mut_slice())?;
        Ok(Self {
            enc: Sm4Key::new(&enc),
            mac: HmacKey::new(&mac),
        })
    }

    fn apply(&self, nonce: &[u8; 12], text: &mut [u8; 32]) {
        ctr_apply_many(&mut [CtrJob {
            key: &self.enc,
            nonce,
            text,
        }]);
    }
}

/// The parts of a sealed file whose form and bounds have been checked, and nothing else.
struct SealedFile<'a> {
    iterations: u32,
    salt: &'a [u8; 16],
    nonce: &'a [u8; 12],
    id: &'a [u8; 8],
    sealed_key: &'a [u8; 32],
    authenticated: &'a [u8],
    tag: &'a [u8; 32],
}

impl<'a> SealedFile<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let whole: &[u8; FILE_LEN] = bytes
            .try_into()
            .map_err(|_| "not a sealed kek file (wrong length)")?;
        let short = "not a sealed kek file";
        let (magic, rest) = whole.split_first_chunk::<8>().ok_or(short)?;
        if magic != MAGIC {
            return Err("not a sealed kek file (wrong magic or version)");
        }
        let (iterations, rest) = rest.split_first_chunk::<4>().ok_or(short)?;
        let (salt, rest) = rest.split_first_chunk::<16>().ok_or(short)?;
        let (nonce, rest) = rest.split_first_chunk::<12>().ok_or(short)?;
        let (id, rest) = rest.split_first_chunk::<8>().ok_or(short)?;
        let (sealed_key, rest) = rest.split_first_chunk::<32>().ok_or(short)?;
        let tag: &[u8; 32] = rest.try_into().map_err(|_| short)?;
        let (authenticated, _) = whole.split_last_chunk::<32>().ok_or(short)?;
        let iterations = u32::from_be_bytes(*iterations);
        if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations) {
            return Err("pbkdf2 iterations are out of bounds (600,000 to 10,000,000)");
        }
        Ok(Self {
            iterations,
            salt,
            nonce,
            id,
            sealed_key,
            authenticated,
            tag,
        })
    }
}

fn seal_file(
    key: &[u8; 32],
    id: &[u8; 8],
    passphrase: &[u8],
    iterations: u32,
    salt: &[u8; 16],
    nonce: &[u8; 12],
) -> Result<Vec<u8>, Error> {
    let keys = FileKeys::derive(passphrase, salt, iterations)?;
    let mut sealed = Zeroizing::new(*key);
    keys.apply(nonce, &mut sealed);
    let mut bytes = Vec::with_capacity(FILE_LEN);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&iterations.to_be_bytes());
    bytes.extend_from_slice(salt);
    bytes.extend_from_slice(nonce);
    bytes.extend_from_slice(id);
    bytes.extend_from_slice(sealed.as_slice());
    let tag = hmac(&keys.mac, &[&bytes]);
    bytes.extend_from_slice(&tag);
    Ok(bytes)
}

fn expand(root: &PrkKey, info: &[u8], out: &mut [u8]) -> Result<(), Error> {
    match hkdf_expand_many(&mut [ExpandJob {
        key: root,
        info,
        out,
    }])
    .as_slice()
    {
        [true] => Ok(()),
        _ => Err(derivation_failed()),
    }
}

fn derivation_failed() -> Error {
    Error::Kek {
        provider: "kek://software".into(),
        reason: "key derivation failed".into(),
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kek(byte: u8) -> SoftwareKek {
        SoftwareKek::from_key_bytes(SecretBytes::new(vec![byte; 32])).unwrap()
    }

    #[test]
    fn wraps_and_unwraps_only_with_its_context() {
        let kek = kek(1);
        let key = SecretBytes::new(vec![7; 32]);
        let blob = kek.wrap_bytes(&key, b"context").unwrap();
        assert_eq!(blob.len(), 32 + WRAP_OVERHEAD);
        assert_eq!(kek.unwrap_bytes(&blob, b"context").unwrap(), key);
        for (blob, context) in [
            (blob.clone(), &b"contexT"[..]),
            (blob[..44].to_vec(), b"context"),
        ] {
            let e = kek.unwrap_bytes(&blob, context).unwrap_err();
            assert!(matches!(e, Error::KekUnwrap { .. }));
        }
        for bit in 0..blob.len() * 8 {
            let mut bad = blob.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(kek.unwrap_bytes(&bad, b"context").is_err());
        }
        assert!(
            super::tests::kek(2)
                .unwrap_bytes(&blob, b"context")
                .is_err()
        );
    }

    #[test]
    fn ids_and_integrity_keys_differ_by_key() {
        assert_eq!(kek(1).id(), kek(1).id());
        assert_ne!(kek(1).id(), kek(2).id());
        assert!(kek(1).id().starts_with("kek://software/"));
        assert!(!format!("{:?}", kek(1)).contains("wrap"));
    }

    #[test]
    fn from_key_bytes_wants_32() {
        for n in [0, 16, 31, 33, 64] {
            assert!(SoftwareKek::from_key_bytes(SecretBytes::new(vec![1; n])).is_err());
        }
    }

    #[test]
    fn iterations_out_of_bounds_are_refused_before_any_work() {
        let bytes = seal_file(&[1; 32], &[0; 8], b"a passphrase", 1, &[2; 16], &[3; 12]).unwrap();
        for iterations in [0, 1, 599_999, 10_000_001, u32::MAX] {
            let mut bytes = bytes.clone();
            bytes[8..12].copy_from_slice(&iterations.to_be_bytes());
            let e = SoftwareKek::open_bytes(&bytes, b"a passphrase", Path::new("k")).unwrap_err();
            assert!(e.to_string().contains("iterations"), "{e}");
        }
    }

    #[test]
    fn a_file_whose_id_is_not_its_keys_is_refused() {
        let bytes = seal_file(
            &[1; 32],
            &[0; 8],
            b"a passphrase",
            MIN_ITERATIONS,
            &[2; 16],
            &[3; 12],
        )
        .unwrap();
        let e = SoftwareKek::open_bytes(&bytes, b"a passphrase", Path::new("k")).unwrap_err();
        assert!(e.to_string().contains("kek id"), "{e}");
    }
}
