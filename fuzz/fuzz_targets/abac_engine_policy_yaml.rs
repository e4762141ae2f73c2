#![no_main]
#[path = "../../abac-engine/tests/fuzz_bodies/mod.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::policy_yaml(data));
