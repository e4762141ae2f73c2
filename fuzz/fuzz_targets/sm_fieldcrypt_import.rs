#![no_main]

#[path = "../../sm-fieldcrypt/tests/fuzz_bodies/mod.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::import_value(data));
