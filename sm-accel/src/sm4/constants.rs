//! Constants of GB/T 32907-2016.

/// System parameter FK (7.3.2).
pub(super) const FK: [u32; 4] = [0xa3b1_bac6, 0x56aa_3350, 0x677d_9197, 0xb270_22dc];

/// Fixed parameter CK (7.3.3): byte j of `CK[i]` is (4i + j)·7 mod 256.
pub(super) const CK: [u32; 32] = ck();

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // Evaluated at compile time.
const fn ck() -> [u32; 32] {
    let mut out = [0u32; 32];
    let mut i = 0;
    while i < 32 {
        let mut j = 0;
        while j < 4 {
            out[i] = out[i] << 8 | (((4 * i + j) * 7) & 0xff) as u32;
            j += 1;
        }
        i += 1;
    }
    out
}

/// Where a round's output constant ends up when it is not added in the round but left out of the state: round
/// `i`'s key has to take it up where this is true. The four last words are free of it again.
///
/// State word i + 4 lacks the constant iff word i did not, and round i sums the words i + 1, i + 2 and i + 3. The
/// pattern reads the same backwards, so it serves decryption with the same keys in reverse.
pub(super) const fn carries_constant(round: usize) -> bool {
    matches!(round & 7, 1 | 3 | 4 | 6)
}
