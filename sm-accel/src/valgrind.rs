//! Client requests to Valgrind (`valgrind.h`, `memcheck.h`): without Valgrind they do nothing.
//!
//! Used by builds with `--cfg sm_accel_taint` and by the example `taint`, never by a normal build of the library.
#![allow(
    unsafe_code,
    dead_code,
    reason = "the magic sequence of instructions is assembly; the library needs two of the requests"
)]

#[cfg(not(target_arch = "x86_64"))]
compile_error!("the client requests are written for x86-64");

/// Memcheck's `MAKE_MEM_UNDEFINED`, `MAKE_MEM_DEFINED`; the core's `RUNNING_ON_VALGRIND`, `COUNT_ERRORS`.
const MAKE_UNDEFINED: u64 = 0x4d43_0001;
const MAKE_DEFINED: u64 = 0x4d43_0002;
const RUNNING: u64 = 0x1001;
const COUNT_ERRORS: u64 = 0x1201;

/// The answer to a request; 0 without Valgrind.
fn request(code: u64, address: u64, length: u64) -> u64 {
    let arguments: [u64; 6] = [code, address, length, 0, 0, 0];
    let mut answer = 0_u64;
    // SAFETY: rotations by 128 bits in all and an exchange of a register with itself change nothing but flags. Valgrind
    // takes the sequence as a call: it reads the six arguments at rax and writes rdx. No request used here writes
    // memory that the program sees.
    unsafe {
        core::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") &raw const arguments,
            inout("rdx") answer,
            options(nostack),
        );
    }
    answer
}

/// Marks the bytes of `value` as secret.
pub(crate) fn make_secret<T: ?Sized>(value: &mut T) {
    let length = size_of_val(value) as u64;
    request(
        MAKE_UNDEFINED,
        (&raw mut *value).cast::<u8>() as u64,
        length,
    );
}

/// Marks the bytes of `value` as public. Exclusive, so that the compiler reads them anew.
pub(crate) fn make_public<T: ?Sized>(value: &mut T) {
    make_public_in_place(value);
}

/// Marks the bytes of `value`, which somebody else owns, as public. What was read of it before stays secret.
pub(crate) fn make_public_in_place<T: ?Sized>(value: &T) {
    let length = size_of_val(value) as u64;
    request(
        MAKE_DEFINED,
        (&raw const *value).cast::<u8>() as u64,
        length,
    );
}

/// Whether the program runs under Valgrind.
pub(crate) fn running() -> bool {
    request(RUNNING, 0, 0) != 0
}

/// Reports so far.
pub(crate) fn count_errors() -> u64 {
    request(COUNT_ERRORS, 0, 0)
}
