#![no_main]

#[path = "../../sm-jwt/tests/fuzz_bodies/mod.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::parse_jwks(data));
