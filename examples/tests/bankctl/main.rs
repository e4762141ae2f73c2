//! `bankctl` as a process: what it answers, with which exit code, for people and for machines.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub
)]

mod bound;
mod desk;
mod keys;
mod outputs;
#[path = "../peers/mod.rs"]
mod peers;
mod profiles;
mod set_up;
mod signatures;
mod tokens;
