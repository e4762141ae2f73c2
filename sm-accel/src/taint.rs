//! Where secrets begin and end, for the constant-time check under Valgrind.
//!
//! In a build with `--cfg sm_accel_taint` these functions tell Memcheck which memory is secret ("undefined") and what
//! has become public; it then reports every branch and every address that depends on the rest. In every other build
//! they do nothing.

/// `decision`, which everybody may know, to be branched on. Each call says why.
#[inline(always)]
pub(crate) fn public(decision: impl Into<bool>) -> bool {
    let decision = decision.into();
    #[cfg(sm_accel_taint)]
    let decision = {
        // As a byte in memory, opaque before and after: nothing is known of it but what Memcheck tracks.
        let byte = core::hint::black_box([u8::from(decision)]);
        crate::valgrind::make_public(&byte);
        core::hint::black_box(byte) != [0]
    };
    decision
}

/// Fresh random bytes: secret from here on.
#[inline(always)]
pub(crate) fn secret(bytes: &mut [u8]) {
    #[cfg(sm_accel_taint)]
    crate::valgrind::make_secret(bytes);
    #[cfg(not(sm_accel_taint))]
    let _ = bytes;
}
