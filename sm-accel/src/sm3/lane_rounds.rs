//! The compression function over lanes: one message in each 32-bit element of a vector.
//!
//! A kernel file brings `Vector`, `add`, `xor`, `xor3`, `majority`, `choose`, `rotl12`, `rotl7`, `rotl9`,
//! `rotl19`, `rotl15`, `p0`, `p1` and `splat`; the macro puts the rounds between them, so that everything is
//! compiled with the kernel's own instructions.

/// `lane_rounds!(state, words)`: 64 rounds over `state: &mut [Vector; 8]`, `words: &mut [Vector; 16]`.
macro_rules! lane_rounds {
    ($state:expr, $words:expr) => {{
        let state: &mut [Vector; 8] = $state;
        let w: &mut [Vector; 16] = $words;
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;

        // Word s + 16, into the place of word s.
        macro_rules! expand {
            ($s:expr) => {{
                let s: usize = $s;
                let x = xor3(w[s], w[(s + 7) & 15], rotl15(w[(s + 13) & 15]));
                let x = xor3(p1(x), rotl7(w[(s + 3) & 15]), w[(s + 10) & 15]);
                w[s] = x;
                x
            }};
        }
        macro_rules! round {
            ($t:expr, $w0:expr, $w4:expr, $ff:ident, $gg:ident,
             $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {{
                let w0 = $w0;
                let mixed = xor(w0, $w4);
                let a12 = rotl12($a);
                let ss1 = rotl7(add(add(a12, splat($t)), $e));
                let ss2 = xor(ss1, a12);
                let tt1 = add(add(add($d, mixed), $ff($a, $b, $c)), ss2);
                let tt2 = add(add(add($h, w0), $gg($e, $f, $g)), ss1);
                $d = tt1;
                $b = rotl9($b);
                $h = p0(tt2);
                $f = rotl19($f);
            }};
        }
        macro_rules! four {
            ($t:expr, $first:expr, $later:ident, $ff:ident, $gg:ident) => {
                round!(T[$t], w[$first], $later!($first), $ff, $gg, a b c d e f g h);
                round!(T[$t + 1], w[$first + 1], $later!($first + 1), $ff, $gg, d a b c h e f g);
                round!(T[$t + 2], w[$first + 2], $later!($first + 2), $ff, $gg, c d a b g h e f);
                round!(T[$t + 3], w[$first + 3], $later!($first + 3), $ff, $gg, b c d a f g h e);
            };
        }
        // The word four rounds later: there already, or to be expanded.
        macro_rules! given {
            ($j:expr) => {
                w[$j + 4]
            };
        }
        macro_rules! expanded {
            ($j:expr) => {
                expand!(($j + 4) & 15)
            };
        }
        four!(0, 0, given, xor3, xor3);
        four!(4, 4, given, xor3, xor3);
        four!(8, 8, given, xor3, xor3);
        four!(12, 12, expanded, xor3, xor3);
        let mut t = 16;
        while t < 64 {
            four!(t, 0, expanded, majority, choose);
            four!(t + 4, 4, expanded, majority, choose);
            four!(t + 8, 8, expanded, majority, choose);
            four!(t + 12, 12, expanded, majority, choose);
            t += 16;
        }
        for (s, x) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *s = xor(*s, x);
        }
    }};
}

pub(crate) use lane_rounds;
