//! Field multiplication with `mulx`, `adcx` and `adox`: two carry chains at once.
//!
//! Straight-line code: no branch, and no address that depends on a value.
#![allow(
    unsafe_code,
    reason = "LLVM does not make two carry chains, so this is inline assembly"
)]

use core::arch::asm;

use crate::cpu::Adx;
use crate::sm2::limbs::Limbs;

/// `@limb` makes the lowest limb u vanish: it adds u p (p is -1 modulo 2^64) and divides by 2^64, where
/// (u p + u) / 2^64 = u 2^192 - (u 2^32) 2^128 - (u 2^32 - u): shifts, and one chain of borrows. `$a` to `$c` are the
/// limbs above u, whose place is that of the fourth then. Four limbs hold the result, whatever those four were.
///
/// After four of them the upper half is added, and p taken off once: `t0` to `t3`, below p.
macro_rules! reduce {
    () => {
        concat!(
            "add {t4}, {t0}\n",
            "adc {t5}, {t1}\n",
            "adc {t6}, {t2}\n",
            "adc {t7}, {t3}\n",
            "mov edx, 0\n",
            "adc edx, 0\n",
            "mov {lo}, 0xffffffff00000000\n",
            "mov {hi}, 0xfffffffeffffffff\n",
            "mov {t0}, {t4}\n",
            "sub {t0}, -1\n",
            "mov {t1}, {t5}\n",
            "sbb {t1}, {lo}\n",
            "mov {t2}, {t6}\n",
            "sbb {t2}, -1\n",
            "mov {t3}, {t7}\n",
            "sbb {t3}, {hi}\n",
            "sbb edx, 0\n",
            "cmovc {t0}, {t4}\n",
            "cmovc {t1}, {t5}\n",
            "cmovc {t2}, {t6}\n",
            "cmovc {t3}, {t7}\n",
        )
    };
    (@limb $u:literal, $a:literal, $b:literal, $c:literal, $free:literal) => {
        concat!(
            "mov {lo}, {",
            $u,
            "}\n",
            "mov {hi}, {",
            $u,
            "}\n",
            "shl {lo}, 32\n",
            "shr {hi}, 32\n",
            // u 2^32 - u
            "mov rdx, {lo}\n",
            "mov {",
            $free,
            "}, {hi}\n",
            "sub rdx, {",
            $u,
            "}\n",
            "sbb {",
            $free,
            "}, 0\n",
            "sub {",
            $a,
            "}, rdx\n",
            "sbb {",
            $b,
            "}, {",
            $free,
            "}\n",
            "sbb {",
            $c,
            "}, {lo}\n",
            "sbb {",
            $u,
            "}, {hi}\n",
        )
    };
}

/// One row of the product: limb `$i` of a times b, added from `t$i` up; `$top` receives the last high limb,
/// `$zero` is overwritten (`a` itself after its last limb).
macro_rules! row {
    ($offset:literal, $t0:literal, $t1:literal, $t2:literal, $t3:literal, $top:literal, $zero:literal) => {
        concat!(
            "mov rdx, [{a} + ",
            $offset,
            "]\n",
            // Zero, and both carries off.
            "xor {",
            $zero,
            ":e}, {",
            $zero,
            ":e}\n",
            "mulx {hi}, {lo}, [{b}]\n",
            "adcx {",
            $t0,
            "}, {lo}\n",
            "adox {",
            $t1,
            "}, {hi}\n",
            "mulx {hi}, {lo}, [{b} + 8]\n",
            "adcx {",
            $t1,
            "}, {lo}\n",
            "adox {",
            $t2,
            "}, {hi}\n",
            "mulx {hi}, {lo}, [{b} + 16]\n",
            "adcx {",
            $t2,
            "}, {lo}\n",
            "adox {",
            $t3,
            "}, {hi}\n",
            "mulx {",
            $top,
            "}, {lo}, [{b} + 24]\n",
            "adcx {",
            $t3,
            "}, {lo}\n",
            "adox {",
            $top,
            "}, {",
            $zero,
            "}\n",
            "adcx {",
            $top,
            "}, {",
            $zero,
            "}\n",
        )
    };
}

