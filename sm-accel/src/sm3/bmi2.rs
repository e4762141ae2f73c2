//! One message with BMI1 and BMI2 (`andn`, `rorx`).
#![allow(
    unsafe_code,
    reason = "calls a function that needs instructions which the token proves"
)]

use crate::cpu::Avx2Aesni;
use crate::sm3::rounds::{self, BLOCK, State};

pub(crate) fn compress(_proof: Avx2Aesni, state: &mut State, blocks: &[[u8; BLOCK]]) {
    // SAFETY: the token proves BMI1 and BMI2.
    unsafe { compress_bmi2(state, blocks) }
}

#[target_feature(enable = "bmi1,bmi2")]
fn compress_bmi2(state: &mut State, blocks: &[[u8; BLOCK]]) {
    rounds::compress_blocks(state, blocks);
}
