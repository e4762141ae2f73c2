//! The compression function of GB/T 32905 section 5.3, for one message: plain Rust that each backend compiles
//! with its own instructions.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "constant indices, masked, into arrays of 16 and 64 words; words are added with wrapping_add"
)]
#![allow(
    clippy::many_single_char_names,
    clippy::too_many_arguments,
    reason = "the names of the standard"
)]

/// The eight chaining words.
pub(crate) type State = [u32; 8];

/// Length of a message block, in bytes.
pub(crate) const BLOCK: usize = 64;

/// Length of a digest, in bytes.
pub(crate) const DIGEST: usize = 32;

/// IV of section 4.1.
pub(crate) const IV: State = [
    0x7380_166f,
    0x4914_b2b9,
    0x1724_42d7,
    0xda8a_0600,
    0xa96f_30bc,
    0x1631_38aa,
    0xe38d_ee4d,
    0xb0fb_0e4e,
];

/// T_j <<< (j mod 32), section 4.2.
pub(crate) const T: [u32; 64] = {
    let mut t = [0; 64];
    let mut j = 0_u32;
    while j < 64 {
        let base: u32 = if j < 16 { 0x79cc_4519 } else { 0x7a87_9d8a };
        t[j as usize] = base.rotate_left(j % 32);
        j = j.wrapping_add(1);
    }
    t
};

#[inline(always)]
fn p0(x: u32) -> u32 {
    x ^ x.rotate_left(9) ^ x.rotate_left(17)
}

#[inline(always)]
fn p1(x: u32) -> u32 {
    x ^ x.rotate_left(15) ^ x.rotate_left(23)
}

#[inline(always)]
fn ff<const J: usize>(x: u32, y: u32, z: u32) -> u32 {
    if J < 16 {
        x ^ y ^ z
    } else {
        (x & y) | ((x | y) & z)
    }
}

#[inline(always)]
fn gg<const J: usize>(x: u32, y: u32, z: u32) -> u32 {
    if J < 16 {
        x ^ y ^ z
    } else {
        (x & y) | (!x & z)
    }
}

/// One round; the caller rotates the names, so that only B and D, F and H change.
#[inline(always)]
fn round<const J: usize>(
    a: u32,
    b: &mut u32,
    c: u32,
    d: &mut u32,
    e: u32,
    f: &mut u32,
    g: u32,
    h: &mut u32,
    w: u32,
    w4: u32,
) {
    let a12 = a.rotate_left(12);
    let ss1 = a12.wrapping_add(T[J]).wrapping_add(e).rotate_left(7);
    let ss2 = ss1 ^ a12;
    let tt1 = ff::<J>(a, *b, c)
        .wrapping_add(*d)
        .wrapping_add(w ^ w4)
        .wrapping_add(ss2);
    let tt2 = gg::<J>(e, *f, g)
        .wrapping_add(*h)
        .wrapping_add(w)
        .wrapping_add(ss1);
    *d = tt1;
    *b = b.rotate_left(9);
    *h = p0(tt2);
    *f = f.rotate_left(19);
}

/// Message word J + 16 of section 5.3.2, in the place of word J.
#[inline(always)]
fn expand<const J: usize>(w: &mut [u32; 16]) -> u32 {
    let x = w[J & 15] ^ w[(J + 7) & 15] ^ w[(J + 13) & 15].rotate_left(15);
    let x = p1(x) ^ w[(J + 3) & 15].rotate_left(7) ^ w[(J + 10) & 15];
    w[J & 15] = x;
    x
}

/// Absorbs whole blocks, one after the other.
#[inline(always)]
pub(crate) fn compress_blocks(state: &mut State, blocks: &[[u8; BLOCK]]) {
    let mut w = [0_u32; 16];
    for block in blocks {
        let (bytes, _) = block.as_chunks::<4>();
        for (word, bytes) in w.iter_mut().zip(bytes) {
            *word = u32::from_be_bytes(*bytes);
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
        macro_rules! four {
            ($($j:literal)*) => {$(
                four!(@ ($j) a b c d e f g h);
                four!(@ ($j + 1) d a b c h e f g);
                four!(@ ($j + 2) c d a b g h e f);
                four!(@ ($j + 3) b c d a f g h e);
            )*};
            (@ ($j:expr) $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
                let word = w[$j & 15];
                let later = if $j < 12 { w[($j + 4) & 15] } else { expand::<{ $j - ($j >= 12) as usize * 12 }>(&mut w) };
                round::<{ $j }>($a, &mut $b, $c, &mut $d, $e, &mut $f, $g, &mut $h, word, later);
            };
        }
        four!(0 4 8 12 16 20 24 28 32 36 40 44 48 52 56 60);
        for (s, x) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *s ^= x;
        }
    }
    // The words may come from a key.
    w = [0; 16];
    zeroize::optimization_barrier(&w);
}