/// `a * b / 2^256` modulo p, below p, for both below p.
#[inline(always)]
pub(crate) fn mul(_: Adx, a: &Limbs, b: &Limbs) -> Limbs {
    let (t0, t1, t2, t3): (u64, u64, u64, u64);
    // SAFETY: `Adx` proves that the CPU has BMI2 and ADX. Only the 32 bytes behind each of the two references are
    // read, nothing is written, the stack is not touched, and every register changed is an output.
    unsafe {
        asm!(
            "mov rdx, [{a}]",
            "mulx {t1}, {t0}, [{b}]",
            "mulx {t2}, {lo}, [{b} + 8]",
            "add {t1}, {lo}",
            "mulx {t3}, {lo}, [{b} + 16]",
            "adc {t2}, {lo}",
            "mulx {t4}, {lo}, [{b} + 24]",
            "adc {t3}, {lo}",
            "adc {t4}, 0",
            // A limb vanishes as soon as it is whole: beside the next row's products, which do not wait for it.
            reduce!(@limb "t0", "t1", "t2", "t3", "t7"),
            row!("8", "t1", "t2", "t3", "t4", "t5", "t7"),
            reduce!(@limb "t1", "t2", "t3", "t0", "t7"),
            row!("16", "t2", "t3", "t4", "t5", "t6", "t7"),
            reduce!(@limb "t2", "t3", "t0", "t1", "t7"),
            row!("24", "t3", "t4", "t5", "t6", "t7", "a"),
            reduce!(@limb "t3", "t0", "t1", "t2", "a"),
            reduce!(),
            a = inout(reg) a.as_ptr() => _,
            b = in(reg) b.as_ptr(),
            t0 = out(reg) t0,
            t1 = out(reg) t1,
            t2 = out(reg) t2,
            t3 = out(reg) t3,
            t4 = out(reg) _,
            t5 = out(reg) _,
            t6 = out(reg) _,
            t7 = out(reg) _,
            lo = out(reg) _,
            hi = out(reg) _,
            out("rdx") _,
            options(pure, readonly, nostack),
        );
    }
    [t0, t1, t2, t3]
}

/// `a^2 / 2^256` modulo p, below p, for `a` below p.
#[inline(always)]
pub(crate) fn square(_: Adx, a: &Limbs) -> Limbs {
    let (t0, t1, t2, t3): (u64, u64, u64, u64);
    // SAFETY: as for `mul`.
    unsafe {
        asm!(
            // Products of different limbs.
            "mov rdx, [{a}]",
            "mulx {t2}, {t1}, [{a} + 8]",
            "mulx {t3}, {lo}, [{a} + 16]",
            "add {t2}, {lo}",
            "mulx {t4}, {lo}, [{a} + 24]",
            "adc {t3}, {lo}",
            "adc {t4}, 0",
            "mov rdx, [{a} + 8]",
            "xor {hi:e}, {hi:e}",
            "mulx {hi}, {lo}, [{a} + 16]",
            "adcx {t3}, {lo}",
            "adox {t4}, {hi}",
            "mulx {t5}, {lo}, [{a} + 24]",
            "mov {hi:e}, 0",
            "adcx {t4}, {lo}",
            "adox {t5}, {hi}",
            "adcx {t5}, {hi}",
            "mov rdx, [{a} + 16]",
            "mulx {t6}, {lo}, [{a} + 24]",
            "add {t5}, {lo}",
            "adc {t6}, 0",
            // Doubled in one chain, the squares added in the other.
            "mov rdx, [{a}]",
            "xor {t7:e}, {t7:e}",
            "mulx {hi}, {t0}, rdx",
            "adcx {t1}, {t1}",
            "adox {t1}, {hi}",
            "mov rdx, [{a} + 8]",
            "mulx {hi}, {lo}, rdx",
            "adcx {t2}, {t2}",
            "adox {t2}, {lo}",
            "adcx {t3}, {t3}",
            "adox {t3}, {hi}",
            "mov rdx, [{a} + 16]",
            "mulx {hi}, {lo}, rdx",
            "adcx {t4}, {t4}",
            "adox {t4}, {lo}",
            "adcx {t5}, {t5}",
            "adox {t5}, {hi}",
            "mov rdx, [{a} + 24]",
            "mulx {hi}, {lo}, rdx",
            "adcx {t6}, {t6}",
            "adox {t6}, {lo}",
            "adcx {t7}, {t7}",
            "adox {t7}, {hi}",
            reduce!(@limb "t0", "t1", "t2", "t3", "a"),
            reduce!(@limb "t1", "t2", "t3", "t0", "a"),
            reduce!(@limb "t2", "t3", "t0", "t1", "a"),
            reduce!(@limb "t3", "t0", "t1", "t2", "a"),
            reduce!(),
            a = inout(reg) a.as_ptr() => _,
            t0 = out(reg) t0,
            t1 = out(reg) t1,
            t2 = out(reg) t2,
            t3 = out(reg) t3,
            t4 = out(reg) _,
            t5 = out(reg) _,
            t6 = out(reg) _,
            t7 = out(reg) _,
            lo = out(reg) _,
            hi = out(reg) _,
            out("rdx") _,
            options(pure, readonly, nostack),
        );
    }
    [t0, t1, t2, t3]
}

