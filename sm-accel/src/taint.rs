//! Where secrets begin and end, for the constant-time check under Valgrind.
//!
//! In a build with `--cfg sm_accel_taint` these functions tell Memcheck which memory is secret ("undefined") and what
//! has become public; it then reports every branch and every address that depends on the rest. Every other build calculates
//! the same decisions, behind the same barrier: what Valgrind follows is what ships.

use subtle::Choice;

use crate::barrier::barrier;

/// `decision`, which everybody may know, to be branched on. Each call says why.
#[inline(always)]
pub(crate) fn public(decision: Choice) -> bool {
    // One value before it is one branch: else LLVM may branch on the parts that it was made of.
    let decision = barrier(u64::from(decision.unwrap_u8()));
    #[cfg(sm_accel_taint)]
    let decision = {
        let mut decision = core::hint::black_box(decision);
        crate::valgrind::make_public(&mut decision);
        core::hint::black_box(decision)
    };
    decision != 0
}

/// Fresh random bytes: secret from here on.
#[inline(always)]
pub(crate) fn secret(bytes: &mut [u8]) {
    #[cfg(sm_accel_taint)]
    crate::valgrind::make_secret(bytes);
    #[cfg(not(sm_accel_taint))]
    let _ = bytes;
}
