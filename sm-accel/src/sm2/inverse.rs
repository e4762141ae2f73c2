//! Inverses modulo an odd number by division steps (Bernstein and Yang, "Fast constant-time gcd computation and
//! modular inversion", with the half-delta variant's bound): constant time, no multiplications modulo anything.
//!
//! A division step acts on the low bits of f and g alone, so 59 of them are gathered in a 2 x 2 matrix, which is
//! then applied to all of f and g, and modulo the modulus to d and e. Throughout `d x = f` and `e x = g` modulo the
//! modulus; 590 steps bring g to 0 and f to ±1 for every modulus below 2^256, so
//! that d is ± the inverse then. The same is done in libsecp256k1.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "sums stay in 128 bits, as argued where they are made; indices are constants below the length"
)]

use zeroize::Zeroize;

use crate::barrier::barrier;
use crate::sm2::limbs::{Limbs, inverse_mod_2_64};

/// 62 ones.
const LOW: u64 = u64::MAX >> 2;

/// Batches of 59 steps: 590 are enough.
const BATCHES: usize = 10;

/// A signed number: the sum of limb i times 2^(62 i), limbs 0 to 3 in [0, 2^62), limb 4 with the sign.
type Signed = [i64; 5];

/// An odd modulus below 2^256.
pub(crate) struct Modulus {
    limbs: Signed,
    /// The inverse modulo 2^62.
    inverse: u64,
}

/// The matrix (u v; q r) of a batch of steps, times 8: 2^62 times what it does to f and g.
struct Matrix {
    u: i64,
    v: i64,
    q: i64,
    r: i64,
}

impl Modulus {
    pub(crate) const fn new(modulus: &Limbs) -> Self {
        Self {
            limbs: split(modulus),
            inverse: inverse_mod_2_64(modulus[0]) & LOW,
        }
    }

    /// The inverse of `x`, which is below this; 0 of 0. In constant time.
    pub(crate) fn invert(&self, x: &Limbs) -> Limbs {
        let mut d = [0; 5];
        let mut e = [1, 0, 0, 0, 0];
        let mut f = self.limbs;
        let mut g = split(x);
        // -(delta + 1/2), for a delta that begins at 1/2.
        let mut zeta = -1;
        for _ in 0..BATCHES {
            let matrix = steps(&mut zeta, f[0] as u64, g[0] as u64);
            self.update(&mut d, &mut e, &matrix);
            apply(&mut f, &mut g, &matrix);
        }
        let inverse = join(&self.normalize(d, f[4]));
        d.zeroize();
        e.zeroize();
        f.zeroize();
        g.zeroize();
        inverse
    }

    /// (d, e) to the matrix times (d, e), divided by 2^62 modulo the modulus m. Both are in (-2m, m), before and
    /// after: sums of absolute values in a row of the matrix are at most 2^62.
    #[inline(always)]
    fn update(&self, d: &mut Signed, e: &mut Signed, matrix: &Matrix) {
        let Matrix { u, v, q, r } = *matrix;
        // m is added once for each negative number, which brings both into (-m, m) before the matrix.
        let (negative_d, negative_e) = (sign_mask(d[4]), sign_mask(e[4]));
        let mut multiple_d = (u & negative_d) + (v & negative_e);
        let mut multiple_e = (q & negative_d) + (r & negative_e);
        let mut sum_d = wide(u, d[0]) + wide(v, e[0]);
        let mut sum_e = wide(q, d[0]) + wide(r, e[0]);
        // Less the multiple of m, from 0 to 2^62 - 1, that makes the lowest 62 bits zero.
        multiple_d -= self.cancel(sum_d, multiple_d);
        multiple_e -= self.cancel(sum_e, multiple_e);
        sum_d += wide(self.limbs[0], multiple_d);
        sum_e += wide(self.limbs[0], multiple_e);
        sum_d >>= 62;
        sum_e >>= 62;
        for i in 1..5 {
            sum_d += wide(u, d[i]) + wide(v, e[i]) + wide(self.limbs[i], multiple_d);
            sum_e += wide(q, d[i]) + wide(r, e[i]) + wide(self.limbs[i], multiple_e);
            d[i - 1] = low(sum_d);
            e[i - 1] = low(sum_e);
            sum_d >>= 62;
            sum_e >>= 62;
        }
        d[4] = sum_d as i64;
        e[4] = sum_e as i64;
    }

    /// The t in [0, 2^62) with `sum + (multiple - t) m` divisible by 2^62.
    #[inline(always)]
    fn cancel(&self, sum: i128, multiple: i64) -> i64 {
        let t = self
            .inverse
            .wrapping_mul(sum as u64)
            .wrapping_add(multiple as u64);
        (t & LOW) as i64
    }

    /// `number`, in (-2m, m), negated if `sign` is negative, modulo the modulus m.
    fn normalize(&self, mut number: Signed, sign: i64) -> Signed {
        self.add_if_negative(&mut number);
        let negate = sign_mask(sign);
        for limb in &mut number {
            *limb = (*limb ^ negate) - negate;
        }
        carry(&mut number);
        self.add_if_negative(&mut number);
        carry(&mut number);
        number
    }

