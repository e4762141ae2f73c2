//! GHASH for every CPU: carry-less multiplication from integer multiplication, without tables or branches.
//!
//! An operand split into four words of every fourth bit has holes of three zero bits, which take up the carries
//! of an integer product as long as at most 15 bits meet at one place. One factor's words therefore hold 60
//! bits, 15 each, and its four top bits are multiplied by mask. The other factor keeps all 64. Products of a
//! whole group of blocks are added before the holes are cleared and before the one reduction.
//!
//! Multiplication of 64 by 64 bits takes constant time on the 64-bit CPUs of today; on small 32-bit cores it may
//! not, as with every portable GHASH of this kind.

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Blocks between two reductions.
pub(super) const GROUP: usize = 4;

/// Every fourth bit.
const HOLES: u64 = 0x1111_1111_1111_1111;

/// Powers of the hash key, H^4 first, H last.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Key([Power; GROUP]);

/// A power, split for Karatsuba's three products.
#[derive(Zeroize, Default)]
struct Power {
    low: Factor,
    high: Factor,
    middle: Factor,
}

/// 64 bits, prepared as a factor.
#[derive(Zeroize, Default)]
struct Factor {
    /// Bits 0 to 59, every fourth in a word.
    spread: [u64; 4],
    /// Bits 60 to 63, a mask each.
    top: [u64; 4],
}

impl Factor {
    fn new(word: u64) -> Self {
        let body = word & (u64::MAX >> 4);
        let mask = |bit: u64| 0_u64.wrapping_sub(bit & 1);
        Self {
            spread: [
                body & HOLES,
                body & (HOLES << 1),
                body & (HOLES << 2),
                body & (HOLES << 3),
            ],
            top: [
                mask(word >> 60),
                mask(word >> 61),
                mask(word >> 62),
                mask(word >> 63),
            ],
        }
    }
}

impl Power {
    fn new(value: u128) -> Self {
        let (low, high) = halves(value);
        Self {
            low: Factor::new(low),
            high: Factor::new(high),
            middle: Factor::new(low ^ high),
        }
    }
}

impl Key {
    pub(super) fn new(h: u128) -> Self {
        let first = Power::new(h);
        let square = multiply(h, &first);
        let cube = multiply(square, &first);
        let fourth = multiply(cube, &first);
        Self([
            Power::new(fourth),
            Power::new(cube),
            Power::new(square),
            first,
        ])
    }
}

/// `hash` after `blocks`.
pub(super) fn update(key: &Key, hash: u128, blocks: &[[u8; 16]]) -> u128 {
    blocks.chunks(GROUP).fold(hash, |hash, group| {
        let mut words = [0_u128; GROUP];
        for (word, block) in words.iter_mut().zip(group) {
            *word = u128::from_be_bytes(*block);
        }
        if let Some(first) = words.first_mut() {
            *first ^= hash;
        }
        let powers = key.0.get(GROUP.saturating_sub(group.len())..);
        sum_of_products(&words, powers.unwrap_or_default())
    })
}

fn multiply(value: u128, power: &Power) -> u128 {
    sum_of_products(&[value], core::slice::from_ref(power))
}

/// Sum of `words[i]` times `powers[i]`, reduced.
fn sum_of_products(words: &[u128], powers: &[Power]) -> u128 {
    let low = dot(words
        .iter()
        .zip(powers)
        .map(|(x, power)| (halves(*x).0, &power.low)));
    let high = dot(words
        .iter()
        .zip(powers)
        .map(|(x, power)| (halves(*x).1, &power.high)));
    let middle = dot(words.iter().zip(powers).map(|(x, power)| {
        let (low, high) = halves(*x);
        (low ^ high, &power.middle)
    }));
    let middle = middle ^ low ^ high;
    reduce(low ^ (middle << 64), high ^ (middle >> 64))
}

/// Sum of carry-less products of 64 by 64 bits.
fn dot<'a>(factors: impl Iterator<Item = (u64, &'a Factor)>) -> u128 {
    // Sums of the products whose bits lie at 0, 1, 2 and 3 modulo 4.
    let (mut s0, mut s1, mut s2, mut s3) = (0_u128, 0_u128, 0_u128, 0_u128);
    let (mut t0, mut t1, mut t2, mut t3) = (0_u64, 0_u64, 0_u64, 0_u64);
    for (x, factor) in factors {
        let [h0, h1, h2, h3] = factor.spread;
        let x0 = x & HOLES;
        let x1 = x & (HOLES << 1);
        let x2 = x & (HOLES << 2);
        let x3 = x & (HOLES << 3);
        s0 ^= wide(x0, h0) ^ wide(x1, h3) ^ wide(x2, h2) ^ wide(x3, h1);
        s1 ^= wide(x0, h1) ^ wide(x1, h0) ^ wide(x2, h3) ^ wide(x3, h2);
        s2 ^= wide(x0, h2) ^ wide(x1, h1) ^ wide(x2, h0) ^ wide(x3, h3);
        s3 ^= wide(x0, h3) ^ wide(x1, h2) ^ wide(x2, h1) ^ wide(x3, h0);
        let [m0, m1, m2, m3] = factor.top;
        t0 ^= x & m0;
        t1 ^= x & m1;
        t2 ^= x & m2;
        t3 ^= x & m3;
    }
    let holes = u128::from(HOLES) << 64 | u128::from(HOLES);
    let body = s0 & holes | s1 & (holes << 1) | s2 & (holes << 2) | s3 & (holes << 3);
    let top =
        u128::from(t0) ^ (u128::from(t1) << 1) ^ (u128::from(t2) << 2) ^ (u128::from(t3) << 3);
    body ^ (top << 60)
}

fn wide(a: u64, b: u64) -> u128 {
    u128::from(a).wrapping_mul(u128::from(b))
}

fn halves(value: u128) -> (u64, u64) {
    #[allow(clippy::cast_possible_truncation, reason = "the low half is meant")]
    (value as u64, (value >> 64) as u64)
}

/// The 256-bit product over x^128, modulo x^128 + x^127 + x^126 + x^121 + 1.
fn reduce(low: u128, high: u128) -> u128 {
    let (v0, mut v1) = halves(low);
    let (mut v2, mut v3) = halves(high);
    v2 ^= v0 ^ (v0 >> 1) ^ (v0 >> 2) ^ (v0 >> 7);
    v1 ^= (v0 << 63) ^ (v0 << 62) ^ (v0 << 57);
    v3 ^= v1 ^ (v1 >> 1) ^ (v1 >> 2) ^ (v1 >> 7);
    v2 ^= (v1 << 63) ^ (v1 << 62) ^ (v1 << 57);
    u128::from(v3) << 64 | u128::from(v2)
}
