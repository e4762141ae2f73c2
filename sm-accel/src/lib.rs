//! Constant-time SM2, SM3 and SM4 with SIMD kernels chosen at run time.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod cpu;
mod error;
mod report;
pub mod sm2;
pub mod sm3;
pub mod sm4;
mod taint;
#[cfg(sm_accel_taint)]
mod valgrind;

pub use cpu::{BACKEND_VARIABLE, Backend};
pub use error::Error;
pub use report::{Report, report};
