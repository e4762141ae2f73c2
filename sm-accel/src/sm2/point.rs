//! Points of the curve y^2 = x^3 - 3x + b (GB/T 32918.5).
#![allow(
    clippy::indexing_slicing,
    reason = "ranges inside arrays of constant length"
)]

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::{DefaultIsZeroes, Zeroize, Zeroizing};

use crate::sm2::field::{Fe, FieldKernel, Portable};
use crate::sm2::limbs;
use crate::sm2::scalar::{N, Scalar};
use crate::taint;

/// The curve's b.
const B: Fe = Fe::constant(&[
    0xddbc_bd41_4d94_0e93,
    0xf397_89f5_15ab_8f92,
    0x4d5a_9e4b_cf65_09a7,
    0x28e9_fa9e_9d9f_5e34,
]);

/// A point with coordinates of its own: never the point at infinity.
#[derive(Clone, Copy, Default)]
pub(crate) struct Affine {
    pub(crate) x: Fe,
    pub(crate) y: Fe,
}

impl Affine {
    /// The base point G.
    pub(crate) const GENERATOR: Self = Self {
        x: Fe::constant(&[
            0x715a_4589_334c_74c7,
            0x8fe3_0bbf_f266_0be1,
            0x5f99_0446_6a39_c994,
            0x32c4_ae2c_1f19_8119,
        ]),
        y: Fe::constant(&[
            0x02df_32e5_2139_f0a0,
            0xd0a9_877c_c62a_4740,
            0x59bd_cee3_6b69_2153,
            0xbc37_36a2_f4f6_779c,
        ]),
    };

    /// Of the bytes `04 || x || y` or `02/03 || x` (GB/T 32918.1, 4.2.9); `None` unless that is a point of the
    /// curve, written in its one way. Variable time: for public points.
    pub(crate) fn from_sec1(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x04, coordinates @ ..] => {
                let (x, y) = coordinates.split_first_chunk::<32>()?;
                let point = Self {
                    x: Fe::from_bytes(x)?,
                    y: Fe::from_bytes(y.try_into().ok()?)?,
                };
                bool::from(point.is_on_curve()).then_some(point)
            }
            [tag @ (0x02 | 0x03), x @ ..] => {
                let x = Fe::from_bytes(x.try_into().ok()?)?;
                let y = curve_rhs(&x).sqrt()?;
                // The order is odd, so there is no point with y = 0.
                let other = y.is_odd() ^ Choice::from(tag & 1);
                Some(Self {
                    x,
                    y: Fe::conditional_select(&y, &y.neg(), other),
                })
            }
            _ => None,
        }
    }

    /// `04 || x || y`.
    pub(crate) fn to_sec1(self) -> [u8; 65] {
        let mut bytes = [0x04; 65];
        bytes[1..33].copy_from_slice(&self.x.to_bytes());
        bytes[33..].copy_from_slice(&self.y.to_bytes());
        bytes
    }

    /// `02 || x` or `03 || x`.
    pub(crate) fn to_sec1_compressed(self) -> [u8; 33] {
        let mut bytes = [0x02; 33];
        bytes[0] |= self.y.is_odd().unwrap_u8();
        bytes[1..].copy_from_slice(&self.x.to_bytes());
        bytes
    }

    /// Whether y^2 = x^3 - 3x + b.
    pub(crate) fn is_on_curve(&self) -> Choice {
        self.y.square().ct_eq(&curve_rhs(&self.x))
    }

    #[inline(always)]
    #[cfg(test)]
    pub(crate) fn neg(&self) -> Self {
        Self {
            x: self.x,
            y: self.y.neg(),
        }
    }
}

/// x^3 - 3x + b.
fn curve_rhs(x: &Fe) -> Fe {
    let cube = x.square().mul(x);
    cube.sub(&x.double().add(x)).add(&B)
}

impl ConditionallySelectable for Affine {
    #[inline(always)]
    fn conditional_select(a: &Self, b: &Self, choice: Choice) -> Self {
        Self {
            x: Fe::conditional_select(&a.x, &b.x, choice),
            y: Fe::conditional_select(&a.y, &b.y, choice),
        }
    }
}

impl ConstantTimeEq for Affine {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.x.ct_eq(&other.x) & self.y.ct_eq(&other.y)
    }
}

impl DefaultIsZeroes for Affine {}

/// A point in Jacobian coordinates: x = X / Z^2, y = Y / Z^3, and Z = 0 at infinity.
///
/// The coordinates depend on the way that led to the point, so they are as secret as the scalar was.
#[derive(Clone, Copy)]
pub(crate) struct Point {
    pub(crate) x: Fe,
    pub(crate) y: Fe,
    pub(crate) z: Fe,
}

