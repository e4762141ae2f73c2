//! Many messages at once: results in order, each equal to that of the single call.

use core::fmt;

use core::slice;

use crate::cpu::Backend;
use crate::sm3::hmac::HmacKey;
use crate::sm3::job::Job;
use crate::sm3::queue::digest_all;
use crate::sm3::rounds::{DIGEST, IV};

/// SM3 of every message, in lanes. Lengths may differ; nothing is copied but the ends of messages.
///
/// ```
/// use sm_accel::sm3;
/// let digests = sm3::hash_many(&[b"abc", b"", b"longer than the others"]);
/// assert_eq!(digests[0], sm3::hash(b"abc"));
/// ```
#[must_use]
pub fn hash_many(messages: &[&[u8]]) -> Vec<[u8; DIGEST]> {
    hash_many_with_backend(Backend::active(), messages)
}

/// [`hash_many`] with the kernels of `backend`.
#[must_use]
pub fn hash_many_with_backend(backend: Backend, messages: &[&[u8]]) -> Vec<[u8; DIGEST]> {
    let mut out = vec![[0; DIGEST]; messages.len()];
    let job = |i: usize| {
        messages
            .get(i)
            .map(|message| plain(slice::from_ref(message)))
    };
    digest_all(backend, job, &mut out);
    out
}

/// SM3 of every message, each the concatenation of its parts.
#[must_use]
pub fn hash_parts_many(messages: &[&[&[u8]]]) -> Vec<[u8; DIGEST]> {
    hash_parts_many_with_backend(Backend::active(), messages)
}

/// [`hash_parts_many`] with the kernels of `backend`.
#[must_use]
pub fn hash_parts_many_with_backend(backend: Backend, messages: &[&[&[u8]]]) -> Vec<[u8; DIGEST]> {
    let mut out = vec![[0; DIGEST]; messages.len()];
    let job = |i: usize| messages.get(i).map(|parts| plain(parts));
    digest_all(backend, job, &mut out);
    out
}

fn plain<'a>(parts: &'a [&'a [u8]]) -> Job<'a> {
    Job {
        start: &IV,
        blocks: 0,
        parts,
        outer: None,
    }
}

/// One HMAC-SM3 over the concatenation of `parts`.
#[derive(Clone, Copy)]
pub struct HmacJob<'a> {
    /// The key.
    pub key: &'a HmacKey,
    /// The message.
    pub parts: &'a [&'a [u8]],
}

impl fmt::Debug for HmacJob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HmacJob").finish_non_exhaustive()
    }
}

/// HMAC-SM3 of every job, in lanes; keys and lengths may differ.
#[must_use]
pub fn hmac_many(jobs: &[HmacJob<'_>]) -> Vec<[u8; DIGEST]> {
    hmac_many_with_backend(Backend::active(), jobs)
}

/// [`hmac_many`] with the kernels of `backend`, whichever the keys were made with.
#[must_use]
pub fn hmac_many_with_backend(backend: Backend, jobs: &[HmacJob<'_>]) -> Vec<[u8; DIGEST]> {
    let mut out = vec![[0; DIGEST]; jobs.len()];
    let job = |i: usize| {
        jobs.get(i).map(|job| Job {
            start: &job.key.inner,
            blocks: 1,
            parts: job.parts,
            outer: Some(&job.key.outer),
        })
    };
    digest_all(backend, job, &mut out);
    out
}

/// The leaf hashes of an RFC 9162 section 2.1.1 tree on SM3: SM3(0x00 || data).
#[must_use]
pub fn merkle_leaves(data: &[&[u8]]) -> Vec<[u8; DIGEST]> {
    merkle_leaves_with_backend(Backend::active(), data)
}

/// [`merkle_leaves`] with the kernels of `backend`.
#[must_use]
pub fn merkle_leaves_with_backend(backend: Backend, data: &[&[u8]]) -> Vec<[u8; DIGEST]> {
    let prefixed: Vec<[&[u8]; 2]> = data.iter().map(|data| [&[0][..], data]).collect();
    let mut out = vec![[0; DIGEST]; data.len()];
    digest_all(
        backend,
        |i| prefixed.get(i).map(|parts| plain(parts)),
        &mut out,
    );
    out
}

/// The level above `nodes` in an RFC 9162 section 2.1.1 tree on SM3: SM3(0x01 || left || right) of each pair. An
/// odd last node goes up as it is. Repeated until one node is left, this gives the root of a tree of any size.
#[must_use]
pub fn merkle_level(nodes: &[[u8; DIGEST]]) -> Vec<[u8; DIGEST]> {
    merkle_level_with_backend(Backend::active(), nodes)
}

/// [`merkle_level`] with the kernels of `backend`.
#[must_use]
pub fn merkle_level_with_backend(backend: Backend, nodes: &[[u8; DIGEST]]) -> Vec<[u8; DIGEST]> {
    let (pairs, odd) = nodes.as_chunks::<2>();
    let prefixed: Vec<[&[u8]; 2]> = pairs
        .iter()
        .map(|pair| [&[1][..], pair.as_flattened()])
        .collect();
    let mut out = vec![[0; DIGEST]; pairs.len()];
    digest_all(
        backend,
        |i| prefixed.get(i).map(|parts| plain(parts)),
        &mut out,
    );
    out.extend_from_slice(odd);
    out
}
