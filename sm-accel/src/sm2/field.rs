//! The field of p = 2^256 - 2^224 - 2^96 + 2^64 - 1, in Montgomery form, constant time throughout.
//!
//! The arithmetic comes from a [`FieldKernel`], which whole point operations take as a type parameter, so that
//! the choice is made once a scalar multiplication.

#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
mod adx;
mod modulus;
mod portable;

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::DefaultIsZeroes;

use crate::barrier::barrier;
use crate::cpu::{Adx, Backend};
use crate::sm2::inverse::Modulus;
use crate::sm2::limbs::{self, Limbs};

use modulus::{P, R, R2, R3};

const INVERSE: Modulus = Modulus::new(&P);

/// The name of the kernel that a backend multiplies with.
pub(crate) fn kernel_name(backend: Backend) -> &'static str {
    match backend.adx() {
        Some(_) => "mulx-adx",
        None => "portable",
    }
}

/// How field elements are calculated with.
pub(crate) trait FieldKernel: Copy {
    /// `a * b`.
    fn mul(self, a: &Fe, b: &Fe) -> Fe;

    /// `a^2`.
    fn square(self, a: &Fe) -> Fe;

    /// `a + b`.
    fn add(self, a: &Fe, b: &Fe) -> Fe;

    /// `a - b`.
    fn sub(self, a: &Fe, b: &Fe) -> Fe;

    /// `a / 2`.
    fn half(self, a: &Fe) -> Fe;

    /// `-a` where `mask` is all ones, `a` where it is 0; `a` is not zero.
    fn negate_if(self, a: &Fe, mask: u64) -> Fe;
}

/// Plain Rust.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

impl FieldKernel for Portable {
    // Out of line: inlined dozens of times, these would be slower to compile by minutes and no faster to run.
    #[inline(never)]
    fn mul(self, a: &Fe, b: &Fe) -> Fe {
        Fe(portable::mul(&a.0, &b.0))
    }

    #[inline(never)]
    fn square(self, a: &Fe) -> Fe {
        Fe(portable::square(&a.0))
    }

    #[inline(always)]
    fn add(self, a: &Fe, b: &Fe) -> Fe {
        a.add(b)
    }

    #[inline(always)]
    fn sub(self, a: &Fe, b: &Fe) -> Fe {
        a.sub(b)
    }

    #[inline(always)]
    fn half(self, a: &Fe) -> Fe {
        Fe(limbs::half_mod(&a.0, &P))
    }

    #[inline(always)]
    fn negate_if(self, a: &Fe, mask: u64) -> Fe {
        Fe::blend(a, &a.neg(), mask)
    }
}

#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
impl FieldKernel for Adx {
    #[inline(always)]
    fn mul(self, a: &Fe, b: &Fe) -> Fe {
        Fe(adx::mul(self, &a.0, &b.0))
    }

    #[inline(always)]
    fn square(self, a: &Fe) -> Fe {
        Fe(adx::square(self, &a.0))
    }

    #[inline(always)]
    fn add(self, a: &Fe, b: &Fe) -> Fe {
        Fe(adx::add(self, &a.0, &b.0))
    }

    #[inline(always)]
    fn sub(self, a: &Fe, b: &Fe) -> Fe {
        Fe(adx::sub(self, &a.0, &b.0))
    }

    #[inline(always)]
    fn half(self, a: &Fe) -> Fe {
        Fe(adx::half(self, &a.0))
    }

    #[inline(always)]
    fn negate_if(self, a: &Fe, mask: u64) -> Fe {
        Fe(adx::negate_if(self, &a.0, mask))
    }
}

// There is no such token then; the code that would take it must still be typed.
#[cfg(not(all(target_arch = "x86_64", not(sm_accel_portable))))]
impl FieldKernel for Adx {
    fn mul(self, a: &Fe, b: &Fe) -> Fe {
        Portable.mul(a, b)
    }

    fn square(self, a: &Fe) -> Fe {
        Portable.square(a)
    }

    fn add(self, a: &Fe, b: &Fe) -> Fe {
        Portable.add(a, b)
    }

    fn sub(self, a: &Fe, b: &Fe) -> Fe {
        Portable.sub(a, b)
    }

    fn half(self, a: &Fe) -> Fe {
        Portable.half(a)
    }

    fn negate_if(self, a: &Fe, mask: u64) -> Fe {
        Portable.negate_if(a, mask)
    }
}

/// A field element: `x * 2^256 mod p`, always below p, so that equal elements have equal limbs.
#[derive(Clone, Copy, Default)]
pub(crate) struct Fe(Limbs);

impl Fe {
    pub(crate) const ZERO: Self = Self([0; 4]);
    pub(crate) const ONE: Self = Self(R);

    /// Of a number below p that is a constant: variable time.
    pub(crate) const fn constant(number: &Limbs) -> Self {
        Self(limbs::times_r(number, &P))
    }

    /// Of a number below p.
    pub(crate) fn from_canonical(number: &Limbs) -> Self {
        Self(portable::mul(number, &R2))
    }

    /// Whether the number is below p.
    pub(crate) const fn is_canonical(number: &Limbs) -> bool {
        limbs::sub(number, &P).1 == 1
    }

