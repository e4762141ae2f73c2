//! Where k comes from.

use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

use crate::cpu::Backend;
use crate::sm3::{Hmac, HmacJob, HmacKey, hmac_many_with_backend};

/// Gives candidates for k, one after the other.
pub(crate) trait Candidates {
    /// The next 32 bytes; whoever gives them wipes them.
    fn next(&mut self) -> &[u8; 32];
}

/// HMAC_DRBG on SM3 (NIST SP 800-90A section 10.1.2), seeded as RFC 6979 section 3.2 with section 3.6's
/// additional data: over d, e modulo n, and 32 fresh random bytes.
///
/// A repeated or poor random value alone does not repeat k, and neither does a repeated message: an attacker
/// needs both, and then sees the same signature twice.
pub(crate) struct Drbg {
    backend: Backend,
    // On the heap, like `v`: moves leave no copies.
    k: Box<HmacKey>,
    v: Box<[u8; 32]>,
    /// Whether `v` has been given away.
    used: bool,
}

/// What a generator is seeded with: d, e modulo n, and random bytes.
pub(crate) struct Seed<'a> {
    /// On the heap: moves leave no copies.
    pub(crate) d: Box<Zeroizing<[u8; 32]>>,
    pub(crate) e: [u8; 32],
    pub(crate) entropy: &'a [u8; 32],
}

/// The first K and V, which are constants.
const FIRST_K: [u8; 32] = [0; 32];
const FIRST_V: [u8; 32] = [1; 32];

/// The seeding up to d, the same for every signature of a key: kept, it saves three of twenty compressions. As secret
/// as d; on the heap, so that moves leave no copies, and wiped on drop.
pub(crate) struct SeedStart(Box<Hmac>);

impl SeedStart {
    pub(crate) fn new(backend: Backend, d: &[u8; 32]) -> Self {
        let mut start = Box::new(HmacKey::with_backend(backend, &FIRST_K).start());
        start.update(&FIRST_V);
        start.update(&[0]);
        start.update(d);
        Self(start)
    }
}

impl Drbg {
    /// With `start` made from the same d.
    pub(crate) fn new(backend: Backend, start: &SeedStart, seed: &Seed<'_>) -> Self {
        // Not the box: `tag` uses it up where it is, and drop wipes it there.
        let mut first = Hmac::clone(&start.0);
        first.update(&seed.e);
        first.update(seed.entropy);
        let key = Zeroizing::new(first.tag());
        let k = HmacKey::with_backend(backend, &*key);
        let mut v = Zeroizing::new(k.mac(&[&FIRST_V]));
        let key = Zeroizing::new(k.mac(&[&*v, &[1], &**seed.d, &seed.e, seed.entropy]));
        let k = Box::new(HmacKey::with_backend(backend, &*key));
        *v = k.mac(&[&*v]);
        // The first candidate, which everybody takes.
        *v = k.mac(&[&*v]);
        Self {
            backend,
            k,
            v: Box::new(*v),
            used: false,
        }
    }

    /// [`Drbg::new`] of every seed, hashing side by side.
    pub(crate) fn many(backend: Backend, seeds: &[Seed<'_>]) -> Vec<Self> {
        let zero = HmacKey::with_backend(backend, &FIRST_K);
        let mut keys: Vec<Box<HmacKey>> = Vec::new();
        let mut v = Zeroizing::new(vec![FIRST_V; seeds.len()]);
        for round in [[0u8], [1]] {
            let parts: Vec<[&[u8]; 5]> = seeds
                .iter()
                .zip(v.iter())
                .map(|(seed, v)| [v.as_slice(), &round, &**seed.d, &seed.e, seed.entropy])
                .collect();
            let jobs: Vec<_> = (0..)
                .zip(&parts)
                .map(|(i, parts)| HmacJob {
                    key: keys.get(i).map_or(&zero, |key| &**key),
                    parts,
                })
                .collect();
            let made = Zeroizing::new(hmac_many_with_backend(backend, &jobs));
            keys = made
                .iter()
                .map(|key| Box::new(HmacKey::with_backend(backend, key)))
                .collect();
            next_values(backend, &keys, &mut v);
        }
        next_values(backend, &keys, &mut v);
        keys.into_iter()
            .zip(v.iter())
            .map(|(k, v)| Self {
                backend,
                k,
                v: Box::new(*v),
                used: false,
            })
            .collect()
    }
}

/// Every V to its key's MAC of it.
fn next_values(backend: Backend, keys: &[Box<HmacKey>], values: &mut [[u8; 32]]) {
    let parts: Vec<[&[u8]; 1]> = values.iter().map(|v| [v.as_slice()]).collect();
    let jobs: Vec<_> = keys
        .iter()
        .zip(&parts)
        .map(|(key, parts)| HmacJob { key, parts })
        .collect();
    let next = Zeroizing::new(hmac_many_with_backend(backend, &jobs));
    for (value, next) in values.iter_mut().zip(next.iter()) {
        *value = *next;
    }
}

impl Candidates for Drbg {
    fn next(&mut self) -> &[u8; 32] {
        if self.used {
            let key = Zeroizing::new(self.k.mac(&[&*self.v, &[0]]));
            *self.k = HmacKey::with_backend(self.backend, &*key);
            *self.v = self.k.mac(&[&*self.v]);
            *self.v = self.k.mac(&[&*self.v]);
        }
        self.used = true;
        &self.v
    }
}

impl Drop for Drbg {
    fn drop(&mut self) {
        // `HmacKey` wipes itself.
        self.v.zeroize();
    }
}

impl ZeroizeOnDrop for Drbg {}
