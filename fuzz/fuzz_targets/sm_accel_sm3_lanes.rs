#![no_main]

#[path = "../../sm-accel/tests/fuzz_bodies/mod.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::sm3_lanes(data));