    #[inline(always)]
    fn add_if_negative(&self, number: &mut Signed) {
        let negative = sign_mask(number[4]);
        for (limb, modulus) in number.iter_mut().zip(&self.limbs) {
            *limb += modulus & negative;
        }
    }
}

/// 59 division steps on f and g, of which the low 62 bits are given.
#[inline(always)]
fn steps(zeta: &mut i64, mut f: u64, mut g: u64) -> Matrix {
    let a = some_steps::<30>(zeta, &mut f, &mut g);
    let b = some_steps::<29>(zeta, &mut f, &mut g);
    // b a, times 8.
    Matrix {
        u: (b.u * a.u + b.v * a.q) << 3,
        v: (b.u * a.v + b.v * a.r) << 3,
        q: (b.q * a.u + b.r * a.q) << 3,
        r: (b.q * a.v + b.r * a.r) << 3,
    }
}

/// N division steps, at most 30: their matrix times 2^N. In a row absolute values add up to 2^N at most.
#[inline(always)]
fn some_steps<const N: usize>(zeta: &mut i64, f: &mut u64, g: &mut u64) -> Matrix {
    // Each row of the matrix is one number, `left + 2^32 right`: what happens to it is linear. Up to 2^30 each half
    // has room for its sign.
    const { assert!(N <= 30) };
    let (mut of_f, mut of_g) = (1u64, 1u64 << 32);
    let mut z = *zeta;
    for _ in 0..N {
        let negative = barrier((z >> 63) as u64);
        let odd = barrier((*g & 1).wrapping_neg());
        let swap = negative & odd;
        // g and its row take f's or, where zeta is negative, the opposite, if g is odd. Where both hold f becomes the
        // old g. zeta becomes -zeta - 2, else zeta - 1.
        let minus = |x: u64| (x ^ negative).wrapping_sub(negative);
        let choose = |x: u64, y: u64| x ^ ((x ^ y) & swap);
        (*f, *g) = (choose(*f, *g), g.wrapping_add(minus(*f) & odd) >> 1);
        (of_f, of_g) = (
            choose(of_f, of_g) << 1,
            of_g.wrapping_add(minus(of_f) & odd),
        );
        z = (z ^ swap as i64).wrapping_sub(1);
    }
    *zeta = z;
    let left = |row: u64| i64::from(row as i32);
    let right = |row: u64| (row as i64).wrapping_sub(left(row)) >> 32;
    Matrix {
        u: left(of_f),
        v: right(of_f),
        q: left(of_g),
        r: right(of_g),
    }
}

/// (f, g) to the matrix times (f, g), divided by 2^62: no remainder.
#[inline(always)]
fn apply(f: &mut Signed, g: &mut Signed, matrix: &Matrix) {
    let Matrix { u, v, q, r } = *matrix;
    let mut sum_f = (wide(u, f[0]) + wide(v, g[0])) >> 62;
    let mut sum_g = (wide(q, f[0]) + wide(r, g[0])) >> 62;
    for i in 1..5 {
        sum_f += wide(u, f[i]) + wide(v, g[i]);
        sum_g += wide(q, f[i]) + wide(r, g[i]);
        f[i - 1] = low(sum_f);
        g[i - 1] = low(sum_g);
        sum_f >>= 62;
        sum_g >>= 62;
    }
    f[4] = sum_f as i64;
    g[4] = sum_g as i64;
}

#[inline(always)]
const fn wide(a: i64, b: i64) -> i128 {
    a as i128 * b as i128
}

/// The low 62 bits.
#[inline(always)]
const fn low(sum: i128) -> i64 {
    (sum as u64 & LOW) as i64
}

/// All ones for a negative number, else 0.
#[inline(always)]
fn sign_mask(limb: i64) -> i64 {
    barrier((limb >> 63) as u64) as i64
}

/// Brings limbs 0 to 3 into [0, 2^62).
#[inline(always)]
fn carry(number: &mut Signed) {
    for i in 0..4 {
        number[i + 1] += number[i] >> 62;
        number[i] &= LOW as i64;
    }
}

const fn split(number: &Limbs) -> Signed {
    let [a, b, c, d] = *number;
    [
        (a & LOW) as i64,
        ((a >> 62 | b << 2) & LOW) as i64,
        ((b >> 60 | c << 4) & LOW) as i64,
        ((c >> 58 | d << 6) & LOW) as i64,
        (d >> 56) as i64,
    ]
}

/// Of a number in [0, 2^256).
fn join(number: &Signed) -> Limbs {
    let [a, b, c, d, e] = number.map(|limb| limb as u64);
    [
        a | b << 62,
        b >> 2 | c << 60,
        c >> 4 | d << 58,
        d >> 6 | e << 56,
    ]
}