    /// The number, below p.
    pub(crate) fn to_canonical(self) -> Limbs {
        portable::mul(&self.0, &[1, 0, 0, 0])
    }

    /// Of 32 big-endian bytes; `None` unless the number is below p.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let number = limbs::from_be_bytes(bytes);
        Self::is_canonical(&number).then(|| Self::from_canonical(&number))
    }

    /// 32 big-endian bytes.
    pub(crate) fn to_bytes(self) -> [u8; 32] {
        limbs::to_be_bytes(&self.to_canonical())
    }

    /// The limbs in Montgomery form, for kernels and tables.
    #[inline(always)]
    pub(crate) const fn montgomery(&self) -> &Limbs {
        &self.0
    }

    /// Of limbs in Montgomery form, below p.
    #[inline(always)]
    pub(crate) const fn from_montgomery(limbs: Limbs) -> Self {
        Self(limbs)
    }

    #[inline(always)]
    pub(crate) fn add(&self, other: &Self) -> Self {
        Self(limbs::add_mod(&self.0, &other.0, &P))
    }

    #[inline(always)]
    pub(crate) fn sub(&self, other: &Self) -> Self {
        Self(limbs::sub_mod(&self.0, &other.0, &P))
    }

    #[inline(always)]
    pub(crate) fn double(&self) -> Self {
        self.add(self)
    }

    #[inline(always)]
    pub(crate) fn neg(&self) -> Self {
        Self::ZERO.sub(self)
    }

    /// With the portable kernel.
    pub(crate) fn mul(&self, other: &Self) -> Self {
        Portable.mul(self, other)
    }

    /// With the portable kernel.
    pub(crate) fn square(&self) -> Self {
        Portable.square(self)
    }

    /// `b` where `mask` is all ones, `a` where it is 0.
    #[inline(always)]
    pub(crate) fn blend(a: &Self, b: &Self, mask: u64) -> Self {
        Self(limbs::blend(&a.0, &b.0, barrier(mask)))
    }

    /// The inverse; zero of zero. Constant time.
    pub(crate) fn invert(&self) -> Self {
        // Of x 2^256 that is 1/x 2^-256: twice 2^256 is missing.
        Self(portable::mul(&INVERSE.invert(&self.0), &R3))
    }

    /// A square root, if there is one. p is 3 modulo 4: the candidate is `self^((p + 1) / 4)`. Only the answer's
    /// existence tells by time.
    pub(crate) fn sqrt(&self) -> Option<Self> {
        let k = Portable;
        let ones = Ones::new(k, self);
        // (p + 1) / 4 is 31 ones, 0, 128 ones, 31 zeros, 1, 62 zeros.
        let x64 = k.mul(&square_times(k, &ones.x32, 32), &ones.x32);
        let t = k.mul(&square_times(k, &ones.x31, 33), &ones.x32);
        let t = k.mul(&square_times(k, &t, 32), &ones.x32);
        let t = k.mul(&square_times(k, &t, 64), &x64);
        let t = k.mul(&square_times(k, &t, 32), self);
        let root = square_times(k, &t, 62);
        bool::from(root.square().ct_eq(self)).then_some(root)
    }

    #[inline(always)]
    pub(crate) fn is_zero(&self) -> Choice {
        self.ct_eq(&Self::ZERO)
    }

    /// Whether the number is odd.
    pub(crate) fn is_odd(&self) -> Choice {
        let [low, ..] = self.to_canonical();
        Choice::from((low & 1) as u8)
    }

    /// Whether this is zero, in variable time.
    #[inline(always)]
    pub(crate) fn is_zero_vartime(&self) -> bool {
        self.0 == [0; 4]
    }
}

/// `x` to powers whose binary digits are all ones.
struct Ones {
    x31: Fe,
    x32: Fe,
}

impl Ones {
    #[inline(always)]
    fn new<K: FieldKernel>(k: K, x: &Fe) -> Self {
        let x2 = k.mul(&k.square(x), x);
        let x3 = k.mul(&k.square(&x2), x);
        let x6 = k.mul(&square_times(k, &x3, 3), &x3);
        let x12 = k.mul(&square_times(k, &x6, 6), &x6);
        let x15 = k.mul(&square_times(k, &x12, 3), &x3);
        let x30 = k.mul(&square_times(k, &x15, 15), &x15);
        let x31 = k.mul(&k.square(&x30), x);
        let x32 = k.mul(&k.square(&x31), x);
        Self { x31, x32 }
    }
}

/// `x^(2^n)`.
#[inline(always)]
fn square_times<K: FieldKernel>(k: K, x: &Fe, n: u32) -> Fe {
    let mut x = *x;
    for _ in 0..n {
        x = k.square(&x);
    }
    x
}

impl ConstantTimeEq for Fe {
    #[inline(always)]
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl ConditionallySelectable for Fe {
    #[inline(always)]
    fn conditional_select(a: &Self, b: &Self, choice: Choice) -> Self {
        Self(limbs::select(&a.0, &b.0, choice))
    }
}

impl DefaultIsZeroes for Fe {}

#[cfg(test)]
impl core::fmt::Debug for Fe {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Fe({:016x?})", self.to_canonical())
    }
}

impl PartialEq for Fe {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for Fe {}
