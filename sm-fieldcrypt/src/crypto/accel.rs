//! The backend of feature `accel`: `sm-accel`, in constant time, in lanes where the CPU has them.

pub(crate) use sm_accel::sm4::{
    CbcJob, CtrJob, OpenJob, SealJob, Sm4 as Sm4Key, Sm4Ccm as CcmKey, Sm4Gcm as GcmKey,
    cbc_decrypt_many, cbc_encrypt_many,
};
use zeroize::{Zeroize, Zeroizing};

use super::tag::{DIGEST, counter_block};

/// HMAC-SM3 key as its two midstates, wiped on drop.
pub(crate) struct HmacKey(sm_accel::sm3::HmacKey);

impl HmacKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(sm_accel::sm3::HmacKey::new(key))
    }
}

/// One HMAC-SM3 over the concatenation of `parts`.
pub(crate) struct HmacJob<'a> {
    pub(crate) key: &'a HmacKey,
    pub(crate) parts: &'a [&'a [u8]],
}

/// HMAC-SM3 (GB/T 15852.2, GM/T 0042).
pub(crate) fn hmac_many(jobs: &[HmacJob<'_>]) -> Vec<[u8; DIGEST]> {
    let jobs: Vec<_> = jobs
        .iter()
        .map(|job| sm_accel::sm3::HmacJob {
            key: &job.key.0,
            parts: job.parts,
        })
        .collect();
    sm_accel::sm3::hmac_many(&jobs)
}

/// An HKDF-SM3 pseudorandom key (RFC 5869), held as HMAC midstates, wiped on drop.
pub(crate) struct PrkKey(sm_accel::sm3::HmacKey);

impl PrkKey {
    /// Takes 32 uniformly random bytes as the pseudorandom key itself: HKDF-Expand only.
    #[allow(
        clippy::unnecessary_wraps,
        reason = "the shape of the other backend, where the length is checked"
    )]
    pub(crate) fn from_uniform(prk: &[u8; 32]) -> Option<Self> {
        Some(Self(sm_accel::sm3::HmacKey::new(prk)))
    }

    /// HKDF-Extract.
    pub(crate) fn extract(salt: &[u8], ikm: &[u8]) -> Self {
        let mut prk = sm_accel::sm3::HmacKey::new(salt).mac(&[ikm]);
        let key = Self(sm_accel::sm3::HmacKey::new(&prk));
        prk.zeroize();
        key
    }
}

/// SM4-CTR: 12-byte nonce, 32-bit big-endian block counter from 0. `false` for a text beyond the counter (64 GiB),
/// which is then left as it was.
pub(crate) fn ctr_apply_many(jobs: &mut [CtrJob<'_>]) -> Vec<bool> {
    sm_accel::sm4::ctr_many(jobs)
        .iter()
        .map(Result::is_ok)
        .collect()
}

/// SM4-CTR from counter block nonce ‖ `first` on, which does not go beyond the counter's end.
pub(crate) fn ctr_from(key: &Sm4Key, nonce: &[u8; 12], first: u32, text: &mut [u8]) {
    let mut counter = counter_block(nonce, first);
    key.ctr_xor(&mut counter, text);
}

/// SM4-GCM: the tags; `None` for a text that is too long, which is then left as it was.
pub(crate) fn gcm_seal_many(jobs: &mut [SealJob<'_, GcmKey>]) -> Vec<Option<[u8; 16]>> {
    GcmKey::seal_many(jobs)
        .into_iter()
        .map(Result::ok)
        .collect()
}

/// SM4-GCM: `false` for what is not authentic, which is then left as it was.
pub(crate) fn gcm_open_many(jobs: &mut [OpenJob<'_, GcmKey>]) -> Vec<bool> {
    GcmKey::open_many(jobs).iter().map(Result::is_ok).collect()
}

/// SM4-CCM, as [`gcm_seal_many`].
pub(crate) fn ccm_seal_many(jobs: &mut [SealJob<'_, CcmKey>]) -> Vec<Option<[u8; 16]>> {
    CcmKey::seal_many(jobs)
        .into_iter()
        .map(Result::ok)
        .collect()
}

/// SM4-CCM, as [`gcm_open_many`].
pub(crate) fn ccm_open_many(jobs: &mut [OpenJob<'_, CcmKey>]) -> Vec<bool> {
    CcmKey::open_many(jobs).iter().map(Result::is_ok).collect()
}

/// One HMAC-SM3.
pub(crate) fn hmac(key: &HmacKey, parts: &[&[u8]]) -> [u8; DIGEST] {
    key.0.mac(parts)
}

/// One HKDF-Expand-SM3.
pub(crate) struct ExpandJob<'a> {
    pub(crate) key: &'a PrkKey,
    pub(crate) info: &'a [u8],
    pub(crate) out: &'a mut [u8],
}

/// HKDF-Expand-SM3 (RFC 5869 section 2.3). `false` for an output over 255 digests, which stays as it was.
pub(crate) fn hkdf_expand_many(jobs: &mut [ExpandJob<'_>]) -> Vec<bool> {
    let mut jobs: Vec<_> = jobs
        .iter_mut()
        .map(|job| sm_accel::sm3::ExpandJob {
            prk: &job.key.0,
            info: job.info,
            out: job.out,
        })
        .collect();
    sm_accel::sm3::hkdf_expand_many(&mut jobs)
        .iter()
        .map(Result::is_ok)
        .collect()
}

/// PBKDF2-HMAC-SM3, 32 bytes (GM/T 0091).
pub(crate) fn pbkdf2_sm3(passphrase: &[u8], salt: &[u8], iterations: u32) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0_u8; 32]);
    sm_accel::sm3::pbkdf2(passphrase, salt, iterations, out.as_mut_slice());
    out
}
