//! Key derivation over HMAC-SM3: HKDF-Expand (RFC 5869) and PBKDF2 (RFC 8018, GM/T 0091).

use core::fmt;

use zeroize::Zeroize;

use crate::cpu::Backend;
use crate::error::Error;
use crate::sm3::compress::{compress, digest_of};
use crate::sm3::hmac::HmacKey;
use crate::sm3::many::{HmacJob, hmac_many_with_backend};
use crate::sm3::rounds::{BLOCK, DIGEST};

/// One HKDF-Expand: `out` takes up to 255 * 32 bytes.
pub struct ExpandJob<'a> {
    /// The pseudorandom key, as HMAC key.
    pub prk: &'a HmacKey,
    /// Context.
    pub info: &'a [u8],
    /// Output keying material.
    pub out: &'a mut [u8],
}

impl fmt::Debug for ExpandJob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpandJob").finish_non_exhaustive()
    }
}

/// HKDF-Expand-SM3 (RFC 5869 section 2.3) of every job, in lanes.
///
/// # Errors
/// [`Error::Length`] in an item's result when its output is over 255 * 32 bytes long; that output stays as it was,
/// the other items are done.
#[must_use = "one result an item: an item that failed was not worked on"]
pub fn hkdf_expand_many(jobs: &mut [ExpandJob<'_>]) -> Vec<Result<(), Error>> {
    hkdf_expand_many_with_backend(Backend::active(), jobs)
}

/// [`hkdf_expand_many`] with the kernels of `backend`.
///
/// # Errors
/// As [`hkdf_expand_many`].
#[must_use = "one result an item: an item that failed was not worked on"]
pub fn hkdf_expand_many_with_backend(
    backend: Backend,
    jobs: &mut [ExpandJob<'_>],
) -> Vec<Result<(), Error>> {
    let fits = |job: &ExpandJob<'_>| job.out.len() <= 255 * DIGEST;
    let results = jobs
        .iter()
        .map(|job| match fits(job) {
            true => Ok(()),
            false => Err(Error::Length {
                what: "HKDF output",
                got: job.out.len(),
                expected: "at most 8160",
            }),
        })
        .collect();
    // T(n) = HMAC(PRK, T(n - 1) || info || n), for all the jobs that are that long.
    for n in 1..=255_u8 {
        let start = usize::from(n).wrapping_sub(1).wrapping_mul(DIGEST);
        let counter = [n];
        let mut wanted: Vec<&mut ExpandJob<'_>> = jobs
            .iter_mut()
            .filter(|job| fits(job) && job.out.len() > start)
            .collect();
        if wanted.is_empty() {
            break;
        }
        let parts: Vec<[&[u8]; 3]> = wanted
            .iter()
            .map(|job| {
                let before = start.wrapping_sub(DIGEST);
                let previous = job.out.get(before..start).unwrap_or_default();
                [previous, job.info, &counter]
            })
            .collect();
        let macs: Vec<HmacJob<'_>> = wanted
            .iter()
            .zip(&parts)
            .map(|(job, parts)| HmacJob {
                key: job.prk,
                parts,
            })
            .collect();
        let mut blocks = hmac_many_with_backend(backend, &macs);
        for (job, block) in wanted.iter_mut().zip(&blocks) {
            let rest = job.out.get_mut(start..).unwrap_or_default();
            for (to, from) in rest.iter_mut().zip(block) {
                *to = *from;
            }
        }
        blocks.as_flattened_mut().zeroize();
    }
    results
}

/// PBKDF2-HMAC-SM3: fills `out` from a password, with two compressions an iteration. No iterations count as one.
pub fn pbkdf2(password: &[u8], salt: &[u8], iterations: u32, out: &mut [u8]) {
    pbkdf2_with_backend(Backend::active(), password, salt, iterations, out);
}

/// [`pbkdf2`] with the kernels of `backend`.
pub fn pbkdf2_with_backend(
    backend: Backend,
    password: &[u8],
    salt: &[u8],
    iterations: u32,
    out: &mut [u8],
) {
    let key = HmacKey::with_backend(backend, password);
    for (chunk, index) in out.chunks_mut(DIGEST).zip(1_u32..) {
        let mut sum = key.mac(&[salt, &index.to_be_bytes()]);
        // One padded block holds a digest behind a midstate: 64 + 32 bytes, 768 bits.
        let mut block = [0_u8; BLOCK];
        if let Some((digest, padding)) = block.split_first_chunk_mut::<DIGEST>() {
            *digest = sum;
            if let [one, .., high, low] = padding {
                *one = 0x80;
                [*high, *low] = 768_u16.to_be_bytes();
            }
        }
        for _ in 1..iterations {
            for midstate in [&key.inner, &key.outer] {
                let mut state = *midstate;
                compress(backend, &mut state, core::slice::from_ref(&block));
                if let Some(digest) = block.first_chunk_mut::<DIGEST>() {
                    *digest = digest_of(&state);
                }
                state = [0; 8];
                zeroize::optimization_barrier(&state);
            }
            for (sum, byte) in sum.iter_mut().zip(&block) {
                *sum ^= byte;
            }
        }
        for (to, from) in chunk.iter_mut().zip(&sum) {
            *to = *from;
        }
        block = [0; BLOCK];
        sum = [0; DIGEST];
        zeroize::optimization_barrier(&block);
        zeroize::optimization_barrier(&sum);
    }
}
