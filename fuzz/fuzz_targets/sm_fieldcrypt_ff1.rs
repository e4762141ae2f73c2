#![no_main]

#[path = "../../sm-fieldcrypt/tests/fuzz_bodies/ff1.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::encrypt_value(data));
