//! The matrices of the transformed basis, worked out at compile time.
//!
//! S(x) = A2·inv(A1·x ⊕ 0x65) ⊕ 0xd3, with `inv` the inversion of the AES field. The vector kernels keep y = A1·x for
//! every byte of every state word, so that A1 is applied once a block and not once a round. On bytes L is circulant:
//! output byte j is Σ Mᵢ·(input byte j - i), and M₂ = M₁, M₃ = M₀ ⊕ M₁. With aⱼ = G₀·inv(tⱼ), cⱼ = G₃·inv(tⱼ) and
//! Gᵢ = A1·Mᵢ·A2 a round is therefore, for dⱼ = cⱼ ⊕ aⱼ₊₁,
//!
//! > yⱼ ⊕ dⱼ ⊕ (d₀ ⊕ d₁ ⊕ d₂ ⊕ d₃)
//!
//! and only two linear maps of the inverse are needed. `AESENCLAST` gives s = F·inv(t) ⊕ 0x63 in place of the inverse:
//! its kernels use Gᵢ·F⁻¹. Constants go into the round keys.

#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // Evaluated at compile time.

use super::constants::{CK, FK, carries_constant};

/// Row k gives output bit k; bit i of a row selects input bit i.
pub(super) type Matrix = [u8; 8];

pub(super) const A1: Matrix = [0x34, 0xac, 0x25, 0x9e, 0x02, 0x2d, 0xbc, 0x52];
pub(super) const A2: Matrix = [0xd7, 0x2d, 0x8e, 0x51, 0x1e, 0x6c, 0x8b, 0x19];
/// The matrix of the AES S-box (FIPS 197, 5.1.1).
pub(super) const F: Matrix = [0xf1, 0xe3, 0xc7, 0x8f, 0x1f, 0x3e, 0x7c, 0xf8];
/// What is added to A1·x before the inversion.
pub(super) const IN: u8 = 0x65;
/// What is added after A2.
pub(super) const OUT: u8 = 0xd3;

/// x ↦ x ⊕ (x << 2): what stays in its byte of s ⊕ (s ⋘ 2).
pub(super) const M0: Matrix = [0x01, 0x02, 0x05, 0x0a, 0x14, 0x28, 0x50, 0xa0];
/// x ↦ x ⋘ 2 in the byte.
pub(super) const M1: Matrix = [0x40, 0x80, 0x01, 0x02, 0x04, 0x08, 0x10, 0x20];

pub(super) const G0: Matrix = product(A1, product(M0, A2));
pub(super) const G1: Matrix = product(A1, product(M1, A2));
pub(super) const G3: Matrix = sum(G0, G1);
pub(super) const A1_INVERSE: Matrix = inverse(A1);

/// G₀ and G₃ behind the AES S-box.
pub(super) const H0: Matrix = product(G0, inverse(F));
pub(super) const H3: Matrix = product(G3, inverse(F));

/// What a round adds to every byte when `inv` itself is used ...
pub(super) const ROUND_INV: u8 = apply(A1, OUT.rotate_left(2));
/// ... and when `AESENCLAST` adds 0x63 before the linear maps.
pub(super) const ROUND_AES: u8 = ROUND_INV ^ apply(product(G1, inverse(F)), 0x63);

// The key schedule. L'(s) = s ⊕ (s ⋘ 13) ⊕ (s ⋘ 23) is on bytes the four maps s, s << 5, s >> 3 ⊕ s << 7 and s >> 1, of
// the bytes j, j - 1, j - 2 and j - 3.
const L_PRIME: [Matrix; 4] = [
    [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80],
    [0, 0, 0, 0, 0, 0x01, 0x02, 0x04],
    [0x08, 0x10, 0x20, 0x40, 0x80, 0, 0, 0x01],
    [0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0],
];

