//! Many signatures at once: one result an item, the one that the single call gives.

use zeroize::{Zeroize as _, Zeroizing};

use crate::cpu::Backend;
use crate::error::Error;
use crate::sm2::comb::mul_base;
use crate::sm2::nonce::{Drbg, Seed};
use crate::sm2::point::Point;
use crate::sm2::random;
use crate::sm2::scalar::Scalar;
use crate::sm2::sign::{SigningKey, finish, next_nonce, sign_with_candidates};
use crate::sm2::signature::Signature;
use crate::sm2::verify::{PreparedKey, VerifyingKey, check};
use crate::sm3;

/// Items worked on together: enough to fill lanes and to share an inversion, few enough to stay in the cache.
const BATCH: usize = 64;

/// Over what a signature is.
#[derive(Clone, Copy)]
enum Signed<'a> {
    Message(&'a [u8]),
    Prehash(&'a [u8; 32]),
}

/// A key that checks signatures, [prepared](PreparedKey) or not, by reference.
#[derive(Clone, Copy, Debug)]
pub struct VerifyWith<'a>(Key<'a>);

#[derive(Clone, Copy, Debug)]
enum Key<'a> {
    Plain(&'a VerifyingKey),
    Prepared(&'a PreparedKey),
}

impl<'a> From<&'a VerifyingKey> for VerifyWith<'a> {
    fn from(key: &'a VerifyingKey) -> Self {
        Self(Key::Plain(key))
    }
}

impl<'a> From<&'a PreparedKey> for VerifyWith<'a> {
    fn from(key: &'a PreparedKey) -> Self {
        Self(Key::Prepared(key))
    }
}

impl<'a> VerifyWith<'a> {
    fn z(&self) -> &'a [u8; 32] {
        match self.0 {
            Key::Plain(key) => key.z(),
            Key::Prepared(key) => key.verifying_key().z(),
        }
    }

    fn combine(&self, backend: Backend, s: &Scalar, t: &Scalar) -> Point {
        match self.0 {
            Key::Plain(key) => key.combine(backend, s, t),
            Key::Prepared(key) => key.combine(backend, s, t),
        }
    }
}

/// One signature to check, for [`verify_many`].
#[derive(Clone, Copy)]
pub struct VerifyItem<'a> {
    key: VerifyWith<'a>,
    signed: Signed<'a>,
    signature: &'a Signature,
}

impl<'a> VerifyItem<'a> {
    /// A signature over `message`, by a `&VerifyingKey` or a `&PreparedKey`.
    pub fn new(
        key: impl Into<VerifyWith<'a>>,
        message: &'a [u8],
        signature: &'a Signature,
    ) -> Self {
        Self {
            key: key.into(),
            signed: Signed::Message(message),
            signature,
        }
    }

    /// A signature over e = SM3(Z ‖ M), as [`VerifyingKey::digest`] computes it.
    pub fn prehash(
        key: impl Into<VerifyWith<'a>>,
        e: &'a [u8; 32],
        signature: &'a Signature,
    ) -> Self {
        Self {
            key: key.into(),
            signed: Signed::Prehash(e),
            signature,
        }
    }
}