impl Default for Point {
    fn default() -> Self {
        Self::IDENTITY
    }
}

impl Zeroize for Point {
    fn zeroize(&mut self) {
        self.x.zeroize();
        self.y.zeroize();
        self.z.zeroize();
    }
}

impl From<Affine> for Point {
    #[inline(always)]
    fn from(point: Affine) -> Self {
        Self {
            x: point.x,
            y: point.y,
            z: Fe::ONE,
        }
    }
}

impl ConditionallySelectable for Point {
    #[inline(always)]
    fn conditional_select(a: &Self, b: &Self, choice: Choice) -> Self {
        Self {
            x: Fe::conditional_select(&a.x, &b.x, choice),
            y: Fe::conditional_select(&a.y, &b.y, choice),
            z: Fe::conditional_select(&a.z, &b.z, choice),
        }
    }
}

impl Point {
    /// The point at infinity.
    pub(crate) const IDENTITY: Self = Self {
        x: Fe::ONE,
        y: Fe::ONE,
        z: Fe::ZERO,
    };

    #[inline(always)]
    pub(crate) fn is_identity(&self) -> Choice {
        self.z.is_zero()
    }

    #[inline(always)]
    pub(crate) fn neg(&self) -> Self {
        Self {
            x: self.x,
            y: self.y.neg(),
            z: self.z,
        }
    }

