//! Sums of many affine points, in extended Jacobian coordinates.

use zeroize::{Zeroize, Zeroizing};

use crate::sm2::field::{Fe, FieldKernel};
use crate::sm2::point::{Affine, Point};
use crate::taint;

/// A point as x = X / ZZ and y = Y / ZZZ, with ZZ^3 = ZZZ^2, and ZZ = 0 at infinity.
///
/// An affine point is added with one multiplication fewer than in Jacobian coordinates, and with fewer that wait for
/// each other; a doubling takes one more.
#[derive(Clone, Copy)]
pub(crate) struct Xyzz {
    x: Fe,
    y: Fe,
    zz: Fe,
    zzz: Fe,
}

impl Zeroize for Xyzz {
    fn zeroize(&mut self) {
        self.x.zeroize();
        self.y.zeroize();
        self.zz.zeroize();
        self.zzz.zeroize();
    }
}

impl From<Affine> for Xyzz {
    #[inline(always)]
    fn from(point: Affine) -> Self {
        Self {
            x: point.x,
            y: point.y,
            zz: Fe::ONE,
            zzz: Fe::ONE,
        }
    }
}

impl Xyzz {
    /// The point at infinity.
    pub(crate) const IDENTITY: Self = Self {
        x: Fe::ONE,
        y: Fe::ONE,
        zz: Fe::ZERO,
        zzz: Fe::ZERO,
    };

    /// Of Jacobian coordinates. 1 multiplication, 1 square.
    #[inline(always)]
    pub(crate) fn from_point<K: FieldKernel>(k: K, point: &Point) -> Self {
        let zz = k.square(&point.z);
        Self {
            x: point.x,
            y: point.y,
            zz,
            zzz: k.mul(&zz, &point.z),
        }
    }

    /// The same point in Jacobian coordinates, with Z = ZZZ. 3 multiplications, 1 square.
    #[inline(always)]
    pub(crate) fn to_point<K: FieldKernel>(self, k: K) -> Point {
        let square = k.square(&self.zz);
        Point {
            x: k.mul(&self.x, &square),
            y: k.mul(&self.y, &k.mul(&square, &self.zz)),
            z: self.zzz,
        }
    }

    /// x of the point itself; `None` at infinity, which alone the time tells.
    pub(crate) fn affine_x(&self) -> Option<Fe> {
        taint::public(!self.zz.is_zero()).then(|| self.x.mul(&Zeroizing::new(self.zz.invert())))
    }

    /// `other` where `mask` is all ones, `self` where it is 0.
    #[inline(always)]
    pub(crate) fn blend(&self, other: &Self, mask: u64) -> Self {
        Self {
            x: Fe::blend(&self.x, &other.x, mask),
            y: Fe::blend(&self.y, &other.y, mask),
            zz: Fe::blend(&self.zz, &other.zz, mask),
            zzz: Fe::blend(&self.zzz, &other.zzz, mask),
        }
    }

    /// Doubles any point. 7 multiplications, 2 squares.
    ///
    /// With U = 2Y: S = X U^2, M = 3(X - ZZ)(X + ZZ), X' = M^2 - 2S, Y' = M(S - X') - U^3 Y, ZZ' = U^2 ZZ,
    /// ZZZ' = U^3 ZZZ.
    // Out of line, as the formulas of `point`. In place: a sum that is returned is copied, by loads wider than the
    // stores just before them, and for those CPUs wait.
    #[inline(never)]
    pub(crate) fn double<K: FieldKernel>(&mut self, k: K) {
        let u = k.add(&self.y, &self.y);
        let uu = k.square(&u);
        let t = k.mul(&k.sub(&self.x, &self.zz), &k.add(&self.x, &self.zz));
        let s = k.mul(&self.x, &uu);
        let uuu = k.mul(&u, &uu);
        let m = k.add(&t, &k.add(&t, &t));
        self.zz = k.mul(&uu, &self.zz);
        let mm = k.square(&m);
        self.x = k.sub(&mm, &k.add(&s, &s));
        self.zzz = k.mul(&uuu, &self.zzz);
        let yuuu = k.mul(&uuu, &self.y);
        self.y = k.sub(&k.mul(&m, &k.sub(&s, &self.x)), &yuuu);
    }

    /// Adds `other`, unless it is equal or this is infinity; right for opposite points. 8 multiplications, 2 squares.
    // As `double`.
    #[inline(never)]
    pub(crate) fn add_distinct<K: FieldKernel>(&mut self, k: K, other: &Affine) {
        let (h, r) = self.differences(k, other);
        self.add_parts(k, &h, &r);
    }

    /// Adds any point, in variable time: for public points.
    #[inline(never)]
    pub(crate) fn add_vartime<K: FieldKernel>(&mut self, k: K, other: &Affine) {
        if self.zz.is_zero_vartime() {
            *self = Self::from(*other);
            return;
        }
        let (h, r) = self.differences(k, other);
        if h.is_zero_vartime() {
            match r.is_zero_vartime() {
                true => self.double(k),
                false => *self = Self::IDENTITY,
            }
            return;
        }
        self.add_parts(k, &h, &r);
    }

    /// How far `other` is off this point, times ZZ in x and times ZZZ in y.
    #[inline(always)]
    fn differences<K: FieldKernel>(&self, k: K, other: &Affine) -> (Fe, Fe) {
        let x = k.mul(&other.x, &self.zz);
        let y = k.mul(&other.y, &self.zzz);
        (k.sub(&x, &self.x), k.sub(&y, &self.y))
    }

    /// Adds the point that is off by these differences.
    #[inline(always)]
    fn add_parts<K: FieldKernel>(&mut self, k: K, h: &Fe, r: &Fe) {
        let hh = k.square(h);
        let rr = k.square(r);
        let v = k.mul(&self.x, &hh);
        let hhh = k.mul(h, &hh);
        self.zz = k.mul(&self.zz, &hh);
        self.x = k.sub(&k.sub(&rr, &k.add(&v, &v)), &hhh);
        let yhhh = k.mul(&self.y, &hhh);
        self.zzz = k.mul(&self.zzz, &hhh);
        self.y = k.sub(&k.mul(r, &k.sub(&v, &self.x)), &yhhh);
    }
}