/// The key schedule's four maps of the inverse, in the transformed basis.
pub(super) const K_INV: [Matrix; 4] = [
    product(A1, product(L_PRIME[0], A2)),
    product(A1, product(L_PRIME[1], A2)),
    product(A1, product(L_PRIME[2], A2)),
    product(A1, product(L_PRIME[3], A2)),
];
/// And behind the AES S-box.
pub(super) const K_AES: [Matrix; 4] = [
    product(K_INV[0], inverse(F)),
    product(K_INV[1], inverse(F)),
    product(K_INV[2], inverse(F)),
    product(K_INV[3], inverse(F)),
];
/// What has to be added behind them: the S-box's constant sent through L'.
pub(super) const K_INV_CONSTANT: u8 = l_prime_of_bytes(OUT);
/// The same behind the AES S-box: it undoes 0x63 in all four and adds the S-box's constant.
pub(super) const K_AES_CONSTANT: u8 = l_prime_of_bytes(apply(product(A2, inverse(F)), 0x63) ^ OUT);

/// A1 after L', of four equal bytes.
const fn l_prime_of_bytes(s: u8) -> u8 {
    let l = s ^ apply(L_PRIME[1], s) ^ apply(L_PRIME[2], s) ^ apply(L_PRIME[3], s);
    apply(A1, l)
}

/// CK in the transformed basis, ready to be added before the inversion; bytes of rising significance.
pub(super) const CK_IN: [u32; 32] = {
    let mut out = CK;
    let mut i = 0;
    while i < 32 {
        let b = CK[i].to_le_bytes();
        out[i] = u32::from_le_bytes([
            apply(A1, b[0]) ^ IN,
            apply(A1, b[1]) ^ IN,
            apply(A1, b[2]) ^ IN,
            apply(A1, b[3]) ^ IN,
        ]);
        i += 1;
    }
    out
};

/// [`CK_IN`] for a schedule that leaves out [`K_AES_CONSTANT`] in a round.
pub(super) static CK_AES: [u32; 32] = {
    let mut out = CK_IN;
    let mut i = 0;
    while i < 32 {
        if carries_constant(i) {
            out[i] ^= u32::from_ne_bytes([K_AES_CONSTANT; 4]);
        }
        i += 1;
    }
    out
};

/// What the schedule adds to its words, which lack `left_out` every other time, to give round keys for kernels that leave
/// out `constant` in a round: to the words of every first and every second four.
pub(super) const fn fold(constant: u8, left_out: u8) -> [[u32; 4]; 2] {
    let mut out = [[0; 4]; 2];
    let mut i = 0;
    while i < 8 {
        let carried = if carries_constant(i) { constant } else { 0 };
        let lacking = if i < 4 { left_out } else { 0 };
        out[i / 4][i % 4] = u32::from_ne_bytes([IN ^ carried ^ lacking; 4]);
        i += 1;
    }
    out
}

/// FK as it is added to a key's bytes.
pub(super) static FK_BYTES: [u8; 16] = {
    let mut out = [0; 16];
    let mut i = 0;
    while i < 16 {
        out[i] = FK[i / 4].to_be_bytes()[i % 4];
        i += 1;
    }
    out
};

pub(super) const fn apply(m: Matrix, x: u8) -> u8 {
    let mut out = 0;
    let mut k = 0;
    while k < 8 {
        out |= ((m[k] & x).count_ones() as u8 & 1) << k;
        k += 1;
    }
    out
}

pub(super) const fn sum(a: Matrix, b: Matrix) -> Matrix {
    let mut out = [0; 8];
    let mut k = 0;
    while k < 8 {
        out[k] = a[k] ^ b[k];
        k += 1;
    }
    out
}

/// a·b: b first.
pub(super) const fn product(a: Matrix, b: Matrix) -> Matrix {
    let mut out = [0; 8];
    let mut k = 0;
    while k < 8 {
        let mut i = 0;
        while i < 8 {
            if a[k] >> i & 1 == 1 {
                out[k] ^= b[i];
            }
            i += 1;
        }
        k += 1;
    }
    out
}

/// By Gauss and Jordan; the matrices here are regular.
pub(super) const fn inverse(mut a: Matrix) -> Matrix {
    let mut out: Matrix = [1, 2, 4, 8, 16, 32, 64, 128];
    let mut column = 0;
    while column < 8 {
        let mut pivot = column;
        while a[pivot] >> column & 1 == 0 {
            pivot += 1;
        }
        (a[column], a[pivot]) = (a[pivot], a[column]);
        (out[column], out[pivot]) = (out[pivot], out[column]);
        let mut row = 0;
        while row < 8 {
            if row != column && a[row] >> column & 1 == 1 {
                a[row] ^= a[column];
                out[row] ^= out[column];
            }
            row += 1;
        }
        column += 1;
    }
    out
}

