//! A value that the compiler knows nothing about.
//!
//! Told that a mask is 0 or all ones, LLVM makes a branch of the selection: it did so in field additions; and a comparison
//! of several limbs it made into several branches. Behind this it must calculate.
#![allow(unsafe_code, reason = "an empty piece of assembly")]

/// `mask`, of which the compiler no longer knows that it has only two values.
#[cfg(all(target_arch = "x86_64", not(sm_accel_portable)))]
#[inline(always)]
pub(crate) fn barrier(mut mask: u64) -> u64 {
    // SAFETY: a comment alone is assembled; the register keeps its value.
    unsafe {
        core::arch::asm!(
            "/* {mask} */",
            mask = inout(reg) mask,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    mask
}

/// `mask`, of which the compiler no longer knows that it has only two values.
#[cfg(not(all(target_arch = "x86_64", not(sm_accel_portable))))]
#[inline(always)]
pub(crate) fn barrier(mask: u64) -> u64 {
    core::hint::black_box(mask)
}
