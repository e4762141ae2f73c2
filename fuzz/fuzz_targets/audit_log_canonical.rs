#![no_main]

#[path = "../../audit-log/tests/fuzz_bodies/mod.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::canonical(data));