/// The operand of `gf2p8affineqb`: row 0 is the most significant byte.
pub(super) const fn qword(m: Matrix) -> i64 {
    i64::from_be_bytes(m)
}

/// The map as two tables for `pshufb`, of the low and of the high half of a byte.
pub(super) const fn nibbles(m: Matrix) -> ([u8; 16], [u8; 16]) {
    let (mut low, mut high) = ([0; 16], [0; 16]);
    let mut x = 0u8;
    while x < 16 {
        low[x as usize] = apply(m, x);
        high[x as usize] = apply(m, x << 4);
        x += 1;
    }
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `m` on the four bytes of a word, without branch or table.
    fn apply_word(m: Matrix, x: u32) -> u32 {
        let ones = 0x0101_0101u32;
        (0..8).fold(0, |out, i| {
            // Column i, in every byte whose bit i is set.
            let column = u32::from(apply(m, 1 << i));
            out ^ ((x >> i) & ones).wrapping_mul(column)
        })
    }

    fn multiply(mut a: u8, mut b: u8) -> u8 {
        let mut out = 0;
        while b != 0 {
            if b & 1 == 1 {
                out ^= a;
            }
            a = a << 1 ^ if a & 0x80 == 0 { 0 } else { 0x1b };
            b >>= 1;
        }
        out
    }

    fn invert(x: u8) -> u8 {
        (0..=255).find(|y| multiply(x, *y) == 1).unwrap_or(0)
    }

    /// The S-box by the circuit, which the examples of the standard's annex check.
    fn sbox(x: u8) -> u8 {
        let planes =
            core::array::from_fn(|b| u64::from((x ^ super::super::sbox::SBOX_IN) >> b & 1));
        let out = super::super::sbox::sbox(planes);
        (0..8).fold(super::super::sbox::SBOX_OUT, |acc, b| {
            acc ^ (out[b] as u8 & 1) << b
        })
    }

    #[test]
    fn the_matrices_give_the_s_box() {
        assert_eq!(
            [sbox(0), sbox(1), sbox(2), sbox(0xff)],
            [0xd6, 0x90, 0xe9, 0x48]
        );
        for x in 0..=255 {
            assert_eq!(apply(A2, invert(apply(A1, x) ^ IN)) ^ OUT, sbox(x));
        }
    }

    #[test]
    fn matrices_of_the_design() {
        assert_eq!(G0, [0xf4, 0x6d, 0xb3, 0xed, 0x2d, 0xcf, 0xfd, 0x28]);
        assert_eq!(G1, [0x08, 0xc7, 0x0d, 0x01, 0x19, 0x20, 0x49, 0x89]);
        assert_eq!(G3, [0xfc, 0xaa, 0xbe, 0xec, 0x34, 0xef, 0xb4, 0xa1]);
        assert_eq!(ROUND_INV, 0x39);
        assert_eq!(product(A1, A1_INVERSE), [1, 2, 4, 8, 16, 32, 64, 128]);
    }

    #[test]
    fn a_round_in_the_transformed_basis() {
        let mut x = 0x9e37_79b9u32;
        for _ in 0..500 {
            x = x.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
            let s = u32::from_le_bytes(x.to_le_bytes().map(sbox));
            let l =
                s ^ s.rotate_left(2) ^ s.rotate_left(10) ^ s.rotate_left(18) ^ s.rotate_left(24);
            let t = x.to_le_bytes().map(|b| invert(apply(A1, b) ^ IN));
            let d: [u8; 4] = core::array::from_fn(|j| apply(G3, t[j]) ^ apply(G0, t[(j + 1) & 3]));
            let all = d[0] ^ d[1] ^ d[2] ^ d[3];
            let y = u32::from_le_bytes(d.map(|d| d ^ all ^ ROUND_INV));
            assert_eq!(apply_word(A1_INVERSE, y), l);
        }
    }
}
