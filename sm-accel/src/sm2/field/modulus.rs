//! The prime p = 2^256 - 2^224 - 2^96 + 2^64 - 1 (GB/T 32918.5).

use crate::sm2::limbs::{Limbs, r_squared, sub, times_r};

/// p.
pub(crate) const P: Limbs = [
    0xffff_ffff_ffff_ffff,
    0xffff_ffff_0000_0000,
    0xffff_ffff_ffff_ffff,
    0xffff_fffe_ffff_ffff,
];

/// 2^256 mod p: one in Montgomery form.
pub(crate) const R: Limbs = sub(&[0; 4], &P).0;

/// 2^512 mod p, which brings a number into Montgomery form.
pub(crate) const R2: Limbs = r_squared(&P);

/// 2^768 mod p.
pub(crate) const R3: Limbs = times_r(&R2, &P);
