//! The field of p = 2^256 - 2^224 - 2^96 + 2^64 - 1, in Montgomery form, constant time throughout.
//!
//! Additions are the same on every CPU; multiplications come from a [`FieldKernel`], which whole point
//! operations take as a type parameter, so that the choice is made once a scalar multiplication.

mod modulus;
mod portable;

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::DefaultIsZeroes;

use crate::cpu::Adx;
use crate::sm2::limbs::{self, Limbs};

use modulus::{P, R, R2};

/// How field elements are multiplied.
pub(crate) trait FieldKernel: Copy {
    /// `a * b`.
    fn mul(self, a: &Fe, b: &Fe) -> Fe;

    /// `a^2`.
    fn square(self, a: &Fe) -> Fe;
}

/// Plain Rust.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

impl FieldKernel for Portable {
    #[inline(always)]
    fn mul(self, a: &Fe, b: &Fe) -> Fe {
        Fe(portable::mul(&a.0, &b.0))
    }

    #[inline(always)]
    fn square(self, a: &Fe) -> Fe {
        Fe(portable::square(&a.0))
    }
}

impl FieldKernel for Adx {
    #[inline(always)]
    fn mul(self, a: &Fe, b: &Fe) -> Fe {
        Fe(portable::mul(&a.0, &b.0))
    }

    #[inline(always)]
    fn square(self, a: &Fe) -> Fe {
        Fe(portable::square(&a.0))
    }
}

/// A field element: `x * 2^256 mod p`, always below p, so that equal elements have equal limbs.
#[derive(Clone, Copy, Default)]
pub(crate) struct Fe(Limbs);

impl Fe {
    pub(crate) const ZERO: Self = Self([0; 4]);
    pub(crate) const ONE: Self = Self(R);

    /// Of a number below p.
    pub(crate) const fn from_canonical(number: &Limbs) -> Self {
        Self(portable::mul(number, &R2))
    }

    /// Whether the number is below p.
    pub(crate) const fn is_canonical(number: &Limbs) -> bool {
        limbs::sub(number, &P).1 == 1
    }

    /// The number, below p.
    pub(crate) const fn to_canonical(self) -> Limbs {
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
    pub(crate) const fn add(&self, other: &Self) -> Self {
        Self(limbs::add_mod(&self.0, &other.0, &P))
    }

    #[inline(always)]
    pub(crate) const fn sub(&self, other: &Self) -> Self {
        Self(limbs::sub_mod(&self.0, &other.0, &P))
    }

    #[inline(always)]
    pub(crate) const fn double(&self) -> Self {
        self.add(self)
    }

    #[inline(always)]
    pub(crate) const fn neg(&self) -> Self {
        Self::ZERO.sub(self)
    }

    /// With the portable kernel.
    pub(crate) const fn mul(&self, other: &Self) -> Self {
        Self(portable::mul(&self.0, &other.0))
    }

    /// With the portable kernel.
    pub(crate) const fn square(&self) -> Self {
        Self(portable::square(&self.0))
    }

    /// The inverse; zero of zero. Constant time.
    pub(crate) fn invert(&self) -> Self {
        self.pow(&[P[0].wrapping_sub(2), P[1], P[2], P[3]])
    }

    /// A square root, if there is one. p is 3 modulo 4: the candidate is `self^((p + 1) / 4)`.
    pub(crate) fn sqrt(&self) -> Option<Self> {
        // (p + 1) / 4
        let root = self.pow(&[
            0x4000_0000_0000_0000,
            0xffff_ffff_c000_0000,
            0xffff_ffff_ffff_ffff,
            0x3fff_ffff_bfff_ffff,
        ]);
        bool::from(root.square().ct_eq(self)).then_some(root)
    }

    /// To a public power.
    fn pow(&self, exponent: &Limbs) -> Self {
        let mut x = Self::ONE;
        for limb in exponent.iter().rev() {
            for bit in (0..64).rev() {
                x = x.square();
                if (limb >> bit) & 1 == 1 {
                    x = x.mul(self);
                }
            }
        }
        x
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