/// Checks every signature: result `i` is what [`VerifyingKey::verify`] says of item `i`.
///
/// Each is checked by itself, in no random linear combination, so that a false one never hides behind others, and
/// whatever stands beside an item does not touch its result.
///
/// ```
/// use sm_accel::sm2::{SecretKey, SigningKey, VerifyItem, verify_many};
///
/// let key = SigningKey::new(SecretKey::generate()?);
/// let signature = key.sign(b"message")?;
/// let items = [b"message", b"massage"].map(|m| VerifyItem::new(key.verifying_key(), m, &signature));
/// let results = verify_many(&items);
/// assert!(results[0].is_ok() && results[1].is_err());
/// # Ok::<(), sm_accel::Error>(())
/// ```
#[must_use = "one result an item"]
pub fn verify_many(items: &[VerifyItem<'_>]) -> Vec<Result<(), Error>> {
    verify_many_with_backend(Backend::active(), items)
}

/// [`verify_many`] on `backend`, whatever the keys were made with.
#[must_use = "one result an item"]
pub fn verify_many_with_backend(
    backend: Backend,
    items: &[VerifyItem<'_>],
) -> Vec<Result<(), Error>> {
    let mut results = Vec::with_capacity(items.len());
    for items in items.chunks(BATCH) {
        let digests = digests(
            backend,
            items.iter().map(|item| (item.key.z(), item.signed)),
        );
        results.extend(
            items
                .iter()
                .zip(&digests)
                .map(|(item, e)| check(e, item.signature, |s, t| item.key.combine(backend, s, t))),
        );
    }
    results
}

/// One message to sign, for [`sign_many`].
#[derive(Clone, Copy)]
pub struct SignItem<'a> {
    key: &'a SigningKey,
    signed: Signed<'a>,
    entropy: Option<&'a [u8; 32]>,
}

impl<'a> SignItem<'a> {
    /// To sign `message`.
    pub fn new(key: &'a SigningKey, message: &'a [u8]) -> Self {
        Self {
            key,
            signed: Signed::Message(message),
            entropy: None,
        }
    }

    /// To sign e = SM3(Z ‖ M), as [`VerifyingKey::digest`] computes it.
    pub fn prehash(key: &'a SigningKey, e: &'a [u8; 32]) -> Self {
        Self {
            key,
            signed: Signed::Prehash(e),
            entropy: None,
        }
    }

    /// Takes these 32 random bytes in place of the operating system's, as
    /// [`SigningKey::sign_prehash_with_entropy`] does.
    #[must_use]
    pub fn with_entropy(mut self, entropy: &'a [u8; 32]) -> Self {
        self.entropy = Some(entropy);
        self
    }
}

/// Signs every message: result `i` is a signature as [`SigningKey::sign`] makes for item `i`, and with the same
/// entropy the same signature.
///
/// One inversion serves a batch, and what is hashed is hashed side by side.
///
/// # Errors
/// Item by item [`Error::Random`], when the operating system's generator fails.
#[must_use = "one result an item"]
pub fn sign_many(items: &[SignItem<'_>]) -> Vec<Result<Signature, Error>> {
    sign_many_with_backend(Backend::active(), items)
}

/// [`sign_many`] on `backend`, whatever the keys were made with.
///
/// # Errors
/// As [`sign_many`].
#[must_use = "one result an item"]
pub fn sign_many_with_backend(
    backend: Backend,
    items: &[SignItem<'_>],
) -> Vec<Result<Signature, Error>> {
    let mut results = Vec::with_capacity(items.len());
    for items in items.chunks(BATCH) {
        sign_batch(backend, items, &mut results);
    }
    results
}

/// What one item needs from A3 on.
struct Job<'a> {
    key: &'a SigningKey,
    e: Scalar,
    drbg: Drbg,
    k: Zeroizing<Scalar>,
}

fn sign_batch(
    backend: Backend,
    items: &[SignItem<'_>],
    results: &mut Vec<Result<Signature, Error>>,
) {
    // One call for all: each costs as much as a few hashes.
    let mut fresh = Zeroizing::new([[0u8; 32]; BATCH]);
    let wanted = items.iter().filter(|item| item.entropy.is_none()).count();
    let mut failed = None;
    if let Some(room) = fresh.get_mut(..wanted) {
        failed = random::fill(room.as_flattened_mut()).err();
    }
    let mut fresh = fresh.iter();

    // A1, A2: e = SM3(Z ‖ M)
    let digests = digests(
        backend,
        items
            .iter()
            .map(|item| (item.key.verifying_key().z(), item.signed)),
    );
    // A3: k in [1, n-1]
    let seeds: Vec<Option<(Scalar, Seed<'_>)>> = items
        .iter()
        .zip(&digests)
        .map(|(item, e)| {
            let entropy = match item.entropy {
                Some(entropy) => entropy,
                None => fresh.next().filter(|_| failed.is_none())?,
            };
            let e = Scalar::reduce(e);
            Some((e, item.key.seed(&e, entropy)))
        })
        .collect();
    let (es, seeds): (Vec<Option<Scalar>>, Vec<Option<Seed<'_>>>) =
        seeds.into_iter().map(Option::unzip).unzip();
    let seeds: Vec<Seed<'_>> = seeds.into_iter().flatten().collect();
    let mut generators = Drbg::many(backend, &seeds).into_iter();
    // Used in place and not moved: a move would leave k in the vector.
    let mut jobs: Vec<Option<Job<'_>>> = items
        .iter()
        .zip(es)
        .map(|(item, e)| {
            let e = e?;
            let mut drbg = generators.next()?;
            let k = next_nonce(&mut drbg);
            Some(Job {
                key: item.key,
                e,
                drbg,
                k,
            })
        })
        .collect();

    // A4: (x1, y1) = [k]G, made affine with one inversion for all
    // Room for all at once: a vector that grows leaves copies behind.
    let mut points: Vec<Point> = Vec::with_capacity(items.len());
    points.extend(jobs.iter().flatten().map(|job| mul_base(backend, &job.k)));
    let affine = Point::to_affine_many(&points);
    points.zeroize();

    let mut affine = affine.iter();
    results.extend(jobs.iter_mut().map(|job| {
        let job = job.as_mut().ok_or(failed.unwrap_or(Error::Random))?;
        let secret = job.key.secret_key();
        // A5 to A7
        let signature = affine.next().and_then(|point| {
            let x1 = Scalar::reduce(&point.as_ref()?.x.to_bytes());
            finish(secret, &job.e, &job.k, &x1)
        });
        // Back to A3, alone: near 2^-256.
        Ok(signature
            .unwrap_or_else(|| sign_with_candidates(backend, secret, &job.e, &mut job.drbg)))
    }));
}

/// e of every item from its Z and message, side by side; a digest that is given already takes its own place.
fn digests<'a>(
    backend: Backend,
    items: impl Iterator<Item = (&'a [u8; 32], Signed<'a>)> + Clone,
) -> Vec<[u8; 32]> {
    let messages: Vec<[&[u8]; 2]> = items
        .clone()
        .filter_map(|(z, signed)| match signed {
            Signed::Message(message) => Some([z.as_slice(), message]),
            Signed::Prehash(_) => None,
        })
        .collect();
    let messages: Vec<&[&[u8]]> = messages.iter().map(|parts| parts.as_slice()).collect();
    let hashed = sm3::hash_parts_many_with_backend(backend, &messages);
    let mut hashed = hashed.into_iter();
    items
        .map(|(_, signed)| match signed {
            // One digest a message: none is missing.
            Signed::Message(_) => hashed.next().unwrap_or_default(),
            Signed::Prehash(e) => *e,
        })
        .collect()
}