    /// `self + other` for any two points, in constant time, with the portable kernel.
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "protocols name the kernel; the tests do not")
    )]
    pub(crate) fn add(&self, other: &Self) -> Self {
        self.add_complete(Portable, other)
    }

    /// `2 self` for any point, in constant time, with the portable kernel.
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "protocols name the kernel; the tests do not")
    )]
    pub(crate) fn double(&self) -> Self {
        self.double_with(Portable)
    }

    /// `2 self`, right for every point: there is none with y = 0, and Z = 0 stays 0. 4 multiplications, 4
    /// squares.
    ///
    /// Usual doubling with all coordinates scaled by 1/2: Z' = YZ, M = 3(X - Z^2)(X + Z^2) / 2, S = XY^2, X' = M^2 -
    /// 2S, Y' = M(S - X') - Y^4.
    pub(crate) fn double_with<K: FieldKernel>(&self, k: K) -> Self {
        let mut doubled = *self;
        doubled.double_in_place(k);
        doubled
    }

    /// [`Point::double_with`] for loops: a point that is returned is copied, by loads wider than the stores just before
    /// them, and for those CPUs wait.
    // This and the additions are out of line: calls cost nothing beside a dozen multiplications, whereas copies in
    // every loop take a minute to compile.
    #[inline(never)]
    pub(crate) fn double_in_place<K: FieldKernel>(&mut self, k: K) {
        let zz = k.square(&self.z);
        let yy = k.square(&self.y);
        let t = k.mul(&k.sub(&self.x, &zz), &k.add(&self.x, &zz));
        let s = k.mul(&self.x, &yy);
        let m = k.add(&t, &k.half(&t));
        let yyyy = k.square(&yy);
        let mm = k.square(&m);
        self.z = k.mul(&self.y, &self.z);
        self.x = k.sub(&mm, &k.add(&s, &s));
        self.y = k.sub(&k.mul(&m, &k.sub(&s, &self.x)), &yyyy);
    }

    /// `self + other` for any two points, in constant time.
    #[inline(never)]
    pub(crate) fn add_complete<K: FieldKernel>(&self, k: K, other: &Self) -> Self {
        let (parts, h, r) = self.add_parts(k, other);
        let doubled = self.double_with(k);
        let result = Self::conditional_select(&parts, &doubled, h.is_zero() & r.is_zero());
        let result = Self::conditional_select(&result, other, self.is_identity());
        Self::conditional_select(&result, self, other.is_identity())
    }

    /// `self + other`, unless they are equal or one is infinity; right for opposite points. 12 multiplications, 4
    /// squares.
    #[inline(never)]
    pub(crate) fn add_distinct<K: FieldKernel>(&self, k: K, other: &Self) -> Self {
        self.add_parts(k, other).0
    }

    /// The sum of distinct points, and the differences of their coordinates (scaled).
    ///
    /// Here and in [`sum`], neighbouring lines need not wait for each other where that can be: CPUs look only two
    /// multiplications ahead.
    #[inline(always)]
    fn add_parts<K: FieldKernel>(&self, k: K, other: &Self) -> (Self, Fe, Fe) {
        let z1z1 = k.square(&self.z);
        let z2z2 = k.square(&other.z);
        let u2 = k.mul(&other.x, &z1z1);
        let u1 = k.mul(&self.x, &z2z2);
        let z1z1z1 = k.mul(&self.z, &z1z1);
        let z2z2z2 = k.mul(&other.z, &z2z2);
        let h = k.sub(&u2, &u1);
        let s2 = k.mul(&other.y, &z1z1z1);
        let s1 = k.mul(&self.y, &z2z2z2);
        let hh = k.square(&h);
        let z = k.mul(&self.z, &other.z);
        let r = k.sub(&s2, &s1);
        let added = sum(k, &u1, &s1, &h, &hh, &r, &z);
        (added, h, r)
    }

    /// `self + other` for any two points, in variable time: for public points.
    #[inline(never)]
    pub(crate) fn add_vartime<K: FieldKernel>(&self, k: K, other: &Self) -> Self {
        if self.z.is_zero_vartime() {
            return *other;
        }
        if other.z.is_zero_vartime() {
            return *self;
        }
        let (added, h, r) = self.add_parts(k, other);
        if h.is_zero_vartime() && r.is_zero_vartime() {
            return self.double_with(k);
        }
        added
    }

    /// The point's own coordinates; `None` at infinity, which alone the time tells.
    #[allow(
        clippy::wrong_self_convention,
        reason = "by reference: a copy would not be wiped"
    )]
    pub(crate) fn to_affine(&self) -> Option<Affine> {
        taint::public(!self.is_identity()).then(|| self.scaled(&Zeroizing::new(self.z.invert())))
    }

    /// [`Point::to_affine`] of every point, with one inversion for all.
    pub(crate) fn to_affine_many(points: &[Self]) -> Vec<Option<Affine>> {
        // Montgomery's trick, with one in the place of zeros.
        let mut before = Vec::with_capacity(points.len());
        let mut product = Fe::ONE;
        for point in points {
            before.push(product);
            let z = Fe::conditional_select(&point.z, &Fe::ONE, point.is_identity());
            product = product.mul(&z);
        }
        let mut inverse = product.invert();
        let mut affine = vec![None; points.len()];
        for ((point, before), affine) in points.iter().zip(&before).zip(&mut affine).rev() {
            let infinity = point.is_identity();
            let mut z = Fe::conditional_select(&point.z, &Fe::ONE, infinity);
            let mut own = inverse.mul(before);
            inverse = inverse.mul(&z);
            *affine = taint::public(!infinity).then(|| point.scaled(&own));
            z.zeroize();
            own.zeroize();
        }
        before.zeroize();
        product.zeroize();
        inverse.zeroize();
        affine
    }

    /// x and y, given 1 / Z.
    fn scaled(&self, z_inverse: &Fe) -> Affine {
        let square = z_inverse.square();
        Affine {
            x: self.x.mul(&square),
            y: self.y.mul(&square.mul(z_inverse)),
        }
    }
}

/// The end of an addition: of (x1, y1) over `z`, with the second point off it by `h`, whose square is `hh`, and `r`.
#[inline(always)]
fn sum<K: FieldKernel>(k: K, x1: &Fe, y1: &Fe, h: &Fe, hh: &Fe, r: &Fe, z: &Fe) -> Point {
    let rr = k.square(r);
    let v = k.mul(x1, hh);
    let hhh = k.mul(h, hh);
    let z = k.mul(z, h);
    let x = k.sub(&k.sub(&rr, &k.add(&v, &v)), &hhh);
    let yhhh = k.mul(y1, &hhh);
    let y = k.sub(&k.mul(r, &k.sub(&v, &x)), &yhhh);
    Point { x, y, z }
}

/// Whether the x coordinate of `point` is `v` modulo n, in variable time: for public points.
///
/// x is below p < 2n, so it is `v` or `v + n`. Without an inversion: X = v Z^2, or v + n < p and X = (v + n) Z^2.
pub(crate) fn x_matches(point: &Point, v: &Scalar) -> bool {
    if point.z.is_zero_vartime() {
        return false;
    }
    let zz = point.z.square();
    if Fe::from_canonical(v.limbs()).mul(&zz) == point.x {
        return true;
    }
    let (other, carry) = limbs::add(v.limbs(), &N);
    carry == 0 && Fe::is_canonical(&other) && Fe::from_canonical(&other).mul(&zz) == point.x
}