/// `a + b` modulo p, both below p.
#[inline(always)]
pub(crate) fn add(_: Adx, a: &Limbs, b: &Limbs) -> Limbs {
    let [mut t0, mut t1, mut t2, mut t3] = *a;
    // SAFETY: only the 32 bytes behind `b` are read, nothing is written, the stack is not touched, and every
    // register changed is an output; every CPU has these instructions.
    unsafe {
        asm!(
            "mov {p1}, 0xffffffff00000000",
            "mov {p3}, 0xfffffffeffffffff",
            "add {t0}, [{b}]",
            "adc {t1}, [{b} + 8]",
            "adc {t2}, [{b} + 16]",
            "adc {t3}, [{b} + 24]",
            "mov {carry:e}, 0",
            "adc {carry:e}, 0",
            // Less p, unless that borrows from the carry.
            "mov {s0}, {t0}",
            "sub {s0}, -1",
            "mov {s1}, {t1}",
            "sbb {s1}, {p1}",
            "mov {s2}, {t2}",
            "sbb {s2}, -1",
            "mov {s3}, {t3}",
            "sbb {s3}, {p3}",
            "sbb {carry:e}, 0",
            "cmovnc {t0}, {s0}",
            "cmovnc {t1}, {s1}",
            "cmovnc {t2}, {s2}",
            "cmovnc {t3}, {s3}",
            b = in(reg) b.as_ptr(),
            t0 = inout(reg) t0,
            t1 = inout(reg) t1,
            t2 = inout(reg) t2,
            t3 = inout(reg) t3,
            p1 = out(reg) _,
            p3 = out(reg) _,
            s0 = out(reg) _,
            s1 = out(reg) _,
            s2 = out(reg) _,
            s3 = out(reg) _,
            carry = out(reg) _,
            options(pure, readonly, nostack),
        );
    }
    [t0, t1, t2, t3]
}

/// `a - b` modulo p, both below p.
#[inline(always)]
pub(crate) fn sub(_: Adx, a: &Limbs, b: &Limbs) -> Limbs {
    let [mut t0, mut t1, mut t2, mut t3] = *a;
    // SAFETY: as for `add`.
    unsafe {
        asm!(
            "sub {t0}, [{b}]",
            "sbb {t1}, [{b} + 8]",
            "sbb {t2}, [{b} + 16]",
            "sbb {t3}, [{b} + 24]",
            // Plus p, if that borrowed.
            "sbb {m}, {m}",
            "mov {m1}, {m}",
            "shl {m1}, 32",
            "mov {m3}, {m}",
            "btr {m3}, 32",
            "add {t0}, {m}",
            "adc {t1}, {m1}",
            "adc {t2}, {m}",
            "adc {t3}, {m3}",
            b = in(reg) b.as_ptr(),
            t0 = inout(reg) t0,
            t1 = inout(reg) t1,
            t2 = inout(reg) t2,
            t3 = inout(reg) t3,
            m = out(reg) _,
            m1 = out(reg) _,
            m3 = out(reg) _,
            options(pure, readonly, nostack),
        );
    }
    [t0, t1, t2, t3]
}

/// `a / 2` modulo p, for `a` below p.
#[inline(always)]
pub(crate) fn half(_: Adx, a: &Limbs) -> Limbs {
    let [mut t0, mut t1, mut t2, mut t3] = *a;
    // SAFETY: registers alone are changed, by instructions that every CPU has.
    unsafe {
        asm!(
            // Plus p, if odd.
            "mov {m:e}, {t0:e}",
            "and {m:e}, 1",
            "neg {m}",
            "mov {m1}, {m}",
            "shl {m1}, 32",
            "mov {m3}, {m}",
            "btr {m3}, 32",
            "add {t0}, {m}",
            "adc {t1}, {m1}",
            "adc {t2}, {m}",
            "adc {t3}, {m3}",
            "rcr {t3}, 1",
            "rcr {t2}, 1",
            "rcr {t1}, 1",
            "rcr {t0}, 1",
            t0 = inout(reg) t0,
            t1 = inout(reg) t1,
            t2 = inout(reg) t2,
            t3 = inout(reg) t3,
            m = out(reg) _,
            m1 = out(reg) _,
            m3 = out(reg) _,
            options(pure, nomem, nostack),
        );
    }
    [t0, t1, t2, t3]
}

/// `p - a` where `mask` is all ones, `a` where it is 0, for `a` in [1, p - 1].
#[inline(always)]
pub(crate) fn negate_if(_: Adx, a: &Limbs, mask: u64) -> Limbs {
    let [mut t0, mut t1, mut t2, mut t3] = *a;
    // SAFETY: registers alone are changed, by instructions that every CPU has.
    unsafe {
        asm!(
            // p + 1 plus the complement. The lowest limb of p + 1 is 0.
            "mov {p1}, 0xffffffff00000001",
            "mov {p3}, 0xfffffffeffffffff",
            "and {p1}, {m}",
            "and {p3}, {m}",
            "xor {t0}, {m}",
            "xor {t1}, {m}",
            "xor {t2}, {m}",
            "xor {t3}, {m}",
            "add {t1}, {p1}",
            "adc {t2}, {m}",
            "adc {t3}, {p3}",
            t0 = inout(reg) t0,
            t1 = inout(reg) t1,
            t2 = inout(reg) t2,
            t3 = inout(reg) t3,
            m = in(reg) mask,
            p1 = out(reg) _,
            p3 = out(reg) _,
            options(pure, nomem, nostack),
        );
    }
    [t0, t1, t2, t3]
}
